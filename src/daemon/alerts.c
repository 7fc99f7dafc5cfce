/* SPDX-License-Identifier: Apache-2.0 */
#include "alerts.h"
#include "log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

static int open_kind(const char *path, int kind)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, kind | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r;

	if (fd < 0)
		return -errno;
	snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
	if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	r = -errno;
	close(fd);
	return r;
}

static int send_line(const char *path, const char *line)
{
	struct iovec v[2] = {{.iov_base = (char *)line, .iov_len = strlen(line)}, {.iov_base = (char *)"\n", .iov_len = 1}};
	struct msghdr msg = {.msg_iov = v, .msg_iovlen = 1};
	int r = open_kind(path, SOCK_DGRAM);
	_cleanup_close_ int fd = -1;
	ssize_t n;

	if (r == -EPROTOTYPE) {
		msg.msg_iovlen = 2;
		r = open_kind(path, SOCK_STREAM);
	}
	if (r < 0)
		return r;
	fd = r;
	n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0)
		return -errno;
	/* a stream that took a part of it is at its end: the next try tells all of it */
	return (size_t)n == v[0].iov_len + (msg.msg_iovlen == 2) ? 0 : -EAGAIN;
}

static void drop_first(struct bh_alerts *a, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(a->waiting.v[i]);
	a->waiting.n -= n;
	memmove(a->waiting.v, a->waiting.v + n, a->waiting.n * sizeof(*a->waiting.v));
}

static void flush(struct bh_alerts *a)
{
	size_t done = 0;
	int r = 0;

	while (a->path && done < a->waiting.n && (r = send_line(a->path, a->waiting.v[done])) == 0)
		done++;
	drop_first(a, done);
	if (r < 0 && !a->failing)
		bh_log(a->log, LOG_WARNING, BH_EVENT_DEGRADED, "alerts cannot be sent to %s: %s: they wait, and are in the journal", a->path,
			strerrordesc_np(-r));
	else if (r == 0 && a->failing)
		bh_log(a->log, LOG_NOTICE, BH_EVENT_DEGRADED, "alerts are sent to %s again, %llu were lost", a->path, (unsigned long long)a->lost);
	a->failing = r < 0;
	if (r < 0 && a->retry && sd_event_source_set_time_relative(a->retry, BH_ALERTS_RETRY_USEC) >= 0)
		(void)sd_event_source_set_enabled(a->retry, SD_EVENT_ONESHOT);
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source, (void)usec;
	flush(userdata);
	return 0;
}

int bh_alerts_set(struct bh_alerts *a, sd_event *event, const struct bh_log *log, const char *path)
{
	int r = 0;

	a->log = log;
	if (bh_streq(a->path, path))
		return 0;
	if (bh_strdup(&a->path, path) < 0)
		return -ENOMEM;
	a->failing = false;
	if (!a->retry && path)
		r = sd_event_add_time_relative(event, &a->retry, CLOCK_MONOTONIC, 0, 0, on_retry, a);
	return r < 0 ? r : 0;
}

void bh_alerts_send(struct bh_alerts *a, const char *line)
{
	if (!a->path)
		return;
	if (a->waiting.n >= BH_ALERTS_MAX) {
		drop_first(a, 1);
		a->lost++;
	}
	if (bh_strv_push(&a->waiting, line) < 0)
		a->lost++;
	else if (!a->failing)
		flush(a);
}

void bh_alerts_clear(struct bh_alerts *a)
{
	a->retry = sd_event_source_disable_unref(a->retry);
	bh_strv_clear(&a->waiting);
	free(bh_take(a->path));
}
