/* SPDX-License-Identifier: Apache-2.0 */
/* The expressions of a rule as statements of the IR: which field is in which register, what was done to it, and which
 * matches were only there so that a payload field means what it says. The inverse of encode_rule.c, for its own forms and
 * those that nft 1.0.6 makes of the same text; anything else makes the whole rule foreign. */
#include "internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libnftnl/expr.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define LOAD_FIELDS 4	/* headers in one load */

enum reg_kind { REG_NOTHING, REG_FIELDS, REG_NUMBER, REG_MAPPED };

/* What starts in a register. */
struct reg {
	enum reg_kind kind;
	enum bh_field fields[LOAD_FIELDS];
	size_t n_fields, len;
	bool masked, swapped;
	uint8_t mask[16];
	uint32_t number;	/* REG_NUMBER */
	struct bh_stmt map;	/* REG_MAPPED: the statement, but for `meta priority set` */
	enum nft_net proto;	/* `meta protocol`, which only exists as a dependency */
	bool is_protocol;
};

/* How the network protocol became known: only nft's own form of a dependency is taken away. */
enum net_form { FORM_NONE, FORM_NFPROTO, FORM_PROTOCOL, FORM_ETHERTYPE };

#define NO_STMT SIZE_MAX

struct delinear {
	enum bh_family family;
	const struct nft_seen_sets *sets;
	struct bh_nft_rule *rule;
	struct reg regs[NFT_SLOTS];
	enum nft_net net;
	enum net_form net_form;
	size_t net_stmt;	/* index of the match that told, NO_STMT once it is taken away */
	uint8_t l4;
	size_t l4_stmt;
	int error;		/* -ENOMEM, or -ENOENT for a foreign rule */
};

static int foreign(struct delinear *d)
{
	d->error = d->error ? d->error : -ENOENT;
	return -1;
}

static struct bh_stmt *stmt_add(struct delinear *d, enum bh_stmt_kind kind)
{
	struct bh_stmt *s = bh_vec_add(&d->rule->stmts);

	if (s)
		s->kind = kind;
	else
		d->error = -ENOMEM;
	return s;
}

static int copy_name(struct delinear *d, const char *from, char to[BH_NAME])
{
	if (!from || strlen(from) >= BH_NAME)
		return foreign(d);
	snprintf(to, BH_NAME, "%s", from);
	return 0;
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

static struct reg *reg_at(struct delinear *d, uint32_t number)
{
	size_t slot = nft_slot(number);

	return slot < NFT_SLOTS ? &d->regs[slot] : NULL;
}

static void reg_clear(struct reg *r)
{
	bh_stmt_clear(&r->map);
	memset(r, 0, sizeof(*r));
}

static struct reg *reg_fresh(struct delinear *d, uint32_t number)
{
	struct reg *r = reg_at(d, number);

	if (r)
		reg_clear(r);
	else
		foreign(d);
	return r;
}

static int reg_field(struct delinear *d, uint32_t number, enum nft_source source, uint32_t key, int dir)
{
	struct reg *r = reg_fresh(d, number);

	if (!r)
		return -1;
	for (enum bh_field f = BH_FIELD_NONE + 1; f < BH_FIELD_MAX; f++) {
		const struct nft_load *l = nft_field_load(f);

		if (l->source != source || l->key != key || l->dir != dir)
			continue;
		r->kind = REG_FIELDS;
		r->fields[0] = f;
		r->n_fields = 1;
		r->len = bh_field_info(f)->size;
		return 0;
	}
	return foreign(d);
}

static int on_meta(struct delinear *d, const struct nftnl_expr *e)
{
	uint32_t key = nftnl_expr_get_u32(e, NFTNL_EXPR_META_KEY);
	struct reg *r;
	struct bh_stmt *s;

	if (nftnl_expr_is_set(e, NFTNL_EXPR_META_DREG)) {
		if (key != NFT_META_PROTOCOL)
			return reg_field(d, nftnl_expr_get_u32(e, NFTNL_EXPR_META_DREG), NFT_FROM_META, key, -1);
		r = reg_fresh(d, nftnl_expr_get_u32(e, NFTNL_EXPR_META_DREG));
		if (!r)
			return -1;
		r->is_protocol = true;
		return 0;
	}
	r = reg_at(d, nftnl_expr_get_u32(e, NFTNL_EXPR_META_SREG));
	if (!r || key != NFT_META_PRIORITY || (r->kind != REG_NUMBER && r->kind != REG_MAPPED))
		return foreign(d);
	s = stmt_add(d, r->kind == REG_NUMBER ? BH_STMT_SET_PRIORITY : BH_STMT_MAP_PRIORITY);
	if (!s)
		return -1;
	if (r->kind == REG_NUMBER) {
		s->number = r->number;
	} else {
		*s = r->map;
		memset(&r->map, 0, sizeof(r->map));
	}
	reg_clear(r);
	return 0;
}

static int on_ct(struct delinear *d, const struct nftnl_expr *e)
{
	if (!nftnl_expr_is_set(e, NFTNL_EXPR_CT_DREG))
		return foreign(d);
	return reg_field(d, nftnl_expr_get_u32(e, NFTNL_EXPR_CT_DREG), NFT_FROM_CT, nftnl_expr_get_u32(e, NFTNL_EXPR_CT_KEY),
		nftnl_expr_is_set(e, NFTNL_EXPR_CT_DIR) ? nftnl_expr_get_u8(e, NFTNL_EXPR_CT_DIR) : -1);
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
		if (size == len && f == BH_TH_64_128)
			return f;
		if (f == BH_TH_64_128)
			continue;
		if (found == BH_FIELD_NONE || l->l4)
			found = f;
	}
	return found;
}

static int on_payload(struct delinear *d, const struct nftnl_expr *e)
{
	uint32_t base = nftnl_expr_get_u32(e, NFTNL_EXPR_PAYLOAD_BASE);
	uint32_t offset = nftnl_expr_get_u32(e, NFTNL_EXPR_PAYLOAD_OFFSET);
	uint32_t len = nftnl_expr_get_u32(e, NFTNL_EXPR_PAYLOAD_LEN), left = len;
	struct reg *r;

	if (nftnl_expr_is_set(e, NFTNL_EXPR_PAYLOAD_SREG) || (base == NFT_PAYLOAD_LL_HEADER && d->family != BH_FAMILY_BRIDGE) ||
		len == 0 || len > sizeof(r->mask))
		return foreign(d);
	r = reg_fresh(d, nftnl_expr_get_u32(e, NFTNL_EXPR_PAYLOAD_DREG));
	if (!r)
		return -1;
	while (left > 0) {
		enum bh_field f = payload_field(d, base, offset, left);

		if (f == BH_FIELD_NONE || r->n_fields == LOAD_FIELDS)
			return foreign(d);
		dependencies_strip(d, nft_field_load(f));
		r->fields[r->n_fields++] = f;
		offset += bh_field_info(f)->size;
		left -= bh_field_info(f)->size;
	}
	r->kind = REG_FIELDS;
	r->len = len;
	return 0;
}

static int on_bitwise(struct delinear *d, const struct nftnl_expr *e)
{
	struct reg *r = reg_at(d, nftnl_expr_get_u32(e, NFTNL_EXPR_BITWISE_SREG));
	uint32_t mask_len = 0, xor_len = 0;
	const uint8_t *mask, *xor;

	if (!r || r->kind != REG_FIELDS || r->n_fields != 1 || r->masked || r->swapped ||
		nftnl_expr_get_u32(e, NFTNL_EXPR_BITWISE_DREG) != nftnl_expr_get_u32(e, NFTNL_EXPR_BITWISE_SREG) ||
		(nftnl_expr_is_set(e, NFTNL_EXPR_BITWISE_OP) &&
			nftnl_expr_get_u32(e, NFTNL_EXPR_BITWISE_OP) != NFT_BITWISE_BOOL))
		return foreign(d);
	mask = nftnl_expr_get(e, NFTNL_EXPR_BITWISE_MASK, &mask_len);
	xor = nftnl_expr_get(e, NFTNL_EXPR_BITWISE_XOR, &xor_len);
	if (!mask || !xor || mask_len != r->len || xor_len != r->len)
		return foreign(d);
	for (size_t i = 0; i < r->len; i++)
		if (xor[i])
			return foreign(d);
	memcpy(r->mask, mask, r->len);
	r->masked = true;
	return 0;
}

static int on_byteorder(struct delinear *d, const struct nftnl_expr *e)
{
	struct reg *r = reg_at(d, nftnl_expr_get_u32(e, NFTNL_EXPR_BYTEORDER_SREG));

	if (!r || r->kind != REG_FIELDS || r->n_fields != 1 || r->masked || r->swapped || r->len != sizeof(uint32_t) ||
		!nft_field_load(r->fields[0])->host ||
		nftnl_expr_get_u32(e, NFTNL_EXPR_BYTEORDER_DREG) != nftnl_expr_get_u32(e, NFTNL_EXPR_BYTEORDER_SREG) ||
		nftnl_expr_get_u32(e, NFTNL_EXPR_BYTEORDER_OP) != NFT_BYTEORDER_HTON ||
		nftnl_expr_get_u32(e, NFTNL_EXPR_BYTEORDER_LEN) != sizeof(uint32_t) ||
		nftnl_expr_get_u32(e, NFTNL_EXPR_BYTEORDER_SIZE) != sizeof(uint32_t))
		return foreign(d);
	r->swapped = true;
	return 0;
}

/* ---- matches */

static int match_add(struct delinear *d, enum bh_field f, enum bh_op op, const uint8_t *value, size_t len)
{
	struct bh_stmt *s = stmt_add(d, BH_STMT_MATCH);

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
		return foreign(d);
	s = stmt_add(d, BH_STMT_FOREIGN);
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
		return foreign(d);
	if (load->mask) {	/* the mask is the field's own */
		uint8_t v = (uint8_t)(value[0] >> load->shift);

		if (r->mask[0] != load->mask || (op != NFT_CMP_EQ && op != NFT_CMP_NEQ) || (value[0] & ~load->mask))
			return foreign(d);
		return match_add(d, r->fields[0], op == NFT_CMP_EQ ? BH_EQ : BH_NE, &v, 1);
	}
	if (op == NFT_CMP_NEQ && memcmp(value, zero, len) == 0)
		bh_op = BH_MASK_ANY;
	else if (op != NFT_CMP_EQ)
		return foreign(d);
	s = stmt_add(d, BH_STMT_MATCH);
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
		return foreign(d);
	s = stmt_add(d, BH_STMT_MATCH);
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
		return foreign(d);
	if (r->swapped != (ordered && nft_field_load(r->fields[0])->host))
		return foreign(d);
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

static int on_cmp(struct delinear *d, const struct nftnl_expr *e)
{
	struct reg *r = reg_at(d, nftnl_expr_get_u32(e, NFTNL_EXPR_CMP_SREG));
	uint32_t op = nftnl_expr_get_u32(e, NFTNL_EXPR_CMP_OP), len = 0;
	const uint8_t *value = nftnl_expr_get(e, NFTNL_EXPR_CMP_DATA, &len);

	if (!r || !value || len == 0)
		return foreign(d);
	if (r->is_protocol)
		return cmp_protocol(d, op, value, len);
	if (r->kind != REG_FIELDS)
		return foreign(d);
	if (r->masked)
		return cmp_masked(d, r, op, value, len);
	return len == r->len ? cmp_plain(d, r, op, value) : cmp_prefix(d, r, op, value, len);
}

/* ---- keys and sets */

/* The fields that make up LEN bytes from register NUMBER on. */
static int key_gather(struct delinear *d, uint32_t number, size_t len, struct bh_stmt *s)
{
	size_t slot = nft_slot(number), off = 0;

	while (off < len) {
		const struct reg *r = slot < NFT_SLOTS ? &d->regs[slot] : NULL;
		const struct nft_load *load;

		if (!r || r->kind != REG_FIELDS || r->n_fields != 1 || r->swapped || s->n_fields == BH_FIELDS_MAX)
			return foreign(d);
		load = nft_field_load(r->fields[0]);
		if (r->masked != (load->mask != 0) || (r->masked && r->mask[0] != load->mask))
			return foreign(d);
		s->fields[s->n_fields++] = r->fields[0];
		off += nft_padded(r->len);
		slot += nft_padded(r->len) / 4;
	}
	return nft_key_len(s->fields, s->n_fields) == len ? 0 : foreign(d);
}

static int anonymous_take(struct delinear *d, const struct nft_seen_set *set, struct bh_stmt *s)
{
	unsigned shift = s->n_fields == 1 ? nft_field_load(s->fields[0])->shift : 0;

	s->data = set->set.data;
	bh_vec_foreach(e, &set->set.elems) {
		struct bh_elem copy = *e;

		copy.packets = copy.bytes = 0;
		copy.key[0] = (uint8_t)(copy.key[0] >> shift);
		if (bh_vec_push(&s->elems, copy) < 0) {
			d->error = -ENOMEM;
			return -1;
		}
	}
	return 0;
}

static int on_lookup(struct delinear *d, const struct nftnl_expr *e)
{
	const char *name = nftnl_expr_get_str(e, NFTNL_EXPR_LOOKUP_SET);
	const struct nft_seen_set *set = name ? nft_seen_set_find(d->sets, name) : NULL;
	bool inverted = nftnl_expr_is_set(e, NFTNL_EXPR_LOOKUP_FLAGS) && nftnl_expr_get_u32(e, NFTNL_EXPR_LOOKUP_FLAGS);
	bool has_dreg = nftnl_expr_is_set(e, NFTNL_EXPR_LOOKUP_DREG);
	struct bh_stmt s = {.kind = BH_STMT_LOOKUP, .op = inverted ? BH_NE : BH_EQ}, *to = NULL;
	struct reg *r;
	int ret;

	if (!set || !set->known || has_dreg != (set->set.data != BH_DATA_NONE) ||
		key_gather(d, nftnl_expr_get_u32(e, NFTNL_EXPR_LOOKUP_SREG), set->key_len, &s) < 0)
		return foreign(d);
	ret = set->anonymous ? anonymous_take(d, set, &s) : copy_name(d, name, s.set);
	if (ret == 0 && has_dreg && set->set.data == BH_DATA_PRIORITY) {
		r = reg_fresh(d, nftnl_expr_get_u32(e, NFTNL_EXPR_LOOKUP_DREG));
		if (r) {
			s.kind = BH_STMT_MAP_PRIORITY;
			r->kind = REG_MAPPED;
			to = &r->map;
		}
	} else if (ret == 0 && (!has_dreg || nftnl_expr_get_u32(e, NFTNL_EXPR_LOOKUP_DREG) == NFT_REG_VERDICT)) {
		s.kind = has_dreg ? BH_STMT_VMAP : BH_STMT_LOOKUP;
		to = stmt_add(d, s.kind);
	}
	if (!to) {
		bh_stmt_clear(&s);
		return foreign(d);
	}
	*to = s;
	return 0;
}

static int on_dynset(struct delinear *d, const struct nftnl_expr *e)
{
	const char *name = nftnl_expr_get_str(e, NFTNL_EXPR_DYNSET_SET_NAME);
	const struct nft_seen_set *set = name ? nft_seen_set_find(d->sets, name) : NULL;
	uint64_t timeout = nftnl_expr_is_set(e, NFTNL_EXPR_DYNSET_TIMEOUT) ? nftnl_expr_get_u64(e, NFTNL_EXPR_DYNSET_TIMEOUT) : 0;
	struct bh_stmt *s;

	if (!set || !set->known || set->anonymous || nftnl_expr_get_u32(e, NFTNL_EXPR_DYNSET_OP) != NFT_DYNSET_OP_UPDATE ||
		nftnl_expr_is_set(e, NFTNL_EXPR_DYNSET_SREG_DATA) || nftnl_expr_is_set(e, NFTNL_EXPR_DYNSET_EXPR) ||
		(nftnl_expr_is_set(e, NFTNL_EXPR_DYNSET_FLAGS) && nftnl_expr_get_u32(e, NFTNL_EXPR_DYNSET_FLAGS)) ||
		timeout > UINT32_MAX)
		return foreign(d);
	s = stmt_add(d, BH_STMT_UPDATE);
	if (!s || copy_name(d, name, s->set) < 0)
		return -1;
	s->number = (uint32_t)timeout;
	return key_gather(d, nftnl_expr_get_u32(e, NFTNL_EXPR_DYNSET_SREG_KEY), set->key_len, s);
}

/* ---- the rest */

static int on_immediate(struct delinear *d, const struct nftnl_expr *e)
{
	uint32_t reg = nftnl_expr_get_u32(e, NFTNL_EXPR_IMM_DREG), len = 0;
	const void *data;
	struct bh_stmt *s;
	struct reg *r;

	if (reg == NFT_REG_VERDICT) {
		s = stmt_add(d, BH_STMT_VERDICT);
		if (!s)
			return -1;
		s->verdict = nft_verdict_from((int32_t)nftnl_expr_get_u32(e, NFTNL_EXPR_IMM_VERDICT));
		if (s->verdict == BH_JUMP || s->verdict == BH_GOTO)
			return copy_name(d, nftnl_expr_get_str(e, NFTNL_EXPR_IMM_CHAIN), s->chain);
		return s->verdict == BH_VERDICT_NONE ? foreign(d) : 0;
	}
	data = nftnl_expr_get(e, NFTNL_EXPR_IMM_DATA, &len);
	r = reg_fresh(d, reg);
	if (!r || !data || len != sizeof(r->number))
		return foreign(d);
	r->kind = REG_NUMBER;
	memcpy(&r->number, data, sizeof(r->number));
	return 0;
}

static int on_objref(struct delinear *d, const struct nftnl_expr *e)
{
	struct bh_stmt *s;

	if (!nftnl_expr_is_set(e, NFTNL_EXPR_OBJREF_IMM_TYPE) ||
		nftnl_expr_get_u32(e, NFTNL_EXPR_OBJREF_IMM_TYPE) != NFT_OBJECT_COUNTER)
		return foreign(d);
	s = stmt_add(d, BH_STMT_COUNTER);
	return s ? copy_name(d, nftnl_expr_get_str(e, NFTNL_EXPR_OBJREF_IMM_NAME), s->set) : -1;
}

static int on_limit(struct delinear *d, const struct nftnl_expr *e)
{
	struct bh_stmt *s;

	if (nftnl_expr_get_u64(e, NFTNL_EXPR_LIMIT_UNIT) != 1 || nftnl_expr_get_u32(e, NFTNL_EXPR_LIMIT_BURST) != 5 ||
		nftnl_expr_get_u32(e, NFTNL_EXPR_LIMIT_TYPE) != NFT_LIMIT_PKTS ||
		nftnl_expr_get_u32(e, NFTNL_EXPR_LIMIT_FLAGS) != 0 || nftnl_expr_get_u64(e, NFTNL_EXPR_LIMIT_RATE) > UINT32_MAX)
		return foreign(d);
	s = stmt_add(d, BH_STMT_LIMIT);
	if (!s)
		return -1;
	s->number = (uint32_t)nftnl_expr_get_u64(e, NFTNL_EXPR_LIMIT_RATE);
	return 0;
}

static bool is_set_to(const struct nftnl_expr *e, uint16_t attr, uint32_t wrong)
{
	return nftnl_expr_is_set(e, attr) && nftnl_expr_get_u32(e, attr) == wrong;
}

static int on_log(struct delinear *d, const struct nftnl_expr *e)
{
	const char *prefix = nftnl_expr_get_str(e, NFTNL_EXPR_LOG_PREFIX);
	struct bh_stmt *s;

	if (!nftnl_expr_is_set(e, NFTNL_EXPR_LOG_GROUP) || nftnl_expr_is_set(e, NFTNL_EXPR_LOG_LEVEL) ||
		nftnl_expr_is_set(e, NFTNL_EXPR_LOG_FLAGS) ||
		(nftnl_expr_is_set(e, NFTNL_EXPR_LOG_SNAPLEN) && !is_set_to(e, NFTNL_EXPR_LOG_SNAPLEN, 0)) ||
		(nftnl_expr_is_set(e, NFTNL_EXPR_LOG_QTHRESHOLD) && nftnl_expr_get_u16(e, NFTNL_EXPR_LOG_QTHRESHOLD) != 0))
		return foreign(d);
	s = stmt_add(d, BH_STMT_LOG);
	if (!s)
		return -1;
	if (!prefix || strlen(prefix) >= sizeof(s->prefix))
		return foreign(d);
	snprintf(s->prefix, sizeof(s->prefix), "%s", prefix);
	s->number = nftnl_expr_get_u16(e, NFTNL_EXPR_LOG_GROUP);
	return 0;
}

static int on_reject(struct delinear *d, const struct nftnl_expr *e)
{
	uint32_t type = nftnl_expr_get_u32(e, NFTNL_EXPR_REJECT_TYPE);
	uint8_t code = nftnl_expr_get_u8(e, NFTNL_EXPR_REJECT_CODE);
	bool admin = type == NFT_REJECT_ICMPX_UNREACH && code == NFT_REJECT_ICMPX_ADMIN_PROHIBITED;
	struct bh_stmt *s;

	if (type != NFT_REJECT_TCP_RST && !admin)
		return foreign(d);
	s = stmt_add(d, BH_STMT_REJECT);
	if (!s)
		return -1;
	s->number = admin ? BH_REJECT_ADMIN : BH_REJECT_TCP_RESET;
	return 0;
}

static int on_fwd(struct delinear *d, const struct nftnl_expr *e)
{
	const struct reg *r = reg_at(d, nftnl_expr_get_u32(e, NFTNL_EXPR_FWD_SREG_DEV));
	char name[IF_NAMESIZE] = "";
	struct bh_stmt *s;

	if (!r || r->kind != REG_NUMBER || nftnl_expr_is_set(e, NFTNL_EXPR_FWD_SREG_ADDR))
		return foreign(d);
	s = stmt_add(d, BH_STMT_FWD);
	if (!s)
		return -1;
	/* a device that is gone has no name, and "" is none that anybody wants */
	if (if_indextoname(r->number, name))
		snprintf(s->set, sizeof(s->set), "%s", name);
	return 0;
}

static const struct {
	const char *name;
	int (*decode)(struct delinear *d, const struct nftnl_expr *e);
} exprs[] = {
	{"meta", on_meta}, {"payload", on_payload}, {"ct", on_ct}, {"cmp", on_cmp}, {"bitwise", on_bitwise},
	{"byteorder", on_byteorder}, {"lookup", on_lookup}, {"immediate", on_immediate}, {"objref", on_objref},
	{"limit", on_limit}, {"log", on_log}, {"reject", on_reject}, {"dynset", on_dynset}, {"fwd", on_fwd},
};

static int on_expr(struct nftnl_expr *e, void *data)
{
	struct delinear *d = data;
	const char *name = nftnl_expr_get_str(e, NFTNL_EXPR_NAME);

	for (size_t i = 0; i < BH_ARRAY_SIZE(exprs); i++)
		if (name && strcmp(exprs[i].name, name) == 0)
			return exprs[i].decode(d, e);
	return foreign(d);
}

const char *nft_rule_chain(const struct nlmsghdr *nlh)
{
	const struct nlattr *attr;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(struct nfgenmsg))
		return NULL;
	mnl_attr_for_each(attr, nlh, sizeof(struct nfgenmsg))
		if (mnl_attr_get_type(attr) == NFTA_RULE_CHAIN && mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) == 0)
			return mnl_attr_get_str(attr);
	return NULL;
}

static int rule_foreign(struct bh_nft_rule *rule)
{
	struct bh_stmt *s;

	bh_vec_foreach(i, &rule->stmts)
		bh_stmt_clear(i);
	rule->stmts.n = 0;
	s = bh_vec_add(&rule->stmts);
	if (!s)
		return -ENOMEM;
	s->kind = BH_STMT_FOREIGN;
	return 0;
}

int nft_decode_rule(const struct nlmsghdr *nlh, enum bh_family family, const struct nft_seen_sets *sets,
	struct bh_nft_rule *ret)
{
	struct delinear d = {.family = family, .sets = sets, .rule = ret, .net_stmt = NO_STMT, .l4_stmt = NO_STMT};
	struct nftnl_rule *nl = nftnl_rule_alloc();

	if (!nl)
		return -ENOMEM;
	/* libnftnl refuses a rule with an expression that it does not know */
	if (nftnl_rule_nlmsg_parse(nlh, nl) < 0)
		d.error = errno == ENOMEM ? -ENOMEM : -ENOENT;
	else
		(void)nftnl_expr_foreach(nl, on_expr, &d);
	for (size_t i = 0; i < NFT_SLOTS; i++) {
		if (d.regs[i].kind == REG_MAPPED)	/* looked up for something that is not ours */
			foreign(&d);
		reg_clear(&d.regs[i]);
	}
	nftnl_rule_free(nl);
	bh_vec_foreach(s, &ret->stmts)
		if (s->kind == BH_STMT_FOREIGN)
			foreign(&d);
	if (d.error == -ENOMEM)
		return -ENOMEM;
	return d.error ? rule_foreign(ret) : 0;
}
