/* SPDX-License-Identifier: Apache-2.0 */
/* A connection out of conntrack's attributes (linux/netfilter/nfnetlink_conntrack.h). */
#include "flows.h"

#include <endian.h>
#include <errno.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <string.h>

struct tuple {
	struct bh_addr from, to;
	uint16_t from_port, to_port;
	uint8_t proto;
};

static bool addr_get(const struct nlattr *a, uint8_t family, struct bh_addr *ret)
{
	size_t size = family == 4 ? 4 : 16;

	if (!a || mnl_attr_get_payload_len(a) < size)
		return false;
	*ret = (struct bh_addr){.family = family};
	memcpy(ret->b, mnl_attr_get_payload(a), size);
	return true;
}

static bool tuple_decode(const struct nlattr *nest, struct tuple *ret)
{
	const struct nlattr *tb[CTA_TUPLE_MAX + 1], *ip[CTA_IP_MAX + 1], *proto[CTA_PROTO_MAX + 1];
	struct tuple t = {0};

	if (!nest || !flow_nest(nest, tb, CTA_TUPLE_MAX) || !flow_nest(tb[CTA_TUPLE_IP], ip, CTA_IP_MAX) ||
		!flow_nest(tb[CTA_TUPLE_PROTO], proto, CTA_PROTO_MAX))
		return false;
	if (!(addr_get(ip[CTA_IP_V4_SRC], 4, &t.from) && addr_get(ip[CTA_IP_V4_DST], 4, &t.to)) &&
		!(addr_get(ip[CTA_IP_V6_SRC], 6, &t.from) && addr_get(ip[CTA_IP_V6_DST], 6, &t.to)))
		return false;
	t.proto = flow_u8(proto[CTA_PROTO_NUM]);
	t.from_port = flow_be16(proto[CTA_PROTO_SRC_PORT]);
	t.to_port = flow_be16(proto[CTA_PROTO_DST_PORT]);
	*ret = t;
	return true;
}

/* Only a connection that conntrack met in the middle has its windows unchecked on both sides (net/netfilter/nf_conntrack_proto_tcp.c,
 * tcp_new). */
static bool is_picked_up(const struct nlattr *const *tcp)
{
	struct nf_ct_tcp_flags flags;
	static const uint16_t sides[] = {CTA_PROTOINFO_TCP_FLAGS_ORIGINAL, CTA_PROTOINFO_TCP_FLAGS_REPLY};

	for (size_t i = 0; i < BH_ARRAY_SIZE(sides); i++) {
		const struct nlattr *a = tcp[sides[i]];

		if (!a || mnl_attr_get_payload_len(a) < sizeof(flags))
			return false;
		memcpy(&flags, mnl_attr_get_payload(a), sizeof(flags));
		if (!(flags.flags & IP_CT_TCP_FLAG_BE_LIBERAL))
			return false;
	}
	return true;
}

static bool bytes_decode(const struct nlattr *nest, uint64_t *ret)
{
	const struct nlattr *tb[CTA_COUNTERS_MAX + 1];

	if (!flow_nest(nest, tb, CTA_COUNTERS_MAX))
		return false;
	if (tb[CTA_COUNTERS_BYTES] && mnl_attr_get_payload_len(tb[CTA_COUNTERS_BYTES]) >= sizeof(*ret)) {
		memcpy(ret, mnl_attr_get_payload(tb[CTA_COUNTERS_BYTES]), sizeof(*ret));
		*ret = be64toh(*ret);
	}
	return true;
}

int flow_attrs_decode(const void *data, size_t len, struct bh_flow *ret)
{
	const struct nlattr *tb[CTA_MAX + 1], *info[CTA_PROTOINFO_MAX + 1], *tcp[CTA_PROTOINFO_TCP_MAX + 1];
	struct tuple orig, reply;

	if (!flow_attrs(data, len, tb, CTA_MAX) || !tuple_decode(tb[CTA_TUPLE_ORIG], &orig) ||
		!tuple_decode(tb[CTA_TUPLE_REPLY], &reply) || orig.from.family != reply.from.family ||
		!flow_nest(tb[CTA_PROTOINFO], info, CTA_PROTOINFO_MAX) ||
		!flow_nest(info[CTA_PROTOINFO_TCP], tcp, CTA_PROTOINFO_TCP_MAX))
		return -EBADMSG;
	*ret = (struct bh_flow){
		.proto = orig.proto,
		.from = orig.from,
		.from_port = orig.from_port,
		.to = reply.from,
		.to_port = reply.from_port,
		.orig_to = orig.to,
		.orig_to_port = orig.to_port,
		.reply_to = reply.to,
		.reply_to_port = reply.to_port,
		.status = flow_be32(tb[CTA_STATUS]),
		.id = flow_be32(tb[CTA_ID]),
		.timeout = flow_be32(tb[CTA_TIMEOUT]),
		.mark = flow_be32(tb[CTA_MARK]),
		.zone = flow_be16(tb[CTA_ZONE]),
		.tcp_state = flow_u8(tcp[CTA_PROTOINFO_TCP_STATE]),
		.picked_up = is_picked_up(tcp),
		.counted = tb[CTA_COUNTERS_ORIG] && tb[CTA_COUNTERS_REPLY],
	};
	if (ret->counted && (!bytes_decode(tb[CTA_COUNTERS_ORIG], &ret->from_bytes) || !bytes_decode(tb[CTA_COUNTERS_REPLY], &ret->to_bytes)))
		return -EBADMSG;
	return 0;
}

int bh_flow_decode(const void *msg, size_t len, struct bh_flow *ret)
{
	const struct nlmsghdr *nlh = msg;
	uint16_t type = flow_message_ok(nlh, len) ? nlh->nlmsg_type : 0;
	int r;

	if (!flow_message_ok(nlh, len) || mnl_nlmsg_get_payload_len(nlh) < sizeof(struct nfgenmsg))
		return -EBADMSG;
	if (type != ((NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_NEW) && type != ((NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_DELETE))
		return -ENOMSG;
	r = flow_attrs_decode(mnl_nlmsg_get_payload_offset(nlh, sizeof(struct nfgenmsg)),
		mnl_nlmsg_get_payload_len(nlh) - MNL_ALIGN(sizeof(struct nfgenmsg)), ret);
	if (r == 0)
		ret->ended = type == ((NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_DELETE);
	return r;
}

struct bh_flow bh_flow_turned(const struct bh_flow *f)
{
	struct bh_flow t = *f;

	t.from = t.reply_to = f->to;
	t.from_port = t.reply_to_port = f->to_port;
	t.to = t.orig_to = f->from;
	t.to_port = t.orig_to_port = f->from_port;
	t.id = 0;
	return t;
}

bool bh_flow_is_translated(const struct bh_flow *f)
{
	return bh_addr_cmp(&f->from, &f->reply_to) != 0 || bh_addr_cmp(&f->to, &f->orig_to) != 0 ||
		f->from_port != f->reply_to_port || f->to_port != f->orig_to_port;
}
