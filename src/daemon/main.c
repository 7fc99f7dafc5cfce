/* SPDX-License-Identifier: Apache-2.0 */
#include "confined.h"
#include "keeper.h"
#include "kept.h"
#include "lock.h"
#include "manager.h"
#include "metrics.h"
#include "options.h"

#include <bulkhead/fault.h>

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

static void eventp(sd_event **e)
{
	sd_event_unref(*e);
}

/* Before anything is opened: nothing that runs later can gain more than we have, signals come through the loop. */
static int prepare_process(void)
{
	sigset_t set;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	/* What one look at ten thousand containers takes goes back to the system: glibc would raise these by itself and keep it. */
	(void)mallopt(M_MMAP_THRESHOLD, 256 * 1024);
	(void)mallopt(M_TRIM_THRESHOLD, 512 * 1024);
	signal(SIGPIPE, SIG_IGN);
	umask(0077);
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	return sigprocmask(SIG_BLOCK, &set, NULL) < 0 ? -errno : 0;
}

static int add_runtimes(struct bh_manager *m, const struct bh_options *o, int keeper, struct bh_error *err)
{
	bh_vec_foreach(rt, &o->runtimes) {
		int r = bh_manager_add_docker(m, rt->socket, keeper, err);	/* the one kind that options accept */

		if (r < 0)
			return r;
	}
	return 0;
}

/* The daemon's life, from top to bottom. Returns the exit status of the loop, or -errno. */
static int run(const struct bh_options *o, struct bh_error *err)
{
	_cleanup_(bh_manager_freep) struct bh_manager *m = NULL;
	_cleanup_(bh_metrics_freep) struct bh_metrics *metrics = NULL;
	_cleanup_(eventp) sd_event *event = NULL;
	struct bh_manager_parts parts = { 0 };
	struct bh_lock lock = { .fd = -1 };
	struct bh_error unserved = { 0 };
	_cleanup_close_ int keeper = -1;
	pid_t holder;
	int r;

	r = bh_lock_take(BH_LOCK_DIR, &lock, &holder, err);	/* held until the process ends */
	if (r == -EBUSY && bh_lock_is_marked(BH_LOCK_DIR)) {
		bh_kept_drop();
		fprintf(stderr, "bulkheadd: not started: bulkheadd --teardown is at work\n");
		return 0;	/* an end that systemd does not mend */
	}
	if (r < 0)
		return r;
	(void)bh_lock_mark(BH_LOCK_DIR, false);	/* of a teardown that was killed */
	BH_FAULT("start-locked");
	r = bh_keeper_start(o, &keeper, err);
	if (r < 0)
		return r;
	r = sd_event_default(&event);
	if (r < 0)
		return bh_fail(err, r, "event loop: %s", strerror(-r));
	parts.log = bh_log_open(o->foreground);
	r = bh_manager_parts_open(&parts, err);
	if (r < 0)
		return r;
	BH_FAULT("start-opened");
	parts.config_path = o->config;
	parts.state_dir = o->state;
	parts.keeper = keeper;
	parts.once = o->action == BH_ACTION_ONCE;
	r = bh_manager_new(event, &parts, &m, err);
	if (r < 0)
		return r;
	bh_log(&m->log, LOG_INFO, BH_EVENT_START, "bulkheadd " BULKHEAD_VERSION " starts");
	m->access_waits = true;
	r = bh_manager_load_first(m);
	if (r < 0)
		return bh_fail(err, r, "out of memory");
	r = add_runtimes(m, o, keeper, err);
	if (r < 0)
		return r;
	/* The kernel is closed, or found closed, before anybody is asked anything. */
	bh_manager_run(m);
	if (!parts.once)
		r = bh_manager_listen(m, o->socket, err);
	BH_FAULT("start-listening");
	/* nobody is left without rules because nobody can count them */
	if (r == 0 && o->metrics && !parts.once && bh_metrics_new(m, o->metrics, &metrics, &unserved) < 0)
		bh_log(&m->log, LOG_ERR, BH_EVENT_START, "%s", unserved.msg);
	if (r == 0)
		r = bh_manager_add_signals(m, err);
	if (r == 0)
		r = bh_manager_watch_keeper(m, keeper, err);
	if (r == 0)
		r = bh_daemon_confine(o, m->config.policy ? m->config.policy->log.file : NULL, &m->log, err);
	if (r == 0) {
		m->access_waits = false;
		bh_access_follow(m);
	}
	if (r == 0)
		r = bh_manager_start(m, err);
	if (r < 0)
		return r;
	(void)sd_event_set_watchdog(event, true);	/* where systemd wants one */
	return sd_event_loop(event);
}

int main(int argc, char **argv)
{
	struct bh_options o;
	struct bh_error err = { 0 };
	int r = bh_options_parse(argc, argv, &o);

	if (r < 0)
		return 2;
	if (o.action == BH_ACTION_EXIT) {
		bh_options_clear(&o);
		return 0;
	}
	if (geteuid() != 0) {
		fprintf(stderr, "bulkheadd: needs root\n");
		return 4;
	}
	r = prepare_process();
	if (r < 0)
		bh_fail(&err, r, "cannot prepare: %s", strerror(-r));
	else if (o.action == BH_ACTION_TEARDOWN)
		r = bh_teardown(o.socket, &err);
	else
		r = run(&o, &err);
	if (r < 0)
		fprintf(stderr, "bulkheadd: %s\n", err.msg[0] ? err.msg : strerror(-r));
	bh_options_clear(&o);
	return r < 0 ? 1 : r;
}
