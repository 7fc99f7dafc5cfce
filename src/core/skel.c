/* SPDX-License-Identifier: Apache-2.0 */
/* From constant tables to the IR. */
#include "skel.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static size_t fields_copy(enum bh_field dst[BH_FIELDS_MAX], const uint8_t src[SKEL_FIELDS])
{
	size_t n = 0;

	while (n < SKEL_FIELDS && src[n] != BH_FIELD_NONE) {
		dst[n] = (enum bh_field)src[n];
		n++;
	}
	return n;
}

/* A number as the kernel compares it in field F: meta integers and flags in host order, the rest in network order. */
static void value_put(enum bh_field f, uint64_t v, uint8_t *out)
{
	size_t size = bh_field_info(f)->size;
	uint32_t number = (uint32_t)v;
	uint16_t type = (uint16_t)v;

	if (f == BH_IIFTYPE)
		memcpy(out, &type, sizeof(type));
	else if (size == 4)
		memcpy(out, &number, sizeof(number));
	else
		for (size_t i = 0; size <= 6 && i < size; i++)
			out[i] = (uint8_t)(v >> 8 * (size - 1 - i));
	/* addresses only ever compare with zero */
}

/* "veth*" compares what stands before the star. */
static void device_put(struct bh_stmt *s, const char *dev)
{
	size_t n = strnlen(dev, sizeof(s->value) - 1);

	if (n > 0 && dev[n - 1] == '*') {
		n--;
		s->op = BH_MASK_EQ;
		memset(s->mask, 0xff, n);
	}
	memcpy(s->value, dev, n);
}

static int cases_add(struct bh_stmt *d, const struct skel_stmt *s)
{
	for (size_t i = 0; i < s->n_cases; i++) {
		struct bh_elem *e = bh_vec_add(&d->elems);

		if (!e)
			return -ENOMEM;
		value_put((enum bh_field)s->fields[0], s->cases[i].value, e->key);
		e->verdict = (enum bh_verdict)s->cases[i].verdict;
		snprintf(e->chain, sizeof(e->chain), "%s", s->cases[i].chain ? s->cases[i].chain : "");
	}
	if (s->kind == BH_STMT_VMAP)
		d->data = BH_DATA_VERDICT;
	return 0;
}

int skel_stmt_add(struct bh_nft_rule *rule, const struct skel_stmt *s)
{
	struct bh_stmt *d = bh_vec_add(&rule->stmts);

	if (!d)
		return -ENOMEM;
	d->kind = (enum bh_stmt_kind)s->kind;
	d->op = (enum bh_op)s->op;
	d->n_fields = fields_copy(d->fields, s->fields);
	switch (d->kind) {
	case BH_STMT_MATCH:
		value_put((enum bh_field)s->fields[0], s->value, d->value);
		value_put((enum bh_field)s->fields[0], s->mask, d->mask);
		if (s->name)
			device_put(d, s->name);
		return 0;
	case BH_STMT_VERDICT:
		d->verdict = (enum bh_verdict)s->verdict;
		snprintf(d->chain, sizeof(d->chain), "%s", s->name ? s->name : "");
		return 0;
	case BH_STMT_LOG:
		snprintf(d->prefix, sizeof(d->prefix), "%s", s->name);
		d->number = (uint32_t)s->value;
		return 0;
	default:
		d->meter = (enum bh_meter)s->meter;
		d->meter_n = (uint32_t)s->mask;
		d->take_out = s->take_out;
		snprintf(d->set, sizeof(d->set), "%s", s->name ? s->name : "");
		d->number = (uint32_t)s->value;
		return cases_add(d, s);
	}
}

int skel_rule_add(struct bh_chain *chain, const struct skel_rule *r)
{
	struct bh_nft_rule *d = bh_vec_add(&chain->rules);

	if (!d || bh_vec_exact(&d->stmts, r->n) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < r->n; i++)
		if (skel_stmt_add(d, &r->s[i]) < 0)
			return -ENOMEM;
	return 0;
}

int skel_chains_add(struct bh_table *t, const struct skel_chain *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct bh_chain *c = bh_vec_add(&t->chains);

		if (!c)
			return -ENOMEM;
		snprintf(c->name, sizeof(c->name), "%s", v[i].name);
		c->hook = (enum bh_hook)v[i].hook;
		c->priority = v[i].priority;
		c->policy = c->hook == BH_HOOK_NONE ? BH_VERDICT_NONE : BH_ACCEPT;
		for (size_t k = 0; k < v[i].n_rules; k++)
			if (skel_rule_add(c, &v[i].rules[k]) < 0)
				return -ENOMEM;
	}
	return 0;
}

void skel_set_init(struct bh_set *set, const struct skel_set *s)
{
	memset(set, 0, sizeof(*set));
	snprintf(set->name, sizeof(set->name), "%s", s->name);
	set->n_key = fields_copy(set->key, s->key);
	set->data = (enum bh_data)s->data;
	set->flags = s->flags;
	set->size = s->size;
	set->timeout_ms = s->timeout_ms;
}

int skel_sets_add(struct bh_table *t, const struct skel_set *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct bh_set *set = bh_vec_add(&t->sets);

		if (!set)
			return -ENOMEM;
		skel_set_init(set, &v[i]);
	}
	return 0;
}

int skel_counters_add(struct bh_table *t, const char *const *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct bh_counter *c = bh_vec_add(&t->counters);

		if (!c)
			return -ENOMEM;
		snprintf(c->name, sizeof(c->name), "%s", v[i]);
	}
	return 0;
}
