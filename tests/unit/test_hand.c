/* SPDX-License-Identifier: Apache-2.0 */
/* What is said by hand: the text that is kept, and what it makes of a policy. */
#include "../../src/daemon/hand.h"

#include <bulkhead/config.h>

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define SECOND 1000000ull

static void item_add(struct bh_hand *h, struct bh_hand_item i, const char *id, const char *from, const char *to, const char *port)
{
	assert_int_equal(bh_strdup(&i.id, id), 0);
	assert_int_equal(bh_strdup(&i.name, id ? "we\"b\n1" : NULL), 0);
	assert_int_equal(bh_strdup(&i.from, from), 0);
	assert_int_equal(bh_strdup(&i.to, to), 0);
	assert_int_equal(port ? bh_strv_push(&i.ports, port) : 0, 0);
	assert_int_equal(bh_vec_push(&h->v, i), 0);
}

static struct bh_hand example(void)
{
	struct bh_hand h = {.locked = true, .retimed = 7};

	item_add(&h, (struct bh_hand_item){.kind = BH_HAND_QUARANTINE}, "0123", NULL, NULL, NULL);
	item_add(&h, (struct bh_hand_item){.kind = BH_HAND_ALLOW, .for_usec = 100 * SECOND, .end_boot = 150 * SECOND, .end_real = 1150 * SECOND}, NULL, "web",
		"db", "tcp/5432");
	return h;
}

static void what_is_kept_comes_back(void **state)
{
	struct bh_hand h = example(), same = {0}, other = {0}, wrong = {0};
	_cleanup_free_ char *text = bh_hand_print(&h, "boot-1");

	(void)state;
	assert_non_null(text);
	assert_int_equal(bh_hand_parse(text, "boot-1", 60 * SECOND, 5000 * SECOND, &same), 0);
	assert_true(same.locked);
	assert_int_equal(same.retimed, 7);
	assert_int_equal(same.v.n, 2);
	assert_string_equal(same.v.v[0].name, "we\"b\n1");
	assert_int_equal(bh_hand_left(&same.v.v[0], 1), UINT64_MAX);
	assert_string_equal(same.v.v[1].ports.v[0], "tcp/5432");
	assert_int_equal(bh_hand_left(&same.v.v[1], 60 * SECOND), 90 * SECOND);	/* whatever the clock says */
	assert_int_equal(bh_hand_left(&same.v.v[1], 151 * SECOND), 0);
	/* after a boot by the clock, and never longer than it was said */
	assert_int_equal(bh_hand_parse(text, "boot-2", 3 * SECOND, 1100 * SECOND, &other), 0);
	assert_int_equal(bh_hand_left(&other.v.v[1], 3 * SECOND), 50 * SECOND);
	assert_int_equal(bh_hand_parse(text, "boot-2", 3 * SECOND, 5 * SECOND, &wrong), 0);
	assert_int_equal(bh_hand_left(&wrong.v.v[1], 3 * SECOND), 100 * SECOND);
	bh_hand_clear(&h);
	bh_hand_clear(&same);
	bh_hand_clear(&other);
	bh_hand_clear(&wrong);
}

static void what_is_damaged_is_told(void **state)
{
	static const char *const bad[] = {"", "{", "[]", "{\"version\": 1, \"items\": []}", "{\"version\": 1, \"locked\": true}", "{\"version\": 1, \"locked\": false, \"items\": [1]}",
		"{\"version\": 1, \"locked\": false, \"items\": [{\"kind\": \"quarantine\", \"id\": \"x\"}]}", "{\"version\": 1, \"locked\": false, \"items\": [{\"kind\": \"what\", \"id\": \"x\", \"name\": \"x\"}]}",
		"{\"version\": 1, \"locked\": false, \"items\": [{\"kind\": \"allow\", \"from\": \"a\", \"to\": \"b\"}]}",
		"{\"version\": 1, \"locked\": false, \"items\": [{\"kind\": \"allow\", \"from\": \"a\", \"to\": \"b\", \"for\": 1, \"ports\": [1]}]}",
		/* a newer version's, and none's */
		"{\"version\": 2, \"locked\": false, \"items\": []}", "{\"locked\": false, \"items\": []}"};
	struct bh_hand h = {0};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(bad); i++)
		if (bh_hand_parse(bad[i], "b", 1, 1, &h) != -EINVAL)
			fail_msg("%s", bad[i]);
	assert_int_equal(h.v.n, 0);
}

static struct bh_policy *policy(void)
{
	static const char text[] = "version: 1\nmode: audit\nzones:\n  web: {select: {name: web}, mode: audit}\n  db: {select: {name: db}}\n"
				   "  project: {per: compose}\n  office: {cidrs: [10.0.0.0/8]}\nallow:\n  - {from: web, to: db, ports: [tcp/1]}\n";
	struct bh_diags diags = {0};
	struct bh_policy *p = NULL;

	assert_int_equal(bh_config_parse(&(struct bh_config_text){"b.yaml", text, strlen(text)}, 1, &p, &diags), 0);
	bh_diags_clear(&diags);
	return p;
}

static void rules_for_a_time(void **state)
{
	static const struct {
		const char *from, *to, *port, *error;
	} cases[] = {
		{"web", "db", "tcp/80", NULL}, {"project:a", "web", NULL, NULL}, {"office", "db", "udp/1-64", NULL}, {"world", "containers", "icmp", NULL},
		{"quarantine", "host", "tcp/1", NULL}, {"web", "metadata", "tcp/80", NULL},
		{"wbe", "db", NULL, "did you mean 'web'"}, {"web", "xyzzy", NULL, "see bulkhead status zones"}, {"web:a", "db", NULL, "no family"},
		{"project:", "db", NULL, "no family"}, {"office", "lan", NULL, "neither"}, {"any", "any", NULL, "one side"}, {"dns", "web", NULL, "only for whom"},
		{"web", "dns", NULL, "resolver"}, {"web", "db", "tcp/1-65", "64 ports"}, {"web", "db", "tcp/0", "no port"}, {"web", "db", "80", "no port"},
	};
	_cleanup_(bh_policy_freep) struct bh_policy *base = policy();

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(cases); i++) {
		struct bh_hand h = {.retimed = 3};
		struct bh_hand_policy *made = NULL;
		struct bh_error err = {0};
		int r;

		item_add(&h, (struct bh_hand_item){.kind = BH_HAND_ALLOW, .for_usec = 9 * SECOND, .end_boot = 10 * SECOND}, NULL, cases[i].from, cases[i].to,
			cases[i].port);
		r = bh_hand_rule_check(&h.v.v[0], base, &err);
		if ((r == 0) != !cases[i].error || (cases[i].error && !strstr(err.msg, cases[i].error)))
			fail_msg("%s -> %s %s: %s", cases[i].from, cases[i].to, cases[i].port, err.msg);
		assert_int_equal(bh_hand_policy(&h, base, 4 * SECOND, &made), 0);
		assert_int_equal(made->p.allow.n, cases[i].error ? 1 : 2);
		assert_int_equal(made->p.retimed, 3);
		if (!cases[i].error)
			assert_int_equal(made->p.allow.v[1].for_ms, 6000);
		bh_hand_policy_free(made);
		made = NULL;
		assert_int_equal(bh_hand_policy(&h, base, 10 * SECOND, &made), 0);	/* over */
		assert_int_equal(made->p.allow.n, 1);
		bh_hand_policy_free(made);
		bh_hand_clear(&h);
	}
}

static void a_lockdown_is_no_rule_and_enforced(void **state)
{
	_cleanup_(bh_policy_freep) struct bh_policy *base = policy();
	struct bh_hand h = example();
	struct bh_hand_policy *made = NULL;

	(void)state;
	assert_int_equal(bh_hand_policy(&h, base, 1, &made), 0);
	assert_int_equal(made->p.allow.n, 0);
	assert_int_equal(made->p.mode, BH_MODE_ENFORCE);
	assert_int_equal(made->p.zones.n, base->zones.n);
	assert_int_equal(made->p.zones.v[0].mode, BH_MODE_INHERIT);
	assert_int_equal(base->zones.v[0].mode, BH_MODE_AUDIT);
	bh_hand_policy_free(made);
	bh_hand_clear(&h);
	made = NULL;
	assert_int_equal(bh_hand_policy(&h, base, 1, &made), 0);	/* nothing is said: nothing is made */
	assert_null(made);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_kept_comes_back),
		cmocka_unit_test(what_is_damaged_is_told),
		cmocka_unit_test(rules_for_a_time),
		cmocka_unit_test(a_lockdown_is_no_rule_and_enforced),
	};

	return cmocka_run_group_tests_name("hand", tests, NULL, NULL);
}
