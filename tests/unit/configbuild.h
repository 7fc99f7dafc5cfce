/* SPDX-License-Identifier: Apache-2.0 */
/* Policies for tests, written as files are. */
#ifndef TESTS_CONFIGBUILD_H
#define TESTS_CONFIGBUILD_H

#include <bulkhead/config.h>

#include <string.h>

/* The policy of TEXT, which must be valid: what is wrong is printed, and the test fails. After cmocka.h. */
static inline struct bh_policy *cb_parse(const char *name, const char *text)
{
	const struct bh_config_text t = {.name = name, .text = text, .n = strlen(text)};
	_cleanup_buf_ struct bh_buf said = {0};
	struct bh_diags diags = {0};
	struct bh_policy *p = NULL;

	if (bh_config_parse(&t, 1, &p, &diags) < 0 && bh_diags_print(&diags, &said) == 0)
		print_error("%s\n%s", said.s, text);
	bh_diags_clear(&diags);
	assert_non_null(p);
	return p;
}

#endif
