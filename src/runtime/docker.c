/* SPDX-License-Identifier: Apache-2.0 */
/* The connection to a Docker daemon: absent, connecting, connected. */
#include "docker.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A line beyond the first bound is passed over, beyond the second the peer is not Docker. */
#define LINE_MAX_BYTES (1u << 20)
#define LINE_ENDLESS (128u << 20)

/* The backlog of a moment closes the gap between the stream's headers, which Docker sends first, and its subscription. */
#define EVENTS_SINCE_SECONDS 2

/* filters={"type":["container","network"],"event":[…]}. Health checks alone make several exec_* events a second. */
#define EVENTS_PATH                                                                                \
	"/events?since=%llu&filters=%%7B%%22type%%22:%%5B%%22container%%22,%%22network%%22%%5D,%%22event%%22:%%5B"    \
	"%%22create%%22,%%22destroy%%22,%%22start%%22,%%22stop%%22,%%22die%%22,%%22oom%%22,%%22restart%%22,"          \
	"%%22rename%%22,%%22pause%%22,%%22unpause%%22,%%22update%%22,%%22connect%%22,%%22disconnect%%22,"             \
	"%%22remove%%22%s%%5D%%7D"
/* Docker matches this one by its beginning: the command follows. An exec that is made and never started does nothing. */
#define EXECS ",%22exec_start%22"

static const struct bh_docker_times default_times = {
	.retry_min = 50,
	.retry_max = 2000,
	.stable = 10000,
	.open = 10000,
	.request = 10000,
	.ping = 10000,
	.ping_timeout = 5000,
	.resync = 60000,
	.trouble_min = 250,
	.trouble_max = 30000,
	.confirm = 250,
};

static void docker_connect(struct bh_docker *d);

bool bh_docker_is_up(const struct bh_docker *d)
{
	return d->stream != NULL && d->head.state != BH_RUNTIME_ABSENT;
}

int bh_docker_timer(struct bh_docker *d, sd_event_source **s, unsigned ms, sd_event_time_handler_t fn)
{
	int r;

	if (!*s)
		return sd_event_add_time_relative(d->event, s, CLOCK_MONOTONIC, (uint64_t)ms * 1000, 1000, fn, d);
	r = sd_event_source_set_time_relative(*s, (uint64_t)ms * 1000);
	return r < 0 ? r : sd_event_source_set_enabled(*s, SD_EVENT_ONESHOT);
}

static void timers_off(struct bh_docker *d)
{
	sd_event_source *timers[] = {d->retry_timer, d->open_timer, d->ping_timer, d->resync_timer, d->confirm_timer};

	for (size_t i = 0; i < BH_ARRAY_SIZE(timers); i++)
		if (timers[i])
			(void)sd_event_source_set_enabled(timers[i], SD_EVENT_OFF);	/* fails only for a dead loop */
}

static void tell_state(struct bh_docker *d, enum bh_runtime_state state, const char *reason)
{
	struct bh_runtime_msg msg = {.kind = BH_RUNTIME_MSG_STATE, .state = state, .reason = reason};

	d->head.state = state;
	d->head.fn(d->head.userdata, &msg);
}

static int on_retry(sd_event_source *s, uint64_t usec, void *userdata)
{
	(void)s, (void)usec;
	docker_connect(userdata);
	return 0;
}

void bh_docker_lost(struct bh_docker *d, const char *reason)
{
	bool news = d->head.state != BH_RUNTIME_ABSENT || !bh_streq(d->reason, reason);
	uint64_t now = 0;

	timers_off(d);
	bh_http_reset(d->http);
	d->stream = NULL;
	d->line.n = d->skipped = 0;
	bh_docker_sync_forget(d);
	(void)sd_event_now(d->event, CLOCK_MONOTONIC, &now);
	if (d->connected_at && now - d->connected_at >= (uint64_t)d->times.stable * 1000)
		d->retry = d->times.retry_min;
	d->connected_at = 0;
	/* without a timer nobody would try again: the loop itself is out of memory, and says so at its next turn */
	(void)bh_docker_timer(d, &d->retry_timer, d->retry, on_retry);
	d->retry = d->retry * 2 > d->times.retry_max ? d->times.retry_max : d->retry * 2;
	if (news) {
		(void)bh_strdup(&d->reason, reason);	/* not kept: told once more next time */
		tell_state(d, BH_RUNTIME_ABSENT, reason);
	}
}

static void lost_because(struct bh_docker *d, const char *what, const char *why)
{
	char reason[256];

	snprintf(reason, sizeof(reason), "%s: %s", what, why);
	bh_docker_lost(d, reason);
}

/* A dockerd that was restarted may have been told others. */
static void tell_resolvers(struct bh_docker *d)
{
	struct bh_addrs resolvers = {0};
	struct bh_runtime_msg msg = {.kind = BH_RUNTIME_MSG_RESOLVERS, .addrs = &resolvers};
	int r = bh_docker_resolvers(&d->door, &resolvers);

	if (r < 0)
		msg.reason = strerror(-r);
	d->head.fn(d->head.userdata, &msg);
	bh_vec_clear(&resolvers.v);
}

void bh_docker_synced(struct bh_docker *d)
{
	bool fresh = d->head.state == BH_RUNTIME_CONNECTING;

	if (!fresh && !d->reason)
		return;
	if (fresh) {
		(void)sd_event_now(d->event, CLOCK_MONOTONIC, &d->connected_at);
		tell_resolvers(d);
	}
	free(d->reason);
	d->reason = NULL;
	tell_state(d, BH_RUNTIME_CONNECTED, NULL);
}

void bh_docker_ailing(struct bh_docker *d, const char *reason)
{
	if (bh_streq(d->reason, reason))
		return;
	(void)bh_strdup(&d->reason, reason);	/* not kept: told once more next time */
	tell_state(d, BH_RUNTIME_CONNECTED, reason);
}

void bh_docker_socket_changed(struct bh_docker *d)
{
	if (!d->stream) {
		d->retry = d->times.retry_min;
		(void)bh_docker_timer(d, &d->retry_timer, d->retry, on_retry);	/* it was armed, and stays so */
	} else if (bh_docker_socket_replaced(d)) {
		d->retry = d->times.retry_min;
		bh_docker_lost(d, "the socket was replaced");
	}
}

static int on_open_timeout(sd_event_source *s, uint64_t usec, void *userdata)
{
	(void)s, (void)usec;
	bh_docker_lost(userdata, "events: no answer");
	return 0;
}

static int on_ping(sd_event_source *s, uint64_t usec, void *userdata);

static void ping_done(void *userdata, const struct bh_http_answer *answer)
{
	struct bh_docker *d = userdata;

	if (answer->error)
		lost_because(d, "ping", answer->reason);
	else if (answer->status != 200)
		bh_docker_lost(d, "ping: refused");
	else if (bh_docker_timer(d, &d->ping_timer, d->times.ping, on_ping) < 0)
		bh_docker_lost(d, "no memory");
}

static int on_ping(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct bh_docker *d = userdata;
	struct bh_http_get get = {
		.path = "/_ping", .max = 4096, .timeout_ms = (long)d->times.ping_timeout, .done = ping_done, .userdata = d};

	(void)s, (void)usec;
	if (bh_docker_socket_replaced(d))
		bh_docker_socket_changed(d);
	else if (bh_http_get(d->http, &get, NULL) < 0)
		bh_docker_lost(d, "no memory");
	return 0;
}

static void events_open(void *userdata)
{
	struct bh_docker *d = userdata;

	(void)sd_event_source_set_enabled(d->open_timer, SD_EVENT_OFF);
	if (bh_docker_timer(d, &d->ping_timer, d->times.ping, on_ping) < 0) {
		bh_docker_lost(d, "no memory");
		return;
	}
	tell_state(d, BH_RUNTIME_CONNECTING, NULL);
	bh_docker_sync(d);
}

/* Complete lines in order; what is left waits for its end. */
static void events_line(struct bh_docker *d, const char *data, size_t n)
{
	if (d->skipped) {
		d->skipped = 0;
		bh_docker_bad_event(d);
	} else if (d->line.n > 0) {
		bh_buf_putn(&d->line, data, n);
		if (!d->line.err)
			bh_docker_event_line(d, d->line.s, d->line.n);
	} else {
		bh_docker_event_line(d, data, n);
	}
	d->line.n = 0;
}

static int events_data(void *userdata, const char *data, size_t n)
{
	struct bh_docker *d = userdata;
	const char *end = data + n;

	while (data < end && d->stream) {
		const char *nl = memchr(data, '\n', (size_t)(end - data));
		size_t len = (size_t)((nl ? nl : end) - data);

		if (nl && (d->skipped || d->line.n + len <= LINE_MAX_BYTES)) {
			events_line(d, data, len);
		} else if (!d->skipped && d->line.n + len <= LINE_MAX_BYTES) {
			bh_buf_putn(&d->line, data, len);
		} else {
			d->skipped += d->line.n + len + 1;
			d->line.n = 0;
			if (nl)
				events_line(d, data, 0);
		}
		data += len + (nl ? 1 : 0);
		if (d->skipped > LINE_ENDLESS)
			return -EMSGSIZE;
		if (d->line.err) {
			bh_buf_free(&d->line);
			return -ENOMEM;
		}
	}
	if (d->stream)
		bh_docker_pump(d);
	return 0;
}

static void events_done(void *userdata, const struct bh_http_answer *answer)
{
	struct bh_docker *d = userdata;
	char what[160];
	_cleanup_buf_ struct bh_buf safe = {0};

	d->stream = NULL;
	if (answer->status && answer->status != 200) {
		d->stats.errors++;
		snprintf(what, sizeof(what), "events: status %ld", answer->status);
		bh_docker_lost(d, what);
	} else if (answer->error == 0) {
		bh_docker_lost(d, "events: the stream ended");
	} else {
		if (answer->error == -EPROTO || answer->error == -EMSGSIZE)
			d->stats.errors++;
		bh_buf_put_safe(&safe, d->head.socket, 128);
		lost_because(d, safe.err ? "docker" : safe.s, answer->reason);
	}
}

static void docker_connect(struct bh_docker *d)
{
	_cleanup_buf_ struct bh_buf path = {0};
	struct bh_http_get get = {.done = events_done, .open = events_open, .data = events_data, .userdata = d};
	uint64_t now = 0;

	bh_docker_model_clear(&d->model);
	bh_docker_socket_note(d);
	(void)sd_event_now(d->event, CLOCK_REALTIME, &now);
	now /= 1000000;
	bh_buf_printf(&path, EVENTS_PATH,
		(unsigned long long)(now > EVENTS_SINCE_SECONDS ? now - EVENTS_SINCE_SECONDS : 0), d->execs ? EXECS : "");
	get.path = path.s;
	if (path.err || bh_docker_timer(d, &d->open_timer, d->times.open, on_open_timeout) < 0 ||
		bh_http_get(d->http, &get, &d->stream) < 0)
		bh_docker_lost(d, "no memory");
}

static int docker_start(struct bh_runtime *r, struct bh_error *err)
{
	struct bh_docker *d = (struct bh_docker *)r;

	(void)err;
	docker_connect(d);
	return 0;
}

/* Called by whoever hears the messages, maybe from inside of one: the work is done at the loop's next turn. */
static int on_wake(sd_event_source *s, void *userdata)
{
	struct bh_docker *d = userdata;

	(void)s;
	if (!bh_docker_is_up(d))
		return 0;
	if (d->resync_wanted)
		bh_docker_sync(d);
	bh_docker_pump(d);
	return 0;
}

static void docker_resync(struct bh_runtime *r)
{
	struct bh_docker *d = (struct bh_docker *)r;

	d->resync_wanted = true;
	(void)sd_event_source_set_enabled(d->wake, SD_EVENT_ONESHOT);
}

static void docker_look(struct bh_runtime *r, const char *bridge)
{
	struct bh_docker *d = (struct bh_docker *)r;

	if (!bh_docker_model_mark_bridge(&d->model, bridge))
		d->networks_wanted = true;
	(void)sd_event_source_set_enabled(d->wake, SD_EVENT_ONESHOT);
}

static struct bh_runtime_stats docker_stats(const struct bh_runtime *r)
{
	return ((const struct bh_docker *)r)->stats;
}

static void docker_free(struct bh_runtime *r)
{
	struct bh_docker *d = (struct bh_docker *)r;

	bh_http_free(d->http);
	bh_docker_model_free_contents(&d->model);
	sd_event_source_disable_unref(d->retry_timer);
	sd_event_source_disable_unref(d->open_timer);
	sd_event_source_disable_unref(d->ping_timer);
	sd_event_source_disable_unref(d->resync_timer);
	sd_event_source_disable_unref(d->confirm_timer);
	sd_event_source_disable_unref(d->wake);
	sd_event_source_disable_unref(d->watch);
	sd_event_unref(d->event);
	bh_buf_free(&d->line);
	free(d->reason);
	free(d->head.socket);
	free(d);
}

static void docker_execs(struct bh_runtime *r, bool on)
{
	struct bh_docker *d = (struct bh_docker *)r;
	bool changed = d->execs != on;

	d->execs = on;
	if (changed && d->stream) {
		d->retry = d->times.retry_min;
		bh_docker_lost(d, "what is followed has changed");
	}
}

static const struct bh_runtime_ops docker_ops = {
	.kind = "docker",
	.start = docker_start,
	.resync = docker_resync,
	.look = docker_look,
	.execs = docker_execs,
	.stats = docker_stats,
	.free = docker_free,
};

int bh_docker_new_with(sd_event *event, const char *socket, const struct bh_docker_times *times, bh_runtime_fn fn, void *userdata,
	struct bh_runtime **ret, struct bh_error *err)
{
	struct bh_docker *d = calloc(1, sizeof(*d));
	_cleanup_(bh_runtime_freep) struct bh_runtime *head = &d->head;
	int r;

	if (!d)
		return bh_fail(err, -ENOMEM, "no memory");
	d->head.ops = &docker_ops;
	d->head.fn = fn;
	d->head.userdata = userdata;
	d->times = *times;
	d->retry = times->retry_min;
	d->trouble = times->trouble_min;
	d->event = sd_event_ref(event);
	d->model.quiet = true;
	d->model.fn = fn;
	d->model.userdata = userdata;
	if (bh_strdup(&d->head.socket, socket) < 0)
		return bh_fail(err, -ENOMEM, "no memory");
	r = sd_event_add_defer(event, &d->wake, on_wake, d);
	if (r == 0)
		r = sd_event_source_set_enabled(d->wake, SD_EVENT_OFF);
	if (r < 0)
		return bh_fail(err, r, "event loop: %s", strerror(-r));
	r = bh_http_new(event, socket, &d->http, err);
	if (r < 0)
		return r;
	d->door = bh_door_opening(d->head.socket);
	*ret = bh_take(head);
	return 0;
}

void bh_docker_use_door(struct bh_runtime *r, const struct bh_door *door)
{
	struct bh_docker *d = (struct bh_docker *)r;

	d->door = *door;
	bh_http_use_door(d->http, &d->door);
}

int bh_docker_new(sd_event *event, const char *socket, bh_runtime_fn fn, void *userdata, struct bh_runtime **ret, struct bh_error *err)
{
	return bh_docker_new_with(event, socket, &default_times, fn, userdata, ret, err);
}
