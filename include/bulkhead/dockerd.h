/* SPDX-License-Identifier: Apache-2.0 */
/* How a Docker daemon is set: what it says of itself, and what it was told by its command line and its configuration file. Filled by
 * src/runtime, judged by src/core. */
#ifndef BULKHEAD_DOCKERD_H
#define BULKHEAD_DOCKERD_H

#include <bulkhead/mem.h>

#include <errno.h>

/* A setting by the name that daemon.json gives it; one that is a list occurs several times. */
struct bh_dockerd_option {
	char *name, *value;		/* "true" and "false" for switches; "KEY=VALUE" for members of an object */
};

struct bh_dockerd {
	int answer_err;			/* of the API: 0 answered; else -errno, and `reason` says why */
	char *reason;			/* or NULL */
	bool podman;			/* answers Docker's API, has no daemon */
	char *version;			/* "20.10.24+dfsg1" */
	char *api_version;		/* "1.41" */
	char *storage_driver, *logging_driver, *root_dir;
	struct bh_strv security_options;	/* "name=seccomp,profile=default" */
	struct bh_strv authorization;	/* plugins */
	struct bh_strv insecure;	/* registries, by name or prefix, 127.0.0.0/8 and ::1/128 apart */
	struct bh_strv warnings;	/* as `docker info` ends with */
	bool live_restore, experimental, debug, swarm;
	bool memory_limit, pids_limit, cpu_limit;
	bool icc_known, icc;		/* of the default bridge */

	int command_err;		/* of its command line: 0 read; -ESRCH who it is cannot be seen; else -errno */
	int file_err;			/* of its configuration file: 0 read; -ENOENT there is none; -EBADMSG no JSON; else -errno */
	char *file;			/* where that is */
	BH_VEC(struct bh_dockerd_option) options;
};

void bh_dockerd_clear(struct bh_dockerd *d);
/* Adds a setting. 0 or -ENOMEM. */
int bh_dockerd_add(struct bh_dockerd *d, const char *name, const char *value);
/* The first value of NAME, or NULL: not set. */
const char *bh_dockerd_value(const struct bh_dockerd *d, const char *name);
/* Whether all that it was told is known, so that what is not there is not set. */
static inline bool bh_dockerd_is_known(const struct bh_dockerd *d)
{
	return d->command_err == 0 && (d->file_err == 0 || d->file_err == -ENOENT);
}

#endif
