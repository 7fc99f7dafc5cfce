/* SPDX-License-Identifier: Apache-2.0 */
/* The findings: each container's doors and powers, with what closes them. */
#include "scan.h"

#include <bulkhead/buf.h>
#include <bulkhead/policy.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ZONE_NAME 31

/* A port that stands for all that are not published: one that nobody is likely to have a rule for. */
#define SOME_PORT 49151

struct scanning {
	const struct bh_scan_input *in;
	struct bh_scan *out;
	int err;
};

const char *bh_scan_kind_name(enum bh_scan_kind k)
{
	static const char *const names[BH_SCAN_MAX] = {"published", "proxy6", "loopback", "direct", "socket", "privileged", "host-network"};

	return names[k];
}

const char *bh_scan_severity_name(enum bh_scan_severity s)
{
	return s == BH_SEVERITY_HIGH ? "high" : s == BH_SEVERITY_MEDIUM ? "medium" : "low";
}

static void finding_clear(struct bh_finding *f)
{
	free(f->container);
	free(f->door);
	free(f->meaning);
	free(f->zone);
	free(f->allow);
	free(f->docker);
}

void bh_scan_free(struct bh_scan *s)
{
	if (!s)
		return;
	bh_vec_foreach(f, &s->findings)
		finding_clear(f);
	bh_vec_clear(&s->findings);
	free(s);
}

__attribute__((format(printf, 3, 4))) static void set(struct scanning *s, char **to, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (bh_strdup(to, text) < 0)
		s->err = -ENOMEM;
}

static struct bh_finding *add(struct scanning *s, enum bh_scan_kind kind, enum bh_scan_severity severity, const struct bh_container *c)
{
	struct bh_finding *f = bh_vec_add(&s->out->findings);

	if (!f) {
		s->err = -ENOMEM;
		return NULL;
	}
	f->kind = kind;
	f->severity = severity;
	f->sure = true;
	set(s, &f->container, "%s", c->name);
	return f;
}

static const char *proto_name(uint8_t proto)
{
	return proto == IPPROTO_TCP ? "tcp" : proto == IPPROTO_UDP ? "udp" : "sctp";
}

/* A zone's name for a container's: what is not a letter, a digit or '-' becomes '-'. */
static void zone_name(const char *container, char name[ZONE_NAME + 1])
{
	enum bh_builtin b;
	size_t n = 0;

	for (; *container && n < ZONE_NAME - 2; container++) {
		char c = *container >= 'A' && *container <= 'Z' ? (char)(*container + 'a' - 'A') : *container;
		bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');

		if (plain || n > 0)
			name[n++] = plain ? c : '-';
	}
	name[n] = '\0';
	for (b = BH_BUILTIN_NONE + 1; b < BH_BUILTIN_MAX; b++)
		if (bh_streq(name, bh_builtin_name(b)))
			memcpy(name + n, "-1", 3);
	if (n == 0)
		memcpy(name, "zone", 5);
}

/* The container's name as a pattern in double quotes. */
static void put_pattern(struct bh_buf *out, const char *name)
{
	bh_buf_puts(out, "\"");
	for (; *name; name++)
		if ((unsigned char)*name < 0x20 || *name == 0x7f || *name == '*')
			bh_buf_puts(out, "?");
		else
			bh_buf_printf(out, *name == '"' || *name == '\\' ? "\\%c" : "%c", *name);
	bh_buf_puts(out, "\"");
}

/* What to write: the container's zone, and a rule from FROM (NULL: none, so that nobody gets in) to its PORT. */
static void closes(struct scanning *s, struct bh_finding *f, const struct bh_container *c, const char *from, uint8_t proto, uint16_t port)
{
	_cleanup_buf_ struct bh_buf zone = {0};
	char name[ZONE_NAME + 1];

	zone_name(c->name, name);
	bh_buf_printf(&zone, "%s: {select: {name: ", name);
	put_pattern(&zone, c->name);
	bh_buf_puts(&zone, "}}");
	if (zone.err || bh_strdup(&f->zone, zone.s) < 0)
		s->err = -ENOMEM;
	if (from)
		set(s, &f->allow, "{from: %s, to: %s, ports: [%s/%u]}", from, name, proto_name(proto), port);
}

/* "0.0.0.0:80", "[::]:80" */
static const char *socket_text(const struct bh_addr *a, uint16_t port, char buf[BH_ADDR_TEXT + 16])
{
	char text[BH_ADDR_TEXT];

	snprintf(buf, BH_ADDR_TEXT + 16, a->family == 6 ? "[%s]:%u" : "%s:%u", bh_addr_text(a, text), port);
	return buf;
}

/* Who comes in, into the finding; a doubt is told. */
static void reached(struct scanning *s, struct bh_finding *f, const struct bh_door *d)
{
	_cleanup_free_ char *meaning = NULL;

	f->lan = d->lan != BH_REACH_SHUT;
	f->internet = d->internet != BH_REACH_SHUT;
	f->sure = d->lan == BH_REACH_OPEN || d->internet == BH_REACH_OPEN;
	if (f->sure)
		return;
	f->severity = BH_SEVERITY_LOW;
	meaning = f->meaning;
	f->meaning = NULL;
	set(s, &f->meaning, "%s Not all rules of %s on the way were understood: it may be closed.", meaning ? meaning : "", d->doubt ? d->doubt : "others");
}

/* The container's address of that family on a bridge of this namespace, its published ports' target; false when it has none. */
static bool address(const struct scanning *s, const struct bh_container *c, uint8_t family, struct bh_addr *ret, const char **ret_bridge)
{
	*ret_bridge = NULL;
	bh_vec_foreach(e, &c->endpoints) {
		const struct bh_network *n = bh_inventory_network(s->in->inventory, e->network_id);

		if (!n || !n->bridge)
			continue;
		*ret_bridge = *ret_bridge ? *ret_bridge : n->bridge;
		bh_vec_foreach(a, &e->addrs)
			if (a->family == family) {
				*ret = *a;
				*ret_bridge = n->bridge;
				return true;
			}
	}
	return false;
}

static bool is_open(const struct bh_door *d)
{
	return d->lan != BH_REACH_SHUT || d->internet != BH_REACH_SHUT;
}

static void published(struct scanning *s, const struct bh_container *c, const struct bh_published *p)
{
	char at[BH_ADDR_TEXT + 16];
	struct bh_addr behind = {0};
	const char *bridge, *wall = s->out->firewall;
	bool there = address(s, c, p->host.family, &behind, &bridge);
	struct bh_door d;
	struct bh_finding *f;

	if (!bridge)
		return;
	d = bh_door_published(s->in, p, &behind, bridge);
	if (!is_open(&d))
		return;
	if (s->in->guarded) {
		s->out->guarded++;
		return;
	}
	f = add(s, d.proxied && !there ? BH_SCAN_PROXY6 : BH_SCAN_PUBLISHED,
		d.internet == BH_REACH_SHUT ? (d.past ? BH_SEVERITY_MEDIUM : BH_SEVERITY_LOW) : d.past ? BH_SEVERITY_HIGH : BH_SEVERITY_MEDIUM, c);
	if (!f)
		return;
	socket_text(&p->host, p->host_port, at);
	set(s, &f->door, "%s %s -> %u", proto_name(p->proto), at, p->container_port);
	if (d.proxied)
		set(s, &f->meaning, "docker-proxy takes it at %s%s, and to the container everybody looks like its gateway.", at,
			there ? "" : " though the container has no IPv6 address");
	else if (d.past)
		set(s, &f->meaning, "Docker's DNAT takes it to the container past the INPUT rules of %s, which would deny it.", wall ? wall : "this host");
	else
		set(s, &f->meaning, "Docker's DNAT takes it to the container: the host's INPUT rules are not asked.");
	if (d.proxied)
		set(s, &f->docker, "-p 0.0.0.0:%u:%u/%s, which listens on IPv4 alone", p->host_port, p->container_port, proto_name(p->proto));
	else
		set(s, &f->docker, "-p %s:%u:%u/%s, for this machine alone", p->host.family == 6 ? "[::1]" : "127.0.0.1", p->host_port, p->container_port,
			proto_name(p->proto));
	closes(s, f, c, d.internet != BH_REACH_SHUT ? "lan" : NULL, p->proto, p->container_port);
	reached(s, f, &d);
}

/* Two ways in: to the container's own address, and to 127.0.0.1 itself. */
static void on_loopback(struct scanning *s, const struct bh_container *c, const struct bh_published *p)
{
	char at[BH_ADDR_TEXT + 16], text[BH_ADDR_TEXT];
	struct bh_addr behind = {0};
	const char *bridge;
	struct bh_door d, there;
	struct bh_finding *f;

	if (!address(s, c, p->host.family, &behind, &bridge))
		return;
	d = bh_door_direct(s->in, &behind, bridge, p->proto, p->container_port);
	there = bh_door_loopback(s->in, p, &behind, bridge);
	if (!is_open(&d) && !is_open(&there))
		return;
	if (s->in->guarded) {
		s->out->guarded++;
		return;
	}
	f = add(s, BH_SCAN_LOOPBACK, BH_SEVERITY_MEDIUM, c);
	if (!f)
		return;
	socket_text(&p->host, p->host_port, at);
	bh_addr_text(&behind, text);
	set(s, &f->door, "%s %s -> %u", proto_name(p->proto), at, p->container_port);
	if (there.lan > d.lan)
		set(s, &f->meaning, "Published for this machine alone, but a neighbour that sends to %s by way of this host gets in: DNAT comes first.", at);
	else
		set(s, &f->meaning, "Published for this machine alone, but who routes to %s by way of this host reaches port %u there.", text,
			p->container_port);
	set(s, &f->docker, "Docker 28 or newer, which drops it");
	closes(s, f, c, "host", p->proto, p->container_port);
	reached(s, f, there.lan > d.lan ? &there : &d);
}

static bool is_published(const struct bh_container *c, uint16_t port)
{
	bh_vec_foreach(p, &c->published)
		if (p->proto == IPPROTO_TCP && p->container_port == port)
			return true;
	return false;
}

static void direct(struct scanning *s, const struct bh_container *c, const struct bh_addr *a, const char *bridge)
{
	uint16_t port = SOME_PORT;
	char text[BH_ADDR_TEXT];
	struct bh_finding *f;
	struct bh_door d;

	while (is_published(c, port))
		port--;
	d = bh_door_direct(s->in, a, bridge, IPPROTO_TCP, port);
	if (!is_open(&d))
		return;
	if (s->in->guarded) {
		s->out->guarded++;
		return;
	}
	f = add(s, BH_SCAN_DIRECT, d.internet == BH_REACH_SHUT ? BH_SEVERITY_MEDIUM : BH_SEVERITY_HIGH, c);
	if (!f)
		return;
	set(s, &f->door, "%s", bh_addr_text(a, text));
	set(s, &f->meaning, "Who routes to %s by way of this host reaches every port there, published or not.", text);
	set(s, &f->docker, "Docker 28 or newer, which drops it; or a network made with --internal");
	closes(s, f, c, NULL, 0, 0);
	reached(s, f, &d);
}

static void doors(struct scanning *s, const struct bh_container *c)
{
	bh_vec_foreach(p, &c->published)
		if (bh_addr_is_loopback(&p->host))
			on_loopback(s, c, p);
		else
			published(s, c, p);
	bh_vec_foreach(e, &c->endpoints) {
		const struct bh_network *n = bh_inventory_network(s->in->inventory, e->network_id);

		if (n && n->bridge)
			bh_vec_foreach(a, &e->addrs)
				direct(s, c, a, n->bridge);
	}
}

static void powers(struct scanning *s, const struct bh_container *c)
{
	const struct bh_mount *socket = bh_posture_socket(&c->posture);
	struct bh_finding *f;

	if (socket) {
		f = add(s, BH_SCAN_SOCKET, BH_SEVERITY_HIGH, c);
		if (f) {
			set(s, &f->door, "%s", socket->source);
			set(s, &f->meaning, "It has Docker's socket: who controls this container starts any other, and so is root on this host.");
			set(s, &f->docker, "without -v %s:..., or a socket proxy that lets single calls through", socket->source);
			closes(s, f, c, NULL, 0, 0);
		}
	}
	if (c->posture.privileged) {
		f = add(s, BH_SCAN_PRIVILEGED, BH_SEVERITY_HIGH, c);
		if (f) {
			set(s, &f->meaning, "It is privileged: who controls this container loads modules and writes to disks, and so is root on this host.");
			set(s, &f->docker, "without --privileged; --cap-add and --device for what it needs");
			closes(s, f, c, NULL, 0, 0);
		}
	}
	if (c->netmode == BH_NETMODE_HOST) {
		f = add(s, BH_SCAN_HOST_NETWORK, BH_SEVERITY_MEDIUM, c);
		if (f) {
			set(s, &f->meaning, "It has the host's network: its ports are the host's, it reaches every container, and bulkhead cannot tell it from the host.");
			set(s, &f->docker, "a network of its own, and -p for its ports");
		}
	}
}

static int by_severity(const void *a_, const void *b_)
{
	const struct bh_finding *a = a_, *b = b_;
	int r = (int)b->severity - (int)a->severity;

	if (r == 0)
		r = strcmp(a->container, b->container);
	if (r == 0)
		r = (int)a->kind - (int)b->kind;
	return r ? r : strcmp(a->door ? a->door : "", b->door ? b->door : "");
}

int bh_scan(const struct bh_scan_input *in, struct bh_scan **ret)
{
	_cleanup_(bh_scan_freep) struct bh_scan *out = calloc(1, sizeof(*out));
	struct scanning s = {.in = in, .out = out};

	if (!out)
		return -ENOMEM;
	out->firewall = bh_foreign_firewall(in->foreign);
	bh_vec_foreach(c, &in->inventory->containers) {
		if (c->kind != BH_KIND_CONTAINER || (c->state != BH_CONTAINER_RUNNING && c->state != BH_CONTAINER_PAUSED))
			continue;
		out->containers++;
		doors(&s, c);
		powers(&s, c);
	}
	if (s.err)
		return s.err;
	if (out->findings.n > 0)
		qsort(out->findings.v, out->findings.n, sizeof(*out->findings.v), by_severity);
	*ret = bh_take(out);
	return 0;
}
