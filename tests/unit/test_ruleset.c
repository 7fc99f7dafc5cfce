/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <bulkhead/ruleset.h>

static void every_field_has_a_name_and_a_width(void **state)
{
	(void)state;
	for (int f = BH_FIELD_NONE + 1; f < BH_FIELD_MAX; f++) {
		const struct bh_field_info *i = bh_field_info((enum bh_field)f);

		assert_non_null(i);
		assert_non_null(i->text);
		assert_true(*i->text != '\0');
		assert_in_range(i->size, 1, 16);
		for (int g = f + 1; g < BH_FIELD_MAX; g++)
			assert_string_not_equal(i->text, bh_field_info((enum bh_field)g)->text);
	}
	assert_int_equal(bh_field_info(BH_FIELD_MAX)->size, 0);
}

static void keys_are_padded_to_registers(void **state)
{
	static const enum bh_field f[] = {BH_IIFNAME, BH_ETHER_SADDR, BH_L4PROTO, BH_TH_DPORT};
	uint8_t key[BH_KEY_MAX];
	size_t off = 0;

	(void)state;
	assert_int_equal(bh_key_offset(f, 0), 0);
	assert_int_equal(bh_key_offset(f, 1), 16);
	assert_int_equal(bh_key_offset(f, 2), 24);
	assert_int_equal(bh_key_offset(f, 3), 28);
	assert_int_equal(bh_key_size(f, 4), 32);

	memset(key, 0xff, sizeof(key));
	bh_key_put(key, &off, "br-1\0\0\0\0\0\0\0\0\0\0\0", 16);
	bh_key_put(key, &off, "\1\2\3\4\5\6", 6);
	bh_key_put(key, &off, "\x06", 1);
	bh_key_put(key, &off, "\x00\x50", 2);
	assert_int_equal(off, 32);
	assert_memory_equal(key + 16, "\1\2\3\4\5\6\0\0\6\0\0\0\0\x50\0\0", 16);
	assert_int_equal(key[32], 0xff);

	off = BH_KEY_MAX - 4;	/* too long: nothing is written past the end */
	bh_key_put(key, &off, "0123456789abcdef", 16);
	assert_int_equal(off, BH_KEY_MAX + 12);
	assert_int_equal(key[BH_KEY_MAX - 1], 0xff);
}

static struct bh_elem elem4(uint32_t a, uint32_t value)
{
	struct bh_elem e = {.value = value};
	uint8_t b[4] = {(uint8_t)(a >> 24), (uint8_t)(a >> 16), (uint8_t)(a >> 8), (uint8_t)a};

	memcpy(e.key, b, 4);
	return e;
}

/* Of many elements what differs in the first eight places is compared as a number: order, doubles and what differs only behind that. */
static void many_elements_sort(void **state)
{
	static const size_t counts[] = {63, 64, 65, 5000};

	(void)state;
	for (size_t c = 0; c < BH_ARRAY_SIZE(counts); c++) {
		struct bh_set s = {.n_key = 1};
		uint64_t sum = 0, back = 0;

		for (size_t i = 0; i < counts[c]; i++) {
			struct bh_elem *e = bh_vec_add(&s.elems);
			uint32_t x = (uint32_t)(i * 2654435761u);

			assert_non_null(e);
			for (size_t k = 0; k < 10; k++)	/* ten places differ, two kinds of keys do only in the last */
				e->key[3 * k] = (uint8_t)(k < 9 ? x >> (k % 3) & 3 : x >> 8);
			e->value = (uint32_t)i;
			sum += i;
		}
		bh_set_sort(&s);
		for (size_t i = 0; i < s.elems.n; i++)
			back += s.elems.v[i].value;
		assert_int_equal(s.elems.n, counts[c]);
		assert_int_equal(sum, back);
		for (size_t i = 1; i < s.elems.n; i++) {
			int r = memcmp(s.elems.v[i - 1].key, s.elems.v[i].key, BH_KEY_MAX);

			assert_true(r < 0 || (r == 0 && s.elems.v[i - 1].value < s.elems.v[i].value));
		}
		bh_set_clear(&s);
	}
}

static void sets_sort_find_and_copy(void **state)
{
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *r = calloc(1, sizeof(*r));
	struct bh_table *t;
	struct bh_set *s, copy;
	uint8_t key[4] = {10, 0, 0, 1};

	(void)state;
	assert_non_null(r);
	t = &r->tables[BH_FAMILY_INET];
	for (int i = 0; i < 3; i++) {
		static const char *const names[] = {"zz", "aa", "mm"};

		s = bh_vec_add(&t->sets);
		assert_non_null(s);
		strcpy(s->name, names[i]);
		s->key[0] = BH_IP_SADDR;
		s->n_key = 1;
		s->data = BH_DATA_PRIORITY;
		for (uint32_t k = 0; k < 100; k++)
			assert_int_equal(bh_vec_push(&s->elems, elem4(0x0a000000 + (k * 37 + 5) % 101, k)), 0);
	}
	bh_ruleset_sort(r);
	assert_string_equal(t->sets.v[0].name, "aa");
	assert_string_equal(t->sets.v[2].name, "zz");
	assert_ptr_equal(bh_table_set(t, "mm"), &t->sets.v[1]);
	assert_null(bh_table_set(t, "m"));
	s = &t->sets.v[0];
	for (size_t i = 1; i < s->elems.n; i++)
		assert_true(memcmp(s->elems.v[i - 1].key, s->elems.v[i].key, 4) < 0);
	assert_non_null(bh_set_find(s, key));
	key[3] = 200;
	assert_null(bh_set_find(s, key));

	assert_int_equal(bh_set_copy(&copy, s), 0);
	assert_true(bh_set_same_type(&copy, s));
	assert_int_equal(copy.elems.n, s->elems.n);
	assert_ptr_not_equal(copy.elems.v, s->elems.v);
	copy.flags |= BH_SET_COUNTER;
	assert_false(bh_set_same_type(&copy, s));
	bh_set_clear(&copy);
	assert_int_equal(copy.elems.n, 0);
}

static void set_types_are_what_the_kernel_knows(void **state)
{
	struct bh_set a = {.key = {BH_IIFNAME, BH_IP_SADDR}, .n_key = 2}, b = {.key = {BH_OIFNAME, BH_CT_REPLY_IP_SADDR}, .n_key = 2};

	(void)state;
	assert_true(bh_set_same_type(&a, &b));
	b.key[1] = BH_MARK;	/* four bytes too, and another datatype */
	assert_false(bh_set_same_type(&a, &b));
	b.key[1] = BH_IP_SADDR;
	b.n_key = 1;
	assert_false(bh_set_same_type(&a, &b));
}

static void elements_compare_by_what_they_hold(void **state)
{
	struct bh_elem a = elem4(1, 7), b = elem4(1, 8);

	(void)state;
	assert_true(bh_elem_equal(&a, &b, BH_DATA_NONE));
	assert_false(bh_elem_equal(&a, &b, BH_DATA_PRIORITY));
	b.value = 7;
	b.packets = 99;
	assert_true(bh_elem_equal(&a, &b, BH_DATA_PRIORITY));
	a.verdict = b.verdict = BH_JUMP;
	strcpy(a.chain, "x");
	assert_false(bh_elem_equal(&a, &b, BH_DATA_VERDICT));
	strcpy(b.chain, "x");
	assert_true(bh_elem_equal(&a, &b, BH_DATA_VERDICT));
	a.verdict = b.verdict = BH_ACCEPT;
	strcpy(b.chain, "left over");
	assert_true(bh_elem_equal(&a, &b, BH_DATA_VERDICT));
	b.key_end[3] = 1;
	assert_false(bh_elem_equal(&a, &b, BH_DATA_VERDICT));
}

static struct bh_stmt *rule_one(struct bh_chain *c)
{
	struct bh_nft_rule *r = bh_vec_add(&c->rules);
	struct bh_stmt *s;

	assert_non_null(r);
	s = bh_vec_add(&r->stmts);
	assert_non_null(s);
	return s;
}

static void every_part_of_a_rule_counts(void **state)
{
	struct bh_chain a = {.name = "a"}, b;
	struct bh_stmt *s = rule_one(&a), *m;

	(void)state;
	*s = (struct bh_stmt){.kind = BH_STMT_MATCH, .fields = {BH_IP_SADDR}, .n_fields = 1, .value = {10, 0, 0, 1}};
	s = rule_one(&a);
	*s = (struct bh_stmt){.kind = BH_STMT_VMAP, .fields = {BH_CT_DIRECTION}, .n_fields = 1};
	assert_int_equal(bh_vec_push(&s->elems, ((struct bh_elem){.verdict = BH_GOTO, .chain = "o"})), 0);

#define DIFFERS(rule, change)                                                                      \
	do {                                                                                       \
		assert_int_equal(bh_chain_copy(&b, &a), 0);                                        \
		assert_true(bh_rules_equal(&a, &b));                                               \
		m = &b.rules.v[rule].stmts.v[0];                                                   \
		change;                                                                            \
		assert_false(bh_rules_equal(&a, &b));                                              \
		bh_chain_clear(&b);                                                                \
	} while (0)
	DIFFERS(0, m->value[3] = 2);
	DIFFERS(0, m->op = BH_NE);
	DIFFERS(0, m->fields[0] = BH_IP_DADDR);
	DIFFERS(0, m->kind = BH_STMT_FOREIGN);
	DIFFERS(1, strcpy(m->elems.v[0].chain, "p"));
	DIFFERS(1, m->elems.v[0].key[0] = 1);
	DIFFERS(1, m->elems.n = 0);
	DIFFERS(1, strcpy(m->set, "named"));
	DIFFERS(1, rule_one(&b));
	assert_int_equal(bh_chain_copy(&b, &a), 0);
	b.rules.v[0].stmts.v[0].value[9] = 1;	/* beyond the field's width: no part of it */
	assert_true(bh_rules_equal(&a, &b));
	b.rules.v[0].stmts.v[0].kind = a.rules.v[0].stmts.v[0].kind = BH_STMT_FOREIGN;
	assert_false(bh_rules_equal(&a, &b));	/* what is not understood equals nothing, itself included */
	bh_chain_clear(&a);
	bh_chain_clear(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_field_has_a_name_and_a_width),
		cmocka_unit_test(keys_are_padded_to_registers),
		cmocka_unit_test(many_elements_sort),
		cmocka_unit_test(sets_sort_find_and_copy),
		cmocka_unit_test(set_types_are_what_the_kernel_knows),
		cmocka_unit_test(elements_compare_by_what_they_hold),
		cmocka_unit_test(every_part_of_a_rule_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
