/* SPDX-License-Identifier: Apache-2.0 */
/* The document of a doctor, drawn: what is wrong first, then what could not be seen and why, then what is good, by group. */
#include "doctor.h"

#include <string.h>

static bool is(const json_t *check, const char *key, const char *value)
{
	return strcmp(bh_doc_text(check, key), value) == 0;
}

static void put_problems(struct bh_writer *w, const json_t *checks, const char *result, enum bh_style style)
{
	size_t i;
	json_t *c;

	json_array_foreach(checks, i, c) {
		if (!is(c, "result", result))
			continue;
		fputc('\n', w->out);
		bh_text_fact(w, result, style, "%s: %s", bh_doc_text(c, "id"), bh_doc_text(c, "seen"));
		bh_text_fact(w, "", BH_PLAIN, "%s", bh_doc_text(c, "why"));
		bh_text_fact(w, "fix", BH_DIM, "%s", bh_doc_text(c, "fix"));
		bh_text_fact(w, "see", BH_DIM, "%s", bh_doc_text(c, "reference"));
	}
}

/* The names of the checks of that result whose KEY is that of the check at FIRST, which is the first of them; else nothing. */
static void names_like(const json_t *checks, size_t first, const char *key, struct bh_buf *out)
{
	const json_t *like = json_array_get(checks, first);
	size_t i;
	json_t *c;

	json_array_foreach(checks, i, c) {
		if (!is(c, "result", bh_doc_text(like, "result")) || !is(c, key, bh_doc_text(like, key)))
			continue;
		if (i < first)
			return;
		bh_buf_puts(out, i > first ? ", " : "");
		bh_buf_puts(out, bh_doc_text(c, "id"));
	}
}

static void put_others(struct bh_writer *w, const json_t *checks, const char *result, const char *key, enum bh_style style)
{
	bool any = false;
	size_t i;
	json_t *c;

	json_array_foreach(checks, i, c) {
		_cleanup_buf_ struct bh_buf names = {0};

		if (!is(c, "result", result))
			continue;
		names_like(checks, i, key, &names);
		if (!names.s)
			continue;
		if (!any)
			fputc('\n', w->out);
		any = true;
		if (strcmp(key, "group") == 0)
			bh_text_fact(w, bh_doc_text(c, "group"), style, "%s", names.s);
		else
			bh_text_fact(w, result, style, "%s: %s", bh_doc_text(c, key), names.s);
	}
}

void bh_doctor_text(struct bh_writer *w, const json_t *doc, void *userdata)
{
	const json_t *checks = json_object_get(doc, "checks"), *n = json_object_get(doc, "counts"), *runtime = json_object_get(doc, "runtime");
	const json_int_t fail = bh_doc_num(n, "fail"), warn = bh_doc_num(n, "warn");

	(void)userdata;
	bh_text_fact(w, "doctor", fail ? BH_BAD : warn ? BH_WARN : BH_GOOD, "%lld fail, %lld warn, %lld pass, %lld unknown%s", (long long)fail, (long long)warn,
		(long long)bh_doc_num(n, "pass"), (long long)bh_doc_num(n, "unknown"), json_is_true(json_object_get(doc, "root")) ? "" : " (not root, who sees more)");
	if (bh_doc_str(runtime, "kind"))
		bh_text_fact(w, bh_doc_text(runtime, "kind"), BH_PLAIN, "%s at %s", bh_doc_dash(runtime, "version"), bh_doc_text(runtime, "socket"));
	put_problems(w, checks, "fail", BH_BAD);
	put_problems(w, checks, "warn", BH_WARN);
	put_others(w, checks, "unknown", "seen", BH_PLAIN);
	put_others(w, checks, "pass", "group", BH_GOOD);
	if (bh_doc_num(n, "skipped")) {
		_cleanup_buf_ struct bh_buf names = {0};
		size_t i;
		json_t *c;

		json_array_foreach(checks, i, c)
			if (is(c, "result", "skipped")) {
				bh_buf_puts(&names, names.n ? ", " : "");
				bh_buf_puts(&names, bh_doc_text(c, "id"));
			}
		fputc('\n', w->out);
		bh_text_fact(w, "skipped", BH_DIM, "%s", names.s ? names.s : "");
	}
}
