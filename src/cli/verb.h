/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of the command and what each gets. A verb is a file; the table in verb.c is all that knows them. */
#ifndef BULKHEAD_CLI_VERB_H
#define BULKHEAD_CLI_VERB_H

#include "writer.h"

#include <bulkhead/error.h>
#include <bulkhead/near.h>

#define BH_CONFIG_FILE "/etc/bulkhead/bulkhead.yaml"

/* Exit codes that mean the same for every verb (SPEC section 4). 0 to 2 are the verb's own too. */
enum bh_exit {
	BH_EXIT_OK = 0,
	BH_EXIT_USAGE = 2,
	BH_EXIT_NO_DAEMON = 3,
	BH_EXIT_DENIED = 4,
};

/* Options that some verbs take, one bit each in bh_verb.options. */
enum bh_option {
	BH_OPTION_WATCH,
	BH_OPTION_NFT,
	BH_OPTION_DOCKER,
	BH_OPTION_CONFIRM,
	BH_OPTION_FOR,
	BH_OPTION_FOLLOW,
	BH_OPTION_FORMAT,
	BH_OPTION_LIVE,
	BH_OPTION_CONFIG,
	BH_OPTION_SKIP,
	BH_OPTION_MAX,
};

struct bh_cli {
	const char *socket;
	const char *option[BH_OPTION_MAX];	/* its value, "" for one that takes none; NULL: not given */
	char **args;		/* what follows the verb */
	int n_args;
	struct bh_writer writer;	/* standard output */
	FILE *err;
};

struct bh_verb {
	const char *name;
	const char *args;	/* as help shows them, or "" */
	const char *help;	/* one line */
	unsigned options;	/* 1u << enum bh_option */
	int max_args;		/* -1: any number */
	int (*run)(struct bh_cli *cli);	/* returns the exit code */
};

int bh_verb_status(struct bh_cli *cli);
int bh_verb_check(struct bh_cli *cli);
int bh_verb_plan(struct bh_cli *cli);
int bh_verb_reload(struct bh_cli *cli);
int bh_verb_confirm(struct bh_cli *cli);
int bh_verb_why(struct bh_cli *cli);
int bh_verb_suggest(struct bh_cli *cli);
int bh_verb_drops(struct bh_cli *cli);
int bh_verb_events(struct bh_cli *cli);
int bh_verb_quarantine(struct bh_cli *cli);
int bh_verb_release(struct bh_cli *cli);
int bh_verb_allow(struct bh_cli *cli);
int bh_verb_lockdown(struct bh_cli *cli);
int bh_verb_unlock(struct bh_cli *cli);
int bh_verb_export(struct bh_cli *cli);
int bh_verb_test(struct bh_cli *cli);
int bh_verb_scan(struct bh_cli *cli);
int bh_verb_doctor(struct bh_cli *cli);
int bh_verb_graph(struct bh_cli *cli);
int bh_verb_top(struct bh_cli *cli);
int bh_verb_explain(struct bh_cli *cli);
int bh_verb_prove(struct bh_cli *cli);

/* The whole command, for tests too: OUT and ERR are where it writes. Returns the exit code. */
int bh_cli_main(int argc, char **argv, FILE *out, FILE *err);

/* Prints "bulkhead: TEXT" as one line. */
void bh_cli_error(struct bh_cli *cli, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Asks the daemon for VERB with ARGUMENTS (an object, NULL: none; taken over); TIMEOUT_MS for the answer. On success BH_EXIT_OK and *RET is a new reference; otherwise the exit code that the
 * failure means, told on ERR if not QUIET. */
int bh_cli_ask(struct bh_cli *cli, const char *verb, json_t *arguments, int timeout_ms, json_t **ret, bool quiet, struct bh_error *err);

/* check.c: the diagnostics of a configuration and its failed expectations, for --json. NULL for no memory. */
struct bh_diags;
struct bh_expect_failures;
json_t *bh_diags_json(const struct bh_diags *diags, const struct bh_expect_failures *failures);

/* The value of option O, which was given, in seconds: 1 to MAX. BH_EXIT_OK, or the exit code with the error told. */
int bh_cli_duration(struct bh_cli *cli, enum bh_option o, uint64_t max, uint64_t *ret);
/* "1h30m", the two largest units. */
#define BH_DURATION_TEXT 48
const char *bh_duration_text(uint64_t seconds, char buf[BH_DURATION_TEXT]);

/* The main file at PATH and its conf.d as the argument "config" of a request (see bh_given_policy() of the daemon): read with the rights of who
 * asks, and only if it is valid. BH_EXIT_OK with a new reference, or the exit code with everything said on ERR. */
int bh_cli_texts(struct bh_cli *cli, const char *path, json_t **ret);

/* posture.c: the conditions that fail of a document's `posture`, each with what to set; nothing for null. */
void bh_text_failed(struct bh_writer *w, const char *label, const json_t *posture);

/* Asks for VERB and draws each line of the answer by TEXT as it comes (--json: each on a line). Ends when the daemon does or standard output takes no more;
 * returns the exit code, BH_EXIT_OK for the latter. */
int bh_cli_follow(struct bh_cli *cli, const char *verb, bh_text_fn text);

#endif
