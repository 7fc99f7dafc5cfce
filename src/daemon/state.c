/* SPDX-License-Identifier: Apache-2.0 */
#include "state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (8u << 20)

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

static char *join(const char *dir, const char *name)
{
	char *path = NULL;

	return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

/* Removes a tree of at most two levels; what is not there is no error. */
static void remove_tree(const char *path, int depth)
{
	_cleanup_(closedirp) DIR *d = NULL;
	struct dirent *e;

	if (unlink(path) == 0 || errno == ENOENT)
		return;
	d = opendir(path);
	while (d && depth > 0 && (e = readdir(d))) {
		_cleanup_free_ char *child = join(path, e->d_name);

		if (child && strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			remove_tree(child, depth - 1);
	}
	(void)rmdir(path);
}

static int read_file(const char *path, struct bh_buf *out)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char chunk[65536];
	ssize_t n;

	if (fd < 0)
		return -errno;
	while ((n = read(fd, chunk, sizeof(chunk))) > 0) {
		bh_buf_putn(out, chunk, (size_t)n);
		if (out->n > FILE_MAX)
			return -EFBIG;
	}
	return n < 0 ? -errno : out->err;
}

static int write_file(const char *path, const struct bh_buf *text)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	size_t at = 0;

	if (fd < 0)
		return -errno;
	while (at < text->n) {
		ssize_t n = write(fd, text->s + at, text->n - at);

		if (n < 0)
			return -errno;
		at += (size_t)n;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

static int sync_dir(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* Copies FILE, a path below FROM, to the same path below TO. */
static int copy_below(const char *from, const char *to, const char *file)
{
	_cleanup_free_ char *source = join(from, file), *target = join(to, file), *sub = NULL;
	_cleanup_buf_ struct bh_buf text = {0};
	const char *slash = strrchr(file, '/');
	int r;

	if (!source || !target)
		return -ENOMEM;
	if (slash) {
		sub = strndup(target, (size_t)(slash - file) + strlen(to) + 1);
		if (!sub)
			return -ENOMEM;
		if (mkdir(sub, 0700) < 0 && errno != EEXIST)
			return -errno;
	}
	r = read_file(source, &text);
	return r < 0 ? r : write_file(target, &text);
}

static bool same_policy(const struct bh_policy *a, const struct bh_policy *b)
{
	_cleanup_buf_ struct bh_buf x = {0}, y = {0};

	return bh_config_print(a, &x) == 0 && bh_config_print(b, &y) == 0 && bh_streq(x.s, y.s);
}

/* Whether what was copied to DIR reads as POLICY: the files may have been changed since they were loaded. */
static int verify(const char *dir, const struct bh_policy *policy)
{
	_cleanup_(bh_policy_freep) struct bh_policy *copy = NULL;
	_cleanup_free_ char *path = join(dir, policy->files.v[0]);
	struct bh_diags diags = {0};
	int r = path ? bh_config_load(path, BH_CONFIG_CONF_D, &copy, &diags) : -ENOMEM;

	bh_diags_clear(&diags);
	if (r < 0)
		return r == -ENOMEM ? r : -ESTALE;
	return same_policy(policy, copy) ? 0 : -ESTALE;
}

static int write_new(const char *dir, const char *config, const struct bh_policy *policy)
{
	_cleanup_free_ char *from = strdup(config);
	char *slash = from ? strrchr(from, '/') : NULL;
	int r = 0;

	if (!from)
		return -ENOMEM;
	if (slash)
		slash[slash == from] = '\0';
	if (policy->files.n == 0)
		return -ENODATA;
	if (mkdir(dir, 0700) < 0)
		return -errno;
	for (size_t i = 0; i < policy->files.n && r == 0; i++)
		r = copy_below(slash ? from : ".", dir, policy->files.v[i]);
	if (r == 0)
		r = verify(dir, policy);
	return r < 0 ? r : sync_dir(dir);
}

int bh_state_keep(const char *dir, const char *config, const struct bh_policy *policy, struct bh_error *err)
{
	_cleanup_free_ char *good = join(dir, "good"), *new = join(dir, "good.new");
	int r;

	if (!good || !new)
		return bh_fail(err, -ENOMEM, "out of memory");
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return bh_fail(err, -errno, "cannot make %s: %s", dir, strerror(errno));
	remove_tree(new, 2);
	r = write_new(new, config, policy);
	/* EXCHANGE (renameat2(2), Linux 3.15) rather than remove and rename: there is one at every instant. */
	if (r == 0 && renameat2(AT_FDCWD, new, AT_FDCWD, good, RENAME_EXCHANGE) < 0 &&
		(errno != ENOENT || rename(new, good) < 0))
		r = -errno;
	if (r == 0)
		r = sync_dir(dir);
	remove_tree(new, 2);
	if (r == -ESTALE)
		return bh_fail(err, r, "the files of the configuration changed while they were copied to %s", dir);
	return r < 0 ? bh_fail(err, r, "cannot keep the configuration in %s: %s", dir, strerror(-r)) : 0;
}

/* The main file: the one regular file in GOOD itself. */
static int find_main(const char *good, char **ret)
{
	_cleanup_(closedirp) DIR *d = opendir(good);
	struct dirent *e;

	if (!d)
		return -errno;
	while ((e = readdir(d))) {
		_cleanup_free_ char *path = join(good, e->d_name);
		struct stat st;

		if (!path)
			return -ENOMEM;
		if (lstat(path, &st) == 0 && S_ISREG(st.st_mode)) {
			*ret = bh_take(path);
			return 0;
		}
	}
	return -ENOENT;
}

int bh_state_load(const char *dir, struct bh_policy **ret, struct bh_error *err)
{
	_cleanup_free_ char *good = join(dir, "good"), *path = NULL;
	struct bh_diags diags = {0};
	int r = good ? find_main(good, &path) : -ENOMEM;

	if (r == -ENOENT)
		return bh_fail(err, r, "no configuration was kept in %s", dir);
	if (r == 0)
		r = bh_config_load(path, BH_CONFIG_CONF_D | BH_CONFIG_CHECK_OWNER, ret, &diags);
	bh_diags_clear(&diags);
	return r < 0 ? bh_fail(err, r, "the configuration that was kept in %s is of no use: %s", dir, strerror(-r)) : 0;
}
