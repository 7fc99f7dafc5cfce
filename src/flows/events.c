/* SPDX-License-Identifier: Apache-2.0 */
/* Conntrack's word of each connection that has begun, or ended (linux/netfilter/nfnetlink_conntrack.h): of what was let through alone. */
#include "flows.h"

#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_compat.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <string.h>
#include <sys/socket.h>

#define SOCKET_BYTES (2 * 1024 * 1024)	/* what waits to be read */
#define TURN_MESSAGES 256		/* read at a time, so that a flood does not hold up the loop */

struct bh_flow_events {
	struct mnl_socket *nl;
	uint64_t lost;
	_Alignas(8) uint8_t buf[65536];
};

int bh_flow_events_new(bool ends, struct bh_flow_events **ret, struct bh_error *err)
{
	_cleanup_(bh_flow_events_freep) struct bh_flow_events *e = calloc(1, sizeof(*e));
	int size = SOCKET_BYTES, fd;

	if (!e)
		return bh_fail(err, -ENOMEM, "out of memory");
	e->nl = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	if (!e->nl || mnl_socket_bind(e->nl, NF_NETLINK_CONNTRACK_NEW | (ends ? NF_NETLINK_CONNTRACK_DESTROY : 0), MNL_SOCKET_AUTOPID) < 0)
		return bh_fail(err, -errno, "conntrack's events: %s", strerror(errno));
	fd = mnl_socket_get_fd(e->nl);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));	/* less fits then, which is counted */
	*ret = bh_take(e);
	return 0;
}

int bh_flow_events_fd(const struct bh_flow_events *e)
{
	return mnl_socket_get_fd(e->nl);
}

int bh_flow_events_read(struct bh_flow_events *e, bh_flow_fn fn, void *userdata)
{
	for (int i = 0; i < TURN_MESSAGES; i++) {
		const struct nlmsghdr *nlh = (const struct nlmsghdr *)(void *)e->buf;
		struct sockaddr_nl from = {0};
		socklen_t size = sizeof(from);
		struct bh_flow flow;
		ssize_t len = recvfrom(mnl_socket_get_fd(e->nl), e->buf, sizeof(e->buf), MSG_DONTWAIT | MSG_TRUNC, (struct sockaddr *)&from, &size);
		int left = (int)len;

		if (len < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return 0;
		if (len < 0 && errno == ENOBUFS)
			e->lost++;
		if (len < 0 && (errno == EINTR || errno == ENOBUFS))
			continue;
		if (len < 0)
			return -errno;
		if (from.nl_pid != 0 || (size_t)len > sizeof(e->buf))
			continue;	/* not the kernel's */
		for (; left > 0 && flow_message_ok(nlh, (size_t)left); nlh = mnl_nlmsg_next(nlh, &left))
			if (bh_flow_decode(nlh, nlh->nlmsg_len, &flow) == 0)
				fn(userdata, &flow);
	}
	return 1;
}

uint64_t bh_flow_events_lost(const struct bh_flow_events *e)
{
	return e->lost;
}

void bh_flow_events_free(struct bh_flow_events *e)
{
	if (!e)
		return;
	if (e->nl)
		(void)mnl_socket_close(e->nl);
	free(e);
}
