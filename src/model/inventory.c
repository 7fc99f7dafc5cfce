/* SPDX-License-Identifier: Apache-2.0 */
#include <bulkhead/inventory.h>

#include <errno.h>
#include <string.h>

static void labels_clear(struct bh_label *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(v[i].key);
		free(v[i].value);
	}
	free(v);
}

void bh_network_clear(struct bh_network *n)
{
	free(n->id);
	free(n->name);
	free(n->driver);
	free(n->bridge);
	bh_vec_clear(&n->subnets);
	bh_vec_clear(&n->gateways);
	memset(n, 0, sizeof(*n));
}

static void endpoint_clear(struct bh_endpoint *e)
{
	free(e->id);
	free(e->network_id);
	bh_vec_clear(&e->addrs);
}

void bh_container_clear(struct bh_container *c)
{
	free(c->id);
	free(c->name);
	free(c->image);
	free(c->image_id);
	free(c->netns_owner);
	labels_clear(c->labels.v, c->labels.n);
	labels_clear(c->image_labels.v, c->image_labels.n);
	bh_vec_foreach(e, &c->endpoints)
		endpoint_clear(e);
	bh_vec_clear(&c->endpoints);
	bh_vec_clear(&c->published);
	bh_posture_clear(&c->posture);
	memset(c, 0, sizeof(*c));
}

void bh_inventory_free(struct bh_inventory *i)
{
	if (!i)
		return;
	bh_vec_foreach(n, &i->networks)
		bh_network_clear(n);
	bh_vec_clear(&i->networks);
	bh_vec_foreach(c, &i->containers)
		bh_container_clear(c);
	bh_vec_clear(&i->containers);
	free(i);
}

/* Copies a vector of plain values. */
#define VALUES_COPY(dst, src)                                                                      \
	({                                                                                         \
		int copy_r_ = bh_vec_exact(dst, (src)->n);                                         \
		bh_vec_foreach(item_, src)                                                         \
			if (copy_r_ == 0)                                                          \
				copy_r_ = bh_vec_push(dst, *item_);                                \
		copy_r_;                                                                           \
	})

int bh_network_copy(struct bh_network *dst, const struct bh_network *src)
{
	dst->internal = src->internal;
	if (bh_strdup(&dst->id, src->id) < 0 || bh_strdup(&dst->name, src->name) < 0 ||
		bh_strdup(&dst->driver, src->driver) < 0 || bh_strdup(&dst->bridge, src->bridge) < 0 ||
		VALUES_COPY(&dst->subnets, &src->subnets) < 0 || VALUES_COPY(&dst->gateways, &src->gateways) < 0) {
		bh_network_clear(dst);
		return -ENOMEM;
	}
	return 0;
}

static int endpoint_copy(struct bh_endpoint *dst, const struct bh_endpoint *src)
{
	dst->mac = src->mac;
	dst->has_mac = src->has_mac;
	if (bh_strdup(&dst->id, src->id) < 0 || bh_strdup(&dst->network_id, src->network_id) < 0)
		return -ENOMEM;
	return VALUES_COPY(&dst->addrs, &src->addrs);
}

static int label_copy(struct bh_label *dst, const struct bh_label *src)
{
	return bh_strdup(&dst->key, src->key) < 0 || bh_strdup(&dst->value, src->value) < 0 ? -ENOMEM : 0;
}

/* Copies a vector of owning values: each destination is in the vector before it is filled, so a failure leaks nothing. */
#define OWNERS_COPY(dst, src, copy)                                                                \
	({                                                                                         \
		int copy_r_ = bh_vec_exact(dst, (src)->n);                                         \
		bh_vec_foreach(item_, src) {                                                       \
			__typeof__((dst)->v[0]) *new_ = copy_r_ == 0 ? bh_vec_add(dst) : NULL;         \
			copy_r_ = new_ ? copy(new_, item_) : -ENOMEM;                              \
			if (copy_r_ < 0)                                                           \
				break;                                                             \
		}                                                                                  \
		copy_r_;                                                                           \
	})

static int container_fill(struct bh_container *dst, const struct bh_container *src)
{
	int r;

	dst->runtime = src->runtime;
	dst->flaw = src->flaw;
	dst->kind = src->kind;
	dst->state = src->state;
	dst->netmode = src->netmode;
	if (bh_strdup(&dst->id, src->id) < 0 || bh_strdup(&dst->name, src->name) < 0 ||
		bh_strdup(&dst->image, src->image) < 0 || bh_strdup(&dst->image_id, src->image_id) < 0 ||
		bh_strdup(&dst->netns_owner, src->netns_owner) < 0)
		return -ENOMEM;
	r = OWNERS_COPY(&dst->labels, &src->labels, label_copy);
	if (r == 0)
		r = OWNERS_COPY(&dst->image_labels, &src->image_labels, label_copy);
	if (r == 0)
		r = OWNERS_COPY(&dst->endpoints, &src->endpoints, endpoint_copy);
	if (r == 0)
		r = VALUES_COPY(&dst->published, &src->published);
	if (r == 0)
		r = bh_posture_copy(&dst->posture, &src->posture);
	return r;
}

int bh_container_copy(struct bh_container *dst, const struct bh_container *src)
{
	int r = container_fill(dst, src);

	if (r < 0)
		bh_container_clear(dst);
	return r;
}

int bh_inventory_copy(struct bh_inventory **ret, const struct bh_inventory *src)
{
	_cleanup_(bh_inventory_freep) struct bh_inventory *i = calloc(1, sizeof(*i));
	int r;

	if (!i)
		return -ENOMEM;
	r = OWNERS_COPY(&i->networks, &src->networks, bh_network_copy);
	if (r == 0)
		r = OWNERS_COPY(&i->containers, &src->containers, bh_container_copy);
	if (r < 0)
		return r;
	*ret = bh_take(i);
	return 0;
}

struct bh_container *bh_inventory_container(const struct bh_inventory *i, const char *id)
{
	bh_vec_foreach(c, &i->containers)
		if (bh_streq(c->id, id))
			return c;
	return NULL;
}

struct bh_network *bh_inventory_network(const struct bh_inventory *i, const char *id)
{
	bh_vec_foreach(n, &i->networks)
		if (bh_streq(n->id, id))
			return n;
	return NULL;
}

static const char *label_find(const struct bh_label *v, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++)
		if (bh_streq(v[i].key, key))
			return v[i].value;
	return NULL;
}

const char *bh_container_label(const struct bh_container *c, const char *key)
{
	return label_find(c->labels.v, c->labels.n, key);
}

const char *bh_container_image_label(const struct bh_container *c, const char *key)
{
	return label_find(c->image_labels.v, c->image_labels.n, key);
}

bool bh_inventory_lists_bridge(const struct bh_inventory *i, const char *bridge)
{
	bh_vec_foreach(n, &i->networks)
		if (n->bridge && strcmp(n->bridge, bridge) == 0)
			return true;
	return false;
}
