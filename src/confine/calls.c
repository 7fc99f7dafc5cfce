/* SPDX-License-Identifier: Apache-2.0 */
/* System calls, seccomp(2). Each process has a list of what it may; what a library tries beyond that fails with ENOSYS, as on a kernel without
 * it, so that it does without. What nothing of ours ever makes, and an attacker would, ends the process, and the kernel logs it. */
#include <bulkhead/confine.h>
#include <bulkhead/mem.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(undefined_behavior_sanitizer)
#define SANITIZED
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define SANITIZED
#endif

#ifdef SANITIZED

int bh_confine_calls(enum bh_calls kind, struct bh_error *err)
{
	(void)kind, (void)err;
	return 1;
}

#else

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* Of everybody: memory, time, waiting, and what is open already. */
static const char *const COMMON[] = {
	"brk", "clock_getres", "clock_gettime", "clock_nanosleep", "close", "dup", "dup2", "dup3", "epoll_create1", "epoll_ctl", "epoll_pwait",
	"epoll_pwait2", "epoll_wait", "eventfd2", "exit", "exit_group", "fcntl", "fstat", "futex", "getegid", "geteuid", "getgid", "getpeername",
	"getpid", "getppid", "getrandom", "getrusage", "getsockname", "getsockopt", "gettid", "gettimeofday", "getuid", "lseek", "madvise",
	"membarrier", "mremap", "munmap", "nanosleep", "newfstatat", "poll", "ppoll", "read", "readv", "recvfrom", "recvmsg", "restart_syscall",
	"rseq", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sched_getaffinity", "sched_yield", "sendmsg", "sendto", "set_robust_list",
	"setsockopt", "shutdown", "sigaltstack", "signalfd4", "stat", "statx", "sysinfo", "time", "timerfd_create", "timerfd_gettime",
	"timerfd_settime", "uname", "write", "writev",
};

static const char *const RUNTIME[] = {"inotify_add_watch", "inotify_init1", "inotify_rm_watch", "readlink", "readlinkat"};
static const char *const REPORTS[] = {"getdents64", "inotify_add_watch", "inotify_init1", "inotify_rm_watch", "readlink", "readlinkat"};
static const char *const CONTROL[] = {"accept4"};

/* Files, beneath what Landlock leaves; sockets of the families below. */
static const char *const ENFORCER[] = {
	"accept4", "access", "bind", "chmod", "close_range", "connect", "faccessat", "faccessat2", "fallocate", "fchmod", "fchmodat", "fchown", "fdatasync",
	"flock", "fstatfs", "fsync", "ftruncate", "getcwd", "getdents64", "getgroups", "inotify_add_watch", "inotify_init1", "inotify_rm_watch",
	"link", "linkat", "listen", "lstat", "memfd_create", "mkdir", "mkdirat", "open", "openat", "pipe2", "pread64", "prlimit64", "pwrite64",
	"readlink", "readlinkat", "recvmmsg", "rename", "renameat", "renameat2", "rmdir", "sendmmsg", "statfs", "symlink", "umask", "unlink",
	"unlinkat",
};

/* What it takes to start a program of ours: its loader, and what that one gives up in its turn. */
static const char *const KEEPER[] = {
	"access", "arch_prctl", "capget", "capset", "clone", "clone3", "close_range", "connect", "execveat", "execve", "faccessat", "faccessat2",
	"getcwd", "getdents64", "inotify_add_watch", "inotify_init1", "inotify_rm_watch", "ioctl", "kill", "landlock_add_rule",
	"landlock_create_ruleset", "landlock_restrict_self", "lstat", "mmap", "mprotect", "open", "openat", "pidfd_open", "pidfd_send_signal",
	"pipe2", "prctl", "pread64", "prlimit64", "readlink", "readlinkat", "seccomp", "set_tid_address", "statfs", "tgkill", "wait4", "waitid",
	"accept4", "chdir", "umask", "getgroups",
};

/* Nobody of ours makes them. */
static const char *const NEVER[] = {
	"add_key", "bpf", "chroot", "delete_module", "finit_module", "init_module", "io_uring_enter", "io_uring_register", "io_uring_setup", "ioperm",
	"iopl", "kexec_file_load", "kexec_load", "keyctl", "mount", "move_mount", "open_by_handle_at", "open_tree", "perf_event_open", "pivot_root",
	"process_vm_readv", "process_vm_writev", "ptrace", "reboot", "request_key", "setns", "swapoff", "swapon", "umount2", "unshare",
	"userfaultfd", "vmsplice",
};
static const char *const EXECUTES[] = {"execve", "execveat"};

#define RULES(filter, action, list) rules(filter, action, list, BH_ARRAY_SIZE(list))

/* Names that this machine has not are no error: another one had them. */
static int rules(scmp_filter_ctx filter, uint32_t action, const char *const *names, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		int nr = seccomp_syscall_resolve_name(names[i]);

		if (nr != __NR_SCMP_ERROR)
			r = seccomp_rule_add(filter, action, nr, 0);
		if (r == -EDOM)
			r = 0;
	}
	return r;
}

/* Memory is never both written and executed, and nothing new becomes a program. */
static int no_new_code(scmp_filter_ctx filter)
{
	int r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));

	return r < 0 ? r : seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
}

/* Signals to ourselves, which is how abort(3) ends. */
static int own_signals(scmp_filter_ctx filter)
{
	int r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));

	return r < 0 ? r : seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(kill), 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
}

static int sockets(scmp_filter_ctx filter, enum bh_calls kind)
{
	bool opens = kind == BH_CALLS_ENFORCER || kind == BH_CALLS_KEEPER;
	int r = 0;

	/* libcurl wakes itself through a pair */
	if (opens || kind == BH_CALLS_RUNTIME)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
	if (r == 0 && opens)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
	if (r == 0 && kind == BH_CALLS_ENFORCER)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, AF_NETLINK));
	return r;
}

/* What the C library asks of a descriptor, and names of interfaces. */
static int ioctls(scmp_filter_ctx filter)
{
	static const unsigned long asked[] = {TCGETS, FIONREAD, FIONBIO, SIOCGIFINDEX, SIOCGIFNAME};
	int r = 0;

	for (size_t i = 0; i < BH_ARRAY_SIZE(asked) && r == 0; i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_EQ, asked[i]));
	return r;
}

/* A name that is looked up, for inotify(7), and nothing that could be read. */
static int paths_alone(scmp_filter_ctx filter)
{
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, O_PATH, O_PATH));
}

/* Files that are there, to read: where, Landlock says. */
static int reading_alone(scmp_filter_ctx filter)
{
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY));
}

static int filter_make(scmp_filter_ctx filter, enum bh_calls kind)
{
	int r = RULES(filter, SCMP_ACT_ALLOW, COMMON);

	if (r == 0)
		r = RULES(filter, SCMP_ACT_KILL_PROCESS, NEVER);
	if (r == 0)
		r = sockets(filter, kind);
	if (r == 0 && kind == BH_CALLS_KEEPER)
		return RULES(filter, SCMP_ACT_ALLOW, KEEPER);
	if (r == 0)
		r = RULES(filter, SCMP_ACT_KILL_PROCESS, EXECUTES);
	if (r == 0)
		r = no_new_code(filter);
	if (r == 0)
		r = own_signals(filter);
	if (r == 0)
		r = ioctls(filter);
	/* Threads, and no processes. (clone3(2) cannot be told apart: the C library does without.) */
	if (r == 0 && kind == BH_CALLS_ENFORCER)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
	if (r == 0 && kind == BH_CALLS_ENFORCER)
		return RULES(filter, SCMP_ACT_ALLOW, ENFORCER);
	if (r == 0 && kind == BH_CALLS_CONTROL)
		return RULES(filter, SCMP_ACT_ALLOW, CONTROL);
	if (r == 0 && kind == BH_CALLS_REPORTS)
		r = RULES(filter, SCMP_ACT_ALLOW, REPORTS);
	if (kind == BH_CALLS_REPORTS)
		return r < 0 ? r : reading_alone(filter);
	if (r == 0)
		r = RULES(filter, SCMP_ACT_ALLOW, RUNTIME);
	return r < 0 ? r : paths_alone(filter);
}

/* Valgrind makes the program's calls with its own among them, and knows no seccomp(2). It tells itself by what it preloads. */
static bool is_valgrind(void)
{
	const char *preload = getenv("LD_PRELOAD");

	return preload && strstr(preload, "/vgpreload_");
}

int bh_confine_calls(enum bh_calls kind, struct bh_error *err)
{
	scmp_filter_ctx filter;
	int r;

	if (is_valgrind())
		return 1;
	filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));

	if (!filter)
		return bh_fail(err, -ENOMEM, "out of memory");
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);	/* a tree of numbers; a list where it is not known (2.4) */
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	r = filter_make(filter, kind);
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r < 0 ? bh_fail(err, r, "system calls cannot be confined: %s", strerror(-r)) : 0;
}

#endif
