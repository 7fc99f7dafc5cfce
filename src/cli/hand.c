/* SPDX-License-Identifier: Apache-2.0 */
/* What is said by hand: quarantine, release, allow, lockdown, unlock. */
#include "verb.h"

#include <string.h>

#define HAND_TIMEOUT_MS 60000
#define FOR_MAX (366ull * 86400)

static void done_text(struct bh_writer *w, const json_t *doc, void *userdata)
{
	const char *problem = json_string_value(json_object_get(doc, "problem")), *left = userdata;

	bh_text_line(w, BH_GOOD, "%s%s%s", json_string_value(json_object_get(doc, "done")), left ? " for " : "", left ? left : "");
	if (problem)
		bh_text_line(w, BH_BAD, "%s", problem);
}

/* Asks for VERB with ARGUMENTS (taken over), for SECONDS where that is not 0. */
static int say(struct bh_cli *cli, const char *verb, json_t *arguments, uint64_t seconds)
{
	char text[BH_DURATION_TEXT];
	struct bh_error err = {0};
	json_t *doc = NULL;
	int code;

	if (seconds)
		(void)json_object_set_new(arguments, "seconds", json_integer((json_int_t)seconds));
	code = bh_cli_ask(cli, verb, arguments, HAND_TIMEOUT_MS, &doc, false, &err);
	if (code != BH_EXIT_OK)
		return code;
	if (bh_writer_put(&cli->writer, doc, done_text, seconds ? (void *)(uintptr_t)bh_duration_text(seconds, text) : NULL) < 0)
		code = 1;
	json_decref(doc);
	return code;
}

int bh_verb_quarantine(struct bh_cli *cli)
{
	uint64_t seconds = 0;
	int code = cli->option[BH_OPTION_FOR] ? bh_cli_duration(cli, BH_OPTION_FOR, FOR_MAX, &seconds) : BH_EXIT_OK;

	if (code != BH_EXIT_OK)
		return code;
	if (cli->n_args != 1) {
		bh_cli_error(cli, "quarantine: which container? usage: bulkhead quarantine NAME [--for TIME]");
		return BH_EXIT_USAGE;
	}
	return say(cli, "quarantine", json_pack("{s:s}", "name", cli->args[0]), seconds);
}

int bh_verb_release(struct bh_cli *cli)
{
	if (cli->n_args != 1) {
		bh_cli_error(cli, "release: which container? usage: bulkhead release NAME");
		return BH_EXIT_USAGE;
	}
	return say(cli, "release", json_pack("{s:s}", "name", cli->args[0]), 0);
}

/* "tcp/80,tcp/443" and "tcp/80 tcp/443" are the same. */
static json_t *ports_json(char **args, int n)
{
	json_t *list = json_array();

	for (int i = 0; i < n; i++)
		for (const char *p = args[i]; *p;) {
			size_t len = strcspn(p, ",");

			if (len > 0)
				(void)json_array_append_new(list, json_stringn(p, len));
			p += len + (p[len] == ',');
		}
	return list;
}

int bh_verb_allow(struct bh_cli *cli)
{
	uint64_t seconds = 0;
	int code;

	if (cli->n_args < 3 || !cli->option[BH_OPTION_FOR]) {
		bh_cli_error(cli, "allow: for how long, from where, to where, which ports? e.g. bulkhead allow --for 10m web db tcp/5432 (or 'all'); "
			"what stays belongs in the configuration");
		return BH_EXIT_USAGE;
	}
	code = bh_cli_duration(cli, BH_OPTION_FOR, FOR_MAX, &seconds);
	if (code != BH_EXIT_OK)
		return code;
	return say(cli, "allow", json_pack("{s:s, s:s, s:o}", "from", cli->args[0], "to", cli->args[1], "ports",
		strcmp(cli->args[2], "all") == 0 && cli->n_args == 3 ? json_array() : ports_json(cli->args + 2, cli->n_args - 2)), seconds);
}

int bh_verb_lockdown(struct bh_cli *cli)
{
	return say(cli, "lockdown", NULL, 0);
}

int bh_verb_unlock(struct bh_cli *cli)
{
	return say(cli, "unlock", NULL, 0);
}
