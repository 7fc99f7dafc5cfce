/* SPDX-License-Identifier: Apache-2.0 */
/* Patches, what watches, firewalls. */
#include "doctor_priv.h"

#include <bulkhead/debian.h>

#include <errno.h>
#include <string.h>

#define LISTS_AGE_MAX (7l * 24 * 3600)
#define DAY (24l * 3600)

static void updates(struct doctor *d)
{
	const struct bh_doctor_facts *f = d->f;

	if (f->packages == BH_PACKAGES_RPM) {
		doctor_put(d, BH_CHECK_SECURITY_UPDATES, BH_RESULT_UNKNOWN, "what is behind, dnf alone knows: dnf updateinfo list --security");
		doctor_put(d, BH_CHECK_PACKAGE_LISTS, BH_RESULT_UNKNOWN, "dnf asks its archives when it is asked");
	} else if (f->packages == BH_PACKAGES_OTHER) {
		doctor_put(d, BH_CHECK_SECURITY_UPDATES, BH_RESULT_UNKNOWN, "neither dpkg nor rpm keeps packages here");
		doctor_put(d, BH_CHECK_PACKAGE_LISTS, BH_RESULT_UNKNOWN, "neither dpkg nor rpm keeps packages here");
	} else {
		if (f->updates_err == -ENODATA)
			doctor_put(d, BH_CHECK_SECURITY_UPDATES, BH_RESULT_UNKNOWN, "no list of a security archive in /var/lib/apt/lists that is not compressed");
		else if (f->updates_err < 0)
			doctor_unread(d, BH_CHECK_SECURITY_UPDATES, "/var/lib/dpkg/status or /var/lib/apt/lists", f->updates_err);
		else if (f->behind)
			doctor_put(d, BH_CHECK_SECURITY_UPDATES, BH_RESULT_FAIL, "%zu package%s older than the security archive's: %s", f->behind, f->behind == 1 ? " is" : "s are",
				f->behind_names ? f->behind_names : "");
		else
			doctor_put(d, BH_CHECK_SECURITY_UPDATES, BH_RESULT_PASS, "none is known to this host");
		if (f->lists_age.err == -ENOENT)
			doctor_put(d, BH_CHECK_PACKAGE_LISTS, BH_RESULT_WARN, "apt has no lists");
		else if (f->lists_age.err < 0)
			doctor_unread(d, BH_CHECK_PACKAGE_LISTS, "/var/lib/apt/lists", f->lists_age.err);
		else
			doctor_put(d, BH_CHECK_PACKAGE_LISTS, f->lists_age.n > LISTS_AGE_MAX ? BH_RESULT_WARN : BH_RESULT_PASS, "apt's lists are of %ld days ago", f->lists_age.n / DAY);
	}
	if (f->automatic.err < 0)
		doctor_unread(d, BH_CHECK_AUTOMATIC_UPDATES, "what apt and dnf do by themselves", f->automatic.err);
	else
		doctor_put(d, BH_CHECK_AUTOMATIC_UPDATES, f->automatic.n ? BH_RESULT_PASS : BH_RESULT_WARN, "%s",
			f->automatic.n ? "updates are installed by themselves" : "neither unattended-upgrades nor dnf-automatic is on");
	if (f->packages == BH_PACKAGES_RPM) {
		doctor_fix(d, BH_CHECK_SECURITY_UPDATES, "dnf upgrade --security");
		doctor_fix(d, BH_CHECK_PACKAGE_LISTS, "dnf check-update");
		doctor_fix(d, BH_CHECK_AUTOMATIC_UPDATES, "dnf install dnf-automatic; systemctl enable --now dnf-automatic-install.timer");
	}
	if (f->reboot.err < 0)
		doctor_unread(d, BH_CHECK_REBOOT_REQUIRED, "/run/reboot-required", f->reboot.err);
	else
		doctor_put(d, BH_CHECK_REBOOT_REQUIRED, f->reboot.n ? BH_RESULT_WARN : BH_RESULT_PASS, "/run/reboot-required is %s", f->reboot.n ? "there" : "not there");
}

static bool begins(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

/* Documentation/ABI/testing/sysfs-devices-system-cpu: "Not affected", "Vulnerable…", "Mitigation: …", with "KVM: " before it where it is about guests. */
static void mitigations(struct doctor *d)
{
	const struct bh_doctor_facts *f = d->f;
	_cleanup_buf_ struct bh_buf b = {0}, partly = {0};
	size_t open = 0, part = 0;

	bh_vec_foreach(v, &f->vulnerabilities) {
		const char *s = begins(v->text, "KVM: ") ? v->text + 5 : v->text;

		if (begins(s, "Vulnerable") || begins(s, "Processor vulnerable") || begins(s, "Unknown"))
			doctor_list(&b, &open, "%s", v->name);
		else if (strstr(s, "ulnerable"))
			doctor_list(&partly, &part, "%s", v->name);
	}
	doctor_list_end(&b, open);
	doctor_list_end(&partly, part);
	if (b.err || partly.err)
		d->err = -ENOMEM;
	if (f->vulnerabilities_err < 0)
		doctor_unread(d, BH_CHECK_CPU_MITIGATIONS, "/sys/devices/system/cpu/vulnerabilities", f->vulnerabilities_err);
	else if (open)
		doctor_put(d, BH_CHECK_CPU_MITIGATIONS, BH_RESULT_FAIL, "vulnerable: %s", b.s ? b.s : "");
	else if (part)
		doctor_put(d, BH_CHECK_CPU_MITIGATIONS, BH_RESULT_WARN, "mitigated in part: %s", partly.s ? partly.s : "");
	else
		doctor_put(d, BH_CHECK_CPU_MITIGATIONS, BH_RESULT_PASS, "each of %zu is mitigated or not there", f->vulnerabilities.n);
}

void doctor_patches(struct doctor *d)
{
	const struct bh_doctor_facts *f = d->f;

	updates(d);
	if (!f->kernel || !f->kernel_newest)
		doctor_put(d, BH_CHECK_KERNEL_RUNNING, BH_RESULT_UNKNOWN, "there is no kernel in /boot to compare with");
	else if (bh_debian_version_cmp(f->kernel, f->kernel_newest) < 0)
		doctor_put(d, BH_CHECK_KERNEL_RUNNING, BH_RESULT_WARN, "%s runs, %s is installed", f->kernel, f->kernel_newest);
	else
		doctor_put(d, BH_CHECK_KERNEL_RUNNING, BH_RESULT_PASS, "%s is the newest in /boot", f->kernel);
	mitigations(d);
}

static void audit_rules(struct doctor *d)
{
	static const char *const paths[] = {"/usr/bin/dockerd", "/etc/docker", "/var/lib/docker", "/usr/bin/containerd", "/usr/bin/runc"};
	_cleanup_buf_ struct bh_buf b = {0};
	size_t n = 0;

	for (size_t i = 0; i < BH_ARRAY_SIZE(paths); i++)
		if (!d->f->audit_rules || !strstr(d->f->audit_rules, paths[i]))
			doctor_list(&b, &n, "%s", paths[i]);
	doctor_list_end(&b, n);
	if (b.err)
		d->err = b.err;
	if (d->f->audit_err < 0 && d->f->audit_err != -ENOENT)
		doctor_unread(d, BH_CHECK_AUDIT_DOCKER, "/etc/audit", d->f->audit_err);
	else if (n)
		doctor_put(d, BH_CHECK_AUDIT_DOCKER, BH_RESULT_WARN, "not watched: %s", b.s ? b.s : "");
	else
		doctor_put(d, BH_CHECK_AUDIT_DOCKER, BH_RESULT_PASS, "the rules name all of them");
}

void doctor_monitoring(struct doctor *d)
{
	const struct bh_doctor_facts *f = d->f;
	const struct bh_number *apparmor = &f->knobs[BH_KNOB_APPARMOR], *selinux = &f->knobs[BH_KNOB_SELINUX];

	if (apparmor->err == 0 && apparmor->n == 1)
		doctor_put(d, BH_CHECK_MAC, BH_RESULT_PASS, "AppArmor is on");
	else if (selinux->err == 0)
		doctor_put(d, BH_CHECK_MAC, selinux->n == 1 ? BH_RESULT_PASS : BH_RESULT_WARN, "SELinux is %s", selinux->n == 1 ? "enforcing" : "permissive");
	else if (apparmor->err == -EACCES || selinux->err == -EACCES)
		doctor_unread(d, BH_CHECK_MAC, "AppArmor's and SELinux' state", -EACCES);
	else
		doctor_put(d, BH_CHECK_MAC, BH_RESULT_WARN, "neither AppArmor nor SELinux is on");
	if (f->auditd.err < 0)
		doctor_unread(d, BH_CHECK_AUDITD, "/proc", f->auditd.err);
	else
		doctor_put(d, BH_CHECK_AUDITD, f->auditd.n ? BH_RESULT_PASS : BH_RESULT_WARN, "auditd %s", f->auditd.n ? "runs" : "does not run");
	audit_rules(d);
	if (f->synced.err < 0)
		doctor_unread(d, BH_CHECK_TIME_SYNC, "the clock's state", f->synced.err);
	else
		doctor_put(d, BH_CHECK_TIME_SYNC, f->synced.n ? BH_RESULT_PASS : BH_RESULT_WARN, "the kernel calls the clock %s", f->synced.n ? "synchronised" : "not synchronised");
}

/* Whether some chain at forward drops what no rule accepts, for this family. */
static bool forward_drops(const struct bh_foreign *f, uint8_t family)
{
	bh_vec_foreach(t, &f->tables)
		bh_vec_foreach(c, &t->chains)
			if (c->hook == BH_FOREIGN_FORWARD && !c->nat && c->drops && (t->family == 0 || t->family == family))
				return true;
	return false;
}

static void foreign_rules(struct doctor *d)
{
	static const enum bh_check checks[] = {BH_CHECK_HOST_FIREWALL, BH_CHECK_FORWARD_POLICY, BH_CHECK_IPTABLES_LEGACY};
	const struct bh_foreign *f = d->f->foreign;
	const struct bh_number *forward = &d->f->knobs[BH_KNOB_IP_FORWARD];
	const char *firewall;
	bool legacy, v4, v6;

	if (!f) {
		for (size_t i = 0; i < BH_ARRAY_SIZE(checks); i++)
			doctor_unread(d, checks[i], "the kernel's rules", d->f->foreign_err);
		return;
	}
	firewall = bh_foreign_firewall(f);
	legacy = f->legacy4 || f->legacy6;
	v4 = forward_drops(f, 4);
	v6 = forward_drops(f, 6);
	if (firewall)
		doctor_put(d, BH_CHECK_HOST_FIREWALL, BH_RESULT_PASS, "%s", firewall);
	else if (legacy)
		doctor_put(d, BH_CHECK_HOST_FIREWALL, BH_RESULT_UNKNOWN, "rules of iptables-legacy are not read here");
	else
		doctor_put(d, BH_CHECK_HOST_FIREWALL, BH_RESULT_WARN, "no rule at input");
	if (forward->err == 0 && forward->n == 0)
		doctor_put(d, BH_CHECK_FORWARD_POLICY, BH_RESULT_PASS, "nothing is forwarded");
	else if (v4 && v6)
		doctor_put(d, BH_CHECK_FORWARD_POLICY, BH_RESULT_PASS, "what no rule accepts is dropped");
	else if (legacy)
		doctor_put(d, BH_CHECK_FORWARD_POLICY, BH_RESULT_UNKNOWN, "rules of iptables-legacy are not read here");
	else
		doctor_put(d, BH_CHECK_FORWARD_POLICY, BH_RESULT_WARN, "no chain at forward drops what no rule accepts%s", v4 ? ", for IPv6" : v6 ? ", for IPv4" : "");
	doctor_put(d, BH_CHECK_IPTABLES_LEGACY, legacy ? BH_RESULT_WARN : BH_RESULT_PASS, "iptables-legacy has %s", legacy ? "rules" : "no rule");
}

void doctor_firewall(struct doctor *d)
{
	static const char *const names[] = {"ufw", "firewalld", "nftables"};
	static const char *const guards[] = {[BH_GUARD_NONE] = "bulkhead's rules are not in the kernel", [BH_GUARD_AUDIT] = "audit", [BH_GUARD_ENFORCE] = "enforce"};
	const struct bh_doctor_facts *f = d->f;
	_cleanup_buf_ struct bh_buf b = {0};
	const bool loads = f->loads & BH_LOADS_NFTABLES;
	size_t n = 0;

	if (f->guard_err < 0)
		doctor_unread(d, BH_CHECK_BULKHEAD_ENFORCES, "the kernel's rules", f->guard_err);
	else
		doctor_put(d, BH_CHECK_BULKHEAD_ENFORCES, f->guard == BH_GUARD_ENFORCE ? BH_RESULT_PASS : f->guard == BH_GUARD_AUDIT ? BH_RESULT_WARN : BH_RESULT_FAIL, "%s",
			guards[f->guard]);
	foreign_rules(d);
	for (size_t i = 0; i < BH_ARRAY_SIZE(names); i++)
		if (f->loads & 1u << i)
			doctor_list(&b, &n, "%s", names[i]);
	if (b.err)
		d->err = b.err;
	doctor_put(d, BH_CHECK_FIREWALL_RIVALS, n > 1 ? BH_RESULT_WARN : BH_RESULT_PASS, "enabled at boot: %s", n && b.s ? b.s : "none");
	if (loads && f->flushes.err < 0 && f->flushes.err != -ENOENT)
		doctor_unread(d, BH_CHECK_NFTABLES_FLUSH, "/etc/nftables.conf", f->flushes.err);
	else
		doctor_put(d, BH_CHECK_NFTABLES_FLUSH, loads && f->flushes.err == 0 && f->flushes.n ? BH_RESULT_WARN : BH_RESULT_PASS, "%s",
			!loads ? "nftables.service is not enabled" : f->flushes.err == 0 && f->flushes.n ? "/etc/nftables.conf: flush ruleset" : "/etc/nftables.conf flushes no more than its own");
}
