/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon sees of containers goes to the rules of `detect`; what they find is logged, told to who listens for alerts, and ends in quarantine
 * where the rule says so. */
#ifndef BULKHEAD_DAEMON_DETECT_H
#define BULKHEAD_DAEMON_DETECT_H

#include "alerts.h"

#include <bulkhead/detect.h>
#include <bulkhead/flows.h>

#include <systemd/sd-event.h>

#define BH_DETECT_HELD_MAX 192u		/* of BH_HAND_MAX: the rest stays for people */
#define BH_DETECT_WAITING_MAX 1024u	/* findings that are not dealt with yet */

struct bh_manager;
struct bh_member;

/* A finding until the loop comes to it: where it was found may be in the middle of anything. */
struct bh_found {
	char *rule, *id, *name, *zone, *text;
	const char *sees;		/* static */
	uint64_t count, quarantine_usec;
	bool alert, audit, guessed;
};

/* What an interface had carried when it was last looked at. */
struct bh_carried {
	int ifindex;
	uint64_t rx, tx;
};

/* What a container has sent to the world, as far as conntrack counts it. */
struct bh_sent {
	char *id;
	uint64_t ended;			/* by connections that have ended since it is looked at */
	uint64_t live;			/* by those that run, as last looked at */
	uint64_t told;			/* of both together */
	bool fresh, there;
};

struct bh_detect {
	struct bh_detector *detector;	/* NULL: no rules */
	struct bh_contacts contacts;
	bool contacts_known;		/* what was kept of them was read */
	BH_VEC(struct bh_found) waiting;
	uint64_t overflowed;		/* findings beyond */
	sd_event_source *act, *counts, *samples, *keep, *flow_io;
	bool counts_on;
	struct bh_flow_events *flows;
	bool flows_told;		/* that they cannot be had */
	uint64_t flows_lost, nflog_lost;	/* when last looked at */
	bool flows_end;			/* ends are told, too */
	sd_event_source *egress;
	BH_VEC(struct bh_sent) sent;
	bool sent_gap;			/* ends were lost: what is there is looked at anew */
	bool acct_told;			/* that conntrack does not count */
	BH_VEC(struct bh_carried) carried;	/* sorted */
	uint64_t sampled_usec;
	struct bh_alerts alerts;
};

/* The configuration may be another one. Before the old one is freed. */
void bh_detect_follow(struct bh_manager *m);
void bh_detect_clear(struct bh_manager *m);

/* S was done by MEMBER, whom it need not name. */
void bh_detect_see(struct bh_manager *m, const struct bh_member *member, struct bh_sight *s);
/* A command was executed in the container ID. */
void bh_detect_exec(struct bh_manager *m, const char *id, const char *text);
/* The container ID is configured as NOW, and was as BEFORE: the same, or not. */
void bh_detect_posture(struct bh_manager *m, const char *id, const struct bh_posture *before, const struct bh_posture *now);

/* detect_feed.c: what is not told but asked for, as far as a rule wants it: the kernel's counts, new connections, what caps carry. */
void bh_detect_feed(struct bh_manager *m);
/* detect_egress.c: what a container sends to the world, every so often while ON; a connection that has ended. */
void bh_egress_follow(struct bh_manager *m, bool on);
void bh_egress_ended(struct bh_manager *m, const struct bh_flow *f);

/* Something was denied: the counts are worth a look. */
void bh_detect_wake(struct bh_manager *m);

#endif
