/* SPDX-License-Identifier: Apache-2.0 */
/* A throw-away namespace is filled: one message a thing (rtnetlink(7), include/uapi/linux/if_link.h, veth.h, neighbour.h). */
#include "priv.h"

#include <bulkhead/scratch.h>

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <string.h>

struct bh_scratch {
	struct bh_nl nl;
};

int bh_scratch_new(struct bh_scratch **ret, struct bh_error *err)
{
	_cleanup_(bh_scratch_freep) struct bh_scratch *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return bh_fail(err, -ENOMEM, "out of memory");
	s->nl.fd = -1;
	r = bh_nl_open(&s->nl, err);
	if (r == 0)
		*ret = bh_take(s);
	return r;
}

void bh_scratch_free(struct bh_scratch *s)
{
	if (!s)
		return;
	bh_nl_close(&s->nl);
	free(s);
}

static int talk(struct bh_scratch *s, struct nl_msg *m, const char *what, const char *name, struct bh_error *err)
{
	int r = m ? bh_nl_talk(&s->nl, m) : -ENOMEM;

	return r < 0 ? bh_fail(err, r, "cannot make the throw-away %s %s: %s%s%s", what, name, strerror(-r), s->nl.extack[0] ? ": " : "", s->nl.extack) : 0;
}

static struct nl_msg *link_msg(int flags, int index, unsigned up)
{
	const struct ifinfomsg ifi = {.ifi_family = AF_UNSPEC, .ifi_index = index, .ifi_flags = up, .ifi_change = up};

	return bh_nl_msg(RTM_NEWLINK, flags, &ifi, sizeof(ifi));
}

int bh_scratch_bridge(struct bh_scratch *s, const char *name, const struct bh_mac *mac, bool ip, bool ip6, struct bh_error *err)
{
	_cleanup_(bh_nl_msg_freep) struct nl_msg *m = link_msg(NLM_F_CREATE | NLM_F_EXCL, 0, IFF_UP);
	struct nlattr *info;
	int r = -ENOMEM;

	if (m && nla_put_string(m, IFLA_IFNAME, name) == 0 && nla_put(m, IFLA_ADDRESS, sizeof(mac->b), mac->b) == 0 &&
		(info = nla_nest_start(m, IFLA_LINKINFO)) && nla_put_string(m, IFLA_INFO_KIND, "bridge") == 0)
		r = nla_nest_end(m, info);
	r = talk(s, r < 0 ? NULL : m, "bridge", name, err);
	return r < 0 ? r : bh_tc_set_bridge_calls(&s->nl, name, ip, ip6, err);
}

static bool put_veth(struct nl_msg *m, const struct bh_scratch_wire *w)
{
	const struct ifinfomsg ifi = {.ifi_family = AF_UNSPEC, .ifi_index = w->peer_index};
	struct nlattr *info, *data, *peer;

	return (info = nla_nest_start(m, IFLA_LINKINFO)) && nla_put_string(m, IFLA_INFO_KIND, "veth") == 0 && (data = nla_nest_start(m, IFLA_INFO_DATA)) &&
		(peer = nla_nest_start(m, VETH_INFO_PEER)) && nlmsg_append(m, (void *)&ifi, sizeof(ifi), NLMSG_ALIGNTO) == 0 &&
		nla_put_string(m, IFLA_IFNAME, w->name) == 0 &&
		nla_put_u32(m, IFLA_NET_NS_FD, (uint32_t)w->peer_ns) == 0 && nla_nest_end(m, peer) == 0 && nla_nest_end(m, data) == 0 && nla_nest_end(m, info) == 0;
}

int bh_scratch_veth(struct bh_scratch *s, const struct bh_scratch_wire *w, struct bh_error *err)
{
	_cleanup_(bh_nl_msg_freep) struct nl_msg *m = link_msg(NLM_F_CREATE | NLM_F_EXCL, w->index, IFF_UP | (w->bridge ? 0 : IFF_NOARP));
	bool made = m && nla_put_string(m, IFLA_IFNAME, w->name) == 0 && nla_put(m, IFLA_ADDRESS, sizeof(w->mac.b), w->mac.b) == 0 && put_veth(m, w);

	if (made && w->bridge)
		made = nla_put_u32(m, IFLA_MASTER, if_nametoindex(w->bridge)) == 0;
	return talk(s, made ? m : NULL, "interface", w->name, err);
}

int bh_scratch_up(struct bh_scratch *s, int index, struct bh_error *err)
{
	_cleanup_(bh_nl_msg_freep) struct nl_msg *m = link_msg(0, index, IFF_UP);

	return talk(s, m, "interface", "to bring up", err);
}

static uint8_t family_of(const struct bh_addr *a)
{
	return a->family == 4 ? AF_INET : AF_INET6;
}

int bh_scratch_addr(struct bh_scratch *s, const char *dev, const struct bh_prefix *addr, struct bh_error *err)
{
	const struct ifaddrmsg ifa = {
		.ifa_family = family_of(&addr->addr), .ifa_prefixlen = addr->len, .ifa_flags = addr->addr.family == 6 ? IFA_F_NODAD : 0, .ifa_index = if_nametoindex(dev),
	};
	_cleanup_(bh_nl_msg_freep) struct nl_msg *m = bh_nl_msg(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &ifa, sizeof(ifa));
	int size = (int)bh_addr_size(&addr->addr);
	bool made = m && nla_put(m, IFA_LOCAL, size, addr->addr.b) == 0 && nla_put(m, IFA_ADDRESS, size, addr->addr.b) == 0;

	return talk(s, made ? m : NULL, "address on", dev, err);
}

int bh_scratch_route(struct bh_scratch *s, const char *dev, const struct bh_addr *to, struct bh_error *err)
{
	int size = (int)bh_addr_size(to);
	const struct rtmsg rtm = {
		.rtm_family = family_of(to), .rtm_dst_len = (uint8_t)(size * 8), .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_STATIC,
		.rtm_scope = to->family == 4 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE, .rtm_type = RTN_UNICAST,
	};
	_cleanup_(bh_nl_msg_freep) struct nl_msg *m = bh_nl_msg(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &rtm, sizeof(rtm));
	bool made = m && nla_put(m, RTA_DST, size, to->b) == 0 && nla_put_u32(m, RTA_OIF, if_nametoindex(dev)) == 0;

	return talk(s, made ? m : NULL, "route over", dev, err);
}

int bh_scratch_neighbour(struct bh_scratch *s, const char *dev, const struct bh_addr *addr, const struct bh_mac *mac, struct bh_error *err)
{
	const struct ndmsg nd = {.ndm_family = family_of(addr), .ndm_ifindex = (int)if_nametoindex(dev), .ndm_state = NUD_PERMANENT};
	_cleanup_(bh_nl_msg_freep) struct nl_msg *m = bh_nl_msg(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &nd, sizeof(nd));
	bool made = m && nla_put(m, NDA_DST, (int)bh_addr_size(addr), addr->b) == 0 && nla_put(m, NDA_LLADDR, sizeof(mac->b), mac->b) == 0;

	return talk(s, made ? m : NULL, "neighbour on", dev, err);
}
