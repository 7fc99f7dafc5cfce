/* SPDX-License-Identifier: Apache-2.0 */
/* Messages with descriptors between our own processes, unix(7) SCM_RIGHTS. */
#ifndef BULKHEAD_PASS_H
#define BULKHEAD_PASS_H

#include <stddef.h>
#include <sys/types.h>

#define BH_PASS_MAX 4	/* descriptors of a message */

/* A pair of connected sockets of TYPE (SOCK_STREAM, SOCK_SEQPACKET), close-on-exec. 0 or -errno. */
int bh_pass_pair(int type, int ret[2]);
/* One message of N bytes with N_FDS descriptors, which stay the caller's. 0 or -errno. */
int bh_pass_send(int fd, const void *data, size_t n, const int *fds, size_t n_fds);
/* One message into N bytes; its descriptors, close-on-exec, into RET_FDS (BH_PASS_MAX; the rest -1), *RET_N_FDS of them. Returns the bytes, 0 at
 * the end, or -errno; -EBADMSG for what did not fit, whose descriptors are closed. */
ssize_t bh_pass_receive(int fd, void *data, size_t n, int ret_fds[BH_PASS_MAX], size_t *ret_n_fds);
void bh_pass_close(int *fds, size_t n);	/* those that are not -1 */

#endif
