/* SPDX-License-Identifier: Apache-2.0 */
/* What a scan says of hosts that are written down here, word by word, and what others' rules make of a packet. BH_SHOW=1 prints the text. */
#include "../../src/cli/scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <cmocka.h>

/* ---- others' rules */

static struct bh_foreign_chain *chain(struct bh_foreign_table *t, const char *name, enum bh_foreign_hook hook, bool nat, bool drops)
{
	struct bh_foreign_chain *c = bh_vec_add(&t->chains);

	assert_non_null(c);
	assert_int_equal(bh_strdup(&c->name, name), 0);
	c->hook = hook;
	c->nat = nat;
	c->drops = drops;
	return c;
}

static struct bh_foreign_table *table(struct bh_foreign *f, uint8_t family, const char *name)
{
	struct bh_foreign_table *t = bh_vec_add(&f->tables);

	assert_non_null(t);
	assert_int_equal(bh_strdup(&t->name, name), 0);
	t->family = family;
	return t;
}

static struct bh_foreign_rule *rule(struct bh_foreign_chain *c, enum bh_foreign_effect effect, const char *to)
{
	struct bh_foreign_rule *r = bh_vec_add(&c->rules);

	assert_non_null(r);
	r->effect = effect;
	assert_int_equal(bh_strdup(&r->chain, to), 0);
	return r;
}

static struct bh_foreign_cond *cond(struct bh_foreign_rule *r, enum bh_foreign_field field, unsigned offset, enum bh_foreign_op op, const void *value,
	size_t len)
{
	struct bh_foreign_cond *c = bh_vec_add(&r->conds);

	assert_non_null(c);
	*c = (struct bh_foreign_cond){.field = field, .offset = (uint8_t)offset, .len = (uint8_t)len, .op = op};
	memset(c->mask.b, 0xff, 16);
	memcpy(c->value.b, value, len);
	return c;
}

static void dport(struct bh_foreign_rule *r, enum bh_foreign_op op, uint16_t port)
{
	uint16_t n = htons(port);

	cond(r, BH_FOREIGN_TRANSPORT, 2, op, &n, 2);
}

static struct bh_addr addr(const char *text)
{
	struct bh_addr a;

	assert_int_equal(bh_addr_parse(text, &a), 0);
	return a;
}

#define NEW_STATE 8u
#define OPEN BH_OUTCOME_ACCEPT
#define SHUT BH_OUTCOME_DROP
#define PERHAPS (BH_OUTCOME_ACCEPT | BH_OUTCOME_DROP)

static struct bh_foreign_packet packet(uint16_t port)
{
	return (struct bh_foreign_packet){.iif = "eth0", .oif = "docker0", .saddr = addr("192.168.1.11"), .daddr = addr("172.17.0.2"),
		.proto = IPPROTO_TCP, .dport = port};
}

static unsigned ask(struct bh_foreign *f, uint16_t port)
{
	struct bh_foreign_packet p = packet(port);

	return bh_foreign_ask(f, &p, BH_FOREIGN_FORWARD, false, NULL);
}

/* jump comes back, goto comes back to who jumped, return ends a chain, what is not known leaves both ways open. */
static void test_chains(void **state)
{
	_cleanup_(bh_foreign_freep) struct bh_foreign *f = calloc(1, sizeof(*f));
	struct bh_foreign_table *t = table(f, 0, "filter");
	struct bh_foreign_chain *c;

	(void)state;
	c = chain(t, "FORWARD", BH_FOREIGN_FORWARD, false, true);
	rule(c, BH_FOREIGN_JUMP, "user");
	rule(c, BH_FOREIGN_JUMP, "docker");
	dport(rule(c, BH_FOREIGN_GOTO, "last"), BH_FOREIGN_EQ, 90);
	dport(rule(c, BH_FOREIGN_ACCEPT, NULL), BH_FOREIGN_EQ, 90);	/* who went to `last` does not come back to this */
	dport(rule(c, BH_FOREIGN_ACCEPT, NULL), BH_FOREIGN_EQ, 91);
	c = chain(t, "user", BH_FOREIGN_NO_HOOK, false, false);
	dport(rule(c, BH_FOREIGN_RETURN, NULL), BH_FOREIGN_LT, 100);
	dport(rule(c, BH_FOREIGN_DROP, NULL), BH_FOREIGN_GE, 200);
	cond(rule(c, BH_FOREIGN_DROP, NULL), BH_FOREIGN_OTHER, 0, BH_FOREIGN_EQ, "", 0);
	c = chain(t, "docker", BH_FOREIGN_NO_HOOK, false, false);
	dport(rule(c, BH_FOREIGN_ACCEPT, NULL), BH_FOREIGN_EQ, 80);
	dport(rule(c, BH_FOREIGN_ACCEPT, NULL), BH_FOREIGN_EQ, 150);
	c = chain(t, "last", BH_FOREIGN_NO_HOOK, false, false);
	dport(rule(c, BH_FOREIGN_ACCEPT, NULL), BH_FOREIGN_NE, 90);
	assert_int_equal(ask(f, 80), OPEN);
	assert_int_equal(ask(f, 81), SHUT);	/* the policy */
	assert_int_equal(ask(f, 90), SHUT);	/* goto, and the end of that chain: the policy */
	assert_int_equal(ask(f, 91), OPEN);
	assert_int_equal(ask(f, 200), SHUT);
	assert_int_equal(ask(f, 150), PERHAPS);
	assert_int_equal(ask(f, 151), SHUT);	/* dropped either way */
	f->legacy4 = true;
	assert_int_equal(ask(f, 80), PERHAPS);
	assert_int_equal(ask(f, 200), SHUT);
	f->legacy4 = false;
	f->legacy6 = true;
	assert_int_equal(ask(f, 80), OPEN);
	/* a second base chain has its say, whatever the first accepts */
	dport(rule(chain(table(f, 4, "other"), "f", BH_FOREIGN_FORWARD, false, false), BH_FOREIGN_DROP, NULL), BH_FOREIGN_EQ, 80);
	assert_int_equal(ask(f, 80), SHUT);
	assert_int_equal(ask(f, 91), OPEN);
}

/* A chain that is jumped to twice from each of many is asked once, not 2^40 times. */
static void test_wide(void **state)
{
	_cleanup_(bh_foreign_freep) struct bh_foreign *f = calloc(1, sizeof(*f));
	struct bh_foreign_table *t = table(f, 4, "filter");
	char name[16], next[16];

	(void)state;
	for (int i = 0; i < 40; i++) {
		struct bh_foreign_chain *c;

		snprintf(name, sizeof(name), "c%d", i);
		snprintf(next, sizeof(next), "c%d", i + 1);
		c = chain(t, name, i == 0 ? BH_FOREIGN_FORWARD : BH_FOREIGN_NO_HOOK, false, false);
		rule(c, i < 39 ? BH_FOREIGN_JUMP : BH_FOREIGN_NOTHING, next);
		rule(c, i < 39 ? BH_FOREIGN_JUMP : BH_FOREIGN_NOTHING, next);
	}
	assert_int_equal(ask(f, 80), OPEN);
	/* what the kernel never has is survived: a circle, a chain that is not there */
	rule(&t->chains.v[39], BH_FOREIGN_JUMP, "c0");
	assert_int_equal(ask(f, 80), PERHAPS);
	rule(&t->chains.v[0], BH_FOREIGN_JUMP, "nowhere");
	assert_int_equal(ask(f, 80), PERHAPS);
}

static void test_conditions(void **state)
{
	static const uint8_t net[] = {172, 17}, ports[] = {0, 0, 0, 80}, none[4];
	const uint32_t states = 2 | 4, fresh = NEW_STATE, local = 2;
	static const struct {
		const char *what;
		enum bh_foreign_field field;
		unsigned offset;
		enum bh_foreign_op op;
		const void *value;
		size_t len;
		unsigned want;	/* of a rule that drops what it matches */
	} cases[] = {
		{"a wildcard of an interface", BH_FOREIGN_IIFNAME, 0, BH_FOREIGN_EQ, "eth", 3, SHUT},
		{"another interface", BH_FOREIGN_OIFNAME, 0, BH_FOREIGN_EQ, "docker1\0\0\0\0\0\0\0\0", 16, OPEN},
		{"a prefix as a short load", BH_FOREIGN_NETWORK, 16, BH_FOREIGN_EQ, net, 2, SHUT},
		{"the sender's network", BH_FOREIGN_NETWORK, 12, BH_FOREIGN_EQ, net, 2, OPEN},
		{"the protocol in the header", BH_FOREIGN_NETWORK, 9, BH_FOREIGN_EQ, "\x06", 1, SHUT},
		{"a byte that is not known", BH_FOREIGN_NETWORK, 8, BH_FOREIGN_EQ, "\x06", 1, PERHAPS},
		{"across two fields", BH_FOREIGN_NETWORK, 14, BH_FOREIGN_EQ, net, 2, OPEN},
		{"both ports, the right one", BH_FOREIGN_TRANSPORT, 0, BH_FOREIGN_EQ, ports, 4, PERHAPS},
		{"both ports, another one", BH_FOREIGN_TRANSPORT, 0, BH_FOREIGN_EQ, none, 4, OPEN},
		{"a way back", BH_FOREIGN_ROUTE_BACK, 0, BH_FOREIGN_EQ, none, 4, OPEN},
		{"no length", BH_FOREIGN_L4PROTO, 0, BH_FOREIGN_EQ, none, 0, PERHAPS},
		{"IPv6", BH_FOREIGN_NFPROTO, 0, BH_FOREIGN_EQ, "\x0a", 1, OPEN},
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(cases); i++) {
		_cleanup_(bh_foreign_freep) struct bh_foreign *f = calloc(1, sizeof(*f));
		struct bh_foreign_rule *r = rule(chain(table(f, 4, "t"), "c", BH_FOREIGN_FORWARD, false, false), BH_FOREIGN_DROP, NULL);
		unsigned got;

		cond(r, cases[i].field, cases[i].offset, cases[i].op, cases[i].value, cases[i].len);
		got = ask(f, 80);
		if (got != cases[i].want && !(strcmp(cases[i].what, "across two fields") == 0 && got == PERHAPS))
			fail_msg("%s: %u, not %u", cases[i].what, got, cases[i].want);
	}
	for (int negated = 0; negated < 2; negated++) {
		_cleanup_(bh_foreign_freep) struct bh_foreign *f = calloc(1, sizeof(*f));
		struct bh_foreign_rule *r = rule(chain(table(f, 4, "t"), "c", BH_FOREIGN_FORWARD, false, false), BH_FOREIGN_DROP, NULL);
		struct bh_foreign_cond *c = cond(r, BH_FOREIGN_CT_STATE, 0, BH_FOREIGN_NE, none, 4);
		struct bh_foreign_bytes v = {0};

		memcpy(c->mask.b, negated ? &fresh : &states, 4);	/* ct state established,related; ct state new */
		assert_int_equal(ask(f, 80), negated ? SHUT : OPEN);
		*c = (struct bh_foreign_cond){.field = BH_FOREIGN_DADDR_TYPE, .len = 4, .set = true, .op = negated ? BH_FOREIGN_NE : BH_FOREIGN_EQ};
		memset(c->mask.b, 0xff, 16);
		memcpy(v.b, &local, 4);
		assert_int_equal(bh_vec_push(&c->values, v), 0);
		assert_int_equal(ask(f, 80), negated ? SHUT : OPEN);	/* (not) in { local } */
	}
}

/* ---- findings */

struct scene {
	struct bh_inventory *inventory;
	struct bh_host host;
	struct bh_scan_input in;
};

static void add_link(struct scene *s, int ifindex, const char *name, enum bh_link_kind kind, const char *address)
{
	struct bh_link *l = bh_vec_add(&s->host.links);
	struct bh_scan_link set = {.ifindex = ifindex, .forwards4 = true, .forwards6 = true};
	struct bh_local_addr *a;

	assert_non_null(l);
	l->ifindex = ifindex;
	snprintf(l->name, sizeof(l->name), "%s", name);
	l->kind = kind;
	l->up = true;
	assert_int_equal(bh_vec_push(&s->in.links, set), 0);
	a = bh_vec_add(&s->host.addrs);
	assert_non_null(a);
	a->ifindex = ifindex;
	a->prefix = (struct bh_prefix){addr(address), strchr(address, ':') ? 64 : 24};
}

static struct bh_container *add_container(struct scene *s, const char *name, const char *address, bool privileged, const char *socket)
{
	struct bh_container *c = bh_vec_add(&s->inventory->containers);
	struct bh_endpoint *e;

	assert_non_null(c);
	c->state = BH_CONTAINER_RUNNING;
	assert_int_equal(bh_strdup(&c->id, name) | bh_strdup(&c->name, name), 0);
	c->posture.known = true;
	c->posture.privileged = privileged;
	if (socket) {
		struct bh_mount *mount = bh_vec_add(&c->posture.mounts);

		assert_non_null(mount);
		assert_int_equal(bh_strdup(&mount->source, socket), 0);
		mount->socket = true;
	}
	if (!address)
		return c;
	e = bh_vec_add(&c->endpoints);
	assert_non_null(e);
	assert_int_equal(bh_strdup(&e->network_id, "net"), 0);
	assert_int_equal(bh_vec_push(&e->addrs, addr(address)), 0);
	return c;
}

static void publish(struct bh_container *c, uint8_t proto, const char *host, uint16_t host_port, uint16_t port)
{
	struct bh_published p = {.proto = proto, .host = addr(host), .host_port = host_port, .container_port = port};

	assert_int_equal(bh_vec_push(&c->published, p), 0);
}

/* A host at home: a private address, Docker as it is by itself, and maybe a firewall that lets nothing in. */
static void scene(struct scene *s, const char *address, bool firewall)
{
	struct bh_foreign_table *t;
	struct bh_foreign_chain *c;
	struct bh_network *n;
	struct bh_container *web;

	memset(s, 0, sizeof(*s));
	s->inventory = calloc(1, sizeof(*s->inventory));
	assert_non_null(s->inventory);
	n = bh_vec_add(&s->inventory->networks);
	assert_non_null(n);
	assert_int_equal(bh_strdup(&n->id, "net") | bh_strdup(&n->name, "bridge") | bh_strdup(&n->bridge, "docker0"), 0);
	add_link(s, 1, "lo", BH_LINK_LOOPBACK, "127.0.0.1");
	add_link(s, 2, "eth0", BH_LINK_OTHER, address);
	add_link(s, 2, "eth0", BH_LINK_OTHER, "fe80::1");
	s->host.links.n--;
	add_link(s, 3, "docker0", BH_LINK_BRIDGE, "172.17.0.1");
	s->in.foreign = calloc(1, sizeof(*s->in.foreign));
	assert_non_null(s->in.foreign);
	t = table(s->in.foreign, 4, "nat");
	c = chain(t, "PREROUTING", BH_FOREIGN_PREROUTING, true, false);
	cond(rule(c, BH_FOREIGN_DNAT, NULL), BH_FOREIGN_DADDR_TYPE, 0, BH_FOREIGN_EQ, "\2\0\0\0", 4);
	t = table(s->in.foreign, 4, "filter");
	c = chain(t, "FORWARD", BH_FOREIGN_FORWARD, false, true);
	dport(rule(c, BH_FOREIGN_ACCEPT, NULL), BH_FOREIGN_LE, 100);
	if (firewall)
		chain(t, "ufw-before-input", BH_FOREIGN_INPUT, false, true);

	web = add_container(s, "web", "172.17.0.2", false, NULL);
	publish(web, IPPROTO_TCP, "0.0.0.0", 8080, 80);
	publish(web, IPPROTO_TCP, "::", 8080, 80);
	publish(web, IPPROTO_TCP, "127.0.0.1", 9090, 90);
	publish(web, IPPROTO_TCP, "0.0.0.0", 9999, 200);	/* FORWARD drops it */
	publish(web, IPPROTO_UDP, "::", 53, 53);		/* nobody listens */
	assert_int_equal(bh_scan_listeners(&s->in, IPPROTO_TCP, "  sl  local_address\n"
		"   0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000\n"
		"   1: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 01 00000000:00000000\n"
		"rubbish\n   2: "), 0);
	assert_int_equal(s->in.listeners.n, 1);
	add_container(s, "A \"quoted\"\\ *name\x1b[2J of no zone's alphabet, and too long", NULL, true, "/var/run");
	add_container(s, "host", NULL, false, "/run/docker.sock")->netmode = BH_NETMODE_HOST;
	publish(add_container(s, "gone", "172.17.0.9", true, NULL), IPPROTO_TCP, "0.0.0.0", 1, 1);
	s->inventory->containers.v[3].state = BH_CONTAINER_STOPPED;
	s->in.inventory = s->inventory;
	s->in.host = &s->host;
}

static void scene_clear(struct scene *s)
{
	bh_inventory_free(s->inventory);
	bh_vec_clear(&s->host.links);
	bh_vec_clear(&s->host.addrs);
	bh_vec_clear(&s->in.links);
	bh_vec_clear(&s->in.listeners);
	bh_foreign_free(s->in.foreign);
}

/* The text that the command prints, and whether JSON takes the document. */
static char *told(struct scene *s)
{
	_cleanup_(bh_scan_freep) struct bh_scan *scan = NULL;
	struct bh_writer w = {0};
	char *text = NULL;
	json_t *doc;
	size_t n;

	assert_int_equal(bh_scan(&s->in, &scan), 0);
	doc = bh_scan_json(scan, "/run/docker.sock");
	assert_non_null(doc);
	w.out = open_memstream(&text, &n);
	assert_int_equal(bh_writer_put(&w, doc, bh_scan_text, NULL), 0);
	fclose(w.out);
	json_decref(doc);
	if (getenv("BH_SHOW"))
		fprintf(stderr, "%s----\n", text);
	return text;
}

static void test_golden(void **state)
{
	struct scene s;
	char *text;

	(void)state;
	scene(&s, "192.168.1.10", true);
	text = told(&s);
	assert_string_equal(text,
		"found     7 in 3 containers of /run/docker.sock\n"
		"firewall  ufw\n"
		"\n"
		"high      A \"quoted\"\\\\ *name\\x1b[2J of no zone's alphabet, and too long: socket\n"
		"          /var/run\n"
		"          It has Docker's socket: who controls this container starts any other,\n"
		"          and so is root on this host.\n"
		"zones     a--quoted----name--2j-of-no-z: {select: {name: \"A \\\\\"quoted\\\\\"\\\\\\\\\n"
		"          ?name?[2J of no zone's alphabet, and too long\"}}  and no rule to it\n"
		"docker    without -v /var/run:..., or a socket proxy that lets single calls\n"
		"          through\n"
		"\n"
		"high      A \"quoted\"\\\\ *name\\x1b[2J of no zone's alphabet, and too long:\n"
		"          privileged\n"
		"          It is privileged: who controls this container loads modules and writes\n"
		"          to disks, and so is root on this host.\n"
		"zones     a--quoted----name--2j-of-no-z: {select: {name: \"A \\\\\"quoted\\\\\"\\\\\\\\\n"
		"          ?name?[2J of no zone's alphabet, and too long\"}}  and no rule to it\n"
		"docker    without --privileged; --cap-add and --device for what it needs\n"
		"\n"
		"high      host: socket /run/docker.sock\n"
		"          It has Docker's socket: who controls this container starts any other,\n"
		"          and so is root on this host.\n"
		"zones     host-1: {select: {name: \"host\"}}  and no rule to it\n"
		"docker    without -v /run/docker.sock:..., or a socket proxy that lets single\n"
		"          calls through\n"
		"\n"
		"medium    host: host-network\n"
		"          It has the host's network: its ports are the host's, it reaches every\n"
		"          container, and bulkhead cannot tell it from the host.\n"
		"docker    a network of its own, and -p for its ports\n"
		"\n"
		"medium    web: published tcp 0.0.0.0:8080 -> 80, open to lan\n"
		"          Docker's DNAT takes it to the container past the INPUT rules of ufw,\n"
		"          which would deny it.\n"
		"zones     web: {select: {name: \"web\"}}  and no rule to it\n"
		"docker    -p 127.0.0.1:8080:80/tcp, for this machine alone\n"
		"\n"
		"medium    web: loopback tcp 127.0.0.1:9090 -> 90, open to lan\n"
		"          Published for this machine alone, but who routes to 172.17.0.2 by way\n"
		"          of this host reaches port 90 there.\n"
		"zones     web: {select: {name: \"web\"}}\n"
		"allow     {from: host, to: web, ports: [tcp/90]}\n"
		"docker    Docker 28 or newer, which drops it\n"
		"\n"
		"low       web: proxy6 tcp [::]:8080 -> 80, open to lan\n"
		"          docker-proxy takes it at [::]:8080 though the container has no IPv6\n"
		"          address, and to the container everybody looks like its gateway.\n"
		"zones     web: {select: {name: \"web\"}}  and no rule to it\n"
		"docker    -p 0.0.0.0:8080:80/tcp, which listens on IPv4 alone\n"
		"\n"
		"zones and allow: for /etc/bulkhead/bulkhead.yaml with mode: enforce, which\n"
		"closes whatever no rule opens.\n");
	free(text);
	scene_clear(&s);
}

static const struct bh_finding *find(const struct bh_scan *scan, enum bh_scan_kind kind)
{
	bh_vec_foreach(f, &scan->findings)
		if (f->kind == kind)
			return f;
	return NULL;
}

/* Who may come in, and how bad it is, by what the host is. */
static void test_reach(void **state)
{
	static const struct {
		const char *address;
		bool firewall, forwards, guarded, there, internet;
		enum bh_scan_severity severity;
	} cases[] = {
		{"192.168.1.10", false, true, false, true, false, BH_SEVERITY_LOW},
		{"192.168.1.10", true, true, false, true, false, BH_SEVERITY_MEDIUM},
		{"203.0.113.10", false, true, false, true, true, BH_SEVERITY_MEDIUM},
		{"203.0.113.10", true, true, false, true, true, BH_SEVERITY_HIGH},
		{"203.0.113.10", true, false, false, false, false, 0},	/* forwards nothing */
		{"203.0.113.10", true, true, true, false, false, 0},	/* bulkhead decides */
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(cases); i++) {
		_cleanup_(bh_scan_freep) struct bh_scan *scan = NULL;
		const struct bh_finding *f;
		struct scene s;

		scene(&s, cases[i].address, cases[i].firewall);
		bh_vec_foreach(l, &s.in.links)
			l->forwards4 = cases[i].forwards;
		s.in.guarded = cases[i].guarded;
		assert_int_equal(bh_scan(&s.in, &scan), 0);
		f = find(scan, BH_SCAN_PUBLISHED);
		assert_int_equal(f != NULL, cases[i].there);
		assert_int_equal(scan->guarded, cases[i].guarded ? 3 : 0);
		if (f) {
			assert_true(f->sure && f->lan);
			assert_int_equal(f->internet, cases[i].internet);
			assert_int_equal(f->severity, cases[i].severity);
			assert_int_equal(f->allow != NULL, cases[i].internet);	/* then the lan may go on */
		}
		assert_null(find(scan, BH_SCAN_DIRECT));
		/* a policy that accepts opens the containers' own addresses */
		s.in.foreign->tables.v[1].chains.v[0].drops = false;
		bh_scan_free(bh_take(scan));
		assert_int_equal(bh_scan(&s.in, &scan), 0);
		assert_int_equal(find(scan, BH_SCAN_DIRECT) != NULL, cases[i].forwards && !cases[i].guarded);
		scene_clear(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chains),
		cmocka_unit_test(test_wide),
		cmocka_unit_test(test_conditions),
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_reach),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
