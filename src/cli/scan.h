/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BULKHEAD_CLI_SCAN_H
#define BULKHEAD_CLI_SCAN_H

#include "verb.h"

#include <bulkhead/scan.h>

/* What `bulkhead scan` shows, as JSON; NULL for no memory. SOCKET is the runtime's. */
json_t *bh_scan_json(const struct bh_scan *s, const char *socket);
/* Draws such a document. */
void bh_scan_text(struct bh_writer *w, const json_t *doc, void *userdata);

/* scan_host.c: reads this host, and Docker at SOCKET, and looks. 0; -ENOTCONN when no runtime answers; -errno. */
int bh_scan_host(const char *socket, struct bh_scan **ret, struct bh_error *err);

#endif
