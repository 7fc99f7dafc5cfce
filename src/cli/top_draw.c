/* SPDX-License-Identifier: Apache-2.0 */
#include "top.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#define BAR 8		/* columns of the bar that shows how much of the caps is used */

struct drawing {
	struct bh_screen *out;
	unsigned width, height;
	int err;
};

static double real(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

void bh_screen_clear(struct bh_screen *s)
{
	bh_vec_foreach(l, &s->lines)
		free(l->text);
	bh_vec_clear(&s->lines);
}

/* Takes the buffer's text, cut to the width. */
static void put(struct drawing *d, enum bh_style style, struct bh_buf *text)
{
	struct bh_screen_line line = {.style = style};

	if (d->out->lines.n >= d->height)
		return;
	d->err = d->err ? d->err : bh_buf_steal(text, &line.text);
	if (d->err == 0) {
		line.text[bh_text_fit(line.text, d->width)] = '\0';
		d->err = bh_vec_push(&d->out->lines, line);
	}
	if (d->err)
		free(line.text);
}

__attribute__((format(printf, 3, 4))) static void line(struct drawing *d, enum bh_style style, const char *fmt, ...)
{
	_cleanup_buf_ struct bh_buf text = {0};
	char buf[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	bh_buf_put_safe(&text, buf, sizeof(buf));
	put(d, style, &text);
}

/* TEXT in exactly WIDTH columns and a blank; what is cut ends in "..". */
static void cell(struct bh_buf *out, const char *text, unsigned width, bool right)
{
	_cleanup_buf_ struct bh_buf safe = {0};
	unsigned pad;

	bh_buf_put_safe(&safe, *text ? text : "-", 256);
	if (!safe.s) {
		out->err = safe.err;
		return;
	}
	if (bh_text_width(safe.s) > width) {
		safe.n = bh_text_fit(safe.s, width - 2);
		safe.s[safe.n] = '\0';
		bh_buf_puts(&safe, "..");
		if (safe.err)
			return;
	}
	pad = width - bh_text_width(safe.s);
	bh_buf_printf(out, "%*s%s%*s ", right ? (int)pad : 0, "", safe.s, right ? 0 : (int)pad, "");
}

/* A rate with three digits: "12.3M"; "-" for none. */
static const char *rate(double n, char buf[BH_SI_TEXT])
{
	if (n < 0.05)
		return "-";
	if (n < 9.95) {
		snprintf(buf, BH_SI_TEXT, "%.1f", n);
		return buf;
	}
	return bh_si_text((uint64_t)n, buf);
}

static void put_flows(struct drawing *d, const json_t *list, size_t rows)
{
	unsigned names = (d->width - 14 - 18) / 3, ports = d->width - 2 * names - 18;
	_cleanup_buf_ struct bh_buf head = {0};
	char bits[BH_SI_TEXT], packets[BH_SI_TEXT];
	size_t n = json_array_size(list);

	cell(&head, "FROM", names, false);
	cell(&head, "TO", names, false);
	cell(&head, "PORTS", ports, false);
	cell(&head, "BIT/S", 6, true);
	cell(&head, "PKT/S", 6, true);
	put(d, BH_BOLD, &head);
	for (size_t i = 0; i + 1 < rows; i++) {
		const json_t *f = json_array_get(list, i);
		_cleanup_buf_ struct bh_buf text = {0};

		if (i + 2 == rows && n > i + 1) {
			line(d, BH_DIM, "and %zu more", n - i);
			return;
		}
		if (!f) {
			line(d, BH_DIM, "%s", i == 0 ? "nothing flows" : "");
			continue;
		}
		cell(&text, bh_doc_text(f, "from"), names, false);
		cell(&text, bh_doc_text(f, "to"), names, false);
		cell(&text, bh_doc_text(f, "ports"), ports, false);
		cell(&text, rate(real(f, "bits"), bits), 6, true);
		cell(&text, rate(real(f, "packets"), packets), 6, true);
		put(d, BH_PLAIN, &text);
	}
}

/* "[####    ]" for 50 percent of the caps. */
static void put_used(struct bh_buf *out, const json_t *row)
{
	const json_t *used = json_object_get(row, "used");
	double percent = json_number_value(used);
	int full = percent >= 100 ? BAR : (int)(percent * BAR / 100 + 0.5);

	if (!json_is_number(used)) {
		bh_buf_printf(out, "%*s ", BAR + 7, "");
		return;
	}
	bh_buf_puts(out, "[");
	for (int i = 0; i < BAR; i++)
		bh_buf_puts(out, i < full ? "#" : " ");
	bh_buf_printf(out, "]%4.0f%% ", percent > 999 ? 999 : percent);
}

/* Containers with their zones, or zones alone: TITLE says which. */
static void put_members(struct drawing *d, const char *title, const json_t *list, size_t rows)
{
	bool zones = bh_streq(title, "ZONE");
	unsigned names = (d->width - 51) / 2;
	_cleanup_buf_ struct bh_buf head = {0};
	size_t n = json_array_size(list);

	cell(&head, title, zones ? 2 * names + 1 : names, false);
	if (!zones)
		cell(&head, "ZONE", names, false);
	cell(&head, "BIT/S", 6, true);
	cell(&head, "CAPS OUT/IN", 11, true);
	cell(&head, "USED", BAR + 7, false);
	cell(&head, "DENIED/S", 8, true);
	put(d, BH_BOLD, &head);
	for (size_t i = 0; i + 1 < rows; i++) {
		const json_t *c = json_array_get(list, i);
		_cleanup_buf_ struct bh_buf text = {0};
		char bits[BH_SI_TEXT], denied[BH_SI_TEXT], e[BH_RATE_TEXT], in[BH_RATE_TEXT], caps[2 * BH_RATE_TEXT + 1];
		json_int_t out_cap = json_integer_value(json_object_get(c, "egress_bps")), in_cap = json_integer_value(json_object_get(c, "ingress_bps"));

		if (!c)
			return;
		if (i + 2 == rows && n > i + 1) {
			line(d, BH_DIM, "and %zu more", n - i);
			return;
		}
		snprintf(caps, sizeof(caps), "%s/%s", bh_rate_text(out_cap, e), bh_rate_text(in_cap, in));
		cell(&text, bh_doc_text(c, "name"), zones ? 2 * names + 1 : names, false);
		if (!zones)
			cell(&text, bh_doc_text(c, "zone"), names, false);
		cell(&text, rate(real(c, "bits"), bits), 6, true);
		cell(&text, out_cap > 0 || in_cap > 0 ? caps : "-", 11, true);
		put_used(&text, c);
		cell(&text, rate(real(c, "denied"), denied), 8, true);
		put(d, real(c, "denied") > 0 ? BH_WARN : real(c, "used") >= 90 ? BH_BOLD : BH_PLAIN, &text);
	}
}

/* The zones that have a cap; NULL for no memory. */
static json_t *capped(const json_t *zones)
{
	json_t *list = json_array(), *z;
	size_t i;

	json_array_foreach(zones, i, z)
		if (list && (json_is_integer(json_object_get(z, "egress_bps")) || json_is_integer(json_object_get(z, "ingress_bps"))) &&
			json_array_append(list, z) < 0) {
			json_decref(list);
			return NULL;
		}
	return list;
}

int bh_top_draw(const json_t *top, const char *trouble, unsigned width, unsigned height, struct bh_screen *ret)
{
	struct drawing d = {.out = ret, .width = width, .height = height};
	const json_t *flows = json_object_get(top, "flows"), *containers = json_object_get(top, "containers");
	bool sync = json_is_true(json_object_get(top, "in_sync")), bad = trouble || !sync || bh_streq(bh_doc_text(top, "state"), "degraded");
	char bits[BH_SI_TEXT], packets[BH_SI_TEXT], denied[BH_SI_TEXT];
	size_t room, upper, middle;
	json_t *zones;

	if (width < BH_TOP_WIDTH || height < BH_TOP_HEIGHT) {
		line(&d, BH_WARN, "%ux%u: top needs %ux%u", width, height, BH_TOP_WIDTH, BH_TOP_HEIGHT);
		return d.err;
	}
	line(&d, bad ? BH_BAD : BH_GOOD, "bulkhead top: %s%s", trouble ? trouble : bh_doc_text(top, "state"),
		trouble ? "" : sync ? ", in sync" : ", NOT IN SYNC");
	line(&d, real(top, "denied") > 0 ? BH_WARN : BH_PLAIN, "%zu containers, %s bit/s, %s packets/s, denied %s/s, over %.1f s", json_array_size(containers),
		rate(real(top, "bits"), bits), rate(real(top, "packets"), packets), rate(real(top, "denied"), denied), real(top, "seconds"));
	line(&d, BH_PLAIN, "%s", "");
	zones = capped(json_object_get(top, "zones"));
	if (!zones)
		return -ENOMEM;
	/* two fifths for flows, a quarter for zones with caps, and for the containers what these leave */
	room = height - 5;
	upper = json_array_size(flows) + 2 < room * 2 / 5 ? json_array_size(flows) + 2 : room * 2 / 5;
	upper = upper < 3 ? 3 : upper;
	middle = json_array_size(zones) == 0 ? 0 : json_array_size(zones) + 2 < room / 4 ? json_array_size(zones) + 2 : room / 4;
	put_flows(&d, flows, upper);
	line(&d, BH_PLAIN, "%s", "");
	if (middle) {
		put_members(&d, "ZONE", zones, middle);
		line(&d, BH_PLAIN, "%s", "");
	}
	put_members(&d, "CONTAINER", containers, room - upper - middle - (middle ? 1 : 0));
	json_decref(zones);
	while (d.err == 0 && ret->lines.n < height - 1)
		line(&d, BH_PLAIN, "%s", "");
	line(&d, BH_DIM, "q quits; rates are of both directions together");
	return d.err;
}
