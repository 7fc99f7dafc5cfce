/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a configuration without daemon or root. Of several files the first is the main file. */
#include "verb.h"

#include <bulkhead/config.h>
#include <bulkhead/expect.h>

#include <errno.h>

json_t *bh_diags_json(const struct bh_diags *diags, const struct bh_expect_failures *failures)
{
	json_t *list = json_array();

	bh_vec_foreach(d, &diags->v) {
		json_t *row = json_pack("{s:s, s:s?, s:i, s:i, s:s?, s:s?}", "severity",
			d->severity == BH_SEVERITY_ERROR ? "error" : "warning", "file", d->file, "line", (int)d->line,
			"column", (int)d->column, "message", d->message, "source", d->source);

		if (json_array_append_new(list, row) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	bh_vec_foreach(f, &failures->v) {
		json_t *row = json_pack("{s:s, s:s?, s:i, s:i, s:s, s:n}", "severity", "expectation", "file", f->loc.file, "line",
			(int)f->loc.line, "column", (int)f->loc.column, "message", f->message, "source");

		if (json_array_append_new(list, row) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

struct tally {
	size_t zones, rules, expectations, failed, errors, warnings;
};

static const char *plural(json_int_t n)
{
	return n == 1 ? "" : "s";
}

static void check_text(struct bh_writer *w, const json_t *doc, void *userdata)
{
	const char *name = json_string_value(json_object_get(doc, "file"));
	json_int_t errors = json_integer_value(json_object_get(doc, "errors"));
	json_int_t warnings = json_integer_value(json_object_get(doc, "warnings"));
	json_int_t failed = json_integer_value(json_object_get(doc, "failed"));
	json_int_t zones = json_integer_value(json_object_get(doc, "zones"));
	json_int_t rules = json_integer_value(json_object_get(doc, "rules"));
	json_int_t expectations = json_integer_value(json_object_get(doc, "expectations"));

	(void)userdata;
	if (!json_is_true(json_object_get(doc, "valid"))) {
		bh_text_line(w, BH_BAD, "%s: invalid: %lld error%s", name, (long long)errors, plural(errors));
		return;
	}
	bh_text_line(w, failed ? BH_BAD : warnings ? BH_WARN : BH_GOOD,
		"%s: valid: %lld zone%s, %lld rule%s, %lld of %lld expectation%s hold, %lld warning%s", name, (long long)zones,
		plural(zones), (long long)rules, plural(rules), (long long)(expectations - failed), (long long)expectations,
		plural(expectations), (long long)warnings, plural(warnings));
}

/* Diagnostics go to ERR unless JSON is asked for. Returns the exit code, or -ENOMEM. */
static int check_files(struct bh_cli *cli, const char *const *paths, size_t n, json_t **ret)
{
	_cleanup_(bh_policy_freep) struct bh_policy *policy = NULL;
	_cleanup_buf_ struct bh_buf text = {0};
	struct bh_expect_failures failures = {0};
	struct bh_diags diags = {0};
	struct tally t = {0};
	int r = bh_config_load_files(paths, n, BH_CONFIG_CONF_D, &policy, &diags);
	int code = r < 0 ? BH_EXIT_USAGE : BH_EXIT_OK;

	if (r == 0) {
		t.zones = policy->zones.n;
		t.rules = policy->allow.n;
		t.expectations = policy->expect.n;
		r = bh_expect_check(policy, &failures, NULL);
		bh_vec_foreach(f, &failures.v)
			t.failed += f == failures.v.v || f[-1].expect != f->expect;
		if (t.failed > 0)
			code = 1;
	}
	if (!cli->writer.json && bh_diags_print(&diags, &text) == 0 && bh_expect_print(&failures, &text) == 0 && text.s)
		fputs(text.s, cli->err);
	*ret = json_pack("{s:i, s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "version", 1, "file", paths[0], "valid",
		code != BH_EXIT_USAGE, "zones", (json_int_t)t.zones, "rules", (json_int_t)t.rules, "expectations",
		(json_int_t)t.expectations, "failed", (json_int_t)t.failed, "errors", (json_int_t)diags.errors,
		"warnings", (json_int_t)diags.warnings, "diagnostics", bh_diags_json(&diags, &failures));
	bh_diags_clear(&diags);
	bh_expect_failures_clear(&failures);
	return r == -ENOMEM || !*ret ? -ENOMEM : code;
}

int bh_verb_check(struct bh_cli *cli)
{
	static const char *const standard[] = { BH_CONFIG_FILE };
	json_t *doc = NULL;
	int code;

	if (cli->n_args > 0)
		code = check_files(cli, (const char *const *)cli->args, (size_t)cli->n_args, &doc);
	else
		code = check_files(cli, standard, 1, &doc);
	if (code < 0) {
		bh_cli_error(cli, "out of memory");
		code = 1;
	} else if (bh_writer_put(&cli->writer, doc, check_text, NULL) < 0) {
		code = code ? code : 1;
	}
	json_decref(doc);
	return code;
}
