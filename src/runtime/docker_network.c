/* SPDX-License-Identifier: Apache-2.0 */
/* GET /networks and GET /networks/ID. */
#include "docker_decode.h"
#include "json.h"

#include <bulkhead/host.h>

#include <errno.h>
#include <string.h>

/* libnetwork, drivers/bridge: the option, docker0 for the default network, else the id's beginning. */
static int bridge_decode(const json_t *o, struct bh_network *n, int *err)
{
	const json_t *options = bh_json_object(o, "Options", err);
	const char *name = bh_json_string(options, "com.docker.network.bridge.name", err);
	char own[BH_IFNAME];

	if (!bh_streq(n->driver, "bridge"))
		return 0;
	if (!name || !*name) {
		if (bh_streq(n->name, "bridge")) {
			name = "docker0";
		} else {
			memcpy(own, "br-", 3);
			memcpy(own + 3, n->id, 12);
			own[15] = '\0';
			name = own;
		}
	}
	/* the kernel would not take another one either (dev_valid_name) */
	if (strlen(name) >= BH_IFNAME || strpbrk(name, "/: \t\n\r\v\f") || !strcmp(name, ".") || !strcmp(name, ".."))
		return -EBADMSG;
	return bh_strdup(&n->bridge, name);
}

/* Some versions keep a gateway with its prefix length, and addresses always have one. */
static int addr_decode(const char *s, struct bh_addr *ret)
{
	char text[BH_ADDR_TEXT];
	size_t n = strcspn(s, "/");

	if (n >= sizeof(text))
		return -EBADMSG;
	memcpy(text, s, n);
	text[n] = '\0';
	return bh_addr_parse(text, ret) < 0 ? -EBADMSG : 0;
}

static int ipam_decode(const json_t *o, struct bh_network *n, int *err)
{
	const json_t *config = bh_json_array(bh_json_object(o, "IPAM", err), "Config", err);
	size_t i;
	json_t *j;

	json_array_foreach (config, i, j) {
		const char *subnet = bh_json_string(j, "Subnet", err), *gateway = bh_json_string(j, "Gateway", err);
		struct bh_prefix prefix;
		struct bh_addr addr;
		int r;

		if (*err || !json_is_object(j))
			return -EBADMSG;
		if (subnet && *subnet) {
			r = bh_prefix_parse(subnet, &prefix);
			if (r < 0 && r != -EDOM)
				return -EBADMSG;
			if (bh_vec_push(&n->subnets, prefix) < 0)
				return -ENOMEM;
		}
		if (gateway && *gateway) {
			r = addr_decode(gateway, &addr);
			if (r == 0)
				r = bh_vec_push(&n->gateways, addr);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int endpoint_decode(const json_t *o, const char *network_id, struct bh_endpoint *e)
{
	int err = 0;
	const char *id = bh_json_string(o, "EndpointID", &err), *mac = bh_json_string(o, "MacAddress", &err);
	const char *addrs[] = {bh_json_string(o, "IPv4Address", &err), bh_json_string(o, "IPv6Address", &err)};

	if (err || !json_is_object(o))
		return -EBADMSG;
	if (bh_strdup(&e->network_id, network_id) < 0 || bh_strdup(&e->id, bh_docker_is_id(id) ? id : NULL) < 0)
		return -ENOMEM;
	if (mac && *mac) {
		if (bh_mac_parse(mac, &e->mac) < 0)
			return -EBADMSG;
		e->has_mac = true;
	}
	for (size_t i = 0; i < BH_ARRAY_SIZE(addrs); i++) {
		struct bh_addr a;
		int r;

		if (!addrs[i] || !*addrs[i])
			continue;
		r = addr_decode(addrs[i], &a);
		if (r == 0)
			r = bh_vec_push(&e->addrs, a);
		if (r < 0)
			return r;
	}
	return 0;
}

int bh_docker_attachment_cmp(const void *a, const void *b)
{
	return strcmp(((const struct bh_docker_attachment *)a)->container, ((const struct bh_docker_attachment *)b)->container);
}

static int attachments_decode(const json_t *o, struct bh_docker_network *n, int *err)
{
	const json_t *containers = bh_json_object(o, "Containers", err);
	const char *key;
	json_t *j;

	if (json_object_size(containers) > BH_ENDPOINTS_MAX)
		return -EBADMSG;
	json_object_foreach ((json_t *)(uintptr_t)containers, key, j) {
		struct bh_docker_attachment *a;
		int r;

		if (strlen(key) > 2 * BH_DOCKER_ID)
			return -EBADMSG;
		a = bh_vec_add(&n->attachments);
		r = a ? bh_strdup(&a->container, key) : -ENOMEM;
		if (r == 0 && strncmp(key, "ep-", 3) == 0)
			r = bh_strdup(&a->name, bh_json_string(j, "Name", err));
		if (r == 0)
			r = endpoint_decode(j, n->network.id, &a->endpoint);
		if (r < 0)
			return r;
		/* moby, builder/builder-next/executor_unix.go: one id for the sandbox and the endpoint's name. The name alone would
		 * be anybody's choice. */
		a->build = bh_docker_is_build_id(key) && bh_streq(bh_json_string(j, "Name", err), key);
	}
	if (n->attachments.n > 1)
		qsort(n->attachments.v, n->attachments.n, sizeof(*n->attachments.v), bh_docker_attachment_cmp);
	return 0;
}

static int network_decode(const json_t *o, struct bh_docker_network *n)
{
	int err = 0, r;
	const char *id = bh_json_string(o, "Id", &err), *name = bh_json_string(o, "Name", &err);
	const char *driver = bh_json_string(o, "Driver", &err);

	if (err || !bh_docker_is_id(id) || strlen(id) < 12)
		return -EBADMSG;
	if (!name || !*name || strlen(name) > BH_NAME_MAX || strstr(name, BH_JSON_NUL) || (driver && strlen(driver) > BH_NAME_MAX)) {
		n->flawed = true;
		name = driver = "";
	}
	n->network.internal = bh_json_bool(o, "Internal", &err);
	if (bh_strdup(&n->network.id, id) < 0 || bh_strdup(&n->network.name, name) < 0 ||
		bh_strdup(&n->network.driver, driver ? driver : "") < 0)
		return -ENOMEM;
	r = bridge_decode(o, &n->network, &err);
	if (r == 0)
		r = ipam_decode(o, &n->network, &err);
	if (r == 0)
		r = attachments_decode(o, n, &err);
	return r < 0 ? r : err;
}

int bh_docker_decode_network(const char *text, size_t n, struct bh_docker_network *ret)
{
	_cleanup_json_ json_t *j = NULL;
	struct bh_docker_network net = {0};
	int r = bh_json_parse(text, n, &j);

	if (r == 0)
		r = network_decode(j, &net);
	if (r < 0) {
		bh_docker_network_clear(&net);
		return r;
	}
	*ret = net;
	return 0;
}

int bh_docker_decode_networks(const char *text, size_t n, bh_docker_networks *ret)
{
	_cleanup_json_ json_t *j = NULL;
	bh_docker_networks list = {0};
	json_t *o;
	size_t i;
	int r = bh_json_parse(text, n, &j);

	if (r < 0)
		return r;
	if (!json_is_array(j))
		return -EBADMSG;
	json_array_foreach (j, i, o) {
		struct bh_docker_network *net = bh_vec_add(&list);

		r = net ? network_decode(o, net) : -ENOMEM;
		if (r < 0) {
			bh_docker_networks_clear(&list);
			return r;
		}
	}
	memcpy(ret, &list, sizeof(list));
	return 0;
}

void bh_docker_network_clear(struct bh_docker_network *n)
{
	bh_network_clear(&n->network);
	bh_vec_foreach(a, &n->attachments) {
		free(a->container);
		free(a->name);
		free(a->endpoint.id);
		free(a->endpoint.network_id);
		bh_vec_clear(&a->endpoint.addrs);
	}
	bh_vec_clear(&n->attachments);
	memset(n, 0, sizeof(*n));
}

void bh_docker_networks_clear(bh_docker_networks *l)
{
	bh_vec_foreach(n, l)
		bh_docker_network_clear(n);
	bh_vec_clear(l);
}
