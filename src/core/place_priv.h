/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of bh_place(), one file each: decide (place_zone.c), attach (place_attach.c), ports (place_port.c), zones and their
 * numbers (place_inst.c). */
#ifndef BULKHEAD_CORE_PLACE_PRIV_H
#define BULKHEAD_CORE_PLACE_PRIV_H

#include <bulkhead/buf.h>
#include <bulkhead/place.h>

#define FAMILY_VALUE_MAX 128	/* bytes of a family's value; longer ones are quarantined, never cut */

/* Where one member goes, before zones have indices. */
struct decision {
	int zone;			/* index into policy->zones, -1: builtin */
	enum bh_builtin builtin;
	const char *value;		/* of a family, else NULL */
	bool held;			/* in quarantine by hand */
	char *reason;
	struct bh_loc loc;
};

struct placer {
	const struct bh_policy *policy;
	const struct bh_inventory *inventory;
	const struct bh_host *host;
	struct bh_memory *memory;
	struct bh_placement *out;
	struct decision *decisions;	/* one a member */
	BH_VEC(const struct bh_link *) bridges;	/* sorted by name */
};

/* The bridge of that name in this network namespace, or NULL. */
const struct bh_link *place_bridge(const struct placer *p, const char *name);

/* The zone that C's own properties give it. 0 or -ENOMEM. */
int place_decide(const struct placer *p, const struct bh_container *c, struct decision *ret);
/* Sets D to quarantine with the reason in TEXT, which is emptied. */
int decision_quarantine(struct decision *d, struct bh_buf *text);
/* "web" or "project:nextcloud", the value made safe: no two values read the same. */
void zone_name_print(const struct bh_policy *policy, const struct decision *d, struct bh_buf *out);

/* Fills every member's attachments and how far it is enforced. */
int place_attach(const struct placer *p);
/* Quarantines members that hold an address or MAC that another member holds on the same bridge. */
int place_duplicates(const struct placer *p);
/* Quarantines the members that memory->held names, whatever else they are. */
int place_held(const struct placer *p);
/* Quarantines, or marks, members that are not hardened as their zones require; one of them. */
int place_require(const struct placer *p);
int place_require_one(const struct placer *p, size_t i);
/* The container whose namespace C shares, or NULL. */
const struct bh_container *place_netns_owner(const struct bh_inventory *i, const struct bh_container *c);
/* Gives members that share a namespace their owner's zone. */
int place_shared(const struct placer *p);
/* Makes the zones, numbers them and points every member to its own. */
int place_insts(const struct placer *p);
/* Finds the port of every attachment. */
int place_ports(const struct placer *p);
/* Sorts the bridges; P's to clear. 0 or -ENOMEM. */
int place_bridges_sort(struct placer *p);
/* Frees what M owns. */
void place_member_clear(struct bh_member *m);
/* Whether C is a member: it runs, or is attached. */
bool place_is_listed(const struct bh_container *c);

/* What is remembered of the ports of one container: N entries from *AT on, in the order of networks. */
size_t ports_of(const struct bh_memory *m, const char *container, size_t *at);
/* Gives A the port that it is known by. Returns whether it has none and claims one, by its MAC. */
bool ports_known(const struct placer *p, const struct bh_link *(*link_at)(const void *, int), const void *links, const struct bh_member *m,
	struct bh_attachment *a);
/* Whether L is a port that an attachment may claim by the MAC at its other end, its owner apart. */
bool ports_is_open(const struct bh_link *l);
void ports_set(struct bh_attachment *a, const struct bh_link *l);
/* Remembers A's port; sorted or at the end. 0 or -ENOMEM. */
int ports_remember(struct bh_memory *memory, const struct bh_member *m, const struct bh_attachment *a, bool sorted);
/* Forgets those of N from AT on whose endpoint is not there any more. */
void ports_prune(struct bh_memory *m, size_t at, size_t n);

#endif
