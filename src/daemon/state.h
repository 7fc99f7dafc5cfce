/* SPDX-License-Identifier: Apache-2.0 */
/* The last good configuration: its files as they were, so that places in them still tell the truth. */
#ifndef BULKHEAD_DAEMON_STATE_H
#define BULKHEAD_DAEMON_STATE_H

#include <bulkhead/config.h>

/* Names of bridges, as many as are remembered. */
#define BH_STATE_BRIDGES_MAX 4096u

/* Keeps the files of POLICY, which was loaded from CONFIG, in DIR/good: written beside, read back and compared, then exchanged in
 * one step; a crash or a full disk leaves the one before. DIR is made if missing (0700). 0 or -errno. */
int bh_state_keep(const char *dir, const char *config, const struct bh_policy *policy, struct bh_error *err);

/* Loads what was kept. -ENOENT when there is none; -EUCLEAN when a file is not what was written (a sum lies beside them). */
int bh_state_load(const char *dir, struct bh_policy **ret, struct bh_error *err);

/* What is loaded until it is confirmed, or went back because it was not: a start that finds it in the file does not load it. The policy's text is
 * kept, whole and synced. 0 or -errno. */
int bh_state_mark_unconfirmed(const char *dir, const struct bh_policy *policy);
/* Nothing is unconfirmed any more. What is not there is no error. */
void bh_state_unmark(const char *dir);
/* Whether POLICY is what was marked. Also when the mark cannot be read: then nobody knows. */
bool bh_state_is_unconfirmed(const char *dir, const struct bh_policy *policy);
/* What was said by hand, as text: written beside, synced, renamed. 0 or -errno; of the second -ENOENT when there is none. */
int bh_state_keep_hand(const char *dir, const char *text);
int bh_state_load_hand(const char *dir, struct bh_buf *ret);
/* Which zones have talked (include/bulkhead/detect.h), the same way but not synced: what a crash loses of it is learned again. */
int bh_state_keep_contacts(const char *dir, const char *text);
int bh_state_load_contacts(const char *dir, struct bh_buf *ret);
/* Whether a last good configuration is there. */
bool bh_state_has_good(const char *dir);

/* The bridges that runtimes listed, for the next boot: a runtime makes its bridges and starts containers before it answers, and a
 * bridge with a name of its own is closed only if its name is known. Written beside and renamed. 0 or -errno. */
int bh_state_keep_bridges(const char *dir, const struct bh_strv *names);
/* Adds them to *RET; what is no name of an interface is left out. 0, also when there are none, or -errno. */
int bh_state_load_bridges(const char *dir, struct bh_strv *ret);

#endif
