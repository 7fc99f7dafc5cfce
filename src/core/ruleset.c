/* SPDX-License-Identifier: Apache-2.0 */
/* The rule set as data: ownership, look-up, canonical order, equality. */
#include <bulkhead/ruleset.h>

#include <errno.h>
#include <string.h>

void bh_set_clear(struct bh_set *s)
{
	bh_vec_clear(&s->elems);
	memset(s, 0, sizeof(*s));
}

void bh_stmt_clear(struct bh_stmt *s)
{
	bh_vec_clear(&s->elems);
	memset(s, 0, sizeof(*s));
}

static void rule_clear(struct bh_nft_rule *r)
{
	bh_vec_foreach(s, &r->stmts)
		bh_stmt_clear(s);
	bh_vec_clear(&r->stmts);
}

void bh_chain_clear(struct bh_chain *c)
{
	bh_vec_foreach(r, &c->rules)
		rule_clear(r);
	bh_vec_clear(&c->rules);
	memset(c, 0, sizeof(*c));
}

void bh_ruleset_free(struct bh_ruleset *r)
{
	if (!r)
		return;
	for (size_t f = 0; f < BH_FAMILY_MAX; f++) {
		struct bh_table *t = &r->tables[f];

		bh_vec_foreach(s, &t->sets)
			bh_set_clear(s);
		bh_vec_clear(&t->sets);
		bh_vec_clear(&t->counters);
		bh_vec_foreach(c, &t->chains)
			bh_chain_clear(c);
		bh_vec_clear(&t->chains);
	}
	free(r);
}

/* Copies a vector of elements into an empty one. */
#define ELEMS_COPY(dst, src)                                                                       \
	({                                                                                         \
		int copy_r_ = 0;                                                                   \
		if ((src)->n > 0) {                                                                \
			copy_r_ = bh_vec_reserve_(&(dst)->v, &(dst)->cap, (src)->n,                \
				sizeof(*(dst)->v));                                                \
			if (copy_r_ == 0) {                                                        \
				memcpy((dst)->v, (src)->v, (src)->n * sizeof(*(dst)->v));          \
				(dst)->n = (src)->n;                                               \
			}                                                                          \
		}                                                                                  \
		copy_r_;                                                                           \
	})

int bh_set_copy(struct bh_set *dst, const struct bh_set *src)
{
	*dst = *src;
	memset(&dst->elems, 0, sizeof(dst->elems));
	if (ELEMS_COPY(&dst->elems, &src->elems) < 0) {
		bh_set_clear(dst);
		return -ENOMEM;
	}
	return 0;
}

static int rule_copy(struct bh_nft_rule *dst, const struct bh_nft_rule *src)
{
	bh_vec_foreach(s, &src->stmts) {
		struct bh_stmt *n = bh_vec_add(&dst->stmts);

		if (!n)
			return -ENOMEM;
		*n = *s;
		memset(&n->elems, 0, sizeof(n->elems));
		if (ELEMS_COPY(&n->elems, &s->elems) < 0)
			return -ENOMEM;
	}
	return 0;
}

int bh_chain_copy(struct bh_chain *dst, const struct bh_chain *src)
{
	*dst = *src;
	memset(&dst->rules, 0, sizeof(dst->rules));
	bh_vec_foreach(r, &src->rules) {
		struct bh_nft_rule *n = bh_vec_add(&dst->rules);

		if (!n || rule_copy(n, r) < 0) {
			bh_chain_clear(dst);
			return -ENOMEM;
		}
	}
	return 0;
}

/* Linear on purpose: it is also called while a table is being built and not sorted yet. */
#define FIND_NAMED(vec, want)                                                                      \
	({                                                                                         \
		__typeof__((vec)->v[0]) *found_ = NULL;                                              \
		bh_vec_foreach(item_, vec)                                                         \
			if (strcmp(item_->name, want) == 0) {                                      \
				found_ = item_;                                                    \
				break;                                                             \
			}                                                                          \
		found_;                                                                            \
	})

struct bh_set *bh_table_set(const struct bh_table *t, const char *name)
{
	return FIND_NAMED(&t->sets, name);
}

struct bh_chain *bh_table_chain(const struct bh_table *t, const char *name)
{
	return FIND_NAMED(&t->chains, name);
}

struct bh_counter *bh_table_counter(const struct bh_table *t, const char *name)
{
	return FIND_NAMED(&t->counters, name);
}

struct bh_elem *bh_set_find(const struct bh_set *s, const void *key)
{
	size_t size = bh_key_size(s->key, s->n_key), lo = 0, hi = s->elems.n;

	if (size > BH_KEY_MAX)
		return NULL;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = memcmp(key, s->elems.v[mid].key, size);

		if (c == 0)
			return &s->elems.v[mid];
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

static int elem_cmp(const void *a, const void *b)
{
	const struct bh_elem *x = a, *y = b;
	int c = memcmp(x->key, y->key, sizeof(x->key));

	return c ? c : memcmp(x->key_end, y->key_end, sizeof(x->key_end));
}

/* Every named object begins with its name. */
static int name_cmp(const void *a, const void *b)
{
	return strncmp(a, b, BH_NAME);
}

_Static_assert(offsetof(struct bh_set, name) == 0, "name_cmp");
_Static_assert(offsetof(struct bh_chain, name) == 0, "name_cmp");
_Static_assert(offsetof(struct bh_counter, name) == 0, "name_cmp");

#define SORT(vec, cmp)                                                                             \
	do {                                                                                       \
		if ((vec)->n > 1)                                                                  \
			qsort((vec)->v, (vec)->n, sizeof(*(vec)->v), cmp);                         \
	} while (0)

#define RANKED_MIN 64	/* elements: fewer are sorted as they are */

/* An element, and the first eight of the bytes in which the keys of its set differ at all: they tell nearly all of them apart. */
struct ranked {
	uint64_t rank;
	const struct bh_elem *e;
};

static int ranked_cmp(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;
	int c;

	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	c = elem_cmp(x->e, y->e);
	return c ? c : (x->e > y->e) - (x->e < y->e);
}

/* Where the keys differ, eight places at most. Returns how many. */
static size_t places_find(const struct bh_elem *v, size_t n, uint8_t places[8])
{
	uint64_t differs[BH_KEY_MAX / 8] = {0}, first[BH_KEY_MAX / 8], key[BH_KEY_MAX / 8];
	size_t found = 0;

	memcpy(first, v[0].key, sizeof(first));
	for (size_t i = 1; i < n; i++) {
		memcpy(key, v[i].key, sizeof(key));
		for (size_t k = 0; k < BH_ARRAY_SIZE(key); k++)
			differs[k] |= key[k] ^ first[k];
	}
	for (uint8_t i = 0; i < BH_KEY_MAX && found < 8; i++)
		if (((const uint8_t *)differs)[i])
			places[found++] = i;
	return found;
}

/* As SORT() does, in a fraction of its time: what is compared are numbers that lie side by side. False for no memory. */
static bool sort_ranked(struct bh_elem **v, size_t *cap, size_t n)
{
	_cleanup_free_ struct ranked *by = malloc(n * sizeof(*by));
	struct bh_elem *sorted = NULL;
	bool already = true;
	uint8_t places[8];
	size_t n_places;

	if (!by)
		return false;
	n_places = places_find(*v, n, places);
	for (size_t i = 0; i < n; i++) {
		by[i] = (struct ranked){.e = &(*v)[i]};
		for (size_t k = 0; k < n_places; k++)
			by[i].rank = by[i].rank << 8 | (*v)[i].key[places[k]];
		already = already && (i == 0 || ranked_cmp(&by[i - 1], &by[i]) <= 0);
	}
	if (already)
		return true;
	sorted = malloc(n * sizeof(*sorted));
	if (!sorted)
		return false;
	qsort(by, n, sizeof(*by), ranked_cmp);
	for (size_t i = 0; i < n; i++)
		sorted[i] = *by[i].e;
	free(*v);
	*v = sorted;
	*cap = n;
	return true;
}

void bh_set_sort(struct bh_set *s)
{
	if (s->elems.n < RANKED_MIN || !sort_ranked(&s->elems.v, &s->elems.cap, s->elems.n))
		SORT(&s->elems, elem_cmp);
}

static void chain_sort(struct bh_chain *c)
{
	bh_vec_foreach(r, &c->rules)
		bh_vec_foreach(s, &r->stmts)
			SORT(&s->elems, elem_cmp);
}

void bh_ruleset_sort(struct bh_ruleset *r)
{
	for (size_t f = 0; f < BH_FAMILY_MAX; f++) {
		struct bh_table *t = &r->tables[f];

		SORT(&t->sets, name_cmp);
		SORT(&t->counters, name_cmp);
		SORT(&t->chains, name_cmp);
		bh_vec_foreach(s, &t->sets)
			bh_set_sort(s);
		bh_vec_foreach(c, &t->chains)
			chain_sort(c);
	}
}

static bool verdict_equal(enum bh_verdict va, const char *ca, enum bh_verdict vb, const char *cb)
{
	if (va != vb)
		return false;
	return (va != BH_JUMP && va != BH_GOTO) || strcmp(ca, cb) == 0;
}

bool bh_elem_equal(const struct bh_elem *a, const struct bh_elem *b, enum bh_data data)
{
	if (memcmp(a->key, b->key, sizeof(a->key)) != 0 ||
		memcmp(a->key_end, b->key_end, sizeof(a->key_end)) != 0)
		return false;
	switch (data) {
	case BH_DATA_NONE:
		return true;
	case BH_DATA_VERDICT:
		return verdict_equal(a->verdict, a->chain, b->verdict, b->chain);
	case BH_DATA_PRIORITY:
		return a->value == b->value;
	}
	return false;
}

static bool fields_equal(const enum bh_field *a, size_t na, const enum bh_field *b, size_t nb)
{
	return na == nb && (na == 0 || memcmp(a, b, na * sizeof(*a)) == 0);
}

bool bh_set_same_type(const struct bh_set *a, const struct bh_set *b)
{
	if (a->data != b->data || a->flags != b->flags || a->size != b->size ||
		a->timeout_ms != b->timeout_ms || a->n_key != b->n_key)
		return false;
	/* The kernel knows widths and nft datatypes only: iifname or oifname, saddr or daddr are one type. */
	for (size_t i = 0; i < a->n_key; i++) {
		const struct bh_field_info *x = bh_field_info(a->key[i]), *y = bh_field_info(b->key[i]);

		if (x->size != y->size || !bh_streq(x->type, y->type))
			return false;
		if (!x->type && a->key[i] != b->key[i])
			return false;
	}
	return true;
}

static bool elems_equal(const struct bh_stmt *a, const struct bh_stmt *b)
{
	enum bh_data data = a->kind == BH_STMT_VMAP	   ? BH_DATA_VERDICT :
			    a->kind == BH_STMT_MAP_PRIORITY ? BH_DATA_PRIORITY :
							      BH_DATA_NONE;

	if (a->elems.n != b->elems.n)
		return false;
	for (size_t i = 0; i < a->elems.n; i++)
		if (!bh_elem_equal(&a->elems.v[i], &b->elems.v[i], data))
			return false;
	return true;
}

static bool match_equal(const struct bh_stmt *a, const struct bh_stmt *b)
{
	size_t size = bh_field_info(a->fields[0])->size;

	if (a->fields[0] != b->fields[0] || a->op != b->op || memcmp(a->value, b->value, size) != 0)
		return false;
	return (a->op != BH_MASK_ANY && a->op != BH_MASK_EQ) || memcmp(a->mask, b->mask, size) == 0;
}

static bool stmt_equal(const struct bh_stmt *a, const struct bh_stmt *b)
{
	if (a->kind != b->kind)
		return false;
	if (a->kind == BH_STMT_MATCH)
		return match_equal(a, b);
	if (!fields_equal(a->fields, a->n_fields, b->fields, b->n_fields))
		return false;
	switch (a->kind) {
	case BH_STMT_LOOKUP:
		if (a->op != b->op)
			return false;
		/* fall through */
	case BH_STMT_VMAP:
	case BH_STMT_MAP_PRIORITY:
		return strcmp(a->set, b->set) == 0 && (*a->set || elems_equal(a, b));
	case BH_STMT_SET_PRIORITY:
	case BH_STMT_LIMIT:
	case BH_STMT_REJECT:
		return a->number == b->number;
	case BH_STMT_COUNTER:
	case BH_STMT_FWD:
		return strcmp(a->set, b->set) == 0;
	case BH_STMT_LOG:
		return a->number == b->number && strcmp(a->prefix, b->prefix) == 0;
	case BH_STMT_VERDICT:
		return verdict_equal(a->verdict, a->chain, b->verdict, b->chain);
	case BH_STMT_UPDATE:
		return a->number == b->number && a->meter == b->meter && (a->meter == BH_METER_NONE || a->meter_n == b->meter_n) &&
			a->take_out == b->take_out && strcmp(a->set, b->set) == 0;
	case BH_STMT_MATCH:
	case BH_STMT_FOREIGN:
		return false;
	}
	return false;
}

bool bh_rules_equal(const struct bh_chain *a, const struct bh_chain *b)
{
	if (a->rules.n != b->rules.n)
		return false;
	for (size_t i = 0; i < a->rules.n; i++) {
		const struct bh_nft_rule *x = &a->rules.v[i], *y = &b->rules.v[i];

		if (x->stmts.n != y->stmts.n)
			return false;
		for (size_t k = 0; k < x->stmts.n; k++)
			if (!stmt_equal(&x->stmts.v[k], &y->stmts.v[k]))
				return false;
	}
	return true;
}
