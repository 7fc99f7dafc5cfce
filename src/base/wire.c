/* SPDX-License-Identifier: Apache-2.0 */
#include <bulkhead/wire.h>

#include <errno.h>
#include <string.h>

#define NO_TEXT UINT32_MAX

void bh_wire_fail(struct bh_wire *w, int err)
{
	if (w->err == 0)
		w->err = err;
}

static void bytes(struct bh_wire *w, void *p, size_t n)
{
	if (!bh_wire_reads(w)) {
		bh_buf_putn(w->out, p, n);
		return;
	}
	if (w->err == 0 && n > w->n - w->at)
		bh_wire_fail(w, -EBADMSG);
	if (w->err < 0) {
		memset(p, 0, n);
		return;
	}
	memcpy(p, w->in + w->at, n);
	w->at += n;
}

void bh_wire_u8(struct bh_wire *w, uint8_t *v)
{
	bytes(w, v, sizeof(*v));
}

void bh_wire_u16(struct bh_wire *w, uint16_t *v)
{
	bytes(w, v, sizeof(*v));
}

void bh_wire_u32(struct bh_wire *w, uint32_t *v)
{
	bytes(w, v, sizeof(*v));
}

void bh_wire_u64(struct bh_wire *w, uint64_t *v)
{
	bytes(w, v, sizeof(*v));
}

unsigned bh_wire_choice(struct bh_wire *w, unsigned v, unsigned max)
{
	uint8_t byte = (uint8_t)v;

	bh_wire_u8(w, &byte);
	if (bh_wire_reads(w) && byte > max) {
		bh_wire_fail(w, -EBADMSG);
		return 0;
	}
	return byte;
}

bool bh_wire_flag(struct bh_wire *w, bool v)
{
	return bh_wire_choice(w, v, 1);
}

static bool is_word(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') || (s[i] >= '0' && s[i] <= '9') ||
			s[i] == '-' || s[i] == '_' || s[i] == '.' || s[i] == ':'))
			return false;
	return n > 0;
}

static bool text_is_good(const char *s, size_t n, unsigned flags)
{
	if (flags & BH_WIRE_WORD)
		return is_word(s, n);
	return flags & BH_WIRE_PLAIN ? bh_text_is_plain(s, n) : bh_text_is_utf8(s, n);
}

void bh_wire_text(struct bh_wire *w, char **s, size_t max, unsigned flags)
{
	uint32_t n = bh_wire_reads(w) || !*s ? NO_TEXT : (uint32_t)strlen(*s);

	bh_wire_u32(w, &n);
	if (!bh_wire_reads(w)) {
		if (*s)
			bytes(w, *s, n);
		return;
	}
	if (w->err < 0)
		return;
	if (n == NO_TEXT) {
		if (!(flags & BH_WIRE_OPTIONAL))
			bh_wire_fail(w, -EBADMSG);
		return;
	}
	if (n > max || n > w->n - w->at || !text_is_good(w->in + w->at, n, flags)) {
		bh_wire_fail(w, -EBADMSG);
		return;
	}
	*s = malloc((size_t)n + 1);
	if (!*s) {
		bh_wire_fail(w, -ENOMEM);
		return;
	}
	bytes(w, *s, n);
	(*s)[n] = '\0';
}

size_t bh_wire_count(struct bh_wire *w, size_t n, size_t max, size_t least)
{
	uint32_t count = (uint32_t)n;

	bh_wire_u32(w, &count);
	if (bh_wire_reads(w) && w->err == 0 && (count > max || count > (w->n - w->at) / least))
		bh_wire_fail(w, -EBADMSG);
	return w->err < 0 ? 0 : count;
}

void bh_wire_addr(struct bh_wire *w, struct bh_addr *a)
{
	bh_wire_u8(w, &a->family);
	if (bh_wire_reads(w) && a->family != 4 && a->family != 6) {
		bh_wire_fail(w, -EBADMSG);
		memset(a, 0, sizeof(*a));
		return;
	}
	bytes(w, a->b, bh_addr_size(a));
}

void bh_wire_prefix(struct bh_wire *w, struct bh_prefix *p)
{
	struct bh_addr first, last;

	bh_wire_addr(w, &p->addr);
	bh_wire_u8(w, &p->len);
	if (!bh_wire_reads(w) || w->err < 0)
		return;
	if (p->len > 8 * bh_addr_size(&p->addr)) {
		bh_wire_fail(w, -EBADMSG);
		return;
	}
	bh_prefix_range(p, &first, &last);
	if (bh_addr_cmp(&first, &p->addr) != 0)
		bh_wire_fail(w, -EBADMSG);
}

void bh_wire_mac(struct bh_wire *w, struct bh_mac *m)
{
	bytes(w, m->b, sizeof(m->b));
}

int bh_wire_end(struct bh_wire *w)
{
	if (bh_wire_reads(w) && w->at != w->n)
		bh_wire_fail(w, -EBADMSG);
	if (!bh_wire_reads(w) && w->out->err < 0)
		bh_wire_fail(w, w->out->err);
	return w->err;
}
