/* SPDX-License-Identifier: Apache-2.0 */
/* What is in force by hand or for a time: what somebody who looks has to know before anything else. */
#include "status.h"
#include "verb.h"

void bh_status_hand(struct bh_writer *w, const json_t *doc)
{
	const json_t *config = json_object_get(json_object_get(doc, "daemon"), "config"), *within = json_object_get(config, "confirm_within");
	char left[BH_DURATION_TEXT];

	if (json_is_integer(within))
		bh_text_fact(w, "confirm", BH_WARN, "the configuration goes back in %s unless you say: bulkhead confirm",
			bh_duration_text((uint64_t)json_integer_value(within), left));
}
