/* SPDX-License-Identifier: Apache-2.0 */
#include <bulkhead/allow.h>
#include <bulkhead/expect.h>

#include <errno.h>
#include <string.h>

static bool values_conflict(const char *a, const char *b)
{
	return a && b && strcmp(a, b) != 0;
}

/* Whether some concrete pair of zones is joined by both. */
static bool pairs_meet(const struct bh_allow *a, const struct bh_allow *b)
{
	const char *from = a->from.value ? a->from.value : b->from.value;
	const char *to = a->to.value ? a->to.value : b->to.value;
	bool equal = a->values == BH_VALUES_EQUAL || b->values == BH_VALUES_EQUAL;
	bool different = a->values == BH_VALUES_DIFFERENT || b->values == BH_VALUES_DIFFERENT;

	if (!bh_end_same_zone(&a->from, &b->from) || !bh_end_same_zone(&a->to, &b->to))
		return false;
	if (values_conflict(a->from.value, b->from.value) || values_conflict(a->to.value, b->to.value))
		return false;
	if (from && to && ((equal && strcmp(from, to) != 0) || (different && strcmp(from, to) == 0)))
		return false;
	return !(equal && different);
}

struct check {
	const struct bh_policy *policy;
	struct bh_allows allows, wants;
	struct bh_expect_failures *failures;
};

/* "web to db" */
static void put_pair(const struct check *c, const struct bh_allow *pair, struct bh_buf *out)
{
	bh_end_print(c->policy, &pair->from, out);
	bh_buf_puts(out, pair->values == BH_VALUES_DIFFERENT ? " to another value's " : " to ");
	bh_end_print(c->policy, &pair->to, out);
}

static int complain(struct check *c, const struct bh_allow *pair, const struct bh_portset *ports, const struct bh_rule *because)
{
	const struct bh_rule *expect = &c->policy->expect.v[pair->rule];
	_cleanup_buf_ struct bh_buf text = {0};
	struct bh_expect_failure f = { .expect = pair->rule, .loc = expect->loc };
	size_t told = 0;
	int r;

	bh_vec_foreach(old, &c->failures->v)
		told += old->expect == pair->rule;
	if (told >= BH_EXPECT_TOLD)
		return 0;
	put_pair(c, pair, &text);
	bh_buf_puts(&text, ": ");
	bh_portset_print(ports, &text);
	if (because)
		bh_buf_printf(&text, " is open (%s:%u), expected deny", because->loc.file, because->loc.line);
	else
		bh_buf_puts(&text, " is not all open, expected accept");
	r = bh_buf_steal(&text, &f.message);
	if (r == 0)
		r = bh_vec_push(&c->failures->v, f);
	if (r < 0)
		free(f.message);
	return r;
}

/* All of WANT must be open for PAIR, by rules that each cover the whole pair. */
static int check_accept(struct check *c, const struct bh_allow *pair, const struct bh_portset *want)
{
	struct bh_portset open = {0};
	int r = 0;

	bh_vec_foreach(a, &c->allows.v)
		if (r == 0 && bh_allow_covers(a, pair))
			r = bh_allow_ports(c->policy->allow.v, a, &open);
	if (r == 0 && !bh_portset_covers(&open, want))
		r = complain(c, pair, want, NULL);
	bh_portset_clear(&open);
	return r;
}

static bool portsets_meet(const struct bh_portset *a, const struct bh_portset *b)
{
	if (a->all || b->all)
		return !bh_portset_is_empty(a) && !bh_portset_is_empty(b);
	bh_vec_foreach(p, &b->ports)
		if (bh_portset_meets(a, p))
			return true;
	return false;
}

/* No rule may open any of WANT for any of the pair's zones. The first that does is told. */
static int check_deny(struct check *c, const struct bh_allow *pair, const struct bh_portset *want)
{
	bh_vec_foreach(a, &c->allows.v) {
		struct bh_portset open = {0};
		bool meet;
		int r;

		if (!pairs_meet(a, pair))
			continue;
		r = bh_allow_ports(c->policy->allow.v, a, &open);
		meet = r == 0 && portsets_meet(&open, want);
		if (meet)
			r = complain(c, pair, &open, &c->policy->allow.v[a->rule]);
		bh_portset_clear(&open);
		if (r < 0 || meet)
			return r;
	}
	return 0;
}

static int check_pair(struct check *c, const struct bh_allow *pair)
{
	struct bh_portset want = {0};
	int r = bh_allow_ports(c->policy->expect.v, pair, &want);

	if (r == 0 && c->policy->expect.v[pair->rule].expect_accept)
		r = check_accept(c, pair, &want);
	else if (r == 0)
		r = check_deny(c, pair, &want);
	bh_portset_clear(&want);
	return r;
}

void bh_expect_failures_clear(struct bh_expect_failures *f)
{
	bh_vec_foreach(i, &f->v)
		free(i->message);
	bh_vec_clear(&f->v);
}

int bh_expect_print(const struct bh_expect_failures *f, struct bh_buf *out)
{
	bh_vec_foreach(i, &f->v)
		bh_buf_printf(out, "%s:%u:%u: expectation fails: %s\n", i->loc.file, i->loc.line, i->loc.column, i->message);
	return out->err;
}

int bh_expect_check(const struct bh_policy *p, struct bh_expect_failures *ret, struct bh_error *err)
{
	struct check c = { .policy = p, .failures = ret };
	int r = bh_allow_expand(p, p->allow.v, p->allow.n, &c.allows, err);

	if (r == 0)
		r = bh_allow_expand(p, p->expect.v, p->expect.n, &c.wants, err);
	bh_vec_foreach(pair, &c.wants.v)
		if (r == 0)
			r = check_pair(&c, pair);
	bh_allows_clear(&c.allows);
	bh_allows_clear(&c.wants);
	if (r < 0) {
		bh_expect_failures_clear(ret);
		return bh_fail(err, r, "out of memory");
	}
	return 0;
}
