/* SPDX-License-Identifier: Apache-2.0 */
/* What is given up is gone: in a process of its own each, for nothing is ever given back. Passed over where the kernel has no Landlock, or the build none of
 * the lists of calls (sanitizers, valgrind). */
#include <bulkhead/confine.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/bulkhead-confine-XXXXXX", inside[64];

/* 0, or errno. */
static int opens(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600), e = errno;

	if (fd < 0)
		return e;
	close(fd);
	return 0;
}

/* The number of the first line that is not as it should be, or 0. */
#define NEED(x)                                                                                    \
	do {                                                                                       \
		if (!(x))                                                                          \
			return __LINE__ % 250 + 1;                                                 \
	} while (0)

static int everything_is_read(void)
{
	struct bh_error err = {0};

	NEED(bh_confine_privileges(false, &err) == 0);
	NEED(bh_confine_files((const char *const[]){dir, NULL}, NULL, &err) >= 0);
	NEED(opens(inside, O_RDWR) == 0);
	NEED(opens("/etc/passwd", O_RDONLY) == 0);
	return 0;
}

/* A kernel without Landlock, a build with sanitizers: it is told, and nothing is confined. */
static int without(void)
{
	NEED(opens(inside, O_WRONLY) == 0);
	return 0;
}

static int beneath_one_folder(void)
{
	struct bh_error err = {0};
	int r;

	NEED(opens("/etc/passwd", O_RDONLY) == 0);
	NEED(bh_confine_privileges(false, &err) == 0);
	r = bh_confine_files(NULL, (const char *const[]){"/nowhere", dir, NULL}, &err);
	NEED(r >= 0);
	if (r > 0)
		return without();
	NEED(opens(inside, O_RDONLY) == 0);
	NEED(opens(dir, O_RDONLY | O_DIRECTORY) == 0);
	NEED(opens(inside, O_WRONLY) == EACCES);
	NEED(opens("/etc/passwd", O_RDONLY) == EACCES);
	NEED(opens("/tmp", O_RDONLY | O_DIRECTORY) == EACCES);
	return 0;
}

static int nothing_is_read(void)
{
	struct bh_error err = {0};
	int r;

	NEED(bh_confine_privileges(false, &err) == 0);
	r = bh_confine_files(NULL, (const char *const[]){NULL}, &err);
	NEED(r >= 0);
	if (r > 0)
		return without();
	NEED(opens(inside, O_RDONLY) == EACCES);
	NEED(opens(dir, O_RDONLY | O_DIRECTORY) == EACCES);
	return 0;
}

static int calls_of_who_reads_reports(void)
{
	struct bh_error err = {0};
	int r;

	NEED(bh_confine_privileges(false, &err) == 0);
	r = bh_confine_calls(BH_CALLS_REPORTS, &err);
	NEED(r >= 0);
	if (r > 0)
		return without();
	NEED(opens(inside, O_RDONLY) == 0);
	NEED(opens(inside, O_WRONLY) == ENOSYS);
	NEED(opens(inside, O_RDONLY | O_TRUNC) == ENOSYS);
	NEED(opens(inside, O_RDONLY | O_CREAT) == ENOSYS);
	NEED(socket(AF_UNIX, SOCK_STREAM, 0) < 0 && errno == ENOSYS);
	NEED(socket(AF_NETLINK, SOCK_RAW, 0) < 0 && errno == ENOSYS);
	NEED(unlink(inside) < 0 && errno == ENOSYS);
	NEED(inotify_init1(IN_CLOEXEC) >= 0);
	return 0;
}

static void in_a_process(int (*what)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(what());
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_everything_is_read(void **state)
{
	(void)state;
	in_a_process(everything_is_read);
}
static void test_beneath_one_folder(void **state)
{
	(void)state;
	in_a_process(beneath_one_folder);
}
static void test_nothing_is_read(void **state)
{
	(void)state;
	in_a_process(nothing_is_read);
}
static void test_calls_of_who_reads_reports(void **state)
{
	(void)state;
	in_a_process(calls_of_who_reads_reports);
}

static int begin(void **state)
{
	int fd;

	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(inside, sizeof(inside), "%s/file", dir);
	fd = open(inside, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	return fd < 0 ? -1 : close(fd);
}

static int end(void **state)
{
	(void)state;
	return unlink(inside) < 0 ? -1 : rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_everything_is_read),
		cmocka_unit_test(test_beneath_one_folder),
		cmocka_unit_test(test_nothing_is_read),
		cmocka_unit_test(test_calls_of_who_reads_reports),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
