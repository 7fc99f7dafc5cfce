/* SPDX-License-Identifier: Apache-2.0 */
/* The elements of endpoints: zone and drops in the inet table, pins and what is owned in the bridge table. */
#include "compile_priv.h"

#include <errno.h>

static int addr_put(struct compiler *c, const struct bh_attachment *at, const struct bh_addr *a, uint32_t zone)
{
	bool four = a->family == 4;
	struct key in = {0}, pin = {0}, owned = {0};
	int r;

	key_dev(&in, at->bridge);
	key_addr(&in, a);
	key_dev(&pin, at->port);
	key_addr(&pin, a);
	key_addr(&owned, a);
	r = put_value(c->inet, four ? "zone_of4" : "zone_of6", &in, zone);
	if (r == 0)
		r = put(c->inet, four ? "drops4" : "drops6", &in);
	if (r == 0)
		r = put(c->bridge, four ? "pin4" : "pin6", &pin);
	if (r == 0 && !four)
		r = put(c->bridge, "pin6t", &pin);
	if (r == 0 && !c->in->features->bridge_ibrname)
		r = put(c->bridge, four ? "owned4" : "owned6", &owned);
	return r;
}

static int port_put(struct compiler *c, const struct bh_attachment *at)
{
	struct key port = {0}, pin = {0}, mac = {0};
	int r;

	key_dev(&port, at->port);
	key_dev(&pin, at->port);
	key_mac(&pin, &at->endpoint->mac);
	key_mac(&mac, &at->endpoint->mac);
	r = put(c->bridge, "ports", &port);
	if (r == 0)
		r = put(c->bridge, "drops", &port);
	if (r == 0)
		r = put(c->bridge, "pinm", &pin);
	if (r == 0 && !c->in->features->bridge_ibrname)
		r = put(c->bridge, "owned_mac", &mac);
	return r;
}

/* The host reaches a published port at its own address by lo: DNAT has happened, the new route not yet. */
static int loopback_put(struct compiler *c, const struct bh_attachment *at, uint32_t zone)
{
	bh_vec_foreach(a, &at->endpoint->addrs) {
		struct key k = {0};

		key_dev(&k, "lo");
		key_addr(&k, a);
		if (put_value(c->inet, a->family == 4 ? "zone_of4" : "zone_of6", &k, zone) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* An endpoint whose port is not known stays unknown: it gets nothing. */
static int attachment_put(struct compiler *c, const struct bh_member *m, const struct bh_attachment *at)
{
	uint32_t zone = c->in->placement->insts.v[m->inst].id;
	struct bh_addr a;
	int r;

	if (!bh_attachment_is_pinned(at))
		return 0;
	r = port_put(c, at);
	for (size_t i = 0; r == 0 && bh_attachment_addr(at, i, &a); i++)
		r = addr_put(c, at, &a, zone);
	return r == 0 && m->container->published.n > 0 ? loopback_put(c, at, zone) : r;
}

int members_compile(struct compiler *c)
{
	bh_vec_foreach(m, &c->in->placement->members)
		bh_vec_foreach(at, &m->attachments) {
			int r = attachment_put(c, m, at);

			if (r < 0)
				return r;
		}
	return 0;
}
