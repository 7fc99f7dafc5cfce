/* SPDX-License-Identifier: Apache-2.0 */
/* The state of a rule that is being read back: which field is in which register, what was done to it, and which matches were
 * only there so that a payload field means what it says. */
#ifndef BULKHEAD_NFT_DELINEAR_H
#define BULKHEAD_NFT_DELINEAR_H

#include "attr.h"
#include "internal.h"

/* One expression of a rule. libnftnl's own parser is of no use here: it trusts that every attribute is there. */
struct nft_expr {
	const char *name;
	const struct nlattr *tb[16];	/* by number; no kind of expression that is ours has more */
};

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

#define NO_STMT SIZE_MAX	/* no index of a statement */

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

/* The rule is not in our language (-ENOENT in d->error, unless something worse is there): always -1. */
int delinear_foreign(struct delinear *d);
/* A statement at the end of the rule; NULL for no memory, noted in d->error. */
struct bh_stmt *delinear_stmt(struct delinear *d, enum bh_stmt_kind kind);
/* What is in a register as netlink numbers it, NULL for none such. */
struct reg *delinear_reg(struct delinear *d, uint32_t number);
/* The same, emptied to be loaded with LEN bytes; NULL when there is no such register, and the rule foreign then. */
struct reg *delinear_reg_fresh(struct delinear *d, uint32_t number, size_t len);
void delinear_reg_clear(struct reg *r);

/* Loads and comparisons: 0, or -1 with d->error set. A meta expression here has a destination register. */
int delinear_meta(struct delinear *d, const struct nft_expr *e);
int delinear_ct(struct delinear *d, const struct nft_expr *e);
int delinear_payload(struct delinear *d, const struct nft_expr *e);
int delinear_bitwise(struct delinear *d, const struct nft_expr *e);
int delinear_byteorder(struct delinear *d, const struct nft_expr *e);
int delinear_cmp(struct delinear *d, const struct nft_expr *e);

#endif
