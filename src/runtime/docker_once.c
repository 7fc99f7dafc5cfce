/* SPDX-License-Identifier: Apache-2.0 */
/* One look at a Docker, for a command that has no loop of its own: the follower's first snapshot, and what it tells
 * until each that runs has been inspected. */
#include "docker.h"

#include <errno.h>
#include <string.h>

struct once {
	struct bh_inventory *inventory;
	char *reason;			/* nobody answers, and why */
	int error;
};

#define INSPECTIONS_USEC 5000000u	/* one that starts may keep its inspection waiting */

/* What was told of one is what is known of it now. */
static int container_set(struct bh_inventory *i, const struct bh_container *c)
{
	struct bh_container *old = bh_inventory_container(i, c->id), copy = {0};
	int r = old ? bh_container_copy(&copy, c) : 0;

	if (r == 0 && old) {
		bh_container_clear(old);
		*old = copy;
	}
	return r;
}

static bool is_done(const struct bh_inventory *i)
{
	bh_vec_foreach(c, &i->containers)
		if (c->kind == BH_KIND_CONTAINER && !c->posture.known && (c->state == BH_CONTAINER_RUNNING || c->state == BH_CONTAINER_PAUSED))
			return false;
	return true;
}

static void on_message(void *userdata, const struct bh_runtime_msg *msg)
{
	struct once *o = userdata;
	int r = 0;

	if (msg->kind == BH_RUNTIME_MSG_STATE && msg->state == BH_RUNTIME_ABSENT)
		r = bh_strdup(&o->reason, msg->reason ? msg->reason : "no answer");
	else if (msg->kind == BH_RUNTIME_MSG_SNAPSHOT && !o->inventory)
		r = bh_inventory_copy(&o->inventory, msg->inventory);
	else if (msg->kind == BH_RUNTIME_MSG_CONTAINER && o->inventory)
		r = container_set(o->inventory, msg->container);
	if (r < 0)
		o->error = r;
}

static int turn(sd_event *event, struct once *o, uint64_t end)
{
	uint64_t now = 0;
	int r = sd_event_now(event, CLOCK_MONOTONIC, &now);

	if (r < 0)
		return r;
	if (now >= end)
		return -ETIMEDOUT;
	r = sd_event_run(event, end - now);
	if (r < 0)
		return r;
	if (o->error)
		return o->error;
	return o->inventory || !o->reason ? 0 : -ENOTCONN;
}

static void eventp(sd_event **e)
{
	sd_event_unref(*e);
}

int bh_docker_look_once(const char *socket, unsigned timeout_ms, struct bh_inventory **ret, struct bh_error *err)
{
	struct once o = {0};
	_cleanup_(eventp) sd_event *event = NULL;
	struct bh_runtime *runtime = NULL;
	uint64_t end = 0, now = 0;
	bool listed = false;
	int r = sd_event_new(&event);

	if (r < 0)
		return bh_fail(err, r, "event loop: %s", strerror(-r));
	r = sd_event_now(event, CLOCK_MONOTONIC, &end);
	end += (uint64_t)timeout_ms * 1000;
	if (r >= 0)
		r = bh_docker_new(event, socket, on_message, &o, &runtime, err);
	if (r == 0)
		r = runtime->ops->start(runtime, err);
	while (r == 0 && !(o.inventory && is_done(o.inventory))) {
		r = turn(event, &o, end);
		if (r == 0 && o.inventory && !listed && sd_event_now(event, CLOCK_MONOTONIC, &now) >= 0 && now + INSPECTIONS_USEC < end)
			end = now + INSPECTIONS_USEC;
		listed = o.inventory != NULL;
	}
	if (r == -ETIMEDOUT && listed)
		r = 0;	/* of some nothing is known */
	bh_runtime_free(runtime);
	if (r == 0)
		*ret = bh_take(o.inventory);
	else if (r == -ENOTCONN)
		bh_fail(err, r, "no Docker answers: %s", o.reason);
	else
		bh_fail(err, r, "looking at Docker: %s", strerror(-r));
	bh_inventory_free(o.inventory);
	free(o.reason);
	return r;
}
