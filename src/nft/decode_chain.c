/* SPDX-License-Identifier: Apache-2.0 */
/* Tables, chains and named counters of the kernel's as the IR. */
#include "attr.h"
#include "internal.h"

#include <errno.h>
#include <string.h>

int nft_decode_table(const struct nlmsghdr *nlh, uint32_t own, struct bh_table *ret)
{
	const struct nlattr *tb[NFTA_TABLE_MAX + 1];

	if (nft_attr_message(nlh, tb, NFTA_TABLE_MAX) < 0)
		return -EBADMSG;
	ret->present = true;
	ret->flags = nft_attr_u32(tb[NFTA_TABLE_FLAGS]);
	ret->owner = ret->flags & BH_TABLE_OWNER ? nft_attr_u32(tb[NFTA_TABLE_OWNER]) : 0;
	if ((ret->flags & BH_TABLE_OWNER) && ret->owner != own)
		ret->flags |= BH_TABLE_FOREIGN;
	return 0;
}

static bool is_filter(const struct nlattr *type)
{
	return type && mnl_attr_get_payload_len(type) == sizeof("filter") &&
	       memcmp(mnl_attr_get_payload(type), "filter", sizeof("filter")) == 0;
}

/* A chain on several devices is not ours: it keeps its first, and no policy, so that it equals none of ours. */
static int hook_decode(const struct nlattr *attr, enum bh_family family, struct bh_chain *ret)
{
	const struct nlattr *tb[NFTA_HOOK_MAX + 1], *dev;
	size_t n = 0;

	nft_attr_nested(attr, tb, NFTA_HOOK_MAX);
	ret->hook = nft_hook_from(family, nft_attr_u32(tb[NFTA_HOOK_HOOKNUM]));
	ret->priority = (int32_t)nft_attr_u32(tb[NFTA_HOOK_PRIORITY]);
	if (tb[NFTA_HOOK_DEVS]) {
		mnl_attr_for_each_nested(dev, tb[NFTA_HOOK_DEVS]) {
			if (n++ == 0 && nft_attr_name(dev, ret->device, sizeof(ret->device)) == -EBADMSG)
				return -EBADMSG;
		}
	} else if (tb[NFTA_HOOK_DEV]) {
		(void)nft_attr_name(tb[NFTA_HOOK_DEV], ret->device, sizeof(ret->device));
	}
	if (n > 1 || ret->hook == BH_HOOK_NONE)
		ret->policy = BH_VERDICT_NONE;
	return 0;
}

int nft_decode_chain(const struct nlmsghdr *nlh, enum bh_family family, struct bh_chain *ret)
{
	const struct nlattr *tb[NFTA_CHAIN_MAX + 1];
	int r;

	memset(ret, 0, sizeof(*ret));
	if (nft_attr_message(nlh, tb, NFTA_CHAIN_MAX) < 0)
		return -EBADMSG;
	if (tb[NFTA_CHAIN_HOOK]) {
		ret->policy = nft_attr_u32(tb[NFTA_CHAIN_POLICY]) == NF_DROP ? BH_DROP : BH_ACCEPT;
		/* a chain of type nat or route, or one that the hardware runs, is none of ours */
		if (!is_filter(tb[NFTA_CHAIN_TYPE]) || (nft_attr_u32(tb[NFTA_CHAIN_FLAGS]) & NFT_CHAIN_HW_OFFLOAD))
			ret->policy = BH_VERDICT_NONE;
		r = hook_decode(tb[NFTA_CHAIN_HOOK], family, ret);
		if (r < 0)
			return r;
	}
	r = nft_attr_name(tb[NFTA_CHAIN_NAME], ret->name, sizeof(ret->name));
	return r == -ENAMETOOLONG && tb[NFTA_CHAIN_HOOK] ? -EPERM : r;
}

int nft_decode_counter(const struct nlmsghdr *nlh, struct bh_counter *ret)
{
	const struct nlattr *tb[NFTA_OBJ_MAX + 1], *c[NFTA_COUNTER_MAX + 1];

	memset(ret, 0, sizeof(*ret));
	if (nft_attr_message(nlh, tb, NFTA_OBJ_MAX) < 0)
		return -EBADMSG;
	if (nft_attr_u32(tb[NFTA_OBJ_TYPE]) != NFT_OBJECT_COUNTER || !tb[NFTA_OBJ_DATA] ||
		nft_attr_name(tb[NFTA_OBJ_NAME], ret->name, sizeof(ret->name)) < 0)
		return -ENOENT;
	nft_attr_nested(tb[NFTA_OBJ_DATA], c, NFTA_COUNTER_MAX);
	ret->packets = nft_attr_u64(c[NFTA_COUNTER_PACKETS]);
	ret->bytes = nft_attr_u64(c[NFTA_COUNTER_BYTES]);
	return 0;
}
