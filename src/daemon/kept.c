/* SPDX-License-Identifier: Apache-2.0 */
#include "kept.h"

#include <errno.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

static void names_freep(char ***names)
{
	for (char **n = *names; n && *n; n++)
		free(*n);
	free(*names);
}

static bool owns_a_table(struct bh_nft *n)
{
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *seen = NULL;

	if (n->ops->observe(n, &seen, NULL) < 0)
		return false;
	for (enum bh_family f = 0; f < BH_FAMILY_MAX; f++)
		if (seen->tables[f].present && seen->tables[f].owner == bh_nft_port(n))
			return true;
	return false;
}

int bh_kept_open(struct bh_nft **ret, bool *ret_stale, struct bh_error *err)
{
	_cleanup_(names_freep) char **names = NULL;
	_cleanup_(bh_nft_freep) struct bh_nft *best = NULL;
	int n = sd_listen_fds_with_names(1, &names);
	bool stale = false;

	for (int i = 0; i < n; i++) {
		struct bh_nft *nft = NULL;
		int fd = SD_LISTEN_FDS_START + i;

		if (strcmp(names[i], BH_KEPT_NAME) != 0) {
			(void)close(fd);	/* not asked for */
			continue;
		}
		if (bh_nft_new_from(fd, &nft, NULL) < 0) {
			stale = true;
			continue;
		}
		stale = stale || best;
		if (best && !owns_a_table(best) && owns_a_table(nft)) {
			bh_nft_free(best);
			best = nft;
		} else if (best) {
			bh_nft_free(nft);
		} else {
			best = nft;
		}
	}
	if (!best) {
		int r = bh_nft_new(&best, err);

		if (r < 0)
			return r;
	}
	*ret_stale = stale;
	*ret = bh_take(best);
	return 0;
}

int bh_kept_store(const struct bh_nft *n)
{
	int fd = bh_nft_fd(n), r;

	if (fd < 0)
		return 0;
	/* FDPOLL=0 (systemd 246): a netlink socket shows lost messages as an error, for which a manager that polls would let it go. */
	r = sd_pid_notify_with_fds(0, 0, "FDSTORE=1\nFDNAME=" BH_KEPT_NAME "\nFDPOLL=0", &fd, 1);
	return r < 0 ? r : 0;
}

void bh_kept_drop(void)
{
	(void)sd_notify(0, "FDSTOREREMOVE=1\nFDNAME=" BH_KEPT_NAME);	/* nobody may listen */
}
