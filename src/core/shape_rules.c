/* SPDX-License-Identifier: Apache-2.0 */
/* The rules that classify what is shaped. Both directions are told apart by the port alone:
 * - what leaves a container meets the netdev chain of its port, which names the class and sends it through bh-egress;
 * - what goes to it gets its class in the bridge table's postrouting, by the port that it is about to leave through, just
 *   before tc redirects it to bh-ingress. (The netdev egress hook would be the obvious place, but packets that come from an
 *   IFB pass it by: the kernel marks them with nf_skip_egress, and so what one shaped container sends to another
 *   on the same bridge would take the sender's class.)
 * What is exempt is told by the address of the other end, as it stands in the packet that the container sends or gets (on the way out
 * before this host's NAT, on the way in after it): what leaves passes the netdev chain and enters no tree, and is judged all
 * the same; what comes has been judged, and is in the class BH_CLASS_EXEMPT. */
#include "compile_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SHAPE_CHAIN "shape"
#define SHAPE_MAP "shape_in"
#define EXEMPT_MAP "shape_exempt"
#define POSTROUTING_PRIORITY 300	/* after everything that could still set it, before br_netfilter's last */

struct ruling {
	const struct bh_compile_input *in;
	const struct bh_shape *shape;
	struct bh_ruleset *rules;
	struct exempt_world world;	/* empty when nothing is exempt */
};

bool shape_has_exempt(const struct bh_shape *s, enum bh_direction d)
{
	bh_vec_foreach(p, &s->ports)
		if (p->exempt && p->class_id[d])
			return true;
	return false;
}

/* A rule of up to two statements; both belong to it afterwards. */
static int add_rule(struct bh_chain *chain, const struct bh_stmt *a, const struct bh_stmt *b)
{
	struct bh_nft_rule rule = { 0 };

	if (bh_vec_push(&rule.stmts, *a) < 0 || (b && bh_vec_push(&rule.stmts, *b) < 0) ||
		bh_vec_push(&chain->rules, rule) < 0) {
		bh_vec_clear(&rule.stmts);
		return -ENOMEM;
	}
	return 0;
}

/* The rules of both families on what is at the exempt addresses: THEN. */
static int add_exempt_rules(const struct ruling *c, struct bh_chain *chain, size_t zone, enum bh_field field4, enum bh_field field6,
	const struct bh_stmt *then)
{
	static const char *const sets[] = { "exempt4", "exempt6" };
	const enum bh_field fields[] = { field4, field6 };

	for (size_t i = 0; i < BH_ARRAY_SIZE(sets); i++) {
		struct bh_stmt in = { .kind = BH_STMT_LOOKUP, .op = BH_EQ, .fields = { fields[i] }, .n_fields = 1 };

		exempt_name(c->in->policy, zone, sets[i], in.set);
		if (add_rule(chain, &in, then) < 0)
			return -ENOMEM;
	}
	return 0;
}

static const struct bh_stmt accept = { .kind = BH_STMT_VERDICT, .verdict = BH_ACCEPT };

static int add_egress_chain(const struct ruling *c, struct bh_table *t, const struct bh_shaped_port *p)
{
	const struct bh_stmt class = { .kind = BH_STMT_SET_PRIORITY, .number = p->class_id[BH_EGRESS] };
	const struct bh_stmt fwd = { .kind = BH_STMT_FWD, .set = BH_IFB_EGRESS };
	struct bh_chain *chain = bh_vec_add(&t->chains);

	if (!chain)
		return -ENOMEM;
	snprintf(chain->name, sizeof(chain->name), "in_%d", p->ifindex);
	chain->hook = BH_HOOK_INGRESS;
	chain->policy = BH_ACCEPT;
	memcpy(chain->device, p->name, sizeof(chain->device));
	if (p->exempt && (exempt_put(c->in, &c->world, t, p->exempt - 1, BH_IP_DADDR, BH_IP6_DADDR) < 0 ||
		add_exempt_rules(c, chain, p->exempt - 1, BH_IP_DADDR, BH_IP6_DADDR, &accept) < 0))
		return -ENOMEM;
	return add_rule(chain, &class, &fwd);
}

static int add_egress_rules(const struct ruling *c)
{
	struct bh_table *t = &c->rules->tables[BH_FAMILY_NETDEV];

	t->present = c->shape->present[BH_EGRESS];
	t->flags = t->present ? bh_table_flags(c->in->features) : 0;
	bh_vec_foreach(p, &c->shape->ports)
		if (p->class_id[BH_EGRESS] && add_egress_chain(c, t, p) < 0)
			return -ENOMEM;
	return 0;
}

static int add_ingress_map(const struct ruling *c, struct bh_set *set)
{
	snprintf(set->name, sizeof(set->name), "%s", SHAPE_MAP);
	set->key[set->n_key++] = BH_OIFNAME;
	set->data = BH_DATA_PRIORITY;
	bh_vec_foreach(p, &c->shape->ports) {
		struct bh_elem e = { .value = p->class_id[BH_INGRESS] };

		if (!e.value)
			continue;
		memcpy(e.key, p->name, sizeof(p->name));
		if (bh_vec_push(&set->elems, e) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* The zone's chain, once. */
static int add_exempt_chain(const struct ruling *c, struct bh_table *t, size_t zone, const char *name)
{
	const struct bh_stmt free_class = { .kind = BH_STMT_SET_PRIORITY, .number = BH_CLASS_EXEMPT };
	struct bh_chain *chain;

	if (bh_table_chain(t, name))
		return 0;
	chain = bh_vec_add(&t->chains);
	if (!chain)
		return -ENOMEM;
	memcpy(chain->name, name, sizeof(chain->name));
	if (exempt_put(c->in, &c->world, t, zone, BH_IP_SADDR, BH_IP6_SADDR) < 0 ||
		add_exempt_rules(c, chain, zone, BH_IP_SADDR, BH_IP6_SADDR, &free_class) < 0)
		return -ENOMEM;
	return add_rule(chain, &accept, NULL);
}

/* Port to chain. */
static int add_exempt_map(const struct ruling *c, struct bh_table *t)
{
	struct bh_set map = { .name = EXEMPT_MAP, .key = { BH_OIFNAME }, .n_key = 1, .data = BH_DATA_VERDICT };
	int r = 0;

	bh_vec_foreach(p, &c->shape->ports) {
		struct bh_elem e = { .verdict = BH_GOTO };

		if (r < 0 || !p->exempt || !p->class_id[BH_INGRESS])
			continue;
		memcpy(e.key, p->name, sizeof(p->name));
		exempt_name(c->in->policy, p->exempt - 1, "exempt", e.chain);
		r = add_exempt_chain(c, t, p->exempt - 1, e.chain);
		if (r == 0)
			r = bh_vec_push(&map.elems, e);
	}
	if (r == 0)
		r = bh_vec_push(&t->sets, map);
	if (r < 0)
		bh_set_clear(&map);
	return r;
}

static int add_ingress_rules(const struct ruling *c)
{
	const struct bh_stmt map = {
		.kind = BH_STMT_MAP_PRIORITY, .fields = { BH_OIFNAME }, .n_fields = 1, .set = SHAPE_MAP,
	};
	const struct bh_stmt exempt = { .kind = BH_STMT_VMAP, .fields = { BH_OIFNAME }, .n_fields = 1, .set = EXEMPT_MAP };
	struct bh_table *t = &c->rules->tables[BH_FAMILY_BRIDGE];
	struct bh_chain *chain;
	struct bh_set *set;

	if (!c->shape->present[BH_INGRESS])
		return 0;
	set = bh_vec_add(&t->sets);
	if (!set || add_ingress_map(c, set) < 0)
		return -ENOMEM;
	if (shape_has_exempt(c->shape, BH_INGRESS) && add_exempt_map(c, t) < 0)
		return -ENOMEM;
	chain = bh_vec_add(&t->chains);
	if (!chain)
		return -ENOMEM;
	t->present = true;
	snprintf(chain->name, sizeof(chain->name), "%s", SHAPE_CHAIN);
	chain->hook = BH_HOOK_POSTROUTING;
	chain->priority = POSTROUTING_PRIORITY;
	chain->policy = BH_ACCEPT;
	/* A rule each: a look-up that misses ends its rule. */
	if (add_rule(chain, &map, NULL) < 0 || (shape_has_exempt(c->shape, BH_INGRESS) && add_rule(chain, &exempt, NULL) < 0) ||
		add_rule(chain, &accept, NULL) < 0)
		return -ENOMEM;
	return 0;
}

int shape_rules(const struct bh_compile_input *in, const struct bh_shape *shape, struct bh_ruleset *rules)
{
	struct ruling c = { .in = in, .shape = shape, .rules = rules };
	int r = 0;

	if (shape_has_exempt(shape, BH_EGRESS) || shape_has_exempt(shape, BH_INGRESS))
		r = exempt_world(in, &c.world);
	if (r == 0)
		r = add_egress_rules(&c);
	if (r == 0)
		r = add_ingress_rules(&c);
	bh_vec_clear(&c.world.ranges);
	return r;
}
