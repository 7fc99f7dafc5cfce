/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics for Prometheus (text format 0.0.4), made of a status document; off unless asked for. */
#ifndef BULKHEAD_DAEMON_METRICS_H
#define BULKHEAD_DAEMON_METRICS_H

#include <bulkhead/buf.h>
#include <bulkhead/error.h>

#include <jansson.h>

struct bh_manager;
struct bh_metrics;

/* Bounds on the number of series. Zones and rules beyond them are added up as "(others)"; there is no series of a container. */
#define BH_METRICS_ZONES 500u
#define BH_METRICS_RULES 1000u

/* The text of a status document (SPEC section 4). Pure. 0 or -ENOMEM. */
int bh_metrics_print(const json_t *status, struct bh_buf *out);

/* Serves GET /metrics at WHERE, on the loop that M works on: by libmicrohttpd without a thread of its own. */
int bh_metrics_new(struct bh_manager *m, const char *where, struct bh_metrics **ret, struct bh_error *err);
void bh_metrics_free(struct bh_metrics *x);
BH_DEFINE_FREEP(struct bh_metrics, bh_metrics_free)

/* Where that may be: "unix:PATH", "127.0.0.1:PORT" or "[::1]:PORT". 4 or 6 for a port, in *RET_PORT (may be NULL); 0 for a path, which
 * is WHERE + 5; -EINVAL for anything else. */
int bh_metrics_where(const char *where, unsigned short *ret_port);

#endif
