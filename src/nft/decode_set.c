/* SPDX-License-Identifier: Apache-2.0 */
/* Sets, maps and elements of the kernel's as the IR. */
#include "attr.h"
#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TYPE_CLASSID 23
#define TYPE_INTEGER 4
#define TYPE_BITS 6

/* "integer" says nothing of what is in it: which of our fields without a datatype of its own has this width? */
static enum bh_field integer_field(size_t size, bool padded)
{
	enum bh_field found = BH_FIELD_NONE;

	for (enum bh_field f = BH_FIELD_MAX - 1; f > BH_FIELD_NONE; f--) {
		size_t own = bh_field_info(f)->size;

		if (!bh_field_info(f)->type && (own == size || (padded && nft_padded(own) == size && bh_field_info(found)->size != size)))
			found = f;
	}
	return found;
}

/* The fields that the type's numbers stand for; those without a datatype of their own are told by their width. */
static bool key_fields(uint32_t type, uint32_t key_len, struct bh_set *set)
{
	size_t n = 0, others = 0, integers = 0;
	struct bh_set one = {0};

	for (uint32_t t = type; t; t >>= TYPE_BITS)
		n++;
	if (n == 0 || n > BH_FIELDS_MAX)
		return false;
	for (size_t i = 0; i < n; i++) {
		uint32_t number = type >> (TYPE_BITS * (n - 1 - i)) & ((1 << TYPE_BITS) - 1);

		set->key[i] = BH_FIELD_NONE;
		if (number == TYPE_INTEGER) {
			integers++;
			continue;
		}
		if (nft_key_from_type(number, &one) < 0)
			return false;
		set->key[i] = one.key[0];
		others += nft_padded(bh_field_info(one.key[0])->size);
	}
	set->n_key = n;
	if (integers == 0)
		return true;
	if (integers > 1 || others >= key_len)	/* two widths cannot be told from their sum */
		return false;
	for (size_t i = 0; i < n; i++)
		if (set->key[i] == BH_FIELD_NONE)
			set->key[i] = integer_field(key_len - others, n > 1);
	return true;
}

static int expr_kind(const struct nlattr *expr, struct bh_set *set)
{
	const struct nlattr *tb[NFTA_EXPR_MAX + 1];

	nft_attr_nested(expr, tb, NFTA_EXPR_MAX);
	if (!tb[NFTA_EXPR_NAME] || strncmp(mnl_attr_get_payload(tb[NFTA_EXPR_NAME]), "counter",
				mnl_attr_get_payload_len(tb[NFTA_EXPR_NAME])) != 0)
		return -ENOENT;
	set->flags |= BH_SET_COUNTER;
	return 0;
}

/* What each element carries: nothing or one counter, else the set is not of our kind. */
static bool set_exprs(const struct nlattr *single, const struct nlattr *list, struct bh_set *set)
{
	const struct nlattr *e;
	size_t n = 0;

	if (!list)
		return !single || expr_kind(single, set) == 0;
	mnl_attr_for_each_nested(e, list)
		if (++n > 1 || expr_kind(e, set) < 0)
			return false;
	return true;
}

static bool set_type(const struct nlattr **tb, struct nft_seen_set *s)
{
	uint32_t flags = s->kernel_flags, type = nft_attr_u32(tb[NFTA_SET_DATA_TYPE]);
	bool known = true;

	s->set.flags = (flags & NFT_SET_INTERVAL ? BH_SET_INTERVAL : 0u) | (flags & NFT_SET_EVAL ? BH_SET_DYNAMIC : 0u) |
		       (flags & NFT_SET_TIMEOUT ? BH_SET_TIMEOUT : 0u);
	if (flags & NFT_SET_OBJECT)
		known = false;
	if (flags & NFT_SET_MAP) {
		if (type == NFT_DATA_VERDICT)
			s->set.data = BH_DATA_VERDICT;
		else if (type == TYPE_CLASSID && nft_attr_u32(tb[NFTA_SET_DATA_LEN]) == sizeof(uint32_t))
			s->set.data = BH_DATA_PRIORITY;
		else
			known = false;
	}
	if (!key_fields(nft_attr_u32(tb[NFTA_SET_KEY_TYPE]), s->key_len, &s->set) ||
		nft_key_len(s->set.key, s->set.n_key) != s->key_len) {
		s->set.n_key = 0;
		/* the rule that an anonymous set is part of tells its fields; without them only intervals cannot be read */
		known = known && s->anonymous && !(flags & NFT_SET_INTERVAL);
	}
	if (s->key_len == 0 || s->key_len > BH_KEY_MAX)
		known = false;
	return set_exprs(tb[NFTA_SET_EXPR], tb[NFTA_SET_EXPRESSIONS], &s->set) && known;
}

int nft_decode_set(const struct nlmsghdr *nlh, struct nft_seen_set *ret)
{
	const struct nlattr *tb[NFTA_SET_MAX + 1] = {0}, *desc[NFTA_SET_DESC_MAX + 1] = {0};

	memset(ret, 0, sizeof(*ret));
	if (nft_attr_message(nlh, tb, NFTA_SET_MAX) < 0 || nft_attr_name(tb[NFTA_SET_NAME], ret->name, sizeof(ret->name)) < 0 || !tb[NFTA_SET_KEY_LEN])
		return -EBADMSG;
	/* a longer name is not ours; cut short it equals nothing that we would write */
	snprintf(ret->set.name, sizeof(ret->set.name), "%.*s", BH_NAME - 1, ret->name);
	ret->kernel_flags = nft_attr_u32(tb[NFTA_SET_FLAGS]);
	ret->key_len = nft_attr_u32(tb[NFTA_SET_KEY_LEN]);
	ret->anonymous = ret->kernel_flags & NFT_SET_ANONYMOUS;
	ret->set.timeout_ms = nft_attr_u64(tb[NFTA_SET_TIMEOUT]);
	if (tb[NFTA_SET_DESC]) {
		nft_attr_nested(tb[NFTA_SET_DESC], desc, NFTA_SET_DESC_MAX);
		ret->set.size = nft_attr_u32(desc[NFTA_SET_DESC_SIZE]);
	}
	ret->known = set_type(tb, ret) && strlen(ret->name) < BH_NAME;
	if (!ret->known) {
		ret->set.n_key = 0;
		ret->set.data = BH_DATA_NONE;
	}
	return 0;
}

static bool elem_data(const struct nlattr *data, const struct nft_seen_set *s, struct bh_elem *e)
{
	const struct nlattr *tb[NFTA_DATA_MAX + 1], *v[NFTA_VERDICT_MAX + 1];

	nft_attr_nested(data, tb, NFTA_DATA_MAX);
	if (s->set.data == BH_DATA_PRIORITY) {
		if (!tb[NFTA_DATA_VALUE] || mnl_attr_get_payload_len(tb[NFTA_DATA_VALUE]) != sizeof(e->value))
			return false;
		memcpy(&e->value, mnl_attr_get_payload(tb[NFTA_DATA_VALUE]), sizeof(e->value));
		return true;
	}
	if (s->set.data != BH_DATA_VERDICT || !tb[NFTA_DATA_VERDICT])
		return false;
	nft_attr_nested(tb[NFTA_DATA_VERDICT], v, NFTA_VERDICT_MAX);
	e->verdict = nft_verdict_from((int32_t)nft_attr_u32(v[NFTA_VERDICT_CODE]));
	if (e->verdict != BH_JUMP && e->verdict != BH_GOTO)
		return e->verdict != BH_VERDICT_NONE;
	/* a chain with a longer name is not ours; "" equals no jump that we would write */
	if (nft_attr_name(v[NFTA_VERDICT_CHAIN], e->chain, sizeof(e->chain)) < 0)
		e->chain[0] = '\0';
	return true;
}

static bool elem_key(const struct nlattr *attr, size_t len, uint8_t *ret)
{
	const struct nlattr *tb[NFTA_DATA_MAX + 1];

	nft_attr_nested(attr, tb, NFTA_DATA_MAX);
	if (!tb[NFTA_DATA_VALUE] || mnl_attr_get_payload_len(tb[NFTA_DATA_VALUE]) != len)
		return false;
	memcpy(ret, mnl_attr_get_payload(tb[NFTA_DATA_VALUE]), len);
	return true;
}

static void elem_counter(const struct nlattr *expr, struct bh_elem *e)
{
	const struct nlattr *tb[NFTA_EXPR_MAX + 1], *c[NFTA_COUNTER_MAX + 1];

	nft_attr_nested(expr, tb, NFTA_EXPR_MAX);
	if (!tb[NFTA_EXPR_NAME] || !tb[NFTA_EXPR_DATA] ||
		strncmp(mnl_attr_get_payload(tb[NFTA_EXPR_NAME]), "counter", mnl_attr_get_payload_len(tb[NFTA_EXPR_NAME])) != 0)
		return;
	nft_attr_nested(tb[NFTA_EXPR_DATA], c, NFTA_COUNTER_MAX);
	e->packets = nft_attr_u64(c[NFTA_COUNTER_PACKETS]);
	e->bytes = nft_attr_u64(c[NFTA_COUNTER_BYTES]);
}

static int elem_decode(const struct nlattr *attr, struct nft_seen_set *s)
{
	const struct nlattr *tb[NFTA_SET_ELEM_MAX + 1], *expr;
	struct bh_elem *e = bh_vec_add(&s->set.elems);
	uint32_t flags;

	if (!e)
		return -ENOMEM;
	if (bh_vec_push(&s->ends, false) < 0) {
		s->set.elems.n--;
		return -ENOMEM;
	}
	nft_attr_nested(attr, tb, NFTA_SET_ELEM_MAX);
	flags = nft_attr_u32(tb[NFTA_SET_ELEM_FLAGS]);
	if ((flags & NFT_SET_ELEM_CATCHALL) || !tb[NFTA_SET_ELEM_KEY] || !elem_key(tb[NFTA_SET_ELEM_KEY], s->key_len, e->key)) {
		s->set.elems.n--;
		s->ends.n--;
		s->known = false;	/* not of our making */
		return 0;
	}
	if (tb[NFTA_SET_ELEM_KEY_END] && !elem_key(tb[NFTA_SET_ELEM_KEY_END], s->key_len, e->key_end))
		s->known = false;
	if (flags & NFT_SET_ELEM_INTERVAL_END) {
		s->ends.v[s->ends.n - 1] = true;
		return 0;
	}
	if (s->set.data != BH_DATA_NONE && (!tb[NFTA_SET_ELEM_DATA] || !elem_data(tb[NFTA_SET_ELEM_DATA], s, e)))
		s->known = false;
	if (tb[NFTA_SET_ELEM_EXPR])
		elem_counter(tb[NFTA_SET_ELEM_EXPR], e);
	else if (tb[NFTA_SET_ELEM_EXPRESSIONS])
		mnl_attr_for_each_nested(expr, tb[NFTA_SET_ELEM_EXPRESSIONS])
			elem_counter(expr, e);
	return 0;
}

int nft_decode_elems(const struct nlmsghdr *nlh, struct nft_seen_set *set)
{
	const struct nlattr *list, *attr;
	int r;

	if (!set->known)
		return 0;
	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(struct nfgenmsg))
		return -EBADMSG;
	mnl_attr_for_each(list, nlh, sizeof(struct nfgenmsg)) {
		if (mnl_attr_get_type(list) != NFTA_SET_ELEM_LIST_ELEMENTS)
			continue;
		mnl_attr_for_each_nested(attr, list) {
			r = elem_decode(attr, set);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

struct end {
	const struct bh_elem *elem;
	bool closes;
};

static int end_cmp(const void *a, const void *b)
{
	const struct end *x = a, *y = b;
	int c = memcmp(x->elem->key, y->elem->key, sizeof(x->elem->key));

	return c ? c : (int)y->closes - (int)x->closes;	/* one interval closes where the next opens */
}

/* The key before KEY; KEY is not the first. */
static void key_before(const uint8_t *key, size_t len, uint8_t *ret)
{
	memcpy(ret, key, len);
	for (size_t i = len; i-- > 0;)
		if (ret[i]-- != 0)
			return;
}

static int intervals_join(const struct end *ends, size_t n, size_t len, struct bh_set *ret)
{
	bool open = false;

	for (size_t i = 0; i < n; i++) {
		if (open)
			key_before(ends[i].elem->key, len, ret->elems.v[ret->elems.n - 1].key_end);
		open = !ends[i].closes;
		if (open && bh_vec_push(&ret->elems, *ends[i].elem) < 0)
			return -ENOMEM;
	}
	if (open)	/* up to the last key there is */
		memset(ret->elems.v[ret->elems.n - 1].key_end, 0xff, len);
	return 0;
}

static int intervals_decode(struct nft_seen_set *s)
{
	struct bh_set joined = {0};
	size_t n = s->set.elems.n;
	struct end *ends = calloc(n, sizeof(*ends));
	int r;

	if (!ends)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		ends[i] = (struct end){.elem = &s->set.elems.v[i], .closes = s->ends.v[i]};
	qsort(ends, n, sizeof(*ends), end_cmp);
	r = intervals_join(ends, n, s->key_len, &joined);
	free(ends);
	bh_vec_clear(&s->set.elems);
	s->set.elems.v = joined.elems.v;
	s->set.elems.n = joined.elems.n;
	s->set.elems.cap = joined.elems.cap;
	return r;
}

int nft_decode_intervals(struct nft_seen_set *s)
{
	int r = 0;

	if (!(s->kernel_flags & NFT_SET_INTERVAL) || s->set.n_key == 0 || s->set.elems.n == 0)
		return 0;
	if (!(s->kernel_flags & NFT_SET_CONCAT) || s->set.n_key == 1)
		r = intervals_decode(s);
	bh_vec_foreach(e, &s->set.elems) {
		nft_key_swap(s->set.key, s->set.n_key, e->key);
		nft_key_swap(s->set.key, s->set.n_key, e->key_end);
	}
	return r;
}

void nft_seen_sets_clear(struct nft_seen_sets *s)
{
	bh_vec_foreach(i, &s->v) {
		bh_set_clear(&i->set);
		bh_vec_clear(&i->ends);
	}
	bh_vec_clear(&s->v);
}

static int seen_cmp(const void *a, const void *b)
{
	return strcmp(((const struct nft_seen_set *)a)->name, ((const struct nft_seen_set *)b)->name);
}

void nft_seen_sets_sort(struct nft_seen_sets *s)
{
	if (s->v.n > 1)
		qsort(s->v.v, s->v.n, sizeof(s->v.v[0]), seen_cmp);
}

static int seen_name_cmp(const void *name, const void *set)
{
	return strcmp(name, ((const struct nft_seen_set *)set)->name);
}

const struct nft_seen_set *nft_seen_set_find(const struct nft_seen_sets *s, const char *name)
{
	return s->v.n ? bsearch(name, s->v.v, s->v.n, sizeof(s->v.v[0]), seen_name_cmp) : NULL;
}
