/* SPDX-License-Identifier: Apache-2.0 */
#include "request.h"

#include <errno.h>
#include <string.h>

static int verb_check(const char *verb, struct bh_error *err)
{
	size_t n = strlen(verb);

	if (n == 0 || n > BH_CONTROL_VERB_MAX || strspn(verb, "abcdefghijklmnopqrstuvwxyz") != n)
		return bh_fail(err, -EBADMSG, "a request's verb is a word of lower-case letters");
	return 0;
}

/* Whether there are more values than allowed, by the marks between them outside of strings: told before memory is taken for them. */
static bool has_too_many(const char *line, size_t n)
{
	size_t marks = 0;
	bool quoted = false;

	for (size_t i = 0; i < n; i++)
		if (quoted && line[i] == '\\')
			i++;
		else if (line[i] == '"')
			quoted = !quoted;
		else if (!quoted && (line[i] == ',' || line[i] == '[' || line[i] == '{'))
			marks++;
	return marks > BH_CONTROL_VALUES_MAX;
}

int bh_control_request_decode(const char *line, size_t n, json_t **ret, const char **ret_verb, struct bh_error *err)
{
	json_error_t where;
	json_t *doc, *version;
	const char *verb;
	int r;

	if (has_too_many(line, n))
		return bh_fail(err, -EBADMSG, "a request has at most %u values", BH_CONTROL_VALUES_MAX);
	doc = json_loadb(line, n, JSON_REJECT_DUPLICATES, &where);
	if (!doc) {
		if (json_error_code(&where) == json_error_out_of_memory)
			return bh_fail(err, -ENOMEM, "out of memory");
		return bh_fail(err, -EBADMSG, "a request is one line with a JSON object");
	}
	version = json_object_get(doc, "version");
	verb = json_string_value(json_object_get(doc, "verb"));
	if (!json_is_object(doc) || !json_is_integer(version) || !verb)
		r = bh_fail(err, -EBADMSG, "a request is a JSON object with \"version\" and \"verb\"");
	else if (json_integer_value(version) != BH_CONTROL_VERSION)
		r = bh_fail(err, -EPROTO, "this daemon speaks version %d of the protocol: use the bulkhead of the same release",
			BH_CONTROL_VERSION);
	else
		r = verb_check(verb, err);
	if (r < 0) {
		json_decref(doc);
		return r;
	}
	*ret = doc;
	*ret_verb = verb;
	return 0;
}

int bh_control_line(const json_t *doc, char **ret, size_t *ret_n)
{
	_cleanup_free_ char *text = json_dumps(doc, JSON_COMPACT);
	size_t n;
	char *line;

	if (!text)
		return -ENOMEM;
	n = strlen(text);
	line = realloc(text, n + 2);
	if (!line)
		return -ENOMEM;
	text = NULL;
	line[n] = '\n';
	line[n + 1] = '\0';
	*ret = line;
	*ret_n = n + 1;
	return 0;
}

json_t *bh_json_text(const char *s)
{
	_cleanup_buf_ struct bh_buf safe = {0};
	json_t *j = s ? json_string(s) : json_null();

	if (j)
		return j;
	bh_buf_put_safe(&safe, s, 4096);
	return json_string(safe.s ? safe.s : "");
}

json_t *bh_control_answer(json_t *result)
{
	return json_pack("{s:b, s:o}", "ok", 1, "result", result);
}

json_t *bh_control_refusal(const char *code, const char *text)
{
	_cleanup_buf_ struct bh_buf safe = {0};
	json_t *error = json_string(text);

	if (!error) {	/* no UTF-8 */
		bh_buf_put_safe(&safe, text, BH_CONTROL_SMALL_MAX);
		error = json_string(safe.s ? safe.s : "");
	}
	return json_pack("{s:b, s:s, s:o}", "ok", 0, "code", code, "error", error);
}
