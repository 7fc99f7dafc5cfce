/* SPDX-License-Identifier: Apache-2.0 */
/* The process that follows a directory for another one: what it finds goes out as frames. It may block while it tells. */
#include "wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <systemd/sd-event.h>

#define LOOK_USEC (2 * 1000000ULL)

struct follower {
	int fd;
	const char *dir;
	struct stat may;		/* the directory that may be read; of inode 0: none was there */
	sd_event *event;
	struct bh_reports *reports;
	sd_event_source *link, *look;
};

static void reports_send(struct follower *f, struct bh_buf *b, int r)
{
	if (r == 0 && send(f->fd, b->s, b->n, MSG_NOSIGNAL) < 0)
		r = -errno;
	/* What cannot be told whole is not told at all: the one that comes after tells everything. */
	if (r < 0)
		(void)sd_event_exit(f->event, r == -EPIPE || r == -ECONNRESET ? 0 : r);
}

static void say(struct follower *f, enum reports_frame_kind kind)
{
	_cleanup_buf_ struct bh_buf b = {0};

	reports_send(f, &b, reports_frame_write(&(struct reports_frame){.kind = kind}, &b));
}

static void tell(void *userdata, const struct bh_reports_msg *msg)
{
	struct follower *f = userdata;
	_cleanup_buf_ struct bh_buf b = {0};

	reports_send(f, &b, reports_msg_write(msg, &b));
	if (msg->kind == BH_REPORTS_MSG_DIRECTORY)
		(void)sd_event_source_set_enabled(f->look, msg->problem ? SD_EVENT_ON : SD_EVENT_OFF);
}

/* While something ails the directory. What Landlock lets us read is one directory for good, not whatever comes by its name. */
static int on_look(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct follower *f = userdata;
	struct stat now;

	(void)usec;
	if (stat(f->dir, &now) == 0 && S_ISDIR(now.st_mode) && (now.st_dev != f->may.st_dev || now.st_ino != f->may.st_ino)) {
		say(f, REPORTS_FRAME_AGAIN);
		return sd_event_exit(f->event, 0);
	}
	return sd_event_source_set_time_relative(s, LOOK_USEC);
}

static int on_link(sd_event_source *s, int fd, uint32_t events, void *userdata)
{
	(void)fd, (void)events, (void)userdata;	/* nothing is said to us: this is its end */
	return sd_event_exit(sd_event_source_get_event(s), 0);
}

static void follower_clear(struct follower *f)
{
	bh_reports_free(f->reports);
	sd_event_source_disable_unref(f->link);
	sd_event_source_disable_unref(f->look);
	sd_event_unref(f->event);
}

int bh_reports_follow(const char *dir, const struct stat *may, enum bh_reports_kind kind, int fd, struct bh_error *err)
{
	_cleanup_(follower_clear) struct follower f = {.fd = fd, .dir = dir, .may = *may};
	int r = sd_event_new(&f.event);

	if (r >= 0)
		r = sd_event_add_io(f.event, &f.link, fd, EPOLLIN, on_link, &f);
	if (r >= 0)
		r = sd_event_add_time_relative(f.event, &f.look, CLOCK_MONOTONIC, LOOK_USEC, 0, on_look, &f);
	if (r >= 0)
		r = sd_event_source_set_enabled(f.look, SD_EVENT_OFF);
	if (r < 0)
		return bh_fail(err, r, "event loop: %s", strerror(-r));
	r = bh_reports_new(f.event, dir, kind, tell, &f, &f.reports, err);
	if (r < 0)
		return r;
	say(&f, REPORTS_FRAME_LISTED);
	r = sd_event_loop(f.event);
	return r < 0 ? bh_fail(err, r, "cannot tell what is found: %s", strerror(-r)) : 0;
}
