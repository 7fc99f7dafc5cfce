/* SPDX-License-Identifier: Apache-2.0 */
/* A plan as messages, one change after the other in the plan's order. */
#include "internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

static int name_message(struct nft_batch *b, const struct bh_change *c, uint16_t type, uint16_t attr_table, uint16_t attr_name,
	const char *name)
{
	struct nlmsghdr *nlh = nft_batch_message(b, type, 0, nft_family(c->family), c, 0);

	if (!nlh)
		return -ENOMEM;
	mnl_attr_put_strz(nlh, attr_table, NFT_TABLE_NAME);
	if (name)
		mnl_attr_put_strz(nlh, attr_name, name);
	nft_batch_commit(b, nlh);
	return 0;
}

static int add_table(struct nft_batch *b, const struct bh_change *c)
{
	/* Without NLM_F_CREATE the table must be there: it gets the flags, and the sender is its owner from here on. */
	struct nlmsghdr *nlh = nft_batch_message(b, NFT_MSG_NEWTABLE, c->kind == BH_OWN_TABLE ? 0 : NLM_F_CREATE,
		nft_family(c->family), c, 0);

	if (!nlh)
		return -ENOMEM;
	mnl_attr_put_strz(nlh, NFTA_TABLE_NAME, NFT_TABLE_NAME);
	mnl_attr_put_u32(nlh, NFTA_TABLE_FLAGS, htonl(c->table ? c->table->flags & NFT_TABLE_KERNEL_FLAGS : 0));
	nft_batch_commit(b, nlh);
	return 0;
}

static int add_counter(struct nft_batch *b, const struct bh_change *c)
{
	struct nlmsghdr *nlh = nft_batch_message(b, NFT_MSG_NEWOBJ, NLM_F_CREATE | NLM_F_EXCL, nft_family(c->family), c, 0);
	struct nlattr *nest;

	if (!nlh)
		return -ENOMEM;
	mnl_attr_put_strz(nlh, NFTA_OBJ_TABLE, NFT_TABLE_NAME);
	mnl_attr_put_strz(nlh, NFTA_OBJ_NAME, c->counter->name);
	mnl_attr_put_u32(nlh, NFTA_OBJ_TYPE, htonl(NFT_OBJECT_COUNTER));
	nest = mnl_attr_nest_start(nlh, NFTA_OBJ_DATA);
	mnl_attr_put_u64(nlh, NFTA_COUNTER_BYTES, 0);
	mnl_attr_put_u64(nlh, NFTA_COUNTER_PACKETS, 0);
	mnl_attr_nest_end(nlh, nest);
	nft_batch_commit(b, nlh);
	return 0;
}

static int del_counter(struct nft_batch *b, const struct bh_change *c)
{
	struct nlmsghdr *nlh = nft_batch_message(b, NFT_MSG_DELOBJ, 0, nft_family(c->family), c, 0);

	if (!nlh)
		return -ENOMEM;
	mnl_attr_put_strz(nlh, NFTA_OBJ_TABLE, NFT_TABLE_NAME);
	mnl_attr_put_strz(nlh, NFTA_OBJ_NAME, c->counter->name);
	mnl_attr_put_u32(nlh, NFTA_OBJ_TYPE, htonl(NFT_OBJECT_COUNTER));
	nft_batch_commit(b, nlh);
	return 0;
}

static int add_chain(struct nft_batch *b, const struct bh_change *c, struct bh_error *err)
{
	const struct bh_chain *chain = c->chain;
	struct nlmsghdr *nlh = nft_batch_message(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL, nft_family(c->family), c, 0);
	uint32_t hook = nft_hook(c->family, chain->hook);
	struct nlattr *nest;

	if (!nlh)
		return -ENOMEM;
	mnl_attr_put_strz(nlh, NFTA_CHAIN_TABLE, NFT_TABLE_NAME);
	mnl_attr_put_strz(nlh, NFTA_CHAIN_NAME, chain->name);
	if (chain->hook != BH_HOOK_NONE) {
		if (hook == UINT32_MAX || (chain->policy != BH_ACCEPT && chain->policy != BH_DROP))
			return bh_fail(err, -EINVAL, "chain %s %s: no such hook or policy", nft_family_name(c->family), chain->name);
		nest = mnl_attr_nest_start(nlh, NFTA_CHAIN_HOOK);
		mnl_attr_put_u32(nlh, NFTA_HOOK_HOOKNUM, htonl(hook));
		mnl_attr_put_u32(nlh, NFTA_HOOK_PRIORITY, htonl((uint32_t)chain->priority));
		if (*chain->device)
			mnl_attr_put_strz(nlh, NFTA_HOOK_DEV, chain->device);
		mnl_attr_nest_end(nlh, nest);
		mnl_attr_put_u32(nlh, NFTA_CHAIN_POLICY, htonl((uint32_t)nft_verdict(chain->policy)));
		mnl_attr_put_strz(nlh, NFTA_CHAIN_TYPE, "filter");
	}
	nft_batch_commit(b, nlh);
	return 0;
}

static int add_rules(struct nft_batch *b, const struct bh_change *c, struct bh_error *err)
{
	int r = 0;

	for (size_t i = 0; i < c->chain->rules.n && r == 0; i++)
		r = nft_encode_rule(b, c, i, err);
	return r;
}

/* The IR's order of keys is that of bytes, and a range of numbers in host order is none of bytes. */
static bool is_host_range(const struct bh_set *set, const struct bh_elem *e)
{
	for (size_t i = 0; i < set->n_key; i++) {
		size_t off = bh_key_offset(set->key, i);

		if (nft_field_load(set->key[i])->host && memcmp(e->key + off, e->key_end + off, bh_field_info(set->key[i])->size))
			return true;
	}
	return false;
}

/* What would come back from the kernel otherwise than it went. */
static int elems_check(const struct bh_change *c, struct bh_error *err)
{
	static const uint8_t zero[BH_KEY_MAX];

	for (size_t i = 0; i < c->elems.n; i++) {
		const struct bh_elem *e = c->elems.v[i];
		bool wrong = c->set->flags & BH_SET_INTERVAL ? memcmp(e->key_end, e->key, sizeof(e->key)) < 0 || is_host_range(c->set, e) :
							       memcmp(e->key_end, zero, sizeof(zero)) != 0;

		if (wrong)
			return bh_fail(err, -EINVAL, "set %s %s: element %zu has a wrong end", nft_family_name(c->family),
				c->set->name, i + 1);
	}
	return 0;
}

static int change_elems(struct nft_batch *b, const struct bh_change *c, uint16_t type, struct bh_error *err)
{
	int r = elems_check(c, err);

	struct nft_elems how = {
		.family = c->family,
		.set = c->set->name,
		.key = c->set->key,
		.n_key = c->set->n_key,
		.data = c->set->data,
		.interval = c->set->flags & BH_SET_INTERVAL,
	};

	/* the kernel takes elements out of a dynamic set by itself: what was seen may be gone, so it is made sure that it is there */
	how.known = type == NFT_MSG_NEWSETELEM || !(c->set->flags & BH_SET_DYNAMIC);
	if (r == 0 && !how.known)
		r = nft_encode_elems(b, NFT_MSG_NEWSETELEM, c, 0, &how, c->elems.v, c->elems.n);
	return r < 0 ? r : nft_encode_elems(b, type, c, 0, &how, c->elems.v, c->elems.n);
}

static int change_encode(struct nft_batch *b, const struct bh_change *c, struct bh_error *err)
{
	switch (c->kind) {
	case BH_ADD_TABLE:
	case BH_OWN_TABLE:
		return add_table(b, c);
	case BH_ADD_COUNTER:
		return add_counter(b, c);
	case BH_ADD_CHAIN:
		return add_chain(b, c, err);
	case BH_ADD_SET:
		return nft_encode_set(b, c, c->set, ++b->next_set_id, false, 0, 0, err);
	case BH_FLUSH_RULES:	/* without a handle it is all rules of the chain */
		return name_message(b, c, NFT_MSG_DELRULE, NFTA_RULE_TABLE, NFTA_RULE_CHAIN, c->chain->name);
	case BH_DEL_ELEMS:
		return change_elems(b, c, NFT_MSG_DELSETELEM, err);
	case BH_FLUSH_SET:	/* without elements it is all of them */
		return name_message(b, c, NFT_MSG_DELSETELEM, NFTA_SET_ELEM_LIST_TABLE, NFTA_SET_ELEM_LIST_SET, c->set->name);
	case BH_ADD_ELEMS:
		return change_elems(b, c, NFT_MSG_NEWSETELEM, err);
	case BH_ADD_RULES:
		return add_rules(b, c, err);
	case BH_DEL_SET:
		return name_message(b, c, NFT_MSG_DELSET, NFTA_SET_TABLE, NFTA_SET_NAME, c->set->name);
	case BH_DEL_CHAIN:
		return name_message(b, c, NFT_MSG_DELCHAIN, NFTA_CHAIN_TABLE, NFTA_CHAIN_NAME, c->chain->name);
	case BH_DEL_COUNTER:
		return del_counter(b, c);
	case BH_DEL_TABLE:
		return name_message(b, c, NFT_MSG_DELTABLE, NFTA_TABLE_NAME, 0, NULL);
	}
	return bh_fail(err, -EINVAL, "a change that does not exist");
}

int nft_encode_plan(struct nft_batch *b, const struct bh_plan *plan, struct bh_error *err)
{
	int r;

	bh_vec_foreach(c, &plan->changes) {
		r = change_encode(b, c, err);
		if (r == -ENOMEM)
			return bh_fail(err, r, "no memory for the transaction");
		if (r < 0)
			return r;
	}
	return 0;
}
