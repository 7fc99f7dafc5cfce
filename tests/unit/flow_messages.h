/* SPDX-License-Identifier: Apache-2.0 */
/* Messages as the kernel sends them, for the decoders of src/flows. */
#ifndef BULKHEAD_TESTS_FLOW_MESSAGES_H
#define BULKHEAD_TESTS_FLOW_MESSAGES_H

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <string.h>
#include <sys/socket.h>

struct message {
	_Alignas(8) char buf[4096];
	struct nlmsghdr *nlh;
};

static inline void message_start(struct message *m, uint16_t type, uint8_t family)
{
	struct nfgenmsg *nfg;

	memset(m, 0, sizeof(*m));
	m->nlh = mnl_nlmsg_put_header(m->buf);
	m->nlh->nlmsg_type = type;
	nfg = mnl_nlmsg_put_extra_header(m->nlh, sizeof(*nfg));
	nfg->nfgen_family = family;
}

static inline void put_tuple(struct nlmsghdr *nlh, uint16_t type, const char *from, uint16_t from_port, const char *to,
	uint16_t to_port, uint8_t proto)
{
	struct nlattr *tuple = mnl_attr_nest_start(nlh, type), *ip = mnl_attr_nest_start(nlh, CTA_TUPLE_IP), *p;
	unsigned char a[16];
	int six = strchr(from, ':') != NULL;

	inet_pton(six ? AF_INET6 : AF_INET, from, a);
	mnl_attr_put(nlh, six ? CTA_IP_V6_SRC : CTA_IP_V4_SRC, six ? 16 : 4, a);
	inet_pton(six ? AF_INET6 : AF_INET, to, a);
	mnl_attr_put(nlh, six ? CTA_IP_V6_DST : CTA_IP_V4_DST, six ? 16 : 4, a);
	mnl_attr_nest_end(nlh, ip);
	p = mnl_attr_nest_start(nlh, CTA_TUPLE_PROTO);
	mnl_attr_put_u8(nlh, CTA_PROTO_NUM, proto);
	mnl_attr_put_u16(nlh, CTA_PROTO_SRC_PORT, htons(from_port));
	mnl_attr_put_u16(nlh, CTA_PROTO_DST_PORT, htons(to_port));
	mnl_attr_nest_end(nlh, p);
	mnl_attr_nest_end(nlh, tuple);
}

static inline void put_tcp(struct nlmsghdr *nlh, uint8_t orig_flags, uint8_t reply_flags)
{
	struct nlattr *info = mnl_attr_nest_start(nlh, CTA_PROTOINFO), *tcp = mnl_attr_nest_start(nlh, CTA_PROTOINFO_TCP);
	struct nf_ct_tcp_flags orig = {.flags = orig_flags}, reply = {.flags = reply_flags};

	mnl_attr_put_u8(nlh, CTA_PROTOINFO_TCP_STATE, TCP_CONNTRACK_ESTABLISHED);
	mnl_attr_put(nlh, CTA_PROTOINFO_TCP_FLAGS_ORIGINAL, sizeof(orig), &orig);
	mnl_attr_put(nlh, CTA_PROTOINFO_TCP_FLAGS_REPLY, sizeof(reply), &reply);
	mnl_attr_nest_end(nlh, tcp);
	mnl_attr_nest_end(nlh, info);
}

static inline void put_prefix(struct nlmsghdr *nlh, const char *prefix)
{
	mnl_attr_put_strz(nlh, NFULA_PREFIX, prefix);
}

static inline void put_packet(struct nlmsghdr *nlh, uint16_t ether_type, uint8_t hook, const void *payload, size_t len)
{
	struct nfulnl_msg_packet_hdr h = {.hw_protocol = htons(ether_type), .hook = hook};

	mnl_attr_put(nlh, NFULA_PACKET_HDR, sizeof(h), &h);
	mnl_attr_put(nlh, NFULA_PAYLOAD, len, payload);
}

#define LOGGED ((NFNL_SUBSYS_ULOG << 8) | NFULNL_MSG_PACKET)
#define CONNECTION ((NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_NEW)

#endif
