/* SPDX-License-Identifier: Apache-2.0 */
/* What is behind: packages by dpkg's and apt's own files, the kernel, the processor's holes. */
#include "doctor.h"

#include <bulkhead/debian.h>

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define STATUS "/var/lib/dpkg/status"
#define LISTS "/var/lib/apt/lists"
#define APT_CONF_D "/etc/apt/apt.conf.d"
#define PACKAGES_MAX (256u << 20)	/* Ubuntu's lists are tens of MB */
#define FILE_MAX (1u << 20)
#define NAMES_MAX 4u

static int keep(void *userdata, const char *folder, const char *name)
{
	(void)folder;
	return bh_strv_push(userdata, name);
}

static bool ends(const char *s, const char *with)
{
	const size_t n = strlen(s), m = strlen(with);

	return n >= m && strcmp(s + n - m, with) == 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in a folder, sorted. 0 or -errno. */
static int names_in(const char *folder, struct bh_strv *ret)
{
	int r = bh_doctor_each(folder, keep, ret);

	if (ret->n > 1)
		qsort(ret->v, ret->n, sizeof(*ret->v), by_name);
	return r;
}

static int name_those_behind(struct bh_doctor_facts *f, const struct bh_debian *d)
{
	_cleanup_buf_ struct bh_buf b = {0};

	bh_vec_foreach(p, &d->packages) {
		if (!p->behind)
			continue;
		if (f->behind < NAMES_MAX) {
			bh_buf_puts(&b, f->behind ? ", " : "");
			bh_buf_putn(&b, p->name.s, p->name.n);
		}
		f->behind++;
	}
	if (f->behind > NAMES_MAX)
		bh_buf_printf(&b, " and %zu more", f->behind - NAMES_MAX);
	return bh_buf_steal(&b, &f->behind_names);
}

/* Lists of every archive whose name says that it is one for security; those that apt keeps compressed are not read. */
static int updates(struct bh_doctor_facts *f, const struct bh_strv *lists)
{
	_cleanup_buf_ struct bh_buf status = {0};
	struct bh_debian d = {0};
	int r = bh_buf_read_file(&status, STATUS, PACKAGES_MAX);
	bool any = false;

	if (r == 0)
		r = bh_debian_installed(status.s ? status.s : "", status.n, &d);
	for (size_t i = 0; i < lists->n && r == 0; i++) {
		_cleanup_buf_ struct bh_buf list = {0};
		char path[512];

		if (!strstr(lists->v[i], "security") || !ends(lists->v[i], "_Packages"))
			continue;
		snprintf(path, sizeof(path), LISTS "/%s", lists->v[i]);
		r = bh_buf_read_file(&list, path, PACKAGES_MAX);
		if (r == 0)
			bh_debian_offered(&d, list.s ? list.s : "", list.n);
		any = true;
	}
	if (r == 0 && !any)
		r = -ENODATA;
	if (r == 0)
		r = name_those_behind(f, &d);
	bh_vec_clear(&d.packages);
	f->updates_err = r;
	return r == -ENOMEM ? r : 0;
}

/* apt gives its lists the archive's time, so what an update touches is looked at: the folders, the cache, the stamp. */
static void age(struct bh_doctor_facts *f, const struct bh_strv *lists)
{
	static const char *const paths[] = {LISTS, LISTS "/partial", "/var/cache/apt/pkgcache.bin", "/var/lib/apt/periodic/update-success-stamp"};
	bool any = false;
	time_t newest = 0;
	struct stat st;

	for (size_t i = 0; i < lists->n; i++)
		any |= strstr(lists->v[i], "_Packages") != NULL;
	for (size_t i = 0; i < BH_ARRAY_SIZE(paths); i++)
		if (stat(paths[i], &st) == 0 && st.st_mtime > newest)
			newest = st.st_mtime;
	if (any)
		f->lists_age.n = (long)(time(NULL) - newest);
	else
		f->lists_age.err = -ENOENT;
}

static int debian(struct bh_doctor_facts *f)
{
	_cleanup_(bh_strv_clear) struct bh_strv lists = {0};
	int r = names_in(LISTS, &lists);

	if (r == -ENOMEM)
		return r;
	if (r < 0 && r != -ENOENT) {
		f->updates_err = f->lists_age.err = r;
		return 0;
	}
	age(f, &lists);
	return updates(f, &lists);
}

static int automatic(struct bh_doctor_facts *f)
{
	static const char *const timers[] = {"dnf-automatic", "dnf-automatic-install", "dnf5-automatic"};
	_cleanup_(bh_strv_clear) struct bh_strv names = {0};
	struct stat st;
	char path[512];
	int r = names_in(APT_CONF_D, &names);

	if (r < 0 && r != -ENOENT) {
		f->automatic.err = r;
		return r == -ENOMEM ? r : 0;
	}
	for (size_t i = 0; i < names.n; i++) {
		_cleanup_buf_ struct bh_buf b = {0};
		int on;

		snprintf(path, sizeof(path), APT_CONF_D "/%s", names.v[i]);
		if (bh_buf_read_file(&b, path, FILE_MAX) < 0)
			continue;
		on = bh_doctor_unattended(b.s ? b.s : "");
		if (on >= 0)
			f->automatic.n = on;
	}
	if (f->automatic.n && access("/usr/bin/unattended-upgrade", X_OK) < 0)
		f->automatic.n = 0;
	for (size_t i = 0; i < BH_ARRAY_SIZE(timers); i++) {
		snprintf(path, sizeof(path), "/etc/systemd/system/timers.target.wants/%s.timer", timers[i]);
		if (lstat(path, &st) == 0)
			f->automatic.n = 1;
	}
	return 0;
}

/* The newest of /boot/vmlinuz-*, a rescue image apart. */
static int kernel(struct bh_doctor_facts *f)
{
	_cleanup_(bh_strv_clear) struct bh_strv names = {0};
	const char *newest = NULL;
	struct utsname u;
	int r = names_in("/boot", &names);

	if (r == -ENOMEM || uname(&u) < 0 || bh_strdup(&f->kernel, u.release) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < names.n; i++) {
		const char *s = names.v[i];

		if (strncmp(s, "vmlinuz-", 8) != 0 || strncmp(s + 8, "0-rescue", 8) == 0 || ends(s, ".old"))
			continue;
		if (!newest || bh_debian_version_cmp(s + 8, newest) > 0)
			newest = s + 8;
	}
	return bh_strdup(&f->kernel_newest, newest);
}

static int add_vulnerability(void *userdata, const char *folder, const char *name)
{
	struct bh_doctor_facts *f = userdata;
	_cleanup_buf_ struct bh_buf b = {0};
	struct bh_vulnerability *v;
	char path[320];
	int r;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	r = bh_buf_read_file(&b, path, FILE_MAX);
	if (r < 0)
		return r;
	v = bh_vec_add(&f->vulnerabilities);
	if (!v || bh_strdup(&v->name, name) < 0)
		return -ENOMEM;
	if (b.n && b.s[b.n - 1] == '\n')
		b.s[b.n - 1] = '\0';
	return bh_buf_steal(&b, &v->text);
}

int bh_doctor_look_patches(struct bh_doctor_facts *f)
{
	int r = 0;

	f->packages = access(STATUS, F_OK) == 0 ? BH_PACKAGES_DEBIAN :
		access("/var/lib/rpm", F_OK) == 0 || access("/usr/lib/sysimage/rpm", F_OK) == 0 ? BH_PACKAGES_RPM : BH_PACKAGES_OTHER;
	if (f->packages == BH_PACKAGES_DEBIAN)
		r = debian(f);
	if (r == 0)
		r = automatic(f);
	f->reboot.n = access("/run/reboot-required", F_OK) == 0;
	f->vulnerabilities_err = bh_doctor_each("/sys/devices/system/cpu/vulnerabilities", add_vulnerability, f);
	if (r == 0)
		r = f->vulnerabilities_err == -ENOMEM ? -ENOMEM : kernel(f);
	return r;
}
