/* SPDX-License-Identifier: Apache-2.0 */
/* The socket that NFLOG sends to. Group numbers are shared by all address families: one bind hears inet and bridge. */
#include "flows.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libnetfilter_log/libnetfilter_log.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <string.h>
#include <sys/socket.h>

#define COPY_BYTES 128			/* of each packet: an IPv6 header, some extensions, a transport */
#define QUEUE_BYTES 32768u		/* the kernel gathers up to so much, */
#define QUEUE_TIME 5u			/* or for so many hundredths of a second, before it sends */
#define SOCKET_BYTES (2 * 1024 * 1024)	/* what waits to be read */
#define TURN_BUFFERS 16			/* read at a time, so that a flood does not hold up the loop */

struct bh_nflog {
	struct mnl_socket *nl;
	uint32_t portid;
	bool counted;			/* next_seq is known */
	uint32_t next_seq;
	uint64_t lost;
	_Alignas(8) uint8_t buf[QUEUE_BYTES * 2];
};

/* One message and its acknowledgement. */
static int ask(struct bh_nflog *n, struct nlmsghdr *nlh)
{
	ssize_t len;
	int r;

	nlh->nlmsg_flags |= NLM_F_ACK;
	if (mnl_socket_sendto(n->nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	/* Packets of the group may come before it. */
	for (int i = 0; i < 1000; i++) {
		len = mnl_socket_recvfrom(n->nl, n->buf, sizeof(n->buf));
		if (len < 0 && errno == ENOBUFS)
			continue;
		if (len < 0)
			return -errno;
		if (((const struct nlmsghdr *)(void *)n->buf)->nlmsg_type != NLMSG_ERROR)
			continue;
		r = mnl_cb_run(n->buf, (size_t)len, 0, n->portid, NULL, NULL);
		return r < 0 ? -errno : 0;
	}
	return -EBUSY;
}

static int mode_set(struct bh_nflog *n, uint16_t group, uint16_t flags)
{
	char buf[MNL_NLMSG_HDRLEN + 256] = {0};	/* what fills up an attribute goes to the kernel too */
	struct nlmsghdr *nlh = nflog_nlmsg_put_header(buf, NFULNL_MSG_CONFIG, AF_UNSPEC, group);

	if (nflog_attr_put_cfg_mode(nlh, NFULNL_COPY_PACKET, COPY_BYTES) < 0)
		return -EINVAL;
	mnl_attr_put_u32(nlh, NFULA_CFG_NLBUFSIZ, htonl(QUEUE_BYTES));
	mnl_attr_put_u32(nlh, NFULA_CFG_TIMEOUT, htonl(QUEUE_TIME));
	mnl_attr_put_u16(nlh, NFULA_CFG_FLAGS, htons(flags));
	return ask(n, nlh);
}

static int configure(struct bh_nflog *n, uint16_t group)
{
	char buf[MNL_NLMSG_HDRLEN + 256] = {0};	/* what fills up an attribute goes to the kernel too */
	struct nlmsghdr *nlh = nflog_nlmsg_put_header(buf, NFULNL_MSG_CONFIG, AF_UNSPEC, group);
	int r;

	if (nflog_attr_put_cfg_cmd(nlh, NFULNL_CFG_CMD_BIND) < 0)
		return -EINVAL;
	r = ask(n, nlh);
	if (r < 0)
		return r;
	r = mode_set(n, group, NFULNL_CFG_F_SEQ | NFULNL_CFG_F_CONNTRACK);
	/* A kernel without nf_conntrack_netlink: who opened a flow is then read from the packet. */
	return r == -EOPNOTSUPP ? mode_set(n, group, NFULNL_CFG_F_SEQ) : r;
}

int bh_nflog_new(uint16_t group, struct bh_nflog **ret, struct bh_error *err)
{
	_cleanup_(bh_nflog_freep) struct bh_nflog *n = calloc(1, sizeof(*n));
	int r, fd, size = SOCKET_BYTES;

	if (!n)
		return bh_fail(err, -ENOMEM, "out of memory");
	n->nl = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	if (!n->nl || mnl_socket_bind(n->nl, 0, MNL_SOCKET_AUTOPID) < 0)
		return bh_fail(err, -errno, "the log of denied packets: %s", strerror(errno));
	n->portid = mnl_socket_get_portid(n->nl);
	fd = mnl_socket_get_fd(n->nl);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));	/* less fits then, which is counted */
	r = configure(n, group);
	if (r == -EBUSY)
		return bh_fail(err, r, "the log of denied packets: another program reads NFLOG group %u", group);
	if (r < 0)
		return bh_fail(err, r, "the log of denied packets: %s", strerror(-r));
	*ret = bh_take(n);
	return 0;
}

int bh_nflog_fd(const struct bh_nflog *n)
{
	return mnl_socket_get_fd(n->nl);
}

/* The kernel numbers what it logs; a gap is what the queue had no room for. */
static void count_lost(struct bh_nflog *n, const struct nlmsghdr *nlh)
{
	const struct nlattr *tb[NFULA_SEQ + 1];
	uint32_t seq;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(struct nfgenmsg) ||
		!flow_attrs(mnl_nlmsg_get_payload_offset(nlh, sizeof(struct nfgenmsg)),
			mnl_nlmsg_get_payload_len(nlh) - MNL_ALIGN(sizeof(struct nfgenmsg)), tb, NFULA_SEQ) ||
		!tb[NFULA_SEQ])
		return;
	seq = flow_be32(tb[NFULA_SEQ]);
	if (n->counted)
		n->lost += seq - n->next_seq;
	n->counted = true;
	n->next_seq = seq + 1;
}

static void buffer_decode(struct bh_nflog *n, size_t len, bh_denied_fn fn, void *userdata)
{
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)(void *)n->buf;
	int left = (int)len;

	for (; left > 0 && flow_message_ok(nlh, (size_t)left); nlh = mnl_nlmsg_next(nlh, &left)) {
		struct bh_denied d;

		if (nlh->nlmsg_type != ((NFNL_SUBSYS_ULOG << 8) | NFULNL_MSG_PACKET))
			continue;
		count_lost(n, nlh);
		if (bh_denied_decode(nlh, nlh->nlmsg_len, &d) == 0)
			fn(userdata, &d);
	}
}

int bh_nflog_read(struct bh_nflog *n, bh_denied_fn fn, void *userdata)
{
	for (int i = 0; i < TURN_BUFFERS; i++) {
		struct sockaddr_nl from = {0};
		socklen_t size = sizeof(from);
		ssize_t len = recvfrom(mnl_socket_get_fd(n->nl), n->buf, sizeof(n->buf), MSG_DONTWAIT | MSG_TRUNC,
			(struct sockaddr *)&from, &size);

		if (len < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return 0;
		if (len < 0 && (errno == EINTR || errno == ENOBUFS))
			continue;	/* what is lost shows in the numbers */
		if (len < 0)
			return -errno;
		if (from.nl_pid != 0 || (size_t)len > sizeof(n->buf))
			continue;	/* not the kernel's; or more than it was told to send */
		buffer_decode(n, (size_t)len, fn, userdata);
	}
	return 1;
}

uint64_t bh_nflog_lost(const struct bh_nflog *n)
{
	return n->lost;
}

void bh_nflog_free(struct bh_nflog *n)
{
	if (!n)
		return;
	if (n->nl)
		(void)mnl_socket_close(n->nl);
	free(n);
}
