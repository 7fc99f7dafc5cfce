/* SPDX-License-Identifier: Apache-2.0 */
/* The IR's words in the kernel's numbers, and back. */
#include "internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#define META(k, ...) {.source = NFT_FROM_META, .key = (k), .dir = -1, __VA_ARGS__}
#define CT(k, d, ...) {.source = NFT_FROM_CT, .key = (k), .dir = (d), __VA_ARGS__}
#define PAYLOAD(b, o, d, f, ...)                                                                   \
	{.source = NFT_FROM_PAYLOAD, .key = NFT_PAYLOAD_##b##_HEADER, .offset = (o), .dir = -1, .desc = (d), \
		.desc_field = (f), __VA_ARGS__}
#define ORIGINAL 0	/* enum ip_conntrack_dir */
#define REPLY 1

/* nft's enum proto_desc_id (include/proto.h of nft 1.0.6), as its typeof user data has them. */
enum { DESC_NONE = 0, DESC_ICMP = 4, DESC_UDP = 6, DESC_TCP = 8, DESC_TH = 11, DESC_IP = 12, DESC_IP6 = 13,
	DESC_ICMP6 = 14, DESC_ARP = 15, DESC_ETHER = 17 };

static const struct nft_load loads[BH_FIELD_MAX] = {
	[BH_IIFNAME] = META(NFT_META_IIFNAME),
	[BH_OIFNAME] = META(NFT_META_OIFNAME),
	[BH_IIF] = META(NFT_META_IIF, .host = true),
	[BH_OIF] = META(NFT_META_OIF, .host = true),
	[BH_IIFTYPE] = META(NFT_META_IIFTYPE, .host = true),
	[BH_PRIORITY] = META(NFT_META_PRIORITY, .host = true),
	[BH_MARK] = META(NFT_META_MARK, .host = true),
	[BH_NFPROTO] = META(NFT_META_NFPROTO),
	[BH_L4PROTO] = META(NFT_META_L4PROTO),
	[BH_SKUID] = META(NFT_META_SKUID, .host = true),
	[BH_IBRNAME] = META(NFT_META_BRI_IIFNAME),
	[BH_OBRNAME] = META(NFT_META_BRI_OIFNAME),
	[BH_CT_DIRECTION] = CT(NFT_CT_DIRECTION, -1),
	[BH_CT_STATE] = CT(NFT_CT_STATE, -1, .host = true),
	[BH_CT_STATUS] = CT(NFT_CT_STATUS, -1, .host = true),
	[BH_CT_MARK] = CT(NFT_CT_MARK, -1, .host = true),
	[BH_CT_ORIG_IP_SADDR] = CT(NFT_CT_SRC_IP, ORIGINAL),
	[BH_CT_ORIG_IP_DADDR] = CT(NFT_CT_DST_IP, ORIGINAL),
	[BH_CT_ORIG_IP6_SADDR] = CT(NFT_CT_SRC_IP6, ORIGINAL),
	[BH_CT_ORIG_IP6_DADDR] = CT(NFT_CT_DST_IP6, ORIGINAL),
	[BH_CT_REPLY_IP_SADDR] = CT(NFT_CT_SRC_IP, REPLY),
	[BH_CT_REPLY_IP6_SADDR] = CT(NFT_CT_SRC_IP6, REPLY),
	[BH_CT_ORIG_PROTO_DST] = CT(NFT_CT_PROTO_DST, ORIGINAL),
	[BH_CT_PROTOCOL] = CT(NFT_CT_PROTOCOL, -1),
	[BH_CT_REPLY_PROTO_SRC] = CT(NFT_CT_PROTO_SRC, REPLY),
	[BH_IP_DSCP] = PAYLOAD(NETWORK, 1, DESC_IP, 3, .net = NFT_NET_IP, .mask = 0xfc, .shift = 2),
	[BH_IP_PROTOCOL] = PAYLOAD(NETWORK, 9, DESC_IP, 9, .net = NFT_NET_IP),
	[BH_IP_SADDR] = PAYLOAD(NETWORK, 12, DESC_IP, 11, .net = NFT_NET_IP),
	[BH_IP_DADDR] = PAYLOAD(NETWORK, 16, DESC_IP, 12, .net = NFT_NET_IP),
	[BH_IP6_HOPLIMIT] = PAYLOAD(NETWORK, 7, DESC_IP6, 7, .net = NFT_NET_IP6),
	[BH_IP6_SADDR] = PAYLOAD(NETWORK, 8, DESC_IP6, 8, .net = NFT_NET_IP6),
	[BH_IP6_DADDR] = PAYLOAD(NETWORK, 24, DESC_IP6, 9, .net = NFT_NET_IP6),
	[BH_TH_SPORT] = PAYLOAD(TRANSPORT, 0, DESC_TH, 1),
	[BH_TH_DPORT] = PAYLOAD(TRANSPORT, 2, DESC_TH, 2),
	[BH_TH_64_128] = PAYLOAD(TRANSPORT, 8, DESC_NONE, 0),
	[BH_TH_192_32] = PAYLOAD(TRANSPORT, 24, DESC_NONE, 0),
	[BH_TH_256_128] = PAYLOAD(TRANSPORT, 32, DESC_NONE, 0),
	[BH_UDP_SPORT] = PAYLOAD(TRANSPORT, 0, DESC_UDP, 1, .l4 = IPPROTO_UDP),
	[BH_UDP_DPORT] = PAYLOAD(TRANSPORT, 2, DESC_UDP, 2, .l4 = IPPROTO_UDP),
	[BH_TCP_FLAGS] = PAYLOAD(TRANSPORT, 13, DESC_TCP, 7, .l4 = IPPROTO_TCP),
	[BH_ICMP_TYPE] = PAYLOAD(TRANSPORT, 0, DESC_ICMP, 1, .net = NFT_NET_IP, .l4 = IPPROTO_ICMP),
	[BH_ICMP_CODE] = PAYLOAD(TRANSPORT, 1, DESC_ICMP, 2, .net = NFT_NET_IP, .l4 = IPPROTO_ICMP),
	[BH_ICMPV6_TYPE] = PAYLOAD(TRANSPORT, 0, DESC_ICMP6, 1, .net = NFT_NET_IP6, .l4 = IPPROTO_ICMPV6),
	[BH_ICMPV6_CODE] = PAYLOAD(TRANSPORT, 1, DESC_ICMP6, 2, .net = NFT_NET_IP6, .l4 = IPPROTO_ICMPV6),
	[BH_ETHER_DADDR] = PAYLOAD(LL, 0, DESC_ETHER, 1),
	[BH_ETHER_SADDR] = PAYLOAD(LL, 6, DESC_ETHER, 2),
	[BH_ETHER_TYPE] = PAYLOAD(LL, 12, DESC_ETHER, 3),
	[BH_ARP_HTYPE] = PAYLOAD(NETWORK, 0, DESC_ARP, 1, .net = NFT_NET_ARP),
	[BH_ARP_PTYPE] = PAYLOAD(NETWORK, 2, DESC_ARP, 2, .net = NFT_NET_ARP),
	[BH_ARP_OPERATION] = PAYLOAD(NETWORK, 6, DESC_ARP, 5, .net = NFT_NET_ARP),
	[BH_ARP_SADDR_ETHER] = PAYLOAD(NETWORK, 8, DESC_ARP, 6, .net = NFT_NET_ARP),
	[BH_ARP_SADDR_IP] = PAYLOAD(NETWORK, 14, DESC_ARP, 7, .net = NFT_NET_ARP),
	[BH_ARP_DADDR_IP] = PAYLOAD(NETWORK, 24, DESC_ARP, 9, .net = NFT_NET_ARP),
};

const struct nft_load *nft_field_load(enum bh_field f)
{
	return (unsigned)f < BH_FIELD_MAX ? &loads[f] : &loads[BH_FIELD_NONE];
}

/* enum datatypes of nft 1.0.6 and its byte orders. FIELD stands for the type when the kernel only tells the type. */
static const struct datatype {
	const char *name;
	uint8_t number, byteorder;
	enum bh_field field;
} datatypes[] = {
	{"nf_proto", 2, 1, BH_NFPROTO},
	{"integer", 4, 2, BH_FIELD_NONE},
	{"ipv4_addr", 7, 2, BH_IP_SADDR},
	{"ipv6_addr", 8, 2, BH_IP6_SADDR},
	{"ether_addr", 9, 2, BH_ETHER_SADDR},
	{"ether_type", 10, 2, BH_ETHER_TYPE},
	{"arp_op", 11, 2, BH_ARP_OPERATION},
	{"inet_proto", 12, 2, BH_L4PROTO},
	{"inet_service", 13, 2, BH_TH_DPORT},
	{"icmp_type", 14, 2, BH_ICMP_TYPE},
	{"tcp_flag", 15, 2, BH_TCP_FLAGS},
	{"mark", 19, 1, BH_MARK},
	{"iface_index", 20, 1, BH_IIF},
	{"iface_type", 21, 1, BH_IIFTYPE},
	{"classid", 23, 1, BH_PRIORITY},
	{"uid", 24, 1, BH_SKUID},
	{"ct_state", 26, 1, BH_CT_STATE},
	{"ct_dir", 27, 1, BH_CT_DIRECTION},
	{"ct_status", 28, 1, BH_CT_STATUS},
	{"icmpv6_type", 29, 2, BH_ICMPV6_TYPE},
	{"icmp_code", 32, 2, BH_ICMP_CODE},
	{"icmpv6_code", 33, 2, BH_ICMPV6_CODE},
	{"dscp", 36, 2, BH_IP_DSCP},
	{"ifname", 41, 1, BH_IIFNAME},
};
#define TYPE_BITS 6	/* nft concatenates type numbers in groups of six bits */

static const struct datatype *datatype_of(enum bh_field f)
{
	const char *name = bh_field_info(f)->type;

	for (size_t i = 0; i < BH_ARRAY_SIZE(datatypes); i++)
		if (strcmp(datatypes[i].name, name ? name : "integer") == 0)
			return &datatypes[i];
	return &datatypes[1];
}

uint32_t nft_field_type(enum bh_field f)
{
	return datatype_of(f)->number;
}

uint32_t nft_key_type(const enum bh_field *fields, size_t n)
{
	uint32_t type = 0;

	for (size_t i = 0; i < n; i++)
		type = type << TYPE_BITS | datatype_of(fields[i])->number;
	return type;
}

int nft_key_from_type(uint32_t type, struct bh_set *set)
{
	size_t n = 0;

	for (uint32_t t = type; t; t >>= TYPE_BITS)
		n++;
	if (n == 0 || n > BH_FIELDS_MAX)
		return -ENOENT;
	for (size_t i = 0; i < n; i++) {
		uint32_t number = type >> (TYPE_BITS * (n - 1 - i)) & ((1 << TYPE_BITS) - 1);
		enum bh_field f = BH_FIELD_NONE;

		for (size_t k = 0; k < BH_ARRAY_SIZE(datatypes); k++)
			if (datatypes[k].number == number)
				f = datatypes[k].field;
		if (f == BH_FIELD_NONE)
			return -ENOENT;
		set->key[i] = f;
	}
	set->n_key = n;
	return 0;
}

uint32_t nft_key_byteorder(const enum bh_field *fields, size_t n)
{
	return n == 1 ? datatype_of(fields[0])->byteorder : 0;
}

size_t nft_padded(size_t size)
{
	return (size + 3) & ~(size_t)3;
}

size_t nft_key_len(const enum bh_field *fields, size_t n)
{
	return n == 1 ? bh_field_info(fields[0])->size : bh_key_size(fields, n);
}

void nft_key_swap(const enum bh_field *fields, size_t n, uint8_t key[BH_KEY_MAX])
{
	for (size_t i = 0; i < n; i++) {
		size_t off = bh_key_offset(fields, i);
		uint32_t v;

		if (!loads[fields[i]].host || off + sizeof(v) > BH_KEY_MAX)
			continue;
		memcpy(&v, key + off, sizeof(v));
		v = htonl(v);
		memcpy(key + off, &v, sizeof(v));
	}
}

static const struct {
	int nfproto;
	const char *name;
} families[BH_FAMILY_MAX] = {
	[BH_FAMILY_INET] = {NFPROTO_INET, "inet"},
	[BH_FAMILY_BRIDGE] = {NFPROTO_BRIDGE, "bridge"},
	[BH_FAMILY_NETDEV] = {NFPROTO_NETDEV, "netdev"},
};

int nft_family(enum bh_family f)
{
	return families[f].nfproto;
}

const char *nft_family_name(enum bh_family f)
{
	return families[f].name;
}

int nft_family_from(int nfproto)
{
	for (int i = 0; i < BH_FAMILY_MAX; i++)
		if (families[i].nfproto == nfproto)
			return i;
	return -1;
}

uint32_t nft_hook(enum bh_family family, enum bh_hook hook)
{
	switch (hook) {
	case BH_HOOK_PREROUTING:
		return NF_INET_PRE_ROUTING;	/* the bridge's numbers are the same */
	case BH_HOOK_INPUT:
		return NF_INET_LOCAL_IN;
	case BH_HOOK_FORWARD:
		return NF_INET_FORWARD;
	case BH_HOOK_OUTPUT:
		return NF_INET_LOCAL_OUT;
	case BH_HOOK_POSTROUTING:
		return NF_INET_POST_ROUTING;
	case BH_HOOK_INGRESS:
		return family == BH_FAMILY_NETDEV ? NF_NETDEV_INGRESS : NF_INET_INGRESS;
	case BH_HOOK_EGRESS:
		return NF_NETDEV_EGRESS;
	case BH_HOOK_NONE:
		break;
	}
	return UINT32_MAX;
}

enum bh_hook nft_hook_from(enum bh_family family, uint32_t hook)
{
	for (enum bh_hook h = BH_HOOK_PREROUTING; h <= BH_HOOK_EGRESS; h++) {
		bool netdev = h == BH_HOOK_INGRESS || h == BH_HOOK_EGRESS;

		if (netdev == (family == BH_FAMILY_NETDEV) && nft_hook(family, h) == hook)
			return h;
	}
	return family == BH_FAMILY_INET && hook == NF_INET_INGRESS ? BH_HOOK_INGRESS : BH_HOOK_NONE;
}

static const int32_t verdicts[] = {
	[BH_ACCEPT] = NF_ACCEPT, [BH_DROP] = NF_DROP, [BH_JUMP] = NFT_JUMP, [BH_GOTO] = NFT_GOTO,
	[BH_RETURN] = NFT_RETURN, [BH_CONTINUE] = NFT_CONTINUE, [BH_VERDICT_NONE] = NFT_CONTINUE,
};

int32_t nft_verdict(enum bh_verdict v)
{
	return verdicts[v];
}

enum bh_verdict nft_verdict_from(int32_t v)
{
	for (size_t i = BH_ACCEPT; i < BH_ARRAY_SIZE(verdicts); i++)
		if (verdicts[i] == v)
			return (enum bh_verdict)i;
	return BH_VERDICT_NONE;
}

/* nft takes the 128-bit name of a register where there is one. */
uint32_t nft_reg(size_t slot)
{
	return (uint32_t)(slot % 4 == 0 ? NFT_REG_1 + slot / 4 : NFT_REG32_00 + slot);
}

size_t nft_slot(uint32_t reg)
{
	if (reg >= NFT_REG_1 && reg <= NFT_REG_4)
		return (reg - NFT_REG_1) * 4;
	if (reg >= NFT_REG32_00 && reg <= NFT_REG32_15)
		return reg - NFT_REG32_00;
	return NFT_SLOTS;
}
