/* SPDX-License-Identifier: Apache-2.0 */
/* The door to what conntrack and NFLOG tell: running connections, and packets that the rules denied (in audit: would have). */
#ifndef BULKHEAD_FLOWS_H
#define BULKHEAD_FLOWS_H

#include <bulkhead/addr.h>
#include <bulkhead/error.h>
#include <bulkhead/mem.h>

/* Why a packet was denied: the word in the log prefix of the rule, "bulkhead policy ". */
enum bh_denied_class {
	BH_CLASS_POLICY,
	BH_CLASS_UNKNOWN,
	BH_CLASS_QUARANTINE,
	BH_CLASS_IDENTITY,
	BH_CLASS_METADATA,
	BH_CLASS_INVALID,
	BH_CLASS_NOISE,		/* broadcast and multicast that nobody asked for: nobody's fault */
	BH_CLASS_LIMIT,		/* allowed, but the container has as many connections as it may */
	BH_CLASS_MAX,
};
const char *bh_denied_class_name(enum bh_denied_class c);	/* "policy", … */
/* What it means where no rule would allow it, a sentence that says what to do; NULL for policy, quarantine and metadata, which rules decide. */
const char *bh_denied_class_means(enum bh_denied_class c);

/* A connection as conntrack keeps it. The initiator is the source of the original direction, the responder the source of the replies: the
 * real ends, before masquerade and behind DNAT. Ports are in host order, 0 where the protocol has none. */
struct bh_flow {
	uint8_t proto;			/* IPPROTO_* */
	struct bh_addr from, to;	/* initiator, responder */
	uint16_t from_port, to_port;	/* of the original source, of the source of the replies */
	struct bh_addr orig_to;		/* whom the initiator addressed */
	uint16_t orig_to_port;
	struct bh_addr reply_to;	/* whom the responder answers */
	uint16_t reply_to_port;
	uint32_t status;		/* IPS_*, linux/netfilter/nf_conntrack_common.h */
	uint32_t id;			/* of the entry; 0 unknown */
	uint32_t timeout;		/* seconds left; 0 unknown */
	uint32_t mark;
	uint16_t zone;			/* of conntrack */
	uint8_t tcp_state;		/* enum tcp_conntrack, linux/netfilter/nf_conntrack_tcp.h */
	bool counted;			/* conntrack counts it (nf_conntrack_acct): so many bytes by the initiator and by the responder */
	uint64_t from_bytes, to_bytes;
	bool ended;			/* it is told of as it ends */
	bool picked_up;			/* TCP: conntrack saw no SYN, so that who opened it is a guess */
};

/* One packet that a rule of ours logged. */
struct bh_denied {
	enum bh_denied_class class;
	bool bridge;			/* by the bridge table: a frame, before routing is asked */
	uint8_t hook;			/* enum nf_inet_hooks */
	uint32_t in, out;		/* ifindexes: the bridge where there is one; 0 none */
	uint32_t in_port, out_port;	/* the bridge's port, where the kernel tells */
	uint16_t ether_type;		/* host order; 0 unknown */
	bool has_mac;
	struct bh_mac from_mac, to_mac;
	struct bh_addr from, to;	/* of the packet; family 0 where it is no IP (ARP: sender and target) */
	uint8_t proto;
	bool has_ports;
	uint16_t from_port, to_port;
	uint8_t tcp_flags, icmp_type, icmp_code;
	uint32_t length;		/* bytes from the network header on */
	bool has_flow;			/* conntrack knows it: flow is valid */
	bool reply;			/* it went from the responder to the initiator */
	bool starts;			/* the first packet of its flow */
	bool related;			/* an error about the flow */
	struct bh_flow flow;
};

/* Decodes one message of the kernel (NFNL_SUBSYS_ULOG, NFULNL_MSG_PACKET) of LEN bytes at MSG. Reads nothing beyond, allocates nothing. What
 * the packet is too short for stays zero. 0; -EBADMSG; -ENOMSG for a message of another kind or a prefix that is not ours. */
int bh_denied_decode(const void *msg, size_t len, struct bh_denied *ret);
/* The same for one connection (NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_NEW, or _DELETE for one that ends). */
int bh_flow_decode(const void *msg, size_t len, struct bh_flow *ret);

typedef void (*bh_denied_fn)(void *userdata, const struct bh_denied *d);

/* The listener. One group has one listener a network namespace: -EBUSY when somebody else has it. */
struct bh_nflog;
int bh_nflog_new(uint16_t group, struct bh_nflog **ret, struct bh_error *err);
int bh_nflog_fd(const struct bh_nflog *n);
/* Hands what is there to FN, a bounded number of buffers at a time. 1 when there may be more, 0 when not, -errno. Lost messages are no
 * error: bh_nflog_lost(). */
int bh_nflog_read(struct bh_nflog *n, bh_denied_fn fn, void *userdata);
/* Packets that the kernel logged and nobody read since the start: the queue was full. */
uint64_t bh_nflog_lost(const struct bh_nflog *n);
void bh_nflog_free(struct bh_nflog *n);
BH_DEFINE_FREEP(struct bh_nflog, bh_nflog_free)

/* Conntrack of this network namespace. */
struct bh_flows;
typedef void (*bh_flow_fn)(void *userdata, const struct bh_flow *f);

struct bh_flows_ops {
	/* Every connection that there is, both families. */
	int (*dump)(struct bh_flows *f, bh_flow_fn fn, void *userdata, struct bh_error *err);
	/* The connection that the packet D is of, as it was seen between routing and output; *RET_REPLY: it went to the initiator. -ENOENT when
	 * there is none, or D has no ports. */
	int (*find)(struct bh_flows *f, const struct bh_denied *d, struct bh_flow *ret, bool *ret_reply, struct bh_error *err);
	/* Removes the entry. 0, -ENOENT when it has gone. */
	int (*forget)(struct bh_flows *f, const struct bh_flow *flow, struct bh_error *err);
	/* Makes an entry for a TCP connection that runs: established, with no check of its windows, opened by FLOW's initiator. -EEXIST when
	 * there is one for these addresses, in whatever direction. */
	int (*adopt)(struct bh_flows *f, const struct bh_flow *flow, struct bh_error *err);
	void (*free)(struct bh_flows *f);
};
struct bh_flows {
	const struct bh_flows_ops *ops;
};
int bh_flows_new(struct bh_flows **ret, struct bh_error *err);
void bh_flows_free(struct bh_flows *f);
BH_DEFINE_FREEP(struct bh_flows, bh_flows_free)

/* Each connection that begins, as it begins; and those that end, where ENDS asks for it. */
struct bh_flow_events;
int bh_flow_events_new(bool ends, struct bh_flow_events **ret, struct bh_error *err);
int bh_flow_events_fd(const struct bh_flow_events *e);
/* Hands what is there to FN, a bounded number of messages at a time. 1 when there may be more, 0 when not, -errno. */
int bh_flow_events_read(struct bh_flow_events *e, bh_flow_fn fn, void *userdata);
uint64_t bh_flow_events_lost(const struct bh_flow_events *e);	/* how often the queue was full */
void bh_flow_events_free(struct bh_flow_events *e);
BH_DEFINE_FREEP(struct bh_flow_events, bh_flow_events_free)

/* The same connection opened by the other end. Only where no address is translated. */
struct bh_flow bh_flow_turned(const struct bh_flow *f);
/* Whether NAT stands between its ends. */
bool bh_flow_is_translated(const struct bh_flow *f);

#endif
