/* SPDX-License-Identifier: Apache-2.0 */
/* Who is where before and after, and the text of it all. */
#include "plan_priv.h"

#include <errno.h>
#include <string.h>

void bh_forecast_free(struct bh_forecast *f)
{
	if (!f)
		return;
	bh_vec_foreach(m, &f->moves) {
		free(m->what);
		free(m->from);
		free(m->to);
		free(m->reason);
	}
	bh_vec_clear(&f->moves);
	bh_vec_foreach(m, &f->movers)
		free(m->name);
	bh_vec_clear(&f->movers);
	bh_vec_foreach(p, &f->paths) {
		bh_portset_clear(&p->ports);
		bh_portset_clear(&p->but);
	}
	bh_vec_clear(&f->paths);
	bh_vec_foreach(s, &f->settings) {
		free(s->zone);
		free(s->before);
		free(s->after);
	}
	bh_vec_clear(&f->settings);
	free(f);
}

static const struct bh_zone_inst *inst_of(const struct bh_plan_side *s, size_t i)
{
	return i < s->in->placement->insts.n ? &s->in->placement->insts.v[i] : NULL;
}

/* Everybody who goes the same way is one. */
static int mover_add(struct planner *p, size_t from, size_t to)
{
	const struct bh_mover m = {.before = from, .after = to, .n = 1, .first = p->out->moves.n - 1};

	bh_vec_foreach(x, &p->out->movers)
		if (x->n > 0 && x->before == from && x->after == to) {
			x->n++;
			return 0;
		}
	return bh_vec_push(&p->out->movers, m);
}

static int movers_name(struct planner *p)
{
	bh_vec_foreach(m, &p->out->movers) {
		_cleanup_buf_ struct bh_buf b = {0};
		const struct bh_move *first = &p->out->moves.v[m->first];

		if (m->n == 0)
			continue;
		bh_buf_puts(&b, first->what);
		if (m->n > 1)
			bh_buf_printf(&b, " and %zu more", m->n - 1);
		bh_buf_printf(&b, " (%s -> ", first->from);
		bh_buf_printf(&b, "%s)", first->to);
		if (bh_buf_steal(&b, &m->name) < 0)
			return -ENOMEM;
	}
	return 0;
}

int plan_move(struct planner *p, enum bh_move_kind kind, const char *what, size_t from, size_t to, const char *reason)
{
	const struct bh_zone_inst *a = inst_of(p->before, from), *b = inst_of(p->after, to);
	struct bh_move *m = bh_vec_add(&p->out->moves);

	if (!m)
		return -ENOMEM;
	m->kind = kind;
	if (bh_strdup(&m->what, what) < 0 || bh_strdup(&m->from, a ? a->name : NULL) < 0 || bh_strdup(&m->to, b ? b->name : NULL) < 0 ||
		bh_strdup(&m->reason, reason) < 0)
		return -ENOMEM;
	return a && b ? mover_add(p, from, to) : 0;
}

static int name_cmp(const void *va, const void *vb)
{
	const struct bh_zone_inst *const *a = va, *const *b = vb;

	int c = strcmp((*a)->name, (*b)->name);

	return c ? c : ((*a)->id > (*b)->id) - ((*a)->id < (*b)->id);	/* two are called quarantine */
}

struct by_name {
	BH_VEC(const struct bh_zone_inst *) v;
};

static int sort_by_name(const struct bh_placement *p, struct by_name *ret)
{
	bh_vec_foreach(i, &p->insts)
		if (bh_vec_push(&ret->v, i) < 0)
			return -ENOMEM;
	if (ret->v.n > 1)
		qsort(ret->v.v, ret->v.n, sizeof(*ret->v.v), name_cmp);
	return 0;
}

/* The zones that are there before and after, whoever is in them. */
static int stay(struct planner *p)
{
	const struct bh_placement *a = p->before->in->placement, *b = p->after->in->placement;
	struct by_name names = {0};
	int r = sort_by_name(b, &names);

	for (size_t i = 0; i < a->insts.n && r == 0; i++) {
		const struct bh_zone_inst *x = &a->insts.v[i], *const *at;
		struct bh_mover m = {.before = i};

		at = bsearch(&x, names.v.v, names.v.n, sizeof(*names.v.v), name_cmp);
		if (!at || (*at)->id == 0)	/* unions are in nobody's place */
			continue;
		m.after = (size_t)(*at - b->insts.v);
		r = bh_strdup(&m.name, x->name);
		if (r == 0)
			r = bh_vec_push(&p->out->movers, m);
		if (r < 0)
			free(m.name);
	}
	bh_vec_clear(&names.v);
	return r;
}

/* Members stand in the inventory's order on both sides. */
static int containers(struct planner *p)
{
	const struct bh_placement *a = p->before->in->placement, *b = p->after->in->placement;

	for (size_t i = 0; i < a->members.n && i < b->members.n; i++) {
		const struct bh_member *x = &a->members.v[i], *y = &b->members.v[i];
		const char *name = y->container->name ? y->container->name : y->container->id;

		if (bh_streq(a->insts.v[x->inst].name, b->insts.v[y->inst].name))
			continue;
		if (plan_move(p, BH_MOVE_CONTAINER, name ? name : "", x->inst, y->inst, y->reason) < 0)
			return -ENOMEM;
	}
	return 0;
}

int bh_forecast_make(const struct bh_plan_side *before, const struct bh_plan_side *after, struct bh_forecast **ret, struct bh_error *err)
{
	_cleanup_(bh_forecast_freep) struct bh_forecast *f = calloc(1, sizeof(*f));
	struct planner p = {.before = before, .after = after, .out = f};
	int r = f ? stay(&p) : -ENOMEM;

	if (r == 0)
		r = containers(&p);
	if (r == 0)
		r = plan_world(&p);
	if (r == 0)
		r = movers_name(&p);
	if (r == 0)
		r = plan_paths(&p);
	if (r == 0)
		r = plan_settings(&p);
	if (r == -E2BIG)
		return bh_fail(err, r, "the plan has more than %u pairs of zones", BH_PLAN_PAIRS_MAX);
	if (r < 0)
		return bh_fail(err, r, "no memory for the plan");
	*ret = bh_take(f);
	return 0;
}

bool bh_path_has(const struct bh_path *p, const struct bh_port *port)
{
	return bh_portset_has(&p->ports, port) && !bh_portset_meets(&p->but, port);
}

void bh_path_ports_print(const struct bh_path *p, struct bh_buf *out)
{
	bh_portset_print(&p->ports, out);
	if (!bh_portset_is_empty(&p->but)) {
		bh_buf_puts(out, " but ");
		bh_portset_print(&p->but, out);
	}
}

static void put_name(struct bh_buf *out, const char *name)
{
	bh_buf_put_safe(out, name ? name : "nowhere", 512);
}

int bh_forecast_print(const struct bh_forecast *f, struct bh_buf *out)
{
	bh_vec_foreach(m, &f->moves) {
		put_name(out, m->what);
		bh_buf_puts(out, ": ");
		put_name(out, m->from);
		bh_buf_puts(out, " -> ");
		put_name(out, m->to);
		bh_buf_printf(out, "%s%s\n", m->reason ? ", " : "", m->reason ? m->reason : "");
	}
	bh_vec_foreach(p, &f->paths) {
		bh_buf_puts(out, p->opens ? "opens: " : "closes: ");
		put_name(out, f->movers.v[p->from].name);
		bh_buf_puts(out, " -> ");
		put_name(out, f->movers.v[p->to].name);
		bh_buf_puts(out, " ");
		bh_path_ports_print(p, out);
		bh_buf_printf(out, " (%s:%u)\n", p->loc.file ? p->loc.file : "", p->loc.line);
	}
	bh_vec_foreach(s, &f->settings)
		bh_buf_printf(out, "%s%s%s: %s -> %s\n", s->zone ? s->zone : "", s->zone ? " " : "", s->what, s->before, s->after);
	return out->err;
}
