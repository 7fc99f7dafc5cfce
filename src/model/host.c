/* SPDX-License-Identifier: Apache-2.0 */
#include <bulkhead/host.h>

#include <string.h>

void bh_host_free(struct bh_host *h)
{
	if (!h)
		return;
	bh_vec_clear(&h->links);
	bh_vec_clear(&h->addrs);
	bh_vec_clear(&h->resolvers);
	free(h);
}

bool bh_host_addrs_equal(const struct bh_host *a, const struct bh_host *b)
{
	return a->addrs.n == b->addrs.n && (a->addrs.n == 0 || memcmp(a->addrs.v, b->addrs.v, a->addrs.n * sizeof(*a->addrs.v)) == 0);
}

bool bh_host_equal(const struct bh_host *a, const struct bh_host *b)
{
	return a->links.n == b->links.n && bh_host_addrs_equal(a, b) &&
		(a->links.n == 0 || memcmp(a->links.v, b->links.v, a->links.n * sizeof(*a->links.v)) == 0);
}

size_t bh_host_link_place(const struct bh_host *h, int ifindex)
{
	size_t lo = 0, hi = h->links.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (h->links.v[mid].ifindex < ifindex)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const struct bh_link *bh_host_link(const struct bh_host *h, int ifindex)
{
	size_t at = bh_host_link_place(h, ifindex);

	if (at < h->links.n && h->links.v[at].ifindex == ifindex)
		return &h->links.v[at];
	bh_vec_foreach(l, &h->links)
		if (l->ifindex == ifindex)
			return l;
	return NULL;
}

const struct bh_link *bh_host_link_named(const struct bh_host *h, const char *name)
{
	bh_vec_foreach(l, &h->links)
		if (strcmp(l->name, name) == 0)
			return l;
	return NULL;
}

bool bh_host_has_foreign_port(const struct bh_host *h, int bridge)
{
	bh_vec_foreach(l, &h->links)
		if (l->master == bridge &&
			(l->physical || l->kind == BH_LINK_TAP || l->kind == BH_LINK_BOND || l->kind == BH_LINK_VLAN))
			return true;
	return false;
}
