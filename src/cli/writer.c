/* SPDX-License-Identifier: Apache-2.0 */
#include "writer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#define CELL_MAX 256
#define GAP 2

static const char *const STYLES[] = {
	[BH_PLAIN] = "", [BH_BOLD] = "\033[1m", [BH_DIM] = "\033[2m",
	[BH_GOOD] = "\033[32m", [BH_WARN] = "\033[33m", [BH_BAD] = "\033[1;31m",
};

bool bh_writer_wants_colour(FILE *out)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(fileno(out)) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

int bh_writer_put(struct bh_writer *w, const json_t *doc, bh_text_fn text, void *userdata)
{
	if (w->json) {
		/* ASCII, because C1 controls and bidi marks are legal in a JSON string and act on a terminal. */
		size_t flags = JSON_ENSURE_ASCII | (w->compact ? JSON_COMPACT : JSON_INDENT(1));

		if (json_dumpf(doc, w->out, flags) < 0)
			return ferror(w->out) ? -EIO : -ENOMEM;
		fputc('\n', w->out);
	} else {
		text(w, doc, userdata);
	}
	return fflush(w->out) == 0 && !ferror(w->out) ? 0 : -EIO;
}

static void put_styled(struct bh_writer *w, enum bh_style style, const char *text, size_t n)
{
	bool on = w->colour && style != BH_PLAIN && n > 0;

	fprintf(w->out, "%s%.*s%s", on ? STYLES[style] : "", (int)n, text, on ? "\033[0m" : "");
}

/* How many columns the character at S takes; *BYTES is its length. The text is valid UTF-8 (bh_buf_put_safe). */
static unsigned char_width(const char *s, size_t n, size_t *bytes)
{
	mbstate_t state = {0};
	wchar_t c;
	size_t k = mbrtowc(&c, s, n, &state);
	int width;

	if (k == 0 || k > n) {	/* no UTF-8 locale */
		*bytes = 1;
		return ((unsigned char)*s & 0xc0) == 0x80 ? 0 : 1;
	}
	*bytes = k;
	width = wcwidth(c);
	return width < 0 ? 1 : (unsigned)width;
}

unsigned bh_text_width(const char *s)
{
	size_t n = strlen(s), bytes;
	unsigned width = 0;

	for (size_t i = 0; i < n; i += bytes)
		width += char_width(s + i, n - i, &bytes);
	return width;
}

size_t bh_text_fit(const char *s, unsigned width)
{
	size_t n = strlen(s), i = 0, bytes;
	unsigned used = 0;

	while (i < n) {
		unsigned k = char_width(s + i, n - i, &bytes);

		if (used + k > width)
			break;
		used += k;
		i += bytes;
	}
	return i;
}

/* Prints TEXT from column INDENT on, broken at spaces where possible, later lines indented the same. */
static void put_wrapped(struct bh_writer *w, enum bh_style style, const char *text, unsigned indent)
{
	for (;;) {
		size_t fit = bh_text_fit(text, BH_WIDTH - indent), cut = fit;

		if (text[fit]) {
			while (cut > 0 && text[cut] != ' ')
				cut--;
			if (cut == 0)
				cut = fit;
		}
		put_styled(w, style, text, cut);
		fputc('\n', w->out);
		text += cut;
		while (*text == ' ')
			text++;
		if (!*text)
			return;
		fprintf(w->out, "%*s", (int)indent, "");
	}
}

static char *format_safe(const char *fmt, va_list ap)
{
	_cleanup_free_ char *raw = NULL;
	_cleanup_buf_ struct bh_buf safe = {0};
	char *text = NULL;

	if (vasprintf(&raw, fmt, ap) < 0) {
		raw = NULL;
		return NULL;
	}
	bh_buf_put_safe(&safe, raw, 4096);
	return bh_buf_steal(&safe, &text) == 0 ? text : NULL;
}

void bh_text_fact(struct bh_writer *w, const char *label, enum bh_style style, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = format_safe(fmt, ap);
	va_end(ap);
	if (!text)
		return;
	fprintf(w->out, "%-10s", label);
	put_wrapped(w, style, text, 10);
}

void bh_text_line(struct bh_writer *w, enum bh_style style, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = format_safe(fmt, ap);
	va_end(ap);
	if (text)
		put_wrapped(w, style, text, 0);
}

void bh_table_cell(struct bh_table_text *t, enum bh_style style, const char *text)
{
	_cleanup_buf_ struct bh_buf safe = {0};
	struct bh_cell cell = { .style = style };

	bh_buf_put_safe(&safe, text && *text ? text : "-", CELL_MAX);
	t->err = t->err ? t->err : bh_buf_steal(&safe, &cell.text);
	if (t->err == 0)
		t->err = bh_vec_push(&t->cells, cell);
	if (t->err)
		free(cell.text);
}

void bh_table_number(struct bh_table_text *t, enum bh_style style, int64_t n)
{
	char buf[BH_SI_TEXT];

	bh_table_cell(t, style, bh_si_text(n < 0 ? 0 : (uint64_t)n, buf));
}

/* Takes columns away, one at a time from the widest that may shrink, until the line fits. */
static void fit_columns(const struct bh_table_text *t, unsigned *widths)
{
	unsigned total = (unsigned)(t->n_columns - 1) * GAP;

	for (size_t i = 0; i < t->n_columns; i++)
		total += widths[i];
	while (total > BH_WIDTH) {
		size_t widest = t->n_columns;

		for (size_t i = 0; i < t->n_columns; i++)
			if (t->columns[i].least && widths[i] > t->columns[i].least &&
				(widest == t->n_columns || widths[i] > widths[widest]))
				widest = i;
		if (widest == t->n_columns)
			return;
		widths[widest]--;
		total--;
	}
}

static void put_cell(struct bh_writer *w, const struct bh_column *column, unsigned width, enum bh_style style,
	const char *text, bool last)
{
	unsigned natural = bh_text_width(text);
	bool cut = natural > width;
	size_t n = cut ? bh_text_fit(text, width - 2) : strlen(text);
	unsigned pad = cut ? width - 2 - bh_text_width(text) : 0;

	if (cut) {
		_cleanup_free_ char *head = strndup(text, n);

		pad = width - 2 - (head ? bh_text_width(head) : 0);
	} else {
		pad = width - natural;
	}
	if (column->right)
		fprintf(w->out, "%*s", (int)pad, "");
	put_styled(w, style, text, n);
	if (cut)
		fputs("..", w->out);
	if (last)
		fputc('\n', w->out);
	else
		fprintf(w->out, "%*s", column->right ? GAP : (int)pad + GAP, "");
}

void bh_table_print(struct bh_writer *w, struct bh_table_text *t)
{
	size_t n = t->n_columns, rows = t->cells.n / n;
	_cleanup_free_ unsigned *widths = calloc(n, sizeof(*widths));

	if (widths && t->err == 0) {
		for (size_t c = 0; c < n; c++)
			widths[c] = bh_text_width(t->columns[c].title);
		for (size_t i = 0; i < rows * n; i++) {
			unsigned k = bh_text_width(t->cells.v[i].text);

			if (k > widths[i % n])
				widths[i % n] = k;
		}
		fit_columns(t, widths);
		for (size_t c = 0; c < n; c++)
			put_cell(w, &t->columns[c], widths[c], BH_BOLD, t->columns[c].title, c == n - 1);
		for (size_t i = 0; i < rows * n; i++)
			put_cell(w, &t->columns[i % n], widths[i % n], t->cells.v[i].style, t->cells.v[i].text, i % n == n - 1);
	}
	bh_vec_foreach(cell, &t->cells)
		free(cell->text);
	bh_vec_clear(&t->cells);
}

const char *bh_si_text(uint64_t n, char buf[BH_SI_TEXT])
{
	static const char units[] = " kMGTPE";
	double v = (double)n;
	size_t u = 0;

	while (v >= 999.5 && u < sizeof(units) - 2) {
		v /= 1000;
		u++;
	}
	if (u == 0)
		snprintf(buf, BH_SI_TEXT, "%" PRIu64, n);
	else
		snprintf(buf, BH_SI_TEXT, v < 9.995 ? "%.2f%c" : v < 99.95 ? "%.1f%c" : "%.0f%c", v, units[u]);
	return buf;
}

const char *bh_rate_text(int64_t bps, char buf[BH_RATE_TEXT])
{
	static const char *const units[] = { "", "k", "M", "G", "T", "P", "E" };
	double v = (double)bps;
	size_t u = 0;

	if (bps <= 0) {
		snprintf(buf, BH_RATE_TEXT, "-");
		return buf;
	}
	for (; v >= 999.5; v /= 1000)
		u++;
	snprintf(buf, BH_RATE_TEXT, "%.3g%s", v, units[u]);
	return buf;
}
