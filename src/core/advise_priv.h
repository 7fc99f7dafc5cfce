/* SPDX-License-Identifier: Apache-2.0 */
/* The same question asked many times of one policy. */
#ifndef BULKHEAD_CORE_ADVISE_PRIV_H
#define BULKHEAD_CORE_ADVISE_PRIV_H

#include <bulkhead/advise.h>
#include <bulkhead/allow.h>

struct adviser {
	const struct bh_policy *policy;
	struct bh_allows allows;
	struct bh_allow_index index;
};
int adviser_make(struct adviser *a, const struct bh_policy *p);	/* 0 or -errno, A is then empty */
void adviser_clear(struct adviser *a);
/* See bh_advise(). */
int adviser_ask(const struct adviser *a, const struct bh_zone_inst *from, const struct bh_zone_inst *to, const struct bh_port *port,
	struct bh_advice *ret);

/* The references that mean FROM and TO in a rule, borrowed from P and the two. */
void advise_refs(const struct bh_policy *p, const struct bh_zone_inst *from, const struct bh_zone_inst *to, struct bh_zone_ref *ret_from,
	struct bh_zone_ref *ret_to);

#endif
