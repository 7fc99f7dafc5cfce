/* SPDX-License-Identifier: Apache-2.0 */
#include "nl.h"

#include <bulkhead/fault.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* The kernel fills dump buffers up to 32 KiB (af_netlink.c, netlink_recvmsg); twice that is never truncated. */
#define BUF_SIZE (64 * 1024)
#define TIMEOUT_S 5

int bh_nl_open(struct bh_nl *n, struct bh_error *err)
{
	const struct timeval tv = { .tv_sec = TIMEOUT_S };
	const int one = 1, rcv = 4 * 1024 * 1024;
	int r;

	*n = (struct bh_nl){ .fd = -1 };
	n->buf = malloc(BUF_SIZE);
	if (!n->buf)
		return bh_fail(err, -ENOMEM, "no memory");
	n->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (n->fd < 0)
		goto fail;
	/* A dump that waits for us must never be waited for without end. */
	if (setsockopt(n->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) < 0)
		goto fail;
	if (setsockopt(n->fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one)) < 0)
		goto fail;
	if (setsockopt(n->fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &one, sizeof(one)) < 0)
		goto fail;
	/* Not needed for answers, which wait for us: the force variant alone may exceed rmem_max, and may be refused. */
	(void)setsockopt(n->fd, SOL_SOCKET, SO_RCVBUFFORCE, &rcv, sizeof(rcv));
	return 0;
fail:
	r = -errno;
	bh_nl_close(n);
	return bh_fail(err, r, "cannot open rtnetlink: %s", strerror(-r));
}

void bh_nl_close(struct bh_nl *n)
{
	bh_closep(&n->fd);
	n->fd = -1;
	free(n->buf);
	n->buf = NULL;
}

struct nl_msg *bh_nl_msg(int type, int flags, const void *hdr, size_t size)
{
	struct nl_msg *m = nlmsg_alloc_simple(type, flags | NLM_F_REQUEST);

	if (m && nlmsg_append(m, (void *)hdr, size, NLMSG_ALIGNTO) < 0) {
		nlmsg_free(m);
		return NULL;
	}
	return m;
}

void bh_nl_msg_free(struct nl_msg *m)
{
	nlmsg_free(m);
}

static int send_msg(struct bh_nl *n, struct nl_msg *m)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct nlmsghdr *h = nlmsg_hdr(m);
	ssize_t r;

	h->nlmsg_seq = ++n->seq;
	h->nlmsg_pid = 0;
	n->extack[0] = '\0';
	do
		r = sendto(n->fd, h, h->nlmsg_len, 0, (struct sockaddr *)&kernel, sizeof(kernel));
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

static ssize_t receive(struct bh_nl *n)
{
	struct sockaddr_nl from;
	struct iovec iov = { .iov_base = n->buf, .iov_len = BUF_SIZE };
	struct msghdr msg = { .msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t r;

	for (;;) {
		r = recvmsg(n->fd, &msg, 0);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		if (msg.msg_flags & MSG_TRUNC)
			return -EMSGSIZE;
		if (from.nl_pid == 0)	/* anybody may send to our port; only the kernel is listened to */
			return r;
	}
}

/* The kernel's text follows the echoed request, which NLM_F_CAPPED cuts to its header (netlink(7)). */
static void keep_extack(struct bh_nl *n, const struct nlmsghdr *h, const struct nlmsgerr *e)
{
	size_t off = sizeof(*e), len = h->nlmsg_len - NLMSG_HDRLEN;
	const struct nlattr *a;

	if (!(h->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(h->nlmsg_flags & NLM_F_CAPPED))
		off += NLMSG_ALIGN(e->msg.nlmsg_len) - NLMSG_HDRLEN;
	if (off >= len)
		return;
	a = nla_find((const struct nlattr *)((const char *)e + off), (int)(len - off), NLMSGERR_ATTR_MSG);
	if (a)
		snprintf(n->extack, sizeof(n->extack), "%.*s", nla_len(a), (const char *)nla_data(a));
}

static int answer_error(struct bh_nl *n, const struct nlmsghdr *h)
{
	const struct nlmsgerr *e = nlmsg_data(h);

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*e)))
		return -EBADMSG;
	keep_extack(n, h, e);
	return e->error;
}

/* 1: the answer is complete, 0: more to come, -errno: refused. *FAILED keeps the first failure of FN. */
static int take(struct bh_nl *n, const struct nlmsghdr *h, bool dump, bh_nl_fn fn, void *arg, int *failed)
{
	int r;

	if (h->nlmsg_seq != n->seq)
		return 0;	/* the rest of an earlier answer that was given up */
	if (h->nlmsg_type == NLMSG_ERROR) {
		r = answer_error(n, h);
		return r < 0 ? r : 1;
	}
	if (h->nlmsg_flags & NLM_F_DUMP_INTR && *failed == 0)
		*failed = -EINTR;
	if (h->nlmsg_type == NLMSG_DONE) {
		if (h->nlmsg_len >= NLMSG_LENGTH(sizeof(int))) {
			memcpy(&r, nlmsg_data(h), sizeof(r));
			if (r < 0)
				return r;
		}
		return 1;
	}
	if (fn && *failed == 0) {
		r = fn(h, arg);
		if (r < 0)
			*failed = r;
	}
	/* A single answer to a request without NLM_F_ACK is the whole of it. */
	return dump ? 0 : 1;
}

int bh_nl_ask(struct bh_nl *n, struct nl_msg *m, bh_nl_fn fn, void *arg)
{
	bool dump = (nlmsg_hdr(m)->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
	int r, failed = 0;
	ssize_t len;

	r = send_msg(n, m);
	if (r < 0)
		return r;
	for (;;) {
		len = receive(n);
		if (len < 0)
			return (int)len;
		for (struct nlmsghdr *h = (struct nlmsghdr *)n->buf; nlmsg_ok(h, (int)len);) {
			int left = (int)len;

			r = take(n, h, dump, fn, arg, &failed);
			if (r < 0)
				return r;
			if (r > 0)
				return failed;
			h = nlmsg_next(h, &left);
			len = left;
		}
	}
}

int bh_nl_talk(struct bh_nl *n, struct nl_msg *m)
{
	int r;

	nlmsg_hdr(m)->nlmsg_flags |= NLM_F_ACK;
	BH_FAULT("tc-before-request");
	r = bh_nl_ask(n, m, NULL, NULL);
	BH_FAULT("tc-after-request");
	return r;
}
