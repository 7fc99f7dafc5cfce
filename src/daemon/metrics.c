/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics.h"

#include <errno.h>
#include <string.h>

#define OTHERS "(others)"
#define LABEL_MAX 512u		/* bytes of a label's value, which strangers may have written */

static const char *str(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

static void head(struct bh_buf *out, const char *name, const char *type, const char *help)
{
	bh_buf_printf(out, "# HELP bulkhead_%s %s\n# TYPE bulkhead_%s %s\n", name, help, name, type);
}

/* A label's value: backslash, quote and newline escaped as the format wants it, cut at a character. */
static void label(struct bh_buf *out, const char *sep, const char *name, const char *value)
{
	size_t n = value ? strlen(value) : 0;

	if (n > LABEL_MAX)
		for (n = LABEL_MAX; n > 0 && ((unsigned char)value[n] & 0xc0) == 0x80;)
			n--;
	bh_buf_printf(out, "%s%s=\"", sep, name);
	for (size_t i = 0; i < n; i++)
		switch (value[i]) {
		case '\\':
			bh_buf_puts(out, "\\\\");
			break;
		case '"':
			bh_buf_puts(out, "\\\"");
			break;
		case '\n':
			bh_buf_puts(out, "\\n");
			break;
		default:
			bh_buf_putn(out, value + i, 1);
		}
	bh_buf_puts(out, "\"");
}

static void value(struct bh_buf *out, json_int_t n)
{
	bh_buf_printf(out, " %lld\n", (long long)(n < 0 ? 0 : n));
}

static void single(struct bh_buf *out, const char *name, const char *type, const char *help, json_int_t n)
{
	head(out, name, type, help);
	bh_buf_printf(out, "bulkhead_%s", name);
	value(out, n);
}

static void labelled(struct bh_buf *out, const char *name, const char *key, const char *text, json_int_t n)
{
	bh_buf_printf(out, "bulkhead_%s", name);
	label(out, "{", key, text);
	bh_buf_puts(out, "}");
	value(out, n);
}

static void daemon_print(const json_t *status, struct bh_buf *out)
{
	static const char *const states[] = {"starting", "enforcing", "auditing", "degraded"};
	const json_t *daemon = json_object_get(status, "daemon"), *config = json_object_get(daemon, "config");
	const json_t *kernel = json_object_get(status, "kernel"), *denied = json_object_get(kernel, "denied");
	const char *class;
	json_t *n;

	head(out, "build_info", "gauge", "The daemon's version.");
	labelled(out, "build_info", "version", str(daemon, "version"), 1);
	head(out, "state", "gauge", "What the daemon does: 1 for one of its states, 0 for the others.");
	for (size_t i = 0; i < BH_ARRAY_SIZE(states); i++)
		labelled(out, "state", "state", states[i], bh_streq(str(daemon, "state"), states[i]));
	single(out, "in_sync", "gauge", "1 while the kernel holds what is wanted, as read back for this answer.",
		json_is_true(json_object_get(kernel, "in_sync")));
	single(out, "tables_owned", "gauge", "1 while nobody else can change the tables.", json_is_true(json_object_get(kernel, "owned")));
	single(out, "repairs_total", "counter", "Times that something was put back that others had changed.",
		json_integer_value(json_object_get(kernel, "repairs")));
	single(out, "config_error", "gauge", "1 while the configuration in force is not what the files say.",
		json_is_string(json_object_get(config, "error")));
	single(out, "reload_failures_total", "counter", "Loads of the configuration that were refused.",
		json_integer_value(json_object_get(config, "refused")));
	head(out, "denied_packets_total", "counter", "Packets that were denied, or would be under audit, by class.");
	json_object_foreach((json_t *)denied, class, n)
		labelled(out, "denied_packets_total", "class", class, json_integer_value(n));
}

static void runtimes_print(const json_t *list, struct bh_buf *out)
{
	static const struct {
		const char *name, *type, *key, *help;
	} metrics[] = {
		{"runtime_up", "gauge", NULL, "1 while the container runtime answers."},
		{"runtime_events_total", "counter", "events", "Events that the runtime told."},
		{"runtime_resyncs_total", "counter", "resyncs", "Full listings of the runtime."},
	};

	for (size_t k = 0; k < BH_ARRAY_SIZE(metrics); k++) {
		json_t *rt;
		size_t i;

		head(out, metrics[k].name, metrics[k].type, metrics[k].help);
		json_array_foreach(list, i, rt) {
			bh_buf_printf(out, "bulkhead_%s", metrics[k].name);
			label(out, "{", "runtime", str(rt, "kind"));
			label(out, ",", "socket", str(rt, "socket"));
			bh_buf_puts(out, "}");
			value(out, metrics[k].key ? json_integer_value(json_object_get(rt, metrics[k].key)) : bh_streq(str(rt, "state"), "connected"));
		}
	}
}

/* A number that each row of a list has. */
struct counter {
	const char *name, *key, *help;
};

/* ROW: NULL for those that are told together. */
typedef void (*line_fn)(struct bh_buf *out, const char *name, const json_t *row, json_int_t n);

static void counter_print(const struct counter *c, const json_t *list, size_t most, line_fn line, struct bh_buf *out)
{
	json_int_t others = 0;
	json_t *row;
	size_t i;

	head(out, c->name, "counter", c->help);
	json_array_foreach(list, i, row) {
		json_int_t n = json_integer_value(json_object_get(row, c->key));

		if (i < most)
			line(out, c->name, row, n);
		else
			others += n;
	}
	if (json_array_size(list) > most)
		line(out, c->name, NULL, others);
}

static void zone_line(struct bh_buf *out, const char *name, const json_t *row, json_int_t n)
{
	labelled(out, name, "zone", row ? str(row, "name") : OTHERS, n);
}

static void zones_print(const json_t *list, struct bh_buf *out)
{
	static const struct counter metrics[] = {
		{"zone_packets_total", "packets", "Packets of a zone, both directions."},
		{"zone_bytes_total", "bytes", "Bytes of a zone, both directions."},
		{"zone_dropped_packets_total", "dropped_packets", "Packets of a zone's members that were dropped."},
		{"zone_dropped_bytes_total", "dropped_bytes", "Bytes of a zone's members that were dropped."},
	};

	for (size_t k = 0; k < BH_ARRAY_SIZE(metrics); k++)
		counter_print(&metrics[k], list, BH_METRICS_ZONES, zone_line, out);
}

static void containers_line(struct bh_buf *out, const char *zone, const char *enforced, json_int_t n)
{
	bh_buf_puts(out, "bulkhead_containers");
	label(out, "{", "zone", zone);
	label(out, ",", "enforced", enforced);
	bh_buf_puts(out, "}");
	value(out, n);
}

static bool has_containers(const json_t *zone)
{
	const char *name = str(zone, "name");

	return bh_streq(str(zone, "kind"), "containers") || bh_streq(name, "quarantine") || bh_streq(name, "build");
}

/* How many of a zone's containers are enforced how; a zone of containers has all three. 0 or -ENOMEM. */
static int containers_print(const json_t *status, struct bh_buf *out)
{
	static const char *const kinds[] = {"full", "partial", "none"};
	const json_t *zones = json_object_get(status, "zones"), *containers = json_object_get(status, "containers");
	json_t *counts = json_object(), *others = json_object(), *x;
	size_t i;
	int r = counts && others ? 0 : -ENOMEM;

	json_array_foreach(zones, i, x)
		if (r == 0 && i < BH_METRICS_ZONES && str(x, "name"))
			r = json_object_set_new(counts, str(x, "name"), json_object()) < 0 ? -ENOMEM : 0;
	json_array_foreach(containers, i, x) {
		json_t *of = str(x, "zone") ? json_object_get(counts, str(x, "zone")) : NULL;
		const char *kind = str(x, "enforced");

		of = of ? of : others;
		if (r == 0 && kind)
			r = json_object_set_new(of, kind, json_integer(json_integer_value(json_object_get(of, kind)) + 1)) < 0 ? -ENOMEM : 0;
	}
	head(out, "containers", "gauge", "Containers of a zone by how far they are enforced.");
	json_array_foreach(zones, i, x)
		for (size_t k = 0; r == 0 && k < BH_ARRAY_SIZE(kinds); k++) {
			const json_t *n = json_object_get(json_object_get(counts, str(x, "name")), kinds[k]);

			if (i < BH_METRICS_ZONES && has_containers(x))
				containers_line(out, str(x, "name"), kinds[k], json_integer_value(n));
		}
	for (size_t k = 0; r == 0 && k < BH_ARRAY_SIZE(kinds); k++)
		if (json_object_get(others, kinds[k]))
			containers_line(out, OTHERS, kinds[k], json_integer_value(json_object_get(others, kinds[k])));
	json_decref(counts);
	json_decref(others);
	return r;
}

static void rule_line(struct bh_buf *out, const char *name, const json_t *row, json_int_t n)
{
	bh_buf_printf(out, "bulkhead_%s", name);
	label(out, "{", "from", row ? str(row, "from") : OTHERS);
	label(out, ",", "to", row ? str(row, "to") : OTHERS);
	label(out, ",", "rule", row ? str(row, "source") : OTHERS);
	bh_buf_puts(out, "}");
	value(out, n);
}

static void rules_print(const json_t *list, struct bh_buf *out)
{
	static const struct counter metrics[] = {
		{"rule_packets_total", "packets", "Packets that a rule let pass from one zone to another, both directions."},
		{"rule_bytes_total", "bytes", "Bytes that a rule let pass from one zone to another, both directions."},
	};

	for (size_t k = 0; k < BH_ARRAY_SIZE(metrics); k++)
		counter_print(&metrics[k], list, BH_METRICS_RULES, rule_line, out);
}

int bh_metrics_print(const json_t *status, struct bh_buf *out)
{
	daemon_print(status, out);
	runtimes_print(json_object_get(status, "runtimes"), out);
	if (containers_print(status, out) < 0)
		return -ENOMEM;
	zones_print(json_object_get(status, "zones"), out);
	rules_print(json_object_get(status, "rules"), out);
	return out->err;
}
