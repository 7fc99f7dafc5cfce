/* SPDX-License-Identifier: Apache-2.0 */
/* Caps to classes and ports. The rules that classify: shape_rules.c. */
#include "compile_priv.h"

#include <errno.h>
#include <string.h>

/* Minors of zones are the low half of their ids; those of containers come after, by the number of their first port:
 * nothing is remembered, nothing moves when others come and go, and a restart finds the same. */
#define FIRST_CONTAINER 0x4000u
#define CONTAINERS 0x8000u
/* Who has no guarantee is promised nothing, so that all there is to share is shared evenly; HTB wants a rate all the same. The
 * promises of 4,096 classes make up what is above them. */
#define PROMISE 4096


/* What the host's class has, and what is promised out of it. */
struct share {
	uint64_t capacity;	/* 0: nothing to be short of */
	uint64_t promised;
	bool counted[FIRST_CONTAINER];	/* by zone: promised holds what it promises */
	bool made[FIRST_CONTAINER];	/* by zone: it has its class */
};

struct compiling {
	const struct bh_compile_input *in;
	struct bh_shape *shape;
	bool taken[CONTAINERS];
	uint32_t members[FIRST_CONTAINER];	/* shaped ones, by zone */
	struct share share[BH_DIRECTION_MAX];
	struct bh_error *err;
};

/* One member that is to be shaped. */
struct shaped {
	const struct bh_member *member;
	const struct bh_zone *zone;
	uint32_t zone_id;
	int first_port;		/* lowest ifindex */
};

/* The kernel counts bytes: whole ones, and at least one a second. */
static uint64_t whole_bytes(uint64_t bps)
{
	return bps < 8 ? 8 : bps & ~(uint64_t)7;
}

static bool any_cap(const struct bh_zone *z, enum bh_direction d)
{
	return bh_rate(&z->container_rates, d) || bh_rate(&z->zone_rates, d);
}

static int by_first_port(const void *a, const void *b)
{
	const struct shaped *x = a, *y = b;

	return (x->first_port > y->first_port) - (x->first_port < y->first_port);
}

static int add_class(struct compiling *c, enum bh_direction d, const struct bh_class *class)
{
	return bh_vec_push(&c->shape->classes[d], *class) < 0 ? bh_fail(c->err, -ENOMEM, "no memory") : 0;
}

/* A zone's promise is its own guarantee, or what its containers are guaranteed when that is more; never beyond its cap. */
static uint64_t zone_promise(const struct compiling *c, const struct shaped *s, enum bh_direction d)
{
	uint64_t cap = bh_rate(&s->zone->zone_rates, d), own = bh_rate(&s->zone->zone_guarantees, d), all;

	if (__builtin_mul_overflow(bh_rate(&s->zone->container_guarantees, d), (uint64_t)c->members[s->zone_id], &all))
		all = UINT64_MAX;
	if (cap && all > cap)
		all = cap;
	return all > own ? all : own;
}

/* Promises that together are more than there is are cut in proportion: HTB would keep them, and break the cap above. */
static uint64_t cut(uint64_t promise, uint64_t have, uint64_t promised)
{
	return promised > have ? (uint64_t)((double)promise * ((double)have / (double)promised)) : promise;
}

/* The smaller of two caps, of which 0 is none. */
static uint64_t lower(uint64_t a, uint64_t b)
{
	return !a || (b && b < a) ? b : a;
}

/* A zone's class is there even if only its containers have caps, so that they need not move when it gets one (HTB cannot).
 * Where nothing is short, a cap is its own promise, and nobody has to borrow. */
static struct bh_class zone_class(const struct compiling *c, const struct shaped *s, enum bh_direction d)
{
	const struct share *share = &c->share[d];
	struct bh_class k = { .id = BH_CLASS_ROOT | s->zone_id, .parent = BH_CLASS_HOST };
	uint64_t cap = lower(bh_rate(&s->zone->zone_rates, d), share->capacity), promise;

	k.ceil_bps = cap ? whole_bytes(cap) : BH_HOST_BPS;
	k.rate_bps = k.ceil_bps;
	if (share->capacity) {
		promise = cut(zone_promise(c, s, d), share->capacity, share->promised);
		k.rate_bps = whole_bytes(promise ? promise : cap / PROMISE);
	}
	return k;
}

/* The leaf of one member in one direction, and its zone's class. */
static int add_member(struct compiling *c, const struct shaped *s, enum bh_direction d, uint32_t id)
{
	const struct bh_class zone = zone_class(c, s, d);
	uint64_t promise = bh_rate(&s->zone->container_guarantees, d);
	struct bh_class leaf = { .id = id, .parent = zone.id, .leaf = true };

	leaf.ceil_bps = whole_bytes(lower(bh_rate(&s->zone->container_rates, d), zone.ceil_bps));
	leaf.rate_bps = leaf.ceil_bps;
	if (zone.ceil_bps < BH_HOST_BPS) {
		if (promise > zone.rate_bps / c->members[s->zone_id])
			promise = zone.rate_bps / c->members[s->zone_id];
		leaf.rate_bps = whole_bytes(promise ? promise : zone.rate_bps / PROMISE);
	}
	if (!c->share[d].made[s->zone_id]) {
		int r = add_class(c, d, &zone);

		if (r < 0)
			return r;
		c->share[d].made[s->zone_id] = true;
	}
	return add_class(c, d, &leaf);
}

/* The slot of the first port's number, or the next free one: who was there first (and has the lower number) keeps it. */
static int take_minor(struct compiling *c, const struct shaped *s, uint32_t *ret)
{
	for (uint32_t i = 0; i < CONTAINERS; i++) {
		uint32_t slot = ((uint32_t)s->first_port + i) % CONTAINERS;

		if (c->taken[slot])
			continue;
		c->taken[slot] = true;
		*ret = BH_CLASS_ROOT | (FIRST_CONTAINER + slot);
		return 0;
	}
	return bh_fail(c->err, -ENOSPC, "more than %u containers with caps", CONTAINERS);
}

static int add_ports(struct compiling *c, const struct shaped *s, uint32_t id)
{
	bh_vec_foreach(a, &s->member->attachments) {
		struct bh_shaped_port *p;

		if (!a->port_ifindex || !a->port[0])
			continue;
		p = bh_vec_add(&c->shape->ports);
		if (!p)
			return bh_fail(c->err, -ENOMEM, "no memory");
		p->ifindex = a->port_ifindex;
		memcpy(p->name, a->port, sizeof(p->name));
		p->exempt = s->zone->exempt.n ? (size_t)(s->zone - c->in->policy->zones.v) + 1 : 0;
		for (int d = 0; d < BH_DIRECTION_MAX; d++)
			if (c->shape->present[d] && any_cap(s->zone, d))
				p->class_id[d] = id;
	}
	return 0;
}

static int add_shaped(struct compiling *c, const struct shaped *s)
{
	uint32_t id = 0;
	int r = take_minor(c, s, &id);

	if (r < 0)
		return r;
	for (int d = 0; d < BH_DIRECTION_MAX; d++)
		if (c->shape->present[d] && any_cap(s->zone, d) && (r = add_member(c, s, d, id)) < 0)
			return r;
	return add_ports(c, s, id);
}

static int first_port(const struct bh_member *m)
{
	int first = 0;

	bh_vec_foreach(a, &m->attachments)
		if (a->port_ifindex && a->port[0] && (!first || a->port_ifindex < first))
			first = a->port_ifindex;
	return first;
}

typedef BH_VEC(struct shaped) shaped_vec;

/* Whose zone has a cap, and whose port is known. */
static int collect(struct compiling *c, shaped_vec *ret)
{
	const struct bh_placement *pl = c->in->placement;

	bh_vec_foreach(m, &pl->members) {
		const struct bh_zone_inst *inst = &pl->insts.v[m->inst];
		struct shaped s = { .member = m, .first_port = first_port(m) };

		if (inst->zone < 0 || m->shares_netns || !s.first_port)
			continue;
		s.zone = &c->in->policy->zones.v[inst->zone];
		s.zone_id = inst->id - BH_ID_ZONE;
		if (!any_cap(s.zone, BH_EGRESS) && !any_cap(s.zone, BH_INGRESS))
			continue;
		if (s.zone_id == 0 || s.zone_id >= FIRST_CONTAINER)
			return bh_fail(c->err, -ENOSPC, "more than %u zones, zone %s cannot be limited", FIRST_CONTAINER - 1,
				inst->name);
		if (bh_vec_push(ret, s) < 0)
			return bh_fail(c->err, -ENOMEM, "no memory");
	}
	if (ret->n)
		qsort(ret->v, ret->n, sizeof(*ret->v), by_first_port);
	return 0;
}

/* How many share a zone, and what all promises make. */
static void sum_up(struct compiling *c, const shaped_vec *all)
{
	bh_vec_foreach(s, all)
		c->members[s->zone_id]++;
	for (int d = 0; d < BH_DIRECTION_MAX; d++) {
		struct share *share = &c->share[d];

		share->capacity = bh_rate(&c->in->policy->host_rates, d);
		bh_vec_foreach(s, all) {
			uint64_t promise = share->counted[s->zone_id] ? 0 : zone_promise(c, s, d);

			share->counted[s->zone_id] = true;
			if (__builtin_add_overflow(share->promised, promise, &share->promised))
				share->promised = UINT64_MAX;
		}
	}
}

static int add_host(struct compiling *c, enum bh_direction d)
{
	uint64_t bps = c->share[d].capacity ? whole_bytes(c->share[d].capacity) : BH_HOST_BPS;
	const struct bh_class k = { .id = BH_CLASS_HOST, .parent = BH_CLASS_ROOT, .rate_bps = bps, .ceil_bps = bps };

	return add_class(c, d, &k);
}

static int add_exempt(struct compiling *c)
{
	const struct bh_class k = {
		.id = BH_CLASS_EXEMPT, .parent = BH_CLASS_ROOT, .rate_bps = BH_HOST_BPS, .ceil_bps = BH_HOST_BPS, .leaf = true,
	};

	return shape_has_exempt(c->shape, BH_INGRESS) ? add_class(c, BH_INGRESS, &k) : 0;
}

/* What nothing classifies is held by the lowest cap of its tree. */
static int add_default(struct compiling *c, enum bh_direction d)
{
	struct bh_class k = { .id = BH_CLASS_DEFAULT, .parent = BH_CLASS_ROOT, .leaf = true };

	bh_vec_foreach(i, &c->shape->classes[d])
		if (!k.ceil_bps || i->ceil_bps < k.ceil_bps)
			k.ceil_bps = i->ceil_bps;
	k.rate_bps = k.ceil_bps;
	return add_class(c, d, &k);
}

static int make_shape(struct compiling *c)
{
	const struct bh_features *f = c->in->features;
	shaped_vec all = { 0 };
	int r = collect(c, &all);

	bh_vec_foreach(s, &all)
		for (int d = 0; d < BH_DIRECTION_MAX; d++)
			if (any_cap(s->zone, d)) {
				c->shape->present[d] = f->ifb && f->htb;
				c->shape->missing[d] = !c->shape->present[d];
			}
	sum_up(c, &all);
	for (int d = 0; r == 0 && d < BH_DIRECTION_MAX; d++)
		if (c->shape->present[d])
			r = add_host(c, d);
	bh_vec_foreach(s, &all)
		if (r == 0 && (c->shape->present[BH_EGRESS] || c->shape->present[BH_INGRESS]))
			r = add_shaped(c, s);
	bh_vec_clear(&all);
	for (int d = 0; r == 0 && d < BH_DIRECTION_MAX; d++)
		if (c->shape->present[d])
			r = add_default(c, d);
	if (r == 0)
		r = add_exempt(c);
	bh_shape_sort(c->shape);
	return r;
}

int bh_compile_shape(const struct bh_compile_input *in, struct bh_ruleset *ruleset, struct bh_shape **ret,
	struct bh_error *err)
{
	_cleanup_(bh_shape_freep) struct bh_shape *shape = calloc(1, sizeof(*shape));
	_cleanup_free_ struct compiling *c = calloc(1, sizeof(*c));
	int r = 0;

	if (!shape || !c)
		return bh_fail(err, -ENOMEM, "no memory");
	*c = (struct compiling){ .in = in, .shape = shape, .err = err };
	if (in->policy->mode != BH_MODE_AUDIT)
		r = make_shape(c);
	if (r == 0 && shape_rules(in, shape, ruleset) < 0)
		r = bh_fail(err, -ENOMEM, "no memory");
	if (r < 0)
		return r;
	bh_ruleset_sort(ruleset);
	*ret = bh_take(shape);
	return 0;
}
