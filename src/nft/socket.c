/* SPDX-License-Identifier: Apache-2.0 */
/* The netlink socket: transactions and dumps. Only the kernel (nl_pid 0) is listened to. */
#include "attr.h"
#include "internal.h"

#include <bulkhead/fault.h>

#include <errno.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#define RECEIVE_SIZE (256 * 1024)
#define RCVBUF_MIN (4 * 1024 * 1024)	/* a dump's answers queue up to this */

static int option_on(int fd, int option)
{
	int on = 1;

	return setsockopt(fd, SOL_NETLINK, option, &on, sizeof(on)) < 0 ? -errno : 0;
}

/* Beyond net.core.[rw]mem_max, which CAP_NET_ADMIN may; without it the plain option does what it can. */
static void buffer_force(int fd, int force, int plain, size_t size)
{
	int v = size > INT32_MAX / 2 ? INT32_MAX / 2 : (int)size;

	if (setsockopt(fd, SOL_SOCKET, force, &v, sizeof(v)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, plain, &v, sizeof(v));	/* sending tells EMSGSIZE if it was too little */
}

void nft_socket_close(struct nft_socket *s)
{
	if (s->nl)
		mnl_socket_close(s->nl);
	free(s->buf);
	memset(s, 0, sizeof(*s));
}

ssize_t nft_socket_receive(struct nft_socket *s, int flags)
{
	struct sockaddr_nl from = {0};
	struct iovec iov = {.iov_base = s->buf, .iov_len = s->size};
	struct msghdr msg = {.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	for (;;) {
		n = recvmsg(mnl_socket_get_fd(s->nl), &msg, flags);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		if (msg.msg_namelen == sizeof(from) && from.nl_pid == 0) {
			if (msg.msg_flags & MSG_TRUNC)
				return -EMSGSIZE;
			return n;
		}
		msg.msg_namelen = sizeof(from);
	}
}

/* What an earlier, broken-off conversation left in the queue. */
static void drain(struct nft_socket *s)
{
	ssize_t n;

	do
		n = nft_socket_receive(s, MSG_DONTWAIT);
	while (n > 0 || n == -ENOBUFS || n == -EMSGSIZE);
}

/* What every socket of ours needs, whoever opened it. Closes S on failure. */
static int socket_prepare(struct nft_socket *s, struct bh_error *err)
{
	const struct timeval patience = {.tv_sec = 30};
	int fd = mnl_socket_get_fd(s->nl), r;

	s->portid = mnl_socket_get_portid(s->nl);
	s->seq = 1;
	s->size = RECEIVE_SIZE;
	s->buf = malloc(s->size);
	/* errors carry the kernel's words and the place (Linux 4.12), but not our message again */
	if (!s->buf || option_on(fd, NETLINK_EXT_ACK) < 0 || option_on(fd, NETLINK_CAP_ACK) < 0) {
		r = bh_fail(err, s->buf ? -errno : -ENOMEM, "netlink socket options: %s", strerror(s->buf ? errno : ENOMEM));
		nft_socket_close(s);
		return r;
	}
	/* the kernel answers at once; should it not, an error is better than a daemon that hangs */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0) {
		r = bh_fail(err, -errno, "netlink socket options: %s", strerror(errno));
		nft_socket_close(s);
		return r;
	}
	buffer_force(fd, SO_RCVBUFFORCE, SO_RCVBUF, RCVBUF_MIN);
	return 0;
}

int nft_socket_open(struct nft_socket *s, struct bh_error *err)
{
	memset(s, 0, sizeof(*s));
	s->nl = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	if (!s->nl)
		return bh_fail(err, -errno, "netlink socket: %s", strerror(errno));
	if (mnl_socket_bind(s->nl, 0, MNL_SOCKET_AUTOPID) < 0) {
		int r = bh_fail(err, -errno, "netlink socket: %s", strerror(errno));

		nft_socket_close(s);
		return r;
	}
	return socket_prepare(s, err);
}

static bool is_netfilter_socket(int fd)
{
	int domain = 0, protocol = -1;
	socklen_t a = sizeof(domain), b = sizeof(protocol);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &a) == 0 && domain == AF_NETLINK &&
	       getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &b) == 0 && protocol == NETLINK_NETFILTER;
}

/* A socket stays in the network namespace that it was opened in (SIOCGSKNS, Linux 4.10). */
static bool is_of_this_namespace(int fd)
{
	_cleanup_close_ int ns = ioctl(fd, SIOCGSKNS);
	struct stat its, ours;

	return ns >= 0 && fstat(ns, &its) == 0 && stat("/proc/self/ns/net", &ours) == 0 && its.st_ino == ours.st_ino &&
	       its.st_dev == ours.st_dev;
}

int nft_socket_adopt(struct nft_socket *s, int fd, struct bh_error *err)
{
	int r;

	memset(s, 0, sizeof(*s));
	if (!is_netfilter_socket(fd) || !is_of_this_namespace(fd)) {
		(void)close(fd);
		return bh_fail(err, -EINVAL, "the socket that was kept is none of nf_tables in this network namespace");
	}
	s->nl = mnl_socket_fdopen(fd);
	if (!s->nl) {
		r = bh_fail(err, -errno, "netlink socket: %s", strerror(errno));
		(void)close(fd);
		return r;
	}
	if (mnl_socket_get_portid(s->nl) == 0) {
		nft_socket_close(s);
		return bh_fail(err, -EINVAL, "the socket that was kept has no port id");
	}
	r = socket_prepare(s, err);
	if (r == 0)
		drain(s);	/* a killed process may have left half a dump: until it is read no other can begin */
	return r;
}

/* One datagram of an answer: 1 when there is more to come, 0 at its end, or the error. mnl_cb_run() is of no use here: it stops
 * at a message with NLM_F_DUMP_INTR, and with it the end of the answer is lost. */
static int answer_read(const struct nft_socket *s, ssize_t n, uint32_t seq, mnl_cb_t cb, void *data, bool *disturbed)
{
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)s->buf;
	int left = (int)n;

	for (; nft_message_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left)) {
		if (nlh->nlmsg_seq != seq)	/* of an earlier request that was given up */
			continue;
		*disturbed = *disturbed || (nlh->nlmsg_flags & NLM_F_DUMP_INTR);
		if (nlh->nlmsg_type == NLMSG_DONE)
			return 0;
		if (nlh->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);

			return mnl_nlmsg_get_payload_len(nlh) < sizeof(*e) ? -EBADMSG : e->error;
		}
		/* what comes after a disturbance has to be read, but is worth nothing */
		if (nlh->nlmsg_type < NLMSG_MIN_TYPE || *disturbed)
			continue;
		errno = 0;
		if (cb(nlh, data) < 0)
			return errno ? -errno : -EIO;
	}
	return 1;
}

int nft_socket_dump(struct nft_socket *s, struct nlmsghdr *nlh, mnl_cb_t cb, void *data)
{
	bool disturbed = false;
	ssize_t n;
	int r;

	nlh->nlmsg_seq = s->seq++;
	if (mnl_socket_sendto(s->nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	do {
		n = nft_socket_receive(s, 0);
		r = n > 0 ? answer_read(s, n, nlh->nlmsg_seq, cb, data, &disturbed) : n < 0 ? (int)n : -ETIMEDOUT;
	} while (r > 0);
	if (r < 0) {
		drain(s);
		return r;
	}
	return disturbed ? -EINTR : 0;
}

static int attr_note(const struct nlattr *attr, void *data)
{
	struct nft_refusal *ret = data;

	if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_OFFS && mnl_attr_validate(attr, MNL_TYPE_U32) == 0)
		ret->offset = mnl_attr_get_u32(attr);
	else if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG && mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) == 0)
		snprintf(ret->msg, sizeof(ret->msg), "%s", mnl_attr_get_str(attr));
	return MNL_CB_OK;
}

static void refusal_read(const struct nlmsghdr *nlh, struct nft_refusal *ret)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);
	size_t off = sizeof(*e);

	ret->code = e->error;
	ret->seq = e->msg.nlmsg_seq;
	ret->offset = 0;
	ret->msg[0] = '\0';
	if (!(nlh->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(nlh->nlmsg_flags & NLM_F_CAPPED))
		off += MNL_ALIGN(e->msg.nlmsg_len) - sizeof(e->msg);
	if (off < mnl_nlmsg_get_payload_len(nlh))
		(void)mnl_attr_parse(nlh, (unsigned)off, attr_note, ret);	/* decoration: what it lacks is not missed */
}

/* The kernel answers while sendmsg(2) runs, so everything that it says is queued when that returns. */
static int answers_read(struct nft_socket *s, struct nft_refusal *ret, bool *ret_acknowledged)
{
	ssize_t n;

	while ((n = nft_socket_receive(s, MSG_DONTWAIT)) > 0) {
		const struct nlmsghdr *nlh = (const struct nlmsghdr *)s->buf;
		int left = (int)n;

		for (; nft_message_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left)) {
			const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);

			if (nlh->nlmsg_type != NLMSG_ERROR || mnl_nlmsg_get_payload_len(nlh) < sizeof(*e))
				continue;
			if (e->error == 0)
				*ret_acknowledged = true;
			else if (ret->code == 0)	/* what follows the first is often its consequence */
				refusal_read(nlh, ret);
		}
	}
	return (int)n;
}

int nft_socket_transact(struct nft_socket *s, const struct nft_batch *b, struct nft_refusal *ret)
{
	struct sockaddr_nl to = {.nl_family = AF_NETLINK};
	int fd = mnl_socket_get_fd(s->nl), r;
	bool acknowledged = false;
	ssize_t n;

	memset(ret, 0, sizeof(*ret));
	drain(s);
	buffer_force(fd, SO_SNDBUFFORCE, SO_SNDBUF, b->n + 4096);
	/* every message may be refused: sizeof(struct sk_buff) and a page's worth of slack each */
	buffer_force(fd, SO_RCVBUFFORCE, SO_RCVBUF, RCVBUF_MIN + b->items.n * 1024);
	BH_FAULT("nft-before-send");
	do
		n = sendto(fd, b->buf, b->n, 0, (struct sockaddr *)&to, sizeof(to));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	BH_FAULT("nft-before-answer");
	r = answers_read(s, ret, &acknowledged);
	BH_FAULT("nft-after-answer");
	if (ret->code)
		return ret->code;
	if (r < 0)
		return r;
	return acknowledged ? 0 : -EIO;
}
