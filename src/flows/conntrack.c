/* SPDX-License-Identifier: Apache-2.0 */
/* Conntrack over netlink: list, forget, adopt. */
#include "flows.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <string.h>
#include <time.h>

#define ADOPTED_TIMEOUT 86400u	/* seconds, where the entry before does not say: the first packet makes it the kernel's own */

struct kernel_flows {
	struct bh_flows head;
	struct mnl_socket *nl;
	uint32_t portid, seq;
	_Alignas(8) uint8_t buf[65536];
};

struct dump {
	bh_flow_fn fn;
	void *userdata;
};

static int on_flow(const struct nlmsghdr *nlh, void *userdata)
{
	const struct dump *d = userdata;
	struct bh_flow flow;

	if (bh_flow_decode(nlh, nlh->nlmsg_len, &flow) == 0)
		d->fn(d->userdata, &flow);
	return MNL_CB_OK;
}

/* Sends what BUF holds and reads the answer to its end. */
static int ask(struct kernel_flows *k, struct nlmsghdr *nlh, mnl_cb_t cb, void *data)
{
	ssize_t len;
	int r = MNL_CB_OK;

	nlh->nlmsg_seq = ++k->seq;
	if (mnl_socket_sendto(k->nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	while (r == MNL_CB_OK) {
		len = mnl_socket_recvfrom(k->nl, k->buf, sizeof(k->buf));
		if (len < 0)
			return -errno;
		r = mnl_cb_run(k->buf, (size_t)len, k->seq, k->portid, cb, data);
	}
	return r < 0 ? -errno : 0;
}

static struct nlmsghdr *header_put(char *buf, uint16_t type, uint16_t flags, uint8_t family)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *nfg;

	nlh->nlmsg_type = (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | type);
	nlh->nlmsg_flags = flags;
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = family;
	nfg->version = NFNETLINK_V0;
	return nlh;
}

static int dump(struct bh_flows *f, bh_flow_fn fn, void *userdata, struct bh_error *err)
{
	struct kernel_flows *k = (struct kernel_flows *)f;
	struct dump d = {.fn = fn, .userdata = userdata};
	char buf[MNL_NLMSG_HDRLEN + 64] = {0};
	int r = ask(k, header_put(buf, IPCTNL_MSG_CT_GET, NLM_F_REQUEST | NLM_F_DUMP, AF_UNSPEC), on_flow, &d);

	return r < 0 ? bh_fail(err, r, "conntrack: %s", strerror(-r)) : 0;
}

static void addrs_set(struct nf_conntrack *ct, const struct bh_flow *flow)
{
	if (flow->from.family == 4) {
		nfct_set_attr_u8(ct, ATTR_L3PROTO, AF_INET);
		nfct_set_attr(ct, ATTR_IPV4_SRC, flow->from.b);
		nfct_set_attr(ct, ATTR_IPV4_DST, flow->orig_to.b);
	} else {
		nfct_set_attr_u8(ct, ATTR_L3PROTO, AF_INET6);
		nfct_set_attr(ct, ATTR_IPV6_SRC, flow->from.b);
		nfct_set_attr(ct, ATTR_IPV6_DST, flow->orig_to.b);
	}
	nfct_set_attr_u8(ct, ATTR_L4PROTO, flow->proto);
	nfct_set_attr_u16(ct, ATTR_PORT_SRC, htons(flow->from_port));
	nfct_set_attr_u16(ct, ATTR_PORT_DST, htons(flow->orig_to_port));
	if (flow->zone)
		nfct_set_attr_u16(ct, ATTR_ZONE, flow->zone);
}

static int send_entry(struct kernel_flows *k, const struct nf_conntrack *ct, uint8_t family, uint16_t type, uint16_t flags,
	mnl_cb_t cb, void *data)
{
	char buf[4096] = {0};	/* what fills up an attribute goes to the kernel too */
	struct nlmsghdr *nlh = header_put(buf, type, flags | NLM_F_ACK, family == 4 ? AF_INET : AF_INET6);

	if (nfct_nlmsg_build(nlh, ct) < 0)
		return -EINVAL;
	return ask(k, nlh, cb, data);
}

/* The packet's own addresses as a tuple, or from its destination's side (TURNED). */
static void tuple_set(struct nf_conntrack *ct, const struct bh_denied *d, bool turned)
{
	const struct bh_addr *from = turned ? &d->to : &d->from, *to = turned ? &d->from : &d->to;
	const bool four = d->from.family == 4;

	nfct_set_attr_u8(ct, ATTR_L3PROTO, four ? AF_INET : AF_INET6);
	nfct_set_attr(ct, four ? ATTR_IPV4_SRC : ATTR_IPV6_SRC, from->b);
	nfct_set_attr(ct, four ? ATTR_IPV4_DST : ATTR_IPV6_DST, to->b);
	nfct_set_attr_u8(ct, ATTR_L4PROTO, d->proto);
	nfct_set_attr_u16(ct, ATTR_PORT_SRC, htons(turned ? d->to_port : d->from_port));
	nfct_set_attr_u16(ct, ATTR_PORT_DST, htons(turned ? d->from_port : d->to_port));
}

struct found {
	struct bh_flow *flow;
	bool any;
};

static int on_found(const struct nlmsghdr *nlh, void *userdata)
{
	struct found *found = userdata;

	if (bh_flow_decode(nlh, nlh->nlmsg_len, found->flow) == 0)
		found->any = true;
	return MNL_CB_OK;
}

/* Which way D goes, by its sender. */
static bool is_reply(const struct bh_denied *d, const struct bh_flow *flow)
{
	return d->from_port == flow->to_port && bh_addr_cmp(&d->from, &flow->to) == 0 &&
		(d->from_port != flow->from_port || bh_addr_cmp(&d->from, &flow->from) != 0 || d->to_port != flow->to_port);
}

/* Between routing and output a packet's destination is already translated and its source not yet. The kernel finds an entry by the addresses of
 * either direction: by the packet's own, unless it was translated (an answer to who is masqueraded, a request to who is published); then by
 * those of the other direction, as long as it was translated once. */
static int find(struct bh_flows *f, const struct bh_denied *d, struct bh_flow *ret, bool *ret_reply, struct bh_error *err)
{
	for (int turned = 0; turned < 2 && d->has_ports && d->from.family; turned++) {
		struct nf_conntrack *ct = nfct_new();
		struct bh_flow flow;
		struct found found = {.flow = &flow};
		int r;

		if (!ct)
			return bh_fail(err, -ENOMEM, "out of memory");
		tuple_set(ct, d, turned);
		r = send_entry((struct kernel_flows *)f, ct, d->from.family, IPCTNL_MSG_CT_GET, NLM_F_REQUEST, on_found, &found);
		nfct_destroy(ct);
		if (r < 0 && r != -ENOENT)
			return bh_fail(err, r, "conntrack: %s", strerror(-r));
		if (r == 0 && found.any) {
			*ret = flow;
			*ret_reply = is_reply(d, &flow);
			return 0;
		}
	}
	return bh_fail(err, -ENOENT, "conntrack knows no such connection");
}

static int forget(struct bh_flows *f, const struct bh_flow *flow, struct bh_error *err)
{
	struct nf_conntrack *ct = nfct_new();
	int r;

	if (!ct)
		return bh_fail(err, -ENOMEM, "out of memory");
	addrs_set(ct, flow);
	if (flow->id)
		nfct_set_attr_u32(ct, ATTR_ID, htonl(flow->id));	/* of this entry, not of a later one */
	r = send_entry((struct kernel_flows *)f, ct, flow->from.family, IPCTNL_MSG_CT_DELETE, NLM_F_REQUEST, NULL, NULL);
	nfct_destroy(ct);
	return r < 0 ? bh_fail(err, r, "conntrack: %s", strerror(-r)) : 0;
}

/* The windows of a connection that was not seen from its start are not known: they are not checked, as when conntrack picks it up. */
static int adopt(struct bh_flows *f, const struct bh_flow *flow, struct bh_error *err)
{
	const uint8_t liberal = IP_CT_TCP_FLAG_BE_LIBERAL | IP_CT_TCP_FLAG_SACK_PERM;
	struct nf_conntrack *ct;
	int r;

	if (flow->proto != IPPROTO_TCP || bh_flow_is_translated(flow))
		return bh_fail(err, -EINVAL, "conntrack: only TCP without NAT is adopted");
	ct = nfct_new();
	if (!ct)
		return bh_fail(err, -ENOMEM, "out of memory");
	addrs_set(ct, flow);
	nfct_setobjopt(ct, NFCT_SOPT_SETUP_REPLY);
	nfct_set_attr_u8(ct, ATTR_TCP_STATE, TCP_CONNTRACK_ESTABLISHED);
	nfct_set_attr_u8(ct, ATTR_TCP_FLAGS_ORIG, liberal);
	nfct_set_attr_u8(ct, ATTR_TCP_MASK_ORIG, liberal);
	nfct_set_attr_u8(ct, ATTR_TCP_FLAGS_REPL, liberal);
	nfct_set_attr_u8(ct, ATTR_TCP_MASK_REPL, liberal);
	nfct_set_attr_u32(ct, ATTR_STATUS, IPS_SEEN_REPLY | IPS_ASSURED | IPS_CONFIRMED);
	nfct_set_attr_u32(ct, ATTR_TIMEOUT, flow->timeout ? flow->timeout : ADOPTED_TIMEOUT);
	if (flow->mark)
		nfct_set_attr_u32(ct, ATTR_MARK, flow->mark);
	r = send_entry((struct kernel_flows *)f, ct, flow->from.family, IPCTNL_MSG_CT_NEW,
		NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL, NULL, NULL);
	nfct_destroy(ct);
	return r < 0 ? bh_fail(err, r, "conntrack: %s", strerror(-r)) : 0;
}

static void kernel_free(struct bh_flows *f)
{
	struct kernel_flows *k = (struct kernel_flows *)f;

	if (k->nl)
		(void)mnl_socket_close(k->nl);
	free(k);
}

static const struct bh_flows_ops kernel_ops = {.dump = dump, .find = find, .forget = forget, .adopt = adopt, .free = kernel_free};

void bh_flows_free(struct bh_flows *f)
{
	if (f)
		f->ops->free(f);
}

int bh_flows_new(struct bh_flows **ret, struct bh_error *err)
{
	struct kernel_flows *k = calloc(1, sizeof(*k));

	if (!k)
		return bh_fail(err, -ENOMEM, "out of memory");
	k->head.ops = &kernel_ops;
	k->seq = (uint32_t)time(NULL);
	k->nl = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	if (!k->nl || mnl_socket_bind(k->nl, 0, MNL_SOCKET_AUTOPID) < 0) {
		int r = bh_fail(err, -errno, "conntrack: %s", strerror(errno));

		kernel_free(&k->head);
		return r;
	}
	k->portid = mnl_socket_get_portid(k->nl);
	*ret = &k->head;
	return 0;
}
