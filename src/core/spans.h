/* SPDX-License-Identifier: Apache-2.0 */
/* Overlapping prefixes become disjoint ranges, as the kernel's interval maps need them. */
#ifndef BULKHEAD_CORE_SPANS_H
#define BULKHEAD_CORE_SPANS_H

#include <bulkhead/addr.h>
#include <bulkhead/mem.h>

/* The ladder of SPEC section 1: the lower wins, among equals the longer prefix. */
enum rank {
	RANK_ADDRESS,		/* what single addresses are, whatever holds them */
	RANK_NETWORK,
	RANK_ZONE,
	RANK_METADATA,
	RANK_LAN,
	RANK_REST,
};

struct span {
	struct bh_addr first, last;
	enum rank rank;
	uint8_t len;
	uint32_t id;
};

/* In no order; bh_vec_clear() frees it. */
struct spans {
	BH_VEC(struct span) v;
};

int spans_add(struct spans *s, const struct bh_prefix *p, enum rank rank, uint32_t id);		/* 0 or -ENOMEM */
int spans_add_text(struct spans *s, const char *const *texts, size_t n, enum rank rank, uint32_t id);	/* the same */

/* Of the addresses that several spans of equal rank and length claim with different ids. */
#define SPAN_DISPUTED UINT32_MAX

struct span_range {
	struct bh_addr first, last;
	uint32_t id;
};

/* Calls FN with every range of one id, in the order of addresses; not for what no span holds or what is disputed. Sorts S.
 * 0, -ENOMEM, or what FN returned below 0. */
int spans_flatten(struct spans *s, uint8_t family, int (*fn)(void *userdata, const struct span_range *r), void *userdata);

#endif
