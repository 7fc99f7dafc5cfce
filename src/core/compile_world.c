/* SPDX-License-Identifier: Apache-2.0 */
/* Who is at an address outside: container networks, zones by address, metadata, lan; what is left is the internet.
 * Overlapping prefixes become disjoint ranges, as the kernel's interval maps need them. */
#include "compile_priv.h"

#include <errno.h>
#include <string.h>

/* The ladder of SPEC section 1: the lower wins, among equals the longer prefix. */
enum rank {
	RANK_NETWORK,
	RANK_ZONE,
	RANK_METADATA,
	RANK_LAN,
};

struct span {
	struct bh_addr first, last;
	enum rank rank;
	uint8_t len;
	uint32_t id;
};

struct spans {
	BH_VEC(struct span) v;
};

static int span_add(struct spans *s, const struct bh_prefix *p, enum rank rank, uint32_t id)
{
	struct span *n = bh_vec_add(&s->v);

	if (!n)
		return -ENOMEM;
	bh_prefix_range(p, &n->first, &n->last);
	n->rank = rank;
	n->len = p->len;
	n->id = id;
	return 0;
}

static int spans_add_text(struct spans *s, const char *const *texts, size_t n, enum rank rank, uint32_t id)
{
	for (size_t i = 0; i < n; i++) {
		struct bh_prefix p;
		int r = bh_prefix_parse(texts[i], &p);

		if (r == 0)
			r = span_add(s, &p, rank, id);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool is_host_prefix(const struct bh_prefix *p)
{
	return p->len >= (p->addr.family == 4 ? 32 : 128);
}

/* The prefixes that are on-link: a container network on a bridge of ours, else lan. A host's own address alone is no network. */
static int spans_add_links(const struct compiler *c, struct spans *s)
{
	bh_vec_foreach(a, &c->in->host->addrs) {
		const struct bh_link *l = bh_host_link(c->in->host, a->ifindex);
		struct bh_prefix net = a->prefix;
		bool own = host_bridge_is_own(c, a->ifindex);
		struct bh_addr last;

		if (!l || l->kind == BH_LINK_LOOPBACK || is_host_prefix(&net))
			continue;
		if (own && net.addr.family == 6 && net.addr.b[0] == 0xfe && (net.addr.b[1] & 0xc0) == 0x80)
			continue;	/* every link has these */
		bh_prefix_range(&a->prefix, &net.addr, &last);
		if (span_add(s, &net, own ? RANK_NETWORK : RANK_LAN, own ? BH_ID_CONTAINER_NETWORK : BH_ID_LAN) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int spans_add_networks(const struct compiler *c, struct spans *s)
{
	bh_vec_foreach(n, &c->in->inventory->networks)
		bh_vec_foreach(p, &n->subnets)
			if (n->bridge && span_add(s, p, RANK_NETWORK, BH_ID_CONTAINER_NETWORK) < 0)
				return -ENOMEM;
	return 0;
}

static int spans_add_zones(const struct compiler *c, struct spans *s)
{
	static const char *const metadata[] = {"169.254.0.0/16", "100.100.100.200", "168.63.129.16", "fd00:ec2::254"};
	bool redefined = false;

	bh_vec_foreach(i, &c->in->placement->insts) {
		const struct bh_zone *z = i->zone >= 0 ? &c->in->policy->zones.v[i->zone] : NULL;

		if (!z || z->cidrs.n == 0)
			continue;
		redefined = redefined || i->builtin == BH_BUILTIN_METADATA;
		bh_vec_foreach(p, &z->cidrs)
			if (span_add(s, p, i->builtin == BH_BUILTIN_METADATA ? RANK_METADATA : RANK_ZONE, i->id) < 0)
				return -ENOMEM;
	}
	return redefined ? 0 :
			   spans_add_text(s, metadata, BH_ARRAY_SIZE(metadata), RANK_METADATA, BH_ID_METADATA);
}

static int span_cmp(const void *a, const void *b)
{
	return bh_addr_cmp(&((const struct span *)a)->first, &((const struct span *)b)->first);
}

static int addr_cmp(const void *a, const void *b)
{
	return bh_addr_cmp(a, b);
}

/* Where the answer may change: every first address, and the one after every last. */
struct cuts {
	BH_VEC(struct bh_addr) v;
};

static int cuts_collect(const struct spans *s, uint8_t family, struct cuts *cuts)
{
	size_t n = 0;

	bh_vec_foreach(x, &s->v) {
		struct bh_addr after;

		if (x->first.family != family)
			continue;
		if (bh_vec_push(&cuts->v, x->first) < 0)
			return -ENOMEM;
		if (bh_addr_next(&x->last, &after) && bh_vec_push(&cuts->v, after) < 0)
			return -ENOMEM;
	}
	if (cuts->v.n > 1)
		qsort(cuts->v.v, cuts->v.n, sizeof(*cuts->v.v), addr_cmp);
	for (size_t i = 0; i < cuts->v.n; i++)
		if (n == 0 || bh_addr_cmp(&cuts->v.v[n - 1], &cuts->v.v[i]) != 0)
			cuts->v.v[n++] = cuts->v.v[i];
	cuts->v.n = n;
	return 0;
}

static bool is_better(const struct span *a, const struct span *b)
{
	return a->rank != b->rank ? a->rank < b->rank : a->len > b->len;
}

/* The spans that hold the present address. Prefixes nest, so these are few. */
struct active {
	BH_VEC(const struct span *) v;
};

static const struct span *active_best(struct active *a, const struct bh_addr *at)
{
	const struct span *best = NULL;
	size_t n = 0;

	for (size_t i = 0; i < a->v.n; i++) {
		if (bh_addr_cmp(&a->v.v[i]->last, at) < 0)
			continue;
		a->v.v[n++] = a->v.v[i];
		if (!best || is_better(a->v.v[i], best))
			best = a->v.v[i];
	}
	a->v.n = n;
	return best;
}

struct range {
	struct bh_addr first, last;
	uint32_t id;
};

static int range_put(struct bh_table *t, const char *set, const struct range *r)
{
	struct key first = {0}, last = {0};

	if (!r->id)
		return 0;
	key_addr(&first, &r->first);
	key_addr(&last, &r->last);
	return put_range(t, set, &first, &last, r->id);
}

static struct bh_addr last_of_family(uint8_t family)
{
	struct bh_addr a = {.family = family};

	memset(a.b, 0xff, family == 4 ? 4 : 16);
	return a;
}

/* Puts the disjoint ranges of S (sorted) into SET. */
static int spans_put(const struct spans *s, uint8_t family, struct bh_table *t, const char *set)
{
	struct cuts cuts = {0};
	struct active active = {0};
	struct range run = {0};
	size_t next = 0;
	int r = cuts_collect(s, family, &cuts);

	for (size_t i = 0; i < cuts.v.n && r == 0; i++) {
		const struct bh_addr *at = &cuts.v.v[i];
		const struct span *best;

		for (; next < s->v.n && bh_addr_cmp(&s->v.v[next].first, at) <= 0 && r == 0; next++) {
			const struct span *x = &s->v.v[next];

			r = x->first.family == family ? bh_vec_push(&active.v, x) : 0;
		}
		best = active_best(&active, at);
		if (r == 0 && (best ? best->id : 0) != run.id) {
			if (run.id && bh_addr_prev(at, &run.last))
				r = range_put(t, set, &run);
			run = (struct range){.first = *at, .id = best ? best->id : 0};
		}
	}
	if (r == 0 && run.id) {
		run.last = last_of_family(family);
		r = range_put(t, set, &run);
	}
	bh_vec_clear(&cuts.v);
	bh_vec_clear(&active.v);
	return r;
}

static void spans_sort(struct spans *s)
{
	if (s->v.n > 1)
		qsort(s->v.v, s->v.n, sizeof(*s->v.v), span_cmp);
}

/* The IPv4 container networks alone, for what the bridge table has to know of ARP. */
static int nets_put(struct compiler *c)
{
	struct spans nets = {0};
	int r = spans_add_networks(c, &nets);

	if (r == 0)
		r = spans_add_links(c, &nets);
	for (size_t i = 0; i < nets.v.n;)
		if (nets.v.v[i].rank != RANK_NETWORK)
			nets.v.v[i] = nets.v.v[--nets.v.n];
		else
			nets.v.v[i++].id = 1;
	spans_sort(&nets);
	if (r == 0)
		r = spans_put(&nets, 4, c->bridge, "nets4");
	bh_vec_clear(&nets.v);
	return r;
}

int world_compile(struct compiler *c)
{
	static const char *const lan[] = {
		"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "fe80::/10",
	};
	struct spans all = {0};
	int r = spans_add_text(&all, lan, BH_ARRAY_SIZE(lan), RANK_LAN, BH_ID_LAN);

	if (r == 0)
		r = spans_add_zones(c, &all);
	if (r == 0)
		r = spans_add_networks(c, &all);
	if (r == 0)
		r = spans_add_links(c, &all);
	spans_sort(&all);
	if (r == 0)
		r = spans_put(&all, 4, c->inet, "world4");
	if (r == 0)
		r = spans_put(&all, 6, c->inet, "world6");
	bh_vec_clear(&all.v);
	if (r < 0 || c->in->features->bridge_ibrname)
		return r;
	return nets_put(c);
}
