/* SPDX-License-Identifier: Apache-2.0 */
/* Netlink both ways against the kernel, with nft(8) as the judge: what it loads we read, what we write it lists. */
#include "nft_net.h"

#include "../../src/nft/internal.h"

#include <errno.h>
#include <net/if.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

/* Every form of statement, field, set and chain that the IR has. */
static const char forms[] =
	"table inet bulkhead {\n"
	"  set bridges { type ifname; flags interval; elements = { \"docker0\", \"br-*\", \"cni*\" }; }\n"
	"  set plain { type ipv4_addr; elements = { 10.0.0.1, 10.0.0.2 }; }\n"
	"  set ports { type inet_service; flags interval; elements = { 0-10, 80, 100-200, 65535 }; }\n"
	"  set six { type ipv6_addr; flags interval; elements = { ::/127, 2001:db8::/32, ff00::/8 }; }\n"
	"  set fresh { type classid; size 65535; flags dynamic,timeout; timeout 10s; }\n"
	"  set met { type classid; size 65535; flags dynamic; }\n  map chosen { type classid : classid; elements = { 0:1 : b8:1 }; }\n"
	"  map zone4 { type ifname . ipv4_addr : classid; counter; elements = { \"docker0\" . 10.0.0.1 : b8:1, \"lo\" . 10.0.0.2 : b8:2 }; }\n"
	"  map world4 { type ipv4_addr : classid; flags interval; elements = { 10.0.0.0/8 : b9:2, 11.0.0.0/8 : b9:3, 240.0.0.0/4 : b9:4 }; }\n"
	"  map go { type classid : verdict; counter; elements = { b8:1 : jump leaf, b8:2 : goto leaf, b8:3 : accept, b8:4 : drop, b8:5 : return }; }\n"
	"  map open { type classid . inet_proto . inet_service : verdict; counter; elements = { b8:1 . tcp . 80 : accept }; }\n"
	"  set ranges { type classid . inet_proto . inet_service; flags interval; counter; elements = { b8:1 . tcp . 9000-9999, b8:2 . udp . 53 }; }\n"
	"  set hops { typeof ip6 hoplimit; elements = { 255 }; }\n"
	"  counter a { }\n  counter b { }\n"
	"  chain leaf { accept\n }\n"
	"  chain c {\n"
	"    type filter hook forward priority filter - 10; policy drop;\n"
	"    iifname @bridges accept\n    oifname != @bridges accept\n    iifname \"lo\" accept\n    oifname \"br-*\" accept\n"
	"    iif 0 accept\n    meta priority 0 accept\n    meta priority != b8:1 accept\n    meta priority >= 1:0 accept\n"
	"    meta priority < ff:0 meta mark 5 meta skuid 0 accept\n    meta mark & 0xff == 0x1 accept\n"
	"    meta nfproto ipv4 meta l4proto gre accept\n    ct direction original ct state new,established accept\n"
	"    ct status dnat ct mark 7 accept\n    ct original ip saddr 10.0.0.1 ct reply ip6 saddr 2001:db8::1 accept\n"
	"    meta l4proto tcp ct original proto-dst 80 accept\n    ct protocol tcp accept\n"
	"    ip saddr 10.0.0.1 ip daddr 10.0.0.2 accept\n    ip protocol igmp accept\n    ip dscp 5 accept\n    ip dscp != 5 accept\n"
	"    meta priority set ip dscp map { 0 : 0:1, 8 : 0:2, 46 : 0:6 }\n    ip6 saddr 2001:db8::1 ip6 hoplimit 255 accept\n"
	"    th dport 80 accept\n    th sport 1 th dport 2 accept\n    udp sport 67 udp dport 68 accept\n    tcp flags syn / syn,ack accept\n"
	"    tcp flags & rst == rst accept\n    tcp flags syn accept\n    icmp type 3 icmp code 13 accept\n    icmp code 4 accept\n"
	"    icmpv6 type 1 icmpv6 code 1 accept\n    icmpv6 type { 135, 136 } accept\n    icmp type != { 3, 11 } accept\n"
	"    th dport { 80-90, 100-100 } accept\n    th dport { 80, 90 } accept\n    ip saddr . th dport { 10.0.0.1 . 80-90, 10.0.0.2 . 1-2 } accept\n"
	"    ct direction vmap { original : jump leaf, reply : goto leaf }\n    ip saddr @plain accept\n    ip6 saddr @six accept\n"
	"    th dport @ports accept\n    ip6 hoplimit @hops accept\n    meta priority set iifname . ct original ip saddr map @zone4\n"
	"    meta priority set ct reply ip saddr map @world4\n    meta priority set b9:3\n    meta priority set ip saddr map { 1.2.3.4 : b8:1 }\n"
	"    meta priority vmap @go\n    meta priority . meta l4proto . th dport vmap @open\n"
	"    meta priority . meta l4proto . th dport @ranges accept\n    update @fresh { meta priority timeout 10s }\n"
	"    update @fresh { meta priority }\n    update @met { meta priority ct count 2000 } goto leaf\n"
	"    update @fresh { meta priority timeout 2s limit rate 20/second burst 20 packets } goto leaf\n"
	"    update @fresh { meta priority limit rate 3/minute burst 3 packets } goto leaf\n    ct status ! confirmed accept\n"
	"    meta priority set meta priority map @chosen\n    counter name \"a\" limit rate 10/second log prefix \"bulkhead x \" group 77\n"
	"    meta l4proto tcp reject with tcp reset\n    reject with icmpx admin-prohibited\n    continue\n    drop\n  }\n"
	"}\n"
	"table bridge bulkhead {\n"
	"  set pin4 { type ifname . ether_addr . ipv4_addr; elements = { \"veth1\" . 02:00:00:00:00:01 . 10.0.0.1 }; }\n"
	"  set pin6t { typeof iifname . ether saddr . @th,64,128; elements = { \"veth1\" . 02:00:00:00:00:01 . 0xfe800000000000000000000000000001 }; }\n"
	"  chain p {\n"
	"    type filter hook prerouting priority -250; policy accept;\n"
	"    iifname . ether saddr . ip saddr @pin4 accept\n    arp htype 1 arp ptype ip arp operation request arp saddr ip 0.0.0.0 accept\n"
	"    iifname . arp saddr ether . arp saddr ip @pin4 accept\n    arp daddr ip 10.0.0.1 drop\n"
	"    ip6 saddr :: iifname . ether saddr . @th,64,128 @pin6t accept\n    icmpv6 type vmap { nd-router-advert : drop, 135 : accept }\n"
	"    ether saddr 02:00:00:00:00:01 ether type arp accept\n    ether daddr 02:00:00:00:00:01 ether saddr 02:00:00:00:00:02 accept\n"
	"    ether type { ip, arp } accept\n    ether type != ip6 accept\n    icmp type 3 accept\n    udp sport 67 drop\n    ip6 hoplimit 255 accept\n  }\n"
	"}\n"
	"table netdev bulkhead {\n"
	"  map class { type ipv4_addr : classid; elements = { 10.0.0.1 : 1:10 }; }\n"
	"  chain in {\n    type filter hook ingress device \"lo\" priority 0; policy accept;\n"
	"    meta priority set ip saddr map @class\n    meta priority set 1:5 fwd to \"lo\"\n  }\n"
	"  chain out {\n    type filter hook egress device \"lo\" priority 0; policy accept;\n    meta priority set 1:5\n    arp operation request accept\n  }\n"
	"}\n";

static size_t foreign_rules(const struct bh_ruleset *r)
{
	size_t n = 0;

	for (int f = 0; f < BH_FAMILY_MAX; f++)
		bh_vec_foreach(c, &r->tables[f].chains)
			bh_vec_foreach(rule, &c->rules)
				bh_vec_foreach(s, &rule->stmts)
					n += s->kind == BH_STMT_FOREIGN;
	return n;
}

/* Text -> kernel -> IR -> text -> kernel -> IR, and IR -> kernel -> nft's listing. */
static void round_trip(const char *text)
{
	struct bh_nft *n;
	struct bh_ruleset *first, *second, *nothing = calloc(1, sizeof(*nothing));
	char *printed, *listed_ours, *listed_text;

	assert_non_null(nothing);
	nft_load(text);
	n = kernel_new();
	first = observe(n);
	if (foreign_rules(first) > 0)
		fail_msg("%zu rules are not understood:\n%s", foreign_rules(first), ruleset_text(first));
	printed = ruleset_text(first);

	/* ours, in place of nft's */
	bring(n, nothing);
	bring(n, first);
	listed_ours = nft_list();
	bh_nft_free(n);

	/* our text, loaded by nft elsewhere */
	netns_fresh();
	nft_load(printed);
	n = kernel_new();
	second = observe(n);
	assert_same(first, second, "printed and loaded again");
	listed_text = nft_list();
	assert_string_equal(listed_ours, listed_text);
	bh_nft_free(n);

	/* nft's own listing of what we wrote, loaded elsewhere */
	netns_fresh();
	nft_load(listed_ours);
	n = kernel_new();
	bh_ruleset_free(second);
	second = observe(n);
	assert_same(first, second, "listed and loaded again");
	bh_nft_free(n);
	bh_ruleset_free(first);
	bh_ruleset_free(second);
	bh_ruleset_free(nothing);
	free(printed);
	free(listed_ours);
	free(listed_text);
}

static void test_skeleton(void **state)
{
	char *text = file_read(GOLDEN "/skeleton.nft");

	(void)state;
	round_trip(text);
	free(text);
}

static void test_forms(void **state)
{
	(void)state;
	round_trip(forms);
}

/* What others do to our tables is seen, and put right. */
static void test_drift(void **state)
{
	static const char *const drifts[] = {
		"flush ruleset",
		"delete table bridge bulkhead",
		"flush chain inet bulkhead leaf",
		"add rule inet bulkhead leaf counter accept",
		"insert rule inet bulkhead leaf accept",
		"insert rule inet bulkhead leaf ip saddr 10.0.0.0/9 accept",
		"insert rule inet bulkhead leaf ct count over 10 accept",
		"insert rule inet bulkhead leaf meta mark set 5",
		"insert rule inet bulkhead leaf limit rate 1/minute accept",
		"insert rule inet bulkhead leaf meta length 5 accept",
		"insert rule inet bulkhead leaf log level debug",
		"insert rule inet bulkhead leaf reject with icmpx port-unreachable",
		"insert rule inet bulkhead leaf tcp option maxseg size set 1400",
		"insert rule inet bulkhead leaf fib saddr type local accept",
		"insert rule inet bulkhead leaf th dport 80-90 accept",
		"insert rule inet bulkhead leaf ct mark set meta mark",
		"insert rule inet bulkhead leaf update @met { meta priority ct count over 5 } drop",
		"insert rule inet bulkhead leaf update @fresh { meta priority limit rate 5/second burst 6 packets } drop",
		"insert rule inet bulkhead leaf update @fresh { meta priority limit rate over 5/second burst 5 packets } drop",
		"insert rule inet bulkhead leaf update @fresh { meta priority limit rate 5/hour burst 5 packets } drop",
		"insert rule inet bulkhead leaf update @fresh { meta priority limit rate 5 bytes/second burst 5 bytes } drop",
		"insert rule inet bulkhead leaf update @fresh { meta priority counter } drop",
		"insert rule inet bulkhead leaf add @fresh { meta priority limit rate 5/second } drop",
		"insert rule inet bulkhead leaf numgen random mod 2 0 accept",
		"insert rule bridge bulkhead p meta protocol ip accept",
		"insert rule inet bulkhead leaf notrack",
		"add element inet bulkhead plain { 10.9.9.9 }",
		"delete element inet bulkhead plain { 10.0.0.1 }",
		"add element inet bulkhead zone4 { \\\"x\\\" . 10.9.9.9 : b8:9 }",
		"flush map inet bulkhead zone4",
		"add element inet bulkhead ports { 300-400 }",
		"delete element inet bulkhead ports { 100-200 }",
		"add element inet bulkhead ranges { b8:7 . tcp . 1-2 }",
		"add element inet bulkhead go { b8:9 : drop }",
		"add chain inet bulkhead stranger",
		"add chain inet bulkhead stranger { type filter hook forward priority 0; policy drop; }",
		"add chain inet bulkhead stranger { type nat hook prerouting priority -100; }",
		"add chain inet bulkhead c { policy accept; }",
		"add chain inet bulkhead a_name_that_is_longer_than_any_of_ours { type filter hook forward priority 0; policy drop; }",
		"add set inet bulkhead stranger { type mark . ifname; }",
		"add map inet bulkhead stranger { type mark : mark; }",
		"add counter inet bulkhead stranger",
		"add table inet bulkhead { flags dormant; }",
	};
	struct bh_ruleset *wanted, *seen;
	char *before, *after, cmd[512];
	struct bh_nft *n;

	(void)state;
	nft_load(forms);
	n = kernel_new();
	wanted = observe(n);
	bring(n, wanted);
	before = nft_list();
	for (size_t i = 0; i < BH_ARRAY_SIZE(drifts); i++) {
		struct bh_plan *p;

		snprintf(cmd, sizeof(cmd), "\"%s\"", drifts[i]);
		nft_ok(cmd);
		seen = observe(n);
		p = plan_new(wanted, seen);
		if (p->changes.n == 0)
			fail_msg("not seen: %s", drifts[i]);
		bh_plan_free(p);
		bh_ruleset_free(seen);
		bring(n, wanted);
		after = nft_list();
		/* nft lists sets and chains in the order in which they were made; what counts is that all is there */
		if (strlen(after) != strlen(before))
			fail_msg("after \"%s\" the listing is another:\n%s", drifts[i], after);
		free(after);
	}
	free(before);

	/* what is harmless and cannot be named does not disturb */
	nft_ok("'add chain inet bulkhead a_name_that_is_longer_than_any_of_ours; "
	       "add set inet bulkhead a_name_that_is_longer_than_any_of_ours { type mark; }; "
	       "add counter inet bulkhead a_name_that_is_longer_than_any_of_ours; add quota inet bulkhead q { over 1 mbytes }'");
	seen = observe(n);
	assert_same(wanted, seen, "harmless");
	bh_ruleset_free(seen);
	bh_ruleset_free(wanted);
	bh_nft_free(n);
}

/* Tables of other programs, also of our name in a family that is not ours, are neither read nor written. */
static void test_others_are_left_alone(void **state)
{
	struct bh_ruleset *nothing = calloc(1, sizeof(*nothing)), *seen;
	struct bh_nft *n;
	char *before, *after;

	(void)state;
	assert_non_null(nothing);
	nft_load("table inet other { set s { type ipv4_addr; elements = { 1.2.3.4 }; }\n chain c { type filter hook input priority 0; ip saddr @s drop; }\n }\n"
		 "table ip bulkhead { chain c { accept\n }\n }\n");
	before = nft_list();
	nft_load(forms);
	n = kernel_new();
	seen = observe(n);
	bh_vec_foreach(c, &seen->tables[BH_FAMILY_INET].chains)
		assert_true(strcmp(c->name, "c") == 0 || strcmp(c->name, "leaf") == 0);
	assert_null(bh_table_set(&seen->tables[BH_FAMILY_INET], "s"));
	bring(n, nothing);
	after = nft_list();
	assert_string_equal(before, after);
	free(before);
	free(after);
	bh_ruleset_free(seen);
	bh_ruleset_free(nothing);
	bh_nft_free(n);
}

/* ---- refusals */

static void refused(struct bh_nft *n, const struct bh_ruleset *wanted, int code, const char *words)
{
	struct bh_ruleset *seen = observe(n), *after;
	struct bh_plan *p = plan_new(wanted, seen);
	struct bh_error err = {0};
	int r = n->ops->apply(n, p, &err);

	assert_int_equal(r, code);
	assert_int_equal(err.code, code);
	if (!strstr(err.msg, words))
		fail_msg("the message is \"%s\", without \"%s\"", err.msg, words);
	after = observe(n);
	assert_same(seen, after, "after a refusal");
	bh_plan_free(p);
	bh_ruleset_free(seen);
	bh_ruleset_free(after);
}

static struct bh_stmt *verdict_add(struct bh_chain *c, enum bh_verdict v, const char *chain)
{
	struct bh_nft_rule *r = bh_vec_add(&c->rules);
	struct bh_stmt *s = r ? bh_vec_add(&r->stmts) : NULL;

	assert_non_null(s);
	s->kind = BH_STMT_VERDICT;
	s->verdict = v;
	snprintf(s->chain, sizeof(s->chain), "%s", chain);
	return s;
}

static void test_refusals_name_the_object(void **state)
{
	struct bh_nft *n;
	struct bh_ruleset *w;
	struct bh_table *t;
	struct bh_elem *e;
	struct bh_set *s;

	(void)state;
	nft_load(forms);
	n = kernel_new();
	w = observe(n);
	t = &w->tables[BH_FAMILY_INET];

	/* one of 3,000 elements, in the second of its messages, jumps to a chain that is not there */
	s = bh_table_set(t, "go");
	for (uint32_t i = 0; i < 3000; i++) {
		uint32_t key = 0xc00000 + i;

		e = bh_vec_add(&s->elems);
		assert_non_null(e);
		memcpy(e->key, &key, sizeof(key));
		e->verdict = BH_JUMP;
		snprintf(e->chain, sizeof(e->chain), "%s", i == 2900 ? "nowhere" : "leaf");
	}
	bh_ruleset_sort(w);
	refused(n, w, -ENOENT, "set inet go: element c0:b54 : jump nowhere: No such file or directory");
	bh_ruleset_free(w);

	w = observe(n);
	t = &w->tables[BH_FAMILY_INET];
	verdict_add(bh_table_chain(t, "leaf"), BH_GOTO, "nowhere");
	refused(n, w, -ENOENT, "chain inet leaf, rule 2: No such file or directory");
	bh_ruleset_free(w);

	w = observe(n);
	t = &w->tables[BH_FAMILY_INET];
	verdict_add(bh_table_chain(t, "leaf"), BH_JUMP, "c");	/* a base chain */
	refused(n, w, -EOPNOTSUPP, "chain inet leaf, rule 2: Operation not supported");
	bh_ruleset_free(w);

	bh_nft_free(n);
}

/* The kernel is not what the plan was made for. */
static void test_drift_between_observe_and_apply(void **state)
{
	struct bh_nft *n;
	struct bh_ruleset *wanted, *seen;
	struct bh_plan *p;
	struct bh_error err = {0};
	struct bh_elem *e;

	(void)state;
	nft_load(forms);
	n = kernel_new();
	wanted = observe(n);
	seen = observe(n);
	e = bh_vec_add(&bh_table_set(&wanted->tables[BH_FAMILY_INET], "plain")->elems);
	assert_non_null(e);
	memcpy(e->key, "\x0a\x09\x09\x09", 4);
	bh_ruleset_sort(wanted);
	p = plan_new(wanted, seen);
	nft_ok("add element inet bulkhead plain { 10.9.9.9 }");
	assert_int_equal(n->ops->apply(n, p, &err), -EEXIST);
	assert_non_null(strstr(err.msg, "set inet plain: element 10.9.9.9"));
	bh_plan_free(p);

	err = (struct bh_error){0};
	p = plan_new(seen, wanted);	/* the element goes */
	nft_ok("delete element inet bulkhead plain { 10.9.9.9 }");
	assert_int_equal(n->ops->apply(n, p, &err), -ENOENT);
	assert_non_null(strstr(err.msg, "set inet plain: element 10.9.9.9"));
	nft_ok("flush ruleset");
	err = (struct bh_error){0};
	assert_int_equal(n->ops->apply(n, p, &err), -ENOENT);
	bh_plan_free(p);
	bring(n, wanted);
	bh_ruleset_free(wanted);
	bh_ruleset_free(seen);
	bh_nft_free(n);
}

/* A message that somebody else sends to our port is not the kernel's. */
static void test_forged_answers(void **state)
{
	struct bh_nft *n = kernel_new();
	struct {
		struct nlmsghdr nlh;
		struct nlmsgerr e;
	} forged = {.nlh = {.nlmsg_len = sizeof(forged), .nlmsg_type = NLMSG_ERROR}, .e = {.error = -EPERM}};
	struct sockaddr_nl to = {.nl_family = AF_NETLINK, .nl_pid = bh_nft_port(n)};
	struct bh_ruleset *wanted = calloc(1, sizeof(*wanted));
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);

	(void)state;
	assert_non_null(wanted);
	assert_true(fd >= 0);
	for (int i = 0; i < 20; i++) {
		struct bh_ruleset *seen;

		wanted->tables[BH_FAMILY_INET].present = i % 2;
		forged.nlh.nlmsg_seq = (uint32_t)i;
		if (sendto(fd, &forged, sizeof(forged), 0, (struct sockaddr *)&to, sizeof(to)) < 0)
			fail_msg("the forged message cannot even be sent: %m");
		bring(n, wanted);
		seen = observe(n);
		assert_int_equal(seen->tables[BH_FAMILY_INET].present, i % 2);
		bh_ruleset_free(seen);
	}
	close(fd);
	bh_ruleset_free(wanted);
	bh_nft_free(n);
}

/* ---- size */

static void many(struct bh_set *s, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct bh_elem *e = bh_vec_add(&s->elems);
		uint32_t addr = htonl(0x0a800000 + i);
		size_t off = 0;

		assert_non_null(e);
		bh_key_put(e->key, &off, "docker0\0\0\0\0\0\0\0\0", 16);
		bh_key_put(e->key, &off, &addr, sizeof(addr));
		e->value = 0xb80001 + i % 100;
	}
}

static int double_cmp(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void test_ten_thousand_elements(void **state)
{
	struct bh_nft *n;
	struct bh_ruleset *wanted, *seen;
	struct bh_plan *p;
	struct bh_error err = {0};
	struct bh_set *s;
	double t[5], one[51];

	(void)state;
	nft_load(forms);
	n = kernel_new();
	seen = observe(n);
	wanted = observe(n);
	s = bh_table_set(&wanted->tables[BH_FAMILY_INET], "zone4");
	many(s, 10000);
	bh_ruleset_sort(wanted);
	t[0] = now_ms();
	p = plan_new(wanted, seen);
	t[1] = now_ms();
	if (n->ops->apply(n, p, &err) < 0)
		fail_msg("%s", err.msg);
	t[2] = now_ms();
	bh_plan_free(p);
	bh_ruleset_free(seen);
	seen = observe(n);
	t[3] = now_ms();
	assert_same(wanted, seen, "10,000 elements");
	for (size_t i = 0; i < BH_ARRAY_SIZE(one); i++) {	/* there and back: an element goes, another comes */
		struct bh_elem *e = &bh_table_set(&wanted->tables[BH_FAMILY_INET], "zone4")->elems.v[77];

		e->value = i % 2 ? 0xb80777 : 0xb80888;
		bh_table_set(&seen->tables[BH_FAMILY_INET], "zone4")->elems.v[77].value = i % 2 ? 0xb80888 : 0xb80777;
		p = plan_new(wanted, seen);
		assert_int_equal(p->changes.n, 2);
		t[4] = now_ms();
		if (n->ops->apply(n, p, &err) < 0)
			fail_msg("%s", err.msg);
		one[i] = now_ms() - t[4];
		bh_plan_free(p);
	}
	qsort(one, BH_ARRAY_SIZE(one), sizeof(one[0]), double_cmp);
	print_message("# 10,000 members: diff %.1f ms, apply %.1f ms, observe %.1f ms; one member: apply %.3f ms (median of 51, "
		"fastest %.3f)\n", t[1] - t[0], t[2] - t[1], t[3] - t[2], one[25], one[0]);
	bh_ruleset_free(seen);
	seen = observe(n);
	assert_same(wanted, seen, "one element of 10,000");
	bh_ruleset_free(seen);
	bh_ruleset_free(wanted);
	bh_nft_free(n);
}

/* The bytes of a transaction that changes one element beside N. */
static size_t bytes_of_one(uint32_t n_elems)
{
	struct bh_nft *n = kernel_new();
	struct bh_ruleset *wanted = observe(n), *seen = observe(n);
	struct bh_set *s = bh_table_set(&wanted->tables[BH_FAMILY_INET], "zone4");
	struct bh_error err = {0};
	struct bh_plan *p;
	size_t bytes;

	s->elems.n = 0;
	many(s, n_elems);
	bh_ruleset_sort(wanted);
	p = plan_new(wanted, seen);
	assert_int_equal(n->ops->apply(n, p, &err), 0);
	bh_plan_free(p);
	bh_ruleset_free(seen);
	seen = observe(n);
	s->elems.v[7].value ^= 1;
	p = plan_new(wanted, seen);
	assert_int_equal(n->ops->apply(n, p, &err), 0);
	bytes = n->last.bytes;
	assert_int_equal(n->last.elements, 2);
	bh_plan_free(p);
	bh_ruleset_free(seen);
	bh_ruleset_free(wanted);
	bh_nft_free(n);
	return bytes;
}

/* What a change sends depends on the change alone. */
static void test_bytes_of_one_element(void **state)
{
	size_t beside_ten, beside_many;

	(void)state;
	nft_load(forms);
	beside_ten = bytes_of_one(10);
	beside_many = bytes_of_one(10000);
	assert_int_equal(beside_ten, beside_many);
	assert_true(beside_many > 0 && beside_many < 512);
}

/* Counts of packets come back with their elements. */
static void test_counters(void **state)
{
	struct bh_nft *n;
	struct bh_ruleset *seen;
	struct bh_elem *e;

	(void)state;
	nft_load("table inet bulkhead {\n  map m { type inet_proto : verdict; counter; elements = { icmp : accept, tcp : accept }; }\n"
		 "  counter every { }\n"
		 "  chain o { type filter hook output priority 0; policy accept;\n counter name \"every\"\n meta l4proto vmap @m\n }\n }\n");
	assert_int_equal(system("PATH=/usr/sbin:/sbin:/usr/bin:/bin; ip link set lo up && ping -q -c 3 -i 0.01 -W 1 127.0.0.1 > /dev/null"), 0);
	n = kernel_new();
	seen = observe(n);
	e = bh_set_find(bh_table_set(&seen->tables[BH_FAMILY_INET], "m"), (const uint8_t[BH_KEY_MAX]){1});
	assert_non_null(e);
	assert_int_equal(e->packets, 6);	/* requests and replies both leave by lo */
	assert_int_equal(e->bytes, 6 * 84);
	e = bh_set_find(bh_table_set(&seen->tables[BH_FAMILY_INET], "m"), (const uint8_t[BH_KEY_MAX]){6});
	assert_non_null(e);
	assert_int_equal(e->packets, 0);
	assert_int_equal(bh_table_counter(&seen->tables[BH_FAMILY_INET], "every")->packets, 6);
	bh_ruleset_free(seen);
	bh_nft_free(n);
}

/* ---- a dump while others write */

static void *flap(void *stop)
{
	/* a thread shares our namespace; two complete states follow each other without a pause */
	while (!atomic_load((atomic_bool *)stop)) {
		if (system("PATH=/usr/sbin:/sbin:/usr/bin:/bin; "
			   "nft 'delete element inet bulkhead plain { 10.0.0.1, 10.0.0.2 }; flush chain inet bulkhead leaf; "
			   "add rule inet bulkhead leaf drop' && "
			   "nft 'add element inet bulkhead plain { 10.0.0.1, 10.0.0.2 }; flush chain inet bulkhead leaf; "
			   "add rule inet bulkhead leaf accept'") != 0)
			return (void *)1;
	}
	return NULL;
}

static void test_a_dump_is_never_a_mixture(void **state)
{
	static atomic_bool stop;
	struct bh_nft *n;
	pthread_t thread;
	size_t states[2] = {0}, unstable = 0;
	void *failed = NULL;

	(void)state;
	nft_load(forms);
	n = kernel_new();
	atomic_store(&stop, false);
	assert_int_equal(pthread_create(&thread, NULL, flap, &stop), 0);
	for (int i = 0; i < 300; i++) {
		struct bh_ruleset *seen = NULL;
		struct bh_error err = {0};
		int r = n->ops->observe(n, &seen, &err);
		const struct bh_stmt *s;
		size_t elems;

		if (r == -EAGAIN) {
			unstable++;
			continue;
		}
		assert_int_equal(r, 0);
		elems = bh_table_set(&seen->tables[BH_FAMILY_INET], "plain")->elems.n;
		s = &bh_table_chain(&seen->tables[BH_FAMILY_INET], "leaf")->rules.v[0].stmts.v[0];
		assert_int_equal(elems, s->verdict == BH_ACCEPT ? 2 : 0);
		states[elems == 0]++;
		bh_ruleset_free(seen);
	}
	atomic_store(&stop, true);
	pthread_join(thread, &failed);
	assert_null(failed);
	print_message("# %zu and %zu of either state, %zu unstable\n", states[0], states[1], unstable);
	assert_true(states[0] > 0 && states[1] > 0);
	bh_nft_free(n);
}

/* A hash set that grows is moved to a bigger table by the kernel, later, outside any transaction; what is read meanwhile,
 * message by message, lacks some elements and has others twice. */
static void test_a_growing_set_is_read_whole(void **state)
{
	struct bh_nft *n = kernel_new();
	struct bh_ruleset *empty, *wanted;

	(void)state;
	nft_load(forms);
	empty = observe(n);
	wanted = observe(n);
	many(bh_table_set(&wanted->tables[BH_FAMILY_INET], "zone4"), 10000);
	bh_ruleset_sort(wanted);
	for (int i = 0; i < 15; i++) {
		bring(n, wanted);
		bring(n, empty);
	}
	bh_ruleset_free(empty);
	bh_ruleset_free(wanted);
	bh_nft_free(n);
}

/* ---- monitor and probe */

static void test_monitor(void **state)
{
	struct bh_nft *n = kernel_new();
	struct bh_nft_monitor *m = NULL;
	struct bh_nft_process by;
	struct bh_ruleset *wanted;
	struct bh_error err = {0};
	int small = 4096;

	(void)state;
	nft_load(forms);
	wanted = observe(n);
	assert_int_equal(bh_nft_monitor_new(n, &m, &err), 0);
	assert_int_equal(bh_nft_monitor_read(m), 0);

	many(bh_table_set(&wanted->tables[BH_FAMILY_INET], "zone4"), 10000);
	bh_ruleset_sort(wanted);
	bring(n, wanted);
	assert_int_equal(bh_nft_monitor_read(m), 0);	/* our own doing, however big */
	nft_ok("add table inet other");
	nft_ok("add table ip bulkhead");
	assert_int_equal(bh_nft_monitor_read(m), 0);	/* not ours */
	assert_int_equal(bh_nft_monitor_process(m).pid, 0);
	nft_ok("add element inet bulkhead plain { 10.9.9.9 }");
	assert_int_equal(bh_nft_monitor_read(m), 1);
	by = bh_nft_monitor_process(m);
	assert_string_equal(by.name, "nft");
	assert_true(by.pid > 0);
	assert_int_equal(bh_nft_monitor_process(m).pid, 0);
	assert_int_equal(bh_nft_monitor_read(m), 0);
	nft_ok("insert rule bridge bulkhead p accept");
	assert_int_equal(bh_nft_monitor_read(m), 1);
	nft_ok("flush ruleset");
	assert_int_equal(bh_nft_monitor_read(m), 1);
	bring(n, wanted);
	assert_int_equal(bh_nft_monitor_read(m), 0);

	/* too much for the queue: told, and it goes on afterwards */
	assert_int_equal(setsockopt(bh_nft_monitor_fd(m), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	nft_ok("flush map inet bulkhead zone4");
	assert_int_equal(bh_nft_monitor_read(m), -ENOBUFS);
	while (bh_nft_monitor_read(m) != 0)
		;
	nft_ok("add element inet bulkhead plain { 10.9.9.10 }");
	assert_int_equal(bh_nft_monitor_read(m), 1);
	bh_nft_monitor_free(m);
	bh_ruleset_free(wanted);
	bh_nft_free(n);
}

static void test_probe(void **state)
{
	struct bh_features f = {.ifb = true};
	struct bh_error err = {0};
	char *listed;

	(void)state;
	assert_int_equal(bh_nft_probe(&f, &err), 0);
	listed = nft_run("list tables", 0);
	assert_string_equal(listed, "");
	free(listed);
	assert_true(f.ifb);	/* not this room's: left as it was */
	print_message("# bridge_ibrname %d table_persist %d\n", f.bridge_ibrname, f.table_persist);
	/* nft is told the same by the same kernel */
	free(nft_run("'add table bridge x; add chain bridge x y; add rule bridge x y meta ibrname \"a\"'", f.bridge_ibrname ? 0 : 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_skeleton, netns_setup),
		cmocka_unit_test_setup(test_forms, netns_setup),
		cmocka_unit_test_setup(test_drift, netns_setup),
		cmocka_unit_test_setup(test_others_are_left_alone, netns_setup),
		cmocka_unit_test_setup(test_refusals_name_the_object, netns_setup),
		cmocka_unit_test_setup(test_drift_between_observe_and_apply, netns_setup),
		cmocka_unit_test_setup(test_forged_answers, netns_setup),
		cmocka_unit_test_setup(test_ten_thousand_elements, netns_setup),
		cmocka_unit_test_setup(test_bytes_of_one_element, netns_setup),
		cmocka_unit_test_setup(test_counters, netns_setup),
		cmocka_unit_test_setup(test_a_dump_is_never_a_mixture, netns_setup),
		cmocka_unit_test_setup(test_a_growing_set_is_read_whole, netns_setup),
		cmocka_unit_test_setup(test_monitor, netns_setup),
		cmocka_unit_test_setup(test_probe, netns_setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
