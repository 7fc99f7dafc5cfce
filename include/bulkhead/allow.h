/* SPDX-License-Identifier: Apache-2.0 */
/* What rules mean: every rule taken apart into pairs of zones, unions expanded. The one place that answers "may zone A open port P
 * on zone B": the compiler, the expectations and the warnings all ask here. Pure functions of the policy. */
#ifndef BULKHEAD_ALLOW_H
#define BULKHEAD_ALLOW_H

#include <bulkhead/buf.h>
#include <bulkhead/policy.h>

/* One end of a pair: a zone of the file (a family: all of its values, or one), or a built-in that is no union:
 * host, lan, internet, metadata, dns, build, quarantine. */
struct bh_end {
	int zone;			/* index into policy->zones; -1 for a built-in that is not configured */
	enum bh_builtin builtin;	/* NONE for a zone of the file */
	const char *value;		/* of a family: this value alone (the policy's string); NULL: every value */
};

/* Two values of any family that no rule names. No text of a file is equal to them: they are not UTF-8. */
extern const char bh_value_some[], bh_value_other[];

/* "FROM may open connections to TO", on the ports that bh_allow_ports() tells. */
struct bh_allow {
	size_t rule;			/* index of the rule among those that were expanded */
	struct bh_end from, to;
	enum bh_values values;		/* EQUAL or DIFFERENT: the two values must be so; ANY: every combination.
					 * Anything but ANY only when both ends are families with the same `per` */
};

struct bh_allows {
	BH_VEC(struct bh_allow) v;	/* in the order of the rules; within a rule no pair covers another */
};

/* More pairs than this are refused: a bound for memory, far beyond any real policy. */
#define BH_ALLOW_MAX 1000000u

/* Takes apart the N rules at RULES (p->allow or p->expect, with their references resolved). How unions are read (SPEC section 1):
 *  - world is lan and internet; an address zone inside lan is a zone of its own and in neither.
 *  - containers is every zone of containers of the file (a family with all its values), each to itself too.
 *  - any is host, lan, internet, every zone of the file but metadata, and after `to` also dns; never quarantine and metadata,
 *    and never a zone to itself: the two ends of a pair that stems from `any` are different zones of the file, a family
 *    counting as one zone.
 *  - of a union's pairs those without a container zone on either side are left out.
 *  - two families with the same per, or one and itself, both written by name without a value: as the rule's `values` says;
 *    every other pair: all values.
 * The result points into P. 0, -ENOMEM, or -E2BIG. On failure *RET is empty. The caller clears it. */
int bh_allow_expand(const struct bh_policy *p, const struct bh_rule *rules, size_t n, struct bh_allows *ret,
	struct bh_error *err);
void bh_allows_clear(struct bh_allows *a);

/* Whether FROM and TO, each concrete (a family's end with its value), are joined by A. */
bool bh_allow_joins(const struct bh_allow *a, const struct bh_end *from, const struct bh_end *to);

/* Whether everything that B joins is joined by A too (ports apart). */
bool bh_allow_covers(const struct bh_allow *a, const struct bh_allow *b);

/* Whether the two are the same zone, values apart. */
bool bh_end_same_zone(const struct bh_end *a, const struct bh_end *b);

/* Whether containers live in it: zones with select or per, build, quarantine. */
bool bh_end_has_containers(const struct bh_policy *p, const struct bh_end *e);

/* The same of a reference as written: also `containers` and `any`. */
bool bh_ref_has_containers(const struct bh_policy *p, const struct bh_zone_ref *ref);

/* Whether `values` speaks of this pair of references: both are families, without a value, with the same `per` (and label). */
bool bh_refs_join_values(const struct bh_policy *p, const struct bh_zone_ref *from, const struct bh_zone_ref *to);

/* Appends "web", "project:nextcloud" or "project" (every value), made safe to print. */
void bh_end_print(const struct bh_policy *p, const struct bh_end *e, struct bh_buf *out);

/* A set of protocols and ports. ports is sorted, without overlap, and a protocol that is open whole has one entry with `all`.
 * Neither all nor ports: the empty set. */
struct bh_portset {
	bool all;			/* every protocol; ports is then empty */
	BH_VEC(struct bh_port) ports;
};

void bh_portset_clear(struct bh_portset *s);
int bh_portset_add(struct bh_portset *s, const struct bh_port *p);	/* 0 or -ENOMEM */
int bh_portset_add_all(struct bh_portset *s);				/* every protocol; 0 */
bool bh_portset_has(const struct bh_portset *s, const struct bh_port *p);	/* P whole */
bool bh_portset_meets(const struct bh_portset *s, const struct bh_port *p);	/* any of P */
bool bh_portset_is_empty(const struct bh_portset *s);
bool bh_portset_covers(const struct bh_portset *a, const struct bh_portset *b);	/* all of B is in A */
/* What of A is not in B, into the empty *RET. Where A is every protocol so is *RET, and *RET_BUT (empty) becomes what of B is to be left out. A
 * protocol that is open whole is cut from port 1 on. 0 or -ENOMEM. */
int bh_portset_minus(const struct bh_portset *a, const struct bh_portset *b, struct bh_portset *ret, struct bh_portset *ret_but);
void bh_portset_print(const struct bh_portset *s, struct bh_buf *out);	/* "tcp/80, udp", "every port" or "nothing" */

/* Pairs by zones, for looking up many times. Points into the bh_allows, which must outlive it and not grow. */
struct bh_allow_index {
	BH_VEC(const struct bh_allow *) v;	/* those between the same two zones together, by rule */
};
int bh_allow_index_make(const struct bh_allows *allows, struct bh_allow_index *ret);	/* 0 or -ENOMEM */
void bh_allow_index_clear(struct bh_allow_index *i);
/* All pairs between the zones of FROM and TO whatever the values: the first of *RET_N. */
const struct bh_allow *const *bh_allow_index_find(const struct bh_allow_index *i, const struct bh_end *from,
	const struct bh_end *to, size_t *ret_n);

/* "May FROM open connections to TO, and where": the ports of all pairs of INDEX that join the two concrete ends, ADDED to
 * *RET. RULES are those that were expanded. 0 or -ENOMEM. */
int bh_allow_open(const struct bh_rule *rules, const struct bh_allow_index *index, const struct bh_end *from,
	const struct bh_end *to, struct bh_portset *ret);

/* What the pair A, stemming from RULES, opens: the rule's ports, for dns only what of them is tcp/53 and udp/53 (without ports: both; it
 * may be nothing). ADDED to *RET. 0 or -ENOMEM. */
int bh_allow_ports(const struct bh_rule *rules, const struct bh_allow *a, struct bh_portset *ret);

#endif
