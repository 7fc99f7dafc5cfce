// SPDX-License-Identifier: Apache-2.0
/*
 * labns: the namespaces that a lab lives in.
 *
 *   labns hold DIR       new pid, mount, network and uts namespace; lives until its
 *                        standard input ends, so that whatever the lab started dies
 *                        with the test, even after SIGKILL: the end of a pid
 *                        namespace's first process is the end of all of it
 *   labns in PID [-n NETNS | -p CPID] [--] COMMAND...
 *                        run COMMAND in the namespaces of the holder PID; in the
 *                        network namespace NETNS (a file there) or of process CPID
 *                        (as numbered there) instead of the holder's
 *
 * Everything is private to the mount namespace: /run is empty, /sys shows the
 * lab's network namespace, /etc/docker is a tmpfs, and so is DIR/docker where it is
 * there: dockerd and containerd wait for the disk some twenty times a container.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t child;

static void die(const char *what)
{
	fprintf(stderr, "labns: %s: %s\n", what, strerror(errno));
	exit(125);
}

static void must(int r, const char *what)
{
	if (r < 0)
		die(what);
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	must(fd, path);
	if (write(fd, text, strlen(text)) < 0)
		die(path);
	close(fd);
}

static void tmpfs(const char *path)
{
	struct stat st;

	/* a missing folder is not made: it would be left on the machine */
	if (stat(path, &st) < 0)
		return;
	must(mount("tmpfs", path, "tmpfs", 0, "mode=755"), path);
}

/* sysfs shows the network namespace of who mounts it; the machine's cgroups stay in place under it. */
static void mount_sys(const char *dir)
{
	char sys[PATH_MAX], cgroup[PATH_MAX + 16];

	snprintf(sys, sizeof(sys), "%s/sys", dir);
	if (mkdir(sys, 0755) < 0 && errno != EEXIST)
		die(sys);
	snprintf(cgroup, sizeof(cgroup), "%s/fs/cgroup", sys);
	must(mount("sysfs", sys, "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL), "mount sysfs");
	must(mount("/sys/fs/cgroup", cgroup, NULL, MS_BIND | MS_REC, NULL), "bind /sys/fs/cgroup");
	must(mount(sys, "/sys", NULL, MS_MOVE, NULL), "move /sys");
	must(rmdir(sys), sys);
}

static void mount_resolv(const char *dir)
{
	char ours[PATH_MAX], real[PATH_MAX], target[PATH_MAX - 16];

	snprintf(ours, sizeof(ours), "%s/resolv.conf", dir);
	write_file(ours, "nameserver 198.51.100.2\n");
	if (!realpath("/etc/resolv.conf", real)) {
		/* it points into /run, which is empty here, or is not there at all */
		ssize_t n = readlink("/etc/resolv.conf", target, sizeof(target) - 1);

		if (n <= 0)
			return;
		target[n] = 0;
		if (target[0] != '/')
			snprintf(real, sizeof(real), "/etc/%s", target);
		else
			snprintf(real, sizeof(real), "%s", target);
		for (char *p = strstr(real, "run/"); p && (p = strchr(p, '/')); p++) {
			*p = 0;
			if (mkdir(real, 0755) < 0 && errno != EEXIST)
				die(real);
			*p = '/';
		}
		write_file(real, "");
	}
	must(mount(ours, real, NULL, MS_BIND, NULL), "bind /etc/resolv.conf");
}

static int hold(const char *dir)
{
	char path[PATH_MAX], docker[PATH_MAX], pid[32], c;

	must(unshare(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS), "unshare");
	child = fork();
	must(child, "fork");
	if (child > 0) {
		snprintf(pid, sizeof(pid), "%d\n", child);
		snprintf(path, sizeof(path), "%s/holder", dir);
		write_file(path, pid);
		waitpid(child, NULL, 0);
		return 0;
	}
	setsid();
	signal(SIGCHLD, SIG_IGN); /* what is orphaned here is reaped by the kernel */
	must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "private mounts");
	must(mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL), "mount /proc");
	mount_sys(dir);
	tmpfs("/run");
	tmpfs("/etc/docker");
	snprintf(docker, sizeof(docker), "%s/docker", dir);
	tmpfs(docker);
	mount_resolv(dir);
	must(sethostname("labhost", 7), "sethostname");
	puts("ready");
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0 || errno == EINTR)
		errno = 0;
	return 0;
}

static void forward(int sig)
{
	if (child > 0)
		kill(child, sig);
}

static int ns_open(const char *pid, const char *ns)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/ns/%s", pid, ns);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	must(fd, path);
	return fd;
}

/* What a service manager hands over (sd_listen_fds(3)): the descriptors that BH_LISTEN_FDS lists become 3, 4, …; the process that runs
 * the command is the one that may take them. Those listed are all above that range. */
static void hand_over(void)
{
	const char *list = getenv("BH_LISTEN_FDS");
	char text[32];
	int n = 0;

	for (; list && *list; n++) {
		must(dup2((int)strtol(list, (char **)&list, 10), 3 + n), "BH_LISTEN_FDS");
		list += *list == ',';
	}
	unsetenv("BH_LISTEN_FDS");
	if (n == 0)
		return;
	snprintf(text, sizeof(text), "%d", n);
	setenv("LISTEN_FDS", text, 1);
	snprintf(text, sizeof(text), "%d", (int)getpid());
	setenv("LISTEN_PID", text, 1);
}

static int enter(const char *pid, const char *netns, const char *cpid, char **cmd)
{
	static const char *names[] = {"uts", "net", "pid", "mnt"};
	char cwd[PATH_MAX];
	int fds[4], status, fd;

	if (!getcwd(cwd, sizeof(cwd)))
		strcpy(cwd, "/");
	for (int i = 0; i < 4; i++)
		fds[i] = ns_open(pid, names[i]);
	for (int i = 0; i < 4; i++)
		must(setns(fds[i], 0), names[i]);
	if (netns || cpid) {
		fd = netns ? open(netns, O_RDONLY | O_CLOEXEC) : ns_open(cpid, "net");
		must(fd, netns);
		must(setns(fd, CLONE_NEWNET), "net");
		close(fd);
	}
	if (chdir(cwd) < 0)
		must(chdir("/"), "chdir");
	signal(SIGTERM, forward);
	signal(SIGINT, forward);
	signal(SIGHUP, forward);
	signal(SIGUSR1, forward);
	child = fork();
	must(child, "fork");
	if (child == 0) {
		signal(SIGTERM, SIG_DFL);
		signal(SIGINT, SIG_DFL);
		signal(SIGHUP, SIG_DFL);
		signal(SIGUSR1, SIG_DFL);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		hand_over();
		execvp(cmd[0], cmd);
		fprintf(stderr, "labns: %s: %s\n", cmd[0], strerror(errno));
		_exit(127);
	}
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			die("waitpid");
	if (WIFSIGNALED(status)) {
		signal(WTERMSIG(status), SIG_DFL);
		raise(WTERMSIG(status));
		return 128 + WTERMSIG(status);
	}
	return WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
	const char *netns = NULL, *cpid = NULL;
	int i = 3;

	if (argc == 3 && !strcmp(argv[1], "hold"))
		return hold(argv[2]);
	if (argc < 4 || strcmp(argv[1], "in") != 0) {
		fprintf(stderr, "usage: labns hold DIR | in PID [-n NETNS | -p CPID] [--] COMMAND\n");
		return 125;
	}
	for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
		if (!strcmp(argv[i], "--")) {
			i++;
			break;
		}
		if (!strcmp(argv[i], "-n"))
			netns = argv[i + 1];
		else if (!strcmp(argv[i], "-p"))
			cpid = argv[i + 1];
	}
	if (i >= argc)
		return 125;
	return enter(argv[2], netns, cpid, argv + i);
}
