/* SPDX-License-Identifier: Apache-2.0 */
/* The expressions of a rule as statements of the IR: the inverse of encode_rule.c, for its own forms and those that nft 1.0.6
 * makes of the same text. Anything else makes the whole rule foreign. */
#include "delinear.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

static int copy_name(struct delinear *d, const struct nlattr *from, char to[BH_NAME])
{
	return nft_attr_name(from, to, BH_NAME) < 0 ? delinear_foreign(d) : 0;
}

/* ---- keys and sets */

/* The fields that make up SET's key from register NUMBER on. */
static int key_gather(struct delinear *d, uint32_t number, const struct nft_seen_set *set, struct bh_stmt *s)
{
	bool interval = set->kernel_flags & NFT_SET_INTERVAL;
	size_t len = set->key_len;
	size_t slot = nft_slot(number), off = 0;

	while (off < len) {
		const struct reg *r = slot < NFT_SLOTS ? &d->regs[slot] : NULL;
		const struct nft_load *load;

		if (!r || r->kind != REG_FIELDS || r->n_fields != 1 || s->n_fields == BH_FIELDS_MAX)
			return delinear_foreign(d);
		load = nft_field_load(r->fields[0]);
		if (r->swapped != (interval && load->host))
			return delinear_foreign(d);
		if (r->masked != (load->mask != 0) || (r->masked && r->mask[0] != load->mask))
			return delinear_foreign(d);
		s->fields[s->n_fields++] = r->fields[0];
		off += nft_padded(r->len);
		slot += nft_padded(r->len) / 4;
	}
	return nft_key_len(s->fields, s->n_fields) == len ? 0 : delinear_foreign(d);
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

static int on_lookup(struct delinear *d, const struct nft_expr *e)
{
	const char *name = nft_attr_str(e->tb[NFTA_LOOKUP_SET]);
	const struct nft_seen_set *set = name ? nft_seen_set_find(d->sets, name) : NULL;
	bool inverted = e->tb[NFTA_LOOKUP_FLAGS] && nft_attr_u32(e->tb[NFTA_LOOKUP_FLAGS]);
	bool has_dreg = e->tb[NFTA_LOOKUP_DREG];
	struct bh_stmt s = {.kind = BH_STMT_LOOKUP, .op = inverted ? BH_NE : BH_EQ}, *to = NULL;
	struct reg *r;
	int ret;

	if (!set || !set->known || has_dreg != (set->set.data != BH_DATA_NONE) ||
		key_gather(d, nft_attr_u32(e->tb[NFTA_LOOKUP_SREG]), set, &s) < 0)
		return delinear_foreign(d);
	ret = set->anonymous ? anonymous_take(d, set, &s) : copy_name(d, e->tb[NFTA_LOOKUP_SET], s.set);
	if (ret == 0 && has_dreg && set->set.data == BH_DATA_PRIORITY) {
		r = delinear_reg_fresh(d, nft_attr_u32(e->tb[NFTA_LOOKUP_DREG]), sizeof(r->number));
		if (r) {
			s.kind = BH_STMT_MAP_PRIORITY;
			r->kind = REG_MAPPED;
			to = &r->map;
		}
	} else if (ret == 0 && (!has_dreg || nft_attr_u32(e->tb[NFTA_LOOKUP_DREG]) == NFT_REG_VERDICT)) {
		s.kind = has_dreg ? BH_STMT_VMAP : BH_STMT_LOOKUP;
		to = delinear_stmt(d, s.kind);
	}
	if (!to) {
		bh_stmt_clear(&s);
		return delinear_foreign(d);
	}
	*to = s;
	return 0;
}

static bool meter_limit(const struct nlattr *const *tb, struct bh_stmt *s)
{
	uint64_t unit = nft_attr_u64(tb[NFTA_LIMIT_UNIT]), rate = nft_attr_u64(tb[NFTA_LIMIT_RATE]);

	if ((unit != 1 && unit != 60) || rate > UINT32_MAX || nft_attr_u32(tb[NFTA_LIMIT_BURST]) != rate ||
		nft_attr_u32(tb[NFTA_LIMIT_TYPE]) != NFT_LIMIT_PKTS || nft_attr_u32(tb[NFTA_LIMIT_FLAGS]) != 0)
		return false;
	s->meter = unit == 1 ? BH_METER_PER_SECOND : BH_METER_PER_MINUTE;
	s->meter_n = (uint32_t)rate;
	return true;
}

/* The one expression that an updated element may keep. */
static bool meter_decode(const struct nlattr *expr, struct bh_stmt *s)
{
	const struct nlattr *tb[NFTA_EXPR_MAX + 1], *data[NFTA_LIMIT_MAX + 1];
	const char *name;

	nft_attr_nested(expr, tb, NFTA_EXPR_MAX);
	name = nft_attr_str(tb[NFTA_EXPR_NAME]);
	if (!name || !tb[NFTA_EXPR_DATA])
		return false;
	nft_attr_nested(tb[NFTA_EXPR_DATA], data, NFTA_LIMIT_MAX);
	if (strcmp(name, "limit") == 0)
		return meter_limit(data, s);
	if (strcmp(name, "connlimit") != 0 || (data[NFTA_CONNLIMIT_FLAGS] && nft_attr_u32(data[NFTA_CONNLIMIT_FLAGS])))
		return false;
	s->meter = BH_METER_FLOWS;
	s->meter_n = nft_attr_u32(data[NFTA_CONNLIMIT_COUNT]);
	return true;
}

static int on_dynset(struct delinear *d, const struct nft_expr *e)
{
	const char *name = nft_attr_str(e->tb[NFTA_DYNSET_SET_NAME]);
	const struct nft_seen_set *set = name ? nft_seen_set_find(d->sets, name) : NULL;
	uint64_t timeout = e->tb[NFTA_DYNSET_TIMEOUT] ? nft_attr_u64(e->tb[NFTA_DYNSET_TIMEOUT]) : 0;
	uint32_t op = nft_attr_u32(e->tb[NFTA_DYNSET_OP]);
	struct bh_stmt *s;

	if (!set || !set->known || set->anonymous || (op != NFT_DYNSET_OP_UPDATE && op != NFT_DYNSET_OP_DELETE) ||
		(op == NFT_DYNSET_OP_DELETE && (timeout || e->tb[NFTA_DYNSET_EXPR])) ||
		e->tb[NFTA_DYNSET_SREG_DATA] || e->tb[NFTA_DYNSET_EXPRESSIONS] || timeout > UINT32_MAX ||
		(e->tb[NFTA_DYNSET_FLAGS] && (nft_attr_u32(e->tb[NFTA_DYNSET_FLAGS]) & ~(uint32_t)NFT_DYNSET_F_EXPR)))
		return delinear_foreign(d);
	s = delinear_stmt(d, BH_STMT_UPDATE);
	if (!s || copy_name(d, e->tb[NFTA_DYNSET_SET_NAME], s->set) < 0)
		return -1;
	s->number = (uint32_t)timeout;
	s->take_out = op == NFT_DYNSET_OP_DELETE;
	if (e->tb[NFTA_DYNSET_EXPR] && !meter_decode(e->tb[NFTA_DYNSET_EXPR], s))
		return delinear_foreign(d);
	return key_gather(d, nft_attr_u32(e->tb[NFTA_DYNSET_SREG_KEY]), set, s);
}

/* ---- the rest */

static int on_immediate(struct delinear *d, const struct nft_expr *e)
{
	const struct nlattr *tb[NFTA_DATA_MAX + 1], *v[NFTA_VERDICT_MAX + 1];
	uint32_t reg = nft_attr_u32(e->tb[NFTA_IMMEDIATE_DREG]), len = 0;
	const void *data;
	struct bh_stmt *s;
	struct reg *r;

	if (reg == NFT_REG_VERDICT) {
		s = delinear_stmt(d, BH_STMT_VERDICT);
		if (!s)
			return -1;
		if (!e->tb[NFTA_IMMEDIATE_DATA])
			return delinear_foreign(d);
		nft_attr_nested(e->tb[NFTA_IMMEDIATE_DATA], tb, NFTA_DATA_MAX);
		if (!tb[NFTA_DATA_VERDICT])
			return delinear_foreign(d);
		nft_attr_nested(tb[NFTA_DATA_VERDICT], v, NFTA_VERDICT_MAX);
		s->verdict = nft_verdict_from((int32_t)nft_attr_u32(v[NFTA_VERDICT_CODE]));
		if (s->verdict == BH_JUMP || s->verdict == BH_GOTO)
			return copy_name(d, v[NFTA_VERDICT_CHAIN], s->chain);
		return s->verdict == BH_VERDICT_NONE ? delinear_foreign(d) : 0;
	}
	data = nft_attr_value(e->tb[NFTA_IMMEDIATE_DATA], &len);
	r = delinear_reg_fresh(d, reg, sizeof(r->number));
	if (!r || !data || len != sizeof(r->number))
		return delinear_foreign(d);
	r->kind = REG_NUMBER;
	memcpy(&r->number, data, sizeof(r->number));
	return 0;
}

static int on_objref(struct delinear *d, const struct nft_expr *e)
{
	struct bh_stmt *s;

	if (!e->tb[NFTA_OBJREF_IMM_TYPE] ||
		nft_attr_u32(e->tb[NFTA_OBJREF_IMM_TYPE]) != NFT_OBJECT_COUNTER)
		return delinear_foreign(d);
	s = delinear_stmt(d, BH_STMT_COUNTER);
	return s ? copy_name(d, e->tb[NFTA_OBJREF_IMM_NAME], s->set) : -1;
}

static int on_limit(struct delinear *d, const struct nft_expr *e)
{
	struct bh_stmt *s;

	if (nft_attr_u64(e->tb[NFTA_LIMIT_UNIT]) != 1 || nft_attr_u32(e->tb[NFTA_LIMIT_BURST]) != 5 ||
		nft_attr_u32(e->tb[NFTA_LIMIT_TYPE]) != NFT_LIMIT_PKTS ||
		nft_attr_u32(e->tb[NFTA_LIMIT_FLAGS]) != 0 || nft_attr_u64(e->tb[NFTA_LIMIT_RATE]) > UINT32_MAX)
		return delinear_foreign(d);
	s = delinear_stmt(d, BH_STMT_LIMIT);
	if (!s)
		return -1;
	s->number = (uint32_t)nft_attr_u64(e->tb[NFTA_LIMIT_RATE]);
	return 0;
}

static int on_log(struct delinear *d, const struct nft_expr *e)
{
	const char *prefix = nft_attr_str(e->tb[NFTA_LOG_PREFIX]);
	struct bh_stmt *s;

	if (!e->tb[NFTA_LOG_GROUP] || e->tb[NFTA_LOG_LEVEL] ||
		e->tb[NFTA_LOG_FLAGS] ||
		nft_attr_u32(e->tb[NFTA_LOG_SNAPLEN]) != 0 || nft_attr_u16(e->tb[NFTA_LOG_QTHRESHOLD]) != 0)
		return delinear_foreign(d);
	s = delinear_stmt(d, BH_STMT_LOG);
	if (!s)
		return -1;
	if (!prefix || strlen(prefix) >= sizeof(s->prefix))
		return delinear_foreign(d);
	snprintf(s->prefix, sizeof(s->prefix), "%s", prefix);
	s->number = nft_attr_u16(e->tb[NFTA_LOG_GROUP]);
	return 0;
}

static int on_reject(struct delinear *d, const struct nft_expr *e)
{
	uint32_t type = nft_attr_u32(e->tb[NFTA_REJECT_TYPE]);
	uint8_t code = nft_attr_u8(e->tb[NFTA_REJECT_ICMP_CODE]);
	bool admin = type == NFT_REJECT_ICMPX_UNREACH && code == NFT_REJECT_ICMPX_ADMIN_PROHIBITED;
	struct bh_stmt *s;

	if (type != NFT_REJECT_TCP_RST && !admin)
		return delinear_foreign(d);
	s = delinear_stmt(d, BH_STMT_REJECT);
	if (!s)
		return -1;
	s->number = admin ? BH_REJECT_ADMIN : BH_REJECT_TCP_RESET;
	return 0;
}

static int on_fwd(struct delinear *d, const struct nft_expr *e)
{
	const struct reg *r = delinear_reg(d, nft_attr_u32(e->tb[NFTA_FWD_SREG_DEV]));
	char name[IF_NAMESIZE] = "";
	struct bh_stmt *s;

	if (!r || r->kind != REG_NUMBER || e->tb[NFTA_FWD_SREG_ADDR])
		return delinear_foreign(d);
	s = delinear_stmt(d, BH_STMT_FWD);
	if (!s)
		return -1;
	/* a device that is gone has no name, and "" is none that anybody wants */
	if (if_indextoname(r->number, name))
		snprintf(s->set, sizeof(s->set), "%s", name);
	return 0;
}

static int on_meta(struct delinear *d, const struct nft_expr *e)
{
	struct bh_stmt *s;
	struct reg *r;

	if (e->tb[NFTA_META_DREG])
		return delinear_meta(d, e);
	r = delinear_reg(d, nft_attr_u32(e->tb[NFTA_META_SREG]));
	if (!r || nft_attr_u32(e->tb[NFTA_META_KEY]) != NFT_META_PRIORITY ||
		(r->kind != REG_NUMBER && r->kind != REG_MAPPED))
		return delinear_foreign(d);
	s = delinear_stmt(d, r->kind == REG_NUMBER ? BH_STMT_SET_PRIORITY : BH_STMT_MAP_PRIORITY);
	if (!s)
		return -1;
	if (r->kind == REG_NUMBER) {
		s->number = r->number;
	} else {
		*s = r->map;
		memset(&r->map, 0, sizeof(r->map));
	}
	delinear_reg_clear(r);
	return 0;
}

static const struct {
	const char *name;
	int (*decode)(struct delinear *d, const struct nft_expr *e);
} exprs[] = {
	{"meta", on_meta}, {"payload", delinear_payload}, {"ct", delinear_ct}, {"cmp", delinear_cmp}, {"bitwise", delinear_bitwise},
	{"byteorder", delinear_byteorder}, {"lookup", on_lookup}, {"immediate", on_immediate}, {"objref", on_objref},
	{"limit", on_limit}, {"log", on_log}, {"reject", on_reject}, {"dynset", on_dynset}, {"fwd", on_fwd},
};

static void expr_decode(struct delinear *d, const struct nlattr *attr)
{
	const struct nlattr *tb[NFTA_EXPR_MAX + 1];
	struct nft_expr e = {0};

	nft_attr_nested(attr, tb, NFTA_EXPR_MAX);
	e.name = nft_attr_str(tb[NFTA_EXPR_NAME]);
	if (tb[NFTA_EXPR_DATA])
		nft_attr_nested(tb[NFTA_EXPR_DATA], e.tb, BH_ARRAY_SIZE(e.tb) - 1);
	for (size_t i = 0; i < BH_ARRAY_SIZE(exprs); i++)
		if (e.name && strcmp(exprs[i].name, e.name) == 0) {
			(void)exprs[i].decode(d, &e);	/* what failed is in d->error */
			return;
		}
	delinear_foreign(d);
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
	const struct nlattr *tb[NFTA_RULE_MAX + 1], *attr;

	if (nft_attr_message(nlh, tb, NFTA_RULE_MAX) < 0)
		return -EBADMSG;
	if (tb[NFTA_RULE_EXPRESSIONS])
		mnl_attr_for_each_nested(attr, tb[NFTA_RULE_EXPRESSIONS])
			if (d.error == 0)
				expr_decode(&d, attr);
	for (size_t i = 0; i < NFT_SLOTS; i++) {
		if (d.regs[i].kind == REG_MAPPED)	/* looked up for something that is not ours */
			delinear_foreign(&d);
		delinear_reg_clear(&d.regs[i]);
	}
	bh_vec_foreach(s, &ret->stmts)
		if (s->kind == BH_STMT_FOREIGN)
			delinear_foreign(&d);
	if (d.error == -ENOMEM)
		return -ENOMEM;
	return d.error ? rule_foreign(ret) : 0;
}
