/* SPDX-License-Identifier: Apache-2.0 */
/* `explain`: what becomes of one connection, and why: the judge's answer of the rule set that is compiled, each element of it looked up in
 * what the kernel holds now. */
#include "explain.h"

#include <bulkhead/advise.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <string.h>

/* What comes of one way. */
struct outcome {
	enum explain_verdict verdict;
	char reason[320];
};

static const char *const verdicts[] = {[EXPLAIN_ACCEPT] = "accept", [EXPLAIN_AUDIT] = "audit", [EXPLAIN_DENY] = "deny"};

static void say(struct outcome *o, enum explain_verdict v, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void say(struct outcome *o, enum explain_verdict v, const char *fmt, ...)
{
	va_list ap;

	o->verdict = v;
	va_start(ap, fmt);
	vsnprintf(o->reason, sizeof(o->reason), fmt, ap);
	va_end(ap);
}

static const struct bh_zone_inst *inst_of(const struct explain *x, const struct bh_party *p)
{
	return p->inst == BH_NOBODY ? NULL : &x->round->placement->insts.v[p->inst];
}

static bool is_builtin(const struct explain *x, const struct bh_party *p, enum bh_builtin b)
{
	const struct bh_zone_inst *i = inst_of(x, p);

	return i && i->builtin == b;
}

/* As the log calls it. */
static const char *class_of(const struct explain *x, const struct bh_judgement *v)
{
	if (v->why == BH_WHY_UNKNOWN)
		return "unknown";
	if (is_builtin(x, &v->from, BH_BUILTIN_METADATA) || is_builtin(x, &v->to, BH_BUILTIN_METADATA))
		return "metadata";
	return is_builtin(x, &v->from, BH_BUILTIN_QUARANTINE) || is_builtin(x, &v->to, BH_BUILTIN_QUARANTINE) ? "quarantine" : "policy";
}

static const char *port_shown(const struct explain *x, uint16_t port, char text[BH_PORT_TEXT])
{
	const struct bh_port p = {.proto = x->proto, .all = port == 0, .first = port, .last = port};

	return bh_port_text(&p, text);
}

/* What the rules say. */
static void by_rules(const struct explain *x, const struct explain_way *w, struct outcome *o)
{
	const struct bh_judgement *v = &w->v;
	enum explain_verdict denied = v->mode == BH_MODE_AUDIT ? EXPLAIN_AUDIT : EXPLAIN_DENY;
	const char *but = denied == EXPLAIN_AUDIT ? "; in audit it passes and is logged" : "";
	const char *from = bh_party_zone(x->judge, &v->from), *to = bh_party_zone(x->judge, &v->to);
	char text[BH_PORT_TEXT], place[BH_EXPLAIN_PLACE];

	if (w->own) {
		say(o, EXPLAIN_ACCEPT, "both are in one network namespace: bulkhead never sees it");
		return;
	}
	switch (v->why) {
	case BH_WHY_NOT_OURS:
		say(o, EXPLAIN_ACCEPT, "no container at either end that bulkhead enforces on: it does not decide about this");
		return;
	case BH_WHY_RULE:
		say(o, EXPLAIN_ACCEPT, "%.250s opens it%s", explain_place_text(&x->policy->allow.v[v->rule].loc, place),
			v->opened_to != v->to.inst ? ", as a resolver" : "");
		return;
	case BH_WHY_SECOND_LEG:
		say(o, denied, "no rule opens %s on %s to this host; docker-proxy's own connection passes when its client's was allowed, no other%s",
			port_shown(x, v->port, text), to, but);
		return;
	case BH_WHY_UNKNOWN:
		say(o, denied, "%s is nobody whom the rules know: a container whose port is not known yet, or an address that none holds%s",
			v->from.inst == BH_NOBODY ? "the sender" : "the receiver", but);
		return;
	default:
		say(o, denied, "no rule opens %s from %s to %s%s", port_shown(x, v->port, text), from, to, but);
	}
}

static json_t *element_json(const struct bh_step *s, const struct bh_elem *there, bool loaded)
{
	_cleanup_buf_ struct bh_buf text = {0};

	if (bh_elem_print(s->set, s->elem, &text) < 0)
		return NULL;
	return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "what", bh_step_name(s->kind), "table", "inet bulkhead", "set", s->set->name, "element",
		bh_json_text(text.s), "there", loaded ? json_boolean(there != NULL) : json_null(), "packets",
		there && s->set->flags & BH_SET_COUNTER ? json_integer((json_int_t)there->packets) : json_null(), "bytes",
		there && s->set->flags & BH_SET_COUNTER ? json_integer((json_int_t)there->bytes) : json_null());
}

/* Whether O holds, by what the kernel holds: an element that is missing denies, one that nobody wanted opens. */
static json_t *in_kernel(const struct explain *x, const struct explain_way *w, struct outcome *o)
{
	const struct bh_set *set = NULL;
	struct bh_steps steps = {0};
	json_t *list = json_array();
	int r = bh_judge_steps(x->judge, &w->q, &w->v, &steps);

	bh_vec_foreach(s, &steps.v) {
		const struct bh_elem *there = x->seen ? bh_step_in(s, x->seen) : NULL;

		if (r == 0 && json_array_append_new(list, element_json(s, there, x->seen != NULL)) < 0)
			r = -ENOMEM;
		if (x->seen && !there && s->kind != BH_STEP_PROXY && s->kind != BH_STEP_PUBLISHED && o->verdict != EXPLAIN_DENY)
			say(o, EXPLAIN_DENY, "the kernel does not hold the element of %s that it takes: see bulkhead status", s->set->name);
	}
	bh_vec_clear(&steps.v);
	if (r == 0 && x->seen && o->verdict == EXPLAIN_DENY && w->v.why == BH_WHY_NO_RULE &&
		bh_judge_opened_in(x->judge, &w->q, &w->v, x->seen, &set))
		say(o, EXPLAIN_ACCEPT, "no rule opens it, but the kernel holds an element of %s that does: see bulkhead status", set->name);
	if (r == 0)
		return list;
	json_decref(list);
	return NULL;
}

static json_t *published_json(const struct bh_published *p)
{
	char addr[BH_ADDR_TEXT], text[BH_PORT_TEXT];
	struct bh_port host, inside;

	if (!p)
		return json_null();
	host = (struct bh_port){.proto = p->proto, .first = p->host_port, .last = p->host_port};
	inside = (struct bh_port){.proto = p->proto, .first = p->container_port, .last = p->container_port};
	return json_pack("{s:s, s:o, s:o}", "address", bh_addr_text(&p->host, addr), "port", json_string(bh_port_text(&host, text)), "container_port",
		json_string(bh_port_text(&inside, text)));
}

/* The last row says who. */
static void dropped_by(const json_t *besides, struct outcome *o)
{
	const json_t *last = json_array_get(besides, json_array_size(besides) - 1);

	say(o, EXPLAIN_DENY, "bulkhead lets it pass, but %.160s drops it", json_string_value(json_object_get(last, "where")));
}

json_t *explain_way_json(const struct explain *x, const struct explain_way *w, enum explain_verdict *ret_verdict)
{
	const struct bh_judgement *v = &w->v;
	struct outcome o = {0};
	json_t *elements, *rule, *besides = NULL;
	bool drops = false;

	by_rules(x, w, &o);
	elements = w->own ? json_array() : in_kernel(x, w, &o);
	if (o.verdict != EXPLAIN_DENY)	/* what is dropped here never comes to them */
		besides = explain_besides(x, w, &drops);
	if (drops)
		dropped_by(besides, &o);
	rule = !w->own && v->why == BH_WHY_RULE ? explain_rule(x, v->rule) : json_null();
	*ret_verdict = o.verdict;
	return json_pack("{s:o, s:s?, s:o, s:s?, s:o, s:o, s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "from", explain_addr(&w->q.from), "from_interface", w->q.from_dev, "to",
		explain_addr(&w->q.to), "to_interface", w->q.to_dev, "from_zone", bh_json_text(bh_party_zone(x->judge, &v->from)), "to_zone",
		bh_json_text(bh_party_zone(x->judge, &v->to)), "verdict", verdicts[o.verdict], "reason", o.reason, "class",
		o.verdict == EXPLAIN_ACCEPT || drops ? json_null() : json_string(class_of(x, v)), "rule", rule, "published", published_json(v->published),
		"elements", elements, "besides", besides ? besides : json_array());
}

/* ---- the whole answer */

static json_t *advice_json(const struct explain *x, const struct bh_judgement *v)
{
	const struct bh_port port = {.proto = x->proto, .all = v->port == 0, .first = v->port, .last = v->port};
	struct bh_advice a = {0};
	json_t *o;

	if (x->m->hand.locked)
		return json_pack("{s:n, s:s, s:n}", "line", "why", "this host is locked down, whatever the rules say: bulkhead unlock", "breaks");
	if (bh_advise(x->policy, inst_of(x, &v->from), inst_of(x, &v->to), x->proto ? &port : NULL, &a) < 0)
		return NULL;
	o = a.kind == BH_ADVICE_OPEN ? json_null() :
		json_pack("{s:o, s:s?, s:o}", "line", bh_json_text(a.line), "why", a.why, "breaks", explain_place(&a.breaks));
	bh_advice_clear(&a);
	return o;
}

static void note(json_t *notes, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void note(json_t *notes, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)json_array_append_new(notes, bh_json_text(text));
}

/* What else is to be known. */
static json_t *notes_json(const struct explain *x, const struct explain_who *from, const struct explain_who *to, const struct explain_ways *ways)
{
	const struct explain_who *const ends[] = {from, to};
	const struct bh_zone_inst *i = ways->v.n ? inst_of(x, &ways->v.v[0].v.from) : NULL;
	const struct bh_zone *z = i ? bh_inst_zone(x->policy, i) : NULL;
	_cleanup_free_ char *reason = NULL;
	json_t *notes = json_array();

	for (size_t k = 0; k < BH_ARRAY_SIZE(ends); k++) {
		const struct bh_member *net = ends[k]->owner ? ends[k]->owner : ends[k]->member;

		if (ends[k]->note)
			note(notes, "%s: %s", ends[k]->asked, ends[k]->note);
		if (net && net->enforced != BH_ENFORCED_FULL && net->unenforced_reason)
			note(notes, "%s is %s enforced: %s", ends[k]->asked, net->enforced == BH_ENFORCED_NONE ? "not" : "partly", net->unenforced_reason);
		if (ends[k]->kind == EXPLAIN_CONTAINER && ends[k]->member->shares_netns && ends[k]->owner)
			note(notes, "%s has the network namespace of %s", ends[k]->asked, ends[k]->owner->container->name ? ends[k]->owner->container->name :
				ends[k]->owner->container->id);
	}
	if (z && bh_zone_is_limited(x->policy, z))
		note(notes, "zone %s limits the connections that a container opens: one more than that is denied", i->name);
	if (x->seen && strcmp(bh_manager_state(x->m, &reason), "degraded") == 0)
		note(notes, "the daemon is degraded: %s", reason ? reason : "see bulkhead status");
	if (x->seen && x->m->held)
		note(notes, "no runtime has answered since the start: the kernel holds what was found");
	return notes;
}

static int ways_json(const struct explain *x, const struct explain_ways *ways, json_t *list, enum explain_verdict *ret_worst)
{
	bool first = true;

	*ret_worst = EXPLAIN_DENY;
	bh_vec_foreach(w, &ways->v) {
		enum explain_verdict v = EXPLAIN_DENY;
		bool all = false;
		json_t *row = x->proto ? explain_way_json(x, w, &v) : explain_open_json(x, w, &all);

		if (!x->proto)
			v = all ? EXPLAIN_ACCEPT : w->v.mode == BH_MODE_AUDIT ? EXPLAIN_AUDIT : EXPLAIN_DENY;
		if (json_array_append_new(list, row) < 0)
			return -ENOMEM;
		*ret_worst = first || v > *ret_worst ? v : *ret_worst;
		first = false;
	}
	return 0;
}

static json_t *answer(const struct explain *x, const struct explain_who *from, const struct explain_who *to, const struct explain_ways *ways)
{
	const struct explain_way *denied = NULL;
	enum explain_verdict worst;
	json_t *list = json_array(), *doc;
	char text[BH_PORT_TEXT];

	if (ways_json(x, ways, list, &worst) < 0) {
		json_decref(list);
		return NULL;
	}
	bh_vec_foreach(w, &ways->v)
		if (!denied && !w->own && (w->v.why == BH_WHY_NO_RULE || w->v.why == BH_WHY_SECOND_LEG || w->v.why == BH_WHY_UNKNOWN))
			denied = w;
	doc = json_pack("{s:i, s:b, s:s, s:o, s:o, s:o, s:s, s:o, s:o, s:o}", "version", 1, "loaded", x->seen != NULL, "mode",
		x->policy->mode == BH_MODE_AUDIT ? "audit" : "enforce", "from", explain_who_json(x, from), "to", explain_who_json(x, to), "port",
		x->proto ? json_string(port_shown(x, x->port, text)) : json_null(), "verdict", verdicts[worst], "ways", list, "advice",
		denied ? advice_json(x, &denied->v) : json_null(), "notes", notes_json(x, from, to, ways));
	if (doc && ways->v.n == 0)
		(void)json_object_set_new(doc, "reason", json_string("there is no way between the two: they have no address of the same family, or no network"));
	return doc;
}

static int port_read(const char *text, struct explain *x, struct bh_error *err)
{
	struct bh_port p;

	if (!text)
		return 0;
	if (bh_port_parse(text, &p) < 0)
		return bh_fail(err, -EINVAL, "'%s' is no port: say tcp/80, udp/53 or icmp", text);
	if (!p.all && p.first != p.last)
		return bh_fail(err, -EINVAL, "'%s' is more than one port: ask for one, or for none to see all that is open", text);
	if (p.all && (p.proto == IPPROTO_TCP || p.proto == IPPROTO_UDP || p.proto == IPPROTO_SCTP))
		return bh_fail(err, -EINVAL, "'%s' is no port: say %s/80, or none to see all that is open", text, text);
	x->proto = p.proto;
	x->port = p.all ? 0 : p.first;
	return 0;
}

/* 0 with *RET, or ERR: -ENOENT and -EINVAL are the user's. */
static int explain(struct explain *x, const json_t *request, json_t **ret, struct bh_error *err)
{
	const char *from = json_string_value(json_object_get(request, "from")), *to = json_string_value(json_object_get(request, "to"));
	struct explain_ways ways = {0};
	struct explain_who a, b;
	int r;

	if (!from || !to)
		return bh_fail(err, -EINVAL, "a question has \"from\" and \"to\"");
	r = port_read(json_string_value(json_object_get(request, "port")), x, err);
	if (r == 0)
		r = explain_who_find(x, from, &a, err);
	if (r == 0)
		r = explain_who_find(x, to, &b, err);
	if (r < 0)
		return r;
	r = explain_ways_find(x, &a, &b, &ways);
	if (r == 0) {
		*ret = answer(x, &a, &b, &ways);
		r = *ret ? 0 : -ENOMEM;
	}
	bh_vec_clear(&ways.v);
	return r < 0 ? bh_fail(err, r, "out of memory") : 0;
}

/* Of a policy that the request brings. In the kernel there is nothing of it. */
static int explain_given(struct bh_manager *m, const struct bh_policy *policy, const json_t *request, struct bh_foreign *foreign, json_t **ret,
	struct bh_error *err)
{
	_cleanup_(bh_round_clear) struct bh_round trial = {0};
	struct explain x = {.m = m, .round = &trial, .foreign = foreign};
	int r = bh_look(m, err);

	if (r == 0)
		r = bh_round_try(m, policy, BH_GIVEN_ELEMENTS_MAX, &trial, err);
	if (r == -E2BIG)
		return bh_fail(err, -EINVAL, "the rules of this configuration are too many to be tried: load it");
	if (r == 0 && bh_judge_of(m, &trial, &trial.judge) < 0)
		r = bh_fail(err, -ENOMEM, "out of memory");
	x.policy = trial.policy;
	x.judge = trial.judge;
	return r < 0 ? r : explain(&x, request, ret, err);
}

static int explain_loaded(struct bh_manager *m, const json_t *request, struct bh_foreign *foreign, json_t **ret, struct bh_error *err)
{
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *seen = NULL;
	struct explain x = {.m = m, .policy = bh_policy_in_force(m), .round = &m->round, .judge = bh_round_judge(m), .foreign = foreign};
	int r;

	if (!m->config.policy)
		return bh_fail(err, -EAGAIN, "no valid configuration is in force, so containers get nothing: see bulkhead status");
	if (!x.judge || !m->seen.host)
		return bh_fail(err, -EAGAIN, "the daemon has not looked at this host yet: ask again");
	if (bh_round_fill(m) < 0)
		return bh_fail(err, -ENOMEM, "out of memory");
	r = m->nft->ops->observe(m->nft, &seen, err);
	x.seen = seen;
	r = r < 0 ? r : explain(&x, request, ret, err);
	bh_round_make_lean(m);
	return r;
}

int bh_explain(struct bh_manager *m, const json_t *request, json_t **ret, struct bh_error *err)
{
	_cleanup_(bh_foreign_freep) struct bh_foreign *foreign = NULL;
	_cleanup_(bh_policy_freep) struct bh_policy *policy = NULL;
	_cleanup_free_ char *said = NULL;
	int r = bh_given_policy(request, &policy, &said, err);

	if (r < 0)
		return r == -EBADMSG ? -EINVAL : r;
	if (json_object_get(request, "port") && bh_nft_fd(m->nft) >= 0)
		(void)bh_nft_foreign(&foreign, NULL);	/* that they could not be read is said */
	return policy ? explain_given(m, policy, request, foreign, ret, err) : explain_loaded(m, request, foreign, ret, err);
}

void bh_handle_explain(struct bh_manager *m, struct bh_control_call *call, const json_t *request)
{
	struct bh_error err = {0};
	json_t *doc = NULL;
	int r = bh_explain(m, request, &doc, &err);

	if (r < 0)
		bh_control_refuse(call, r == -ENOENT || r == -EINVAL ? "usage" : "failed", "%s", err.msg);
	else
		bh_control_reply(call, doc);
}
