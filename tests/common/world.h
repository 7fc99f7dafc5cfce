/* SPDX-License-Identifier: Apache-2.0 */
/* A host, its networks and containers as a text, one thing a line, beside a configuration:
 *
 *   link INDEX NAME loopback|physical|other|veth|tap [MASTER]      bridge INDEX NAME [nf_call]
 *   addr INDEX PREFIX [PEER]     resolver ADDRESS                  features ibrname
 *   network NAME BRIDGE SUBNET… via GATEWAY…
 *   container NAME [LABEL=VALUE…] [compose=PROJECT]
 *   endpoint NETWORK MAC ADDRESS… port INDEX NAME                  of the container above; its port with it
 *   publish ADDRESS PROTO/PORT CONTAINERPORT                       of the container above
 *   refused                      the compiler must refuse; the expected text is its message
 *   only-skeleton                what is loaded without a configuration
 *   seen                         compiles what stands above; the rest is compiled with its rule set as what the kernel holds
 */
#ifndef TESTS_WORLD_H
#define TESTS_WORLD_H

#include <bulkhead/compile.h>
#include <bulkhead/config.h>

#include "../unit/modelbuild.h"

#include <errno.h>

struct world {
	struct bh_policy *policy;
	struct bh_inventory *inventory;
	struct bh_host *host;
	struct bh_features features;
	struct bh_memory memory;
	struct bh_ruleset *seen;
	struct bh_placement *placement;	/* of the last compilation */
	bool refused, only_skeleton;
};

static inline void world_die(const char *what, const char *why)
{
	fprintf(stderr, "world: %s: %s\n", what, why ? why : "?");
	exit(2);
}

static inline char *world_word(char **rest)
{
	char *w = strtok_r(NULL, " \n", rest);

	return w;
}

static inline char *world_need(char **rest, const char *what)
{
	char *w = world_word(rest);

	if (!w)
		world_die(what, "something is missing");
	return w;
}

static inline void world_link_line(struct world *w, char **rest, bool bridge)
{
	static const struct {
		const char *name;
		enum bh_link_kind kind;
	} kinds[] = {{"loopback", BH_LINK_LOOPBACK}, {"physical", BH_LINK_OTHER}, {"other", BH_LINK_OTHER},
		{"veth", BH_LINK_VETH}, {"tap", BH_LINK_TAP}};
	int index = atoi(world_need(rest, "link"));
	struct bh_link *l = mb_link(w->host, index, world_need(rest, "link"), BH_LINK_BRIDGE);
	const char *word3 = world_word(rest), *master = world_word(rest);

	if (bridge) {
		l->nf_call_iptables = l->nf_call_ip6tables = word3 != NULL;
		return;
	}
	for (size_t i = 0; i < BH_ARRAY_SIZE(kinds); i++)
		if (word3 && strcmp(word3, kinds[i].name) == 0)
			l->kind = kinds[i].kind;
	l->physical = word3 && strcmp(word3, "physical") == 0;
	l->master = master ? atoi(master) : 0;
}

static inline void world_addr_line(struct world *w, char **rest)
{
	struct bh_local_addr *a = mb_need(bh_vec_add(&w->host->addrs));
	char *prefix, *slash, *peer;

	a->ifindex = atoi(world_need(rest, "addr"));
	prefix = world_need(rest, "addr");
	peer = world_word(rest);
	slash = strchr(prefix, '/');
	if (!slash)
		world_die("addr", prefix);
	*slash = '\0';
	if (bh_addr_parse(prefix, &a->prefix.addr) < 0)
		world_die("addr", prefix);
	a->prefix.len = (uint8_t)atoi(slash + 1);
	a->peer = a->prefix;
	if (!peer)
		memset(&a->peer, 0, sizeof(a->peer));
	else if (bh_addr_parse(peer, &a->peer.addr) < 0)
		world_die("addr", peer);
}

static inline struct bh_addr world_addr(const char *text)
{
	struct bh_addr a = {0};

	if (bh_addr_parse(text, &a) < 0)
		world_die("address", text);
	return a;
}

static inline void world_network_line(struct world *w, char **rest)
{
	const char *name = world_need(rest, "network"), *bridge = world_need(rest, "network"), *x;
	struct bh_network *n;
	bool via = false;

	mb_network(w->inventory, name, "bridge", bridge);
	n = &w->inventory->networks.v[w->inventory->networks.n - 1];
	while ((x = world_word(rest)) != NULL) {
		struct bh_prefix p;

		if (strcmp(x, "via") == 0)
			via = true;
		else if (via)
			mb_need(bh_vec_push(&n->gateways, world_addr(x)) < 0 ? NULL : n);
		else if (bh_prefix_parse(x, &p) < 0)
			world_die("network", x);
		else
			mb_need(bh_vec_push(&n->subnets, p) < 0 ? NULL : n);
	}
}

static inline void world_container_line(struct world *w, char **rest)
{
	struct bh_container *c = mb_container(w->inventory, world_need(rest, "container"));
	char *x;

	while ((x = world_word(rest)) != NULL) {
		char *eq = strchr(x, '=');

		if (!eq)
			world_die("container", x);
		*eq = '\0';
		if (strcmp(x, "compose") == 0)
			mb_compose(c, eq + 1, "app");
		else
			mb_label(c, x, eq + 1);
	}
}

static inline struct bh_container *world_last_container(struct world *w)
{
	if (w->inventory->containers.n == 0)
		world_die("endpoint or publish", "no container above");
	return &w->inventory->containers.v[w->inventory->containers.n - 1];
}

static const char *world_bridge_of(const struct world *w, const char *network)
{
	bh_vec_foreach(n, &w->inventory->networks)
		if (strcmp(n->name, network) == 0)
			return n->bridge;
	world_die("endpoint", network);
	return NULL;
}

static inline void world_endpoint_line(struct world *w, char **rest)
{
	struct bh_container *c = world_last_container(w);
	const char *network = world_need(rest, "endpoint"), *mac = world_need(rest, "endpoint"), *x;
	const struct bh_link *bridge = bh_host_link_named(w->host, world_bridge_of(w, network));
	int master = bridge ? bridge->ifindex : 0;
	struct bh_endpoint *e;
	struct bh_link *l;
	int index;

	mb_endpoint(c, network, NULL, 1);
	e = &c->endpoints.v[c->endpoints.n - 1];
	if (bh_mac_parse(mac, &e->mac) < 0)
		world_die("endpoint", mac);
	while ((x = world_word(rest)) != NULL && strcmp(x, "port") != 0)
		mb_need(bh_vec_push(&e->addrs, world_addr(x)) < 0 ? NULL : e);
	if (!x)
		return;	/* not up yet */
	index = atoi(world_need(rest, "port"));
	l = mb_link(w->host, index, world_need(rest, "port"), BH_LINK_VETH);
	l->master = master;
	l->has_peer = true;
	l->peer_mac = e->mac;
}

static inline void world_publish_line(struct world *w, char **rest)
{
	struct bh_published *b = mb_need(bh_vec_add(&world_last_container(w)->published));
	struct bh_port port;

	b->host = world_addr(world_need(rest, "publish"));
	if (bh_port_parse(world_need(rest, "publish"), &port) < 0)
		world_die("publish", "port");
	b->proto = port.proto;
	b->host_port = port.first;
	b->container_port = (uint16_t)atoi(world_need(rest, "publish"));
}

static inline struct bh_ruleset *world_compile(struct world *w, struct bh_error *err)
{
	struct bh_placement *placement = NULL;
	struct bh_compile_input in = {.policy = w->policy, .inventory = w->inventory, .host = w->host, .features = &w->features,
		.seen = w->seen};
	struct bh_ruleset *out = NULL;
	int r;

	if (bh_place(w->policy, w->inventory, w->host, &w->memory, &placement, err) < 0)
		world_die("place", err->msg);
	bh_placement_free(w->placement);
	in.placement = w->placement = placement;
	r = w->only_skeleton ? bh_compile_skeleton(NULL, w->host, &w->features, w->seen, &out, err) : bh_compile(&in, &out, err);
	if (r < 0 && !w->refused)
		world_die("compile", err->msg);
	return out;
}

static inline void world_line(struct world *w, char *line)
{
	char *rest, *what = strtok_r(line, " \n", &rest);

	if (!what || *what == '#')
		return;
	if (strcmp(what, "link") == 0 || strcmp(what, "bridge") == 0)
		world_link_line(w, &rest, *what == 'b');
	else if (strcmp(what, "addr") == 0)
		world_addr_line(w, &rest);
	else if (strcmp(what, "resolver") == 0)
		mb_need(bh_vec_push(&w->host->resolvers, world_addr(world_need(&rest, "resolver"))) < 0 ? NULL : w);
	else if (strcmp(what, "features") == 0)
		w->features.bridge_ibrname = strcmp(world_need(&rest, "features"), "ibrname") == 0;
	else if (strcmp(what, "network") == 0)
		world_network_line(w, &rest);
	else if (strcmp(what, "container") == 0)
		world_container_line(w, &rest);
	else if (strcmp(what, "endpoint") == 0)
		world_endpoint_line(w, &rest);
	else if (strcmp(what, "publish") == 0)
		world_publish_line(w, &rest);
	else if (strcmp(what, "seen") == 0) {
		struct bh_error err = {0};
		struct bh_ruleset *seen = world_compile(w, &err);

		bh_ruleset_free(w->seen);
		w->seen = seen;
	} else if (strcmp(what, "refused") == 0)
		w->refused = true;
	else if (strcmp(what, "only-skeleton") == 0)
		w->only_skeleton = true;
	else
		world_die("world", what);
}

static inline void world_free(struct world *w)
{
	bh_placement_free(w->placement);
	bh_policy_free(w->policy);
	bh_inventory_free(w->inventory);
	bh_host_free(w->host);
	bh_memory_clear(&w->memory);
	bh_ruleset_free(w->seen);
}

/* Reads DIR/bulkhead.yaml and DIR/world. Whatever is wrong ends the test program. */
static inline void world_load(struct world *w, const char *dir)
{
	struct bh_diags diags = {0};
	char path[512], line[512];
	FILE *f;

	*w = (struct world){.inventory = mb_need(calloc(1, sizeof(*w->inventory))), .host = mb_need(calloc(1, sizeof(*w->host)))};
	snprintf(path, sizeof(path), "%s/bulkhead.yaml", dir);
	if (bh_config_load(path, 0, &w->policy, &diags) < 0) {
		_cleanup_buf_ struct bh_buf why = {0};

		bh_diags_print(&diags, &why);
		world_die(path, why.s);
	}
	bh_diags_clear(&diags);
	snprintf(path, sizeof(path), "%s/world", dir);
	f = fopen(path, "re");
	if (!f)
		world_die(path, strerror(errno));
	while (fgets(line, sizeof(line), f))
		world_line(w, line);
	fclose(f);
}

#endif
