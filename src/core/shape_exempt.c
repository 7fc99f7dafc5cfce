/* SPDX-License-Identifier: Apache-2.0 */
/* What is exempt from caps, as sets of addresses: who is at an address is what the rules say (compile_world.c), but that an address of
 * this host is `host`, and that what a container could be at is never exempt: container networks, what containers forward for,
 * link-local addresses but the host's own (each link has them), and what is for everybody. */
#include "compile_priv.h"

#include <errno.h>
#include <string.h>

static int add_hosts(const struct bh_host *host, struct spans *s)
{
	bh_vec_foreach(a, &host->addrs) {
		const struct bh_prefix one = {.addr = a->prefix.addr, .len = a->prefix.addr.family == 4 ? 32 : 128};

		if (spans_add(s, &one, RANK_ADDRESS, BH_ID_HOST) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int add_forwarded(const struct bh_policy *p, struct spans *s)
{
	bh_vec_foreach(z, &p->zones)
		bh_vec_foreach(f, &z->forwards)
			if (spans_add(s, f, RANK_NETWORK, BH_ID_CONTAINER_NETWORK) < 0)
				return -ENOMEM;
	return 0;
}

static int add_everything(struct compiler *c, struct spans *s)
{
	static const char *const all[] = {"0.0.0.0/0", "::/0"};
	static const char *const never[] = {"0.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32", "ff00::/8", "fe80::/10"};
	int r = host_bridges(c);

	if (r == 0)
		r = world_add(c, s);
	if (r == 0)
		r = add_forwarded(c->in->policy, s);
	if (r == 0)
		r = add_hosts(c->in->host, s);
	if (r == 0)
		r = spans_add_text(s, never, BH_ARRAY_SIZE(never), RANK_ADDRESS, 0);
	return r == 0 ? spans_add_text(s, all, BH_ARRAY_SIZE(all), RANK_REST, BH_ID_INTERNET) : r;
}

static bool ref_means(const struct bh_compile_input *in, const struct bh_zone_ref *ref, uint32_t id)
{
	switch (ref->builtin) {
	case BH_BUILTIN_HOST:
		return id == BH_ID_HOST;
	case BH_BUILTIN_LAN:
		return id == BH_ID_LAN;
	case BH_BUILTIN_INTERNET:
		return id == BH_ID_INTERNET;
	case BH_BUILTIN_WORLD:
		return id == BH_ID_LAN || id == BH_ID_INTERNET;
	case BH_BUILTIN_METADATA:
		return id == BH_ID_METADATA;
	default:
		break;
	}
	bh_vec_foreach(i, &in->placement->insts)
		if (i->zone >= 0 && i->zone == ref->zone && i->id == id)
			return true;
	return false;
}

static bool is_exempt(const struct bh_compile_input *in, const struct bh_zone *z, uint32_t id)
{
	bh_vec_foreach(ref, &z->exempt)
		if (ref_means(in, ref, id))
			return true;
	return false;
}

static int on_range(void *userdata, const struct span_range *r)
{
	struct exempt_world *w = userdata;

	return bh_vec_push(&w->ranges, *r);
}

int exempt_world(const struct bh_compile_input *in, struct exempt_world *ret)
{
	struct compiler c = {.in = in};
	struct spans all = {0};
	int r = add_everything(&c, &all);

	if (r == 0)
		r = spans_flatten(&all, 4, on_range, ret);
	if (r == 0)
		r = spans_flatten(&all, 6, on_range, ret);
	bh_vec_clear(&all.v);
	bh_vec_clear(&c.own);
	bh_vec_clear(&c.exempt);
	return r;
}

void exempt_name(const struct bh_policy *p, size_t zone, const char *prefix, char ret[BH_NAME])
{
	name_numbered(prefix, (uint32_t)zone, p->zones.v[zone].name, ret);
}

/* What two zones have side by side is one element. */
static int put_set(const struct bh_compile_input *in, const struct exempt_world *w, struct bh_table *t, size_t zone, const char *prefix,
	uint8_t family, enum bh_field field)
{
	const struct bh_zone *z = &in->policy->zones.v[zone];
	struct bh_set *set = bh_vec_add(&t->sets);
	struct bh_addr next = {0};

	if (!set)
		return -ENOMEM;
	exempt_name(in->policy, zone, prefix, set->name);
	set->key[set->n_key++] = field;
	set->flags = BH_SET_INTERVAL;
	bh_vec_foreach(r, &w->ranges) {
		struct key first = {0}, last = {0};
		struct bh_elem *e;

		if (r->first.family != family || !is_exempt(in, z, r->id))
			continue;
		key_addr(&first, &r->first);
		key_addr(&last, &r->last);
		e = next.family && bh_addr_cmp(&next, &r->first) == 0 ? &set->elems.v[set->elems.n - 1] : elem_in(set, &first);
		if (!e)
			return -ENOMEM;
		memcpy(e->key_end, last.b, sizeof(e->key_end));
		if (!bh_addr_next(&r->last, &next))
			next.family = 0;
	}
	return 0;
}

int exempt_put(const struct bh_compile_input *in, const struct exempt_world *w, struct bh_table *t, size_t zone, enum bh_field field4,
	enum bh_field field6)
{
	char name[BH_NAME];
	int r;

	exempt_name(in->policy, zone, "exempt4", name);
	if (bh_table_set(t, name))
		return 0;
	r = put_set(in, w, t, zone, "exempt4", 4, field4);
	return r < 0 ? r : put_set(in, w, t, zone, "exempt6", 6, field6);
}
