/* SPDX-License-Identifier: Apache-2.0 */
#include <bulkhead/advise.h>
#include <bulkhead/allow.h>
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

/* Whether what RULES say opens PORT (NULL: everything that TO is) from FROM to TO. 1, 0 or -errno. */
static int opens(const struct bh_policy *p, const struct bh_end *from, const struct bh_end *to, const struct bh_port *port)
{
	struct bh_allow_index index = {0};
	struct bh_allows allows = {0};
	struct bh_portset open = {0};
	int r = bh_allow_expand(p, p->allow.v, p->allow.n, &allows, NULL);

	if (r == 0)
		r = bh_allow_index_make(&allows, &index);
	if (r == 0)
		r = bh_allow_open(p->allow.v, &index, from, to, &open);
	if (r == 0)
		r = port ? bh_portset_has(&open, port) : to->builtin == BH_BUILTIN_DNS ? open.ports.n == 2 : open.all;
	bh_portset_clear(&open);
	bh_allow_index_clear(&index);
	bh_allows_clear(&allows);
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

int bh_advise(const struct bh_policy *p, const struct bh_zone_inst *from, const struct bh_zone_inst *to, const struct bh_port *port,
	struct bh_advice *ret)
{
	struct bh_advice a = {.kind = BH_ADVICE_NONE, .why = refusal(p, from, to)};
	struct bh_policy alone = *p;
	struct bh_rule rule = {0};
	struct bh_end src, dst;
	struct bh_zone_ref froms, tos;
	struct bh_port one;
	_cleanup_buf_ struct bh_buf line = {0};
	int r;

	*ret = (struct bh_advice){0};
	if (a.why) {
		*ret = a;
		return 0;
	}
	src = end_of(from);
	dst = end_of(to);
	froms = ref_of(p, &src, NULL);
	tos = ref_of(p, &dst, NULL);
	if (!bh_refs_join_values(p, &froms, &tos) || !bh_streq(src.value, dst.value)) {
		froms.value = (char *)src.value;
		tos.value = (char *)dst.value;
	}
	/* read, never freed: what the rule is made of is borrowed */
	rule.from.v = &froms;
	rule.to.v = &tos;
	rule.from.n = rule.to.n = 1;
	if (port) {
		one = *port;
		rule.ports.v = &one;
		rule.ports.n = 1;
	}
	r = opens(p, &src, &dst, port);
	if (r < 0)
		return r;
	if (r > 0) {
		ret->kind = BH_ADVICE_OPEN;
		return 0;
	}
	alone.allow.v = &rule;
	alone.allow.n = 1;
	r = opens(&alone, &src, &dst, port);
	if (r < 0)
		return r;
	if (r == 0) {
		a.why = "dns is port 53 by udp and tcp alone: allow the zone that the resolver's address is in";
		*ret = a;
		return 0;
	}
	r = find_broken(&alone, &a.breaks);
	bh_yaml_put_rule(&line, &rule, false);
	if (r < 0 || line.err || bh_buf_steal(&line, &a.line) < 0)
		return -ENOMEM;
	a.line[strlen(a.line) - 1] = '\0';	/* the newline */
	a.kind = BH_ADVICE_LINE;
	*ret = a;
	return 0;
}
