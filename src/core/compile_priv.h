/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the compiler share. */
#ifndef BULKHEAD_CORE_COMPILE_PRIV_H
#define BULKHEAD_CORE_COMPILE_PRIV_H

#include <bulkhead/allow.h>
#include <bulkhead/compile.h>

#include "spans.h"

/* What one pair of zones opens, by the first rule that says so: no two claims of a pair overlap. */
enum claim_kind {
	CLAIM_ALL,
	CLAIM_PROTO,
	CLAIM_PORTS,
};
struct claim {
	size_t from, to;	/* indices into placement->insts */
	size_t rule;		/* index into policy->allow */
	enum claim_kind kind;
	uint8_t proto;
	uint16_t first, last;	/* CLAIM_PORTS */
};
struct claims {
	BH_VEC(struct claim) v;	/* sorted by from, to and rule */
	size_t weight, most;	/* elements that they become at most; a bound for that, 0: none */
};

/* A container's port behind published ports. */
struct leg {
	size_t member;
	uint8_t proto;
	uint16_t port;
	uint32_t id;
};

struct compiler {
	const struct bh_compile_input *in;
	struct bh_ruleset *out;
	struct bh_table *inet, *bridge;
	struct bh_error *err;
	BH_VEC(const struct bh_link *) own;	/* container bridges that exist, by ifindex */
	BH_VEC(const struct bh_link *) exempt;	/* bridges that a pattern catches and that are not */
	struct claims claims;
	BH_VEC(struct leg) legs;		/* sorted by member, protocol and port */
};

/* A key that grows field by field. */
struct key {
	uint8_t b[BH_KEY_MAX];
	size_t off;
};
void key_dev(struct key *k, const char *dev);
void key_id(struct key *k, uint32_t id);
void key_u8(struct key *k, uint8_t v);
void key_port(struct key *k, uint16_t port);
void key_addr(struct key *k, const struct bh_addr *a);
void key_mac(struct key *k, const struct bh_mac *m);

/* Appends an element without data to a set; NULL for no memory. It dies at the next. */
struct bh_elem *elem_in(struct bh_set *s, const struct key *k);
/* Add an element to a set of T that exists. 0 or -ENOMEM. */
int put(struct bh_table *t, const char *set, const struct key *k);
int put_value(struct bh_table *t, const char *set, const struct key *k, uint32_t value);
int put_verdict(struct bh_table *t, const char *set, const struct key *k, enum bh_verdict v, const char *chain);
int put_range(struct bh_table *t, const char *set, const struct key *first, const struct key *last, uint32_t value);
int put_addrs(struct bh_table *t, const char *set, const struct bh_addr *first, const struct bh_addr *last, uint32_t value);

/* compile_host.c: bridges, prefixes, interfaces, resolvers: what the host is. */
int host_bridges(struct compiler *c);
int host_compile(struct compiler *c);
bool host_bridge_is_own(const struct compiler *c, int ifindex);

/* compile_world.c */
struct spans;
int world_compile(struct compiler *c);
/* Add who is at each address outside: container networks, zones, metadata, lan. 0 or -ENOMEM. */
int world_add(const struct compiler *c, struct spans *s);
/* Add what is on-link, and the container networks that runtimes list. 0 or -ENOMEM. */
int world_add_links(const struct compiler *c, struct spans *s);
int world_add_networks(const struct compiler *c, struct spans *s);

/* compile_forward.c */
int forwards_compile(struct compiler *c);

/* claims.c */
/* The same as the rules say it, overlaps and all, in no order. */
int claims_expand(const struct bh_compile_input *in, struct claims *ret);
int claims_collect(const struct bh_compile_input *in, struct claims *ret);
void claims_clear(struct claims *c);
/* The claim of the pair under which PROTO/PORT is open, or NULL. */
const struct claim *claims_find(const struct claims *c, size_t from, size_t to, uint8_t proto, uint16_t port);
/* The first claim of zone FROM (to any), or the place where it would be; the same from FROM to TO. */
size_t claims_of(const struct claims *c, size_t from);
size_t claims_between(const struct claims *c, size_t from, size_t to);

/* compile_zone.c */
#define CLAIM_EXPAND_MAX 64	/* a range up to this many ports becomes an element a port: a hash is found faster than a range */
int zones_compile(struct compiler *c);
bool inst_opens(const struct bh_zone_inst *i);	/* whether connections can be opened from it */
bool inst_has_containers(const struct bh_policy *p, const struct bh_zone_inst *i);

/* compile_leg.c */
int legs_number(struct compiler *c);
int legs_compile(struct compiler *c);

/* Of a sorted set: one key, one element. */
void elems_unique(struct bh_set *s);
/* Sorts it first. */
void set_finish(struct bh_set *s);

/* compile_member.c */
int members_compile(struct compiler *c);
/* The elements of one member's endpoints. 0 or -ENOMEM. */
int member_compile(struct compiler *c, const struct bh_member *m);
/* The sets of bh_members_fill() alone, as they are in OF, into RET, which is empty. 0 or -ENOMEM; -ENOENT when one is missing. */
int members_frame(const struct bh_ruleset *of, const struct bh_features *f, struct bh_ruleset *ret);

/* compile_limit.c */
int limits_compile(struct compiler *c);
bool limits_any(const struct bh_policy *p);	/* whether any zone has one that is in force */
/* By which the connections of a member are counted; 0 when they are not. */
uint32_t limits_number(const struct compiler *c, const struct bh_member *m);

/* shape_rules.c: adds to RULES what classifies SHAPE's ports. 0 or -ENOMEM. */
int shape_rules(const struct bh_compile_input *in, const struct bh_shape *shape, struct bh_ruleset *rules);
/* Whether a port that is shaped in direction D exempts something. */
bool shape_has_exempt(const struct bh_shape *s, enum bh_direction d);

/* shape_exempt.c: who is at every address there is, as caps see it; sorted by family and address. bh_vec_clear() frees it. */
struct exempt_world {
	BH_VEC(struct span_range) ranges;
};
int exempt_world(const struct bh_compile_input *in, struct exempt_world *ret);	/* 0 or -ENOMEM */
/* Adds to T the sets of what the zone of the file at index ZONE exempts, once: by the address at FIELD4 and FIELD6. 0 or -ENOMEM. */
int exempt_put(const struct bh_compile_input *in, const struct exempt_world *w, struct bh_table *t, size_t zone, enum bh_field field4,
	enum bh_field field6);
/* Its name: of a set, "exempt4" or "exempt6", or a chain, "exempt". */
void exempt_name(const struct bh_policy *p, size_t zone, const char *prefix, char ret[BH_NAME]);

/* names.c: "PREFIX_NUMBER_NAME", NAME made fit and cut. */
void name_numbered(const char *prefix, uint32_t number, const char *name, char ret[BH_NAME]);
/* Of a zone's objects; PREFIX is "zone", "ports", … */
void name_zone(const struct bh_zone_inst *i, const char *prefix, char ret[BH_NAME]);
/* The same of what P's rules open for a time: PREFIX is "ports_t", … */
void name_timed(const struct bh_policy *p, const struct bh_zone_inst *i, const char *prefix, char ret[BH_NAME]);

#endif
