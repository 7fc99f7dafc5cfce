/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes to a policy, as one file or, cut at NUL bytes, as several. What is refused says why; what is read prints, and parse(print(p)) is p. Warnings and expectations
 * are judged on the way.
 * Seeds: fuzz_config CORPUS tests/golden/config rules */
#include <bulkhead/expect.h>

#include <bulkhead/config.h>
#include "policy_equal.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok, const char *what, const struct bh_buf *text)
{
	if (ok)
		return;
	fprintf(stderr, "broken: %s\n%s\n", what, text->s ? text->s : "");
	abort();
}

static void judge(const struct bh_policy *p)
{
	struct bh_expect_failures failures = {0};
	_cleanup_buf_ struct bh_buf said = {0};

	if (bh_expect_check(p, &failures, NULL) == 0)
		bh_expect_print(&failures, &said);
	bh_expect_failures_clear(&failures);
}

/* Nothing that acts on a terminal may be in what is printed. */
static bool is_safe(const struct bh_buf *said)
{
	for (size_t i = 0; i < said->n; i++)
		if ((unsigned char)said->s[i] < 0x20 && said->s[i] != '\n')
			return false;
	return true;
}

#define TEXTS_MAX 4

static size_t cut(const char *data, size_t size, struct bh_config_text texts[TEXTS_MAX])
{
	size_t n = 0;

	for (;;) {
		const char *end = n + 1 < TEXTS_MAX ? memchr(data, '\0', size) : NULL;
		size_t one = end ? (size_t)(end - data) : size;

		texts[n] = (struct bh_config_text){n == 0 ? "fuzz.yaml" : "conf.d/more.yaml", data, one};
		n++;
		if (!end)
			return n;
		data += one + 1;
		size -= one + 1;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bh_config_text texts[TEXTS_MAX];
	_cleanup_(bh_policy_freep) struct bh_policy *p = NULL, *again = NULL;
	_cleanup_buf_ struct bh_buf said = {0}, text = {0}, twice = {0};
	struct bh_diags diags = {0};
	int r = bh_config_parse(texts, cut(size ? (const char *)data : "", size, texts), &p, &diags);

	require(bh_diags_print(&diags, &said) == 0 && is_safe(&said), "a diagnostic is not safe to print", &said);
	require((r == 0) == (diags.errors == 0) && (r == 0) == (p != NULL), "the result and the errors disagree", &said);
	bh_diags_clear(&diags);
	if (r < 0)
		return 0;
	judge(p);
	require(bh_config_print(p, &text) == 0, "no memory", &text);
	r = bh_config_parse(&(struct bh_config_text){"again.yaml", text.s, text.n}, 1, &again, &diags);
	bh_diags_print(&diags, &text);
	bh_diags_clear(&diags);
	require(r == 0, "what was printed is refused", &text);
	require(policy_equal(p, again), "what was printed is another policy", &text);
	require(bh_config_print(again, &twice) == 0 && strncmp(twice.s, text.s, twice.n) == 0, "printing is not stable", &text);
	return 0;
}
