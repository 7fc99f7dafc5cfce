/* SPDX-License-Identifier: Apache-2.0 */
/* Every allocation of reading, judging and printing fails once: the answer is -ENOMEM or the right one, never a policy that lacks
 * something, and nothing leaks (the sanitizers say). The linker puts the functions below before the C library's. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <bulkhead/config.h>
#include <bulkhead/expect.h>

#include "../common/no_memory.h"

static const char good[] = "version: 1\nmode: enforce\nzones:\n"
			   "  web: {description: d, select: {labels: {tier: [web, w]}, not: {any: [{name: a}, {image: b}]}}}\n"
			   "  project: {per: \"label:x\", mode: audit, bandwidth: {exempt: [lan, host], zone: {egress: 1mbit}}}\n"
			   "  office: {cidrs: [10.0.0.0/8, 192.0.2.0/24]}\n"
			   "  vpn: {interfaces: [\"wg*\", eth7]}\n"
			   "allow:\n"
			   "  - {from: [any, web], to: web, ports: [tcp/80, tcp/82, udp]}\n"
			   "  - {from: \"project:a\", to: [project, internet]}\n"
			   "  - {from: web, to: web}\n"
			   "expect:\n"
			   "  - {from: project, to: project, values: any, verdict: deny}\n"
			   "  - {from: world, to: web, ports: [tcp/80-82], verdict: accept}\n";

/* Everything that is said and read of TEXT; -ENOMEM, or 0 for whatever verdict. */
static int judge(const char *text, struct bh_buf *out)
{
	_cleanup_(bh_policy_freep) struct bh_policy *p = NULL;
	struct bh_expect_failures failures = {0};
	struct bh_diags diags = {0};
	int r = bh_config_parse(&(struct bh_config_text){"test.yaml", text, strlen(text)}, 1, &p, &diags);

	if (r != -ENOMEM)
		bh_diags_print(&diags, out);
	bh_diags_clear(&diags);
	if (r < 0)
		return r == -ENOMEM ? r : out->err;
	r = bh_expect_check(p, &failures, NULL);
	if (r == 0)
		r = bh_expect_print(&failures, out);
	bh_expect_failures_clear(&failures);
	return r < 0 ? r : bh_config_print(p, out);
}

static void assert_survives(const char *text)
{
	_cleanup_buf_ struct bh_buf want = {0};
	long at, refused = 0;

	assert_int_equal(judge(text, &want), 0);
	for (at = 0; at < 100000; at++) {
		_cleanup_buf_ struct bh_buf got = {0};
		int r;
		bool all;

		left = at;
		r = judge(text, &got);
		all = left >= 0;
		left = -1;
		assert_true(r == 0 || r == -ENOMEM);
		refused += r < 0;
		if (all) {
			assert_int_equal(r, 0);
			break;
		}
		if (r == 0 && strcmp(got.s, want.s) != 0) {
			/* a word that could not be quoted is left out of its message; nothing else may differ */
			assert_true(strlen(got.s) <= strlen(want.s));
			assert_non_null(strstr(got.s, "error: "));
		}
	}
	assert_true(at > 50 && refused > at / 2);
}

static void a_good_policy_is_whole_or_refused(void **state)
{
	(void)state;
	assert_survives(good);
}

static void a_bad_one_stays_refused(void **state)
{
	(void)state;
	assert_survives("version: 1\nmode: enforced\nzones: {web: {selct: {name: a}}, Web: {}, a: {cidrs: [10.0.0.1/8]}}\n"
			"allow: [{from: wbe, to: lan}, {from: lan, to: host, ports: [80]}]\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_policy_is_whole_or_refused),
		cmocka_unit_test(a_bad_one_stays_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
