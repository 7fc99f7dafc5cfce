/* SPDX-License-Identifier: Apache-2.0 */
#include "drops.h"
#include "verb.h"

#include <string.h>

#define WHY_TIMEOUT_MS 15000

static void put_denial(struct bh_writer *w, const json_t *d, const char *name)
{
	const json_t *advice = json_object_get(d, "advice");
	const char *kind = bh_doc_str(advice, "kind"), *class = bh_doc_str(d, "class");
	const bool out = bh_streq(bh_doc_str(d, "from"), name), audit = bh_streq(bh_doc_str(d, "verdict"), "audit"), open = bh_streq(kind, "open");
	_cleanup_free_ char *peer = bh_drop_end(d, out), *port = bh_drop_port(d);
	const long long count = json_integer_value(json_object_get(d, "count"));
	char age[BH_AGE_TEXT];

	bh_text_fact(w, open ? "was" : audit ? "would be" : "denied", open ? BH_DIM : audit ? BH_PLAIN : BH_WARN, "%s%s %s %s: %s, %lld time%s, last %s ago%s",
		open ? "denied " : audit ? "denied " : "", out ? "to" : "from", peer ? peer : "-", port ? port : "-", class ? class : "-", count,
		count == 1 ? "" : "s", bh_age_text(json_integer_value(json_object_get(d, "last_usec")), age), open ? ", allowed now" : "");
	if (bh_doc_str(d, "note"))
		bh_text_fact(w, "", BH_DIM, "%s", bh_doc_str(d, "note"));
	if (open)
		return;
	if (bh_doc_str(advice, "why"))
		bh_text_fact(w, "", BH_PLAIN, "%s", bh_doc_str(advice, "why"));
	if (bh_doc_str(advice, "line"))
		bh_text_fact(w, "", BH_PLAIN, "allowed by: %s", bh_doc_str(advice, "line") + strspn(bh_doc_str(advice, "line"), " "));
	if (bh_doc_str(advice, "breaks"))
		bh_text_fact(w, "", BH_WARN, "but the expectation at %s wants it denied: a reload would be refused", bh_doc_str(advice, "breaks"));
}

static void why_text(struct bh_writer *w, const json_t *doc, void *userdata)
{
	const json_t *denials = json_object_get(doc, "denials"), *paste = json_object_get(doc, "paste");
	const char *name = bh_doc_str(doc, "name"), *reason = bh_doc_str(doc, "reason");
	json_t *d;
	size_t i;

	(void)userdata;
	if (json_is_true(json_object_get(doc, "running")))
		bh_text_fact(w, "who", BH_PLAIN, "%s in zone %s: %s", name ? name : "-", bh_doc_dash(doc, "zone"), reason ? reason : "-");
	else
		bh_text_fact(w, "who", BH_PLAIN, "%s, which has stopped", name ? name : "-");
	if (json_array_size(denials) == 0)
		bh_text_line(w, BH_GOOD, "nothing was denied lately");
	json_array_foreach(denials, i, d)
		put_denial(w, d, name);
	if (!json_is_object(paste))
		return;
	fputc('\n', w->out);
	if (bh_doc_str(paste, "beside"))
		bh_text_line(w, BH_BOLD, "To allow it, put what is meant of this into the list 'allow' (line %s) of this file, then: bulkhead reload",
			bh_doc_str(paste, "beside"));
	else
		bh_text_line(w, BH_BOLD, "To allow it, put what is meant of this into this file, then: bulkhead reload");
	bh_text_fact(w, "file", BH_PLAIN, "%s", bh_doc_dash(paste, "file"));
	/* to be copied as it is: the daemon has made everything in it safe */
	fprintf(w->out, "\n%s", bh_doc_text(paste, "text"));
}

int bh_verb_why(struct bh_cli *cli)
{
	struct bh_error err = {0};
	json_t *doc = NULL;
	int code;

	if (cli->n_args < 1) {
		bh_cli_error(cli, "why: say which container: bulkhead why NAME");
		return BH_EXIT_USAGE;
	}
	code = bh_cli_ask(cli, "why", json_pack("{s:s}", "name", cli->args[0]), WHY_TIMEOUT_MS, &doc, false, &err);
	if (code == BH_EXIT_OK && bh_writer_put(&cli->writer, doc, why_text, NULL) < 0)
		code = 1;
	else if (code == BH_EXIT_OK)
		code = json_is_true(json_object_get(doc, "denied"));
	json_decref(doc);
	return code;
}
