/* SPDX-License-Identifier: Apache-2.0 */
/* From what is seen to what is wanted. What is new is made before anything is sent to it (trees, zones, containers,
 * redirects) and what goes is removed in the opposite order, so that at no step a packet is sent to a device that is not
 * there, and a packet whose class has gone meets the bounded default class. */
#include "observe.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DEPTH 2		/* of a container's class: host, zone, container */
#define SPARE_ROOT 0xbc0000u

/* One apply(): what failed first is told at the end, the rest is done all the same. */
struct applying {
	struct bh_tc_kernel *k;
	struct bh_nl *nl;
	const struct bh_shape *wanted, *seen;
	int ifindex[BH_DIRECTION_MAX];
	bool fresh[BH_DIRECTION_MAX];	/* the tree has been made anew: nothing of what was seen is left in it */
	int failed;
	struct bh_error *err;
};

static void note(struct applying *a, int r, const char *what, const char *name)
{
	if (r >= 0)
		return;
	if (a->failed == 0)
		a->failed = bh_fail(a->err, r, "cannot %s %s: %s%s%s", what, name, strerror(-r), a->nl->extack[0] ? ": " : "",
			a->nl->extack);
}

static void note_class(struct applying *a, int r, const char *what, enum bh_direction d, uint32_t id)
{
	char name[64];

	snprintf(name, sizeof(name), "class %" PRIx32 ":%" PRIx32 " of %s", id >> 16, id & 0xffff, bh_tc_ifb[d]);
	note(a, r, what, name);
}

/* An empty tree in place of the root with handle NOW (0: none). The kernel puts one root in place of another in one step only where their handles
 * differ, hence two; each is closed until it has classes, so that nothing passes uncapped on the way. Who died between the two left the first. */
static int new_root(struct applying *a, int ifindex, uint32_t now)
{
	int r = now == SPARE_ROOT ? 0 : bh_tc_root_set(a->nl, ifindex, SPARE_ROOT);

	return r < 0 ? r : bh_tc_root_set(a->nl, ifindex, BH_CLASS_ROOT);
}

/* The IFB, up, with our HTB as its root; whatever else hangs there goes, the device being ours. */
static int make_tree(struct applying *a, enum bh_direction d)
{
	struct bh_tc_ifb_state s;
	const struct bh_tc_qdisc *root;
	struct bh_tc_qdiscs q = { 0 };
	int r;

	r = bh_tc_ifb_get(a->nl, bh_tc_ifb[d], &s);
	if (r == 0 && s.ifindex && !s.ours)
		return bh_fail(a->err, -EEXIST, "there is a link %s that bulkhead did not make", bh_tc_ifb[d]);
	if (r == 0 && (!s.ifindex || s.half_made)) {
		r = bh_tc_ifb_add(a->nl, bh_tc_ifb[d], s.half_made);
		if (r == 0)
			r = bh_tc_ifb_get(a->nl, bh_tc_ifb[d], &s);
	}
	if (r == 0 && !s.up)
		r = bh_tc_link_up(a->nl, s.ifindex);
	if (r == 0)
		r = bh_tc_read_qdiscs(a->nl, &q);
	if (r < 0)
		goto out;
	root = bh_tc_qdisc_at(&q, s.ifindex, TC_H_ROOT);
	if (!root || root->handle != BH_CLASS_ROOT || strcmp(root->kind, "htb") != 0 ||
		root->defcls != (BH_CLASS_DEFAULT & 0xffff))
		r = new_root(a, s.ifindex, root ? root->handle : 0);
	a->ifindex[d] = s.ifindex;
out:
	bh_vec_clear(&q.q);
	return r;
}

static int find_tree(struct applying *a, enum bh_direction d)
{
	struct bh_tc_ifb_state s;
	int r = bh_tc_ifb_get(a->nl, bh_tc_ifb[d], &s);

	if (r < 0)
		return r;
	a->ifindex[d] = s.ours ? s.ifindex : 0;
	return 0;
}

/* Some kind of queue that this kernel has, the best first. A kind that it lacks answers -ENOENT. */
static int plain_queue(struct applying *a, int ifindex, uint32_t parent, uint32_t handle, const struct bh_tc_params *p)
{
	int r;

	if (a->k->kinds.fq_codel != BH_NO) {
		r = bh_tc_queue_fq_codel(a->nl, ifindex, parent, handle, p);
		if (r != -ENOENT)
			return a->k->kinds.fq_codel = BH_YES, r;
		a->k->kinds.fq_codel = BH_NO;
	}
	return bh_tc_queue_bfifo(a->nl, ifindex, parent, handle, p);
}

static int try_queue(struct applying *a, int ifindex, const struct bh_class *c)
{
	const struct bh_tc_params p = bh_tc_params(c);
	uint32_t handle = bh_tc_leaf_handle(c->id);
	int r;

	if (a->k->kinds.tbf == BH_NO)
		return plain_queue(a, ifindex, c->id, handle, &p);
	r = bh_tc_queue_tbf(a->nl, ifindex, c->id, handle, &p);
	if (r == -ENOENT) {
		a->k->kinds.tbf = BH_NO;
		return plain_queue(a, ifindex, c->id, handle, &p);
	}
	a->k->kinds.tbf = BH_YES;
	/* The splitter has a queue of bytes of its own; a fair one takes its place where there is one, and is changed in its place
	 * when it is there (its handle not being asked for, __tc_modify_qdisc() in net/sched/sch_api.c). */
	if (r == 0 && a->k->kinds.fq_codel != BH_NO) {
		r = bh_tc_queue_fq_codel(a->nl, ifindex, handle | 1, 0, &p);
		a->k->kinds.fq_codel = r == -ENOENT ? BH_NO : BH_YES;
		if (r == -ENOENT)
			r = 0;
	}
	return r;
}

/* A queue of another kind at this handle, from other rates or other hands, is not replaced by the kernel: it must go
 * first. The class's own short queue serves meanwhile. */
static int make_queue(struct applying *a, int ifindex, const struct bh_class *c)
{
	int r = try_queue(a, ifindex, c);

	if (r != -EINVAL)
		return r;
	(void)bh_tc_queue_del(a->nl, ifindex, c->id, bh_tc_leaf_handle(c->id));	/* the second try tells */
	return try_queue(a, ifindex, c);
}

static bool same_queue(const struct bh_class *old, const struct bh_class *c)
{
	const struct bh_tc_params p = bh_tc_params(old), q = bh_tc_params(c);

	return p.segment == q.segment && p.limit == q.limit && p.target_us == q.target_us;
}

static void set_class(struct applying *a, enum bh_direction d, const struct bh_class *c)
{
	const struct bh_class *old = a->seen->present[d] && !a->fresh[d] ? bh_shape_class(a->seen, d, c->id) : NULL;
	int r;

	if (old && bh_class_equal(old, c))
		return;
	/* HTB cannot move a class; its packets take the default class meanwhile. (A class that has children stays in its place, see
	 * begin_again().) */
	if (old && old->parent != c->parent) {
		r = bh_tc_class_del(a->nl, a->ifindex[d], c->id);
		if (r < 0 && r != -ENOENT)
			return note_class(a, r, "move", d, c->id);
		old = NULL;
	}
	r = bh_tc_class_set(a->nl, a->ifindex[d], c);
	if (r < 0)
		return note_class(a, r, "set", d, c->id);
	if (c->leaf && !(old && old->leaf && same_queue(old, c)))
		note_class(a, make_queue(a, a->ifindex[d], c), "give a queue to", d, c->id);
}

/* How many classes are above C: the host's and maybe a zone's. */
static int depth(const struct bh_shape *s, enum bh_direction d, const struct bh_class *c)
{
	int n = 0;

	for (; c && c->parent != BH_CLASS_ROOT && n < DEPTH; n++)
		c = bh_shape_class(s, d, c->parent);
	return n;
}

/* A class with children cannot move, nor go before them: another version laid the tree out otherwise. With their root all of
 * them go, and what is sent meanwhile is dropped. */
static int begin_again(struct applying *a, enum bh_direction d)
{
	bool moves = false;
	int r;

	bh_vec_foreach(c, &a->wanted->classes[d]) {
		const struct bh_class *old = bh_shape_class(a->seen, d, c->id);

		moves |= old && !c->leaf && old->parent != c->parent;
	}
	if (!moves)
		return 0;
	r = new_root(a, a->ifindex[d], BH_CLASS_ROOT);
	a->fresh[d] = r == 0;
	return r;
}

static void set_classes(struct applying *a, enum bh_direction d)
{
	for (int level = 0; level <= DEPTH; level++)
		bh_vec_foreach(c, &a->wanted->classes[d])
			if (depth(a->wanted, d, c) == level)
				set_class(a, d, c);
}

static void del_classes(struct applying *a, enum bh_direction d)
{
	for (int level = DEPTH; level >= 0; level--)
		bh_vec_foreach(c, &a->seen->classes[d]) {
			int r;

			if (depth(a->seen, d, c) != level || bh_shape_class(a->wanted, d, c->id))
				continue;
			r = bh_tc_class_del(a->nl, a->ifindex[d], c->id);
			if (r != -ENOENT)
				note_class(a, r, "remove", d, c->id);
		}
}

/* -ENODEV: the veth went with its container, and that is all right. Everything else of ours at this place is replaced. */
static void add_port(struct applying *a, const struct bh_shaped_port *p, bool stale)
{
	int ifindex = p->ifindex, r;
	uint16_t prio = BH_TC_PRIO;

	r = bh_tc_clsact_add(a->nl, ifindex);
	if (r == 0) {
		prio = BH_TC_PRIO_OWN_CLSACT;
	} else if (stale) {
		uint32_t seen;
		struct bh_tc_filters f;

		if (bh_tc_read_filters(a->nl, ifindex, a->ifindex[BH_INGRESS], &seen, &f) == 0 && f.own_clsact)
			prio = BH_TC_PRIO_OWN_CLSACT;
		(void)bh_tc_redirect_del(a->nl, ifindex, BH_TC_PRIO);
		(void)bh_tc_redirect_del(a->nl, ifindex, BH_TC_PRIO_OWN_CLSACT);
	}
	/* -EEXIST is told by the filter, if it cannot hang there: an `ingress` qdisc of others has no egress side. */
	if (r < 0 && r != -EEXIST && r != -ENODEV)
		return note(a, r, "add clsact to", p->name);
	if (r == -ENODEV)
		return;
	r = bh_tc_redirect_add(a->nl, ifindex, prio, a->ifindex[BH_INGRESS]);
	if (r != -ENODEV)
		note(a, r, "redirect what goes out of", p->name);
}

/* The clsact goes when we made it and nothing of others hangs there now. */
static void del_port(struct applying *a, const struct bh_shaped_port *p)
{
	struct bh_tc_filters f;
	uint32_t seen;
	int r;

	r = bh_tc_read_filters(a->nl, p->ifindex, 0, &seen, &f);
	if (r == 0 && f.own_clsact && f.others == 0)
		r = bh_tc_clsact_del(a->nl, p->ifindex);
	else if (r == 0)
		r = bh_tc_redirect_del(a->nl, p->ifindex, f.own_clsact ? BH_TC_PRIO_OWN_CLSACT : BH_TC_PRIO);
	if (r != -ENODEV && r != -ENOENT && r != -EINVAL)
		note(a, r, "take the redirection from", p->name);
}

static void set_ports(struct applying *a)
{
	bh_vec_foreach(p, &a->wanted->ports) {
		const struct bh_shaped_port *old = bh_shape_port(a->seen, p->ifindex);

		if (p->class_id[BH_INGRESS] == BH_REDIRECT_STALE)	/* of a union; it goes with the next step */
			continue;
		if (p->class_id[BH_INGRESS] && (!old || old->class_id[BH_INGRESS] == 0 ||
			old->class_id[BH_INGRESS] == BH_REDIRECT_STALE))
			add_port(a, p, old && old->class_id[BH_INGRESS]);
	}
	bh_vec_foreach(p, &a->seen->ports) {
		const struct bh_shaped_port *now = bh_shape_port(a->wanted, p->ifindex);

		if (p->class_id[BH_INGRESS] && (!now || !now->class_id[BH_INGRESS]))
			del_port(a, p);
	}
}

static void remove_tree(struct applying *a, enum bh_direction d)
{
	int r;

	if (!a->ifindex[d])
		return;
	r = bh_tc_link_del(a->nl, a->ifindex[d]);
	if (r != -ENODEV)
		note(a, r, "remove", bh_tc_ifb[d]);
}

int bh_tc_write_shape(struct bh_tc_kernel *k, const struct bh_shape *wanted, const struct bh_shape *seen,
	struct bh_error *err)
{
	struct applying a = { .k = k, .nl = &k->nl, .wanted = wanted, .seen = seen, .err = err };

	if (bh_shape_equal(wanted, seen) && (wanted->present[BH_EGRESS] || wanted->present[BH_INGRESS]))
		return 0;
	for (int d = 0; d < BH_DIRECTION_MAX; d++) {
		int r;

		r = wanted->present[d] && !seen->present[d] ? make_tree(&a, d) : find_tree(&a, d);
		if (r == 0 && wanted->present[d] && seen->present[d])
			r = begin_again(&a, d);
		if (r < 0) {
			note(&a, r, "set up", bh_tc_ifb[d]);
			return a.failed;	/* nothing is sent to a tree that is not there */
		}
		if (wanted->present[d])
			set_classes(&a, d);
	}
	if (a.failed)
		return a.failed;
	set_ports(&a);
	for (int d = 0; d < BH_DIRECTION_MAX; d++) {
		if (!wanted->present[d])
			remove_tree(&a, d);
		else if (seen->present[d] && !a.fresh[d])
			del_classes(&a, d);
	}
	return a.failed;
}
