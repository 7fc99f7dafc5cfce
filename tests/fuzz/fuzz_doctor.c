/* SPDX-License-Identifier: Apache-2.0 */
/* Files of others of which one thing is asked: a text, with and without its comments, says the same. */
#include <bulkhead/doctor.h>

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_buf_ struct bh_buf text = {0}, bare = {0}, again = {0};

	bh_buf_putn(&text, (const char *)data, strnlen((const char *)data, size));
	bh_buf_puts(&text, "");
	if (text.err)
		return 0;
	bh_doctor_uncomment(text.s, &bare);
	bh_buf_puts(&bare, "");
	if (bare.err)
		return 0;
	bh_doctor_uncomment(bare.s, &again);
	bh_buf_puts(&again, "");
	if (again.err || strcmp(bare.s, again.s) != 0 || bh_doctor_flushes(text.s) != bh_doctor_flushes(bare.s) ||
		bh_doctor_unattended(text.s) != bh_doctor_unattended(bare.s) || bh_doctor_is_set(text.s, "ENABLED", "yes") != bh_doctor_is_set(bare.s, "ENABLED", "yes"))
		__builtin_trap();
	return 0;
}
