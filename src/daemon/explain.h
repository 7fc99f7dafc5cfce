/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the answer to `explain` share. */
#ifndef BULKHEAD_DAEMON_EXPLAIN_H
#define BULKHEAD_DAEMON_EXPLAIN_H

#include "manager.h"

/* What the question is asked of: the policy in force, or one that the request brings. */
struct explain {
	struct bh_manager *m;
	const struct bh_policy *policy;
	const struct bh_round *round;
	const struct bh_judge *judge;
	const struct bh_ruleset *seen;	/* what the kernel holds, read for this answer; NULL: of a policy that is not loaded nothing is in the kernel */
	struct bh_foreign *foreign;	/* everybody else's rules; NULL: they could not be read */
	uint8_t proto;			/* as asked, icmp for both families; 0: everything that is open */
	uint16_t port;
};

enum explain_kind {
	EXPLAIN_CONTAINER,
	EXPLAIN_ADDRESS,
	EXPLAIN_ZONE,			/* anybody in it */
};

/* One end of the question. */
struct explain_who {
	const char *asked;
	enum explain_kind kind;
	const struct bh_member *member;	/* the container; NULL for others */
	const struct bh_member *owner;	/* whose endpoints it has: its own, or those of whose namespace it shares; NULL: it has none */
	struct bh_addr addr;		/* EXPLAIN_ADDRESS; an address of the container, if it was asked for by that */
	struct bh_party party;		/* of a container that is enforced, and of a zone */
	bool known;			/* whether `party` says it, whatever the address */
	const char *note;		/* or NULL */
};

/* Finds who is meant. 0, or -ENOENT with ERR for the user: unknown, with what is near, or meaning several. */
int explain_who_find(const struct explain *x, const char *asked, struct explain_who *ret, struct bh_error *err);
/* {"asked", "kind", "name", "zone", "reason", …}. NULL for no memory. */
json_t *explain_who_json(const struct explain *x, const struct explain_who *w);

/* "bulkhead.yaml:9"; "by hand"; null for nowhere */
#define BH_EXPLAIN_PLACE 300
const char *explain_place_text(const struct bh_loc *loc, char ret[BH_EXPLAIN_PLACE]);
json_t *explain_place(const struct bh_loc *loc);
/* "10.0.0.2", null for family 0 */
json_t *explain_addr(const struct bh_addr *a);
/* A rule of `allow`: {"source", "from", "to", "ports"}. */
json_t *explain_rule(const struct explain *x, size_t rule);

/* One way that packets go from one to the other: between two addresses, or as far as it is known. */
struct explain_way {
	struct bh_question q;
	struct bh_judgement v;
	bool own;			/* the two share a network namespace: nothing of it is ever seen */
};
struct explain_ways {
	BH_VEC(struct explain_way) v;
};
/* Every way there is. 0 or -ENOMEM; the caller clears *RET. */
int explain_ways_find(const struct explain *x, const struct explain_who *from, const struct explain_who *to, struct explain_ways *ret);

enum explain_verdict {
	EXPLAIN_ACCEPT,
	EXPLAIN_AUDIT,
	EXPLAIN_DENY,
};
/* One way with its verdict, the elements in the kernel and what others' rules do. NULL for no memory. */
json_t *explain_way_json(const struct explain *x, const struct explain_way *w, enum explain_verdict *ret_verdict);

/* What is open on one way, whatever the port. *RET_ALL: everything. NULL for no memory. */
json_t *explain_open_json(const struct explain *x, const struct explain_way *w, bool *ret_all);
/* What others' rules do with what bulkhead lets pass: [{"where", "does", "text"}]. *RET_DROPS: they drop it for sure. NULL for no memory. */
json_t *explain_besides(const struct explain *x, const struct explain_way *w, bool *ret_drops);

#endif
