/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a server that reads and answers in two processes. */
#ifndef BULKHEAD_CONTROL_SERVER_H
#define BULKHEAD_CONTROL_SERVER_H

#include <bulkhead/control.h>

/* Binds PATH as bh_control_listen() does, and leaves it to another to accept: calls come by bh_control_adopt(). */
int bh_control_bind(struct sd_event *event, const char *path, bh_control_fn fn, void *userdata, struct bh_control_server **ret,
	struct bh_error *err);
int bh_control_server_fd(const struct bh_control_server *s);
/* A request that was read elsewhere from FD, which is taken over. 0, -EBADMSG when FD is no connection to the server's own socket, or -errno. */
int bh_control_adopt(struct bh_control_server *s, int fd, const char *verb, const json_t *request);

/* Accepts on LISTEN_FD, which stays the caller's. GROUP may read. */
int bh_control_accept(struct sd_event *event, int listen_fd, gid_t group, bh_control_fn fn, void *userdata, struct bh_control_server **ret, struct bh_error *err);
/* Takes the connection away from a call, which is over without an answer. The descriptor is the caller's; -EPIPE when the peer has left. */
int bh_control_take(struct bh_control_call *call);

#endif
