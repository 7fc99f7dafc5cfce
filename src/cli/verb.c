/* SPDX-License-Identifier: Apache-2.0 */
#include "completion.h"
#include "verb.h"

#include <bulkhead/control.h>

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

static const struct bh_verb VERBS[] = {
	{ "status", "[zones|containers|rules|drops]", "what is enforced, read from the kernel", 1u << BH_OPTION_WATCH, 1, bh_verb_status },
	{ "check", "[FILE...]", "is a configuration valid, do its expectations hold", 0, -1, bh_verb_check },
	{ "test", "[FILE]", "which zone may open what on which, and do the expectations hold", 0, 1, bh_verb_test },
	{ "plan", "[FILE]", "what a reload would change", 0, 1, bh_verb_plan },
	{ "prove", "", "packets between throw-away endpoints of each pair of zones: as configured?", 0, 0, bh_verb_prove },
	{ "explain", "SRC DST [PROTO/PORT]", "what becomes of a connection, and why", 1u << BH_OPTION_CONFIG, 3, bh_verb_explain },
	{ "reload", "", "load the configuration again, or refuse it", 1u << BH_OPTION_CONFIRM, 0, bh_verb_reload },
	{ "confirm", "", "keep what reload --confirm has loaded", 0, 0, bh_verb_confirm },
	{ "why", "NAME", "what a container was denied, and what to write to allow it", 0, 1, bh_verb_why },
	{ "suggest", "", "a configuration that allows what was denied, or would have been", 0, 0, bh_verb_suggest },
	{ "drops", "", "denied packets by name", 1u << BH_OPTION_FOLLOW, 0, bh_verb_drops },
	{ "events", "", "what the daemon saw and did lately", 1u << BH_OPTION_FOLLOW, 0, bh_verb_events },
	{ "top", "", "live: who talks to whom, rates beside caps, what is denied", 0, 0, bh_verb_top },
	{ "graph", "[FILE]", "the zones and what may flow, of the daemon or of a file; --live: what has flowed", 1u << BH_OPTION_FORMAT | 1u << BH_OPTION_LIVE, 1, bh_verb_graph },
	{ "quarantine", "NAME", "no traffic for a container, at once", 1u << BH_OPTION_FOR, 1, bh_verb_quarantine },
	{ "release", "NAME", "end a quarantine by hand", 0, 1, bh_verb_release },
	{ "allow", "FROM TO PORT...", "open ports between two zones for a time", 1u << BH_OPTION_FOR, -1, bh_verb_allow },
	{ "lockdown", "", "no traffic for any container, at once", 0, 0, bh_verb_lockdown },
	{ "unlock", "", "end a lockdown", 0, 0, bh_verb_unlock },
	{ "export", "", "the rules that the kernel holds, as text for nft", 1u << BH_OPTION_NFT, 0, bh_verb_export },
	{ "doctor", "", "is this host hardened: kernel, Docker, files, patches, firewalls", 1u << BH_OPTION_DOCKER | 1u << BH_OPTION_CONFIG | 1u << BH_OPTION_SKIP, 0, bh_verb_doctor },
	{ "scan", "", "what stands open on this Docker host, with or without bulkhead", 1u << BH_OPTION_DOCKER, 0, bh_verb_scan },
};

enum {
	OPT_SOCKET = 1000,
	OPT_JSON,
	OPT_HELP,
	OPT_VERSION,
	OPT_COMPLETION,
};

static const struct option OPTIONS[] = {
	{ "watch", no_argument, NULL, BH_OPTION_WATCH },
	{ "nft", no_argument, NULL, BH_OPTION_NFT },
	{ "docker", required_argument, NULL, BH_OPTION_DOCKER },
	{ "confirm", required_argument, NULL, BH_OPTION_CONFIRM },
	{ "for", required_argument, NULL, BH_OPTION_FOR },
	{ "follow", no_argument, NULL, BH_OPTION_FOLLOW },
	{ "format", required_argument, NULL, BH_OPTION_FORMAT },
	{ "live", no_argument, NULL, BH_OPTION_LIVE },
	{ "config", required_argument, NULL, BH_OPTION_CONFIG },
	{ "skip", required_argument, NULL, BH_OPTION_SKIP },
	{ "socket", required_argument, NULL, OPT_SOCKET },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ "completion", required_argument, NULL, OPT_COMPLETION },
	{ 0 },
};

/* What the value of an option is called, NULL where it takes none. */
static const char *const OPTION_VALUES[BH_OPTION_MAX] = {
	[BH_OPTION_CONFIRM] = "TIME",
	[BH_OPTION_FOR] = "TIME",
	[BH_OPTION_WATCH] = NULL,
	[BH_OPTION_NFT] = NULL,
	[BH_OPTION_DOCKER] = "SOCKET",
	[BH_OPTION_FOLLOW] = NULL,
	[BH_OPTION_FORMAT] = "dot|svg|json",
	[BH_OPTION_LIVE] = NULL,
	[BH_OPTION_CONFIG] = "FILE",
	[BH_OPTION_SKIP] = "CHECK[,CHECK]",
};

static const char *option_name(enum bh_option o)
{
	for (const struct option *k = OPTIONS; k->name; k++)
		if (k->val == (int)o)
			return k->name;
	return "";
}

static void help_options(FILE *out, unsigned options)
{
	for (enum bh_option o = 0; o < BH_OPTION_MAX; o++)
		if (options & 1u << o)
			fprintf(out, " [--%s%s%s]", option_name(o), OPTION_VALUES[o] ? " " : "", OPTION_VALUES[o] ? OPTION_VALUES[o] : "");
}

static void help(FILE *out)
{
	fprintf(out, "usage: bulkhead VERB [ARGUMENT...] [OPTION...]\n\n");
	for (size_t i = 0; i < BH_ARRAY_SIZE(VERBS); i++) {
		const struct bh_verb *v = &VERBS[i];

		fprintf(out, "  %s%s%s", v->name, *v->args ? " " : "", v->args);
		help_options(out, v->options);
		fprintf(out, "\n      %s\n", v->help);
	}
	fprintf(out,
		"\n"
		"  --socket PATH  the daemon's socket (or $BULKHEAD_SOCKET; default\n"
		"                 " BH_CONTROL_SOCKET ")\n"
		"  --json         print JSON\n"
		"  --help, --version\n"
		"  --completion SHELL  what bash, zsh or fish needs to complete all this\n"
		"\n"
		"Exit status: 0 as wished, 1 the verb's no, 2 wrong usage or refused, 3 the daemon\n"
		"is not running, 4 not permitted.\n");
}

void bh_cli_error(struct bh_cli *cli, const char *fmt, ...)
{
	_cleanup_free_ char *raw = NULL;
	_cleanup_buf_ struct bh_buf safe = {0};
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&raw, fmt, ap) < 0)
		raw = NULL;
	va_end(ap);
	bh_buf_put_safe(&safe, raw ? raw : "out of memory", 4096);
	fprintf(cli->err, "bulkhead: %s\n", safe.s ? safe.s : "out of memory");
}

/* What a failed call is for the caller; told unless QUIET. */
static int call_failed(struct bh_cli *cli, int r, const char *code, bool quiet, const struct bh_error *err)
{
	if (!quiet) {
		/* The diagnostics of a refused configuration have lines of their own; control has made them safe. */
		if (strchr(err->msg, '\n'))
			fprintf(cli->err, "%s\n", err->msg);
		else
			bh_cli_error(cli, "%s", err->msg);
	}
	switch (r) {
	case -EACCES:
		return BH_EXIT_DENIED;
	case -EBADMSG:
		return strcmp(code, "failed") == 0 ? 1 : BH_EXIT_USAGE;
	case -ENAMETOOLONG:
		return BH_EXIT_USAGE;
	default:	/* absent, hung or gone half-way */
		return BH_EXIT_NO_DAEMON;
	}
}

int bh_cli_ask(struct bh_cli *cli, const char *verb, json_t *arguments, int timeout_ms, json_t **ret, bool quiet, struct bh_error *err)
{
	json_t *request = json_pack("{s:i, s:s}", "version", 1, "verb", verb);
	char code[16] = "";
	int r = request && (!arguments || json_object_update_missing(request, arguments) == 0) ? bh_control_call(cli->socket, request, timeout_ms, ret, code, err) : bh_fail(err, -ENOMEM, "out of memory");

	json_decref(arguments);
	json_decref(request);
	return r == 0 ? BH_EXIT_OK : call_failed(cli, r, code, quiet, err);
}

struct following {
	struct bh_cli *cli;
	bh_text_fn text;
};

static bool on_line(void *userdata, const json_t *result)
{
	struct following *f = userdata;

	return bh_writer_put(&f->cli->writer, result, f->text, NULL) == 0 && fflush(f->cli->writer.out) == 0;
}

int bh_cli_follow(struct bh_cli *cli, const char *verb, bh_text_fn text)
{
	json_t *request = json_pack("{s:i, s:s, s:b}", "version", 1, "verb", verb, "follow", 1);
	struct following f = {.cli = cli, .text = text};
	struct bh_error err = {0};
	char code[16] = "";
	int r;

	cli->writer.compact = true;
	r = request ? bh_control_follow(cli->socket, request, on_line, &f, code, &err) : bh_fail(&err, -ENOMEM, "out of memory");
	json_decref(request);
	return r == 0 ? BH_EXIT_OK : call_failed(cli, r, code, false, &err);
}

static const struct bh_verb *verb_find(const char *name)
{
	for (size_t i = 0; i < BH_ARRAY_SIZE(VERBS); i++)
		if (strcmp(VERBS[i].name, name) == 0)
			return &VERBS[i];
	return NULL;
}

static int unknown_verb(struct bh_cli *cli, const char *name)
{
	const char *names[BH_ARRAY_SIZE(VERBS)], *near;

	for (size_t i = 0; i < BH_ARRAY_SIZE(VERBS); i++)
		names[i] = VERBS[i].name;
	near = bh_near(name, names, BH_ARRAY_SIZE(VERBS));
	if (near)
		bh_cli_error(cli, "no verb '%s': did you mean '%s'?", name, near);
	else
		bh_cli_error(cli, "no verb '%s': see bulkhead --help", name);
	return BH_EXIT_USAGE;
}

static int unknown_option(struct bh_cli *cli, const char *text)
{
	const char *names[BH_ARRAY_SIZE(OPTIONS) - 1], *near;

	for (size_t i = 0; i < BH_ARRAY_SIZE(names); i++)
		names[i] = OPTIONS[i].name;
	near = strncmp(text, "--", 2) == 0 ? bh_near(text + 2, names, BH_ARRAY_SIZE(names)) : NULL;
	if (near && strcmp(near, text + 2) == 0)
		bh_cli_error(cli, "--%s needs a value: see bulkhead --help", near);
	else if (near)
		bh_cli_error(cli, "wrong option '%s': did you mean '--%s'?", text, near);
	else
		bh_cli_error(cli, "wrong option '%s': see bulkhead --help", text);
	return BH_EXIT_USAGE;
}

static int run_verb(struct bh_cli *cli, int argc, char **argv)
{
	const struct bh_verb *verb;

	if (optind >= argc) {
		help(cli->err);
		return BH_EXIT_USAGE;
	}
	verb = verb_find(argv[optind]);
	if (!verb)
		return unknown_verb(cli, argv[optind]);
	cli->args = argv + optind + 1;
	cli->n_args = argc - optind - 1;
	if (verb->max_args >= 0 && cli->n_args > verb->max_args) {
		bh_cli_error(cli, "%s: '%s' is one argument too many: usage: bulkhead %s %s", verb->name,
			cli->args[verb->max_args], verb->name, verb->args);
		return BH_EXIT_USAGE;
	}
	for (enum bh_option o = 0; o < BH_OPTION_MAX; o++)
		if (cli->option[o] && !(verb->options & 1u << o)) {
			bh_cli_error(cli, "%s does not take --%s", verb->name, option_name(o));
			return BH_EXIT_USAGE;
		}
	return verb->run(cli);
}

int bh_cli_main(int argc, char **argv, FILE *out, FILE *err)
{
	const char *env = getenv("BULKHEAD_SOCKET");
	struct bh_cli cli = {
		.socket = env && *env ? env : BH_CONTROL_SOCKET,
		.writer = { .out = out, .colour = bh_writer_wants_colour(out) },
		.err = err,
	};
	int o;

	optind = 0;	/* getopt(3): starts over, for tests that call this twice */
	opterr = 0;
	while ((o = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1)
		switch (o) {
		case OPT_SOCKET:
			cli.socket = optarg;
			break;
		case OPT_JSON:
			cli.writer.json = true;
			break;
		case OPT_HELP:
			help(out);
			return fflush(out) == 0 ? BH_EXIT_OK : 1;
		case OPT_VERSION:
			fprintf(out, "bulkhead " BULKHEAD_VERSION "\n");
			return fflush(out) == 0 ? BH_EXIT_OK : 1;
		case OPT_COMPLETION:
			if (bh_completion_print(out, optarg, VERBS, BH_ARRAY_SIZE(VERBS), OPTIONS) == 0)
				return fflush(out) == 0 ? BH_EXIT_OK : 1;
			bh_cli_error(&cli, "no completion for '%s': bash, zsh or fish", optarg);
			return BH_EXIT_USAGE;
		default:
			if (o < 0 || o >= BH_OPTION_MAX)
				return unknown_option(&cli, argv[optind - 1]);
			cli.option[o] = optarg ? optarg : "";
		}
	return run_verb(&cli, argc, argv);
}
