/* SPDX-License-Identifier: Apache-2.0 */
/* Ports that nobody has explained. A step of an image build has no event and no entry in any list but its network's; its port on
 * the bridge is all that tells of it, when it comes and when it goes. */
#include "manager.h"

#include <errno.h>
#include <string.h>

#define WAIT_USEC (10 * 1000ULL)
#define MOVES 5			/* the last one after 310 ms */
#define TRIES 10		/* the last one after 5 s; the full listing of every minute comes later still */

/* A container bridge with what is not in balance on it. */
struct strange_bridge {
	int ifindex;
	const char *name;
	size_t ports;		/* that no endpoint has */
	size_t waiting;		/* endpoints without a port: theirs may be among PORTS */
	size_t builds;		/* of these, image builds */
	size_t running;		/* of these, what runs already: it may send as soon as the link is up */
	bool moved;		/* one of PORTS has its other end in another namespace, where it may be getting its address */
	size_t lost;		/* endpoints of containers whose port is gone: they explain none */
};

struct sight {
	BH_VEC(struct strange_bridge) bridges;	/* by ifindex */
	BH_VEC(int) taken;			/* ports of endpoints, sorted */
	BH_VEC(int) ports;			/* the others, sorted */
};

static void sight_clear(struct sight *s)
{
	bh_vec_clear(&s->bridges);
	bh_vec_clear(&s->taken);
	bh_vec_clear(&s->ports);
}

static int int_cmp(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return (x > y) - (x < y);
}

static bool ints_have(const int *v, size_t n, int x)
{
	return n > 0 && bsearch(&x, v, n, sizeof(x), int_cmp);
}

static int bridge_cmp(const void *a, const void *b)
{
	return int_cmp(&((const struct strange_bridge *)a)->ifindex, &((const struct strange_bridge *)b)->ifindex);
}

static struct strange_bridge *bridge_at(const struct sight *s, int ifindex)
{
	const struct strange_bridge key = {.ifindex = ifindex};

	return s->bridges.n > 0 ? bsearch(&key, s->bridges.v, s->bridges.n, sizeof(key), bridge_cmp) : NULL;
}

static struct strange_bridge *bridge_named(const struct sight *s, const char *name)
{
	bh_vec_foreach(b, &s->bridges)
		if (strcmp(b->name, name) == 0)
			return bridge_at(s, b->ifindex);	/* two networks may name one bridge */
	return NULL;
}

static int bridges_list(const struct bh_manager *m, struct sight *s)
{
	bh_vec_foreach(n, &m->round.inventory->networks) {
		const struct bh_link *l = n->bridge ? bh_host_link_named(m->seen.host, n->bridge) : NULL;
		struct strange_bridge b = {.ifindex = l ? l->ifindex : 0, .name = n->bridge};

		if (l && bh_vec_push(&s->bridges, b) < 0)
			return -ENOMEM;
	}
	if (s->bridges.n > 1)
		qsort(s->bridges.v, s->bridges.n, sizeof(*s->bridges.v), bridge_cmp);
	return 0;
}

static int endpoints_count(const struct bh_manager *m, struct sight *s)
{
	if (!m->round.placement)
		return 0;
	bh_vec_foreach(member, &m->round.placement->members)
		bh_vec_foreach(a, &member->attachments) {
			struct strange_bridge *b = a->port_ifindex ? NULL : bridge_named(s, a->bridge);

			if (a->port_ifindex && bh_vec_push(&s->taken, a->port_ifindex) < 0)
				return -ENOMEM;
			if (!b)
				continue;
			if (a->port_gone && member->container->kind != BH_KIND_BUILD) {
				b->lost++;
				continue;
			}
			b->waiting++;
			b->builds += member->container->kind == BH_KIND_BUILD;
			b->running += member->container->state != BH_CONTAINER_CREATED;
		}
	if (s->taken.n > 1)
		qsort(s->taken.v, s->taken.n, sizeof(*s->taken.v), int_cmp);
	return 0;
}

static int ports_count(const struct bh_manager *m, struct sight *s)
{
	bh_vec_foreach(l, &m->seen.host->links) {
		struct strange_bridge *b = l->master ? bridge_at(s, l->master) : NULL;

		if (!b || ints_have(s->taken.v, s->taken.n, l->ifindex))
			continue;
		b->ports++;
		b->moved = b->moved || (l->has_peer && l->peer_nsid >= 0);
		if (bh_vec_push(&s->ports, l->ifindex) < 0)
			return -ENOMEM;
	}
	if (s->ports.n > 1)
		qsort(s->ports.v, s->ports.n, sizeof(*s->ports.v), int_cmp);
	return 0;
}

/* An endpoint whose other end has not moved into its container yet explains one port, whichever. */
static size_t builds_gone(const struct strange_bridge *b)
{
	size_t more = b->waiting > b->ports ? b->waiting - b->ports : 0;

	return more < b->builds ? more : b->builds;
}

static int look(const struct bh_manager *m, struct sight *s)
{
	int r = bridges_list(m, s);

	if (r == 0)
		r = endpoints_count(m, s);
	if (r == 0)
		r = ports_count(m, s);
	return r;
}

/* Asks about every bridge that is out of balance. Returns whether there was one. */
static bool ask(const struct bh_manager *m, const struct sight *s)
{
	bool any = false;

	bh_vec_foreach(b, &s->bridges) {
		if (b->ports <= b->waiting && builds_gone(b) == 0 && b->lost == 0)
			continue;
		any = true;
		bh_vec_foreach(source, &m->sources) {
			struct bh_runtime *r = (*source)->runtime;

			if (r && r->ops->look)
				r->ops->look(r, b->name);
		}
	}
	return any;
}

/* FN once, in USEC. Without a timer the next change, or the next full listing, explains it. */
static void arm(struct bh_manager *m, sd_event_source **timer, uint64_t usec, sd_event_time_handler_t fn)
{
	if (!*timer)
		(void)sd_event_add_time_relative(m->event, timer, CLOCK_MONOTONIC, usec, 1000, fn, m);
	else if (sd_event_source_set_time_relative(*timer, usec) >= 0)
		(void)sd_event_source_set_enabled(*timer, SD_EVENT_ONESHOT);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata);

static void again_later(struct bh_manager *m)
{
	struct bh_strange *s = &m->strange;
	uint64_t usec = WAIT_USEC << s->tries;

	if (++s->tries < TRIES)
		arm(m, &s->timer, usec, on_timer);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct bh_manager *m = userdata;
	_cleanup_(sight_clear) struct sight s = {0};

	(void)source;
	(void)usec;
	if (!m->seen.host || !m->round.inventory)	/* between two looks at the kernel */
		again_later(m);
	else if (look(m, &s) == 0 && ask(m, &s))
		again_later(m);
	return 0;
}

/* The other end gets its address some milliseconds after it was moved, and nothing is heard here of that until the link is up, when the first
 * packet is sent. One that starts has until its first instruction. */
static int on_moved(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct bh_manager *m = userdata;

	(void)source;
	(void)usec;
	bh_manager_links_changed(m, m->strange.ports.v, m->strange.ports.n, false);
	bh_manager_containers_changed(m);	/* to look again, later, where nothing has changed yet */
	return 0;
}

static void look_at_moved(struct bh_manager *m, const struct sight *sight)
{
	struct bh_strange *s = &m->strange;
	uint64_t usec = WAIT_USEC << s->moves;
	bool any = false;

	bh_vec_foreach(b, &sight->bridges)
		any = any || (b->moved && b->running > 0);
	if (!any) {
		s->moves = 0;
		return;
	}
	if (s->moves >= MOVES)
		return;
	s->moves++;
	arm(m, &s->moved, usec, on_moved);
}

int bh_strange_look(struct bh_manager *m)
{
	_cleanup_(sight_clear) struct sight s = {0};
	struct bh_strange *known = &m->strange;
	bool fresh = false;
	size_t gone = 0;

	if (look(m, &s) < 0)
		return -ENOMEM;
	look_at_moved(m, &s);
	bh_vec_foreach(p, &s.ports)
		fresh = fresh || !ints_have(known->ports.v, known->ports.n, *p);
	bh_vec_foreach(b, &s.bridges)
		gone += builds_gone(b) + b->lost;
	fresh = fresh || gone > known->gone;
	known->gone = gone;
	bh_vec_clear(&known->ports);
	known->ports.v = s.ports.v;
	known->ports.n = s.ports.n;
	known->ports.cap = s.ports.cap;
	memset(&s.ports, 0, sizeof(s.ports));
	if (!fresh)
		return 0;
	known->tries = 0;
	if (ask(m, &s))
		again_later(m);
	return 0;
}

void bh_strange_clear(struct bh_strange *s)
{
	sd_event_source_disable_unref(s->timer);
	sd_event_source_disable_unref(s->moved);
	s->timer = s->moved = NULL;
	bh_vec_clear(&s->ports);
}
