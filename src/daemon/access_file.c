/* SPDX-License-Identifier: Apache-2.0 */
#include "access_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define END_MSEC 1000
#define PATH_BYTES 4200
#define LOST_LINE "{\"version\": 1, \"event\": \"lost\", \"text\": \"%llu records were lost here: the disk took none\", \"fields\": {\"count\": \"%llu\"}}\n"

struct lines {
	char *s;
	size_t n, cap;
};

struct bh_access_file {
	/* neither side's alone */
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct lines waiting;
	uint64_t lost, lost_total;
	const char *doing;		/* what failed with `error`; static */
	int error;			/* -errno; 0 none */
	bool end, abandoned;
	/* for ever the same */
	char *path;
	uint64_t size;
	unsigned keep;
	gid_t group;
	int told;			/* eventfd */
	pthread_t thread;
	/* the thread's */
	int fd;
	uint64_t at;			/* bytes in the file */
	bool unsynced;
};

static void file_close(struct bh_access_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}

static void destroy(struct bh_access_file *f)
{
	file_close(f);
	if (f->told >= 0)
		close(f->told);
	pthread_mutex_destroy(&f->lock);
	pthread_cond_destroy(&f->more);
	free(f->waiting.s);
	free(f->path);
	free(f);
}

static void problem_set(struct bh_access_file *f, const char *doing, int error)
{
	uint64_t one = 1;
	bool changed;

	pthread_mutex_lock(&f->lock);
	changed = f->error != error;
	f->error = error;
	f->doing = doing;
	pthread_mutex_unlock(&f->lock);
	if (changed && write(f->told, &one, sizeof(one)) < 0)
		return;	/* it is readable already */
}

/* ---- the thread: the file */

static void folder_make(const char *path)
{
	char folder[PATH_BYTES];
	const char *slash = strrchr(path, '/');
	size_t n = slash ? (size_t)(slash - path) : 0;

	if (n == 0 || n >= sizeof(folder))
		return;
	memcpy(folder, path, n);
	folder[n] = '\0';
	(void)mkdir(folder, 0750);	/* open(2) tells what is wrong */
}

/* A line that a power cut has torn ends here, so that it is one bad line and not two. */
static int tear_end(struct bh_access_file *f)
{
	char last = '\n';
	_cleanup_close_ int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (f->at == 0 || fd < 0 || pread(fd, &last, 1, (off_t)f->at - 1) < 0 || last == '\n')
		return 0;
	if (write(f->fd, "\n", 1) < 0)
		return -errno;
	f->at++;
	return 0;
}

static int file_open(struct bh_access_file *f)
{
	struct stat st;
	int r;

	folder_make(f->path);
	f->fd = open(f->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0640);
	if (f->fd < 0)
		return -errno;
	if (fstat(f->fd, &st) < 0)
		r = -errno;
	else if (!S_ISREG(st.st_mode))
		r = -EMEDIUMTYPE;
	else if (st.st_uid != geteuid())
		r = -EPERM;
	else
		r = 0;
	/* EPERM: without CAP_CHOWN the set-group-id bit of its folder gives it */
	if (r == 0 && f->group != (gid_t)-1 && fchown(f->fd, (uid_t)-1, f->group) < 0 && errno != EPERM)
		r = -errno;
	if (r == 0 && fchmod(f->fd, 0640) < 0)
		r = -errno;
	f->at = r == 0 ? (uint64_t)st.st_size : 0;
	if (r == 0)
		r = tear_end(f);
	if (r < 0)
		file_close(f);
	return r;
}

/* Whether the name still is what is written to: others may rotate, too. */
static bool is_there(const struct bh_access_file *f)
{
	struct stat a, b;

	return f->fd >= 0 && fstat(f->fd, &a) == 0 && lstat(f->path, &b) == 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

static void sync_now(struct bh_access_file *f)
{
	if (f->unsynced && f->fd >= 0)
		(void)fdatasync(f->fd);	/* the next write tells of a disk that fails */
	f->unsynced = false;
}

/* The lowest number that no file has, at most the last: one that failed half way loses nothing when it is tried again and again. */
static unsigned first_free(const struct bh_access_file *f)
{
	char name[PATH_BYTES + 16];
	struct stat st;
	unsigned i = 1;

	for (; i < f->keep; i++) {
		snprintf(name, sizeof(name), "%s.%u", f->path, i);
		if (lstat(name, &st) < 0)
			break;
	}
	return i;
}

/* PATH.4 to PATH.5, …, PATH to PATH.1. The oldest goes first, so that the disk need not hold one more. */
static int rotate(struct bh_access_file *f)
{
	char from[PATH_BYTES + 16], to[PATH_BYTES + 16];

	sync_now(f);
	for (unsigned i = first_free(f); i > 0; i--) {
		snprintf(to, sizeof(to), "%s.%u", f->path, i);
		if (i > 1)
			snprintf(from, sizeof(from), "%s.%u", f->path, i - 1);
		else
			snprintf(from, sizeof(from), "%s", f->path);
		if (rename(from, to) < 0 && errno != ENOENT)
			return -errno;
	}
	file_close(f);
	return file_open(f);
}

/* All of the N bytes or nothing: what a full disk took of them is cut off again. */
static int append(struct bh_access_file *f, const char *s, size_t n)
{
	size_t done = 0;

	while (done < n) {
		ssize_t w = write(f->fd, s + done, n - done);
		int r = w < 0 ? -errno : w == 0 ? -ENOSPC : 0;

		if (r == -EINTR)
			continue;
		if (r < 0) {
			if (ftruncate(f->fd, (off_t)f->at) < 0)
				file_close(f);	/* a torn line: mended when it is opened */
			return r;
		}
		done += (size_t)w;
	}
	f->at += n;
	f->unsynced = true;
	return 0;
}

/* As many whole lines as fit into a file; at least one. */
static size_t fitting(const struct bh_access_file *f, const char *s, size_t n)
{
	size_t room = f->at < f->size ? (size_t)(f->size - f->at) : 0, fits = 0;

	while (fits < n) {
		const char *end = memchr(s + fits, '\n', n - fits);
		size_t line = end ? (size_t)(end - s) + 1 - fits : n - fits;

		if (fits + line > room && (fits > 0 || f->at > 0))
			break;
		fits += line;
	}
	return fits;
}

/* Writes the lines from *AT on. 0, or -errno with *AT at the first that is not written, and what failed. */
static int write_lines(struct bh_access_file *f, const struct lines *l, size_t *at, const char **ret_doing)
{
	int r = 0;

	*ret_doing = "opened";
	if (!is_there(f)) {
		sync_now(f);
		file_close(f);
		r = file_open(f);
	}
	while (r == 0 && *at < l->n) {
		size_t n = fitting(f, l->s + *at, l->n - *at);

		if (n == 0) {
			*ret_doing = "rotated";
			r = rotate(f);
			continue;
		}
		*ret_doing = "written";
		r = append(f, l->s + *at, n);
		if (r == 0)
			*at += n;
	}
	return r;
}

/* ---- the thread: its life */

static struct timespec after(long msec)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += msec / 1000;
	t.tv_nsec += msec % 1000 * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	return t;
}

/* Waits for lines, or for what else is due: HELD says that some could not be written. */
static void wait_for(struct bh_access_file *f, bool held)
{
	struct timespec until = after(held ? BH_ACCESS_RETRY_MSEC : BH_ACCESS_SYNC_MSEC);
	int r = 0;

	while (!f->end && r == 0 && (held || f->waiting.n == 0))
		r = held || f->unsynced ? pthread_cond_timedwait(&f->more, &f->lock, &until) : pthread_cond_wait(&f->more, &f->lock);
}

/* What waits becomes what is written; a word about those that were lost before it. */
static void take(struct bh_access_file *f, struct lines *l)
{
	struct lines empty = {0};
	uint64_t lost = f->lost;
	char word[256];
	int n;

	free(l->s);
	*l = f->waiting;
	f->waiting = empty;
	if (lost == 0)
		return;
	n = snprintf(word, sizeof(word), LOST_LINE, (unsigned long long)lost, (unsigned long long)lost);
	if (l->n + (size_t)n > l->cap) {
		char *s = realloc(l->s, l->n + (size_t)n);

		if (!s)
			return;	/* said with the next */
		l->s = s;
		l->cap = l->n + (size_t)n;
	}
	memcpy(l->s + l->n, word, (size_t)n);
	l->n += (size_t)n;
	f->lost = 0;
}

static void *run(void *arg)
{
	struct bh_access_file *f = arg;
	struct lines l = {0};
	size_t at = 0;
	bool end = false, ending, abandoned;

	while (!end) {
		const char *doing = NULL;
		int r;

		pthread_mutex_lock(&f->lock);
		wait_for(f, at < l.n);
		ending = f->end;
		if (at == l.n) {
			take(f, &l);
			at = 0;
		}
		end = ending && f->waiting.n == 0;
		pthread_mutex_unlock(&f->lock);
		if (at == l.n) {
			sync_now(f);
			continue;
		}
		r = write_lines(f, &l, &at, &doing);
		problem_set(f, doing, r);
		end = end || (r < 0 && ending);
	}
	sync_now(f);
	free(l.s);
	pthread_mutex_lock(&f->lock);
	abandoned = f->abandoned;
	f->abandoned = true;
	pthread_mutex_unlock(&f->lock);
	if (abandoned)
		destroy(f);
	return NULL;
}

/* ---- the daemon's side */

int bh_access_file_new(const char *path, uint64_t size, unsigned keep, gid_t group, struct bh_access_file **ret)
{
	struct bh_access_file *f = calloc(1, sizeof(*f));
	pthread_condattr_t attr;
	int r;

	if (!f)
		return -ENOMEM;
	f->fd = f->told = -1;
	f->size = size;
	f->keep = keep;
	f->group = group;
	pthread_mutex_init(&f->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&f->more, &attr);
	pthread_condattr_destroy(&attr);
	f->path = strdup(path);
	f->told = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = !f->path ? -ENOMEM : f->told < 0 ? -errno : -pthread_create(&f->thread, NULL, run, f);
	if (r < 0) {
		destroy(f);
		return r;
	}
	*ret = f;
	return 0;
}

void bh_access_file_free(struct bh_access_file *f)
{
	struct timespec until = after(END_MSEC);
	bool mine;

	if (!f)
		return;
	pthread_mutex_lock(&f->lock);
	f->end = true;
	pthread_cond_signal(&f->more);
	pthread_mutex_unlock(&f->lock);
	if (pthread_clockjoin_np(f->thread, NULL, CLOCK_MONOTONIC, &until) == 0) {
		destroy(f);
		return;
	}
	/* A disk that hangs must not hold us: whoever of the two comes last clears up. */
	pthread_detach(f->thread);
	pthread_mutex_lock(&f->lock);
	mine = f->abandoned;
	f->abandoned = true;
	pthread_mutex_unlock(&f->lock);
	if (mine)
		destroy(f);
}

bool bh_access_file_put(struct bh_access_file *f, const char *line, size_t n)
{
	bool ok = false;

	pthread_mutex_lock(&f->lock);
	if (f->waiting.n + n <= BH_ACCESS_WAITING_MAX && f->lost == 0) {
		if (f->waiting.n + n > f->waiting.cap) {
			size_t cap = f->waiting.cap ? f->waiting.cap * 2 : 4096;
			char *s;

			while (cap < f->waiting.n + n)
				cap *= 2;
			s = realloc(f->waiting.s, cap);
			if (s) {
				f->waiting.s = s;
				f->waiting.cap = cap;
			}
		}
		ok = f->waiting.n + n <= f->waiting.cap;
	}
	if (ok) {
		memcpy(f->waiting.s + f->waiting.n, line, n);
		f->waiting.n += n;
	} else {
		f->lost++;
		f->lost_total++;
	}
	pthread_cond_signal(&f->more);
	pthread_mutex_unlock(&f->lock);
	return ok;
}

char *bh_access_file_problem(struct bh_access_file *f, uint64_t *ret_lost)
{
	const char *doing;
	char *text = NULL;
	int error;

	pthread_mutex_lock(&f->lock);
	error = f->error;
	doing = f->doing;
	*ret_lost = f->lost_total;
	pthread_mutex_unlock(&f->lock);
	if (error < 0 && asprintf(&text, "%s cannot be %s: %s", f->path, doing, error == -ELOOP ? "it is a symbolic link" : error == -EMEDIUMTYPE ?
		"it is no regular file" : error == -EPERM ? "it belongs to another user" : strerrordesc_np(-error)) < 0)
		return NULL;
	return text;
}

int bh_access_file_fd(const struct bh_access_file *f)
{
	return f->told;
}

void bh_access_file_seen(struct bh_access_file *f)
{
	uint64_t n;

	if (read(f->told, &n, sizeof(n)) < 0)
		return;	/* nothing new */
}
