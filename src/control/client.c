/* SPDX-License-Identifier: Apache-2.0 */
#include "request.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* An answer of 10,000 containers is about 6 MB. */
#define ANSWER_MAX (64u << 20)

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Waits for EVENTS until END (0: without end). 0, -ETIMEDOUT or another -errno. */
static int wait_for(int fd, short events, int64_t end)
{
	for (;;) {
		struct pollfd p = { .fd = fd, .events = events };
		int64_t left = end ? end - now_ms() : -1;
		int n;

		if (end && left <= 0)
			return -ETIMEDOUT;
		n = poll(&p, 1, (int)left);
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
}

static int connect_to(const char *path, int *ret_fd, struct bh_error *err)
{
	_cleanup_close_ int fd = -1;
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int code;

	if (strlen(path) >= sizeof(sa.sun_path))
		return bh_fail(err, -ENAMETOOLONG, "the path of the socket is too long: %s", path);
	strcpy(sa.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return bh_fail(err, -errno, "socket: %s", strerror(errno));
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		code = -errno;
		switch (errno) {
		case ENOENT:
		case ENOTDIR:
		case ECONNREFUSED:
			return bh_fail(err, code == -ENOTDIR ? -ENOENT : code,
				"bulkheadd is not running (nobody answers at %s): systemctl start bulkheadd", path);
		case EACCES:
		case EPERM:
			return bh_fail(err, -EACCES, "not permitted to ask bulkheadd: be root, or in group bulkhead");
		case EAGAIN:	/* the backlog is full: unix(7) */
			return bh_fail(err, -ETIMEDOUT, "bulkheadd does not answer at %s: see journalctl -u bulkheadd", path);
		default:
			return bh_fail(err, code, "%s: %s", path, strerror(-code));
		}
	}
	*ret_fd = fd;
	fd = -1;
	return 0;
}

static int send_all(int fd, const char *p, size_t n, int64_t end)
{
	while (n > 0) {
		ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
		int r;

		if (k > 0) {
			p += k;
			n -= (size_t)k;
			continue;
		}
		if (k < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		r = wait_for(fd, POLLOUT, end);
		if (r < 0)
			return r;
	}
	return 0;
}

/* What was received and not yet looked at. */
struct input {
	struct bh_buf buf;
	size_t at;		/* of it was looked at already */
};

static void input_clear(struct input *in)
{
	bh_buf_free(&in->buf);
}

/* The next line, without its newline, until END (0: whenever it comes); *RET dies with the next call. 0 or -errno. */
static int receive_line(int fd, struct input *in, int64_t end, const char **ret, size_t *ret_n)
{
	char chunk[65536];

	if (in->at > 0) {
		memmove(in->buf.s, in->buf.s + in->at, in->buf.n - in->at + 1);
		in->buf.n -= in->at;
		in->at = 0;
	}
	for (size_t looked = 0;;) {
		const char *newline = in->buf.n > looked ? memchr(in->buf.s + looked, '\n', in->buf.n - looked) : NULL;
		ssize_t k;
		int r;

		if (newline) {
			*ret = in->buf.s;
			*ret_n = (size_t)(newline - in->buf.s);
			in->at = *ret_n + 1;
			return 0;
		}
		looked = in->buf.n;
		if (in->buf.n > ANSWER_MAX)
			return -EMSGSIZE;
		k = recv(fd, chunk, sizeof(chunk), 0);
		if (k == 0)
			return -ECONNRESET;
		if (k > 0) {
			bh_buf_putn(&in->buf, chunk, (size_t)k);
			if (in->buf.err)
				return in->buf.err;
			continue;
		}
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		r = wait_for(fd, POLLIN, end);
		if (r < 0)
			return r;
	}
}

static int answer_read(const char *answer, size_t size, json_t **ret_result, char *ret_code, struct bh_error *err)
{
	json_t *doc = json_loadb(answer, size, 0, NULL), *result;
	_cleanup_buf_ struct bh_buf safe = {0};
	const char *code, *error;
	int r;

	result = json_object_get(doc, "result");
	if (json_is_true(json_object_get(doc, "ok")) && result) {
		*ret_result = json_incref(result);
		json_decref(doc);
		return 0;
	}
	code = json_string_value(json_object_get(doc, "code"));
	error = json_string_value(json_object_get(doc, "error"));
	if (!code || !error) {
		json_decref(doc);
		return bh_fail(err, -EPROTO, "bulkheadd answered what is no answer: are it and bulkhead of the same release?");
	}
	if (ret_code) {
		strncpy(ret_code, code, 15);
		ret_code[15] = '\0';
	}
	/* Diagnostics have several lines; everything else that a terminal acts on is escaped. */
	for (const char *p = error; *p;) {
		size_t n = strcspn(p, "\n");
		_cleanup_free_ char *line = strndup(p, n);

		bh_buf_put_safe(&safe, line ? line : "", n);
		p += n;
		if (*p == '\n' && *++p)
			bh_buf_puts(&safe, "\n");
	}
	r = bh_fail(err, strcmp(code, "denied") == 0 ? -EACCES : -EBADMSG, "%s", safe.s ? safe.s : "");
	json_decref(doc);
	return r;
}

/* Connects and sends. */
static int send_request(const char *path, const json_t *request, int64_t end, int *ret_fd, struct bh_error *err)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_close_ int fd = -1;
	size_t n;
	int r = bh_control_line(request, &text, &n);

	if (r < 0)
		return bh_fail(err, r, "out of memory");
	r = connect_to(path, &fd, err);
	if (r < 0)
		return r;
	r = send_all(fd, text, n, end);
	/* A server that is full or does not like us answers and closes without reading: its answer is there. */
	if (r < 0 && r != -EPIPE && r != -ECONNRESET)
		return bh_fail(err, r, "bulkheadd does not take a request (%s): see journalctl -u bulkheadd", strerror(-r));
	*ret_fd = fd;
	fd = -1;
	return 0;
}

int bh_control_call(const char *path, json_t *request, int timeout_ms, json_t **ret_result, char *ret_code,
	struct bh_error *err)
{
	_cleanup_close_ int fd = -1;
	_cleanup_(input_clear) struct input in = {0};
	int64_t end = now_ms() + timeout_ms;
	const char *line;
	size_t n;
	int r;

	if (ret_code)
		ret_code[0] = '\0';
	r = send_request(path, request, end, &fd, err);
	if (r < 0)
		return r;
	r = receive_line(fd, &in, end, &line, &n);
	if (r == -ETIMEDOUT)
		return bh_fail(err, r, "bulkheadd did not answer within %d s: see journalctl -u bulkheadd", timeout_ms / 1000);
	if (r < 0)
		return bh_fail(err, r, "bulkheadd ended the connection without an answer (%s): see journalctl -u bulkheadd",
			strerror(-r));
	return answer_read(line, n, ret_result, ret_code, err);
}

int bh_control_follow(const char *path, json_t *request, bh_control_line_fn fn, void *userdata, char *ret_code, struct bh_error *err)
{
	_cleanup_close_ int fd = -1;
	_cleanup_(input_clear) struct input in = {0};
	bool more = true;
	const char *line;
	size_t n;
	int r;

	if (ret_code)
		ret_code[0] = '\0';
	r = send_request(path, request, now_ms() + BH_CONTROL_TIMEOUT_MS, &fd, err);
	while (r == 0 && more) {
		json_t *result = NULL;

		r = receive_line(fd, &in, 0, &line, &n);
		if (r < 0)
			return bh_fail(err, r, "bulkheadd ended the connection (%s): see journalctl -u bulkheadd", strerror(-r));
		r = answer_read(line, n, &result, ret_code, err);
		if (r == 0)
			more = fn(userdata, result);
		json_decref(result);
	}
	return r;
}
