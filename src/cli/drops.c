/* SPDX-License-Identifier: Apache-2.0 */
#include "drops.h"
#include "verb.h"

#define DROPS_TIMEOUT_MS 15000

static void list_text(struct bh_writer *w, const json_t *doc, void *userdata)
{
	(void)userdata;
	bh_drops_text(w, json_object_get(doc, "denials"));
}

/* "19:20:01  denied web1 (web) to db1 (db) tcp/5432: policy, 4 times" */
static void line_text(struct bh_writer *w, const json_t *drop, void *userdata)
{
	_cleanup_free_ char *from = bh_drop_end(drop, false), *to = bh_drop_end(drop, true), *port = bh_drop_port(drop);
	const char *class = json_string_value(json_object_get(drop, "class")), *verdict = json_string_value(json_object_get(drop, "verdict"));
	long long count = json_integer_value(json_object_get(drop, "count"));
	char clock[BH_CLOCK_TEXT];
	bool audit = bh_streq(verdict, "audit");

	(void)userdata;
	bh_text_fact(w, bh_clock_text(json_integer_value(json_object_get(drop, "last_usec")), clock), audit ? BH_PLAIN : BH_WARN,
		"%s %s to %s %s: %s, %lld time%s", audit ? "would deny" : "denied", from ? from : "-", to ? to : "-", port ? port : "-",
		class ? class : "-", count, count == 1 ? "" : "s");
}

int bh_verb_drops(struct bh_cli *cli)
{
	struct bh_error err = {0};
	json_t *doc = NULL;
	int code;

	if (cli->option[BH_OPTION_FOLLOW])
		return bh_cli_follow(cli, "drops", line_text);
	code = bh_cli_ask(cli, "drops", NULL, DROPS_TIMEOUT_MS, &doc, false, &err);
	if (code == BH_EXIT_OK && bh_writer_put(&cli->writer, doc, list_text, NULL) < 0)
		code = 1;
	json_decref(doc);
	return code;
}
