/* SPDX-License-Identifier: Apache-2.0 */
/* What a reload would change: of the file that the daemon reads, or of another one, which is read here. */
#include "verb.h"

#include <string.h>

#define PLAN_TIMEOUT_MS 60000
#define ROWS_MAX 40	/* of each kind that are drawn */

struct rows {
	struct bh_writer *w;
	const char *label;	/* of the first row */
	enum bh_style style;
	size_t n;
};

#define ROW(r, ...)                                                                                \
	do {                                                                                       \
		if ((r)->n++ < ROWS_MAX)                                                           \
			bh_text_fact((r)->w, (r)->n == 1 ? (r)->label : "", (r)->style, __VA_ARGS__); \
	} while (0)

static void rows_end(const struct rows *r)
{
	if (r->n > ROWS_MAX)
		bh_text_fact(r->w, "", BH_DIM, "and %zu more: bulkhead plan --json", r->n - ROWS_MAX);
}

static void put_expectations(struct bh_writer *w, const json_t *doc)
{
	struct rows r = {.w = w, .label = "breaks", .style = BH_BAD};
	json_t *x;
	size_t i;

	json_array_foreach(json_object_get(doc, "expectations"), i, x)
		ROW(&r, "%s:%lld: %s", bh_doc_dash(x, "file"), (long long)json_integer_value(json_object_get(x, "line")), bh_doc_dash(x, "message"));
	rows_end(&r);
	if (r.n > 0)
		bh_text_fact(w, "", BH_BAD, "an expectation fails: a reload would be refused");
}

static void put_settings(struct bh_writer *w, const json_t *doc)
{
	struct rows r = {.w = w, .label = "sets", .style = BH_PLAIN};
	json_t *x;
	size_t i;

	json_array_foreach(json_object_get(doc, "settings"), i, x) {
		const char *zone = json_string_value(json_object_get(x, "zone"));

		ROW(&r, "%s%s%s: %s -> %s", zone ? zone : "", zone ? " " : "", bh_doc_dash(x, "setting"), bh_doc_dash(x, "before"), bh_doc_dash(x, "after"));
	}
	rows_end(&r);
}

static void put_moves(struct bh_writer *w, const json_t *doc)
{
	struct rows r = {.w = w, .label = "moves", .style = BH_PLAIN};
	json_t *x;
	size_t i;

	json_array_foreach(json_object_get(doc, "moves"), i, x) {
		const char *reason = json_string_value(json_object_get(x, "reason"));

		ROW(&r, "%s: %s -> %s%s%s", bh_doc_dash(x, "name"), bh_doc_dash(x, "from"), bh_doc_dash(x, "to"), reason ? ", " : "", reason ? reason : "");
	}
	rows_end(&r);
}

static void put_ports(struct bh_buf *b, const json_t *path)
{
	const json_t *ports = json_object_get(path, "ports"), *but = json_object_get(path, "but");
	json_t *p;
	size_t i;

	bh_buf_puts(b, json_array_size(ports) ? "" : "every port");
	json_array_foreach(ports, i, p)
		bh_buf_printf(b, "%s%s", i ? ", " : "", json_string_value(p));
	json_array_foreach(but, i, p)
		bh_buf_printf(b, "%s%s", i ? ", " : " but ", json_string_value(p));
}

/* Whether two paths differ in whom they lead to alone. */
static bool same_but_to(const json_t *a, const json_t *b)
{
	static const char *const keys[] = {"change", "from", "ports", "but", "source"};

	for (size_t i = 0; i < BH_ARRAY_SIZE(keys); i++)
		if (!json_equal(json_object_get(a, keys[i]), json_object_get(b, keys[i])))
			return false;
	return true;
}

/* "web -> db, api: tcp/80 (bulkhead.yaml:7)" */
static void put_paths(struct bh_writer *w, const json_t *doc, const char *change, enum bh_style style)
{
	const json_t *paths = json_object_get(doc, "paths");
	struct rows r = {.w = w, .label = change, .style = style};
	size_t n = json_array_size(paths);

	for (size_t i = 0, next; i < n; i = next) {
		const json_t *first = json_array_get(paths, i);
		_cleanup_buf_ struct bh_buf to = {0}, ports = {0};

		for (next = i; next < n && same_but_to(first, json_array_get(paths, next)); next++)
			bh_buf_printf(&to, "%s%s", next > i ? ", " : "", bh_doc_dash(json_object_get(json_array_get(paths, next), "to"), "name"));
		if (!bh_streq(bh_doc_dash(first, "change"), change))
			continue;
		put_ports(&ports, first);
		ROW(&r, "%s -> %s: %s (%s)", bh_doc_dash(json_object_get(first, "from"), "name"), to.s ? to.s : "",
			ports.s ? ports.s : "", bh_doc_dash(first, "source"));
	}
	rows_end(&r);
}

static void plan_text(struct bh_writer *w, const json_t *doc, void *userdata)
{
	const char *ends = json_string_value(json_object_get(json_object_get(doc, "connections"), "text"));
	const char *unread = json_string_value(json_object_get(doc, "connections_unread"));
	bool changes = json_is_true(json_object_get(doc, "changes"));

	(void)userdata;
	bh_text_fact(w, "plan", changes ? BH_BOLD : BH_GOOD, "%s: %s", bh_doc_dash(doc, "file"), changes ? "a reload would change this" : "nothing changes");
	put_expectations(w, doc);
	put_settings(w, doc);
	put_moves(w, doc);
	put_paths(w, doc, "closes", BH_WARN);
	put_paths(w, doc, "opens", BH_WARN);
	if (ends)
		bh_text_fact(w, "ends", BH_BAD, "%s", ends);
	if (unread)
		bh_text_fact(w, "ends", BH_WARN, "not known: %s", unread);
	if (changes && !json_array_size(json_object_get(doc, "settings")) && !json_array_size(json_object_get(doc, "moves")) &&
		!json_array_size(json_object_get(doc, "paths")))
		bh_text_fact(w, "", BH_PLAIN, "nothing for what runs now: the rules are written otherwise, or are about what is not there");
}

int bh_verb_plan(struct bh_cli *cli)
{
	struct bh_error err = {0};
	json_t *texts = NULL, *arguments = NULL, *doc = NULL;
	int code = cli->n_args > 0 ? bh_cli_texts(cli, cli->args[0], &texts) : BH_EXIT_OK;

	if (code != BH_EXIT_OK)
		return code;
	if (texts)
		arguments = json_pack("{s:o}", "config", texts);
	code = bh_cli_ask(cli, "plan", arguments, PLAN_TIMEOUT_MS, &doc, false, &err);
	if (code != BH_EXIT_OK)
		return code;
	code = json_is_true(json_object_get(doc, "changes")) || json_is_true(json_object_get(doc, "refused"));
	if (bh_writer_put(&cli->writer, doc, plan_text, NULL) < 0)
		code = 1;
	json_decref(doc);
	return code;
}
