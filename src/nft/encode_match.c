/* SPDX-License-Identifier: Apache-2.0 */
/* Loads and comparisons of a rule, with the matches that nft adds by itself so that a payload field means what it says. */
#include "linear.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <string.h>

int linear_refuse(struct linear *l, int code, const char *why)
{
	return bh_fail(l->err, code, "chain %s %s, rule %zu: %s", nft_family_name(l->c->family), l->c->chain->name, l->rule + 1,
		why);
}

struct nftnl_expr *linear_expr(struct linear *l, const char *name)
{
	struct nftnl_expr *e;

	if (l->n_exprs >= NFT_EXPRS_MAX)
		return NULL;
	e = nftnl_expr_alloc(name);
	if (e) {
		nftnl_rule_add_expr(l->nl, e);
		l->n_exprs++;
	}
	return e;
}

int linear_no_expr(struct linear *l)
{
	return l->n_exprs >= NFT_EXPRS_MAX ? linear_refuse(l, -E2BIG, "more than 128 expressions") : -ENOMEM;
}

static int emit_meta(struct linear *l, uint32_t key, size_t slot)
{
	struct nftnl_expr *e = linear_expr(l, "meta");

	if (!e)
		return linear_no_expr(l);
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, key);
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_DREG, nft_reg(slot));
	return 0;
}

static int emit_payload(struct linear *l, uint32_t base, uint32_t offset, uint32_t len, size_t slot)
{
	struct nftnl_expr *e = linear_expr(l, "payload");

	if (!e)
		return linear_no_expr(l);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_DREG, nft_reg(slot));
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_BASE, base);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_LEN, len);
	return 0;
}

static int emit_ct(struct linear *l, const struct nft_load *load, size_t slot)
{
	struct nftnl_expr *e = linear_expr(l, "ct");

	if (!e)
		return linear_no_expr(l);
	nftnl_expr_set_u32(e, NFTNL_EXPR_CT_KEY, load->key);
	if (load->dir >= 0)
		nftnl_expr_set_u8(e, NFTNL_EXPR_CT_DIR, (uint8_t)load->dir);
	nftnl_expr_set_u32(e, NFTNL_EXPR_CT_DREG, nft_reg(slot));
	return 0;
}

static int emit_cmp(struct linear *l, uint32_t op, const void *data, size_t len)
{
	struct nftnl_expr *e = linear_expr(l, "cmp");

	if (!e)
		return linear_no_expr(l);
	nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_SREG, NFT_REG_1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_OP, op);
	return nftnl_expr_set(e, NFTNL_EXPR_CMP_DATA, data, (uint32_t)len) < 0 ? -ENOMEM : 0;
}

static int emit_bitwise(struct linear *l, const void *mask, size_t len, size_t slot)
{
	static const uint8_t zero[16];
	struct nftnl_expr *e = linear_expr(l, "bitwise");

	if (!e)
		return linear_no_expr(l);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_SREG, nft_reg(slot));
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_DREG, nft_reg(slot));
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_OP, NFT_BITWISE_BOOL);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_LEN, (uint32_t)len);
	if (nftnl_expr_set(e, NFTNL_EXPR_BITWISE_MASK, mask, (uint32_t)len) < 0 ||
		nftnl_expr_set(e, NFTNL_EXPR_BITWISE_XOR, zero, (uint32_t)len) < 0)
		return -ENOMEM;
	return 0;
}

static uint16_t net_ethertype(enum nft_net net)
{
	return htons(net == NFT_NET_IP ? ETH_P_IP : net == NFT_NET_IP6 ? ETH_P_IPV6 : ETH_P_ARP);
}

static int need_net(struct linear *l, const struct nft_load *load)
{
	uint16_t type = net_ethertype(load->net);
	uint8_t proto = load->net == NFT_NET_IP ? NFPROTO_IPV4 : NFPROTO_IPV6;
	int r;

	if (l->net == load->net)
		return l->net_written ? linear_refuse(l, -EINVAL, "a match that the field after it implies must be left out") : 0;
	if (l->net != NFT_NET_ANY)
		return linear_refuse(l, -EINVAL, "fields of two network protocols");
	l->net = load->net;
	if (l->c->family == BH_FAMILY_INET) {
		if (load->net == NFT_NET_ARP)
			return linear_refuse(l, -EOPNOTSUPP, "the inet family sees no ARP");
		r = emit_meta(l, NFT_META_NFPROTO, 0);
		return r < 0 ? r : emit_cmp(l, NFT_CMP_EQ, &proto, sizeof(proto));
	}
	/* In the bridge family nft asks the frame itself for ARP and what stands above IP, and meta protocol for IP. */
	if (l->c->family == BH_FAMILY_BRIDGE && (load->net == NFT_NET_ARP || load->l4))
		r = emit_payload(l, NFT_PAYLOAD_LL_HEADER, 12, sizeof(type), 0);
	else
		r = emit_meta(l, NFT_META_PROTOCOL, 0);
	return r < 0 ? r : emit_cmp(l, NFT_CMP_EQ, &type, sizeof(type));
}

static int need_l4(struct linear *l, const struct nft_load *load)
{
	int r;

	if (l->l4 == load->l4)
		return l->l4_written ? linear_refuse(l, -EINVAL, "a match that the field after it implies must be left out") : 0;
	if (l->l4)
		return linear_refuse(l, -EINVAL, "fields of two transport protocols");
	l->l4 = load->l4;
	r = emit_meta(l, NFT_META_L4PROTO, 0);
	return r < 0 ? r : emit_cmp(l, NFT_CMP_EQ, &load->l4, sizeof(load->l4));
}

/* What must be matched before F is loaded. */
static int need(struct linear *l, enum bh_field f)
{
	const struct nft_load *load = nft_field_load(f);
	int r = 0;

	if (load->source == NFT_FROM_NOTHING)
		return linear_refuse(l, -EINVAL, "a field that does not exist");
	if (load->source != NFT_FROM_PAYLOAD)
		return 0;
	if (load->key == NFT_PAYLOAD_LL_HEADER && l->c->family == BH_FAMILY_NETDEV)	/* in the inet family behind a match on iiftype */
		return linear_refuse(l, -EOPNOTSUPP, "link-layer fields are not for the netdev family");
	/* nft would read it back as `udp dport` */
	if ((f == BH_TH_SPORT || f == BH_TH_DPORT) && l->l4 == IPPROTO_UDP)
		return linear_refuse(l, -EINVAL, "after a match on udp its ports are called udp sport and udp dport");
	if (load->net != NFT_NET_ANY)
		r = need_net(l, load);
	if (r == 0 && load->l4)
		r = need_l4(l, load);
	return r;
}

static int load_field(struct linear *l, enum bh_field f, size_t slot)
{
	const struct nft_load *load = nft_field_load(f);
	int r;

	switch (load->source) {
	case NFT_FROM_META:
		return emit_meta(l, load->key, slot);
	case NFT_FROM_CT:
		return emit_ct(l, load, slot);
	case NFT_FROM_PAYLOAD:
		r = emit_payload(l, load->key, load->offset, bh_field_info(f)->size, slot);
		if (r == 0 && load->mask)
			r = emit_bitwise(l, &load->mask, 1, slot);
		return r;
	case NFT_FROM_NOTHING:
		break;
	}
	return linear_refuse(l, -EINVAL, "a field that does not exist");
}

int linear_swap(struct linear *l, size_t slot)
{
	struct nftnl_expr *e = linear_expr(l, "byteorder");

	if (!e)
		return linear_no_expr(l);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BYTEORDER_SREG, nft_reg(slot));
	nftnl_expr_set_u32(e, NFTNL_EXPR_BYTEORDER_DREG, nft_reg(slot));
	nftnl_expr_set_u32(e, NFTNL_EXPR_BYTEORDER_OP, NFT_BYTEORDER_HTON);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BYTEORDER_LEN, sizeof(uint32_t));
	nftnl_expr_set_u32(e, NFTNL_EXPR_BYTEORDER_SIZE, sizeof(uint32_t));
	return 0;
}

int linear_key(struct linear *l, const struct bh_stmt *s, bool interval)
{
	size_t slot = 0;
	int r = 0;

	if (s->n_fields == 0 || s->n_fields > BH_FIELDS_MAX || bh_key_size(s->fields, s->n_fields) > BH_KEY_MAX)
		return linear_refuse(l, -EINVAL, "a key without fields, or too wide");
	for (size_t i = 0; i < s->n_fields && r == 0; i++)
		r = need(l, s->fields[i]);
	for (size_t i = 0; i < s->n_fields && r == 0; i++) {
		r = load_field(l, s->fields[i], slot);
		if (r == 0 && interval && nft_field_load(s->fields[i])->host)
			r = linear_swap(l, slot);
		slot += nft_padded(bh_field_info(s->fields[i])->size) / 4;
	}
	return r;
}

static void match_learn(struct linear *l, const struct bh_stmt *s)
{
	uint16_t type;

	if (s->op != BH_EQ)
		return;
	if (s->fields[0] == BH_L4PROTO) {
		l->l4 = s->value[0];
		l->l4_written = true;
	} else if (s->fields[0] == BH_NFPROTO && l->c->family == BH_FAMILY_INET) {
		l->net = s->value[0] == NFPROTO_IPV4 ? NFT_NET_IP : s->value[0] == NFPROTO_IPV6 ? NFT_NET_IP6 : NFT_NET_ANY;
		l->net_written = true;
	} else if (s->fields[0] == BH_ETHER_TYPE) {
		memcpy(&type, s->value, sizeof(type));
		for (enum nft_net n = NFT_NET_IP; n <= NFT_NET_ARP; n++)
			if (net_ethertype(n) == type) {
				l->net = n;
				l->net_written = true;
			}
	}
}

static bool mergeable_stmt(const struct bh_stmt *s)
{
	const struct nft_load *load = nft_field_load(s->fields[0]);

	return s->kind == BH_STMT_MATCH && s->op == BH_EQ && load->source == NFT_FROM_PAYLOAD && !load->mask;
}

/* nft's payload_can_merge(): neighbouring headers are loaded at once where that costs the kernel nothing. */
static bool mergeable(const struct nft_load *first, size_t len, const struct bh_stmt *next)
{
	const struct nft_load *load = nft_field_load(next->fields[0]);
	size_t next_len = bh_field_info(next->fields[0])->size;

	if (load->key != first->key || load->offset != first->offset + len || load->net != first->net || load->l4 != first->l4 ||
		len + next_len > 16)
		return false;
	if (len + next_len <= 4 && load->key != NFT_PAYLOAD_LL_HEADER)
		return true;
	return load->key == NFT_PAYLOAD_LL_HEADER || len > 4 || next_len > 4;
}

/* `field == value`, with the matches right after it that go into the same load; *I is left at the last of them. */
static int match_payload(struct linear *l, const struct bh_nft_rule *rule, size_t *i)
{
	const struct bh_stmt *s = &rule->stmts.v[*i];
	const struct nft_load *first = nft_field_load(s->fields[0]);
	size_t len = bh_field_info(s->fields[0])->size;
	uint8_t value[16];
	int r;

	memcpy(value, s->value, len);
	match_learn(l, s);
	while (*i + 1 < rule->stmts.n) {
		const struct bh_stmt *next = &rule->stmts.v[*i + 1];
		size_t next_len = bh_field_info(next->fields[0])->size;

		if (!mergeable_stmt(next) || !mergeable(first, len, next))
			break;
		memcpy(value + len, next->value, next_len);
		len += next_len;
		match_learn(l, next);
		(*i)++;
	}
	r = emit_payload(l, first->key, first->offset, (uint32_t)len, 0);
	return r < 0 ? r : emit_cmp(l, NFT_CMP_EQ, value, len);
}

/* How many bytes of an interface name a mask keeps; SIZE_MAX when it is no prefix. */
static size_t prefix_bytes(const uint8_t *mask, size_t size)
{
	size_t n = 0;

	while (n < size && mask[n] == 0xff)
		n++;
	for (size_t i = n; i < size; i++)
		if (mask[i])
			return SIZE_MAX;
	return n;
}

static int match_masked(struct linear *l, const struct bh_stmt *s, size_t size)
{
	static const uint8_t zero[16];
	int r;

	if (size == 16 && nft_field_load(s->fields[0])->source == NFT_FROM_META) {	/* "br-*" */
		size_t n = prefix_bytes(s->mask, size);

		if (s->op != BH_MASK_EQ || n == SIZE_MAX || n == 0)
			return linear_refuse(l, -EINVAL, "the mask of an interface name must be a prefix");
		return emit_cmp(l, NFT_CMP_EQ, s->value, n);
	}
	r = emit_bitwise(l, s->mask, size, 0);
	if (r < 0)
		return r;
	return s->op == BH_MASK_ANY ? emit_cmp(l, NFT_CMP_NEQ, zero, size) : emit_cmp(l, NFT_CMP_EQ, s->value, size);
}

static int match_ordered(struct linear *l, const struct bh_stmt *s, uint32_t op, size_t size)
{
	uint8_t value[16];

	memcpy(value, s->value, sizeof(value));
	if (nft_field_load(s->fields[0])->host && op != NFT_CMP_EQ && op != NFT_CMP_NEQ) {
		uint32_t v;
		int r = linear_swap(l, 0);	/* cmp compares bytes: only network order has the order of numbers */

		if (r < 0)
			return r;
		memcpy(&v, value, sizeof(v));
		v = htonl(v);
		memcpy(value, &v, sizeof(v));
	}
	value[0] = (uint8_t)(value[0] << nft_field_load(s->fields[0])->shift);
	return emit_cmp(l, op, value, size);
}

int linear_match(struct linear *l, const struct bh_nft_rule *rule, size_t *i)
{
	static const uint32_t ops[] = {
		[BH_EQ] = NFT_CMP_EQ, [BH_NE] = NFT_CMP_NEQ, [BH_LT] = NFT_CMP_LT, [BH_LE] = NFT_CMP_LTE,
		[BH_GT] = NFT_CMP_GT, [BH_GE] = NFT_CMP_GTE,
	};
	const struct bh_stmt *s = &rule->stmts.v[*i];
	size_t size = bh_field_info(s->fields[0])->size;
	int r;

	if (size == 0 || size > sizeof(s->value))
		return linear_refuse(l, -EINVAL, "a match without a field");
	r = need(l, s->fields[0]);
	if (r < 0)
		return r;
	if (mergeable_stmt(s))
		return match_payload(l, rule, i);
	r = load_field(l, s->fields[0], 0);
	if (r < 0)
		return r;
	if (s->op == BH_MASK_ANY || s->op == BH_MASK_EQ)
		return match_masked(l, s, size);
	r = match_ordered(l, s, ops[s->op], size);
	match_learn(l, s);
	return r;
}
