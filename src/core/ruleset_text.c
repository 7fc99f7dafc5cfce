/* SPDX-License-Identifier: Apache-2.0 */
/* A rule set in nft's language, as `nft -f` (1.0.6) reads it and as a person would write it. */
#include "field_text.h"

#include <bulkhead/ruleset.h>

#include <errno.h>
#include <string.h>

static const char *const family_names[BH_FAMILY_MAX] = {
	[BH_FAMILY_INET] = "inet",
	[BH_FAMILY_BRIDGE] = "bridge",
	[BH_FAMILY_NETDEV] = "netdev",
};

static const char *const hook_names[] = {
	[BH_HOOK_PREROUTING] = "prerouting",
	[BH_HOOK_INPUT] = "input",
	[BH_HOOK_FORWARD] = "forward",
	[BH_HOOK_OUTPUT] = "output",
	[BH_HOOK_POSTROUTING] = "postrouting",
	[BH_HOOK_INGRESS] = "ingress",
	[BH_HOOK_EGRESS] = "egress",
};

/* What fits on one line is left on one line. */
#define LINE 96

static void fields_print(const enum bh_field *fields, size_t n, struct bh_buf *out)
{
	for (size_t i = 0; i < n; i++)
		bh_buf_printf(out, "%s%s", i ? " . " : "", bh_field_info(fields[i])->text);
}

static void verdict_print(enum bh_verdict v, const char *chain, struct bh_buf *out)
{
	switch (v) {
	case BH_ACCEPT:
		bh_buf_puts(out, "accept");
		return;
	case BH_DROP:
		bh_buf_puts(out, "drop");
		return;
	case BH_JUMP:
		bh_buf_printf(out, "jump %s", chain);
		return;
	case BH_GOTO:
		bh_buf_printf(out, "goto %s", chain);
		return;
	case BH_RETURN:
		bh_buf_puts(out, "return");
		return;
	case BH_VERDICT_NONE:
	case BH_CONTINUE:
		bh_buf_puts(out, "continue");
		return;
	}
}

static void duration_print(uint64_t ms, struct bh_buf *out)
{
	if (ms % 1000 == 0)
		bh_buf_printf(out, "%llus", (unsigned long long)(ms / 1000));
	else
		bh_buf_printf(out, "%llums", (unsigned long long)ms);
}

static void elem_print(const enum bh_field *fields, size_t n, enum bh_data data, const struct bh_elem *e, struct bh_buf *out)
{
	bool range = memcmp(e->key_end, e->key, sizeof(e->key)) > 0;

	for (size_t i = 0; i < n; i++) {
		size_t off = bh_key_offset(fields, i);

		if (off + bh_field_info(fields[i])->size > BH_KEY_MAX)
			break;
		if (i > 0)
			bh_buf_puts(out, " . ");
		if (range)
			field_print_range(fields[i], e->key + off, e->key_end + off, out);
		else
			field_print_value(fields[i], e->key + off, out);
	}
	if (data == BH_DATA_VERDICT) {
		bh_buf_puts(out, " : ");
		verdict_print(e->verdict, e->chain, out);
	} else if (data == BH_DATA_PRIORITY) {
		bh_buf_puts(out, " : ");
		field_print_value(BH_PRIORITY, (const uint8_t *)&e->value, out);
	}
}

int bh_elem_print(const struct bh_set *s, const struct bh_elem *e, struct bh_buf *out)
{
	elem_print(s->key, s->n_key, s->data, e, out);
	return out->err;
}

static void set_type_print(const struct bh_set *s, struct bh_buf *out)
{
	bool by_type = true;

	for (size_t i = 0; i < s->n_key; i++)
		if (!bh_field_info(s->key[i])->type)
			by_type = false;
	if (by_type) {
		bh_buf_puts(out, "type ");
		for (size_t i = 0; i < s->n_key; i++)
			bh_buf_printf(out, "%s%s", i ? " . " : "", bh_field_info(s->key[i])->type);
	} else {
		bh_buf_puts(out, "typeof ");
		fields_print(s->key, s->n_key, out);
	}
	if (s->data == BH_DATA_VERDICT)
		bh_buf_puts(out, " : verdict");
	else if (s->data == BH_DATA_PRIORITY)
		bh_buf_puts(out, by_type ? " : classid" : " : meta priority");
	bh_buf_puts(out, ";");
}

static void set_head_print(const struct bh_set *s, struct bh_buf *out)
{
	static const struct {
		unsigned flag;
		const char *text;
	} flags[] = {{BH_SET_INTERVAL, "interval"}, {BH_SET_DYNAMIC, "dynamic"}, {BH_SET_TIMEOUT, "timeout"}};
	const char *sep = " flags ";

	set_type_print(s, out);
	for (size_t i = 0; i < BH_ARRAY_SIZE(flags); i++)
		if (s->flags & flags[i].flag) {
			bh_buf_printf(out, "%s%s", sep, flags[i].text);
			sep = ",";
		}
	if (*sep == ',')
		bh_buf_puts(out, ";");
	if (s->timeout_ms) {
		bh_buf_puts(out, " timeout ");
		duration_print(s->timeout_ms, out);
		bh_buf_puts(out, ";");
	}
	if (s->size)
		bh_buf_printf(out, " size %u;", s->size);
	if (s->flags & BH_SET_COUNTER)
		bh_buf_puts(out, " counter;");
}

static int set_elems_print(const struct bh_set *s, struct bh_buf *out)
{
	_cleanup_buf_ struct bh_buf line = {0};

	for (size_t i = 0; i < s->elems.n && line.n <= LINE; i++) {
		bh_buf_puts(&line, i ? ", " : "");
		elem_print(s->key, s->n_key, s->data, &s->elems.v[i], &line);
	}
	if (line.err) {
		out->err = line.err;
		return line.err;
	}
	if (line.n <= LINE) {
		bh_buf_printf(out, "\t\telements = { %s }\n", line.s);
		return out->err;
	}
	bh_buf_puts(out, "\t\telements = {\n");
	bh_vec_foreach(e, &s->elems) {
		bh_buf_puts(out, "\t\t\t");
		elem_print(s->key, s->n_key, s->data, e, out);
		bh_buf_puts(out, ",\n");
	}
	bh_buf_puts(out, "\t\t}\n");
	return out->err;
}

int bh_set_print(const struct bh_set *s, struct bh_buf *out)
{
	if (s->n_key == 0) {	/* seen side: of a type that this program never makes */
		bh_buf_puts(out, "\t# a set that bulkhead does not write\n");
		return out->err;
	}
	bh_buf_printf(out, "\t%s %s { ", s->data == BH_DATA_NONE ? "set" : "map", s->name);
	/* What packets added is theirs: it is not a part of the rule set as written. */
	if (s->elems.n == 0 || (s->flags & BH_SET_DYNAMIC)) {
		set_head_print(s, out);
		bh_buf_puts(out, " }\n");
		return out->err;
	}
	out->n -= out->err ? 0 : 1;	/* no blank at the end of the line */
	bh_buf_puts(out, "\n\t\t");
	set_head_print(s, out);
	bh_buf_puts(out, "\n");
	if (set_elems_print(s, out) < 0)
		return -ENOMEM;
	bh_buf_puts(out, "\t}\n");
	return out->err;
}

static const char *op_text(enum bh_op op)
{
	static const char *const texts[] = {
		[BH_EQ] = "==", [BH_NE] = "!=", [BH_LT] = "<", [BH_LE] = "<=", [BH_GT] = ">", [BH_GE] = ">=",
	};

	return op <= BH_GE ? texts[op] : "==";
}

/* Several flags beside an operator have to be joined by | and put into parentheses. */
static void mask_print(enum bh_field f, const uint8_t *v, struct bh_buf *out)
{
	_cleanup_buf_ struct bh_buf text = {0};
	bool several;

	field_print_value(f, v, &text);
	if (text.err) {
		out->err = text.err;
		return;
	}
	several = field_is_flags(f) && strchr(text.s, ',');
	bh_buf_puts(out, several ? "(" : "");
	for (const char *c = text.s; *c; c++)
		if (*c == ',' && several)
			bh_buf_puts(out, " | ");
		else
			bh_buf_putn(out, c, 1);
	bh_buf_puts(out, several ? ")" : "");
}

static bool ifname_wildcard_print(const struct bh_stmt *s, struct bh_buf *out)
{
	uint8_t last[16];

	if (s->op != BH_MASK_EQ || bh_field_info(s->fields[0])->size != sizeof(last) ||
		!bh_streq(bh_field_info(s->fields[0])->type, "ifname"))
		return false;
	for (size_t i = 0; i < sizeof(last); i++)
		last[i] = s->value[i] | (uint8_t)~s->mask[i];
	field_print_range(s->fields[0], s->value, last, out);
	return true;
}

static void match_print(const struct bh_stmt *s, struct bh_buf *out)
{
	static const uint8_t zero[16];
	enum bh_field f = s->fields[0];

	bh_buf_printf(out, "%s ", bh_field_info(f)->text);
	if (ifname_wildcard_print(s, out))
		return;
	if (s->op == BH_MASK_ANY && field_is_flags(f)) {
		field_print_value(f, s->mask, out);
	} else if (s->op == BH_MASK_EQ && field_is_flags(f) && memcmp(s->value, zero, bh_field_info(f)->size) == 0) {
		bh_buf_puts(out, "! ");		/* none of these */
		field_print_value(f, s->mask, out);
	} else if (s->op == BH_MASK_ANY || s->op == BH_MASK_EQ) {
		bh_buf_puts(out, "& ");
		mask_print(f, s->mask, out);
		bh_buf_puts(out, s->op == BH_MASK_ANY ? " != " : " == ");
		mask_print(f, s->op == BH_MASK_ANY ? zero : s->value, out);
	} else {
		if (s->op != BH_EQ || field_is_flags(f))	/* flags without an operator are "one of these" */
			bh_buf_printf(out, "%s ", op_text(s->op));
		mask_print(f, s->value, out);
	}
}

static void anonymous_print(const struct bh_stmt *s, enum bh_data data, struct bh_buf *out)
{
	bh_buf_puts(out, "{ ");
	for (size_t i = 0; i < s->elems.n; i++) {
		bh_buf_puts(out, i ? ", " : "");
		elem_print(s->fields, s->n_fields, data, &s->elems.v[i], out);
	}
	bh_buf_puts(out, " }");
}

static void lookup_print(const struct bh_stmt *s, const char *how, enum bh_data data, struct bh_buf *out)
{
	fields_print(s->fields, s->n_fields, out);
	bh_buf_printf(out, "%s ", how);
	if (*s->set)
		bh_buf_printf(out, "@%s", s->set);
	else
		anonymous_print(s, data, out);
}

static void update_print(const struct bh_stmt *s, struct bh_buf *out)
{
	bh_buf_printf(out, "%s @%s { ", s->take_out ? "delete" : "update", s->set);
	fields_print(s->fields, s->n_fields, out);
	if (s->number) {
		bh_buf_puts(out, " timeout ");
		duration_print(s->number, out);
	}
	if (s->meter == BH_METER_FLOWS)
		bh_buf_printf(out, " ct count %u", s->meter_n);
	else if (s->meter != BH_METER_NONE)
		bh_buf_printf(out, " limit rate %u/%s burst %u packets", s->meter_n,
			s->meter == BH_METER_PER_SECOND ? "second" : "minute", s->meter_n);
	bh_buf_puts(out, " }");
}

static void stmt_print(const struct bh_stmt *s, struct bh_buf *out)
{
	switch (s->kind) {
	case BH_STMT_MATCH:
		match_print(s, out);
		return;
	case BH_STMT_LOOKUP:
		lookup_print(s, s->op == BH_NE ? " !=" : "", BH_DATA_NONE, out);
		return;
	case BH_STMT_VMAP:
		lookup_print(s, " vmap", BH_DATA_VERDICT, out);
		return;
	case BH_STMT_SET_PRIORITY:
		bh_buf_puts(out, "meta priority set ");
		field_print_value(BH_PRIORITY, (const uint8_t *)&s->number, out);
		return;
	case BH_STMT_MAP_PRIORITY:
		bh_buf_puts(out, "meta priority set ");
		lookup_print(s, " map", BH_DATA_PRIORITY, out);
		return;
	case BH_STMT_COUNTER:
		bh_buf_puts(out, "counter name ");
		text_print_quoted(s->set, sizeof(s->set), out);
		return;
	case BH_STMT_LIMIT:
		bh_buf_printf(out, "limit rate %u/second", s->number);
		return;
	case BH_STMT_LOG:
		bh_buf_puts(out, "log prefix ");
		text_print_quoted(s->prefix, sizeof(s->prefix), out);
		bh_buf_printf(out, " group %u", s->number);
		return;
	case BH_STMT_REJECT:
		bh_buf_puts(out, s->number == BH_REJECT_TCP_RESET ? "reject with tcp reset" :
								     "reject with icmpx admin-prohibited");
		return;
	case BH_STMT_VERDICT:
		verdict_print(s->verdict, s->chain, out);
		return;
	case BH_STMT_UPDATE:
		update_print(s, out);
		return;
	case BH_STMT_FWD:
		bh_buf_puts(out, "fwd to ");
		text_print_quoted(s->set, sizeof(s->set), out);
		return;
	case BH_STMT_FOREIGN:
		return;
	}
}

static void rule_print(const struct bh_nft_rule *r, struct bh_buf *out)
{
	const char *sep = "\t\t";

	bh_vec_foreach(s, &r->stmts)
		if (s->kind == BH_STMT_FOREIGN) {
			bh_buf_puts(out, "\t\t# a rule that bulkhead does not write\n");
			return;
		}
	if (r->stmts.n == 0)
		return;
	bh_vec_foreach(s, &r->stmts) {
		bh_buf_puts(out, sep);
		stmt_print(s, out);
		sep = " ";
	}
	bh_buf_puts(out, "\n");
}

static void base_chain_print(const struct bh_chain *c, enum bh_family family, struct bh_buf *out)
{
	bh_buf_printf(out, "\t\ttype filter hook %s ", hook_names[c->hook]);
	if (*c->device) {
		bh_buf_puts(out, "device ");
		text_print_quoted(c->device, sizeof(c->device), out);
		bh_buf_puts(out, " ");
	}
	/* "filter" is another number in the bridge family: -200. */
	if (family == BH_FAMILY_BRIDGE || c->priority < -100 || c->priority > 100)
		bh_buf_printf(out, "priority %d", c->priority);
	else if (c->priority == 0)
		bh_buf_puts(out, "priority filter");
	else
		bh_buf_printf(out, "priority filter %c %d", c->priority < 0 ? '-' : '+',
			c->priority < 0 ? -c->priority : c->priority);
	bh_buf_printf(out, "; policy %s;\n", c->policy == BH_DROP ? "drop" : "accept");
}

int bh_chain_print(const struct bh_chain *c, enum bh_family family, struct bh_buf *out)
{
	bh_buf_printf(out, "\tchain %s {\n", c->name);
	if (c->hook != BH_HOOK_NONE)
		base_chain_print(c, family, out);
	bh_vec_foreach(r, &c->rules)
		rule_print(r, out);
	bh_buf_puts(out, "\t}\n");
	return out->err;
}

static void table_print(const struct bh_table *t, enum bh_family family, struct bh_buf *out)
{
	const char *gap = "";

	bh_buf_printf(out, "table %s bulkhead {\n", family_names[family]);
	bh_vec_foreach(s, &t->sets)
		bh_set_print(s, out);
	if (t->sets.n > 0 && t->counters.n > 0)
		bh_buf_puts(out, "\n");
	bh_vec_foreach(c, &t->counters)
		bh_buf_printf(out, "\tcounter %s { }\n", c->name);
	if (t->sets.n + t->counters.n > 0)
		gap = "\n";
	bh_vec_foreach(c, &t->chains) {
		bh_buf_puts(out, gap);
		bh_chain_print(c, family, out);
		gap = "\n";
	}
	bh_buf_puts(out, "}\n");
}

int bh_ruleset_print(const struct bh_ruleset *r, struct bh_buf *out)
{
	bool first = true;

	for (int f = 0; f < BH_FAMILY_MAX; f++) {
		if (!r->tables[f].present)
			continue;
		if (!first)
			bh_buf_puts(out, "\n");
		table_print(&r->tables[f], (enum bh_family)f, out);
		first = false;
	}
	return out->err;
}
