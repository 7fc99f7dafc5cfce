/* SPDX-License-Identifier: Apache-2.0 */
/* What was denied, in the words of the policy in force: who the two are now, or were. */
#ifndef BULKHEAD_DAEMON_GATHER_H
#define BULKHEAD_DAEMON_GATHER_H

#include "manager.h"

#include <bulkhead/suggest.h>

struct bh_gathered {
	BH_VEC(struct bh_denied_flow) flows;	/* borrowed from what follows, the kinds, the placement and the people */
	BH_VEC(const struct bh_kind *) kinds;	/* of each flow */
	BH_VEC(struct bh_stray *) strays;
	BH_VEC(struct bh_zone_inst *) gone;	/* values of families that nobody has now */
	struct bh_strv texts;
	BH_VEC(const struct bh_member *) members;	/* by name */
};

/* Every kind but noise, those from or to the container NAME alone unless it is NULL, the last seen first. There is a policy and a placement. 0 or -ENOMEM. */
int bh_gather(struct bh_manager *m, const char *name, struct bh_gathered *ret);
void bh_gathered_clear(struct bh_gathered *g);

/* suggest.c: bh_suggest() of what rules can decide among it. 0 or -ENOMEM. */
int bh_suggest_gathered(struct bh_manager *m, const char *name, struct bh_suggestion *ret);

#endif
