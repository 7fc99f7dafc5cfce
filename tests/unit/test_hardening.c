/* SPDX-License-Identifier: Apache-2.0 */
/* Every condition, with the fact set and unset; and where a zone's `require` leads. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <bulkhead/place.h>

#include "modelbuild.h"

#define DAY 86400
#define NOW (20000 * (int64_t)DAY)
#define CAP(n) ((bh_caps)1 << (n))

/* As hardened as can be; what the facts' kinds can hold is set by each case. */
static void hard(struct bh_posture *p)
{
	memset(p, 0, sizeof(*p));
	p->known = p->no_new_privileges = p->read_only_root = true;
	p->seccomp = p->apparmor = p->selinux = BH_CONFINED_DEFAULT;
	p->memory = 1 << 26;
	p->cpus = 1000;
	p->pids = 100;
	p->reference = mb_dup("registry.example.org/app@sha256:1");
	p->user = mb_dup("1000");
	p->image.known = true;
	p->image.created = NOW - 3 * DAY;
	assert_int_equal(bh_strv_push(&p->image.digests, "registry.example.org/app@sha256:1"), 0);
}

/* All conditions; what of them is asked is set by each case. */
static void everything(struct bh_require *r)
{
	memset(r, 0, sizeof(*r));
	r->loc = (struct bh_loc){"bulkhead.yaml", 100, 3};
	r->caps_bound = true;
	r->caps_allow = CAP(10);
	r->caps_forbid = CAP(21);
	r->namespaces = BH_NAMESPACES_PRIVATE;
	r->restart = 1u << BH_RESTART_NO | 1u << BH_RESTART_ON_FAILURE;
	r->max_age = 7 * DAY;
	assert_int_equal(bh_strv_push(&r->mounts, BH_MOUNT_SOCKET) | bh_strv_push(&r->mounts, "/srv/secret") |
		bh_strv_push(&r->mounts, "/home/*/.ssh"), 0);
	assert_int_equal(bh_strv_push(&r->registries, "registry.example.org/*"), 0);
}

static void ask(struct bh_require *r, enum bh_condition c)
{
	r->asked[c] = (struct bh_loc){"bulkhead.yaml", 101 + (unsigned)c, 5};
}

static void require_clear(struct bh_require *r)
{
	bh_strv_clear(&r->mounts);
	bh_strv_clear(&r->registries);
}

static void mount_add(struct bh_posture *p, const char *source)
{
	struct bh_mount *m = mb_need(bh_vec_add(&p->mounts));

	m->source = mb_dup(source);
}

static void text_set(char **to, const char *s)
{
	assert_int_equal(bh_strdup(to, s), 0);
}

#define SOFTEN(name, ...)                                                                          \
	static void name(struct bh_posture *p)                                                     \
	{                                                                                          \
		__VA_ARGS__;                                                                       \
	}
SOFTEN(privileged, p->privileged = true)
SOFTEN(no_user, p->root = true; text_set(&p->user, NULL))
SOFTEN(root_named, p->root = true; text_set(&p->user, "root:1000"))
SOFTEN(user_named, p->root = true; text_set(&p->user, "no\x1b[de"))
SOFTEN(net_raw, p->caps = CAP(10) | CAP(13))
SOFTEN(sys_admin, p->caps = CAP(21))
SOFTEN(strange_cap, p->caps = BH_CAP_STRANGE)
SOFTEN(all_caps, p->caps = BH_CAPS_ALL | BH_CAP_STRANGE; p->privileged = true)
SOFTEN(bind_only, p->caps = CAP(10))
SOFTEN(no_seccomp, p->seccomp = BH_CONFINED_NOT)
SOFTEN(own_seccomp, p->seccomp = BH_CONFINED_CUSTOM)
SOFTEN(no_apparmor, p->apparmor = BH_CONFINED_NOT)
SOFTEN(no_selinux, p->selinux = BH_CONFINED_NOT)
SOFTEN(new_privileges, p->no_new_privileges = false)
SOFTEN(writable_root, p->read_only_root = false)
SOFTEN(no_memory, p->memory = 0)
SOFTEN(no_cpus, p->cpus = 0)
SOFTEN(no_pids, p->pids = 0)
SOFTEN(has_socket, mount_add(p, "/srv/other"); mount_add(p, "/run"))
SOFTEN(has_custom_socket, mount_add(p, "/srv/d.sock"); p->mounts.v[0].socket = true)
SOFTEN(has_secret, mount_add(p, "/srv/secret/key"))
SOFTEN(above_secret, mount_add(p, "/srv"))
SOFTEN(beside_secret, mount_add(p, "/srv/secrets"))
SOFTEN(has_ssh, mount_add(p, "/home/me/.ssh/id"))
SOFTEN(above_ssh, mount_add(p, "/home"))
SOFTEN(in_home, mount_add(p, "/home/me/data"))
SOFTEN(whole_host, mount_add(p, "/"))
SOFTEN(has_device, assert_int_equal(bh_strv_push(&p->devices, "/dev/kvm"), 0))
SOFTEN(host_pid, p->namespaces[BH_NAMESPACE_PID] = BH_ISOLATION_HOST)
SOFTEN(shared_ipc, p->namespaces[BH_NAMESPACE_IPC] = BH_ISOLATION_SHARED)
SOFTEN(shared_net, p->namespaces[BH_NAMESPACE_NET] = BH_ISOLATION_SHARED)
SOFTEN(host_net, p->namespaces[BH_NAMESPACE_NET] = BH_ISOLATION_HOST)
SOFTEN(host_uts_cgroup, p->namespaces[BH_NAMESPACE_UTS] = p->namespaces[BH_NAMESPACE_CGROUP] = BH_ISOLATION_HOST)
SOFTEN(host_user, p->namespaces[BH_NAMESPACE_USER] = BH_ISOLATION_HOST)
SOFTEN(restart_always, p->restart = BH_RESTART_ALWAYS)
SOFTEN(restart_failure, p->restart = BH_RESTART_ON_FAILURE)
SOFTEN(restart_other, p->restart = BH_RESTART_MAX)
SOFTEN(no_registry, bh_strv_clear(&p->image.digests))
SOFTEN(other_registry, bh_strv_clear(&p->image.digests); assert_int_equal(bh_strv_push(&p->image.digests, "registry.example.org.evil.net/app@sha256:1"), 0))
SOFTEN(docker_hub, bh_strv_clear(&p->image.digests); assert_int_equal(bh_strv_push(&p->image.digests, "nginx@sha256:1"), 0))
SOFTEN(image_gone, bh_image_facts_clear(&p->image))
SOFTEN(not_pinned, text_set(&p->reference, "registry.example.org/app:1"))
SOFTEN(by_id, text_set(&p->reference, "sha256:12"))
SOFTEN(old_image, p->image.created = NOW - 7 * DAY - 1)
SOFTEN(just_young, p->image.created = NOW - 7 * DAY)
SOFTEN(of_tomorrow, p->image.created = NOW + DAY)
SOFTEN(ageless, p->image.created = 0)

static const struct {
	enum bh_condition condition;
	void (*soften)(struct bh_posture *p);
	const char *found, *docker, *compose;	/* NULL: it is met */
} cases[] = {
	{BH_REQUIRE_PRIVILEGED, privileged, "it is privileged", "without --privileged", "privileged: false"},
	{BH_REQUIRE_USER, no_user, "it runs as root, no user is set", "--user 1000:1000", "user: \"1000:1000\""},
	{BH_REQUIRE_USER, root_named, "its user is 'root:1000', which is root", "--user 1000:1000", "user: \"1000:1000\""},
	{BH_REQUIRE_USER, user_named, "its user is 'no\\x1b[de', a name that its image may give to root: only a number tells", "--user 1000:1000", "user: \"1000:1000\""},
	{BH_REQUIRE_CAPABILITIES, bind_only, NULL, NULL, NULL},
	{BH_REQUIRE_CAPABILITIES, net_raw, "it has NET_RAW", "--cap-drop ALL --cap-add NET_BIND_SERVICE", "cap_drop: [ALL], cap_add: [NET_BIND_SERVICE]"},
	{BH_REQUIRE_CAPABILITIES, sys_admin, "it has SYS_ADMIN", "--cap-drop ALL", "cap_drop: [ALL]"},
	{BH_REQUIRE_CAPABILITIES, strange_cap, "it has one that this program does not know", "--cap-drop ALL", "cap_drop: [ALL]"},
	{BH_REQUIRE_CAPABILITIES, all_caps, "it has CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER and more: it is privileged", "without --privileged", "privileged: false"},
	{BH_REQUIRE_SECCOMP, no_seccomp, "no seccomp profile confines it", "without --security-opt seccomp=unconfined", "security_opt without seccomp:unconfined"},
	{BH_REQUIRE_SECCOMP, own_seccomp, NULL, NULL, NULL},
	{BH_REQUIRE_APPARMOR, no_apparmor, "no AppArmor profile confines it", "--security-opt apparmor=docker-default", "security_opt: [apparmor:docker-default]"},
	{BH_REQUIRE_SELINUX, no_selinux, "no SELinux label confines it", "without --security-opt label=disable, on a daemon with selinux-enabled", "security_opt without label:disable"},
	{BH_REQUIRE_NO_NEW_PRIVILEGES, new_privileges, "its processes may gain privileges", "--security-opt no-new-privileges", "security_opt: [no-new-privileges:true]"},
	{BH_REQUIRE_READ_ONLY_ROOT, writable_root, "its root file system can be written to", "--read-only", "read_only: true"},
	{BH_REQUIRE_MEMORY_LIMIT, no_memory, "its memory has no limit", "--memory 512m", "mem_limit: 512m"},
	{BH_REQUIRE_CPU_LIMIT, no_cpus, "its CPU time has no limit", "--cpus 1", "cpus: 1"},
	{BH_REQUIRE_PIDS_LIMIT, no_pids, "its processes have no limit", "--pids-limit 200", "pids_limit: 200"},
	{BH_REQUIRE_MOUNTS, has_socket, "it has /run of this host (forbidden: docker.sock)", "without -v /run:...", "volumes without /run"},
	{BH_REQUIRE_MOUNTS, has_custom_socket, "it has /srv/d.sock of this host (forbidden: docker.sock)", "without -v /srv/d.sock:...", "volumes without /srv/d.sock"},
	{BH_REQUIRE_MOUNTS, has_secret, "it has /srv/secret/key of this host (forbidden: /srv/secret)", "without -v /srv/secret/key:...", "volumes without /srv/secret/key"},
	{BH_REQUIRE_MOUNTS, above_secret, "it has /srv of this host (forbidden: /srv/secret)", "without -v /srv:...", "volumes without /srv"},
	{BH_REQUIRE_MOUNTS, beside_secret, NULL, NULL, NULL},
	{BH_REQUIRE_MOUNTS, has_ssh, "it has /home/me/.ssh/id of this host (forbidden: /home/*/.ssh)", "without -v /home/me/.ssh/id:...", "volumes without /home/me/.ssh/id"},
	{BH_REQUIRE_MOUNTS, above_ssh, "it has /home of this host (forbidden: /home/*/.ssh)", "without -v /home:...", "volumes without /home"},
	{BH_REQUIRE_MOUNTS, in_home, NULL, NULL, NULL},
	{BH_REQUIRE_MOUNTS, whole_host, "it has / of this host (forbidden: docker.sock)", "without -v /:...", "volumes without /"},
	{BH_REQUIRE_DEVICES, has_device, "it has the device /dev/kvm", "without --device, --gpus and --device-cgroup-rule", "without devices and device_cgroup_rules"},
	{BH_REQUIRE_DEVICES, privileged, "it has every device: it is privileged", "without --privileged", "privileged: false"},
	{BH_REQUIRE_NAMESPACES, host_pid, "it is in the host's pid namespace", "without --pid", "without pid"},
	{BH_REQUIRE_NAMESPACES, shared_ipc, "it is in another container's ipc namespace", "--ipc private", "ipc: private"},
	{BH_REQUIRE_NAMESPACES, shared_net, NULL, NULL, NULL},
	{BH_REQUIRE_NAMESPACES, host_net, "it is in the host's net namespace", "without --network host", "without network_mode: host"},
	{BH_REQUIRE_NAMESPACES, host_uts_cgroup, "it is in the host's uts namespace, the host's cgroup namespace", "without --uts host, --cgroupns private",
		"without uts: host, cgroup: private"},
	{BH_REQUIRE_NAMESPACES, host_user, NULL, NULL, NULL},
	{BH_REQUIRE_RESTART, restart_always, "its restart policy is 'always'", "--restart no", "restart: \"no\""},
	{BH_REQUIRE_RESTART, restart_failure, NULL, NULL, NULL},
	{BH_REQUIRE_RESTART, restart_other, "its restart policy is 'other'", "--restart no", "restart: \"no\""},
	{BH_REQUIRE_IMAGE_REGISTRIES, no_registry, "its image is of no registry: 'registry.example.org/app@sha256:1'", "an image pulled from registry.example.org/*",
		"image: registry.example.org/*"},
	{BH_REQUIRE_IMAGE_REGISTRIES, other_registry, "its image is of another registry: 'registry.example.org/app@sha256:1'",
		"an image pulled from registry.example.org/*", "image: registry.example.org/*"},
	{BH_REQUIRE_IMAGE_REGISTRIES, docker_hub, "its image is of another registry: 'registry.example.org/app@sha256:1'",
		"an image pulled from registry.example.org/*", "image: registry.example.org/*"},
	{BH_REQUIRE_IMAGE_REGISTRIES, image_gone, "nothing is known of its image 'registry.example.org/app@sha256:1'",
		"an image pulled from registry.example.org/*", "image: registry.example.org/*"},
	{BH_REQUIRE_IMAGE_PINNED, not_pinned, "its image is not pinned by digest: 'registry.example.org/app:1'", "registry.example.org/app@sha256:1",
		"image: registry.example.org/app@sha256:1"},
	{BH_REQUIRE_IMAGE_PINNED, by_id, NULL, NULL, NULL},
	{BH_REQUIRE_IMAGE_MAX_AGE, old_image, "its image is 7 days old", "an image that was built again, and a new container of it",
		"docker compose pull or build --pull, and up"},
	{BH_REQUIRE_IMAGE_MAX_AGE, just_young, NULL, NULL, NULL},
	{BH_REQUIRE_IMAGE_MAX_AGE, of_tomorrow, NULL, NULL, NULL},
	{BH_REQUIRE_IMAGE_MAX_AGE, ageless, "its image does not say when it was made", "an image that was built again, and a new container of it",
		"docker compose pull or build --pull, and up"},
	{BH_REQUIRE_IMAGE_MAX_AGE, image_gone, "nothing is known of its image", "an image that was built again, and a new container of it",
		"docker compose pull or build --pull, and up"},
};

static void each_condition_set_and_unset(void **state)
{
	bool seen[BH_REQUIRE_MAX] = {false};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(cases); i++) {
		struct bh_posture p;
		struct bh_hardening h = {.posture = &p, .now = NOW};
		struct bh_failures f = {0};
		struct bh_require r;

		everything(&r);
		hard(&p);
		ask(&r, cases[i].condition);
		assert_int_equal(bh_require_judge(&r, &h, &f), 0);
		if (f.v.n != 0)
			fail_msg("%zu: hardened, and fails: %s", i, f.v.v[0].found);
		cases[i].soften(&p);
		assert_int_equal(bh_require_judge(&r, &h, &f), 0);
		if (!cases[i].found) {
			if (f.v.n != 0)
				fail_msg("%zu: fails: %s", i, f.v.v[0].found);
		} else if (f.v.n != 1 || f.v.v[0].condition != cases[i].condition || f.v.v[0].loc.line != 101 + (unsigned)cases[i].condition ||
			strcmp(f.v.v[0].found, cases[i].found) != 0 || strcmp(f.v.v[0].docker, cases[i].docker) != 0 ||
			strcmp(f.v.v[0].compose, cases[i].compose) != 0) {
			fail_msg("%zu: %zu failures: %s; %s; %s", i, f.v.n, f.v.n ? f.v.v[0].found : "", f.v.n ? f.v.v[0].docker : "", f.v.n ? f.v.v[0].compose : "");
		}
		bh_failures_clear(&f);
		/* nobody asks */
		memset(r.asked, 0, sizeof(r.asked));
		assert_int_equal(bh_require_judge(&r, &h, &f), 0);
		assert_int_equal(f.v.n, 0);
		seen[cases[i].condition] = true;
		bh_posture_clear(&p);
		require_clear(&r);
	}
	for (int c = 0; c < BH_REQUIRE_IMAGE_SCANNED; c++)
		assert_true(seen[c]);
}

#define ID "sha256:" "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* What is found, and of what, is test_provenance.c's. */
static void what_others_say_of_the_image(void **state)
{
	static const enum bh_condition conditions[] = {BH_REQUIRE_IMAGE_SCANNED, BH_REQUIRE_IMAGE_VERIFIED, BH_REQUIRE_IMAGE_REGISTRY_TLS};
	struct bh_report report = {.file = (char *)"/r/a.json", .scanner = "trivy", .created_usec = (uint64_t)NOW * 1000000};
	struct bh_verified verified = {.file = (char *)"/v/a.json", .tool = "cosign"};
	struct bh_images images = {.registries.known = true};
	struct bh_posture p;

	(void)state;
	hard(&p);
	assert_int_equal(bh_strv_push(&report.digests, ID) | bh_strv_push(&verified.digests, ID), 0);
	assert_int_equal(bh_images_set_report(&images, &report) | bh_images_set_verified(&images, &verified), 0);
	for (size_t i = 0; i < BH_ARRAY_SIZE(conditions); i++) {
		struct bh_hardening h = {.posture = &p, .image_id = ID, .now = NOW};
		struct bh_failures f = {0};
		struct bh_require r = {.scanned = {.has_max = true, .max = BH_VULN_LOW, .max_age = DAY}};

		ask(&r, conditions[i]);
		assert_int_equal(bh_require_judge(&r, &h, &f), 0);
		assert_int_equal(f.v.n, 1);
		assert_int_equal(f.v.v[0].condition, conditions[i]);
		assert_true(*f.v.v[0].found && *f.v.v[0].docker && !*f.v.v[0].compose);
		bh_failures_clear(&f);
		h.images = &images;
		assert_int_equal(bh_require_judge(&r, &h, &f), 0);
		assert_int_equal(f.v.n, 0);
		assert_int_equal(h.next, conditions[i] == BH_REQUIRE_IMAGE_SCANNED ? NOW + DAY : 0);
	}
	bh_strv_clear(&report.digests);
	bh_strv_clear(&verified.digests);
	bh_images_clear(&images);
	bh_posture_clear(&p);
}

static void sensitive_mounts(void **state)
{
	static const struct {
		const char *source;
		bool sensitive;
	} mounts[] = {{"/", true}, {"/etc", true}, {"/etc/localtime", false}, {"/etc/shadow", true}, {"/etc/ssh/ssh_host_rsa_key", true}, {"/proc", true},
		{"/proc/sys", true}, {"/sys", true}, {"/sys/fs/cgroup", true}, {"/dev", true}, {"/dev/mem", true}, {"/var/run/docker.sock", true},
		{"/run/containerd/containerd.sock", true}, {"/var", true}, {"/var/log", false}, {"/var/lib/docker/volumes", true}, {"/home", true},
		{"/home/me/app", false}, {"/root/.ssh", true}, {"/boot", true}, {"/lib/modules", true}, {"/usr/share/zoneinfo", false}, {"/srv", false},
		{"/process", false}, {"/device", false}, {"/run/user", false}};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(mounts); i++) {
		struct bh_posture p;
		struct bh_hardening h = {.posture = &p, .now = NOW};
		struct bh_failures f = {0};
		struct bh_require r = {0};

		hard(&p);
		mount_add(&p, mounts[i].source);
		assert_int_equal(bh_strv_push(&r.mounts, BH_MOUNT_SENSITIVE), 0);
		ask(&r, BH_REQUIRE_MOUNTS);
		assert_int_equal(bh_require_judge(&r, &h, &f), 0);
		if ((f.v.n > 0) != mounts[i].sensitive)
			fail_msg("%s", mounts[i].source);
		bh_failures_clear(&f);
		if (!mounts[i].sensitive) {
			p.unmasked = true;
			assert_int_equal(bh_require_judge(&r, &h, &f), 0);
			assert_int_equal(f.v.n, 1);
			assert_string_equal(f.v.v[0].docker, "without --security-opt systempaths=unconfined");
			bh_failures_clear(&f);
		}
		bh_posture_clear(&p);
		require_clear(&r);
	}
}

static void forbidden_capabilities_alone(void **state)
{
	struct bh_posture p;
	struct bh_hardening h = {.posture = &p, .now = NOW};
	struct bh_failures f = {0};
	struct bh_require r = {.caps_forbid = CAP(13) | CAP(12)};

	(void)state;
	hard(&p);
	ask(&r, BH_REQUIRE_CAPABILITIES);
	p.caps = CAP(0) | CAP(21);
	assert_int_equal(bh_require_judge(&r, &h, &f), 0);
	assert_int_equal(f.v.n, 0);
	p.caps |= CAP(13);
	assert_int_equal(bh_require_judge(&r, &h, &f), 0);
	assert_int_equal(f.v.n, 1);
	assert_string_equal(f.v.v[0].docker, "--cap-drop NET_RAW, without --cap-add of it");
	assert_string_equal(f.v.v[0].compose, "cap_drop: [NET_RAW], without it in cap_add");
	bh_failures_clear(&f);
	bh_posture_clear(&p);
}

static void an_image_grows_old(void **state)
{
	struct bh_posture p;
	struct bh_hardening h = {.posture = &p, .now = NOW};
	struct bh_failures f = {0};
	struct bh_require r = {.max_age = 7 * DAY};

	(void)state;
	hard(&p);
	ask(&r, BH_REQUIRE_IMAGE_MAX_AGE);
	assert_int_equal(bh_require_judge(&r, &h, &f), 0);
	assert_true(f.v.n == 0 && h.next == NOW + 4 * DAY + 1);
	h.now = h.next - 1;
	assert_int_equal(bh_require_judge(&r, &h, &f), 0);
	assert_int_equal(f.v.n, 0);
	h.now = h.next;
	assert_int_equal(bh_require_judge(&r, &h, &f), 0);
	assert_int_equal(f.v.n, 1);
	bh_failures_clear(&f);
	bh_posture_clear(&p);
}

/* ---- where it leads */

struct world {
	struct bh_policy *policy;
	struct bh_inventory *inventory;
	struct bh_host *host;
	struct bh_memory memory;
	struct bh_placement *placement;
};

static int setup(void **state)
{
	struct world *w = mb_need(calloc(1, sizeof(*w)));
	struct bh_zone *db;

	w->policy = mb_need(calloc(1, sizeof(*w->policy)));
	w->policy->mode = BH_MODE_ENFORCE;
	w->inventory = mb_need(calloc(1, sizeof(*w->inventory)));
	w->host = mb_need(calloc(1, sizeof(*w->host)));
	w->memory.now = NOW;
	mb_link(w->host, 10, "br-a", BH_LINK_BRIDGE);
	mb_network(w->inventory, "a", "bridge", "br-a");
	db = mb_zone(w->policy, "db", 5);
	mb_match(mb_select(db), BH_SELECT_LABEL, "tier", "db", 6);
	db->require = mb_need(calloc(1, sizeof(*db->require)));
	db->require->loc = (struct bh_loc){"bulkhead.yaml", 7, 5};
	db->require->asked[BH_REQUIRE_PRIVILEGED] = (struct bh_loc){"bulkhead.yaml", 8, 7};
	db->require->asked[BH_REQUIRE_USER] = (struct bh_loc){"bulkhead.yaml", 9, 7};
	mb_match(mb_select(mb_zone(w->policy, "web", 20)), BH_SELECT_LABEL, "tier", "web", 21);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	bh_placement_free(w->placement);
	bh_policy_free(w->policy);
	bh_inventory_free(w->inventory);
	bh_host_free(w->host);
	bh_memory_clear(&w->memory);
	free(w);
	return 0;
}

/* A hardened one; the pointer dies with the next. */
static struct bh_container *container(struct world *w, const char *name, const char *tier)
{
	struct bh_container *c = mb_container(w->inventory, name);

	mb_label(c, "tier", tier);
	hard(&c->posture);
	return c;
}

static struct bh_container *named(struct world *w, const char *name)
{
	bh_vec_foreach(c, &w->inventory->containers)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

static const struct bh_member *is_in(struct world *w, const char *name, const char *zone, const char *reason)
{
	bh_vec_foreach(m, &w->placement->members)
		if (strcmp(m->container->name, name) == 0) {
			assert_string_equal(w->placement->insts.v[m->inst].name, zone);
			assert_string_equal(m->reason, reason);
			return m;
		}
	fail_msg("no %s", name);
	return NULL;
}

static void place(struct world *w)
{
	bh_placement_free(w->placement);
	w->placement = NULL;
	assert_int_equal(bh_place(w->policy, w->inventory, w->host, &w->memory, &w->placement, NULL), 0);
}

static void who_fails_is_in_quarantine(void **state)
{
	struct world *w = *state;
	const struct bh_member *m;

	container(w, "good", "db");
	container(w, "bad", "db")->posture.privileged = true;
	container(w, "elsewhere", "web")->posture.privileged = true;
	memset(&container(w, "new", "db")->posture.known, 0, sizeof(bool));
	place(w);
	m = is_in(w, "good", "db", "labels tier=db (bulkhead.yaml:6)");
	assert_true(m->failed.v.n == 0 && !m->barred);
	m = is_in(w, "bad", "quarantine", "fails what db requires: privileged (bulkhead.yaml:8)");
	assert_true(m->failed.v.n == 1 && m->failed.v.v[0].condition == BH_REQUIRE_PRIVILEGED && bh_streq(m->barred, "db"));
	is_in(w, "elsewhere", "web", "labels tier=web (bulkhead.yaml:21)");
	m = is_in(w, "new", "quarantine", "its posture is not known yet, and db requires one (bulkhead.yaml:7)");
	assert_string_equal(bh_failure_name(&m->failed.v.v[0]), "posture");
	assert_null(m->failed.v.v[0].docker);
}

static void in_audit_it_stays_and_is_marked(void **state)
{
	struct world *w = *state;
	const struct bh_member *m;

	container(w, "bad", "db")->posture.privileged = true;
	w->policy->zones.v[0].mode = BH_MODE_AUDIT;
	place(w);
	m = is_in(w, "bad", "db", "labels tier=db (bulkhead.yaml:6); in audit, else in quarantine: fails what db requires: privileged (bulkhead.yaml:8)");
	assert_true(m->failed.v.n == 1 && bh_streq(m->barred, "db"));
	w->policy->mode = BH_MODE_AUDIT;
	w->policy->zones.v[0].mode = BH_MODE_INHERIT;
	place(w);
	assert_int_equal(is_in(w, "bad", "db", "labels tier=db (bulkhead.yaml:6); in audit, else in quarantine: fails what db requires: privileged "
		"(bulkhead.yaml:8)")->failed.v.n, 1);
	/* what its zone says comes first */
	w->policy->zones.v[0].mode = BH_MODE_ENFORCE;
	place(w);
	is_in(w, "bad", "quarantine", "fails what db requires: privileged (bulkhead.yaml:8)");
}

static void the_files_holds_for_every_zone(void **state)
{
	struct world *w = *state;

	w->policy->require = mb_need(calloc(1, sizeof(*w->policy->require)));
	w->policy->require->loc = (struct bh_loc){"bulkhead.yaml", 2, 1};
	w->policy->require->asked[BH_REQUIRE_MEMORY_LIMIT] = (struct bh_loc){"bulkhead.yaml", 3, 3};
	w->policy->require->asked[BH_REQUIRE_CPU_LIMIT] = (struct bh_loc){"bulkhead.yaml", 4, 3};
	container(w, "web1", "web")->posture.memory = 0;
	container(w, "nowhere", "none")->posture.memory = 0;
	container(w, "db1", "db");
	named(w, "db1")->posture.memory = named(w, "db1")->posture.cpus = 0;
	named(w, "db1")->posture.privileged = named(w, "db1")->posture.root = true;
	place(w);
	is_in(w, "web1", "quarantine", "fails what web requires: memory-limit (bulkhead.yaml:3)");
	is_in(w, "nowhere", "quarantine", "matches no zone");
	is_in(w, "db1", "quarantine", "fails what db requires: memory-limit (bulkhead.yaml:3), cpu-limit (bulkhead.yaml:4), privileged (bulkhead.yaml:8) and 1 more");
}

static void an_image_build_has_no_posture(void **state)
{
	struct world *w = *state;
	struct bh_container *c;

	c = container(w, "build1", "db");
	c->kind = BH_KIND_BUILD;
	mb_match(w->policy->zones.v[0].select, BH_SELECT_KIND, NULL, "build", 6);
	container(w, "build2", "none")->kind = BH_KIND_BUILD;
	w->policy->require = mb_need(calloc(1, sizeof(*w->policy->require)));
	place(w);
	assert_string_equal(is_in(w, "build1", "quarantine", "an image build has no posture, and db requires one")->barred, "db");
	is_in(w, "build2", "build", "an image build");
}

static void sharer(struct world *w, const char *name, const char *owner)
{
	struct bh_container *c = container(w, name, "none");

	c->netmode = BH_NETMODE_CONTAINER;
	c->netns_owner = mb_dup(named(w, owner)->id);
}

/* A namespace is as hardened as the least of those that are in it. */
static void who_shares_its_network_counts(void **state)
{
	static const char *const bad = "shares its network with side, which fails what db requires: privileged (bulkhead.yaml:8)";
	static const char *const good = "labels tier=db (bulkhead.yaml:6)";
	struct world *w = *state;
	const struct bh_member *m;

	container(w, "db1", "db");
	sharer(w, "side", "db1");
	place(w);
	is_in(w, "db1", "db", good);
	named(w, "side")->posture.privileged = true;
	place(w);
	m = is_in(w, "db1", "quarantine", bad);
	assert_string_equal(m->failed.v.v[0].container, "side");
	is_in(w, "side", "quarantine", "shares the network of db1: shares its network with side, which fails what db requires: privileged (bulkhead.yaml:8)");
	/* one that is only made will be there with its first instruction */
	named(w, "side")->state = BH_CONTAINER_CREATED;
	place(w);
	is_in(w, "db1", "quarantine", bad);
	/* but nobody pays for one of which nothing is known, before it is there */
	named(w, "side")->posture.known = false;
	place(w);
	is_in(w, "db1", "db", good);
	named(w, "side")->state = BH_CONTAINER_RUNNING;
	place(w);
	is_in(w, "db1", "quarantine", "shares its network with side, which fails what db requires: posture (bulkhead.yaml:7)");
	named(w, "side")->state = BH_CONTAINER_STOPPED;
	place(w);
	is_in(w, "db1", "db", good);
}

static void by_hand_comes_first(void **state)
{
	struct world *w = *state;

	container(w, "bad", "db")->posture.privileged = true;
	assert_int_equal(bh_strv_push(&w->memory.held, "id-bad"), 0);
	place(w);
	assert_int_equal(is_in(w, "bad", "quarantine", "put there by hand: bulkhead release bad")->failed.v.n, 0);
}

static void time_alone(void **state)
{
	struct world *w = *state;

	w->policy->zones.v[0].require->asked[BH_REQUIRE_IMAGE_MAX_AGE] = (struct bh_loc){"bulkhead.yaml", 10, 7};
	w->policy->zones.v[0].require->max_age = 7 * DAY;
	container(w, "young", "db")->posture.image.created = NOW - DAY;
	container(w, "older", "db");
	container(w, "elsewhere", "web")->posture.image.created = NOW - 100 * DAY;
	place(w);
	assert_int_equal(w->placement->judge_again, NOW + 4 * DAY + 1);
	w->memory.now = w->placement->judge_again;
	place(w);
	is_in(w, "older", "quarantine", "fails what db requires: image.max-age (bulkhead.yaml:10)");
	is_in(w, "young", "db", "labels tier=db (bulkhead.yaml:6)");
	assert_int_equal(w->placement->judge_again, NOW + 6 * DAY + 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_condition_set_and_unset),
		cmocka_unit_test(what_others_say_of_the_image),
		cmocka_unit_test(sensitive_mounts),
		cmocka_unit_test(forbidden_capabilities_alone),
		cmocka_unit_test(an_image_grows_old),
		T(who_fails_is_in_quarantine),
		T(in_audit_it_stays_and_is_marked),
		T(the_files_holds_for_every_zone),
		T(an_image_build_has_no_posture),
		T(who_shares_its_network_counts),
		T(by_hand_comes_first),
		T(time_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
