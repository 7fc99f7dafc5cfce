/* SPDX-License-Identifier: Apache-2.0 */
/* What a field is called in nft's language, which datatype it has there and how wide it is. Names and types are those
 * of nft 1.0.6 (`nft describe`); "integer" fields have no type name that a set could be declared with. */
#include <bulkhead/ruleset.h>

#include <string.h>

static const struct bh_field_info infos[BH_FIELD_MAX] = {
	[BH_FIELD_NONE] = {"", NULL, 0},
	[BH_IIFNAME] = {"iifname", "ifname", 16},
	[BH_OIFNAME] = {"oifname", "ifname", 16},
	[BH_IIF] = {"iif", "iface_index", 4},
	[BH_OIF] = {"oif", "iface_index", 4},
	[BH_IIFTYPE] = {"iiftype", "iface_type", 2},
	[BH_PRIORITY] = {"meta priority", "classid", 4},
	[BH_MARK] = {"meta mark", "mark", 4},
	[BH_NFPROTO] = {"meta nfproto", "nf_proto", 1},
	[BH_L4PROTO] = {"meta l4proto", "inet_proto", 1},
	[BH_SKUID] = {"meta skuid", "uid", 4},
	[BH_CT_DIRECTION] = {"ct direction", "ct_dir", 1},
	[BH_CT_STATE] = {"ct state", "ct_state", 4},
	[BH_CT_STATUS] = {"ct status", "ct_status", 4},
	[BH_CT_MARK] = {"ct mark", "mark", 4},
	[BH_CT_ORIG_IP_SADDR] = {"ct original ip saddr", "ipv4_addr", 4},
	[BH_CT_ORIG_IP_DADDR] = {"ct original ip daddr", "ipv4_addr", 4},
	[BH_CT_ORIG_IP6_SADDR] = {"ct original ip6 saddr", "ipv6_addr", 16},
	[BH_CT_ORIG_IP6_DADDR] = {"ct original ip6 daddr", "ipv6_addr", 16},
	[BH_CT_REPLY_IP_SADDR] = {"ct reply ip saddr", "ipv4_addr", 4},
	[BH_CT_REPLY_IP6_SADDR] = {"ct reply ip6 saddr", "ipv6_addr", 16},
	[BH_CT_ORIG_PROTO_DST] = {"ct original proto-dst", "inet_service", 2},
	[BH_CT_PROTOCOL] = {"ct protocol", "inet_proto", 1},
	[BH_CT_REPLY_PROTO_SRC] = {"ct reply proto-src", "inet_service", 2},
	[BH_IP_SADDR] = {"ip saddr", "ipv4_addr", 4},
	[BH_IP_DADDR] = {"ip daddr", "ipv4_addr", 4},
	[BH_IP_PROTOCOL] = {"ip protocol", "inet_proto", 1},
	[BH_IP_DSCP] = {"ip dscp", "dscp", 1},
	[BH_IP6_SADDR] = {"ip6 saddr", "ipv6_addr", 16},
	[BH_IP6_DADDR] = {"ip6 daddr", "ipv6_addr", 16},
	[BH_IP6_HOPLIMIT] = {"ip6 hoplimit", NULL, 1},
	[BH_TH_SPORT] = {"th sport", "inet_service", 2},
	[BH_TH_DPORT] = {"th dport", "inet_service", 2},
	[BH_TH_64_128] = {"@th,64,128", NULL, 16},
	[BH_TH_192_32] = {"@th,192,32", NULL, 4},
	[BH_TH_256_128] = {"@th,256,128", NULL, 16},
	[BH_UDP_SPORT] = {"udp sport", "inet_service", 2},
	[BH_UDP_DPORT] = {"udp dport", "inet_service", 2},
	[BH_TCP_FLAGS] = {"tcp flags", "tcp_flag", 1},
	[BH_ICMP_TYPE] = {"icmp type", "icmp_type", 1},
	[BH_ICMP_CODE] = {"icmp code", "icmp_code", 1},
	[BH_ICMPV6_TYPE] = {"icmpv6 type", "icmpv6_type", 1},
	[BH_ICMPV6_CODE] = {"icmpv6 code", "icmpv6_code", 1},
	[BH_ETHER_SADDR] = {"ether saddr", "ether_addr", 6},
	[BH_ETHER_DADDR] = {"ether daddr", "ether_addr", 6},
	[BH_ETHER_TYPE] = {"ether type", "ether_type", 2},
	[BH_ARP_HTYPE] = {"arp htype", NULL, 2},
	[BH_ARP_PTYPE] = {"arp ptype", "ether_type", 2},
	[BH_ARP_OPERATION] = {"arp operation", "arp_op", 2},
	[BH_ARP_SADDR_ETHER] = {"arp saddr ether", "ether_addr", 6},
	[BH_ARP_SADDR_IP] = {"arp saddr ip", "ipv4_addr", 4},
	[BH_ARP_DADDR_IP] = {"arp daddr ip", "ipv4_addr", 4},
	[BH_IBRNAME] = {"meta ibrname", "ifname", 16},
	[BH_OBRNAME] = {"meta obrname", "ifname", 16},
};

const struct bh_field_info *bh_field_info(enum bh_field f)
{
	return (unsigned)f < BH_FIELD_MAX ? &infos[f] : &infos[BH_FIELD_NONE];
}

static size_t padded(size_t size)
{
	return (size + 3) & ~(size_t)3;
}

size_t bh_key_offset(const enum bh_field *fields, size_t i)
{
	size_t off = 0;

	for (size_t k = 0; k < i; k++)
		off += padded(bh_field_info(fields[k])->size);
	return off;
}

size_t bh_key_size(const enum bh_field *fields, size_t n)
{
	return bh_key_offset(fields, n);
}

void bh_key_put(uint8_t key[BH_KEY_MAX], size_t *off, const void *value, size_t size)
{
	size_t end = *off + padded(size);

	if (end <= BH_KEY_MAX) {
		memset(key + *off, 0, end - *off);
		memcpy(key + *off, value, size);
	}
	*off = end;	/* beyond BH_KEY_MAX the key is unusable, and bh_key_size() of its fields says so */
}
