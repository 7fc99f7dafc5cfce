/* SPDX-License-Identifier: Apache-2.0 */
/* What the judge says of a flow is what the compiled rule set does with its first packet, on random hosts under random policies: the rule set is
 * walked by tests/common/walk.h as the kernel walks it. And the elements that the judge names are what the answer hangs on: without them it is
 * another one. */
#include <bulkhead/judge.h>

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../common/walk.h"
#include "../common/world.h"

#define POLICIES 100
#define FLOWS 400

struct rng {
	uint64_t s;
};

static uint32_t rnd(struct rng *r, uint32_t n)
{
	r->s ^= r->s << 13;
	r->s ^= r->s >> 7;
	r->s ^= r->s << 17;
	return (uint32_t)(r->s >> 16) % n;
}

static bool chance(struct rng *r, uint32_t percent)
{
	return rnd(r, 100) < percent;
}

static const char *const containers[] = {"a", "b", "c", "pa", "pb", "fa", "quar"};
static const char *const froms[] = {"a", "b", "c", "project", "front", "project:y", "host", "lan", "internet", "office", "vpn", "world", "any", "build", "quarantine"};
static const char *const tos[] = {"a", "b", "c", "project", "front", "project:x", "host", "lan", "internet", "office", "vpn", "any", "dns", "metadata", "containers",
	"quarantine"};
static const char *const ports[] = {"tcp/80", "tcp/80-81", "udp/53", "tcp/53", "udp", "tcp", "icmp", "tcp/70-200", "sctp/80", "udp/81"};
static const uint16_t called[] = {8080, 8081, 5353};
static const uint16_t port_numbers[] = {80, 80, 81, 53, 53, 54, 8080, 8081, 5353};

static bool is_world(const char *zone)
{
	static const char *const outside[] = {"host", "lan", "internet", "office", "vpn", "world", "dns", "metadata"};

	for (size_t i = 0; i < BH_ARRAY_SIZE(outside); i++)
		if (strcmp(outside[i], zone) == 0)
			return true;
	return false;
}

static void rule_write(struct rng *r, struct bh_buf *b)
{
	const char *from, *to;

	do {
		from = froms[rnd(r, BH_ARRAY_SIZE(froms))];
		to = tos[rnd(r, BH_ARRAY_SIZE(tos))];
	} while ((is_world(from) && is_world(to)) || (strcmp(from, "any") == 0 && strcmp(to, "any") == 0));
	bh_buf_printf(b, "  - {from: \"%s\", to: \"%s\"", from, to);
	if (chance(r, 75)) {
		bh_buf_puts(b, ", ports: [");
		for (uint32_t i = 0, n = 1 + rnd(r, 3); i < n; i++)
			bh_buf_printf(b, "%s%s", i ? ", " : "", ports[rnd(r, BH_ARRAY_SIZE(ports))]);
		bh_buf_puts(b, "]");
	}
	if (strcmp(from, "project") == 0 && strcmp(to, "project") == 0 && chance(r, 50))
		bh_buf_puts(b, chance(r, 50) ? ", values: different" : ", values: any");
	bh_buf_puts(b, "}\n");
}

static struct bh_policy *policy_random(struct rng *r)
{
	_cleanup_buf_ struct bh_buf b = {0}, why = {0};
	struct bh_diags diags = {0};
	struct bh_policy *p = NULL;

	bh_buf_printf(&b, "version: 1\nmode: %s\nzones:\n", chance(r, 15) ? "audit" : "enforce");
	bh_buf_printf(&b, "  a: {select: {labels: {tier: a}}%s}\n", chance(r, 20) ? ", mode: audit" : "");
	bh_buf_printf(&b, "  b: {select: {labels: {tier: b}}%s}\n", chance(r, 20) ? ", mode: enforce" : "");
	bh_buf_puts(&b, "  c: {select: {labels: {tier: c}}}\n  project: {per: compose}\n"
		"  front: {per: compose, priority: 5, select: {labels: {public: \"true\"}}}\n"
		"  office: {cidrs: [198.51.100.0/24, \"2001:db8:51::/48\"]}\n  vpn: {interfaces: [\"wg*\"]}\nallow:\n");
	for (uint32_t i = 0, n = 16 + rnd(r, 40); i < n; i++)
		rule_write(r, &b);
	if (bh_config_parse(&(struct bh_config_text){"bulkhead.yaml", b.s, b.n}, 1, &p, &diags) < 0) {
		bh_diags_print(&diags, &why);
		fail_msg("%s\n%s", b.s, why.s);
	}
	bh_diags_clear(&diags);
	return p;
}

static void say(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct world *w, const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	world_line(w, line);
}

/* Two bridges, a container of each kind on one or both, some without a known port; published ports of every kind. */
static void world_random(struct rng *r, struct world *w)
{
	*w = (struct world){.inventory = mb_need(calloc(1, sizeof(*w->inventory))), .host = mb_need(calloc(1, sizeof(*w->host)))};
	w->features.bridge_ibrname = chance(r, 50);
	say(w, "link 1 lo loopback");
	say(w, "bridge 2 docker0 nf_call");
	say(w, "bridge 3 br-00000000000b nf_call");
	say(w, "link 6 up0 physical");
	say(w, "link 7 wg0 other");
	say(w, "addr 1 127.0.0.1/8");
	say(w, "addr 2 10.111.0.1/24");
	say(w, "addr 2 2001:db8:d0::1/64");
	say(w, "addr 3 10.112.0.1/24");
	say(w, "addr 3 2001:db8:d1::1/64");
	say(w, "addr 6 203.0.113.1/24");
	say(w, "addr 6 2001:db8:1::1/64");
	say(w, "resolver 198.51.100.53");
	say(w, "resolver 8.8.8.8");
	say(w, "resolver 2001:db8:51::53");
	say(w, "resolver 10.111.0.2");	/* a container that may be there */
	say(w, "network x docker0 10.111.0.0/24 2001:db8:d0::/64 via 10.111.0.1 2001:db8:d0::1");
	say(w, "network y br-00000000000b 10.112.0.0/24 2001:db8:d1::/64 via 10.112.0.1 2001:db8:d1::1");
	for (unsigned i = 0; i < 2 * BH_ARRAY_SIZE(containers); i++) {
		const char *kind = containers[i % BH_ARRAY_SIZE(containers)];
		bool front = strcmp(kind, "fa") == 0, both = chance(r, 25), on_x = both || chance(r, 50);

		if (*kind == 'p' || front)
			say(w, "container %s%u compose=%s%s", kind, i, strcmp(kind, "pb") == 0 ? "y" : "x", front ? " public=true" : "");
		else if (*kind == 'q')
			say(w, "container %s%u", kind, i);
		else
			say(w, "container %s%u tier=%s", kind, i, kind);
		for (unsigned net = 0; net < 2; net++)
			if (both || on_x == (net == 0)) {
				char port[64] = "";

				if (chance(r, 97))
					snprintf(port, sizeof(port), " port %u veth%u%c", 100 + 2 * i + net, i, "xy"[net]);
				say(w, "endpoint %c 02:42:0a:6f:%02x:%02x 10.11%u.0.%u 2001:db8:d%u::%x%s", "xy"[net], net, i + 2, 1 + net, i + 2, net, i + 2, port);
			}
		if (chance(r, 40))
			say(w, "publish %s tcp/%u %u", chance(r, 50) ? "0.0.0.0" : "203.0.113.1", 8080 + i % 2, 80 + rnd(r, 2));
		if (chance(r, 20))
			say(w, "publish :: tcp/%u %u", 8080 + i % 2, 80);
		if (chance(r, 20))
			say(w, "publish 0.0.0.0 udp/5353 53");
	}
}

/* ---- one flow */

struct flow {
	struct walk_packet p;
	enum bh_hook hook;
	struct bh_question q;
	char text[200];
};

/* An address of a container of the world that has one on NET; NULL: nobody's. */
static bool container_addr(struct rng *r, const struct world *w, uint8_t family, struct bh_addr *ret, const char **bridge)
{
	const struct bh_container *c = &w->inventory->containers.v[rnd(r, (uint32_t)w->inventory->containers.n)];
	const struct bh_endpoint *e = &c->endpoints.v[rnd(r, (uint32_t)c->endpoints.n)];

	*bridge = strcmp(e->network_id, "net-x") == 0 ? "docker0" : "br-00000000000b";
	bh_vec_foreach(a, &e->addrs)
		if (a->family == family)
			*ret = *a;
	if (chance(r, 3))
		ret->b[family == 4 ? 3 : 15] = 200;	/* nobody's */
	return true;
}

static struct bh_addr pick(struct rng *r, uint8_t family, const char *const *v4, size_t n4, const char *const *v6, size_t n6)
{
	return world_addr(family == 4 ? v4[rnd(r, (uint32_t)n4)] : v6[rnd(r, (uint32_t)n6)]);
}

static struct bh_addr outside_addr(struct rng *r, uint8_t family)
{
	static const char *const v4[] = {"198.51.100.7", "198.51.100.53", "8.8.8.8", "8.8.8.8", "192.0.2.9", "10.9.9.9", "169.254.169.254", "203.0.113.77"};
	static const char *const v6[] = {"2001:db8:51::7", "2001:db8:51::53", "2001:4860::8", "fd00::9", "fd00:ec2::254", "2001:db8:1::77"};

	return pick(r, family, v4, BH_ARRAY_SIZE(v4), v6, BH_ARRAY_SIZE(v6));
}

static struct bh_addr host_addr(struct rng *r, uint8_t family)
{
	static const char *const v4[] = {"203.0.113.1", "10.111.0.1", "10.112.0.1"};
	static const char *const v6[] = {"2001:db8:1::1", "2001:db8:d0::1", "2001:db8:d1::1"};

	return pick(r, family, v4, BH_ARRAY_SIZE(v4), v6, BH_ARRAY_SIZE(v6));
}

/* The port that a published one is, as DNAT does it: by what the runtime lists. */
static bool leads(const struct bh_published *b, const struct flow *f)
{
	return b->proto == f->p.proto && b->host_port == f->p.dport && b->host.family == f->p.dst.family &&
	       (bh_addr_is_zero(&b->host) || bh_addr_cmp(&b->host, &f->p.dst) == 0);
}

static bool dnat(const struct world *w, struct flow *f)
{
	size_t claimed = 0;

	bh_vec_foreach(c, &w->inventory->containers)
		bh_vec_foreach(b, &c->published)
			claimed += leads(b, f);
	if (claimed != 1)	/* Docker gives a port to one container; what if two say it is theirs is seen without DNAT */
		return false;
	bh_vec_foreach(c, &w->inventory->containers)
		bh_vec_foreach(b, &c->published) {
			if (!leads(b, f))
				continue;
			bh_vec_foreach(e, &c->endpoints)
				bh_vec_foreach(a, &e->addrs)
					if (a->family == f->p.dst.family) {
						f->p.dst = f->p.to = *a;
						f->p.dport = f->p.port = b->container_port;
						f->p.dnat = true;
						if (strcmp(f->p.iif, "lo") == 0) {	/* output, before it is routed anew */
							f->hook = BH_HOOK_OUTPUT;
							memset(f->p.iif, 0, sizeof(f->p.iif));
							snprintf(f->p.oif, sizeof(f->p.oif), "lo");
							return true;
						}
						f->hook = BH_HOOK_FORWARD;
						snprintf(f->p.oif, sizeof(f->p.oif), "%s",
							strcmp(e->network_id, "net-x") == 0 ? "docker0" : "br-00000000000b");
						return true;
					}
		}
	return false;
}

/* A first packet from somebody to somebody, one of them a container, as the host's routes lead it. */
static void flow_random(struct rng *r, const struct world *w, struct flow *f)
{
	static const uint8_t protos[] = {IPPROTO_TCP, IPPROTO_TCP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_SCTP, 50};
	enum { CONTAINER, HOST, OUTSIDE } from = rnd(r, 5) < 3 ? CONTAINER : rnd(r, 3) ? OUTSIDE : HOST, to;
	uint8_t family = chance(r, 50) ? 4 : 6;
	const char *bridge = NULL, *outside = chance(r, 80) ? "up0" : "wg0";
	char a[BH_ADDR_TEXT], b[BH_ADDR_TEXT];

	memset(f, 0, sizeof(*f));
	f->hook = BH_HOOK_FORWARD;
	f->p.proto = protos[rnd(r, BH_ARRAY_SIZE(protos))];
	if (f->p.proto == IPPROTO_ICMP && family == 6)
		f->p.proto = IPPROTO_ICMPV6;
	f->p.sport = 40000;
	f->p.dport = f->p.port = port_numbers[rnd(r, BH_ARRAY_SIZE(port_numbers))];
	if (f->p.proto != IPPROTO_TCP && f->p.proto != IPPROTO_UDP && f->p.proto != IPPROTO_SCTP)
		f->p.dport = f->p.port = f->p.sport = 0;
	if (from == CONTAINER) {
		container_addr(r, w, family, &f->p.src, &bridge);
		snprintf(f->p.iif, sizeof(f->p.iif), "%s", bridge);
	} else if (from == OUTSIDE) {
		f->p.src = outside_addr(r, family);
		snprintf(f->p.iif, sizeof(f->p.iif), "%s", outside);
	} else {
		f->p.src = host_addr(r, family);
		f->hook = BH_HOOK_OUTPUT;
	}
	to = from != CONTAINER ? (chance(r, 40) ? HOST : CONTAINER) : rnd(r, 2) ? CONTAINER : rnd(r, 2) ? HOST : OUTSIDE;
	if (to == CONTAINER) {
		container_addr(r, w, family, &f->p.dst, &bridge);
		snprintf(f->p.oif, sizeof(f->p.oif), "%s", bridge);
	} else if (to == OUTSIDE) {
		f->p.dst = outside_addr(r, family);
		snprintf(f->p.oif, sizeof(f->p.oif), "%s", outside);
	} else {
		f->p.dst = host_addr(r, family);
		f->hook = BH_HOOK_INPUT;
		if (from == HOST)
			snprintf(f->p.iif, sizeof(f->p.iif), "lo");
		if (f->p.dport && chance(r, 60))
			f->p.dport = f->p.port = called[rnd(r, BH_ARRAY_SIZE(called))];
	}
	f->p.from = f->p.src;
	f->p.to = f->p.dst;
	snprintf(f->text, sizeof(f->text), "%s %s -> %s %s %u/%u", bh_addr_text(&f->p.from, a), f->p.iif, bh_addr_text(&f->p.to, b), f->p.oif,
		f->p.proto, f->p.port);
	/* the judge is asked what the packet looked like when it was sent */
	f->q = (struct bh_question){.proto = f->p.proto, .from = f->p.from, .to = f->p.to, .port = f->p.port};
	f->q.from_dev = f->p.iif[0] && from != HOST ? f->p.iif : NULL;
	if (to == HOST && chance(r, 50) && dnat(w, f))
		return;	/* as one address of the host to the judge, DNAT or docker-proxy */
	f->q.to_dev = f->p.oif[0] ? f->p.oif : NULL;
}

static bool expects_pass(const struct bh_judgement *v)
{
	return (v->allowed && v->why != BH_WHY_SECOND_LEG) || v->mode == BH_MODE_AUDIT;
}

/* By DNAT a published port is only reached at the address of the container that is pinned, and an IPv6 port of one without: what is looked at here is
 * what policy says. */
static bool is_dark(const struct world *w, const struct flow *f)
{
	if (!f->p.dnat)
		return false;
	if (f->p.port == 53)	/* the container may be a resolver, which this host is not */
		return true;
	bh_vec_foreach(m, &w->placement->members)
		bh_vec_foreach(at, &m->attachments)
			bh_vec_foreach(a, &at->endpoint->addrs)
				if (bh_addr_cmp(a, &f->p.to) == 0)
					return !bh_attachment_is_pinned(at);
	return true;
}

static struct bh_elem *writable(struct bh_ruleset *rs, const struct bh_step *s)
{
	struct bh_set *set = bh_table_set(&rs->tables[BH_FAMILY_INET], s->set->name);

	return bh_set_find(set, s->elem->key);
}

/* How many elements let it pass: a rule for a protocol stands beside one for its ports. */
static size_t ways(const struct bh_judge *j, const struct flow *f, const struct bh_judgement *v)
{
	uint8_t proto = f->q.proto == IPPROTO_ICMPV6 ? IPPROTO_ICMP : f->q.proto;
	struct bh_openings open = {0};
	size_t n = 0;

	assert_int_equal(bh_judge_open(j, &v->from, &v->to, &f->q.to, &open), 0);
	bh_vec_foreach(o, &open.v)
		n += o->all || (o->port.proto == proto && (o->port.all || (o->port.first <= v->port && v->port <= o->port.last)));
	bh_vec_clear(&open.v);
	return n;
}

/* What opens it is what the walk met: with that element out of the way (and nothing else) the packet is dropped. */
static void needs(struct bh_ruleset *rs, const struct bh_judge *j, const struct flow *f, const struct bh_judgement *v, size_t *tested)
{
	struct bh_steps steps = {0};
	bool opens = false;

	assert_int_equal(bh_judge_steps(j, &f->q, v, &steps), 0);
	bh_vec_foreach(s, &steps.v) {
		bool used = v->published && !f->p.dnat ? s->kind == BH_STEP_PROXY : s->kind == BH_STEP_OPENS;

		assert_non_null(bh_step_in(s, rs));
		opens = opens || s->kind == BH_STEP_OPENS;
		if (used && v->mode == BH_MODE_ENFORCE && ways(j, f, v) == 1 && f->q.port != 53) {
			struct bh_elem *e = writable(rs, s), was = *e;

			memset(e->key, 0xee, sizeof(e->key));
			memset(e->key_end, s->set->flags & BH_SET_INTERVAL ? 0xee : 0, sizeof(e->key_end));
			if (walk_passes(&rs->tables[BH_FAMILY_INET], &f->p, f->hook))
				fail_msg("%s passes without its element of %s", f->text, s->set->name);
			*e = was;
			++*tested;
		}
	}
	if ((v->why == BH_WHY_RULE) != opens || (ways(j, f, v) > 0) != opens)
		fail_msg("%s: why %d, element %d", f->text, v->why, opens);
	bh_vec_clear(&steps.v);
}

static void as_the_rules_do(void **state)
{
	size_t total = 0, open = 0, published = 0, by_dnat = 0, second = 0, unknown = 0, dns = 0, tested = 0;
	struct rng r = {.s = 20261127};

	(void)state;
	for (int i = 0; i < POLICIES; i++) {
		struct world w;
		struct bh_error err = {0};
		struct bh_ruleset *wanted;
		struct bh_compile_input in;
		struct bh_judge *j;

		world_random(&r, &w);
		w.policy = policy_random(&r);
		wanted = world_compile(&w, &err);
		assert_non_null(wanted);
		in = (struct bh_compile_input){.policy = w.policy, .inventory = w.inventory, .host = w.host, .features = &w.features, .placement = w.placement};
		assert_int_equal(bh_judge_new(&in, wanted, &j), 0);
		for (int k = 0; k < FLOWS; k++) {
			struct bh_judgement v;
			struct flow f;
			bool passes;

			flow_random(&r, &w, &f);
			if (is_dark(&w, &f))
				continue;
			v = bh_judge_flow(j, &f.q);
			if (!v.ours)
				continue;
			passes = walk_passes(&wanted->tables[BH_FAMILY_INET], &f.p, f.hook);
			if (passes != expects_pass(&v))
				fail_msg("policy %d: %s%s: the rules say %s, the judge: why %d, mode %d, %s (%s) to %s (%s)", i, f.text, f.p.dnat ? " by DNAT" : "",
					passes ? "pass" : "drop", v.why, v.mode, bh_party_name(j, &v.from), bh_party_zone(j, &v.from),
					bh_party_name(j, &v.to), bh_party_zone(j, &v.to));
			needs(wanted, j, &f, &v, &tested);
			total++;
			open += passes;
			published += v.published != NULL;
			by_dnat += f.p.dnat;
			second += v.why == BH_WHY_SECOND_LEG;
			unknown += v.why == BH_WHY_UNKNOWN;
			dns += v.why == BH_WHY_RULE && w.placement->insts.v[v.opened_to].builtin == BH_BUILTIN_DNS;
		}
		bh_judge_free(j);
		bh_ruleset_free(wanted);
		world_free(&w);
	}
	print_message("%zu flows, %zu open, %zu to published ports (%zu by DNAT), %zu second legs, %zu unknown, %zu dns, %zu elements taken away\n", total, open,
		published, by_dnat, second, unknown, dns, tested);
	assert_true(total > 20000 && open * 10 > total * 3 && open * 10 < total * 7);
	assert_true(published > 500 && by_dnat > 200 && second > 50 && unknown > 100 && dns > 10 && tested > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(as_the_rules_do)};

	return cmocka_run_group_tests_name("walk", tests, NULL, NULL);
}
