/* SPDX-License-Identifier: Apache-2.0 */
/* The pure half of `bulkhead prove`: which packets are sent and what is expected of them, the copy of the rules, the packets' bytes, the text. That the
 * copy with the endpoints in it does what is expected of each packet is seen by walking it as the kernel would; and that a broken one does not. */
#include "../../src/cli/prove.h"

#include <bulkhead/prove.h>

#include <locale.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <wchar.h>

#include <cmocka.h>

#include "../common/walk.h"
#include "../common/world.h"

static const char example[] =
	"version: 1\nmode: enforce\nzones:\n"
	"  web: {select: {labels: {tier: web}}}\n"
	"  api: {select: {labels: {tier: api}}, mode: audit}\n"
	"  db: {select: {labels: {tier: db}}}\n"
	"  project: {per: compose}\n"
	"  office: {cidrs: [198.16.0.0/13, \"2001:db8:aa::/48\"]}\n"	/* the throw-away networks are in it */
	"  inside: {cidrs: [198.18.7.0/24]}\n"				/* and this in them */
	"  vpn: {interfaces: [\"wg*\"]}\n"
	"allow:\n"
	"  - {from: web, to: db, ports: [tcp/5432, tcp/8000-8099]}\n"	/* line 12 */
	"  - {from: web, to: api, ports: [udp/53, icmp]}\n"
	"  - {from: world, to: web, ports: [tcp/80]}\n"
	"  - {from: db, to: db}\n"
	"  - {from: project, to: project}\n"
	"  - {from: [office, vpn], to: api}\n"
	"  - {from: web, to: [dns, internet], ports: [tcp/443, udp/53]}\n"
	"  - {from: host, to: any}\n";

/* A host, what it is asked to do, and the proof of that. */
struct setting {
	struct world w;
	struct bh_ruleset *seen;
	struct bh_proof *p;
};

static void say(struct world *w, const char *text)
{
	char line[256];

	snprintf(line, sizeof(line), "%s", text);
	world_line(w, line);
}

static struct setting *setting_new(const char *yaml, bool ibrname)
{
	static const char *const host[] = {
		"link 1 lo loopback", "bridge 2 docker0 nf_call", "bridge 3 mine", "link 6 up0 physical", "addr 2 10.111.0.1/24", "addr 6 203.0.113.1/24",
		"addr 6 2001:db8:1::1/64", "resolver 192.168.7.53", "network x docker0 10.111.0.0/24 via 10.111.0.1", "network y mine 10.112.0.0/24 via 10.112.0.1",
		"container db1 tier=db", "endpoint x 02:42:0a:6f:00:02 10.111.0.2 port 100 vethdb1", "publish 0.0.0.0 tcp/80 5432", "container a compose=a",
		"endpoint x 02:42:0a:6f:00:03 10.111.0.3 port 101 vetha", "container b compose=b", "endpoint y 02:42:0a:6f:00:04 10.112.0.4 port 102 vethb",
	};
	struct setting *s = mb_need(calloc(1, sizeof(*s)));
	struct bh_diags diags = {0};
	struct bh_error err = {0};

	s->w = (struct world){.inventory = mb_need(calloc(1, sizeof(*s->w.inventory))), .host = mb_need(calloc(1, sizeof(*s->w.host))),
		.features = {.bridge_ibrname = ibrname}};
	assert_int_equal(bh_config_parse(&(struct bh_config_text){"bulkhead.yaml", yaml, strlen(yaml)}, 1, &s->w.policy, &diags), 0);
	bh_diags_clear(&diags);
	for (size_t i = 0; i < BH_ARRAY_SIZE(host); i++)
		say(&s->w, host[i]);
	s->seen = world_compile(&s->w, &err);
	assert_int_equal(bh_proof_new(s->w.policy, s->w.placement, s->w.inventory, s->w.host, &s->w.features, true, &s->p, &err), 0);
	return s;
}

static void setting_free(struct setting *s)
{
	bh_proof_free(s->p);
	bh_ruleset_free(s->seen);
	world_free(&s->w);
	free(s);
}

/* ---- which packets */

static bool is_between(const struct bh_proof *p, const struct bh_probe *x, const char *from, const char *to)
{
	return x->from == x->via && strcmp(p->ends.v[x->from].zone, from) == 0 && strcmp(p->ends.v[x->to].zone, to) == 0;
}

static bool is_port(const struct bh_probe *x, const char *text)
{
	struct bh_port port;

	assert_int_equal(bh_port_parse(text, &port), 0);
	if (port.proto == IPPROTO_ICMP)
		return x->proto == (x->family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
	return x->proto == port.proto && x->port == port.first;
}

static void what_is_sent(void **state)
{
	static const struct {
		const char *from, *to, *port;
		enum bh_proof_expected expected;
		unsigned line, times;	/* both families; of two containers on one bridge and across */
	} table[] = {
		{"web", "db", "tcp/5432", BH_PROOF_OPEN, 12, 4},
		{"web", "db", "tcp/8000", BH_PROOF_OPEN, 12, 4},
		{"web", "db", "tcp/8099", BH_PROOF_OPEN, 12, 4},
		{"web", "db", "tcp/5433", BH_PROOF_CLOSED, 0, 4},
		{"web", "db", "icmp", BH_PROOF_CLOSED, 0, 4},
		{"web", "api", "udp/53", BH_PROOF_OPEN, 13, 4},
		{"web", "api", "icmp", BH_PROOF_OPEN, 13, 4},
		{"web", "api", "udp/54", BH_PROOF_AUDITED, 0, 4},
		{"api", "web", "tcp/9", BH_PROOF_CLOSED, 0, 4},
		{"db", "db", "tcp/33033", BH_PROOF_OPEN, 15, 4},
		{"project:a", "project:a", "udp/33033", BH_PROOF_OPEN, 16, 4},
		{"project:a", "project:b", "udp/9", BH_PROOF_CLOSED, 0, 4},
		{"office", "api", "icmp", BH_PROOF_OPEN, 17, 4},
		{"inside", "api", "tcp/9", BH_PROOF_AUDITED, 0, 0},	/* all of it is in a throw-away network */
		{"vpn", "api", "tcp/33033", BH_PROOF_OPEN, 17, 4},
		{"vpn", "web", "tcp/9", BH_PROOF_CLOSED, 0, 4},
		{"lan", "web", "tcp/80", BH_PROOF_OPEN, 14, 4},
		{"internet", "web", "tcp/81", BH_PROOF_CLOSED, 0, 4},
		{"web", "internet", "tcp/443", BH_PROOF_OPEN, 18, 2},
		{"web", "dns", "udp/53", BH_PROOF_OPEN, 18, 1},		/* the resolver has IPv4 alone */
		{"web", "dns", "tcp/53", BH_PROOF_CLOSED, 0, 0},
		{"db", "dns", "udp/9", BH_PROOF_CLOSED, 0, 1},
		{"host", "db", "tcp/33033", BH_PROOF_OPEN, 19, 4},
		{"host", "quarantine", "tcp/9", BH_PROOF_CLOSED, 0, 4},
		{"web", "host", "tcp/9", BH_PROOF_CLOSED, 0, 2},
		{"web", "metadata", "tcp/9", BH_PROOF_CLOSED, 0, 2},
		{"web", "quarantine", "udp/9", BH_PROOF_CLOSED, 0, 4},
		{"web", "unknown", "udp/9", BH_PROOF_CLOSED, 0, 2},
		{"unknown", "web", "udp/9", BH_PROOF_CLOSED, 0, 4},
		{"build", "web", "udp/9", BH_PROOF_CLOSED, 0, 4},
		{"host", "internet", "tcp/9", BH_PROOF_CLOSED, 0, 0},	/* none of ours */
		{"dns", "web", "tcp/9", BH_PROOF_CLOSED, 0, 0},
		{"metadata", "web", "tcp/9", BH_PROOF_CLOSED, 0, 0},
	};
	struct setting *s = setting_new(example, false);
	size_t lies[2] = {0};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(table); i++) {
		unsigned times = 0;

		bh_vec_foreach(x, &s->p->probes) {
			if (!is_between(s->p, x, table[i].from, table[i].to) || !is_port(x, table[i].port))
				continue;
			times++;
			if (x->expected != table[i].expected || (x->rule == BH_NOBODY ? 0 : s->w.policy->allow.v[x->rule].loc.line) != table[i].line)
				fail_msg("%s to %s %s: expected %d, rule %zu", table[i].from, table[i].to, table[i].port, x->expected, x->rule);
		}
		if (times != table[i].times)
			fail_msg("%s to %s %s: %u packets", table[i].from, table[i].to, table[i].port, times);
	}
	bh_vec_foreach(x, &s->p->probes)
		if (x->via != x->from) {
			lies[x->family == 6]++;
			assert_int_equal(x->expected, BH_PROOF_CLOSED);
			assert_true(x->to != x->via);
		}
	assert_true(lies[0] >= 6 && lies[1] >= 6);
	assert_true(s->p->audits);
	assert_string_equal(s->p->bridges[0].name, "docker0");	/* what the host has, as it has it */
	assert_true(s->p->bridges[0].ip && !s->p->bridges[1].ip);
	assert_string_equal(s->p->bridges[1].name, "mine");
	setting_free(s);
}

static void more_zones_than_are_tried(void **state)
{
	_cleanup_buf_ struct bh_buf b = {0};
	struct setting *s;
	size_t ports = 0;

	(void)state;
	bh_buf_puts(&b, "version: 1\nmode: audit\nzones:\n");
	for (int i = 0; i < 60; i++)
		bh_buf_printf(&b, "  z%d: {select: {labels: {tier: t%d}}}\n", i, i);
	bh_buf_puts(&b, "  project: {per: compose}\nallow:\n  - {from: z0, to: z59}\n");
	s = setting_new(b.s, true);
	bh_vec_foreach(e, &s->p->ends)
		ports += e->place == BH_PROOF_PORT;
	assert_int_equal(ports, 3 * BH_PROOF_ZONES + 1);
	assert_int_equal(s->p->untried, 60 + 2 + 2 - BH_PROOF_ZONES);
	bh_vec_foreach(x, &s->p->probes)
		assert_int_not_equal(x->expected, BH_PROOF_CLOSED);	/* nothing is denied */
	setting_free(s);
}

static void without_ipv6(void **state)
{
	struct setting *s = setting_new(example, false);
	size_t both = s->p->probes.n;
	struct bh_error err = {0};
	struct bh_ruleset *r;
	struct bh_strv left_out = {0};

	(void)state;
	bh_proof_free(s->p);
	assert_int_equal(bh_proof_new(s->w.policy, s->w.placement, s->w.inventory, s->w.host, &s->w.features, false, &s->p, &err), 0);
	assert_true(s->p->probes.n > both / 3 && s->p->probes.n < both);
	bh_vec_foreach(x, &s->p->probes)
		assert_int_equal(x->family, 4);
	bh_vec_foreach(e, &s->p->ends)
		assert_int_equal(e->addrs[1].family, 0);
	assert_int_equal(bh_proof_rules(s->p, s->seen, false, &r, &left_out), 0);
	bh_ruleset_free(r);
	setting_free(s);
}

/* ---- the copy of the rules */

static void dev_put(char to[16], const char *from)
{
	memset(to, 0, 16);
	memcpy(to, from, strnlen(from, 15));
}

/* Whether the inet table RULES lets PROBE pass. */
static bool passes(const struct bh_proof *p, const struct bh_ruleset *rules, const struct bh_probe *probe)
{
	const struct bh_proof_end *from = &p->ends.v[probe->from], *to = &p->ends.v[probe->to];
	bool six = probe->family == 6;
	struct walk_packet k = {
		.src = from->addrs[six], .dst = to->addrs[six], .from = from->addrs[six], .to = to->addrs[six],
		.proto = probe->proto, .sport = 40000, .dport = probe->port, .port = probe->port,
	};
	enum bh_hook hook = from->place == BH_PROOF_HOST ? BH_HOOK_OUTPUT : to->place == BH_PROOF_HOST ? BH_HOOK_INPUT : BH_HOOK_FORWARD;

	if (from->place != BH_PROOF_HOST)
		dev_put(k.iif, from->place == BH_PROOF_PORT ? p->bridges[from->bridge].name : from->dev);
	if (to->place != BH_PROOF_HOST)
		dev_put(k.oif, to->place == BH_PROOF_PORT ? p->bridges[to->bridge].name : to->dev);
	return walk_passes(&rules->tables[BH_FAMILY_INET], &k, hook);
}

static struct bh_ruleset *copy(const struct setting *s, bool enforced, struct bh_strv *left_out)
{
	struct bh_strv none = {0};
	struct bh_ruleset *r;

	assert_int_equal(bh_proof_rules(s->p, s->seen, enforced, &r, left_out ? left_out : &none), 0);
	assert_int_equal(none.n, 0);
	return r;
}

/* Of the packets that are no lies, those that do not go as expected by the copy of what the kernel holds. */
static size_t wrong(struct setting *s)
{
	struct bh_ruleset *held = copy(s, false, NULL), *enforced = copy(s, true, NULL);
	size_t n = 0;

	bh_vec_foreach(x, &s->p->probes) {
		x->heard[BH_PASS_BARE] = true;
		x->heard[BH_PASS_HELD] = x->from == x->via ? passes(s->p, held, x) : x->expected != BH_PROOF_CLOSED;
		x->heard[BH_PASS_ENFORCED] = x->from == x->via && passes(s->p, enforced, x);	/* nothing is known of lies here */
		n += bh_proof_verdict(x) != BH_PROOF_AGREES;
	}
	bh_ruleset_free(held);
	bh_ruleset_free(enforced);
	return n;
}

static void the_copy_does_what_is_expected(void **state)
{
	static const char *const modes[] = {"mode: enforce", "mode: audit  "};

	(void)state;
	for (int i = 0; i < 4; i++) {
		_cleanup_free_ char *yaml = strdup(example);
		struct setting *s;

		memcpy(strstr(yaml, modes[0]), modes[i & 1], strlen(modes[0]));
		s = setting_new(yaml, i & 2);
		assert_true(s->p->probes.n > 1000);
		assert_int_equal(wrong(s), 0);
		setting_free(s);
	}
}

static struct bh_set *set_of(const struct bh_ruleset *r, const char *prefix, const char *zone)
{
	bh_vec_foreach(x, &r->tables[BH_FAMILY_INET].sets) {
		const char *end = x->name + strlen(x->name) - strlen(zone);

		if (strncmp(x->name, prefix, strlen(prefix)) == 0 && strcmp(end, zone) == 0)
			return x;
	}
	fail_msg("no %s…%s", prefix, zone);
	return NULL;
}

static void a_broken_one_does_not(void **state)
{
	struct setting *s = setting_new(example, false);
	struct bh_table *inet = &s->seen->tables[BH_FAMILY_INET];
	struct bh_set *ports = set_of(s->seen, "ports_", "_web"), was = *ports;
	size_t n = 0;

	(void)state;
	/* the last rule of the last word */
	bh_vec_foreach(c, &inet->chains)
		if (strcmp(c->name, "act_silent") == 0) {
			c->rules.n--;
			n = wrong(s);
			c->rules.n++;
		}
	assert_true(n > 50);
	bh_vec_foreach(x, &s->p->probes)
		assert_true(bh_proof_verdict(x) == BH_PROOF_AGREES || bh_proof_verdict(x) == BH_PROOF_LEAKS || bh_proof_verdict(x) == BH_PROOF_UNAUDITED);
	/* what web may */
	ports->elems.n = 0;
	n = wrong(s);
	*ports = was;
	assert_true(n >= 12);
	bh_vec_foreach(x, &s->p->probes)
		assert_true(bh_proof_verdict(x) == BH_PROOF_AGREES || (strcmp(s->p->ends.v[x->from].zone, "web") == 0 &&
			bh_proof_verdict(x) == (strcmp(s->p->ends.v[x->to].zone, "api") == 0 ? BH_PROOF_AUDITED_TOO : BH_PROOF_STOPPED)));
	/* one family of the members: those of the endpoints are put in, what they are looked up by is gone */
	bh_vec_foreach(x, &inet->sets)
		if (strcmp(x->name, "zone_of6") == 0) {
			x->n_key = 0;
			break;
		}
	{
		_cleanup_(bh_strv_clear) struct bh_strv left_out = {0};
		struct bh_ruleset *r = copy(s, false, &left_out);

		assert_null(bh_table_set(&r->tables[BH_FAMILY_INET], "zone_of6"));
		assert_true(bh_strv_has(&left_out, "inet forward"));
		bh_ruleset_free(r);
	}
	setting_free(s);
}

static bool is_in(const struct bh_set *set, const char *text, uint32_t *ret_value)
{
	struct bh_addr a = world_addr(text);

	bh_vec_foreach(e, &set->elems)
		if (memcmp(e->key, a.b, bh_addr_size(&a)) <= 0 && memcmp(e->key_end, a.b, bh_addr_size(&a)) >= 0) {
			*ret_value = e->value;
			return true;
		}
	return false;
}

static void what_is_copied(void **state)
{
	static const char *const same[] = {"198.16.0.0", "198.17.255.255", "198.20.0.0", "198.23.255.255", "198.24.0.0", "10.111.0.9", "10.0.0.1", "8.8.8.8"};
	static const char *const ours[] = {"198.18.0.0", "198.18.7.1", "198.18.255.255", "198.19.0.0", "198.19.255.255"};
	struct setting *s = setting_new(example, false);
	_cleanup_(bh_strv_clear) struct bh_strv left_out = {0};
	struct bh_table *seen = &s->seen->tables[BH_FAMILY_INET];
	struct bh_nft_rule *foreign = mb_need(bh_vec_add(&bh_table_chain(seen, "deny")->rules));
	const struct bh_set *world;
	struct bh_ruleset *r;
	uint32_t a, b;

	(void)state;
	mb_need(bh_vec_add(&foreign->stmts));
	foreign->stmts.v[0].kind = BH_STMT_FOREIGN;
	seen->flags |= BH_TABLE_OWNER | BH_TABLE_PERSIST;
	s->seen->tables[BH_FAMILY_BRIDGE].flags |= 0x20000000;	/* a chain that no name of ours fits */
	r = copy(s, false, &left_out);
	assert_int_equal(left_out.n, 2);
	assert_string_equal(left_out.v[0], "inet deny");
	assert_string_equal(left_out.v[1], "bridge a chain that is not bulkhead's");
	assert_int_equal(r->tables[BH_FAMILY_INET].flags, 0);
	assert_false(r->tables[BH_FAMILY_NETDEV].present);
	assert_int_equal(bh_table_chain(&r->tables[BH_FAMILY_INET], "deny")->rules.n, bh_table_chain(seen, "deny")->rules.n - 1);
	assert_true(bh_table_set(seen, "pub_any")->elems.n > 0);
	assert_int_equal(bh_table_set(&r->tables[BH_FAMILY_INET], "pub_any")->elems.n, 0);
	/* who was there still is; the endpoints are, too */
	assert_int_equal(bh_table_set(&r->tables[BH_FAMILY_INET], "zone_of4")->elems.n,
		bh_table_set(seen, "zone_of4")->elems.n + s->p->placement->members.n);
	assert_int_equal(bh_table_set(&r->tables[BH_FAMILY_BRIDGE], "pinm")->elems.n, 3 + s->p->placement->members.n);
	world = bh_table_set(&r->tables[BH_FAMILY_INET], "world4");
	for (size_t i = 0; i < BH_ARRAY_SIZE(same); i++)
		assert_true(is_in(world, same[i], &a) == is_in(bh_table_set(seen, "world4"), same[i], &b) && (!is_in(world, same[i], &a) || a == b));
	for (size_t i = 0; i < BH_ARRAY_SIZE(ours); i++)
		assert_true(is_in(world, ours[i], &a) && a == BH_ID_CONTAINER_NETWORK);
	for (size_t i = 1; i < world->elems.n; i++)
		assert_true(memcmp(world->elems.v[i - 1].key_end, world->elems.v[i].key, 4) < 0);
	bh_ruleset_free(r);
	/* none at all: everything passes, which is found */
	memset(&s->seen->tables[BH_FAMILY_INET].present, 0, 1);
	setting_free(s);
}

/* ---- bytes */

static uint16_t sum16(const uint8_t *b, size_t n, uint32_t s)
{
	for (size_t i = 0; i < n; i += 2)
		s += (uint32_t)b[i] << 8 | (i + 1 < n ? b[i + 1] : 0);
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)s;
}

static void packets(void **state)
{
	struct setting *s = setting_new(example, false);
	size_t n_proto[256] = {0};

	(void)state;
	bh_vec_foreach(x, &s->p->probes) {
		uint8_t b[BH_PROVE_PACKET];
		uint32_t id = 0, want = 0x20000000u + (uint32_t)(x - s->p->probes.v), pseudo;
		size_t n = bh_prove_packet(s->p, x, 40001, want, b), head = x->family == 4 ? 20 : 40;

		assert_int_equal(b[0] >> 4, x->family);
		assert_int_equal(x->family == 4 ? b[2] << 8 | b[3] : 40 + (b[4] << 8 | b[5]), n);
		assert_int_equal(x->family == 4 ? b[9] : b[6], x->proto);
		if (x->family == 4)
			assert_int_equal(sum16(b, 20, 0), 0xffff);
		pseudo = x->proto == IPPROTO_ICMP ? 0 : (uint32_t)(n - head) + x->proto + sum16(b + (x->family == 4 ? 12 : 8), x->family == 4 ? 8 : 32, 0);
		assert_int_equal(sum16(b + head, n - head, pseudo), 0xffff);
		assert_true(bh_prove_id(x->proto, b + head, n - head, &id) && id == want);
		assert_false(bh_prove_id(x->proto, b + head, n - head - 1, &id));
		b[n - 6] ^= 1;	/* no marker */
		assert_false(bh_prove_id(x->proto, b + head, n - head, &id));
		n_proto[x->proto]++;
	}
	assert_true(n_proto[IPPROTO_TCP] && n_proto[IPPROTO_UDP] && n_proto[IPPROTO_ICMP] && n_proto[IPPROTO_ICMPV6]);
	setting_free(s);
}

/* ---- what came of it */

static void verdicts(void **state)
{
	static const struct {
		enum bh_proof_expected expected;
		bool bare, held, enforced;
		enum bh_proof_verdict want;
	} table[] = {
		{BH_PROOF_OPEN, true, true, true, BH_PROOF_AGREES},	{BH_PROOF_OPEN, true, false, false, BH_PROOF_STOPPED},
		{BH_PROOF_OPEN, true, true, false, BH_PROOF_AUDITED_TOO},
		{BH_PROOF_OPEN, false, true, true, BH_PROOF_UNHEARD},	{BH_PROOF_CLOSED, true, false, false, BH_PROOF_AGREES},
		{BH_PROOF_CLOSED, true, true, false, BH_PROOF_LEAKS},	{BH_PROOF_CLOSED, false, false, false, BH_PROOF_UNHEARD},
		{BH_PROOF_AUDITED, true, true, false, BH_PROOF_AGREES}, {BH_PROOF_AUDITED, true, true, true, BH_PROOF_UNAUDITED},
		{BH_PROOF_AUDITED, true, false, false, BH_PROOF_STOPPED},
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(table); i++) {
		const struct bh_probe x = {.expected = table[i].expected, .heard = {table[i].bare, table[i].held, table[i].enforced}};

		assert_int_equal(bh_proof_verdict(&x), table[i].want);
	}
}

static char *shown(const json_t *doc, bool json)
{
	struct bh_writer w = {.json = json};
	char *out = NULL;
	size_t n;

	w.out = open_memstream(&out, &n);
	assert_int_equal(bh_writer_put(&w, doc, bh_proof_text, NULL), 0);
	fclose(w.out);
	for (const char *line = out; !json && *line; line += strcspn(line, "\n") + 1) {
		char one[1024];
		wchar_t wide[1024];

		snprintf(one, sizeof(one), "%.*s", (int)strcspn(line, "\n"), line);
		if (mbstowcs(wide, one, 1024) == (size_t)-1 || wcswidth(wide, 1024) > 80)
			fail_msg("wider than 80: %s", one);
	}
	return out;
}

static json_t *doc_of(const struct setting *s, const struct bh_strv *left_out)
{
	json_t *sources = json_array(), *doc;

	bh_vec_foreach(r, &s->w.policy->allow)
		json_array_append_new(sources, json_sprintf("bulkhead.yaml:%u", r->loc.line));
	doc = bh_proof_doc(&(struct bh_proof_doc){.proof = s->p, .sources = sources, .left_out = left_out});
	assert_non_null(doc);
	json_decref(sources);
	return doc;
}

static void how_it_is_told(void **state)
{
	struct setting *s = setting_new(example, false);
	_cleanup_(bh_strv_clear) struct bh_strv left_out = {0};
	json_t *doc, *row;
	char *out;

	(void)state;
	assert_int_equal(wrong(s), 0);
	doc = doc_of(s, &left_out);
	assert_true(json_is_true(json_object_get(doc, "agree")));
	out = shown(doc, false);
	assert_non_null(strstr(out, "each as configured\n"));
	assert_null(strstr(out, "measured"));
	free(out);
	json_decref(doc);
	/* a port that does not open any more, in one family; a lie that is believed; one that nobody hears; by a stranger's name */
	free(s->p->placement->insts.v[s->p->ends.v[0].inst].name);
	s->p->placement->insts.v[s->p->ends.v[0].inst].name = strdup("web\033[2J-and-a-name-that-goes-on-and-on-and-on-and-on-and-on-and-on-and-on");
	bh_vec_foreach(e, &s->p->ends)
		if (e->inst == s->p->ends.v[0].inst)
			e->zone = s->p->placement->insts.v[e->inst].name;
	bh_vec_foreach(x, &s->p->probes) {
		if (x->from == 0 && x->port == 5432 && x->family == 6 && x->via == x->from)
			x->heard[BH_PASS_HELD] = false;
		if (x->via != x->from && x->family == 4)
			x->heard[BH_PASS_HELD] = true;
	}
	doc = doc_of(s, &left_out);
	assert_true(json_is_false(json_object_get(doc, "agree")));
	row = json_array_get(json_object_get(doc, "disagreements"), 0);
	assert_string_equal(json_string_value(json_object_get(row, "port")), "tcp/5432");
	assert_string_equal(json_string_value(json_object_get(row, "measured")), "did not arrive");
	assert_string_equal(json_string_value(json_object_get(row, "source")), "bulkhead.yaml:12");
	assert_int_equal(json_integer_value(json_object_get(row, "packets")), 2);
	assert_int_equal(json_array_size(json_object_get(row, "families")), 1);
	assert_int_equal(json_array_size(json_object_get(row, "ways")), 2);
	out = shown(doc, false);
	assert_null(strchr(out, '\033'));
	assert_non_null(strstr(out, "unknown as"));
	free(out);
	free(shown(doc, true));
	json_decref(doc);
	/* nothing went wrong but what could not be tried */
	assert_int_equal(wrong(s), 0);
	assert_int_equal(bh_strv_push(&left_out, "inet forward"), 0);
	doc = doc_of(s, &left_out);
	assert_true(json_is_false(json_object_get(doc, "agree")));
	json_decref(doc);
	/* a whole rule set that is gone */
	bh_vec_foreach(x, &s->p->probes)
		x->heard[BH_PASS_HELD] = x->heard[BH_PASS_ENFORCED] = true;
	doc = doc_of(s, &left_out);
	out = shown(doc, false);
	assert_non_null(strstr(out, "more lines: --json has all"));
	free(out);
	json_decref(doc);
	setting_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_sent), cmocka_unit_test(more_zones_than_are_tried), cmocka_unit_test(without_ipv6), cmocka_unit_test(the_copy_does_what_is_expected),
		cmocka_unit_test(a_broken_one_does_not), cmocka_unit_test(what_is_copied), cmocka_unit_test(packets), cmocka_unit_test(verdicts),
		cmocka_unit_test(how_it_is_told),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests_name("proof", tests, NULL, NULL);
}
