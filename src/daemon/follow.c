/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that follow what happens: each is told a bounded number of things at a time, from the loop and never from where they happen. */
#include "manager.h"

#include <errno.h>

#define SOON_USEC (200 * 1000ULL)
#define AT_ONCE_MAX 256u	/* told at a time; the rest a moment later */

static int tell(struct bh_manager *m, struct bh_follower *f)
{
	switch (f->what) {
	case BH_FOLLOW_DROPS:
		return bh_drops_follow(m, f->call, &f->seq, AT_ONCE_MAX);
	case BH_FOLLOW_EVENTS:
		return bh_events_follow(m, f->call, &f->seq, AT_ONCE_MAX);
	}
	return 0;
}

static uint64_t last_seq(const struct bh_manager *m, enum bh_followed what)
{
	return what == BH_FOLLOW_DROPS ? bh_kinds_seq(m->kinds) : bh_events_seq(m->events);
}

static int on_follow(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct bh_manager *m = userdata;
	bool more = false;
	size_t n = 0;

	(void)source;
	(void)usec;
	for (size_t i = 0; i < m->followers.n; i++) {
		struct bh_follower f = m->followers.v[i];

		if (tell(m, &f) < 0)
			continue;
		more = more || f.seq < last_seq(m, f.what);
		m->followers.v[n++] = f;
	}
	m->followers.n = n;
	if (more)
		bh_follow_wake(m);
	return 0;
}

/* Forgets who has left, so that they do not add up while nothing happens. */
static void prune(struct bh_manager *m)
{
	size_t n = 0;

	for (size_t i = 0; i < m->followers.n; i++)
		if (bh_control_is_alive(m->followers.v[i].call))
			m->followers.v[n++] = m->followers.v[i];
		else
			(void)bh_control_tell(m->followers.v[i].call, NULL);
	m->followers.n = n;
}

static void on_event(void *userdata, const struct bh_event *x)
{
	(void)x;
	bh_follow_wake(userdata);
}

void bh_follow(struct bh_manager *m, struct bh_control_call *call, enum bh_followed what)
{
	struct bh_follower f = {.call = call, .what = what, .seq = last_seq(m, what)};
	int r = 0;

	prune(m);
	if (bh_control_stream(call) < 0)
		return;
	bh_events_on(m->events, on_event, m);
	if (!m->follow)
		r = sd_event_add_time_relative(m->event, &m->follow, CLOCK_MONOTONIC, SOON_USEC, 0, on_follow, m);
	if (r < 0 || bh_vec_push(&m->followers, f) < 0)
		bh_control_refuse(call, "failed", "out of memory");
}

void bh_follow_wake(struct bh_manager *m)
{
	int enabled = SD_EVENT_OFF;

	if (m->followers.n == 0 || !m->follow || sd_event_source_get_enabled(m->follow, &enabled) < 0 || enabled != SD_EVENT_OFF)
		return;
	if (sd_event_source_set_time_relative(m->follow, SOON_USEC) >= 0)
		(void)sd_event_source_set_enabled(m->follow, SD_EVENT_ONESHOT);
}

void bh_follow_clear(struct bh_manager *m)
{
	bh_vec_foreach(f, &m->followers)
		(void)bh_control_tell(f->call, NULL);
	bh_vec_clear(&m->followers);
}
