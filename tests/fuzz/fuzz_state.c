/* SPDX-License-Identifier: Apache-2.0 */
/* What lies in the state directory, damaged in any way or a newer version's: what was said by hand, the bridges, the last good configuration and its sums, the mark. The
 * first byte, a digit in seeds, chooses the file. What is read is written and read again. */
#include "../../src/daemon/hand.h"
#include "../../src/daemon/state.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BOOT "b0"
#define NOW_BOOT 1000000u
#define NOW_REAL 1700000000000000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[64];

static void gone(void)
{
	static const char *const files[] = {"good/bulkhead.yaml", "good/.sum", "good/conf.d/x.yaml", "good/conf.d", "good", "by-hand.json", "bridges", "unconfirmed"};
	char path[160];

	for (size_t i = 0; i < BH_ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
		if (unlink(path) < 0)
			(void)rmdir(path);
	}
	(void)rmdir(dir);
}

static void put(const char *file, const void *data, size_t n)
{
	char path[160];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, data, n) != (ssize_t)n)
		abort();
	close(fd);
}

static void make(const char *name)
{
	char path[160];

	snprintf(path, sizeof(path), "%s%s", dir, name);
	if (mkdir(path, 0700) < 0 && access(path, F_OK) < 0)
		abort();
}

static void hand(const char *text)
{
	struct bh_hand h = {0}, again = {0};
	struct bh_buf kept = {0};
	char *printed, *twice;

	if (bh_hand_parse(text, BOOT, NOW_BOOT, NOW_REAL, &h) < 0) {
		if (h.v.n || h.locked)
			abort();
		return;
	}
	bh_vec_foreach(i, &h.v)
		if (i->kind == BH_HAND_ALLOW ? !i->from || !i->to || !i->for_usec : !i->id || !i->name)
			abort();
	printed = bh_hand_print(&h, BOOT);
	if (!printed || bh_state_keep_hand(dir, printed) < 0 || bh_state_load_hand(dir, &kept) < 0 || strcmp(kept.s, printed) != 0)
		abort();
	if (bh_state_keep_hand("/dev/null/no", printed) == 0 || bh_state_keep_bridges("/dev/null/no", &(struct bh_strv){0}) == 0)
		abort();
	bh_buf_free(&kept);
	if ( bh_hand_parse(printed, BOOT, NOW_BOOT, NOW_REAL, &again) < 0)
		abort();
	twice = bh_hand_print(&again, BOOT);
	if (!twice || strcmp(printed, twice) != 0)
		abort();
	free(twice);
	free(printed);
	bh_hand_clear(&again);
	bh_hand_clear(&h);
}

static void bridges(const void *data, size_t n)
{
	struct bh_strv names = {0}, again = {0};

	put("bridges", data, n);
	if (bh_state_load_bridges(dir, &names) == 0) {
		if (bh_state_keep_bridges(dir, &names) < 0 || bh_state_load_bridges(dir, &again) < 0 || names.n != again.n)
			abort();
		for (size_t i = 0; i < names.n; i++)
			if (strcmp(names.v[i], again.v[i]) != 0 || strlen(names.v[i]) > 15 || strpbrk(names.v[i], "/ \n"))
				abort();
	}
	bh_strv_clear(&names);
	bh_strv_clear(&again);
}

/* The sums up to a NUL, the file behind it. Whatever it is, it is loaded only with sums that are right, or with none. */
static void good(const char *data, size_t n, bool sums)
{
	const char *end = sums ? memchr(data, '\0', n) : NULL;
	struct bh_policy *p = NULL;
	struct bh_error err = {0};

	make("/good");
	if (end)
		put("good/.sum", data, (size_t)(end - data));
	put("good/bulkhead.yaml", end ? end + 1 : data, end ? n - (size_t)(end + 1 - data) : n);
	if (bh_state_load(dir, &p, &err) < 0) {
		if (p || !err.msg[0] || strchr(err.msg, '\n'))
			abort();
	} else if (bh_state_mark_unconfirmed(dir, p) < 0 || !bh_state_is_unconfirmed(dir, p)) {
		abort();
	}
	bh_policy_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (!*dir) {
		snprintf(dir, sizeof(dir), "/dev/shm/bh-fuzz-state-%d", (int)getpid());
		atexit(gone);
	}
	make("");
	if (size == 0)
		return 0;
	text = malloc(size);	/* with a NUL in place of the digit */
	if (!text)
		abort();
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	switch (data[0] % 4) {
	case 0:
		hand(text);
		break;
	case 1:
		bridges(text, size - 1);
		break;
	default:
		good(text, size - 1, data[0] % 4 == 2);
		break;
	}
	free(text);
	gone();
	return 0;
}
