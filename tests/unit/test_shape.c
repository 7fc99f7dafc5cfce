/* SPDX-License-Identifier: Apache-2.0 */
/* Caps to classes: who gets which, what stays where it is, what the text and the rules say. */
#include <bulkhead/compile.h>
#include <bulkhead/tc.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define MBIT 1000000ull

struct world {
	struct bh_policy policy;
	struct bh_placement placement;
	struct bh_features features;
	struct bh_host host;
	struct bh_inventory inventory;
	struct bh_ruleset *rules;
	struct bh_shape *shape;
	struct bh_error err;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->policy.mode = BH_MODE_ENFORCE;
	w->features = (struct bh_features){ .ifb = true, .htb = true };
	*state = w;
	return 0;
}

static void clear_result(struct world *w)
{
	bh_ruleset_free(w->rules);
	bh_shape_free(w->shape);
	w->rules = NULL;
	w->shape = NULL;
	w->err = (struct bh_error){ 0 };
}

static int teardown(void **state)
{
	struct world *w = *state;

	clear_result(w);
	bh_vec_foreach(m, &w->placement.members)
		bh_vec_clear(&m->attachments);
	bh_vec_clear(&w->placement.members);
	bh_vec_clear(&w->placement.insts);
	bh_vec_foreach(z, &w->policy.zones) {
		bh_vec_clear(&z->exempt);
		bh_vec_clear(&z->cidrs);
		bh_vec_clear(&z->forwards);
	}
	bh_vec_clear(&w->policy.zones);
	bh_vec_clear(&w->host.links);
	bh_vec_clear(&w->host.addrs);
	free(w);
	return 0;
}

static size_t zone(struct world *w, struct bh_rates container, struct bh_rates all)
{
	struct bh_zone *z = bh_vec_add(&w->policy.zones);
	struct bh_zone_inst *i = bh_vec_add(&w->placement.insts);

	z->name = (char *)"z";
	z->container_rates = container;
	z->zone_rates = all;
	i->name = (char *)"z";
	i->zone = (int)w->policy.zones.n - 1;
	i->id = BH_ID_ZONE + (uint32_t)w->policy.zones.n;
	return w->placement.insts.n - 1;
}

static void attach(struct world *w, size_t member, int ifindex)
{
	struct bh_attachment *a = bh_vec_add(&w->placement.members.v[member].attachments);

	a->port_ifindex = ifindex;
	if (ifindex)
		snprintf(a->port, sizeof(a->port), "veth%d", ifindex);
}

static size_t member(struct world *w, size_t inst, int ifindex)
{
	struct bh_member *m = bh_vec_add(&w->placement.members);

	m->inst = inst;
	attach(w, w->placement.members.n - 1, ifindex);
	return w->placement.members.n - 1;
}

static int compile(struct world *w)
{
	const struct bh_compile_input in = { .policy = &w->policy, .placement = &w->placement, .features = &w->features,
		.host = &w->host, .inventory = &w->inventory };

	clear_result(w);
	w->rules = calloc(1, sizeof(*w->rules));
	assert_non_null(w->rules);
	return bh_compile_shape(&in, w->rules, &w->shape, &w->err);
}

static void assert_shape(const struct world *w, const char *expected)
{
	_cleanup_buf_ struct bh_buf b = { 0 };

	assert_int_equal(bh_shape_print(w->shape, &b), 0);
	assert_string_equal(b.s ? b.s : "", expected);
}

static void test_container_cap(void **state)
{
	struct world *w = *state;
	size_t z = zone(w, (struct bh_rates){ 50 * MBIT, 0 }, (struct bh_rates){ 0 });

	member(w, z, 7);
	assert_int_equal(compile(w), 0);
	assert_shape(w, "tree bh-egress\n"
		"\tclass bb:1 parent bb:fffd rate 8000000000000bit ceil 8000000000000bit\n"
		"\tclass bb:4007 parent bb:1 rate 50000000bit ceil 50000000bit leaf\n"
		"\tclass bb:fffd parent bb:0 rate 8000000000000bit ceil 8000000000000bit\n"
		"\tclass bb:fffe parent bb:0 rate 50000000bit ceil 50000000bit leaf\n"
		"port veth7 egress bb:4007\n");
	assert_true(w->rules->tables[BH_FAMILY_NETDEV].present);
	assert_false(w->rules->tables[BH_FAMILY_BRIDGE].present);
}

static void test_zone_cap_is_shared(void **state)
{
	struct world *w = *state;
	size_t z = zone(w, (struct bh_rates){ 0, 30 * MBIT }, (struct bh_rates){ 0, 100 * MBIT });

	member(w, z, 9);
	member(w, z, 8);
	assert_int_equal(compile(w), 0);
	assert_shape(w, "tree bh-ingress\n"
		"\tclass bb:1 parent bb:fffd rate 100000000bit ceil 100000000bit\n"
		"\tclass bb:4008 parent bb:1 rate 24408bit ceil 30000000bit leaf\n"
		"\tclass bb:4009 parent bb:1 rate 24408bit ceil 30000000bit leaf\n"
		"\tclass bb:fffd parent bb:0 rate 8000000000000bit ceil 8000000000000bit\n"
		"\tclass bb:fffe parent bb:0 rate 30000000bit ceil 30000000bit leaf\n"
		"port veth8 ingress bb:4008\n"
		"port veth9 ingress bb:4009\n");
}

static void test_guarantees(void **state)
{
	struct world *w = *state;
	size_t a = zone(w, (struct bh_rates){ 0 }, (struct bh_rates){ 200 * MBIT, 0 });
	size_t b = zone(w, (struct bh_rates){ 0 }, (struct bh_rates){ 200 * MBIT, 0 });
	size_t c = zone(w, (struct bh_rates){ 20 * MBIT, 0 }, (struct bh_rates){ 0 });

	w->policy.host_rates.egress_bps = 100 * MBIT;
	w->policy.zones.v[0].zone_guarantees.egress_bps = 50 * MBIT;
	w->policy.zones.v[2].container_guarantees.egress_bps = 5 * MBIT;
	member(w, a, 5);
	member(w, b, 6);
	member(w, c, 7);
	assert_int_equal(compile(w), 0);
	assert_shape(w, "tree bh-egress\n"
		"\tclass bb:1 parent bb:fffd rate 50000000bit ceil 100000000bit\n"
		"\tclass bb:2 parent bb:fffd rate 24408bit ceil 100000000bit\n"
		"\tclass bb:3 parent bb:fffd rate 5000000bit ceil 100000000bit\n"
		"\tclass bb:4005 parent bb:1 rate 12200bit ceil 100000000bit leaf\n"
		"\tclass bb:4006 parent bb:2 rate 8bit ceil 100000000bit leaf\n"
		"\tclass bb:4007 parent bb:3 rate 5000000bit ceil 20000000bit leaf\n"
		"\tclass bb:fffd parent bb:0 rate 100000000bit ceil 100000000bit\n"
		"\tclass bb:fffe parent bb:0 rate 20000000bit ceil 20000000bit leaf\n"
		"port veth5 egress bb:4005\n"
		"port veth6 egress bb:4006\n"
		"port veth7 egress bb:4007\n");
	/* Without a host's bandwidth nothing is short: everybody has what he may have, and no class moves. */
	w->policy.host_rates.egress_bps = 0;
	assert_int_equal(compile(w), 0);
	assert_int_equal(bh_shape_class(w->shape, BH_EGRESS, BH_CLASS_ROOT | 1)->rate_bps, 200 * MBIT);
	assert_int_equal(bh_shape_class(w->shape, BH_EGRESS, BH_CLASS_ROOT | 1)->parent, BH_CLASS_HOST);
	assert_int_equal(bh_shape_class(w->shape, BH_EGRESS, BH_CLASS_HOST)->rate_bps, BH_HOST_BPS);
}

/* HTB keeps every promise, also one that breaks the cap above it: so nothing is promised twice. */
static void test_guarantees_beyond_what_there_is(void **state)
{
	struct world *w = *state;
	size_t a = zone(w, (struct bh_rates){ 10 * MBIT, 0 }, (struct bh_rates){ 16 * MBIT, 0 });
	size_t b = zone(w, (struct bh_rates){ 10 * MBIT, 0 }, (struct bh_rates){ 0 });

	w->policy.zones.v[0].container_guarantees.egress_bps = 4 * MBIT;
	for (int i = 0; i < 3; i++)
		member(w, a, 5 + i);
	assert_int_equal(compile(w), 0);
	assert_int_equal(bh_shape_class(w->shape, BH_EGRESS, BH_CLASS_ROOT | 0x4005)->rate_bps, 4 * MBIT);
	for (int i = 0; i < 5; i++)
		member(w, a, 8 + i);
	assert_int_equal(compile(w), 0);
	assert_int_equal(bh_shape_class(w->shape, BH_EGRESS, BH_CLASS_ROOT | 0x4005)->rate_bps, 2 * MBIT);
	/* 16 for the zone and 4 of its own, out of 10 */
	w->policy.zones.v[1].container_guarantees.egress_bps = 4 * MBIT;
	w->policy.host_rates.egress_bps = 10 * MBIT;
	member(w, b, 20);
	assert_int_equal(compile(w), 0);
	assert_int_equal(bh_shape_class(w->shape, BH_EGRESS, BH_CLASS_ROOT | 1)->rate_bps, 8 * MBIT);
	assert_int_equal(bh_shape_class(w->shape, BH_EGRESS, BH_CLASS_ROOT | 0x4005)->rate_bps, MBIT);
	assert_int_equal(bh_shape_class(w->shape, BH_EGRESS, BH_CLASS_ROOT | 0x4014)->rate_bps, 2 * MBIT);
}

static void test_container_cap_above_the_zone(void **state)
{
	struct world *w = *state;
	size_t z = zone(w, (struct bh_rates){ 300 * MBIT, 0 }, (struct bh_rates){ 100 * MBIT, 0 });

	member(w, z, 8);
	assert_int_equal(compile(w), 0);
	assert_int_equal(bh_shape_class(w->shape, BH_EGRESS, BH_CLASS_ROOT | 0x4008)->ceil_bps, 100 * MBIT);
}

static void test_two_networks_one_budget(void **state)
{
	struct world *w = *state;
	size_t z = zone(w, (struct bh_rates){ MBIT, MBIT }, (struct bh_rates){ 0 });
	size_t m = member(w, z, 12);

	attach(w, m, 5);
	attach(w, m, 0);	/* not known yet */
	assert_int_equal(compile(w), 0);
	assert_int_equal(w->shape->classes[BH_EGRESS].n, 4);
	assert_int_equal(w->shape->ports.n, 2);
	bh_vec_foreach(p, &w->shape->ports) {
		assert_int_equal(p->class_id[BH_EGRESS], BH_CLASS_ROOT | 0x4005);
		assert_int_equal(p->class_id[BH_INGRESS], BH_CLASS_ROOT | 0x4005);
	}
}

static void test_others_keep_their_class(void **state)
{
	struct world *w = *state;
	size_t z = zone(w, (struct bh_rates){ MBIT, 0 }, (struct bh_rates){ 0 });

	member(w, z, 5);
	member(w, z, 6);
	member(w, z, 5 + 0x8000);	/* the same slot: the younger one moves on, past who is there */
	assert_int_equal(compile(w), 0);
	assert_int_equal(bh_shape_port(w->shape, 5)->class_id[BH_EGRESS], BH_CLASS_ROOT | 0x4005);
	assert_int_equal(bh_shape_port(w->shape, 6)->class_id[BH_EGRESS], BH_CLASS_ROOT | 0x4006);
	assert_int_equal(bh_shape_port(w->shape, 5 + 0x8000)->class_id[BH_EGRESS], BH_CLASS_ROOT | 0x4007);
	w->placement.members.v[1].attachments.v[0].port_ifindex = 0;
	assert_int_equal(compile(w), 0);
	assert_int_equal(bh_shape_port(w->shape, 5)->class_id[BH_EGRESS], BH_CLASS_ROOT | 0x4005);
}

static void test_nothing_to_shape(void **state)
{
	struct world *w = *state;
	size_t capped = zone(w, (struct bh_rates){ MBIT, MBIT }, (struct bh_rates){ 0 });
	size_t open = zone(w, (struct bh_rates){ 0 }, (struct bh_rates){ 0 });

	member(w, open, 5);
	member(w, capped, 0);
	w->placement.members.v[member(w, capped, 6)].shares_netns = true;
	assert_int_equal(compile(w), 0);
	assert_shape(w, "");
	assert_false(w->rules->tables[BH_FAMILY_NETDEV].present);
	member(w, capped, 7);
	w->policy.mode = BH_MODE_AUDIT;
	assert_int_equal(compile(w), 0);
	assert_shape(w, "");
	w->policy.mode = BH_MODE_ENFORCE;
	assert_int_equal(compile(w), 0);
	assert_int_equal(w->shape->ports.n, 1);
}

static void test_missing_kernel_pieces_are_told(void **state)
{
	struct world *w = *state;

	member(w, zone(w, (struct bh_rates){ MBIT, 0 }, (struct bh_rates){ 0 }), 5);
	w->features.htb = false;
	assert_int_equal(compile(w), 0);
	assert_shape(w, "");
	assert_true(w->shape->missing[BH_EGRESS]);
	assert_false(w->shape->missing[BH_INGRESS]);
}

static void test_tiny_and_large_rates(void **state)
{
	struct world *w = *state;
	size_t z = zone(w, (struct bh_rates){ 7, 40000 * MBIT + 3 }, (struct bh_rates){ 9, 0 });

	member(w, z, 5);
	assert_int_equal(compile(w), 0);
	assert_int_equal(bh_shape_class(w->shape, BH_EGRESS, BH_CLASS_ROOT | 0x4005)->rate_bps, 8);
	assert_int_equal(bh_shape_class(w->shape, BH_EGRESS, BH_CLASS_ROOT | 0x4005)->ceil_bps, 8);
	assert_int_equal(bh_shape_class(w->shape, BH_INGRESS, BH_CLASS_ROOT | 0x4005)->ceil_bps, 40000 * MBIT);
}

static void test_too_many_zones(void **state)
{
	struct world *w = *state;
	size_t z = zone(w, (struct bh_rates){ MBIT, 0 }, (struct bh_rates){ 0 });

	w->placement.insts.v[z].id = BH_ID_ZONE + 0x4000;
	member(w, z, 5);
	assert_int_equal(compile(w), -ENOSPC);
	assert_null(w->shape);
	w->placement.insts.v[z].id = BH_ID_ZONE + 0x3fff;
	assert_int_equal(compile(w), 0);
}

static void test_rules(void **state)
{
	struct world *w = *state;
	_cleanup_buf_ struct bh_buf b = { 0 };

	member(w, zone(w, (struct bh_rates){ MBIT, MBIT }, (struct bh_rates){ 0 }), 5);
	assert_int_equal(compile(w), 0);
	assert_int_equal(bh_ruleset_print(w->rules, &b), 0);
	assert_string_equal(b.s,
		"table bridge bulkhead {\n"
		"\tmap shape_in {\n"
		"\t\ttype ifname : classid;\n"
		"\t\telements = { \"veth5\" : bb:4005 }\n"
		"\t}\n"
		"\n"
		"\tchain shape {\n"
		"\t\ttype filter hook postrouting priority 300; policy accept;\n"
		"\t\tmeta priority set oifname map @shape_in\n"
		"\t\taccept\n"
		"\t}\n"
		"}\n"
		"\n"
		"table netdev bulkhead {\n"
		"\tchain in_5 {\n"
		"\t\ttype filter hook ingress device \"veth5\" priority filter; policy accept;\n"
		"\t\tmeta priority set bb:4005 fwd to \"bh-egress\"\n"
		"\t}\n"
		"}\n");
}

static void exempt(struct world *w, size_t zone, const char *name, enum bh_builtin b, int of)
{
	struct bh_zone_ref *ref = bh_vec_add(&w->policy.zones.v[zone].exempt);

	*ref = (struct bh_zone_ref){ .name = (char *)name, .zone = of, .builtin = b };
}

static struct bh_prefix prefix(const char *text)
{
	struct bh_prefix p;

	assert_int_equal(bh_prefix_parse(text, &p), 0);
	return p;
}

/* ADDRESS/LEN of a link of this host. */
static void host_addr(struct world *w, int ifindex, const char *name, enum bh_link_kind kind, const char *addr, uint8_t len)
{
	struct bh_link *l = bh_vec_add(&w->host.links);
	struct bh_local_addr *a = bh_vec_add(&w->host.addrs);

	*l = (struct bh_link){ .ifindex = ifindex, .kind = kind };
	snprintf(l->name, sizeof(l->name), "%s", name);
	*a = (struct bh_local_addr){ .ifindex = ifindex, .prefix = prefix(strchr(addr, ':') ? "::/128" : "0.0.0.0/32") };
	assert_int_equal(bh_addr_parse(addr, &a->prefix.addr), 0);
	a->prefix.len = len;
}

static void assert_set(const struct world *w, enum bh_family f, const char *name, const char *expected)
{
	const struct bh_set *s = bh_table_set(&w->rules->tables[f], name);
	_cleanup_buf_ struct bh_buf b = { 0 };

	assert_non_null(s);
	bh_vec_foreach(e, &s->elems) {
		bh_buf_puts(&b, e == s->elems.v ? "" : " ");
		bh_elem_print(s, e, &b);
	}
	assert_string_equal(b.s ? b.s : "", expected);
}

static void test_exempt_rules(void **state)
{
	struct world *w = *state;
	_cleanup_buf_ struct bh_buf b = { 0 };
	size_t z = zone(w, (struct bh_rates){ MBIT, MBIT }, (struct bh_rates){ 0 }), office = zone(w, (struct bh_rates){ 0 }, (struct bh_rates){ 0 });

	w->policy.zones.v[1].name = (char *)"office";
	assert_int_equal(bh_vec_push(&w->policy.zones.v[1].cidrs, prefix("203.0.113.0/24")), 0);
	member(w, z, 5);
	member(w, zone(w, (struct bh_rates){ MBIT, MBIT }, (struct bh_rates){ 0 }), 6);
	exempt(w, 0, "office", BH_BUILTIN_NONE, (int)office);
	assert_int_equal(compile(w), 0);
	assert_int_equal(bh_ruleset_print(w->rules, &b), 0);
	assert_string_equal(b.s,
		"table bridge bulkhead {\n"
		"\tset exempt4_0_z {\n"
		"\t\ttype ipv4_addr; flags interval;\n"
		"\t\telements = { 203.0.113.0/24 }\n"
		"\t}\n"
		"\tset exempt6_0_z { type ipv6_addr; flags interval; }\n"
		"\tmap shape_exempt {\n"
		"\t\ttype ifname : verdict;\n"
		"\t\telements = { \"veth5\" : goto exempt_0_z }\n"
		"\t}\n"
		"\tmap shape_in {\n"
		"\t\ttype ifname : classid;\n"
		"\t\telements = { \"veth5\" : bb:4005, \"veth6\" : bb:4006 }\n"
		"\t}\n"
		"\n"
		"\tchain exempt_0_z {\n"
		"\t\tip saddr @exempt4_0_z meta priority set bb:fffc\n"
		"\t\tip6 saddr @exempt6_0_z meta priority set bb:fffc\n"
		"\t\taccept\n"
		"\t}\n"
		"\n"
		"\tchain shape {\n"
		"\t\ttype filter hook postrouting priority 300; policy accept;\n"
		"\t\tmeta priority set oifname map @shape_in\n"
		"\t\toifname vmap @shape_exempt\n"
		"\t\taccept\n"
		"\t}\n"
		"}\n"
		"\n"
		"table netdev bulkhead {\n"
		"\tset exempt4_0_z {\n"
		"\t\ttype ipv4_addr; flags interval;\n"
		"\t\telements = { 203.0.113.0/24 }\n"
		"\t}\n"
		"\tset exempt6_0_z { type ipv6_addr; flags interval; }\n"
		"\n"
		"\tchain in_5 {\n"
		"\t\ttype filter hook ingress device \"veth5\" priority filter; policy accept;\n"
		"\t\tip daddr @exempt4_0_z accept\n"
		"\t\tip6 daddr @exempt6_0_z accept\n"
		"\t\tmeta priority set bb:4005 fwd to \"bh-egress\"\n"
		"\t}\n"
		"\n"
		"\tchain in_6 {\n"
		"\t\ttype filter hook ingress device \"veth6\" priority filter; policy accept;\n"
		"\t\tmeta priority set bb:4006 fwd to \"bh-egress\"\n"
		"\t}\n"
		"}\n");
	assert_int_equal(bh_ruleset_prove(w->rules, &w->err), 0);
	assert_null(bh_shape_class(w->shape, BH_EGRESS, BH_CLASS_EXEMPT));
	assert_int_equal(bh_shape_class(w->shape, BH_INGRESS, BH_CLASS_EXEMPT)->ceil_bps, BH_HOST_BPS);
	assert_int_equal(bh_shape_class(w->shape, BH_INGRESS, BH_CLASS_DEFAULT)->ceil_bps, MBIT);
	bh_shape_withdraw(w->rules);
	assert_int_equal(w->rules->tables[BH_FAMILY_NETDEV].sets.n, 0);
}

/* A direction without a cap has nothing to exempt from; the zone's containers may be without ports. */
static void test_exempt_only_where_there_is_a_cap(void **state)
{
	struct world *w = *state;
	size_t z = zone(w, (struct bh_rates){ MBIT, 0 }, (struct bh_rates){ 0 });

	exempt(w, 0, "lan", BH_BUILTIN_LAN, -1);
	member(w, z, 0);
	assert_int_equal(compile(w), 0);
	assert_shape(w, "");
	member(w, z, 5);
	assert_int_equal(compile(w), 0);
	assert_false(w->rules->tables[BH_FAMILY_BRIDGE].present);
	assert_non_null(bh_table_set(&w->rules->tables[BH_FAMILY_NETDEV], "exempt4_0_z"));
	w->policy.zones.v[0].container_rates = (struct bh_rates){ 0, MBIT };
	assert_int_equal(compile(w), 0);
	assert_false(w->rules->tables[BH_FAMILY_NETDEV].present);
	assert_non_null(bh_table_set(&w->rules->tables[BH_FAMILY_BRIDGE], "exempt4_0_z"));
	w->features.ifb = false;
	assert_int_equal(compile(w), 0);
	assert_null(bh_table_set(&w->rules->tables[BH_FAMILY_BRIDGE], "exempt4_0_z"));
	w->features.ifb = true;
	w->policy.mode = BH_MODE_AUDIT;
	assert_int_equal(compile(w), 0);
	assert_null(bh_table_set(&w->rules->tables[BH_FAMILY_BRIDGE], "exempt4_0_z"));
}

/* Who is at an address is what the rules say; where a container could be is never exempt. */
static void test_exempt_addresses(void **state)
{
	struct world *w = *state;
	size_t z = zone(w, (struct bh_rates){ MBIT, 0 }, (struct bh_rates){ 0 }), office = zone(w, (struct bh_rates){ 0 }, (struct bh_rates){ 0 });
	size_t router = zone(w, (struct bh_rates){ 0 }, (struct bh_rates){ 0 });

	assert_int_equal(bh_vec_push(&w->policy.zones.v[office].cidrs, prefix("192.168.8.0/24")), 0);
	assert_int_equal(bh_vec_push(&w->policy.zones.v[router].forwards, prefix("10.8.0.0/24")), 0);
	host_addr(w, 2, "eth0", BH_LINK_OTHER, "198.51.100.7", 24);
	host_addr(w, 3, "docker0", BH_LINK_BRIDGE, "172.17.0.1", 16);
	host_addr(w, 4, "docker0", BH_LINK_BRIDGE, "fe80::1", 64);
	member(w, z, 5);
	exempt(w, 0, "lan", BH_BUILTIN_LAN, -1);
	assert_int_equal(compile(w), 0);
	assert_set(w, BH_FAMILY_NETDEV, "exempt4_0_z", "10.0.0.0/13 10.8.1.0-10.255.255.255 100.64.0.0-100.100.100.199 "
		"100.100.100.201-100.127.255.255 172.16.0.0/16 172.18.0.0-172.31.255.255 192.168.0.0/21 "
		"192.168.9.0-192.168.255.255 198.51.100.0-198.51.100.6 198.51.100.8-198.51.100.255");
	/* no fe80::/10: on each bridge that is other containers; no fd00:ec2::254, which is metadata's */
	assert_set(w, BH_FAMILY_NETDEV, "exempt6_0_z", "fc00::-fd00:ec2::253 fd00:ec2::255-fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
	w->policy.zones.v[0].exempt.n = 0;
	exempt(w, 0, "host", BH_BUILTIN_HOST, -1);
	exempt(w, 0, "metadata", BH_BUILTIN_METADATA, -1);
	assert_int_equal(compile(w), 0);
	assert_set(w, BH_FAMILY_NETDEV, "exempt4_0_z", "100.100.100.200 168.63.129.16 169.254.0.0/16 172.17.0.1 198.51.100.7");
	assert_set(w, BH_FAMILY_NETDEV, "exempt6_0_z", "fd00:ec2::254 fe80::1");
	w->policy.zones.v[0].exempt.n = 0;
	exempt(w, 0, "internet", BH_BUILTIN_INTERNET, -1);
	assert_int_equal(compile(w), 0);
	assert_set(w, BH_FAMILY_NETDEV, "exempt4_0_z", "1.0.0.0-9.255.255.255 11.0.0.0-100.63.255.255 100.128.0.0-168.63.129.15 "
		"168.63.129.17-169.253.255.255 169.255.0.0-172.15.255.255 172.32.0.0-192.167.255.255 192.169.0.0-198.51.99.255 "
		"198.51.101.0-223.255.255.255 240.0.0.0-255.255.255.254");
	/* world is both; what touches is one */
	w->policy.zones.v[0].exempt.n = 0;
	exempt(w, 0, "world", BH_BUILTIN_WORLD, -1);
	exempt(w, 0, "z", BH_BUILTIN_NONE, (int)office);
	assert_int_equal(compile(w), 0);
	assert_set(w, BH_FAMILY_NETDEV, "exempt4_0_z", "1.0.0.0-10.7.255.255 10.8.1.0-100.100.100.199 100.100.100.201-168.63.129.15 "
		"168.63.129.17-169.253.255.255 169.255.0.0-172.16.255.255 172.18.0.0-198.51.100.6 198.51.100.8-223.255.255.255 "
		"240.0.0.0-255.255.255.254");
	assert_set(w, BH_FAMILY_NETDEV, "exempt6_0_z", "::-fd00:ec2::253 fd00:ec2::255-fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
		"fec0::/10");
}

static void test_withdraw(void **state)
{
	struct world *w = *state;

	member(w, zone(w, (struct bh_rates){ MBIT, MBIT }, (struct bh_rates){ 0 }), 5);
	assert_int_equal(compile(w), 0);
	bh_shape_withdraw(w->rules);
	assert_false(w->rules->tables[BH_FAMILY_NETDEV].present);
	assert_int_equal(w->rules->tables[BH_FAMILY_NETDEV].chains.n, 0);
	assert_non_null(bh_table_chain(&w->rules->tables[BH_FAMILY_BRIDGE], "shape"));
}

/* What tc shows of a wish: no class on ports, only that they are redirected. */
static struct bh_shape *as_seen(const struct bh_shape *wanted)
{
	struct bh_shape *s;

	assert_int_equal(bh_shape_copy(&s, wanted), 0);
	bh_vec_foreach(p, &s->ports) {
		p->class_id[BH_EGRESS] = 0;
		p->class_id[BH_INGRESS] = p->class_id[BH_INGRESS] ? BH_REDIRECTED : 0;
	}
	return s;
}

static void test_equal(void **state)
{
	struct world *w = *state;
	_cleanup_(bh_shape_freep) struct bh_shape *seen = NULL;

	member(w, zone(w, (struct bh_rates){ MBIT, MBIT }, (struct bh_rates){ 2 * MBIT, 0 }), 5);
	member(w, zone(w, (struct bh_rates){ MBIT, 0 }, (struct bh_rates){ 0 }), 6);
	assert_int_equal(compile(w), 0);
	seen = as_seen(w->shape);
	seen->classes[BH_EGRESS].v[0].packets = 5;
	assert_true(bh_shape_equal(w->shape, seen));
	seen->ports.v[0].class_id[BH_INGRESS] = BH_REDIRECT_STALE;
	assert_false(bh_shape_equal(w->shape, seen));
	seen->ports.v[0].class_id[BH_INGRESS] = 0;
	assert_false(bh_shape_equal(w->shape, seen));
	seen->ports.v[0].class_id[BH_INGRESS] = BH_REDIRECTED;
	seen->ports.v[1].class_id[BH_INGRESS] = BH_REDIRECTED;
	assert_false(bh_shape_equal(w->shape, seen));
	seen->ports.v[1].class_id[BH_INGRESS] = 0;
	seen->classes[BH_EGRESS].v[1].ceil_bps++;
	assert_false(bh_shape_equal(w->shape, seen));
	seen->classes[BH_EGRESS].v[1].ceil_bps--;
	assert_true(bh_shape_equal(w->shape, seen));
	seen->present[BH_INGRESS] = false;
	assert_false(bh_shape_equal(w->shape, seen));
}

static void test_union_keeps_both(void **state)
{
	struct world *w = *state;
	_cleanup_(bh_shape_freep) struct bh_shape *seen = NULL, *both = NULL;
	size_t z = zone(w, (struct bh_rates){ MBIT, MBIT }, (struct bh_rates){ 0 });

	member(w, z, 5);
	assert_int_equal(compile(w), 0);
	seen = as_seen(w->shape);
	w->placement.members.v[0].attachments.v[0].port_ifindex = 9;
	w->policy.zones.v[0].container_rates = (struct bh_rates){ 3 * MBIT, 0 };
	assert_int_equal(compile(w), 0);
	assert_int_equal(bh_shape_union(w->shape, seen, &both), 0);
	assert_true(both->present[BH_EGRESS] && both->present[BH_INGRESS]);
	assert_non_null(bh_shape_class(both, BH_EGRESS, BH_CLASS_ROOT | 0x4005));
	assert_int_equal(bh_shape_class(both, BH_EGRESS, BH_CLASS_ROOT | 0x4009)->ceil_bps, 3 * MBIT);
	assert_int_equal(bh_shape_class(both, BH_EGRESS, BH_CLASS_DEFAULT)->ceil_bps, 3 * MBIT);
	assert_non_null(bh_shape_port(both, 5));
	assert_non_null(bh_shape_port(both, 9));
}

static void test_fake_door(void **state)
{
	struct world *w = *state;
	_cleanup_(bh_tc_freep) struct bh_tc *t = NULL;
	_cleanup_(bh_shape_freep) struct bh_shape *empty = calloc(1, sizeof(*empty)), *seen = NULL, *later = NULL;
	struct bh_link *l;

	assert_int_equal(bh_tc_fake_new(&t), 0);
	l = bh_vec_add(&bh_tc_fake_host(t)->links);
	assert_non_null(l);
	*l = (struct bh_link){ .ifindex = 5, .name = "veth5", .kind = BH_LINK_VETH };
	member(w, zone(w, (struct bh_rates){ MBIT, MBIT }, (struct bh_rates){ 2 * MBIT, 0 }), 5);
	assert_int_equal(compile(w), 0);
	assert_int_equal(t->ops->apply(t, w->shape, empty, NULL), 0);
	assert_int_equal(t->ops->observe(t, &seen, NULL), 0);
	assert_true(bh_shape_equal(w->shape, seen));
	bh_tc_fake_host(t)->links.n = 0;
	assert_int_equal(t->ops->observe(t, &later, NULL), 0);
	assert_false(bh_shape_equal(w->shape, later));
	w->shape->classes[BH_EGRESS].v[1].parent = BH_CLASS_ROOT | 0x77;
	assert_int_equal(t->ops->apply(t, w->shape, later, NULL), -ENOENT);
	assert_int_equal(t->ops->bridge_calls(t, "br0", true, true, NULL), -ENODEV);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_container_cap), T(test_zone_cap_is_shared), T(test_guarantees), T(test_guarantees_beyond_what_there_is),
		T(test_container_cap_above_the_zone),
		T(test_two_networks_one_budget), T(test_others_keep_their_class), T(test_nothing_to_shape),
		T(test_missing_kernel_pieces_are_told), T(test_tiny_and_large_rates), T(test_too_many_zones), T(test_rules), T(test_withdraw),
		T(test_exempt_rules), T(test_exempt_only_where_there_is_a_cap), T(test_exempt_addresses),
		T(test_equal), T(test_union_keeps_both), T(test_fake_door),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
