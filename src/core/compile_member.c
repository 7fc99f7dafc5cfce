/* SPDX-License-Identifier: Apache-2.0 */
/* The elements of endpoints: zone and drops in the inet table, pins and what is owned in the bridge table. */
#include "compile_priv.h"

#include <errno.h>
#include <string.h>

/* The sets that every endpoint is in, looked up once: of each pair IPv4's and IPv6's. NULL where this kernel's tables have none. */
struct member_sets {
	struct bh_set *zone_of[2], *drops[2];				/* inet */
	struct bh_set *pin[2], *pint[2], *owned[2];			/* bridge */
	struct bh_set *ports, *port_drops, *pinm, *owned_mac;
};

/* Valid until a set is added to either table. */
static struct member_sets sets_find(const struct compiler *c)
{
	return (struct member_sets){
		.zone_of = {bh_table_set(c->inet, "zone_of4"), bh_table_set(c->inet, "zone_of6")},
		.drops = {bh_table_set(c->inet, "drops4"), bh_table_set(c->inet, "drops6")},
		.pin = {bh_table_set(c->bridge, "pin4"), bh_table_set(c->bridge, "pin6")},
		.pint = {bh_table_set(c->bridge, "pin4t"), bh_table_set(c->bridge, "pin6t")},
		.owned = {bh_table_set(c->bridge, "owned4"), bh_table_set(c->bridge, "owned6")},
		.ports = bh_table_set(c->bridge, "ports"),
		.port_drops = bh_table_set(c->bridge, "drops"),
		.pinm = bh_table_set(c->bridge, "pinm"),
		.owned_mac = bh_table_set(c->bridge, "owned_mac"),
	};
}

static int in(struct bh_set *s, const struct key *k)
{
	return s && elem_in(s, k) ? 0 : -ENOMEM;
}

static int in_zone(struct bh_set *s, const struct key *k, uint32_t zone)
{
	struct bh_elem *e = s ? elem_in(s, k) : NULL;

	if (!e)
		return -ENOMEM;
	e->value = zone;
	return 0;
}

static int addr_put(const struct member_sets *s, const struct bh_attachment *at, const struct bh_addr *a, uint32_t zone)
{
	bool six = a->family != 4;
	struct key in_bridge = {0}, pin = {0}, target = {0};
	int r;

	key_dev(&in_bridge, at->bridge);
	key_addr(&in_bridge, a);
	key_dev(&pin, at->port);
	key_mac(&pin, &at->endpoint->mac);
	key_addr(&pin, a);
	key_dev(&target, at->port);
	key_addr(&target, a);
	r = in_zone(s->zone_of[six], &in_bridge, zone);
	if (r == 0)
		r = in(s->drops[six], &in_bridge);
	if (r == 0)
		r = in(s->pin[six], &pin);
	return r == 0 ? in(s->pint[six], &target) : r;
}

static int port_put(const struct member_sets *s, const struct bh_attachment *at)
{
	struct key port = {0}, pin = {0};
	int r;

	key_dev(&port, at->port);
	key_dev(&pin, at->port);
	key_mac(&pin, &at->endpoint->mac);
	r = in(s->ports, &port);
	if (r == 0)
		r = in(s->port_drops, &port);
	if (r == 0)
		r = in(s->pinm, &pin);
	return r;
}

/* What no unknown port may send from, on whatever bridge. */
static int owned_put(const struct member_sets *s, const struct bh_attachment *at)
{
	struct key mac = {0};
	struct bh_addr a;
	int r;

	key_mac(&mac, &at->endpoint->mac);
	r = in(s->owned_mac, &mac);
	for (size_t i = 0; r == 0 && bh_attachment_addr(at, i, &a); i++) {
		struct key k = {0};

		key_addr(&k, &a);
		r = in(s->owned[a.family != 4], &k);
	}
	return r;
}

/* The host reaches a published port at its own address by lo: DNAT has happened, the new route not yet. */
static int loopback_put(const struct member_sets *s, const struct bh_attachment *at, uint32_t zone)
{
	bh_vec_foreach(a, &at->endpoint->addrs) {
		struct key k = {0};

		key_dev(&k, "lo");
		key_addr(&k, a);
		if (in_zone(s->zone_of[a->family != 4], &k, zone) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* An endpoint whose port is not known stays unknown: it gets nothing. */
static int attachment_put(const struct compiler *c, const struct member_sets *s, const struct bh_member *m, const struct bh_attachment *at)
{
	uint32_t zone = c->in->placement->insts.v[m->inst].id;
	struct bh_addr a;
	int r;

	if (!bh_attachment_is_pinned(at))
		return 0;
	r = port_put(s, at);
	for (size_t i = 0; r == 0 && bh_attachment_addr(at, i, &a); i++)
		r = addr_put(s, at, &a, zone);
	if (r == 0 && !c->in->features->bridge_ibrname)
		r = owned_put(s, at);
	return r == 0 && m->container->published.n > 0 ? loopback_put(s, at, zone) : r;
}

int member_compile(struct compiler *c, const struct bh_member *m)
{
	const struct member_sets s = sets_find(c);

	bh_vec_foreach(at, &m->attachments) {
		int r = attachment_put(c, &s, m, at);

		if (r < 0)
			return r;
	}
	return 0;
}

int members_compile(struct compiler *c)
{
	const struct member_sets s = sets_find(c);

	bh_vec_foreach(m, &c->in->placement->members)
		bh_vec_foreach(at, &m->attachments) {
			int r = attachment_put(c, &s, m, at);

			if (r < 0)
				return r;
		}
	return 0;
}

/* The sets that endpoints are in, and, where the bridge table does not know a port's bridge, those that they share with gateways. */
static const struct {
	enum bh_family family;
	const char *name;
	bool without_ibrname;
} member_set[] = {
	{BH_FAMILY_INET, "zone_of4", false}, {BH_FAMILY_INET, "zone_of6", false}, {BH_FAMILY_INET, "drops4", false},
	{BH_FAMILY_INET, "drops6", false}, {BH_FAMILY_BRIDGE, "ports", false}, {BH_FAMILY_BRIDGE, "drops", false},
	{BH_FAMILY_BRIDGE, "pinm", false}, {BH_FAMILY_BRIDGE, "pin4", false}, {BH_FAMILY_BRIDGE, "pin6", false},
	{BH_FAMILY_BRIDGE, "pin4t", false}, {BH_FAMILY_BRIDGE, "pin6t", false}, {BH_FAMILY_BRIDGE, "owned_mac", true}, {BH_FAMILY_BRIDGE, "owned4", true},
	{BH_FAMILY_BRIDGE, "owned6", true},
};

/* The I-th of them in R. *RET is NULL where this kernel has none; false when it is missing. */
static bool member_set_at(const struct bh_ruleset *r, size_t i, const struct bh_features *f, struct bh_set **ret)
{
	bool wanted = !member_set[i].without_ibrname || !f->bridge_ibrname;

	*ret = wanted ? bh_table_set(&r->tables[member_set[i].family], member_set[i].name) : NULL;
	return !wanted || *ret;
}

static void member_sets_finish(struct bh_ruleset *r, const struct bh_features *f)
{
	struct bh_set *s;

	for (size_t i = 0; i < BH_ARRAY_SIZE(member_set); i++)
		if (member_set_at(r, i, f, &s) && s)
			set_finish(s);
}

/* What of ALL, sorted, MEMBERS does not have. */
static void set_subtract(struct bh_set *all, const struct bh_set *members)
{
	size_t n = 0;

	for (size_t i = 0; i < all->elems.n; i++)
		if (!bh_set_find(members, all->elems.v[i].key))
			all->elems.v[n++] = all->elems.v[i];
	all->elems.n = n;
	bh_vec_fit(&all->elems);	/* it had room for all members, and is kept */
}

static bool is_member_of(const struct bh_set *four, const struct bh_set *six, const struct bh_addr *a)
{
	struct key k = {0};

	key_addr(&k, a);
	return bh_set_find(a->family == 4 ? four : six, k.b);
}

/* Whether an element of a gateway may be a member's too, and could not be told from it. */
static bool gateway_is_member(const struct bh_compile_input *in, const struct bh_set *four, const struct bh_set *six)
{
	bh_vec_foreach(n, &in->inventory->networks)
		bh_vec_foreach(a, &n->gateways)
			if (is_member_of(four, six, a))
				return true;
	bh_vec_foreach(a, &in->host->addrs)
		if (is_member_of(four, six, &a->prefix.addr))
			return true;
	return false;
}

/* Leaves of the sets that are shared what is not of members. */
static int owned_strip(const struct bh_compile_input *in, struct bh_ruleset *r)
{
	struct bh_table *bridge = &r->tables[BH_FAMILY_BRIDGE];
	struct bh_set *sets[] = {bh_table_set(bridge, "owned_mac"), bh_table_set(bridge, "owned4"), bh_table_set(bridge, "owned6")};
	struct bh_set own[BH_ARRAY_SIZE(sets)];
	struct member_sets s = {.owned_mac = &own[0], .owned = {&own[1], &own[2]}};
	int e = 0;

	for (size_t i = 0; i < BH_ARRAY_SIZE(sets); i++) {
		own[i] = *sets[i];
		memset(&own[i].elems, 0, sizeof(own[i].elems));
	}
	bh_vec_foreach(m, &in->placement->members)
		bh_vec_foreach(at, &m->attachments)
			if (e == 0 && bh_attachment_is_pinned(at))
				e = owned_put(&s, at);
	for (size_t i = 0; i < BH_ARRAY_SIZE(sets); i++)
		set_finish(&own[i]);
	if (e == 0 && gateway_is_member(in, &own[1], &own[2]))
		e = -EEXIST;
	for (size_t i = 0; i < BH_ARRAY_SIZE(sets); i++) {
		if (e == 0)
			set_subtract(sets[i], &own[i]);
		bh_vec_clear(&own[i].elems);
	}
	return e;
}

int bh_members_strip(const struct bh_compile_input *in, struct bh_ruleset *r)
{
	struct bh_set *s;
	int e;

	for (size_t i = 0; i < BH_ARRAY_SIZE(member_set); i++)
		if (!member_set_at(r, i, in->features, &s))
			return -ENOENT;
	e = in->features->bridge_ibrname ? 0 : owned_strip(in, r);
	for (size_t i = 0; e == 0 && i < BH_ARRAY_SIZE(member_set); i++)
		if (!member_set[i].without_ibrname)
			bh_vec_clear(&bh_table_set(&r->tables[member_set[i].family], member_set[i].name)->elems);
	return e;
}

int bh_members_fill(const struct bh_compile_input *in, struct bh_ruleset *r)
{
	struct compiler c = {.in = in, .out = r, .inet = &r->tables[BH_FAMILY_INET], .bridge = &r->tables[BH_FAMILY_BRIDGE]};
	int e = members_compile(&c);

	member_sets_finish(r, in->features);
	return e;
}

int members_frame(const struct bh_ruleset *of, const struct bh_features *f, struct bh_ruleset *ret)
{
	for (size_t i = 0; i < BH_ARRAY_SIZE(member_set); i++) {
		const struct bh_table *t = &of->tables[member_set[i].family];
		struct bh_table *mine = &ret->tables[member_set[i].family];
		struct bh_set *s, *copy;

		if (!member_set_at(of, i, f, &s))
			return -ENOENT;
		if (!s)
			continue;
		copy = bh_vec_add(&mine->sets);
		if (!copy || bh_set_copy(copy, s) < 0)
			return -ENOMEM;
		mine->present = t->present;
		mine->flags = t->flags;
	}
	return 0;
}
