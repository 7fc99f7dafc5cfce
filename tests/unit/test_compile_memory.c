/* SPDX-License-Identifier: Apache-2.0 */
/* Allocations of the compiler fail, one at a time: it says so, writes no output, leaks nothing (under ASan). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../common/world.h"
#include "../common/no_memory.h"

static void compiling_case(const char *dir)
{
	struct world w;
	struct bh_error err = {0};
	struct bh_compile_input in;
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *first = NULL;
	bool failed = true;
	long n;

	world_load(&w, dir);
	first = world_compile(&w, &err);
	in = (struct bh_compile_input){.policy = w.policy, .inventory = w.inventory, .host = w.host, .placement = w.placement,
		.features = &w.features, .seen = first};
	for (n = 0; failed; n++) {
		struct bh_ruleset *r = NULL;
		int e;

		left = n;
		e = bh_compile(&in, &r, NULL);
		failed = left < 0;
		left = -1;
		assert_int_equal(e, failed ? -ENOMEM : 0);
		assert_int_equal(r == NULL, failed);
		bh_ruleset_free(r);
	}
	assert_true(n > 500);
	world_free(&w);
}

static void compiling(void **state)
{
	(void)state;
	compiling_case(CASES "/published");
	compiling_case(CASES "/forwards");
}

static void reading_counts(void **state)
{
	struct world w;
	struct bh_error err = {0};
	struct bh_compile_input in;
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *seen = NULL;
	bool failed = true;
	long n;

	(void)state;
	world_load(&w, CASES "/rules");
	seen = world_compile(&w, &err);
	in = (struct bh_compile_input){.policy = w.policy, .inventory = w.inventory, .host = w.host, .placement = w.placement,
		.features = &w.features};
	for (n = 0; failed; n++) {
		struct bh_pairs *p = NULL;
		int r;

		left = n;
		r = bh_pairs_read(&in, seen, &p);
		failed = left < 0;
		left = -1;
		assert_int_equal(r, failed ? -ENOMEM : 0);
		assert_int_equal(p == NULL, failed);
		bh_pairs_free(p);
	}
	assert_true(n > 20);
	world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(compiling),
		cmocka_unit_test(reading_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
