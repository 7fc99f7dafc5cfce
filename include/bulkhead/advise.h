/* SPDX-License-Identifier: Apache-2.0 */
/* What to write so that something is allowed: the smallest line, or why none is proposed. Pure. */
#ifndef BULKHEAD_ADVISE_H
#define BULKHEAD_ADVISE_H

#include <bulkhead/place.h>

enum bh_advice_kind {
	BH_ADVICE_LINE,		/* this line under `allow` opens it */
	BH_ADVICE_OPEN,		/* the policy opens it already */
	BH_ADVICE_NONE,		/* no line is proposed */
};

struct bh_advice {
	enum bh_advice_kind kind;
	char *line;		/* LINE: "  - {from: web, to: db, ports: [tcp/5432]}", safe to print, no newline; else NULL */
	const char *why;	/* NONE: a sentence that says what to do instead; else NULL */
	struct bh_loc breaks;	/* LINE: the expectation that wants it denied and for which a reload would be refused; line 0: none. Points into the policy */
};

/* What would let FROM open PORT on TO, two zones of a placement of P; NULL for somebody who is not known (BH_NOBODY). PORT NULL: everything; of
 * dns: all that it is. The line speaks of nothing but these zones and this port: two families of the same `per` with equal values by their names (which
 * opens it inside each value), any other family by the one value that is meant. quarantine and metadata are never proposed. 0 or -ENOMEM;
 * the caller clears *RET. */
int bh_advise(const struct bh_policy *p, const struct bh_zone_inst *from, const struct bh_zone_inst *to, const struct bh_port *port,
	struct bh_advice *ret);
void bh_advice_clear(struct bh_advice *a);

#endif
