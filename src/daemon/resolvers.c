/* SPDX-License-Identifier: Apache-2.0 */
#include "manager.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LINES_MAX 1000

static void fclosep(FILE **f)
{
	if (*f)
		fclose(*f);
}

static bool is_loopback(const struct bh_addr *a)
{
	static const uint8_t one[16] = { [15] = 1 };

	return a->family == 4 ? a->b[0] == 127 : memcmp(a->b, one, 16) == 0;
}

static bool has(const struct bh_host *h, const struct bh_addr *a)
{
	bh_vec_foreach(r, &h->resolvers)
		if (bh_addr_cmp(r, a) == 0)
			return true;
	return false;
}

int bh_host_add_resolvers(struct bh_host *host, const char *path)
{
	_cleanup_(fclosep) FILE *f = fopen(path, "re");
	char line[256], word[64];
	struct bh_addr a;

	if (!f)
		return errno == ENOENT ? 0 : -errno;
	for (int i = 0; i < LINES_MAX && fgets(line, sizeof(line), f); i++) {
		if (sscanf(line, " nameserver %63s", word) != 1)
			continue;
		word[strcspn(word, "%")] = '\0';	/* a scope is no part of the address */
		if (bh_addr_parse(word, &a) == 0 && !is_loopback(&a) && !has(host, &a) && bh_vec_push(&host->resolvers, a) < 0)
			return -ENOMEM;
	}
	return 0;
}
