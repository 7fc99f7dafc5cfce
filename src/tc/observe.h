/* SPDX-License-Identifier: Apache-2.0 */
/* What observe reads and apply needs to look at again. */
#ifndef BULKHEAD_TC_OBSERVE_H
#define BULKHEAD_TC_OBSERVE_H

#include "qdisc.h"

struct bh_tc_qdisc {
	int ifindex;
	uint32_t parent, handle;
	uint32_t defcls;	/* of an HTB */
	char kind[16];
};

struct bh_tc_qdiscs {
	BH_VEC(struct bh_tc_qdisc) q;
};

/* One direction's tree while it is read. */
struct bh_tc_tree {
	enum bh_direction direction;
	int ifindex;
	const struct bh_tc_qdiscs *qdiscs;
	const struct bh_tc_kinds *kinds;
	struct bh_shape *shape;
};

/* What hangs on a clsact besides our redirect, and whether it was us who made it. */
struct bh_tc_filters {
	size_t others;
	bool own_clsact;
};

int bh_tc_dump(struct bh_nl *n, int type, int ifindex, uint32_t parent, bh_nl_fn fn, void *arg);
/* Every qdisc of this namespace, into RET (zeroed before the first use; the caller clears RET->q). */
int bh_tc_read_qdiscs(struct bh_nl *n, struct bh_tc_qdiscs *ret);
const struct bh_tc_qdisc *bh_tc_qdisc_at(const struct bh_tc_qdiscs *q, int ifindex, uint32_t parent);
bool bh_tc_queue_is_ours(const struct bh_tc_tree *tree, const struct bh_class *c);
/* RET_SEEN: 0, BH_REDIRECTED (to TARGET) or BH_REDIRECT_STALE. RET, when given, costs a second dump. */
int bh_tc_read_filters(struct bh_nl *n, int ifindex, int target, uint32_t *ret_seen, struct bh_tc_filters *ret);

#endif
