/* SPDX-License-Identifier: Apache-2.0 */
/* The last good configuration: its files as they were, so that places in them still tell the truth. */
#ifndef BULKHEAD_DAEMON_STATE_H
#define BULKHEAD_DAEMON_STATE_H

#include <bulkhead/config.h>

/* Keeps the files of POLICY, which was loaded from CONFIG, in DIR/good: written beside, read back and compared, then exchanged in
 * one step; a crash or a full disk leaves the one before. DIR is made if missing (0700). 0 or -errno. */
int bh_state_keep(const char *dir, const char *config, const struct bh_policy *policy, struct bh_error *err);

/* Loads what was kept. -ENOENT when there is none. */
int bh_state_load(const char *dir, struct bh_policy **ret, struct bh_error *err);

#endif
