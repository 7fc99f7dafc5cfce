/* SPDX-License-Identifier: Apache-2.0 */
#include <bulkhead/allow.h>

#include <errno.h>

static int zones_cmp(const struct bh_end *from, const struct bh_end *to, const struct bh_allow *b)
{
	const int i[] = {(int)from->builtin, from->builtin ? 0 : from->zone, (int)to->builtin, to->builtin ? 0 : to->zone};
	const int j[] = {(int)b->from.builtin, b->from.builtin ? 0 : b->from.zone, (int)b->to.builtin,
		b->to.builtin ? 0 : b->to.zone};

	for (size_t k = 0; k < BH_ARRAY_SIZE(i); k++)
		if (i[k] != j[k])
			return i[k] < j[k] ? -1 : 1;
	return 0;
}

static int allow_cmp(const void *x, const void *y)
{
	const struct bh_allow *a = *(const struct bh_allow *const *)x, *b = *(const struct bh_allow *const *)y;
	int r = zones_cmp(&a->from, &a->to, b);

	return r ? r : a < b ? -1 : a > b;	/* they lie in the order of the rules */
}

int bh_allow_index_make(const struct bh_allows *allows, struct bh_allow_index *ret)
{
	struct bh_allow_index i = {0};

	if (bh_vec_reserve_(&i.v.v, &i.v.cap, allows->v.n, sizeof(*i.v.v)) < 0)
		return -ENOMEM;
	bh_vec_foreach(a, &allows->v)
		i.v.v[i.v.n++] = a;
	if (i.v.n > 1)
		qsort(i.v.v, i.v.n, sizeof(*i.v.v), allow_cmp);
	*ret = i;
	return 0;
}

void bh_allow_index_clear(struct bh_allow_index *i)
{
	bh_vec_clear(&i->v);
}

const struct bh_allow *const *bh_allow_index_find(const struct bh_allow_index *i, const struct bh_end *from,
	const struct bh_end *to, size_t *ret_n)
{
	size_t low = 0, high = i->v.n, n = 0;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (zones_cmp(from, to, i->v.v[mid]) > 0)
			low = mid + 1;
		else
			high = mid;
	}
	while (low + n < i->v.n && zones_cmp(from, to, i->v.v[low + n]) == 0)
		n++;
	*ret_n = n;
	return n ? i->v.v + low : NULL;
}

int bh_allow_open(const struct bh_rule *rules, const struct bh_allow_index *index, const struct bh_end *from,
	const struct bh_end *to, struct bh_portset *ret)
{
	size_t n;
	const struct bh_allow *const *v = bh_allow_index_find(index, from, to, &n);

	for (size_t i = 0; i < n; i++)
		if (bh_allow_joins(v[i], from, to) && bh_allow_ports(rules, v[i], ret) < 0)
			return -ENOMEM;
	return 0;
}
