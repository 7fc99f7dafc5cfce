/* SPDX-License-Identifier: Apache-2.0 */
/* Rule sets for tests, written briefly. A failure to allocate ends the test program. */
#ifndef TESTS_RSBUILD_H
#define TESTS_RSBUILD_H

#include <bulkhead/ruleset.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define FIELDS(...) ((const enum bh_field[]){__VA_ARGS__, BH_FIELD_NONE})

static inline void *rs_need(void *p)
{
	if (!p)
		abort();
	return p;
}

static inline size_t rs_fields(enum bh_field dst[BH_FIELDS_MAX], const enum bh_field *src)
{
	size_t n = 0;

	while (src && src[n] != BH_FIELD_NONE) {
		dst[n] = src[n];
		n++;
	}
	return n;
}

static inline struct bh_ruleset *rs_new(void)
{
	return rs_need(calloc(1, sizeof(struct bh_ruleset)));
}

static inline struct bh_set *rs_set(struct bh_table *t, const char *name, const enum bh_field *fields, enum bh_data data,
	unsigned flags)
{
	struct bh_set *s = rs_need(bh_vec_add(&t->sets));

	snprintf(s->name, sizeof(s->name), "%s", name);
	s->n_key = rs_fields(s->key, fields);
	s->data = data;
	s->flags = flags;
	return s;
}

/* The value of one field from its text: an address, a device, or a number as the kernel keeps it. */
static inline void rs_value(enum bh_field f, const char *text, uint8_t *v)
{
	size_t size = bh_field_info(f)->size;
	const char *type = bh_field_info(f)->type;
	unsigned long n = strtoul(text, NULL, 0);

	if (type && strcmp(type, "ifname") == 0) {
		memcpy(v, text, strnlen(text, 16));
	} else if (strchr(text, ':') && size == 6) {
		unsigned b[6];

		if (sscanf(text, "%x:%x:%x:%x:%x:%x", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5]) != 6)
			abort();
		for (int i = 0; i < 6; i++)
			v[i] = (uint8_t)b[i];
	} else if (size == 16) {
		if (inet_pton(AF_INET6, text, v) != 1)
			abort();
	} else if (strchr(text, '.')) {
		if (inet_pton(AF_INET, text, v) != 1)
			abort();
	} else if (size == 1) {
		v[0] = (uint8_t)n;
	} else if (size == 2) {
		v[0] = (uint8_t)(n >> 8);
		v[1] = (uint8_t)n;
	} else {
		uint32_t h = (uint32_t)n;

		memcpy(v, &h, 4);
	}
}

/* Fields of KEY are parted by '|'. */
static inline void rs_key(const enum bh_field *f, size_t n, const char *text, uint8_t key[BH_KEY_MAX])
{
	char copy[256], *p = copy, *part;

	memset(key, 0, BH_KEY_MAX);
	snprintf(copy, sizeof(copy), "%s", text);
	for (size_t i = 0; i < n; i++) {
		part = strsep(&p, "|");
		rs_value(f[i], part ? part : "0", key + bh_key_offset(f, i));
	}
}

static inline struct bh_elem *rs_elem(struct bh_set *s, const char *key)
{
	struct bh_elem *e = rs_need(bh_vec_add(&s->elems));

	rs_key(s->key, s->n_key, key, e->key);
	if (s->flags & BH_SET_INTERVAL)
		memcpy(e->key_end, e->key, sizeof(e->key));
	return e;
}

static inline void rs_elem_verdict(struct bh_set *s, const char *key, enum bh_verdict v, const char *chain)
{
	struct bh_elem *e = rs_elem(s, key);

	e->verdict = v;
	snprintf(e->chain, sizeof(e->chain), "%s", chain ? chain : "");
}

static inline void rs_elem_value(struct bh_set *s, const char *key, uint32_t value)
{
	rs_elem(s, key)->value = value;
}

static inline struct bh_chain *rs_chain(struct bh_table *t, const char *name)
{
	struct bh_chain *c = rs_need(bh_vec_add(&t->chains));

	snprintf(c->name, sizeof(c->name), "%s", name);
	return c;
}

static inline void rs_base(struct bh_chain *c, enum bh_hook hook, int32_t priority)
{
	c->hook = hook;
	c->priority = priority;
	c->policy = BH_ACCEPT;
}

static inline struct bh_nft_rule *rs_rule(struct bh_chain *c)
{
	return rs_need(bh_vec_add(&c->rules));
}

static inline struct bh_stmt *rs_stmt(struct bh_nft_rule *r, enum bh_stmt_kind kind, const enum bh_field *fields)
{
	struct bh_stmt *s = rs_need(bh_vec_add(&r->stmts));

	s->kind = kind;
	s->n_fields = rs_fields(s->fields, fields);
	return s;
}

static inline void rs_match(struct bh_nft_rule *r, enum bh_field f, enum bh_op op, const char *value, const char *mask)
{
	struct bh_stmt *s = rs_stmt(r, BH_STMT_MATCH, FIELDS(f));

	s->op = op;
	rs_value(f, value, s->value);
	if (mask)
		rs_value(f, mask, s->mask);
}

static inline struct bh_stmt *rs_named(struct bh_nft_rule *r, enum bh_stmt_kind kind, const enum bh_field *f, const char *set)
{
	struct bh_stmt *s = rs_stmt(r, kind, f);

	snprintf(s->set, sizeof(s->set), "%s", set);
	return s;
}

static inline struct bh_elem *rs_anon(struct bh_stmt *s, const char *key)
{
	struct bh_elem *e = rs_need(bh_vec_add(&s->elems));

	rs_key(s->fields, s->n_fields, key, e->key);
	return e;
}

static inline void rs_anon_verdict(struct bh_stmt *s, const char *key, enum bh_verdict v, const char *chain)
{
	struct bh_elem *e = rs_anon(s, key);

	e->verdict = v;
	snprintf(e->chain, sizeof(e->chain), "%s", chain ? chain : "");
}

static inline void rs_verdict(struct bh_nft_rule *r, enum bh_verdict v, const char *chain)
{
	struct bh_stmt *s = rs_stmt(r, BH_STMT_VERDICT, NULL);

	s->verdict = v;
	snprintf(s->chain, sizeof(s->chain), "%s", chain ? chain : "");
}

static inline void rs_number(struct bh_nft_rule *r, enum bh_stmt_kind kind, uint32_t n)
{
	rs_stmt(r, kind, NULL)->number = n;
}

#endif
