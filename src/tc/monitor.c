/* SPDX-License-Identifier: Apache-2.0 */
/* Notifications of rtnetlink. They only say what to look at: what has become of it is read again. */
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

static void note_link(const struct nlmsghdr *h, struct bh_tc_news *ret)
{
	const struct ifinfomsg *ifi = NLMSG_DATA(h);

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*ifi))) {
		ret->all = true;
		return;
	}
	/* Port states of bridges come as link messages of family AF_BRIDGE and change nothing for us. */
	if (ifi->ifi_family == AF_BRIDGE)
		return;
	for (size_t i = 0; i < ret->n_links; i++)
		if (ret->links[i] == ifi->ifi_index)
			return;
	if (ret->n_links == BH_TC_NEWS_LINKS)
		ret->all = true;
	else
		ret->links[ret->n_links++] = ifi->ifi_index;
}

static void note(const struct nlmsghdr *h, struct bh_tc_news *ret)
{
	switch (h->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		note_link(h, ret);
		return;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		ret->addrs = true;
		return;
	case RTM_NEWQDISC:
	case RTM_DELQDISC:
	case RTM_NEWTCLASS:
	case RTM_DELTCLASS:
	case RTM_NEWTFILTER:
	case RTM_DELTFILTER:
		ret->shape = true;
		return;
	default:
		return;
	}
}

static void note_all(const unsigned char *buf, size_t len, struct bh_tc_news *ret)
{
	for (const struct nlmsghdr *h = (const void *)buf; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len))
		note(h, ret);
}

int bh_tc_monitor_read(struct bh_tc_monitor *m, struct bh_tc_news *ret)
{
	struct sockaddr_nl from;

	memset(ret, 0, sizeof(*ret));

	for (;;) {
		socklen_t size = sizeof(from);
		ssize_t n = recvfrom(m->fd, m->buf, sizeof(m->buf), MSG_TRUNC, (struct sockaddr *)&from, &size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == ENOBUFS) {
			ret->all = true;	/* and go on: what is queued is still to be drained */
			continue;
		}
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n < 0)
			return -errno;
		if (from.nl_pid != 0)
			continue;
		if ((size_t)n > sizeof(m->buf))
			ret->all = true;
		else
			note_all(m->buf, (size_t)n, ret);
	}
	return ret->all || ret->addrs || ret->shape || ret->n_links > 0;
}

void bh_tc_monitor_free(struct bh_tc_monitor *m)
{
	if (!m)
		return;
	bh_closep(&m->fd);
	free(m);
}
