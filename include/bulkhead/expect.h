/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a policy says what its `expect` list claims (SPEC section 3), whatever the mode. */
#ifndef BULKHEAD_EXPECT_H
#define BULKHEAD_EXPECT_H

#include <bulkhead/config.h>
#include <bulkhead/policy.h>

/* Holds every expectation of P against its rules: `accept` wants all of its ports open for each pair of zones (every port when it names
 * none), `deny` wants none of them open. Each failure is added to DIAGS as an error at the expectation, with the rule that is the
 * reason where there is one. *RET_FAILED is the number of expectations that fail. 0, -ENOMEM, -E2BIG. */
int bh_expect_check(const struct bh_policy *p, struct bh_diags *diags, size_t *ret_failed);

#endif
