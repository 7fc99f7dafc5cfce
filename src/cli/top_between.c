/* SPDX-License-Identifier: Apache-2.0 */
#include "top.h"

#include <errno.h>
#include <string.h>

/* By how much KEY has grown. */
static double grown(const json_t *before, const json_t *after, const char *key)
{
	json_int_t a = bh_doc_num(before, key), b = bh_doc_num(after, key);

	return (double)(b >= a ? b - a : b);
}

/* What identifies a row: a container its id, a zone its name, a row of rules its pair of zones and its rule. */
static int row_key(const json_t *row, const char *const keys[3], struct bh_buf *out)
{
	out->n = 0;
	for (size_t i = 0; i < 3 && keys[i]; i++)
		bh_buf_printf(out, "%s\n", bh_doc_text(row, keys[i]));
	return out->err;
}

/* The rows of LIST by their keys, borrowed. */
static json_t *indexed(const json_t *list, const char *const keys[3])
{
	_cleanup_buf_ struct bh_buf key = {0};
	json_t *index = json_object(), *row;
	size_t i;

	json_array_foreach(list, i, row)
		if (index && (row_key(row, keys, &key) < 0 || json_object_set(index, key.s ? key.s : "", row) < 0)) {
			json_decref(index);
			return NULL;
		}
	return index;
}

static json_t *ports_text(const json_t *rule)
{
	_cleanup_buf_ struct bh_buf text = {0};
	const json_t *ports = json_object_get(rule, "ports");
	json_t *p;
	size_t i;

	json_array_foreach(ports, i, p)
		bh_buf_printf(&text, "%s%s", i ? " " : "", json_string_value(p) ? json_string_value(p) : "");
	return json_string(text.s ? text.s : "all");
}

static json_t *flow_row(const json_t *before, const json_t *after, double seconds)
{
	double packets = grown(before, after, "packets") / seconds;

	if (packets <= 0)
		return json_null();
	return json_pack("{s:s, s:s, s:o, s:f, s:f}", "from", bh_doc_text(after, "from"), "to", bh_doc_text(after, "to"), "ports", ports_text(after), "bits",
		grown(before, after, "bytes") * 8 / seconds, "packets", packets);
}

/* A container or a zone. */
static json_t *member_row(const json_t *before, const json_t *after, double seconds)
{
	const json_t *caps = json_object_get(after, "bandwidth");
	json_int_t egress = bh_doc_num(caps, "egress_bps"), ingress = bh_doc_num(caps, "ingress_bps");
	double bits = grown(before, after, "bytes") * 8 / seconds;
	json_t *row = json_pack("{s:s, s:f, s:f, s:f, s:O?, s:O?, s:o}", "name", bh_doc_text(after, "name"), "bits", bits, "packets",
		grown(before, after, "packets") / seconds, "denied", grown(before, after, "dropped_packets") / seconds, "egress_bps",
		json_object_get(caps, "egress_bps"), "ingress_bps", json_object_get(caps, "ingress_bps"), "used",
		egress > 0 && ingress > 0 ? json_real(bits * 100 / (double)(egress + ingress)) : json_null());

	if (row && json_object_get(after, "id") && json_object_set_new(row, "zone", json_string(bh_doc_text(after, "zone"))) < 0) {
		json_decref(row);
		return NULL;
	}
	return row;
}

static int by_bits(const void *a_, const void *b_)
{
	const json_t *a = *(json_t *const *)a_, *b = *(json_t *const *)b_;
	double x = json_real_value(json_object_get(a, "bits")), y = json_real_value(json_object_get(b, "bits"));
	int r;

	if (x < y || x > y)
		return x < y ? 1 : -1;
	x = json_real_value(json_object_get(a, "denied"));
	y = json_real_value(json_object_get(b, "denied"));
	if (x < y || x > y)
		return x < y ? 1 : -1;
	r = strcmp(bh_doc_text(a, "name"), bh_doc_text(b, "name"));
	r = r ? r : strcmp(bh_doc_text(a, "from"), bh_doc_text(b, "from"));
	return r ? r : strcmp(bh_doc_text(a, "to"), bh_doc_text(b, "to"));
}

/* One list of the two documents as rates, sorted. */
static json_t *rates(const json_t *before, const json_t *after, const char *name, const char *const keys[3], double seconds,
	json_t *(*fn)(const json_t *before, const json_t *after, double seconds))
{
	const json_t *list = json_object_get(after, name);
	json_t *index = indexed(json_object_get(before, name), keys), *out = json_array(), *row;
	_cleanup_free_ json_t **sorted = calloc(json_array_size(list) + 1, sizeof(*sorted));
	_cleanup_buf_ struct bh_buf key = {0};
	size_t n = 0, i;
	int r = index && out && sorted ? 0 : -ENOMEM;

	json_array_foreach(list, i, row) {
		json_t *rate = r == 0 && row_key(row, keys, &key) == 0 ? fn(json_object_get(index, key.s ? key.s : ""), row, seconds) : NULL;

		if (!rate)
			r = -ENOMEM;
		else if (!json_is_null(rate))
			sorted[n++] = rate;
	}
	if (n > 1)
		qsort(sorted, n, sizeof(*sorted), by_bits);
	for (i = 0; i < n; i++)
		if (json_array_append_new(out, sorted[i]) < 0)
			r = -ENOMEM;
	json_decref(index);
	if (r == 0)
		return out;
	json_decref(out);
	return NULL;
}

static double total(const json_t *list, const char *key)
{
	double sum = 0;
	json_t *x;
	size_t i;

	json_array_foreach(list, i, x)
		sum += json_real_value(json_object_get(x, key));
	return sum;
}

json_t *bh_top_between(const json_t *before, const json_t *after, double seconds)
{
	static const char *const rule_keys[3] = {"from", "to", "source"}, *const id[3] = {"id"}, *const name[3] = {"name"};
	json_t *flows = rates(before, after, "rules", rule_keys, seconds, flow_row);
	json_t *containers = rates(before, after, "containers", id, seconds, member_row);
	json_t *zones = rates(before, after, "zones", name, seconds, member_row);

	if (!flows || !containers || !zones) {
		json_decref(flows);
		json_decref(containers);
		json_decref(zones);
		return NULL;
	}
	return json_pack("{s:i, s:f, s:s, s:b, s:f, s:f, s:f, s:o, s:o, s:o}", "version", 1, "seconds", seconds, "state",
		bh_doc_text(json_object_get(after, "daemon"), "state"), "in_sync", json_is_true(json_object_get(json_object_get(after, "kernel"), "in_sync")),
		"bits", total(containers, "bits"), "packets", total(containers, "packets"), "denied", total(containers, "denied"), "flows", flows,
		"containers", containers, "zones", zones);
}
