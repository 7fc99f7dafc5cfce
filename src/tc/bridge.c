/* SPDX-License-Identifier: Apache-2.0 */
/* The flags of one bridge that show its frames to the inet hooks, whatever the namespace's sysctl says
 * (include/uapi/linux/if_link.h, IFLA_BR_NF_CALL_*; br_netfilter), and the one by which it learns from frames that no hook sees
 * (include/uapi/linux/if_bridge.h, BR_BOOLOPT_NO_LL_LEARN). */
#include "priv.h"

#include <errno.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>

/* The rest of a message that changes one bridge: *RET_INFO and *RET_DATA are to be ended. */
static struct nl_msg *bridge_msg(const char *bridge, struct nlattr **ret_info, struct nlattr **ret_data)
{
	const struct ifinfomsg ifi = { .ifi_family = AF_UNSPEC };
	_cleanup_(bh_nl_msg_freep) struct nl_msg *m = bh_nl_msg(RTM_NEWLINK, 0, &ifi, sizeof(ifi));

	if (!m || nla_put_string(m, IFLA_IFNAME, bridge) < 0)
		return NULL;
	*ret_info = nla_nest_start(m, IFLA_LINKINFO);
	if (!*ret_info || nla_put_string(m, IFLA_INFO_KIND, "bridge") < 0)
		return NULL;
	*ret_data = nla_nest_start(m, IFLA_INFO_DATA);
	return *ret_data ? bh_take(m) : NULL;
}

static int change(struct bh_nl *n, const char *bridge, const char *what, struct nl_msg *m, struct bh_error *err)
{
	int r = bh_nl_talk(n, m);

	return r < 0 ? bh_fail(err, r, "cannot set %s of bridge %s: %s%s%s", what, bridge, strerror(-r), n->extack[0] ? ": " : "", n->extack) : 0;
}

int bh_tc_set_bridge_calls(struct bh_nl *n, const char *bridge, bool ip, bool ip6, struct bh_error *err)
{
	_cleanup_(bh_nl_msg_freep) struct nl_msg *m = NULL;
	struct nlattr *info, *data;

	if (strlen(bridge) >= IFNAMSIZ)
		return bh_fail(err, -EINVAL, "bridge name is too long");
	m = bridge_msg(bridge, &info, &data);
	if (!m || nla_put_u8(m, IFLA_BR_NF_CALL_IPTABLES, ip) < 0 || nla_put_u8(m, IFLA_BR_NF_CALL_IP6TABLES, ip6) < 0)
		return bh_fail(err, -ENOMEM, "no memory");
	nla_nest_end(m, data);
	nla_nest_end(m, info);
	return change(n, bridge, "nf_call_iptables", m, err);
}

int bh_tc_set_bridge_learns(struct bh_nl *n, const char *bridge, bool groups, struct bh_error *err)
{
	const struct br_boolopt_multi opt = {.optval = groups ? 0 : 1u << BR_BOOLOPT_NO_LL_LEARN, .optmask = 1u << BR_BOOLOPT_NO_LL_LEARN};
	_cleanup_(bh_nl_msg_freep) struct nl_msg *m = NULL;
	struct nlattr *info, *data;

	if (strlen(bridge) >= IFNAMSIZ)
		return bh_fail(err, -EINVAL, "bridge name is too long");
	m = bridge_msg(bridge, &info, &data);
	if (!m || nla_put(m, IFLA_BR_MULTI_BOOLOPT, sizeof(opt), &opt) < 0)
		return bh_fail(err, -ENOMEM, "no memory");
	nla_nest_end(m, data);
	nla_nest_end(m, info);
	return change(n, bridge, "no_linklocal_learn", m, err);
}
