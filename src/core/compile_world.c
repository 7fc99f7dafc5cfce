/* SPDX-License-Identifier: Apache-2.0 */
/* Who is at an address outside: container networks, zones by address, metadata, lan; what is left is the internet. */
#include "compile_priv.h"
#include "spans.h"

#include <errno.h>
#include <string.h>

static bool is_host_prefix(const struct bh_prefix *p)
{
	return p->len >= (p->addr.family == 4 ? 32 : 128);
}

/* The prefixes that are on-link: a container network on a bridge of ours, else lan. A host's own address alone is no network,
 * the other end of a point-to-point link is one. */
int world_add_links(const struct compiler *c, struct spans *s)
{
	bh_vec_foreach(a, &c->in->host->addrs) {
		const struct bh_link *l = bh_host_link(c->in->host, a->ifindex);
		struct bh_prefix net = a->peer.addr.family ? a->peer : a->prefix;
		bool own = host_bridge_is_own(c, a->ifindex);
		struct bh_addr last;

		if (!l || l->kind == BH_LINK_LOOPBACK || (!a->peer.addr.family && is_host_prefix(&net)))
			continue;
		if (own && net.addr.family == 6 && net.addr.b[0] == 0xfe && (net.addr.b[1] & 0xc0) == 0x80)
			continue;	/* every link has these */
		bh_prefix_range(&net, &net.addr, &last);
		if (spans_add(s, &net, own ? RANK_NETWORK : RANK_LAN, own ? BH_ID_CONTAINER_NETWORK : BH_ID_LAN) < 0)
			return -ENOMEM;
	}
	return 0;
}

int world_add_networks(const struct compiler *c, struct spans *s)
{
	bh_vec_foreach(n, &c->in->inventory->networks)
		bh_vec_foreach(p, &n->subnets)
			if (n->bridge && spans_add(s, p, RANK_NETWORK, BH_ID_CONTAINER_NETWORK) < 0)
				return -ENOMEM;
	return 0;
}

static int world_add_zones(const struct compiler *c, struct spans *s)
{
	static const char *const metadata[] = {"169.254.0.0/16", "100.100.100.200", "168.63.129.16", "fd00:ec2::254"};
	bool redefined = false;

	bh_vec_foreach(i, &c->in->placement->insts) {
		const struct bh_zone *z = bh_inst_zone(c->in->policy, i);

		if (!z || z->cidrs.n == 0)
			continue;
		redefined = redefined || i->builtin == BH_BUILTIN_METADATA;
		bh_vec_foreach(p, &z->cidrs)
			if (spans_add(s, p, i->builtin == BH_BUILTIN_METADATA ? RANK_METADATA : RANK_ZONE, i->id) < 0)
				return -ENOMEM;
	}
	return redefined ? 0 :
			   spans_add_text(s, metadata, BH_ARRAY_SIZE(metadata), RANK_METADATA, BH_ID_METADATA);
}

struct target {
	struct bh_table *table;
	const char *set;
};

static int range_put(void *userdata, const struct span_range *r)
{
	const struct target *t = userdata;

	return put_addrs(t->table, t->set, &r->first, &r->last, r->id);
}

static int world_put(struct spans *s, uint8_t family, struct bh_table *t, const char *set)
{
	struct target target = {t, set};

	return spans_flatten(s, family, range_put, &target);
}

/* The IPv4 container networks alone, for what the bridge table has to know of ARP. */
static int nets_put(struct compiler *c)
{
	struct spans nets = {0};
	int r = world_add_networks(c, &nets);

	if (r == 0)
		r = world_add_links(c, &nets);
	for (size_t i = 0; i < nets.v.n;)
		if (nets.v.v[i].rank != RANK_NETWORK)
			nets.v.v[i] = nets.v.v[--nets.v.n];
		else
			nets.v.v[i++].id = 1;
	if (r == 0)
		r = world_put(&nets, 4, c->bridge, "nets4");
	bh_vec_clear(&nets.v);
	return r;
}

int world_add(const struct compiler *c, struct spans *s)
{
	static const char *const lan[] = {
		"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "fe80::/10",
	};
	int r = spans_add_text(s, lan, BH_ARRAY_SIZE(lan), RANK_LAN, BH_ID_LAN);

	if (r == 0)
		r = world_add_zones(c, s);
	if (r == 0)
		r = world_add_networks(c, s);
	return r == 0 ? world_add_links(c, s) : r;
}

int world_compile(struct compiler *c)
{
	struct spans all = {0};
	int r = world_add(c, &all);

	if (r == 0)
		r = world_put(&all, 4, c->inet, "world4");
	if (r == 0)
		r = world_put(&all, 6, c->inet, "world6");
	bh_vec_clear(&all.v);
	if (r < 0 || c->in->features->bridge_ibrname)
		return r;
	return nets_put(c);
}
