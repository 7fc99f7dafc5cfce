/* SPDX-License-Identifier: Apache-2.0 */
/* Deep equality of policies, places and names of files apart. */
#ifndef BULKHEAD_TESTS_POLICY_EQUAL_H
#define BULKHEAD_TESTS_POLICY_EQUAL_H

#include <bulkhead/policy.h>

bool policy_equal(const struct bh_policy *a, const struct bh_policy *b);

#endif
