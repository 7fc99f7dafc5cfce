/* SPDX-License-Identifier: Apache-2.0 */
/* What a class or queue of ours is made of, and the messages that make, change and remove our kernel objects
 * (tc(8), tc-htb(8), tc-tbf(8); include/uapi/linux/pkt_sched.h). */
#ifndef BULKHEAD_TC_QDISC_H
#define BULKHEAD_TC_QDISC_H

#include "priv.h"

#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/tc_act/tc_mirred.h>

#define BH_TC_ALIAS "bulkhead"		/* marks a link as made by us */
#define BH_TC_EGRESS TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS)
/* The filter comes last, so that filters of others still see what it redirects (which on its way back from the IFB is not
 * classified again). The second number also remembers, in the kernel, that the clsact was ours to make. */
#define BH_TC_PRIO 0xb000
#define BH_TC_PRIO_OWN_CLSACT 0xb001

extern const char *const bh_tc_ifb[BH_DIRECTION_MAX];

/* What HTB may make up for when the processor came late, in scheduler ticks: 20 ms of any rate. With 2 ms a host with ten
 * runnable tasks a core lost up to a quarter of 100 Mbit/s. It is as much of the first second, whatever the rate; and it need not
 * be a whole packet, because HTB sends as soon as there is no debt, and then goes into debt (htb_class_mode() in
 * net/sched/sch_htb.c). */
#define BH_TC_BURST 312500u

/* Numbers derived from a class's rates. */
struct bh_tc_params {
	uint32_t quantum;
	bool segment;		/* split GSO packets before they queue */
	uint32_t limit;		/* bytes that a queue of split packets holds */
	uint32_t target_us;	/* of fq_codel */
};
struct bh_tc_params bh_tc_params(const struct bh_class *c);

/* An IFB of ours. */
struct bh_tc_ifb_state {
	int ifindex;		/* 0: there is none */
	bool ours;		/* kind and alias are right, or it is half made */
	bool half_made;		/* by us, and without its alias */
	bool up;
};
int bh_tc_ifb_get(struct bh_nl *n, const char *name, struct bh_tc_ifb_state *ret);
int bh_tc_ifb_add(struct bh_nl *n, const char *name, bool half_made);	/* made, unless it is HALF_MADE; marked as ours, not yet up */
int bh_tc_link_up(struct bh_nl *n, int ifindex);
int bh_tc_link_del(struct bh_nl *n, int ifindex);

/* All return 0 or the kernel's -errno. HTB with BH_CLASS_DEFAULT as root, which is closed: what no class takes is dropped. */
int bh_tc_root_set(struct bh_nl *n, int ifindex, uint32_t handle);	/* in place of a root of another handle, in one step */
int bh_tc_class_set(struct bh_nl *n, int ifindex, const struct bh_class *c);	/* adds or changes in place */
int bh_tc_class_del(struct bh_nl *n, int ifindex, uint32_t id);
/* The queue of a leaf, in its kinds. HANDLE 0 lets the kernel number it. */
int bh_tc_queue_tbf(struct bh_nl *n, int ifindex, uint32_t parent, uint32_t handle, const struct bh_tc_params *p);
int bh_tc_queue_fq_codel(struct bh_nl *n, int ifindex, uint32_t parent, uint32_t handle, const struct bh_tc_params *p);
int bh_tc_queue_bfifo(struct bh_nl *n, int ifindex, uint32_t parent, uint32_t handle, const struct bh_tc_params *p);
int bh_tc_queue_del(struct bh_nl *n, int ifindex, uint32_t parent, uint32_t handle);
int bh_tc_clsact_add(struct bh_nl *n, int ifindex);	/* -EEXIST: there is one */
int bh_tc_clsact_del(struct bh_nl *n, int ifindex);
/* Everything that goes out of IFINDEX to TARGET instead. */
int bh_tc_redirect_add(struct bh_nl *n, int ifindex, uint16_t prio, int target);
int bh_tc_redirect_del(struct bh_nl *n, int ifindex, uint16_t prio);

/* The handle of a leaf's queue: the class's minor as major. */
static inline uint32_t bh_tc_leaf_handle(uint32_t class_id)
{
	return class_id << 16;
}

#endif
