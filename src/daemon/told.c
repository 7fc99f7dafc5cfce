/* SPDX-License-Identifier: Apache-2.0 */
/* Who got which zone is logged once. */
#include "manager.h"

#include <string.h>

void bh_told_clear(struct bh_told *t, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(t[i].id);
		free(t[i].zone);
	}
}

/* What was told of ID, or NULL. Both lists are in the runtimes' order, so that it is at *AT, or soon behind, unless it is new. */
static struct bh_told *told_at(const struct bh_manager *m, const char *id, size_t *at)
{
	for (size_t k = 0; k < m->told.n; k++) {
		size_t i = *at + k < m->told.n ? *at + k : *at + k - m->told.n;

		if (m->told.v[i].id && strcmp(m->told.v[i].id, id) == 0) {
			*at = i + 1 < m->told.n ? i + 1 : 0;
			return &m->told.v[i];
		}
	}
	return NULL;
}

static void log_move(const struct bh_manager *m, const struct bh_member *member, const struct bh_zone_inst *zone)
{
	const struct bh_container *c = member->container;

	const char *name = c->name ? c->name : c->id, *reason = member->reason ? member->reason : "";
	const struct bh_log_field fields[] = {
		{"BULKHEAD_CONTAINER", c->id},
		{"BULKHEAD_NAME", name},
		{"BULKHEAD_IMAGE", c->image},
		{"BULKHEAD_ZONE", zone->name},
		{"BULKHEAD_REASON", reason},
	};

	bh_log_fields(&m->log, zone->builtin == BH_BUILTIN_QUARANTINE ? LOG_NOTICE : LOG_INFO, BH_EVENT_PLACED, fields, BH_ARRAY_SIZE(fields),
		"container %s is in zone %s: %s", name, zone->name, reason);
}

/* Tells what is new; OLD may be NULL. Returns the sum of what fails. */
static uint64_t log_new(const struct bh_manager *m, const struct bh_member *member, const struct bh_zone_inst *zone, const struct bh_told *old)
{
	bool moved = !old || !bh_streq(old->zone, zone->name);
	uint64_t failed = bh_failures_sum(member);

	if (moved)
		log_move(m, member, zone);
	if (failed && (moved || failed != old->failed))
		bh_failures_log(m, member, zone);
	return failed;
}

void bh_told_few(struct bh_manager *m, const size_t *places, size_t n)
{
	const struct bh_placement *p = m->round.placement;

	for (size_t i = 0; i < n; i++) {
		const struct bh_member *member = &p->members.v[places[i]];
		const struct bh_zone_inst *zone = &p->insts.v[member->inst];
		size_t at = 0;
		struct bh_told *t = told_at(m, member->container->id, &at);
		uint64_t failed = log_new(m, member, zone, t);

		t = t ? t : bh_vec_add(&m->told);
		if (t)
			t->failed = failed;
		if (t && ((!t->id && bh_strdup(&t->id, member->container->id) < 0) || bh_strdup(&t->zone, zone->name) < 0))
			continue;	/* told once more next time */
	}
}

void bh_told_moves(struct bh_manager *m)
{
	const struct bh_placement *p = m->round.placement;
	BH_VEC(struct bh_told) now = {0};
	size_t at = 0;

	if (!p)
		return;
	bh_vec_foreach(member, &p->members) {
		const struct bh_zone_inst *zone = &p->insts.v[member->inst];
		struct bh_told *old = told_at(m, member->container->id, &at), *t = bh_vec_add(&now);

		uint64_t failed = log_new(m, member, zone, old);

		if (!t)
			break;
		if (old) {	/* its strings go over */
			*t = *old;
			memset(old, 0, sizeof(*old));
		}
		t->failed = failed;
		if ((!t->id && bh_strdup(&t->id, member->container->id) < 0) ||
			(!bh_streq(t->zone, zone->name) && bh_strdup(&t->zone, zone->name) < 0))
			break;
	}
	bh_told_clear(m->told.v, m->told.n);
	bh_vec_clear(&m->told);
	m->told.v = now.v;
	m->told.n = now.n;
	m->told.cap = now.cap;
}
