/* SPDX-License-Identifier: Apache-2.0 */
/* Docker, and what is around it on this host. */
#include "doctor.h"

#include <bulkhead/runtime.h>

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define TIMEOUT_MS 5000
#define ENVIRONMENT_MAX (1u << 20)

static int group(struct bh_doctor_facts *f)
{
	const struct group *g;

	errno = 0;
	g = getgrnam("docker");
	if (!g) {	/* getgrnam(3): not found may look like several errors */
		f->group_err = errno == EIO || errno == EMFILE || errno == ENFILE ? -errno : -ENOENT;
		return errno == ENOMEM ? -ENOMEM : 0;
	}
	f->docker_gid = g->gr_gid;
	for (char **m = g->gr_mem; *m; m++)
		if (bh_strv_push(&f->group, *m) < 0)
			return -ENOMEM;
	return 0;
}

/* Whether what is mounted at Docker's root folder, or with userns-remap at the folder above, is mounted there. */
static struct bh_number partition(const struct bh_dockerd *d)
{
	struct bh_number out = {0};
	struct stat st[3];
	char path[4096];

	snprintf(path, sizeof(path), "%.4000s", d->root_dir ? d->root_dir : "/var/lib/docker");
	for (size_t i = 0; i < 3; i++) {
		if (stat(path, &st[i]) < 0) {
			out.err = -errno;
			return out;
		}
		strcat(path, "/..");
	}
	out.n = st[0].st_dev != st[1].st_dev;
	for (size_t i = 0; i < d->security_options.n; i++)
		if (strncmp(d->security_options.v[i], "name=userns", 11) == 0)
			out.n |= st[1].st_dev != st[2].st_dev;
	return out;
}

static bool content_trust(void)
{
	_cleanup_buf_ struct bh_buf b = {0};
	const char *env = getenv("DOCKER_CONTENT_TRUST");

	if (env)
		return strcmp(env, "1") == 0;
	return bh_buf_read_file(&b, "/etc/environment", ENVIRONMENT_MAX) == 0 && b.s && bh_doctor_is_set(b.s, "DOCKER_CONTENT_TRUST", "1");
}

int bh_doctor_look_docker(struct bh_doctor_facts *f, const struct bh_doctor_where *where)
{
	int r = bh_dockerd_look(where->docker, TIMEOUT_MS, &f->dockerd, NULL);

	if (r < 0)
		return r;
	f->partition = partition(&f->dockerd);
	f->content_trust = content_trust();
	return group(f);
}
