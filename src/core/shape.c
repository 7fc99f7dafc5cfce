/* SPDX-License-Identifier: Apache-2.0 */
/* Shaping as data: order, equality, text, union. What the policy wants is made in shape_compile.c. */
#include <bulkhead/compile.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

void bh_shape_free(struct bh_shape *s)
{
	if (!s)
		return;
	for (int d = 0; d < BH_DIRECTION_MAX; d++)
		bh_vec_clear(&s->classes[d]);
	bh_vec_clear(&s->ports);
	free(s);
}

static int class_cmp(const void *a, const void *b)
{
	const struct bh_class *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

static int port_cmp(const void *a, const void *b)
{
	const struct bh_shaped_port *x = a, *y = b;

	return (x->ifindex > y->ifindex) - (x->ifindex < y->ifindex);
}

void bh_shape_sort(struct bh_shape *s)
{
	for (int d = 0; d < BH_DIRECTION_MAX; d++)
		if (s->classes[d].n)
			qsort(s->classes[d].v, s->classes[d].n, sizeof(*s->classes[d].v), class_cmp);
	if (s->ports.n)
		qsort(s->ports.v, s->ports.n, sizeof(*s->ports.v), port_cmp);
}

const struct bh_class *bh_shape_class(const struct bh_shape *s, enum bh_direction d, uint32_t id)
{
	const struct bh_class key = { .id = id };

	if (s->classes[d].n == 0)
		return NULL;
	return bsearch(&key, s->classes[d].v, s->classes[d].n, sizeof(key), class_cmp);
}

const struct bh_shaped_port *bh_shape_port(const struct bh_shape *s, int ifindex)
{
	const struct bh_shaped_port key = { .ifindex = ifindex };

	if (s->ports.n == 0)
		return NULL;
	return bsearch(&key, s->ports.v, s->ports.n, sizeof(key), port_cmp);
}

bool bh_class_equal(const struct bh_class *a, const struct bh_class *b)
{
	return a->id == b->id && a->parent == b->parent && a->rate_bps == b->rate_bps && a->ceil_bps == b->ceil_bps &&
		a->leaf == b->leaf;
}

/* tc knows of a port whether it is redirected into the ingress tree, and nothing else; see shape.h. */
static const struct bh_shaped_port *next_redirected(const struct bh_shape *s, size_t *i)
{
	while (*i < s->ports.n)
		if (s->ports.v[(*i)++].class_id[BH_INGRESS])
			return &s->ports.v[*i - 1];
	return NULL;
}

static bool ports_equal(const struct bh_shape *a, const struct bh_shape *b)
{
	size_t i = 0, j = 0;

	for (;;) {
		const struct bh_shaped_port *p = next_redirected(a, &i), *q = next_redirected(b, &j);

		if (!p || !q)
			return p == q;
		if (p->ifindex != q->ifindex || strcmp(p->name, q->name) != 0)
			return false;
		if (p->class_id[BH_INGRESS] == BH_REDIRECT_STALE || q->class_id[BH_INGRESS] == BH_REDIRECT_STALE)
			return false;
	}
}

bool bh_shape_equal(const struct bh_shape *a, const struct bh_shape *b)
{
	for (int d = 0; d < BH_DIRECTION_MAX; d++) {
		if (a->present[d] != b->present[d] || a->classes[d].n != b->classes[d].n)
			return false;
		for (size_t i = 0; i < a->classes[d].n; i++)
			if (!bh_class_equal(&a->classes[d].v[i], &b->classes[d].v[i]))
				return false;
	}
	return ports_equal(a, b);
}

int bh_shape_copy(struct bh_shape **ret, const struct bh_shape *src)
{
	_cleanup_(bh_shape_freep) struct bh_shape *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	for (int d = 0; d < BH_DIRECTION_MAX; d++) {
		s->present[d] = src->present[d];
		s->missing[d] = src->missing[d];
		bh_vec_foreach(c, &src->classes[d])
			if (bh_vec_push(&s->classes[d], *c) < 0)
				return -ENOMEM;
	}
	bh_vec_foreach(p, &src->ports)
		if (bh_vec_push(&s->ports, *p) < 0)
			return -ENOMEM;
	*ret = bh_take(s);
	return 0;
}

int bh_shape_union(const struct bh_shape *wanted, const struct bh_shape *seen, struct bh_shape **ret)
{
	_cleanup_(bh_shape_freep) struct bh_shape *s = NULL;

	if (bh_shape_copy(&s, wanted) < 0)
		return -ENOMEM;
	for (int d = 0; d < BH_DIRECTION_MAX; d++) {
		s->present[d] |= seen->present[d];
		bh_vec_foreach(c, &seen->classes[d])
			if (!bh_shape_class(wanted, d, c->id) && bh_vec_push(&s->classes[d], *c) < 0)
				return -ENOMEM;
	}
	bh_vec_foreach(p, &seen->ports)
		if (!bh_shape_port(wanted, p->ifindex) && bh_vec_push(&s->ports, *p) < 0)
			return -ENOMEM;
	bh_shape_sort(s);
	*ret = bh_take(s);
	return 0;
}

static void print_class(const struct bh_class *c, struct bh_buf *out)
{
	bh_buf_printf(out, "\tclass %" PRIx32 ":%" PRIx32 " parent %" PRIx32 ":%" PRIx32 " rate %" PRIu64 "bit ceil %" PRIu64
		"bit%s\n", c->id >> 16, c->id & 0xffff, c->parent >> 16, c->parent & 0xffff, c->rate_bps, c->ceil_bps,
		c->leaf ? " leaf" : "");
}

static void print_port(const struct bh_shaped_port *p, struct bh_buf *out)
{
	bh_buf_puts(out, "port ");
	bh_buf_put_safe(out, p->name, sizeof(p->name));
	for (int d = 0; d < BH_DIRECTION_MAX; d++)
		if (p->class_id[d])
			bh_buf_printf(out, " %s %" PRIx32 ":%" PRIx32, bh_direction_name(d), p->class_id[d] >> 16,
				p->class_id[d] & 0xffff);
	bh_buf_puts(out, p->exempt ? " exempt\n" : "\n");
}

int bh_shape_print(const struct bh_shape *s, struct bh_buf *out)
{
	static const char *const devices[] = { [BH_EGRESS] = BH_IFB_EGRESS, [BH_INGRESS] = BH_IFB_INGRESS };

	for (int d = 0; d < BH_DIRECTION_MAX; d++) {
		if (!s->present[d])
			continue;
		bh_buf_printf(out, "tree %s\n", devices[d]);
		bh_vec_foreach(c, &s->classes[d])
			print_class(c, out);
	}
	bh_vec_foreach(p, &s->ports)
		print_port(p, out);
	return out->err;
}

void bh_shape_withdraw(struct bh_ruleset *ruleset)
{
	struct bh_table *t = &ruleset->tables[BH_FAMILY_NETDEV];

	bh_vec_foreach(c, &t->chains)
		bh_chain_clear(c);
	bh_vec_clear(&t->chains);
	bh_vec_foreach(s, &t->sets)
		bh_set_clear(s);
	bh_vec_clear(&t->sets);
	t->present = false;
	t->flags = 0;
}
