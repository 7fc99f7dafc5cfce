/* SPDX-License-Identifier: Apache-2.0 */
/* The resolvers that dockerd was told to give to containers. Its API does not tell them; its command line and its configuration
 * file do (dockerd(8): --dns, --config-file, "dns"), and which process it is the socket tells. */
#include "docker_dns.h"
#include "json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define DAEMON_JSON "/etc/docker/daemon.json"
#define PID_FILE "/run/docker.pid"	/* where the socket is systemd's, as in docker.socket */
#define CMDLINE_MAX (128u << 10)
#define FILE_MAX (1u << 20)

static int addr_add(struct bh_addrs *to, const char *text)
{
	struct bh_addr a;

	if (bh_addr_parse(text, &a) < 0)
		return 0;	/* dockerd has refused it before us */
	return bh_addrs_add(to, &a);
}

/* The value of the option NAME at the word S, or else of the NEXT word (NULL: there is none); NULL when S is another word. */
static const char *option(const char *s, const char *next, const char *name)
{
	size_t n = strlen(name);

	if (s[0] != '-')
		return NULL;
	s += s[1] == '-' ? 2 : 1;
	if (strncmp(s, name, n) != 0)
		return NULL;
	return s[n] == '=' ? s + n + 1 : s[n] == '\0' ? next : NULL;
}

int bh_docker_dns_cmdline(const char *text, size_t n, struct bh_addrs *ret, const char **ret_config)
{
	const char *end = text + n;

	if (n == 0 || end[-1] != '\0')
		return -EBADMSG;
	for (const char *s = text; s < end; s += strlen(s) + 1) {
		const char *next = s + strlen(s) + 1 < end ? s + strlen(s) + 1 : NULL;
		const char *dns = option(s, next, "dns"), *config = option(s, next, "config-file");
		int r = dns ? addr_add(ret, dns) : 0;

		if (r < 0)
			return r;
		if (config)
			*ret_config = config;
	}
	return 0;
}

int bh_docker_dns_config(const char *text, size_t n, struct bh_addrs *ret)
{
	_cleanup_json_ json_t *root = NULL;
	const json_t *dns;
	json_t *item;
	size_t i;
	int r = bh_json_parse(text, n, &root), err = 0;

	if (r < 0)
		return r;
	dns = bh_json_array(root, "dns", &err);
	if (err < 0)
		return err;
	json_array_foreach(dns, i, item)
		if (r == 0 && json_is_string(item))
			r = addr_add(ret, json_string_value(item));
	return r;
}

/* Who listens at SOCKET: whoever called listen(2), unix(7). */
static int peer_of(const char *socket_path, pid_t *ret)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (fd < 0)
		return -errno;
	if (strlen(socket_path) >= sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	memcpy(sa.sun_path, socket_path, strlen(socket_path));
	if (connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return -errno;
	*ret = peer.pid;
	return peer.pid > 0 ? 0 : -ESRCH;	/* 0: of a pid namespace that this one does not see */
}

/* The command line of PID, when it is a dockerd. */
static int cmdline_of(pid_t pid, struct bh_buf *ret)
{
	char path[64];
	const char *base;
	int r;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	ret->n = 0;
	r = bh_buf_read_file(ret, path, CMDLINE_MAX);
	if (r < 0)
		return r;
	if (ret->n == 0 || ret->s[ret->n - 1] != '\0')
		return -ESRCH;
	base = strrchr(ret->s, '/');
	return strcmp(base ? base + 1 : ret->s, "dockerd") == 0 ? 0 : -ESRCH;
}

int bh_dockerd_cmdline(const char *socket_path, struct bh_buf *ret)
{
	_cleanup_buf_ struct bh_buf text = {0};
	pid_t pid = 0;
	int r = peer_of(socket_path, &pid);

	if (r == 0)
		r = cmdline_of(pid, ret);
	if (r != -ESRCH && r != -EACCES)
		return r;
	r = bh_buf_read_file(&text, PID_FILE, 64);
	return r < 0 ? r : cmdline_of((pid_t)atoi(text.s ? text.s : "0"), ret);
}

int bh_docker_resolvers(const char *socket_path, struct bh_addrs *ret)
{
	_cleanup_buf_ struct bh_buf cmdline = {0}, config = {0};
	const char *path = DAEMON_JSON;
	struct bh_addrs found = {0};
	int r = bh_dockerd_cmdline(socket_path, &cmdline);

	if (r == 0)
		r = bh_docker_dns_cmdline(cmdline.s, cmdline.n, &found, &path);
	else if (r == -ENOENT || r == -ESRCH || r == -EACCES)
		r = 0;	/* who it is cannot be seen: the file is still where it always is */
	if (r == 0)
		r = bh_buf_read_file(&config, path, FILE_MAX);
	if (r == 0 && config.n > 0)
		r = bh_docker_dns_config(config.s, config.n, &found);
	if (r == -ENOENT)
		r = 0;
	if (r < 0) {
		bh_vec_clear(&found.v);
		return r;
	}
	*ret = found;
	return 0;
}
