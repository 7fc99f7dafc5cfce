/* SPDX-License-Identifier: Apache-2.0 */
/* What a person reads: the mode and what is wrong first, then the tables. */
#include "drops.h"
#include "status.h"

#include <string.h>

#define PROBLEMS_MAX 8

static const char *or_dash(const char *s)
{
	return s ? s : "-";
}

/* Counts problems, printing the first ones only: the tables have the rest. */
struct problems {
	struct bh_writer *w;
	size_t n;
};

#define PROBLEM(p, style, ...)                                                                     \
	do {                                                                                       \
		if ((p)->n++ < PROBLEMS_MAX)                                                       \
			bh_text_fact((p)->w, "problem", style, __VA_ARGS__);                       \
	} while (0)

static void put_mode(struct bh_writer *w, const json_t *doc)
{
	const json_t *daemon = json_object_get(doc, "daemon"), *kernel = json_object_get(doc, "kernel");
	const char *state = bh_doc_str(daemon, "state");
	bool in_sync = json_is_true(json_object_get(kernel, "in_sync"));

	if (!json_is_object(daemon)) {
		bh_text_fact(w, "mode", BH_BAD, "no daemon: the rules in the kernel stay, new containers get nothing");
		return;
	}
	if (bh_status_exit(doc) == 0 && state && strcmp(state, "auditing") == 0)
		bh_text_fact(w, "mode", BH_WARN, "auditing: nothing is denied, what would be is counted and logged");
	else if (bh_status_exit(doc) == 0)
		bh_text_fact(w, "mode", BH_GOOD, "enforcing, the kernel is in sync");
	else
		bh_text_fact(w, "mode", BH_BAD, "%s, the kernel is %s", or_dash(state), in_sync ? "in sync" : "not in sync");
}

static void put_container_problems(struct problems *p, const json_t *doc)
{
	const json_t *list = json_object_get(doc, "containers");
	json_t *c;
	size_t i;

	json_array_foreach(list, i, c) {
		const char *name = bh_doc_dash(c, "name"), *enforced = bh_doc_str(c, "enforced");

		if (enforced && strcmp(enforced, "full") != 0)
			PROBLEM(p, BH_WARN, "%s is %s enforced: %s", name, strcmp(enforced, "none") == 0 ? "not" : "partly",
				bh_doc_dash(c, "unenforced_reason"));
		if (bh_streq(bh_doc_str(c, "zone"), "quarantine"))
			PROBLEM(p, BH_WARN, "%s is in quarantine: %s", name, bh_doc_dash(c, "reason"));
		else if (json_array_size(json_object_get(json_object_get(c, "posture"), "failed")) > 0)
			PROBLEM(p, BH_WARN, "%s is less hardened than %s requires, in audit: %s", name,
				bh_doc_dash(json_object_get(c, "posture"), "required_by"), bh_doc_dash(c, "reason"));
		if (bh_doc_str(c, "registry_problem"))
			PROBLEM(p, BH_WARN, "the image of %s: %s", name, bh_doc_str(c, "registry_problem"));
	}
}

static void put_folder_problem(struct problems *p, const json_t *folder)
{
	if (bh_doc_str(folder, "problem"))
		PROBLEM(p, BH_WARN, "%s: %s", bh_doc_dash(folder, "path"), bh_doc_str(folder, "problem"));
}

static void put_image_problems(struct problems *p, const json_t *images)
{
	json_t *u;
	size_t i;

	put_folder_problem(p, json_object_get(images, "reports"));
	put_folder_problem(p, json_object_get(images, "verified"));
	json_array_foreach(json_object_get(images, "unread"), i, u)
		PROBLEM(p, BH_WARN, "%s is not believed: %s", bh_doc_dash(u, "file"), bh_doc_dash(u, "problem"));
}

static void put_problems(struct bh_writer *w, const json_t *doc)
{
	const json_t *daemon = json_object_get(doc, "daemon"), *config = json_object_get(daemon, "config");
	const json_t *runtimes = json_object_get(doc, "runtimes");
	struct problems p = { .w = w };
	json_t *rt;
	size_t i;

	if (bh_doc_str(daemon, "reason"))
		PROBLEM(&p, BH_BAD, "%s", bh_doc_str(daemon, "reason"));
	if (bh_doc_str(config, "error") && !bh_streq(bh_doc_str(config, "error"), bh_doc_str(daemon, "reason")))
		PROBLEM(&p, BH_BAD, "the configuration was refused, the last good one is in force: %s", bh_doc_str(config, "error"));
	json_array_foreach(runtimes, i, rt)
		if (!bh_streq(bh_doc_str(rt, "state"), "connected"))
			PROBLEM(&p, BH_WARN, "%s at %s is %s", bh_doc_dash(rt, "kind"), bh_doc_dash(rt, "socket"),
				bh_doc_dash(rt, "state"));
	put_image_problems(&p, json_object_get(doc, "images"));
	put_container_problems(&p, doc);
	if (p.n > PROBLEMS_MAX)
		bh_text_fact(w, "", BH_WARN, "and %zu more: bulkhead status containers", p.n - PROBLEMS_MAX);
}

static void put_health(struct bh_writer *w, const json_t *doc)
{
	const json_t *daemon = json_object_get(doc, "daemon"), *config = json_object_get(daemon, "config");
	const json_t *kernel = json_object_get(doc, "kernel"), *runtimes = json_object_get(doc, "runtimes");
	const char *file = json_string_value(json_array_get(json_object_get(config, "files"), 0));
	json_t *rt;
	size_t i;

	if (json_is_object(daemon)) {
		bh_text_fact(w, "daemon", BH_PLAIN, "bulkheadd %s, pid %lld, since %s", bh_doc_dash(daemon, "version"),
			(long long)bh_doc_num(daemon, "pid"), bh_doc_dash(daemon, "since"));
		bh_text_fact(w, "config", BH_PLAIN, "%s, loaded %s", or_dash(file), bh_doc_dash(config, "loaded"));
	}
	bh_text_fact(w, "kernel", BH_PLAIN, "table %s, %s, %lld repairs", bh_doc_dash(kernel, "table"),
		json_is_true(json_object_get(kernel, "owned")) ? "owned" : "watched and repaired", (long long)bh_doc_num(kernel, "repairs"));
	json_array_foreach(runtimes, i, rt)
		bh_text_fact(w, "runtime", BH_PLAIN, "%s at %s: %s, %lld events, %lld resyncs", bh_doc_dash(rt, "kind"),
			bh_doc_dash(rt, "socket"), bh_doc_dash(rt, "state"), (long long)bh_doc_num(rt, "events"),
			(long long)bh_doc_num(rt, "resyncs"));
}

/* "50M/-": egress and ingress, never cut: a cut rate reads like another one. */
static void rates_cell(struct bh_table_text *t, const json_t *row)
{
	const json_t *b = json_object_get(row, "bandwidth");
	char e[BH_RATE_TEXT], i[BH_RATE_TEXT], both[2 * BH_RATE_TEXT + 1];

	if (bh_doc_num(b, "egress_bps") <= 0 && bh_doc_num(b, "ingress_bps") <= 0) {
		bh_table_cell(t, BH_PLAIN, NULL);
		return;
	}
	snprintf(both, sizeof(both), "%s/%s", bh_rate_text(bh_doc_num(b, "egress_bps"), e), bh_rate_text(bh_doc_num(b, "ingress_bps"), i));
	bh_table_cell(t, BH_PLAIN, both);
}

static void dropped_cell(struct bh_table_text *t, const json_t *row)
{
	bh_table_number(t, bh_doc_num(row, "dropped_packets") ? BH_WARN : BH_PLAIN, bh_doc_num(row, "dropped_packets"));
}

/* Built-in zones that nothing happened in are left out of the overview. */
static bool is_quiet(const json_t *zone)
{
	return bh_streq(bh_doc_str(zone, "kind"), "builtin") && bh_doc_num(zone, "containers") == 0 && bh_doc_num(zone, "packets") == 0 &&
		bh_doc_num(zone, "dropped_packets") == 0;
}

static void put_zones(struct bh_writer *w, const json_t *doc, bool all)
{
	static const struct bh_column columns[] = {
		{ "ZONE", false, 12 }, { "KIND", false, 0 }, { "MODE", false, 0 }, { "MEMBERS", true, 0 },
		{ "OUT/IN", false, 0 }, { "PACKETS", true, 0 }, { "BYTES", true, 0 }, { "DENIED", true, 0 },
	};
	struct bh_table_text t = { .columns = columns, .n_columns = BH_ARRAY_SIZE(columns) };
	const json_t *zones = json_object_get(doc, "zones");
	json_t *z;
	size_t i;

	json_array_foreach(zones, i, z) {
		const char *kind = bh_doc_str(z, "kind");

		if (!all && is_quiet(z))
			continue;
		bh_table_cell(&t, BH_PLAIN, bh_doc_str(z, "name"));
		bh_table_cell(&t, BH_DIM, kind);
		bh_table_cell(&t, bh_streq(bh_doc_str(z, "mode"), "audit") ? BH_WARN : BH_PLAIN, bh_doc_str(z, "mode"));
		if (json_is_integer(json_object_get(z, "containers")))
			bh_table_number(&t, BH_PLAIN, bh_doc_num(z, "containers"));
		else
			bh_table_cell(&t, BH_PLAIN, NULL);
		rates_cell(&t, z);
		bh_table_number(&t, BH_PLAIN, bh_doc_num(z, "packets"));
		bh_table_number(&t, BH_PLAIN, bh_doc_num(z, "bytes"));
		dropped_cell(&t, z);
	}
	bh_table_print(w, &t);
}

static void put_guarantee(struct bh_writer *w, const char *zone, const char *who, const json_t *b)
{
	json_int_t out = bh_doc_num(b, "egress_guarantee_bps"), in = bh_doc_num(b, "ingress_guarantee_bps");
	char e[BH_RATE_TEXT], i[BH_RATE_TEXT];

	if (out > 0 || in > 0)
		bh_text_line(w, BH_DIM, "%s: %s guaranteed %s/%s", zone, who, bh_rate_text(out, e), bh_rate_text(in, i));
}

/* Guarantees and exemptions: few zones have them, so they are no columns. */
static void put_caps(struct bh_writer *w, const json_t *doc)
{
	const json_t *zones = json_object_get(doc, "zones");
	json_t *z, *name;
	size_t i, k;

	json_array_foreach(zones, i, z) {
		const char *zone = bh_doc_dash(z, "name");
		_cleanup_buf_ struct bh_buf names = {0};

		put_guarantee(w, zone, "is", json_object_get(z, "bandwidth"));
		put_guarantee(w, zone, "each container is", json_object_get(z, "container_bandwidth"));
		json_array_foreach(json_object_get(z, "exempt"), k, name)
			bh_buf_printf(&names, "%s%s", k ? ", " : "", or_dash(json_string_value(name)));
		if (names.s)
			bh_text_line(w, BH_DIM, "%s: no cap counts what goes to or comes from %s", zone, names.s);
	}
}

/* What each container of a zone may open: few zones have it, so it is no column. */
static void put_limits(struct bh_writer *w, const json_t *doc)
{
	const json_t *zones = json_object_get(doc, "zones");
	json_t *z;
	size_t i;

	json_array_foreach(zones, i, z) {
		const json_t *c = json_object_get(z, "connections");
		const char *rate = json_string_value(json_object_get(c, "new"));
		_cleanup_buf_ struct bh_buf text = {0};

		if (!json_is_object(c))
			continue;
		if (json_is_integer(json_object_get(c, "max")))
			bh_buf_printf(&text, " %lld connections at once%s", (long long)bh_doc_num(c, "max"), rate ? "," : "");
		if (rate)
			bh_buf_printf(&text, " %.30s new", rate);
		bh_text_line(w, BH_DIM, "%s: each container may open%s", bh_doc_dash(z, "name"), text.s ? text.s : "");
	}
}

static void address_cell(struct bh_table_text *t, const json_t *container)
{
	const json_t *endpoint = json_array_get(json_object_get(container, "endpoints"), 0);
	const char *v4 = json_string_value(json_array_get(json_object_get(endpoint, "ipv4"), 0));
	const char *v6 = json_string_value(json_array_get(json_object_get(endpoint, "ipv6"), 0));

	bh_table_cell(t, BH_PLAIN, v4 ? v4 : v6);
}

static void put_containers(struct bh_writer *w, const json_t *doc)
{
	static const struct bh_column columns[] = {
		{ "CONTAINER", false, 12 }, { "ZONE", false, 8 }, { "ADDRESS", false, 15 }, { "OUT/IN", false, 0 },
		{ "PACKETS", true, 0 }, { "DENIED", true, 0 }, { "WHY", false, 10 },
	};
	struct bh_table_text t = { .columns = columns, .n_columns = BH_ARRAY_SIZE(columns) };
	const json_t *list = json_object_get(doc, "containers");
	json_t *c;
	size_t i;

	if (json_array_size(list) == 0) {
		bh_text_line(w, BH_DIM, "no containers");
		return;
	}
	json_array_foreach(list, i, c) {
		bool quarantined = bh_streq(bh_doc_str(c, "zone"), "quarantine"), full = bh_streq(bh_doc_str(c, "enforced"), "full");

		bh_table_cell(&t, BH_PLAIN, bh_doc_str(c, "name"));
		bh_table_cell(&t, quarantined || !full ? BH_WARN : BH_PLAIN, bh_doc_str(c, "zone"));
		address_cell(&t, c);
		rates_cell(&t, c);
		bh_table_number(&t, BH_PLAIN, bh_doc_num(c, "packets"));
		dropped_cell(&t, c);
		bh_table_cell(&t, full ? BH_DIM : BH_WARN, full ? bh_doc_str(c, "reason") : bh_doc_str(c, "unenforced_reason"));
	}
	bh_table_print(w, &t);
}

/* What each has to become to be in its zone, and stay there. */
static void put_failed(struct bh_writer *w, const json_t *doc)
{
	json_t *c;
	size_t i;

	json_array_foreach(json_object_get(doc, "containers"), i, c) {
		const json_t *posture = json_object_get(c, "posture");

		if (json_array_size(json_object_get(posture, "failed")) == 0)
			continue;
		fputc('\n', w->out);
		bh_text_line(w, BH_WARN, "%s fails what %s requires:", bh_doc_dash(c, "name"), bh_doc_dash(posture, "required_by"));
		bh_text_failed(w, "", posture);
	}
}

static void ports_cell(struct bh_table_text *t, const json_t *rule)
{
	_cleanup_buf_ struct bh_buf text = {0};
	const json_t *ports = json_object_get(rule, "ports");
	json_t *p;
	size_t i;

	json_array_foreach(ports, i, p)
		bh_buf_printf(&text, "%s%s", i ? " " : "", or_dash(json_string_value(p)));
	bh_table_cell(t, BH_PLAIN, text.s ? text.s : "all");
}

static void put_rules(struct bh_writer *w, const json_t *doc)
{
	static const struct bh_column columns[] = {
		{ "FROM", false, 10 }, { "TO", false, 10 }, { "PORTS", false, 10 }, { "VERDICT", false, 0 },
		{ "PACKETS", true, 0 }, { "BYTES", true, 0 }, { "RULE", false, 10 },
	};
	struct bh_table_text t = { .columns = columns, .n_columns = BH_ARRAY_SIZE(columns) };
	const json_t *rules = json_object_get(doc, "rules");
	json_t *r;
	size_t i;

	if (json_array_size(rules) == 0) {
		bh_text_line(w, BH_DIM, "no rules: nothing may pass");
		return;
	}
	json_array_foreach(rules, i, r) {
		bh_table_cell(&t, BH_PLAIN, bh_doc_str(r, "from"));
		bh_table_cell(&t, BH_PLAIN, bh_doc_str(r, "to"));
		ports_cell(&t, r);
		bh_table_cell(&t, BH_PLAIN, bh_doc_str(r, "verdict"));
		bh_table_number(&t, BH_PLAIN, bh_doc_num(r, "packets"));
		bh_table_number(&t, BH_PLAIN, bh_doc_num(r, "bytes"));
		bh_table_cell(&t, BH_DIM, bh_doc_str(r, "source"));
	}
	bh_table_print(w, &t);
}

void bh_status_text(struct bh_writer *w, const json_t *doc, void *userdata)
{
	const enum bh_view *view = userdata;
	size_t rules = json_array_size(json_object_get(doc, "rules"));

	put_mode(w, doc);
	bh_status_hand(w, doc);
	put_problems(w, doc);
	if (*view == BH_VIEW_ALL)
		put_health(w, doc);
	fputc('\n', w->out);
	if (*view == BH_VIEW_ALL || *view == BH_VIEW_ZONES) {
		put_zones(w, doc, *view == BH_VIEW_ZONES);
		put_caps(w, doc);
		put_limits(w, doc);
	}
	if (*view == BH_VIEW_ALL)
		fputc('\n', w->out);
	if (*view == BH_VIEW_ALL || *view == BH_VIEW_CONTAINERS)
		put_containers(w, doc);
	if (*view == BH_VIEW_ALL || *view == BH_VIEW_CONTAINERS)
		put_failed(w, doc);
	if (*view == BH_VIEW_RULES)
		put_rules(w, doc);
	if (*view == BH_VIEW_DROPS)
		bh_drops_text(w, json_object_get(doc, "denials"));
	if (*view == BH_VIEW_ALL)
		bh_text_line(w, BH_DIM, "%zu rule%s: bulkhead status rules", rules, rules == 1 ? "" : "s");
}
