/* SPDX-License-Identifier: Apache-2.0 */
/* What a process of ours gives up for good, each for itself, once it has opened what it needs. Nothing is loosened later. */
#ifndef BULKHEAD_CONFINE_H
#define BULKHEAD_CONFINE_H

#include <bulkhead/error.h>

#include <stdbool.h>

/* Which system calls a process may make: src/confine/calls.c. */
enum bh_calls {
	BH_CALLS_ENFORCER,	/* files, netlink, unix sockets; executes nothing */
	BH_CALLS_KEEPER,	/* starts programs, connects to unix sockets */
	BH_CALLS_RUNTIME,	/* works with what it was given: opens, connects and signals nothing */
	BH_CALLS_CONTROL,	/* the same, and accepts */
	BH_CALLS_REPORTS,	/* the same as for a runtime, and opens files to read */
};

/* No privilege is gained by anything that is executed, and of capabilities CAP_NET_ADMIN stays, or none; the bounding set is cut to the same
 * where CAP_SETPCAP is there to do it. 0; -errno with ERR. */
int bh_confine_privileges(bool net_admin, struct bh_error *err);

/* Files are written, made and removed beneath the folders of WRITABLE alone (NULL ends it; a folder that is not there is passed over), and none
 * is executed; they are read beneath those of READABLE alone (NULL: everywhere; one that cannot be had is passed over). 0; 1 where the kernel has no Landlock (5.13, or switched off); -errno with ERR. */
int bh_confine_files(const char *const *writable, const char *const *readable, struct bh_error *err);

/* Other system calls than those of KIND fail with ENOSYS; those that only an attacker makes end the process. 0; 1 in a build with sanitizers
 * and under valgrind, which make calls of their own: nothing was done; -errno with ERR. */
int bh_confine_calls(enum bh_calls kind, struct bh_error *err);

#endif
