/* SPDX-License-Identifier: Apache-2.0 */
/* Modes, caps, limits: what is set, as far as it is in force. */
#include "plan_priv.h"

#include <bulkhead/detect.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int setting(struct planner *p, const char *zone, const char *what, const char *before, const char *after)
{
	struct bh_setting *s;

	if (bh_streq(before, after))
		return 0;
	s = bh_vec_add(&p->out->settings);
	if (!s)
		return -ENOMEM;
	s->what = what;
	if (bh_strdup(&s->zone, zone) < 0 || bh_strdup(&s->before, before) < 0 || bh_strdup(&s->after, after) < 0)
		return -ENOMEM;
	return 0;
}

static int number(struct planner *p, const char *zone, const char *what, uint64_t before, uint64_t after)
{
	char a[48], b[48];

	snprintf(a, sizeof(a), before ? "%" PRIu64 : "none", before);
	snprintf(b, sizeof(b), after ? "%" PRIu64 : "none", after);
	return setting(p, zone, what, a, b);
}

static int rate(struct planner *p, const char *zone, const char *what, uint64_t before, uint64_t after)
{
	char a[BH_BANDWIDTH_TEXT], b[BH_BANDWIDTH_TEXT];

	return setting(p, zone, what, before ? bh_bandwidth_text(before, a) : "none", after ? bh_bandwidth_text(after, b) : "none");
}

static int rates(struct planner *p, const char *zone, const char *const what[2], const struct bh_rates *a, const struct bh_rates *b)
{
	static const struct bh_rates none;
	const struct bh_rates *x = p->before->in->policy->mode == BH_MODE_AUDIT ? &none : a;
	const struct bh_rates *y = p->after->in->policy->mode == BH_MODE_AUDIT ? &none : b;
	int r = rate(p, zone, what[0], x->egress_bps, y->egress_bps);

	return r < 0 ? r : rate(p, zone, what[1], x->ingress_bps, y->ingress_bps);
}

static int connections(struct planner *p, const struct bh_zone *a, const struct bh_zone *b, const char *zone)
{
	bool x = bh_zone_is_limited(p->before->in->policy, a), y = bh_zone_is_limited(p->after->in->policy, b);
	char before[64] = "none", after[64] = "none";
	int r = number(p, zone, "connections max", x ? a->conn_max : 0, y ? b->conn_max : 0);

	if (x && a->conn_new)
		snprintf(before, sizeof(before), "%" PRIu64 "/%s", a->conn_new, a->conn_new_per_minute ? "minute" : "second");
	if (y && b->conn_new)
		snprintf(after, sizeof(after), "%" PRIu64 "/%s", b->conn_new, b->conn_new_per_minute ? "minute" : "second");
	return r < 0 ? r : setting(p, zone, "connections new", before, after);
}

static void forwards_print(const struct bh_zone *z, struct bh_buf *out)
{
	char text[BH_PREFIX_TEXT];

	if (z->forwards.n == 0)
		bh_buf_puts(out, "none");
	bh_vec_foreach(f, &z->forwards)
		bh_buf_printf(out, "%s%s", f == z->forwards.v ? "" : ", ", bh_prefix_text(f, text));
}

static int forwards(struct planner *p, const struct bh_zone *a, const struct bh_zone *b, const char *zone)
{
	_cleanup_buf_ struct bh_buf x = {0}, y = {0};

	forwards_print(a, &x);
	forwards_print(b, &y);
	return x.err || y.err ? -ENOMEM : setting(p, zone, "forwards", x.s, y.s);
}

static void exempt_print(const struct bh_policy *p, const struct bh_zone *z, struct bh_buf *out)
{
	if (z->exempt.n == 0 || p->mode == BH_MODE_AUDIT)
		bh_buf_puts(out, "none");
	else
		bh_vec_foreach(ref, &z->exempt)
			bh_buf_printf(out, "%s%s", ref == z->exempt.v ? "" : ", ", ref->name);
}

static int exempt(struct planner *p, const struct bh_zone *a, const struct bh_zone *b, const char *zone)
{
	_cleanup_buf_ struct bh_buf x = {0}, y = {0};

	exempt_print(p->before->in->policy, a, &x);
	exempt_print(p->after->in->policy, b, &y);
	return x.err || y.err ? -ENOMEM : setting(p, zone, "exempt from caps", x.s, y.s);
}

static int require(struct planner *p, const char *zone, const struct bh_require *a, const struct bh_require *b)
{
	_cleanup_buf_ struct bh_buf x = {0}, y = {0};

	bh_buf_puts(&x, a ? "" : "none");
	bh_buf_puts(&y, b ? "" : "none");
	if (a)
		bh_yaml_put_require(&x, a);
	if (b)
		bh_yaml_put_require(&y, b);
	return x.err || y.err ? -ENOMEM : setting(p, zone, "require", x.s, y.s);
}

static const char *mode_text(enum bh_mode m)
{
	return m == BH_MODE_AUDIT ? "audit" : m == BH_MODE_ENFORCE ? "enforce" : "the file's";
}

/* A and B are the zone of the same name; a zone that is not there has nothing. */
static int zone(struct planner *p, const char *name, const struct bh_zone *a, const struct bh_zone *b)
{
	static const char *const container[] = {"container egress", "container ingress"}, *const whole[] = {"zone egress", "zone ingress"};
	static const char *const container_least[] = {"container egress guarantee", "container ingress guarantee"};
	static const char *const whole_least[] = {"zone egress guarantee", "zone ingress guarantee"};
	static const struct bh_zone nothing;
	const struct bh_zone *x = a ? a : &nothing, *y = b ? b : &nothing;
	int r = setting(p, name, "zone", a ? "there" : "not there", b ? "there" : "not there");

	if (r == 0)
		r = setting(p, name, "mode", mode_text(x->mode), mode_text(y->mode));
	if (r == 0)
		r = rates(p, name, container, &x->container_rates, &y->container_rates);
	if (r == 0)
		r = rates(p, name, container_least, &x->container_guarantees, &y->container_guarantees);
	if (r == 0)
		r = rates(p, name, whole, &x->zone_rates, &y->zone_rates);
	if (r == 0)
		r = rates(p, name, whole_least, &x->zone_guarantees, &y->zone_guarantees);
	if (r == 0)
		r = exempt(p, x, y, name);
	if (r == 0)
		r = connections(p, x, y, name);
	if (r == 0)
		r = require(p, name, x->require, y->require);
	return r < 0 ? r : forwards(p, x, y, name);
}

static const struct bh_zone *find(const struct bh_policy *p, const char *name)
{
	int i = bh_policy_find_zone(p, name);

	return i >= 0 ? &p->zones.v[i] : NULL;
}

static int detect(struct planner *p, const struct bh_policy *a, const struct bh_policy *b)
{
	bool same = bh_detect_rules_equal(a->detect.v, a->detect.n, b->detect.v, b->detect.n);
	char before[48], now[48];
	int r = setting(p, NULL, "alerts", a->alerts ? a->alerts : "none", b->alerts ? b->alerts : "none");

	snprintf(before, sizeof(before), "%zu rules", a->detect.n);
	snprintf(now, sizeof(now), !same && a->detect.n == b->detect.n ? "%zu other rules" : "%zu rules", b->detect.n);
	return r < 0 ? r : setting(p, NULL, "detect", before, now);
}

int plan_settings(struct planner *p)
{
	static const char *const host[] = {"host egress", "host ingress"};
	const struct bh_policy *a = p->before->in->policy, *b = p->after->in->policy;
	int r = setting(p, NULL, "mode", mode_text(a->mode), mode_text(b->mode));

	if (r == 0)
		r = setting(p, NULL, "deny", a->deny == BH_DENY_DROP ? "drop" : "reject", b->deny == BH_DENY_DROP ? "drop" : "reject");
	if (r == 0)
		r = rates(p, NULL, host, &a->host_rates, &b->host_rates);
	if (r == 0)
		r = require(p, NULL, a->require, b->require);
	if (r == 0)
		r = setting(p, NULL, "reports", a->reports ? a->reports : "none", b->reports ? b->reports : "none");
	if (r == 0)
		r = setting(p, NULL, "verified", a->verified ? a->verified : "none", b->verified ? b->verified : "none");
	if (r == 0)
		r = setting(p, NULL, "log", a->log.file ? a->log.file : "none", b->log.file ? b->log.file : "none");
	if (r == 0)
		r = detect(p, a, b);
	for (size_t i = 0; i < a->zones.n && r == 0; i++)
		r = zone(p, a->zones.v[i].name, &a->zones.v[i], find(b, a->zones.v[i].name));
	for (size_t i = 0; i < b->zones.n && r == 0; i++)
		if (!find(a, b->zones.v[i].name))
			r = zone(p, b->zones.v[i].name, NULL, &b->zones.v[i]);
	return r;
}
