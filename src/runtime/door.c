/* SPDX-License-Identifier: Apache-2.0 */
/* Opens what a Docker is followed by, or asks another process to. A question is one byte; the answer an error and what was opened. */
#include "docker_dns.h"

#include <bulkhead/pass.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define DAEMON_JSON "/etc/docker/daemon.json"
#define PID_FILE "/run/docker.pid"	/* where the socket is systemd's, as in docker.socket */
#define ANSWER_MS 5000			/* opening does not block; who answers may have gone */

enum question {
	QUESTION_CONNECT = 'c',
	QUESTION_FILES = 'f',
};

struct answer {
	int32_t err;
	uint8_t cmdline, config;	/* which of the two come; a connection comes as the first */
};

static int path_connect(const struct bh_door *d)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int ret;

	if (fd < 0)
		return -errno;
	if (strlen(d->socket) >= sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	memcpy(sa.sun_path, d->socket, strlen(d->socket));
	if (connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) < 0)
		return -errno;
	ret = fd;
	fd = -1;
	return ret;
}

/* Who listens: whoever called listen(2), unix(7). */
static int peer_of(const struct bh_door *d, pid_t *ret)
{
	_cleanup_close_ int fd = path_connect(d);
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (fd < 0)
		return fd;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return -errno;
	*ret = peer.pid;
	return peer.pid > 0 ? 0 : -ESRCH;	/* 0: of a pid namespace that this one does not see */
}

static int file_open(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

/* The command line of PID, when it is a dockerd, open and in RET. */
static int dockerd_cmdline(pid_t pid, struct bh_buf *ret)
{
	_cleanup_close_ int fd = -1;
	char path[64];
	const char *base;
	int r;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	fd = file_open(path);
	if (fd < 0)
		return fd;
	ret->n = 0;
	r = bh_buf_read_fd(ret, fd, BH_DOCKER_CMDLINE_MAX);
	if (r < 0)
		return r;
	if (ret->n == 0 || ret->s[ret->n - 1] != '\0')
		return -ESRCH;
	base = strrchr(ret->s, '/');
	if (strcmp(base ? base + 1 : ret->s, "dockerd") != 0)
		return -ESRCH;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	r = fd;
	fd = -1;
	return r;
}

static int find_cmdline(const struct bh_door *d, struct bh_buf *ret)
{
	_cleanup_buf_ struct bh_buf text = {0};
	pid_t pid = 0;
	int r = peer_of(d, &pid);

	if (r == 0)
		r = dockerd_cmdline(pid, ret);
	if (r != -ESRCH && r != -EACCES)
		return r;
	r = bh_buf_read_file(&text, PID_FILE, 64);
	return r < 0 ? r : dockerd_cmdline((pid_t)atoi(text.s ? text.s : "0"), ret);
}

int bh_dockerd_cmdline(const char *socket_path, struct bh_buf *ret)
{
	const struct bh_door d = bh_door_opening(socket_path);
	int fd = find_cmdline(&d, ret);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static int path_files(const struct bh_door *d, int *ret_cmdline, int *ret_config)
{
	_cleanup_buf_ struct bh_buf cmdline = {0};
	struct bh_addrs unused = {0};
	const char *config = DAEMON_JSON;
	int fd = find_cmdline(d, &cmdline), r = 0;

	if (fd == -ENOENT || fd == -ESRCH || fd == -EACCES)
		fd = -1;	/* who it is cannot be seen: the file is still where it always is */
	else if (fd < 0)
		return fd;
	else
		r = bh_docker_dns_cmdline(cmdline.s, cmdline.n, &unused, &config);
	bh_vec_clear(&unused.v);
	*ret_config = r < 0 ? r : file_open(config);
	if (*ret_config < 0 && *ret_config != -ENOENT) {
		r = *ret_config;
		*ret_config = -1;
		bh_closep(&fd);
		return r;
	}
	if (*ret_config < 0)
		*ret_config = -1;
	*ret_cmdline = fd;
	return 0;
}

struct bh_door bh_door_opening(const char *socket)
{
	return (struct bh_door){.connect = path_connect, .files = path_files, .socket = socket, .fd = -1};
}

/* ---- the two ends of a question */

static int ask(const struct bh_door *d, char question, struct answer *ret, int fds[BH_PASS_MAX], size_t *ret_n)
{
	struct pollfd p = {.fd = d->fd, .events = POLLIN};
	ssize_t n;
	int r = bh_pass_send(d->fd, &question, 1, NULL, 0);

	if (r < 0)
		return r;
	if (poll(&p, 1, ANSWER_MS) <= 0)
		return -ETIMEDOUT;
	n = bh_pass_receive(d->fd, ret, sizeof(*ret), fds, ret_n);
	if (n == sizeof(*ret) && *ret_n == (size_t)ret->cmdline + ret->config)
		return ret->err;
	bh_pass_close(fds, BH_PASS_MAX);
	return n < 0 ? (int)n : -EPIPE;
}

static int asked_connect(const struct bh_door *d)
{
	struct answer a;
	int fds[BH_PASS_MAX], r;
	size_t n;

	r = ask(d, QUESTION_CONNECT, &a, fds, &n);
	return r < 0 ? r : n == 1 ? fds[0] : -EPIPE;
}

static int asked_files(const struct bh_door *d, int *ret_cmdline, int *ret_config)
{
	struct answer a;
	int fds[BH_PASS_MAX], r;
	size_t n;

	r = ask(d, QUESTION_FILES, &a, fds, &n);
	if (r < 0)
		return r;
	*ret_cmdline = a.cmdline ? fds[0] : -1;
	*ret_config = a.config ? fds[a.cmdline] : -1;
	return 0;
}

struct bh_door bh_door_asking(const char *socket, int fd)
{
	return (struct bh_door){.connect = asked_connect, .files = asked_files, .socket = socket, .fd = fd};
}

int bh_door_answer(const struct bh_door *d, int fd)
{
	struct answer a = {0};
	int cmdline = -1, config = -1, fds[BH_PASS_MAX], r;
	size_t n;
	char question;
	ssize_t got = bh_pass_receive(fd, &question, 1, fds, &n);

	bh_pass_close(fds, BH_PASS_MAX);	/* none is asked with */
	if (got <= 0)
		return (int)got;
	if (question == QUESTION_CONNECT) {
		cmdline = d->connect(d);
		a.err = cmdline < 0 ? cmdline : 0;
	} else if (question == QUESTION_FILES) {
		a.err = d->files(d, &cmdline, &config);
	} else {
		return -EBADMSG;
	}
	n = 0;
	a.cmdline = cmdline >= 0;
	a.config = config >= 0;
	if (a.cmdline)
		fds[n++] = cmdline;
	if (a.config)
		fds[n++] = config;
	r = bh_pass_send(fd, &a, sizeof(a), fds, n);
	bh_pass_close(fds, n);
	return r < 0 ? r : 1;
}
