/* SPDX-License-Identifier: Apache-2.0 */
/* The judgement of `bulkhead doctor`: facts of a host, read by src/cli, to one result a check. Pure. */
#ifndef BULKHEAD_DOCTOR_H
#define BULKHEAD_DOCTOR_H

#include <bulkhead/buf.h>
#include <bulkhead/checks.h>
#include <bulkhead/compile.h>
#include <bulkhead/dockerd.h>
#include <bulkhead/foreign.h>

/* A number that was read: err is 0, -ENOENT where there is none, or why it could not be read (-errno). */
struct bh_number {
	int err;
	long n;
};

/* Settings of the kernel, each a file beneath /proc/sys (or /sys) with a number; Y and N count as 1 and 0. */
enum bh_knob {
	BH_KNOB_BR_NETFILTER,
	BH_KNOB_IP_FORWARD,
	BH_KNOB_SYNCOOKIES,
	BH_KNOB_CONNTRACK_MAX,
	BH_KNOB_CONNTRACK_COUNT,
	BH_KNOB_CONNTRACK_LOOSE,
	BH_KNOB_CONNTRACK_LIBERAL,
	BH_KNOB_CONNTRACK_HELPER,
	BH_KNOB_KPTR,
	BH_KNOB_DMESG,
	BH_KNOB_USERNS_CLONE,
	BH_KNOB_USERNS_APPARMOR,
	BH_KNOB_USERNS_MAX,
	BH_KNOB_BPF,
	BH_KNOB_PTRACE,
	BH_KNOB_PERF,
	BH_KNOB_ASLR,
	BH_KNOB_SYMLINKS,
	BH_KNOB_HARDLINKS,
	BH_KNOB_SUID_DUMPABLE,
	BH_KNOB_APPARMOR,
	BH_KNOB_SELINUX,
	BH_KNOB_MAX,
};
const char *bh_knob_path(enum bh_knob k);

/* Settings of one link. */
enum bh_link_knob {
	BH_LINK_RP_FILTER,
	BH_LINK_REDIRECTS4,
	BH_LINK_SEND_REDIRECTS,
	BH_LINK_SOURCE_ROUTE4,
	BH_LINK_ROUTE_LOCALNET,
	BH_LINK_FORWARDING4,
	BH_LINK_REDIRECTS6,
	BH_LINK_SOURCE_ROUTE6,
	BH_LINK_ACCEPT_RA,
	BH_LINK_FORWARDING6,
	BH_LINK_KNOB_MAX,
};
const char *bh_link_knob_path(enum bh_link_knob k, const char **ret_name);	/* "/proc/sys/net/ipv4/conf", and the file in LINK's folder there */

struct bh_doctor_link {
	char name[BH_IFNAME];		/* "all" and "default" too */
	bool containers;		/* a bridge whose ports a runtime made */
	struct bh_number v[BH_LINK_KNOB_MAX];
};

/* A file whose owner and mode a check is about. */
struct bh_doctor_file {
	enum bh_check check;
	char *path;
	int err;			/* of stat(2) */
	unsigned mode, uid, gid;	/* mode: the permission bits */
	bool dir;
};

struct bh_vulnerability {
	char *name, *text;		/* as /sys/devices/system/cpu/vulnerabilities tells */
};

enum bh_doctor_guard {
	BH_GUARD_NONE,			/* no tables of bulkhead's */
	BH_GUARD_AUDIT,
	BH_GUARD_ENFORCE,
};

enum bh_doctor_packages {
	BH_PACKAGES_OTHER,		/* neither dpkg nor rpm */
	BH_PACKAGES_DEBIAN,
	BH_PACKAGES_RPM,
};

/* Firewalls that load rules at boot, as bits. */
enum {
	BH_LOADS_UFW = 1,
	BH_LOADS_FIREWALLD = 2,
	BH_LOADS_NFTABLES = 4,
};

struct bh_doctor_facts {
	struct bh_number knobs[BH_KNOB_MAX];
	int links_err;
	BH_VEC(struct bh_doctor_link) links;

	int nft_err, tc_err;			/* of trying what the kernel can */
	struct bh_features features;

	struct bh_dockerd dockerd;
	const char *socket;			/* of Docker's API */
	struct bh_number partition;		/* 1: Docker's root folder is on a file system of its own */
	int group_err;				/* -ENOENT: there is no group docker */
	unsigned docker_gid;
	struct bh_strv group;			/* its members */
	bool content_trust;

	BH_VEC(struct bh_doctor_file) files;
	int config_err;				/* of loading bulkhead.yaml: -ENOENT, -EACCES, -EINVAL, … */
	char *config_error;			/* the first thing that is wrong with it, or NULL */

	enum bh_doctor_packages packages;
	int updates_err;			/* -ENODATA: no list of a security archive that can be read here */
	size_t behind;				/* packages that the security archive has newer */
	char *behind_names;			/* the first of them, or NULL */
	struct bh_number lists_age;		/* seconds since apt's lists were brought up to date */
	struct bh_number automatic;		/* 1: updates are installed by themselves */
	struct bh_number reboot;		/* 1: /run/reboot-required */
	char *kernel, *kernel_newest;		/* what runs; the newest in /boot, NULL: none is there */
	int vulnerabilities_err;
	BH_VEC(struct bh_vulnerability) vulnerabilities;

	struct bh_number auditd;		/* 1: runs */
	int audit_err;				/* of reading the rules */
	char *audit_rules;			/* all their text, or NULL */
	struct bh_number synced;		/* 1: the clock is */

	int guard_err;
	enum bh_doctor_guard guard;
	int foreign_err;
	struct bh_foreign *foreign;		/* NULL with foreign_err */
	unsigned loads;				/* at boot */
	struct bh_number flushes;		/* 1: nftables.service's file says `flush ruleset` */
};

void bh_doctor_facts_clear(struct bh_doctor_facts *f);	/* `socket` is not owned */

/* ---- files of others, of which one thing is asked (doctor_text.c) */

/* Adds the lines of TEXT that do not begin, after blanks, with '#' or "//", to OUT. */
void bh_doctor_uncomment(const char *text, struct bh_buf *out);
/* apt.conf(5): 1 when APT::Periodic::Unattended-Upgrade is set to something else than "0", 0 to "0", -1: not set here. The last one counts. */
int bh_doctor_unattended(const char *text);
/* A file of NAME=VALUE lines: whether NAME is VALUE, in quotes or not. The last one counts. */
bool bh_doctor_is_set(const char *text, const char *name, const char *value);
/* nft(8): whether there is a `flush ruleset`. */
bool bh_doctor_flushes(const char *text);

enum bh_result {
	BH_RESULT_PASS,
	BH_RESULT_WARN,
	BH_RESULT_FAIL,
	BH_RESULT_UNKNOWN,	/* could not be read, and `seen` says why */
	BH_RESULT_SKIPPED,
	BH_RESULT_MAX,
};
const char *bh_result_name(enum bh_result r);	/* "pass", … */

struct bh_doctor {
	struct {
		enum bh_result result;
		char *seen;		/* what strangers wrote may be in it; NULL when skipped */
		char *fix;		/* or NULL: the check's own */
	} v[BH_CHECK_MAX];
	size_t n[BH_RESULT_MAX];	/* how many of each */
};

/* One result a check. 0 or -ENOMEM. */
int bh_doctor_judge(const struct bh_doctor_facts *f, const struct bh_doctor_policy *p, struct bh_doctor **ret);
void bh_doctor_free(struct bh_doctor *d);
BH_DEFINE_FREEP(struct bh_doctor, bh_doctor_free)

#endif
