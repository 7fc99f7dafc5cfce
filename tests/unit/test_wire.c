/* SPDX-License-Identifier: Apache-2.0 */
/* A runtime's messages between processes: what is written is read as it was, however it is cut; what no sender of ours writes is refused. */
#include "../../src/runtime/wire.h"
#include "../common/inventory_random.h"

#include <bulkhead/wire.h>

#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

static int keep(void *userdata, const char *data, size_t n)
{
	bh_buf_putn(userdata, data, n);
	return 0;
}

/* Compares each message with what is expected next. */
struct ears {
	const struct bh_inventory *inventory;
	const struct bh_runtime_msg *expect;	/* one, or NULL: nothing is compared */
	size_t heard;
};

static void same_inventory(const struct bh_inventory *a, const struct bh_inventory *b)
{
	assert_int_equal(a->containers.n, b->containers.n);
	assert_int_equal(a->networks.n, b->networks.n);
	for (size_t i = 0; i < a->containers.n; i++) {
		assert_true(bh_container_equal(&a->containers.v[i], &b->containers.v[i]));
		assert_string_equal(a->containers.v[i].runtime, b->containers.v[i].runtime);
	}
	for (size_t i = 0; i < a->networks.n; i++)
		assert_true(bh_network_equal(&a->networks.v[i], &b->networks.v[i]));
}

static void hear(void *userdata, const struct bh_runtime_msg *msg)
{
	struct ears *e = userdata;

	e->heard++;
	if (!e->expect)
		return;
	assert_int_equal(msg->kind, e->expect->kind);
	switch (msg->kind) {
	case BH_RUNTIME_MSG_STATE:
		assert_int_equal(msg->state, e->expect->state);
		assert_true(bh_streq(msg->reason, e->expect->reason));
		break;
	case BH_RUNTIME_MSG_SNAPSHOT:
		same_inventory(msg->inventory, e->expect->inventory);
		break;
	case BH_RUNTIME_MSG_CONTAINER:
		assert_true(bh_container_equal(msg->container, e->expect->container));
		break;
	case BH_RUNTIME_MSG_NETWORK:
		assert_true(bh_network_equal(msg->network, e->expect->network));
		break;
	case BH_RUNTIME_MSG_GONE:
	case BH_RUNTIME_MSG_NETWORK_GONE:
		assert_string_equal(msg->id, e->expect->id);
		break;
	case BH_RUNTIME_MSG_EXEC:
		assert_string_equal(msg->id, e->expect->id);
		assert_string_equal(msg->text, e->expect->text);
		break;
	case BH_RUNTIME_MSG_REGISTRIES:
		assert_true(bh_registries_equal(msg->registries, e->expect->registries));
		break;
	case BH_RUNTIME_MSG_RESOLVERS:
		assert_true(bh_streq(msg->reason, e->expect->reason));
		assert_int_equal(msg->addrs->v.n, e->expect->addrs->v.n);
		for (size_t i = 0; i < msg->addrs->v.n; i++)
			assert_int_equal(bh_addr_cmp(&msg->addrs->v.v[i], &e->expect->addrs->v.v[i]), 0);
		break;
	}
}

/* In pieces of STEP bytes. */
static int feed(const struct bh_buf *b, size_t step, struct ears *e)
{
	struct bh_runtime_reader r = {0};
	int x = 0;

	for (size_t at = 0; at < b->n && x == 0; at += step)
		x = bh_runtime_reader_feed(&r, b->s + at, b->n - at < step ? b->n - at : step, hear, e);
	bh_runtime_reader_clear(&r);
	return x;
}

static void goes_through(const struct bh_runtime_msg *msg)
{
	static const size_t steps[] = {1, 7, 4096, SIZE_MAX};
	struct bh_buf b = {0};

	assert_int_equal(bh_runtime_wire_tell(msg, keep, &b), 0);
	for (size_t i = 0; i < BH_ARRAY_SIZE(steps); i++) {
		struct ears e = {.expect = msg};

		assert_int_equal(feed(&b, steps[i], &e), 0);
		assert_int_equal(e.heard, 1);
	}
	bh_buf_free(&b);
}

static struct bh_inventory *random_inventory(uint64_t *seed)
{
	struct bh_inventory *i = calloc(1, sizeof(*i));

	for (size_t n = random_next(seed) % 5; n > 0; n--)
		random_container(seed, bh_vec_add(&i->containers));
	for (size_t n = random_next(seed) % 4; n > 0; n--)
		random_network(seed, bh_vec_add(&i->networks));
	return i;
}

static void test_registries_go_through(void **state)
{
	struct bh_prefix net = {.addr = {.family = 4, .b = {10}}, .len = 8};
	struct bh_registries r = {.known = true}, none = {0};

	(void)state;
	assert_int_equal(bh_vec_push(&r.insecure, net), 0);
	assert_int_equal(bh_strv_push(&r.insecure_names, "registry.example.org:5000"), 0);
	assert_int_equal(bh_strv_push(&r.secure_names, "docker.io"), 0);
	assert_int_equal(bh_strv_push(&r.plain_mirrors, "http://mirror:5000/"), 0);
	goes_through(&(struct bh_runtime_msg){.kind = BH_RUNTIME_MSG_REGISTRIES, .registries = &r});
	goes_through(&(struct bh_runtime_msg){.kind = BH_RUNTIME_MSG_REGISTRIES, .registries = &none});
	bh_registries_clear(&r);
}

static void test_round_trip(void **state)
{
	uint64_t seed = 7;

	(void)state;
	for (int k = 0; k < 200; k++) {
		struct bh_inventory *i = random_inventory(&seed);
		struct bh_addrs addrs = {0};
		const struct bh_runtime_msg whole = {.kind = BH_RUNTIME_MSG_SNAPSHOT, .inventory = i};
		const struct bh_runtime_msg told = {.kind = BH_RUNTIME_MSG_STATE, .state = (enum bh_runtime_state)(k % 3), .reason = k % 2 ? "why" : NULL};
		struct bh_runtime_msg resolvers = {.kind = BH_RUNTIME_MSG_RESOLVERS, .addrs = &addrs, .reason = k % 2 ? "why not" : NULL};

		goes_through(&whole);
		goes_through(&told);
		bh_vec_foreach(c, &i->containers) {
			goes_through(&(struct bh_runtime_msg){.kind = BH_RUNTIME_MSG_CONTAINER, .container = c});
			goes_through(&(struct bh_runtime_msg){.kind = BH_RUNTIME_MSG_GONE, .id = c->id});
			goes_through(&(struct bh_runtime_msg){.kind = BH_RUNTIME_MSG_EXEC, .id = c->id, .text = "sh -c \"\x1b\""});
		}
		bh_vec_foreach(n, &i->networks) {
			goes_through(&(struct bh_runtime_msg){.kind = BH_RUNTIME_MSG_NETWORK, .network = n});
			goes_through(&(struct bh_runtime_msg){.kind = BH_RUNTIME_MSG_NETWORK_GONE, .id = n->id});
			bh_vec_foreach(g, &n->gateways)
				assert_int_equal(bh_addrs_add(&addrs, g), 0);
		}
		goes_through(&resolvers);
		bh_vec_clear(&addrs.v);
		bh_inventory_free(i);
	}
}

/* A body whose length says less, or more, than there is. */
static void test_cut_at_each_byte(void **state)
{
	uint64_t seed = 11;

	(void)state;
	for (int k = 0; k < 20; k++) {
		struct bh_container c = {0};
		struct bh_buf b = {0};

		random_container(&seed, &c);
		assert_int_equal(bh_runtime_wire_tell(&(struct bh_runtime_msg){.kind = BH_RUNTIME_MSG_CONTAINER, .container = &c}, keep, &b), 0);
		for (uint32_t n = 0; n < b.n - sizeof(n); n++) {
			struct bh_buf cut = {0};
			struct ears e = {0};

			bh_buf_putn(&cut, (const char *)&n, sizeof(n));
			bh_buf_putn(&cut, b.s + sizeof(n), n);
			assert_int_equal(feed(&cut, SIZE_MAX, &e), -EBADMSG);
			assert_int_equal(e.heard, 0);
			bh_buf_free(&cut);
		}
		bh_container_clear(&c);
		bh_buf_free(&b);
	}
}

/* Each byte changed: read or refused, and what is read is within its bounds (the sanitizers, and writing it again). */
static void test_bytes_changed(void **state)
{
	uint64_t seed = 13;
	size_t read = 0, refused = 0;

	(void)state;
	for (int k = 0; k < 20; k++) {
		struct bh_inventory *i = random_inventory(&seed);
		struct bh_buf b = {0};

		assert_int_equal(bh_runtime_wire_tell(&(struct bh_runtime_msg){.kind = BH_RUNTIME_MSG_SNAPSHOT, .inventory = i}, keep, &b), 0);
		for (size_t at = 0; at < b.n; at++) {
			struct ears e = {0};
			char was = b.s[at];

			b.s[at] = (char)random_next(&seed);
			if (feed(&b, SIZE_MAX, &e) == 0)
				read++;
			else
				refused++;
			b.s[at] = was;
		}
		bh_inventory_free(i);
		bh_buf_free(&b);
	}
	assert_true(read > 100 && refused > 100);
}

/* One container, with one thing wrong. */
static int refuse(void (*spoil)(struct bh_container *c))
{
	uint64_t seed = 3;
	struct bh_container c = {0};
	struct bh_buf b = {0};
	struct ears e = {0};
	int r;

	do {
		bh_container_clear(&c);
		random_container(&seed, &c);
	} while (c.flaw || c.labels.n == 0 || c.endpoints.n == 0 || c.published.n == 0 || c.endpoints.v[0].addrs.n == 0);
	if (spoil)
		spoil(&c);
	assert_int_equal(bh_runtime_wire_tell(&(struct bh_runtime_msg){.kind = BH_RUNTIME_MSG_CONTAINER, .container = &c}, keep, &b), 0);
	r = feed(&b, SIZE_MAX, &e);
	assert_int_equal(e.heard, r == 0);
	bh_buf_free(&b);
	bh_container_clear(&c);
	return r;
}

static void long_name(struct bh_container *c)
{
	c->name = realloc(c->name, 5000);
	memset(c->name, 'x', 4999);
	c->name[4999] = '\0';
}
static void no_utf8(struct bh_container *c)
{
	bh_strdup(&c->labels.v[0].value, "\xff");
}
static void overlong(struct bh_container *c)
{
	bh_strdup(&c->name, "\xc0\xaf");
}
static void bad_id(struct bh_container *c)
{
	bh_strdup(&c->id, "../../x");
}
static void empty_id(struct bh_container *c)
{
	bh_strdup(&c->id, "");
}
static void bad_state(struct bh_container *c)
{
	c->state = (enum bh_container_state)9;
}
static void bad_netmode(struct bh_container *c)
{
	c->netmode = (enum bh_netmode)200;
}
static void bad_proto(struct bh_container *c)
{
	c->published.v[0].proto = IPPROTO_ICMP;
}
static void bad_family(struct bh_container *c)
{
	c->endpoints.v[0].addrs.v[0].family = 5;
}
static void flawed_with_labels(struct bh_container *c)
{
	c->flaw = BH_FLAW_NAME;
}
static void before_time_began(struct bh_container *c)
{
	c->posture.image.created = -1;
}
static void no_network(struct bh_container *c)
{
	free(c->endpoints.v[0].network_id);
	c->endpoints.v[0].network_id = NULL;
}

static void test_one_thing_wrong(void **state)
{
	void (*const spoils[])(struct bh_container *c) = {long_name, no_utf8, overlong, bad_id, empty_id, bad_state, bad_netmode, bad_proto,
		bad_family, flawed_with_labels, before_time_began, no_network};

	(void)state;
	assert_int_equal(refuse(NULL), 0);
	for (size_t i = 0; i < BH_ARRAY_SIZE(spoils); i++)
		assert_int_equal(refuse(spoils[i]), -EBADMSG);
}

static int refuse_network(const char *bridge, uint8_t len)
{
	struct bh_network n = {.id = strdup("n1"), .bridge = strdup(bridge)};
	struct bh_prefix p = {.addr = {.family = 4, .b = {10, 0, 0, 1}}, .len = len};
	struct bh_buf b = {0};
	struct ears e = {0};
	int r;

	assert_int_equal(bh_vec_push(&n.subnets, p), 0);
	assert_int_equal(bh_runtime_wire_tell(&(struct bh_runtime_msg){.kind = BH_RUNTIME_MSG_NETWORK, .network = &n}, keep, &b), 0);
	r = feed(&b, SIZE_MAX, &e);
	bh_buf_free(&b);
	bh_network_clear(&n);
	return r;
}

static void test_networks_wrong(void **state)
{
	(void)state;
	assert_int_equal(refuse_network("docker0", 32), 0);
	assert_int_equal(refuse_network("docker0", 33), -EBADMSG);
	assert_int_equal(refuse_network("docker0", 8), -EBADMSG);	/* host bits */
	assert_int_equal(refuse_network("..", 32), -EBADMSG);
	assert_int_equal(refuse_network("", 32), -EBADMSG);
	assert_int_equal(refuse_network("a/b", 32), -EBADMSG);
	assert_int_equal(refuse_network("0123456789abcdef", 32), -EBADMSG);
}

/* Frames that a sender of ours never writes. */
static void test_frames_wrong(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
	} wrong[] = {
		{"\0\0\0\0", 4},			/* no body */
		{"\1\0\0\1", 4},			/* more than 16 MiB */
		{"\1\0\0\0\377", 5},			/* no kind */
		{"\1\0\0\0\2", 5},			/* the end of no listing */
		{"\1\0\0\0\1\1\0\0\0\1", 10},		/* a listing within a listing */
		{"\1\0\0\0\1\6\0\0\0\0\2\377\377\377\377", 15},	/* a state within a listing */
		{"\7\0\0\0\0\2\1\0\0\0\33", 11},	/* a reason that cannot be shown */
		{"\7\0\0\0\0\2\377\377\377\377\0", 11},	/* more than the message */
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(wrong); i++) {
		struct bh_buf b = {0};
		struct ears e = {0};

		bh_buf_putn(&b, wrong[i].bytes, wrong[i].n);
		assert_int_equal(feed(&b, SIZE_MAX, &e), -EBADMSG);
		assert_int_equal(feed(&b, 1, &e), -EBADMSG);
		assert_int_equal(e.heard, 0);
		bh_buf_free(&b);
	}
}

/* A container that fills more than a frame is told without what fills it, and gets nothing. */
static void test_too_large(void **state)
{
	struct bh_container c = {.id = strdup("c1"), .runtime = "docker", .state = BH_CONTAINER_RUNNING};
	char *value = malloc(131073);
	struct bh_buf b = {0};
	struct bh_container expect = {.id = c.id, .runtime = "docker", .state = BH_CONTAINER_RUNNING, .flaw = BH_FLAW_SIZE};
	const struct bh_runtime_msg want = {.kind = BH_RUNTIME_MSG_CONTAINER, .container = &expect};
	struct ears e = {.expect = &want};

	(void)state;
	memset(value, 'v', 131072);
	value[131072] = '\0';
	for (int i = 0; i < 200; i++) {
		struct bh_label l = {strdup("k"), strdup(value)};

		assert_int_equal(bh_vec_push(&c.labels, l), 0);
	}
	assert_int_equal(bh_runtime_wire_tell(&(struct bh_runtime_msg){.kind = BH_RUNTIME_MSG_CONTAINER, .container = &c}, keep, &b), 0);
	assert_int_equal(feed(&b, SIZE_MAX, &e), 0);
	assert_int_equal(e.heard, 1);
	bh_buf_free(&b);
	bh_container_clear(&c);
	free(value);
}

static void test_stats(void **state)
{
	const struct bh_runtime_stats s = {.events = 1, .resyncs = UINT64_MAX, .errors = 3};
	struct bh_runtime_reader r = {0};
	struct bh_buf b = {0};
	struct ears e = {0};

	(void)state;
	assert_int_equal(bh_runtime_wire_stats(&s, keep, &b), 0);
	assert_int_equal(bh_runtime_reader_feed(&r, b.s, b.n, hear, &e), 0);
	assert_int_equal(e.heard, 0);
	assert_memory_equal(&r.stats, &s, sizeof(s));
	bh_runtime_reader_clear(&r);
	bh_buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_registries_go_through),
		cmocka_unit_test(test_cut_at_each_byte),
		cmocka_unit_test(test_bytes_changed),
		cmocka_unit_test(test_one_thing_wrong),
		cmocka_unit_test(test_networks_wrong),
		cmocka_unit_test(test_frames_wrong),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_stats),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
