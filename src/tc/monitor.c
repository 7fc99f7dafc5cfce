/* SPDX-License-Identifier: Apache-2.0 */
/* Notifications of rtnetlink. They only mark dirty: what has become of things is read again. */
#include <bulkhead/tc.h>

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUF_SIZE (64 * 1024)

struct bh_tc_monitor {
	int fd;
	unsigned char buf[BUF_SIZE];
};

static const int groups[] = { RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_TC };

static int subscribe(int fd)
{
	struct sockaddr_nl self = { .nl_family = AF_NETLINK };
	const int size = 4 * 1024 * 1024;

	/* A burst of containers is thousands of messages; without the right to exceed rmem_max, ENOBUFS comes sooner. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (bind(fd, (struct sockaddr *)&self, sizeof(self)) < 0)
		return -errno;
	for (size_t i = 0; i < BH_ARRAY_SIZE(groups); i++)
		if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i], sizeof(groups[i])) < 0)
			return -errno;
	return 0;
}

int bh_tc_monitor_new(struct bh_tc_monitor **ret, struct bh_error *err)
{
	_cleanup_(bh_tc_monitor_freep) struct bh_tc_monitor *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return bh_fail(err, -ENOMEM, "no memory");
	m->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (m->fd < 0)
		return bh_fail(err, -errno, "cannot open rtnetlink: %s", strerror(errno));
	r = subscribe(m->fd);
	if (r < 0)
		return bh_fail(err, r, "cannot subscribe to rtnetlink: %s", strerror(-r));
	*ret = bh_take(m);
	return 0;
}

int bh_tc_monitor_fd(const struct bh_tc_monitor *m)
{
	return m->fd;
}

/* Port states of bridges come as link messages of family AF_BRIDGE and change nothing for us. */
static bool matters(const struct nlmsghdr *h)
{
	switch (h->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		return h->nlmsg_len < NLMSG_LENGTH(sizeof(struct ifinfomsg)) ||
			((const struct ifinfomsg *)NLMSG_DATA(h))->ifi_family != AF_BRIDGE;
	case RTM_NEWADDR:
	case RTM_DELADDR:
	case RTM_NEWQDISC:
	case RTM_DELQDISC:
	case RTM_NEWTCLASS:
	case RTM_DELTCLASS:
	case RTM_NEWTFILTER:
	case RTM_DELTFILTER:
		return true;
	default:
		return false;
	}
}

static bool any_matters(const unsigned char *buf, size_t len)
{
	for (const struct nlmsghdr *h = (const void *)buf; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len))
		if (matters(h))
			return true;
	return false;
}

int bh_tc_monitor_read(struct bh_tc_monitor *m)
{
	struct sockaddr_nl from;
	bool changed = false, lost = false;

	for (;;) {
		socklen_t size = sizeof(from);
		ssize_t n = recvfrom(m->fd, m->buf, sizeof(m->buf), MSG_TRUNC, (struct sockaddr *)&from, &size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == ENOBUFS) {
			lost = true;	/* and go on: what is queued is still to be drained */
			continue;
		}
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n < 0)
			return -errno;
		if (from.nl_pid != 0)
			continue;
		if ((size_t)n > sizeof(m->buf) || any_matters(m->buf, (size_t)n))
			changed = true;
	}
	if (lost)
		return -ENOBUFS;
	return changed ? 1 : 0;
}

void bh_tc_monitor_free(struct bh_tc_monitor *m)
{
	if (!m)
		return;
	bh_closep(&m->fd);
	free(m);
}
