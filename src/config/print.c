/* SPDX-License-Identifier: Apache-2.0 */
/* The inverse of reading: one canonical text for equal policies. */
#include "config.h"

#include <bulkhead/yaml.h>

#include <inttypes.h>
#include <string.h>

static void put_texts(struct bh_buf *out, const struct bh_strv *l)
{
	if (l->n == 1) {
		bh_yaml_put_text(out, l->v[0]);
		return;
	}
	bh_buf_puts(out, "[");
	for (size_t i = 0; i < l->n; i++) {
		bh_buf_puts(out, i ? ", " : "");
		bh_yaml_put_text(out, l->v[i]);
	}
	bh_buf_puts(out, "]");
}

static void put_selector(struct bh_buf *out, const struct bh_selector *s);

/* The labels of one kind as a mapping. */
static void put_labels(struct bh_buf *out, const struct bh_selector *s, enum bh_select_key key, const char *name,
	const char **sep)
{
	bool open = false;

	bh_vec_foreach(m, &s->matches) {
		if (m->key != key)
			continue;
		if (!open)
			bh_buf_printf(out, "%s%s: {", *sep, name);
		else
			bh_buf_puts(out, ", ");
		open = true;
		bh_yaml_put_text(out, m->label);
		bh_buf_puts(out, ": ");
		put_texts(out, &m->patterns);
	}
	if (open) {
		bh_buf_puts(out, "}");
		*sep = ", ";
	}
}

static void put_selector(struct bh_buf *out, const struct bh_selector *s)
{
	static const char *const names[] = {
		[BH_SELECT_NAME] = "name", [BH_SELECT_IMAGE] = "image", [BH_SELECT_NETWORK] = "network",
		[BH_SELECT_COMPOSE] = "compose", [BH_SELECT_RUNTIME] = "runtime", [BH_SELECT_KIND] = "kind"};
	const char *sep = "";

	bh_buf_puts(out, "{");
	put_labels(out, s, BH_SELECT_LABEL, "labels", &sep);
	put_labels(out, s, BH_SELECT_IMAGE_LABEL, "image-labels", &sep);
	for (size_t key = BH_SELECT_NAME; key < BH_ARRAY_SIZE(names); key++)
		bh_vec_foreach(m, &s->matches) {
			if (m->key != key)
				continue;
			bh_buf_printf(out, "%s%s: ", sep, names[key]);
			put_texts(out, &m->patterns);
			sep = ", ";
		}
	for (size_t i = 0; i < s->any.n; i++) {
		bh_buf_printf(out, "%s%s", i ? ", " : sep, i ? "" : "any: [");
		put_selector(out, s->any.v[i]);
	}
	if (s->any.n) {
		bh_buf_puts(out, "]");
		sep = ", ";
	}
	if (s->not) {
		bh_buf_printf(out, "%snot: ", sep);
		put_selector(out, s->not);
	}
	bh_buf_puts(out, "}");
}

static bool no_rates(const struct bh_rates *r)
{
	return !r->egress_bps && !r->ingress_bps;
}

static void put_direction(struct bh_buf *out, const char *name, uint64_t cap, uint64_t guarantee)
{
	bh_buf_printf(out, "%s: ", name);
	if (guarantee) {
		bh_buf_puts(out, "{guarantee: ");
		bh_buf_puts(out, bh_bandwidth_text(guarantee, (char[BH_BANDWIDTH_TEXT]){0}));
		bh_buf_puts(out, ", max: ");
	}
	bh_buf_puts(out, bh_bandwidth_text(cap, (char[BH_BANDWIDTH_TEXT]){0}));
	bh_buf_puts(out, guarantee ? "}" : "");
}

static void put_rates(struct bh_buf *out, const char *name, const struct bh_rates *caps, const struct bh_rates *guarantees)
{
	if (no_rates(caps))
		return;
	bh_buf_printf(out, "%s: {", name);
	if (caps->egress_bps)
		put_direction(out, "egress", caps->egress_bps, guarantees->egress_bps);
	bh_buf_puts(out, caps->egress_bps && caps->ingress_bps ? ", " : "");
	if (caps->ingress_bps)
		put_direction(out, "ingress", caps->ingress_bps, guarantees->ingress_bps);
	bh_buf_puts(out, "}\n");
}

static void put_prefixes(struct bh_buf *out, const char *name, const struct bh_prefix *v, size_t n)
{
	char text[BH_PREFIX_TEXT];

	if (n == 0)
		return;
	bh_buf_printf(out, "    %s: [", name);
	for (size_t i = 0; i < n; i++)
		bh_buf_printf(out, "%s\"%s\"", i ? ", " : "", bh_prefix_text(&v[i], text));
	bh_buf_puts(out, "]\n");
}

static void put_per(struct bh_buf *out, const struct bh_zone *z)
{
	if (z->per == BH_PER_NONE)
		return;
	bh_buf_puts(out, "    per: ");
	if (z->per == BH_PER_LABEL) {
		_cleanup_buf_ struct bh_buf per = {0};

		bh_buf_printf(&per, "label:%s", z->per_label);
		if (per.err)
			out->err = per.err;
		else
			bh_yaml_put_text(out, per.s);
	} else {
		bh_buf_puts(out, z->per == BH_PER_COMPOSE ? "compose" : "network");
	}
	bh_buf_puts(out, "\n");
}

static void put_connections(struct bh_buf *out, const struct bh_zone *z)
{
	if (!z->conn_max && !z->conn_new)
		return;
	bh_buf_puts(out, "    connections: {");
	if (z->conn_max)
		bh_buf_printf(out, "max: %" PRIu64, z->conn_max);
	if (z->conn_new)
		bh_buf_printf(out, "%snew: %" PRIu64 "/%s", z->conn_max ? ", " : "", z->conn_new,
			z->conn_new_per_minute ? "minute" : "second");
	bh_buf_puts(out, "}\n");
}

static void put_zone(struct bh_buf *out, const struct bh_zone *z)
{
	bh_buf_puts(out, "  ");
	bh_yaml_put_text(out, z->name);
	bh_buf_puts(out, ":\n");
	if (z->description) {
		bh_buf_puts(out, "    description: ");
		bh_yaml_put_text(out, z->description);
		bh_buf_puts(out, "\n");
	}
	if (z->select) {
		bh_buf_puts(out, "    select: ");
		put_selector(out, z->select);
		bh_buf_puts(out, "\n");
	}
	put_per(out, z);
	put_prefixes(out, "cidrs", z->cidrs.v, z->cidrs.n);
	for (size_t i = 0; i < z->interfaces.n; i++) {
		bh_buf_puts(out, i ? ", " : "    interfaces: [");
		bh_yaml_put_text(out, z->interfaces.v[i]);
	}
	bh_buf_puts(out, z->interfaces.n ? "]\n" : "");
	if (z->has_priority)
		bh_buf_printf(out, "    priority: %" PRId32 "\n", z->priority);
	if (z->mode != BH_MODE_INHERIT)
		bh_buf_printf(out, "    mode: %s\n", z->mode == BH_MODE_AUDIT ? "audit" : "enforce");
	if (bh_zone_has_cap(z))
		bh_buf_puts(out, "    bandwidth:\n");
	if (z->exempt.n) {
		bh_buf_puts(out, "      ");
		bh_yaml_put_refs(out, "exempt", z->exempt.v, z->exempt.n);
		bh_buf_puts(out, "\n");
	}
	put_rates(out, "      container", &z->container_rates, &z->container_guarantees);
	put_rates(out, "      zone", &z->zone_rates, &z->zone_guarantees);
	put_connections(out, z);
	put_prefixes(out, "forwards", z->forwards.v, z->forwards.n);
	if (z->require) {
		bh_buf_puts(out, "    require: ");
		bh_yaml_put_require(out, z->require);
		bh_buf_puts(out, "\n");
	}
}

static void put_checks(struct bh_buf *out, const char *name, const bool *marks)
{
	const char *sep = "[";

	for (enum bh_check c = 0; c < BH_CHECK_MAX; c++)
		if (marks[c]) {
			if (*sep == '[')
				bh_buf_printf(out, "  %s: ", name);
			bh_buf_printf(out, "%s%s", sep, bh_checks[c].id);
			sep = ", ";
		}
	bh_buf_puts(out, *sep == '[' ? "" : "]\n");
}

static void put_doctor(struct bh_buf *out, const struct bh_doctor_policy *d)
{
	bool any = false;

	for (enum bh_check c = 0; c < BH_CHECK_MAX; c++)
		any |= d->skip[c] || d->warn[c];
	bh_buf_puts(out, any ? "\ndoctor:\n" : "");
	put_checks(out, "skip", d->skip);
	put_checks(out, "warn", d->warn);
}

int bh_config_print_with(const struct bh_policy *p, const char *zones, const char *rules, struct bh_buf *out)
{
	const struct bh_rates none = {0};

	bh_buf_printf(out, "version: 1\nmode: %s\ndeny: %s\n", p->mode == BH_MODE_AUDIT ? "audit" : "enforce",
		p->deny == BH_DENY_DROP ? "drop" : "reject");
	put_rates(out, "bandwidth", &p->host_rates, &none);
	if (p->require) {
		bh_buf_puts(out, "require: ");
		bh_yaml_put_require(out, p->require);
		bh_buf_puts(out, "\n");
	}
	bh_cfg_put_log(out, &p->log);
	put_doctor(out, &p->doctor);
	bh_cfg_put_detect(out, p);
	bh_cfg_put_images(out, p);
	bh_buf_puts(out, p->zones.n || zones ? "\nzones:\n" : "");
	bh_vec_foreach(z, &p->zones)
		put_zone(out, z);
	bh_buf_puts(out, zones ? zones : "");
	bh_buf_puts(out, p->allow.n || rules ? "\nallow:\n" : "");
	bh_vec_foreach(rule, &p->allow)
		bh_yaml_put_rule(out, rule, false);
	bh_buf_puts(out, rules ? rules : "");
	bh_buf_puts(out, p->expect.n ? "\nexpect:\n" : "");
	bh_vec_foreach(rule, &p->expect)
		bh_yaml_put_rule(out, rule, true);
	return out->err;
}

int bh_config_print(const struct bh_policy *p, struct bh_buf *out)
{
	return bh_config_print_with(p, NULL, NULL, out);
}
