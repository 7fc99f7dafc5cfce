/* SPDX-License-Identifier: Apache-2.0 */
#include <bulkhead/policy.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

/* Own names rather than /etc/protocols: a configuration means the same on every host. */
static const struct {
	const char *name;
	uint8_t proto;
	bool ports;
} protocols[] = {
	{"tcp", IPPROTO_TCP, true},
	{"udp", IPPROTO_UDP, true},
	{"sctp", IPPROTO_SCTP, true},
	{"icmp", IPPROTO_ICMP, false},
	{"dccp", IPPROTO_DCCP, false},
	{"udplite", IPPROTO_UDPLITE, false},
	{"gre", IPPROTO_GRE, false},
	{"esp", IPPROTO_ESP, false},
	{"ah", IPPROTO_AH, false},
	{"ipip", IPPROTO_IPIP, false},
	{"ipv6", IPPROTO_IPV6, false},
	{"igmp", IPPROTO_IGMP, false},
	{"pim", IPPROTO_PIM, false},
	{"ospf", 89, false},
	{"vrrp", 112, false},
	{"l2tp", 115, false},
};

/* A decimal number of 1 to MAX without sign, space or leading zero. */
static int number_parse(const char *s, size_t n, unsigned long max, unsigned long *ret)
{
	unsigned long v = 0;

	if (n == 0 || n > 5 || s[0] == '0')
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -EINVAL;
		v = v * 10 + (unsigned long)(s[i] - '0');
	}
	if (v > max)
		return -EINVAL;
	*ret = v;
	return 0;
}

static int range_parse(const char *s, struct bh_port *p)
{
	const char *dash = strchr(s, '-');
	unsigned long first, last;

	if (number_parse(s, dash ? (size_t)(dash - s) : strlen(s), 65535, &first) < 0)
		return -EINVAL;
	last = first;
	if (dash && number_parse(dash + 1, strlen(dash + 1), 65535, &last) < 0)
		return -EINVAL;
	if (last < first)
		return -EINVAL;
	p->all = false;
	p->first = (uint16_t)first;
	p->last = (uint16_t)last;
	return 0;
}

int bh_port_parse(const char *s, struct bh_port *ret)
{
	const char *slash = strchr(s, '/');
	size_t n = slash ? (size_t)(slash - s) : strlen(s);
	struct bh_port p = {.all = true};
	unsigned long number;

	if (slash && n == 2 && memcmp(s, "ip", 2) == 0) {	/* ip/N: a protocol by its number */
		if (number_parse(slash + 1, strlen(slash + 1), 255, &number) < 0)
			return -EINVAL;
		p.proto = (uint8_t)(number == IPPROTO_ICMPV6 ? IPPROTO_ICMP : number);
		*ret = p;
		return 0;
	}
	for (size_t i = 0; i < BH_ARRAY_SIZE(protocols); i++) {
		if (strlen(protocols[i].name) != n || memcmp(protocols[i].name, s, n) != 0)
			continue;
		p.proto = protocols[i].proto;
		if (slash && (!protocols[i].ports || range_parse(slash + 1, &p) < 0))
			return -EINVAL;
		*ret = p;
		return 0;
	}
	return -EINVAL;
}

const char *bh_port_text(const struct bh_port *p, char buf[BH_PORT_TEXT])
{
	const char *name = NULL;

	for (size_t i = 0; i < BH_ARRAY_SIZE(protocols); i++)
		if (protocols[i].proto == p->proto)
			name = protocols[i].name;
	if (!name)
		snprintf(buf, BH_PORT_TEXT, "ip/%u", p->proto);
	else if (p->all)
		snprintf(buf, BH_PORT_TEXT, "%s", name);
	else if (p->first == p->last)
		snprintf(buf, BH_PORT_TEXT, "%s/%u", name, p->first);
	else
		snprintf(buf, BH_PORT_TEXT, "%s/%u-%u", name, p->first, p->last);
	return buf;
}
