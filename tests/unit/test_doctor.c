/* SPDX-License-Identifier: Apache-2.0 */
/* Each check of `bulkhead doctor` seen to pass, and to warn or fail: on a host where all is good, on one where all is bad, and, one thing at a
 * time, where it turns. BH_SHOW=1 prints the text. */
#include "../../src/cli/doctor.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "../common/no_memory.h"

static const struct bh_doctor_policy NONE;

static char *text(const char *s)
{
	char *out = strdup(s);

	assert_non_null(out);
	return out;
}

static void set(char **dst, const char *s)
{
	assert_int_equal(bh_strdup(dst, s), 0);
}

static void link_add(struct bh_doctor_facts *f, const char *name, bool containers, const long *v)
{
	struct bh_doctor_link *l = bh_vec_add(&f->links);

	assert_non_null(l);
	memcpy(l->name, name, strlen(name) + 1);
	l->containers = containers;
	for (size_t i = 0; i < BH_LINK_KNOB_MAX; i++)
		l->v[i].n = v[i];
}

static struct bh_doctor_file *file_add(struct bh_doctor_facts *f, enum bh_check check, const char *path, bool dir, unsigned mode)
{
	struct bh_doctor_file *x = bh_vec_add(&f->files);

	assert_non_null(x);
	*x = (struct bh_doctor_file){.check = check, .path = text(path), .mode = mode, .dir = dir};
	return x;
}

static void hole(struct bh_doctor_facts *f, const char *name, const char *what)
{
	struct bh_vulnerability *v = bh_vec_add(&f->vulnerabilities);

	assert_non_null(v);
	v->name = text(name);
	v->text = text(what);
}

static struct bh_foreign *rules(const char *table, enum bh_foreign_hook hook, bool drops)
{
	struct bh_foreign *f = calloc(1, sizeof(*f));
	struct bh_foreign_table *t;
	struct bh_foreign_chain *c;

	assert_non_null(f);
	t = bh_vec_add(&f->tables);
	assert_non_null(t);
	t->name = text(table);
	c = bh_vec_add(&t->chains);
	assert_non_null(c);
	c->name = text("forward");
	c->hook = hook;
	c->drops = drops;
	c = bh_vec_add(&t->chains);
	assert_non_null(c);
	c->name = text("in");
	c->hook = BH_FOREIGN_INPUT;
	c->drops = drops;
	return f;
}

static const struct {
	enum bh_check check;
	const char *path;
	bool dir;
	unsigned good, bad;
} FILES[] = {
	{BH_CHECK_DOCKER_SOCKET, "/run/docker.sock", false, 0660, 0666}, {BH_CHECK_CONTAINERD_SOCKET, "/run/containerd/containerd.sock", false, 0660, 0666},
	{BH_CHECK_DOCKER_CONFIG, "/etc/docker", true, 0755, 0775}, {BH_CHECK_DOCKER_CONFIG, "/etc/docker/daemon.json", false, 0644, 0664},
	{BH_CHECK_DOCKER_CERTS, "/etc/docker/certs.d/r/ca.crt", false, 0444, 0646}, {BH_CHECK_DOCKER_KEY, "/etc/docker/key.pem", false, 0400, 0640},
	{BH_CHECK_DOCKER_UNITS, "/usr/lib/systemd/system/docker.service", false, 0644, 0666}, {BH_CHECK_DOCKER_DATA, "/var/lib/docker", true, 0710, 0755},
	{BH_CHECK_BULKHEAD_CONFIG, "/etc/bulkhead/bulkhead.yaml", false, 0644, 0664}, {BH_CHECK_BULKHEAD_STATE, "/var/lib/bulkhead", true, 0755, 0777},
	{BH_CHECK_BULKHEAD_SOCKET, "/run/bulkhead/control.sock", false, 0660, 0666},
};

static void options(struct bh_dockerd *d, const char *const *v)
{
	for (; v[0]; v += 2)
		assert_int_equal(bh_dockerd_add(d, v[0], v[1]), 0);
}

static struct bh_doctor_facts good(void)
{
	static const char *const told[] = {
		"icc", "false", "no-new-privileges", "true", "hosts", "unix:///run/docker.sock", "hosts", "tcp://0.0.0.0:2376", "tlsverify", "true", "userland-proxy", "false",
		"log-opts", "max-size=10m", "default-ulimits", "nofile", NULL, NULL,
	};
	static const long all[] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 1}, bridge[] = {1, 0, 0, 0, 0, 1, 0, 0, 1, 1}, uplink[] = {2, 0, 0, 0, 0, 1, 1, 0, 2, 1};
	struct bh_doctor_facts f = {
		.knobs = {
			[BH_KNOB_BR_NETFILTER].n = 1, [BH_KNOB_IP_FORWARD].n = 1, [BH_KNOB_SYNCOOKIES].n = 1, [BH_KNOB_CONNTRACK_MAX].n = 262144, [BH_KNOB_CONNTRACK_COUNT].n = 100,
			[BH_KNOB_CONNTRACK_HELPER].err = -ENOENT, [BH_KNOB_KPTR].n = 1, [BH_KNOB_DMESG].n = 1, [BH_KNOB_USERNS_CLONE].n = 0, [BH_KNOB_USERNS_APPARMOR].err = -ENOENT,
			[BH_KNOB_USERNS_MAX].n = 1000, [BH_KNOB_BPF].n = 2, [BH_KNOB_PTRACE].n = 1, [BH_KNOB_PERF].n = 3, [BH_KNOB_ASLR].n = 2, [BH_KNOB_SYMLINKS].n = 1,
			[BH_KNOB_HARDLINKS].n = 1, [BH_KNOB_APPARMOR].n = 1, [BH_KNOB_SELINUX].err = -ENOENT,
		},
		.features = {.bridge_ibrname = true, .ifb = true, .htb = true, .fq_codel = true, .table_persist = true},
		.socket = "/run/docker.sock",
		.dockerd = {.live_restore = true, .memory_limit = true, .pids_limit = true, .cpu_limit = true, .icc_known = true},
		.partition.n = 1, .docker_gid = 998, .content_trust = true, .packages = BH_PACKAGES_DEBIAN, .lists_age.n = 3600, .automatic.n = 1,
		.auditd.n = 1, .synced.n = 1, .guard = BH_GUARD_ENFORCE, .loads = BH_LOADS_NFTABLES, .foreign = rules("filter", BH_FOREIGN_FORWARD, true),
	};

	link_add(&f, "all", false, all);
	link_add(&f, "default", false, all);
	link_add(&f, "lo", false, (const long[BH_LINK_KNOB_MAX]){0});
	link_add(&f, "eth0", false, uplink);
	link_add(&f, "docker0", true, bridge);
	options(&f.dockerd, told);
	set(&f.dockerd.version, "28.1.1");
	set(&f.dockerd.api_version, "1.49");
	set(&f.dockerd.storage_driver, "overlay2");
	set(&f.dockerd.logging_driver, "json-file");
	set(&f.dockerd.root_dir, "/var/lib/docker/165536.165536");
	set(&f.dockerd.file, "/etc/docker/daemon.json");
	assert_int_equal(bh_strv_push(&f.dockerd.security_options, "name=apparmor"), 0);
	assert_int_equal(bh_strv_push(&f.dockerd.security_options, "name=seccomp,profile=builtin"), 0);
	assert_int_equal(bh_strv_push(&f.dockerd.security_options, "name=userns"), 0);
	assert_int_equal(bh_strv_push(&f.dockerd.authorization, "opa"), 0);
	for (size_t i = 0; i < BH_ARRAY_SIZE(FILES); i++)
		file_add(&f, FILES[i].check, FILES[i].path, FILES[i].dir, FILES[i].good)->gid = FILES[i].check == BH_CHECK_DOCKER_SOCKET ? 998 : 0;
	set(&f.kernel, "6.1.0-18-amd64");
	set(&f.kernel_newest, "6.1.0-18-amd64");
	hole(&f, "meltdown", "Not affected");
	hole(&f, "itlb_multihit", "KVM: Mitigation: VMX disabled");
	set(&f.audit_rules, "-w /usr/bin/dockerd -k d\n-w /etc/docker -k d\n-w /var/lib/docker -k d\n-w /usr/bin/containerd -k d\n-w /usr/bin/runc -k d\n");
	return f;
}

static struct bh_doctor_facts bad(void)
{
	static const char *const told[] = {
		"hosts", "tcp://0.0.0.0:2375", "insecure-registries", "10.0.0.0/8", "iptables", "false", "log-level", "debug", NULL, NULL,
	};
	static const long all[] = {0, 1, 1, 1, 1, 1, 1, 1, 1, 0}, bridge[] = {0, 1, 1, 1, 1, 1, 1, 1, 1, 0};
	struct bh_doctor_facts f = {
		.knobs = {
			[BH_KNOB_BR_NETFILTER].err = -ENOENT, [BH_KNOB_CONNTRACK_MAX].n = 65536, [BH_KNOB_CONNTRACK_COUNT].n = 65000, [BH_KNOB_CONNTRACK_LOOSE].n = 1,
			[BH_KNOB_CONNTRACK_LIBERAL].n = 1, [BH_KNOB_CONNTRACK_HELPER].n = 1, [BH_KNOB_USERNS_CLONE].n = 1, [BH_KNOB_USERNS_APPARMOR].err = -ENOENT,
			[BH_KNOB_USERNS_MAX].n = 1000, [BH_KNOB_PERF].n = -1, [BH_KNOB_SUID_DUMPABLE].n = 1, [BH_KNOB_APPARMOR].err = -ENOENT, [BH_KNOB_SELINUX].err = -ENOENT,
		},
		.nft_err = -EOPNOTSUPP,
		.socket = "/run/docker.sock",
		.dockerd = {.experimental = true, .debug = true, .icc_known = true, .icc = true},
		.config_err = -EINVAL, .packages = BH_PACKAGES_DEBIAN, .behind = 2, .lists_age.n = 30 * 86400, .reboot.n = 1, .guard = BH_GUARD_NONE,
		.foreign = rules("filter", BH_FOREIGN_FORWARD, false), .loads = BH_LOADS_NFTABLES | BH_LOADS_UFW, .flushes.n = 1,
	};

	f.foreign->legacy4 = true;
	f.knobs[BH_KNOB_IP_FORWARD].n = 0;
	link_add(&f, "all", false, all);
	link_add(&f, "default", false, all);
	link_add(&f, "docker0", true, bridge);
	options(&f.dockerd, told);
	set(&f.dockerd.version, "20.10.24+dfsg1");
	set(&f.dockerd.api_version, "1.40");
	set(&f.dockerd.storage_driver, "aufs");
	set(&f.dockerd.logging_driver, "none");
	set(&f.dockerd.root_dir, "/var/lib/docker");
	set(&f.dockerd.file, "/etc/docker/daemon.json");
	assert_int_equal(bh_strv_push(&f.dockerd.security_options, "name=seccomp,profile=unconfined"), 0);
	assert_int_equal(bh_strv_push(&f.dockerd.insecure, "registry.example.org:5000"), 0);
	assert_int_equal(bh_strv_push(&f.group, "eve"), 0);
	for (size_t i = 0; i < BH_ARRAY_SIZE(FILES); i++)
		file_add(&f, FILES[i].check, FILES[i].path, FILES[i].dir, FILES[i].bad);
	set(&f.config_error, "bulkhead.yaml:3:1: unknown key 'zone' in the file");
	set(&f.behind_names, "libc6, openssl");
	set(&f.kernel, "6.1.0-9-amd64");
	set(&f.kernel_newest, "6.1.0-18-amd64");
	hole(&f, "meltdown", "Vulnerable");
	return f;
}

static void clear(struct bh_doctor_facts *f)
{
	bh_doctor_facts_clear(f);
}

static struct bh_doctor *judge(const struct bh_doctor_facts *f, const struct bh_doctor_policy *p)
{
	struct bh_doctor *d = NULL;

	assert_int_equal(bh_doctor_judge(f, p, &d), 0);
	return d;
}

/* On a bad host these would hide another: they are seen bad in test_one_thing(). */
static bool only_alone(enum bh_check c)
{
	return c == BH_CHECK_DOCKER_ROOTLESS || c == BH_CHECK_HOST_FIREWALL || c == BH_CHECK_FORWARD_POLICY;
}

static bool seen_bad[BH_CHECK_MAX], seen_good[BH_CHECK_MAX];

static void test_all_good(void **state)
{
	struct bh_doctor_facts f = good();
	struct bh_doctor *d = judge(&f, &NONE);

	(void)state;
	for (enum bh_check c = 0; c < BH_CHECK_MAX; c++) {
		if (d->v[c].result != BH_RESULT_PASS)
			fail_msg("%s: %s: %s", bh_checks[c].id, bh_result_name(d->v[c].result), d->v[c].seen);
		seen_good[c] = true;
	}
	assert_int_equal(d->n[BH_RESULT_PASS], BH_CHECK_MAX);
	bh_doctor_free(d);
	clear(&f);
}

static void test_all_bad(void **state)
{
	struct bh_doctor_facts f = bad();
	struct bh_doctor *d = judge(&f, &NONE);

	(void)state;
	for (enum bh_check c = 0; c < BH_CHECK_MAX; c++) {
		const bool is_bad = d->v[c].result == BH_RESULT_WARN || d->v[c].result == BH_RESULT_FAIL;

		if (!is_bad && !only_alone(c))
			fail_msg("%s: %s: %s", bh_checks[c].id, bh_result_name(d->v[c].result), d->v[c].seen);
		seen_bad[c] |= is_bad;
	}
	bh_doctor_free(d);
	clear(&f);
}

/* ---- one thing is changed on a good host */

static void nothing_there(struct bh_doctor_facts *f)
{
	bh_vec_foreach(x, &f->files)
		x->err = -ENOENT;
}
static void owned(struct bh_doctor_facts *f)
{
	bh_vec_foreach(x, &f->files)
		x->uid = 1000;
}
static void strange_group(struct bh_doctor_facts *f)
{
	bh_vec_foreach(x, &f->files)
		x->gid = 1000;
}
static void docker_group_gone(struct bh_doctor_facts *f)
{
	f->group_err = -ENOENT;
}
static void files_unread(struct bh_doctor_facts *f)
{
	bh_vec_foreach(x, &f->files)
		x->err = -EACCES;
}
static void rootless(struct bh_doctor_facts *f)
{
	set(&f->dockerd.security_options.v[2], "name=rootless");
}
static void no_seccomp(struct bh_doctor_facts *f)
{
	set(&f->dockerd.security_options.v[1], "name=cgroupns");
}
static void swarm(struct bh_doctor_facts *f)
{
	f->dockerd.live_restore = false;
	f->dockerd.swarm = true;
}
static void tls_for_all(struct bh_doctor_facts *f)
{
	bh_vec_foreach(o, &f->dockerd.options)
		if (strcmp(o->name, "tlsverify") == 0)
			set(&o->name, "tls");
}
static void warned(struct bh_doctor_facts *f)
{
	assert_int_equal(bh_strv_push(&f->dockerd.warnings, "WARNING: API is accessible on http://0.0.0.0:2375 without encryption."), 0);
}
static void untold(struct bh_doctor_facts *f)
{
	bh_vec_foreach(o, &f->dockerd.options) {
		free(o->name);
		free(o->value);
	}
	bh_vec_clear(&f->dockerd.options);
	f->dockerd.icc_known = false;
}
static void unseen(struct bh_doctor_facts *f)
{
	untold(f);
	f->dockerd.command_err = -ESRCH;
}
static void no_json(struct bh_doctor_facts *f)
{
	untold(f);
	f->dockerd.file_err = -EBADMSG;
}
static void silent(struct bh_doctor_facts *f)
{
	unseen(f);
	f->dockerd.file_err = -ENOENT;
	f->dockerd.answer_err = -ECONNREFUSED;
	set(&f->dockerd.reason, "connection refused");
	set(&f->dockerd.logging_driver, NULL);
}
static void podman(struct bh_doctor_facts *f)
{
	unseen(f);
	f->dockerd.podman = true;
	set(&f->dockerd.version, "4.3.1");
}
static void journald(struct bh_doctor_facts *f)
{
	set(&f->dockerd.logging_driver, "journald");
}
static void docker_27(struct bh_doctor_facts *f)
{
	set(&f->dockerd.version, "27.5.1");
}
static void no_version(struct bh_doctor_facts *f)
{
	set(&f->dockerd.version, "dev");
}
static void overlay(struct bh_doctor_facts *f)
{
	set(&f->dockerd.storage_driver, "overlay");
}
static void no_pids(struct bh_doctor_facts *f)
{
	f->dockerd.pids_limit = false;
}
static void ra_of_bridge(struct bh_doctor_facts *f)
{
	f->links.v[4].v[BH_LINK_ACCEPT_RA].n = 2;
}
static void no_ipv6(struct bh_doctor_facts *f)
{
	bh_vec_foreach(l, &f->links)
		for (enum bh_link_knob k = BH_LINK_REDIRECTS6; k < BH_LINK_KNOB_MAX; k++)
			l->v[k] = (struct bh_number){.err = -ENOENT, .n = 2};
}
static void no_filter(struct bh_doctor_facts *f)
{
	f->links.v[0].v[BH_LINK_RP_FILTER].n = f->links.v[3].v[BH_LINK_RP_FILTER].n = 0;
}
static void localnet_of_all(struct bh_doctor_facts *f)
{
	f->links.v[0].v[BH_LINK_ROUTE_LOCALNET].n = 1;
}
static void localnet_of_one(struct bh_doctor_facts *f)
{
	f->links.v[4].v[BH_LINK_ROUTE_LOCALNET].n = 1;
}
static void redirect_of_one(struct bh_doctor_facts *f)	/* forwarding: both must say so */
{
	f->links.v[3].v[BH_LINK_REDIRECTS4].n = 1;
}
static void redirect_not_forwarding(struct bh_doctor_facts *f)
{
	redirect_of_one(f);
	f->links.v[3].v[BH_LINK_FORWARDING4].n = 0;
}
static void redirect_6(struct bh_doctor_facts *f)
{
	f->links.v[3].v[BH_LINK_FORWARDING6].n = 0;
}
static void sent(struct bh_doctor_facts *f)
{
	f->links.v[0].v[BH_LINK_SEND_REDIRECTS].n = 1;
}
static void routes_6(struct bh_doctor_facts *f)
{
	f->links.v[0].v[BH_LINK_SOURCE_ROUTE6].n = f->links.v[1].v[BH_LINK_SOURCE_ROUTE6].n = 1;
}
static void links_unread(struct bh_doctor_facts *f)
{
	f->links_err = -EACCES;
}
static void knobs_unread(struct bh_doctor_facts *f)
{
	for (enum bh_knob k = 0; k < BH_KNOB_MAX; k++)
		f->knobs[k].err = -EACCES;
}
static void small_conntrack(struct bh_doctor_facts *f)
{
	f->knobs[BH_KNOB_CONNTRACK_MAX].n = 32768;
}
static void userns_open(struct bh_doctor_facts *f)
{
	f->knobs[BH_KNOB_USERNS_CLONE].err = -ENOENT;
}
static void userns_ubuntu(struct bh_doctor_facts *f)
{
	userns_open(f);
	f->knobs[BH_KNOB_USERNS_APPARMOR] = (struct bh_number){.n = 1};
}
static void userns_none(struct bh_doctor_facts *f)
{
	userns_open(f);
	f->knobs[BH_KNOB_USERNS_MAX].n = 0;
}
static void no_yama(struct bh_doctor_facts *f)
{
	f->knobs[BH_KNOB_PTRACE].err = -ENOENT;
}
static void no_root(struct bh_doctor_facts *f)
{
	f->nft_err = f->tc_err = f->guard_err = f->foreign_err = -EPERM;
	bh_foreign_free(f->foreign);
	f->foreign = NULL;
}
static void old_nft(struct bh_doctor_facts *f)
{
	f->features.table_persist = f->features.bridge_ibrname = false;
}
static void selinux(struct bh_doctor_facts *f)
{
	f->knobs[BH_KNOB_APPARMOR].n = 0;
	f->knobs[BH_KNOB_SELINUX] = (struct bh_number){.n = 1};
}
static void permissive(struct bh_doctor_facts *f)
{
	selinux(f);
	f->knobs[BH_KNOB_SELINUX].n = 0;
}
static void one_rule_missing(struct bh_doctor_facts *f)
{
	set(&f->audit_rules, "-w /usr/bin/dockerd\n-w /etc/docker\n-w /var/lib/docker\n-w /usr/bin/runc\n");
}
static void rules_unread(struct bh_doctor_facts *f)
{
	f->audit_err = -EACCES;
	set(&f->audit_rules, NULL);
}
static void in_part(struct bh_doctor_facts *f)
{
	hole(f, "spectre_v2", "Mitigation: Enhanced IBRS; BHI: Vulnerable");
}
static void kvm(struct bh_doctor_facts *f)
{
	hole(f, "l1tf", "KVM: Vulnerable");
}
static void no_boot(struct bh_doctor_facts *f)
{
	set(&f->kernel_newest, NULL);
}
static void newer_runs(struct bh_doctor_facts *f)
{
	set(&f->kernel, "6.10.0-1-amd64");
}
static void no_lists(struct bh_doctor_facts *f)
{
	f->updates_err = -ENODATA;
	f->lists_age.err = -ENOENT;
}
static void rpm(struct bh_doctor_facts *f)
{
	f->packages = BH_PACKAGES_RPM;
}
static void neither(struct bh_doctor_facts *f)
{
	f->packages = BH_PACKAGES_OTHER;
}
static void audit(struct bh_doctor_facts *f)
{
	f->guard = BH_GUARD_AUDIT;
}
static void no_firewall(struct bh_doctor_facts *f)
{
	bh_foreign_free(f->foreign);
	f->foreign = rules("filter", BH_FOREIGN_FORWARD, false);
}
static void drops_4_alone(struct bh_doctor_facts *f)
{
	f->foreign->tables.v[0].family = 4;
}
static void legacy(struct bh_doctor_facts *f)
{
	no_firewall(f);
	f->foreign->legacy6 = true;
}
static void no_forward(struct bh_doctor_facts *f)
{
	no_firewall(f);
	f->knobs[BH_KNOB_IP_FORWARD].n = 0;
}
static void flushing(struct bh_doctor_facts *f)
{
	f->flushes.n = 1;
}
static void flushing_disabled(struct bh_doctor_facts *f)
{
	f->flushes.n = 1;
	f->loads = 0;
}
static void two_load(struct bh_doctor_facts *f)
{
	f->loads |= BH_LOADS_FIREWALLD;
}
static void unset_config(struct bh_doctor_facts *f)
{
	f->config_err = -ENOENT;
}
static void unread_config(struct bh_doctor_facts *f)
{
	f->config_err = -EACCES;
}

#define PASS BH_RESULT_PASS
#define WARN BH_RESULT_WARN
#define FAIL BH_RESULT_FAIL
#define UNKNOWN BH_RESULT_UNKNOWN

static const struct {
	void (*change)(struct bh_doctor_facts *f);
	enum bh_check check;
	enum bh_result result;
	const char *seen;	/* a part of it */
} CASES[] = {
	{nothing_there, BH_CHECK_DOCKER_SOCKET, PASS, "none here"},
	{owned, BH_CHECK_DOCKER_KEY, FAIL, "/etc/docker/key.pem belongs to uid 1000"},
	{owned, BH_CHECK_DOCKER_CONFIG, FAIL, "/etc/docker belongs to uid 1000, /etc/docker/daemon.json belongs"},
	{strange_group, BH_CHECK_DOCKER_SOCKET, FAIL, "may be written by gid 1000"},
	{strange_group, BH_CHECK_CONTAINERD_SOCKET, FAIL, "may be written by gid 1000"},
	{strange_group, BH_CHECK_BULKHEAD_SOCKET, PASS, "1 looked at"},
	{strange_group, BH_CHECK_DOCKER_CONFIG, PASS, "2 looked at"},
	{docker_group_gone, BH_CHECK_DOCKER_SOCKET, FAIL, "gid 998"},
	{docker_group_gone, BH_CHECK_DOCKER_GROUP, PASS, "no group docker"},
	{files_unread, BH_CHECK_DOCKER_KEY, UNKNOWN, "for root alone"},
	{rootless, BH_CHECK_DOCKER_ROOTLESS, WARN, "rootless"},
	{rootless, BH_CHECK_DOCKER_USERNS, PASS, "rootless"},
	{no_seccomp, BH_CHECK_DOCKER_SECCOMP, FAIL, "no seccomp"},
	{swarm, BH_CHECK_DOCKER_LIVE_RESTORE, PASS, "swarm"},
	{tls_for_all, BH_CHECK_DOCKER_TCP, FAIL, "tcp://0.0.0.0:2376, with TLS but for every client"},
	{warned, BH_CHECK_DOCKER_TCP, FAIL, "tcp://0.0.0.0:2376"},
	{untold, BH_CHECK_DOCKER_TCP, PASS, "no tcp:// socket"},
	{untold, BH_CHECK_DOCKER_ICC, WARN, "icc: true, as it is unless told"},
	{untold, BH_CHECK_DOCKER_NO_NEW_PRIVILEGES, WARN, "false, as it is unless told"},
	{untold, BH_CHECK_DOCKER_IPTABLES, PASS, "true, as it is unless told"},
	{untold, BH_CHECK_DOCKER_USERLAND_PROXY, WARN, "true, as it is unless told"},
	{untold, BH_CHECK_DOCKER_LOGGING, WARN, "without max-size"},
	{untold, BH_CHECK_DOCKER_LOG_LEVEL, PASS, "info"},
	{untold, BH_CHECK_DOCKER_ULIMITS, WARN, "no default-ulimits"},
	{unseen, BH_CHECK_DOCKER_TCP, PASS, "Docker warns of none"},
	{unseen, BH_CHECK_DOCKER_ICC, UNKNOWN, "command line cannot be seen"},
	{unseen, BH_CHECK_DOCKER_LOGGING, UNKNOWN, "command line cannot be seen"},
	{no_json, BH_CHECK_DOCKER_ULIMITS, UNKNOWN, "/etc/docker/daemon.json is no JSON"},
	{silent, BH_CHECK_DOCKER_USERNS, UNKNOWN, "nobody answers at /run/docker.sock: connection refused"},
	{silent, BH_CHECK_DOCKER_TCP, UNKNOWN, "nobody answers"},
	{silent, BH_CHECK_DOCKER_LOGGING, UNKNOWN, "nobody answers"},
	{silent, BH_CHECK_DOCKER_INSECURE_REGISTRIES, UNKNOWN, "nobody answers"},
	{podman, BH_CHECK_DOCKER_TCP, UNKNOWN, "Podman has no daemon"},
	{podman, BH_CHECK_DOCKER_VERSION, PASS, "Podman, API 1.49"},
	{journald, BH_CHECK_DOCKER_LOGGING, PASS, "journald"},
	{docker_27, BH_CHECK_DOCKER_VERSION, WARN, "27.5.1"},
	{no_version, BH_CHECK_DOCKER_VERSION, UNKNOWN, "does not say"},
	{overlay, BH_CHECK_DOCKER_STORAGE, FAIL, "overlay"},
	{no_pids, BH_CHECK_DOCKER_LIMITS, WARN, "not limited: pids"},
	{ra_of_bridge, BH_CHECK_ACCEPT_RA, FAIL, "from docker0"},
	{no_ipv6, BH_CHECK_ACCEPT_RA, PASS, ""},
	{no_filter, BH_CHECK_RP_FILTER, WARN, "on eth0"},
	{localnet_of_all, BH_CHECK_ROUTE_LOCALNET, FAIL, "default, eth0, docker0"},
	{localnet_of_one, BH_CHECK_ROUTE_LOCALNET, FAIL, "from docker0"},
	{redirect_of_one, BH_CHECK_ACCEPT_REDIRECTS, PASS, ""},
	{redirect_not_forwarding, BH_CHECK_ACCEPT_REDIRECTS, WARN, "from eth0"},
	{redirect_6, BH_CHECK_ACCEPT_REDIRECTS, WARN, "from eth0"},
	{sent, BH_CHECK_SEND_REDIRECTS, WARN, "to default, eth0, docker0"},
	{routes_6, BH_CHECK_SOURCE_ROUTE, FAIL, "from default"},
	{links_unread, BH_CHECK_RP_FILTER, UNKNOWN, "for root alone"},
	{knobs_unread, BH_CHECK_KPTR_RESTRICT, UNKNOWN, "/proc/sys/kernel/kptr_restrict: for root alone"},
	{knobs_unread, BH_CHECK_CONNTRACK_MAX, UNKNOWN, "for root"},
	{knobs_unread, BH_CHECK_UNPRIVILEGED_USERNS, UNKNOWN, "for root"},
	{knobs_unread, BH_CHECK_PROTECTED_LINKS, UNKNOWN, "for root"},
	{knobs_unread, BH_CHECK_MAC, UNKNOWN, "for root"},
	{knobs_unread, BH_CHECK_BR_NETFILTER, UNKNOWN, "for root"},
	{small_conntrack, BH_CHECK_CONNTRACK_MAX, WARN, "at most 32768"},
	{userns_open, BH_CHECK_UNPRIVILEGED_USERNS, WARN, "1000"},
	{userns_ubuntu, BH_CHECK_UNPRIVILEGED_USERNS, PASS, "apparmor"},
	{userns_none, BH_CHECK_UNPRIVILEGED_USERNS, PASS, "max_user_namespaces"},
	{no_yama, BH_CHECK_PTRACE_SCOPE, WARN, "has it not"},
	{no_root, BH_CHECK_NF_TABLES, UNKNOWN, "for root alone"},
	{no_root, BH_CHECK_HTB, UNKNOWN, "for root alone"},
	{no_root, BH_CHECK_BULKHEAD_ENFORCES, UNKNOWN, "for root alone"},
	{no_root, BH_CHECK_FORWARD_POLICY, UNKNOWN, "for root alone"},
	{old_nft, BH_CHECK_NFT_PERSIST, WARN, "persistent owner"},
	{old_nft, BH_CHECK_NF_TABLES, PASS, "inet"},
	{selinux, BH_CHECK_MAC, PASS, "SELinux is enforcing"},
	{permissive, BH_CHECK_MAC, WARN, "permissive"},
	{one_rule_missing, BH_CHECK_AUDIT_DOCKER, WARN, "not watched: /usr/bin/containerd"},
	{rules_unread, BH_CHECK_AUDIT_DOCKER, UNKNOWN, "for root alone"},
	{in_part, BH_CHECK_CPU_MITIGATIONS, WARN, "in part: spectre_v2"},
	{kvm, BH_CHECK_CPU_MITIGATIONS, FAIL, "vulnerable: l1tf"},
	{no_boot, BH_CHECK_KERNEL_RUNNING, UNKNOWN, "no kernel in /boot"},
	{newer_runs, BH_CHECK_KERNEL_RUNNING, PASS, "newest"},
	{no_lists, BH_CHECK_SECURITY_UPDATES, UNKNOWN, "no list of a security archive"},
	{no_lists, BH_CHECK_PACKAGE_LISTS, WARN, "no lists"},
	{rpm, BH_CHECK_SECURITY_UPDATES, UNKNOWN, "dnf updateinfo list --security"},
	{neither, BH_CHECK_SECURITY_UPDATES, UNKNOWN, "neither dpkg nor rpm"},
	{audit, BH_CHECK_BULKHEAD_ENFORCES, WARN, "audit"},
	{no_firewall, BH_CHECK_HOST_FIREWALL, WARN, "no rule at input"},
	{no_firewall, BH_CHECK_FORWARD_POLICY, WARN, "no chain at forward drops what no rule accepts"},
	{drops_4_alone, BH_CHECK_FORWARD_POLICY, WARN, "accepts, for IPv6"},
	{legacy, BH_CHECK_HOST_FIREWALL, UNKNOWN, "iptables-legacy"},
	{legacy, BH_CHECK_FORWARD_POLICY, UNKNOWN, "iptables-legacy"},
	{no_forward, BH_CHECK_FORWARD_POLICY, PASS, "nothing is forwarded"},
	{flushing, BH_CHECK_NFTABLES_FLUSH, WARN, "flush ruleset"},
	{flushing_disabled, BH_CHECK_NFTABLES_FLUSH, PASS, "not enabled"},
	{two_load, BH_CHECK_FIREWALL_RIVALS, WARN, "firewalld, nftables"},
	{unset_config, BH_CHECK_BULKHEAD_VALID, WARN, "no configuration"},
	{unread_config, BH_CHECK_BULKHEAD_VALID, UNKNOWN, "for root alone"},
};

static void test_one_thing(void **state)
{
	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(CASES); i++) {
		struct bh_doctor_facts f = good();
		struct bh_doctor *d;

		CASES[i].change(&f);
		d = judge(&f, &NONE);
		if (d->v[CASES[i].check].result != CASES[i].result || !strstr(d->v[CASES[i].check].seen, CASES[i].seen))
			fail_msg("case %zu, %s: %s: %s", i, bh_checks[CASES[i].check].id, bh_result_name(d->v[CASES[i].check].result), d->v[CASES[i].check].seen);
		seen_bad[CASES[i].check] |= CASES[i].result == WARN || CASES[i].result == FAIL;
		bh_doctor_free(d);
		clear(&f);
	}
}

static void test_each_both_ways(void **state)
{
	(void)state;
	for (enum bh_check c = 0; c < BH_CHECK_MAX; c++)
		if (!seen_good[c] || !seen_bad[c])
			fail_msg("%s was never seen %s", bh_checks[c].id, seen_good[c] ? "bad" : "good");
}

static void test_fixes(void **state)
{
	struct bh_doctor_facts f = bad();
	struct bh_doctor *d = judge(&f, &NONE);

	(void)state;
	assert_string_equal(d->v[BH_CHECK_DOCKER_SOCKET].fix, "chmod 0660 /run/docker.sock");
	assert_string_equal(d->v[BH_CHECK_DOCKER_DATA].fix, "chmod 0711 /var/lib/docker");
	assert_string_equal(d->v[BH_CHECK_DOCKER_GROUP].fix, "gpasswd -d eve docker");
	assert_string_equal(d->v[BH_CHECK_ACCEPT_RA].fix, "sysctl -w net.ipv6.conf.docker0.accept_ra=0");
	assert_string_equal(d->v[BH_CHECK_ROUTE_LOCALNET].fix, "sysctl -w net.ipv4.conf.all.route_localnet=0");
	assert_null(d->v[BH_CHECK_DOCKER_ICC].fix);
	bh_doctor_free(d);
	clear(&f);
}

static void test_policy(void **state)
{
	struct bh_doctor_policy p = {0};
	struct bh_doctor_facts f = bad();
	struct bh_doctor *plain = judge(&f, &NONE), *d;

	(void)state;
	assert_int_equal(plain->v[BH_CHECK_DOCKER_TCP].result, BH_RESULT_FAIL);
	p.skip[BH_CHECK_DOCKER_TCP] = p.warn[BH_CHECK_DOCKER_SOCKET] = p.warn[BH_CHECK_RP_FILTER] = true;
	d = judge(&f, &p);
	assert_int_equal(d->v[BH_CHECK_DOCKER_TCP].result, BH_RESULT_SKIPPED);
	assert_null(d->v[BH_CHECK_DOCKER_TCP].seen);
	assert_int_equal(d->v[BH_CHECK_DOCKER_SOCKET].result, BH_RESULT_WARN);
	assert_int_equal(d->v[BH_CHECK_RP_FILTER].result, BH_RESULT_WARN);
	assert_int_equal(d->n[BH_RESULT_FAIL], plain->n[BH_RESULT_FAIL] - 2);
	assert_int_equal(d->n[BH_RESULT_SKIPPED], 1);
	bh_doctor_free(plain);
	bh_doctor_free(d);
	clear(&f);
}

static void test_table(void **state)
{
	(void)state;
	for (enum bh_check c = 0; c < BH_CHECK_MAX; c++) {
		const struct bh_check_info *i = &bh_checks[c];

		assert_non_null(i->id);
		assert_int_equal(strspn(i->id, "abcdefghijklmnopqrstuvwxyz-"), strlen(i->id));
		assert_true(i->why && i->fix && i->reference && i->why[strlen(i->why) - 1] == '.');
		assert_int_equal(bh_check_find(i->id, strlen(i->id)), c);
		assert_true(c == 0 || i->group >= bh_checks[c - 1].group);
		assert_non_null(bh_check_group_name(i->group));
	}
	assert_int_equal(bh_check_find("auditd-", 6), BH_CHECK_AUDITD);
	assert_int_equal(bh_check_find("auditd-", 7), BH_CHECK_MAX);
	assert_int_equal(bh_check_find("", 0), BH_CHECK_MAX);
}

/* Whichever allocation fails, that is what is said, and nothing is lost. */
static void test_no_memory(void **state)
{
	struct bh_doctor_facts hosts[] = {good(), bad()};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(hosts); i++) {
		long n = 0;

		for (int r = -ENOMEM; r < 0; n++) {
			struct bh_doctor *d = NULL;

			left = n;
			r = bh_doctor_judge(&hosts[i], &NONE, &d);
			left = -1;
			assert_int_equal(r, d ? 0 : -ENOMEM);
			bh_doctor_free(d);
		}
		assert_true(n > BH_CHECK_MAX);
		clear(&hosts[i]);
	}
}

/* ---- the document and its text */

static char *drawn(const struct bh_doctor_facts *f, const struct bh_doctor_policy *p)
{
	static const struct bh_doctor_where where = {.docker = "/run/docker.sock", .config = "/etc/bulkhead/bulkhead.yaml"};
	struct bh_doctor *d = judge(f, p);
	json_t *doc = bh_doctor_json(d, f, &where);
	char *out = NULL;
	size_t n = 0;
	struct bh_writer w = {.out = open_memstream(&out, &n)};

	assert_non_null(doc);
	assert_int_equal(json_array_size(json_object_get(doc, "checks")), BH_CHECK_MAX);
	assert_int_equal(bh_writer_put(&w, doc, bh_doctor_text, NULL), 0);
	fclose(w.out);
	json_decref(doc);
	bh_doctor_free(d);
	if (getenv("BH_SHOW"))
		fputs(out, stderr);
	for (const char *s = out; *s; s = strchr(s, '\n') + 1)
		if (strcspn(s, "\n") > 80)
			fail_msg("wide: %.*s", (int)strcspn(s, "\n"), s);
	assert_null(strchr(out, '\033'));
	return out;
}

static void test_text(void **state)
{
	struct bh_doctor_policy p = {0};
	struct bh_doctor_facts f = bad();
	char *s;

	(void)state;
	set(&f.group.v[0], "e\033[31mve");
	p.skip[BH_CHECK_AUDITD] = true;
	s = drawn(&f, &p);
	assert_true(strncmp(s, "doctor    ", 10) == 0);
	assert_non_null(strstr(s, "\nfail      docker-tcp: tcp://0.0.0.0:2375, without TLS\n          Who reaches that port is root on this host.\nfix       "));
	assert_non_null(strstr(s, "\nskipped   auditd\n"));
	assert_true(strstr(s, "\nwarn ") > strstr(s, "\nfail "));
	free(s);
	clear(&f);
	f = good();
	s = drawn(&f, &NONE);
	assert_null(strstr(s, "\nfail "));
	assert_null(strstr(s, "\nunknown "));
	assert_non_null(strstr(s, "\nkernel    nf-tables, nft-bridge, nft-persist, br-netfilter, ifb, htb, fq-codel\n"));
	free(s);
	clear(&f);
	f = good();
	silent(&f);
	s = drawn(&f, &NONE);
	assert_non_null(strstr(s, "\nunknown   nobody answers at /run/docker.sock: connection refused: "));
	free(s);
	clear(&f);
}

/* ---- files of others */

static void test_files_of_others(void **state)
{
	_cleanup_buf_ struct bh_buf b = {0};

	(void)state;
	bh_doctor_uncomment("# -w /a\n  \t\n-w /b -k x \r\n//c\n -w /d", &b);
	assert_string_equal(b.s, "-w /b -k x\n-w /d\n");
	assert_int_equal(bh_doctor_unattended("APT::Periodic::Update-Package-Lists \"1\";\nAPT::Periodic::Unattended-Upgrade \"1\";\n"), 1);
	assert_int_equal(bh_doctor_unattended("  APT::Periodic::Unattended-Upgrade \"0\";"), 0);
	assert_int_equal(bh_doctor_unattended("APT::Periodic::Unattended-Upgrade \"1\";\nAPT::Periodic::Unattended-Upgrade 0;"), 0);
	assert_int_equal(bh_doctor_unattended("//APT::Periodic::Unattended-Upgrade \"1\";\n# APT::Periodic::Unattended-Upgrade \"1\";"), -1);
	assert_int_equal(bh_doctor_unattended("APT::Periodic::Unattended-Upgrade"), -1);
	assert_int_equal(bh_doctor_unattended("APT::Periodic::Unattended-Upgrade \"\";"), 0);
	assert_int_equal(bh_doctor_unattended(""), -1);
	assert_true(bh_doctor_is_set("A=1\nDOCKER_CONTENT_TRUST=1\n", "DOCKER_CONTENT_TRUST", "1"));
	assert_true(bh_doctor_is_set("export X=\"yes\"", "X", "yes"));
	assert_true(bh_doctor_is_set("X='yes'", "X", "yes"));
	assert_false(bh_doctor_is_set("X=yes\nX=no", "X", "yes"));
	assert_false(bh_doctor_is_set("#X=yes\nXY=yes\nX=\nX", "X", "yes"));
	assert_true(bh_doctor_flushes("#!/usr/sbin/nft -f\n\nflush ruleset\ntable inet filter {}\n"));
	assert_true(bh_doctor_flushes(" flush \t ruleset inet"));
	assert_false(bh_doctor_flushes("# flush ruleset\nflush table inet filter\nflushruleset\nflush\nruleset"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table), cmocka_unit_test(test_all_good), cmocka_unit_test(test_all_bad), cmocka_unit_test(test_one_thing),
		cmocka_unit_test(test_each_both_ways), cmocka_unit_test(test_fixes), cmocka_unit_test(test_policy), cmocka_unit_test(test_no_memory), cmocka_unit_test(test_text),
		cmocka_unit_test(test_files_of_others),
	};

	return cmocka_run_group_tests_name("doctor", tests, NULL, NULL);
}
