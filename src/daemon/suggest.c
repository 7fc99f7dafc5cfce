/* SPDX-License-Identifier: Apache-2.0 */
/* A whole configuration that allows what was denied, or would have been. */
#include "gather.h"

#include <bulkhead/config.h>

#include <errno.h>
#include <string.h>
#include <time.h>

/* docker-proxy's second leg passes when the first does: with a flow to the same container by a published port there is one. */
static bool has_first_leg(const struct bh_gathered *g, const struct bh_kind *leg)
{
	bh_vec_foreach(k, &g->kinds)
		if ((*k)->via.family && (*k)->proto == leg->proto && (*k)->port == leg->port && bh_streq((*k)->to, leg->to))
			return true;
	return false;
}

/* What rules can be about: not what nobody may do, nor what is explained by something else. */
static void keep_decidable(struct bh_gathered *g)
{
	size_t n = 0;

	for (size_t i = 0; i < g->flows.n; i++) {
		const struct bh_kind *k = g->kinds.v[i];

		if (bh_denied_class_means(k->class) || k->proto == 0 || !g->flows.v[i].from || !g->flows.v[i].to ||
			(k->second_leg && has_first_leg(g, k)))
			continue;
		g->flows.v[n] = g->flows.v[i];
		g->kinds.v[n++] = k;
	}
	g->flows.n = g->kinds.n = n;
}

int bh_suggest_gathered(struct bh_manager *m, const char *name, struct bh_suggestion *ret)
{
	_cleanup_(bh_gathered_clear) struct bh_gathered g = {0};
	int r = bh_gather(m, name, &g);

	if (r < 0)
		return r;
	keep_decidable(&g);
	return bh_suggest(m->config.policy, g.flows.v, g.flows.n, ret);
}

static void put_time(struct bh_buf *out, uint64_t usec)
{
	time_t t = (time_t)(usec / 1000000);
	char text[32] = "";
	struct tm tm;

	if (gmtime_r(&t, &tm) && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) > 0)
		bh_buf_puts(out, text);
}

static void put_head(const struct bh_manager *m, const struct bh_suggestion *s, struct bh_buf *out)
{
	const struct bh_strv *files = &m->config.policy->files;

	bh_buf_puts(out, "# bulkhead suggest, ");
	put_time(out, bh_now_usec(CLOCK_REALTIME));
	bh_buf_printf(out, ": what is in force, and\n# %zu new zone%s and %zu new rule%s for what was denied, or would have been, since\n# ",
		s->n_zones, s->n_zones == 1 ? "" : "s", s->n_rules, s->n_rules == 1 ? "" : "s");
	put_time(out, m->since_usec);
	bh_buf_puts(out, ". Counts are of packets that were logged. Read it before you\n# use it: it opens whatever was tried.\n#\n");
	bh_buf_puts(out, "# It goes in the place of ");
	for (size_t i = 0; i < files->n; i++) {
		bh_buf_puts(out, i ? ", " : "");
		bh_buf_put_safe(out, files->v[i], 256);
	}
	bh_buf_puts(out, files->n > 1 ? ", of which only the first stays.\n" : ".\n");
	bh_buf_puts(out, "# Try it first: bulkhead check FILE; bulkhead plan FILE.");
	bh_buf_puts(out, m->config.policy->mode == BH_MODE_AUDIT ? " When nothing more is added here: mode: enforce.\n" : "\n");
}

/* Where there is no entry to stand beside, comments come at the end: an empty list would be an error. */
static int put_whole(const struct bh_policy *p, const struct bh_suggestion *s, struct bh_buf *out)
{
	const bool zones = p->zones.n || s->n_zones, rules = p->allow.n || s->n_rules;

	bh_config_print_with(p, zones ? s->zones.s : NULL, rules ? s->rules.s : NULL, out);
	if (!zones && s->zones.s)
		bh_buf_puts(out, s->zones.s);
	if (!rules && s->rules.s)
		bh_buf_puts(out, s->rules.s);
	return out->err;
}

/* Whatever was written, it is read again before anybody gets it. */
static int check(const struct bh_buf *text, struct bh_error *err)
{
	const struct bh_config_text t = {.name = "suggested", .text = text->s, .n = text->n};
	_cleanup_(bh_policy_freep) struct bh_policy *p = NULL;
	struct bh_diags diags = {0};
	int r = bh_config_parse(&t, 1, &p, &diags);

	bh_vec_foreach(d, &diags.v)
		if (r < 0 && d->severity == BH_SEVERITY_ERROR)
			bh_fail(err, r, "what would be suggested is no valid configuration: line %u: %s", d->line, d->message);
	bh_diags_clear(&diags);
	return r < 0 ? bh_fail(err, r, "what would be suggested is no valid configuration") : 0;
}

void bh_handle_suggest(struct bh_manager *m, struct bh_control_call *call, const json_t *request)
{
	_cleanup_(bh_suggestion_clear) struct bh_suggestion s = {0};
	_cleanup_buf_ struct bh_buf text = {0};
	struct bh_error err = {0};
	int r;

	(void)request;
	if (!m->config.policy || !m->round.placement) {
		bh_control_refuse(call, "failed", "no valid configuration is in force: bulkhead check tells what is wrong with it");
		return;
	}
	r = bh_suggest_gathered(m, NULL, &s);
	if (r == 0) {
		put_head(m, &s, &text);
		r = put_whole(m->config.policy, &s, &text);
	}
	if (r == 0)
		r = check(&text, &err);
	if (r < 0)
		bh_control_refuse(call, "failed", "%s", err.msg[0] ? err.msg : "out of memory");
	else
		bh_control_reply(call, json_pack("{s:i, s:s, s:I, s:I}", "version", 1, "yaml", text.s, "zones", (json_int_t)s.n_zones, "rules",
			(json_int_t)s.n_rules));
}
