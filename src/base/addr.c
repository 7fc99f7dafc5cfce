/* SPDX-License-Identifier: Apache-2.0 */
#include <bulkhead/addr.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t v4_mapped[12] = {[10] = 0xff, [11] = 0xff};

int bh_addr_parse(const char *s, struct bh_addr *ret)
{
	struct bh_addr a = {0};

	if (inet_pton(AF_INET, s, a.b) == 1) {
		a.family = 4;
	} else if (inet_pton(AF_INET6, s, a.b) == 1) {
		a.family = 6;
		if (memcmp(a.b, v4_mapped, sizeof(v4_mapped)) == 0) {
			memmove(a.b, a.b + 12, 4);
			memset(a.b + 4, 0, 12);
			a.family = 4;
		}
	} else {
		return -EINVAL;
	}
	*ret = a;
	return 0;
}

/* Bits of byte I that belong to a prefix of LEN bits. */
static uint8_t prefix_mask(unsigned len, size_t i)
{
	if (len >= (i + 1) * 8)
		return 0xff;
	if (len <= i * 8)
		return 0;
	return (uint8_t)(0xff << (8 - (len - i * 8)));
}

int bh_prefix_parse(const char *s, struct bh_prefix *ret)
{
	char addr[BH_ADDR_TEXT];
	const char *slash = strchr(s, '/');
	size_t n = slash ? (size_t)(slash - s) : strlen(s);
	struct bh_prefix p = {0};
	bool host_bits = false;
	unsigned len, max;
	int r;

	if (n >= sizeof(addr))
		return -EINVAL;
	memcpy(addr, s, n);
	addr[n] = '\0';
	r = bh_addr_parse(addr, &p.addr);
	if (r < 0)
		return r;
	max = p.addr.family == 4 ? 32 : 128;
	len = max;
	if (slash) {
		bool mapped = p.addr.family == 4 && memchr(addr, ':', n);
		char *end;

		if (slash[1] < '0' || slash[1] > '9' || strlen(slash + 1) > 3)
			return -EINVAL;
		len = (unsigned)strtoul(slash + 1, &end, 10);
		if (*end)
			return -EINVAL;
		if (mapped)	/* ::ffff:10.0.0.0/104 is 10.0.0.0/8 */
			len = len >= 96 ? len - 96 : 129;
		if (len > max)
			return -ERANGE;
	}
	p.len = (uint8_t)len;
	for (size_t i = 0; i < sizeof(p.addr.b); i++) {
		uint8_t kept = p.addr.b[i] & prefix_mask(len, i);

		host_bits |= kept != p.addr.b[i];
		p.addr.b[i] = kept;
	}
	*ret = p;
	return host_bits ? -EDOM : 0;
}

int bh_mac_parse(const char *s, struct bh_mac *ret)
{
	struct bh_mac m;
	int n = -1;

	if (sscanf(s, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &m.b[0], &m.b[1], &m.b[2], &m.b[3], &m.b[4], &m.b[5],
		    &n) != 6 ||
		n != 17 || s[n] != '\0')
		return -EINVAL;
	*ret = m;
	return 0;
}

const char *bh_addr_text(const struct bh_addr *a, char buf[BH_ADDR_TEXT])
{
	if (a->family == 0 || !inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->b, buf, BH_ADDR_TEXT))
		memcpy(buf, "none", 5);
	return buf;
}

const char *bh_prefix_text(const struct bh_prefix *p, char buf[BH_PREFIX_TEXT])
{
	char addr[BH_ADDR_TEXT];

	snprintf(buf, BH_PREFIX_TEXT, "%s/%u", bh_addr_text(&p->addr, addr), p->len);
	return buf;
}

const char *bh_mac_text(const struct bh_mac *m, char buf[BH_MAC_TEXT])
{
	snprintf(buf, BH_MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", m->b[0], m->b[1], m->b[2], m->b[3], m->b[4], m->b[5]);
	return buf;
}

size_t bh_addr_size(const struct bh_addr *a)
{
	return a->family == 4 ? 4 : 16;
}

int bh_addr_cmp(const struct bh_addr *a, const struct bh_addr *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return memcmp(a->b, b->b, sizeof(a->b));
}

bool bh_addr_is_zero(const struct bh_addr *a)
{
	static const uint8_t zero[16];

	return memcmp(a->b, zero, sizeof(zero)) == 0;
}

bool bh_addr_is_loopback(const struct bh_addr *a)
{
	static const struct bh_addr one = {.family = 6, .b = {[15] = 1}};

	return a->family == 4 ? a->b[0] == 127 : bh_addr_cmp(a, &one) == 0;
}

bool bh_addrs_have(const struct bh_addrs *s, const struct bh_addr *a)
{
	bh_vec_foreach(x, &s->v)
		if (bh_addr_cmp(x, a) == 0)
			return true;
	return false;
}

int bh_addrs_add(struct bh_addrs *s, const struct bh_addr *a)
{
	return bh_addrs_have(s, a) ? 0 : bh_vec_push(&s->v, *a);
}

int bh_prefix_cmp(const struct bh_prefix *a, const struct bh_prefix *b)
{
	int c = bh_addr_cmp(&a->addr, &b->addr);

	return c ? c : (int)a->len - (int)b->len;
}

bool bh_prefix_contains(const struct bh_prefix *p, const struct bh_addr *a)
{
	if (p->addr.family != a->family)
		return false;
	for (size_t i = 0; i < bh_addr_size(a); i++)
		if ((a->b[i] ^ p->addr.b[i]) & prefix_mask(p->len, i))
			return false;
	return true;
}

bool bh_prefix_covers(const struct bh_prefix *outer, const struct bh_prefix *inner)
{
	return outer->len <= inner->len && bh_prefix_contains(outer, &inner->addr);
}

void bh_prefix_range(const struct bh_prefix *p, struct bh_addr *ret_first, struct bh_addr *ret_last)
{
	struct bh_addr first = p->addr, last = p->addr;

	for (size_t i = 0; i < bh_addr_size(&p->addr); i++) {
		uint8_t mask = prefix_mask(p->len, i);

		first.b[i] &= mask;
		last.b[i] = (uint8_t)(first.b[i] | (uint8_t)~mask);
	}
	*ret_first = first;
	*ret_last = last;
}

bool bh_addr_next(const struct bh_addr *a, struct bh_addr *ret)
{
	struct bh_addr next = *a;

	for (size_t i = bh_addr_size(a); i-- > 0;)
		if (++next.b[i] != 0) {
			*ret = next;
			return true;
		}
	return false;
}

bool bh_addr_prev(const struct bh_addr *a, struct bh_addr *ret)
{
	struct bh_addr prev = *a;

	for (size_t i = bh_addr_size(a); i-- > 0;)
		if (prev.b[i]-- != 0) {
			*ret = prev;
			return true;
		}
	return false;
}

struct bh_addr bh_addr_link_local(const struct bh_mac *m)
{
	struct bh_addr a = {.family = 6, .b = {0xfe, 0x80}};

	memcpy(a.b + 8, m->b, 3);
	a.b[8] ^= 0x02;
	a.b[11] = 0xff;
	a.b[12] = 0xfe;
	memcpy(a.b + 13, m->b + 3, 3);
	return a;
}
