/* SPDX-License-Identifier: Apache-2.0 */
/* Policies, inventories and hosts for tests, written briefly. A failure to allocate ends the test program. */
#ifndef TESTS_MODELBUILD_H
#define TESTS_MODELBUILD_H

#include <bulkhead/host.h>
#include <bulkhead/inventory.h>
#include <bulkhead/policy.h>

#include <stdio.h>
#include <string.h>

static inline void *mb_need(void *p)
{
	if (!p)
		abort();
	return p;
}

static inline char *mb_dup(const char *s)
{
	return s ? mb_need(strdup(s)) : NULL;
}

/* The pointers that these return die with the next zone, container or network. */
static inline struct bh_zone *mb_zone(struct bh_policy *p, const char *name, unsigned line)
{
	struct bh_zone *z = mb_need(bh_vec_add(&p->zones));

	z->name = mb_dup(name);
	z->loc = (struct bh_loc){"bulkhead.yaml", line, 3};
	return z;
}

static inline struct bh_selector *mb_select(struct bh_zone *z)
{
	if (!z->select)
		z->select = mb_need(calloc(1, sizeof(*z->select)));
	z->select->loc = z->loc;
	return z->select;
}

static inline struct bh_selector *mb_match(struct bh_selector *s, enum bh_select_key key, const char *label,
	const char *pattern, unsigned line)
{
	struct bh_select_match *m = mb_need(bh_vec_add(&s->matches));

	m->key = key;
	m->label = mb_dup(label);
	m->loc = (struct bh_loc){"bulkhead.yaml", line, 5};
	if (bh_strv_push(&m->patterns, pattern) < 0)
		abort();
	return s;
}

static inline struct bh_zone *mb_family(struct bh_policy *p, const char *name, enum bh_per per, const char *label, unsigned line)
{
	struct bh_zone *z = mb_zone(p, name, line);

	z->per = per;
	z->per_label = mb_dup(label);
	z->priority = -1;
	return z;
}

static inline struct bh_container *mb_container(struct bh_inventory *i, const char *name)
{
	struct bh_container *c = mb_need(bh_vec_add(&i->containers));
	char id[80];

	snprintf(id, sizeof(id), "id-%s", name);
	c->id = mb_dup(id);
	c->name = mb_dup(name);
	c->runtime = "docker";
	c->state = BH_CONTAINER_RUNNING;
	return c;
}

static inline void mb_label(struct bh_container *c, const char *key, const char *value)
{
	struct bh_label l = {mb_dup(key), mb_dup(value)};

	if (bh_vec_push(&c->labels, l) < 0)
		abort();
}

/* A label of the image, which the runtime shows among the container's own too. */
static inline void mb_image_label(struct bh_container *c, const char *key, const char *value)
{
	struct bh_label l = {mb_dup(key), mb_dup(value)};

	if (bh_vec_push(&c->image_labels, l) < 0)
		abort();
	if (!bh_container_label(c, key))
		mb_label(c, key, value);
}

static inline void mb_compose(struct bh_container *c, const char *project, const char *service)
{
	mb_label(c, "com.docker.compose.project", project);
	mb_label(c, "com.docker.compose.service", service);
	mb_label(c, "com.docker.compose.container-number", "1");
}

static inline void mb_network(struct bh_inventory *i, const char *name, const char *driver, const char *bridge)
{
	struct bh_network *n = mb_need(bh_vec_add(&i->networks));
	char id[80];

	snprintf(id, sizeof(id), "net-%s", name);
	n->id = mb_dup(id);
	n->name = mb_dup(name);
	n->driver = mb_dup(driver);
	n->bridge = mb_dup(bridge);
}

/* ADDR may be NULL; the MAC is 02:42:00:00:00:LAST, LAST 0: none yet. */
static inline void mb_endpoint(struct bh_container *c, const char *network, const char *addr, uint8_t last)
{
	struct bh_endpoint *e = mb_need(bh_vec_add(&c->endpoints));
	struct bh_addr a;
	char id[80];

	snprintf(id, sizeof(id), "net-%s", network);
	e->network_id = mb_dup(id);
	e->has_mac = last != 0;
	if (last)
		e->mac = (struct bh_mac){{2, 0x42, 0, 0, 0, last}};
	if (addr && (bh_addr_parse(addr, &a) < 0 || bh_vec_push(&e->addrs, a) < 0))
		abort();
}

static inline struct bh_link *mb_link(struct bh_host *h, int ifindex, const char *name, enum bh_link_kind kind)
{
	struct bh_link *l = mb_need(bh_vec_add(&h->links));

	l->ifindex = ifindex;
	snprintf(l->name, sizeof(l->name), "%s", name);
	l->kind = kind;
	l->up = true;
	return l;
}

static inline void mb_veth(struct bh_host *h, int ifindex, const char *name, int bridge, uint8_t peer_last)
{
	struct bh_link *l = mb_link(h, ifindex, name, BH_LINK_VETH);

	l->master = bridge;
	l->has_peer = peer_last != 0;
	l->peer_mac = (struct bh_mac){{2, 0x42, 0, 0, 0, peer_last}};
}

#endif
