/* SPDX-License-Identifier: Apache-2.0 */
#include "spans.h"

#include <errno.h>
#include <string.h>

int spans_add(struct spans *s, const struct bh_prefix *p, enum rank rank, uint32_t id)
{
	struct span *n = bh_vec_add(&s->v);

	if (!n)
		return -ENOMEM;
	bh_prefix_range(p, &n->first, &n->last);
	n->rank = rank;
	n->len = p->len;
	n->id = id;
	return 0;
}

int spans_add_text(struct spans *s, const char *const *texts, size_t n, enum rank rank, uint32_t id)
{
	for (size_t i = 0; i < n; i++) {
		struct bh_prefix p;
		int r = bh_prefix_parse(texts[i], &p);

		if (r == 0)
			r = spans_add(s, &p, rank, id);
		if (r < 0)
			return r;
	}
	return 0;
}

static int span_cmp(const void *a, const void *b)
{
	return bh_addr_cmp(&((const struct span *)a)->first, &((const struct span *)b)->first);
}

static int addr_cmp(const void *a, const void *b)
{
	return bh_addr_cmp(a, b);
}

/* Where the answer may change: every first address, and the one after every last. */
struct cuts {
	BH_VEC(struct bh_addr) v;
};

static int cuts_collect(const struct spans *s, uint8_t family, struct cuts *cuts)
{
	size_t n = 0;

	bh_vec_foreach(x, &s->v) {
		struct bh_addr after;

		if (x->first.family != family)
			continue;
		if (bh_vec_push(&cuts->v, x->first) < 0)
			return -ENOMEM;
		if (bh_addr_next(&x->last, &after) && bh_vec_push(&cuts->v, after) < 0)
			return -ENOMEM;
	}
	if (cuts->v.n > 1)
		qsort(cuts->v.v, cuts->v.n, sizeof(*cuts->v.v), addr_cmp);
	for (size_t i = 0; i < cuts->v.n; i++)
		if (n == 0 || bh_addr_cmp(&cuts->v.v[n - 1], &cuts->v.v[i]) != 0)
			cuts->v.v[n++] = cuts->v.v[i];
	cuts->v.n = n;
	return 0;
}

static int rank_cmp(const struct span *a, const struct span *b)
{
	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	return a->len != b->len ? (a->len > b->len ? -1 : 1) : 0;
}

/* The spans that hold the present address. Prefixes nest, so these are few. */
struct active {
	BH_VEC(const struct span *) v;
};

static uint32_t active_id(struct active *a, const struct bh_addr *at)
{
	const struct span *best = NULL;
	uint32_t id = 0;
	size_t n = 0;

	for (size_t i = 0; i < a->v.n; i++) {
		const struct span *x = a->v.v[i];
		int c;

		if (bh_addr_cmp(&x->last, at) < 0)
			continue;
		a->v.v[n++] = x;
		c = best ? rank_cmp(x, best) : -1;
		if (c < 0) {
			best = x;
			id = x->id;
		} else if (c == 0 && x->id != id) {
			id = SPAN_DISPUTED;
		}
	}
	a->v.n = n;
	return id;
}

static struct bh_addr last_of_family(uint8_t family)
{
	struct bh_addr a = {.family = family};

	memset(a.b, 0xff, family == 4 ? 4 : 16);
	return a;
}

static bool is_told(const struct span_range *r)
{
	return r->id != 0 && r->id != SPAN_DISPUTED;
}

int spans_flatten(struct spans *s, uint8_t family, int (*fn)(void *userdata, const struct span_range *r), void *userdata)
{
	struct cuts cuts = {0};
	struct active active = {0};
	struct span_range run = {0};
	size_t next = 0;
	int r = cuts_collect(s, family, &cuts);

	if (s->v.n > 1)
		qsort(s->v.v, s->v.n, sizeof(*s->v.v), span_cmp);
	for (size_t i = 0; i < cuts.v.n && r == 0; i++) {
		const struct bh_addr *at = &cuts.v.v[i];
		uint32_t id;

		for (; next < s->v.n && bh_addr_cmp(&s->v.v[next].first, at) <= 0 && r == 0; next++) {
			const struct span *x = &s->v.v[next];

			r = x->first.family == family ? bh_vec_push(&active.v, x) : 0;
		}
		id = active_id(&active, at);
		if (r == 0 && id != run.id) {
			if (is_told(&run) && bh_addr_prev(at, &run.last))
				r = fn(userdata, &run);
			run = (struct span_range){.first = *at, .id = id};
		}
	}
	if (r == 0 && is_told(&run)) {
		run.last = last_of_family(family);
		r = fn(userdata, &run);
	}
	bh_vec_clear(&cuts.v);
	bh_vec_clear(&active.v);
	return r;
}
