/* SPDX-License-Identifier: Apache-2.0 */
#include "lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bulkhead/mem.h>

static struct flock whole_file(void)
{
	return (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET };
}

static int lock_busy(int fd, pid_t *ret_holder, struct bh_error *err)
{
	struct flock who = whole_file();

	*ret_holder = 0;
	if (fcntl(fd, F_GETLK, &who) == 0 && who.l_type != F_UNLCK && who.l_pid > 0)
		*ret_holder = who.l_pid;
	return bh_fail(err, -EBUSY, "a bulkheadd (pid %d) runs in this network namespace already: one is enough, stop it first",
		(int)*ret_holder);
}

static int ns_path(const char *dir, const char *suffix, char ret[64], struct bh_error *err)
{
	struct stat ns;

	if (stat("/proc/self/ns/net", &ns) < 0)
		return bh_fail(err, -errno, "/proc/self/ns/net: %s", strerror(errno));
	if (snprintf(ret, 64, "%s/netns-%llu.%s", dir, (unsigned long long)ns.st_ino, suffix) >= 64)
		return bh_fail(err, -ENAMETOOLONG, "%s: too long", dir);
	return 0;
}

int bh_lock_mark(const char *dir, bool on)
{
	char path[64];
	int r = ns_path(dir, "teardown", path, NULL);
	_cleanup_close_ int fd = -1;

	if (r < 0)
		return r;
	if (!on)
		return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	return fd < 0 ? -errno : 0;
}

bool bh_lock_is_marked(const char *dir)
{
	char path[64];

	return ns_path(dir, "teardown", path, NULL) == 0 && access(path, F_OK) == 0;
}

int bh_lock_take(const char *dir, struct bh_lock *ret, pid_t *ret_holder, struct bh_error *err)
{
	struct bh_lock l;
	struct stat opened, named;
	int r;

	if (mkdir(dir, 0755) < 0 ? errno != EEXIST : chmod(dir, 0755) < 0)	/* the control socket is in it too */
		return bh_fail(err, -errno, "cannot make %s: %s", dir, strerror(errno));
	r = ns_path(dir, "lock", l.path, err);
	if (r < 0)
		return r;
	for (int tries = 0; tries < 10; tries++) {
		_cleanup_close_ int fd = open(l.path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		struct flock whole = whole_file();

		if (fd < 0)
			return bh_fail(err, -errno, "cannot open %s: %s", l.path, strerror(errno));
		if (fcntl(fd, F_SETLK, &whole) < 0)
			return errno == EAGAIN || errno == EACCES ? lock_busy(fd, ret_holder, err) :
				bh_fail(err, -errno, "cannot lock %s: %s", l.path, strerror(errno));
		/* A teardown that ended meanwhile has removed the file that we locked. */
		if (fstat(fd, &opened) == 0 && stat(l.path, &named) == 0 && opened.st_ino == named.st_ino) {
			l.fd = fd;
			fd = -1;
			*ret = l;
			return 0;
		}
	}
	return bh_fail(err, -EAGAIN, "%s comes and goes", l.path);
}

void bh_lock_release(struct bh_lock *l, bool remove)
{
	if (l->fd < 0)
		return;
	if (remove)
		(void)unlink(l->path);
	close(l->fd);
	l->fd = -1;
}
