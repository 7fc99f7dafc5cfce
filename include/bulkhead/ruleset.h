/* SPDX-License-Identifier: Apache-2.0 */
/* The printable middle: a rule set as data. core compiles to it and compares it, src/nft turns it into netlink
 * and back, and its text is nft's language. What is wanted and what the kernel holds have the same type.
 *
 * Values are bytes as the kernel compares them: addresses, MACs, ports, ether types in network order; priority, mark,
 * ct state and other meta integers in host order. In a concatenation every field is padded with zeros to a multiple
 * of 4 bytes (include/uapi/linux/netfilter/nf_tables.h, registers are 32 bits wide).
 * Dependencies that nft adds by itself (nfproto before ip saddr, l4proto before tcp flags, …) are not in the IR: the
 * encoder adds them, the decoder takes them away, as nft does. */
#ifndef BULKHEAD_RULESET_H
#define BULKHEAD_RULESET_H

#include <bulkhead/addr.h>
#include <bulkhead/buf.h>
#include <bulkhead/error.h>
#include <bulkhead/mem.h>

#define BH_NAME 32		/* every name of a kernel object fits, with its NUL */
#define BH_KEY_MAX 64
#define BH_FIELDS_MAX 5

enum bh_family {
	BH_FAMILY_INET,
	BH_FAMILY_BRIDGE,
	BH_FAMILY_NETDEV,
	BH_FAMILY_MAX,
};

/* What can be read from a packet or its flow. */
enum bh_field {
	BH_FIELD_NONE,
	BH_IIFNAME,		/* ifname, 16 bytes */
	BH_OIFNAME,
	BH_IIF,			/* ifindex */
	BH_OIF,
	BH_IIFTYPE,		/* ARPHRD_*, 2 bytes host order; what a field of Ethernet stands on in the inet table */
	BH_PRIORITY,		/* classid, 4 bytes host order */
	BH_MARK,
	BH_NFPROTO,		/* 1 byte */
	BH_L4PROTO,		/* 1 byte */
	BH_SKUID,
	BH_CT_DIRECTION,	/* 1 byte */
	BH_CT_STATE,		/* bit mask, host order */
	BH_CT_STATUS,
	BH_CT_MARK,
	BH_CT_ORIG_IP_SADDR,
	BH_CT_ORIG_IP_DADDR,
	BH_CT_ORIG_IP6_SADDR,
	BH_CT_ORIG_IP6_DADDR,
	BH_CT_REPLY_IP_SADDR,
	BH_CT_REPLY_IP6_SADDR,
	BH_CT_ORIG_PROTO_DST,	/* 2 bytes network order */
	BH_CT_PROTOCOL,		/* 1 byte: the flow's transport, also for its ICMP errors */
	BH_CT_REPLY_PROTO_SRC,	/* 2 bytes network order; nft can only say it where the rule names one l4proto */
	BH_IP_SADDR,
	BH_IP_DADDR,
	BH_IP_PROTOCOL,
	BH_IP_DSCP,		/* 6 bits, kept right-aligned in one byte */
	BH_IP6_SADDR,
	BH_IP6_DADDR,
	BH_IP6_HOPLIMIT,
	BH_TH_SPORT,		/* whatever the transport */
	BH_TH_DPORT,
	BH_TH_64_128,		/* @th,64,128: the target address of neighbour discovery */
	BH_TH_192_32,		/* @th,192,32: where the packet went that an ICMP error quotes */
	BH_TH_256_128,		/* @th,256,128: the same of ICMPv6 */
	BH_UDP_SPORT,
	BH_UDP_DPORT,
	BH_TCP_FLAGS,
	BH_ICMP_TYPE,
	BH_ICMP_CODE,
	BH_ICMPV6_TYPE,
	BH_ICMPV6_CODE,
	BH_ETHER_SADDR,
	BH_ETHER_DADDR,
	BH_ETHER_TYPE,		/* 2 bytes network order */
	BH_ARP_HTYPE,
	BH_ARP_PTYPE,
	BH_ARP_OPERATION,
	BH_ARP_SADDR_ETHER,
	BH_ARP_SADDR_IP,
	BH_ARP_DADDR_IP,
	BH_IBRNAME,		/* bridge family, where the kernel has it */
	BH_OBRNAME,
	BH_FIELD_MAX,
};

struct bh_field_info {
	const char *text;	/* "iifname", "ct original ip saddr", "@th,64,128" */
	const char *type;	/* nft's datatype for set declarations, NULL: only by typeof */
	uint8_t size;		/* bytes */
};

/* Never NULL for a valid field. */
const struct bh_field_info *bh_field_info(enum bh_field f);
/* Bytes of a concatenation, each field padded to 4. */
size_t bh_key_size(const enum bh_field *fields, size_t n);
/* Where field I starts in a concatenation. */
size_t bh_key_offset(const enum bh_field *fields, size_t i);

enum bh_verdict {
	BH_VERDICT_NONE,
	BH_ACCEPT,
	BH_DROP,
	BH_JUMP,
	BH_GOTO,
	BH_RETURN,
	BH_CONTINUE,
};

enum bh_data {
	BH_DATA_NONE,		/* a set */
	BH_DATA_VERDICT,
	BH_DATA_PRIORITY,	/* classid */
};

/* An element of a set or map. */
struct bh_elem {
	uint8_t key[BH_KEY_MAX];
	uint8_t key_end[BH_KEY_MAX];	/* inclusive last key in an interval set; equal to key for a single one; else zero */
	enum bh_verdict verdict;	/* BH_DATA_VERDICT */
	char chain[BH_NAME];		/* for jump and goto */
	uint32_t value;			/* BH_DATA_PRIORITY */
	uint64_t timeout_ms;		/* wanted side only, of a set with BH_SET_TIMEOUT: the kernel takes it out then; 0: never. Not compared */
	uint64_t packets, bytes;	/* seen side only, when the set has counters; never compared */
};

enum bh_set_flags {
	BH_SET_INTERVAL = 1,
	BH_SET_DYNAMIC = 2,	/* elements are added by packets: never compared. Of a wanted set without BH_SET_TIMEOUT, elems
				 * are the keys that may be there; others are swept out */
	BH_SET_TIMEOUT = 4,	/* elements may go by time; one that is missing for that is no interference */
	BH_SET_COUNTER = 8,	/* a counter in each element */
};

struct bh_set {
	char name[BH_NAME];
	enum bh_field key[BH_FIELDS_MAX];
	size_t n_key;
	enum bh_data data;
	unsigned flags;		/* enum bh_set_flags */
	uint32_t size;		/* 0: no bound */
	uint64_t timeout_ms;	/* 0: none */
	BH_VEC(struct bh_elem) elems;	/* sorted by key after bh_ruleset_sort() */
};

enum bh_op {
	BH_EQ,
	BH_NE,
	BH_LT,
	BH_LE,
	BH_GT,
	BH_GE,
	BH_MASK_ANY,		/* (field & mask) != 0 */
	BH_MASK_EQ,		/* (field & mask) == value */
};

enum bh_stmt_kind {
	BH_STMT_MATCH,		/* fields[0] op value */
	BH_STMT_LOOKUP,		/* fields in (or, with BH_NE, not in) a set: named `set`, or `elems` when set is "" */
	BH_STMT_VMAP,		/* fields vmap named `set`, or `elems` when set is "" */
	BH_STMT_SET_PRIORITY,	/* meta priority set `number` */
	BH_STMT_MAP_PRIORITY,	/* meta priority set fields map named `set`, or `elems` when set is "" */
	BH_STMT_COUNTER,	/* counter name `set` */
	BH_STMT_LIMIT,		/* limit rate `number`/second, burst of nft's default 5 */
	BH_STMT_LOG,		/* log prefix `prefix` group `number` */
	BH_STMT_REJECT,		/* number: enum bh_reject */
	BH_STMT_VERDICT,	/* verdict, chain */
	BH_STMT_UPDATE,		/* update @set { fields timeout `number` ms (0: the set's) `meter` } */
	BH_STMT_FWD,		/* netdev: fwd to device `set` */
	BH_STMT_FOREIGN,	/* seen side only: something that this program never writes; equal to nothing */
};

/* The group that denied packets are logged to (nfnetlink_log); one of the whole network namespace. */
#define BH_NFLOG_GROUP 77

/* What the element that an update makes keeps, and by which the rule goes on or not. */
enum bh_meter {
	BH_METER_NONE,
	BH_METER_PER_SECOND,	/* at most `meter_n` a second, and at once */
	BH_METER_PER_MINUTE,
	BH_METER_FLOWS,		/* at most `meter_n` flows that conntrack has and that are not closed, this one included */
};

enum bh_reject {
	BH_REJECT_TCP_RESET,
	BH_REJECT_ADMIN,	/* icmpx admin-prohibited */
};

struct bh_stmt {
	enum bh_stmt_kind kind;
	enum bh_field fields[BH_FIELDS_MAX];
	size_t n_fields;
	enum bh_op op;
	uint8_t value[16];	/* of one field */
	uint8_t mask[16];
	BH_VEC(struct bh_elem) elems;	/* anonymous set or map, sorted */
	enum bh_data data;	/* of the anonymous map */
	char set[BH_NAME];
	uint32_t number;
	enum bh_meter meter;	/* BH_STMT_UPDATE */
	uint32_t meter_n;
	bool take_out;		/* BH_STMT_UPDATE: `delete @set { fields }` instead (Linux 5.4), whether it is there or not */
	char prefix[64];
	enum bh_verdict verdict;
	char chain[BH_NAME];
};

struct bh_nft_rule {
	BH_VEC(struct bh_stmt) stmts;
};

enum bh_hook {
	BH_HOOK_NONE,		/* not a base chain */
	BH_HOOK_PREROUTING,
	BH_HOOK_INPUT,
	BH_HOOK_FORWARD,
	BH_HOOK_OUTPUT,
	BH_HOOK_POSTROUTING,
	BH_HOOK_INGRESS,
	BH_HOOK_EGRESS,
};

struct bh_chain {
	char name[BH_NAME];
	enum bh_hook hook;
	int32_t priority;		/* base chains */
	enum bh_verdict policy;		/* BH_ACCEPT or BH_DROP, base chains */
	char device[16];		/* netdev base chains */
	BH_VEC(struct bh_nft_rule) rules;
};

struct bh_counter {
	char name[BH_NAME];
	uint64_t packets, bytes;	/* seen side only */
};

/* NFT_TABLE_F_* of include/uapi/linux/netfilter/nf_tables.h, and what a reader adds. A table with an owner can only be changed
 * through the socket that owns it (5.12); one that persists stays when that socket is closed, without an owner, until another
 * socket makes itself its owner (6.9). */
enum bh_table_flags {
	BH_TABLE_DORMANT = 1,
	BH_TABLE_OWNER = 2,
	BH_TABLE_PERSIST = 4,
	BH_TABLE_FOREIGN = 0x40000000,	/* seen side only: the owner is somebody else's socket */
};

struct bh_table {
	bool present;			/* seen: exists; wanted: shall exist */
	uint32_t flags;			/* enum bh_table_flags */
	uint32_t owner;			/* seen side only: the netlink port id of the owner's socket, 0 for none */
	BH_VEC(struct bh_set) sets;
	BH_VEC(struct bh_counter) counters;
	BH_VEC(struct bh_chain) chains;
};

/* All our tables, each called "bulkhead", one a family. */
struct bh_ruleset {
	struct bh_table tables[BH_FAMILY_MAX];
};

void bh_ruleset_free(struct bh_ruleset *r);
BH_DEFINE_FREEP(struct bh_ruleset, bh_ruleset_free)
void bh_set_clear(struct bh_set *s);
void bh_chain_clear(struct bh_chain *c);
void bh_stmt_clear(struct bh_stmt *s);
int bh_set_copy(struct bh_set *dst, const struct bh_set *src);		/* 0 or -ENOMEM, DST was zero */
int bh_chain_copy(struct bh_chain *dst, const struct bh_chain *src);

/* Lookups by name; NULL when there is none. */
struct bh_set *bh_table_set(const struct bh_table *t, const char *name);
struct bh_chain *bh_table_chain(const struct bh_table *t, const char *name);
struct bh_counter *bh_table_counter(const struct bh_table *t, const char *name);
/* Binary search in a sorted set by the first key. */
struct bh_elem *bh_set_find(const struct bh_set *s, const void *key);

/* Sorts sets, counters and chains by name and elements by key: the canonical order, in which equal rule sets are equal. */
void bh_ruleset_sort(struct bh_ruleset *r);
void bh_set_sort(struct bh_set *s);	/* the elements of one set */

bool bh_elem_equal(const struct bh_elem *a, const struct bh_elem *b, enum bh_data data);
bool bh_set_same_type(const struct bh_set *a, const struct bh_set *b);	/* key, data, flags, size, timeout */
bool bh_rules_equal(const struct bh_chain *a, const struct bh_chain *b);	/* the rules of two chains */

/* Key building: appends one field's value to a key at *OFF (padded), host values converted by the caller. */
void bh_key_put(uint8_t key[BH_KEY_MAX], size_t *off, const void *value, size_t size);

/* The rule set in nft's language, as `nft -f` reads it. Counters' values are left out. Only sorted sets print in a stable
 * order. 0 or -ENOMEM. */
int bh_ruleset_print(const struct bh_ruleset *r, struct bh_buf *out);
int bh_chain_print(const struct bh_chain *c, enum bh_family family, struct bh_buf *out);
int bh_set_print(const struct bh_set *s, struct bh_buf *out);
int bh_elem_print(const struct bh_set *s, const struct bh_elem *e, struct bh_buf *out);

/* Proves that no packet can leave a chain without an explicit verdict: every way through every base chain, over jump, goto,
 * returns and vmap elements, ends in accept, drop, reject or a terminal statement. 0, or -EINVAL with the chain named. */
int bh_ruleset_prove(const struct bh_ruleset *r, struct bh_error *err);

#endif
