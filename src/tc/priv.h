/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of src/tc share. */
#ifndef BULKHEAD_TC_PRIV_H
#define BULKHEAD_TC_PRIV_H

#include <bulkhead/tc.h>

#include "nl.h"

/* The door on the real kernel. */
struct bh_tc_kernel {
	struct bh_tc tc;	/* first */
	struct bh_nl nl;
};

/* links.c */
int bh_tc_read_host(struct bh_nl *n, struct bh_host **ret, struct bh_error *err);
/* The nsid of a process, see bh_tc_nsid_of_pid(). */
int bh_tc_read_nsid(struct bh_nl *n, pid_t pid);

/* bridge.c */
int bh_tc_set_bridge_calls(struct bh_nl *n, const char *bridge, bool ip, bool ip6, struct bh_error *err);

#endif
