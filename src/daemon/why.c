/* SPDX-License-Identifier: Apache-2.0 */
/* What one container was denied, and what to write so that it is allowed. */
#include "gather.h"

#include <bulkhead/advise.h>
#include <bulkhead/near.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ID_LEAST 4		/* digits of an id that are enough to mean one */
#define NOTE_MAX 512
#define FILE_NAME 96
#define INDENT_MAX 19

/* Who is meant: somebody who is there, or one who was part of a denial. */
struct subject {
	const char *name, *id;
	const struct bh_member *member;	/* NULL: gone */
	const struct bh_person *person;	/* NULL: there */
};

static const char *member_name(const struct bh_member *m)
{
	return m->container->name ? m->container->name : m->container->id;
}

static bool id_begins(const char *id, const char *s)
{
	return strlen(s) >= ID_LEAST && strncmp(id, s, strlen(s)) == 0;
}

/* 0, -ENOENT or, where S begins several ids, -EEXIST. */
static int find(const struct bh_manager *m, const char *s, struct subject *ret)
{
	const struct bh_placement *p = m->round.placement;
	size_t found = 0;

	bh_vec_foreach(x, &p->members)
		if (strcmp(member_name(x), s) == 0) {
			*ret = (struct subject){.name = member_name(x), .id = x->container->id, .member = x};
			return 0;
		}
	ret->person = bh_people_find(&m->people, s);
	bh_vec_foreach(x, &p->members)
		if (!ret->person && id_begins(x->container->id, s)) {
			*ret = (struct subject){.name = member_name(x), .id = x->container->id, .member = x};
			found++;
		}
	bh_vec_foreach(x, &m->people.v)
		if (!ret->person && found == 0 && id_begins(x->id, s))
			ret->person = x;
	if (ret->person) {
		ret->name = ret->person->name;
		ret->id = ret->person->id;
	}
	return found > 1 ? -EEXIST : ret->name ? 0 : -ENOENT;
}

static void refuse_unknown(const struct bh_manager *m, struct bh_control_call *call, const char *s, int r)
{
	_cleanup_buf_ struct bh_buf safe = {0};
	BH_VEC(const char *) names = {0};
	const char *near;

	bh_buf_put_safe(&safe, s, 128);
	bh_vec_foreach(x, &m->round.placement->members)
		(void)bh_vec_push(&names, member_name(x));
	bh_vec_foreach(x, &m->people.v)
		(void)bh_vec_push(&names, (const char *)x->name);
	near = bh_near(s, names.v, names.n);
	if (r == -EEXIST)
		bh_control_refuse(call, "usage", "'%s' begins the ids of several containers: write more of it", safe.s);
	else if (near)
		bh_control_refuse(call, "usage", "no container '%s': did you mean '%s'?", safe.s, near);
	else
		bh_control_refuse(call, "usage", "no container '%s': bulkhead status containers lists them", safe.s);
	bh_vec_clear(&names);
}

/* How it came there, where that is not plain. */
static void note_text(const struct bh_kind *k, char ret[NOTE_MAX])
{
	char addr[BH_ADDR_TEXT];

	ret[0] = '\0';
	if (k->via.family)
		snprintf(ret, NOTE_MAX, k->via.family == 6 ? "asked for [%s]:%u, a published port of this host: behind it is %.64s, and so it counts as a "
			"connection to that" : "asked for %s:%u, a published port of this host: behind it is %.64s, and so it counts as a connection to that",
			bh_addr_text(&k->via, addr), k->via_port, k->to);
	else if (k->second_leg)
		snprintf(ret, NOTE_MAX, "a program of this host went straight to %.64s, of which this port is published: docker-proxy's own connections pass when "
			"those that they serve do, every other program needs this rule", k->to);
}

static json_t *advice_json(const struct bh_manager *m, const struct bh_kind *k, const struct bh_denied_flow *f, struct bh_strv *lines)
{
	const char *means = bh_denied_class_means(k->class);
	struct bh_advice a = {0};
	char breaks[300] = "";
	json_t *o = NULL;

	if (means || k->proto == 0)
		return json_pack("{s:s, s:n, s:s, s:n}", "kind", "none", "line", "why", means ? means : "it is no IP: rules do not decide about it", "breaks");
	if ((f->from_stray || f->to_stray) && f->from && f->to)
		return json_pack("{s:s, s:n, s:s, s:n}", "kind", "zone", "line", "why", "no zone takes it: give it one", "breaks");
	if (bh_advise(m->config.policy, f->from, f->to, &f->port, &a) < 0)
		return NULL;
	if (a.breaks.line)
		snprintf(breaks, sizeof(breaks), "%s:%u", a.breaks.file ? a.breaks.file : "", a.breaks.line);
	if (!a.line || bh_strv_has(lines, a.line) || bh_strv_push(lines, a.line) == 0)
		o = json_pack("{s:s, s:s?, s:s?, s:s?}", "kind", a.kind == BH_ADVICE_LINE ? "line" : a.kind == BH_ADVICE_OPEN ? "open" : "none", "line",
			a.line, "why", a.why, "breaks", breaks[0] ? breaks : NULL);
	bh_advice_clear(&a);
	return o;
}

/* "conf.d/web1.yaml", or with a number where there is one already. */
static void new_file(const struct bh_policy *p, const char *container, char ret[FILE_NAME])
{
	char base[65];
	size_t n = 0;

	for (const char *c = container; *c && n < sizeof(base) - 1; c++)
		base[n++] = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ? *c : '-';
	base[n] = '\0';
	snprintf(ret, FILE_NAME, "conf.d/%s.yaml", base);
	for (unsigned i = 2; bh_strv_has(&p->files, ret) && i < 1000; i++)
		snprintf(ret, FILE_NAME, "conf.d/%s-%u.yaml", base, i);
}

/* Where the entries of `allow` begin: each stands behind "- ". */
static int indent_of(const struct bh_policy *p)
{
	unsigned column = p->allow.n ? p->allow.v[0].loc.column : 0;

	return column >= 3 && column <= INDENT_MAX ? (int)column - 3 : 2;
}

/* A file of conf.d with the zones that are missing and the rules; or the lines for the list `allow` that is there. */
static json_t *paste_json(struct bh_manager *m, const struct subject *s, bool zone, const struct bh_strv *lines)
{
	const struct bh_policy *p = m->config.policy;
	_cleanup_(bh_suggestion_clear) struct bh_suggestion more = {0};
	_cleanup_buf_ struct bh_buf file = {0}, text = {0};
	const char *slash = strrchr(m->config_path, '/');
	char beside[32] = "", name[FILE_NAME];

	if (!zone && lines->n == 0)
		return json_null();
	if (!zone) {
		bh_buf_puts(&file, m->config_path);
		bh_buf_puts(&text, p->allow.n ? "" : "allow:\n");
		for (size_t i = 0; i < lines->n; i++)
			bh_buf_printf(&text, "%*s%s\n", indent_of(p), "", lines->v[i] + strspn(lines->v[i], " "));
		if (p->allow.n)
			snprintf(beside, sizeof(beside), "%u", p->allow.v[0].loc.line);
		if (p->allow.n && !bh_streq(p->allow.v[0].loc.file, p->files.v[0])) {	/* the list stands in a file of conf.d */
			bh_buf_free(&file);
			file = (struct bh_buf){0};
			bh_buf_putn(&file, m->config_path, slash ? (size_t)(slash + 1 - m->config_path) : 0);
			bh_buf_puts(&file, p->allow.v[0].loc.file ? p->allow.v[0].loc.file : "");
		}
		return file.err || text.err ? NULL : json_pack("{s:s, s:s?, s:s}", "file", file.s, "beside", beside[0] ? beside : NULL, "text", text.s);
	}
	if (bh_suggest_gathered(m, s->name, &more) < 0)
		return NULL;
	bh_buf_putn(&file, m->config_path, slash ? (size_t)(slash + 1 - m->config_path) : 0);
	new_file(p, s->name, name);
	bh_buf_puts(&file, name);
	bh_buf_puts(&text, "version: 1\n");
	bh_buf_puts(&text, more.n_zones ? "zones:\n" : "");
	bh_buf_puts(&text, more.zones.s ? more.zones.s : "");
	bh_buf_puts(&text, more.n_rules ? "allow:\n" : "");
	bh_buf_puts(&text, more.rules.s ? more.rules.s : "");
	return file.err || text.err ? NULL : json_pack("{s:s, s:n, s:s}", "file", file.s, "beside", "text", text.s);
}

static json_t *why_json(struct bh_manager *m, const struct subject *s)
{
	_cleanup_(bh_gathered_clear) struct bh_gathered g = {0};
	_cleanup_(bh_strv_clear) struct bh_strv lines = {0};
	json_t *list = json_array(), *doc;
	bool zone = false, denied = false;
	int r = bh_gather(m, s->name, &g);

	for (size_t i = 0; r == 0 && i < g.kinds.n; i++) {
		json_t *o = bh_drop_json(g.kinds.v[i]), *advice = advice_json(m, g.kinds.v[i], &g.flows.v[i], &lines);
		const char *kind = json_string_value(json_object_get(advice, "kind"));
		char note[NOTE_MAX];

		note_text(g.kinds.v[i], note);
		zone = zone || bh_streq(kind, "zone");
		denied = denied || !bh_streq(kind, "open");
		if (!o || !advice || json_object_set_new(o, "advice", advice) < 0 || json_object_set_new(o, "note", note[0] ? json_string(note) : json_null()) < 0)
			r = -ENOMEM;
		(void)json_array_append_new(list, o);
	}
	doc = r < 0 ? NULL :
		      json_pack("{s:i, s:o, s:s, s:b, s:o, s:o, s:b, s:o, s:o}", "version", 1, "name", bh_json_text(s->name), "id", s->id, "running",
			      s->member != NULL, "zone", s->member ? bh_json_text(m->round.placement->insts.v[s->member->inst].name) : json_null(),
			      "reason", bh_json_text(s->member ? s->member->reason : s->person->reason), "denied", denied, "denials", json_incref(list), "paste",
			      paste_json(m, s, zone, &lines));
	json_decref(list);
	return doc;
}

void bh_handle_why(struct bh_manager *m, struct bh_control_call *call, const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "name"));
	struct subject s = {0};
	int r;

	if (!m->config.policy || !m->round.placement) {
		bh_control_refuse(call, "failed", "no valid configuration is in force, so everybody is denied everything: bulkhead check tells what is wrong with it");
		return;
	}
	if (!name || !*name) {
		bh_control_refuse(call, "usage", "\"name\" is missing");
		return;
	}
	r = find(m, name, &s);
	if (r < 0)
		refuse_unknown(m, call, name, r);
	else
		bh_control_reply(call, why_json(m, &s));
}
