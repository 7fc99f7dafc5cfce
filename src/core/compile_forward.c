/* SPDX-License-Identifier: Apache-2.0 */
/* `forwards`: the source addresses beyond their own that the members of a zone may send from, and be reached at.
 *
 * They are what a member routes for, so they are never on a container network: who is there is asked by ARP or neighbour discovery, and
 * answers only for itself. Nor are they the host's, nor any that cannot be routed. What is left of two zones' prefixes on one
 * bridge is the longer one's, and nobody's where they are the same: the kernel's inet hooks see the bridge and the address, not the
 * port, and pins (by port) and zones (by bridge) must say the same. */
#include "compile_priv.h"
#include "spans.h"

#include <errno.h>
#include <string.h>

/* One bridge that a forwarding member is on. */
struct route {
	struct compiler *c;
	const char *bridge;
	struct spans *all;	/* of every bridge, for what no unknown port may send */
};

static const struct bh_zone *zone_of(const struct compiler *c, const struct bh_member *m)
{
	return bh_inst_zone(c->in->policy, &c->in->placement->insts.v[m->inst]);
}

static bool is_forwarder(const struct compiler *c, const struct bh_member *m)
{
	const struct bh_zone *z = zone_of(c, m);

	return z && z->kind == BH_ZONE_CONTAINERS && z->forwards.n > 0;
}

static bool is_there(const struct bh_member *m, const char *bridge)
{
	bh_vec_foreach(at, &m->attachments)
		if (bh_attachment_is_pinned(at) && strcmp(at->bridge, bridge) == 0)
			return true;
	return false;
}

/* Whose addresses nobody forwards. */
static int add_taken(const struct compiler *c, struct spans *s)
{
	int r = 0;

	for (size_t i = 0; bh_unforwardable[i].prefix && r == 0; i++)
		r = spans_add_text(s, &bh_unforwardable[i].prefix, 1, RANK_NETWORK, BH_ID_CONTAINER_NETWORK);
	if (r == 0)
		r = world_add_networks(c, s);
	if (r == 0)
		r = world_add_links(c, s);
	bh_vec_foreach(a, &c->in->host->addrs) {
		const struct bh_prefix own = {a->prefix.addr, a->prefix.addr.family == 4 ? 32 : 128};

		if (r == 0)
			r = spans_add(s, &own, RANK_NETWORK, BH_ID_CONTAINER_NETWORK);
	}
	return r;
}

/* The prefixes of every zone that has a member on BRIDGE, each once. */
static int add_forwards(const struct compiler *c, const char *bridge, struct spans *s)
{
	_cleanup_free_ bool *done = calloc(c->in->placement->insts.n + 1, sizeof(*done));

	if (!done)
		return -ENOMEM;
	bh_vec_foreach(m, &c->in->placement->members) {
		if (done[m->inst] || !is_forwarder(c, m) || !is_there(m, bridge))
			continue;
		done[m->inst] = true;
		bh_vec_foreach(p, &zone_of(c, m)->forwards)
			if (spans_add(s, p, RANK_ZONE, c->in->placement->insts.v[m->inst].id) < 0)
				return -ENOMEM;
	}
	return 0;
}

static int put_between(struct bh_table *t, const char *set, const char *dev, const struct span_range *r, uint32_t id)
{
	struct key first = {0}, last = {0};

	key_dev(&first, dev);
	last = first;
	key_addr(&first, &r->first);
	key_addr(&last, &r->last);
	return put_range(t, set, &first, &last, id);
}

/* The pins of one member, by port. */
static int pins_put(struct compiler *c, const struct bh_member *m, const char *bridge, const struct span_range *r)
{
	bh_vec_foreach(at, &m->attachments) {
		struct key port = {0};

		if (!bh_attachment_is_pinned(at) || strcmp(at->bridge, bridge) != 0)
			continue;
		key_dev(&port, at->port);
		if (put(c->bridge, "routers", &port) < 0 || put_between(c->bridge, r->first.family == 4 ? "via4" : "via6", at->port, r, 0) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* The zone by bridge, the pins by port. Of several members with a limit on connections, who of them opened one for somebody else
 * cannot be told: they share one's. */
static int range_put(void *userdata, const struct span_range *r)
{
	const struct route *route = userdata;
	struct compiler *c = route->c;
	bool four = r->first.family == 4;
	struct span *seen;
	uint32_t opener = 0;

	if (r->id == BH_ID_CONTAINER_NETWORK || r->id == BH_ID_LAN)
		return 0;
	if (put_between(c->inet, four ? "via4" : "via6", route->bridge, r, r->id) < 0)
		return -ENOMEM;
	seen = bh_vec_add(&route->all->v);
	if (!seen)
		return -ENOMEM;
	*seen = (struct span){.first = r->first, .last = r->last, .id = 1};
	bh_vec_foreach(m, &c->in->placement->members) {
		uint32_t n;

		if (c->in->placement->insts.v[m->inst].id != r->id || !is_there(m, route->bridge))
			continue;
		if (pins_put(c, m, route->bridge, r) < 0)
			return -ENOMEM;
		n = limits_number(c, m);
		opener = opener && opener < n ? opener : n;
	}
	return opener == 0 ? 0 : put_between(c->inet, four ? "opener_via4" : "opener_via6", route->bridge, r, opener);
}

static int bridge_compile(struct compiler *c, const char *bridge, struct spans *all)
{
	struct route route = {.c = c, .bridge = bridge, .all = all};
	struct spans s = {0};
	int r = add_taken(c, &s);

	if (r == 0)
		r = add_forwards(c, bridge, &s);
	if (r == 0)
		r = spans_flatten(&s, 4, range_put, &route);
	if (r == 0)
		r = spans_flatten(&s, 6, range_put, &route);
	bh_vec_clear(&s.v);
	return r;
}

static int forwarded_put(void *userdata, const struct span_range *r)
{
	struct compiler *c = userdata;

	return put_addrs(c->bridge, r->first.family == 4 ? "forwarded4" : "forwarded6", &r->first, &r->last, 0);
}

int forwards_compile(struct compiler *c)
{
	struct bh_strv bridges = {0};
	struct spans all = {0};
	int r = 0;

	bh_vec_foreach(m, &c->in->placement->members)
		bh_vec_foreach(at, &m->attachments) {
			if (r < 0 || !is_forwarder(c, m) || !bh_attachment_is_pinned(at) || bh_strv_has(&bridges, at->bridge))
				continue;
			r = bh_strv_push(&bridges, at->bridge);
			if (r == 0)
				r = bridge_compile(c, at->bridge, &all);
		}
	/* Without the bridge of a port, what is not known may not send what a member of any bridge forwards. */
	if (r == 0 && !c->in->features->bridge_ibrname)
		r = spans_flatten(&all, 4, forwarded_put, c);
	if (r == 0 && !c->in->features->bridge_ibrname)
		r = spans_flatten(&all, 6, forwarded_put, c);
	bh_strv_clear(&bridges);
	bh_vec_clear(&all.v);
	return r;
}
