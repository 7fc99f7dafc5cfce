/* SPDX-License-Identifier: Apache-2.0 */
/* The decoder of requests: whatever bytes come, it refuses or gives a verb, and leaks nothing. */
#include "../../src/control/request.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bh_error err = {0};
	const char *verb = NULL;
	json_t *request = NULL;

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
