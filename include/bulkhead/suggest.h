/* SPDX-License-Identifier: Apache-2.0 */
/* The smallest rules that would allow what was denied, or would have been, and zones for containers that have none. Pure. */
#ifndef BULKHEAD_SUGGEST_H
#define BULKHEAD_SUGGEST_H

#include <bulkhead/buf.h>
#include <bulkhead/place.h>

/* A container that no zone takes, by what a zone of its own would know it by. Strings of strangers, borrowed. */
struct bh_stray {
	const char *name;
	const char *image;			/* or NULL */
	const char *project, *service;		/* of Compose, or NULL */
};

struct bh_denied_flow {
	const struct bh_zone_inst *from, *to;	/* zones; NULL: nobody that is known */
	const struct bh_stray *from_stray, *to_stray;	/* who it is, when the zone is quarantine because none takes him; else NULL */
	const char *from_name, *to_name;	/* for people; never NULL */
	struct bh_port port;			/* with `all` where the protocol has none, or there were many */
	const char *when;			/* "12 times from … to …" for people; never NULL */
};

/* Entries of `zones` and of `allow`, as YAML with comments; s is NULL where there are none. */
struct bh_suggestion {
	struct bh_buf zones, rules;
	size_t n_zones, n_rules;		/* that are not comments */
};

/* What P would need. Zones: one for each Compose service and each other container of the strays, services of a project together when they do the same:
 * the same peers, the same ports, and not each other. Rules: one for each pair of zones, with the ports where there are few, ends with the same
 * needs in one list. quarantine and metadata are never opened; what an expectation wants denied is written as a comment, and why. Equal input gives equal
 * text. 0 or -ENOMEM; the caller clears *RET. */
int bh_suggest(const struct bh_policy *p, const struct bh_denied_flow *flows, size_t n, struct bh_suggestion *ret);
void bh_suggestion_clear(struct bh_suggestion *s);

#endif
