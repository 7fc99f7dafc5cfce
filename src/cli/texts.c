/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration that the daemon has not loaded, for a question about it: read here, with the rights of who asks. */
#include "verb.h"

#include <bulkhead/config.h>

#include <errno.h>

static json_t *texts_json(const struct bh_config_texts *texts)
{
	json_t *list = json_array();

	bh_vec_foreach(t, &texts->v)
		if (json_array_append_new(list, json_pack("{s:s, s:s%}", "name", t->name, "text", t->text, t->n)) < 0) {
			json_decref(list);
			return NULL;
		}
	return list;
}

int bh_cli_texts(struct bh_cli *cli, const char *path, json_t **ret)
{
	_cleanup_(bh_policy_freep) struct bh_policy *policy = NULL;
	_cleanup_buf_ struct bh_buf said = {0};
	struct bh_config_texts texts = {0};
	struct bh_diags diags = {0};
	int code = BH_EXIT_USAGE, r = bh_config_read(path, BH_CONFIG_CONF_D, &texts, &diags);

	/* Judged here too: what is not valid needs no daemon to say so. */
	if (r == 0)
		r = bh_config_parse(texts.v.v, texts.v.n, &policy, &diags);
	if (r < 0 && bh_diags_print(&diags, &said) == 0 && said.n > 0)
		fputs(said.s, cli->err);
	if (r < 0) {
		bh_cli_error(cli, "%s: not valid: correct it, then ask again", path);
	} else {
		*ret = texts_json(&texts);
		code = *ret ? BH_EXIT_OK : 1;
		if (!*ret)
			bh_cli_error(cli, "out of memory");
	}
	bh_diags_clear(&diags);
	bh_config_texts_clear(&texts);
	return code;
}
