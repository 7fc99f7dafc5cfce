/* SPDX-License-Identifier: Apache-2.0 */
/* Whether what has changed touches nobody else, and the zones of the new ones. Nothing of the round is changed here. */
#include "shift_priv.h"

#include <bulkhead/sum.h>

#include <errno.h>
#include <string.h>

bool shift_has_link(const struct bh_shift_input *in, int ifindex)
{
	for (size_t i = 0; i < in->n_links; i++)
		if (in->links[i] == ifindex)
			return true;
	return false;
}

/* Two that fall together by chance, or because somebody meant it, cost a round from scratch. */
static int sum_push(struct sums *out, const char bridge[BH_IFNAME], uint8_t kind, const void *p, size_t n)
{
	uint64_t sum = bh_sum(BH_SUM_INIT, bridge, strnlen(bridge, BH_IFNAME));

	sum = bh_sum(sum, &kind, 1);
	return bh_vec_push(&out->v, bh_sum(sum, p, n));
}

/* Of one endpoint: its MAC with the link-local address that follows from it, and its addresses. */
static int endpoint_sums(struct sums *out, const char bridge[BH_IFNAME], const struct bh_endpoint *e)
{
	const struct bh_addr local = bh_addr_link_local(&e->mac);

	if (e->has_mac && (sum_push(out, bridge, 0, &e->mac, sizeof(e->mac)) < 0 || sum_push(out, bridge, 6, local.b, bh_addr_size(&local)) < 0))
		return -ENOMEM;
	bh_vec_foreach(addr, &e->addrs)
		if (!bh_addr_is_zero(addr) && sum_push(out, bridge, addr->family, addr->b, bh_addr_size(addr)) < 0)
			return -ENOMEM;
	return 0;
}

/* Of one member: on its bridges; and on any bridge, where the bridge table does not tell them apart. */
int sums_add(struct sums *out, const struct bh_member *m, const struct bh_features *f)
{
	static const char any[BH_IFNAME];

	bh_vec_foreach(a, &m->attachments)
		if (endpoint_sums(out, a->bridge, a->endpoint) < 0 || (!f->bridge_ibrname && endpoint_sums(out, any, a->endpoint) < 0))
			return -ENOMEM;
	return 0;
}

static int sum_cmp(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

void sums_sort(struct sums *s)
{
	if (s->v.n > 1)
		qsort(s->v.v, s->v.n, sizeof(*s->v.v), sum_cmp);
}

size_t sums_count(const uint64_t *v, size_t n, uint64_t sum, size_t *at)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (v[mid] < sum)
			lo = mid + 1;
		else
			hi = mid;
	}
	*at = lo;
	while (hi < n && v[hi] == sum)
		hi++;
	return hi - lo;
}

int bh_holdings_make(const struct bh_placement *p, const struct bh_features *f, struct bh_holdings *ret)
{
	struct sums all = {0};

	bh_vec_foreach(m, &p->members)
		if (sums_add(&all, m, f) < 0) {
			bh_vec_clear(&all.v);
			return -ENOMEM;
		}
	sums_sort(&all);
	bh_vec_clear(&ret->v);
	ret->v.v = all.v.v;
	ret->v.n = all.v.n;
	ret->v.cap = all.v.cap;
	return 0;
}

/* Whether the members of a zone are in nothing but the sets of bh_members_fill(). */
static bool zone_is_simple(const struct bh_policy *p, const struct bh_zone_inst *i)
{
	const struct bh_zone *z = bh_inst_zone(p, i);

	return !z || (z->forwards.n == 0 && !bh_zone_is_limited(p, z) &&
		(p->mode == BH_MODE_AUDIT || !bh_zone_has_cap(z)));
}

/* Ports are remembered by container and network: no Docker attaches one to the same network twice. */
static bool is_twice(const struct bh_member *m)
{
	bh_vec_foreach(a, &m->attachments)
		for (const struct bh_attachment *b = m->attachments.v; b < a; b++)
			if (a->network == b->network)
				return true;
	return false;
}

static bool is_simple(const struct bh_policy *p, const struct bh_placement *pl, const struct bh_member *m)
{
	return !m->shares_netns && m->container->published.n == 0 && !is_twice(m) && zone_is_simple(p, &pl->insts.v[m->inst]);
}

/* The zone of a decision, if it is there. */
static size_t inst_of(const struct bh_placement *p, const struct decision *d)
{
	for (size_t i = 0; i < p->insts.n; i++) {
		const struct bh_zone_inst *x = &p->insts.v[i];

		if (d->zone < 0 ? x->builtin == d->builtin : x->builtin == BH_BUILTIN_NONE && x->zone == d->zone && bh_streq(x->value, d->value))
			return i;
	}
	return SIZE_MAX;
}

/* Nobody lives in the namespace of one that changes. */
static bool is_shared(const struct shifter *s)
{
	bh_vec_foreach(c, &s->in->inventory->containers)
		if (c->netns_owner)
			bh_vec_foreach(x, &s->changes)
				if (strcmp(c->netns_owner, x->id) == 0)
					return true;
	return false;
}

static int check_old(struct shifter *s, const struct shift_change *c)
{
	const struct bh_member *m = &s->in->placement->members.v[c->member];
	const struct bh_zone_inst *i = &s->in->placement->insts.v[m->inst];

	if (!is_simple(s->in->policy, s->in->placement, m) || (i->value && i->members <= s->changes.n))
		return 1;
	return sums_add(&s->gone, m, s->in->features);
}

/* Lists the new members and finds their zones and bridges. */
static int make_new(struct shifter *s)
{
	struct placer *p = &s->placer;
	int r;

	bh_vec_foreach(c, &s->changes) {
		struct bh_member *m;

		/* who shares a namespace counts before it is in it (place_require.c) */
		if (c->now && c->now->netmode == BH_NETMODE_CONTAINER)
			return 1;
		if (!c->now || !place_is_listed(c->now))
			continue;
		if (c->now->flaw)
			return 1;
		c->made = s->made.members.n;
		m = bh_vec_add(&s->made.members);
		if (!m)
			return -ENOMEM;
		m->container = c->now;
	}
	p->decisions = calloc(s->made.members.n + 1, sizeof(*p->decisions));
	if (!p->decisions || place_bridges_sort(p) < 0)
		return -ENOMEM;
	r = place_attach(p);
	for (size_t i = 0; i < s->made.members.n && r == 0; i++) {
		struct bh_member *m = &s->made.members.v[i];

		r = place_decide(p, m->container, &p->decisions[i]);
		if (r == 0)
			r = place_require_one(p, i);
		if (r < 0)
			break;
		m->inst = inst_of(s->in->placement, &p->decisions[i]);
		m->reason = bh_take(p->decisions[i].reason);
		m->loc = p->decisions[i].loc;
		if (m->inst == SIZE_MAX || !is_simple(s->in->policy, s->in->placement, m))
			return 1;
		r = sums_add(&s->come, m, s->in->features);
	}
	return r;
}

/* Each of what goes and comes was and will be held once. */
static bool holders_are_alone(struct shifter *s)
{
	const struct bh_holdings *all = s->in->holdings;
	size_t at;

	sums_sort(&s->gone);
	sums_sort(&s->come);
	bh_vec_foreach(x, &s->gone.v)
		if (sums_count(all->v.v, all->v.n, *x, &at) != 1)
			return false;
	bh_vec_foreach(x, &s->come.v)
		if (sums_count(s->come.v.v, s->come.v.n, *x, &at) != 1 ||
			sums_count(all->v.v, all->v.n, *x, &at) != sums_count(s->gone.v.v, s->gone.v.n, *x, &at))
			return false;
	return true;
}

/* Whether M has an address that is a gateway's, where the two share a set. */
static bool has_gateway(const struct bh_shift_input *in, const struct bh_member *m)
{
	const struct bh_table *t = &in->wanted->tables[BH_FAMILY_BRIDGE];
	struct bh_addr addr;

	if (in->features->bridge_ibrname)
		return false;
	bh_vec_foreach(a, &m->attachments)
		for (size_t i = 0; bh_attachment_addr(a, i, &addr); i++) {
			const struct bh_set *owned = bh_table_set(t, addr.family == 4 ? "owned4" : "owned6");
			uint8_t key[BH_KEY_MAX] = {0};
			size_t off = 0;

			bh_key_put(key, &off, addr.b, bh_addr_size(&addr));
			if (owned && bh_set_find(owned, key))
				return true;
		}
	return false;
}

static bool gateways_are_apart(const struct shifter *s)
{
	bh_vec_foreach(m, &s->made.members)
		if (has_gateway(s->in, m))
			return false;
	return true;
}

/* Whether nobody else holds what M does: elements would be common. */
static int is_alone(const struct bh_shift_input *in, const struct bh_member *m)
{
	struct sums own = {0};
	int r = sums_add(&own, m, in->features) < 0 ? -ENOMEM : 1;
	size_t at;

	bh_vec_foreach(x, &own.v)
		if (r > 0 && sums_count(in->holdings->v.v, in->holdings->v.n, *x, &at) != 1)
			r = 0;
	bh_vec_clear(&own.v);
	return r;
}

/* Who has one of the links, or may get one, whether he is among the changes or not. */
static int check_neighbours(const struct shifter *s)
{
	const struct bh_shift_input *in = s->in;
	size_t waiting = 0;
	int r;

	bh_vec_foreach(m, &in->placement->members) {
		bool touched = false;

		bh_vec_foreach(a, &m->attachments) {
			bool waits = !a->port_ifindex && !a->port_gone && a->endpoint->has_mac;

			touched = touched || waits || shift_has_link(in, a->port_ifindex);
			waiting += waits;
		}
		if (!touched)
			continue;
		r = is_simple(in->policy, in->placement, m) && !has_gateway(in, m) ? is_alone(in, m) : 0;
		if (r <= 0)
			return r < 0 ? r : 1;
	}
	return waiting <= SHIFT_MAX ? 0 : 1;
}

static bool on_listed_bridge(const struct bh_shift_input *in, const struct bh_link *l)
{
	const struct bh_link *bridge = bh_host_link(in->host, l->master);

	return bridge && bh_inventory_lists_bridge(in->inventory, bridge->name);
}

/* Whether no port of another program's bridge has come or gone, where the bridge table lists them. */
static bool foreign_stay(const struct bh_shift_input *in)
{
	const struct bh_set *foreign = bh_table_set(&in->wanted->tables[BH_FAMILY_BRIDGE], "foreign");

	if (!foreign || in->n_links == 0)
		return true;
	for (size_t i = 0; i < in->n_links; i++) {
		const struct bh_link *l = bh_host_link(in->host, in->links[i]);

		if (l && l->master && !on_listed_bridge(in, l))
			return false;
	}
	if (foreign->elems.n > SHIFT_MAX)
		return false;
	bh_vec_foreach(e, &foreign->elems) {
		const struct bh_link *l = bh_host_link_named(in->host, (const char *)e->key);

		if (!l || !l->master || on_listed_bridge(in, l))
			return false;
	}
	return true;
}

/* Whether one that changes is in quarantine by hand. */
static bool is_held(const struct shifter *s)
{
	bh_vec_foreach(c, &s->changes)
		if (bh_strv_has(&s->in->memory->held, c->id))
			return true;
	return false;
}

int shift_check(struct shifter *s)
{
	int r = is_held(s) || is_shared(s) || !foreign_stay(s->in) ? 1 : 0;

	bh_vec_foreach(c, &s->changes) {
		if (r == 0 && c->member != SIZE_MAX)
			r = check_old(s, c);
		else if (r == 0 && c->at != SIZE_MAX && s->in->inventory->containers.v[c->at].netmode == BH_NETMODE_CONTAINER)
			r = 1;	/* it was to share a namespace */
	}
	if (r == 0)
		r = make_new(s);
	if (r == 0)
		r = holders_are_alone(s) && gateways_are_apart(s) ? check_neighbours(s) : 1;
	return r;
}
