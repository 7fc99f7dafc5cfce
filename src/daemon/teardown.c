/* SPDX-License-Identifier: Apache-2.0 */
/* Takes everything of ours out of the kernel, whatever state it is in and whoever still runs. */
#include "lock.h"
#include "manager.h"

#include <bulkhead/fault.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TERM_MS 2000
#define KILL_MS 5000
#define OWNER_MS 15000	/* until a service manager has let go of the socket: it may start a daemon before, RestartSec= later */
#define OWNER_STEP_MS 50

static int send_signal(int pidfd, int sig)
{
	return (int)syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0);
}

static bool has_ended(int pidfd, int ms)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

/* Ends the holder of the lock: politely, then for good. A pidfd (pidfd_open(2), Linux 5.3) cannot hit another process that got
 * the number meanwhile; the lock is asked again after it is open, so that it is the holder's. */
static int end_daemon(pid_t pid, struct bh_error *err)
{
	_cleanup_close_ int fd = -1;
	struct bh_lock lock = { .fd = -1 };
	pid_t again = 0;

	if (pid <= 0)
		return bh_fail(err, -ESRCH, "a bulkheadd runs in this network namespace, out of sight (another pid namespace): stop it there");
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0)
		return errno == ESRCH ? 0 : bh_fail(err, -errno, "cannot reach bulkheadd (pid %d): %s", (int)pid, strerror(errno));
	if (bh_lock_take(BH_LOCK_DIR, &lock, &again, NULL) == 0) {
		bh_lock_release(&lock, false);	/* it has gone by itself */
		return 0;
	}
	if (again != pid)
		return 0;	/* another one: the caller tries again */
	if (send_signal(fd, SIGTERM) == 0 && has_ended(fd, TERM_MS))
		return 0;
	if (send_signal(fd, SIGKILL) < 0 && errno != ESRCH)
		return bh_fail(err, -errno, "cannot end bulkheadd (pid %d): %s", (int)pid, strerror(errno));
	return has_ended(fd, KILL_MS) ? 0 : bh_fail(err, -ETIMEDOUT, "bulkheadd (pid %d) does not end", (int)pid);
}

/* The lock, so that no daemon puts things back meanwhile. */
static int take_over(struct bh_lock *ret, struct bh_error *err)
{
	for (int tries = 0; tries < 5; tries++) {
		struct bh_error busy = {0};
		pid_t holder = 0;
		int r = bh_lock_take(BH_LOCK_DIR, ret, &holder, &busy);

		if (r != -EBUSY)
			return r < 0 ? bh_fail(err, r, "%s", busy.msg) : 0;
		r = end_daemon(holder, err);
		if (r < 0)
			return r;
	}
	return bh_fail(err, -EBUSY, "bulkheadd is started again and again: systemctl stop bulkheadd, then try again");
}

/* Puts the bridge flags back that the kernel's memory sets name. */
static int flags_back(const struct bh_ruleset *seen, struct bh_tc *tc, struct bh_error *err)
{
	const struct bh_set *four = bh_table_set(&seen->tables[BH_FAMILY_INET], "nf_call4");
	const struct bh_set *six = bh_table_set(&seen->tables[BH_FAMILY_INET], "nf_call6");
	const struct bh_set *learned = bh_table_set(&seen->tables[BH_FAMILY_INET], "learned");
	_cleanup_(bh_host_freep) struct bh_host *host = NULL;
	int r;

	if (!(four && four->elems.n) && !(six && six->elems.n) && !(learned && learned->elems.n))
		return 0;
	r = tc->ops->host(tc, &host, err);
	if (r < 0)
		return r;
	bh_vec_foreach(l, &host->links) {
		uint8_t key[BH_KEY_MAX] = {0};
		bool off4, off6;
		int k = 0;

		memcpy(key, l->name, sizeof(l->name));
		off4 = four && bh_set_find(four, key);
		off6 = six && bh_set_find(six, key);
		if (off4 || off6)
			k = tc->ops->bridge_calls(tc, l->name, l->nf_call_iptables && !off4, l->nf_call_ip6tables && !off6, err);
		if (k == 0 && learned && bh_set_find(learned, key))
			k = tc->ops->bridge_learns(tc, l->name, true, err);
		if (k < 0 && k != -ENODEV && r == 0)
			r = k;
	}
	return r;
}

/* Deletes the tables. When they cannot be read (somebody put into them what we cannot), each is deleted unseen. */
static int tables_away(struct bh_nft *nft, const struct bh_ruleset *seen, struct bh_error *err)
{
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *nothing = calloc(1, sizeof(*nothing));
	_cleanup_(bh_plan_freep) struct bh_plan *plan = NULL;
	int r;

	if (!nothing)
		return bh_fail(err, -ENOMEM, "out of memory");
	if (seen) {
		r = bh_diff(nothing, seen, &plan);
		if (r == 0 && plan->changes.n > 0)
			r = nft->ops->apply(nft, plan, err);
		return r;
	}
	for (enum bh_family f = 0; f < BH_FAMILY_MAX; f++) {
		_cleanup_(bh_ruleset_freep) struct bh_ruleset *one = calloc(1, sizeof(*one));
		_cleanup_(bh_plan_freep) struct bh_plan *single = NULL;

		if (!one)
			return bh_fail(err, -ENOMEM, "out of memory");
		one->tables[f].present = true;
		r = bh_diff(nothing, one, &single);
		if (r == 0)
			r = nft->ops->apply(nft, single, NULL);
		if (r < 0 && r != -ENOENT)
			return bh_fail(err, r, "cannot delete a table: %s", strerror(-r));
	}
	return 0;
}

static int shape_away(struct bh_tc *tc, struct bh_error *err)
{
	_cleanup_(bh_shape_freep) struct bh_shape *seen = NULL, *nothing = calloc(1, sizeof(*nothing));
	int r;

	if (!nothing)
		return bh_fail(err, -ENOMEM, "out of memory");
	r = tc->ops->observe(tc, &seen, err);
	return r < 0 ? r : tc->ops->apply(tc, nothing, seen, err);
}

int bh_teardown_kernel(struct bh_nft *nft, struct bh_tc *tc, struct bh_error *err)
{
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *seen = NULL;
	int first, r;

	/* The flags before the tables: only these remember them. The rules that send packets into the trees before the trees. */
	if (nft->ops->observe(nft, &seen, NULL) < 0)
		seen = NULL;
	/* What cannot be deleted keeps what it needs to work. */
	if (seen && (r = bh_owner_check(seen, err)) < 0)
		return r;
	BH_FAULT("teardown-begin");
	first = seen ? flags_back(seen, tc, err) : 0;
	BH_FAULT("teardown-flags");
	r = tables_away(nft, seen, err);
	BH_FAULT("teardown-tables");
	first = first < 0 ? first : r;
	r = shape_away(tc, err);
	BH_FAULT("teardown-trees");
	return first < 0 ? first : r;
}

/* The daemon has gone, but the socket that owns the tables may be kept beside it: it is let go by the daemon that we ended, or by the
 * next one that the service manager starts, or by the manager, when the unit has stopped for good. */
static void wait_for_owner(struct bh_nft *nft)
{
	for (int ms = 0; ms < OWNER_MS; ms += OWNER_STEP_MS) {
		_cleanup_(bh_ruleset_freep) struct bh_ruleset *seen = NULL;

		if (nft->ops->observe(nft, &seen, NULL) < 0 || bh_owner_check(seen, NULL) == 0)
			return;
		(void)poll(NULL, 0, OWNER_STEP_MS);
	}
}

int bh_teardown(const char *socket, struct bh_error *err)
{
	_cleanup_(bh_nft_freep) struct bh_nft *nft = NULL;
	_cleanup_(bh_tc_freep) struct bh_tc *tc = NULL;
	_cleanup_free_ char *unfinished = NULL;
	struct bh_lock lock = { .fd = -1 };
	int r;

	(void)bh_lock_mark(BH_LOCK_DIR, true);	/* without a folder there is no daemon that could see it */
	r = take_over(&lock, err);
	if (r == 0)
		r = bh_tc_new(&tc, err);
	if (r == 0)
		r = bh_nft_new(&nft, err);
	if (r == 0) {
		wait_for_owner(nft);
		r = bh_teardown_kernel(nft, tc, err);
	}
	(void)bh_lock_mark(BH_LOCK_DIR, false);
	if (lock.fd >= 0) {
		(void)unlink(socket);	/* what a killed daemon leaves; often not there */
		if (asprintf(&unfinished, "%s.new", socket) >= 0)
			(void)unlink(unfinished);
		else
			unfinished = NULL;
	}
	bh_lock_release(&lock, true);
	(void)rmdir(BH_LOCK_DIR);	/* only when nothing else is in it */
	return r;
}
