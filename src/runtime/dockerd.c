/* SPDX-License-Identifier: Apache-2.0 */
/* What a daemon says of itself: GET /info, /version and the default bridge. */
#include "docker.h"
#include "docker_dns.h"
#include "dockerd.h"
#include "json.h"

#include <bulkhead/buf.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ANSWER_MAX (4u << 20)
#define FILE_MAX (1u << 20)
#define DAEMON_JSON "/etc/docker/daemon.json"

static int copy(char **dst, const json_t *o, const char *key, int *err)
{
	const char *s = bh_json_string(o, key, err);

	return s ? bh_strdup(dst, s) : 0;
}

/* Adds the texts of a list. */
static int add_texts(struct bh_strv *to, const json_t *list)
{
	json_t *item;
	size_t i;
	int r = 0;

	json_array_foreach(list, i, item)
		if (r == 0 && json_is_string(item))
			r = bh_strv_push(to, json_string_value(item));
	return r;
}

static int registries(struct bh_dockerd *d, const json_t *o, int *err)
{
	const json_t *config = bh_json_object(o, "RegistryConfig", err), *indexes = bh_json_object(config, "IndexConfigs", err), *cidrs;
	const char *name;
	json_t *item;
	size_t i;
	int r = 0;

	json_object_foreach((json_t *)indexes, name, item)
		if (r == 0 && json_is_false(json_object_get(item, "Secure")))
			r = bh_strv_push(&d->insecure, name);
	cidrs = bh_json_array(config, "InsecureRegistryCIDRs", err);
	json_array_foreach(cidrs, i, item) {
		const char *s = json_string_value(item);

		if (r == 0 && s && strcmp(s, "127.0.0.0/8") != 0 && strcmp(s, "::1/128") != 0)
			r = bh_strv_push(&d->insecure, s);
	}
	return r;
}

int bh_dockerd_decode_info(const char *text, size_t n, struct bh_dockerd *d)
{
	_cleanup_json_ json_t *root = NULL;
	const char *swarm;
	int err = 0, r = bh_json_parse(text, n, &root);

	if (r < 0)
		return r;
	if (!json_is_object(root))
		return -EBADMSG;
	if (copy(&d->version, root, "ServerVersion", &err) < 0 || copy(&d->storage_driver, root, "Driver", &err) < 0 ||
		copy(&d->logging_driver, root, "LoggingDriver", &err) < 0 || copy(&d->root_dir, root, "DockerRootDir", &err) < 0 ||
		add_texts(&d->security_options, bh_json_array(root, "SecurityOptions", &err)) < 0 ||
		add_texts(&d->authorization, bh_json_array(bh_json_object(root, "Plugins", &err), "Authorization", &err)) < 0 ||
		add_texts(&d->warnings, bh_json_array(root, "Warnings", &err)) < 0 || registries(d, root, &err) < 0)
		return -ENOMEM;
	swarm = bh_json_string(bh_json_object(root, "Swarm", &err), "LocalNodeState", &err);
	d->swarm = bh_streq(swarm, "active");
	d->live_restore = bh_json_bool(root, "LiveRestoreEnabled", &err);
	d->experimental = bh_json_bool(root, "ExperimentalBuild", &err);
	d->debug = bh_json_bool(root, "Debug", &err);
	d->memory_limit = bh_json_bool(root, "MemoryLimit", &err);
	d->pids_limit = bh_json_bool(root, "PidsLimit", &err);
	d->cpu_limit = bh_json_bool(root, "CpuCfsQuota", &err);
	return err;
}

int bh_dockerd_decode_version(const char *text, size_t n, struct bh_dockerd *d)
{
	_cleanup_json_ json_t *root = NULL;
	const json_t *parts;
	json_t *item;
	size_t i;
	int err = 0, r = bh_json_parse(text, n, &root);

	if (r < 0)
		return r;
	if (!json_is_object(root))
		return -EBADMSG;
	if (copy(&d->api_version, root, "ApiVersion", &err) < 0)
		return -ENOMEM;
	parts = bh_json_array(root, "Components", &err);
	json_array_foreach(parts, i, item) {
		const char *name = json_string_value(json_object_get(item, "Name"));

		d->podman |= name && strncmp(name, "Podman", 6) == 0;
	}
	return err;
}

int bh_dockerd_decode_icc(const char *text, size_t n, struct bh_dockerd *d)
{
	_cleanup_json_ json_t *root = NULL;
	const char *icc;
	int err = 0, r = bh_json_parse(text, n, &root);

	if (r < 0)
		return r;
	if (!json_is_object(root))
		return -EBADMSG;
	icc = bh_json_string(bh_json_object(root, "Options", &err), "com.docker.network.bridge.enable_icc", &err);
	if (icc) {
		d->icc_known = true;
		d->icc = strcmp(icc, "false") != 0;
	}
	return err;
}

/* ---- asking */

typedef int (*decode_fn)(const char *text, size_t n, struct bh_dockerd *d);

struct asking {
	struct bh_dockerd *d;
	unsigned open;
	int error;
};

struct question {
	struct asking *a;
	decode_fn decode;
	bool needed;		/* without it the daemon counts as not answering */
};

static void answered(void *userdata, const struct bh_http_answer *answer)
{
	const struct question *q = userdata;
	int r = answer->error;

	q->a->open--;
	if (r == 0 && answer->status == 200)
		r = q->decode(answer->body, answer->n, q->a->d);
	else if (r == 0)
		r = q->needed ? -EBADMSG : 0;
	if (r == -ENOMEM)
		q->a->error = r;
	else if (r < 0 && q->needed && q->a->d->answer_err == 0) {
		q->a->d->answer_err = r;
		if (bh_strdup(&q->a->d->reason, answer->error ? answer->reason : "its answer to GET /info or /version was not understood") < 0)
			q->a->error = -ENOMEM;
	}
}

static void eventp(sd_event **e)
{
	sd_event_unref(*e);
}

static int ask(const char *socket, unsigned timeout_ms, struct bh_dockerd *ret, struct bh_error *err)
{
	static const struct {
		const char *path;
		decode_fn decode;
		bool needed;
	} paths[] = {{"/info", bh_dockerd_decode_info, true}, {"/version", bh_dockerd_decode_version, true}, {"/networks/bridge", bh_dockerd_decode_icc, false}};
	struct question questions[BH_ARRAY_SIZE(paths)];
	struct asking a = {.d = ret};
	_cleanup_(eventp) sd_event *event = NULL;
	struct bh_http *http = NULL;
	int r = sd_event_new(&event);

	if (r < 0)
		return bh_fail(err, r, "event loop: %s", strerror(-r));
	r = bh_http_new(event, socket, &http, err);
	for (size_t i = 0; i < BH_ARRAY_SIZE(paths) && r == 0; i++) {
		questions[i] = (struct question){.a = &a, .decode = paths[i].decode, .needed = paths[i].needed};
		r = bh_http_get(http, &(struct bh_http_get){.path = paths[i].path, .max = ANSWER_MAX, .timeout_ms = timeout_ms, .done = answered, .userdata = &questions[i]}, NULL);
		a.open += r == 0;
	}
	while (r >= 0 && a.open > 0 && a.error == 0)
		r = sd_event_run(event, UINT64_MAX);	/* each question has its time */
	bh_http_free(http);
	r = a.error ? a.error : r < 0 ? r : 0;
	return r < 0 ? bh_fail(err, r, "asking Docker: %s", strerror(-r)) : 0;
}

/* Its command line and its file; what cannot be read is told in RET. */
static int told(const char *socket, struct bh_dockerd *ret)
{
	_cleanup_buf_ struct bh_buf cmdline = {0}, config = {0};
	const char *file;
	int r = bh_dockerd_cmdline(socket, &cmdline);

	if (r == 0)
		r = bh_dockerd_decode_cmdline(cmdline.s, cmdline.n, ret);
	if (r == -ENOMEM)
		return r;
	ret->command_err = r;
	file = bh_dockerd_value(ret, "config-file");
	if (bh_strdup(&ret->file, file ? file : DAEMON_JSON) < 0)
		return -ENOMEM;
	r = bh_buf_read_file(&config, ret->file, FILE_MAX);
	if (r == 0 && config.n > 0)
		r = bh_dockerd_decode_config(config.s, config.n, ret);
	ret->file_err = r;
	return r == -ENOMEM ? r : 0;
}

int bh_dockerd_look(const char *socket, unsigned timeout_ms, struct bh_dockerd *ret, struct bh_error *err)
{
	struct bh_dockerd d = {0};
	int r = ask(socket, timeout_ms, &d, err);

	if (r == 0) {
		r = told(socket, &d);
		if (r < 0)
			bh_fail(err, r, "out of memory");
	}
	if (r < 0)
		bh_dockerd_clear(&d);
	else
		*ret = d;
	return r;
}
