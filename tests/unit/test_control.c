/* SPDX-License-Identifier: Apache-2.0 */
#include "../../src/control/peer.h"
#include "../../src/control/request.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-event.h>
#include <unistd.h>
#include <cmocka.h>

struct fixture {
	char dir[64];
	char path[96];
	sd_event *event;
	struct bh_control_server *server;
	struct bh_control_call *held;
	unsigned calls;
	enum bh_control_right right;
	int stream;		/* what the last bh_control_stream() said */
};

static void on_call(void *userdata, struct bh_control_call *call, const char *verb, const json_t *request,
	enum bh_control_right right)
{
	struct fixture *f = userdata;

	f->calls++;
	f->right = right;
	if (strcmp(verb, "echo") == 0)
		bh_control_reply(call, json_incref(json_object_get(request, "what")));
	else if (strcmp(verb, "hold") == 0)
		f->held = call;
	else if (strcmp(verb, "follow") == 0)
		f->held = (f->stream = bh_control_stream(call)) == 0 ? call : NULL;
	else if (strcmp(verb, "big") == 0)
		bh_control_reply(call, json_pack("s+", "", ""));
	else
		bh_control_refuse(call, "denied", "no\x1b[2J %s", verb);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	snprintf(f->dir, sizeof(f->dir), "/tmp/bh-test-%d-XXXXXX", getpid());
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/run/control.sock", f->dir);
	assert_true(sd_event_new(&f->event) >= 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char sub[sizeof(f->dir) + 8];

	bh_control_server_free(f->server);
	sd_event_unref(f->event);
	unlink(f->path);
	snprintf(sub, sizeof(sub), "%s/run", f->dir);
	rmdir(sub);
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
	return 0;
}

static void listen_ok(struct fixture *f)
{
	struct bh_error err = {0};

	if (bh_control_listen(f->event, f->path, on_call, f, &f->server, &err) < 0)
		fail_msg("%s", err.msg);
}

static int dial(const struct fixture *f)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(sa.sun_path, f->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

/* Runs the loop until FD can be read or MS went by. */
static bool serve_until_readable(struct fixture *f, int fd, int ms)
{
	for (int i = 0; i < ms; i++) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		if (poll(&p, 1, 0) == 1)
			return true;
		assert_true(sd_event_run(f->event, 1000) >= 0);
	}
	return false;
}

static void ask(struct fixture *f, int fd, const char *text, char *answer, size_t size)
{
	size_t n = strlen(text);
	ssize_t k;

	while (n > 0) {
		k = send(fd, text, n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (k > 0) {
			text += k;
			n -= (size_t)k;
		} else if (errno != EAGAIN) {
			break;
		}
		assert_true(sd_event_run(f->event, 1000) >= 0);
	}
	assert_true(serve_until_readable(f, fd, 2000));
	k = recv(fd, answer, size - 1, 0);
	assert_true(k >= 0);
	answer[k] = '\0';
}

static void test_decode(void **state)
{
	static const struct {
		const char *line;
		int r;
	} cases[] = {
		{ "{\"version\":1,\"verb\":\"status\"}", 0 },
		{ "{\"version\":1,\"verb\":\"status\",\"x\":[1,2]}", 0 },
		{ "{\"version\":2,\"verb\":\"status\"}", -EPROTO },
		{ "{\"verb\":\"status\"}", -EBADMSG },
		{ "{\"version\":1}", -EBADMSG },
		{ "{\"version\":\"1\",\"verb\":\"status\"}", -EBADMSG },
		{ "{\"version\":1,\"verb\":\"\"}", -EBADMSG },
		{ "{\"version\":1,\"verb\":\"../x\"}", -EBADMSG },
		{ "{\"version\":1,\"verb\":\"a\\u0000b\"}", -EBADMSG },
		{ "{\"version\":1,\"verb\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}", -EBADMSG },
		{ "{\"version\":1,\"verb\":\"a\",\"verb\":\"b\"}", -EBADMSG },
		{ "[1]", -EBADMSG },
		{ "", -EBADMSG },
		{ "{\"version\":1,\"verb\":\"status\"} x", -EBADMSG },
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(cases); i++) {
		struct bh_error err = {0};
		const char *verb = NULL;
		json_t *doc = NULL;
		int r = bh_control_request_decode(cases[i].line, strlen(cases[i].line), &doc, &verb, &err);

		if (r != cases[i].r)
			fail_msg("%s: %d, not %d", cases[i].line, r, cases[i].r);
		assert_int_equal(r == 0, doc != NULL);
		assert_int_equal(err.code, r);
		json_decref(doc);
	}
}

static void test_answers(void **state)
{
	struct fixture *f = *state;
	char answer[4096];
	struct stat st;
	int fd;

	listen_ok(f);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	fd = dial(f);
	ask(f, fd, "{\"version\":1,\"verb\":\"echo\",\"what\":[1,\"\\u00fc\"]}\n", answer, sizeof(answer));
	close(fd);
	if (geteuid() == 0) {
		assert_string_equal(answer, "{\"ok\":true,\"result\":[1,\"\xc3\xbc\"]}\n");
		assert_int_equal(f->right, BH_RIGHT_WRITE);
	} else {
		assert_non_null(strstr(answer, "\"denied\""));
	}
}

static void test_garbage_is_refused(void **state)
{
	struct fixture *f = *state;
	char answer[4096];
	const size_t size = BH_CONTROL_REQUEST_MAX + 1;
	char *long_line = calloc(1, size + 1);
	int fd;

	if (geteuid() != 0)
		return free(long_line);	/* other users are refused before they say a word: test_answers */
	assert_non_null(long_line);
	listen_ok(f);
	fd = dial(f);
	ask(f, fd, "\x16\x03\x01\n", answer, sizeof(answer));
	assert_non_null(strstr(answer, "\"usage\""));
	close(fd);
	memset(long_line, '[', size);
	fd = dial(f);
	ask(f, fd, long_line, answer, sizeof(answer));
	assert_non_null(strstr(answer, "too long"));
	close(fd);
	assert_int_equal(f->calls, 0);
	free(long_line);
}

/* A request of TEXT bytes of text, with a newline if WHOLE. The caller frees it. */
static char *large_request(size_t text, bool whole)
{
	static const char head[] = "{\"version\":1,\"verb\":\"echo\",\"what\":7,\"x\":\"";
	char *s = malloc(sizeof(head) + text + 4);

	assert_non_null(s);
	memcpy(s, head, sizeof(head) - 1);
	memset(s + sizeof(head) - 1, 'a', text);
	strcpy(s + sizeof(head) - 1 + text, whole ? "\"}\n" : "");
	return s;
}

static void test_large_requests(void **state)
{
	struct fixture *f = *state;
	char answer[4096];
	char *text = large_request(BH_CONTROL_REQUEST_MAX - 200, true);
	int fd;

	if (geteuid() != 0)
		return free(text);
	listen_ok(f);
	fd = dial(f);
	ask(f, fd, text, answer, sizeof(answer));
	assert_string_equal(answer, "{\"ok\":true,\"result\":7}\n");
	close(fd);
	free(text);
}

/* Sends all of TEXT, as far as the server reads it. */
static void send_while_read(struct fixture *f, int fd, const char *text)
{
	for (size_t n = strlen(text); n > 0;) {
		ssize_t k = send(fd, text, n, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (k > 0) {
			text += k;
			n -= (size_t)k;
		} else if (errno != EAGAIN) {
			return;
		}
		assert_true(sd_event_run(f->event, 0) >= 0);
	}
	for (int i = 0; i < 200; i++)
		sd_event_run(f->event, 0);
}

/* Ten clients that each hold almost a whole request: the memory for them is bounded, the oldest have to go, small requests find room. */
static void test_large_requests_share_a_bound(void **state)
{
	struct fixture *f = *state;
	char *text = large_request(BH_CONTROL_REQUEST_MAX - 200, false);
	char answer[4096];
	int fds[10], fd, gone = 0;

	if (geteuid() != 0)
		return free(text);
	listen_ok(f);
	for (size_t i = 0; i < BH_ARRAY_SIZE(fds); i++) {
		fds[i] = dial(f);
		send_while_read(f, fds[i], text);
	}
	for (size_t i = 0; i < BH_ARRAY_SIZE(fds); i++)
		gone += recv(fds[i], answer, 1, MSG_DONTWAIT) >= 0 || errno == ECONNRESET;
	assert_int_equal(gone, 10 - BH_CONTROL_LARGE_MAX / BH_CONTROL_REQUEST_MAX);
	fd = dial(f);
	ask(f, fd, "{\"version\":1,\"verb\":\"echo\",\"what\":1}\n", answer, sizeof(answer));
	assert_string_equal(answer, "{\"ok\":true,\"result\":1}\n");
	close(fd);
	for (size_t i = 0; i < BH_ARRAY_SIZE(fds); i++)
		close(fds[i]);
	free(text);
}

static void test_values_are_bounded(void **state)
{
	_cleanup_buf_ struct bh_buf b = {0};
	struct bh_error err = {0};
	const char *verb = NULL;
	json_t *doc = NULL;

	(void)state;
	bh_buf_puts(&b, "{\"version\":1,\"verb\":\"a\",\"x\":\"\\\"");
	for (int i = 0; i < 10000; i++)
		bh_buf_puts(&b, "{[,");
	bh_buf_puts(&b, "\",\"y\":[0");
	assert_int_equal(b.err, 0);
	for (int i = 0; i < 4000; i++)
		bh_buf_puts(&b, ",0");
	bh_buf_puts(&b, "]}");
	assert_int_equal(bh_control_request_decode(b.s, b.n, &doc, &verb, &err), 0);
	json_decref(doc);
	b.n -= 2;
	for (int i = 0; i < 100; i++)
		bh_buf_puts(&b, ",0");
	bh_buf_puts(&b, "]}");
	assert_int_equal(bh_control_request_decode(b.s, b.n, &doc, &verb, &err), -EBADMSG);
	assert_non_null(strstr(err.msg, "4096 values"));
}

static void test_many_idle_clients(void **state)
{
	struct fixture *f = *state;
	char answer[4096];
	int fds[200], fd;

	if (geteuid() != 0)
		return;
	listen_ok(f);
	for (size_t i = 0; i < BH_ARRAY_SIZE(fds); i++) {
		fds[i] = dial(f);
		while (sd_event_run(f->event, 0) > 0)
			;
	}
	fd = dial(f);
	ask(f, fd, "{\"version\":1,\"verb\":\"echo\",\"what\":1}\n", answer, sizeof(answer));
	assert_string_equal(answer, "{\"ok\":true,\"result\":1}\n");
	close(fd);
	/* The oldest had to go, the newest still waits. */
	assert_int_equal(recv(fds[0], answer, 1, MSG_DONTWAIT), 0);
	assert_int_equal(recv(fds[199], answer, 1, MSG_DONTWAIT), -1);
	for (size_t i = 0; i < BH_ARRAY_SIZE(fds); i++)
		close(fds[i]);
}

static void test_silent_client_times_out(void **state)
{
	struct fixture *f = *state;
	char c;
	int fd;

	if (geteuid() != 0)
		return;
	listen_ok(f);
	fd = dial(f);
	assert_int_equal(send(fd, "{", 1, 0), 1);
	assert_false(serve_until_readable(f, fd, 1000));
	for (int i = 0; i < 8 && !serve_until_readable(f, fd, 1); i++)
		sd_event_run(f->event, 1000000);
	assert_int_equal(recv(fd, &c, 1, MSG_DONTWAIT), 0);
	close(fd);
}

static void test_client_leaves_during_call(void **state)
{
	struct fixture *f = *state;
	int fd;

	if (geteuid() != 0)
		return;
	listen_ok(f);
	fd = dial(f);
	assert_true(send(fd, "{\"version\":1,\"verb\":\"hold\"}\n", 28, 0) == 28);
	for (int i = 0; i < 100 && !f->held; i++)
		sd_event_run(f->event, 1000);
	assert_non_null(f->held);
	close(fd);
	for (int i = 0; i < 10; i++)
		sd_event_run(f->event, 1000);
	bh_control_reply(f->held, json_true());
}

static void test_server_goes_during_call(void **state)
{
	struct fixture *f = *state;
	int fd;

	if (geteuid() != 0)
		return;
	listen_ok(f);
	fd = dial(f);
	assert_true(send(fd, "{\"version\":1,\"verb\":\"hold\"}\n", 28, 0) == 28);
	for (int i = 0; i < 100 && !f->held; i++)
		sd_event_run(f->event, 1000);
	bh_control_server_free(f->server);
	f->server = NULL;
	bh_control_refuse(f->held, "failed", "too late");
	assert_int_equal(access(f->path, F_OK), -1);
	close(fd);
}

static void test_stale_socket_and_second_server(void **state)
{
	struct fixture *f = *state;
	struct bh_control_server *second = NULL;
	struct bh_error err = {0};
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	char sub[sizeof(f->dir) + 8];
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(sub, sizeof(sub), "%s/run", f->dir);
	assert_int_equal(mkdir(sub, 0755), 0);
	strcpy(sa.sun_path, f->path);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	close(fd);	/* what a crash leaves */
	listen_ok(f);
	assert_int_equal(bh_control_listen(f->event, f->path, on_call, f, &second, &err), -EADDRINUSE);
	assert_null(second);
	assert_int_equal(access(f->path, F_OK), 0);
}

static void test_file_in_the_way(void **state)
{
	struct fixture *f = *state;
	struct bh_error err = {0};
	int fd;

	snprintf(f->path, sizeof(f->path), "%s/control.sock", f->dir);
	fd = open(f->path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(bh_control_listen(f->event, f->path, on_call, f, &f->server, &err), -EEXIST);
	assert_int_equal(access(f->path, F_OK), 0);
}

struct caller {
	const struct fixture *f;
	const char *verb;
	json_t *result;
	char code[16];
	struct bh_error err;
	int timeout, r;
};

static void *call_thread(void *p)
{
	struct caller *c = p;
	json_t *request = json_pack("{s:i, s:s, s:s}", "version", 1, "verb", c->verb, "what", "x");

	c->r = bh_control_call(c->f->path, request, c->timeout, &c->result, c->code, &c->err);
	json_decref(request);
	return NULL;
}

static void call_in_thread(struct fixture *f, struct caller *c, int rounds)
{
	pthread_t t;

	assert_int_equal(pthread_create(&t, NULL, call_thread, c), 0);
	for (int i = 0; i < rounds; i++)
		sd_event_run(f->event, 1000);
	assert_int_equal(pthread_join(t, NULL), 0);
}

static void test_client(void **state)
{
	struct fixture *f = *state;
	struct caller c = { .f = f, .verb = "echo", .timeout = 3000 };
	struct caller refused = { .f = f, .verb = "nothing", .timeout = 3000 };
	struct caller slow = { .f = f, .verb = "hold", .timeout = 200 };

	call_in_thread(f, &c, 0);
	assert_int_equal(c.r, -ENOENT);
	assert_non_null(strstr(c.err.msg, "not running"));
	memset(&c.err, 0, sizeof(c.err));
	listen_ok(f);
	call_in_thread(f, &c, 100);
	if (geteuid() != 0) {
		assert_int_equal(c.r, -EACCES);
		return;
	}
	assert_int_equal(c.r, 0);
	assert_string_equal(json_string_value(c.result), "x");
	json_decref(c.result);
	call_in_thread(f, &refused, 100);
	assert_int_equal(refused.r, -EACCES);
	assert_string_equal(refused.code, "denied");
	assert_string_equal(refused.err.msg, "no\\x1b[2J nothing");
	call_in_thread(f, &slow, 300);
	assert_int_equal(slow.r, -ETIMEDOUT);
	bh_control_reply(f->held, json_true());
}

#define FOLLOW "{\"version\":1,\"verb\":\"follow\"}\n"

/* A peer that follows. */
static int follow(struct fixture *f)
{
	int fd = dial(f);
	unsigned calls = f->calls;

	assert_int_equal(send(fd, FOLLOW, strlen(FOLLOW), 0), strlen(FOLLOW));
	for (int i = 0; i < 1000 && f->calls == calls; i++)
		assert_true(sd_event_run(f->event, 1000) >= 0);
	assert_int_equal(f->calls, calls + 1);
	return fd;
}

static void test_stream(void **state)
{
	struct fixture *f = *state;
	char line[256];
	ssize_t n;
	int fd;

	if (geteuid() != 0)
		return;
	listen_ok(f);
	fd = follow(f);
	assert_int_equal(f->stream, 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(bh_control_tell(f->held, json_integer(i)), 0);
		assert_true(serve_until_readable(f, fd, 1000));
		n = recv(fd, line, sizeof(line) - 1, 0);
		assert_true(n > 0);
		line[n] = '\0';
		assert_int_equal(line[strlen("{\"ok\":true,\"result\":")], '0' + i);
		assert_int_equal(line[n - 1], '\n');
	}
	/* not bounded in time: the server has waited for longer than a request may take */
	for (int i = 0; i < 6; i++)
		sd_event_run(f->event, 1000000);
	assert_true(bh_control_is_alive(f->held));
	bh_control_reply(f->held, json_string("the end"));
	assert_true(serve_until_readable(f, fd, 1000));
	n = recv(fd, line, sizeof(line) - 1, 0);
	line[n < 0 ? 0 : n] = '\0';
	assert_string_equal(line, "{\"ok\":true,\"result\":\"the end\"}\n");
	assert_true(serve_until_readable(f, fd, 1000));
	assert_int_equal(recv(fd, line, 1, MSG_DONTWAIT), 0);
	close(fd);
}

/* Takes what FD has; the last line is left in LINE. How many lines came whole. */
static unsigned drain(struct fixture *f, int fd, char line[512])
{
	char chunk[65536];
	unsigned lines = 0;
	size_t at = 0;
	ssize_t n;

	while (serve_until_readable(f, fd, 1000) && (n = recv(fd, chunk, sizeof(chunk), 0)) > 0)
		for (ssize_t i = 0; i < n; i++) {
			if (chunk[i] == '\n') {
				line[at < 511 ? at : 511] = '\0';
				at = 0;
				lines++;
			} else if (at++ < 511) {
				line[at - 1] = chunk[i];
			}
		}
	return lines;
}

/* Who does not read gets no more than fits, is told so as the last line and let go; nobody else waits for that. */
static void test_slow_reader(void **state)
{
	struct fixture *f = *state;
	char line[512], filler[1000];
	unsigned told = 0;
	struct bh_control_call *other;
	int fd, quick, r = 0;

	if (geteuid() != 0)
		return;
	listen_ok(f);
	quick = follow(f);
	other = f->held;
	fd = follow(f);
	memset(filler, 'x', sizeof(filler));
	for (; told < 100000 && r == 0; told += r == 0)
		r = bh_control_tell(f->held, json_stringn(filler, sizeof(filler)));
	assert_int_equal(r, -ENOBUFS);
	assert_in_range(told, BH_CONTROL_STREAM_MAX / 1100, 4000);	/* with what the kernel holds */
	assert_int_equal(bh_control_tell(other, json_true()), 0);
	assert_true(serve_until_readable(f, quick, 1000));
	assert_int_equal(drain(f, fd, line), told + 1);
	assert_non_null(strstr(line, "\"failed\""));
	assert_non_null(strstr(line, "faster than it was read"));
	assert_int_equal(recv(fd, line, 1, MSG_DONTWAIT), 0);
	bh_control_reply(other, json_true());
	close(fd);
	close(quick);
}

/* One that does not even read what it is told last holds its seat for no longer than any. */
static void test_dead_reader(void **state)
{
	struct fixture *f = *state;
	char filler[1000];
	int fd, r = 0;

	if (geteuid() != 0)
		return;
	listen_ok(f);
	fd = follow(f);
	memset(filler, 'x', sizeof(filler));
	while (r == 0)
		r = bh_control_tell(f->held, json_stringn(filler, sizeof(filler)));
	assert_int_equal(r, -ENOBUFS);
	for (int i = 0; i < 7; i++)
		sd_event_run(f->event, 1000000);
	while (recv(fd, filler, sizeof(filler), MSG_DONTWAIT) > 0)
		;
	assert_int_equal(recv(fd, filler, 1, MSG_DONTWAIT), 0);
	close(fd);
}

/* A long answer may take longer than a request, as long as it is taken. */
static void test_long_answer(void **state)
{
	struct fixture *f = *state;
	size_t size = 4u << 20, got = 0;
	char *text, *to;
	int fd;

	if (geteuid() != 0)
		return;
	listen_ok(f);
	text = calloc(1, size + 1);
	to = malloc(size);
	assert_true(text && to);
	memset(text, 'x', size);
	fd = dial(f);
	assert_int_equal(send(fd, "{\"version\":1,\"verb\":\"hold\"}\n", 28, 0), 28);
	for (int i = 0; i < 100 && !f->held; i++)
		assert_true(sd_event_run(f->event, 1000) >= 0);
	assert_non_null(f->held);
	bh_control_reply(f->held, json_string(text));
	for (int i = 0; i < 6; i++) {
		ssize_t n = recv(fd, to, 100000, MSG_DONTWAIT);

		got += n > 0 ? (size_t)n : 0;
		for (int k = 0; k < 12; k++)
			assert_true(sd_event_run(f->event, 100000) >= 0);
		usleep(1000000);
	}
	for (ssize_t n = 1; n > 0 && serve_until_readable(f, fd, 1000);) {
		n = recv(fd, to, size, MSG_DONTWAIT);
		got += n > 0 ? (size_t)n : 0;
	}
	assert_int_equal(got, size + strlen("{\"ok\":true,\"result\":\"\"}\n"));
	free(text);
	free(to);
	close(fd);
}

static void test_follower_leaves(void **state)
{
	struct fixture *f = *state;
	int fd;

	if (geteuid() != 0)
		return;
	listen_ok(f);
	fd = follow(f);
	assert_true(bh_control_is_alive(f->held));
	close(fd);
	for (int i = 0; i < 10; i++)
		sd_event_run(f->event, 1000);
	assert_false(bh_control_is_alive(f->held));
	assert_int_equal(bh_control_tell(f->held, json_true()), -EPIPE);
}

static void test_many_followers(void **state)
{
	struct fixture *f = *state;
	struct bh_control_call *calls[BH_CONTROL_STREAMS_MAX];
	int fds[BH_CONTROL_STREAMS_MAX + 1];
	char line[512];

	if (geteuid() != 0)
		return;
	listen_ok(f);
	for (size_t i = 0; i < BH_CONTROL_STREAMS_MAX; i++) {
		fds[i] = follow(f);
		calls[i] = f->held;
	}
	fds[BH_CONTROL_STREAMS_MAX] = follow(f);
	assert_int_equal(f->stream, -EMFILE);
	assert_int_equal(drain(f, fds[BH_CONTROL_STREAMS_MAX], line), 1);
	assert_non_null(strstr(line, "end one of them"));
	/* one that leaves makes room */
	close(fds[0]);
	for (int i = 0; i < 10; i++)
		sd_event_run(f->event, 1000);
	assert_int_equal(bh_control_tell(calls[0], json_true()), -EPIPE);
	fds[0] = follow(f);
	assert_int_equal(f->stream, 0);
	calls[0] = f->held;
	for (size_t i = 0; i < BH_CONTROL_STREAMS_MAX; i++) {
		bh_control_reply(calls[i], json_true());
		close(fds[i]);
	}
	close(fds[BH_CONTROL_STREAMS_MAX]);
}

struct following {
	struct fixture *f;
	unsigned lines, want;
	struct bh_error err;
	char code[16];
	int r;
};

static bool on_line(void *userdata, const json_t *result)
{
	struct following *c = userdata;

	assert_int_equal(json_integer_value(result), c->lines);
	return ++c->lines < c->want;
}

static void *follow_thread(void *p)
{
	struct following *c = p;
	json_t *request = json_pack("{s:i, s:s}", "version", 1, "verb", "follow");

	c->r = bh_control_follow(c->f->path, request, on_line, c, c->code, &c->err);
	json_decref(request);
	return NULL;
}

static void test_client_follows(void **state)
{
	struct fixture *f = *state;
	struct following enough = {.f = f, .want = 40}, ended = {.f = f, .want = 100};
	pthread_t t;
	int r = 0;

	if (geteuid() != 0)
		return;
	listen_ok(f);
	assert_int_equal(pthread_create(&t, NULL, follow_thread, &enough), 0);
	while (!f->held)
		sd_event_run(f->event, 1000);
	for (int i = 0; i < 50 && r == 0; i++)
		r = bh_control_tell(f->held, json_integer(i));	/* several in one piece */
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(enough.r, 0);
	assert_int_equal(enough.lines, 40);
	for (int i = 0; i < 10 && r == 0; i++)
		sd_event_run(f->event, 1000);
	if (r == 0)	/* it had not left before all was told */
		r = bh_control_tell(f->held, json_true());
	assert_int_equal(r, -EPIPE);
	f->held = NULL;
	assert_int_equal(pthread_create(&t, NULL, follow_thread, &ended), 0);
	while (!f->held)
		sd_event_run(f->event, 1000);
	assert_int_equal(bh_control_tell(f->held, json_integer(0)), 0);
	bh_control_refuse(f->held, "failed", "no more");
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(ended.r, -EBADMSG);
	assert_string_equal(ended.code, "failed");
	assert_string_equal(ended.err.msg, "no more");
	assert_int_equal(ended.lines, 1);
}

static void test_rights(void **state)
{
	struct bh_control_peer peer = {0};
	int fd[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	if (geteuid() == 0) {
		assert_int_equal(bh_control_peer_right(fd[0], (gid_t)-1, &peer), BH_RIGHT_WRITE);
	} else {
		assert_int_equal(bh_control_peer_right(fd[0], (gid_t)-1, &peer), BH_RIGHT_NONE);
		assert_int_equal(bh_control_peer_right(fd[0], getegid(), &peer), BH_RIGHT_READ);
	}
	assert_int_equal(peer.pid, getpid());
	assert_int_equal(peer.uid, geteuid());
	assert_int_equal(peer.gid, getegid());
	close(fd[0]);
	close(fd[1]);
	assert_int_equal(bh_control_peer_right(-1, 0, &peer), BH_RIGHT_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decode),
		cmocka_unit_test(test_values_are_bounded),
		cmocka_unit_test_setup_teardown(test_large_requests, setup, teardown),
		cmocka_unit_test_setup_teardown(test_large_requests_share_a_bound, setup, teardown),
		cmocka_unit_test(test_rights),
		cmocka_unit_test_setup_teardown(test_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_garbage_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_idle_clients, setup, teardown),
		cmocka_unit_test_setup_teardown(test_silent_client_times_out, setup, teardown),
		cmocka_unit_test_setup_teardown(test_client_leaves_during_call, setup, teardown),
		cmocka_unit_test_setup_teardown(test_server_goes_during_call, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stale_socket_and_second_server, setup, teardown),
		cmocka_unit_test_setup_teardown(test_file_in_the_way, setup, teardown),
		cmocka_unit_test_setup_teardown(test_client, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stream, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slow_reader, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dead_reader, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_follower_leaves, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_followers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_client_follows, setup, teardown),
	};

	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
