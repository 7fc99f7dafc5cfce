/* SPDX-License-Identifier: Apache-2.0 */
/* What is in force by hand or for a time: what somebody who looks has to know before anything else. */
#include "status.h"
#include "verb.h"

#include <bulkhead/buf.h>

static void put_override(struct bh_writer *w, const json_t *o)
{
	const json_t *left = json_object_get(o, "seconds_left"), *ports = json_object_get(o, "ports");
	const char *kind = bh_doc_dash(o, "kind"), *problem = json_string_value(json_object_get(o, "problem"));
	char text[BH_DURATION_TEXT] = "";
	_cleanup_buf_ struct bh_buf b = {0};
	json_t *p;
	size_t i;

	if (json_is_integer(left))
		bh_duration_text((uint64_t)json_integer_value(left), text);
	if (bh_streq(kind, "lockdown")) {
		bh_text_fact(w, "by hand", BH_BAD, "LOCKDOWN: containers get nothing, whatever the rules say: bulkhead unlock");
	} else if (bh_streq(kind, "quarantine")) {
		const char *by = json_string_value(json_object_get(o, "by"));

		bh_text_fact(w, by ? "detect" : "by hand", BH_BAD, "%s is in quarantine%s%s%s%s%s: bulkhead release %s", bh_doc_dash(o, "container"),
			by ? " by rule " : "", by ? by : "", *text ? " for " : "", text, json_is_false(json_object_get(o, "running")) ? " (not running)" : "", bh_doc_dash(o, "container"));
	} else {
		bh_buf_puts(&b, json_array_size(ports) ? "" : "every port");
		json_array_foreach(ports, i, p)
			bh_buf_printf(&b, "%s%s", i ? ", " : "", json_string_value(p));
		bh_text_fact(w, "by hand", BH_WARN, "%s -> %s: %s is open for %s%s%s", bh_doc_dash(o, "from"), bh_doc_dash(o, "to"), b.s ? b.s : "", text,
			problem ? ", but: " : "", problem ? problem : "");
	}
}

void bh_status_hand(struct bh_writer *w, const json_t *doc)
{
	const json_t *config = json_object_get(json_object_get(doc, "daemon"), "config"), *within = json_object_get(config, "confirm_within");
	char left[BH_DURATION_TEXT];
	json_t *o;
	size_t i;

	json_array_foreach(json_object_get(doc, "overrides"), i, o)
		put_override(w, o);
	if (json_is_integer(within))
		bh_text_fact(w, "confirm", BH_WARN, "the configuration goes back in %s unless you say: bulkhead confirm",
			bh_duration_text((uint64_t)json_integer_value(within), left));
}
