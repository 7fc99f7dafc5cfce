/* SPDX-License-Identifier: Apache-2.0 */
/* Untrusted JSON read with bounds, on jansson. A runtime's answers hold text that containers' authors wrote. */
#ifndef BULKHEAD_RUNTIME_JSON_H
#define BULKHEAD_RUNTIME_JSON_H

#include <bulkhead/mem.h>

#include <jansson.h>

static inline void bh_json_freep(json_t **p)
{
	json_decref(*p);
}
#define _cleanup_json_ _cleanup_(bh_json_freep)

/* What stands where a string held a NUL (\u0000): the noncharacter U+FDD0, which nobody may interchange. jansson refuses
 * NUL in a key, and one label of one container must not make the whole list unreadable. */
#define BH_JSON_NUL "\xef\xb7\x90"

/* Parses a whole text: one object or array, valid UTF-8, no key twice (unless NULs were replaced), at most 2,048 deep (jansson's
 * own bound) and about 4 million values. 0, -EBADMSG, or
 * -ENOMEM as far as jansson tells it from bad syntax. */
int bh_json_parse(const char *text, size_t n, json_t **ret);

/* Typed members, with an error that sticks: *ERR becomes -EBADMSG when a member has another type. A missing one
 * and null are the same: NULL (0, false), which is no error. */
const json_t *bh_json_object(const json_t *o, const char *key, int *err);
const json_t *bh_json_array(const json_t *o, const char *key, int *err);
const char *bh_json_string(const json_t *o, const char *key, int *err);
long long bh_json_integer(const json_t *o, const char *key, int *err);
bool bh_json_bool(const json_t *o, const char *key, int *err);

#endif
