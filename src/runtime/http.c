/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <bulkhead/buf.h>

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-event.h>

#define HEADERS_MAX 65536u
/* A stream's data is handed on after each turn of the loop; libcurl reads at most about 1.6 MB in one. */
#define STREAM_CHUNK_MAX (8u << 20)
#define CONNECT_TIMEOUT_MS 5000L
#define IDLE_CONNECTIONS 8L

struct bh_http_request {
	struct bh_http *client;
	struct bh_http_request *prev, *next;
	CURL *easy;
	struct bh_http_get get;
	struct bh_buf body;
	size_t headers;
	int error;		/* why a callback ended it */
	CURLcode result;
	bool headers_done, opened, finished;
	bool busy, cancelled;	/* inside one of its own callbacks; cancelled there */
	char curl_reason[CURL_ERROR_SIZE];
};

/* One per file descriptor that libcurl watches. */
struct bh_http_io {
	struct bh_http *client;
	struct bh_http_io *prev, *next;
	sd_event_source *source;
};

struct bh_http {
	sd_event *event;
	sd_event_source *timer;
	CURLM *multi;
	char *path;
	const struct bh_door *door;	/* NULL: by the path */
	struct bh_http_request *requests;
	struct bh_http_io *ios;
	bool global;
};

#define LIST_ADD(head, item)                                                                       \
	do {                                                                                       \
		(item)->prev = NULL;                                                               \
		(item)->next = (head);                                                             \
		if (head)                                                                          \
			(head)->prev = (item);                                                     \
		(head) = (item);                                                                   \
	} while (0)

#define LIST_REMOVE(head, item)                                                                    \
	do {                                                                                       \
		if ((item)->prev)                                                                  \
			(item)->prev->next = (item)->next;                                         \
		else                                                                               \
			(head) = (item)->next;                                                     \
		if ((item)->next)                                                                  \
			(item)->next->prev = (item)->prev;                                         \
	} while (0)

/* Takes a request out of libcurl; only outside libcurl's own callbacks. */
static void request_stop(struct bh_http_request *r)
{
	if (!r->easy)
		return;
	curl_multi_remove_handle(r->client->multi, r->easy);
	curl_easy_cleanup(r->easy);
	r->easy = NULL;
}

static void request_free(struct bh_http_request *r)
{
	request_stop(r);
	if (r->client)
		LIST_REMOVE(r->client->requests, r);
	if (r->get.free_userdata)
		r->get.free_userdata(r->get.userdata);
	bh_buf_free(&r->body);
	free(r);
}

static size_t on_header(char *data, size_t size, size_t n, void *userdata)
{
	struct bh_http_request *r = userdata;

	(void)size;
	r->headers += n;
	if (r->headers > HEADERS_MAX) {
		r->error = -EMSGSIZE;
		return 0;
	}
	if (n <= 2 && (data[0] == '\r' || data[0] == '\n'))
		r->headers_done = true;
	return n;
}

static size_t on_body(char *data, size_t size, size_t n, void *userdata)
{
	struct bh_http_request *r = userdata;
	size_t max = r->get.data ? STREAM_CHUNK_MAX : r->get.max;

	(void)size;
	if (n > max - r->body.n) {
		r->error = -EMSGSIZE;
		return n ? 0 : 1;
	}
	bh_buf_putn(&r->body, data, n);
	if (r->body.err) {
		r->error = r->body.err;
		return n ? 0 : 1;
	}
	return n;
}

static int error_of(const struct bh_http_request *r)
{
	long os = 0;

	if (r->error)
		return r->error;
	switch (r->result) {
	case CURLE_OK:
		return 0;
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	case CURLE_COULDNT_CONNECT:
		if (curl_easy_getinfo(r->easy, CURLINFO_OS_ERRNO, &os) == CURLE_OK && os > 0)
			return -(int)os;
		return -ECONNREFUSED;
	case CURLE_GOT_NOTHING:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_PARTIAL_FILE:
		return -ECONNRESET;
	default:
		return -EPROTO;
	}
}

static void answer_reason(const struct bh_http_request *r, int error, char *buf, size_t size)
{
	_cleanup_buf_ struct bh_buf safe = {0};

	if (error != -EPROTO || !*r->curl_reason) {
		snprintf(buf, size, "%s", error ? strerror(-error) : "answered");
		return;
	}
	bh_buf_put_safe(&safe, r->curl_reason, sizeof(r->curl_reason));
	snprintf(buf, size, "%s", safe.err || !safe.s ? "not HTTP" : safe.s);
}

/* Tells how a request ended and frees it. */
static void request_finish(struct bh_http_request *r)
{
	struct bh_http_answer answer = {.body = "", .error = error_of(r)};
	char reason[CURL_ERROR_SIZE + 16];

	curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &answer.status);
	answer_reason(r, answer.error, reason, sizeof(reason));
	answer.reason = reason;
	if (!r->get.data && r->body.s) {
		answer.body = r->body.s;
		answer.n = r->body.n;
	}
	request_stop(r);
	LIST_REMOVE(r->client->requests, r);
	r->client = NULL;
	r->get.done(r->get.userdata, &answer);
	request_free(r);
}

/* A stream's news: opened, then data. False when the request is gone. */
static bool stream_deliver(struct bh_http_request *r)
{
	_cleanup_buf_ struct bh_buf chunk = r->body;
	int error = 0;

	memset(&r->body, 0, sizeof(r->body));
	r->busy = true;
	if (!r->opened) {
		r->opened = true;
		if (r->get.open)
			r->get.open(r->get.userdata);
	}
	if (!r->cancelled && chunk.n > 0)
		error = r->get.data(r->get.userdata, chunk.s, chunk.n);
	r->busy = false;
	if (r->cancelled) {
		request_free(r);
		return false;
	}
	if (error < 0) {
		r->error = error;
		r->finished = true;
	}
	return true;
}

static bool stream_has_news(const struct bh_http_request *r)
{
	long status = 0;

	if (!r->get.data || !r->headers_done)
		return false;
	curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
	return status == 200 && (!r->opened || r->body.n > 0);
}

/* A stream that was answered with another status than 200 is over. */
static bool stream_is_refused(const struct bh_http_request *r)
{
	long status = 0;

	if (!r->get.data || !r->headers_done)
		return false;
	curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
	return status >= 200 && status != 200;
}

/* Hands on what came. A callback may make or cancel requests, so each look starts at the head again. */
static void http_drain(struct bh_http *h)
{
	struct bh_http_request *r;
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(h->multi, &left)))
		if (msg->msg == CURLMSG_DONE) {
			char *p = NULL;

			if (curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &p) != CURLE_OK || !p)
				continue;
			r = (struct bh_http_request *)(void *)p;
			r->finished = true;
			r->result = msg->data.result;
		}
again:
	for (r = h->requests; r; r = r->next) {
		if (r->busy)
			continue;
		if (r->error == 0 && stream_has_news(r)) {
			stream_deliver(r);
			goto again;
		}
		if (!r->finished && stream_is_refused(r)) {
			r->error = -EPROTO;
			r->finished = true;
		}
		if (r->finished) {
			request_finish(r);
			goto again;
		}
	}
}

static int on_io(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	struct bh_http *h = ((struct bh_http_io *)userdata)->client;
	int flags = 0, running;

	(void)s;
	if (revents & EPOLLIN)
		flags |= CURL_CSELECT_IN;
	if (revents & EPOLLOUT)
		flags |= CURL_CSELECT_OUT;
	if (revents & (EPOLLERR | EPOLLHUP))
		flags |= CURL_CSELECT_ERR;
	curl_multi_socket_action(h->multi, fd, flags, &running);
	http_drain(h);
	return 0;
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct bh_http *h = userdata;
	int running;

	(void)s, (void)usec;
	curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	http_drain(h);
	return 0;
}

static void io_free(struct bh_http_io *io)
{
	LIST_REMOVE(io->client->ios, io);
	sd_event_source_disable_unref(io->source);
	free(io);
}

/* CURLMOPT_SOCKETFUNCTION */
static int want_socket(CURL *easy, curl_socket_t fd, int what, void *userdata, void *socketp)
{
	struct bh_http *h = userdata;
	struct bh_http_io *io = socketp;
	uint32_t events = 0;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (io) {
			curl_multi_assign(h->multi, fd, NULL);
			io_free(io);
		}
		return 0;
	}
	if (what & CURL_POLL_IN)
		events |= EPOLLIN;
	if (what & CURL_POLL_OUT)
		events |= EPOLLOUT;
	if (io)
		return sd_event_source_set_io_events(io->source, events) < 0 ? -1 : 0;
	io = calloc(1, sizeof(*io));
	if (!io)
		return -1;
	io->client = h;
	LIST_ADD(h->ios, io);
	if (sd_event_add_io(h->event, &io->source, fd, events, on_io, io) < 0) {
		io_free(io);
		return -1;
	}
	curl_multi_assign(h->multi, fd, io);
	return 0;
}

/* CURLMOPT_TIMERFUNCTION */
static int want_timer(CURLM *multi, long ms, void *userdata)
{
	struct bh_http *h = userdata;

	(void)multi;
	if (ms < 0)
		return sd_event_source_set_enabled(h->timer, SD_EVENT_OFF) < 0 ? -1 : 0;
	if (sd_event_source_set_time_relative(h->timer, (uint64_t)ms * 1000) < 0 ||
		sd_event_source_set_enabled(h->timer, SD_EVENT_ONESHOT) < 0)
		return -1;
	return 0;
}

/* CURLOPT_OPENSOCKETFUNCTION */
static curl_socket_t door_open(void *userdata, curlsocktype purpose, struct curl_sockaddr *addr)
{
	struct bh_http_request *r = userdata;
	int fd = r->client->door->connect(r->client->door);

	(void)purpose, (void)addr;
	if (fd >= 0)
		return fd;
	r->error = fd;
	return CURL_SOCKET_BAD;
}

/* CURLOPT_SOCKOPTFUNCTION */
static int is_connected(void *userdata, curl_socket_t fd, curlsocktype purpose)
{
	(void)userdata, (void)fd, (void)purpose;
	return CURL_SOCKOPT_ALREADY_CONNECTED;
}

static int no_inherit(void *userdata, curl_socket_t fd, curlsocktype purpose)
{
	(void)userdata, (void)purpose;
	return fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? CURL_SOCKOPT_ERROR : CURL_SOCKOPT_OK;
}

void bh_http_free(struct bh_http *h)
{
	if (!h)
		return;
	bh_http_cancel_all(h);
	if (h->multi)
		curl_multi_cleanup(h->multi);
	while (h->ios)
		io_free(h->ios);
	sd_event_source_disable_unref(h->timer);
	sd_event_unref(h->event);
	if (h->global)
		curl_global_cleanup();
	free(h->path);
	free(h);
}

static CURLM *multi_new(struct bh_http *h)
{
	CURLM *m = curl_multi_init();

	if (m && (curl_multi_setopt(m, CURLMOPT_SOCKETFUNCTION, want_socket) || curl_multi_setopt(m, CURLMOPT_SOCKETDATA, h) ||
		curl_multi_setopt(m, CURLMOPT_TIMERFUNCTION, want_timer) || curl_multi_setopt(m, CURLMOPT_TIMERDATA, h) ||
		curl_multi_setopt(m, CURLMOPT_MAXCONNECTS, IDLE_CONNECTIONS))) {
		curl_multi_cleanup(m);
		return NULL;
	}
	return m;
}

int bh_http_new(sd_event *event, const char *path, struct bh_http **ret, struct bh_error *err)
{
	_cleanup_(bh_http_freep) struct bh_http *h = calloc(1, sizeof(*h));
	int r;

	if (!h || bh_strdup(&h->path, path) < 0)
		return bh_fail(err, -ENOMEM, "no memory");
	/* counted by libcurl, and safe among threads in this version */
	if (curl_global_init(CURL_GLOBAL_NOTHING) != CURLE_OK)
		return bh_fail(err, -ENOMEM, "libcurl does not start");
	h->global = true;
	h->event = sd_event_ref(event);
	/* libcurl begins each request by a time-out of 0: with an accuracy of 1 ms the request would leave 1 ms later */
	r = sd_event_add_time_relative(event, &h->timer, CLOCK_MONOTONIC, 0, 1, on_timer, h);
	if (r < 0)
		return bh_fail(err, r, "event loop: %s", strerror(-r));
	r = sd_event_source_set_enabled(h->timer, SD_EVENT_OFF);
	if (r < 0)
		return bh_fail(err, r, "event loop: %s", strerror(-r));
	h->multi = multi_new(h);
	if (!h->multi)
		return bh_fail(err, -ENOMEM, "libcurl does not start");
	*ret = bh_take(h);
	return 0;
}

void bh_http_use_door(struct bh_http *h, const struct bh_door *d)
{
	h->door = d;
}

/* The socket's path decides where it goes; the host name is never looked up. */
static bool easy_setup(struct bh_http_request *r)
{
	_cleanup_buf_ struct bh_buf url = {0};
	CURL *e = r->easy;

	bh_buf_printf(&url, "http://docker%s", r->get.path);
	return !url.err && !curl_easy_setopt(e, CURLOPT_URL, url.s) &&
		!curl_easy_setopt(e, CURLOPT_UNIX_SOCKET_PATH, r->client->path) &&
		!curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http") &&
		!curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) &&
		!curl_easy_setopt(e, CURLOPT_PROXY, "") && !curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L) &&
		!curl_easy_setopt(e, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) &&
		!curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L) &&
		!curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS) &&
		!curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, r->get.timeout_ms) &&
		!curl_easy_setopt(e, CURLOPT_SOCKOPTFUNCTION, r->client->door ? is_connected : no_inherit) &&
		(!r->client->door || (!curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, door_open) &&
			!curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, r))) &&
		!curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header) && !curl_easy_setopt(e, CURLOPT_HEADERDATA, r) &&
		!curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body) && !curl_easy_setopt(e, CURLOPT_WRITEDATA, r) &&
		!curl_easy_setopt(e, CURLOPT_ERRORBUFFER, r->curl_reason) &&
		!curl_easy_setopt(e, CURLOPT_PRIVATE, r);
}

int bh_http_get(struct bh_http *h, const struct bh_http_get *get, struct bh_http_request **ret)
{
	struct bh_http_request *r = calloc(1, sizeof(*r));

	if (!r) {
		if (get->free_userdata)
			get->free_userdata(get->userdata);
		return -ENOMEM;
	}
	r->client = h;
	r->get = *get;
	LIST_ADD(h->requests, r);
	r->easy = curl_easy_init();
	if (!r->easy || !easy_setup(r) || curl_multi_add_handle(h->multi, r->easy)) {
		if (r->easy)
			curl_easy_cleanup(bh_take(r->easy));
		request_free(r);
		return -ENOMEM;
	}
	r->get.path = NULL;	/* the caller's; libcurl has its own copy */
	if (ret)
		*ret = r;
	return 0;
}

void bh_http_cancel(struct bh_http_request *r)
{
	if (!r)
		return;
	if (r->busy) {
		r->cancelled = true;
		request_stop(r);
		return;
	}
	request_free(r);
}

void bh_http_cancel_all(struct bh_http *h)
{
	struct bh_http_request *r, *next;

	/* A stream's own callback may be what asks. */
	for (r = h->requests; r; r = next) {
		next = r->next;
		bh_http_cancel(r);
	}
}

/* libcurl has no other way to close what it keeps for the next request. */
void bh_http_reset(struct bh_http *h)
{
	CURLM *fresh;

	bh_http_cancel_all(h);
	fresh = multi_new(h);
	if (!fresh)
		return;
	curl_multi_cleanup(h->multi);
	while (h->ios)
		io_free(h->ios);
	h->multi = fresh;
}
