/* SPDX-License-Identifier: Apache-2.0 */
/* The state of a rule that is being written: its expressions so far, and what they have established about the packet. */
#ifndef BULKHEAD_NFT_LINEAR_H
#define BULKHEAD_NFT_LINEAR_H

#include "internal.h"

#include <libnftnl/expr.h>

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

/* Fails with CODE, naming chain and rule. */
int linear_refuse(struct linear *l, int code, const char *why);
/* An expression at the end of the rule, NULL for none: then return linear_no_expr(), which says why. */
struct nftnl_expr *linear_expr(struct linear *l, const char *name);
int linear_no_expr(struct linear *l);
/* The fields of S in adjacent registers, from the first on; as an INTERVAL set wants them. */
int linear_key(struct linear *l, const struct bh_stmt *s, bool interval);
/* The number in register SLOT from host to network order. */
int linear_swap(struct linear *l, size_t slot);
/* The match at *I of RULE and those after it that go into one load with it; *I is left at the last of them. */
int linear_match(struct linear *l, const struct bh_nft_rule *rule, size_t *i);

#endif
