/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of one connection, and why. The daemon answers; this draws it. */
#include "verb.h"

#include <string.h>

#define EXPLAIN_TIMEOUT_MS 15000

static enum bh_style style_of(const char *verdict)
{
	return strcmp(verdict, "accept") == 0 ? BH_GOOD : strcmp(verdict, "audit") == 0 ? BH_WARN : BH_BAD;
}

/* "web1 in zone web: labels tier=web (bulkhead.yaml:9)" */
static void put_who(struct bh_writer *w, const char *label, const json_t *who)
{
	const char *kind = bh_doc_text(who, "kind"), *name = bh_doc_text(who, "name");

	if (strcmp(kind, "zone") == 0)
		bh_text_fact(w, label, BH_PLAIN, "anybody in zone %s: %s", bh_doc_text(who, "zone"), bh_doc_text(who, "reason"));
	else if (strcmp(kind, "container") == 0)
		bh_text_fact(w, label, BH_PLAIN, "%s (%.12s) in zone %s: %s", name, bh_doc_text(who, "id"), bh_doc_text(who, "zone"),
			bh_doc_text(who, "reason"));
	else
		bh_text_fact(w, label, BH_PLAIN, "%s in zone %s: %s", name, bh_doc_text(who, "zone"), bh_doc_text(who, "reason"));
	bh_text_failed(w, "  fails", json_object_get(who, "posture"));
}

static void put_list(struct bh_buf *b, const json_t *list, const char *none)
{
	size_t i;
	json_t *x;

	json_array_foreach(list, i, x)
		bh_buf_printf(b, "%s%s", i ? ", " : "", json_string_value(x));
	if (json_array_size(list) == 0)
		bh_buf_puts(b, none);
}

static void put_rule(struct bh_writer *w, const json_t *rule)
{
	_cleanup_buf_ struct bh_buf b = {0};

	if (!json_is_object(rule))
		return;
	bh_buf_puts(&b, "from ");
	put_list(&b, json_object_get(rule, "from"), "");
	bh_buf_puts(&b, " to ");
	put_list(&b, json_object_get(rule, "to"), "");
	bh_buf_puts(&b, ", ports ");
	put_list(&b, json_object_get(rule, "ports"), "all");
	bh_text_fact(w, "rule", BH_PLAIN, "%s: %s", bh_doc_text(rule, "source"), b.s ? b.s : "");
}

static void put_element(struct bh_writer *w, const json_t *e)
{
	const json_t *there = json_object_get(e, "there"), *packets = json_object_get(e, "packets");
	char count[BH_SI_TEXT], counted[64] = "";

	if (json_integer_value(packets) > 0)
		snprintf(counted, sizeof(counted), ", %s packets", bh_si_text((uint64_t)json_integer_value(packets), count));
	bh_text_fact(w, json_is_null(there) ? "to load" : json_is_true(there) ? "  holds" : "  MISSING", json_is_false(there) ? BH_BAD : BH_DIM, "%s { %s }%s",
		bh_doc_text(e, "set"), bh_doc_text(e, "element"), counted);
}

/* "10.0.0.2 on br-x -> 10.0.0.3 on br-y" */
static void way_text(const json_t *way, struct bh_buf *b)
{
	static const char *const ends[][3] = {{"from", "from_interface", "from_zone"}, {"to", "to_interface", "to_zone"}};

	for (size_t i = 0; i < BH_ARRAY_SIZE(ends); i++) {
		const char *addr = bh_doc_text(way, ends[i][0]), *dev = bh_doc_text(way, ends[i][1]);

		bh_buf_printf(b, "%s%s%s%s", i ? " -> " : "", *addr ? addr : bh_doc_text(way, ends[i][2]), *dev ? " on " : "", dev);
	}
}

static void put_way(struct bh_writer *w, const json_t *way, bool alone)
{
	const json_t *published = json_object_get(way, "published");
	_cleanup_buf_ struct bh_buf path = {0};
	size_t i;
	json_t *x;

	way_text(way, &path);
	bh_text_fact(w, "way", BH_BOLD, "%s", path.s);
	if (!alone)
		bh_text_fact(w, "", style_of(bh_doc_text(way, "verdict")), "%s: %s", bh_doc_text(way, "verdict"), bh_doc_text(way, "reason"));
	if (json_is_object(published))
		bh_text_fact(w, "", BH_PLAIN, "%s of this host is published: judged as %s of zone %s", bh_doc_text(published, "port"),
			bh_doc_text(published, "container_port"), bh_doc_text(way, "to_zone"));
	json_array_foreach(json_object_get(way, "elements"), i, x)
		put_element(w, x);
	json_array_foreach(json_object_get(way, "besides"), i, x)
		bh_text_fact(w, "", bh_streq(bh_doc_text(x, "does"), "drop") ? BH_BAD : bh_streq(bh_doc_text(x, "does"), "pass") ? BH_DIM : BH_WARN,
			"besides: %s: %s", bh_doc_text(x, "where"), bh_doc_text(x, "text"));
}

static void put_open(struct bh_writer *w, const json_t *way)
{
	_cleanup_buf_ struct bh_buf path = {0};
	const json_t *open = json_object_get(way, "open");
	size_t i;
	json_t *x;

	way_text(way, &path);
	bh_text_fact(w, "way", BH_BOLD, "%s", path.s);
	json_array_foreach(open, i, x)
		bh_text_fact(w, "", BH_GOOD, "%s (%s)%s", strcmp(bh_doc_text(x, "ports"), "any") == 0 ? "every port" : bh_doc_text(x, "ports"),
			bh_doc_text(x, "source"),
			json_is_true(json_object_get(x, "resolver")) ? ", as a resolver" : "");
	json_array_foreach(json_object_get(way, "published"), i, x)
		bh_text_fact(w, "", BH_GOOD, "%s at %s, published by %s (%s)", bh_doc_text(x, "port"), bh_doc_text(x, "address"),
			bh_doc_text(x, "container"), bh_doc_text(x, "source"));
	if (json_array_size(open) == 0 && json_array_size(json_object_get(way, "published")) == 0)
		bh_text_fact(w, "", json_is_true(json_object_get(way, "all")) ? BH_GOOD : BH_BAD, "%s",
			json_is_true(json_object_get(way, "all")) ? "bulkhead does not decide about this" : "nothing is open");
}

static void put_advice(struct bh_writer *w, const json_t *advice)
{
	if (!json_is_object(advice))
		return;
	if (*bh_doc_text(advice, "line"))
		bh_text_fact(w, "to allow", BH_PLAIN, "write under 'allow':");
	if (*bh_doc_text(advice, "line"))
		bh_text_fact(w, "", BH_BOLD, "%s", bh_doc_text(advice, "line") + strspn(bh_doc_text(advice, "line"), " "));
	else
		bh_text_fact(w, "to allow", BH_PLAIN, "%s", bh_doc_text(advice, "why"));
	if (*bh_doc_text(advice, "breaks"))
		bh_text_fact(w, "", BH_WARN, "the expectation at %s wants it denied: a reload would be refused", bh_doc_text(advice, "breaks"));
}

static void explain_text(struct bh_writer *w, const json_t *doc, void *userdata)
{
	const json_t *ways = json_object_get(doc, "ways"), *first = json_array_get(ways, 0);
	const char *port = bh_doc_text(doc, "port"), *verdict = bh_doc_text(doc, "verdict");
	bool alone = true;
	size_t i;
	json_t *x;

	json_array_foreach(ways, i, x)
		alone = alone && strcmp(bh_doc_text(x, "reason"), bh_doc_text(first, "reason")) == 0;
	if (!json_is_true(json_object_get(doc, "loaded")))
		bh_text_fact(w, "asked of", BH_WARN, "%s, which is not loaded", (const char *)userdata);
	if (*port && !first)
		bh_text_fact(w, "verdict", style_of(verdict), "%s: %s", verdict, bh_doc_text(doc, "reason"));
	else if (*port)
		bh_text_fact(w, "verdict", style_of(verdict), "%s %s%s%s", port, verdict, alone ? ": " : ", not every way alike",
			alone ? bh_doc_text(first, "reason") : "");
	else
		bh_text_fact(w, "open", style_of(verdict), "%s", strcmp(verdict, "accept") == 0 ? "everything" : strcmp(verdict, "audit") == 0 ?
			"by the rules what follows; all else passes in audit and is logged" : first ?
			"what follows, nothing else" : bh_doc_text(doc, "reason"));
	put_who(w, "from", json_object_get(doc, "from"));
	put_who(w, "to", json_object_get(doc, "to"));
	if (*port && first && alone)
		put_rule(w, json_object_get(first, "rule"));
	put_advice(w, json_object_get(doc, "advice"));
	json_array_foreach(json_object_get(doc, "notes"), i, x)
		bh_text_fact(w, "note", BH_WARN, "%s", json_string_value(x));
	json_array_foreach(ways, i, x)
		if (*port)
			put_way(w, x, alone);
		else
			put_open(w, x);
}

int bh_verb_explain(struct bh_cli *cli)
{
	struct bh_error err = {0};
	json_t *doc = NULL, *arguments, *texts = NULL;
	int code = BH_EXIT_OK;

	if (cli->n_args < 2) {
		bh_cli_error(cli, "explain: say who and to whom: bulkhead explain web1 db1 tcp/5432");
		return BH_EXIT_USAGE;
	}
	if (cli->option[BH_OPTION_CONFIG])
		code = bh_cli_texts(cli, cli->option[BH_OPTION_CONFIG], &texts);
	if (code != BH_EXIT_OK)
		return code;
	arguments = json_pack("{s:s, s:s, s:s*, s:o*}", "from", cli->args[0], "to", cli->args[1], "port", cli->n_args > 2 ? cli->args[2] : NULL, "config",
		texts);
	if (!arguments) {
		bh_cli_error(cli, "explain: what is asked for is no UTF-8");
		return BH_EXIT_USAGE;
	}
	code = bh_cli_ask(cli, "explain", arguments, EXPLAIN_TIMEOUT_MS, &doc, false, &err);
	if (code != BH_EXIT_OK)
		return code;
	if (strcmp(bh_doc_text(doc, "verdict"), "deny") == 0)
		code = 1;
	if (bh_writer_put(&cli->writer, doc, explain_text, (void *)cli->option[BH_OPTION_CONFIG]) < 0)
		code = 1;
	json_decref(doc);
	return code;
}
