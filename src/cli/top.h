/* SPDX-License-Identifier: Apache-2.0 */
/* What happens between two status documents, and how it looks on a screen. Both pure; the terminal is top.c's. */
#ifndef BULKHEAD_CLI_TOP_H
#define BULKHEAD_CLI_TOP_H

#include "verb.h"

/* {"version", "seconds", "state", "in_sync", "bits", "packets", "denied", "flows": [{"from", "to", "ports", "bits", "packets"}], "containers":
 * [{"name", "zone", "bits", "packets", "denied", "egress_bps", "ingress_bps", "used"}], "zones": [the same without "zone"]}, each a second,
 * those that move most first; flows that do not move are left out. A counter that went back began anew; what was not there before began at 0. "used" is the rate (both directions) in
 * percent of both caps together, null unless both directions have one. NULL for no memory. SECONDS is more than 0. */
json_t *bh_top_between(const json_t *before, const json_t *after, double seconds);

struct bh_screen_line {
	char *text;		/* safe to print, at most as wide as was asked for */
	enum bh_style style;
};
struct bh_screen {
	BH_VEC(struct bh_screen_line) lines;	/* at most as many as was asked for */
};

/* The smallest screen that is drawn; a smaller one says so. */
#define BH_TOP_WIDTH 80u
#define BH_TOP_HEIGHT 24u

/* TROUBLE (may be NULL) stands in place of the state. 0 or -ENOMEM; the caller clears RET. */
int bh_top_draw(const json_t *top, const char *trouble, unsigned width, unsigned height, struct bh_screen *ret);
void bh_screen_clear(struct bh_screen *s);

#endif
