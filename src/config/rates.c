/* SPDX-License-Identifier: Apache-2.0 */
/* Bandwidth: `egress: 50mbit`, or `egress: {guarantee: 10mbit, max: 50mbit}`, of whom, and what is exempt. */
#include "config.h"

#include <stdio.h>

/* One direction while it is read. */
struct direction {
	const char *name;
	uint64_t guarantee, max;
	const struct bh_loc *where;	/* of the guarantee */
};

static void read_guarantee(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	struct direction *d = target;
	char what[32];

	d->where = &key->loc;
	snprintf(what, sizeof(what), "guarantee of %s", d->name);
	bh_cfg_rate(c, value, what, &d->guarantee);
}

static void read_max(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	struct direction *d = target;
	char what[32];

	(void)key;
	snprintf(what, sizeof(what), "max of %s", d->name);
	bh_cfg_rate(c, value, what, &d->max);
}

static void read_direction(struct bh_cfg *c, const struct bh_node *n, const char *name, uint64_t *cap, uint64_t *guarantee)
{
	enum { GUARANTEE, MAX };
	static const struct bh_key keys[] = {
		[GUARANTEE] = {"guarantee", read_guarantee, 0},
		[MAX] = {"max", read_max, 0},
	};
	struct direction d = {.name = name};
	unsigned seen;

	if (!guarantee || n->kind != BH_NODE_MAP) {
		bh_cfg_rate(c, n, name, cap);
		return;
	}
	if (!bh_cfg_is_map(c, n, name))
		return;
	seen = bh_cfg_map(c, n, name, keys, BH_ARRAY_SIZE(keys), &d);
	if (!(seen & 1u << MAX))
		bh_cfg_error(c, &n->loc, "%s has no max: what is guaranteed is a part of a cap", name);
	else if (d.max && d.guarantee > d.max)
		bh_cfg_error(c, d.where, "the guarantee of %s is more than its max", name);
	*cap = d.max;
	*guarantee = d.guarantee;
}

/* Where a mapping of egress and ingress goes. */
struct pair {
	struct bh_rates *caps, *guarantees;
};

static void read_egress(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	struct pair *p = target;

	(void)key;
	read_direction(c, value, "egress", &p->caps->egress_bps, p->guarantees ? &p->guarantees->egress_bps : NULL);
}

static void read_ingress(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	struct pair *p = target;

	(void)key;
	read_direction(c, value, "ingress", &p->caps->ingress_bps, p->guarantees ? &p->guarantees->ingress_bps : NULL);
}

/* GUARANTEES NULL: only caps can stand there. */
static void read_rates(struct bh_cfg *c, const struct bh_node *n, const char *where, struct bh_rates *caps, struct bh_rates *guarantees)
{
	static const struct bh_key keys[] = {{"egress", read_egress, 0}, {"ingress", read_ingress, 0}};
	struct pair p = {.caps = caps, .guarantees = guarantees};

	if (bh_cfg_is_map(c, n, where))
		bh_cfg_map(c, n, where, keys, BH_ARRAY_SIZE(keys), &p);
}

void bh_cfg_host_bandwidth(struct bh_cfg *c, const struct bh_node *value)
{
	read_rates(c, value, "bandwidth", &c->policy->host_rates, NULL);
}

static void read_container(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	struct bh_zone *z = target;

	(void)key;
	read_rates(c, value, "bandwidth of the container", &z->container_rates, &z->container_guarantees);
}

static void read_zone(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	struct bh_zone *z = target;

	(void)key;
	read_rates(c, value, "bandwidth of the zone", &z->zone_rates, &z->zone_guarantees);
}

static void add_exempt(struct bh_cfg *c, const struct bh_node *n, struct bh_zone *z)
{
	struct bh_zone_ref ref;

	if (bh_cfg_ref(c, n, "exempt", &ref) && bh_vec_push(&z->exempt, ref) < 0) {
		bh_zone_ref_clear(&ref);
		bh_cfg_oom(c);
	}
}

static void read_exempt(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	(void)key;
	if (value->kind == BH_NODE_SCALAR) {
		add_exempt(c, value, target);
	} else if (bh_cfg_is_list(c, value, "exempt", "[lan]")) {
		bh_vec_foreach(i, &value->items)
			add_exempt(c, *i, target);
	}
}

void bh_cfg_zone_bandwidth(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, struct bh_zone *z)
{
	enum { CONTAINER, ZONE, EXEMPT };
	static const struct bh_key keys[] = {
		[CONTAINER] = {"container", read_container, 0},
		[ZONE] = {"zone", read_zone, 0},
		[EXEMPT] = {"exempt", read_exempt, 0},
	};
	unsigned seen;

	if (!bh_cfg_is_map(c, value, "bandwidth"))
		return;
	seen = bh_cfg_map(c, value, "bandwidth", keys, BH_ARRAY_SIZE(keys), z);
	if (seen == 1u << EXEMPT)
		bh_cfg_error(c, &key->loc, "bandwidth has 'exempt' alone: there is no cap of container or zone to be exempt from");
}
