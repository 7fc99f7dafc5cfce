/* SPDX-License-Identifier: Apache-2.0 */
/* Which scanner wrote it, and what both have in common. */
#include "decode.h"

#include <bulkhead/buf.h>

#include <errno.h>
#include <string.h>

#define VALUES_MAX 1000000u

/* Each value but the first follows one of these bytes, so counting them bounds what the parser will allocate. */
static bool too_many_values(const char *text, size_t n)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += text[i] == ',' || text[i] == '[' || text[i] == '{';
	return count > VALUES_MAX;
}

int reports_parse(const char *text, size_t n, json_t **ret, size_t *ret_used, struct bh_error *err)
{
	json_error_t error = {0};
	json_t *j;

	if (n == 0)
		return bh_fail(err, -EBADMSG, "is empty");
	if (too_many_values(text, n))
		return bh_fail(err, -EBADMSG, "holds more than %u values", VALUES_MAX);
	j = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DISABLE_EOF_CHECK, &error);
	if (!j && (!*error.text || json_error_code(&error) == json_error_out_of_memory))
		return bh_fail(err, -ENOMEM, "out of memory");
	if (!j)	/* what jansson says quotes the text */
		return bh_fail(err, -EBADMSG, "line %d: is not JSON, or was cut off", error.line > 0 ? error.line : 1);
	*ret = j;
	*ret_used = (size_t)error.position;
	return 0;
}

const char *reports_string(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

int reports_digest_add(struct bh_strv *list, const char *s)
{
	char digest[BH_DIGEST_TEXT];

	if (!s || !bh_digest_parse(s, digest) || bh_strv_has(list, digest) || list->n >= BH_REPORT_DIGESTS_MAX)
		return 0;
	return bh_strv_push(list, digest);
}

int reports_digests_add(struct bh_strv *list, const json_t *a)
{
	const json_t *x;
	size_t i;

	json_array_foreach(a, i, x)
		if (reports_digest_add(list, json_string_value(x)) < 0)
			return -ENOMEM;
	return 0;
}

int reports_finding(struct bh_report *r, const char *severity, const char *id, const char *package, bool fixable, struct bh_error *err)
{
	enum bh_vuln v;

	if (!id)
		return bh_fail(err, -EBADMSG, "a vulnerability has no id");
	if (!severity || bh_vuln_parse(severity, &v) < 0) {
		_cleanup_buf_ struct bh_buf b = {0};

		bh_buf_put_safe(&b, id, 64);
		return bh_fail(err, -EBADMSG, "%s has no severity that is known", b.s ? b.s : "a vulnerability");
	}
	if (bh_vulns_add(&r->all, v, id, package) < 0 || (fixable && bh_vulns_add(&r->fixable, v, id, package) < 0))
		return bh_fail(err, -ENOMEM, "out of memory");
	return 0;
}

static int decode(const json_t *j, struct bh_report *ret, struct bh_error *err)
{
	if (json_is_object(json_object_get(j, "source")) && json_object_get(j, "matches"))
		return grype_decode(j, ret, err);
	if (json_object_get(j, "SchemaVersion"))
		return trivy_decode(j, ret, err);
	if (json_is_array(j))
		return bh_fail(err, -EBADMSG, "is a list: Trivy before 0.20 and Grype before 0.1 do not say which image they looked at");
	return bh_fail(err, -EBADMSG, "is a report of neither Trivy (trivy image -f json) nor Grype (grype -o json)");
}

int bh_report_decode(const char *text, size_t n, struct bh_report *ret, struct bh_error *err)
{
	_cleanup_(bh_report_clear) struct bh_report out = {0};
	_cleanup_json_ json_t *j = NULL;
	size_t used = 0;
	int r = reports_parse(text, n, &j, &used, err);

	if (r < 0)
		return r;
	for (; used < n; used++)
		if (!strchr(" \t\r\n", text[used]) || text[used] == '\0')
			return bh_fail(err, -EBADMSG, "goes on after its end");
	r = decode(j, &out, err);
	if (r < 0)
		return r;
	if (out.digests.n == 0)
		return bh_fail(err, -EBADMSG, "names no image by a digest: what was scanned has to be an image");
	*ret = out;
	out = (struct bh_report){0};
	return 0;
}
