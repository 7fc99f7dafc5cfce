/* SPDX-License-Identifier: Apache-2.0 */
/* Requests between the process that reads them and the one that answers. */
#include "../../src/control/typed.h"

#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

static const struct {
	const char *in, *out;	/* "out" where it is not the same, sorted */
} cases[] = {
	{"{\"verb\":\"status\",\"version\":1}", "{}"},
	{"{\"follow\":true}", NULL},
	{"{\"confirm\":90}", NULL},
	{"{\"seconds\":-1}", NULL},
	{"{\"from\":\"web\",\"port\":\"tcp/80\",\"to\":\"db\"}", NULL},
	{"{\"name\":\"\"}", NULL},
	{"{\"ports\":[\"tcp/80\",\"udp/53\"]}", NULL},
	{"{\"ports\":[]}", NULL},
	{"{\"config\":[{\"name\":\"a.yaml\",\"text\":\"version: 1\\n\"},{\"name\":\"b\",\"text\":\"\"}]}", NULL},
	/* of a wrong type: there, and wrong */
	{"{\"confirm\":\"90\"}", "{\"confirm\":null}"},
	{"{\"confirm\":1.5}", "{\"confirm\":null}"},
	{"{\"name\":7}", "{\"name\":null}"},
	{"{\"follow\":1}", "{\"follow\":null}"},
	{"{\"ports\":[1]}", "{\"ports\":null}"},
	{"{\"config\":{}}", "{\"config\":null}"},
	{"{\"config\":[{\"name\":\"a\"}]}", "{\"config\":null}"},
	{"{\"config\":[{\"name\":\"a\",\"text\":5}]}", "{\"config\":null}"},
	/* what nobody knows is left out */
	{"{\"name\":\"x\",\"other\":[1,2]}", "{\"name\":\"x\"}"},
};

static void put(const char *text, struct bh_buf *b)
{
	json_t *j = json_loads(text, 0, NULL);

	assert_non_null(j);
	assert_int_equal(bh_control_typed_put("why", j, b), 0);
	json_decref(j);
}

static void test_round_trip(void **state)
{
	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(cases); i++) {
		char verb[BH_CONTROL_VERB_MAX + 1];
		struct bh_buf b = {0};
		json_t *j = NULL;
		char *text;

		put(cases[i].in, &b);
		assert_int_equal(bh_control_typed_read(b.s, b.n, verb, &j), 0);
		assert_string_equal(verb, "why");
		text = json_dumps(j, JSON_COMPACT | JSON_SORT_KEYS);
		assert_string_equal(text, cases[i].out ? cases[i].out : cases[i].in);
		free(text);
		json_decref(j);
		bh_buf_free(&b);
	}
}

static void test_cut_and_changed(void **state)
{
	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(cases); i++) {
		char verb[BH_CONTROL_VERB_MAX + 1];
		struct bh_buf b = {0};
		json_t *j = NULL;

		put(cases[i].in, &b);
		for (size_t n = 0; n < b.n; n++)
			assert_int_equal(bh_control_typed_read(b.s, n, verb, &j), -EBADMSG);
		bh_buf_putn(&b, "", 1);
		assert_int_equal(bh_control_typed_read(b.s, b.n, verb, &j), -EBADMSG);
		for (size_t at = 0; at + 1 < b.n; at++) {
			char was = b.s[at];

			b.s[at] = (char)(was ^ 0x81);
			j = NULL;
			if (bh_control_typed_read(b.s, b.n - 1, verb, &j) == 0) {
				assert_true(strlen(verb) > 0);
				json_decref(j);
			}
			b.s[at] = was;
		}
		bh_buf_free(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_cut_and_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
