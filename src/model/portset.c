/* SPDX-License-Identifier: Apache-2.0 */
#include <bulkhead/allow.h>

#include <errno.h>
#include <string.h>

void bh_portset_clear(struct bh_portset *s)
{
	bh_vec_clear(&s->ports);
	s->all = false;
}

int bh_portset_add_all(struct bh_portset *s)
{
	bh_portset_clear(s);
	s->all = true;
	return 0;
}

/* A protocol that is open whole, by its bounds: it holds port 0 too, which no range can name. */
static unsigned first_of(const struct bh_port *p)
{
	return p->all ? 0 : p->first;
}

static unsigned last_of(const struct bh_port *p)
{
	return p->all ? 65535 : p->last;
}

int bh_portset_add(struct bh_portset *s, const struct bh_port *p)
{
	struct bh_port add = *p;
	size_t i = 0, from;

	if (s->all)
		return 0;
	if (bh_vec_reserve_(&s->ports.v, &s->ports.cap, s->ports.n + 1, sizeof(*s->ports.v)) < 0)
		return -ENOMEM;
	/* Skip what lies before and does not touch, swallow what touches. */
	while (i < s->ports.n && (s->ports.v[i].proto < add.proto ||
		(s->ports.v[i].proto == add.proto && last_of(&s->ports.v[i]) + 1 < first_of(&add))))
		i++;
	from = i;
	while (i < s->ports.n && s->ports.v[i].proto == add.proto && first_of(&s->ports.v[i]) <= last_of(&add) + 1) {
		add.all |= s->ports.v[i].all;
		if (s->ports.v[i].first < add.first)
			add.first = s->ports.v[i].first;
		if (s->ports.v[i].last > add.last)
			add.last = s->ports.v[i].last;
		i++;
	}
	if (add.all)
		add.first = add.last = 0;
	memmove(s->ports.v + from + 1, s->ports.v + i, (s->ports.n - i) * sizeof(*s->ports.v));
	s->ports.n = s->ports.n - (i - from) + 1;
	s->ports.v[from] = add;
	return 0;
}

bool bh_portset_has(const struct bh_portset *s, const struct bh_port *p)
{
	if (s->all)
		return true;
	bh_vec_foreach(q, &s->ports)
		if (q->proto == p->proto && first_of(q) <= first_of(p) && last_of(q) >= last_of(p))
			return true;
	return false;
}

bool bh_portset_meets(const struct bh_portset *s, const struct bh_port *p)
{
	if (s->all)
		return true;
	bh_vec_foreach(q, &s->ports)
		if (q->proto == p->proto && first_of(q) <= last_of(p) && last_of(q) >= first_of(p))
			return true;
	return false;
}

bool bh_portset_is_empty(const struct bh_portset *s)
{
	return !s->all && s->ports.n == 0;
}

bool bh_portset_covers(const struct bh_portset *a, const struct bh_portset *b)
{
	if (a->all)
		return true;
	if (b->all)
		return false;
	bh_vec_foreach(p, &b->ports)
		if (!bh_portset_has(a, p))
			return false;
	return true;
}

static int piece_add(struct bh_portset *s, const struct bh_port *of, unsigned first, unsigned last)
{
	struct bh_port p = *of;

	p.all = of->all && first == 0 && last == 65535;
	p.first = p.all ? 0 : first ? (uint16_t)first : 1;
	p.last = p.all ? 0 : (uint16_t)last;
	return bh_vec_push(&s->ports, p);
}

int bh_portset_minus(const struct bh_portset *a, const struct bh_portset *b, struct bh_portset *ret, struct bh_portset *ret_but)
{
	if (b->all)
		return 0;
	if (a->all) {
		ret->all = true;
		bh_vec_foreach(q, &b->ports)
			if (bh_vec_push(&ret_but->ports, *q) < 0)
				return -ENOMEM;
		return 0;
	}
	bh_vec_foreach(p, &a->ports) {
		unsigned first = first_of(p), end = last_of(p) + 1;

		bh_vec_foreach(q, &b->ports) {
			if (q->proto != p->proto || last_of(q) < first || first_of(q) >= end)
				continue;
			if (first_of(q) > first && piece_add(ret, p, first, first_of(q) - 1) < 0)
				return -ENOMEM;
			first = last_of(q) + 1;
		}
		if (first < end && piece_add(ret, p, first, end - 1) < 0)
			return -ENOMEM;
	}
	return 0;
}

void bh_portset_print(const struct bh_portset *s, struct bh_buf *out)
{
	char text[BH_PORT_TEXT];

	if (s->all)
		bh_buf_puts(out, "every port");
	else if (s->ports.n == 0)
		bh_buf_puts(out, "nothing");
	bh_vec_foreach(p, &s->ports)
		bh_buf_printf(out, "%s%s", p == s->ports.v ? "" : ", ", bh_port_text(p, text));
}
