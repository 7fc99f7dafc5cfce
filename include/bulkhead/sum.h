/* SPDX-License-Identifier: Apache-2.0 */
/* FNV-1a, 64 bits (draft-eastlake-fnv): tells what has changed by chance or by mistake, and keeps out nobody who means it. */
#ifndef BULKHEAD_SUM_H
#define BULKHEAD_SUM_H

#include <stddef.h>
#include <stdint.h>

#define BH_SUM_INIT 0xcbf29ce484222325u

/* SUM (BH_SUM_INIT to begin with) with the N bytes at P. */
static inline uint64_t bh_sum(uint64_t sum, const void *p, size_t n)
{
	for (const uint8_t *b = p; n > 0; b++, n--)
		sum = (sum ^ *b) * 0x100000001b3u;
	return sum;
}

#endif
