/* SPDX-License-Identifier: Apache-2.0 */
/* Others' hands in our tables. Notifications only say that something moved; what it is now is read from the kernel. */
#include "attr.h"
#include "internal.h"

#include <errno.h>
#include <linux/filter.h>
#include <string.h>
#include <sys/socket.h>

struct bh_nft_monitor {
	struct nft_socket socket;
	uint32_t own;
	uint32_t port;			/* whose change of ours was read last, until its process is named */
	struct bh_nft_process process;
};

/* Our own transactions come back as a notification an element: they are dropped in the kernel, or a change of 10,000
 * elements would overrun the queue. All messages of one buffer are of one transaction, so the first tells for all. */
static int filter_own(int fd, uint32_t portid)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_pid)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(portid), 0, 1),	/* loads are in network order */
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	struct sock_fprog prog = {.len = BH_ARRAY_SIZE(code), .filter = code};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) < 0 ? -errno : 0;
}

int bh_nft_monitor_new(struct bh_nft *own, struct bh_nft_monitor **ret, struct bh_error *err)
{
	_cleanup_(bh_nft_monitor_freep) struct bh_nft_monitor *m = calloc(1, sizeof(*m));
	int r, fd;

	if (!m)
		return bh_fail(err, -ENOMEM, "no memory");
	m->own = bh_nft_port(own);
	r = nft_socket_open(&m->socket, err);
	if (r < 0)
		return r;
	fd = mnl_socket_get_fd(m->socket.nl);
	r = m->own ? filter_own(fd, m->own) : 0;
	if (r < 0)
		return bh_fail(err, r, "nftables notifications: %s", strerror(-r));
	r = bh_nft_monitor_listen(m, true);
	if (r < 0)
		return bh_fail(err, r, "nftables notifications: %s", strerror(-r));
	*ret = bh_take(m);
	return 0;
}

int bh_nft_monitor_listen(struct bh_nft_monitor *m, bool on)
{
	int group = NFNLGRP_NFTABLES;

	return setsockopt(mnl_socket_get_fd(m->socket.nl), SOL_NETLINK, on ? NETLINK_ADD_MEMBERSHIP : NETLINK_DROP_MEMBERSHIP, &group,
		       sizeof(group)) < 0 ? -errno : 0;
}

int bh_nft_monitor_fd(const struct bh_nft_monitor *m)
{
	return mnl_socket_get_fd(m->socket.nl);
}

/* In every message but NEWGEN the first attribute is the table's name. */
static bool is_about_us(const struct bh_nft_monitor *m, const struct nlmsghdr *nlh)
{
	const struct nfgenmsg *nfg = mnl_nlmsg_get_payload(nlh);

	if (nlh->nlmsg_type >> 8 != NFNL_SUBSYS_NFTABLES || (nlh->nlmsg_type & 0xff) == NFT_MSG_NEWGEN ||
		mnl_nlmsg_get_payload_len(nlh) < sizeof(*nfg) || nft_family_from(nfg->nfgen_family) < 0)
		return false;
	/* the kernel's own doings (a device that went away takes its chain along) have port id 0 */
	return (!m->own || nlh->nlmsg_pid != m->own) && nft_table_is_ours(nlh);
}

void nft_decode_process(const struct nlmsghdr *nlh, struct bh_nft_process *ret)
{
	const struct nlattr *tb[NFTA_GEN_MAX + 1], *name;
	size_t len;

	if (nft_attr_message(nlh, tb, NFTA_GEN_MAX) < 0 || !tb[NFTA_GEN_PROC_PID])
		return;
	name = tb[NFTA_GEN_PROC_NAME];
	len = name ? strnlen(mnl_attr_get_payload(name), mnl_attr_get_payload_len(name)) : 0;
	len = len < sizeof(ret->name) ? len : sizeof(ret->name) - 1;
	ret->pid = nft_attr_u32(tb[NFTA_GEN_PROC_PID]);
	if (len)
		memcpy(ret->name, mnl_attr_get_payload(name), len);
	ret->name[len] = '\0';
}

/* The last message of a transaction names who made it (nf_tables_gen_notify()); those before say whether it was about us. */
static bool message_read(struct bh_nft_monitor *m, const struct nlmsghdr *nlh)
{
	if (is_about_us(m, nlh)) {
		m->port = nlh->nlmsg_pid;
		return true;
	}
	if (m->port && nlh->nlmsg_pid == m->port && nlh->nlmsg_type == ((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWGEN)) {
		nft_decode_process(nlh, &m->process);
		m->port = 0;
	}
	return false;
}

struct bh_nft_process bh_nft_monitor_process(struct bh_nft_monitor *m)
{
	struct bh_nft_process p = m->process;

	memset(&m->process, 0, sizeof(m->process));
	return p;
}

int bh_nft_monitor_read(struct bh_nft_monitor *m)
{
	bool ours = false;
	ssize_t n;

	while ((n = nft_socket_receive(&m->socket, MSG_DONTWAIT)) > 0) {
		const struct nlmsghdr *nlh = (const struct nlmsghdr *)m->socket.buf;
		int left = (int)n;

		for (; nft_message_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left))
			ours = message_read(m, nlh) || ours;
	}
	if (n == -EMSGSIZE)	/* a notification that does not fit was not read: it may have been about us */
		return -ENOBUFS;
	return n < 0 ? (int)n : ours;
}

void bh_nft_monitor_free(struct bh_nft_monitor *m)
{
	if (!m)
		return;
	nft_socket_close(&m->socket);
	free(m);
}
