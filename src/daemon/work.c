/* SPDX-License-Identifier: Apache-2.0 */
/* What a change took, stage by stage: a few readings of a clock for each look, told by status and, for each change, in the log. */
#include "manager.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const names[BH_STAGE_MAX] = {
	[BH_STAGE_LOOK] = "look", [BH_STAGE_PLACE] = "place", [BH_STAGE_COMPILE] = "compile", [BH_STAGE_COMPARE] = "compare",
	[BH_STAGE_CAPS] = "caps", [BH_STAGE_APPLY] = "apply", [BH_STAGE_VERIFY] = "verify",
};

void bh_work_begin(struct bh_manager *m)
{
	struct bh_work *w = &m->work;

	w->mark_usec = bh_now_usec(CLOCK_MONOTONIC);
	w->waited_usec = w->told_usec ? w->mark_usec - w->told_usec : 0;
	w->told_usec = 0;
	w->changed = false;
	memset(w->now, 0, sizeof(w->now));
}

void bh_stage_end(struct bh_manager *m, enum bh_stage stage)
{
	struct bh_work *w = &m->work;
	uint64_t now = bh_now_usec(CLOCK_MONOTONIC);

	w->now[stage] += now - w->mark_usec;
	w->mark_usec = now;
}

static void log_work(const struct bh_manager *m)
{
	const struct bh_work *w = &m->work;
	char text[200];
	size_t n = 0;

	for (size_t i = 0; i < BH_STAGE_MAX && n < sizeof(text); i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, ", %s %" PRIu64, names[i], w->last.usec[i]);
	bh_log_event(&m->log, BH_EVENT_CHANGE, "%zu elements, %zu bytes; microseconds: waited %" PRIu64 "%s", w->last.nft.elements,
		w->last.nft.bytes, w->last.waited_usec, text);
}

void bh_work_end(struct bh_manager *m)
{
	struct bh_work *w = &m->work;

	if (!w->changed)
		return;
	w->changes++;
	w->last.waited_usec = w->waited_usec;
	memcpy(w->last.usec, w->now, sizeof(w->now));
	w->last.nft = m->nft->last;
	log_work(m);
}

json_t *bh_work_json(const struct bh_manager *m)
{
	const struct bh_work *w = &m->work;
	json_t *usec;

	if (w->changes == 0)
		return json_null();
	usec = json_pack("{s:I}", "waited", (json_int_t)w->last.waited_usec);
	for (size_t i = 0; i < BH_STAGE_MAX && usec; i++)
		if (json_object_set_new(usec, names[i], json_integer((json_int_t)w->last.usec[i])) < 0) {
			json_decref(usec);
			return NULL;
		}
	return json_pack("{s:I, s:I, s:I, s:o}", "changes", (json_int_t)w->changes, "elements", (json_int_t)w->last.nft.elements, "bytes",
		(json_int_t)w->last.nft.bytes, "usec", usec);
}
