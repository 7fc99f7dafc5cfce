/* SPDX-License-Identifier: Apache-2.0 */
/* The table of kinds: the first is told apart, the rest is counted, and nothing grows. */
#include "../../src/daemon/kinds.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct bh_kind kind(const char *from, const char *to, int port)
{
	return (struct bh_kind){.class = BH_CLASS_POLICY, .from = (char *)from, .from_zone = (char *)"web", .to = (char *)to,
		.to_zone = (char *)"db", .proto = 6, .port = port};
}

static bool note(struct bh_kinds *k, struct bh_kind what, uint64_t now, struct bh_kind **ret)
{
	bool first;

	assert_int_equal(bh_kinds_note(k, &what, now, ret, &first), 0);
	return first;
}

static void the_first_of_a_kind_is_told_apart(void **state)
{
	_cleanup_(bh_kinds_freep) struct bh_kinds *k = NULL;
	struct bh_kind audited = kind("web1", "db1", 5432), *x;

	(void)state;
	assert_int_equal(bh_kinds_new(&k), 0);
	assert_true(note(k, kind("web1", "db1", 5432), 7, &x));
	assert_int_equal(x->count, 1);
	for (int i = 0; i < 312; i++)
		assert_false(note(k, kind("web1", "db1", 5432), 8 + (uint64_t)i, &x));
	assert_int_equal(x->count, 313);
	assert_int_equal(x->first_usec, 7);
	assert_int_equal(x->last_usec, 8 + 311);
	assert_true(note(k, kind("web1", "db1", 5433), 9, &x));
	assert_true(note(k, kind("web2", "db1", 5432), 9, &x));
	assert_true(note(k, kind("web1", "db2", 5432), 9, &x));
	assert_true(note(k, kind("web1", "db1", BH_PORT_NONE), 9, &x));
	audited.audit = true;
	assert_true(note(k, audited, 9, &x));
	audited.class = BH_CLASS_UNKNOWN;
	assert_true(note(k, audited, 9, &x));
}

static void count(void *userdata, struct bh_kind *x)
{
	(void)x;
	++*(size_t *)userdata;
}

/* A scan of all ports takes 64 places and one for the rest, and is told 65 times. */
static void a_scan_is_folded(void **state)
{
	_cleanup_(bh_kinds_freep) struct bh_kinds *k = NULL;
	struct bh_kind *x = NULL;
	size_t told = 0, shown = 0;

	(void)state;
	assert_int_equal(bh_kinds_new(&k), 0);
	for (int port = 1; port <= 65535; port++)
		told += note(k, kind("web1", "db1", port), (uint64_t)port, &x);
	assert_int_equal(told, BH_KINDS_PORTS + 1);
	assert_int_equal(x->port, BH_PORT_MANY);
	assert_int_equal(x->count, 65535 - BH_KINDS_PORTS);
	bh_kinds_each(k, count, &shown);
	assert_int_equal(shown, BH_KINDS_PORTS + 1);
	/* and hides nobody else */
	assert_true(note(k, kind("web2", "db1", 1), 1, &x));
	/* what was known keeps its own count */
	assert_false(note(k, kind("web1", "db1", 3), 1, &x));
	assert_int_equal(x->count, 2);
}

static void newest(void *userdata, struct bh_kind *x)
{
	const char **name = userdata;

	if (!*name)
		*name = x->from;
}

static void the_oldest_are_forgotten(void **state)
{
	_cleanup_(bh_kinds_freep) struct bh_kinds *k = NULL;
	struct bh_kind *x;
	size_t shown = 0;
	const char *name = NULL;

	(void)state;
	assert_int_equal(bh_kinds_new(&k), 0);
	assert_true(note(k, kind("stays", "db1", BH_PORT_NONE), 1, &x));
	for (int i = 0; i < 3 * BH_KINDS_MAX; i++) {
		char from[32];

		snprintf(from, sizeof(from), "c%d", i);
		assert_true(note(k, kind(from, "db1", i % 2 ? 80 : BH_PORT_NONE), 2, &x));
		assert_false(note(k, kind("stays", "db1", BH_PORT_NONE), 3, &x));	/* seen all the time */
	}
	assert_int_equal(x->count, 1 + 3 * BH_KINDS_MAX);
	bh_kinds_each(k, count, &shown);
	assert_true(shown > BH_KINDS_MAX / 2 && shown <= BH_KINDS_MAX);
	bh_kinds_each(k, newest, &name);
	assert_string_equal(name, "stays");
	assert_true(note(k, kind("c0", "db1", BH_PORT_NONE), 4, &x));	/* told again: better than never */
}

/* Whoever follows gets every kind with something new once, in order, however few at a time. */
static void what_is_new_since(void **state)
{
	_cleanup_(bh_kinds_freep) struct bh_kinds *k = NULL;
	struct bh_kind *const *v, *x;
	uint64_t seq = 0;
	size_t n, told = 0;

	(void)state;
	assert_int_equal(bh_kinds_new(&k), 0);
	assert_int_equal(bh_kinds_since(k, 0, 10, &v), 0);
	for (int port = 1; port <= 100; port++)	/* 64 and one of the rest */
		note(k, kind("web1", "db1", port), 1, &x);
	note(k, kind("web1", "db1", 7), 2, &x);
	note(k, kind("web2", "db1", 80), 3, &x);
	while ((n = bh_kinds_since(k, seq, 10, &v)) > 0) {
		assert_true(n <= 10);
		for (size_t i = 0; i < n; i++) {
			assert_true(v[i]->seq > seq);
			seq = v[i]->seq;
		}
		told += n;
	}
	assert_int_equal(told, BH_KINDS_PORTS + 2);
	assert_int_equal(seq, bh_kinds_seq(k));
	note(k, kind("web1", "db1", 7), 4, &x);
	assert_int_equal(bh_kinds_since(k, seq, 10, &v), 1);
	assert_int_equal(v[0]->port, 7);
	assert_int_equal(v[0]->count, 3);
}

static void the_last_packet_is_described(void **state)
{
	_cleanup_(bh_kinds_freep) struct bh_kinds *k = NULL;
	struct bh_kind what = kind("web1", "api1", 8080), *x;

	(void)state;
	assert_int_equal(bh_kinds_new(&k), 0);
	assert_int_equal(bh_addr_parse("10.0.0.1", &what.from_addr), 0);
	assert_true(note(k, what, 1, &x));
	assert_int_equal(x->via.family, 0);
	assert_int_equal(bh_addr_parse("198.51.100.1", &what.via), 0);
	what.via_port = 80;
	assert_false(note(k, what, 2, &x));
	assert_int_equal(x->via.family, 4);
	assert_int_equal(x->via_port, 80);
	assert_int_equal(x->from_addr.family, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_of_a_kind_is_told_apart),
		cmocka_unit_test(a_scan_is_folded),
		cmocka_unit_test(the_oldest_are_forgotten),
		cmocka_unit_test(what_is_new_since),
		cmocka_unit_test(the_last_packet_is_described),
	};

	return cmocka_run_group_tests_name("kinds", tests, NULL, NULL);
}
