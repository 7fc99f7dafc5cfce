/* SPDX-License-Identifier: Apache-2.0 */
/* A growing string with a sticky error, and text made safe for terminals and logs. */
#ifndef BULKHEAD_BUF_H
#define BULKHEAD_BUF_H

#include <bulkhead/mem.h>

/* s is always NUL-terminated once anything was added; NULL while empty. err is -ENOMEM once memory
 * ran out: later additions do nothing, so that only the end needs a check. */
struct bh_buf {
	char *s;
	size_t n, cap;
	int err;
};

void bh_buf_puts(struct bh_buf *b, const char *s);
void bh_buf_putn(struct bh_buf *b, const char *s, size_t n);
void bh_buf_printf(struct bh_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void bh_buf_free(struct bh_buf *b);
#define _cleanup_buf_ _cleanup_(bh_buf_free)

/* Appends untrusted text of at most MAX bytes of input with everything that could act on a terminal or a log
 * line escaped (C0, C1, DEL, ESC, newline, bidi controls U+202A-E and U+2066-9, invalid UTF-8) as \xNN;
 * longer input ends in "...". */
void bh_buf_put_safe(struct bh_buf *b, const char *s, size_t max);

/* Whether the N bytes are UTF-8 (RFC 3629) without a NUL; and whether nothing in them is of what bh_buf_put_safe() escapes, the backslash apart. */
bool bh_text_is_utf8(const char *s, size_t n);
bool bh_text_is_plain(const char *s, size_t n);

/* Appends what the file holds. 0, the sticky error, -EFBIG for more than MAX bytes in all, or -errno of open(2) and read(2). */
int bh_buf_read_file(struct bh_buf *b, const char *path, size_t max);
int bh_buf_read_fd(struct bh_buf *b, int fd, size_t max);

/* Hands the string over (the caller frees it): "" rather than NULL when empty. 0 or the sticky error. */
int bh_buf_steal(struct bh_buf *b, char **ret);

#endif
