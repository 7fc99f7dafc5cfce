/* SPDX-License-Identifier: Apache-2.0 */
/* Limits on the connections that a container opens. Addresses lead to the container's number, the number to its zone, the zone to
 * the chain that holds its limits: one a pair of limits, however many zones and containers have it. What is counted hangs on the
 * container's number in a set that is named after the limit, because an element keeps the limit that it was made with: another
 * limit is another set. */
#include "compile_priv.h"
#include "skel.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SIZE 65535u
#define DENIALS 100u	/* a second, and at once, that are counted: see count_chain() */
/* A bucket that nothing was taken from for as long as it takes to fill is a new one: only then may it be forgotten. */
#define SECOND_MS 10000u
#define MINUTE_MS 120000u

struct limits {
	uint64_t max, rate;
	bool per_minute;
};

static bool limits_of(const struct compiler *c, const struct bh_zone_inst *i, struct limits *ret)
{
	const struct bh_zone *z = i->builtin == BH_BUILTIN_NONE ? bh_inst_zone(c->in->policy, i) : NULL;

	if (!z || !bh_zone_is_limited(c->in->policy, z))
		return false;
	*ret = (struct limits){.max = z->conn_max, .rate = z->conn_new, .per_minute = z->conn_new_per_minute};
	return true;
}

bool limits_any(const struct bh_policy *p)
{
	bh_vec_foreach(z, &p->zones)
		if (bh_zone_is_limited(p, z))
			return true;
	return false;
}

static void name_rate(const struct limits *l, const char *prefix, char ret[BH_NAME])
{
	snprintf(ret, BH_NAME, "%s_%" PRIu64 "%c", prefix, l->rate, l->per_minute ? 'm' : 's');
}

static void name_max(const struct limits *l, const char *prefix, char ret[BH_NAME])
{
	snprintf(ret, BH_NAME, "%s_%" PRIu64, prefix, l->max);
}

/* "open_2000_200s", "open_2000", "open_200s" */
static void name_open(const struct limits *l, char ret[BH_NAME])
{
	char prefix[BH_NAME] = "open";

	if (l->max)
		name_max(l, "open", prefix);
	if (l->rate)
		name_rate(l, prefix, ret);
	else
		memcpy(ret, prefix, BH_NAME);
}

static int meter_set(struct compiler *c, const char *name, uint32_t timeout_ms)
{
	struct bh_set *s = bh_table_set(c->inet, name);

	if (s)
		return 0;
	s = bh_vec_add(&c->inet->sets);
	if (!s)
		return -ENOMEM;
	memcpy(s->name, name, BH_NAME);
	s->key[0] = BH_PRIORITY;
	s->n_key = 1;
	s->flags = BH_SET_DYNAMIC | (timeout_ms ? BH_SET_TIMEOUT : 0u);
	s->timeout_ms = timeout_ms;
	s->size = SIZE;
	return 0;
}

/* Under the limit the element's expression lets the rule go on; a full set, or no memory, denies. */
static int meter_rule(struct bh_chain *chain, const char *set, enum bh_meter meter, uint64_t n, const char *then)
{
	const struct skel_rule rule = RULE(METERED(set, 0, meter, (uint32_t)n, BH_PRIORITY), GOTO(then));

	return skel_rule_add(chain, &rule);
}

/* The kernel counts by walking over all that it has counted, and what is denied stays on its list until the next walk: a container that
 * hammers at its limit would cost the more the higher the limit is. So who does is denied for a moment without being counted. */
static int count_chain(struct compiler *c, const struct limits *l, const char *name)
{
	const struct skel_rule full = RULE(UPDATE("full", 0, BH_PRIORITY), GOTO("deny_limit"));
	const struct skel_rule deny = RULE(GOTO("deny_limit"));
	char set[BH_NAME];
	struct bh_chain *chain;

	name_max(l, "max", set);
	if (bh_table_chain(c->inet, name))
		return 0;
	if (meter_set(c, set, 0) < 0)
		return -ENOMEM;
	chain = bh_vec_add(&c->inet->chains);
	if (!chain)
		return -ENOMEM;
	memcpy(chain->name, name, BH_NAME);
	if (meter_rule(chain, set, BH_METER_FLOWS, l->max, "restore") < 0 ||
		meter_rule(chain, "pressed", BH_METER_PER_SECOND, DENIALS, "deny_limit") < 0 || skel_rule_add(chain, &full) < 0)
		return -ENOMEM;
	return skel_rule_add(chain, &deny);
}

/* What is denied for its rate is not counted, and what is denied while the container is full takes nothing from its rate. */
static int open_rules(struct compiler *c, struct bh_chain *chain, const struct limits *l, const char *counting)
{
	const struct skel_rule begin[] = {FETCH_OPENER};
	const struct skel_rule full = RULE(IN("full", BH_PRIORITY), GOTO("deny_limit"));
	const struct skel_rule count = RULE(GOTO(counting)), deny = RULE(GOTO("deny_limit"));
	char set[BH_NAME];
	int r = 0;

	for (size_t i = 0; i < BH_ARRAY_SIZE(begin) && r == 0; i++)
		r = skel_rule_add(chain, &begin[i]);
	if (r == 0 && l->max)
		r = skel_rule_add(chain, &full);
	if (r == 0 && l->rate) {
		name_rate(l, "new", set);
		r = meter_set(c, set, l->per_minute ? MINUTE_MS : SECOND_MS);
		if (r == 0)
			r = meter_rule(chain, set, l->per_minute ? BH_METER_PER_MINUTE : BH_METER_PER_SECOND, l->rate,
				l->max ? counting : "restore");
	}
	if (r < 0)
		return r;
	return skel_rule_add(chain, l->rate ? &deny : &count);
}

static int open_chain(struct compiler *c, const struct limits *l, const char *name)
{
	char counting[BH_NAME] = "";
	struct bh_chain *chain;
	struct bh_chain made = {0};

	if (bh_table_chain(c->inet, name))
		return 0;
	if (l->max) {
		name_max(l, "count", counting);
		if (count_chain(c, l, counting) < 0)
			return -ENOMEM;
	}
	memcpy(made.name, name, BH_NAME);
	chain = open_rules(c, &made, l, counting) == 0 ? bh_vec_add(&c->inet->chains) : NULL;
	if (!chain) {
		bh_chain_clear(&made);
		return -ENOMEM;
	}
	*chain = made;
	return 0;
}

/* The number of the container's first port: nothing is remembered, a restart finds the same, and no other container, not even the same
 * one started again, ever inherits it. */
static uint32_t opener_number(const struct bh_member *m)
{
	uint32_t n = 0;

	bh_vec_foreach(at, &m->attachments)
		if (bh_attachment_is_pinned(at) && at->port_ifindex > 0 && (n == 0 || (uint32_t)at->port_ifindex < n))
			n = (uint32_t)at->port_ifindex;
	return n;
}

uint32_t limits_number(const struct compiler *c, const struct bh_member *m)
{
	struct limits l;

	return limits_of(c, &c->in->placement->insts.v[m->inst], &l) ? opener_number(m) : 0;
}

static int opener_addr_put(struct compiler *c, const struct bh_attachment *at, const struct bh_addr *a, uint32_t number)
{
	struct key k = {0};

	key_dev(&k, at->bridge);
	key_addr(&k, a);
	return put_value(c->inet, a->family == 4 ? "opener4" : "opener6", &k, number);
}

static int member_put(struct compiler *c, const struct bh_member *m)
{
	const struct bh_zone_inst *inst = &c->in->placement->insts.v[m->inst];
	uint32_t number = opener_number(m);
	struct key k = {0};
	struct limits l;
	char name[BH_NAME];
	struct bh_set *count;

	if (number == 0 || !limits_of(c, inst, &l))
		return 0;
	key_id(&k, number);
	if (put_value(c->inet, "opener_zone", &k, inst->id) < 0)
		return -ENOMEM;
	name_max(&l, "max", name);
	count = l.max ? bh_table_set(c->inet, name) : NULL;
	if (count && !elem_in(count, &k))	/* who may be counted there */
		return -ENOMEM;
	bh_vec_foreach(at, &m->attachments) {
		struct bh_addr a;

		for (size_t i = 0; bh_attachment_is_pinned(at) && bh_attachment_addr(at, i, &a); i++)
			if (opener_addr_put(c, at, &a, number) < 0)
				return -ENOMEM;
	}
	return 0;
}

int limits_compile(struct compiler *c)
{
	bh_vec_foreach(i, &c->in->placement->insts) {
		struct key k = {0};
		struct limits l;
		char name[BH_NAME];

		if (!limits_of(c, i, &l))
			continue;
		name_open(&l, name);
		key_id(&k, i->id);
		if (open_chain(c, &l, name) < 0 || put_verdict(c->inet, "opener_limits", &k, BH_GOTO, name) < 0)
			return -ENOMEM;
	}
	bh_vec_foreach(m, &c->in->placement->members)
		if (member_put(c, m) < 0)
			return -ENOMEM;
	return 0;
}
