/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of elements, and elements into sets. */
#include "compile_priv.h"

#include <errno.h>
#include <string.h>

void key_dev(struct key *k, const char *dev)
{
	uint8_t name[BH_IFNAME] = {0};

	memcpy(name, dev, strnlen(dev, sizeof(name) - 1));
	bh_key_put(k->b, &k->off, name, sizeof(name));
}

void key_id(struct key *k, uint32_t id)
{
	bh_key_put(k->b, &k->off, &id, sizeof(id));
}

void key_u8(struct key *k, uint8_t v)
{
	bh_key_put(k->b, &k->off, &v, 1);
}

void key_port(struct key *k, uint16_t port)
{
	const uint8_t b[2] = {(uint8_t)(port >> 8), (uint8_t)port};

	bh_key_put(k->b, &k->off, b, sizeof(b));
}

void key_addr(struct key *k, const struct bh_addr *a)
{
	bh_key_put(k->b, &k->off, a->b, bh_addr_size(a));
}

void key_mac(struct key *k, const struct bh_mac *m)
{
	bh_key_put(k->b, &k->off, m->b, sizeof(m->b));
}

struct bh_elem *elem_in(struct bh_set *s, const struct key *k)
{
	struct bh_elem *e = bh_vec_add(&s->elems);

	if (!e)
		return NULL;
	memcpy(e->key, k->b, sizeof(e->key));
	if (s->flags & BH_SET_INTERVAL)
		memcpy(e->key_end, k->b, sizeof(e->key_end));
	return e;
}

/* The sets of the skeleton come first: few are looked at. */
static struct bh_elem *elem_add(struct bh_table *t, const char *set, const struct key *k)
{
	struct bh_set *s = bh_table_set(t, set);

	return s ? elem_in(s, k) : NULL;
}

int put(struct bh_table *t, const char *set, const struct key *k)
{
	return elem_add(t, set, k) ? 0 : -ENOMEM;
}

int put_value(struct bh_table *t, const char *set, const struct key *k, uint32_t value)
{
	struct bh_elem *e = elem_add(t, set, k);

	if (!e)
		return -ENOMEM;
	e->value = value;
	return 0;
}

int put_verdict(struct bh_table *t, const char *set, const struct key *k, enum bh_verdict v, const char *chain)
{
	struct bh_elem *e = elem_add(t, set, k);

	if (!e)
		return -ENOMEM;
	e->verdict = v;
	if (chain)
		memcpy(e->chain, chain, strnlen(chain, sizeof(e->chain) - 1));
	return 0;
}

int put_addrs(struct bh_table *t, const char *set, const struct bh_addr *first, const struct bh_addr *last, uint32_t value)
{
	struct key from = {0}, to = {0};

	key_addr(&from, first);
	key_addr(&to, last);
	return put_range(t, set, &from, &to, value);
}

int put_range(struct bh_table *t, const char *set, const struct key *first, const struct key *last, uint32_t value)
{
	struct bh_elem *e = elem_add(t, set, first);

	if (!e)
		return -ENOMEM;
	memcpy(e->key_end, last->b, sizeof(e->key_end));
	e->value = value;
	return 0;
}

/* What is left of a key that two containers claim: an address is quarantined, a published port is one that no rule opens. */
static uint32_t disputed(uint32_t a, uint32_t b)
{
	return a >= BH_ID_LEG || b >= BH_ID_LEG ? BH_ID_CONTAINER_NETWORK : BH_ID_QUARANTINE;
}

/* One key, one element. */
void elems_unique(struct bh_set *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->elems.n; i++) {
		struct bh_elem *e = &s->elems.v[i], *last = n > 0 ? &s->elems.v[n - 1] : NULL;

		if (!last || memcmp(last->key, e->key, sizeof(e->key)) != 0) {
			if (n != i)
				s->elems.v[n] = *e;
			n++;
		} else if (s->data == BH_DATA_PRIORITY && last->value != e->value)
			last->value = disputed(last->value, e->value);
	}
	s->elems.n = n;
}

void set_finish(struct bh_set *s)
{
	bh_set_sort(s);
	elems_unique(s);
}
