/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a Docker as the fuzzer says: containers come, run, die, are attached; events tell of it late, answers are of any age and come in any order, connections are lost. In
 * the end everything is listed, and what was told by then must be what one tells who has only ever seen that listing. */
#include "../../src/runtime/docker_model.h"
#include "../../src/runtime/wire.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define CONTAINERS 3
#define NETWORKS 2
#define IMAGES 2
#define EVENTS_MAX 64
#define PENDING_MAX 8
#define STEP "abcdefghijklmnopqrstuvwx1"	/* 25 letters and digits */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool ok)
{
	if (!ok)
		abort();
}

/* ---- what there is */

struct truth {
	struct {
		bool there, runs;
		unsigned image, label, on;	/* on: a bit for each network */
	} c[CONTAINERS];
	bool net[NETWORKS], step;
};

static void id_of(char kind, size_t n, char id[BH_DOCKER_ID])
{
	memset(id, "0123456789abcdef"[(n + (kind == 'n' ? 10 : 1)) % 16], 64);
	id[64] = '\0';
}

static void put_containers(struct bh_buf *b, const struct truth *t, int only)
{
	const char *comma = "";
	char id[BH_DOCKER_ID];

	bh_buf_puts(b, "[");
	for (int i = 0; i < CONTAINERS; i++) {
		if (!t->c[i].there || (only >= 0 && only != i))
			continue;
		id_of('c', (size_t)i, id);
		bh_buf_printf(b, "%s{\"Id\":\"%s\",\"Names\":[\"/c%d\"],\"State\":\"%s\",\"Image\":\"i%u\",\"ImageID\":\"sha256:%064u\",\"Labels\":{\"a\":\"%u\"},"
			"\"HostConfig\":{\"NetworkMode\":\"n\"}}", comma, id, i, t->c[i].runs ? "running" : "exited", t->c[i].image, t->c[i].image + 1,
			t->c[i].label);
		comma = ",";
	}
	bh_buf_puts(b, "]");
}

static void put_network(struct bh_buf *b, const struct truth *t, size_t n, bool whole)
{
	const char *comma = "";
	char id[BH_DOCKER_ID];

	id_of('n', n, id);
	bh_buf_printf(b, "{\"Id\":\"%s\",\"Name\":\"n%zu\",\"Driver\":\"bridge\",\"Options\":{\"com.docker.network.bridge.name\":\"b%zu\"},\"Containers\":{", id, n, n);
	for (size_t i = 0; whole && i < CONTAINERS; i++)
		if (t->c[i].there && t->c[i].runs && t->c[i].on & 1u << n) {
			id_of('c', i, id);
			bh_buf_printf(b, "%s\"%s\":{\"EndpointID\":\"%064zu\",\"MacAddress\":\"02:00:00:00:0%zu:0%zu\",\"IPv4Address\":\"10.0.%zu.%zu/24\"}", comma, id,
				i * 8 + n, n, i, n, i + 2);
			comma = ",";
		}
	if (whole && t->step)	/* a build's, which has no container */
		bh_buf_printf(b, "%s\"%s\":{\"Name\":\"%s\",\"EndpointID\":\"%064zu\",\"MacAddress\":\"02:00:00:00:00:0%zu\",\"IPv4Address\":\"10.0.%zu.99/24\"}", comma,
			STEP, STEP, 90 + n, 8 + n, n);
	bh_buf_puts(b, "}}");
}

static void put_networks(struct bh_buf *b, const struct truth *t)
{
	bool first = true;

	bh_buf_puts(b, "[");
	for (size_t n = 0; n < NETWORKS; n++)
		if (t->net[n]) {
			bh_buf_puts(b, first ? "" : ",");
			put_network(b, t, n, false);
			first = false;
		}
	bh_buf_puts(b, "]");
}

/* ---- who listens: the last message about each, as bytes */

struct heard {
	struct bh_buf c[CONTAINERS], n[NETWORKS], step;
};

static int keep(void *userdata, const char *data, size_t n)
{
	bh_buf_putn(userdata, data, n);
	return 0;
}

static void note(struct heard *h, char kind, const char *id, const struct bh_runtime_msg *msg)
{
	if (kind == 'c' && strcmp(id, STEP) == 0) {
		bh_buf_free(&h->step);
		if (msg)
			need(bh_runtime_wire_tell(msg, keep, &h->step) == 0);
		return;
	}
	for (size_t i = 0; i < (kind == 'c' ? CONTAINERS : NETWORKS); i++) {
		struct bh_buf *b = kind == 'c' ? &h->c[i] : &h->n[i];
		char want[BH_DOCKER_ID];

		id_of(kind, i, want);
		if (strcmp(want, id) != 0)
			continue;
		bh_buf_free(b);
		if (msg)
			need(bh_runtime_wire_tell(msg, keep, b) == 0);
		return;
	}
	abort();	/* nobody of ours */
}

static void heard_clear(struct heard *h)
{
	bh_buf_free(&h->step);
	for (size_t i = 0; i < CONTAINERS; i++)
		bh_buf_free(&h->c[i]);
	for (size_t i = 0; i < NETWORKS; i++)
		bh_buf_free(&h->n[i]);
}

static void hear(void *userdata, const struct bh_runtime_msg *msg)
{
	struct heard *h = userdata;

	switch (msg->kind) {
	case BH_RUNTIME_MSG_CONTAINER:
		need(bh_docker_is_container_id(msg->container->id) || bh_docker_is_build_id(msg->container->id));
		note(h, 'c', msg->container->id, msg);
		break;
	case BH_RUNTIME_MSG_GONE:
		note(h, 'c', msg->id, NULL);
		break;
	case BH_RUNTIME_MSG_NETWORK:
		note(h, 'n', msg->network->id, msg);
		break;
	case BH_RUNTIME_MSG_NETWORK_GONE:
		note(h, 'n', msg->id, NULL);
		break;
	case BH_RUNTIME_MSG_SNAPSHOT:
		heard_clear(h);
		bh_vec_foreach(c, &msg->inventory->containers)
			note(h, 'c', c->id, &(struct bh_runtime_msg){.kind = BH_RUNTIME_MSG_CONTAINER, .container = c});
		bh_vec_foreach(n, &msg->inventory->networks)
			note(h, 'n', n->id, &(struct bh_runtime_msg){.kind = BH_RUNTIME_MSG_NETWORK, .network = n});
		break;
	default:
		break;
	}
}

/* ---- the conversation */

enum kind { LIST, LOOK, NETS, NET, IMAGE, INSPECT };

struct pending {
	enum kind kind;
	uint64_t seq;
	size_t n;		/* which one */
	struct truth then;
};

struct life {
	struct truth now;
	struct bh_docker_model m;
	struct heard heard;
	uint64_t seq, listed;	/* the last request, and the first of the last full listing */
	struct bh_buf events[EVENTS_MAX];
	size_t n_events;
	struct pending pending[PENDING_MAX];
	size_t n_pending;
};

static void answer_containers(struct bh_docker_model *m, const struct pending *p)
{
	struct bh_buf b = {0};
	bh_containers list = {0};
	struct bh_strv ids = {0};
	char id[BH_DOCKER_ID];

	id_of('c', p->n, id);
	put_containers(&b, &p->then, p->kind == LOOK ? (int)p->n : -1);
	need(bh_docker_decode_containers(b.s, b.n, &list) == 0 && bh_strv_push(&ids, id) == 0);
	need((p->kind == LOOK ? bh_docker_model_look(m, p->seq, &ids, &list) : bh_docker_model_list(m, p->seq, &list)) == 0);
	bh_strv_clear(&ids);
	bh_containers_clear(&list);
	bh_buf_free(&b);
}

static void answer_networks(struct bh_docker_model *m, const struct pending *p)
{
	struct bh_buf b = {0};
	bh_docker_networks list = {0};
	struct bh_docker_network one = {0};
	char id[BH_DOCKER_ID];

	id_of('n', p->n, id);
	if (p->kind == NETS) {
		put_networks(&b, &p->then);
		need(bh_docker_decode_networks(b.s, b.n, &list) == 0 && bh_docker_model_networks(m, p->seq, &list) == 0);
	} else if (p->then.net[p->n]) {
		put_network(&b, &p->then, p->n, true);
		need(bh_docker_decode_network(b.s, b.n, &one) == 0 && bh_docker_model_set_network(m, p->seq, id, &one) == 0);
	} else {
		need(bh_docker_model_set_network(m, p->seq, id, NULL) == 0);
	}
	bh_docker_network_clear(&one);
	bh_docker_networks_clear(&list);
	bh_buf_free(&b);
}

static void answer_one(struct bh_docker_model *m, const struct pending *p)
{
	struct bh_docker_labels labels = {0};
	struct bh_docker_inspect inspect = {.posture = {.known = true, .privileged = p->n % 2 == 0}};
	struct bh_image_facts facts = {0};
	char text[120];

	if (p->kind == IMAGE) {
		snprintf(text, sizeof(text), "{\"Config\":{\"Labels\":{\"image\":\"%zu\"}}}", p->n);
		need(bh_docker_decode_image(text, strlen(text), &labels, &facts) == 0);
		snprintf(text, sizeof(text), "sha256:%064zu", p->n + 1);
		need(bh_docker_model_set_image(m, text, &labels, &facts) == 0);
		bh_image_facts_clear(&facts);
		bh_docker_labels_clear(&labels);
	} else if (p->then.c[p->n].there) {
		id_of('c', p->n, inspect.id);
		need(bh_docker_model_inspected(m, p->seq, &inspect) == 0);
		bh_posture_clear(&inspect.posture);
	}
}

static void answer(struct bh_docker_model *m, const struct pending *p)
{
	if (p->kind == LIST || p->kind == LOOK)
		answer_containers(m, p);
	else if (p->kind == NETS || p->kind == NET)
		answer_networks(m, p);
	else
		answer_one(m, p);
}

/* Whoever is looked at is known, one look at a time for each, as docker_sync.c does it. False: not to be asked. */
static bool mark_busy(struct life *l, enum kind kind, size_t n, bool busy)
{
	struct bh_docker_container *c;
	struct bh_docker_net *net;
	char id[BH_DOCKER_ID];

	id_of(kind == NET ? 'n' : 'c', n, id);
	if (kind == LOOK) {
		c = bh_docker_model_container(&l->m, id);
		if (c)
			c->busy = busy;
		return c != NULL;
	}
	if (kind == NET) {
		net = bh_docker_model_network(&l->m, id);
		if (net)
			net->busy = busy;
		if (net && busy)
			bh_strv_clear(&net->dropped);
		return net != NULL;
	}
	return true;
}

static void send_request(struct life *l, enum kind kind, size_t n)
{
	for (size_t i = 0; i < l->n_pending; i++)
		if (l->pending[i].kind == kind && (kind == LIST || kind == NETS || l->pending[i].n == n))
			return;		/* one under way for each */
	if (l->n_pending < PENDING_MAX && mark_busy(l, kind, n, true))
		l->pending[l->n_pending++] = (struct pending){kind, ++l->seq, n, l->now};
}

static void deliver_answer(struct life *l, size_t i, bool fresh)
{
	struct pending p;

	if (l->n_pending == 0)
		return;
	i %= l->n_pending;
	p = l->pending[i];
	l->pending[i] = l->pending[--l->n_pending];
	if (fresh)
		p.then = l->now;
	(void)mark_busy(l, p.kind, p.n, false);
	if (p.kind != LIST || p.seq >= l->listed)	/* a listing that was given up is not heard */
		answer(&l->m, &p);
}

/* Before networks and images are asked for again, what was asked of them has been answered. */
static void deliver_those_in_the_way(struct life *l)
{
	for (size_t i = 0; i < l->n_pending;)
		if (l->pending[i].kind == NETS || l->pending[i].kind == NET || l->pending[i].kind == IMAGE)
			deliver_answer(l, i, false);
		else
			i++;
}

static void deliver_event(struct life *l)
{
	struct bh_docker_event e = {0};
	struct bh_buf b = l->events[0];

	if (l->n_events == 0)
		return;
	memmove(l->events, l->events + 1, --l->n_events * sizeof(b));
	need(bh_docker_decode_event(b.s, b.n, &e) == 0);
	bh_buf_free(&b);
	switch (e.kind) {
	case BH_DOCKER_EVENT_START:
		need(bh_docker_model_started(&l->m, e.container) == 0);
		break;
	case BH_DOCKER_EVENT_DIE:
		need(bh_docker_model_died(&l->m, e.container) == 0);
		break;
	case BH_DOCKER_EVENT_CONNECT:
		need(bh_docker_model_connected(&l->m, e.container, e.network) == 0);
		break;
	case BH_DOCKER_EVENT_DISCONNECT:
		need(bh_docker_model_disconnected(&l->m, e.container, e.network) == 0);
		break;
	case BH_DOCKER_EVENT_CONFIGURED:
		need(bh_docker_model_configured(&l->m, l->seq, e.container) == 0);
		break;
	case BH_DOCKER_EVENT_CONTAINER:
		need(bh_docker_model_add_container(&l->m, e.container) != NULL);
		break;
	case BH_DOCKER_EVENT_NETWORK:
		need(bh_docker_model_add_network(&l->m, e.network) != NULL);
		break;
	case BH_DOCKER_EVENT_EXEC:
	case BH_DOCKER_EVENT_OTHER:
		break;
	}
}

static void emit(struct life *l, const char *type, const char *action, char kind, size_t n, int container)
{
	char id[BH_DOCKER_ID], c[BH_DOCKER_ID] = "";
	struct bh_buf *b;

	if (l->n_events == EVENTS_MAX)
		deliver_event(l);
	b = &l->events[l->n_events++];
	memset(b, 0, sizeof(*b));
	id_of(kind, n, id);
	if (container >= 0)
		id_of('c', (size_t)container, c);
	bh_buf_printf(b, "{\"Type\":\"%s\",\"Action\":\"%s\",\"Actor\":{\"ID\":\"%s\",\"Attributes\":{\"container\":\"%s\"}}}", type, action, id, c);
}

static void change(struct life *l, unsigned what, size_t c, size_t n)
{
	struct truth *t = &l->now;

	switch (what % 7) {
	case 0:
		if (t->c[c].there)
			break;
		t->c[c].there = true;
		t->c[c].runs = false;
		t->c[c].image = (unsigned)n % IMAGES;
		t->c[c].label++;
		t->c[c].on = 1u << n;
		emit(l, "container", "create", 'c', c, -1);
		break;
	case 1:
		if (!t->c[c].there || t->c[c].runs)
			break;
		t->c[c].runs = true;
		for (size_t k = 0; k < NETWORKS; k++)
			if (t->c[c].on & 1u << k)
				emit(l, "network", "connect", 'n', k, (int)c);
		emit(l, "container", "start", 'c', c, -1);
		break;
	case 2:
		if (!t->c[c].runs)
			break;
		t->c[c].runs = false;
		emit(l, "container", "die", 'c', c, -1);
		for (size_t k = 0; k < NETWORKS; k++)
			if (t->c[c].on & 1u << k)
				emit(l, "network", "disconnect", 'n', k, (int)c);
		break;
	case 3:
		if (!t->c[c].there || t->c[c].runs)
			break;
		t->c[c].there = false;
		emit(l, "container", "destroy", 'c', c, -1);
		break;
	case 4:
		if (!t->c[c].runs || !t->net[n] || t->c[c].on & 1u << n)
			break;
		t->c[c].on |= 1u << n;
		emit(l, "network", "connect", 'n', n, (int)c);
		break;
	case 5:
		if (!t->c[c].runs || !(t->c[c].on & 1u << n))
			break;
		t->c[c].on &= ~(1u << n);
		emit(l, "network", "disconnect", 'n', n, (int)c);
		break;
	case 6:
		if (c == 2) {
			t->step = !t->step;
			break;
		}
		for (size_t k = 0; k < CONTAINERS; k++)
			if (t->c[k].there && t->c[k].on & 1u << n)
				return;
		t->net[n] = !t->net[n];
		emit(l, "network", t->net[n] ? "create" : "destroy", 'n', n, -1);
		break;
	}
}

/* Everything is asked, and answered as it is. */
static void list_all(struct bh_docker_model *m, uint64_t *seq, const struct truth *now)
{
	struct pending p = {.then = *now};
	char id[BH_DOCKER_ID];

	for (p.kind = LIST; p.kind <= INSPECT; p.kind++)
		for (p.n = 0; p.n < (p.kind == NET ? NETWORKS : p.kind == IMAGE ? IMAGES : p.kind == INSPECT ? CONTAINERS : 1); p.n++) {
			struct bh_docker_net *net;

			if (p.kind == LOOK)
				continue;
			id_of('n', p.n, id);
			net = p.kind == NET ? bh_docker_model_network(m, id) : NULL;
			if (net)
				bh_strv_clear(&net->dropped);
			p.seq = ++*seq;
			answer(m, &p);
		}
	need(bh_docker_model_snapshot(m) == 0);
}

/* What was told since is as a new snapshot would tell it. */
static void compare(const struct heard *a, const struct heard *b)
{
	need(a->step.n == b->step.n && (!a->step.n || memcmp(a->step.s, b->step.s, a->step.n) == 0));
	for (size_t i = 0; i < CONTAINERS; i++)
		need(a->c[i].n == b->c[i].n && (!a->c[i].n || memcmp(a->c[i].s, b->c[i].s, a->c[i].n) == 0));
	for (size_t i = 0; i < NETWORKS; i++)
		need(a->n[i].n == b->n[i].n && (!a->n[i].n || memcmp(a->n[i].s, b->n[i].s, a->n[i].n) == 0));
}

static void lose(struct life *l)
{
	while (l->n_events > 0)
		bh_buf_free(&l->events[--l->n_events]);
	l->n_pending = 0;
	bh_docker_model_clear(&l->m);
	l->listed = l->seq + 1;
	list_all(&l->m, &l->seq, &l->now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct life *l = calloc(1, sizeof(*l));
	struct bh_docker_model fresh = {.quiet = true, .fn = hear};
	struct heard alone = {0};
	uint64_t seq = 0;

	need(l != NULL);
	l->m = (struct bh_docker_model){.quiet = true, .fn = hear, .userdata = &l->heard};
	l->now.net[0] = true;
	l->listed = 1;
	list_all(&l->m, &l->seq, &l->now);
	for (size_t i = 0; i + 1 < size && i < 400; i += 2) {
		size_t c = data[i + 1] % CONTAINERS, n = (data[i + 1] / 4u) % NETWORKS;

		switch (data[i] % 16) {
		case 0 ... 6:
			change(l, data[i] % 16, c, n);
			break;
		case 7 ... 9:
			deliver_event(l);
			break;
		case 10:
		case 11:
			send_request(l, (enum kind)(data[i + 1] / 16 % 6), data[i + 1] / 16 % 6 == NET || data[i + 1] / 16 % 6 == IMAGE ? n : c);
			break;
		case 12 ... 14:
			deliver_answer(l, data[i + 1] / 2, data[i + 1] & 1);
			break;
		case 15:
			if (data[i + 1] < 32)
				lose(l);
			else
				(void)bh_docker_model_mark_bridge(&l->m, data[i + 1] & 1 ? "b0" : "b1");
			break;
		}
	}
	while (l->n_events > 0)
		deliver_event(l);
	deliver_those_in_the_way(l);
	l->listed = l->seq + 1;
	list_all(&l->m, &l->seq, &l->now);
	while (l->n_pending > 0)	/* what is older undoes nothing */
		deliver_answer(l, 0, false);
	fresh.userdata = &alone;
	list_all(&fresh, &seq, &l->now);
	compare(&l->heard, &alone);
	heard_clear(&alone);
	heard_clear(&l->heard);
	bh_docker_model_free_contents(&fresh);
	bh_docker_model_free_contents(&l->m);
	free(l);
	return 0;
}
