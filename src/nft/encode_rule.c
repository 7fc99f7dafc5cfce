/* SPDX-License-Identifier: Apache-2.0 */
/* A rule of the IR as the expressions and registers that nft 1.0.6 would generate (compare `nft --debug=netlink -c -f`). */
#include "linear.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

static int stmt_anonymous(struct linear *l, const struct bh_stmt *s, enum bh_data data, uint32_t id, const char *name,
	bool *ret_interval)
{
	struct bh_set set = {.n_key = s->n_fields, .data = data};
	struct nft_elems how = {.family = l->c->family, .set = name, .id = id, .key = s->fields, .n_key = s->n_fields, .data = data,
		.known = true};
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
	how.interval = *ret_interval = set.flags & BH_SET_INTERVAL;
	for (size_t i = 0; i < elems.n && r == 0; i++)
		if (memcmp(elems.v[i]->key_end, how.interval ? elems.v[i]->key : zero, sizeof(zero)) != 0 &&
			(!how.interval || memcmp(elems.v[i]->key_end, elems.v[i]->key, sizeof(zero)) < 0))
			r = linear_refuse(l, -EINVAL, "in an anonymous set either all elements have an end or none");
	if (r == 0)
		r = nft_encode_set(l->b, l->c, &set, id, true, how.interval ? 2 * s->elems.n + 1 : s->elems.n, l->rule, l->err);
	if (r == 0)
		r = nft_encode_elems(l->b, NFT_MSG_NEWSETELEM, l->c, l->rule, &how, elems.v, elems.n);
	bh_vec_clear(&elems);
	return r;
}

static int set_name_cmp(const void *name, const void *set)
{
	return strcmp(name, ((const struct bh_set *)set)->name);
}

/* Is the named set one of intervals? Only asked where it makes a difference. A plan's tables are sorted. */
static bool named_interval(const struct linear *l, const struct bh_stmt *s)
{
	const struct bh_table *t = l->c->table;
	const struct bh_set *set;
	bool host = false;

	for (size_t i = 0; i < s->n_fields && i < BH_FIELDS_MAX; i++)
		host = host || nft_field_load(s->fields[i])->host;
	if (!host || !t || t->sets.n == 0)
		return false;
	set = bsearch(s->set, t->sets.v, t->sets.n, sizeof(t->sets.v[0]), set_name_cmp);
	return set && (set->flags & BH_SET_INTERVAL);
}

static int stmt_lookup(struct linear *l, const struct bh_stmt *s, enum bh_data data)
{
	const char *name = *s->set ? s->set : data == BH_DATA_NONE ? "__set%d" : "__map%d";
	uint32_t id = 0;
	bool interval = false;
	struct nftnl_expr *e;
	int r;

	for (size_t i = 0; i < s->n_fields && i < BH_FIELDS_MAX; i++)
		if (nft_field_load(s->fields[i])->shift && (*s->set || s->n_fields > 1))
			return linear_refuse(l, -EOPNOTSUPP, "ip dscp can only be looked up alone, in an anonymous set");
	if (*s->set) {
		interval = named_interval(l, s);
	} else {
		id = ++l->b->next_set_id;
		r = stmt_anonymous(l, s, data, id, name, &interval);
		if (r < 0)
			return r;
	}
	r = linear_key(l, s, interval);
	if (r < 0)
		return r;
	e = linear_expr(l, "lookup");
	if (!e)
		return linear_no_expr(l);
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
	struct nftnl_expr *e = linear_expr(l, "immediate");

	if (!e)
		return linear_no_expr(l);
	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, NFT_REG_1);
	return nftnl_expr_set(e, NFTNL_EXPR_IMM_DATA, &value, sizeof(value)) < 0 ? -ENOMEM : 0;
}

static int emit_set_priority(struct linear *l)
{
	struct nftnl_expr *e = linear_expr(l, "meta");

	if (!e)
		return linear_no_expr(l);
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, NFT_META_PRIORITY);
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_SREG, NFT_REG_1);
	return 0;
}

static int stmt_verdict(struct linear *l, const struct bh_stmt *s)
{
	struct nftnl_expr *e = linear_expr(l, "immediate");

	if (!e)
		return linear_no_expr(l);
	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_VERDICT, (uint32_t)nft_verdict(s->verdict));
	if (s->verdict != BH_JUMP && s->verdict != BH_GOTO)
		return 0;
	return nftnl_expr_set_str(e, NFTNL_EXPR_IMM_CHAIN, s->chain) < 0 ? -ENOMEM : 0;
}

static int stmt_counter(struct linear *l, const struct bh_stmt *s)
{
	struct nftnl_expr *e = linear_expr(l, "objref");

	if (!e)
		return linear_no_expr(l);
	nftnl_expr_set_u32(e, NFTNL_EXPR_OBJREF_IMM_TYPE, NFT_OBJECT_COUNTER);
	return nftnl_expr_set_str(e, NFTNL_EXPR_OBJREF_IMM_NAME, s->set) < 0 ? -ENOMEM : 0;
}

#define NFT_DEFAULT_BURST 5	/* what nft sends for `limit rate N/second` */

static int stmt_limit(struct linear *l, const struct bh_stmt *s)
{
	struct nftnl_expr *e = linear_expr(l, "limit");

	if (!e)
		return linear_no_expr(l);
	nftnl_expr_set_u64(e, NFTNL_EXPR_LIMIT_RATE, s->number);
	nftnl_expr_set_u64(e, NFTNL_EXPR_LIMIT_UNIT, 1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_LIMIT_BURST, NFT_DEFAULT_BURST);
	nftnl_expr_set_u32(e, NFTNL_EXPR_LIMIT_TYPE, NFT_LIMIT_PKTS);
	nftnl_expr_set_u32(e, NFTNL_EXPR_LIMIT_FLAGS, 0);
	return 0;
}

static int stmt_log(struct linear *l, const struct bh_stmt *s)
{
	struct nftnl_expr *e = linear_expr(l, "log");

	if (!e)
		return linear_no_expr(l);
	if (s->number > UINT16_MAX)
		return linear_refuse(l, -EINVAL, "a log group above 65535");
	nftnl_expr_set_u16(e, NFTNL_EXPR_LOG_GROUP, (uint16_t)s->number);
	return nftnl_expr_set_str(e, NFTNL_EXPR_LOG_PREFIX, s->prefix) < 0 ? -ENOMEM : 0;
}

static int stmt_reject(struct linear *l, const struct bh_stmt *s)
{
	struct nftnl_expr *e = linear_expr(l, "reject");

	if (!e)
		return linear_no_expr(l);
	if (s->number == BH_REJECT_TCP_RESET) {
		nftnl_expr_set_u32(e, NFTNL_EXPR_REJECT_TYPE, NFT_REJECT_TCP_RST);
		nftnl_expr_set_u8(e, NFTNL_EXPR_REJECT_CODE, 0);
	} else {
		nftnl_expr_set_u32(e, NFTNL_EXPR_REJECT_TYPE, NFT_REJECT_ICMPX_UNREACH);
		nftnl_expr_set_u8(e, NFTNL_EXPR_REJECT_CODE, NFT_REJECT_ICMPX_ADMIN_PROHIBITED);
	}
	return 0;
}

/* What nft's `limit rate N/second burst N packets` and `ct count N` are in an element. */
static struct nftnl_expr *meter_expr(const struct bh_stmt *s)
{
	struct nftnl_expr *e = nftnl_expr_alloc(s->meter == BH_METER_FLOWS ? "connlimit" : "limit");

	if (!e)
		return NULL;
	if (s->meter == BH_METER_FLOWS) {
		nftnl_expr_set_u32(e, NFTNL_EXPR_CONNLIMIT_COUNT, s->meter_n);
		return e;
	}
	nftnl_expr_set_u64(e, NFTNL_EXPR_LIMIT_RATE, s->meter_n);
	nftnl_expr_set_u64(e, NFTNL_EXPR_LIMIT_UNIT, s->meter == BH_METER_PER_SECOND ? 1 : 60);
	nftnl_expr_set_u32(e, NFTNL_EXPR_LIMIT_BURST, s->meter_n);
	nftnl_expr_set_u32(e, NFTNL_EXPR_LIMIT_TYPE, NFT_LIMIT_PKTS);
	nftnl_expr_set_u32(e, NFTNL_EXPR_LIMIT_FLAGS, 0);
	return e;
}

static int stmt_update(struct linear *l, const struct bh_stmt *s)
{
	struct nftnl_expr *e, *meter;
	int r;

	if (s->take_out && (s->number || s->meter != BH_METER_NONE))
		return linear_refuse(l, -EINVAL, "what is taken out has neither time nor meter");
	r = linear_key(l, s, false);
	if (r < 0)
		return r;
	e = linear_expr(l, "dynset");
	if (!e)
		return linear_no_expr(l);
	nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_SREG_KEY, NFT_REG_1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_OP, s->take_out ? NFT_DYNSET_OP_DELETE : NFT_DYNSET_OP_UPDATE);
	if (s->number)
		nftnl_expr_set_u64(e, NFTNL_EXPR_DYNSET_TIMEOUT, s->number);
	if (s->meter != BH_METER_NONE) {
		if (s->meter_n == 0)
			return linear_refuse(l, -EINVAL, "a limit of nothing");
		meter = meter_expr(s);
		if (!meter)
			return -ENOMEM;
		if (nftnl_expr_set(e, NFTNL_EXPR_DYNSET_EXPR, meter, 0) < 0) {	/* the outer one owns it from here on */
			nftnl_expr_free(meter);
			return -ENOMEM;
		}
	}
	return nftnl_expr_set_str(e, NFTNL_EXPR_DYNSET_SET_NAME, s->set) < 0 ? -ENOMEM : 0;
}

static int stmt_fwd(struct linear *l, const struct bh_stmt *s)
{
	uint32_t ifindex = l->b->pretend ? 1 : if_nametoindex(s->set);
	struct nftnl_expr *e;
	int r;

	if (ifindex == 0)
		return bh_fail(l->err, -ENODEV, "chain %s %s, rule %zu: no device %s", nft_family_name(l->c->family),
			l->c->chain->name, l->rule + 1, s->set);
	r = emit_immediate(l, ifindex);
	if (r < 0)
		return r;
	e = linear_expr(l, "fwd");
	if (!e)
		return linear_no_expr(l);
	nftnl_expr_set_u32(e, NFTNL_EXPR_FWD_SREG_DEV, NFT_REG_1);
	return 0;
}

static int stmt_encode(struct linear *l, const struct bh_nft_rule *rule, size_t *i)
{
	const struct bh_stmt *s = &rule->stmts.v[*i];
	int r;

	switch (s->kind) {
	case BH_STMT_MATCH:
		return linear_match(l, rule, i);
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
	return linear_refuse(l, -EINVAL, "a statement that this program does not write");
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
