/* SPDX-License-Identifier: Apache-2.0 */
/* What each container sends to the world: the bytes that conntrack counts of its connections, of those that run and of those that have ended. Of
 * which connections these are is not remembered: what both make together only grows. */
#include "manager.h"

#include <errno.h>
#include <string.h>

#define LOOK_USEC (5 * 1000000ull)
#define ACCT "/proc/sys/net/netfilter/nf_conntrack_acct"

static void sent_clear(struct bh_detect *d)
{
	bh_vec_foreach(x, &d->sent)
		free(x->id);
	bh_vec_clear(&d->sent);
}

static int sent_cmp(const void *va, const void *vb)
{
	return strcmp(((const struct bh_sent *)va)->id, ((const struct bh_sent *)vb)->id);
}

/* Among the first N, which are sorted. */
static struct bh_sent *sent_at(struct bh_detect *d, size_t n, const char *id)
{
	const struct bh_sent want = {.id = (char *)(uintptr_t)id};

	return n ? bsearch(&want, d->sent.v, n, sizeof(*d->sent.v), sent_cmp) : NULL;
}

static struct bh_sent *sent_find(struct bh_detect *d, const char *id)
{
	return sent_at(d, d->sent.n, id);
}

/* Who is neither a container nor this host. */
static bool is_world(const struct bh_manager *m, const struct bh_party *p)
{
	return !p->member && p->inst != BH_NOBODY && m->round.placement->insts.v[p->inst].builtin != BH_BUILTIN_HOST;
}

/* The container whose bytes to the world F counts, and how many; NULL: nobody's. */
static const struct bh_member *sender_of(struct bh_manager *m, const struct bh_judge *judge, const struct bh_flow *f, uint64_t *ret)
{
	struct bh_party from = bh_judge_who(judge, &f->from, NULL), to = bh_judge_who(judge, &f->to, NULL);

	*ret = from.member ? f->from_bytes : f->to_bytes;
	if (!f->counted || (from.member && !is_world(m, &to)) || (!from.member && !is_world(m, &from)))
		return NULL;
	return from.member ? from.member : to.member;
}

void bh_egress_ended(struct bh_manager *m, const struct bh_flow *f)
{
	const struct bh_judge *judge = m->detect.egress ? bh_round_judge(m) : NULL;
	const struct bh_member *member;
	struct bh_sent *x;
	uint64_t n;

	member = judge ? sender_of(m, judge, f, &n) : NULL;
	x = member ? sent_find(&m->detect, member->container->id) : NULL;
	if (x)	/* who is not looked at yet may have got the address of another, whose connection it was */
		x->ended += n;
}

static void on_live(void *userdata, const struct bh_flow *f)
{
	struct bh_manager *m = userdata;
	const struct bh_judge *judge = bh_round_judge(m);
	const struct bh_member *member;
	struct bh_sent *x;
	uint64_t n;

	member = judge ? sender_of(m, judge, f, &n) : NULL;
	x = member ? sent_find(&m->detect, member->container->id) : NULL;
	if (x)
		x->live += n;
}

/* Each member has its place, and nobody else. */
static int members_note(struct bh_manager *m)
{
	struct bh_detect *d = &m->detect;
	size_t n = 0, known = d->sent.n;

	bh_vec_foreach(x, &d->sent) {
		x->there = false;
		x->live = 0;
	}
	bh_vec_foreach(p, &m->round.placement->members) {
		struct bh_sent *x = sent_at(d, known, p->container->id);

		if (!x) {
			x = bh_vec_add(&d->sent);
			if (!x || bh_strdup(&x->id, p->container->id) < 0) {
				sent_clear(d);	/* looked at anew */
				return -ENOMEM;
			}
			x->fresh = true;
		}
		x->there = true;
	}
	for (size_t i = 0; i < d->sent.n; i++) {
		if (d->sent.v[i].there)
			d->sent.v[n++] = d->sent.v[i];
		else
			free(d->sent.v[i].id);
	}
	d->sent.n = n;
	if (n > 1)
		qsort(d->sent.v, n, sizeof(*d->sent.v), sent_cmp);
	return 0;
}

static void tell_all(struct bh_manager *m)
{
	struct bh_detect *d = &m->detect;

	bh_vec_foreach(p, &m->round.placement->members) {
		struct bh_sent *x = sent_find(d, p->container->id);
		struct bh_sight s = {.sees = BH_SEES_EGRESS};
		uint64_t total = x ? x->live + x->ended : 0;

		if (!x)
			continue;
		if (!x->fresh && !d->sent_gap && total > x->told)
			s.n = total - x->told;
		/* less than before is an end whose word has not come yet */
		if (x->fresh || d->sent_gap || total > x->told)
			x->told = total;
		x->fresh = false;
		if (s.n > 0)
			bh_detect_see(m, p, &s);
	}
	d->sent_gap = false;
}

static bool is_counting(struct bh_manager *m)
{
	_cleanup_buf_ struct bh_buf text = {0};
	bool on = bh_buf_read_file(&text, ACCT, 16) == 0 && text.s && text.s[0] == '1';

	if (!on && !m->detect.acct_told)
		bh_log(&m->log, LOG_WARNING, BH_EVENT_DEGRADED,
			"detect does not see what is sent to the world: conntrack does not count: sysctl -w net.netfilter.nf_conntrack_acct=1");
	m->detect.acct_told = !on;
	return on;
}

static int on_look(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct bh_manager *m = userdata;

	(void)usec;
	if (m->flows && m->round.placement && bh_round_judge(m) && is_counting(m) && members_note(m) == 0 && m->flows->ops->dump(m->flows, on_live, m, NULL) == 0)
		tell_all(m);
	if (sd_event_source_set_time_relative(source, LOOK_USEC) >= 0)
		(void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	return 0;
}

void bh_egress_follow(struct bh_manager *m, bool on)
{
	struct bh_detect *d = &m->detect;

	if (on == (d->egress != NULL))
		return;
	if (!on) {
		d->egress = sd_event_source_disable_unref(d->egress);
		sent_clear(d);
	} else if (sd_event_add_time_relative(m->event, &d->egress, CLOCK_MONOTONIC, 0, 0, on_look, m) < 0) {
		bh_log(&m->log, LOG_ERR, BH_EVENT_DEGRADED, "out of memory: detect does not see what is sent to the world");
	} else {
		(void)sd_event_source_set_priority(d->egress, SD_EVENT_PRIORITY_IDLE);
	}
}
