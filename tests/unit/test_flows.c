/* SPDX-License-Identifier: Apache-2.0 */
/* The decoders of NFLOG and conntrack: what is right is read, what is cut or lies is never read beyond. */
#include "flow_messages.h"

#include <bulkhead/flows.h>

#include <errno.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

/* 10.9.0.2:40000 -> 10.9.0.3:5432, SYN */
static const uint8_t syn4[] = {0x45, 0, 0, 60, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 9, 0, 2, 10, 9, 0, 3, 0x9c, 0x40, 0x15, 0x38, 0, 0, 0, 1, 0,
	0, 0, 0, 0xa0, 2, 0xff, 0xff, 0, 0, 0, 0};

static void is_addr(const struct bh_addr *a, const char *text)
{
	char buf[BH_ADDR_TEXT];

	assert_string_equal(bh_addr_text(a, buf), text);
}

static int decode(const struct message *m, struct bh_denied *d)
{
	/* as long as the message, so that ASan sees what is beyond */
	void *copy = malloc(m->nlh->nlmsg_len);
	int r;

	memcpy(copy, m->nlh, m->nlh->nlmsg_len);
	r = bh_denied_decode(copy, m->nlh->nlmsg_len, d);
	free(copy);
	return r;
}

static void logged_tcp(struct message *m)
{
	struct nlattr *ct;
	struct nfulnl_msg_packet_hw hw = {.hw_addrlen = htons(6), .hw_addr = {2, 0x42, 10, 9, 0, 2}};

	message_start(m, LOGGED, AF_INET);
	put_prefix(m->nlh, "bulkhead policy ");
	put_packet(m->nlh, ETHERTYPE_IP, 2, syn4, sizeof(syn4));
	mnl_attr_put_u32(m->nlh, NFULA_IFINDEX_INDEV, htonl(7));
	mnl_attr_put_u32(m->nlh, NFULA_IFINDEX_PHYSINDEV, htonl(9));
	mnl_attr_put_u32(m->nlh, NFULA_IFINDEX_OUTDEV, htonl(7));
	mnl_attr_put_u32(m->nlh, NFULA_IFINDEX_PHYSOUTDEV, htonl(10));
	mnl_attr_put(m->nlh, NFULA_HWADDR, sizeof(hw), &hw);
	ct = mnl_attr_nest_start(m->nlh, NFULA_CT);
	put_tuple(m->nlh, CTA_TUPLE_ORIG, "10.9.0.2", 40000, "10.9.0.99", 80, IPPROTO_TCP);
	put_tuple(m->nlh, CTA_TUPLE_REPLY, "10.9.0.3", 5432, "10.9.0.2", 40000, IPPROTO_TCP);
	mnl_attr_nest_end(m->nlh, ct);
	mnl_attr_put_u32(m->nlh, NFULA_CT_INFO, htonl(IP_CT_NEW));
}

static void a_packet_of_a_connection(void **state)
{
	struct bh_denied d;
	struct message m;

	(void)state;
	logged_tcp(&m);
	assert_int_equal(decode(&m, &d), 0);
	assert_int_equal(d.class, BH_CLASS_POLICY);
	assert_false(d.bridge);
	assert_int_equal(d.hook, 2);
	assert_int_equal(d.in, 7);
	assert_int_equal(d.in_port, 9);
	assert_int_equal(d.out_port, 10);
	is_addr(&d.from, "10.9.0.2");
	is_addr(&d.to, "10.9.0.3");
	assert_true(d.has_ports);
	assert_int_equal(d.from_port, 40000);
	assert_int_equal(d.to_port, 5432);
	assert_int_equal(d.tcp_flags, 2);
	assert_int_equal(d.length, 60);
	assert_true(d.has_mac);
	assert_int_equal(d.from_mac.b[1], 0x42);
	assert_true(d.has_flow && d.starts && !d.reply && !d.related);
	is_addr(&d.flow.to, "10.9.0.3");
	is_addr(&d.flow.orig_to, "10.9.0.99");
	assert_int_equal(d.flow.to_port, 5432);
	assert_true(bh_flow_is_translated(&d.flow));
}

static void every_class_by_its_prefix(void **state)
{
	(void)state;
	for (int i = 0; i < BH_CLASS_MAX; i++) {
		struct bh_denied d;
		struct message m;
		char prefix[64];

		snprintf(prefix, sizeof(prefix), "bulkhead %s ", bh_denied_class_name((enum bh_denied_class)i));
		message_start(&m, LOGGED, AF_BRIDGE);
		put_prefix(m.nlh, prefix);
		assert_int_equal(decode(&m, &d), 0);
		assert_int_equal(d.class, i);
		assert_true(d.bridge);
	}
}

static void others_messages_are_not_ours(void **state)
{
	static const char *const prefixes[] = {"", "bulkhead", "bulkhead ", "bulkhead nonsense ", "ufw policy ", "bulkhead policyx "};
	struct bh_denied d;
	struct message m;

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(prefixes); i++) {
		message_start(&m, LOGGED, AF_INET);
		put_prefix(m.nlh, prefixes[i]);
		assert_int_equal(decode(&m, &d), -ENOMSG);
	}
	message_start(&m, LOGGED, AF_INET);
	assert_int_equal(decode(&m, &d), -ENOMSG);
	message_start(&m, CONNECTION, AF_INET);
	put_prefix(m.nlh, "bulkhead policy ");
	assert_int_equal(decode(&m, &d), -ENOMSG);
}

static void arp_has_a_sender_and_a_target(void **state)
{
	static const uint8_t arp[28] = {0, 1, 8, 0, 6, 4, 0, 2, 2, 0x42, 0, 0, 0, 1, 10, 9, 0, 1, 2, 0x42, 0, 0, 0, 2, 10, 9, 0, 2};
	struct ether_header eth = {.ether_shost = {2, 1, 2, 3, 4, 5}, .ether_dhost = {6, 6, 6, 6, 6, 6}};
	struct bh_denied d;
	struct message m;

	(void)state;
	message_start(&m, LOGGED, AF_BRIDGE);
	put_prefix(m.nlh, "bulkhead identity ");
	put_packet(m.nlh, ETHERTYPE_ARP, 0, arp, sizeof(arp));
	mnl_attr_put_u16(m.nlh, NFULA_HWLEN, htons(sizeof(eth)));
	mnl_attr_put(m.nlh, NFULA_HWHEADER, sizeof(eth), &eth);
	assert_int_equal(decode(&m, &d), 0);
	is_addr(&d.from, "10.9.0.1");
	is_addr(&d.to, "10.9.0.2");
	assert_int_equal(d.proto, 0);
	assert_int_equal(d.from_mac.b[5], 5);
	assert_int_equal(d.to_mac.b[0], 6);
}

static void ipv6_ports_are_behind_extensions(void **state)
{
	uint8_t p[40 + 8 + 8 + 8] = {0x60, 0, 0, 0, 0, 24, 0 /* hop by hop */, 64};
	struct bh_denied d;
	struct message m;

	(void)state;
	p[8] = 0xfd;
	p[23] = 2;
	p[24] = 0xff;
	p[25] = 2;
	p[39] = 0xfb;
	p[40] = IPPROTO_FRAGMENT;
	p[48] = IPPROTO_UDP;
	p[56 + 1] = 100;
	p[56 + 2] = 0x14;
	p[56 + 3] = 0xe9;
	message_start(&m, LOGGED, AF_INET6);
	put_prefix(m.nlh, "bulkhead invalid ");
	put_packet(m.nlh, ETHERTYPE_IPV6, 2, p, sizeof(p));
	assert_int_equal(decode(&m, &d), 0);
	is_addr(&d.from, "fd00::2");
	is_addr(&d.to, "ff02::fb");
	assert_int_equal(d.proto, IPPROTO_UDP);
	assert_true(d.has_ports);
	assert_int_equal(d.to_port, 5353);
	p[48 + 3] = 0x08;	/* a later fragment: the protocol is known, ports are not */
	message_start(&m, LOGGED, AF_INET6);
	put_prefix(m.nlh, "bulkhead invalid ");
	put_packet(m.nlh, ETHERTYPE_IPV6, 2, p, sizeof(p));
	assert_int_equal(decode(&m, &d), 0);
	assert_int_equal(d.proto, IPPROTO_UDP);
	assert_false(d.has_ports);
}

static void later_fragments_have_no_ports(void **state)
{
	uint8_t p[sizeof(syn4)];
	struct bh_denied d;
	struct message m;

	(void)state;
	memcpy(p, syn4, sizeof(p));
	p[7] = 1;
	message_start(&m, LOGGED, AF_INET);
	put_prefix(m.nlh, "bulkhead invalid ");
	put_packet(m.nlh, ETHERTYPE_IP, 2, p, sizeof(p));
	assert_int_equal(decode(&m, &d), 0);
	assert_false(d.has_ports);
	is_addr(&d.to, "10.9.0.3");
}

/* Payloads of every length and messages cut everywhere: ASan watches the end. */
static void cut_anywhere(void **state)
{
	struct message m;

	(void)state;
	for (size_t n = 0; n <= sizeof(syn4); n++) {
		struct bh_denied d;

		message_start(&m, LOGGED, AF_INET);
		put_prefix(m.nlh, "bulkhead policy ");
		put_packet(m.nlh, ETHERTYPE_IP, 2, syn4, n);
		assert_int_equal(decode(&m, &d), 0);
		assert_true(d.has_ports == (n >= 24));
	}
	logged_tcp(&m);
	m.nlh->nlmsg_len |= 0x80000000u;	/* longer than any buffer, less than zero as an int */
	assert_int_equal(bh_denied_decode(m.nlh, 512, &(struct bh_denied){0}), -EBADMSG);
	logged_tcp(&m);
	for (uint32_t n = 0; n <= m.nlh->nlmsg_len; n++) {
		struct nlmsghdr *copy = malloc(n ? n : 1);
		struct bh_denied d;
		int r;

		memcpy(copy, m.buf, n);
		r = bh_denied_decode(copy, n, &d);
		assert_true(n == m.nlh->nlmsg_len ? r == 0 : r == -EBADMSG);
		if (n >= sizeof(*copy)) {	/* a message that says it is as short as it is */
			copy->nlmsg_len = n;
			(void)bh_denied_decode(copy, n, &d);
		}
		free(copy);
	}
}

static void a_connection(void **state)
{
	struct message m;
	struct bh_flow f, t;

	(void)state;
	message_start(&m, CONNECTION, AF_INET6);
	put_tuple(m.nlh, CTA_TUPLE_ORIG, "fd09::3", 5432, "fd09::2", 47996, IPPROTO_TCP);
	put_tuple(m.nlh, CTA_TUPLE_REPLY, "fd09::2", 47996, "fd09::3", 5432, IPPROTO_TCP);
	put_tcp(m.nlh, IP_CT_TCP_FLAG_BE_LIBERAL | IP_CT_TCP_FLAG_SACK_PERM, IP_CT_TCP_FLAG_BE_LIBERAL);
	mnl_attr_put_u32(m.nlh, CTA_STATUS, htonl(0xe));
	mnl_attr_put_u32(m.nlh, CTA_TIMEOUT, htonl(431999));
	assert_int_equal(bh_flow_decode(m.nlh, m.nlh->nlmsg_len, &f), 0);
	is_addr(&f.from, "fd09::3");
	is_addr(&f.to, "fd09::2");
	assert_int_equal(f.from_port, 5432);
	assert_int_equal(f.to_port, 47996);
	assert_int_equal(f.tcp_state, TCP_CONNTRACK_ESTABLISHED);
	assert_int_equal(f.timeout, 431999);
	assert_true(f.picked_up);
	assert_false(bh_flow_is_translated(&f));
	t = bh_flow_turned(&f);
	is_addr(&t.from, "fd09::2");
	is_addr(&t.reply_to, "fd09::2");
	is_addr(&t.orig_to, "fd09::3");
	assert_int_equal(t.to_port, 5432);
	assert_false(bh_flow_is_translated(&t));
}

/* One that conntrack saw from its SYN may be liberal on one side at most. */
static void only_what_was_met_in_the_middle_is_picked_up(void **state)
{
	struct message m;
	struct bh_flow f;

	(void)state;
	for (int side = 0; side < 3; side++) {
		message_start(&m, CONNECTION, AF_INET);
		put_tuple(m.nlh, CTA_TUPLE_ORIG, "10.9.0.2", 1, "10.9.0.3", 2, IPPROTO_TCP);
		put_tuple(m.nlh, CTA_TUPLE_REPLY, "10.9.0.3", 2, "10.9.0.2", 1, IPPROTO_TCP);
		put_tcp(m.nlh, side == 0 ? IP_CT_TCP_FLAG_BE_LIBERAL : 0, side == 1 ? IP_CT_TCP_FLAG_BE_LIBERAL : 0);
		assert_int_equal(bh_flow_decode(m.nlh, m.nlh->nlmsg_len, &f), 0);
		assert_false(f.picked_up);
	}
}

static void a_connection_without_both_ends_is_refused(void **state)
{
	struct message m;
	struct bh_flow f;

	(void)state;
	message_start(&m, CONNECTION, AF_INET);
	put_tuple(m.nlh, CTA_TUPLE_ORIG, "10.9.0.2", 1, "10.9.0.3", 2, IPPROTO_TCP);
	assert_int_equal(bh_flow_decode(m.nlh, m.nlh->nlmsg_len, &f), -EBADMSG);
	put_tuple(m.nlh, CTA_TUPLE_REPLY, "fd09::2", 1, "fd09::3", 2, IPPROTO_TCP);	/* of another family */
	assert_int_equal(bh_flow_decode(m.nlh, m.nlh->nlmsg_len, &f), -EBADMSG);
	message_start(&m, LOGGED, AF_INET);
	assert_int_equal(bh_flow_decode(m.nlh, m.nlh->nlmsg_len, &f), -ENOMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_packet_of_a_connection),
		cmocka_unit_test(every_class_by_its_prefix),
		cmocka_unit_test(others_messages_are_not_ours),
		cmocka_unit_test(arp_has_a_sender_and_a_target),
		cmocka_unit_test(ipv6_ports_are_behind_extensions),
		cmocka_unit_test(later_fragments_have_no_ports),
		cmocka_unit_test(cut_anywhere),
		cmocka_unit_test(a_connection),
		cmocka_unit_test(only_what_was_met_in_the_middle_is_picked_up),
		cmocka_unit_test(a_connection_without_both_ends_is_refused),
	};

	return cmocka_run_group_tests_name("flows", tests, NULL, NULL);
}
