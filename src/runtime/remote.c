/* SPDX-License-Identifier: Apache-2.0 */
/* A runtime that another process follows. That process may be anybody's by now: what it tells is read by wire.c alone, and when it has gone, or
 * tells nonsense, the runtime is absent until the next one has listed everything. */
#include "wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#define CHUNK 65536u
#define TURN_BYTES (1u << 20)		/* read in one turn of the loop */
#define RETRY_MIN_USEC 50000u
#define RETRY_MAX_USEC 5000000u
#define STABLE_USEC 10000000u		/* one that lived as long is followed at once by the next */

struct remote {
	struct bh_runtime head;
	struct bh_remote how;
	sd_event *event;
	sd_event_source *io, *timer;
	int fd;
	struct bh_runtime_reader reader;
	uint64_t retry, started;
	uint64_t errors;		/* ours */
	bool execs;			/* are asked for */
	bool due;			/* it could not be asked yet */
};

static void link_close(struct remote *m)
{
	m->io = sd_event_source_disable_unref(m->io);
	bh_closep(&m->fd);
	m->fd = -1;
	bh_runtime_reader_clear(&m->reader);
}

static void remote_lost(struct remote *m, const char *reason)
{
	struct bh_runtime_msg msg = {.kind = BH_RUNTIME_MSG_STATE, .state = BH_RUNTIME_ABSENT, .reason = reason};
	uint64_t now = 0;

	link_close(m);
	(void)sd_event_now(m->event, CLOCK_MONOTONIC, &now);
	if (now - m->started >= STABLE_USEC)
		m->retry = RETRY_MIN_USEC;
	if (sd_event_source_set_time_relative(m->timer, m->retry) >= 0)
		(void)sd_event_source_set_enabled(m->timer, SD_EVENT_ONESHOT);
	m->retry = m->retry * 2 > RETRY_MAX_USEC ? RETRY_MAX_USEC : m->retry * 2;
	m->head.state = BH_RUNTIME_ABSENT;
	m->head.fn(m->head.userdata, &msg);
}

static void heard(void *userdata, const struct bh_runtime_msg *msg)
{
	struct remote *m = userdata;

	if (msg->kind == BH_RUNTIME_MSG_STATE)
		m->head.state = msg->state;
	m->head.fn(m->head.userdata, msg);
}

static void ask(struct remote *m, enum bh_runtime_ask what, const char *bridge)
{
	struct bh_runtime_question q = {.ask = (uint8_t)what};

	if (m->fd < 0)
		return;	/* the next one lists everything */
	if (bridge)
		strncpy(q.bridge, bridge, sizeof(q.bridge) - 1);
	if (send(m->fd, &q, sizeof(q), MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof(q))
		return;
	/* It reads nothing now: a listing, once it does, is an answer to whatever it was asked. One that has gone is noticed by reading. */
	m->due = true;
	(void)sd_event_source_set_io_events(m->io, EPOLLIN | EPOLLOUT);
}

static void ask_execs(struct remote *m)
{
	ask(m, m->execs ? BH_RUNTIME_ASK_EXECS : BH_RUNTIME_ASK_NO_EXECS, NULL);
}

static int on_link(sd_event_source *s, int fd, uint32_t events, void *userdata)
{
	struct remote *m = userdata;
	char chunk[CHUNK];
	ssize_t n = 0;
	int r = 0;

	(void)s;
	if ((events & EPOLLOUT) && m->due) {
		(void)sd_event_source_set_io_events(m->io, EPOLLIN);
		m->due = false;
		ask_execs(m);
		ask(m, BH_RUNTIME_ASK_RESYNC, NULL);
	}
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return 0;
	for (size_t done = 0; r == 0 && done < TURN_BYTES; done += (size_t)n) {
		n = recv(fd, chunk, sizeof(chunk), MSG_DONTWAIT);
		if (n <= 0)
			break;
		r = bh_runtime_reader_feed(&m->reader, chunk, (size_t)n, heard, m);
	}
	if (r == -EBADMSG) {
		m->errors++;
		remote_lost(m, "the process that follows it told what makes no sense, and was ended");
	} else if (r < 0) {
		remote_lost(m, strerror(-r));
	} else if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		remote_lost(m, "the process that follows it has ended");
	}
	return 0;
}

static void remote_open(struct remote *m)
{
	int r = m->how.start(m->how.userdata);

	(void)sd_event_now(m->event, CLOCK_MONOTONIC, &m->started);
	if (r < 0) {
		remote_lost(m, strerror(-r));
		return;
	}
	m->fd = r;
	m->due = false;
	r = sd_event_add_io(m->event, &m->io, m->fd, EPOLLIN, on_link, m);
	if (r < 0)
		remote_lost(m, strerror(-r));
	else if (m->execs)
		ask_execs(m);
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
	(void)s, (void)usec;
	remote_open(userdata);
	return 0;
}

static int remote_start(struct bh_runtime *r, struct bh_error *err)
{
	(void)err;
	remote_open((struct remote *)r);
	return 0;
}

static void remote_resync(struct bh_runtime *r)
{
	ask((struct remote *)r, BH_RUNTIME_ASK_RESYNC, NULL);
}

static void remote_look(struct bh_runtime *r, const char *bridge)
{
	ask((struct remote *)r, BH_RUNTIME_ASK_LOOK, bridge);
}

static void remote_execs(struct bh_runtime *r, bool on)
{
	struct remote *m = (struct remote *)r;

	if (m->execs == on)
		return;
	m->execs = on;
	ask_execs(m);
}

static struct bh_runtime_stats remote_stats(const struct bh_runtime *r)
{
	const struct remote *m = (const struct remote *)r;
	struct bh_runtime_stats s = m->reader.stats;

	s.errors += m->errors;
	return s;
}

static void remote_free(struct bh_runtime *r)
{
	struct remote *m = (struct remote *)r;

	link_close(m);
	sd_event_source_disable_unref(m->timer);
	sd_event_unref(m->event);
	free(m->head.socket);
	free(m);
}

static const struct bh_runtime_ops remote_ops = {
	.kind = "docker",
	.start = remote_start,
	.resync = remote_resync,
	.look = remote_look,
	.execs = remote_execs,
	.stats = remote_stats,
	.free = remote_free,
};

int bh_remote_new(sd_event *event, const char *socket, const struct bh_remote *how, bh_runtime_fn fn, void *userdata, struct bh_runtime **ret,
	struct bh_error *err)
{
	struct remote *m = calloc(1, sizeof(*m));
	_cleanup_(bh_runtime_freep) struct bh_runtime *head = m ? &m->head : NULL;
	int r;

	if (!m)
		return bh_fail(err, -ENOMEM, "no memory");
	m->head.ops = &remote_ops;
	m->head.fn = fn;
	m->head.userdata = userdata;
	m->how = *how;
	m->fd = -1;
	m->retry = RETRY_MIN_USEC;
	m->event = sd_event_ref(event);
	if (bh_strdup(&m->head.socket, socket) < 0)
		return bh_fail(err, -ENOMEM, "no memory");
	r = sd_event_add_time_relative(event, &m->timer, CLOCK_MONOTONIC, 0, 0, on_timer, m);
	if (r >= 0)
		r = sd_event_source_set_enabled(m->timer, SD_EVENT_OFF);
	if (r < 0)
		return bh_fail(err, r, "event loop: %s", strerror(-r));
	*ret = bh_take(head);
	return 0;
}
