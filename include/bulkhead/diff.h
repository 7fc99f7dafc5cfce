/* SPDX-License-Identifier: Apache-2.0 */
/* wanted minus seen: the one place where the difference is made. Pure. */
#ifndef BULKHEAD_DIFF_H
#define BULKHEAD_DIFF_H

#include <bulkhead/ruleset.h>

/* In the order in which they stand in a plan, and must in its transaction: first what goes, then what comes, so that nothing is
 * referred to before it is there or after it has gone, and what is replaced may keep its name. */
enum bh_change_kind {
	BH_DEL_TABLE,		/* with everything in it */
	BH_ADD_TABLE,
	BH_OWN_TABLE,		/* one that persists and has no owner is from now on ours, and no longer dormant */
	BH_FLUSH_RULES,		/* all rules of chain */
	BH_DEL_ELEMS,		/* elems of set */
	BH_FLUSH_SET,		/* all elements: interval sets are replaced whole, verdict maps emptied before they are deleted
				 * (before Linux 6.5 a deleted map keeps the chains that it jumps to in use until after the commit) */
	BH_DEL_SET,
	BH_DEL_CHAIN,
	BH_DEL_COUNTER,
	BH_ADD_COUNTER,
	BH_ADD_CHAIN,		/* without its rules */
	BH_ADD_SET,		/* without its elements */
	BH_ADD_RULES,		/* all rules of chain, which has none now */
	BH_ADD_ELEMS,
};

/* Pointers go into the wanted or the seen rule set, which must outlive the plan. */
struct bh_change {
	enum bh_change_kind kind;
	enum bh_family family;
	const struct bh_table *table;
	const struct bh_counter *counter;
	const struct bh_chain *chain;
	const struct bh_set *set;
	BH_VEC(const struct bh_elem *) elems;
};

struct bh_plan {
	BH_VEC(struct bh_change) changes;	/* empty: in sync */
};

/* Whether nothing is left to do but to take elements out of dynamic sets that packets put there for somebody who has gone since: nothing
 * depends on it, and nobody interfered. Also for an empty plan. */
bool bh_plan_only_sweeps(const struct bh_plan *p);
void bh_plan_free(struct bh_plan *p);
BH_DEFINE_FREEP(struct bh_plan, bh_plan_free)

/* Both sides sorted. A base chain whose hook, priority, policy or device differ, and a set whose type differs, are replaced; such a
 * change of a base chain is only made when somebody broke it. A table whose flags differ is replaced whole, but one that only lacks its owner is owned and kept. Dynamic sets' elements
 * and all counts are not compared, but see BH_SET_DYNAMIC. An element whose data differs is deleted and added in the same plan. 0 or -ENOMEM. */
int bh_diff(const struct bh_ruleset *wanted, const struct bh_ruleset *seen, struct bh_plan **ret);

/* Whether everything in it is about elements of sets that stay. */
bool bh_plan_only_elems(const struct bh_plan *p);

/* One line a change ("+ element inet zone_of4 { … }"), for plan and logs; of many elements the first few. 0 or -ENOMEM. */
int bh_plan_print(const struct bh_plan *p, struct bh_buf *out);

#endif
