/* SPDX-License-Identifier: Apache-2.0 */
/* Which host-side port is which attachment's: by the MAC at the port's other end when it is first seen, by memory from then on, so
 * that a container that takes another's MAC later gains nothing. */
#include "place_priv.h"

#include <errno.h>
#include <string.h>

/* One attachment whose port is sought. */
struct claim {
	size_t member, attachment;
	int bridge;
	struct bh_mac mac;
};

/* One port of a bridge that nobody is known to own, with what is at its other end. */
struct open_port {
	const struct bh_link *link;
};

struct ports {
	const struct placer *p;
	BH_VEC(const struct bh_link *) by_index;	/* every link, sorted by ifindex */
	BH_VEC(struct open_port) open;			/* sorted by bridge and peer MAC */
	BH_VEC(struct claim) claims;			/* without a known port, sorted the same */
};

static int link_cmp(const void *a, const void *b)
{
	const struct bh_link *const *x = a, *const *y = b;

	return ((*x)->ifindex > (*y)->ifindex) - ((*x)->ifindex < (*y)->ifindex);
}

static const struct bh_link *link_at(const void *ports, int ifindex)
{
	const struct ports *s = ports;
	struct bh_link key = {.ifindex = ifindex};
	const struct bh_link *k = &key, **at;

	if (s->by_index.n == 0)
		return NULL;
	at = bsearch(&k, s->by_index.v, s->by_index.n, sizeof(*s->by_index.v), link_cmp);
	return at ? *at : NULL;
}

static int known_cmp(const void *a, const void *b)
{
	const struct bh_known_port *x = a, *y = b;
	int c = strcmp(x->container, y->container);

	return c ? c : strcmp(x->network, y->network);
}

static struct bh_known_port *known_port(const struct bh_memory *m, const char *container, const char *network)
{
	struct bh_known_port key = {.container = (char *)(uintptr_t)container, .network = (char *)(uintptr_t)network};

	if (m->ports.n == 0 || !container || !network)
		return NULL;
	return bsearch(&key, m->ports.v, m->ports.n, sizeof(*m->ports.v), known_cmp);
}

/* Sorts what is known, and sees which ports are gone or in no bridge any more. */
static void memory_refresh(const struct ports *s)
{
	struct bh_memory *m = s->p->memory;

	bh_vec_foreach(k, &m->ports) {
		const struct bh_link *l = k->ifindex ? link_at(s, k->ifindex) : NULL;

		k->current = false;
		if (!l || l->master == 0)
			k->ifindex = 0;
	}
	if (m->ports.n > 1)
		qsort(m->ports.v, m->ports.n, sizeof(*m->ports.v), known_cmp);
}

/* Ports whose endpoint is not there any more are somebody else's, or nobody's. */
void ports_prune(struct bh_memory *m, size_t at, size_t n)
{
	size_t kept = at;

	for (size_t i = at; i < at + n; i++) {
		if (m->ports.v[i].current) {
			m->ports.v[kept++] = m->ports.v[i];
			continue;
		}
		free(m->ports.v[i].container);
		free(m->ports.v[i].network);
		free(m->ports.v[i].endpoint);
	}
	if (kept < at + n)
		memmove(&m->ports.v[kept], &m->ports.v[at + n], (m->ports.n - at - n) * sizeof(*m->ports.v));
	m->ports.n -= at + n - kept;
}

size_t ports_of(const struct bh_memory *m, const char *container, size_t *at)
{
	size_t lo = 0, hi = m->ports.n, n = 0;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(m->ports.v[mid].container, container) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	while (lo + n < m->ports.n && strcmp(m->ports.v[lo + n].container, container) == 0)
		n++;
	*at = lo;
	return n;
}

static int place_cmp(int bridge_a, const struct bh_mac *a, int bridge_b, const struct bh_mac *b)
{
	if (bridge_a != bridge_b)
		return bridge_a < bridge_b ? -1 : 1;
	return memcmp(a, b, sizeof(*a));
}

static int open_cmp(const void *a, const void *b)
{
	const struct bh_link *x = ((const struct open_port *)a)->link, *y = ((const struct open_port *)b)->link;

	return place_cmp(x->master, &x->peer_mac, y->master, &y->peer_mac);
}

static int claim_cmp(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;

	return place_cmp(x->bridge, &x->mac, y->bridge, &y->mac);
}

static int index_cmp(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return (x > y) - (x < y);
}

bool ports_is_open(const struct bh_link *l)
{
	return l->kind == BH_LINK_VETH && l->master != 0 && l->has_peer;
}

static int open_collect(struct ports *s)
{
	const struct bh_memory *m = s->p->memory;
	_cleanup_free_ int *owned = calloc(m->ports.n + 1, sizeof(*owned));

	if (!owned)
		return -ENOMEM;
	for (size_t i = 0; i < m->ports.n; i++)
		owned[i] = m->ports.v[i].ifindex;
	qsort(owned, m->ports.n, sizeof(*owned), index_cmp);
	bh_vec_foreach(l, &s->p->host->links) {
		struct open_port o = {l};

		if (!ports_is_open(l) || bsearch(&l->ifindex, owned, m->ports.n, sizeof(*owned), index_cmp))
			continue;
		if (bh_vec_push(&s->open, o) < 0)
			return -ENOMEM;
	}
	if (s->open.n > 1)
		qsort(s->open.v, s->open.n, sizeof(*s->open.v), open_cmp);
	return 0;
}

void ports_set(struct bh_attachment *a, const struct bh_link *l)
{
	memcpy(a->port, l->name, sizeof(a->port));
	a->port_ifindex = l->ifindex;
}

bool ports_known(const struct placer *p, const struct bh_link *(*at)(const void *, int), const void *links, const struct bh_member *m,
	struct bh_attachment *a)
{
	struct bh_known_port *known = known_port(p->memory, m->container->id, a->network->id);
	const struct bh_link *bridge = place_bridge(p, a->bridge), *l = NULL;

	/* A new life on the same network has a new endpoint. */
	if (known && (!bh_streq(known->endpoint, a->endpoint->id) || (!known->endpoint && !known->ifindex)))
		known = NULL;
	if (known) {
		known->current = true;
		l = known->ifindex ? at(links, known->ifindex) : NULL;
		a->port_gone = !known->ifindex;
	}
	if (!l || l->master != (bridge ? bridge->ifindex : 0))
		return !known && a->endpoint->has_mac;
	ports_set(a, l);
	return false;
}

/* Gives known ports to their attachments and collects the claims of the others. */
static int claims_collect(struct ports *s)
{
	for (size_t i = 0; i < s->p->out->members.n; i++) {
		struct bh_member *m = &s->p->out->members.v[i];

		for (size_t k = 0; k < m->attachments.n; k++) {
			struct bh_attachment *a = &m->attachments.v[k];
			const struct bh_link *bridge = place_bridge(s->p, a->bridge);
			struct claim c = {i, k, bridge ? bridge->ifindex : 0, a->endpoint->mac};

			if (ports_known(s->p, link_at, s, m, a) && bh_vec_push(&s->claims, c) < 0)
				return -ENOMEM;
		}
	}
	if (s->claims.n > 1)
		qsort(s->claims.v, s->claims.n, sizeof(*s->claims.v), claim_cmp);
	return 0;
}

int ports_remember(struct bh_memory *memory, const struct bh_member *m, const struct bh_attachment *a, bool sorted)
{
	struct bh_known_port k = {.ifindex = a->port_ifindex, .current = true};
	size_t at;

	if (!m->container->id || !a->network->id)
		return 0;
	if (bh_strdup(&k.container, m->container->id) < 0 || bh_strdup(&k.network, a->network->id) < 0 ||
		bh_strdup(&k.endpoint, a->endpoint->id) < 0 || bh_vec_push(&memory->ports, k) < 0) {
		free(k.container);
		free(k.network);
		free(k.endpoint);
		return -ENOMEM;
	}
	for (at = memory->ports.n - 1; sorted && at > 0 && known_cmp(&memory->ports.v[at - 1], &k) > 0; at--)
		memory->ports.v[at] = memory->ports.v[at - 1];
	memory->ports.v[at] = k;
	return 0;
}

/* Walks claims and open ports side by side: one claim and one port with the same bridge and MAC belong together. More than one on
 * either side is nobody's. */
static int claims_settle(struct ports *s)
{
	size_t i = 0, j = 0;

	while (i < s->claims.n && j < s->open.n) {
		const struct claim *c = &s->claims.v[i];
		const struct bh_link *l = s->open.v[j].link;
		int cmp = place_cmp(c->bridge, &c->mac, l->master, &l->peer_mac);
		size_t ni = 1, nj = 1;
		struct bh_member *m = &s->p->out->members.v[c->member];

		if (cmp < 0) {
			i++;
			continue;
		}
		if (cmp > 0) {
			j++;
			continue;
		}
		while (i + ni < s->claims.n && claim_cmp(c, &s->claims.v[i + ni]) == 0)
			ni++;
		while (j + nj < s->open.n && open_cmp(&s->open.v[j], &s->open.v[j + nj]) == 0)
			nj++;
		if (ni == 1 && nj == 1) {
			ports_set(&m->attachments.v[c->attachment], l);
			if (ports_remember(s->p->memory, m, &m->attachments.v[c->attachment], false) < 0)
				return -ENOMEM;
		}
		i += ni;
		j += nj;
	}
	return 0;
}

int place_ports(const struct placer *p)
{
	struct ports s = {.p = p};
	size_t known;
	int r = 0;

	bh_vec_foreach(l, &p->host->links)
		if (bh_vec_push(&s.by_index, l) < 0)
			r = -ENOMEM;
	if (s.by_index.n > 1)
		qsort(s.by_index.v, s.by_index.n, sizeof(*s.by_index.v), link_cmp);
	if (r == 0) {
		memory_refresh(&s);
		r = claims_collect(&s);
	}
	if (r == 0) {
		ports_prune(p->memory, 0, p->memory->ports.n);
		r = open_collect(&s);
	}
	known = p->memory->ports.n;
	if (r == 0)
		r = claims_settle(&s);
	if (p->memory->ports.n > known)
		qsort(p->memory->ports.v, p->memory->ports.n, sizeof(*p->memory->ports.v), known_cmp);
	bh_vec_clear(&s.by_index);
	bh_vec_clear(&s.open);
	bh_vec_clear(&s.claims);
	return r;
}
