/* SPDX-License-Identifier: Apache-2.0 */
/* A file of lines that somebody else reads: appended, synced and rotated by a thread of its own, since a disk may take its time and the rules may
 * not wait for it. What it has not written yet is bounded. */
#ifndef BULKHEAD_DAEMON_ACCESS_FILE_H
#define BULKHEAD_DAEMON_ACCESS_FILE_H

#include <bulkhead/mem.h>

#include <stdint.h>
#include <sys/types.h>

#define BH_ACCESS_WAITING_MAX (4u << 20)	/* bytes of lines that wait for the disk; more are counted and lost */
#define BH_ACCESS_SYNC_MSEC 1000		/* what was written is on the disk so much later */
#define BH_ACCESS_RETRY_MSEC 2000		/* a file that could not be written is tried again */

struct bh_access_file;

/* Appends to PATH, whose folder is made where it is missing (0750), as a file of root's and GROUP's (-1: none) with mode 0640. Beyond SIZE bytes it
 * is renamed to PATH.1, which was renamed to PATH.2, up to PATH.KEEP. Nothing is opened here. 0 or -errno. */
int bh_access_file_new(const char *path, uint64_t size, unsigned keep, gid_t group, struct bh_access_file **ret);
/* Writes what waits, at most for a second. */
void bh_access_file_free(struct bh_access_file *f);
BH_DEFINE_FREEP(struct bh_access_file, bh_access_file_free)

/* Queues LINE (N bytes with its newline). Never blocks. False: it is lost, and counted. */
bool bh_access_file_put(struct bh_access_file *f, const char *line, size_t n);

/* Why it cannot be written now, a new string the caller frees; or NULL. *RET_LOST: lines that were lost since the start. */
char *bh_access_file_problem(struct bh_access_file *f, uint64_t *ret_lost);
/* Readable when the answer of bh_access_file_problem() has changed. */
int bh_access_file_fd(const struct bh_access_file *f);
void bh_access_file_seen(struct bh_access_file *f);	/* until the next change */

#endif
