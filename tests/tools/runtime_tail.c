/* SPDX-License-Identifier: Apache-2.0 */
/* runtime-tail SOCKET [usual|fast]: follows a Docker daemon and prints each message as one line of JSON, with the time in ms. A line
 * on standard input asks: `resync`, `look`, `stats`. Ends with its standard input. */
#include "../../src/runtime/docker.h"

#include <errno.h>
#include <jansson.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>

static const char *const kinds[] = {"state", "snapshot", "container", "gone", "network", "network_gone", "registries", "resolvers", "exec"};
static const char *const states[] = {"created", "running", "paused", "stopped"};
static const char *const netmodes[] = {"networks", "host", "none", "container"};

/* Text that is not UTF-8 cannot get here: the decoder is what refuses it. */
static json_t *text(const char *s)
{
	return s ? json_string(s) : json_null();
}

static json_t *labels(const struct bh_label *v, size_t n)
{
	json_t *o = json_object();

	for (size_t i = 0; i < n; i++)
		json_object_set_new(o, v[i].key, json_string(v[i].value));
	return o;
}

static json_t *endpoint(const struct bh_endpoint *e)
{
	char mac[BH_MAC_TEXT], addr[BH_ADDR_TEXT];
	json_t *addrs = json_array();

	bh_vec_foreach(a, &e->addrs)
		json_array_append_new(addrs, json_string(bh_addr_text(a, addr)));
	return json_pack("{so so so so}", "id", text(e->id), "network", text(e->network_id), "mac",
		e->has_mac ? json_string(bh_mac_text(&e->mac, mac)) : json_null(), "addrs", addrs);
}

static json_t *published(const struct bh_published *p)
{
	char addr[BH_ADDR_TEXT];

	return json_pack("{ss ss si si}", "proto",
		p->proto == IPPROTO_TCP		? "tcp"
			: p->proto == IPPROTO_UDP ? "udp"
						  : "sctp",
		"host", bh_addr_text(&p->host, addr), "host_port", p->host_port, "port", p->container_port);
}

static json_t *container(const struct bh_container *c)
{
	json_t *endpoints = json_array(), *ports = json_array();

	bh_vec_foreach(e, &c->endpoints)
		json_array_append_new(endpoints, endpoint(e));
	bh_vec_foreach(p, &c->published)
		json_array_append_new(ports, published(p));
	return json_pack("{so so so so ss so ss ss so si si so so so so}", "id", text(c->id), "name", text(c->name), "image",
		text(c->image), "image_id", text(c->image_id), "runtime", c->runtime, "flaw", text(c->flaw), "state",
		states[c->state], "netmode", netmodes[c->netmode], "owner", text(c->netns_owner), "posture", (int)c->posture.known,
		"memory", (int)c->posture.memory, "labels",
		labels(c->labels.v, c->labels.n), "image_labels", labels(c->image_labels.v, c->image_labels.n), "endpoints",
		endpoints, "published", ports);
}

static json_t *network(const struct bh_network *n)
{
	json_t *subnets = json_array(), *gateways = json_array();
	char prefix[BH_PREFIX_TEXT], addr[BH_ADDR_TEXT];

	bh_vec_foreach(p, &n->subnets)
		json_array_append_new(subnets, json_string(bh_prefix_text(p, prefix)));
	bh_vec_foreach(a, &n->gateways)
		json_array_append_new(gateways, json_string(bh_addr_text(a, addr)));
	return json_pack("{so so so so sb so so}", "id", text(n->id), "name", text(n->name), "driver", text(n->driver), "bridge",
		text(n->bridge), "internal", n->internal, "subnets", subnets, "gateways", gateways);
}

static json_t *inventory(const struct bh_inventory *i)
{
	json_t *networks = json_array(), *containers = json_array();

	bh_vec_foreach(n, &i->networks)
		json_array_append_new(networks, network(n));
	bh_vec_foreach(c, &i->containers)
		json_array_append_new(containers, container(c));
	return json_pack("{so so}", "networks", networks, "containers", containers);
}

static void print(json_t *j)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	json_object_set_new(j, "ms", json_real((double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6));
	json_dumpf(j, stdout, JSON_COMPACT);
	putchar('\n');
	fflush(stdout);
	json_decref(j);
}

static void heard(void *userdata, const struct bh_runtime_msg *msg)
{
	json_t *j = json_pack("{ss}", "kind", kinds[msg->kind]);

	(void)userdata;
	switch (msg->kind) {
	case BH_RUNTIME_MSG_STATE:
		json_object_set_new(j, "state", json_string(bh_runtime_state_name(msg->state)));
		json_object_set_new(j, "reason", text(msg->reason));
		break;
	case BH_RUNTIME_MSG_SNAPSHOT:
		json_object_set_new(j, "inventory", inventory(msg->inventory));
		break;
	case BH_RUNTIME_MSG_CONTAINER:
		json_object_set_new(j, "container", container(msg->container));
		break;
	case BH_RUNTIME_MSG_NETWORK:
		json_object_set_new(j, "network", network(msg->network));
		break;
	case BH_RUNTIME_MSG_GONE:
	case BH_RUNTIME_MSG_NETWORK_GONE:
		json_object_set_new(j, "id", text(msg->id));
		break;
	case BH_RUNTIME_MSG_EXEC:
		json_object_set_new(j, "id", text(msg->id));
		json_object_set_new(j, "text", text(msg->text));
		break;
	case BH_RUNTIME_MSG_REGISTRIES:
	case BH_RUNTIME_MSG_RESOLVERS:
		json_object_set_new(j, "reason", text(msg->reason));
		break;
	}
	print(j);
}

static int asked(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	struct bh_runtime *r = userdata;
	char buf[256];
	ssize_t n = read(fd, buf, sizeof(buf) - 1);
	struct bh_runtime_stats st = r->ops->stats(r);

	(void)revents;
	if (n <= 0)
		return sd_event_exit(sd_event_source_get_event(s), 0);
	buf[n] = '\0';
	if (strstr(buf, "resync"))
		r->ops->resync(r);
	if (strstr(buf, "look"))
		r->ops->look(r, "unknown");
	if (strstr(buf, "stats"))
		print(json_pack("{ss sI sI sI}", "kind", "stats", "events", (json_int_t)st.events, "resyncs",
			(json_int_t)st.resyncs, "errors", (json_int_t)st.errors));
	return 0;
}

/* For tests that would otherwise wait for minutes. */
static const struct bh_docker_times fast = {
	.retry_min = 20,
	.retry_max = 400,
	.stable = 2000,
	.open = 1000,
	.request = 1500,
	.ping = 500,
	.ping_timeout = 500,
	.resync = 3000,
	.trouble_min = 100,
	.trouble_max = 800,
	.confirm = 100,
};

static int run(const char *socket, bool in_haste, struct bh_error *err)
{
	_cleanup_(sd_event_unrefp) sd_event *event = NULL;
	_cleanup_(sd_event_source_unrefp) sd_event_source *input = NULL;
	_cleanup_(bh_runtime_freep) struct bh_runtime *r = NULL;
	int e = sd_event_new(&event);

	if (e < 0)
		return bh_fail(err, e, "event loop: %s", strerror(-e));
	e = in_haste ? bh_docker_new_with(event, socket, &fast, heard, NULL, &r, err)
		     : bh_docker_new(event, socket, heard, NULL, &r, err);
	if (e < 0)
		return e;
	e = sd_event_add_io(event, &input, STDIN_FILENO, EPOLLIN, asked, r);
	if (e < 0)
		return bh_fail(err, e, "standard input: %s", strerror(-e));
	e = r->ops->start(r, err);
	if (e < 0)
		return e;
	e = sd_event_loop(event);
	return e < 0 ? bh_fail(err, e, "event loop: %s", strerror(-e)) : 0;
}

int main(int argc, char **argv)
{
	struct bh_error err = {0};

	if (argc != 2 && !(argc == 3 && (strcmp(argv[2], "fast") == 0 || strcmp(argv[2], "usual") == 0))) {
		fputs("usage: runtime-tail SOCKET [usual|fast]\n", stderr);
		return 2;
	}
	if (run(argv[1], argc == 3 && strcmp(argv[2], "fast") == 0, &err) < 0) {
		fprintf(stderr, "runtime-tail: %s\n", err.msg);
		return 1;
	}
	return 0;
}
