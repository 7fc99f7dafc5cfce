/* SPDX-License-Identifier: Apache-2.0 */
/* What the process with capabilities reads from the one that follows a runtime: whatever bytes come, and however they are cut, it refuses them or
 * gives messages that can be written and read again. */
#include "../../src/runtime/wire.h"

#include <bulkhead/wire.h>

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int keep(void *userdata, const char *data, size_t n)
{
	bh_buf_putn(userdata, data, n);
	return 0;
}

static void nothing(void *userdata, const struct bh_runtime_msg *msg)
{
	(void)msg;
	++*(size_t *)userdata;
}

/* What was read once is read again. */
static void again(void *userdata, const struct bh_runtime_msg *msg)
{
	struct bh_runtime_reader r = {0};
	struct bh_buf b = {0};
	size_t heard = 0;

	++*(size_t *)userdata;
	if (bh_runtime_wire_tell(msg, keep, &b) < 0 || bh_runtime_reader_feed(&r, b.s, b.n, nothing, &heard) < 0 || heard != 1)
		__builtin_trap();
	bh_runtime_reader_clear(&r);
	bh_buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bh_runtime_reader whole = {0}, cut = {0};
	size_t heard = 0, heard_cut = 0, step = size > 0 ? data[0] % 32 + 1u : 1;
	int r = bh_runtime_reader_feed(&whole, (const char *)data, size, again, &heard), s = 0;

	for (size_t at = 0; at < size && s == 0; at += step)
		s = bh_runtime_reader_feed(&cut, (const char *)data + at, size - at < step ? size - at : step, nothing, &heard_cut);
	if (r != s || heard != heard_cut)
		__builtin_trap();
	bh_runtime_reader_clear(&whole);
	bh_runtime_reader_clear(&cut);
	return 0;
}
