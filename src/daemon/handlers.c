/* SPDX-License-Identifier: Apache-2.0 */
/* What the command may ask. One table: a verb, the right that it takes, its function. */
#include "manager.h"

#include <errno.h>
#include <string.h>

static void handle_status(struct bh_manager *m, struct bh_control_call *call, const json_t *request)
{
	struct bh_error err = {0};
	json_t *doc = NULL;

	(void)request;
	if (bh_status_build(m, &doc, &err) < 0)
		bh_control_refuse(call, "failed", "%s", err.msg);
	else
		bh_control_reply(call, doc);
}

static json_t *reload_answer(const struct bh_manager *m, bool loaded, const char *error)
{
	return json_pack("{s:i, s:b, s:s, s:s?, s:s?, s:o, s:I}", "version", 1, "loaded", loaded, "state", bh_manager_state(m, NULL),
		"diagnostics", m->reload_diagnostics, "error", error, "ended", loaded ? bh_json_endings(&m->endings) : json_null(),
		"confirm_within", (json_int_t)bh_probation_left(m));
}

static void handle_reload(struct bh_manager *m, struct bh_control_call *call, const json_t *request)
{
	const json_t *confirm = json_object_get(request, "confirm");
	json_int_t seconds = json_integer_value(confirm);

	if (confirm && (seconds < 1 || (uint64_t)seconds > BH_CONFIRM_MAX_USEC / 1000000)) {
		bh_control_refuse(call, "usage", "the time to confirm is one second to a day");
		return;
	}
	free(m->reload_diagnostics);
	m->reload_diagnostics = NULL;
	if (bh_manager_reload(m, (uint64_t)seconds * 1000000, &m->reload_diagnostics) < 0) {
		bh_control_reply(call, reload_answer(m, false, m->config.error ? m->config.error : "out of memory"));
		return;
	}
	if (bh_vec_push(&m->waiting, call) < 0)
		bh_control_refuse(call, "failed", "loaded, but out of memory");
	/* The answer comes when the kernel holds it, which bh_manager_run() tells. */
	bh_manager_run(m);
}

void bh_handle_waiting(struct bh_manager *m, int r)
{
	/* Taken off first: an answer may free the client, never add a call. */
	while (m->waiting.n > 0) {
		struct bh_control_call *call = m->waiting.v[--m->waiting.n];

		if (r == 0)
			bh_control_reply(call, reload_answer(m, true, NULL));
		else if (r == -EINPROGRESS)
			bh_control_refuse(call, "failed", "the configuration is loaded, but no runtime answers: the rules that were found "
				"in the kernel stay until one does");
		else
			bh_control_refuse(call, "failed", "the configuration is loaded, but the kernel does not hold it yet: %s",
				m->problem ? m->problem : strerror(-r));
	}
}

static const struct {
	const char *verb;
	enum bh_control_right right;
	void (*fn)(struct bh_manager *m, struct bh_control_call *call, const json_t *request);
} HANDLERS[] = {
	{ "status", BH_RIGHT_READ, handle_status },
	{ "explain", BH_RIGHT_READ, bh_handle_explain },
	{ "reload", BH_RIGHT_WRITE, handle_reload },
	{ "plan", BH_RIGHT_READ, bh_handle_plan },
	{ "confirm", BH_RIGHT_WRITE, bh_handle_confirm },
	{ "why", BH_RIGHT_READ, bh_handle_why },
	{ "suggest", BH_RIGHT_READ, bh_handle_suggest },
	{ "drops", BH_RIGHT_READ, bh_handle_drops },
	{ "events", BH_RIGHT_READ, bh_handle_events },
	{ "prove", BH_RIGHT_WRITE, bh_handle_prove },	/* for root, as sending is */
	{ "quarantine", BH_RIGHT_WRITE, bh_handle_quarantine },
	{ "release", BH_RIGHT_WRITE, bh_handle_release },
	{ "allow", BH_RIGHT_WRITE, bh_handle_allow },
	{ "lockdown", BH_RIGHT_WRITE, bh_handle_lockdown },
	{ "unlock", BH_RIGHT_WRITE, bh_handle_unlock },
};

void bh_handle_call(void *userdata, struct bh_control_call *call, const char *verb, const json_t *request,
	enum bh_control_right right)
{
	for (size_t i = 0; i < BH_ARRAY_SIZE(HANDLERS); i++) {
		if (strcmp(HANDLERS[i].verb, verb) != 0)
			continue;
		bh_access_call(userdata, call, HANDLERS[i].verb, request, HANDLERS[i].right == BH_RIGHT_WRITE, right >= HANDLERS[i].right);
		if (right < HANDLERS[i].right)
			bh_control_refuse(call, "denied", "%s is for root: run it with sudo", verb);
		else
			HANDLERS[i].fn(userdata, call, request);
		return;
	}
	bh_control_refuse(call, "usage", "this daemon knows no '%s': use the bulkhead of the same release", verb);
}
