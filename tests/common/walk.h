/* SPDX-License-Identifier: Apache-2.0 */
/* A rule set walked as the kernel walks it, for one packet: nft's machine in small, which knows nothing of zones. What a packet lacks (an IPv6 address
 * in an IPv4 packet, a key that a map has not) ends the rule, as in nf_tables (NFT_BREAK). Sets that packets fill are empty and stay so, limits let
 * everything pass. */
#ifndef TESTS_WALK_H
#define TESTS_WALK_H

#include <bulkhead/ruleset.h>

#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct walk_packet {
	char iif[16], oif[16];		/* "": none, at input and output */
	struct bh_addr src, dst;	/* the packet's */
	struct bh_addr from, to;	/* the flow's: ct original saddr, ct reply saddr */
	uint8_t proto;
	uint16_t sport, dport;		/* of the packet */
	uint16_t port;			/* ct reply proto-src */
	bool dnat;
	uint32_t priority;
};

/* The value of F, BH_KEY_MAX bytes of room; false when the packet has none. */
static inline bool walk_field(const struct walk_packet *p, enum bh_field f, uint8_t *v)
{
	const struct bh_addr *a = NULL;
	uint8_t family = 4;
	uint32_t n = 0;
	uint16_t port = 0;
	bool ports = p->proto == 6 || p->proto == 17 || p->proto == 132;

	switch (f) {
	case BH_IIFNAME: case BH_OIFNAME:
		memcpy(v, f == BH_IIFNAME ? p->iif : p->oif, 16);
		return (f == BH_IIFNAME ? p->iif : p->oif)[0];
	case BH_IIF: case BH_OIF:
		n = (f == BH_IIF ? p->iif : p->oif)[0] ? 7 : 0;
		memcpy(v, &n, 4);
		return true;
	case BH_PRIORITY:
		memcpy(v, &p->priority, 4);
		return true;
	case BH_CT_STATE:
		n = 8;	/* new */
		memcpy(v, &n, 4);
		return true;
	case BH_CT_STATUS:
		n = p->dnat ? 0x20 : 0;
		memcpy(v, &n, 4);
		return true;
	case BH_SKUID:
		n = 1000;
		memcpy(v, &n, 4);
		return !p->iif[0];
	case BH_CT_DIRECTION:
		v[0] = 0;
		return true;
	case BH_NFPROTO:
		v[0] = p->src.family == 4 ? 2 : 10;
		return true;
	case BH_L4PROTO: case BH_CT_PROTOCOL:
		v[0] = p->proto;
		return true;
	case BH_IP_DSCP:
		v[0] = 0;
		return p->src.family == 4;
	case BH_ICMP_TYPE:
		v[0] = 8;	/* echo */
		return p->proto == 1;
	case BH_ICMPV6_TYPE:
		v[0] = 128;
		return p->proto == 58;
	case BH_ICMP_CODE: case BH_ICMPV6_CODE:
		v[0] = 0;
		return p->proto == (f == BH_ICMP_CODE ? 1 : 58);
	case BH_IIFTYPE:
		v[0] = 1;	/* Ethernet; to an address of one machine */
		return p->iif[0];
	case BH_ETHER_DADDR:
		memset(v, 2, 6);
		return p->iif[0];
	case BH_IP6_HOPLIMIT:
		v[0] = 64;
		return p->src.family == 6;
	case BH_TCP_FLAGS:
		v[0] = 2;	/* SYN */
		return p->proto == 6;
	case BH_TH_SPORT: case BH_TH_DPORT: case BH_CT_REPLY_PROTO_SRC:
		port = f == BH_TH_SPORT ? p->sport : f == BH_TH_DPORT ? p->dport : p->port;
		v[0] = (uint8_t)(port >> 8);
		v[1] = (uint8_t)port;
		return ports || f == BH_CT_REPLY_PROTO_SRC;
	case BH_IP6_SADDR: family = 6; /* fall through */
	case BH_IP_SADDR: a = &p->src; break;
	case BH_IP6_DADDR: family = 6; /* fall through */
	case BH_IP_DADDR: a = &p->dst; break;
	case BH_CT_ORIG_IP6_SADDR: family = 6; /* fall through */
	case BH_CT_ORIG_IP_SADDR: a = &p->from; break;
	case BH_CT_REPLY_IP6_SADDR: family = 6; /* fall through */
	case BH_CT_REPLY_IP_SADDR: a = &p->to; break;
	default:
		fprintf(stderr, "walk: %s is not known\n", bh_field_info(f)->text);
		abort();
	}
	memcpy(v, a->b, bh_addr_size(a));
	return a->family == family;
}

/* The key of a look-up; false when the packet lacks a part of it. */
static inline bool walk_key(const struct walk_packet *p, const struct bh_stmt *s, uint8_t key[BH_KEY_MAX])
{
	memset(key, 0, BH_KEY_MAX);
	for (size_t i = 0; i < s->n_fields; i++)
		if (!walk_field(p, s->fields[i], key + bh_key_offset(s->fields, i)))
			return false;
	return true;
}

/* One after the other: no search that could err like the one that is tested. */
static inline const struct bh_elem *walk_find(const struct bh_table *t, const struct bh_stmt *s, const uint8_t *key)
{
	const struct bh_elem *v = s->elems.v;
	size_t n = s->elems.n;
	bool interval = false;

	if (s->set[0]) {
		const struct bh_set *set = NULL;

		bh_vec_foreach(x, &t->sets)
			if (strcmp(x->name, s->set) == 0)
				set = x;
		if (!set) {
			fprintf(stderr, "walk: no set %s\n", s->set);
			abort();
		}
		if (set->flags & BH_SET_DYNAMIC)
			return NULL;
		v = set->elems.v;
		n = set->elems.n;
		interval = set->flags & BH_SET_INTERVAL;
	}
	for (size_t i = 0; i < n; i++)
		if (interval ? memcmp(v[i].key, key, BH_KEY_MAX) <= 0 && memcmp(key, v[i].key_end, BH_KEY_MAX) <= 0 :
			       memcmp(v[i].key, key, BH_KEY_MAX) == 0)
			return &v[i];
	return NULL;
}

static inline bool walk_match(const struct walk_packet *p, const struct bh_stmt *s)
{
	size_t size = bh_field_info(s->fields[0])->size;
	uint8_t v[BH_KEY_MAX] = {0};
	bool any = false;

	if (!walk_field(p, s->fields[0], v))
		return false;
	switch (s->op) {
	case BH_EQ:
		return memcmp(v, s->value, size) == 0;
	case BH_NE:
		return memcmp(v, s->value, size) != 0;
	case BH_MASK_ANY:
	case BH_MASK_EQ:
		for (size_t i = 0; i < size; i++) {
			any = any || (v[i] & s->mask[i]);
			v[i] &= s->mask[i];
		}
		return s->op == BH_MASK_ANY ? any : memcmp(v, s->value, size) == 0;
	default:
		fprintf(stderr, "walk: an operator that is not known\n");
		abort();
	}
}

/* One statement. BH_CONTINUE: the rule goes on; BH_VERDICT_NONE: the rule ends here; else the verdict, *CHAIN for jump and goto. */
static inline enum bh_verdict walk_stmt(const struct bh_table *t, struct walk_packet *p, const struct bh_stmt *s, const char **chain)
{
	uint8_t key[BH_KEY_MAX];
	const struct bh_elem *e;

	switch (s->kind) {
	case BH_STMT_MATCH:
		return walk_match(p, s) ? BH_CONTINUE : BH_VERDICT_NONE;
	case BH_STMT_LOOKUP:
		if (!walk_key(p, s, key))
			return BH_VERDICT_NONE;
		return (walk_find(t, s, key) != NULL) == (s->op != BH_NE) ? BH_CONTINUE : BH_VERDICT_NONE;
	case BH_STMT_VMAP:
		e = walk_key(p, s, key) ? walk_find(t, s, key) : NULL;
		if (e)
			*chain = e->chain;
		return e ? e->verdict : BH_VERDICT_NONE;
	case BH_STMT_MAP_PRIORITY:
		e = walk_key(p, s, key) ? walk_find(t, s, key) : NULL;
		if (e)
			p->priority = e->value;
		return e ? BH_CONTINUE : BH_VERDICT_NONE;
	case BH_STMT_SET_PRIORITY:
		p->priority = s->number;
		return BH_CONTINUE;
	case BH_STMT_COUNTER:
	case BH_STMT_LIMIT:
	case BH_STMT_LOG:
		return BH_CONTINUE;
	case BH_STMT_UPDATE:
		return walk_key(p, s, key) ? BH_CONTINUE : BH_VERDICT_NONE;
	case BH_STMT_REJECT:
		return BH_DROP;
	case BH_STMT_VERDICT:
		*chain = s->chain;
		return s->verdict;
	default:
		fprintf(stderr, "walk: a statement that is not known\n");
		abort();
	}
}

static inline const struct bh_chain *walk_chain_named(const struct bh_table *t, const char *name)
{
	bh_vec_foreach(c, &t->chains)
		if (strcmp(c->name, name) == 0)
			return c;
	fprintf(stderr, "walk: no chain %s\n", name);
	abort();
}

/* ACCEPT, DROP, or RETURN where the chain ended without a word. *GONE: a goto left it, so that its end is its caller's, too. */
static inline enum bh_verdict walk_chain(const struct bh_table *t, struct walk_packet *p, const struct bh_chain *c)
{
	bh_vec_foreach(r, &c->rules)
		bh_vec_foreach(s, &r->stmts) {
			const char *chain = NULL;
			enum bh_verdict v = walk_stmt(t, p, s, &chain);

			if (v == BH_CONTINUE)
				continue;
			if (v == BH_VERDICT_NONE)
				break;
			if (v == BH_GOTO)
				return walk_chain(t, p, walk_chain_named(t, chain));
			if (v == BH_JUMP)
				v = walk_chain(t, p, walk_chain_named(t, chain));
			else if (v == BH_RETURN)
				return BH_RETURN;
			if (v == BH_ACCEPT || v == BH_DROP)
				return v;
		}
	return BH_RETURN;
}

/* All base chains of the hook, by priority. What passes the forward hook must have its class again. */
static inline bool walk_passes(const struct bh_table *t, const struct walk_packet *packet, enum bh_hook hook)
{
	struct walk_packet p = *packet;

	for (int prio = -20; prio <= 0; prio++)
		bh_vec_foreach(c, &t->chains) {
			enum bh_verdict v;

			if (c->hook != hook || c->priority != prio)
				continue;
			v = walk_chain(t, &p, c);
			if (v == BH_DROP || (v == BH_RETURN && c->policy == BH_DROP))
				return false;
		}
	if (hook == BH_HOOK_FORWARD && p.priority != packet->priority) {
		fprintf(stderr, "walk: the class %x is left behind\n", p.priority);
		abort();
	}
	return true;
}

#endif
