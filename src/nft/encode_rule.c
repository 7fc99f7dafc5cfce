/* SPDX-License-Identifier: Apache-2.0 */
/* A rule of the IR as the expressions and registers that nft 1.0.6 would generate (compare `nft --debug=netlink -c -f`),
 * with the matches that nft adds by itself so that a payload field means what it says. */
#include "internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libnftnl/expr.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

struct linear {
	struct nft_batch *b;
	const struct bh_change *c;
	size_t rule;
	struct bh_error *err;
	struct nftnl_rule *nl;
	size_t n_exprs;
	/* what an earlier match in this rule has established, and whether that match was written out */
	enum nft_net net;
	uint8_t l4;
	bool net_written, l4_written;
};

static int refuse(struct linear *l, int code, const char *why)
{
	return bh_fail(l->err, code, "chain %s %s, rule %zu: %s", nft_family_name(l->c->family), l->c->chain->name, l->rule + 1,
		why);
}

static struct nftnl_expr *expr_add(struct linear *l, const char *name)
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

static int no_expr(struct linear *l)
{
	return l->n_exprs >= NFT_EXPRS_MAX ? refuse(l, -E2BIG, "more than 128 expressions") : -ENOMEM;
}

static int emit_meta(struct linear *l, uint32_t key, size_t slot)
{
	struct nftnl_expr *e = expr_add(l, "meta");

	if (!e)
		return no_expr(l);
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, key);
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_DREG, nft_reg(slot));
	return 0;
}

static int emit_payload(struct linear *l, uint32_t base, uint32_t offset, uint32_t len, size_t slot)
{
	struct nftnl_expr *e = expr_add(l, "payload");

	if (!e)
		return no_expr(l);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_DREG, nft_reg(slot));
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_BASE, base);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_LEN, len);
	return 0;
}

static int emit_ct(struct linear *l, const struct nft_load *load, size_t slot)
{
	struct nftnl_expr *e = expr_add(l, "ct");

	if (!e)
		return no_expr(l);
	nftnl_expr_set_u32(e, NFTNL_EXPR_CT_KEY, load->key);
	if (load->dir >= 0)
		nftnl_expr_set_u8(e, NFTNL_EXPR_CT_DIR, (uint8_t)load->dir);
	nftnl_expr_set_u32(e, NFTNL_EXPR_CT_DREG, nft_reg(slot));
	return 0;
}

static int emit_cmp(struct linear *l, uint32_t op, const void *data, size_t len)
{
	struct nftnl_expr *e = expr_add(l, "cmp");

	if (!e)
		return no_expr(l);
	nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_SREG, NFT_REG_1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_OP, op);
	return nftnl_expr_set(e, NFTNL_EXPR_CMP_DATA, data, (uint32_t)len) < 0 ? -ENOMEM : 0;
}

static int emit_bitwise(struct linear *l, const void *mask, size_t len, size_t slot)
{
	static const uint8_t zero[16];
	struct nftnl_expr *e = expr_add(l, "bitwise");

	if (!e)
		return no_expr(l);
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
		return l->net_written ? refuse(l, -EINVAL, "a match that the field after it implies must be left out") : 0;
	if (l->net != NFT_NET_ANY)
		return refuse(l, -EINVAL, "fields of two network protocols");
	l->net = load->net;
	if (l->c->family == BH_FAMILY_INET) {
		if (load->net == NFT_NET_ARP)
			return refuse(l, -EOPNOTSUPP, "the inet family sees no ARP");
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
		return l->l4_written ? refuse(l, -EINVAL, "a match that the field after it implies must be left out") : 0;
	if (l->l4)
		return refuse(l, -EINVAL, "fields of two transport protocols");
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
		return refuse(l, -EINVAL, "a field that does not exist");
	if (load->source != NFT_FROM_PAYLOAD)
		return 0;
	if (load->key == NFT_PAYLOAD_LL_HEADER && l->c->family != BH_FAMILY_BRIDGE)
		return refuse(l, -EOPNOTSUPP, "link-layer fields are for the bridge family");
	/* nft would read it back as `udp dport` */
	if ((f == BH_TH_SPORT || f == BH_TH_DPORT) && l->l4 == IPPROTO_UDP)
		return refuse(l, -EINVAL, "after a match on udp its ports are called udp sport and udp dport");
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
	return refuse(l, -EINVAL, "a field that does not exist");
}

/* A concatenation in adjacent registers. */
static int load_key(struct linear *l, const struct bh_stmt *s)
{
	size_t slot = 0;
	int r = 0;

	if (s->n_fields == 0 || s->n_fields > BH_FIELDS_MAX || bh_key_size(s->fields, s->n_fields) > BH_KEY_MAX)
		return refuse(l, -EINVAL, "a key without fields, or too wide");
	for (size_t i = 0; i < s->n_fields && r == 0; i++)
		r = need(l, s->fields[i]);
	for (size_t i = 0; i < s->n_fields && r == 0; i++) {
		r = load_field(l, s->fields[i], slot);
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
			return refuse(l, -EINVAL, "the mask of an interface name must be a prefix");
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
	struct nftnl_expr *e;

	memcpy(value, s->value, sizeof(value));
	if (nft_field_load(s->fields[0])->host && op != NFT_CMP_EQ && op != NFT_CMP_NEQ) {
		uint32_t v;

		/* cmp compares bytes: only network order has the order of numbers */
		e = expr_add(l, "byteorder");
		if (!e)
			return no_expr(l);
		nftnl_expr_set_u32(e, NFTNL_EXPR_BYTEORDER_SREG, NFT_REG_1);
		nftnl_expr_set_u32(e, NFTNL_EXPR_BYTEORDER_DREG, NFT_REG_1);
		nftnl_expr_set_u32(e, NFTNL_EXPR_BYTEORDER_OP, NFT_BYTEORDER_HTON);
		nftnl_expr_set_u32(e, NFTNL_EXPR_BYTEORDER_LEN, sizeof(v));
		nftnl_expr_set_u32(e, NFTNL_EXPR_BYTEORDER_SIZE, sizeof(v));
		memcpy(&v, value, sizeof(v));
		v = htonl(v);
		memcpy(value, &v, sizeof(v));
	}
	value[0] = (uint8_t)(value[0] << nft_field_load(s->fields[0])->shift);
	return emit_cmp(l, op, value, size);
}

static int stmt_match(struct linear *l, const struct bh_nft_rule *rule, size_t *i)
{
	static const uint32_t ops[] = {
		[BH_EQ] = NFT_CMP_EQ, [BH_NE] = NFT_CMP_NEQ, [BH_LT] = NFT_CMP_LT, [BH_LE] = NFT_CMP_LTE,
		[BH_GT] = NFT_CMP_GT, [BH_GE] = NFT_CMP_GTE,
	};
	const struct bh_stmt *s = &rule->stmts.v[*i];
	size_t size = bh_field_info(s->fields[0])->size;
	int r;

	if (size == 0 || size > sizeof(s->value))
		return refuse(l, -EINVAL, "a match without a field");
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

static int stmt_anonymous(struct linear *l, const struct bh_stmt *s, enum bh_data data, uint32_t id, const char *name)
{
	struct bh_set set = {.n_key = s->n_fields, .data = data};
	struct nft_elems how = {.family = l->c->family, .set = name, .id = id, .key = s->fields, .n_key = s->n_fields, .data = data};
	BH_VEC(const struct bh_elem *) elems = {0};
	static const uint8_t zero[BH_KEY_MAX];
	int r = 0;

	snprintf(set.name, sizeof(set.name), "%s", name);
	memcpy(set.key, s->fields, sizeof(set.key));
	how.shift = s->n_fields == 1 ? nft_field_load(s->fields[0])->shift : 0;
	for (size_t i = 0; i < s->elems.n && r == 0; i++) {
		const struct bh_elem *e = &s->elems.v[i];

		if (memcmp(e->key_end, e->key, sizeof(e->key)) > 0)
			set.flags |= BH_SET_INTERVAL;
		r = bh_vec_push(&elems, e);
	}
	how.interval = set.flags & BH_SET_INTERVAL;
	for (size_t i = 0; i < elems.n && r == 0; i++)
		if (memcmp(elems.v[i]->key_end, how.interval ? elems.v[i]->key : zero, sizeof(zero)) != 0 &&
			(!how.interval || memcmp(elems.v[i]->key_end, elems.v[i]->key, sizeof(zero)) < 0))
			r = refuse(l, -EINVAL, "in an anonymous set either all elements have an end or none");
	if (r == 0)
		r = nft_encode_set(l->b, l->c, &set, id, true, how.interval ? 2 * s->elems.n + 1 : s->elems.n, l->rule, l->err);
	if (r == 0)
		r = nft_encode_elems(l->b, NFT_MSG_NEWSETELEM, l->c, l->rule, &how, elems.v, elems.n);
	bh_vec_clear(&elems);
	return r;
}

static int stmt_lookup(struct linear *l, const struct bh_stmt *s, enum bh_data data)
{
	const char *name = *s->set ? s->set : data == BH_DATA_NONE ? "__set%d" : "__map%d";
	uint32_t id = 0;
	struct nftnl_expr *e;
	int r;

	for (size_t i = 0; i < s->n_fields && i < BH_FIELDS_MAX; i++)
		if (nft_field_load(s->fields[i])->shift && (*s->set || s->n_fields > 1))
			return refuse(l, -EOPNOTSUPP, "ip dscp can only be looked up alone, in an anonymous set");
	if (!*s->set) {
		id = ++l->b->next_set_id;
		r = stmt_anonymous(l, s, data, id, name);
		if (r < 0)
			return r;
	}
	r = load_key(l, s);
	if (r < 0)
		return r;
	e = expr_add(l, "lookup");
	if (!e)
		return no_expr(l);
	nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_SREG, NFT_REG_1);
	if (data == BH_DATA_VERDICT)
		nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_DREG, NFT_REG_VERDICT);
	else if (data == BH_DATA_PRIORITY)
		nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_DREG, NFT_REG_1);
	if (nftnl_expr_set_str(e, NFTNL_EXPR_LOOKUP_SET, name) < 0)
		return -ENOMEM;
	if (id)
		nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_SET_ID, id);
	if (s->op == BH_NE && data == BH_DATA_NONE)
		nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
	return 0;
}

static int emit_immediate(struct linear *l, uint32_t value)
{
	struct nftnl_expr *e = expr_add(l, "immediate");

	if (!e)
		return no_expr(l);
	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, NFT_REG_1);
	return nftnl_expr_set(e, NFTNL_EXPR_IMM_DATA, &value, sizeof(value)) < 0 ? -ENOMEM : 0;
}

static int emit_set_priority(struct linear *l)
{
	struct nftnl_expr *e = expr_add(l, "meta");

	if (!e)
		return no_expr(l);
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, NFT_META_PRIORITY);
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_SREG, NFT_REG_1);
	return 0;
}

static int stmt_verdict(struct linear *l, const struct bh_stmt *s)
{
	struct nftnl_expr *e = expr_add(l, "immediate");

	if (!e)
		return no_expr(l);
	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_VERDICT, (uint32_t)nft_verdict(s->verdict));
	if (s->verdict != BH_JUMP && s->verdict != BH_GOTO)
		return 0;
	return nftnl_expr_set_str(e, NFTNL_EXPR_IMM_CHAIN, s->chain) < 0 ? -ENOMEM : 0;
}

static int stmt_counter(struct linear *l, const struct bh_stmt *s)
{
	struct nftnl_expr *e = expr_add(l, "objref");

	if (!e)
		return no_expr(l);
	nftnl_expr_set_u32(e, NFTNL_EXPR_OBJREF_IMM_TYPE, NFT_OBJECT_COUNTER);
	return nftnl_expr_set_str(e, NFTNL_EXPR_OBJREF_IMM_NAME, s->set) < 0 ? -ENOMEM : 0;
}

#define NFT_DEFAULT_BURST 5	/* what nft sends for `limit rate N/second` */

static int stmt_limit(struct linear *l, const struct bh_stmt *s)
{
	struct nftnl_expr *e = expr_add(l, "limit");

	if (!e)
		return no_expr(l);
	nftnl_expr_set_u64(e, NFTNL_EXPR_LIMIT_RATE, s->number);
	nftnl_expr_set_u64(e, NFTNL_EXPR_LIMIT_UNIT, 1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_LIMIT_BURST, NFT_DEFAULT_BURST);
	nftnl_expr_set_u32(e, NFTNL_EXPR_LIMIT_TYPE, NFT_LIMIT_PKTS);
	nftnl_expr_set_u32(e, NFTNL_EXPR_LIMIT_FLAGS, 0);
	return 0;
}

static int stmt_log(struct linear *l, const struct bh_stmt *s)
{
	struct nftnl_expr *e = expr_add(l, "log");

	if (!e)
		return no_expr(l);
	if (s->number > UINT16_MAX)
		return refuse(l, -EINVAL, "a log group above 65535");
	nftnl_expr_set_u16(e, NFTNL_EXPR_LOG_GROUP, (uint16_t)s->number);
	return nftnl_expr_set_str(e, NFTNL_EXPR_LOG_PREFIX, s->prefix) < 0 ? -ENOMEM : 0;
}

static int stmt_reject(struct linear *l, const struct bh_stmt *s)
{
	struct nftnl_expr *e = expr_add(l, "reject");

	if (!e)
		return no_expr(l);
	if (s->number == BH_REJECT_TCP_RESET) {
		nftnl_expr_set_u32(e, NFTNL_EXPR_REJECT_TYPE, NFT_REJECT_TCP_RST);
		nftnl_expr_set_u8(e, NFTNL_EXPR_REJECT_CODE, 0);
	} else {
		nftnl_expr_set_u32(e, NFTNL_EXPR_REJECT_TYPE, NFT_REJECT_ICMPX_UNREACH);
		nftnl_expr_set_u8(e, NFTNL_EXPR_REJECT_CODE, NFT_REJECT_ICMPX_ADMIN_PROHIBITED);
	}
	return 0;
}

static int stmt_update(struct linear *l, const struct bh_stmt *s)
{
	struct nftnl_expr *e;
	int r = load_key(l, s);

	if (r < 0)
		return r;
	e = expr_add(l, "dynset");
	if (!e)
		return no_expr(l);
	nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_SREG_KEY, NFT_REG_1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_OP, NFT_DYNSET_OP_UPDATE);
	if (s->number)
		nftnl_expr_set_u64(e, NFTNL_EXPR_DYNSET_TIMEOUT, s->number);
	return nftnl_expr_set_str(e, NFTNL_EXPR_DYNSET_SET_NAME, s->set) < 0 ? -ENOMEM : 0;
}

static int stmt_fwd(struct linear *l, const struct bh_stmt *s)
{
	uint32_t ifindex = if_nametoindex(s->set);
	struct nftnl_expr *e;
	int r;

	if (ifindex == 0)
		return bh_fail(l->err, -ENODEV, "chain %s %s, rule %zu: no device %s", nft_family_name(l->c->family),
			l->c->chain->name, l->rule + 1, s->set);
	r = emit_immediate(l, ifindex);
	if (r < 0)
		return r;
	e = expr_add(l, "fwd");
	if (!e)
		return no_expr(l);
	nftnl_expr_set_u32(e, NFTNL_EXPR_FWD_SREG_DEV, NFT_REG_1);
	return 0;
}

static int stmt_encode(struct linear *l, const struct bh_nft_rule *rule, size_t *i)
{
	const struct bh_stmt *s = &rule->stmts.v[*i];
	int r;

	switch (s->kind) {
	case BH_STMT_MATCH:
		return stmt_match(l, rule, i);
	case BH_STMT_LOOKUP:
		return stmt_lookup(l, s, BH_DATA_NONE);
	case BH_STMT_VMAP:
		return stmt_lookup(l, s, BH_DATA_VERDICT);
	case BH_STMT_SET_PRIORITY:
		r = emit_immediate(l, s->number);
		return r < 0 ? r : emit_set_priority(l);
	case BH_STMT_MAP_PRIORITY:
		r = stmt_lookup(l, s, BH_DATA_PRIORITY);
		return r < 0 ? r : emit_set_priority(l);
	case BH_STMT_COUNTER:
		return stmt_counter(l, s);
	case BH_STMT_LIMIT:
		return stmt_limit(l, s);
	case BH_STMT_LOG:
		return stmt_log(l, s);
	case BH_STMT_REJECT:
		return stmt_reject(l, s);
	case BH_STMT_VERDICT:
		return stmt_verdict(l, s);
	case BH_STMT_UPDATE:
		return stmt_update(l, s);
	case BH_STMT_FWD:
		return stmt_fwd(l, s);
	case BH_STMT_FOREIGN:
		break;
	}
	return refuse(l, -EINVAL, "a statement that this program does not write");
}

static void rule_freep(struct nftnl_rule **r)
{
	if (*r)
		nftnl_rule_free(*r);
}

int nft_encode_rule(struct nft_batch *b, const struct bh_change *c, size_t rule, struct bh_error *err)
{
	_cleanup_(rule_freep) struct nftnl_rule *nl = nftnl_rule_alloc();
	struct linear l = {.b = b, .c = c, .rule = rule, .err = err, .nl = nl};
	const struct bh_nft_rule *r = &c->chain->rules.v[rule];
	struct nlmsghdr *nlh;
	int ret;

	if (!nl || nftnl_rule_set_str(nl, NFTNL_RULE_TABLE, NFT_TABLE_NAME) < 0 ||
		nftnl_rule_set_str(nl, NFTNL_RULE_CHAIN, c->chain->name) < 0)
		return -ENOMEM;
	/* anonymous sets go into the batch before the rule, while it is being put together */
	for (size_t i = 0; i < r->stmts.n; i++) {
		ret = stmt_encode(&l, r, &i);
		if (ret < 0)
			return ret;
	}
	nlh = nft_batch_message(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, nft_family(c->family), c, rule);
	if (!nlh)
		return -ENOMEM;
	nftnl_rule_nlmsg_build_payload(nlh, nl);
	nft_batch_commit(b, nlh);
	return 0;
}
