/* SPDX-License-Identifier: Apache-2.0 */
#include "graph.h"

#include <string.h>

/* A string in double quotes: in DOT a backslash begins an escape, and a quote ends the string. */
static void quoted(struct bh_buf *out, const char *s)
{
	_cleanup_buf_ struct bh_buf safe = {0};

	bh_buf_put_safe(&safe, s, 1024);
	bh_buf_puts(out, "\"");
	for (const char *c = safe.s; c && *c; c++) {
		if (*c == '"' || *c == '\\')
			bh_buf_puts(out, "\\");
		bh_buf_putn(out, c, 1);
	}
	bh_buf_puts(out, "\"");
	if (safe.err)
		out->err = safe.err;
}

static void zone_put(const json_t *z, struct bh_buf *out)
{
	const char *kind = bh_doc_text(z, "kind");
	_cleanup_buf_ struct bh_buf label = {0};

	bh_buf_puts(&label, bh_doc_text(z, "name"));
	if (json_is_integer(json_object_get(z, "containers")) && bh_streq(kind, "containers"))
		bh_buf_printf(&label, " (%lld)", (long long)json_integer_value(json_object_get(z, "containers")));
	bh_buf_puts(out, "\t");
	quoted(out, bh_doc_text(z, "name"));
	bh_buf_puts(out, " [label=");
	quoted(out, label.s ? label.s : "");
	bh_buf_printf(out, ", shape=%s, style=%s];\n", bh_streq(kind, "containers") ? "box" : "ellipse",
		bh_streq(bh_doc_text(z, "mode"), "audit") ? "dashed" : "solid");
}

int bh_graph_dot(const json_t *doc, struct bh_buf *out)
{
	bool live = json_is_true(json_object_get(doc, "live"));
	char packets[BH_SI_TEXT], bytes[BH_SI_TEXT];
	json_t *x;
	size_t i;

	bh_buf_puts(out, "digraph bulkhead {\n\trankdir=LR;\n\tnode [fontname=\"sans-serif\"];\n\tedge [fontname=\"sans-serif\", fontsize=10];\n");
	json_array_foreach(json_object_get(doc, "zones"), i, x)
		zone_put(x, out);
	json_array_foreach(json_object_get(doc, "edges"), i, x) {
		_cleanup_buf_ struct bh_buf label = {0};

		bh_buf_puts(&label, bh_doc_text(x, "ports"));
		if (live)
			bh_buf_printf(&label, ": %s packets, %sB", bh_si_text((uint64_t)json_integer_value(json_object_get(x, "packets")), packets),
				bh_si_text((uint64_t)json_integer_value(json_object_get(x, "bytes")), bytes));
		bh_buf_puts(out, "\t");
		quoted(out, bh_doc_text(x, "from"));
		bh_buf_puts(out, " -> ");
		quoted(out, bh_doc_text(x, "to"));
		bh_buf_puts(out, " [label=");
		quoted(out, label.s ? label.s : "");
		bh_buf_puts(out, "];\n");
	}
	bh_buf_puts(out, "}\n");
	return out->err;
}
