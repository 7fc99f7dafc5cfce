/* SPDX-License-Identifier: Apache-2.0 */
/* The zones and what may flow: one document, three ways to draw it. */
#ifndef BULKHEAD_CLI_GRAPH_H
#define BULKHEAD_CLI_GRAPH_H

#include "verb.h"

/* {"version", "live", "zones": [{"name", "kind", "mode", "containers"}], "edges": [{"from", "to", "ports", "packets", "bytes"}]}, made of a
 * status document; LIVE: only what has carried packets. NULL for no memory. */
json_t *bh_graph_from_status(const json_t *status, bool live);

/* Both write what strangers may have named, so that it stays a name. 0 or -ENOMEM; -E2BIG for a picture of more than BH_GRAPH_BOXES zones or
 * BH_GRAPH_LINES pairs. */
#define BH_GRAPH_BOXES 300u
#define BH_GRAPH_LINES 3000u
int bh_graph_dot(const json_t *doc, struct bh_buf *out);
int bh_graph_svg(const json_t *doc, struct bh_buf *out);

#endif
