/* SPDX-License-Identifier: Apache-2.0 */
/* The oracle is a small kernel: it makes a plan's changes one after the other and refuses what nf_tables refuses. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <bulkhead/diff.h>

#include "rsbuild.h"

/* ---- the small kernel */

static bool stmt_refers(const struct bh_stmt *s, const char *set, const char *chain, const char *counter)
{
	bool uses_set = s->kind == BH_STMT_LOOKUP || s->kind == BH_STMT_VMAP || s->kind == BH_STMT_MAP_PRIORITY ||
		s->kind == BH_STMT_UPDATE;

	if (set && uses_set && strcmp(s->set, set) == 0)
		return true;
	if (counter && s->kind == BH_STMT_COUNTER && strcmp(s->set, counter) == 0)
		return true;
	if (chain && s->kind == BH_STMT_VERDICT && strcmp(s->chain, chain) == 0)
		return true;
	bh_vec_foreach(e, &s->elems)
		if (chain && strcmp(e->chain, chain) == 0)
			return true;
	return false;
}

static bool in_use(const struct bh_table *t, const char *set, const char *chain, const char *counter)
{
	bh_vec_foreach(c, &t->chains)
		bh_vec_foreach(r, &c->rules)
			bh_vec_foreach(s, &r->stmts)
				if (!(chain && strcmp(c->name, chain) == 0) && stmt_refers(s, set, chain, counter))
					return true;
	bh_vec_foreach(s, &t->sets)
		bh_vec_foreach(e, &s->elems)
			if (chain && s->data == BH_DATA_VERDICT && strcmp(e->chain, chain) == 0)
				return true;
	return false;
}

static bool can_jump(const struct bh_table *t, enum bh_verdict v, const char *chain)
{
	const struct bh_chain *c = bh_table_chain(t, chain);

	return (v != BH_JUMP && v != BH_GOTO) || (c && c->hook == BH_HOOK_NONE);
}

static bool stmt_is_complete(const struct bh_table *t, const struct bh_stmt *s)
{
	const struct bh_set *set = bh_table_set(t, s->set);

	bh_vec_foreach(e, &s->elems)
		if (!can_jump(t, e->verdict, e->chain))
			return false;
	switch (s->kind) {
	case BH_STMT_LOOKUP:
		return !*s->set || (set && set->data == BH_DATA_NONE && set->n_key == s->n_fields);
	case BH_STMT_VMAP:
		return !*s->set || (set && set->data == BH_DATA_VERDICT && set->n_key == s->n_fields);
	case BH_STMT_COUNTER:
		return bh_table_counter(t, s->set) != NULL;
	case BH_STMT_VERDICT:
		return can_jump(t, s->verdict, s->chain);
	case BH_STMT_FOREIGN:
		return false;
	default:
		return true;
	}
}

#define REMOVE(vec, item)                                                                          \
	do {                                                                                       \
		size_t at_ = (size_t)((item) - (vec)->v);                                          \
		memmove((item), (item) + 1, ((vec)->n - at_ - 1) * sizeof(*(item)));               \
		(vec)->n--;                                                                        \
	} while (0)

static struct bh_elem *elem_at(struct bh_set *s, const struct bh_elem *e)
{
	bh_vec_foreach(x, &s->elems)
		if (memcmp(x->key, e->key, sizeof(e->key)) == 0)
			return x;
	return NULL;
}

static void rules_clear(struct bh_chain *c)
{
	struct bh_chain old = *c;

	memset(&c->rules, 0, sizeof(c->rules));
	bh_chain_clear(&old);
}

static int apply_elems(struct bh_table *t, struct bh_set *s, const struct bh_change *c)
{
	if (!s || s->n_key == 0)
		return -ENOENT;
	for (size_t i = 0; i < c->elems.n; i++) {
		const struct bh_elem *e = c->elems.v[i];
		struct bh_elem *there = elem_at(s, e);

		if (c->kind == BH_DEL_ELEMS) {
			if (!there)
				return -ENOENT;
			REMOVE(&s->elems, there);
			continue;
		}
		if (there)
			return -EEXIST;
		if (s->data == BH_DATA_VERDICT && !can_jump(t, e->verdict, e->chain))
			return -ENOENT;
		if (bh_vec_push(&s->elems, *e) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int apply_rules(struct bh_table *t, struct bh_chain *have, const struct bh_chain *want)
{
	struct bh_chain copy;

	if (!have || have->rules.n > 0)
		return have ? -EEXIST : -ENOENT;
	bh_vec_foreach(r, &want->rules)
		bh_vec_foreach(s, &r->stmts)
			if (!stmt_is_complete(t, s))
				return -ENOENT;
	if (bh_chain_copy(&copy, want) < 0)
		return -ENOMEM;
	memcpy(&have->rules, &copy.rules, sizeof(have->rules));
	return 0;
}

static int apply_add(struct bh_table *t, const struct bh_change *c)
{
	struct bh_chain *chain;
	struct bh_set *set;

	switch (c->kind) {
	case BH_ADD_COUNTER:
		if (bh_table_counter(t, c->counter->name))
			return -EEXIST;
		return bh_vec_push(&t->counters, *c->counter);
	case BH_ADD_CHAIN:
		if (bh_table_chain(t, c->chain->name))
			return -EEXIST;
		chain = rs_need(bh_vec_add(&t->chains));
		*chain = *c->chain;
		memset(&chain->rules, 0, sizeof(chain->rules));
		return 0;
	case BH_ADD_SET:
		if (bh_table_set(t, c->set->name))
			return -EEXIST;
		set = rs_need(bh_vec_add(&t->sets));
		*set = *c->set;
		memset(&set->elems, 0, sizeof(set->elems));
		return 0;
	default:
		return -EINVAL;
	}
}

static void table_empty(struct bh_table *t)
{
	bh_vec_foreach(s, &t->sets)
		bh_set_clear(s);
	bh_vec_foreach(c, &t->chains)
		bh_chain_clear(c);
	bh_vec_clear(&t->sets);
	bh_vec_clear(&t->chains);
	bh_vec_clear(&t->counters);
	memset(t, 0, sizeof(*t));
}

static int apply_take(struct bh_table *t, const struct bh_change *c)
{
	struct bh_chain *chain = c->chain ? bh_table_chain(t, c->chain->name) : NULL;
	struct bh_set *set = c->set ? bh_table_set(t, c->set->name) : NULL;
	struct bh_counter *counter = c->counter ? bh_table_counter(t, c->counter->name) : NULL;

	if (!chain && !set && !counter)
		return -ENOENT;
	switch (c->kind) {
	case BH_FLUSH_RULES:
		rules_clear(chain);
		return 0;
	case BH_FLUSH_SET:
		bh_vec_clear(&set->elems);
		return 0;
	case BH_DEL_SET:
		if (in_use(t, set->name, NULL, NULL))
			return -EBUSY;
		if (set->data == BH_DATA_VERDICT && set->elems.n > 0)
			return -EBUSY;	/* its chains would stay in use, before Linux 6.5 */
		bh_set_clear(set);
		REMOVE(&t->sets, set);
		return 0;
	case BH_DEL_CHAIN:
		if (in_use(t, NULL, chain->name, NULL))
			return -EBUSY;
		bh_chain_clear(chain);
		REMOVE(&t->chains, chain);
		return 0;
	case BH_DEL_COUNTER:
		if (in_use(t, NULL, NULL, counter->name))
			return -EBUSY;
		REMOVE(&t->counters, counter);
		return 0;
	default:
		return -EINVAL;
	}
}

static int apply(struct bh_ruleset *r, const struct bh_plan *p)
{
	bh_vec_foreach(c, &p->changes) {
		struct bh_table *t = &r->tables[c->family];
		int ret;

		if (c->kind == BH_DEL_TABLE) {
			ret = t->present ? 0 : -ENOENT;
			table_empty(t);
		} else if (c->kind == BH_ADD_TABLE) {
			ret = t->present ? -EEXIST : 0;
			t->present = true;
			t->flags = c->table->flags;
		} else if (!t->present) {
			ret = -ENOENT;
		} else if (c->kind == BH_DEL_ELEMS || c->kind == BH_ADD_ELEMS) {
			ret = apply_elems(t, bh_table_set(t, c->set->name), c);
		} else if (c->kind == BH_ADD_RULES) {
			ret = apply_rules(t, bh_table_chain(t, c->chain->name), c->chain);
		} else if (c->kind >= BH_ADD_COUNTER) {
			ret = apply_add(t, c);
		} else {
			ret = apply_take(t, c);
		}
		if (ret < 0)
			return ret;
	}
	bh_ruleset_sort(r);
	return 0;
}

/* ---- helpers */

static struct bh_ruleset *copy_of(const struct bh_ruleset *r)
{
	struct bh_ruleset *n = rs_new();

	for (int f = 0; f < BH_FAMILY_MAX; f++) {
		const struct bh_table *t = &r->tables[f];

		n->tables[f].present = t->present;
		n->tables[f].flags = t->flags;
		bh_vec_foreach(s, &t->sets)
			if (bh_set_copy(rs_need(bh_vec_add(&n->tables[f].sets)), s) < 0)
				abort();
		bh_vec_foreach(c, &t->chains)
			if (bh_chain_copy(rs_need(bh_vec_add(&n->tables[f].chains)), c) < 0)
				abort();
		bh_vec_foreach(c, &t->counters)
			if (bh_vec_push(&n->tables[f].counters, *c) < 0)
				abort();
	}
	return n;
}

static char *text_of(const struct bh_ruleset *r)
{
	struct bh_buf b = {0};
	char *s = NULL;

	if (bh_ruleset_print(r, &b) < 0 || bh_buf_steal(&b, &s) < 0)
		abort();
	return s;
}

static char *plan_text(const struct bh_ruleset *w, const struct bh_ruleset *s)
{
	_cleanup_(bh_plan_freep) struct bh_plan *p = NULL;
	struct bh_buf b = {0};
	char *text = NULL;

	assert_int_equal(bh_diff(w, s, &p), 0);
	if (bh_plan_print(p, &b) < 0 || bh_buf_steal(&b, &text) < 0)
		abort();
	return text;
}

/* apply(diff(w, s), s) == w, and then there is nothing left to do. */
static void converges(const struct bh_ruleset *w, struct bh_ruleset *s)
{
	_cleanup_(bh_plan_freep) struct bh_plan *p = NULL;
	_cleanup_(bh_plan_freep) struct bh_plan *again = NULL;
	_cleanup_free_ char *want = text_of(w), *got = NULL;
	int r;

	assert_int_equal(bh_diff(w, s, &p), 0);
	{	/* the plan points into both sides: the kernel is another copy */
		_cleanup_(bh_ruleset_freep) struct bh_ruleset *kernel = copy_of(s);

		r = apply(kernel, p);
		if (r < 0) {
			_cleanup_free_ char *text = plan_text(w, s);

			print_error("refused with %d:\n%s", r, text);
		}
		assert_int_equal(r, 0);
		got = text_of(kernel);
		assert_string_equal(got, want);
		assert_int_equal(bh_diff(w, kernel, &again), 0);
		assert_int_equal(again->changes.n, 0);
	}
}

/* ---- random rule sets */

static uint32_t rnd(uint64_t *seed, uint32_t n)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*seed >> 33) % n;
}

static void random_elems(uint64_t *seed, struct bh_table *t, struct bh_set *s, unsigned chains)
{
	for (unsigned k = 0; k < 12; k++) {
		char key[16], chain[16];
		struct bh_elem *e;

		if (rnd(seed, 3) == 0)
			continue;
		snprintf(key, sizeof(key), "10.0.0.%u", 2 * k);
		e = rs_elem(s, key);
		if ((s->flags & BH_SET_INTERVAL) && rnd(seed, 2))
			e->key_end[3]++;
		if (s->data == BH_DATA_PRIORITY)
			e->value = 0xb80000 + rnd(seed, 3);
		if (s->data != BH_DATA_VERDICT)
			continue;
		snprintf(chain, sizeof(chain), "c%u", rnd(seed, chains));
		e->verdict = BH_ACCEPT;
		if (rnd(seed, 2) && can_jump(t, BH_JUMP, chain)) {
			e->verdict = rnd(seed, 2) ? BH_JUMP : BH_GOTO;
			strcpy(e->chain, chain);
		}
	}
}

static void random_rule(uint64_t *seed, struct bh_table *t, struct bh_chain *c)
{
	struct bh_nft_rule *r = rs_rule(c);
	char name[16], chain[16];
	struct bh_set *s;

	snprintf(name, sizeof(name), "s%u", rnd(seed, 6));
	s = bh_table_set(t, name);
	if (s && s->data == BH_DATA_NONE && !(s->flags & BH_SET_DYNAMIC))
		rs_named(r, BH_STMT_LOOKUP, FIELDS(BH_IP_SADDR), name)->op = rnd(seed, 2) ? BH_EQ : BH_NE;
	else if (s && s->data == BH_DATA_VERDICT)
		rs_named(r, BH_STMT_VMAP, FIELDS(BH_IP_SADDR), name);
	else if (s && s->data == BH_DATA_PRIORITY)
		rs_named(r, BH_STMT_MAP_PRIORITY, FIELDS(BH_IP_SADDR), name);
	else if (s)
		rs_named(r, BH_STMT_UPDATE, FIELDS(BH_IP_SADDR), name);
	snprintf(name, sizeof(name), "n%u", rnd(seed, 3));
	if (bh_table_counter(t, name))
		rs_named(r, BH_STMT_COUNTER, NULL, name);
	snprintf(chain, sizeof(chain), "c%u", rnd(seed, 6));
	if (rnd(seed, 2) && can_jump(t, BH_JUMP, chain) && strcmp(chain, c->name) != 0) {
		if (rnd(seed, 2))
			rs_verdict(r, BH_JUMP, chain);
		else
			rs_anon_verdict(rs_stmt(r, BH_STMT_VMAP, FIELDS(BH_CT_DIRECTION)), "0", BH_GOTO, chain);
	} else {
		rs_verdict(r, rnd(seed, 2) ? BH_ACCEPT : BH_DROP, NULL);
	}
}

static void random_table(uint64_t *seed, struct bh_table *t)
{
	char name[16];

	t->present = rnd(seed, 8) != 0;
	if (!t->present)
		return;
	t->flags = rnd(seed, 8) == 0;
	for (unsigned i = 0; i < 6; i++) {
		snprintf(name, sizeof(name), "c%u", i);
		if (rnd(seed, 3))
			rs_chain(t, name);
		if (t->chains.n > 0 && rnd(seed, 4) == 0)
			rs_base(&t->chains.v[t->chains.n - 1], rnd(seed, 2) ? BH_HOOK_FORWARD : BH_HOOK_INPUT, (int)rnd(seed, 2));
		snprintf(name, sizeof(name), "n%u", i);
		if (i < 3 && rnd(seed, 2))
			strcpy(((struct bh_counter *)rs_need(bh_vec_add(&t->counters)))->name, name);
	}
	for (unsigned i = 0; i < 6; i++) {
		static const unsigned flags[] = {0, BH_SET_COUNTER, BH_SET_INTERVAL, BH_SET_DYNAMIC};
		struct bh_set *s;

		snprintf(name, sizeof(name), "s%u", i);
		if (rnd(seed, 3) == 0)
			continue;
		s = rs_set(t, name, FIELDS(BH_IP_SADDR), (enum bh_data)rnd(seed, 3), 0);
		s->flags = flags[rnd(seed, s->data == BH_DATA_NONE ? 4 : 3)];
		if (!(s->flags & BH_SET_DYNAMIC))
			random_elems(seed, t, s, 6);
	}
	bh_vec_foreach(c, &t->chains)
		for (unsigned i = rnd(seed, 4); i > 0; i--)
			random_rule(seed, t, c);
}

static struct bh_ruleset *random_ruleset(uint64_t *seed)
{
	struct bh_ruleset *r = rs_new();

	for (int f = 0; f < BH_FAMILY_MAX; f++)
		random_table(seed, &r->tables[f]);
	bh_ruleset_sort(r);
	return r;
}

/* What a stranger may do to our tables. */
static void vandalise(uint64_t *seed, struct bh_ruleset *r)
{
	struct bh_table *t = &r->tables[rnd(seed, BH_FAMILY_MAX)];

	if (t->chains.n > 0) {
		struct bh_chain *c = &t->chains.v[rnd(seed, (uint32_t)t->chains.n)];

		if (rnd(seed, 2))
			rs_stmt(rs_rule(c), BH_STMT_FOREIGN, NULL);
		else if (c->rules.n > 1)
			bh_vec_foreach(s, &c->rules.v[0].stmts)
				s->number++;
	}
	if (t->sets.n > 0) {
		struct bh_set *s = &t->sets.v[rnd(seed, (uint32_t)t->sets.n)];

		if (s->elems.n > 0)
			s->elems.n--;
	}
}

static uint64_t base_seed(void)
{
	const char *s = getenv("BH_SEED");

	return s ? strtoull(s, NULL, 10) : 20261125;
}

static void any_two_rule_sets_converge(void **state)
{
	uint64_t start = base_seed();

	(void)state;
	printf("# seed %llu\n", (unsigned long long)start);
	for (unsigned i = 0; i < 3000; i++) {
		uint64_t seed = start * 1000003 + i;
		_cleanup_(bh_ruleset_freep) struct bh_ruleset *w = random_ruleset(&seed);
		_cleanup_(bh_ruleset_freep) struct bh_ruleset *s = i % 3 ? random_ruleset(&seed) : copy_of(w);

		for (unsigned k = 0; k < i % 4; k++)
			vandalise(&seed, s);
		converges(w, s);
	}
}

static void equal_rule_sets_need_nothing(void **state)
{
	uint64_t seed = base_seed();

	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		_cleanup_(bh_ruleset_freep) struct bh_ruleset *w = random_ruleset(&seed);
		_cleanup_(bh_ruleset_freep) struct bh_ruleset *s = copy_of(w);
		_cleanup_(bh_plan_freep) struct bh_plan *p = NULL;

		bh_vec_foreach(set, &s->tables[0].sets)
			bh_vec_foreach(e, &set->elems)
				e->packets = 5;		/* counts are no difference */
		assert_int_equal(bh_diff(w, s, &p), 0);
		assert_int_equal(p->changes.n, 0);
	}
}

/* ---- by hand */

static struct bh_ruleset *small(void)
{
	struct bh_ruleset *r = rs_new();
	struct bh_table *t = &r->tables[BH_FAMILY_INET];
	struct bh_set *s;

	t->present = true;
	s = rs_set(t, "zone_of4", FIELDS(BH_IIFNAME, BH_IP_SADDR), BH_DATA_PRIORITY, BH_SET_COUNTER);
	rs_elem_value(s, "br-1|10.0.0.2", 0xb80001);
	rs_elem_value(s, "br-1|10.0.0.3", 0xb80001);
	s = rs_set(t, "from_zone", FIELDS(BH_PRIORITY), BH_DATA_VERDICT, 0);
	rs_elem_verdict(s, "0xb80001", BH_JUMP, "zone_1_web");
	s = rs_set(t, "fresh", FIELDS(BH_PRIORITY), BH_DATA_NONE, BH_SET_DYNAMIC | BH_SET_TIMEOUT);
	s->timeout_ms = 10000;
	rs_set(t, "world4", FIELDS(BH_IP_SADDR), BH_DATA_PRIORITY, BH_SET_INTERVAL);
	rs_elem_value(bh_table_set(t, "world4"), "10.0.0.0", 0xb90002);
	rs_elem_value(bh_table_set(t, "world4"), "10.2.0.0", 0xb90003);
	strcpy(((struct bh_counter *)rs_need(bh_vec_add(&t->counters)))->name, "zone_1_web");
	rs_named(rs_rule(rs_chain(t, "zone_1_web")), BH_STMT_COUNTER, NULL, "zone_1_web");
	rs_base(rs_chain(t, "forward"), BH_HOOK_FORWARD, -10);
	rs_named(rs_rule(bh_table_chain(t, "forward")), BH_STMT_VMAP, FIELDS(BH_PRIORITY), "from_zone");
	bh_ruleset_sort(r);
	return r;
}

#define PLAN(change, expected_text)                                                                \
	do {                                                                                       \
		_cleanup_(bh_ruleset_freep) struct bh_ruleset *s = small();                        \
		_cleanup_(bh_ruleset_freep) struct bh_ruleset *w = small();                        \
		struct bh_table *t = &w->tables[BH_FAMILY_INET];                                   \
		_cleanup_free_ char *text = NULL;                                                  \
		(void)t;                                                                           \
		change;                                                                            \
		bh_ruleset_sort(w);                                                                \
		text = plan_text(w, s);                                                            \
		assert_string_equal(text, expected_text);                                          \
		converges(w, s);                                                                   \
	} while (0)

static void a_change_is_only_what_changed(void **state)
{
	(void)state;
	PLAN((void)0, "");
	PLAN(rs_elem_value(bh_table_set(t, "zone_of4"), "br-2|10.0.0.9", 0xb80001),
		"+ element inet zone_of4 { \"br-2\" . 10.0.0.9 : b8:1 }\n");
	PLAN(bh_table_set(t, "zone_of4")->elems.v[1].value = 0xb80002,
		"- element inet zone_of4 { \"br-1\" . 10.0.0.3 : b8:1 }\n"
		"+ element inet zone_of4 { \"br-1\" . 10.0.0.3 : b8:2 }\n");
	PLAN(bh_table_set(t, "world4")->elems.n--,
		"- elements inet world4\n+ element inet world4 { 10.0.0.0 : b9:2 }\n");
	PLAN(rs_elem(bh_table_set(t, "fresh"), "0xba0001"), "");
	PLAN(rs_elem(bh_table_set(&s->tables[BH_FAMILY_INET], "fresh"), "0xba0001"), "");
	PLAN(w->tables[BH_FAMILY_INET].present = false, "- table inet bulkhead\n");
	PLAN(rs_verdict(&bh_table_chain(t, "zone_1_web")->rules.v[0], BH_DROP, NULL),
		"- rules inet zone_1_web (1)\n+ rules inet zone_1_web (1)\n");
}

/* Whom packets were counted for goes when it is wanted no more; who is only named is not added. */
static void what_packets_left_is_swept(void **state)
{
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *wanted = small(), *seen = small();
	struct bh_table *w = &wanted->tables[BH_FAMILY_INET], *s = &seen->tables[BH_FAMILY_INET];
	_cleanup_(bh_plan_freep) struct bh_plan *plan = NULL, *other = NULL;
	_cleanup_free_ char *text = NULL;

	(void)state;
	rs_elem(rs_set(w, "max_5", FIELDS(BH_PRIORITY), BH_DATA_NONE, BH_SET_DYNAMIC), "7");
	rs_elem(bh_table_set(w, "max_5"), "8");
	rs_elem(rs_set(s, "max_5", FIELDS(BH_PRIORITY), BH_DATA_NONE, BH_SET_DYNAMIC), "7");
	rs_elem(bh_table_set(s, "max_5"), "9");
	bh_ruleset_sort(wanted);
	bh_ruleset_sort(seen);
	text = plan_text(wanted, seen);
	assert_string_equal(text, "- element inet max_5 { 0:9 }\n");
	assert_int_equal(bh_diff(wanted, seen, &plan), 0);
	assert_true(bh_plan_only_sweeps(plan));
	bh_table_set(w, "zone_of4")->elems.n--;
	assert_int_equal(bh_diff(wanted, seen, &other), 0);
	assert_false(bh_plan_only_sweeps(other));
}

static void what_is_replaced_lets_go_of_what_uses_it(void **state)
{
	(void)state;
	PLAN(bh_table_set(t, "from_zone")->flags = BH_SET_COUNTER,
		"- rules inet forward (1)\n- elements inet from_zone\n- set inet from_zone\n+ set inet from_zone\n"
		"+ rules inet forward (1)\n+ element inet from_zone { b8:1 : jump zone_1_web }\n");
	PLAN(bh_table_chain(t, "forward")->priority = 0,
		"- rules inet forward (1)\n- chain inet forward\n+ chain inet forward\n+ rules inet forward (1)\n");
	PLAN(bh_table_chain(t, "forward")->policy = BH_DROP,
		"- rules inet forward (1)\n- chain inet forward\n+ chain inet forward\n+ rules inet forward (1)\n");
	PLAN(strcpy(bh_table_chain(t, "forward")->device, "eth0"),
		"- rules inet forward (1)\n- chain inet forward\n+ chain inet forward\n+ rules inet forward (1)\n");
	PLAN(t->flags = 1,
		"- table inet bulkhead\n+ table inet bulkhead\n+ counter inet zone_1_web\n+ chain inet forward\n"
		"+ chain inet zone_1_web\n+ set inet fresh\n+ set inet from_zone\n+ set inet world4\n+ set inet zone_of4\n"
		"+ rules inet forward (1)\n+ rules inet zone_1_web (1)\n"
		"+ element inet from_zone { b8:1 : jump zone_1_web }\n"
		"+ element inet world4 { 10.0.0.0 : b9:2, 10.2.0.0 : b9:3 }\n"
		"+ element inet zone_of4 { \"br-1\" . 10.0.0.2 : b8:1, \"br-1\" . 10.0.0.3 : b8:1 }\n");
}

static void many_elements_are_one_line(void **state)
{
	(void)state;
	PLAN(for (unsigned i = 10; i < 30; i++) {
		char key[32];

		snprintf(key, sizeof(key), "br-1|10.0.1.%u", i);
		rs_elem_value(bh_table_set(t, "zone_of4"), key, 1);
	},
		"+ element inet zone_of4 { \"br-1\" . 10.0.1.10 : 0:1, \"br-1\" . 10.0.1.11 : 0:1, \"br-1\" . 10.0.1.12 : 0:1, "
		"\"br-1\" . 10.0.1.13 : 0:1, \"br-1\" . 10.0.1.14 : 0:1, \"br-1\" . 10.0.1.15 : 0:1, \"br-1\" . 10.0.1.16 : 0:1, "
		"\"br-1\" . 10.0.1.17 : 0:1, and 12 more }\n");
}

/* Both sides the same but for these flags: what is planned. */
static char *flags_plan(uint32_t wanted, uint32_t seen)
{
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *w = small(), *s = small();

	w->tables[BH_FAMILY_INET].flags = wanted;
	s->tables[BH_FAMILY_INET].flags = seen;
	s->tables[BH_FAMILY_INET].owner = seen & BH_TABLE_OWNER ? 4711 : 0;
	return plan_text(w, s);
}

static void a_table_without_an_owner_is_owned_and_kept(void **state)
{
	const uint32_t ours = BH_TABLE_OWNER | BH_TABLE_PERSIST;
	static const struct {
		uint32_t seen;
		const char *begins;
	} cases[] = {
		{ BH_TABLE_OWNER | BH_TABLE_PERSIST, "" },
		{ BH_TABLE_PERSIST, "+ owner of inet bulkhead\n" },
		{ BH_TABLE_PERSIST | BH_TABLE_DORMANT, "+ owner of inet bulkhead\n" },
		/* the kernel gives no owner to a table that does not persist: replaced, in one transaction */
		{ 0, "- table inet bulkhead\n+ table inet bulkhead\n" },
		{ BH_TABLE_OWNER, "- table inet bulkhead\n+ table inet bulkhead\n" },
		/* refused by the kernel, with a reason; nothing else would make it ours */
		{ BH_TABLE_OWNER | BH_TABLE_PERSIST | BH_TABLE_FOREIGN, "- table inet bulkhead\n+ table inet bulkhead\n" },
		/* a stranger's base chain that no plan can name */
		{ BH_TABLE_PERSIST | 0x80000000u, "- table inet bulkhead\n+ table inet bulkhead\n" },
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *text = flags_plan(ours, cases[i].seen);

		if (strlen(cases[i].begins) < 30)
			assert_string_equal(text, cases[i].begins);
		else
			assert_memory_equal(text, cases[i].begins, strlen(cases[i].begins));
	}
	{	/* without ownership (an older kernel, a masked probe) what persists is replaced, too */
		_cleanup_free_ char *text = flags_plan(0, BH_TABLE_PERSIST);

		assert_memory_equal(text, "- table inet bulkhead\n+ table", 29);
	}
}

/* The oracle itself must be able to refuse. */
static void the_small_kernel_refuses(void **state)
{
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *s = small();
	struct bh_plan p = {0};
	struct bh_table *t = &s->tables[BH_FAMILY_INET];
	struct bh_change *c = rs_need(bh_vec_add(&p.changes));

	(void)state;
	*c = (struct bh_change){.kind = BH_DEL_CHAIN, .chain = bh_table_chain(t, "zone_1_web"), .table = t};
	assert_int_equal(apply(s, &p), -EBUSY);
	*c = (struct bh_change){.kind = BH_DEL_SET, .set = bh_table_set(t, "from_zone"), .table = t};
	assert_int_equal(apply(s, &p), -EBUSY);
	*c = (struct bh_change){.kind = BH_ADD_SET, .set = bh_table_set(t, "from_zone"), .table = t};
	assert_int_equal(apply(s, &p), -EEXIST);
	*c = (struct bh_change){.kind = BH_ADD_TABLE, .table = t};
	assert_int_equal(apply(s, &p), -EEXIST);
	*c = (struct bh_change){.kind = BH_DEL_COUNTER, .counter = bh_table_counter(t, "zone_1_web"), .table = t};
	assert_int_equal(apply(s, &p), -EBUSY);
	bh_vec_clear(&p.changes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_small_kernel_refuses),
		cmocka_unit_test(a_change_is_only_what_changed),
		cmocka_unit_test(what_packets_left_is_swept),
		cmocka_unit_test(what_is_replaced_lets_go_of_what_uses_it),
		cmocka_unit_test(many_elements_are_one_line),
		cmocka_unit_test(a_table_without_an_owner_is_owned_and_kept),
		cmocka_unit_test(equal_rule_sets_need_nothing),
		cmocka_unit_test(any_two_rule_sets_converge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
