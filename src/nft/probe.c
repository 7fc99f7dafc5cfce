/* SPDX-License-Identifier: Apache-2.0 */
/* What this kernel's nf_tables can do: each feature is used in a table that is made and deleted in the same transaction, so
 * that nothing is left whether it works or not. */
#include "internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libnftnl/expr.h>
#include <string.h>

#define PROBE_TABLE "bulkhead-probe"

static int add_table(struct nft_batch *b, int nfproto, uint32_t flags)
{
	struct nlmsghdr *nlh = nft_batch_message(b, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL, nfproto, NULL, 0);

	if (!nlh)
		return -ENOMEM;
	mnl_attr_put_strz(nlh, NFTA_TABLE_NAME, PROBE_TABLE);
	mnl_attr_put_u32(nlh, NFTA_TABLE_FLAGS, htonl(flags));
	nft_batch_commit(b, nlh);
	return 0;
}

static int del_table(struct nft_batch *b, int nfproto)
{
	struct nlmsghdr *nlh = nft_batch_message(b, NFT_MSG_DELTABLE, 0, nfproto, NULL, 0);

	if (!nlh)
		return -ENOMEM;
	mnl_attr_put_strz(nlh, NFTA_TABLE_NAME, PROBE_TABLE);
	nft_batch_commit(b, nlh);
	return 0;
}

static int add_chain(struct nft_batch *b, int nfproto)
{
	struct nlmsghdr *nlh = nft_batch_message(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL, nfproto, NULL, 0);

	if (!nlh)
		return -ENOMEM;
	mnl_attr_put_strz(nlh, NFTA_CHAIN_TABLE, PROBE_TABLE);
	mnl_attr_put_strz(nlh, NFTA_CHAIN_NAME, "c");
	nft_batch_commit(b, nlh);
	return 0;
}

static int add_meta_rule(struct nft_batch *b, int nfproto, uint32_t key)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();
	struct nftnl_expr *e = rule ? nftnl_expr_alloc("meta") : NULL;
	struct nlmsghdr *nlh = NULL;

	if (e) {
		nftnl_rule_add_expr(rule, e);
		nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, key);
		nftnl_expr_set_u32(e, NFTNL_EXPR_META_DREG, NFT_REG_1);
		if (nftnl_rule_set_str(rule, NFTNL_RULE_TABLE, PROBE_TABLE) == 0 &&
			nftnl_rule_set_str(rule, NFTNL_RULE_CHAIN, "c") == 0)
			nlh = nft_batch_message(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, nfproto, NULL, 0);
	}
	if (nlh) {
		nftnl_rule_nlmsg_build_payload(nlh, rule);
		nft_batch_commit(b, nlh);
	}
	if (rule)
		nftnl_rule_free(rule);
	return nlh ? 0 : -ENOMEM;
}

struct probe {
	const char *name;
	int nfproto;
	uint32_t table_flags;
	uint32_t meta_key;	/* with has_meta */
	bool has_meta;
};

/* 1 when the kernel took it, 0 when it knows no such thing, else the error. */
static int try(struct nft_socket *s, const struct probe *p, struct bh_error *err)
{
	_cleanup_batch_ struct nft_batch b = {0};
	struct nft_refusal ref;
	int r;

	if (nft_batch_begin(&b, s->seq) < 0 || add_table(&b, p->nfproto, p->table_flags) < 0 ||
		(p->has_meta && add_chain(&b, p->nfproto) < 0) ||
		(p->has_meta && add_meta_rule(&b, p->nfproto, p->meta_key) < 0) || del_table(&b, p->nfproto) < 0 ||
		nft_batch_end(&b) < 0)
		return bh_fail(err, -ENOMEM, "no memory to probe nf_tables");
	s->seq = b.seq;
	r = nft_socket_transact(s, &b, &ref);
	switch (r) {
	case 0:
		return 1;
	case -EOPNOTSUPP:
	case -EPROTONOSUPPORT:
	case -EAFNOSUPPORT:
	case -EINVAL:
	case -ENOENT:
		return 0;
	}
	return bh_fail(err, r, "probing nf_tables for %s: %s", p->name, strerror(-r));
}

int bh_nft_probe(struct bh_features *features, struct bh_error *err)
{
	static const struct probe plain = {.name = "a table", .nfproto = NFPROTO_INET};
	static const struct probe ibrname = {.name = "meta ibrname", .nfproto = NFPROTO_BRIDGE, .has_meta = true,
		.meta_key = NFT_META_BRI_IIFNAME};
	static const struct probe persist = {.name = "persistent ownership", .nfproto = NFPROTO_INET,
		.table_flags = BH_TABLE_OWNER | BH_TABLE_PERSIST};
	struct nft_socket s;
	int r, r_ibrname = 0, r_persist = 0;

	r = nft_socket_open(&s, err);
	if (r < 0)
		return r;
	r = try(&s, &plain, err);
	if (r == 0)
		r = bh_fail(err, -EOPNOTSUPP, "this kernel has no nf_tables for the inet family");
	if (r > 0)
		r = r_ibrname = try(&s, &ibrname, err);
	if (r >= 0)
		r = r_persist = try(&s, &persist, err);
	nft_socket_close(&s);
	if (r < 0)
		return r;
	features->bridge_ibrname = r_ibrname;
	features->table_persist = r_persist;
	return 0;
}
