/* SPDX-License-Identifier: Apache-2.0 */
#include "front.h"
#include "server.h"
#include "typed.h"

#include <bulkhead/pass.h>

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>
#include <unistd.h>

struct front {
	sd_event *event;
	struct bh_control_server *server;
	int fd;
};

static int send_all(int fd, const char *data, size_t n)
{
	for (size_t at = 0; at < n;) {
		ssize_t k = send(fd, data + at, n - at, MSG_NOSIGNAL);

		if (k < 0 && errno != EINTR)
			return -errno;
		at += k > 0 ? (size_t)k : 0;
	}
	return 0;
}

/* Whoever answers decides what it takes: the right that is known here is not told. */
static void hand_over(void *userdata, struct bh_control_call *call, const char *verb, const json_t *request, enum bh_control_right right)
{
	struct front *f = userdata;
	_cleanup_buf_ struct bh_buf b = {0};
	_cleanup_close_ int peer = -1;
	uint32_t n;
	int r = bh_control_typed_put(verb, request, &b);

	(void)right;
	if (r < 0) {
		bh_control_refuse(call, "failed", "out of memory");
		return;
	}
	peer = bh_control_take(call);
	if (peer < 0)
		return;
	n = (uint32_t)b.n;
	r = bh_pass_send(f->fd, &n, sizeof(n), &peer, 1);
	if (r == 0)
		r = send_all(f->fd, b.s, b.n);
	if (r < 0)
		(void)sd_event_exit(f->event, 0);	/* nobody answers any more */
}

static int on_link(sd_event_source *s, int fd, uint32_t events, void *userdata)
{
	(void)s, (void)fd, (void)events;	/* it says nothing: this is its end */
	return sd_event_exit(((struct front *)userdata)->event, 0);
}

static void front_clear(struct front *f)
{
	bh_control_server_free(f->server);
	sd_event_unref(f->event);
}

int bh_control_front(int listen_fd, int fd, gid_t group, struct bh_error *err)
{
	_cleanup_(front_clear) struct front f = {.fd = fd};
	int r = sd_event_new(&f.event);

	if (r >= 0)
		r = sd_event_add_io(f.event, NULL, fd, EPOLLIN, on_link, &f);
	if (r < 0)
		return bh_fail(err, r, "event loop: %s", strerror(-r));
	r = bh_control_accept(f.event, listen_fd, group, hand_over, &f, &f.server, err);
	if (r < 0)
		return r;
	r = sd_event_loop(f.event);
	return r < 0 ? bh_fail(err, r, "event loop: %s", strerror(-r)) : 0;
}
