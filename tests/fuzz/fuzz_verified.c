/* SPDX-License-Identifier: Apache-2.0 */
/* The decoder of what verifications print: up to a NUL the file's name, or no name. */
#include <bulkhead/reports.h>

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(bh_verified_clear) struct bh_verified v = {0};
	const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
	const char *name = nul ? (const char *)data : "x", *text = nul ? (const char *)nul + 1 : (const char *)data;
	struct bh_error err = {0};
	char digest[BH_DIGEST_TEXT];

	if (bh_verified_decode(name, text, size - (size_t)(text - (const char *)data), &v, &err) < 0) {
		if (err.code == 0 || !err.msg[0] || strchr(err.msg, '\n') || v.digests.n)
			__builtin_trap();
		return 0;
	}
	if (!v.tool || v.digests.n == 0)
		__builtin_trap();
	for (size_t i = 0; i < v.digests.n; i++)
		if (!bh_digest_parse(v.digests.v[i], digest) || strcmp(digest, v.digests.v[i]) != 0)
			__builtin_trap();
	return 0;
}
