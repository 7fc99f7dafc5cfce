/* SPDX-License-Identifier: Apache-2.0 */
/* Policy and placement to the wanted kernel state: rule set and shaping. Pure and deterministic. */
#ifndef BULKHEAD_COMPILE_H
#define BULKHEAD_COMPILE_H

#include <bulkhead/place.h>
#include <bulkhead/ruleset.h>
#include <bulkhead/shape.h>

/* What this kernel can do, found by probing, never by version. Tests force the other branch by masking. */
struct bh_features {
	bool bridge_ibrname;	/* meta ibrname in the bridge family */
	bool ifb;		/* IFB devices */
	bool htb;
	bool fq_codel;
	bool no_br_netfilter;	/* frames between ports of one bridge are seen by no IP rule, whatever the bridge's flags say */
	bool table_persist;	/* NFT_TABLE_F_PERSIST (6.9): our tables are owned, and outlive their owner */
};

/* The flags (enum bh_table_flags) that our tables shall have. */
static inline uint32_t bh_table_flags(const struct bh_features *f)
{
	return f->table_persist ? BH_TABLE_OWNER | BH_TABLE_PERSIST : 0;
}

struct bh_compile_input {
	const struct bh_policy *policy;
	const struct bh_inventory *inventory;
	const struct bh_host *host;
	const struct bh_placement *placement;
	const struct bh_features *features;
	const struct bh_ruleset *seen;	/* what the kernel holds, for what is remembered there; may be NULL */
	bool locked;			/* nothing of docker-proxy's passes that no rule allows, not even what is established */
	size_t most;			/* elements that rules may become, 0: any number; beyond, -E2BIG */
};

/* The whole inet and bridge tables. The result is sorted and proven (bh_ruleset_prove).
 *
 * Shaping classes are set by port in the netdev table (bh_compile_shape), so the inet table has no class maps: it only puts
 * meta priority back to what TOS gives when it is done.
 *
 * The inet sets `nf_call4` and `nf_call6` { type ifname } are no rule's: they remember in the kernel which container bridges had
 * IFLA_BR_NF_CALL_IPTABLES or _IP6TABLES off before bulkhead switched it on, so that teardown puts exactly those back. Wanted
 * elements: the container bridges that HOST shows with the flag off, and those that SEEN has and that still exist. So does `learned`, with
 * BR_BOOLOPT_NO_LL_LEARN. */
int bh_compile(const struct bh_compile_input *in, struct bh_ruleset **ret, struct bh_error *err);

/* What endpoints are in is as large as there are containers, and follows from the placement: a rule set that is kept does without. Takes it
 * out of what bh_compile() made of IN. 0; or nothing is done: -ENOMEM; -EEXIST when a member holds a gateway's address and the two cannot be
 * told apart; -ENOENT when R lacks a set. */
int bh_members_strip(const struct bh_compile_input *in, struct bh_ruleset *r);
/* Puts it back. 0, or -ENOMEM with some of it put back. */
int bh_members_fill(const struct bh_compile_input *in, struct bh_ruleset *r);

/* The skeleton alone: containers get nothing. What is loaded when there is no valid configuration. Of INVENTORY (NULL: none) the networks
 * count: a bridge whose name tells nothing is a container bridge because a runtime lists it. SEEN as in bh_compile_input. */
int bh_compile_skeleton(const struct bh_inventory *inventory, const struct bh_host *host, const struct bh_features *features, const struct bh_ruleset *seen,
	struct bh_ruleset **ret, struct bh_error *err);

/* The classes and ports to shape, and the rules that classify, added to RULESET (from bh_compile()): a netdev chain
 * `in_IFINDEX` for each port with an egress cap, and in the bridge table the map `shape_in` (port to class) with the chain
 * `shape` in postrouting. RULESET is sorted afterwards. Nothing when no cap is set for a container that is attached, or the whole
 * file is in audit. A direction that this kernel cannot shape is told in shape->missing. 0; -ENOMEM; -ENOSPC beyond
 * 16,383 zones or 32,768 containers. */
int bh_compile_shape(const struct bh_compile_input *in, struct bh_ruleset *ruleset, struct bh_shape **ret,
	struct bh_error *err);

/* Takes back what sends packets into the egress tree (the netdev table), for when the tree cannot be made. */
void bh_shape_withdraw(struct bh_ruleset *ruleset);

/* The chain that says what a zone may open; its packets are counted in the element of `from_zone` that jumps there. */
void bh_name_zone_chain(const struct bh_zone_inst *inst, char ret[BH_NAME]);

/* What a rule of the file became for one pair of zones, for `status rules`: packets and bytes are read back
 * from the elements that carry it. */
struct bh_pair {
	size_t rule;		/* index into policy->allow */
	size_t from, to;	/* indices into placement->insts */
	uint64_t packets, bytes;
};
struct bh_pairs {
	BH_VEC(struct bh_pair) pairs;
};
void bh_pairs_free(struct bh_pairs *p);
BH_DEFINE_FREEP(struct bh_pairs, bh_pairs_free)

/* Every pair that a rule of `allow` opens, in the rules' order, with the counts found in SEEN (may be NULL: zeros). */
int bh_pairs_read(const struct bh_compile_input *in, const struct bh_ruleset *seen, struct bh_pairs **ret);

struct bh_counts {
	uint64_t packets, bytes, dropped_packets, dropped_bytes;
};
/* Counts of a zone and of a member, read from the seen rule set (sorted). A zone's are the packets of all flows that it opened, and of
 * those that were opened to it by a rule; its drops are its members'. A member's are those of its endpoints. */
struct bh_counts bh_zone_counts(const struct bh_ruleset *seen, const struct bh_placement *p, size_t inst);
struct bh_counts bh_member_counts(const struct bh_ruleset *seen, const struct bh_member *m);

#endif
