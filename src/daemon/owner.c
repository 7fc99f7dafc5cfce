/* SPDX-License-Identifier: Apache-2.0 */
/* Whose our tables are. A table that has lost its owner is taken over at once; what strangers did to it meanwhile is found by reading
 * it after that, when they can do no more. */
#include "manager.h"

#include <errno.h>
#include <string.h>

static const char *const families[BH_FAMILY_MAX] = { "inet", "bridge", "netdev" };

static bool is_orphan(const struct bh_table *t)
{
	return t->present && (t->flags & (BH_TABLE_OWNER | BH_TABLE_PERSIST)) == BH_TABLE_PERSIST;
}

int bh_owner_check(const struct bh_ruleset *seen, struct bh_error *err)
{
	for (enum bh_family f = 0; f < BH_FAMILY_MAX; f++)
		if (seen->tables[f].flags & BH_TABLE_FOREIGN)
			return bh_fail(err, -EPERM, "table %s bulkhead is owned by another program (netlink port %u): only its end, or a "
				"socket that systemd keeps for bulkheadd and hands over at its start, lets it be changed", families[f],
				seen->tables[f].owner);
	return 0;
}

bool bh_owner_holds(const struct bh_ruleset *seen)
{
	bool any = false;

	for (enum bh_family f = 0; f < BH_FAMILY_MAX; f++) {
		if (!seen->tables[f].present)
			continue;
		any = true;
		if ((seen->tables[f].flags & (BH_TABLE_OWNER | BH_TABLE_FOREIGN)) != BH_TABLE_OWNER)
			return false;
	}
	return any;
}

int bh_owner_take(struct bh_manager *m, bool *ret_taken, struct bh_error *err)
{
	const struct bh_table ours = { .present = true, .flags = bh_table_flags(&m->features) };
	_cleanup_(bh_plan_freep) struct bh_plan *plan = NULL;
	int r;

	*ret_taken = false;
	if (!(ours.flags & BH_TABLE_OWNER))
		return 0;
	plan = calloc(1, sizeof(*plan));
	if (!plan)
		return bh_fail(err, -ENOMEM, "out of memory");
	for (enum bh_family f = 0; f < BH_FAMILY_MAX; f++) {
		const struct bh_change c = { .kind = BH_OWN_TABLE, .family = f, .table = &ours };

		/* one that holds what cannot be taken away by name is replaced whole later */
		if (is_orphan(&m->seen.ruleset->tables[f]) && bh_vec_push(&plan->changes, c) < 0)
			return bh_fail(err, -ENOMEM, "out of memory");
	}
	if (plan->changes.n == 0)
		return 0;
	r = m->nft->ops->apply(m->nft, plan, err);
	if (r < 0)
		return r;
	*ret_taken = true;
	bh_log(&m->log, LOG_NOTICE, BH_EVENT_CHANGE, "took over %zu tables that nobody owned", plan->changes.n);
	return 0;
}
