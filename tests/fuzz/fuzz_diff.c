/* SPDX-License-Identifier: Apache-2.0 */
/* From one rule set to another, both made of the fuzzer's bytes: what the difference makes of the first is the second, in one transaction that a kernel takes; one that
 * lacks a change is taken whole or leaves all as it was. */
#include "../netns/rsrandom.h"

#include <bulkhead/diff.h>
#include <bulkhead/nft.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool ok)
{
	if (!ok)
		abort();
}

static struct bh_ruleset *look(struct bh_nft *n)
{
	struct bh_ruleset *seen = NULL;

	need(n->ops->observe(n, &seen, NULL) == 0);
	return seen;
}

static struct bh_plan *plan(const struct bh_ruleset *wanted, const struct bh_ruleset *seen)
{
	struct bh_plan *p = NULL;
	struct bh_buf text = {0};

	need(bh_diff(wanted, seen, &p) == 0 && bh_plan_print(p, &text) == 0);
	bh_buf_free(&text);
	return p;
}

/* Nothing is left to do from the one to the other, and nothing back. */
static bool same(const struct bh_ruleset *a, const struct bh_ruleset *b)
{
	struct bh_plan *there = plan(a, b), *back = plan(b, a);
	bool r = there->changes.n == 0 && back->changes.n == 0;

	bh_plan_free(there);
	bh_plan_free(back);
	return r;
}

static void go(struct bh_nft *n, const struct bh_ruleset *wanted)
{
	struct bh_ruleset *seen = look(n), *after;
	struct bh_plan *p = plan(wanted, seen);

	need(n->ops->apply(n, p, NULL) == 0);
	after = look(n);
	need(same(wanted, after));
	bh_ruleset_free(after);
	bh_plan_free(p);
	bh_ruleset_free(seen);
}

/* The plan to WANTED with one change left out. */
static void go_broken(struct bh_nft *n, const struct bh_ruleset *wanted, struct rng *r)
{
	struct bh_ruleset *seen = look(n), *after;
	struct bh_plan *p = plan(wanted, seen);
	struct bh_change c;
	size_t at;

	if (p->changes.n > 0) {
		at = rnd(r, (uint32_t)p->changes.n);
		c = p->changes.v[at];
		memmove(&p->changes.v[at], &p->changes.v[at + 1], (p->changes.n - at - 1) * sizeof(c));
		p->changes.n--;
		if (n->ops->apply(n, p, NULL) < 0) {
			after = look(n);
			need(same(seen, after));
			bh_ruleset_free(after);
		}
		p->changes.v[p->changes.n++] = c;	/* the plan's again, wherever it stands */
	}
	bh_plan_free(p);
	bh_ruleset_free(seen);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rng r = {.s = 88172645463325252u, .data = data, .n = size / 2};
	struct bh_ruleset *a = ruleset_random(&r), *b;
	struct bh_nft *n = NULL;

	r.data = data + size / 2;
	r.n = size - size / 2;
	b = ruleset_random(&r);
	need(bh_nft_fake_new(&n) == 0);
	go(n, a);
	go_broken(n, b, &r);
	go(n, a);
	go(n, b);
	go(n, a);
	bh_nft_free(n);
	bh_ruleset_free(a);
	bh_ruleset_free(b);
	return 0;
}
