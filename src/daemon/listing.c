/* SPDX-License-Identifier: Apache-2.0 */
/* A listing beside what is known. A runtime lists everything each minute, and for the most part nothing is new. */
#include "source.h"

#include <errno.h>
#include <string.h>

/* What is said of one container. */
struct listed {
	size_t at;			/* where it is known; SIZE_MAX: it is new */
	size_t order;			/* of new ones */
	struct bh_container copy;	/* without an id: nothing has changed */
};

struct listing {
	const struct bh_container **by_id;	/* those that are known, sorted */
	size_t n;
	BH_VEC(struct listed) v;
	size_t fresh;				/* of V, that are new */
	size_t graves;				/* for those that go, or are not what they were */
	BH_VEC(struct bh_network) networks;	/* when they differ */
	bool networks_differ;
};

static void listing_clear(struct listing *l)
{
	free(l->by_id);
	bh_vec_foreach(x, &l->v)
		bh_container_clear(&x->copy);
	bh_vec_clear(&l->v);
	bh_vec_foreach(n, &l->networks)
		bh_network_clear(n);
	bh_vec_clear(&l->networks);
}

static int by_id_cmp(const void *a, const void *b)
{
	const struct bh_container *const *x = a, *const *y = b;

	return strcmp((*x)->id, (*y)->id);
}

static int networks_read(struct listing *l, const struct bh_inventory *known, const struct bh_inventory *now)
{
	l->networks_differ = known->networks.n != now->networks.n;
	for (size_t i = 0; !l->networks_differ && i < now->networks.n; i++)
		l->networks_differ = !bh_network_equal(&known->networks.v[i], &now->networks.v[i]);
	for (size_t i = 0; l->networks_differ && i < now->networks.n; i++) {
		struct bh_network *copy = bh_vec_add(&l->networks);

		if (!copy || bh_network_copy(copy, &now->networks.v[i]) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int place_cmp(const void *a, const void *b)
{
	const struct listed *x = a, *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return (x->order > y->order) - (x->order < y->order);
}

static int containers_read(struct listing *l, const struct bh_inventory *known, const struct bh_inventory *now)
{
	l->by_id = calloc(known->containers.n + 1, sizeof(*l->by_id));
	if (!l->by_id)
		return -ENOMEM;
	bh_vec_foreach(c, &known->containers)
		l->by_id[l->n++] = c;
	if (l->n > 1)
		qsort(l->by_id, l->n, sizeof(*l->by_id), by_id_cmp);
	bh_vec_foreach(c, &now->containers) {
		const struct bh_container *key = c, **at = l->n ? bsearch(&key, l->by_id, l->n, sizeof(*l->by_id), by_id_cmp) : NULL;
		struct listed *x = bh_vec_add(&l->v);

		if (!x)
			return -ENOMEM;
		x->at = at ? (size_t)(*at - known->containers.v) : SIZE_MAX;
		x->order = l->v.n;
		l->fresh += !at;
		if (!(at && bh_container_equal(*at, c)) && bh_container_copy(&x->copy, c) < 0)
			return -ENOMEM;
	}
	if (l->v.n > 1)
		qsort(l->v.v, l->v.n, sizeof(*l->v.v), place_cmp);
	l->graves = l->n;
	for (size_t i = 0; i < l->v.n; i++)
		if (l->v.v[i].at != SIZE_MAX && !l->v.v[i].copy.id && (i == 0 || l->v.v[i - 1].at != l->v.v[i].at))
			l->graves--;
	return 0;
}

/* Takes the containers over; there is room, and nothing can fail. Returns whether anything changed. */
static bool containers_take(struct bh_manager *m, struct bh_inventory *known, struct listing *l)
{
	struct listed *x = l->v.v, *end = l->v.v + l->v.n;
	size_t kept = 0, n = known->containers.n;
	bool changed = false;

	for (size_t i = 0; i < n; i++) {
		struct bh_container *c = &known->containers.v[i];
		bool stays = x < end && x->at == i;

		if (!stays || x->copy.id) {
			bh_bury(m, c);
			changed = true;
		}
		if (!stays)
			continue;
		if (x->copy.id)
			*c = x->copy;
		memset(&x->copy, 0, sizeof(x->copy));
		known->containers.v[kept++] = *c;
		do	/* a list that has one twice */
			x++;
		while (x < end && x->at == i);
	}
	known->containers.n = kept;
	for (; x < end; x++) {
		known->containers.v[known->containers.n++] = x->copy;
		memset(&x->copy, 0, sizeof(x->copy));
		changed = true;
	}
	return changed;
}

int bh_source_listed(struct bh_source *s, const struct bh_inventory *now, bool *ret_whole)
{
	_cleanup_(listing_clear) struct listing l = {0};
	struct bh_inventory *known = s->inventory;
	bool changed;

	if (containers_read(&l, known, now) < 0 || networks_read(&l, known, now) < 0)
		return -ENOMEM;
	/* what is borrowed from the array has its own copy of it: it may move */
	if (bh_vec_exact(&known->containers, known->containers.n + l.fresh) < 0 ||
		bh_grave_dig(s->manager, l.graves) < 0)
		return -ENOMEM;
	changed = containers_take(s->manager, known, &l);
	if (l.networks_differ) {
		bh_vec_foreach(n, &known->networks)
			bh_network_clear(n);
		bh_vec_clear(&known->networks);
		known->networks.v = l.networks.v;
		known->networks.n = l.networks.n;
		known->networks.cap = l.networks.cap;
		memset(&l.networks, 0, sizeof(l.networks));
	}
	*ret_whole = l.networks_differ || !s->heard;
	changed = changed || *ret_whole;
	s->heard = true;
	return changed ? 0 : 1;
}
