/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the judge share. */
#ifndef BULKHEAD_CORE_JUDGE_PRIV_H
#define BULKHEAD_CORE_JUDGE_PRIV_H

#include "compile_priv.h"

#include <bulkhead/judge.h>

/* A container that holds an address. */
struct place {
	struct bh_addr addr;
	const char *bridge;
	const struct bh_member *member;
};

/* A container's port behind the number that the kernel has for it. */
struct known_leg {
	uint32_t id;
	const struct bh_member *member;
	const struct bh_published *published;	/* the first that leads to it */
};

struct bh_judge {
	struct bh_compile_input in;
	const struct bh_table *inet;
	struct claims claims;
	struct bh_addrs own;		/* the host's */
	BH_VEC(struct place) places;	/* sorted by address */
	BH_VEC(struct known_leg) legs;	/* sorted by id */
};

/* The element that holds K, in a set with intervals too; NULL when none does, or there is no such set. */
const struct bh_elem *judge_elem_at(const struct bh_table *t, const char *set, const struct key *k);
/* The same in a set that is keyed by an address alone, its name ending in 4 or 6: "dns" is dns4 or dns6. */
const struct bh_elem *judge_addr_at(const struct bh_judge *j, const char *set4, const char *set6, const struct bh_addr *a, const char **ret_set);
size_t judge_inst_of(const struct bh_judge *j, uint32_t id);
bool judge_is_own_bridge(const struct bh_judge *j, const char *dev);

#endif
