/* SPDX-License-Identifier: Apache-2.0 */
/* The decoders, on answers of a real dockerd 20.10.24 (tests/fixtures/docker) and on bad ones. */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/runtime/docker_decode.h"

#include <bulkhead/buf.h>

#define WEB "5739d89d85aa500f6d6d7abe0b512ae22ef318e5e06537f2b942d923c75494f4"
#define DB "bf3bf8299a4b59c990467228ebe6e5084ea8630fbfc35dc4ec165ad7b0228fc3"
#define FRONT "96fe5d8eed0a083e3df7d5c76e93cd86401bc2fda444955c56f739fabb27ce2f"

static void fixture(const char *name, struct bh_buf *ret)
{
	char path[512], chunk[4096];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/docker/%s", FIXTURES, name);
	f = fopen(path, "r");
	assert_non_null(f);
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		bh_buf_putn(ret, chunk, n);
	fclose(f);
	assert_int_equal(ret->err, 0);
}

static const struct bh_container *by_name(const bh_containers *l, const char *name)
{
	bh_vec_foreach(c, l)
		if (bh_streq(c->name, name))
			return c;
	fail_msg("no container %s", name);
	return NULL;
}

static void list_of_every_kind(void **state)
{
	_cleanup_buf_ struct bh_buf text = {0};
	_cleanup_(bh_containers_clear) bh_containers l = {0};
	const struct bh_container *c;
	char addr[BH_ADDR_TEXT];

	(void)state;
	fixture("list.json", &text);
	assert_int_equal(bh_docker_decode_containers(text.s, text.n, &l), 0);
	assert_int_equal(l.n, 6);
	c = by_name(&l, "web1");
	assert_string_equal(c->id, WEB);
	assert_string_equal(c->image, "lab");
	assert_string_equal(bh_container_label(c, "tier"), "web");
	assert_int_equal(c->state, BH_CONTAINER_RUNNING);
	assert_int_equal(c->netmode, BH_NETMODE_NETWORKS);
	assert_int_equal(c->endpoints.n, 0);
	assert_int_equal(c->published.n, 4);
	assert_int_equal(c->published.v[0].proto, IPPROTO_TCP);
	assert_int_equal(c->published.v[0].host_port, 8080);
	assert_int_equal(c->published.v[0].container_port, 80);
	assert_string_equal(bh_addr_text(&c->published.v[0].host, addr), "0.0.0.0");
	assert_string_equal(bh_addr_text(&c->published.v[1].host, addr), "::");
	assert_int_equal(c->published.v[3].proto, IPPROTO_UDP);
	assert_int_equal(by_name(&l, "made")->state, BH_CONTAINER_CREATED);
	assert_int_equal(by_name(&l, "hosty")->netmode, BH_NETMODE_HOST);
	assert_int_equal(by_name(&l, "lonely")->netmode, BH_NETMODE_NONE);
	c = by_name(&l, "sharer");
	assert_int_equal(c->netmode, BH_NETMODE_CONTAINER);
	assert_string_equal(c->netns_owner, WEB);
}

/* One label of one container must neither hide the others nor be cut to something that a selector matches. */
static void label_with_nul_is_a_flaw(void **state)
{
	_cleanup_buf_ struct bh_buf text = {0};
	_cleanup_(bh_containers_clear) bh_containers l = {0};

	(void)state;
	fixture("list_nul.json", &text);
	assert_int_equal(bh_docker_decode_containers(text.s, text.n, &l), 0);
	assert_int_equal(l.n, 1);
	assert_string_equal(l.v[0].name, "nul");
	assert_non_null(l.v[0].flaw);
	assert_int_equal(l.v[0].labels.n, 0);
}

#define ID64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void decode_one(const char *members, int expect, struct bh_container *ret)
{
	_cleanup_buf_ struct bh_buf text = {0};
	_cleanup_(bh_containers_clear) bh_containers l = {0};
	int r;

	bh_buf_printf(&text, "[{\"Id\":\"" ID64 "\"%s%s}]", *members ? "," : "", members);
	r = bh_docker_decode_containers(text.s, text.n, &l);
	if (r != expect)
		fail_msg("%s: %d, not %d", text.s, r, expect);
	if (r == 0 && ret) {
		*ret = l.v[0];
		l.n = 0;
	}
}

static void lists_that_are_bad(void **state)
{
	static const char *const bad[] = {"", "{}", "null", "[", "[]]", "[1]", "[null]", "[{}]", "[{\"Id\":5}]", "[{\"Id\":\"x\"}]",
		"[{\"Id\":\"" ID64 "0\"}]", "[{\"Id\":\"../../../../0123456789abcdef0123456789abcdef0123456789abcdef0123\"}]",
		"[{\"Id\":\"" ID64 "\",\"Id\":\"" ID64 "\"}]", "[{\"Id\":\"" ID64 "\",\"Labels\":{\"a\":\"\xff\"}}]",
		"[{\"Id\":\"0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef\"}]"};
	static const char *const members[] = {"\"Names\":\"/a\"", "\"Names\":[1]", "\"Names\":[\"a\"]", "\"State\":1",
		"\"Labels\":[]", "\"Labels\":{\"a\":1}", "\"Labels\":{\"a\":null}", "\"HostConfig\":\"host\"",
		"\"HostConfig\":{\"NetworkMode\":{}}", "\"Ports\":{}", "\"Ports\":[3]",
		"\"Ports\":[{\"PublicPort\":70000,\"PrivatePort\":80,\"Type\":\"tcp\"}]",
		"\"Ports\":[{\"PublicPort\":80,\"PrivatePort\":-1,\"Type\":\"tcp\"}]",
		"\"Ports\":[{\"PublicPort\":80,\"PrivatePort\":80,\"Type\":\"tcp\",\"IP\":\"1.2.3\"}]",
		"\"Ports\":[{\"PublicPort\":\"80\",\"PrivatePort\":80,\"Type\":\"tcp\"}]"};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(bad); i++) {
		bh_containers l = {0};

		if (bh_docker_decode_containers(bad[i], strlen(bad[i]), &l) != -EBADMSG)
			fail_msg("taken: %s", bad[i]);
		assert_int_equal(l.n, 0);
	}
	for (size_t i = 0; i < BH_ARRAY_SIZE(members); i++)
		decode_one(members[i], -EBADMSG, NULL);
}

/* Nothing but an id is needed: other versions and a container that is being removed leave things out. */
static void what_may_be_missing(void **state)
{
	static const char *const members[] = {"", "\"Names\":null,\"Labels\":null,\"Ports\":null,\"HostConfig\":null,\"State\":null",
		"\"Names\":[],\"ImageID\":\"\",\"New\":{\"Key\":[1,2.5,true]}", "\"Names\":[\"/other/alias\"]"};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(members); i++) {
		struct bh_container c;

		decode_one(members[i], 0, &c);
		assert_string_equal(c.name, "0123456789ab");
		assert_null(c.image_id);
		assert_null(c.flaw);
		bh_container_clear(&c);
	}
}

static void names_and_images(void **state)
{
	static const struct {
		const char *members, *name, *image;
	} cases[] = {
		{"\"Names\":[\"/db/web\",\"/web\"],\"Image\":\"nginx:1\"", "web", "nginx:1"},
		{"\"Names\":[\"/web\"],\"Image\":\"0123456789ab\",\"ImageID\":\"sha256:" ID64 "\"", "web", "sha256:" ID64},
		{"\"Names\":[\"/web\"],\"Image\":\"sha256:" ID64 "\",\"ImageID\":\"sha256:" ID64 "\"", "web", "sha256:" ID64},
		{"\"Names\":[\"/web\"],\"Image\":\"0123\",\"ImageID\":\"sha256:" ID64 "\"", "web", "sha256:" ID64},
		{"\"Names\":[\"/web\"],\"Image\":\"012\",\"ImageID\":\"sha256:" ID64 "\"", "web", "012"},
		{"\"Names\":[\"/web\"],\"Image\":\"cafe\",\"ImageID\":\"sha256:" ID64 "\"", "web", "cafe"},
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(cases); i++) {
		struct bh_container c;

		decode_one(cases[i].members, 0, &c);
		assert_string_equal(c.name, cases[i].name);
		assert_string_equal(c.image, cases[i].image);
		bh_container_clear(&c);
	}
}

static void published_without_address_is_every_address(void **state)
{
	struct bh_container c;

	(void)state;
	decode_one("\"Ports\":[{\"PrivatePort\":80,\"Type\":\"tcp\"},{\"PrivatePort\":81,\"PublicPort\":8081,\"Type\":\"tcp\"},"
		   "{\"PrivatePort\":9,\"PublicPort\":9,\"Type\":\"dccp\"},{\"PrivatePort\":81,\"PublicPort\":8081,\"Type\":\"tcp\",\"IP\":\"::\"}]",
		0, &c);
	assert_int_equal(c.published.n, 2);
	assert_int_equal(c.published.v[0].host.family, 4);
	assert_int_equal(c.published.v[1].host.family, 6);
	assert_true(bh_addr_is_zero(&c.published.v[0].host));
	bh_container_clear(&c);
}

static void labels_out_of_bounds(void **state)
{
	_cleanup_buf_ struct bh_buf many = {0}, longv = {0};
	struct bh_container c;

	(void)state;
	bh_buf_puts(&many, "\"Labels\":{\"tier\":\"web\"");
	for (unsigned i = 0; i < BH_LABELS_MAX; i++)
		bh_buf_printf(&many, ",\"l%u\":\"\"", i);
	bh_buf_puts(&many, "}");
	decode_one(many.s, 0, &c);
	assert_non_null(c.flaw);
	assert_int_equal(c.labels.n, 0);
	bh_container_clear(&c);
	bh_buf_puts(&longv, "\"Labels\":{\"tier\":\"web\",\"x\":\"");
	for (unsigned i = 0; i <= BH_LABEL_VALUE_MAX; i++)
		bh_buf_puts(&longv, "x");
	bh_buf_puts(&longv, "\"}");
	decode_one(longv.s, 0, &c);
	assert_non_null(c.flaw);
	assert_int_equal(c.labels.n, 0);
	bh_container_clear(&c);
	/* two keys that only the replacement of NUL makes equal */
	decode_one("\"Labels\":{\"a\\u0000\":\"x\",\"a\\ufdd0\":\"y\"}", 0, &c);
	assert_non_null(c.flaw);
	bh_container_clear(&c);
	/* a backslash before u0000 is no NUL */
	decode_one("\"Labels\":{\"a\":\"\\\\u0000\"}", 0, &c);
	assert_null(c.flaw);
	assert_string_equal(bh_container_label(&c, "a"), "\\u0000");
	bh_container_clear(&c);
}

/* {"a":[1,1,…]} of N ones: nobody asks for its values, so only the bound refuses it. */
static int image_with_values(size_t n)
{
	_cleanup_buf_ struct bh_buf text = {0};
	_cleanup_(bh_docker_labels_clear) struct bh_docker_labels labels = {0};

	bh_buf_puts(&text, "{\"a\":[1");
	for (size_t i = 1; i < n; i++)
		bh_buf_putn(&text, ",1", 2);
	bh_buf_puts(&text, "]}");
	assert_int_equal(text.err, 0);
	return bh_docker_decode_image(text.s, text.n, &labels);
}

static void too_many_values(void **state)
{
	bh_containers l = {0};
	char deep[100000];

	(void)state;
	assert_int_equal(image_with_values(1000), 0);
	assert_int_equal(image_with_values(4100000), -EBADMSG);
	memset(deep, '[', sizeof(deep));
	assert_int_equal(bh_docker_decode_containers(deep, sizeof(deep), &l), -EBADMSG);
}

static void networks(void **state)
{
	_cleanup_buf_ struct bh_buf text = {0}, list = {0}, host = {0};
	_cleanup_(bh_docker_network_clear) struct bh_docker_network n = {0}, h = {0};
	_cleanup_(bh_docker_networks_clear) bh_docker_networks l = {0};
	char buf[BH_PREFIX_TEXT];

	(void)state;
	fixture("network_front.json", &text);
	assert_int_equal(bh_docker_decode_network(text.s, text.n, &n), 0);
	assert_string_equal(n.network.id, FRONT);
	assert_string_equal(n.network.name, "front");
	assert_string_equal(n.network.bridge, "br-96fe5d8eed0a");
	assert_false(n.network.internal);
	assert_int_equal(n.network.subnets.n, 2);
	assert_string_equal(bh_prefix_text(&n.network.subnets.v[1], buf), "2001:db8:d0:10::/64");
	assert_int_equal(n.attachments.n, 2);
	assert_string_equal(n.attachments.v[0].container, WEB);
	assert_true(n.attachments.v[0].endpoint.has_mac);
	assert_string_equal(bh_mac_text(&n.attachments.v[0].endpoint.mac, buf), "02:42:0a:6f:10:02");
	assert_string_equal(n.attachments.v[0].endpoint.network_id, FRONT);
	assert_int_equal(n.attachments.v[0].endpoint.addrs.n, 2);
	assert_string_equal(bh_addr_text(&n.attachments.v[0].endpoint.addrs.v[0], buf), "10.111.16.2");
	assert_string_equal(bh_addr_text(&n.attachments.v[0].endpoint.addrs.v[1], buf), "2001:db8:d0:10::2");
	fixture("networks.json", &list);
	assert_int_equal(bh_docker_decode_networks(list.s, list.n, &l), 0);
	assert_int_equal(l.n, 4);
	bh_vec_foreach(x, &l) {
		if (bh_streq(x->network.name, "bridge"))
			assert_string_equal(x->network.bridge, "docker0");
		if (bh_streq(x->network.name, "none") || bh_streq(x->network.name, "host"))
			assert_null(x->network.bridge);
	}
	fixture("network_host.json", &host);
	assert_int_equal(bh_docker_decode_network(host.s, host.n, &h), 0);
	assert_string_equal(h.network.driver, "host");
	assert_int_equal(h.attachments.n, 1);
	assert_int_equal(h.attachments.v[0].endpoint.addrs.n, 0);
	assert_false(h.attachments.v[0].endpoint.has_mac);
}

static int one_network(const char *members, struct bh_docker_network *ret)
{
	_cleanup_buf_ struct bh_buf text = {0};

	bh_buf_printf(&text, "{\"Id\":\"" ID64 "\",\"Name\":\"n\"%s%s}", *members ? "," : "", members);
	return bh_docker_decode_network(text.s, text.n, ret);
}

static void network_variants(void **state)
{
	static const struct {
		const char *members, *bridge;
		int r;
	} cases[] = {
		{"\"Driver\":\"bridge\"", "br-0123456789ab", 0},
		{"\"Driver\":\"bridge\",\"Options\":null", "br-0123456789ab", 0},
		{"\"Driver\":\"bridge\",\"Options\":{\"com.docker.network.bridge.name\":\"web0\"}", "web0", 0},
		{"\"Driver\":\"bridge\",\"Options\":{\"com.docker.network.bridge.name\":\"\"}", "br-0123456789ab", 0},
		{"\"Driver\":\"macvlan\",\"Options\":{\"com.docker.network.bridge.name\":\"web0\"}", NULL, 0},
		{"\"Driver\":\"bridge\",\"Options\":{\"com.docker.network.bridge.name\":\"0123456789abcdef\"}", NULL, -EBADMSG},
		{"\"Driver\":\"bridge\",\"Options\":{\"com.docker.network.bridge.name\":\"a/b\"}", NULL, -EBADMSG},
		{"\"Driver\":\"bridge\",\"Options\":{\"com.docker.network.bridge.name\":\"..\"}", NULL, -EBADMSG},
		{"\"Driver\":\"bridge\",\"Options\":{\"com.docker.network.bridge.name\":7}", NULL, -EBADMSG},
		{"\"Driver\":\"bridge\",\"Options\":[]", NULL, -EBADMSG},
		{"\"Driver\":3", NULL, -EBADMSG},
		{"", NULL, 0},
		{"\"IPAM\":{\"Config\":[{\"Subnet\":\"10.0.0.5/24\",\"Gateway\":\"10.0.0.1/24\"}]}", NULL, 0},
		{"\"IPAM\":{\"Config\":[{\"Subnet\":\"10.0.0.0/99\"}]}", NULL, -EBADMSG},
		{"\"IPAM\":{\"Config\":[{\"Gateway\":\"x\"}]}", NULL, -EBADMSG},
		{"\"IPAM\":{\"Config\":[null]}", NULL, -EBADMSG},
		{"\"IPAM\":{\"Config\":{}}", NULL, -EBADMSG},
		{"\"Containers\":[]", NULL, -EBADMSG},
		{"\"Containers\":{\"" ID64 "\":null}", NULL, -EBADMSG},
		{"\"Containers\":{\"" ID64 "\":{\"IPv4Address\":\"10.0.0.300/24\"}}", NULL, -EBADMSG},
		{"\"Containers\":{\"" ID64 "\":{\"MacAddress\":\"02:42\"}}", NULL, -EBADMSG},
		{"\"Containers\":{\"" ID64 "\":{\"MacAddress\":\"\",\"IPv4Address\":\"\",\"IPv6Address\":\"\"}}", NULL, 0},
		/* an endpoint without a sandbox, and a step of an image build */
		{"\"Containers\":{\"ep-" ID64 "\":{\"IPv4Address\":\"10.0.0.3/24\"},\"yb8smhzxfwdqiopkmzs0ddgju\":{\"Name\":\"yb8smhzxfwdqiopkmzs0ddgju\"}}",
			NULL, 0},
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(cases); i++) {
		_cleanup_(bh_docker_network_clear) struct bh_docker_network n = {0};
		int r = one_network(cases[i].members, &n);

		if (r != cases[i].r)
			fail_msg("%s: %d, not %d", cases[i].members, r, cases[i].r);
		if (!bh_streq(n.network.bridge, cases[i].bridge))
			fail_msg("%s: bridge %s", cases[i].members, n.network.bridge ? n.network.bridge : "none");
	}
}

static void inspections(void **state)
{
	_cleanup_buf_ struct bh_buf text = {0}, made = {0};
	struct bh_docker_inspect i = {0}, m = {0};
	static const char *const bad[] = {"{}", "[]", "{\"Id\":\"" ID64 "\",\"State\":{\"Pid\":-1}}",
		"{\"Id\":\"" ID64 "\",\"State\":{\"Pid\":99999999999}}", "{\"Id\":\"" ID64 "\",\"State\":{\"Pid\":\"1\"}}",
		"{\"Id\":\"" ID64 "\",\"State\":{\"Running\":1}}", "{\"Id\":\"" ID64 "\",\"State\":7}"};

	(void)state;
	fixture("inspect.json", &text);
	assert_int_equal(bh_docker_decode_inspect(text.s, text.n, &i), 0);
	assert_string_equal(i.id, WEB);
	assert_true(i.running);
	assert_int_equal(i.pid, 322);
	fixture("inspect_created.json", &made);
	assert_int_equal(bh_docker_decode_inspect(made.s, made.n, &m), 0);
	assert_false(m.running);
	assert_int_equal(m.pid, 0);
	for (size_t k = 0; k < BH_ARRAY_SIZE(bad); k++) {
		struct bh_docker_inspect x = {0};

		if (bh_docker_decode_inspect(bad[k], strlen(bad[k]), &x) != -EBADMSG)
			fail_msg("taken: %s", bad[k]);
	}
}

/* Who has the runtime's socket: by itself, or by a folder above it. */
static void powers(void **state)
{
	static const char *const sockets[] = {"/srv/my/docker.sock", "/run/docker.sock"};
	static const struct {
		const char *members, *mount;
		bool privileged;
		int r;
	} cases[] = {
		{"", NULL, false, 0},
		{",\"HostConfig\":{\"Privileged\":true},\"Mounts\":null", NULL, true, 0},
		{",\"Mounts\":[{\"Type\":\"volume\",\"Source\":\"/run\"},{\"Type\":\"bind\",\"Source\":\"/run/docker.sock\"}]", "/run/docker.sock", false, 0},
		{",\"Mounts\":[{\"Type\":\"bind\",\"Source\":\"/\"},{\"Type\":\"bind\",\"Source\":\"/run\"}]", "/", false, 0},
		{",\"Mounts\":[{\"Type\":\"bind\",\"Source\":\"/srv/my/\"}]", "/srv/my/", false, 0},
		{",\"Mounts\":[{\"Type\":\"bind\",\"Source\":\"/run/docker.socket\"},{\"Type\":\"bind\",\"Source\":\"/ru\"},"
			"{\"Type\":\"bind\",\"Source\":\"/run/docker\"},{\"Type\":\"bind\",\"Source\":\"run\"},{\"Type\":\"bind\"}]", NULL, false, 0},
		{",\"HostConfig\":{\"Privileged\":1}", NULL, false, -EBADMSG},
		{",\"Mounts\":{}", NULL, false, -EBADMSG},
		{",\"Mounts\":[7]", NULL, false, -EBADMSG},
		{",\"Mounts\":[{\"Type\":\"bind\",\"Source\":[]}]", NULL, false, -EBADMSG},
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(cases); i++) {
		struct bh_fact f = {0};
		char text[512];
		int r;

		snprintf(text, sizeof(text), "{\"Id\":\"" ID64 "\"%s}", cases[i].members);
		r = bh_docker_decode_fact(text, strlen(text), sockets, BH_ARRAY_SIZE(sockets), &f);
		if (r != cases[i].r || f.privileged != cases[i].privileged || !bh_streq(f.socket_mount, cases[i].mount))
			fail_msg("%s: %d, %s", cases[i].members, r, f.socket_mount ? f.socket_mount : "none");
		assert_true(r < 0 || bh_streq(f.id, ID64));
		free(f.id);
		free(f.socket_mount);
	}
	assert_int_equal(bh_docker_decode_fact("{\"Id\":\"x\"}", 10, sockets, 1, &(struct bh_fact){0}), -EBADMSG);
}

static void images(void **state)
{
	_cleanup_buf_ struct bh_buf none = {0}, some = {0};
	_cleanup_(bh_docker_labels_clear) struct bh_docker_labels a = {0}, b = {0};

	(void)state;
	fixture("image.json", &none);
	assert_int_equal(bh_docker_decode_image(none.s, none.n, &a), 0);
	assert_int_equal(a.v.n, 0);
	fixture("image_labels.json", &some);
	assert_int_equal(bh_docker_decode_image(some.s, some.n, &b), 0);
	assert_int_equal(b.v.n, 2);
	assert_string_equal(b.v.v[0].key, "maintainer");
	assert_string_equal(b.v.v[1].value, "web");
	assert_int_equal(bh_docker_decode_image("[]", 2, &a), -EBADMSG);
	assert_int_equal(bh_docker_decode_image("{\"Config\":[]}", 13, &a), -EBADMSG);
}

static void events_of_a_day(void **state)
{
	static const size_t expect[] = {
		[BH_DOCKER_EVENT_OTHER] = 7,
		[BH_DOCKER_EVENT_CONTAINER] = 13,
		[BH_DOCKER_EVENT_START] = 6,
		[BH_DOCKER_EVENT_DIE] = 2,
		[BH_DOCKER_EVENT_CONNECT] = 8,
		[BH_DOCKER_EVENT_DISCONNECT] = 6,
		[BH_DOCKER_EVENT_NETWORK] = 1,
	};
	_cleanup_buf_ struct bh_buf text = {0};
	size_t count[BH_ARRAY_SIZE(expect)] = {0};
	struct bh_docker_event e;

	(void)state;
	fixture("events.jsonl", &text);
	for (char *line = text.s, *nl; (nl = strchr(line, '\n')); line = nl + 1) {
		assert_int_equal(bh_docker_decode_event(line, (size_t)(nl - line), &e), 0);
		count[e.kind]++;
		if (e.kind == BH_DOCKER_EVENT_CONNECT || e.kind == BH_DOCKER_EVENT_DISCONNECT) {
			assert_int_equal(strlen(e.network), 64);
			assert_int_equal(strlen(e.container), 64);
		}
		if (e.kind == BH_DOCKER_EVENT_NETWORK)
			assert_string_equal(e.network, FRONT);
	}
	for (size_t i = 0; i < BH_ARRAY_SIZE(expect); i++)
		assert_int_equal(count[i], expect[i]);
}

static void events_that_are_bad(void **state)
{
	static const char *const bad[] = {"", "x", "[]", "{}", "{\"Type\":\"container\"}", "{\"Type\":1,\"Action\":\"start\"}",
		"{\"Type\":\"container\",\"Action\":\"start\"}", "{\"Type\":\"container\",\"Action\":\"start\",\"Actor\":{\"ID\":\"../x\"}}",
		"{\"Type\":\"network\",\"Action\":\"connect\",\"Actor\":{\"ID\":\"\"}}",
		"{\"Type\":\"network\",\"Action\":\"connect\",\"Actor\":[]}", "{\"Type\":\"container\",\"Action\":\"start\",\"Actor\":{\"ID\":\"a b\"}}",
		"{\"Type\":\"container\",\"Action\":\"die\",\"Actor\":{\"ID\":\"" ID64 "0\"}}"};
	static const struct {
		const char *text;
		enum bh_docker_event_kind kind;
	} good[] = {
		{"{\"Type\":\"daemon\",\"Action\":\"reload\"}", BH_DOCKER_EVENT_OTHER},
		{"{\"Type\":\"container\",\"Action\":\"exec_create: start\",\"Actor\":{\"ID\":\"" ID64 "\"}}", BH_DOCKER_EVENT_OTHER},
		{"{\"Type\":\"network\",\"Action\":\"connect\",\"Actor\":{\"ID\":\"" ID64 "\",\"Attributes\":{\"container\":5}}}",
			BH_DOCKER_EVENT_NETWORK},
		{"{\"Type\":\"container\",\"Action\":\"create\",\"Actor\":{\"ID\":\"" ID64 "\",\"Attributes\":{\"a\\u0000\":\"\\u0000\"}}}",
			BH_DOCKER_EVENT_CONTAINER},
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(bad); i++) {
		struct bh_docker_event e;

		if (bh_docker_decode_event(bad[i], strlen(bad[i]), &e) != -EBADMSG)
			fail_msg("taken: %s", bad[i]);
	}
	for (size_t i = 0; i < BH_ARRAY_SIZE(good); i++) {
		struct bh_docker_event e;

		assert_int_equal(bh_docker_decode_event(good[i].text, strlen(good[i].text), &e), 0);
		assert_int_equal(e.kind, good[i].kind);
	}
}

/* Every answer cut at every byte is refused, and leaks nothing (the sanitizer looks). */
static void cut_anywhere(void **state)
{
	static const char *const names[] = {"list.json", "network_front.json", "inspect.json", "image_labels.json"};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(names); i++) {
		_cleanup_buf_ struct bh_buf text = {0};

		fixture(names[i], &text);
		/* the file ends with a newline */
		for (size_t n = 0; n + 1 < text.n; n++) {
			bh_containers l = {0};
			struct bh_docker_network net = {0};
			struct bh_docker_inspect in = {0};
			struct bh_docker_labels labels = {0};

			assert_int_equal(bh_docker_decode_containers(text.s, n, &l), -EBADMSG);
			assert_int_equal(bh_docker_decode_network(text.s, n, &net), -EBADMSG);
			assert_int_equal(bh_docker_decode_inspect(text.s, n, &in), -EBADMSG);
			assert_int_equal(bh_docker_decode_image(text.s, n, &labels), -EBADMSG);
			assert_int_equal(bh_docker_decode_fact(text.s, n, names, 1, &(struct bh_fact){0}), -EBADMSG);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(list_of_every_kind),
		cmocka_unit_test(label_with_nul_is_a_flaw),
		cmocka_unit_test(lists_that_are_bad),
		cmocka_unit_test(what_may_be_missing),
		cmocka_unit_test(names_and_images),
		cmocka_unit_test(published_without_address_is_every_address),
		cmocka_unit_test(labels_out_of_bounds),
		cmocka_unit_test(too_many_values),
		cmocka_unit_test(networks),
		cmocka_unit_test(network_variants),
		cmocka_unit_test(inspections),
		cmocka_unit_test(powers),
		cmocka_unit_test(images),
		cmocka_unit_test(events_of_a_day),
		cmocka_unit_test(events_that_are_bad),
		cmocka_unit_test(cut_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
