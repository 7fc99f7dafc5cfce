/* SPDX-License-Identifier: Apache-2.0 */
/* The decoder of requests: whatever bytes come, it refuses or gives a verb, and leaks nothing. And what is answered with a stranger's text in it, UTF-8 or not, is a line of JSON. */
#include "../../src/control/request.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void answer(const char *text)
{
	json_t *doc = bh_control_refusal("usage", text), *other = bh_control_answer(json_pack("{s:o}", "text", bh_json_text(text)));
	char *line = doc ? json_dumps(doc, JSON_COMPACT) : NULL, *second = other ? json_dumps(other, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;

	if ((line && strchr(line, '\n')) || (second && (strchr(second, '\n') || strchr(second, '\x1b'))))
		__builtin_trap();
	free(line);
	free(second);
	json_decref(doc);
	json_decref(other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bh_error err = {0};
	const char *verb = NULL;
	json_t *request = NULL;
	char *text = strndup((const char *)data, size < 64 ? size : 64);

	if (text)
		answer(text);
	free(text);
	if (size > BH_CONTROL_REQUEST_MAX)
		return 0;
	if (bh_control_request_decode((const char *)data, size, &request, &verb, &err) == 0) {
		if (!request || !verb || strlen(verb) > BH_CONTROL_VERB_MAX)
			__builtin_trap();
		json_decref(request);
	} else if (err.code == 0 || !err.msg[0] || strchr(err.msg, '\n')) {
		__builtin_trap();
	}
	return 0;
}
