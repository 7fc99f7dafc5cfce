/* SPDX-License-Identifier: Apache-2.0 */
/* One rule of another program, in nft's own expressions. */
#include "foreign.h"

#include <errno.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <string.h>

#define TB_MAX 15

struct reading {
	const struct nft_foreign_sets *sets;
	struct bh_foreign_rule *rule;
	struct {
		bool known;
		struct bh_foreign_cond load;	/* field, offset, len, mask */
		struct bh_foreign_bytes flip;	/* after the mask */
	} regs[NFT_SLOTS];
	int error;
};

struct expr {
	const char *name;
	const struct nlattr *tb[TB_MAX + 1];
};

static struct bh_foreign_cond *add_cond(struct reading *r, enum bh_foreign_field field, enum bh_foreign_op op)
{
	struct bh_foreign_cond *c = nft_foreign_cond(r->rule, field, op);

	if (!c)
		r->error = -ENOMEM;
	return c;
}

/* A condition that may hold or not. */
static void unknown_cond(struct reading *r)
{
	(void)add_cond(r, BH_FOREIGN_OTHER, BH_FOREIGN_EQ);
}

static void forget_regs(struct reading *r)
{
	for (size_t i = 0; i < NFT_SLOTS; i++)
		r->regs[i].known = false;
}

static void load(struct reading *r, uint32_t reg, enum bh_foreign_field field, uint32_t offset, uint32_t len)
{
	size_t slot = nft_slot(reg);

	if (slot >= NFT_SLOTS)
		return;
	/* what was in the registers that this one covers, or that covered this one, is gone: only one is used at a time where it matters */
	forget_regs(r);
	if (field == BH_FOREIGN_OTHER || len == 0 || len > 16 || offset > UINT8_MAX)
		return;
	memset(&r->regs[slot], 0, sizeof(r->regs[slot]));
	r->regs[slot].known = true;
	r->regs[slot].load.field = field;
	r->regs[slot].load.offset = (uint8_t)offset;
	r->regs[slot].load.len = (uint8_t)len;
	memset(r->regs[slot].load.mask.b, 0xff, 16);
}

/* ---- loads */

static void on_meta(struct reading *r, const struct expr *e)
{
	static const struct {
		uint32_t key;
		enum bh_foreign_field field;
		uint32_t len;
	} keys[] = {
		{NFT_META_IIFNAME, BH_FOREIGN_IIFNAME, 16}, {NFT_META_OIFNAME, BH_FOREIGN_OIFNAME, 16},
		{NFT_META_L4PROTO, BH_FOREIGN_L4PROTO, 1}, {NFT_META_NFPROTO, BH_FOREIGN_NFPROTO, 1},
	};
	uint32_t key = nft_attr_u32(e->tb[NFTA_META_KEY]);

	if (!e->tb[NFTA_META_DREG])	/* it sets a mark or the like */
		return;
	for (size_t i = 0; i < BH_ARRAY_SIZE(keys); i++)
		if (keys[i].key == key) {
			load(r, nft_attr_u32(e->tb[NFTA_META_DREG]), keys[i].field, 0, keys[i].len);
			return;
		}
	load(r, nft_attr_u32(e->tb[NFTA_META_DREG]), BH_FOREIGN_OTHER, 0, 0);
}

static void on_ct(struct reading *r, const struct expr *e)
{
	uint32_t key = nft_attr_u32(e->tb[NFTA_CT_KEY]);

	if (e->tb[NFTA_CT_DREG])
		load(r, nft_attr_u32(e->tb[NFTA_CT_DREG]), key == NFT_CT_STATE ? BH_FOREIGN_CT_STATE : key == NFT_CT_STATUS ?
			BH_FOREIGN_CT_STATUS : BH_FOREIGN_OTHER, 0, 4);
}

static void on_payload(struct reading *r, const struct expr *e)
{
	uint32_t base = nft_attr_u32(e->tb[NFTA_PAYLOAD_BASE]);

	if (e->tb[NFTA_PAYLOAD_DREG])
		load(r, nft_attr_u32(e->tb[NFTA_PAYLOAD_DREG]), base == NFT_PAYLOAD_NETWORK_HEADER ? BH_FOREIGN_NETWORK :
			base == NFT_PAYLOAD_TRANSPORT_HEADER ? BH_FOREIGN_TRANSPORT : BH_FOREIGN_OTHER,
			nft_attr_u32(e->tb[NFTA_PAYLOAD_OFFSET]), nft_attr_u32(e->tb[NFTA_PAYLOAD_LEN]));
}

/* `fib daddr type`, and `fib saddr oif` with whatever narrows it: the sender is taken to have a way back. */
static void on_fib(struct reading *r, const struct expr *e)
{
	uint32_t result = nft_attr_u32(e->tb[NFTA_FIB_RESULT]), flags = nft_attr_u32(e->tb[NFTA_FIB_FLAGS]);
	enum bh_foreign_field field = BH_FOREIGN_OTHER;

	if (result == NFT_FIB_RESULT_ADDRTYPE && flags == NFTA_FIB_F_DADDR)
		field = BH_FOREIGN_DADDR_TYPE;
	else if ((result == NFT_FIB_RESULT_OIF || result == NFT_FIB_RESULT_OIFNAME) && (flags & NFTA_FIB_F_SADDR))
		field = BH_FOREIGN_ROUTE_BACK;
	load(r, nft_attr_u32(e->tb[NFTA_FIB_DREG]), field, 0, 4);
}

static void on_bitwise(struct reading *r, const struct expr *e)
{
	size_t from = nft_slot(nft_attr_u32(e->tb[NFTA_BITWISE_SREG])), to = nft_slot(nft_attr_u32(e->tb[NFTA_BITWISE_DREG]));
	uint32_t mask_len = 0, flip_len = 0;
	const void *mask = nft_attr_value(e->tb[NFTA_BITWISE_MASK], &mask_len), *flip = nft_attr_value(e->tb[NFTA_BITWISE_XOR], &flip_len);
	bool plain = nft_attr_u32(e->tb[NFTA_BITWISE_OP]) == 0;	/* NFT_BITWISE_BOOL, and mask with xor */

	if (from >= NFT_SLOTS || from != to || !r->regs[from].known || !plain || !mask || !flip || mask_len != r->regs[from].load.len ||
		flip_len != mask_len) {
		forget_regs(r);
		return;
	}
	for (uint32_t i = 0; i < mask_len; i++) {
		r->regs[from].load.mask.b[i] &= ((const uint8_t *)mask)[i];
		r->regs[from].flip.b[i] = (uint8_t)((r->regs[from].flip.b[i] & ((const uint8_t *)mask)[i]) ^ ((const uint8_t *)flip)[i]);
	}
}

/* ---- conditions */

static void compare(struct reading *r, uint32_t reg, enum bh_foreign_op op, const struct nlattr *data)
{
	size_t slot = nft_slot(reg);
	uint32_t len = 0;
	const uint8_t *value = nft_attr_value(data, &len);
	struct bh_foreign_cond *c;

	/* a name with a wildcard is compared up to it, anything else whole */
	if (slot >= NFT_SLOTS || !r->regs[slot].known || !value || len == 0 || len > r->regs[slot].load.len) {
		unknown_cond(r);
		return;
	}
	c = add_cond(r, BH_FOREIGN_OTHER, op);
	if (!c)
		return;
	c->field = r->regs[slot].load.field;
	c->offset = r->regs[slot].load.offset;
	c->mask = r->regs[slot].load.mask;
	c->len = (uint8_t)len;
	for (uint32_t i = 0; i < len; i++)
		c->value.b[i] = value[i] ^ r->regs[slot].flip.b[i];
	if ((op != BH_FOREIGN_EQ && op != BH_FOREIGN_NE) && c->field != BH_FOREIGN_NETWORK && c->field != BH_FOREIGN_TRANSPORT)
		c->field = BH_FOREIGN_OTHER;	/* host order has no order here */
}

static void on_cmp(struct reading *r, const struct expr *e)
{
	static const enum bh_foreign_op ops[] = {
		[NFT_CMP_EQ] = BH_FOREIGN_EQ, [NFT_CMP_NEQ] = BH_FOREIGN_NE, [NFT_CMP_LT] = BH_FOREIGN_LT, [NFT_CMP_LTE] = BH_FOREIGN_LE,
		[NFT_CMP_GT] = BH_FOREIGN_GT, [NFT_CMP_GTE] = BH_FOREIGN_GE,
	};
	uint32_t op = nft_attr_u32(e->tb[NFTA_CMP_OP]);

	if (op < BH_ARRAY_SIZE(ops))
		compare(r, nft_attr_u32(e->tb[NFTA_CMP_SREG]), ops[op], e->tb[NFTA_CMP_DATA]);
	else
		unknown_cond(r);
}

static void on_range(struct reading *r, const struct expr *e)
{
	uint32_t reg = nft_attr_u32(e->tb[NFTA_RANGE_SREG]);

	if (nft_attr_u32(e->tb[NFTA_RANGE_OP]) != NFT_RANGE_EQ) {
		unknown_cond(r);
		return;
	}
	compare(r, reg, BH_FOREIGN_GE, e->tb[NFTA_RANGE_FROM_DATA]);
	compare(r, reg, BH_FOREIGN_LE, e->tb[NFTA_RANGE_TO_DATA]);
}

static void on_lookup(struct reading *r, const struct expr *e)
{
	const char *name = nft_attr_str(e->tb[NFTA_LOOKUP_SET]);
	size_t slot = nft_slot(nft_attr_u32(e->tb[NFTA_LOOKUP_SREG]));
	bool inverted = e->tb[NFTA_LOOKUP_FLAGS] && nft_attr_u32(e->tb[NFTA_LOOKUP_FLAGS]);
	struct bh_foreign_cond *c;

	if (e->tb[NFTA_LOOKUP_DREG]) {
		unknown_cond(r);
		if (nft_attr_u32(e->tb[NFTA_LOOKUP_DREG]) == NFT_REG_VERDICT)
			r->rule->effect = BH_FOREIGN_ANYTHING;
		forget_regs(r);
		return;
	}
	bh_vec_foreach(s, &r->sets->v) {
		if (!name || strcmp(s->name, name) != 0)
			continue;
		if (!s->plain || slot >= NFT_SLOTS || !r->regs[slot].known || s->key_len != r->regs[slot].load.len)
			break;
		c = add_cond(r, r->regs[slot].load.field, inverted ? BH_FOREIGN_NE : BH_FOREIGN_EQ);
		if (!c)
			return;
		c->offset = r->regs[slot].load.offset;
		c->mask = r->regs[slot].load.mask;
		c->len = r->regs[slot].load.len;
		c->set = true;
		bh_vec_foreach(v, &s->values)
			if (bh_vec_push(&c->values, *v) < 0)
				r->error = -ENOMEM;
		return;
	}
	unknown_cond(r);
}

/* ---- what iptables-nft leaves to x_tables: foreign_xt.c */

static void on_match(struct reading *r, const struct expr *e)
{
	if (nft_foreign_match(nft_attr_str(e->tb[NFTA_MATCH_NAME]), nft_attr_u32(e->tb[NFTA_MATCH_REV]), e->tb[NFTA_MATCH_INFO], r->rule) < 0)
		r->error = -ENOMEM;
}

static void on_target(struct reading *r, const struct expr *e)
{
	r->rule->effect = nft_foreign_target(nft_attr_str(e->tb[NFTA_TARGET_NAME]));
}

/* ---- effects */

static void on_immediate(struct reading *r, const struct expr *e)
{
	const struct nlattr *data[NFTA_DATA_MAX + 1], *verdict[NFTA_VERDICT_MAX + 1];
	uint32_t code;

	if (nft_attr_u32(e->tb[NFTA_IMMEDIATE_DREG]) != NFT_REG_VERDICT || !e->tb[NFTA_IMMEDIATE_DATA]) {
		forget_regs(r);
		return;
	}
	nft_attr_nested(e->tb[NFTA_IMMEDIATE_DATA], data, NFTA_DATA_MAX);
	r->rule->effect = BH_FOREIGN_ANYTHING;
	if (!data[NFTA_DATA_VERDICT])
		return;
	nft_attr_nested(data[NFTA_DATA_VERDICT], verdict, NFTA_VERDICT_MAX);
	code = nft_attr_u32(verdict[NFTA_VERDICT_CODE]);
	switch (nft_verdict_from((int32_t)code)) {
	case BH_ACCEPT:
		r->rule->effect = BH_FOREIGN_ACCEPT;
		return;
	case BH_DROP:
		r->rule->effect = BH_FOREIGN_DROP;
		return;
	case BH_RETURN:
		r->rule->effect = BH_FOREIGN_RETURN;
		return;
	case BH_CONTINUE:
		r->rule->effect = BH_FOREIGN_NOTHING;
		return;
	case BH_JUMP:
	case BH_GOTO:
		r->rule->effect = nft_verdict_from((int32_t)code) == BH_JUMP ? BH_FOREIGN_JUMP : BH_FOREIGN_GOTO;
		if (bh_strdup(&r->rule->chain, nft_attr_str(verdict[NFTA_VERDICT_CHAIN])) < 0)
			r->error = -ENOMEM;
		return;
	case BH_VERDICT_NONE:	/* queue */
		return;
	}
}

static void on_reject(struct reading *r, const struct expr *e)
{
	(void)e;
	r->rule->effect = BH_FOREIGN_DROP;
}

static void on_nat(struct reading *r, const struct expr *e)
{
	r->rule->effect = nft_attr_u32(e->tb[NFTA_NAT_TYPE]) == NFT_NAT_DNAT ? BH_FOREIGN_DNAT : BH_FOREIGN_ACCEPT;
}

static void on_anything(struct reading *r, const struct expr *e)
{
	(void)e;
	r->rule->effect = BH_FOREIGN_ANYTHING;
}

static void on_nothing(struct reading *r, const struct expr *e)
{
	(void)r, (void)e;
}

static const struct {
	const char *name;
	void (*read)(struct reading *r, const struct expr *e);
} EXPRS[] = {
	{"meta", on_meta}, {"ct", on_ct}, {"payload", on_payload}, {"fib", on_fib}, {"bitwise", on_bitwise}, {"cmp", on_cmp},
	{"range", on_range}, {"lookup", on_lookup}, {"match", on_match}, {"target", on_target}, {"immediate", on_immediate},
	{"reject", on_reject}, {"nat", on_nat}, {"masq", on_nothing}, {"redir", on_anything}, {"queue", on_anything}, {"fwd", on_anything},
	{"tproxy", on_anything}, {"synproxy", on_anything}, {"counter", on_nothing}, {"log", on_nothing}, {"objref", on_nothing},
	{"notrack", on_nothing}, {"flow_offload", on_nothing},
};

int nft_foreign_rule(const struct nlattr *exprs, const struct nft_foreign_sets *sets, struct bh_foreign_rule *ret)
{
	struct reading r = {.sets = sets, .rule = ret};
	const struct nlattr *attr;

	if (!exprs)
		return 0;
	mnl_attr_for_each_nested(attr, exprs) {
		const struct nlattr *tb[NFTA_EXPR_MAX + 1];
		struct expr e = {0};
		bool found = false;

		nft_attr_nested(attr, tb, NFTA_EXPR_MAX);
		e.name = nft_attr_str(tb[NFTA_EXPR_NAME]);
		if (tb[NFTA_EXPR_DATA])
			nft_attr_nested(tb[NFTA_EXPR_DATA], e.tb, TB_MAX);
		for (size_t i = 0; e.name && i < BH_ARRAY_SIZE(EXPRS) && !found; i++)
			if (strcmp(EXPRS[i].name, e.name) == 0) {
				EXPRS[i].read(&r, &e);
				found = true;
			}
		if (!found) {	/* a limit, a quota, …: it goes on or not, and may have used any register */
			unknown_cond(&r);
			forget_regs(&r);
		}
	}
	return r.error;
}
