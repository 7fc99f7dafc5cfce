/* SPDX-License-Identifier: Apache-2.0 */
/* A world of throw-away endpoints in which the policy in force is judged: the host's own networks and addresses, two container bridges, a few containers in
 * each zone. Their zones are given, not selected: what is tried is what zones may do. */
#include "proof_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define IFINDEX_BASE 0x40000000	/* of what this host does not have */

/* 198.18.0.0/15 is for trying networks out (RFC 2544); of fd00::/8 any forty bits may be taken (RFC 4193). */
static struct bh_addr addr_make(bool six, size_t net, size_t n)
{
	const struct bh_addr v4 = {4, {198, (uint8_t)(18 + net), (uint8_t)(n >> 8), (uint8_t)n}};
	const struct bh_addr v6 = {6, {0xfd, 0xb8, 0xb0, 0x1d, 0xfa, 0xce, 0, (uint8_t)net, [14] = (uint8_t)(n >> 8), (uint8_t)n}};

	return six ? v6 : v4;
}

static struct bh_mac mac_make(size_t net, size_t n)
{
	return (struct bh_mac){{0x02, 0xb0, 0x1d, (uint8_t)net, (uint8_t)(n >> 8), (uint8_t)n}};
}

struct bh_proof_end *proof_end_add(struct bh_proof *p, enum bh_proof_place place, size_t inst)
{
	struct bh_proof_end *e = bh_vec_add(&p->ends);

	if (e) {
		e->place = place;
		e->inst = inst;
		e->zone = inst == BH_NOBODY ? "unknown" : p->placement->insts.v[inst].name;
	}
	return e;
}

static int host_copy(struct bh_proof *p, const struct bh_host *host)
{
	p->host = calloc(1, sizeof(*p->host));
	if (!p->host)
		return -ENOMEM;
	bh_vec_foreach(l, &host->links)
		if (bh_vec_push(&p->host->links, *l) < 0)
			return -ENOMEM;
	bh_vec_foreach(a, &host->addrs)
		if (bh_vec_push(&p->host->addrs, *a) < 0)
			return -ENOMEM;
	bh_vec_foreach(a, &host->resolvers)
		if (bh_vec_push(&p->host->resolvers, *a) < 0)
			return -ENOMEM;
	return 0;
}

static int insts_copy(struct bh_proof *p, const struct bh_placement *insts)
{
	p->placement = calloc(1, sizeof(*p->placement));
	if (!p->placement)
		return -ENOMEM;
	bh_vec_foreach(i, &insts->insts) {
		struct bh_zone_inst *d = bh_vec_add(&p->placement->insts);

		if (!d)
			return -ENOMEM;
		*d = *i;
		d->name = d->value = NULL;
		d->members = 0;
		if (bh_strdup(&d->name, i->name) < 0 || bh_strdup(&d->value, i->value) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* The I-th container bridge of this host that a runtime lists, or NULL. */
static const struct bh_link *own_bridge(const struct bh_inventory *networks, const struct bh_host *host, size_t i)
{
	const struct bh_link *found[BH_PROOF_BRIDGES] = {0};
	size_t n = 0;

	bh_vec_foreach(w, &networks->networks) {
		const struct bh_link *l = w->bridge ? bh_host_link_named(host, w->bridge) : NULL;
		bool again = false;

		for (size_t k = 0; k < n; k++)
			again = again || found[k] == l;
		if (l && l->kind == BH_LINK_BRIDGE && !again && n <= i)
			found[n++] = l;
	}
	return i < n ? found[i] : NULL;
}

static int bridge_make(struct bh_proof *p, const struct bh_inventory *networks, const struct bh_host *host, size_t i)
{
	const struct bh_link *l = own_bridge(networks, host, i);
	struct bh_proof_bridge *b = &p->bridges[i];
	struct bh_link made = {.ifindex = IFINDEX_BASE + (int)i, .kind = BH_LINK_BRIDGE, .up = true, .nf_call_iptables = true, .nf_call_ip6tables = true};

	b->mac = mac_make(i, 1);
	/* as Docker would call it: the patterns of bridges match it */
	snprintf(made.name, sizeof(made.name), "br-b01dface%04zx", i);
	if (!l && bh_vec_push(&p->host->links, made) < 0)
		return -ENOMEM;
	l = l ? l : &made;
	memcpy(b->name, l->name, sizeof(b->name));
	b->ip = l->nf_call_iptables;
	b->ip6 = l->nf_call_ip6tables;
	for (int six = 0; six < 1 + p->ipv6; six++) {
		const struct bh_local_addr at = {.ifindex = l->ifindex, .prefix = {addr_make(six, i, 1), six ? 64 : 16}};

		b->nets[six] = (struct bh_prefix){addr_make(six, i, 0), at.prefix.len};
		b->gateways[six] = at.prefix.addr;
		if (bh_vec_push(&p->host->addrs, at) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int networks_make(struct bh_proof *p, const struct bh_inventory *networks)
{
	p->inventory = calloc(1, sizeof(*p->inventory));
	if (!p->inventory)
		return -ENOMEM;
	bh_vec_foreach(n, &networks->networks) {
		struct bh_network *d = bh_vec_add(&p->inventory->networks);

		if (!d || bh_network_copy(d, n) < 0)
			return -ENOMEM;
	}
	for (size_t i = 0; i < BH_PROOF_BRIDGES; i++) {
		struct bh_network *d = bh_vec_add(&p->inventory->networks);

		if (!d || bh_strdup(&d->id, p->bridges[i].name) < 0 || bh_strdup(&d->name, "prove") < 0 || bh_strdup(&d->driver, "bridge") < 0 ||
			bh_strdup(&d->bridge, p->bridges[i].name) < 0)
			return -ENOMEM;
		for (int six = 0; six < 1 + p->ipv6; six++)
			if (bh_vec_push(&d->subnets, p->bridges[i].nets[six]) < 0 || bh_vec_push(&d->gateways, p->bridges[i].gateways[six]) < 0)
				return -ENOMEM;
	}
	return 0;
}

static int port_add(struct bh_proof *p, size_t inst, size_t bridge)
{
	size_t n = p->ends.n;
	struct bh_proof_end *e = proof_end_add(p, BH_PROOF_PORT, inst);

	if (!e)
		return -ENOMEM;
	e->bridge = bridge;
	e->mac = mac_make(bridge, n + 2);
	for (int six = 0; six < 1 + p->ipv6; six++)
		e->addrs[six] = addr_make(six, bridge, n + 2);
	snprintf(e->dev, sizeof(e->dev), "vethbh%zu", n);	/* no runtime's: they go on with hexadecimal digits */
	return 0;
}

static int zone_add(struct bh_proof *p, size_t inst)
{
	static const size_t bridges[PROOF_PORTS] = {0, 0, 1};
	int r = 0;

	for (size_t i = 0; i < PROOF_PORTS && r == 0; i++)
		r = port_add(p, inst, bridges[i]);
	return r;
}

/* Those of the file first, then the built-in ones, then values of families: as many as are tried. */
static int zones_add(struct bh_proof *p, const struct bh_policy *policy)
{
	size_t n = 0;

	for (int turn = 0; turn < 3; turn++)
		for (size_t i = 0; i < p->placement->insts.n; i++) {
			const struct bh_zone_inst *inst = &p->placement->insts.v[i];

			if (!inst->id || !inst_has_containers(policy, inst) || turn != (inst->builtin ? 1 : inst->value ? 2 : 0))
				continue;
			if (n++ >= BH_PROOF_ZONES)
				p->untried++;
			else if (zone_add(p, i) < 0)
				return -ENOMEM;
		}
	return port_add(p, BH_NOBODY, 0);
}

static int container_make(struct bh_proof *p, const struct bh_proof_end *e)
{
	size_t network = p->inventory->networks.n - BH_PROOF_BRIDGES + e->bridge;
	struct bh_container *c = bh_vec_add(&p->inventory->containers);
	struct bh_endpoint *at = c ? bh_vec_add(&c->endpoints) : NULL;
	struct bh_member *m = at ? bh_vec_add(&p->placement->members) : NULL;
	struct bh_attachment *a = m ? bh_vec_add(&m->attachments) : NULL;

	if (!a || bh_strdup(&c->id, e->dev) < 0 || bh_strdup(&c->name, e->zone) < 0 || bh_strdup(&at->network_id, p->bridges[e->bridge].name) < 0)
		return -ENOMEM;
	for (int six = 0; six < 1 + p->ipv6; six++)
		if (bh_vec_push(&at->addrs, e->addrs[six]) < 0)
			return -ENOMEM;
	c->state = BH_CONTAINER_RUNNING;
	at->has_mac = true;
	at->mac = e->mac;
	m->inst = e->inst;
	a->port_ifindex = IFINDEX_BASE + BH_PROOF_BRIDGES + (int)p->placement->members.n;
	a->network = &p->inventory->networks.v[network];
	memcpy(a->bridge, p->bridges[e->bridge].name, sizeof(a->bridge));
	memcpy(a->port, e->dev, sizeof(a->port));
	return 0;
}

/* One container behind each port that is known. What points at them comes when none is added any more. */
static int containers_make(struct bh_proof *p)
{
	bh_vec_foreach(e, &p->ends)
		if (e->inst != BH_NOBODY && container_make(p, e) < 0)
			return -ENOMEM;
	for (size_t i = 0; i < p->placement->members.n; i++) {
		p->placement->members.v[i].container = &p->inventory->containers.v[i];
		p->placement->members.v[i].attachments.v[0].endpoint = &p->inventory->containers.v[i].endpoints.v[0];
	}
	return 0;
}

static int world_make(struct bh_proof *p, const struct bh_policy *policy, const struct bh_placement *insts, const struct bh_inventory *networks,
	const struct bh_host *host)
{
	int r = host_copy(p, host);

	if (r == 0)
		r = insts_copy(p, insts);
	for (size_t i = 0; i < BH_PROOF_BRIDGES && r == 0; i++)
		r = bridge_make(p, networks, host, i);
	if (r == 0)
		r = networks_make(p, networks);
	if (r == 0)
		r = zones_add(p, policy);
	return r == 0 ? containers_make(p) : r;
}

int bh_proof_new(const struct bh_policy *policy, const struct bh_placement *insts, const struct bh_inventory *networks, const struct bh_host *host,
	const struct bh_features *features, bool ipv6, struct bh_proof **ret, struct bh_error *err)
{
	_cleanup_(bh_proof_freep) struct bh_proof *p = calloc(1, sizeof(*p));
	struct bh_compile_input in = {.policy = policy, .features = features};
	int r = -ENOMEM;

	if (p) {
		p->ipv6 = ipv6;
		r = world_make(p, policy, insts, networks, host);
	}
	if (r < 0)
		return bh_fail(err, r, "out of memory");
	in.inventory = p->inventory;
	in.host = p->host;
	in.placement = p->placement;
	r = bh_compile(&in, &p->wanted, err);
	if (r < 0)
		return r;
	r = bh_judge_new(&in, p->wanted, &p->judge);
	if (r == 0)
		r = proof_outside_add(p);
	if (r == 0)
		r = proof_probes_add(p);
	if (r < 0)
		return bh_fail(err, r, "out of memory");
	*ret = bh_take(p);
	return 0;
}

void bh_proof_free(struct bh_proof *p)
{
	if (!p)
		return;
	bh_judge_free(p->judge);
	bh_ruleset_free(p->wanted);
	bh_placement_free(p->placement);
	bh_inventory_free(p->inventory);
	bh_host_free(p->host);
	bh_vec_clear(&p->ends);
	bh_vec_clear(&p->probes);
	free(p);
}

enum bh_proof_verdict bh_proof_verdict(const struct bh_probe *probe)
{
	bool held = probe->heard[BH_PASS_HELD];

	if (!probe->heard[BH_PASS_BARE])
		return BH_PROOF_UNHEARD;
	switch (probe->expected) {
	case BH_PROOF_OPEN:
		return !held ? BH_PROOF_STOPPED : probe->heard[BH_PASS_ENFORCED] ? BH_PROOF_AGREES : BH_PROOF_AUDITED_TOO;
	case BH_PROOF_CLOSED:
		return held ? BH_PROOF_LEAKS : BH_PROOF_AGREES;
	case BH_PROOF_AUDITED:
		return !held ? BH_PROOF_STOPPED : probe->heard[BH_PASS_ENFORCED] ? BH_PROOF_UNAUDITED : BH_PROOF_AGREES;
	}
	return BH_PROOF_UNHEARD;
}
