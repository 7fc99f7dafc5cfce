/* SPDX-License-Identifier: Apache-2.0 */
/* `require`: how a container has to be hardened to be in a zone. Plain data, as an operator wrote it; src/core judges by it. */
#ifndef BULKHEAD_REQUIRE_H
#define BULKHEAD_REQUIRE_H

#include <bulkhead/buf.h>
#include <bulkhead/error.h>
#include <bulkhead/images.h>
#include <bulkhead/posture.h>

enum bh_condition {
	BH_REQUIRE_PRIVILEGED,
	BH_REQUIRE_USER,
	BH_REQUIRE_CAPABILITIES,
	BH_REQUIRE_SECCOMP,
	BH_REQUIRE_APPARMOR,
	BH_REQUIRE_SELINUX,
	BH_REQUIRE_NO_NEW_PRIVILEGES,
	BH_REQUIRE_READ_ONLY_ROOT,
	BH_REQUIRE_MEMORY_LIMIT,
	BH_REQUIRE_CPU_LIMIT,
	BH_REQUIRE_PIDS_LIMIT,
	BH_REQUIRE_MOUNTS,
	BH_REQUIRE_DEVICES,
	BH_REQUIRE_NAMESPACES,
	BH_REQUIRE_RESTART,
	BH_REQUIRE_IMAGE_REGISTRIES,
	BH_REQUIRE_IMAGE_PINNED,
	BH_REQUIRE_IMAGE_MAX_AGE,
	BH_REQUIRE_IMAGE_SCANNED,
	BH_REQUIRE_IMAGE_VERIFIED,
	BH_REQUIRE_IMAGE_REGISTRY_TLS,
	BH_REQUIRE_MAX,
};
/* "privileged", "image.max-age", …: as status names it. */
const char *bh_condition_name(enum bh_condition c);
/* The one value that it can have ("false", "non-root", "set", …), NULL for those that say more. */
const char *bh_condition_word(enum bh_condition c);

/* What `mounts: {forbid: …}` names besides paths. */
#define BH_MOUNT_SOCKET "docker.sock"		/* a container runtime's socket, or a folder above it */
#define BH_MOUNT_SENSITIVE "sensitive"		/* that, and what of a host gives power over it */

/* All namespaces but the user's, which Docker shares with the host unless the whole daemon is told otherwise. */
#define BH_NAMESPACES_PRIVATE ((1u << BH_NAMESPACE_USER) - 1)

struct bh_require {
	struct bh_loc loc;			/* of the key */
	struct bh_loc asked[BH_REQUIRE_MAX];	/* of each condition's key; line 0: not asked */
	bool caps_bound;			/* no other capability than those of caps_allow */
	bh_caps caps_allow, caps_forbid;
	unsigned namespaces;			/* 1 << enum bh_namespace: those that must not be the host's or another container's */
	unsigned restart;			/* 1 << enum bh_restart: those that are allowed */
	struct bh_strv mounts;			/* that are forbidden: BH_MOUNT_…, or absolute paths, perhaps with `*` and `?` */
	struct bh_strv registries;		/* globs of registry/repository */
	uint64_t max_age;			/* of the image, in seconds */
	struct bh_scanned scanned;
};

static inline bool bh_require_asks(const struct bh_require *r, enum bh_condition c)
{
	return r->asked[c].line > 0;
}

void bh_require_free(struct bh_require *r);
BH_DEFINE_FREEP(struct bh_require, bh_require_free)

/* Appends "{privileged: false, user: non-root}", which src/config reads back to the same. */
void bh_yaml_put_require(struct bh_buf *out, const struct bh_require *r);
/* Seconds, as a file writes them: "7d", "12h", "45s". */
void bh_yaml_put_age(struct bh_buf *out, uint64_t seconds);

#endif
