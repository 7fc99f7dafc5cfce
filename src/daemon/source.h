/* SPDX-License-Identifier: Apache-2.0 */
/* What runtimes tell, taken over: single messages (source.c) and listings (listing.c). */
#ifndef BULKHEAD_DAEMON_SOURCE_H
#define BULKHEAD_DAEMON_SOURCE_H

#include "manager.h"

/* The round borrows containers (bh_round_build()): one that it may have is freed when the round goes. Room for N more is made first, so that
 * nothing can fail half-way. 0 or -ENOMEM. */
int bh_grave_dig(struct bh_manager *m, size_t n);
/* Takes C over, and leaves it empty. */
void bh_bury(struct bh_manager *m, struct bh_container *c);

/* Whether only its process is new, of which no rule speaks. */

/* Everything that a runtime has. What is as it was stays the same object in the same place. *RET_WHOLE: more than containers has changed. 0, 1
 * when nothing follows from it, or -ENOMEM with nothing changed. */
int bh_source_listed(struct bh_source *s, const struct bh_inventory *now, bool *ret_whole);

#endif
