/* SPDX-License-Identifier: Apache-2.0 */
/* "Did you mean …?" */
#ifndef BULKHEAD_NEAR_H
#define BULKHEAD_NEAR_H

#include <stddef.h>

/* The one of the N names that is near to S (at most two letters off; NULL is no name), or NULL. */
const char *bh_near(const char *s, const char *const *names, size_t n);

#endif
