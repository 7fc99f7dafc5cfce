/* SPDX-License-Identifier: Apache-2.0 */
#include "verb.h"

#define CONFIRM_TIMEOUT_MS 10000

static void confirm_text(struct bh_writer *w, const json_t *doc, void *userdata)
{
	const char *problem = json_string_value(json_object_get(doc, "problem"));

	(void)userdata;
	bh_text_line(w, BH_GOOD, "confirmed: it stays");
	if (problem)
		bh_text_line(w, BH_BAD, "%s", problem);
}

int bh_verb_confirm(struct bh_cli *cli)
{
	struct bh_error err = {0};
	json_t *doc = NULL;
	int code = bh_cli_ask(cli, "confirm", NULL, CONFIRM_TIMEOUT_MS, &doc, false, &err);

	if (code != BH_EXIT_OK)
		return code;
	if (bh_writer_put(&cli->writer, doc, confirm_text, NULL) < 0)
		code = 1;
	json_decref(doc);
	return code;
}
