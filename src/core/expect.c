/* SPDX-License-Identifier: Apache-2.0 */
#include <bulkhead/allow.h>
#include <bulkhead/expect.h>

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

struct check {
	const struct bh_policy *p;
	struct bh_allows allows;
	struct bh_allow_index index;
	struct bh_expect_failures *failures;
};

/* The values that tell apart all the cases that the rules between two zones can tell apart. */
struct values {
	BH_VEC(const char *) v;
};

void bh_expect_failures_clear(struct bh_expect_failures *f)
{
	bh_vec_foreach(i, &f->v)
		free(i->message);
	bh_vec_clear(&f->v);
}

int bh_expect_print(const struct bh_expect_failures *f, struct bh_buf *out)
{
	bh_vec_foreach(i, &f->v) {
		bh_buf_put_safe(out, i->loc.file, 4096);
		bh_buf_printf(out, ":%u:%u: expectation fails: %s\n", i->loc.line, i->loc.column, i->message);
	}
	return out->err;
}

static int values_add(struct values *values, const char *value)
{
	bh_vec_foreach(v, &values->v)
		if (bh_streq(*v, value))
			return 0;
	return bh_vec_push(&values->v, value);
}

static int values_of(const struct check *k, const struct bh_allow *pair, const struct bh_end *end, struct values *ret)
{
	const struct bh_allow *const *v;
	size_t n;
	int r = 0;

	if (end->builtin != BH_BUILTIN_NONE || k->p->zones.v[end->zone].per == BH_PER_NONE || end->value)
		return bh_vec_push(&ret->v, end->value);
	v = bh_allow_index_find(&k->index, &pair->from, &pair->to, &n);
	for (size_t i = 0; r == 0 && i < n; i++) {	/* a value named on the other side matters where values are compared */
		if (v[i]->from.value)
			r = values_add(ret, v[i]->from.value);
		if (r == 0 && v[i]->to.value)
			r = values_add(ret, v[i]->to.value);
	}
	if (r == 0 && pair->from.value)
		r = values_add(ret, pair->from.value);
	if (r == 0 && pair->to.value)
		r = values_add(ret, pair->to.value);
	if (r == 0)
		r = bh_vec_push(&ret->v, bh_value_some);
	return r < 0 ? r : bh_vec_push(&ret->v, bh_value_other);
}

/* What the expectation is about on TO. */
static int wanted_ports(const struct bh_rule *rule, const struct bh_end *to, struct bh_portset *ret)
{
	static const struct bh_port dns[] = {
		{.proto = IPPROTO_TCP, .first = 53, .last = 53}, {.proto = IPPROTO_UDP, .first = 53, .last = 53}};
	int r = 0;

	if (rule->ports.n == 0 && (to->builtin != BH_BUILTIN_DNS || !rule->expect_accept))
		return bh_portset_add_all(ret);
	for (size_t i = 0; rule->ports.n == 0 && r == 0 && i < BH_ARRAY_SIZE(dns); i++)
		r = bh_portset_add(ret, &dns[i]);
	bh_vec_foreach(p, &rule->ports)
		if (r == 0)
			r = bh_portset_add(ret, p);
	return r;
}

static bool overlap(const struct bh_portset *a, const struct bh_portset *b)
{
	if (a->all)
		return !bh_portset_is_empty(b);
	bh_vec_foreach(p, &a->ports)
		if (bh_portset_meets(b, p))
			return true;
	return false;
}

static void print_end(const struct check *k, const struct bh_end *end, struct bh_buf *out)
{
	struct bh_end shown = *end;

	if (shown.value == bh_value_some || shown.value == bh_value_other)
		shown.value = NULL;
	bh_end_print(k->p, &shown, out);
}

/* The first rule that joins the two and opens something of WANTED. */
static int opening_rule(const struct check *k, const struct bh_end *from, const struct bh_end *to,
	const struct bh_portset *wanted, const struct bh_rule **ret)
{
	size_t n;
	const struct bh_allow *const *v = bh_allow_index_find(&k->index, from, to, &n);

	for (size_t i = 0; i < n; i++) {
		struct bh_portset ports = {0};
		bool hit;
		int r;

		if (!bh_allow_joins(v[i], from, to))
			continue;
		r = bh_allow_ports(k->p->allow.v, v[i], &ports);
		hit = r == 0 && overlap(wanted, &ports);
		bh_portset_clear(&ports);
		if (r < 0)
			return r;
		if (hit) {
			*ret = &k->p->allow.v[v[i]->rule];
			return 0;
		}
	}
	return 0;
}

/* The ports of WANTED that are (not) in OPEN, as whole entries. */
static void print_ports(const struct bh_portset *wanted, const struct bh_portset *open, bool closed, struct bh_buf *out)
{
	const char *sep = "";
	char text[BH_PORT_TEXT];

	bh_vec_foreach(p, &wanted->ports) {
		if (closed ? bh_portset_has(open, p) : !bh_portset_meets(open, p))
			continue;
		bh_buf_printf(out, "%s%s", sep, bh_port_text(p, text));
		sep = ", ";
	}
}

static int fail(struct check *k, size_t index, const struct bh_end *from, const struct bh_end *to,
	const struct bh_portset *wanted, const struct bh_portset *open)
{
	const struct bh_rule *rule = &k->p->expect.v[index], *opener = NULL;
	struct bh_expect_failure f = {.expect = index, .loc = rule->loc};
	_cleanup_buf_ struct bh_buf b = {0};
	int r = opening_rule(k, from, to, wanted, &opener);

	if (r < 0)
		return r;
	print_end(k, from, &b);
	bh_buf_puts(&b, " to ");
	print_end(k, to, &b);
	if (from->value && to->value && k->p->zones.v[from->zone].per == k->p->zones.v[to->zone].per &&
		(from->value == bh_value_some || to->value == bh_value_some || from->value == bh_value_other ||
		to->value == bh_value_other))
		bh_buf_puts(&b, bh_streq(from->value, to->value) ? " of the same value" : " of another value");
	bh_buf_puts(&b, ": ");
	if (rule->expect_accept && wanted->all) {
		bh_buf_puts(&b, "not every port is open (open: ");
		bh_portset_print(open, &b);
		bh_buf_puts(&b, "), expected accept");
	} else if (rule->expect_accept) {
		print_ports(wanted, open, true, &b);
		bh_buf_puts(&b, " closed, expected accept");
	} else {
		if (wanted->all)
			bh_portset_print(open, &b);
		else
			print_ports(wanted, open, false, &b);
		bh_buf_puts(&b, " open");
		if (opener)
			bh_buf_printf(&b, " (rule at %s:%u)", opener->loc.file, opener->loc.line);
		bh_buf_puts(&b, ", expected deny");
	}
	r = bh_buf_steal(&b, &f.message);
	if (r == 0 && bh_vec_push(&k->failures->v, f) < 0) {
		free(f.message);
		r = -ENOMEM;
	}
	return r;
}

/* One combination of values. 0: holds, 1: fails and was told. */
static int check_ends(struct check *k, size_t index, const struct bh_end *from, const struct bh_end *to)
{
	const struct bh_rule *rule = &k->p->expect.v[index];
	struct bh_portset wanted = {0}, open = {0};
	bool holds;
	int r = wanted_ports(rule, to, &wanted);

	if (r == 0)
		r = bh_allow_open(k->p->allow.v, &k->index, from, to, &open);
	if (r == 0) {
		holds = rule->expect_accept ? bh_portset_covers(&open, &wanted) : !overlap(&wanted, &open);
		if (!holds)
			r = fail(k, index, from, to, &wanted, &open);
		r = r < 0 ? r : !holds;
	}
	bh_portset_clear(&wanted);
	bh_portset_clear(&open);
	return r;
}

static int check_pair(struct check *k, size_t index, const struct bh_allow *pair)
{
	struct values froms = {0}, tos = {0};
	int r = values_of(k, pair, &pair->from, &froms);

	if (r == 0)
		r = values_of(k, pair, &pair->to, &tos);
	for (size_t i = 0; r == 0 && i < froms.v.n; i++)
		for (size_t j = 0; r == 0 && j < tos.v.n; j++) {
			struct bh_end from = pair->from, to = pair->to;

			from.value = froms.v.v[i];
			to.value = tos.v.v[j];
			if (bh_allow_joins(pair, &from, &to))
				r = check_ends(k, index, &from, &to);
		}
	bh_vec_clear(&froms.v);
	bh_vec_clear(&tos.v);
	return r;
}

static int check_expectation(struct check *k, size_t index, struct bh_error *err)
{
	struct bh_allows pairs = {0};
	unsigned told = 0;
	int r = bh_allow_expand(k->p, &k->p->expect.v[index], 1, &pairs, err);

	bh_vec_foreach(pair, &pairs.v) {
		r = told < BH_EXPECT_TOLD ? check_pair(k, index, pair) : 0;
		if (r < 0)
			break;
		told += r > 0;
	}
	bh_allows_clear(&pairs);
	return r < 0 ? r : 0;
}

int bh_expect_check(const struct bh_policy *p, struct bh_expect_failures *ret, struct bh_error *err)
{
	struct bh_expect_failures failures = {0};
	struct check k = {.p = p, .failures = &failures};
	int r = bh_allow_expand(p, p->allow.v, p->allow.n, &k.allows, err);

	if (r == 0)
		r = bh_allow_index_make(&k.allows, &k.index);
	for (size_t i = 0; r == 0 && i < p->expect.n; i++)
		r = check_expectation(&k, i, err);
	bh_allow_index_clear(&k.index);
	bh_allows_clear(&k.allows);
	if (r < 0) {
		bh_expect_failures_clear(&failures);
		return bh_fail(err, r, "the expectations could not be judged: out of memory");
	}
	*ret = failures;
	return 0;
}
