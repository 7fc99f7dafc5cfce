/* SPDX-License-Identifier: Apache-2.0 */
/* Sets, maps and their elements as netlink messages. User data is what nft 1.0.6 writes, so that it lists our sets as if
 * it had made them. */
#include "internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libnftnl/expr.h>
#include <libnftnl/set.h>
#include <libnftnl/udata.h>
#include <string.h>

/* nft's enum expr_types (include/expression.h of 1.0.6), as its typeof user data has them. */
enum { EXPR_PAYLOAD = 7, EXPR_META = 9, EXPR_CONCAT = 13 };
#define TYPE_CLASSID 23
#define TYPE_VERDICT 0xffffff00	/* NFT_DATA_VERDICT */
#define BYTEORDER_HOST 1

static bool field_typeof(struct nftnl_udata_buf *u, enum bh_field f)
{
	const struct nft_load *l = nft_field_load(f);
	struct nftnl_udata *nest;
	bool ok;

	if (l->source == NFT_FROM_META) {
		ok = nftnl_udata_put_u32(u, NFTNL_UDATA_SET_TYPEOF_EXPR, EXPR_META);
		nest = nftnl_udata_nest_start(u, NFTNL_UDATA_SET_TYPEOF_DATA);
		ok = ok && nftnl_udata_put_u32(u, 0, l->key);
		nftnl_udata_nest_end(u, nest);
		return ok;
	}
	if (l->source != NFT_FROM_PAYLOAD)
		return false;
	ok = nftnl_udata_put_u32(u, NFTNL_UDATA_SET_TYPEOF_EXPR, EXPR_PAYLOAD);
	nest = nftnl_udata_nest_start(u, NFTNL_UDATA_SET_TYPEOF_DATA);
	ok = ok && nftnl_udata_put_u32(u, 0, l->desc) && nftnl_udata_put_u32(u, 1, l->desc_field);
	if (l->desc == 0)	/* @th,64,128 */
		ok = ok && nftnl_udata_put_u32(u, 2, l->key + 1u) && nftnl_udata_put_u32(u, 3, l->offset * 8u);
	if (!bh_field_info(f)->type)
		ok = ok && nftnl_udata_put_u32(u, 4, bh_field_info(f)->size * 8u);
	nftnl_udata_nest_end(u, nest);
	return ok;
}

static bool key_typeof(struct nftnl_udata_buf *u, const struct bh_set *set, bool by_typeof)
{
	struct nftnl_udata *nest = nftnl_udata_nest_start(u, NFTNL_UDATA_SET_KEY_TYPEOF), *data, *field;
	bool ok = true;

	if (set->n_key == 1) {
		ok = field_typeof(u, set->key[0]);
	} else {
		ok = nftnl_udata_put_u32(u, NFTNL_UDATA_SET_TYPEOF_EXPR, EXPR_CONCAT);
		data = nftnl_udata_nest_start(u, NFTNL_UDATA_SET_TYPEOF_DATA);
		for (size_t i = 0; i < set->n_key && by_typeof && ok; i++) {
			field = nftnl_udata_nest_start(u, (uint8_t)i);
			ok = field_typeof(u, set->key[i]);
			nftnl_udata_nest_end(u, field);
		}
		nftnl_udata_nest_end(u, data);
	}
	nftnl_udata_nest_end(u, nest);
	return ok;
}

static bool set_userdata(struct nftnl_udata_buf *u, const struct bh_set *set, bool anonymous)
{
	bool ok, by_typeof = false;

	/* an anonymous set is listed in the words of its rule */
	for (size_t i = 0; i < set->n_key && !anonymous; i++)
		by_typeof = by_typeof || !bh_field_info(set->key[i])->type;
	ok = nftnl_udata_put_u32(u, NFTNL_UDATA_SET_KEYBYTEORDER, nft_key_byteorder(set->key, set->n_key));
	if (set->data != BH_DATA_NONE)
		ok = ok && nftnl_udata_put_u32(u, NFTNL_UDATA_SET_DATABYTEORDER,
				   set->data == BH_DATA_PRIORITY ? BYTEORDER_HOST : 0);
	if (by_typeof || set->n_key > 1)
		ok = ok && key_typeof(u, set, by_typeof);
	if (by_typeof && set->data == BH_DATA_PRIORITY) {
		struct nftnl_udata *nest = nftnl_udata_nest_start(u, NFTNL_UDATA_SET_DATA_TYPEOF);

		ok = ok && field_typeof(u, BH_PRIORITY);
		nftnl_udata_nest_end(u, nest);
	}
	if (set->data != BH_DATA_NONE)
		ok = ok && nftnl_udata_put_u32(u, NFTNL_UDATA_SET_DATA_INTERVAL, 0);
	return ok;
}

static uint32_t set_flags(const struct bh_set *set, bool anonymous)
{
	uint32_t flags = anonymous ? NFT_SET_ANONYMOUS | NFT_SET_CONSTANT : 0;

	if (set->flags & BH_SET_INTERVAL)
		flags |= NFT_SET_INTERVAL | (set->n_key > 1 ? NFT_SET_CONCAT : 0);
	if (set->flags & BH_SET_DYNAMIC)
		flags |= NFT_SET_EVAL;
	if (set->flags & BH_SET_TIMEOUT)
		flags |= NFT_SET_TIMEOUT;
	return flags | (set->data != BH_DATA_NONE ? NFT_SET_MAP : 0);
}

static int set_fill(struct nftnl_set *s, const struct bh_set *set, uint32_t id, bool anonymous, size_t n_elems,
	struct nftnl_udata_buf *u)
{
	uint8_t lens[BH_FIELDS_MAX];

	nftnl_set_set_u32(s, NFTNL_SET_FLAGS, set_flags(set, anonymous));
	nftnl_set_set_u32(s, NFTNL_SET_KEY_TYPE, nft_key_type(set->key, set->n_key));
	nftnl_set_set_u32(s, NFTNL_SET_KEY_LEN, (uint32_t)nft_key_len(set->key, set->n_key));
	if (set->data != BH_DATA_NONE) {
		nftnl_set_set_u32(s, NFTNL_SET_DATA_TYPE, set->data == BH_DATA_VERDICT ? TYPE_VERDICT : TYPE_CLASSID);
		nftnl_set_set_u32(s, NFTNL_SET_DATA_LEN, set->data == BH_DATA_VERDICT ? 0 : sizeof(uint32_t));
	}
	if (set->timeout_ms)
		nftnl_set_set_u64(s, NFTNL_SET_TIMEOUT, set->timeout_ms);
	nftnl_set_set_u32(s, NFTNL_SET_ID, id);
	if (set->size || anonymous)
		nftnl_set_set_u32(s, NFTNL_SET_DESC_SIZE, anonymous ? (uint32_t)n_elems : set->size);
	if ((set->flags & BH_SET_INTERVAL) && set->n_key > 1) {
		for (size_t i = 0; i < set->n_key; i++)
			lens[i] = bh_field_info(set->key[i])->size;
		if (nftnl_set_set_data(s, NFTNL_SET_DESC_CONCAT, lens, (uint32_t)set->n_key) < 0)
			return -ENOMEM;
	}
	if (set->flags & BH_SET_COUNTER) {
		struct nftnl_expr *counter = nftnl_expr_alloc("counter");

		if (!counter)
			return -ENOMEM;
		nftnl_set_add_expr(s, counter);
	}
	return nftnl_set_set_data(s, NFTNL_SET_USERDATA, nftnl_udata_buf_data(u), nftnl_udata_buf_len(u)) < 0 ? -ENOMEM : 0;
}

static void udata_freep(struct nftnl_udata_buf **u)
{
	if (*u)
		nftnl_udata_buf_free(*u);
}

static void set_freep(struct nftnl_set **s)
{
	if (*s)
		nftnl_set_free(*s);
}

int nft_encode_set(struct nft_batch *b, const struct bh_change *c, const struct bh_set *set, uint32_t id, bool anonymous,
	size_t n_elems, size_t rule, struct bh_error *err)
{
	_cleanup_(udata_freep) struct nftnl_udata_buf *u = nftnl_udata_buf_alloc(NFT_USERDATA_MAXLEN);
	_cleanup_(set_freep) struct nftnl_set *s = nftnl_set_alloc();
	struct nlmsghdr *nlh;

	if (!u || !s)
		return -ENOMEM;
	if (set->n_key == 0 || set->n_key > BH_FIELDS_MAX || bh_key_size(set->key, set->n_key) > BH_KEY_MAX)
		return bh_fail(err, -EINVAL, "set %s %s: no key, or one that is too wide", nft_family_name(c->family), set->name);
	if (!set_userdata(u, set, anonymous))
		return bh_fail(err, -EINVAL, "set %s %s: its type cannot be described", nft_family_name(c->family), set->name);
	if (nftnl_set_set_str(s, NFTNL_SET_TABLE, NFT_TABLE_NAME) < 0 || nftnl_set_set_str(s, NFTNL_SET_NAME, set->name) < 0 ||
		set_fill(s, set, id, anonymous, n_elems, u) < 0)
		return -ENOMEM;
	nlh = nft_batch_message(b, NFT_MSG_NEWSET, NLM_F_CREATE | NLM_F_EXCL, nft_family(c->family), c, rule);
	if (!nlh)
		return -ENOMEM;
	nftnl_set_nlmsg_build_payload(nlh, s);
	nft_batch_commit(b, nlh);
	return 0;
}

static void put_key(struct nlmsghdr *nlh, uint16_t type, const uint8_t *key, size_t len)
{
	struct nlattr *nest = mnl_attr_nest_start(nlh, type);

	mnl_attr_put(nlh, NFTA_DATA_VALUE, len, key);
	mnl_attr_nest_end(nlh, nest);
}

static void put_data(struct nlmsghdr *nlh, const struct nft_elems *how, const struct bh_elem *e)
{
	struct nlattr *nest, *verdict;

	if (how->data == BH_DATA_NONE)
		return;
	nest = mnl_attr_nest_start(nlh, NFTA_SET_ELEM_DATA);
	if (how->data == BH_DATA_PRIORITY) {
		mnl_attr_put(nlh, NFTA_DATA_VALUE, sizeof(e->value), &e->value);
	} else {
		verdict = mnl_attr_nest_start(nlh, NFTA_DATA_VERDICT);
		mnl_attr_put_u32(nlh, NFTA_VERDICT_CODE, htonl((uint32_t)nft_verdict(e->verdict)));
		if (e->verdict == BH_JUMP || e->verdict == BH_GOTO)
			mnl_attr_put_strz(nlh, NFTA_VERDICT_CHAIN, e->chain);
		mnl_attr_nest_end(nlh, verdict);
	}
	mnl_attr_nest_end(nlh, nest);
}

/* A cursor over the attributes that N elements become: an interval is two, and the first may need one more. */
struct emit {
	struct nft_batch *b;
	uint16_t type;
	const struct bh_change *c;
	size_t rule;
	const struct nft_elems *how;
	size_t len;
	struct nlmsghdr *nlh;
	struct nlattr *list;
	size_t n;
};

/* A nested attribute holds 64 KiB (struct nlattr, nla_len); an element of ours is never bigger than this. */
#define ELEM_ROOM 512
#define LIST_MAX (UINT16_MAX - ELEM_ROOM)

static void emit_close(struct emit *m)
{
	if (!m->nlh)
		return;
	mnl_attr_nest_end(m->nlh, m->list);
	nft_batch_commit(m->b, m->nlh);
	m->nlh = NULL;
}

static int emit_room(struct emit *m)
{
	uint16_t flags = m->type != NFT_MSG_NEWSETELEM ? 0 : m->how->known ? NLM_F_CREATE | NLM_F_EXCL : NLM_F_CREATE;

	if (m->nlh && (size_t)((char *)mnl_nlmsg_get_payload_tail(m->nlh) - (char *)m->list) >= LIST_MAX)
		emit_close(m);
	if (m->nlh)
		return 0;
	m->nlh = nft_batch_message(m->b, m->type, flags, nft_family(m->how->family), m->c, m->rule);
	if (!m->nlh)
		return -ENOMEM;
	mnl_attr_put_strz(m->nlh, NFTA_SET_ELEM_LIST_TABLE, NFT_TABLE_NAME);
	mnl_attr_put_strz(m->nlh, NFTA_SET_ELEM_LIST_SET, m->how->set);
	if (m->how->id)
		mnl_attr_put_u32(m->nlh, NFTA_SET_ELEM_LIST_SET_ID, htonl(m->how->id));
	m->list = mnl_attr_nest_start(m->nlh, NFTA_SET_ELEM_LIST_ELEMENTS);
	m->n = 0;
	return 0;
}

/* END: the key closes an interval and is not in the set. */
static int emit_elem(struct emit *m, const uint8_t *key, const uint8_t *key_end, const struct bh_elem *e, bool end)
{
	struct nlattr *nest;

	if (emit_room(m) < 0)
		return -ENOMEM;
	nest = mnl_attr_nest_start(m->nlh, (uint16_t)(++m->n));
	if (end)
		mnl_attr_put_u32(m->nlh, NFTA_SET_ELEM_FLAGS, htonl(NFT_SET_ELEM_INTERVAL_END));
	put_key(m->nlh, NFTA_SET_ELEM_KEY, key, m->len);
	if (key_end)
		put_key(m->nlh, NFTA_SET_ELEM_KEY_END, key_end, m->len);
	if (!end && m->type == NFT_MSG_NEWSETELEM) {
		put_data(m->nlh, m->how, e);
		if (e->timeout_ms)
			mnl_attr_put_u64(m->nlh, NFTA_SET_ELEM_TIMEOUT, htobe64(e->timeout_ms));
	}
	mnl_attr_nest_end(m->nlh, nest);
	return 0;
}

/* The key after KEY in the order of bytes; false when KEY is the last. */
static bool key_next(const uint8_t *key, size_t len, uint8_t *ret)
{
	memcpy(ret, key, len);
	for (size_t i = len; i-- > 0;)
		if (++ret[i] != 0)
			return true;
	return false;
}

static bool key_is_zero(const uint8_t *key, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (key[i])
			return false;
	return true;
}

/* A key as the kernel has it. In sets of intervals nft keeps numbers in network order, which is the order of bytes. */
static void key_to_kernel(const struct nft_elems *how, const uint8_t *key, uint8_t ret[BH_KEY_MAX])
{
	memcpy(ret, key, BH_KEY_MAX);
	ret[0] = (uint8_t)(ret[0] << how->shift);
	if (how->interval)
		nft_key_swap(how->key, how->n_key, ret);
}

static int emit_interval(struct emit *m, const uint8_t *key, const uint8_t *last, const struct bh_elem *e, bool first)
{
	static const uint8_t zero[BH_KEY_MAX];
	uint8_t next[BH_KEY_MAX];

	/* nft begins with the end of an interval before the first one; it expects that in a listing too */
	if (first && m->type == NFT_MSG_NEWSETELEM && !key_is_zero(key, m->len) && emit_elem(m, zero, NULL, NULL, true) < 0)
		return -ENOMEM;
	if (emit_elem(m, key, NULL, e, false) < 0)
		return -ENOMEM;
	return key_next(last, m->len, next) ? emit_elem(m, next, NULL, NULL, true) : 0;
}

int nft_encode_elems(struct nft_batch *b, uint16_t type, const struct bh_change *c, size_t rule, const struct nft_elems *how,
	const struct bh_elem *const *elems, size_t n)
{
	struct emit m = {.b = b, .type = type, .c = c, .rule = rule, .how = how, .len = nft_key_len(how->key, how->n_key)};
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		uint8_t key[BH_KEY_MAX], last[BH_KEY_MAX];

		key_to_kernel(how, elems[i]->key, key);
		if (!how->interval) {
			r = emit_elem(&m, key, NULL, elems[i], false);
			continue;
		}
		key_to_kernel(how, elems[i]->key_end, last);
		if (how->n_key > 1)	/* pipapo keeps both ends in one element */
			r = emit_elem(&m, key, last, elems[i], false);
		else
			r = emit_interval(&m, key, last, elems[i], i == 0);
	}
	emit_close(&m);
	return r;
}
