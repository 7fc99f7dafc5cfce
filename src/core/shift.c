/* SPDX-License-Identifier: Apache-2.0 */
/* Moving a round on. What can be refused was refused before the first thing changes here. */
#include "compile_priv.h"
#include "shift_priv.h"

#include <errno.h>
#include <string.h>

void bh_shift_clear(struct bh_shift *s)
{
	bh_ruleset_free(s->before);
	bh_ruleset_free(s->after);
	bh_vec_clear(&s->members);
	memset(s, 0, sizeof(*s));
}

static int elems_put(const struct shifter *s, struct bh_ruleset *to, const struct bh_member *m)
{
	const struct bh_compile_input in = {.policy = s->in->policy, .inventory = s->in->inventory, .host = s->in->host,
		.placement = s->in->placement, .features = s->in->features};
	struct compiler c = {.in = &in, .out = to, .inet = &to->tables[BH_FAMILY_INET], .bridge = &to->tables[BH_FAMILY_BRIDGE]};

	return member_compile(&c, m);
}

int shift_touch(struct shifter *s, struct bh_member *m)
{
	if (m->moving)
		return 0;
	m->moving = true;
	return elems_put(s, s->out->before, m);
}

static void member_remove(struct bh_placement *p, size_t i)
{
	p->insts.v[p->members.v[i].inst].members--;
	place_member_clear(&p->members.v[i]);
	memmove(&p->members.v[i], &p->members.v[i + 1], (p->members.n - i - 1) * sizeof(*p->members.v));
	p->members.n--;
}

/* Hands MADE over, as the member of C, to its place in the inventory's order. */
static int member_insert(struct bh_placement *p, struct bh_member *made, const struct bh_container *c)
{
	size_t i = p->members.n;

	if (!bh_vec_add(&p->members))
		return -ENOMEM;
	for (; i > 0 && p->members.v[i - 1].container > c; i--)
		p->members.v[i] = p->members.v[i - 1];
	p->members.v[i] = *made;
	memset(made, 0, sizeof(*made));
	p->members.v[i].container = c;
	p->members.v[i].moving = true;
	p->insts.v[p->members.v[i].inst].members++;
	return 0;
}

/* What is remembered of the ports of one that is gone. */
static void ports_forget(struct bh_memory *m, const char *id)
{
	size_t at, n = ports_of(m, id, &at);

	for (size_t i = 0; i < n; i++)
		m->ports.v[at + i].current = false;
	ports_prune(m, at, n);
}

/* A container goes or is replaced. */
static int change_old(struct shifter *s, const struct shift_change *x)
{
	struct bh_inventory *inv = s->in->inventory;
	struct bh_placement *p = s->in->placement;
	struct bh_container *c = &inv->containers.v[x->at];

	if (x->member != SIZE_MAX)
		member_remove(p, x->member);
	if (x->made == SIZE_MAX)
		ports_forget(s->in->memory, x->id);
	if (x->now) {
		*c = *x->now;
		return x->made == SIZE_MAX ? 0 : member_insert(p, &s->made.members.v[x->made], c);
	}
	memmove(c, c + 1, (size_t)(inv->containers.v + inv->containers.n - (c + 1)) * sizeof(*c));
	inv->containers.n--;
	bh_vec_foreach(m, &p->members)
		m->container -= m->container > c;
	return 0;
}

static int change_new(struct shifter *s, const struct shift_change *x)
{
	struct bh_inventory *inv = s->in->inventory;
	struct bh_placement *p = s->in->placement;
	BH_VEC(size_t) places = {0};
	int r = 0;

	if (inv->containers.n == inv->containers.cap) {	/* it moves, and who points into it has to follow */
		bh_vec_foreach(m, &p->members)
			if (r == 0)
				r = bh_vec_push(&places, (size_t)(m->container - inv->containers.v));
	}
	if (r == 0)
		r = bh_vec_push(&inv->containers, *x->now);
	for (size_t i = 0; r == 0 && i < places.n; i++)
		p->members.v[i].container = &inv->containers.v[places.v[i]];
	bh_vec_clear(&places);
	if (r < 0 || x->made == SIZE_MAX)
		return r;
	return member_insert(p, &s->made.members.v[x->made], &inv->containers.v[inv->containers.n - 1]);
}

/* The last place first, so that the places of the others stay; then the new ones in their order. */
static int changes_make(struct shifter *s)
{
	int r = 0;

	for (size_t i = s->changes.n; i-- > 0 && r == 0;)
		if (s->changes.v[i].at != SIZE_MAX)
			r = change_old(s, &s->changes.v[i]);
	for (size_t i = 0; i < s->changes.n && r == 0; i++)
		if (s->changes.v[i].at == SIZE_MAX)
			r = change_new(s, &s->changes.v[i]);
	return r;
}

static int holdings_move(struct shifter *s)
{
	struct bh_holdings *all = s->in->holdings;
	size_t at;

	bh_vec_foreach(x, &s->gone.v) {
		if (sums_count(all->v.v, all->v.n, *x, &at) == 0)
			continue;
		memmove(&all->v.v[at], &all->v.v[at + 1], (all->v.n - at - 1) * sizeof(*x));
		all->v.n--;
	}
	bh_vec_foreach(x, &s->come.v) {
		(void)sums_count(all->v.v, all->v.n, *x, &at);
		if (bh_vec_push(&all->v, *x) < 0)
			return -ENOMEM;
		memmove(&all->v.v[at + 1], &all->v.v[at], (all->v.n - 1 - at) * sizeof(*x));
		all->v.v[at] = *x;
	}
	return 0;
}

static int moved_put(struct shifter *s)
{
	struct bh_placement *p = s->in->placement;

	for (size_t i = 0; i < p->members.n; i++) {
		struct bh_member *m = &p->members.v[i];

		if (!m->moving)
			continue;
		m->moving = false;
		if (elems_put(s, s->out->after, m) < 0 || bh_vec_push(&s->out->members, i) < 0)
			return -ENOMEM;
	}
	for (int f = 0; f < BH_FAMILY_MAX; f++) {
		bh_vec_foreach(x, &s->out->before->tables[f].sets)
			set_finish(x);
		bh_vec_foreach(x, &s->out->after->tables[f].sets)
			set_finish(x);
	}
	bh_ruleset_sort(s->out->before);
	bh_ruleset_sort(s->out->after);
	return 0;
}

static int shift(struct shifter *s)
{
	struct bh_placement *p = s->in->placement;
	int r = 0;

	bh_vec_foreach(c, &s->changes)
		if (r == 0 && c->member != SIZE_MAX)
			r = shift_touch(s, &p->members.v[c->member]);
	if (r == 0)
		r = shift_links(s);
	if (r == 0)
		r = changes_make(s);
	if (r == 0)
		r = shift_ports(s);
	if (r == 0)
		r = moved_put(s);
	if (s->made.judge_again && (!p->judge_again || s->made.judge_again < p->judge_again))
		p->judge_again = s->made.judge_again;
	return r == 0 ? holdings_move(s) : r;
}

int bh_shift(const struct bh_shift_input *in, struct bh_shift *ret)
{
	struct bh_shift out = {.before = calloc(1, sizeof(*out.before)), .after = calloc(1, sizeof(*out.after))};
	struct shifter s = {.in = in, .out = &out};
	int r = out.before && out.after ? 0 : -ENOMEM;

	s.placer = (struct placer){.policy = in->policy, .inventory = in->inventory, .host = in->host, .memory = in->memory, .out = &s.made};
	if (r == 0)
		r = members_frame(in->wanted, in->features, out.before);
	if (r == 0)
		r = members_frame(in->wanted, in->features, out.after);
	if (r == 0)
		r = shift_find(&s);
	if (r == 0)
		r = shift_check(&s);
	if (r == 0)
		r = shift(&s);
	for (size_t i = 0; s.placer.decisions && i < s.made.members.n; i++)
		free(s.placer.decisions[i].reason);
	free(s.placer.decisions);
	bh_vec_clear(&s.placer.bridges);
	bh_vec_foreach(m, &s.made.members)
		place_member_clear(m);
	bh_vec_clear(&s.made.members);
	bh_vec_clear(&s.changes);
	bh_vec_clear(&s.gone.v);
	bh_vec_clear(&s.come.v);
	if (r != 0)
		bh_shift_clear(&out);
	else
		*ret = out;
	return r;
}
