/* SPDX-License-Identifier: Apache-2.0 */
/* With --print it writes its sample, one of every form, for the kernel test that gives it to nft. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rsbuild.h"

static void sample_sets(struct bh_table *t)
{
	struct bh_set *s = rs_set(t, "bridges", FIELDS(BH_IIFNAME), BH_DATA_NONE, BH_SET_INTERVAL);
	struct bh_elem *e;

	rs_elem(s, "docker0");
	e = rs_elem(s, "br-");
	memset(e->key_end + 3, 0xff, 13);
	s = rs_set(t, "world4", FIELDS(BH_IP_SADDR), BH_DATA_PRIORITY, BH_SET_INTERVAL);
	rs_elem_value(s, "10.0.0.0", 0x40002);
	rs_key(s->key, 1, "10.255.255.255", s->elems.v[0].key_end);
	rs_elem_value(s, "11.0.0.0", 0x10001);
	rs_key(s->key, 1, "11.0.0.2", s->elems.v[1].key_end);
	rs_elem_value(s, "12.0.0.1", 0x40004);
	s = rs_set(t, "zone_of6", FIELDS(BH_IIFNAME, BH_IP6_SADDR), BH_DATA_PRIORITY, BH_SET_COUNTER);
	s = rs_set(t, "p1_ports", FIELDS(BH_PRIORITY, BH_L4PROTO, BH_TH_DPORT), BH_DATA_VERDICT, BH_SET_COUNTER);
	for (unsigned i = 0; i < 6; i++) {
		char key[64];

		snprintf(key, sizeof(key), "0x10002|%u|%u", i % 2 ? 6 : 17, 8080 + i);
		rs_elem_verdict(s, key, BH_ACCEPT, NULL);
	}
	s = rs_set(t, "p1_protos", FIELDS(BH_PRIORITY, BH_L4PROTO), BH_DATA_VERDICT, 0);
	rs_elem_verdict(s, "0x10002|58", BH_ACCEPT, NULL);
	rs_elem_verdict(s, "0x10002|47", BH_DROP, NULL);
	s = rs_set(t, "from_zone", FIELDS(BH_PRIORITY), BH_DATA_VERDICT, 0);
	rs_elem_verdict(s, "0x10001", BH_JUMP, "zone_1_web");
	rs_elem_verdict(s, "0x40004", BH_GOTO, "refuse");
	s = rs_set(t, "published", FIELDS(BH_NFPROTO, BH_L4PROTO, BH_TH_DPORT), BH_DATA_PRIORITY, 0);
	rs_elem_value(s, "2|6|80", 0x10001);
	s = rs_set(t, "fresh", FIELDS(BH_PRIORITY), BH_DATA_NONE, BH_SET_DYNAMIC | BH_SET_TIMEOUT);
	s->timeout_ms = 10000;
	s->size = 65535;
	rs_elem(s, "0x60001");
	strcpy(((struct bh_counter *)rs_need(bh_vec_add(&t->counters)))->name, "denied_policy");
}

static void sample_rules(struct bh_table *t)
{
	struct bh_chain *c = rs_chain(t, "zone_1_web");
	struct bh_nft_rule *r = rs_rule(c);
	struct bh_stmt *s;

	rs_named(r, BH_STMT_COUNTER, NULL, "denied_policy");
	r = rs_rule(c);
	s = rs_stmt(r, BH_STMT_VMAP, FIELDS(BH_CT_DIRECTION));
	rs_anon_verdict(s, "0", BH_JUMP, "refuse");
	rs_anon_verdict(s, "1", BH_RETURN, NULL);
	r = rs_rule(c);
	rs_match(r, BH_CT_DIRECTION, BH_EQ, "0", NULL);
	rs_named(r, BH_STMT_VMAP, FIELDS(BH_PRIORITY, BH_L4PROTO, BH_TH_DPORT), "p1_ports");
	r = rs_rule(c);
	rs_match(r, BH_CT_STATE, BH_MASK_ANY, "0", "10");
	rs_match(r, BH_PRIORITY, BH_NE, "0", NULL);
	rs_verdict(r, BH_GOTO, "refuse");
	r = rs_rule(c);
	rs_match(r, BH_CT_STATUS, BH_MASK_ANY, "0", "0x20");
	rs_number(r, BH_STMT_SET_PRIORITY, 0x40003);
	r = rs_rule(c);
	rs_number(r, BH_STMT_SET_PRIORITY, 0);
	r = rs_rule(c);
	rs_named(r, BH_STMT_MAP_PRIORITY, FIELDS(BH_OIFNAME, BH_CT_REPLY_IP6_SADDR), "zone_of6");
	r = rs_rule(c);
	s = rs_stmt(r, BH_STMT_MAP_PRIORITY, FIELDS(BH_IP_DSCP));
	rs_anon(s, "0")->value = 0;
	rs_anon(s, "4")->value = 2;
	r = rs_rule(c);
	rs_match(r, BH_PRIORITY, BH_GE, "0x10000", NULL);
	rs_named(r, BH_STMT_UPDATE, FIELDS(BH_PRIORITY), "fresh")->number = 10000;
	rs_verdict(r, BH_ACCEPT, NULL);

	c = rs_chain(t, "refuse");
	r = rs_rule(c);
	rs_match(r, BH_TCP_FLAGS, BH_MASK_EQ, "2", "3");
	rs_verdict(r, BH_ACCEPT, NULL);
	r = rs_rule(c);
	rs_match(r, BH_TCP_FLAGS, BH_EQ, "3", NULL);
	rs_verdict(r, BH_ACCEPT, NULL);
	r = rs_rule(c);
	rs_match(r, BH_MARK, BH_MASK_EQ, "0x10", "0xff");
	rs_match(r, BH_CT_MARK, BH_MASK_ANY, "0", "0xff");
	rs_match(r, BH_SKUID, BH_EQ, "0", NULL);
	rs_match(r, BH_IIF, BH_EQ, "0", NULL);
	rs_verdict(r, BH_ACCEPT, NULL);
	r = rs_rule(c);
	s = rs_stmt(r, BH_STMT_LOOKUP, FIELDS(BH_ICMPV6_TYPE));
	rs_anon(s, "135");
	rs_anon(s, "200");
	rs_verdict(r, BH_DROP, NULL);
	r = rs_rule(c);
	rs_match(r, BH_ICMP_TYPE, BH_EQ, "3", NULL);
	rs_match(r, BH_ICMP_CODE, BH_EQ, "13", NULL);
	rs_verdict(r, BH_ACCEPT, NULL);
	r = rs_rule(c);
	rs_match(r, BH_L4PROTO, BH_EQ, "6", NULL);
	rs_match(r, BH_CT_ORIG_PROTO_DST, BH_LT, "1024", NULL);
	rs_number(r, BH_STMT_LIMIT, 10);
	s = rs_stmt(r, BH_STMT_LOG, NULL);
	strcpy(s->prefix, "bulkhead policy ");
	s->number = 77;
	r = rs_rule(c);
	rs_match(r, BH_IIFNAME, BH_MASK_EQ, "wg", NULL);
	memset(r->stmts.v[0].mask, 0xff, 2);
	rs_match(r, BH_L4PROTO, BH_EQ, "6", NULL);
	rs_number(r, BH_STMT_REJECT, BH_REJECT_TCP_RESET);
	r = rs_rule(c);
	rs_named(r, BH_STMT_LOOKUP, FIELDS(BH_OIFNAME), "bridges")->op = BH_NE;
	rs_number(r, BH_STMT_REJECT, BH_REJECT_ADMIN);

	c = rs_chain(t, "forward");
	rs_base(c, BH_HOOK_FORWARD, -10);
	r = rs_rule(c);
	rs_match(r, BH_OIFNAME, BH_EQ, "lo", NULL);
	rs_verdict(r, BH_ACCEPT, NULL);
	rs_verdict(rs_rule(c), BH_JUMP, "zone_1_web");
}

static void sample_bridge(struct bh_table *t)
{
	struct bh_set *s = rs_set(t, "pin6t", FIELDS(BH_IIFNAME, BH_ETHER_SADDR, BH_TH_64_128), BH_DATA_NONE, 0);
	struct bh_chain *c;
	struct bh_nft_rule *r;
	struct bh_stmt *st;

	rs_elem(s, "veth1|02:42:ac:11:00:02|fe80::1");
	c = rs_chain(t, "prerouting");
	rs_base(c, BH_HOOK_PREROUTING, -250);
	c->policy = BH_DROP;
	r = rs_rule(c);
	rs_match(r, BH_ARP_HTYPE, BH_EQ, "1", NULL);
	rs_match(r, BH_ARP_PTYPE, BH_EQ, "0x800", NULL);
	rs_match(r, BH_ARP_OPERATION, BH_EQ, "1", NULL);
	rs_match(r, BH_ARP_SADDR_IP, BH_EQ, "0.0.0.0", NULL);
	rs_verdict(r, BH_ACCEPT, NULL);
	r = rs_rule(c);
	st = rs_stmt(r, BH_STMT_LOOKUP, FIELDS(BH_ETHER_TYPE));
	rs_anon(st, "0x800");
	rs_anon(st, "0x88cc");
	rs_verdict(r, BH_ACCEPT, NULL);
	r = rs_rule(c);
	rs_match(r, BH_IP6_HOPLIMIT, BH_EQ, "255", NULL);
	rs_match(r, BH_IP6_SADDR, BH_EQ, "::", NULL);
	rs_named(r, BH_STMT_LOOKUP, FIELDS(BH_IIFNAME, BH_ETHER_SADDR, BH_TH_64_128), "pin6t");
	rs_verdict(r, BH_ACCEPT, NULL);
}

static void sample_netdev(struct bh_table *t)
{
	struct bh_chain *c = rs_chain(t, "port_1");
	struct bh_nft_rule *r;

	rs_base(c, BH_HOOK_INGRESS, 0);
	strcpy(c->device, "lo");
	r = rs_rule(c);
	rs_number(r, BH_STMT_SET_PRIORITY, 0x1000a);
	rs_named(r, BH_STMT_FWD, NULL, "lo");
}

static struct bh_ruleset *sample(void)
{
	struct bh_ruleset *r = rs_new();

	for (int f = 0; f < BH_FAMILY_MAX; f++)
		r->tables[f].present = true;
	sample_sets(&r->tables[BH_FAMILY_INET]);
	sample_rules(&r->tables[BH_FAMILY_INET]);
	sample_bridge(&r->tables[BH_FAMILY_BRIDGE]);
	sample_netdev(&r->tables[BH_FAMILY_NETDEV]);
	bh_ruleset_sort(r);
	return r;
}

static const char expected[] =
#include "test_ruleset_text.expected.h"
	;

static void the_sample_reads_as_written(void **state)
{
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *r = sample();
	_cleanup_buf_ struct bh_buf out = {0};

	(void)state;
	assert_int_equal(bh_ruleset_print(r, &out), 0);
	assert_string_equal(out.s, expected);
}

static void absent_tables_print_nothing(void **state)
{
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *r = rs_new();
	_cleanup_buf_ struct bh_buf out = {0};

	(void)state;
	assert_int_equal(bh_ruleset_print(r, &out), 0);
	assert_int_equal(out.n, 0);
	r->tables[BH_FAMILY_BRIDGE].present = true;
	assert_int_equal(bh_ruleset_print(r, &out), 0);
	assert_string_equal(out.s, "table bridge bulkhead {\n}\n");
}

/* A device name may hold anything but a slash, a colon and blanks; it must not end its quotes nor act on a terminal. */
static void hostile_device_names_stay_in_their_quotes(void **state)
{
	struct bh_set s = {.name = "x", .key = {BH_IIFNAME}, .n_key = 1};
	_cleanup_buf_ struct bh_buf out = {0};

	(void)state;
	rs_elem(&s, "a\"};drop\x1b[m");
	assert_int_equal(bh_elem_print(&s, &s.elems.v[0], &out), 0);
	assert_string_equal(out.s, "\"a?};drop?[m\"");
	rs_elem(&s, "star*");
	out.n = 0;
	assert_int_equal(bh_elem_print(&s, &s.elems.v[1], &out), 0);
	assert_string_equal(out.s, "\"star\\*\"");
	bh_set_clear(&s);
}

static void a_foreign_rule_is_a_comment(void **state)
{
	struct bh_chain c = {.name = "c"};
	_cleanup_buf_ struct bh_buf out = {0};
	struct bh_nft_rule *r = rs_rule(&c);

	(void)state;
	rs_match(r, BH_IIFNAME, BH_EQ, "lo", NULL);
	rs_stmt(r, BH_STMT_FOREIGN, NULL);
	rs_verdict(r, BH_ACCEPT, NULL);
	assert_int_equal(bh_chain_print(&c, BH_FAMILY_INET, &out), 0);
	assert_string_equal(out.s, "\tchain c {\n\t\t# a rule that bulkhead does not write\n\t}\n");
	bh_chain_clear(&c);
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_sample_reads_as_written),
		cmocka_unit_test(absent_tables_print_nothing),
		cmocka_unit_test(hostile_device_names_stay_in_their_quotes),
		cmocka_unit_test(a_foreign_rule_is_a_comment),
	};

	if (argc == 2 && strcmp(argv[1], "--print") == 0) {
		_cleanup_(bh_ruleset_freep) struct bh_ruleset *r = sample();
		_cleanup_buf_ struct bh_buf out = {0};

		if (bh_ruleset_print(r, &out) < 0)
			return 1;
		fputs(out.s, stdout);
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
