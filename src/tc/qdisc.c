/* SPDX-License-Identifier: Apache-2.0 */
#include "qdisc.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/rtnetlink.h>
#include <arpa/inet.h>
#include <string.h>

#define FRAME 1514u			/* an Ethernet frame of the usual MTU, without FCS */
#define GSO_MAX 65536u

struct bh_tc_params bh_tc_params(const struct bh_class *c)
{
	uint64_t bytes_15ms = c->ceil_bps / 8000 * 15;
	struct bh_tc_params p = {
		/* A GSO packet of 64 KiB is delay and jitter where it takes more than a millisecond, and from then on is split;
		 * where it is not, a queue's turn must be worth one, or whoever sends large packets gets more. */
		.segment = c->ceil_bps / 8 / 1000 < GSO_MAX,
	};

	p.quantum = p.segment ? 2 * FRAME : GSO_MAX;
	p.limit = bytes_15ms > 16u << 20 ? 16u << 20 : (uint32_t)bytes_15ms;
	/* TCP finds its pace in so many frames; with fewer than four it waits for its timers. */
	if (p.limit < 16 * FRAME)
		p.limit = 16 * FRAME;
	/* RFC 8289: the target is never less than what a packet or two take. */
	p.target_us = 5000;
	if (c->ceil_bps && 2ull * FRAME * 8 * 1000000 / c->ceil_bps > p.target_us) {
		uint64_t us = 2ull * FRAME * 8 * 1000000 / c->ceil_bps;

		p.target_us = us > 10000000 ? 10000000 : (uint32_t)us;
	}
	return p;
}

static struct nl_msg *tc_msg(int type, int flags, int ifindex, uint32_t parent, uint32_t handle, uint32_t info)
{
	const struct tcmsg t = {
		.tcm_family = AF_UNSPEC,
		.tcm_ifindex = ifindex,
		.tcm_parent = parent,
		.tcm_handle = handle,
		.tcm_info = info,
	};

	return bh_nl_msg(type, flags, &t, sizeof(t));
}

/* Sends a message whose last put failed only for lack of memory, and frees it. */
static int talk(struct bh_nl *n, struct nl_msg *m, bool complete)
{
	int r = m && complete ? bh_nl_talk(n, m) : -ENOMEM;

	bh_nl_msg_freep(&m);
	return r;
}

/* What matches no class would leave at once, which until the default class is there is everything: a queue of none drops it
 * (htb_enqueue() in net/sched/sch_htb.c). */
int bh_tc_root_set(struct bh_nl *n, int ifindex, uint32_t handle)
{
	const struct tc_htb_glob glob = { .version = 3, .rate2quantum = 10, .defcls = BH_CLASS_DEFAULT & 0xffff };
	struct nl_msg *m = tc_msg(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, ifindex, TC_H_ROOT, handle, 0);
	struct nlattr *opt;
	bool ok;

	ok = m && nla_put_string(m, TCA_KIND, "htb") == 0 && (opt = nla_nest_start(m, TCA_OPTIONS)) &&
		nla_put(m, TCA_HTB_INIT, sizeof(glob), &glob) == 0 && nla_put_u32(m, TCA_HTB_DIRECT_QLEN, 0) == 0 &&
		nla_nest_end(m, opt) == 0;
	return talk(n, m, ok);
}

/* Without a rate table: the kernel computes for itself when the link layer is named (net/sched/sch_htb.c). */
static void ratespec(struct tc_ratespec *spec, uint64_t bytes)
{
	spec->rate = bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)bytes;
	spec->linklayer = TC_LINKLAYER_ETHERNET;
}

int bh_tc_class_set(struct bh_nl *n, int ifindex, const struct bh_class *c)
{
	const struct bh_tc_params p = bh_tc_params(c);
	uint64_t rate = c->rate_bps / 8, ceil = c->ceil_bps / 8;
	struct tc_htb_opt opt = {
		.buffer = BH_TC_BURST,
		.cbuffer = BH_TC_BURST,
		.quantum = p.quantum,
	};
	struct nl_msg *m = tc_msg(RTM_NEWTCLASS, NLM_F_CREATE, ifindex, c->parent, c->id, 0);
	struct nlattr *nest;
	bool ok;

	ratespec(&opt.rate, rate);
	ratespec(&opt.ceil, ceil);
	ok = m && nla_put_string(m, TCA_KIND, "htb") == 0 && (nest = nla_nest_start(m, TCA_OPTIONS));
	if (ok && rate > UINT32_MAX)
		ok = nla_put_u64(m, TCA_HTB_RATE64, rate) == 0;
	if (ok && ceil > UINT32_MAX)
		ok = nla_put_u64(m, TCA_HTB_CEIL64, ceil) == 0;
	ok = ok && nla_put(m, TCA_HTB_PARMS, sizeof(opt), &opt) == 0 && nla_nest_end(m, nest) == 0;
	return talk(n, m, ok);
}

int bh_tc_class_del(struct bh_nl *n, int ifindex, uint32_t id)
{
	return talk(n, tc_msg(RTM_DELTCLASS, 0, ifindex, 0, id, 0), true);
}

/* A token bucket that never runs empty: all it does is to split GSO packets larger than its burst (tbf_segment() in
 * net/sched/sch_tbf.c), so that the class above shapes frames, and what is counted behind it are frames. At rates where none
 * need be split it stands there all the same: a queue of another kind could not take its place without losing what waits. */
int bh_tc_queue_tbf(struct bh_nl *n, int ifindex, uint32_t parent, uint32_t handle, const struct bh_tc_params *p)
{
	const uint64_t rate = 1000ull * 1000 * 1000 * 1000;	/* bytes a second */
	struct tc_tbf_qopt opt = { .limit = p->limit };
	struct nl_msg *m = tc_msg(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, ifindex, parent, handle, 0);
	struct nlattr *nest;
	bool ok;

	ratespec(&opt.rate, rate);
	ok = m && nla_put_string(m, TCA_KIND, "tbf") == 0 && (nest = nla_nest_start(m, TCA_OPTIONS)) &&
		nla_put(m, TCA_TBF_PARMS, sizeof(opt), &opt) == 0 && nla_put_u64(m, TCA_TBF_RATE64, rate) == 0 &&
		nla_put_u32(m, TCA_TBF_BURST, p->segment ? 2 * FRAME : 2 * GSO_MAX) == 0 && nla_nest_end(m, nest) == 0;
	return talk(n, m, ok);
}

int bh_tc_queue_fq_codel(struct bh_nl *n, int ifindex, uint32_t parent, uint32_t handle, const struct bh_tc_params *p)
{
	struct nl_msg *m = tc_msg(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, ifindex, parent, handle, 0);
	struct nlattr *nest;
	bool ok;

	ok = m && nla_put_string(m, TCA_KIND, "fq_codel") == 0 && (nest = nla_nest_start(m, TCA_OPTIONS)) &&
		nla_put_u32(m, TCA_FQ_CODEL_TARGET, p->target_us) == 0 && nla_nest_end(m, nest) == 0;
	return talk(n, m, ok);
}

int bh_tc_queue_bfifo(struct bh_nl *n, int ifindex, uint32_t parent, uint32_t handle, const struct bh_tc_params *p)
{
	/* Nothing splits here: what does not hold a GSO packet never lets one pass. */
	const struct tc_fifo_qopt opt = { .limit = p->limit < 3 * GSO_MAX ? 3 * GSO_MAX : p->limit };
	struct nl_msg *m = tc_msg(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, ifindex, parent, handle, 0);
	bool ok = m && nla_put_string(m, TCA_KIND, "bfifo") == 0 && nla_put(m, TCA_OPTIONS, sizeof(opt), &opt) == 0;

	return talk(n, m, ok);
}

int bh_tc_queue_del(struct bh_nl *n, int ifindex, uint32_t parent, uint32_t handle)
{
	return talk(n, tc_msg(RTM_DELQDISC, 0, ifindex, parent, handle, 0), true);
}

int bh_tc_clsact_add(struct bh_nl *n, int ifindex)
{
	struct nl_msg *m = tc_msg(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, ifindex, TC_H_CLSACT,
		TC_H_MAKE(TC_H_CLSACT, 0), 0);

	return talk(n, m, m && nla_put_string(m, TCA_KIND, "clsact") == 0);
}

int bh_tc_clsact_del(struct bh_nl *n, int ifindex)
{
	return talk(n, tc_msg(RTM_DELQDISC, 0, ifindex, TC_H_CLSACT, TC_H_MAKE(TC_H_CLSACT, 0), 0), true);
}

static bool put_mirred(struct nl_msg *m, int target)
{
	const struct tc_mirred parms = { .action = TC_ACT_STOLEN, .eaction = TCA_EGRESS_REDIR, .ifindex = (uint32_t)target };
	struct nlattr *acts, *act, *opt;

	return (acts = nla_nest_start(m, TCA_U32_ACT)) && (act = nla_nest_start(m, 1)) &&
		nla_put_string(m, TCA_ACT_KIND, "mirred") == 0 && (opt = nla_nest_start(m, TCA_ACT_OPTIONS)) &&
		nla_put(m, TCA_MIRRED_PARMS, sizeof(parms), &parms) == 0 && nla_nest_end(m, opt) == 0 &&
		nla_nest_end(m, act) == 0 && nla_nest_end(m, acts) == 0;
}

static struct nl_msg *filter_msg(int type, int flags, int ifindex, uint16_t prio)
{
	return tc_msg(type, flags, ifindex, BH_TC_EGRESS, 0, TC_H_MAKE((uint32_t)prio << 16, htons(ETH_P_ALL)));
}

int bh_tc_redirect_add(struct bh_nl *n, int ifindex, uint16_t prio, int target)
{
	struct {
		struct tc_u32_sel sel;
		struct tc_u32_key key;	/* mask 0, value 0: everything */
	} match = { .sel = { .flags = TC_U32_TERMINAL, .nkeys = 1 } };
	struct nl_msg *m = filter_msg(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, ifindex, prio);
	struct nlattr *opt;
	bool ok;

	ok = m && nla_put_string(m, TCA_KIND, "u32") == 0 && (opt = nla_nest_start(m, TCA_OPTIONS)) &&
		nla_put(m, TCA_U32_SEL, sizeof(match), &match) == 0 && put_mirred(m, target) && nla_nest_end(m, opt) == 0;
	return talk(n, m, ok);
}

int bh_tc_redirect_del(struct bh_nl *n, int ifindex, uint16_t prio)
{
	return talk(n, filter_msg(RTM_DELTFILTER, 0, ifindex, prio), true);
}
