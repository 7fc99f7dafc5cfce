/* SPDX-License-Identifier: Apache-2.0 */
/* The proof that every packet meets a verdict, and that it is not given for rule sets with a hole. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <bulkhead/ruleset.h>

static struct bh_chain *chain(struct bh_ruleset *r, const char *name, enum bh_hook hook)
{
	struct bh_table *t = &r->tables[BH_FAMILY_INET];
	struct bh_chain c = {.hook = hook, .policy = BH_ACCEPT};

	snprintf(c.name, sizeof(c.name), "%s", name);
	assert_int_equal(bh_vec_push(&t->chains, c), 0);
	return &t->chains.v[t->chains.n - 1];
}

static struct bh_stmt verdict(enum bh_verdict v, const char *target)
{
	struct bh_stmt s = {.kind = BH_STMT_VERDICT, .verdict = v};

	snprintf(s.chain, sizeof(s.chain), "%s", target);
	return s;
}

static const struct bh_stmt match = {.kind = BH_STMT_MATCH, .fields = {BH_L4PROTO}, .n_fields = 1, .op = BH_EQ, .value = {6}};
static const struct bh_stmt count = {.kind = BH_STMT_COUNTER, .set = "c"};

/* Appends a rule of up to two statements; the second may have the kind of nothing (a match of no field). */
static void rule(struct bh_chain *c, struct bh_stmt a, const struct bh_stmt *b)
{
	struct bh_nft_rule r = {0};

	assert_int_equal(bh_vec_push(&r.stmts, a), 0);
	if (b)
		assert_int_equal(bh_vec_push(&r.stmts, *b), 0);
	assert_int_equal(bh_vec_push(&c->rules, r), 0);
}

static void proves(struct bh_ruleset *r, const char *want)
{
	struct bh_error err = {0};
	int ret;

	bh_ruleset_sort(r);
	ret = bh_ruleset_prove(r, &err);
	if (want) {
		assert_int_equal(ret, -EINVAL);
		assert_string_equal(err.msg, want);
	} else {
		assert_string_equal(err.msg, "");
		assert_int_equal(ret, 0);
	}
	bh_ruleset_free(r);
}

static struct bh_ruleset *fresh(void)
{
	struct bh_ruleset *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	return r;
}

static void explicit_verdicts_end(void **state)
{
	struct bh_ruleset *r = fresh();
	struct bh_stmt drop = verdict(BH_DROP, ""), go = verdict(BH_GOTO, "rest");
	struct bh_chain *c;

	(void)state;
	chain(r, "forward", BH_HOOK_FORWARD);
	c = &r->tables[BH_FAMILY_INET].chains.v[0];
	rule(c, match, &go);
	rule(c, count, &drop);
	c = chain(r, "rest", BH_HOOK_NONE);
	rule(c, verdict(BH_ACCEPT, ""), NULL);
	proves(r, NULL);
}

static void a_missing_last_verdict_is_found(void **state)
{
	struct bh_ruleset *r = fresh();
	struct bh_stmt drop = verdict(BH_DROP, "");

	(void)state;
	rule(chain(r, "forward", BH_HOOK_FORWARD), match, &drop);
	proves(r, "chain forward: a packet may reach the end of chain forward without a verdict");
}

static void goto_does_not_come_back(void **state)
{
	for (int i = 0; i < 2; i++) {
		struct bh_ruleset *r = fresh();
		struct bh_stmt go = verdict(i ? BH_GOTO : BH_JUMP, "judge"), drop = verdict(BH_DROP, "");
		struct bh_chain *c = chain(r, "forward", BH_HOOK_FORWARD);

		rule(c, match, &go);
		rule(c, verdict(BH_DROP, ""), NULL);
		c = chain(r, "judge", BH_HOOK_NONE);
		rule(c, match, &drop);
		proves(r, i ? "chain forward: a packet may reach the end of chain judge without a verdict" : NULL);
	}
	(void)state;
}

static void a_goto_out_of_a_jumped_chain_returns_to_the_jump(void **state)
{
	struct bh_ruleset *r = fresh();
	struct bh_chain *c = chain(r, "forward", BH_HOOK_FORWARD);

	(void)state;
	rule(c, verdict(BH_JUMP, "a"), NULL);
	rule(c, verdict(BH_DROP, ""), NULL);
	rule(chain(r, "a", BH_HOOK_NONE), verdict(BH_GOTO, "b"), NULL);
	rule(chain(r, "b", BH_HOOK_NONE), verdict(BH_RETURN, ""), NULL);
	proves(r, NULL);
}

static void an_unconditional_goto_hides_what_follows(void **state)
{
	struct bh_ruleset *r = fresh();
	struct bh_chain *c = chain(r, "forward", BH_HOOK_FORWARD);

	(void)state;
	rule(c, verdict(BH_GOTO, "a"), NULL);
	rule(c, verdict(BH_DROP, ""), NULL);
	rule(chain(r, "a", BH_HOOK_NONE), count, NULL);
	proves(r, "chain forward: a packet may reach the end of chain a without a verdict");
}

static void every_element_of_a_map_is_followed(void **state)
{
	for (int i = 0; i < 2; i++) {
		struct bh_ruleset *r = fresh();
		struct bh_table *t = &r->tables[BH_FAMILY_INET];
		struct bh_stmt vmap = {.kind = BH_STMT_VMAP, .fields = {BH_PRIORITY}, .n_fields = 1, .set = "from_zone"};
		struct bh_chain *c = chain(r, "forward", BH_HOOK_FORWARD);
		struct bh_set s = {.name = "from_zone", .key = {BH_PRIORITY}, .n_key = 1, .data = BH_DATA_VERDICT};
		struct bh_elem e = {.key = {1}, .verdict = i ? BH_GOTO : BH_JUMP, .chain = "zone"};

		rule(c, vmap, NULL);
		rule(c, verdict(BH_DROP, ""), NULL);
		rule(chain(r, "zone", BH_HOOK_NONE), count, NULL);
		assert_int_equal(bh_vec_push(&s.elems, e), 0);
		assert_int_equal(bh_vec_push(&t->sets, s), 0);
		proves(r, i ? "chain forward: a packet may reach the end of chain zone without a verdict" : NULL);
	}
	(void)state;
}

static void what_is_missing_or_endless_is_refused(void **state)
{
	struct bh_ruleset *r = fresh();
	struct bh_stmt vmap = {.kind = BH_STMT_VMAP, .fields = {BH_PRIORITY}, .n_fields = 1, .set = "nowhere"};

	(void)state;
	rule(chain(r, "forward", BH_HOOK_FORWARD), verdict(BH_GOTO, "gone"), NULL);
	proves(r, "there is no chain gone");

	r = fresh();
	rule(chain(r, "forward", BH_HOOK_FORWARD), vmap, NULL);
	proves(r, "chain forward: there is no map nowhere");

	r = fresh();
	rule(chain(r, "forward", BH_HOOK_FORWARD), verdict(BH_JUMP, "a"), NULL);
	rule(chain(r, "a", BH_HOOK_NONE), verdict(BH_JUMP, "a"), NULL);
	proves(r, "chain a leads back to itself");
}

/* Chains a0, a1, … N of them, each leading to the next, the last one to END, or dropping. */
static void row(struct bh_ruleset *r, const char *name, unsigned n, const char *end)
{
	for (unsigned i = 0; i < n; i++) {
		char this[BH_NAME], next[BH_NAME];

		snprintf(this, sizeof(this), "%s%u", name, i);
		snprintf(next, sizeof(next), "%s%u", name, i + 1);
		rule(chain(r, this, BH_HOOK_NONE), i + 1 < n ? verdict(BH_GOTO, next) : end ? verdict(BH_GOTO, end) : verdict(BH_DROP, ""), NULL);
	}
}

/* The kernel refuses more than 16 chains on one way, the base chain among them. */
static void what_is_too_deep_is_refused(void **state)
{
	struct bh_ruleset *r = fresh();

	(void)state;
	rule(chain(r, "forward", BH_HOOK_FORWARD), verdict(BH_GOTO, "a0"), NULL);
	row(r, "a", 15, NULL);
	proves(r, NULL);
	r = fresh();
	rule(chain(r, "forward", BH_HOOK_FORWARD), verdict(BH_GOTO, "a0"), NULL);
	row(r, "a", 16, NULL);
	proves(r, "chain forward: a way through it has more than 16 chains");
	/* what was walked from near is deep from afar */
	r = fresh();
	rule(chain(r, "forward", BH_HOOK_FORWARD), verdict(BH_GOTO, "a0"), NULL);
	rule(chain(r, "input", BH_HOOK_INPUT), verdict(BH_GOTO, "b0"), NULL);
	row(r, "a", 8, NULL);
	row(r, "b", 8, "a0");
	proves(r, "chain input: a way through it has more than 16 chains");
}

static void a_rule_that_may_not_apply_ends_nothing(void **state)
{
	static const enum bh_stmt_kind kinds[] = {BH_STMT_MATCH, BH_STMT_LOOKUP, BH_STMT_LIMIT, BH_STMT_MAP_PRIORITY, BH_STMT_UPDATE};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(kinds); i++) {
		struct bh_ruleset *r = fresh();
		struct bh_stmt s = {.kind = kinds[i]}, drop = verdict(BH_DROP, "");

		rule(chain(r, "input", BH_HOOK_INPUT), s, &drop);
		proves(r, "chain input: a packet may reach the end of chain input without a verdict");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(explicit_verdicts_end),
		cmocka_unit_test(a_missing_last_verdict_is_found),
		cmocka_unit_test(goto_does_not_come_back),
		cmocka_unit_test(a_goto_out_of_a_jumped_chain_returns_to_the_jump),
		cmocka_unit_test(an_unconditional_goto_hides_what_follows),
		cmocka_unit_test(every_element_of_a_map_is_followed),
		cmocka_unit_test(what_is_missing_or_endless_is_refused),
		cmocka_unit_test(what_is_too_deep_is_refused),
		cmocka_unit_test(a_rule_that_may_not_apply_ends_nothing),
	};

	return cmocka_run_group_tests_name("prove", tests, NULL, NULL);
}
