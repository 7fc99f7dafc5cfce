/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as the netlink messages of a dump, through every decoder: for the fuzzer and for a test that breaks good messages. */
#ifndef TESTS_NFT_MESSAGES_H
#define TESTS_NFT_MESSAGES_H

#include "../../src/nft/attr.h"
#include "../../src/nft/foreign.h"
#include "../../src/nft/internal.h"

#include <string.h>

/* The same rule as another program's. */
static inline void nft_foreign_message(const struct nlmsghdr *nlh)
{
	const struct nlattr *tb[NFTA_RULE_MAX + 1];
	struct nft_foreign_sets none = {0};
	struct bh_foreign_rule rule = {0};

	if (nft_attr_message(nlh, tb, NFTA_RULE_MAX) < 0)
		return;
	(void)nft_foreign_rule(tb[NFTA_RULE_EXPRESSIONS], &none, &rule);
	bh_vec_foreach(c, &rule.conds) {
		if (c->len > sizeof(c->value.b))
			__builtin_trap();
		bh_foreign_cond_clear(c);
	}
	bh_vec_clear(&rule.conds);
	free(rule.chain);
}

static inline void nft_message(const struct nlmsghdr *nlh, struct nft_seen_sets *sets, struct bh_chain *chain)
{
	enum bh_family family = nlh->nlmsg_seq % BH_FAMILY_MAX;
	struct nft_seen_set *s;
	struct bh_nft_rule *rule;
	struct bh_chain other;
	struct bh_counter counter;
	struct bh_nft_process process = {0};
	struct bh_table table = {0};

	(void)nft_table_is_ours(nlh);
	switch (nlh->nlmsg_type & 0xff) {
	case NFT_MSG_NEWSET:
		s = bh_vec_add(&sets->v);
		if (s && nft_decode_set(nlh, s) < 0)
			sets->v.n--;
		return;
	case NFT_MSG_NEWSETELEM:
		if (sets->v.n > 0)
			(void)nft_decode_elems(nlh, &sets->v.v[sets->v.n - 1]);
		return;
	case NFT_MSG_NEWRULE:
		(void)nft_rule_chain(nlh);
		nft_foreign_message(nlh);
		nft_seen_sets_sort(sets);
		rule = bh_vec_add(&chain->rules);
		if (rule)
			(void)nft_decode_rule(nlh, family, sets, rule);
		return;
	case NFT_MSG_NEWCHAIN:
		(void)nft_decode_chain(nlh, family, &other);
		return;
	case NFT_MSG_NEWTABLE:
		(void)nft_decode_table(nlh, 1, &table);
		return;
	case NFT_MSG_NEWGEN:
		nft_decode_process(nlh, &process);
		return;
	case NFT_MSG_NEWOBJ:
		(void)nft_decode_counter(nlh, &counter);
		return;
	}
}

/* DATA is aligned as malloc(3) aligns, as a receive buffer is. What was understood is printed too. */
static inline void nft_messages(const void *data, size_t size)
{
	const struct nlmsghdr *nlh = data;
	struct nft_seen_sets sets = {0};
	struct bh_chain chain = {.name = "c"};
	struct bh_buf out = {0};
	int left = size > INT32_MAX ? INT32_MAX : (int)size;

	for (; nft_message_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left))
		nft_message(nlh, &sets, &chain);
	bh_vec_foreach(s, &sets.v) {
		(void)nft_decode_intervals(s);
		if (s->known && s->set.n_key > 0)
			(void)bh_set_print(&s->set, &out);
	}
	(void)bh_chain_print(&chain, BH_FAMILY_INET, &out);
	bh_buf_free(&out);
	bh_chain_clear(&chain);
	nft_seen_sets_clear(&sets);
}

#endif
