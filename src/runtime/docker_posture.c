/* SPDX-License-Identifier: Apache-2.0 */
/* How a container is configured, from GET /containers/ID/json, as it will be when it runs: an inspection right after `create` has no
 * AppArmor profile yet, and what nobody gave follows from the daemon's own settings, GET /info. */
#include "docker_decode.h"
#include "docker_parts.h"
#include "json.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define OPTIONS_MAX 1024u
#define CAP(n) ((bh_caps)1 << (n))

/* github.com/moby/moby, oci/caps/defaults.go, by number: CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP,
 * NET_BIND_SERVICE, NET_RAW, SYS_CHROOT, MKNOD, AUDIT_WRITE, SETFCAP. */
#define CAPS_DEFAULT                                                                                                           \
	(CAP(0) | CAP(1) | CAP(3) | CAP(4) | CAP(5) | CAP(6) | CAP(7) | CAP(8) | CAP(10) | CAP(13) | CAP(18) | CAP(27) | CAP(29) | CAP(31))

static int text_take(char **dst, const char *s)
{
	return s && strlen(s) > BH_POSTURE_TEXT_MAX ? -EBADMSG : bh_strdup(dst, s);
}

/* The names of a list as a set; *ALL when it has "ALL". */
static bh_caps caps_named(const json_t *names, bool *all, int *err)
{
	bh_caps set = 0;
	size_t i;
	json_t *j;

	json_array_foreach (names, i, j) {
		const char *name = json_string_value(j);
		int n;

		if (!name || i >= OPTIONS_MAX) {
			*err = -EBADMSG;
			return 0;
		}
		n = bh_cap_number(name);
		if (strcasecmp(name, "ALL") == 0 || strcasecmp(name, "CAP_ALL") == 0)
			*all = true;
		else
			set |= n >= 0 ? CAP(n) : BH_CAP_STRANGE;
	}
	return set;
}

/* github.com/moby/moby, oci/caps/utils.go, TweakCapabilities(): what is added wins over what is dropped. */
static bh_caps caps_decode(const json_t *config, bool privileged, int *err)
{
	bool add_all = false, drop_all = false;
	bh_caps add = caps_named(bh_json_array(config, "CapAdd", err), &add_all, err);
	bh_caps drop = caps_named(bh_json_array(config, "CapDrop", err), &drop_all, err) & ~BH_CAP_STRANGE;

	if (privileged)
		return BH_CAPS_ALL | BH_CAP_STRANGE;
	if (add_all)
		return (BH_CAPS_ALL & ~drop) | BH_CAP_STRANGE;
	return drop_all ? add : (CAPS_DEFAULT & ~drop) | add;
}

/* What comes before anything else in an option of security: "seccomp=…", "apparmor:…", "no-new-privileges". */
static const char *option_value(const char *option, const char *name)
{
	size_t n = strlen(name);

	if (strncmp(option, name, n) != 0)
		return NULL;
	if (option[n] == '\0')
		return option + n;
	return option[n] == '=' || option[n] == ':' ? option + n + 1 : NULL;
}

static bool is_true(const char *s)
{
	static const char *const words[] = {"", "1", "t", "T", "true", "TRUE", "True"};

	for (size_t i = 0; i < BH_ARRAY_SIZE(words); i++)
		if (strcmp(s, words[i]) == 0)
			return true;
	return false;
}

static int security_decode(const json_t *config, const struct bh_docker_settings *host, struct bh_posture *p, int *err)
{
	const json_t *options = bh_json_array(config, "SecurityOpt", err);
	size_t i;
	json_t *j;

	p->no_new_privileges = host->no_new_privileges;
	p->seccomp = p->privileged ? BH_CONFINED_NOT : host->seccomp;
	p->apparmor = p->privileged || !host->apparmor ? BH_CONFINED_NOT : BH_CONFINED_DEFAULT;
	json_array_foreach (options, i, j) {
		const char *option = json_string_value(j), *v;
		int r = 0;

		if (!option || i >= OPTIONS_MAX)
			return -EBADMSG;
		v = option_value(option, "no-new-privileges");
		if (v)
			p->no_new_privileges = is_true(v);
		v = option_value(option, "seccomp");
		if (v && !p->privileged)	/* a privileged one has none, whatever is asked for */
			p->seccomp = strcmp(v, "unconfined") == 0 || host->seccomp_missing ? BH_CONFINED_NOT :
				strcmp(v, "builtin") == 0 || strcmp(v, "default") == 0 ? BH_CONFINED_DEFAULT : BH_CONFINED_CUSTOM;
		v = option_value(option, "apparmor");
		if (v) {
			bool none = !*v || strcmp(v, "unconfined") == 0 || !host->apparmor;

			p->apparmor = none ? BH_CONFINED_NOT : strcmp(v, "docker-default") == 0 ? BH_CONFINED_DEFAULT : BH_CONFINED_CUSTOM;
			r = text_take(&p->apparmor_profile, none ? NULL : v);
		}
		v = option_value(option, "systempaths");
		if (v && strcmp(v, "unconfined") == 0)
			p->unmasked = true;
		if (r < 0)
			return r;
	}
	return 0;
}

/* The label of its processes. Types that confine nobody: container-selinux(8), spc_t; unconfined_t. */
static int selinux_decode(const char *label, struct bh_posture *p)
{
	bool free = !label || !*label || strstr(label, ":spc_t:") || strstr(label, ":unconfined_t:");

	p->selinux = free ? BH_CONFINED_NOT : strstr(label, ":container_t:") || strstr(label, ":svirt_lxc_net_t:") ? BH_CONFINED_DEFAULT :
		BH_CONFINED_CUSTOM;
	return text_take(&p->selinux_label, label && *label ? label : NULL);
}

/* runc takes a name's number from the image's /etc/passwd. A number that is written in an unusual way is taken for a name. */
static int user_decode(const char *user, struct bh_posture *p)
{
	size_t digits = user ? strspn(user, "0123456789") : 0;

	p->root = digits == 0 || user[0] == '0' || (user[digits] != '\0' && user[digits] != ':');
	return text_take(&p->user, user && *user ? user : NULL);
}

static enum bh_isolation isolation(const char *mode, const char *const *own)
{
	if (mode && strncmp(mode, "container:", 10) == 0)
		return BH_ISOLATION_SHARED;
	for (; *own; own++)
		if (strcmp(mode ? mode : "", *own) == 0)
			return BH_ISOLATION_PRIVATE;
	return BH_ISOLATION_HOST;
}

static void namespaces_decode(const json_t *config, const struct bh_docker_settings *host, struct bh_posture *p, int *err)
{
	static const char *const plain[] = {"", "private", NULL}, *const ipc[] = {"", "none", "private", "shareable", NULL};
	static const char *const cgroup[] = {"private", NULL};
	const char *net = bh_json_string(config, "NetworkMode", err), *user = bh_json_string(config, "UsernsMode", err);

	p->namespaces[BH_NAMESPACE_PID] = isolation(bh_json_string(config, "PidMode", err), plain);
	p->namespaces[BH_NAMESPACE_IPC] = isolation(bh_json_string(config, "IpcMode", err), ipc);
	p->namespaces[BH_NAMESPACE_UTS] = isolation(bh_json_string(config, "UTSMode", err), plain);
	p->namespaces[BH_NAMESPACE_CGROUP] = isolation(bh_json_string(config, "CgroupnsMode", err), cgroup);
	p->namespaces[BH_NAMESPACE_NET] = bh_streq(net, "host") ? BH_ISOLATION_HOST :
		net && strncmp(net, "container:", 10) == 0 ? BH_ISOLATION_SHARED : BH_ISOLATION_PRIVATE;
	p->namespaces[BH_NAMESPACE_USER] = host->userns && !(user && *user) ? BH_ISOLATION_PRIVATE : BH_ISOLATION_HOST;
}

/* Cleans an absolute path in its place, as filepath.Clean() of Go does. */
static void path_clean(char *path)
{
	char *to = path;
	const char *from = path;

	while (*from) {
		size_t n;

		from += strspn(from, "/");
		n = strcspn(from, "/");
		if (n == 2 && from[0] == '.' && from[1] == '.') {
			while (to > path && *--to != '/')
				;
		} else if (n > 0 && !(n == 1 && from[0] == '.')) {
			*to++ = '/';
			memmove(to, from, n);
			to += n;
		}
		from += n;
	}
	if (to == path)
		*to++ = '/';
	*to = '\0';
}

static int mount_add(struct bh_posture *p, const char *source, bool writable, const struct bh_docker_settings *host)
{
	_cleanup_free_ char *path = NULL;
	struct bh_mount *m;

	if (bh_strdup(&path, source) < 0)
		return -ENOMEM;
	path_clean(path);
	bh_vec_foreach(old, &p->mounts)
		if (strcmp(old->source, path) == 0) {
			old->writable = old->writable || writable;
			return 0;
		}
	m = bh_vec_add(&p->mounts);
	if (!m)
		return -ENOMEM;
	m->source = bh_take(path);
	m->writable = writable;
	m->socket = host->socket && bh_path_holds(m->source, host->socket);
	return 0;
}

static int mount_cmp(const void *a, const void *b)
{
	const struct bh_mount *x = a, *y = b;

	return strcmp(x->source, y->source);
}

static int mounts_decode(const json_t *mounts, const struct bh_docker_settings *host, struct bh_posture *p, int *err)
{
	size_t i;
	json_t *j;
	int r = 0;

	if (json_array_size(mounts) > BH_MOUNTS_MAX)
		return -EBADMSG;
	json_array_foreach (mounts, i, j) {
		const char *type = bh_json_string(j, "Type", err), *source = bh_json_string(j, "Source", err);
		bool writable = bh_json_bool(j, "RW", err);

		if (!json_is_object(j) || *err)
			return -EBADMSG;
		if (!bh_streq(type, "bind") || !source || source[0] != '/')
			continue;
		r = strlen(source) < PATH_MAX ? mount_add(p, source, writable, host) : -EBADMSG;
		if (r < 0)
			return r;
	}
	if (p->mounts.n > 1)
		qsort(p->mounts.v, p->mounts.n, sizeof(*p->mounts.v), mount_cmp);
	return 0;
}

static int text_cmp(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int device_add(struct bh_posture *p, const char *path)
{
	if (strlen(path) >= PATH_MAX)
		return -EBADMSG;
	return bh_strv_has(&p->devices, path) ? 0 : bh_strv_push(&p->devices, path);
}

static int devices_decode(const json_t *config, struct bh_posture *p, int *err)
{
	const json_t *devices = bh_json_array(config, "Devices", err);
	int r = 0;
	size_t i;
	json_t *j;

	if (json_array_size(devices) > BH_DEVICES_MAX)
		return -EBADMSG;
	json_array_foreach (devices, i, j) {
		const char *path = bh_json_string(j, "PathOnHost", err);

		if (!json_is_object(j) || *err)
			return -EBADMSG;
		if (r == 0)
			r = device_add(p, path ? path : "?");
	}
	if (r == 0 && json_array_size(bh_json_array(config, "DeviceRequests", err)) > 0)
		r = device_add(p, "gpu");
	if (r == 0 && json_array_size(bh_json_array(config, "DeviceCgroupRules", err)) > 0)
		r = device_add(p, "rule");
	if (p->devices.n > 1)
		qsort(p->devices.v, p->devices.n, sizeof(*p->devices.v), text_cmp);
	return r;
}

static uint64_t positive(const json_t *o, const char *key, int *err)
{
	long long v = bh_json_integer(o, key, err);

	return v > 0 ? (uint64_t)v : 0;
}

static void limits_decode(const json_t *config, struct bh_posture *p, int *err)
{
	uint64_t quota = positive(config, "CpuQuota", err), period = positive(config, "CpuPeriod", err);

	p->memory = positive(config, "Memory", err);
	p->pids = positive(config, "PidsLimit", err);
	p->cpus = positive(config, "NanoCpus", err) / 1000000;
	if (p->cpus == 0 && quota > 0)
		p->cpus = quota / ((period ? period : 100000) / 1000 ? (period ? period : 100000) / 1000 : 1);
}

static void restart_decode(const json_t *config, struct bh_posture *p, int *err)
{
	const char *name = bh_json_string(bh_json_object(config, "RestartPolicy", err), "Name", err);

	p->restart = !name || !*name ? BH_RESTART_NO : BH_RESTART_MAX;
	for (int i = 0; i < BH_RESTART_MAX && p->restart == BH_RESTART_MAX; i++)
		if (bh_streq(name, bh_restart_name((enum bh_restart)i)))
			p->restart = (enum bh_restart)i;
}

/* Docker's own lists cover the kernel's files; an empty one was asked for. */
static bool is_empty_list(const json_t *config, const char *key, int *err)
{
	const json_t *list = bh_json_array(config, key, err);

	return list && json_array_size(list) == 0;
}

static int posture_decode(const json_t *j, const struct bh_docker_settings *host, struct bh_posture *p)
{
	int err = 0, r;
	const json_t *config = bh_json_object(j, "HostConfig", &err), *own = bh_json_object(j, "Config", &err);
	const char *reference = bh_json_string(own, "Image", &err);

	p->privileged = bh_json_bool(config, "Privileged", &err);
	p->read_only_root = bh_json_bool(config, "ReadonlyRootfs", &err);
	p->caps = caps_decode(config, p->privileged, &err);
	p->unmasked = p->privileged || is_empty_list(config, "MaskedPaths", &err) || is_empty_list(config, "ReadonlyPaths", &err);
	namespaces_decode(config, host, p, &err);
	limits_decode(config, p, &err);
	restart_decode(config, p, &err);
	r = security_decode(config, host, p, &err);
	if (r == 0)
		r = selinux_decode(host->selinux ? bh_json_string(j, "ProcessLabel", &err) : NULL, p);
	if (r == 0)
		r = user_decode(bh_json_string(own, "User", &err), p);
	if (r == 0)
		r = reference && strlen(reference) > BH_NAME_MAX ? -EBADMSG : bh_strdup(&p->reference, reference);
	if (r == 0)
		r = mounts_decode(bh_json_array(j, "Mounts", &err), host, p, &err);
	if (r == 0)
		r = devices_decode(config, p, &err);
	p->known = true;
	return r < 0 ? r : err;
}

int bh_docker_decode_inspect(const char *text, size_t n, const struct bh_docker_settings *host, struct bh_docker_inspect *ret)
{
	_cleanup_json_ json_t *j = NULL;
	struct bh_docker_inspect in = {0};
	int err = 0, r = bh_json_parse(text, n, &j);
	const char *id;

	if (r < 0)
		return r;
	id = bh_json_string(j, "Id", &err);
	/* without a configuration it says nothing, and silence is not hardened */
	if (err || !bh_docker_is_container_id(id) || !bh_json_object(j, "HostConfig", &err) || !bh_json_object(j, "Config", &err))
		return -EBADMSG;
	memcpy(in.id, id, sizeof(in.id));
	r = posture_decode(j, host, &in.posture);
	if (r < 0) {
		bh_posture_clear(&in.posture);
		return r;
	}
	*ret = in;
	return 0;
}

/* SecurityOptions of GET /info: "name=seccomp,profile=default", "name=apparmor", … */
int bh_docker_decode_info(const char *text, size_t n, struct bh_docker_settings *ret, struct bh_registries *ret_registries)
{
	_cleanup_json_ json_t *j = NULL;
	struct bh_docker_settings s = {.seccomp_missing = true};
	int err = 0, r = bh_json_parse(text, n, &j);
	const json_t *options;
	size_t i;
	json_t *o;

	if (r < 0)
		return r;
	options = bh_json_array(j, "SecurityOptions", &err);
	if (err || !json_is_object(j) || json_array_size(options) > OPTIONS_MAX)
		return -EBADMSG;
	json_array_foreach (options, i, o) {
		const char *text_of = json_string_value(o), *profile;

		if (!text_of)
			return -EBADMSG;
		s.apparmor = s.apparmor || strcmp(text_of, "name=apparmor") == 0;
		s.selinux = s.selinux || strcmp(text_of, "name=selinux") == 0;
		s.userns = s.userns || strcmp(text_of, "name=userns") == 0 || strcmp(text_of, "name=rootless") == 0;
		s.no_new_privileges = s.no_new_privileges || strcmp(text_of, "name=no-new-privileges") == 0;
		if (strncmp(text_of, "name=seccomp", 12) != 0)
			continue;
		profile = strstr(text_of, "profile=");
		profile = profile ? profile + 8 : "default";
		s.seccomp_missing = false;
		s.seccomp = strcmp(profile, "unconfined") == 0 ? BH_CONFINED_NOT :
			strcmp(profile, "default") == 0 || strcmp(profile, "builtin") == 0 ? BH_CONFINED_DEFAULT : BH_CONFINED_CUSTOM;
	}
	r = bh_docker_registries_decode(j, ret_registries);
	if (r == -ENOMEM)
		return r;
	*ret = s;
	return 0;
}

/* Days since 1970 of a day of the Gregorian calendar. */
static int64_t days(int y, int m, int d)
{
	int64_t era, year = m <= 2 ? y - 1 : y;
	int64_t in_era, of_year;

	era = (year >= 0 ? year : year - 399) / 400;
	in_era = year - era * 400;
	of_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + of_year - 719468;
}

int64_t bh_docker_time(const char *s)
{
	int y, mo, d, h, mi, sec, n = 0, oh = 0, om = 0, rest = 0;
	int64_t t;

	if (!s || sscanf(s, "%4d-%2d-%2dT%2d:%2d:%2d%n", &y, &mo, &d, &h, &mi, &sec, &n) != 6 || y < 1970 || mo < 1 || mo > 12 || d < 1 || d > 31 ||
		h < 0 || h > 23 || mi < 0 || mi > 59 || sec < 0 || sec > 60)
		return 0;
	s += n;
	if (*s == '.')
		s += 1 + strspn(s + 1, "0123456789");
	t = days(y, mo, d) * 86400 + h * 3600 + mi * 60 + sec;
	if (strcmp(s, "Z") == 0)
		return t;
	if ((*s != '+' && *s != '-') || sscanf(s + 1, "%2d:%2d%n", &oh, &om, &rest) != 2 || s[1 + rest] || oh < 0 || oh > 23 || om < 0 || om > 59)
		return 0;
	return t + (*s == '+' ? -1 : 1) * (oh * 3600 + om * 60);
}

int bh_docker_image_facts_decode(const json_t *j, struct bh_image_facts *ret)
{
	struct bh_image_facts f = {.known = true};
	int r = 0, err = 0;
	const json_t *digests = bh_json_array(j, "RepoDigests", &err);
	size_t i;
	json_t *o;

	f.created = bh_docker_time(bh_json_string(j, "Created", &err));
	if (err || json_array_size(digests) > BH_DIGESTS_MAX)
		return -EBADMSG;
	json_array_foreach (digests, i, o) {
		const char *s = json_string_value(o);

		r = !s || strlen(s) > BH_NAME_MAX ? -EBADMSG : bh_strv_push(&f.digests, s);
		if (r < 0) {
			bh_image_facts_clear(&f);
			return r;
		}
	}
	if (f.digests.n > 1)
		qsort(f.digests.v, f.digests.n, sizeof(*f.digests.v), text_cmp);
	*ret = f;
	return 0;
}
