/* SPDX-License-Identifier: Apache-2.0 */
/* A round moved on by what has changed: a container that comes or goes beside ten thousand others costs what it costs alone. What comes
 * out is what bh_place() and bh_compile() make of the same (tests/unit/test_shift.c holds the two beside each other over random
 * lives). What touches more than itself is refused, and then all is made from scratch. Pure. */
#ifndef BULKHEAD_SHIFT_H
#define BULKHEAD_SHIFT_H

#include <bulkhead/compile.h>

/* Sums of the addresses and MACs that members hold, by bridge, sorted: by which a second holder is found. */
struct bh_holdings {
	BH_VEC(uint64_t) v;
};
int bh_holdings_make(const struct bh_placement *p, const struct bh_features *f, struct bh_holdings *ret);	/* 0 or -ENOMEM; the caller clears ret->v */

/* The last round, which moves on, and what is new. */
struct bh_shift_input {
	const struct bh_policy *policy;		/* as the round was made of */
	const struct bh_features *features;
	const struct bh_host *host;		/* as it is now: the same bridges, addresses, resolvers and whatever is no veth */
	const struct bh_ruleset *wanted;	/* the round's, stripped (bh_members_strip()) */
	struct bh_inventory *inventory;		/* the round's: its containers are borrowed, one that is the same is the same object (by its
						 * id's pointer); its networks are those of now */
	struct bh_placement *placement;
	struct bh_memory *memory;
	struct bh_holdings *holdings;
	const struct bh_inventory *const *now;	/* what the runtimes tell, one after the other */
	size_t n_now;
	const int *links;			/* ifindexes of veths that came, went or changed since */
	size_t n_links;
};

/* What moved: bh_diff(after, before) is what the kernel is to be told. */
struct bh_shift {
	struct bh_ruleset *before, *after;	/* the elements of those members alone */
	BH_VEC(size_t) members;			/* their places now */
};
void bh_shift_clear(struct bh_shift *s);

/* 0 done. 1 refused, with nothing changed: more than SHIFT_MAX changes; a container with published ports, a cap, a limit on its connections or
 * a prefix that it forwards; one that shares a namespace; a value of a family that comes or goes; an address that two hold; anybody in quarantine by hand.
 * -ENOMEM: the round is of no use any more (its memory is). */
int bh_shift(const struct bh_shift_input *in, struct bh_shift *ret);

#endif
