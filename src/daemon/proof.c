/* SPDX-License-Identifier: Apache-2.0 */
/* What `bulkhead prove` holds the kernel against: the policy in force, with the zones that there are and their numbers, and what the host is to it. */
#include "manager.h"

#include <errno.h>
#include <stdio.h>

/* A list whose items ITEM makes; NULL for no memory, or for text that is no UTF-8. */
#define LIST(vec, item)                                                                            \
	({                                                                                         \
		json_t *list_ = json_array();                                                      \
		bh_vec_foreach(x, vec)                                                             \
			if (list_ && json_array_append_new(list_, item) < 0) {                     \
				json_decref(list_);                                                \
				list_ = NULL;                                                      \
			}                                                                          \
		list_;                                                                             \
	})

static json_t *addr_json(const struct bh_addr *a)
{
	char text[BH_ADDR_TEXT];

	return json_string(bh_addr_text(a, text));
}

static json_t *prefix_json(const struct bh_prefix *p)
{
	char text[BH_PREFIX_TEXT];

	return json_string(bh_prefix_text(p, text));
}

static json_t *source_json(const struct bh_loc *loc)
{
	return loc->line ? json_sprintf("%s:%u", loc->file ? loc->file : "", loc->line) : json_string(loc->file ? loc->file : "");
}

static json_t *zone_json(const struct bh_zone_inst *i)
{
	return json_pack("{s:s, s:s?, s:i, s:s?, s:I}", "name", i->name, "value", i->value, "zone", i->zone, "builtin", bh_builtin_name(i->builtin), "id",
		(json_int_t)i->id);
}

static json_t *network_json(const struct bh_network *n)
{
	return json_pack("{s:s?, s:o, s:o}", "bridge", n->bridge, "subnets", LIST(&n->subnets, prefix_json(x)), "gateways", LIST(&n->gateways, addr_json(x)));
}

static json_t *proof_json(const struct bh_manager *m)
{
	_cleanup_buf_ struct bh_buf yaml = {0};

	if (bh_config_print(bh_policy_in_force(m), &yaml) < 0)
		return NULL;
	return json_pack("{s:i, s:I, s:s, s:o, s:o, s:o, s:o}", "version", 1, "loaded_usec", (json_int_t)m->config.loaded_usec, "policy", yaml.s, "rules",
		LIST(&bh_policy_in_force(m)->allow, source_json(&x->loc)), "zones", LIST(&m->round.placement->insts, zone_json(x)), "networks",
		LIST(&m->round.inventory->networks, network_json(x)), "resolvers", LIST(&m->seen.host->resolvers, addr_json(x)));
}

void bh_handle_prove(struct bh_manager *m, struct bh_control_call *call, const json_t *request)
{
	json_t *doc;

	(void)request;
	if (!bh_policy_in_force(m) || !m->round.placement || !m->seen.host) {
		bh_control_refuse(call, "failed", "there is nothing to prove: %s",
			bh_policy_in_force(m) ? "the kernel was not looked at yet, try again" : "no valid configuration is loaded");
		return;
	}
	doc = proof_json(m);
	if (doc)
		bh_control_reply(call, doc);
	else
		bh_control_refuse(call, "failed", "out of memory");
}
