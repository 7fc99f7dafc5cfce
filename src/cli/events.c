/* SPDX-License-Identifier: Apache-2.0 */
#include "drops.h"
#include "verb.h"

#include <string.h>
#include <time.h>

#define EVENTS_TIMEOUT_MS 15000
#define DAY_TEXT 16

static void put_event(struct bh_writer *w, const json_t *event)
{
	const char *what = json_string_value(json_object_get(event, "event")), *text = json_string_value(json_object_get(event, "text"));
	const char *priority = json_string_value(json_object_get(event, "priority"));
	bool bad = bh_streq(priority, "warning") || bh_streq(priority, "error");
	char clock[BH_CLOCK_TEXT];

	bh_text_fact(w, bh_clock_text(json_integer_value(json_object_get(event, "usec")), clock), bad ? BH_WARN : BH_PLAIN, "%s: %s",
		what ? what : "-", text ? text : "-");
}

static void list_text(struct bh_writer *w, const json_t *doc, void *userdata)
{
	char day[DAY_TEXT], before[DAY_TEXT] = "";
	json_t *events = json_object_get(doc, "events"), *e;
	size_t i;

	(void)userdata;
	if (json_array_size(events) == 0)
		bh_text_line(w, BH_DIM, "nothing happened yet");
	json_array_foreach(events, i, e) {
		time_t t = (time_t)(json_integer_value(json_object_get(e, "usec")) / 1000000);
		struct tm tm;

		if (gmtime_r(&t, &tm) && strftime(day, sizeof(day), "%Y-%m-%d", &tm) > 0 && strcmp(day, before) != 0) {
			bh_text_line(w, BH_BOLD, "%s (UTC)", day);
			strcpy(before, day);
		}
		put_event(w, e);
	}
}

static void line_text(struct bh_writer *w, const json_t *event, void *userdata)
{
	(void)userdata;
	put_event(w, event);
}

int bh_verb_events(struct bh_cli *cli)
{
	struct bh_error err = {0};
	json_t *doc = NULL;
	int code;

	if (cli->option[BH_OPTION_FOLLOW])
		return bh_cli_follow(cli, "events", line_text);
	code = bh_cli_ask(cli, "events", NULL, EVENTS_TIMEOUT_MS, &doc, false, &err);
	if (code == BH_EXIT_OK && bh_writer_put(&cli->writer, doc, list_text, NULL) < 0)
		code = 1;
	json_decref(doc);
	return code;
}
