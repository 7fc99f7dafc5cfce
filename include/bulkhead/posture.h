/* SPDX-License-Identifier: Apache-2.0 */
/* How a container is hardened, as its runtime configured it: facts, no judgement. Plain data without a pointer into anything else.
 * Every string in it was written by a stranger: bounded by the decoder, never printed raw. */
#ifndef BULKHEAD_POSTURE_H
#define BULKHEAD_POSTURE_H

#include <bulkhead/mem.h>

#include <stdint.h>

/* Capabilities as a set: 1 << CAP_X of linux/capability.h. A name that this program does not know is BH_CAP_STRANGE, which nothing allows. */
typedef uint64_t bh_caps;
#define BH_CAP_STRANGE ((bh_caps)1 << 63)
#define BH_CAPS_MAX 41
#define BH_CAPS_ALL (((bh_caps)1 << BH_CAPS_MAX) - 1)
/* "NET_ADMIN" or "CAP_NET_ADMIN", any case: its number, or -1. */
int bh_cap_number(const char *name);
const char *bh_cap_name(int number);		/* "NET_ADMIN"; NULL beyond those that are known */

enum bh_confined {
	BH_CONFINED_NOT,		/* unconfined, or the host has no such thing, or nobody told */
	BH_CONFINED_DEFAULT,		/* the runtime's own profile */
	BH_CONFINED_CUSTOM,
};

enum bh_namespace {
	BH_NAMESPACE_PID,
	BH_NAMESPACE_IPC,
	BH_NAMESPACE_NET,
	BH_NAMESPACE_UTS,
	BH_NAMESPACE_CGROUP,
	BH_NAMESPACE_USER,
	BH_NAMESPACE_MAX,
};
const char *bh_namespace_name(enum bh_namespace n);	/* "pid", … */

enum bh_isolation {
	BH_ISOLATION_PRIVATE,
	BH_ISOLATION_HOST,
	BH_ISOLATION_SHARED,		/* another container's */
};

enum bh_restart {
	BH_RESTART_NO,
	BH_RESTART_ON_FAILURE,
	BH_RESTART_UNLESS_STOPPED,
	BH_RESTART_ALWAYS,
	BH_RESTART_MAX,			/* another one */
};
const char *bh_restart_name(enum bh_restart r);		/* "no", …; "other" */

/* Something of this host's that is mounted in it. */
struct bh_mount {
	char *source;			/* an absolute path, without "//", "." and ".."; symbolic links stand as they were given */
	bool writable;
	bool socket;			/* it is, or is a folder above, the socket that this runtime is asked by */
};

/* What the runtime tells of the image, apart from the container. */
struct bh_image_facts {
	bool known;
	int64_t created;		/* seconds since 1970; 0: the image does not say */
	struct bh_strv digests;		/* RepoDigests, as the runtime writes them: "repository@sha256:…"; sorted */
};

struct bh_posture {
	bool known;			/* false: nothing below but `image` says anything */
	bool privileged;
	bool no_new_privileges;
	bool read_only_root;
	bool root;			/* its first process has user 0 inside of it, or a name, which the image may give that number */
	char *user;			/* as configured; NULL: none, which is root */
	bh_caps caps;			/* the bounding set that results */
	enum bh_confined seccomp;
	enum bh_confined apparmor;
	enum bh_confined selinux;
	char *apparmor_profile;		/* NULL: none, or the runtime's own */
	char *selinux_label;		/* NULL: none */
	enum bh_isolation namespaces[BH_NAMESPACE_MAX];
	uint64_t memory;		/* bytes; 0: no limit, as for the next two */
	uint64_t cpus;			/* thousandths of one */
	uint64_t pids;
	enum bh_restart restart;
	BH_VEC(struct bh_mount) mounts;	/* by source, each once */
	struct bh_strv devices;		/* paths on the host; "gpu" and "rule" for requests and rules without one; sorted */
	bool unmasked;			/* the kernel's files in its /proc and /sys stand open */
	char *reference;		/* the image as it was asked for */
	struct bh_image_facts image;
};

/* Whether PATH is INNER or a folder above it; both absolute and clean. */
bool bh_path_holds(const char *path, const char *inner);
/* The mount by which it has a runtime's socket (Docker's, containerd's, Podman's, CRI-O's), or NULL. */
const struct bh_mount *bh_posture_socket(const struct bh_posture *p);

void bh_image_facts_clear(struct bh_image_facts *i);
void bh_posture_clear(struct bh_posture *p);		/* frees what it owns and zeroes it */
/* Deep copies into an empty (zeroed) destination. 0 or -ENOMEM with DST empty. */
int bh_image_facts_copy(struct bh_image_facts *dst, const struct bh_image_facts *src);
int bh_posture_copy(struct bh_posture *dst, const struct bh_posture *src);
bool bh_posture_equal(const struct bh_posture *a, const struct bh_posture *b);
uint64_t bh_posture_sum(uint64_t sum, const struct bh_posture *p);	/* of all that bh_posture_equal() looks at: see sum.h */

#endif
