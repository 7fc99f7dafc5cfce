/* SPDX-License-Identifier: Apache-2.0 */
/* What Docker was told by its command line and daemon.json, which its API does not tell, or not all of it. */
#include "doctor_priv.h"

#include <errno.h>
#include <string.h>

/* What an option that nobody gave stands at is told only when all that was given is known. */
static void not_known(struct doctor *d, enum bh_check check)
{
	const struct bh_dockerd *k = &d->f->dockerd;

	if (k->podman)
		doctor_put(d, check, BH_RESULT_UNKNOWN, "Podman has no daemon that could be told");
	else if (k->answer_err < 0 && k->command_err < 0 && k->file_err == -ENOENT)
		doctor_silent(d, check);
	else if (k->file_err < 0 && k->file_err != -ENOENT && k->file_err != -EBADMSG)
		doctor_unread(d, check, k->file ? k->file : "daemon.json", k->file_err);
	else if (k->file_err == -EBADMSG)
		doctor_put(d, check, BH_RESULT_UNKNOWN, "%s is no JSON", k->file ? k->file : "daemon.json");
	else
		doctor_put(d, check, BH_RESULT_UNKNOWN, "not in %s, and dockerd's command line cannot be seen", k->file ? k->file : "daemon.json");
}

static bool is_known(const struct doctor *d)
{
	return !d->f->dockerd.podman && bh_dockerd_is_known(&d->f->dockerd);
}

/* 1, 0; -1 not known. */
static int flag(const struct doctor *d, const char *name, bool usual)
{
	const char *v = bh_dockerd_value(&d->f->dockerd, name);

	if (v)
		return strcmp(v, "false") != 0 && strcmp(v, "0") != 0;
	return is_known(d) ? usual : -1;
}

static void flag_check(struct doctor *d, enum bh_check check, const char *name, bool usual, bool good, enum bh_result bad)
{
	const int v = flag(d, name, usual);

	if (v < 0)
		not_known(d, check);
	else
		doctor_put(d, check, v == good ? BH_RESULT_PASS : bad, "%s: %s%s", name, v ? "true" : "false",
			bh_dockerd_value(&d->f->dockerd, name) ? "" : ", as it is unless told");
}

static void icc(struct doctor *d)
{
	const struct bh_dockerd *k = &d->f->dockerd;

	if (k->icc_known)
		doctor_put(d, BH_CHECK_DOCKER_ICC, k->icc ? BH_RESULT_WARN : BH_RESULT_PASS, "icc of the default bridge: %s", k->icc ? "true" : "false");
	else
		flag_check(d, BH_CHECK_DOCKER_ICC, "icc", true, false, BH_RESULT_WARN);
}

static void no_new_privileges(struct doctor *d)
{
	const struct bh_dockerd *k = &d->f->dockerd;

	if (bh_strv_has(&k->security_options, "name=no-new-privileges"))
		doctor_put(d, BH_CHECK_DOCKER_NO_NEW_PRIVILEGES, BH_RESULT_PASS, "on");
	else
		flag_check(d, BH_CHECK_DOCKER_NO_NEW_PRIVILEGES, "no-new-privileges", false, true, BH_RESULT_WARN);
}

/* A port without TLS, or with TLS for anybody. */
static void tcp(struct doctor *d)
{
	const struct bh_dockerd *k = &d->f->dockerd;
	const bool verifies = flag(d, "tlsverify", false) == 1;
	_cleanup_buf_ struct bh_buf b = {0};
	size_t n = 0, open = 0;

	bh_vec_foreach(o, &k->options)
		if (strcmp(o->name, "hosts") == 0 && strncmp(o->value, "tcp://", 6) == 0) {
			doctor_list(&b, &n, "%s", o->value);
			open += !verifies;
		}
	for (size_t i = 0; i < k->warnings.n; i++)
		if (strstr(k->warnings.v[i], "API is accessible on ")) {
			open++;
			if (n == 0)
				doctor_list(&b, &n, "%s", strstr(k->warnings.v[i], "API is accessible on "));
		}
	doctor_list_end(&b, n);
	if (b.err)
		d->err = b.err;
	if (open)
		doctor_put(d, BH_CHECK_DOCKER_TCP, BH_RESULT_FAIL, "%s%s", b.s ? b.s : "", flag(d, "tls", false) == 1 ? ", with TLS but for every client" : ", without TLS");
	else if (n)
		doctor_put(d, BH_CHECK_DOCKER_TCP, BH_RESULT_PASS, "%s, with TLS and for known clients", b.s ? b.s : "");
	else if (is_known(d) || (k->answer_err == 0 && !k->podman))
		doctor_put(d, BH_CHECK_DOCKER_TCP, BH_RESULT_PASS, is_known(d) ? "no tcp:// socket" : "Docker warns of none");
	else
		not_known(d, BH_CHECK_DOCKER_TCP);
}

static void registries(struct doctor *d)
{
	const struct bh_dockerd *k = &d->f->dockerd;
	_cleanup_buf_ struct bh_buf b = {0};
	size_t n = 0;

	for (size_t i = 0; i < k->insecure.n; i++)
		doctor_list(&b, &n, "%s", k->insecure.v[i]);
	if (k->insecure.n == 0)
		bh_vec_foreach(o, &k->options)
			if (strcmp(o->name, "insecure-registries") == 0)
				doctor_list(&b, &n, "%s", o->value);
	doctor_list_end(&b, n);
	if (b.err)
		d->err = b.err;
	if (n)
		doctor_put(d, BH_CHECK_DOCKER_INSECURE_REGISTRIES, BH_RESULT_FAIL, "%s", b.s ? b.s : "");
	else if (k->answer_err == 0 || is_known(d))
		doctor_put(d, BH_CHECK_DOCKER_INSECURE_REGISTRIES, BH_RESULT_PASS, "none but this machine's own");
	else
		not_known(d, BH_CHECK_DOCKER_INSECURE_REGISTRIES);
}

static bool option_begins(const struct bh_dockerd *k, const char *name, const char *begin)
{
	bh_vec_foreach(o, &k->options)
		if (strcmp(o->name, name) == 0 && strncmp(o->value, begin, strlen(begin)) == 0)
			return true;
	return false;
}

static void logging(struct doctor *d)
{
	const struct bh_dockerd *k = &d->f->dockerd;
	const char *driver = k->logging_driver ? k->logging_driver : bh_dockerd_value(k, "log-driver");

	if (!driver && is_known(d))
		driver = "json-file";
	if (!driver)
		not_known(d, BH_CHECK_DOCKER_LOGGING);
	else if (strcmp(driver, "none") == 0)
		doctor_put(d, BH_CHECK_DOCKER_LOGGING, BH_RESULT_FAIL, "none: what containers say is lost");
	else if (strcmp(driver, "json-file") != 0)
		doctor_put(d, BH_CHECK_DOCKER_LOGGING, BH_RESULT_PASS, "%s", driver);
	else if (option_begins(k, "log-opts", "max-size"))
		doctor_put(d, BH_CHECK_DOCKER_LOGGING, BH_RESULT_PASS, "json-file, rotated");
	else if (is_known(d))
		doctor_put(d, BH_CHECK_DOCKER_LOGGING, BH_RESULT_WARN, "json-file without max-size: it grows until the disk is full");
	else
		not_known(d, BH_CHECK_DOCKER_LOGGING);
}

static void log_level(struct doctor *d)
{
	const struct bh_dockerd *k = &d->f->dockerd;
	const char *level = bh_dockerd_value(k, "log-level");

	if (k->debug || flag(d, "debug", false) == 1)
		doctor_put(d, BH_CHECK_DOCKER_LOG_LEVEL, BH_RESULT_WARN, "debug");
	else if (level && strcmp(level, "info") != 0)
		doctor_put(d, BH_CHECK_DOCKER_LOG_LEVEL, BH_RESULT_WARN, "log-level: %s", level);
	else if (level || is_known(d))
		doctor_put(d, BH_CHECK_DOCKER_LOG_LEVEL, BH_RESULT_PASS, "log-level: info");
	else
		not_known(d, BH_CHECK_DOCKER_LOG_LEVEL);
}

static void ulimits(struct doctor *d)
{
	const char *v = bh_dockerd_value(&d->f->dockerd, "default-ulimits");

	if (v)
		doctor_put(d, BH_CHECK_DOCKER_ULIMITS, BH_RESULT_PASS, "default-ulimits: %s", v);
	else if (is_known(d))
		doctor_put(d, BH_CHECK_DOCKER_ULIMITS, BH_RESULT_WARN, "no default-ulimits");
	else
		not_known(d, BH_CHECK_DOCKER_ULIMITS);
}

void doctor_docker_told(struct doctor *d)
{
	icc(d);
	no_new_privileges(d);
	tcp(d);
	registries(d);
	flag_check(d, BH_CHECK_DOCKER_IPTABLES, "iptables", true, true, BH_RESULT_WARN);
	flag_check(d, BH_CHECK_DOCKER_USERLAND_PROXY, "userland-proxy", true, false, BH_RESULT_WARN);
	logging(d);
	log_level(d);
	ulimits(d);
}
