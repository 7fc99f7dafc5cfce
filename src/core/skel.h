/* SPDX-License-Identifier: Apache-2.0 */
/* Rules as constant tables, one line a rule, near to how nft writes them; skel_add() makes the IR of them. */
#ifndef BULKHEAD_CORE_SKEL_H
#define BULKHEAD_CORE_SKEL_H

#include <bulkhead/ruleset.h>

#define SKEL_FIELDS 5
#define SKEL_CASES 16

/* One entry of an anonymous set or verdict map. */
struct skel_case {
	uint16_t value;
	uint8_t verdict;	/* enum bh_verdict */
	const char *chain;
};

struct skel_stmt {
	uint8_t kind;		/* enum bh_stmt_kind */
	uint8_t op;		/* enum bh_op */
	uint8_t verdict;	/* enum bh_verdict */
	uint8_t n_cases;
	uint8_t meter;		/* enum bh_meter, of as many as the mask says */
	bool take_out;
	uint8_t fields[SKEL_FIELDS];	/* enum bh_field */
	uint64_t value;		/* of one field: as a number, or the mask of a flag */
	uint64_t mask;
	const char *name;	/* set, chain, counter, prefix, or a device's name as the value */
	const struct skel_case *cases;
};

/* Lists are as long as what is written: addresses in tables make the loader write to every page of them, in each process. */
struct skel_rule {
	const struct skel_stmt *s;
	size_t n;
};

struct skel_chain {
	const char *name;
	uint8_t hook;		/* enum bh_hook */
	int16_t priority;
	const struct skel_rule *rules;
	size_t n_rules;
};

struct skel_set {
	const char *name;
	uint8_t key[SKEL_FIELDS];	/* enum bh_field */
	uint8_t data;		/* enum bh_data */
	uint8_t flags;		/* enum bh_set_flags */
	uint16_t size;
	uint16_t timeout_ms;
};

#define ON(...) {__VA_ARGS__}

/* Matches. A device's name may end in *. */
#define IS(f, v) {.kind = BH_STMT_MATCH, .fields = ON(f), .op = BH_EQ, .value = (v)}
#define ISNT(f, v) {.kind = BH_STMT_MATCH, .fields = ON(f), .op = BH_NE, .value = (v)}
#define DEV(f, dev) {.kind = BH_STMT_MATCH, .fields = ON(f), .op = BH_EQ, .name = (dev)}
#define FLAG(f, bit) {.kind = BH_STMT_MATCH, .fields = ON(f), .op = BH_MASK_ANY, .mask = (bit)}
#define MASKED(f, m, v) {.kind = BH_STMT_MATCH, .fields = ON(f), .op = BH_MASK_EQ, .mask = (m), .value = (v)}
#define IN(set, ...) {.kind = BH_STMT_LOOKUP, .op = BH_EQ, .name = (set), .fields = ON(__VA_ARGS__)}
#define NOT_IN(set, ...) {.kind = BH_STMT_LOOKUP, .op = BH_NE, .name = (set), .fields = ON(__VA_ARGS__)}
#define ONE_OF(f, list) {.kind = BH_STMT_LOOKUP, .op = BH_EQ, .fields = ON(f), .cases = (list), .n_cases = BH_ARRAY_SIZE(list)}
#define NONE_OF(f, list) {.kind = BH_STMT_LOOKUP, .op = BH_NE, .fields = ON(f), .cases = (list), .n_cases = BH_ARRAY_SIZE(list)}
#define BY(f, list) {.kind = BH_STMT_VMAP, .fields = ON(f), .cases = (list), .n_cases = BH_ARRAY_SIZE(list)}
#define VMAP(set, ...) {.kind = BH_STMT_VMAP, .name = (set), .fields = ON(__VA_ARGS__)}

/* An Ethernet address that bridges keep to themselves, 01:80:c2:00:00:00 to 0f (IEEE 802.1D). What is sent there passes a bridge by in part: the
 * kernel hands it to the port that it came in by, learns its source, and calls no hook before that (br_handle_frame() in net/bridge/br_input.c). */
#define IS_LINK_LOCAL_GROUP MASKED(BH_ETHER_DADDR, 0xfffffffffff0, 0x0180c2000000)
#define IS_GROUP MASKED(BH_ETHER_DADDR, 0x010000000000, 0x010000000000)

/* What is done. */
#define SCRATCH(v) {.kind = BH_STMT_SET_PRIORITY, .value = (v)}
#define FETCH(set, ...) {.kind = BH_STMT_MAP_PRIORITY, .name = (set), .fields = ON(__VA_ARGS__)}
#define COUNT(counter) {.kind = BH_STMT_COUNTER, .name = (counter)}
#define LIMIT(n) {.kind = BH_STMT_LIMIT, .value = (n)}
#define LOG(prefix) {.kind = BH_STMT_LOG, .name = (prefix), .value = BH_NFLOG_GROUP}
#define REJECT(how) {.kind = BH_STMT_REJECT, .value = (how)}
#define UPDATE(set, ms, ...) {.kind = BH_STMT_UPDATE, .name = (set), .value = (ms), .fields = ON(__VA_ARGS__)}
/* An element that goes on for N of KIND (enum bh_meter) of each key, and no more. */
#define METERED(set, ms, kind_, n, ...) {.kind = BH_STMT_UPDATE, .name = (set), .value = (ms), .meter = (kind_), .mask = (n), \
	.fields = ON(__VA_ARGS__)}
/* An element that one update alone can make while it is there: the rule goes on for that one. */
#define UPDATE_ONCE(set, ms, ...) METERED(set, ms, BH_METER_PER_MINUTE, 1, __VA_ARGS__)
#define TAKE_OUT(set, ...) {.kind = BH_STMT_UPDATE, .name = (set), .take_out = true, .fields = ON(__VA_ARGS__)}
/* Goes on for N packets a second of each key, and no more. */
#define METER(set, n, ...) METERED(set, 0, BH_METER_PER_SECOND, n, __VA_ARGS__)
#define ACCEPT {.kind = BH_STMT_VERDICT, .verdict = BH_ACCEPT}
#define DROP {.kind = BH_STMT_VERDICT, .verdict = BH_DROP}
#define RETURN {.kind = BH_STMT_VERDICT, .verdict = BH_RETURN}
#define JUMP(chain) {.kind = BH_STMT_VERDICT, .verdict = BH_JUMP, .name = (chain)}
#define GOTO(chain) {.kind = BH_STMT_VERDICT, .verdict = BH_GOTO, .name = (chain)}

/* linux/netfilter/nf_conntrack_tuple_common.h, enum ip_conntrack_dir */
#define CT_ORIGINAL 0
#define CT_REPLY 1
/* Who answers the flow: in meta priority. */
#define JUMP_TO_END \
	RULE(IS(BH_CT_DIRECTION, CT_ORIGINAL), JUMP("to_orig")), \
	RULE(IS(BH_CT_DIRECTION, CT_REPLY), JUMP("to_reply"))

/* By which number the connections of whom a packet comes from are counted, or 0. */
#define FETCH_OPENER \
	RULE(SCRATCH(0)), \
	RULE(FETCH("opener4", BH_IIFNAME, BH_CT_ORIG_IP_SADDR)), \
	RULE(FETCH("opener6", BH_IIFNAME, BH_CT_ORIG_IP6_SADDR)), \
	RULE(FETCH("opener_via4", BH_IIFNAME, BH_CT_ORIG_IP_SADDR)), \
	RULE(FETCH("opener_via6", BH_IIFNAME, BH_CT_ORIG_IP6_SADDR))

/* What stands in a function lives as long as its block. */
#define LIST(type, ...) (const type[]){__VA_ARGS__}
#define LENGTH(type, ...) (sizeof(LIST(type, __VA_ARGS__)) / sizeof(type))
#define RULE(...) {.s = LIST(struct skel_stmt, __VA_ARGS__), .n = LENGTH(struct skel_stmt, __VA_ARGS__)}
#define RULES(...) .rules = LIST(struct skel_rule, __VA_ARGS__), .n_rules = LENGTH(struct skel_rule, __VA_ARGS__)
#define CHAIN(n, ...) {.name = (n), RULES(__VA_ARGS__)}
#define BASE(n, h, p, ...) {.name = (n), .hook = (h), .priority = (p), RULES(__VA_ARGS__)}

#define SKEL_LOG_RATE 10
#define SKEL_KINDS_RATE 100	/* of new kinds that one sender is heard with in a second */

/* Appends one statement made of S to RULE. 0 or -ENOMEM. */
int skel_stmt_add(struct bh_nft_rule *rule, const struct skel_stmt *s);
/* Appends one rule made of R to CHAIN. 0 or -ENOMEM. */
int skel_rule_add(struct bh_chain *chain, const struct skel_rule *r);
/* Append chains with their rules, sets without elements, counters. 0 or -ENOMEM. */
int skel_chains_add(struct bh_table *t, const struct skel_chain *v, size_t n);
int skel_sets_add(struct bh_table *t, const struct skel_set *v, size_t n);
int skel_counters_add(struct bh_table *t, const char *const *v, size_t n);
/* One set as declared, elements apart. */
void skel_set_init(struct bh_set *set, const struct skel_set *s);

/* The parts of the inet and bridge tables that no configuration changes. */
/* TELL: refusals are answered (deny: reject). */
int skel_inet_add(struct bh_table *t, bool tell);
/* What follows a verdict: LIMITED: connections that are opened have limits, and are asked for them in a hook of their own behind the
 * verdict; where none has that hook is spared. */
int skel_passed_add(struct bh_table *t, bool limited);
/* What denies whom somebody has put into quarantine by hand: always. */
int skel_held_add(struct bh_table *t);
/* IBRNAME: this kernel's bridge family knows the bridge of a port. */
int skel_bridge_add(struct bh_table *t, bool ibrname);

#endif
