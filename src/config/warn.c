/* SPDX-License-Identifier: Apache-2.0 */
/* What is valid and yet perhaps not meant. */
#include "config.h"

#include <bulkhead/allow.h>

#include <errno.h>
#include <string.h>

#define WORK_MAX 4000000u	/* comparisons of rules; beyond it the rest is not compared */

/* The rules taken apart, and how much was compared. */
struct opened {
	const struct bh_policy *policy;
	struct bh_allows allows;
	struct bh_allow_index index;
	size_t work;
};

/* The pairs of a rule lie together in allows. */
static size_t rule_end(const struct opened *o, size_t first)
{
	size_t end = first;

	while (end < o->allows.v.n && o->allows.v.v[end].rule == o->allows.v.v[first].rule)
		end++;
	return end;
}

/* Whether one pair of RULE covers A with its PORTS. */
static bool covers_pair(struct bh_cfg *c, struct opened *o, size_t rule, const struct bh_allow *a,
	const struct bh_portset *ports)
{
	size_t n;
	const struct bh_allow *const *v = bh_allow_index_find(&o->index, &a->from, &a->to, &n);
	bool covered = false;

	o->work += n;
	for (size_t i = 0; i < n && !covered; i++) {
		struct bh_portset wide = {0};

		if (v[i]->rule != rule || !bh_allow_covers(v[i], a))
			continue;
		if (bh_allow_ports(o->policy->allow.v, v[i], &wide) < 0)
			bh_cfg_oom(c);
		covered = bh_portset_covers(&wide, ports);
		bh_portset_clear(&wide);
	}
	return covered;
}

/* Whether RULE covers the pairs from FIRST to END. */
static bool rule_covers(struct bh_cfg *c, struct opened *o, size_t rule, size_t first, size_t end)
{
	bool covered = true;

	for (size_t i = first; i < end && covered; i++) {
		struct bh_portset ports = {0};

		if (bh_allow_ports(o->policy->allow.v, &o->allows.v.v[i], &ports) < 0)
			bh_cfg_oom(c);
		covered = o->work < WORK_MAX && covers_pair(c, o, rule, &o->allows.v.v[i], &ports);
		bh_portset_clear(&ports);
	}
	return covered;
}

/* Whether RULE, an earlier one, is covered by LATER: then they are equal and the later is told. */
static bool told_later(struct bh_cfg *c, struct opened *o, size_t rule, size_t later)
{
	size_t first = 0;

	while (first < o->allows.v.n && o->allows.v.v[first].rule != later)
		first++;
	return rule_covers(c, o, rule, first, rule_end(o, first));
}

/* A rule that another one covers. Who covers its first pair may cover all. */
static void warn_covered(struct bh_cfg *c, struct opened *o)
{
	char place[BH_CFG_SHOW];

	for (size_t i = 0, end; i < o->allows.v.n && o->work < WORK_MAX; i = end) {
		const struct bh_allow *a = &o->allows.v.v[i];
		size_t n;
		const struct bh_allow *const *v = bh_allow_index_find(&o->index, &a->from, &a->to, &n);

		end = rule_end(o, i);
		for (size_t k = 0; k < n; k++) {
			size_t other = v[k]->rule;

			if (other == a->rule || (k > 0 && v[k - 1]->rule == other) || !rule_covers(c, o, other, i, end))
				continue;
			if (other < a->rule || !told_later(c, o, a->rule, other))
				bh_cfg_warn(c, &o->policy->allow.v[a->rule].loc,
					"this rule opens nothing that the rule at %s does not open too",
					bh_cfg_place(&o->policy->allow.v[other].loc, place));
			break;
		}
	}
}

/* Whether a pair of the N at V covers A and opens something. */
static bool any_covers(struct bh_cfg *c, const struct opened *o, const struct bh_allow *const *v, size_t n,
	const struct bh_allow *a)
{
	bool found = false;

	for (size_t i = 0; i < n && !found; i++) {
		struct bh_portset ports = {0};

		if (!bh_allow_covers(v[i], a))
			continue;
		if (bh_allow_ports(o->policy->allow.v, v[i], &ports) < 0)
			bh_cfg_oom(c);
		found = !bh_portset_is_empty(&ports);
		bh_portset_clear(&ports);
	}
	return found;
}

/* A zone of containers that may reach the internet but no resolver: names will not resolve. Told at the first such rule. */
static void warn_no_dns(struct bh_cfg *c, struct opened *o)
{
	bh_vec_foreach(a, &o->allows.v) {
		struct bh_allow dns = *a;
		_cleanup_buf_ struct bh_buf name = {0};
		const struct bh_allow *const *v;
		size_t n, before = 0;

		if (a->to.builtin != BH_BUILTIN_INTERNET || !bh_end_has_containers(c->policy, &a->from) ||
			o->work >= WORK_MAX)
			continue;
		v = bh_allow_index_find(&o->index, &a->from, &a->to, &n);
		while (before < n && v[before] < a)
			before++;
		o->work += n;
		if (any_covers(c, o, v, before, a))
			continue;
		dns.to = (struct bh_end){.zone = -1, .builtin = BH_BUILTIN_DNS};
		v = bh_allow_index_find(&o->index, &dns.from, &dns.to, &n);
		o->work += n;
		if (any_covers(c, o, v, n, &dns))
			continue;
		bh_end_print(c->policy, &a->from, &name);
		if (name.err)
			bh_cfg_oom(c);
		else
			bh_cfg_warn(c, &c->policy->allow.v[a->rule].loc,
				"zone '%s' may reach the internet but no dns: names will not resolve", name.s);
	}
}

/* What is in lan wherever this host stands. */
static const char *const lan[] = {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "fe80::/10"};

/* An address zone takes its addresses away from lan. */
static void warn_lan(struct bh_cfg *c)
{
	for (size_t z = 0; z < c->policy->zones.n; z++) {
		const struct bh_claim *told = NULL;
		bool holds = false;
		char text[BH_PREFIX_TEXT];

		if (c->policy->zones.v[z].kind != BH_ZONE_ADDRESSES)
			continue;
		bh_vec_foreach(p, &c->prefixes) {
			if (p->zone != z || (told && told->seq < p->seq))
				continue;
			for (size_t i = 0; i < BH_ARRAY_SIZE(lan); i++) {
				struct bh_prefix range = {0};

				if (bh_prefix_parse(lan[i], &range) < 0 ||
					(!bh_prefix_covers(&range, &p->prefix) && !bh_prefix_covers(&p->prefix, &range)))
					continue;
				told = p;
				holds = p->prefix.len < range.len;
			}
		}
		if (told)
			bh_cfg_warn(c, &told->loc, "%s %s lan: being in zone '%s', it leaves the rules that name lan or world",
				bh_prefix_text(&told->prefix, text), holds ? "holds addresses of" : "is inside",
				c->policy->zones.v[z].name);
	}
}

/* Nothing is ever short for zones as such, unless the host's bandwidth says what there is. */
static void warn_guarantees(struct bh_cfg *c)
{
	bh_vec_foreach(z, &c->policy->zones)
		for (int d = 0; d < BH_DIRECTION_MAX; d++)
			if (bh_rate(&z->zone_guarantees, d) && !bh_rate(&c->policy->host_rates, d))
				bh_cfg_warn(c, &z->loc, "zone '%s' has a guarantee of %s, but out of what: write "
					"'bandwidth: {%s: RATE}' at the top of the main file", z->name,
					bh_direction_name(d), bh_direction_name(d));
}

/* Whether Z names what holds an address of F, as far as the configuration can tell. */
static bool exempts(const struct bh_policy *p, const struct bh_zone *z, const struct bh_prefix *f)
{
	bool touches_lan = false, inside_lan = false;

	for (size_t i = 0; i < BH_ARRAY_SIZE(lan); i++) {
		struct bh_prefix range = {0};
		bool ok = bh_prefix_parse(lan[i], &range) == 0, inside = ok && bh_prefix_covers(&range, f);

		inside_lan = inside_lan || inside;
		touches_lan = touches_lan || inside || (ok && bh_prefix_covers(f, &range));
	}
	bh_vec_foreach(ref, &z->exempt) {
		if (ref->builtin == BH_BUILTIN_WORLD || (ref->builtin == BH_BUILTIN_LAN && touches_lan) ||
			(ref->builtin == BH_BUILTIN_INTERNET && !inside_lan))
			return true;
		if (ref->zone < 0)
			continue;
		bh_vec_foreach(c, &p->zones.v[ref->zone].cidrs)
			if (bh_prefix_covers(c, f) || bh_prefix_covers(f, c))
				return true;
	}
	return false;
}

/* Containers could be at what a container forwards for, and what they send each other is never exempt. */
static void warn_exempt(struct bh_cfg *c)
{
	char text[BH_PREFIX_TEXT];

	bh_vec_foreach(router, &c->policy->zones)
		bh_vec_foreach(f, &router->forwards)
			bh_vec_foreach(z, &c->policy->zones)
				if (exempts(c->policy, z, f)) {
					bh_cfg_warn(c, &z->loc, "zone '%s' does not exempt %s, whatever it names: zone '%s' forwards it, so it may be "
						"behind a container", z->name, bh_prefix_text(f, text), router->name);
					break;
				}
}

/* Labels that images are built with, by the conventions of OCI, label-schema and old Dockerfiles. */
static bool is_image_convention(const char *label)
{
	return strncmp(label, "org.opencontainers.image.", 25) == 0 || strncmp(label, "org.label-schema.", 17) == 0 ||
		strcmp(label, "maintainer") == 0;
}

/* GUARDED: some condition that the image's author does not control must be met already. */
static void warn_selector(struct bh_cfg *c, const struct bh_selector *s, bool guarded)
{
	const struct bh_select_match *claim = NULL;

	bh_vec_foreach(m, &s->matches) {
		if (m->key == BH_SELECT_IMAGE_LABEL)
			claim = claim ? claim : m;
		else if (m->key != BH_SELECT_KIND)
			guarded = true;
		if (m->key == BH_SELECT_LABEL && is_image_convention(m->label))
			bh_cfg_warn(c, &m->loc,
				"only image labels could meet this, and those count only under image-labels: it will match nothing");
	}
	bh_vec_foreach(a, &s->any)
		warn_selector(c, *a, guarded);
	if (claim && !guarded && s->any.n == 0)
		bh_cfg_warn(c, &claim->loc, "only image labels meet this selector: whoever builds an image can put its containers here");
}

struct forward {
	const struct bh_prefix *prefix;
	const struct bh_zone *zone;
};

static int forward_cmp(const void *va, const void *vb)
{
	const struct forward *a = va, *b = vb;
	int r = bh_prefix_cmp(a->prefix, b->prefix);

	return r ? r : (a->zone > b->zone) - (a->zone < b->zone);
}

/* What two zones forward alike is nobody's on a bridge that both are on. On bridges of their own there is nothing wrong with it. */
static void warn_forwards(struct bh_cfg *c)
{
	char text[BH_PREFIX_TEXT], place[BH_CFG_SHOW];
	BH_VEC(struct forward) all = {0};

	bh_vec_foreach(z, &c->policy->zones)
		bh_vec_foreach(p, &z->forwards) {
			struct forward f = {p, z};

			if (bh_vec_push(&all, f) < 0)
				bh_cfg_oom(c);
		}
	if (all.n > 1)
		qsort(all.v, all.n, sizeof(*all.v), forward_cmp);
	for (size_t i = 1; i < all.n; i++)
		if (all.v[i].zone != all.v[i - 1].zone && bh_prefix_cmp(all.v[i].prefix, all.v[i - 1].prefix) == 0)
			bh_cfg_warn(c, &all.v[i].zone->loc, "%s is forwarded by zone '%s' too (%s): on a Docker network that both are on, neither may "
				"send from it", bh_prefix_text(all.v[i].prefix, text), all.v[i - 1].zone->name,
				bh_cfg_place(&all.v[i - 1].zone->loc, place));
	bh_vec_clear(&all);
}

/* An image build has no posture: a zone that asks for builds and requires something never has one. */
static void warn_builds(struct bh_cfg *c)
{
	char place[BH_CFG_SHOW];

	bh_vec_foreach(z, &c->policy->zones) {
		const struct bh_require *r = z->require ? z->require : c->policy->require;

		if (!r || !z->select)
			continue;
		bh_vec_foreach(m, &z->select->matches)
			if (m->key == BH_SELECT_KIND && bh_strv_has(&m->patterns, "build"))
				bh_cfg_warn(c, &m->loc, "image builds are never in zone '%s': they have no posture, and it requires one (%s)", z->name,
					bh_cfg_place(&r->loc, place));
	}
}

void bh_cfg_warnings(struct bh_cfg *c)
{
	struct bh_loc start = {.file = c->policy->files.v[0], .line = 1, .column = 1};
	struct opened o = {.policy = c->policy};
	struct bh_error err = {0};
	int r = bh_allow_expand(c->policy, c->policy->allow.v, c->policy->allow.n, &o.allows, &err);

	if (r == -E2BIG) {
		bh_cfg_error(c, &start, "%s", err.msg);
		return;
	}
	if (r == 0)
		r = bh_allow_index_make(&o.allows, &o.index);
	if (r == 0) {
		warn_covered(c, &o);
		warn_no_dns(c, &o);
	} else {
		bh_cfg_oom(c);
	}
	bh_allow_index_clear(&o.index);
	bh_allows_clear(&o.allows);
	warn_lan(c);
	warn_forwards(c);
	warn_guarantees(c);
	warn_exempt(c);
	warn_builds(c);
	bh_vec_foreach(z, &c->policy->zones)
		if (z->select)
			warn_selector(c, z->select, false);
}
