/* SPDX-License-Identifier: Apache-2.0 */
/* Policy, placement and host to the wanted rule set: the order of the steps. */
#include "compile_priv.h"
#include "skel.h"

#include <errno.h>
#include <string.h>

static void finish(struct bh_ruleset *r)
{
	bh_ruleset_sort(r);
	for (size_t f = 0; f < BH_FAMILY_MAX; f++)
		bh_vec_foreach(s, &r->tables[f].sets)
			elems_unique(s);
}

static int modes_file(struct compiler *c)
{
	const struct key file = {.off = sizeof(uint32_t)};
	int r;

	if (c->in->policy->mode != BH_MODE_AUDIT)
		return 0;
	r = put_verdict(c->inet, "modes", &file, BH_GOTO, "passed");
	return r < 0 ? r : put_verdict(c->bridge, "modes", &file, BH_ACCEPT, NULL);
}

static int compile(struct compiler *c)
{
	static int (*const steps[])(struct compiler *) = {
		host_bridges, modes_file, host_compile, world_compile, members_compile, forwards_compile, legs_number, legs_compile, zones_compile,
		limits_compile,
	};
	int r = skel_inet_add(c->inet, c->in->policy->deny == BH_DENY_REJECT);

	if (r == 0)
		r = skel_passed_add(c->inet, limits_any(c->in->policy));
	if (r == 0)
		r = skel_bridge_add(c->bridge, c->in->features->bridge_ibrname);
	if (r == 0)
		r = claims_collect(c->in, &c->claims);
	for (size_t i = 0; i < BH_ARRAY_SIZE(steps) && r == 0; i++)
		r = steps[i](c);
	return r;
}

int bh_compile(const struct bh_compile_input *in, struct bh_ruleset **ret, struct bh_error *err)
{
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *out = calloc(1, sizeof(*out));
	struct compiler c = {.in = in, .out = out, .err = err};
	int r;

	if (!out)
		return bh_fail(err, -ENOMEM, "no memory to compile the rules");
	c.inet = &out->tables[BH_FAMILY_INET];
	c.bridge = &out->tables[BH_FAMILY_BRIDGE];
	c.inet->present = c.bridge->present = true;
	c.inet->flags = c.bridge->flags = bh_table_flags(in->features);
	r = compile(&c);
	claims_clear(&c.claims);
	bh_vec_clear(&c.own);
	bh_vec_clear(&c.exempt);
	bh_vec_clear(&c.legs);
	if (r == -ENOMEM)
		return bh_fail(err, r, "no memory to compile the rules");
	if (r == -E2BIG && in->most)
		return bh_fail(err, r, "the rules become more than %zu elements", in->most);
	if (r < 0)
		return bh_fail(err, r, "the rules cannot be compiled");
	finish(out);
	r = bh_ruleset_prove(out, err);
	if (r < 0)
		return r;
	*ret = bh_take(out);
	return 0;
}

int bh_compile_skeleton(const struct bh_inventory *inventory, const struct bh_host *host, const struct bh_features *features, const struct bh_ruleset *seen,
	struct bh_ruleset **ret, struct bh_error *err)
{
	static const struct {
		enum bh_builtin builtin;
		uint32_t id;
	} zones[] = {
		{BH_BUILTIN_HOST, BH_ID_HOST}, {BH_BUILTIN_LAN, BH_ID_LAN}, {BH_BUILTIN_INTERNET, BH_ID_INTERNET},
		{BH_BUILTIN_METADATA, BH_ID_METADATA}, {BH_BUILTIN_BUILD, BH_ID_BUILD},
		{BH_BUILTIN_QUARANTINE, BH_ID_QUARANTINE},
	};
	struct bh_zone_inst insts[BH_ARRAY_SIZE(zones)] = {0};
	struct bh_placement placement = {.insts = {insts, BH_ARRAY_SIZE(insts), BH_ARRAY_SIZE(insts)}};
	const struct bh_policy policy = {.mode = BH_MODE_ENFORCE, .deny = BH_DENY_REJECT};
	struct bh_inventory nobody = {0};
	const struct bh_compile_input in = {
		.policy = &policy, .inventory = &nobody, .host = host, .placement = &placement, .features = features,
		.seen = seen,
	};

	if (inventory)
		nobody.networks = inventory->networks;	/* borrowed */
	for (size_t i = 0; i < BH_ARRAY_SIZE(zones); i++) {
		insts[i].zone = -1;
		insts[i].builtin = zones[i].builtin;
		insts[i].id = zones[i].id;
	}
	return bh_compile(&in, ret, err);
}
