/* SPDX-License-Identifier: Apache-2.0 */
/* A fuzz target without a fuzzer: every file of the folders named, one after the other, as a test that anybody can run under the sanitizers. With HUNGRY each is given once
 * more for every allocation that it makes, which fails: nothing breaks, nothing leaks. Only for targets that take -ENOMEM for an answer. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#ifdef HUNGRY
#include "../common/no_memory.h"

#define FAILURES_MAX 2000
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void die(const char *what)
{
	perror(what);
	exit(1);
}

#ifdef HUNGRY
static unsigned long failures;

static void give(const uint8_t *data, size_t size)
{
	for (long n = 0; n < FAILURES_MAX; n++) {
		left = n;
		LLVMFuzzerTestOneInput(data, size);
		if (left >= 0)	/* it makes no more */
			break;
		failures++;
	}
	left = -1;
}
#else
static void give(const uint8_t *data, size_t size)
{
	LLVMFuzzerTestOneInput(data, size);
}
#endif

static void replay(const char *path)
{
	FILE *f = fopen(path, "re");
	struct stat st;
	uint8_t *data;

	if (!f || fstat(fileno(f), &st) < 0)
		die(path);
	data = malloc(st.st_size > 0 ? (size_t)st.st_size : 1);	/* as long as it is, so that its end is watched */
	if (!data || fread(data, 1, (size_t)st.st_size, f) != (size_t)st.st_size)
		die(path);
	fclose(f);
	printf("# %s\n", path);	/* the last one is the one that broke it */
	fflush(stdout);
	give(data, (size_t)st.st_size);
	free(data);
}

static unsigned replay_folder(const char *path)
{
	struct dirent **v = NULL;
	int n = scandir(path, &v, NULL, alphasort);
	unsigned done = 0;

	if (n < 0)
		die(path);
	for (int i = 0; i < n; i++) {
		char file[4096];
		struct stat st;

		snprintf(file, sizeof(file), "%s/%s", path, v[i]->d_name);
		if (*v[i]->d_name != '.' && stat(file, &st) == 0) {
			if (S_ISDIR(st.st_mode)) {
				done += replay_folder(file);
			} else {
				replay(file);
				done++;
			}
		}
		free(v[i]);
	}
	free(v);
	return done;
}

int main(int argc, char **argv)
{
	static const uint8_t nothing[1];
	unsigned done = 0;

	LLVMFuzzerTestOneInput(nothing, 0);
	for (int i = 1; i < argc; i++)
		done += replay_folder(argv[i]);
#ifdef HUNGRY
	printf("# %lu allocations failed\n", failures);
	done = failures > 0 ? done : 0;
#endif
	printf("%s 1 - %u inputs\n1..1\n", done > 0 ? "ok" : "not ok", done);
	return done > 0 ? 0 : 1;
}
