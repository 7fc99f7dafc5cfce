/* SPDX-License-Identifier: Apache-2.0 */
/* Loads and comparisons of a rule, read back: the inverse of encode_match.c. */
#include "delinear.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <string.h>

int delinear_foreign(struct delinear *d)
{
	d->error = d->error ? d->error : -ENOENT;
	return -1;
}

struct bh_stmt *delinear_stmt(struct delinear *d, enum bh_stmt_kind kind)
{
	struct bh_stmt *s = bh_vec_add(&d->rule->stmts);

	if (s)
		s->kind = kind;
	else
		d->error = -ENOMEM;
	return s;
}

/* ---- dependencies */

static void stmt_take_away(struct delinear *d, size_t *index)
{
	size_t i = *index, n = d->rule->stmts.n;

	if (i == NO_STMT)
		return;
	bh_stmt_clear(&d->rule->stmts.v[i]);
	memmove(&d->rule->stmts.v[i], &d->rule->stmts.v[i + 1], (n - i - 1) * sizeof(d->rule->stmts.v[0]));
	d->rule->stmts.n--;
	if (d->net_stmt != NO_STMT && d->net_stmt > i)
		d->net_stmt--;
	if (d->l4_stmt != NO_STMT && d->l4_stmt > i)
		d->l4_stmt--;
	*index = NO_STMT;
}

/* The form that the encoder gives to what LOAD needs. */
static enum net_form net_form_of(enum bh_family family, const struct nft_load *load)
{
	if (family == BH_FAMILY_INET)
		return FORM_NFPROTO;
	return family == BH_FAMILY_BRIDGE && (load->net == NFT_NET_ARP || load->l4) ? FORM_ETHERTYPE : FORM_PROTOCOL;
}

static bool load_possible(const struct delinear *d, const struct nft_load *load)
{
	return (load->net == NFT_NET_ANY || load->net == d->net) && (!load->l4 || load->l4 == d->l4);
}

static void dependencies_strip(struct delinear *d, const struct nft_load *load)
{
	if (load->net != NFT_NET_ANY && d->net_form == net_form_of(d->family, load))
		stmt_take_away(d, &d->net_stmt);
	if (load->l4)
		stmt_take_away(d, &d->l4_stmt);
}

static enum nft_net net_of_ethertype(const uint8_t *v)
{
	uint16_t type;

	memcpy(&type, v, sizeof(type));
	switch (ntohs(type)) {
	case ETH_P_IP:
		return NFT_NET_IP;
	case ETH_P_IPV6:
		return NFT_NET_IP6;
	case ETH_P_ARP:
		return NFT_NET_ARP;
	}
	return NFT_NET_ANY;
}

static void learn_net(struct delinear *d, enum nft_net net, enum net_form form, size_t index)
{
	if (net == NFT_NET_ANY)
		return;
	d->net = net;
	d->net_form = form;
	d->net_stmt = index;
}

/* The match just added may be what a later field stands on. */
static void learn(struct delinear *d, const struct bh_stmt *s)
{
	size_t index = d->rule->stmts.n - 1;

	if (s->op != BH_EQ)
		return;
	if (s->fields[0] == BH_L4PROTO) {
		d->l4 = s->value[0];
		d->l4_stmt = index;
	} else if (s->fields[0] == BH_NFPROTO && d->family == BH_FAMILY_INET) {
		learn_net(d, s->value[0] == NFPROTO_IPV4 ? NFT_NET_IP :
			  s->value[0] == NFPROTO_IPV6	 ? NFT_NET_IP6 :
							   NFT_NET_ANY,
			FORM_NFPROTO, index);
	} else if (s->fields[0] == BH_ETHER_TYPE && d->family == BH_FAMILY_BRIDGE) {
		learn_net(d, net_of_ethertype(s->value), FORM_ETHERTYPE, index);
	}
}

/* ---- loads */

struct reg *delinear_reg(struct delinear *d, uint32_t number)
{
	size_t slot = nft_slot(number);

	return slot < NFT_SLOTS ? &d->regs[slot] : NULL;
}

void delinear_reg_clear(struct reg *r)
{
	bh_stmt_clear(&r->map);
	memset(r, 0, sizeof(*r));
}

struct reg *delinear_reg_fresh(struct delinear *d, uint32_t number, size_t len)
{
	size_t slot = nft_slot(number), end = slot + nft_padded(len) / 4;

	if (slot >= NFT_SLOTS || end > NFT_SLOTS) {
		delinear_foreign(d);
		return NULL;
	}
	/* what it writes over, wholly or in part, is gone */
	for (size_t i = 0; i < end; i++)
		if (i >= slot || i + nft_padded(d->regs[i].len) / 4 > slot)
			delinear_reg_clear(&d->regs[i]);
	d->regs[slot].len = len;
	return &d->regs[slot];
}

static int reg_field(struct delinear *d, uint32_t number, enum nft_source source, uint32_t key, int dir)
{
	for (enum bh_field f = BH_FIELD_NONE + 1; f < BH_FIELD_MAX; f++) {
		const struct nft_load *l = nft_field_load(f);
		struct reg *r;

		if (l->source != source || l->key != key || l->dir != dir)
			continue;
		r = delinear_reg_fresh(d, number, bh_field_info(f)->size);
		if (!r)
			return -1;
		r->kind = REG_FIELDS;
		r->fields[0] = f;
		r->n_fields = 1;
		return 0;
	}
	return delinear_foreign(d);
}

int delinear_meta(struct delinear *d, const struct nft_expr *e)
{
	uint32_t key = nft_attr_u32(e->tb[NFTA_META_KEY]), number = nft_attr_u32(e->tb[NFTA_META_DREG]);
	struct reg *r;

	if (key != NFT_META_PROTOCOL)
		return reg_field(d, number, NFT_FROM_META, key, -1);
	r = delinear_reg_fresh(d, number, sizeof(uint16_t));
	if (!r)
		return -1;
	r->is_protocol = true;
	return 0;
}

int delinear_ct(struct delinear *d, const struct nft_expr *e)
{
	if (!e->tb[NFTA_CT_DREG])
		return delinear_foreign(d);
	return reg_field(d, nft_attr_u32(e->tb[NFTA_CT_DREG]), NFT_FROM_CT, nft_attr_u32(e->tb[NFTA_CT_KEY]),
		e->tb[NFTA_CT_DIRECTION] ? nft_attr_u8(e->tb[NFTA_CT_DIRECTION]) : -1);
}

/* "@th,64,128": bytes that no protocol of nft's describes. */
static bool is_raw(const struct nft_load *l)
{
	return l->source == NFT_FROM_PAYLOAD && l->desc == 0;
}

/* The field at OFFSET of at most LEN bytes; one whose protocol is known before one for any. */
static enum bh_field payload_field(const struct delinear *d, uint32_t base, uint32_t offset, uint32_t len)
{
	enum bh_field found = BH_FIELD_NONE;

	for (enum bh_field f = BH_FIELD_NONE + 1; f < BH_FIELD_MAX; f++) {
		const struct nft_load *l = nft_field_load(f);
		size_t size = bh_field_info(f)->size;

		if (l->source != NFT_FROM_PAYLOAD || l->key != base || l->offset != offset || size > len ||
			!load_possible(d, l))
			continue;
		if (size == len && is_raw(l))
			return f;
		if (is_raw(l))
			continue;
		if (found == BH_FIELD_NONE || l->l4)
			found = f;
	}
	return found;
}

int delinear_payload(struct delinear *d, const struct nft_expr *e)
{
	uint32_t base = nft_attr_u32(e->tb[NFTA_PAYLOAD_BASE]);
	uint32_t offset = nft_attr_u32(e->tb[NFTA_PAYLOAD_OFFSET]);
	uint32_t len = nft_attr_u32(e->tb[NFTA_PAYLOAD_LEN]), left = len;
	struct reg *r;

	if (e->tb[NFTA_PAYLOAD_SREG] || (base == NFT_PAYLOAD_LL_HEADER && d->family == BH_FAMILY_NETDEV) ||
		len == 0 || len > sizeof(r->mask))
		return delinear_foreign(d);
	r = delinear_reg_fresh(d, nft_attr_u32(e->tb[NFTA_PAYLOAD_DREG]), len);
	if (!r)
		return -1;
	while (left > 0) {
		enum bh_field f = payload_field(d, base, offset, left);

		if (f == BH_FIELD_NONE || r->n_fields == LOAD_FIELDS)
			return delinear_foreign(d);
		dependencies_strip(d, nft_field_load(f));
		r->fields[r->n_fields++] = f;
		offset += bh_field_info(f)->size;
		left -= bh_field_info(f)->size;
	}
	r->kind = REG_FIELDS;
	return 0;
}

int delinear_bitwise(struct delinear *d, const struct nft_expr *e)
{
	struct reg *r = delinear_reg(d, nft_attr_u32(e->tb[NFTA_BITWISE_SREG]));
	uint32_t mask_len = 0, xor_len = 0;
	const uint8_t *mask, *xor;

	if (!r || r->kind != REG_FIELDS || r->n_fields != 1 || r->masked || r->swapped ||
		nft_attr_u32(e->tb[NFTA_BITWISE_DREG]) != nft_attr_u32(e->tb[NFTA_BITWISE_SREG]) ||
		(e->tb[NFTA_BITWISE_OP] &&
			nft_attr_u32(e->tb[NFTA_BITWISE_OP]) != NFT_BITWISE_BOOL))
		return delinear_foreign(d);
	mask = nft_attr_value(e->tb[NFTA_BITWISE_MASK], &mask_len);
	xor = nft_attr_value(e->tb[NFTA_BITWISE_XOR], &xor_len);
	if (!mask || !xor || mask_len != r->len || xor_len != r->len)
		return delinear_foreign(d);
	for (size_t i = 0; i < r->len; i++)
		if (xor[i])
			return delinear_foreign(d);
	memcpy(r->mask, mask, r->len);
	r->masked = true;
	return 0;
}

int delinear_byteorder(struct delinear *d, const struct nft_expr *e)
{
	struct reg *r = delinear_reg(d, nft_attr_u32(e->tb[NFTA_BYTEORDER_SREG]));

	/* nft also swaps the one byte of meta l4proto in sets of intervals: the kernel then does nothing */
	if (r && r->kind == REG_FIELDS && r->len == 1 && nft_attr_u32(e->tb[NFTA_BYTEORDER_LEN]) == 1 &&
		nft_attr_u32(e->tb[NFTA_BYTEORDER_DREG]) == nft_attr_u32(e->tb[NFTA_BYTEORDER_SREG]))
		return 0;
	if (!r || r->kind != REG_FIELDS || r->n_fields != 1 || r->masked || r->swapped || r->len != sizeof(uint32_t) ||
		!nft_field_load(r->fields[0])->host ||
		nft_attr_u32(e->tb[NFTA_BYTEORDER_DREG]) != nft_attr_u32(e->tb[NFTA_BYTEORDER_SREG]) ||
		nft_attr_u32(e->tb[NFTA_BYTEORDER_OP]) != NFT_BYTEORDER_HTON ||
		nft_attr_u32(e->tb[NFTA_BYTEORDER_LEN]) != sizeof(uint32_t) ||
		nft_attr_u32(e->tb[NFTA_BYTEORDER_SIZE]) != sizeof(uint32_t))
		return delinear_foreign(d);
	r->swapped = true;
	return 0;
}

/* ---- matches */

static int match_add(struct delinear *d, enum bh_field f, enum bh_op op, const uint8_t *value, size_t len)
{
	struct bh_stmt *s = delinear_stmt(d, BH_STMT_MATCH);

	if (!s)
		return -1;
	s->fields[0] = f;
	s->n_fields = 1;
	s->op = op;
	memcpy(s->value, value, len);
	learn(d, s);
	return 0;
}

/* `meta protocol ip`: stands until the field comes that it is for; should none come, the rule is foreign. */
static int cmp_protocol(struct delinear *d, uint32_t op, const uint8_t *value, uint32_t len)
{
	struct bh_stmt *s;

	if (op != NFT_CMP_EQ || len != 2 || d->family == BH_FAMILY_INET || net_of_ethertype(value) == NFT_NET_ANY)
		return delinear_foreign(d);
	s = delinear_stmt(d, BH_STMT_FOREIGN);
	if (!s)
		return -1;
	learn_net(d, net_of_ethertype(value), FORM_PROTOCOL, d->rule->stmts.n - 1);
	return 0;
}

static int cmp_masked(struct delinear *d, const struct reg *r, uint32_t op, const uint8_t *value, uint32_t len)
{
	const struct nft_load *load = nft_field_load(r->fields[0]);
	static const uint8_t zero[16];
	enum bh_op bh_op = BH_MASK_EQ;
	struct bh_stmt *s;

	if (len != r->len)
		return delinear_foreign(d);
	if (load->mask) {	/* the mask is the field's own */
		uint8_t v = (uint8_t)(value[0] >> load->shift);

		if (r->mask[0] != load->mask || (op != NFT_CMP_EQ && op != NFT_CMP_NEQ) || (value[0] & ~load->mask))
			return delinear_foreign(d);
		return match_add(d, r->fields[0], op == NFT_CMP_EQ ? BH_EQ : BH_NE, &v, 1);
	}
	if (op == NFT_CMP_NEQ && memcmp(value, zero, len) == 0)
		bh_op = BH_MASK_ANY;
	else if (op != NFT_CMP_EQ)
		return delinear_foreign(d);
	s = delinear_stmt(d, BH_STMT_MATCH);
	if (!s)
		return -1;
	s->fields[0] = r->fields[0];
	s->n_fields = 1;
	s->op = bh_op;
	memcpy(s->mask, r->mask, len);
	memcpy(s->value, value, len);
	return 0;
}

/* "br-*" is a comparison that is shorter than the name. */
static int cmp_prefix(struct delinear *d, const struct reg *r, uint32_t op, const uint8_t *value, uint32_t len)
{
	struct bh_stmt *s;

	if (r->n_fields != 1 || r->len != 16 || nft_field_load(r->fields[0])->source != NFT_FROM_META || op != NFT_CMP_EQ ||
		len == 0 || len > r->len)
		return delinear_foreign(d);
	s = delinear_stmt(d, BH_STMT_MATCH);
	if (!s)
		return -1;
	s->fields[0] = r->fields[0];
	s->n_fields = 1;
	s->op = BH_MASK_EQ;
	memset(s->mask, 0xff, len);
	memcpy(s->value, value, len);
	return 0;
}

static int cmp_plain(struct delinear *d, const struct reg *r, uint32_t op, const uint8_t *value)
{
	static const enum bh_op ops[] = {
		[NFT_CMP_EQ] = BH_EQ, [NFT_CMP_NEQ] = BH_NE, [NFT_CMP_LT] = BH_LT, [NFT_CMP_LTE] = BH_LE,
		[NFT_CMP_GT] = BH_GT, [NFT_CMP_GTE] = BH_GE,
	};
	bool ordered = op != NFT_CMP_EQ && op != NFT_CMP_NEQ;
	uint8_t swapped[4];
	uint32_t v;
	size_t off = 0;

	if (op >= BH_ARRAY_SIZE(ops) || (r->n_fields > 1 && op != NFT_CMP_EQ) || nft_field_load(r->fields[0])->mask)
		return delinear_foreign(d);
	if (r->swapped != (ordered && nft_field_load(r->fields[0])->host))
		return delinear_foreign(d);
	if (r->swapped) {
		memcpy(&v, value, sizeof(v));
		v = ntohl(v);
		memcpy(swapped, &v, sizeof(v));
		return match_add(d, r->fields[0], ops[op], swapped, sizeof(swapped));
	}
	for (size_t i = 0; i < r->n_fields; i++) {
		size_t size = bh_field_info(r->fields[i])->size;

		if (match_add(d, r->fields[i], ops[op], value + off, size) < 0)
			return -1;
		off += size;
	}
	return 0;
}

int delinear_cmp(struct delinear *d, const struct nft_expr *e)
{
	struct reg *r = delinear_reg(d, nft_attr_u32(e->tb[NFTA_CMP_SREG]));
	uint32_t op = nft_attr_u32(e->tb[NFTA_CMP_OP]), len = 0;
	const uint8_t *value = nft_attr_value(e->tb[NFTA_CMP_DATA], &len);

	if (!r || !value || len == 0)
		return delinear_foreign(d);
	if (r->is_protocol)
		return cmp_protocol(d, op, value, len);
	if (r->kind != REG_FIELDS)
		return delinear_foreign(d);
	if (r->masked)
		return cmp_masked(d, r, op, value, len);
	return len == r->len ? cmp_plain(d, r, op, value) : cmp_prefix(d, r, op, value, len);
}
