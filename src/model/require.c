/* SPDX-License-Identifier: Apache-2.0 */
#include <bulkhead/require.h>
#include <bulkhead/yaml.h>

#include <inttypes.h>
#include <string.h>

#define DAY 86400u
#define HOUR 3600u

static const struct {
	const char *name, *word;
} conditions[BH_REQUIRE_MAX] = {
	[BH_REQUIRE_PRIVILEGED] = {"privileged", "false"},
	[BH_REQUIRE_USER] = {"user", "non-root"},
	[BH_REQUIRE_CAPABILITIES] = {"capabilities", NULL},
	[BH_REQUIRE_SECCOMP] = {"seccomp", "confined"},
	[BH_REQUIRE_APPARMOR] = {"apparmor", "confined"},
	[BH_REQUIRE_SELINUX] = {"selinux", "confined"},
	[BH_REQUIRE_NO_NEW_PRIVILEGES] = {"no-new-privileges", "true"},
	[BH_REQUIRE_READ_ONLY_ROOT] = {"read-only-root", "true"},
	[BH_REQUIRE_MEMORY_LIMIT] = {"memory-limit", "set"},
	[BH_REQUIRE_CPU_LIMIT] = {"cpu-limit", "set"},
	[BH_REQUIRE_PIDS_LIMIT] = {"pids-limit", "set"},
	[BH_REQUIRE_MOUNTS] = {"mounts", NULL},
	[BH_REQUIRE_DEVICES] = {"devices", "none"},
	[BH_REQUIRE_NAMESPACES] = {"namespaces", NULL},
	[BH_REQUIRE_RESTART] = {"restart", NULL},
	[BH_REQUIRE_IMAGE_REGISTRIES] = {"image.registries", NULL},
	[BH_REQUIRE_IMAGE_PINNED] = {"image.pinned", "true"},
	[BH_REQUIRE_IMAGE_MAX_AGE] = {"image.max-age", NULL},
	[BH_REQUIRE_IMAGE_SCANNED] = {"image.scanned", NULL},
	[BH_REQUIRE_IMAGE_VERIFIED] = {"image.verified", "true"},
	[BH_REQUIRE_IMAGE_REGISTRY_TLS] = {"image.registry-tls", "true"},
};

const char *bh_condition_name(enum bh_condition c)
{
	return conditions[c].name;
}

const char *bh_condition_word(enum bh_condition c)
{
	return conditions[c].word;
}

void bh_require_free(struct bh_require *r)
{
	if (!r)
		return;
	bh_strv_clear(&r->mounts);
	bh_strv_clear(&r->registries);
	free(r);
}

static void put_texts(struct bh_buf *out, const char *name, const struct bh_strv *l)
{
	bh_buf_printf(out, "%s: [", name);
	for (size_t i = 0; i < l->n; i++) {
		bh_buf_puts(out, i ? ", " : "");
		bh_yaml_put_text(out, l->v[i]);
	}
	bh_buf_puts(out, "]");
}

static void put_caps(struct bh_buf *out, const char *name, bh_caps caps)
{
	const char *sep = "";

	bh_buf_printf(out, "%s: [", name);
	for (int i = 0; i < BH_CAPS_MAX; i++)
		if (caps & (bh_caps)1 << i) {
			bh_buf_printf(out, "%s%s", sep, bh_cap_name(i));
			sep = ", ";
		}
	bh_buf_puts(out, "]");
}

static void put_capabilities(struct bh_buf *out, const struct bh_require *r)
{
	if (r->caps_bound && !r->caps_allow && !r->caps_forbid) {
		bh_buf_puts(out, "capabilities: none");
		return;
	}
	bh_buf_puts(out, "capabilities: {");
	if (r->caps_bound)
		put_caps(out, "allow", r->caps_allow);
	bh_buf_puts(out, r->caps_bound && r->caps_forbid ? ", " : "");
	if (r->caps_forbid)
		put_caps(out, "forbid", r->caps_forbid);
	bh_buf_puts(out, "}");
}

static void put_namespaces(struct bh_buf *out, const struct bh_require *r)
{
	const char *sep = "";

	if (r->namespaces == BH_NAMESPACES_PRIVATE) {
		bh_buf_puts(out, "namespaces: private");
		return;
	}
	bh_buf_puts(out, "namespaces: {forbid: [");
	for (int i = 0; i < BH_NAMESPACE_MAX; i++)
		if (r->namespaces & 1u << i) {
			bh_buf_printf(out, "%s%s", sep, bh_namespace_name((enum bh_namespace)i));
			sep = ", ";
		}
	bh_buf_puts(out, "]}");
}

static void put_restart(struct bh_buf *out, const struct bh_require *r)
{
	const char *sep = "";

	bh_buf_puts(out, "restart: [");
	for (int i = 0; i < BH_RESTART_MAX; i++)
		if (r->restart & 1u << i) {
			bh_buf_puts(out, sep);
			bh_yaml_put_text(out, bh_restart_name((enum bh_restart)i));
			sep = ", ";
		}
	bh_buf_puts(out, "]");
}

void bh_yaml_put_age(struct bh_buf *out, uint64_t s)
{
	bh_buf_printf(out, "%" PRIu64 "%s", s % DAY == 0 ? s / DAY : s % HOUR == 0 ? s / HOUR : s, s % DAY == 0 ? "d" : s % HOUR == 0 ? "h" : "s");
}

static void put_scanned(struct bh_buf *out, const struct bh_scanned *s)
{
	const char *sep = "";

	bh_buf_puts(out, "scanned: {");
	if (s->has_max) {
		bh_buf_printf(out, "max-severity: %s", bh_vuln_name(s->max));
		sep = ", ";
	}
	if (s->only_fixed)
		bh_buf_printf(out, "%sonly-fixed: true", sep);
	if (s->max_age) {
		bh_buf_printf(out, "%smax-age: ", *sep || s->only_fixed ? ", " : "");
		bh_yaml_put_age(out, s->max_age);
	}
	bh_buf_puts(out, "}");
}

static void put_one(struct bh_buf *out, const struct bh_require *r, enum bh_condition c)
{
	switch (c) {
	case BH_REQUIRE_CAPABILITIES:
		put_capabilities(out, r);
		break;
	case BH_REQUIRE_MOUNTS:
		bh_buf_puts(out, "mounts: {");
		put_texts(out, "forbid", &r->mounts);
		bh_buf_puts(out, "}");
		break;
	case BH_REQUIRE_NAMESPACES:
		put_namespaces(out, r);
		break;
	case BH_REQUIRE_RESTART:
		put_restart(out, r);
		break;
	case BH_REQUIRE_IMAGE_REGISTRIES:
		put_texts(out, "registries", &r->registries);
		break;
	case BH_REQUIRE_IMAGE_PINNED:
		bh_buf_puts(out, "pinned: true");
		break;
	case BH_REQUIRE_IMAGE_MAX_AGE:
		bh_buf_puts(out, "max-age: ");
		bh_yaml_put_age(out, r->max_age);
		break;
	case BH_REQUIRE_IMAGE_SCANNED:
		put_scanned(out, &r->scanned);
		break;
	case BH_REQUIRE_IMAGE_VERIFIED:
		bh_buf_puts(out, "verified: true");
		break;
	case BH_REQUIRE_IMAGE_REGISTRY_TLS:
		bh_buf_puts(out, "registry-tls: true");
		break;
	default:
		bh_buf_printf(out, "%s: %s", conditions[c].name, conditions[c].word);
	}
}

void bh_yaml_put_require(struct bh_buf *out, const struct bh_require *r)
{
	const char *sep = "{";
	bool image = false;

	for (int c = 0; c < BH_REQUIRE_MAX; c++) {
		bool of_image = strncmp(conditions[c].name, "image.", 6) == 0;

		if (!bh_require_asks(r, (enum bh_condition)c))
			continue;
		bh_buf_puts(out, sep);
		if (of_image && !image)
			bh_buf_puts(out, "image: {");
		image = image || of_image;
		put_one(out, r, (enum bh_condition)c);
		sep = ", ";
	}
	bh_buf_puts(out, image ? "}}" : "}");
}
