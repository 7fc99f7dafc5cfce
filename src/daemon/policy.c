/* SPDX-License-Identifier: Apache-2.0 */
/* Which policy is in force: the file's, the last good one's, or none. */
#include "manager.h"
#include "state.h"

#include <bulkhead/expect.h>
#include <bulkhead/fault.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* One line for status: the first error of DIAGS, or else the first failure. */
static char *summary(const struct bh_diags *diags, const struct bh_expect_failures *failures, int r)
{
	char *s = NULL;
	int n = -1;

	bh_vec_foreach(d, &diags->v) {
		if (d->severity != BH_SEVERITY_ERROR)
			continue;
		if (d->line)
			n = asprintf(&s, "%s:%u:%u: %s%s", d->file, d->line, d->column, d->message,
				diags->errors > 1 ? " (and more)" : "");
		else
			n = asprintf(&s, "%s: %s", d->file ? d->file : "configuration", d->message);
		return n < 0 ? NULL : s;
	}
	if (failures->v.n > 0) {
		const struct bh_expect_failure *f = &failures->v.v[0];

		n = asprintf(&s, "%s:%u:%u: expectation fails: %s%s", f->loc.file, f->loc.line, f->loc.column, f->message,
			failures->v.n > 1 ? " (and more)" : "");
		return n < 0 ? NULL : s;
	}
	return strdup(strerror(-r));
}

/* Reads the file and holds its expectations against it. On failure *RET_ERROR is one line. */
static int load(struct bh_manager *m, struct bh_policy **ret, char **ret_diagnostics, char **ret_error)
{
	_cleanup_(bh_policy_freep) struct bh_policy *policy = NULL;
	_cleanup_buf_ struct bh_buf text = {0};
	struct bh_expect_failures failures = {0};
	struct bh_diags diags = {0};
	int r;

	r = bh_config_load(m->config_path, BH_CONFIG_CONF_D | BH_CONFIG_CHECK_OWNER, &policy, &diags);
	BH_FAULT("config-parsed");
	if (r == 0) {
		r = bh_expect_check(policy, &failures, NULL);
		if (r == 0 && failures.v.n > 0)
			r = -EINVAL;
	}
	if (ret_diagnostics && bh_diags_print(&diags, &text) == 0 && bh_expect_print(&failures, &text) == 0 && text.n > 0)
		(void)bh_buf_steal(&text, ret_diagnostics);
	if (r < 0)
		*ret_error = summary(&diags, &failures, r);
	else
		*ret = bh_take(policy);
	bh_diags_clear(&diags);
	bh_expect_failures_clear(&failures);
	return r;
}

/* What cannot be compiled is refused like what cannot be read: before it takes the place of what works. */
static int try_policy(struct bh_manager *m, const struct bh_policy *policy, struct bh_round *ret_trial, char **ret_error)
{
	struct bh_error err = {0};
	int r = bh_images_follow(m, policy);

	if (r == 0 && bh_look(m, &err) < 0)
		return 0;	/* nothing can be tried; the next look tells what is wrong with the kernel */
	if (r == 0)
		r = bh_round_build(m, policy, ret_trial, &err);
	m->news.whole = true;	/* it may have found ports that the last round had not */
	if (r < 0)
		*ret_error = strdup(err.code ? err.msg : "out of memory");
	if (r < 0)
		(void)bh_images_follow(m, m->config.policy);	/* as before; without memory nothing is believed */
	return r;
}

/* A full disk leaves the daemon degraded, the rules as they are. */
void bh_manager_keep(struct bh_manager *m)
{
	struct bh_error err = {0};

	if (!m->config.keep_due)
		return;
	m->config.keep_due = false;
	BH_FAULT("state-before");
	if (bh_state_keep(m->state_dir, m->config_path, m->config.policy, &err) < 0) {
		bh_log(&m->log, LOG_WARNING, BH_EVENT_DEGRADED, "%s", err.msg);
		(void)bh_strdup(&m->config.keep_error, err.msg);
	} else {
		(void)bh_strdup(&m->config.keep_error, NULL);
	}
	BH_FAULT("state-after");
}

/* POLICY is in force from now on. What was built from the old one points into it and goes first. The old one is the caller's. */
static struct bh_policy *adopt(struct bh_manager *m, struct bh_policy *policy)
{
	struct bh_policy *old = m->config.policy;

	bh_round_clear(&m->round);
	m->verified = false;
	m->config.policy = policy;
	m->config.loaded_usec = bh_now_usec(CLOCK_REALTIME);
	m->config.keep_due = false;
	bh_access_follow(m);
	bh_detect_follow(m);
	BH_FAULT("config-adopted");
	return old;
}

/* The file's policy, if it is read and compiled (to *RET_TRIAL); otherwise *RET_ERROR (NULL: out of memory). */
static struct bh_policy *usable(struct bh_manager *m, struct bh_round *ret_trial, char **ret_diagnostics, char **ret_error, int *ret_r)
{
	_cleanup_(bh_policy_freep) struct bh_policy *policy = NULL;

	*ret_r = load(m, &policy, ret_diagnostics, ret_error);
	if (*ret_r == 0)
		*ret_r = try_policy(m, policy, ret_trial, ret_error);
	return *ret_r == 0 ? bh_take(policy) : NULL;
}

/* The last good policy; otherwise *RET_ERROR says what is wrong with it, or stays NULL when none was kept. */
static struct bh_policy *last_good(struct bh_manager *m, struct bh_round *ret_trial, char **ret_error)
{
	_cleanup_(bh_policy_freep) struct bh_policy *policy = NULL;
	struct bh_error err = {0};
	int r = bh_state_load(m->state_dir, &policy, &err);

	if (r < 0 && r != -ENOENT)
		*ret_error = strdup(err.msg);
	if (r == 0)
		r = try_policy(m, policy, ret_trial, ret_error);
	return r == 0 ? bh_take(policy) : NULL;
}

/* The file is not, or must not be, what is in force: the last good one, or nothing. What was not confirmed is no trouble as long as there is one. */
static int start_with_last_good(struct bh_manager *m, bool unconfirmed)
{
	_cleanup_(bh_round_clear) struct bh_round trial = {0};
	_cleanup_free_ char *kept_error = NULL;
	struct bh_policy *policy = last_good(m, &trial, &kept_error);
	int r = 0;

	if (policy)
		bh_policy_free(adopt(m, policy));
	if (policy && unconfirmed) {
		bh_log(&m->log, LOG_WARNING, BH_EVENT_CONFIG, "%s: %s", m->config_path, m->config.error);
		return 0;
	}
	if (policy)
		r = asprintf(&m->config.reason, "the configuration was refused, the last good one is in force: %s", m->config.error);
	else
		r = asprintf(&m->config.reason, "%s, containers get nothing: %s%s%s", unconfirmed ? "no confirmed configuration" : "no valid configuration",
			m->config.error, kept_error ? "; " : "", kept_error ? kept_error : "");
	if (r < 0) {
		m->config.reason = NULL;
		return -ENOMEM;
	}
	bh_log(&m->log, LOG_ERR, BH_EVENT_DEGRADED, "%s", m->config.reason);
	return 0;
}

int bh_manager_load_first(struct bh_manager *m)
{
	_cleanup_free_ char *error = NULL;
	_cleanup_(bh_round_clear) struct bh_round trial = {0};
	struct bh_policy *policy;
	bool unconfirmed;
	int r;

	bh_bridges_load(m);
	if (bh_hand_load(m) < 0)
		return -ENOMEM;
	policy = usable(m, &trial, NULL, &error, &r);
	unconfirmed = policy && bh_state_is_unconfirmed(m->state_dir, policy);
	if (policy && !unconfirmed) {
		bh_state_unmark(m->state_dir);
		bh_policy_free(adopt(m, policy));
		m->config.keep_due = true;
		bh_log(&m->log, LOG_INFO, BH_EVENT_CONFIG, "loaded %s", m->config_path);
		return 0;
	}
	bh_policy_free(policy);
	m->config.error = strdup(unconfirmed ? BH_UNCONFIRMED : error ? error : "out of memory");
	if (!m->config.error)
		return -ENOMEM;
	return start_with_last_good(m, unconfirmed);
}

static void refused(struct bh_manager *m, char *error)
{
	bh_log(&m->log, LOG_ERR, BH_EVENT_CONFIG, "%s was refused, nothing changed: %s", m->config_path, error ? error : "out of memory");
	free(m->config.error);
	m->config.error = error;
	m->config.refused++;
}

int bh_manager_reload(struct bh_manager *m, uint64_t usec, char **ret_diagnostics)
{
	_cleanup_(bh_round_clear) struct bh_round trial = {0};
	char *error = NULL;
	struct bh_policy *policy, *old;
	struct bh_error err = {0};
	int r;

	policy = usable(m, &trial, ret_diagnostics, &error, &r);
	if (policy) {
		r = bh_probation_prepare(m, policy, usec, &err);
		if (r < 0) {
			bh_policy_free(bh_take(policy));
			(void)bh_images_follow(m, m->config.policy);
			error = strdup(err.msg);
		}
	}
	if (!policy) {
		refused(m, error);
		return r;
	}
	bh_connections_reload(m, &trial);
	bh_round_clear(&trial);
	old = adopt(m, policy);
	(void)bh_strdup(&m->config.error, NULL);
	(void)bh_strdup(&m->config.reason, NULL);
	m->config.keep_due = !bh_probation_take(m, usec, old);
	bh_log(&m->log, LOG_INFO, BH_EVENT_CONFIG, "loaded %s%s", m->config_path, m->probation.on ? ", until it is confirmed" : "");
	return 0;
}

void bh_manager_go_back(struct bh_manager *m, struct bh_policy *before)
{
	_cleanup_(bh_round_clear) struct bh_round trial = {0};
	_cleanup_free_ char *error = NULL;

	if (before && try_policy(m, before, &trial, &error) == 0)
		bh_connections_reload(m, &trial);
	bh_round_clear(&trial);
	(void)bh_images_follow(m, before);
	bh_policy_free(adopt(m, before));
	(void)bh_strdup(&m->config.error, BH_UNCONFIRMED);
	bh_log(&m->log, LOG_WARNING, BH_EVENT_CONFIG, "%s was not confirmed in time: the configuration before is in force again", m->config_path);
}
