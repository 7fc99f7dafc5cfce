/* SPDX-License-Identifier: Apache-2.0 */
#include "kinds.h"

#include <errno.h>
#include <string.h>

#define BUCKETS 8192u
#define NONE -1

struct bh_kinds {
	struct bh_kind v[BH_KINDS_MAX];
	int bucket[BUCKETS];
	int newest, oldest;
	int used;
	uint64_t seq;
	struct bh_kind *since[BH_KINDS_MAX];
};

int bh_kinds_new(struct bh_kinds **ret)
{
	struct bh_kinds *k = calloc(1, sizeof(*k));

	if (!k)
		return -ENOMEM;
	for (size_t i = 0; i < BUCKETS; i++)
		k->bucket[i] = NONE;
	k->newest = k->oldest = NONE;
	*ret = k;
	return 0;
}

static void names_free(struct bh_kind *x)
{
	free(x->from);
	free(x->from_zone);
	free(x->to);
	free(x->to_zone);
}

void bh_kinds_free(struct bh_kinds *k)
{
	if (!k)
		return;
	for (int i = 0; i < k->used; i++)
		names_free(&k->v[i]);
	free(k);
}

/* FNV-1a, 32 bits. Names are chosen by strangers, who gain no more than a slow look-up in a table of bounded size. */
static uint32_t hash_bytes(uint32_t h, const void *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = (h ^ ((const uint8_t *)p)[i]) * 16777619u;
	return h;
}

static uint32_t hash(const struct bh_kind *x, int port)
{
	const uint8_t fixed[] = {(uint8_t)x->class, x->audit, x->proto, (uint8_t)port, (uint8_t)(port >> 8), port < 0};
	uint32_t h = hash_bytes(2166136261u, fixed, sizeof(fixed));

	h = hash_bytes(h, x->from, strlen(x->from) + 1);
	return hash_bytes(h, x->to, strlen(x->to) + 1) % BUCKETS;
}

static bool is_same(const struct bh_kind *a, const struct bh_kind *b, int port)
{
	return a->class == b->class && a->audit == b->audit && a->proto == b->proto && a->port == port && bh_streq(a->from, b->from) &&
	       bh_streq(a->to, b->to) && bh_streq(a->from_zone, b->from_zone) && bh_streq(a->to_zone, b->to_zone);
}

static int find(const struct bh_kinds *k, const struct bh_kind *what, int port)
{
	for (int i = k->bucket[hash(what, port)]; i != NONE; i = k->v[i].next_in_bucket)
		if (is_same(&k->v[i], what, port))
			return i;
	return NONE;
}

static void unlink_age(struct bh_kinds *k, int i)
{
	struct bh_kind *x = &k->v[i];

	*(x->newer == NONE ? &k->newest : &k->v[x->newer].older) = x->older;
	*(x->older == NONE ? &k->oldest : &k->v[x->older].newer) = x->newer;
}

static void link_newest(struct bh_kinds *k, int i)
{
	k->v[i].newer = NONE;
	k->v[i].older = k->newest;
	*(k->newest == NONE ? &k->oldest : &k->v[k->newest].newer) = i;
	k->newest = i;
}

static void forget_oldest(struct bh_kinds *k, int *ret)
{
	int i = k->oldest;
	int *at = &k->bucket[hash(&k->v[i], k->v[i].port)];

	while (*at != i)
		at = &k->v[*at].next_in_bucket;
	*at = k->v[i].next_in_bucket;
	unlink_age(k, i);
	names_free(&k->v[i]);
	memset(&k->v[i], 0, sizeof(k->v[i]));
	*ret = i;
}

static int add(struct bh_kinds *k, const struct bh_kind *what, int port, uint64_t now_usec)
{
	struct bh_kind x = {.class = what->class, .audit = what->audit, .proto = what->proto, .port = port, .first_usec = now_usec};
	uint32_t bucket = hash(what, port);
	int i;

	x.from = strdup(what->from);
	x.from_zone = strdup(what->from_zone);
	x.to = strdup(what->to);
	x.to_zone = strdup(what->to_zone);
	if (!x.from || !x.from_zone || !x.to || !x.to_zone) {
		names_free(&x);
		return -ENOMEM;
	}
	if (k->used < BH_KINDS_MAX)
		i = k->used++;
	else
		forget_oldest(k, &i);
	k->v[i] = x;
	k->v[i].next_in_bucket = k->bucket[bucket];
	k->bucket[bucket] = i;
	link_newest(k, i);
	return i;
}

/* The entry of all ports of the pair: it counts how many are kept apart, and stands for those beyond. */
static int all_ports(struct bh_kinds *k, const struct bh_kind *what, uint64_t now_usec)
{
	int i = find(k, what, BH_PORT_MANY);

	if (i != NONE)
		return i;
	i = add(k, what, BH_PORT_MANY, now_usec);
	if (i >= 0)
		k->v[i].hidden = true;
	return i;
}

int bh_kinds_note(struct bh_kinds *k, const struct bh_kind *what, uint64_t now_usec, struct bh_kind **ret, bool *ret_first)
{
	int i = find(k, what, what->port), all;
	bool first = false;

	if (i == NONE && what->port >= 0) {
		all = all_ports(k, what, now_usec);
		if (all < 0)
			return all;
		if (k->v[all].ports >= BH_KINDS_PORTS) {
			i = all;
			first = k->v[i].hidden;
			k->v[i].hidden = false;
		} else {
			k->v[all].ports++;
		}
		unlink_age(k, all);	/* as young as the youngest of its ports */
		link_newest(k, all);
	}
	if (i == NONE) {
		i = add(k, what, what->port, now_usec);
		if (i < 0)
			return i;
		first = true;
	}
	unlink_age(k, i);
	link_newest(k, i);
	k->v[i].count++;
	k->v[i].last_usec = now_usec;
	k->v[i].from_addr = what->from_addr;
	k->v[i].to_addr = what->to_addr;
	k->v[i].via = what->via;
	k->v[i].via_port = what->via_port;
	k->v[i].second_leg = what->second_leg;
	k->v[i].seq = ++k->seq;
	*ret = &k->v[i];
	*ret_first = first;
	return 0;
}

void bh_kinds_each(struct bh_kinds *k, bh_kind_fn fn, void *userdata)
{
	for (int i = k->newest; i != NONE; i = k->v[i].older)
		if (!k->v[i].hidden)
			fn(userdata, &k->v[i]);
}

uint64_t bh_kinds_seq(const struct bh_kinds *k)
{
	return k->seq;
}

static int seq_cmp(const void *va, const void *vb)
{
	const struct bh_kind *a = *(struct bh_kind *const *)va, *b = *(struct bh_kind *const *)vb;

	return (a->seq > b->seq) - (a->seq < b->seq);
}

size_t bh_kinds_since(struct bh_kinds *k, uint64_t seq, size_t max, struct bh_kind *const **ret)
{
	size_t n = 0;

	for (int i = k->newest; i != NONE && k->seq > seq; i = k->v[i].older)
		if (!k->v[i].hidden && k->v[i].seq > seq)
			k->since[n++] = &k->v[i];
	/* that of all ports of a pair is among the young when one of them is */
	if (n > 1)
		qsort(k->since, n, sizeof(*k->since), seq_cmp);
	*ret = k->since;
	return n < max ? n : max;
}
