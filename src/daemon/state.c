/* SPDX-License-Identifier: Apache-2.0 */
#include "state.h"

#include <bulkhead/fault.h>
#include <bulkhead/sum.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (8u << 20)
#define SUM_FILE ".sum"		/* hidden: what finds the main file and conf.d passes over it */
#define BRIDGES_FILE "bridges"
#define UNCONFIRMED_FILE "unconfirmed"
#define HAND_FILE "by-hand.json"
#define CONTACTS_FILE "contacts"

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

static int write_file(const char *path, const struct bh_buf *text, bool sync)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	size_t at = 0;

	if (fd < 0)
		return -errno;
	BH_FAULT("state-file-made");
	while (at < text->n) {
		ssize_t n = write(fd, text->s + at, text->n - at);

		if (n < 0)
			return -errno;
		at += (size_t)n;
	}
	return sync && fsync(fd) < 0 ? -errno : 0;
}

/* Finds what a disk or a hand cut or changed. Who may write here needs no collision. */
static uint64_t sum(const struct bh_buf *text)
{
	return bh_sum(BH_SUM_INIT, text->s, text->n);
}

static int sync_dir(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* Copies FILE, a path below FROM, to the same path below TO; its sum goes to SUMS. */
static int copy_below(const char *from, const char *to, const char *file, struct bh_buf *sums)
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
	r = bh_buf_read_file(&text, source, FILE_MAX);
	if (r == 0)
		r = write_file(target, &text, true);
	if (r == 0)
		bh_buf_printf(sums, "%016" PRIx64 " %s\n", sum(&text), file);
	return r;
}

/* Whether every file that SUM_FILE names is as it was written. Without one (an older version kept them) there is nothing to compare. */
static int check_sums(const char *good)
{
	_cleanup_free_ char *path = join(good, SUM_FILE);
	_cleanup_buf_ struct bh_buf sums = {0};
	char *line, *rest = NULL;
	int r = path ? bh_buf_read_file(&sums, path, FILE_MAX) : -ENOMEM;

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	if (sums.n == 0)
		return -EUCLEAN;
	for (line = strtok_r(sums.s, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		_cleanup_free_ char *file = NULL;
		_cleanup_buf_ struct bh_buf text = {0};
		uint64_t want;
		int at = 0;

		if (sscanf(line, "%16" SCNx64 " %n", &want, &at) != 1 || at != 17 || !line[at] || strstr(line + at, ".."))
			return -EUCLEAN;
		file = join(good, line + at);
		if (!file)
			return -ENOMEM;
		r = bh_buf_read_file(&text, file, FILE_MAX);
		if (r == -ENOENT || (r == 0 && sum(&text) != want))
			return -EUCLEAN;
		if (r < 0)
			return r;
	}
	return 0;
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
	_cleanup_free_ char *from = strdup(config), *sum_path = join(dir, SUM_FILE);
	_cleanup_buf_ struct bh_buf sums = {0};
	char *slash = from ? strrchr(from, '/') : NULL;
	int r = 0;

	if (!from || !sum_path)
		return -ENOMEM;
	if (slash)
		slash[slash == from] = '\0';
	if (policy->files.n == 0)
		return -ENODATA;
	if (mkdir(dir, 0700) < 0)
		return -errno;
	for (size_t i = 0; i < policy->files.n && r == 0; i++)
		r = copy_below(slash ? from : ".", dir, policy->files.v[i], &sums);
	if (r == 0)
		r = sums.err ? sums.err : write_file(sum_path, &sums, true);
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
	BH_FAULT("state-written");
	/* EXCHANGE (renameat2(2), Linux 3.15) rather than remove and rename: there is one at every instant. */
	if (r == 0 && renameat2(AT_FDCWD, new, AT_FDCWD, good, RENAME_EXCHANGE) < 0 &&
		(errno != ENOENT || rename(new, good) < 0))
		r = -errno;
	BH_FAULT("state-exchanged");
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
		if (e->d_name[0] != '.' && lstat(path, &st) == 0 && S_ISREG(st.st_mode)) {
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
		r = check_sums(good);
	if (r == 0)
		r = bh_config_load(path, BH_CONFIG_CONF_D | BH_CONFIG_CHECK_OWNER, ret, &diags);
	bh_diags_clear(&diags);
	if (r == -EUCLEAN)
		return bh_fail(err, r, "the configuration that was kept in %s is damaged", dir);
	return r < 0 ? bh_fail(err, r, "the configuration that was kept in %s is of no use: %s", dir, strerror(-r)) : 0;
}

bool bh_state_has_good(const char *dir)
{
	_cleanup_free_ char *good = join(dir, "good"), *path = NULL;

	return good && find_main(good, &path) == 0;
}

/* Writes TEXT as NAME in DIR: beside, then renamed, and synced where SYNC. */
static int replace_file(const char *dir, const char *name, const struct bh_buf *text, bool sync)
{
	_cleanup_free_ char *path = join(dir, name), *new = NULL;
	int r;

	if (!path || asprintf(&new, "%s.new", path) < 0)
		return -ENOMEM;
	if (text->err)
		return text->err;
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return -errno;
	(void)unlink(new);
	r = write_file(new, text, sync);
	if (r == 0 && rename(new, path) < 0)
		r = -errno;
	if (r < 0)
		(void)unlink(new);
	return r == 0 && sync ? sync_dir(dir) : r;
}

int bh_state_keep_hand(const char *dir, const char *text)
{
	_cleanup_buf_ struct bh_buf b = {0};

	bh_buf_puts(&b, text);
	return replace_file(dir, HAND_FILE, &b, true);
}

int bh_state_load_hand(const char *dir, struct bh_buf *ret)
{
	_cleanup_free_ char *path = join(dir, HAND_FILE);

	return path ? bh_buf_read_file(ret, path, FILE_MAX) : -ENOMEM;
}

int bh_state_keep_contacts(const char *dir, const char *text)
{
	_cleanup_buf_ struct bh_buf b = {0};

	bh_buf_puts(&b, text);
	return replace_file(dir, CONTACTS_FILE, &b, false);
}

int bh_state_load_contacts(const char *dir, struct bh_buf *ret)
{
	_cleanup_free_ char *path = join(dir, CONTACTS_FILE);

	return path ? bh_buf_read_file(ret, path, FILE_MAX) : -ENOMEM;
}

int bh_state_mark_unconfirmed(const char *dir, const struct bh_policy *policy)
{
	_cleanup_buf_ struct bh_buf text = {0};
	int r = bh_config_print(policy, &text);

	return r < 0 ? r : replace_file(dir, UNCONFIRMED_FILE, &text, true);
}

void bh_state_unmark(const char *dir)
{
	_cleanup_free_ char *path = join(dir, UNCONFIRMED_FILE);

	if (path && unlink(path) == 0)
		(void)sync_dir(dir);
}

bool bh_state_is_unconfirmed(const char *dir, const struct bh_policy *policy)
{
	_cleanup_free_ char *path = join(dir, UNCONFIRMED_FILE);
	_cleanup_buf_ struct bh_buf text = {0}, mark = {0};
	int r = path ? bh_buf_read_file(&mark, path, FILE_MAX) : -ENOMEM;

	if (r == -ENOENT)
		return false;
	return r < 0 || bh_config_print(policy, &text) < 0 || bh_streq(text.s, mark.s);
}

/* What ip-link(8) takes for a name, and no more: the file is read by a program that believes its bridges. */
static bool is_link_name(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n < IF_NAMESIZE && strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n &&
		strcmp(s, ".") != 0 && strcmp(s, "..") != 0;
}

int bh_state_keep_bridges(const char *dir, const struct bh_strv *names)
{
	_cleanup_buf_ struct bh_buf text = {0};

	for (size_t i = 0; i < names->n && i < BH_STATE_BRIDGES_MAX; i++)
		if (is_link_name(names->v[i]))
			bh_buf_printf(&text, "%s\n", names->v[i]);
	/* Not synced: a network is often made just before its first container starts, and the loop must not wait for a disk then. */
	return replace_file(dir, BRIDGES_FILE, &text, false);
}

int bh_state_load_bridges(const char *dir, struct bh_strv *ret)
{
	_cleanup_free_ char *path = join(dir, BRIDGES_FILE);
	_cleanup_buf_ struct bh_buf text = {0};
	char *line, *rest = NULL;
	int r = path ? bh_buf_read_file(&text, path, FILE_MAX) : -ENOMEM;

	if (r < 0 || text.n == 0)
		return r == -ENOENT ? 0 : r;
	for (line = strtok_r(text.s, "\n", &rest); line && r == 0; line = strtok_r(NULL, "\n", &rest))
		if (is_link_name(line) && ret->n < BH_STATE_BRIDGES_MAX && !bh_strv_has(ret, line))
			r = bh_strv_push(ret, line);
	return r;
}
