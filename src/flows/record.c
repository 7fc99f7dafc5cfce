/* SPDX-License-Identifier: Apache-2.0 */
/* One message of NFLOG to one record (linux/netfilter/nfnetlink_log.h). */
#include "flows.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <net/ethernet.h>
#include <string.h>
#include <sys/socket.h>

/* Beside what Debian 12 has in its headers: NFULA_CT and NFULA_CT_INFO are there since 4.4. */
#define PREFIX "bulkhead "

static const char *const names[BH_CLASS_MAX] = {
	[BH_CLASS_POLICY] = "policy",
	[BH_CLASS_UNKNOWN] = "unknown",
	[BH_CLASS_QUARANTINE] = "quarantine",
	[BH_CLASS_IDENTITY] = "identity",
	[BH_CLASS_METADATA] = "metadata",
	[BH_CLASS_INVALID] = "invalid",
	[BH_CLASS_NOISE] = "noise",
	[BH_CLASS_LIMIT] = "limit",
};

const char *bh_denied_class_name(enum bh_denied_class c)
{
	return c < BH_CLASS_MAX ? names[c] : NULL;
}

const char *bh_denied_class_means(enum bh_denied_class c)
{
	switch (c) {
	case BH_CLASS_UNKNOWN:
		return "an end of it is known to no runtime yet, or no more: if that goes on, see bulkhead status, whether the runtime answers";
	case BH_CLASS_IDENTITY:
		return "it was sent with an address or MAC that is not the sender's, which no rule allows; a container that routes for others needs "
		       "'forwards' in its zone";
	case BH_CLASS_INVALID:
		return "it belongs to no connection that is known, such as the last packets of one that has ended: nothing is to be allowed";
	case BH_CLASS_NOISE:
		return "broadcast or multicast that nobody asked for: nothing is to be allowed";
	case BH_CLASS_LIMIT:
		return "the container has as many connections as its zone lets it open: raise 'connections' there";
	default:
		return NULL;
	}
}

static bool class_get(const struct nlattr *a, enum bh_denied_class *ret)
{
	const char *s;
	size_t n;

	if (!a)
		return false;
	s = mnl_attr_get_payload(a);
	n = strnlen(s, mnl_attr_get_payload_len(a));
	if (n < strlen(PREFIX) || memcmp(s, PREFIX, strlen(PREFIX)) != 0)
		return false;
	s += strlen(PREFIX);
	n -= strlen(PREFIX);
	while (n > 0 && s[n - 1] == ' ')
		n--;
	for (size_t i = 0; i < BH_CLASS_MAX; i++)
		if (strlen(names[i]) == n && memcmp(names[i], s, n) == 0) {
			*ret = (enum bh_denied_class)i;
			return true;
		}
	return false;
}

static void mac_decode(const struct nlattr *const *tb, struct bh_denied *d)
{
	const struct nlattr *head = tb[NFULA_HWHEADER];
	size_t len = head ? mnl_attr_get_payload_len(head) : 0;
	struct nfulnl_msg_packet_hw hw;

	if (len >= sizeof(struct ether_header) && flow_be16(tb[NFULA_HWLEN]) == len) {
		const uint8_t *p = mnl_attr_get_payload(head);

		memcpy(d->to_mac.b, p, 6);
		memcpy(d->from_mac.b, p + 6, 6);
		d->has_mac = true;
		return;
	}
	head = tb[NFULA_HWADDR];
	if (!head || mnl_attr_get_payload_len(head) < sizeof(hw))
		return;
	memcpy(&hw, mnl_attr_get_payload(head), sizeof(hw));
	if (ntohs(hw.hw_addrlen) != 6)
		return;
	memcpy(d->from_mac.b, hw.hw_addr, 6);
	d->has_mac = true;
}

static int flow_decode(const struct nlattr *const *tb, struct bh_denied *d)
{
	uint32_t info = flow_be32(tb[NFULA_CT_INFO]);

	if (!tb[NFULA_CT] || !tb[NFULA_CT_INFO])
		return 0;
	if (flow_attrs_decode(mnl_attr_get_payload(tb[NFULA_CT]), mnl_attr_get_payload_len(tb[NFULA_CT]), &d->flow) < 0)
		return -EBADMSG;
	d->has_flow = true;
	d->reply = info >= IP_CT_IS_REPLY && info < IP_CT_IS_REPLY + IP_CT_NEW;
	d->starts = info == IP_CT_NEW;
	d->related = info == IP_CT_RELATED || info == IP_CT_RELATED_REPLY;
	return 0;
}

int bh_denied_decode(const void *msg, size_t len, struct bh_denied *ret)
{
	const struct nlmsghdr *nlh = msg;
	const struct nlattr *tb[NFULA_MAX + 1];
	const struct nfgenmsg *nfg;
	struct bh_denied d = {0};

	if (!flow_message_ok(nlh, len) || mnl_nlmsg_get_payload_len(nlh) < sizeof(*nfg))
		return -EBADMSG;
	if (nlh->nlmsg_type != ((NFNL_SUBSYS_ULOG << 8) | NFULNL_MSG_PACKET))
		return -ENOMSG;
	nfg = mnl_nlmsg_get_payload(nlh);
	if (!flow_attrs(mnl_nlmsg_get_payload_offset(nlh, sizeof(*nfg)), mnl_nlmsg_get_payload_len(nlh) - MNL_ALIGN(sizeof(*nfg)), tb,
		    NFULA_MAX))
		return -EBADMSG;
	if (!class_get(tb[NFULA_PREFIX], &d.class))
		return -ENOMSG;
	d.bridge = nfg->nfgen_family == AF_BRIDGE;
	if (tb[NFULA_PACKET_HDR] && mnl_attr_get_payload_len(tb[NFULA_PACKET_HDR]) >= sizeof(struct nfulnl_msg_packet_hdr)) {
		struct nfulnl_msg_packet_hdr h;

		memcpy(&h, mnl_attr_get_payload(tb[NFULA_PACKET_HDR]), sizeof(h));
		d.ether_type = ntohs(h.hw_protocol);
		d.hook = h.hook;
	}
	/* what this host sends has no ether type yet */
	if (nfg->nfgen_family == AF_INET)
		d.ether_type = ETHERTYPE_IP;
	else if (nfg->nfgen_family == AF_INET6)
		d.ether_type = ETHERTYPE_IPV6;
	d.in = flow_be32(tb[NFULA_IFINDEX_INDEV]);
	d.out = flow_be32(tb[NFULA_IFINDEX_OUTDEV]);
	d.in_port = flow_be32(tb[NFULA_IFINDEX_PHYSINDEV]);
	d.out_port = flow_be32(tb[NFULA_IFINDEX_PHYSOUTDEV]);
	mac_decode(tb, &d);
	if (flow_decode(tb, &d) < 0)
		return -EBADMSG;
	if (tb[NFULA_PAYLOAD])
		flow_packet_decode(mnl_attr_get_payload(tb[NFULA_PAYLOAD]), mnl_attr_get_payload_len(tb[NFULA_PAYLOAD]), &d);
	*ret = d;
	return 0;
}
