/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BULKHEAD_DAEMON_CONFINED_H
#define BULKHEAD_DAEMON_CONFINED_H

#include "log.h"
#include "options.h"

#include <bulkhead/error.h>

/* Gives up all that the daemon does not need from here on: every capability but CAP_NET_ADMIN, writing anywhere but beside its sockets, its lock,
 * its state and its access log (ACCESS_LOG, or NULL), and the system calls that it does not make. Before there is a thread, for
 * each gives up for itself, and before anybody outside is listened to. 0; -errno with ERR. */
int bh_daemon_confine(const struct bh_options *o, const char *access_log, const struct bh_log *log, struct bh_error *err);

#endif
