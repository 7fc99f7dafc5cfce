/* SPDX-License-Identifier: Apache-2.0 */
#include "prove.h"

#include <netinet/in.h>
#include <string.h>

#define LINES_SHOWN 40

static const char *const expected_names[] = {[BH_PROOF_OPEN] = "accept", [BH_PROOF_CLOSED] = "deny", [BH_PROOF_AUDITED] = "audit"};
static const char *const measured_names[] = {
	[BH_PROOF_AGREES] = "as expected", [BH_PROOF_LEAKS] = "arrived", [BH_PROOF_STOPPED] = "did not arrive", [BH_PROOF_UNAUDITED] = "not denied at all",
	[BH_PROOF_AUDITED_TOO] = "denied, in audit",
	[BH_PROOF_UNHEARD] = "unheard without rules",
};

static const char *port_text(const struct bh_probe *probe, char buf[BH_PORT_TEXT])
{
	const struct bh_port icmp = {.proto = IPPROTO_ICMP, .all = true};
	const struct bh_port port = {.proto = probe->proto, .first = probe->port, .last = probe->port};

	return bh_port_text(probe->proto == IPPROTO_ICMP || probe->proto == IPPROTO_ICMPV6 ? &icmp : &port, buf);
}

/* "one bridge", "across" bridges, or by the "host". */
static const char *way_text(const struct bh_proof *p, const struct bh_probe *probe)
{
	const struct bh_proof_end *from = &p->ends.v[probe->from], *to = &p->ends.v[probe->to];

	if (from->place != BH_PROOF_PORT || to->place != BH_PROOF_PORT)
		return "host";
	return from->bridge == to->bridge ? "bridge" : "across";
}

/* "web", or "db as web" for a lie. */
static const char *from_text(const struct bh_proof *p, const struct bh_probe *probe, struct bh_buf *buf)
{
	const char *from = p->ends.v[probe->from].zone;

	if (probe->via == probe->from)
		return from;
	bh_buf_printf(buf, "%s as %s", p->ends.v[probe->via].zone, from);
	return buf->s ? buf->s : from;
}

static bool is_same(const json_t *row, const char *key, const char *value)
{
	const char *s = json_string_value(json_object_get(row, key));

	return s && strcmp(s, value) == 0;
}

/* Adds VALUE to the list under KEY, once. */
static int add_once(json_t *row, const char *key, json_t *value)
{
	json_t *list = json_object_get(row, key), *x;
	size_t i;

	json_array_foreach(list, i, x)
		if (json_equal(x, value)) {
			json_decref(value);
			return 0;
		}
	return json_array_append_new(list, value);
}

/* The row of this zone, that zone, this port and what came of it: behind FIRST, where the pair's rows begin. */
static json_t *row_of(json_t *rows, size_t first, const struct bh_proof_doc *d, const struct bh_probe *probe)
{
	const struct bh_proof *p = d->proof;
	const char *measured = measured_names[bh_proof_verdict(probe)], *expected = expected_names[probe->expected];
	const json_t *source = probe->rule == BH_NOBODY ? NULL : json_array_get(d->sources, probe->rule);
	_cleanup_buf_ struct bh_buf liar = {0};
	char port[BH_PORT_TEXT];
	json_t *row;

	port_text(probe, port);
	for (size_t i = first; i < json_array_size(rows); i++) {
		row = json_array_get(rows, i);
		if (is_same(row, "port", port) && is_same(row, "expected", expected) && is_same(row, "measured", measured))
			return row;
	}
	row = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s?, s:[], s:[], s:i}", "from", from_text(p, probe, &liar), "to", p->ends.v[probe->to].zone, "port", port,
		"expected", expected, "measured", measured, "source", json_string_value(source), "families", "ways", "packets", 0);
	return json_array_append_new(rows, row) < 0 ? NULL : row;
}

static int row_count(json_t *row, const struct bh_proof *p, const struct bh_probe *probe)
{
	json_int_t n = json_integer_value(json_object_get(row, "packets"));

	if (!row || add_once(row, "families", json_integer(probe->family)) < 0 || add_once(row, "ways", json_string(way_text(p, probe))) < 0)
		return -1;
	return json_object_set_new(row, "packets", json_integer(n + 1));
}

struct tally {
	size_t wrong, wrong_pairs, audited;
	json_t *rows;
};

static bool is_same_pair(const struct bh_proof *p, const struct bh_probe *a, const struct bh_probe *b)
{
	return a->via == b->via && p->ends.v[a->from].inst == p->ends.v[b->from].inst && p->ends.v[a->to].inst == p->ends.v[b->to].inst;
}

/* Probes of one pair stand together. */
static int tally_make(const struct bh_proof_doc *d, struct tally *t)
{
	const struct bh_proof *p = d->proof;
	const struct bh_probe *last = NULL;
	size_t first = 0;

	t->rows = json_array();
	bh_vec_foreach(probe, &p->probes) {
		bool agrees = bh_proof_verdict(probe) == BH_PROOF_AGREES;

		t->audited += agrees && probe->expected == BH_PROOF_AUDITED;
		if (agrees)
			continue;
		if (!last || !is_same_pair(p, last, probe)) {
			first = json_array_size(t->rows);
			t->wrong_pairs++;
		}
		last = probe;
		t->wrong++;
		if (row_count(row_of(t->rows, first, d, probe), p, probe) < 0)
			return -1;
	}
	return 0;
}

json_t *bh_proof_doc(const struct bh_proof_doc *d)
{
	struct tally t = {0};
	json_t *left_out = json_array();
	bool ok = tally_make(d, &t) == 0;

	for (size_t i = 0; i < d->left_out->n; i++)
		ok = ok && json_array_append_new(left_out, json_string(d->left_out->v[i])) == 0;
	if (!ok) {
		json_decref(t.rows);
		json_decref(left_out);
		return NULL;
	}
	return json_pack("{s:i, s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "version", 1, "mode", d->audit ? "audit" : "enforce", "agree",
		t.wrong == 0 && d->left_out->n == 0, "packets", (json_int_t)d->proof->probes.n, "pairs", (json_int_t)d->proof->pairs, "audited",
		(json_int_t)t.audited, "wrong", (json_int_t)t.wrong, "wrong_pairs", (json_int_t)t.wrong_pairs, "untried_zones", (json_int_t)d->proof->untried,
		"foreign", left_out, "disagreements", t.rows);
}

static long long number(const json_t *doc, const char *key)
{
	return (long long)json_integer_value(json_object_get(doc, key));
}

static void put_families(struct bh_table_text *t, const json_t *row)
{
	size_t n = json_array_size(json_object_get(row, "families"));

	bh_table_cell(t, BH_PLAIN, n > 1 ? "both" : json_integer_value(json_array_get(json_object_get(row, "families"), 0)) == 4 ? "IPv4" : "IPv6");
}

/* Whether the two differ in their ports alone. */
static bool is_alike(const json_t *a, const json_t *b)
{
	static const char *const keys[] = {"from", "to", "families", "expected", "measured", "source"};

	for (size_t i = 0; i < BH_ARRAY_SIZE(keys); i++)
		if (!json_equal(json_object_get(a, keys[i]), json_object_get(b, keys[i])))
			return false;
	return true;
}

/* The ports of row I of ROWS and of those that are like it. Returns the index of the next that is not. */
static size_t ports_join(const json_t *rows, size_t i, struct bh_buf *out)
{
	const json_t *first = json_array_get(rows, i);

	bh_buf_puts(out, json_string_value(json_object_get(first, "port")));
	while (++i < json_array_size(rows) && is_alike(first, json_array_get(rows, i)))
		bh_buf_printf(out, ", %s", json_string_value(json_object_get(json_array_get(rows, i), "port")));
	return i;
}

static void put_rows(struct bh_writer *w, const json_t *rows)
{
	static const struct bh_column columns[] = {
		{"from", false, 10}, {"to", false, 10}, {"port", false, 14}, {"over", false, 0}, {"expected", false, 0}, {"measured", false, 8}, {"rule", false, 10},
	};
	struct bh_table_text t = {.columns = columns, .n_columns = BH_ARRAY_SIZE(columns)};
	size_t lines = 0, next;

	for (size_t i = 0; i < json_array_size(rows); i = next) {
		const json_t *x = json_array_get(rows, i);
		_cleanup_buf_ struct bh_buf ports = {0};

		next = ports_join(rows, i, &ports);
		if (lines++ >= LINES_SHOWN)
			continue;
		bh_table_cell(&t, BH_PLAIN, json_string_value(json_object_get(x, "from")));
		bh_table_cell(&t, BH_PLAIN, json_string_value(json_object_get(x, "to")));
		bh_table_cell(&t, BH_PLAIN, ports.s);
		put_families(&t, x);
		bh_table_cell(&t, BH_PLAIN, json_string_value(json_object_get(x, "expected")));
		bh_table_cell(&t, BH_BAD, json_string_value(json_object_get(x, "measured")));
		bh_table_cell(&t, BH_DIM, json_string_value(json_object_get(x, "source")));
	}
	bh_table_print(w, &t);
	if (lines > LINES_SHOWN)
		bh_text_line(w, BH_DIM, "%zu more lines: --json has all", lines - LINES_SHOWN);
}

void bh_proof_text(struct bh_writer *w, const json_t *doc, void *userdata)
{
	const json_t *rows = json_object_get(doc, "disagreements"), *x;
	bool audit = is_same(doc, "mode", "audit");
	size_t i;

	(void)userdata;
	bh_text_fact(w, "mode", audit ? BH_WARN : BH_GOOD, "%s", audit ? "audit" : "enforce");
	if (number(doc, "wrong") > 0)
		bh_text_fact(w, "proved", BH_BAD, "NOT: %lld of %lld packets, between %lld of %lld pairs of zones, went as they are not configured to",
			number(doc, "wrong"), number(doc, "packets"), number(doc, "wrong_pairs"), number(doc, "pairs"));
	else
		bh_text_fact(w, "proved", BH_GOOD, "%lld packets between %lld pairs of zones: each as configured", number(doc, "packets"), number(doc, "pairs"));
	if (number(doc, "audited") > 0)
		bh_text_fact(w, "audited", BH_WARN, "%lld of them pass, and would be denied if it were enforced", number(doc, "audited"));
	json_array_foreach(json_object_get(doc, "foreign"), i, x)
		bh_text_fact(w, "foreign", BH_BAD, "%s: bulkhead did not write all that is there, and could not try it", json_string_value(x));
	if (number(doc, "untried_zones") > 0)
		bh_text_fact(w, "untried", BH_WARN, "%lld zones beyond the first %d", number(doc, "untried_zones"), BH_PROOF_ZONES);
	if (json_array_size(rows) > 0) {
		fputc('\n', w->out);
		put_rows(w, rows);
	}
}
