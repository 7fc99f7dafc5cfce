/* SPDX-License-Identifier: Apache-2.0 */
/* What a plan says, on the host of tests/golden/compile/skeleton: by hand, and for random pairs of policies that it is exactly what the judge
 * says before and after. BH_SEED and BH_PAIRS give another series. */
#include <bulkhead/judge.h>
#include <bulkhead/plan.h>

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../common/world.h"

#define PAIRS 100

struct side {
	struct bh_policy *policy;
	struct bh_placement *placement;
	struct bh_ruleset *wanted;
	struct bh_compile_input in;
	struct bh_judge *judge;
};

static struct bh_policy *parse(const char *text)
{
	struct bh_diags diags = {0};
	struct bh_policy *p = NULL;

	(void)bh_config_parse(&(struct bh_config_text){"bulkhead.yaml", text, strlen(text)}, 1, &p, &diags);
	bh_diags_clear(&diags);
	return p;
}

/* POLICY is taken over. */
static void side_make(struct world *w, struct bh_policy *policy, struct side *s)
{
	struct bh_error err = {0};

	*s = (struct side){.policy = policy};
	assert_non_null(policy);
	if (bh_place(policy, w->inventory, w->host, &w->memory, &s->placement, &err) < 0)
		fail_msg("%s", err.msg);
	s->in = (struct bh_compile_input){.policy = policy, .inventory = w->inventory, .host = w->host, .features = &w->features,
		.placement = s->placement};
	if (bh_compile(&s->in, &s->wanted, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(bh_judge_new(&s->in, s->wanted, &s->judge), 0);
}

static void side_clear(struct side *s)
{
	bh_judge_free(s->judge);
	bh_ruleset_free(s->wanted);
	bh_placement_free(s->placement);
	bh_policy_free(s->policy);
}

static struct bh_forecast *forecast(const struct side *a, const struct side *b)
{
	const struct bh_plan_side before = {&a->in, a->wanted}, after = {&b->in, b->wanted};
	struct bh_forecast *f = NULL;
	struct bh_error err = {0};

	if (bh_forecast_make(&before, &after, &f, &err) < 0)
		fail_msg("%s", err.msg);
	return f;
}

#define HEAD "version: 1\nmode: enforce\nzones:\n"
static const struct {
	const char *before, *after, *want;
} cases[] = {
	{HEAD "  web: {select: {labels: {tier: web}}}\n", HEAD "  web: {description: x, select: {labels: {tier: web}}}\n", ""},
	/* a port, the rest of a protocol, every protocol */
	{HEAD "  web: {select: {labels: {tier: web}}}\n  db: {select: {labels: {tier: db}}}\n"
		"allow:\n  - {from: web, to: db, ports: [tcp/80, tcp/5432]}\n  - {from: web, to: internet}\n",
		HEAD "  web: {select: {labels: {tier: web}}}\n  db: {select: {labels: {tier: db}}}\n"
		"allow:\n  - {from: web, to: db, ports: [tcp, icmp]}\n  - {from: web, to: internet, ports: [tcp/443]}\n",
		"closes: web -> internet every port but tcp/443 (bulkhead.yaml:8)\n"
		"opens: web -> db icmp, tcp/1-79, tcp/81-5431, tcp/5433-65535 (bulkhead.yaml:7)\n"},
	/* who moves has his own paths; addresses too */
	{HEAD "  web: {select: {labels: {tier: web}}}\n  api: {select: {labels: {tier: [api, db]}}}\n"
		"allow:\n  - {from: web, to: api, ports: [tcp/80]}\n  - {from: api, to: lan, ports: [udp/1]}\n",
		HEAD "  web: {select: {labels: {tier: [web, db]}}}\n  api: {select: {labels: {tier: api}}}\n  office: {cidrs: [10.20.0.0/16]}\n"
		"allow:\n  - {from: web, to: api, ports: [tcp/80]}\n  - {from: api, to: lan, ports: [udp/1]}\n",
		"db1: api -> web, labels tier=db (bulkhead.yaml:4)\n"
		"10.20.0.0/16: lan -> office\n"
		"closes: web -> db1 (api -> web) tcp/80 (bulkhead.yaml:7)\n"
		"closes: api -> 10.20.0.0/16 (lan -> office) udp/1 (bulkhead.yaml:8)\n"
		"closes: db1 (api -> web) -> lan udp/1 (bulkhead.yaml:8)\n"
		"closes: db1 (api -> web) -> 10.20.0.0/16 (lan -> office) udp/1 (bulkhead.yaml:8)\n"
		"opens: db1 (api -> web) -> api tcp/80 (bulkhead.yaml:8)\n"
		"office zone: not there -> there\n"},
	/* settings, as far as they are in force */
	{HEAD "  web: {select: {labels: {tier: web}}, bandwidth: {container: {egress: 50mbit}}, connections: {max: 20}}\n",
		"version: 1\nmode: enforce\ndeny: drop\nzones:\n"
		"  web: {select: {labels: {tier: web}}, mode: audit, bandwidth: {container: {egress: 60mbit}, exempt: [lan, host]}, connections: {max: 20, new: 5/minute}}\n"
		"  vpn: {interfaces: [\"wg*\"]}\n",
		"wg*: nowhere -> vpn\n"
		"deny: reject -> drop\n"
		"web mode: the file's -> audit\n"
		"web container egress: 50mbit -> 60mbit\n"
		"web exempt from caps: none -> lan, host\n"
		"web connections new: none -> 5/minute\n"
		"vpn zone: not there -> there\n"},
	{HEAD "  web: {select: {labels: {tier: web}}, bandwidth: {exempt: lan, container: {egress: 50mbit}}, connections: {max: 20}}\n",
		"version: 1\nmode: audit\nzones:\n  web: {select: {labels: {tier: web}}, bandwidth: {exempt: lan, container: {egress: 60mbit}}, connections: {max: 9}}\n",
		"mode: enforce -> audit\n"
		"web container egress: 50mbit -> none\n"
		"web exempt from caps: lan -> none\n"
		"web connections max: 20 -> none\n"},
	/* what watches and what it tells */
	{"version: 1\nmode: enforce\ndetect:\n  a: {see: exec}\n  b: {see: denied, more-than: 5, within: 1s}\n",
		"version: 1\nmode: enforce\nlog: {file: /var/log/x}\nalerts: {socket: /run/y}\ndetect:\n  a: {see: exec}\n  b: {see: denied, more-than: 5, within: 2s}\n",
		"log: none -> /var/log/x\n"
		"alerts: none -> /run/y\n"
		"detect: 2 rules -> 2 other rules\n"},
	{"version: 1\nmode: enforce\ndetect:\n  a: {see: exec, zones: web}\nzones: {web: {select: {name: web}}}\n",
		"version: 1\nmode: enforce\ndetect:\n\n  a: {zones: [web], see: exec}\nzones: {web: {select: {name: web}}}\n", ""},
};

static void what_is_said(void **state)
{
	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(cases); i++) {
		_cleanup_buf_ struct bh_buf text = {0};
		struct bh_forecast *f;
		struct side a, b;
		struct world w;

		world_load(&w, CASES "/skeleton");
		side_make(&w, parse(cases[i].before), &a);
		side_make(&w, parse(cases[i].after), &b);
		f = forecast(&a, &b);
		assert_int_equal(bh_forecast_print(f, &text), 0);
		if (strcmp(text.s ? text.s : "", cases[i].want) != 0)
			fail_msg("case %zu:\n%s--- instead of\n%s", i, text.s ? text.s : "", cases[i].want);
		assert_int_equal(bh_forecast_is_empty(f), !*cases[i].want);
		bh_forecast_free(f);
		side_clear(&a);
		side_clear(&b);
		world_free(&w);
	}
}

/* ---- random pairs */

static uint64_t seed;

static unsigned rnd(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed >> 33) % n;
}

#define PICK(a) (a)[rnd(BH_ARRAY_SIZE(a))]

static void random_ports(struct bh_buf *b)
{
	static const char *const ports[] = {"tcp/80", "tcp/5432", "tcp/8000-9000", "tcp", "udp/53", "udp/5000", "udp", "icmp", "tcp/53", "tcp/8080"};
	unsigned n = rnd(4);

	if (n == 0)
		return;
	bh_buf_puts(b, ", ports: [");
	for (unsigned i = 0; i < n; i++)
		bh_buf_printf(b, "%s%s", i ? ", " : "", PICK(ports));
	bh_buf_puts(b, "]");
}

static struct bh_policy *random_policy(void)
{
	static const char *const lines[] = {
		"  web: {select: {labels: {tier: web}}}\n", "  web: {select: {any: [{labels: {tier: web}}, {name: quar1}]}}\n",
		"  web: {select: {name: \"web*\"}, priority: 2}\n",
		"  api: {select: {labels: {tier: api}}}\n", "  api: {select: {labels: {tier: [api, db]}}}\n", "  api: {select: {name: [api1, web2]}, priority: 1}\n",
		"  db: {select: {labels: {tier: db}}, mode: audit}\n", "  db: {select: {name: \"*db*\"}}\n", "  db: {select: {name: \"?b1\"}, priority: 3}\n",
		"  office: {cidrs: [198.51.100.128/25]}\n", "  office: {cidrs: [10.110.0.0/16, \"2001:db8:51::/48\"]}\n", "  office: {cidrs: [203.0.113.0/24]}\n",
		"  project: {per: compose}\n", "  project: {per: compose, select: {name: \"p*\"}}\n", "  project: {per: network}\n",
		"  front: {per: compose, priority: 5, select: {labels: {public: \"true\"}}}\n", "  front: {select: {labels: {public: \"true\"}}, priority: 4}\n",
		"  front: {select: {name: [fa1, pa1]}, priority: 4}\n",
	};
	static const char *const ends[] = {"web", "api", "db", "office", "project", "front", "host", "lan", "internet", "world", "containers", "any",
		"quarantine", "\"project:a\""};
	static const char *const tos[] = {"dns", "metadata"};

	for (;;) {
		_cleanup_buf_ struct bh_buf b = {0};
		struct bh_policy *p;

		bh_buf_printf(&b, "version: 1\nmode: %s\nzones:\n", rnd(8) ? "enforce" : "audit");
		for (size_t i = 0; i < BH_ARRAY_SIZE(lines); i += 3)
			if (rnd(6))
				bh_buf_puts(&b, lines[i + rnd(3)]);
		bh_buf_puts(&b, "allow:\n");
		for (unsigned n = 3 + rnd(8); n > 0; n--) {
			const char *to = rnd(6) ? PICK(ends) : PICK(tos);
			_cleanup_buf_ struct bh_buf one = {0}, whole = {0};
			struct bh_policy *alone;

			bh_buf_printf(&one, "  - {from: %s, to: %s", PICK(ends), to);
			random_ports(&one);
			bh_buf_puts(&one, "}\n");
			bh_buf_printf(&whole, "%s%s", b.s, one.s);
			alone = parse(whole.s);
			if (alone)	/* rules that make no sense are left out one by one, or no policy would be left */
				bh_buf_puts(&b, one.s);
			bh_policy_free(alone);
		}
		p = parse(b.s);
		if (p)
			return p;
	}
}

static struct bh_addr addr(const char *text)
{
	struct bh_addr a;

	assert_int_equal(bh_addr_parse(text, &a), 0);
	return a;
}

/* The mover that PARTY is, by who it is before and after. */
static size_t mover_of(const struct bh_forecast *f, const struct side *a, const struct side *b, const struct bh_party *x, const struct bh_party *y)
{
	bool same = bh_streq(bh_party_zone(a->judge, x), bh_party_zone(b->judge, y));

	for (size_t i = 0; i < f->movers.n; i++)
		if (f->movers.v[i].before == x->inst && f->movers.v[i].after == y->inst && (f->movers.v[i].n == 0) == same)
			return i;
	return SIZE_MAX;
}

static bool said(const struct bh_forecast *f, size_t from, size_t to, bool opens, uint8_t proto, uint16_t port)
{
	const struct bh_port p = {.proto = proto, .all = port == 0, .first = port, .last = port};

	bh_vec_foreach(x, &f->paths)
		if (x->from == from && x->to == to && x->opens == opens && bh_path_has(x, &p))
			return true;
	return false;
}

static const char *const whos[] = {
	"10.111.0.11", "10.111.0.12", "10.112.0.12", "2001:db8:d0::d", "10.112.0.24", "10.112.0.21", "10.112.0.22", "10.112.0.23", "10.111.0.14",
	"10.112.0.11", "10.111.0.17", "10.111.0.1", "198.51.100.1", "198.51.100.200", "198.51.100.53", "203.0.113.9", "10.110.1.1", "9.9.9.9",
	"2001:db8:51::53", "2001:db8:51:0:8000::1", "169.254.169.254", "192.168.3.4",
};
static const struct {
	uint8_t proto;
	uint16_t port;
} ports[] = {{IPPROTO_TCP, 80}, {IPPROTO_TCP, 5432}, {IPPROTO_TCP, 8500}, {IPPROTO_TCP, 53}, {IPPROTO_TCP, 8080}, {IPPROTO_UDP, 53}, {IPPROTO_UDP, 5000},
	{IPPROTO_UDP, 9}, {IPPROTO_ICMP, 0}, {IPPROTO_ESP, 0}};

struct tally {
	unsigned opens, closes, stays, moved;
};

static void check_flow(const struct bh_forecast *f, const struct side *a, const struct side *b, const struct bh_question *q, bool resolver,
	struct tally *t)
{
	const struct bh_judgement x = bh_judge_flow(a->judge, q), y = bh_judge_flow(b->judge, q);
	size_t from, to, dns = SIZE_MAX;
	bool opens, closes;

	if (!x.ours || !y.ours || x.from.inst == BH_NOBODY || x.to.inst == BH_NOBODY)
		return;
	/* docker-proxy's second leg passes whatever the rules say */
	if (bh_streq(bh_party_zone(a->judge, &x.from), "host") && x.to.member && x.to.member->container->published.n > 0)
		return;
	from = mover_of(f, a, b, &x.from, &y.from);
	to = mover_of(f, a, b, &x.to, &y.to);
	if (from == SIZE_MAX || to == SIZE_MAX)
		fail_msg("nobody is %s -> %s", bh_party_name(a->judge, &x.from), bh_party_name(b->judge, &y.to));
	opens = said(f, from, to, true, q->proto, x.port);
	closes = said(f, from, to, false, q->proto, x.port);
	for (size_t i = 0; i < f->movers.n; i++)
		if (bh_streq(f->movers.v[i].name, "dns"))
			dns = i;
	if (resolver) {	/* open as dns or as what its address is */
		opens = (opens || said(f, from, dns, true, q->proto, x.port)) && !x.allowed;
		closes = (closes || said(f, from, dns, false, q->proto, x.port)) && !y.allowed;
	}
	if (opens != (!x.allowed && y.allowed) || closes != (x.allowed && !y.allowed)) {
		_cleanup_buf_ struct bh_buf text = {0};

		bh_forecast_print(f, &text);
		fail_msg("%s -> %s %u/%u: %d before, %d after, but the plan says opens %d closes %d\n%s", bh_party_name(a->judge, &x.from),
			bh_party_name(a->judge, &x.to), q->proto, x.port, x.allowed, y.allowed, opens, closes, text.s);
	}
	t->opens += opens;
	t->closes += closes;
	t->stays += !opens && !closes;
	t->moved += f->movers.v[from].n > 0 || f->movers.v[to].n > 0;
}

static void check_pair(struct world *w, struct tally *t)
{
	struct bh_forecast *f;
	struct side a, b;

	side_make(w, random_policy(), &a);
	side_make(w, random_policy(), &b);
	f = forecast(&a, &b);
	for (size_t i = 0; i < BH_ARRAY_SIZE(whos); i++)
		for (size_t k = 0; k < BH_ARRAY_SIZE(whos); k++)
			for (size_t p = 0; p < BH_ARRAY_SIZE(ports); p++) {
				const struct bh_question q = {.proto = ports[p].proto, .port = ports[p].port, .from = addr(whos[i]), .to = addr(whos[k])};

				if (i != k)
					check_flow(f, &a, &b, &q, q.port == 53 && (strstr(whos[k], "100.53") || strstr(whos[k], "::53")), t);
			}
	bh_forecast_free(f);
	side_clear(&a);
	side_clear(&b);
}

static void a_plan_says_what_happens(void **state)
{
	const char *s = getenv("BH_SEED"), *n = getenv("BH_PAIRS");
	int pairs = n ? atoi(n) : PAIRS;
	struct tally t = {0};
	struct world w;

	(void)state;
	seed = s ? strtoull(s, NULL, 0) : 20261127;
	world_load(&w, CASES "/skeleton");
	for (int i = 0; i < pairs; i++)
		check_pair(&w, &t);
	world_free(&w);
	print_message("# %d pairs: %u opened, %u closed, %u as before; %u of somebody who moved\n", pairs, t.opens, t.closes, t.stays, t.moved);
	assert_true(t.opens > 1000 && t.closes > 1000 && t.moved > 1000);
}

/* A configuration that somebody else sends is not compiled at any price; and nothing is remembered of it. */
static void what_is_tried_is_bounded(void **state)
{
	static const char text[] = HEAD "  web: {select: {labels: {tier: web}}}\n  db: {select: {labels: {tier: db}}}\n"
		"allow:\n  - {from: [web, db], to: internet, ports: [tcp/1-60]}\n";
	_cleanup_(bh_policy_freep) struct bh_policy *p = parse(text);
	struct bh_placement *placement = NULL;
	struct bh_ruleset *rules = NULL;
	struct bh_memory copy = {0};
	struct bh_compile_input in;
	struct bh_error err = {0};
	struct world w;

	(void)state;
	world_load(&w, CASES "/skeleton");
	bh_ruleset_free(world_compile(&w, &err));
	assert_true(w.memory.ids.n > 0 && w.memory.ports.n > 0);
	assert_int_equal(bh_memory_copy(&copy, &w.memory), 0);
	assert_int_equal(copy.ids.n, w.memory.ids.n);
	assert_int_equal(copy.ports.n, w.memory.ports.n);
	for (size_t i = 0; i < copy.ports.n; i++)
		assert_true(bh_streq(copy.ports.v[i].container, w.memory.ports.v[i].container) && copy.ports.v[i].ifindex == w.memory.ports.v[i].ifindex);
	assert_int_equal(bh_place(p, w.inventory, w.host, &copy, &placement, &err), 0);
	in = (struct bh_compile_input){.policy = p, .inventory = w.inventory, .host = w.host, .features = &w.features, .placement = placement, .most = 119};
	assert_int_equal(bh_compile(&in, &rules, &err), -E2BIG);
	assert_non_null(strstr(err.msg, "119 elements"));
	in.most = 120;
	assert_int_equal(bh_compile(&in, &rules, &err), 0);
	bh_ruleset_free(rules);
	bh_placement_free(placement);
	bh_memory_clear(&copy);
	world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_said),
		cmocka_unit_test(what_is_tried_is_bounded),
		cmocka_unit_test(a_plan_says_what_happens),
	};

	return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
