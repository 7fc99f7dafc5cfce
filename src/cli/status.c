/* SPDX-License-Identifier: Apache-2.0 */
#include "status.h"

#include <bulkhead/control.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define WATCH_SECONDS 2
#define STATUS_TIMEOUT_MS 15000

static const char *const VIEWS[] = {
	[BH_VIEW_ALL] = "all",	/* not a word of the command */
	[BH_VIEW_ZONES] = "zones",
	[BH_VIEW_CONTAINERS] = "containers",
	[BH_VIEW_RULES] = "rules",
	[BH_VIEW_DROPS] = "drops",
};

static int view_parse(struct bh_cli *cli, enum bh_view *ret)
{
	const char *near;

	*ret = BH_VIEW_ALL;
	if (cli->n_args == 0)
		return 0;
	for (enum bh_view v = BH_VIEW_ZONES; v <= BH_VIEW_DROPS; v++)
		if (strcmp(cli->args[0], VIEWS[v]) == 0) {
			*ret = v;
			return 0;
		}
	near = bh_near(cli->args[0], VIEWS + 1, BH_ARRAY_SIZE(VIEWS) - 1);
	bh_cli_error(cli, near ? "status: no view '%s': did you mean '%s'?" : "status: no view '%s': zones, containers, rules or drops",
		cli->args[0], near);
	return -EINVAL;
}

int bh_status_exit(const json_t *doc)
{
	const char *state = json_string_value(json_object_get(json_object_get(doc, "daemon"), "state"));
	bool works = state && (strcmp(state, "enforcing") == 0 || strcmp(state, "auditing") == 0);

	return works && json_is_true(json_object_get(json_object_get(doc, "kernel"), "in_sync")) ? 0 : 1;
}

/* One look. Returns the exit code. */
static int status_once(struct bh_cli *cli, enum bh_view view)
{
	struct bh_error err = {0}, kernel_err = {0};
	json_t *doc = NULL;
	int code = bh_cli_ask(cli, "status", NULL, STATUS_TIMEOUT_MS, &doc, true, &err);

	if (code != BH_EXIT_OK)
		bh_cli_error(cli, "%s", err.msg);
	if (code == BH_EXIT_NO_DAEMON && geteuid() == 0) {
		int r = bh_status_from_kernel(&doc, &kernel_err);

		if (r == -ENOENT)
			bh_cli_error(cli, "the kernel holds none of bulkhead's tables: containers are not segmented");
		else if (r < 0)
			bh_cli_error(cli, "%s", kernel_err.msg);
	}
	if (doc && bh_writer_put(&cli->writer, doc, bh_status_text, &view) < 0)
		code = code ? code : 1;
	if (code == BH_EXIT_OK)
		code = bh_status_exit(doc);
	json_decref(doc);
	return code;
}

int bh_verb_status(struct bh_cli *cli)
{
	bool terminal = isatty(fileno(cli->writer.out));
	enum bh_view view;
	int code;

	if (view_parse(cli, &view) < 0)
		return BH_EXIT_USAGE;
	if (!cli->option[BH_OPTION_WATCH])
		return status_once(cli, view);
	cli->writer.compact = true;
	for (;;) {
		if (terminal && !cli->writer.json)
			fputs("\033[H\033[2J", cli->writer.out);
		code = status_once(cli, view);
		if (ferror(cli->writer.out) || code == BH_EXIT_DENIED || code == BH_EXIT_USAGE)
			return code;
		sleep(WATCH_SECONDS);
	}
}
