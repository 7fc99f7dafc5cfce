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

const struct bh_link *bh_host_link(const struct bh_host *h, int ifindex)
{
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
