/* SPDX-License-Identifier: Apache-2.0 */
/* One look at a Docker, for a command that has no loop of its own: the follower's first snapshot, then an inspection of each container. */
#include "docker.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define INSPECTS_AT_ONCE 8u
#define INSPECT_MAX (8u << 20)		/* bytes of one answer */
#define INSPECT_TIMEOUT_MS 5000		/* one that starts may keep its inspection waiting */

struct once {
	const char *sockets[3];
	struct bh_http *http;
	struct bh_inventory *inventory;
	struct bh_facts *facts;
	char *reason;			/* nobody answers, and why */
	size_t next, open;		/* containers: the next to be asked about, and how many are */
	int error;
};

static void on_message(void *userdata, const struct bh_runtime_msg *msg)
{
	struct once *o = userdata;
	int r = 0;

	if (msg->kind == BH_RUNTIME_MSG_STATE && msg->state == BH_RUNTIME_ABSENT)
		r = bh_strdup(&o->reason, msg->reason ? msg->reason : "no answer");
	else if (msg->kind == BH_RUNTIME_MSG_SNAPSHOT && !o->inventory)
		r = bh_inventory_copy(&o->inventory, msg->inventory);
	if (r < 0)
		o->error = r;
}

static void inspected(void *userdata, const struct bh_http_answer *answer)
{
	struct once *o = userdata;
	struct bh_fact fact = {0};
	int r = -EBADMSG;

	o->open--;
	if (answer->error == 0 && answer->status == 200)
		r = bh_docker_decode_fact(answer->body, answer->n, o->sockets, BH_ARRAY_SIZE(o->sockets), &fact);
	if (r == 0) {
		r = bh_vec_push(&o->facts->v, fact);
		if (r < 0) {
			free(fact.id);
			free(fact.socket_mount);
		}
	}
	if (r == -ENOMEM)
		o->error = r;
}

static int inspect_more(struct once *o)
{
	while (o->open < INSPECTS_AT_ONCE && o->next < o->inventory->containers.n) {
		const struct bh_container *c = &o->inventory->containers.v[o->next++];
		struct bh_http_get get = {.max = INSPECT_MAX, .timeout_ms = INSPECT_TIMEOUT_MS, .done = inspected, .userdata = o};
		char path[96];
		int r;

		if (c->kind != BH_KIND_CONTAINER || c->state == BH_CONTAINER_STOPPED || !bh_docker_is_container_id(c->id))
			continue;
		snprintf(path, sizeof(path), "/containers/%s/json", c->id);
		get.path = path;
		r = bh_http_get(o->http, &get, NULL);
		if (r < 0)
			return r;
		o->open++;
	}
	return 0;
}

static bool is_done(const struct once *o)
{
	return o->inventory && o->next == o->inventory->containers.n && o->open == 0;
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
	if (!o->inventory)
		return o->reason ? -ENOTCONN : 0;
	return inspect_more(o);
}

static void eventp(sd_event **e)
{
	sd_event_unref(*e);
}

int bh_docker_look_once(const char *socket, unsigned timeout_ms, struct bh_inventory **ret, struct bh_facts *ret_facts, struct bh_error *err)
{
	struct once o = {.sockets = {socket, "/run/docker.sock", "/var/run/docker.sock"}, .facts = ret_facts};
	_cleanup_(eventp) sd_event *event = NULL;
	struct bh_runtime *runtime = NULL;
	uint64_t end = 0;
	int r = sd_event_new(&event);

	if (r < 0)
		return bh_fail(err, r, "event loop: %s", strerror(-r));
	r = sd_event_now(event, CLOCK_MONOTONIC, &end);
	end += (uint64_t)timeout_ms * 1000;
	if (r >= 0)
		r = bh_docker_new(event, socket, on_message, &o, &runtime, err);
	if (r == 0)
		r = bh_http_new(event, socket, &o.http, err);
	if (r == 0)
		r = runtime->ops->start(runtime, err);
	while (r == 0 && !is_done(&o))
		r = turn(event, &o, end);
	bh_http_free(o.http);
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
