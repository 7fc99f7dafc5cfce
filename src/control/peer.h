/* SPDX-License-Identifier: Apache-2.0 */
/* Who is at the other end of a unix socket. */
#ifndef BULKHEAD_CONTROL_PEER_H
#define BULKHEAD_CONTROL_PEER_H

#include <bulkhead/control.h>

#define BH_CONTROL_NEW ".new"	/* what a socket is bound as, before it takes the place of what was there */

#define BH_CONTROL_GROUP "bulkhead"

/* What the peer of FD may do, by the kernel's word (SO_PEERCRED, SO_PEERGROUPS; unix(7)), never by its own: uid 0 writes, a member of
 * GROUP reads. BH_RIGHT_NONE also when the kernel does not tell. *RET: who that is. */
enum bh_control_right bh_control_peer_right(int fd, gid_t group, struct bh_control_peer *ret);

#endif
