/* SPDX-License-Identifier: Apache-2.0 */
#include <bulkhead/error.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int bh_fail(struct bh_error *err, int code, const char *fmt, ...)
{
	if (err && err->code == 0) {
		va_list ap;

		err->code = code;
		va_start(ap, fmt);
		vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
		va_end(ap);
	}
	return code;
}

int bh_fail_wrap(struct bh_error *err, const char *fmt, ...)
{
	char inner[sizeof(err->msg)];
	int n;
	va_list ap;

	if (!err)
		return 0;
	memcpy(inner, err->msg, sizeof(inner));
	va_start(ap, fmt);
	n = vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof(err->msg))
		snprintf(err->msg + n, sizeof(err->msg) - (size_t)n, ": %s", inner);
	return err->code;
}
