/* SPDX-License-Identifier: Apache-2.0 */
/* The access log's file: nothing is torn, doubled or out of order whatever the disk does, and nothing grows. */
#include "../../src/daemon/access.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct folder {
	char dir[64], path[96];
	struct bh_access_file *f;
};

static int setup(void **state)
{
	struct folder *x = calloc(1, sizeof(*x));

	if (!x)
		return -1;
	strcpy(x->dir, "/tmp/bh-test-access-XXXXXX");
	*state = x;
	if (!mkdtemp(x->dir))
		return -1;
	snprintf(x->path, sizeof(x->path), "%s/log/access.jsonl", x->dir);
	return 0;
}

static int teardown(void **state)
{
	struct folder *x = *state;
	char cmd[128];

	bh_access_file_free(x->f);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", x->dir);
	free(x);
	return system(cmd);
}

static void put(struct bh_access_file *f, unsigned from, unsigned to)
{
	char line[64];

	for (unsigned i = from; i < to; i++)
		assert_true(bh_access_file_put(f, line, (size_t)snprintf(line, sizeof(line), "{\"n\": %6u, \"text\": \"some\"}\n", i)));
}

#define LINE 30

static const char *name(const struct folder *x, unsigned i)
{
	static char text[128];

	if (i == 0)
		return x->path;
	snprintf(text, sizeof(text), "%s.%u", x->path, i);
	return text;
}

static long size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) < 0 ? -1 : (long)st.st_size;
}

/* How many lines the file holds, each FROM + its number; what is no such line counts in *RET_OTHER. */
static unsigned lines(const char *path, unsigned from, unsigned *ret_other)
{
	FILE *f = fopen(path, "re");
	char text[512];
	unsigned n = 0, v;

	*ret_other = 0;
	if (!f)
		return 0;
	while (fgets(text, sizeof(text), f)) {
		if (sscanf(text, "{\"n\": %u, \"text\": \"some\"}", &v) == 1 && strlen(text) == LINE && v == from + n)
			n++;
		else
			++*ret_other;
	}
	fclose(f);
	return n;
}

/* Until the thread has something to tell. */
static char *told(struct bh_access_file *f, int msec, uint64_t *ret_lost)
{
	struct pollfd p = {.fd = bh_access_file_fd(f), .events = POLLIN};

	assert_int_equal(poll(&p, 1, msec), 1);
	bh_access_file_seen(f);
	return bh_access_file_problem(f, ret_lost);
}

static void lines_are_kept(void **state)
{
	struct folder *x = *state;
	unsigned other;
	struct stat st;

	assert_int_equal(bh_access_file_new(x->path, 1 << 20, 2, (gid_t)-1, &x->f), 0);
	put(x->f, 0, 1000);
	bh_access_file_free(bh_take(x->f));
	assert_int_equal(lines(x->path, 0, &other), 1000);
	assert_int_equal(other, 0);
	assert_int_equal(stat(x->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	/* another life goes on where this one ended, and what a power cut tore is one bad line */
	assert_int_equal(truncate(x->path, 999 * LINE + 7), 0);
	assert_int_equal(bh_access_file_new(x->path, 1 << 20, 2, (gid_t)-1, &x->f), 0);
	put(x->f, 999, 1001);
	bh_access_file_free(bh_take(x->f));
	assert_int_equal(lines(x->path, 0, &other), 1001);
	assert_int_equal(other, 1);
}

static void it_is_rotated(void **state)
{
	struct folder *x = *state;
	unsigned other, first = 0, n;

	assert_int_equal(bh_access_file_new(x->path, 100 * LINE + LINE / 2, 3, (gid_t)-1, &x->f), 0);
	put(x->f, 0, 730);
	bh_access_file_free(bh_take(x->f));
	/* 7 files of 100 and one of 30: three of the old stay */
	for (unsigned i = 4; i-- > 0;) {
		n = lines(name(x, i), i == 0 ? 700 : 400 + (3 - i) * 100, &other);
		assert_int_equal(n, i == 0 ? 30 : 100);
		assert_int_equal(other, 0);
		first += n;
	}
	assert_int_equal(first, 330);
	assert_int_equal(size_of(name(x, 4)), -1);
}

/* logrotate(8), or somebody with rm(1). */
static void others_may_move_it(void **state)
{
	struct folder *x = *state;
	unsigned other;

	assert_int_equal(bh_access_file_new(x->path, 1 << 20, 3, (gid_t)-1, &x->f), 0);
	put(x->f, 0, 5);
	for (int i = 0; i < 100 && size_of(x->path) < 5 * LINE; i++)
		usleep(20000);
	assert_int_equal(rename(x->path, name(x, 9)), 0);
	put(x->f, 5, 8);
	bh_access_file_free(bh_take(x->f));
	assert_int_equal(lines(name(x, 9), 0, &other), 5);
	assert_int_equal(lines(x->path, 5, &other), 3);
}

/* A limit on the size of files stands for a disk that is full: both take a part of what is written. */
static void a_full_disk_tears_nothing(void **state)
{
	struct folder *x = *state;
	struct rlimit before, small;
	unsigned other;
	uint64_t lost;
	char *why;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = before;
	small.rlim_cur = 10 * LINE + 7;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(bh_access_file_new(x->path, 1 << 20, 2, (gid_t)-1, &x->f), 0);
	put(x->f, 0, 40);
	why = told(x->f, 3000, &lost);
	assert_non_null(why);
	assert_non_null(strstr(why, "cannot be written: File too large"));
	free(why);
	put(x->f, 40, 50);	/* they wait */
	assert_true(size_of(x->path) % LINE == 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_null(told(x->f, BH_ACCESS_RETRY_MSEC + 3000, &lost));
	assert_int_equal(lost, 0);
	bh_access_file_free(bh_take(x->f));
	assert_int_equal(lines(x->path, 0, &other), 50);
	assert_int_equal(other, 0);
}

/* What cannot be written is bounded, and how much was lost is said where it is missing. */
static void what_waits_is_bounded(void **state)
{
	struct folder *x = *state;
	char target[128], text[1000];
	unsigned n = 0;
	uint64_t lost;
	char *why;
	FILE *f;

	snprintf(text, sizeof(text), "%s/log", x->dir);
	assert_int_equal(mkdir(text, 0700), 0);
	snprintf(target, sizeof(target), "%s/elsewhere", x->dir);
	assert_int_equal(symlink(target, x->path), 0);
	assert_int_equal(bh_access_file_new(x->path, 64 << 20, 1, (gid_t)-1, &x->f), 0);
	put(x->f, 0, 1);
	why = told(x->f, 3000, &lost);
	assert_non_null(strstr(why, "cannot be opened: it is a symbolic link"));
	free(why);
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\n';
	while (bh_access_file_put(x->f, text, sizeof(text)))
		n++;
	assert_true(n * sizeof(text) <= BH_ACCESS_WAITING_MAX && n * sizeof(text) > BH_ACCESS_WAITING_MAX - 2000);
	for (int i = 0; i < 4; i++)
		assert_false(bh_access_file_put(x->f, "{}\n", 3));
	assert_int_equal(size_of(target), -1);
	assert_int_equal(unlink(x->path), 0);
	assert_null(told(x->f, BH_ACCESS_RETRY_MSEC + 3000, &lost));
	assert_int_equal(lost, 5);
	bh_access_file_free(bh_take(x->f));
	f = fopen(x->path, "re");
	assert_non_null(f);
	for (unsigned i = 0; i < n + 1; i++)
		assert_non_null(fgets(text, sizeof(text), f));
	while (text[0] == 'x' || text[0] == '\n')	/* the newline of the last long one, and what is said of the lost */
		assert_non_null(fgets(text, sizeof(text), f));
	assert_non_null(strstr(text, "5 records were lost here"));
	assert_null(fgets(text, sizeof(text), f));
	fclose(f);
}

/* A name that cannot be taken: tried again and again, and nothing older is pushed out meanwhile. */
static void a_rotation_that_fails_loses_nothing(void **state)
{
	struct folder *x = *state;
	char inside[160];
	unsigned other;
	uint64_t lost;
	char *why;

	assert_int_equal(bh_access_file_new(x->path, 10 * LINE, 2, (gid_t)-1, &x->f), 0);
	put(x->f, 0, 15);
	bh_access_file_free(bh_take(x->f));
	assert_int_equal(unlink(name(x, 1)), 0);
	snprintf(inside, sizeof(inside), "%s/sub", name(x, 1));
	assert_int_equal(mkdir(name(x, 1), 0700), 0);
	assert_int_equal(mkdir(inside, 0700), 0);
	assert_int_equal(mkdir(name(x, 2), 0700), 0);
	snprintf(inside, sizeof(inside), "%s/sub", name(x, 2));
	assert_int_equal(mkdir(inside, 0700), 0);
	assert_int_equal(bh_access_file_new(x->path, 10 * LINE, 2, (gid_t)-1, &x->f), 0);
	put(x->f, 15, 25);
	why = told(x->f, 3000, &lost);
	assert_non_null(strstr(why, "cannot be rotated"));
	free(why);
	assert_int_equal(rmdir(inside), 0);
	assert_null(told(x->f, 2 * BH_ACCESS_RETRY_MSEC + 3000, &lost));
	bh_access_file_free(bh_take(x->f));
	assert_int_equal(lines(name(x, 1), 10, &other) + lines(x->path, 20, &other), 15);
}

static void who_looks_often_is_counted(void **state)
{
	struct bh_callers c = {0};
	static char verbs[2 * BH_CALLERS_MAX][8];

	(void)state;
	assert_int_equal(bh_callers_note(&c, 0, "status", 1), 1);
	for (uint64_t i = 2; i < 1000; i++)
		assert_int_equal(bh_callers_note(&c, 0, "status", i), 0);
	assert_int_equal(bh_callers_note(&c, 7, "status", 1000), 1);
	assert_int_equal(bh_callers_note(&c, 0, "status", 2 + BH_CALLERS_USEC), 999);
	assert_int_equal(bh_callers_note(&c, 0, "status", 3 + BH_CALLERS_USEC), 0);
	for (unsigned i = 0; i < 2 * BH_CALLERS_MAX; i++) {
		snprintf(verbs[i], sizeof(verbs[i]), "v%u", i);
		assert_int_equal(bh_callers_note(&c, 0, verbs[i], 2 * BH_CALLERS_USEC + i), 1);
	}
	assert_int_equal(c.n, BH_CALLERS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(lines_are_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(it_is_rotated, setup, teardown),
		cmocka_unit_test_setup_teardown(others_may_move_it, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_disk_tears_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(what_waits_is_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(a_rotation_that_fails_loses_nothing, setup, teardown),
		cmocka_unit_test(who_looks_often_is_counted),
	};

	return cmocka_run_group_tests_name("access", tests, NULL, NULL);
}
