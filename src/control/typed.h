/* SPDX-License-Identifier: Apache-2.0 */
/* A request between the process that reads it from a client and the one that answers it: a verb, and arguments of known names and types
 * (include/bulkhead/wire.h). Pure. */
#ifndef BULKHEAD_CONTROL_TYPED_H
#define BULKHEAD_CONTROL_TYPED_H

#include "request.h"

/* What a request is as bytes, at most. */
#define BH_CONTROL_TYPED_MAX (BH_CONTROL_REQUEST_MAX + 65536u)

/* The arguments that are known, of REQUEST, which was decoded; what else it has is left out. An argument of another type than its own is said to be
 * there, and to be wrong. 0 or -ENOMEM. */
int bh_control_typed_put(const char *verb, const json_t *request, struct bh_buf *out);
/* The same again: a document with these arguments and nothing else, where what was wrong is null. 0; -EBADMSG for what bh_control_typed_put() never
 * writes; -ENOMEM. */
int bh_control_typed_read(const char *data, size_t n, char ret_verb[BH_CONTROL_VERB_MAX + 1], json_t **ret);

#endif
