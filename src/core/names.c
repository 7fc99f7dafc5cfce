/* SPDX-License-Identifier: Apache-2.0 */
/* Names of kernel objects. A zone's begin with a word and its number, so that neither a zone that is called like a word
 * of nft's language nor a value that a stranger chose makes a listing that nft cannot read; the rest is for people. */
#include "compile_priv.h"

#include <stdio.h>
#include <string.h>

#define SHOWN 16

static bool is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

void name_numbered(const char *prefix, uint32_t number, const char *name, char ret[BH_NAME])
{
	char shown[SHOWN + 1] = {0};

	for (size_t k = 0; k < SHOWN && name[k]; k++)
		shown[k] = is_plain(name[k]) ? name[k] : '_';
	snprintf(ret, BH_NAME, "%s_%x_%s", prefix, number, shown);
}

void name_zone(const struct bh_zone_inst *i, const char *prefix, char ret[BH_NAME])
{
	if (i->id == BH_ID_HELD) {
		snprintf(ret, BH_NAME, "%s_held", prefix);
		return;
	}
	if (i->builtin != BH_BUILTIN_NONE) {
		snprintf(ret, BH_NAME, "%s_%s", prefix, bh_builtin_name(i->builtin));
		return;
	}
	name_numbered(prefix, i->id & 0xffff, i->name ? i->name : "", ret);
}

void name_timed(const struct bh_policy *p, const struct bh_zone_inst *i, const char *prefix, char ret[BH_NAME])
{
	char word[BH_NAME];

	snprintf(word, sizeof(word), "%s%x", prefix, p->retimed & 0xff);
	name_zone(i, word, ret);
}

void bh_name_zone_chain(const struct bh_zone_inst *inst, char ret[BH_NAME])
{
	name_zone(inst, "zone", ret);
}
