/* SPDX-License-Identifier: Apache-2.0 */
/* Every allocation of the netlink room fails once while a rule set is written, read back and applied to the fake: the call says
 * so, leaks nothing (under ASan), and works the next time. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <bulkhead/diff.h>

#include "../fuzz/nft_messages.h"
#include "../netns/rsrandom.h"
#include "../common/no_memory.h"

static void test_apply(void **state)
{
	static const struct bh_ruleset nothing;
	struct rng r = {4711};
	struct bh_ruleset *rs = ruleset_random(&r), *seen = NULL;
	struct bh_plan *p = NULL, *rest = NULL;
	struct bh_nft *n = NULL;
	long k = 0;
	int ret;

	(void)state;
	assert_int_equal(bh_diff(rs, &nothing, &p), 0);
	assert_int_equal(bh_nft_fake_new(&n), 0);
	do {
		struct bh_error err = {0};

		left = k++;
		ret = n->ops->apply(n, p, &err);
		left = -1;
		if (ret < 0) {
			assert_int_equal(ret, -ENOMEM);
			assert_int_equal(err.code, -ENOMEM);
		}
	} while (ret < 0);
	assert_true(k > 50);
	assert_int_equal(n->ops->observe(n, &seen, NULL), 0);
	assert_int_equal(bh_diff(rs, seen, &rest), 0);
	assert_int_equal(rest->changes.n, 0);
	bh_plan_free(rest);
	bh_plan_free(p);
	bh_ruleset_free(seen);
	bh_ruleset_free(rs);
	bh_nft_free(n);
}

static void test_decode(void **state)
{
	static const struct bh_ruleset nothing;
	_cleanup_batch_ struct nft_batch b = {.pretend = true};
	struct rng r = {4712};
	struct bh_ruleset *rs = ruleset_random(&r);
	struct bh_plan *p = NULL;

	(void)state;
	assert_int_equal(bh_diff(rs, &nothing, &p), 0);
	assert_int_equal(nft_batch_begin(&b, 1), 0);
	assert_int_equal(nft_encode_plan(&b, p, NULL), 0);
	for (long k = 0; k < 400; k++) {
		left = k;
		nft_messages(b.buf, b.n);
		left = -1;
	}
	bh_plan_free(p);
	bh_ruleset_free(rs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_apply),
		cmocka_unit_test(test_decode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
