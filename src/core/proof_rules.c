/* SPDX-License-Identifier: Apache-2.0 */
/* The rule set that the kernel holds, as it is, with the throw-away endpoints in it. */
#include "proof_priv.h"

#include <errno.h>
#include <string.h>

/* What says who is a member: in the wanted rule set of the proof nobody but its own endpoints is. */
static const struct {
	enum bh_family family;
	const char *set;
} membership[] = {
	{BH_FAMILY_INET, "zone_of4"}, {BH_FAMILY_INET, "zone_of6"}, {BH_FAMILY_INET, "drops4"}, {BH_FAMILY_INET, "drops6"},
	{BH_FAMILY_BRIDGE, "ports"}, {BH_FAMILY_BRIDGE, "drops"}, {BH_FAMILY_BRIDGE, "pinm"}, {BH_FAMILY_BRIDGE, "pin4"}, {BH_FAMILY_BRIDGE, "pin6"},
	{BH_FAMILY_BRIDGE, "pin4t"}, {BH_FAMILY_BRIDGE, "pin6t"}, {BH_FAMILY_BRIDGE, "owned_mac"}, {BH_FAMILY_BRIDGE, "owned4"}, {BH_FAMILY_BRIDGE, "owned6"},
};

/* The host of the proof publishes nothing. */
static const char *const publishing[] = {"published", "pub_any", "pub4", "pub6", "legs4", "legs6"};

/* What lets the denied pass: verdicts by zone, and the file's word on silent denials. */
static const char *const auditing[] = {"modes", "audit"};

static bool is_one_of(const char *name, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(name, list[i]) == 0)
			return true;
	return false;
}

static int sets_copy(struct bh_table *t, const struct bh_table *seen, bool enforced)
{
	bh_vec_foreach(s, &seen->sets) {
		struct bh_set *d;

		if (s->n_key == 0)	/* of no type that we write */
			continue;
		d = bh_vec_add(&t->sets);
		if (!d || bh_set_copy(d, s) < 0)
			return -ENOMEM;
		if ((s->flags & BH_SET_DYNAMIC) || is_one_of(s->name, publishing, BH_ARRAY_SIZE(publishing)) || 
			(enforced && is_one_of(s->name, auditing, BH_ARRAY_SIZE(auditing))))
			d->elems.n = 0;
	}
	return 0;
}

/* Whether this program could have written R, and so can again. */
static bool is_ours(const struct bh_nft_rule *r, const struct bh_table *t)
{
	bh_vec_foreach(s, &r->stmts) {
		bool named = s->kind == BH_STMT_LOOKUP || s->kind == BH_STMT_VMAP || s->kind == BH_STMT_MAP_PRIORITY || s->kind == BH_STMT_UPDATE;

		if (s->kind == BH_STMT_FOREIGN || (named && s->set[0] && !bh_table_set(t, s->set)))
			return false;
	}
	return true;
}

static int left_out_add(struct bh_strv *out, enum bh_family family, const char *what)
{
	_cleanup_buf_ struct bh_buf b = {0};

	bh_buf_printf(&b, "%s %s", family == BH_FAMILY_INET ? "inet" : "bridge", what);
	return b.err < 0 ? b.err : bh_strv_has(out, b.s) ? 0 : bh_strv_push(out, b.s);
}

static int chain_copy(struct bh_table *t, const struct bh_chain *c, enum bh_family family, struct bh_strv *left_out)
{
	struct bh_chain *d = bh_vec_add(&t->chains);
	size_t n = 0;

	if (!d || bh_chain_copy(d, c) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < d->rules.n; i++) {
		if (is_ours(&d->rules.v[i], t)) {
			d->rules.v[n++] = d->rules.v[i];
			continue;
		}
		bh_vec_foreach(s, &d->rules.v[i].stmts)
			bh_stmt_clear(s);
		bh_vec_clear(&d->rules.v[i].stmts);
		if (left_out_add(left_out, family, c->name) < 0)
			return -ENOMEM;
	}
	d->rules.n = n;
	return 0;
}

static int table_copy(struct bh_ruleset *out, const struct bh_ruleset *seen, enum bh_family family, bool enforced, struct bh_strv *left_out)
{
	const struct bh_table *from = &seen->tables[family];
	struct bh_table *t = &out->tables[family];
	int r;

	t->present = from->present;
	t->flags = from->flags & BH_TABLE_DORMANT;
	r = sets_copy(t, from, enforced);
	bh_vec_foreach(c, &from->counters)
		r = r == 0 ? bh_vec_push(&t->counters, *c) : r;
	bh_vec_foreach(c, &from->chains)
		r = r == 0 ? chain_copy(t, c, family, left_out) : r;
	return r;
}

static int members_add(const struct bh_proof *p, struct bh_ruleset *out)
{
	for (size_t i = 0; i < BH_ARRAY_SIZE(membership); i++) {
		const struct bh_set *from = bh_table_set(&p->wanted->tables[membership[i].family], membership[i].set);
		struct bh_set *to = bh_table_set(&out->tables[membership[i].family], membership[i].set);

		if (!from || !to || !bh_set_same_type(from, to))
			continue;
		for (size_t k = 0, sorted = to->elems.n; k < from->elems.n; k++) {
			struct bh_set old = *to;	/* what was there, which alone is in order */
			struct bh_elem *e;

			old.elems.n = sorted;
			e = bh_set_find(&old, from->elems.v[k].key);
			if (e)
				*e = from->elems.v[k];
			else if (bh_vec_push(&to->elems, from->elems.v[k]) < 0)
				return -ENOMEM;
		}
	}
	return 0;
}

static struct bh_addr elem_addr(uint8_t family, const uint8_t *key)
{
	struct bh_addr a = {.family = family};

	memcpy(a.b, key, bh_addr_size(&a));
	return a;
}

static void elem_addrs_set(struct bh_elem *e, const struct bh_addr *first, const struct bh_addr *last)
{
	memset(e->key, 0, sizeof(e->key));
	memset(e->key_end, 0, sizeof(e->key_end));
	memcpy(e->key, first->b, bh_addr_size(first));
	memcpy(e->key_end, last->b, bh_addr_size(last));
}

/* What NET covers of a set of ranges is cut out of it, and NET put there. */
static int range_put(struct bh_set *s, const struct bh_prefix *net, uint32_t value)
{
	struct bh_elem mine = {.value = value};
	struct bh_addr first, last, edge;
	size_t n = s->elems.n;

	bh_prefix_range(net, &first, &last);
	for (size_t i = 0; i < n; i++) {
		struct bh_elem e = s->elems.v[i];
		const struct bh_addr a = elem_addr(net->addr.family, e.key), z = elem_addr(net->addr.family, e.key_end);

		if (bh_addr_cmp(&z, &first) < 0 || bh_addr_cmp(&a, &last) > 0)
			continue;
		if (bh_addr_cmp(&z, &last) > 0 && bh_addr_next(&last, &edge)) {	/* what is left behind it */
			elem_addrs_set(&e, &edge, &z);
			if (bh_vec_push(&s->elems, e) < 0)
				return -ENOMEM;
		}
		if (bh_addr_cmp(&a, &first) < 0 && bh_addr_prev(&first, &edge)) {
			elem_addrs_set(&s->elems.v[i], &a, &edge);
		} else {	/* nothing before it: the last takes the place, seen already if it is one of the first N */
			s->elems.v[i] = s->elems.v[--s->elems.n];
			if (s->elems.n < n) {
				n = s->elems.n;
				i--;
			}
		}
	}
	elem_addrs_set(&mine, &first, &last);
	return bh_vec_push(&s->elems, mine);
}

static int networks_add(const struct bh_proof *p, struct bh_ruleset *out)
{
	for (size_t i = 0; i < BH_PROOF_BRIDGES; i++)
		for (int six = 0; six < 1 + p->ipv6; six++) {
			struct bh_set *world = bh_table_set(&out->tables[BH_FAMILY_INET], six ? "world6" : "world4");
			struct bh_set *nets = six ? NULL : bh_table_set(&out->tables[BH_FAMILY_BRIDGE], "nets4");

			if (world && range_put(world, &p->bridges[i].nets[six], BH_ID_CONTAINER_NETWORK) < 0)
				return -ENOMEM;
			if (nets && range_put(nets, &p->bridges[i].nets[six], 0) < 0)
				return -ENOMEM;
		}
	return 0;
}

int bh_proof_rules(const struct bh_proof *p, const struct bh_ruleset *seen, bool enforced, struct bh_ruleset **ret, struct bh_strv *left_out)
{
	static const uint32_t known = BH_TABLE_DORMANT | BH_TABLE_OWNER | BH_TABLE_PERSIST | BH_TABLE_FOREIGN;
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *out = calloc(1, sizeof(*out));
	int r = out ? 0 : -ENOMEM;

	for (enum bh_family f = BH_FAMILY_INET; f <= BH_FAMILY_BRIDGE && r == 0; f++) {
		r = table_copy(out, seen, f, enforced, left_out);
		if (r == 0 && (seen->tables[f].flags & ~known))	/* a chain on a hook, with a name that we cannot write */
			r = left_out_add(left_out, f, "a chain that is not bulkhead's");
	}
	if (r == 0)
		r = members_add(p, out);
	if (r == 0)
		r = networks_add(p, out);
	if (r < 0)
		return r;
	bh_ruleset_sort(out);
	*ret = bh_take(out);
	return 0;
}
