/* SPDX-License-Identifier: Apache-2.0 */
/* Values of fields in nft's language. Names are nft 1.0.6's own (`nft describe FIELD`); protocols are only those that its
 * grammar knows without /etc/protocols, so that the text loads on a host that has no such file. */
#include "field_text.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

struct name {
	uint32_t value;
	const char *text;
};

static const struct name protocols[] = {
	{1, "icmp"}, {6, "tcp"}, {17, "udp"}, {33, "dccp"}, {50, "esp"}, {51, "ah"}, {58, "icmpv6"}, {132, "sctp"},
	{136, "udplite"}, {0, NULL},
};
static const struct name nfprotos[] = {{2, "ipv4"}, {10, "ipv6"}, {0, NULL}};
static const struct name directions[] = {{0, "original"}, {1, "reply"}, {0, NULL}};
static const struct name states[] = {
	{1, "invalid"}, {2, "established"}, {4, "related"}, {8, "new"}, {64, "untracked"}, {0, NULL},
};
static const struct name statuses[] = {
	{0x1, "expected"}, {0x2, "seen-reply"}, {0x4, "assured"}, {0x8, "confirmed"}, {0x10, "snat"}, {0x20, "dnat"},
	{0x200, "dying"}, {0, NULL},
};
static const struct name tcp_flags[] = {
	{1, "fin"}, {2, "syn"}, {4, "rst"}, {8, "psh"}, {16, "ack"}, {32, "urg"}, {64, "ecn"}, {128, "cwr"}, {0, NULL},
};
static const struct name icmp_types[] = {
	{0, "echo-reply"}, {3, "destination-unreachable"}, {4, "source-quench"}, {5, "redirect"}, {8, "echo-request"},
	{9, "router-advertisement"}, {10, "router-solicitation"}, {11, "time-exceeded"}, {12, "parameter-problem"},
	{13, "timestamp-request"}, {14, "timestamp-reply"}, {15, "info-request"}, {16, "info-reply"},
	{17, "address-mask-request"}, {18, "address-mask-reply"}, {0, NULL},
};
static const struct name icmp_codes[] = {
	{0, "net-unreachable"}, {1, "host-unreachable"}, {2, "prot-unreachable"}, {3, "port-unreachable"},
	{4, "frag-needed"}, {9, "net-prohibited"}, {10, "host-prohibited"}, {13, "admin-prohibited"}, {0, NULL},
};
static const struct name icmpv6_types[] = {
	{1, "destination-unreachable"}, {2, "packet-too-big"}, {3, "time-exceeded"}, {4, "parameter-problem"},
	{128, "echo-request"}, {129, "echo-reply"}, {130, "mld-listener-query"}, {131, "mld-listener-report"},
	{132, "mld-listener-done"}, {133, "nd-router-solicit"}, {134, "nd-router-advert"}, {135, "nd-neighbor-solicit"},
	{136, "nd-neighbor-advert"}, {137, "nd-redirect"}, {138, "router-renumbering"}, {141, "ind-neighbor-solicit"},
	{142, "ind-neighbor-advert"}, {143, "mld2-listener-report"}, {0, NULL},
};
static const struct name icmpv6_codes[] = {
	{0, "no-route"}, {1, "admin-prohibited"}, {3, "addr-unreachable"}, {4, "port-unreachable"}, {5, "policy-fail"},
	{6, "reject-route"}, {0, NULL},
};
static const struct name ether_types[] = {
	{0x0800, "ip"}, {0x0806, "arp"}, {0x86dd, "ip6"}, {0x8100, "8021q"}, {0x88a8, "8021ad"}, {0, NULL},
};
static const struct name link_types[] = {{1, "ether"}, {0, NULL}};
static const struct name arp_operations[] = {{1, "request"}, {2, "reply"}, {0, NULL}};
static const struct name dscps[] = {
	{0x00, "cs0"}, {0x08, "cs1"}, {0x10, "cs2"}, {0x18, "cs3"}, {0x20, "cs4"}, {0x28, "cs5"}, {0x30, "cs6"},
	{0x38, "cs7"}, {0x2e, "ef"}, {0, NULL},
};

enum form {
	FORM_HEX,	/* 0x… of the whole width, in the order of the bytes */
	FORM_NETWORK,	/* a number in network order, by name if it has one */
	FORM_HOST,	/* the same in host order */
	FORM_MARK,
	FORM_CLASSID,
	FORM_FLAGS,	/* host order, bits by name */
	FORM_IFNAME,
	FORM_ADDR,
	FORM_MAC,
};

struct value_info {
	enum form form;
	const struct name *names;
};

static struct value_info value_info(enum bh_field f)
{
	switch (f) {
	case BH_IIFNAME: case BH_OIFNAME: case BH_IBRNAME: case BH_OBRNAME:
		return (struct value_info){FORM_IFNAME, NULL};
	case BH_PRIORITY:
		return (struct value_info){FORM_CLASSID, NULL};
	case BH_MARK: case BH_CT_MARK:
		return (struct value_info){FORM_MARK, NULL};
	case BH_IIF: case BH_OIF: case BH_SKUID:
		return (struct value_info){FORM_HOST, NULL};
	case BH_IIFTYPE:
		return (struct value_info){FORM_HOST, link_types};
	case BH_NFPROTO:
		return (struct value_info){FORM_NETWORK, nfprotos};
	case BH_L4PROTO: case BH_IP_PROTOCOL: case BH_CT_PROTOCOL:
		return (struct value_info){FORM_NETWORK, protocols};
	case BH_CT_DIRECTION:
		return (struct value_info){FORM_NETWORK, directions};
	case BH_CT_STATE:
		return (struct value_info){FORM_FLAGS, states};
	case BH_CT_STATUS:
		return (struct value_info){FORM_FLAGS, statuses};
	case BH_TCP_FLAGS:
		return (struct value_info){FORM_FLAGS, tcp_flags};
	case BH_IP_DSCP:
		return (struct value_info){FORM_NETWORK, dscps};
	case BH_ICMP_TYPE:
		return (struct value_info){FORM_NETWORK, icmp_types};
	case BH_ICMP_CODE:
		return (struct value_info){FORM_NETWORK, icmp_codes};
	case BH_ICMPV6_TYPE:
		return (struct value_info){FORM_NETWORK, icmpv6_types};
	case BH_ICMPV6_CODE:
		return (struct value_info){FORM_NETWORK, icmpv6_codes};
	case BH_ETHER_TYPE: case BH_ARP_PTYPE:
		return (struct value_info){FORM_NETWORK, ether_types};
	case BH_ARP_OPERATION:
		return (struct value_info){FORM_NETWORK, arp_operations};
	case BH_TH_SPORT: case BH_TH_DPORT: case BH_UDP_SPORT: case BH_UDP_DPORT: case BH_CT_ORIG_PROTO_DST:
	case BH_CT_REPLY_PROTO_SRC:
	case BH_IP6_HOPLIMIT: case BH_ARP_HTYPE:
		return (struct value_info){FORM_NETWORK, NULL};
	case BH_ETHER_SADDR: case BH_ETHER_DADDR: case BH_ARP_SADDR_ETHER:
		return (struct value_info){FORM_MAC, NULL};
	case BH_CT_ORIG_IP_SADDR: case BH_CT_ORIG_IP_DADDR: case BH_CT_ORIG_IP6_SADDR: case BH_CT_ORIG_IP6_DADDR:
	case BH_CT_REPLY_IP_SADDR: case BH_CT_REPLY_IP6_SADDR: case BH_IP_SADDR: case BH_IP_DADDR:
	case BH_IP6_SADDR: case BH_IP6_DADDR: case BH_ARP_SADDR_IP: case BH_ARP_DADDR_IP:
		return (struct value_info){FORM_ADDR, NULL};
	case BH_TH_64_128: case BH_TH_192_32: case BH_TH_256_128: case BH_FIELD_NONE: case BH_FIELD_MAX:
		break;
	}
	return (struct value_info){FORM_HEX, NULL};
}

bool field_is_flags(enum bh_field f)
{
	return value_info(f).form == FORM_FLAGS;
}

static uint32_t network_number(const uint8_t *v, size_t size)
{
	uint32_t n = 0;

	for (size_t i = 0; i < size && i < 4; i++)
		n = n << 8 | v[i];
	return n;
}

static uint32_t host_number(const uint8_t *v, size_t size)
{
	uint32_t n;
	uint16_t half;

	if (size == 1)
		return v[0];
	if (size == sizeof(half)) {
		memcpy(&half, v, sizeof(half));
		return half;
	}
	memcpy(&n, v, sizeof(n));
	return n;
}

static const char *name_of(const struct name *names, uint32_t value)
{
	for (; names && names->text; names++)
		if (names->value == value)
			return names->text;
	return NULL;
}

static void flags_print(const struct name *names, uint32_t value, struct bh_buf *out)
{
	const char *sep = "";

	for (; names->text; names++) {
		if (!(value & names->value))
			continue;
		bh_buf_printf(out, "%s%s", sep, names->text);
		value &= ~names->value;
		sep = ",";
	}
	if (value != 0 || *sep == '\0')
		bh_buf_printf(out, "%s0x%x", sep, value);
}

void text_print_quoted(const char *s, size_t max, struct bh_buf *out)
{
	size_t n = strnlen(s, max);

	bh_buf_puts(out, "\"");
	for (size_t i = 0; i < n; i++)
		bh_buf_printf(out, "%c", s[i] < ' ' || s[i] > '~' || s[i] == '"' ? '?' : s[i]);
	bh_buf_puts(out, "\"");
}

static void ifname_print(const uint8_t *v, bool wildcard, struct bh_buf *out)
{
	char name[20];
	size_t n = strnlen((const char *)v, 16);

	memcpy(name, v, n);
	if (wildcard)
		name[n++] = '*';
	else if (n > 0 && name[n - 1] == '*') {	/* a device that is really called so */
		name[n - 1] = '\\';
		name[n++] = '*';
	}
	text_print_quoted(name, n, out);
}

static void addr_print(const uint8_t *v, size_t size, struct bh_buf *out)
{
	char text[INET6_ADDRSTRLEN] = "";

	inet_ntop(size == 4 ? AF_INET : AF_INET6, v, text, sizeof(text));
	bh_buf_puts(out, text);
}

void field_print_value(enum bh_field f, const uint8_t *v, struct bh_buf *out)
{
	const struct value_info info = value_info(f);
	size_t size = bh_field_info(f)->size;
	uint32_t n = info.form == FORM_NETWORK ? network_number(v, size) :
		     info.form == FORM_HEX || info.form == FORM_MAC ? 0 : host_number(v, size);
	const char *name = name_of(info.names, n);

	switch (info.form) {
	case FORM_NETWORK:
	case FORM_HOST:
		if (name)
			bh_buf_puts(out, name);
		else
			bh_buf_printf(out, info.names == ether_types ? "0x%04x" : "%u", n);
		return;
	case FORM_MARK:
		bh_buf_printf(out, "0x%08x", n);
		return;
	case FORM_CLASSID:
		if (n == 0)
			bh_buf_puts(out, "0");
		else
			bh_buf_printf(out, "%x:%x", n >> 16, n & 0xffff);
		return;
	case FORM_FLAGS:
		flags_print(info.names, n, out);
		return;
	case FORM_IFNAME:
		ifname_print(v, false, out);
		return;
	case FORM_ADDR:
		addr_print(v, size, out);
		return;
	case FORM_MAC:
		bh_buf_printf(out, "%02x:%02x:%02x:%02x:%02x:%02x", v[0], v[1], v[2], v[3], v[4], v[5]);
		return;
	case FORM_HEX:
		bh_buf_puts(out, "0x");
		for (size_t i = 0; i < size; i++)
			bh_buf_printf(out, "%02x", v[i]);
		return;
	}
}

/* The length of the prefix that FIRST to LAST is, or -1. */
static int prefix_length(const uint8_t *first, const uint8_t *last, size_t size)
{
	size_t bits = 0;

	while (bits < size * 8 && !((first[bits / 8] ^ last[bits / 8]) & (0x80 >> bits % 8)))
		bits++;
	for (size_t i = bits; i < size * 8; i++)
		if ((first[i / 8] & (0x80 >> i % 8)) || !(last[i / 8] & (0x80 >> i % 8)))
			return -1;
	return (int)bits;
}

/* "wg*" is everything from "wg" followed by zeros to "wg" followed by ones. */
static bool is_wildcard(const uint8_t *first, const uint8_t *last, size_t size)
{
	size_t n = strnlen((const char *)first, size);
	int len = prefix_length(first, last, size);

	return len >= 0 && (size_t)len == n * 8;
}

void field_print_range(enum bh_field f, const uint8_t *first, const uint8_t *last, struct bh_buf *out)
{
	size_t size = bh_field_info(f)->size;
	enum form form = value_info(f).form;
	int len = prefix_length(first, last, size);

	if (memcmp(first, last, size) == 0) {
		field_print_value(f, first, out);
	} else if (form == FORM_IFNAME && is_wildcard(first, last, size)) {
		ifname_print(first, true, out);
	} else if (form == FORM_ADDR && len >= 0) {
		addr_print(first, size, out);
		bh_buf_printf(out, "/%d", len);
	} else {
		field_print_value(f, first, out);
		bh_buf_puts(out, "-");
		field_print_value(f, last, out);
	}
}
