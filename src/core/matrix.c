/* SPDX-License-Identifier: Apache-2.0 */
#include <bulkhead/matrix.h>

#include <errno.h>
#include <string.h>

void bh_matrix_free(struct bh_matrix *m)
{
	if (!m)
		return;
	for (size_t i = 0; m->cells && i < m->ends.n * m->ends.n; i++) {
		bh_portset_clear(&m->cells[i].open);
		bh_vec_clear(&m->cells[i].rules);
	}
	free(m->cells);
	bh_vec_foreach(e, &m->ends)
		free(e->name);
	bh_vec_clear(&m->ends);
	free(m);
}

static bool is_family(const struct bh_policy *p, const struct bh_end *e)
{
	return e->builtin == BH_BUILTIN_NONE && p->zones.v[e->zone].per != BH_PER_NONE;
}

static int end_add(struct bh_matrix *m, const struct bh_policy *p, const struct bh_end *end, bool other)
{
	_cleanup_buf_ struct bh_buf name = {0};
	struct bh_matrix_end e = {.end = *end, .other = other};
	struct bh_end shown = *end;
	int r;

	if (bh_streq(shown.value, bh_value_some) || bh_streq(shown.value, bh_value_other))
		shown.value = NULL;
	e.opens = !other && end->builtin != BH_BUILTIN_DNS && end->builtin != BH_BUILTIN_METADATA;
	bh_end_print(p, &shown, &name);
	if (other)
		bh_buf_puts(&name, " (other)");
	r = bh_buf_steal(&name, &e.name);
	if (r == 0)
		r = bh_vec_push(&m->ends, e);
	if (r < 0)
		free(e.name);
	return r;
}

static bool is_there(const struct bh_matrix *m, const struct bh_end *end)
{
	bh_vec_foreach(e, &m->ends)
		if (bh_end_same_zone(&e->end, end) && bh_streq(e->end.value, end->value))
			return true;
	return false;
}

static int named_values_add(struct bh_matrix *m, const struct bh_policy *p, const struct bh_allows *allows, int zone)
{
	bh_vec_foreach(a, &allows->v) {
		const struct bh_end *const ends[] = {&a->from, &a->to};

		for (size_t i = 0; i < BH_ARRAY_SIZE(ends); i++)
			if (ends[i]->builtin == BH_BUILTIN_NONE && ends[i]->zone == zone && ends[i]->value && !is_there(m, ends[i]) &&
				end_add(m, p, ends[i], false) < 0)
				return -ENOMEM;
	}
	return 0;
}

static int ends_add(struct bh_matrix *m, const struct bh_policy *p, const struct bh_allows *allows)
{
	static const enum bh_builtin builtins[] = {
		BH_BUILTIN_HOST, BH_BUILTIN_LAN, BH_BUILTIN_INTERNET, BH_BUILTIN_DNS, BH_BUILTIN_METADATA, BH_BUILTIN_BUILD, BH_BUILTIN_QUARANTINE,
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->zones.n; i++) {
		struct bh_end e = {.zone = (int)i};

		if (p->zones.v[i].kind == BH_ZONE_BUILTIN)
			continue;
		if (p->zones.v[i].per == BH_PER_NONE) {
			r = end_add(m, p, &e, false);
			continue;
		}
		e.value = bh_value_some;
		r = end_add(m, p, &e, false);
		e.value = bh_value_other;
		if (r == 0)
			r = end_add(m, p, &e, true);
		if (r == 0)
			r = named_values_add(m, p, allows, (int)i);
	}
	for (size_t i = 0; r == 0 && i < BH_ARRAY_SIZE(builtins); i++) {
		struct bh_end e = {.zone = bh_policy_find_zone(p, bh_builtin_name(builtins[i])), .builtin = builtins[i]};

		r = end_add(m, p, &e, false);
	}
	return r;
}

/* Of a column `project` the value is the row's own, where the row has one. */
static struct bh_end column_end(const struct bh_policy *p, const struct bh_matrix_end *row, const struct bh_matrix_end *column)
{
	struct bh_end to = column->end;

	if (is_family(p, &to) && bh_streq(to.value, bh_value_some) && row->end.value)
		to.value = row->end.value;
	return to;
}

static int cell_fill(struct bh_matrix_cell *c, const struct bh_policy *p, const struct bh_allow_index *index, const struct bh_end *from,
	const struct bh_end *to)
{
	size_t n;
	const struct bh_allow *const *v = bh_allow_index_find(index, from, to, &n);
	int r = 0;

	c->ours = bh_end_has_containers(p, from) || bh_end_has_containers(p, to);
	for (size_t i = 0; r == 0 && i < n; i++) {
		struct bh_portset ports = {0};

		if (!bh_allow_joins(v[i], from, to))
			continue;
		r = bh_allow_ports(p->allow.v, v[i], &ports);
		if (r == 0 && !bh_portset_is_empty(&ports) && (c->rules.n == 0 || c->rules.v[c->rules.n - 1] != v[i]->rule))
			r = bh_vec_push(&c->rules, v[i]->rule);
		bh_portset_clear(&ports);
	}
	return r < 0 ? r : bh_allow_open(p->allow.v, index, from, to, &c->open);
}

static int cells_fill(struct bh_matrix *m, const struct bh_policy *p, const struct bh_allow_index *index)
{
	m->cells = calloc(m->ends.n * m->ends.n, sizeof(*m->cells));
	if (!m->cells)
		return -ENOMEM;
	for (size_t i = 0; i < m->ends.n; i++)
		for (size_t k = 0; k < m->ends.n && m->ends.v[i].opens; k++) {
			const struct bh_end to = column_end(p, &m->ends.v[i], &m->ends.v[k]);

			if (cell_fill(&m->cells[i * m->ends.n + k], p, index, &m->ends.v[i].end, &to) < 0)
				return -ENOMEM;
		}
	return 0;
}

int bh_matrix_new(const struct bh_policy *p, struct bh_matrix **ret, struct bh_error *err)
{
	_cleanup_(bh_matrix_freep) struct bh_matrix *m = calloc(1, sizeof(*m));
	struct bh_allow_index index = {0};
	struct bh_allows allows = {0};
	int r = m ? bh_allow_expand(p, p->allow.v, p->allow.n, &allows, err) : -ENOMEM;

	if (r == 0)
		r = bh_allow_index_make(&allows, &index);
	if (r == 0)
		r = ends_add(m, p, &allows);
	if (r == 0)
		r = cells_fill(m, p, &index);
	bh_allow_index_clear(&index);
	bh_allows_clear(&allows);
	if (r == -ENOMEM)
		return bh_fail(err, r, "out of memory");
	if (r < 0)
		return r;
	*ret = bh_take(m);
	return 0;
}
