/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon saw and did lately: the last messages of its log. A ring; no I/O, no clock. */
#ifndef BULKHEAD_DAEMON_EVENTS_H
#define BULKHEAD_DAEMON_EVENTS_H

#include <stddef.h>
#include <stdint.h>

#define BH_EVENTS_MAX 1024
#define BH_EVENT_TEXT_MAX 1024		/* bytes of a message; longer ones are cut */
#define BH_EVENT_VALUE_MAX 256
#define BH_EVENT_FIELDS_MAX 16

/* One message. Texts are safe to print. */
struct bh_event {
	uint64_t seq;			/* from 1, without a gap */
	uint64_t usec;			/* the caller's clock */
	int priority;			/* of syslog(3) */
	const char *what;		/* BH_EVENT_…; static */
	char *text;
	struct {
		const char *name;	/* static: "BULKHEAD_CLASS" */
		char *value;
	} fields[BH_EVENT_FIELDS_MAX];
	size_t n_fields;
};

struct bh_events;
int bh_events_new(struct bh_events **ret);	/* 0 or -ENOMEM */
void bh_events_free(struct bh_events *e);

/* Adds an event, in the place of the oldest; NULL for no memory. Texts of strangers are made safe. Who listens (bh_events_on()) hears of it when its
 * fields are there: bh_events_done(). */
struct bh_event *bh_events_add(struct bh_events *e, uint64_t usec, int priority, const char *what, const char *text);
void bh_event_field(struct bh_event *x, const char *name, const char *value);	/* VALUE NULL: left out; no memory: left out */
void bh_events_done(struct bh_events *e, const struct bh_event *x);	/* X NULL is nothing */
/* FN is called with each event from now on; once, however often it is asked for. At most BH_EVENTS_LISTENERS. */
#define BH_EVENTS_LISTENERS 4
typedef void (*bh_event_fn)(void *userdata, const struct bh_event *x);
void bh_events_on(struct bh_events *e, bh_event_fn fn, void *userdata);

uint64_t bh_events_seq(const struct bh_events *e);	/* of the last; 0: none yet */
/* The first event after SEQ that is still there, or NULL. */
const struct bh_event *bh_events_next(const struct bh_events *e, uint64_t seq);

#endif
