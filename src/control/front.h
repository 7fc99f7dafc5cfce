/* SPDX-License-Identifier: Apache-2.0 */
/* The reading end of the control socket. */
#ifndef BULKHEAD_CONTROL_FRONT_H
#define BULKHEAD_CONTROL_FRONT_H

#include <bulkhead/control.h>

/* Accepts on LISTEN_FD from root and GROUP, reads requests, and hands each with its connection over FD, until the other end of it is closed: 0. A request that is
 * none is answered here. -errno with ERR. */
int bh_control_front(int listen_fd, int fd, gid_t group, struct bh_error *err);

#endif
