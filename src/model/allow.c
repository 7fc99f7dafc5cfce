/* SPDX-License-Identifier: Apache-2.0 */
#include <bulkhead/allow.h>

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

const char bh_value_some[] = "\xff" "1", bh_value_other[] = "\xff" "2";

/* A reference is at most this: every zone of the file and the built-ins that are no unions. */
struct ends {
	BH_VEC(struct bh_end) v;
};

void bh_allows_clear(struct bh_allows *a)
{
	bh_vec_clear(&a->v);
}

bool bh_end_same_zone(const struct bh_end *a, const struct bh_end *b)
{
	return a->builtin == b->builtin && (a->builtin != BH_BUILTIN_NONE || a->zone == b->zone);
}

static bool end_covers(const struct bh_end *a, const struct bh_end *b)
{
	return bh_end_same_zone(a, b) && (!a->value || bh_streq(a->value, b->value));
}

bool bh_end_has_containers(const struct bh_policy *p, const struct bh_end *e)
{
	if (e->builtin != BH_BUILTIN_NONE)
		return e->builtin == BH_BUILTIN_BUILD || e->builtin == BH_BUILTIN_QUARANTINE;
	return p->zones.v[e->zone].kind == BH_ZONE_CONTAINERS;
}

bool bh_ref_has_containers(const struct bh_policy *p, const struct bh_zone_ref *ref)
{
	switch (ref->builtin) {
	case BH_BUILTIN_NONE:
		return p->zones.v[ref->zone].kind == BH_ZONE_CONTAINERS;
	case BH_BUILTIN_CONTAINERS:
	case BH_BUILTIN_BUILD:
	case BH_BUILTIN_QUARANTINE:
	case BH_BUILTIN_ANY:
		return true;
	default:
		return false;
	}
}

bool bh_refs_join_values(const struct bh_policy *p, const struct bh_zone_ref *from, const struct bh_zone_ref *to)
{
	const struct bh_zone *a, *b;

	if (from->builtin != BH_BUILTIN_NONE || to->builtin != BH_BUILTIN_NONE || from->value || to->value)
		return false;
	a = &p->zones.v[from->zone];
	b = &p->zones.v[to->zone];
	return a->per != BH_PER_NONE && a->per == b->per && bh_streq(a->per_label, b->per_label);
}

void bh_end_print(const struct bh_policy *p, const struct bh_end *e, struct bh_buf *out)
{
	bh_buf_puts(out, e->builtin != BH_BUILTIN_NONE ? bh_builtin_name(e->builtin) : p->zones.v[e->zone].name);
	if (e->value) {
		bh_buf_puts(out, ":");
		bh_buf_put_safe(out, e->value, 64);
	}
}

static int ends_add_builtin(const struct bh_policy *p, enum bh_builtin builtin, struct ends *out)
{
	struct bh_end e = {.zone = bh_policy_find_zone(p, bh_builtin_name(builtin)), .builtin = builtin};

	return bh_vec_push(&out->v, e);
}

static int ends_add_zones(const struct bh_policy *p, bool containers_only, struct ends *out)
{
	for (size_t i = 0; i < p->zones.n; i++) {
		struct bh_end e = {.zone = (int)i};

		if (p->zones.v[i].kind == BH_ZONE_BUILTIN ||
			(containers_only && p->zones.v[i].kind != BH_ZONE_CONTAINERS))
			continue;
		if (bh_vec_push(&out->v, e) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* The zones that a reference stands for. */
static int ref_ends(const struct bh_policy *p, const struct bh_zone_ref *ref, bool is_to, struct ends *out)
{
	struct bh_end e = {.zone = ref->zone, .value = ref->value};

	switch (ref->builtin) {
	case BH_BUILTIN_NONE:
		return bh_vec_push(&out->v, e);
	case BH_BUILTIN_CONTAINERS:
		return ends_add_zones(p, true, out) < 0 ? -ENOMEM : ends_add_builtin(p, BH_BUILTIN_BUILD, out);
	case BH_BUILTIN_WORLD:
	case BH_BUILTIN_ANY:
		if (ref->builtin == BH_BUILTIN_ANY &&
			(ends_add_builtin(p, BH_BUILTIN_HOST, out) < 0 || ends_add_zones(p, false, out) < 0 ||
				ends_add_builtin(p, BH_BUILTIN_BUILD, out) < 0 || (is_to && ends_add_builtin(p, BH_BUILTIN_DNS, out) < 0)))
			return -ENOMEM;
		if (ends_add_builtin(p, BH_BUILTIN_LAN, out) < 0)
			return -ENOMEM;
		return ends_add_builtin(p, BH_BUILTIN_INTERNET, out);
	default:
		return ends_add_builtin(p, ref->builtin, out);
	}
}

bool bh_allow_covers(const struct bh_allow *a, const struct bh_allow *b)
{
	return end_covers(&a->from, &b->from) && end_covers(&a->to, &b->to) &&
		(a->values == BH_VALUES_ANY || a->values == b->values);
}

bool bh_allow_joins(const struct bh_allow *a, const struct bh_end *from, const struct bh_end *to)
{
	if (!end_covers(&a->from, from) || !end_covers(&a->to, to))
		return false;
	if (a->values == BH_VALUES_ANY)
		return true;
	return bh_streq(from->value, to->value) == (a->values == BH_VALUES_EQUAL);
}

/* An order in which the pairs between the same two zones lie together, the earlier first. */
static int pair_cmp(const void *x, const void *y, void *pairs)
{
	const struct bh_allow *v = pairs;
	size_t i = *(const size_t *)x, j = *(const size_t *)y;
	const int a[] = {(int)v[i].from.builtin, v[i].from.zone, (int)v[i].to.builtin, v[i].to.zone};
	const int b[] = {(int)v[j].from.builtin, v[j].from.zone, (int)v[j].to.builtin, v[j].to.zone};

	for (size_t k = 0; k < BH_ARRAY_SIZE(a); k++)
		if (a[k] != b[k])
			return a[k] < b[k] ? -1 : 1;
	return i < j ? -1 : i > j;
}

/* Whether another pair of the N at IDX covers the one at K; of equal ones the first stays. */
static bool is_covered(const struct bh_allow *v, const size_t *idx, size_t n, size_t k)
{
	for (size_t j = 0; j < n; j++)
		if (j != k && bh_allow_covers(&v[idx[j]], &v[idx[k]]) &&
			(j < k || !bh_allow_covers(&v[idx[k]], &v[idx[j]])))
			return true;
	return false;
}

/* Drops the pairs since FIRST that another since FIRST covers. */
static int drop_covered(struct bh_allows *out, size_t first)
{
	struct bh_allow *v = out->v.v + first;
	size_t n = out->v.n - first, kept = 0;
	_cleanup_free_ size_t *idx = NULL;
	_cleanup_free_ bool *drop = NULL;

	if (n < 2)
		return 0;
	idx = calloc(n, sizeof(*idx));
	drop = calloc(n, sizeof(*drop));
	if (!idx || !drop)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		idx[i] = i;
	qsort_r(idx, n, sizeof(*idx), pair_cmp, v);
	for (size_t i = 0, end; i < n; i = end) {
		end = i + 1;
		while (end < n && bh_end_same_zone(&v[idx[i]].from, &v[idx[end]].from) &&
			bh_end_same_zone(&v[idx[i]].to, &v[idx[end]].to))
			end++;
		for (size_t k = 0; k < end - i; k++)
			drop[idx[i + k]] = is_covered(v, idx + i, end - i, k);
	}
	for (size_t i = 0; i < n; i++)
		if (!drop[i])
			v[kept++] = v[i];
	out->v.n = first + kept;
	return 0;
}

static bool is_union(const struct bh_zone_ref *ref)
{
	return ref->builtin == BH_BUILTIN_ANY || ref->builtin == BH_BUILTIN_CONTAINERS || ref->builtin == BH_BUILTIN_WORLD;
}

/* The pairs of one reference with another. */
static int expand_refs(const struct bh_policy *p, const struct bh_rule *rule, size_t index,
	const struct bh_zone_ref *from, const struct bh_zone_ref *to, struct bh_allows *out)
{
	bool any = from->builtin == BH_BUILTIN_ANY || to->builtin == BH_BUILTIN_ANY;
	struct ends froms = {0}, tos = {0};
	int r = ref_ends(p, from, false, &froms);

	if (r == 0)
		r = ref_ends(p, to, true, &tos);
	for (size_t i = 0; r == 0 && i < froms.v.n; i++) {
		for (size_t j = 0; r == 0 && j < tos.v.n; j++) {
			const struct bh_end *a = &froms.v.v[i], *b = &tos.v.v[j];
			struct bh_allow allow = {index, *a, *b, BH_VALUES_ANY};

			if ((any && bh_end_same_zone(a, b)) ||
				((is_union(from) || is_union(to)) && !bh_end_has_containers(p, a) &&
					!bh_end_has_containers(p, b)))
				continue;
			if (bh_refs_join_values(p, from, to))
				allow.values = rule->values;
			r = out->v.n < BH_ALLOW_MAX ? bh_vec_push(&out->v, allow) : -E2BIG;
		}
	}
	bh_vec_clear(&froms.v);
	bh_vec_clear(&tos.v);
	return r;
}

static int expand_rule(const struct bh_policy *p, const struct bh_rule *rule, size_t index, struct bh_allows *out)
{
	size_t first = out->v.n;
	int r;

	bh_vec_foreach(from, &rule->from)
		bh_vec_foreach(to, &rule->to) {
			r = expand_refs(p, rule, index, from, to, out);
			if (r < 0)
				return r;
		}
	if (rule->from.n == 1 && rule->to.n == 1)
		return 0;	/* the members of a union are different zones */
	return drop_covered(out, first);
}

int bh_allow_expand(const struct bh_policy *p, const struct bh_rule *rules, size_t n, struct bh_allows *ret,
	struct bh_error *err)
{
	struct bh_allows out = {0};

	for (size_t i = 0; i < n; i++) {
		int r = expand_rule(p, &rules[i], i, &out);

		if (r < 0) {
			bh_allows_clear(&out);
			if (r == -E2BIG)
				return bh_fail(err, r, "the rules open more than %u pairs of zones", BH_ALLOW_MAX);
			return bh_fail(err, r, "out of memory");
		}
	}
	*ret = out;
	return 0;
}

static int add_dns(const struct bh_rule *rule, struct bh_portset *ret)
{
	static const uint8_t protos[] = {IPPROTO_TCP, IPPROTO_UDP};
	struct bh_portset wanted = {.all = rule->ports.n == 0};
	int r = 0;

	bh_vec_foreach(p, &rule->ports)
		if (r == 0)
			r = bh_portset_add(&wanted, p);
	for (size_t i = 0; r == 0 && i < BH_ARRAY_SIZE(protos); i++) {
		struct bh_port p = {.proto = protos[i], .first = 53, .last = 53};

		if (bh_portset_has(&wanted, &p))
			r = bh_portset_add(ret, &p);
	}
	bh_portset_clear(&wanted);
	return r;
}

int bh_allow_ports(const struct bh_rule *rules, const struct bh_allow *a, struct bh_portset *ret)
{
	const struct bh_rule *rule = &rules[a->rule];

	if (a->to.builtin == BH_BUILTIN_DNS)
		return add_dns(rule, ret);
	if (rule->ports.n == 0)
		return bh_portset_add_all(ret);
	bh_vec_foreach(p, &rule->ports) {
		int r = bh_portset_add(ret, p);

		if (r < 0)
			return r;
	}
	return 0;
}
