/* SPDX-License-Identifier: Apache-2.0 */
/* One sight: whom a rule means by it, what it counts, how it is said; and sums over time. */
#include "detect.h"

#include <bulkhead/place.h>
#include <bulkhead/sum.h>

#include <inttypes.h>
#include <string.h>

#define SECOND 1000000ull

void ring_add(struct ring *r, uint64_t within, uint64_t now, uint64_t n, uint64_t span)
{
	uint64_t index = now / (within / RING);
	size_t i = index % RING;

	if (r->slot[i].index != index) {
		r->slot[i].index = index;
		r->slot[i].n = r->slot[i].span = 0;
	}
	if (__builtin_add_overflow(r->slot[i].n, n, &r->slot[i].n))
		r->slot[i].n = UINT64_MAX;
	if (__builtin_add_overflow(r->slot[i].span, span, &r->slot[i].span))
		r->slot[i].span = UINT64_MAX;
}

static uint64_t ring_total(const struct ring *r, uint64_t within, uint64_t now, bool span)
{
	uint64_t index = now / (within / RING), sum = 0;

	for (size_t i = 0; i < RING; i++)
		if (r->slot[i].index <= index && index - r->slot[i].index < RING &&
			__builtin_add_overflow(sum, span ? r->slot[i].span : r->slot[i].n, &sum))
			return UINT64_MAX;
	return sum;
}

uint64_t ring_sum(const struct ring *r, uint64_t within, uint64_t now)
{
	return ring_total(r, within, now, false);
}

uint64_t ring_span(const struct ring *r, uint64_t within, uint64_t now)
{
	return ring_total(r, within, now, true);
}

static void key_text(struct sight_key *k, const char *text)
{
	uint64_t sum = bh_sum(BH_SUM_INIT, text, strlen(text));

	memcpy(k->b, &sum, sizeof(sum));
	k->b[19] = 1;
}

bool sight_key(enum bh_distinct distinct, const struct bh_sight *s, uint64_t now, struct sight_key *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->usec = now;
	switch (distinct) {
	case BH_DISTINCT_PORTS:
		ret->b[16] = s->proto;
		ret->b[17] = (uint8_t)(s->port >> 8);
		ret->b[18] = (uint8_t)s->port;
		if (!s->has_port)
			return false;
		memcpy(ret->b, s->to_addr.b, sizeof(s->to_addr.b));
		return true;
	case BH_DISTINCT_ADDRESSES:
		memcpy(ret->b, s->to_addr.b, sizeof(s->to_addr.b));
		return s->to_addr.family != 0;
	case BH_DISTINCT_CONTAINERS:
		if (!s->to_container || !s->to)
			return false;
		key_text(ret, s->to);
		return true;
	case BH_DISTINCT_ZONES:
		if (!s->to_zone)
			return false;
		key_text(ret, s->to_zone);
		return true;
	default:
		return false;
	}
}

static bool is_in(const struct bh_zone_ref *ref, const char *zone)
{
	size_t n = strlen(ref->name);

	if (ref->builtin == BH_BUILTIN_CONTAINERS)
		return strcmp(zone, bh_builtin_name(BH_BUILTIN_QUARANTINE)) != 0;
	if (strncmp(ref->name, zone, n) != 0 || (zone[n] && zone[n] != ':'))
		return false;
	return !ref->value || (zone[n] == ':' && strcmp(zone + n + 1, ref->value) == 0);
}

bool rule_is_about(const struct bh_detect_rule *r, const struct bh_sight *s)
{
	bool in = r->zones.n == 0;

	bh_vec_foreach(ref, &r->zones)
		in = in || is_in(ref, s->zone);
	for (size_t i = 0; in && s->sees == BH_SEES_EXEC && s->text && i < r->except.n; i++)
		in = !bh_glob(r->except.v[i], s->text);
	return in;
}

static void put_time(struct bh_buf *out, uint64_t usec)
{
	uint64_t sec = usec / SECOND;

	if (sec % 3600 == 0)
		bh_buf_printf(out, "%" PRIu64 " h", sec / 3600);
	else if (sec % 60 == 0)
		bh_buf_printf(out, "%" PRIu64 " min", sec / 60);
	else
		bh_buf_printf(out, "%" PRIu64 " s", sec);
}

/* "db1 (db) tcp/5432" */
static void put_whom(struct bh_buf *out, const struct bh_sight *s)
{
	struct bh_port p = {.proto = s->proto, .all = !s->has_port, .first = s->port, .last = s->port};
	char port[BH_PORT_TEXT];

	bh_buf_printf(out, "%s", s->to ? s->to : "somebody");
	if (s->to_zone && !bh_streq(s->to, s->to_zone))
		bh_buf_printf(out, " (%s)", s->to_zone);
	if (s->proto)
		bh_buf_printf(out, " %s", bh_port_text(&p, port));
}

void detect_text(const struct bh_detect_rule *r, const struct bh_sight *s, uint64_t count, struct bh_buf *out)
{
	char cap[BH_BANDWIDTH_TEXT];

	switch (r->sees) {
	case BH_SEES_DENIED:
		bh_buf_printf(out, "%" PRIu64 " %s were denied to it within ", count, bh_distinct_words[r->distinct]);
		put_time(out, r->within_usec);
		if (!s->counted) {
			bh_buf_puts(out, ", the last ");
			put_whom(out, s);
		}
		return;
	case BH_SEES_CONNECTIONS:
		bh_buf_printf(out, "it opened %" PRIu64 " connections within ", count);
		put_time(out, r->within_usec);
		bh_buf_puts(out, ", the last to ");
		put_whom(out, s);
		return;
	case BH_SEES_FIRST_CONTACT:
		bh_buf_printf(out, "zone %s opened a connection to zone %s for the first time: ", s->zone, s->to_zone ? s->to_zone : "");
		put_whom(out, s);
		return;
	case BH_SEES_SATURATED:
		bh_buf_printf(out, "%s was at %" PRIu64 " per cent of %s over ", bh_direction_name(s->direction), count, bh_bandwidth_text(s->cap_bps, cap));
		put_time(out, r->within_usec);
		return;
	case BH_SEES_EXEC:
		if (r->within_usec) {
			bh_buf_printf(out, "%" PRIu64 " commands were executed in it within ", count);
			put_time(out, r->within_usec);
			bh_buf_puts(out, ", the last: ");
		} else {
			bh_buf_puts(out, "a command was executed in it: ");
		}
		bh_buf_puts(out, s->text ? s->text : "");
		return;
	case BH_SEES_EGRESS:
		bh_buf_printf(out, "it sent %.1f MiB to the world within ", (double)count / (1 << 20));
		put_time(out, r->within_usec);
		return;
	default:
		bh_buf_printf(out, "its posture has changed: %s", s->text ? s->text : "");
	}
}
