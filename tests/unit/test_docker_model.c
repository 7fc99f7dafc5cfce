/* SPDX-License-Identifier: Apache-2.0 */
/* What is told, from answers and events in every order. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/runtime/docker_model.h"

#include <bulkhead/buf.h>

#define C1 "1111111111111111111111111111111111111111111111111111111111111111"
#define C2 "2222222222222222222222222222222222222222222222222222222222222222"
#define N1 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define IMAGE "sha256:eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"

struct world {
	struct bh_docker_model m;
	struct bh_buf said;		/* one line a message */
};

static void hear(void *userdata, const struct bh_runtime_msg *msg)
{
	static const char *const states[] = {"created", "running", "paused", "stopped"};
	struct world *w = userdata;

	switch (msg->kind) {
	case BH_RUNTIME_MSG_SNAPSHOT:
		bh_buf_printf(&w->said, "snapshot %zu %zu\n", msg->inventory->networks.n, msg->inventory->containers.n);
		break;
	case BH_RUNTIME_MSG_CONTAINER:
		bh_buf_printf(&w->said, "%.2s %s%s ends=%zu memory=%d image=%zu%s\n", msg->container->id,
			msg->container->kind == BH_KIND_BUILD ? "build " : "", states[msg->container->state],
			msg->container->endpoints.n, (int)msg->container->posture.memory, msg->container->image_labels.n,
			msg->container->flaw ? " flaw" : "");
		break;
	case BH_RUNTIME_MSG_GONE:
		bh_buf_printf(&w->said, "%.2s gone\n", msg->id);
		break;
	case BH_RUNTIME_MSG_NETWORK:
		bh_buf_printf(&w->said, "%.2s net\n", msg->network->id);
		break;
	case BH_RUNTIME_MSG_NETWORK_GONE:
		bh_buf_printf(&w->said, "%.2s net gone\n", msg->id);
		break;
	case BH_RUNTIME_MSG_STATE:
		bh_buf_puts(&w->said, "state\n");
		break;
	case BH_RUNTIME_MSG_REGISTRIES:
	case BH_RUNTIME_MSG_RESOLVERS:
	case BH_RUNTIME_MSG_EXEC:
		break;
	}
}

/* What was said since the last time. */
static void said(struct world *w, const char *expect)
{
	const char *s = w->said.s && w->said.n ? w->said.s : "";

	if (strcmp(s, expect) != 0)
		fail_msg("said\n%snot\n%s", s, expect);
	w->said.n = 0;
	if (w->said.s)
		w->said.s[0] = '\0';
}

static void containers(bh_containers *ret, const char *id1, const char *state, const char *id2)
{
	_cleanup_buf_ struct bh_buf t = {0};

	bh_buf_puts(&t, "[");
	if (id1)
		bh_buf_printf(&t, "{\"Id\":\"%s\",\"State\":\"%s\",\"ImageID\":\"" IMAGE "\",\"Labels\":{\"a\":\"b\"}}", id1, state);
	if (id2)
		bh_buf_printf(&t, ",{\"Id\":\"%s\",\"State\":\"running\",\"ImageID\":\"" IMAGE "\"}", id2);
	bh_buf_puts(&t, "]");
	assert_int_equal(bh_docker_decode_containers(t.s, t.n, ret), 0);
}

static void list(struct world *w, uint64_t seq, const char *id1, const char *state, const char *id2)
{
	_cleanup_(bh_containers_clear) bh_containers l = {0};

	containers(&l, id1, state, id2);
	assert_int_equal(bh_docker_model_list(&w->m, seq, &l), 0);
}

static void look(struct world *w, uint64_t seq, const char *id, const char *state)
{
	_cleanup_(bh_containers_clear) bh_containers l = {0};
	_cleanup_(bh_strv_clear) struct bh_strv ids = {0};

	assert_int_equal(bh_strv_push(&ids, id), 0);
	containers(&l, state ? id : NULL, state, NULL);
	assert_int_equal(bh_docker_model_look(&w->m, seq, &ids, &l), 0);
}

static void network(struct world *w, uint64_t seq, const char *c1, const char *c2)
{
	_cleanup_buf_ struct bh_buf t = {0};
	_cleanup_(bh_docker_network_clear) struct bh_docker_network n = {0};

	bh_buf_puts(&t, "{\"Id\":\"" N1 "\",\"Name\":\"n\",\"Driver\":\"bridge\",\"Containers\":{");
	if (c1)
		bh_buf_printf(&t, "\"%s\":{\"IPv4Address\":\"10.0.0.2/24\",\"MacAddress\":\"02:00:00:00:00:02\"}", c1);
	if (c2)
		bh_buf_printf(&t, "%s\"%s\":{\"IPv4Address\":\"10.0.0.3/24\"}", c1 ? "," : "", c2);
	bh_buf_puts(&t, "}}");
	assert_int_equal(bh_docker_decode_network(t.s, t.n, &n), 0);
	assert_int_equal(bh_docker_model_set_network(&w->m, seq, N1, &n), 0);
}

static void image(struct world *w, const char *text)
{
	_cleanup_(bh_docker_labels_clear) struct bh_docker_labels l = {0};
	struct bh_image_facts facts = {0};

	if (text)
		assert_int_equal(bh_docker_decode_image(text, strlen(text), &l, &facts), 0);
	assert_int_equal(bh_docker_model_set_image(&w->m, IMAGE, text ? &l : NULL, &facts), 0);
}

static void inspected(struct world *w, uint64_t seq, const char *id, int memory)
{
	struct bh_docker_inspect i = {.posture = {.known = true, .memory = (uint64_t)memory}};

	memcpy(i.id, id, 65);
	assert_int_equal(bh_docker_model_inspected(&w->m, seq, &i), 0);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w)
		return -1;
	w->m.fn = hear;
	w->m.userdata = w;
	w->m.quiet = true;
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	bh_docker_model_free_contents(&w->m);
	bh_buf_free(&w->said);
	free(w);
	return 0;
}

/* One network and one running container with a known image, told as a snapshot. */
static void usual(struct world *w)
{
	list(w, 1, C1, "running", NULL);
	network(w, 2, C1, NULL);
	image(w, "{\"Config\":{\"Labels\":null}}");
	said(w, "");
	assert_int_equal(bh_docker_model_snapshot(&w->m), 0);
	said(w, "snapshot 1 1\n");
}

static void same_answer_is_no_news(void **state)
{
	struct world *w = *state;

	usual(w);
	list(w, 3, C1, "running", NULL);
	network(w, 4, C1, NULL);
	look(w, 5, C1, "running");
	said(w, "");
	look(w, 6, C1, "paused");
	said(w, "11 paused ends=1 memory=0 image=0\n");
}

static void old_answers_change_nothing(void **state)
{
	struct world *w = *state;

	usual(w);
	look(w, 9, C1, NULL);
	said(w, "11 gone\n");
	list(w, 8, C1, "running", C2);
	said(w, "22 running ends=0 memory=0 image=0\n");
	look(w, 8, C1, "running");
	said(w, "");
	/* one that a list does not have yet is not gone by it */
	look(w, 12, C1, "created");
	said(w, "11 created ends=1 memory=0 image=0\n");
	look(w, 11, C1, NULL);
	said(w, "");
	list(w, 11, NULL, NULL, NULL);
	said(w, "22 gone\n");
	network(w, 20, NULL, NULL);
	said(w, "11 created ends=0 memory=0 image=0\n");
	network(w, 19, C1, NULL);
	said(w, "");
}

static void tombstones_are_swept(void **state)
{
	struct world *w = *state;

	usual(w);
	for (uint64_t i = 0; i < 100; i++) {
		char id[BH_DOCKER_ID];

		snprintf(id, sizeof(id), "%064llx", (unsigned long long)i);
		look(w, 10 + 2 * i, id, "created");
		assert_non_null(bh_docker_model_add_container(&w->m, id));
		look(w, 11 + 2 * i, id, "created");
		look(w, 12 + 2 * i, id, NULL);
	}
	assert_true(w->m.containers.n > 100);
	list(w, 1000, C1, "running", NULL);
	assert_int_equal(w->m.containers.n, 1);
	assert_int_equal(w->m.images.n, 1);
}

static void nothing_is_told_before_the_image(void **state)
{
	struct world *w = *state;

	list(w, 1, NULL, NULL, NULL);
	assert_int_equal(bh_docker_model_snapshot(&w->m), 0);
	said(w, "snapshot 0 0\n");
	look(w, 2, C1, "created");
	assert_non_null(bh_docker_model_add_container(&w->m, C1));
	look(w, 3, C1, "created");
	network(w, 4, C1, NULL);
	said(w, "aa net\n");
	image(w, NULL);
	/* not to be had: its own labels count as the image's */
	said(w, "11 created ends=1 memory=0 image=1\n");
	image(w, "{\"Config\":{\"Labels\":{}}}");
	said(w, "11 created ends=1 memory=0 image=0\n");
	image(w, "{\"Config\":{\"Labels\":{\"a\\u0000\":\"\"}}}");
	said(w, "11 created ends=0 memory=0 image=0 flaw\n");
}

/* What it is configured as stays when it dies: it starts again like that. */
static void die_drops_at_once_and_for_good(void **state)
{
	struct world *w = *state;

	usual(w);
	inspected(w, 3, C1, 77);
	said(w, "11 running ends=1 memory=77 image=0\n");
	assert_int_equal(bh_docker_model_died(&w->m, C1), 0);
	said(w, "11 stopped ends=0 memory=77 image=0\n");
	/* the list and the network do not know yet */
	look(w, 4, C1, "running");
	network(w, 5, C1, NULL);
	said(w, "");
	assert_int_equal(bh_docker_model_disconnected(&w->m, C1, N1), 0);
	network(w, 6, NULL, NULL);
	look(w, 7, C1, "exited");
	said(w, "");
	/* started again: attached before the list knows */
	assert_int_equal(bh_docker_model_connected(&w->m, C1, N1), 0);
	network(w, 8, C1, NULL);
	said(w, "11 created ends=1 memory=77 image=0\n");
	assert_int_equal(bh_docker_model_started(&w->m, C1), 0);
	look(w, 9, C1, "running");
	said(w, "11 running ends=1 memory=77 image=0\n");
}

/* An inspection that was asked for before the last change says nothing of it; until there is a younger one, what was known counts. */
static void configured_again(void **state)
{
	struct world *w = *state;
	struct bh_docker_container *c;

	usual(w);
	c = bh_docker_model_container(&w->m, C1);
	assert_true(c->inspect);
	inspected(w, 3, C1, 77);
	c->inspect = false;
	look(w, 4, C1, "running");
	assert_false(c->inspect);
	said(w, "11 running ends=1 memory=77 image=0\n");
	assert_int_equal(bh_docker_model_configured(&w->m, 5, C1), 0);
	assert_true(c->inspect && c->marked);
	inspected(w, 5, C1, 78);
	said(w, "");
	inspected(w, 6, C1, 79);
	said(w, "11 running ends=1 memory=79 image=0\n");
	inspected(w, 4, C1, 77);
	said(w, "");
	/* one whose inspection was not answered is asked about again by the next look */
	assert_int_equal(bh_docker_model_configured(&w->m, 7, C1), 0);
	c->inspect = false;
	look(w, 8, C1, "running");
	assert_true(c->inspect);
	/* under way */
	c->inspect = false;
	c->inspecting = true;
	look(w, 9, C1, "running");
	assert_false(c->inspect);
	bh_docker_model_doubt(&w->m);
	assert_true(c->inspect);
}

static void disconnect_beats_the_answer_under_way(void **state)
{
	struct world *w = *state;
	struct bh_docker_net *n;

	usual(w);
	n = bh_docker_model_network(&w->m, N1);
	n->busy = true;
	assert_int_equal(bh_docker_model_disconnected(&w->m, C1, N1), 0);
	said(w, "11 running ends=0 memory=0 image=0\n");
	assert_true(n->marked);
	network(w, 3, C1, NULL);
	said(w, "");
	/* twice is once; and the next look may show it again */
	assert_int_equal(bh_docker_model_disconnected(&w->m, C1, N1), 0);
	n->busy = false;
	bh_strv_clear(&n->dropped);
	network(w, 4, C1, NULL);
	said(w, "11 running ends=1 memory=0 image=0\n");
}

static void networks_go_after_their_members(void **state)
{
	struct world *w = *state;

	usual(w);
	assert_int_equal(bh_docker_model_set_network(&w->m, 3, N1, NULL), 0);
	said(w, "11 running ends=0 memory=0 image=0\naa net gone\n");
	network(w, 4, C1, NULL);
	said(w, "aa net\n11 running ends=1 memory=0 image=0\n");
	/* somebody in it of whom nobody has heard */
	network(w, 5, C1, C2);
	said(w, "");
	assert_true(bh_docker_model_container(&w->m, C2)->marked);
}

/* BuildKit's steps stand in their network alone: the key and the name are one id of 25 characters. */
static void build(struct world *w, uint64_t seq, const char *key, const char *name)
{
	_cleanup_buf_ struct bh_buf t = {0};
	_cleanup_(bh_docker_network_clear) struct bh_docker_network n = {0};

	bh_buf_puts(&t, "{\"Id\":\"" N1 "\",\"Name\":\"n\",\"Driver\":\"bridge\",\"Containers\":{");
	if (key)
		bh_buf_printf(&t, "\"%s\":{\"Name\":\"%s\",\"IPv4Address\":\"10.0.0.7/24\",\"MacAddress\":\"02:00:00:00:00:07\"}",
			key, name);
	bh_buf_puts(&t, "}}");
	assert_int_equal(bh_docker_decode_network(t.s, t.n, &n), 0);
	assert_int_equal(bh_docker_model_set_network(&w->m, seq, N1, &n), 0);
}

static void builds_are_told_from_their_network(void **state)
{
	static const char step[] = "tg5a3m6zt0uob6y4qwxxbm676";
	struct world *w = *state;

	list(w, 1, NULL, NULL, NULL);
	build(w, 2, step, step);
	said(w, "");
	assert_int_equal(bh_docker_model_snapshot(&w->m), 0);
	said(w, "snapshot 1 1\n");
	build(w, 3, step, step);
	said(w, "");
	build(w, 4, NULL, NULL);
	said(w, "tg gone\n");
	/* a sandbox is not joined yet; names that anybody may choose; a container's id is none of a build's */
	build(w, 5, "ep-fd22e552ec07a3ecb0140359e04c9da341763edf486ea83c8d79f9b78a41cccb", step);
	build(w, 6, step, "web");
	build(w, 7, "TG5a3m6zt0uob6y4qwxxbm676", "TG5a3m6zt0uob6y4qwxxbm676");
	build(w, 8, "ingress-sbox", "ingress-sbox");
	build(w, 9, C1, C1);
	said(w, "");
	build(w, 10, step, step);
	said(w, "tg build running ends=1 memory=0 image=0\n");
	assert_int_equal(bh_docker_model_set_network(&w->m, 11, N1, NULL), 0);
	said(w, "tg gone\naa net gone\n");
}

/* `docker network connect` of a running container: its interface is up before its endpoint has its id. */
static void a_running_container_is_known_while_it_joins(void **state)
{
	static const char ep[] = "ep-fd22e552ec07a3ecb0140359e04c9da341763edf486ea83c8d79f9b78a41cccb";
	struct world *w = *state;

	usual(w);
	network(w, 3, NULL, NULL);
	said(w, "11 running ends=0 memory=0 image=0\n");
	build(w, 4, ep, "somebody");
	said(w, "");
	build(w, 5, ep, "111111111111");
	said(w, "11 running ends=1 memory=0 image=0\n");
	build(w, 6, C1, "111111111111");
	said(w, "");
	/* one that does not run has time until it has */
	look(w, 7, C1, "created");
	build(w, 8, NULL, NULL);
	w->said.n = 0;
	build(w, 9, ep, "111111111111");
	said(w, "");
	look(w, 10, C1, "running");
	build(w, 11, ep, "111111111111");
	said(w, "11 running ends=0 memory=0 image=0\n11 running ends=1 memory=0 image=0\n");
	assert_int_equal(bh_docker_model_died(&w->m, C1), 0);
	build(w, 12, ep, "111111111111");
	said(w, "11 stopped ends=0 memory=0 image=0\n");
}

static void start_that_fails(void **state)
{
	struct world *w = *state;

	usual(w);
	assert_non_null(bh_docker_model_add_container(&w->m, C2));
	look(w, 3, C2, "created");
	assert_int_equal(bh_docker_model_connected(&w->m, C2, N1), 0);
	network(w, 4, C1, C2);
	said(w, "22 created ends=0 memory=0 image=0\n22 created ends=1 memory=0 image=0\n");
	assert_int_equal(bh_docker_model_disconnected(&w->m, C2, N1), 0);
	look(w, 5, C2, NULL);
	said(w, "22 created ends=0 memory=0 image=0\n22 gone\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(same_answer_is_no_news, setup, teardown),
		cmocka_unit_test_setup_teardown(old_answers_change_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(tombstones_are_swept, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_is_told_before_the_image, setup, teardown),
		cmocka_unit_test_setup_teardown(die_drops_at_once_and_for_good, setup, teardown),
		cmocka_unit_test_setup_teardown(configured_again, setup, teardown),
		cmocka_unit_test_setup_teardown(disconnect_beats_the_answer_under_way, setup, teardown),
		cmocka_unit_test_setup_teardown(networks_go_after_their_members, setup, teardown),
		cmocka_unit_test_setup_teardown(builds_are_told_from_their_network, setup, teardown),
		cmocka_unit_test_setup_teardown(a_running_container_is_known_while_it_joins, setup, teardown),
		cmocka_unit_test_setup_teardown(start_that_fails, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
