/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#define VALUES_MAX 4000000u

/* More values than the memory of this process should hold? Each but the first follows one of these bytes, so counting them
 * bounds what the parser will allocate; in strings they count too, which only makes the bound stricter. */
static bool too_many_values(const char *text, size_t n)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += text[i] == ',' || text[i] == '[' || text[i] == '{';
	return count > VALUES_MAX;
}

/* Where the next escaped NUL starts, or NULL. A backslash takes the character after it along. */
static char *find_nul(const char *text, size_t n)
{
	const char *end = text + n, *p = text;

	while ((p = memchr(p, '\\', (size_t)(end - p)))) {
		if (end - p >= 6 && memcmp(p, "\\u0000", 6) == 0)
			return (char *)(uintptr_t)p;
		p += end - p >= 2 ? 2 : 1;
	}
	return NULL;
}

/* A copy with each escaped NUL replaced by the escape of U+FDD0, or NULL when memory ran out. */
static char *without_nuls(const char *text, size_t n)
{
	char *copy = malloc(n ? n : 1), *p;

	if (!copy)
		return NULL;
	memcpy(copy, text, n);
	for (p = find_nul(copy, n); p; p = find_nul(p, n - (size_t)(p - copy)))
		memcpy(p, "\\ufdd0", 6);
	return copy;
}

int bh_json_parse(const char *text, size_t n, json_t **ret)
{
	_cleanup_free_ char *copy = NULL;
	/* Two labels may become one by the replacement. Whoever has such a label is not believed anyway. */
	size_t flags = JSON_REJECT_DUPLICATES;
	json_error_t error = {0};
	json_t *j;

	if (too_many_values(text, n))
		return -EBADMSG;
	if (find_nul(text, n)) {
		copy = without_nuls(text, n);
		if (!copy)
			return -ENOMEM;
		text = copy;
		flags = 0;
	}
	j = json_loadb(text, n, flags, &error);
	/* where an allocation failed, jansson 2.14 mostly gives no reason at all */
	if (!j)
		return !*error.text || json_error_code(&error) == json_error_out_of_memory ? -ENOMEM : -EBADMSG;
	*ret = j;
	return 0;
}

static const json_t *member(const json_t *o, const char *key)
{
	const json_t *j = json_object_get(o, key);

	return json_is_null(j) ? NULL : j;
}

const json_t *bh_json_object(const json_t *o, const char *key, int *err)
{
	const json_t *j = member(o, key);

	if (j && !json_is_object(j)) {
		*err = -EBADMSG;
		return NULL;
	}
	return j;
}

const json_t *bh_json_array(const json_t *o, const char *key, int *err)
{
	const json_t *j = member(o, key);

	if (j && !json_is_array(j)) {
		*err = -EBADMSG;
		return NULL;
	}
	return j;
}

const char *bh_json_string(const json_t *o, const char *key, int *err)
{
	const json_t *j = member(o, key);

	if (j && !json_is_string(j)) {
		*err = -EBADMSG;
		return NULL;
	}
	return j ? json_string_value(j) : NULL;
}

long long bh_json_integer(const json_t *o, const char *key, int *err)
{
	const json_t *j = member(o, key);

	if (j && !json_is_integer(j)) {
		*err = -EBADMSG;
		return 0;
	}
	return j ? json_integer_value(j) : 0;
}

bool bh_json_bool(const json_t *o, const char *key, int *err)
{
	const json_t *j = member(o, key);

	if (j && !json_is_boolean(j)) {
		*err = -EBADMSG;
		return false;
	}
	return json_is_true(j);
}
