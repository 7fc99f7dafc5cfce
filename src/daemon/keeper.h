/* SPDX-License-Identifier: Apache-2.0 */
/* The process that starts the others. It is made before the daemon opens anything, because the daemon itself may neither execute nor connect
 * once it works: it parses nothing, and does two things, when asked: it starts a program of ours, or opens a runtime's socket
 * for one. It ends with the daemon. */
#ifndef BULKHEAD_DAEMON_KEEPER_H
#define BULKHEAD_DAEMON_KEEPER_H

#include "options.h"

#include <bulkhead/error.h>

enum bh_role {
	BH_ROLE_RUNTIME,	/* bulkhead-runtime: follows one runtime */
	BH_ROLE_CONTROL,	/* bulkhead-control: reads requests from a socket */
	BH_ROLE_REPORTS,	/* bulkhead-reports: follows a directory of reports */
	BH_ROLE_MAX,
};

/* Starts it. *RET is the end to ask through. 0; -errno with ERR, when a program is missing. */
int bh_keeper_start(const struct bh_options *o, int *ret, struct bh_error *err);
/* A new process of ROLE, with the other end of what is returned as its descriptor 3; one that was there before is killed. The runtime is the
 * one at INDEX of the options, or INDEX is the enum bh_reports_kind of what is in DIR, else NULL; LISTEN_FD is what requests are accepted on, else -1.
 * A SOCK_SEQPACKET for reports, SOCK_STREAM for others. Does not wait: when it cannot be started the end is closed. -errno; -ENAMETOOLONG. */
int bh_keeper_spawn(int keeper, enum bh_role role, size_t index, const char *dir, int listen_fd);

#endif
