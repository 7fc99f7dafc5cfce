/* SPDX-License-Identifier: Apache-2.0 */
#include "policy_equal.h"

#include <string.h>

#define EACH(a, b, equal)                                                                          \
	({                                                                                         \
		bool each_ = (a)->n == (b)->n;                                                     \
		for (size_t i_ = 0; each_ && i_ < (a)->n; i_++)                                    \
			each_ = equal(&(a)->v[i_], &(b)->v[i_]);                                   \
		each_;                                                                             \
	})

static bool text_equal(char *const *a, char *const *b)
{
	return bh_streq(*a, *b);
}

static bool match_equal(const struct bh_select_match *a, const struct bh_select_match *b)
{
	return a->key == b->key && bh_streq(a->label, b->label) && EACH(&a->patterns, &b->patterns, text_equal);
}

static bool selector_equal(const struct bh_selector *a, const struct bh_selector *b);

static bool selectorp_equal(struct bh_selector *const *a, struct bh_selector *const *b)
{
	return selector_equal(*a, *b);
}

static bool selector_equal(const struct bh_selector *a, const struct bh_selector *b)
{
	if (!a || !b)
		return a == b;
	return EACH(&a->matches, &b->matches, match_equal) && EACH(&a->any, &b->any, selectorp_equal) &&
		selector_equal(a->not, b->not);
}

static bool prefix_equal(const struct bh_prefix *a, const struct bh_prefix *b)
{
	return bh_prefix_cmp(a, b) == 0;
}

static bool rates_equal(const struct bh_rates *a, const struct bh_rates *b)
{
	return a->egress_bps == b->egress_bps && a->ingress_bps == b->ingress_bps;
}

static bool ref_equal(const struct bh_zone_ref *a, const struct bh_zone_ref *b)
{
	return bh_streq(a->name, b->name) && bh_streq(a->value, b->value) && a->zone == b->zone && a->builtin == b->builtin;
}

static bool require_equal(const struct bh_require *a, const struct bh_require *b)
{
	if (!a || !b)
		return a == b;
	for (int c = 0; c < BH_REQUIRE_MAX; c++)
		if (bh_require_asks(a, (enum bh_condition)c) != bh_require_asks(b, (enum bh_condition)c))
			return false;
	return a->caps_bound == b->caps_bound && a->caps_allow == b->caps_allow && a->caps_forbid == b->caps_forbid &&
		a->namespaces == b->namespaces && a->restart == b->restart && a->max_age == b->max_age &&
		a->scanned.has_max == b->scanned.has_max && a->scanned.max == b->scanned.max && a->scanned.only_fixed == b->scanned.only_fixed &&
		a->scanned.max_age == b->scanned.max_age &&
		EACH(&a->mounts, &b->mounts, text_equal) && EACH(&a->registries, &b->registries, text_equal);
}

static bool zone_equal(const struct bh_zone *a, const struct bh_zone *b)
{
	return bh_streq(a->name, b->name) && bh_streq(a->description, b->description) && a->kind == b->kind &&
		a->builtin == b->builtin && selector_equal(a->select, b->select) && a->per == b->per &&
		bh_streq(a->per_label, b->per_label) && a->has_priority == b->has_priority && a->priority == b->priority &&
		a->mode == b->mode && rates_equal(&a->container_rates, &b->container_rates) &&
		rates_equal(&a->zone_rates, &b->zone_rates) &&
		rates_equal(&a->container_guarantees, &b->container_guarantees) &&
		rates_equal(&a->zone_guarantees, &b->zone_guarantees) && a->conn_max == b->conn_max && a->conn_new == b->conn_new &&
		EACH(&a->exempt, &b->exempt, ref_equal) && a->conn_new_per_minute == b->conn_new_per_minute && EACH(&a->forwards, &b->forwards, prefix_equal) &&
		EACH(&a->cidrs, &b->cidrs, prefix_equal) && EACH(&a->interfaces, &b->interfaces, text_equal) &&
		require_equal(a->require, b->require);
}

static bool port_equal(const struct bh_port *a, const struct bh_port *b)
{
	return a->proto == b->proto && a->all == b->all && a->first == b->first && a->last == b->last;
}

static bool rule_equal(const struct bh_rule *a, const struct bh_rule *b)
{
	return EACH(&a->from, &b->from, ref_equal) && EACH(&a->to, &b->to, ref_equal) && EACH(&a->ports, &b->ports, port_equal) &&
		a->values == b->values && a->has_values == b->has_values && a->expect_accept == b->expect_accept;
}

static bool detect_equal(const struct bh_detect_rule *a, const struct bh_detect_rule *b)
{
	return bh_streq(a->name, b->name) && a->sees == b->sees && a->distinct == b->distinct && a->more_than == b->more_than &&
		a->within_usec == b->within_usec && a->learn_usec == b->learn_usec && EACH(&a->except, &b->except, text_equal) &&
		EACH(&a->zones, &b->zones, ref_equal) && a->alert == b->alert && a->quarantine_usec == b->quarantine_usec && a->audit == b->audit;
}

bool policy_equal(const struct bh_policy *a, const struct bh_policy *b)
{
	return a->mode == b->mode && a->deny == b->deny && memcmp(&a->doctor, &b->doctor, sizeof(a->doctor)) == 0 && rates_equal(&a->host_rates, &b->host_rates) &&
		bh_streq(a->log.file, b->log.file) && a->log.size == b->log.size && a->log.keep == b->log.keep && a->log.what == b->log.what &&
		bh_streq(a->reports, b->reports) && bh_streq(a->verified, b->verified) &&
		require_equal(a->require, b->require) &&
		EACH(&a->detect, &b->detect, detect_equal) && bh_streq(a->alerts, b->alerts) && EACH(&a->zones, &b->zones, zone_equal) &&
		EACH(&a->allow, &b->allow, rule_equal) && EACH(&a->expect, &b->expect, rule_equal);
}
