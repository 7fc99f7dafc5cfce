/* SPDX-License-Identifier: Apache-2.0 */
/* The expressions of a rule as statements of the IR: the inverse of encode_rule.c, for its own forms and those that nft 1.0.6
 * makes of the same text. Anything else makes the whole rule foreign. */
#include "delinear.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

static int copy_name(struct delinear *d, const char *from, char to[BH_NAME])
{
	if (!from || strlen(from) >= BH_NAME)
		return delinear_foreign(d);
	snprintf(to, BH_NAME, "%s", from);
	return 0;
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
		key_gather(d, nftnl_expr_get_u32(e, NFTNL_EXPR_LOOKUP_SREG), set, &s) < 0)
		return delinear_foreign(d);
	ret = set->anonymous ? anonymous_take(d, set, &s) : copy_name(d, name, s.set);
	if (ret == 0 && has_dreg && set->set.data == BH_DATA_PRIORITY) {
		r = delinear_reg_fresh(d, nftnl_expr_get_u32(e, NFTNL_EXPR_LOOKUP_DREG));
		if (r) {
			s.kind = BH_STMT_MAP_PRIORITY;
			r->kind = REG_MAPPED;
			to = &r->map;
		}
	} else if (ret == 0 && (!has_dreg || nftnl_expr_get_u32(e, NFTNL_EXPR_LOOKUP_DREG) == NFT_REG_VERDICT)) {
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
		return delinear_foreign(d);
	s = delinear_stmt(d, BH_STMT_UPDATE);
	if (!s || copy_name(d, name, s->set) < 0)
		return -1;
	s->number = (uint32_t)timeout;
	return key_gather(d, nftnl_expr_get_u32(e, NFTNL_EXPR_DYNSET_SREG_KEY), set, s);
}

/* ---- the rest */

static int on_immediate(struct delinear *d, const struct nftnl_expr *e)
{
	uint32_t reg = nftnl_expr_get_u32(e, NFTNL_EXPR_IMM_DREG), len = 0;
	const void *data;
	struct bh_stmt *s;
	struct reg *r;

	if (reg == NFT_REG_VERDICT) {
		s = delinear_stmt(d, BH_STMT_VERDICT);
		if (!s)
			return -1;
		s->verdict = nft_verdict_from((int32_t)nftnl_expr_get_u32(e, NFTNL_EXPR_IMM_VERDICT));
		if (s->verdict == BH_JUMP || s->verdict == BH_GOTO)
			return copy_name(d, nftnl_expr_get_str(e, NFTNL_EXPR_IMM_CHAIN), s->chain);
		return s->verdict == BH_VERDICT_NONE ? delinear_foreign(d) : 0;
	}
	data = nftnl_expr_get(e, NFTNL_EXPR_IMM_DATA, &len);
	r = delinear_reg_fresh(d, reg);
	if (!r || !data || len != sizeof(r->number))
		return delinear_foreign(d);
	r->kind = REG_NUMBER;
	memcpy(&r->number, data, sizeof(r->number));
	return 0;
}

static int on_objref(struct delinear *d, const struct nftnl_expr *e)
{
	struct bh_stmt *s;

	if (!nftnl_expr_is_set(e, NFTNL_EXPR_OBJREF_IMM_TYPE) ||
		nftnl_expr_get_u32(e, NFTNL_EXPR_OBJREF_IMM_TYPE) != NFT_OBJECT_COUNTER)
		return delinear_foreign(d);
	s = delinear_stmt(d, BH_STMT_COUNTER);
	return s ? copy_name(d, nftnl_expr_get_str(e, NFTNL_EXPR_OBJREF_IMM_NAME), s->set) : -1;
}

static int on_limit(struct delinear *d, const struct nftnl_expr *e)
{
	struct bh_stmt *s;

	if (nftnl_expr_get_u64(e, NFTNL_EXPR_LIMIT_UNIT) != 1 || nftnl_expr_get_u32(e, NFTNL_EXPR_LIMIT_BURST) != 5 ||
		nftnl_expr_get_u32(e, NFTNL_EXPR_LIMIT_TYPE) != NFT_LIMIT_PKTS ||
		nftnl_expr_get_u32(e, NFTNL_EXPR_LIMIT_FLAGS) != 0 || nftnl_expr_get_u64(e, NFTNL_EXPR_LIMIT_RATE) > UINT32_MAX)
		return delinear_foreign(d);
	s = delinear_stmt(d, BH_STMT_LIMIT);
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
		return delinear_foreign(d);
	s = delinear_stmt(d, BH_STMT_LOG);
	if (!s)
		return -1;
	if (!prefix || strlen(prefix) >= sizeof(s->prefix))
		return delinear_foreign(d);
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
		return delinear_foreign(d);
	s = delinear_stmt(d, BH_STMT_REJECT);
	if (!s)
		return -1;
	s->number = admin ? BH_REJECT_ADMIN : BH_REJECT_TCP_RESET;
	return 0;
}

static int on_fwd(struct delinear *d, const struct nftnl_expr *e)
{
	const struct reg *r = delinear_reg(d, nftnl_expr_get_u32(e, NFTNL_EXPR_FWD_SREG_DEV));
	char name[IF_NAMESIZE] = "";
	struct bh_stmt *s;

	if (!r || r->kind != REG_NUMBER || nftnl_expr_is_set(e, NFTNL_EXPR_FWD_SREG_ADDR))
		return delinear_foreign(d);
	s = delinear_stmt(d, BH_STMT_FWD);
	if (!s)
		return -1;
	/* a device that is gone has no name, and "" is none that anybody wants */
	if (if_indextoname(r->number, name))
		snprintf(s->set, sizeof(s->set), "%s", name);
	return 0;
}

static int on_meta(struct delinear *d, const struct nftnl_expr *e)
{
	struct bh_stmt *s;
	struct reg *r;

	if (nftnl_expr_is_set(e, NFTNL_EXPR_META_DREG))
		return delinear_meta(d, e);
	r = delinear_reg(d, nftnl_expr_get_u32(e, NFTNL_EXPR_META_SREG));
	if (!r || nftnl_expr_get_u32(e, NFTNL_EXPR_META_KEY) != NFT_META_PRIORITY ||
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
	int (*decode)(struct delinear *d, const struct nftnl_expr *e);
} exprs[] = {
	{"meta", on_meta}, {"payload", delinear_payload}, {"ct", delinear_ct}, {"cmp", delinear_cmp}, {"bitwise", delinear_bitwise},
	{"byteorder", delinear_byteorder}, {"lookup", on_lookup}, {"immediate", on_immediate}, {"objref", on_objref},
	{"limit", on_limit}, {"log", on_log}, {"reject", on_reject}, {"dynset", on_dynset}, {"fwd", on_fwd},
};

static int on_expr(struct nftnl_expr *e, void *data)
{
	struct delinear *d = data;
	const char *name = nftnl_expr_get_str(e, NFTNL_EXPR_NAME);

	for (size_t i = 0; i < BH_ARRAY_SIZE(exprs); i++)
		if (name && strcmp(exprs[i].name, name) == 0)
			return exprs[i].decode(d, e);
	return delinear_foreign(d);
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
			delinear_foreign(&d);
		delinear_reg_clear(&d.regs[i]);
	}
	nftnl_rule_free(nl);
	bh_vec_foreach(s, &ret->stmts)
		if (s->kind == BH_STMT_FOREIGN)
			delinear_foreign(&d);
	if (d.error == -ENOMEM)
		return -ENOMEM;
	return d.error ? rule_foreign(ret) : 0;
}
