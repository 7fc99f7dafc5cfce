/* SPDX-License-Identifier: Apache-2.0 */
/* What the process with capabilities reads from the one that follows a directory of reports: whatever bytes come, it refuses them or gives what is written as
 * the same bytes. The first byte is whose directory. */
#include "../../src/reports/wire.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(reports_frame_clear) struct reports_frame f = {0};
	_cleanup_buf_ struct bh_buf b = {0};
	int r;

	if (size == 0 || size > REPORTS_FRAME_MAX)
		return 0;
	r = reports_frame_read((const char *)data + 1, size - 1, data[0] & 1 ? BH_REPORTS_VERIFIED : BH_REPORTS_SCANS, &f);
	if (r < 0) {
		if (f.name || f.problem || f.report.digests.n || f.verified.digests.n)
			__builtin_trap();
		return 0;
	}
	r = reports_frame_write(&f, &b);
#ifdef HUNGRY
	if (r == -ENOMEM)
		return 0;
#endif
	if (r < 0 || b.n != size - 1 || memcmp(b.s, data + 1, b.n) != 0)
		__builtin_trap();
	return 0;
}
