/* SPDX-License-Identifier: Apache-2.0 */
/* Files to a policy. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void cfg_clear(struct bh_cfg *c)
{
	bh_vec_foreach(d, &c->docs) {
		bh_node_free(d->root);
		free(d->text);
	}
	bh_vec_clear(&c->docs);
	bh_vec_clear(&c->prefixes);
	bh_vec_clear(&c->interfaces);
	bh_strv_clear(&c->refused);
	bh_policy_free(c->policy);
}

static int cfg_init(struct bh_cfg *c, struct bh_diags *diags)
{
	bh_diags_clear(diags);
	c->diags = diags;
	c->policy = calloc(1, sizeof(*c->policy));
	return c->policy ? 0 : -ENOMEM;
}

/* Takes the TEXT (also when it fails) of the file that shows as NAME. */
static int add_doc(struct bh_cfg *c, const char *name, char *text, size_t n)
{
	struct bh_doc doc = {.text = text, .n = n, .main = c->docs.n == 0};

	if (bh_strv_push(&c->policy->files, name) < 0) {
		free(text);
		return -ENOMEM;
	}
	doc.file = c->policy->files.v[c->policy->files.n - 1];
	if (doc.n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {	/* a byte order mark at the start says nothing */
		doc.n -= 3;
		memmove(text, text + 3, doc.n);
	}
	if (bh_vec_push(&c->docs, doc) < 0) {
		free(text);
		return -ENOMEM;
	}
	return 0;
}

/* All documents are there: the rest is pure. */
static int finish(struct bh_cfg *c, struct bh_policy **ret)
{
	bh_vec_foreach(d, &c->docs)
		bh_cfg_yaml(c, d);
	bh_vec_foreach(d, &c->docs)
		if (!c->err && !d->broken)
			bh_cfg_read(c, d);
	if (!c->err && !c->partial)
		bh_cfg_check(c);
	if (!c->err && c->diags->errors == 0)
		bh_cfg_warnings(c);
	bh_cfg_sort(c);
	if (c->err)
		return c->err;
	if (c->diags->errors > 0)
		return -EINVAL;
	*ret = bh_take(c->policy);
	return 0;
}

static int add_text(struct bh_cfg *c, const struct bh_config_text *t)
{
	char *copy;

	if (t->n > BH_CFG_FILE_MAX) {
		bh_cfg_file_error(c, t->name, "larger than %u KiB", BH_CFG_FILE_MAX / 1024);
		return -EFBIG;
	}
	copy = malloc(t->n + 1);
	if (!copy)
		return -ENOMEM;
	if (t->n)
		memcpy(copy, t->text, t->n);
	copy[t->n] = '\0';
	return add_doc(c, t->name, copy, t->n);
}

int bh_config_parse(const struct bh_config_text *texts, size_t n, struct bh_policy **ret, struct bh_diags *diags)
{
	_cleanup_(cfg_clear) struct bh_cfg c = {0};
	int r = cfg_init(&c, diags);

	if (r < 0)
		return r;
	if (n == 0)
		return -EINVAL;
	for (size_t i = 0; i < n && r == 0; i++)
		r = add_text(&c, &texts[i]);
	if (r == -EFBIG)
		return c.err ? c.err : -EINVAL;
	return r < 0 ? r : finish(&c, ret);
}

void bh_config_texts_clear(struct bh_config_texts *t)
{
	bh_vec_foreach(i, &t->v) {
		free((void *)i->name);
		free((void *)i->text);
	}
	bh_vec_clear(&t->v);
}

/* Who may write decides, and the descriptor is asked, not the name: a name can be changed in between. */
static int check_owner(struct bh_cfg *c, const char *name, const struct stat *st)
{
	if (st->st_uid != 0)
		bh_cfg_file_error(c, name, "belongs to uid %u, not to root, who alone may write it: chown root", (unsigned)st->st_uid);
	else if (st->st_mode & (S_IWGRP | S_IWOTH))
		bh_cfg_file_error(c, name, "can be written by others than root (mode %04o): chmod go-w",
			(unsigned)(st->st_mode & 07777));
	else
		return 0;
	return -EACCES;
}

static int read_all(int fd, char **ret, size_t *ret_n)
{
	_cleanup_free_ char *text = malloc(BH_CFG_FILE_MAX + 1);
	size_t n = 0;

	if (!text)
		return -ENOMEM;
	for (;;) {
		ssize_t got = read(fd, text + n, BH_CFG_FILE_MAX + 1 - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		n += (size_t)got;
		if (got == 0)
			break;
		if (n > BH_CFG_FILE_MAX)
			return -EFBIG;
	}
	*ret = bh_take(text);
	*ret_n = n;
	return 0;
}

/* Reads PATH beneath the directory DIR as the file that shows as NAME. Tells what is wrong; a negative errno. */
static int load_file(struct bh_cfg *c, int dir, const char *path, const char *name, unsigned flags)
{
	/* O_NONBLOCK: a FIFO must not hold the daemon. */
	_cleanup_close_ int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	size_t n = 0;
	char *text = NULL;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0) {
		r = -errno;
		bh_cfg_file_error(c, name, "cannot be read: %s", strerrordesc_np(-r));
		return r;
	}
	if (!S_ISREG(st.st_mode)) {
		bh_cfg_file_error(c, name, "is not a regular file");
		return -EINVAL;
	}
	r = flags & BH_CONFIG_CHECK_OWNER ? check_owner(c, name, &st) : 0;
	if (r < 0)
		return r;
	r = read_all(fd, &text, &n);
	if (r == -EFBIG)
		bh_cfg_file_error(c, name, "larger than %u KiB", BH_CFG_FILE_MAX / 1024);
	else if (r < 0)
		bh_cfg_file_error(c, name, "cannot be read: %s", strerrordesc_np(-r));
	return r < 0 ? r : add_doc(c, name, text, n);
}

static int name_cmp(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

/* The names *.yaml of a directory, sorted; hidden ones are an editor's. */
static int list_yaml(DIR *d, struct bh_strv *names)
{
	const struct dirent *e;
	int r = 0;

	while (r == 0 && (errno = 0, e = readdir(d))) {
		size_t n = strlen(e->d_name);

		if (n > 5 && e->d_name[0] != '.' && strcmp(e->d_name + n - 5, ".yaml") == 0)
			r = names->n < BH_CFG_FILES_MAX ? bh_strv_push(names, e->d_name) : -E2BIG;
	}
	if (r == 0 && errno)
		r = -errno;
	if (names->n > 1)
		qsort(names->v, names->n, sizeof(*names->v), name_cmp);
	return r;
}

static int load_conf_d(struct bh_cfg *c, int dir, unsigned flags)
{
	_cleanup_close_ int fd = openat(dir, "conf.d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(bh_strv_clear) struct bh_strv names = {0};
	_cleanup_(closedirp) DIR *d = NULL;
	struct stat st;
	int r;

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0 || !(d = fdopendir(fd))) {
		r = -errno;
		bh_cfg_file_error(c, "conf.d", "cannot be read: %s", strerrordesc_np(-r));
		return r;
	}
	fd = -1;	/* d has it */
	r = flags & BH_CONFIG_CHECK_OWNER ? check_owner(c, "conf.d", &st) : 0;
	if (r < 0)
		return r;
	r = list_yaml(d, &names);
	if (r == -E2BIG)
		bh_cfg_file_error(c, "conf.d", "has more than %u files", BH_CFG_FILES_MAX);
	else if (r < 0)
		bh_cfg_file_error(c, "conf.d", "cannot be read: %s", strerrordesc_np(-r));
	if (r < 0)
		return r;
	for (size_t i = 0; i < names.n; i++) {
		_cleanup_buf_ struct bh_buf name = {0};
		int one;

		bh_buf_puts(&name, "conf.d/");
		bh_buf_put_safe(&name, names.v[i], 255);
		if (name.err)
			return name.err;
		one = load_file(c, dirfd(d), names.v[i], name.s, flags);	/* the others' errors are wanted too */
		r = r < 0 ? r : one;
	}
	return r;
}

/* The folder of a path, opened: main file and conf.d are read from the same one, whatever happens to its name meanwhile. */
static int open_folder(const char *path, const char **ret_base)
{
	_cleanup_free_ char *folder = NULL;
	const char *slash = strrchr(path, '/');
	int fd;

	folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	if (!folder)
		return -ENOMEM;
	fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	*ret_base = slash ? slash + 1 : path;
	return fd < 0 ? -errno : fd;
}

/* How a further file shows: relative to the main file's folder where it lies in it. */
static const char *shown_name(const char *main_path, const char *path)
{
	const char *slash = strrchr(main_path, '/');
	size_t n = slash ? (size_t)(slash - main_path) + 1 : 0;

	return strncmp(main_path, path, n) == 0 && path[n] ? path + n : path;
}

/* Reads the files of one configuration. A negative errno was told; then c->partial: the others are there, and can be judged. */
static int read_files(struct bh_cfg *c, const char *const *paths, size_t n, unsigned flags)
{
	_cleanup_close_ int dir = -1;
	const char *base = NULL;
	int r, one;

	if (n == 0)
		return -EINVAL;
	dir = open_folder(paths[0], &base);
	if (dir < 0) {
		bh_cfg_file_error(c, paths[0], "cannot be read: %s", strerrordesc_np(-dir));
		return c->err ? c->err : dir;
	}
	r = load_file(c, dir, *base ? base : ".", *base ? base : paths[0], flags);
	if (c->err || r < 0)
		return c->err ? c->err : r;
	if (n == 1 && (flags & BH_CONFIG_CONF_D))
		r = load_conf_d(c, dir, flags);
	for (size_t i = 1; i < n; i++) {
		one = load_file(c, AT_FDCWD, paths[i], shown_name(paths[0], paths[i]), flags);
		r = r < 0 ? r : one;
	}
	c->partial = r < 0;
	return c->err ? c->err : r;
}

int bh_config_load_files(const char *const *paths, size_t n, unsigned flags, struct bh_policy **ret,
	struct bh_diags *diags)
{
	_cleanup_(cfg_clear) struct bh_cfg c = {0};
	int r = cfg_init(&c, diags), one;

	if (r < 0)
		return r;
	r = read_files(&c, paths, n, flags);
	if (r < 0 && c.partial && !c.err) {	/* what is there is still judged: all errors at once */
		struct bh_policy *none = NULL;

		one = finish(&c, &none);
		bh_policy_free(none);
		return one == -ENOMEM ? one : r;
	}
	return r < 0 ? r : finish(&c, ret);
}

int bh_config_load(const char *path, unsigned flags, struct bh_policy **ret, struct bh_diags *diags)
{
	return bh_config_load_files(&path, 1, flags, ret, diags);
}

int bh_config_read(const char *path, unsigned flags, struct bh_config_texts *ret, struct bh_diags *diags)
{
	_cleanup_(cfg_clear) struct bh_cfg c = {0};
	struct bh_config_texts texts = {0};
	int r = cfg_init(&c, diags);

	if (r == 0)
		r = read_files(&c, &path, 1, flags);
	if (r < 0)
		return r;
	bh_vec_foreach(d, &c.docs) {
		struct bh_config_text t = {.name = strdup(d->file), .text = d->text, .n = d->n};

		if (!t.name || bh_vec_push(&texts.v, t) < 0) {
			free((void *)t.name);
			bh_config_texts_clear(&texts);
			return -ENOMEM;
		}
		d->text = NULL;
	}
	*ret = texts;
	return 0;
}
