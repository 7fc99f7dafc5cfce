/* SPDX-License-Identifier: Apache-2.0 */
#include "guard.h"

#include <bulkhead/nft.h>

int bh_cli_guard(enum bh_doctor_guard *ret, struct bh_error *err)
{
	static const uint8_t file[BH_KEY_MAX];	/* zone 0 of `modes`: the file */
	_cleanup_(bh_nft_freep) struct bh_nft *nft = NULL;
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *seen = NULL;
	const struct bh_table *inet;
	const struct bh_set *modes;
	const struct bh_elem *e;
	int r = bh_nft_new(&nft, err);

	if (r == 0)
		r = nft->ops->observe(nft, &seen, err);
	if (r < 0)
		return r;
	inet = &seen->tables[BH_FAMILY_INET];
	modes = bh_table_set(inet, "modes");
	e = modes ? bh_set_find(modes, file) : NULL;
	if (!inet->present || (inet->flags & BH_TABLE_DORMANT) || !modes)
		*ret = BH_GUARD_NONE;
	else
		*ret = e ? BH_GUARD_AUDIT : BH_GUARD_ENFORCE;
	return 0;
}
