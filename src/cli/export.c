/* SPDX-License-Identifier: Apache-2.0 */
/* The rule set as the kernel holds it now, as text for nft. Asks no daemon: the rules outlive it. */
#include "verb.h"

#include <bulkhead/nft.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define HEAD                                                                                                                     \
	"# bulkhead export --nft: what the kernel holds. Check it with `unshare -n nft -c -f FILE`; sets that packets fill\n"    \
	"# are left empty, counters start at 0. A netdev chain needs its device.\n"

static void export_text(struct bh_writer *w, const json_t *doc, void *userdata)
{
	(void)userdata;
	/* Safe: nft's own printer writes names as nft reads them, and no name in it was chosen by a container's author. */
	fputs(json_string_value(json_object_get(doc, "text")), w->out);
}

static int export_read(json_t **ret, struct bh_error *err)
{
	_cleanup_(bh_nft_freep) struct bh_nft *nft = NULL;
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *seen = NULL;
	_cleanup_buf_ struct bh_buf text = {0};
	int r = bh_nft_new(&nft, err);

	if (r == 0)
		r = nft->ops->observe(nft, &seen, err);
	if (r < 0)
		return r;
	if (!seen->tables[BH_FAMILY_INET].present && !seen->tables[BH_FAMILY_BRIDGE].present)
		return bh_fail(err, -ENOENT, "the kernel holds none of bulkhead's tables: start bulkheadd");
	bh_buf_puts(&text, HEAD);
	if (bh_ruleset_print(seen, &text) < 0)
		return bh_fail(err, -ENOMEM, "out of memory");
	*ret = json_pack("{s:i, s:s, s:s}", "version", 1, "format", "nft", "text", text.s);
	return *ret ? 0 : bh_fail(err, -EBADMSG, "a name in the kernel's tables is not UTF-8: bulkhead did not write it");
}

int bh_verb_export(struct bh_cli *cli)
{
	struct bh_error err = {0};
	json_t *doc = NULL;
	int r;

	if (!cli->option[BH_OPTION_NFT]) {
		bh_cli_error(cli, "export: say in which form: bulkhead export --nft");
		return BH_EXIT_USAGE;
	}
	if (geteuid() != 0) {
		bh_cli_error(cli, "export reads the kernel's tables, which is for root: run it with sudo");
		return BH_EXIT_DENIED;
	}
	r = export_read(&doc, &err);
	if (r < 0) {
		bh_cli_error(cli, "%s", err.msg);
		return r == -ENOENT ? BH_EXIT_NO_DAEMON : 1;
	}
	r = bh_writer_put(&cli->writer, doc, export_text, NULL);
	json_decref(doc);
	return r < 0 ? 1 : BH_EXIT_OK;
}
