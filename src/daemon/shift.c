/* SPDX-License-Identifier: Apache-2.0 */
/* A change that concerns its container alone. What was heard only says that it is worth a look: what has changed is found by comparing what the
 * runtimes tell with what the round has. A round from scratch follows whenever anything else may have changed, and with every whole poll. */
#include "manager.h"

#include <bulkhead/fault.h>

#include <errno.h>
#include <string.h>

static struct bh_compile_input made_of(const struct bh_manager *m)
{
	return (struct bh_compile_input){.policy = bh_policy_in_force(m), .inventory = m->round.inventory, .host = m->seen.host,
		.placement = m->round.placement, .features = &m->features};
}

void bh_round_make_lean(struct bh_manager *m)
{
	const struct bh_compile_input in = made_of(m);
	struct bh_round *r = &m->round;

	if (!r->lean && r->placement && m->seen.as_wanted && bh_holdings_make(r->placement, &m->features, &r->holdings) == 0)
		r->lean = bh_members_strip(&in, r->wanted) == 0;
}

int bh_round_fill(struct bh_manager *m)
{
	const struct bh_compile_input in = made_of(m);
	int e = m->round.lean ? bh_members_fill(&in, m->round.wanted) : 0;

	if (e == 0)
		m->round.lean = false;
	return e;
}

/* Whether the kernel holds what the round wants, as far as we know, and nothing but containers and veths can have changed since. What was said by hand
 * is in the round's policy, or in its memory. */
static bool can_step(const struct bh_manager *m)
{
	return m->verified && m->round.lean && m->seen.as_wanted && m->seen.host && m->seen.shape && !m->deaf && !m->news.whole &&
		bh_manager_settled(m) && !bh_resolvers_linger(m);
}

/* The containers of all runtimes, in the order in which a round lists them. */
static const struct bh_inventory **told(const struct bh_manager *m)
{
	const struct bh_inventory **v = calloc(m->sources.n + 1, sizeof(*v));

	for (size_t i = 0; v && i < m->sources.n; i++)
		v[i] = m->sources.v[i]->inventory;
	return v;
}

static int step(struct bh_manager *m, struct bh_shift *ret)
{
	_cleanup_free_ const struct bh_inventory **now = told(m);
	const struct bh_shift_input in = {.policy = bh_policy_in_force(m), .features = &m->features, .host = m->seen.host, .wanted = m->round.wanted,
		.inventory = m->round.inventory, .placement = m->round.placement, .memory = &m->memory, .holdings = &m->round.holdings, .now = now,
		.n_now = m->sources.n, .links = m->news.links.v, .n_links = m->news.links.n};

	return now ? bh_shift(&in, ret) : -ENOMEM;
}

int bh_round_shift(struct bh_manager *m, struct bh_error *err)
{
	_cleanup_(bh_shift_clear) struct bh_shift s = {0};
	_cleanup_(bh_plan_freep) struct bh_plan *plan = NULL;
	int r;

	if (!can_step(m))
		return 1;
	m->memory.now = (int64_t)(bh_now_usec(CLOCK_REALTIME) / 1000000);	/* time(2) is a tick behind timers */
	r = step(m, &s);
	bh_stage_end(m, BH_STAGE_PLACE);
	if (r < 0) {	/* half-way: of no use any more */
		bh_round_clear(&m->round);
		return bh_fail(err, r, "out of memory");
	}
	if (r > 0)
		return r;
	bh_judge_free(m->round.judge);
	m->round.judge = NULL;
	bh_told_few(m, s.members.v, s.members.n);
	bh_sources_bury(m);
	m->news.links.n = 0;
	if (bh_diff(s.after, s.before, &plan) < 0)
		return bh_fail(err, -ENOMEM, "out of memory");
	BH_FAULT("stepped");
	return bh_round_apply(m, plan, err);
}
