/* SPDX-License-Identifier: Apache-2.0 */
#include "verb.h"

/* Beyond what a busy kernel takes for 10,000 containers; the daemon answers when the kernel holds the rules. */
#define RELOAD_TIMEOUT_MS 60000
#define CONFIRM_MAX 86400	/* seconds */

/* The daemon's diagnostics, which have lines of their own and are made safe by it; what would act on a terminal all the same
 * is not printed. */
static void put_lines(FILE *out, const char *text)
{
	for (; text && *text; text++)
		fputc((unsigned char)*text >= 0x20 && *text != 0x7f ? *text : *text == '\n' || *text == '\t' ? *text : '?', out);
}

static void reload_text(struct bh_writer *w, const json_t *doc, void *userdata)
{
	struct bh_cli *cli = userdata;

	put_lines(cli->err, json_string_value(json_object_get(doc, "diagnostics")));
	if (json_is_true(json_object_get(doc, "loaded"))) {
		const char *ended = json_string_value(json_object_get(json_object_get(doc, "ended"), "text"));
		json_int_t within = json_integer_value(json_object_get(doc, "confirm_within"));
		char left[BH_DURATION_TEXT];

		bh_text_line(w, BH_PLAIN, "loaded, and the kernel holds it: %s",
			json_string_value(json_object_get(doc, "state")));
		if (ended)
			bh_text_line(w, BH_WARN, "%s", ended);
		if (within > 0)
			bh_text_line(w, BH_WARN, "it goes back in %s unless you say: bulkhead confirm", bh_duration_text((uint64_t)within, left));
	}
	else
		bh_cli_error(cli, "%s: nothing changed", json_string_value(json_object_get(doc, "error")));
}

int bh_verb_reload(struct bh_cli *cli)
{
	struct bh_error err = {0};
	json_t *doc = NULL, *arguments = NULL;
	uint64_t seconds = 0;
	int code = cli->option[BH_OPTION_CONFIRM] ? bh_cli_duration(cli, BH_OPTION_CONFIRM, CONFIRM_MAX, &seconds) : BH_EXIT_OK;

	if (code != BH_EXIT_OK)
		return code;
	if (seconds)
		arguments = json_pack("{s:I}", "confirm", (json_int_t)seconds);
	code = bh_cli_ask(cli, "reload", arguments, RELOAD_TIMEOUT_MS, &doc, false, &err);
	if (code != BH_EXIT_OK)
		return code;
	if (bh_writer_put(&cli->writer, doc, reload_text, cli) < 0)
		code = 1;
	if (!json_is_true(json_object_get(doc, "loaded")))
		code = BH_EXIT_USAGE;
	json_decref(doc);
	return code;
}
