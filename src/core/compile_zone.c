/* SPDX-License-Identifier: Apache-2.0 */
/* A chain and the maps it needs for every zone that connections can come from: what it may open. */
#include "compile_priv.h"
#include "skel.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

enum {
	MAP_PORTS,
	MAP_RANGES,
	MAP_PROTOS,
	MAP_ALL,
	MAP_LEGS,
	MAP_PORTS_T,	/* the same for a time: the kernel takes the elements out */
	MAP_PROTOS_T,
	MAP_ALL_T,
	MAP_LEGS_T,
	MAP_MAX,
};

static const struct skel_set maps[MAP_MAX] = {
	{.name = "ports", .key = {BH_PRIORITY, BH_L4PROTO, BH_TH_DPORT}, .flags = BH_SET_COUNTER},
	{.name = "ranges", .key = {BH_PRIORITY, BH_L4PROTO, BH_TH_DPORT},
		.flags = BH_SET_COUNTER | BH_SET_INTERVAL},
	{.name = "protos", .key = {BH_PRIORITY, BH_L4PROTO}, .flags = BH_SET_COUNTER},
	{.name = "all", .key = {BH_PRIORITY}, .flags = BH_SET_COUNTER},
	{.name = "legs", .key = {BH_PRIORITY}, .flags = BH_SET_COUNTER},
	{.name = "ports_t", .key = {BH_PRIORITY, BH_L4PROTO, BH_TH_DPORT}, .flags = BH_SET_COUNTER | BH_SET_TIMEOUT},
	{.name = "protos_t", .key = {BH_PRIORITY, BH_L4PROTO}, .flags = BH_SET_COUNTER | BH_SET_TIMEOUT},
	{.name = "all_t", .key = {BH_PRIORITY}, .flags = BH_SET_COUNTER | BH_SET_TIMEOUT},
	{.name = "legs_t", .key = {BH_PRIORITY}, .flags = BH_SET_COUNTER | BH_SET_TIMEOUT},
};

/* The transports that have ports, and where their errors come. */
static const uint8_t transports[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP};

/* One zone while it is made. */
struct zone {
	const struct bh_zone_inst *inst;
	struct bh_set map[MAP_MAX];
	bool has_transport[MAP_MAX][BH_ARRAY_SIZE(transports)];
	bool dns_tcp, dns_udp;
	bool reaches, reaches_t;	/* containers, and so maybe published ports */
};

bool inst_opens(const struct bh_zone_inst *i)
{
	switch (i->builtin) {
	case BH_BUILTIN_NONE:
	case BH_BUILTIN_HOST:
	case BH_BUILTIN_LAN:
	case BH_BUILTIN_INTERNET:
	case BH_BUILTIN_BUILD:
	case BH_BUILTIN_QUARANTINE:
		return i->id != 0;
	default:
		return false;
	}
}

static int allow(struct bh_set *map, const struct key *k, uint64_t for_ms)
{
	struct bh_elem *e = elem_in(map, k);

	if (!e)
		return -ENOMEM;
	e->timeout_ms = for_ms;
	return 0;
}

static int allow_proto(struct zone *z, uint32_t to, uint8_t proto, uint64_t for_ms)
{
	struct key k = {0};

	key_id(&k, to);
	key_u8(&k, proto);
	return allow(&z->map[for_ms ? MAP_PROTOS_T : MAP_PROTOS], &k, for_ms);
}

static void transport_used(struct zone *z, int map, uint8_t proto)
{
	for (size_t i = 0; i < BH_ARRAY_SIZE(transports); i++)
		if (transports[i] == proto)
			z->has_transport[map][i] = true;
}

static int allow_ports(struct zone *z, uint32_t to, const struct claim *c, uint64_t for_ms)
{
	int map = for_ms ? MAP_PORTS_T : MAP_PORTS;
	struct key first = {0}, last = {0};
	struct bh_elem *e;

	if (for_ms || c->last - c->first < CLAIM_EXPAND_MAX) {	/* intervals have no time of their own */
		transport_used(z, map, c->proto);
		for (uint32_t port = c->first; port <= c->last; port++) {
			struct key k = {0};

			key_id(&k, to);
			key_u8(&k, c->proto);
			key_port(&k, (uint16_t)port);
			if (allow(&z->map[map], &k, for_ms) < 0)
				return -ENOMEM;
		}
		return 0;
	}
	transport_used(z, MAP_RANGES, c->proto);
	key_id(&first, to);
	key_u8(&first, c->proto);
	last = first;
	key_port(&first, c->first);
	key_port(&last, c->last);
	e = elem_in(&z->map[MAP_RANGES], &first);
	if (!e)
		return -ENOMEM;
	memcpy(e->key_end, last.b, sizeof(e->key_end));
	return 0;
}

static int allow_claim(struct zone *z, const struct bh_zone_inst *to, const struct claim *c, uint64_t for_ms)
{
	struct key k = {0};
	int r;

	if (to->builtin == BH_BUILTIN_DNS) {	/* the port is judged before its number is given: the protocol is enough */
		bool *flag = c->proto == IPPROTO_TCP ? &z->dns_tcp : &z->dns_udp;

		if (*flag)
			return 0;
		*flag = true;
		return allow_proto(z, to->id, c->proto, 0);
	}
	switch (c->kind) {
	case CLAIM_PORTS:
		return allow_ports(z, to->id, c, for_ms);
	case CLAIM_PROTO:
		r = allow_proto(z, to->id, c->proto, for_ms);
		return r == 0 && c->proto == IPPROTO_ICMP ? allow_proto(z, to->id, IPPROTO_ICMPV6, for_ms) : r;
	case CLAIM_ALL:
		key_id(&k, to->id);
		return allow(&z->map[for_ms ? MAP_ALL_T : MAP_ALL], &k, for_ms);
	}
	return -EINVAL;
}

static int zone_fill(const struct compiler *c, struct zone *z, size_t from)
{
	const struct bh_placement *p = c->in->placement;

	for (size_t i = claims_of(&c->claims, from); i < c->claims.v.n && c->claims.v.v[i].from == from; i++) {
		const struct claim *x = &c->claims.v.v[i];
		uint64_t for_ms = c->in->policy->allow.v[x->rule].for_ms;
		bool *reaches = for_ms ? &z->reaches_t : &z->reaches;
		int r = allow_claim(z, &p->insts.v[x->to], x, for_ms);

		if (r < 0)
			return r;
		*reaches = *reaches || inst_has_containers(c->in->policy, &p->insts.v[x->to]);
	}
	bh_vec_foreach(l, &c->legs) {
		struct key k = {0};

		const struct claim *x = claims_find(&c->claims, from, p->members.v[l->member].inst, l->proto, l->port);
		uint64_t for_ms = x ? c->in->policy->allow.v[x->rule].for_ms : 0;

		if (!x)
			continue;
		key_id(&k, l->id);
		if (allow(&z->map[for_ms ? MAP_LEGS_T : MAP_LEGS], &k, for_ms) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int port_rules(struct bh_chain *chain, const struct zone *z, int map)
{
	static const uint8_t errors[] = {IPPROTO_ICMP, IPPROTO_ICMPV6};
	const char *name = z->map[map].name;

	if (z->map[map].elems.n == 0)
		return 0;
	for (size_t i = 0; i < BH_ARRAY_SIZE(transports); i++) {
		const struct skel_rule r = RULE(IS(BH_L4PROTO, transports[i]),
			IN(name, BH_PRIORITY, BH_CT_PROTOCOL, BH_CT_REPLY_PROTO_SRC), GOTO("passed"));

		if (z->has_transport[map][i] && skel_rule_add(chain, &r) < 0)
			return -ENOMEM;
	}
	for (size_t i = 0; i < BH_ARRAY_SIZE(errors); i++) {
		const struct skel_rule r = RULE(IS(BH_L4PROTO, errors[i]),
			IN(name, BH_PRIORITY, BH_CT_PROTOCOL, BH_CT_REPLY_PROTO_SRC), GOTO("passed"));

		if (skel_rule_add(chain, &r) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* For flows to a resolver the number changes to that of dns, and is looked up again. */
static int dns_rules(struct bh_chain *chain, const struct zone *z)
{
	const struct skel_rule tcp = RULE(IS(BH_CT_PROTOCOL, IPPROTO_TCP), JUMP("to_dns"));
	const struct skel_rule udp = RULE(IS(BH_CT_PROTOCOL, IPPROTO_UDP), JUMP("to_dns"));
	const struct skel_rule again = RULE(IN(z->map[MAP_PROTOS].name, BH_PRIORITY, BH_CT_PROTOCOL), GOTO("passed"));

	if (!z->dns_tcp && !z->dns_udp)
		return 0;
	if (z->dns_tcp && skel_rule_add(chain, &tcp) < 0)
		return -ENOMEM;
	if (z->dns_udp && skel_rule_add(chain, &udp) < 0)
		return -ENOMEM;
	return skel_rule_add(chain, &again);
}

/* What stands for the protocols and for all, for good or for a time. */
static int whole_rules(struct bh_chain *chain, const struct zone *z, int map_protos, int map_all)
{
	const struct skel_rule protos = RULE(IN(z->map[map_protos].name, BH_PRIORITY, BH_CT_PROTOCOL), GOTO("passed"));
	const struct skel_rule all = RULE(IN(z->map[map_all].name, BH_PRIORITY), GOTO("passed"));
	int r = z->map[map_protos].elems.n > 0 ? skel_rule_add(chain, &protos) : 0;

	return r == 0 && z->map[map_all].elems.n > 0 ? skel_rule_add(chain, &all) : r;
}

/* Who answers, and, where ports are opened, at once whether this one is: all that most packets of an open flow are asked. They come
 * through the forward hook, where a packet has both interfaces, and in its own header the flow's real port, behind DNAT and before that of the
 * way back. In the other hooks the number stays who opened the flow: to_orig and to_reply ask for it. */
static int forward_rule_add(struct bh_chain *chain, const struct zone *z, const struct skel_rule *r)
{
	struct skel_rule finds = *r;

	while (z->map[MAP_PORTS].elems.n == 0 && finds.s[finds.n - 1].kind != BH_STMT_MAP_PRIORITY)
		finds.n--;	/* no port is opened: what is left finds out who answers */
	return skel_rule_add(chain, &finds);
}

static int forward_rules(struct bh_chain *chain, const struct zone *z)
{
	const char *name = z->map[MAP_PORTS].name;
	static const enum bh_field to[] = {BH_OIFNAME, BH_IIFNAME}, port[] = {BH_TH_DPORT, BH_TH_SPORT}, other[] = {BH_IIF, BH_OIF};
	int r = 0;

	for (uint32_t way = CT_ORIGINAL; r == 0 && way <= CT_REPLY; way++) {	/* makes the number 0 for both families */
		const struct skel_rule four = RULE(IS(BH_CT_DIRECTION, way), ISNT(other[way], 0), SCRATCH(0),
			FETCH("zone_of4", to[way], BH_CT_REPLY_IP_SADDR), IN(name, BH_PRIORITY, BH_L4PROTO, port[way]), GOTO("passed"));

		r = forward_rule_add(chain, z, &four);
	}
	for (uint32_t way = CT_ORIGINAL; r == 0 && way <= CT_REPLY; way++) {
		const struct skel_rule six = RULE(IS(BH_CT_DIRECTION, way), ISNT(other[way], 0),
			FETCH("zone_of6", to[way], BH_CT_REPLY_IP6_SADDR), IN(name, BH_PRIORITY, BH_L4PROTO, port[way]), GOTO("passed"));

		r = forward_rule_add(chain, z, &six);
	}
	return r;
}

static int zone_rules(struct bh_chain *chain, const struct zone *z)
{
	const struct skel_rule ends[] = {
		RULE(IS(BH_IIF, 0), JUMP("to_end")),
		RULE(IS(BH_OIF, 0), JUMP("to_end")),
		RULE(IS(BH_PRIORITY, 0), JUMP("to_outside")),
	};
	const struct skel_rule legs = RULE(IN(z->map[MAP_LEGS].name, BH_PRIORITY), GOTO("leg_ok"));
	const struct skel_rule legs_t = RULE(IN(z->map[MAP_LEGS_T].name, BH_PRIORITY), GOTO("leg_ok"));
	const struct skel_rule end = RULE(GOTO(z->inst->builtin == BH_BUILTIN_HOST ? "second_leg" :
		z->inst->id == BH_ID_HELD ? "deny_held" : z->inst->builtin == BH_BUILTIN_QUARANTINE ? "deny_quarantine" : "deny"));
	int r = forward_rules(chain, z);

	for (size_t i = 0; r == 0 && i < BH_ARRAY_SIZE(ends); i++)
		r = skel_rule_add(chain, &ends[i]);
	if (r == 0)
		r = port_rules(chain, z, MAP_PORTS);
	if (r == 0)
		r = port_rules(chain, z, MAP_RANGES);
	if (r == 0)
		r = whole_rules(chain, z, MAP_PROTOS, MAP_ALL);
	if (r == 0)
		r = port_rules(chain, z, MAP_PORTS_T);
	if (r == 0)
		r = whole_rules(chain, z, MAP_PROTOS_T, MAP_ALL_T);
	if (r == 0)
		r = dns_rules(chain, z);
	if (r == 0 && z->reaches)
		r = skel_rule_add(chain, &legs);
	if (r == 0 && z->reaches_t)
		r = skel_rule_add(chain, &legs_t);
	return r < 0 ? r : skel_rule_add(chain, &end);
}

/* The rules depend on the policy alone and not on who runs: a member that comes or goes changes elements. */
static int zone_finish(struct compiler *c, struct zone *z)
{
	struct bh_chain *chain = bh_vec_add(&c->inet->chains);
	struct key k = {0};

	if (!chain)
		return -ENOMEM;
	name_zone(z->inst, "zone", chain->name);
	if (zone_rules(chain, z) < 0)
		return -ENOMEM;
	key_id(&k, z->inst->id);
	if (put_verdict(c->inet, "from_zone", &k, BH_JUMP, chain->name) < 0)
		return -ENOMEM;
	for (int i = 0; i < MAP_MAX; i++) {
		if (i == MAP_LEGS ? !z->reaches : i == MAP_LEGS_T ? !z->reaches_t : z->map[i].elems.n == 0)
			continue;
		if (bh_vec_push(&c->inet->sets, z->map[i]) < 0)
			return -ENOMEM;
		memset(&z->map[i], 0, sizeof(z->map[i]));	/* the table's now */
	}
	return 0;
}

static int zone_compile(struct compiler *c, size_t from)
{
	struct zone z = {.inst = &c->in->placement->insts.v[from]};
	int r;

	for (int i = 0; i < MAP_MAX; i++) {
		skel_set_init(&z.map[i], &maps[i]);
		if (maps[i].flags & BH_SET_TIMEOUT)
			name_timed(c->in->policy, z.inst, maps[i].name, z.map[i].name);
		else
			name_zone(z.inst, maps[i].name, z.map[i].name);
	}
	r = zone_fill(c, &z, from);
	if (r == 0)
		r = zone_finish(c, &z);
	for (int i = 0; i < MAP_MAX; i++)
		bh_set_clear(&z.map[i]);
	return r;
}

/* Zones that enforce in a file in audit: a set of their own, asked first where a denial is told. As verdicts in `modes` they would lie on the way
 * of silent denials, too, which the file's mode alone decides, and the kernel counts jumps on every way that a map might lead (EMLINK). */
static int enforced_put(struct compiler *c, const struct key *k)
{
	static const struct skel_set declared = {.name = "enforced", .key = {BH_PRIORITY}};
	const struct skel_rule first = RULE(IN("enforced", BH_PRIORITY), GOTO("refuse"));
	struct bh_chain *act = bh_table_chain(c->inet, "act");
	struct bh_nft_rule last;
	struct bh_set *s;

	if (bh_table_set(c->inet, declared.name))
		return put(c->inet, declared.name, k);
	s = bh_vec_add(&c->inet->sets);
	if (!s || skel_rule_add(act, &first) < 0)
		return -ENOMEM;
	skel_set_init(s, &declared);
	last = act->rules.v[act->rules.n - 1];
	memmove(&act->rules.v[1], &act->rules.v[0], (act->rules.n - 1) * sizeof(last));
	act->rules.v[0] = last;
	return put(c->inet, declared.name, k);
}

/* A zone's own mode, where it differs from the file's, under every number that its containers answer by. */
static int mode_put(struct compiler *c, size_t inst, uint32_t id)
{
	const struct bh_zone_inst *i = &c->in->placement->insts.v[inst];
	enum bh_mode mode = bh_inst_mode(c->in->policy, i);
	struct key k = {0};

	if (mode == c->in->policy->mode)
		return 0;
	key_id(&k, id);
	if (mode == BH_MODE_AUDIT)
		return put_verdict(c->inet, "modes", &k, BH_GOTO, "passed");
	return enforced_put(c, &k);
}

static int modes_put(struct compiler *c)
{
	const struct bh_placement *p = c->in->placement;

	for (size_t i = 0; i < p->insts.n; i++)
		if (p->insts.v[i].id && mode_put(c, i, p->insts.v[i].id) < 0)
			return -ENOMEM;
	bh_vec_foreach(l, &c->legs)
		if (mode_put(c, p->members.v[l->member].inst, l->id) < 0)
			return -ENOMEM;
	return 0;
}

int zones_compile(struct compiler *c)
{
	struct key metadata = {0}, network = {0};
	int r = modes_put(c);

	key_id(&metadata, BH_ID_METADATA);
	key_id(&network, BH_ID_CONTAINER_NETWORK);
	if (r == 0)
		r = put_verdict(c->inet, "from_zone", &metadata, BH_GOTO, "from_metadata");
	if (r == 0)
		r = put_verdict(c->inet, "from_zone", &network, BH_GOTO, "deny_identity");
	for (size_t i = 0; i < c->in->placement->insts.n && r == 0; i++)
		if (c->in->placement->insts.v[i].id == BH_ID_HELD)
			r = skel_held_add(c->inet);
	for (size_t i = 0; i < c->in->placement->insts.n && r == 0; i++)
		if (inst_opens(&c->in->placement->insts.v[i]))
			r = zone_compile(c, i);
	return r;
}
