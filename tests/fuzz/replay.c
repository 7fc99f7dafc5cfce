/* SPDX-License-Identifier: Apache-2.0 */
/* A fuzz target without a fuzzer: every file of the folders named, one after the other, as a test that anybody can run under the sanitizers. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void die(const char *what)
{
	perror(what);
	exit(1);
}

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
	LLVMFuzzerTestOneInput(data, (size_t)st.st_size);
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
	printf("%s 1 - %u inputs\n1..1\n", done > 0 ? "ok" : "not ok", done);
	return done > 0 ? 0 : 1;
}
