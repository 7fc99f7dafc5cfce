/* SPDX-License-Identifier: Apache-2.0 */
#include <bulkhead/buf.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int buf_room(struct bh_buf *b, size_t more)
{
	if (b->err)
		return b->err;
	if (more >= SIZE_MAX - b->n || bh_vec_reserve_(&b->s, &b->cap, b->n + more + 1, 1) < 0)
		b->err = -ENOMEM;
	return b->err;
}

void bh_buf_putn(struct bh_buf *b, const char *s, size_t n)
{
	if (buf_room(b, n) < 0)
		return;
	memcpy(b->s + b->n, s, n);
	b->n += n;
	b->s[b->n] = '\0';
}

void bh_buf_puts(struct bh_buf *b, const char *s)
{
	bh_buf_putn(b, s, strlen(s));
}

void bh_buf_printf(struct bh_buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		b->err = b->err ? b->err : -ENOMEM;
	if (n < 0 || buf_room(b, (size_t)n) < 0)
		return;
	va_start(ap, fmt);
	vsnprintf(b->s + b->n, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->n += (size_t)n;
}

void bh_buf_free(struct bh_buf *b)
{
	free(b->s);
	memset(b, 0, sizeof(*b));
}

int bh_buf_steal(struct bh_buf *b, char **ret)
{
	bh_buf_puts(b, "");
	if (b->err)
		return b->err;
	*ret = bh_take(b->s);
	b->n = b->cap = 0;
	return 0;
}

/* Length of the valid UTF-8 sequence at S (RFC 3629: no overlong forms, no surrogates), 0 if there is none; its code point in *CP. */
static size_t utf8_next(const unsigned char *s, size_t n, uint32_t *cp)
{
	size_t len;
	uint32_t c, min;

	if (s[0] < 0x80) {
		*cp = s[0];
		return 1;
	}
	if ((s[0] & 0xe0) == 0xc0)
		len = 2, c = s[0] & 0x1f, min = 0x80;
	else if ((s[0] & 0xf0) == 0xe0)
		len = 3, c = s[0] & 0x0f, min = 0x800;
	else if ((s[0] & 0xf8) == 0xf0)
		len = 4, c = s[0] & 0x07, min = 0x10000;
	else
		return 0;
	if (len > n)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < min || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*cp = c;
	return len;
}

/* Characters that act on a terminal, a log line or the order of a line's text. */
static bool cp_is_active(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x061c || c == 0x200e || c == 0x200f || c == 0x2028 ||
		c == 0x2029 || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

void bh_buf_put_safe(struct bh_buf *b, const char *s, size_t max)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t n = strnlen(s, max), i = 0;

	while (i < n) {
		uint32_t cp = 0;
		size_t len = utf8_next(p + i, strnlen(s + i, 4), &cp);

		if (len > n - i)	/* MAX cuts it */
			break;
		if (len == 0 || cp_is_active(cp)) {
			len = len ? len : 1;
			for (size_t k = 0; k < len; k++)
				bh_buf_printf(b, "\\x%02x", p[i + k]);
		} else if (cp == '\\') {
			bh_buf_puts(b, "\\\\");
		} else {
			bh_buf_putn(b, s + i, len);
		}
		i += len;
	}
	if (s[i] != '\0')
		bh_buf_puts(b, "...");
}

static bool text_check(const char *s, size_t n, bool plain)
{
	for (size_t i = 0, len; i < n; i += len) {
		uint32_t cp = 0;

		len = utf8_next((const unsigned char *)s + i, n - i, &cp);
		if (len == 0 || cp == 0 || (plain && cp_is_active(cp)))
			return false;
	}
	return true;
}

bool bh_text_is_utf8(const char *s, size_t n)
{
	return text_check(s, n, false);
}

bool bh_text_is_plain(const char *s, size_t n)
{
	return text_check(s, n, true);
}

int bh_buf_read_file(struct bh_buf *b, const char *path, size_t max)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	return fd < 0 ? -errno : bh_buf_read_fd(b, fd, max);
}

int bh_buf_read_fd(struct bh_buf *b, int fd, size_t max)
{
	char chunk[65536];
	ssize_t n;

	while ((n = read(fd, chunk, sizeof(chunk))) > 0) {
		bh_buf_putn(b, chunk, (size_t)n);
		if (b->err)
			return b->err;
		if (b->n > max)
			return -EFBIG;
	}
	return n < 0 ? -errno : 0;
}
