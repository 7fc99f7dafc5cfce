/* SPDX-License-Identifier: Apache-2.0 */
/* What this kernel can shape with, tried on a throw-away IFB that is never up. */
#include "qdisc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void try_queues(struct bh_nl *n, int ifindex, struct bh_features *f)
{
	const struct bh_class c = {
		.id = BH_CLASS_DEFAULT, .parent = BH_CLASS_ROOT, .rate_bps = 1000000, .ceil_bps = 1000000, .leaf = true,
	};
	const struct bh_tc_params p = bh_tc_params(&c);

	if (bh_tc_root_set(n, ifindex, BH_CLASS_ROOT) < 0 || bh_tc_class_set(n, ifindex, &c) < 0)
		return;
	f->htb = true;
	f->fq_codel = bh_tc_queue_fq_codel(n, ifindex, c.id, bh_tc_leaf_handle(c.id), &p) == 0;
}

int bh_tc_probe(struct bh_features *features, struct bh_error *err)
{
	struct bh_tc_ifb_state s = { 0 };
	struct bh_nl n;
	char name[BH_IFNAME];
	int r;

	features->ifb = features->htb = features->fq_codel = false;
	r = bh_nl_open(&n, err);
	if (r < 0)
		return r;
	/* pids are unique in their own namespace only; a name that is taken is no device of ours to touch. */
	for (unsigned i = 0; i < 16; i++) {
		snprintf(name, sizeof(name), "bhp%x-%x", (unsigned)getpid() & 0xffffff, i);
		r = bh_tc_ifb_add(&n, name, false);
		if (r != -EEXIST)
			break;
	}
	/* -EOPNOTSUPP: no such kind of link. */
	if (r == 0 && (r = bh_tc_ifb_get(&n, name, &s)) == 0 && s.ifindex) {
		features->ifb = true;
		try_queues(&n, s.ifindex, features);
		r = bh_tc_link_del(&n, s.ifindex);
	} else if (r == -EOPNOTSUPP) {
		r = 0;
	}
	bh_nl_close(&n);
	return r < 0 ? bh_fail(err, r, "cannot try an IFB: %s", strerror(-r)) : 0;
}
