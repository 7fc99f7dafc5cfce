/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics.h"
#include "options.h"

#include <bulkhead/control.h>

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

static void help(void)
{
	printf("usage: bulkheadd [OPTION...]\n\n"
	       "  --config FILE          the configuration (" BH_CONFIG_FILE ")\n"
	       "  --socket PATH          the control socket (" BH_CONTROL_SOCKET ")\n"
	       "  --state DIR            where the last good configuration is kept\n"
	       "                         (" BH_STATE_DIR ")\n"
	       "  --runtime KIND=SOCKET  a container runtime; may be repeated\n"
	       "                         (docker=" BH_DOCKER_SOCKET ")\n"
	       "  --metrics WHERE        serve Prometheus: unix:PATH, 127.0.0.1:PORT or [::1]:PORT\n"
	       "  --foreground           log to stderr instead of the journal\n"
	       "  --once                 bring the kernel in line once, and exit\n"
	       "  --teardown             remove everything of bulkhead from the kernel, and exit;\n"
	       "                         ends a daemon that runs in this network namespace\n"
	       "  --version, --help\n");
}

/* "docker=/run/docker.sock" */
static int runtime_parse(struct bh_options *o, char *arg)
{
	struct bh_runtime_option r = { .kind = arg };
	char *eq = strchr(arg, '=');

	if (!eq || eq == arg || eq[1] != '/') {
		fprintf(stderr, "bulkheadd: --runtime wants KIND=SOCKET, such as docker=" BH_DOCKER_SOCKET ", not '%s'\n", arg);
		return -EINVAL;
	}
	*eq = '\0';
	if (strcmp(arg, "docker") != 0) {
		fprintf(stderr, "bulkheadd: no runtime '%s': this version knows docker\n", arg);
		return -EINVAL;
	}
	r.socket = eq + 1;
	return bh_vec_push(&o->runtimes, r);
}

static int parse(int argc, char **argv, struct bh_options *o)
{
	enum { CONFIG = 1000, SOCKET, STATE, RUNTIME, METRICS, FOREGROUND, ONCE, TEARDOWN, VERSION, HELP };
	static const struct option options[] = {
		{ "config", required_argument, NULL, CONFIG }, { "socket", required_argument, NULL, SOCKET },
		{ "state", required_argument, NULL, STATE }, { "runtime", required_argument, NULL, RUNTIME },
		{ "metrics", required_argument, NULL, METRICS },
		{ "foreground", no_argument, NULL, FOREGROUND }, { "once", no_argument, NULL, ONCE },
		{ "teardown", no_argument, NULL, TEARDOWN }, { "version", no_argument, NULL, VERSION },
		{ "help", no_argument, NULL, HELP }, { 0 },
	};
	int c, r = 0;

	optind = 0;
	while (r == 0 && (c = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (c) {
		case CONFIG:
			o->config = optarg;
			break;
		case SOCKET:
			o->socket = optarg;
			break;
		case STATE:
			o->state = optarg;
			break;
		case RUNTIME:
			r = runtime_parse(o, optarg);
			break;
		case METRICS:
			if (bh_metrics_where(optarg, NULL) < 0) {
				fprintf(stderr, "bulkheadd: --metrics wants unix:PATH, 127.0.0.1:PORT or [::1]:PORT, not '%s'\n", optarg);
				return -EINVAL;
			}
			o->metrics = optarg;
			break;
		case FOREGROUND:
			o->foreground = true;
			break;
		case ONCE:
			o->action = BH_ACTION_ONCE;
			break;
		case TEARDOWN:
			o->action = BH_ACTION_TEARDOWN;
			break;
		case VERSION:
			printf("bulkheadd " BULKHEAD_VERSION "\n");
			o->action = BH_ACTION_EXIT;
			return 0;
		case HELP:
			help();
			o->action = BH_ACTION_EXIT;
			return 0;
		default:
			return -EINVAL;	/* getopt has told */
		}
	if (r == 0 && optind < argc) {
		fprintf(stderr, "bulkheadd: '%s' is no option: see bulkheadd --help\n", argv[optind]);
		return -EINVAL;
	}
	return r;
}

int bh_options_parse(int argc, char **argv, struct bh_options *ret)
{
	const struct bh_runtime_option docker = { "docker", BH_DOCKER_SOCKET };
	struct bh_options o = { .config = BH_CONFIG_FILE, .socket = BH_CONTROL_SOCKET, .state = BH_STATE_DIR };
	int r = parse(argc, argv, &o);

	if (r == 0 && o.runtimes.n == 0)
		r = bh_vec_push(&o.runtimes, docker);
	if (r < 0) {
		bh_options_clear(&o);
		return r;
	}
	*ret = o;
	return 0;
}

void bh_options_clear(struct bh_options *o)
{
	bh_vec_clear(&o->runtimes);
}
