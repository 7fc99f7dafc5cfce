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

static void inspect(const char *text, size_t n)
{
	static const struct bh_docker_settings host = {
		.seccomp = BH_CONFINED_DEFAULT, .apparmor = true, .selinux = true, .userns = true, .socket = "/run/docker.sock"};
	struct bh_docker_inspect in = {0};
	_cleanup_(bh_posture_clear) struct bh_posture copy = {0};

	if (bh_docker_decode_inspect(text, n, &host, &in) < 0) {
		if (in.posture.known || in.posture.mounts.v)
			__builtin_trap();
		return;
	}
	if (!bh_docker_is_container_id(in.id) || !in.posture.known || (in.posture.privileged && (in.posture.seccomp || ~in.posture.caps & BH_CAPS_ALL)))
		__builtin_trap();
	bh_vec_foreach(m, &in.posture.mounts)
		if (m->source[0] != '/' || strstr(m->source, "//") || (m->source[1] && m->source[strlen(m->source) - 1] == '/') ||
			(m > in.posture.mounts.v && strcmp(m[-1].source, m->source) >= 0))
			__builtin_trap();
	if (bh_posture_copy(&copy, &in.posture) == 0 && (!bh_posture_equal(&copy, &in.posture) || bh_posture_sum(0, &copy) != bh_posture_sum(0, &in.posture)))
		__builtin_trap();
	bh_posture_clear(&in.posture);
}

static void image(const char *text, size_t n)
{
	_cleanup_(bh_docker_labels_clear) struct bh_docker_labels labels = {0};
	_cleanup_(bh_image_facts_clear) struct bh_image_facts facts = {0};
	int r = bh_docker_decode_image(text, n, &labels, &facts);

	if ((r == 0 && labels.flawed && labels.v.n) || facts.known != (r == 0) || facts.created < 0)
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(bh_registries_clear) struct bh_registries registries = {0};
	struct bh_docker_settings settings;
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
		inspect(text, size - 1);
		break;
	case 4:
		image(text, size - 1);
		break;
	case 5:
		if (bh_docker_decode_info(text, size - 1, &settings, &registries) == 0 && settings.seccomp_missing && settings.seccomp)
			__builtin_trap();
		break;
	}
	return 0;
}
