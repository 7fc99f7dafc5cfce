/* SPDX-License-Identifier: Apache-2.0 */
/* The decoders of Docker's answers and events: the first byte, a digit in seeds, chooses one. */
#include "../../src/runtime/docker_decode.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void containers(const char *text, size_t n)
{
	_cleanup_(bh_containers_clear) bh_containers l = {0};

	if (bh_docker_decode_containers(text, n, &l) < 0 && l.n)
		__builtin_trap();
	bh_vec_foreach(c, &l) {
		if (!bh_docker_is_container_id(c->id) || !c->name || !*c->name || (c->flaw && c->labels.n))
			__builtin_trap();
		bh_vec_foreach(p, &c->published)
			if (!p->host_port || !p->container_port || (p->host.family != 4 && p->host.family != 6))
				__builtin_trap();
	}
}

static void networks(const char *text, size_t n)
{
	_cleanup_(bh_docker_networks_clear) bh_docker_networks l = {0};
	_cleanup_(bh_docker_network_clear) struct bh_docker_network one = {0};

	if (bh_docker_decode_networks(text, n, &l) < 0 && l.n)
		__builtin_trap();
	if (bh_docker_decode_network(text, n, &one) < 0) {
		if (one.network.id)
			__builtin_trap();
		return;
	}
	if (!bh_docker_is_id(one.network.id) || (one.network.bridge && strlen(one.network.bridge) > 15))
		__builtin_trap();
}

static void event(const char *text, size_t n)
{
	struct bh_docker_event e;

	if (bh_docker_decode_event(text, n, &e) < 0)
		return;
	if ((*e.container && !bh_docker_is_id(e.container)) || (*e.network && !bh_docker_is_id(e.network)))
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const sockets[] = {"/run/docker.sock"};
	struct bh_docker_inspect inspect = {0};
	struct bh_fact fact = {0};
	_cleanup_(bh_docker_labels_clear) struct bh_docker_labels labels = {0};
	const char *text = (const char *)data + 1;

	if (size == 0)
		return 0;
	switch ((data[0] - '0' + 60) % 6) {
	case 0:
		containers(text, size - 1);
		break;
	case 1:
		networks(text, size - 1);
		break;
	case 2:
		event(text, size - 1);
		break;
	case 3:
		if (bh_docker_decode_inspect(text, size - 1, &inspect) == 0 && inspect.pid < 0)
			__builtin_trap();
		break;
	case 4:
		if (bh_docker_decode_image(text, size - 1, &labels) == 0 && labels.flawed && labels.v.n)
			__builtin_trap();
		break;
	case 5:
		if (bh_docker_decode_fact(text, size - 1, sockets, 1, &fact) == 0 && (!fact.id || (fact.socket_mount && fact.socket_mount[0] != '/')))
			__builtin_trap();
		free(fact.id);
		free(fact.socket_mount);
		break;
	}
	return 0;
}
