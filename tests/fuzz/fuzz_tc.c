/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel at the other end of rtnetlink, as anybody: the fuzzer's bytes are its answers, one datagram after the other, each behind its length in two bytes; the first byte says what
 * is asked for, two more which links. Links,
 * addresses, trees, filters, routes and notifications are read from them. */
#include "../../src/tc/observe.h"
#include "../../src/tc/priv.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags);
ssize_t __wrap_sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *to, socklen_t size);

/* What is left to be said, and the number that the last request had. The interposed functions can take no argument. */
static const uint8_t *answers;
static size_t left;
static uint32_t seq;

ssize_t __wrap_sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *to, socklen_t size)
{
	(void)fd, (void)flags, (void)to, (void)size;
	seq = ((const struct nlmsghdr *)buf)->nlmsg_seq;
	return (ssize_t)len;
}

/* Messages without a number answer the last request, as the kernel's do; without one the fuzzer would have to guess it. */
static void number(uint8_t *buf, size_t n)
{
	int rest = (int)n;

	for (struct nlmsghdr *h = (struct nlmsghdr *)(void *)buf; nlmsg_ok(h, rest); h = nlmsg_next(h, &rest))
		if (h->nlmsg_seq == 0)
			h->nlmsg_seq = seq;
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags)
{
	size_t n;

	(void)fd, (void)flags;
	if (left < 2) {
		errno = EAGAIN;
		return -1;
	}
	n = (size_t)answers[0] | (size_t)answers[1] << 8;
	answers += 2;
	left -= 2;
	if (n > left)
		n = left;
	msg->msg_flags = n > msg->msg_iov->iov_len ? MSG_TRUNC : 0;
	memset(msg->msg_name, 0, msg->msg_namelen);
	if (n > msg->msg_iov->iov_len)
		n = msg->msg_iov->iov_len;
	memcpy(msg->msg_iov->iov_base, answers, n);
	number(msg->msg_iov->iov_base, n);
	answers += n;
	left -= n;
	return (ssize_t)n;
}

/* Everything, and then two links and the addresses again. */
static void host(struct bh_nl *n, int one, int other)
{
	struct bh_host *h = NULL;
	const int links[] = {one, other};

	if (bh_tc_read_host(n, &h, NULL) < 0)
		return;
	bh_vec_foreach(l, &h->links)
		if (memchr(l->name, '\0', sizeof(l->name)) == NULL)
			__builtin_trap();
	bh_vec_foreach(a, &h->addrs)
		if (a->prefix.len > 8 * bh_addr_size(&a->prefix.addr))
			__builtin_trap();
	(void)bh_tc_refresh_host(n, h, links, 2, true, NULL);
	for (size_t i = 1; i < h->links.n; i++)
		if (h->links.v[i - 1].ifindex > h->links.v[i].ifindex)
			__builtin_trap();
	bh_host_free(h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static _Alignas(8) unsigned char buf[64 * 1024];
	struct bh_nl n = {.fd = -1, .buf = buf};
	const struct bh_tc_kinds kinds = {0};
	const struct bh_addr to = {.family = 4, .b = {10, 0, 0, 1}};
	struct bh_host *links = NULL;
	struct bh_shape *shape = NULL;
	struct bh_error err = {0};
	struct bh_tc_filters filters;
	struct bh_nl own;
	uint32_t seen;
	int one = 2, other = 3;

	answers = data + 1;
	left = size > 0 ? size - 1 : 0;
	if (left >= 2) {
		one = *answers++;
		other = *answers++;
		left -= 2;
	}
	switch (size > 0 ? data[0] % 7 : 0) {
	case 0:
		host(&n, one, other);
		break;
	case 1:
		if (bh_tc_read_links(&n, &links) == 0)
			bh_host_free(links);
		break;
	case 2:
		if (bh_tc_read_shape(&n, &kinds, &shape, &err) == 0)
			bh_shape_free(shape);
		break;
	case 3:
		(void)bh_tc_read_route(&n, &to);
		break;
	case 4:
		(void)bh_tc_read_nsid(&n, 1);
		if (bh_nl_open(&own, &err) == 0)	/* nothing is asked of the real one */
			bh_nl_close(&own);
		break;
	case 6:
		(void)bh_tc_read_filters(&n, one, other, &seen, &filters);
		break;
	case 5:
		(void)bh_tc_set_bridge_calls(&n, "docker0", true, true, &err);
		break;
	}
	if (strlen(n.extack) >= sizeof(n.extack))
		__builtin_trap();
	return 0;
}
