/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of a directory of reports, between two processes: a message of a socket that keeps their bounds is a frame (include/bulkhead/wire.h).
 * Pure: no descriptor. The reader believes nothing of what comes; a file is named without its directory, which the reader knows. */
#ifndef BULKHEAD_REPORTS_WIRE_H
#define BULKHEAD_REPORTS_WIRE_H

#include <bulkhead/buf.h>
#include <bulkhead/reports.h>

#define REPORTS_FRAME_MAX 32768u	/* bytes */

enum reports_frame_kind {
	REPORTS_FRAME_REPORT,
	REPORTS_FRAME_VERIFIED,
	REPORTS_FRAME_UNREAD,
	REPORTS_FRAME_GONE,
	REPORTS_FRAME_DIRECTORY,
	REPORTS_FRAME_LISTED,	/* everything that is there has been told */
	REPORTS_FRAME_AGAIN,	/* the directory is another one than this process may read: the next one may */
	REPORTS_FRAME_MAX_KIND = REPORTS_FRAME_AGAIN,
};

/* What is read is its own. The files of report and verified stay NULL. */
struct reports_frame {
	enum reports_frame_kind kind;
	char *name;			/* of a file: any bytes but '/', no dot at the start */
	char *problem;			/* of UNREAD; of DIRECTORY, or NULL */
	struct bh_report report;
	struct bh_verified verified;
};
void reports_frame_clear(struct reports_frame *f);

/* Whether a file of that name counts in a directory of KIND. */
bool reports_is_wanted(enum bh_reports_kind kind, const char *name);

/* F, or MSG, as the bytes of a frame, after what B holds. What others wrote at a length that nobody reads is left out. 0, -ENOMEM. */
int reports_frame_write(const struct reports_frame *f, struct bh_buf *b);
int reports_msg_write(const struct bh_reports_msg *msg, struct bh_buf *b);
/* The N bytes at DATA, from who follows a directory of KIND, into RET, empty before. 0; -EBADMSG for what no sender of ours writes, -ENOMEM: RET is
 * empty. */
int reports_frame_read(const char *data, size_t n, enum bh_reports_kind kind, struct reports_frame *ret);

#endif
