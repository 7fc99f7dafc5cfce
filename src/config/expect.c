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
	struct bh_diags *diags;
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
	struct bh_diag d = { .severity = BH_SEVERITY_ERROR, .line = expect->loc.line, .column = expect->loc.column };
	int r;

	bh_buf_puts(&text, "the expectation fails: ");
	put_pair(c, pair, &text);
	bh_buf_puts(&text, expect->expect_accept ? " is not open on all of " : " is open on ");
	bh_portset_print(ports, &text);
	if (because)
		bh_buf_printf(&text, " (%s:%u)", because->loc.file, because->loc.line);
	r = bh_buf_steal(&text, &d.message);
	if (r == 0 && expect->loc.file)
		r = bh_strdup(&d.file, expect->loc.file);
	if (r == 0)
		r = bh_vec_push(&c->diags->v, d);
	if (r < 0) {
		free(d.message);
		free(d.file);
		return r;
	}
	c->diags->errors++;
	return 0;
}

/* All of WANT must be open for PAIR, by rules that each cover the whole pair. */
static int check_accept(struct check *c, const struct bh_allow *pair, const struct bh_portset *want, bool *fails)
{
	struct bh_portset open = {0};
	int r = 0;

	bh_vec_foreach(a, &c->allows.v)
		if (r == 0 && bh_allow_covers(a, pair))
			r = bh_allow_ports(c->policy->allow.v, a, &open);
	if (r == 0 && !bh_portset_covers(&open, want)) {
		*fails = true;
		r = complain(c, pair, want, NULL);
	}
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
static int check_deny(struct check *c, const struct bh_allow *pair, const struct bh_portset *want, bool *fails)
{
	bh_vec_foreach(a, &c->allows.v) {
		struct bh_portset open = {0};
		bool meet;
		int r;

		if (!pairs_meet(a, pair))
			continue;
		r = bh_allow_ports(c->policy->allow.v, a, &open);
		meet = r == 0 && portsets_meet(&open, want);
		if (meet) {
			*fails = true;
			r = complain(c, pair, &open, &c->policy->allow.v[a->rule]);
		}
		bh_portset_clear(&open);
		if (r < 0 || meet)
			return r;
	}
	return 0;
}

static int check_pair(struct check *c, const struct bh_allow *pair, bool *fails)
{
	struct bh_portset want = {0};
	int r = bh_allow_ports(c->policy->expect.v, pair, &want);

	if (r == 0 && c->policy->expect.v[pair->rule].expect_accept)
		r = check_accept(c, pair, &want, fails);
	else if (r == 0)
		r = check_deny(c, pair, &want, fails);
	bh_portset_clear(&want);
	return r;
}

int bh_expect_check(const struct bh_policy *p, struct bh_diags *diags, size_t *ret_failed)
{
	struct check c = { .policy = p, .diags = diags };
	size_t failed = 0;
	int r = bh_allow_expand(p, p->allow.v, p->allow.n, &c.allows, NULL);

	if (r == 0)
		r = bh_allow_expand(p, p->expect.v, p->expect.n, &c.wants, NULL);
	for (size_t i = 0; r == 0 && i < c.wants.v.n;) {
		size_t expect = c.wants.v.v[i].rule;
		bool fails = false;

		for (; r == 0 && i < c.wants.v.n && c.wants.v.v[i].rule == expect; i++)
			r = check_pair(&c, &c.wants.v.v[i], &fails);
		failed += fails;
	}
	bh_allows_clear(&c.allows);
	bh_allows_clear(&c.wants);
	if (r == 0)
		*ret_failed = failed;
	return r;
}
