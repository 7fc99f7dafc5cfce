/* SPDX-License-Identifier: Apache-2.0 */
/* By which elements of the rule set the judge's answers hold, and what is open at all. */
#include "judge_priv.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#define NFPROTO_IPV4 2
#define NFPROTO_IPV6 10

static const char *const names[BH_STEP_MAX] = {
	[BH_STEP_FROM] = "from", [BH_STEP_ZONE] = "zone", [BH_STEP_TO] = "to", [BH_STEP_RESOLVER] = "resolver", [BH_STEP_OPENS] = "opens",
	[BH_STEP_PUBLISHED] = "published", [BH_STEP_PROXY] = "proxy",
};

const char *bh_step_name(enum bh_step_kind k)
{
	return names[k];
}

/* Adds the element that holds K, if there is one. */
static int add_at(const struct bh_judge *j, enum bh_step_kind kind, const char *set, const struct key *k, struct bh_steps *out)
{
	struct bh_step s = {.kind = kind, .set = bh_table_set(j->inet, set), .elem = judge_elem_at(j->inet, set, k)};

	return s.elem ? bh_vec_push(&out->v, s) : 0;
}

static int add_id(const struct bh_judge *j, enum bh_step_kind kind, const char *set, uint32_t id, struct bh_steps *out)
{
	struct key k = {0};

	key_id(&k, id);
	return add_at(j, kind, set, &k, out);
}

/* Who ADDR is: a member on DEV, what one forwards for, an interface's zone, a part of the world. This host has no element. */
static int add_end(const struct bh_judge *j, enum bh_step_kind kind, const struct bh_party *p, const struct bh_addr *addr, const char *dev,
	struct bh_steps *out)
{
	bool four = addr->family == 4, own = dev && judge_is_own_bridge(j, dev);
	struct key in_dev = {0}, alone = {0}, by_dev = {0};
	size_t n = out->v.n;
	int r = 0;

	if (!addr->family || (p->inst != BH_NOBODY && j->in.placement->insts.v[p->inst].builtin == BH_BUILTIN_HOST))
		return 0;
	key_addr(&alone, addr);
	if (dev) {
		key_dev(&in_dev, dev);
		key_dev(&by_dev, dev);
		key_addr(&in_dev, addr);
		r = add_at(j, kind, four ? "zone_of4" : "zone_of6", &in_dev, out);
		if (r == 0 && own && out->v.n == n)
			r = add_at(j, kind, four ? "via4" : "via6", &in_dev, out);
		if (r == 0 && !own)
			r = add_at(j, kind, "zone_of_if", &by_dev, out);
	}
	return r == 0 && out->v.n == n && !own ? add_at(j, kind, four ? "world4" : "world6", &alone, out) : r;
}

/* Where zone FROM has PROTO/PORT open on number TO: the maps that its chain asks, in their order. */
static const struct bh_elem *opening(const struct bh_table *t, const struct bh_policy *p, const struct bh_zone_inst *from, uint32_t to, uint8_t proto, uint16_t port,
	const struct bh_set **ret_set)
{
	struct key with_port = {0}, with_proto = {0}, alone = {0};
	const struct {
		const char *map;
		const struct key *key;
	} maps[] = {{"ports", &with_port}, {"ranges", &with_port}, {"protos", &with_proto}, {"all", &alone}, {"legs", &alone}, {"ports_t", &with_port},
		{"protos_t", &with_proto}, {"all_t", &alone}, {"legs_t", &alone}};
	const size_t n_lasting = 5;

	key_id(&with_port, to);
	key_u8(&with_port, proto);
	with_proto = with_port;
	key_port(&with_port, port);
	key_id(&alone, to);
	for (size_t i = 0; i < BH_ARRAY_SIZE(maps); i++) {
		const struct bh_elem *e;
		char name[BH_NAME];

		if (i < n_lasting)
			name_zone(from, maps[i].map, name);
		else
			name_timed(p, from, maps[i].map, name);
		e = judge_elem_at(t, name, maps[i].key);
		if (e) {
			*ret_set = bh_table_set(t, name);
			return e;
		}
	}
	return NULL;
}

static int add_opening(const struct bh_judge *j, enum bh_step_kind kind, const struct bh_question *q, const struct bh_judgement *v, uint32_t to,
	struct bh_steps *out)
{
	struct bh_step s = {.kind = kind};

	s.elem = opening(j->inet, j->in.policy, &j->in.placement->insts.v[v->from.inst], to, q->proto, v->port, &s.set);
	return s.elem ? bh_vec_push(&out->v, s) : 0;
}

/* The port of this host, and what docker-proxy's clients are judged by. */
static int add_published(const struct bh_judge *j, const struct bh_question *q, const struct bh_judgement *v, struct bh_steps *out)
{
	bool four = q->to.family == 4;
	struct key any = {0}, one = {0};
	size_t n = out->v.n;
	int r;

	key_addr(&one, &q->to);
	key_u8(&one, q->proto);
	key_port(&one, q->port);
	key_u8(&any, four ? NFPROTO_IPV4 : NFPROTO_IPV6);
	key_u8(&any, q->proto);
	key_port(&any, q->port);
	r = add_at(j, BH_STEP_PUBLISHED, four ? "pub4" : "pub6", &one, out);
	if (r == 0 && out->v.n == n)
		r = add_at(j, BH_STEP_PUBLISHED, "pub_any", &any, out);
	return r < 0 ? r : add_opening(j, BH_STEP_PROXY, q, v, v->leg, out);
}

int bh_judge_steps(const struct bh_judge *j, const struct bh_question *q, const struct bh_judgement *v, struct bh_steps *ret)
{
	const struct bh_zone_inst *insts = j->in.placement->insts.v;
	struct bh_steps out = {0};
	int r = v->ours ? add_end(j, BH_STEP_FROM, &v->from, &q->from, q->from_dev, &out) : 0;

	if (r == 0 && v->ours && v->from.inst != BH_NOBODY)
		r = add_id(j, BH_STEP_ZONE, "from_zone", insts[v->from.inst].id, &out);
	if (r == 0 && v->ours && !v->published)
		r = add_end(j, BH_STEP_TO, &v->to, &q->to, q->to_dev, &out);
	if (r == 0 && v->why == BH_WHY_RULE && insts[v->opened_to].builtin == BH_BUILTIN_DNS && q->to.family) {
		struct key k = {0};

		key_addr(&k, &q->to);
		r = add_at(j, BH_STEP_RESOLVER, q->to.family == 4 ? "dns4" : "dns6", &k, &out);
	}
	if (r == 0 && v->why == BH_WHY_RULE)
		r = add_opening(j, BH_STEP_OPENS, q, v, insts[v->opened_to].id, &out);
	if (r == 0 && v->published && v->from.inst != BH_NOBODY)
		r = add_published(j, q, v, &out);
	if (r < 0) {
		bh_vec_clear(&out.v);
		return r;
	}
	*ret = out;
	return 0;
}

const struct bh_elem *bh_step_in(const struct bh_step *step, const struct bh_ruleset *seen)
{
	const struct bh_set *s = bh_table_set(&seen->tables[BH_FAMILY_INET], step->set->name);
	const struct bh_elem *e = s && bh_set_same_type(s, step->set) ? bh_set_find(s, step->elem->key) : NULL;

	return e && bh_elem_equal(e, step->elem, step->set->data) ? e : NULL;
}

const struct bh_elem *bh_judge_opened_in(const struct bh_judge *j, const struct bh_question *q, const struct bh_judgement *v, const struct bh_ruleset *seen,
	const struct bh_set **ret_set)
{
	const struct bh_zone_inst *insts = j->in.placement->insts.v;
	const struct bh_table *t = &seen->tables[BH_FAMILY_INET];
	const struct bh_elem *e;

	if (v->from.inst == BH_NOBODY || v->to.inst == BH_NOBODY)
		return NULL;
	e = opening(t, j->in.policy, &insts[v->from.inst], insts[v->to.inst].id, q->proto, v->port, ret_set);
	return e || !v->leg ? e : opening(t, j->in.policy, &insts[v->from.inst], v->leg, q->proto, v->port, ret_set);
}

static int openings_add(const struct bh_judge *j, size_t from, size_t to, bool dns, struct bh_openings *out)
{
	for (size_t i = claims_of(&j->claims, from); i < j->claims.v.n && j->claims.v.v[i].from == from; i++) {
		const struct claim *c = &j->claims.v.v[i];
		const struct bh_opening o = {.all = c->kind == CLAIM_ALL, .rule = c->rule, .dns = dns,
			.port = {.proto = c->proto, .all = c->kind == CLAIM_PROTO, .first = c->first, .last = c->last}};

		if (c->to == to && bh_vec_push(&out->v, o) < 0)
			return -ENOMEM;
	}
	return 0;
}

int bh_judge_open(const struct bh_judge *j, const struct bh_party *from, const struct bh_party *to, const struct bh_addr *addr, struct bh_openings *ret)
{
	struct bh_openings out = {0};
	int r = 0;

	if (from->inst != BH_NOBODY && to->inst != BH_NOBODY)
		r = openings_add(j, from->inst, to->inst, false, &out);
	if (r == 0 && from->inst != BH_NOBODY && judge_addr_at(j, "dns4", "dns6", addr, NULL) && !(out.v.n && out.v.v[0].all)) {
		size_t dns = judge_inst_of(j, BH_ID_DNS);

		if (dns != BH_NOBODY)
			r = openings_add(j, from->inst, dns, true, &out);
	}
	if (r < 0) {
		bh_vec_clear(&out.v);
		return r;
	}
	*ret = out;
	return 0;
}
