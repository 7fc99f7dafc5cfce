/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <bulkhead/allow.h>
#include <bulkhead/config.h>

#include "configbuild.h"

static const char head[] = "version: 1\nmode: enforce\nzones:\n"
			   "  web: {select: {name: web}}\n"
			   "  api: {select: {name: api}}\n"
			   "  project: {per: compose}\n"
			   "  front: {per: compose, select: {name: x}}\n"
			   "  net: {per: network}\n"
			   "  office: {cidrs: [203.0.113.0/24]}\n"
			   "  metadata: {cidrs: [198.51.100.1]}\n"
			   "allow:\n";

static struct bh_policy *parse(const char *rules)
{
	_cleanup_buf_ struct bh_buf text = {0};

	bh_buf_printf(&text, "%s%s", head, rules);
	return cb_parse("test.yaml", text.s);
}

/* The pairs of RULES as text: "web>api web>lan(tcp/80)", = equal, ! different values. */
static void assert_pairs(const char *rules, const char *want)
{
	struct bh_policy *p = parse(rules);
	struct bh_allows allows = {0};
	_cleanup_buf_ struct bh_buf b = {0};

	assert_int_equal(bh_allow_expand(p, p->allow.v, p->allow.n, &allows, NULL), 0);
	bh_vec_foreach(a, &allows.v) {
		struct bh_portset ports = {0};

		bh_buf_puts(&b, b.n ? " " : "");
		bh_end_print(p, &a->from, &b);
		bh_buf_puts(&b, a->values == BH_VALUES_EQUAL ? "=" : a->values == BH_VALUES_DIFFERENT ? "!" : ">");
		bh_end_print(p, &a->to, &b);
		assert_int_equal(bh_allow_ports(p->allow.v, a, &ports), 0);
		if (!ports.all) {
			bh_buf_puts(&b, "(");
			bh_portset_print(&ports, &b);
			bh_buf_puts(&b, ")");
		}
		bh_portset_clear(&ports);
	}
	assert_string_equal(b.s ? b.s : "", want);
	bh_allows_clear(&allows);
	bh_policy_free(p);
}

static void plain_rules_are_pairs(void **state)
{
	(void)state;
	assert_pairs("  - {from: web, to: api, ports: [tcp/80]}\n", "web>api(tcp/80)");
	assert_pairs("  - {from: [web, office], to: [api, web]}\n", "web>api web>web office>api office>web");
	assert_pairs("  - {from: web, to: metadata}\n", "web>metadata");
	assert_pairs("  - {from: web, to: quarantine}\n", "web>quarantine");
	assert_pairs("  - {from: build, to: [internet, web]}\n", "build>internet build>web");
}

static void unions_are_taken_apart(void **state)
{
	(void)state;
	assert_pairs("  - {from: world, to: web}\n", "lan>web internet>web");
	assert_pairs("  - {from: [world, lan], to: web}\n", "lan>web internet>web");
	assert_pairs("  - {from: containers, to: dns}\n",
		"web>dns(tcp/53, udp/53) api>dns(tcp/53, udp/53) project>dns(tcp/53, udp/53) front>dns(tcp/53, udp/53) "
		"net>dns(tcp/53, udp/53) build>dns(tcp/53, udp/53)");
	assert_pairs("  - {from: web, to: containers}\n", "web>web web>api web>project web>front web>net web>build");
	assert_pairs("  - {from: host, to: any}\n", "host>web host>api host>project host>front host>net host>build");
	assert_pairs("  - {from: office, to: any}\n", "office>web office>api office>project office>front office>net office>build");
	assert_pairs("  - {from: any, to: lan}\n", "web>lan api>lan project>lan front>lan net>lan build>lan");
	assert_pairs("  - {from: any, to: quarantine}\n",
		"host>quarantine web>quarantine api>quarantine project>quarantine front>quarantine net>quarantine "
		"office>quarantine build>quarantine lan>quarantine internet>quarantine");
	assert_pairs("  - {from: web, to: any}\n",
		"web>host web>api web>project web>front web>net web>office web>build web>dns(tcp/53, udp/53) web>lan web>internet");
}

static void any_never_opens_a_zone_to_itself(void **state)
{
	(void)state;
	assert_pairs("  - {from: any, to: web}\n", "host>web api>web project>web front>web net>web office>web build>web lan>web internet>web");
	assert_pairs("  - {from: [any, web], to: web}\n",
		"host>web api>web project>web front>web net>web office>web build>web lan>web internet>web web>web");
	assert_pairs("  - {from: any, to: \"project:a\"}\n",
		"host>project:a web>project:a api>project:a front>project:a net>project:a office>project:a build>project:a lan>project:a "
		"internet>project:a");
}

static void families_join_values(void **state)
{
	(void)state;
	assert_pairs("  - {from: project, to: project}\n", "project=project");
	assert_pairs("  - {from: front, to: project, values: different}\n", "front!project");
	assert_pairs("  - {from: front, to: project, values: any}\n", "front>project");
	assert_pairs("  - {from: project, to: net}\n", "project>net");
	assert_pairs("  - {from: \"project:a\", to: project}\n", "project:a>project");
	assert_pairs("  - {from: [project, \"project:a\"], to: project}\n", "project=project project:a>project");
	assert_pairs("  - {from: [project, \"project:a\"], to: web}\n", "project>web");
	assert_pairs("  - {from: [project, containers], to: \"project:a\"}\n",
		"project>project:a web>project:a api>project:a front>project:a net>project:a build>project:a");
}

static void dns_is_port_53_only(void **state)
{
	(void)state;
	assert_pairs("  - {from: web, to: [dns, internet], ports: [tcp/443, udp/1-100]}\n",
		"web>dns(udp/53) web>internet(tcp/443, udp/1-100)");
	assert_pairs("  - {from: web, to: dns, ports: [tcp, icmp]}\n", "web>dns(tcp/53)");
	assert_pairs("  - {from: web, to: dns, ports: [tcp/443]}\n", "web>dns(nothing)");
}

static void concrete_ends_are_joined(void **state)
{
	struct bh_policy *p = parse("  - {from: project, to: project, ports: [tcp/80]}\n"
				    "  - {from: \"project:a\", to: project, ports: [tcp/81]}\n");
	struct bh_end from = {.zone = bh_policy_find_zone(p, "project"), .value = "a"}, to = from;
	struct bh_allow_index index = {0};
	struct bh_allows allows = {0};
	static const struct {
		const char *from, *to, *open;
	} cases[] = {{"a", "a", "tcp/80-81"}, {"a", "b", "tcp/81"}, {"b", "a", "nothing"}, {"b", "b", "tcp/80"}};

	(void)state;
	assert_int_equal(bh_allow_expand(p, p->allow.v, p->allow.n, &allows, NULL), 0);
	assert_int_equal(bh_allow_index_make(&allows, &index), 0);
	for (size_t i = 0; i < BH_ARRAY_SIZE(cases); i++) {
		_cleanup_buf_ struct bh_buf b = {0};
		struct bh_portset open = {0};

		from.value = cases[i].from;
		to.value = cases[i].to;
		assert_int_equal(bh_allow_open(p->allow.v, &index, &from, &to, &open), 0);
		bh_portset_print(&open, &b);
		assert_string_equal(b.s, cases[i].open);
		bh_portset_clear(&open);
	}
	bh_allow_index_clear(&index);
	bh_allows_clear(&allows);
	bh_policy_free(p);
}

static void a_flood_of_pairs_is_refused(void **state)
{
	_cleanup_buf_ struct bh_buf text = {0};
	struct bh_diags diags = {0};
	struct bh_policy *p = NULL;

	(void)state;
	bh_buf_puts(&text, "version: 1\nmode: enforce\nzones:\n");
	for (int i = 0; i < 1100; i++)
		bh_buf_printf(&text, "  z%d: {select: {name: z%d}}\n", i, i);
	bh_buf_puts(&text, "allow: [{from: containers, to: containers}]\n");
	assert_int_equal(bh_config_parse(&(struct bh_config_text){"test.yaml", text.s, text.n}, 1, &p, &diags), -EINVAL);
	assert_int_equal(diags.errors, 1);
	assert_non_null(strstr(diags.v.v[0].message, "1000000 pairs"));
	bh_diags_clear(&diags);
}

static struct bh_port port(const char *text)
{
	struct bh_port p = {0};

	assert_int_equal(bh_port_parse(text, &p), 0);
	return p;
}

/* Against a plain array of what is open. */
static void portset_agrees_with_a_bitmap(void **state)
{
	uint32_t seed = 1;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		struct bh_portset s = {0};
		bool open[64] = {false};

		for (int k = 0; k < 12; k++) {
			struct bh_port p = {.proto = 6};

			seed = seed * 1664525u + 1013904223u;
			p.first = (uint16_t)(1 + (seed >> 8) % 60);
			p.last = (uint16_t)(p.first + (seed >> 20) % 3);
			for (unsigned i = p.first; i <= p.last; i++)
				open[i] = true;
			assert_int_equal(bh_portset_add(&s, &p), 0);
		}
		for (unsigned i = 1; i < 64; i++) {
			struct bh_port one = {.proto = 6, .first = (uint16_t)i, .last = (uint16_t)i};

			assert_int_equal(bh_portset_has(&s, &one), open[i]);
			assert_int_equal(bh_portset_meets(&s, &one), open[i]);
		}
		for (size_t i = 1; i < s.ports.n; i++)
			assert_true(s.ports.v[i - 1].last + 1 < s.ports.v[i].first);
		bh_portset_clear(&s);
	}
}

static void portset_knows_protocols(void **state)
{
	struct bh_portset a = {0}, b = {0};
	struct bh_port p;

	(void)state;
	p = port("tcp/80");
	assert_int_equal(bh_portset_add(&a, &p), 0);
	assert_false(bh_portset_covers(&b, &a));
	assert_true(bh_portset_covers(&a, &b));
	p = port("tcp");
	assert_false(bh_portset_has(&a, &p));
	assert_true(bh_portset_meets(&a, &p));
	assert_int_equal(bh_portset_add(&a, &p), 0);
	assert_int_equal(a.ports.n, 1);
	assert_true(bh_portset_has(&a, &p));
	p = port("udp/80");
	assert_false(bh_portset_meets(&a, &p));
	bh_portset_add_all(&b);
	assert_true(bh_portset_covers(&b, &a));
	assert_false(bh_portset_covers(&a, &b));
	p = port("esp");
	assert_true(bh_portset_has(&b, &p));
	bh_portset_clear(&a);
	bh_portset_clear(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_rules_are_pairs),
		cmocka_unit_test(unions_are_taken_apart),
		cmocka_unit_test(any_never_opens_a_zone_to_itself),
		cmocka_unit_test(families_join_values),
		cmocka_unit_test(dns_is_port_53_only),
		cmocka_unit_test(concrete_ends_are_joined),
		cmocka_unit_test(a_flood_of_pairs_is_refused),
		cmocka_unit_test(portset_agrees_with_a_bitmap),
		cmocka_unit_test(portset_knows_protocols),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
