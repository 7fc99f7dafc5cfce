/* SPDX-License-Identifier: Apache-2.0 */
/* The bridge table as it always is: who may send what on a container's port, and what the inet table cannot see.
 *
 * A kernel whose bridge family knows `ibrname` closes every port of a container bridge that is not known. One without it
 * does not know the bridge of a port: there a port that is not known may carry nothing that belongs to a container network, and
 * only IP and ARP otherwise, unless it is known to be a foreign bridge's. What stays open there between two unknown ports
 * is ARP about other networks; IP is closed by the inet table. */
#include "skel.h"

#include <net/ethernet.h>
#include <net/if_arp.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>

#define MLD2_LISTENER_REPORT 143	/* RFC 3810 */

static const struct skel_set sets[] = {
	{.name = "ports", .key = {BH_IIFNAME}},
	{.name = "pinm", .key = {BH_IIFNAME, BH_ETHER_SADDR}},
	{.name = "pin4", .key = {BH_IIFNAME, BH_ETHER_SADDR, BH_IP_SADDR}},
	{.name = "pin6", .key = {BH_IIFNAME, BH_ETHER_SADDR, BH_IP6_SADDR}},
	{.name = "pin4t", .key = {BH_IIFNAME, BH_TH_192_32}},
	{.name = "pin6t", .key = {BH_IIFNAME, BH_TH_64_128}},
	{.name = "routers", .key = {BH_IIFNAME}},
	{.name = "via4", .key = {BH_IIFNAME, BH_IP_SADDR}, .flags = BH_SET_INTERVAL},
	{.name = "via6", .key = {BH_IIFNAME, BH_IP6_SADDR}, .flags = BH_SET_INTERVAL},
	{.name = "drops", .key = {BH_IIFNAME}, .flags = BH_SET_COUNTER},
	{.name = "heard", .key = {BH_IIFNAME}, .flags = BH_SET_DYNAMIC | BH_SET_TIMEOUT, .size = 65535, .timeout_ms = 10000},
	{.name = "modes", .key = {BH_PRIORITY}, .data = BH_DATA_VERDICT},
};

static const struct skel_set sets_by_bridge[] = {
	{.name = "bridges", .key = {BH_IBRNAME}, .flags = BH_SET_INTERVAL},
	{.name = "exempt", .key = {BH_IBRNAME}},
};

static const struct skel_set sets_by_port[] = {
	{.name = "foreign", .key = {BH_IIFNAME}},
	{.name = "owned_mac", .key = {BH_ETHER_SADDR}},
	{.name = "owned4", .key = {BH_IP_SADDR}},
	{.name = "owned6", .key = {BH_IP6_SADDR}},
	{.name = "nets4", .key = {BH_IP_SADDR}, .flags = BH_SET_INTERVAL},
	{.name = "forwarded4", .key = {BH_IP_SADDR}, .flags = BH_SET_INTERVAL},
	{.name = "forwarded6", .key = {BH_IP6_SADDR}, .flags = BH_SET_INTERVAL},
};

static const char *const counters[] = {"denied_unknown", "denied_identity", "denied_noise"};

static const struct skel_case discovery[] = {
	{ND_ROUTER_ADVERT, BH_GOTO, "deny_identity"}, {ND_REDIRECT, BH_GOTO, "deny_identity"},
	{ND_NEIGHBOR_SOLICIT, BH_GOTO, "port_ns"}, {ND_NEIGHBOR_ADVERT, BH_GOTO, "port_na"},
	{MLD_LISTENER_REPORT, BH_GOTO, "port_mld"}, {MLD2_LISTENER_REPORT, BH_GOTO, "port_mld"},
	{MLD_LISTENER_REDUCTION, BH_GOTO, "port_mld"}, {MLD_LISTENER_QUERY, BH_GOTO, "deny_identity"},
	{ND_ROUTER_SOLICIT, BH_GOTO, "deny_noise"},
	{ICMP6_DST_UNREACH, BH_JUMP, "port_error6"}, {ICMP6_PACKET_TOO_BIG, BH_JUMP, "port_error6"},
	{ICMP6_TIME_EXCEEDED, BH_JUMP, "port_error6"}, {ICMP6_PARAM_PROB, BH_JUMP, "port_error6"},
};
static const struct skel_case errors[] = {
	{ICMP_DEST_UNREACH, 0, NULL}, {ICMP_SOURCE_QUENCH, 0, NULL}, {ICMP_REDIRECT, 0, NULL}, {ICMP_TIME_EXCEEDED, 0, NULL},
	{ICMP_PARAMETERPROB, 0, NULL},
};
static const struct skel_case known_frames[] = {
	{ETHERTYPE_IP, 0, NULL}, {ETHERTYPE_IPV6, 0, NULL}, {ETHERTYPE_ARP, 0, NULL},
};
static const struct skel_case neighbours[] = {
	{ND_NEIGHBOR_SOLICIT, 0, NULL}, {ND_NEIGHBOR_ADVERT, 0, NULL},
};
static const struct skel_case neighbour_noise[] = {
	{ND_NEIGHBOR_SOLICIT, 0, NULL}, {ND_NEIGHBOR_ADVERT, 0, NULL}, {MLD_LISTENER_REPORT, 0, NULL},
	{MLD2_LISTENER_REPORT, 0, NULL}, {MLD_LISTENER_REDUCTION, 0, NULL},
};
static const struct skel_case ip_frames[] = {
	{ETHERTYPE_IP, 0, NULL}, {ETHERTYPE_IPV6, 0, NULL},
};

/* One look-up says of most frames that port, MAC and address belong together. */
#define PINNED \
	RULE(IN("pin4", BH_IIFNAME, BH_ETHER_SADDR, BH_IP_SADDR), GOTO("pinned_ip")), \
	RULE(IN("pin6", BH_IIFNAME, BH_ETHER_SADDR, BH_IP6_SADDR), GOTO("pinned_ip6")), \
	RULE(IN("pinm", BH_IIFNAME, BH_ETHER_SADDR), GOTO("from_port"))

static const struct skel_chain chains[] = {
	CHAIN("act",
		RULE(SCRATCH(0)),
		RULE(VMAP("modes", BH_PRIORITY)),
		RULE(IN("drops", BH_IIFNAME)),
		RULE(DROP)),
	CHAIN("deny_unknown",
		RULE(COUNT("denied_unknown")),
		RULE(METER("heard", SKEL_LOG_RATE, BH_IIFNAME), LOG("bulkhead unknown ")),
		RULE(GOTO("act"))),
	CHAIN("deny_identity",
		RULE(COUNT("denied_identity")),
		RULE(METER("heard", SKEL_LOG_RATE, BH_IIFNAME), LOG("bulkhead identity ")),
		RULE(GOTO("act"))),
	CHAIN("deny_noise",
		RULE(COUNT("denied_noise")),
		RULE(LIMIT(SKEL_LOG_RATE), LOG("bulkhead noise ")),
		RULE(SCRATCH(0)),
		RULE(VMAP("modes", BH_PRIORITY)),
		RULE(DROP)),
	/* A frame with its port's MAC and address: all but a few. What has a tag is IP to the look-up, and is not by its header */
	CHAIN("pinned_ip",
		RULE(ISNT(BH_ETHER_TYPE, ETHERTYPE_IP), GOTO("deny_identity")),
		RULE(ONE_OF(BH_ICMP_TYPE, errors), JUMP("port_error4")),
		RULE(IS(BH_UDP_SPORT, 67), GOTO("deny_identity")),
		RULE(ACCEPT)),
	CHAIN("pinned_ip6",
		RULE(ISNT(BH_ETHER_TYPE, ETHERTYPE_IPV6), GOTO("deny_identity")),
		RULE(BY(BH_ICMPV6_TYPE, discovery)),
		RULE(IS(BH_UDP_SPORT, 547), GOTO("deny_identity")),
		RULE(ACCEPT)),
	/* A frame with its port's MAC */
	CHAIN("from_port",
		RULE(IS(BH_ETHER_TYPE, ETHERTYPE_IP), GOTO("port_ip")),
		RULE(IS(BH_ETHER_TYPE, ETHERTYPE_IPV6), GOTO("port_ip6")),
		RULE(IS(BH_ETHER_TYPE, ETHERTYPE_ARP), GOTO("port_arp")),
		RULE(GOTO("deny_identity"))),
	CHAIN("port_arp",
		RULE(ISNT(BH_ARP_HTYPE, 1), GOTO("deny_identity")),
		RULE(ISNT(BH_ARP_PTYPE, ETHERTYPE_IP), GOTO("deny_identity")),
		RULE(IN("pin4", BH_IIFNAME, BH_ARP_SADDR_ETHER, BH_ARP_SADDR_IP), ACCEPT),
		RULE(NOT_IN("pinm", BH_IIFNAME, BH_ARP_SADDR_ETHER), GOTO("deny_identity")),
		RULE(IS(BH_ARP_OPERATION, ARPOP_REQUEST), IS(BH_ARP_SADDR_IP, 0), ACCEPT),
		RULE(GOTO("deny_identity"))),
	/* Who tells of an error quotes what it was sent; only who `forwards` for others quotes what was for others */
	CHAIN("port_error4",
		RULE(IN("pin4t", BH_IIFNAME, BH_TH_192_32), RETURN),
		RULE(IN("routers", BH_IIFNAME), RETURN),
		RULE(GOTO("deny_identity"))),
	CHAIN("port_error6",
		RULE(IN("pin6t", BH_IIFNAME, BH_TH_256_128), RETURN),
		RULE(IN("routers", BH_IIFNAME), RETURN),
		RULE(GOTO("deny_identity"))),
	CHAIN("port_ip",
		RULE(ONE_OF(BH_ICMP_TYPE, errors), JUMP("port_error4")),
		RULE(IS(BH_UDP_SPORT, 67), GOTO("deny_identity")),
		RULE(IN("via4", BH_IIFNAME, BH_IP_SADDR), ACCEPT),
		RULE(IS(BH_IP_SADDR, 0), IS(BH_UDP_DPORT, 67), GOTO("deny_noise")),	/* asks for an address */
		RULE(GOTO("deny_identity"))),
	CHAIN("port_ip6",
		RULE(BY(BH_ICMPV6_TYPE, discovery)),
		RULE(IS(BH_UDP_SPORT, 547), GOTO("deny_identity")),
		RULE(IN("via6", BH_IIFNAME, BH_IP6_SADDR), ACCEPT),
		RULE(GOTO("deny_identity"))),
	CHAIN("port_ns",
		RULE(IN("pin6", BH_IIFNAME, BH_ETHER_SADDR, BH_IP6_SADDR), ACCEPT),
		RULE(IS(BH_IP6_SADDR, 0), IN("pin6t", BH_IIFNAME, BH_TH_64_128), ACCEPT),
		RULE(GOTO("deny_identity"))),
	CHAIN("port_na",
		RULE(NOT_IN("pin6", BH_IIFNAME, BH_ETHER_SADDR, BH_IP6_SADDR), GOTO("deny_identity")),
		RULE(IN("pin6t", BH_IIFNAME, BH_TH_64_128), ACCEPT),
		RULE(GOTO("deny_identity"))),
	CHAIN("port_mld",
		RULE(IS(BH_IP6_SADDR, 0), ACCEPT),
		RULE(IN("pin6", BH_IIFNAME, BH_ETHER_SADDR, BH_IP6_SADDR), ACCEPT),
		RULE(GOTO("deny_identity"))),
	/* The inet table judges by address alone: what it judges must not go to another's port, by a MAC that is not the address's or
	 * as the copy of a flood */
	CHAIN("to_its_port",
		RULE(NOT_IN("ports", BH_IIFNAME), GOTO("deny_unknown")),
		RULE(ACCEPT)),
	CHAIN("to_port",
		RULE(NOT_IN("ports", BH_IIFNAME), GOTO("deny_unknown")),
		RULE(IS(BH_ETHER_TYPE, ETHERTYPE_ARP), ACCEPT),
		RULE(ONE_OF(BH_ICMPV6_TYPE, neighbours), ACCEPT),
		RULE(IN("via4", BH_OIFNAME, BH_IP_DADDR), ACCEPT),
		RULE(IN("via6", BH_OIFNAME, BH_IP6_DADDR), ACCEPT),
		RULE(IN("pinm", BH_OIFNAME, BH_ETHER_DADDR), GOTO("deny_identity")),
		RULE(GOTO("deny_noise"))),
	CHAIN("to_unknown",
		RULE(ONE_OF(BH_ICMPV6_TYPE, neighbour_noise), GOTO("deny_noise")),
		RULE(ONE_OF(BH_ETHER_TYPE, ip_frames), GOTO("deny_unknown")),
		RULE(GOTO("deny_noise"))),
	/* Whose pin it is has a port that is known: for the most frames one look-up says both */
	BASE("forward", BH_HOOK_FORWARD, -250,
		RULE(IN("pin4", BH_OIFNAME, BH_ETHER_DADDR, BH_IP_DADDR), GOTO("to_its_port")),
		RULE(IN("pin6", BH_OIFNAME, BH_ETHER_DADDR, BH_IP6_DADDR), GOTO("to_its_port")),
		RULE(IN("ports", BH_OIFNAME), GOTO("to_port")),
		RULE(IN("ports", BH_IIFNAME), GOTO("to_unknown")),
		RULE(ACCEPT)),
	/* What this host sends or routes: the bridge sends what it does not know where by every port, and its memory of who is where may be wrong.
	 * The inet table has judged the address, so it leaves by that address's port alone */
	BASE("output", BH_HOOK_OUTPUT, -250,
		RULE(IN("pin4", BH_OIFNAME, BH_ETHER_DADDR, BH_IP_DADDR), ACCEPT),
		RULE(IN("pin6", BH_OIFNAME, BH_ETHER_DADDR, BH_IP6_DADDR), ACCEPT),
		RULE(NOT_IN("ports", BH_OIFNAME), GOTO("out_unknown")),
		RULE(IN("pinm", BH_OIFNAME, BH_ETHER_DADDR), ACCEPT),
		RULE(IS(BH_ETHER_TYPE, ETHERTYPE_ARP), ACCEPT),
		RULE(IS_GROUP, ACCEPT),
		RULE(GOTO("deny_noise"))),
	/* What a bridge keeps to itself, before it learns from it or hands it on */
	BASE("input", BH_HOOK_INPUT, -250,
		RULE(IS_LINK_LOCAL_GROUP, GOTO("to_group")),
		RULE(ACCEPT)),
};

static const struct skel_chain by_bridge[] = {
	CHAIN("out_unknown",
		RULE(IN("exempt", BH_OBRNAME), ACCEPT),
		RULE(IN("bridges", BH_OBRNAME), GOTO("deny_noise")),
		RULE(ACCEPT)),
	CHAIN("to_group",
		RULE(IN("ports", BH_IIFNAME), GOTO("deny_identity")),
		RULE(IN("exempt", BH_IBRNAME), ACCEPT),
		RULE(IN("bridges", BH_IBRNAME), GOTO("deny_unknown")),
		RULE(ACCEPT)),
	BASE("prerouting", BH_HOOK_PREROUTING, -250,
		PINNED,
		RULE(IN("ports", BH_IIFNAME), GOTO("deny_identity")),
		RULE(IN("exempt", BH_IBRNAME), ACCEPT),
		RULE(IN("bridges", BH_IBRNAME), GOTO("deny_unknown")),
		RULE(ACCEPT)),
};

static const struct skel_chain by_port[] = {
	CHAIN("out_unknown",
		RULE(IN("foreign", BH_OIFNAME), ACCEPT),
		RULE(IN("owned_mac", BH_ETHER_DADDR), GOTO("deny_noise")),
		RULE(IN("owned4", BH_IP_DADDR), GOTO("deny_noise")),
		RULE(IN("owned6", BH_IP6_DADDR), GOTO("deny_noise")),
		RULE(IN("nets4", BH_ARP_DADDR_IP), GOTO("deny_noise")),
		RULE(ACCEPT)),
	CHAIN("to_group",
		RULE(IN("ports", BH_IIFNAME), GOTO("deny_identity")),
		RULE(IN("foreign", BH_IIFNAME), ACCEPT),
		RULE(DEV(BH_IIFNAME, "veth*"), GOTO("deny_unknown")),
		RULE(ACCEPT)),
	CHAIN("from_unknown",
		RULE(IN("owned_mac", BH_ETHER_SADDR), GOTO("deny_identity")),
		RULE(IN("owned4", BH_IP_SADDR), GOTO("deny_identity")),
		RULE(IN("owned6", BH_IP6_SADDR), GOTO("deny_identity")),
		RULE(IN("nets4", BH_ARP_SADDR_IP), GOTO("deny_unknown")),
		RULE(IN("nets4", BH_ARP_DADDR_IP), GOTO("deny_unknown")),
		RULE(IN("foreign", BH_IIFNAME), ACCEPT),
		RULE(DEV(BH_IIFNAME, "veth*"), NONE_OF(BH_ETHER_TYPE, known_frames), GOTO("deny_unknown")),
		RULE(DEV(BH_IIFNAME, "veth*"), IN("forwarded4", BH_IP_SADDR), GOTO("deny_identity")),
		RULE(DEV(BH_IIFNAME, "veth*"), IN("forwarded6", BH_IP6_SADDR), GOTO("deny_identity")),
		RULE(ACCEPT)),
	BASE("prerouting", BH_HOOK_PREROUTING, -250,
		PINNED,
		RULE(IN("ports", BH_IIFNAME), GOTO("deny_identity")),
		RULE(GOTO("from_unknown"))),
};

int skel_bridge_add(struct bh_table *t, bool ibrname)
{
	int r = skel_sets_add(t, sets, BH_ARRAY_SIZE(sets));

	if (r == 0 && ibrname)
		r = skel_sets_add(t, sets_by_bridge, BH_ARRAY_SIZE(sets_by_bridge));
	if (r == 0 && !ibrname)
		r = skel_sets_add(t, sets_by_port, BH_ARRAY_SIZE(sets_by_port));
	if (r == 0)
		r = skel_counters_add(t, counters, BH_ARRAY_SIZE(counters));
	if (r == 0)
		r = skel_chains_add(t, chains, BH_ARRAY_SIZE(chains));
	if (r == 0)
		r = ibrname ? skel_chains_add(t, by_bridge, BH_ARRAY_SIZE(by_bridge)) : skel_chains_add(t, by_port, BH_ARRAY_SIZE(by_port));
	return r;
}
