/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BULKHEAD_CORE_SUGGEST_PRIV_H
#define BULKHEAD_CORE_SUGGEST_PRIV_H

#include <bulkhead/suggest.h>

/* Strays that are one: a service, or a container of its own. */
struct unit {
	const struct bh_stray *who;
	bool unfit;			/* no selector can name it and nobody else */
	size_t group;
};

/* Units that get one zone. */
struct group {
	struct bh_zone_inst inst;	/* name owned; zone: its index in the policy with the new zones */
	BH_VEC(size_t) units;
};

/* One end of a flow: a zone of the policy, or a unit. */
struct node {
	const struct bh_zone_inst *inst;	/* NULL: a unit, or nobody */
	size_t unit;
};
#define NO_UNIT SIZE_MAX

struct suggester {
	const struct bh_policy *policy;
	const struct bh_denied_flow *flows;
	size_t n_flows;
	BH_VEC(struct unit) units;
	BH_VEC(struct group) groups;
	struct node *from, *to;		/* of each flow */
};

/* suggest_zone.c: who is one, and who gets a zone together. 0 or -ENOMEM. */
int suggest_units(struct suggester *s);
int suggest_groups(struct suggester *s);
/* Appends the entries of `zones`. */
void suggest_print_zones(const struct suggester *s, struct bh_buf *out);

#endif
