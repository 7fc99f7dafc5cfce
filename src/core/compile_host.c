/* SPDX-License-Identifier: Apache-2.0 */
/* Which bridges are container bridges, which are foreign, and what is remembered about them in the kernel. */
#include "compile_priv.h"

#include <errno.h>
#include <string.h>

/* A bridge that is made while nothing runs is closed by its name already. A star stands at the end. */
static const char *const patterns[] = {
	"docker0", "docker_gwbridge", "br-0*", "br-1*", "br-2*", "br-3*", "br-4*", "br-5*", "br-6*", "br-7*", "br-8*", "br-9*",
	"br-a*", "br-b*", "br-c*", "br-d*", "br-e*", "br-f*", "podman*", "cni*",
};

static bool dev_matches(const char *pattern, const char *dev)
{
	size_t n = strlen(pattern);

	if (pattern[n - 1] == '*')
		return strncmp(pattern, dev, n - 1) == 0;
	return strcmp(pattern, dev) == 0;
}

static bool is_patterned(const char *dev)
{
	for (size_t i = 0; i < BH_ARRAY_SIZE(patterns); i++)
		if (dev_matches(patterns[i], dev))
			return true;
	return false;
}

/* Whether a runtime may have made a bridge of that name by itself: the patterns catch br-dmz too, which no Docker makes unasked. */
static bool is_runtime_name(const char *dev)
{
	return strncmp(dev, "br-", 3) != 0 || (strlen(dev) == 15 && strspn(dev + 3, "0123456789abcdef") == 12);
}

/* Whether the kernel holds a member on DEV: then a runtime listed it before, and its silence now means nothing. */
static bool was_listed(const struct compiler *c, const char *dev)
{
	const struct bh_set *s = c->in->seen ? bh_table_set(&c->in->seen->tables[BH_FAMILY_INET], "zone_of4") : NULL;

	if (!s)
		return false;
	bh_vec_foreach(e, &s->elems)
		if (strncmp((const char *)e->key, dev, BH_IFNAME) == 0)
			return true;
	return false;
}

int host_bridges(struct compiler *c)
{
	bh_vec_foreach(l, &c->in->host->links) {
		int r = 0;

		if (l->kind != BH_LINK_BRIDGE)
			continue;
		if (bh_inventory_lists_bridge(c->in->inventory, l->name))
			r = bh_vec_push(&c->own, l);
		else if (is_patterned(l->name) && (!is_runtime_name(l->name) || bh_host_has_foreign_port(c->in->host, l->ifindex)) &&
			!was_listed(c, l->name))
			r = bh_vec_push(&c->exempt, l);
		else if (is_patterned(l->name))
			r = bh_vec_push(&c->own, l);
		if (r < 0)
			return r;
	}
	return 0;
}

bool host_bridge_is_own(const struct compiler *c, int ifindex)
{
	bh_vec_foreach(l, &c->own)
		if ((*l)->ifindex == ifindex)
			return true;
	return false;
}

/* "br-*" as what it matches: from br- to br- and the highest bytes. */
static int put_pattern(struct bh_table *t, const char *set, const char *pattern, uint32_t value)
{
	struct key first = {0}, last = {0};
	size_t n = strlen(pattern);
	char dev[BH_IFNAME] = {0};

	if (pattern[n - 1] != '*') {
		key_dev(&first, pattern);
		return put_range(t, set, &first, &first, value);
	}
	memcpy(dev, pattern, n - 1 < sizeof(dev) ? n - 1 : sizeof(dev) - 1);
	key_dev(&first, dev);
	key_dev(&last, dev);
	memset(last.b + n - 1, 0xff, BH_IFNAME - (n - 1));
	return put_range(t, set, &first, &last, value);
}

static int bridges_put(struct compiler *c, struct bh_table *t)
{
	int r = 0;

	for (size_t i = 0; i < BH_ARRAY_SIZE(patterns) && r == 0; i++)
		r = put_pattern(t, "bridges", patterns[i], 0);
	bh_vec_foreach(n, &c->in->inventory->networks)
		if (r == 0 && n->bridge && *n->bridge && !is_patterned(n->bridge))
			r = put_pattern(t, "bridges", n->bridge, 0);
	bh_vec_foreach(l, &c->exempt) {
		struct key k = {0};

		key_dev(&k, (*l)->name);
		if (r == 0)
			r = put(t, "exempt", &k);
	}
	return r;
}

static const struct bh_link *master_of(const struct compiler *c, const struct bh_link *l)
{
	return l->master ? bh_host_link(c->in->host, l->master) : NULL;
}

/* Ports of other programs' bridges that look like a container's. */
static int foreign_put(struct compiler *c)
{
	bh_vec_foreach(l, &c->in->host->links) {
		const struct bh_link *m = master_of(c, l);
		struct key k = {0};

		if (l->kind != BH_LINK_VETH || !m || m->kind != BH_LINK_BRIDGE || host_bridge_is_own(c, m->ifindex))
			continue;
		key_dev(&k, l->name);
		if (put(c->bridge, "foreign", &k) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* The gateways: their addresses are nobody else's. Link-local ones are the same on many a bridge. */
static int gateways_put(struct compiler *c)
{
	bh_vec_foreach(n, &c->in->inventory->networks)
		bh_vec_foreach(a, &n->gateways) {
			struct key k = {0};

			key_addr(&k, a);
			if (n->bridge && put(c->bridge, a->family == 4 ? "owned4" : "owned6", &k) < 0)
				return -ENOMEM;
		}
	bh_vec_foreach(l, &c->in->host->addrs) {
		const struct bh_addr *a = &l->prefix.addr;
		struct key k = {0};

		if (!host_bridge_is_own(c, l->ifindex) || (a->family == 6 && a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80))
			continue;
		key_addr(&k, a);
		if (put(c->bridge, a->family == 4 ? "owned4" : "owned6", &k) < 0)
			return -ENOMEM;
	}
	return 0;
}

static bool seen_has(const struct compiler *c, const char *set, const struct key *k)
{
	const struct bh_set *s = c->in->seen ? bh_table_set(&c->in->seen->tables[BH_FAMILY_INET], set) : NULL;

	return s && bh_set_find(s, k->b);
}

/* What teardown puts back. */
static int nf_call_put(struct compiler *c)
{
	bh_vec_foreach(l, &c->own) {
		struct key k = {0};

		key_dev(&k, (*l)->name);
		if ((!(*l)->nf_call_iptables || seen_has(c, "nf_call4", &k)) && put(c->inet, "nf_call4", &k) < 0)
			return -ENOMEM;
		if (((*l)->learns_groups || seen_has(c, "learned", &k)) && put(c->inet, "learned", &k) < 0)
			return -ENOMEM;
		if ((!(*l)->nf_call_ip6tables || seen_has(c, "nf_call6", &k)) && put(c->inet, "nf_call6", &k) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int resolvers_put(struct compiler *c)
{
	bh_vec_foreach(a, &c->in->host->resolvers) {
		struct key k = {0};

		key_addr(&k, a);
		if (put(c->inet, a->family == 4 ? "dns4" : "dns6", &k) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* The configuration holds no name or pattern inside another. */
static int interfaces_put(struct compiler *c)
{
	bh_vec_foreach(i, &c->in->placement->insts) {
		const struct bh_zone *z = bh_inst_zone(c->in->policy, i);

		if (!z || z->kind != BH_ZONE_INTERFACES)
			continue;
		for (size_t k = 0; k < z->interfaces.n; k++) {
			const char *name = z->interfaces.v[k];

			if (*name && put_pattern(c->inet, "zone_of_if", name, i->id) < 0)
				return -ENOMEM;
		}
	}
	return 0;
}

/* Where packets go that are for everybody. */
static int casts_put(struct compiler *c)
{
	static const char *const casts[] = {"224.0.0.0/4", "255.255.255.255/32", "ff00::/8"};

	for (size_t i = 0; i < BH_ARRAY_SIZE(casts); i++) {
		struct bh_addr first, last;
		struct bh_prefix p;
		int r = bh_prefix_parse(casts[i], &p);

		if (r < 0)
			return r;
		bh_prefix_range(&p, &first, &last);
		r = put_addrs(c->inet, p.addr.family == 4 ? "casts4" : "casts6", &first, &last, 0);
		if (r < 0)
			return r;
	}
	return 0;
}

int host_compile(struct compiler *c)
{
	int r = bridges_put(c, c->inet);

	if (r == 0)
		r = casts_put(c);
	if (r == 0)
		r = interfaces_put(c);
	if (r == 0)
		r = resolvers_put(c);
	if (r == 0)
		r = nf_call_put(c);
	if (r < 0 || c->in->features->bridge_ibrname)
		return r < 0 ? r : bridges_put(c, c->bridge);
	r = foreign_put(c);
	return r < 0 ? r : gateways_put(c);
}
