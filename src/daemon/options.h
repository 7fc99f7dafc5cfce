/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BULKHEAD_DAEMON_OPTIONS_H
#define BULKHEAD_DAEMON_OPTIONS_H

#include <bulkhead/mem.h>

#define BH_CONFIG_FILE "/etc/bulkhead/bulkhead.yaml"
#define BH_STATE_DIR "/var/lib/bulkhead"
#define BH_DOCKER_SOCKET "/run/docker.sock"

enum bh_action {
	BH_ACTION_RUN,
	BH_ACTION_ONCE,
	BH_ACTION_TEARDOWN,
	BH_ACTION_EXIT,		/* help or version was printed */
};

struct bh_runtime_option {
	const char *kind;	/* "docker" */
	const char *socket;
};

/* Strings are argv's or static. */
struct bh_options {
	enum bh_action action;
	const char *config, *socket, *state;
	const char *metrics;	/* "unix:PATH", "127.0.0.1:PORT" or "[::1]:PORT"; NULL: none */
	bool foreground;
	BH_VEC(struct bh_runtime_option) runtimes;	/* docker's default when none is given */
};

/* Reads the command line; what is wrong is told on stderr. 0, -EINVAL (exit status 2), -ENOMEM. */
int bh_options_parse(int argc, char **argv, struct bh_options *ret);
void bh_options_clear(struct bh_options *o);

#endif
