/* SPDX-License-Identifier: Apache-2.0 */
#include "attr.h"
#include "internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

bool nft_message_ok(const struct nlmsghdr *nlh, int left)
{
	return left >= (int)sizeof(*nlh) && nlh->nlmsg_len <= (uint32_t)left && MNL_ALIGN(nlh->nlmsg_len) <= (uint32_t)left &&
	       mnl_nlmsg_ok(nlh, left);
}

struct attrs {
	const struct nlattr **tb;
	unsigned max;
};

static int attr_store(const struct nlattr *attr, void *data)
{
	struct attrs *a = data;

	if (mnl_attr_get_type(attr) <= a->max)
		a->tb[mnl_attr_get_type(attr)] = attr;
	return MNL_CB_OK;
}

int nft_attr_message(const struct nlmsghdr *nlh, const struct nlattr **tb, unsigned max)
{
	struct attrs a = {.tb = tb, .max = max};

	memset(tb, 0, (max + 1) * sizeof(*tb));
	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(struct nfgenmsg))
		return -EBADMSG;
	(void)mnl_attr_parse(nlh, sizeof(struct nfgenmsg), attr_store, &a);
	return 0;
}

void nft_attr_nested(const struct nlattr *nest, const struct nlattr **tb, unsigned max)
{
	struct attrs a = {.tb = tb, .max = max};

	memset(tb, 0, (max + 1) * sizeof(*tb));
	(void)mnl_attr_parse_nested(nest, attr_store, &a);
}

uint8_t nft_attr_u8(const struct nlattr *attr)
{
	uint8_t v = 0;

	if (attr && mnl_attr_get_payload_len(attr) >= sizeof(v))
		memcpy(&v, mnl_attr_get_payload(attr), sizeof(v));
	return v;
}

uint16_t nft_attr_u16(const struct nlattr *attr)
{
	uint16_t v = 0;

	if (attr && mnl_attr_get_payload_len(attr) >= sizeof(v))
		memcpy(&v, mnl_attr_get_payload(attr), sizeof(v));
	return ntohs(v);
}

const char *nft_attr_str(const struct nlattr *attr)
{
	return attr && mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) == 0 ? mnl_attr_get_str(attr) : NULL;
}

const void *nft_attr_value(const struct nlattr *attr, uint32_t *ret_len)
{
	const struct nlattr *tb[NFTA_DATA_MAX + 1];

	if (!attr)
		return NULL;
	nft_attr_nested(attr, tb, NFTA_DATA_MAX);
	if (!tb[NFTA_DATA_VALUE] || mnl_attr_get_payload_len(tb[NFTA_DATA_VALUE]) == 0)
		return NULL;
	*ret_len = mnl_attr_get_payload_len(tb[NFTA_DATA_VALUE]);
	return mnl_attr_get_payload(tb[NFTA_DATA_VALUE]);
}

uint32_t nft_attr_u32(const struct nlattr *attr)
{
	uint32_t v = 0;

	if (attr && mnl_attr_get_payload_len(attr) >= sizeof(v))
		memcpy(&v, mnl_attr_get_payload(attr), sizeof(v));
	return ntohl(v);
}

uint64_t nft_attr_u64(const struct nlattr *attr)
{
	uint64_t v = 0;

	if (attr && mnl_attr_get_payload_len(attr) >= sizeof(v))
		memcpy(&v, mnl_attr_get_payload(attr), sizeof(v));
	return be64toh(v);
}

int nft_attr_name(const struct nlattr *attr, char *ret, size_t size)
{
	size_t len;

	if (!attr)
		return -EBADMSG;
	len = strnlen(mnl_attr_get_payload(attr), mnl_attr_get_payload_len(attr));
	if (len == 0 || len >= size)
		return -ENAMETOOLONG;
	memcpy(ret, mnl_attr_get_payload(attr), len);
	ret[len] = '\0';
	return 0;
}

bool nft_table_is_ours(const struct nlmsghdr *nlh)
{
	const struct nlattr *attr;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(struct nfgenmsg))
		return false;
	mnl_attr_for_each(attr, nlh, sizeof(struct nfgenmsg))
		if (mnl_attr_get_type(attr) == 1)
			return mnl_attr_get_payload_len(attr) == sizeof(NFT_TABLE_NAME) &&
			       memcmp(mnl_attr_get_payload(attr), NFT_TABLE_NAME, sizeof(NFT_TABLE_NAME)) == 0;
	return false;
}
