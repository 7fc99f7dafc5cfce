/* SPDX-License-Identifier: Apache-2.0 */
#include "flows.h"

#include <arpa/inet.h>
#include <string.h>

bool flow_message_ok(const struct nlmsghdr *nlh, size_t left)
{
	return left >= sizeof(*nlh) && left <= INT32_MAX && nlh->nlmsg_len >= sizeof(*nlh) && nlh->nlmsg_len <= left;
}

bool flow_attrs(const void *data, size_t len, const struct nlattr **tb, uint16_t max)
{
	const struct nlattr *a = data;
	int left = len > INT32_MAX ? 0 : (int)len;

	memset(tb, 0, sizeof(*tb) * (max + 1u));
	for (; left > 0 && mnl_attr_ok(a, left); a = mnl_attr_next(a)) {
		uint16_t type = mnl_attr_get_type(a);

		if (type <= max)
			tb[type] = a;
		left -= MNL_ALIGN(a->nla_len);
	}
	return left <= 0;
}

bool flow_nest(const struct nlattr *nest, const struct nlattr **tb, uint16_t max)
{
	if (!nest) {
		memset(tb, 0, sizeof(*tb) * (max + 1u));
		return true;
	}
	return flow_attrs(mnl_attr_get_payload(nest), mnl_attr_get_payload_len(nest), tb, max);
}

uint8_t flow_u8(const struct nlattr *a)
{
	return a && mnl_attr_get_payload_len(a) >= 1 ? *(const uint8_t *)mnl_attr_get_payload(a) : 0;
}

uint16_t flow_be16(const struct nlattr *a)
{
	uint16_t v = 0;

	if (a && mnl_attr_get_payload_len(a) >= sizeof(v))
		memcpy(&v, mnl_attr_get_payload(a), sizeof(v));
	return ntohs(v);
}

uint32_t flow_be32(const struct nlattr *a)
{
	uint32_t v = 0;

	if (a && mnl_attr_get_payload_len(a) >= sizeof(v))
		memcpy(&v, mnl_attr_get_payload(a), sizeof(v));
	return ntohl(v);
}
