/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of src/tc share. */
#ifndef BULKHEAD_TC_PRIV_H
#define BULKHEAD_TC_PRIV_H

#include <bulkhead/tc.h>

#include "nl.h"

/* Which queues this kernel has: learnt when the first one is made, so that no throw-away device is needed. */
enum bh_known {
	BH_UNKNOWN,
	BH_YES,
	BH_NO,
};
struct bh_tc_kinds {
	enum bh_known tbf;
	enum bh_known fq_codel;
};

/* The door on the real kernel. */
struct bh_tc_kernel {
	struct bh_tc tc;	/* first */
	struct bh_nl nl;
	struct bh_tc_kinds kinds;
};

/* links.c: everything, and links alone without peers. The second returns -errno, -EINTR for "repeat". */
int bh_tc_read_host(struct bh_nl *n, struct bh_host **ret, struct bh_error *err);
int bh_tc_read_links(struct bh_nl *n, struct bh_host **ret);
/* See refresh in struct bh_tc_ops. */
int bh_tc_refresh_host(struct bh_nl *n, struct bh_host *host, const int *links, size_t n_links, bool addrs, struct bh_error *err);
/* The nsid of a process, see bh_tc_nsid_of_pid(). */
int bh_tc_read_nsid(struct bh_nl *n, pid_t pid);

/* bridge.c */
int bh_tc_set_bridge_calls(struct bh_nl *n, const char *bridge, bool ip, bool ip6, struct bh_error *err);
int bh_tc_set_bridge_learns(struct bh_nl *n, const char *bridge, bool groups, struct bh_error *err);

/* route.c: see route in struct bh_tc_ops. */
int bh_tc_read_route(struct bh_nl *n, const struct bh_addr *to);

/* stats.c: see bytes in struct bh_tc_ops. */
int bh_tc_read_bytes(struct bh_nl *n, bh_tc_bytes_fn fn, void *userdata, struct bh_error *err);

/* observe.c */
int bh_tc_read_shape(struct bh_nl *n, const struct bh_tc_kinds *kinds, struct bh_shape **ret, struct bh_error *err);

/* apply.c */
int bh_tc_write_shape(struct bh_tc_kernel *k, const struct bh_shape *wanted, const struct bh_shape *seen,
	struct bh_error *err);

#endif
