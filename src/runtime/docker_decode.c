/* SPDX-License-Identifier: Apache-2.0 */
#include "docker_decode.h"
#include "docker_parts.h"
#include "json.h"

#include <errno.h>
#include <string.h>

#define BUILD_ID 25

static bool is_hex(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!((s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f')))
			return false;
	return true;
}

bool bh_docker_is_container_id(const char *s)
{
	return s && strlen(s) == 64 && is_hex(s, 64);
}

bool bh_docker_is_build_id(const char *s)
{
	return s && strlen(s) == BUILD_ID && strspn(s, "0123456789abcdefghijklmnopqrstuvwxyz") == BUILD_ID;
}

bool bh_docker_is_id(const char *s)
{
	size_t n = s ? strspn(s, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") : 0;

	return n > 0 && n < BH_DOCKER_ID && s[n] == '\0';
}

bool bh_docker_is_image_id(const char *s)
{
	if (s && strncmp(s, "sha256:", 7) == 0)
		return bh_docker_is_container_id(s + 7);
	return bh_docker_is_id(s);
}

/* Copies an id of either kind, "" when it is none. */
static void take_id(char dst[BH_DOCKER_ID], const char *s)
{
	dst[0] = '\0';
	if (bh_docker_is_id(s))
		memcpy(dst, s, strlen(s) + 1);
}

#define EXEC_START "exec_start: "

/* Valid UTF-8, as the parser made it: cut before a character that would not fit. */
static void take_text(char dst[BH_EXEC_TEXT_MAX + 1], const char *s)
{
	size_t n = strlen(s);

	if (n > BH_EXEC_TEXT_MAX)
		for (n = BH_EXEC_TEXT_MAX; n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80;)
			n--;
	memcpy(dst, s, n);
	dst[n] = '\0';
}

/* What changes something that is told. `exec_create`, `exec_die`, `attach`, `health_status`, `top`, … do not. */
static enum bh_docker_event_kind container_event(const char *action)
{
	static const char *const looks[] = {"destroy", "oom", "pause", "unpause", "rename", "restart", "stop"};

	if (bh_streq(action, "create") || bh_streq(action, "update"))
		return BH_DOCKER_EVENT_CONFIGURED;
	if (bh_streq(action, "start"))
		return BH_DOCKER_EVENT_START;
	if (bh_streq(action, "die"))
		return BH_DOCKER_EVENT_DIE;
	if (strncmp(action, EXEC_START, strlen(EXEC_START)) == 0)
		return BH_DOCKER_EVENT_EXEC;
	for (size_t i = 0; i < BH_ARRAY_SIZE(looks); i++)
		if (bh_streq(action, looks[i]))
			return BH_DOCKER_EVENT_CONTAINER;
	return BH_DOCKER_EVENT_OTHER;
}

static enum bh_docker_event_kind network_event(const char *action)
{
	if (bh_streq(action, "connect"))
		return BH_DOCKER_EVENT_CONNECT;
	if (bh_streq(action, "disconnect"))
		return BH_DOCKER_EVENT_DISCONNECT;
	return BH_DOCKER_EVENT_NETWORK;
}

int bh_docker_decode_event(const char *text, size_t n, struct bh_docker_event *ret)
{
	_cleanup_json_ json_t *j = NULL;
	struct bh_docker_event e = {0};
	const json_t *actor, *attributes;
	const char *type, *action, *id, *container;
	int r = bh_json_parse(text, n, &j), err = 0;

	if (r < 0)
		return r;
	type = bh_json_string(j, "Type", &err);
	action = bh_json_string(j, "Action", &err);
	actor = bh_json_object(j, "Actor", &err);
	id = bh_json_string(actor, "ID", &err);
	attributes = bh_json_object(actor, "Attributes", &err);
	if (err || !json_is_object(j) || !type || !action)
		return -EBADMSG;
	if (strcmp(type, "container") == 0) {
		e.kind = container_event(action);
		take_id(e.container, id);
		if (e.kind != BH_DOCKER_EVENT_OTHER && !*e.container)
			return -EBADMSG;
		if (e.kind == BH_DOCKER_EVENT_EXEC)
			take_text(e.text, action + strlen(EXEC_START));
	} else if (strcmp(type, "network") == 0) {
		e.kind = network_event(action);
		take_id(e.network, id);
		/* a label of the network's may have this name and any type */
		container = bh_json_string(attributes, "container", &err);
		take_id(e.container, container);
		if (!*e.network)
			return -EBADMSG;
		if (!*e.container && e.kind != BH_DOCKER_EVENT_NETWORK)
			e.kind = BH_DOCKER_EVENT_NETWORK;
	}
	*ret = e;
	return 0;
}

static enum bh_container_state state_of(const char *s)
{
	static const struct {
		const char *text;
		enum bh_container_state state;
	} states[] = {
		{"created", BH_CONTAINER_CREATED},
		{"paused", BH_CONTAINER_PAUSED},
		{"exited", BH_CONTAINER_STOPPED},
		{"dead", BH_CONTAINER_STOPPED},
		{"removing", BH_CONTAINER_STOPPED},
		{"restarting", BH_CONTAINER_STOPPED},
	};

	for (size_t i = 0; i < BH_ARRAY_SIZE(states); i++)
		if (bh_streq(s, states[i].text))
			return states[i].state;
	return BH_CONTAINER_RUNNING;
}

/* HostConfig.NetworkMode: "default", a network's name, "host", "none", "container:ID". */
static int netmode_decode(const char *mode, struct bh_container *c)
{
	c->netmode = BH_NETMODE_NETWORKS;
	if (bh_streq(mode, "host"))
		c->netmode = BH_NETMODE_HOST;
	else if (bh_streq(mode, "none"))
		c->netmode = BH_NETMODE_NONE;
	if (!mode || strncmp(mode, "container:", 10) != 0)
		return 0;
	c->netmode = BH_NETMODE_CONTAINER;
	return bh_docker_is_container_id(mode + 10) ? bh_strdup(&c->netns_owner, mode + 10) : 0;
}

/* The container's own name has one slash; "/other/alias" is a link's. A container that is being removed has none. */
static int name_decode(const json_t *o, struct bh_container *c, int *err)
{
	const json_t *names = bh_json_array(o, "Names", err);
	const char *best = NULL;
	char fallback[13];
	size_t i;
	json_t *j;

	json_array_foreach (names, i, j) {
		const char *s = json_string_value(j);

		if (!s || s[0] != '/') {
			*err = -EBADMSG;
			return -EBADMSG;
		}
		if (!strchr(s + 1, '/') && s[1] && !best)
			best = s + 1;
	}
	if (best && strlen(best) > BH_NAME_MAX) {
		c->flaw = BH_FLAW_NAME;
		best = NULL;
	}
	if (!best) {
		memcpy(fallback, c->id, 12);
		fallback[12] = '\0';
		best = fallback;
	}
	return bh_strdup(&c->name, best);
}

/* `docker run 8fe883481f` leaves the digits as the image's name: then it is known by id only. */
static int image_decode(const json_t *o, struct bh_container *c, int *err)
{
	const char *image = bh_json_string(o, "Image", err), *id = bh_json_string(o, "ImageID", err);
	size_t n = image ? strlen(image) : 0;

	/* without an id its image's labels stay unknown, which is the closed reading */
	if (!bh_docker_is_image_id(id))
		id = NULL;
	if (n > BH_NAME_MAX) {
		c->flaw = BH_FLAW_IMAGE;
		image = NULL;
	}
	if (image && id && n >= 4 && strncmp(id, "sha256:", 7) == 0 && strncmp(id + 7, image, n) == 0)
		image = id;
	return bh_strdup(&c->image, image) < 0 || bh_strdup(&c->image_id, id) < 0 ? -ENOMEM : 0;
}

/* Ports: only what is published now, so it is empty until the container runs. */
static int list_ports_decode(const json_t *ports, struct bh_container *c, int *err)
{
	size_t i;
	json_t *j;
	int r = 0;

	json_array_foreach (ports, i, j) {
		long long host = bh_json_integer(j, "PublicPort", err), port = bh_json_integer(j, "PrivatePort", err);
		const char *type = bh_json_string(j, "Type", err), *ip = bh_json_string(j, "IP", err);

		if (!json_is_object(j) || *err || host < 0 || host > UINT16_MAX || port < 0 || port > UINT16_MAX)
			return -EBADMSG;
		if (host != 0 && port != 0)
			r = bh_docker_publish(&c->published, type, ip, (uint16_t)host, (uint16_t)port);
		if (r < 0)
			return r;
	}
	bh_docker_publish_sort(&c->published);
	return 0;
}

static int container_labels(const json_t *o, struct bh_container *c, int *err)
{
	struct bh_docker_labels l = {0};
	int r = bh_docker_labels_decode(bh_json_object(o, "Labels", err), &l);

	if (r < 0)
		return r;
	if (l.flawed)
		c->flaw = BH_FLAW_LABELS;
	c->labels.v = l.v.v;
	c->labels.n = l.v.n;
	c->labels.cap = l.v.cap;
	return 0;
}

static int container_decode(const json_t *o, struct bh_container *c)
{
	int err = 0, r;
	const char *id = bh_json_string(o, "Id", &err);

	if (!bh_docker_is_container_id(id))
		return -EBADMSG;
	c->runtime = "docker";
	c->state = state_of(bh_json_string(o, "State", &err));
	r = bh_strdup(&c->id, id);
	if (r == 0)
		r = name_decode(o, c, &err);
	if (r == 0)
		r = image_decode(o, c, &err);
	if (r == 0)
		r = container_labels(o, c, &err);
	if (r == 0)
		r = netmode_decode(bh_json_string(bh_json_object(o, "HostConfig", &err), "NetworkMode", &err), c);
	if (r == 0)
		r = list_ports_decode(bh_json_array(o, "Ports", &err), c, &err);
	return r < 0 ? r : err;
}

int bh_docker_decode_containers(const char *text, size_t n, bh_containers *ret)
{
	_cleanup_json_ json_t *j = NULL;
	bh_containers list = {0};
	json_t *o;
	size_t i;
	int r = bh_json_parse(text, n, &j);

	if (r < 0)
		return r;
	if (!json_is_array(j))
		return -EBADMSG;
	json_array_foreach (j, i, o) {
		struct bh_container *c = bh_vec_add(&list);

		r = c ? container_decode(o, c) : -ENOMEM;
		if (r < 0) {
			bh_containers_clear(&list);
			return r;
		}
	}
	memcpy(ret, &list, sizeof(list));
	return 0;
}

int bh_docker_decode_image(const char *text, size_t n, struct bh_docker_labels *ret, struct bh_image_facts *ret_facts)
{
	_cleanup_json_ json_t *j = NULL;
	struct bh_docker_labels l = {0};
	const json_t *labels;
	int r = bh_json_parse(text, n, &j), err = 0;

	if (r < 0)
		return r;
	labels = bh_json_object(bh_json_object(j, "Config", &err), "Labels", &err);
	if (err || !json_is_object(j))
		return -EBADMSG;
	r = ret_facts ? bh_docker_image_facts_decode(j, ret_facts) : 0;
	if (r == 0)
		r = bh_docker_labels_decode(labels, &l);
	if (r < 0) {
		if (ret_facts)
			bh_image_facts_clear(ret_facts);
		return r;
	}
	*ret = l;
	return 0;
}

void bh_containers_clear(bh_containers *l)
{
	bh_vec_foreach(c, l)
		bh_container_clear(c);
	bh_vec_clear(l);
}
