/* SPDX-License-Identifier: Apache-2.0 */
/* What containers do, held against the rules of `detect`: sights with their times go in, findings come out. Pure: no clock, no I/O. All that is
 * remembered is bounded. Who does something is a container, which the rules tell by its port and address: no packet can be sent in another's name,
 * so nobody fills a table with names that he makes up; what a container can push out of it by what it does is its own. */
#ifndef BULKHEAD_DETECT_H
#define BULKHEAD_DETECT_H

#include <bulkhead/buf.h>
#include <bulkhead/policy.h>
#include <bulkhead/posture.h>

#define BH_DETECT_WINDOWS_MAX 4096u	/* containers that a rule has an eye on, all rules together */
#define BH_DETECT_KEYS_MAX 65536u	/* ports, addresses and the like that are kept apart, all windows together */
#define BH_DETECT_CONTACTS_MAX 4096u	/* pairs of zones that are known to talk */
#define BH_DETECT_AGAIN_USEC (60 * 1000000ull)	/* a rule without quarantine is silent about the same container so long, or for its window */

/* Something that a container did. Strings need to live through the call alone; they may be anybody's. */
struct bh_sight {
	enum bh_sees sees;
	const char *id, *name, *zone;	/* the container; id NULL: the zone as a whole (saturated) */
	uint64_t n;			/* packets, connections; bytes (saturated, egress) */
	/* denied, connections, first contact: whom */
	const char *to, *to_zone;
	bool to_container;
	struct bh_addr to_addr;		/* family 0: not known */
	uint8_t proto;
	uint16_t port;
	bool has_port;
	/* denied: not told one by one, but counted: N is all that the kernel has dropped of the container until now */
	bool counted;
	/* saturated: N bytes in SPAN_USEC, of a cap */
	enum bh_direction direction;
	uint64_t span_usec, cap_bps;
	const char *text;		/* exec: the command; posture: what is different */
};

struct bh_finding {
	const struct bh_detect_rule *rule;
	const char *id, *name, *zone;	/* as in the sight */
	uint64_t count;			/* of what the rule counts; per cent of the cap */
	bool guessed;			/* of the count a part is a guess: no reason to close anything */
	const char *text;		/* what was seen, a sentence; not safe to print */
};
typedef void (*bh_finding_fn)(void *userdata, const struct bh_finding *f);

/* Which pairs of zones have talked. It outlives rules and, as text, the daemon. */
struct bh_contacts {
	BH_VEC(char *) v;		/* "FROM\tTO", sorted */
	uint64_t since_sec;		/* since when it is kept, by the caller's calendar; 0: not yet */
	bool full;
	bool changed;			/* since it was last printed */
};
void bh_contacts_clear(struct bh_contacts *c);
int bh_contacts_print(const struct bh_contacts *c, struct bh_buf *out);	/* 0 or -ENOMEM */
/* -EINVAL for what is no such text; C is empty then. */
int bh_contacts_parse(const char *text, struct bh_contacts *c);

/* "memory 67108864 -> none, restart no -> always": what differs, but for what is known of the image. Nothing for nothing. 0 or -ENOMEM. */
int bh_posture_changes(const struct bh_posture *before, const struct bh_posture *now, struct bh_buf *out);

struct bh_detector;
/* The N rules at RULES and CONTACTS must outlive it. 0 or -ENOMEM. */
int bh_detector_new(const struct bh_detect_rule *rules, size_t n, struct bh_contacts *contacts, struct bh_detector **ret);
void bh_detector_free(struct bh_detector *d);
BH_DEFINE_FREEP(struct bh_detector, bh_detector_free)

/* Whether both say the same, wherever it stands. */
bool bh_detect_rules_equal(const struct bh_detect_rule *before, size_t n_before, const struct bh_detect_rule *now, size_t n);
/* Whether the N rules at RULES are the same as its own: then it goes on with them and with all that it remembers. */
bool bh_detector_keeps(struct bh_detector *d, const struct bh_detect_rule *rules, size_t n);

/* Whether a rule looks at such things: what nobody looks at need not be told. */
bool bh_detector_sees(const struct bh_detector *d, enum bh_sees sees);
/* S was seen at NOW (microseconds of a clock that never goes back; one that does stands still) and SEC of the calendar. FN gets what follows. With
 * DEAF nobody tells what is denied one by one, or not all of it. 0 or -ENOMEM. */
int bh_detector_see(struct bh_detector *d, const struct bh_sight *s, uint64_t now_usec, uint64_t sec, bool deaf, bh_finding_fn fn, void *userdata);
/* Whether a rule would know more if it were told what the kernel has dropped (`counted`) of the containers that were denied something lately. */
bool bh_detector_wants_counts(const struct bh_detector *d, uint64_t now_usec);

/* Of both, for tests: how much is remembered. */
size_t bh_detector_windows(const struct bh_detector *d);
size_t bh_detector_keys(const struct bh_detector *d);

#endif
