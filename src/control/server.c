/* SPDX-License-Identifier: Apache-2.0 */
/* One request a connection. Every client is bounded in number, bytes and time, so that one that sends nothing, sends for
 * ever or does not read holds nothing but its own seat for BH_CONTROL_TIMEOUT_MS; one that takes a long answer may take a minute for it. What is to
 * be sent is held as it comes, never in advance, and what all hold beyond small requests is bounded together. */
#include "peer.h"
#include "request.h"
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#define CLIENTS_MAX 64
#define LOOKS_MAX 12		/* at one that takes a line: a minute */
#define IN_FIRST 4096u	/* bytes; doubled as they fill */

enum client_state {
	CLIENT_READING,		/* waits for a request */
	CLIENT_CALLING,		/* the handler has not answered yet: not bounded in time here */
	CLIENT_STREAMING,	/* gets a line now and then, not bounded in time */
	CLIENT_WRITING,		/* the last of it */
};

struct client {
	struct bh_control_server *server;
	int fd;
	enum bh_control_right right;
	struct bh_control_peer peer;
	enum client_state state;
	sd_event_source *io, *timer;
	char *in;
	size_t in_n, in_cap;
	char *out;
	size_t out_n, out_at;
	bool waits;		/* for a reader: `seen_at` is where it was last */
	size_t seen_at;
	unsigned looks;
	struct bh_control_call *call;
};

struct bh_control_call {
	struct client *client;	/* NULL once it has gone */
	struct bh_control_peer peer;
};

struct bh_control_server {
	sd_event *event;
	char *path;
	ino_t inode;
	int fd;
	gid_t group;
	sd_event_source *io;
	bh_control_fn fn;
	void *userdata;
	struct client *clients[CLIENTS_MAX];	/* oldest first */
	size_t n_clients;
	size_t large;		/* bytes of the buffers that are larger than BH_CONTROL_SMALL_MAX */
};

static size_t large_part(size_t cap)
{
	return cap > BH_CONTROL_SMALL_MAX ? cap : 0;
}

static void client_drop_input(struct client *c)
{
	c->server->large -= large_part(c->in_cap);
	free(c->in);
	c->in = NULL;
	c->in_n = c->in_cap = 0;
}

static void client_free(struct client *c)
{
	struct bh_control_server *s = c->server;

	for (size_t i = 0; i < s->n_clients; i++)
		if (s->clients[i] == c) {
			memmove(&s->clients[i], &s->clients[i + 1], (s->n_clients - i - 1) * sizeof(c));
			s->n_clients--;
			break;
		}
	if (c->call)
		c->call->client = NULL;
	sd_event_source_disable_unref(c->io);
	sd_event_source_disable_unref(c->timer);
	if (c->fd >= 0)
		close(c->fd);
	client_drop_input(c);
	free(c->out);
	free(c);
}

/* Writes what the socket takes; the client goes when all is written, unless more may come, or when it cannot be. */
static void client_flush(struct client *c)
{
	while (c->out_at < c->out_n) {
		ssize_t n = send(c->fd, c->out + c->out_at, c->out_n - c->out_at, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN && sd_event_source_set_io_events(c->io, EPOLLOUT) >= 0) {
			if (!c->waits)
				c->seen_at = c->out_at;
			c->waits = true;
			return;
		}
		if (n < 0)
			break;
		c->out_at += (size_t)n;
	}
	if (c->out_at == c->out_n && c->state == CLIENT_STREAMING && sd_event_source_set_io_events(c->io, 0) >= 0)
		return;
	client_free(c);
}

/* Puts DOC behind what waits to be written; its reference is taken, NULL stands for no memory. */
static int client_queue(struct client *c, json_t *doc)
{
	_cleanup_free_ char *line = NULL;
	size_t n, waits = c->out_n - c->out_at;
	int r = doc ? bh_control_line(doc, &line, &n) : -ENOMEM;
	char *all;

	json_decref(doc);
	if (r < 0)
		return r;
	all = malloc(waits + n);
	if (!all)
		return -ENOMEM;
	if (waits)
		memcpy(all, c->out + c->out_at, waits);
	memcpy(all + waits, line, n);
	free(c->out);
	c->out = all;
	c->out_n = waits + n;
	c->out_at = 0;
	return 0;
}

/* Sends DOC, whose reference it takes (NULL stands for no memory), as the last line, and is done with the client. */
static void client_send(struct client *c, json_t *doc)
{
	int r = client_queue(c, doc);

	c->state = CLIENT_WRITING;
	if (r == 0)
		r = sd_event_source_set_time_relative(c->timer, BH_CONTROL_TIMEOUT_MS * 1000ULL);
	if (r >= 0)
		r = sd_event_source_set_enabled(c->timer, SD_EVENT_ONESHOT);
	if (r < 0)
		client_free(c);
	else
		client_flush(c);
}

/* Runs a request. */
static void client_run(struct client *c, const char *verb, const json_t *request)
{
	struct bh_control_call *call = calloc(1, sizeof(*call));

	if (!call) {
		client_free(c);
		return;
	}
	call->client = c;
	call->peer = c->peer;
	c->call = call;
	c->state = CLIENT_CALLING;
	/* No input, no hurry, but a peer that hangs up is still seen. */
	(void)sd_event_source_set_enabled(c->timer, SD_EVENT_OFF);
	(void)sd_event_source_set_io_events(c->io, 0);
	c->server->fn(c->server->userdata, call, verb, request, c->right);
}

/* The request in the first N bytes of the buffer. */
static void client_call(struct client *c, size_t n)
{
	struct bh_error err = {0};
	json_t *request = NULL;
	const char *verb = NULL;
	int r = bh_control_request_decode(c->in, n, &request, &verb, &err);

	client_drop_input(c);
	if (r < 0) {
		client_send(c, bh_control_refusal("usage", err.msg));
		return;
	}
	client_run(c, verb, request);
	json_decref(request);
}

/* Ends the oldest client that waits for its peer, others before root, and that holds at least LEAST bytes; not SELF. False when there is none
 * that RIGHT is good enough to end. */
static bool server_evict(struct bh_control_server *s, enum bh_control_right right, size_t least, const struct client *self)
{
	for (int root = 0; root <= (right == BH_RIGHT_WRITE); root++)
		for (size_t i = 0; i < s->n_clients; i++) {
			struct client *c = s->clients[i];

			if (c != self && c->state != CLIENT_CALLING && c->state != CLIENT_STREAMING && large_part(c->in_cap) >= least && (root || c->right != BH_RIGHT_WRITE)) {
				client_free(c);
				return true;
			}
		}
	return false;
}

/* Room for more of a request. False: there is none, and C is told. */
static bool client_grow(struct client *c)
{
	struct bh_control_server *s = c->server;
	size_t cap = c->in_cap ? c->in_cap * 2 : IN_FIRST, before = large_part(c->in_cap);
	char *in;

	if (cap > BH_CONTROL_REQUEST_MAX) {
		client_send(c, bh_control_refusal("usage", "the request is too long"));
		return false;
	}
	while (s->large - before + large_part(cap) > BH_CONTROL_LARGE_MAX)
		if (!server_evict(s, c->right, 1, c)) {
			client_send(c, bh_control_refusal("failed", "too many large requests at once: try again"));
			return false;
		}
	in = realloc(c->in, cap);
	if (!in) {
		client_free(c);
		return false;
	}
	c->in = in;
	c->in_cap = cap;
	s->large += large_part(cap) - before;
	return true;
}

static int on_client(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct client *c = userdata;
	const char *newline;
	ssize_t n;

	(void)source;
	/* A half-closed peer (EPOLLRDHUP, not asked for) still reads; one that hung up does not. */
	if (c->state != CLIENT_READING && (events & (EPOLLERR | EPOLLHUP))) {
		client_free(c);
		return 0;
	}
	if (c->state == CLIENT_WRITING || c->state == CLIENT_STREAMING) {
		client_flush(c);
		return 0;
	}
	if (c->state == CLIENT_CALLING)
		return 0;
	if (c->in_n == c->in_cap && !client_grow(c))
		return 0;
	n = recv(fd, c->in + c->in_n, c->in_cap - c->in_n, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) {
		client_free(c);
		return 0;
	}
	newline = memchr(c->in + c->in_n, '\n', (size_t)n);
	c->in_n += (size_t)n;
	if (newline)
		client_call(c, (size_t)(newline - c->in));
	return 0;
}

/* Whether a last line is being taken, or could be had we not been busy ourselves: megabytes of status go piece by piece through the socket, between
 * the rounds of a start. */
static bool client_reads(struct client *c)
{
	struct pollfd p = {.fd = c->fd, .events = POLLOUT};
	bool moved = c->out_at != c->seen_at;

	if (c->state != CLIENT_WRITING || ++c->looks > LOOKS_MAX)
		return false;
	c->seen_at = c->out_at;
	return moved || poll(&p, 1, 0) > 0;
}

static int on_client_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct client *c = userdata;

	(void)usec;
	if (!client_reads(c) || sd_event_source_set_time_relative(source, BH_CONTROL_TIMEOUT_MS * 1000ULL) < 0 ||
		sd_event_source_set_enabled(source, SD_EVENT_ONESHOT) < 0)
		client_free(c);
	return 0;
}

/* *RET is NULL for who has no right: he was told. */
static int client_new(struct bh_control_server *s, int fd, enum bh_control_right right, const struct bh_control_peer *peer, struct client **ret)
{
	struct client *c = calloc(1, sizeof(*c));
	int r;

	*ret = NULL;

	if (!c) {
		close(fd);
		return -ENOMEM;
	}
	c->server = s;
	c->fd = fd;
	c->right = right;
	c->peer = *peer;
	s->clients[s->n_clients++] = c;
	r = sd_event_add_io(s->event, &c->io, fd, EPOLLIN, on_client, c);
	if (r >= 0)
		r = sd_event_add_time_relative(s->event, &c->timer, CLOCK_MONOTONIC, BH_CONTROL_TIMEOUT_MS * 1000ULL, 0,
			on_client_timeout, c);
	if (r < 0) {
		client_free(c);
		return r;
	}
	if (right == BH_RIGHT_NONE)
		client_send(c, bh_control_refusal("denied", "not permitted: be root, or in group " BH_CONTROL_GROUP));
	else
		*ret = c;
	return 0;
}

/* Takes FD over. The same. */
static int client_add(struct bh_control_server *s, int fd, struct client **ret)
{
	struct bh_control_peer peer = {.pid = -1, .uid = (uid_t)-1, .gid = (gid_t)-1};
	enum bh_control_right right = bh_control_peer_right(fd, s->group, &peer);

	if (s->n_clients == CLIENTS_MAX && !server_evict(s, right, 0, NULL)) {
		close(fd);
		return -EMFILE;
	}
	return client_new(s, fd, right, &peer, ret);
}

static int on_listen(sd_event_source *source, int listen_fd, uint32_t events, void *userdata)
{
	struct client *c;
	int fd;

	(void)source;
	(void)events;
	fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return 0;	/* it went away, or no descriptor is free: the next round tries again */
	(void)client_add(userdata, fd, &c);	/* out of memory: the client is gone, the server stays */
	return 0;
}

/* Whether FD was accepted from the socket that was bound for S: the kernel remembers the name that it was bound to, which is not yet PATH. */
static bool is_ours(const struct bh_control_server *s, int fd)
{
	_cleanup_free_ char *bound = NULL;
	struct sockaddr_un sa = {0};
	socklen_t n = sizeof(sa);
	int type = 0;
	socklen_t type_n = sizeof(type);

	if (asprintf(&bound, "%s" BH_CONTROL_NEW, s->path) < 0) {
		bound = NULL;
		return false;
	}
	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_n) == 0 && type == SOCK_STREAM &&
		getsockname(fd, (struct sockaddr *)&sa, &n) == 0 && sa.sun_family == AF_UNIX && n > offsetof(struct sockaddr_un, sun_path) &&
		strncmp(sa.sun_path, bound, sizeof(sa.sun_path)) == 0;
}

int bh_control_adopt(struct bh_control_server *s, int fd, const char *verb, const json_t *request)
{
	struct client *c = NULL;
	int r;

	if (!is_ours(s, fd)) {
		close(fd);
		return -EBADMSG;
	}
	r = client_add(s, fd, &c);
	if (c)
		client_run(c, verb, request);
	return r == -EMFILE ? 0 : r;	/* as at the socket itself */
}

int bh_control_take(struct bh_control_call *call)
{
	struct client *c = call->client;
	int fd;

	free(call);
	if (!c)
		return -EPIPE;
	fd = c->fd;
	c->call = NULL;
	c->io = sd_event_source_disable_unref(c->io);
	c->fd = -1;
	client_free(c);
	return fd;
}

static struct bh_control_server *server_new(struct sd_event *event, bh_control_fn fn, void *userdata)
{
	struct bh_control_server *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->fd = -1;
	s->event = sd_event_ref(event);
	s->fn = fn;
	s->userdata = userdata;
	return s;
}

static int server_accept(struct bh_control_server *s, int fd, struct bh_error *err)
{
	int r = sd_event_add_io(s->event, &s->io, fd, EPOLLIN, on_listen, s);

	return r < 0 ? bh_fail(err, r, "cannot watch the control socket: %s", strerror(-r)) : 0;
}

int bh_control_bind(struct sd_event *event, const char *path, bh_control_fn fn, void *userdata, struct bh_control_server **ret,
	struct bh_error *err)
{
	_cleanup_(bh_control_server_freep) struct bh_control_server *s = server_new(event, fn, userdata);
	int r;

	if (!s || bh_strdup(&s->path, path) < 0)
		return bh_fail(err, -ENOMEM, "out of memory");
	s->group = bh_control_group();
	r = bh_control_socket(path, s->group, &s->fd, &s->inode, err);
	if (r < 0)
		return r;
	*ret = bh_take(s);
	return 0;
}

int bh_control_server_fd(const struct bh_control_server *s)
{
	return s->fd;
}

int bh_control_accept(struct sd_event *event, int listen_fd, gid_t group, bh_control_fn fn, void *userdata, struct bh_control_server **ret,
	struct bh_error *err)
{
	_cleanup_(bh_control_server_freep) struct bh_control_server *s = server_new(event, fn, userdata);
	int r;

	if (!s)
		return bh_fail(err, -ENOMEM, "out of memory");
	s->group = group;
	r = server_accept(s, listen_fd, err);
	if (r < 0)
		return r;
	*ret = bh_take(s);
	return 0;
}

int bh_control_listen(struct sd_event *event, const char *path, bh_control_fn fn, void *userdata,
	struct bh_control_server **ret, struct bh_error *err)
{
	_cleanup_(bh_control_server_freep) struct bh_control_server *s = NULL;
	int r = bh_control_bind(event, path, fn, userdata, &s, err);

	if (r == 0)
		r = server_accept(s, s->fd, err);
	if (r < 0)
		return r;
	*ret = bh_take(s);
	return 0;
}

void bh_control_server_free(struct bh_control_server *s)
{
	if (!s)
		return;
	while (s->n_clients > 0)
		client_free(s->clients[0]);
	sd_event_source_disable_unref(s->io);
	if (s->fd >= 0)
		close(s->fd);
	if (s->path)
		bh_control_socket_remove(s->path, s->inode);
	sd_event_unref(s->event);
	free(s->path);
	free(s);
}

/* Ends the call with an answer; takes DOC's reference. */
static void call_end(struct bh_control_call *call, json_t *doc)
{
	struct client *c = call->client;

	free(call);
	if (!c) {
		json_decref(doc);
		return;
	}
	c->call = NULL;
	client_send(c, doc);
}

void bh_control_reply(struct bh_control_call *call, json_t *result)
{
	call_end(call, result ? bh_control_answer(result) : NULL);
}

void bh_control_refuse(struct bh_control_call *call, const char *code, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	call_end(call, text ? bh_control_refusal(code, text) : NULL);
}

struct bh_control_peer bh_control_peer(const struct bh_control_call *call)
{
	return call->peer;
}

bool bh_control_is_alive(const struct bh_control_call *call)
{
	return call->client;
}

int bh_control_stream(struct bh_control_call *call)
{
	struct client *c = call->client;
	size_t streams = 0;

	for (size_t i = 0; c && i < c->server->n_clients; i++)
		streams += c->server->clients[i]->state == CLIENT_STREAMING;
	if (streams >= BH_CONTROL_STREAMS_MAX) {
		bh_control_refuse(call, "refused", "%u commands follow already: end one of them", BH_CONTROL_STREAMS_MAX);
		return -EMFILE;
	}
	if (c)
		c->state = CLIENT_STREAMING;
	return 0;
}

int bh_control_tell(struct bh_control_call *call, json_t *result)
{
	struct client *c = call->client;
	int r;

	if (!c) {
		json_decref(result);
		free(call);
		return -EPIPE;
	}
	if (c->out_n - c->out_at > BH_CONTROL_STREAM_MAX) {
		json_decref(result);
		bh_control_refuse(call, "failed", "what happened came faster than it was read: some of it is lost from here on, ask again");
		return -ENOBUFS;
	}
	r = client_queue(c, result ? bh_control_answer(result) : NULL);
	if (r < 0) {
		free(call);
		c->call = NULL;
		client_free(c);
		return r;
	}
	client_flush(c);
	if (call->client)
		return 0;
	free(call);
	return -EPIPE;
}
