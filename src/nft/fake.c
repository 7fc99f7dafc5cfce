/* SPDX-License-Identifier: Apache-2.0 */
/* Tables in memory behind the kernel's door. A plan is tried on a copy, which takes the original's place when all of it went
 * well. What is refused, and with which error, follows net/netfilter/nf_tables_api.c; tests compare it with the kernel. */
#include "internal.h"

#include <errno.h>
#include <string.h>

struct fake {
	struct bh_nft nft;
	struct bh_ruleset *rules;
};

#define JUMP_STACK_SIZE 16	/* NFT_JUMP_STACK_SIZE */

#define COPY_NAMED(dst, src, copy)                                                                 \
	({                                                                                         \
		int copy_r_ = 0;                                                                   \
		bh_vec_foreach(item_, src) {                                                       \
			__typeof__((dst)->v) new_ = bh_vec_add(dst);                               \
			if (!new_ || copy(new_, item_) < 0)                                        \
				copy_r_ = -ENOMEM;                                                 \
		}                                                                                  \
		copy_r_;                                                                           \
	})

static int counter_copy(struct bh_counter *dst, const struct bh_counter *src)
{
	*dst = *src;
	return 0;
}

static struct bh_ruleset *ruleset_copy(const struct bh_ruleset *src)
{
	struct bh_ruleset *dst = calloc(1, sizeof(*dst));

	for (int f = 0; dst && f < BH_FAMILY_MAX; f++) {
		const struct bh_table *s = &src->tables[f];
		struct bh_table *d = &dst->tables[f];

		d->present = s->present;
		d->flags = s->flags;
		d->owner = s->owner;
		if (COPY_NAMED(&d->sets, &s->sets, bh_set_copy) < 0 || COPY_NAMED(&d->counters, &s->counters, counter_copy) < 0 ||
			COPY_NAMED(&d->chains, &s->chains, bh_chain_copy) < 0) {
			bh_ruleset_free(dst);
			return NULL;
		}
	}
	return dst;
}

/* ---- who refers to what */

static bool verdict_jumps(enum bh_verdict v)
{
	return v == BH_JUMP || v == BH_GOTO;
}

static bool elems_jump_to(const struct bh_elem *v, size_t n, const char *chain)
{
	for (size_t i = 0; i < n; i++)
		if (verdict_jumps(v[i].verdict) && strcmp(v[i].chain, chain) == 0)
			return true;
	return false;
}

static bool stmt_uses_set(const struct bh_stmt *s)
{
	return s->kind == BH_STMT_LOOKUP || s->kind == BH_STMT_VMAP || s->kind == BH_STMT_MAP_PRIORITY ||
	       s->kind == BH_STMT_UPDATE;
}

enum what { WHAT_CHAIN, WHAT_SET, WHAT_COUNTER };

static bool stmt_refers(const struct bh_stmt *s, enum what what, const char *name)
{
	switch (what) {
	case WHAT_CHAIN:
		return (s->kind == BH_STMT_VERDICT && verdict_jumps(s->verdict) && strcmp(s->chain, name) == 0) ||
		       (s->kind == BH_STMT_VMAP && elems_jump_to(s->elems.v, s->elems.n, name));
	case WHAT_SET:
		return stmt_uses_set(s) && strcmp(s->set, name) == 0;
	case WHAT_COUNTER:
		return s->kind == BH_STMT_COUNTER && strcmp(s->set, name) == 0;
	}
	return false;
}

static bool in_use(const struct bh_table *t, enum what what, const char *name)
{
	bh_vec_foreach(c, &t->chains)
		if (what != WHAT_CHAIN || strcmp(c->name, name) != 0)	/* a chain takes its own rules along */
			bh_vec_foreach(r, &c->rules)
				bh_vec_foreach(s, &r->stmts)
					if (stmt_refers(s, what, name))
						return true;
	bh_vec_foreach(set, &t->sets)
		if (what == WHAT_CHAIN && set->data == BH_DATA_VERDICT && elems_jump_to(set->elems.v, set->elems.n, name))
			return true;
	return false;
}

/* ---- what may refer to what */

static int verdict_check(const struct bh_table *t, enum bh_verdict v, const char *name)
{
	const struct bh_chain *c;

	if (!verdict_jumps(v))
		return 0;
	c = bh_table_chain(t, name);
	if (!c)
		return -ENOENT;
	return c->hook == BH_HOOK_NONE ? 0 : -EOPNOTSUPP;
}

static int elems_check(const struct bh_table *t, const struct bh_elem *const *v, size_t n, enum bh_data data)
{
	for (size_t i = 0; i < n && data == BH_DATA_VERDICT; i++) {
		int r = verdict_check(t, v[i]->verdict, v[i]->chain);

		if (r < 0)
			return r;
	}
	return 0;
}

static int set_use_check(const struct bh_table *t, const struct bh_stmt *s, enum bh_data data)
{
	const struct bh_set *set = bh_table_set(t, s->set);

	if (!set)
		return -ENOENT;
	if (set->data != data || bh_key_size(set->key, set->n_key) != bh_key_size(s->fields, s->n_fields))
		return -EINVAL;
	if (s->kind == BH_STMT_UPDATE && s->number && !(set->flags & BH_SET_TIMEOUT))
		return -EOPNOTSUPP;
	return 0;
}

static int stmt_check(const struct bh_table *t, const struct bh_stmt *s)
{
	enum bh_data data = s->kind == BH_STMT_VMAP	    ? BH_DATA_VERDICT :
			    s->kind == BH_STMT_MAP_PRIORITY ? BH_DATA_PRIORITY :
							      BH_DATA_NONE;
	int r = 0;

	if (stmt_uses_set(s) && *s->set)
		return set_use_check(t, s, data);
	if (s->kind == BH_STMT_VMAP)
		for (size_t i = 0; i < s->elems.n && r == 0; i++)
			r = verdict_check(t, s->elems.v[i].verdict, s->elems.v[i].chain);
	if (s->kind == BH_STMT_VERDICT)
		r = verdict_check(t, s->verdict, s->chain);
	if (s->kind == BH_STMT_COUNTER && !bh_table_counter(t, s->set))
		r = -ENOENT;
	return r;
}

/* ---- changes */

static int add_chain(struct bh_table *t, const struct bh_chain *chain)
{
	struct bh_chain *c;

	if (bh_table_chain(t, chain->name))
		return -EEXIST;
	c = bh_vec_add(&t->chains);
	if (!c)
		return -ENOMEM;
	*c = *chain;
	memset(&c->rules, 0, sizeof(c->rules));
	return 0;
}

static int add_set(struct bh_table *t, const struct bh_set *set)
{
	struct bh_set *s;

	if (bh_table_set(t, set->name))
		return -EEXIST;
	s = bh_vec_add(&t->sets);
	if (!s)
		return -ENOMEM;
	*s = *set;
	memset(&s->elems, 0, sizeof(s->elems));
	return 0;
}

static int add_counter(struct bh_table *t, const struct bh_counter *counter)
{
	struct bh_counter c = *counter;

	if (bh_table_counter(t, counter->name))
		return -EEXIST;
	c.packets = c.bytes = 0;
	return bh_vec_push(&t->counters, c);
}

static int elem_cmp(const void *a, const void *b)
{
	return memcmp(((const struct bh_elem *)a)->key, ((const struct bh_elem *)b)->key, BH_KEY_MAX);
}

static bool overlaps(const struct bh_set *s, const struct bh_elem *a, const struct bh_elem *b)
{
	if (s->flags & BH_SET_INTERVAL)
		return memcmp(a->key_end, b->key, sizeof(b->key)) >= 0;
	return memcmp(a->key, b->key, sizeof(b->key)) == 0;
}

static int add_elems(struct bh_table *t, const struct bh_change *c)
{
	static const uint8_t zero[BH_KEY_MAX];
	struct bh_set *s = bh_table_set(t, c->set->name);
	int r;

	if (!s)
		return -ENOENT;
	if (s->data != c->set->data || bh_key_size(s->key, s->n_key) != bh_key_size(c->set->key, c->set->n_key))
		return -EINVAL;
	r = elems_check(t, c->elems.v, c->elems.n, s->data);
	if (r < 0)
		return r;
	if (s->size && s->elems.n + c->elems.n > s->size)
		return -ENFILE;
	/* the end of an interval that begins a set (see encode_set.c) is there already */
	if ((s->flags & BH_SET_INTERVAL) && s->n_key == 1 && s->elems.n > 0 && c->elems.n > 0 &&
		memcmp(s->elems.v[0].key, zero, sizeof(zero)) != 0 && memcmp(c->elems.v[0]->key, zero, sizeof(zero)) != 0)
		return -EEXIST;
	for (size_t i = 0; i < c->elems.n; i++) {
		struct bh_elem e = *c->elems.v[i];

		e.packets = e.bytes = 0;
		if (bh_vec_push(&s->elems, e) < 0)
			return -ENOMEM;
	}
	if (s->elems.n > 1)
		qsort(s->elems.v, s->elems.n, sizeof(s->elems.v[0]), elem_cmp);
	for (size_t i = 1; i < s->elems.n; i++)
		if (overlaps(s, &s->elems.v[i - 1], &s->elems.v[i]))
			return -EEXIST;
	return 0;
}

static int del_elems(struct bh_table *t, const struct bh_change *c)
{
	struct bh_set *s = bh_table_set(t, c->set->name);

	if (!s)
		return -ENOENT;
	for (size_t i = 0; i < c->elems.n; i++) {
		struct bh_elem *e = bh_set_find(s, c->elems.v[i]->key);

		if (!e && (s->flags & BH_SET_DYNAMIC))
			continue;
		if (!e)
			return -ENOENT;
		memmove(e, e + 1, (size_t)(s->elems.v + s->elems.n - e - 1) * sizeof(*e));
		s->elems.n--;
	}
	return 0;
}

static int add_rules(struct bh_table *t, const struct bh_change *c)
{
	struct bh_chain *chain = bh_table_chain(t, c->chain->name), copy = {0};
	int r;

	if (!chain)
		return -ENOENT;
	bh_vec_foreach(rule, &c->chain->rules)
		bh_vec_foreach(s, &rule->stmts) {
			r = stmt_check(t, s);
			if (r < 0)
				return r;
		}
	if (bh_chain_copy(&copy, c->chain) < 0)
		return -ENOMEM;
	r = 0;
	bh_vec_foreach(rule, &copy.rules) {
		if (r == 0 && bh_vec_push(&chain->rules, *rule) == 0)
			memset(rule, 0, sizeof(*rule));	/* its statements have moved */
		else
			r = -ENOMEM;
	}
	bh_chain_clear(&copy);
	return r;
}

static int flush_rules(struct bh_table *t, const char *name)
{
	struct bh_chain *c = bh_table_chain(t, name), old;

	if (!c)
		return -ENOENT;
	old = *c;
	memset(&c->rules, 0, sizeof(c->rules));
	bh_chain_clear(&old);
	return 0;
}

#define REMOVE(vec, item)                                                                          \
	do {                                                                                       \
		memmove(item, (item) + 1, (size_t)((vec)->v + (vec)->n - (item) - 1) * sizeof(*(item))); \
		(vec)->n--;                                                                        \
	} while (0)

static int del_chain(struct bh_table *t, const char *name)
{
	struct bh_chain *c = bh_table_chain(t, name);

	if (!c)
		return -ENOENT;
	if (in_use(t, WHAT_CHAIN, name))
		return -EBUSY;
	bh_chain_clear(c);
	REMOVE(&t->chains, c);
	return 0;
}

static int del_set(struct bh_table *t, const char *name)
{
	struct bh_set *s = bh_table_set(t, name);

	if (!s)
		return -ENOENT;
	if (in_use(t, WHAT_SET, name))
		return -EBUSY;
	bh_set_clear(s);
	REMOVE(&t->sets, s);
	return 0;
}

static int del_counter(struct bh_table *t, const char *name)
{
	struct bh_counter *c = bh_table_counter(t, name);

	if (!c)
		return -ENOENT;
	if (in_use(t, WHAT_COUNTER, name))
		return -EBUSY;
	REMOVE(&t->counters, c);
	return 0;
}

static void table_clear(struct bh_table *t)
{
	bh_vec_foreach(s, &t->sets)
		bh_set_clear(s);
	bh_vec_foreach(c, &t->chains)
		bh_chain_clear(c);
	bh_vec_clear(&t->sets);
	bh_vec_clear(&t->chains);
	bh_vec_clear(&t->counters);
	memset(t, 0, sizeof(*t));
}

static int change(struct bh_table *t, const struct bh_change *c)
{
	struct bh_set *s;

	if (c->kind == BH_ADD_TABLE && !(t->flags & BH_TABLE_FOREIGN)) {
		if (!t->present)
			t->flags = c->table ? c->table->flags : 0;
		t->present = true;
		return 0;
	}
	if (!t->present)
		return -ENOENT;
	if (t->flags & BH_TABLE_FOREIGN)
		return -EPERM;
	switch (c->kind) {
	case BH_ADD_TABLE:
		break;
	case BH_OWN_TABLE:	/* nf_tables_updtable() */
		if ((t->flags & (BH_TABLE_OWNER | BH_TABLE_PERSIST)) != BH_TABLE_PERSIST)
			return -EOPNOTSUPP;
		t->flags = c->table->flags;
		return 0;
	case BH_ADD_COUNTER:
		return add_counter(t, c->counter);
	case BH_ADD_CHAIN:
		return add_chain(t, c->chain);
	case BH_ADD_SET:
		return add_set(t, c->set);
	case BH_FLUSH_RULES:
		return flush_rules(t, c->chain->name);
	case BH_DEL_ELEMS:
		return del_elems(t, c);
	case BH_FLUSH_SET:
		s = bh_table_set(t, c->set->name);
		if (s)
			s->elems.n = 0;
		return s ? 0 : -ENOENT;
	case BH_ADD_ELEMS:
		return add_elems(t, c);
	case BH_ADD_RULES:
		return add_rules(t, c);
	case BH_DEL_SET:
		return del_set(t, c->set->name);
	case BH_DEL_CHAIN:
		return del_chain(t, c->chain->name);
	case BH_DEL_COUNTER:
		return del_counter(t, c->counter->name);
	case BH_DEL_TABLE:
		table_clear(t);
		return 0;
	}
	return -EINVAL;
}

/* ---- the whole, after the last change */

static int depth_check(const struct bh_table *t, const struct bh_chain *c, unsigned level);

static int jump_check(const struct bh_table *t, enum bh_verdict v, const char *name, unsigned level)
{
	const struct bh_chain *c = verdict_jumps(v) ? bh_table_chain(t, name) : NULL;

	return c ? depth_check(t, c, level) : 0;
}

static int vmap_check(const struct bh_table *t, const struct bh_stmt *s, unsigned level)
{
	const struct bh_set *set = *s->set ? bh_table_set(t, s->set) : NULL;
	const struct bh_elem *v = set ? set->elems.v : s->elems.v;
	size_t n = set ? set->elems.n : s->elems.n;
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = jump_check(t, v[i].verdict, v[i].chain, level);
	return r;
}

/* nft_chain_validate(): no way through the chains may be deeper than the jump stack, so none may be a loop. */
static int depth_check(const struct bh_table *t, const struct bh_chain *c, unsigned level)
{
	int r = 0;

	if (level >= JUMP_STACK_SIZE)
		return -EMLINK;
	bh_vec_foreach(rule, &c->rules)
		bh_vec_foreach(s, &rule->stmts) {
			if (s->kind == BH_STMT_VERDICT)
				r = jump_check(t, s->verdict, s->chain, level + 1);
			else if (s->kind == BH_STMT_VMAP)
				r = vmap_check(t, s, level + 1);
			if (r < 0)
				return r;
		}
	return 0;
}

static int ruleset_check(const struct bh_ruleset *rs, struct bh_error *err)
{
	for (int f = 0; f < BH_FAMILY_MAX; f++)
		bh_vec_foreach(c, &rs->tables[f].chains)
			if (c->hook != BH_HOOK_NONE && depth_check(&rs->tables[f], c, 0) < 0)
				return bh_fail(err, -EMLINK, "transaction: %s", strerror(EMLINK));
	return 0;
}

/* ---- the door */

static int fake_apply(struct bh_nft *n, const struct bh_plan *plan, struct bh_error *err)
{
	struct fake *fake = (struct fake *)n;
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *rs = ruleset_copy(fake->rules), *old = NULL;
	_cleanup_batch_ struct nft_batch scratch = {.pretend = true};
	size_t i = 0;
	int r;

	if (!rs)
		return bh_fail(err, -ENOMEM, "no memory");
	/* what cannot be said in netlink is refused here too */
	r = nft_encode_plan(&scratch, plan, err);
	if (r < 0)
		return r;
	bh_vec_foreach(c, &plan->changes) {
		r = change(&rs->tables[c->family], c);
		if (r < 0)
			return bh_fail(err, r, "change %zu (%s %s): %s", i + 1, nft_family_name(c->family),
				c->set	     ? c->set->name :
				c->chain     ? c->chain->name :
				c->counter   ? c->counter->name :
					       NFT_TABLE_NAME,
				strerror(-r));
		i++;
	}
	r = ruleset_check(rs, err);
	if (r < 0)
		return r;
	bh_ruleset_sort(rs);
	old = fake->rules;
	fake->rules = bh_take(rs);
	return 0;
}

static int fake_observe(struct bh_nft *n, struct bh_ruleset **ret, struct bh_error *err)
{
	struct bh_ruleset *rs = ruleset_copy(((struct fake *)n)->rules);

	if (!rs)
		return bh_fail(err, -ENOMEM, "no memory");
	*ret = rs;
	return 0;
}

static void fake_free(struct bh_nft *n)
{
	bh_ruleset_free(((struct fake *)n)->rules);
	free(n);
}

static const struct bh_nft_ops fake_ops = {
	.observe = fake_observe,
	.apply = fake_apply,
	.counters = fake_observe,
	.free = fake_free,
};

int bh_nft_fake_new(struct bh_nft **ret)
{
	struct fake *f = calloc(1, sizeof(*f));

	if (f)
		f->rules = calloc(1, sizeof(*f->rules));
	if (!f || !f->rules) {
		free(f);
		return -ENOMEM;
	}
	f->nft.ops = &fake_ops;
	*ret = &f->nft;
	return 0;
}
