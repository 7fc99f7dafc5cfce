/* SPDX-License-Identifier: Apache-2.0 */
/* A directory that another process follows. That process may be anybody's by now: what it tells is read by wire.c alone. When it has ended, or tells
 * nonsense, what is known stays known until the next one has told everything, for a few seconds; then nothing of it is. */
#include "wire.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>

#define TURN_FRAMES 64u			/* read in one turn of the loop */
#define RETRY_MIN_USEC 50000u
#define RETRY_MAX_USEC 5000000u
#define STABLE_USEC 10000000u		/* one that lived as long is followed at once by the next */
#define GRACE_USEC 5000000u		/* for which the known outlives who told it; also what the first listing is waited for */

struct told {
	char *file;
	bool fresh;			/* by the process that runs */
};

struct bh_reports_remote {
	sd_event *event;
	sd_event_source *io, *timer, *grace;
	struct bh_reports_reader how;
	bh_reports_fn fn;
	void *userdata;
	char *dir;
	enum bh_reports_kind kind;
	int fd;
	BH_VEC(struct told) files;
	char *problem;			/* of the directory, as it was told last */
	bool ails;			/* the process that runs says so */
	bool listed;			/* it has told everything */
	bool waiting;			/* the grace runs, or */
	bool closed;			/* has run out */
	uint64_t retry, started;
};

static void remote_open(struct bh_reports_remote *m);

const char *bh_reports_remote_dir(const struct bh_reports_remote *m)
{
	return m->dir;
}

static uint64_t now_usec(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void directory_is(struct bh_reports_remote *m, const char *problem)
{
	const struct bh_reports_msg msg = {.kind = BH_REPORTS_MSG_DIRECTORY, .file = m->dir, .problem = problem};

	if (bh_streq(problem, m->problem))
		return;
	(void)bh_strdup(&m->problem, problem);	/* not kept: told once more */
	m->fn(m->userdata, &msg);
}

/* The file at AT is gone, and another may have taken its place. */
static void file_gone(struct bh_reports_remote *m, size_t at)
{
	_cleanup_free_ char *file = m->files.v[at].file;
	const struct bh_reports_msg msg = {.kind = BH_REPORTS_MSG_GONE, .file = file};

	m->files.v[at] = m->files.v[--m->files.n];
	m->fn(m->userdata, &msg);
}

static void old_gone(struct bh_reports_remote *m)
{
	for (size_t i = m->files.n; i-- > 0;)
		if (!m->files.v[i].fresh)
			file_gone(m, i);
}

/* Who told what is old is not there any more. What the one that runs has told so far is believed. */
static int on_grace(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct bh_reports_remote *m = userdata;

	(void)s, (void)usec;
	m->closed = true;
	directory_is(m, "is not read: the process that reads it does not come to its end, see the log");
	old_gone(m);
	return 0;
}

static void grace_start(struct bh_reports_remote *m)
{
	if (m->waiting)
		return;
	m->waiting = sd_event_source_set_time_relative(m->grace, GRACE_USEC) >= 0 && sd_event_source_set_enabled(m->grace, SD_EVENT_ONESHOT) >= 0;
}

static void everything_told(struct bh_reports_remote *m)
{
	m->listed = true;
	m->waiting = m->closed = false;
	(void)sd_event_source_set_enabled(m->grace, SD_EVENT_OFF);
	if (!m->ails)
		directory_is(m, NULL);
	old_gone(m);
}

static size_t file_find(const struct bh_reports_remote *m, const char *file)
{
	size_t i = 0;

	while (i < m->files.n && strcmp(m->files.v[i].file, file) != 0)
		i++;
	return i;
}

/* Notes that FILE was told of. One process tells of no more files than it may read. */
static int file_note(struct bh_reports_remote *m, const char *file)
{
	size_t at = file_find(m, file), fresh = 0;
	struct told t = {0};

	bh_vec_foreach(x, &m->files)
		fresh += x->fresh;
	if (at == m->files.n && fresh >= BH_REPORT_FILES_MAX)
		return -EBADMSG;
	if (at == m->files.n && (bh_strdup(&t.file, file) < 0 || bh_vec_push(&m->files, t) < 0)) {
		free(t.file);
		return -ENOMEM;
	}
	m->files.v[at].fresh = true;
	return 0;
}

static int file_told(struct bh_reports_remote *m, struct reports_frame *f)
{
	static const enum bh_reports_msg_kind kinds[] = {
		[REPORTS_FRAME_REPORT] = BH_REPORTS_MSG_REPORT,
		[REPORTS_FRAME_VERIFIED] = BH_REPORTS_MSG_VERIFIED,
		[REPORTS_FRAME_UNREAD] = BH_REPORTS_MSG_UNREAD,
	};
	struct bh_reports_msg msg = {.problem = f->problem};
	_cleanup_buf_ struct bh_buf b = {0};
	_cleanup_free_ char *file = NULL;
	size_t at;
	int r;

	bh_buf_printf(&b, "%s/%s", m->dir, f->name);
	r = bh_buf_steal(&b, &file);
	if (r < 0)
		return r;
	if (f->kind == REPORTS_FRAME_GONE) {
		at = file_find(m, file);
		if (at < m->files.n)
			file_gone(m, at);
		return 0;
	}
	r = file_note(m, file);
	if (r < 0)
		return r;
	msg.kind = kinds[f->kind];
	msg.file = file;
	if (f->kind == REPORTS_FRAME_REPORT)
		msg.report = &f->report;
	else if (f->kind == REPORTS_FRAME_VERIFIED)
		msg.verified = &f->verified;
	f->report.file = f->kind == REPORTS_FRAME_REPORT ? bh_take(file) : NULL;
	f->verified.file = f->kind == REPORTS_FRAME_VERIFIED ? bh_take(file) : NULL;
	m->fn(m->userdata, &msg);
	return 0;
}

/* 0, -EAGAIN when it asks for the next process, -errno. */
static int frame_take(struct bh_reports_remote *m, const char *data, size_t n)
{
	_cleanup_(reports_frame_clear) struct reports_frame f = {0};
	int r = reports_frame_read(data, n, m->kind, &f);

	if (r < 0)
		return r;
	switch (f.kind) {
	case REPORTS_FRAME_DIRECTORY:
		m->ails = f.problem != NULL;
		directory_is(m, f.problem);
		return 0;
	case REPORTS_FRAME_LISTED:
		if (m->listed)
			return -EBADMSG;
		everything_told(m);
		return 0;
	case REPORTS_FRAME_AGAIN:
		return -EAGAIN;
	case REPORTS_FRAME_REPORT:
	case REPORTS_FRAME_VERIFIED:
	case REPORTS_FRAME_UNREAD:
	case REPORTS_FRAME_GONE:
		break;
	}
	return file_told(m, &f);
}

static void link_close(struct bh_reports_remote *m)
{
	m->io = sd_event_source_disable_unref(m->io);
	bh_closep(&m->fd);
	m->fd = -1;
}

/* WHY is NULL for an end that was announced. */
static void remote_lost(struct bh_reports_remote *m, const char *why)
{
	link_close(m);
	m->listed = m->ails = false;
	bh_vec_foreach(t, &m->files)
		t->fresh = false;
	if (m->closed)
		old_gone(m);
	if (now_usec() - m->started >= STABLE_USEC)
		m->retry = RETRY_MIN_USEC;
	if (sd_event_source_set_time_relative(m->timer, m->retry) >= 0)
		(void)sd_event_source_set_enabled(m->timer, SD_EVENT_ONESHOT);
	m->retry = m->retry * 2 > RETRY_MAX_USEC ? RETRY_MAX_USEC : m->retry * 2;
	grace_start(m);
	if (why)
		m->how.lost(m->how.userdata, why);
}

/* One frame. Whether there may be another. */
static bool link_read(struct bh_reports_remote *m)
{
	char data[REPORTS_FRAME_MAX];
	ssize_t n = recv(m->fd, data, sizeof(data), MSG_DONTWAIT | MSG_TRUNC);
	int r;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		remote_lost(m, "has ended");
		return false;
	}
	r = (size_t)n > sizeof(data) ? -EBADMSG : frame_take(m, data, (size_t)n);
	if (r < 0)
		remote_lost(m, r == -EAGAIN ? NULL : r == -EBADMSG ? "told what makes no sense, and was ended" : strerror(-r));
	return r == 0;
}

static int on_link(sd_event_source *s, int fd, uint32_t events, void *userdata)
{
	(void)s, (void)fd, (void)events;
	for (unsigned i = 0; i < TURN_FRAMES && link_read(userdata); i++)
		;
	return 0;
}

static void remote_open(struct bh_reports_remote *m)
{
	int r = m->how.start(m->how.userdata, m->dir, m->kind);

	m->started = now_usec();
	grace_start(m);
	if (r >= 0) {
		m->fd = r;
		r = sd_event_add_io(m->event, &m->io, m->fd, EPOLLIN, on_link, m);
	}
	if (r < 0)
		remote_lost(m, strerror(-r));
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
	(void)s, (void)usec;
	remote_open(userdata);
	return 0;
}

/* Until everything is told. Who does not come to that end is not waited for any longer. */
static void remote_wait(struct bh_reports_remote *m)
{
	uint64_t end = now_usec() + GRACE_USEC, now;

	while (m->fd >= 0 && !m->listed && (now = now_usec()) < end) {
		struct pollfd p = {.fd = m->fd, .events = POLLIN};

		if (poll(&p, 1, (int)((end - now) / 1000) + 1) > 0)
			(void)link_read(m);
	}
}

int bh_reports_remote_new(struct sd_event *event, const char *dir, enum bh_reports_kind kind, const struct bh_reports_reader *how, bh_reports_fn fn,
	void *userdata, struct bh_reports_remote **ret, struct bh_error *err)
{
	_cleanup_(bh_reports_remote_freep) struct bh_reports_remote *m = calloc(1, sizeof(*m));

	if (!m)
		return bh_fail(err, -ENOMEM, "out of memory");
	m->fd = -1;
	m->retry = RETRY_MIN_USEC;
	m->event = sd_event_ref(event);
	m->kind = kind;
	m->how = *how;
	m->fn = fn;
	m->userdata = userdata;
	if (bh_strdup(&m->dir, dir) < 0 || sd_event_add_time_relative(event, &m->timer, CLOCK_MONOTONIC, 0, 0, on_timer, m) < 0 ||
		sd_event_add_time_relative(event, &m->grace, CLOCK_MONOTONIC, GRACE_USEC, 0, on_grace, m) < 0 ||
		sd_event_source_set_enabled(m->timer, SD_EVENT_OFF) < 0 || sd_event_source_set_enabled(m->grace, SD_EVENT_OFF) < 0)
		return bh_fail(err, -ENOMEM, "out of memory");
	remote_open(m);
	remote_wait(m);
	*ret = bh_take(m);
	return 0;
}

void bh_reports_remote_free(struct bh_reports_remote *m)
{
	if (!m)
		return;
	link_close(m);
	sd_event_source_disable_unref(m->timer);
	sd_event_source_disable_unref(m->grace);
	bh_vec_foreach(t, &m->files)
		free(t->file);
	bh_vec_clear(&m->files);
	free(m->problem);
	free(m->dir);
	sd_event_unref(m->event);
	free(m);
}
