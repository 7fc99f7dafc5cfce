/* SPDX-License-Identifier: Apache-2.0 */
/* After a restart zones get back the numbers that the kernel knows them by, so that a start with nothing new changes nothing, not
 * even a counter. There is no file to believe: the chains' names carry number and name. What cannot be told (two names that
 * begin alike) costs a renumbering in one transaction, never a packet. */
#include "manager.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct numbered {
	uint32_t id;
	const char *suffix;	/* "web" of the chain "zone_3_web" */
	bool used;
};

struct numbers {
	BH_VEC(struct numbered) v;
};

static void numbers_clear(struct numbers *n)
{
	bh_vec_clear(&n->v);
}

/* "web" of "zone_3_web"; NULL for the chain of a built-in zone. */
static const char *suffix_of(const char *chain)
{
	unsigned number;
	int n = 0;

	return sscanf(chain, "zone_%x_%n", &number, &n) == 1 && n > 0 && chain[n] ? chain + n : NULL;
}

static int read_numbers(const struct bh_ruleset *seen, struct numbers *ret)
{
	const struct bh_set *zones = bh_table_set(&seen->tables[BH_FAMILY_INET], "from_zone");

	if (!zones)
		return 0;
	bh_vec_foreach(e, &zones->elems) {
		struct numbered n = { .suffix = suffix_of(e->chain) };
		int r;

		memcpy(&n.id, e->key, sizeof(n.id));
		r = n.suffix && (n.id & BH_ID_MASK) == BH_ID_ZONE ? bh_vec_push(&ret->v, n) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

/* The number of a zone of that name: its own where it fits, otherwise the first that is free. 0 for none. */
static uint32_t take_number(struct numbers *n, const char *suffix, uint32_t own)
{
	struct numbered *found = NULL;

	bh_vec_foreach(k, &n->v)
		if (!k->used && strcmp(k->suffix, suffix) == 0 && (!found || k->id == own))
			found = k;
	if (!found)
		return 0;
	found->used = true;
	return found->id;
}

static bool is_taken(const struct bh_memory *m, const struct numbers *n, const struct bh_known_id *self, uint32_t id)
{
	bh_vec_foreach(k, &n->v)
		if (k->id == id)
			return true;
	bh_vec_foreach(k, &m->ids)
		if (k != self && k->id == id)
			return true;
	return false;
}

static struct bh_known_id *known(struct bh_memory *m, const char *name)
{
	bh_vec_foreach(k, &m->ids)
		if (strcmp(k->name, name) == 0)
			return k;
	return NULL;
}

/* Gives the zones that the kernel has their numbers; MATCHED tells which of P's. */
static void match(struct bh_memory *memory, const struct bh_placement *p, struct numbers *numbers, bool *matched, bool *changed)
{
	for (size_t i = 0; i < p->insts.n; i++) {
		const struct bh_zone_inst *inst = &p->insts.v[i];
		struct bh_known_id *k = inst->builtin == BH_BUILTIN_NONE ? known(memory, inst->name) : NULL;
		char chain[BH_NAME];
		uint32_t id;

		bh_name_zone_chain(inst, chain);
		id = k && suffix_of(chain) ? take_number(numbers, suffix_of(chain), inst->id) : 0;
		if (id == 0)
			continue;
		matched[i] = true;
		*changed = *changed || k->id != id;
		k->id = id;
	}
}

/* The others keep theirs, or get one that neither side has. */
static void make_way(struct bh_memory *memory, const struct bh_placement *p, const struct numbers *numbers, const bool *matched,
	bool *changed)
{
	for (size_t i = 0; i < p->insts.n; i++) {
		const struct bh_zone_inst *inst = &p->insts.v[i];
		struct bh_known_id *k = inst->builtin == BH_BUILTIN_NONE && !matched[i] ? known(memory, inst->name) : NULL;

		while (k && is_taken(memory, numbers, k, k->id)) {
			k->id = BH_ID_ZONE + ++memory->next_id;
			*changed = true;
		}
	}
}

int bh_ids_recover(struct bh_memory *memory, const struct bh_placement *p, const struct bh_ruleset *seen, bool *ret_changed)
{
	_cleanup_(numbers_clear) struct numbers numbers = {0};
	_cleanup_free_ bool *matched = calloc(p->insts.n + 1, sizeof(*matched));
	int r = matched ? read_numbers(seen, &numbers) : -ENOMEM;

	if (r < 0)
		return r;
	*ret_changed = false;
	bh_vec_foreach(k, &memory->ids)
		if (k->id - BH_ID_ZONE > memory->next_id)
			memory->next_id = k->id - BH_ID_ZONE;
	match(memory, p, &numbers, matched, ret_changed);
	make_way(memory, p, &numbers, matched, ret_changed);
	return 0;
}
