/* SPDX-License-Identifier: Apache-2.0 */
/* The first thing that a newcomer runs: what stands open here. No daemon, no change. */
#include "scan.h"

#include <bulkhead/control.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define DOCKER_SOCKET "/run/docker.sock"

static json_t *finding_json(const struct bh_finding *f)
{
	json_t *from = json_array();

	if (f->lan)
		json_array_append_new(from, json_string("lan"));
	if (f->internet)
		json_array_append_new(from, json_string("internet"));
	return json_pack("{s:s, s:s, s:b, s:o, s:o, s:o, s:o, s:{s:o, s:o}, s:o}", "kind", bh_scan_kind_name(f->kind), "severity",
		bh_scan_severity_name(f->severity), "sure", f->sure, "container", bh_json_text(f->container), "door", bh_json_text(f->door), "from", from,
		"meaning", bh_json_text(f->meaning), "bulkhead", "zones", bh_json_text(f->zone), "allow", bh_json_text(f->allow), "docker",
		bh_json_text(f->docker));
}

json_t *bh_scan_json(const struct bh_scan *s, const char *socket)
{
	json_t *list = json_array();

	bh_vec_foreach(f, &s->findings)
		if (json_array_append_new(list, finding_json(f)) < 0) {
			json_decref(list);
			return NULL;
		}
	return json_pack("{s:i, s:{s:s, s:o, s:I}, s:s?, s:I, s:o}", "version", 1, "runtime", "kind", "docker", "socket", bh_json_text(socket), "containers",
		(json_int_t)s->containers, "firewall", s->firewall, "guarded", (json_int_t)s->guarded, "findings", list);
}

static void put_finding(struct bh_writer *w, const json_t *f)
{
	const json_t *from = json_object_get(f, "from"), *bulkhead = json_object_get(f, "bulkhead");
	const char *severity = bh_doc_str(f, "severity"), *door = bh_doc_str(f, "door");
	enum bh_style style = bh_streq(severity, "high") ? BH_BAD : bh_streq(severity, "medium") ? BH_WARN : BH_PLAIN;
	const char *who = json_array_size(from) == 2 ? ", open to lan and internet" : bh_streq(json_string_value(json_array_get(from, 0)), "lan") ?
		", open to lan" : json_array_size(from) ? ", open to internet" : "";

	fputc('\n', w->out);
	bh_text_fact(w, severity ? severity : "-", style, "%s: %s%s%s%s", bh_doc_str(f, "container"), bh_doc_str(f, "kind"),
		door ? " " : "", door ? door : "", who);
	bh_text_fact(w, "", BH_PLAIN, "%s", bh_doc_str(f, "meaning"));
	if (bh_doc_str(bulkhead, "zones"))
		bh_text_fact(w, "zones", BH_DIM, "%s%s", bh_doc_str(bulkhead, "zones"), bh_doc_str(bulkhead, "allow") ? "" : "  and no rule to it");
	if (bh_doc_str(bulkhead, "allow"))
		bh_text_fact(w, "allow", BH_DIM, "%s", bh_doc_str(bulkhead, "allow"));
	bh_text_fact(w, "docker", BH_DIM, "%s", bh_doc_str(f, "docker"));
}

void bh_scan_text(struct bh_writer *w, const json_t *doc, void *userdata)
{
	const json_t *list = json_object_get(doc, "findings");
	json_int_t guarded = json_integer_value(json_object_get(doc, "guarded"));
	json_int_t containers = json_integer_value(json_object_get(json_object_get(doc, "runtime"), "containers"));
	size_t n = json_array_size(list), i;
	json_t *f;

	(void)userdata;
	bh_text_fact(w, "found", n ? BH_BAD : BH_GOOD, "%zu in %lld container%s of %s", n, (long long)containers, containers == 1 ? "" : "s",
		bh_doc_str(json_object_get(doc, "runtime"), "socket"));
	bh_text_fact(w, "firewall", BH_PLAIN, "%s", bh_doc_str(doc, "firewall") ? bh_doc_str(doc, "firewall") : "none that guards this host's own ports");
	if (guarded)
		bh_text_fact(w, "bulkhead", BH_GOOD, "enforces: %lld door%s that Docker leaves open %s judged by its rules (bulkhead status rules)",
			(long long)guarded, guarded == 1 ? "" : "s", guarded == 1 ? "is" : "are");
	json_array_foreach(list, i, f)
		put_finding(w, f);
	if (n) {
		fputc('\n', w->out);
		bh_text_line(w, BH_DIM, "zones and allow: for " BH_CONFIG_FILE " with mode: enforce, which closes whatever no rule opens.");
	}
}

int bh_verb_scan(struct bh_cli *cli)
{
	_cleanup_(bh_scan_freep) struct bh_scan *scan = NULL;
	const char *socket = cli->option[BH_OPTION_DOCKER] ? cli->option[BH_OPTION_DOCKER] : DOCKER_SOCKET;
	struct bh_error err = {0};
	json_t *doc = NULL;
	int r;

	if (geteuid() != 0) {
		bh_cli_error(cli, "scan reads the kernel's rules and Docker's socket, which is for root: run it with sudo");
		return BH_EXIT_DENIED;
	}
	r = bh_scan_host(socket, &scan, &err);
	if (r < 0) {
		bh_cli_error(cli, r == -ENOTCONN ? "%s: give its socket with --docker SOCKET" : "%s", err.msg);
		return r == -ENOTCONN ? BH_EXIT_NO_DAEMON : 1;
	}
	doc = bh_scan_json(scan, socket);
	if (!doc) {
		bh_cli_error(cli, "out of memory");
		return 1;
	}
	r = bh_writer_put(&cli->writer, doc, bh_scan_text, NULL);
	json_decref(doc);
	return r < 0 || scan->findings.n > 0 ? 1 : BH_EXIT_OK;
}
