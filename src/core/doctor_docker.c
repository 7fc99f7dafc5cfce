/* SPDX-License-Identifier: Apache-2.0 */
/* What Docker says of itself. */
#include "doctor_priv.h"

#include <errno.h>
#include <string.h>

#define API_MAJOR 1
#define API_MINOR 41		/* what src/runtime speaks */
#define NO_DIRECT 28		/* Docker that drops what comes for a container's own address from outside */

static bool has_option(const struct bh_dockerd *d, const char *name)
{
	const size_t n = strlen(name);

	for (size_t i = 0; i < d->security_options.n; i++)
		if (strncmp(d->security_options.v[i], name, n) == 0 && (d->security_options.v[i][n] == '\0' || d->security_options.v[i][n] == ','))
			return true;
	return false;
}

static void join(struct doctor *d, struct bh_buf *b, const struct bh_strv *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		doctor_list(b, &n, "%s", l->v[i]);
	doctor_list_end(b, n);
	if (b->err)
		d->err = b->err;
}

static void yes_no(struct doctor *d, enum bh_check check, bool good, enum bh_result bad, const char *if_good, const char *if_bad)
{
	doctor_put(d, check, good ? BH_RESULT_PASS : bad, "%s", good ? if_good : if_bad);
}

static void security(struct doctor *d)
{
	const struct bh_dockerd *k = &d->f->dockerd;
	const bool rootless = has_option(k, "name=rootless"), userns = has_option(k, "name=userns");
	bool unconfined = false;

	for (size_t i = 0; i < k->security_options.n; i++)
		unconfined |= strncmp(k->security_options.v[i], "name=seccomp", 12) == 0 && strstr(k->security_options.v[i], "profile=unconfined");
	yes_no(d, BH_CHECK_DOCKER_USERNS, userns || rootless, BH_RESULT_WARN, rootless ? "rootless" : "userns-remap is on", "root in a container is uid 0 of this host");
	doctor_put(d, BH_CHECK_DOCKER_SECCOMP, has_option(k, "name=seccomp") && !unconfined ? BH_RESULT_PASS : BH_RESULT_FAIL, "%s",
		unconfined ? "the profile of containers is unconfined" : has_option(k, "name=seccomp") ? "containers have a profile" : "Docker has no seccomp");
	yes_no(d, BH_CHECK_DOCKER_MAC, has_option(k, "name=apparmor") || has_option(k, "name=selinux"), BH_RESULT_WARN,
		has_option(k, "name=apparmor") ? "AppArmor" : "SELinux", "Docker confines containers by neither AppArmor nor SELinux");
	yes_no(d, BH_CHECK_DOCKER_ROOTLESS, !rootless, BH_RESULT_WARN, "rootful", "the daemon is rootless");
}

static void limits(struct doctor *d)
{
	const struct bh_dockerd *k = &d->f->dockerd;
	_cleanup_buf_ struct bh_buf b = {0};
	size_t n = 0;

	if (!k->memory_limit)
		doctor_list(&b, &n, "memory");
	if (!k->pids_limit)
		doctor_list(&b, &n, "pids");
	if (!k->cpu_limit)
		doctor_list(&b, &n, "cpu");
	if (b.err)
		d->err = b.err;
	doctor_put(d, BH_CHECK_DOCKER_LIMITS, n ? BH_RESULT_WARN : BH_RESULT_PASS, n ? "not limited: %s" : "memory, pids and cpu%s", n && b.s ? b.s : "");
}

static void storage(struct doctor *d)
{
	static const char *const old[] = {"aufs", "devicemapper", "overlay"};
	const char *driver = d->f->dockerd.storage_driver;
	bool bad = false;

	for (size_t i = 0; i < BH_ARRAY_SIZE(old); i++)
		bad |= bh_streq(driver, old[i]);
	doctor_put(d, BH_CHECK_DOCKER_STORAGE, !driver ? BH_RESULT_UNKNOWN : bad ? BH_RESULT_FAIL : BH_RESULT_PASS, "%s", driver ? driver : "Docker does not say");
}

/* "20.10.24+dfsg1" -> 20 and 10; false: no numbers. */
static bool numbers(const char *s, unsigned long *major, unsigned long *minor)
{
	char *end;

	if (!s || *s < '0' || *s > '9')
		return false;
	*major = strtoul(s, &end, 10);
	*minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
	return true;
}

static void version(struct doctor *d)
{
	const struct bh_dockerd *k = &d->f->dockerd;
	unsigned long api[2] = {0}, v[2] = {0};
	const bool api_known = numbers(k->api_version, &api[0], &api[1]);

	if (!api_known || (!k->podman && !numbers(k->version, &v[0], &v[1])))
		doctor_put(d, BH_CHECK_DOCKER_VERSION, BH_RESULT_UNKNOWN, "Docker does not say");
	else if (api[0] < API_MAJOR || (api[0] == API_MAJOR && api[1] < API_MINOR))
		doctor_put(d, BH_CHECK_DOCKER_VERSION, BH_RESULT_FAIL, "%s speaks API %s, not yet %d.%d", k->version ? k->version : "it", k->api_version, API_MAJOR, API_MINOR);
	else if (k->podman)
		doctor_put(d, BH_CHECK_DOCKER_VERSION, BH_RESULT_PASS, "Podman, API %s", k->api_version);
	else
		doctor_put(d, BH_CHECK_DOCKER_VERSION, v[0] < NO_DIRECT ? BH_RESULT_WARN : BH_RESULT_PASS, "%s", k->version);
}

static void answers(struct doctor *d)
{
	const struct bh_dockerd *k = &d->f->dockerd;
	_cleanup_buf_ struct bh_buf plugins = {0};

	security(d);
	limits(d);
	storage(d);
	version(d);
	join(d, &plugins, &k->authorization);
	yes_no(d, BH_CHECK_DOCKER_AUTHORIZATION, k->authorization.n > 0, BH_RESULT_WARN, plugins.s, "no authorisation plugin");
	yes_no(d, BH_CHECK_DOCKER_LIVE_RESTORE, k->live_restore || k->swarm, BH_RESULT_WARN, k->swarm ? "a swarm, which cannot have it" : "on", "off");
	yes_no(d, BH_CHECK_DOCKER_EXPERIMENTAL, !k->experimental, BH_RESULT_WARN, "off", "on");
}

void doctor_silent(struct doctor *d, enum bh_check check)
{
	doctor_put(d, check, BH_RESULT_UNKNOWN, "nobody answers at %s: %s", d->f->socket, d->f->dockerd.reason ? d->f->dockerd.reason : "no reason is known");
}

static void unanswered(struct doctor *d)
{
	static const enum bh_check checks[] = {
		BH_CHECK_DOCKER_USERNS, BH_CHECK_DOCKER_SECCOMP, BH_CHECK_DOCKER_MAC, BH_CHECK_DOCKER_ROOTLESS, BH_CHECK_DOCKER_LIMITS, BH_CHECK_DOCKER_STORAGE,
		BH_CHECK_DOCKER_VERSION, BH_CHECK_DOCKER_AUTHORIZATION, BH_CHECK_DOCKER_LIVE_RESTORE, BH_CHECK_DOCKER_EXPERIMENTAL,
	};

	for (size_t i = 0; i < BH_ARRAY_SIZE(checks); i++)
		doctor_silent(d, checks[i]);
}

static void around(struct doctor *d)
{
	const struct bh_doctor_facts *f = d->f;
	_cleanup_buf_ struct bh_buf members = {0};

	join(d, &members, &f->group);
	if (f->group_err == -ENOENT)
		doctor_put(d, BH_CHECK_DOCKER_GROUP, BH_RESULT_PASS, "there is no group docker");
	else if (f->group_err < 0)
		doctor_unread(d, BH_CHECK_DOCKER_GROUP, "the group docker", f->group_err);
	else
		doctor_put(d, BH_CHECK_DOCKER_GROUP, f->group.n ? BH_RESULT_WARN : BH_RESULT_PASS, "%s", f->group.n && members.s ? members.s : "the group docker is empty");
	if (f->group_err == 0 && f->group.n > 0)
		doctor_fix(d, BH_CHECK_DOCKER_GROUP, "gpasswd -d %s docker", f->group.v[0]);
	if (f->partition.err < 0)
		doctor_unread(d, BH_CHECK_DOCKER_PARTITION, f->dockerd.root_dir ? f->dockerd.root_dir : "Docker's root folder", f->partition.err);
	else
		doctor_put(d, BH_CHECK_DOCKER_PARTITION, f->partition.n ? BH_RESULT_PASS : BH_RESULT_WARN, "%s is %s file system%s", f->dockerd.root_dir ? f->dockerd.root_dir : "it",
			f->partition.n ? "a" : "on the", f->partition.n ? " of its own" : " of the folder above");
	yes_no(d, BH_CHECK_DOCKER_CONTENT_TRUST, f->content_trust, BH_RESULT_WARN, "DOCKER_CONTENT_TRUST is set", "DOCKER_CONTENT_TRUST is not set");
}

void doctor_docker(struct doctor *d)
{
	if (d->f->dockerd.answer_err < 0)
		unanswered(d);
	else
		answers(d);
	around(d);
}
