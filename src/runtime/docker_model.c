/* SPDX-License-Identifier: Apache-2.0 */
#include "docker_model.h"

#include <errno.h>
#include <string.h>

#define JOINING_MAX 16	/* endpoints of one network that are looked up by name */

/* The place of ID in a vector of pointers that is sorted by it; *FOUND when it is there. */
#define PLACE(vec, key, idof, found)                                                               \
	({                                                                                         \
		size_t lo_ = 0, hi_ = (vec)->n;                                                    \
		*(found) = false;                                                                  \
		while (lo_ < hi_) {                                                                \
			size_t mid_ = lo_ + (hi_ - lo_) / 2;                                       \
			int cmp_ = strcmp(idof((vec)->v[mid_]), key);                              \
			if (cmp_ == 0)                                                             \
				*(found) = true;                                                   \
			if (cmp_ < 0)                                                              \
				lo_ = mid_ + 1;                                                    \
			else                                                                       \
				hi_ = mid_;                                                        \
		}                                                                                  \
		lo_;                                                                               \
	})
#define ID_OF(p) ((p)->id)

/* Puts ITEM at place I of a vector. 0 or -ENOMEM. */
#define INSERT(vec, i, item)                                                                       \
	({                                                                                         \
		int insert_r_ = bh_vec_push(vec, item);                                            \
		if (insert_r_ == 0) {                                                              \
			memmove(&(vec)->v[(i) + 1], &(vec)->v[i], ((vec)->n - 1 - (i)) * sizeof(*(vec)->v)); \
			(vec)->v[i] = (item);                                                      \
		}                                                                                  \
		insert_r_;                                                                         \
	})

struct bh_docker_container *bh_docker_model_container(const struct bh_docker_model *m, const char *id)
{
	bool found;
	size_t i = PLACE(&m->containers, id, ID_OF, &found);

	return found ? m->containers.v[i] : NULL;
}

struct bh_docker_net *bh_docker_model_network(const struct bh_docker_model *m, const char *id)
{
	bool found;
	size_t i = PLACE(&m->networks, id, ID_OF, &found);

	return found ? m->networks.v[i] : NULL;
}

struct bh_docker_image *bh_docker_model_image(const struct bh_docker_model *m, const char *id)
{
	bool found;
	size_t i = PLACE(&m->images, id, ID_OF, &found);

	return found ? m->images.v[i] : NULL;
}

struct bh_docker_container *bh_docker_model_add_container(struct bh_docker_model *m, const char *id)
{
	struct bh_docker_container *c;
	bool found;
	size_t i = PLACE(&m->containers, id, ID_OF, &found);

	if (found)
		return m->containers.v[i];
	if (strlen(id) >= sizeof(c->id))
		return NULL;
	c = calloc(1, sizeof(*c));
	if (!c || INSERT(&m->containers, i, c) < 0) {
		free(c);
		return NULL;
	}
	memcpy(c->id, id, strlen(id) + 1);
	return c;
}

struct bh_docker_net *bh_docker_model_add_network(struct bh_docker_model *m, const char *id)
{
	struct bh_docker_net *n;
	bool found;
	size_t i = PLACE(&m->networks, id, ID_OF, &found);

	if (found)
		return m->networks.v[i];
	if (strlen(id) >= sizeof(n->id))
		return NULL;
	n = calloc(1, sizeof(*n));
	if (!n || INSERT(&m->networks, i, n) < 0) {
		free(n);
		return NULL;
	}
	memcpy(n->id, id, strlen(id) + 1);
	return n;
}

/* The image of a listed container, to be asked for when it is new. */
static int want_image(struct bh_docker_model *m, const char *id)
{
	struct bh_docker_image *image;
	bool found;
	size_t i = PLACE(&m->images, id, ID_OF, &found);

	if (found)
		return 0;
	image = calloc(1, sizeof(*image));
	if (!image || bh_strdup(&image->id, id) < 0 || INSERT(&m->images, i, image) < 0) {
		if (image)
			free(image->id);
		free(image);
		return -ENOMEM;
	}
	image->ask = true;
	return 0;
}

static void container_free(struct bh_docker_container *c)
{
	bh_container_clear(&c->base);
	bh_posture_clear(&c->posture);
	free(c);
}

static void net_free(struct bh_docker_net *n)
{
	bh_docker_network_clear(&n->base);
	bh_network_clear(&n->told);
	bh_strv_clear(&n->dropped);
	free(n);
}

static void image_free(struct bh_docker_image *i)
{
	bh_docker_labels_clear(&i->labels);
	bh_image_facts_clear(&i->facts);
	free(i->id);
	free(i);
}

void bh_docker_model_clear(struct bh_docker_model *m)
{
	for (size_t i = 0; i < m->containers.n; i++)
		container_free(m->containers.v[i]);
	bh_vec_clear(&m->containers);
	for (size_t i = 0; i < m->networks.n; i++)
		net_free(m->networks.v[i]);
	bh_vec_clear(&m->networks);
	bh_containers_clear(&m->builds);
	for (size_t i = 0; i < m->images.n; i++) {
		m->images.v[i]->busy = false;
		m->images.v[i]->ask = m->images.v[i]->state != BH_IMAGE_KNOWN;
	}
	m->quiet = true;
}

void bh_docker_model_free_contents(struct bh_docker_model *m)
{
	bh_docker_model_clear(m);
	for (size_t i = 0; i < m->images.n; i++)
		image_free(m->images.v[i]);
	bh_vec_clear(&m->images);
}

bool bh_docker_container_is_stale(const struct bh_docker_container *c)
{
	return c->inspected <= c->configured;
}

/* Takes NOW over as what the list says of a container. */
static int container_set(struct bh_docker_model *m, uint64_t seq, struct bh_container *now)
{
	struct bh_docker_container *c = bh_docker_model_add_container(m, now->id);
	int r;

	if (!c)
		return -ENOMEM;
	if (seq <= c->seen)
		return 0;
	if (now->image_id) {
		r = want_image(m, now->image_id);
		if (r < 0)
			return r;
	}
	bh_container_clear(&c->base);
	c->base = *now;
	memset(now, 0, sizeof(*now));
	c->seen = seq;
	if (c->base.state != BH_CONTAINER_RUNNING && c->base.state != BH_CONTAINER_PAUSED)
		c->dying = false;
	c->inspect = c->inspect || (bh_docker_container_is_stale(c) && !c->inspecting);
	return bh_docker_model_tell(m, c);
}

static int container_gone(struct bh_docker_model *m, uint64_t seq, struct bh_docker_container *c)
{
	if (seq <= c->seen)
		return 0;
	bh_container_clear(&c->base);
	c->seen = seq;
	c->dying = c->inspect = false;
	c->configured = seq;
	c->inspected = 0;
	bh_posture_clear(&c->posture);
	return bh_docker_model_tell(m, c);
}

static bool list_has(const bh_containers *list, const char *id)
{
	bh_vec_foreach(c, list)
		if (bh_streq(c->id, id))
			return true;
	return false;
}

int bh_docker_model_look(struct bh_docker_model *m, uint64_t seq, const struct bh_strv *ids, bh_containers *list)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ids->n; i++) {
		struct bh_docker_container *c = bh_docker_model_container(m, ids->v[i]);

		if (c && !list_has(list, ids->v[i]))
			r = container_gone(m, seq, c);
	}
	bh_vec_foreach(c, list)
		if (r == 0 && bh_strv_has(ids, c->id))
			r = container_set(m, seq, c);
	return r;
}

static void sweep_images(struct bh_docker_model *m)
{
	size_t kept = 0;

	for (size_t i = 0; i < m->images.n; i++)
		m->images.v[i]->used = m->images.v[i]->busy;
	for (size_t i = 0; i < m->containers.n; i++) {
		const char *id = m->containers.v[i]->base.image_id;
		struct bh_docker_image *image = id ? bh_docker_model_image(m, id) : NULL;

		if (image)
			image->used = true;
	}
	for (size_t i = 0; i < m->images.n; i++) {
		if (m->images.v[i]->used)
			m->images.v[kept++] = m->images.v[i];
		else
			image_free(m->images.v[i]);
	}
	m->images.n = kept;
}

/* Tombstones that no answer under way can be older than; those that something points at stay. */
static void sweep_containers(struct bh_docker_model *m, uint64_t seq)
{
	size_t kept = 0;

	for (size_t i = 0; i < m->containers.n; i++) {
		struct bh_docker_container *c = m->containers.v[i];

		if (c->base.id || c->told || c->marked || c->busy || c->inspecting || c->confirm_at || c->dying || c->seen >= seq)
			m->containers.v[kept++] = c;
		else
			container_free(c);
	}
	m->containers.n = kept;
}

int bh_docker_model_list(struct bh_docker_model *m, uint64_t seq, bh_containers *list)
{
	int r = 0;

	bh_vec_foreach(c, list)
		if (r == 0)
			r = container_set(m, seq, c);
	/* container_set() left SEQ or something younger in all that are listed */
	for (size_t i = 0; r == 0 && i < m->containers.n; i++)
		if (m->containers.v[i]->base.id && m->containers.v[i]->seen < seq)
			r = container_gone(m, seq, m->containers.v[i]);
	if (r == 0) {
		sweep_containers(m, seq);
		sweep_images(m);
		/* what could not be had once is asked for again */
		for (size_t i = 0; i < m->images.n; i++)
			m->images.v[i]->ask = m->images.v[i]->ask || m->images.v[i]->state == BH_IMAGE_UNKNOWN;
	}
	return r;
}

struct bh_docker_attachment *bh_docker_net_find(const struct bh_docker_net *n, const char *container)
{
	size_t lo = 0, hi = n->base.attachments.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int cmp = strcmp(n->base.attachments.v[mid].container, container);

		if (cmp == 0)
			return &n->base.attachments.v[mid];
		if (cmp < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static void attachment_remove(struct bh_docker_network *n, struct bh_docker_attachment *a)
{
	size_t i = (size_t)(a - n->attachments.v);

	free(a->container);
	free(a->name);
	free(a->endpoint.id);
	free(a->endpoint.network_id);
	bh_vec_clear(&a->endpoint.addrs);
	memmove(a, a + 1, (n->attachments.n - i - 1) * sizeof(*a));
	n->attachments.n--;
}

int bh_docker_model_networks(struct bh_docker_model *m, uint64_t seq, bh_docker_networks *list)
{
	size_t kept = 0;
	int r;

	bh_vec_foreach(new, list) {
		struct bh_docker_net *n = bh_docker_model_add_network(m, new->network.id);

		if (!n)
			return -ENOMEM;
		n->marked = true;
	}
	for (size_t i = 0; i < m->networks.n; i++) {
		struct bh_docker_net *n = m->networks.v[i];
		bool listed = false;

		bh_vec_foreach(new, list)
			listed = listed || bh_streq(new->network.id, n->id);
		if (!listed && n->seen < seq) {
			r = bh_docker_model_set_network(m, seq, n->id, NULL);
			if (r < 0)
				return r;
		}
	}
	for (size_t i = 0; i < m->networks.n; i++) {
		struct bh_docker_net *n = m->networks.v[i];

		if (n->base.network.id || n->told.id || n->marked || n->busy || n->seen > seq)
			m->networks.v[kept++] = n;
		else
			net_free(n);
	}
	m->networks.n = kept;
	return 0;
}

bool bh_docker_model_mark_bridge(struct bh_docker_model *m, const char *bridge)
{
	bool found = false;

	for (size_t i = 0; i < m->networks.n; i++)
		if (bh_streq(m->networks.v[i]->base.network.bridge, bridge))
			found = m->networks.v[i]->marked = true;
	return found;
}

static int tell_attached(struct bh_docker_model *m, const struct bh_docker_attachment *a)
{
	struct bh_docker_container *c = bh_docker_model_container(m, a->container);

	return c ? bh_docker_model_tell(m, c) : 0;
}

/* Tells of every container that is otherwise in two states of a network: of a thousand that are in it, one came. */
static int tell_moved(struct bh_docker_model *m, const struct bh_docker_network *old, const struct bh_docker_network *now)
{
	bool all = old->flawed != now->flawed || !bh_streq(old->network.driver, now->network.driver);
	size_t i = 0, j = 0;
	int r = 0;

	while (r == 0 && (i < old->attachments.n || j < now->attachments.n)) {
		const struct bh_docker_attachment *a = i < old->attachments.n ? &old->attachments.v[i] : NULL;
		const struct bh_docker_attachment *b = j < now->attachments.n ? &now->attachments.v[j] : NULL;
		int c = !a ? 1 : !b ? -1 : strcmp(a->container, b->container);

		i += c <= 0;
		j += c >= 0;
		if (c != 0)
			r = tell_attached(m, c < 0 ? a : b);
		else if (all || !bh_endpoint_equal(&a->endpoint, &b->endpoint))
			r = tell_attached(m, b);
	}
	return r;
}

/* Attached, but never listed: somebody new, or an image build's step, which has another kind of id. */
static int mark_unknown(struct bh_docker_model *m, const struct bh_docker_network *net)
{
	bh_vec_foreach(a, &net->attachments) {
		struct bh_docker_container *c;

		if (!bh_docker_is_container_id(a->container) || bh_docker_model_container(m, a->container))
			continue;
		c = bh_docker_model_add_container(m, a->container);
		if (!c)
			return -ENOMEM;
		c->marked = true;
	}
	return 0;
}

static struct bh_docker_container *running_named(const struct bh_docker_model *m, const char *name)
{
	for (size_t i = 0; i < m->containers.n; i++) {
		struct bh_docker_container *c = m->containers.v[i];

		if (bh_streq(c->base.name, name) && !c->dying &&
			(c->base.state == BH_CONTAINER_RUNNING || c->base.state == BH_CONTAINER_PAUSED))
			return c;
	}
	return NULL;
}

/* A running container that is being connected: its interface is up before its endpoint is listed under its id and before the event, so
 * the name has to do (names are one container's). What it sent until then would be lost, and its neighbour discovery tries again after a
 * second only. One that starts has time: its id comes before its first instruction. */
static int take_joining(const struct bh_docker_model *m, struct bh_docker_network *n)
{
	size_t left = JOINING_MAX, taken = 0;

	bh_vec_foreach(a, &n->attachments) {
		const struct bh_docker_container *c;
		bool there = false;

		if (!a->name || left == 0)
			continue;
		left--;
		c = running_named(m, a->name);
		if (!c)
			continue;
		bh_vec_foreach(other, &n->attachments)	/* not in the order of ids any more */
			there = there || strcmp(other->container, c->id) == 0;
		if (there)
			continue;
		if (bh_strdup(&a->container, c->id) < 0)
			return -ENOMEM;
		taken++;
	}
	if (taken > 0)
		qsort(n->attachments.v, n->attachments.n, sizeof(*n->attachments.v), bh_docker_attachment_cmp);
	return 0;
}

int bh_docker_model_set_network(struct bh_docker_model *m, uint64_t seq, const char *id, struct bh_docker_network *net)
{
	struct bh_docker_net *n = bh_docker_model_add_network(m, id);
	struct bh_docker_network old;
	int r, r2;

	if (!n)
		return -ENOMEM;
	if (seq <= n->seen)
		return 0;
	old = n->base;
	memset(&n->base, 0, sizeof(n->base));
	if (net) {
		n->base = *net;
		memset(net, 0, sizeof(*net));
	}
	n->seen = seq;
	r = take_joining(m, &n->base);
	for (size_t i = 0; i < n->dropped.n; i++) {
		struct bh_docker_attachment *a = bh_docker_net_find(n, n->dropped.v[i]);

		if (a)
			attachment_remove(&n->base, a);
	}
	/* a network is told before who is in it, and goes after */
	if (r == 0 && n->base.network.id)
		r = bh_docker_model_tell_network(m, n);
	if (r == 0)
		r = mark_unknown(m, &n->base);
	if (r == 0)
		r = tell_moved(m, &old, &n->base);
	if (r == 0)
		r = bh_docker_model_tell_builds(m);
	r2 = bh_docker_model_tell_network(m, n);
	bh_docker_network_clear(&old);
	return r < 0 ? r : r2;
}

int bh_docker_model_set_image(struct bh_docker_model *m, const char *id, struct bh_docker_labels *labels, struct bh_image_facts *facts)
{
	struct bh_docker_image *image = bh_docker_model_image(m, id);
	int r = 0;

	if (!image)
		return 0;
	bh_docker_labels_clear(&image->labels);
	bh_image_facts_clear(&image->facts);
	image->state = labels ? BH_IMAGE_KNOWN : BH_IMAGE_UNKNOWN;
	if (labels) {
		image->labels = *labels;
		memset(labels, 0, sizeof(*labels));
		image->facts = *facts;
		memset(facts, 0, sizeof(*facts));
	}
	for (size_t i = 0; r == 0 && i < m->containers.n; i++)
		if (bh_streq(m->containers.v[i]->base.image_id, id))
			r = bh_docker_model_tell(m, m->containers.v[i]);
	return r;
}

int bh_docker_model_inspected(struct bh_docker_model *m, uint64_t seq, struct bh_docker_inspect *inspect)
{
	struct bh_docker_container *c = bh_docker_model_container(m, inspect->id);

	if (!c || seq <= c->configured || seq <= c->inspected)
		return 0;
	c->inspected = seq;
	bh_posture_clear(&c->posture);
	c->posture = inspect->posture;
	memset(&inspect->posture, 0, sizeof(inspect->posture));
	return bh_docker_model_tell(m, c);
}

void bh_docker_model_doubt(struct bh_docker_model *m)
{
	for (size_t i = 0; i < m->containers.n; i++)
		m->containers.v[i]->inspect = true;
}

int bh_docker_model_configured(struct bh_docker_model *m, uint64_t seq, const char *id)
{
	struct bh_docker_container *c = bh_docker_model_add_container(m, id);

	if (!c)
		return -ENOMEM;
	c->marked = c->inspect = true;
	c->configured = seq;
	return 0;
}

int bh_docker_model_started(struct bh_docker_model *m, const char *id)
{
	struct bh_docker_container *c = bh_docker_model_add_container(m, id);

	if (!c)
		return -ENOMEM;
	c->dying = false;
	c->marked = true;
	c->inspect = c->inspect || (bh_docker_container_is_stale(c) && !c->inspecting);
	return 0;
}

/* Endpoints that a container has, or that an answer under way may still show. */
static int drop_endpoint(struct bh_docker_net *n, const char *id)
{
	struct bh_docker_attachment *a = bh_docker_net_find(n, id);
	int r = 0;

	if (a)
		attachment_remove(&n->base, a);
	if (n->busy && !bh_strv_has(&n->dropped, id))
		r = bh_strv_push(&n->dropped, id);
	return r;
}

int bh_docker_model_disconnected(struct bh_docker_model *m, const char *id, const char *network)
{
	struct bh_docker_container *c = bh_docker_model_container(m, id);
	struct bh_docker_net *n = bh_docker_model_network(m, network);
	int r = n ? drop_endpoint(n, id) : 0;

	if (n)
		n->marked = true;
	return r == 0 && c ? bh_docker_model_tell(m, c) : r;
}

int bh_docker_model_connected(struct bh_docker_model *m, const char *id, const char *network)
{
	struct bh_docker_container *c = bh_docker_model_add_container(m, id);
	struct bh_docker_net *n = bh_docker_model_add_network(m, network);

	if (!c || !n)
		return -ENOMEM;
	c->dying = false;
	c->marked = n->marked = true;
	return 0;
}

int bh_docker_model_died(struct bh_docker_model *m, const char *id)
{
	struct bh_docker_container *c = bh_docker_model_add_container(m, id);

	if (!c)
		return -ENOMEM;
	c->dying = c->marked = true;
	c->dying_looks = 0;
	return bh_docker_model_tell(m, c);
}
