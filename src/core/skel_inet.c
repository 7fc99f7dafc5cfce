/* SPDX-License-Identifier: Apache-2.0 */
/* The inet table as it always is. tests/golden/skeleton.nft is the same with the zones of an example, and
 * tests/netns/test_skeleton.py shows on a kernel what it does.
 *
 * A zone's number travels in meta priority and is taken out again at the end of each hook. A flow's ends are ct original
 * saddr and ct reply saddr, its port is ct reply proto-src: the same for both directions and for the flow's errors. nft can
 * only say proto-src where the rule names one transport, hence a rule each. After a goto out of a base chain the end of a
 * chain falls back to the policy, so every chain that is gone to ends in a verdict: bh_ruleset_prove(). */
#include "skel.h"

#include <bulkhead/place.h>

#include <net/if_arp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>

/* linux/netfilter/nf_conntrack_common.h */
#define CT_ESTABLISHED 2u
#define CT_RELATED 4u
#define CT_NEW 8u
#define CT_FLOWLESS (1u | 64u)	/* NF_CT_STATE_INVALID_BIT, NF_CT_STATE_UNTRACKED_BIT */
#define IPS_CONFIRMED 0x8u
#define IPS_DST_NAT 0x20u
#define TOKEN_MS 10000	/* how long a client may take for the last word of the handshake: docker-proxy acts within milliseconds of it */
#define CROWD_MS 2000
#define OPENED_MS 60000	/* a SYN is repeated after 1, 2, 4, … s, 32 at most by default (tcp(7), tcp_syn_retries) */
#define MLD2_LISTENER_REPORT 143	/* RFC 3810 */

/* The packet by its direction; the rule behind sees those without a flow. */
#define GOTO_JUDGE \
	RULE(IS(BH_CT_DIRECTION, CT_ORIGINAL), GOTO("judge_orig")), \
	RULE(IS(BH_CT_DIRECTION, CT_REPLY), GOTO("judge_reply"))

static const struct skel_set sets[] = {
	{.name = "bridges", .key = {BH_IIFNAME}, .flags = BH_SET_INTERVAL},
	{.name = "exempt", .key = {BH_IIFNAME}},
	{.name = "zone_of4", .key = {BH_IIFNAME, BH_IP_SADDR}, .data = BH_DATA_PRIORITY, .flags = BH_SET_COUNTER},
	{.name = "zone_of6", .key = {BH_IIFNAME, BH_IP6_SADDR}, .data = BH_DATA_PRIORITY, .flags = BH_SET_COUNTER},
	{.name = "via4", .key = {BH_IIFNAME, BH_IP_SADDR}, .data = BH_DATA_PRIORITY, .flags = BH_SET_INTERVAL},
	{.name = "via6", .key = {BH_IIFNAME, BH_IP6_SADDR}, .data = BH_DATA_PRIORITY, .flags = BH_SET_INTERVAL},
	{.name = "zone_of_if", .key = {BH_IIFNAME}, .data = BH_DATA_PRIORITY, .flags = BH_SET_INTERVAL},
	{.name = "world4", .key = {BH_IP_SADDR}, .data = BH_DATA_PRIORITY, .flags = BH_SET_INTERVAL},
	{.name = "world6", .key = {BH_IP6_SADDR}, .data = BH_DATA_PRIORITY, .flags = BH_SET_INTERVAL},
	{.name = "dns4", .key = {BH_IP_SADDR}},
	{.name = "dns6", .key = {BH_IP6_SADDR}},
	{.name = "from_zone", .key = {BH_PRIORITY}, .data = BH_DATA_VERDICT, .flags = BH_SET_COUNTER},
	{.name = "modes", .key = {BH_PRIORITY}, .data = BH_DATA_VERDICT},
	{.name = "held", .key = {BH_PRIORITY}},
	{.name = "drops4", .key = {BH_IIFNAME, BH_IP_SADDR}, .flags = BH_SET_COUNTER},
	{.name = "drops6", .key = {BH_IIFNAME, BH_IP6_SADDR}, .flags = BH_SET_COUNTER},
	{.name = "opener4", .key = {BH_IIFNAME, BH_IP_SADDR}, .data = BH_DATA_PRIORITY},
	{.name = "opener6", .key = {BH_IIFNAME, BH_IP6_SADDR}, .data = BH_DATA_PRIORITY},
	{.name = "opener_zone", .key = {BH_PRIORITY}, .data = BH_DATA_PRIORITY},
	{.name = "opener_via4", .key = {BH_IIFNAME, BH_IP_SADDR}, .data = BH_DATA_PRIORITY, .flags = BH_SET_INTERVAL},
	{.name = "opener_via6", .key = {BH_IIFNAME, BH_IP6_SADDR}, .data = BH_DATA_PRIORITY, .flags = BH_SET_INTERVAL},
	{.name = "opener_limits", .key = {BH_PRIORITY}, .data = BH_DATA_VERDICT},
	{.name = "full", .key = {BH_PRIORITY}, .flags = BH_SET_DYNAMIC | BH_SET_TIMEOUT, .size = 65535, .timeout_ms = 1000},
	{.name = "pressed", .key = {BH_PRIORITY}, .flags = BH_SET_DYNAMIC | BH_SET_TIMEOUT, .size = 65535, .timeout_ms = 10000},
	{.name = "published", .key = {BH_NFPROTO, BH_L4PROTO, BH_TH_DPORT}},
	{.name = "pub_any", .key = {BH_NFPROTO, BH_L4PROTO, BH_TH_DPORT}, .data = BH_DATA_PRIORITY},
	{.name = "pub4", .key = {BH_IP_SADDR, BH_L4PROTO, BH_TH_DPORT}, .data = BH_DATA_PRIORITY},
	{.name = "pub6", .key = {BH_IP6_SADDR, BH_L4PROTO, BH_TH_DPORT}, .data = BH_DATA_PRIORITY},
	{.name = "legs4", .key = {BH_IP_SADDR, BH_L4PROTO, BH_TH_DPORT}, .data = BH_DATA_PRIORITY},
	{.name = "legs6", .key = {BH_IP6_SADDR, BH_L4PROTO, BH_TH_DPORT}, .data = BH_DATA_PRIORITY},
	{.name = "casts4", .key = {BH_IP_DADDR}, .flags = BH_SET_INTERVAL},
	{.name = "casts6", .key = {BH_IP6_DADDR}, .flags = BH_SET_INTERVAL},
	{.name = "heard4", .key = {BH_IIFNAME, BH_IP_SADDR}, .flags = BH_SET_DYNAMIC | BH_SET_TIMEOUT, .size = 65535, .timeout_ms = 10000},
	{.name = "heard6", .key = {BH_IIFNAME, BH_IP6_SADDR}, .flags = BH_SET_DYNAMIC | BH_SET_TIMEOUT, .size = 65535, .timeout_ms = 10000},
	{.name = "said4", .key = {BH_IIFNAME, BH_IP_SADDR, BH_IP_DADDR, BH_L4PROTO, BH_TH_DPORT},
		.flags = BH_SET_DYNAMIC | BH_SET_TIMEOUT, .size = 65535, .timeout_ms = 1000},
	{.name = "said6", .key = {BH_IIFNAME, BH_IP6_SADDR, BH_IP6_DADDR, BH_L4PROTO, BH_TH_DPORT},
		.flags = BH_SET_DYNAMIC | BH_SET_TIMEOUT, .size = 65535, .timeout_ms = 1000},
	{.name = "nf_call4", .key = {BH_IIFNAME}},
	{.name = "nf_call6", .key = {BH_IIFNAME}},
	{.name = "learned", .key = {BH_IIFNAME}},
	{.name = "token", .key = {BH_PRIORITY}, .flags = BH_SET_DYNAMIC | BH_SET_TIMEOUT, .size = 65535, .timeout_ms = TOKEN_MS},
	{.name = "once", .key = {BH_PRIORITY}, .flags = BH_SET_DYNAMIC | BH_SET_TIMEOUT, .size = 65535, .timeout_ms = TOKEN_MS},
	{.name = "crowd", .key = {BH_PRIORITY}, .flags = BH_SET_DYNAMIC | BH_SET_TIMEOUT, .size = 65535, .timeout_ms = CROWD_MS},
	{.name = "opened", .key = {BH_PRIORITY, BH_TH_SPORT}, .flags = BH_SET_DYNAMIC | BH_SET_TIMEOUT, .size = 65535,
		.timeout_ms = OPENED_MS},
};

static const char *const counters[] = {
	"denied_policy", "denied_unknown", "denied_quarantine", "denied_identity", "denied_metadata", "denied_invalid",
	"denied_noise", "denied_limit",
};

static const struct skel_case answerers[] = {
	{CT_ORIGINAL, BH_JUMP, "from_published"}, {CT_REPLY, BH_JUMP, "to_published"},
};
static const struct skel_case icmp_errors[] = {
	{ICMP_DEST_UNREACH, 0, NULL}, {ICMP_TIME_EXCEEDED, 0, NULL}, {ICMP_PARAMETERPROB, 0, NULL},
};
static const struct skel_case icmp6_errors[] = {
	{ICMP6_DST_UNREACH, 0, NULL}, {ICMP6_PACKET_TOO_BIG, 0, NULL}, {ICMP6_TIME_EXCEEDED, 0, NULL},
	{ICMP6_PARAM_PROB, 0, NULL},
};
static const struct skel_case icmps[] = {
	{IPPROTO_ICMP, 0, NULL}, {IPPROTO_ICMPV6, 0, NULL},
};
static const struct skel_case neighbours[] = {
	{ND_NEIGHBOR_SOLICIT, 0, NULL}, {ND_NEIGHBOR_ADVERT, 0, NULL},
};
static const struct skel_case multicasts[] = {
	{ND_ROUTER_SOLICIT, 0, NULL}, {MLD_LISTENER_QUERY, 0, NULL}, {MLD_LISTENER_REPORT, 0, NULL},
	{MLD_LISTENER_REDUCTION, 0, NULL}, {MLD2_LISTENER_REPORT, 0, NULL},
};
static const struct skel_case host_multicasts[] = {
	{ND_NEIGHBOR_SOLICIT, 0, NULL}, {ND_NEIGHBOR_ADVERT, 0, NULL}, {ND_ROUTER_SOLICIT, 0, NULL},
	{MLD_LISTENER_QUERY, 0, NULL}, {MLD_LISTENER_REPORT, 0, NULL}, {MLD2_LISTENER_REPORT, 0, NULL},
};
/* net/ipv4/route.c, ip_tos2prio: of the DSCP only the low three bits count */
static const struct skel_case bulk[] = {
	{2, 0, NULL}, {3, 0, NULL}, {10, 0, NULL}, {11, 0, NULL}, {18, 0, NULL}, {19, 0, NULL}, {26, 0, NULL},
	{27, 0, NULL}, {34, 0, NULL}, {35, 0, NULL}, {42, 0, NULL}, {43, 0, NULL}, {50, 0, NULL}, {51, 0, NULL},
	{58, 0, NULL}, {59, 0, NULL},
};
static const struct skel_case interactive[] = {
	{4, 0, NULL}, {5, 0, NULL}, {12, 0, NULL}, {13, 0, NULL}, {20, 0, NULL}, {21, 0, NULL}, {28, 0, NULL},
	{29, 0, NULL}, {36, 0, NULL}, {37, 0, NULL}, {44, 0, NULL}, {45, 0, NULL}, {52, 0, NULL}, {53, 0, NULL},
	{60, 0, NULL}, {61, 0, NULL},
};
static const struct skel_case interactive_bulk[] = {
	{6, 0, NULL}, {7, 0, NULL}, {14, 0, NULL}, {15, 0, NULL}, {22, 0, NULL}, {23, 0, NULL}, {30, 0, NULL},
	{31, 0, NULL}, {38, 0, NULL}, {39, 0, NULL}, {46, 0, NULL}, {47, 0, NULL}, {54, 0, NULL}, {55, 0, NULL},
	{62, 0, NULL}, {63, 0, NULL},
};

static const struct skel_chain told[] = {
	CHAIN("refuse",
		RULE(IN("drops4", BH_IIFNAME, BH_IP_SADDR)),
		RULE(IN("drops6", BH_IIFNAME, BH_IP6_SADDR)),
		RULE(IN("exempt", BH_IIFNAME), DROP),
		RULE(IN("bridges", BH_IIFNAME), GOTO("tell_container")),
		RULE(DEV(BH_IIFNAME, "lo"), GOTO("tell")),
		RULE(IS(BH_IIF, 0), GOTO("tell")),
		RULE(DROP)),
	/* A connection that ran before conntrack saw it may be the wrong way round: it is not ended before the daemon has looked at it,
	 * src/daemon/denials.c.
	 * A reset across bridge ports would come from the address behind DNAT, whom the container has not called */
	CHAIN("tell_container",
		RULE(MASKED(BH_TCP_FLAGS, TH_SYN | TH_RST, 0), FLAG(BH_CT_STATE, CT_NEW), DROP),
		RULE(FLAG(BH_CT_STATE, CT_NEW), FLAG(BH_CT_STATUS, IPS_DST_NAT), REJECT(BH_REJECT_ADMIN)),
		RULE(GOTO("tell"))),
	CHAIN("tell",
		RULE(MASKED(BH_TCP_FLAGS, TH_SYN | TH_RST, 0), FLAG(BH_CT_STATE, CT_NEW), DROP),
		RULE(IS(BH_L4PROTO, IPPROTO_TCP), REJECT(BH_REJECT_TCP_RESET)),
		RULE(REJECT(BH_REJECT_ADMIN))),
};

static const struct skel_chain silent[] = {
	CHAIN("refuse",
		RULE(IN("drops4", BH_IIFNAME, BH_IP_SADDR)),
		RULE(IN("drops6", BH_IIFNAME, BH_IP6_SADDR)),
		RULE(DROP)),
};

/* The log of a class, then THEN. A kind is heard at once and then once a second, so that none hides another; new kinds of one sender, a
 * scan, are heard so many a second. What has no port, or is too much, is heard ten times a second of all. */
#define SAY(class, then) \
	RULE(IN("said4", BH_IIFNAME, BH_IP_SADDR, BH_IP_DADDR, BH_L4PROTO, BH_TH_DPORT), GOTO(then)), \
	RULE(IN("said6", BH_IIFNAME, BH_IP6_SADDR, BH_IP6_DADDR, BH_L4PROTO, BH_TH_DPORT), GOTO(then)), \
	RULE(METER("heard4", SKEL_KINDS_RATE, BH_IIFNAME, BH_IP_SADDR), \
		UPDATE("said4", 1000, BH_IIFNAME, BH_IP_SADDR, BH_IP_DADDR, BH_L4PROTO, BH_TH_DPORT), LOG("bulkhead " class " "), GOTO(then)), \
	RULE(METER("heard6", SKEL_KINDS_RATE, BH_IIFNAME, BH_IP6_SADDR), \
		UPDATE("said6", 1000, BH_IIFNAME, BH_IP6_SADDR, BH_IP6_DADDR, BH_L4PROTO, BH_TH_DPORT), LOG("bulkhead " class " "), GOTO(then)), \
	RULE(LIMIT(SKEL_LOG_RATE), LOG("bulkhead " class " ")), \
	RULE(GOTO(then))

/* How a packet is denied. In modes 0 is the file, others the zone that answers; who is in it is in audit. */
static const struct skel_chain denials[] = {
	CHAIN("act",
		RULE(VMAP("modes", BH_PRIORITY)),
		RULE(SCRATCH(0)),
		RULE(VMAP("modes", BH_PRIORITY)),
		RULE(GOTO("refuse"))),
	CHAIN("act_silent",
		RULE(SCRATCH(0)),
		RULE(VMAP("modes", BH_PRIORITY)),
		RULE(IN("drops4", BH_IIFNAME, BH_IP_SADDR)),
		RULE(IN("drops6", BH_IIFNAME, BH_IP6_SADDR)),
		RULE(DROP)),
	CHAIN("deny",
		RULE(IS(BH_PRIORITY, BH_ID_METADATA), GOTO("deny_metadata")),
		RULE(IN("held", BH_PRIORITY), GOTO("deny_quarantine")),
		RULE(IN("casts4", BH_IP_DADDR), GOTO("deny_noise")),
		RULE(IN("casts6", BH_IP6_DADDR), GOTO("deny_noise")),
		RULE(COUNT("denied_policy")),
		SAY("policy", "act")),
	CHAIN("deny_quarantine",
		RULE(COUNT("denied_quarantine")),
		SAY("quarantine", "act")),
	CHAIN("deny_metadata",
		RULE(COUNT("denied_metadata")),
		SAY("metadata", "act")),
	CHAIN("deny_unknown",
		RULE(COUNT("denied_unknown")),
		SAY("unknown", "act_silent")),
	CHAIN("deny_identity",
		RULE(COUNT("denied_identity")),
		SAY("identity", "act_silent")),
	CHAIN("deny_invalid",
		RULE(COUNT("denied_invalid")),
		SAY("invalid", "act_silent")),
	CHAIN("deny_noise",
		RULE(COUNT("denied_noise")),
		RULE(LIMIT(SKEL_LOG_RATE), LOG("bulkhead noise ")),
		RULE(SCRATCH(0)),
		RULE(VMAP("modes", BH_PRIORITY)),
		RULE(DROP)),
	/* Limits hold in zones under audit too */
	CHAIN("deny_limit",
		RULE(COUNT("denied_limit")),
		SAY("limit", "refuse")),
};

static const struct skel_chain ends[] = {
	/* Who opened the flow */
	CHAIN("from_host",
		RULE(SCRATCH(BH_ID_HOST))),
	CHAIN("from_world",
		RULE(SCRATCH(BH_ID_INTERNET)),
		RULE(FETCH("world4", BH_CT_ORIG_IP_SADDR)),
		RULE(FETCH("world6", BH_CT_ORIG_IP6_SADDR))),
	CHAIN("from_outside_orig",
		RULE(IS(BH_IIF, 0), GOTO("from_host")),
		RULE(DEV(BH_IIFNAME, "lo"), GOTO("from_host")),
		RULE(IN("bridges", BH_IIFNAME), GOTO("from_via_orig")),
		RULE(FETCH("zone_of_if", BH_IIFNAME)),
		RULE(IS(BH_PRIORITY, 0), GOTO("from_world"))),
	CHAIN("from_outside_reply",
		RULE(IS(BH_OIF, 0), GOTO("from_host")),
		RULE(IN("bridges", BH_OIFNAME), GOTO("from_via_reply")),
		RULE(FETCH("zone_of_if", BH_OIFNAME)),
		RULE(IS(BH_PRIORITY, 0), GOTO("from_world"))),
	/* An address that a container forwards for; the bridge table has seen to whose port it came in by */
	CHAIN("from_via_orig",
		RULE(IN("exempt", BH_IIFNAME), GOTO("from_world")),
		RULE(FETCH("via4", BH_IIFNAME, BH_CT_ORIG_IP_SADDR)),
		RULE(FETCH("via6", BH_IIFNAME, BH_CT_ORIG_IP6_SADDR)),
		RULE(IS(BH_PRIORITY, 0), GOTO("deny_unknown"))),
	CHAIN("from_via_reply",
		RULE(IN("exempt", BH_OIFNAME), GOTO("from_world")),
		RULE(FETCH("via4", BH_OIFNAME, BH_CT_ORIG_IP_SADDR)),
		RULE(FETCH("via6", BH_OIFNAME, BH_CT_ORIG_IP6_SADDR)),
		RULE(IS(BH_PRIORITY, 0), GOTO("deny_unknown"))),
	/* Who answers. The host opens nothing to itself: who is at its sockets then and is not the host is a client of docker-proxy */
	CHAIN("to_orig",
		RULE(IS(BH_OIF, 0), GOTO("to_local")),
		RULE(IS(BH_IIF, 0), ISNT(BH_PRIORITY, BH_ID_HOST), GOTO("from_published")),
		RULE(SCRATCH(0)),
		RULE(FETCH("zone_of4", BH_OIFNAME, BH_CT_REPLY_IP_SADDR)),
		RULE(FETCH("zone_of6", BH_OIFNAME, BH_CT_REPLY_IP6_SADDR)),
		RULE(IS(BH_PRIORITY, 0), GOTO("to_outside_orig"))),
	CHAIN("to_reply",
		RULE(IS(BH_IIF, 0), GOTO("to_local")),
		RULE(IS(BH_OIF, 0), ISNT(BH_PRIORITY, BH_ID_HOST), GOTO("to_published")),
		RULE(SCRATCH(0)),
		RULE(FETCH("zone_of4", BH_IIFNAME, BH_CT_REPLY_IP_SADDR)),
		RULE(FETCH("zone_of6", BH_IIFNAME, BH_CT_REPLY_IP6_SADDR)),
		RULE(IS(BH_PRIORITY, 0), GOTO("to_outside_reply"))),
	CHAIN("to_outside_orig",
		RULE(DEV(BH_OIFNAME, "lo"), GOTO("deny_unknown")),
		RULE(IN("bridges", BH_OIFNAME), GOTO("to_via_orig")),
		RULE(FETCH("zone_of_if", BH_OIFNAME)),
		RULE(IS(BH_PRIORITY, 0), GOTO("to_world"))),
	CHAIN("to_outside_reply",
		RULE(IN("bridges", BH_IIFNAME), GOTO("to_via_reply")),
		RULE(FETCH("zone_of_if", BH_IIFNAME)),
		RULE(IS(BH_PRIORITY, 0), GOTO("to_world"))),
	CHAIN("to_via_orig",
		RULE(IN("exempt", BH_OIFNAME), GOTO("to_world")),
		RULE(FETCH("via4", BH_OIFNAME, BH_CT_REPLY_IP_SADDR)),
		RULE(FETCH("via6", BH_OIFNAME, BH_CT_REPLY_IP6_SADDR)),
		RULE(IS(BH_PRIORITY, 0), GOTO("deny_unknown"))),
	CHAIN("to_via_reply",
		RULE(IN("exempt", BH_IIFNAME), GOTO("to_world")),
		RULE(FETCH("via4", BH_IIFNAME, BH_CT_REPLY_IP_SADDR)),
		RULE(FETCH("via6", BH_IIFNAME, BH_CT_REPLY_IP6_SADDR)),
		RULE(IS(BH_PRIORITY, 0), GOTO("deny_unknown"))),
	CHAIN("to_world",
		RULE(SCRATCH(BH_ID_INTERNET)),
		RULE(FETCH("world4", BH_CT_REPLY_IP_SADDR)),
		RULE(FETCH("world6", BH_CT_REPLY_IP6_SADDR))),
	/* Who answers, whatever the hook and the direction; and where it is no member, as was just looked up */
	CHAIN("to_end",
		RULE(IS(BH_CT_DIRECTION, CT_ORIGINAL), GOTO("to_orig")),
		RULE(GOTO("to_reply"))),
	CHAIN("to_outside",
		RULE(IS(BH_CT_DIRECTION, CT_ORIGINAL), GOTO("to_outside_orig")),
		RULE(GOTO("to_outside_reply"))),
	/* This host, or the container port that docker-proxy serves here */
	CHAIN("to_local",
		RULE(SCRATCH(BH_ID_HOST)),
		RULE(IS(BH_L4PROTO, IPPROTO_TCP), FETCH("pub_any", BH_NFPROTO, BH_CT_PROTOCOL, BH_CT_REPLY_PROTO_SRC)),
		RULE(IS(BH_L4PROTO, IPPROTO_TCP), FETCH("pub4", BH_CT_REPLY_IP_SADDR, BH_CT_PROTOCOL, BH_CT_REPLY_PROTO_SRC)),
		RULE(IS(BH_L4PROTO, IPPROTO_TCP), FETCH("pub6", BH_CT_REPLY_IP6_SADDR, BH_CT_PROTOCOL, BH_CT_REPLY_PROTO_SRC)),
		RULE(IS(BH_L4PROTO, IPPROTO_UDP), FETCH("pub_any", BH_NFPROTO, BH_CT_PROTOCOL, BH_CT_REPLY_PROTO_SRC)),
		RULE(IS(BH_L4PROTO, IPPROTO_UDP), FETCH("pub4", BH_CT_REPLY_IP_SADDR, BH_CT_PROTOCOL, BH_CT_REPLY_PROTO_SRC)),
		RULE(IS(BH_L4PROTO, IPPROTO_UDP), FETCH("pub6", BH_CT_REPLY_IP6_SADDR, BH_CT_PROTOCOL, BH_CT_REPLY_PROTO_SRC)),
		RULE(IS(BH_L4PROTO, IPPROTO_SCTP), FETCH("pub_any", BH_NFPROTO, BH_CT_PROTOCOL, BH_CT_REPLY_PROTO_SRC)),
		RULE(IS(BH_L4PROTO, IPPROTO_SCTP), FETCH("pub4", BH_CT_REPLY_IP_SADDR, BH_CT_PROTOCOL, BH_CT_REPLY_PROTO_SRC)),
		RULE(IS(BH_L4PROTO, IPPROTO_SCTP), FETCH("pub6", BH_CT_REPLY_IP6_SADDR, BH_CT_PROTOCOL, BH_CT_REPLY_PROTO_SRC)),
		RULE(IS(BH_L4PROTO, IPPROTO_ICMP), FETCH("pub_any", BH_NFPROTO, BH_CT_PROTOCOL, BH_CT_REPLY_PROTO_SRC)),
		RULE(IS(BH_L4PROTO, IPPROTO_ICMP), FETCH("pub4", BH_CT_REPLY_IP_SADDR, BH_CT_PROTOCOL, BH_CT_REPLY_PROTO_SRC)),
		RULE(IS(BH_L4PROTO, IPPROTO_ICMPV6), FETCH("pub_any", BH_NFPROTO, BH_CT_PROTOCOL, BH_CT_REPLY_PROTO_SRC)),
		RULE(IS(BH_L4PROTO, IPPROTO_ICMPV6), FETCH("pub6", BH_CT_REPLY_IP6_SADDR, BH_CT_PROTOCOL, BH_CT_REPLY_PROTO_SRC))),
	/* The same by a packet's header alone */
	CHAIN("to_published",
		RULE(SCRATCH(BH_ID_HOST)),
		RULE(FETCH("pub_any", BH_NFPROTO, BH_L4PROTO, BH_TH_DPORT)),
		RULE(FETCH("pub4", BH_IP_DADDR, BH_L4PROTO, BH_TH_DPORT)),
		RULE(FETCH("pub6", BH_IP6_DADDR, BH_L4PROTO, BH_TH_DPORT))),
	CHAIN("from_published",
		RULE(SCRATCH(BH_ID_HOST)),
		RULE(FETCH("pub_any", BH_NFPROTO, BH_L4PROTO, BH_TH_SPORT)),
		RULE(FETCH("pub4", BH_IP_SADDR, BH_L4PROTO, BH_TH_SPORT)),
		RULE(FETCH("pub6", BH_IP6_SADDR, BH_L4PROTO, BH_TH_SPORT))),
	/* Adds to what the zone of the resolver's address allows */
	CHAIN("to_dns",
		RULE(IN("dns4", BH_CT_REPLY_IP_SADDR), GOTO("to_dns_port")),
		RULE(IN("dns6", BH_CT_REPLY_IP6_SADDR), GOTO("to_dns_port"))),
	CHAIN("to_dns_port",
		RULE(IS(BH_L4PROTO, IPPROTO_UDP), IS(BH_CT_REPLY_PROTO_SRC, 53), SCRATCH(BH_ID_DNS)),
		RULE(IS(BH_L4PROTO, IPPROTO_TCP), IS(BH_CT_REPLY_PROTO_SRC, 53), SCRATCH(BH_ID_DNS)),
		RULE(IS(BH_L4PROTO, IPPROTO_ICMP), IS(BH_CT_REPLY_PROTO_SRC, 53), SCRATCH(BH_ID_DNS)),
		RULE(IS(BH_L4PROTO, IPPROTO_ICMPV6), IS(BH_CT_REPLY_PROTO_SRC, 53), SCRATCH(BH_ID_DNS))),
	/* Published ports served by docker-proxy */
	/* The first leg is allowed: the proxy may open one second leg, once it has answered the client; a datagram may always be the
	 * first again, as the proxy forgets who is silent before conntrack does */
	CHAIN("leg_ok",
		RULE(MASKED(BH_TCP_FLAGS, TH_SYN | TH_ACK, TH_SYN | TH_ACK), GOTO("leg_token")),
		RULE(IS(BH_L4PROTO, IPPROTO_UDP), IS(BH_IIF, 0), ACCEPT),
		RULE(IS(BH_L4PROTO, IPPROTO_UDP), GOTO("leg_token")),
		RULE(FLAG(BH_CT_STATE, CT_NEW), ISNT(BH_L4PROTO, IPPROTO_TCP), GOTO("leg_token")),
		RULE(FLAG(BH_CT_STATE, CT_NEW), DEV(BH_IIFNAME, "lo"), GOTO("leg_token")),
		RULE(ACCEPT)),
	/* `once` tells the first of two that come at once, `token` can be looked up (a look-up in `once` would ask its limit again).
	 * While one is out nobody can tell whose the next second leg is: then time bounds them */
	CHAIN("leg_token",
		RULE(UPDATE_ONCE("once", TOKEN_MS, BH_PRIORITY), UPDATE("token", TOKEN_MS, BH_PRIORITY), ACCEPT),
		RULE(UPDATE("crowd", CROWD_MS, BH_PRIORITY)),
		RULE(ACCEPT)),
	/* What the host's own rules don't allow may still be docker-proxy's */
	CHAIN("second_leg",
		RULE(SCRATCH(0)),
		RULE(IS(BH_L4PROTO, IPPROTO_TCP), FETCH("legs4", BH_CT_REPLY_IP_SADDR, BH_CT_PROTOCOL, BH_CT_REPLY_PROTO_SRC)),
		RULE(IS(BH_L4PROTO, IPPROTO_TCP), FETCH("legs6", BH_CT_REPLY_IP6_SADDR, BH_CT_PROTOCOL, BH_CT_REPLY_PROTO_SRC)),
		RULE(IS(BH_L4PROTO, IPPROTO_UDP), FETCH("legs4", BH_CT_REPLY_IP_SADDR, BH_CT_PROTOCOL, BH_CT_REPLY_PROTO_SRC)),
		RULE(IS(BH_L4PROTO, IPPROTO_UDP), FETCH("legs6", BH_CT_REPLY_IP6_SADDR, BH_CT_PROTOCOL, BH_CT_REPLY_PROTO_SRC)),
		RULE(IS(BH_L4PROTO, IPPROTO_SCTP), FETCH("legs4", BH_CT_REPLY_IP_SADDR, BH_CT_PROTOCOL, BH_CT_REPLY_PROTO_SRC)),
		RULE(IS(BH_L4PROTO, IPPROTO_SCTP), FETCH("legs6", BH_CT_REPLY_IP6_SADDR, BH_CT_PROTOCOL, BH_CT_REPLY_PROTO_SRC)),
		RULE(IS(BH_L4PROTO, IPPROTO_ICMP), FETCH("legs4", BH_CT_REPLY_IP_SADDR, BH_CT_PROTOCOL, BH_CT_REPLY_PROTO_SRC)),
		RULE(IS(BH_L4PROTO, IPPROTO_ICMPV6), FETCH("legs6", BH_CT_REPLY_IP6_SADDR, BH_CT_PROTOCOL, BH_CT_REPLY_PROTO_SRC)),
		RULE(ISNT(BH_PRIORITY, 0), GOTO("second_leg_known")),
		RULE(GOTO("second_leg_denied"))),
	CHAIN("second_leg_known",
		RULE(IS(BH_CT_DIRECTION, CT_REPLY), ACCEPT),
		RULE(FLAG(BH_CT_STATE, CT_RELATED), ACCEPT),
		RULE(IS(BH_SKUID, 0), FLAG(BH_CT_STATE, CT_ESTABLISHED), ACCEPT),
		RULE(IS(BH_SKUID, 0), FLAG(BH_CT_STATUS, IPS_CONFIRMED), IN("opened", BH_PRIORITY, BH_TH_SPORT),
			GOTO("second_leg_open")),
		RULE(IS(BH_SKUID, 0), IN("token", BH_PRIORITY), GOTO("second_leg_take")),
		RULE(IS(BH_SKUID, 0), IN("crowd", BH_PRIORITY), GOTO("second_leg_open")),
		RULE(GOTO("second_leg_denied"))),
	CHAIN("second_leg_take",
		RULE(TAKE_OUT("token", BH_PRIORITY)),
		RULE(TAKE_OUT("once", BH_PRIORITY)),
		RULE(GOTO("second_leg_open"))),
	/* Not answered yet: what is repeated must pass later, too. Conntrack knows such a flow; a new one on that port is another */
	CHAIN("second_leg_open",
		RULE(UPDATE("opened", OPENED_MS, BH_PRIORITY, BH_TH_SPORT)),
		RULE(ACCEPT)),
	CHAIN("second_leg_denied",
		RULE(SCRATCH(BH_ID_HOST)),
		JUMP_TO_END,
		RULE(GOTO("deny"))),
	/* Opens nothing to anybody; who would answer says what becomes of it */
	CHAIN("from_metadata",
		JUMP_TO_END,
		RULE(GOTO("deny_metadata"))),
};

static const struct skel_chain judgement[] = {
	/* Judge one packet of a flow that has a container, or what may be one, at one end or both */
	CHAIN("judge",
		RULE(FLAG(BH_CT_STATE, CT_RELATED), JUMP("related")),
		GOTO_JUDGE,
		RULE(GOTO("no_flow"))),
	CHAIN("judge_orig",
		RULE(SCRATCH(0)),
		RULE(FETCH("zone_of4", BH_IIFNAME, BH_CT_ORIG_IP_SADDR)),
		RULE(FETCH("zone_of6", BH_IIFNAME, BH_CT_ORIG_IP6_SADDR)),
		RULE(IS(BH_PRIORITY, 0), JUMP("from_outside_orig")),
		RULE(VMAP("from_zone", BH_PRIORITY)),
		RULE(GOTO("deny_unknown"))),
	CHAIN("judge_reply",
		RULE(SCRATCH(0)),
		RULE(FETCH("zone_of4", BH_OIFNAME, BH_CT_ORIG_IP_SADDR)),
		RULE(FETCH("zone_of6", BH_OIFNAME, BH_CT_ORIG_IP6_SADDR)),
		RULE(IS(BH_PRIORITY, 0), JUMP("from_outside_reply")),
		RULE(VMAP("from_zone", BH_PRIORITY)),
		RULE(GOTO("deny_unknown"))),
	/* Errors follow the answer of their flow; redirects are lies */
	CHAIN("related",
		RULE(ONE_OF(BH_ICMP_TYPE, icmp_errors), GOTO("error")),
		RULE(ONE_OF(BH_ICMPV6_TYPE, icmp6_errors), GOTO("error")),
		RULE(ONE_OF(BH_L4PROTO, icmps), GOTO("deny_identity"))),
	/* Conntrack has seen to it that such a flow is there and the error goes to one of its ends, not to who tells of it. A container's port lets
	 * it tell only of what it was sent itself (the bridge table); nobody outside is on the way between two containers */
	CHAIN("error",
		RULE(SCRATCH(0)),
		RULE(IS(BH_IIF, 0), RETURN),
		RULE(DEV(BH_IIFNAME, "lo"), RETURN),
		RULE(IN("exempt", BH_IIFNAME), GOTO("error_outside")),
		RULE(IN("bridges", BH_IIFNAME), GOTO("error_inside")),
		RULE(GOTO("error_outside"))),
	CHAIN("error_inside",
		RULE(FETCH("zone_of4", BH_IIFNAME, BH_IP_SADDR)),
		RULE(FETCH("zone_of6", BH_IIFNAME, BH_IP6_SADDR)),
		RULE(FETCH("via4", BH_IIFNAME, BH_IP_SADDR)),
		RULE(FETCH("via6", BH_IIFNAME, BH_IP6_SADDR)),
		RULE(IS(BH_PRIORITY, 0), GOTO("deny_unknown"))),
	CHAIN("error_outside",
		RULE(IS(BH_CT_DIRECTION, CT_ORIGINAL), FETCH("world4", BH_CT_ORIG_IP_SADDR)),
		RULE(IS(BH_CT_DIRECTION, CT_ORIGINAL), FETCH("world6", BH_CT_ORIG_IP6_SADDR)),
		RULE(IS(BH_CT_DIRECTION, CT_REPLY), FETCH("world4", BH_CT_REPLY_IP_SADDR)),
		RULE(IS(BH_CT_DIRECTION, CT_REPLY), FETCH("world6", BH_CT_REPLY_IP6_SADDR)),
		RULE(IS(BH_PRIORITY, BH_ID_CONTAINER_NETWORK), GOTO("deny_identity"))),
	/* Conntrack keeps nothing of neighbour discovery; all else without an entry is closed */
	CHAIN("no_flow",
		RULE(ONE_OF(BH_ICMPV6_TYPE, neighbours), IS(BH_IP6_HOPLIMIT, 255), GOTO("no_flow_nd")),	/* less was routed: RFC 4861, 7.1 */
		RULE(ONE_OF(BH_ICMPV6_TYPE, multicasts), GOTO("deny_noise")),
		RULE(GOTO("deny_invalid"))),
	CHAIN("no_flow_nd",
		RULE(IS(BH_IP6_SADDR, 0), ACCEPT),
		RULE(FETCH("zone_of6", BH_IIFNAME, BH_IP6_SADDR), GOTO("passed")),
		RULE(GOTO("deny_unknown"))),
};

static const struct skel_chain hooks[] = {
	/* Most packets are of flows that a known container opened: that it has a zone says that its bridge is ours, which spares the
	 * look-up of that. A look-up that misses ends its rule, and leaves the class that others gave to what is not ours. What comes
	 * later in this hook needs not look for a member again */
	BASE("forward", BH_HOOK_FORWARD, -10,
		RULE(IS(BH_CT_DIRECTION, CT_REPLY), GOTO("forward_reply")),
		RULE(FETCH("zone_of4", BH_IIFNAME, BH_CT_ORIG_IP_SADDR), GOTO("judge_known")),
		RULE(FETCH("zone_of6", BH_IIFNAME, BH_CT_ORIG_IP6_SADDR), GOTO("judge_known")),
		RULE(IN("bridges", BH_IIFNAME), GOTO("forward_from_bridge")),
		RULE(IN("bridges", BH_OIFNAME), GOTO("judge_stranger")),
		RULE(ACCEPT)),
	CHAIN("forward_reply",
		RULE(FETCH("zone_of4", BH_OIFNAME, BH_CT_ORIG_IP_SADDR), GOTO("judge_known")),
		RULE(FETCH("zone_of6", BH_OIFNAME, BH_CT_ORIG_IP6_SADDR), GOTO("judge_known")),
		RULE(IN("bridges", BH_IIFNAME), NOT_IN("exempt", BH_IIFNAME), GOTO("judge_stranger_reply")),
		RULE(GOTO("forward_out"))),
	CHAIN("judge_known",
		RULE(FLAG(BH_CT_STATE, CT_RELATED), GOTO("judge")),
		RULE(VMAP("from_zone", BH_PRIORITY)),
		RULE(GOTO("deny_unknown"))),
	/* Opened by none of the containers */
	CHAIN("judge_stranger_reply",
		RULE(FLAG(BH_CT_STATE, CT_RELATED), JUMP("related")),
		RULE(SCRATCH(0)),
		RULE(JUMP("from_outside_reply")),
		RULE(VMAP("from_zone", BH_PRIORITY)),
		RULE(GOTO("deny_unknown"))),
	CHAIN("judge_stranger",
		RULE(IN("exempt", BH_OIFNAME), ACCEPT),
		RULE(IS(BH_CT_DIRECTION, CT_ORIGINAL), GOTO("judge_stranger_orig")),
		RULE(GOTO("no_flow"))),
	CHAIN("judge_stranger_orig",
		RULE(FLAG(BH_CT_STATE, CT_RELATED), JUMP("related")),
		RULE(FETCH("zone_of_if", BH_IIFNAME), GOTO("judge_zone")),
		RULE(SCRATCH(BH_ID_INTERNET)),
		RULE(FETCH("world4", BH_CT_ORIG_IP_SADDR), GOTO("judge_zone")),
		RULE(FETCH("world6", BH_CT_ORIG_IP6_SADDR), GOTO("judge_zone")),
		RULE(GOTO("judge_zone"))),
	CHAIN("judge_zone",
		RULE(VMAP("from_zone", BH_PRIORITY)),
		RULE(GOTO("deny_unknown"))),
	CHAIN("forward_from_bridge",
		RULE(IN("exempt", BH_IIFNAME), GOTO("forward_out")),
		RULE(GOTO("judge"))),
	CHAIN("forward_out",
		RULE(IN("exempt", BH_OIFNAME), ACCEPT),
		RULE(IN("bridges", BH_OIFNAME), GOTO("judge")),
		RULE(ACCEPT)),
	BASE("input", BH_HOOK_INPUT, -10,
		RULE(DEV(BH_IIFNAME, "lo"), GOTO("input_lo")),
		RULE(IN("bridges", BH_IIFNAME), NOT_IN("exempt", BH_IIFNAME), GOTO("input_bridge")),
		RULE(GOTO("input_outside"))),
	CHAIN("input_bridge",
		RULE(IS(BH_CT_DIRECTION, CT_REPLY), IS(BH_L4PROTO, IPPROTO_UDP), JUMP("answers_in")),
		RULE(GOTO("judge"))),
	/* Of a port that is published only those addresses are a container's: on others the host may serve something itself */
	CHAIN("published_here",
		RULE(JUMP("to_local")),
		RULE(ISNT(BH_PRIORITY, BH_ID_HOST), GOTO("judge"))),
	/* docker-proxy answers a datagram from the address that the host likes best, maybe not the one that was called. To conntrack that is
	 * a flow of the host's own; it is the client's, and so is what the client sends to that address from then on */
	CHAIN("answers_in",
		RULE(IN("published", BH_NFPROTO, BH_L4PROTO, BH_TH_DPORT), JUMP("answered_here"))),
	CHAIN("answers_out",
		RULE(IN("published", BH_NFPROTO, BH_L4PROTO, BH_TH_SPORT), JUMP("answered_here"))),
	CHAIN("answered_here",
		RULE(BY(BH_CT_DIRECTION, answerers)),
		RULE(ISNT(BH_PRIORITY, BH_ID_HOST), GOTO("judge_answer"))),
	CHAIN("judge_answer",
		RULE(SCRATCH(BH_ID_HOST)),
		JUMP_TO_END,
		RULE(VMAP("from_zone", BH_PRIORITY)),
		RULE(GOTO("deny_unknown"))),
	CHAIN("flowless_here",
		RULE(JUMP("to_published")),
		RULE(ISNT(BH_PRIORITY, BH_ID_HOST), GOTO("deny_invalid"))),
	/* This host to a port that docker-proxy serves */
	CHAIN("input_lo",
		RULE(IS(BH_CT_DIRECTION, CT_ORIGINAL), IN("published", BH_NFPROTO, BH_L4PROTO, BH_TH_DPORT), JUMP("published_here")),
		RULE(ACCEPT)),
	/* The host's own services are not ours, but nobody outside has a container's address */
	CHAIN("input_outside",
		RULE(IS(BH_IIFTYPE, ARPHRD_ETHER), IS_LINK_LOCAL_GROUP, GOTO("deny_identity")),	/* a bridge's port, not the bridge */
		RULE(IS(BH_CT_DIRECTION, CT_ORIGINAL), IN("published", BH_NFPROTO, BH_L4PROTO, BH_TH_DPORT), JUMP("published_here")),
		RULE(IS(BH_CT_DIRECTION, CT_REPLY), IS(BH_L4PROTO, IPPROTO_UDP), JUMP("answers_in")),
		RULE(IS(BH_CT_DIRECTION, CT_REPLY), ACCEPT),
		RULE(FLAG(BH_CT_STATE, CT_FLOWLESS), IN("published", BH_NFPROTO, BH_L4PROTO, BH_TH_DPORT), JUMP("flowless_here")),
		RULE(SCRATCH(0)),
		RULE(FETCH("world4", BH_CT_ORIG_IP_SADDR)),
		RULE(FETCH("world6", BH_CT_ORIG_IP6_SADDR)),
		RULE(IS(BH_PRIORITY, BH_ID_CONTAINER_NETWORK), GOTO("deny_identity")),
		RULE(SCRATCH(0)),
		RULE(ACCEPT)),
	BASE("output", BH_HOOK_OUTPUT, -10,
		RULE(DEV(BH_OIFNAME, "lo"), GOTO("output_lo")),
		RULE(IN("bridges", BH_OIFNAME), NOT_IN("exempt", BH_OIFNAME), GOTO("output_bridge")),
		RULE(GOTO("output_outside"))),
	/* This host to its own address and a published port: still lo here, though DNAT has sent it elsewhere */
	CHAIN("output_lo",
		RULE(FLAG(BH_CT_STATUS, IPS_DST_NAT), IS(BH_CT_DIRECTION, CT_ORIGINAL), GOTO("output_dnat")),
		RULE(ACCEPT)),
	CHAIN("output_dnat",
		RULE(SCRATCH(0)),
		RULE(FETCH("world4", BH_CT_REPLY_IP_SADDR)),
		RULE(FETCH("world6", BH_CT_REPLY_IP6_SADDR)),
		RULE(IS(BH_PRIORITY, BH_ID_CONTAINER_NETWORK), GOTO("judge")),
		RULE(ACCEPT)),
	/* Docker-proxy's answers */
	CHAIN("output_outside",
		RULE(IS(BH_CT_DIRECTION, CT_REPLY), IN("published", BH_NFPROTO, BH_L4PROTO, BH_TH_SPORT), JUMP("published_here")),
		RULE(IS(BH_CT_DIRECTION, CT_ORIGINAL), IS(BH_L4PROTO, IPPROTO_UDP), JUMP("answers_out")),
		RULE(ACCEPT)),
	CHAIN("output_bridge",
		RULE(FLAG(BH_CT_STATE, CT_RELATED), GOTO("output_related")),
		RULE(IS(BH_CT_DIRECTION, CT_ORIGINAL), IS(BH_L4PROTO, IPPROTO_UDP), JUMP("answers_out")),
		GOTO_JUDGE,
		RULE(IS(BH_ICMP_TYPE, ICMP_DEST_UNREACH), IS(BH_ICMP_CODE, ICMP_PKT_FILTERED), ACCEPT),
		RULE(IS(BH_ICMPV6_TYPE, ICMP6_DST_UNREACH), IS(BH_ICMPV6_CODE, ICMP6_DST_UNREACH_ADMIN), ACCEPT),
		RULE(ONE_OF(BH_ICMPV6_TYPE, host_multicasts), ACCEPT),
		RULE(IS(BH_L4PROTO, IPPROTO_IGMP), ACCEPT),
		RULE(GOTO("deny_invalid"))),
	/* Errors that this host makes, and its refusals */
	CHAIN("output_related",
		RULE(ONE_OF(BH_ICMP_TYPE, icmp_errors), ACCEPT),
		RULE(ONE_OF(BH_ICMPV6_TYPE, icmp6_errors), ACCEPT),
		RULE(MASKED(BH_TCP_FLAGS, TH_RST, TH_RST), ACCEPT),
		RULE(GOTO("judge"))),
	/* After the verdict: the first packet of a flow that a container with limits opens. What is dropped here leaves no entry */
	CHAIN("judged",
		RULE(IS(BH_CT_DIRECTION, CT_ORIGINAL), MASKED(BH_CT_STATUS, IPS_CONFIRMED, 0), GOTO("opened")),
		RULE(GOTO("restore"))),
	CHAIN("opened",
		FETCH_OPENER,
		RULE(FETCH("opener_zone", BH_PRIORITY)),
		RULE(VMAP("opener_limits", BH_PRIORITY)),
		RULE(GOTO("restore"))),
	/* After the verdict: no number is left behind, but what ip_forward makes of TOS */
	CHAIN("restore",
		RULE(SCRATCH(0)),
		RULE(IS(BH_IP_DSCP, 0), ACCEPT),	/* spares three look-ups, most often */
		RULE(ONE_OF(BH_IP_DSCP, bulk), SCRATCH(2)),
		RULE(ONE_OF(BH_IP_DSCP, interactive), SCRATCH(6)),
		RULE(ONE_OF(BH_IP_DSCP, interactive_bulk), SCRATCH(4)),
		RULE(ACCEPT)),
	BASE("input_end", BH_HOOK_INPUT, -9,
		RULE(MASKED(BH_PRIORITY, BH_ID_MASK, BH_ID_ZONE), GOTO("judged")),
		RULE(ACCEPT)),
	BASE("output_end", BH_HOOK_OUTPUT, -9,
		RULE(MASKED(BH_PRIORITY, BH_ID_MASK, BH_ID_ZONE), GOTO("restore")),
		RULE(ACCEPT)),
};

static const struct skel_chain held[] = {
	CHAIN("deny_held",
		RULE(COUNT("denied_quarantine")),
		SAY("quarantine", "refuse")),
};

int skel_held_add(struct bh_table *t)
{
	return skel_chains_add(t, held, BH_ARRAY_SIZE(held));
}

static const struct skel_chain asked[] = {
	CHAIN("passed",
		RULE(ACCEPT)),
	BASE("forward_end", BH_HOOK_FORWARD, -9,
		RULE(MASKED(BH_PRIORITY, BH_ID_MASK, BH_ID_ZONE), GOTO("judged")),
		RULE(ACCEPT)),
};

static const struct skel_chain restored[] = {
	CHAIN("passed",
		RULE(IS(BH_IP_DSCP, 0), SCRATCH(0), ACCEPT),
		RULE(GOTO("restore"))),
};

int skel_passed_add(struct bh_table *t, bool limited)
{
	return limited ? skel_chains_add(t, asked, BH_ARRAY_SIZE(asked)) : skel_chains_add(t, restored, BH_ARRAY_SIZE(restored));
}

int skel_inet_add(struct bh_table *t, bool tell)
{
	int r = skel_sets_add(t, sets, BH_ARRAY_SIZE(sets));

	if (r == 0)
		r = skel_counters_add(t, counters, BH_ARRAY_SIZE(counters));
	if (r == 0)
		r = tell ? skel_chains_add(t, told, BH_ARRAY_SIZE(told)) : skel_chains_add(t, silent, BH_ARRAY_SIZE(silent));
	if (r == 0)
		r = skel_chains_add(t, denials, BH_ARRAY_SIZE(denials));
	if (r == 0)
		r = skel_chains_add(t, ends, BH_ARRAY_SIZE(ends));
	if (r == 0)
		r = skel_chains_add(t, judgement, BH_ARRAY_SIZE(judgement));
	if (r == 0)
		r = skel_chains_add(t, hooks, BH_ARRAY_SIZE(hooks));
	return r;
}
