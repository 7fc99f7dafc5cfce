/* SPDX-License-Identifier: Apache-2.0 */
/* Who is looked at when. An event only marks; marks are asked for at once, one look under way per object. */
#include "docker.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LIST_MAX (64u << 20)
#define OBJECT_MAX (4u << 20)
#define NETWORK_MAX (16u << 20)		/* a thousand ports a bridge, and overlay networks have more */
#define LOOK_IDS 16			/* containers in one request */
#define LOOKS_AT_ONCE 4
#define NETWORKS_AT_ONCE 8
#define IMAGES_AT_ONCE 4
#define INSPECTS_AT_ONCE 16		/* an inspection waits while its container starts: on connections of their own */
#define DYING_LOOKS 40

enum job_kind {
	JOB_LIST,
	JOB_LOOK,
	JOB_NETWORKS,
	JOB_NETWORK,
	JOB_IMAGE,
	JOB_INSPECT,
	JOB_INFO,
};

struct job {
	struct bh_docker *docker;
	enum job_kind kind;
	uint64_t seq;
	char id[80];		/* network, image or container */
	struct bh_strv ids;	/* of a look */
};

static void job_free(void *userdata)
{
	struct job *job = userdata;

	bh_strv_clear(&job->ids);
	free(job);
}

static void job_done(void *userdata, const struct bh_http_answer *answer);

static struct job *job_new(struct bh_docker *d, enum job_kind kind, const char *id)
{
	struct job *job = calloc(1, sizeof(*job));

	if (!job)
		return NULL;
	job->docker = d;
	job->kind = kind;
	job->seq = ++d->seq;
	if (id)
		snprintf(job->id, sizeof(job->id), "%s", id);
	return job;
}

/* Sends a request; the job is its own or freed. */
static int job_send(struct job *job, const char *path, size_t max)
{
	struct bh_http_get get = {
		.path = path,
		.max = max,
		/* all containers of a busy host take a while; a daemon that hangs is found by the ping */
		.timeout_ms = (long)job->docker->times.request * (job->kind == JOB_LIST ? 4 : 1),
		.done = job_done,
		.userdata = job,
		.free_userdata = job_free,
	};

	return bh_http_get(job->docker->http, &get, NULL);
}

static int ask(struct bh_docker *d, enum job_kind kind, const char *id, const char *before, const char *after, size_t max)
{
	struct job *job = job_new(d, kind, id);
	char path[160];

	if (!job)
		return -ENOMEM;
	snprintf(path, sizeof(path), "%s%s%s", before, id ? id : "", after);
	return job_send(job, path, max);
}

void bh_docker_sync_forget(struct bh_docker *d)
{
	d->looks = d->nets = d->images = d->inspects = 0;
	d->syncing = d->networks_busy = d->networks_wanted = d->resync_wanted = d->trouble_armed = false;
	d->settings_asked = d->settings_done = false;
}

static int on_resync(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct bh_docker *d = userdata;

	(void)s, (void)usec;
	if (!d->trouble_armed)	/* all went well since the last one */
		d->trouble = d->times.trouble_min;
	else	/* what went wrong may have been the news of a change */
		bh_docker_model_doubt(&d->model);
	d->trouble_armed = false;
	bh_docker_sync(d);
	return 0;
}

static void relist_later(struct bh_docker *d)
{
	if (d->trouble_armed)
		return;
	if (bh_docker_timer(d, &d->resync_timer, d->trouble, on_resync) < 0) {
		bh_docker_lost(d, "no memory");
		return;
	}
	d->trouble_armed = true;
	d->trouble = d->trouble * 2 > d->times.trouble_max ? d->times.trouble_max : d->trouble * 2;
}

/* A listing that is under way goes on: whoever makes a bad event a second must not keep it from its end. */
void bh_docker_bad_event(struct bh_docker *d)
{
	d->stats.errors++;
	if (bh_docker_is_up(d))
		relist_later(d);
}

static void bad_answer(struct bh_docker *d, const char *why)
{
	d->stats.errors++;
	if (!bh_docker_is_up(d))
		return;
	if (d->head.state == BH_RUNTIME_CONNECTING && d->syncing) {
		bh_docker_lost(d, why);
		return;
	}
	d->syncing = false;
	if (d->head.state == BH_RUNTIME_CONNECTED)
		bh_docker_ailing(d, why);
	relist_later(d);
}

/* No memory for an answer or a request: everything is asked for again when there may be some. */
static void must(struct bh_docker *d, int r)
{
	if (r < 0)
		bad_answer(d, "no memory");
}

void bh_docker_sync(struct bh_docker *d)
{
	if (!bh_docker_is_up(d))
		return;
	if (d->syncing) {
		d->resync_wanted = true;
		return;
	}
	d->resync_wanted = d->list_done = d->networks_done = false;
	d->settings_asked = false;	/* registries may be others after a reload */
	d->syncing = d->networks_wanted = true;
	d->stats.resyncs++;
	d->sync_seq = d->seq + 1;
	must(d, ask(d, JOB_LIST, NULL, "/containers/json?all=1", "", LIST_MAX));
	bh_docker_pump(d);
}

static bool sync_is_complete(const struct bh_docker *d)
{
	if (!d->list_done || !d->networks_done)
		return false;
	for (size_t i = 0; i < d->model.networks.n; i++) {
		const struct bh_docker_net *n = d->model.networks.v[i];

		if ((n->marked || n->busy) && n->seen < d->sync_seq)
			return false;
	}
	for (size_t i = 0; i < d->model.images.n; i++)
		if (d->model.images.v[i]->state == BH_IMAGE_WANTED)
			return false;
	return true;
}

static void sync_check(struct bh_docker *d)
{
	if (!d->syncing || !sync_is_complete(d))
		return;
	d->syncing = false;
	if ((!d->trouble_armed && bh_docker_timer(d, &d->resync_timer, d->times.resync, on_resync) < 0) ||
		bh_docker_model_snapshot(&d->model) < 0) {
		bh_docker_lost(d, "no memory");
		return;
	}
	bh_docker_synced(d);
	if (d->resync_wanted)
		bh_docker_sync(d);
	bh_docker_pump(d);
}

/* A look at the next containers that are marked, from place *I on; NULL in *RET when there are none. */
static int look_build(struct bh_docker *d, size_t *i, struct job **ret, struct bh_buf *path)
{
	struct job *job = NULL;

	bh_buf_puts(path, "/containers/json?all=1&filters=%7B%22id%22:%5B");
	for (; *i < d->model.containers.n && (!job || job->ids.n < LOOK_IDS); (*i)++) {
		const struct bh_docker_container *c = d->model.containers.v[*i];

		if (!c->marked || c->busy)
			continue;
		if (!job)
			job = job_new(d, JOB_LOOK, NULL);
		if (!job || bh_strv_push(&job->ids, c->id) < 0) {
			if (job)
				job_free(job);
			return -ENOMEM;
		}
		bh_buf_printf(path, "%s%%22%s%%22", job->ids.n > 1 ? "," : "", c->id);
	}
	bh_buf_puts(path, "%5D%7D");
	if (path->err && job) {
		job_free(job);
		return path->err;
	}
	*ret = job;
	return 0;
}

static int pump_looks(struct bh_docker *d)
{
	size_t i = 0;

	while (d->looks < LOOKS_AT_ONCE) {
		_cleanup_buf_ struct bh_buf path = {0};
		struct job *job = NULL;
		int r = look_build(d, &i, &job, &path);

		if (r < 0 || !job)
			return r;
		r = job_send(job, path.s, LIST_MAX);
		if (r < 0)
			return r;
		d->looks++;
		for (size_t k = 0; k < job->ids.n; k++) {
			struct bh_docker_container *c = bh_docker_model_container(&d->model, job->ids.v[k]);

			c->marked = false;
			c->busy = true;
		}
	}
	return 0;
}

static int pump_networks(struct bh_docker *d)
{
	int r;

	if (d->networks_wanted && !d->networks_busy) {
		r = ask(d, JOB_NETWORKS, NULL, "/networks", "", LIST_MAX);
		if (r < 0)
			return r;
		d->networks_wanted = false;
		d->networks_busy = true;
	}
	for (size_t i = 0; i < d->model.networks.n && d->nets < NETWORKS_AT_ONCE; i++) {
		struct bh_docker_net *n = d->model.networks.v[i];

		if (!n->marked || n->busy)
			continue;
		r = ask(d, JOB_NETWORK, n->id, "/networks/", "", NETWORK_MAX);
		if (r < 0)
			return r;
		n->marked = false;
		n->busy = true;
		bh_strv_clear(&n->dropped);
		d->nets++;
	}
	return 0;
}

static int pump_images(struct bh_docker *d)
{
	int r;

	for (size_t i = 0; i < d->model.images.n && d->images < IMAGES_AT_ONCE; i++) {
		struct bh_docker_image *image = d->model.images.v[i];

		if (!image->ask || image->busy)
			continue;
		r = ask(d, JOB_IMAGE, image->id, "/images/", "/json", OBJECT_MAX);
		if (r < 0)
			return r;
		image->ask = false;
		image->busy = true;
		d->images++;
	}
	return 0;
}

/* A container that was made is inspected before anything else is asked: from the start of its start on, Docker answers only when that is over. */
static int pump_inspects(struct bh_docker *d)
{
	int r;

	if (!d->settings_asked) {
		r = ask(d, JOB_INFO, NULL, "/info", "", OBJECT_MAX);
		if (r < 0)
			return r;
		d->settings_asked = true;
	}
	for (size_t i = 0; d->settings_done && i < d->model.containers.n && d->inspects < INSPECTS_AT_ONCE; i++) {
		struct bh_docker_container *c = d->model.containers.v[i];

		if (!c->inspect || c->inspecting)
			continue;
		r = ask(d, JOB_INSPECT, c->id, "/containers/", "/json", OBJECT_MAX);
		if (r < 0)
			return r;
		c->inspect = false;
		c->inspecting = true;
		d->inspects++;
	}
	return 0;
}

static int on_confirm(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct bh_docker *d = userdata;
	uint64_t now = 0, next = 0;

	(void)s, (void)usec;
	(void)sd_event_now(d->event, CLOCK_MONOTONIC, &now);
	for (size_t i = 0; i < d->model.containers.n; i++) {
		struct bh_docker_container *c = d->model.containers.v[i];

		if (c->confirm_at && c->confirm_at <= now) {
			c->confirm_at = 0;
			c->marked = true;
		} else if (c->confirm_at && (!next || c->confirm_at < next)) {
			next = c->confirm_at;
		}
	}
	if (next)
		must(d, bh_docker_timer(d, &d->confirm_timer, (unsigned)((next - now) / 1000 + 1), on_confirm));
	bh_docker_pump(d);
	return 0;
}

/* Docker tells of a death, a pause and more before its own list knows: so everything is looked at a second time. */
static void confirm_later(struct bh_docker *d, const char *id)
{
	struct bh_docker_container *c = bh_docker_model_container(&d->model, id);
	uint64_t now = 0;
	int enabled = SD_EVENT_OFF;

	if (!c)
		return;
	(void)sd_event_now(d->event, CLOCK_MONOTONIC, &now);
	c->confirm_at = now + (uint64_t)d->times.confirm * 1000;
	if (d->confirm_timer)
		(void)sd_event_source_get_enabled(d->confirm_timer, &enabled);
	if (enabled == SD_EVENT_OFF)
		must(d, bh_docker_timer(d, &d->confirm_timer, d->times.confirm, on_confirm));
}

void bh_docker_pump(struct bh_docker *d)
{
	int r;

	if (!bh_docker_is_up(d))
		return;
	r = pump_inspects(d);
	if (r == 0)
		r = pump_looks(d);
	if (r == 0)
		r = pump_networks(d);
	if (r == 0)
		r = pump_images(d);
	must(d, r);
}

static int event_apply(struct bh_docker *d, const struct bh_docker_event *e)
{
	struct bh_docker_container *c;
	struct bh_docker_net *n;

	switch (e->kind) {
	case BH_DOCKER_EVENT_OTHER:
		return 0;
	case BH_DOCKER_EVENT_CONTAINER:
		c = bh_docker_model_add_container(&d->model, e->container);
		if (!c)
			return -ENOMEM;
		c->marked = true;
		return 0;
	case BH_DOCKER_EVENT_CONFIGURED:
		return bh_docker_model_configured(&d->model, d->seq, e->container);
	case BH_DOCKER_EVENT_START:
		return bh_docker_model_started(&d->model, e->container);
	case BH_DOCKER_EVENT_DIE:
		return bh_docker_model_died(&d->model, e->container);
	case BH_DOCKER_EVENT_CONNECT:
		return bh_docker_model_connected(&d->model, e->container, e->network);
	case BH_DOCKER_EVENT_DISCONNECT:
		return bh_docker_model_disconnected(&d->model, e->container, e->network);
	case BH_DOCKER_EVENT_NETWORK:
		n = bh_docker_model_add_network(&d->model, e->network);
		if (!n)
			return -ENOMEM;
		n->marked = true;
		return 0;
	case BH_DOCKER_EVENT_EXEC:
		if (!d->model.quiet)
			d->model.fn(d->model.userdata, &(struct bh_runtime_msg){.kind = BH_RUNTIME_MSG_EXEC, .id = e->container, .text = e->text});
		return 0;
	}
	return 0;
}

void bh_docker_event_line(struct bh_docker *d, const char *text, size_t n)
{
	struct bh_docker_event e = {0};
	int r;

	if (n > 0 && text[n - 1] == '\r')
		n--;
	if (n == 0)
		return;
	d->stats.events++;
	r = bh_docker_decode_event(text, n, &e);
	if (r == 0)
		r = event_apply(d, &e);
	if (r < 0)
		bh_docker_bad_event(d);
	else if (*e.container && e.kind != BH_DOCKER_EVENT_OTHER && e.kind != BH_DOCKER_EVENT_EXEC)
		confirm_later(d, e.container);
}

static int list_done(struct bh_docker *d, const struct job *job, const struct bh_http_answer *answer)
{
	bh_containers list = {0};
	int r;

	/* of a listing that was given up: it could bring back what has been forgotten since */
	if (job->seq < d->sync_seq)
		return 0;
	r = answer->status == 200 ? bh_docker_decode_containers(answer->body, answer->n, &list) : -EBADMSG;
	if (r == 0)
		r = bh_docker_model_list(&d->model, job->seq, &list);
	bh_containers_clear(&list);
	if (r == 0)
		d->list_done = true;
	return r;
}

static int look_done(struct bh_docker *d, const struct job *job, const struct bh_http_answer *answer)
{
	bh_containers list = {0};
	int r = answer->status == 200 ? bh_docker_decode_containers(answer->body, answer->n, &list) : -EBADMSG;

	d->looks--;
	for (size_t i = 0; i < job->ids.n; i++) {
		struct bh_docker_container *c = bh_docker_model_container(&d->model, job->ids.v[i]);

		if (c)
			c->busy = false;
	}
	if (r == 0)
		r = bh_docker_model_look(&d->model, job->seq, &job->ids, &list);
	bh_containers_clear(&list);
	for (size_t i = 0; r == 0 && i < job->ids.n; i++) {
		struct bh_docker_container *c = bh_docker_model_container(&d->model, job->ids.v[i]);

		if (!c || !c->dying || c->confirm_at)
			continue;
		/* after ten seconds the list is believed rather than the event */
		if (c->dying_looks++ < DYING_LOOKS) {
			confirm_later(d, c->id);
		} else {
			c->dying = false;
			r = bh_docker_model_tell(&d->model, c);
		}
	}
	return r;
}

static int networks_done(struct bh_docker *d, const struct job *job, const struct bh_http_answer *answer)
{
	bh_docker_networks list = {0};
	int r = answer->status == 200 ? bh_docker_decode_networks(answer->body, answer->n, &list) : -EBADMSG;

	d->networks_busy = false;
	if (r == 0)
		r = bh_docker_model_networks(&d->model, job->seq, &list);
	bh_docker_networks_clear(&list);
	if (r == 0 && job->seq >= d->sync_seq)
		d->networks_done = true;
	return r;
}

static int network_done(struct bh_docker *d, const struct job *job, const struct bh_http_answer *answer)
{
	struct bh_docker_net *n = bh_docker_model_network(&d->model, job->id);
	struct bh_docker_network net = {0};
	int r;

	d->nets--;
	if (n)
		n->busy = false;
	if (answer->status == 404)
		return bh_docker_model_set_network(&d->model, job->seq, job->id, NULL);
	r = answer->status == 200 ? bh_docker_decode_network(answer->body, answer->n, &net) : -EBADMSG;
	if (r == 0 && !bh_streq(net.network.id, job->id))
		r = -EBADMSG;
	if (r == 0)
		r = bh_docker_model_set_network(&d->model, job->seq, job->id, &net);
	bh_docker_network_clear(&net);
	return r;
}

static int image_done(struct bh_docker *d, const struct job *job, const struct bh_http_answer *answer)
{
	struct bh_docker_image *image = bh_docker_model_image(&d->model, job->id);
	struct bh_docker_labels labels = {0};
	struct bh_image_facts facts = {0};
	int r = answer->status == 200 ? bh_docker_decode_image(answer->body, answer->n, &labels, &facts) : 0, r2;
	bool known = r == 0 && answer->status == 200;

	d->images--;
	if (image)
		image->busy = false;
	if (answer->error || (answer->status != 200 && answer->status != 404))
		r = -EBADMSG;
	r2 = bh_docker_model_set_image(&d->model, job->id, known ? &labels : NULL, &facts);
	bh_docker_labels_clear(&labels);
	bh_image_facts_clear(&facts);
	return r < 0 ? r : r2;
}

static int inspect_done(struct bh_docker *d, const struct job *job, const struct bh_http_answer *answer)
{
	struct bh_docker_container *c = bh_docker_model_container(&d->model, job->id);
	struct bh_docker_inspect inspect = {0};
	int r;

	d->inspects--;
	if (c)
		c->inspecting = false;
	if (answer->status == 404)
		return 0;
	r = answer->status == 200 ? bh_docker_decode_inspect(answer->body, answer->n, &d->settings, &inspect) : -EBADMSG;
	if (r == 0 && !bh_streq(inspect.id, job->id))
		r = -EBADMSG;
	if (r == 0)
		r = bh_docker_model_inspected(&d->model, job->seq, &inspect);
	bh_posture_clear(&inspect.posture);
	if (r == -EBADMSG) {
		/* the next look at it or full listing asks again: no reason to list now */
		d->stats.errors++;
		r = 0;
	}
	return r;
}

/* Who does not say what it gives to its containers gives nothing that confines them. */
static int info_done(struct bh_docker *d, const struct job *job, const struct bh_http_answer *answer)
{
	_cleanup_(bh_registries_clear) struct bh_registries registries = {0};
	struct bh_docker_settings settings = {.seccomp_missing = true};
	const struct bh_runtime_msg msg = {.kind = BH_RUNTIME_MSG_REGISTRIES, .registries = &registries};

	(void)job;
	d->settings_done = true;
	if (answer->status != 200 || bh_docker_decode_info(answer->body, answer->n, &settings, &registries) < 0)
		d->stats.errors++;
	settings.socket = d->head.socket;
	d->settings = settings;
	d->head.fn(d->head.userdata, &msg);
	return 0;
}

static void job_done(void *userdata, const struct bh_http_answer *answer)
{
	static int (*const done[])(struct bh_docker *, const struct job *, const struct bh_http_answer *) = {
		[JOB_LIST] = list_done,
		[JOB_LOOK] = look_done,
		[JOB_NETWORKS] = networks_done,
		[JOB_NETWORK] = network_done,
		[JOB_IMAGE] = image_done,
		[JOB_INSPECT] = inspect_done,
		[JOB_INFO] = info_done,
	};
	struct job *job = userdata;
	struct bh_docker *d = job->docker;
	struct bh_http_answer failed = *answer;
	int r;

	/* an answer that broke off has a status, but is none */
	if (answer->error)
		failed.status = 0;
	r = done[job->kind](d, job, &failed);
	if (r < 0)
		bad_answer(d, answer->error ? answer->reason : r == -ENOMEM ? "no memory" : "its answers cannot be read");
	if (!bh_docker_is_up(d))
		return;
	bh_docker_pump(d);
	sync_check(d);
}
