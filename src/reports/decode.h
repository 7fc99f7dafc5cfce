/* SPDX-License-Identifier: Apache-2.0 */
/* Reports as JSON, untrusted. */
#ifndef BULKHEAD_REPORTS_DECODE_H
#define BULKHEAD_REPORTS_DECODE_H

#include <bulkhead/reports.h>

#include <jansson.h>

static inline void json_freep(json_t **p)
{
	json_decref(*p);
}
#define _cleanup_json_ _cleanup_(json_freep)

/* The first value of the N bytes at TEXT, with how many bytes it took: UTF-8, no key twice, at most a million values. 0, -ENOMEM, or -EBADMSG with
 * ERR naming the line. */
int reports_parse(const char *text, size_t n, json_t **ret, size_t *ret_used, struct bh_error *err);

/* A member of O that is a string; NULL for none. */
const char *reports_string(const json_t *o, const char *key);
/* The digest that S names (NULL: none), once in LIST. 0 or -ENOMEM. */
int reports_digest_add(struct bh_strv *list, const char *s);
/* The same for every string of the array A, or nothing. */
int reports_digests_add(struct bh_strv *list, const json_t *a);
/* One finding, as a scanner calls its severity. 0, -ENOMEM, or -EBADMSG with ERR. */
int reports_finding(struct bh_report *r, const char *severity, const char *id, const char *package, bool fixable, struct bh_error *err);

int trivy_decode(const json_t *j, struct bh_report *ret, struct bh_error *err);
int grype_decode(const json_t *j, struct bh_report *ret, struct bh_error *err);

#endif
