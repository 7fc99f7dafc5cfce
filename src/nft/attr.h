/* SPDX-License-Identifier: Apache-2.0 */
/* Reading netlink attributes without trusting their lengths. */
#ifndef BULKHEAD_NFT_ATTR_H
#define BULKHEAD_NFT_ATTR_H

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Is there a whole message in the LEFT bytes at NLH? mnl_nlmsg_ok() of libmnl 1.0.4 takes a length beyond INT_MAX for a
 * negative one, and so for one that fits; and it lets attributes be read up to the padding, which has to be there too. */
bool nft_message_ok(const struct nlmsghdr *nlh, int left);

/* The attributes of a nfnetlink message, or of a nested attribute, by their number; tb has MAX + 1 places. Those that are not
 * there are NULL. -EBADMSG when the message has no nfnetlink header. */
int nft_attr_message(const struct nlmsghdr *nlh, const struct nlattr **tb, unsigned max);
void nft_attr_nested(const struct nlattr *nest, const struct nlattr **tb, unsigned max);

/* A number in network order; 0 when ATTR is NULL or too short. */
uint8_t nft_attr_u8(const struct nlattr *attr);
uint16_t nft_attr_u16(const struct nlattr *attr);
uint32_t nft_attr_u32(const struct nlattr *attr);
uint64_t nft_attr_u64(const struct nlattr *attr);

/* A string, NULL when there is none or it has no end. */
const char *nft_attr_str(const struct nlattr *attr);
/* The bytes in a NFTA_DATA_VALUE nested in ATTR, NULL for none; *RET_LEN is at least 1 then. */
const void *nft_attr_value(const struct nlattr *attr, uint32_t *ret_len);

/* Copies a name. -EBADMSG when there is none, -ENAMETOOLONG when it is empty or does not fit. */
int nft_attr_name(const struct nlattr *attr, char *ret, size_t size);

/* Is this message about one of our tables? The table's name is attribute 1 in every kind of message but NEWGEN. Not every
 * kernel filters a dump by it. */
bool nft_table_is_ours(const struct nlmsghdr *nlh);

#endif
