/* SPDX-License-Identifier: Apache-2.0 */
/* What is said by hand takes effect at once, is kept, and ends by itself where a time was given. */
#include "hand.h"
#include "manager.h"
#include "state.h"

#include <bulkhead/fault.h>
#include <bulkhead/near.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LATER_USEC 200000	/* after an end: the kernel has taken its elements out by then */

static int boot_id(struct bh_buf *out)
{
	int r = bh_buf_read_file(out, "/proc/sys/kernel/random/boot_id", 256);

	if (r == 0)
		out->s[strcspn(out->s, "\n")] = '\0';
	return r;
}

/* Who is in quarantine, for the placement; and when the next one ends. */
static int take_effect(struct bh_manager *m)
{
	uint64_t first = UINT64_MAX;
	int r = 0;

	bh_strv_clear(&m->memory.held);
	bh_vec_foreach(i, &m->hand.v) {
		if (i->kind == BH_HAND_QUARANTINE && r == 0)
			r = bh_strv_push(&m->memory.held, i->id);
		if (i->for_usec > 0 && i->end_boot < first)
			first = i->end_boot;
	}
	m->hand_timer = sd_event_source_disable_unref(m->hand_timer);
	if (r == 0 && first < UINT64_MAX)
		r = sd_event_add_time(m->event, &m->hand_timer, CLOCK_BOOTTIME, first + LATER_USEC, 1000, bh_hand_on_time, m);
	return r < 0 ? r : 0;
}

/* A disk that is full does not keep anybody from closing something now. */
static void keep(struct bh_manager *m)
{
	_cleanup_buf_ struct bh_buf boot = {0};
	_cleanup_free_ char *text = boot_id(&boot) == 0 ? bh_hand_print(&m->hand, boot.s) : NULL;
	int r = text ? bh_state_keep_hand(m->state_dir, text) : -ENOMEM;

	BH_FAULT("hand-kept");
	(void)bh_strdup(&m->hand_error, NULL);
	if (r < 0 && asprintf(&m->hand_error, "what was said by hand holds until the daemon ends: it cannot be kept in %s: %s", m->state_dir,
			     strerror(-r)) < 0)
		m->hand_error = NULL;
	if (m->hand_error)
		bh_log(&m->log, LOG_WARNING, BH_EVENT_DEGRADED, "%s", m->hand_error);
}

void bh_hand_changed(struct bh_manager *m)
{
	if (take_effect(m) < 0)
		bh_log(&m->log, LOG_ERR, BH_EVENT_DEGRADED, "out of memory");
	keep(m);
	bh_manager_run(m);
}

static bool drop_over(struct bh_manager *m)
{
	uint64_t now = bh_now_usec(CLOCK_BOOTTIME);
	size_t n = 0;

	for (size_t k = 0; k < m->hand.v.n; k++) {
		struct bh_hand_item *i = &m->hand.v.v[k];

		if (bh_hand_left(i, now) > 0) {
			m->hand.v.v[n++] = *i;
			continue;
		}
		bh_log(&m->log, LOG_NOTICE, BH_EVENT_HAND, "over: %s %s%s%s", i->kind == BH_HAND_ALLOW ? "allow" : "quarantine",
			i->kind == BH_HAND_ALLOW ? i->from : i->name, i->kind == BH_HAND_ALLOW ? " -> " : "", i->kind == BH_HAND_ALLOW ? i->to : "");
		bh_hand_item_clear(i);
	}
	if (n == m->hand.v.n)
		return false;
	m->hand.v.n = n;
	return true;
}

int bh_hand_on_time(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct bh_manager *m = userdata;

	(void)source;
	(void)usec;
	if (drop_over(m)) {
		bh_seen_forget_ruleset(&m->seen);	/* what the kernel took out needs no taking out */
		bh_hand_changed(m);
	} else {
		(void)take_effect(m);
	}
	return 0;
}

int bh_hand_load(struct bh_manager *m)
{
	_cleanup_buf_ struct bh_buf boot = {0}, text = {0};
	int r = bh_state_load_hand(m->state_dir, &text);

	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = boot_id(&boot);
	if (r == 0)
		r = bh_hand_parse(text.s ? text.s : "", boot.s, bh_now_usec(CLOCK_BOOTTIME), bh_now_usec(CLOCK_REALTIME), &m->hand);
	if (r < 0) {	/* nobody knows what was closed: everything is */
		m->hand.locked = true;
		bh_log(&m->log, LOG_ERR, BH_EVENT_DEGRADED, "what was said by hand cannot be read in %s (%s): containers get nothing until bulkhead unlock",
			m->state_dir, strerror(-r));
		return r == -ENOMEM ? r : 0;
	}
	if (drop_over(m))
		keep(m);
	if (m->hand.locked)
		bh_log(&m->log, LOG_WARNING, BH_EVENT_HAND, "locked down: containers get nothing until bulkhead unlock");
	return take_effect(m);
}

/* ---- requests */

/* A running container by name or id; the one whose network it shares, if it does. NULL with ERR. */
static const struct bh_container *container_find(struct bh_manager *m, const char *name, struct bh_error *err)
{
	const struct bh_container *found = NULL;
	BH_VEC(const char *) names = {0};
	size_t n = strlen(name);

	bh_vec_foreach(s, &m->sources)
		bh_vec_foreach(c, &(*s)->inventory->containers) {
			if (c->state == BH_CONTAINER_STOPPED)
				continue;
			if (bh_streq(c->name, name) || (n >= 12 && strncmp(c->id, name, n) == 0))
				found = c;
			if (c->name)
				(void)bh_vec_push(&names, c->name);
		}
	if (!found) {
		const char *near = bh_near(name, names.v, names.n);

		bh_fail(err, -ENOENT, near ? "no container '%s' runs: did you mean '%s'?" : "no container '%s' runs: see bulkhead status containers", name,
			near);
	}
	bh_vec_clear(&names);
	for (int depth = 0; found && found->netmode == BH_NETMODE_CONTAINER && depth < 8; depth++) {
		const struct bh_container *owner = NULL;

		bh_vec_foreach(s, &m->sources)
			owner = owner ? owner : bh_inventory_container((*s)->inventory, found->netns_owner);
		if (!owner)
			break;
		found = owner;
	}
	if (found && found->netmode == BH_NETMODE_HOST) {
		bh_fail(err, -EOPNOTSUPP, "%s uses the host's own network: bulkhead cannot hold it, stop it", name);
		return NULL;
	}
	return found;
}

static void answer(struct bh_manager *m, struct bh_control_call *call, const char *text)
{
	if (m->held)
		bh_control_refuse(call, "failed", "noted, but no runtime has answered yet: it takes effect when one does");
	else if (m->problem)
		bh_control_refuse(call, "failed", "noted, but the kernel does not hold it yet: %s", m->problem);
	else
		bh_control_reply(call, json_pack("{s:i, s:o, s:o}", "version", 1, "done", bh_json_text(text), "problem", bh_json_text(m->hand_error)));
}

/* How long: 0 for no word of it. -EINVAL when it is no such time. */
static int time_read(const json_t *request, uint64_t *ret)
{
	const json_t *o = json_object_get(request, "seconds");
	json_int_t n = json_integer_value(o);

	*ret = 0;
	if (!o)
		return 0;
	if (!json_is_integer(o) || n < 1 || (uint64_t)n > BH_HAND_MAX_USEC / 1000000)
		return -EINVAL;
	*ret = (uint64_t)n * 1000000;
	return 0;
}

static void time_set(struct bh_hand_item *i, uint64_t usec)
{
	i->for_usec = usec;
	i->end_boot = usec ? bh_now_usec(CLOCK_BOOTTIME) + usec : 0;
	i->end_real = usec ? bh_now_usec(CLOCK_REALTIME) + usec : 0;
}

/* The item with the same meaning, or a new one of KIND. NULL: no more are kept, or no memory. */
static struct bh_hand_item *item_for(struct bh_manager *m, enum bh_hand_kind kind, const char *id, const char *from, const char *to,
	const struct bh_strv *ports)
{
	struct bh_hand_item *n;

	bh_vec_foreach(i, &m->hand.v) {
		bool same = i->kind == kind && bh_streq(i->id, id) && bh_streq(i->from, from) && bh_streq(i->to, to) && i->ports.n == ports->n;

		for (size_t k = 0; same && k < ports->n; k++)
			same = bh_streq(i->ports.v[k], ports->v[k]);
		if (same)
			return i;
	}
	n = m->hand.v.n < BH_HAND_MAX ? bh_vec_add(&m->hand.v) : NULL;
	if (n)
		n->kind = kind;
	return n;
}

static void too_many(struct bh_control_call *call)
{
	bh_control_refuse(call, "failed", "no more than %u things are said by hand, or out of memory", BH_HAND_MAX);
}

int bh_hand_quarantine(struct bh_manager *m, const char *id, const char *name, uint64_t usec, const char *by)
{
	struct bh_hand_item item = {.kind = BH_HAND_QUARANTINE};
	size_t others = 0;
	int r;

	bh_vec_foreach(i, &m->hand.v) {
		if (i->kind == BH_HAND_QUARANTINE && strcmp(i->id, id) == 0)
			return -EALREADY;
		others += i->by != NULL;
	}
	if (others >= BH_DETECT_HELD_MAX || m->hand.v.n >= BH_HAND_MAX)
		return -ENOSPC;
	r = bh_strdup(&item.id, id);
	if (r == 0)
		r = bh_strdup(&item.name, name);
	if (r == 0)
		r = bh_strdup(&item.by, by);
	time_set(&item, usec);
	if (r == 0)
		r = bh_vec_push(&m->hand.v, item);
	if (r < 0)
		bh_hand_item_clear(&item);
	return r;
}

void bh_handle_quarantine(struct bh_manager *m, struct bh_control_call *call, const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "name"));
	static const struct bh_strv none;
	const struct bh_container *c;
	_cleanup_buf_ struct bh_buf text = {0};
	struct bh_error err = {0};
	struct bh_hand_item *i;
	uint64_t usec;

	if (!name || time_read(request, &usec) < 0) {
		bh_control_refuse(call, "usage", "quarantine takes a container and a time up to a year");
		return;
	}
	c = container_find(m, name, &err);
	if (!c) {
		bh_control_refuse(call, "refused", "%s", err.msg);
		return;
	}
	i = item_for(m, BH_HAND_QUARANTINE, c->id, NULL, NULL, &none);
	if (!i || bh_strdup(&i->id, c->id) < 0 || bh_strdup(&i->name, c->name ? c->name : c->id) < 0) {
		if (i && !i->id)
			m->hand.v.n--;
		too_many(call);
		return;
	}
	(void)bh_strdup(&i->by, NULL);	/* a person's now */
	time_set(i, usec);
	bh_log_container(&m->log, LOG_NOTICE, BH_EVENT_HAND, c->id, "quarantine", "quarantine by hand: %s", i->name);
	bh_buf_printf(&text, "%s is in quarantine", i->name);
	if (!bh_streq(name, i->name) && strncmp(name, c->id, strlen(name)) != 0)
		bh_buf_printf(&text, ", whose network %s shares", name);
	bh_hand_changed(m);
	answer(m, call, text.s);
}

void bh_handle_release(struct bh_manager *m, struct bh_control_call *call, const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "name"));
	_cleanup_buf_ struct bh_buf text = {0};
	BH_VEC(const char *) names = {0};
	size_t n = 0;

	for (size_t k = 0; name && k < m->hand.v.n; k++) {
		struct bh_hand_item *i = &m->hand.v.v[k];

		if (i->kind == BH_HAND_QUARANTINE && (bh_streq(i->name, name) || (strlen(name) >= 12 && strncmp(i->id, name, strlen(name)) == 0))) {
			bh_log_container(&m->log, LOG_NOTICE, BH_EVENT_HAND, i->id, NULL, "released by hand: %s", i->name);
			bh_hand_item_clear(i);
			continue;
		}
		if (i->kind == BH_HAND_QUARANTINE)
			(void)bh_vec_push(&names, i->name);
		m->hand.v.v[n++] = *i;
	}
	if (!name || n == m->hand.v.n) {
		const char *near = name ? bh_near(name, names.v, names.n) : NULL;

		bh_control_refuse(call, "refused", near ? "'%s' is not in quarantine by hand: did you mean '%s'?" :
			"'%s' is not in quarantine by hand: see bulkhead status", name ? name : "", near);
	} else {
		m->hand.v.n = n;
		bh_buf_printf(&text, "%s is released", name);
		bh_hand_changed(m);
		answer(m, call, text.s);
	}
	bh_vec_clear(&names);
}

static int ports_read(const json_t *request, struct bh_strv *ret)
{
	const json_t *list = json_object_get(request, "ports");

	for (size_t k = 0; k < json_array_size(list); k++)
		if (!json_is_string(json_array_get(list, k)) || bh_strv_push(ret, json_string_value(json_array_get(list, k))) < 0)
			return -EINVAL;
	return 0;
}

/* FROM or TO may be a container by mistake: a rule is about zones. */
static void refuse_rule(struct bh_manager *m, struct bh_control_call *call, const struct bh_hand_item *i, const struct bh_error *err)
{
	const char *const names[] = {i->from, i->to};

	for (size_t k = 0; m->round.placement && k < BH_ARRAY_SIZE(names); k++)
		bh_vec_foreach(x, &m->round.placement->members)
			if (bh_streq(x->container->name, names[k]) && bh_policy_find_zone(bh_policy_in_force(m), names[k]) < 0) {
				bh_control_refuse(call, "refused", "'%s' is a container: name its zone, '%s'", names[k],
					m->round.placement->insts.v[x->inst].name);
				return;
			}
	bh_control_refuse(call, "refused", "%s", err->msg);
}

void bh_handle_allow(struct bh_manager *m, struct bh_control_call *call, const json_t *request)
{
	struct bh_hand_item want = {.kind = BH_HAND_ALLOW}, *i;
	_cleanup_buf_ struct bh_buf text = {0};
	struct bh_error err = {0};
	uint64_t usec;
	int r = 0;

	if (bh_strdup(&want.from, json_string_value(json_object_get(request, "from"))) < 0 ||
		bh_strdup(&want.to, json_string_value(json_object_get(request, "to"))) < 0 || !want.from || !want.to ||
		ports_read(request, &want.ports) < 0 || time_read(request, &usec) < 0 || usec == 0) {
		bh_control_refuse(call, "usage", "allow takes a time up to a year, two zones and ports");
		bh_hand_item_clear(&want);
		return;
	}
	if (!m->config.policy)
		r = bh_fail(&err, -ENOENT, "no valid configuration is in force, so containers get nothing: see bulkhead status");
	else
		r = bh_hand_rule_check(&want, m->config.policy, &err);
	if (r < 0) {
		refuse_rule(m, call, &want, &err);
		bh_hand_item_clear(&want);
		return;
	}
	i = item_for(m, BH_HAND_ALLOW, NULL, want.from, want.to, &want.ports);
	if (!i) {
		bh_hand_item_clear(&want);
		too_many(call);
		return;
	}
	m->hand.retimed += i->from != NULL;
	bh_hand_item_clear(i);
	*i = want;
	time_set(i, usec);
	bh_log(&m->log, LOG_NOTICE, BH_EVENT_HAND, "allow by hand: %s -> %s for %llu s", i->from, i->to, (unsigned long long)(usec / 1000000));
	bh_buf_printf(&text, "%s -> %s is open", i->from, i->to);
	if (m->hand.locked)
		bh_buf_puts(&text, ", once the lockdown ends");
	bh_hand_changed(m);
	answer(m, call, text.s);
}

static void lock(struct bh_manager *m, struct bh_control_call *call, bool on, const char *text)
{
	m->hand.locked = on;
	bh_log(&m->log, on ? LOG_WARNING : LOG_NOTICE, BH_EVENT_HAND, "%s", text);
	bh_hand_changed(m);
	answer(m, call, text);
}

void bh_handle_lockdown(struct bh_manager *m, struct bh_control_call *call, const json_t *request)
{
	(void)request;
	lock(m, call, true, "locked down: containers get nothing until bulkhead unlock");
}

void bh_handle_unlock(struct bh_manager *m, struct bh_control_call *call, const json_t *request)
{
	(void)request;
	if (!m->hand.locked)
		bh_control_refuse(call, "refused", "there is no lockdown");
	else
		lock(m, call, false, "unlocked: the configuration is in force again");
}

/* ---- status */

static json_t *left_json(const struct bh_hand_item *i, uint64_t now)
{
	uint64_t left = bh_hand_left(i, now);

	return left == UINT64_MAX ? json_null() : json_integer((json_int_t)((left + 999999) / 1000000));
}

static json_t *item_status(const struct bh_manager *m, const struct bh_hand_item *i, uint64_t now)
{
	struct bh_error err = {0};
	json_t *ports = json_array();
	bool there = false;

	if (i->kind == BH_HAND_QUARANTINE) {
		json_decref(ports);
		bh_vec_foreach(s, &m->sources)
			bh_vec_foreach(c, &(*s)->inventory->containers)
				there = there || (bh_streq(c->id, i->id) && c->state != BH_CONTAINER_STOPPED);
		return json_pack("{s:s, s:o, s:o, s:o, s:b, s:o}", "kind", "quarantine", "container", bh_json_text(i->name), "id", bh_json_text(i->id),
			"by", bh_json_text(i->by), "running", there, "seconds_left", left_json(i, now));
	}
	for (size_t k = 0; k < i->ports.n; k++)
		(void)json_array_append_new(ports, bh_json_text(i->ports.v[k]));
	if (m->config.policy && !m->hand.locked)
		(void)bh_hand_rule_check(i, m->config.policy, &err);
	else
		bh_fail(&err, -EINVAL, "not in force");
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "kind", "allow", "from", bh_json_text(i->from), "to", bh_json_text(i->to), "ports", ports,
		"problem", bh_json_text(err.msg[0] ? err.msg : NULL), "seconds_left", left_json(i, now));
}

json_t *bh_hand_json(const struct bh_manager *m)
{
	uint64_t now = bh_now_usec(CLOCK_BOOTTIME);
	json_t *list = json_array();

	if (m->hand.locked)
		(void)json_array_append_new(list, json_pack("{s:s, s:n}", "kind", "lockdown", "seconds_left"));
	bh_vec_foreach(i, &m->hand.v)
		if (json_array_append_new(list, item_status(m, i, now)) < 0) {
			json_decref(list);
			return NULL;
		}
	return list;
}
