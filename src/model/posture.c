/* SPDX-License-Identifier: Apache-2.0 */
#include <bulkhead/posture.h>
#include <bulkhead/sum.h>

#include <errno.h>
#include <string.h>
#include <strings.h>

/* linux/capability.h, by number. */
static const char *const caps[BH_CAPS_MAX] = {"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
	"LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO",
	"SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE",
	"AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON",
	"BPF", "CHECKPOINT_RESTORE"};

int bh_cap_number(const char *name)
{
	if (strncasecmp(name, "CAP_", 4) == 0)
		name += 4;
	for (int i = 0; i < BH_CAPS_MAX; i++)
		if (strcasecmp(name, caps[i]) == 0)
			return i;
	return -1;
}

const char *bh_cap_name(int number)
{
	return number >= 0 && number < BH_CAPS_MAX ? caps[number] : NULL;
}

const char *bh_namespace_name(enum bh_namespace n)
{
	static const char *const names[BH_NAMESPACE_MAX] = {"pid", "ipc", "net", "uts", "cgroup", "user"};

	return names[n];
}

const char *bh_restart_name(enum bh_restart r)
{
	static const char *const names[BH_RESTART_MAX + 1] = {"no", "on-failure", "unless-stopped", "always", "other"};

	return names[r];
}

bool bh_path_holds(const char *path, const char *inner)
{
	size_t n = strlen(path);

	while (n > 0 && path[n - 1] == '/')
		n--;
	return strncmp(path, inner, n) == 0 && (inner[n] == '\0' || inner[n] == '/');
}

const struct bh_mount *bh_posture_socket(const struct bh_posture *p)
{
	static const char *const sockets[] = {"/run/docker.sock", "/var/run/docker.sock", "/run/containerd/containerd.sock",
		"/var/run/containerd/containerd.sock", "/run/docker/containerd/containerd.sock", "/run/podman/podman.sock",
		"/var/run/podman/podman.sock", "/run/crio/crio.sock", "/var/run/crio/crio.sock"};

	bh_vec_foreach(m, &p->mounts) {
		if (m->socket)
			return m;
		for (size_t i = 0; i < BH_ARRAY_SIZE(sockets); i++)
			if (bh_path_holds(m->source, sockets[i]))
				return m;
	}
	return NULL;
}

void bh_image_facts_clear(struct bh_image_facts *i)
{
	bh_strv_clear(&i->digests);
	memset(i, 0, sizeof(*i));
}

void bh_posture_clear(struct bh_posture *p)
{
	free(p->user);
	free(p->apparmor_profile);
	free(p->selinux_label);
	free(p->reference);
	bh_vec_foreach(m, &p->mounts)
		free(m->source);
	bh_vec_clear(&p->mounts);
	bh_strv_clear(&p->devices);
	bh_image_facts_clear(&p->image);
	memset(p, 0, sizeof(*p));
}

static int strv_copy(struct bh_strv *dst, const struct bh_strv *src)
{
	int r = bh_vec_exact(dst, src->n);

	for (size_t i = 0; r == 0 && i < src->n; i++)
		r = bh_strv_push(dst, src->v[i]);
	return r;
}

int bh_image_facts_copy(struct bh_image_facts *dst, const struct bh_image_facts *src)
{
	dst->known = src->known;
	dst->created = src->created;
	if (strv_copy(&dst->digests, &src->digests) < 0) {
		bh_image_facts_clear(dst);
		return -ENOMEM;
	}
	return 0;
}

static int mounts_copy(struct bh_posture *dst, const struct bh_posture *src)
{
	if (bh_vec_exact(&dst->mounts, src->mounts.n) < 0)
		return -ENOMEM;
	bh_vec_foreach(m, &src->mounts) {
		struct bh_mount *n = bh_vec_add(&dst->mounts);

		if (!n || bh_strdup(&n->source, m->source) < 0)
			return -ENOMEM;
		n->writable = m->writable;
		n->socket = m->socket;
	}
	return 0;
}

int bh_posture_copy(struct bh_posture *dst, const struct bh_posture *src)
{
	struct bh_posture own = *src;	/* what is plain; what is owned is copied below */

	own.user = own.apparmor_profile = own.selinux_label = own.reference = NULL;
	memset(&own.mounts, 0, sizeof(own.mounts));
	memset(&own.devices, 0, sizeof(own.devices));
	memset(&own.image, 0, sizeof(own.image));
	*dst = own;
	if (bh_strdup(&dst->user, src->user) < 0 || bh_strdup(&dst->apparmor_profile, src->apparmor_profile) < 0 ||
		bh_strdup(&dst->selinux_label, src->selinux_label) < 0 || bh_strdup(&dst->reference, src->reference) < 0 ||
		mounts_copy(dst, src) < 0 || strv_copy(&dst->devices, &src->devices) < 0 ||
		bh_image_facts_copy(&dst->image, &src->image) < 0) {
		bh_posture_clear(dst);
		return -ENOMEM;
	}
	return 0;
}

static bool strv_equal(const struct bh_strv *a, const struct bh_strv *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->v[i], b->v[i]) != 0)
			return false;
	return true;
}

static bool mounts_equal(const struct bh_posture *a, const struct bh_posture *b)
{
	if (a->mounts.n != b->mounts.n)
		return false;
	for (size_t i = 0; i < a->mounts.n; i++) {
		const struct bh_mount *x = &a->mounts.v[i], *y = &b->mounts.v[i];

		if (x->writable != y->writable || x->socket != y->socket || strcmp(x->source, y->source) != 0)
			return false;
	}
	return true;
}

bool bh_posture_equal(const struct bh_posture *a, const struct bh_posture *b)
{
	return a->known == b->known && a->privileged == b->privileged && a->no_new_privileges == b->no_new_privileges &&
		a->read_only_root == b->read_only_root && a->root == b->root && a->caps == b->caps && a->seccomp == b->seccomp &&
		a->apparmor == b->apparmor && a->selinux == b->selinux && memcmp(a->namespaces, b->namespaces, sizeof(a->namespaces)) == 0 &&
		a->memory == b->memory && a->cpus == b->cpus && a->pids == b->pids && a->restart == b->restart && a->unmasked == b->unmasked &&
		bh_streq(a->user, b->user) && bh_streq(a->apparmor_profile, b->apparmor_profile) && bh_streq(a->selinux_label, b->selinux_label) &&
		bh_streq(a->reference, b->reference) && mounts_equal(a, b) && strv_equal(&a->devices, &b->devices) &&
		a->image.known == b->image.known && a->image.created == b->image.created && strv_equal(&a->image.digests, &b->image.digests);
}

static uint64_t sum_text(uint64_t sum, const char *s)
{
	return s ? bh_sum(sum, s, strlen(s) + 1) : bh_sum(sum, "\xff", 1);
}

static uint64_t sum_strv(uint64_t sum, const struct bh_strv *l)
{
	sum = bh_sum(sum, &l->n, sizeof(l->n));
	for (size_t i = 0; i < l->n; i++)
		sum = sum_text(sum, l->v[i]);
	return sum;
}

uint64_t bh_posture_sum(uint64_t sum, const struct bh_posture *p)
{
	const uint64_t numbers[] = {p->known, p->privileged, p->no_new_privileges, p->read_only_root, p->root, p->caps, p->seccomp, p->apparmor,
		p->selinux, p->memory, p->cpus, p->pids, p->restart, p->unmasked, p->image.known, (uint64_t)p->image.created, p->mounts.n};

	sum = bh_sum(sum, numbers, sizeof(numbers));
	sum = bh_sum(sum, p->namespaces, sizeof(p->namespaces));
	sum = sum_text(sum_text(sum_text(sum_text(sum, p->user), p->apparmor_profile), p->selinux_label), p->reference);
	bh_vec_foreach(m, &p->mounts) {
		const uint8_t flags = (uint8_t)(m->writable | m->socket << 1);

		sum = bh_sum(sum_text(sum, m->source), &flags, 1);
	}
	return sum_strv(sum_strv(sum, &p->devices), &p->image.digests);
}
