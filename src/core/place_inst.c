/* SPDX-License-Identifier: Apache-2.0 */
/* Zones as the kernel will know them, their numbers, and which member is in which. */
#include "place_priv.h"

#include <errno.h>
#include <string.h>

#define IDS_MAX 0xffffu		/* b8:1 to b8:ffff */

/* A value of a family, from a member or a rule. */
struct value {
	int zone;
	const char *value;
};

struct values {
	BH_VEC(struct value) v;
};

static int value_cmp(const void *va, const void *vb)
{
	const struct value *a = va, *b = vb;

	if (a->zone != b->zone)
		return a->zone < b->zone ? -1 : 1;
	return strcmp(a->value, b->value);
}

static int refs_collect(struct values *out, const struct bh_policy *p, const struct bh_zone_ref *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct value x = {v[i].zone, v[i].value};

		if (x.value && x.zone >= 0 && (size_t)x.zone < p->zones.n && bh_vec_push(&out->v, x) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int rules_collect(struct values *out, const struct bh_policy *p, const struct bh_rule *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (refs_collect(out, p, v[i].from.v, v[i].from.n) < 0 || refs_collect(out, p, v[i].to.v, v[i].to.n) < 0)
			return -ENOMEM;
	return 0;
}

/* Every value that occurs or that a rule names, sorted by zone and value, each once. */
static int values_collect(const struct placer *p, struct values *out)
{
	const struct bh_policy *policy = p->policy;
	size_t n = 0;

	for (size_t i = 0; i < p->out->members.n; i++) {
		struct value x = {p->decisions[i].zone, p->decisions[i].value};

		if (x.value && bh_vec_push(&out->v, x) < 0)
			return -ENOMEM;
	}
	if (rules_collect(out, policy, policy->allow.v, policy->allow.n) < 0 ||
		rules_collect(out, policy, policy->expect.v, policy->expect.n) < 0)
		return -ENOMEM;
	if (out->v.n > 1)
		qsort(out->v.v, out->v.n, sizeof(*out->v.v), value_cmp);
	for (size_t i = 0; i < out->v.n; i++)
		if (n == 0 || value_cmp(&out->v.v[n - 1], &out->v.v[i]) != 0)
			out->v.v[n++] = out->v.v[i];
	out->v.n = n;
	return 0;
}

static int inst_add(const struct placer *p, int zone, enum bh_builtin builtin, const char *value)
{
	const struct decision d = {.zone = zone, .builtin = builtin, .value = value};
	struct bh_zone_inst *n = bh_vec_add(&p->out->insts);
	_cleanup_buf_ struct bh_buf name = {0};

	if (!n)
		return -ENOMEM;
	n->zone = zone;
	n->builtin = builtin;
	zone_name_print(p->policy, &d, &name);
	if (bh_buf_steal(&name, &n->name) < 0)
		return -ENOMEM;
	return bh_strdup(&n->value, value);
}

static uint32_t builtin_id(enum bh_builtin b)
{
	switch (b) {
	case BH_BUILTIN_HOST:
		return BH_ID_HOST;
	case BH_BUILTIN_LAN:
		return BH_ID_LAN;
	case BH_BUILTIN_INTERNET:
		return BH_ID_INTERNET;
	case BH_BUILTIN_METADATA:
		return BH_ID_METADATA;
	case BH_BUILTIN_DNS:
		return BH_ID_DNS;
	case BH_BUILTIN_BUILD:
		return BH_ID_BUILD;
	case BH_BUILTIN_QUARANTINE:
		return BH_ID_QUARANTINE;
	case BH_BUILTIN_NONE:
	case BH_BUILTIN_CONTAINERS:
	case BH_BUILTIN_WORLD:
	case BH_BUILTIN_ANY:
	case BH_BUILTIN_MAX:
		break;
	}
	return 0;	/* unions: listed, nothing in the kernel is in them */
}

/* Where NAME is among the known, or where it would be. */
static size_t known_at(const struct bh_memory *m, const char *name, bool *found)
{
	size_t lo = 0, hi = m->ids.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = strcmp(name, m->ids.v[mid].name);

		if (c == 0) {
			*found = true;
			return mid;
		}
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	*found = false;
	return lo;
}

static bool id_taken(const struct bh_memory *m, uint32_t id)
{
	bh_vec_foreach(k, &m->ids)
		if (k->id == id)
			return true;
	return false;
}

/* The number that NAME had before, or the next free one. It stays NAME's while there is room for numbers. */
static int known_id(struct bh_memory *m, const char *name, uint32_t *ret)
{
	bool found;
	size_t at = known_at(m, name, &found);
	struct bh_known_id k = {0};
	uint32_t id;

	if (found) {
		*ret = m->ids.v[at].id;
		return 0;
	}
	if (m->ids.n >= IDS_MAX)
		return -ENOSPC;
	do {
		m->next_id = m->next_id % IDS_MAX + 1;
		id = BH_ID_ZONE + m->next_id;
	} while (id_taken(m, id));
	if (bh_strdup(&k.name, name) < 0 || !bh_vec_add(&m->ids)) {
		free(k.name);
		return -ENOMEM;
	}
	k.id = id;
	memmove(&m->ids.v[at + 1], &m->ids.v[at], (m->ids.n - 1 - at) * sizeof(k));
	m->ids.v[at] = k;
	*ret = id;
	return 0;
}

static int inst_name_cmp(const void *a, const void *b)
{
	const struct bh_zone_inst *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

/* Forgets the names that are no zone now. Only when numbers run short: a project that is back keeps its number. */
static int known_prune(const struct placer *p)
{
	BH_VEC(const struct bh_zone_inst *) live = {0};
	struct bh_memory *m = p->memory;
	size_t n = 0, j = 0;

	if (m->ids.n + p->out->insts.n < IDS_MAX)
		return 0;
	bh_vec_foreach(i, &p->out->insts)
		if (bh_vec_push(&live, i) < 0) {
			bh_vec_clear(&live);
			return -ENOMEM;
		}
	qsort(live.v, live.n, sizeof(*live.v), inst_name_cmp);
	for (size_t i = 0; i < m->ids.n; i++) {
		while (j < live.n && strcmp(live.v[j]->name, m->ids.v[i].name) < 0)
			j++;
		if (j < live.n && strcmp(live.v[j]->name, m->ids.v[i].name) == 0)
			m->ids.v[n++] = m->ids.v[i];
		else
			free(m->ids.v[i].name);
	}
	m->ids.n = n;
	bh_vec_clear(&live);
	return 0;
}

/* Zones first, then the values of families: a daemon that starts knows its zones before a runtime has told it any value, and one that
 * starts again beside running containers must come to the same numbers. */
static int insts_number(const struct placer *p)
{
	struct bh_zone_inst *last = &p->out->insts.v[p->out->insts.n - 1];

	if (known_prune(p) < 0)
		return -ENOMEM;
	for (int values = 0; values < 2; values++) {
		bh_vec_foreach(i, &p->out->insts) {
			int r;

			if ((i->value != NULL) != values)
				continue;
			if (i->builtin != BH_BUILTIN_NONE) {
				i->id = p->memory->held.n > 0 && i == last ? BH_ID_HELD : builtin_id(i->builtin);
				continue;
			}
			r = known_id(p->memory, i->name, &i->id);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

/* Zones of the file in its order, the values of a family sorted, then the built-ins in the order of status. FIRST tells where each
 * zone's begin. */
static int insts_make(const struct placer *p, const struct values *values, size_t *first)
{
	const struct bh_policy *policy = p->policy;
	size_t v = 0;

	for (size_t z = 0; z < policy->zones.n; z++) {
		const struct bh_zone *zone = &policy->zones.v[z];
		int r = 0;

		first[z] = p->out->insts.n;
		if (zone->per == BH_PER_NONE && zone->kind != BH_ZONE_BUILTIN)
			r = inst_add(p, (int)z, BH_BUILTIN_NONE, NULL);
		for (; v < values->v.n && values->v.v[v].zone == (int)z && r == 0; v++)
			if (zone->per != BH_PER_NONE)
				r = inst_add(p, (int)z, BH_BUILTIN_NONE, values->v.v[v].value);
		if (r < 0)
			return r;
	}
	first[policy->zones.n] = p->out->insts.n;
	for (int b = BH_BUILTIN_NONE + 1; b < BH_BUILTIN_MAX; b++) {
		int zone = -1;

		for (size_t z = 0; z < policy->zones.n; z++)
			if (policy->zones.v[z].kind == BH_ZONE_BUILTIN && policy->zones.v[z].builtin == (enum bh_builtin)b)
				zone = (int)z;
		if (inst_add(p, zone, (enum bh_builtin)b, NULL) < 0)
			return -ENOMEM;
	}
	/* behind all others: who is in quarantine by hand */
	return p->memory->held.n > 0 ? inst_add(p, -1, BH_BUILTIN_QUARANTINE, NULL) : 0;
}

static size_t inst_of(const struct placer *p, const struct decision *d, const size_t *first)
{
	size_t lo, hi;

	if (d->zone < 0)	/* built-ins follow the file's zones in their order */
		return first[p->policy->zones.n] + (size_t)d->builtin - 1;
	lo = first[d->zone];
	hi = first[d->zone + 1];
	while (d->value && lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = strcmp(d->value, p->out->insts.v[mid].value);

		if (c == 0)
			return mid;
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

int place_insts(const struct placer *p)
{
	_cleanup_free_ size_t *first = calloc(p->policy->zones.n + 1, sizeof(*first));
	struct values values = {0};
	int r = first ? values_collect(p, &values) : -ENOMEM;

	if (r == 0)
		r = insts_make(p, &values, first);
	bh_vec_clear(&values.v);
	if (r == 0)
		r = insts_number(p);
	for (size_t i = 0; i < p->out->members.n && r == 0; i++) {
		struct bh_member *m = &p->out->members.v[i];

		m->inst = p->decisions[i].held ? p->out->insts.n - 1 : inst_of(p, &p->decisions[i], first);
		m->reason = bh_take(p->decisions[i].reason);
		m->loc = p->decisions[i].loc;
		p->out->insts.v[m->inst].members++;
	}
	return r;
}
