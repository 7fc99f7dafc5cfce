/* SPDX-License-Identifier: Apache-2.0 */
/* What the rules of `detect` are not told and have to ask for: each source runs while a rule wants it. */
#include "manager.h"

#include <errno.h>
#include <string.h>

#define COUNTS_USEC (500 * 1000ull)
#define COUNTS_DEAF_USEC (2 * 1000000ull)
#define SAMPLES_USEC (2 * 1000000ull)

static void arm(sd_event_source *source, uint64_t usec)
{
	if (source && sd_event_source_set_time_relative(source, usec) >= 0)
		(void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* ---- what the kernel dropped: packets that it did not tell one by one */

static void count_all(struct bh_manager *m)
{
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *seen = NULL;

	if (!m->round.placement || !m->nft->ops->counters || m->nft->ops->counters(m->nft, &seen, NULL) < 0)
		return;	/* the rule set moves: the next look sees it */
	bh_vec_foreach(x, &m->round.placement->members) {
		struct bh_sight s = {.sees = BH_SEES_DENIED, .counted = true, .n = bh_member_counts(seen, x).dropped_packets};

		if (s.n > 0)
			bh_detect_see(m, x, &s);
	}
}

static int on_counts(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct bh_manager *m = userdata;
	struct bh_detect *d = &m->detect;
	bool deaf = !m->nflog || bh_nflog_lost(m->nflog) > d->nflog_lost;

	(void)usec;
	d->counts_on = false;
	if (!d->detector || !bh_detector_sees(d->detector, BH_SEES_DENIED))
		return 0;
	if (deaf || bh_detector_wants_counts(d->detector, bh_now_usec(CLOCK_MONOTONIC))) {
		count_all(m);
		d->counts_on = true;
	}
	d->nflog_lost = m->nflog ? bh_nflog_lost(m->nflog) : 0;
	if (d->counts_on || !m->nflog)
		arm(source, m->nflog ? COUNTS_USEC : COUNTS_DEAF_USEC);
	return 0;
}

void bh_detect_wake(struct bh_manager *m)
{
	struct bh_detect *d = &m->detect;

	if (d->counts_on || !d->counts || !d->detector || !bh_detector_wants_counts(d->detector, bh_now_usec(CLOCK_MONOTONIC)))
		return;
	d->counts_on = true;
	d->nflog_lost = m->nflog ? bh_nflog_lost(m->nflog) : 0;	/* what was lost on another occasion is no doubt now */
	arm(d->counts, 0);
}

/* ---- new connections */

static void on_flow(void *userdata, const struct bh_flow *f)
{
	struct bh_manager *m = userdata;
	const struct bh_judge *judge = bh_round_judge(m);
	struct bh_party from, to;
	struct bh_sight s = {.n = 1, .to_addr = f->to, .proto = f->proto, .port = f->to_port, .has_port = f->to_port != 0};

	if (f->ended) {
		bh_egress_ended(m, f);
		return;
	}
	if (!judge || !m->ready)
		return;
	from = bh_judge_who(judge, &f->from, NULL);
	if (!from.member)
		return;
	to = bh_judge_who(judge, &f->to, NULL);
	s.to = bh_party_name(judge, &to);
	s.to_zone = to.inst == BH_NOBODY ? NULL : bh_party_zone(judge, &to);
	s.to_container = to.member;
	s.sees = BH_SEES_CONNECTIONS;
	bh_detect_see(m, from.member, &s);
	s.sees = BH_SEES_FIRST_CONTACT;
	if (s.to_zone)
		bh_detect_see(m, from.member, &s);
}

static int on_flows(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct bh_manager *m = userdata;
	struct bh_detect *d = &m->detect;
	int r = bh_flow_events_read(d->flows, on_flow, m);
	uint64_t lost = bh_flow_events_lost(d->flows);

	(void)source, (void)fd, (void)events;
	if (lost > d->flows_lost && !d->flows_told) {
		d->flows_told = true;
		bh_log(&m->log, LOG_WARNING, BH_EVENT_DETECT, "new connections come faster than they can be read: detect sees not all of them");
	}
	d->sent_gap = d->sent_gap || lost > d->flows_lost;
	d->flows_lost = lost;
	if (r < 0) {
		bh_log(&m->log, LOG_WARNING, BH_EVENT_DEGRADED, "new connections cannot be read: %s: detect does not see them", strerror(-r));
		d->flow_io = sd_event_source_disable_unref(d->flow_io);
		bh_flow_events_free(d->flows);
		d->flows = NULL;
	}
	return 0;
}

static void follow_flows(struct bh_manager *m, bool want, bool ends)
{
	struct bh_detect *d = &m->detect;
	struct bh_error err = {0};
	int r;

	if (want == (d->flows != NULL) && (!want || ends == d->flows_end))
		return;
	d->flow_io = sd_event_source_disable_unref(d->flow_io);
	bh_flow_events_free(d->flows);
	d->flows = NULL;
	d->flows_end = ends;
	if (!want)
		return;
	d->flows_told = false;
	d->flows_lost = 0;
	r = m->nflog_wanted ? bh_flow_events_new(ends, &d->flows, &err) : 0;	/* not on fakes */
	if (r == 0 && d->flows)
		r = sd_event_add_io(m->event, &d->flow_io, bh_flow_events_fd(d->flows), EPOLLIN, on_flows, m);
	if (r >= 0 && d->flow_io)
		r = sd_event_source_set_priority(d->flow_io, SD_EVENT_PRIORITY_IDLE);
	if (r < 0) {
		bh_log(&m->log, LOG_WARNING, BH_EVENT_DEGRADED, "new connections cannot be followed: %s: detect does not see them",
			err.msg[0] ? err.msg : strerror(-r));
		bh_flow_events_free(d->flows);
		d->flows = NULL;
	}
}

/* ---- what caps carry */

struct carrying {
	struct bh_manager *m;
	BH_VEC(struct bh_carried) now;
	int r;
};

static void on_bytes(void *userdata, int ifindex, uint64_t rx, uint64_t tx)
{
	struct carrying *c = userdata;
	struct bh_carried x = {.ifindex = ifindex, .rx = rx, .tx = tx};

	if (c->r == 0)
		c->r = bh_vec_push(&c->now, x);
}

static int carried_cmp(const void *va, const void *vb)
{
	const struct bh_carried *a = va, *b = vb;

	return (a->ifindex > b->ifindex) - (a->ifindex < b->ifindex);
}

static const struct bh_carried *carried_find(const struct bh_carried *v, size_t n, int ifindex)
{
	const struct bh_carried want = {.ifindex = ifindex};

	return n ? bsearch(&want, v, n, sizeof(*v), carried_cmp) : NULL;
}

/* What went through the ports of a member since the last look. The host's end receives what the container sends. */
static void member_bytes(const struct carrying *c, const struct bh_member *x, uint64_t bytes[BH_DIRECTION_MAX])
{
	const struct bh_detect *d = &c->m->detect;

	bh_vec_foreach(at, &x->attachments) {
		const struct bh_carried *now = carried_find(c->now.v, c->now.n, at->port_ifindex);
		const struct bh_carried *before = carried_find(d->carried.v, d->carried.n, at->port_ifindex);

		if (!now || !before || now->rx < before->rx || now->tx < before->tx)
			continue;
		bytes[BH_EGRESS] += now->rx - before->rx;
		bytes[BH_INGRESS] += now->tx - before->tx;
	}
}

static void tell_cap(struct bh_manager *m, const struct bh_member *member, const char *zone, const struct bh_rates *caps,
	const uint64_t bytes[BH_DIRECTION_MAX], uint64_t span)
{
	for (enum bh_direction d = 0; d < BH_DIRECTION_MAX; d++) {
		struct bh_sight s = {.sees = BH_SEES_SATURATED, .zone = zone, .direction = d, .n = bytes[d], .span_usec = span, .cap_bps = bh_rate(caps, d)};

		if (s.cap_bps)
			bh_detect_see(m, member, &s);
	}
}

static void tell_caps(const struct carrying *c, uint64_t span)
{
	struct bh_manager *m = c->m;
	const struct bh_placement *p = m->round.placement;

	for (size_t i = 0; i < p->insts.n; i++) {
		const struct bh_zone *z = bh_inst_zone(bh_policy_in_force(m), &p->insts.v[i]);
		uint64_t all[BH_DIRECTION_MAX] = {0};

		if (!z || !bh_zone_has_cap(z))
			continue;
		bh_vec_foreach(x, &p->members) {
			uint64_t bytes[BH_DIRECTION_MAX] = {0};

			if (x->inst != i)
				continue;
			member_bytes(c, x, bytes);
			all[BH_EGRESS] += bytes[BH_EGRESS];
			all[BH_INGRESS] += bytes[BH_INGRESS];
			tell_cap(m, x, NULL, &z->container_rates, bytes, span);
		}
		tell_cap(m, NULL, p->insts.v[i].name, &z->zone_rates, all, span);
	}
}

static int on_samples(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct bh_manager *m = userdata;
	struct bh_detect *d = &m->detect;
	struct carrying c = {.m = m};
	uint64_t now = bh_now_usec(CLOCK_MONOTONIC);

	(void)usec;
	if (!d->detector || !bh_detector_sees(d->detector, BH_SEES_SATURATED))
		return 0;
	if (m->tc->ops->bytes && m->tc->ops->bytes(m->tc, on_bytes, &c, NULL) == 0 && c.r == 0) {
		if (c.now.n > 1)
			qsort(c.now.v, c.now.n, sizeof(*c.now.v), carried_cmp);
		if (m->round.placement && bh_policy_in_force(m) && d->sampled_usec)
			tell_caps(&c, now - d->sampled_usec);
		bh_vec_clear(&d->carried);
		d->carried.v = bh_take(c.now.v);
		d->carried.n = c.now.n;
		d->carried.cap = c.now.cap;
		d->sampled_usec = now;
	} else {
		bh_vec_clear(&c.now);
	}
	arm(source, SAMPLES_USEC);
	return 0;
}

void bh_detect_feed(struct bh_manager *m)
{
	struct bh_detect *d = &m->detect;
	bool denied = d->detector && bh_detector_sees(d->detector, BH_SEES_DENIED);
	bool caps = d->detector && bh_detector_sees(d->detector, BH_SEES_SATURATED);
	bool flows = d->detector && (bh_detector_sees(d->detector, BH_SEES_CONNECTIONS) || bh_detector_sees(d->detector, BH_SEES_FIRST_CONTACT));
	bool egress = d->detector && bh_detector_sees(d->detector, BH_SEES_EGRESS);
	bool execs = d->detector && bh_detector_sees(d->detector, BH_SEES_EXEC);
	int r = 0;

	follow_flows(m, flows || egress, egress);
	bh_egress_follow(m, egress);
	bh_vec_foreach(s, &m->sources)
		if ((*s)->runtime)
			(*s)->runtime->ops->execs((*s)->runtime, execs);
	if (denied && !d->counts) {
		d->nflog_lost = m->nflog ? bh_nflog_lost(m->nflog) : 0;
		r = sd_event_add_time_relative(m->event, &d->counts, CLOCK_MONOTONIC, COUNTS_DEAF_USEC, 0, on_counts, m);
	} else if (!denied) {
		d->counts = sd_event_source_disable_unref(d->counts);
		d->counts_on = false;
	}
	if (r >= 0 && caps && !d->samples) {
		r = sd_event_add_time_relative(m->event, &d->samples, CLOCK_MONOTONIC, 0, 0, on_samples, m);
	} else if (!caps) {
		d->samples = sd_event_source_disable_unref(d->samples);
		bh_vec_clear(&d->carried);
		d->sampled_usec = 0;
	}
	if (r < 0)
		bh_log(&m->log, LOG_ERR, BH_EVENT_DEGRADED, "detect does not see all: %s", strerror(-r));
}
