/* SPDX-License-Identifier: Apache-2.0 */
#include <bulkhead/policy.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const builtin_names[BH_BUILTIN_MAX] = {
	[BH_BUILTIN_HOST] = "host",
	[BH_BUILTIN_LAN] = "lan",
	[BH_BUILTIN_CONTAINERS] = "containers",
	[BH_BUILTIN_INTERNET] = "internet",
	[BH_BUILTIN_WORLD] = "world",
	[BH_BUILTIN_METADATA] = "metadata",
	[BH_BUILTIN_DNS] = "dns",
	[BH_BUILTIN_BUILD] = "build",
	[BH_BUILTIN_QUARANTINE] = "quarantine",
	[BH_BUILTIN_ANY] = "any",
};

const char *const bh_log_words[BH_LOG_WORDS] = {
	[BH_LOG_PLACED] = "placed",
	[BH_LOG_DENIED] = "denied",
	[BH_LOG_CONTROL] = "control",
	[BH_LOG_DETECT] = "detect",
	[BH_LOG_HAND] = "hand",
	[BH_LOG_CONFIG] = "config",
	[BH_LOG_REPAIR] = "repair",
	[BH_LOG_CONNECTIONS] = "connections",
	[BH_LOG_RUNTIME] = "runtime",
	[BH_LOG_START] = "start",
	[BH_LOG_STOP] = "stop",
	[BH_LOG_DEGRADED] = "degraded",
};

const char *const bh_sees_words[BH_SEES_MAX] = {
	[BH_SEES_DENIED] = "denied",
	[BH_SEES_CONNECTIONS] = "connections",
	[BH_SEES_FIRST_CONTACT] = "first-contact",
	[BH_SEES_SATURATED] = "saturated",
	[BH_SEES_EXEC] = "exec",
	[BH_SEES_POSTURE] = "posture-changed",
	[BH_SEES_EGRESS] = "egress",
};

const char *const bh_distinct_words[BH_DISTINCT_MAX] = {
	[BH_DISTINCT_NONE] = "packets",
	[BH_DISTINCT_PORTS] = "ports",
	[BH_DISTINCT_ADDRESSES] = "addresses",
	[BH_DISTINCT_CONTAINERS] = "containers",
	[BH_DISTINCT_ZONES] = "zones",
};

const struct bh_unforwardable bh_unforwardable[] = {
	{"0.0.0.0/8", "unspecified"}, {"127.0.0.0/8", "loopback"}, {"169.254.0.0/16", "link-local"},
	{"224.0.0.0/4", "multicast"}, {"240.0.0.0/4", "reserved"}, {"::/127", "loopback"},
	{"fe80::/10", "link-local"}, {"ff00::/8", "multicast"}, {NULL, NULL},
};

const char *bh_bandwidth_text(uint64_t bps, char buf[BH_BANDWIDTH_TEXT])
{
	static const struct {
		const char *unit;
		uint64_t bps;
	} units[] = {{"gbit", 1000000000}, {"mbit", 1000000}, {"kbit", 1000}, {"bit", 1}};
	size_t i = 0;

	while (bps % units[i].bps)
		i++;
	snprintf(buf, BH_BANDWIDTH_TEXT, "%" PRIu64 "%s", bps / units[i].bps, units[i].unit);
	return buf;
}

const char *bh_direction_name(enum bh_direction d)
{
	return d == BH_EGRESS ? "egress" : "ingress";
}

const char *bh_builtin_name(enum bh_builtin b)
{
	return b > BH_BUILTIN_NONE && b < BH_BUILTIN_MAX ? builtin_names[b] : NULL;
}

enum bh_builtin bh_builtin_from_name(const char *name)
{
	for (int b = BH_BUILTIN_NONE + 1; b < BH_BUILTIN_MAX; b++)
		if (strcmp(builtin_names[b], name) == 0)
			return (enum bh_builtin)b;
	return BH_BUILTIN_NONE;
}

void bh_selector_free(struct bh_selector *s)
{
	if (!s)
		return;
	bh_vec_foreach(m, &s->matches) {
		free(m->label);
		bh_strv_clear(&m->patterns);
	}
	bh_vec_clear(&s->matches);
	bh_vec_foreach(a, &s->any)
		bh_selector_free(*a);
	bh_vec_clear(&s->any);
	bh_selector_free(s->not);
	free(s);
}

bool bh_zone_has_cap(const struct bh_zone *z)
{
	return z->container_rates.egress_bps || z->container_rates.ingress_bps || z->zone_rates.egress_bps || z->zone_rates.ingress_bps;
}

void bh_zone_ref_clear(struct bh_zone_ref *ref)
{
	free(ref->name);
	free(ref->value);
	ref->name = ref->value = NULL;
}

static void refs_clear(struct bh_zone_ref *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		bh_zone_ref_clear(&v[i]);
	free(v);
}

static void zone_clear(struct bh_zone *z)
{
	refs_clear(z->exempt.v, z->exempt.n);
	free(z->name);
	free(z->description);
	bh_selector_free(z->select);
	free(z->per_label);
	bh_vec_clear(&z->forwards);
	bh_vec_clear(&z->cidrs);
	bh_strv_clear(&z->interfaces);
	bh_require_free(z->require);
}

static void rules_clear(struct bh_rule *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		refs_clear(v[i].from.v, v[i].from.n);
		refs_clear(v[i].to.v, v[i].to.n);
		bh_vec_clear(&v[i].ports);
	}
	free(v);
}

void bh_policy_free(struct bh_policy *p)
{
	if (!p)
		return;
	bh_vec_foreach(z, &p->zones)
		zone_clear(z);
	bh_vec_clear(&p->zones);
	rules_clear(p->allow.v, p->allow.n);
	rules_clear(p->expect.v, p->expect.n);
	free(p->log.file);
	bh_require_free(p->require);
	bh_vec_foreach(d, &p->detect) {
		free(d->name);
		bh_strv_clear(&d->except);
		refs_clear(d->zones.v, d->zones.n);
	}
	bh_vec_clear(&p->detect);
	free(p->alerts);
	bh_strv_clear(&p->files);
	free(p->reports);
	free(p->verified);
	free(p);
}

int bh_policy_find_zone(const struct bh_policy *p, const char *name)
{
	for (size_t i = 0; i < p->zones.n; i++)
		if (strcmp(p->zones.v[i].name, name) == 0)
			return (int)i;
	return -1;
}
