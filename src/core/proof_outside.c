/* SPDX-License-Identifier: Apache-2.0 */
/* Who is not on a container bridge: this host, and an address for each zone that has addresses, behind an interface of the host. */
#include "proof_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define OUTSIDE "bhprove0"

/* Of documentation networks and others that are in no zone but where the operator says so. */
static const char *const internet[2][6] = {
	{"203.0.113.77", "198.51.100.77", "192.0.2.77", "1.1.1.77", "8.8.4.77", "130.89.0.77"},
	{"2001:db8:5eed::77", "2a00:5eed::77", "2600:5eed::77", "2400:5eed::77", "2800:5eed::77", "2c0f:5eed::77"},
};

/* What a host sends and takes as any address. */
static bool is_ordinary(const struct bh_addr *a)
{
	if (a->family == 4)
		return a->b[0] != 0 && a->b[0] != 127 && a->b[0] < 224;
	return a->b[0] != 0 && a->b[0] < 0xfe;	/* not link-local, not for many */
}

static bool is_at(const struct bh_proof *p, const struct bh_addr *a, size_t inst, const char *dev)
{
	return is_ordinary(a) && bh_judge_who(p->judge, a, dev).inst == inst;
}

/* An address that is of INST by itself, as the compiled map of the world has it. */
static struct bh_addr addr_of(const struct bh_proof *p, size_t inst, bool six)
{
	const struct bh_set *world = bh_table_set(&p->wanted->tables[BH_FAMILY_INET], six ? "world6" : "world4");
	struct bh_addr a = {0};

	bh_vec_foreach(e, &world->elems) {
		struct bh_addr first = {.family = six ? 6 : 4}, next;

		if (e->value != p->placement->insts.v[inst].id)
			continue;
		memcpy(first.b, e->key, bh_addr_size(&first));
		if (bh_addr_next(&first, &next) && is_at(p, &next, inst, OUTSIDE))
			return next;
		if (is_at(p, &first, inst, OUTSIDE))
			return first;
	}
	return a;
}

static struct bh_addr addr_of_internet(const struct bh_proof *p, size_t inst, const char *dev, bool six, size_t skip)
{
	struct bh_addr a;

	for (size_t i = 0; i < BH_ARRAY_SIZE(internet[0]); i++) {
		if (bh_addr_parse(internet[six][i], &a) < 0 || !is_at(p, &a, inst, dev))
			continue;
		a.b[bh_addr_size(&a) - 1] += (uint8_t)skip;	/* another one beside it */
		if (is_at(p, &a, inst, dev))
			return a;
	}
	return (struct bh_addr){0};
}

/* The first resolver that is somebody outside. */
static struct bh_addr addr_of_resolver(const struct bh_proof *p, bool six)
{
	bh_vec_foreach(a, &p->host->resolvers) {
		size_t who = bh_judge_who(p->judge, a, OUTSIDE).inst;

		if (a->family == (six ? 6 : 4) && is_ordinary(a) && who != BH_NOBODY && p->placement->insts.v[who].builtin != BH_BUILTIN_HOST)
			return *a;
	}
	return (struct bh_addr){0};
}

/* "wg*" as a name that it matches. */
static void interface_name(const char *pattern, char ret[BH_IFNAME])
{
	size_t n = strlen(pattern);

	if (n > 0 && pattern[n - 1] == '*')
		snprintf(ret, BH_IFNAME, "%.*sbh0", (int)(n - 1 < BH_IFNAME - 4 ? n - 1 : BH_IFNAME - 4), pattern);
	else
		snprintf(ret, BH_IFNAME, "%s", pattern);
}

static int outside_add(struct bh_proof *p, size_t inst)
{
	const struct bh_zone_inst *i = &p->placement->insts.v[inst];
	const struct bh_zone *z = bh_inst_zone(p->judge->in.policy, i);
	size_t n = p->ends.n;
	struct bh_proof_end *e = proof_end_add(p, BH_PROOF_OUTSIDE, inst);

	if (!e)
		return -ENOMEM;
	e->mac = (struct bh_mac){{0x02, 0xb0, 0x1d, 0xff, (uint8_t)(n >> 8), (uint8_t)n}};
	snprintf(e->dev, sizeof(e->dev), "%s", OUTSIDE);
	if (z && z->kind == BH_ZONE_INTERFACES)
		interface_name(z->interfaces.v[0], e->dev);
	for (int six = 0; six < 1 + p->ipv6; six++) {
		if (i->builtin == BH_BUILTIN_DNS)
			e->addrs[six] = addr_of_resolver(p, six);
		else if (i->builtin == BH_BUILTIN_INTERNET || (z && z->kind == BH_ZONE_INTERFACES))
			e->addrs[six] = addr_of_internet(p, inst, e->dev, six, i->builtin ? 0 : 1 + n % 100);
		else
			e->addrs[six] = addr_of(p, inst, six);
	}
	if (!e->addrs[0].family && !e->addrs[1].family)
		p->ends.n--;
	return 0;
}

static bool is_outside(const struct bh_proof *p, const struct bh_zone_inst *i)
{
	const struct bh_zone *z = bh_inst_zone(p->judge->in.policy, i);

	switch (i->builtin) {
	case BH_BUILTIN_LAN:
	case BH_BUILTIN_INTERNET:
	case BH_BUILTIN_METADATA:
	case BH_BUILTIN_DNS:
		return i->id != 0;
	case BH_BUILTIN_NONE:
		return z && (z->kind == BH_ZONE_ADDRESSES || (z->kind == BH_ZONE_INTERFACES && z->interfaces.n > 0));
	default:
		return false;
	}
}

int proof_outside_add(struct bh_proof *p)
{
	size_t host = judge_inst_of(p->judge, BH_ID_HOST);
	struct bh_proof_end *e = host == BH_NOBODY ? NULL : proof_end_add(p, BH_PROOF_HOST, host);

	if (host != BH_NOBODY && !e)
		return -ENOMEM;
	for (int six = 0; e && six < 2; six++)
		e->addrs[six] = p->bridges[0].gateways[six];
	for (size_t i = 0; i < p->placement->insts.n; i++)
		if (is_outside(p, &p->placement->insts.v[i]) && outside_add(p, i) < 0)
			return -ENOMEM;
	return 0;
}
