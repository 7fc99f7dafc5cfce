/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: takes away what the probes found, so that the other branch runs on a kernel that has it all. */
#include "manager.h"

#include <errno.h>
#include <string.h>

int bh_features_mask(struct bh_features *f, const char *names, struct bh_error *err)
{
	const struct {
		const char *name;
		bool *feature;
	} known[] = {
		{ "bridge_ibrname", &f->bridge_ibrname }, { "ifb", &f->ifb }, { "htb", &f->htb }, { "fq_codel", &f->fq_codel },
		{ "table_persist", &f->table_persist },
	};

	while (names && *names) {
		size_t len = strcspn(names, ","), i;

		for (i = 0; i < BH_ARRAY_SIZE(known); i++)
			if (strlen(known[i].name) == len && memcmp(known[i].name, names, len) == 0)
				break;
		if (i == BH_ARRAY_SIZE(known))
			return bh_fail(err, -EINVAL, BH_MASK_VARIABLE ": no feature '%.*s'", (int)(len < 64 ? len : 64), names);
		*known[i].feature = false;
		names += len + (names[len] == ',');
	}
	return 0;
}
