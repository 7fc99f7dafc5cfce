/* SPDX-License-Identifier: Apache-2.0 */
/* Published ports: which container's port is behind a port of the host, for connections that docker-proxy passes on.
 * Each such container port has a number, ba:N, by which zones may open it; DNAT needs none of this. */
#include "compile_priv.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

/* linux/netfilter.h, which cannot stand beside netinet/in.h */
#define NFPROTO_IPV4 2
#define NFPROTO_IPV6 10

#define IDS 0x1ffffu	/* ba:1 to bb:ffff, as far as BH_ID_MASK lets */

static bool is_proxied(const struct bh_published *p)
{
	return p->proto == IPPROTO_TCP || p->proto == IPPROTO_UDP || p->proto == IPPROTO_SCTP;
}

static bool has_port(const struct bh_member *m)
{
	bh_vec_foreach(a, &m->attachments)
		if (a->port[0])
			return true;
	return false;
}

static int leg_cmp(const void *va, const void *vb)
{
	const struct leg *a = va, *b = vb;

	if (a->member != b->member)
		return a->member < b->member ? -1 : 1;
	if (a->proto != b->proto)
		return a->proto < b->proto ? -1 : 1;
	return (a->port > b->port) - (a->port < b->port);
}

static int legs_collect(struct compiler *c)
{
	const struct bh_placement *p = c->in->placement;
	size_t n = 0;

	for (size_t i = 0; i < p->members.n; i++)
		bh_vec_foreach(b, &p->members.v[i].container->published) {
			struct leg l = {.member = i, .proto = b->proto, .port = b->container_port};

			if (is_proxied(b) && has_port(&p->members.v[i]) && bh_vec_push(&c->legs, l) < 0)
				return -ENOMEM;
		}
	if (c->legs.n > 1)
		qsort(c->legs.v, c->legs.n, sizeof(*c->legs.v), leg_cmp);
	for (size_t i = 0; i < c->legs.n; i++)
		if (n == 0 || leg_cmp(&c->legs.v[n - 1], &c->legs.v[i]) != 0)
			c->legs.v[n++] = c->legs.v[i];
	c->legs.n = n;
	return 0;
}

static struct key leg_key(const struct leg *l, const struct bh_addr *a)
{
	struct key k = {0};

	key_addr(&k, a);
	key_u8(&k, l->proto);
	key_port(&k, l->port);
	return k;
}

/* The number that the kernel has for one of the leg's addresses, or 0. */
static uint32_t seen_id(const struct compiler *c, const struct leg *l)
{
	const struct bh_table *t = c->in->seen ? &c->in->seen->tables[BH_FAMILY_INET] : NULL;

	if (!t)
		return 0;
	bh_vec_foreach(at, &c->in->placement->members.v[l->member].attachments)
		bh_vec_foreach(a, &at->endpoint->addrs) {
			const struct bh_set *s = bh_table_set(t, a->family == 4 ? "legs4" : "legs6");
			const struct key k = leg_key(l, a);
			const struct bh_elem *e = s ? bh_set_find(s, k.b) : NULL;

			if (e && e->value > BH_ID_LEG && e->value - BH_ID_LEG <= IDS)
				return e->value;
		}
	return 0;
}

/* Numbers stay while the kernel has them, so that a container that comes or goes moves no other's elements. */
int legs_number(struct compiler *c)
{
	_cleanup_free_ bool *used = calloc(IDS + 1, sizeof(*used));
	uint32_t next = 1;
	int r = used ? legs_collect(c) : -ENOMEM;

	if (r < 0)
		return r;
	bh_vec_foreach(l, &c->legs) {
		uint32_t id = seen_id(c, l);

		if (id && !used[id - BH_ID_LEG]) {
			used[id - BH_ID_LEG] = true;
			l->id = id;
		}
	}
	bh_vec_foreach(l, &c->legs) {
		while (!l->id && next <= IDS && used[next])
			next++;
		if (!l->id && next > IDS)
			return bh_fail(c->err, -ENOSPC, "more published ports than can be numbered: %u", IDS);
		if (!l->id)
			l->id = BH_ID_LEG + next++;
	}
	return 0;
}

static const struct leg *leg_find(const struct compiler *c, size_t member, const struct bh_published *b)
{
	const struct leg want = {.member = member, .proto = b->proto, .port = b->container_port};

	return c->legs.n == 0 ? NULL : bsearch(&want, c->legs.v, c->legs.n, sizeof(want), leg_cmp);
}

/* The port on the host: looked at first for its number alone, then with the address it listens on. */
static int published_put(struct compiler *c, const struct bh_published *b, uint32_t id)
{
	struct key any = {0}, one = {0};
	int r;

	key_u8(&any, b->host.family == 4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
	key_u8(&any, b->proto);
	key_port(&any, b->host_port);
	r = put(c->inet, "published", &any);
	if (r < 0 || bh_addr_is_zero(&b->host))
		return r < 0 ? r : put_value(c->inet, "pub_any", &any, id);
	key_addr(&one, &b->host);
	key_u8(&one, b->proto);
	key_port(&one, b->host_port);
	return put_value(c->inet, b->host.family == 4 ? "pub4" : "pub6", &one, id);
}

static int leg_put(struct compiler *c, const struct leg *l)
{
	const struct bh_member *m = &c->in->placement->members.v[l->member];
	bool passes = !c->in->locked && c->in->placement->insts.v[m->inst].id != BH_ID_HELD;
	struct key held = {0};

	bh_vec_foreach(at, &m->attachments)
		bh_vec_foreach(a, &at->endpoint->addrs) {
			const struct key k = leg_key(l, a);

			if (passes && at->port[0] && put_value(c->inet, a->family == 4 ? "legs4" : "legs6", &k, l->id) < 0)
				return -ENOMEM;
		}
	if (c->in->placement->insts.v[m->inst].builtin != BH_BUILTIN_QUARANTINE)
		return 0;
	key_id(&held, l->id);
	return put(c->inet, "held", &held);
}

int legs_compile(struct compiler *c)
{
	const struct bh_placement *p = c->in->placement;
	struct key quarantine = {0};

	key_id(&quarantine, BH_ID_QUARANTINE);
	if (put(c->inet, "held", &quarantine) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < p->members.n; i++)
		bh_vec_foreach(b, &p->members.v[i].container->published) {
			const struct leg *l = is_proxied(b) ? leg_find(c, i, b) : NULL;

			if (l && published_put(c, b, l->id) < 0)
				return -ENOMEM;
		}
	bh_vec_foreach(l, &c->legs)
		if (leg_put(c, l) < 0)
			return -ENOMEM;
	return 0;
}
