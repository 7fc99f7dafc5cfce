/* SPDX-License-Identifier: Apache-2.0 */
/* How a Docker daemon is set: the first byte, a digit in seeds, chooses what the rest is read as. */
#include "../../src/runtime/dockerd.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int (*const read[])(const char *text, size_t n, struct bh_dockerd *d) = {
		bh_dockerd_decode_cmdline, bh_dockerd_decode_config, bh_dockerd_decode_info, bh_dockerd_decode_version, bh_dockerd_decode_icc,
	};
	struct bh_dockerd d = {0};

	if (size == 0)
		return 0;
	read[(data[0] - '0' + 60) % 5]((const char *)data + 1, size - 1, &d);
	bh_vec_foreach(o, &d.options)
		if (!o->name || !o->value || !bh_dockerd_value(&d, o->name))
			__builtin_trap();
	if (d.icc && !d.icc_known)
		__builtin_trap();
	bh_dockerd_clear(&d);
	return 0;
}
