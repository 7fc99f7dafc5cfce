/* SPDX-License-Identifier: Apache-2.0 */
/* What is not probed by a room of its own, and, for tests, the mask: takes away what the probes found, so that the other branch runs on
 * a kernel that has it all. */
#include "manager.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define BR_NETFILTER "/proc/sys/net/bridge/bridge-nf-call-iptables"	/* there while the module is, in every network namespace (5.3) */

static bool is_named(const char *names, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = names; p && *p; p += strcspn(p, ","), p += *p == ',')
		if (strcspn(p, ",") == len && memcmp(p, name, len) == 0)
			return true;
	return false;
}

void bh_features_look(struct bh_features *f)
{
	f->no_br_netfilter = is_named(getenv(BH_MASK_VARIABLE), "br_netfilter") || access(BR_NETFILTER, F_OK) < 0;
}

int bh_features_mask(struct bh_features *f, const char *names, struct bh_error *err)
{
	const struct {
		const char *name;
		bool *feature;
	} known[] = {
		{ "bridge_ibrname", &f->bridge_ibrname }, { "ifb", &f->ifb }, { "htb", &f->htb }, { "fq_codel", &f->fq_codel },
		{ "table_persist", &f->table_persist }, { "br_netfilter", NULL },
	};

	while (names && *names) {
		size_t len = strcspn(names, ","), i;

		for (i = 0; i < BH_ARRAY_SIZE(known); i++)
			if (strlen(known[i].name) == len && memcmp(known[i].name, names, len) == 0)
				break;
		if (i == BH_ARRAY_SIZE(known))
			return bh_fail(err, -EINVAL, BH_MASK_VARIABLE ": no feature '%.*s'", (int)(len < 64 ? len : 64), names);
		if (known[i].feature)
			*known[i].feature = false;
		names += len + (names[len] == ',');
	}
	return 0;
}
