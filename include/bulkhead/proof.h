/* SPDX-License-Identifier: Apache-2.0 */
/* What `bulkhead prove` tries: throw-away endpoints for each zone, and the packets between them with what policy says of each. Pure: who makes the
 * endpoints and sends is <bulkhead/prove.h>. */
#ifndef BULKHEAD_PROOF_H
#define BULKHEAD_PROOF_H

#include <bulkhead/judge.h>

/* Zones of containers that are tried, the file's first, then values of families: what a few seconds allow. */
#define BH_PROOF_ZONES 48
#define BH_PROOF_BRIDGES 2

/* A container bridge. It has the name and the flags of one that the host has, if there is one, so that what is in force there is tried. */
struct bh_proof_bridge {
	char name[BH_IFNAME];
	struct bh_mac mac;
	struct bh_prefix nets[2];	/* IPv4, IPv6: the network */
	struct bh_addr gateways[2];	/* the host's addresses there */
	bool ip, ip6;			/* its frames are shown to the inet hooks */
};

enum bh_proof_place {
	BH_PROOF_PORT,		/* a port of a bridge: a container, or a port that the rules do not know */
	BH_PROOF_HOST,		/* this machine itself */
	BH_PROOF_OUTSIDE,	/* behind another interface of the host */
};

struct bh_proof_end {
	enum bh_proof_place place;
	size_t inst;			/* index into placement->insts; BH_NOBODY: a port that is not known */
	const char *zone;		/* its name, untrusted; "unknown" */
	size_t bridge;			/* BH_PROOF_PORT and _HOST */
	char dev[BH_IFNAME];		/* the host's side: the port, or the interface outside; "" of the host itself */
	struct bh_mac mac;
	struct bh_addr addrs[2];	/* IPv4, IPv6; family 0: it has none */
};

enum bh_proof_expected {
	BH_PROOF_OPEN,
	BH_PROOF_CLOSED,
	BH_PROOF_AUDITED,		/* denied, but passes since it is audited */
};

/* A packet is sent once in each pass. */
enum bh_proof_pass {
	BH_PASS_BARE,			/* without rules: what does not arrive then proves nothing later */
	BH_PASS_HELD,			/* with the rules that the kernel holds */
	BH_PASS_ENFORCED,		/* the same without audit; where nothing is audited what was heard in BH_PASS_HELD */
	BH_PASS_MAX,
};

struct bh_probe {
	size_t from, to;		/* indices into ends */
	size_t via;			/* by whose port it is sent: FROM's, or somebody else's who takes FROM's addresses */
	uint8_t family;			/* 4 or 6 */
	uint8_t proto;			/* IPPROTO_TCP, UDP, ICMP or ICMPV6 */
	uint16_t port;			/* 0 for an echo request */
	enum bh_proof_expected expected;
	size_t rule;			/* that opens it: index into policy->allow; BH_NOBODY */
	bool heard[BH_PASS_MAX];
};

struct bh_proof {
	bool ipv6;			/* this kernel has it */
	struct bh_proof_bridge bridges[BH_PROOF_BRIDGES];
	BH_VEC(struct bh_proof_end) ends;
	BH_VEC(struct bh_probe) probes;
	size_t pairs;			/* of zones that packets are sent between */
	size_t untried;			/* zones of containers beyond BH_PROOF_ZONES */
	bool audits;			/* something is expected to be audited */
	/* the world in which they are judged */
	struct bh_inventory *inventory;
	struct bh_host *host;
	struct bh_placement *placement;
	struct bh_ruleset *wanted;
	struct bh_judge *judge;
};

/* What is in force: POLICY, the zones as the daemon numbers them (INSTS: a placement's, without members), the runtimes' NETWORKS (containers are not looked
 * at), the HOST with its resolvers. All but POLICY are copied; POLICY must outlive the proof. FEATURES: bridge_ibrname counts. IPV6: whether this kernel has it.
 * 0, -ENOMEM or the compiler's error. */
int bh_proof_new(const struct bh_policy *policy, const struct bh_placement *insts, const struct bh_inventory *networks, const struct bh_host *host,
	const struct bh_features *features, bool ipv6, struct bh_proof **ret, struct bh_error *err);
void bh_proof_free(struct bh_proof *p);
BH_DEFINE_FREEP(struct bh_proof, bh_proof_free)

/* A copy of SEEN as it is, broken or not, in which the endpoints are members besides: nobody owns it, nothing is published, no caps. ENFORCED: without
 * audit. What this program cannot copy, because it would never write it, is left out and named in *LEFT_OUT ("inet chain forward"). 0 or -ENOMEM. */
int bh_proof_rules(const struct bh_proof *p, const struct bh_ruleset *seen, bool enforced, struct bh_ruleset **ret, struct bh_strv *left_out);

enum bh_proof_verdict {
	BH_PROOF_AGREES,
	BH_PROOF_LEAKS,			/* arrived, and should not have */
	BH_PROOF_STOPPED,		/* did not arrive, and should have */
	BH_PROOF_AUDITED_TOO,		/* arrived, and should have, but only since it is audited */
	BH_PROOF_UNAUDITED,		/* arrived as audited, but would arrive too if it were enforced: it is not denied at all */
	BH_PROOF_UNHEARD,		/* did not arrive without rules either: nothing is proven */
};
enum bh_proof_verdict bh_proof_verdict(const struct bh_probe *probe);

#endif
