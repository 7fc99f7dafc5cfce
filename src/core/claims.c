/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of `allow`, taken apart to pairs of concrete zones, each port of a pair given to the first rule that opens it. */
#include "compile_priv.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

void claims_clear(struct claims *c)
{
	bh_vec_clear(&c->v);
}

static struct bh_end inst_end(const struct bh_zone_inst *i)
{
	return (struct bh_end){.zone = i->zone, .builtin = i->builtin, .value = i->value};
}

bool inst_has_containers(const struct bh_policy *p, const struct bh_zone_inst *i)
{
	const struct bh_end e = inst_end(i);

	return bh_end_has_containers(p, &e);
}

/* The zones of the placement that an end means, in their order. */
struct insts {
	BH_VEC(size_t) v;
};

static int end_insts(const struct bh_placement *p, const struct bh_end *e, struct insts *ret)
{
	ret->v.n = 0;
	for (size_t i = 0; i < p->insts.n; i++) {
		const struct bh_end x = inst_end(&p->insts.v[i]);

		if (bh_end_same_zone(&x, e) && (!e->value || bh_streq(e->value, x.value)) && bh_vec_push(&ret->v, i) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int pair_add(struct claims *c, size_t from, size_t to, size_t rule, const struct bh_portset *ports)
{
	struct claim n = {.from = from, .to = to, .rule = rule, .kind = CLAIM_ALL};

	bh_vec_foreach(p, &ports->ports)
		c->weight += p->all || p->last - p->first >= CLAIM_EXPAND_MAX ? 1u : p->last - p->first + 1u;
	c->weight += ports->all;
	if (c->most && c->weight > c->most)
		return -E2BIG;
	if (ports->all)
		return bh_vec_push(&c->v, n);
	bh_vec_foreach(p, &ports->ports) {
		n.kind = p->all ? CLAIM_PROTO : CLAIM_PORTS;
		n.proto = p->proto;
		n.first = p->all ? 0 : p->first;
		n.last = p->all ? 0 : p->last;
		if (bh_vec_push(&c->v, n) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int joined_add(struct claims *c, const struct bh_placement *p, const struct bh_allow *a, const struct bh_portset *ports,
	const struct insts *from, const struct insts *to)
{
	for (size_t i = 0; i < from->v.n; i++)
		for (size_t k = 0; k < to->v.n; k++) {
			const struct bh_end x = inst_end(&p->insts.v[from->v.v[i]]), y = inst_end(&p->insts.v[to->v.v[k]]);

			int r = bh_allow_joins(a, &x, &y) ? pair_add(c, from->v.v[i], to->v.v[k], a->rule, ports) : 0;

			if (r < 0)
				return r;
		}
	return 0;
}

/* A family's values are sorted: equal ones are found by walking both lists once. */
static int equal_add(struct claims *c, const struct bh_placement *p, const struct bh_allow *a, const struct bh_portset *ports,
	const struct insts *from, const struct insts *to)
{
	size_t k = 0;

	for (size_t i = 0; i < from->v.n; i++) {
		const char *value = p->insts.v[from->v.v[i]].value;

		while (k < to->v.n && strcmp(p->insts.v[to->v.v[k]].value, value) < 0)
			k++;
		if (k < to->v.n && strcmp(p->insts.v[to->v.v[k]].value, value) == 0) {
			int r = pair_add(c, from->v.v[i], to->v.v[k], a->rule, ports);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

static bool all_have_values(const struct bh_placement *p, const struct insts *l)
{
	for (size_t i = 0; i < l->v.n; i++)
		if (!p->insts.v[l->v.v[i]].value)
			return false;
	return true;
}

static int allow_add(const struct bh_compile_input *in, const struct bh_allow *a, struct claims *c)
{
	struct bh_portset ports = {0};
	struct insts from = {0}, to = {0};
	const struct bh_placement *p = in->placement;
	int r = bh_allow_ports(in->policy->allow.v, a, &ports);

	if (r == 0)
		r = end_insts(p, &a->from, &from);
	if (r == 0)
		r = end_insts(p, &a->to, &to);
	if (r == 0)
		r = a->values == BH_VALUES_EQUAL && all_have_values(p, &from) && all_have_values(p, &to) ?
			    equal_add(c, p, a, &ports, &from, &to) :
			    joined_add(c, p, a, &ports, &from, &to);
	bh_portset_clear(&ports);
	bh_vec_clear(&from.v);
	bh_vec_clear(&to.v);
	return r;
}

#define CMP(a, b) \
	if ((a) != (b)) \
		return (a) < (b) ? -1 : 1

static int claim_cmp(const void *va, const void *vb)
{
	const struct claim *a = va, *b = vb;

	CMP(a->from, b->from);
	CMP(a->to, b->to);
	CMP(a->rule, b->rule);
	CMP(a->kind, b->kind);
	CMP(a->proto, b->proto);
	CMP(a->first, b->first);
	CMP(a->last, b->last);
	return 0;
}

static bool same_pair(const struct claim *a, const struct claim *b)
{
	return a->from == b->from && a->to == b->to;
}

/* Appends what of N no claim of its pair, which begins at START, holds already. */
static int claim_rest(struct claims *out, size_t start, struct claim n)
{
	for (size_t i = start; i < out->v.n; i++) {
		const struct claim c = out->v.v[i];

		if (c.kind == CLAIM_ALL || (c.kind == CLAIM_PROTO && n.kind != CLAIM_ALL && c.proto == n.proto))
			return 0;
		if (c.kind != CLAIM_PORTS || n.kind != CLAIM_PORTS || c.proto != n.proto || c.last < n.first || c.first > n.last)
			continue;
		if (c.first > n.first) {
			struct claim before = n;

			before.last = (uint16_t)(c.first - 1);
			if (claim_rest(out, start, before) < 0)
				return -ENOMEM;
		}
		if (c.last >= n.last)
			return 0;
		n.first = (uint16_t)(c.last + 1);
	}
	return bh_vec_push(&out->v, n);
}

static int claims_reduce(struct claims *c)
{
	struct claims out = {0};
	size_t start = 0;

	if (c->v.n > 1)
		qsort(c->v.v, c->v.n, sizeof(*c->v.v), claim_cmp);
	bh_vec_foreach(x, &c->v) {
		if (start < out.v.n && !same_pair(&out.v.v[start], x))
			start = out.v.n;
		if (claim_rest(&out, start, *x) < 0) {
			claims_clear(&out);
			return -ENOMEM;
		}
	}
	claims_clear(c);
	*c = out;
	return 0;
}

int claims_expand(const struct bh_compile_input *in, struct claims *ret)
{
	struct bh_allows allows = {0};
	struct claims c = {.most = in->most};
	int r = bh_allow_expand(in->policy, in->policy->allow.v, in->policy->allow.n, &allows, NULL);

	for (size_t i = 0; i < allows.v.n && r == 0; i++)
		r = allow_add(in, &allows.v.v[i], &c);
	bh_allows_clear(&allows);
	if (r < 0) {
		claims_clear(&c);
		return r;
	}
	*ret = c;
	return 0;
}

int claims_collect(const struct bh_compile_input *in, struct claims *ret)
{
	struct claims c = {0};
	int r = claims_expand(in, &c);

	if (r == 0)
		r = claims_reduce(&c);
	if (r < 0) {
		claims_clear(&c);
		return r;
	}
	*ret = c;
	return 0;
}

size_t claims_between(const struct claims *c, size_t from, size_t to)
{
	size_t lo = 0, hi = c->v.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct claim *x = &c->v.v[mid];

		if (x->from < from || (x->from == from && x->to < to))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

size_t claims_of(const struct claims *c, size_t from)
{
	return claims_between(c, from, 0);
}

const struct claim *claims_find(const struct claims *c, size_t from, size_t to, uint8_t proto, uint16_t port)
{
	for (size_t i = claims_between(c, from, to); i < c->v.n && c->v.v[i].from == from && c->v.v[i].to == to; i++) {
		const struct claim *x = &c->v.v[i];

		if (x->kind == CLAIM_ALL || (x->proto == proto && (x->kind == CLAIM_PROTO || (x->first <= port && port <= x->last))))
			return x;
	}
	return NULL;
}
