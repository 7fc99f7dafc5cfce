/* SPDX-License-Identifier: Apache-2.0 */
/* Reload on probation. Going back must work whatever happens to this process: the last good configuration stays the one before until it is
 * confirmed, and a mark in the state directory keeps a start from loading what was not. */
#include "manager.h"
#include "state.h"

#include <bulkhead/fault.h>

#include <errno.h>
#include <string.h>

int bh_probation_prepare(struct bh_manager *m, const struct bh_policy *policy, uint64_t usec, struct bh_error *err)
{
	int r;

	if (usec == 0 && !m->probation.on)
		return 0;
	if (!m->probation.on && m->config.keep_due)
		return bh_fail(err, -EAGAIN, "the kernel does not hold the configuration in force yet: try again");
	if (!m->probation.on && (m->config.keep_error || (m->config.policy && !bh_state_has_good(m->state_dir))))
		return bh_fail(err, -ENODATA, "going back would not survive a crash: %s has no copy of the configuration in force%s%s", m->state_dir,
			m->config.keep_error ? ": " : "", m->config.keep_error ? m->config.keep_error : "");
	r = bh_state_mark_unconfirmed(m->state_dir, policy);
	BH_FAULT("confirm-marked");
	return r < 0 ? bh_fail(err, r, "going back would not survive a crash: cannot write to %s: %s", m->state_dir, strerror(-r)) : 0;
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct bh_manager *m = userdata;

	(void)source;
	(void)usec;
	m->probation.on = false;
	bh_manager_go_back(m, bh_take(m->probation.before));
	bh_manager_run(m);
	return 0;
}

static bool same_policy(const struct bh_policy *a, const struct bh_policy *b)
{
	_cleanup_buf_ struct bh_buf x = {0}, y = {0};

	return a && b && bh_config_print(a, &x) == 0 && bh_config_print(b, &y) == 0 && bh_streq(x.s, y.s);
}

static int arm(struct bh_manager *m, uint64_t usec)
{
	int r;

	m->probation.end_usec = bh_now_usec(CLOCK_BOOTTIME) + usec;
	m->probation.timer = sd_event_source_disable_unref(m->probation.timer);
	r = sd_event_add_time(m->event, &m->probation.timer, CLOCK_BOOTTIME, m->probation.end_usec, 1000, on_time, m);
	return r < 0 ? r : 0;
}

bool bh_probation_take(struct bh_manager *m, uint64_t usec, struct bh_policy *old)
{
	if (usec == 0 && !m->probation.on) {
		bh_state_unmark(m->state_dir);
		bh_policy_free(old);
		return false;
	}
	if (m->probation.on) {
		bh_policy_free(old);	/* it was never confirmed either: what it goes back to stays */
	} else {
		m->probation.on = true;
		m->probation.before = old;
	}
	/* without a timer nothing would go back: then now, as soon as the loop is at it */
	if (usec > 0 && arm(m, usec) < 0)
		(void)arm(m, 0);
	if (usec == 0 && same_policy(m->config.policy, m->probation.before)) {
		bh_probation_end(m);
		return false;
	}
	return true;
}

void bh_probation_end(struct bh_manager *m)
{
	m->probation.on = false;
	m->probation.timer = sd_event_source_disable_unref(m->probation.timer);
	bh_policy_free(m->probation.before);
	m->probation.before = NULL;
	bh_state_unmark(m->state_dir);
}

uint64_t bh_probation_left(const struct bh_manager *m)
{
	uint64_t now = bh_now_usec(CLOCK_BOOTTIME);

	if (!m->probation.on)
		return 0;
	return m->probation.end_usec > now ? (m->probation.end_usec - now + 999999) / 1000000 : 1;
}

void bh_handle_confirm(struct bh_manager *m, struct bh_control_call *call, const json_t *request)
{
	(void)request;
	if (!m->probation.on) {
		bh_control_refuse(call, "refused", "nothing waits to be confirmed%s%s", m->config.error ? ": " : "", m->config.error ? m->config.error : "");
		return;
	}
	/* Kept first: between the two a start loads the one before, afterwards the file. */
	m->config.keep_due = true;
	bh_manager_keep(m);
	BH_FAULT("confirm-kept");
	bh_probation_end(m);
	bh_log(&m->log, LOG_INFO, BH_EVENT_CONFIG, "%s is confirmed", m->config_path);
	bh_control_reply(call, json_pack("{s:i, s:b, s:o}", "version", 1, "confirmed", 1, "problem", bh_json_text(m->config.keep_error)));
}
