/* SPDX-License-Identifier: Apache-2.0 */
/* Other programs' rules in nf_tables (Docker's, ufw's, firewalld's), as far as a new connection's first packet needs them.
 * Made by src/nft, asked by core. What is not understood is kept as such, so that an answer is never surer than what was read. */
#ifndef BULKHEAD_FOREIGN_H
#define BULKHEAD_FOREIGN_H

#include <bulkhead/addr.h>
#include <bulkhead/mem.h>

#include <stdint.h>

enum bh_foreign_field {
	BH_FOREIGN_OTHER,	/* not understood: true or false */
	BH_FOREIGN_IIFNAME,	/* 16 bytes */
	BH_FOREIGN_OIFNAME,
	BH_FOREIGN_L4PROTO,	/* 1 byte */
	BH_FOREIGN_NFPROTO,	/* 1 byte */
	BH_FOREIGN_CT_STATE,	/* NF_CT_STATE_* of nft's `ct state`, 4 bytes host order */
	BH_FOREIGN_CT_STATUS,	/* IPS_*, 4 bytes host order */
	BH_FOREIGN_NETWORK,	/* bytes of the network header from `offset` */
	BH_FOREIGN_TRANSPORT,
	BH_FOREIGN_DADDR_TYPE,	/* RTN_*, 4 bytes host order */
	BH_FOREIGN_ROUTE_BACK,	/* the interface by which the sender is reached, 4 bytes host order; only whether it is 0 counts */
};

enum bh_foreign_op {
	BH_FOREIGN_EQ,
	BH_FOREIGN_NE,
	BH_FOREIGN_LT,
	BH_FOREIGN_LE,
	BH_FOREIGN_GT,
	BH_FOREIGN_GE,
};

struct bh_foreign_bytes {
	uint8_t b[16];
};

/* (field & mask) OP value; or, with `set`, in (BH_FOREIGN_EQ) or not in VALUES. */
struct bh_foreign_cond {
	enum bh_foreign_field field;
	uint8_t offset, len;	/* len: bytes that are compared */
	enum bh_foreign_op op;
	struct bh_foreign_bytes mask, value;
	bool set;
	BH_VEC(struct bh_foreign_bytes) values;
};

enum bh_foreign_effect {
	BH_FOREIGN_NOTHING,	/* the next rule */
	BH_FOREIGN_ACCEPT,
	BH_FOREIGN_DROP,	/* and reject */
	BH_FOREIGN_RETURN,
	BH_FOREIGN_JUMP,
	BH_FOREIGN_GOTO,
	BH_FOREIGN_DNAT,
	BH_FOREIGN_ANYTHING,	/* not understood */
};

struct bh_foreign_rule {
	BH_VEC(struct bh_foreign_cond) conds;
	enum bh_foreign_effect effect;
	char *chain;		/* of jump and goto */
};

enum bh_foreign_hook {
	BH_FOREIGN_NO_HOOK,
	BH_FOREIGN_PREROUTING,
	BH_FOREIGN_INPUT,
	BH_FOREIGN_FORWARD,
	BH_FOREIGN_OUTPUT,
	BH_FOREIGN_OTHER_HOOK,
};

struct bh_foreign_chain {
	char *name;
	enum bh_foreign_hook hook;
	bool nat;		/* of type nat */
	bool drops;		/* its policy */
	BH_VEC(struct bh_foreign_rule) rules;
	unsigned outcome;	/* of the question that is being answered; 0: not known yet */
	const char *dropper;	/* the chain of the rule by which it may be dropped then; NULL: its policy */
	bool busy;
};

struct bh_foreign_table {
	uint8_t family;		/* 4, 6; 0 for both (inet) */
	char *name;
	BH_VEC(struct bh_foreign_chain) chains;
};

struct bh_foreign {
	BH_VEC(struct bh_foreign_table) tables;
	bool legacy4, legacy6;	/* there are rules of iptables-legacy, which nobody here reads */
	const struct bh_foreign_table *drop_table;	/* of the last question: who drops it, or may (NULL: nobody, or iptables-legacy) */
	const char *drop_chain;
};

void bh_foreign_free(struct bh_foreign *f);
BH_DEFINE_FREEP(struct bh_foreign, bh_foreign_free)
void bh_foreign_cond_clear(struct bh_foreign_cond *c);

/* The first packet of a connection from outside. */
struct bh_foreign_packet {
	const char *iif, *oif;		/* "": none, or not routed yet; NULL: not known */
	struct bh_addr saddr, daddr;
	uint8_t proto;
	uint16_t dport;
	bool local;			/* daddr is one of the host's */
	bool dnat;			/* its destination was changed */
};

/* What may become of it at a hook. Several bits: not known which. */
enum bh_foreign_outcome {
	BH_OUTCOME_ACCEPT = 1,
	BH_OUTCOME_DROP = 2,
	BH_OUTCOME_DNAT = 4,
};

/* The filtering (NAT: address translating) chains of HOOK of the packet's family together: it passes when all of them let it.
 * *RET_DOUBT (may be NULL) is the table whose rules left it open, or NULL; F's, or static. */
unsigned bh_foreign_ask(struct bh_foreign *f, const struct bh_foreign_packet *p, enum bh_foreign_hook hook, bool nat, const char **ret_doubt);

/* "ufw", "firewalld", "nftables" for other rules at the input hook, or NULL: who guards the host's own ports. Static. */
const char *bh_foreign_firewall(const struct bh_foreign *f);

#endif
