/* SPDX-License-Identifier: Apache-2.0 */
/* What scan.c asks scan_doors.c. */
#ifndef BULKHEAD_CORE_SCAN_H
#define BULKHEAD_CORE_SCAN_H

#include <bulkhead/scan.h>

enum bh_reach {
	BH_REACH_SHUT,
	BH_REACH_MAYBE,
	BH_REACH_OPEN,
};

/* Who comes in by a door. */
struct bh_door {
	enum bh_reach lan, internet;
	bool proxied;		/* not by DNAT: a process of the host's takes it */
	bool past;		/* the host's INPUT rules would deny it, and are not asked */
	const char *doubt;	/* the table whose rules were not understood, or NULL; dies with what was read */
};

/* A port of the host at ADDR (family alone: at any of its addresses), behind which port CPORT of a container's address BEHIND on
 * BRIDGE is. BEHIND of family 0: the container has no address of that family. */
struct bh_door bh_door_published(const struct bh_scan_input *in, const struct bh_published *p, const struct bh_addr *behind, const char *bridge);
/* The container's own address, at port PORT. */
struct bh_door bh_door_direct(const struct bh_scan_input *in, const struct bh_addr *a, const char *bridge, uint8_t proto, uint16_t port);
/* A port of 127.0.0.1, from outside: the kernel refuses such a packet when it is routed, which is behind DNAT. */
struct bh_door bh_door_loopback(const struct bh_scan_input *in, const struct bh_published *p, const struct bh_addr *behind, const char *bridge);

#endif
