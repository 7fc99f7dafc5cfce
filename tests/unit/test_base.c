/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <bulkhead/addr.h>
#include <bulkhead/buf.h>
#include <bulkhead/error.h>

static void prefixes_parse(void **state)
{
	static const struct {
		const char *in, *out;
		int r;
	} cases[] = {
		{"10.0.0.0/8", "10.0.0.0/8", 0},
		{"10.1.0.0/8", "10.0.0.0/8", -EDOM},
		{"10.1.2.3", "10.1.2.3/32", 0},
		{"2001:db8::/32", "2001:db8::/32", 0},
		{"::ffff:10.0.0.0/104", "10.0.0.0/8", 0},
		{"::ffff:10.0.0.0/95", "", -ERANGE},
		{"0.0.0.0/0", "0.0.0.0/0", 0},
		{"10.0.0.0/33", "", -ERANGE},
		{"10.0.0.0/", "", -EINVAL},
		{"10.0.0.0/+8", "", -EINVAL},
		{"10.0.0.0/8x", "", -EINVAL},
		{"10.0.0/8", "", -EINVAL},
		{"", "", -EINVAL},
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(cases); i++) {
		char text[BH_PREFIX_TEXT];
		struct bh_prefix p;

		assert_int_equal(bh_prefix_parse(cases[i].in, &p), cases[i].r);
		if (*cases[i].out)
			assert_string_equal(bh_prefix_text(&p, text), cases[i].out);
	}
}

static void prefix_ranges_and_neighbours(void **state)
{
	struct bh_addr first, last, a;
	struct bh_prefix p, q;
	char text[BH_ADDR_TEXT];

	(void)state;
	assert_int_equal(bh_prefix_parse("10.20.0.0/15", &p), 0);
	bh_prefix_range(&p, &first, &last);
	assert_string_equal(bh_addr_text(&first, text), "10.20.0.0");
	assert_string_equal(bh_addr_text(&last, text), "10.21.255.255");
	assert_true(bh_addr_next(&last, &a));
	assert_string_equal(bh_addr_text(&a, text), "10.22.0.0");
	assert_true(bh_addr_prev(&first, &a));
	assert_string_equal(bh_addr_text(&a, text), "10.19.255.255");
	assert_int_equal(bh_addr_parse("255.255.255.255", &a), 0);
	assert_false(bh_addr_next(&a, &a));
	assert_int_equal(bh_addr_parse("0.0.0.0", &a), 0);
	assert_false(bh_addr_prev(&a, &a));
	assert_int_equal(bh_prefix_parse("10.21.0.0/16", &q), 0);
	assert_true(bh_prefix_covers(&p, &q));
	assert_false(bh_prefix_covers(&q, &p));
}

static void link_local_is_eui64(void **state)
{
	struct bh_mac m;
	struct bh_addr a;
	char text[BH_ADDR_TEXT];

	(void)state;
	assert_int_equal(bh_mac_parse("02:42:0a:6f:00:02", &m), 0);
	a = bh_addr_link_local(&m);
	assert_string_equal(bh_addr_text(&a, text), "fe80::42:aff:fe6f:2");
	assert_int_equal(bh_mac_parse("02:42:0a:6f:00:0", &m), -EINVAL);
	assert_int_equal(bh_mac_parse("02:42:0a:6f:00:02:03", &m), -EINVAL);
}

static void untrusted_text_is_escaped(void **state)
{
	static const struct {
		const char *in, *out;
		size_t max;
	} cases[] = {
		{"web", "web", 64},
		{"caf\xc3\xa9", "caf\xc3\xa9", 64},
		{"a\x1b[31mb\n", "a\\x1b[31mb\\x0a", 64},
		{"\xe2\x80\xae" "evil", "\\xe2\\x80\\xae" "evil", 64},
		{"\xc2\x9b" "1m", "\\xc2\\x9b" "1m", 64},
		{"\xff\xc0\x80", "\\xff\\xc0\\x80", 64},
		{"back\\slash", "back\\\\slash", 64},
		{"longer than allowed", "longer...", 6},
		{"caf\xc3\xa9", "caf...", 4},	/* not half a character, and not one more than allowed */
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(cases); i++) {
		_cleanup_buf_ struct bh_buf b = {0};

		bh_buf_put_safe(&b, cases[i].in, cases[i].max);
		assert_int_equal(b.err, 0);
		assert_string_equal(b.s, cases[i].out);
	}
}

static void first_error_stays(void **state)
{
	struct bh_error err = {0};

	(void)state;
	assert_int_equal(bh_fail(&err, -EINVAL, "zone '%s' is not declared", "web"), -EINVAL);
	assert_int_equal(bh_fail(&err, -EIO, "later"), -EIO);
	assert_int_equal(err.code, -EINVAL);
	assert_int_equal(bh_fail_wrap(&err, "bulkhead.yaml"), -EINVAL);
	assert_string_equal(err.msg, "bulkhead.yaml: zone 'web' is not declared");
	assert_int_equal(bh_fail(NULL, -EPERM, "nobody listens"), -EPERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prefixes_parse),
		cmocka_unit_test(prefix_ranges_and_neighbours),
		cmocka_unit_test(link_local_is_eui64),
		cmocka_unit_test(untrusted_text_is_escaped),
		cmocka_unit_test(first_error_stays),
	};

	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
