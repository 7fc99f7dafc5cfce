/* SPDX-License-Identifier: Apache-2.0 */
/* Expectations: what the policy must say, whatever the mode (SPEC section 3). Pure; the same answers as the compiler's, by
 * <bulkhead/allow.h>. */
#ifndef BULKHEAD_EXPECT_H
#define BULKHEAD_EXPECT_H

#include <bulkhead/buf.h>
#include <bulkhead/policy.h>

struct bh_expect_failure {
	size_t expect;		/* index into policy->expect */
	struct bh_loc loc;	/* of the expectation; points into the policy */
	char *message;		/* one line, safe to print: "web to db: tcp/5432 is open (bulkhead.yaml:31), expected deny" */
};

struct bh_expect_failures {
	BH_VEC(struct bh_expect_failure) v;	/* in the order of the file; empty: every expectation holds */
};

void bh_expect_failures_clear(struct bh_expect_failures *f);

/* Judges every expectation of P: each pair of its zones, unions taken apart as in a rule, of families every value that the rules name and any
 * others, equal and different. `accept` wants every port that it names open (none named: every protocol; of dns, port 53 by udp and
 * tcp), `deny` wants none of them open (none named: nothing at all). A pair that fails is told once, and at most BH_EXPECT_TOLD pairs
 * of one expectation. 0 with the failures in *RET (zeroed before; the caller clears it), -ENOMEM or -E2BIG. */
#define BH_EXPECT_TOLD 10u
int bh_expect_check(const struct bh_policy *p, struct bh_expect_failures *ret, struct bh_error *err);

/* One line a failure: `FILE:LINE:COLUMN: expectation fails: MESSAGE`. 0 or -ENOMEM. */
int bh_expect_print(const struct bh_expect_failures *f, struct bh_buf *out);

#endif
