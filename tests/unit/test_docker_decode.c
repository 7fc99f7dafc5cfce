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
	return bh_docker_decode_image(text.s, text.n, &labels, NULL);
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

static const struct bh_docker_settings usual = {
	.seccomp = BH_CONFINED_DEFAULT, .apparmor = true, .selinux = true, .socket = "/srv/my/docker.sock"};

static int inspected(const char *config, const char *host_config, const char *more, const struct bh_docker_settings *host, struct bh_posture *ret)
{
	_cleanup_buf_ struct bh_buf text = {0};
	struct bh_docker_inspect in = {0};
	int r;

	bh_buf_printf(&text, "{\"Id\":\"" ID64 "\",\"Config\":{%s},\"HostConfig\":{%s}%s}", config, host_config, more);
	r = bh_docker_decode_inspect(text.s, text.n, host, &in);
	*ret = in.posture;
	return r;
}

static int registries(const char *config, struct bh_registries *ret)
{
	_cleanup_buf_ struct bh_buf text = {0};
	struct bh_docker_settings settings;

	bh_buf_printf(&text, "{\"SecurityOptions\":[]%s%s}", *config ? ",\"RegistryConfig\":" : "", config);
	return bh_docker_decode_info(text.s, text.n, &settings, ret);
}

static void registries_of_a_daemon(void **state)
{
	static const char *const unknown[] = {"", "null", "[]", "{\"InsecureRegistryCIDRs\":[1]}", "{\"InsecureRegistryCIDRs\":[\"x\"]}", "{\"Mirrors\":[1]}",
		"{\"IndexConfigs\":{\"a\":1}}", "{\"IndexConfigs\":{\"a\":{\"Secure\":1}}}"};
	_cleanup_(bh_registries_clear) struct bh_registries plain = {0}, r = {0};
	char text[BH_PREFIX_TEXT];

	(void)state;
	assert_int_equal(registries("{\"InsecureRegistryCIDRs\":[\"127.0.0.0/8\"],\"IndexConfigs\":{\"docker.io\":{\"Name\":\"docker.io\",\"Mirrors\":[],"
		"\"Secure\":true,\"Official\":true}},\"Mirrors\":null}", &plain), 0);
	assert_true(plain.known);
	assert_int_equal(plain.insecure.n, 1);
	assert_string_equal(bh_prefix_text(&plain.insecure.v[0], text), "127.0.0.0/8");
	assert_int_equal(plain.insecure_names.n + plain.plain_mirrors.n, 0);
	assert_string_equal(plain.secure_names.v[0], "docker.io");
	assert_int_equal(registries("{\"InsecureRegistryCIDRs\":[\"::1/128\",\"10.1.2.3/8\"],\"IndexConfigs\":{\"reg:5000\":{\"Secure\":false}},"
		"\"Mirrors\":[\"https://a/\",\"HTTP://b/\"]}", &r), 0);
	assert_string_equal(bh_prefix_text(&r.insecure.v[1], text), "10.0.0.0/8");
	assert_string_equal(r.insecure_names.v[0], "reg:5000");
	assert_int_equal(r.plain_mirrors.n, 1);
	assert_string_equal(r.plain_mirrors.v[0], "HTTP://b/");
	for (size_t i = 0; i < BH_ARRAY_SIZE(unknown); i++) {
		struct bh_registries none = {0};

		assert_int_equal(registries(unknown[i], &none), 0);	/* what it says of confinement counts all the same */
		assert_false(none.known);
		assert_int_equal(none.insecure.n + none.insecure_names.n, 0);
	}
}

/* Two containers of a real dockerd, as they were right after `create`. */
static void inspections(void **state)
{
	_cleanup_(bh_registries_clear) struct bh_registries registries = {0};
	_cleanup_buf_ struct bh_buf hard = {0}, soft = {0}, info = {0};
	struct bh_docker_settings host;
	struct bh_docker_inspect h = {0}, s = {0};
	struct bh_posture copy = {0};

	(void)state;
	fixture("info.json", &info);
	assert_int_equal(bh_docker_decode_info(info.s, info.n, &host, &registries), 0);
	assert_true(host.seccomp == BH_CONFINED_DEFAULT && !host.seccomp_missing && !host.apparmor && !host.selinux && !host.userns && !host.no_new_privileges);
	fixture("inspect_hard.json", &hard);
	assert_int_equal(bh_docker_decode_inspect(hard.s, hard.n, &host, &h), 0);
	assert_int_equal(strlen(h.id), 64);
	assert_true(h.posture.known && !h.posture.privileged && h.posture.no_new_privileges && h.posture.read_only_root && !h.posture.root);
	assert_string_equal(h.posture.user, "1000:1000");
	assert_true(h.posture.caps == 1u << 10);
	assert_true(h.posture.seccomp == BH_CONFINED_DEFAULT && h.posture.apparmor == BH_CONFINED_NOT && h.posture.selinux == BH_CONFINED_NOT);
	assert_true(h.posture.memory == 67108864 && h.posture.cpus == 500 && h.posture.pids == 64 && h.posture.restart == BH_RESTART_ON_FAILURE);
	for (int i = 0; i < BH_NAMESPACE_USER; i++)
		assert_int_equal(h.posture.namespaces[i], BH_ISOLATION_PRIVATE);
	assert_int_equal(h.posture.namespaces[BH_NAMESPACE_USER], BH_ISOLATION_HOST);
	assert_true(h.posture.mounts.n == 1 && bh_streq(h.posture.mounts.v[0].source, "/etc/localtime") && !h.posture.mounts.v[0].writable);
	assert_true(h.posture.devices.n == 0 && !h.posture.unmasked && bh_streq(h.posture.reference, "lab"));
	fixture("inspect_soft.json", &soft);
	host.apparmor = true;
	assert_int_equal(bh_docker_decode_inspect(soft.s, soft.n, &host, &s), 0);
	assert_true(s.posture.privileged && s.posture.root && !s.posture.user && s.posture.unmasked && !s.posture.read_only_root);
	assert_true((s.posture.caps & BH_CAPS_ALL) == BH_CAPS_ALL && s.posture.seccomp == BH_CONFINED_NOT && s.posture.apparmor == BH_CONFINED_NOT);
	for (int i = 0; i < BH_NAMESPACE_MAX; i++)
		assert_int_equal(s.posture.namespaces[i], i == BH_NAMESPACE_NET ? BH_ISOLATION_PRIVATE : BH_ISOLATION_HOST);
	assert_true(s.posture.mounts.n == 2 && bh_streq(s.posture.mounts.v[0].source, "/") && s.posture.mounts.v[0].writable);
	assert_true(s.posture.devices.n == 1 && bh_streq(s.posture.devices.v[0], "/dev/null") && s.posture.restart == BH_RESTART_ALWAYS);
	assert_true(s.posture.memory == 0 && s.posture.cpus == 0 && s.posture.pids == 0);
	assert_int_equal(bh_posture_copy(&copy, &s.posture), 0);
	assert_true(bh_posture_equal(&copy, &s.posture) && !bh_posture_equal(&copy, &h.posture));
	assert_true(bh_posture_sum(1, &copy) == bh_posture_sum(1, &s.posture) && bh_posture_sum(1, &copy) != bh_posture_sum(1, &h.posture));
	bh_posture_clear(&copy);
	bh_posture_clear(&h.posture);
	bh_posture_clear(&s.posture);
}

static void inspections_that_are_bad(void **state)
{
	static const char *const bad[] = {"{}", "[]", "{\"Id\":\"x\",\"Config\":{},\"HostConfig\":{}}", "{\"Id\":\"" ID64 "\",\"Config\":{}}",
		"{\"Id\":\"" ID64 "\",\"HostConfig\":{}}", "{\"Id\":\"" ID64 "\",\"Config\":{},\"HostConfig\":7}"};
	static const struct {
		const char *config, *host, *more;
	} cases[] = {
		{"", "\"Privileged\":1", ""}, {"", "\"CapAdd\":7", ""}, {"", "\"CapAdd\":[7]", ""}, {"", "\"CapDrop\":{}", ""},
		{"", "\"SecurityOpt\":[7]", ""}, {"", "\"SecurityOpt\":\"a\"", ""}, {"\"User\":7", "", ""}, {"\"Image\":7", "", ""},
		{"", "\"ReadonlyRootfs\":\"\"", ""}, {"", "\"PidMode\":1", ""}, {"", "\"Memory\":\"1\"", ""}, {"", "\"PidsLimit\":true", ""},
		{"", "\"RestartPolicy\":[]", ""}, {"", "\"RestartPolicy\":{\"Name\":1}", ""}, {"", "\"Devices\":[7]", ""},
		{"", "\"Devices\":[{\"PathOnHost\":7}]", ""}, {"", "\"MaskedPaths\":7", ""}, {"", "", ",\"Mounts\":{}"}, {"", "", ",\"Mounts\":[7]"},
		{"", "", ",\"Mounts\":[{\"Type\":\"bind\",\"Source\":[]}]"}, {"", "", ",\"ProcessLabel\":7"},
	};
	struct bh_posture p = {0};

	(void)state;
	for (size_t k = 0; k < BH_ARRAY_SIZE(bad); k++) {
		struct bh_docker_inspect x = {0};

		if (bh_docker_decode_inspect(bad[k], strlen(bad[k]), &usual, &x) != -EBADMSG || x.posture.known)
			fail_msg("taken: %s", bad[k]);
	}
	for (size_t k = 0; k < BH_ARRAY_SIZE(cases); k++)
		if (inspected(cases[k].config, cases[k].host, cases[k].more, &usual, &p) != -EBADMSG || p.known)
			fail_msg("taken: %s %s %s", cases[k].config, cases[k].host, cases[k].more);
	assert_int_equal(bh_docker_decode_info("[]", 2, &(struct bh_docker_settings){0}, &(struct bh_registries){0}), -EBADMSG);
	assert_int_equal(bh_docker_decode_info("{\"SecurityOptions\":[1]}", 23, &(struct bh_docker_settings){0}, &(struct bh_registries){0}), -EBADMSG);
}

#define CAP(n) ((bh_caps)1 << (n))
#define USUAL_CAPS 0xa80425fbu	/* CapBnd of a plain `docker run`, from its /proc/self/status */

static void capabilities(void **state)
{
	static const struct {
		const char *host;
		bh_caps caps;
	} cases[] = {
		{"", USUAL_CAPS},
		{"\"CapAdd\":null,\"CapDrop\":[]", USUAL_CAPS},
		{"\"CapAdd\":[\"NET_ADMIN\",\"cap_sys_time\"]", USUAL_CAPS | CAP(12) | CAP(25)},
		{"\"CapDrop\":[\"CAP_NET_RAW\",\"mknod\"]", USUAL_CAPS & ~(CAP(13) | CAP(27))},
		{"\"CapDrop\":[\"all\"]", 0},
		{"\"CapDrop\":[\"ALL\"],\"CapAdd\":[\"CHOWN\"]", CAP(0)},
		{"\"CapDrop\":[\"CHOWN\"],\"CapAdd\":[\"CHOWN\"]", USUAL_CAPS},
		{"\"CapAdd\":[\"ALL\"]", BH_CAPS_ALL | BH_CAP_STRANGE},
		{"\"CapAdd\":[\"ALL\"],\"CapDrop\":[\"ALL\",\"SYS_ADMIN\"]", (BH_CAPS_ALL & ~CAP(21)) | BH_CAP_STRANGE},
		{"\"CapAdd\":[\"OF_TOMORROW\"],\"CapDrop\":[\"ANOTHER\"]", USUAL_CAPS | BH_CAP_STRANGE},
		{"\"CapDrop\":[\"ALL\"],\"Privileged\":true", BH_CAPS_ALL | BH_CAP_STRANGE},
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(cases); i++) {
		struct bh_posture p = {0};

		assert_int_equal(inspected("", cases[i].host, "", &usual, &p), 0);
		if (p.caps != cases[i].caps)
			fail_msg("%s: %llx", cases[i].host, (unsigned long long)p.caps);
		bh_posture_clear(&p);
	}
	assert_int_equal(bh_cap_number("CAP_SYS_ADMIN"), 21);
	assert_int_equal(bh_cap_number("checkpoint_restore"), 40);
	assert_int_equal(bh_cap_number("CAP_"), -1);
	assert_string_equal(bh_cap_name(12), "NET_ADMIN");
	assert_null(bh_cap_name(41));
}

static void confinement(void **state)
{
	static const struct bh_docker_settings none = {.seccomp_missing = true}, open = {.apparmor = true};
	static const struct bh_docker_settings strict = {.seccomp = BH_CONFINED_CUSTOM, .no_new_privileges = true, .apparmor = true, .userns = true};
	enum { NOT = BH_CONFINED_NOT, DEFAULT = BH_CONFINED_DEFAULT, CUSTOM = BH_CONFINED_CUSTOM };
	static const struct {
		const char *options, *more, *label;
		const struct bh_docker_settings *host;
		int seccomp, apparmor, selinux;
		bool nnp;
	} cases[] = {
		{"", "", "", &usual, DEFAULT, DEFAULT, NOT, false},
		{"", "", "", &none, NOT, NOT, NOT, false},
		{"", "", "", &open, NOT, DEFAULT, NOT, false},
		{"", "", "", &strict, CUSTOM, DEFAULT, NOT, true},
		{"", ",\"Privileged\":true", "", &usual, NOT, NOT, NOT, false},
		{"\"seccomp={}\",\"apparmor=mine\"", ",\"Privileged\":true", "", &usual, NOT, CUSTOM, NOT, false},
		{"\"seccomp=unconfined\",\"apparmor=unconfined\",\"no-new-privileges\"", "", "", &usual, NOT, NOT, NOT, true},
		{"\"seccomp:unconfined\",\"apparmor:unconfined\",\"no-new-privileges:true\"", "", "", &usual, NOT, NOT, NOT, true},
		{"\"seccomp={\\\"a\\\":1}\",\"apparmor=docker-default\",\"no-new-privileges=false\"", "", "", &strict, CUSTOM, DEFAULT, NOT, false},
		{"\"seccomp=builtin\"", "", "", &open, DEFAULT, DEFAULT, NOT, false},
		{"\"seccomp={}\",\"apparmor=mine\"", "", "", &none, NOT, NOT, NOT, false},
		{"\"no-new-privilegesX\",\"seccompX=unconfined\"", "", "", &usual, DEFAULT, DEFAULT, NOT, false},
		{"", "", "system_u:system_r:container_t:s0:c1,c2", &usual, DEFAULT, DEFAULT, DEFAULT, false},
		{"", "", "system_u:system_r:own_t:s0", &usual, DEFAULT, DEFAULT, CUSTOM, false},
		{"", "", "system_u:system_r:spc_t:s0", &usual, DEFAULT, DEFAULT, NOT, false},
		{"", "", "system_u:system_r:container_t:s0", &open, NOT, DEFAULT, NOT, false},
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(cases); i++) {
		struct bh_posture p = {0};
		char host[512], label[256];

		snprintf(host, sizeof(host), "\"SecurityOpt\":[%s]%s", cases[i].options, cases[i].more);
		snprintf(label, sizeof(label), ",\"ProcessLabel\":\"%s\"", cases[i].label);
		assert_int_equal(inspected("", host, label, cases[i].host, &p), 0);
		if ((int)p.seccomp != cases[i].seccomp || (int)p.apparmor != cases[i].apparmor || (int)p.selinux != cases[i].selinux ||
			p.no_new_privileges != cases[i].nnp)
			fail_msg("%zu %s: %d %d %d %d", i, host, p.seccomp, p.apparmor, p.selinux, p.no_new_privileges);
		assert_int_equal(p.namespaces[BH_NAMESPACE_USER], cases[i].host->userns ? BH_ISOLATION_PRIVATE : BH_ISOLATION_HOST);
		bh_posture_clear(&p);
	}
}

static void users(void **state)
{
	static const struct {
		const char *user;
		bool root;
	} cases[] = {{"", true}, {"0", true}, {"root", true}, {"0:1000", true}, {"00", true}, {"+0", true}, {"01", true}, {"1000", false},
		{"1000:0", false}, {"65534:nogroup", false}, {"node", true}, {"10x", true}, {"1000 ", true}, {":1000", true}};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(cases); i++) {
		struct bh_posture p = {0};
		char config[64];

		snprintf(config, sizeof(config), "\"User\":\"%s\"", cases[i].user);
		assert_int_equal(inspected(config, "", "", &usual, &p), 0);
		if (p.root != cases[i].root || !bh_streq(p.user, *cases[i].user ? cases[i].user : NULL))
			fail_msg("%s: %d", cases[i].user, p.root);
		bh_posture_clear(&p);
	}
}

static void isolation_and_limits(void **state)
{
	struct bh_posture p = {0};
	static const struct bh_docker_settings mapped = {.userns = true};

	(void)state;
	assert_int_equal(inspected("", "\"PidMode\":\"container:x\",\"IpcMode\":\"shareable\",\"UTSMode\":\"new\",\"NetworkMode\":\"host\",\"UsernsMode\":\"host\"",
		"", &mapped, &p), 0);
	assert_true(p.namespaces[BH_NAMESPACE_PID] == BH_ISOLATION_SHARED && p.namespaces[BH_NAMESPACE_IPC] == BH_ISOLATION_PRIVATE &&
		p.namespaces[BH_NAMESPACE_UTS] == BH_ISOLATION_HOST && p.namespaces[BH_NAMESPACE_NET] == BH_ISOLATION_HOST &&
		p.namespaces[BH_NAMESPACE_CGROUP] == BH_ISOLATION_HOST && p.namespaces[BH_NAMESPACE_USER] == BH_ISOLATION_HOST);
	bh_posture_clear(&p);
	assert_int_equal(inspected("", "\"NetworkMode\":\"container:x\",\"IpcMode\":\"container:x\",\"CgroupnsMode\":\"private\",\"CpuQuota\":50000,\"PidsLimit\":-1,"
		"\"RestartPolicy\":{\"Name\":\"never-heard-of\"},\"MaskedPaths\":[],\"DeviceRequests\":[{}],\"DeviceCgroupRules\":[\"c 1:3 mr\"]", "", &mapped, &p), 0);
	assert_true(p.namespaces[BH_NAMESPACE_NET] == BH_ISOLATION_SHARED && p.namespaces[BH_NAMESPACE_IPC] == BH_ISOLATION_SHARED &&
		p.namespaces[BH_NAMESPACE_CGROUP] == BH_ISOLATION_PRIVATE && p.namespaces[BH_NAMESPACE_USER] == BH_ISOLATION_PRIVATE);
	assert_true(p.cpus == 500 && p.pids == 0 && p.restart == BH_RESTART_MAX && p.unmasked && p.devices.n == 2);
	bh_posture_clear(&p);
	assert_int_equal(inspected("", "\"CpuQuota\":20000,\"CpuPeriod\":10000,\"RestartPolicy\":{\"Name\":\"unless-stopped\"},\"ReadonlyPaths\":[]", "", &mapped, &p), 0);
	assert_true(p.cpus == 2000 && p.restart == BH_RESTART_UNLESS_STOPPED && p.unmasked);
	bh_posture_clear(&p);
}

/* Who has the runtime's socket: by itself, or by a folder above it. */
static void mounts(void **state)
{
	static const struct {
		const char *mounts, *sources, *socket;
	} cases[] = {
		{"null", "", NULL},
		{"[{\"Type\":\"volume\",\"Source\":\"/run\"},{\"Type\":\"bind\",\"Source\":\"/run/docker.sock\"}]", "/run/docker.sock ", "/run/docker.sock"},
		{"[{\"Type\":\"bind\",\"Source\":\"/\"},{\"Type\":\"bind\",\"Source\":\"/run\"}]", "/ /run ", "/"},
		{"[{\"Type\":\"bind\",\"Source\":\"/srv/my/\"}]", "/srv/my ", "/srv/my"},
		{"[{\"Type\":\"bind\",\"Source\":\"//a/./b/../../srv//x/..\"},{\"Type\":\"bind\",\"Source\":\"/..\"}]", "/ /srv ", "/"},
		{"[{\"Type\":\"bind\",\"Source\":\"/b\"},{\"Type\":\"bind\",\"Source\":\"/a\"},{\"Type\":\"bind\",\"Source\":\"/b/\",\"RW\":true}]", "/a /b+ ", NULL},
		{"[{\"Type\":\"bind\",\"Source\":\"/var/run/podman\"}]", "/var/run/podman ", "/var/run/podman"},
		{"[{\"Type\":\"bind\",\"Source\":\"/run/docker.socket\"},{\"Type\":\"bind\",\"Source\":\"/ru\"},"
			"{\"Type\":\"bind\",\"Source\":\"run\"},{\"Type\":\"bind\"}]", "/ru /run/docker.socket ", NULL},
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(cases); i++) {
		_cleanup_buf_ struct bh_buf sources = {0};
		struct bh_posture p = {0};
		const struct bh_mount *socket;
		char more[512];

		snprintf(more, sizeof(more), ",\"Mounts\":%s", cases[i].mounts);
		assert_int_equal(inspected("", "", more, &usual, &p), 0);
		bh_buf_puts(&sources, "");
		bh_vec_foreach(m, &p.mounts)
			bh_buf_printf(&sources, "%s%s ", m->source, m->writable ? "+" : "");
		socket = bh_posture_socket(&p);
		if (!bh_streq(sources.s, cases[i].sources) || !bh_streq(socket ? socket->source : NULL, cases[i].socket))
			fail_msg("%s: %s, %s", cases[i].mounts, sources.s, socket ? socket->source : "none");
		bh_posture_clear(&p);
	}
}

static void times(void **state)
{
	static const struct {
		const char *text;
		int64_t time;
	} cases[] = {{"2026-11-25T00:10:07.856457913Z", 1795565407}, {"1970-01-01T00:00:00Z", 0}, {"1970-01-02T00:00:00+01:00", 82800},
		{"2000-02-29T12:00:00-05:30", 951845400}, {"0001-01-01T00:00:00Z", 0}, {"2026-13-01T00:00:00Z", 0}, {"2026-11-25", 0}, {"", 0},
		{"2026-11-25T00:10:07", 0}, {"2026-11-25T00:10:07Zx", 0}, {"2026-11-25T00:10:07+99:00", 0}};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(cases); i++)
		if (bh_docker_time(cases[i].text) != cases[i].time)
			fail_msg("%s: %lld", cases[i].text, (long long)bh_docker_time(cases[i].text));
	assert_int_equal(bh_docker_time(NULL), 0);
}

static void images(void **state)
{
	_cleanup_buf_ struct bh_buf none = {0}, some = {0};
	_cleanup_(bh_docker_labels_clear) struct bh_docker_labels a = {0}, b = {0};
	_cleanup_(bh_image_facts_clear) struct bh_image_facts f = {0};
	static const char *const digests = "{\"Created\":\"2026-11-25T00:10:07Z\",\"RepoDigests\":[\"b@sha256:2\",\"a@sha256:1\"]}";

	(void)state;
	fixture("image.json", &none);
	assert_int_equal(bh_docker_decode_image(none.s, none.n, &a, &f), 0);
	assert_true(f.known && f.digests.n == 0);
	assert_int_equal(f.created, 1795565407);
	assert_int_equal(bh_docker_decode_image(digests, strlen(digests), &a, &f), 0);
	assert_true(f.digests.n == 2);
	assert_string_equal(f.digests.v[0], "a@sha256:1");
	assert_int_equal(a.v.n, 0);
	fixture("image_labels.json", &some);
	assert_int_equal(bh_docker_decode_image(some.s, some.n, &b, NULL), 0);
	assert_int_equal(b.v.n, 2);
	assert_string_equal(b.v.v[0].key, "maintainer");
	assert_string_equal(b.v.v[1].value, "web");
	bh_image_facts_clear(&f);
	assert_int_equal(bh_docker_decode_image("[]", 2, &a, &f), -EBADMSG);
	assert_int_equal(bh_docker_decode_image("{\"Config\":[]}", 13, &a, &f), -EBADMSG);
	assert_int_equal(bh_docker_decode_image("{\"RepoDigests\":[1]}", 19, &a, &f), -EBADMSG);
	assert_int_equal(bh_docker_decode_image("{\"RepoDigests\":[\"a\"],\"Config\":{\"Labels\":7}}", 43, &a, &f), -EBADMSG);
	assert_true(!f.known && f.digests.n == 0);
}

static void events_of_a_day(void **state)
{
	static const size_t expect[] = {
		[BH_DOCKER_EVENT_OTHER] = 6,
		[BH_DOCKER_EVENT_CONTAINER] = 6,
		[BH_DOCKER_EVENT_CONFIGURED] = 7,
		[BH_DOCKER_EVENT_START] = 6,
		[BH_DOCKER_EVENT_DIE] = 2,
		[BH_DOCKER_EVENT_CONNECT] = 8,
		[BH_DOCKER_EVENT_DISCONNECT] = 6,
		[BH_DOCKER_EVENT_NETWORK] = 1,
		[BH_DOCKER_EVENT_EXEC] = 1,
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
		{"{\"Type\":\"container\",\"Action\":\"exec_start: start\",\"Actor\":{\"ID\":\"" ID64 "\"}}", BH_DOCKER_EVENT_EXEC},
		{"{\"Type\":\"container\",\"Action\":\"exec_create: start\",\"Actor\":{\"ID\":\"" ID64 "\"}}", BH_DOCKER_EVENT_OTHER},
		{"{\"Type\":\"network\",\"Action\":\"connect\",\"Actor\":{\"ID\":\"" ID64 "\",\"Attributes\":{\"container\":5}}}",
			BH_DOCKER_EVENT_NETWORK},
		{"{\"Type\":\"container\",\"Action\":\"create\",\"Actor\":{\"ID\":\"" ID64 "\",\"Attributes\":{\"a\\u0000\":\"\\u0000\"}}}",
			BH_DOCKER_EVENT_CONFIGURED},
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
	static const char *const names[] = {"list.json", "network_front.json", "inspect_hard.json", "image_labels.json"};

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
			assert_int_equal(bh_docker_decode_inspect(text.s, n, &usual, &in), -EBADMSG);
			assert_int_equal(bh_docker_decode_image(text.s, n, &labels, NULL), -EBADMSG);
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
		cmocka_unit_test(registries_of_a_daemon),
		cmocka_unit_test(inspections_that_are_bad),
		cmocka_unit_test(capabilities),
		cmocka_unit_test(confinement),
		cmocka_unit_test(users),
		cmocka_unit_test(isolation_and_limits),
		cmocka_unit_test(mounts),
		cmocka_unit_test(times),
		cmocka_unit_test(images),
		cmocka_unit_test(events_of_a_day),
		cmocka_unit_test(events_that_are_bad),
		cmocka_unit_test(cut_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
