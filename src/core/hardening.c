/* SPDX-License-Identifier: Apache-2.0 */
/* One function a condition: whether it is met, and else what was found and what to set. */
#include <bulkhead/hardening.h>
#include <bulkhead/place.h>
#include <bulkhead/provenance.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define SHOWN 128	/* bytes of a stranger's text */
#define NAMED 4		/* capabilities, devices, namespaces in a sentence */

/* What is said of a condition that fails. */
struct finding {
	struct bh_buf found, docker, compose;
};

typedef bool (*check_fn)(const struct bh_require *r, struct bh_hardening *h, struct finding *f);

static bool say(struct finding *f, const char *found, const char *docker, const char *compose)
{
	bh_buf_puts(&f->found, found);
	bh_buf_puts(&f->docker, docker);
	bh_buf_puts(&f->compose, compose);
	return false;
}

static bool check_privileged(const struct bh_require *r, struct bh_hardening *h, struct finding *f)
{
	(void)r;
	return !h->posture->privileged || say(f, "it is privileged", "without --privileged", "privileged: false");
}

static bool check_user(const struct bh_require *r, struct bh_hardening *h, struct finding *f)
{
	(void)r;
	if (!h->posture->root)
		return true;
	if (h->posture->user) {
		bh_buf_puts(&f->found, "its user is '");
		bh_buf_put_safe(&f->found, h->posture->user, SHOWN);
		bh_buf_puts(&f->found, h->posture->user[0] == '0' || strncmp(h->posture->user, "root", 4) == 0 ?
			"', which is root" : "', a name that its image may give to root: only a number tells");
	} else {
		bh_buf_puts(&f->found, "it runs as root, no user is set");
	}
	return say(f, "", "--user 1000:1000", "user: \"1000:1000\"");
}

/* Names of a set, with what comes before each. */
static void put_caps(struct bh_buf *out, bh_caps caps, const char *before, const char *sep, int max)
{
	int n = 0;

	for (int i = 0; i < BH_CAPS_MAX; i++) {
		if (!(caps & (bh_caps)1 << i))
			continue;
		if (n == max) {
			bh_buf_puts(out, " and more");
			return;
		}
		bh_buf_printf(out, "%s%s%s", n++ > 0 ? sep : "", before, bh_cap_name(i));
	}
	if (caps & BH_CAP_STRANGE && n == 0)
		bh_buf_puts(out, "one that this program does not know");
}

static bool check_capabilities(const struct bh_require *r, struct bh_hardening *h, struct finding *f)
{
	bh_caps caps = h->posture->caps, bad = caps & r->caps_forbid;
	bh_caps keep = r->caps_allow & caps;

	if (r->caps_bound)
		bad |= caps & ~r->caps_allow;
	if (!bad)
		return true;
	bh_buf_puts(&f->found, "it has ");
	put_caps(&f->found, bad, "", ", ", NAMED);
	if (h->posture->privileged)
		return say(f, ": it is privileged", "without --privileged", "privileged: false");
	if (r->caps_bound) {
		bh_buf_puts(&f->docker, "--cap-drop ALL");
		put_caps(&f->docker, keep, " --cap-add ", "", BH_CAPS_MAX);
		bh_buf_puts(&f->compose, "cap_drop: [ALL]");
		if (keep) {
			bh_buf_puts(&f->compose, ", cap_add: [");
			put_caps(&f->compose, keep, "", ", ", BH_CAPS_MAX);
			bh_buf_puts(&f->compose, "]");
		}
		return false;
	}
	put_caps(&f->docker, bad, "--cap-drop ", " ", NAMED);
	bh_buf_puts(&f->docker, ", without --cap-add of it");
	bh_buf_puts(&f->compose, "cap_drop: [");
	put_caps(&f->compose, bad, "", ", ", BH_CAPS_MAX);
	bh_buf_puts(&f->compose, "], without it in cap_add");
	return false;
}

static bool check_seccomp(const struct bh_require *r, struct bh_hardening *h, struct finding *f)
{
	(void)r;
	if (h->posture->seccomp != BH_CONFINED_NOT)
		return true;
	if (h->posture->privileged)
		return say(f, "no seccomp profile: it is privileged", "without --privileged", "privileged: false");
	return say(f, "no seccomp profile confines it", "without --security-opt seccomp=unconfined", "security_opt without seccomp:unconfined");
}

static bool check_apparmor(const struct bh_require *r, struct bh_hardening *h, struct finding *f)
{
	(void)r;
	return h->posture->apparmor != BH_CONFINED_NOT || say(f, "no AppArmor profile confines it", "--security-opt apparmor=docker-default",
		"security_opt: [apparmor:docker-default]");
}

static bool check_selinux(const struct bh_require *r, struct bh_hardening *h, struct finding *f)
{
	(void)r;
	return h->posture->selinux != BH_CONFINED_NOT || say(f, "no SELinux label confines it",
		"without --security-opt label=disable, on a daemon with selinux-enabled", "security_opt without label:disable");
}

static bool check_no_new_privileges(const struct bh_require *r, struct bh_hardening *h, struct finding *f)
{
	(void)r;
	return h->posture->no_new_privileges || say(f, "its processes may gain privileges", "--security-opt no-new-privileges",
		"security_opt: [no-new-privileges:true]");
}

static bool check_read_only_root(const struct bh_require *r, struct bh_hardening *h, struct finding *f)
{
	(void)r;
	return h->posture->read_only_root || say(f, "its root file system can be written to", "--read-only", "read_only: true");
}

static bool check_memory(const struct bh_require *r, struct bh_hardening *h, struct finding *f)
{
	(void)r;
	return h->posture->memory || say(f, "its memory has no limit", "--memory 512m", "mem_limit: 512m");
}

static bool check_cpu(const struct bh_require *r, struct bh_hardening *h, struct finding *f)
{
	(void)r;
	return h->posture->cpus || say(f, "its CPU time has no limit", "--cpus 1", "cpus: 1");
}

static bool check_pids(const struct bh_require *r, struct bh_hardening *h, struct finding *f)
{
	(void)r;
	return h->posture->pids || say(f, "its processes have no limit", "--pids-limit 200", "pids_limit: 200");
}

/* What gives power over a host, or tells its secrets: EVEN_BELOW, each part of it does. */
static bool is_sensitive(const char *source)
{
	static const struct {
		const char *path;
		bool even_below;
	} paths[] = {{"/proc", true}, {"/sys", true}, {"/dev", true}, {"/boot", true}, {"/root", true}, {"/etc", false}, {"/etc/shadow", true},
		{"/etc/ssh", true}, {"/etc/sudoers", true}, {"/etc/sudoers.d", true}, {"/etc/cron.d", true}, {"/etc/systemd", true},
		{"/etc/docker", true}, {"/home", false}, {"/usr", false}, {"/bin", false}, {"/sbin", false}, {"/lib", false}, {"/lib64", false},
		{"/lib/modules", true}, {"/run", false}, {"/var/run", false}, {"/run/systemd", true}, {"/var/lib/docker", true},
		{"/var/lib/containerd", true}, {"/var/lib/containers", true}, {"/var/lib/kubelet", true}};

	for (size_t i = 0; i < BH_ARRAY_SIZE(paths); i++)
		if (bh_path_holds(source, paths[i].path) || (paths[i].even_below && bh_path_holds(paths[i].path, source)))
			return true;
	return false;
}

/* Whether a mount of SOURCE shows something that PATTERN names: it is in it, or it is in that. */
static bool mount_meets(const char *pattern, const char *source, struct bh_buf *work)
{
	size_t fixed = strcspn(pattern, "*?");

	/* a folder above what the pattern can name */
	while (fixed > 1 && pattern[fixed] && pattern[fixed - 1] != '/')
		fixed--;
	work->n = 0;
	bh_buf_putn(work, pattern, fixed);
	if (work->err || bh_path_holds(source, work->s))
		return true;
	/* it, or something in it */
	work->n = 0;
	bh_buf_puts(work, source);
	while (work->err == 0 && work->n > 0) {
		char *slash;

		if (bh_glob(pattern, work->s))
			return true;
		slash = strrchr(work->s, '/');
		if (!slash || slash == work->s)
			break;
		*slash = '\0';
		work->n = (size_t)(slash - work->s);
	}
	return work->err != 0;
}

static const char *mount_found(const char *name, const struct bh_posture *p, struct bh_buf *work)
{
	const struct bh_mount *socket = bh_posture_socket(p);

	if (strcmp(name, BH_MOUNT_SOCKET) == 0)
		return socket ? socket->source : NULL;
	if (strcmp(name, BH_MOUNT_SENSITIVE) == 0 && socket)
		return socket->source;
	bh_vec_foreach(m, &p->mounts)
		if (strcmp(name, BH_MOUNT_SENSITIVE) == 0 ? is_sensitive(m->source) : mount_meets(name, m->source, work))
			return m->source;
	return NULL;
}

static bool check_mounts(const struct bh_require *r, struct bh_hardening *h, struct finding *f)
{
	_cleanup_buf_ struct bh_buf work = {0};
	const char *source = NULL, *name = NULL;

	for (size_t i = 0; i < r->mounts.n && !source; i++) {
		name = r->mounts.v[i];
		source = mount_found(name, h->posture, &work);
	}
	if (!source && h->posture->unmasked && !h->posture->privileged && bh_strv_has(&r->mounts, BH_MOUNT_SENSITIVE))
		return say(f, "the kernel's files in its /proc and /sys stand open", "without --security-opt systempaths=unconfined",
			"security_opt without systempaths:unconfined");
	if (!source)
		return true;
	bh_buf_puts(&f->found, "it has ");
	bh_buf_put_safe(&f->found, source, SHOWN);
	bh_buf_puts(&f->found, " of this host (forbidden: ");
	bh_buf_put_safe(&f->found, name, SHOWN);
	bh_buf_puts(&f->found, ")");
	bh_buf_puts(&f->docker, "without -v ");
	bh_buf_put_safe(&f->docker, source, SHOWN);
	bh_buf_puts(&f->docker, ":...");
	bh_buf_puts(&f->compose, "volumes without ");
	bh_buf_put_safe(&f->compose, source, SHOWN);
	return false;
}

static bool check_devices(const struct bh_require *r, struct bh_hardening *h, struct finding *f)
{
	const struct bh_strv *d = &h->posture->devices;

	(void)r;
	if (h->posture->privileged)
		return say(f, "it has every device: it is privileged", "without --privileged", "privileged: false");
	if (d->n == 0)
		return true;
	bh_buf_puts(&f->found, "it has the device ");
	bh_buf_put_safe(&f->found, d->v[0], SHOWN);
	if (d->n > 1)
		bh_buf_printf(&f->found, " and %zu more", d->n - 1);
	return say(f, "", "without --device, --gpus and --device-cgroup-rule", "without devices and device_cgroup_rules");
}

static bool check_namespaces(const struct bh_require *r, struct bh_hardening *h, struct finding *f)
{
	static const struct {
		const char *docker, *compose;
	} fixes[BH_NAMESPACE_MAX] = {
		[BH_NAMESPACE_PID] = {"without --pid", "without pid"},
		[BH_NAMESPACE_IPC] = {"--ipc private", "ipc: private"},
		[BH_NAMESPACE_NET] = {"without --network host", "without network_mode: host"},
		[BH_NAMESPACE_UTS] = {"without --uts host", "without uts: host"},
		[BH_NAMESPACE_CGROUP] = {"--cgroupns private", "cgroup: private"},
		[BH_NAMESPACE_USER] = {"without --userns host, on a daemon with userns-remap", "without userns_mode: host"},
	};
	const char *sep = "";

	for (int i = 0; i < BH_NAMESPACE_MAX; i++) {
		enum bh_isolation is = h->posture->namespaces[i];

		/* who shares another's network is judged with that one */
		if (!(r->namespaces & 1u << i) || is == BH_ISOLATION_PRIVATE || (i == BH_NAMESPACE_NET && is == BH_ISOLATION_SHARED))
			continue;
		bh_buf_printf(&f->found, "%s%s %s namespace", *sep ? ", " : "it is in ", is == BH_ISOLATION_HOST ? "the host's" : "another container's",
			bh_namespace_name((enum bh_namespace)i));
		bh_buf_printf(&f->docker, "%s%s", sep, fixes[i].docker);
		bh_buf_printf(&f->compose, "%s%s", sep, fixes[i].compose);
		sep = ", ";
	}
	return !*sep;
}

static bool check_restart(const struct bh_require *r, struct bh_hardening *h, struct finding *f)
{
	int best = 0;

	if (h->posture->restart < BH_RESTART_MAX && r->restart & 1u << h->posture->restart)
		return true;
	while (best < BH_RESTART_MAX - 1 && !(r->restart & 1u << best))
		best++;
	bh_buf_printf(&f->found, "its restart policy is '%s'", bh_restart_name(h->posture->restart));
	bh_buf_printf(&f->docker, "--restart %s", bh_restart_name((enum bh_restart)best));
	bh_buf_printf(&f->compose, "restart: \"%s\"", bh_restart_name((enum bh_restart)best));
	return false;
}

/* Whether one of the places that the image is known to be at is allowed: "registry/repository@sha256:…" each. */
static bool is_registered(const struct bh_require *r, const struct bh_posture *p, struct bh_buf *work)
{
	for (size_t i = 0; i < p->image.digests.n; i++) {
		_cleanup_free_ char *full = bh_image_normalise(p->image.digests.v[i], false);
		char *at = full ? strchr(full, '@') : NULL;

		if (!full)
			work->err = -ENOMEM;
		if (!at)
			continue;
		*at = '\0';
		for (size_t k = 0; k < r->registries.n; k++)
			if (bh_glob(r->registries.v[k], full))
				return true;
	}
	return false;
}

static bool check_registries(const struct bh_require *r, struct bh_hardening *h, struct finding *f)
{
	const struct bh_posture *p = h->posture;

	if (is_registered(r, p, &f->found))
		return true;
	bh_buf_puts(&f->found, !p->image.known ? "nothing is known of its image '" : p->image.digests.n == 0 ?
		"its image is of no registry: '" : "its image is of another registry: '");
	bh_buf_put_safe(&f->found, p->reference ? p->reference : "", SHOWN);
	bh_buf_puts(&f->found, "'");
	bh_buf_puts(&f->docker, "an image pulled from ");
	bh_buf_put_safe(&f->docker, r->registries.v[0], SHOWN);
	bh_buf_puts(&f->compose, "image: ");
	bh_buf_put_safe(&f->compose, r->registries.v[0], SHOWN);
	return false;
}

static bool check_pinned(const struct bh_require *r, struct bh_hardening *h, struct finding *f)
{
	const struct bh_posture *p = h->posture;
	const char *digest = p->image.digests.n > 0 ? p->image.digests.v[0] : "NAME@sha256:...";

	(void)r;
	if (p->reference && (strstr(p->reference, "@sha256:") || strncmp(p->reference, "sha256:", 7) == 0))
		return true;
	bh_buf_puts(&f->found, "its image is not pinned by digest: '");
	bh_buf_put_safe(&f->found, p->reference ? p->reference : "", SHOWN);
	bh_buf_puts(&f->found, "'");
	bh_buf_put_safe(&f->docker, digest, 256);
	bh_buf_puts(&f->compose, "image: ");
	bh_buf_put_safe(&f->compose, digest, 256);
	return false;
}

static bool check_max_age(const struct bh_require *r, struct bh_hardening *h, struct finding *f)
{
	const struct bh_image_facts *i = &h->posture->image;
	int64_t end;

	if (!i->known || i->created <= 0) {
		bh_buf_puts(&f->found, i->known ? "its image does not say when it was made" : "nothing is known of its image");
	} else if (__builtin_add_overflow(i->created, (int64_t)r->max_age, &end) || h->now <= end) {
		/* one of the future is as young as any */
		if (!__builtin_add_overflow(end, 1, &end) && (!h->next || end < h->next))
			h->next = end;
		return true;
	} else {
		bh_buf_printf(&f->found, "its image is %" PRId64 " days old", (h->now - i->created) / 86400);
	}
	return say(f, "", "an image that was built again, and a new container of it", "docker compose pull or build --pull, and up");
}

/* What helps against these is done to the image, however its containers are made. */
static struct bh_image_names names_of(const struct bh_hardening *h)
{
	return (struct bh_image_names){.reference = h->posture->reference, .id = h->image_id, .digests = &h->posture->image.digests};
}

static bool check_scanned(const struct bh_require *r, struct bh_hardening *h, struct finding *f)
{
	const struct bh_image_names name = names_of(h);

	return bh_image_scanned(&r->scanned, h->images, &name, h->now, &h->next, &f->found, &f->docker);
}

static bool check_verified(const struct bh_require *r, struct bh_hardening *h, struct finding *f)
{
	const struct bh_image_names name = names_of(h);

	(void)r;
	return bh_image_verified(h->images, &name, &f->found, &f->docker);
}

static bool check_registry_tls(const struct bh_require *r, struct bh_hardening *h, struct finding *f)
{
	const struct bh_image_names name = names_of(h);

	(void)r;
	return bh_image_registry_tls(h->images, &name, &f->found, &f->docker);
}

static const check_fn checks[BH_REQUIRE_MAX] = {
	[BH_REQUIRE_PRIVILEGED] = check_privileged,
	[BH_REQUIRE_USER] = check_user,
	[BH_REQUIRE_CAPABILITIES] = check_capabilities,
	[BH_REQUIRE_SECCOMP] = check_seccomp,
	[BH_REQUIRE_APPARMOR] = check_apparmor,
	[BH_REQUIRE_SELINUX] = check_selinux,
	[BH_REQUIRE_NO_NEW_PRIVILEGES] = check_no_new_privileges,
	[BH_REQUIRE_READ_ONLY_ROOT] = check_read_only_root,
	[BH_REQUIRE_MEMORY_LIMIT] = check_memory,
	[BH_REQUIRE_CPU_LIMIT] = check_cpu,
	[BH_REQUIRE_PIDS_LIMIT] = check_pids,
	[BH_REQUIRE_MOUNTS] = check_mounts,
	[BH_REQUIRE_DEVICES] = check_devices,
	[BH_REQUIRE_NAMESPACES] = check_namespaces,
	[BH_REQUIRE_RESTART] = check_restart,
	[BH_REQUIRE_IMAGE_REGISTRIES] = check_registries,
	[BH_REQUIRE_IMAGE_PINNED] = check_pinned,
	[BH_REQUIRE_IMAGE_MAX_AGE] = check_max_age,
	[BH_REQUIRE_IMAGE_SCANNED] = check_scanned,
	[BH_REQUIRE_IMAGE_VERIFIED] = check_verified,
	[BH_REQUIRE_IMAGE_REGISTRY_TLS] = check_registry_tls,
};

void bh_failures_clear(struct bh_failures *f)
{
	bh_vec_foreach(x, &f->v) {
		free(x->container);
		free(x->found);
		free(x->docker);
		free(x->compose);
	}
	bh_vec_clear(&f->v);
}

const char *bh_failure_name(const struct bh_failure *f)
{
	return f->condition < BH_REQUIRE_MAX ? bh_condition_name(f->condition) : "posture";
}

/* Takes what F says over. */
static int failure_add(const struct bh_hardening *h, enum bh_condition c, const struct bh_loc *loc, struct finding *f, struct bh_failures *ret)
{
	struct bh_failure *x = bh_vec_add(&ret->v);
	_cleanup_buf_ struct bh_buf name = {0};

	if (!x)
		return -ENOMEM;
	x->condition = c;
	x->loc = *loc;
	if (h->container) {
		bh_buf_put_safe(&name, h->container, SHOWN);
		if (bh_buf_steal(&name, &x->container) < 0)
			return -ENOMEM;
	}
	if (bh_buf_steal(&f->found, &x->found) < 0)
		return -ENOMEM;
	return c < BH_REQUIRE_MAX && (bh_buf_steal(&f->docker, &x->docker) < 0 || bh_buf_steal(&f->compose, &x->compose) < 0) ? -ENOMEM : 0;
}

int bh_require_judge(const struct bh_require *r, struct bh_hardening *h, struct bh_failures *ret)
{
	int e = 0;

	for (int c = 0; c < BH_REQUIRE_MAX + 1 && e == 0; c++) {
		struct finding f = {0};
		bool known = h->posture->known && !h->build, met;

		if (c < BH_REQUIRE_MAX) {
			met = !known || !bh_require_asks(r, (enum bh_condition)c) || checks[c](r, h, &f);
			if (f.found.err || f.docker.err || f.compose.err)
				e = -ENOMEM;
			else if (!met)
				e = failure_add(h, (enum bh_condition)c, &r->asked[c], &f, ret);
		} else if (!known) {
			bh_buf_puts(&f.found, h->build ? "an image build has no posture" : "its posture is not known yet");
			e = failure_add(h, BH_REQUIRE_MAX, &r->loc, &f, ret);
		}
		bh_buf_free(&f.found);
		bh_buf_free(&f.docker);
		bh_buf_free(&f.compose);
	}
	return e;
}
