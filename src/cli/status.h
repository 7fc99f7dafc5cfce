/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BULKHEAD_CLI_STATUS_H
#define BULKHEAD_CLI_STATUS_H

#include "verb.h"

enum bh_view {
	BH_VIEW_ALL,
	BH_VIEW_ZONES,
	BH_VIEW_CONTAINERS,
	BH_VIEW_RULES,
	BH_VIEW_DROPS,
};

/* Draws a document of SPEC section 4; USERDATA is a const enum bh_view. Missing keys show as "-": the daemon may be older. */
void bh_status_text(struct bh_writer *w, const json_t *doc, void *userdata);

/* 0 enforcing or auditing, and in sync; 1 otherwise. */
int bh_status_exit(const json_t *doc);

/* The same document made from the kernel alone, for root while no daemon runs: daemon is null, zones and containers go
 * by what the tables call them. -EPERM when not root, -ENOENT when the kernel holds none of our tables. */
int bh_status_from_kernel(json_t **ret, struct bh_error *err);

/* status_hand.c: overrides, and the configuration that waits to be confirmed; nothing when there are none. */
void bh_status_hand(struct bh_writer *w, const json_t *doc);

#endif
