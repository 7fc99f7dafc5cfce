/* SPDX-License-Identifier: Apache-2.0 */
/* The one place where the kernel is brought in line: observe, build, compare, apply, read back. */
#include "manager.h"

#include <bulkhead/fault.h>

#include <errno.h>
#include <string.h>

#define PLAN_LINES 5	/* of a repair that are logged */

void bh_round_clear(struct bh_round *r)
{
	bh_judge_free(r->judge);	/* points into all of these */
	bh_vec_clear(&r->holdings.v);
	bh_shape_free(r->shape);
	bh_ruleset_free(r->wanted);
	bh_placement_free(r->placement);	/* points into the inventory */
	bh_hand_policy_free(r->made);
	if (r->inventory) {
		bh_vec_clear(&r->inventory->containers);	/* the sources' */
		bh_inventory_free(r->inventory);
	}
	memset(r, 0, sizeof(*r));
}

const struct bh_ruleset *bh_seen_ruleset(const struct bh_manager *m)
{
	return m->seen.as_wanted ? m->round.wanted : m->seen.ruleset;
}

void bh_seen_forget_ruleset(struct bh_seen *s)
{
	bh_ruleset_free(s->ruleset);
	s->ruleset = NULL;
	s->as_wanted = false;
}

void bh_seen_forget_host(struct bh_seen *s)
{
	bh_host_free(s->host);
	s->host = NULL;
}

void bh_seen_clear(struct bh_seen *s)
{
	bh_seen_forget_ruleset(s);
	bh_seen_forget_host(s);
	bh_shape_free(s->shape);
	memset(s, 0, sizeof(*s));
}

/* Containers are borrowed: what they own stays until no round has them any more (source.c). */
static int inventory_add(struct bh_inventory *to, const struct bh_inventory *from)
{
	size_t n = to->containers.n;

	bh_vec_foreach(net, &from->networks) {
		struct bh_network *copy = bh_vec_add(&to->networks);

		if (!copy || bh_network_copy(copy, net) < 0)
			return -ENOMEM;
	}
	if (from->containers.n == 0)
		return 0;
	if (bh_vec_exact(&to->containers, n + from->containers.n + 8) < 0)	/* some come while the round is moved on */
		return -ENOMEM;
	memcpy(&to->containers.v[n], from->containers.v, from->containers.n * sizeof(*from->containers.v));
	to->containers.n += from->containers.n;
	return 0;
}

/* Who is where; the first time with the zones' numbers that the kernel has. */
static int place(struct bh_manager *m, const struct bh_policy *policy, struct bh_round *round, struct bh_error *err)
{
	bool again = false;
	int r;

	m->memory.now = (int64_t)(bh_now_usec(CLOCK_REALTIME) / 1000000);	/* time(2) is a tick behind timers */
	r = bh_place(policy, round->inventory, m->seen.host, &m->memory, &round->placement, err);

	if (r < 0 || m->built)
		return r;
	r = bh_ids_recover(&m->memory, round->placement, bh_seen_ruleset(m), &again);
	if (r < 0)
		return bh_fail(err, r, "out of memory");
	if (!again)
		return 0;
	bh_placement_free(round->placement);
	round->placement = NULL;
	return bh_place(policy, round->inventory, m->seen.host, &m->memory, &round->placement, err);
}

bool bh_nobody_there(const struct bh_host *host)
{
	if (!host)
		return false;
	bh_vec_foreach(l, &host->links)
		if (l->kind == BH_LINK_VETH && l->master != 0)
			return false;
	return true;
}

/* A table's flags can only be had by making it anew, and with it its base chains, between whose old and new hooks packets get through
 * and are lost. So what was found unowned (an older version made it) stays so while containers are there. One that sleeps is no use. */
static void keep_flags(const struct bh_manager *m, struct bh_ruleset *wanted)
{
	static const enum bh_family judging[] = { BH_FAMILY_INET, BH_FAMILY_BRIDGE };
	const struct bh_ruleset *ruleset = bh_seen_ruleset(m);

	if (!ruleset || bh_nobody_there(m->seen.host))
		return;
	for (size_t i = 0; i < BH_ARRAY_SIZE(judging); i++) {
		const struct bh_table *seen = &ruleset->tables[judging[i]];
		struct bh_table *t = &wanted->tables[judging[i]];

		if (!seen->present || seen->flags & ~(uint32_t)BH_TABLE_PERSIST)
			continue;	/* nothing there, ours, another's, or asleep */
		if (seen->flags == 0 || !(t->flags & BH_TABLE_OWNER))
			t->flags = seen->flags;
	}
}

static int round_build(struct bh_manager *m, const struct bh_policy *policy, size_t most, struct bh_round *ret, struct bh_error *err)
{
	struct bh_round round = { .inventory = calloc(1, sizeof(*round.inventory)) };
	/* What the kernel remembers for us (which bridge flags were off) is taken from the last round where there is one: who flushes
	 * the tables takes the kernel's memory with them. */
	struct bh_compile_input in = { .policy = policy, .host = m->seen.host, .features = &m->features,
		.seen = m->round.wanted ? m->round.wanted : bh_seen_ruleset(m), .most = most };
	int r = round.inventory ? bh_round_fill(m) : -ENOMEM;

	if (r == 0 && policy)
		r = bh_hand_policy(&m->hand, policy, bh_now_usec(CLOCK_BOOTTIME), &round.made);
	round.policy = in.policy = round.made ? &round.made->p : policy;
	in.locked = m->hand.locked;
	if (r == 0)
		r = bh_images_judge(m);
	bh_vec_foreach(s, &m->sources)
		if (r == 0)
			r = inventory_add(round.inventory, (*s)->inventory);
	if (r == 0)
		r = bh_bridges_add(m, round.inventory);
	if (r < 0)
		bh_fail(err, r, "out of memory");
	if (r == 0 && policy) {
		r = place(m, in.policy, &round, err);
		bh_stage_end(m, BH_STAGE_PLACE);
		in.inventory = round.inventory;
		in.placement = round.placement;
		if (r == 0)
			r = bh_compile(&in, &round.wanted, err);
		if (r == 0)
			r = bh_compile_shape(&in, round.wanted, &round.shape, err);
	} else if (r == 0) {
		r = bh_compile_skeleton(round.inventory, m->seen.host, &m->features, in.seen, &round.wanted, err);
		round.shape = r == 0 ? calloc(1, sizeof(*round.shape)) : NULL;
		if (r == 0 && !round.shape)
			r = bh_fail(err, -ENOMEM, "out of memory");
	}
	if (r < 0) {
		bh_round_clear(&round);
		return r;
	}
	keep_flags(m, round.wanted);
	*ret = round;
	return 0;
}

int bh_round_build(struct bh_manager *m, const struct bh_policy *policy, struct bh_round *ret, struct bh_error *err)
{
	return round_build(m, policy, 0, ret, err);
}

int bh_round_try(struct bh_manager *m, const struct bh_policy *policy, size_t most, struct bh_round *ret, struct bh_error *err)
{
	struct bh_memory kept = m->memory, copy = {0};
	int r = bh_memory_copy(&copy, &kept);

	if (r < 0)
		return bh_fail(err, r, "out of memory");
	m->memory = copy;
	r = round_build(m, policy, most, ret, err);
	bh_memory_clear(&m->memory);
	m->memory = kept;
	bh_round_make_lean(m);
	return r;
}

/* The tables, ours by then, or an error that says whose they are. */
static int refresh_ruleset(struct bh_manager *m, struct bh_error *err)
{
	bool taken = false;
	int r;

	m->seen.as_wanted = false;
	r = m->nft->ops->observe(m->nft, &m->seen.ruleset, err);

	if (r == 0)
		r = bh_owner_check(m->seen.ruleset, err);
	if (r == 0)
		r = bh_owner_take(m, &taken, err);
	if (r == 0 && taken) {
		bh_ruleset_free(m->seen.ruleset);
		m->seen.ruleset = NULL;
		r = m->nft->ops->observe(m->nft, &m->seen.ruleset, err);
	}
	if (r < 0) {	/* seen is only what was judged */
		bh_ruleset_free(m->seen.ruleset);
		m->seen.ruleset = NULL;
	}
	return r;
}

int bh_look(struct bh_manager *m, struct bh_error *err)
{
	int r = 0;

	if (m->deaf) {
		r = bh_nft_monitor_listen(m->nft_monitor, true);
		if (r < 0)
			return bh_fail(err, r, "nftables notifications: %s", strerror(-r));
		m->deaf = false;
		bh_seen_forget_ruleset(&m->seen);
	}
	if (bh_resolvers_linger(m))
		bh_seen_forget_host(&m->seen);
	m->seen.fresh = m->seen.fresh || !m->seen.host || !m->seen.shape || !bh_seen_ruleset(m);
	if (!m->seen.host) {
		r = m->tc->ops->host(m->tc, &m->seen.host, err);
		if (r == 0 && bh_resolvers_add(m) < 0) {
			bh_seen_forget_host(&m->seen);
			r = bh_fail(err, -ENOMEM, "out of memory");
		}
	}
	if (r == 0 && !m->seen.shape)
		r = m->tc->ops->observe(m->tc, &m->seen.shape, err);
	return r < 0 || bh_seen_ruleset(m) ? r : refresh_ruleset(m, err);
}

static void log_plan(struct bh_manager *m, int priority, const char *event, const struct bh_plan *plan)
{
	_cleanup_buf_ struct bh_buf text = {0};
	char *line, *rest;
	int n = 0;

	if (bh_plan_print(plan, &text) < 0 || !text.s)
		return;
	for (line = strtok_r(text.s, "\n", &rest); line && n < PLAN_LINES; line = strtok_r(NULL, "\n", &rest), n++)
		bh_log(&m->log, priority, event, "%s", line);
	if (line)
		bh_log(&m->log, priority, event, "... %zu changes in all", plan->changes.n);
}

bool bh_flags_undone(const struct bh_manager *m)
{
	static const char *const names[] = { "nf_call4", "nf_call6", "learned" };

	for (size_t i = 0; i < BH_ARRAY_SIZE(names); i++) {
		const struct bh_set *set = m->round.wanted && m->seen.host ?
			bh_table_set(&m->round.wanted->tables[BH_FAMILY_INET], names[i]) : NULL;

		if (!set)
			continue;
		bh_vec_foreach(e, &set->elems) {
			const struct bh_link *l = bh_host_link_named(m->seen.host, (const char *)e->key);

			if (l && (i == 2 ? l->learns_groups : !(i == 0 ? l->nf_call_iptables : l->nf_call_ip6tables)))
				return true;
		}
	}
	return false;
}

/* Whether NEXT asks for the same as ROUND: nothing that we know of has changed. */
static int same_round(const struct bh_round *round, const struct bh_round *next, bool *ret)
{
	_cleanup_(bh_plan_freep) struct bh_plan *plan = NULL;
	int r = bh_diff(next->wanted, round->wanted, &plan);

	if (r == 0)
		*ret = plan->changes.n == 0 && bh_shape_equal(next->shape, round->shape);
	return r;
}

/* Only nf_tables says who it was, at the end of a transaction, which may come after what woke us: so what is there is read. It may
 * tell of changes after what was seen, too: verify() looks again in any case. */
static void log_drift(struct bh_manager *m, const char *what)
{
	struct bh_nft_process by = {0};

	if (m->nft_monitor) {
		(void)bh_nft_monitor_read(m->nft_monitor);
		by = bh_nft_monitor_process(m->nft_monitor);
	}
	if (by.pid)
		bh_log(&m->log, LOG_WARNING, BH_EVENT_REPAIR, "%s (pid %u) changed bulkhead's %s: put back", by.name, by.pid, what);
	else
		bh_log(&m->log, LOG_WARNING, BH_EVENT_REPAIR, "somebody changed bulkhead's %s: put back", what);
}

/* What was in line and is not any more, with the same wanted, was changed by somebody else: counted, told; the round puts it back. (When
 * the wanted has moved too, it cannot be told from what a link takes with it when it goes.) */
static int count_drift(struct bh_manager *m, const struct bh_round *next, const struct bh_plan *plan)
{
	bool same = false, shape;
	int r;

	if (!m->verified || !m->round.wanted || !m->seen.fresh)
		return 0;
	shape = !bh_shape_equal(next->shape, m->seen.shape);
	if (bh_plan_only_sweeps(plan) && !shape && !bh_flags_undone(m))
		return 0;
	r = same_round(&m->round, next, &same);
	if (r < 0 || !same)
		return r;
	m->repairs++;
	m->verified = false;
	log_drift(m, plan->changes.n > 0 ? "tables" : shape ? "queueing disciplines" : "bridge settings");
	log_plan(m, LOG_WARNING, BH_EVENT_REPAIR, plan);
	return 0;
}

static bool have_tables(const struct bh_ruleset *r)
{
	return r->tables[BH_FAMILY_INET].present && r->tables[BH_FAMILY_BRIDGE].present;
}

bool bh_manager_heard(const struct bh_manager *m)
{
	bh_vec_foreach(s, &m->sources)
		if ((*s)->heard)
			return true;
	return false;
}

/* After a start the rules that are there know more than we do: they stay until the runtimes have told. Neither may a restart close
 * what is open, nor may rules that somebody removed stay away, so without tables there is no waiting. */
static bool must_hold(const struct bh_manager *m)
{
	if (m->built || m->hand.locked || !have_tables(bh_seen_ruleset(m)))
		return false;
	return !bh_manager_heard(m) || !bh_manager_settled(m);
}

/* Switches on what the wanted memory sets name; they are in the kernel by now, so that teardown finds them whatever happens. */
static int apply_flags(struct bh_manager *m, bool *ret_changed, struct bh_error *err)
{
	if (!bh_flags_undone(m))
		return 0;
	bh_vec_foreach(l, &m->seen.host->links) {
		const struct bh_table *t = &m->round.wanted->tables[BH_FAMILY_INET];
		const struct bh_set *four = bh_table_set(t, "nf_call4"), *six = bh_table_set(t, "nf_call6"), *learned = bh_table_set(t, "learned");
		uint8_t key[BH_KEY_MAX] = {0};
		bool on4, on6;
		int r = 0;

		memcpy(key, l->name, sizeof(l->name));
		on4 = four && bh_set_find(four, key);
		on6 = six && bh_set_find(six, key);
		if (l->learns_groups && learned && bh_set_find(learned, key)) {
			r = m->tc->ops->bridge_learns(m->tc, l->name, false, err);
			*ret_changed = true;
		}
		if (r < 0 && r != -ENODEV)
			return r;
		if ((!on4 || l->nf_call_iptables) && (!on6 || l->nf_call_ip6tables))
			continue;
		r = m->tc->ops->bridge_calls(m->tc, l->name, on4 || l->nf_call_iptables, on6 || l->nf_call_ip6tables, err);
		if (r < 0 && r != -ENODEV)	/* gone meanwhile: nothing to switch on */
			return r;
		*ret_changed = true;
		bh_connections_hooked(m);
	}
	return 0;
}

/* Sets from which is swept what packets put there for containers that have gone: only a look tells what that is. */
static bool has_swept_sets(const struct bh_ruleset *r)
{
	bh_vec_foreach(s, &r->tables[BH_FAMILY_INET].sets)
		if ((s->flags & BH_SET_DYNAMIC) && !(s->flags & BH_SET_TIMEOUT))
			return true;
	return false;
}

/* What was in line, and took what it was told, is in line: elements that came or went are not read back, or a change would cost what the
 * whole costs. The look that comes every 8 s reads them. */
static bool is_as_wanted(const struct bh_manager *m, const struct bh_plan *plan)
{
	return m->verified && m->seen.as_wanted && bh_plan_only_elems(plan);
}

/* A large plan goes into the kernel while we do not listen, and is read back in any case. */
#define MANY_ELEMS 1000

static int transact(struct bh_manager *m, const struct bh_plan *plan, bool *ret_look, struct bh_error *err)
{
	size_t n = 0;
	int r, e;

	bh_vec_foreach(c, &plan->changes)
		n += c->elems.n;
	if (n < MANY_ELEMS || !m->nft_monitor)
		return m->nft->ops->apply(m->nft, plan, err);
	*ret_look = true;
	if (bh_nft_monitor_listen(m->nft_monitor, false) < 0)
		return m->nft->ops->apply(m->nft, plan, err);
	r = m->nft->ops->apply(m->nft, plan, err);
	e = bh_nft_monitor_listen(m->nft_monitor, true);
	m->deaf = e < 0;
	return r == 0 && e < 0 ? bh_fail(err, e, "nftables notifications: %s", strerror(-e)) : r;
}

int bh_round_apply(struct bh_manager *m, struct bh_plan *plan, struct bh_error *err)
{
	int r;

	m->rules_hold = plan->changes.n == 0;
	if (m->rules_hold)
		return 0;
	log_plan(m, LOG_DEBUG, BH_EVENT_CHANGE, plan);
	bh_stage_end(m, BH_STAGE_COMPARE);
	BH_FAULT("apply-trees");
	r = m->nft->ops->apply(m->nft, plan, err);
	bh_stage_end(m, BH_STAGE_APPLY);
	BH_FAULT("apply-rules");
	m->work.changed = true;
	m->rules_hold = r == 0;
	return r;
}

static int apply_rules(struct bh_manager *m, struct bh_plan *plan, bool *ret_look, struct bh_error *err)
{
	int r;

	if (plan->changes.n == 0)
		return 0;
	log_plan(m, LOG_DEBUG, BH_EVENT_CHANGE, plan);
	bh_stage_end(m, BH_STAGE_COMPARE);
	r = transact(m, plan, ret_look, err);
	bh_stage_end(m, BH_STAGE_APPLY);
	m->work.changed = true;
	*ret_look = *ret_look || r < 0 || !is_as_wanted(m, plan);
	return r;
}

/* Caps fail alone: what is denied must not wait for a tree that cannot be made (a foreign link of its name, a kernel that
 * lost a module). Rules that would send packets to a tree that is not there are left out of this round. */
static int without_trees(struct bh_manager *m, const struct bh_ruleset *seen, struct bh_plan **plan, struct bh_error *err)
{
	_cleanup_(bh_shape_freep) struct bh_shape *now = NULL;
	int r = m->tc->ops->observe(m->tc, &now, err);

	if (r < 0 || !m->round.shape->present[BH_EGRESS] || now->present[BH_EGRESS])
		return r;
	bh_shape_withdraw(m->round.wanted);
	bh_plan_free(*plan);
	*plan = NULL;
	r = bh_diff(m->round.wanted, seen, plan);
	return r < 0 ? bh_fail(err, r, "out of memory") : 0;
}

/* The trees are there before rules send packets to them, and go after no rule does. */
static int apply(struct bh_manager *m, const struct bh_ruleset *seen, struct bh_plan **plan, bool *ret_changed, struct bh_error *err)
{
	_cleanup_(bh_shape_freep) struct bh_shape *both = NULL;
	bool shape = !bh_shape_equal(m->round.shape, m->seen.shape);
	struct bh_error caps = {0};
	int r = 0;

	if (shape) {
		*ret_changed = true;
		r = bh_shape_union(m->round.shape, m->seen.shape, &both);
		if (r < 0)
			return bh_fail(err, r, "out of memory");
		if (m->tc->ops->apply(m->tc, both, m->seen.shape, &caps) < 0)
			r = without_trees(m, seen, plan, err);
		bh_stage_end(m, BH_STAGE_CAPS);
	}
	BH_FAULT("apply-trees");
	if (r == 0)
		r = apply_rules(m, *plan, ret_changed, err);
	BH_FAULT("apply-rules");
	if (r == 0)
		r = apply_flags(m, ret_changed, err);
	BH_FAULT("apply-flags");
	m->rules_hold = r == 0;
	if (r == 0 && caps.code < 0)
		return bh_fail(err, caps.code, "%s", caps.msg);
	if (r == 0 && shape)
		r = m->tc->ops->apply(m->tc, m->round.shape, both, err);
	return r;
}

/* Reads the kernel, and sweeps out what packets left there for containers that have gone meanwhile. */
static int read_back(struct bh_manager *m, struct bh_plan **ret, struct bh_error *err)
{
	for (int i = 0;; i++) {
		_cleanup_(bh_plan_freep) struct bh_plan *plan = NULL;
		int r;

		bh_seen_clear(&m->seen);
		r = bh_look(m, err);
		if (r < 0)
			return r;
		r = bh_diff(m->round.wanted, m->seen.ruleset, &plan);
		if (r < 0)
			return bh_fail(err, r, "out of memory");
		if (i > 0 || plan->changes.n == 0 || !bh_plan_only_sweeps(plan)) {
			*ret = bh_take(plan);
			return 0;
		}
		r = m->nft->ops->apply(m->nft, plan, err);
		if (r < 0)
			return r;
	}
}

/* Reads everything back. 0 in line, 1 not. */
static int verify(struct bh_manager *m, struct bh_error *err)
{
	_cleanup_(bh_plan_freep) struct bh_plan *plan = NULL;
	int r = read_back(m, &plan, err);

	if (r < 0)
		return r;
	if (plan->changes.n > 0 || !bh_shape_equal(m->round.shape, m->seen.shape)) {
		_cleanup_buf_ struct bh_buf text = {0};

		if (plan->changes.n > 0 && bh_plan_print(plan, &text) == 0 && text.s) {
			text.s[strcspn(text.s, "\n")] = '\0';
			bh_fail(err, -EAGAIN, "read back, %zu of its changes are not there (%.200s)", plan->changes.n, text.s);
		} else {
			bh_fail(err, -EAGAIN, "read back, the queueing disciplines are not as wanted");
		}
		return 1;
	}
	return 0;
}

/* NEXT takes the place of the last round. What was seen, and the plan, may be part of that one: it is handed back. */
static struct bh_round round_replace(struct bh_manager *m, struct bh_round *next)
{
	struct bh_round old = m->round;

	m->round = *next;
	m->built = true;
	memset(next, 0, sizeof(*next));
	bh_told_moves(m);
	return old;
}

/* In line: what the kernel holds is what is wanted, and one copy of that is enough. But of what packets put into it only a look tells. */
static void settle(struct bh_manager *m)
{
	m->verified = true;
	m->seen.fresh = false;
	if (!m->seen.as_wanted && !has_swept_sets(m->round.wanted)) {
		bh_seen_forget_ruleset(&m->seen);
		m->seen.as_wanted = true;
	}
	m->news.whole = false;
	m->news.links.n = 0;
	bh_round_make_lean(m);
	bh_judge_later(m);
}

/* Nothing of ours is in the kernel and the policy cannot be put there: closed is better than open. */
static void close_at_least(struct bh_manager *m)
{
	_cleanup_(bh_plan_freep) struct bh_plan *plan = NULL;
	struct bh_round skeleton = {0};

	if (!m->seen.ruleset || !m->seen.host || have_tables(m->seen.ruleset))
		return;
	if (bh_round_build(m, NULL, &skeleton, NULL) == 0 && bh_diff(skeleton.wanted, m->seen.ruleset, &plan) == 0 &&
		m->nft->ops->apply(m->nft, plan, NULL) == 0)
		bh_log(&m->log, LOG_ERR, BH_EVENT_DEGRADED, "the policy cannot be put into the kernel: containers get nothing");
	m->built = true;	/* what is found from now on is our own */
	bh_round_clear(&skeleton);
}

static int reconcile(struct bh_manager *m, struct bh_round *next, struct bh_plan **plan, struct bh_error *err)
{
	_cleanup_(bh_round_clear) struct bh_round old = {0};
	const struct bh_ruleset *seen = bh_seen_ruleset(m);
	bool look = false;
	int r = bh_round_build(m, m->config.policy, next, err);

	bh_stage_end(m, BH_STAGE_COMPILE);
	BH_FAULT("built");
	if (r == 0 && bh_diff(next->wanted, seen, plan) < 0)
		r = bh_fail(err, -ENOMEM, "out of memory");
	if (r == 0)
		r = count_drift(m, next, *plan);
	if (r < 0)
		return r;
	old = round_replace(m, next);
	bh_connections_first(m);
	bh_stage_end(m, BH_STAGE_COMPARE);
	r = apply(m, seen, plan, &look, err);
	bh_round_clear(&old);
	bh_sources_bury(m);
	BH_FAULT("applied");
	if (r == 0 && (look || !m->verified))
		r = verify(m, err);
	bh_stage_end(m, BH_STAGE_VERIFY);
	BH_FAULT("verified");
	return r;
}

int bh_reconcile(struct bh_manager *m, struct bh_error *err)
{
	_cleanup_(bh_plan_freep) struct bh_plan *plan = NULL;
	struct bh_round next = {0};
	int r;

	bh_work_begin(m);
	m->rules_hold = false;
	r = bh_round_shift(m, err);
	if (r > 0) {
		r = bh_look(m, err);
		bh_stage_end(m, BH_STAGE_LOOK);
		if (r == 0)
			bh_connections_found(m);
		m->held = r == 0 && must_hold(m);
		BH_FAULT("observed");
		if (m->held)
			return 0;
		if (r == 0)
			r = reconcile(m, &next, &plan, err);
	}
	if (r == 0) {
		settle(m);
		bh_work_end(m);
		r = bh_strange_look(m);
		return r < 0 ? bh_fail(err, r, "out of memory") : 0;
	}
	/* The kernel is not what it was thought to be: look at all of it. */
	if (!m->rules_hold)
		close_at_least(m);
	bh_round_clear(&next);
	m->verified = false;
	bh_seen_clear(&m->seen);
	return r < 0 ? r : -EAGAIN;
}
