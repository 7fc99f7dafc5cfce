/* SPDX-License-Identifier: Apache-2.0 */
/* Who belongs where: the steps in their order, and what a placement owns. */
#include "place_priv.h"

#include <errno.h>
#include <string.h>

void bh_memory_clear(struct bh_memory *m)
{
	bh_vec_foreach(k, &m->ids)
		free(k->name);
	bh_vec_clear(&m->ids);
	bh_vec_foreach(k, &m->ports) {
		free(k->container);
		free(k->network);
		free(k->endpoint);
	}
	bh_vec_clear(&m->ports);
	bh_strv_clear(&m->held);
	m->next_id = 0;
}

int bh_memory_copy(struct bh_memory *dst, const struct bh_memory *src)
{
	bool ok = true;

	bh_vec_foreach(k, &src->ids) {
		struct bh_known_id *n = ok ? bh_vec_add(&dst->ids) : NULL;

		ok = n && bh_strdup(&n->name, k->name) == 0;
		if (ok)
			n->id = k->id;
	}
	bh_vec_foreach(k, &src->ports) {
		struct bh_known_port *n = ok ? bh_vec_add(&dst->ports) : NULL;

		ok = n && bh_strdup(&n->container, k->container) == 0 && bh_strdup(&n->network, k->network) == 0 &&
			bh_strdup(&n->endpoint, k->endpoint) == 0;
		if (ok) {
			n->ifindex = k->ifindex;
			n->current = k->current;
		}
	}
	for (size_t i = 0; i < src->held.n; i++)
		ok = ok && bh_strv_push(&dst->held, src->held.v[i]) == 0;
	dst->next_id = src->next_id;
	dst->now = src->now;
	dst->images = src->images;
	if (!ok)
		bh_memory_clear(dst);
	return ok ? 0 : -ENOMEM;
}

bool bh_attachment_addr(const struct bh_attachment *a, size_t i, struct bh_addr *ret)
{
	const struct bh_endpoint *e = a->endpoint;

	if (i > e->addrs.n)
		return false;
	*ret = i < e->addrs.n ? e->addrs.v[i] : bh_addr_link_local(&e->mac);
	return true;
}

enum bh_mode bh_inst_mode(const struct bh_policy *p, const struct bh_zone_inst *i)
{
	const struct bh_zone *z = i && i->builtin == BH_BUILTIN_NONE ? bh_inst_zone(p, i) : NULL;

	if (i && i->id == BH_ID_HELD)
		return BH_MODE_ENFORCE;
	return z && z->mode != BH_MODE_INHERIT ? z->mode : p->mode;
}

void place_member_clear(struct bh_member *m)
{
	free(m->reason);
	free(m->unenforced_reason);
	free(m->barred);
	bh_failures_clear(&m->failed);
	bh_vec_clear(&m->attachments);
}

void bh_placement_free(struct bh_placement *p)
{
	if (!p)
		return;
	bh_vec_foreach(i, &p->insts) {
		free(i->name);
		free(i->value);
	}
	bh_vec_clear(&p->insts);
	bh_vec_foreach(m, &p->members)
		place_member_clear(m);
	bh_vec_clear(&p->members);
	free(p);
}

/* A container that is only created counts from its first attachment on: then its address and port are taken, and its zone has
 * to be in the kernel before its first instruction. */
bool place_is_listed(const struct bh_container *c)
{
	if (c->state == BH_CONTAINER_STOPPED)
		return false;
	if (c->state != BH_CONTAINER_CREATED)
		return true;
	bh_vec_foreach(e, &c->endpoints)
		if (e->has_mac || e->addrs.n > 0)
			return true;
	return false;
}

#define MORE 8	/* members that come while the placement is moved on */

static int members_list(const struct placer *p)
{
	if (bh_vec_exact(&p->out->members, p->inventory->containers.n + MORE) < 0)
		return -ENOMEM;
	bh_vec_foreach(c, &p->inventory->containers) {
		struct bh_member *m;

		if (!place_is_listed(c))
			continue;
		m = bh_vec_add(&p->out->members);
		if (!m)
			return -ENOMEM;
		m->container = c;
		m->shares_netns = c->netmode == BH_NETMODE_CONTAINER;
	}
	return 0;
}

static int bridge_cmp(const void *a, const void *b)
{
	const struct bh_link *const *x = a, *const *y = b;

	return strncmp((*x)->name, (*y)->name, BH_IFNAME);
}

int place_bridges_sort(struct placer *p)
{
	bh_vec_foreach(l, &p->host->links)
		if (l->kind == BH_LINK_BRIDGE && bh_vec_push(&p->bridges, l) < 0)
			return -ENOMEM;
	if (p->bridges.n > 1)
		qsort(p->bridges.v, p->bridges.n, sizeof(*p->bridges.v), bridge_cmp);
	return 0;
}

const struct bh_link *place_bridge(const struct placer *p, const char *name)
{
	struct bh_link key = {0};
	const struct bh_link *k = &key, **at;
	size_t n = strlen(name);

	if (n >= BH_IFNAME || p->bridges.n == 0)
		return NULL;
	memcpy(key.name, name, n);
	at = bsearch(&k, p->bridges.v, p->bridges.n, sizeof(*p->bridges.v), bridge_cmp);
	return at ? *at : NULL;
}

static int place_all(struct placer *p)
{
	int r = place_bridges_sort(p);

	for (size_t i = 0; i < p->out->members.n && r == 0; i++)
		r = place_decide(p, p->out->members.v[i].container, &p->decisions[i]);
	if (r == 0)
		r = place_attach(p);
	if (r == 0)
		r = place_duplicates(p);
	if (r == 0)
		r = place_held(p);
	if (r == 0)
		r = place_require(p);
	if (r == 0)
		r = place_shared(p);
	if (r == 0)
		r = place_insts(p);
	if (r == 0)
		r = place_ports(p);
	return r;
}

int bh_place(const struct bh_policy *policy, const struct bh_inventory *inventory, const struct bh_host *host,
	struct bh_memory *memory, struct bh_placement **ret, struct bh_error *err)
{
	_cleanup_(bh_placement_freep) struct bh_placement *out = calloc(1, sizeof(*out));
	struct placer p = {.policy = policy, .inventory = inventory, .host = host, .memory = memory, .out = out};
	int r;

	if (!out || members_list(&p) < 0)
		return bh_fail(err, -ENOMEM, "no memory to place containers");
	p.decisions = calloc(out->members.n + 1, sizeof(*p.decisions));
	r = p.decisions ? place_all(&p) : -ENOMEM;
	for (size_t i = 0; p.decisions && i < out->members.n; i++)
		free(p.decisions[i].reason);
	free(p.decisions);
	bh_vec_clear(&p.bridges);
	if (r == -ENOSPC)
		return bh_fail(err, r, "more zones than the kernel's table can number: 65535");
	if (r < 0)
		return bh_fail(err, r, "no memory to place containers");
	*ret = bh_take(out);
	return 0;
}
