/* SPDX-License-Identifier: Apache-2.0 */
/* The ways between two ends: which addresses packets bear, behind which interfaces, in both families. */
#include "explain.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#define WAYS_MAX 32

/* One place that an end can be at. Family 0: not known, or any. */
struct spot {
	struct bh_addr addr;
	const char *dev;		/* NULL: this host, or not known */
};
struct spots {
	BH_VEC(struct spot) v;
};

static int spot_add(struct spots *s, const struct bh_addr *a, const char *dev)
{
	struct spot one = {.addr = *a, .dev = dev};

	bh_vec_foreach(o, &s->v)
		if (bh_addr_cmp(&o->addr, a) == 0 && bh_streq(o->dev, dev))
			return 0;
	return bh_vec_push(&s->v, one);
}

static const char *bridge_of(const struct bh_member *m, const struct bh_endpoint *e)
{
	bh_vec_foreach(at, &m->attachments)
		if (at->endpoint == e)
			return at->bridge;
	return NULL;
}

static int container_spots(const struct explain_who *w, struct spots *s)
{
	if (!w->owner)
		return 0;
	bh_vec_foreach(e, &w->owner->container->endpoints)
		bh_vec_foreach(a, &e->addrs)
			if ((!w->addr.family || bh_addr_cmp(&w->addr, a) == 0) && spot_add(s, a, bridge_of(w->owner, e)) < 0)
				return -ENOMEM;
	return s->v.n == 0 && w->addr.family ? spot_add(s, &w->addr, w->owner->attachments.n ? w->owner->attachments.v[0].bridge : NULL) : 0;
}

/* The interface that this host sees an address behind. */
static const char *dev_of(const struct explain *x, const struct bh_addr *a)
{
	int ifindex = x->m->tc->ops->route(x->m->tc, a);
	const struct bh_link *l = ifindex > 0 && x->m->seen.host ? bh_host_link(x->m->seen.host, ifindex) : NULL;

	return l && l->kind != BH_LINK_LOOPBACK ? l->name : NULL;
}

static bool is_host(const struct explain *x, const struct explain_who *w)
{
	return w->party.inst != BH_NOBODY && x->round->placement->insts.v[w->party.inst].builtin == BH_BUILTIN_HOST;
}

/* How good an address of this host is to call it at from behind DEV: the one on DEV itself, then one that is no bridge's. */
static int host_rank(const struct explain *x, const struct bh_local_addr *a, const char *dev)
{
	const struct bh_link *l = bh_host_link(x->m->seen.host, a->ifindex);
	bool link_local = a->prefix.addr.family == 6 && a->prefix.addr.b[0] == 0xfe && (a->prefix.addr.b[1] & 0xc0) == 0x80;

	if (!l || l->kind == BH_LINK_LOOPBACK || link_local)
		return 0;
	return dev && strncmp(l->name, dev, BH_IFNAME) == 0 ? 3 : l->kind != BH_LINK_BRIDGE ? 2 : 1;
}

static int host_spots(const struct explain *x, const char *dev, struct spots *s)
{
	static const uint8_t families[] = {4, 6};

	for (size_t i = 0; i < BH_ARRAY_SIZE(families); i++) {
		const struct bh_local_addr *best = NULL;

		bh_vec_foreach(a, &x->m->seen.host->addrs)
			if (a->prefix.addr.family == families[i] && host_rank(x, a, dev) > (best ? host_rank(x, best, dev) : 0))
				best = a;
		if (best && spot_add(s, &best->prefix.addr, NULL) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* The addresses of this host that the port is published at alone. */
static int published_spots(const struct explain *x, struct spots *s)
{
	bh_vec_foreach(m, &x->round->placement->members)
		bh_vec_foreach(p, &m->container->published)
			if (p->proto == x->proto && p->host_port == x->port && !bh_addr_is_zero(&p->host) && spot_add(s, &p->host, NULL) < 0)
				return -ENOMEM;
	return 0;
}

static int spots_find(const struct explain *x, const struct explain_who *w, const char *peer_dev, bool called, struct spots *s)
{
	const struct bh_addr any = {0};
	int r;

	if (w->kind == EXPLAIN_ADDRESS)
		return spot_add(s, &w->addr, dev_of(x, &w->addr));
	if (is_host(x, w)) {
		r = host_spots(x, peer_dev, s);
		if (r == 0 && called)
			r = published_spots(x, s);
		return r == 0 && s->v.n == 0 ? spot_add(s, &any, NULL) : r;
	}
	return w->kind == EXPLAIN_CONTAINER ? container_spots(w, s) : spot_add(s, &any, NULL);
}

/* The address that FROM has for TO: of the family, on the same bridge where it is on it. */
static const struct spot *source_for(const struct spots *from, const struct spot *to)
{
	const struct spot *best = NULL;

	bh_vec_foreach(f, &from->v) {
		if (f->addr.family && to->addr.family && f->addr.family != to->addr.family)
			continue;
		if (!best || (f->dev && bh_streq(f->dev, to->dev) && !bh_streq(best->dev, to->dev)))
			best = f;
	}
	return best;
}

static int way_add(const struct explain *x, const struct explain_who *from, const struct explain_who *to, const struct spot *a, const struct spot *b,
	struct explain_ways *out)
{
	struct explain_way w = {.own = from->owner && from->owner == to->owner};
	uint8_t family = b->addr.family ? b->addr.family : a->addr.family;
	/* of a container its address decides: one whose port is not known is nobody to the rules */
	const bool by_name_a = !a->addr.family || is_host(x, from), by_name_b = !b->addr.family || is_host(x, to);

	w.q = (struct bh_question){.proto = x->proto == IPPROTO_ICMP && family == 6 ? IPPROTO_ICMPV6 : x->proto, .port = x->port, .from = a->addr, .to = b->addr,
		.from_dev = a->dev, .to_dev = b->dev};
	w.v = bh_judge_parties(x->judge, &w.q, by_name_a ? &from->party : NULL, by_name_b ? &to->party : NULL);
	return out->v.n < WAYS_MAX ? bh_vec_push(&out->v, w) : 0;
}

/* To each address that TO has; where it has none that is known, once from each family of FROM. */
static int ways_add(const struct explain *x, const struct explain_who *from, const struct explain_who *to, const struct spots *a, const struct spots *b,
	struct explain_ways *out)
{
	int r = 0;

	bh_vec_foreach(d, &b->v) {
		const struct spot *s = source_for(a, d);
		uint8_t first = s ? s->addr.family : 0;

		if (r == 0 && s)
			r = way_add(x, from, to, s, d, out);
		if (d->addr.family || !first)
			continue;
		bh_vec_foreach(other, &a->v)
			if (r == 0 && other->addr.family && other->addr.family != first) {
				r = way_add(x, from, to, other, d, out);
				break;
			}
	}
	return r;
}

int explain_ways_find(const struct explain *x, const struct explain_who *from, const struct explain_who *to, struct explain_ways *ret)
{
	struct spots a = {0}, b = {0};
	struct explain_ways out = {0};
	int r = 0;

	if (is_host(x, from)) {		/* its address depends on where it goes */
		r = spots_find(x, to, NULL, true, &b);
		if (r == 0)
			r = spots_find(x, from, b.v.n ? b.v.v[0].dev : NULL, false, &a);
	} else {
		r = spots_find(x, from, NULL, false, &a);
		if (r == 0)
			r = spots_find(x, to, a.v.n ? a.v.v[0].dev : NULL, true, &b);
	}
	if (r == 0)
		r = ways_add(x, from, to, &a, &b, &out);
	bh_vec_clear(&a.v);
	bh_vec_clear(&b.v);
	if (r < 0) {
		bh_vec_clear(&out.v);
		return r;
	}
	*ret = out;
	return 0;
}
