/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a runtime said anything new. */
#include <bulkhead/inventory.h>

#include <string.h>

static bool labels_equal(const struct bh_label *a, size_t na, const struct bh_label *b, size_t nb)
{
	if (na != nb)
		return false;
	for (size_t i = 0; i < na; i++)
		if (!bh_streq(a[i].key, b[i].key) || !bh_streq(a[i].value, b[i].value))
			return false;
	return true;
}

bool bh_endpoint_equal(const struct bh_endpoint *a, const struct bh_endpoint *b)
{
	if (!bh_streq(a->id, b->id) || !bh_streq(a->network_id, b->network_id) || a->has_mac != b->has_mac ||
		memcmp(&a->mac, &b->mac, sizeof(a->mac)) != 0 || a->addrs.n != b->addrs.n)
		return false;
	for (size_t i = 0; i < a->addrs.n; i++)
		if (bh_addr_cmp(&a->addrs.v[i], &b->addrs.v[i]) != 0)
			return false;
	return true;
}

static bool published_equal(const struct bh_published *a, const struct bh_published *b)
{
	return a->proto == b->proto && a->host_port == b->host_port && a->container_port == b->container_port &&
		bh_addr_cmp(&a->host, &b->host) == 0;
}

bool bh_container_equal(const struct bh_container *a, const struct bh_container *b)
{
	if (!bh_streq(a->id, b->id) || !bh_streq(a->name, b->name) || !bh_streq(a->image, b->image) ||
		!bh_streq(a->image_id, b->image_id) || !bh_streq(a->netns_owner, b->netns_owner) || !bh_streq(a->flaw, b->flaw) ||
		a->kind != b->kind || a->state != b->state || a->netmode != b->netmode ||
		!labels_equal(a->labels.v, a->labels.n, b->labels.v, b->labels.n) ||
		!labels_equal(a->image_labels.v, a->image_labels.n, b->image_labels.v, b->image_labels.n) ||
		a->endpoints.n != b->endpoints.n || a->published.n != b->published.n ||
		!bh_posture_equal(&a->posture, &b->posture))
		return false;
	for (size_t i = 0; i < a->endpoints.n; i++)
		if (!bh_endpoint_equal(&a->endpoints.v[i], &b->endpoints.v[i]))
			return false;
	for (size_t i = 0; i < a->published.n; i++)
		if (!published_equal(&a->published.v[i], &b->published.v[i]))
			return false;
	return true;
}

bool bh_network_equal(const struct bh_network *a, const struct bh_network *b)
{
	if (!bh_streq(a->id, b->id) || !bh_streq(a->name, b->name) || !bh_streq(a->driver, b->driver) ||
		!bh_streq(a->bridge, b->bridge) || a->internal != b->internal || a->subnets.n != b->subnets.n ||
		a->gateways.n != b->gateways.n)
		return false;
	for (size_t i = 0; i < a->subnets.n; i++)
		if (bh_prefix_cmp(&a->subnets.v[i], &b->subnets.v[i]) != 0)
			return false;
	for (size_t i = 0; i < a->gateways.n; i++)
		if (bh_addr_cmp(&a->gateways.v[i], &b->gateways.v[i]) != 0)
			return false;
	return true;
}
