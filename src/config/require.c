/* SPDX-License-Identifier: Apache-2.0 */
/* `require`, of the whole file and of a zone of containers. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#define SECOND 1000000ull
#define AGE_LEAST (3600 * SECOND)
#define SCAN_AGE_LEAST (60 * SECOND)
#define AGE_MOST (36500ull * 86400 * SECOND)

/* A condition that can have one value only. */
static void read_word(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, struct bh_require *r, enum bh_condition condition)
{
	const char *word = bh_condition_word(condition);
	size_t i;

	if (bh_cfg_choice(c, value, key->text, &word, 1, &i))
		r->asked[condition] = key->loc;
}

#define WORD(name, condition)                                                                                                   \
	static void read_##name(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)           \
	{                                                                                                                          \
		read_word(c, key, value, target, condition);                                                                       \
	}
WORD(privileged, BH_REQUIRE_PRIVILEGED)
WORD(user, BH_REQUIRE_USER)
WORD(seccomp, BH_REQUIRE_SECCOMP)
WORD(apparmor, BH_REQUIRE_APPARMOR)
WORD(selinux, BH_REQUIRE_SELINUX)
WORD(no_new_privileges, BH_REQUIRE_NO_NEW_PRIVILEGES)
WORD(read_only_root, BH_REQUIRE_READ_ONLY_ROOT)
WORD(memory_limit, BH_REQUIRE_MEMORY_LIMIT)
WORD(cpu_limit, BH_REQUIRE_CPU_LIMIT)
WORD(pids_limit, BH_REQUIRE_PIDS_LIMIT)
WORD(devices, BH_REQUIRE_DEVICES)
WORD(pinned, BH_REQUIRE_IMAGE_PINNED)
WORD(verified, BH_REQUIRE_IMAGE_VERIFIED)
WORD(registry_tls, BH_REQUIRE_IMAGE_REGISTRY_TLS)

static bool read_caps(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, bh_caps *ret)
{
	const char *names[BH_CAPS_MAX], *text, *near;
	char show[BH_CFG_SHOW];

	for (int i = 0; i < BH_CAPS_MAX; i++)
		names[i] = bh_cap_name(i);
	if (!bh_cfg_is_list(c, value, key->text, "[NET_BIND_SERVICE]"))
		return false;
	bh_vec_foreach(i, &value->items) {
		int n;

		if (!bh_cfg_word(c, *i, "a capability", &text))
			continue;
		n = bh_cap_number(text);
		near = n < 0 ? bh_cfg_nearest(text, names, BH_CAPS_MAX) : NULL;
		if (n >= 0)
			*ret |= (bh_caps)1 << n;
		else if (strcmp(text, "ALL") == 0)
			bh_cfg_error(c, &(*i)->loc, "%s: ALL is no capability: write capabilities: none, or privileged: false", key->text);
		else
			bh_cfg_error(c, &(*i)->loc, "%s: no capability '%s'%s%s%s", key->text, bh_cfg_show(text, show), near ? ": did you mean '" : "",
				near ? near : "", near ? "'?" : "");
	}
	return true;
}

static void read_caps_allow(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	struct bh_require *r = target;

	r->caps_bound = read_caps(c, key, value, &r->caps_allow);
}

static void read_caps_forbid(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	struct bh_require *r = target;

	(void)read_caps(c, key, value, &r->caps_forbid);
}

static void read_capabilities(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	static const struct bh_key keys[] = {{"allow", read_caps_allow, 0}, {"forbid", read_caps_forbid, 0}};
	static const char *const none[] = {"none"};
	struct bh_require *r = target;
	size_t i;

	if (value->kind == BH_NODE_SCALAR && !bh_cfg_is_null(value)) {
		r->caps_bound = bh_cfg_choice(c, value, "capabilities", none, 1, &i);
	} else if (!bh_cfg_is_map(c, value, "capabilities")) {
		return;
	} else {
		bh_cfg_map(c, value, "capabilities", keys, BH_ARRAY_SIZE(keys), r);
		if (r->caps_allow & r->caps_forbid)
			bh_cfg_error(c, &value->loc, "capabilities: a capability is both allowed and forbidden");
	}
	r->asked[BH_REQUIRE_CAPABILITIES] = key->loc;
}

static bool check_mount(struct bh_cfg *c, const struct bh_node *n, const char *text)
{
	static const char *const names[] = {BH_MOUNT_SOCKET, BH_MOUNT_SENSITIVE};
	char show[BH_CFG_SHOW];
	const char *near;
	size_t len = strlen(text);

	for (size_t i = 0; i < BH_ARRAY_SIZE(names); i++)
		if (strcmp(text, names[i]) == 0)
			return true;
	bh_cfg_show(text, show);
	if (text[0] == '/' && !strstr(text, "//") && !strstr(text, "/./") && !strstr(text, "/../") && (len == 1 || text[len - 1] != '/'))
		return true;
	if (text[0] == '/') {
		bh_cfg_error(c, &n->loc, "forbid: write the path '%s' without '//', '.', '..' and a '/' at its end", show);
		return false;
	}
	near = bh_cfg_nearest(text, names, BH_ARRAY_SIZE(names));
	bh_cfg_error(c, &n->loc, "forbid: '%s' is no mount: write %s, %s or an absolute path%s%s%s", show, names[0], names[1],
		near ? ": did you mean '" : "", near ? near : "", near ? "'?" : "");
	return false;
}

static void read_mounts_forbid(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	struct bh_require *r = target;
	const char *text;

	(void)key;
	if (!bh_cfg_is_list(c, value, "forbid", "[docker.sock, /etc]"))
		return;
	bh_vec_foreach(i, &value->items)
		if (bh_cfg_word(c, *i, "a mount", &text) && check_mount(c, *i, text) && bh_strv_push(&r->mounts, text) < 0)
			bh_cfg_oom(c);
}

static void read_mounts(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	static const struct bh_key keys[] = {{"forbid", read_mounts_forbid, 0}};
	struct bh_require *r = target;

	if (!bh_cfg_is_map(c, value, "mounts"))
		return;
	bh_cfg_map(c, value, "mounts", keys, BH_ARRAY_SIZE(keys), r);
	r->asked[BH_REQUIRE_MOUNTS] = key->loc;
}

static void read_namespaces_forbid(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	const char *words[BH_NAMESPACE_MAX];
	struct bh_require *r = target;
	size_t n;

	(void)key;
	for (int i = 0; i < BH_NAMESPACE_MAX; i++)
		words[i] = bh_namespace_name((enum bh_namespace)i);
	if (!bh_cfg_is_list(c, value, "forbid", "[pid, ipc]"))
		return;
	bh_vec_foreach(i, &value->items)
		if (bh_cfg_choice(c, *i, "forbid", words, BH_NAMESPACE_MAX, &n))
			r->namespaces |= 1u << n;
}

static void read_namespaces(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	static const struct bh_key keys[] = {{"forbid", read_namespaces_forbid, 0}};
	static const char *const private[] = {"private"};
	struct bh_require *r = target;
	size_t i;

	if (value->kind == BH_NODE_SCALAR && !bh_cfg_is_null(value)) {
		if (bh_cfg_choice(c, value, "namespaces", private, 1, &i))
			r->namespaces = BH_NAMESPACES_PRIVATE;
	} else if (!bh_cfg_is_map(c, value, "namespaces")) {
		return;
	} else {
		bh_cfg_map(c, value, "namespaces", keys, BH_ARRAY_SIZE(keys), r);
	}
	r->asked[BH_REQUIRE_NAMESPACES] = key->loc;
}

static void read_restart(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	const char *words[BH_RESTART_MAX];
	struct bh_require *r = target;
	size_t n;

	for (int i = 0; i < BH_RESTART_MAX; i++)
		words[i] = bh_restart_name((enum bh_restart)i);
	if (!bh_cfg_is_list(c, value, "restart", "[\"no\", on-failure]"))
		return;
	bh_vec_foreach(i, &value->items)
		if (bh_cfg_choice(c, *i, "restart", words, BH_RESTART_MAX, &n))
			r->restart |= 1u << n;
	r->asked[BH_REQUIRE_RESTART] = key->loc;
}

/* The name of a registry has a dot or a port, or is localhost: a repository alone does not say where from. */
static void read_registries(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	struct bh_require *r = target;
	char show[BH_CFG_SHOW];
	const char *text;

	if (!bh_cfg_is_list(c, value, "registries", "[registry.example.org/*]"))
		return;
	bh_vec_foreach(i, &value->items) {
		size_t host;

		if (!bh_cfg_word(c, *i, "a registry", &text))
			continue;
		host = strcspn(text, "/");
		if (text[host] != '/' || !text[host + 1] || strpbrk(text, "@ \t") ||
			(!memchr(text, '.', host) && !memchr(text, ':', host) && !memchr(text, '*', host) && strncmp(text, "localhost/", 10) != 0))
			bh_cfg_error(c, &(*i)->loc, "registries: write REGISTRY/REPOSITORY, as in registry.example.org/* or docker.io/library/*, not '%s'",
				bh_cfg_show(text, show));
		else if (bh_strv_push(&r->registries, text) < 0)
			bh_cfg_oom(c);
	}
	r->asked[BH_REQUIRE_IMAGE_REGISTRIES] = key->loc;
}

static void read_max_age(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	struct bh_require *r = target;
	uint64_t usec;

	if (!bh_cfg_time(c, value, "max-age", AGE_LEAST, AGE_MOST, &usec))
		return;
	r->max_age = usec / SECOND;
	r->asked[BH_REQUIRE_IMAGE_MAX_AGE] = key->loc;
}

static void read_max_severity(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	const char *words[BH_VULN_MAX - BH_VULN_NEGLIGIBLE];
	struct bh_require *r = target;
	size_t i;

	(void)key;
	for (int v = BH_VULN_NEGLIGIBLE; v < BH_VULN_MAX; v++)
		words[v - BH_VULN_NEGLIGIBLE] = bh_vuln_name((enum bh_vuln)v);
	if (!bh_cfg_choice(c, value, "max-severity", words, BH_ARRAY_SIZE(words), &i))
		return;
	r->scanned.has_max = true;
	r->scanned.max = (enum bh_vuln)(BH_VULN_NEGLIGIBLE + i);
}

static void read_only_fixed(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	static const char *const words[] = {"true", "false"};
	struct bh_require *r = target;
	size_t i;

	(void)key;
	if (bh_cfg_choice(c, value, "only-fixed", words, BH_ARRAY_SIZE(words), &i))
		r->scanned.only_fixed = i == 0;
}

static void read_scan_age(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	struct bh_require *r = target;
	uint64_t usec;

	(void)key;
	if (bh_cfg_time(c, value, "max-age", SCAN_AGE_LEAST, AGE_MOST, &usec))
		r->scanned.max_age = usec / SECOND;
}

static void read_scanned(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	enum { SEVERITY_KEY, FIXED_KEY, AGE_KEY };
	static const struct bh_key keys[] = {
		[SEVERITY_KEY] = {"max-severity", read_max_severity, 0},
		[FIXED_KEY] = {"only-fixed", read_only_fixed, 0},
		[AGE_KEY] = {"max-age", read_scan_age, 0},
	};
	struct bh_require *r = target;
	unsigned seen;

	if (!bh_cfg_is_map(c, value, "scanned"))
		return;
	seen = bh_cfg_map(c, value, "scanned", keys, BH_ARRAY_SIZE(keys), r);
	if (seen == 1u << FIXED_KEY)
		bh_cfg_error(c, &value->loc, "only-fixed says which findings count for 'max-severity', which is missing");
	r->asked[BH_REQUIRE_IMAGE_SCANNED] = key->loc;
}

static void read_image(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	static const struct bh_key keys[] = {
		{"registries", read_registries, 0},
		{"pinned", read_pinned, 0},
		{"max-age", read_max_age, 0},
		{"scanned", read_scanned, 0},
		{"verified", read_verified, 0},
		{"registry-tls", read_registry_tls, 0},
	};

	(void)key;
	if (bh_cfg_is_map(c, value, "image"))
		bh_cfg_map(c, value, "image", keys, BH_ARRAY_SIZE(keys), target);
}

void bh_cfg_require(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, struct bh_require **ret)
{
	static const struct bh_key keys[] = {
		{"privileged", read_privileged, 0},
		{"user", read_user, 0},
		{"capabilities", read_capabilities, 0},
		{"seccomp", read_seccomp, 0},
		{"apparmor", read_apparmor, 0},
		{"selinux", read_selinux, 0},
		{"no-new-privileges", read_no_new_privileges, 0},
		{"read-only-root", read_read_only_root, 0},
		{"memory-limit", read_memory_limit, 0},
		{"cpu-limit", read_cpu_limit, 0},
		{"pids-limit", read_pids_limit, 0},
		{"mounts", read_mounts, 0},
		{"devices", read_devices, 0},
		{"namespaces", read_namespaces, 0},
		{"restart", read_restart, 0},
		{"image", read_image, 0},
	};

	if (!bh_cfg_is_map(c, value, "require"))
		return;
	*ret = calloc(1, sizeof(**ret));
	if (!*ret) {
		bh_cfg_oom(c);
		return;
	}
	(*ret)->loc = key->loc;
	bh_cfg_map(c, value, "require", keys, BH_ARRAY_SIZE(keys), *ret);
}
