/* SPDX-License-Identifier: Apache-2.0 */
/* A listening socket at a path, for root and one group. */
#include "peer.h"

#include <bulkhead/control.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int make_directory(const char *path, struct bh_error *err)
{
	_cleanup_free_ char *dir = strdup(path);
	char *slash = dir ? strrchr(dir, '/') : NULL;

	if (!dir)
		return bh_fail(err, -ENOMEM, "out of memory");
	if (!slash || slash == dir)
		return 0;
	*slash = '\0';
	/* chmod: whatever the umask is, members of the group must be able to get to the socket. */
	if (mkdir(dir, 0755) < 0 ? errno != EEXIST : chmod(dir, 0755) < 0)
		return bh_fail(err, -errno, "cannot make %s: %s", dir, strerror(errno));
	return 0;
}

/* Whether somebody listens at SA. */
static bool is_alive(const struct sockaddr_un *sa)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd >= 0 && (connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) == 0 || errno == EAGAIN);
}

/* Binds under another name and renames over PATH: never a moment with the wrong mode, a dead socket replaced in one step. */
int bh_control_socket(const char *path, gid_t group, int *ret_fd, ino_t *ret_inode, struct bh_error *err)
{
	_cleanup_close_ int fd = -1;
	struct sockaddr_un sa = { .sun_family = AF_UNIX }, now = { .sun_family = AF_UNIX };
	struct stat st;
	int n = make_directory(path, err);

	if (n < 0)
		return n;
	n = snprintf(sa.sun_path, sizeof(sa.sun_path), "%s" BH_CONTROL_NEW, path);
	if (n < 0 || (size_t)n >= sizeof(sa.sun_path))
		return bh_fail(err, -ENAMETOOLONG, "the path of the socket is too long: %s", path);
	snprintf(now.sun_path, sizeof(now.sun_path), "%s", path);
	if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
		return bh_fail(err, -EEXIST, "%s is there and is no socket: remove it", path);
	if (is_alive(&now))
		return bh_fail(err, -EADDRINUSE, "another program listens at %s: stop it, or name another path", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return bh_fail(err, -errno, "socket: %s", strerror(errno));
	(void)unlink(sa.sun_path);	/* of a start that was cut off; bind tells if it is still there */
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return bh_fail(err, -errno, "cannot bind %s: %s", sa.sun_path, strerror(errno));
	/* EPERM: without CAP_CHOWN, who starts us gives it to the group (ExecStartPost=) */
	if (chmod(sa.sun_path, 0660) < 0 || (group != (gid_t)-1 && chown(sa.sun_path, 0, group) < 0 && errno != EPERM) ||
		listen(fd, SOMAXCONN) < 0 || lstat(sa.sun_path, &st) < 0 || rename(sa.sun_path, path) < 0) {
		n = -errno;
		(void)unlink(sa.sun_path);
		return bh_fail(err, n, "cannot listen at %s: %s", path, strerror(-n));
	}
	*ret_inode = st.st_ino;
	*ret_fd = fd;
	fd = -1;
	return 0;
}

void bh_control_socket_remove(const char *path, ino_t inode)
{
	struct stat st;

	/* Only what is still ours: a successor may listen there already. */
	if (inode && lstat(path, &st) == 0 && st.st_ino == inode)
		(void)unlink(path);
}
