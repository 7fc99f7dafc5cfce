/* SPDX-License-Identifier: Apache-2.0 */
#include "advise_priv.h"
#include "suggest_priv.h"

#include <bulkhead/yaml.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define FEW_PORTS 8	/* of one protocol and pair of zones; more is the protocol */
#define WIDTH 80
#define NOTES_MAX 4	/* flows that the comment of a rule names */

/* What one pair of ends needs. */
struct row {
	struct bh_zone_ref from, to;	/* borrowed */
	bool equal;			/* two families joined by equal values: never in a list with others */
	struct bh_portset ports;
	struct bh_loc broken;
	BH_VEC(size_t) flows;
};
struct rows {
	BH_VEC(struct row) v;
};

static void rows_clear(struct rows *r)
{
	bh_vec_foreach(x, &r->v) {
		bh_portset_clear(&x->ports);
		bh_vec_clear(&x->flows);
	}
	bh_vec_clear(&r->v);
}

static int ref_cmp(const struct bh_zone_ref *a, const struct bh_zone_ref *b)
{
	int r = strcmp(a->name, b->name);

	return r ? r : strcmp(a->value ? a->value : "", b->value ? b->value : "");
}

static struct row *row_of(struct rows *rows, const struct bh_zone_ref *from, const struct bh_zone_ref *to, const struct bh_loc *broken)
{
	struct row *n;

	bh_vec_foreach(x, &rows->v)
		if (ref_cmp(&x->from, from) == 0 && ref_cmp(&x->to, to) == 0 && (x->broken.line != 0) == (broken->line != 0))
			return x;
	n = bh_vec_add(&rows->v);
	if (n) {
		n->from = *from;
		n->to = *to;
		n->broken = *broken;
	}
	return n;
}

static const struct bh_zone_inst *inst_of(const struct suggester *s, const struct node *n)
{
	if (n->inst || n->unit == NO_UNIT)
		return n->inst;
	return s->units.v[n->unit].unfit ? NULL : &s->groups.v[s->units.v[n->unit].group].inst;
}

/* TEXT as a comment, wrapped at spaces. */
static void put_comment(struct bh_buf *out, const char *text)
{
	const char *lead = "  # ";

	while (*text) {
		size_t n = strlen(text), room = WIDTH - strlen(lead);

		if (n > room)
			for (n = room; n > 0 && text[n] != ' ';)
				n--;
		n = n ? n : room;
		bh_buf_puts(out, lead);
		bh_buf_putn(out, text, n);
		bh_buf_puts(out, "\n");
		text += n + (text[n] == ' ');
		lead = "  #   ";
	}
}

static void put_flow(struct bh_buf *out, const struct bh_denied_flow *f, const char *more)
{
	_cleanup_buf_ struct bh_buf b = {0};
	char port[BH_PORT_TEXT];

	bh_buf_put_safe(&b, f->from_name, 64);
	bh_buf_puts(&b, " to ");
	bh_buf_put_safe(&b, f->to_name, 64);
	bh_buf_printf(&b, " %s: %s%s%s", bh_port_text(&f->port, port), f->when, more ? "; not opened: " : "", more ? more : "");
	if (b.err)
		out->err = b.err;
	else
		put_comment(out, b.s);
}

/* What is wanted of flow I, into a row; or told in OUT why not. */
static int flow_add(const struct suggester *s, const struct adviser *adviser, size_t i, struct rows *rows, struct bh_buf *out)
{
	const struct bh_denied_flow *f = &s->flows[i];
	const struct bh_zone_inst *from = inst_of(s, &s->from[i]), *to = inst_of(s, &s->to[i]);
	struct bh_zone_ref froms, tos;
	struct bh_advice a;
	struct row *row;
	int r = adviser_ask(adviser, from, to, &f->port, &a);

	if (r == 0 && a.kind == BH_ADVICE_NONE)
		put_flow(out, f, a.why);
	if (r == 0 && a.kind == BH_ADVICE_LINE) {
		advise_refs(adviser->policy, from, to, &froms, &tos);
		row = row_of(rows, &froms, &tos, &a.breaks);
		r = !row || bh_portset_add(&row->ports, &f->port) < 0 || bh_vec_push(&row->flows, i) < 0 ? -ENOMEM : 0;
		if (r == 0)
			row->equal = bh_refs_join_values(adviser->policy, &froms, &tos);
	}
	bh_advice_clear(&a);
	return r;
}

/* Many ports of a protocol are the protocol. */
static int ports_round(struct bh_portset *p)
{
	for (unsigned proto = 0; proto < 256; proto++) {
		struct bh_port whole = {.proto = (uint8_t)proto, .all = true};
		size_t n = 0;

		bh_vec_foreach(x, &p->ports)
			n += x->proto == proto;
		if (n > FEW_PORTS && bh_portset_add(p, &whole) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int row_cmp(const void *va, const void *vb)
{
	const struct row *a = va, *b = vb;
	int r = (a->broken.line != 0) - (b->broken.line != 0);

	r = r ? r : ref_cmp(&a->from, &b->from);
	return r ? r : ref_cmp(&a->to, &b->to);
}

static bool same_ports(const struct bh_portset *a, const struct bh_portset *b)
{
	return bh_portset_covers(a, b) && bh_portset_covers(b, a);
}

static bool refs_equal(const struct bh_rule *a, const struct bh_rule *b, bool of_to)
{
	const size_t n = of_to ? a->to.n : a->from.n;

	if (n != (of_to ? b->to.n : b->from.n))
		return false;
	for (size_t i = 0; i < n; i++)
		if (ref_cmp(of_to ? &a->to.v[i] : &a->from.v[i], of_to ? &b->to.v[i] : &b->from.v[i]) != 0)
			return false;
	return true;
}

/* A rule that is being made: rows whose ends and ports allow it are one. */
struct draft {
	struct bh_rule rule;		/* the lists are owned, what is in them is not */
	struct bh_portset ports;	/* a row's: borrowed */
	struct bh_loc broken;
	bool equal, gone;
	BH_VEC(size_t) flows;
};
struct drafts {
	BH_VEC(struct draft) v;
};

static void drafts_clear(struct drafts *d)
{
	bh_vec_foreach(x, &d->v) {
		bh_vec_clear(&x->rule.from);
		bh_vec_clear(&x->rule.to);
		bh_vec_clear(&x->flows);
	}
	bh_vec_clear(&d->v);
}

static int draft_add(struct drafts *d, const struct row *row)
{
	struct draft *n = bh_vec_add(&d->v);

	if (!n)
		return -ENOMEM;
	n->ports = row->ports;
	n->broken = row->broken;
	n->equal = row->equal;
	bh_vec_foreach(f, &row->flows)
		if (bh_vec_push(&n->flows, *f) < 0)
			return -ENOMEM;
	return bh_vec_push(&n->rule.from, row->from) < 0 || bh_vec_push(&n->rule.to, row->to) < 0 ? -ENOMEM : 0;
}

/* Takes the ends of B into A. */
static int draft_join(struct draft *a, struct draft *b, bool of_to)
{
	for (size_t i = 0; i < (of_to ? b->rule.to.n : b->rule.from.n); i++)
		if ((of_to ? bh_vec_push(&a->rule.to, b->rule.to.v[i]) : bh_vec_push(&a->rule.from, b->rule.from.v[i])) < 0)
			return -ENOMEM;
	bh_vec_foreach(f, &b->flows)
		if (bh_vec_push(&a->flows, *f) < 0)
			return -ENOMEM;
	b->gone = true;
	return 0;
}

/* Drafts with the same ports and the same other end become one with a list; only the whole of each: no pair is opened that was not wanted. */
static int drafts_join(struct drafts *d, bool of_to)
{
	for (size_t i = 0; i < d->v.n; i++)
		for (size_t k = i + 1; k < d->v.n; k++) {
			struct draft *a = &d->v.v[i], *b = &d->v.v[k];

			if (a->gone || b->gone || a->equal || b->equal || a->broken.line || b->broken.line ||
				!same_ports(&a->ports, &b->ports) || !refs_equal(&a->rule, &b->rule, !of_to))
				continue;
			if (draft_join(a, b, of_to) < 0)
				return -ENOMEM;
		}
	return 0;
}

/* lan and internet are world. */
static void fold_world(struct bh_zone_ref *v, size_t *n)
{
	size_t lan = *n, internet = *n;

	for (size_t i = 0; i < *n; i++) {
		if (v[i].builtin == BH_BUILTIN_LAN)
			lan = i;
		if (v[i].builtin == BH_BUILTIN_INTERNET)
			internet = i;
	}
	if (lan == *n || internet == *n)
		return;
	v[internet].name = (char *)bh_builtin_name(BH_BUILTIN_WORLD);
	v[internet].builtin = BH_BUILTIN_WORLD;
	memmove(&v[lan], &v[lan + 1], (*n - lan - 1) * sizeof(*v));
	--*n;
}

static int flow_cmp(const void *a, const void *b)
{
	const size_t x = *(const size_t *)a, y = *(const size_t *)b;

	return (x > y) - (x < y);
}

static void put_draft(const struct suggester *s, struct draft *d, struct bh_suggestion *out)
{
	fold_world(d->rule.from.v, &d->rule.from.n);
	fold_world(d->rule.to.v, &d->rule.to.n);
	d->rule.ports.v = d->ports.ports.v;
	d->rule.ports.n = d->ports.all ? 0 : d->ports.ports.n;
	if (d->flows.n > 1)
		qsort(d->flows.v, d->flows.n, sizeof(*d->flows.v), flow_cmp);
	for (size_t i = 0; i < d->flows.n && i < NOTES_MAX; i++)
		put_flow(&out->rules, &s->flows[d->flows.v[i]], NULL);
	if (d->flows.n > NOTES_MAX)
		bh_buf_printf(&out->rules, "  #   and %zu more\n", d->flows.n - NOTES_MAX);
	if (d->broken.line) {
		bh_buf_puts(&out->rules, "  #   not opened: the expectation at ");
		bh_buf_put_safe(&out->rules, d->broken.file, 256);
		bh_buf_printf(&out->rules, ":%u wants it denied\n  # ", d->broken.line);
	} else {
		out->n_rules++;
	}
	bh_yaml_put_rule(&out->rules, &d->rule, false);
}

static int put_rules(const struct suggester *s, struct rows *rows, struct bh_suggestion *out)
{
	struct drafts d = {0};
	int r = 0;

	if (rows->v.n > 1)
		qsort(rows->v.v, rows->v.n, sizeof(*rows->v.v), row_cmp);
	for (size_t i = 0; i < rows->v.n && r == 0; i++) {
		r = ports_round(&rows->v.v[i].ports);
		if (r == 0)
			r = draft_add(&d, &rows->v.v[i]);
	}
	if (r == 0)
		r = drafts_join(&d, false);
	if (r == 0)
		r = drafts_join(&d, true);
	for (size_t i = 0; i < d.v.n && r == 0; i++)
		if (!d.v.v[i].gone)
			put_draft(s, &d.v.v[i], out);
	drafts_clear(&d);
	return r;
}

/* The policy with the new zones, as rules see them. Shallow: only the list of zones is its own. */
static int extend(const struct suggester *s, struct bh_policy *ret)
{
	*ret = *s->policy;
	memset(&ret->zones, 0, sizeof(ret->zones));
	bh_vec_foreach(z, &s->policy->zones)
		if (bh_vec_push(&ret->zones, *z) < 0)
			return -ENOMEM;
	bh_vec_foreach(g, &s->groups) {
		struct bh_zone z = {.name = g->inst.name, .kind = BH_ZONE_CONTAINERS};

		if (bh_vec_push(&ret->zones, z) < 0)
			return -ENOMEM;
	}
	return 0;
}

static void suggester_clear(struct suggester *s)
{
	bh_vec_foreach(g, &s->groups) {
		free(g->inst.name);
		bh_vec_clear(&g->units);
	}
	bh_vec_clear(&s->groups);
	bh_vec_clear(&s->units);
	free(s->from);
	free(s->to);
}

void bh_suggestion_clear(struct bh_suggestion *s)
{
	bh_buf_free(&s->zones);
	bh_buf_free(&s->rules);
	*s = (struct bh_suggestion){0};
}

int bh_suggest(const struct bh_policy *p, const struct bh_denied_flow *flows, size_t n, struct bh_suggestion *ret)
{
	_cleanup_(suggester_clear) struct suggester s = {.policy = p, .flows = flows, .n_flows = n};
	struct bh_policy extended = {0};
	struct adviser adviser = {0};
	struct rows rows = {0};
	int r = suggest_units(&s);

	*ret = (struct bh_suggestion){0};
	if (r == 0)
		r = suggest_groups(&s);
	if (r == 0)
		r = extend(&s, &extended);
	if (r == 0)
		r = adviser_make(&adviser, &extended);
	for (size_t i = 0; i < n && r == 0; i++)
		r = flow_add(&s, &adviser, i, &rows, &ret->rules);
	if (r == 0)
		r = put_rules(&s, &rows, ret);
	suggest_print_zones(&s, &ret->zones);
	ret->n_zones = s.groups.n;
	rows_clear(&rows);
	adviser_clear(&adviser);
	bh_vec_clear(&extended.zones);
	if (r == 0)
		r = ret->zones.err ? ret->zones.err : ret->rules.err;
	if (r < 0)
		bh_suggestion_clear(ret);
	return r;
}
