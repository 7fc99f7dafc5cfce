/* SPDX-License-Identifier: Apache-2.0 */
/* Who is at an address and what policy says of a flow, on the host of tests/golden/compile/skeleton: the answers stand here by hand. */
#include <bulkhead/judge.h>

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../common/world.h"

struct fixture {
	struct world w;
	struct bh_ruleset *wanted;
	struct bh_judge *j;
};

static int setup(void **state)
{
	static struct fixture f;
	struct bh_error err = {0};
	struct bh_compile_input in;

	memset(&f, 0, sizeof(f));
	world_load(&f.w, CASES "/skeleton");
	f.wanted = world_compile(&f.w, &err);
	in = (struct bh_compile_input){.policy = f.w.policy, .inventory = f.w.inventory, .host = f.w.host, .features = &f.w.features,
		.placement = f.w.placement};
	if (bh_judge_new(&in, f.wanted, &f.j) < 0)
		return -1;
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	bh_judge_free(f->j);
	bh_ruleset_free(f->wanted);
	world_free(&f->w);
	return 0;
}

static struct bh_addr addr(const char *text)
{
	struct bh_addr a;

	assert_int_equal(bh_addr_parse(text, &a), 0);
	return a;
}

static const struct {
	const char *addr, *dev, *name, *zone;
} whos[] = {
	{"10.111.0.11", NULL, "web1", "web"},
	{"10.111.0.11", "docker0", "web1", "web"},
	{"10.111.0.11", "br-00000000000b", "unknown", "unknown"},	/* another bridge's */
	{"10.111.0.99", "docker0", "unknown", "unknown"},
	{"10.112.0.23", NULL, "pb1", "project:b"},
	{"2001:db8:d0::c", NULL, "api1", "api"},
	{"fe80::42:aff:fe6f:c", "docker0", "api1", "api"},
	{"10.111.0.14", NULL, "quar1", "quarantine"},
	{"10.111.0.1", NULL, "host", "host"},
	{"127.0.0.1", NULL, "host", "host"},
	{"::1", NULL, "host", "host"},
	{"198.51.100.1", NULL, "host", "host"},
	{"198.51.100.200", NULL, "office", "office"},
	{"198.51.100.127", NULL, "internet", "internet"},
	{"2001:db8:51:0:8000::1", NULL, "office", "office"},
	{"10.110.255.255", NULL, "lan", "lan"},
	{"169.254.169.254", NULL, "metadata", "metadata"},
	{"203.0.113.9", "wg3", "vpn", "vpn"},
	{"203.0.113.9", "up0", "internet", "internet"},
	{"10.111.0.11", "up0", "unknown", "unknown"},	/* a container's address that comes from outside */
};

static void who_is_where(void **state)
{
	const struct fixture *f = *state;

	for (size_t i = 0; i < BH_ARRAY_SIZE(whos); i++) {
		const struct bh_addr a = addr(whos[i].addr);
		const struct bh_party p = bh_judge_who(f->j, &a, whos[i].dev);

		if (strcmp(bh_party_name(f->j, &p), whos[i].name) != 0 || strcmp(bh_party_zone(f->j, &p), whos[i].zone) != 0)
			fail_msg("%s on %s is %s in %s", whos[i].addr, whos[i].dev ? whos[i].dev : "any", bh_party_name(f->j, &p),
				bh_party_zone(f->j, &p));
	}
}

static const struct {
	const char *from, *to;
	uint8_t proto;
	uint16_t port;
	bool ours, allowed;
	enum bh_mode mode;
} flows[] = {
	{"10.111.0.11", "10.111.0.12", IPPROTO_TCP, 8080, true, true, BH_MODE_ENFORCE},
	{"10.111.0.11", "10.111.0.12", IPPROTO_TCP, 8081, true, false, BH_MODE_ENFORCE},
	{"10.111.0.11", "10.111.0.12", IPPROTO_TCP, 9500, true, true, BH_MODE_ENFORCE},
	{"10.111.0.11", "10.111.0.12", IPPROTO_UDP, 8080, true, false, BH_MODE_ENFORCE},
	{"10.111.0.11", "10.111.0.12", IPPROTO_ICMP, 0, true, true, BH_MODE_ENFORCE},
	{"2001:db8:d0::b", "2001:db8:d0::c", IPPROTO_ICMPV6, 0, true, true, BH_MODE_ENFORCE},
	{"10.111.0.12", "10.111.0.11", IPPROTO_TCP, 8080, true, false, BH_MODE_ENFORCE},	/* not the other way */
	{"10.111.0.11", "10.111.0.13", IPPROTO_TCP, 5432, true, false, BH_MODE_AUDIT},	/* who answers decides the mode */
	{"10.111.0.12", "10.111.0.13", IPPROTO_TCP, 5432, true, true, BH_MODE_AUDIT},
	{"10.111.0.13", "10.111.0.12", IPPROTO_TCP, 5432, true, false, BH_MODE_ENFORCE},
	{"10.112.0.21", "10.112.0.22", IPPROTO_UDP, 1, true, true, BH_MODE_ENFORCE},
	{"10.112.0.21", "10.112.0.23", IPPROTO_UDP, 1, true, false, BH_MODE_ENFORCE},
	{"10.112.0.24", "10.112.0.22", IPPROTO_TCP, 1, true, true, BH_MODE_ENFORCE},
	{"10.112.0.24", "10.112.0.23", IPPROTO_TCP, 1, true, false, BH_MODE_ENFORCE},
	{"203.0.113.1", "10.111.0.11", IPPROTO_TCP, 80, true, true, BH_MODE_ENFORCE},
	{"10.111.0.11", "203.0.113.1", IPPROTO_TCP, 443, true, true, BH_MODE_ENFORCE},
	{"10.111.0.11", "203.0.113.1", IPPROTO_TCP, 80, true, false, BH_MODE_ENFORCE},
	{"10.111.0.11", "198.51.100.53", IPPROTO_UDP, 53, true, true, BH_MODE_ENFORCE},	/* dns */
	{"10.111.0.12", "198.51.100.53", IPPROTO_TCP, 53, true, true, BH_MODE_ENFORCE},
	{"10.111.0.12", "198.51.100.53", IPPROTO_TCP, 54, true, false, BH_MODE_ENFORCE},
	{"10.111.0.13", "198.51.100.53", IPPROTO_UDP, 53, true, false, BH_MODE_ENFORCE},
	{"10.111.0.11", "169.254.169.254", IPPROTO_TCP, 80, true, false, BH_MODE_ENFORCE},
	{"10.111.0.11", "10.111.0.1", IPPROTO_TCP, 8099, true, true, BH_MODE_ENFORCE},
	{"10.111.0.11", "10.111.0.1", IPPROTO_TCP, 22, true, false, BH_MODE_ENFORCE},
	{"10.111.0.12", "10.111.0.14", IPPROTO_TCP, 2222, true, true, BH_MODE_ENFORCE},
	{"10.111.0.11", "10.111.0.14", IPPROTO_TCP, 2222, true, false, BH_MODE_ENFORCE},
	/* published: the container's port by the host's, docker-proxy's second leg */
	{"203.0.113.1", "198.51.100.1", IPPROTO_TCP, 8080, true, true, BH_MODE_ENFORCE},
	{"203.0.113.1", "198.51.100.1", IPPROTO_TCP, 9090, true, false, BH_MODE_ENFORCE},
	{"10.111.0.11", "198.51.100.1", IPPROTO_TCP, 5432, true, false, BH_MODE_AUDIT},
	{"10.111.0.12", "198.51.100.1", IPPROTO_TCP, 5432, true, true, BH_MODE_AUDIT},
	{"10.111.0.1", "10.111.0.13", IPPROTO_TCP, 5432, true, true, BH_MODE_AUDIT},
	{"10.111.0.1", "10.111.0.13", IPPROTO_TCP, 22, true, false, BH_MODE_AUDIT},
	{"10.111.0.1", "198.51.100.1", IPPROTO_TCP, 5432, true, false, BH_MODE_AUDIT},	/* the first leg needs a rule */
	{"169.254.169.254", "10.111.0.13", IPPROTO_TCP, 22, true, false, BH_MODE_AUDIT},
	{"169.254.169.254", "10.111.0.11", IPPROTO_TCP, 80, true, false, BH_MODE_ENFORCE},
	{"10.111.0.99", "10.111.0.13", IPPROTO_TCP, 22, true, false, BH_MODE_ENFORCE},	/* an unknown sender is the file's to answer */
	/* nobody's, and not ours */
	{"10.111.0.99", "10.111.0.11", IPPROTO_TCP, 80, true, false, BH_MODE_ENFORCE},
	{"203.0.113.1", "198.51.100.1", IPPROTO_TCP, 22, false, true, BH_MODE_ENFORCE},
	{"203.0.113.1", "10.55.0.9", IPPROTO_TCP, 22, false, true, BH_MODE_ENFORCE},
};

static void what_policy_says(void **state)
{
	const struct fixture *f = *state;

	for (size_t i = 0; i < BH_ARRAY_SIZE(flows); i++) {
		const struct bh_question q = {.proto = flows[i].proto, .from = addr(flows[i].from), .to = addr(flows[i].to),
			.port = flows[i].port};
		const struct bh_judgement v = bh_judge_flow(f->j, &q);

		if (v.ours != flows[i].ours || v.allowed != flows[i].allowed || v.mode != flows[i].mode)
			fail_msg("%s -> %s %u/%u: ours %d allowed %d mode %d (%s -> %s)", flows[i].from, flows[i].to, flows[i].proto,
				flows[i].port, v.ours, v.allowed, v.mode, bh_party_name(f->j, &v.from), bh_party_name(f->j, &v.to));
	}
}

/* An address that a container forwards for is its zone, on its bridge alone. */
static void who_is_behind_a_forwarder(void **state)
{
	static const struct {
		const char *addr, *dev, *zone;
	} forwarded[] = {
		{"10.8.0.2", "docker0", "router"}, {"10.8.1.2", "docker0", "gateway"}, {"203.0.113.9", "docker0", "gateway"},
		{"fd08::2", "docker0", "router"}, {"2001:db8:99::2", "docker0", "gateway"}, {"10.111.0.99", "docker0", "unknown"},
		{"10.112.0.99", "docker0", "unknown"}, {"198.51.100.1", "docker0", "host"}, {"169.254.169.254", "docker0", "unknown"},
		{"10.9.0.130", "br-00000000000b", "tied-b"}, {"10.9.0.2", "br-00000000000b", "unknown"},
		{"203.0.113.9", "br-00000000000b", "unknown"}, {"10.8.0.2", "up0", "lan"},
	};
	struct bh_error err = {0};
	struct bh_compile_input in;
	struct bh_ruleset *wanted;
	struct bh_judge *j;
	struct world w;

	(void)state;
	world_load(&w, CASES "/forwards");
	wanted = world_compile(&w, &err);
	assert_non_null(wanted);
	in = (struct bh_compile_input){.policy = w.policy, .inventory = w.inventory, .host = w.host, .features = &w.features,
		.placement = w.placement};
	assert_int_equal(bh_judge_new(&in, wanted, &j), 0);
	for (size_t i = 0; i < BH_ARRAY_SIZE(forwarded); i++) {
		struct bh_addr a = addr(forwarded[i].addr);
		struct bh_party p = bh_judge_who(j, &a, forwarded[i].dev);

		if (strcmp(bh_party_zone(j, &p), forwarded[i].zone) != 0)
			fail_msg("%s on %s: %s", forwarded[i].addr, forwarded[i].dev, bh_party_zone(j, &p));
	}
	bh_judge_free(j);
	bh_ruleset_free(wanted);
	world_free(&w);
}

/* By hand: in quarantine, but enforced in a file in audit, from whom and to whom ever; and rules that name quarantine open for it. */
static void who_is_held_by_hand(void **state)
{
	static const struct {
		const char *from, *to;
		uint16_t port;
		bool allowed;
		enum bh_mode mode;
	} held[] = {
		{"10.111.0.12", "10.111.0.11", 2222, true, BH_MODE_ENFORCE}, {"10.111.0.12", "10.111.0.11", 80, false, BH_MODE_ENFORCE},
		{"10.111.0.11", "10.111.0.12", 8080, false, BH_MODE_ENFORCE}, {"10.111.0.11", "10.111.0.13", 5432, false, BH_MODE_ENFORCE},
		{"10.111.0.12", "10.111.0.14", 80, false, BH_MODE_AUDIT}, {"10.112.0.11", "10.111.0.12", 8080, true, BH_MODE_AUDIT},
	};
	struct bh_error err = {0};
	struct bh_compile_input in;
	struct bh_ruleset *wanted;
	struct bh_judge *j;
	struct world w;

	(void)state;
	world_load(&w, CASES "/skeleton");
	w.policy->mode = BH_MODE_AUDIT;
	bh_vec_foreach(c, &w.inventory->containers)
		if (bh_streq(c->name, "web1"))
			assert_int_equal(bh_strv_push(&w.memory.held, c->id), 0);
	wanted = world_compile(&w, &err);
	assert_non_null(wanted);
	in = (struct bh_compile_input){.policy = w.policy, .inventory = w.inventory, .host = w.host, .features = &w.features,
		.placement = w.placement};
	bh_vec_foreach(m, &w.placement->members)
		if (bh_streq(m->container->name, "web1")) {
			assert_int_equal(w.placement->insts.v[m->inst].id, BH_ID_HELD);
			assert_string_equal(w.placement->insts.v[m->inst].name, "quarantine");
			assert_string_equal(m->reason, "put there by hand: bulkhead release web1");
		}
	assert_int_equal(bh_judge_new(&in, wanted, &j), 0);
	for (size_t i = 0; i < BH_ARRAY_SIZE(held); i++) {
		const struct bh_question q = {.proto = IPPROTO_TCP, .from = addr(held[i].from), .to = addr(held[i].to), .port = held[i].port};
		const struct bh_judgement v = bh_judge_flow(j, &q);

		if (v.allowed != held[i].allowed || v.mode != held[i].mode)
			fail_msg("%s -> %s: allowed %d mode %d", held[i].from, held[i].to, v.allowed, v.mode);
	}
	/* nothing of docker-proxy's that was there before goes on */
	bh_vec_foreach(e, &bh_table_set(&wanted->tables[BH_FAMILY_INET], "legs4")->elems)
		assert_memory_not_equal(e->key, "\x0a\x6f\x00\x0b", 4);
	bh_judge_free(j);
	bh_ruleset_free(wanted);
	world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_is_behind_a_forwarder),
		cmocka_unit_test(who_is_held_by_hand),
		cmocka_unit_test_setup_teardown(who_is_where, setup, teardown),
		cmocka_unit_test_setup_teardown(what_policy_says, setup, teardown),
	};

	return cmocka_run_group_tests_name("judge", tests, NULL, NULL);
}
