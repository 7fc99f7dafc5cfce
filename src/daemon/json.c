/* SPDX-License-Identifier: Apache-2.0 */
/* Values that many answers have. */
#include "manager.h"

#include <time.h>

json_t *bh_json_time(uint64_t usec)
{
	time_t t = (time_t)(usec / 1000000);
	struct tm tm;
	char text[32];

	if (usec == 0 || !gmtime_r(&t, &tm) || strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		return json_null();
	return json_string(text);
}

json_t *bh_json_endings(const struct bh_endings *e)
{
	_cleanup_buf_ struct bh_buf text = {0};
	json_t *groups = json_array();
	size_t n = 0;

	bh_vec_foreach(x, &e->v) {
		if (n++ == BH_ENDINGS_TOLD)
			break;
		(void)json_array_append_new(groups, json_pack("{s:o, s:o, s:i, s:i, s:I}", "from", bh_json_text(x->from), "to", bh_json_text(x->to),
			"proto", x->proto, "port", x->port, "count", (json_int_t)x->count));
	}
	(void)bh_endings_print(e, &text);
	return json_pack("{s:I, s:o, s:s?}", "total", (json_int_t)e->total, "largest", groups, "text", text.s);
}
