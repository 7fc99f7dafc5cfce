/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel shows of this network namespace: links, bridge ports, addresses. Made by src/tc, read by core. */
#ifndef BULKHEAD_HOST_H
#define BULKHEAD_HOST_H

#include <bulkhead/addr.h>
#include <bulkhead/mem.h>

#define BH_IFNAME 16		/* IFNAMSIZ */

enum bh_link_kind {
	BH_LINK_OTHER,		/* physical, tun, … */
	BH_LINK_LOOPBACK,
	BH_LINK_BRIDGE,
	BH_LINK_VETH,
	BH_LINK_IFB,
	BH_LINK_TAP,
	BH_LINK_BOND,
	BH_LINK_VLAN,
};

struct bh_link {
	int ifindex;
	char name[BH_IFNAME];
	enum bh_link_kind kind;
	bool up;			/* IFF_UP */
	bool physical;			/* has no rtnl link kind and is not loopback: a real device */
	int master;			/* ifindex of the bridge it is a port of, or 0 */
	struct bh_mac mac;		/* its own */
	/* The other end of a veth, when the peer lives in another namespace that could be read. */
	bool has_peer;
	int peer_ifindex;
	int peer_nsid;			/* as this namespace numbers it; -1: not in another namespace, or not known */
	struct bh_mac peer_mac;
	/* Bridges: whether IPv4/IPv6 frames go through the inet hooks for this bridge alone (IFLA_BR_NF_CALL_*). */
	bool nf_call_iptables;
	bool nf_call_ip6tables;
	/* Bridges: learns who is where from frames to 01:80:c2:00:00:0X, too, and can be told not to (BR_BOOLOPT_NO_LL_LEARN, 5.0). */
	bool learns_groups;
};

struct bh_local_addr {
	int ifindex;
	struct bh_prefix prefix;	/* addr is the host's address, not the network's first */
	struct bh_prefix peer;		/* point-to-point: the other end's, which is what is on-link; family 0: none */
};

struct bh_host {
	BH_VEC(struct bh_link) links;
	BH_VEC(struct bh_local_addr) addrs;
	BH_VEC(struct bh_addr) resolvers;	/* of /etc/resolv.conf and the runtime, loopback apart; filled by the daemon */
};

void bh_host_free(struct bh_host *h);
BH_DEFINE_FREEP(struct bh_host, bh_host_free)
/* Whether links and addresses are the same, as the kernel lists them; what only looks different is told as different. */
bool bh_host_equal(const struct bh_host *a, const struct bh_host *b);
bool bh_host_addrs_equal(const struct bh_host *a, const struct bh_host *b);	/* the addresses alone */
/* The place of IFINDEX among the links of a host that the kernel listed, which are sorted by it, or where it would be. */
size_t bh_host_link_place(const struct bh_host *h, int ifindex);
const struct bh_link *bh_host_link(const struct bh_host *h, int ifindex);
const struct bh_link *bh_host_link_named(const struct bh_host *h, const char *name);
/* Whether the bridge has a port that no runtime makes: the host's own uplink, or a virtual machine's. */
bool bh_host_has_foreign_port(const struct bh_host *h, int bridge);

#endif
