/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the detector share. */
#ifndef BULKHEAD_CORE_DETECT_H
#define BULKHEAD_CORE_DETECT_H

#include <bulkhead/buf.h>
#include <bulkhead/detect.h>

/* A sum over the last WITHIN, in slots of a sixteenth of it: what is older than it never counts, what is younger than fifteen sixteenths does. */
#define RING 16
struct ring {
	struct {
		uint64_t index, n, span;
	} slot[RING];
};
void ring_add(struct ring *r, uint64_t within, uint64_t now, uint64_t n, uint64_t span);	/* saturates */
uint64_t ring_sum(const struct ring *r, uint64_t within, uint64_t now);
uint64_t ring_span(const struct ring *r, uint64_t within, uint64_t now);

/* What a rule counts once. */
struct sight_key {
	uint8_t b[20];
	uint64_t usec;			/* last seen */
};
/* False: S has nothing of the kind. */
bool sight_key(enum bh_distinct distinct, const struct bh_sight *s, uint64_t now, struct sight_key *ret);

/* Whether R is for the zone of S, and not for its command. */
bool rule_is_about(const struct bh_detect_rule *r, const struct bh_sight *s);
/* What was found, as a sentence. */
void detect_text(const struct bh_detect_rule *r, const struct bh_sight *s, uint64_t count, struct bh_buf *out);

/* *RET_FRESH: FROM and TO were not known to talk, and are from now on. 0 or -ENOMEM. */
int contact_note(struct bh_contacts *c, const char *from, const char *to, uint64_t sec, bool *ret_fresh);
/* Whether contacts are known for so long that a new one means something. */
bool contacts_are_learned(const struct bh_contacts *c, uint64_t learn_usec, uint64_t sec);

#endif
