/* SPDX-License-Identifier: Apache-2.0 */
/* The zone that a container's own properties give it, and the sentence that says why. */
#include "place_priv.h"
#include "select.h"

#include <errno.h>
#include <string.h>

struct candidate {
	struct decision d;		/* without reason */
	struct why why;
	bool too_long;			/* the value of the family is */
};

struct contest {
	BH_VEC(struct candidate) best;	/* all of the highest priority so far */
	int32_t priority;
};

int decision_quarantine(struct decision *d, struct bh_buf *text)
{
	char *reason = NULL;

	if (bh_buf_steal(text, &reason) < 0)
		return -ENOMEM;
	free(d->reason);
	*d = (struct decision){.zone = -1, .builtin = BH_BUILTIN_QUARANTINE, .reason = reason};
	return 0;
}

void zone_name_print(const struct bh_policy *policy, const struct decision *d, struct bh_buf *out)
{
	bh_buf_puts(out, d->zone >= 0 ? policy->zones.v[d->zone].name : bh_builtin_name(d->builtin));
	if (d->value) {
		bh_buf_puts(out, ":");
		bh_buf_put_safe(out, d->value, FAMILY_VALUE_MAX);
	}
}

static int contest_add(struct contest *c, const struct bh_zone *z, int zone, const char *value, const struct why *why)
{
	struct candidate *n;

	if (c->best.n > 0 && z->priority < c->priority)
		return 0;
	if (c->best.n > 0 && z->priority > c->priority)
		c->best.n = 0;
	c->priority = z->priority;
	/* Two networks of one name are one value. */
	bh_vec_foreach(b, &c->best)
		if (b->d.zone == zone && bh_streq(b->d.value, value))
			return 0;
	n = bh_vec_add(&c->best);
	if (!n)
		return -ENOMEM;
	n->d.zone = zone;
	n->d.value = value;
	n->d.loc = z->loc;
	n->why = *why;
	n->too_long = value && strlen(value) > FAMILY_VALUE_MAX;
	return 0;
}

/* One value of a family: what it is taken from goes into the reason. An empty value is none. */
static int family_add(struct contest *c, const struct bh_zone *z, int zone, const char *value, const struct why *why)
{
	struct why w = *why;

	if (!value || !*value)
		return 0;
	if (w.n == WHY_PARTS) {
		w.n--;
		w.more = true;
	}
	w.parts[w.n].key = z->per == BH_PER_COMPOSE ? BH_SELECT_COMPOSE :
			   z->per == BH_PER_NETWORK ? BH_SELECT_NETWORK : BH_SELECT_LABEL;
	w.parts[w.n].label = z->per == BH_PER_LABEL ? z->per_label : NULL;
	w.parts[w.n].value = value;
	w.n++;
	if (w.loc.line == 0)
		w.loc = z->loc;
	return contest_add(c, z, zone, value, &w);
}

static int families_add(struct contest *c, const struct bh_zone *z, int zone, const struct subject *s, const struct why *why)
{
	switch (z->per) {
	case BH_PER_NONE:
		return contest_add(c, z, zone, NULL, why);
	case BH_PER_COMPOSE:
		return family_add(c, z, zone, s->project, why);
	case BH_PER_LABEL:
		return family_add(c, z, zone, subject_label(s->c, z->per_label), why);
	case BH_PER_NETWORK:
		bh_vec_foreach(e, &s->c->endpoints) {
			const struct bh_network *n = bh_inventory_network(s->inventory, e->network_id);

			if (n && family_add(c, z, zone, n->name, why) < 0)
				return -ENOMEM;
		}
		return 0;
	}
	return 0;
}

static int zone_try(struct contest *c, const struct bh_zone *z, int zone, const struct subject *s)
{
	struct why why = {0};
	int r = 1;

	if (z->kind != BH_ZONE_CONTAINERS || (!z->select && z->per == BH_PER_NONE))
		return 0;
	if (z->select)
		r = selector_met(z->select, s, &why);
	if (r <= 0)
		return r;
	/* Image builds are in `build`: only a selector that asks for the kind takes them out of it. */
	if (s->c->kind == BH_KIND_BUILD && !why.kind)
		return 0;
	return families_add(c, z, zone, s, &why);
}

static void tie_print(const struct placer *p, const struct contest *c, struct bh_buf *out)
{
	bh_buf_puts(out, "matches ");
	zone_name_print(p->policy, &c->best.v[0].d, out);
	loc_print(&c->best.v[0].d.loc, out);
	bh_buf_puts(out, " and ");
	zone_name_print(p->policy, &c->best.v[1].d, out);
	loc_print(&c->best.v[1].d.loc, out);
	if (c->best.n > 2)
		bh_buf_printf(out, " and %zu more", c->best.n - 2);
	bh_buf_puts(out, " equally");
}

static int contest_decide(const struct placer *p, const struct contest *c, const struct bh_container *container,
	struct decision *ret)
{
	_cleanup_buf_ struct bh_buf text = {0};
	const struct candidate *first = c->best.v;

	if (c->best.n == 0 && container->kind == BH_KIND_BUILD) {
		*ret = (struct decision){.zone = -1, .builtin = BH_BUILTIN_BUILD};
		bh_buf_puts(&text, "an image build");
		return bh_buf_steal(&text, &ret->reason);
	}
	if (c->best.n == 0) {
		bh_buf_puts(&text, BH_REASON_NO_ZONE);
		return decision_quarantine(ret, &text);
	}
	if (c->best.n > 1) {
		tie_print(p, c, &text);
		return decision_quarantine(ret, &text);
	}
	if (first->too_long) {
		bh_buf_printf(&text, "its value for %s is longer than %d bytes", p->policy->zones.v[first->d.zone].name,
			FAMILY_VALUE_MAX);
		loc_print(&first->d.loc, &text);
		return decision_quarantine(ret, &text);
	}
	*ret = first->d;
	why_print(&first->why, &text);
	loc_print(&first->why.loc, &text);
	return bh_buf_steal(&text, &ret->reason);
}

int place_decide(const struct placer *p, const struct bh_container *c, struct decision *ret)
{
	_cleanup_buf_ struct bh_buf text = {0};
	struct contest contest = {0};
	struct subject s;
	int r = 0;

	if (c->flaw) {
		bh_buf_put_safe(&text, c->flaw, 200);
		return decision_quarantine(ret, &text);
	}
	if (subject_init(&s, c, p->inventory) < 0) {
		subject_clear(&s);
		return -ENOMEM;
	}
	for (size_t i = 0; i < p->policy->zones.n && r == 0; i++)
		r = zone_try(&contest, &p->policy->zones.v[i], (int)i, &s);
	if (r == 0)
		r = contest_decide(p, &contest, c, ret);
	bh_vec_clear(&contest.best);
	subject_clear(&s);
	return r;
}
