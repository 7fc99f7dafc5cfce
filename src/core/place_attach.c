/* SPDX-License-Identifier: Apache-2.0 */
/* What of a container is on bridges of this namespace, who holds the same address, and who shares a namespace with whom. */
#include "place_priv.h"
#include "select.h"

#include <errno.h>
#include <string.h>

#define SHOWN 64
#define SHARE_DEPTH 16	/* container:X of a container:Y of a …; runtimes resolve it, a liar's ring ends here */

/* The bridge of a network if it is one of this namespace, else NULL with the reason in TEXT. */
static const struct bh_link *network_bridge(const struct placer *p, const struct bh_endpoint *e, const struct bh_network *n,
	struct bh_buf *text)
{
	const struct bh_link *l;

	if (!n) {
		bh_buf_puts(text, "network ");
		bh_buf_put_safe(text, e->network_id ? e->network_id : "", 12);
		bh_buf_puts(text, " is not known");
		return NULL;
	}
	if (!n->bridge) {
		bh_buf_puts(text, "network ");
		bh_buf_put_safe(text, n->name ? n->name : "", SHOWN);
		bh_buf_puts(text, " is no bridge but ");
		bh_buf_put_safe(text, n->driver ? n->driver : "unknown", SHOWN);
		return NULL;
	}
	l = place_bridge(p, n->bridge);
	if (!l) {
		bh_buf_puts(text, "bridge ");
		bh_buf_put_safe(text, n->bridge, BH_IFNAME);
		bh_buf_puts(text, " is not in this network namespace");
		return NULL;
	}
	return l;
}

/* Hands TEXT over as the reason why M is not wholly enforced. */
static int unenforced(struct bh_member *m, enum bh_enforced e, struct bh_buf *text)
{
	m->enforced = e;
	return bh_buf_steal(text, &m->unenforced_reason);
}

/* rtnetlink does what it is told about another namespace when the asker has CAP_NET_ADMIN in the user namespace that owns it, and the host's is a
 * number away from a container, as its veth's other end is there (rtnl_get_net_ns_capable() in net/core/rtnetlink.c). So such a
 * container can make itself a link that no bridge of ours is in: what comes by that is the world's. */
static int powers(struct bh_member *m)
{
	const struct bh_posture *s = &m->container->posture;
	_cleanup_buf_ struct bh_buf text = {0};

	if (!s->known || m->attachments.n == 0 || s->namespaces[BH_NAMESPACE_USER] != BH_ISOLATION_HOST || !(s->caps & (bh_caps)1 << bh_cap_number("NET_ADMIN")))
		return 0;
	bh_buf_puts(&text, "with NET_ADMIN, and without userns-remap, it can make links in the host's network itself");
	return unenforced(m, BH_ENFORCED_PARTIAL, &text);
}

static int attach_endpoints(const struct placer *p, struct bh_member *m)
{
	_cleanup_buf_ struct bh_buf text = {0};
	size_t outside = 0;

	if (bh_vec_exact(&m->attachments, m->container->endpoints.n) < 0)
		return -ENOMEM;
	bh_vec_foreach(e, &m->container->endpoints) {
		const struct bh_network *n = bh_inventory_network(p->inventory, e->network_id);
		_cleanup_buf_ struct bh_buf why = {0};
		const struct bh_link *bridge = network_bridge(p, e, n, &why);
		struct bh_attachment *a;

		if (!bridge) {
			if (why.err)
				return why.err;
			bh_buf_puts(&text, outside++ == 0 ? why.s : "");
			continue;
		}
		a = bh_vec_add(&m->attachments);
		if (!a)
			return -ENOMEM;
		a->endpoint = e;
		a->network = n;
		memcpy(a->bridge, bridge->name, sizeof(a->bridge));
	}
	if (outside == 0)
		return powers(m);
	if (outside > 1)
		bh_buf_printf(&text, ", and %zu more", outside - 1);
	return unenforced(m, m->attachments.n > 0 ? BH_ENFORCED_PARTIAL : BH_ENFORCED_NONE, &text);
}

int place_attach(const struct placer *p)
{
	bh_vec_foreach(m, &p->out->members) {
		_cleanup_buf_ struct bh_buf text = {0};
		const struct bh_container *c = m->container;
		int r;

		if (c->flaw || m->shares_netns)
			continue;
		if (c->netmode == BH_NETMODE_HOST) {
			bh_buf_puts(&text, "uses the host's network");
			r = unenforced(m, BH_ENFORCED_NONE, &text);
		} else if (c->netmode == BH_NETMODE_NONE || c->endpoints.n == 0) {
			bh_buf_puts(&text, "has no network");
			r = unenforced(m, BH_ENFORCED_NONE, &text);
		} else {
			r = attach_endpoints(p, m);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

/* An address or a MAC that a member holds on a bridge. */
struct held {
	const char *bridge;
	struct bh_addr addr;
	struct bh_mac mac;		/* when addr.family is 0 */
	size_t member;
};

static int held_cmp_what(const struct held *a, const struct held *b)
{
	int c = strcmp(a->bridge, b->bridge);

	if (c == 0)
		c = bh_addr_cmp(&a->addr, &b->addr);
	return c ? c : memcmp(&a->mac, &b->mac, sizeof(a->mac));
}

static int held_cmp(const void *va, const void *vb)
{
	const struct held *a = va, *b = vb;
	int c = held_cmp_what(a, b);

	return c ? c : (a->member > b->member) - (a->member < b->member);
}

static int duplicate(const struct placer *p, const struct held *mine, const struct held *other)
{
	_cleanup_buf_ struct bh_buf text = {0};
	const struct bh_container *c = p->out->members.v[other->member].container;
	char addr[BH_ADDR_TEXT], mac[BH_MAC_TEXT];

	bh_buf_printf(&text, "%s on %s is held by ",
		mine->addr.family ? bh_addr_text(&mine->addr, addr) : bh_mac_text(&mine->mac, mac), mine->bridge);
	bh_buf_put_safe(&text, c->name ? c->name : c->id ? c->id : "", SHOWN);
	bh_buf_puts(&text, " too");
	return decision_quarantine(&p->decisions[mine->member], &text);
}

int place_duplicates(const struct placer *p)
{
	BH_VEC(struct held) all = {0};
	int r = 0;

	for (size_t i = 0; i < p->out->members.n; i++)
		bh_vec_foreach(a, &p->out->members.v[i].attachments) {
			struct held h = {.bridge = a->bridge, .mac = a->endpoint->mac, .member = i};

			if (a->endpoint->has_mac && bh_vec_push(&all, h) < 0)
				r = -ENOMEM;
			memset(&h.mac, 0, sizeof(h.mac));
			bh_vec_foreach(addr, &a->endpoint->addrs) {
				h.addr = *addr;
				if (!bh_addr_is_zero(addr) && bh_vec_push(&all, h) < 0)
					r = -ENOMEM;
			}
		}
	if (all.n > 1)
		qsort(all.v, all.n, sizeof(*all.v), held_cmp);
	/* Equal ones stand side by side, a member's own together: the first other one is before or behind them. */
	for (size_t i = 0; i + 1 < all.n && r == 0; i++) {
		struct held *a = &all.v[i], *b = &all.v[i + 1];

		if (held_cmp_what(a, b) != 0 || a->member == b->member)
			continue;
		r = duplicate(p, a, b);
		if (r == 0)
			r = duplicate(p, b, a);
	}
	bh_vec_clear(&all);
	return r;
}

int place_held(const struct placer *p)
{
	for (size_t i = 0; i < p->out->members.n && p->memory->held.n > 0; i++) {
		const struct bh_container *c = p->out->members.v[i].container;
		_cleanup_buf_ struct bh_buf text = {0};

		if (!bh_strv_has(&p->memory->held, c->id))
			continue;
		bh_buf_puts(&text, "put there by hand: bulkhead release ");
		bh_buf_put_safe(&text, c->name ? c->name : c->id, SHOWN);
		if (decision_quarantine(&p->decisions[i], &text) < 0)
			return -ENOMEM;
		p->decisions[i].held = true;
	}
	return 0;
}

const struct bh_container *place_netns_owner(const struct bh_inventory *i, const struct bh_container *c)
{
	for (int depth = 0; c && c->netmode == BH_NETMODE_CONTAINER; depth++) {
		if (depth == SHARE_DEPTH)
			return NULL;
		c = bh_inventory_container(i, c->netns_owner);
	}
	return c;
}

/* The member whose namespace it is, SIZE_MAX when that container does not run. */
static size_t netns_owner(const struct placer *p, const struct bh_container *c)
{
	c = place_netns_owner(p->inventory, c);
	for (size_t i = 0; c && i < p->out->members.n; i++)
		if (p->out->members.v[i].container == c)
			return i;
	return SIZE_MAX;
}

static int share(const struct placer *p, struct bh_member *m, struct decision *own, size_t owner)
{
	const struct bh_member *o = &p->out->members.v[owner];
	const struct decision *d = &p->decisions[owner];
	_cleanup_buf_ struct bh_buf text = {0};
	char *reason = NULL;

	bh_buf_puts(&text, "shares the network of ");
	bh_buf_put_safe(&text, o->container->name ? o->container->name : "", SHOWN);
	bh_buf_printf(&text, ": %s", d->reason);
	if (own->zone >= 0 && (own->zone != d->zone || !bh_streq(own->value, d->value))) {
		bh_buf_puts(&text, "; by itself it would be in ");
		zone_name_print(p->policy, own, &text);
		loc_print(&own->loc, &text);
	}
	if (bh_buf_steal(&text, &reason) < 0)
		return -ENOMEM;
	free(own->reason);
	*own = *d;
	own->reason = reason;
	m->enforced = o->enforced;
	return bh_strdup(&m->unenforced_reason, o->unenforced_reason);
}

int place_shared(const struct placer *p)
{
	for (size_t i = 0; i < p->out->members.n; i++) {
		struct bh_member *m = &p->out->members.v[i];
		_cleanup_buf_ struct bh_buf text = {0};
		size_t owner;
		int r;

		if (!m->shares_netns || m->container->flaw)
			continue;
		owner = netns_owner(p, m->container);
		if (owner != SIZE_MAX) {
			r = share(p, m, &p->decisions[i], owner);
		} else {
			bh_buf_puts(&text, "shares the network of a container that does not run");
			r = decision_quarantine(&p->decisions[i], &text);
		}
		if (r < 0)
			return r;
	}
	return 0;
}
