/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <bulkhead/compile.h>
#include <bulkhead/diff.h>

#include "../common/world.h"

#define CASE(name) CASES "/" name

static struct bh_ruleset *load(struct world *w, const char *dir)
{
	struct bh_error err = {0};

	world_load(w, dir);
	return world_compile(w, &err);
}

static struct bh_table *inet(struct bh_ruleset *r)
{
	return &r->tables[BH_FAMILY_INET];
}

static char *text(const struct bh_ruleset *r)
{
	struct bh_buf b = {0};
	char *s;

	assert_int_equal(bh_ruleset_print(r, &b), 0);
	assert_int_equal(bh_buf_steal(&b, &s), 0);
	return s;
}

static void the_same_twice(void **state)
{
	struct world w;
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *a = load(&w, CASE("skeleton")), *b = NULL;
	_cleanup_free_ char *x = text(a), *y = NULL;
	struct bh_error err = {0};

	(void)state;
	b = world_compile(&w, &err);
	y = text(b);
	assert_string_equal(x, y);
	world_free(&w);
}

static void the_order_of_the_inventory_does_not_matter(void **state)
{
	struct world w;
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *a = load(&w, CASE("skeleton")), *b = NULL;
	_cleanup_free_ char *x = text(a), *y = NULL;
	struct bh_container *v = w.inventory->containers.v;
	size_t n = w.inventory->containers.n;
	struct bh_error err = {0};

	(void)state;
	for (size_t i = 0; i < n / 2; i++) {
		struct bh_container c = v[i];

		v[i] = v[n - 1 - i];
		v[n - 1 - i] = c;
	}
	w.seen = bh_take(a);	/* what was numbered keeps its number */
	b = world_compile(&w, &err);
	y = text(b);
	assert_string_equal(x, y);
	world_free(&w);
}

/* A member that goes takes its own elements along and touches neither rules nor other members' elements. */
static void a_member_is_only_elements(void **state)
{
	struct world w;
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *with = load(&w, CASE("skeleton")), *without = NULL;
	_cleanup_(bh_plan_freep) struct bh_plan *plan = NULL;
	struct bh_error err = {0};
	size_t elems = 0;

	(void)state;
	bh_container_clear(&w.inventory->containers.v[0]);	/* api1, with a published port */
	w.inventory->containers.v[0] = w.inventory->containers.v[--w.inventory->containers.n];
	w.seen = bh_take(with);
	without = world_compile(&w, &err);
	assert_int_equal(bh_diff(without, w.seen, &plan), 0);
	bh_vec_foreach(c, &plan->changes) {
		assert_int_equal(c->kind, BH_DEL_ELEMS);
		bh_vec_foreach(e, &c->elems)
			assert_int_not_equal((*e)->verdict == BH_JUMP || (*e)->verdict == BH_GOTO, true);
		elems += c->elems.n;
	}
	assert_in_range(elems, 15, 40);
	world_free(&w);
}

/* Every chain that a packet goes to must end in a verdict: take it away, and the proof must not hold. */
static void every_ending_is_needed(void **state)
{
	static const char *const returns[] = {	/* below a jump: their end goes on behind it, to a denial or to the next step */
		"answered_here", "answers_in", "answers_out", "deny", "deny_quarantine", "error", "error_inside", "error_outside", "leg_ok", "leg_token", "second_leg", "second_leg_denied", "second_leg_known", "second_leg_open", "second_leg_take", "from_host",
		"flowless_here", "judge_answer", "port_error4", "port_error6", "from_outside_orig", "from_outside_reply", "from_published", "from_via_orig", "from_via_reply", "from_world",
		"published_here", "related", "to_dns", "to_dns_port", "to_end", "to_local", "to_orig", "to_outside", "to_outside_orig", "to_outside_reply", "to_published",
		"to_reply", "to_via_orig", "to_via_reply", "to_world",
	};
	struct world w;
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *r = load(&w, CASE("skeleton"));
	size_t needed = 0, jumped = 0;

	(void)state;
	assert_int_equal(bh_ruleset_prove(r, NULL), 0);
	for (int f = 0; f < BH_FAMILY_MAX; f++)
		bh_vec_foreach(c, &r->tables[f].chains) {
			bool may_return = strncmp(c->name, "zone_", 5) == 0;	/* the rule behind the jump denies */

			for (size_t i = 0; i < BH_ARRAY_SIZE(returns); i++)
				may_return = may_return || strcmp(returns[i], c->name) == 0;
			c->rules.n--;
			if (may_return)
				jumped++;
			else
				needed++;
			if ((bh_ruleset_prove(r, NULL) == 0) != may_return)
				fail_msg("without its last rule, chain %s %s", c->name, may_return ? "is refused" : "is accepted");
			c->rules.n++;
		}
	assert_int_equal(jumped, BH_ARRAY_SIZE(returns) + 13);
	assert_true(needed > 35);
	world_free(&w);
}

/* After a jump the denial behind it stands; after a goto nothing does. */
static void a_jump_made_a_goto_is_found(void **state)
{
	struct world w;
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *r = load(&w, CASE("skeleton"));
	struct bh_chain *c = bh_table_chain(inet(r), "judge_orig");
	bool found = false;

	(void)state;
	assert_non_null(c);
	bh_vec_foreach(rule, &c->rules)
		bh_vec_foreach(s, &rule->stmts)
			if (s->kind == BH_STMT_VERDICT && s->verdict == BH_JUMP) {
				s->verdict = BH_GOTO;
				assert_int_equal(bh_ruleset_prove(r, NULL), -EINVAL);
				s->verdict = BH_JUMP;
				found = true;
			}
	assert_true(found);
	assert_int_equal(bh_ruleset_prove(r, NULL), 0);
	world_free(&w);
}

static void add_many(struct world *w, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct bh_container *c;
		struct bh_endpoint *e;
		char name[16];
		struct bh_link *l;

		snprintf(name, sizeof(name), "m%u", (unsigned)i % 100000);
		c = mb_container(w->inventory, name);
		mb_label(c, "tier", i % 2 ? "web" : "api");
		mb_endpoint(c, "bridge", NULL, 1);
		e = &c->endpoints.v[0];
		e->mac = (struct bh_mac){{2, 0x42, 1, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i}};
		mb_need(bh_vec_push(&e->addrs, ((struct bh_addr){4, {10, 111, (uint8_t)(4 + (i >> 8)), (uint8_t)i}})) < 0 ? NULL : e);
		l = mb_link(w->host, 1000 + (int)i, name, BH_LINK_VETH);
		l->master = 2;
		l->has_peer = true;
		l->peer_mac = e->mac;
	}
}

static void ten_thousand_members(void **state)
{
	struct world w;
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *few = load(&w, CASE("skeleton")), *many = NULL;
	struct bh_error err = {0};

	(void)state;
	add_many(&w, 10000);
	many = world_compile(&w, &err);
	assert_int_equal(bh_table_set(inet(many), "zone_of4")->elems.n, bh_table_set(inet(few), "zone_of4")->elems.n + 10000);
	assert_int_equal(inet(many)->chains.n, inet(few)->chains.n);
	assert_int_equal(inet(many)->sets.n, inet(few)->sets.n);
	world_free(&w);
}

static void count(struct bh_ruleset *r, const char *set, uint32_t id, uint64_t n)
{
	bh_vec_foreach(e, &bh_table_set(inet(r), set)->elems)
		if (memcmp(e->key, &id, sizeof(id)) == 0) {
			e->packets = n;
			e->bytes = n * 100;
		}
}

static size_t inst_named(const struct world *w, const char *name)
{
	for (size_t i = 0; i < w->placement->insts.n; i++)
		if (strcmp(w->placement->insts.v[i].name, name) == 0)
			return i;
	fail_msg("no zone %s", name);
	return 0;
}

static uint64_t pair_packets(const struct bh_pairs *p, size_t rule, size_t from, size_t to)
{
	bh_vec_foreach(x, &p->pairs)
		if (x->rule == rule && x->from == from && x->to == to)
			return x->packets;
	fail_msg("no pair of rule %zu", rule);
	return 0;
}

static void counts_are_read_by_rule_and_zone(void **state)
{
	struct world w;
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *r = load(&w, CASE("skeleton"));
	struct bh_compile_input in = {.policy = w.policy, .inventory = w.inventory, .host = w.host, .features = &w.features,
		.placement = w.placement};
	_cleanup_(bh_pairs_freep) struct bh_pairs *p = NULL;
	size_t web = inst_named(&w, "web"), api = inst_named(&w, "api"), dns = inst_named(&w, "dns"),
	       inside = inst_named(&w, "project:a"), other = inst_named(&w, "project:b"), host = inst_named(&w, "host");

	(void)state;
	count(r, "from_zone", w.placement->insts.v[web].id, 50);
	count(r, "ports_1_web", w.placement->insts.v[api].id, 2);	/* tcp/8080 and udp/5000 */
	count(r, "ranges_1_web", w.placement->insts.v[api].id, 5);
	count(r, "protos_1_web", w.placement->insts.v[api].id, 7);	/* icmp and icmpv6 */
	count(r, "protos_1_web", BH_ID_DNS, 3);
	count(r, "all_6_project_a", w.placement->insts.v[inside].id, 11);
	count(r, "ports_host", w.placement->insts.v[web].id, 13);
	count(r, "legs_host", BH_ID_LEG + 4, 17);			/* web1's tcp/80 */
	assert_int_equal(bh_pairs_read(&in, r, &p), 0);
	assert_int_equal(pair_packets(p, 1, web, api), 2 + 2 + 5 + 7 + 7);
	assert_int_equal(pair_packets(p, 3, web, dns), 3 + 3);
	assert_int_equal(pair_packets(p, 7, inside, inside), 11);
	assert_int_equal(pair_packets(p, 7, other, other), 0);
	assert_int_equal(pair_packets(p, 4, host, web), 13 + 17);
	assert_int_equal(bh_zone_counts(r, w.placement, web).packets, 50 + 13 + 17);
	assert_int_equal(bh_zone_counts(r, w.placement, api).packets, 2 + 2 + 5 + 7 + 7);
	assert_int_equal(bh_zone_counts(r, w.placement, api).bytes, (2 + 2 + 5 + 7 + 7) * 100);
	bh_pairs_free(p);
	p = NULL;
	assert_int_equal(bh_pairs_read(&in, NULL, &p), 0);
	assert_int_equal(pair_packets(p, 1, web, api), 0);
	world_free(&w);
}

static void a_members_counts_are_its_endpoints(void **state)
{
	struct world w;
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *r = load(&w, CASE("skeleton"));
	const struct bh_member *web1 = NULL;
	struct bh_counts n;

	(void)state;
	bh_vec_foreach(m, &w.placement->members)
		if (strcmp(m->container->name, "web1") == 0)
			web1 = m;
	assert_non_null(web1);
	for (int f = 0; f < BH_FAMILY_MAX; f++)
		bh_vec_foreach(s, &r->tables[f].sets)
			bh_vec_foreach(e, &s->elems)
				e->packets = e->bytes = s->flags & BH_SET_COUNTER ? 1 : 0;
	n = bh_member_counts(r, web1);
	assert_int_equal(n.packets, 5);		/* docker0 and lo with both addresses, and the link-local one */
	assert_int_equal(n.dropped_packets, 4);	/* three addresses, and its port */
	assert_int_equal(bh_zone_counts(r, w.placement, web1->inst).dropped_packets, 4 + 4 + 3);
	world_free(&w);
}

static void an_endpoint_without_a_port_gets_nothing(void **state)
{
	struct world w;
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *r = load(&w, CASE("bridges"));
	_cleanup_free_ char *t = text(r);

	(void)state;
	assert_non_null(strstr(t, "10.20.0.2"));
	assert_null(strstr(t, "10.20.0.3"));
	world_free(&w);
}

/* What is remembered of the bridges' flags outlives the flag itself, and goes with the bridge. */
static void bridge_flags_are_remembered(void **state)
{
	struct world w;
	struct bh_error err = {0};
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *r = load(&w, CASE("no-configuration"));

	(void)state;
	assert_int_equal(bh_table_set(inet(r), "nf_call4")->elems.n, 1);
	assert_int_equal(bh_table_set(inet(r), "learned")->elems.n, 0);
	bh_vec_foreach(l, &w.host->links)
		l->learns_groups = l->kind == BH_LINK_BRIDGE;
	bh_ruleset_free(bh_take(r));
	r = world_compile(&w, &err);
	assert_int_equal(bh_table_set(inet(r), "learned")->elems.n, 1);
	bh_vec_foreach(l, &w.host->links) {
		l->nf_call_iptables = l->nf_call_ip6tables = true;
		l->learns_groups = false;
	}
	w.seen = bh_take(r);
	r = world_compile(&w, &err);
	assert_int_equal(bh_table_set(inet(r), "nf_call4")->elems.n, 1);
	assert_int_equal(bh_table_set(inet(r), "nf_call6")->elems.n, 1);
	assert_int_equal(bh_table_set(inet(r), "learned")->elems.n, 1);
	w.only_skeleton = false;
	bh_ruleset_free(r);
	r = world_compile(&w, &err);
	assert_int_equal(bh_table_set(inet(r), "nf_call4")->elems.n, 1);
	bh_vec_foreach(l, &w.host->links)
		if (l->kind == BH_LINK_BRIDGE)
			l->kind = BH_LINK_OTHER;
	bh_ruleset_free(r);
	r = world_compile(&w, &err);
	assert_int_equal(bh_table_set(inet(r), "nf_call4")->elems.n, 0);
	world_free(&w);
}

/* A virtual machine in Docker's bridge while Docker is away must not open it. */
static void a_bridge_with_members_is_never_exempt(void **state)
{
	struct world w;
	struct bh_error err = {0};
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *r = load(&w, CASE("skeleton"));

	(void)state;
	assert_int_equal(bh_table_set(inet(r), "exempt")->elems.n, 1);	/* br-ex */
	mb_link(w.host, 99, "tap9", BH_LINK_TAP)->master = 2;
	w.only_skeleton = true;
	w.seen = bh_take(r);
	r = world_compile(&w, &err);
	assert_int_equal(bh_table_set(inet(r), "exempt")->elems.n, 1);
	bh_ruleset_free(w.seen);
	w.seen = NULL;
	bh_ruleset_free(r);
	r = world_compile(&w, &err);
	assert_int_equal(bh_table_set(inet(r), "exempt")->elems.n, 2);	/* nothing says that it was Docker's */
	world_free(&w);
}

/* The patterns catch names that no runtime gives by itself: such a bridge is its owner's until a runtime lists it. */
static void a_bridge_that_only_looks_like_dockers_is_exempt(void **state)
{
	static const struct {
		const char *name;
		size_t exempt;
	} cases[] = {{"br-dmz", 2}, {"br-0123456789ab", 1}, {"br-0123456789a", 2}, {"podman7", 1}, {"mine", 1}};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(cases); i++) {
		struct world w;
		struct bh_error err = {0};
		_cleanup_(bh_ruleset_freep) struct bh_ruleset *before = load(&w, CASE("skeleton")), *r = NULL;

		mb_link(w.host, 98, cases[i].name, BH_LINK_BRIDGE);
		r = world_compile(&w, &err);
		assert_int_equal(bh_table_set(inet(r), "exempt")->elems.n, cases[i].exempt);
		world_free(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_twice),
		cmocka_unit_test(the_order_of_the_inventory_does_not_matter),
		cmocka_unit_test(a_member_is_only_elements),
		cmocka_unit_test(every_ending_is_needed),
		cmocka_unit_test(a_jump_made_a_goto_is_found),
		cmocka_unit_test(ten_thousand_members),
		cmocka_unit_test(counts_are_read_by_rule_and_zone),
		cmocka_unit_test(a_members_counts_are_its_endpoints),
		cmocka_unit_test(an_endpoint_without_a_port_gets_nothing),
		cmocka_unit_test(bridge_flags_are_remembered),
		cmocka_unit_test(a_bridge_with_members_is_never_exempt),
		cmocka_unit_test(a_bridge_that_only_looks_like_dockers_is_exempt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
