/* SPDX-License-Identifier: Apache-2.0 */
/* The files whose owner and mode matter. */
#include "doctor.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static int add(struct bh_doctor_facts *f, enum bh_check check, const char *path)
{
	struct bh_doctor_file *x;
	struct stat st;
	int err = stat(path, &st) < 0 ? -errno : 0;

	if (err == -ENOTDIR || (err == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode) && !S_ISSOCK(st.st_mode)))
		err = -ENOENT;	/* a unit that is masked is /dev/null */
	x = bh_vec_add(&f->files);
	if (!x)
		return -ENOMEM;
	x->check = check;
	x->err = err;
	if (err == 0) {
		x->mode = st.st_mode & 07777;
		x->uid = st.st_uid;
		x->gid = st.st_gid;
		x->dir = S_ISDIR(st.st_mode);
	}
	return bh_strdup(&x->path, path);
}

static bool ends(const char *s, const char *with)
{
	const size_t n = strlen(s), m = strlen(with);

	return n > m && strcmp(s + n - m, with) == 0;
}

static int add_in(struct bh_doctor_facts *f, enum bh_check check, const char *folder, const char *name)
{
	char path[1024];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return add(f, check, path);
}

static int add_cert(void *userdata, const char *folder, const char *name)
{
	if (ends(name, ".crt") || ends(name, ".cert"))
		return add_in(userdata, BH_CHECK_DOCKER_CERTS, folder, name);
	return ends(name, ".key") ? add_in(userdata, BH_CHECK_DOCKER_KEY, folder, name) : 0;
}

/* A registry's folder. */
static int add_certs(void *userdata, const char *folder, const char *name)
{
	char path[512];
	int r;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	r = bh_doctor_each(path, add_cert, userdata);
	return r == -ENOMEM ? r : add(userdata, BH_CHECK_DOCKER_CERTS, path);
}

static int add_yaml(void *userdata, const char *folder, const char *name)
{
	return ends(name, ".yaml") ? add_in(userdata, BH_CHECK_BULKHEAD_CONFIG, folder, name) : 0;
}

static int add_state(void *userdata, const char *folder, const char *name)
{
	return add_in(userdata, BH_CHECK_BULKHEAD_STATE, folder, name);
}

static int fixed(struct bh_doctor_facts *f)
{
	static const struct {
		enum bh_check check;
		const char *path;
	} paths[] = {
		{BH_CHECK_CONTAINERD_SOCKET, "/run/containerd/containerd.sock"}, {BH_CHECK_CONTAINERD_SOCKET, "/run/docker/containerd/containerd.sock"},
		{BH_CHECK_DOCKER_CONFIG, "/etc/docker"}, {BH_CHECK_DOCKER_CONFIG, "/etc/default/docker"}, {BH_CHECK_DOCKER_CONFIG, "/etc/sysconfig/docker"},
		{BH_CHECK_DOCKER_CERTS, "/etc/docker/certs.d"},
		{BH_CHECK_DOCKER_UNITS, "/etc/systemd/system/docker.service"}, {BH_CHECK_DOCKER_UNITS, "/etc/systemd/system/docker.socket"},
		{BH_CHECK_DOCKER_UNITS, "/usr/lib/systemd/system/docker.service"}, {BH_CHECK_DOCKER_UNITS, "/usr/lib/systemd/system/docker.socket"},
		{BH_CHECK_BULKHEAD_STATE, "/var/lib/bulkhead"},
	};
	int r = 0;

	for (size_t i = 0; i < BH_ARRAY_SIZE(paths) && r == 0; i++)
		r = add(f, paths[i].check, paths[i].path);
	return r;
}

/* Files that Docker was told of. */
static int told(struct bh_doctor_facts *f)
{
	static const struct {
		const char *name;
		enum bh_check check;
	} options[] = {{"tlscacert", BH_CHECK_DOCKER_CERTS}, {"tlscert", BH_CHECK_DOCKER_CERTS}, {"tlskey", BH_CHECK_DOCKER_KEY}};
	int r = add(f, BH_CHECK_DOCKER_CONFIG, f->dockerd.file);

	for (size_t i = 0; i < BH_ARRAY_SIZE(options) && r == 0; i++) {
		const char *path = bh_dockerd_value(&f->dockerd, options[i].name);

		r = path ? add(f, options[i].check, path) : 0;
	}
	return r == 0 ? add(f, BH_CHECK_DOCKER_DATA, f->dockerd.root_dir ? f->dockerd.root_dir : "/var/lib/docker") : r;
}

int bh_doctor_look_files(struct bh_doctor_facts *f, const struct bh_doctor_where *where)
{
	static const struct {
		const char *folder;
		int (*fn)(void *userdata, const char *folder, const char *name);
	} folders[] = {{"/etc/docker/certs.d", add_certs}, {"/var/lib/bulkhead", add_state}};
	const char *slash = strrchr(where->config, '/');
	char conf_d[1024];
	int r = add(f, BH_CHECK_DOCKER_SOCKET, where->docker);

	if (r == 0)
		r = add(f, BH_CHECK_BULKHEAD_SOCKET, where->control);
	if (r == 0)
		r = add(f, BH_CHECK_BULKHEAD_CONFIG, where->config);
	snprintf(conf_d, sizeof(conf_d), "%.*sconf.d", (int)(slash ? slash - where->config + 1 : 0), where->config);
	if (r == 0)
		r = add(f, BH_CHECK_BULKHEAD_CONFIG, conf_d);
	if (r == 0)
		r = bh_doctor_each(conf_d, add_yaml, f) == -ENOMEM ? -ENOMEM : 0;
	if (r == 0)
		r = fixed(f);
	if (r == 0)
		r = told(f);
	for (size_t i = 0; i < BH_ARRAY_SIZE(folders) && r == 0; i++)	/* one that cannot be listed is told of by its own owner and mode */
		r = bh_doctor_each(folders[i].folder, folders[i].fn, f) == -ENOMEM ? -ENOMEM : 0;
	return r;
}
