/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel counted, by rule, zone and member. */
#include "compile_priv.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

void bh_pairs_free(struct bh_pairs *p)
{
	if (!p)
		return;
	bh_vec_clear(&p->pairs);
	free(p);
}

static int set_name_cmp(const void *name, const void *set)
{
	return strncmp(name, ((const struct bh_set *)set)->name, BH_NAME);
}

/* What is seen is sorted: with thousands of zones it matters. */
static const struct bh_set *inet_set(const struct bh_ruleset *seen, const char *name)
{
	const struct bh_table *t = seen ? &seen->tables[BH_FAMILY_INET] : NULL;

	return t && t->sets.n > 0 ? bsearch(name, t->sets.v, t->sets.n, sizeof(*t->sets.v), set_name_cmp) : NULL;
}

static const struct bh_set *zone_set(const struct bh_ruleset *seen, const struct bh_zone_inst *i, const char *prefix)
{
	char name[BH_NAME];

	name_zone(i, prefix, name);
	return inet_set(seen, name);
}

/* The map of what a rule opens: for good, or for a time (by the policy P; NULL: for good). */
static const struct bh_set *map_of(const struct bh_ruleset *seen, const struct bh_policy *p, const struct bh_zone_inst *i, const char *prefix)
{
	char word[BH_NAME], name[BH_NAME];

	if (!p)
		return zone_set(seen, i, prefix);
	snprintf(word, sizeof(word), "%s_t", prefix);
	name_timed(p, i, word, name);
	return inet_set(seen, name);
}

static void elem_count(const struct bh_set *s, const struct key *k, uint64_t *packets, uint64_t *bytes)
{
	const struct bh_elem *e = s ? bh_set_find(s, k->b) : NULL;

	if (!e)
		return;
	*packets += e->packets;
	*bytes += e->bytes;
}

static int pair_cmp(const void *va, const void *vb)
{
	const struct bh_pair *a = va, *b = vb;

	if (a->rule != b->rule)
		return a->rule < b->rule ? -1 : 1;
	if (a->from != b->from)
		return a->from < b->from ? -1 : 1;
	return (a->to > b->to) - (a->to < b->to);
}

/* Every pair that a rule opens, also where an earlier rule took all of it. */
static int pairs_list(const struct bh_compile_input *in, struct bh_pairs *out)
{
	struct claims raw = {0};
	int r = claims_expand(in, &raw);
	size_t n = 0;

	bh_vec_foreach(c, &raw.v) {
		const struct bh_pair p = {.rule = c->rule, .from = c->from, .to = c->to};

		if (r == 0 && (out->pairs.n == 0 || pair_cmp(&out->pairs.v[out->pairs.n - 1], &p) != 0))
			r = bh_vec_push(&out->pairs, p);
	}
	claims_clear(&raw);
	if (out->pairs.n > 1)
		qsort(out->pairs.v, out->pairs.n, sizeof(*out->pairs.v), pair_cmp);
	for (size_t i = 0; i < out->pairs.n; i++)
		if (n == 0 || pair_cmp(&out->pairs.v[n - 1], &out->pairs.v[i]) != 0)
			out->pairs.v[n++] = out->pairs.v[i];
	out->pairs.n = n;
	return r;
}

static struct bh_pair *pair_find(struct bh_pairs *p, const struct claim *c)
{
	const struct bh_pair want = {.rule = c->rule, .from = c->from, .to = c->to};

	return p->pairs.n == 0 ? NULL : bsearch(&want, p->pairs.v, p->pairs.n, sizeof(want), pair_cmp);
}

static void ports_count(const struct bh_ruleset *seen, const struct bh_zone_inst *from, uint32_t to, const struct claim *c,
	const struct bh_policy *timed, struct bh_pair *p)
{
	bool expanded = timed || c->last - c->first < CLAIM_EXPAND_MAX;
	const struct bh_set *s = map_of(seen, timed, from, expanded ? "ports" : "ranges");

	for (uint32_t port = c->first; s && port <= c->last; port++) {
		struct key k = {0};

		key_id(&k, to);
		key_u8(&k, c->proto);
		key_port(&k, (uint16_t)port);
		elem_count(s, &k, &p->packets, &p->bytes);
		if (!expanded)	/* one element, found by where it begins */
			return;
	}
}

static void proto_count(const struct bh_ruleset *seen, const struct bh_zone_inst *from, uint32_t to, uint8_t proto,
	const struct bh_policy *timed, struct bh_pair *p)
{
	struct key k = {0};

	key_id(&k, to);
	key_u8(&k, proto);
	elem_count(map_of(seen, timed, from, "protos"), &k, &p->packets, &p->bytes);
}

static void claim_count(const struct bh_compile_input *in, const struct bh_ruleset *seen, const struct claim *c, struct bh_pair *p)
{
	const struct bh_zone_inst *from = &in->placement->insts.v[c->from], *to = &in->placement->insts.v[c->to];
	const struct bh_policy *timed = in->policy->allow.v[c->rule].for_ms ? in->policy : NULL;
	struct key k = {0};

	if (to->builtin == BH_BUILTIN_DNS || c->kind == CLAIM_PROTO) {
		proto_count(seen, from, to->id, c->proto, timed, p);
		if (c->kind == CLAIM_PROTO && c->proto == IPPROTO_ICMP)
			proto_count(seen, from, to->id, IPPROTO_ICMPV6, timed, p);
	} else if (c->kind == CLAIM_PORTS) {
		ports_count(seen, from, to->id, c, timed, p);
	} else {
		key_id(&k, to->id);
		elem_count(map_of(seen, timed, from, "all"), &k, &p->packets, &p->bytes);
	}
}

/* What came by docker-proxy counts for the rule that opens the container's port. */
static void legs_count(const struct compiler *c, const struct bh_ruleset *seen, struct bh_pairs *out)
{
	const struct bh_placement *p = c->in->placement;

	for (size_t from = 0; from < p->insts.n && c->legs.n > 0; from++) {
		const struct bh_set *s = inst_opens(&p->insts.v[from]) ? zone_set(seen, &p->insts.v[from], "legs") : NULL;

		for (size_t i = 0; s && i < c->legs.n; i++) {
			const struct leg *l = &c->legs.v[i];
			const struct claim *x = claims_find(&c->claims, from, p->members.v[l->member].inst, l->proto, l->port);
			struct bh_pair *pair = x ? pair_find(out, x) : NULL;
			struct key k = {0};

			key_id(&k, l->id);
			if (pair)
				elem_count(s, &k, &pair->packets, &pair->bytes);
		}
	}
}

int bh_pairs_read(const struct bh_compile_input *in, const struct bh_ruleset *seen, struct bh_pairs **ret)
{
	_cleanup_(bh_pairs_freep) struct bh_pairs *out = calloc(1, sizeof(*out));
	struct bh_compile_input of_seen = *in;
	struct compiler c = {.in = &of_seen};
	int r = out ? pairs_list(in, out) : -ENOMEM;

	of_seen.seen = seen;
	if (r == 0)
		r = claims_collect(in, &c.claims);
	if (r == 0)
		r = legs_number(&c);
	if (r == 0) {
		bh_vec_foreach(x, &c.claims.v) {
			struct bh_pair *p = pair_find(out, x);

			if (p)
				claim_count(in, seen, x, p);
		}
		legs_count(&c, seen, out);
		*ret = bh_take(out);
	}
	claims_clear(&c.claims);
	bh_vec_clear(&c.legs);
	return r;
}

/* Adds what S counted for number ID, whatever the protocol and port. */
static void id_count(const struct bh_set *s, uint32_t id, struct bh_counts *n)
{
	bh_vec_foreach(e, &s->elems)
		if (memcmp(e->key, &id, sizeof(id)) == 0) {
			n->packets += e->packets;
			n->bytes += e->bytes;
		}
}

static uint32_t leg_id(const struct bh_ruleset *seen, const struct bh_published *b, const struct bh_addr *a)
{
	const struct bh_set *s = inet_set(seen, a->family == 4 ? "legs4" : "legs6");
	const struct bh_elem *e;
	struct key k = {0};

	key_addr(&k, a);
	key_u8(&k, b->proto);
	key_port(&k, b->container_port);
	e = s ? bh_set_find(s, k.b) : NULL;
	return e ? e->value : 0;
}

/* The numbers under which a zone answers: its own, and those of its members' published ports. */
struct ids {
	BH_VEC(uint32_t) v;
};

static void ids_add(struct ids *l, uint32_t id)
{
	for (size_t i = 0; i < l->v.n; i++)
		if (l->v.v[i] == id)
			return;
	if (id)
		(void)bh_vec_push(&l->v, id);	/* without memory a count is short, and nothing else is wrong */
}

static void ids_collect(const struct bh_ruleset *seen, const struct bh_placement *p, size_t inst, struct ids *l)
{
	ids_add(l, p->insts.v[inst].id);
	bh_vec_foreach(m, &p->members) {
		if (m->inst != inst)
			continue;
		bh_vec_foreach(b, &m->container->published)
			bh_vec_foreach(at, &m->attachments)
				bh_vec_foreach(a, &at->endpoint->addrs)
					ids_add(l, leg_id(seen, b, a));
	}
}

/* Whether S says what some zone but INST may open. */
static bool is_of_another(const struct bh_set *s, char own[][BH_NAME], const char *const *prefixes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(prefixes[i]);

		if (strncmp(s->name, prefixes[i], len) == 0 && s->name[len] == '_')
			return strcmp(s->name, own[i]) != 0;
	}
	return false;
}

static void opened_to(const struct bh_ruleset *seen, const struct bh_placement *p, size_t inst, struct bh_counts *n)
{
	static const char *const maps[] = {"ports", "ranges", "protos", "all", "legs"};
	char own[BH_ARRAY_SIZE(maps)][BH_NAME];
	struct ids ids = {0};

	for (size_t i = 0; i < BH_ARRAY_SIZE(maps); i++)
		name_zone(&p->insts.v[inst], maps[i], own[i]);
	ids_collect(seen, p, inst, &ids);
	bh_vec_foreach(s, &seen->tables[BH_FAMILY_INET].sets)
		for (size_t k = 0; k < ids.v.n && is_of_another(s, own, maps, BH_ARRAY_SIZE(maps)); k++)
			id_count(s, ids.v.v[k], n);
	bh_vec_clear(&ids.v);
}

struct bh_counts bh_zone_counts(const struct bh_ruleset *seen, const struct bh_placement *p, size_t inst)
{
	struct bh_counts n = {0};
	struct key k = {0};

	if (!seen || inst >= p->insts.n || !p->insts.v[inst].id)
		return n;
	key_id(&k, p->insts.v[inst].id);
	elem_count(inet_set(seen, "from_zone"), &k, &n.packets, &n.bytes);
	opened_to(seen, p, inst, &n);
	bh_vec_foreach(m, &p->members)
		if (m->inst == inst) {
			const struct bh_counts mine = bh_member_counts(seen, m);

			n.dropped_packets += mine.dropped_packets;
			n.dropped_bytes += mine.dropped_bytes;
		}
	return n;
}

static void addr_count(const struct bh_ruleset *seen, const struct bh_attachment *at, const struct bh_addr *a, bool loopback,
	struct bh_counts *n)
{
	bool four = a->family == 4;
	struct key k = {0}, lo = {0};

	key_dev(&k, at->bridge);
	key_addr(&k, a);
	key_dev(&lo, "lo");
	key_addr(&lo, a);
	elem_count(inet_set(seen, four ? "zone_of4" : "zone_of6"), &k, &n->packets, &n->bytes);
	if (loopback)
		elem_count(inet_set(seen, four ? "zone_of4" : "zone_of6"), &lo, &n->packets, &n->bytes);
	elem_count(inet_set(seen, four ? "drops4" : "drops6"), &k, &n->dropped_packets, &n->dropped_bytes);
}

struct bh_counts bh_member_counts(const struct bh_ruleset *seen, const struct bh_member *m)
{
	struct bh_counts n = {0};

	if (!seen)
		return n;
	bh_vec_foreach(at, &m->attachments) {
		const struct bh_addr local = bh_addr_link_local(&at->endpoint->mac);
		struct key port = {0};

		if (!at->port[0])
			continue;
		bh_vec_foreach(a, &at->endpoint->addrs)
			addr_count(seen, at, a, m->container->published.n > 0, &n);
		addr_count(seen, at, &local, false, &n);
		key_dev(&port, at->port);
		elem_count(bh_table_set(&seen->tables[BH_FAMILY_BRIDGE], "drops"), &port, &n.dropped_packets, &n.dropped_bytes);
	}
	return n;
}
