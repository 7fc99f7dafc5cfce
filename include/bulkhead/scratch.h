/* SPDX-License-Identifier: Apache-2.0 */
/* Links, addresses and routes of a throw-away network namespace: rtnetlink of the one that the caller is in when it opens this. Nothing is ever taken
 * away: the kernel does that with the namespace. */
#ifndef BULKHEAD_SCRATCH_H
#define BULKHEAD_SCRATCH_H

#include <bulkhead/addr.h>
#include <bulkhead/error.h>

struct bh_scratch;

int bh_scratch_new(struct bh_scratch **ret, struct bh_error *err);
void bh_scratch_free(struct bh_scratch *s);
BH_DEFINE_FREEP(struct bh_scratch, bh_scratch_free)

/* A bridge that is up, with the flags of <bulkhead/tc.h>, bridge_calls(). 0 or -errno, as all of these. */
int bh_scratch_bridge(struct bh_scratch *s, const char *name, const struct bh_mac *mac, bool ip, bool ip6, struct bh_error *err);

/* A veth pair. This end is up and has MAC; with a bridge's name it is a port of that, without (NULL) nobody asks for addresses on it (IFF_NOARP). The other
 * end is in the namespace PEER_NS (a descriptor) and comes up by bh_scratch_up() there. The ifindexes are given, too. */
struct bh_scratch_wire {
	const char *name, *bridge;
	struct bh_mac mac;
	int index;
	int peer_ns, peer_index;
};
int bh_scratch_veth(struct bh_scratch *s, const struct bh_scratch_wire *w, struct bh_error *err);
int bh_scratch_up(struct bh_scratch *s, int index, struct bh_error *err);

/* An address of this host, used at once (without duplicate address detection); the way to an address; who is at an address, for good. */
int bh_scratch_addr(struct bh_scratch *s, const char *dev, const struct bh_prefix *addr, struct bh_error *err);
int bh_scratch_route(struct bh_scratch *s, const char *dev, const struct bh_addr *to, struct bh_error *err);
int bh_scratch_neighbour(struct bh_scratch *s, const char *dev, const struct bh_addr *addr, const struct bh_mac *mac, struct bh_error *err);

#endif
