/* SPDX-License-Identifier: Apache-2.0 */
/* Links, the far ends of veths, and addresses, as the kernel shows them (rtnetlink(7)). CAP_NET_ADMIN is enough: a peer's
 * namespace is read through its id (IFLA_TARGET_NETNSID), nothing is entered. */
#include "priv.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>

/* What one RTM_NEWLINK says, of our own namespace or another. */
struct link_msg {
	struct bh_link link;
	int peer_link;		/* IFLA_LINK, 0 without */
	int peer_nsid;		/* IFLA_LINK_NETNSID, -1 without */
};

/* Links while they are being read: sorted by ifindex at the end. */
struct reading {
	struct bh_host *host;
	BH_VEC(struct link_msg) msgs;
	int nsid;		/* of the peers being read */
};

static enum bh_link_kind link_kind(const char *kind, struct nlattr *data)
{
	static const struct {
		const char *name;
		enum bh_link_kind kind;
	} kinds[] = {
		{ "bridge", BH_LINK_BRIDGE }, { "veth", BH_LINK_VETH }, { "ifb", BH_LINK_IFB },
		{ "bond", BH_LINK_BOND }, { "vlan", BH_LINK_VLAN },
	};

	for (size_t i = 0; i < BH_ARRAY_SIZE(kinds); i++)
		if (strcmp(kinds[i].name, kind) == 0)
			return kinds[i].kind;
	if (strcmp(kind, "macvtap") == 0)
		return BH_LINK_TAP;
	if (strcmp(kind, "tun") == 0 && data) {
		struct nlattr *type = nla_find(nla_data(data), nla_len(data), IFLA_TUN_TYPE);

		return type && nla_len(type) >= 1 && nla_get_u8(type) == IFF_TAP ? BH_LINK_TAP : BH_LINK_OTHER;
	}
	return BH_LINK_OTHER;
}

static bool flag_set(struct nlattr *a)
{
	return a && nla_len(a) >= 1 && nla_get_u8(a) != 0;
}

/* Whether there is such an option, and it is off. */
static bool option_clear(struct nlattr *a, enum br_boolopt_id option)
{
	struct br_boolopt_multi opt;

	if (!a || nla_len(a) < (int)sizeof(opt))
		return false;
	memcpy(&opt, nla_data(a), sizeof(opt));
	return (opt.optmask & 1u << option) && !(opt.optval & 1u << option);
}

static int parse_linkinfo(struct nlattr *attr, struct bh_link *l)
{
	struct nlattr *info[IFLA_INFO_MAX + 1], *br[IFLA_BR_MAX + 1];

	if (!attr)
		return 0;
	if (nla_parse_nested(info, IFLA_INFO_MAX, attr, NULL) < 0)
		return -EBADMSG;
	if (!info[IFLA_INFO_KIND])
		return 0;
	l->physical = false;
	l->kind = link_kind(nla_get_string(info[IFLA_INFO_KIND]), info[IFLA_INFO_DATA]);
	if (l->kind != BH_LINK_BRIDGE || !info[IFLA_INFO_DATA])
		return 0;
	if (nla_parse_nested(br, IFLA_BR_MAX, info[IFLA_INFO_DATA], NULL) < 0)
		return -EBADMSG;
	l->nf_call_iptables = flag_set(br[IFLA_BR_NF_CALL_IPTABLES]);
	l->nf_call_ip6tables = flag_set(br[IFLA_BR_NF_CALL_IP6TABLES]);
	l->learns_groups = option_clear(br[IFLA_BR_MULTI_BOOLOPT], BR_BOOLOPT_NO_LL_LEARN);
	return 0;
}

/* 1: RET is filled, 0: not a link message, -errno. */
static int parse_link(const struct nlmsghdr *h, struct link_msg *ret)
{
	static const struct nla_policy policy[IFLA_MAX + 1] = {
		[IFLA_IFNAME] = { .type = NLA_STRING, .maxlen = IFNAMSIZ },
		[IFLA_MASTER] = { .type = NLA_U32 },
		[IFLA_LINK] = { .type = NLA_U32 },
		[IFLA_LINK_NETNSID] = { .type = NLA_S32 },
	};
	struct nlattr *tb[IFLA_MAX + 1];
	const struct ifinfomsg *ifi = nlmsg_data(h);
	struct bh_link *l = &ret->link;

	if (h->nlmsg_type != RTM_NEWLINK || h->nlmsg_len < NLMSG_LENGTH(sizeof(*ifi)))
		return 0;
	if (nlmsg_parse((struct nlmsghdr *)h, sizeof(*ifi), tb, IFLA_MAX, (struct nla_policy *)policy) < 0)
		return -EBADMSG;
	if (!tb[IFLA_IFNAME])
		return 0;
	*ret = (struct link_msg){ .peer_nsid = -1 };
	l->ifindex = ifi->ifi_index;
	nla_strlcpy(l->name, tb[IFLA_IFNAME], sizeof(l->name));
	l->up = (ifi->ifi_flags & IFF_UP) != 0;
	l->peer_nsid = -1;
	if (ifi->ifi_flags & IFF_LOOPBACK)
		l->kind = BH_LINK_LOOPBACK;
	else
		l->physical = true;
	if (tb[IFLA_MASTER])
		l->master = (int)nla_get_u32(tb[IFLA_MASTER]);
	if (tb[IFLA_ADDRESS] && nla_len(tb[IFLA_ADDRESS]) == sizeof(l->mac.b))
		memcpy(l->mac.b, nla_data(tb[IFLA_ADDRESS]), sizeof(l->mac.b));
	if (tb[IFLA_LINK])
		ret->peer_link = (int)nla_get_u32(tb[IFLA_LINK]);
	if (tb[IFLA_LINK_NETNSID])
		ret->peer_nsid = nla_get_s32(tb[IFLA_LINK_NETNSID]);
	if (parse_linkinfo(tb[IFLA_LINKINFO], l) < 0)
		return -EBADMSG;
	return 1;
}

static int on_link(const struct nlmsghdr *h, void *arg)
{
	struct reading *r = arg;
	struct link_msg msg;
	int p = parse_link(h, &msg);

	return p <= 0 ? p : bh_vec_push(&r->msgs, msg);
}

static int by_ifindex(const void *a, const void *b)
{
	const struct link_msg *x = a, *y = b;

	return (x->link.ifindex > y->link.ifindex) - (x->link.ifindex < y->link.ifindex);
}

static struct link_msg *find_msg(const struct reading *r, int ifindex)
{
	const struct link_msg key = { .link.ifindex = ifindex };

	return r->msgs.n ? bsearch(&key, r->msgs.v, r->msgs.n, sizeof(key), by_ifindex) : NULL;
}

/* A link of a peer's namespace: ours when both ends name each other. */
static int on_peer(const struct nlmsghdr *h, void *arg)
{
	struct reading *r = arg;
	struct link_msg peer, *own;
	int p = parse_link(h, &peer);

	if (p <= 0 || peer.link.kind != BH_LINK_VETH)
		return p < 0 ? p : 0;
	own = find_msg(r, peer.peer_link);
	if (!own || own->link.kind != BH_LINK_VETH || own->peer_nsid != r->nsid || own->peer_link != peer.link.ifindex)
		return 0;
	own->link.has_peer = true;
	own->link.peer_ifindex = peer.link.ifindex;
	own->link.peer_mac = peer.link.mac;
	return 0;
}

static int dump_links(struct bh_nl *n, int nsid, bh_nl_fn fn, void *arg)
{
	const struct ifinfomsg ifi = { .ifi_family = AF_UNSPEC };
	_cleanup_(bh_nl_msg_freep) struct nl_msg *m = bh_nl_msg(RTM_GETLINK, NLM_F_DUMP, &ifi, sizeof(ifi));

	/* Statistics are half of an answer's bytes and not wanted here. */
	if (!m || nla_put_u32(m, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS) < 0)
		return -ENOMEM;
	if (nsid >= 0 && nla_put_s32(m, IFLA_TARGET_NETNSID, nsid) < 0)
		return -ENOMEM;
	return bh_nl_ask(n, m, fn, arg);
}

static int on_addr(const struct nlmsghdr *h, void *arg)
{
	struct reading *r = arg;
	struct nlattr *tb[IFA_MAX + 1], *a;
	const struct ifaddrmsg *ifa = nlmsg_data(h);
	struct bh_local_addr addr = { 0 };
	size_t size;

	if (h->nlmsg_type != RTM_NEWADDR || h->nlmsg_len < NLMSG_LENGTH(sizeof(*ifa)))
		return 0;
	if (ifa->ifa_family != AF_INET && ifa->ifa_family != AF_INET6)
		return 0;
	if (nlmsg_parse((struct nlmsghdr *)h, sizeof(*ifa), tb, IFA_MAX, NULL) < 0)
		return -EBADMSG;
	/* On a point-to-point link IFA_ADDRESS is the other end's. */
	a = tb[IFA_LOCAL] ? tb[IFA_LOCAL] : tb[IFA_ADDRESS];
	size = ifa->ifa_family == AF_INET ? 4 : 16;
	if (!a || nla_len(a) != (int)size || ifa->ifa_prefixlen > size * 8)
		return 0;
	addr.ifindex = (int)ifa->ifa_index;
	addr.prefix.addr.family = ifa->ifa_family == AF_INET ? 4 : 6;
	addr.prefix.len = ifa->ifa_prefixlen;
	memcpy(addr.prefix.addr.b, nla_data(a), size);
	a = tb[IFA_ADDRESS];
	if (tb[IFA_LOCAL] && a && nla_len(a) == (int)size && memcmp(nla_data(a), addr.prefix.addr.b, size) != 0) {
		addr.peer = addr.prefix;
		memcpy(addr.peer.addr.b, nla_data(a), size);
	}
	return bh_vec_push(&r->host->addrs, addr);
}

static int dump_addrs(struct bh_nl *n, struct reading *r)
{
	const struct ifaddrmsg ifa = { .ifa_family = AF_UNSPEC };
	_cleanup_(bh_nl_msg_freep) struct nl_msg *m = bh_nl_msg(RTM_GETADDR, NLM_F_DUMP, &ifa, sizeof(ifa));

	return m ? bh_nl_ask(n, m, on_addr, r) : -ENOMEM;
}

/* One dump a namespace, whatever number of veths lead into it. */
static int read_peers(struct bh_nl *n, struct reading *r)
{
	bh_vec_foreach(first, &r->msgs) {
		bool done = false;
		int e;

		if (first->link.kind != BH_LINK_VETH || first->peer_nsid < 0)
			continue;
		first->link.peer_nsid = r->nsid = first->peer_nsid;
		for (struct link_msg *m = r->msgs.v; m < first && !done; m++)
			done = m->link.kind == BH_LINK_VETH && m->peer_nsid == r->nsid;
		if (done)
			continue;
		for (int i = 0; i < BH_NL_DUMP_TRIES; i++) {
			e = dump_links(n, r->nsid, on_peer, r);
			if (e != -EINTR)
				break;
		}
		/* A namespace that went away meanwhile, or one of a user namespace that we have no rights in, leaves the
		 * peer unknown; what breaks the socket breaks the whole reading. */
		if (e == -ENOMEM || e == -ENOBUFS || e == -ETIMEDOUT)
			return e;
	}
	return 0;
}

/* Who is a port of something else than a bridge is nobody's port. */
static void judge_master(const struct reading *r, struct link_msg *m)
{
	const struct link_msg *master = m->link.master ? find_msg(r, m->link.master) : NULL;

	if (!master || master->link.kind != BH_LINK_BRIDGE)
		m->link.master = 0;
}

static int move_links(struct reading *r)
{
	if (r->msgs.n)
		qsort(r->msgs.v, r->msgs.n, sizeof(*r->msgs.v), by_ifindex);
	bh_vec_foreach(m, &r->msgs) {
		judge_master(r, m);
		if (bh_vec_push(&r->host->links, m->link) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int read_once(struct bh_nl *n, struct reading *r)
{
	int e;

	r->msgs.n = 0;
	r->host->links.n = 0;
	r->host->addrs.n = 0;
	e = dump_links(n, -1, on_link, r);
	if (e == 0)
		e = dump_addrs(n, r);
	if (e < 0)
		return e;
	if (r->msgs.n)
		qsort(r->msgs.v, r->msgs.n, sizeof(*r->msgs.v), by_ifindex);
	e = read_peers(n, r);
	return e < 0 ? e : move_links(r);
}

int bh_tc_read_host(struct bh_nl *n, struct bh_host **ret, struct bh_error *err)
{
	_cleanup_(bh_host_freep) struct bh_host *host = calloc(1, sizeof(*host));
	struct reading r = { .host = host };
	int e = -EINTR;

	if (!host)
		return bh_fail(err, -ENOMEM, "no memory");
	for (int i = 0; i < BH_NL_DUMP_TRIES && e == -EINTR; i++)
		e = read_once(n, &r);
	bh_vec_clear(&r.msgs);
	if (e < 0)
		return bh_fail(err, e == -EINTR ? -EAGAIN : e, "cannot read links and addresses: %s", strerror(-e));
	*ret = bh_take(host);
	return 0;
}

int bh_tc_read_links(struct bh_nl *n, struct bh_host **ret)
{
	_cleanup_(bh_host_freep) struct bh_host *host = calloc(1, sizeof(*host));
	struct reading r = { .host = host };
	int e;

	if (!host)
		return -ENOMEM;
	e = dump_links(n, -1, on_link, &r);
	if (e == 0)
		e = move_links(&r);
	bh_vec_clear(&r.msgs);
	if (e < 0)
		return e;
	*ret = bh_take(host);
	return 0;
}

static int on_one_link(const struct nlmsghdr *h, void *arg)
{
	int r = parse_link(h, arg);

	return r < 0 ? r : 0;
}

static int one_link(struct bh_nl *n, int nsid, int ifindex, struct link_msg *ret)
{
	const struct ifinfomsg ifi = { .ifi_family = AF_UNSPEC, .ifi_index = ifindex };
	_cleanup_(bh_nl_msg_freep) struct nl_msg *m = bh_nl_msg(RTM_GETLINK, 0, &ifi, sizeof(ifi));

	if (!m || nla_put_u32(m, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS) < 0)
		return -ENOMEM;
	if (nsid >= 0 && nla_put_s32(m, IFLA_TARGET_NETNSID, nsid) < 0)
		return -ENOMEM;
	return bh_nl_ask(n, m, on_one_link, ret);
}

/* The other end of the veth M, as read_peers() tells it. A namespace that cannot be read leaves it unknown. */
static int one_peer(struct bh_nl *n, struct link_msg *m)
{
	struct link_msg peer = { 0 };
	int e;

	if (m->link.kind != BH_LINK_VETH || m->peer_nsid < 0)
		return 0;
	m->link.peer_nsid = m->peer_nsid;
	e = one_link(n, m->peer_nsid, m->peer_link, &peer);
	if (e == -ENOMEM || e == -ENOBUFS || e == -ETIMEDOUT)
		return e;
	if (e < 0 || peer.link.kind != BH_LINK_VETH || peer.link.ifindex != m->peer_link || peer.peer_link != m->link.ifindex)
		return 0;
	m->link.has_peer = true;
	m->link.peer_ifindex = peer.link.ifindex;
	m->link.peer_mac = peer.link.mac;
	return 0;
}

static void link_gone(struct bh_host *h, size_t at)
{
	h->links.n--;
	memmove(&h->links.v[at], &h->links.v[at + 1], (h->links.n - at) * sizeof(*h->links.v));
}

/* 1: HOST has changed. */
static int refresh_link(struct bh_nl *n, struct bh_host *host, int ifindex)
{
	size_t at = bh_host_link_place(host, ifindex);
	bool there = at < host->links.n && host->links.v[at].ifindex == ifindex;
	struct link_msg m = { 0 };
	const struct bh_link *master;
	int e = one_link(n, -1, ifindex, &m);

	if (e == -ENODEV) {
		if (there)
			link_gone(host, at);
		return there;
	}
	if (e == 0 && m.link.ifindex != ifindex)
		e = -EBADMSG;
	if (e == 0)
		e = one_peer(n, &m);
	if (e < 0)
		return e;
	master = m.link.master ? bh_host_link(host, m.link.master) : NULL;
	if (!master || master->kind != BH_LINK_BRIDGE)
		m.link.master = 0;
	if (there && memcmp(&host->links.v[at], &m.link, sizeof(m.link)) == 0)
		return 0;
	if (!there) {
		if (!bh_vec_add(&host->links))
			return -ENOMEM;
		memmove(&host->links.v[at + 1], &host->links.v[at], (host->links.n - 1 - at) * sizeof(m.link));
	}
	host->links.v[at] = m.link;
	return 1;
}

static int refresh_addrs(struct bh_nl *n, struct bh_host *host)
{
	struct bh_host now = { 0 };
	struct reading r = { .host = &now };
	int e = -EINTR;
	bool changed;

	for (int i = 0; i < BH_NL_DUMP_TRIES && e == -EINTR; i++) {
		now.addrs.n = 0;
		e = dump_addrs(n, &r);
	}
	changed = e == 0 && !bh_host_addrs_equal(host, &now);
	if (changed) {
		bh_vec_clear(&host->addrs);
		host->addrs.v = now.addrs.v;
		host->addrs.n = now.addrs.n;
		host->addrs.cap = now.addrs.cap;
	} else {
		bh_vec_clear(&now.addrs);
	}
	return e < 0 ? e : changed;
}

int bh_tc_refresh_host(struct bh_nl *n, struct bh_host *host, const int *links, size_t n_links, bool addrs, struct bh_error *err)
{
	int changed = 0, e = 0;

	/* A bridge may be told of after its ports, which without it are nobody's: a second pass puts them right. */
	for (int pass = 0; pass < (n_links > 1 ? 2 : 1); pass++)
		for (size_t i = 0; i < n_links && e >= 0; i++) {
			e = refresh_link(n, host, links[i]);
			changed |= e > 0;
		}
	if (e >= 0 && addrs) {
		e = refresh_addrs(n, host);
		changed |= e > 0;
	}
	return e < 0 ? bh_fail(err, e, "cannot read links and addresses: %s", strerror(-e)) : changed;
}

static int on_nsid(const struct nlmsghdr *h, void *arg)
{
	struct nlattr *a;

	if (h->nlmsg_type != RTM_NEWNSID)
		return 0;
	a = nlmsg_find_attr((struct nlmsghdr *)h, sizeof(struct rtgenmsg), NETNSA_NSID);
	if (a && nla_len(a) >= (int)sizeof(int32_t))
		*(int *)arg = nla_get_s32(a);
	return 0;
}

int bh_tc_read_nsid(struct bh_nl *n, pid_t pid)
{
	const struct rtgenmsg gen = { .rtgen_family = AF_UNSPEC };
	_cleanup_(bh_nl_msg_freep) struct nl_msg *m = bh_nl_msg(RTM_GETNSID, 0, &gen, sizeof(gen));
	int nsid = -1, r;

	if (!m || nla_put_u32(m, NETNSA_PID, (uint32_t)pid) < 0)
		return -ENOMEM;
	r = bh_nl_ask(n, m, on_nsid, &nsid);
	if (r == -EPERM)	/* which is -1, the answer for "none" */
		return -EACCES;
	return r < 0 ? r : nsid;
}
