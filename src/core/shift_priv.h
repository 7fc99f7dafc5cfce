/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of bh_shift(): what has changed (shift_find.c), whether that is simple (shift_check.c), moving on (shift.c, shift_port.c). */
#ifndef BULKHEAD_CORE_SHIFT_PRIV_H
#define BULKHEAD_CORE_SHIFT_PRIV_H

#include "place_priv.h"

#include <bulkhead/shift.h>

#define SHIFT_MAX 64	/* changes; and endpoints that wait for their ports */

struct shift_change {
	size_t at;				/* its place in the round's inventory; SIZE_MAX: it is new */
	const struct bh_container *now;		/* NULL: it is gone */
	const char *id;
	size_t member;				/* its place among the members before; SIZE_MAX: it was none */
	size_t made;				/* among the members that were made; SIZE_MAX: it is none */
};

struct sums {
	BH_VEC(uint64_t) v;
};

struct shifter {
	const struct bh_shift_input *in;
	struct placer placer;			/* places the new members alone, into `made` */
	struct bh_placement made;
	BH_VEC(struct shift_change) changes;	/* by place, new ones last */
	struct sums gone, come;			/* holdings; sorted */
	struct bh_shift *out;
};

/* shift_find.c: by comparing what the runtimes tell with what the round has. 0, 1 refused, -ENOMEM. */
int shift_find(struct shifter *s);
/* The member that C, of the round's inventory, is; SIZE_MAX: none. */
size_t shift_member_of(const struct bh_placement *p, const struct bh_container *c);
size_t shift_member_named(const struct bh_placement *p, const char *id);

/* shift_check.c: places the new ones, and refuses what is not simple. 0, 1 refused, -ENOMEM. */
int shift_check(struct shifter *s);
bool shift_has_link(const struct bh_shift_input *in, int ifindex);
int sums_add(struct sums *out, const struct bh_member *m, const struct bh_features *f);
void sums_sort(struct sums *s);
/* How many of S are SUM, and where the first is or would be. */
size_t sums_count(const uint64_t *v, size_t n, uint64_t sum, size_t *at);

/* shift.c: M is about to change: its elements of before are kept, once. 0 or -ENOMEM. */
int shift_touch(struct shifter *s, struct bh_member *m);

/* shift_port.c */
/* Notes which ports of the links are gone, and touches whose they were. 0 or -ENOMEM. */
int shift_links(struct shifter *s);
/* Finds the ports of all who were touched, and of those who wait for one. 0 or -ENOMEM. */
int shift_ports(struct shifter *s);

#endif
