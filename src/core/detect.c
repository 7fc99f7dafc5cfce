/* SPDX-License-Identifier: Apache-2.0 */
/* Windows of time, one for each rule and container that it has an eye on. */
#include "detect.h"
#include "skel.h"

#include <bulkhead/place.h>
#include <bulkhead/sum.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BUCKETS 4096u
#define SECOND 1000000ull
#define WANT_USEC (2 * SECOND)
#define LOOKED_USEC (5 * SECOND)	/* counts that are older are of another occasion */
/* The kernel tells a sender's first SKEL_KINDS_RATE new kinds in a second. From so many on it may have kept some to itself; below, what it did not
 * tell was told before. */
#define PRESSED (SKEL_KINDS_RATE * 9 / 10)
#define EVICT_TRIES 64

struct window {
	size_t rule;
	unsigned sub;			/* of one rule and container: the direction */
	char *id;
	uint64_t last_usec, hold_usec;	/* until then the rule is silent */
	struct ring sum, unheard;
	uint64_t guessed_usec;		/* until then a part of it is a guess */
	BH_VEC(struct sight_key) keys;	/* in the order of their coming */
	uint64_t second;		/* in which so many new keys came, and how many in the one before */
	unsigned fresh, fresh_before;
	bool counted;			/* the kernel's count is known: */
	uint64_t count, told;		/* and what was told one by one since */
	uint64_t counted_usec;
	struct window *next, *newer, *older;
};

struct bh_detector {
	const struct bh_detect_rule *rules;
	size_t n_rules, n_windows, n_keys;
	struct bh_contacts *contacts;
	struct window *bucket[BUCKETS], *newest, *oldest;
	uint64_t now_usec, want_usec;
	unsigned sees;			/* bits of enum bh_sees */
};

/* ---- windows */

static size_t bucket_of(size_t rule, unsigned sub, const char *id)
{
	uint64_t h = bh_sum(bh_sum(BH_SUM_INIT, &rule, sizeof(rule)), &sub, sizeof(sub));

	return bh_sum(h, id, strlen(id)) % BUCKETS;
}

static void age_unlink(struct bh_detector *d, struct window *w)
{
	*(w->newer ? &w->newer->older : &d->newest) = w->older;
	*(w->older ? &w->older->newer : &d->oldest) = w->newer;
}

static void age_link(struct bh_detector *d, struct window *w)
{
	w->newer = NULL;
	w->older = d->newest;
	*(d->newest ? &d->newest->newer : &d->oldest) = w;
	d->newest = w;
}

static void keys_drop(struct bh_detector *d, struct window *w)
{
	d->n_keys -= w->keys.n;
	bh_vec_clear(&w->keys);
}

static void window_free(struct bh_detector *d, struct window *w)
{
	struct window **at = &d->bucket[bucket_of(w->rule, w->sub, w->id)];

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	age_unlink(d, w);
	keys_drop(d, w);
	d->n_windows--;
	free(w->id);
	free(w);
}

/* One of the oldest, rather not one that keeps its rule silent: that would be told again. */
static void evict(struct bh_detector *d, const struct window *but)
{
	struct window *w = d->oldest, *pick = NULL;

	for (unsigned i = 0; w && i < EVICT_TRIES && !pick; i++, w = w->newer)
		if (w != but && w->hold_usec <= d->now_usec)
			pick = w;
	if (!pick)
		pick = d->oldest != but ? d->oldest : but->newer;
	if (pick)
		window_free(d, pick);
}

static struct window *window_find(const struct bh_detector *d, size_t rule, unsigned sub, const char *id)
{
	struct window *w = d->bucket[bucket_of(rule, sub, id)];

	while (w && (w->rule != rule || w->sub != sub || strcmp(w->id, id) != 0))
		w = w->next;
	return w;
}

/* The window of a rule about a container, the youngest from now on; NULL for no memory. */
static struct window *window_of(struct bh_detector *d, size_t rule, unsigned sub, const char *id)
{
	struct window *w = window_find(d, rule, sub, id);
	size_t b = bucket_of(rule, sub, id);

	if (w) {
		age_unlink(d, w);
		age_link(d, w);
		return w;
	}
	if (d->n_windows >= BH_DETECT_WINDOWS_MAX)
		evict(d, NULL);
	w = calloc(1, sizeof(*w));
	if (!w || bh_strdup(&w->id, id) < 0) {
		free(w);
		return NULL;
	}
	w->rule = rule;
	w->sub = sub;
	w->next = d->bucket[b];
	d->bucket[b] = w;
	d->n_windows++;
	age_link(d, w);
	return w;
}

/* ---- distinct keys */

static void keys_age(struct bh_detector *d, struct window *w, uint64_t within)
{
	size_t n = 0;

	bh_vec_foreach(k, &w->keys)
		if (k->usec + within > d->now_usec)
			w->keys.v[n++] = *k;
	d->n_keys -= w->keys.n - n;
	w->keys.n = n;
}

static void fresh_count(const struct bh_detector *d, struct window *w, unsigned n)
{
	uint64_t second = d->now_usec / SECOND;

	if (second != w->second) {
		w->fresh_before = second == w->second + 1 ? w->fresh : 0;
		w->fresh = 0;
		w->second = second;
	}
	w->fresh += n;
}

static bool is_pressed(const struct bh_detector *d, struct window *w)
{
	fresh_count(d, w, 0);
	return w->fresh >= PRESSED || w->fresh_before >= PRESSED;
}

static int key_add(struct bh_detector *d, struct window *w, const struct sight_key *key)
{
	bh_vec_foreach(k, &w->keys)
		if (memcmp(k->b, key->b, sizeof(k->b)) == 0) {
			k->usec = key->usec;
			return 0;
		}
	while (d->n_keys >= BH_DETECT_KEYS_MAX && d->n_windows > 1)
		evict(d, w);
	if (bh_vec_push(&w->keys, *key) < 0)
		return -ENOMEM;
	d->n_keys++;
	fresh_count(d, w, 1);
	return 0;
}

/* ---- findings */

static void window_reset(struct bh_detector *d, struct window *w)
{
	keys_drop(d, w);
	memset(&w->sum, 0, sizeof(w->sum));
	memset(&w->unheard, 0, sizeof(w->unheard));
	w->guessed_usec = 0;
	w->fresh = w->fresh_before = 0;
}

/* How long a rule says nothing more about the same container. Each exec and each change of posture is an act of its own. */
static uint64_t silence(const struct bh_detect_rule *r)
{
	bool each = (r->sees == BH_SEES_EXEC || r->sees == BH_SEES_POSTURE || r->sees == BH_SEES_FIRST_CONTACT) && !r->within_usec;

	if (r->quarantine_usec)
		return r->quarantine_usec;
	if (each)
		return 0;
	return r->within_usec > BH_DETECT_AGAIN_USEC ? r->within_usec : BH_DETECT_AGAIN_USEC;
}

static int found(struct bh_detector *d, struct window *w, const struct bh_sight *s, uint64_t count, bh_finding_fn fn, void *userdata)
{
	const struct bh_detect_rule *r = &d->rules[w->rule];
	struct bh_finding f = {.rule = r, .id = s->id, .name = s->name, .zone = s->zone, .count = count, .guessed = w->guessed_usec > d->now_usec};
	_cleanup_buf_ struct bh_buf text = {0};

	detect_text(r, s, count, &text);
	if (text.err)
		return text.err;
	f.text = text.s;
	w->hold_usec = d->now_usec + silence(r);
	window_reset(d, w);
	fn(userdata, &f);
	return 0;
}

static int see_distinct(struct bh_detector *d, struct window *w, const struct bh_sight *s, uint64_t *ret)
{
	const struct bh_detect_rule *r = &d->rules[w->rule];
	struct sight_key key;
	int e = 0;

	keys_age(d, w, r->within_usec);
	if (!s->counted && sight_key(r->distinct, s, d->now_usec, &key))
		e = key_add(d, w, &key);
	if (is_pressed(d, w))
		d->want_usec = d->now_usec + WANT_USEC;
	*ret = w->keys.n + ring_sum(&w->unheard, r->within_usec, d->now_usec);
	return e;
}

/* What the kernel dropped of the container since the last time, beyond what was told one by one. What it dropped while nobody looked, being denied
 * nothing, is no news. */
static uint64_t unheard(const struct bh_detector *d, struct window *w, const struct bh_sight *s)
{
	bool known = w->counted && d->now_usec - w->counted_usec < LOOKED_USEC;
	uint64_t more = known && s->n >= w->count ? s->n - w->count : 0;

	more = more > w->told ? more - w->told : 0;
	w->counted = true;
	w->counted_usec = d->now_usec;
	w->count = s->n;
	w->told = 0;
	return more;
}

static int see_denied(struct bh_detector *d, struct window *w, const struct bh_sight *s, bool deaf, bh_finding_fn fn, void *userdata)
{
	const struct bh_detect_rule *r = &d->rules[w->rule];
	uint64_t count = 0, more = 0;
	int e = 0;

	if (s->counted)
		more = unheard(d, w, s);
	else
		w->told += s->n;
	if (w->hold_usec > d->now_usec)
		return 0;
	if (r->distinct == BH_DISTINCT_NONE) {
		ring_add(&w->sum, r->within_usec, d->now_usec, s->counted ? more : s->n, 0);
		if (!s->counted || more)
			d->want_usec = d->now_usec + WANT_USEC;
		count = ring_sum(&w->sum, r->within_usec, d->now_usec);
	} else {
		if (more && (is_pressed(d, w) || deaf))
			ring_add(&w->unheard, r->within_usec, d->now_usec, more, 0);
		if (more && deaf && !is_pressed(d, w))
			w->guessed_usec = d->now_usec + r->within_usec;
		e = see_distinct(d, w, s, &count);
	}
	return e == 0 && count > r->more_than ? found(d, w, s, count, fn, userdata) : e;
}

static int see_saturated(struct bh_detector *d, struct window *w, const struct bh_sight *s, bh_finding_fn fn, void *userdata)
{
	const struct bh_detect_rule *r = &d->rules[w->rule];
	uint64_t span;
	double used;

	if (w->hold_usec > d->now_usec || s->cap_bps == 0)
		return 0;
	ring_add(&w->sum, r->within_usec, d->now_usec, s->n, s->span_usec);
	span = ring_span(&w->sum, r->within_usec, d->now_usec);
	if (span < r->within_usec / RING * (RING - 2))
		return 0;	/* not seen for long enough */
	used = (double)ring_sum(&w->sum, r->within_usec, d->now_usec) * 8 * SECOND * 100 / (double)span / (double)s->cap_bps;
	return used > (double)r->more_than ? found(d, w, s, (uint64_t)used, fn, userdata) : 0;
}

/* Connections, execs, changes of posture. */
static int see_acts(struct bh_detector *d, struct window *w, const struct bh_sight *s, bh_finding_fn fn, void *userdata)
{
	const struct bh_detect_rule *r = &d->rules[w->rule];
	uint64_t count = s->n;

	if (w->hold_usec > d->now_usec)
		return 0;
	if (r->within_usec) {
		ring_add(&w->sum, r->within_usec, d->now_usec, s->n, 0);
		count = ring_sum(&w->sum, r->within_usec, d->now_usec);
	}
	return count > r->more_than ? found(d, w, s, count, fn, userdata) : 0;
}

static int see(struct bh_detector *d, size_t rule, const struct bh_sight *s, bool deaf, bh_finding_fn fn, void *userdata)
{
	const char *id = s->id ? s->id : s->zone;
	unsigned sub = s->sees == BH_SEES_SATURATED ? (unsigned)s->direction + 1 : 0;
	struct window *w = s->counted ? window_find(d, rule, sub, id) : NULL;

	/* What is only counted begins nothing while everything is told: who was denied nothing is not looked at. */
	if (!w && s->counted && !deaf)
		return 0;
	w = w ? w : window_of(d, rule, sub, id);
	if (!w)
		return -ENOMEM;
	w->last_usec = d->now_usec;
	switch (s->sees) {
	case BH_SEES_DENIED:
		return see_denied(d, w, s, deaf, fn, userdata);
	case BH_SEES_SATURATED:
		return see_saturated(d, w, s, fn, userdata);
	default:
		return see_acts(d, w, s, fn, userdata);
	}
}

int bh_detector_see(struct bh_detector *d, const struct bh_sight *s, uint64_t now_usec, uint64_t sec, bool deaf, bh_finding_fn fn, void *userdata)
{
	bool fresh = false;
	int r = 0;

	if (!s->zone || !bh_detector_sees(d, s->sees))
		return 0;
	if (now_usec > d->now_usec)
		d->now_usec = now_usec;
	if (s->sees == BH_SEES_FIRST_CONTACT)
		r = contact_note(d->contacts, s->zone, s->to_zone, sec, &fresh);
	for (size_t i = 0; r == 0 && i < d->n_rules; i++) {
		const struct bh_detect_rule *rule = &d->rules[i];

		if (rule->sees != s->sees || !rule_is_about(rule, s))
			continue;
		if (s->sees == BH_SEES_FIRST_CONTACT && (!fresh || !contacts_are_learned(d->contacts, rule->learn_usec, sec)))
			continue;
		r = see(d, i, s, deaf, fn, userdata);
	}
	return r;
}

bool bh_detector_sees(const struct bh_detector *d, enum bh_sees sees)
{
	return d->sees & 1u << sees;
}

bool bh_detector_wants_counts(const struct bh_detector *d, uint64_t now_usec)
{
	return d->want_usec > now_usec;
}

size_t bh_detector_windows(const struct bh_detector *d)
{
	return d->n_windows;
}

size_t bh_detector_keys(const struct bh_detector *d)
{
	return d->n_keys;
}

int bh_detector_new(const struct bh_detect_rule *rules, size_t n, struct bh_contacts *contacts, struct bh_detector **ret)
{
	struct bh_detector *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->rules = rules;
	d->n_rules = n;
	d->contacts = contacts;
	for (size_t i = 0; i < n; i++)
		d->sees |= 1u << rules[i].sees;
	*ret = d;
	return 0;
}

static bool same_zones(const struct bh_detect_rule *a, const struct bh_detect_rule *b)
{
	for (size_t i = 0; i < a->zones.n && i < b->zones.n; i++)
		if (!bh_streq(a->zones.v[i].name, b->zones.v[i].name) || !bh_streq(a->zones.v[i].value, b->zones.v[i].value))
			return false;
	for (size_t i = 0; i < a->except.n && i < b->except.n; i++)
		if (!bh_streq(a->except.v[i], b->except.v[i]))
			return false;
	return a->zones.n == b->zones.n && a->except.n == b->except.n;
}

bool bh_detect_rules_equal(const struct bh_detect_rule *before, size_t n_before, const struct bh_detect_rule *now, size_t n)
{
	bool same = n == n_before;

	for (size_t i = 0; same && i < n; i++) {
		const struct bh_detect_rule *a = &before[i], *b = &now[i];

		same = bh_streq(a->name, b->name) && a->sees == b->sees && a->distinct == b->distinct && a->more_than == b->more_than &&
			a->within_usec == b->within_usec && a->learn_usec == b->learn_usec && a->quarantine_usec == b->quarantine_usec &&
			a->alert == b->alert && a->audit == b->audit && same_zones(a, b);
	}
	return same;
}

bool bh_detector_keeps(struct bh_detector *d, const struct bh_detect_rule *rules, size_t n)
{
	bool same = bh_detect_rules_equal(d->rules, d->n_rules, rules, n);

	if (same)
		d->rules = rules;
	return same;
}

void bh_detector_free(struct bh_detector *d)
{
	while (d && d->newest)
		window_free(d, d->newest);
	free(d);
}
