/* SPDX-License-Identifier: Apache-2.0 */
#include "manager.h"
#include "state.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define KEEP_USEC (60 * 1000000ull)	/* contacts are kept so much later */

static void found_clear(struct bh_found *f)
{
	free(f->rule);
	free(f->id);
	free(f->name);
	free(f->zone);
	free(f->text);
}

/* ---- what follows from a finding */

/* What is done about it, in a word; and closed, where it is. */
static const char *act_on(struct bh_manager *m, const struct bh_found *f, bool *changed)
{
	bool audit = f->audit || f->guessed || !m->config.policy || m->config.policy->mode == BH_MODE_AUDIT;
	int r;

	if (f->quarantine_usec == 0 || !f->id)
		return f->alert ? "alert" : "log";
	if (audit)
		return "would-quarantine";
	r = bh_hand_quarantine(m, f->id, f->name, f->quarantine_usec, f->rule);
	if (r == -EALREADY)
		return "in-quarantine";
	if (r < 0)
		return "no-room";
	*changed = true;
	return "quarantine";
}

static const char *word_of(const char *action)
{
	if (bh_streq(action, "quarantine"))
		return ": quarantined";
	if (bh_streq(action, "would-quarantine"))
		return ": would be quarantined";
	if (bh_streq(action, "in-quarantine"))
		return ": is in quarantine already";
	if (bh_streq(action, "no-room"))
		return ": not quarantined, too many are";
	return "";
}

static void tell(struct bh_manager *m, const struct bh_found *f, const char *action)
{
	char count[24], seconds[24];
	uint64_t before = bh_events_seq(m->events);
	const struct bh_event *x;

	snprintf(count, sizeof(count), "%llu", (unsigned long long)f->count);
	snprintf(seconds, sizeof(seconds), "%llu", (unsigned long long)(f->quarantine_usec / 1000000));
	const struct bh_log_field fields[] = {
		{"BULKHEAD_RULE", f->rule},
		{"BULKHEAD_SEES", f->sees},
		{"BULKHEAD_CONTAINER", f->id},
		{"BULKHEAD_NAME", f->name},
		{"BULKHEAD_ZONE", f->zone},
		{"BULKHEAD_COUNT", count},
		{"BULKHEAD_ACTION", action},
		{"BULKHEAD_SECONDS", f->quarantine_usec ? seconds : NULL},
	};

	bh_log_fields(&m->log, f->alert ? LOG_ALERT : LOG_WARNING, BH_EVENT_DETECT, fields, BH_ARRAY_SIZE(fields), "%s: %s (%s): %s%s", f->rule,
		f->name ? f->name : "all of them", f->zone, f->text, word_of(action));
	x = f->alert ? bh_events_next(m->events, before) : NULL;
	if (x) {
		_cleanup_free_ char *line = bh_access_line(x);

		if (line)
			bh_alerts_send(&m->detect.alerts, line);
	}
}

static int on_act(sd_event_source *source, void *userdata)
{
	struct bh_manager *m = userdata;
	struct bh_detect *d = &m->detect;
	bool changed = false;

	(void)source;
	bh_vec_foreach(f, &d->waiting) {
		tell(m, f, act_on(m, f, &changed));
		found_clear(f);
	}
	bh_vec_clear(&d->waiting);
	if (d->overflowed)
		bh_log(&m->log, LOG_WARNING, BH_EVENT_DEGRADED, "%llu findings were lost: they came faster than they could be dealt with",
			(unsigned long long)d->overflowed);
	d->overflowed = 0;
	if (changed)
		bh_hand_changed(m);
	return 0;
}

static void on_finding(void *userdata, const struct bh_finding *x)
{
	struct bh_manager *m = userdata;
	struct bh_detect *d = &m->detect;
	struct bh_found f = {.sees = bh_sees_words[x->rule->sees], .count = x->count, .quarantine_usec = x->rule->quarantine_usec, .alert = x->rule->alert,
		.audit = x->rule->audit, .guessed = x->guessed};
	int r = d->waiting.n < BH_DETECT_WAITING_MAX ? 0 : -ENOSPC;

	if (r == 0)
		r = bh_strdup(&f.rule, x->rule->name);
	if (r == 0)
		r = bh_strdup(&f.id, x->id);
	if (r == 0)
		r = bh_strdup(&f.name, x->name);
	if (r == 0)
		r = bh_strdup(&f.zone, x->zone);
	if (r == 0)
		r = bh_strdup(&f.text, x->text);
	if (r == 0)
		r = bh_vec_push(&d->waiting, f);
	if (r < 0) {
		found_clear(&f);
		d->overflowed++;
	}
	(void)sd_event_source_set_enabled(d->act, SD_EVENT_ONESHOT);
}

/* ---- what is seen */

static void keep_contacts(struct bh_manager *m)
{
	_cleanup_buf_ struct bh_buf text = {0};
	int r;

	if (!m->detect.contacts.changed)
		return;
	m->detect.contacts.changed = false;
	r = bh_contacts_print(&m->detect.contacts, &text);
	if (r == 0)
		r = bh_state_keep_contacts(m->state_dir, text.s);
	if (r < 0)
		bh_log(&m->log, LOG_WARNING, BH_EVENT_DEGRADED, "which zones have talked cannot be kept in %s: %s", m->state_dir, strerror(-r));
}

static int on_keep(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source, (void)usec;
	keep_contacts(userdata);
	return 0;
}

/* What is kept is another daemon's memory, or an older one of ours. */
static void load_contacts(struct bh_manager *m)
{
	_cleanup_buf_ struct bh_buf text = {0};
	int r = bh_state_load_contacts(m->state_dir, &text);

	m->detect.contacts_known = true;
	if (r == 0)
		r = bh_contacts_parse(text.s ? text.s : "", &m->detect.contacts);
	if (r < 0 && r != -ENOENT)
		bh_log(&m->log, LOG_WARNING, BH_EVENT_DEGRADED, "which zones have talked cannot be read in %s: learned anew", m->state_dir);
}

void bh_detect_see(struct bh_manager *m, const struct bh_member *member, struct bh_sight *s)
{
	struct bh_detect *d = &m->detect;
	bool deaf = !m->nflog || bh_nflog_lost(m->nflog) > d->nflog_lost;

	if (!d->detector || !m->round.placement)
		return;
	if (member) {
		s->id = member->container->id;
		s->name = member->container->name ? member->container->name : member->container->id;
		s->zone = m->round.placement->insts.v[member->inst].name;
	}
	if (bh_detector_see(d->detector, s, bh_now_usec(CLOCK_MONOTONIC), bh_now_usec(CLOCK_REALTIME) / 1000000, deaf, on_finding, m) < 0)
		bh_log(&m->log, LOG_ERR, BH_EVENT_DEGRADED, "out of memory: something that a container did was not held against detect");
	if (d->contacts.changed && d->keep) {
		int enabled = SD_EVENT_OFF;

		if (sd_event_source_get_enabled(d->keep, &enabled) >= 0 && enabled == SD_EVENT_OFF &&
			sd_event_source_set_time_relative(d->keep, KEEP_USEC) >= 0)
			(void)sd_event_source_set_enabled(d->keep, SD_EVENT_ONESHOT);
	}
}

/* The member that has the network of container ID. */
static const struct bh_member *member_of(const struct bh_manager *m, const char *id)
{
	const struct bh_container *c = NULL;

	for (int depth = 0; id && depth < 8; depth++) {
		c = NULL;
		bh_vec_foreach(s, &m->sources)
			c = c ? c : bh_inventory_container((*s)->inventory, id);
		if (!c || c->netmode != BH_NETMODE_CONTAINER)
			break;
		id = c->netns_owner;
	}
	if (c && m->round.placement)
		bh_vec_foreach(x, &m->round.placement->members)
			if (strcmp(x->container->id, c->id) == 0)
				return x;
	return NULL;
}

void bh_detect_exec(struct bh_manager *m, const char *id, const char *text)
{
	struct bh_sight s = {.sees = BH_SEES_EXEC, .n = 1, .text = text};
	const struct bh_member *member;

	if (!m->detect.detector || !bh_detector_sees(m->detect.detector, BH_SEES_EXEC))
		return;
	member = member_of(m, id);
	if (member)
		bh_detect_see(m, member, &s);
}

void bh_detect_posture(struct bh_manager *m, const char *id, const struct bh_posture *before, const struct bh_posture *now)
{
	struct bh_sight s = {.sees = BH_SEES_POSTURE, .n = 1};
	_cleanup_buf_ struct bh_buf text = {0};
	const struct bh_member *member;

	if (!m->detect.detector || !bh_detector_sees(m->detect.detector, BH_SEES_POSTURE) || bh_posture_changes(before, now, &text) < 0 || !text.s)
		return;
	s.text = text.s;
	member = member_of(m, id);
	if (member)
		bh_detect_see(m, member, &s);
}

/* ---- the configuration */

static int prepare(struct bh_manager *m)
{
	struct bh_detect *d = &m->detect;
	int r = 0;

	if (!d->act) {
		r = sd_event_add_defer(m->event, &d->act, on_act, m);
		if (r >= 0)
			r = sd_event_source_set_enabled(d->act, SD_EVENT_OFF);
	}
	if (r >= 0 && !d->keep) {
		r = sd_event_add_time_relative(m->event, &d->keep, CLOCK_MONOTONIC, KEEP_USEC, 0, on_keep, m);
		if (r >= 0)
			r = sd_event_source_set_enabled(d->keep, SD_EVENT_OFF);
	}
	return r < 0 ? r : 0;
}

void bh_detect_follow(struct bh_manager *m)
{
	const struct bh_policy *p = m->config.policy;
	struct bh_detect *d = &m->detect;
	int r = bh_alerts_set(&d->alerts, m->event, &m->log, p ? p->alerts : NULL);

	if (!p || p->detect.n == 0) {
		bh_detector_free(bh_take(d->detector));
	} else if (!d->detector || !bh_detector_keeps(d->detector, p->detect.v, p->detect.n)) {
		bh_detector_free(bh_take(d->detector));
		if (r == 0)
			r = prepare(m);
		if (r == 0)
			r = bh_detector_new(p->detect.v, p->detect.n, &d->contacts, &d->detector);
		if (r == 0 && !d->contacts_known && bh_detector_sees(d->detector, BH_SEES_FIRST_CONTACT))
			load_contacts(m);
	}
	if (r < 0)
		bh_log(&m->log, LOG_ERR, BH_EVENT_DEGRADED, "detect does not see anything: %s", strerror(-r));
	bh_detect_feed(m);
}

void bh_detect_clear(struct bh_manager *m)
{
	struct bh_detect *d = &m->detect;
	sd_event_source **sources[] = {&d->act, &d->counts, &d->samples, &d->keep, &d->flow_io};

	bh_egress_follow(m, false);
	if (d->contacts_known)
		keep_contacts(m);
	for (size_t i = 0; i < BH_ARRAY_SIZE(sources); i++)
		*sources[i] = sd_event_source_disable_unref(*sources[i]);
	bh_flow_events_free(d->flows);
	d->flows = NULL;
	bh_detector_free(bh_take(d->detector));
	bh_contacts_clear(&d->contacts);
	bh_vec_foreach(f, &d->waiting)
		found_clear(f);
	bh_vec_clear(&d->waiting);
	bh_vec_clear(&d->carried);
	bh_alerts_clear(&d->alerts);
}
