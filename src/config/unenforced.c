/* SPDX-License-Identifier: Apache-2.0 */
/* What the grammar knows and this version cannot enforce. It is refused, never ignored: a line goes when the code that enforces it comes. */
#include "config.h"

#include <string.h>

static const struct {
	enum bh_unenforced_place place;
	const char *word;
} unenforced[] = {
	{BH_IN_ZONE, "connections"},
};

bool bh_cfg_unenforced(struct bh_cfg *c, enum bh_unenforced_place place, const char *word, const struct bh_loc *loc)
{
	static const char *const what[] = {
		[BH_IN_ZONE] = "key", [BH_IN_KIND] = "kind", [BH_IN_RULE] = "zone"};

	for (size_t i = 0; i < BH_ARRAY_SIZE(unenforced) && !c->unenforced_ok; i++)
		if (unenforced[i].place == place && strcmp(unenforced[i].word, word) == 0) {
			bh_cfg_error(c, loc, "%s '%s' is known, but this version cannot enforce it yet: remove it", what[place], word);
			return true;
		}
	return false;
}
