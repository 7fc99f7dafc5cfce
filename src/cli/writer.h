/* SPDX-License-Identifier: Apache-2.0 */
/* One way out for every verb: a verb makes a JSON document, and a function that shows it as text. `--json` prints the
 * document, otherwise the function draws it through the calls below. Text is 80 columns wide at most, coloured only
 * on a terminal without NO_COLOR, and every string in it is escaped: what a document holds was written by strangers. */
#ifndef BULKHEAD_CLI_WRITER_H
#define BULKHEAD_CLI_WRITER_H

#include <bulkhead/buf.h>
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

#define BH_WIDTH 80

enum bh_style {
	BH_PLAIN,
	BH_BOLD,
	BH_DIM,
	BH_GOOD,
	BH_WARN,
	BH_BAD,
};

struct bh_writer {
	FILE *out;
	bool json;
	bool colour;
	bool compact;		/* JSON on one line, for --watch */
};

typedef void (*bh_text_fn)(struct bh_writer *w, const json_t *doc, void *userdata);

/* A member of a document: its text, or NULL; "" or "-" where there is none; its number, or 0. */
static inline const char *bh_doc_str(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}
static inline const char *bh_doc_text(const json_t *o, const char *key)
{
	const char *s = bh_doc_str(o, key);

	return s ? s : "";
}
static inline const char *bh_doc_dash(const json_t *o, const char *key)
{
	const char *s = bh_doc_str(o, key);

	return s ? s : "-";
}
static inline json_int_t bh_doc_num(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

/* Whether OUT is a terminal and NO_COLOR (no-color.org) is not set. */
bool bh_writer_wants_colour(FILE *out);

/* Prints DOC: as JSON in pure ASCII, or through TEXT. 0; -EIO when OUT does not take it; -ENOMEM. */
int bh_writer_put(struct bh_writer *w, const json_t *doc, bh_text_fn text, void *userdata);

/* "label     value", the value wrapped to the width under itself. */
void bh_text_fact(struct bh_writer *w, const char *label, enum bh_style style, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void bh_text_line(struct bh_writer *w, enum bh_style style, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* A table: columns as wide as their widest cell; when the line gets too long the widest of those that may shrink do. */
struct bh_column {
	const char *title;
	bool right;		/* numbers */
	unsigned least;		/* columns that it may not shrink below; 0: does not shrink */
};
struct bh_cell {
	char *text;		/* escaped */
	enum bh_style style;
};
struct bh_table_text {
	const struct bh_column *columns;
	size_t n_columns;
	BH_VEC(struct bh_cell) cells;	/* row by row */
	int err;
};
void bh_table_cell(struct bh_table_text *t, enum bh_style style, const char *text);	/* NULL shows "-" */
void bh_table_number(struct bh_table_text *t, enum bh_style style, int64_t n);		/* "12.3M", at most 6 columns */
void bh_table_print(struct bh_writer *w, struct bh_table_text *t);			/* prints and frees the cells */

/* How many columns S takes, and how many of its bytes fit into WIDTH columns. S is valid UTF-8 without control characters. */
unsigned bh_text_width(const char *s);
size_t bh_text_fit(const char *s, unsigned width);

/* 1234567 -> "1.23M"; powers of 1000. */
#define BH_SI_TEXT 16
const char *bh_si_text(uint64_t n, char buf[BH_SI_TEXT]);
/* A rate in bit/s for a table: 50000000 -> "50M", 1234567000 -> "1.23G", none (0 or less) -> "-"; at most 5 columns. */
#define BH_RATE_TEXT 16
const char *bh_rate_text(int64_t bps, char buf[BH_RATE_TEXT]);

#endif
