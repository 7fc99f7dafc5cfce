/* SPDX-License-Identifier: Apache-2.0 */
#include "advise_priv.h"

#include <bulkhead/expect.h>
#include <bulkhead/yaml.h>

#include <errno.h>
#include <string.h>

void bh_advice_clear(struct bh_advice *a)
{
	free(a->line);
	*a = (struct bh_advice){0};
}

static struct bh_end end_of(const struct bh_zone_inst *i)
{
	return (struct bh_end){.zone = i->zone, .builtin = i->builtin, .value = i->value};
}

static bool is_union(const struct bh_zone_inst *i)
{
	return i->builtin == BH_BUILTIN_ANY || i->builtin == BH_BUILTIN_CONTAINERS || i->builtin == BH_BUILTIN_WORLD;
}

/* Why no line is proposed, or NULL. */
static const char *refusal(const struct bh_policy *p, const struct bh_zone_inst *from, const struct bh_zone_inst *to)
{
	struct bh_end a, b;

	if (!from || !to)
		return "nobody that a runtime knows of has this address, and a rule speaks of zones: only a known container or an address outside "
		       "the container networks is in one";
	if (from->builtin == BH_BUILTIN_QUARANTINE || to->builtin == BH_BUILTIN_QUARANTINE)
		return "who is in quarantine gets nothing: give the container a zone, then allow that zone what it needs";
	if (from->builtin == BH_BUILTIN_METADATA || to->builtin == BH_BUILTIN_METADATA)
		return "metadata services give away the credentials of the host: only a rule that you write with 'to: metadata' opens them";
	if (is_union(from) || is_union(to) || from->builtin == BH_BUILTIN_DNS)
		return "nobody opens connections from or to this zone as such: ask for one of its members";
	a = end_of(from);
	b = end_of(to);
	if (!bh_end_has_containers(p, &a) && !bh_end_has_containers(p, &b))
		return "neither end is a container, so bulkhead does not decide about it: see the host's own firewall";
	return NULL;
}

/* The reference that means this end. The names stay the placement's and the policy's. */
static struct bh_zone_ref ref_of(const struct bh_policy *p, const struct bh_end *e, const char *value)
{
	const char *name = e->builtin != BH_BUILTIN_NONE ? bh_builtin_name(e->builtin) : p->zones.v[e->zone].name;

	return (struct bh_zone_ref){.name = (char *)name, .value = (char *)value, .zone = e->zone, .builtin = e->builtin};
}

int adviser_make(struct adviser *a, const struct bh_policy *p)
{
	int r;

	*a = (struct adviser){.policy = p};
	r = bh_allow_expand(p, p->allow.v, p->allow.n, &a->allows, NULL);
	if (r == 0)
		r = bh_allow_index_make(&a->allows, &a->index);
	if (r < 0)
		adviser_clear(a);
	return r;
}

void adviser_clear(struct adviser *a)
{
	bh_allow_index_clear(&a->index);
	bh_allows_clear(&a->allows);
}

/* Whether the rules open PORT (NULL: everything that TO is) from FROM to TO. 1, 0 or -ENOMEM. */
static int opens(const struct adviser *a, const struct bh_end *from, const struct bh_end *to, const struct bh_port *port)
{
	struct bh_portset open = {0};
	int r = bh_allow_open(a->policy->allow.v, &a->index, from, to, &open);

	if (r == 0)
		r = port ? bh_portset_has(&open, port) : to->builtin == BH_BUILTIN_DNS ? open.ports.n == 2 : open.all;
	bh_portset_clear(&open);
	return r;
}

/* The first expectation that wants denied what the one rule of P opens. */
static int find_broken(const struct bh_policy *p, struct bh_loc *ret)
{
	struct bh_expect_failures failures = {0};
	int r = bh_expect_check(p, &failures, NULL);

	bh_vec_foreach(f, &failures.v)
		if (ret->line == 0 && !p->expect.v[f->expect].expect_accept)
			*ret = f->loc;
	bh_expect_failures_clear(&failures);
	return r;
}

void advise_refs(const struct bh_policy *p, const struct bh_zone_inst *from, const struct bh_zone_inst *to, struct bh_zone_ref *ret_from,
	struct bh_zone_ref *ret_to)
{
	const struct bh_end a = end_of(from), b = end_of(to);

	*ret_from = ref_of(p, &a, NULL);
	*ret_to = ref_of(p, &b, NULL);
	if (bh_refs_join_values(p, ret_from, ret_to) && bh_streq(a.value, b.value))
		return;
	ret_from->value = (char *)a.value;
	ret_to->value = (char *)b.value;
}

/* The one rule ALONE: does it open what it is for, and what expectation wants that denied? */
static int try_rule(const struct bh_policy *p, const struct bh_rule *rule, const struct bh_end *from, const struct bh_end *to,
	struct bh_advice *ret)
{
	struct bh_policy alone = *p;
	struct adviser a;
	int r;

	/* read, never freed: what the rule is made of is borrowed */
	alone.allow.v = (struct bh_rule *)rule;
	alone.allow.n = 1;
	r = adviser_make(&a, &alone);
	if (r < 0)
		return r;
	r = opens(&a, from, to, rule->ports.n ? rule->ports.v : NULL);
	adviser_clear(&a);
	if (r == 0)
		ret->why = "dns is port 53 by udp and tcp alone: allow the zone that the resolver's address is in";
	return r <= 0 ? r : find_broken(&alone, &ret->breaks);
}

int adviser_ask(const struct adviser *a, const struct bh_zone_inst *from, const struct bh_zone_inst *to, const struct bh_port *port,
	struct bh_advice *ret)
{
	const char *why = refusal(a->policy, from, to);
	struct bh_zone_ref froms, tos;
	struct bh_rule rule = {0};
	struct bh_end src, dst;
	_cleanup_buf_ struct bh_buf line = {0};
	int r;

	*ret = (struct bh_advice){.kind = BH_ADVICE_NONE, .why = why};
	if (why)
		return 0;
	src = end_of(from);
	dst = end_of(to);
	r = opens(a, &src, &dst, port);
	if (r > 0)
		ret->kind = BH_ADVICE_OPEN;
	if (r != 0)
		return r < 0 ? r : 0;
	advise_refs(a->policy, from, to, &froms, &tos);
	rule.from.v = &froms;
	rule.to.v = &tos;
	rule.from.n = rule.to.n = 1;
	if (port) {
		rule.ports.v = (struct bh_port *)port;
		rule.ports.n = 1;
	}
	r = try_rule(a->policy, &rule, &src, &dst, ret);
	if (r < 0 || ret->why)
		return r;
	bh_yaml_put_rule(&line, &rule, false);
	if (bh_buf_steal(&line, &ret->line) < 0)
		return -ENOMEM;
	ret->line[strlen(ret->line) - 1] = '\0';	/* the newline */
	ret->kind = BH_ADVICE_LINE;
	return 0;
}

int bh_advise(const struct bh_policy *p, const struct bh_zone_inst *from, const struct bh_zone_inst *to, const struct bh_port *port,
	struct bh_advice *ret)
{
	struct adviser a;
	int r;

	*ret = (struct bh_advice){0};
	r = adviser_make(&a, p);
	if (r == 0)
		r = adviser_ask(&a, from, to, port, ret);
	adviser_clear(&a);
	return r;
}
