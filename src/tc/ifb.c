/* SPDX-License-Identifier: Apache-2.0 */
/* The two IFBs: made, found again by name, kind and alias, and removed (include/uapi/linux/if_link.h). */
#include "qdisc.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>

const char *const bh_tc_ifb[BH_DIRECTION_MAX] = { [BH_EGRESS] = BH_IFB_EGRESS, [BH_INGRESS] = BH_IFB_INGRESS };

/* The group of links (IFLA_GROUP) that one is made with, which it has until it has its alias: by that it is known when who made it died between. */
#define HALF_MADE 0x62680001u

static int on_ifb(const struct nlmsghdr *h, void *arg)
{
	struct bh_tc_ifb_state *s = arg;
	const struct ifinfomsg *ifi = nlmsg_data(h);
	struct nlattr *tb[IFLA_MAX + 1], *kind;
	bool alias;

	if (h->nlmsg_type != RTM_NEWLINK || nlmsg_parse((struct nlmsghdr *)h, sizeof(*ifi), tb, IFLA_MAX, NULL) < 0)
		return -EBADMSG;
	s->ifindex = ifi->ifi_index;
	s->up = (ifi->ifi_flags & IFF_UP) != 0;
	kind = tb[IFLA_LINKINFO] ? nla_find(nla_data(tb[IFLA_LINKINFO]), nla_len(tb[IFLA_LINKINFO]), IFLA_INFO_KIND) : NULL;
	alias = tb[IFLA_IFALIAS] && nla_len(tb[IFLA_IFALIAS]) >= (int)strlen(BH_TC_ALIAS) &&
		strncmp(nla_data(tb[IFLA_IFALIAS]), BH_TC_ALIAS, strlen(BH_TC_ALIAS)) == 0;
	s->half_made = !alias && tb[IFLA_GROUP] && nla_get_u32(tb[IFLA_GROUP]) == HALF_MADE;
	s->ours = kind && nla_strcmp(kind, "ifb") == 0 && (alias || s->half_made);
	return 0;
}

int bh_tc_ifb_get(struct bh_nl *n, const char *name, struct bh_tc_ifb_state *ret)
{
	const struct ifinfomsg ifi = { .ifi_family = AF_UNSPEC };
	_cleanup_(bh_nl_msg_freep) struct nl_msg *m = bh_nl_msg(RTM_GETLINK, 0, &ifi, sizeof(ifi));
	struct bh_tc_ifb_state s = { 0 };
	int r;

	if (!m || nla_put_string(m, IFLA_IFNAME, name) < 0 || nla_put_u32(m, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS) < 0)
		return -ENOMEM;
	r = bh_nl_ask(n, m, on_ifb, &s);
	if (r < 0 && r != -ENODEV)
		return r;
	*ret = s;
	return 0;
}

/* No link-local address: nothing speaks on an IFB, and a prefix on it would count as on-link. */
static bool put_no_addresses(struct nl_msg *m)
{
	struct nlattr *spec, *inet6;

	return (spec = nla_nest_start(m, IFLA_AF_SPEC)) && (inet6 = nla_nest_start(m, AF_INET6)) &&
		nla_put_u8(m, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE) == 0 && nla_nest_end(m, inet6) == 0 &&
		nla_nest_end(m, spec) == 0;
}

static int ifb_create(struct bh_nl *n, const char *name)
{
	const struct ifinfomsg ifi = { .ifi_family = AF_UNSPEC };
	_cleanup_(bh_nl_msg_freep) struct nl_msg *m =
		bh_nl_msg(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &ifi, sizeof(ifi));
	struct nlattr *info;

	if (!m || nla_put_string(m, IFLA_IFNAME, name) < 0 || nla_put_u32(m, IFLA_GROUP, HALF_MADE) < 0)
		return -ENOMEM;
	info = nla_nest_start(m, IFLA_LINKINFO);
	if (!info || nla_put_string(m, IFLA_INFO_KIND, "ifb") < 0 || nla_nest_end(m, info) < 0)
		return -ENOMEM;
	return bh_nl_talk(n, m);
}

/* The kernel takes neither an alias nor what belongs to an address family when it creates a link (rtnl_newlink_create()
 * in net/core/rtnetlink.c). */
static int ifb_dress(struct bh_nl *n, const char *name, bool inet6)
{
	const struct ifinfomsg ifi = { .ifi_family = AF_UNSPEC };
	_cleanup_(bh_nl_msg_freep) struct nl_msg *m = bh_nl_msg(RTM_NEWLINK, 0, &ifi, sizeof(ifi));

	if (!m || nla_put_string(m, IFLA_IFNAME, name) < 0 || nla_put_string(m, IFLA_IFALIAS, BH_TC_ALIAS) < 0 ||
		nla_put_u32(m, IFLA_GROUP, 0) < 0)
		return -ENOMEM;
	if (inet6 && !put_no_addresses(m))
		return -ENOMEM;
	return bh_nl_talk(n, m);
}

int bh_tc_ifb_add(struct bh_nl *n, const char *name, bool half_made)
{
	int r = half_made ? 0 : ifb_create(n, name);

	if (r < 0)
		return r;
	r = ifb_dress(n, name, true);
	if (r == -EAFNOSUPPORT || r == -EOPNOTSUPP)	/* no IPv6 here */
		r = ifb_dress(n, name, false);
	return r;
}

int bh_tc_link_up(struct bh_nl *n, int ifindex)
{
	const struct ifinfomsg ifi = {
		.ifi_family = AF_UNSPEC,
		.ifi_index = ifindex,
		.ifi_flags = IFF_UP,
		.ifi_change = IFF_UP,
	};
	_cleanup_(bh_nl_msg_freep) struct nl_msg *m = bh_nl_msg(RTM_NEWLINK, 0, &ifi, sizeof(ifi));

	return m ? bh_nl_talk(n, m) : -ENOMEM;
}

int bh_tc_link_del(struct bh_nl *n, int ifindex)
{
	const struct ifinfomsg ifi = { .ifi_family = AF_UNSPEC, .ifi_index = ifindex };
	_cleanup_(bh_nl_msg_freep) struct nl_msg *m = bh_nl_msg(RTM_DELLINK, 0, &ifi, sizeof(ifi));

	return m ? bh_nl_talk(n, m) : -ENOMEM;
}
