/* SPDX-License-Identifier: Apache-2.0 */
/* Two throw-away namespaces: the near one is a host like this one, the far one holds the other ends of all wires. */
#ifndef BULKHEAD_PROVE_STAGE_H
#define BULKHEAD_PROVE_STAGE_H

#include <bulkhead/prove.h>

#include <poll.h>

/* What the near host hears by: TCP, UDP, ICMP of both families. */
#define STAGE_EARS 6

struct stage {
	const struct bh_proof *p;
	int far;			/* its namespace */
	int wires;			/* a packet socket in it: everything that comes out of a wire, and goes into one */
	int ears[STAGE_EARS];		/* of the near host */
	int mouths[2];			/* of the near host, IPv4 and IPv6: packets with their headers */
	int *peers;			/* of each end the ifindex in the far namespace; 0 for the host */
};

/* Leaves the caller's namespace for good, for the near one. S is all zero before; stage_close() after any result. */
int stage_open(struct stage *s, const struct bh_proof *p, struct bh_error *err);
void stage_close(struct stage *s);

/* Puts the packet of a probe on its way. What cannot be sent is not heard. */
void stage_send(const struct stage *s, const struct bh_probe *probe, uint16_t sport, uint32_t id);
/* Calls FN for all that has been heard by now: which packet, out of which wire (0: by the host). Does not wait. */
void stage_hear(const struct stage *s, void (*fn)(void *userdata, uint32_t id, int ifindex), void *userdata);
/* Waits MS milliseconds at most for something to hear. Whether there is. */
bool stage_wait(const struct stage *s, int ms);

#endif
