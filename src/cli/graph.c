/* SPDX-License-Identifier: Apache-2.0 */
#include "graph.h"

#include <bulkhead/config.h>
#include <bulkhead/matrix.h>

#include <errno.h>
#include <string.h>

#define STATUS_TIMEOUT_MS 15000

/* "tcp/80, tcp/443" of a rule's ports; none given are all. */
static void put_ports(const json_t *ports, struct bh_buf *out)
{
	json_t *p;
	size_t i;

	if (json_array_size(ports) == 0)
		bh_buf_puts(out, "every port");
	json_array_foreach(ports, i, p)
		bh_buf_printf(out, "%s%s", i ? ", " : "", json_string_value(p) ? json_string_value(p) : "");
}

/* The edge of a pair of zones, made when there is none. */
static json_t *edge(json_t *edges, json_t *index, const char *from, const char *to)
{
	_cleanup_buf_ struct bh_buf key = {0};
	json_t *e;

	bh_buf_printf(&key, "%s\n%s", from, to);
	e = key.s ? json_object_get(index, key.s) : NULL;
	if (e)
		return e;
	e = json_pack("{s:s, s:s, s:s, s:i, s:i}", "from", from, "to", to, "ports", "", "packets", 0, "bytes", 0);
	if (!e || json_array_append_new(edges, e) < 0 || !key.s || json_object_set(index, key.s, e) < 0)
		return NULL;
	return e;
}

static int add_rule(json_t *edges, json_t *index, const json_t *rule)
{
	_cleanup_buf_ struct bh_buf ports = {0}, both = {0};
	json_t *e = edge(edges, index, bh_doc_text(rule, "from"), bh_doc_text(rule, "to"));
	const char *before;

	if (!e)
		return -ENOMEM;
	put_ports(json_object_get(rule, "ports"), &ports);
	before = bh_doc_text(e, "ports");
	if (strstr(before, "every port") || bh_streq(ports.s, "every port"))
		bh_buf_puts(&both, "every port");
	else
		bh_buf_printf(&both, "%s%s%s", before, *before ? ", " : "", ports.s ? ports.s : "");
	if (ports.err || both.err || json_object_set_new(e, "ports", json_string(both.s)) < 0 ||
		json_object_set_new(e, "packets", json_integer(bh_doc_num(e, "packets") + bh_doc_num(rule, "packets"))) < 0 ||
		json_object_set_new(e, "bytes", json_integer(bh_doc_num(e, "bytes") + bh_doc_num(rule, "bytes"))) < 0)
		return -ENOMEM;
	return 0;
}

/* Zones that an edge touches, and all of the file's. */
static int add_zone(json_t *zones, const json_t *edges, const json_t *zone)
{
	bool wanted = !bh_streq(bh_doc_text(zone, "kind"), "builtin");
	json_t *e;
	size_t i;

	json_array_foreach(edges, i, e)
		wanted = wanted || bh_streq(bh_doc_text(e, "from"), bh_doc_text(zone, "name")) || bh_streq(bh_doc_text(e, "to"), bh_doc_text(zone, "name"));
	if (!wanted)
		return 0;
	return json_array_append_new(zones, json_pack("{s:s, s:s, s:s, s:O?}", "name", bh_doc_text(zone, "name"), "kind", bh_doc_text(zone, "kind"), "mode",
		bh_doc_text(zone, "mode"), "containers", json_object_get(zone, "containers"))) < 0 ? -ENOMEM : 0;
}

json_t *bh_graph_from_status(const json_t *status, bool live)
{
	json_t *edges = json_array(), *zones = json_array(), *index = json_object(), *x;
	size_t i;
	int r = edges && zones && index ? 0 : -ENOMEM;

	json_array_foreach(json_object_get(status, "rules"), i, x)
		if (r == 0 && (!live || bh_doc_num(x, "packets") > 0))
			r = add_rule(edges, index, x);
	json_array_foreach(json_object_get(status, "zones"), i, x)
		if (r == 0)
			r = add_zone(zones, edges, x);
	json_decref(index);
	if (r < 0) {
		json_decref(edges);
		json_decref(zones);
		return NULL;
	}
	return json_pack("{s:i, s:b, s:o, s:o}", "version", 1, "live", live, "zones", zones, "edges", edges);
}

static const char *kind_of(const struct bh_policy *p, const struct bh_end *e)
{
	if (e->zone < 0)
		return "builtin";
	switch (p->zones.v[e->zone].kind) {
	case BH_ZONE_ADDRESSES:
		return "addresses";
	case BH_ZONE_INTERFACES:
		return "interfaces";
	default:
		return e->builtin == BH_BUILTIN_NONE ? "containers" : "builtin";
	}
}

/* What a file opens, whoever runs. */
static json_t *from_policy(const struct bh_policy *p)
{
	_cleanup_(bh_matrix_freep) struct bh_matrix *m = NULL;
	json_t *edges = json_array(), *zones = json_array();
	int r = edges && zones ? bh_matrix_new(p, &m, NULL) : -ENOMEM;

	for (size_t i = 0; r == 0 && i < m->ends.n; i++)
		for (size_t k = 0; r == 0 && k < m->ends.n; k++) {
			const struct bh_matrix_cell *c = bh_matrix_at(m, i, k);
			_cleanup_buf_ struct bh_buf ports = {0};

			if (!m->ends.v[i].opens || !c->ours || bh_portset_is_empty(&c->open))
				continue;
			bh_portset_print(&c->open, &ports);
			r = ports.err ? ports.err : json_array_append_new(edges, json_pack("{s:s, s:s, s:s, s:n, s:n}", "from", m->ends.v[i].name, "to",
				m->ends.v[k].name, "ports", ports.s, "packets", "bytes")) < 0 ? -ENOMEM : 0;
		}
	for (size_t i = 0; r == 0 && i < m->ends.n; i++) {
		const struct bh_end *e = &m->ends.v[i].end;
		const struct bh_zone *z = e->zone >= 0 ? &p->zones.v[e->zone] : NULL;
		enum bh_mode mode = z && z->mode != BH_MODE_INHERIT ? z->mode : p->mode;
		json_t *zone = json_pack("{s:s, s:s, s:s, s:n}", "name", m->ends.v[i].name, "kind", m->ends.v[i].other ? "builtin" : kind_of(p, e), "mode",
			mode == BH_MODE_AUDIT ? "audit" : "enforce", "containers");

		r = zone ? add_zone(zones, edges, zone) : -ENOMEM;
		json_decref(zone);
	}
	if (r < 0) {
		json_decref(edges);
		json_decref(zones);
		return NULL;
	}
	return json_pack("{s:i, s:b, s:o, s:o}", "version", 1, "live", 0, "zones", zones, "edges", edges);
}

/* BH_EXIT_OK and the document, or what the failure means. */
static int document(struct bh_cli *cli, json_t **ret)
{
	bool live = cli->option[BH_OPTION_LIVE];
	struct bh_error err = {0};
	json_t *status = NULL;
	int code = BH_EXIT_OK;

	if (cli->n_args > 0) {
		_cleanup_(bh_policy_freep) struct bh_policy *policy = NULL;
		_cleanup_buf_ struct bh_buf text = {0};
		struct bh_diags diags = {0};

		if (live) {
			bh_cli_error(cli, "graph: --live shows what flows on this host, so it takes no FILE");
			return BH_EXIT_USAGE;
		}
		if (bh_config_load_files((const char *const *)cli->args, 1, BH_CONFIG_CONF_D, &policy, &diags) < 0) {
			if (bh_diags_print(&diags, &text) == 0 && text.s)
				fputs(text.s, cli->err);
			code = BH_EXIT_USAGE;
		}
		bh_diags_clear(&diags);
		if (code == BH_EXIT_OK)
			*ret = from_policy(policy);
	} else {
		code = bh_cli_ask(cli, "status", NULL, STATUS_TIMEOUT_MS, &status, false, &err);
		if (code == BH_EXIT_OK)
			*ret = bh_graph_from_status(status, live);
		json_decref(status);
	}
	if (code == BH_EXIT_OK && !*ret) {
		bh_cli_error(cli, "out of memory");
		return 1;
	}
	return code;
}

int bh_verb_graph(struct bh_cli *cli)
{
	const char *format = cli->option[BH_OPTION_FORMAT] ? cli->option[BH_OPTION_FORMAT] : "dot";
	_cleanup_buf_ struct bh_buf out = {0};
	json_t *doc = NULL;
	int code, r;

	if (cli->writer.json)
		format = "json";
	if (!bh_streq(format, "dot") && !bh_streq(format, "svg") && !bh_streq(format, "json")) {
		bh_cli_error(cli, "graph: no format '%s': dot, svg or json", format);
		return BH_EXIT_USAGE;
	}
	code = document(cli, &doc);
	if (code != BH_EXIT_OK)
		return code;
	if (bh_streq(format, "json")) {
		cli->writer.json = true;
		r = bh_writer_put(&cli->writer, doc, NULL, NULL);
	} else {
		r = bh_streq(format, "dot") ? bh_graph_dot(doc, &out) : bh_graph_svg(doc, &out);
		if (r == 0 && (fputs(out.s ? out.s : "", cli->writer.out) < 0 || fflush(cli->writer.out) != 0))
			r = -EIO;
	}
	json_decref(doc);
	if (r == -ENOMEM)
		bh_cli_error(cli, "out of memory");
	else if (r == -E2BIG)
		bh_cli_error(cli, "graph: more zones than a picture can show: --format dot has no bound");
	return r < 0 ? 1 : BH_EXIT_OK;
}
