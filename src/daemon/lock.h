/* SPDX-License-Identifier: Apache-2.0 */
/* One daemon a network namespace: a lock that its process holds, on a file named after the namespace. A record lock
 * (fcntl(2)) rather than an abstract socket: any process of the namespace, also in a container on the host's network,
 * could take the socket's name first and keep the daemon from starting. */
#ifndef BULKHEAD_DAEMON_LOCK_H
#define BULKHEAD_DAEMON_LOCK_H

#include <bulkhead/error.h>
#include <stdbool.h>
#include <sys/types.h>

#define BH_LOCK_DIR "/run/bulkhead"

struct bh_lock {
	int fd;			/* -1: not held */
	char path[64];
};

/* Takes the lock for this process's network namespace in DIR (made if missing). 0; -EBUSY with the holder's pid in *RET_HOLDER (0 when the
 * kernel does not show it here) and told in ERR; -errno. */
int bh_lock_take(const char *dir, struct bh_lock *ret, pid_t *ret_holder, struct bh_error *err);

/* A teardown's mark beside the lock, whoever holds that: the daemon that it ends, or that is started meanwhile, then lets go of the socket
 * that owns the tables (kept.h). 0 or -errno. */
int bh_lock_mark(const char *dir, bool on);
bool bh_lock_is_marked(const char *dir);

/* Lets go. REMOVE: the file goes too. */
void bh_lock_release(struct bh_lock *l, bool remove);

#endif
