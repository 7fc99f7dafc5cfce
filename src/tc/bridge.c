/* SPDX-License-Identifier: Apache-2.0 */
/* The flags of one bridge that show its frames to the inet hooks, whatever the namespace's sysctl says
 * (include/uapi/linux/if_link.h, IFLA_BR_NF_CALL_*; br_netfilter). */
#include "priv.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>

static struct nl_msg *flags_msg(const char *bridge, bool ip, bool ip6)
{
	const struct ifinfomsg ifi = { .ifi_family = AF_UNSPEC };
	_cleanup_(bh_nl_msg_freep) struct nl_msg *m = bh_nl_msg(RTM_NEWLINK, 0, &ifi, sizeof(ifi));
	struct nlattr *info, *data;

	if (!m || nla_put_string(m, IFLA_IFNAME, bridge) < 0)
		return NULL;
	info = nla_nest_start(m, IFLA_LINKINFO);
	if (!info || nla_put_string(m, IFLA_INFO_KIND, "bridge") < 0)
		return NULL;
	data = nla_nest_start(m, IFLA_INFO_DATA);
	if (!data || nla_put_u8(m, IFLA_BR_NF_CALL_IPTABLES, ip) < 0 || nla_put_u8(m, IFLA_BR_NF_CALL_IP6TABLES, ip6) < 0)
		return NULL;
	nla_nest_end(m, data);
	nla_nest_end(m, info);
	return bh_take(m);
}

int bh_tc_set_bridge_calls(struct bh_nl *n, const char *bridge, bool ip, bool ip6, struct bh_error *err)
{
	_cleanup_(bh_nl_msg_freep) struct nl_msg *m = NULL;
	int r;

	if (strlen(bridge) >= IFNAMSIZ)
		return bh_fail(err, -EINVAL, "bridge name is too long");
	m = flags_msg(bridge, ip, ip6);
	if (!m)
		return bh_fail(err, -ENOMEM, "no memory");
	r = bh_nl_talk(n, m);
	if (r < 0)
		return bh_fail(err, r, "cannot set nf_call_iptables of bridge %s: %s%s%s", bridge, strerror(-r),
			n->extack[0] ? ": " : "", n->extack);
	return 0;
}
