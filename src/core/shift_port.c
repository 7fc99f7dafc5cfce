/* SPDX-License-Identifier: Apache-2.0 */
/* Ports of a step: the same rules as place_port.c's, for a few. */
#include "shift_priv.h"

#include <errno.h>
#include <string.h>

static const struct bh_link *link_at(const void *host, int ifindex)
{
	return bh_host_link(host, ifindex);
}

int shift_links(struct shifter *s)
{
	struct bh_placement *pl = s->in->placement;

	bh_vec_foreach(k, &s->in->memory->ports) {
		const struct bh_link *l;
		size_t i;

		if (!k->ifindex || !shift_has_link(s->in, k->ifindex))
			continue;
		l = bh_host_link(s->in->host, k->ifindex);
		if (!l || l->master == 0)
			k->ifindex = 0;
		i = shift_member_named(pl, k->container);
		if (i != SIZE_MAX && shift_touch(s, &pl->members.v[i]) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* The known ports of one member, anew. */
static void known_take(struct shifter *s, struct bh_member *m)
{
	struct bh_memory *memory = s->in->memory;
	size_t at, n = m->container->id ? ports_of(memory, m->container->id, &at) : 0;

	for (size_t i = 0; i < n; i++)
		memory->ports.v[at + i].current = false;
	bh_vec_foreach(a, &m->attachments) {
		memset(a->port, 0, sizeof(a->port));
		a->port_ifindex = 0;
		a->port_gone = false;
		(void)ports_known(&s->placer, link_at, s->in->host, m, a);
	}
	if (n > 0)
		ports_prune(memory, at, n);
}

/* An endpoint that claims a port. */
struct waiting {
	struct bh_member *member;
	struct bh_attachment *attachment;
	int bridge;
};
struct waitings {
	BH_VEC(struct waiting) v;
};

static int waiting_find(struct shifter *s, struct waitings *ret)
{
	bh_vec_foreach(m, &s->in->placement->members)
		bh_vec_foreach(a, &m->attachments) {
			struct waiting w = {.member = m, .attachment = a};
			const struct bh_link *bridge;

			if (a->port_ifindex || a->port_gone || !a->endpoint->has_mac || !ports_known(&s->placer, link_at, s->in->host, m, a))
				continue;
			bridge = place_bridge(&s->placer, a->bridge);
			w.bridge = bridge ? bridge->ifindex : 0;
			if (bh_vec_push(&ret->v, w) < 0)
				return -ENOMEM;
		}
	return 0;
}

static bool is_owned(const struct bh_memory *m, int ifindex)
{
	bh_vec_foreach(k, &m->ports)
		if (k->ifindex == ifindex)
			return true;
	return false;
}

static bool same_place(const struct waiting *a, const struct waiting *b)
{
	return a->bridge == b->bridge && memcmp(&a->attachment->endpoint->mac, &b->attachment->endpoint->mac, sizeof(struct bh_mac)) == 0;
}

/* The one open port with W's MAC at its other end, while W is the one that claims it. */
static const struct bh_link *claimed(const struct shifter *s, const struct waitings *all, const struct waiting *w)
{
	const struct bh_link *found = NULL;
	size_t claims = 0;

	bh_vec_foreach(x, &all->v)
		claims += same_place(x, w);
	if (claims != 1)
		return NULL;
	bh_vec_foreach(l, &s->in->host->links) {
		if (l->master != w->bridge || !ports_is_open(l) || memcmp(&l->peer_mac, &w->attachment->endpoint->mac, sizeof(l->peer_mac)) != 0 ||
			is_owned(s->in->memory, l->ifindex))
			continue;
		if (found)
			return NULL;
		found = l;
	}
	return found;
}

int shift_ports(struct shifter *s)
{
	struct waitings all = {0};
	int r;

	bh_vec_foreach(m, &s->in->placement->members)
		if (m->moving)
			known_take(s, m);
	r = waiting_find(s, &all);
	bh_vec_foreach(w, &all.v) {
		const struct bh_link *l = r == 0 ? claimed(s, &all, w) : NULL;

		if (!l)
			continue;
		r = shift_touch(s, w->member);
		ports_set(w->attachment, l);
		if (r == 0)
			r = ports_remember(s->in->memory, w->member, w->attachment, true);
	}
	bh_vec_clear(&all.v);
	return r;
}
