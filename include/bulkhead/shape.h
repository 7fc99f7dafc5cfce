/* SPDX-License-Identifier: Apache-2.0 */
/* Shaping as data: two trees (one a direction), the ports that go through them, the bridges whose flag is ours. */
#ifndef BULKHEAD_SHAPE_H
#define BULKHEAD_SHAPE_H

#include <bulkhead/buf.h>
#include <bulkhead/error.h>
#include <bulkhead/host.h>
#include <bulkhead/policy.h>

#define BH_IFB_EGRESS "bh-egress"	/* what leaves containers */
#define BH_IFB_INGRESS "bh-ingress"	/* what goes to them */

/* The handle of both trees, bb:. Beside the ids of zones (BH_ID_MASK in place.h), so that a class that is left on a packet
 * is told from a handle that the host gave to a qdisc of its own. */
#define BH_CLASS_ROOT 0xbb0000u

/* Where what nothing classifies goes: bounded by the lowest cap of the tree, so that a lost classification never
 * lifts a cap, and counted. */
#define BH_CLASS_DEFAULT 0xbbfffeu

/* What goes to containers and is exempt from their caps takes this, which holds nobody back: all of a port's packets are redirected into
 * the tree, and only there it is told what is exempt. What leaves them is told apart before it is sent to a tree. */
#define BH_CLASS_EXEMPT 0xbbfffcu

/* Of a port as tc sees it: class_id[BH_INGRESS] is one of these (neither can be a class's id), class_id[BH_EGRESS] 0. */
#define BH_REDIRECTED 1u
#define BH_REDIRECT_STALE 2u	/* our filter, but not to the bh-ingress that is there: it drops */

/* Above all zones and containers, always there, so that no class has to move when a guarantee or the host's bandwidth comes or
 * goes (HTB cannot). At BH_HOST_BPS it holds nobody back. */
#define BH_CLASS_HOST 0xbbfffdu
#define BH_HOST_BPS 8000000000000u

/* One HTB class. rate and ceil in bit/s: what it is promised, and what it may borrow up to. */
struct bh_class {
	uint32_t id;		/* tc handle, bb:N */
	uint32_t parent;	/* bb:0 for the root */
	uint64_t rate_bps;
	uint64_t ceil_bps;
	bool leaf;		/* has a queue of its own */
	uint64_t packets, bytes, dropped;	/* seen side only */
};

/* A host-side port whose traffic is redirected into the trees. */
struct bh_shaped_port {
	char name[BH_IFNAME];
	int ifindex;
	uint32_t class_id[BH_DIRECTION_MAX];	/* 0: this direction is not shaped; seen side: BH_REDIRECTED, … */
	size_t exempt;		/* wanted side: 0, or 1 + the index of the zone of the file whose `exempt` holds */
};

struct bh_shape {
	bool present[BH_DIRECTION_MAX];		/* the IFB and its HTB exist / shall exist */
	bool missing[BH_DIRECTION_MAX];		/* wanted side: a cap is asked for that this kernel cannot hold */
	BH_VEC(struct bh_class) classes[BH_DIRECTION_MAX];	/* sorted by id */
	BH_VEC(struct bh_shaped_port) ports;			/* sorted by ifindex */
};

void bh_shape_free(struct bh_shape *s);
BH_DEFINE_FREEP(struct bh_shape, bh_shape_free)
void bh_shape_sort(struct bh_shape *s);
/* Trees, classes (counts apart) and which ports are redirected into the ingress tree: all that tc can see. Which class a
 * port's packets take, and everything of the egress direction of a port, stands in nftables' maps and chains
 * (bh_compile_shape()) and is compared there. Both sides sorted. */
bool bh_shape_equal(const struct bh_shape *a, const struct bh_shape *b);
bool bh_class_equal(const struct bh_class *a, const struct bh_class *b);
/* Binary search in a sorted shape; NULL when there is none. */
const struct bh_class *bh_shape_class(const struct bh_shape *s, enum bh_direction d, uint32_t id);
const struct bh_shaped_port *bh_shape_port(const struct bh_shape *s, int ifindex);
int bh_shape_copy(struct bh_shape **ret, const struct bh_shape *src);	/* 0 or -ENOMEM */
/* WANTED and what only SEEN has: the step between them. tc applies it before nftables sends packets to anything new, and
 * then WANTED once nftables no longer sends packets to what goes. 0 or -ENOMEM. */
int bh_shape_union(const struct bh_shape *wanted, const struct bh_shape *seen, struct bh_shape **ret);
/* A readable text of the trees, for plan and golden tests. */
int bh_shape_print(const struct bh_shape *s, struct bh_buf *out);

#endif
