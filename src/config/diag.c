/* SPDX-License-Identifier: Apache-2.0 */
/* Errors and warnings with the line that they are about. */
#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SOURCE_MAX 160u		/* characters of a line that are shown */
#define NEAR_MAX 40u		/* longer words have no neighbours */

void bh_cfg_oom(struct bh_cfg *c)
{
	c->err = -ENOMEM;
}

void bh_diags_clear(struct bh_diags *d)
{
	bh_vec_foreach(g, &d->v) {
		free(g->file);
		free(g->message);
		free(g->source);
	}
	bh_vec_clear(&d->v);
	d->errors = d->warnings = 0;
}

const char *bh_cfg_show(const char *text, char buf[BH_CFG_SHOW])
{
	_cleanup_buf_ struct bh_buf b = {0};

	bh_buf_put_safe(&b, text, 64);
	snprintf(buf, BH_CFG_SHOW, "%s", b.s ? b.s : "");
	return buf;
}

const char *bh_cfg_place(const struct bh_loc *loc, char buf[BH_CFG_SHOW])
{
	snprintf(buf, BH_CFG_SHOW, "%s:%u", loc->file, loc->line);
	return buf;
}

/* Bytes of the line break at S as libyaml counts lines (YAML 1.1: also NEL, LS and PS), 0 if there is none. */
static size_t break_size(const char *s, size_t n)
{
	if (n == 0)
		return 0;
	if (s[0] == '\r')
		return n > 1 && s[1] == '\n' ? 2 : 1;
	if (s[0] == '\n')
		return 1;
	if (n > 1 && memcmp(s, "\xc2\x85", 2) == 0)
		return 2;
	if (n > 2 && (memcmp(s, "\xe2\x80\xa8", 3) == 0 || memcmp(s, "\xe2\x80\xa9", 3) == 0))
		return 3;
	return 0;
}

static bool is_continuation(char ch)
{
	return ((unsigned char)ch & 0xc0) == 0x80;
}

/* Appends N bytes as they may be printed. Unlike in messages a backslash stays one: the line shall look as in the file. */
static void put_line(struct bh_buf *out, const char *s, size_t n)
{
	_cleanup_free_ char *piece = malloc(n + 1);
	size_t start = 0;

	if (!piece) {
		out->err = -ENOMEM;
		return;
	}
	for (size_t i = 0; i <= n; i++) {
		if (i < n && s[i] != '\\' && s[i] != '\t' && s[i] != '\0')
			continue;
		memcpy(piece, s + start, i - start);
		piece[i - start] = '\0';
		bh_buf_put_safe(out, piece, i - start);
		if (i < n)
			bh_buf_puts(out, s[i] == '\\' ? "\\" : s[i] == '\t' ? " " : "\\x00");
		start = i + 1;
	}
}

static unsigned width(const char *s)
{
	unsigned n = 0;

	for (; s && *s; s++)
		n += !is_continuation(*s);
	return n;
}

/* Line LOC->line of DOC as it may be printed, and where in it LOC->column stands. A long line is cut around that place. */
static int source_line(const struct bh_doc *doc, const struct bh_loc *loc, char **ret, unsigned *ret_caret)
{
	_cleanup_buf_ struct bh_buf b = {0};
	const char *s = doc->text, *end = doc->text + doc->n, *at;
	unsigned column = 1;

	for (unsigned line = 1; s < end && line < loc->line; line++) {
		while (s < end && !break_size(s, (size_t)(end - s)))
			s++;
		s += break_size(s, (size_t)(end - s));
	}
	at = s;
	while (at < end && column < loc->column && !break_size(at, (size_t)(end - at))) {
		at++;
		while (at < end && is_continuation(*at))
			at++;
		column++;
	}
	if (at - s > (ptrdiff_t)SOURCE_MAX / 2) {
		s = at - SOURCE_MAX / 2;
		while (s < at && is_continuation(*s))
			s++;
		bh_buf_puts(&b, "...");
	}
	put_line(&b, s, (size_t)(at - s));
	*ret_caret = width(b.s) + 1;
	for (s = at; s < end && s - at < (ptrdiff_t)SOURCE_MAX && !break_size(s, (size_t)(end - s));)
		s++;
	while (s > at && s < end && is_continuation(*s))
		s--;
	put_line(&b, at, (size_t)(s - at));
	if (s < end && !break_size(s, (size_t)(end - s)))
		bh_buf_puts(&b, "...");
	return bh_buf_steal(&b, ret);
}

static const struct bh_doc *find_doc(const struct bh_cfg *c, const char *file)
{
	bh_vec_foreach(d, &c->docs)
		if (d->file == file)
			return d;
	return NULL;
}

static void __attribute__((format(printf, 4, 0))) add(struct bh_cfg *c, enum bh_severity severity,
	const struct bh_loc *loc, const char *fmt, va_list ap)
{
	const struct bh_doc *doc = loc->line ? find_doc(c, loc->file) : NULL;
	struct bh_diag d = {.severity = severity, .line = loc->line, .column = loc->column};

	if ((severity == BH_SEVERITY_ERROR ? c->diags->errors : c->diags->warnings) >= BH_CFG_ERRORS_MAX) {
		c->too_many = true;
		return;
	}
	if (bh_strdup(&d.file, loc->file) < 0 || vasprintf(&d.message, fmt, ap) < 0) {
		d.message = NULL;
		goto oom;
	}
	if (doc && source_line(doc, loc, &d.source, &d.caret) < 0)
		goto oom;
	if (bh_vec_push(&c->diags->v, d) < 0)
		goto oom;
	if (severity == BH_SEVERITY_ERROR)
		c->diags->errors++;
	else
		c->diags->warnings++;
	return;
oom:
	free(d.file);
	free(d.message);
	free(d.source);
	bh_cfg_oom(c);
}

void bh_cfg_error(struct bh_cfg *c, const struct bh_loc *loc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(c, BH_SEVERITY_ERROR, loc, fmt, ap);
	va_end(ap);
}

void bh_cfg_warn(struct bh_cfg *c, const struct bh_loc *loc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(c, BH_SEVERITY_WARNING, loc, fmt, ap);
	va_end(ap);
}

void bh_cfg_file_error(struct bh_cfg *c, const char *file, const char *fmt, ...)
{
	struct bh_loc loc = {.file = file};
	va_list ap;

	va_start(ap, fmt);
	add(c, BH_SEVERITY_ERROR, &loc, fmt, ap);
	va_end(ap);
}

static size_t file_index(const struct bh_cfg *c, const char *file)
{
	for (size_t i = 0; i < c->policy->files.n; i++)
		if (strcmp(c->policy->files.v[i], file) == 0)
			return i;
	return c->policy->files.n;
}

static int diag_cmp(const void *x, const void *y, void *userdata)
{
	const struct bh_diag *a = x, *b = y;
	size_t i = file_index(userdata, a->file), j = file_index(userdata, b->file);

	if (i != j)
		return i < j ? -1 : 1;
	if (a->line != b->line)
		return a->line < b->line ? -1 : 1;
	if (a->column != b->column)
		return a->column < b->column ? -1 : 1;
	return strcmp(a->message, b->message);
}

void bh_cfg_sort(struct bh_cfg *c)
{
	if (c->diags->v.n > 1)
		qsort_r(c->diags->v.v, c->diags->v.n, sizeof(*c->diags->v.v), diag_cmp, c);
	if (c->too_many && c->diags->v.n) {
		bool errors = c->diags->errors > 0;	/* a policy with errors is not warned about */
		struct bh_diag d = {.severity = errors ? BH_SEVERITY_ERROR : BH_SEVERITY_WARNING};

		if (bh_strdup(&d.file, c->diags->v.v[c->diags->v.n - 1].file) < 0 ||
			bh_strdup(&d.message, errors ? "too many errors: the others are not shown" :
				"too many warnings: the others are not shown") < 0 ||
			bh_vec_push(&c->diags->v, d) < 0) {
			free(d.file);
			free(d.message);
			bh_cfg_oom(c);
		}
	}
}

int bh_diags_print(const struct bh_diags *d, struct bh_buf *out)
{
	bh_vec_foreach(g, &d->v) {
		bh_buf_put_safe(out, g->file, 4096);
		if (g->line)
			bh_buf_printf(out, ":%u:%u", g->line, g->column);
		bh_buf_printf(out, ": %s: %s\n", g->severity == BH_SEVERITY_ERROR ? "error" : "warning", g->message);
		if (g->source && *g->source)
			bh_buf_printf(out, "  %s\n  %*s\n", g->source, (int)g->caret, "^");
	}
	return out->err;
}

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	a = a < b ? a : b;
	return a < c ? a : c;
}

/* Edits from A to B, two neighbours that changed places counting as one (optimal string alignment). */
static unsigned distance(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);
	unsigned d[3][NEAR_MAX + 1];

	for (size_t j = 0; j <= m; j++)
		d[0][j] = (unsigned)j;
	for (size_t i = 1; i <= n; i++) {
		unsigned *row = d[i % 3], *prev = d[(i + 2) % 3], *prev2 = d[(i + 1) % 3];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= m; j++) {
			row[j] = min3(prev[j] + 1, row[j - 1] + 1, prev[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && prev2[j - 2] + 1 < row[j])
				row[j] = prev2[j - 2] + 1;
		}
	}
	return d[n % 3][m];
}

const char *bh_cfg_nearest(const char *word, const char *const *words, size_t n)
{
	const char *best = NULL;
	unsigned least = strlen(word) > 3 ? 3 : 2;

	if (strlen(word) > NEAR_MAX)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		unsigned d = strlen(words[i]) <= NEAR_MAX ? distance(word, words[i]) : least;

		if (d < least && d < strlen(words[i])) {
			least = d;
			best = words[i];
		}
	}
	return best;
}
