/* SPDX-License-Identifier: Apache-2.0 */
/* What a reload would change. Both sides are built as a reload builds them, from the same containers and host, and thrown away again. */
#include "manager.h"

#include <bulkhead/expect.h>
#include <bulkhead/plan.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct plan {
	struct bh_policy *policy;
	char *said;			/* diagnostics */
	size_t most;
	struct bh_round before, after;
	struct bh_forecast *forecast;
	struct bh_endings endings;
	char *unread;			/* why connections were not counted, or NULL */
	struct bh_expect_failures broken;
	size_t changes;			/* of the kernel's tables */
	bool text_differs;
};

static void plan_clear(struct plan *p)
{
	bh_expect_failures_clear(&p->broken);
	bh_endings_clear(&p->endings);
	bh_forecast_free(p->forecast);
	bh_round_clear(&p->before);
	bh_round_clear(&p->after);
	bh_policy_free(p->policy);
	free(p->said);
	free(p->unread);
}

/* The daemon's own file. Its lines are not shown: who asks may not be allowed to read it. */
static int own_policy(struct bh_manager *m, struct plan *p, struct bh_error *err)
{
	_cleanup_buf_ struct bh_buf said = {0};
	struct bh_diags diags = {0};
	int r = bh_config_load(m->config_path, BH_CONFIG_CONF_D | BH_CONFIG_CHECK_OWNER, &p->policy, &diags);

	bh_vec_foreach(d, &diags.v) {
		free(d->source);
		d->source = NULL;
	}
	if (bh_diags_print(&diags, &said) == 0 && said.n > 0)
		(void)bh_buf_steal(&said, &p->said);
	bh_diags_clear(&diags);
	return r < 0 ? bh_fail(err, r, "%s would be refused: bulkhead check %s", m->config_path, m->config_path) : 0;
}

static int wanted_policy(struct bh_manager *m, const json_t *request, struct plan *p, struct bh_error *err)
{
	int r = bh_given_policy(request, &p->policy, &p->said, err);

	if (r == 1)
		p->most = BH_GIVEN_ELEMENTS_MAX;
	return r == 0 ? own_policy(m, p, err) : r < 0 ? r : 0;
}

/* What is in force: without a policy nobody may do anything. */
static const struct bh_policy *policy_now(const struct bh_manager *m)
{
	static const struct bh_policy nothing = {.mode = BH_MODE_ENFORCE};

	return m->config.policy ? m->config.policy : &nothing;
}

static struct bh_compile_input input_of(const struct bh_manager *m, const struct bh_round *r)
{
	return (struct bh_compile_input){.policy = r->policy, .inventory = r->inventory, .host = m->seen.host, .placement = r->placement,
		.features = &m->features};
}

static int count_changes(struct plan *p)
{
	_cleanup_(bh_plan_freep) struct bh_plan *diff = NULL;
	int r = bh_diff(p->after.wanted, p->before.wanted, &diff);

	if (r < 0)
		return r;
	bh_vec_foreach(c, &diff->changes)
		p->changes += c->elems.n ? c->elems.n : 1;
	return 0;
}

static int compare_texts(struct plan *p, const struct bh_policy *now)
{
	_cleanup_buf_ struct bh_buf a = {0}, b = {0};

	if (bh_config_print(now, &a) < 0 || bh_config_print(p->policy, &b) < 0)
		return -ENOMEM;
	p->text_differs = !bh_streq(a.s, b.s);
	return 0;
}

static void count_endings(struct bh_manager *m, struct plan *p)
{
	_cleanup_(bh_judge_freep) struct bh_judge *before = NULL, *after = NULL;
	struct bh_error err = {0};
	int r = bh_judge_of(m, &p->before, &before);

	if (r == 0)
		r = bh_judge_of(m, &p->after, &after);
	if (r < 0)
		r = bh_fail(&err, r, "out of memory");
	else if (bh_policy_enforces(p->after.policy))
		r = bh_connections_ending(m, before, after, &p->endings, &err);
	if (r < 0)
		p->unread = strdup(err.msg);
}

static int plan_make(struct bh_manager *m, struct plan *p, struct bh_error *err)
{
	struct bh_compile_input before, after;
	const struct bh_policy *now = policy_now(m);
	int r = bh_round_try(m, now, 0, &p->before, err);

	if (r == 0)
		r = bh_round_try(m, p->policy, p->most, &p->after, err);
	if (r < 0)
		return r;
	before = input_of(m, &p->before);
	after = input_of(m, &p->after);
	r = bh_forecast_make(&(struct bh_plan_side){&before, p->before.wanted}, &(struct bh_plan_side){&after, p->after.wanted}, &p->forecast, err);
	if (r == 0)
		r = bh_expect_check(p->policy, &p->broken, err);
	if (r == 0 && (count_changes(p) < 0 || compare_texts(p, now) < 0))
		r = bh_fail(err, -ENOMEM, "out of memory");
	if (r == 0)
		count_endings(m, p);
	return r;
}

static json_t *moves_json(const struct bh_forecast *f)
{
	static const char *const kinds[] = {[BH_MOVE_CONTAINER] = "container", [BH_MOVE_ADDRESSES] = "addresses", [BH_MOVE_INTERFACE] = "interface"};
	json_t *list = json_array();

	bh_vec_foreach(x, &f->moves)
		if (json_array_append_new(list, json_pack("{s:s, s:o, s:o, s:o, s:o}", "kind", kinds[x->kind], "name", bh_json_text(x->what), "from",
			bh_json_text(x->from), "to", bh_json_text(x->to), "reason", bh_json_text(x->reason))) < 0) {
			json_decref(list);
			return NULL;
		}
	return list;
}

static json_t *ports_json(const struct bh_portset *s)
{
	json_t *list = json_array();
	char text[BH_PORT_TEXT];

	bh_vec_foreach(p, &s->ports)
		if (json_array_append_new(list, json_string(bh_port_text(p, text))) < 0) {
			json_decref(list);
			return NULL;
		}
	return list;
}

static json_t *end_json(const struct plan *p, size_t mover)
{
	const struct bh_mover *x = &p->forecast->movers.v[mover];

	return json_pack("{s:o, s:o, s:o}", "name", bh_json_text(x->name), "before",
		bh_json_text(p->before.placement->insts.v[x->before].name), "after", bh_json_text(p->after.placement->insts.v[x->after].name));
}

static json_t *paths_json(const struct plan *p)
{
	json_t *list = json_array();

	bh_vec_foreach(x, &p->forecast->paths) {
		char source[300];
		json_t *row;

		snprintf(source, sizeof(source), "%s:%u", x->loc.file ? x->loc.file : "", x->loc.line);
		row = json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "change", x->opens ? "opens" : "closes", "from", end_json(p, x->from), "to",
			end_json(p, x->to), "ports", ports_json(&x->ports), "but", ports_json(&x->but), "source", bh_json_text(source));
		if (json_array_append_new(list, row) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *settings_json(const struct bh_forecast *f)
{
	json_t *list = json_array();

	bh_vec_foreach(x, &f->settings)
		if (json_array_append_new(list, json_pack("{s:o, s:s, s:s, s:s}", "zone", bh_json_text(x->zone), "setting", x->what, "before", x->before,
			"after", x->after)) < 0) {
			json_decref(list);
			return NULL;
		}
	return list;
}

static json_t *broken_json(const struct bh_expect_failures *f)
{
	json_t *list = json_array();

	bh_vec_foreach(x, &f->v)
		if (json_array_append_new(list, json_pack("{s:o, s:i, s:o}", "file", bh_json_text(x->loc.file), "line", (int)x->loc.line, "message",
			bh_json_text(x->message))) < 0) {
			json_decref(list);
			return NULL;
		}
	return list;
}

static json_t *plan_json(const struct plan *p)
{
	bool changes = !bh_forecast_is_empty(p->forecast) || p->changes > 0 || p->text_differs;

	return json_pack("{s:i, s:o, s:b, s:b, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:I, s:o}", "version", 1, "file",
		bh_json_text(p->policy->files.n > 0 ? p->policy->files.v[0] : ""), "changes", changes, "refused", p->broken.v.n > 0, "moves",
		moves_json(p->forecast), "paths", paths_json(p), "paths_total", (json_int_t)p->forecast->paths_total, "settings",
		settings_json(p->forecast), "connections", p->unread ? json_null() : bh_json_endings(&p->endings), "connections_unread",
		bh_json_text(p->unread), "expectations", broken_json(&p->broken), "kernel_changes", (json_int_t)p->changes, "diagnostics",
		bh_json_text(p->said));
}

void bh_handle_plan(struct bh_manager *m, struct bh_control_call *call, const json_t *request)
{
	_cleanup_(plan_clear) struct plan p = {0};
	struct bh_error err = {0};
	int r = wanted_policy(m, request, &p, &err);

	if (r == -EBADMSG) {
		bh_control_refuse(call, "usage", "%s", err.msg);
		return;
	}
	if (r < 0) {
		bh_control_refuse(call, "refused", "%s%s", p.said ? p.said : "", err.msg);
		return;
	}
	r = bh_look(m, &err);
	if (r == 0 && (m->held || !m->built))
		r = bh_fail(&err, -EINPROGRESS, "it is not known yet what runs: no runtime has answered");
	if (r < 0) {
		bh_control_refuse(call, "failed", "no plan can be made: %s", err.msg);
		return;
	}
	r = plan_make(m, &p, &err);
	if (r < 0)
		bh_control_refuse(call, r == -ENOMEM ? "failed" : "refused", "%s", err.msg);
	else
		bh_control_reply(call, plan_json(&p));
}
