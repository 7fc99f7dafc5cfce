/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper.h"

#include <bulkhead/confine.h>
#include <bulkhead/pass.h>
#include <bulkhead/reports.h>
#include <bulkhead/runtime.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LINK_FD 3	/* of a child: to the daemon; the one after it to the keeper, or to accept on */
#define HIGH_FD 16	/* above what a child gets by number */

static const char *const PROGRAMS[BH_ROLE_MAX] = {
	[BH_ROLE_RUNTIME] = "bulkhead-runtime",
	[BH_ROLE_CONTROL] = "bulkhead-control",
	[BH_ROLE_REPORTS] = "bulkhead-reports",
};

struct child {
	int pidfd;
	int door;	/* the keeper's end, or -1 */
};

struct keeper {
	const struct bh_options *options;
	int fd;				/* to the daemon */
	int programs[BH_ROLE_MAX];
	BH_VEC(struct child) runtimes;	/* by index */
	struct child control, reports[BH_REPORTS_VERIFIED + 1];	/* by enum bh_reports_kind */
};

struct request {
	uint8_t role;
	uint32_t index;
	char dir[PATH_MAX];	/* of reports; ends with a NUL */
};

/* Beside ourselves, as in a build, or where they are installed. Opened once, so that an upgrade underneath changes nothing before a restart. */
static int program_open(const char *name, struct bh_error *err)
{
	char own[PATH_MAX], path[PATH_MAX + 32];
	ssize_t n = readlink("/proc/self/exe", own, sizeof(own) - 1);
	char *slash;
	int fd = -1;

	if (n > 0) {
		own[n] = '\0';
		slash = strrchr(own, '/');
		if (slash) {
			slash[1] = '\0';
			snprintf(path, sizeof(path), "%s%s", own, name);
			fd = open(path, O_RDONLY | O_CLOEXEC);
		}
	}
	if (fd < 0) {
		snprintf(path, sizeof(path), "%s/%s", BULKHEAD_LIBEXEC, name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	return fd < 0 ? bh_fail(err, -errno, "%s: %s: install bulkhead whole", path, strerror(errno)) : fd;
}

/* In the new process. FDS become its descriptors from LINK_FD on; PROGRAM takes its place, with a fresh address space. */
static void __attribute__((noreturn)) child_run(int program, const char *name, const char *arg, const char *more, const int *fds, size_t n)
{
	char *const argv[] = {(char *)(uintptr_t)name, (char *)(uintptr_t)arg, (char *)(uintptr_t)more, NULL};
	int high[BH_PASS_MAX];

	program = fcntl(program, F_DUPFD_CLOEXEC, HIGH_FD);
	for (size_t i = 0; i < n; i++)
		high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, HIGH_FD);
	for (size_t i = 0; i < n; i++)
		if (dup2(high[i], LINK_FD + (int)i) < 0)
			_exit(1);
	fexecve(program, argv, environ);
	fprintf(stderr, "bulkheadd: cannot start %s: %s\n", name, strerror(errno));
	_exit(1);
}

static void child_end(struct child *c)
{
	if (c->pidfd >= 0)
		(void)syscall(SYS_pidfd_send_signal, c->pidfd, SIGKILL, NULL, 0);	/* gone already, most of the time */
	bh_closep(&c->pidfd);
	bh_closep(&c->door);
	*c = (struct child){-1, -1};
}

/* LINK is the daemon's: closed by its caller, so that a start that fails is an end that is seen. */
static void runtime_start(struct keeper *k, size_t index, int link)
{
	struct child *c = &k->runtimes.v[index];
	int door[2];
	pid_t pid;

	child_end(c);
	if (bh_pass_pair(SOCK_SEQPACKET, door) < 0)
		return;
	pid = fork();
	if (pid == 0)
		child_run(k->programs[BH_ROLE_RUNTIME], PROGRAMS[BH_ROLE_RUNTIME], k->options->runtimes.v[index].socket, NULL,
			(int[]){link, door[1]}, 2);
	close(door[1]);
	if (pid > 0) {
		c->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
		c->door = door[0];
	} else {
		close(door[0]);
	}
}

static void control_start(struct keeper *k, const int fds[2])
{
	pid_t pid;

	child_end(&k->control);
	pid = fork();
	if (pid == 0)
		child_run(k->programs[BH_ROLE_CONTROL], PROGRAMS[BH_ROLE_CONTROL], NULL, NULL, fds, 2);
	if (pid > 0)
		k->control.pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
}

static void reports_start(struct keeper *k, uint32_t kind, const char *dir, int link)
{
	struct child *c = &k->reports[kind];
	pid_t pid;

	child_end(c);
	pid = fork();
	if (pid == 0)
		child_run(k->programs[BH_ROLE_REPORTS], PROGRAMS[BH_ROLE_REPORTS], dir, bh_reports_kind_name((enum bh_reports_kind)kind), &link, 1);
	if (pid > 0)
		c->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
}

/* What the daemon asks. False: it has gone. */
static bool on_daemon(struct keeper *k)
{
	int fds[BH_PASS_MAX];
	struct request q;
	size_t n_fds;
	ssize_t n = bh_pass_receive(k->fd, &q, sizeof(q), fds, &n_fds);

	if (n == sizeof(q) && q.role == BH_ROLE_RUNTIME && q.index < k->runtimes.n && n_fds == 1)
		runtime_start(k, q.index, fds[0]);
	else if (n == sizeof(q) && q.role == BH_ROLE_CONTROL && n_fds == 2)
		control_start(k, fds);
	else if (n == sizeof(q) && q.role == BH_ROLE_REPORTS && q.index <= BH_REPORTS_VERIFIED && memchr(q.dir, '\0', sizeof(q.dir)) && n_fds == 1)
		reports_start(k, q.index, q.dir, fds[0]);
	bh_pass_close(fds, BH_PASS_MAX);
	return n > 0;
}

static void on_door(struct keeper *k, size_t index)
{
	const struct bh_door d = bh_door_opening(k->options->runtimes.v[index].socket);

	if (bh_door_answer(&d, k->runtimes.v[index].door) <= 0)
		bh_closep(&k->runtimes.v[index].door);
}

static void keeper_loop(struct keeper *k)
{
	size_t n = k->runtimes.n;
	struct pollfd *p = calloc(n + 1, sizeof(*p));

	while (p) {
		p[n] = (struct pollfd){.fd = k->fd, .events = POLLIN};
		for (size_t i = 0; i < n; i++)
			p[i] = (struct pollfd){.fd = k->runtimes.v[i].door, .events = POLLIN};
		if (poll(p, n + 1, -1) < 0)
			continue;
		for (size_t i = 0; i < n; i++)
			if (p[i].revents)
				on_door(k, i);
		if (p[n].revents && !on_daemon(k))
			break;
	}
	free(p);
}

/* Nothing of the daemon's but the way to it and the programs: what systemd keeps for it would live on in a copy. */
static void __attribute__((noreturn)) keeper_run(struct keeper *k)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), at = 3;
	struct bh_error err = {0};
	int keep[BH_ROLE_MAX + 1];

	(void)prctl(PR_SET_NAME, "bulkhead-keeper");
	(void)signal(SIGCHLD, SIG_IGN);	/* children are reaped by the kernel, and known by pidfds */
	(void)unsetenv("NOTIFY_SOCKET");
	(void)unsetenv("WATCHDOG_PID");
	(void)unsetenv("WATCHDOG_USEC");
	(void)unsetenv("LISTEN_PID");
	(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("LISTEN_FDNAMES");
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
		_exit(1);
	for (int i = 0; i < BH_ROLE_MAX; i++)
		keep[i] = k->programs[i];
	keep[BH_ROLE_MAX] = k->fd;
	/* in order, with everything between them closed */
	for (int next; at >= 0; at = next < 0 ? -1 : next + 1) {
		next = -1;
		for (size_t i = 0; i < BH_ARRAY_SIZE(keep); i++)
			if (keep[i] >= at && (next < 0 || keep[i] < next))
				next = keep[i];
		if (next != at)
			(void)close_range((unsigned)at, next < 0 ? UINT_MAX : (unsigned)next - 1, 0);
	}
	for (size_t i = 0; i < k->options->runtimes.n; i++)
		if (bh_vec_push(&k->runtimes, ((struct child){-1, -1})) < 0)
			_exit(1);
	if (bh_confine_privileges(false, &err) < 0 || bh_confine_calls(BH_CALLS_KEEPER, &err) < 0) {
		fprintf(stderr, "bulkheadd: %s\n", err.msg);
		_exit(1);
	}
	keeper_loop(k);
	bh_vec_foreach(c, &k->runtimes)
		child_end(c);
	child_end(&k->control);
	for (int i = 0; i <= BH_REPORTS_VERIFIED; i++)
		child_end(&k->reports[i]);
	_exit(0);
}

int bh_keeper_start(const struct bh_options *o, int *ret, struct bh_error *err)
{
	struct keeper k = {.options = o, .control = {-1, -1}, .reports = {{-1, -1}, {-1, -1}}};
	int pair[2], r;
	pid_t pid;

	for (int i = 0; i < BH_ROLE_MAX; i++)
		k.programs[i] = -1;
	for (int i = 0; i < BH_ROLE_MAX; i++) {
		k.programs[i] = program_open(PROGRAMS[i], err);
		if (k.programs[i] < 0) {
			r = k.programs[i];
			bh_pass_close(k.programs, BH_ROLE_MAX);
			return r;
		}
	}
	r = bh_pass_pair(SOCK_SEQPACKET, pair);
	if (r < 0) {
		bh_pass_close(k.programs, BH_ROLE_MAX);
		return bh_fail(err, r, "socketpair: %s", strerror(-r));
	}
	pid = fork();
	if (pid == 0) {
		k.fd = pair[1];
		keeper_run(&k);
	}
	r = pid < 0 ? bh_fail(err, -errno, "fork: %s", strerror(errno)) : 0;
	bh_pass_close(k.programs, BH_ROLE_MAX);
	close(pair[1]);
	if (r < 0)
		close(pair[0]);
	else
		*ret = pair[0];
	return r;
}

int bh_keeper_spawn(int keeper, enum bh_role role, size_t index, const char *dir, int listen_fd)
{
	struct request q;
	int pair[2], r;

	if (dir && strlen(dir) >= sizeof(q.dir))
		return -ENAMETOOLONG;
	r = bh_pass_pair(role == BH_ROLE_REPORTS ? SOCK_SEQPACKET : SOCK_STREAM, pair);
	if (r < 0)
		return r;
	memset(&q, 0, sizeof(q));	/* the bytes between, too */
	q.role = (uint8_t)role;
	q.index = (uint32_t)index;
	if (dir)
		strcpy(q.dir, dir);
	r = bh_pass_send(keeper, &q, sizeof(q), (int[]){pair[1], listen_fd}, listen_fd >= 0 ? 2 : 1);
	close(pair[1]);
	if (r < 0) {
		close(pair[0]);
		return r;
	}
	return pair[0];
}
