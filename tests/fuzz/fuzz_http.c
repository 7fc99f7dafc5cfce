/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP as it is used to ask a runtime: the fuzzer is the server. The first bytes say where its answer is cut; what comes of it whole and what comes of it cut must be the same, as a plain
 * answer and as a stream. Then once more with a client that has whims. */
#include "../../src/runtime/http.h"

#include <bulkhead/buf.h>

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#define CUTS 6		/* bytes that say where */
#define BODY_MAX 4096u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a client does besides. */
enum whim {
	NONE,
	CANCELS,	/* with the first data */
	FAILS,		/* says so with the first data */
	GOES,		/* before there is an answer */
	RESETS,
	IS_SMALL,	/* takes three bytes */
	WHIMS,
};

struct seen {
	struct bh_buf body;
	int error;
	long status;
	bool done, opened, freed;
	enum whim whim;
	struct bh_http_request *request;
};

struct server {
	sd_event *event;
	struct sockaddr_un at;
	int fd;
};

static void need(bool ok)
{
	if (!ok)
		abort();
}

static void on_done(void *userdata, const struct bh_http_answer *a)
{
	struct seen *s = userdata;

	need(!s->done && a->reason && a->body && !strchr(a->reason, '\n') && a->n <= BODY_MAX);
	s->done = true;
	s->error = a->error;
	s->status = a->status;
	bh_buf_putn(&s->body, a->body, a->n);
}

static void on_open(void *userdata)
{
	((struct seen *)userdata)->opened = true;
}

static int on_data(void *userdata, const char *data, size_t n)
{
	struct seen *s = userdata;

	need(s->opened && !s->done);
	bh_buf_putn(&s->body, data, n);
	if (s->whim == CANCELS)
		bh_http_cancel(s->request);
	return s->whim == FAILS ? -ECANCELED : 0;
}

static void on_free(void *userdata)
{
	struct seen *s = userdata;

	need(!s->freed);
	s->freed = true;
}

static void server_end(void);
static struct server server = {.fd = -1};

static void server_begin(void)
{
	server.at.sun_family = AF_UNIX;
	snprintf(server.at.sun_path, sizeof(server.at.sun_path), "/dev/shm/bh-fuzz-http-%d", (int)getpid());
	unlink(server.at.sun_path);
	server.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	need(server.fd >= 0 && bind(server.fd, (struct sockaddr *)&server.at, sizeof(server.at)) == 0 && listen(server.fd, 8) == 0);
	need(sd_event_new(&server.event) >= 0);
	atexit(server_end);
}

static void server_end(void)
{
	close(server.fd);
	unlink(server.at.sun_path);
	sd_event_unref(server.event);
}

/* Lets the client do what it can without waiting. */
static void turn(int n)
{
	for (int i = 0; i < n; i++)
		need(sd_event_run(server.event, 0) >= 0);
}

/* One answer in pieces: each connection that is made gets it from its beginning. PIECE: the bytes of the K-th one. */
static void serve(const char *text, size_t n, const uint8_t *cuts, bool stream, struct seen *seen)
{
	struct bh_http *h = NULL;
	const struct bh_http_get get = {.path = "/x", .max = seen->whim == IS_SMALL ? 3 : BODY_MAX, .timeout_ms = 2000, .free_userdata = on_free, .done = on_done, .open = stream ? on_open : NULL,
		.data = stream ? on_data : NULL, .userdata = seen};
	size_t at = 0;
	int c = -1;

	need(bh_http_new(server.event, server.at.sun_path, &h, NULL) == 0 && bh_http_get(h, &get, &seen->request) == 0);
	if (seen->whim == GOES)
		bh_http_cancel(seen->request);
	for (int i = 0; i < 200 && c < 0 && !seen->freed; i++) {
		turn(1);
		c = accept4(server.fd, NULL, NULL, SOCK_CLOEXEC);
	}
	if (seen->whim == RESETS)
		bh_http_reset(h);
	for (size_t k = 0; c >= 0 && at < n && !seen->freed; k++) {
		size_t piece = cuts && k < CUTS ? (size_t)cuts[k] + 1 : n;

		piece = piece < n - at ? piece : n - at;
		if (send(c, text + at, piece, MSG_NOSIGNAL) != (ssize_t)piece)
			break;
		at += piece;
		turn(4);
	}
	if (c >= 0)
		close(c);
	for (int i = 0; i < 400 && !seen->freed; i++) {
		int again = accept4(server.fd, NULL, NULL, SOCK_CLOEXEC);	/* a client that tries once more finds nobody */

		if (again >= 0)
			close(again);
		if (sd_event_run(server.event, 1000) < 0)
			break;
	}
	need(seen->freed && (seen->done || seen->whim == GOES || seen->whim == RESETS || seen->whim == CANCELS));
	bh_http_free(h);
	while ((c = accept4(server.fd, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		close(c);
}

static void both(const char *text, size_t n, const uint8_t *cuts, bool stream)
{
	struct seen whole = {0}, cut = {0};

	serve(text, n, NULL, stream, &whole);
	serve(text, n, cuts, stream, &cut);
	if (whole.status != cut.status || (whole.error == 0) != (cut.error == 0) || whole.opened != cut.opened || whole.body.n != cut.body.n ||
		(whole.body.n && memcmp(whole.body.s, cut.body.s, whole.body.n) != 0)) {
		fprintf(stderr, "whole: %ld %d %zu bytes; cut: %ld %d %zu bytes\n", whole.status, whole.error, whole.body.n, cut.status, cut.error,
			cut.body.n);
		abort();
	}
	bh_buf_free(&whole.body);
	bh_buf_free(&cut.body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (server.fd < 0)
		server_begin();
	if (size < CUTS || size > CUTS + 4 * BODY_MAX)
		return 0;
	both((const char *)data + CUTS, size - CUTS, data, false);
	both((const char *)data + CUTS, size - CUTS, data, true);
	for (int stream = 0; stream < 2; stream++) {
		struct seen seen = {.whim = (enum whim)(data[0] % WHIMS)};

		serve((const char *)data + CUTS, size - CUTS, data, stream, &seen);
		bh_buf_free(&seen.body);
	}
	return 0;
}
