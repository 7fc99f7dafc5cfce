/* SPDX-License-Identifier: Apache-2.0 */
/* From what was seen to what is told: a container is put together from the list, the networks, its image and its inspection. */
#include "docker_model.h"

#include <bulkhead/sum.h>

#include <errno.h>
#include <string.h>

static int labels_copy(const struct bh_label *v, size_t n, struct bh_container *dst)
{
	for (size_t i = 0; i < n; i++) {
		struct bh_label *l = bh_vec_add(&dst->image_labels);

		if (!l || bh_strdup(&l->key, v[i].key) < 0 || bh_strdup(&l->value, v[i].value) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* What the image says of itself. Where nobody can tell any more (removed by force), all labels are
 * taken for the image's claims, which no `labels` selector believes. */
static int add_image_labels(const struct bh_docker_model *m, const struct bh_container *base, struct bh_container *dst)
{
	const struct bh_docker_image *image = base->image_id ? bh_docker_model_image(m, base->image_id) : NULL;

	if (base->flaw)
		return 0;
	if (!image || image->state != BH_IMAGE_KNOWN)
		return labels_copy(base->labels.v, base->labels.n, dst);
	if (image->labels.flawed) {
		dst->flaw = BH_FLAW_IMAGE_LABELS;
		return 0;
	}
	return labels_copy(image->labels.v.v, image->labels.v.n, dst);
}

int bh_docker_endpoint_copy(struct bh_container *dst, const struct bh_endpoint *src)
{
	struct bh_endpoint *e = bh_vec_add(&dst->endpoints);

	if (!e || bh_strdup(&e->id, src->id) < 0 || bh_strdup(&e->network_id, src->network_id) < 0)
		return -ENOMEM;
	e->mac = src->mac;
	e->has_mac = src->has_mac;
	bh_vec_foreach(addr, &src->addrs)
		if (bh_vec_push(&e->addrs, *addr) < 0)
			return -ENOMEM;
	return 0;
}

static int add_endpoints(const struct bh_docker_model *m, const char *id, struct bh_container *dst)
{
	for (size_t i = 0; i < m->networks.n; i++) {
		const struct bh_docker_attachment *a = bh_docker_net_find(m->networks.v[i], id);
		const char *driver = m->networks.v[i]->base.network.driver;

		/* in the networks `host` and `none` nobody has an interface of that network */
		if (!a || m->networks.v[i]->base.flawed || bh_streq(driver, "host") || bh_streq(driver, "null"))
			continue;
		if (bh_docker_endpoint_copy(dst, &a->endpoint) < 0)
			return -ENOMEM;
	}
	return 0;
}

static void drop_labels(struct bh_container *c)
{
	bh_vec_foreach(l, &c->labels) {
		free(l->key);
		free(l->value);
	}
	bh_vec_clear(&c->labels);
}

/* It stays while the container is stopped: it starts again as it is configured. */
static int add_posture(const struct bh_docker_model *m, const struct bh_docker_container *c, struct bh_container *dst)
{
	const struct bh_docker_image *image = c->base.image_id ? bh_docker_model_image(m, c->base.image_id) : NULL;
	int r = c->posture.known ? bh_posture_copy(&dst->posture, &c->posture) : 0;

	if (r == 0 && image && image->state == BH_IMAGE_KNOWN)
		r = bh_image_facts_copy(&dst->posture.image, &image->facts);
	return r;
}

static int container_compose(const struct bh_docker_model *m, const struct bh_docker_container *c, struct bh_container *dst)
{
	int r = bh_container_copy(dst, &c->base);

	if (r == 0)
		r = add_image_labels(m, &c->base, dst);
	if (r == 0 && dst->flaw)
		drop_labels(dst);
	else if (r == 0 && !c->dying)
		r = add_endpoints(m, c->id, dst);
	if (r == 0)
		r = add_posture(m, c, dst);
	if (c->dying)
		dst->state = BH_CONTAINER_STOPPED;
	/* started again: attached already, while the list has it stopped until its process runs */
	if (dst->state == BH_CONTAINER_STOPPED && dst->endpoints.n > 0)
		dst->state = BH_CONTAINER_CREATED;
	if (r < 0)
		bh_container_clear(dst);
	return r;
}

/* Nothing is told of a container whose image's labels are still being asked for: its own could be taken for an operator's. */
static bool container_is_ready(const struct bh_docker_model *m, const struct bh_docker_container *c)
{
	const struct bh_docker_image *image;

	if (!c->base.id)
		return false;
	image = c->base.image_id ? bh_docker_model_image(m, c->base.image_id) : NULL;
	return !image || image->state != BH_IMAGE_WANTED;
}

/* With its NUL, so that no two lists of strings are one. */
static uint64_t sum_text(uint64_t sum, const char *s)
{
	return s ? bh_sum(sum, s, strlen(s) + 1) : bh_sum(sum, "\xff", 1);
}

static uint64_t sum_number(uint64_t sum, uint64_t n)
{
	return bh_sum(sum, &n, sizeof(n));
}

static uint64_t sum_labels(uint64_t sum, const struct bh_label *v, size_t n)
{
	sum = sum_number(sum, n);
	for (size_t i = 0; i < n; i++)
		sum = sum_text(sum_text(sum, v[i].key), v[i].value);
	return sum;
}

static uint64_t sum_addr(uint64_t sum, const struct bh_addr *a)
{
	return bh_sum(sum_number(sum, a->family), a->b, bh_addr_size(a));
}

/* Of all that bh_container_equal() looks at. Two that fall together hide a change until the next full listing, which tells everything. */
static uint64_t container_sum(const struct bh_container *c)
{
	const char *const texts[] = {c->id, c->name, c->image, c->image_id, c->netns_owner, c->flaw};
	uint64_t sum = BH_SUM_INIT;

	for (size_t i = 0; i < BH_ARRAY_SIZE(texts); i++)
		sum = sum_text(sum, texts[i]);
	sum = sum_number(sum, (uint64_t)c->kind << 48 | (uint64_t)c->state << 40 | (uint64_t)c->netmode << 32);
	sum = sum_labels(sum, c->labels.v, c->labels.n);
	sum = sum_labels(sum, c->image_labels.v, c->image_labels.n);
	sum = sum_number(sum, c->endpoints.n);
	bh_vec_foreach(e, &c->endpoints) {
		sum = sum_text(sum_text(sum, e->id), e->network_id);
		sum = bh_sum(sum_number(sum, e->has_mac), e->mac.b, sizeof(e->mac.b));
		sum = sum_number(sum, e->addrs.n);
		bh_vec_foreach(a, &e->addrs)
			sum = sum_addr(sum, a);
	}
	sum = sum_number(sum, c->published.n);
	bh_vec_foreach(p, &c->published)
		sum = sum_addr(sum_number(sum, (uint64_t)p->proto << 32 | (uint64_t)p->host_port << 16 | p->container_port), &p->host);
	sum = bh_posture_sum(sum, &c->posture);
	return sum ? sum : 1;
}

int bh_docker_model_tell(struct bh_docker_model *m, struct bh_docker_container *c)
{
	struct bh_runtime_msg msg = {.kind = BH_RUNTIME_MSG_GONE, .id = c->id};
	struct bh_container now = {0};
	uint64_t sum;
	int r;

	if (m->quiet)
		return 0;
	if (!c->base.id) {
		if (c->told) {
			c->told = 0;
			m->fn(m->userdata, &msg);
		}
		return 0;
	}
	if (!container_is_ready(m, c))
		return 0;
	r = container_compose(m, c, &now);
	if (r < 0)
		return r;
	sum = container_sum(&now);
	if (sum != c->told) {
		c->told = sum;
		msg = (struct bh_runtime_msg){.kind = BH_RUNTIME_MSG_CONTAINER, .container = &now};
		m->fn(m->userdata, &msg);
	}
	bh_container_clear(&now);
	return 0;
}

int bh_docker_model_tell_network(struct bh_docker_model *m, struct bh_docker_net *n)
{
	struct bh_runtime_msg msg = {.kind = BH_RUNTIME_MSG_NETWORK_GONE, .id = n->id};
	struct bh_network now = {0};
	int r;

	if (m->quiet)
		return 0;
	if (!n->base.network.id || n->base.flawed) {
		if (n->told.id) {
			bh_network_clear(&n->told);
			m->fn(m->userdata, &msg);
		}
		return 0;
	}
	if (bh_network_equal(&n->base.network, &n->told))
		return 0;
	r = bh_network_copy(&now, &n->base.network);
	if (r < 0)
		return r;
	bh_network_clear(&n->told);
	n->told = now;
	msg = (struct bh_runtime_msg){.kind = BH_RUNTIME_MSG_NETWORK, .network = &n->told};
	m->fn(m->userdata, &msg);
	return 0;
}

/* The inventory of all that can be told: networks by structure copies of what the objects will remember as told, then the first *RET_OWN
 * containers, then builds by structure copies. */
static int snapshot_build(struct bh_docker_model *m, struct bh_inventory *ret, size_t *ret_own)
{
	for (size_t i = 0; i < m->networks.n; i++) {
		struct bh_docker_net *n = m->networks.v[i];

		bh_network_clear(&n->told);
		if (!n->base.network.id || n->base.flawed)
			continue;
		if (bh_network_copy(&n->told, &n->base.network) < 0 || bh_vec_push(&ret->networks, n->told) < 0)
			return -ENOMEM;
	}
	for (size_t i = 0; i < m->containers.n; i++) {
		struct bh_docker_container *c = m->containers.v[i];
		struct bh_container now = {0};

		c->told = 0;
		if (!container_is_ready(m, c))
			continue;
		if (container_compose(m, c, &now) < 0)
			return -ENOMEM;
		if (bh_vec_push(&ret->containers, now) < 0) {
			bh_container_clear(&now);
			return -ENOMEM;
		}
		c->told = container_sum(&now);
		*ret_own = ret->containers.n;
	}
	return bh_docker_model_snapshot_builds(m, ret);
}

int bh_docker_model_snapshot(struct bh_docker_model *m)
{
	struct bh_inventory inventory = {0};
	struct bh_runtime_msg msg = {.kind = BH_RUNTIME_MSG_SNAPSHOT, .inventory = &inventory};
	size_t own = 0;
	int r = snapshot_build(m, &inventory, &own);

	if (r == 0) {
		m->quiet = false;
		m->fn(m->userdata, &msg);
	}
	for (size_t i = 0; i < own; i++)
		bh_container_clear(&inventory.containers.v[i]);
	bh_vec_clear(&inventory.networks);
	bh_vec_clear(&inventory.containers);
	return r;
}
