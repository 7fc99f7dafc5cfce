/* SPDX-License-Identifier: Apache-2.0 */
/* A policy with what was said by hand: the one place where an override becomes rules, so that the compiler, the judge, plan and status all see it. */
#include "hand.h"

#include <bulkhead/allow.h>
#include <bulkhead/near.h>

#include <errno.h>
#include <string.h>

#define PORTS_MAX 64u	/* of a range that is opened for a time: each is an element with a time of its own */

static int no_zone(const struct bh_policy *p, const char *name, struct bh_error *err)
{
	_cleanup_free_ const char **names = calloc(p->zones.n + BH_BUILTIN_MAX, sizeof(*names));
	const char *near = NULL;
	size_t n = 0;

	bh_vec_foreach(z, &p->zones)
		if (names)
			names[n++] = z->name;
	for (int b = BH_BUILTIN_NONE + 1; names && b < BH_BUILTIN_MAX; b++)
		names[n++] = bh_builtin_name((enum bh_builtin)b);
	near = names ? bh_near(name, names, n) : NULL;
	return near ? bh_fail(err, -EINVAL, "no zone '%s': did you mean '%s'?", name, near) :
		      bh_fail(err, -EINVAL, "no zone '%s': see bulkhead status zones", name);
}

static int ref_resolve(const struct bh_policy *p, const char *text, struct bh_zone_ref *ret, struct bh_error *err)
{
	const char *colon = strchr(text, ':');

	ret->zone = -1;
	ret->name = colon ? strndup(text, (size_t)(colon - text)) : strdup(text);
	if (!ret->name || (colon && bh_strdup(&ret->value, colon + 1) < 0))
		return bh_fail(err, -ENOMEM, "out of memory");
	ret->zone = bh_policy_find_zone(p, ret->name);
	ret->builtin = ret->zone >= 0 ? p->zones.v[ret->zone].builtin : bh_builtin_from_name(ret->name);
	if (ret->zone < 0 && ret->builtin == BH_BUILTIN_NONE)
		return no_zone(p, ret->name, err);
	if (colon && (ret->zone < 0 || p->zones.v[ret->zone].per == BH_PER_NONE || !colon[1]))
		return bh_fail(err, -EINVAL, "'%s': %s is no family of zones", text, ret->name);
	return 0;
}

static int port_resolve(const char *text, struct bh_port *ret, struct bh_error *err)
{
	if (bh_port_parse(text, ret) < 0)
		return bh_fail(err, -EINVAL, "'%s' is no port: write tcp/80, udp/5000-5009 or icmp", text);
	if (!ret->all && ret->last - ret->first >= (int)PORTS_MAX)
		return bh_fail(err, -EINVAL, "'%s': for a time %u ports at most in one range, or the protocol alone", text, PORTS_MAX);
	return 0;
}

static void rule_clear(struct bh_rule *r)
{
	bh_vec_foreach(x, &r->from) {
		free(x->name);
		free(x->value);
	}
	bh_vec_foreach(x, &r->to) {
		free(x->name);
		free(x->value);
	}
	bh_vec_clear(&r->from);
	bh_vec_clear(&r->to);
	bh_vec_clear(&r->ports);
}

static int rule_resolve(const struct bh_hand_item *i, const struct bh_policy *p, struct bh_rule *ret, struct bh_error *err)
{
	struct bh_zone_ref *from = bh_vec_add(&ret->from), *to = bh_vec_add(&ret->to);
	int r = from && to ? ref_resolve(p, i->from, from, err) : bh_fail(err, -ENOMEM, "out of memory");

	if (r == 0)
		r = ref_resolve(p, i->to, to, err);
	if (r < 0)
		return r;
	if (from->builtin == BH_BUILTIN_METADATA || from->builtin == BH_BUILTIN_DNS)
		return bh_fail(err, -EINVAL, "'%s' stands only for whom connections go to", i->from);
	if (to->builtin == BH_BUILTIN_DNS)
		return bh_fail(err, -EINVAL, "'dns' is not opened for a time: name the zone of the resolver");
	if (from->builtin == BH_BUILTIN_ANY && to->builtin == BH_BUILTIN_ANY)
		return bh_fail(err, -EINVAL, "from any to any opens everything: name one side");
	if (!bh_ref_has_containers(p, from) && !bh_ref_has_containers(p, to))
		return bh_fail(err, -EINVAL, "neither '%s' nor '%s' is a zone of containers: bulkhead does not decide about that", i->from, i->to);
	for (size_t k = 0; k < i->ports.n; k++) {
		struct bh_port port = {0};

		r = port_resolve(i->ports.v[k], &port, err);
		if (r == 0 && bh_vec_push(&ret->ports, port) < 0)
			r = bh_fail(err, -ENOMEM, "out of memory");
		if (r < 0)
			return r;
	}
	ret->loc.file = "by hand";
	return 0;
}

int bh_hand_rule_check(const struct bh_hand_item *i, const struct bh_policy *base, struct bh_error *err)
{
	struct bh_rule rule = {0};
	int r = rule_resolve(i, base, &rule, err);

	rule_clear(&rule);
	return r;
}

static int rules_add(const struct bh_hand *h, const struct bh_policy *base, uint64_t now_boot, struct bh_hand_policy *out)
{
	bh_vec_foreach(rule, &base->allow)
		if (bh_vec_push(&out->p.allow, *rule) < 0)
			return -ENOMEM;
	out->base_rules = base->allow.n;
	bh_vec_foreach(i, &h->v) {
		uint64_t left = bh_hand_left(i, now_boot);
		struct bh_rule rule = {.for_ms = left / 1000};
		int r;

		if (i->kind != BH_HAND_ALLOW || rule.for_ms == 0)
			continue;
		r = rule_resolve(i, base, &rule, NULL);
		if (r == 0)
			r = bh_vec_push(&out->p.allow, rule);
		if (r < 0)
			rule_clear(&rule);
		if (r == -ENOMEM)
			return r;
	}
	return 0;
}

static int lock(const struct bh_policy *base, struct bh_hand_policy *out)
{
	out->p.mode = BH_MODE_ENFORCE;
	memset(&out->p.zones, 0, sizeof(out->p.zones));
	out->own_zones = true;
	bh_vec_foreach(z, &base->zones) {
		if (bh_vec_push(&out->p.zones, *z) < 0)
			return -ENOMEM;
		out->p.zones.v[out->p.zones.n - 1].mode = BH_MODE_INHERIT;
	}
	return 0;
}

int bh_hand_policy(const struct bh_hand *h, const struct bh_policy *base, uint64_t now_boot, struct bh_hand_policy **ret)
{
	struct bh_hand_policy *out;
	bool any = h->locked;
	int r;

	bh_vec_foreach(i, &h->v)
		any = any || i->kind == BH_HAND_ALLOW;
	if (!any)
		return 0;
	out = calloc(1, sizeof(*out));
	if (!out)
		return -ENOMEM;
	out->p = *base;
	memset(&out->p.allow, 0, sizeof(out->p.allow));
	out->p.retimed = h->retimed;
	r = h->locked ? lock(base, out) : rules_add(h, base, now_boot, out);
	if (r < 0)
		bh_hand_policy_free(out);
	else
		*ret = out;
	return r;
}

void bh_hand_policy_free(struct bh_hand_policy *p)
{
	if (!p)
		return;
	for (size_t i = p->base_rules; i < p->p.allow.n; i++)
		rule_clear(&p->p.allow.v[i]);
	bh_vec_clear(&p->p.allow);
	if (p->own_zones)
		bh_vec_clear(&p->p.zones);
	free(p);
}
