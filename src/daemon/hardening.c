/* SPDX-License-Identifier: Apache-2.0 */
/* What of `require` fails, told: in the log once, and as a document; and when time alone may fail one. */
#include "manager.h"

#include <bulkhead/sum.h>

#include <stdio.h>
#include <string.h>

#define PLACE_TEXT 320

static const char *place_text(const struct bh_loc *loc, char buf[PLACE_TEXT])
{
	snprintf(buf, PLACE_TEXT, "%.250s:%u", loc->file ? loc->file : "", loc->line);
	return buf;
}

uint64_t bh_failures_sum(const struct bh_member *m)
{
	uint64_t sum = BH_SUM_INIT;

	bh_vec_foreach(f, &m->failed.v) {
		sum = bh_sum(sum, &f->condition, sizeof(f->condition));
		sum = bh_sum(sum, f->found, strlen(f->found));
		sum = f->container ? bh_sum(sum, f->container, strlen(f->container)) : sum;
	}
	return m->failed.v.n ? sum : 0;
}

void bh_failures_log(const struct bh_manager *m, const struct bh_member *member, const struct bh_zone_inst *zone)
{
	const char *name = member->container->name ? member->container->name : member->container->id;

	bh_vec_foreach(f, &member->failed.v) {
		char source[PLACE_TEXT];
		const char *compose = f->compose && *f->compose ? f->compose : NULL, *docker = !f->docker ? "" : compose ? "; docker run: " : "; to do: ";
		const struct bh_log_field fields[] = {
			{"BULKHEAD_CONTAINER", member->container->id},
			{"BULKHEAD_NAME", name},
			{"BULKHEAD_ZONE", zone->name},
			{"BULKHEAD_REASON", f->found},
			{"BULKHEAD_REQUIRED_BY", member->barred},
			{"BULKHEAD_CONDITION", bh_failure_name(f)},
			{"BULKHEAD_SOURCE", place_text(&f->loc, source)},
			{"BULKHEAD_SHARES_WITH", f->container},
			{"BULKHEAD_FIX", f->docker},
		};

		bh_log_fields(&m->log, LOG_NOTICE, BH_EVENT_PLACED, fields, BH_ARRAY_SIZE(fields), "container %s fails %s, which %s requires (%s): %s%s%s%s%s%s%s%s", name,
			bh_failure_name(f), member->barred, source, f->container ? f->container : "", f->container ? " shares its network: " : "", f->found,
			docker, f->docker ? f->docker : "", compose ? "; compose: " : "", compose ? compose : "",
			zone->builtin == BH_BUILTIN_QUARANTINE ? "" : " (audit: it stays)");
	}
}

json_t *bh_posture_json(const struct bh_member *m)
{
	json_t *list = json_array();
	char source[PLACE_TEXT];

	bh_vec_foreach(f, &m->failed.v)
		(void)json_array_append_new(list, json_pack("{s:s, s:s, s:s?, s:s, s:s?, s:s?}", "condition", bh_failure_name(f), "source",
			place_text(&f->loc, source), "container", f->container, "found", f->found, "docker", f->docker, "compose", f->compose));
	return json_pack("{s:b, s:s?, s:o}", "known", m->container->posture.known, "required_by", m->barred, "failed", list);
}

static bool requires(const struct bh_policy *p)
{
	if (p->require)
		return true;
	bh_vec_foreach(z, &p->zones)
		if (z->require)
			return true;
	return false;
}

bool bh_postures_missing(const struct bh_manager *m)
{
	if (!m->config.policy || !requires(m->config.policy))
		return false;
	bh_vec_foreach(s, &m->sources)
		bh_vec_foreach(c, &(*s)->inventory->containers)
			if (c->kind == BH_KIND_CONTAINER && !c->posture.known && (c->state == BH_CONTAINER_RUNNING || c->state == BH_CONTAINER_PAUSED))
				return true;
	return false;
}

static int on_time(sd_event_source *s, uint64_t usec, void *userdata)
{
	(void)s, (void)usec;
	bh_manager_dirty(userdata);
	return 0;
}

void bh_judge_later(struct bh_manager *m)
{
	int64_t at = m->round.placement ? m->round.placement->judge_again : 0;
	uint64_t armed = 0;

	/* one that has gone off is made anew, should the clock have been set back */
	if (m->judge_timer && at > 0 && sd_event_source_get_enabled(m->judge_timer, NULL) > 0 &&
		sd_event_source_get_time(m->judge_timer, &armed) >= 0 && armed == (uint64_t)at * 1000000)
		return;
	m->judge_timer = sd_event_source_disable_unref(m->judge_timer);
	/* without a timer the next whole look finds it, within a minute */
	if (at > 0)
		(void)sd_event_add_time(m->event, &m->judge_timer, CLOCK_REALTIME, (uint64_t)at * 1000000, 1000, on_time, m);
}
