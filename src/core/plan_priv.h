/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of bh_forecast_make(). */
#ifndef BULKHEAD_CORE_PLAN_PRIV_H
#define BULKHEAD_CORE_PLAN_PRIV_H

#include <bulkhead/plan.h>

struct planner {
	const struct bh_plan_side *before, *after;
	struct bh_forecast *out;
};

/* plan.c: a move of what FROM and TO (indices into the placements' insts) differ in. 0 or -ENOMEM. */
int plan_move(struct planner *p, enum bh_move_kind kind, const char *what, size_t from, size_t to, const char *reason);
/* plan_world.c: addresses and interfaces that are in another zone. 0 or -ENOMEM. */
int plan_world(struct planner *p);
/* plan_paths.c: what opens and closes between the movers. 0, -ENOMEM or -E2BIG. */
int plan_paths(struct planner *p);
/* plan_settings.c. 0 or -ENOMEM. */
int plan_settings(struct planner *p);

#endif
