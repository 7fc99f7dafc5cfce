/* SPDX-License-Identifier: Apache-2.0 */
/* The decoder of scanners' reports: whatever bytes come, it refuses with a line or gives a report whose sums agree. */
#include <bulkhead/reports.h>

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct bh_vulns *f)
{
	int last = BH_VULN_MAX;
	size_t n = 0;

	for (int i = 0; i < BH_VULN_MAX; i++)
		n += f->counts[i];
	if (f->worst.n > BH_WORST_MAX || f->worst.n > n || (n > 0) != (f->worst.n > 0))
		__builtin_trap();
	bh_vec_foreach(w, &f->worst) {
		if ((int)w->severity > last || !w->id || strlen(w->id) > 64 || !f->counts[w->severity])
			__builtin_trap();
		last = (int)w->severity;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(bh_report_clear) struct bh_report r = {0};
	struct bh_error err = {0};
	char digest[BH_DIGEST_TEXT];

	if (size > BH_REPORT_FILE_MAX)
		return 0;
	if (bh_report_decode((const char *)data, size, &r, &err) < 0) {
		if (err.code == 0 || !err.msg[0] || strchr(err.msg, '\n') || r.digests.n)
			__builtin_trap();
		return 0;
	}
	check(&r.all);
	check(&r.fixable);
	if (!r.scanner || r.digests.n == 0)
		__builtin_trap();
	for (size_t i = 0; i < r.digests.n; i++)
		if (!bh_digest_parse(r.digests.v[i], digest) || strcmp(digest, r.digests.v[i]) != 0)
			__builtin_trap();
	for (int i = 0; i < BH_VULN_MAX; i++)
		if (r.fixable.counts[i] > r.all.counts[i])
			__builtin_trap();
	return 0;
}
