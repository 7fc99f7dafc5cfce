/* SPDX-License-Identifier: Apache-2.0 */
/* The names of container bridges over a reboot. A runtime makes its bridges and starts what it restarts before it answers anybody; a
 * bridge whose name tells nothing is closed in that time only if it is known from before. */
#include "manager.h"
#include "state.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool all_heard(const struct bh_manager *m)
{
	bh_vec_foreach(s, &m->sources)
		if (!(*s)->heard)
			return false;
	return m->sources.n > 0;
}

/* A bridge of the host's own by now: a port that no runtime makes. */
static bool is_taken(const struct bh_host *host, const char *name)
{
	const struct bh_link *bridge = host ? bh_host_link_named(host, name) : NULL;

	if (!bridge)
		return false;
	return bridge->kind != BH_LINK_BRIDGE || bh_host_has_foreign_port(host, bridge->ifindex);
}

void bh_bridges_load(struct bh_manager *m)
{
	int r = bh_state_load_bridges(m->state_dir, &m->bridges);

	/* Bridges whose names tell what they are, and all that runtimes list, are closed without it. */
	if (r < 0)
		bh_log(&m->log, LOG_WARNING, BH_EVENT_CONFIG, "the bridges of before in %s cannot be read: %s", m->state_dir, strerror(-r));
}

int bh_bridges_add(const struct bh_manager *m, struct bh_inventory *inventory)
{
	if (all_heard(m))
		return 0;
	for (size_t i = 0; i < m->bridges.n; i++) {
		const char *name = m->bridges.v[i];
		struct bh_network *n;

		if (bh_inventory_lists_bridge(inventory, name) || is_taken(m->seen.host, name))
			continue;
		n = bh_vec_add(&inventory->networks);
		if (!n)
			return -ENOMEM;
		n->name = strdup(name);
		n->driver = strdup("bridge");
		n->bridge = strdup(name);
		if (asprintf(&n->id, "remembered-%s", name) < 0)
			n->id = NULL;
		if (!n->id || !n->name || !n->driver || !n->bridge)
			return -ENOMEM;
	}
	return 0;
}

static int collect(const struct bh_manager *m, struct bh_strv *ret)
{
	bh_vec_foreach(s, &m->sources)
		bh_vec_foreach(n, &(*s)->inventory->networks)
			if (n->bridge && *n->bridge && ret->n < BH_STATE_BRIDGES_MAX && !bh_strv_has(ret, n->bridge) &&
				bh_strv_push(ret, n->bridge) < 0)
				return -ENOMEM;
	return 0;
}

static bool same(const struct bh_strv *a, const struct bh_strv *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!bh_strv_has(b, a->v[i]))
			return false;
	return true;
}

void bh_bridges_keep(struct bh_manager *m)
{
	struct bh_strv now = {0};
	int r;

	if (!all_heard(m))
		return;
	r = collect(m, &now);
	if (r == 0 && same(&now, &m->bridges)) {
		bh_strv_clear(&now);
		return;
	}
	if (r == 0) {
		bh_strv_clear(&m->bridges);
		m->bridges = now;
		r = bh_state_keep_bridges(m->state_dir, &m->bridges);
	} else {
		bh_strv_clear(&now);
	}
	if (r < 0)
		bh_log(&m->log, LOG_WARNING, BH_EVENT_DEGRADED, "the names of the runtimes' bridges cannot be kept in %s: %s", m->state_dir,
			strerror(-r));
}
