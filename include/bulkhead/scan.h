/* SPDX-License-Identifier: Apache-2.0 */
/* What of this host's containers stands open, without bulkhead: who may reach what is worked out from what Docker, the kernel and
 * others' rules say, for the first packet of a connection. Pure. */
#ifndef BULKHEAD_SCAN_H
#define BULKHEAD_SCAN_H

#include <bulkhead/foreign.h>
#include <bulkhead/host.h>
#include <bulkhead/inventory.h>

enum bh_scan_kind {
	BH_SCAN_PUBLISHED,	/* a published port, by DNAT: the host's INPUT rules are not asked */
	BH_SCAN_PROXY6,		/* docker-proxy's IPv6 door to a container without IPv6 */
	BH_SCAN_LOOPBACK,	/* a port published for this machine alone, and reached from outside */
	BH_SCAN_DIRECT,		/* ports that are not published, at the container's own address */
	BH_SCAN_SOCKET,		/* has the runtime's socket */
	BH_SCAN_PRIVILEGED,
	BH_SCAN_HOST_NETWORK,
	BH_SCAN_MAX,
};

enum bh_scan_severity {
	BH_SEVERITY_LOW,
	BH_SEVERITY_MEDIUM,
	BH_SEVERITY_HIGH,
};

/* Strings are the finding's. Those that name a container, an address or a port hold what strangers wrote. */
struct bh_finding {
	enum bh_scan_kind kind;
	enum bh_scan_severity severity;
	bool sure;		/* false: some rule on the way was not understood */
	bool lan, internet;	/* who reaches it: a neighbour on an uplink; anybody, as the host has a public address there */
	char *container;
	char *door;		/* "tcp 0.0.0.0:8080 -> 80", an address, a path; or NULL */
	char *meaning;		/* one sentence, or two */
	char *zone, *allow;	/* what closes it in bulkhead.yaml (mode: enforce): under `zones`, and under `allow`, or NULL: no rule */
	char *docker;		/* what closes it in Docker */
};

struct bh_scan {
	BH_VEC(struct bh_finding) findings;	/* the worst first */
	size_t containers;	/* that run */
	size_t guarded;		/* doors that Docker leaves open and bulkhead's rules decide about */
	const char *firewall;	/* "ufw", "firewalld", "nftables", or NULL; static */
};

/* Settings of one link of the host's. */
struct bh_scan_link {
	int ifindex;
	bool forwards4, forwards6;	/* what comes in by it is forwarded */
};

struct bh_scan_listener {
	uint8_t proto;
	uint16_t port;
};

struct bh_scan_input {
	const struct bh_inventory *inventory;
	const struct bh_host *host;
	struct bh_foreign *foreign;	/* is asked, and comes back as it was */
	BH_VEC(struct bh_scan_link) links;
	BH_VEC(struct bh_scan_listener) listeners;	/* IPv6 sockets of this namespace that wait for anybody */
	bool guarded;			/* bulkhead's tables are in the kernel, and enforce */
};

/* 0 or -ENOMEM. */
int bh_scan(const struct bh_scan_input *in, struct bh_scan **ret);
void bh_scan_free(struct bh_scan *s);
BH_DEFINE_FREEP(struct bh_scan, bh_scan_free)

/* Adds the ports that a table of /proc/net/tcp6 or udp6 shows as listening (TCP), or bound (UDP). 0 or -ENOMEM. */
int bh_scan_listeners(struct bh_scan_input *in, uint8_t proto, const char *text);

const char *bh_scan_kind_name(enum bh_scan_kind k);		/* "published", … */
const char *bh_scan_severity_name(enum bh_scan_severity s);	/* "low", "medium", "high" */

#endif
