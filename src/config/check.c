/* SPDX-License-Identifier: Apache-2.0 */
/* What only all files together can tell: references, the scope of rules, prefixes and interfaces in two zones. */
#include "config.h"

#include <bulkhead/allow.h>

#include <string.h>

static bool is_resolved(const struct bh_zone_ref *ref)
{
	return ref->zone >= 0 || ref->builtin != BH_BUILTIN_NONE;
}

static void unknown_zone(struct bh_cfg *c, const struct bh_zone_ref *ref)
{
	BH_VEC(const char *) names = {0};
	char show[BH_CFG_SHOW];
	const char *near;
	int r = 0;

	if (bh_strv_has(&c->refused, ref->name))
		return;
	for (int b = BH_BUILTIN_NONE + 1; b < BH_BUILTIN_MAX && r == 0; b++)
		r = bh_vec_push(&names, bh_builtin_name((enum bh_builtin)b));
	bh_vec_foreach(z, &c->policy->zones)
		if (r == 0)
			r = bh_vec_push(&names, z->name);
	if (r < 0)
		bh_cfg_oom(c);
	near = bh_cfg_nearest(ref->name, names.v, names.n);
	if (near)
		bh_cfg_error(c, &ref->loc, "unknown zone '%s': did you mean '%s'?", bh_cfg_show(ref->name, show), near);
	else
		bh_cfg_error(c, &ref->loc, "unknown zone '%s'", bh_cfg_show(ref->name, show));
	bh_vec_clear(&names);
}

static void resolve(struct bh_cfg *c, struct bh_zone_ref *ref, bool is_to)
{
	enum bh_builtin b = bh_builtin_from_name(ref->name);
	int zone = bh_policy_find_zone(c->policy, ref->name);
	const char *full = ref->name;

	if (b != BH_BUILTIN_NONE && ref->value) {
		bh_cfg_error(c, &ref->loc, "'%s' is built in and has no values: write '%s'", full, full);
	} else if ((b == BH_BUILTIN_DNS || b == BH_BUILTIN_METADATA) && !is_to) {
		bh_cfg_error(c, &ref->loc, "'%s' can only stand after 'to': it opens no connections", full);
	} else if (b != BH_BUILTIN_NONE) {
		ref->builtin = b;
		ref->zone = zone;
	} else if (zone < 0) {
		unknown_zone(c, ref);
	} else if (ref->value && c->policy->zones.v[zone].per == BH_PER_NONE) {
		bh_cfg_error(c, &ref->loc, "zone '%s' is no family (it has no per), so it has no values: write '%s'", full, full);
	} else {
		ref->zone = zone;
	}
}

/* Both hooks that tell what is exempt see an address, and neither a container nor an interface. */
static void check_exempt_ref(struct bh_cfg *c, struct bh_zone_ref *ref)
{
	enum bh_builtin b = bh_builtin_from_name(ref->name);
	int zone = bh_policy_find_zone(c->policy, ref->name);

	if (b == BH_BUILTIN_NONE && zone < 0)
		unknown_zone(c, ref);
	else if (b == BH_BUILTIN_NONE && c->policy->zones.v[zone].kind != BH_ZONE_ADDRESSES)
		bh_cfg_error(c, &ref->loc, "'%s' cannot be exempt, being a zone of %s: who is exempt is told by address", ref->name,
			c->policy->zones.v[zone].kind == BH_ZONE_INTERFACES ? "interfaces" : "containers");
	else if (b == BH_BUILTIN_CONTAINERS || b > BH_BUILTIN_METADATA)
		bh_cfg_error(c, &ref->loc, "'%s' cannot be exempt: name zones of addresses, host, lan, internet, world or metadata", ref->name);
	else if (ref->value)
		bh_cfg_error(c, &ref->loc, "'%s' has no values: write '%s'", ref->name, ref->name);
	else
		*ref = (struct bh_zone_ref){.name = ref->name, .zone = zone, .builtin = b, .loc = ref->loc};
}

/* A rule of detect is about containers: who else talks may be anybody. */
static void check_detect(struct bh_cfg *c, struct bh_detect_rule *r)
{
	bh_vec_foreach(ref, &r->zones) {
		enum bh_builtin b = bh_builtin_from_name(ref->name);
		int zone = bh_policy_find_zone(c->policy, ref->name);

		if (b == BH_BUILTIN_CONTAINERS || b == BH_BUILTIN_BUILD || b == BH_BUILTIN_QUARANTINE ||
			(b == BH_BUILTIN_NONE && (zone < 0 || c->policy->zones.v[zone].kind == BH_ZONE_CONTAINERS)))
			resolve(c, ref, false);
		else
			bh_cfg_error(c, &ref->loc, "'%s' has no containers: detect sees what containers do", ref->name);
	}
}

static void check_exempt(struct bh_cfg *c, struct bh_zone *z)
{
	bool world = false;

	bh_vec_foreach(ref, &z->exempt) {
		check_exempt_ref(c, ref);
		world = world || ref->builtin == BH_BUILTIN_WORLD;
		bh_vec_foreach(before, &z->exempt) {
			if (before == ref)
				break;
			if (strcmp(before->name, ref->name) != 0)
				continue;
			bh_cfg_error(c, &ref->loc, "'%s' is exempt twice", ref->name);
			break;
		}
	}
	bh_vec_foreach(ref, &z->exempt)
		if (world && (ref->builtin == BH_BUILTIN_LAN || ref->builtin == BH_BUILTIN_INTERNET))
			bh_cfg_error(c, &ref->loc, "'%s' is a part of 'world', which is exempt already", ref->name);
}

static const char *ref_text(const struct bh_zone_ref *ref, char buf[BH_CFG_SHOW])
{
	_cleanup_buf_ struct bh_buf b = {0};

	bh_buf_put_safe(&b, ref->name, 32);
	if (ref->value) {
		bh_buf_puts(&b, ":");
		bh_buf_put_safe(&b, ref->value, 48);
	}
	strncpy(buf, b.s ? b.s : "", BH_CFG_SHOW - 1);
	buf[BH_CFG_SHOW - 1] = '\0';
	return buf;
}

static void check_pair(struct bh_cfg *c, const struct bh_rule *rule, const struct bh_zone_ref *from,
	const struct bh_zone_ref *to)
{
	const struct bh_loc *loc = rule->to.n > 1 || rule->from.n == 1 ? &to->loc : &from->loc;
	char a[BH_CFG_SHOW], b[BH_CFG_SHOW];

	if (from->builtin == BH_BUILTIN_ANY && to->builtin == BH_BUILTIN_ANY)
		bh_cfg_error(c, loc, "from any to any would open everything: name the zones on one side");
	else if (!bh_ref_has_containers(c->policy, from) && !bh_ref_has_containers(c->policy, to))
		bh_cfg_error(c, loc, "from '%s' to '%s' is outside the scope: one side must be a zone of containers",
			ref_text(from, a), ref_text(to, b));
}

static void check_rule(struct bh_cfg *c, struct bh_rule *rule)
{
	bool joins = false, all = true;

	bh_vec_foreach(ref, &rule->from)
		resolve(c, ref, false);
	bh_vec_foreach(ref, &rule->to)
		resolve(c, ref, true);
	bh_vec_foreach(from, &rule->from)
		bh_vec_foreach(to, &rule->to) {
			if (!is_resolved(from) || !is_resolved(to)) {
				all = false;
				continue;
			}
			check_pair(c, rule, from, to);
			joins |= bh_refs_join_values(c->policy, from, to);
		}
	if (rule->has_values && !joins && all)
		bh_cfg_error(c, &rule->loc,
			"'values' is for a rule between two families with the same per, or one and itself; here no pair is that");
}

static int prefix_cmp(const void *x, const void *y)
{
	const struct bh_claim *a = x, *b = y;
	int r = bh_prefix_cmp(&a->prefix, &b->prefix);

	return r ? r : a->seq < b->seq ? -1 : 1;
}

static void check_prefixes(struct bh_cfg *c)
{
	char text[BH_PREFIX_TEXT], place[BH_CFG_SHOW];
	const struct bh_claim *first = c->prefixes.v;

	if (c->prefixes.n > 1)
		qsort(c->prefixes.v, c->prefixes.n, sizeof(*c->prefixes.v), prefix_cmp);
	bh_vec_foreach(p, &c->prefixes) {
		if (p == first || bh_prefix_cmp(&p->prefix, &first->prefix) != 0) {
			first = p;
			continue;
		}
		if (p->zone == first->zone)
			bh_cfg_error(c, &p->loc, "%s stands twice in zone '%s'", bh_prefix_text(&p->prefix, text),
				c->policy->zones.v[p->zone].name);
		else
			bh_cfg_error(c, &p->loc, "%s is in two zones: '%s' has it at %s", bh_prefix_text(&p->prefix, text),
				c->policy->zones.v[first->zone].name, bh_cfg_place(&first->loc, place));
	}
}

static size_t stem(const struct bh_claim *i)
{
	size_t n = strlen(i->interface);

	return n - (i->interface[n - 1] == '*');
}

static bool interface_covers(const struct bh_claim *a, const struct bh_claim *b)
{
	if (a->interface[stem(a)] != '*')
		return strcmp(a->interface, b->interface) == 0;
	return stem(a) <= stem(b) && memcmp(a->interface, b->interface, stem(a)) == 0;
}

/* By stem, a pattern before the names that it covers. */
static int interface_cmp(const void *x, const void *y)
{
	const struct bh_claim *a = x, *b = y;
	size_t n = stem(a), m = stem(b);
	int r = memcmp(a->interface, b->interface, n < m ? n : m);

	if (r)
		return r;
	if (n != m)
		return n < m ? -1 : 1;
	if ((a->interface[n] == '*') != (b->interface[m] == '*'))
		return a->interface[n] == '*' ? -1 : 1;
	return a->seq < b->seq ? -1 : 1;
}

/* An interface in two zones has no longest prefix to decide: it is an error. */
static void check_interfaces(struct bh_cfg *c)
{
	char show[BH_CFG_SHOW], place[BH_CFG_SHOW];
	const struct bh_claim *cover = NULL;

	if (c->interfaces.n > 1)
		qsort(c->interfaces.v, c->interfaces.n, sizeof(*c->interfaces.v), interface_cmp);
	bh_vec_foreach(i, &c->interfaces) {
		if (!cover || !interface_covers(cover, i)) {
			cover = i;
			continue;
		}
		bh_cfg_error(c, &i->loc, "interface '%s' is in '%s' of zone '%s' already, at %s", i->interface,
			bh_cfg_show(cover->interface, show), c->policy->zones.v[cover->zone].name,
			bh_cfg_place(&cover->loc, place));
	}
}

/* What could not be kept whatever the number of containers. The zones of a family count as one: only the host tells how many
 * there are, and their guarantees are then cut evenly. */
static void check_guarantees(struct bh_cfg *c, enum bh_direction d)
{
	const char *name = bh_direction_name(d);
	uint64_t host = bh_rate(&c->policy->host_rates, d), sum = 0;

	bh_vec_foreach(z, &c->policy->zones) {
		uint64_t cap = bh_rate(&z->zone_rates, d), each = bh_rate(&z->container_guarantees, d);
		uint64_t most = bh_rate(&z->zone_guarantees, d) > each ? bh_rate(&z->zone_guarantees, d) : each;

		if (cap && each > cap)
			bh_cfg_error(c, &z->loc, "zone '%s' guarantees each container more %s than the whole zone may have", z->name, name);
		if (__builtin_add_overflow(sum, most, &sum))
			sum = UINT64_MAX;
		if (host && most && sum > host) {
			bh_cfg_error(c, &z->loc, "zone '%s': the guarantees of %s up to here are more than the bandwidth of the host", z->name,
				name);
			return;
		}
	}
}

void bh_cfg_check(struct bh_cfg *c)
{
	bh_vec_foreach(rule, &c->policy->allow)
		check_rule(c, rule);
	bh_vec_foreach(rule, &c->policy->expect)
		check_rule(c, rule);
	bh_vec_foreach(z, &c->policy->zones)
		check_exempt(c, z);
	bh_vec_foreach(d, &c->policy->detect)
		check_detect(c, d);
	bh_cfg_check_images(c);
	check_prefixes(c);
	check_interfaces(c);
	check_guarantees(c, BH_EGRESS);
	check_guarantees(c, BH_INGRESS);
}
