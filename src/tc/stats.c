/* SPDX-License-Identifier: Apache-2.0 */
/* What each link has carried (rtnetlink(7), RTM_GETSTATS). */
#include "priv.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <string.h>

struct reading {
	bh_tc_bytes_fn fn;
	void *userdata;
};

static int on_stats(const struct nlmsghdr *h, void *arg)
{
	const struct if_stats_msg *msg = nlmsg_data((struct nlmsghdr *)(uintptr_t)h);
	struct rtnl_link_stats64 stats;
	const struct reading *r = arg;
	struct nlattr *a;

	if (h->nlmsg_type != RTM_NEWSTATS || nlmsg_datalen(h) < (int)sizeof(*msg))
		return 0;
	a = nlmsg_find_attr((struct nlmsghdr *)(uintptr_t)h, sizeof(*msg), IFLA_STATS_LINK_64);
	if (!a || nla_len(a) < (int)offsetof(struct rtnl_link_stats64, rx_errors))
		return 0;
	memset(&stats, 0, sizeof(stats));
	memcpy(&stats, nla_data(a), (size_t)nla_len(a) < sizeof(stats) ? (size_t)nla_len(a) : sizeof(stats));
	r->fn(r->userdata, (int)msg->ifindex, stats.rx_bytes, stats.tx_bytes);
	return 0;
}

int bh_tc_read_bytes(struct bh_nl *n, bh_tc_bytes_fn fn, void *userdata, struct bh_error *err)
{
	const struct if_stats_msg ask = {.filter_mask = IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_64)};
	_cleanup_(bh_nl_msg_freep) struct nl_msg *m = bh_nl_msg(RTM_GETSTATS, NLM_F_DUMP, &ask, sizeof(ask));
	struct reading reading = {.fn = fn, .userdata = userdata};
	int r = m ? bh_nl_ask(n, m, on_stats, &reading) : -ENOMEM;

	/* links that came or went meanwhile make it no worse: each is of its moment */
	return r < 0 && r != -EINTR ? bh_fail(err, r, "what links have carried: %s", strerror(-r)) : 0;
}
