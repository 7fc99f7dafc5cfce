/* SPDX-License-Identifier: Apache-2.0 */
/* The zone by zone matrix of what a configuration opens, and its expectations. From the file alone: no daemon, no root. */
#include "verb.h"

#include <bulkhead/config.h>
#include <bulkhead/expect.h>
#include <bulkhead/matrix.h>

#include <errno.h>
#include <string.h>

#define LETTERS 52
#define NAME_MAX_COLUMNS 24u

static int append(json_t *list, json_t *item)
{
	return json_array_append_new(list, item) < 0 ? -ENOMEM : 0;
}

static json_t *source_json(const struct bh_loc *loc)
{
	_cleanup_buf_ struct bh_buf b = {0};

	bh_buf_put_safe(&b, loc->file ? loc->file : "", 4096);
	bh_buf_printf(&b, ":%u", loc->line);
	return json_string(b.s ? b.s : "");
}

/* "tcp/80", …; "any" alone for every protocol. */
static json_t *open_json(const struct bh_portset *open)
{
	json_t *list = json_array();
	char text[BH_PORT_TEXT];
	int r = list && open->all ? append(list, json_string("any")) : 0;

	bh_vec_foreach(p, &open->ports)
		if (r == 0)
			r = append(list, json_string(bh_port_text(p, text)));
	if (r == 0)
		return list;
	json_decref(list);
	return NULL;
}

static json_t *cell_json(const struct bh_policy *p, const struct bh_matrix *m, size_t from, size_t to)
{
	const struct bh_matrix_cell *c = bh_matrix_at(m, from, to);
	_cleanup_buf_ struct bh_buf text = {0};
	json_t *rules = json_array();

	bh_portset_print(&c->open, &text);
	for (size_t i = 0; rules && i < c->rules.n; i++)
		if (append(rules, source_json(&p->allow.v[c->rules.v[i]].loc)) < 0)
			return NULL;
	return json_pack("{s:s, s:s, s:o, s:s, s:o}", "from", m->ends.v[from].name, "to", m->ends.v[to].name, "open", open_json(&c->open),
		"text", text.s ? text.s : "", "rules", rules);
}

/* Every pair that is decided here. */
static int matrix_json(const struct bh_policy *p, json_t *doc)
{
	_cleanup_(bh_matrix_freep) struct bh_matrix *m = NULL;
	json_t *from = json_array(), *to = json_array(), *pairs = json_array();
	int r = bh_matrix_new(p, &m, NULL);

	for (size_t i = 0; r == 0 && i < m->ends.n; i++) {
		r = append(to, json_string(m->ends.v[i].name));
		if (r < 0 || !m->ends.v[i].opens)
			continue;
		r = append(from, json_string(m->ends.v[i].name));
		for (size_t k = 0; r == 0 && k < m->ends.n; k++)
			if (bh_matrix_at(m, i, k)->ours)
				r = append(pairs, cell_json(p, m, i, k));
	}
	if (json_object_set_new(doc, "from", from) < 0 || json_object_set_new(doc, "to", to) < 0 || json_object_set_new(doc, "pairs", pairs) < 0)
		r = r < 0 ? r : -ENOMEM;
	return r;
}

static json_t *expectations_json(const struct bh_policy *p, const struct bh_expect_failures *failures)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < p->expect.n; i++) {
		json_t *why = json_array();

		bh_vec_foreach(f, &failures->v)
			if (f->expect == i)
				(void)append(why, json_string(f->message));
		if (append(list, json_pack("{s:o, s:s, s:b, s:o}", "source", source_json(&p->expect.v[i].loc), "verdict",
			p->expect.v[i].expect_accept ? "accept" : "deny", "holds", json_array_size(why) == 0, "failures", why)) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

/* ---- text */

static bool is_open(const json_t *pair)
{
	return json_array_size(json_object_get(pair, "open")) > 0;
}

/* What the matrix shows: names that something opens or is opened to, their number, and a letter for each different set of ports. */
struct drawing {
	struct bh_writer *w;
	const json_t *doc;
	BH_VEC(const char *) names;	/* of columns */
	BH_VEC(const char *) sets;
	size_t rows;
	int err;
};

static size_t find(const char *const *v, size_t n, const char *s)
{
	size_t i = 0;

	while (i < n && strcmp(v[i], s) != 0)
		i++;
	return i;
}

static bool is_row(const struct drawing *d, const char *name)
{
	size_t i;
	json_t *x;

	json_array_foreach(json_object_get(d->doc, "from"), i, x)
		if (strcmp(json_string_value(x), name) == 0)
			return true;
	return false;
}

/* A built-in zone that nothing is opened from or to is named in a line of its own, not drawn. */
static bool is_idle(const struct drawing *d, const char *name)
{
	size_t i;
	json_t *x;

	if (bh_builtin_from_name(name) == BH_BUILTIN_NONE)
		return false;
	json_array_foreach(json_object_get(d->doc, "pairs"), i, x)
		if (is_open(x) && (strcmp(bh_doc_text(x, "from"), name) == 0 || strcmp(bh_doc_text(x, "to"), name) == 0))
			return false;
	return true;
}

static void drawing_make(struct drawing *d)
{
	size_t i;
	json_t *x;

	json_array_foreach(json_object_get(d->doc, "to"), i, x)
		if (d->err == 0 && !is_idle(d, json_string_value(x)))
			d->err = bh_vec_push(&d->names, json_string_value(x));
	json_array_foreach(json_object_get(d->doc, "pairs"), i, x)
		if (d->err == 0 && d->sets.n <= LETTERS && is_open(x) && strcmp(bh_doc_text(x, "text"), "every port") != 0 &&
			find(d->sets.v, d->sets.n, bh_doc_text(x, "text")) == d->sets.n)
			d->err = bh_vec_push(&d->sets, bh_doc_text(x, "text"));
}

static char letter(size_t i)
{
	return (char)(i < 26 ? 'a' + (int)i : 'A' + (int)i - 26);
}

static char cell_char(const struct drawing *d, const char *from, const char *to)
{
	size_t i;
	json_t *x;

	json_array_foreach(json_object_get(d->doc, "pairs"), i, x)
		if (strcmp(bh_doc_text(x, "from"), from) == 0 && strcmp(bh_doc_text(x, "to"), to) == 0)
			return !is_open(x) ? '.' : strcmp(bh_doc_text(x, "text"), "every port") == 0 ? '*' :
				letter(find(d->sets.v, d->sets.n, bh_doc_text(x, "text")));
	return ' ';
}

static unsigned name_columns(const struct drawing *d)
{
	unsigned most = 0;

	bh_vec_foreach(n, &d->names)
		most = strlen(*n) > most ? (unsigned)strlen(*n) : most;
	return most < NAME_MAX_COLUMNS ? most : NAME_MAX_COLUMNS;
}

/* Bytes of NAME that WIDTH columns hold, whole characters. */
static int name_fit(const char *name, unsigned width)
{
	size_t n = strnlen(name, width);

	while (n > 0 && name[n] && ((unsigned char)name[n] & 0xc0) == 0x80)
		n--;
	return (int)n;
}

static void put_row(const struct drawing *d, const char *head, const struct bh_buf *cells)
{
	fprintf(d->w->out, "%s%s\n", head, cells->s ? cells->s : "");
}

/* The numbers of the columns, one digit below the other. */
static void put_numbers(const struct drawing *d, unsigned width)
{
	char head[BH_WIDTH];

	snprintf(head, sizeof(head), "%*s", (int)width + 4, "");
	for (size_t ten = d->names.n > 9 ? 2 : 1; ten > 0; ten--) {
		_cleanup_buf_ struct bh_buf b = {0};

		for (size_t i = 1; i <= d->names.n; i++)
			if (ten == 2 && i < 10)
				bh_buf_puts(&b, "  ");
			else
				bh_buf_printf(&b, " %zu", ten == 2 ? i / 10 : i % 10);
		put_row(d, head, &b);
	}
}

static void put_matrix(const struct drawing *d, unsigned width)
{
	fputs("from the rows to the columns:\n", d->w->out);
	put_numbers(d, width);
	for (size_t i = 0; i < d->names.n; i++) {
		_cleanup_buf_ struct bh_buf cells = {0};
		char head[BH_WIDTH];

		snprintf(head, sizeof(head), "%2zu  %-*.*s", i + 1, (int)width, name_fit(d->names.v[i], width), d->names.v[i]);
		for (size_t k = 0; is_row(d, d->names.v[i]) && k < d->names.n; k++)
			bh_buf_printf(&cells, " %c", cell_char(d, d->names.v[i], d->names.v[k]));
		if (!is_row(d, d->names.v[i]))
			bh_buf_puts(&cells, " (only a column)");
		put_row(d, head, &cells);
	}
	fputc('\n', d->w->out);
	for (size_t i = 0; i < d->sets.n; i++) {
		char label[2] = {letter(i), '\0'};

		bh_text_fact(d->w, label, BH_PLAIN, "%s", d->sets.v[i]);
	}
	bh_text_fact(d->w, "*", BH_PLAIN, "every port");
	bh_text_fact(d->w, ".", BH_PLAIN, "nothing; a blank is not decided here: no container at either end");
}

/* Too many for a matrix: what is open, a line a pair. */
static void put_pairs(const struct drawing *d)
{
	static const struct bh_column columns[] = {{"from", false, 12}, {"to", false, 12}, {"open", false, 12}, {"rule", false, 12}};
	struct bh_table_text t = {.columns = columns, .n_columns = BH_ARRAY_SIZE(columns)};
	size_t i;
	json_t *x;

	json_array_foreach(json_object_get(d->doc, "pairs"), i, x) {
		const json_t *rules = json_object_get(x, "rules");
		_cleanup_buf_ struct bh_buf rule = {0};

		if (!is_open(x))
			continue;
		bh_buf_printf(&rule, "%s%s", json_string_value(json_array_get(rules, 0)), json_array_size(rules) > 1 ? " ..." : "");
		bh_table_cell(&t, BH_PLAIN, bh_doc_text(x, "from"));
		bh_table_cell(&t, BH_PLAIN, bh_doc_text(x, "to"));
		bh_table_cell(&t, BH_PLAIN, bh_doc_text(x, "text"));
		bh_table_cell(&t, BH_DIM, rule.s);
	}
	bh_table_print(d->w, &t);
	bh_text_line(d->w, BH_PLAIN, "All other pairs are closed.");
}

static void put_idle(const struct drawing *d)
{
	_cleanup_buf_ struct bh_buf names = {0};
	size_t i;
	json_t *x;

	json_array_foreach(json_object_get(d->doc, "to"), i, x)
		if (is_idle(d, json_string_value(x)))
			bh_buf_printf(&names, "%s%s", names.n ? ", " : "", json_string_value(x));
	if (names.n)
		bh_text_fact(d->w, "closed", BH_PLAIN, "%s, both ways", names.s);
}

static void put_expectations(const struct drawing *d)
{
	const json_t *list = json_object_get(d->doc, "expectations");
	size_t held = 0, i, k;
	json_t *x, *why;

	json_array_foreach(list, i, x)
		held += json_is_true(json_object_get(x, "holds"));
	if (json_array_size(list) > 0)
		bh_text_fact(d->w, "expected", held < json_array_size(list) ? BH_BAD : BH_GOOD, "%zu of %zu expectations hold", held,
			json_array_size(list));
	json_array_foreach(list, i, x)
		json_array_foreach(json_object_get(x, "failures"), k, why)
			bh_text_fact(d->w, "fails", BH_BAD, "%s: %s", bh_doc_text(x, "source"), json_string_value(why));
}

static void test_text(struct bh_writer *w, const json_t *doc, void *userdata)
{
	struct drawing d = {.w = w, .doc = doc};
	unsigned width;

	(void)userdata;
	if (!json_is_true(json_object_get(doc, "valid"))) {
		bh_text_line(w, BH_BAD, "%s: invalid", bh_doc_text(doc, "file"));
		return;
	}
	bh_text_fact(w, "mode", strcmp(bh_doc_text(doc, "mode"), "audit") == 0 ? BH_WARN : BH_GOOD, "%s%s", bh_doc_text(doc, "mode"),
		strcmp(bh_doc_text(doc, "mode"), "audit") == 0 ? ": what is closed here is logged, and passes" : "");
	drawing_make(&d);
	width = name_columns(&d);
	if (d.err < 0)
		bh_text_line(w, BH_BAD, "out of memory");
	else if (width + 4 + 2 * d.names.n <= BH_WIDTH && d.sets.n <= LETTERS)
		put_matrix(&d, width);
	else
		put_pairs(&d);
	put_idle(&d);
	put_expectations(&d);
	bh_vec_clear(&d.names);
	bh_vec_clear(&d.sets);
}

/* Returns the exit code, or -ENOMEM. */
static int test_file(struct bh_cli *cli, const char *path, json_t **ret)
{
	_cleanup_(bh_policy_freep) struct bh_policy *policy = NULL;
	_cleanup_buf_ struct bh_buf text = {0};
	struct bh_expect_failures failures = {0};
	struct bh_diags diags = {0};
	int r = bh_config_load_files(&path, 1, BH_CONFIG_CONF_D, &policy, &diags), code = BH_EXIT_USAGE;
	json_t *doc;

	if (r == 0)
		r = bh_expect_check(policy, &failures, NULL);
	doc = json_pack("{s:i, s:s, s:b, s:s?, s:o}", "version", 1, "file", path, "valid", policy != NULL, "mode",
		!policy ? NULL : policy->mode == BH_MODE_AUDIT ? "audit" : "enforce", "diagnostics", bh_diags_json(&diags, &failures));
	if (!doc)
		r = -ENOMEM;
	if (policy && r == 0) {
		code = failures.v.n > 0 ? 1 : BH_EXIT_OK;
		r = matrix_json(policy, doc);
		if (r == 0 && json_object_set_new(doc, "expectations", expectations_json(policy, &failures)) < 0)
			r = -ENOMEM;
	}
	if (!cli->writer.json && bh_diags_print(&diags, &text) == 0 && text.s)
		fputs(text.s, cli->err);
	bh_diags_clear(&diags);
	bh_expect_failures_clear(&failures);
	*ret = doc;
	return r == -ENOMEM ? r : code;
}

int bh_verb_test(struct bh_cli *cli)
{
	json_t *doc = NULL;
	int code = test_file(cli, cli->n_args > 0 ? cli->args[0] : BH_CONFIG_FILE, &doc);

	if (code < 0) {
		bh_cli_error(cli, "out of memory");
		code = 1;
	} else if (bh_writer_put(&cli->writer, doc, test_text, NULL) < 0) {
		code = code ? code : 1;
	}
	json_decref(doc);
	return code;
}
