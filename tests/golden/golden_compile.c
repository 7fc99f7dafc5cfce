/* SPDX-License-Identifier: Apache-2.0 */
/* golden_compile CASES: every folder of CASES holds bulkhead.yaml, `world` (the host, its networks and containers, one thing a
 * line) and expect.nft, the exact rule set. BH_GOLDEN_UPDATE=1 rewrites what is expected. Lines of a world:
 *
 *   link INDEX NAME loopback|physical|other|veth|tap [MASTER]      bridge INDEX NAME [nf_call]
 *   addr INDEX PREFIX            resolver ADDRESS                  features ibrname
 *   network NAME BRIDGE SUBNET… via GATEWAY…
 *   container NAME [LABEL=VALUE…] [compose=PROJECT]
 *   endpoint NETWORK MAC ADDRESS… port INDEX NAME                  of the container above; its port with it
 *   publish ADDRESS PROTO/PORT CONTAINERPORT                       of the container above
 *   seen                         compiles what stands above; the rest is compiled with its rule set as what the kernel holds
 */
#include <bulkhead/compile.h>
#include <bulkhead/config.h>

#include "../unit/modelbuild.h"

#include <dirent.h>
#include <errno.h>

struct world {
	struct bh_policy *policy;
	struct bh_inventory *inventory;
	struct bh_host *host;
	struct bh_features features;
	struct bh_memory memory;
	struct bh_ruleset *seen;
};

static void die(const char *what, const char *why)
{
	fprintf(stderr, "golden_compile: %s: %s\n", what, why ? why : "?");
	exit(2);
}

static char *word(char **rest)
{
	char *w = strtok_r(NULL, " \n", rest);

	return w;
}

static char *need(char **rest, const char *what)
{
	char *w = word(rest);

	if (!w)
		die(what, "something is missing");
	return w;
}

static void link_line(struct world *w, char **rest, bool bridge)
{
	static const struct {
		const char *name;
		enum bh_link_kind kind;
	} kinds[] = {{"loopback", BH_LINK_LOOPBACK}, {"physical", BH_LINK_OTHER}, {"other", BH_LINK_OTHER},
		{"veth", BH_LINK_VETH}, {"tap", BH_LINK_TAP}};
	int index = atoi(need(rest, "link"));
	struct bh_link *l = mb_link(w->host, index, need(rest, "link"), BH_LINK_BRIDGE);
	const char *word3 = word(rest), *master = word(rest);

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

static void addr_line(struct world *w, char **rest)
{
	struct bh_local_addr *a = mb_need(bh_vec_add(&w->host->addrs));
	char *prefix, *slash;

	a->ifindex = atoi(need(rest, "addr"));
	prefix = need(rest, "addr");
	slash = strchr(prefix, '/');
	if (!slash)
		die("addr", prefix);
	*slash = '\0';
	if (bh_addr_parse(prefix, &a->prefix.addr) < 0)
		die("addr", prefix);
	a->prefix.len = (uint8_t)atoi(slash + 1);
}

static struct bh_addr addr(const char *text)
{
	struct bh_addr a = {0};

	if (bh_addr_parse(text, &a) < 0)
		die("address", text);
	return a;
}

static void network_line(struct world *w, char **rest)
{
	const char *name = need(rest, "network"), *bridge = need(rest, "network"), *x;
	struct bh_network *n;
	bool via = false;

	mb_network(w->inventory, name, "bridge", bridge);
	n = &w->inventory->networks.v[w->inventory->networks.n - 1];
	while ((x = word(rest)) != NULL) {
		struct bh_prefix p;

		if (strcmp(x, "via") == 0)
			via = true;
		else if (via)
			mb_need(bh_vec_push(&n->gateways, addr(x)) < 0 ? NULL : n);
		else if (bh_prefix_parse(x, &p) < 0)
			die("network", x);
		else
			mb_need(bh_vec_push(&n->subnets, p) < 0 ? NULL : n);
	}
}

static void container_line(struct world *w, char **rest)
{
	struct bh_container *c = mb_container(w->inventory, need(rest, "container"));
	char *x;

	while ((x = word(rest)) != NULL) {
		char *eq = strchr(x, '=');

		if (!eq)
			die("container", x);
		*eq = '\0';
		if (strcmp(x, "compose") == 0)
			mb_compose(c, eq + 1, "app");
		else
			mb_label(c, x, eq + 1);
	}
}

static struct bh_container *last_container(struct world *w)
{
	if (w->inventory->containers.n == 0)
		die("endpoint or publish", "no container above");
	return &w->inventory->containers.v[w->inventory->containers.n - 1];
}

static const char *bridge_of(const struct world *w, const char *network)
{
	bh_vec_foreach(n, &w->inventory->networks)
		if (strcmp(n->name, network) == 0)
			return n->bridge;
	die("endpoint", network);
	return NULL;
}

static void endpoint_line(struct world *w, char **rest)
{
	struct bh_container *c = last_container(w);
	const char *network = need(rest, "endpoint"), *mac = need(rest, "endpoint"), *x;
	const struct bh_link *bridge = bh_host_link_named(w->host, bridge_of(w, network));
	int master = bridge ? bridge->ifindex : 0;
	struct bh_endpoint *e;
	struct bh_link *l;
	int index;

	mb_endpoint(c, network, NULL, 1);
	e = &c->endpoints.v[c->endpoints.n - 1];
	if (bh_mac_parse(mac, &e->mac) < 0)
		die("endpoint", mac);
	while ((x = word(rest)) != NULL && strcmp(x, "port") != 0)
		mb_need(bh_vec_push(&e->addrs, addr(x)) < 0 ? NULL : e);
	if (!x)
		return;	/* not up yet */
	index = atoi(need(rest, "port"));
	l = mb_link(w->host, index, need(rest, "port"), BH_LINK_VETH);
	l->master = master;
	l->has_peer = true;
	l->peer_mac = e->mac;
}

static void publish_line(struct world *w, char **rest)
{
	struct bh_published *b = mb_need(bh_vec_add(&last_container(w)->published));
	struct bh_port port;

	b->host = addr(need(rest, "publish"));
	if (bh_port_parse(need(rest, "publish"), &port) < 0)
		die("publish", "port");
	b->proto = port.proto;
	b->host_port = port.first;
	b->container_port = (uint16_t)atoi(need(rest, "publish"));
}

static struct bh_ruleset *compile(struct world *w)
{
	_cleanup_(bh_placement_freep) struct bh_placement *placement = NULL;
	struct bh_compile_input in = {.policy = w->policy, .inventory = w->inventory, .host = w->host, .features = &w->features,
		.seen = w->seen};
	struct bh_ruleset *out = NULL;
	struct bh_error err = {0};

	if (bh_place(w->policy, w->inventory, w->host, &w->memory, &placement, &err) < 0)
		die("place", err.msg);
	in.placement = placement;
	if (bh_compile(&in, &out, &err) < 0)
		die("compile", err.msg);
	return out;
}

static void world_line(struct world *w, char *line)
{
	char *rest, *what = strtok_r(line, " \n", &rest);

	if (!what || *what == '#')
		return;
	if (strcmp(what, "link") == 0 || strcmp(what, "bridge") == 0)
		link_line(w, &rest, *what == 'b');
	else if (strcmp(what, "addr") == 0)
		addr_line(w, &rest);
	else if (strcmp(what, "resolver") == 0)
		mb_need(bh_vec_push(&w->host->resolvers, addr(need(&rest, "resolver"))) < 0 ? NULL : w);
	else if (strcmp(what, "features") == 0)
		w->features.bridge_ibrname = strcmp(need(&rest, "features"), "ibrname") == 0;
	else if (strcmp(what, "network") == 0)
		network_line(w, &rest);
	else if (strcmp(what, "container") == 0)
		container_line(w, &rest);
	else if (strcmp(what, "endpoint") == 0)
		endpoint_line(w, &rest);
	else if (strcmp(what, "publish") == 0)
		publish_line(w, &rest);
	else if (strcmp(what, "seen") == 0) {
		bh_ruleset_free(w->seen);
		w->seen = compile(w);
	} else
		die("world", what);
}

static void world_free(struct world *w)
{
	bh_policy_free(w->policy);
	bh_inventory_free(w->inventory);
	bh_host_free(w->host);
	bh_memory_clear(&w->memory);
	bh_ruleset_free(w->seen);
}

static void case_text(const char *dir, struct bh_buf *out)
{
	struct world w = {.inventory = mb_need(calloc(1, sizeof(*w.inventory))), .host = mb_need(calloc(1, sizeof(*w.host)))};
	struct bh_diags diags = {0};
	struct bh_ruleset *rules;
	char path[512], line[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/bulkhead.yaml", dir);
	if (bh_config_load(path, 0, &w.policy, &diags) < 0) {
		_cleanup_buf_ struct bh_buf why = {0};

		bh_diags_print(&diags, &why);
		die(path, why.s);
	}
	bh_diags_clear(&diags);
	snprintf(path, sizeof(path), "%s/world", dir);
	f = fopen(path, "re");
	if (!f)
		die(path, strerror(errno));
	while (fgets(line, sizeof(line), f))
		world_line(&w, line);
	fclose(f);
	rules = compile(&w);
	if (bh_ruleset_print(rules, out) < 0)
		die(dir, "no memory");
	bh_ruleset_free(rules);
	world_free(&w);
}

static bool compare(const char *dir, const char *text)
{
	char path[512];
	_cleanup_buf_ struct bh_buf want = {0};
	char chunk[4096];
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "%s/expect.nft", dir);
	if (getenv("BH_GOLDEN_UPDATE")) {
		f = fopen(path, "we");
		if (!f || fputs(text, f) < 0 || fclose(f) != 0)
			die(path, strerror(errno));
		return true;
	}
	f = fopen(path, "re");
	while (f && (n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		bh_buf_putn(&want, chunk, n);
	if (f)
		fclose(f);
	if (want.s && strcmp(want.s, text) == 0)
		return true;
	fprintf(stderr, "--- %s differs; it was\n%s---\n", path, text);
	return false;
}

int main(int argc, char **argv)
{
	struct dirent **v;
	int n, number = 0, failed = 0;

	if (argc != 2)
		die("usage", "golden_compile CASES");
	n = scandir(argv[1], &v, NULL, alphasort);
	if (n < 0)
		die(argv[1], strerror(errno));
	for (int i = 0; i < n; i++) {
		char dir[400];
		_cleanup_buf_ struct bh_buf text = {0};
		bool ok;

		if (v[i]->d_name[0] != '.') {
			snprintf(dir, sizeof(dir), "%s/%s", argv[1], v[i]->d_name);
			case_text(dir, &text);
			ok = compare(dir, text.s);
			printf("%s %d - %s\n", ok ? "ok" : "not ok", ++number, v[i]->d_name);
			failed += !ok;
		}
		free(v[i]);
	}
	free(v);
	printf("1..%d\n", number);
	return failed || !number;
}
