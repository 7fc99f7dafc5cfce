/* SPDX-License-Identifier: Apache-2.0 */
/* Which containers are not what they were. Runtimes keep their order: what is new comes last. */
#include "shift_priv.h"

#include <errno.h>
#include <string.h>

static int change_add(struct shifter *s, size_t at, const struct bh_container *now)
{
	const struct bh_container *old = at == SIZE_MAX ? NULL : &s->in->inventory->containers.v[at];
	struct shift_change c = {.at = at, .now = now, .id = old ? old->id : now->id, .member = SIZE_MAX, .made = SIZE_MAX};

	if (s->changes.n >= SHIFT_MAX || !c.id)
		return 1;
	if (old)
		c.member = shift_member_of(s->in->placement, old);
	return bh_vec_push(&s->changes, c);
}

/* One that went and one that came under the same id are one that moved in the order. */
static bool moved(const struct shifter *s)
{
	bh_vec_foreach(a, &s->changes)
		bh_vec_foreach(b, &s->changes)
			if (a < b && strcmp(a->id, b->id) == 0)
				return true;
	return false;
}

int shift_find(struct shifter *s)
{
	const struct bh_inventory *old = s->in->inventory;
	size_t j = 0;
	int r = 0;

	for (size_t i = 0; i < s->in->n_now; i++)
		bh_vec_foreach(c, &s->in->now[i]->containers) {
			while (r == 0 && j < old->containers.n && old->containers.v[j].id != c->id && !bh_streq(old->containers.v[j].id, c->id))
				r = change_add(s, j++, NULL);
			if (r == 0 && j == old->containers.n)
				r = change_add(s, SIZE_MAX, c);
			else if (r == 0 && old->containers.v[j++].id != c->id)
				r = change_add(s, j - 1, c);
			if (r != 0)
				return r;
		}
	while (r == 0 && j < old->containers.n)
		r = change_add(s, j++, NULL);
	return r == 0 && moved(s) ? 1 : r;
}

size_t shift_member_of(const struct bh_placement *p, const struct bh_container *c)
{
	size_t lo = 0, hi = p->members.n;

	while (lo < hi) {	/* members are in the inventory's order */
		size_t mid = lo + (hi - lo) / 2;

		if (p->members.v[mid].container == c)
			return mid;
		if (p->members.v[mid].container < c)
			lo = mid + 1;
		else
			hi = mid;
	}
	return SIZE_MAX;
}

size_t shift_member_named(const struct bh_placement *p, const char *id)
{
	for (size_t i = 0; i < p->members.n; i++)
		if (bh_streq(p->members.v[i].container->id, id))
			return i;
	return SIZE_MAX;
}
