/* SPDX-License-Identifier: Apache-2.0 */
/* The door to the metrics: libmicrohttpd on the daemon's own loop. Every peer is bounded in number, bytes and time, and asking often
 * costs no more than asking now and then. */
#include "manager.h"
#include "metrics.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX 32u
#define CONNECTION_SECONDS 5u
#define CONNECTION_BYTES 16384u
#define UNIX_PREFIX "unix:"

/* An answer is given again for a second, and for FRESH times as long as it took to make. */
#define FRESH_USEC 1000000u
#define FRESH 4u

struct bh_metrics {
	struct bh_manager *manager;
	struct MHD_Daemon *http;
	sd_event_source *io, *timer;
	char *path;		/* of a unix socket, or NULL */
	ino_t inode;
	struct bh_buf text;
	uint64_t fresh_until;
};

int bh_metrics_where(const char *where, unsigned short *ret_port)
{
	static const struct {
		const char *prefix;
		int family;
	} loopbacks[] = {{"127.0.0.1:", 4}, {"[::1]:", 6}};

	if (strncmp(where, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0)
		return where[strlen(UNIX_PREFIX)] == '/' ? 0 : -EINVAL;
	for (size_t i = 0; i < BH_ARRAY_SIZE(loopbacks); i++) {
		size_t n = strlen(loopbacks[i].prefix);
		const char *port = where + n;
		unsigned long number = 0;

		if (strncmp(where, loopbacks[i].prefix, n) != 0 || strlen(port) > 5 || !*port || strspn(port, "0123456789") != strlen(port))
			continue;
		number = strtoul(port, NULL, 10);
		if (number == 0 || number > UINT16_MAX)
			return -EINVAL;
		if (ret_port)
			*ret_port = (unsigned short)number;
		return loopbacks[i].family;
	}
	return -EINVAL;
}

/* The text, made anew when the last one is old. */
static int refresh(struct bh_metrics *x)
{
	uint64_t before = bh_now_usec(CLOCK_MONOTONIC), after;
	struct bh_error err = {0};
	struct bh_buf text = {0};
	json_t *doc = NULL;
	int r;

	if (x->text.s && before < x->fresh_until)
		return 0;
	r = bh_status_build(x->manager, &doc, &err);
	if (r == 0)
		r = bh_metrics_print(doc, &text);
	json_decref(doc);
	if (r < 0) {
		bh_buf_free(&text);
		return r;
	}
	bh_buf_free(&x->text);
	x->text = text;
	after = bh_now_usec(CLOCK_MONOTONIC);
	x->fresh_until = after + ((after - before) * FRESH > FRESH_USEC ? (after - before) * FRESH : FRESH_USEC);
	return 0;
}

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *text, size_t n, const char *type)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(n, (void *)text, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result r = MHD_NO;

	if (!response)
		return MHD_NO;
	if (MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type) == MHD_YES &&
		(status != MHD_HTTP_METHOD_NOT_ALLOWED || MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD") == MHD_YES))
		r = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return r;
}

static enum MHD_Result on_request(void *userdata, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
	const char *upload, size_t *upload_n, void **state)
{
	static const char plain[] = "text/plain; charset=utf-8", none[] = "metrics are at /metrics\n", only[] = "only GET\n", failed[] = "not now\n";
	struct bh_metrics *x = userdata;

	(void)version, (void)upload;
	if (!*state) {	/* the head is here; a body may follow */
		*state = x;
		return MHD_YES;
	}
	if (*upload_n > 0) {
		*upload_n = 0;
		return MHD_YES;
	}
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED, only, sizeof(only) - 1, plain);
	if (strcmp(url, "/metrics") != 0)
		return answer(connection, MHD_HTTP_NOT_FOUND, none, sizeof(none) - 1, plain);
	if (refresh(x) < 0)
		return answer(connection, MHD_HTTP_SERVICE_UNAVAILABLE, failed, sizeof(failed) - 1, plain);
	return answer(connection, MHD_HTTP_OK, x->text.s, x->text.n, "text/plain; version=0.0.4; charset=utf-8");
}

static unsigned peers(const struct bh_metrics *x)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(x->http, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);

	return info ? info->num_connections : 0;
}

/* Lets libmicrohttpd work, and asks when it wants to work again. Where it has thrown somebody out it works once more: at its bound it does not
 * listen, and begins to again at the next turn, which it does not ask for. */
static void work(struct bh_metrics *x)
{
	MHD_UNSIGNED_LONG_LONG ms;
	unsigned before;

	do {
		before = peers(x);
		(void)MHD_run(x->http);
	} while (peers(x) < before);
	if (MHD_get_timeout(x->http, &ms) == MHD_YES && sd_event_source_set_time_relative(x->timer, (uint64_t)ms * 1000) >= 0)
		(void)sd_event_source_set_enabled(x->timer, SD_EVENT_ONESHOT);
	else
		(void)sd_event_source_set_enabled(x->timer, SD_EVENT_OFF);
}

static int on_io(sd_event_source *s, int fd, uint32_t events, void *userdata)
{
	(void)s, (void)fd, (void)events;
	work(userdata);
	return 0;
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
	(void)s, (void)usec;
	work(userdata);
	return 0;
}

static int listen_port(int family, unsigned short port, int *ret, struct bh_error *err)
{
	const struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	const struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	const struct sockaddr *sa = family == 4 ? (const struct sockaddr *)&in : (const struct sockaddr *)&in6;
	_cleanup_close_ int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int on = 1;

	if (fd < 0)
		return bh_fail(err, -errno, "metrics: no socket: %s (under systemd a port needs RestrictAddressFamilies= and IPAddressAllow=, a path does not)",
			strerror(errno));
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 || bind(fd, sa, family == 4 ? sizeof(in) : sizeof(in6)) < 0 ||
		listen(fd, SOMAXCONN) < 0)
		return bh_fail(err, -errno, "metrics: cannot listen at port %u: %s", port, strerror(errno));
	*ret = fd;
	fd = -1;
	return 0;
}

static int start(struct bh_metrics *x, int fd, struct bh_error *err)
{
	const union MHD_DaemonInfo *info;
	int r;

	x->http = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, x, MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, CONNECTION_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)CONNECTION_BYTES, MHD_OPTION_END);
	if (!x->http) {
		close(fd);
		return bh_fail(err, -ENOMEM, "metrics: libmicrohttpd does not start");
	}
	info = MHD_get_daemon_info(x->http, MHD_DAEMON_INFO_EPOLL_FD);
	if (!info)
		return bh_fail(err, -ENOSYS, "metrics: libmicrohttpd has no epoll");
	r = sd_event_add_io(x->manager->event, &x->io, info->epoll_fd, EPOLLIN, on_io, x);
	if (r >= 0)
		r = sd_event_add_time_relative(x->manager->event, &x->timer, CLOCK_MONOTONIC, 0, 1000, on_timer, x);
	if (r < 0)
		return bh_fail(err, r, "metrics: event loop: %s", strerror(-r));
	/* what the kernel has to do comes first */
	(void)sd_event_source_set_priority(x->io, SD_EVENT_PRIORITY_IDLE);
	(void)sd_event_source_set_priority(x->timer, SD_EVENT_PRIORITY_IDLE);
	return 0;
}

int bh_metrics_new(struct bh_manager *m, const char *where, struct bh_metrics **ret, struct bh_error *err)
{
	_cleanup_(bh_metrics_freep) struct bh_metrics *x = calloc(1, sizeof(*x));
	unsigned short port = 0;
	int fd = -1, r, family = bh_metrics_where(where, &port);

	if (!x)
		return bh_fail(err, -ENOMEM, "out of memory");
	x->manager = m;
	if (family < 0)
		return bh_fail(err, family, "metrics: %s is neither unix:PATH nor a loopback port", where);
	if (family > 0) {
		r = listen_port(family, port, &fd, err);
	} else {
		r = bh_strdup(&x->path, where + strlen(UNIX_PREFIX));
		if (r == 0)
			r = bh_control_socket(x->path, bh_control_group(), &fd, &x->inode, err);
	}
	if (r == 0)
		r = start(x, fd, err);
	if (r < 0)
		return r;
	*ret = bh_take(x);
	return 0;
}

void bh_metrics_free(struct bh_metrics *x)
{
	if (!x)
		return;
	sd_event_source_disable_unref(x->io);
	sd_event_source_disable_unref(x->timer);
	if (x->http)
		MHD_stop_daemon(x->http);	/* closes the socket it listens at */
	if (x->path)
		bh_control_socket_remove(x->path, x->inode);
	bh_buf_free(&x->text);
	free(x->path);
	free(x);
}
