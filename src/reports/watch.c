/* SPDX-License-Identifier: Apache-2.0 */
/* A directory of reports, followed. An event only says which file to look at; what is known of a file is compared with what it is. */
#include "file.h"
#include "wire.h"

#include <bulkhead/buf.h>
#include <bulkhead/reports.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#define RETRY_USEC (2 * 1000000ULL)
#define EVENTS (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

/* What a file was when it was read last. */
struct known {
	char *name;
	struct stat st;
};

struct bh_reports {
	sd_event *event;
	char *dir;
	enum bh_reports_kind kind;
	bh_reports_fn fn;
	void *userdata;
	int fd;				/* of the directory; -1: it cannot be had */
	sd_event_source *inotify, *next, *retry;
	BH_VEC(struct known) files;
	struct bh_strv pending;		/* names to look at */
	bool ails;			/* it was told that something ails the directory */
};

const char *bh_reports_dir(const struct bh_reports *r)
{
	return r->dir;
}

static char *path_of(const struct bh_reports *r, const char *name)
{
	_cleanup_buf_ struct bh_buf b = {0};
	char *path = NULL;

	bh_buf_printf(&b, "%s/%s", r->dir, name);
	return bh_buf_steal(&b, &path) < 0 ? NULL : path;
}

static void tell_directory(struct bh_reports *r, const char *problem)
{
	struct bh_reports_msg msg = {.kind = BH_REPORTS_MSG_DIRECTORY, .file = r->dir, .problem = problem};

	if (!problem && !r->ails)
		return;
	r->ails = problem != NULL;
	r->fn(r->userdata, &msg);
}

/* Without memory for a path nobody can be told of the file, so all of it is: what ails the directory makes the receiver wary. */
static void tell_file(struct bh_reports *r, enum bh_reports_msg_kind kind, const char *name, const char *problem)
{
	_cleanup_free_ char *path = path_of(r, name);
	struct bh_reports_msg msg = {.kind = kind, .file = path, .problem = problem};

	if (path)
		r->fn(r->userdata, &msg);
	else
		tell_directory(r, "out of memory");
}

static struct known *known_find(struct bh_reports *r, const char *name)
{
	bh_vec_foreach(k, &r->files)
		if (strcmp(k->name, name) == 0)
			return k;
	return NULL;
}

static void known_remove(struct bh_reports *r, struct known *k)
{
	free(k->name);
	*k = r->files.v[--r->files.n];
}

static int check(struct bh_reports *r, const char *name, const struct stat *st, struct bh_error *err)
{
	uint64_t total = (uint64_t)st->st_size;

	if (!S_ISREG(st->st_mode))
		return bh_fail(err, -EACCES, "is no regular file");
	if (file_owner(st, err) < 0)
		return -EACCES;
	if (st->st_size > BH_REPORT_FILE_MAX)
		return bh_fail(err, -EFBIG, "is larger than %u MiB", BH_REPORT_FILE_MAX >> 20);
	bh_vec_foreach(k, &r->files)
		if (strcmp(k->name, name) != 0)
			total += (uint64_t)k->st.st_size;
	if (total > BH_REPORT_TOTAL_MAX)
		return bh_fail(err, -EFBIG, "is not read: all files of this directory are more than %u MiB", BH_REPORT_TOTAL_MAX >> 20);
	return 0;
}

static int tell_report(struct bh_reports *r, const char *name, const char *text, size_t n, const struct stat *st, struct bh_error *err)
{
	_cleanup_(bh_report_clear) struct bh_report report = {0};
	struct bh_reports_msg msg = {.kind = BH_REPORTS_MSG_REPORT, .report = &report};
	uint64_t written = file_written(st);
	int e = bh_report_decode(text, n, &report, err);

	if (e < 0)
		return e;
	report.file = path_of(r, name);
	if (!report.file)
		return bh_fail(err, -ENOMEM, "out of memory");
	if (!report.created_usec || report.created_usec > written)	/* nobody writes down what is yet to come */
		report.created_usec = written;
	msg.file = report.file;
	r->fn(r->userdata, &msg);
	return 0;
}

static int tell_verified(struct bh_reports *r, const char *name, const char *text, size_t n, struct bh_error *err)
{
	_cleanup_(bh_verified_clear) struct bh_verified verified = {0};
	struct bh_reports_msg msg = {.kind = BH_REPORTS_MSG_VERIFIED, .verified = &verified};
	int e = bh_verified_decode(name, text, n, &verified, err);

	if (e < 0)
		return e;
	verified.file = path_of(r, name);
	if (!verified.file)
		return bh_fail(err, -ENOMEM, "out of memory");
	msg.file = verified.file;
	r->fn(r->userdata, &msg);
	return 0;
}

static int tell(struct bh_reports *r, const char *name, int fd, const struct stat *st, struct bh_error *err)
{
	_cleanup_free_ char *text = NULL;
	size_t n = 0;
	int e = check(r, name, st, err);

	if (e == 0)
		e = file_read(fd, (size_t)st->st_size, &text, &n, err);
	if (e < 0)
		return e;
	return r->kind == BH_REPORTS_SCANS ? tell_report(r, name, text, n, st, err) : tell_verified(r, name, text, n, err);
}

/* Notes what NAME was when it was looked at. Without memory it is looked at again with the next event. */
static bool remember(struct bh_reports *r, const char *name, const struct stat *st)
{
	struct known *k = known_find(r, name);

	if (!k) {
		if (r->files.n >= BH_REPORT_FILES_MAX)
			return false;
		k = bh_vec_add(&r->files);
		if (k)
			k->name = strdup(name);
		if (k && !k->name) {
			r->files.n--;
			k = NULL;
		}
	}
	if (k)
		k->st = *st;
	return k != NULL;
}

static void gone(struct bh_reports *r, const char *name)
{
	struct known *k = known_find(r, name);

	if (!k)
		return;
	known_remove(r, k);
	tell_file(r, BH_REPORTS_MSG_GONE, name, NULL);
}

/* Looks at one file, as it is now. */
static void look_at(struct bh_reports *r, const char *name)
{
	_cleanup_close_ int fd = openat(r->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct known *k = known_find(r, name);
	struct bh_error err = {0};
	struct stat st = {0};

	if (fd < 0 && errno == ENOENT) {
		gone(r, name);
		return;
	}
	if (fd < 0)
		bh_fail(&err, -errno, errno == ELOOP ? "is a link: links are not followed" : "cannot be opened: %s", strerror(errno));
	else if (fstat(fd, &st) < 0)
		bh_fail(&err, -errno, "cannot be read: %s", strerror(errno));
	else if (k && file_same(&k->st, &st))
		return;
	if (!remember(r, name, &st)) {
		tell_directory(r, k ? "out of memory" : "holds more files than are read (1024)");
		return;
	}
	if (err.code == 0)
		(void)tell(r, name, fd, &st, &err);
	if (err.code < 0)
		tell_file(r, BH_REPORTS_MSG_UNREAD, name, err.msg);
}

static int name_cmp(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

/* The names that are there, in order. 0 or -errno. */
static int list(struct bh_reports *r, struct bh_strv *ret)
{
	int fd = openat(r->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(closedirp) DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d) {
		int saved = errno;

		bh_closep(&fd);
		return -saved;
	}
	for (errno = 0; (e = readdir(d)); errno = 0)
		if (reports_is_wanted(r->kind, e->d_name) && bh_strv_push(ret, e->d_name) < 0)
			return -ENOMEM;
	if (errno)
		return -errno;
	if (ret->n > 1)
		qsort(ret->v, ret->n, sizeof(ret->v[0]), name_cmp);
	return 0;
}

static bool is_listed(const struct bh_strv *names, const char *name)
{
	return names->n > 0 && bsearch(&name, names->v, names->n, sizeof(names->v[0]), name_cmp);
}

static void all_gone(struct bh_reports *r)
{
	while (r->files.n > 0) {
		_cleanup_free_ char *name = r->files.v[r->files.n - 1].name;

		r->files.n--;
		tell_file(r, BH_REPORTS_MSG_GONE, name, NULL);
	}
	bh_strv_clear(&r->pending);
}

/* The directory cannot be had: nothing in it is believed, and it is tried again. */
static void lose(struct bh_reports *r, const char *problem)
{
	r->inotify = sd_event_source_disable_unref(r->inotify);
	bh_closep(&r->fd);
	r->fd = -1;
	if (!r->ails)
		tell_directory(r, problem);
	all_gone(r);
	if (sd_event_source_set_time_relative(r->retry, RETRY_USEC) >= 0)
		(void)sd_event_source_set_enabled(r->retry, SD_EVENT_ONESHOT);
}

/* Looks at everything. */
static void look(struct bh_reports *r)
{
	_cleanup_(bh_strv_clear) struct bh_strv names = {0};
	struct bh_error err = {0};
	struct stat st;
	int e = fstat(r->fd, &st) < 0 ? -errno : file_owner(&st, &err);

	if (e == 0)
		e = list(r, &names);
	if (e < 0) {
		lose(r, err.code ? err.msg : strerror(-e));
		return;
	}
	if (names.n <= BH_REPORT_FILES_MAX)
		tell_directory(r, NULL);
	for (size_t i = r->files.n; i-- > 0;)
		if (!is_listed(&names, r->files.v[i].name))
			gone(r, r->files.v[i].name);
	for (size_t i = 0; i < names.n; i++)
		look_at(r, names.v[i]);
}

static int on_next(sd_event_source *source, void *userdata)
{
	struct bh_reports *r = userdata;
	_cleanup_free_ char *name = NULL;

	if (r->pending.n == 0)
		return 0;
	name = r->pending.v[0];
	memmove(&r->pending.v[0], &r->pending.v[1], (r->pending.n - 1) * sizeof(r->pending.v[0]));
	r->pending.n--;
	look_at(r, name);
	if (r->pending.n > 0)
		(void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	return 0;
}

static int on_event(sd_event_source *source, const struct inotify_event *e, void *userdata)
{
	struct bh_reports *r = userdata;

	(void)source;
	if (e->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED)) {
		lose(r, "is not there any more");
		return 0;
	}
	/* Lost events, and rights of the directory itself */
	if ((e->mask & IN_Q_OVERFLOW) || e->len == 0) {
		look(r);
		return 0;
	}
	if (!reports_is_wanted(r->kind, e->name) || bh_strv_has(&r->pending, e->name))
		return 0;
	if (r->pending.n >= BH_REPORT_FILES_MAX || bh_strv_push(&r->pending, e->name) < 0)
		look(r);
	else
		(void)sd_event_source_set_enabled(r->next, SD_EVENT_ONESHOT);
	return 0;
}

/* Watches, then looks, so that nothing falls between. */
static void begin(struct bh_reports *r)
{
	int e = sd_event_add_inotify(r->event, &r->inotify, r->dir, EVENTS, on_event, r);

	if (e < 0) {
		r->inotify = NULL;
		lose(r, strerror(-e));
		return;
	}
	r->fd = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r->fd < 0)
		lose(r, strerror(errno));
	else
		look(r);
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	begin(userdata);
	return 0;
}

int bh_reports_new(struct sd_event *event, const char *dir, enum bh_reports_kind kind, bh_reports_fn fn, void *userdata, struct bh_reports **ret,
	struct bh_error *err)
{
	_cleanup_(bh_reports_freep) struct bh_reports *r = calloc(1, sizeof(*r));

	if (!r)
		return bh_fail(err, -ENOMEM, "out of memory");
	r->fd = -1;
	r->event = sd_event_ref(event);
	r->kind = kind;
	r->fn = fn;
	r->userdata = userdata;
	if (bh_strdup(&r->dir, dir) < 0 || sd_event_add_defer(event, &r->next, on_next, r) < 0 ||
		sd_event_add_time_relative(event, &r->retry, CLOCK_MONOTONIC, RETRY_USEC, 0, on_retry, r) < 0 ||
		sd_event_source_set_enabled(r->next, SD_EVENT_OFF) < 0 || sd_event_source_set_enabled(r->retry, SD_EVENT_OFF) < 0)
		return bh_fail(err, -ENOMEM, "out of memory");
	begin(r);
	*ret = bh_take(r);
	return 0;
}

void bh_reports_free(struct bh_reports *r)
{
	if (!r)
		return;
	sd_event_source_disable_unref(r->inotify);
	sd_event_source_disable_unref(r->next);
	sd_event_source_disable_unref(r->retry);
	bh_closep(&r->fd);
	bh_vec_foreach(k, &r->files)
		free(k->name);
	bh_vec_clear(&r->files);
	bh_strv_clear(&r->pending);
	free(r->dir);
	sd_event_unref(r->event);
	free(r);
}
