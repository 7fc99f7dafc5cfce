/* SPDX-License-Identifier: Apache-2.0 */
/* What a reload would change: who moves, what opens and closes, which settings. Made of what the compiler itself asks (placements, claims, the maps
 * of the wanted rule sets), so that it cannot say other than what a reload does. Pure. */
#ifndef BULKHEAD_PLAN_H
#define BULKHEAD_PLAN_H

#include <bulkhead/allow.h>
#include <bulkhead/compile.h>

enum bh_move_kind {
	BH_MOVE_CONTAINER,
	BH_MOVE_ADDRESSES,
	BH_MOVE_INTERFACE,
};

/* Somebody who is in another zone afterwards. */
struct bh_move {
	enum bh_move_kind kind;
	char *what;		/* "web1", "10.20.0.0/16", "wg*"; untrusted */
	char *from, *to;	/* zones; NULL: in none by its interface */
	char *reason;		/* of a container, safe to print; else NULL */
};

/* Those that are in zone `before` now and in `after` then. */
struct bh_mover {
	char *name;		/* "web", or of those that move "web1 and 2 more (web -> api)"; untrusted */
	size_t before, after;	/* indices into the insts of the two placements */
	size_t n;		/* moves that it stands for; 0: who stays */
	size_t first;		/* the first of those: an index into moves */
};

/* Connections that can be opened afterwards and not now, or the other way round. */
struct bh_path {
	size_t from, to;	/* indices into movers */
	bool opens;
	struct bh_portset ports, but;	/* but: when ports are all, those that do not change */
	struct bh_loc loc;	/* a rule that opens it, of the policy that has it */
};

/* A zone's or the file's own setting; what is not in force (a cap in a file in audit) counts as not there. */
struct bh_setting {
	char *zone;		/* NULL: the file */
	const char *what;	/* "mode", "container egress", "connections max", "zone", … */
	char *before, *after;	/* "50000000 bit/s", "enforce", "none" */
};

struct bh_forecast {
	BH_VEC(struct bh_move) moves;
	BH_VEC(struct bh_mover) movers;
	BH_VEC(struct bh_path) paths;		/* by from, closing ones first, by to; at most BH_PATHS_MAX */
	size_t paths_total;
	BH_VEC(struct bh_setting) settings;
};
#define BH_PATHS_MAX 10000u
#define BH_PLAN_PAIRS_MAX 1000000u

/* One side: what bh_compile() was given and made. Both were placed with the same memory, of the same inventory and host. */
struct bh_plan_side {
	const struct bh_compile_input *in;
	const struct bh_ruleset *wanted;
};

/* The paths of addresses whose zone changes are worked out like those of containers; of what is behind an interface that enters or
 * leaves a zone they are not. 0; -ENOMEM; -E2BIG beyond BH_PLAN_PAIRS_MAX pairs of zones. */
int bh_forecast_make(const struct bh_plan_side *before, const struct bh_plan_side *after, struct bh_forecast **ret, struct bh_error *err);
void bh_forecast_free(struct bh_forecast *f);
BH_DEFINE_FREEP(struct bh_forecast, bh_forecast_free)

static inline bool bh_forecast_is_empty(const struct bh_forecast *f)
{
	return f->moves.n == 0 && f->paths.n == 0 && f->settings.n == 0;
}

/* Whether P speaks of PROTO/PORT. */
bool bh_path_has(const struct bh_path *p, const struct bh_port *port);
/* "tcp/80, udp", "every port but tcp/80". */
void bh_path_ports_print(const struct bh_path *p, struct bh_buf *out);
/* One line a change; what golden tests compare. 0 or -ENOMEM. */
int bh_forecast_print(const struct bh_forecast *f, struct bh_buf *out);

#endif
