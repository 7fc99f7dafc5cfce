/* SPDX-License-Identifier: Apache-2.0 */
/* What can be opened before and not after, and the other way round. Only pairs that a rule speaks of on either side are looked at. */
#include "compile_priv.h"
#include "plan_priv.h"

#include <errno.h>
#include <string.h>

struct pair {
	uint32_t from, to;	/* movers */
};

struct pairs {
	BH_VEC(struct pair) v;
};

/* The movers that are in a zone, for each zone of one side. */
struct of_zone {
	size_t *first;		/* where each zone's begin in `movers`; one more at the end */
	uint32_t *movers;
};

static void of_zone_clear(struct of_zone *z)
{
	free(z->first);
	free(z->movers);
}

static int of_zone_make(const struct bh_forecast *f, size_t n_insts, bool after, struct of_zone *ret)
{
	ret->first = calloc(n_insts + 2, sizeof(*ret->first));
	ret->movers = calloc(f->movers.n + 1, sizeof(*ret->movers));
	if (!ret->first || !ret->movers)
		return -ENOMEM;
	bh_vec_foreach(m, &f->movers)
		ret->first[(after ? m->after : m->before) + 2]++;
	for (size_t i = 2; i < n_insts + 2; i++)
		ret->first[i] += ret->first[i - 1];
	for (size_t i = 0; i < f->movers.n; i++) {
		const struct bh_mover *m = &f->movers.v[i];

		ret->movers[ret->first[(after ? m->after : m->before) + 1]++] = (uint32_t)i;
	}
	return 0;
}

static int pairs_collect(const struct bh_forecast *f, const struct claims *c, size_t n_insts, bool after, struct pairs *out)
{
	_cleanup_(of_zone_clear) struct of_zone z = {0};
	int r = of_zone_make(f, n_insts, after, &z);

	for (size_t i = 0; i < c->v.n && r == 0; i++) {
		const struct claim *x = &c->v.v[i];

		if (i > 0 && x->from == x[-1].from && x->to == x[-1].to)
			continue;
		for (size_t a = z.first[x->from]; a < z.first[x->from + 1] && r == 0; a++)
			for (size_t b = z.first[x->to]; b < z.first[x->to + 1] && r == 0; b++) {
				const struct pair p = {z.movers[a], z.movers[b]};

				r = out->v.n < 2 * BH_PLAN_PAIRS_MAX ? bh_vec_push(&out->v, p) : -E2BIG;
			}
	}
	return r;
}

static int pair_cmp(const void *va, const void *vb)
{
	const struct pair *a = va, *b = vb;

	if (a->from != b->from)
		return a->from < b->from ? -1 : 1;
	return (a->to > b->to) - (a->to < b->to);
}

/* What a side opens for one pair, and the first rule that does. */
static int open_of(const struct bh_plan_side *s, const struct claims *c, size_t from, size_t to, struct bh_portset *ret, struct bh_loc *ret_loc)
{
	for (size_t i = claims_between(c, from, to); i < c->v.n && c->v.v[i].from == from && c->v.v[i].to == to; i++) {
		const struct claim *x = &c->v.v[i];
		const struct bh_port p = {.proto = x->proto, .all = x->kind == CLAIM_PROTO, .first = x->first, .last = x->last};

		if (ret_loc->line == 0)
			*ret_loc = s->in->policy->allow.v[x->rule].loc;
		if ((x->kind == CLAIM_ALL ? bh_portset_add_all(ret) : bh_portset_add(ret, &p)) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int path_add(struct bh_forecast *f, const struct pair *pair, bool opens, const struct bh_portset *more, const struct bh_portset *less,
	const struct bh_loc *loc)
{
	struct bh_path p = {.from = pair->from, .to = pair->to, .opens = opens, .loc = *loc};
	int r = bh_portset_minus(more, less, &p.ports, &p.but);

	if (r == 0 && !bh_portset_is_empty(&p.ports)) {
		f->paths_total++;
		if (f->paths.n < BH_PATHS_MAX) {
			r = bh_vec_push(&f->paths, p);
			if (r == 0)
				return 0;
		}
	}
	bh_portset_clear(&p.ports);
	bh_portset_clear(&p.but);
	return r;
}

static int pair_compare(struct planner *p, const struct claims *before, const struct claims *after, const struct pair *pair)
{
	const struct bh_mover *from = &p->out->movers.v[pair->from], *to = &p->out->movers.v[pair->to];
	struct bh_portset a = {0}, b = {0};
	struct bh_loc old = {0}, new = {0};
	int r = open_of(p->before, before, from->before, to->before, &a, &old);

	if (r == 0)
		r = open_of(p->after, after, from->after, to->after, &b, &new);
	if (r == 0)
		r = path_add(p->out, pair, false, &a, &b, &old);
	if (r == 0)
		r = path_add(p->out, pair, true, &b, &a, &new);
	bh_portset_clear(&a);
	bh_portset_clear(&b);
	return r;
}

static int path_cmp(const void *va, const void *vb)
{
	const struct bh_path *a = va, *b = vb;

	if (a->from != b->from)
		return a->from < b->from ? -1 : 1;
	if (a->opens != b->opens)
		return a->opens ? 1 : -1;
	return (a->to > b->to) - (a->to < b->to);
}

int plan_paths(struct planner *p)
{
	struct claims before = {0}, after = {0};
	struct pairs pairs = {0};
	int r = claims_collect(p->before->in, &before);

	if (r == 0)
		r = claims_collect(p->after->in, &after);
	if (r == 0)
		r = pairs_collect(p->out, &before, p->before->in->placement->insts.n, false, &pairs);
	if (r == 0)
		r = pairs_collect(p->out, &after, p->after->in->placement->insts.n, true, &pairs);
	if (r == 0 && pairs.v.n > 1)
		qsort(pairs.v.v, pairs.v.n, sizeof(*pairs.v.v), pair_cmp);
	for (size_t i = 0; i < pairs.v.n && r == 0; i++)
		if (i == 0 || pair_cmp(&pairs.v.v[i - 1], &pairs.v.v[i]) != 0)
			r = pair_compare(p, &before, &after, &pairs.v.v[i]);
	if (r == 0 && p->out->paths.n > 1)
		qsort(p->out->paths.v, p->out->paths.n, sizeof(*p->out->paths.v), path_cmp);
	bh_vec_clear(&pairs.v);
	claims_clear(&before);
	claims_clear(&after);
	return r;
}
