/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this room share. Numbers of the kernel's are those of linux/netfilter/nf_tables.h. */
#ifndef BULKHEAD_NFT_INTERNAL_H
#define BULKHEAD_NFT_INTERNAL_H

#include <bulkhead/nft.h>

#include <libmnl/libmnl.h>
#include <libnftnl/rule.h>
#include <netinet/in.h>	/* before the kernel's, which then leaves its own out */
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#define NFT_TABLE_NAME "bulkhead"
#define NFT_SLOTS 16		/* 32-bit registers */
#define NFT_EXPRS_MAX 128	/* NFT_RULE_MAXEXPRS of net/netfilter/nf_tables_api.c */

/* ---- field.c: how a field gets into a register, as nft 1.0.6 does it */

enum nft_source { NFT_FROM_NOTHING, NFT_FROM_META, NFT_FROM_CT, NFT_FROM_PAYLOAD };

/* What has to be known of a packet before a payload field means anything. */
enum nft_net { NFT_NET_ANY, NFT_NET_IP, NFT_NET_IP6, NFT_NET_ARP };

struct nft_load {
	enum nft_source source;
	uint8_t key;		/* meta or ct key, payload base */
	int8_t dir;		/* ct: direction, -1 for none */
	uint8_t offset;		/* payload */
	enum nft_net net;
	uint8_t l4;		/* needs this transport protocol, 0 for any */
	uint8_t mask;		/* bits of the one byte that belong to the field, 0 for all */
	uint8_t shift;		/* how far they are from the right */
	bool host;		/* the kernel holds it in host order */
	uint8_t desc, desc_field;	/* payload: nft's numbers of protocol and field, for typeof */
};

/* All zero for a field that does not exist. */
const struct nft_load *nft_field_load(enum bh_field f);
/* nft's number of a field's datatype (enum datatypes of nft's include/datatype.h); "integer" where it has no name. */
uint32_t nft_field_type(enum bh_field f);
/* The number of a concatenation's datatype. */
uint32_t nft_key_type(const enum bh_field *fields, size_t n);
/* A field of each of the datatypes in TYPE, n_key and key of SET set; -ENOENT when one is unknown here. */
int nft_key_from_type(uint32_t type, struct bh_set *set);
/* nft's enum byteorder of a key: 0 for a concatenation, 1 host, 2 network. */
uint32_t nft_key_byteorder(const enum bh_field *fields, size_t n);
/* Bytes of a key in the kernel: the field's own size, or padded in a concatenation. */
size_t nft_key_len(const enum bh_field *fields, size_t n);
size_t nft_padded(size_t size);

/* Turns the fields that are numbers in host order to network order, or back. */
void nft_key_swap(const enum bh_field *fields, size_t n, uint8_t key[BH_KEY_MAX]);

int nft_family(enum bh_family f);		/* NFPROTO_* */
const char *nft_family_name(enum bh_family f);
/* -1 when it is none of ours. */
int nft_family_from(int nfproto);
uint32_t nft_hook(enum bh_family family, enum bh_hook hook);
enum bh_hook nft_hook_from(enum bh_family family, uint32_t hook);
int32_t nft_verdict(enum bh_verdict v);
enum bh_verdict nft_verdict_from(int32_t v);
/* Linux takes these numbers for registers since 4.1: 1 to 4 are 128 bits wide, from 8 on 32 bits. */
uint32_t nft_reg(size_t slot);
size_t nft_slot(uint32_t reg);			/* NFT_SLOTS or more: none */

/* ---- batch.c: messages of one transaction in one growing buffer */

/* What a message was about, to name it when the kernel refuses it. */
struct nft_item {
	uint32_t seq;
	size_t offset;			/* of the message in the buffer */
	const struct bh_change *change;
	size_t rule;			/* BH_ADD_RULES: which one */
};

struct nft_batch {
	char *buf;
	size_t n, cap;
	uint32_t seq;
	uint32_t next_set_id;
	bool pretend;		/* nothing will be sent: devices need not exist */
	BH_VEC(struct nft_item) items;
};

int nft_batch_begin(struct nft_batch *b, uint32_t seq);
int nft_batch_end(struct nft_batch *b);
void nft_batch_clear(struct nft_batch *b);
#define _cleanup_batch_ _cleanup_(nft_batch_clear)
/* Starts a message with room for NFT_MESSAGE_MAX bytes; NULL for no memory. Valid until the next one is started. */
struct nlmsghdr *nft_batch_message(struct nft_batch *b, uint16_t type, uint16_t flags, int nfproto,
	const struct bh_change *change, size_t rule);
/* The message is complete: its length counts from now on. */
void nft_batch_commit(struct nft_batch *b, const struct nlmsghdr *nlh);
#define NFT_MESSAGE_MAX (160 * 1024)

/* ---- encode.c, encode_rule.c, encode_set.c */

/* Everything of a plan as messages. -ENOMEM, or -EINVAL for what cannot be said in netlink. */
int nft_encode_plan(struct nft_batch *b, const struct bh_plan *plan, struct bh_error *err);
int nft_encode_rule(struct nft_batch *b, const struct bh_change *c, size_t rule, struct bh_error *err);
/* A set without its elements; ID is its number in this transaction. ANONYMOUS: constant, part of a rule, N_ELEMS big. */
int nft_encode_set(struct nft_batch *b, const struct bh_change *c, const struct bh_set *set, uint32_t id, bool anonymous,
	size_t n_elems, size_t rule, struct bh_error *err);
/* Elements, in as many messages as they need. NAME may be a pattern ("__set%d") with ID. */
struct nft_elems {
	enum bh_family family;
	const char *set;
	uint32_t id;
	const enum bh_field *key;
	size_t n_key;
	enum bh_data data;
	bool interval;
	bool known;		/* whether they are there: else one that is added may be */
	unsigned shift;		/* of a key of one byte, see nft_load */
};
int nft_encode_elems(struct nft_batch *b, uint16_t type, const struct bh_change *c, size_t rule, const struct nft_elems *how,
	const struct bh_elem *const *elems, size_t n);

/* ---- decode_rule.c, decode_set.c */

/* A set as the kernel has it, with what only rules need to know. */
struct nft_seen_set {
	struct bh_set set;
	char name[NFT_SET_MAXNAMELEN];
	bool anonymous;
	bool known;		/* its type is one of ours */
	uint32_t kernel_flags, key_len;
	BH_VEC(bool) ends;	/* beside set.elems: this one closes an interval */
};
struct nft_seen_sets {
	BH_VEC(struct nft_seen_set) v;
};
void nft_seen_sets_clear(struct nft_seen_sets *s);
/* Every rule asks for its sets: sorted, then searched. */
void nft_seen_sets_sort(struct nft_seen_sets *s);
const struct nft_seen_set *nft_seen_set_find(const struct nft_seen_sets *s, const char *name);

/* A NEWSET message. 0, -ENOMEM, -EBADMSG. */
int nft_decode_set(const struct nlmsghdr *nlh, struct nft_seen_set *ret);
/* The elements of a NEWSETELEM message, appended as they are: an interval's end is an element of its own until
 * nft_decode_intervals(). */
int nft_decode_elems(const struct nlmsghdr *nlh, struct nft_seen_set *set);
int nft_decode_intervals(struct nft_seen_set *set);
/* In a seen table's flags: it holds a base chain that cannot be named in a plan, so that only the whole table can go. */
#define NFT_TABLE_STRANGE 0x80000000u
#define NFT_TABLE_KERNEL_FLAGS (BH_TABLE_DORMANT | BH_TABLE_OWNER | BH_TABLE_PERSIST)

/* A NEWRULE message, appended to its chain. Anything that is not in our language becomes one BH_STMT_FOREIGN. */
int nft_decode_rule(const struct nlmsghdr *nlh, enum bh_family family, const struct nft_seen_sets *sets,
	struct bh_nft_rule *ret);
/* The name of the chain that a NEWRULE belongs to, NULL for none. */
const char *nft_rule_chain(const struct nlmsghdr *nlh);

/* A NEWTABLE message: flags and owner into RET. OWN is the port id of our socket: another owner's table is BH_TABLE_FOREIGN. -EBADMSG. */
int nft_decode_table(const struct nlmsghdr *nlh, uint32_t own, struct bh_table *ret);
/* A NEWCHAIN message. -ENAMETOOLONG when its name does not fit, which none of ours does; -EPERM when it is a base chain then. */
int nft_decode_chain(const struct nlmsghdr *nlh, enum bh_family family, struct bh_chain *ret);
/* A NEWOBJ message. -ENOENT when it is no counter. */
int nft_decode_counter(const struct nlmsghdr *nlh, struct bh_counter *ret);

/* monitor.c: who made a transaction, from its NEWGEN message; RET stays when it does not say. */
void nft_decode_process(const struct nlmsghdr *nlh, struct bh_nft_process *ret);

/* ---- socket.c */

struct nft_socket {
	struct mnl_socket *nl;
	uint32_t portid, seq;
	char *buf;
	size_t size;
};
int nft_socket_open(struct nft_socket *s, struct bh_error *err);
/* The same on FD, see bh_nft_new_from(). */
int nft_socket_adopt(struct nft_socket *s, int fd, struct bh_error *err);
void nft_socket_close(struct nft_socket *s);
/* One datagram from the kernel (others may send to our port too) into s->buf: its length, 0 when there is none and FLAGS has
 * MSG_DONTWAIT or 30 s have passed, -EMSGSIZE when it was cut, or -errno. */
ssize_t nft_socket_receive(struct nft_socket *s, int flags);
/* Sends the request NLH and calls CB for each message of the answer. 0, -EINTR when the dump was
 * disturbed, -ENOBUFS, or the kernel's error. */
int nft_socket_dump(struct nft_socket *s, struct nlmsghdr *nlh, mnl_cb_t cb, void *data);
/* The first refusal of a transaction. */
struct nft_refusal {
	int code;		/* negative errno, 0 for none */
	uint32_t seq;
	uint32_t offset;	/* of the attribute that the kernel disliked, 0 when it did not say */
	char msg[128];		/* the kernel's words, "" for none */
};
/* Sends a transaction and reads everything that the kernel says about it. */
int nft_socket_transact(struct nft_socket *s, const struct nft_batch *b, struct nft_refusal *ret);

/* ---- observe.c, apply.c */

struct nft_kernel {
	struct bh_nft nft;
	struct nft_socket socket;
};
int nft_observe(struct nft_kernel *k, struct bh_ruleset **ret, struct bh_error *err);
int nft_counters(struct nft_kernel *k, struct bh_ruleset **ret, struct bh_error *err);
int nft_apply(struct nft_kernel *k, const struct bh_plan *plan, struct bh_error *err);

#endif
