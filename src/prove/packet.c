/* SPDX-License-Identifier: Apache-2.0 */
/* Packets as a container's kernel would send them: a TCP SYN, a datagram, an echo request. With right checksums, since conntrack takes others for invalid. */
#include <bulkhead/prove.h>

#include <netinet/in.h>
#include <string.h>

#define MARKER "bulkhead"
#define MARKER_SIZE 8
#define PAYLOAD (MARKER_SIZE + 4)
#define TTL 64
#define TCP_SYN 0x02
#define ECHO4 8		/* RFC 792 */
#define ECHO6 128	/* RFC 4443 */

static void put16(uint8_t *at, uint16_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static void put32(uint8_t *at, uint32_t v)
{
	put16(at, (uint16_t)(v >> 16));
	put16(at + 2, (uint16_t)v);
}

static uint32_t sum(const uint8_t *b, size_t n)
{
	uint32_t s = 0;

	for (size_t i = 0; i < n; i += 2)
		s += (uint32_t)b[i] << 8 | (i + 1 < n ? b[i + 1] : 0);
	return s;
}

static uint16_t folded(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

static size_t head_size(uint8_t proto)
{
	return proto == IPPROTO_TCP ? 20 : 8;
}

/* Transport header and payload at OUT, checksum still zero; where that is goes to *RET_SUM. */
static size_t transport_put(const struct bh_probe *probe, uint16_t sport, uint32_t id, uint8_t *out, size_t *ret_sum)
{
	size_t head = head_size(probe->proto), n = head + PAYLOAD;

	memset(out, 0, n);
	memcpy(out + head, MARKER, MARKER_SIZE);
	put32(out + head + MARKER_SIZE, id);
	if (probe->proto == IPPROTO_ICMP || probe->proto == IPPROTO_ICMPV6) {
		out[0] = probe->proto == IPPROTO_ICMP ? ECHO4 : ECHO6;
		put16(out + 4, sport);
		*ret_sum = 2;
		return n;
	}
	put16(out, sport);
	put16(out + 2, probe->port);
	*ret_sum = probe->proto == IPPROTO_TCP ? 16 : 6;
	if (probe->proto == IPPROTO_UDP) {
		put16(out + 4, (uint16_t)n);
		return n;
	}
	put32(out + 4, id);	/* any sequence number */
	out[12] = (uint8_t)(head / 4) << 4;
	out[13] = TCP_SYN;
	put16(out + 14, 64240);
	return n;
}

static size_t ip_put(const struct bh_probe *probe, const struct bh_addr *from, const struct bh_addr *to, size_t payload, uint8_t *out)
{
	memset(out, 0, 40);
	if (probe->family == 4) {
		out[0] = 0x45;
		put16(out + 2, (uint16_t)(20 + payload));
		out[6] = 0x40;	/* don't fragment */
		out[8] = TTL;
		out[9] = probe->proto;
		memcpy(out + 12, from->b, 4);
		memcpy(out + 16, to->b, 4);
		put16(out + 10, folded(sum(out, 20)));
		return 20;
	}
	out[0] = 0x60;
	put16(out + 4, (uint16_t)payload);
	out[6] = probe->proto;
	out[7] = TTL;
	memcpy(out + 8, from->b, 16);
	memcpy(out + 24, to->b, 16);
	return 40;
}

size_t bh_prove_packet(const struct bh_proof *p, const struct bh_probe *probe, uint16_t sport, uint32_t id, uint8_t out[BH_PROVE_PACKET])
{
	const struct bh_addr *from = &p->ends.v[probe->from].addrs[probe->family == 6], *to = &p->ends.v[probe->to].addrs[probe->family == 6];
	size_t payload = head_size(probe->proto) + PAYLOAD, at = ip_put(probe, from, to, payload, out), check;
	uint32_t pseudo = 0;

	transport_put(probe, sport, id, out + at, &check);
	if (probe->proto != IPPROTO_ICMP)
		pseudo = sum(from->b, bh_addr_size(from)) + sum(to->b, bh_addr_size(to)) + (uint32_t)payload + probe->proto;
	pseudo = folded(pseudo + sum(out + at, payload));
	put16(out + at + check, pseudo ? (uint16_t)pseudo : 0xffff);	/* 0 says that there is none (RFC 768); the two are the same sum */
	return at + payload;
}

bool bh_prove_id(uint8_t proto, const uint8_t *payload, size_t n, uint32_t *ret_id)
{
	size_t head = head_size(proto);
	const uint8_t *id = payload + head + MARKER_SIZE;

	if (n < head + PAYLOAD || memcmp(payload + head, MARKER, MARKER_SIZE) != 0)
		return false;
	if ((proto == IPPROTO_ICMP && payload[0] != ECHO4) || (proto == IPPROTO_ICMPV6 && payload[0] != ECHO6))
		return false;
	*ret_id = (uint32_t)id[0] << 24 | (uint32_t)id[1] << 16 | (uint32_t)id[2] << 8 | id[3];
	return true;
}
