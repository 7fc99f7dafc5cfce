/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of the kernel, links, rules, the clock, and what the kernel can do. */
#include "doctor.h"
#include "guard.h"

#include <bulkhead/nft.h>
#include <bulkhead/tc.h>

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <unistd.h>

#define FILE_MAX (1u << 20)

struct bh_number bh_doctor_number(const char *path)
{
	_cleanup_buf_ struct bh_buf b = {0};
	struct bh_number out = {.err = bh_buf_read_file(&b, path, 64)};
	char *end;

	if (out.err < 0)
		return out;
	if (b.n && (b.s[0] == 'Y' || b.s[0] == 'N')) {
		out.n = b.s[0] == 'Y';
		return out;
	}
	out.n = strtol(b.s ? b.s : "", &end, 10);
	if (!b.s || end == b.s)
		out.err = -EBADMSG;
	return out;
}

int bh_doctor_each(const char *path, int (*fn)(void *userdata, const char *folder, const char *name), void *userdata)
{
	DIR *d = opendir(path);
	const struct dirent *e;
	int r = 0;

	if (!d)
		return -errno;
	while (r == 0 && (e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			r = fn(userdata, path, e->d_name);
	closedir(d);
	return r;
}

static int add_link(struct bh_doctor_facts *f, const char *name)
{
	struct bh_doctor_link *l = bh_vec_add(&f->links);

	if (!l)
		return -ENOMEM;
	snprintf(l->name, sizeof(l->name), "%s", name);
	for (enum bh_link_knob k = 0; k < BH_LINK_KNOB_MAX; k++) {
		const char *file, *top = bh_link_knob_path(k, &file);
		char path[128];

		snprintf(path, sizeof(path), "%s/%s/%s", top, l->name, file);
		l->v[k] = bh_doctor_number(path);
	}
	return 0;
}

/* Ports of bridges route nothing. */
static int links(struct bh_doctor_facts *f)
{
	_cleanup_(bh_host_freep) struct bh_host *host = NULL;
	_cleanup_(bh_tc_freep) struct bh_tc *tc = NULL;
	int r = bh_tc_new(&tc, NULL);

	if (r == 0)
		r = tc->ops->host(tc, &host, NULL);
	if (r == 0)
		r = add_link(f, "all");
	if (r == 0)
		r = add_link(f, "default");
	for (size_t i = 0; r == 0 && i < host->links.n; i++) {
		const struct bh_link *l = &host->links.v[i];

		if (l->master)
			continue;
		r = add_link(f, l->name);
		if (r == 0)
			f->links.v[f->links.n - 1].containers = l->kind == BH_LINK_BRIDGE && !bh_host_has_foreign_port(host, l->ifindex);
	}
	f->links_err = r;
	return r == -ENOMEM ? r : 0;
}

static bool is_enabled(const char *unit)
{
	static const char *const targets[] = {"multi-user", "sysinit", "basic", "network-pre"};
	struct stat st;
	char path[128];

	for (size_t i = 0; i < BH_ARRAY_SIZE(targets); i++) {
		snprintf(path, sizeof(path), "/etc/systemd/system/%s.target.wants/%s.service", targets[i], unit);
		if (lstat(path, &st) == 0)
			return true;
	}
	return false;
}

/* What is asked of a file's text; one that is not there is empty. */
static struct bh_number flushes(void)
{
	static const char *const paths[] = {"/etc/nftables.conf", "/etc/sysconfig/nftables.conf"};
	struct bh_number out = {.err = -ENOENT};

	for (size_t i = 0; i < BH_ARRAY_SIZE(paths); i++) {
		_cleanup_buf_ struct bh_buf b = {0};
		int r = bh_buf_read_file(&b, paths[i], FILE_MAX);

		if (r == 0) {
			out.err = 0;
			out.n |= bh_doctor_flushes(b.s ? b.s : "");
		} else if (r != -ENOENT && out.err == -ENOENT) {
			out.err = r;
		}
	}
	return out;
}

static void firewalls(struct bh_doctor_facts *f)
{
	_cleanup_buf_ struct bh_buf ufw = {0};

	f->guard_err = bh_cli_guard(&f->guard, NULL);
	f->foreign_err = bh_nft_foreign(&f->foreign, NULL);
	if (is_enabled("ufw") && bh_buf_read_file(&ufw, "/etc/ufw/ufw.conf", FILE_MAX) == 0 && ufw.s && bh_doctor_is_set(ufw.s, "ENABLED", "yes"))
		f->loads |= BH_LOADS_UFW;
	if (is_enabled("firewalld"))
		f->loads |= BH_LOADS_FIREWALLD;
	if (is_enabled("nftables"))
		f->loads |= BH_LOADS_NFTABLES;
	f->flushes = flushes();
}

static int is_auditd(void *userdata, const char *folder, const char *name)
{
	struct bh_doctor_facts *f = userdata;
	_cleanup_buf_ struct bh_buf b = {0};
	char path[64];

	if (name[0] < '1' || name[0] > '9')
		return 0;
	snprintf(path, sizeof(path), "%s/%.16s/comm", folder, name);
	if (bh_buf_read_file(&b, path, 64) == 0 && bh_streq(b.s, "auditd\n"))
		f->auditd.n = 1;
	return 0;
}

static int add_rules(void *userdata, const char *folder, const char *name)
{
	struct bh_doctor_facts *f = userdata;
	_cleanup_buf_ struct bh_buf text = {0}, rules = {0};
	const size_t n = strlen(name);
	char path[320];
	int r;

	if (n < 6 || strcmp(name + n - 6, ".rules") != 0)
		return 0;
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	r = bh_buf_read_file(&text, path, FILE_MAX);
	if (r < 0)
		return r;
	bh_buf_puts(&rules, f->audit_rules ? f->audit_rules : "");
	bh_doctor_uncomment(text.s ? text.s : "", &rules);
	free(f->audit_rules);
	f->audit_rules = NULL;
	return bh_buf_steal(&rules, &f->audit_rules);
}

int bh_doctor_look_host(struct bh_doctor_facts *f)
{
	struct timex t = {0};
	int r;

	for (enum bh_knob k = 0; k < BH_KNOB_MAX; k++)
		f->knobs[k] = bh_doctor_number(bh_knob_path(k));
	f->synced.err = adjtimex(&t) < 0 ? -errno : 0;
	f->synced.n = !(t.status & STA_UNSYNC);
	f->auditd.err = bh_doctor_each("/proc", is_auditd, f);
	f->audit_err = bh_doctor_each("/etc/audit", add_rules, f);
	r = bh_doctor_each("/etc/audit/rules.d", add_rules, f);
	if (f->audit_err == 0 && r != -ENOENT)
		f->audit_err = r;
	firewalls(f);
	if (f->audit_err == -ENOMEM)
		return -ENOMEM;
	return links(f);
}

void bh_doctor_try_kernel(struct bh_doctor_facts *f)
{
	if (unshare(CLONE_NEWNET) < 0) {
		f->nft_err = f->tc_err = -errno;
		return;
	}
	f->nft_err = bh_nft_probe(&f->features, NULL);
	if (f->nft_err == -EPROTONOSUPPORT)	/* no netlink for netfilter at all */
		f->nft_err = -EOPNOTSUPP;
	f->tc_err = bh_tc_probe(&f->features, NULL);
}
