/* SPDX-License-Identifier: Apache-2.0 */
/* A mapping read by a table of its keys. */
#include "config.h"

#include <string.h>

/* Tells it, and returns the mask of the key that was meant, if it can be guessed. */
static unsigned unknown_key(struct bh_cfg *c, const struct bh_node *key, const char *where, const struct bh_key *keys,
	size_t n)
{
	const char *names[32], *near;
	char show[BH_CFG_SHOW];

	for (size_t i = 0; i < n; i++)
		names[i] = keys[i].name;
	near = bh_cfg_nearest(key->text, names, n);
	if (near)
		bh_cfg_error(c, &key->loc, "unknown key '%s' in %s: did you mean '%s'?", bh_cfg_show(key->text, show), where, near);
	else
		bh_cfg_error(c, &key->loc, "unknown key '%s' in %s", bh_cfg_show(key->text, show), where);
	for (size_t i = 0; near && i < n; i++)
		if (names[i] == near)
			return 1u << i;
	return 0;
}

unsigned bh_cfg_map(struct bh_cfg *c, const struct bh_node *map, const char *where, const struct bh_key *keys, size_t n,
	void *target)
{
	char show[BH_CFG_SHOW];
	unsigned seen = 0;

	bh_vec_foreach(p, &map->pairs) {
		size_t i = 0;

		while (i < n && strcmp(p->key->text, keys[i].name) != 0)
			i++;
		if (p->first) {
			bh_cfg_error(c, &p->key->loc, "key '%s' stands twice: first on line %u", bh_cfg_show(p->key->text, show),
				p->first->loc.line);
		} else if (i == n) {
			seen |= unknown_key(c, p->key, where, keys, n);
		} else if ((keys[i].flags & BH_KEY_MAIN) && !c->doc->main) {
			bh_cfg_error(c, &p->key->loc, "'%s' belongs in the main file, %s", keys[i].name, c->policy->files.v[0]);
		} else {
			seen |= 1u << i;
			keys[i].read(c, p->key, p->value, target);
		}
	}
	return seen;
}
