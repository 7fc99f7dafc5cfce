/* SPDX-License-Identifier: Apache-2.0 */
#include <bulkhead/pass.h>

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int bh_pass_pair(int type, int ret[2])
{
	return socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ret) < 0 ? -errno : 0;
}

void bh_pass_close(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}

int bh_pass_send(int fd, const void *data, size_t n, const int *fds, size_t n_fds)
{
	struct iovec io = {.iov_base = (void *)(size_t)data, .iov_len = n};
	union {
		char space[CMSG_SPACE(sizeof(int) * BH_PASS_MAX)];
		struct cmsghdr align;
	} control = {0};
	struct msghdr msg = {.msg_iov = &io, .msg_iovlen = 1};
	ssize_t sent;

	if (n_fds > BH_PASS_MAX)
		return -EINVAL;
	if (n_fds > 0) {
		struct cmsghdr *c;

		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
	}
	do
		sent = sendmsg(fd, &msg, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return -errno;
	return (size_t)sent == n ? 0 : -EMSGSIZE;
}

ssize_t bh_pass_receive(int fd, void *data, size_t n, int ret_fds[BH_PASS_MAX], size_t *ret_n_fds)
{
	struct iovec io = {.iov_base = data, .iov_len = n};
	union {
		char space[CMSG_SPACE(sizeof(int) * BH_PASS_MAX)];
		struct cmsghdr align;
	} control;
	struct msghdr msg = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t got;

	*ret_n_fds = 0;
	for (size_t i = 0; i < BH_PASS_MAX; i++)
		ret_fds[i] = -1;
	do
		got = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		size_t k = c->cmsg_len > CMSG_LEN(0) ? (c->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || k > BH_PASS_MAX - *ret_n_fds)
			continue;
		memcpy(&ret_fds[*ret_n_fds], CMSG_DATA(c), k * sizeof(int));
		*ret_n_fds += k;
	}
	if (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		bh_pass_close(ret_fds, *ret_n_fds);
		*ret_n_fds = 0;
		return -EBADMSG;
	}
	return got;
}
