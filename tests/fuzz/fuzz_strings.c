/* SPDX-License-Identifier: Apache-2.0 */
/* What strangers write, made safe to print: nothing that acts on a terminal or a line of a log is left, nothing of it is lost but what is too long, and what was
 * harmless stays as it is. */
#include <bulkhead/buf.h>

#include <stdint.h>
#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The bytes that TEXT was made from; -1 when no text can have been made so. */
static long unescape(const char *text, char *out)
{
	size_t n = 0;

	for (const char *p = text; *p; n++) {
		unsigned byte;

		if (*p != '\\') {
			out[n] = *p++;
		} else if (p[1] == '\\') {
			out[n] = '\\';
			p += 2;
		} else if (p[1] == 'x' && sscanf(p + 2, "%2x", &byte) == 1) {
			out[n] = (char)byte;
			p += 4;
		} else {
			return -1;
		}
	}
	return (long)n;
}

/* Read a second time, and not by the code that made it: no byte below a space, no DEL, and of UTF-8 neither C1 (c2 80 to c2 9f) nor what turns the direction of text. */
static bool is_safe(const char *s)
{
	for (const unsigned char *p = (const unsigned char *)s; *p; p++) {
		if (*p < 0x20 || *p == 0x7f)
			return false;
		if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f)
			return false;
		if (p[0] == 0xe2 && p[1] == 0x80 && p[2] >= 0xaa && p[2] <= 0xae)
			return false;
		if (p[0] == 0xe2 && p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9)
			return false;
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *s = malloc(size + 1), *back = malloc(4 * size + 8);
	struct bh_buf out = {0}, cut = {0};
	size_t n, max = size > 0 ? data[0] : 0;
	long m;

	if (!s || !back)
		abort();
	if (size > 0)
		memcpy(s, data, size);
	s[size] = '\0';
	n = strlen(s);
	bh_buf_put_safe(&out, s, n);
	bh_buf_put_safe(&cut, s, max);
	m = unescape(out.s ? out.s : "", back);
	if (!is_safe(out.s ? out.s : "") || !bh_text_is_utf8(out.s ? out.s : "", out.n) || m != (long)n || memcmp(back, s, n) != 0)
		abort();
	if (!is_safe(cut.s ? cut.s : "") || (n > max && (cut.n < 3 || strcmp(cut.s + cut.n - 3, "...") != 0)))
		abort();
	if (bh_text_is_plain(s, n) && !strchr(s, '\\') && strcmp(out.s ? out.s : "", s) != 0)
		abort();
	bh_buf_free(&out);
	bh_buf_free(&cut);
	free(back);
	free(s);
	return 0;
}
