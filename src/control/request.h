/* SPDX-License-Identifier: Apache-2.0 */
/* One line of the protocol, decoded and encoded. Pure. */
#ifndef BULKHEAD_CONTROL_REQUEST_H
#define BULKHEAD_CONTROL_REQUEST_H

#include <bulkhead/buf.h>
#include <bulkhead/control.h>

#define BH_CONTROL_VERSION 1
#define BH_CONTROL_VERB_MAX 32

/* Reads a request of N bytes (without its newline): a JSON object without duplicate keys, "version" 1, "verb" of a-z, and not more than
 * BH_CONTROL_VALUES_MAX values.
 * *RET_VERB points into *RET. 0; -EPROTO for another version; -EBADMSG for anything else; -ENOMEM. */
int bh_control_request_decode(const char *line, size_t n, json_t **ret, const char **ret_verb, struct bh_error *err);

/* One answer as a line with its newline. DOC's reference stays the caller's. 0 or -ENOMEM. */
int bh_control_line(const json_t *doc, char **ret, size_t *ret_n);

/* The answer {"ok": true, "result": RESULT}; takes RESULT's reference. NULL for no memory. */
json_t *bh_control_answer(json_t *result);
/* The answer {"ok": false, "code": CODE, "error": TEXT}; TEXT that is no UTF-8 is escaped. NULL for no memory. */
json_t *bh_control_refusal(const char *code, const char *text);

#endif
