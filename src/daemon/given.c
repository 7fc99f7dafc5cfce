/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration that comes with a request: {"config": [{"name": "bulkhead.yaml", "text": "…"}, …]}, the main file first, read by the client with
 * its own rights. Nothing that a client names is opened here. */
#include "manager.h"

#include <errno.h>
#include <string.h>

#define NAME_BYTES_MAX 512u
#define NO_TEXTS "\"config\" is a list of files, each with \"name\" and \"text\""

/* What a place in a file may be called: nothing that a terminal or a log would act on. A backslash may be there, of a name that was made safe. */
static bool is_plain(const char *name)
{
	_cleanup_buf_ struct bh_buf safe = {0};
	_cleanup_free_ char *copy = strdup(name);

	for (char *p = copy; p && *p; p++)
		if (*p == '\\')
			*p = '/';
	bh_buf_put_safe(&safe, copy ? copy : "", NAME_BYTES_MAX);
	return copy && *copy && bh_streq(copy, safe.s);
}

static int text_read(const json_t *row, struct bh_config_text *ret, struct bh_error *err)
{
	const json_t *text = json_object_get(row, "text");

	ret->name = json_string_value(json_object_get(row, "name"));
	ret->text = json_string_value(text);
	ret->n = json_string_length(text);
	if (!ret->name || !ret->text)
		return bh_fail(err, -EBADMSG, NO_TEXTS);
	if (!is_plain(ret->name))
		return bh_fail(err, -EBADMSG, "the name of a configuration file is too long or cannot be shown: give the file another name");
	return 0;
}

int bh_given_policy(const json_t *request, struct bh_policy **ret, char **ret_diagnostics, struct bh_error *err)
{
	const json_t *rows = json_object_get(request, "config");
	_cleanup_free_ struct bh_config_text *texts = NULL;
	_cleanup_buf_ struct bh_buf said = {0};
	struct bh_diags diags = {0};
	size_t n = json_array_size(rows);
	int r = 0;

	if (!rows)
		return 0;
	if (n == 0)
		return bh_fail(err, -EBADMSG, NO_TEXTS);
	texts = calloc(n, sizeof(*texts));
	if (!texts)
		return bh_fail(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < n && r == 0; i++)
		r = text_read(json_array_get(rows, i), &texts[i], err);
	if (r < 0)
		return r;
	r = bh_config_parse(texts, n, ret, &diags);
	if (bh_diags_print(&diags, &said) == 0 && said.n > 0)
		(void)bh_buf_steal(&said, ret_diagnostics);
	bh_diags_clear(&diags);
	if (r == -EINVAL)
		return bh_fail(err, r, "the configuration is not valid");
	return r < 0 ? bh_fail(err, r, "the configuration cannot be read: %s", strerror(-r)) : 1;
}
