/* SPDX-License-Identifier: Apache-2.0 */
/* The same questions that the rules ask in the kernel, in the same order: interface, own addresses, containers, zones by interface, world. */
#include "compile_priv.h"

#include <bulkhead/judge.h>

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

struct place {
	struct bh_addr addr;
	const char *bridge;
	const struct bh_member *member;
};

struct bh_judge {
	struct bh_compile_input in;
	const struct bh_table *inet;
	struct claims claims;
	struct bh_addrs own;		/* the host's */
	BH_VEC(struct place) places;	/* sorted by address */
};

static int place_cmp(const void *va, const void *vb)
{
	const struct place *a = va, *b = vb;

	return bh_addr_cmp(&a->addr, &b->addr);
}

static int places_add(struct bh_judge *j, const struct bh_member *m, const struct bh_attachment *at)
{
	struct place p = {.bridge = at->bridge, .member = m};

	if (!bh_attachment_is_pinned(at))
		return 0;	/* unknown to the rules, too */
	for (size_t i = 0; bh_attachment_addr(at, i, &p.addr); i++)
		if (bh_vec_push(&j->places, p) < 0)
			return -ENOMEM;
	return 0;
}

int bh_judge_new(const struct bh_compile_input *in, const struct bh_ruleset *wanted, struct bh_judge **ret)
{
	_cleanup_(bh_judge_freep) struct bh_judge *j = calloc(1, sizeof(*j));

	if (!j)
		return -ENOMEM;
	j->in = *in;
	j->inet = &wanted->tables[BH_FAMILY_INET];
	j->in.host = NULL;	/* it may go before the judge does */
	bh_vec_foreach(a, &in->host->addrs)
		if (bh_addrs_add(&j->own, &a->prefix.addr) < 0)
			return -ENOMEM;
	bh_vec_foreach(m, &in->placement->members)
		bh_vec_foreach(at, &m->attachments)
			if (places_add(j, m, at) < 0)
				return -ENOMEM;
	if (j->places.n > 1)
		qsort(j->places.v, j->places.n, sizeof(*j->places.v), place_cmp);
	if (claims_collect(&j->in, &j->claims) < 0)
		return -ENOMEM;
	*ret = bh_take(j);
	return 0;
}

void bh_judge_free(struct bh_judge *j)
{
	if (!j)
		return;
	claims_clear(&j->claims);
	bh_vec_clear(&j->own.v);
	bh_vec_clear(&j->places);
	free(j);
}

/* The element that holds K, in a set with intervals too; NULL when none does. */
static const struct bh_elem *elem_at(const struct bh_table *t, const char *set, const struct key *k)
{
	const struct bh_set *s = bh_table_set(t, set);
	size_t lo = 0, hi = s ? s->elems.n : 0;
	const struct bh_elem *e;

	if (s && !(s->flags & BH_SET_INTERVAL))
		return bh_set_find(s, k->b);
	while (lo < hi) {	/* the last that begins no later */
		size_t mid = lo + (hi - lo) / 2;

		if (memcmp(s->elems.v[mid].key, k->b, sizeof(k->b)) <= 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	e = lo > 0 ? &s->elems.v[lo - 1] : NULL;
	return e && memcmp(e->key_end, k->b, sizeof(k->b)) >= 0 ? e : NULL;
}

static const struct bh_elem *dev_at(const struct bh_judge *j, const char *set, const char *dev)
{
	struct key k = {0};

	key_dev(&k, dev);
	return elem_at(j->inet, set, &k);
}

static size_t inst_of(const struct bh_judge *j, uint32_t id)
{
	for (size_t i = 0; i < j->in.placement->insts.n; i++)
		if (j->in.placement->insts.v[i].id == id)
			return i;
	return BH_NOBODY;
}

static bool is_own_bridge(const struct bh_judge *j, const char *dev)
{
	return dev_at(j, "bridges", dev) && !dev_at(j, "exempt", dev);
}

static bool is_host(const struct bh_judge *j, const struct bh_addr *addr)
{
	return bh_addr_is_loopback(addr) || bh_addrs_have(&j->own, addr);
}

/* The container that holds ADDR on BRIDGE (NULL: on any). */
static const struct bh_member *member_at(const struct bh_judge *j, const struct bh_addr *addr, const char *bridge)
{
	const struct place want = {.addr = *addr};
	const struct place *p = j->places.n == 0 ? NULL : bsearch(&want, j->places.v, j->places.n, sizeof(want), place_cmp);

	if (!p)
		return NULL;
	while (p > j->places.v && place_cmp(p - 1, &want) == 0)
		p--;
	for (; p < j->places.v + j->places.n && place_cmp(p, &want) == 0; p++)
		if (!bridge || strncmp(p->bridge, bridge, BH_IFNAME) == 0)
			return p->member;
	return NULL;
}

struct bh_party bh_judge_who(const struct bh_judge *j, const struct bh_addr *addr, const char *dev)
{
	bool own = dev && is_own_bridge(j, dev);
	const struct bh_member *m = !dev || own ? member_at(j, addr, dev) : NULL;
	const struct bh_elem *e = NULL;
	struct key k = {0};

	if (m)
		return (struct bh_party){.inst = m->inst, .member = m};
	if (is_host(j, addr))
		return (struct bh_party){.inst = inst_of(j, BH_ID_HOST)};
	if (own) {	/* what a container there forwards for */
		key_dev(&k, dev);
		key_addr(&k, addr);
		e = elem_at(j->inet, addr->family == 4 ? "via4" : "via6", &k);
		return (struct bh_party){.inst = e ? inst_of(j, e->value) : BH_NOBODY};
	}
	if (dev)
		e = dev_at(j, "zone_of_if", dev);
	if (!e) {
		key_addr(&k, addr);
		e = elem_at(j->inet, addr->family == 4 ? "world4" : "world6", &k);
	}
	return (struct bh_party){.inst = inst_of(j, e ? e->value : BH_ID_INTERNET)};
}

/* A published port of this host is the container's behind it. */
static void see_through(const struct bh_judge *j, const struct bh_question *q, struct bh_judgement *v)
{
	if (v->to.inst == BH_NOBODY || j->in.placement->insts.v[v->to.inst].builtin != BH_BUILTIN_HOST)
		return;
	bh_vec_foreach(m, &j->in.placement->members)
		bh_vec_foreach(p, &m->container->published) {
			if (p->proto != q->proto || p->host_port != q->port || p->host.family != q->to.family ||
				(!bh_addr_is_zero(&p->host) && bh_addr_cmp(&p->host, &q->to) != 0))
				continue;
			v->to = (struct bh_party){.inst = m->inst, .member = m};
			v->port = p->container_port;
			return;
		}
}

static bool is_resolver(const struct bh_judge *j, const struct bh_question *q)
{
	struct key k = {0};

	if (q->port != 53 || (q->proto != IPPROTO_UDP && q->proto != IPPROTO_TCP))
		return false;
	key_addr(&k, &q->to);
	return elem_at(j->inet, q->to.family == 4 ? "dns4" : "dns6", &k);
}

/* docker-proxy's second leg: a connection of the host to a container's published port. */
static bool is_second_leg(const struct bh_judge *j, const struct bh_question *q, const struct bh_judgement *v)
{
	if (j->in.placement->insts.v[v->from.inst].builtin != BH_BUILTIN_HOST || !v->to.member)
		return false;
	bh_vec_foreach(p, &v->to.member->container->published)
		if (p->proto == q->proto && p->container_port == v->port)
			return true;
	return false;
}

static bool is_allowed(const struct bh_judge *j, const struct bh_question *q, const struct bh_judgement *v)
{
	uint8_t proto = q->proto == IPPROTO_ICMPV6 ? IPPROTO_ICMP : q->proto;

	if (v->from.inst == BH_NOBODY || v->to.inst == BH_NOBODY)
		return false;
	if (claims_find(&j->claims, v->from.inst, v->to.inst, proto, v->port))
		return true;
	if (is_resolver(j, q)) {
		size_t dns = inst_of(j, BH_ID_DNS);

		if (dns != BH_NOBODY && claims_find(&j->claims, v->from.inst, dns, proto, v->port))
			return true;
	}
	return is_second_leg(j, q, v);
}

static bool has_containers(const struct bh_judge *j, const struct bh_party *p)
{
	return p->inst == BH_NOBODY || p->member || inst_has_containers(j->in.policy, &j->in.placement->insts.v[p->inst]);
}

struct bh_judgement bh_judge_flow(const struct bh_judge *j, const struct bh_question *q)
{
	struct bh_judgement v = {
		.from = bh_judge_who(j, &q->from, q->from_dev),
		.to = bh_judge_who(j, &q->to, q->to_dev),
		.port = q->port,
	};

	see_through(j, q, &v);
	v.ours = has_containers(j, &v.from) || has_containers(j, &v.to);
	v.allowed = !v.ours || is_allowed(j, q, &v);
	/* the zone that answers has the last word */
	v.mode = bh_inst_mode(j->in.policy, v.to.inst == BH_NOBODY ? NULL : &j->in.placement->insts.v[v.to.inst]);
	return v;
}

const char *bh_party_zone(const struct bh_judge *j, const struct bh_party *p)
{
	return p->inst == BH_NOBODY ? "unknown" : j->in.placement->insts.v[p->inst].name;
}

const char *bh_party_name(const struct bh_judge *j, const struct bh_party *p)
{
	if (p->member && p->member->container->name)
		return p->member->container->name;
	return p->member ? p->member->container->id : bh_party_zone(j, p);
}
