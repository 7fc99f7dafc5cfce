/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses, prefixes and MACs as values. Bytes are in network order. */
#ifndef BULKHEAD_ADDR_H
#define BULKHEAD_ADDR_H

#include <bulkhead/mem.h>

#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>

#define BH_ADDR_TEXT 46		/* INET6_ADDRSTRLEN */
#define BH_PREFIX_TEXT 50
#define BH_MAC_TEXT 18

struct bh_addr {
	uint8_t family;		/* 4 or 6; 0 for none */
	uint8_t b[16];		/* 4 bytes used for IPv4, the rest zero */
};

struct bh_prefix {
	struct bh_addr addr;
	uint8_t len;
};

struct bh_mac {
	uint8_t b[6];
};

/* Parses with inet_pton(3). An IPv4-mapped IPv6 address becomes the IPv4 address. 0 or -EINVAL. */
int bh_addr_parse(const char *s, struct bh_addr *ret);
/* "10.0.0.0/8", "fd00::/8", or an address alone (a host prefix). 0; -EINVAL; -ERANGE for a length that the
 * family has not; -EDOM when host bits are set (RET is then the prefix with them cleared). */
int bh_prefix_parse(const char *s, struct bh_prefix *ret);
int bh_mac_parse(const char *s, struct bh_mac *ret);

const char *bh_addr_text(const struct bh_addr *a, char buf[BH_ADDR_TEXT]);
const char *bh_prefix_text(const struct bh_prefix *p, char buf[BH_PREFIX_TEXT]);
const char *bh_mac_text(const struct bh_mac *m, char buf[BH_MAC_TEXT]);

size_t bh_addr_size(const struct bh_addr *a);			/* 4 or 16 */
int bh_addr_cmp(const struct bh_addr *a, const struct bh_addr *b);	/* family first, then bytes */
bool bh_addr_is_zero(const struct bh_addr *a);
bool bh_addr_is_loopback(const struct bh_addr *a);		/* 127.0.0.0/8, ::1 */
int bh_prefix_cmp(const struct bh_prefix *a, const struct bh_prefix *b);
bool bh_prefix_contains(const struct bh_prefix *p, const struct bh_addr *a);
bool bh_prefix_covers(const struct bh_prefix *outer, const struct bh_prefix *inner);
/* First and last address of a prefix. */
void bh_prefix_range(const struct bh_prefix *p, struct bh_addr *ret_first, struct bh_addr *ret_last);
/* The address after A; false when A is the family's last. */
bool bh_addr_next(const struct bh_addr *a, struct bh_addr *ret);
/* The address before A; false when A is the family's first. */
bool bh_addr_prev(const struct bh_addr *a, struct bh_addr *ret);
/* A set of addresses; bh_vec_clear(&a->v) frees it. */
struct bh_addrs {
	BH_VEC(struct bh_addr) v;
};
bool bh_addrs_have(const struct bh_addrs *s, const struct bh_addr *a);
int bh_addrs_add(struct bh_addrs *s, const struct bh_addr *a);	/* once; 0 or -ENOMEM */

/* fe80::/64 with the modified EUI-64 of a MAC, RFC 4291 appendix A. */
struct bh_addr bh_addr_link_local(const struct bh_mac *m);

#endif
