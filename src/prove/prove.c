/* SPDX-License-Identifier: Apache-2.0 */
/* The passes: all packets are sent, then all that is heard is counted, and what should have been heard and was not is sent again. */
#include "stage.h"

#include <bulkhead/nft.h>

#include <errno.h>

#define QUIET_MS 200		/* nothing is under way any more: within a machine a packet takes microseconds */
#define AT_ONCE 32		/* packets between two looks, far below what a queue holds */
#define TRIES 3
#define SPORT 40000
#define PASS_SHIFT 28

struct pass {
	struct stage *stage;
	struct bh_proof *p;
	enum bh_proof_pass pass;
};

static void on_heard(void *userdata, uint32_t id, int ifindex)
{
	struct pass *pass = userdata;
	size_t n = id & ((1u << PASS_SHIFT) - 1);

	if (id >> PASS_SHIFT == pass->pass && n < pass->p->probes.n && pass->stage->peers[pass->p->probes.v[n].to] == ifindex)
		pass->p->probes.v[n].heard[pass->pass] = true;
}

static void listen_until_quiet(struct pass *pass)
{
	do
		stage_hear(pass->stage, on_heard, pass);
	while (stage_wait(pass->stage, QUIET_MS));
}

static bool is_due(const struct bh_probe *probe, enum bh_proof_pass pass)
{
	return pass == BH_PASS_BARE || probe->expected == BH_PROOF_OPEN || (pass == BH_PASS_HELD && probe->expected == BH_PROOF_AUDITED);
}

/* Each try is another flow. */
static void pass_run(struct pass *pass)
{
	for (uint16_t attempt = 0; attempt < TRIES; attempt++) {
		size_t sent = 0;

		for (size_t i = 0; i < pass->p->probes.n; i++) {
			const struct bh_probe *probe = &pass->p->probes.v[i];

			if (attempt > 0 && (probe->heard[pass->pass] || !is_due(probe, pass->pass)))
				continue;
			stage_send(pass->stage, probe, (uint16_t)(SPORT + TRIES * pass->pass + attempt), (uint32_t)pass->pass << PASS_SHIFT | (uint32_t)i);
			if (++sent % AT_ONCE == 0)
				stage_hear(pass->stage, on_heard, pass);
		}
		if (sent > 0)
			listen_until_quiet(pass);
	}
}

static int load(const struct bh_ruleset *rules, struct bh_error *err)
{
	_cleanup_(bh_nft_freep) struct bh_nft *nft = NULL;
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *seen = NULL;
	_cleanup_(bh_plan_freep) struct bh_plan *plan = NULL;
	int r = bh_nft_new(&nft, err);

	if (r == 0)
		r = nft->ops->observe(nft, &seen, err);
	if (r == 0 && bh_diff(rules, seen, &plan) < 0)
		r = bh_fail(err, -ENOMEM, "out of memory");
	if (r == 0 && plan->changes.n > 0)
		r = nft->ops->apply(nft, plan, err);
	return r < 0 ? bh_fail_wrap(err, "the copy of the rules in a throw-away namespace") : 0;
}

int bh_prove(struct bh_proof *p, const struct bh_ruleset *held, const struct bh_ruleset *enforced, struct bh_error *err)
{
	const struct bh_ruleset *const rules[BH_PASS_MAX] = {[BH_PASS_HELD] = held, [BH_PASS_ENFORCED] = enforced};
	struct stage stage = {0};
	int r = stage_open(&stage, p, err);

	for (enum bh_proof_pass i = BH_PASS_BARE; i < BH_PASS_MAX && r == 0; i++) {
		struct pass pass = {.stage = &stage, .p = p, .pass = i};

		if (rules[i])
			r = load(rules[i], err);
		if (r == 0 && (rules[i] || i == BH_PASS_BARE))
			pass_run(&pass);
	}
	bh_vec_foreach(x, &p->probes)
		if (!enforced)
			x->heard[BH_PASS_ENFORCED] = x->heard[BH_PASS_HELD];
	stage_close(&stage);
	return r;
}
