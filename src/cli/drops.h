/* SPDX-License-Identifier: Apache-2.0 */
/* How denied packets are drawn: the one way, for every verb that shows some. */
#ifndef BULKHEAD_CLI_DROPS_H
#define BULKHEAD_CLI_DROPS_H

#include "writer.h"

/* The list `denials` of a document: what was denied, what would be, each as a table, and how much was noise. */
void bh_drops_text(struct bh_writer *w, const json_t *denials);
/* "web1 (web)", or the zone alone; OTHER: of its end `to`. The caller frees it. */
char *bh_drop_end(const json_t *drop, bool other);
/* "tcp/5432", "icmp". The caller frees it. */
char *bh_drop_port(const json_t *drop);

/* How long ago that was: "3 s", "12 min", "5 h", "9 d". */
#define BH_AGE_TEXT 32
const char *bh_age_text(json_int_t usec, char buf[BH_AGE_TEXT]);
/* "19:20:01" (UTC). */
#define BH_CLOCK_TEXT 16
const char *bh_clock_text(json_int_t usec, char buf[BH_CLOCK_TEXT]);

#endif
