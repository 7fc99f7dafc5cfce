/* SPDX-License-Identifier: Apache-2.0 */
/* Image builds. BuildKit runs the steps of a build in sandboxes that are no containers: no event tells of them and no list has them,
 * they stand only among the endpoints of their network, for the seconds that a step takes. */
#include "docker_model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int build_cmp(const void *a, const void *b)
{
	return strcmp(((const struct bh_container *)a)->id, ((const struct bh_container *)b)->id);
}

static const struct bh_container *build_find(const bh_containers *l, const struct bh_container *c)
{
	return l->n > 0 ? bsearch(c, l->v, l->n, sizeof(*l->v), build_cmp) : NULL;
}

static int build_add(bh_containers *l, const struct bh_docker_attachment *a)
{
	struct bh_container c = {.runtime = "docker", .kind = BH_KIND_BUILD, .state = BH_CONTAINER_RUNNING};

	if (bh_strdup(&c.id, a->container) < 0 || bh_strdup(&c.name, a->container) < 0 ||
		bh_docker_endpoint_copy(&c, &a->endpoint) < 0 || bh_vec_push(l, c) < 0) {
		bh_container_clear(&c);
		return -ENOMEM;
	}
	return 0;
}

/* One build that two networks show is one. */
static int builds_merge(bh_containers *l)
{
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; i < l->n; i++) {
		struct bh_container *c = &l->v[i];

		if (n == 0 || build_cmp(&l->v[n - 1], c) != 0) {
			l->v[n++] = *c;
			continue;
		}
		bh_vec_foreach(e, &c->endpoints)
			if (r == 0)
				r = bh_docker_endpoint_copy(&l->v[n - 1], e);
		bh_container_clear(c);
	}
	l->n = n;
	return r;
}

/* All that the networks show now, by id. */
static int builds_compose(const struct bh_docker_model *m, bh_containers *ret)
{
	for (size_t i = 0; i < m->networks.n; i++) {
		const struct bh_docker_network *n = &m->networks.v[i]->base;

		if (n->flawed)
			continue;
		bh_vec_foreach(a, &n->attachments)
			if (a->build && build_add(ret, a) < 0)
				return -ENOMEM;
	}
	if (ret->n > 1)
		qsort(ret->v, ret->n, sizeof(*ret->v), build_cmp);
	return builds_merge(ret);
}

/* NOW takes the place of what was told, which is left in OLD. */
static void builds_replace(struct bh_docker_model *m, bh_containers *now, bh_containers *old)
{
	*old = m->builds;
	m->builds = *now;
	memset(now, 0, sizeof(*now));
}

int bh_docker_model_tell_builds(struct bh_docker_model *m)
{
	_cleanup_(bh_containers_clear) bh_containers now = {0}, old = {0};

	if (m->quiet)
		return 0;
	if (builds_compose(m, &now) < 0)
		return -ENOMEM;
	builds_replace(m, &now, &old);
	bh_vec_foreach(c, &old) {
		struct bh_runtime_msg msg = {.kind = BH_RUNTIME_MSG_GONE, .id = c->id};

		if (!build_find(&m->builds, c))
			m->fn(m->userdata, &msg);
	}
	bh_vec_foreach(c, &m->builds) {
		struct bh_runtime_msg msg = {.kind = BH_RUNTIME_MSG_CONTAINER, .container = c};
		const struct bh_container *told = build_find(&old, c);

		if (!told || !bh_container_equal(told, c))
			m->fn(m->userdata, &msg);
	}
	return 0;
}

int bh_docker_model_snapshot_builds(struct bh_docker_model *m, struct bh_inventory *ret)
{
	_cleanup_(bh_containers_clear) bh_containers now = {0}, old = {0};

	if (builds_compose(m, &now) < 0)
		return -ENOMEM;
	builds_replace(m, &now, &old);
	bh_vec_foreach(c, &m->builds)
		if (bh_vec_push(&ret->containers, *c) < 0)
			return -ENOMEM;
	return 0;
}
