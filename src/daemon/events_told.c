/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's events as documents. */
#include "manager.h"

#include <ctype.h>
#include <string.h>

#define PREFIX "BULKHEAD_"

/* "BULKHEAD_FROM_ZONE" is "from_zone" here. */
static int field_put(json_t *fields, const char *name, const char *value)
{
	char key[64];
	size_t n = 0;

	if (strncmp(name, PREFIX, strlen(PREFIX)) == 0)
		name += strlen(PREFIX);
	for (; name[n] && n < sizeof(key) - 1; n++)
		key[n] = (char)tolower((unsigned char)name[n]);
	key[n] = '\0';
	return json_object_set_new(fields, key, json_string(value));
}

json_t *bh_event_json(const struct bh_event *x)
{
	static const char *const priorities[] = {"emergency", "alert", "critical", "error", "warning", "notice", "info", "debug"};
	json_t *fields = json_object();

	for (size_t i = 0; i < x->n_fields; i++)
		(void)field_put(fields, x->fields[i].name, x->fields[i].value);
	return json_pack("{s:I, s:I, s:s, s:s, s:s, s:o}", "seq", (json_int_t)x->seq, "usec", (json_int_t)x->usec, "priority",
		priorities[x->priority & 7], "event", x->what, "text", x->text, "fields", fields);
}

int bh_events_follow(struct bh_manager *m, struct bh_control_call *call, uint64_t *seq, size_t max)
{
	const struct bh_event *x;

	for (size_t i = 0; i < max && (x = bh_events_next(m->events, *seq)); i++) {
		int r = bh_control_tell(call, bh_event_json(x));

		if (r < 0)
			return r;
		*seq = x->seq;
	}
	return 0;
}

void bh_handle_events(struct bh_manager *m, struct bh_control_call *call, const json_t *request)
{
	json_t *list;
	uint64_t seq = 0;

	if (json_is_true(json_object_get(request, "follow"))) {
		bh_follow(m, call, BH_FOLLOW_EVENTS);
		return;
	}
	list = json_array();
	for (const struct bh_event *x; (x = bh_events_next(m->events, seq)); seq = x->seq)
		(void)json_array_append_new(list, bh_event_json(x));
	bh_control_reply(call, json_pack("{s:i, s:o}", "version", 1, "events", list));
}
