/* SPDX-License-Identifier: Apache-2.0 */
/* Walks the first packet of a connection from outside through what this host would do with it. */
#include "scan.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

/* Two addresses that stand for everybody else. */
#define ANYBODY4 "1.1.1.1"
#define ANYBODY6 "2606:4700:4700::1111"

static bool in_prefix(const char *prefix, const struct bh_addr *a)
{
	struct bh_prefix p;

	return bh_prefix_parse(prefix, &p) == 0 && bh_prefix_contains(&p, a);
}

/* Whether the internet may have a route to it. */
static bool is_public(const struct bh_addr *a)
{
	static const char *const inner[] = {"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
		"192.168.0.0/16", "::/8", "fc00::/7", "fe80::/10"};

	for (size_t i = 0; i < BH_ARRAY_SIZE(inner); i++)
		if (in_prefix(inner[i], a))
			return false;
	return true;
}

static bool is_link_local(const struct bh_addr *a)
{
	return a->family == 6 && in_prefix("fe80::/10", a);
}

static const struct bh_scan_link *settings(const struct bh_scan_input *in, int ifindex)
{
	bh_vec_foreach(l, &in->links)
		if (l->ifindex == ifindex)
			return l;
	return NULL;
}

/* An interface by which others come in. */
static const struct bh_link *uplink(const struct bh_scan_input *in, int ifindex)
{
	const struct bh_link *l = bh_host_link(in->host, ifindex);

	if (!l || !l->up || l->master || l->kind == BH_LINK_LOOPBACK || l->kind == BH_LINK_IFB ||
		bh_inventory_lists_bridge(in->inventory, l->name))
		return NULL;
	return l;
}

/* A neighbour: the address next to ours in the prefix, or the other end. */
static struct bh_addr neighbour(const struct bh_local_addr *a)
{
	struct bh_addr n;

	if (a->peer.addr.family)
		return a->peer.addr;
	if (bh_addr_next(&a->prefix.addr, &n) && bh_prefix_contains(&a->prefix, &n))
		return n;
	return bh_addr_prev(&a->prefix.addr, &n) ? n : a->prefix.addr;
}

static enum bh_reach least(enum bh_reach a, enum bh_reach b)
{
	return a < b ? a : b;
}

static enum bh_reach most(enum bh_reach a, enum bh_reach b)
{
	return a > b ? a : b;
}

static enum bh_reach filtered(const struct bh_scan_input *in, const struct bh_foreign_packet *p, enum bh_foreign_hook hook, struct bh_door *d)
{
	const char *doubt;
	unsigned o = bh_foreign_ask(in->foreign, p, hook, false, &doubt);

	if (doubt)
		d->doubt = doubt;
	return o == BH_OUTCOME_ACCEPT ? BH_REACH_OPEN : o == BH_OUTCOME_DROP ? BH_REACH_SHUT : BH_REACH_MAYBE;
}

static bool listens(const struct bh_scan_input *in, uint8_t proto, uint16_t port)
{
	bh_vec_foreach(l, &in->listeners)
		if (l->proto == proto && l->port == port)
			return true;
	return false;
}

/* Where a packet to one of the host's addresses is carried on to. */
struct behind {
	const struct bh_addr *addr;	/* family 0: nowhere */
	uint16_t port;
	const char *bridge;
	bool forwards;
};

static enum bh_reach forwarded(const struct bh_scan_input *in, struct bh_foreign_packet p, const struct behind *b, bool dnat, struct bh_door *d)
{
	if (!b->forwards || b->addr->family == 0 || is_link_local(&p.saddr))
		return BH_REACH_SHUT;
	p.daddr = *b->addr;
	p.dport = b->port;
	p.oif = b->bridge;
	p.local = false;
	p.dnat = dnat;
	return filtered(in, &p, BH_FOREIGN_FORWARD, d);
}

/* To one of the host's own addresses. */
static enum bh_reach to_host(const struct bh_scan_input *in, const struct bh_foreign_packet *p, const struct behind *b, struct bh_door *d)
{
	enum bh_reach r = filtered(in, p, BH_FOREIGN_PREROUTING, d);
	const char *doubt;
	unsigned nat = bh_foreign_ask(in->foreign, p, BH_FOREIGN_PREROUTING, true, &doubt);

	if (doubt)
		d->doubt = doubt;
	if (nat == BH_OUTCOME_DNAT || (nat & BH_OUTCOME_DNAT)) {
		struct bh_door host = {0};

		d->past = d->past || filtered(in, p, BH_FOREIGN_INPUT, &host) == BH_REACH_SHUT;
		r = least(r, forwarded(in, *p, b, true, d));
		return nat == BH_OUTCOME_DNAT ? r : least(r, BH_REACH_MAYBE);
	}
	if (p->daddr.family != 6 || !listens(in, p->proto, p->dport))
		return BH_REACH_SHUT;
	r = least(r, filtered(in, p, BH_FOREIGN_INPUT, d));
	d->proxied = d->proxied || r != BH_REACH_SHUT;
	return r;
}

/* By every uplink that has an address of the family, which is what is called unless TARGET is given. */
static struct bh_door ask(const struct bh_scan_input *in, const struct bh_addr *target, bool to_container, bool loopback, uint8_t family,
	uint8_t proto, uint16_t port, struct behind b)
{
	struct bh_door d = {0};

	bh_vec_foreach(a, &in->host->addrs) {
		const struct bh_link *l = a->prefix.addr.family == family ? uplink(in, a->ifindex) : NULL;
		const struct bh_scan_link *s = l ? settings(in, l->ifindex) : NULL;
		struct bh_foreign_packet p = {.iif = l ? l->name : "", .oif = "", .proto = proto, .dport = port, .local = !to_container};

		if (!s)
			continue;
		b.forwards = family == 4 ? s->forwards4 : s->forwards6;
		p.saddr = neighbour(a);
		p.daddr = target ? *target : a->prefix.addr;
		for (int anybody = 0; anybody < 2; anybody++) {
			enum bh_reach r;

			if (anybody && (loopback || !is_public(&p.daddr) || bh_addr_parse(family == 4 ? ANYBODY4 : ANYBODY6, &p.saddr) < 0))
				break;
			if (to_container)
				r = least(filtered(in, &p, BH_FOREIGN_PREROUTING, &d), forwarded(in, p, &b, false, &d));
			else
				r = to_host(in, &p, &b, &d);
			if (anybody)
				d.internet = most(d.internet, r);
			else
				d.lan = most(d.lan, r);
		}
	}
	return d;
}

struct bh_door bh_door_published(const struct bh_scan_input *in, const struct bh_published *p, const struct bh_addr *behind, const char *bridge)
{
	const struct behind b = {.addr = behind, .port = p->container_port, .bridge = bridge};

	return ask(in, bh_addr_is_zero(&p->host) ? NULL : &p->host, false, false, p->host.family, p->proto, p->host_port, b);
}

struct bh_door bh_door_direct(const struct bh_scan_input *in, const struct bh_addr *a, const char *bridge, uint8_t proto, uint16_t port)
{
	const struct behind b = {.addr = a, .port = port, .bridge = bridge};

	return ask(in, a, true, false, a->family, proto, port, b);
}

struct bh_door bh_door_loopback(const struct bh_scan_input *in, const struct bh_published *p, const struct bh_addr *behind, const char *bridge)
{
	const struct behind b = {.addr = behind, .port = p->container_port, .bridge = bridge};

	if (p->host.family != 4)
		return (struct bh_door){0};
	return ask(in, &p->host, false, true, 4, p->proto, p->host_port, b);
}

int bh_scan_listeners(struct bh_scan_input *in, uint8_t proto, const char *text)
{
	/* "  0: 0000…:1F90 0000…:0000 0A …", the kernel's net/ipv6/tcp_ipv6.c and udp.c; the first line is a title */
	for (const char *line = strchr(text, '\n'); line; line = strchr(line + 1, '\n')) {
		unsigned port, state;
		struct bh_scan_listener l = {.proto = proto};

		if (sscanf(line + 1, "%*u: %*[0-9A-F]:%x %*[0-9A-F]:%*x %x", &port, &state) != 2 || port > UINT16_MAX ||
			state != (proto == IPPROTO_TCP ? 10u : 7u))
			continue;
		l.port = (uint16_t)port;
		if (bh_vec_push(&in->listeners, l) < 0)
			return -ENOMEM;
	}
	return 0;
}
