/* SPDX-License-Identifier: Apache-2.0 */
/* Typed values between our own processes. One description serves both ways: the same calls write a value, or read it and believe nothing:
 * every length is held against what is there and against a bound, numbers against their range, text is UTF-8 without a NUL. */
#ifndef BULKHEAD_WIRE_H
#define BULKHEAD_WIRE_H

#include <bulkhead/addr.h>
#include <bulkhead/buf.h>

#include <stdint.h>

struct bh_wire {
	struct bh_buf *out;	/* written to; NULL: read from: */
	const char *in;
	size_t n, at;
	int err;		/* the first: -EBADMSG or -ENOMEM. Sticky: only the end needs a check */
};

enum {
	BH_WIRE_OPTIONAL = 1,	/* may be NULL */
	BH_WIRE_PLAIN = 2,	/* safe to print */
	BH_WIRE_WORD = 4,	/* of letters, digits, '-', '_', '.' and ':' */
};

static inline bool bh_wire_reads(const struct bh_wire *w)
{
	return !w->out;
}
void bh_wire_fail(struct bh_wire *w, int err);

/* What is read is 0 after an error. */
void bh_wire_u8(struct bh_wire *w, uint8_t *v);
void bh_wire_u16(struct bh_wire *w, uint16_t *v);
void bh_wire_u32(struct bh_wire *w, uint32_t *v);
void bh_wire_u64(struct bh_wire *w, uint64_t *v);
/* V if it is at most MAX, in a byte. */
unsigned bh_wire_choice(struct bh_wire *w, unsigned v, unsigned max);
bool bh_wire_flag(struct bh_wire *w, bool v);
/* Text of at most MAX bytes; what is read is a new string at *S, which was NULL. */
void bh_wire_text(struct bh_wire *w, char **s, size_t max, unsigned flags);
/* The number of items that follow: MAX at most, and no more than there is room for when each takes LEAST bytes. */
size_t bh_wire_count(struct bh_wire *w, size_t n, size_t max, size_t least);

void bh_wire_addr(struct bh_wire *w, struct bh_addr *a);	/* of a family */
void bh_wire_prefix(struct bh_wire *w, struct bh_prefix *p);	/* without host bits */
void bh_wire_mac(struct bh_wire *w, struct bh_mac *m);

/* All items of a vector, each by FN(w, item). What is read goes into an empty one. */
#define bh_wire_vec(w, vec, max, least, fn)                                                        \
	do {                                                                                       \
		struct bh_wire *wire_ = (w);                                                       \
		size_t count_ = bh_wire_count(wire_, (vec)->n, (max), (least));                    \
		for (size_t at_ = 0; at_ < count_ && wire_->err == 0; at_++) {                     \
			__typeof__((vec)->v) item_ = bh_wire_reads(wire_) ? bh_vec_add(vec) : &(vec)->v[at_]; \
			if (item_)                                                                 \
				fn(wire_, item_);                                                  \
			else                                                                       \
				bh_wire_fail(wire_, -ENOMEM);                                      \
		}                                                                                  \
	} while (0)

/* The end of what is read: -EBADMSG when more is there. Of what is written: the buffer's error. */
int bh_wire_end(struct bh_wire *w);

#endif
