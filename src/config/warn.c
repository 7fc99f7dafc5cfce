/* SPDX-License-Identifier: Apache-2.0 */
/* What is valid and yet perhaps not meant. */
#include "config.h"

#include <bulkhead/allow.h>

#include <errno.h>
#include <string.h>

#define WORK_MAX 4000000u	/* comparisons of rules; beyond it the rest is not compared */

/* A pair with the ports that it opens. */
struct opened {
	const struct bh_allow *allow;
	struct bh_portset ports;
};

struct openeds {
	BH_VEC(struct opened) v;	/* by zones, then by rule */
	size_t work;
};

static int opened_cmp(const void *x, const void *y)
{
	const struct bh_allow *a = ((const struct opened *)x)->allow, *b = ((const struct opened *)y)->allow;
	const int i[] = {(int)a->from.builtin, a->from.zone, (int)a->to.builtin, a->to.zone};
	const int j[] = {(int)b->from.builtin, b->from.zone, (int)b->to.builtin, b->to.zone};

	for (size_t k = 0; k < BH_ARRAY_SIZE(i); k++)
		if (i[k] != j[k])
			return i[k] < j[k] ? -1 : 1;
	return a->rule < b->rule ? -1 : a->rule > b->rule ? 1 : a < b ? -1 : a > b;
}

static void openeds_clear(struct openeds *o)
{
	bh_vec_foreach(i, &o->v)
		bh_portset_clear(&i->ports);
	bh_vec_clear(&o->v);
}

static int openeds_make(const struct bh_policy *p, const struct bh_allows *allows, struct openeds *o)
{
	bh_vec_foreach(a, &allows->v) {
		struct opened *i = bh_vec_add(&o->v);

		if (!i)
			return -ENOMEM;
		i->allow = a;
		if (bh_allow_ports(p->allow.v, a, &i->ports) < 0)
			return -ENOMEM;
	}
	if (o->v.n > 1)
		qsort(o->v.v, o->v.n, sizeof(*o->v.v), opened_cmp);
	return 0;
}

/* The pairs between the two zones of A: the first, and how many. */
static const struct opened *find_zones(const struct openeds *o, const struct bh_allow *a, size_t *ret_n)
{
	size_t low = 0, high = o->v.n, n = 0;
	struct bh_allow key = *a;
	struct opened probe = {.allow = &key};

	key.rule = 0;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct bh_allow *m = o->v.v[mid].allow;

		if (!(bh_end_same_zone(&m->from, &a->from) && bh_end_same_zone(&m->to, &a->to)) &&
			opened_cmp(&o->v.v[mid], &probe) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	while (low + n < o->v.n && bh_end_same_zone(&o->v.v[low + n].allow->from, &a->from) &&
		bh_end_same_zone(&o->v.v[low + n].allow->to, &a->to))
		n++;
	*ret_n = n;
	return o->v.v + low;
}

static bool rule_covers_pair(struct openeds *o, size_t rule, const struct bh_allow *a, const struct bh_portset *ports)
{
	size_t n;
	const struct opened *v = find_zones(o, a, &n);

	o->work += n;
	for (size_t i = 0; i < n; i++)
		if (v[i].allow->rule == rule && bh_allow_covers(v[i].allow, a) && bh_portset_covers(&v[i].ports, ports))
			return true;
	return false;
}

/* Whether RULE covers all N pairs at V. */
static bool rule_covers(const struct bh_policy *p, struct openeds *o, size_t rule, const struct bh_allow *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct bh_portset ports = {0};
		bool covered = bh_allow_ports(p->allow.v, &v[i], &ports) == 0 && o->work < WORK_MAX &&
			(bh_portset_is_empty(&ports) || rule_covers_pair(o, rule, &v[i], &ports));

		bh_portset_clear(&ports);
		if (!covered)
			return false;
	}
	return true;
}

/* A rule that another one covers; of two equal ones the later is told. */
static void warn_covered(struct bh_cfg *c, const struct bh_allows *allows, struct openeds *o)
{
	const struct bh_policy *p = c->policy;
	char place[BH_CFG_SHOW];

	for (size_t i = 0, end; i < allows->v.n && o->work < WORK_MAX; i = end) {
		size_t rule = allows->v.v[i].rule, n;
		const struct opened *v = find_zones(o, &allows->v.v[i], &n);

		end = i;
		while (end < allows->v.n && allows->v.v[end].rule == rule)
			end++;
		for (size_t k = 0; k < n; k++) {	/* who covers the first pair may cover all */
			size_t other = v[k].allow->rule, first = 0;

			if (other == rule || (k > 0 && v[k - 1].allow->rule == other) ||
				!rule_covers(p, o, other, &allows->v.v[i], end - i))
				continue;
			if (other > rule) {	/* equal? then the other will be told */
				while (allows->v.v[first].rule < other)
					first++;
				n = first;
				while (n < allows->v.n && allows->v.v[n].rule == other)
					n++;
				if (rule_covers(p, o, rule, &allows->v.v[first], n - first))
					break;
			}
			bh_cfg_warn(c, &p->allow.v[rule].loc, "this rule opens nothing that the rule at %s does not open too",
				bh_cfg_place(&p->allow.v[other].loc, place));
			break;
		}
	}
}

/* A zone of containers that may reach the internet but no resolver: names will not resolve. */
static void warn_no_dns(struct bh_cfg *c, const struct bh_allows *allows, struct openeds *o)
{
	bh_vec_foreach(a, &allows->v) {
		struct bh_allow dns = *a;
		_cleanup_buf_ struct bh_buf name = {0};
		bool has = false;
		size_t n;
		const struct opened *v;

		if (a->to.builtin != BH_BUILTIN_INTERNET || !bh_end_has_containers(c->policy, &a->from) ||
			o->work >= WORK_MAX)
			continue;
		v = find_zones(o, a, &n);
		o->work += n;
		for (size_t i = 0; i < n && v[i].allow < a; i++)	/* told at the first rule */
			has |= bh_allow_covers(v[i].allow, a);
		dns.to = (struct bh_end){.zone = -1, .builtin = BH_BUILTIN_DNS};
		v = find_zones(o, &dns, &n);
		o->work += n;
		for (size_t i = 0; i < n; i++)
			has |= bh_allow_covers(v[i].allow, &dns) && !bh_portset_is_empty(&v[i].ports);
		if (has)
			continue;
		bh_end_print(c->policy, &a->from, &name);
		if (name.err)
			bh_cfg_oom(c);
		else
			bh_cfg_warn(c, &c->policy->allow.v[a->rule].loc,
				"zone '%s' may reach the internet but no dns: names will not resolve", name.s);
	}
}

/* An address zone takes its addresses away from lan. */
static void warn_lan(struct bh_cfg *c)
{
	static const char *const lan[] = {
		"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "fe80::/10"};

	for (size_t z = 0; z < c->policy->zones.n; z++) {
		const struct bh_claim *told = NULL;
		char text[BH_PREFIX_TEXT];

		if (c->policy->zones.v[z].kind != BH_ZONE_ADDRESSES)
			continue;
		bh_vec_foreach(p, &c->prefixes) {
			if (p->zone != z || (told && told->seq < p->seq))
				continue;
			for (size_t i = 0; i < BH_ARRAY_SIZE(lan); i++) {
				struct bh_prefix range = {0};

				if (bh_prefix_parse(lan[i], &range) == 0 &&
					(bh_prefix_covers(&range, &p->prefix) || bh_prefix_covers(&p->prefix, &range)))
					told = p;
			}
		}
		if (told)
			bh_cfg_warn(c, &told->loc, "%s is inside lan: being in zone '%s', it leaves the rules that name lan or world",
				bh_prefix_text(&told->prefix, text), c->policy->zones.v[z].name);
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

void bh_cfg_warnings(struct bh_cfg *c)
{
	struct bh_loc start = {.file = c->policy->files.v[0], .line = 1, .column = 1};
	struct bh_allows allows = {0};
	struct openeds o = {0};
	struct bh_error err = {0};
	int r = bh_allow_expand(c->policy, c->policy->allow.v, c->policy->allow.n, &allows, &err);

	if (r == -E2BIG) {
		bh_cfg_error(c, &start, "%s", err.msg);
		return;
	}
	if (r == 0)
		r = openeds_make(c->policy, &allows, &o);
	if (r == 0) {
		warn_covered(c, &allows, &o);
		warn_no_dns(c, &allows, &o);
	} else {
		bh_cfg_oom(c);
	}
	openeds_clear(&o);
	bh_allows_clear(&allows);
	warn_lan(c);
	bh_vec_foreach(z, &c->policy->zones)
		if (z->select)
			warn_selector(c, z->select, false);
}
