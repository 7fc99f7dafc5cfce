/* SPDX-License-Identifier: Apache-2.0 */
/* Random rule sets from a seed: all kinds of sets and statements, in the same few names, so that one after the other they
 * are changes of each other. Only what the IR may say: jumps go to later chains, dependencies are left out. */
#ifndef TESTS_RSRANDOM_H
#define TESTS_RSRANDOM_H

#include "../../src/nft/internal.h"
#include "../unit/rsbuild.h"

struct rng {
	uint64_t s;
	const uint8_t *data;	/* what a fuzzer says comes first */
	size_t n;
};

static inline uint32_t rnd(struct rng *r, uint32_t n)
{
	if (r->n > 0) {
		r->n--;
		return *r->data++ % n;
	}
	r->s ^= r->s << 13;
	r->s ^= r->s >> 7;
	r->s ^= r->s << 17;
	return (uint32_t)(r->s >> 16) % n;
}

static inline bool chance(struct rng *r, uint32_t percent)
{
	return rnd(r, 100) < percent;
}

/* One of a few values of a field, so that rule sets meet each other. */
static inline void rr_value(struct rng *r, enum bh_field f, uint8_t *v)
{
	static const char *const devices[] = {"lo", "docker0", "veth1", "br-0123456789ab"};
	size_t size = bh_field_info(f)->size;
	uint32_t n = 1 + rnd(r, 9);

	memset(v, 0, size);
	if (bh_streq(bh_field_info(f)->type, "ifname"))
		memcpy(v, devices[n % 4], strlen(devices[n % 4]));
	else if (nft_field_load(f)->host)
		memcpy(v, &n, sizeof(n));
	else
		v[size - 1] = (uint8_t)n;
	if (f == BH_CT_DIRECTION)
		v[0] &= 1;
}

static inline void rr_key(struct rng *r, const enum bh_field *f, size_t n, uint8_t key[BH_KEY_MAX])
{
	memset(key, 0, BH_KEY_MAX);
	for (size_t i = 0; i < n; i++)
		rr_value(r, f[i], key + bh_key_offset(f, i));
}

static inline bool rr_has(const struct bh_elem *v, size_t n, const uint8_t *key)
{
	for (size_t i = 0; i < n; i++)
		if (memcmp(v[i].key, key, BH_KEY_MAX) == 0)
			return true;
	return false;
}

struct gen {
	struct rng *r;
	enum bh_family family;
	struct bh_table *t;
	/* of the rule that is being made */
	enum nft_net net;
	uint8_t l4;
};

static inline struct bh_chain *rr_leaf(struct gen *g)
{
	char name[8];

	snprintf(name, sizeof(name), "l%u", rnd(g->r, 3));
	return bh_table_chain(g->t, name);
}

static inline void rr_data(struct gen *g, enum bh_data data, struct bh_elem *e)
{
	struct bh_chain *leaf;

	if (data == BH_DATA_PRIORITY)
		e->value = rnd(g->r, 5);
	if (data != BH_DATA_VERDICT)
		return;
	leaf = rr_leaf(g);
	e->verdict = leaf && chance(g->r, 60) ? (chance(g->r, 50) ? BH_JUMP : BH_GOTO) : chance(g->r, 50) ? BH_ACCEPT : BH_DROP;
	if (e->verdict == BH_JUMP || e->verdict == BH_GOTO)
		snprintf(e->chain, sizeof(e->chain), "%s", leaf->name);
}

/* Disjoint ranges in the last field; now and then they touch, begin at 0 or end at the last value. */
static inline void rr_ranges(struct gen *g, struct bh_set *s)
{
	size_t last = bh_key_offset(s->key, s->n_key - 1) + bh_field_info(s->key[s->n_key - 1])->size - 1;
	uint32_t at = chance(g->r, 30) ? 0 : 1 + rnd(g->r, 20);

	while (at < 250) {
		struct bh_elem *e = rs_need(bh_vec_add(&s->elems));
		uint32_t end = at + (chance(g->r, 30) ? 0 : rnd(g->r, 30));

		if (s->n_key > 1)	/* the fields before it are the same in all */
			e->key[0] = 7;
		memcpy(e->key_end, e->key, sizeof(e->key));
		e->key[last] = (uint8_t)at;
		e->key_end[last] = (uint8_t)(end > 255 ? 255 : end);
		rr_data(g, s->data, e);
		if (end > 240 && s->n_key == 1) {	/* up to the last value there is */
			memset(e->key_end, 0xff, last + 1);
			return;
		}
		at = end + 1 + (chance(g->r, 30) ? 0 : rnd(g->r, 40));
	}
}

static inline void rr_set(struct gen *g, unsigned i)
{
	static const struct {
		enum bh_field key[BH_FIELDS_MAX];
		bool interval;
	} types[] = {
		{{BH_IIFNAME}, false}, {{BH_IP_SADDR}, true}, {{BH_PRIORITY}, false}, {{BH_IIFNAME, BH_IP_SADDR}, false},
		{{BH_PRIORITY, BH_L4PROTO, BH_TH_DPORT}, true}, {{BH_TH_DPORT}, true}, {{BH_IP6_SADDR}, true},
		{{BH_IIFNAME, BH_ETHER_SADDR, BH_TH_64_128}, false}, {{BH_L4PROTO}, false},
	};
	unsigned type = i % BH_ARRAY_SIZE(types);
	enum bh_field key[BH_FIELDS_MAX + 1] = {0};
	struct bh_set *s;
	char name[8];
	bool interval = types[type].interval && i % 2;

	snprintf(name, sizeof(name), "s%u", i);
	if (chance(g->r, 5))	/* another type under the same name */
		type = rnd(g->r, BH_ARRAY_SIZE(types)), interval = false;
	memcpy(key, types[type].key, sizeof(types[type].key));
	s = rs_set(g->t, name, key, (enum bh_data)(i % 3), (interval ? BH_SET_INTERVAL : 0) | (i % 4 == 0 ? BH_SET_COUNTER : 0));
	if (interval) {
		rr_ranges(g, s);
		return;
	}
	for (unsigned n = rnd(g->r, 12); n > 0; n--) {
		struct bh_elem e = {0};

		rr_key(g->r, s->key, s->n_key, e.key);
		rr_data(g, s->data, &e);
		if (!rr_has(s->elems.v, s->elems.n, e.key) && bh_vec_push(&s->elems, e) < 0)
			abort();
	}
}

/* A field that may stand in the rule that is being made. */
static inline enum bh_field rr_field(struct gen *g)
{
	for (;;) {
		enum bh_field f = BH_FIELD_NONE + 1 + rnd(g->r, BH_FIELD_MAX - 1);
		const struct nft_load *l = nft_field_load(f);

		if (f == BH_IBRNAME || f == BH_OBRNAME || f == BH_IIFTYPE || f == BH_CT_ORIG_PROTO_DST || (l->source == NFT_FROM_CT && g->family != BH_FAMILY_INET))
			continue;
		if (l->source == NFT_FROM_PAYLOAD && l->key == NFT_PAYLOAD_LL_HEADER && g->family != BH_FAMILY_BRIDGE)
			continue;
		if ((l->net != NFT_NET_ANY && l->net != g->net) || (l->l4 && l->l4 != g->l4))
			continue;
		if ((f == BH_L4PROTO && g->l4) || ((f == BH_NFPROTO || f == BH_ETHER_TYPE) && g->net != NFT_NET_ANY))
			continue;
		if ((f == BH_TH_SPORT || f == BH_TH_DPORT) && g->l4 == IPPROTO_UDP)
			continue;
		return f;
	}
}

static inline void rr_match(struct gen *g, struct bh_nft_rule *rule)
{
	enum bh_field f = rr_field(g);
	size_t size = bh_field_info(f)->size;
	struct bh_stmt *s = rs_stmt(rule, BH_STMT_MATCH, FIELDS(f));

	rr_value(g->r, f, s->value);
	s->op = chance(g->r, 70) ? BH_EQ : BH_NE;
	if (f == BH_MARK || f == BH_CT_MARK || f == BH_CT_STATE || f == BH_TCP_FLAGS) {
		if (chance(g->r, 50)) {
			s->op = chance(g->r, 50) ? BH_MASK_ANY : BH_MASK_EQ;
			memcpy(s->mask, s->value, size);
			if (s->op == BH_MASK_ANY)
				memset(s->value, 0, sizeof(s->value));
		}
	} else if (bh_streq(bh_field_info(f)->type, "ifname") && chance(g->r, 30)) {
		s->op = BH_MASK_EQ;
		memset(s->value + 2, 0, sizeof(s->value) - 2);
		memset(s->mask, 0xff, 2);
	} else if (size <= 4 && f != BH_IP_DSCP && chance(g->r, 30)) {
		s->op = (enum bh_op[]){BH_LT, BH_LE, BH_GT, BH_GE}[rnd(g->r, 4)];
	}
}

static inline void rr_anonymous(struct gen *g, struct bh_nft_rule *rule, enum bh_stmt_kind kind)
{
	struct bh_stmt *s = rs_stmt(rule, kind, FIELDS(rr_field(g)));
	enum bh_data data = kind == BH_STMT_VMAP ? BH_DATA_VERDICT : kind == BH_STMT_MAP_PRIORITY ? BH_DATA_PRIORITY : BH_DATA_NONE;

	s->data = data;
	if (kind == BH_STMT_LOOKUP && chance(g->r, 30))
		s->op = BH_NE;
	if (chance(g->r, 30)) {
		enum bh_field f = rr_field(g);

		if (f != BH_IP_DSCP && s->fields[0] != BH_IP_DSCP)
			s->fields[s->n_fields++] = f;
	}
	for (unsigned n = 1 + rnd(g->r, 4); n > 0; n--) {
		struct bh_elem e = {0};

		rr_key(g->r, s->fields, s->n_fields, e.key);
		rr_data(g, data, &e);
		if (!rr_has(s->elems.v, s->elems.n, e.key) && bh_vec_push(&s->elems, e) < 0)
			abort();
	}
}

/* A named set, looked up by the fields of its key. */
static inline void rr_named(struct gen *g, struct bh_nft_rule *rule)
{
	static const enum bh_stmt_kind kinds[] = {
		[BH_DATA_NONE] = BH_STMT_LOOKUP, [BH_DATA_VERDICT] = BH_STMT_VMAP, [BH_DATA_PRIORITY] = BH_STMT_MAP_PRIORITY};
	const struct bh_set *set = g->t->sets.n ? &g->t->sets.v[rnd(g->r, (uint32_t)g->t->sets.n)] : NULL;
	struct bh_stmt *s;

	if (!set || (set->flags & BH_SET_DYNAMIC))
		return;
	for (size_t i = 0; i < set->n_key; i++) {
		const struct nft_load *l = nft_field_load(set->key[i]);

		if ((l->net != NFT_NET_ANY && l->net != g->net) || (set->key[i] == BH_TH_DPORT && g->l4 == IPPROTO_UDP) ||
			(set->key[i] == BH_ETHER_SADDR && g->family != BH_FAMILY_BRIDGE))
			return;
	}
	s = rs_named(rule, kinds[set->data], NULL, set->name);
	s->n_fields = set->n_key;
	memcpy(s->fields, set->key, sizeof(set->key));
}

static inline void rr_stmt(struct gen *g, struct bh_nft_rule *rule)
{
	char name[8];

	switch (rnd(g->r, 12)) {
	case 0: case 1: case 2: case 3:
		rr_match(g, rule);
		return;
	case 4: case 5: case 6:
		rr_named(g, rule);
		return;
	case 7:
		rr_anonymous(g, rule, (enum bh_stmt_kind[]){BH_STMT_LOOKUP, BH_STMT_VMAP, BH_STMT_MAP_PRIORITY}[rnd(g->r, 3)]);
		return;
	case 8:
		rs_number(rule, BH_STMT_SET_PRIORITY, rnd(g->r, 4));
		return;
	case 9:
		snprintf(name, sizeof(name), "k%u", rnd(g->r, 4));
		if (bh_table_counter(g->t, name))
			rs_named(rule, BH_STMT_COUNTER, NULL, name);
		return;
	case 10:
		rs_number(rule, BH_STMT_LIMIT, 1 + rnd(g->r, 5));
		snprintf(rs_stmt(rule, BH_STMT_LOG, NULL)->prefix, 64, "bulkhead %u ", rnd(g->r, 3));
		return;
	case 11:
		if (bh_table_set(g->t, "dyn"))
			rs_named(rule, BH_STMT_UPDATE, FIELDS(BH_PRIORITY), "dyn")->number = rnd(g->r, 2) * 5000;
		return;
	}
}

/* TARGET: a chain to jump to, NULL for none. */
static inline void rr_rule(struct gen *g, struct bh_chain *c, const struct bh_chain *target)
{
	struct bh_nft_rule *rule = rs_rule(c);

	g->net = (enum nft_net)rnd(g->r, g->family == BH_FAMILY_INET ? 3 : 4);
	g->l4 = 0;
	if (chance(g->r, 40))
		g->l4 = g->net == NFT_NET_IP  ? (uint8_t[]){IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP}[rnd(g->r, 3)] :
			g->net == NFT_NET_IP6 ? (uint8_t[]){IPPROTO_ICMPV6, IPPROTO_TCP, IPPROTO_UDP}[rnd(g->r, 3)] : 0;
	for (unsigned n = rnd(g->r, 4); n > 0; n--)
		rr_stmt(g, rule);
	if (target && chance(g->r, 40))
		rs_verdict(rule, chance(g->r, 50) ? BH_JUMP : BH_GOTO, target->name);
	else if (g->family == BH_FAMILY_INET && chance(g->r, 20))
		rs_number(rule, BH_STMT_REJECT, rnd(g->r, 2));
	else if (g->family == BH_FAMILY_NETDEV && chance(g->r, 20))
		rs_named(rule, BH_STMT_FWD, NULL, "lo");
	else
		rs_verdict(rule, (enum bh_verdict[]){BH_ACCEPT, BH_DROP, BH_RETURN, BH_CONTINUE}[rnd(g->r, 4)], NULL);
}

static inline void rr_chains(struct gen *g)
{
	static const enum bh_hook hooks[BH_FAMILY_MAX] = {BH_HOOK_FORWARD, BH_HOOK_PREROUTING, BH_HOOK_INGRESS};
	struct bh_chain *base;
	char name[8];

	for (unsigned i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "l%u", i);
		if (chance(g->r, 85))
			rs_chain(g->t, name);
	}
	for (unsigned i = 0; i < 5; i++) {
		snprintf(name, sizeof(name), "c%u", i);
		if (chance(g->r, 85))
			rs_chain(g->t, name);
	}
	base = rs_chain(g->t, "base");
	rs_base(base, hooks[g->family], chance(g->r, 95) ? -10 : -11);
	if (g->family == BH_FAMILY_NETDEV)
		snprintf(base->device, sizeof(base->device), "lo");
}

/* Rules come last: they refer to everything else. Chains only jump to later ones in the vector, the base chain to any. */
static inline void rr_rules(struct gen *g)
{
	size_t n = g->t->chains.n;

	for (size_t i = 0; i < n; i++) {
		struct bh_chain *c = &g->t->chains.v[i];
		bool leaf = c->name[0] == 'l';

		for (unsigned k = rnd(g->r, leaf ? 2 : 5); k > 0; k--) {
			const struct bh_chain *target = NULL;

			if (c->hook != BH_HOOK_NONE && n > 1)
				target = &g->t->chains.v[rnd(g->r, (uint32_t)n - 1)];
			else if (!leaf && i + 2 < n)
				target = &g->t->chains.v[i + 1 + rnd(g->r, (uint32_t)(n - i - 2))];
			if (leaf) {	/* no look-up that could jump back */
				g->net = NFT_NET_ANY;
				g->l4 = 0;
				rr_match(g, rs_rule(c));
				rs_verdict(&c->rules.v[c->rules.n - 1], BH_ACCEPT, NULL);
			} else {
				rr_rule(g, c, target);
			}
		}
	}
}

static inline struct bh_ruleset *ruleset_random(struct rng *r)
{
	struct bh_ruleset *rs = rs_new();

	for (int f = 0; f < BH_FAMILY_MAX; f++) {
		struct gen g = {.r = r, .family = (enum bh_family)f, .t = &rs->tables[f]};

		g.t->present = chance(r, 92);
		if (!g.t->present)
			continue;
		for (unsigned i = 0; i < 4; i++)
			if (chance(r, 80))
				snprintf(((struct bh_counter *)rs_need(bh_vec_add(&g.t->counters)))->name, BH_NAME, "k%u", i);
		rr_chains(&g);
		for (unsigned i = 0; i < 18; i++)
			if (chance(r, 85))
				rr_set(&g, i);
		if (chance(r, 80)) {
			struct bh_set *dyn = rs_set(g.t, "dyn", FIELDS(BH_PRIORITY), BH_DATA_NONE, BH_SET_DYNAMIC | BH_SET_TIMEOUT);

			dyn->timeout_ms = 10000;
			dyn->size = 1024;
		}
		rr_rules(&g);
	}
	bh_ruleset_sort(rs);
	return rs;
}

#endif
