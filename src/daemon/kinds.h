/* SPDX-License-Identifier: Apache-2.0 */
/* Denied packets by kind: who to whom, why, on what port. Bounded, and the first of a kind is always told apart. No I/O, no clock. */
#ifndef BULKHEAD_DAEMON_KINDS_H
#define BULKHEAD_DAEMON_KINDS_H

#include <bulkhead/flows.h>

#define BH_KINDS_MAX 4096	/* those that were seen longest ago are forgotten first */
#define BH_KINDS_PORTS 64	/* of one pair and protocol that are kept apart: what scans is told as "many ports" */
#define BH_PORT_NONE -1
#define BH_PORT_MANY -2

struct bh_kind {
	enum bh_denied_class class;
	bool audit;			/* passed, and would have been denied */
	char *from, *from_zone, *to, *to_zone;	/* untrusted */
	uint8_t proto;			/* IPPROTO_*; 0: no IP */
	int port;			/* or BH_PORT_NONE, BH_PORT_MANY */
	uint64_t count;			/* as far as the kernel let them through to us */
	uint64_t told;			/* of these, those that were told */
	uint64_t first_usec, last_usec;	/* the caller's clock */
	/* of the last packet */
	struct bh_addr from_addr, to_addr;	/* of its ends; family 0: not known */
	struct bh_addr via;		/* the address of this host that was asked, for a published port; family 0: none */
	uint16_t via_port;
	bool second_leg;		/* docker-proxy's, or another process of the host at a published port's container */
	uint64_t seq;			/* counts up over all kinds */
	/* the table's own */
	unsigned ports;
	int next_in_bucket, newer, older;
	bool hidden;
};

struct bh_kinds;
int bh_kinds_new(struct bh_kinds **ret);	/* 0 or -ENOMEM */
void bh_kinds_free(struct bh_kinds *k);
BH_DEFINE_FREEP(struct bh_kinds, bh_kinds_free)

/* Counts one packet of the kind WHAT (its names are copied, what it says of the last packet is taken over). *RET is the entry, until the next call; *RET_FIRST: none of its kind was there. 0 or
 * -ENOMEM. */
int bh_kinds_note(struct bh_kinds *k, const struct bh_kind *what, uint64_t now_usec, struct bh_kind **ret, bool *ret_first);

/* Calls FN for every kind, the last seen first. FN may change `told` alone. */
typedef void (*bh_kind_fn)(void *userdata, struct bh_kind *kind);
void bh_kinds_each(struct bh_kinds *k, bh_kind_fn fn, void *userdata);

/* The `seq` of the last packet. */
uint64_t bh_kinds_seq(const struct bh_kinds *k);
/* Up to MAX of the kinds that had a packet after SEQ, those first whose last packet came first; *RET is the first of the returned number, owned by K, until
 * the next call.  Whoever takes the last one's `seq` for the next call misses none. */
size_t bh_kinds_since(struct bh_kinds *k, uint64_t seq, size_t max, struct bh_kind *const **ret);

#endif
