/* SPDX-License-Identifier: Apache-2.0 */
/* The elements of endpoints: zone and drops in the inet table, pins and what is owned in the bridge table. */
#include "compile_priv.h"

#include <errno.h>

/* The sets that every endpoint is in, looked up once: of each pair IPv4's and IPv6's. NULL where this kernel's tables have none. */
struct member_sets {
	struct bh_set *zone_of[2], *drops[2];				/* inet */
	struct bh_set *pin[2], *pin6t, *owned[2];			/* bridge */
	struct bh_set *ports, *port_drops, *pinm, *owned_mac;
};

/* Valid until a set is added to either table. */
static struct member_sets sets_find(const struct compiler *c)
{
	return (struct member_sets){
		.zone_of = {bh_table_set(c->inet, "zone_of4"), bh_table_set(c->inet, "zone_of6")},
		.drops = {bh_table_set(c->inet, "drops4"), bh_table_set(c->inet, "drops6")},
		.pin = {bh_table_set(c->bridge, "pin4"), bh_table_set(c->bridge, "pin6")},
		.pin6t = bh_table_set(c->bridge, "pin6t"),
		.owned = {bh_table_set(c->bridge, "owned4"), bh_table_set(c->bridge, "owned6")},
		.ports = bh_table_set(c->bridge, "ports"),
		.port_drops = bh_table_set(c->bridge, "drops"),
		.pinm = bh_table_set(c->bridge, "pinm"),
		.owned_mac = bh_table_set(c->bridge, "owned_mac"),
	};
}

static int in(struct bh_set *s, const struct key *k)
{
	return s && elem_in(s, k) ? 0 : -ENOMEM;
}

static int in_zone(struct bh_set *s, const struct key *k, uint32_t zone)
{
	struct bh_elem *e = s ? elem_in(s, k) : NULL;

	if (!e)
		return -ENOMEM;
	e->value = zone;
	return 0;
}

static int addr_put(const struct compiler *c, const struct member_sets *s, const struct bh_attachment *at, const struct bh_addr *a, uint32_t zone)
{
	bool six = a->family != 4;
	struct key in_bridge = {0}, pin = {0}, owned = {0};
	int r;

	key_dev(&in_bridge, at->bridge);
	key_addr(&in_bridge, a);
	key_dev(&pin, at->port);
	key_addr(&pin, a);
	key_addr(&owned, a);
	r = in_zone(s->zone_of[six], &in_bridge, zone);
	if (r == 0)
		r = in(s->drops[six], &in_bridge);
	if (r == 0)
		r = in(s->pin[six], &pin);
	if (r == 0 && six)
		r = in(s->pin6t, &pin);
	if (r == 0 && !c->in->features->bridge_ibrname)
		r = in(s->owned[six], &owned);
	return r;
}

static int port_put(const struct compiler *c, const struct member_sets *s, const struct bh_attachment *at)
{
	struct key port = {0}, pin = {0}, mac = {0};
	int r;

	key_dev(&port, at->port);
	key_dev(&pin, at->port);
	key_mac(&pin, &at->endpoint->mac);
	key_mac(&mac, &at->endpoint->mac);
	r = in(s->ports, &port);
	if (r == 0)
		r = in(s->port_drops, &port);
	if (r == 0)
		r = in(s->pinm, &pin);
	if (r == 0 && !c->in->features->bridge_ibrname)
		r = in(s->owned_mac, &mac);
	return r;
}

/* The host reaches a published port at its own address by lo: DNAT has happened, the new route not yet. */
static int loopback_put(const struct member_sets *s, const struct bh_attachment *at, uint32_t zone)
{
	bh_vec_foreach(a, &at->endpoint->addrs) {
		struct key k = {0};

		key_dev(&k, "lo");
		key_addr(&k, a);
		if (in_zone(s->zone_of[a->family != 4], &k, zone) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* An endpoint whose port is not known stays unknown: it gets nothing. */
static int attachment_put(const struct compiler *c, const struct member_sets *s, const struct bh_member *m, const struct bh_attachment *at)
{
	uint32_t zone = c->in->placement->insts.v[m->inst].id;
	struct bh_addr a;
	int r;

	if (!bh_attachment_is_pinned(at))
		return 0;
	r = port_put(c, s, at);
	for (size_t i = 0; r == 0 && bh_attachment_addr(at, i, &a); i++)
		r = addr_put(c, s, at, &a, zone);
	return r == 0 && m->container->published.n > 0 ? loopback_put(s, at, zone) : r;
}

int members_compile(struct compiler *c)
{
	const struct member_sets s = sets_find(c);

	bh_vec_foreach(m, &c->in->placement->members)
		bh_vec_foreach(at, &m->attachments) {
			int r = attachment_put(c, &s, m, at);

			if (r < 0)
				return r;
		}
	return 0;
}
