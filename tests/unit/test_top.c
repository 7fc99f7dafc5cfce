/* SPDX-License-Identifier: Apache-2.0 */
/* Rates from two documents, and the screen that shows them: at each size, with names of any length and any kind. */
#include "../../src/cli/top.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <locale.h>
#include <cmocka.h>

static json_t *container(const char *id, const char *name, json_int_t packets, json_int_t bytes, json_int_t dropped, json_int_t egress, json_int_t ingress)
{
	return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:{s:o, s:o}}", "id", id, "name", name, "zone", "web", "packets", packets, "bytes", bytes,
		"dropped_packets", dropped, "bandwidth", "egress_bps", egress ? json_integer(egress) : json_null(), "ingress_bps",
		ingress ? json_integer(ingress) : json_null());
}

static json_t *rule(const char *from, const char *to, json_int_t packets, json_int_t bytes)
{
	return json_pack("{s:s, s:s, s:s, s:[s], s:I, s:I}", "from", from, "to", to, "source", "b.yaml:1", "ports", "tcp/80", "packets", packets, "bytes",
		bytes);
}

static json_t *status(json_t *containers, json_t *rules)
{
	json_int_t n = 1000 * (json_int_t)json_integer_value(json_object_get(json_array_get(containers, json_array_size(containers) - 1), "packets"));

	return json_pack("{s:{s:s}, s:{s:b}, s:o, s:[{s:s, s:I, s:I, s:I, s:{s:i, s:i}}, {s:s, s:{s:n, s:n}}, {s:s, s:{s:i, s:n}}], s:o}", "daemon", "state",
		"enforcing", "kernel", "in_sync", 1, "containers", containers, "zones", "name", "web", "packets", n, "bytes", n, "dropped_packets",
		(json_int_t)0, "bandwidth", "egress_bps", 100000000, "ingress_bps", 100000000, "name", "open", "bandwidth", "egress_bps", "ingress_bps",
		"name", "other", "bandwidth", "egress_bps", 1000, "ingress_bps", "rules", rules);
}

static double of(const json_t *top, const char *list, size_t i, const char *key)
{
	return json_number_value(json_object_get(json_array_get(json_object_get(top, list), i), key));
}

static const char *name_of(const json_t *top, const char *list, size_t i, const char *key)
{
	return json_string_value(json_object_get(json_array_get(json_object_get(top, list), i), key));
}

static void test_rates(void **state)
{
	json_t *before = status(json_pack("[o, o, o]", container("1", "slow", 100, 1000, 5, 1000, 3000), container("2", "reset", 900, 90000, 9, 0, 0),
		container("4", "gone", 7, 7, 7, 0, 0)), json_pack("[o, o, o]", rule("a", "b", 10, 100), rule("a", "c", 50, 50), rule("x", "y", 9, 9)));
	json_t *after = status(json_pack("[o, o, o]", container("1", "slow", 120, 1250, 15, 1000, 3000), container("2", "reset", 30, 5000, 0, 1000, 0),
		container("3", "new", 4, 1000, 0, 0, 0)), json_pack("[o, o, o]", rule("a", "b", 30, 5100), rule("a", "c", 50, 50), rule("n", "n", 2, 1)));
	json_t *top = bh_top_between(before, after, 2.0);

	(void)state;
	assert_non_null(top);
	assert_int_equal(json_array_size(json_object_get(top, "containers")), 3);
	assert_string_equal(name_of(top, "containers", 0, "name"), "reset");	/* began anew: 5000 bytes in 2 s */
	assert_true(of(top, "containers", 0, "bits") == 20000 && of(top, "containers", 0, "packets") == 15);
	assert_true(of(top, "containers", 0, "denied") == 0);
	assert_true(json_is_null(json_object_get(json_array_get(json_object_get(top, "containers"), 0), "used")));	/* one cap alone */
	assert_string_equal(name_of(top, "containers", 1, "name"), "new");
	assert_true(of(top, "containers", 1, "bits") == 4000);
	assert_string_equal(name_of(top, "containers", 2, "name"), "slow");
	assert_true(of(top, "containers", 2, "bits") == 1000 && of(top, "containers", 2, "packets") == 10 && of(top, "containers", 2, "denied") == 5);
	assert_true(of(top, "containers", 2, "used") == 25);	/* 1000 of 4000 */
	assert_int_equal(json_array_size(json_object_get(top, "flows")), 2);	/* a to c stands still */
	assert_string_equal(name_of(top, "flows", 0, "to"), "b");
	assert_true(of(top, "flows", 0, "bits") == 20000 && of(top, "flows", 0, "packets") == 10);
	assert_string_equal(name_of(top, "flows", 1, "from"), "n");
	assert_true(json_number_value(json_object_get(top, "denied")) == 5);
	json_decref(top);
	json_decref(before);
	json_decref(after);
}

static void check(const json_t *top, const char *trouble, unsigned width, unsigned height)
{
	struct bh_screen s = {0};

	assert_int_equal(bh_top_draw(top, trouble, width, height, &s), 0);
	assert_true(s.lines.n <= height);
	bh_vec_foreach(l, &s.lines) {
		if (bh_text_width(l->text) > width)
			fail_msg("%ux%u: wider: %s", width, height, l->text);
		for (const char *c = l->text; *c; c++)
			assert_true((unsigned char)*c >= 0x20 && *c != 0x7f);
		if (getenv("BH_SHOW"))
			fprintf(stderr, "%s\n", l->text);
	}
	bh_screen_clear(&s);
}

static json_t *crowd(size_t n, const char *name)
{
	json_t *a = json_array(), *b = json_array(), *c = json_array(), *d = json_array(), *before, *after, *top;

	for (size_t i = 0; i < n; i++) {
		char id[16], text[600];

		snprintf(id, sizeof(id), "%zu", i);
		snprintf(text, sizeof(text), "%s%zu", name, i);
		json_array_append_new(a, container(id, text, 0, 0, 0, 50000000, i % 2 ? 50000000 : 0));
		json_array_append_new(b, container(id, text, 1000 * (json_int_t)i, 1000000 * (json_int_t)i, (json_int_t)(i % 3), 50000000, i % 2 ? 50000000 : 0));
		json_array_append_new(c, rule(text, "db", 0, 0));
		json_array_append_new(d, rule(text, "db", 1 + 10 * (json_int_t)i, 1500 * (json_int_t)i));
	}
	before = status(a, c);
	after = status(b, d);
	top = bh_top_between(before, after, 1.0);
	json_decref(before);
	json_decref(after);
	assert_non_null(top);
	return top;
}

static void test_screens(void **state)
{
	static const char *const names[] = {"web", "a-name-as-long-as-docker-lets-anybody-write-one-and-longer-still-than-that",
		"\xe5\xad\x97\xe5\xad\x97\xe5\xad\x97\xe5\xad\x97\xe5\xad\x97\xe5\xad\x97\xe5\xad\x97\xe5\xad\x97\xe5\xad\x97\xe5\xad\x97\xe5\xad\x97", "\x1b[2J\n\r"};
	static const unsigned sizes[][2] = {{80, 24}, {80, 25}, {81, 24}, {120, 40}, {300, 100}, {79, 24}, {80, 23}, {1, 1}, {20, 2}};

	(void)state;
	for (size_t n = 0; n < 60; n = n * 3 + 1)
		for (size_t k = 0; k < BH_ARRAY_SIZE(names); k++) {
			json_t *top = crowd(n, names[k]);

			for (size_t i = 0; i < BH_ARRAY_SIZE(sizes); i++)
				check(top, NULL, sizes[i][0], sizes[i][1]);
			check(top, "bulkheadd is not running", 80, 24);
			json_decref(top);
		}
	check(NULL, "measuring", 80, 24);
}

static void test_golden(void **state)
{
	json_t *top = crowd(12, "web");
	struct bh_screen s = {0};
	static const char *const lines[] = {
		"bulkhead top: enforcing, in sync",
		"12 containers, 528M bit/s, 66.0k packets/s, denied 12/s, over 1.0 s",
		"",
		"FROM             TO               PORTS                           BIT/S  PKT/S ",
		"web11            db               tcp/80                           132k    111 ",
		"web10            db               tcp/80                           120k    101 ",
		"web9             db               tcp/80                           108k     91 ",
		"web8             db               tcp/80                          96.0k     81 ",
		"web7             db               tcp/80                          84.0k     71 ",
		"and 7 more",
		"",
		"ZONE                           BIT/S CAPS OUT/IN USED            DENIED/S ",
		"web                            88.0M   100M/100M [####    ]  44%        - ",
		"other                              -        1k/-                        - ",
		"",
		"CONTAINER      ZONE            BIT/S CAPS OUT/IN USED            DENIED/S ",
		"web11          web             88.0M     50M/50M [####### ]  88%      2.0 ",
	};

	(void)state;
	assert_int_equal(bh_top_draw(top, NULL, 80, 24, &s), 0);
	assert_int_equal(s.lines.n, 24);
	for (size_t i = 0; i < BH_ARRAY_SIZE(lines); i++)
		assert_string_equal(s.lines.v[i].text, lines[i]);
	assert_int_equal(s.lines.v[0].style, BH_GOOD);
	assert_int_equal(s.lines.v[BH_ARRAY_SIZE(lines) - 1].style, BH_WARN);
	assert_string_equal(s.lines.v[23].text, "q quits; rates are of both directions together");
	bh_screen_clear(&s);
	assert_int_equal(bh_top_draw(top, NULL, 79, 24, &s), 0);
	assert_int_equal(s.lines.n, 1);
	assert_string_equal(s.lines.v[0].text, "79x24: top needs 80x24");
	bh_screen_clear(&s);
	json_decref(top);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rates),
		cmocka_unit_test(test_screens),
		cmocka_unit_test(test_golden),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
