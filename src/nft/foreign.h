/* SPDX-License-Identifier: Apache-2.0 */
/* Reading other programs' rules: what foreign.c and foreign_rule.c share. */
#ifndef BULKHEAD_NFT_FOREIGN_H
#define BULKHEAD_NFT_FOREIGN_H

#include "attr.h"
#include "internal.h"

/* The elements of a set that a rule may look its one field up in. */
struct nft_foreign_set {
	char name[NFT_SET_MAXNAMELEN];
	uint32_t key_len;
	bool plain;		/* no intervals, no map, no time-out: its elements are all there is to know */
	BH_VEC(struct bh_foreign_bytes) values;
};
struct nft_foreign_sets {
	BH_VEC(struct nft_foreign_set) v;
};

/* The NFTA_RULE_EXPRESSIONS at EXPRS (NULL: none) as RET, which was zero. Whatever is not known here is kept as such. 0 or -ENOMEM;
 * the caller clears RET in either case. */
int nft_foreign_rule(const struct nlattr *exprs, const struct nft_foreign_sets *sets, struct bh_foreign_rule *ret);

/* A condition at the end of a rule, with a full mask; NULL for no memory. */
struct bh_foreign_cond *nft_foreign_cond(struct bh_foreign_rule *rule, enum bh_foreign_field field, enum bh_foreign_op op);
/* foreign_xt.c: the match NAME of iptables-nft with what INFO holds (NULL: nothing), as conditions at the end of RULE. 0 or -ENOMEM. */
int nft_foreign_match(const char *name, uint32_t revision, const struct nlattr *info, struct bh_foreign_rule *rule);
/* What the target NAME (may be NULL) does. */
enum bh_foreign_effect nft_foreign_target(const char *name);

#endif
