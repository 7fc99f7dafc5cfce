/* SPDX-License-Identifier: Apache-2.0 */
/* The head of a packet that somebody sent to be denied: every length in it is a claim. */
#include "flows.h"

#include <net/ethernet.h>
#include <netinet/in.h>
#include <string.h>

#define EXTENSIONS_MAX 8	/* IPv6 extension headers that are walked over */

static uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void transport_decode(const uint8_t *p, size_t len, struct bh_denied *d)
{
	switch (d->proto) {
	case IPPROTO_TCP:
		if (len >= 14)
			d->tcp_flags = p[13];
		/* fall through */
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
	case IPPROTO_SCTP:
	case IPPROTO_DCCP:
		if (len < 4)
			return;
		d->has_ports = true;
		d->from_port = be16(p);
		d->to_port = be16(p + 2);
		return;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		if (len < 2)
			return;
		d->icmp_type = p[0];
		d->icmp_code = p[1];
		return;
	}
}

static void ip4_decode(const uint8_t *p, size_t len, struct bh_denied *d)
{
	size_t head;

	if (len < 20 || p[0] >> 4 != 4)
		return;
	head = (size_t)(p[0] & 15) * 4;
	d->length = be16(p + 2);
	d->proto = p[9];
	d->from.family = d->to.family = 4;
	memcpy(d->from.b, p + 12, 4);
	memcpy(d->to.b, p + 16, 4);
	/* only the first fragment has ports */
	if (head >= 20 && head <= len && (be16(p + 6) & 0x1fff) == 0)
		transport_decode(p + head, len - head, d);
}

/* The transport behind the extension headers, or 0 bytes of it. */
static size_t ip6_transport(const uint8_t *p, size_t len, uint8_t *proto)
{
	size_t at = 40;

	for (int i = 0; i < EXTENSIONS_MAX; i++) {
		size_t size;

		switch (*proto) {
		case IPPROTO_HOPOPTS:
		case IPPROTO_ROUTING:
		case IPPROTO_DSTOPTS:
			if (at + 2 > len)
				return len;
			size = ((size_t)p[at + 1] + 1) * 8;
			break;
		case IPPROTO_FRAGMENT:
			if (at + 8 > len)
				return len;
			if ((be16(p + at + 2) & 0xfff8) != 0) {
				*proto = p[at];
				return len;
			}
			size = 8;
			break;
		default:
			return at < len ? at : len;
		}
		*proto = p[at];
		at += size;
	}
	return len;
}

static void ip6_decode(const uint8_t *p, size_t len, struct bh_denied *d)
{
	size_t at;

	if (len < 40 || p[0] >> 4 != 6)
		return;
	d->length = 40u + be16(p + 4);
	d->proto = p[6];
	d->from.family = d->to.family = 6;
	memcpy(d->from.b, p + 8, 16);
	memcpy(d->to.b, p + 24, 16);
	at = ip6_transport(p, len, &d->proto);
	transport_decode(p + at, len - at, d);
}

/* RFC 826, for IPv4 over Ethernet. */
static void arp_decode(const uint8_t *p, size_t len, struct bh_denied *d)
{
	d->length = (uint32_t)len;
	if (len < 28 || be16(p + 2) != ETHERTYPE_IP || p[4] != 6 || p[5] != 4)
		return;
	d->from.family = d->to.family = 4;
	memcpy(d->from.b, p + 14, 4);
	memcpy(d->to.b, p + 24, 4);
}

void flow_packet_decode(const uint8_t *p, size_t len, struct bh_denied *d)
{
	switch (d->ether_type) {
	case ETHERTYPE_IP:
		ip4_decode(p, len, d);
		return;
	case ETHERTYPE_IPV6:
		ip6_decode(p, len, d);
		return;
	case ETHERTYPE_ARP:
		arp_decode(p, len, d);
		return;
	default:
		d->length = (uint32_t)len;
	}
}
