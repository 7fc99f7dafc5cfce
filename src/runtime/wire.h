/* SPDX-License-Identifier: Apache-2.0 */
/* A runtime's messages between two processes: frames of a length and a body (include/bulkhead/wire.h). Pure: no descriptor. The reader
 * believes nothing of what comes. A listing is told in pieces, LIST to LISTED. */
#ifndef BULKHEAD_RUNTIME_WIRE_H
#define BULKHEAD_RUNTIME_WIRE_H

#include <bulkhead/buf.h>
#include <bulkhead/host.h>
#include <bulkhead/runtime.h>

#define BH_RUNTIME_FRAME_MAX (16u << 20)	/* bytes of a body; a container beyond them is told with its flaw */
#define BH_RUNTIME_LISTED_MAX 65536u		/* containers, or networks, of a listing */
#define BH_RUNTIME_LISTED_BYTES (512u << 20)

/* Takes N bytes of frames. 0 or -errno. */
typedef int (*bh_runtime_put)(void *userdata, const char *data, size_t n);
/* MSG as frames. 0, -ENOMEM, or what PUT says. */
int bh_runtime_wire_tell(const struct bh_runtime_msg *msg, bh_runtime_put put, void *userdata);
int bh_runtime_wire_stats(const struct bh_runtime_stats *s, bh_runtime_put put, void *userdata);

struct bh_runtime_reader {
	struct bh_buf in;		/* of a frame that is not whole */
	struct bh_inventory *listing;	/* that is under way */
	size_t listed;			/* bytes of it */
	struct bh_runtime_stats stats;	/* as last told */
};
/* Takes N bytes, and gives FN each message that is whole. 0; -EBADMSG for what no sender of ours writes: nothing of it was given, and no
 * more can be read; -ENOMEM. */
int bh_runtime_reader_feed(struct bh_runtime_reader *r, const char *data, size_t n, bh_runtime_fn fn, void *userdata);
void bh_runtime_reader_clear(struct bh_runtime_reader *r);	/* keeps the stats */

/* What is asked of the other side. */
enum bh_runtime_ask {
	BH_RUNTIME_ASK_RESYNC,
	BH_RUNTIME_ASK_LOOK,
	BH_RUNTIME_ASK_EXECS,
	BH_RUNTIME_ASK_NO_EXECS,
};
struct bh_runtime_question {
	uint8_t ask;			/* enum bh_runtime_ask */
	char bridge[BH_IFNAME];		/* for LOOK */
};

#endif
