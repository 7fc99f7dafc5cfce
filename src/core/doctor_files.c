/* SPDX-License-Identifier: Apache-2.0 */
/* Owners and modes of files, and bulkhead's own configuration. */
#include "doctor_priv.h"

#include <errno.h>

/* The most that may be allowed. Root writes to everything, so a mode is not narrower than what that leaves to others. */
static const struct {
	enum bh_check check;
	unsigned file, dir;
	enum { ANY_GROUP, ROOT, ROOT_OR_DOCKER } group;	/* who may write as the group */
} LIMITS[] = {
	{BH_CHECK_DOCKER_SOCKET, 0660, 0, ROOT_OR_DOCKER}, {BH_CHECK_CONTAINERD_SOCKET, 0660, 0, ROOT}, {BH_CHECK_DOCKER_CONFIG, 0644, 0755, ANY_GROUP},
	{BH_CHECK_DOCKER_CERTS, 0644, 0755, ANY_GROUP}, {BH_CHECK_DOCKER_KEY, 0600, 0, ANY_GROUP}, {BH_CHECK_DOCKER_UNITS, 0644, 0, ANY_GROUP},
	{BH_CHECK_DOCKER_DATA, 0, 0711, ANY_GROUP}, {BH_CHECK_BULKHEAD_CONFIG, 0644, 0755, ANY_GROUP}, {BH_CHECK_BULKHEAD_STATE, 0644, 0755, ANY_GROUP},
	{BH_CHECK_BULKHEAD_SOCKET, 0660, 0, ANY_GROUP},
};

static bool wrong_group(const struct doctor *d, size_t limit, const struct bh_doctor_file *x)
{
	if (!(x->mode & 0020) || LIMITS[limit].group == ANY_GROUP || x->gid == 0)
		return false;
	return LIMITS[limit].group == ROOT || d->f->group_err < 0 || x->gid != d->f->docker_gid;
}

static void look(struct doctor *d, size_t limit)
{
	const enum bh_check check = LIMITS[limit].check;
	_cleanup_buf_ struct bh_buf b = {0};
	const struct bh_doctor_file *unread = NULL, *first = NULL;
	size_t bad = 0, there = 0;

	bh_vec_foreach(x, &d->f->files) {
		const unsigned most = x->dir ? LIMITS[limit].dir : LIMITS[limit].file;
		const size_t before = bad;

		if (x->check != check || x->err == -ENOENT)
			continue;
		if (x->err < 0) {
			unread = x;
			continue;
		}
		there++;
		if (x->uid != 0)
			doctor_list(&b, &bad, "%s belongs to uid %u", x->path, x->uid);
		else if (x->mode & ~most)
			doctor_list(&b, &bad, "%s has mode %04o, more than %04o", x->path, x->mode, most);
		else if (wrong_group(d, limit, x))
			doctor_list(&b, &bad, "%s may be written by gid %u", x->path, x->gid);
		if (bad > before && !first)
			first = x;
	}
	doctor_list_end(&b, bad);
	if (b.err)
		d->err = b.err;
	if (bad)
		doctor_put(d, check, BH_RESULT_FAIL, "%s", b.s ? b.s : "");
	else if (unread)
		doctor_unread(d, check, unread->path, unread->err);
	else if (there)
		doctor_put(d, check, BH_RESULT_PASS, "%zu looked at", there);
	else
		doctor_put(d, check, BH_RESULT_PASS, "there is none here");
	if (first && first->uid != 0)
		doctor_fix(d, check, "chown root:root %s", first->path);
	else if (first && first->mode & ~(first->dir ? LIMITS[limit].dir : LIMITS[limit].file))
		doctor_fix(d, check, "chmod %04o %s", first->mode & (first->dir ? LIMITS[limit].dir : LIMITS[limit].file), first->path);
	else if (first)
		doctor_fix(d, check, "chgrp root %s", first->path);
}

void doctor_files(struct doctor *d)
{
	const struct bh_doctor_facts *f = d->f;

	for (size_t i = 0; i < BH_ARRAY_SIZE(LIMITS); i++)
		look(d, i);
	if (f->config_err == 0)
		doctor_put(d, BH_CHECK_BULKHEAD_VALID, BH_RESULT_PASS, "it is valid");
	else if (f->config_err == -ENOENT)
		doctor_put(d, BH_CHECK_BULKHEAD_VALID, BH_RESULT_WARN, "there is no configuration");
	else if (f->config_err == -EACCES || f->config_err == -EPERM)
		doctor_unread(d, BH_CHECK_BULKHEAD_VALID, "the configuration", f->config_err);
	else
		doctor_put(d, BH_CHECK_BULKHEAD_VALID, BH_RESULT_FAIL, "%s", f->config_error ? f->config_error : "it cannot be read");
	if (f->config_err == -ENOENT)
		doctor_fix(d, BH_CHECK_BULKHEAD_VALID, "copy one of rules/ to /etc/bulkhead/bulkhead.yaml: default.yaml only audits");
}
