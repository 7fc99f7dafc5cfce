/* SPDX-License-Identifier: Apache-2.0 */
/* What the runtimes say, kept until they say otherwise. */
#include "keeper.h"
#include "source.h"

#include <bulkhead/fault.h>

#include <errno.h>
#include <string.h>

int bh_manager_add_source(struct bh_manager *m, const char *kind, const char *socket, struct bh_source **ret)
{
	struct bh_source *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->manager = m;
	s->kind = strdup(kind);
	s->socket = strdup(socket);
	s->inventory = calloc(1, sizeof(*s->inventory));
	if (!s->kind || !s->socket || !s->inventory || bh_vec_push(&m->sources, s) < 0) {
		free(s->kind);
		free(s->socket);
		bh_inventory_free(s->inventory);
		free(s);
		return -ENOMEM;
	}
	*ret = s;
	return 0;
}

static int follower_start(void *userdata)
{
	const struct bh_source *s = userdata;

	return bh_keeper_spawn(s->keeper, BH_ROLE_RUNTIME, s->index, NULL, -1);
}

int bh_manager_add_docker(struct bh_manager *m, const char *socket, int keeper, struct bh_error *err)
{
	struct bh_source *s;
	int r = bh_manager_add_source(m, "docker", socket, &s);

	if (r < 0)
		return bh_fail(err, r, "out of memory");
	s->keeper = keeper;
	s->index = m->sources.n - 1;
	r = bh_remote_new(m->event, socket, &(struct bh_remote){follower_start, s}, bh_source_message, s, &s->runtime, err);
	if (r == 0)
		bh_detect_feed(m);
	return r;
}

#define BURIED_MAX 65536

int bh_grave_dig(struct bh_manager *m, size_t n)
{
	/* A kernel that cannot be looked at for long keeps its last round; it is not worth any memory. */
	if (m->buried.containers.n > BURIED_MAX) {
		bh_round_clear(&m->round);
		m->verified = false;
		bh_sources_bury(m);
	}
	return bh_vec_reserve_(&m->buried.containers.v, &m->buried.containers.cap, m->buried.containers.n + n,
		sizeof(*m->buried.containers.v));
}

void bh_bury(struct bh_manager *m, struct bh_container *c)
{
	if (m->round.inventory)
		m->buried.containers.v[m->buried.containers.n++] = *c;
	else
		bh_container_clear(c);
	memset(c, 0, sizeof(*c));
}

void bh_sources_bury(struct bh_manager *m)
{
	bh_vec_foreach(c, &m->buried.containers)
		bh_container_clear(c);
	bh_vec_clear(&m->buried.containers);
}

static int container_gone(struct bh_manager *m, struct bh_inventory *i, const char *id)
{
	struct bh_container *c = bh_inventory_container(i, id);

	if (!c)
		return 0;
	if (bh_grave_dig(m, 1) < 0)
		return -ENOMEM;
	bh_bury(m, c);
	memmove(c, c + 1, (size_t)(i->containers.v + i->containers.n - (c + 1)) * sizeof(*c));
	i->containers.n--;
	return 0;
}

static void network_gone(struct bh_inventory *i, const char *id)
{
	struct bh_network *n = bh_inventory_network(i, id);

	if (!n)
		return;
	bh_network_clear(n);
	memmove(n, n + 1, (size_t)(i->networks.v + i->networks.n - (n + 1)) * sizeof(*n));
	i->networks.n--;
}

/* 0, 1 when nothing follows from it, or -ENOMEM. */
static int container_set(struct bh_manager *m, struct bh_inventory *i, const struct bh_container *c)
{
	struct bh_container *old = bh_inventory_container(i, c->id), copy = {0};
	int r;

	if (old && bh_container_equal(old, c))
		return 1;
	r = old ? bh_grave_dig(m, 1) : 0;

	if (r == 0)
		r = bh_container_copy(&copy, c);
	if (r < 0)
		return r;
	if (old && old->posture.known && c->posture.known)
		bh_detect_posture(m, c->id, &old->posture, &c->posture);
	if (old) {	/* in its place: the order is the order of status */
		bh_bury(m, old);
		*old = copy;
		return 0;
	}
	r = bh_vec_push(&i->containers, copy);
	if (r < 0)
		bh_container_clear(&copy);
	return r;
}

/* 0, 1 when it is as it was, or -ENOMEM. */
static int network_set(struct bh_inventory *i, const struct bh_network *n)
{
	struct bh_network *old = bh_inventory_network(i, n->id), copy = {0};
	int r;

	if (old && bh_network_equal(old, n))
		return 1;
	r = bh_network_copy(&copy, n);
	if (r < 0)
		return r;
	if (old) {
		bh_network_clear(old);
		*old = copy;
		return 0;
	}
	r = bh_vec_push(&i->networks, copy);
	if (r < 0)
		bh_network_clear(&copy);
	return r;
}

/* A dockerd that was restarted may have been told others. What cannot be read now is as before. 0, 1 when nothing follows from it, or -ENOMEM. */
static int source_resolvers(struct bh_source *s, const struct bh_runtime_msg *msg)
{
	struct bh_addrs fresh = {0};

	if (msg->reason) {
		bh_log(&s->manager->log, LOG_WARNING, BH_EVENT_RUNTIME, "%s at %s: its own resolvers cannot be read: %s", s->kind, s->socket,
			msg->reason);
		return 1;
	}
	bh_vec_foreach(a, &msg->addrs->v)
		if (bh_addrs_add(&fresh, a) < 0) {
			bh_vec_clear(&fresh.v);
			return -ENOMEM;
		}
	bh_vec_clear(&s->resolvers.v);
	s->resolvers = fresh;
	bh_seen_forget_host(&s->manager->seen);	/* they are part of it */
	return 0;
}

static int source_state(struct bh_source *s, const struct bh_runtime_msg *msg)
{
	const struct bh_log *l = &s->manager->log;
	bool changed = !s->told || s->state != msg->state;
	bool ails = msg->state == BH_RUNTIME_CONNECTED && msg->reason;

	s->told = true;
	s->state = msg->state;
	if (changed && msg->state == BH_RUNTIME_ABSENT)
		bh_log(l, s->heard ? LOG_WARNING : LOG_INFO, BH_EVENT_RUNTIME, "%s at %s does not answer%s%s: the rules stay as they are",
			s->kind, s->socket, msg->reason ? ": " : "", msg->reason ? msg->reason : "");
	else if (ails)
		bh_log(l, LOG_WARNING, BH_EVENT_RUNTIME, "%s at %s: %s: it is asked again", s->kind, s->socket, msg->reason);
	else if (msg->state == BH_RUNTIME_CONNECTED && s->reason)
		bh_log(l, LOG_INFO, BH_EVENT_RUNTIME, "%s at %s: its answers are whole again", s->kind, s->socket);
	else if (changed && msg->state == BH_RUNTIME_CONNECTED)
		bh_log(l, LOG_INFO, BH_EVENT_RUNTIME, "%s at %s: connected", s->kind, s->socket);
	return bh_strdup(&s->reason, msg->reason);
}

/* 0, 1 when they are as they were, or -ENOMEM. */
static int source_registries(struct bh_source *s, const struct bh_registries *now)
{
	struct bh_registries copy = {0};

	if (bh_registries_equal(&s->registries, now))
		return 1;
	if (bh_registries_add(&copy, now) < 0) {
		bh_registries_clear(&copy);
		return -ENOMEM;
	}
	bh_registries_clear(&s->registries);
	s->registries = copy;
	return 0;
}

void bh_source_message(void *userdata, const struct bh_runtime_msg *msg)
{
	struct bh_source *s = userdata;
	bool whole = false;
	int r = 0;

	BH_FAULT("runtime-told");
	switch (msg->kind) {
	case BH_RUNTIME_MSG_STATE:
		whole = true;
		r = source_state(s, msg);
		break;
	case BH_RUNTIME_MSG_SNAPSHOT:
		r = bh_source_listed(s, msg->inventory, &whole);
		break;
	case BH_RUNTIME_MSG_CONTAINER:
		r = container_set(s->manager, s->inventory, msg->container);
		break;
	case BH_RUNTIME_MSG_GONE:
		r = container_gone(s->manager, s->inventory, msg->id);
		break;
	case BH_RUNTIME_MSG_NETWORK:
		whole = true;
		r = network_set(s->inventory, msg->network);
		break;
	case BH_RUNTIME_MSG_NETWORK_GONE:
		whole = true;
		network_gone(s->inventory, msg->id);
		break;
	case BH_RUNTIME_MSG_EXEC:
		bh_detect_exec(s->manager, msg->id, msg->text);
		return;
	case BH_RUNTIME_MSG_REGISTRIES:
		whole = true;
		r = source_registries(s, msg->registries);
		break;
	case BH_RUNTIME_MSG_RESOLVERS:
		whole = true;
		r = source_resolvers(s, msg);
		break;
	}
	if (r < 0) {
		/* The message is lost: only a whole listing brings it back. What is not known gets nothing. */
		bh_log(&s->manager->log, LOG_ERR, BH_EVENT_DEGRADED, "out of memory: %s is listed again", s->kind);
		if (s->runtime && s->runtime->ops->resync)
			s->runtime->ops->resync(s->runtime);
	}
	if (r < 0 || (r == 0 && whole))
		bh_manager_dirty(s->manager);
	else if (r == 0)
		bh_manager_containers_changed(s->manager);
}
