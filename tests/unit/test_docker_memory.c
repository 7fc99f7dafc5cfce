/* SPDX-License-Identifier: Apache-2.0 */
/* Every allocation between Docker's answers and the messages fails once: the answer is an error or the right one, nothing
 * leaks (the sanitizers say), and the same answers again end in the same state. The linker puts the functions below before
 * the C library's; jansson is told. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/runtime/docker_model.h"

#include <jansson.h>

#include "../common/no_memory.h"

struct heard {
	size_t containers, networks, endpoints, labels, image_labels, published;
	uint64_t memory;
};

static void hear(void *userdata, const struct bh_runtime_msg *msg)
{
	struct heard *h = userdata;

	if (msg->kind != BH_RUNTIME_MSG_SNAPSHOT)
		return;
	memset(h, 0, sizeof(*h));
	h->networks = msg->inventory->networks.n;
	h->containers = msg->inventory->containers.n;
	bh_vec_foreach(c, &msg->inventory->containers) {
		h->endpoints += c->endpoints.n;
		h->labels += c->labels.n;
		h->image_labels += c->image_labels.n;
		h->published += c->published.n;
		h->memory += c->posture.memory;
	}
}

#define ID "5739d89d85aa500f6d6d7abe0b512ae22ef318e5e06537f2b942d923c75494f4"
#define NET "96fe5d8eed0a083e3df7d5c76e93cd86401bc2fda444955c56f739fabb27ce2f"
#define IMAGE "sha256:8fe883481fb99a27039d2682b775dd311369e837f6c328751fa5970b0f0b960b"

static const char list_text[] = "[{\"Id\":\"" ID "\",\"Names\":[\"/web\"],\"Image\":\"web:1\",\"ImageID\":\"" IMAGE "\",\"State\":\"running\","
				"\"Labels\":{\"tier\":\"web\",\"nul\":\"\\\\u0000\"},\"Ports\":[{\"PrivatePort\":80,\"PublicPort\":8080,\"Type\":\"tcp\"}],"
				"\"HostConfig\":{\"NetworkMode\":\"front\"}}]";
static const char net_text[] = "{\"Id\":\"" NET "\",\"Name\":\"front\",\"Driver\":\"bridge\",\"IPAM\":{\"Config\":[{\"Subnet\":\"10.0.0.0/24\","
			       "\"Gateway\":\"10.0.0.1\"}]},\"Containers\":{\"" ID "\":{\"EndpointID\":\"e\",\"MacAddress\":\"02:00:00:00:00:02\","
			       "\"IPv4Address\":\"10.0.0.2/24\",\"IPv6Address\":\"fd00::2/64\"}}}";
static const char image_text[] = "{\"RepoDigests\":[\"web@sha256:1\"],\"Config\":{\"Labels\":{\"tier\":\"web\"}}}";
static const char inspect_text[] = "{\"Id\":\"" ID "\",\"Config\":{\"User\":\"7\",\"Image\":\"web:1\"},\"HostConfig\":{\"Memory\":7,\"SecurityOpt\":[\"apparmor=own\"],"
				   "\"Devices\":[{\"PathOnHost\":\"/dev/kvm\"}]},\"Mounts\":[{\"Type\":\"bind\",\"Source\":\"/etc\"}],\"ProcessLabel\":\"a:b:container_t:s0\"}";
static const char event_text[] = "{\"Type\":\"network\",\"Action\":\"connect\",\"Actor\":{\"ID\":\"" NET "\",\"Attributes\":{\"container\":\"" ID "\"}}}";

static int listed(struct bh_docker_model *m, uint64_t *seq)
{
	_cleanup_(bh_containers_clear) bh_containers l = {0};
	_cleanup_(bh_docker_networks_clear) bh_docker_networks nets = {0};
	_cleanup_(bh_docker_network_clear) struct bh_docker_network net = {0};
	_cleanup_(bh_docker_labels_clear) struct bh_docker_labels labels = {0};
	_cleanup_(bh_image_facts_clear) struct bh_image_facts facts = {0};
	char nets_text[sizeof(net_text) + 2];
	int r = bh_docker_decode_containers(list_text, strlen(list_text), &l);

	if (r == 0)
		r = bh_docker_model_list(m, ++*seq, &l);
	snprintf(nets_text, sizeof(nets_text), "[%s]", net_text);
	if (r == 0)
		r = bh_docker_decode_networks(nets_text, strlen(nets_text), &nets);
	if (r == 0)
		r = bh_docker_model_networks(m, ++*seq, &nets);
	if (r == 0)
		r = bh_docker_decode_network(net_text, strlen(net_text), &net);
	if (r == 0)
		r = bh_docker_model_set_network(m, ++*seq, NET, &net);
	if (r == 0)
		r = bh_docker_decode_image(image_text, strlen(image_text), &labels, &facts);
	return r == 0 ? bh_docker_model_set_image(m, IMAGE, &labels, &facts) : r;
}

static int followed(struct bh_docker_model *m, uint64_t *seq)
{
	static const struct bh_docker_settings host = {.apparmor = true, .selinux = true, .socket = "/run/docker.sock"};
	struct bh_docker_inspect i = {0};
	struct bh_docker_event e;
	int r = bh_docker_decode_event(event_text, strlen(event_text), &e);

	if (r == 0)
		r = bh_docker_model_connected(m, e.container, e.network);
	if (r == 0)
		r = bh_docker_model_started(m, e.container);
	if (r == 0)
		r = bh_docker_decode_inspect(inspect_text, strlen(inspect_text), &host, &i);
	if (r == 0)
		r = bh_docker_model_inspected(m, ++*seq, &i);
	bh_posture_clear(&i.posture);
	return r;
}

static int all_of_it(struct bh_docker_model *m, uint64_t *seq)
{
	int r = listed(m, seq);

	if (r == 0)
		r = bh_docker_model_snapshot(m);
	if (r == 0)
		r = followed(m, seq);
	if (r == 0)
		r = bh_docker_model_disconnected(m, ID, NET);
	if (r == 0)
		r = bh_docker_model_died(m, ID);
	if (r == 0)
		r = bh_docker_model_connected(m, ID, NET);
	if (r == 0)
		r = listed(m, seq);
	if (r == 0)
		r = followed(m, seq);
	return r == 0 ? bh_docker_model_snapshot(m) : r;
}

static void heard_all(const struct heard *h)
{
	assert_int_equal(h->networks, 1);
	assert_int_equal(h->containers, 1);
	assert_int_equal(h->endpoints, 1);
	assert_int_equal(h->labels, 2);
	assert_int_equal(h->image_labels, 1);
	assert_int_equal(h->published, 2);
	assert_int_equal(h->memory, 7);
}

static void each_allocation_fails_once(void **state)
{
	long n;

	(void)state;
	for (n = 0; n < 100000; n++) {
		struct heard h = {0};
		struct bh_docker_model m = {.fn = hear, .userdata = &h, .quiet = true};
		uint64_t seq = 0;
		int r;

		left = n;
		r = all_of_it(&m, &seq);
		if (left >= 0) {
			/* enough for all of it */
			left = -1;
			assert_int_equal(r, 0);
			bh_docker_model_free_contents(&m);
			break;
		}
		left = -1;
		/* jansson does not always tell it from bad syntax */
		if (r != -ENOMEM && r != -EBADMSG && r != 0)
			fail_msg("allocation %ld: %d", n, r);
		if (r == 0)
			heard_all(&h);
		assert_int_equal(all_of_it(&m, &seq), 0);
		heard_all(&h);
		bh_docker_model_free_contents(&m);
	}
	assert_in_range(n, 100, 99999);
	print_message("# %ld allocations\n", n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_allocation_fails_once),
	};

	json_set_alloc_funcs(__wrap_malloc, free);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
