/* SPDX-License-Identifier: Apache-2.0 */
#include "file.h"

#include <bulkhead/mem.h>
#include <bulkhead/reports.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

int file_owner(const struct stat *st, struct bh_error *err)
{
	if (st->st_uid != 0)
		return bh_fail(err, -EACCES, "belongs to uid %u, not to root, who alone may write it: chown root", (unsigned)st->st_uid);
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return bh_fail(err, -EACCES, "can be written by others than root (mode %04o): chmod go-w", (unsigned)(st->st_mode & 07777));
	return 0;
}

bool file_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mode == b->st_mode && a->st_uid == b->st_uid &&
		a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
		a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

int file_read(int fd, size_t n, char **ret, size_t *ret_n, struct bh_error *err)
{
	_cleanup_free_ char *text = malloc(n + 1);
	size_t got = 0;

	if (!text)
		return bh_fail(err, -ENOMEM, "out of memory");
	while (got < n) {
		ssize_t more = read(fd, text + got, n - got);

		if (more < 0 && errno == EINTR)
			continue;
		if (more < 0)
			return bh_fail(err, -errno, "cannot be read: %s", strerror(errno));
		if (more == 0)
			break;
		got += (size_t)more;
	}
	text[got] = '\0';
	*ret = bh_take(text);
	*ret_n = got;
	return 0;
}

uint64_t file_written(const struct stat *st)
{
	const struct timespec *t = &st->st_mtim;

	if (t->tv_sec < 0)
		return 0;
	return (uint64_t)t->tv_sec > BH_REPORT_TIME_MAX / 1000000 ? BH_REPORT_TIME_MAX : (uint64_t)t->tv_sec * 1000000 + (uint64_t)t->tv_nsec / 1000;
}
