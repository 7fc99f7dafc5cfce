/* SPDX-License-Identifier: Apache-2.0 */
/* What is there of our trees and redirects, as the kernel shows it. */
#include "observe.h"

#include <errno.h>
#include <linux/gen_stats.h>
#include <linux/rtnetlink.h>
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <string.h>

/* One kind of dump at a time: the header and attributes of a tc message. */
static struct nlattr **parse_tc(const struct nlmsghdr *h, int type, struct nlattr *tb[TCA_MAX + 1])
{
	if (h->nlmsg_type != type || h->nlmsg_len < NLMSG_LENGTH(sizeof(struct tcmsg)))
		return NULL;
	if (nlmsg_parse((struct nlmsghdr *)h, sizeof(struct tcmsg), tb, TCA_MAX, NULL) < 0)
		return NULL;
	return tb[TCA_KIND] ? tb : NULL;
}

int bh_tc_dump(struct bh_nl *n, int type, int ifindex, uint32_t parent, bh_nl_fn fn, void *arg)
{
	const struct tcmsg t = { .tcm_family = AF_UNSPEC, .tcm_ifindex = ifindex, .tcm_parent = parent };
	_cleanup_(bh_nl_msg_freep) struct nl_msg *m = bh_nl_msg(type, NLM_F_DUMP, &t, sizeof(t));

	return m ? bh_nl_ask(n, m, fn, arg) : -ENOMEM;
}

static int on_qdisc(const struct nlmsghdr *h, void *arg)
{
	struct bh_tc_qdiscs *q = arg;
	struct nlattr *attrs[TCA_MAX + 1], **tb = parse_tc(h, RTM_NEWQDISC, attrs), *init;
	const struct tcmsg *t = nlmsg_data(h);
	struct bh_tc_qdisc item = { 0 };

	if (!tb)
		return 0;
	item.ifindex = t->tcm_ifindex;
	item.parent = t->tcm_parent;
	item.handle = t->tcm_handle;
	nla_strlcpy(item.kind, tb[TCA_KIND], sizeof(item.kind));
	if (strcmp(item.kind, "htb") == 0 && tb[TCA_OPTIONS]) {
		init = nla_find(nla_data(tb[TCA_OPTIONS]), nla_len(tb[TCA_OPTIONS]), TCA_HTB_INIT);
		if (init && nla_len(init) >= (int)sizeof(struct tc_htb_glob))
			item.defcls = ((struct tc_htb_glob *)nla_data(init))->defcls;
	}
	return bh_vec_push(&q->q, item);
}

/* Of every device: parents below a class are seen too (NLM_F_DUMP of RTM_GETQDISC walks the hashed ones). */
int bh_tc_read_qdiscs(struct bh_nl *n, struct bh_tc_qdiscs *ret)
{
	ret->q.n = 0;
	return bh_tc_dump(n, RTM_GETQDISC, 0, 0, on_qdisc, ret);
}

const struct bh_tc_qdisc *bh_tc_qdisc_at(const struct bh_tc_qdiscs *q, int ifindex, uint32_t parent)
{
	bh_vec_foreach(i, &q->q)
		if (i->ifindex == ifindex && i->parent == parent)
			return i;
	return NULL;
}

static uint64_t rate_of(const struct tc_ratespec *spec, struct nlattr *wide)
{
	uint64_t bytes = spec->rate;

	if (wide && nla_len(wide) >= (int)sizeof(uint64_t))
		bytes = nla_get_u64(wide);
	return bytes * 8;
}

static void read_stats(struct nlattr *stats, struct bh_class *c)
{
	struct nlattr *tb[TCA_STATS_MAX + 1];

	if (!stats || nla_parse_nested(tb, TCA_STATS_MAX, stats, NULL) < 0)
		return;
	if (tb[TCA_STATS_BASIC] && nla_len(tb[TCA_STATS_BASIC]) >= (int)sizeof(struct gnet_stats_basic)) {
		struct gnet_stats_basic b;

		memcpy(&b, nla_data(tb[TCA_STATS_BASIC]), sizeof(b));
		c->bytes = b.bytes;
		c->packets = b.packets;
	}
	if (tb[TCA_STATS_PKT64] && nla_len(tb[TCA_STATS_PKT64]) >= (int)sizeof(uint64_t))
		memcpy(&c->packets, nla_data(tb[TCA_STATS_PKT64]), sizeof(c->packets));
	if (tb[TCA_STATS_QUEUE] && nla_len(tb[TCA_STATS_QUEUE]) >= (int)sizeof(struct gnet_stats_queue)) {
		struct gnet_stats_queue q;

		memcpy(&q, nla_data(tb[TCA_STATS_QUEUE]), sizeof(q));
		c->dropped = q.drops;
	}
}

/* A class of other bursts or another quantum than ours was edited by someone, and shows as one without rates, which is never
 * wanted. The quantum of a class with children is of no use, and stays what it was at first (htb_change_class()). */
static bool params_hold(const struct bh_class *c, const struct tc_htb_opt *opt)
{
	return opt->buffer == BH_TC_BURST && opt->cbuffer == BH_TC_BURST && (!c->leaf || opt->quantum == bh_tc_params(c).quantum);
}

static int on_class(const struct nlmsghdr *h, void *arg)
{
	struct bh_tc_tree *tree = arg;
	struct nlattr *attrs[TCA_MAX + 1], **tb = parse_tc(h, RTM_NEWTCLASS, attrs), *htb[TCA_HTB_MAX + 1];
	const struct tcmsg *t = nlmsg_data(h);
	struct bh_class c = { 0 };
	struct tc_htb_opt opt;

	if (!tb || nla_strcmp(tb[TCA_KIND], "htb") != 0 || TC_H_MAJ(t->tcm_handle) != BH_CLASS_ROOT || !tb[TCA_OPTIONS])
		return 0;
	if (nla_parse_nested(htb, TCA_HTB_MAX, tb[TCA_OPTIONS], NULL) < 0)
		return -EBADMSG;
	if (!htb[TCA_HTB_PARMS] || nla_len(htb[TCA_HTB_PARMS]) < (int)sizeof(opt))
		return 0;
	memcpy(&opt, nla_data(htb[TCA_HTB_PARMS]), sizeof(opt));
	c.id = t->tcm_handle;
	c.parent = t->tcm_parent == TC_H_ROOT ? BH_CLASS_ROOT : t->tcm_parent;
	c.rate_bps = rate_of(&opt.rate, htb[TCA_HTB_RATE64]);
	c.ceil_bps = rate_of(&opt.ceil, htb[TCA_HTB_CEIL64]);
	c.leaf = bh_tc_queue_is_ours(tree, &c);
	if (!params_hold(&c, &opt))
		c.rate_bps = c.ceil_bps = 0;
	read_stats(tb[TCA_STATS2], &c);
	return bh_vec_push(&tree->shape->classes[tree->direction], c);
}

/* The queue that this program would put there, by handle and kind. Which kinds the kernel has is learnt when the first
 * is made; until then each of them will do. */
bool bh_tc_queue_is_ours(const struct bh_tc_tree *tree, const struct bh_class *c)
{
	const struct bh_tc_qdisc *q = bh_tc_qdisc_at(tree->qdiscs, tree->ifindex, c->id);

	if (!q || q->handle != bh_tc_leaf_handle(c->id))
		return false;
	if (strcmp(q->kind, "tbf") == 0)
		return tree->kinds->tbf != BH_NO;
	if (tree->kinds->tbf == BH_YES)
		return false;
	if (strcmp(q->kind, "fq_codel") == 0)
		return tree->kinds->fq_codel != BH_NO;
	return strcmp(q->kind, "bfifo") == 0 && tree->kinds->fq_codel != BH_YES;
}

static int read_tree(struct bh_nl *n, struct bh_tc_tree *tree)
{
	const struct bh_tc_qdisc *root = bh_tc_qdisc_at(tree->qdiscs, tree->ifindex, TC_H_ROOT);

	if (!root || root->handle != BH_CLASS_ROOT || strcmp(root->kind, "htb") != 0 ||
		root->defcls != (BH_CLASS_DEFAULT & 0xffff))
		return 0;
	tree->shape->present[tree->direction] = true;
	return bh_tc_dump(n, RTM_GETTCLASS, tree->ifindex, 0, on_class, tree);
}

struct redirect {
	int target;		/* the bh-ingress that should be named, 0: there is none */
	uint32_t seen;		/* 0, BH_REDIRECTED, BH_REDIRECT_STALE */
	size_t others;		/* filters that are not ours */
	bool own_clsact;
};

static int mirred_target(struct nlattr *options)
{
	struct nlattr *acts = nla_find(nla_data(options), nla_len(options), TCA_U32_ACT), *act, *opt, *parms;
	struct tc_mirred m;

	act = acts ? nla_find(nla_data(acts), nla_len(acts), 1) : NULL;
	opt = act ? nla_find(nla_data(act), nla_len(act), TCA_ACT_OPTIONS) : NULL;
	parms = opt ? nla_find(nla_data(opt), nla_len(opt), TCA_MIRRED_PARMS) : NULL;
	if (!parms || nla_len(parms) < (int)sizeof(m))
		return -1;
	memcpy(&m, nla_data(parms), sizeof(m));
	return m.eaction == TCA_EGRESS_REDIR ? (int)m.ifindex : -1;
}

static int on_filter(const struct nlmsghdr *h, void *arg)
{
	struct redirect *r = arg;
	struct nlattr *attrs[TCA_MAX + 1], **tb = parse_tc(h, RTM_NEWTFILTER, attrs);
	const struct tcmsg *t = nlmsg_data(h);
	uint16_t prio = (uint16_t)(TC_H_MAJ(t->tcm_info) >> 16);

	if (!tb)
		return 0;
	if ((prio != BH_TC_PRIO && prio != BH_TC_PRIO_OWN_CLSACT) || t->tcm_parent != BH_TC_EGRESS ||
		nla_strcmp(tb[TCA_KIND], "u32") != 0) {
		r->others++;
		return 0;
	}
	r->own_clsact |= prio == BH_TC_PRIO_OWN_CLSACT;
	/* u32 shows the filter and its hash table apart; only what has an action redirects. */
	if (!tb[TCA_OPTIONS] || !nla_find(nla_data(tb[TCA_OPTIONS]), nla_len(tb[TCA_OPTIONS]), TCA_U32_ACT))
		return 0;
	r->seen = mirred_target(tb[TCA_OPTIONS]) == r->target && r->target && r->seen == 0 ? BH_REDIRECTED :
		BH_REDIRECT_STALE;
	return 0;
}

int bh_tc_read_filters(struct bh_nl *n, int ifindex, int target, uint32_t *ret_seen, struct bh_tc_filters *ret)
{
	struct redirect r = { .target = target };
	int e = bh_tc_dump(n, RTM_GETTFILTER, ifindex, BH_TC_EGRESS, on_filter, &r);

	if (e == 0 && ret)
		e = bh_tc_dump(n, RTM_GETTFILTER, ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS), on_filter, &r);
	if (e < 0)
		return e;
	*ret_seen = r.seen;
	if (ret)
		*ret = (struct bh_tc_filters){ .others = r.others, .own_clsact = r.own_clsact };
	return 0;
}

static int read_ports(struct bh_nl *n, const struct bh_tc_qdiscs *q, int target, struct bh_shape *s)
{
	_cleanup_(bh_host_freep) struct bh_host *names = NULL;

	bh_vec_foreach(i, &q->q) {
		struct bh_shaped_port p = { .ifindex = i->ifindex };
		const struct bh_link *l;
		int e;

		if (strcmp(i->kind, "clsact") != 0)
			continue;
		e = bh_tc_read_filters(n, i->ifindex, target, &p.class_id[BH_INGRESS], NULL);
		if (e == -ENODEV || e == -EINVAL || e == -ENOENT)
			continue;	/* gone meanwhile */
		if (e < 0)
			return e;
		if (!p.class_id[BH_INGRESS])
			continue;
		if (!names && (e = bh_tc_read_links(n, &names)) < 0)
			return e;
		l = bh_host_link(names, i->ifindex);
		if (!l)
			continue;
		memcpy(p.name, l->name, sizeof(p.name));
		if (bh_vec_push(&s->ports, p) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int read_once(struct bh_nl *n, const struct bh_tc_kinds *kinds, struct bh_tc_qdiscs *q, struct bh_shape *s)
{
	struct bh_tc_ifb_state ifb[BH_DIRECTION_MAX];
	int e = bh_tc_read_qdiscs(n, q);

	for (int d = 0; e == 0 && d < BH_DIRECTION_MAX; d++) {
		e = bh_tc_ifb_get(n, bh_tc_ifb[d], &ifb[d]);
		if (e == 0 && ifb[d].ifindex && ifb[d].ours && ifb[d].up) {
			struct bh_tc_tree tree = {
				.direction = d, .ifindex = ifb[d].ifindex, .qdiscs = q, .kinds = kinds, .shape = s,
			};

			e = read_tree(n, &tree);
		}
	}
	if (e < 0)
		return e;
	return read_ports(n, q, ifb[BH_INGRESS].ours ? ifb[BH_INGRESS].ifindex : 0, s);
}

int bh_tc_read_shape(struct bh_nl *n, const struct bh_tc_kinds *kinds, struct bh_shape **ret, struct bh_error *err)
{
	struct bh_tc_qdiscs q = { 0 };
	struct bh_shape *s = NULL;
	int e = -EINTR;

	for (int i = 0; i < BH_NL_DUMP_TRIES && (e == -EINTR || e == -ENODEV); i++) {
		bh_shape_free(s);
		s = calloc(1, sizeof(*s));
		e = s ? read_once(n, kinds, &q, s) : -ENOMEM;
	}
	bh_vec_clear(&q.q);
	if (e < 0) {
		bh_shape_free(s);
		return bh_fail(err, e == -EINTR ? -EAGAIN : e, "cannot read traffic control: %s", strerror(-e));
	}
	bh_shape_sort(s);
	*ret = s;
	return 0;
}
