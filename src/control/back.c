/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that another process has read, bulkhead-control: it hands over the connection with what was asked, as typed values. Who asks is what the
 * kernel says of the connection; that it is one to our own socket is what the kernel says too. The answer goes straight to the peer. */
#include "front.h"
#include "server.h"
#include "typed.h"

#include <bulkhead/pass.h>

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#define CHUNK 65536u
#define RETRY_MIN_USEC 50000u
#define RETRY_MAX_USEC 5000000u
#define STABLE_USEC 10000000u

struct bh_control_back {
	sd_event *event;
	struct bh_control_server *server;
	struct bh_control_reader how;
	sd_event_source *io, *timer;
	int fd;			/* to who reads, or -1 */
	int peer;		/* of the request that comes, or -1 */
	uint32_t n;		/* bytes of it */
	struct bh_buf in;
	uint64_t retry, started;
};

static void link_close(struct bh_control_back *b)
{
	b->io = sd_event_source_disable_unref(b->io);
	bh_closep(&b->fd);
	bh_closep(&b->peer);
	b->fd = b->peer = -1;
	bh_buf_free(&b->in);
}

static void back_lost(struct bh_control_back *b, const char *why)
{
	uint64_t now = 0;

	link_close(b);
	(void)sd_event_now(b->event, CLOCK_MONOTONIC, &now);
	if (now - b->started >= STABLE_USEC)
		b->retry = RETRY_MIN_USEC;
	if (sd_event_source_set_time_relative(b->timer, b->retry) >= 0)
		(void)sd_event_source_set_enabled(b->timer, SD_EVENT_ONESHOT);
	b->retry = b->retry * 2 > RETRY_MAX_USEC ? RETRY_MAX_USEC : b->retry * 2;
	b->how.lost(b->how.userdata, why);
}

/* What is whole: the connection is the server's from here on. */
static int request_take(struct bh_control_back *b)
{
	char verb[BH_CONTROL_VERB_MAX + 1];
	json_t *request = NULL;
	int r = bh_control_typed_read(b->in.s ? b->in.s : "", b->in.n, verb, &request), fd = b->peer;

	b->peer = -1;
	bh_buf_free(&b->in);
	if (r < 0) {
		close(fd);
		return r;
	}
	r = bh_control_adopt(b->server, fd, verb, request);
	json_decref(request);
	return r;
}

/* The head of the next: its length, and the connection. */
static int head_read(struct bh_control_back *b)
{
	int fds[BH_PASS_MAX];
	size_t n_fds;
	ssize_t n = bh_pass_receive(b->fd, &b->n, sizeof(b->n), fds, &n_fds);

	if (n == sizeof(b->n) && n_fds == 1 && b->n > 0 && b->n <= BH_CONTROL_TYPED_MAX) {
		b->peer = fds[0];
		return 1;
	}
	bh_pass_close(fds, BH_PASS_MAX);
	return n > 0 ? -EBADMSG : n == 0 ? -EPIPE : (int)n;
}

/* 1: go on; 0: nothing more is there; -errno. */
static int step(struct bh_control_back *b)
{
	char chunk[CHUNK];
	size_t left;
	ssize_t n;

	if (b->peer < 0)
		return head_read(b);
	left = b->n - b->in.n;
	n = recv(b->fd, chunk, left < sizeof(chunk) ? left : sizeof(chunk), MSG_DONTWAIT);
	if (n <= 0)
		return n == 0 ? -EPIPE : -errno;
	bh_buf_putn(&b->in, chunk, (size_t)n);
	if (b->in.err < 0)
		return b->in.err;
	return b->in.n < b->n ? 1 : request_take(b);
}

static int on_link(sd_event_source *s, int fd, uint32_t events, void *userdata)
{
	struct bh_control_back *b = userdata;
	int r = step(b);	/* one at a time: answering is what the loop is for, too */

	(void)s, (void)fd, (void)events;
	if (r == -EBADMSG)
		back_lost(b, "told what makes no sense, and was ended");
	else if (r == -EPIPE || r == -ECONNRESET)
		back_lost(b, "has ended");
	else if (r < 0 && r != -EAGAIN && r != -EINTR)
		back_lost(b, strerror(-r));
	return 0;
}

static int back_open(struct bh_control_back *b)
{
	int r = b->how.start(b->how.userdata, bh_control_server_fd(b->server));

	(void)sd_event_now(b->event, CLOCK_MONOTONIC, &b->started);
	if (r < 0)
		return r;
	b->fd = r;
	return sd_event_add_io(b->event, &b->io, b->fd, EPOLLIN, on_link, b);
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct bh_control_back *b = userdata;
	int r = back_open(b);

	(void)s, (void)usec;
	if (r < 0)
		back_lost(b, strerror(-r));
	return 0;
}

int bh_control_back_new(sd_event *event, const char *path, const struct bh_control_reader *how, bh_control_fn fn, void *userdata,
	struct bh_control_back **ret, struct bh_error *err)
{
	_cleanup_(bh_control_back_freep) struct bh_control_back *b = calloc(1, sizeof(*b));
	int r;

	if (!b)
		return bh_fail(err, -ENOMEM, "out of memory");
	b->fd = b->peer = -1;
	b->how = *how;
	b->retry = RETRY_MIN_USEC;
	b->event = sd_event_ref(event);
	r = bh_control_bind(event, path, fn, userdata, &b->server, err);
	if (r < 0)
		return r;
	r = sd_event_add_time_relative(event, &b->timer, CLOCK_MONOTONIC, 0, 0, on_timer, b);
	if (r >= 0)
		r = sd_event_source_set_enabled(b->timer, SD_EVENT_OFF);
	if (r >= 0)
		r = back_open(b);
	if (r < 0)
		return bh_fail(err, r, "the process that reads requests cannot be started: %s", strerror(-r));
	*ret = bh_take(b);
	return 0;
}

void bh_control_back_free(struct bh_control_back *b)
{
	if (!b)
		return;
	link_close(b);
	sd_event_source_disable_unref(b->timer);
	bh_control_server_free(b->server);
	sd_event_unref(b->event);
	free(b);
}
