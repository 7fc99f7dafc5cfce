/* SPDX-License-Identifier: Apache-2.0 */
/* The same questions that the rules ask in the kernel, in the same order: interface, own addresses, containers, zones by interface, world. */
#include "judge_priv.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

/* linux/netfilter.h, which cannot stand beside netinet/in.h */
#define NFPROTO_IPV4 2
#define NFPROTO_IPV6 10

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

static int leg_cmp(const void *va, const void *vb)
{
	const struct known_leg *a = va, *b = vb;

	return (a->id > b->id) - (a->id < b->id);
}

/* The element of a port of this host: for one address, for its number alone. */
static const struct bh_elem *published_here(const struct bh_table *t, uint8_t proto, const struct bh_addr *host, uint16_t port)
{
	struct key k = {0};

	key_addr(&k, host);
	key_u8(&k, proto);
	key_port(&k, port);
	return judge_elem_at(t, host->family == 4 ? "pub4" : "pub6", &k);
}

static const struct bh_elem *published_anywhere(const struct bh_table *t, uint8_t proto, const struct bh_addr *host, uint16_t port)
{
	struct key k = {0};

	key_u8(&k, host->family == 4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
	key_u8(&k, proto);
	key_port(&k, port);
	return judge_elem_at(t, "pub_any", &k);
}

/* The numbers of published ports, as the compiler gave them. */
static int legs_add(struct bh_judge *j, const struct bh_member *m)
{
	bool has_port = false;

	bh_vec_foreach(at, &m->attachments)
		has_port = has_port || at->port[0];
	bh_vec_foreach(p, &m->container->published) {
		const struct bh_elem *e = bh_addr_is_zero(&p->host) ? published_anywhere(j->inet, p->proto, &p->host, p->host_port) :
								      published_here(j->inet, p->proto, &p->host, p->host_port);
		const struct known_leg l = {.id = e ? e->value : 0, .member = m, .published = p};

		/* nobody's when two containers claim it; and who is not to be found has none */
		if (has_port && l.id > BH_ID_LEG && bh_vec_push(&j->legs, l) < 0)
			return -ENOMEM;
	}
	return 0;
}

static const struct known_leg *leg_known(const struct bh_judge *j, uint32_t id)
{
	const struct known_leg want = {.id = id};

	return j->legs.n == 0 ? NULL : bsearch(&want, j->legs.v, j->legs.n, sizeof(want), leg_cmp);
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
	bh_vec_foreach(m, &in->placement->members)
		if (legs_add(j, m) < 0)
			return -ENOMEM;
	if (j->legs.n > 1)
		qsort(j->legs.v, j->legs.n, sizeof(*j->legs.v), leg_cmp);
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
	bh_vec_clear(&j->legs);
	free(j);
}

const struct bh_elem *judge_elem_at(const struct bh_table *t, const char *set, const struct key *k)
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
	return judge_elem_at(j->inet, set, &k);
}

size_t judge_inst_of(const struct bh_judge *j, uint32_t id)
{
	for (size_t i = 0; i < j->in.placement->insts.n; i++)
		if (j->in.placement->insts.v[i].id == id)
			return i;
	return BH_NOBODY;
}

bool judge_is_own_bridge(const struct bh_judge *j, const char *dev)
{
	return dev_at(j, "bridges", dev) && !dev_at(j, "exempt", dev);
}

bool bh_judge_is_host(const struct bh_judge *j, const struct bh_addr *addr)
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
	bool own = dev && judge_is_own_bridge(j, dev);
	const struct bh_member *m = !dev || own ? member_at(j, addr, dev) : NULL;
	const struct bh_elem *e = NULL;
	struct key k = {0};

	if (m)
		return (struct bh_party){.inst = m->inst, .member = m};
	if (bh_judge_is_host(j, addr))
		return (struct bh_party){.inst = judge_inst_of(j, BH_ID_HOST)};
	if (own) {	/* what a container there forwards for */
		key_dev(&k, dev);
		key_addr(&k, addr);
		e = judge_elem_at(j->inet, addr->family == 4 ? "via4" : "via6", &k);
		return (struct bh_party){.inst = e ? judge_inst_of(j, e->value) : BH_NOBODY};
	}
	if (dev)
		e = dev_at(j, "zone_of_if", dev);
	if (!e) {
		key_addr(&k, addr);
		e = judge_elem_at(j->inet, addr->family == 4 ? "world4" : "world6", &k);
	}
	return (struct bh_party){.inst = judge_inst_of(j, e ? e->value : BH_ID_INTERNET)};
}

static bool is_builtin(const struct bh_judge *j, const struct bh_party *p, enum bh_builtin b)
{
	return p->inst != BH_NOBODY && j->in.placement->insts.v[p->inst].builtin == b;
}

static bool is_called(const struct bh_published *p, const struct bh_question *q)
{
	return p->proto == q->proto && p->host_port == q->port && p->host.family == q->to.family &&
	       (bh_addr_is_zero(&p->host) || bh_addr_cmp(&p->host, &q->to) == 0);
}

/* A published port of this host is the container's behind it, or nobody's when two claim it. As the kernel looks: an address before all. */
static void see_through(const struct bh_judge *j, const struct bh_question *q, struct bh_judgement *v)
{
	const struct known_leg *l;
	const struct bh_elem *e;

	if (!is_builtin(j, &v->to, BH_BUILTIN_HOST))
		return;
	e = published_here(j->inet, q->proto, &q->to, q->port);
	e = e ? e : published_anywhere(j->inet, q->proto, &q->to, q->port);
	if (!e)
		return;
	l = leg_known(j, e->value);
	v->to = l ? (struct bh_party){.inst = l->member->inst, .member = l->member} : (struct bh_party){.inst = BH_NOBODY};
	if (!l)
		return;
	v->leg = l->id;
	v->published = l->published;
	v->port = l->published->container_port;
	bh_vec_foreach(p, &l->member->container->published)
		if (is_called(p, q))
			v->published = p;
}

const struct bh_elem *judge_addr_at(const struct bh_judge *j, const char *set4, const char *set6, const struct bh_addr *a, const char **ret_set)
{
	const char *set = a->family == 4 ? set4 : set6;
	struct key k = {0};

	if (ret_set)
		*ret_set = set;
	key_addr(&k, a);
	return a->family ? judge_elem_at(j->inet, set, &k) : NULL;
}

/* docker-proxy's second leg: a connection of the host to a container's published port, at the container's own address. */
static bool is_second_leg(const struct bh_judge *j, const struct bh_question *q, const struct bh_judgement *v)
{
	if (!is_builtin(j, &v->from, BH_BUILTIN_HOST) || !v->to.member || v->published)
		return false;
	bh_vec_foreach(p, &v->to.member->container->published)
		if (p->proto == q->proto && p->container_port == v->port)
			return true;
	return false;
}

/* Whether what the two zones have open holds it, or what TO has as a resolver. */
static bool find_rule(const struct bh_judge *j, const struct bh_question *q, struct bh_judgement *v)
{
	uint8_t proto = q->proto == IPPROTO_ICMPV6 ? IPPROTO_ICMP : q->proto;
	const struct claim *c = claims_find(&j->claims, v->from.inst, v->to.inst, proto, v->port);

	if (!c && judge_addr_at(j, "dns4", "dns6", &q->to, NULL)) {
		size_t dns = judge_inst_of(j, BH_ID_DNS);

		c = dns != BH_NOBODY ? claims_find(&j->claims, v->from.inst, dns, proto, q->port) : NULL;
	}
	if (!c)
		return false;
	v->rule = c->rule;
	v->opened_to = c->to;
	return true;
}

static bool has_containers(const struct bh_judge *j, const struct bh_party *p)
{
	return p->inst == BH_NOBODY || p->member || inst_has_containers(j->in.policy, &j->in.placement->insts.v[p->inst]);
}

static enum bh_why why(const struct bh_judge *j, const struct bh_question *q, struct bh_judgement *v)
{
	if (!v->ours)
		return BH_WHY_NOT_OURS;
	if (v->from.inst == BH_NOBODY || v->to.inst == BH_NOBODY)
		return BH_WHY_UNKNOWN;
	if (find_rule(j, q, v))
		return BH_WHY_RULE;
	return is_second_leg(j, q, v) ? BH_WHY_SECOND_LEG : BH_WHY_NO_RULE;
}

/* The zone that answers has the last word; where nobody is known at an end the file has. */
static enum bh_mode mode(const struct bh_judge *j, const struct bh_judgement *v)
{
	if (v->from.inst != BH_NOBODY && j->in.placement->insts.v[v->from.inst].id == BH_ID_HELD)
		return BH_MODE_ENFORCE;
	if (v->from.inst == BH_NOBODY || v->to.inst == BH_NOBODY)
		return j->in.policy->mode;
	return bh_inst_mode(j->in.policy, &j->in.placement->insts.v[v->to.inst]);
}

static struct bh_judgement decide(const struct bh_judge *j, const struct bh_question *q, struct bh_judgement v)
{
	v.rule = v.opened_to = BH_NOBODY;
	v.resolver = q->port == 53 && (q->proto == IPPROTO_UDP || q->proto == IPPROTO_TCP) && judge_addr_at(j, "dns4", "dns6", &q->to, NULL);
	v.ours = has_containers(j, &v.from) || has_containers(j, &v.to);
	v.why = why(j, q, &v);
	v.allowed = v.why == BH_WHY_NOT_OURS || v.why == BH_WHY_RULE || v.why == BH_WHY_SECOND_LEG;
	v.mode = mode(j, &v);
	return v;
}

struct bh_judgement bh_judge_parties(const struct bh_judge *j, const struct bh_question *q, const struct bh_party *from, const struct bh_party *to)
{
	struct bh_judgement v = {
		.from = from ? *from : bh_judge_who(j, &q->from, q->from_dev),
		.to = to ? *to : bh_judge_who(j, &q->to, q->to_dev),
		.port = q->port,
	};

	if (q->to.family)
		see_through(j, q, &v);
	return decide(j, q, v);
}

struct bh_judgement bh_judge_flow(const struct bh_judge *j, const struct bh_question *q)
{
	return bh_judge_parties(j, q, NULL, NULL);
}

size_t bh_judge_inst(const struct bh_judge *j, const char *name)
{
	for (size_t i = 0; i < j->in.placement->insts.n; i++)
		if (bh_streq(j->in.placement->insts.v[i].name, name))
			return i;
	return BH_NOBODY;
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
