/* SPDX-License-Identifier: Apache-2.0 */
/* rules-load DIR: the rule set that bulkheadd would make of DIR/bulkhead.yaml and DIR/world (tests/common/world.h), put into the
 * network namespace that it is started in, in one transaction, by the same code. Prints the number of elements. It lets a rule set
 * for 65,000 containers be measured without 65,000 containers. */
#include <bulkhead/diff.h>
#include <bulkhead/nft.h>

#include "../common/world.h"

static size_t elements(const struct bh_ruleset *r)
{
	size_t n = 0;

	for (int f = 0; f < BH_FAMILY_MAX; f++)
		bh_vec_foreach(s, &r->tables[f].sets)
			n += s->elems.n;
	return n;
}

int main(int argc, char **argv)
{
	_cleanup_(bh_plan_freep) struct bh_plan *plan = NULL;
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *wanted = NULL, *seen = NULL;
	_cleanup_(bh_nft_freep) struct bh_nft *nft = NULL;
	struct bh_error err = {0};
	struct world w;

	if (argc != 2)
		world_die("usage", "rules-load DIR");
	world_load(&w, argv[1]);
	if (bh_nft_probe(&w.features, &err) < 0 || bh_nft_new(&nft, &err) < 0)
		world_die("nftables", err.msg);
	w.features.table_persist = false;	/* an owned table would be closed to nft(8), which looks at it afterwards */
	wanted = world_compile(&w, &err);
	if (!wanted)
		world_die("compile", err.msg);
	if (nft->ops->observe(nft, &seen, &err) < 0)
		world_die("observe", err.msg);
	if (bh_diff(wanted, seen, &plan) < 0)
		world_die("diff", "no memory");
	if (nft->ops->apply(nft, plan, &err) < 0)
		world_die("apply", err.msg);
	printf("%zu\n", elements(wanted));
	world_free(&w);
	return 0;
}
