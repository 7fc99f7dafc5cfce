/* SPDX-License-Identifier: Apache-2.0 */
/* Bursts, quanta and limits that follow from a rate. */
#include "../../src/tc/qdisc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static struct bh_tc_params of(uint64_t rate, uint64_t ceil)
{
	const struct bh_class c = { .rate_bps = rate, .ceil_bps = ceil };

	return bh_tc_params(&c);
}

static void test_segments_where_gso_delays(void **state)
{
	(void)state;
	assert_true(of(8, 10000000).segment);
	assert_true(of(8, 524000000).segment);
	assert_false(of(8, 525000000).segment);
	assert_int_equal(of(8, 10000000).quantum, 3028);
	assert_int_equal(of(8, 1000000000).quantum, 65536);
}

static void test_limits(void **state)
{
	(void)state;
	assert_int_equal(of(8, 8).limit, 24224);		/* 16 frames */
	assert_int_equal(of(8, 1000000000).limit, 1875000);	/* 15 ms */
	assert_true(of(8, 525000000).limit > 4 * 65536);	/* where nothing is split any more */
	assert_int_equal(of(8, 100000000000).limit, 16 << 20);
	assert_int_equal(of(8, 10000000).target_us, 5000);
	assert_int_equal(of(8, 1000000).target_us, 24224);
	assert_int_equal(of(8, 8).target_us, 10000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_segments_where_gso_delays), cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
