/* SPDX-License-Identifier: Apache-2.0 */
/* The document of SPEC section 4. What is enforced and counted is read from the kernel for each answer. */
#include "manager.h"

#include <bulkhead/provenance.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DENIALS_MAX 256u	/* kinds that are shown */

static json_t *rate_json(uint64_t bps)
{
	return bps ? json_integer((json_int_t)bps) : json_null();
}

/* SPEC: null where there is no cap. Guarantees only where there are some. */
static json_t *rates_json(const struct bh_rates *caps, const struct bh_rates *guarantees)
{
	json_t *o = json_pack("{s:o, s:o}", "egress_bps", rate_json(caps ? caps->egress_bps : 0), "ingress_bps",
		rate_json(caps ? caps->ingress_bps : 0));

	if (o && guarantees && (guarantees->egress_bps || guarantees->ingress_bps) &&
		(json_object_set_new(o, "egress_guarantee_bps", rate_json(guarantees->egress_bps)) < 0 ||
		json_object_set_new(o, "ingress_guarantee_bps", rate_json(guarantees->ingress_bps)) < 0)) {
		json_decref(o);
		return NULL;
	}
	return o;
}

/* Null where there is no limit, and while the file is in audit, which suspends them. */
static json_t *limits_json(const struct bh_policy *policy, const struct bh_zone *z)
{
	char rate[40];

	if (!z || !bh_zone_is_limited(policy, z))
		return json_null();
	snprintf(rate, sizeof(rate), "%llu/%s", (unsigned long long)z->conn_new, z->conn_new_per_minute ? "minute" : "second");
	return json_pack("{s:o, s:s?}", "max", rate_json(z->conn_max), "new", z->conn_new ? rate : NULL);
}

static int put(json_t *o, const char *key, json_t *value)
{
	return json_object_set_new(o, key, value) < 0 ? -ENOMEM : 0;
}

static int put_counts(json_t *o, const struct bh_counts *c)
{
	int r = put(o, "packets", json_integer((json_int_t)c->packets));

	if (r == 0)
		r = put(o, "bytes", json_integer((json_int_t)c->bytes));
	if (r == 0)
		r = put(o, "dropped_packets", json_integer((json_int_t)c->dropped_packets));
	if (r == 0)
		r = put(o, "dropped_bytes", json_integer((json_int_t)c->dropped_bytes));
	return r;
}

static json_t *daemon_json(const struct bh_manager *m)
{
	_cleanup_free_ char *reason = NULL;
	const char *state = bh_manager_state(m, &reason);
	json_t *files = json_array();
	int r = files ? 0 : -ENOMEM;

	if (m->config.policy)
		for (size_t i = 0; r == 0 && i < m->config.policy->files.n; i++)
			r = json_array_append_new(files, bh_json_text(m->config.policy->files.v[i])) < 0 ? -ENOMEM : 0;
	if (r < 0) {
		json_decref(files);
		return NULL;
	}
	return json_pack("{s:s, s:o, s:i, s:o, s:s, s:{s:o, s:o, s:o, s:o, s:I}}", "state", state, "reason", bh_json_text(reason), "pid", (int)getpid(),
		"since", bh_json_time(m->since_usec), "version", BULKHEAD_VERSION, "config", "files", files, "loaded",
		bh_json_time(m->config.loaded_usec), "error", bh_json_text(m->config.error), "confirm_within",
		m->probation.on ? json_integer((json_int_t)bh_probation_left(m)) : json_null(), "refused",
		(json_int_t)m->config.refused);
}

static json_t *runtimes_json(const struct bh_manager *m)
{
	json_t *list = json_array();

	bh_vec_foreach(p, &m->sources) {
		const struct bh_source *s = *p;
		struct bh_runtime_stats stats = {0};
		json_t *row;

		if (s->runtime && s->runtime->ops->stats)
			stats = s->runtime->ops->stats(s->runtime);
		row = json_pack("{s:s, s:o, s:s, s:I, s:I}", "kind", s->kind, "socket", bh_json_text(s->socket), "state",
			bh_runtime_state_name(s->state), "events", (json_int_t)stats.events, "resyncs", (json_int_t)stats.resyncs);
		if (json_array_append_new(list, row) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static const char *mode_name(const struct bh_policy *policy, const struct bh_zone *zone)
{
	enum bh_mode mode = zone && zone->mode != BH_MODE_INHERIT ? zone->mode : policy ? policy->mode : BH_MODE_ENFORCE;

	return mode == BH_MODE_AUDIT ? "audit" : "enforce";
}

static const char *kind_name(const struct bh_zone_inst *inst, const struct bh_zone *zone)
{
	if (inst->builtin != BH_BUILTIN_NONE || !zone)
		return "builtin";
	switch (zone->kind) {
	case BH_ZONE_CONTAINERS:
		return "containers";
	case BH_ZONE_ADDRESSES:
		return "addresses";
	case BH_ZONE_INTERFACES:
		return "interfaces";
	default:
		return "builtin";
	}
}

/* What each container of a zone may have, and what no cap counts: only where there is such. 0 or -ENOMEM. */
static int put_caps(json_t *o, const struct bh_zone *z)
{
	json_t *list;

	if (!z)
		return 0;
	if ((z->container_rates.egress_bps || z->container_rates.ingress_bps) &&
		json_object_set_new(o, "container_bandwidth", rates_json(&z->container_rates, &z->container_guarantees)) < 0)
		return -ENOMEM;
	if (z->exempt.n == 0)
		return 0;
	list = json_array();
	bh_vec_foreach(ref, &z->exempt)
		if (json_array_append_new(list, json_string(ref->name)) < 0) {
			json_decref(list);
			return -ENOMEM;
		}
	return json_object_set_new(o, "exempt", list) < 0 ? -ENOMEM : 0;
}

static json_t *zone_json(const struct bh_manager *m, size_t i, const struct bh_ruleset *seen)
{
	const struct bh_placement *p = m->round.placement;
	const struct bh_zone_inst *inst = &p->insts.v[i];
	const struct bh_zone *zone = bh_inst_zone(bh_policy_in_force(m), inst);
	struct bh_counts counts = bh_zone_counts(seen, p, i);
	size_t members = inst->members;
	json_t *o;

	if (inst->id == BH_ID_QUARANTINE && p->insts.v[p->insts.n - 1].id == BH_ID_HELD) {
		struct bh_counts held = bh_zone_counts(seen, p, p->insts.n - 1);

		members += p->insts.v[p->insts.n - 1].members;
		counts.packets += held.packets;
		counts.bytes += held.bytes;
		counts.dropped_packets += held.dropped_packets;
		counts.dropped_bytes += held.dropped_bytes;
	}
	o = json_pack("{s:o, s:s, s:s, s:I, s:o, s:o}", "name", bh_json_text(inst->name), "kind", kind_name(inst, zone), "mode",
		mode_name(bh_policy_in_force(m), zone), "containers", (json_int_t)members, "bandwidth",
		rates_json(zone ? &zone->zone_rates : NULL, zone ? &zone->zone_guarantees : NULL), "connections", limits_json(bh_policy_in_force(m), zone));

	if (o && (put_counts(o, &counts) < 0 || put_caps(o, zone) < 0)) {
		json_decref(o);
		return NULL;
	}
	return o;
}

/* A built-in zone that the placement has no use for. */
static json_t *builtin_json(const struct bh_manager *m, enum bh_builtin b)
{
	struct bh_counts none = {0};
	json_t *o = json_pack("{s:s, s:s, s:s, s:i, s:o}", "name", bh_builtin_name(b), "kind", "builtin", "mode",
		mode_name(bh_policy_in_force(m), NULL), "containers", 0, "bandwidth", rates_json(NULL, NULL));

	if (o && put_counts(o, &none) < 0) {
		json_decref(o);
		return NULL;
	}
	return o;
}

static json_t *zones_json(const struct bh_manager *m, const struct bh_ruleset *seen)
{
	static const enum bh_builtin listed[] = { BH_BUILTIN_HOST, BH_BUILTIN_LAN, BH_BUILTIN_INTERNET, BH_BUILTIN_METADATA,
		BH_BUILTIN_DNS, BH_BUILTIN_BUILD, BH_BUILTIN_QUARANTINE };
	const struct bh_placement *p = m->round.placement;
	json_t *list = json_array();
	bool there[BH_BUILTIN_MAX] = {0};
	int r = 0;

	for (size_t i = 0; p && r == 0 && i < p->insts.n; i++) {
		if (p->insts.v[i].id == BH_ID_HELD)	/* told as quarantine's */
			continue;
		there[p->insts.v[i].builtin] = true;
		r = json_array_append_new(list, zone_json(m, i, seen));
	}
	for (size_t i = 0; r == 0 && i < BH_ARRAY_SIZE(listed); i++)
		if (!there[listed[i]])
			r = json_array_append_new(list, builtin_json(m, listed[i]));
	if (r < 0) {
		json_decref(list);
		return NULL;
	}
	return list;
}

static json_t *addrs_json(const struct bh_endpoint *e, uint8_t family)
{
	json_t *list = json_array();
	char text[BH_ADDR_TEXT];

	bh_vec_foreach(a, &e->addrs)
		if (a->family == family && json_array_append_new(list, json_string(bh_addr_text(a, text))) < 0) {
			json_decref(list);
			return NULL;
		}
	return list;
}

static json_t *endpoint_json(const struct bh_attachment *a)
{
	char mac[BH_MAC_TEXT];

	return json_pack("{s:o, s:s, s:s?, s:s?, s:o, s:o}", "network", bh_json_text(a->network->name), "bridge", a->bridge, "interface",
		a->port[0] ? a->port : NULL, "mac", a->endpoint->has_mac ? bh_mac_text(&a->endpoint->mac, mac) : NULL, "ipv4",
		addrs_json(a->endpoint, 4), "ipv6", addrs_json(a->endpoint, 6));
}

static const char *enforced_name(enum bh_enforced e)
{
	return e == BH_ENFORCED_FULL ? "full" : e == BH_ENFORCED_PARTIAL ? "partial" : "none";
}

static json_t *registry_json(const struct bh_manager *m, const struct bh_container *c)
{
	const struct bh_image_names name = bh_image_names(c);
	_cleanup_buf_ struct bh_buf why = {0};

	return bh_image_registry_is_insecure(&m->images.images, &name, &why) ? bh_json_text(why.s) : json_null();
}

static json_t *container_json(const struct bh_manager *m, const struct bh_member *member, const struct bh_ruleset *seen)
{
	const struct bh_container *c = member->container;
	const struct bh_zone_inst *inst = &m->round.placement->insts.v[member->inst];
	const struct bh_zone *zone = bh_inst_zone(bh_policy_in_force(m), inst);
	struct bh_counts counts = bh_member_counts(seen, member);
	json_t *endpoints = json_array(), *o;
	int r = endpoints ? 0 : -1;

	bh_vec_foreach(a, &member->attachments)
		if (r == 0 && !member->shares_netns)
			r = json_array_append_new(endpoints, endpoint_json(a));
	if (r < 0) {
		json_decref(endpoints);
		return NULL;
	}
	o = json_pack("{s:o, s:o, s:s?, s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:o}", "id", bh_json_text(c->id), "name", bh_json_text(c->name), "runtime",
		c->runtime, "posture", bh_posture_json(member), "zone", bh_json_text(inst->name), "reason", bh_json_text(member->reason), "enforced",
		enforced_name(member->enforced), "unenforced_reason", bh_json_text(member->unenforced_reason), "endpoints", endpoints,
		"bandwidth", rates_json(zone ? &zone->container_rates : NULL, zone ? &zone->container_guarantees : NULL), "connections", limits_json(bh_policy_in_force(m), zone));
	if (o && (put_counts(o, &counts) < 0 || json_object_set_new(o, "registry_problem", registry_json(m, c)) < 0)) {
		json_decref(o);
		return NULL;
	}
	return o;
}

/* Without a policy nobody has a zone: all get nothing. */
static json_t *unplaced_json(const struct bh_container *c)
{
	struct bh_counts none = {0};
	json_t *o = json_pack("{s:o, s:o, s:s?, s:s, s:s, s:s, s:o, s:[], s:o, s:n}", "id", bh_json_text(c->id), "name", bh_json_text(c->name),
		"runtime", c->runtime, "zone", "quarantine", "reason", "no valid configuration", "enforced", "full",
		"unenforced_reason", json_null(), "endpoints", "bandwidth", rates_json(NULL, NULL), "registry_problem");

	if (o && put_counts(o, &none) < 0) {
		json_decref(o);
		return NULL;
	}
	return o;
}

static json_t *containers_json(const struct bh_manager *m, const struct bh_ruleset *seen)
{
	json_t *list = json_array();
	int r = list ? 0 : -1;

	if (m->round.placement) {
		bh_vec_foreach(member, &m->round.placement->members)
			if (r == 0)
				r = json_array_append_new(list, container_json(m, member, seen));
	} else if (m->round.inventory) {
		bh_vec_foreach(c, &m->round.inventory->containers)
			if (r == 0 && (c->state == BH_CONTAINER_RUNNING || c->state == BH_CONTAINER_PAUSED))
				r = json_array_append_new(list, unplaced_json(c));
	}
	if (r < 0) {
		json_decref(list);
		return NULL;
	}
	return list;
}

static json_t *ports_json(const struct bh_rule *rule)
{
	json_t *list = json_array();
	char text[BH_PORT_TEXT];

	bh_vec_foreach(p, &rule->ports)
		if (json_array_append_new(list, json_string(bh_port_text(p, text))) < 0) {
			json_decref(list);
			return NULL;
		}
	return list;
}

static json_t *rules_json(const struct bh_manager *m, const struct bh_ruleset *seen)
{
	const struct bh_placement *p = m->round.placement;
	struct bh_compile_input in = { .policy = bh_policy_in_force(m), .inventory = m->round.inventory, .host = m->seen.host,
		.placement = p, .features = &m->features, .seen = seen };
	_cleanup_(bh_pairs_freep) struct bh_pairs *pairs = NULL;
	json_t *list = json_array();

	if (!p || !m->seen.host)
		return list;
	if (bh_pairs_read(&in, seen, &pairs) < 0) {
		json_decref(list);
		return NULL;
	}
	bh_vec_foreach(pair, &pairs->pairs) {
		const struct bh_rule *rule = &bh_policy_in_force(m)->allow.v[pair->rule];
		char source[300];
		json_t *row;

		snprintf(source, sizeof(source), rule->loc.line ? "%s:%u" : "%s", rule->loc.file ? rule->loc.file : "", rule->loc.line);
		row = json_pack("{s:o, s:o, s:o, s:s, s:o, s:I, s:I}", "from", bh_json_text(p->insts.v[pair->from].name), "to",
			bh_json_text(p->insts.v[pair->to].name), "ports", ports_json(rule), "verdict", "accept", "source", bh_json_text(source),
			"packets", (json_int_t)pair->packets, "bytes", (json_int_t)pair->bytes);
		if (json_array_append_new(list, row) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

/* Whether what was read just now is what is wanted. */
static bool in_sync(struct bh_manager *m, const struct bh_ruleset *ruleset, const struct bh_shape *shape)
{
	_cleanup_(bh_plan_freep) struct bh_plan *plan = NULL;
	bool lean = m->round.lean, same;

	if (!m->round.wanted || bh_round_fill(m) < 0)
		return false;
	same = bh_diff(m->round.wanted, ruleset, &plan) == 0 && bh_plan_only_sweeps(plan) && bh_shape_equal(m->round.shape, shape) &&
		!bh_flags_undone(m);
	if (lean)
		bh_round_make_lean(m);
	return same;
}

/* Denied packets by class, of all tables together, as the kernel counts them. */
static json_t *denied_json(const struct bh_ruleset *seen)
{
	static const char prefix[] = "denied_";
	json_t *o = json_object();

	for (enum bh_family f = 0; o && f < BH_FAMILY_MAX; f++)
		bh_vec_foreach(c, &seen->tables[f].counters) {
			const char *class = c->name + sizeof(prefix) - 1;
			json_int_t before;

			if (strncmp(c->name, prefix, sizeof(prefix) - 1) != 0)
				continue;
			before = json_integer_value(json_object_get(o, class));
			(void)json_object_set_new(o, class, json_integer(before + (json_int_t)c->packets));	/* no memory, or a stranger's: one less */
		}
	return o;
}

int bh_status_build(struct bh_manager *m, json_t **ret, struct bh_error *err)
{
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *seen = NULL;
	_cleanup_(bh_shape_freep) struct bh_shape *shape = NULL;
	const struct bh_table *inet;
	json_t *doc;
	bool sync;
	int r = m->nft->ops->observe(m->nft, &seen, err);

	if (r == 0)
		r = m->tc->ops->observe(m->tc, &shape, err);
	if (r < 0)
		return r;
	sync = in_sync(m, seen, shape);
	inet = &seen->tables[BH_FAMILY_INET];
	doc = json_pack("{s:i, s:o, s:o, s:{s:o, s:b, s:I, s:b, s:o, s:o}, s:o, s:o, s:o, s:o, s:o, s:o}", "version", 1, "overrides", bh_hand_json(m), "daemon",
		daemon_json(m), "kernel",
		"table", inet->present ? json_string("inet bulkhead") : json_null(), "in_sync", sync, "repairs", (json_int_t)m->repairs,
		"owned", bh_owner_holds(seen), "last_change", bh_work_json(m), "denied", denied_json(seen), "runtimes", runtimes_json(m), "zones",
		zones_json(m, seen), "containers", containers_json(m, seen), "rules", rules_json(m, seen),
		"denials", bh_drops_list(m, DENIALS_MAX), "images", bh_images_json(m));
	if (!sync && m->verified) {	/* the monitors tell too, but nobody should see the same drift twice */
		bh_seen_clear(&m->seen);
		bh_manager_dirty(m);
	}
	if (!doc)
		return bh_fail(err, -ENOMEM, "out of memory");
	*ret = doc;
	return 0;
}
