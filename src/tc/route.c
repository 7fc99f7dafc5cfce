/* SPDX-License-Identifier: Apache-2.0 */
/* Where this host sends what is for an address (rtnetlink(7), RTM_GETROUTE). */
#include "priv.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

static int on_route(const struct nlmsghdr *h, void *arg)
{
	const struct rtmsg *rt = nlmsg_data((struct nlmsghdr *)(uintptr_t)h);
	struct nlattr *oif;
	int *ifindex = arg;

	if (h->nlmsg_type != RTM_NEWROUTE || nlmsg_datalen(h) < (int)sizeof(*rt))
		return 0;
	oif = nlmsg_find_attr((struct nlmsghdr *)(uintptr_t)h, sizeof(*rt), RTA_OIF);
	if (oif && nla_len(oif) == (int)sizeof(uint32_t))
		*ifindex = (int)nla_get_u32(oif);
	return 0;
}

int bh_tc_read_route(struct bh_nl *n, const struct bh_addr *to)
{
	const struct rtmsg rt = { .rtm_family = to->family == 4 ? AF_INET : AF_INET6, .rtm_dst_len = to->family == 4 ? 32 : 128 };
	_cleanup_(bh_nl_msg_freep) struct nl_msg *m = bh_nl_msg(RTM_GETROUTE, 0, &rt, sizeof(rt));
	int ifindex = 0, r;

	if (!m || nla_put(m, RTA_DST, (int)bh_addr_size(to), to->b) < 0)
		return -ENOMEM;
	r = bh_nl_ask(n, m, on_route, &ifindex);
	return r < 0 ? r : ifindex;
}
