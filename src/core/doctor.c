/* SPDX-License-Identifier: Apache-2.0 */
#include "doctor_priv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LIST_MAX 4u

const char *bh_result_name(enum bh_result r)
{
	static const char *const names[BH_RESULT_MAX] = {"pass", "warn", "fail", "unknown", "skipped"};

	return names[r];
}

static char *format(struct doctor *d, const char *fmt, va_list ap)
{
	char *s = NULL;
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n >= 0)
		s = malloc((size_t)n + 1);
	if (s)
		vsnprintf(s, (size_t)n + 1, fmt, ap);
	else
		d->err = -ENOMEM;
	return s;
}

void doctor_put(struct doctor *d, enum bh_check check, enum bh_result result, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	free(d->out->v[check].seen);
	d->out->v[check].seen = format(d, fmt, ap);
	d->out->v[check].result = result;
	va_end(ap);
}

void doctor_fix(struct doctor *d, enum bh_check check, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	free(d->out->v[check].fix);
	d->out->v[check].fix = format(d, fmt, ap);
	va_end(ap);
}

void doctor_unread(struct doctor *d, enum bh_check check, const char *what, int err)
{
	if (err == -EACCES || err == -EPERM)
		doctor_put(d, check, BH_RESULT_UNKNOWN, "%s: for root alone", what);
	else if (err == -ENOENT)
		doctor_put(d, check, BH_RESULT_UNKNOWN, "%s: not there", what);
	else
		doctor_put(d, check, BH_RESULT_UNKNOWN, "%s: cannot be read (error %d)", what, -err);
}

void doctor_list(struct bh_buf *b, size_t *n, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	if ((*n)++ >= LIST_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	bh_buf_puts(b, *n > 1 ? ", " : "");
	bh_buf_puts(b, text);
}

void doctor_list_end(struct bh_buf *b, size_t n)
{
	if (n > LIST_MAX)
		bh_buf_printf(b, " and %zu more", n - LIST_MAX);
}

const char *bh_knob_path(enum bh_knob k)
{
	static const char *const paths[BH_KNOB_MAX] = {
		[BH_KNOB_BR_NETFILTER] = "/proc/sys/net/bridge/bridge-nf-call-iptables",
		[BH_KNOB_IP_FORWARD] = "/proc/sys/net/ipv4/ip_forward",
		[BH_KNOB_SYNCOOKIES] = "/proc/sys/net/ipv4/tcp_syncookies",
		[BH_KNOB_CONNTRACK_MAX] = "/proc/sys/net/netfilter/nf_conntrack_max",
		[BH_KNOB_CONNTRACK_COUNT] = "/proc/sys/net/netfilter/nf_conntrack_count",
		[BH_KNOB_CONNTRACK_LOOSE] = "/proc/sys/net/netfilter/nf_conntrack_tcp_loose",
		[BH_KNOB_CONNTRACK_LIBERAL] = "/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal",
		[BH_KNOB_CONNTRACK_HELPER] = "/proc/sys/net/netfilter/nf_conntrack_helper",
		[BH_KNOB_KPTR] = "/proc/sys/kernel/kptr_restrict",
		[BH_KNOB_DMESG] = "/proc/sys/kernel/dmesg_restrict",
		[BH_KNOB_USERNS_CLONE] = "/proc/sys/kernel/unprivileged_userns_clone",
		[BH_KNOB_USERNS_APPARMOR] = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
		[BH_KNOB_USERNS_MAX] = "/proc/sys/user/max_user_namespaces",
		[BH_KNOB_BPF] = "/proc/sys/kernel/unprivileged_bpf_disabled",
		[BH_KNOB_PTRACE] = "/proc/sys/kernel/yama/ptrace_scope",
		[BH_KNOB_PERF] = "/proc/sys/kernel/perf_event_paranoid",
		[BH_KNOB_ASLR] = "/proc/sys/kernel/randomize_va_space",
		[BH_KNOB_SYMLINKS] = "/proc/sys/fs/protected_symlinks",
		[BH_KNOB_HARDLINKS] = "/proc/sys/fs/protected_hardlinks",
		[BH_KNOB_SUID_DUMPABLE] = "/proc/sys/fs/suid_dumpable",
		[BH_KNOB_APPARMOR] = "/sys/module/apparmor/parameters/enabled",
		[BH_KNOB_SELINUX] = "/sys/fs/selinux/enforce",
	};

	return paths[k];
}

/* Settings that are good within bounds. */
static const struct {
	enum bh_check check;
	enum bh_knob knob;
	long min, max;
	enum bh_result bad, absent;
} KNOBS[] = {
	{BH_CHECK_IP_FORWARD, BH_KNOB_IP_FORWARD, 1, 1, BH_RESULT_WARN, BH_RESULT_UNKNOWN},
	{BH_CHECK_TCP_SYNCOOKIES, BH_KNOB_SYNCOOKIES, 1, 2, BH_RESULT_WARN, BH_RESULT_UNKNOWN},
	{BH_CHECK_CONNTRACK_LOOSE, BH_KNOB_CONNTRACK_LOOSE, 0, 0, BH_RESULT_WARN, BH_RESULT_UNKNOWN},
	{BH_CHECK_CONNTRACK_LIBERAL, BH_KNOB_CONNTRACK_LIBERAL, 0, 0, BH_RESULT_WARN, BH_RESULT_UNKNOWN},
	{BH_CHECK_CONNTRACK_HELPER, BH_KNOB_CONNTRACK_HELPER, 0, 0, BH_RESULT_FAIL, BH_RESULT_PASS},
	{BH_CHECK_KPTR_RESTRICT, BH_KNOB_KPTR, 1, 2, BH_RESULT_WARN, BH_RESULT_UNKNOWN},
	{BH_CHECK_DMESG_RESTRICT, BH_KNOB_DMESG, 1, 1, BH_RESULT_WARN, BH_RESULT_UNKNOWN},
	{BH_CHECK_UNPRIVILEGED_BPF, BH_KNOB_BPF, 1, 2, BH_RESULT_WARN, BH_RESULT_PASS},
	{BH_CHECK_PTRACE_SCOPE, BH_KNOB_PTRACE, 1, 3, BH_RESULT_WARN, BH_RESULT_WARN},
	{BH_CHECK_PERF_PARANOID, BH_KNOB_PERF, 2, 4, BH_RESULT_WARN, BH_RESULT_PASS},
	{BH_CHECK_ASLR, BH_KNOB_ASLR, 2, 2, BH_RESULT_FAIL, BH_RESULT_UNKNOWN},
	{BH_CHECK_SUID_DUMPABLE, BH_KNOB_SUID_DUMPABLE, 0, 0, BH_RESULT_WARN, BH_RESULT_UNKNOWN},
};

static void knobs(struct doctor *d)
{
	for (size_t i = 0; i < BH_ARRAY_SIZE(KNOBS); i++) {
		const struct bh_number *v = &d->f->knobs[KNOBS[i].knob];
		const char *path = bh_knob_path(KNOBS[i].knob);

		if (v->err == -ENOENT && KNOBS[i].absent != BH_RESULT_UNKNOWN)
			doctor_put(d, KNOBS[i].check, KNOBS[i].absent, "%s: this kernel has it not", path);
		else if (v->err < 0)
			doctor_unread(d, KNOBS[i].check, path, v->err);
		else
			doctor_put(d, KNOBS[i].check, v->n >= KNOBS[i].min && v->n <= KNOBS[i].max ? BH_RESULT_PASS : KNOBS[i].bad, "%s: %ld", path, v->n);
	}
}

static void conntrack_max(struct doctor *d)
{
	const struct bh_number *max = &d->f->knobs[BH_KNOB_CONNTRACK_MAX], *count = &d->f->knobs[BH_KNOB_CONNTRACK_COUNT];

	if (max->err < 0 || count->err < 0)
		doctor_unread(d, BH_CHECK_CONNTRACK_MAX, bh_knob_path(max->err < 0 ? BH_KNOB_CONNTRACK_MAX : BH_KNOB_CONNTRACK_COUNT), max->err < 0 ? max->err : count->err);
	else
		doctor_put(d, BH_CHECK_CONNTRACK_MAX, max->n > 0 && count->n > max->n / 5 * 4 ? BH_RESULT_FAIL : max->n > 0 && max->n < 65536 ? BH_RESULT_WARN : BH_RESULT_PASS,
			"%ld connections of at most %ld", count->n, max->n);
}

static void userns(struct doctor *d)
{
	static const struct {
		enum bh_knob knob;
		long shut;
	} any[] = {{BH_KNOB_USERNS_CLONE, 0}, {BH_KNOB_USERNS_APPARMOR, 1}, {BH_KNOB_USERNS_MAX, 0}};
	const struct bh_number *max = &d->f->knobs[BH_KNOB_USERNS_MAX];

	for (size_t i = 0; i < BH_ARRAY_SIZE(any); i++) {
		const struct bh_number *v = &d->f->knobs[any[i].knob];

		if (v->err == 0 && v->n == any[i].shut) {
			doctor_put(d, BH_CHECK_UNPRIVILEGED_USERNS, BH_RESULT_PASS, "%s: %ld", bh_knob_path(any[i].knob), v->n);
			return;
		}
	}
	if (max->err < 0 && max->err != -ENOENT)
		doctor_unread(d, BH_CHECK_UNPRIVILEGED_USERNS, bh_knob_path(BH_KNOB_USERNS_MAX), max->err);
	else if (max->err == -ENOENT)
		doctor_put(d, BH_CHECK_UNPRIVILEGED_USERNS, BH_RESULT_PASS, "this kernel has no user namespaces");
	else
		doctor_put(d, BH_CHECK_UNPRIVILEGED_USERNS, BH_RESULT_WARN, "anybody may make %ld of them", max->n);
}

static void protected_links(struct doctor *d)
{
	const struct bh_number *s = &d->f->knobs[BH_KNOB_SYMLINKS], *h = &d->f->knobs[BH_KNOB_HARDLINKS];

	if (s->err < 0 || h->err < 0)
		doctor_unread(d, BH_CHECK_PROTECTED_LINKS, bh_knob_path(s->err < 0 ? BH_KNOB_SYMLINKS : BH_KNOB_HARDLINKS), s->err < 0 ? s->err : h->err);
	else
		doctor_put(d, BH_CHECK_PROTECTED_LINKS, s->n >= 1 && h->n >= 1 ? BH_RESULT_PASS : BH_RESULT_WARN, "protected_symlinks: %ld, protected_hardlinks: %ld", s->n, h->n);
}

static void feature(struct doctor *d, enum bh_check check, int err, bool there, enum bh_result bad, const char *what)
{
	if (err < 0)
		doctor_unread(d, check, "what this kernel can do", err);
	else
		doctor_put(d, check, there ? BH_RESULT_PASS : bad, "%s: %s", what, there ? "works" : "this kernel has it not, or not loaded");
}

void doctor_kernel(struct doctor *d)
{
	const struct bh_doctor_facts *f = d->f;
	const bool none = f->nft_err == -EOPNOTSUPP;	/* no nf_tables at all */
	const struct bh_number *br = &f->knobs[BH_KNOB_BR_NETFILTER];

	feature(d, BH_CHECK_NF_TABLES, none ? 0 : f->nft_err, !none, BH_RESULT_FAIL, "a table of the family inet");
	feature(d, BH_CHECK_NFT_BRIDGE, none ? 0 : f->nft_err, !none && f->features.bridge_ibrname, BH_RESULT_WARN, "meta ibrname in the family bridge");
	feature(d, BH_CHECK_NFT_PERSIST, none ? 0 : f->nft_err, !none && f->features.table_persist, BH_RESULT_WARN, "a table with a persistent owner");
	feature(d, BH_CHECK_BR_NETFILTER, br->err == -ENOENT ? 0 : br->err, br->err == 0, BH_RESULT_FAIL, "br_netfilter");
	feature(d, BH_CHECK_IFB, f->tc_err, f->features.ifb, BH_RESULT_WARN, "a link of the kind ifb");
	feature(d, BH_CHECK_HTB, f->tc_err, f->features.htb, BH_RESULT_WARN, "a queue of the kind htb");
	feature(d, BH_CHECK_FQ_CODEL, f->tc_err, f->features.fq_codel, BH_RESULT_WARN, "a queue of the kind fq_codel");
	knobs(d);
	conntrack_max(d);
	userns(d);
	protected_links(d);
}

int bh_doctor_judge(const struct bh_doctor_facts *f, const struct bh_doctor_policy *p, struct bh_doctor **ret)
{
	_cleanup_(bh_doctor_freep) struct bh_doctor *out = calloc(1, sizeof(*out));
	struct doctor d = {.f = f, .out = out};

	if (!out)
		return -ENOMEM;
	doctor_kernel(&d);
	doctor_links(&d);
	doctor_docker(&d);
	doctor_docker_told(&d);
	doctor_files(&d);
	doctor_patches(&d);
	doctor_monitoring(&d);
	doctor_firewall(&d);
	if (d.err)
		return d.err;
	for (enum bh_check c = 0; c < BH_CHECK_MAX; c++) {
		if (p->skip[c]) {
			free(out->v[c].seen);
			free(out->v[c].fix);
			out->v[c].seen = out->v[c].fix = NULL;
			out->v[c].result = BH_RESULT_SKIPPED;
		} else if (p->warn[c] && out->v[c].result == BH_RESULT_FAIL) {
			out->v[c].result = BH_RESULT_WARN;
		}
		out->n[out->v[c].result]++;
	}
	*ret = bh_take(out);
	return 0;
}

void bh_doctor_free(struct bh_doctor *d)
{
	if (!d)
		return;
	for (enum bh_check c = 0; c < BH_CHECK_MAX; c++) {
		free(d->v[c].seen);
		free(d->v[c].fix);
	}
	free(d);
}

void bh_doctor_facts_clear(struct bh_doctor_facts *f)
{
	bh_foreign_free(f->foreign);
	bh_vec_clear(&f->links);
	bh_dockerd_clear(&f->dockerd);
	bh_strv_clear(&f->group);
	bh_vec_foreach(x, &f->files)
		free(x->path);
	bh_vec_clear(&f->files);
	free(f->config_error);
	free(f->behind_names);
	free(f->kernel);
	free(f->kernel_newest);
	bh_vec_foreach(v, &f->vulnerabilities) {
		free(v->name);
		free(v->text);
	}
	bh_vec_clear(&f->vulnerabilities);
	free(f->audit_rules);
	*f = (struct bh_doctor_facts){0};
}
