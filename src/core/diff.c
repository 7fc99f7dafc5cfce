/* SPDX-License-Identifier: Apache-2.0 */
/* wanted minus seen. Everything that goes comes before everything that comes: what is taken away is only used by what is
 * taken away before it (rules, then elements, sets, chains, counters), and what is added uses only what is there by then. */
#include <bulkhead/diff.h>

#include <errno.h>
#include <string.h>

/* One table's two sides and the plan that grows. */
struct diff {
	struct bh_plan *plan;
	enum bh_family family;
	const struct bh_table *wanted;
	const struct bh_table *seen;
};

void bh_plan_free(struct bh_plan *p)
{
	if (!p)
		return;
	bh_vec_foreach(c, &p->changes)
		bh_vec_clear(&c->elems);
	bh_vec_clear(&p->changes);
	free(p);
}

static struct bh_change *change_add(struct diff *d, enum bh_change_kind kind, const struct bh_table *t)
{
	struct bh_change *c = bh_vec_add(&d->plan->changes);

	if (!c)
		return NULL;
	c->kind = kind;
	c->family = d->family;
	c->table = t;
	return c;
}

static int change_chain(struct diff *d, enum bh_change_kind kind, const struct bh_table *t, const struct bh_chain *chain)
{
	struct bh_change *c = change_add(d, kind, t);

	if (!c)
		return -ENOMEM;
	c->chain = chain;
	return 0;
}

static int change_set(struct diff *d, enum bh_change_kind kind, const struct bh_table *t, const struct bh_set *set)
{
	struct bh_change *c = change_add(d, kind, t);

	if (!c)
		return -ENOMEM;
	c->set = set;
	return 0;
}

static int change_counter(struct diff *d, enum bh_change_kind kind, const struct bh_table *t, const struct bh_counter *counter)
{
	struct bh_change *c = change_add(d, kind, t);

	if (!c)
		return -ENOMEM;
	c->counter = counter;
	return 0;
}

/* Sorted by name, so that a look-up is O(log n): a plan over thousands of zones compares thousands of names. */
static int name_cmp(const void *key, const void *item)
{
	return strncmp(key, item, BH_NAME);
}

#define FIND(vec, name)                                                                            \
	((vec)->n ? (const __typeof__((vec)->v[0]) *)bsearch(name, (vec)->v, (vec)->n, sizeof((vec)->v[0]), name_cmp) : NULL)

static bool set_replaced(const struct bh_set *wanted, const struct bh_set *seen)
{
	return wanted && seen && !bh_set_same_type(wanted, seen);
}

static bool chain_replaced(const struct bh_chain *wanted, const struct bh_chain *seen)
{
	if (!wanted || !seen)
		return false;
	if (wanted->hook != seen->hook)
		return true;
	return wanted->hook != BH_HOOK_NONE && (wanted->priority != seen->priority || wanted->policy != seen->policy ||
						      strncmp(wanted->device, seen->device, sizeof(seen->device)) != 0);
}

/* Whether a seen rule keeps a set in use that is about to be replaced. */
static bool uses_replaced_set(const struct diff *d, const struct bh_chain *chain)
{
	bh_vec_foreach(r, &chain->rules)
		bh_vec_foreach(s, &r->stmts)
			if ((s->kind == BH_STMT_LOOKUP || s->kind == BH_STMT_VMAP || s->kind == BH_STMT_MAP_PRIORITY ||
				    s->kind == BH_STMT_UPDATE) && *s->set &&
				set_replaced(FIND(&d->wanted->sets, s->set), FIND(&d->seen->sets, s->set)))
				return true;
	return false;
}

/* Whether the rules of a chain are written anew: they differ, their chain does, or they hold on to a set that does. */
static bool rules_rewritten(const struct diff *d, const struct bh_chain *wanted, const struct bh_chain *seen)
{
	return !seen || !wanted || chain_replaced(wanted, seen) || !bh_rules_equal(wanted, seen) ||
		uses_replaced_set(d, seen);
}

static int flush_rules(struct diff *d)
{
	bh_vec_foreach(seen, &d->seen->chains)
		if (seen->rules.n > 0 && rules_rewritten(d, FIND(&d->wanted->chains, seen->name), seen) &&
			change_chain(d, BH_FLUSH_RULES, d->seen, seen) < 0)
			return -ENOMEM;
	return 0;
}

/* Appends to ELEMS every element of A that B has not, or has otherwise. Both sorted. */
static int elems_minus(struct bh_change *c, const struct bh_set *a, const struct bh_set *b)
{
	size_t j = 0;

	for (size_t i = 0; i < a->elems.n; i++) {
		const struct bh_elem *e = &a->elems.v[i];

		while (j < b->elems.n && memcmp(b->elems.v[j].key, e->key, sizeof(e->key)) < 0)
			j++;
		if (j < b->elems.n && bh_elem_equal(e, &b->elems.v[j], a->data))
			continue;
		if (bh_vec_push(&c->elems, e) < 0)
			return -ENOMEM;
	}
	return 0;
}

static bool elems_equal(const struct bh_set *a, const struct bh_set *b)
{
	if (a->elems.n != b->elems.n)
		return false;
	for (size_t i = 0; i < a->elems.n; i++)
		if (!bh_elem_equal(&a->elems.v[i], &b->elems.v[i], a->data))
			return false;
	return true;
}

/* Elements of KIND, those of A that B has not; no change when there is none. */
static int change_elems(struct diff *d, enum bh_change_kind kind, const struct bh_table *t, const struct bh_set *a,
	const struct bh_set *b)
{
	static const struct bh_set nothing;
	struct bh_change c = {.kind = kind, .family = d->family, .table = t, .set = a};

	if (elems_minus(&c, a, b ? b : &nothing) < 0 || (c.elems.n > 0 && bh_vec_push(&d->plan->changes, c) < 0)) {
		bh_vec_clear(&c.elems);
		return -ENOMEM;
	}
	return 0;
}

/* Whether WANTED's elements go into a set that stays, so that only the difference is made. */
static bool elems_kept(const struct bh_set *wanted, const struct bh_set *seen)
{
	return wanted && seen && !set_replaced(wanted, seen) && !(wanted->flags & BH_SET_DYNAMIC);
}

static bool is_swept(const struct bh_set *wanted, const struct bh_set *seen)
{
	return wanted && (wanted->flags & BH_SET_DYNAMIC) && !(wanted->flags & BH_SET_TIMEOUT) && !set_replaced(wanted, seen);
}

static int take_elems(struct diff *d, enum bh_change_kind kind)
{
	bh_vec_foreach(seen, &d->seen->sets) {
		const struct bh_set *wanted = FIND(&d->wanted->sets, seen->name);
		bool kept = elems_kept(wanted, seen), interval = seen->flags & BH_SET_INTERVAL;
		bool gone = !wanted || set_replaced(wanted, seen);
		int r = 0;

		/* what packets added goes by time, or with the key that it hangs on */
		if (kind == BH_DEL_ELEMS && !interval && (kept || is_swept(wanted, seen)))
			r = change_elems(d, BH_DEL_ELEMS, d->seen, seen, wanted);
		else if (kind == BH_FLUSH_SET && seen->elems.n > 0 &&
			((kept && interval && !elems_equal(wanted, seen)) || (gone && seen->data == BH_DATA_VERDICT)))
			r = change_set(d, BH_FLUSH_SET, d->seen, seen);
		if (r < 0)
			return r;
	}
	return 0;
}

static int take_objects(struct diff *d)
{
	bh_vec_foreach(seen, &d->seen->sets) {
		const struct bh_set *wanted = FIND(&d->wanted->sets, seen->name);

		if ((!wanted || set_replaced(wanted, seen)) && change_set(d, BH_DEL_SET, d->seen, seen) < 0)
			return -ENOMEM;
	}
	bh_vec_foreach(seen, &d->seen->chains) {
		const struct bh_chain *wanted = FIND(&d->wanted->chains, seen->name);

		if ((!wanted || chain_replaced(wanted, seen)) && change_chain(d, BH_DEL_CHAIN, d->seen, seen) < 0)
			return -ENOMEM;
	}
	bh_vec_foreach(seen, &d->seen->counters)
		if (!FIND(&d->wanted->counters, seen->name) && change_counter(d, BH_DEL_COUNTER, d->seen, seen) < 0)
			return -ENOMEM;
	return 0;
}

static int add_objects(struct diff *d)
{
	bh_vec_foreach(wanted, &d->wanted->counters)
		if (!FIND(&d->seen->counters, wanted->name) && change_counter(d, BH_ADD_COUNTER, d->wanted, wanted) < 0)
			return -ENOMEM;
	bh_vec_foreach(wanted, &d->wanted->chains) {
		const struct bh_chain *seen = FIND(&d->seen->chains, wanted->name);

		if ((!seen || chain_replaced(wanted, seen)) && change_chain(d, BH_ADD_CHAIN, d->wanted, wanted) < 0)
			return -ENOMEM;
	}
	bh_vec_foreach(wanted, &d->wanted->sets) {
		const struct bh_set *seen = FIND(&d->seen->sets, wanted->name);

		if ((!seen || set_replaced(wanted, seen)) && change_set(d, BH_ADD_SET, d->wanted, wanted) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int add_elems(struct diff *d)
{
	bh_vec_foreach(wanted, &d->wanted->sets) {
		const struct bh_set *seen = FIND(&d->seen->sets, wanted->name);
		bool kept = elems_kept(wanted, seen);

		if (wanted->flags & BH_SET_DYNAMIC)
			continue;
		if (kept && (wanted->flags & BH_SET_INTERVAL)) {
			if (elems_equal(wanted, seen))
				continue;
			kept = false;	/* flushed before: all of them come anew */
		}
		if (change_elems(d, BH_ADD_ELEMS, d->wanted, wanted, kept ? seen : NULL) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int add_rules(struct diff *d)
{
	bh_vec_foreach(wanted, &d->wanted->chains)
		if (wanted->rules.n > 0 && rules_rewritten(d, wanted, FIND(&d->seen->chains, wanted->name)) &&
			change_chain(d, BH_ADD_RULES, d->wanted, wanted) < 0)
			return -ENOMEM;
	return 0;
}

/* Whether SEEN only lacks its owner (left by a crash, loaded from a saved rule set): what is right in it need not be made anew, and a
 * base chain that is made anew lets packets through. */
static bool can_be_owned(const struct bh_table *wanted, const struct bh_table *seen)
{
	return wanted->present && seen->present && wanted->flags == (BH_TABLE_OWNER | BH_TABLE_PERSIST) &&
		(seen->flags & ~(uint32_t)BH_TABLE_DORMANT) == BH_TABLE_PERSIST;
}

static int diff_table(struct diff *d)
{
	static const struct bh_table nothing;
	const struct bh_table *seen = d->seen;

	if (can_be_owned(d->wanted, seen)) {
		if (!change_add(d, BH_OWN_TABLE, d->wanted))
			return -ENOMEM;
	} else if (seen->present && (!d->wanted->present || seen->flags != d->wanted->flags)) {
		if (!change_add(d, BH_DEL_TABLE, seen))
			return -ENOMEM;
		d->seen = &nothing;
	} else if (!seen->present) {
		d->seen = &nothing;
	}
	if (!d->wanted->present)
		return 0;
	if (!d->seen->present && !change_add(d, BH_ADD_TABLE, d->wanted))
		return -ENOMEM;
	if (flush_rules(d) < 0 || take_elems(d, BH_DEL_ELEMS) < 0 || take_elems(d, BH_FLUSH_SET) < 0 ||
		take_objects(d) < 0 || add_objects(d) < 0)
		return -ENOMEM;
	/* Where a chain looks up a map for the first time the kernel walks over all that is in it (nf_tables_bind_set()): so rules come before elements */
	if (add_rules(d) < 0 || add_elems(d) < 0)
		return -ENOMEM;
	return 0;
}

int bh_diff(const struct bh_ruleset *wanted, const struct bh_ruleset *seen, struct bh_plan **ret)
{
	_cleanup_(bh_plan_freep) struct bh_plan *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	for (int f = 0; f < BH_FAMILY_MAX; f++) {
		struct diff d = {p, (enum bh_family)f, &wanted->tables[f], &seen->tables[f]};

		if (diff_table(&d) < 0)
			return -ENOMEM;
	}
	*ret = bh_take(p);
	return 0;
}

bool bh_plan_only_sweeps(const struct bh_plan *p)
{
	bh_vec_foreach(c, &p->changes)
		if (!(c->kind == BH_DEL_ELEMS && (c->set->flags & BH_SET_DYNAMIC)) && !(c->kind == BH_ADD_ELEMS && (c->set->flags & BH_SET_TIMEOUT)))
			return false;
	return true;
}

bool bh_plan_only_elems(const struct bh_plan *p)
{
	bh_vec_foreach(c, &p->changes)
		if (c->kind != BH_DEL_ELEMS && c->kind != BH_ADD_ELEMS && c->kind != BH_FLUSH_SET)
			return false;
	return true;
}

/* How many elements of one change are written out. */
#define ELEMS_SHOWN 8

static void elems_print(const struct bh_change *c, struct bh_buf *out)
{
	bh_buf_puts(out, " { ");
	for (size_t i = 0; i < c->elems.n && i < ELEMS_SHOWN; i++) {
		bh_buf_puts(out, i ? ", " : "");
		bh_elem_print(c->set, c->elems.v[i], out);
	}
	if (c->elems.n > ELEMS_SHOWN)
		bh_buf_printf(out, ", and %zu more", c->elems.n - ELEMS_SHOWN);
	bh_buf_puts(out, " }");
}

int bh_plan_print(const struct bh_plan *p, struct bh_buf *out)
{
	static const char *const families[] = {"inet", "bridge", "netdev"};
	static const char *const verbs[] = {
		[BH_DEL_TABLE] = "- table", [BH_ADD_TABLE] = "+ table", [BH_OWN_TABLE] = "+ owner of", [BH_FLUSH_RULES] = "- rules",
		[BH_DEL_ELEMS] = "- element", [BH_FLUSH_SET] = "- elements", [BH_DEL_SET] = "- set",
		[BH_DEL_CHAIN] = "- chain", [BH_DEL_COUNTER] = "- counter", [BH_ADD_COUNTER] = "+ counter",
		[BH_ADD_CHAIN] = "+ chain", [BH_ADD_SET] = "+ set", [BH_ADD_ELEMS] = "+ element",
		[BH_ADD_RULES] = "+ rules",
	};

	bh_vec_foreach(c, &p->changes) {
		bh_buf_printf(out, "%s %s", verbs[c->kind], families[c->family]);
		if (c->set)
			bh_buf_printf(out, " %s", c->set->name);
		else if (c->chain)
			bh_buf_printf(out, " %s", c->chain->name);
		else if (c->counter)
			bh_buf_printf(out, " %s", c->counter->name);
		else
			bh_buf_puts(out, " bulkhead");
		if (c->elems.n > 0)
			elems_print(c, out);
		if (c->kind == BH_FLUSH_RULES || c->kind == BH_ADD_RULES)
			bh_buf_printf(out, " (%zu)", c->chain->rules.n);
		bh_buf_puts(out, "\n");
	}
	return out->err;
}
