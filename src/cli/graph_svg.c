/* SPDX-License-Identifier: Apache-2.0 */
/* A picture of the zones, left to right: who is outside, zones of containers in the order in which they are called, what is outside again.
 * Each zone says in its box on which ports it may be called, and lines end at these, so that no text is in the way of another. */
#include "graph.h"

#include <errno.h>
#include <string.h>

#define BOX_W 210
#define HEAD_H 24
#define ROW_H 15
#define GAP_X 130
#define GAP_Y 16
#define BEND_H 9		/* of a line that passes a column */
#define MARGIN 24
#define TITLE_H 40
#define SWEEPS 8
#define NAME_CHARS 26
#define ROW_CHARS 34
#define HUB 8			/* who calls more zones is written into their boxes */
#define NONE ((size_t)-1)

struct row {
	char *ports;
	json_int_t packets, bytes;
};

/* A box, or (zone NULL) the place where a line passes a column. */
struct node {
	const json_t *zone;
	bool sink;		/* a zone that is no container's, as what is called */
	size_t layer, order;
	size_t of;		/* a bend's: the box that its lines come from, which they share */
	double y, h, weight;
	BH_VEC(struct row) rows;
};

struct line {
	size_t from, to, row;
	const json_t *edge;
	BH_VEC(size_t) path;	/* nodes, FROM and TO included */
	bool back;
};

struct picture {
	const json_t *doc;
	bool live;
	BH_VEC(struct node) nodes;
	BH_VEC(struct line) lines;
	size_t layers;
	double height;
	int err;
};

static bool has_containers(const json_t *zone)
{
	return bh_streq(bh_doc_text(zone, "kind"), "containers") ||
		bh_streq(bh_doc_text(zone, "name"), "quarantine") || bh_streq(bh_doc_text(zone, "name"), "build");
}

/* Text for XML, made safe first, of at most CHARS characters (0: all). */
static void put_text(struct bh_buf *out, const char *s, size_t chars)
{
	_cleanup_buf_ struct bh_buf safe = {0};
	size_t n = 0;

	bh_buf_put_safe(&safe, s, 1024);
	for (const char *c = safe.s; c && *c; c++) {
		if (((unsigned char)*c & 0xc0) != 0x80 && chars && ++n > chars) {
			bh_buf_puts(out, "..");
			break;
		}
		switch (*c) {
		case '&':
			bh_buf_puts(out, "&amp;");
			break;
		case '<':
			bh_buf_puts(out, "&lt;");
			break;
		case '>':
			bh_buf_puts(out, "&gt;");
			break;
		case '"':
			bh_buf_puts(out, "&quot;");
			break;
		default:
			bh_buf_putn(out, c, 1);
		}
	}
	if (safe.err)
		out->err = safe.err;
}

static struct node *add_node(struct picture *p, const json_t *zone, bool sink)
{
	struct node *n = bh_vec_add(&p->nodes);

	if (!n) {
		p->err = -ENOMEM;
		return NULL;
	}
	n->zone = zone;
	n->sink = sink;
	return n;
}

/* The box of a zone as caller or as what is called; NONE when the document has no such zone. */
static size_t box_of(const struct picture *p, const char *name, bool called)
{
	for (size_t i = 0; i < p->nodes.n; i++)
		if (p->nodes.v[i].zone && bh_streq(bh_doc_text(p->nodes.v[i].zone, "name"), name) &&
			(has_containers(p->nodes.v[i].zone) || p->nodes.v[i].sink == called))
			return i;
	return NONE;
}

static void add_boxes(struct picture *p)
{
	const json_t *edges = json_object_get(p->doc, "edges");
	json_t *z, *e;
	size_t i, k;

	json_array_foreach(json_object_get(p->doc, "zones"), i, z) {
		bool calls = false, called = false;

		json_array_foreach(edges, k, e) {
			calls = calls || bh_streq(bh_doc_text(e, "from"), bh_doc_text(z, "name"));
			called = called || bh_streq(bh_doc_text(e, "to"), bh_doc_text(z, "name"));
		}
		if (calls || has_containers(z) || !called)
			(void)add_node(p, z, false);
		if (called && !has_containers(z))
			(void)add_node(p, z, true);
	}
}

/* The row of a box for its callers on PORTS. */
static size_t row_of(struct picture *p, struct node *n, const char *ports, const json_t *edge)
{
	struct row *r = NULL;

	bh_vec_foreach(x, &n->rows)
		if (bh_streq(x->ports, ports))
			r = x;
	if (!r) {
		r = bh_vec_add(&n->rows);
		if (!r || bh_strdup(&r->ports, ports) < 0) {
			p->err = -ENOMEM;
			return 0;
		}
	}
	r->packets += bh_doc_num(edge, "packets");
	r->bytes += bh_doc_num(edge, "bytes");
	return (size_t)(r - n->rows.v);
}

/* How many zones the zone NAME calls. */
static size_t calls(const struct picture *p, const char *name)
{
	size_t n = 0, i;
	json_t *e;

	json_array_foreach(json_object_get(p->doc, "edges"), i, e)
		n += bh_streq(bh_doc_text(e, "from"), name);
	return n;
}

static void add_lines(struct picture *p)
{
	json_t *e;
	size_t i;

	json_array_foreach(json_object_get(p->doc, "edges"), i, e) {
		size_t from = box_of(p, bh_doc_text(e, "from"), false), to = box_of(p, bh_doc_text(e, "to"), true);
		_cleanup_buf_ struct bh_buf own = {0};
		struct line *l;

		if (from == NONE || to == NONE || p->err)
			continue;
		/* no line: it would go around its own box, or be one of so many that none can be followed */
		if (from == to || calls(p, bh_doc_text(e, "from")) > HUB) {
			bh_buf_printf(&own, "%s: %s", from == to ? "itself" : bh_doc_text(e, "from"), bh_doc_text(e, "ports"));
			(void)row_of(p, &p->nodes.v[to], own.s ? own.s : "", e);
			continue;
		}
		l = bh_vec_add(&p->lines);
		if (!l) {
			p->err = -ENOMEM;
			return;
		}
		l->from = from;
		l->to = to;
		l->edge = e;
		l->row = row_of(p, &p->nodes.v[to], bh_doc_text(e, "ports"), e);
	}
}

/* Lines that close a circle point back: those that meet a box that is being visited. */
static void visit(struct picture *p, size_t n, unsigned char *state)
{
	state[n] = 1;
	bh_vec_foreach(l, &p->lines) {
		if (l->from != n)
			continue;
		if (state[l->to] == 1)
			l->back = true;
		else if (state[l->to] == 0)
			visit(p, l->to, state);
	}
	state[n] = 2;
}

/* Each box one column behind its last caller; callers from outside first, what is outside last. */
static void set_layers(struct picture *p)
{
	_cleanup_free_ unsigned char *state = calloc(p->nodes.n + 1, 1);
	bool moved = true;

	if (!state) {
		p->err = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < p->nodes.n; i++) {
		if (state[i] == 0)
			visit(p, i, state);
		p->nodes.v[i].layer = has_containers(p->nodes.v[i].zone) ? 1 : 0;
	}
	for (size_t round = 0; moved && round <= p->nodes.n; round++) {
		moved = false;
		bh_vec_foreach(l, &p->lines)
			if (!l->back && p->nodes.v[l->to].layer <= p->nodes.v[l->from].layer) {
				p->nodes.v[l->to].layer = p->nodes.v[l->from].layer + 1;
				moved = true;
			}
	}
	bh_vec_foreach(n, &p->nodes)
		p->layers = n->layer + 1 > p->layers ? n->layer + 1 : p->layers;
	bh_vec_foreach(n, &p->nodes)
		if (n->sink)
			n->layer = p->layers - 1;
}

/* Where the lines of box FROM pass column LAYER. */
static size_t bend(struct picture *p, size_t from, size_t layer)
{
	struct node *n;

	for (size_t i = 0; i < p->nodes.n; i++)
		if (!p->nodes.v[i].zone && p->nodes.v[i].of == from && p->nodes.v[i].layer == layer)
			return i;
	n = add_node(p, NULL, false);
	if (!n)
		return NONE;
	n->layer = layer;
	n->of = from;
	return p->nodes.n - 1;
}

/* A line that goes beyond the next column gets a place in each column between. */
static void add_bends(struct picture *p)
{
	bh_vec_foreach(l, &p->lines) {
		int r = bh_vec_push(&l->path, l->from);

		for (size_t k = p->nodes.v[l->from].layer + 1; r == 0 && k < p->nodes.v[l->to].layer; k++) {
			size_t at = bend(p, l->from, k);

			if (p->err)
				return;
			r = bh_vec_push(&l->path, at);
		}
		if (r == 0)
			r = bh_vec_push(&l->path, l->to);
		if (r < 0)
			p->err = r;
	}
}

static int by_weight(const void *a_, const void *b_)
{
	const struct node *a = *(const struct node *const *)a_, *b = *(const struct node *const *)b_;

	if (a->layer != b->layer)
		return a->layer < b->layer ? -1 : 1;
	if (a->weight < b->weight || a->weight > b->weight)
		return a->weight < b->weight ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

/* Stacks each column, centred, in the order of weights. */
static void stack(struct picture *p, struct node **sorted)
{
	double y = 0, total[2] = {0, 0};
	size_t i, k, n = p->nodes.n;

	qsort(sorted, n, sizeof(*sorted), by_weight);
	p->height = 0;
	for (int pass = 0; pass < 2; pass++)
		for (i = 0; i < n; i = k) {
			y = 0;
			for (k = i; k < n && sorted[k]->layer == sorted[i]->layer; k++)
				y += sorted[k]->h + GAP_Y;
			total[0] = y;
			if (pass == 0) {
				p->height = y > p->height ? y : p->height;
				continue;
			}
			y = (p->height - total[0]) / 2;
			for (k = i; k < n && sorted[k]->layer == sorted[i]->layer; k++) {
				sorted[k]->order = k;
				sorted[k]->y = y;
				y += sorted[k]->h + GAP_Y;
			}
		}
}

/* Each box, and each bend, is drawn to the middle of those that it is joined to: of callers and called in turn. */
static void arrange(struct picture *p)
{
	_cleanup_free_ struct node **sorted = calloc(p->nodes.n + 1, sizeof(*sorted));
	_cleanup_free_ size_t *joined = calloc(p->nodes.n + 1, sizeof(*joined));

	if (!sorted || !joined) {
		p->err = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < p->nodes.n; i++) {
		struct node *n = &p->nodes.v[i];

		sorted[i] = n;
		n->order = i;
		n->weight = (double)i;
		n->h = n->zone ? HEAD_H + (double)n->rows.n * ROW_H + (n->rows.n ? 5 : 0) : BEND_H;
	}
	stack(p, sorted);
	for (int sweep = 0; sweep < SWEEPS; sweep++) {
		for (size_t i = 0; i < p->nodes.n; i++) {
			p->nodes.v[i].weight = 0;
			joined[i] = 0;
		}
		bh_vec_foreach(l, &p->lines)
			for (size_t k = 0; !l->back && k + 1 < l->path.n; k++) {
				size_t a = l->path.v[k], b = l->path.v[k + 1], to = sweep % 2 ? a : b, from = sweep % 2 ? b : a;

				p->nodes.v[to].weight += p->nodes.v[from].y + p->nodes.v[from].h / 2;
				joined[to]++;
			}
		for (size_t i = 0; i < p->nodes.n; i++) {
			struct node *n = &p->nodes.v[i];

			n->weight = joined[i] ? n->weight / (double)joined[i] : n->y + n->h / 2;
		}
		stack(p, sorted);
	}
}

/* ---- drawing */

static int x_of(const struct node *n)
{
	return MARGIN + (int)n->layer * (BOX_W + GAP_X);
}

static int y_of(const struct node *n)
{
	return MARGIN + TITLE_H + (int)n->y;
}

static void put_line(const struct picture *p, const struct line *l, struct bh_buf *out)
{
	static const char *const colours[] = {"#1f77b4", "#d95f02", "#2ca02c", "#9467bd", "#8c564b", "#c2185b", "#5f6b12", "#0e7c86", "#444444"};
	const struct node *from = &p->nodes.v[l->from], *to = &p->nodes.v[l->to];
	int x = x_of(from) + BOX_W, y = y_of(from) + HEAD_H / 2, end_y = y_of(to) + HEAD_H + (int)l->row * ROW_H + ROW_H / 2;
	json_int_t bytes = bh_doc_num(l->edge, "bytes");
	int width = 1;

	for (; p->live && bytes >= 1000 && width < 6; bytes /= 30)
		width++;
	bh_buf_printf(out, "<path d=\"M%d %d", x, y);
	for (size_t k = 1; k < l->path.n; k++) {
		const struct node *n = &p->nodes.v[l->path.v[k]];
		int nx = x_of(n) - (k + 1 == l->path.n ? 5 : 0), ny = k + 1 == l->path.n ? end_y : y_of(n) + BEND_H / 2;
		int reach = l->back ? GAP_X - 30 : GAP_X / 2;

		bh_buf_printf(out, " C%d %d %d %d %d %d", x + reach, y, nx - reach, ny, nx, ny);
		x = nx + BOX_W;
		y = ny;
		if (k + 1 < l->path.n)
			bh_buf_printf(out, " H%d", x);
	}
	bh_buf_printf(out, "\" fill=\"none\" stroke=\"%s\" stroke-width=\"%d\" stroke-opacity=\"0.75\"%s marker-end=\"url(#head)\"><title>",
		colours[l->from % BH_ARRAY_SIZE(colours)], width, bh_streq(bh_doc_text(to->zone, "mode"), "audit") ? " stroke-dasharray=\"5 3\"" : "");
	put_text(out, bh_doc_text(l->edge, "from"), 0);
	bh_buf_puts(out, " to ");
	put_text(out, bh_doc_text(l->edge, "to"), 0);
	bh_buf_puts(out, ": ");
	put_text(out, bh_doc_text(l->edge, "ports"), 0);
	bh_buf_puts(out, "</title></path>\n");
}

static void put_box(const struct picture *p, const struct node *n, struct bh_buf *out)
{
	bool ours = has_containers(n->zone), quarantine = bh_streq(bh_doc_text(n->zone, "name"), "quarantine");
	char packets[BH_SI_TEXT], bytes[BH_SI_TEXT];
	int x = x_of(n), y = y_of(n);

	bh_buf_printf(out, "<g><rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"4\" fill=\"%s\" stroke=\"%s\"%s/><title>", x, y, BOX_W, (int)n->h,
		quarantine ? "#fdeeee" : ours ? "#eef4fb" : "#f5f5f2", quarantine ? "#b33" : ours ? "#3b6ea5" : "#999",
		bh_streq(bh_doc_text(n->zone, "mode"), "audit") ? " stroke-dasharray=\"5 3\"" : "");
	put_text(out, bh_doc_text(n->zone, "name"), 0);
	bh_buf_printf(out, "</title><text x=\"%d\" y=\"%d\" font-size=\"13\" font-weight=\"bold\">", x + 8, y + 16);
	put_text(out, bh_doc_text(n->zone, "name"), NAME_CHARS);
	bh_buf_puts(out, "</text>");
	if (json_is_integer(json_object_get(n->zone, "containers")) && ours)
		bh_buf_printf(out, "<text x=\"%d\" y=\"%d\" font-size=\"11\" fill=\"#555\" text-anchor=\"end\">%lld</text>", x + BOX_W - 8, y + 16,
			(long long)bh_doc_num(n->zone, "containers"));
	for (size_t i = 0; i < n->rows.n; i++) {
		const struct row *r = &n->rows.v[i];

		bh_buf_printf(out, "<text x=\"%d\" y=\"%d\" font-size=\"10.5\" fill=\"#333\">", x + 8, y + HEAD_H + (int)i * ROW_H + 11);
		put_text(out, r->ports, p->live ? ROW_CHARS / 2 : ROW_CHARS);
		bh_buf_puts(out, "</text>");
		if (p->live)
			bh_buf_printf(out, "<text x=\"%d\" y=\"%d\" font-size=\"10.5\" fill=\"#555\" text-anchor=\"end\">%s pkt, %sB</text>", x + BOX_W - 8,
				y + HEAD_H + (int)i * ROW_H + 11, bh_si_text((uint64_t)r->packets, packets), bh_si_text((uint64_t)r->bytes, bytes));
	}
	bh_buf_puts(out, "</g>\n");
}

static void draw(const struct picture *p, struct bh_buf *out)
{
	int width = 2 * MARGIN + (int)p->layers * BOX_W + (int)(p->layers ? p->layers - 1 : 0) * GAP_X, height = 2 * MARGIN + TITLE_H + (int)p->height;

	if (width < 640)
		width = 640;
	bh_buf_printf(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\">\n"
		"<defs><marker id=\"head\" viewBox=\"0 0 8 8\" refX=\"6\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" markerUnits=\"userSpaceOnUse\" "
		"orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" fill=\"#444\"/></marker></defs>\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n<text x=\"%d\" y=\"%d\" font-size=\"15\">%s</text>\n"
		"<text x=\"%d\" y=\"%d\" font-size=\"11\" fill=\"#555\">%s</text>\n", width, height, width, height, MARGIN, MARGIN + 8,
		p->live ? "What has flowed since the rules were made" : "What may be opened, from left to right; replies follow", MARGIN, MARGIN + 25,
		"In each box: on which ports it may be called; by whom the lines say, or a name before the ports. Dashed: audit. All else is denied.");
	bh_vec_foreach(l, &p->lines)
		put_line(p, l, out);
	bh_vec_foreach(n, &p->nodes)
		if (n->zone)
			put_box(p, n, out);
	bh_buf_puts(out, "</svg>\n");
}

int bh_graph_svg(const json_t *doc, struct bh_buf *out)
{
	struct picture p = {.doc = doc, .live = json_is_true(json_object_get(doc, "live"))};
	void (*const steps[])(struct picture *p) = {add_boxes, add_lines, set_layers, add_bends, arrange};

	if (json_array_size(json_object_get(doc, "zones")) > BH_GRAPH_BOXES || json_array_size(json_object_get(doc, "edges")) > BH_GRAPH_LINES)
		return -E2BIG;
	for (size_t i = 0; i < BH_ARRAY_SIZE(steps) && p.err == 0; i++)
		steps[i](&p);
	if (p.err == 0) {
		draw(&p, out);
		p.err = out->err;
	}
	bh_vec_foreach(n, &p.nodes) {
		bh_vec_foreach(r, &n->rows)
			free(r->ports);
		bh_vec_clear(&n->rows);
	}
	bh_vec_foreach(l, &p.lines)
		bh_vec_clear(&l->path);
	bh_vec_clear(&p.nodes);
	bh_vec_clear(&p.lines);
	return p.err;
}
