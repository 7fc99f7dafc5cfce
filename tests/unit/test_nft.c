/* SPDX-License-Identifier: Apache-2.0 */
/* Rule sets as netlink messages and back without a kernel: what is refused before it is sent, how big changes are cut, and
 * that broken messages do no harm. */
#include "../fuzz/nft_messages.h"
#include "../netns/rsrandom.h"

#include <bulkhead/diff.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct bh_ruleset nothing;

static struct bh_plan *plan_to(const struct bh_ruleset *wanted)
{
	struct bh_plan *p = NULL;

	assert_int_equal(bh_diff(wanted, &nothing, &p), 0);
	return p;
}

static int encode(const struct bh_ruleset *wanted, struct nft_batch *b, struct bh_error *err)
{
	struct bh_plan *p = plan_to(wanted);
	int r;

	b->pretend = true;
	assert_int_equal(nft_batch_begin(b, 100), 0);
	r = nft_encode_plan(b, p, err);
	if (r == 0)
		assert_int_equal(nft_batch_end(b), 0);
	bh_plan_free(p);
	return r;
}

/* ---- refusals */

static struct bh_ruleset *one_rule(enum bh_family f, struct bh_nft_rule **ret)
{
	struct bh_ruleset *rs = rs_new();

	rs->tables[f].present = true;
	*ret = rs_rule(rs_chain(&rs->tables[f], "c"));
	return rs;
}

static void refused(struct bh_ruleset *rs, int code, const char *words)
{
	_cleanup_batch_ struct nft_batch b = {0};
	struct bh_error err = {0};

	assert_int_equal(encode(rs, &b, &err), code);
	if (!strstr(err.msg, words))
		fail_msg("the message is \"%s\"", err.msg);
	bh_ruleset_free(rs);
}

static void test_refused_rules(void **state)
{
	struct bh_nft_rule *r;
	struct bh_ruleset *rs;

	(void)state;
	/* would be taken away when it is read back */
	rs = one_rule(BH_FAMILY_INET, &r);
	rs_match(r, BH_NFPROTO, BH_EQ, "2", NULL);
	rs_match(r, BH_IP_SADDR, BH_EQ, "10.0.0.1", NULL);
	refused(rs, -EINVAL, "chain inet c, rule 1: a match that the field after it implies must be left out");
	rs = one_rule(BH_FAMILY_INET, &r);
	rs_match(r, BH_L4PROTO, BH_EQ, "6", NULL);
	rs_match(r, BH_TCP_FLAGS, BH_EQ, "2", NULL);
	refused(rs, -EINVAL, "implies");
	rs = one_rule(BH_FAMILY_BRIDGE, &r);
	rs_match(r, BH_ETHER_TYPE, BH_EQ, "0x0800", NULL);
	rs_match(r, BH_IP_SADDR, BH_EQ, "10.0.0.1", NULL);
	refused(rs, -EINVAL, "implies");

	rs = one_rule(BH_FAMILY_INET, &r);
	rs_match(r, BH_IP_SADDR, BH_EQ, "10.0.0.1", NULL);
	rs_match(r, BH_IP6_SADDR, BH_EQ, "::1", NULL);
	refused(rs, -EINVAL, "two network protocols");
	rs = one_rule(BH_FAMILY_INET, &r);
	rs_match(r, BH_UDP_SPORT, BH_EQ, "1", NULL);
	rs_match(r, BH_TCP_FLAGS, BH_EQ, "2", NULL);
	refused(rs, -EINVAL, "two transport protocols");
	rs = one_rule(BH_FAMILY_INET, &r);
	rs_match(r, BH_L4PROTO, BH_EQ, "17", NULL);
	rs_match(r, BH_TH_SPORT, BH_EQ, "1", NULL);
	refused(rs, -EINVAL, "udp sport");
	rs = one_rule(BH_FAMILY_NETDEV, &r);
	rs_match(r, BH_ETHER_SADDR, BH_EQ, "02:00:00:00:00:01", NULL);
	refused(rs, -EOPNOTSUPP, "netdev family");
	rs = one_rule(BH_FAMILY_INET, &r);
	rs_match(r, BH_ARP_OPERATION, BH_EQ, "1", NULL);
	refused(rs, -EOPNOTSUPP, "ARP");
	rs = one_rule(BH_FAMILY_INET, &r);
	rs_named(r, BH_STMT_LOOKUP, FIELDS(BH_IP_DSCP), "s");
	refused(rs, -EOPNOTSUPP, "dscp");
	rs = one_rule(BH_FAMILY_INET, &r);
	rs_stmt(r, BH_STMT_FOREIGN, NULL);
	refused(rs, -EINVAL, "does not write");
	rs = one_rule(BH_FAMILY_INET, &r);
	for (int i = 0; i < 70; i++)
		rs_match(r, BH_MARK, BH_EQ, "1", NULL);
	refused(rs, -E2BIG, "128 expressions");
}

static void test_refused_elements(void **state)
{
	struct bh_ruleset *rs;
	struct bh_set *s;

	(void)state;
	rs = rs_new();
	rs->tables[0].present = true;
	s = rs_set(&rs->tables[0], "s", FIELDS(BH_IP_SADDR), BH_DATA_NONE, BH_SET_INTERVAL);
	memset(rs_elem(s, "10.0.0.1")->key_end, 0, BH_KEY_MAX);	/* an interval without an end */
	refused(rs, -EINVAL, "set inet s: element 1 has a wrong end");
	rs = rs_new();
	rs->tables[0].present = true;
	s = rs_set(&rs->tables[0], "s", FIELDS(BH_IP_SADDR), BH_DATA_NONE, 0);
	memcpy(rs_elem(s, "10.0.0.1")->key_end, "\x0a\0\0\2", 4);	/* an end without an interval */
	refused(rs, -EINVAL, "wrong end");
	rs = rs_new();
	rs->tables[0].present = true;
	rs_set(&rs->tables[0], "s", FIELDS(BH_IP6_SADDR, BH_IP6_DADDR, BH_IIFNAME, BH_IIFNAME, BH_MARK), BH_DATA_NONE, 0);
	refused(rs, -EINVAL, "too wide");
}

/* ---- messages */

static void test_big_sets_are_cut(void **state)
{
	_cleanup_batch_ struct nft_batch b = {0};
	struct bh_ruleset *rs = rs_new();
	struct bh_error err = {0};
	struct nft_seen_set seen = {0};
	struct bh_set *s;
	size_t messages = 0, acks = 0;
	const struct nlmsghdr *nlh;
	uint32_t seq = 100;
	int left;

	(void)state;
	rs->tables[0].present = true;
	s = rs_set(&rs->tables[0], "s", FIELDS(BH_IIFNAME, BH_IP_SADDR), BH_DATA_PRIORITY, BH_SET_COUNTER);
	for (uint32_t i = 0; i < 10000; i++) {
		struct bh_elem *e = rs_need(bh_vec_add(&s->elems));
		uint32_t v = htonl(i);

		memcpy(e->key + 16, &v, sizeof(v));
		e->value = i;
	}
	assert_int_equal(encode(rs, &b, &err), 0);
	nlh = (const struct nlmsghdr *)b.buf;
	left = (int)b.n;
	for (; nft_message_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left)) {
		assert_int_equal(nlh->nlmsg_seq, seq++);
		acks += !!(nlh->nlmsg_flags & NLM_F_ACK);
		if ((nlh->nlmsg_type & 0xff) == NFT_MSG_NEWSET)
			assert_int_equal(nft_decode_set(nlh, &seen), 0);
		if (nlh->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSETELEM))
			continue;
		messages++;
		assert_true(nlh->nlmsg_len < UINT16_MAX + 100);
		assert_int_equal(nft_decode_elems(nlh, &seen), 0);
	}
	assert_int_equal(left, 0);
	assert_int_equal(acks, 1);
	assert_true(messages > 5 && messages < 20);
	assert_int_equal(seen.set.elems.n, 10000);
	assert_int_equal(seen.set.elems.v[9999].value, 9999);
	assert_true(bh_set_same_type(&seen.set, s));
	bh_set_clear(&seen.set);
	bh_vec_clear(&seen.ends);
	bh_ruleset_free(rs);
}

/* What was written is read back the same; sets and their elements, chains and rules, of every family. */
static void round_trip(const struct bh_ruleset *rs)
{
	_cleanup_batch_ struct nft_batch b = {0};
	struct nft_seen_sets sets = {0};
	struct bh_ruleset *back = rs_new();
	struct bh_error err = {0};
	struct bh_plan *p = NULL;
	const struct nlmsghdr *nlh;
	int left;

	if (encode(rs, &b, &err) < 0)
		fail_msg("%s", err.msg);
	nlh = (const struct nlmsghdr *)b.buf;
	left = (int)b.n;
	for (; nft_message_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left)) {
		int f = nft_family_from(((const struct nfgenmsg *)mnl_nlmsg_get_payload(nlh))->nfgen_family);
		struct bh_table *t = f < 0 ? NULL : &back->tables[f];
		struct bh_nft_rule *rule;
		struct bh_chain *c;

		if (!t || nlh->nlmsg_type >> 8 != NFNL_SUBSYS_NFTABLES)
			continue;
		switch (nlh->nlmsg_type & 0xff) {
		case NFT_MSG_NEWTABLE:
			t->present = true;
			break;
		case NFT_MSG_NEWCHAIN:
			assert_int_equal(nft_decode_chain(nlh, (enum bh_family)f, rs_need(bh_vec_add(&t->chains))), 0);
			break;
		case NFT_MSG_NEWOBJ:
			assert_int_equal(nft_decode_counter(nlh, rs_need(bh_vec_add(&t->counters))), 0);
			break;
		case NFT_MSG_NEWSET:
			assert_int_equal(nft_decode_set(nlh, rs_need(bh_vec_add(&sets.v))), 0);
			break;
		case NFT_MSG_NEWSETELEM:
			break;
		case NFT_MSG_NEWRULE:
			c = bh_table_chain(t, nft_rule_chain(nlh));
			assert_non_null(c);
			rule = rs_need(bh_vec_add(&c->rules));
			nft_seen_sets_sort(&sets);
			assert_int_equal(nft_decode_rule(nlh, (enum bh_family)f, &sets, rule), 0);
			break;
		}
	}
	nft_seen_sets_clear(&sets);
	bh_ruleset_sort(back);
	assert_int_equal(bh_diff(rs, back, &p), 0);
	bh_vec_foreach(c, &p->changes)
		if (c->kind == BH_ADD_RULES || c->kind == BH_FLUSH_RULES || c->kind == BH_ADD_CHAIN || c->kind == BH_ADD_COUNTER) {
			struct bh_buf out = {0};

			if (c->chain)
				bh_chain_print(c->chain, c->family, &out);
			bh_chain_print(bh_table_chain(&rs->tables[c->family], c->chain ? c->chain->name : ""), c->family, &out);
			fail_msg("%s", out.s);
		}
	bh_plan_free(p);
	bh_ruleset_free(back);
}

/* Anonymous sets all have the same name before the kernel has numbered them: their rules are for the tests with a kernel. */
static void drop_anonymous(struct bh_ruleset *rs)
{
	for (int f = 0; f < BH_FAMILY_MAX; f++)
		bh_vec_foreach(c, &rs->tables[f].chains)
			bh_vec_foreach(r, &c->rules)
				for (size_t i = r->stmts.n; i-- > 0;)
					if (r->stmts.v[i].elems.n > 0 || r->stmts.v[i].kind == BH_STMT_FWD) {
						bh_stmt_clear(&r->stmts.v[i]);
						memmove(&r->stmts.v[i], &r->stmts.v[i + 1],
							(r->stmts.n - i - 1) * sizeof(r->stmts.v[0]));
						r->stmts.n--;
					}
}

static void test_random_rule_sets(void **state)
{
	struct rng r = {20261125};

	(void)state;
	for (int i = 0; i < 200; i++) {
		struct bh_ruleset *rs = ruleset_random(&r);

		drop_anonymous(rs);
		/* a set's name means one set a table here; three tables have the same names: one at a time */
		for (int f = 0; f < BH_FAMILY_MAX; f++) {
			struct bh_ruleset one = {0};

			one.tables[f] = rs->tables[f];
			round_trip(&one);
		}
		bh_ruleset_free(rs);
	}
}

/* ---- intervals */

static void interval_read(struct bh_set *s, struct nft_seen_set *ret)
{
	_cleanup_batch_ struct nft_batch b = {0};
	struct bh_ruleset rs = {0};
	struct bh_error err = {0};
	const struct nlmsghdr *nlh;
	int left;

	rs.tables[0].present = true;
	assert_int_equal(bh_vec_push(&rs.tables[0].sets, *s), 0);
	assert_int_equal(encode(&rs, &b, &err), 0);
	bh_vec_clear(&rs.tables[0].sets);
	nlh = (const struct nlmsghdr *)b.buf;
	left = (int)b.n;
	for (; nft_message_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left)) {
		if ((nlh->nlmsg_type & 0xff) == NFT_MSG_NEWSET)
			assert_int_equal(nft_decode_set(nlh, ret), 0);
		if (nlh->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSETELEM))
			assert_int_equal(nft_decode_elems(nlh, ret), 0);
	}
	assert_int_equal(nft_decode_intervals(ret), 0);
}

static void test_intervals(void **state)
{
	static const struct {
		uint16_t from, to;
	} ranges[] = {{0, 0}, {1, 1}, {3, 9}, {10, 20}, {22, 22}, {0x00ff, 0x0100}, {0x0200, 0xfffe}, {0xffff, 0xffff}};
	struct bh_ruleset *rs = rs_new();
	struct nft_seen_set seen = {0};
	struct bh_set *s;

	(void)state;
	/* each alone, then all of them: touching, at both ends of what there is, over a byte */
	for (size_t only = 0; only <= BH_ARRAY_SIZE(ranges); only++) {
		s = rs_set(&rs->tables[0], "s", FIELDS(BH_TH_DPORT), BH_DATA_PRIORITY, BH_SET_INTERVAL);
		for (size_t i = 0; i < BH_ARRAY_SIZE(ranges); i++) {
			struct bh_elem *e;

			if (only < BH_ARRAY_SIZE(ranges) && i != only)
				continue;
			e = rs_need(bh_vec_add(&s->elems));
			e->key[0] = (uint8_t)(ranges[i].from >> 8);
			e->key[1] = (uint8_t)ranges[i].from;
			e->key_end[0] = (uint8_t)(ranges[i].to >> 8);
			e->key_end[1] = (uint8_t)ranges[i].to;
			e->value = (uint32_t)i;
		}
		interval_read(s, &seen);
		assert_int_equal(seen.set.elems.n, s->elems.n);
		for (size_t i = 0; i < s->elems.n; i++)
			assert_true(bh_elem_equal(&seen.set.elems.v[i], &s->elems.v[i], BH_DATA_PRIORITY));
		bh_set_clear(&seen.set);
		bh_vec_clear(&seen.ends);
		bh_set_clear(s);
		rs->tables[0].sets.n = 0;
	}
	bh_ruleset_free(rs);
}

/* ---- broken messages */

static void test_broken_messages(void **state)
{
	struct rng r = {20261126};

	(void)state;
	for (int i = 0; i < 12; i++) {
		_cleanup_batch_ struct nft_batch b = {0};
		struct bh_ruleset *rs = ruleset_random(&r);
		struct bh_error err = {0};

		assert_int_equal(encode(rs, &b, &err), 0);
		bh_ruleset_free(rs);
		nft_messages(b.buf, b.n);
		for (int k = 0; k < 60; k++) {
			size_t n = chance(&r, 20) ? 1 + rnd(&r, (uint32_t)b.n) : b.n;
			uint8_t *copy = malloc(n);

			assert_non_null(copy);
			memcpy(copy, b.buf, n);
			for (uint32_t m = 1 + rnd(&r, 200); m > 0; m--)
				copy[rnd(&r, (uint32_t)n)] = chance(&r, 50) ? (uint8_t)rnd(&r, 256) : (uint8_t)rnd(&r, 20);
			nft_messages(copy, n);
			free(copy);
		}
	}
}

/* ---- the fake */

static void test_fake(void **state)
{
	struct bh_ruleset *rs = rs_new(), *seen = NULL, *empty = rs_new();
	struct bh_error err = {0};
	struct bh_nft *n = NULL;
	struct bh_plan *p;
	struct bh_chain *c;

	(void)state;
	assert_int_equal(bh_nft_fake_new(&n), 0);
	rs->tables[0].present = true;
	c = rs_chain(&rs->tables[0], "a");
	rs_base(c, BH_HOOK_FORWARD, 0);
	rs_verdict(rs_rule(c), BH_JUMP, "b");
	c = rs_chain(&rs->tables[0], "b");
	rs_verdict(rs_rule(c), BH_DROP, NULL);
	bh_ruleset_sort(rs);
	p = plan_to(rs);
	assert_int_equal(n->ops->apply(n, p, &err), 0);
	assert_int_equal(n->ops->apply(n, p, &err), -EEXIST);
	bh_plan_free(p);
	assert_int_equal(n->ops->observe(n, &seen, &err), 0);
	assert_int_equal(bh_diff(rs, seen, &p), 0);
	assert_int_equal(p->changes.n, 0);
	bh_plan_free(p);

	/* a loop is deeper than the jump stack */
	rs_verdict(rs_rule(bh_table_chain(&rs->tables[0], "b")), BH_JUMP, "b");
	assert_int_equal(bh_diff(rs, seen, &p), 0);
	err = (struct bh_error){0};
	assert_int_equal(n->ops->apply(n, p, &err), -EMLINK);
	bh_plan_free(p);
	assert_int_equal(bh_diff(empty, seen, &p), 0);
	err = (struct bh_error){0};
	assert_int_equal(n->ops->apply(n, p, &err), 0);
	err = (struct bh_error){0};
	assert_int_equal(n->ops->apply(n, p, &err), -ENOENT);
	bh_plan_free(p);
	bh_ruleset_free(seen);
	bh_ruleset_free(rs);
	bh_ruleset_free(empty);
	bh_nft_free(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused_rules),
		cmocka_unit_test(test_refused_elements),
		cmocka_unit_test(test_big_sets_are_cut),
		cmocka_unit_test(test_random_rule_sets),
		cmocka_unit_test(test_intervals),
		cmocka_unit_test(test_broken_messages),
		cmocka_unit_test(test_fake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
