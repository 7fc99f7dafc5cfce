/* SPDX-License-Identifier: Apache-2.0 */
/* The process that follows a Docker for another one: what it hears goes out as frames, what it is asked comes in as questions. It may block
 * while it tells: who does not listen gets nothing newer either. */
#include "docker.h"
#include "wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK 65536u		/* bytes of a listing that are sent in one go */
#define STATS_USEC 50000u

struct follower {
	int fd;
	sd_event *event;
	struct bh_runtime *runtime;
	struct bh_buf out;
	struct bh_runtime_stats told;
	sd_event_source *questions, *stats;
};

static int flush(struct follower *f)
{
	for (size_t at = 0; at < f->out.n;) {
		ssize_t n = send(f->fd, f->out.s + at, f->out.n - at, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			return -errno;
		at += n > 0 ? (size_t)n : 0;
	}
	if (f->out.cap > CHUNK * 2)
		bh_buf_free(&f->out);
	f->out.n = 0;
	return 0;
}

static int put(void *userdata, const char *data, size_t n)
{
	struct follower *f = userdata;

	bh_buf_putn(&f->out, data, n);
	if (f->out.err < 0)
		return f->out.err;
	return f->out.n < CHUNK ? 0 : flush(f);
}

/* What cannot be told whole is not told at all: the one that comes after lists everything. */
static void tell(void *userdata, const struct bh_runtime_msg *msg)
{
	struct follower *f = userdata;
	int r = bh_runtime_wire_tell(msg, put, f);

	if (r == 0)
		r = flush(f);
	if (r < 0)
		(void)sd_event_exit(f->event, r == -EPIPE || r == -ECONNRESET ? 0 : r);
}

static int on_stats(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct follower *f = userdata;
	struct bh_runtime_stats now = f->runtime->ops->stats(f->runtime);

	(void)usec;
	if (memcmp(&now, &f->told, sizeof(now)) != 0) {
		f->told = now;
		if (bh_runtime_wire_stats(&now, put, f) < 0 || flush(f) < 0)
			return sd_event_exit(f->event, 0);
	}
	return sd_event_source_set_enabled(s, SD_EVENT_OFF);
}

/* After each turn of the loop: what was counted in it is told soon, once for many. */
static int on_turn(sd_event_source *s, void *userdata)
{
	struct follower *f = userdata;
	struct bh_runtime_stats now = f->runtime->ops->stats(f->runtime);
	int on = SD_EVENT_OFF;

	(void)s;
	if (memcmp(&now, &f->told, sizeof(now)) == 0 || (sd_event_source_get_enabled(f->stats, &on) >= 0 && on != SD_EVENT_OFF))
		return 0;
	if (sd_event_source_set_time_relative(f->stats, STATS_USEC) < 0)
		return -ENOMEM;
	return sd_event_source_set_enabled(f->stats, SD_EVENT_ONESHOT);
}

static int on_question(sd_event_source *s, int fd, uint32_t events, void *userdata)
{
	struct follower *f = userdata;
	struct bh_runtime_question q;
	ssize_t n = recv(fd, &q, sizeof(q), MSG_WAITALL);

	(void)s, (void)events;
	if (n != sizeof(q))
		return sd_event_exit(f->event, 0);
	q.bridge[sizeof(q.bridge) - 1] = '\0';
	if (q.ask == BH_RUNTIME_ASK_RESYNC)
		f->runtime->ops->resync(f->runtime);
	else if (q.ask == BH_RUNTIME_ASK_LOOK)
		f->runtime->ops->look(f->runtime, q.bridge);
	else
		f->runtime->ops->execs(f->runtime, q.ask == BH_RUNTIME_ASK_EXECS);
	return 0;
}

static void follower_clear(struct follower *f)
{
	bh_runtime_free(f->runtime);
	sd_event_source_disable_unref(f->questions);
	sd_event_source_disable_unref(f->stats);
	sd_event_unref(f->event);
	bh_buf_free(&f->out);
}

int bh_docker_follow(const char *socket, const struct bh_door *d, int fd, struct bh_error *err)
{
	_cleanup_(follower_clear) struct follower f = {.fd = fd};
	int r = sd_event_new(&f.event);

	if (r >= 0)
		r = sd_event_add_io(f.event, &f.questions, fd, EPOLLIN, on_question, &f);
	if (r >= 0)
		r = sd_event_add_time_relative(f.event, &f.stats, CLOCK_MONOTONIC, 0, 0, on_stats, &f);
	if (r >= 0)
		r = sd_event_source_set_enabled(f.stats, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_post(f.event, NULL, on_turn, &f);
	if (r < 0)
		return bh_fail(err, r, "event loop: %s", strerror(-r));
	r = bh_docker_new(f.event, socket, tell, &f, &f.runtime, err);
	if (r == 0)
		bh_docker_use_door(f.runtime, d);
	if (r == 0)
		r = f.runtime->ops->start(f.runtime, err);
	if (r < 0)
		return r;
	r = sd_event_loop(f.event);
	return r < 0 ? bh_fail(err, r, "cannot tell what is heard: %s", strerror(-r)) : 0;
}
