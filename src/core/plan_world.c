/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses and interfaces that are in another zone, read from the maps that the kernel is to hold. */
#include "compile_priv.h"
#include "plan_priv.h"

#include <errno.h>
#include <string.h>

/* What one side says of addresses: ranges in order, gaps are the internet. */
struct world {
	const struct bh_set *set;
	size_t at;
};

static struct bh_addr elem_addr(const uint8_t *key, uint8_t family)
{
	struct bh_addr a = {.family = family};

	memcpy(a.b, key, bh_addr_size(&a));
	return a;
}

/* The number at FROM, and in *RET_LAST how far it holds (as far as this side knows). */
static uint32_t world_at(struct world *w, const struct bh_addr *from, struct bh_addr *ret_last)
{
	for (; w->set && w->at < w->set->elems.n; w->at++) {
		const struct bh_elem *e = &w->set->elems.v[w->at];
		const struct bh_addr first = elem_addr(e->key, from->family), last = elem_addr(e->key_end, from->family);

		if (bh_addr_cmp(&last, from) < 0)
			continue;
		if (bh_addr_cmp(&first, from) <= 0) {
			*ret_last = last;
			return e->value;
		}
		(void)bh_addr_prev(&first, ret_last);	/* it has one: FROM is before it */
		return BH_ID_INTERNET;
	}
	*ret_last = (struct bh_addr){.family = from->family};
	memset(ret_last->b, 0xff, bh_addr_size(ret_last));
	return BH_ID_INTERNET;
}

static size_t inst_by_id(const struct bh_placement *p, uint32_t id)
{
	for (size_t i = 0; i < p->insts.n; i++)
		if (p->insts.v[i].id == id)
			return i;
	return SIZE_MAX;
}

/* "10.20.0.0/16", or both ends of what is no prefix. */
static void range_text(const struct bh_addr *first, const struct bh_addr *last, struct bh_buf *out)
{
	char text[BH_PREFIX_TEXT], more[BH_ADDR_TEXT];

	for (unsigned len = 0; len <= 8 * bh_addr_size(first); len++) {
		const struct bh_prefix p = {*first, (uint8_t)len};
		struct bh_addr a, b;

		bh_prefix_range(&p, &a, &b);
		if (bh_addr_cmp(&a, first) != 0 || bh_addr_cmp(&b, last) != 0)
			continue;
		bh_buf_puts(out, len == 8 * bh_addr_size(first) ? bh_addr_text(first, more) : bh_prefix_text(&p, text));
		return;
	}
	bh_buf_printf(out, "%s", bh_addr_text(first, more));
	bh_buf_printf(out, "-%s", bh_addr_text(last, more));
}

static int range_move(struct planner *p, const struct bh_addr *first, const struct bh_addr *last, uint32_t before, uint32_t after)
{
	size_t from = inst_by_id(p->before->in->placement, before), to = inst_by_id(p->after->in->placement, after);
	_cleanup_buf_ struct bh_buf text = {0};

	/* container networks are what they are */
	if (from == SIZE_MAX || to == SIZE_MAX || bh_streq(p->before->in->placement->insts.v[from].name, p->after->in->placement->insts.v[to].name))
		return 0;
	range_text(first, last, &text);
	return text.err ? text.err : plan_move(p, BH_MOVE_ADDRESSES, text.s, from, to, NULL);
}

static int addresses(struct planner *p, uint8_t family)
{
	const char *name = family == 4 ? "world4" : "world6";
	struct world a = {.set = bh_table_set(&p->before->wanted->tables[BH_FAMILY_INET], name)};
	struct world b = {.set = bh_table_set(&p->after->wanted->tables[BH_FAMILY_INET], name)};
	struct bh_addr first = {.family = family}, begin = first, last;
	uint32_t before = 0, after = 0;	/* of what begins at `begin` */
	int r = 0;

	for (bool more = true; more && r == 0;) {
		struct bh_addr x, y;
		uint32_t i = world_at(&a, &first, &x), k = world_at(&b, &first, &y);

		if (before && (i != before || k != after)) {
			(void)bh_addr_prev(&first, &last);
			r = range_move(p, &begin, &last, before, after);
			begin = first;
		}
		before = i;
		after = k;
		last = bh_addr_cmp(&x, &y) < 0 ? x : y;
		more = bh_addr_next(&last, &first);
	}
	return r < 0 ? r : range_move(p, &begin, &last, before, after);
}

static const struct bh_zone_inst *zone_of_pattern(const struct bh_plan_side *s, const char *pattern)
{
	bh_vec_foreach(i, &s->in->placement->insts) {
		const struct bh_zone *z = bh_inst_zone(s->in->policy, i);

		if (z && z->kind == BH_ZONE_INTERFACES && bh_strv_has(&z->interfaces, pattern))
			return i;
	}
	return NULL;
}

static size_t index_in(const struct bh_placement *p, const struct bh_zone_inst *i)
{
	return i ? (size_t)(i - p->insts.v) : SIZE_MAX;
}

/* Patterns as they are written, those of SIDE; those that both have are told once. */
static int interfaces(struct planner *p, const struct bh_plan_side *side)
{
	bh_vec_foreach(i, &side->in->placement->insts) {
		const struct bh_zone *z = bh_inst_zone(side->in->policy, i);

		if (!z || z->kind != BH_ZONE_INTERFACES)
			continue;
		for (size_t k = 0; k < z->interfaces.n; k++) {
			const struct bh_zone_inst *x = zone_of_pattern(p->before, z->interfaces.v[k]);
			const struct bh_zone_inst *y = zone_of_pattern(p->after, z->interfaces.v[k]);

			if ((x && y && bh_streq(x->name, y->name)) || (x && side == p->after))
				continue;
			if (plan_move(p, BH_MOVE_INTERFACE, z->interfaces.v[k], index_in(p->before->in->placement, x),
				index_in(p->after->in->placement, y), NULL) < 0)
				return -ENOMEM;
		}
	}
	return 0;
}

int plan_world(struct planner *p)
{
	int r = addresses(p, 4);

	if (r == 0)
		r = addresses(p, 6);
	if (r == 0)
		r = interfaces(p, p->before);
	return r < 0 ? r : interfaces(p, p->after);
}
