/* SPDX-License-Identifier: Apache-2.0 */
/* Lines for somebody who listens at a unix socket, datagrams or a stream. Never waited for. */
#ifndef BULKHEAD_DAEMON_ALERTS_H
#define BULKHEAD_DAEMON_ALERTS_H

#include <bulkhead/mem.h>

#include <stdint.h>
#include <systemd/sd-event.h>

#define BH_ALERTS_MAX 256u		/* that wait for a listener; the oldest go first */
#define BH_ALERTS_RETRY_USEC (5 * 1000000ull)

struct bh_log;

struct bh_alerts {
	char *path;			/* NULL: none */
	struct bh_strv waiting;
	uint64_t lost;
	bool failing;			/* and told so */
	sd_event_source *retry;
	const struct bh_log *log;
};

/* PATH NULL: off. What waits stays for the next one. 0 or -ENOMEM. */
int bh_alerts_set(struct bh_alerts *a, sd_event *event, const struct bh_log *log, const char *path);
/* LINE without its newline, as one datagram, or with one on a connection of its own. */
void bh_alerts_send(struct bh_alerts *a, const char *line);
void bh_alerts_clear(struct bh_alerts *a);

#endif
