/* SPDX-License-Identifier: Apache-2.0 */
#include "verb.h"

#define SUGGEST_TIMEOUT_MS 60000

/* The file itself, with its comments: the daemon has made everything in it safe. */
static void yaml_text(struct bh_writer *w, const json_t *doc, void *userdata)
{
	const char *yaml = json_string_value(json_object_get(doc, "yaml"));

	(void)userdata;
	fputs(yaml ? yaml : "", w->out);
}

int bh_verb_suggest(struct bh_cli *cli)
{
	struct bh_error err = {0};
	json_t *doc = NULL;
	int code = bh_cli_ask(cli, "suggest", NULL, SUGGEST_TIMEOUT_MS, &doc, false, &err);

	if (code == BH_EXIT_OK && bh_writer_put(&cli->writer, doc, yaml_text, NULL) < 0)
		code = 1;
	json_decref(doc);
	return code;
}
