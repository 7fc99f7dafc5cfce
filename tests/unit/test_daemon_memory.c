/* SPDX-License-Identifier: Apache-2.0 */
/* Every allocation of a whole look fails once, on fakes with the real compiler: what a runtime says, placement, compilation, diff, the
 * transaction, the reading back. The daemon lives, the kernel holds the old or the new rules, and the next look brings it in line. */
#include "../../src/daemon/manager.h"

#include <bulkhead/diff.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../common/no_memory.h"

#define CONFIG                                                                                     \
	"version: 1\nmode: enforce\nzones:\n"                                                      \
	"  web: {select: {labels: {tier: web}}, bandwidth: {container: {egress: 10mbit, ingress: 10mbit}, exempt: lan}}\n" \
	"  plain: {select: {labels: {tier: plain}}}\n"                                                \
	"  project: {per: \"label:project\"}\nallow:\n  - {from: host, to: web, ports: [tcp/80]}\n  - {from: project, to: project}\n"
#define BRIDGE "br-0123456789ab"
#define BRIDGE_INDEX 7
#define CONTAINERS 4

struct fixture {
	char dir[64], config[96], state[96];
	sd_event *event;
	struct bh_manager *m;
	struct bh_nft *nft;
	struct bh_tc *tc;
	struct bh_source *docker;
	struct bh_inventory *few, *many;
};

static void add_link(struct bh_host *h, int ifindex, const char *name, enum bh_link_kind kind, int master)
{
	struct bh_link *l = bh_vec_add(&h->links);

	assert_non_null(l);
	l->ifindex = ifindex;
	snprintf(l->name, sizeof(l->name), "%s", name);
	l->kind = kind;
	l->master = master;
	l->peer_nsid = -1;
	l->up = true;
	if (kind != BH_LINK_VETH)
		return;
	l->has_peer = true;
	l->peer_nsid = 1;
	l->peer_mac = (struct bh_mac){{2, 0x42, 0, 0, 0, (uint8_t)ifindex}};
}

static void add_container(struct bh_inventory *i, int n)
{
	struct bh_container *c = bh_vec_add(&i->containers);
	struct bh_label *label;
	struct bh_endpoint *e;
	struct bh_addr a;
	char text[32];

	assert_non_null(c);
	snprintf(text, sizeof(text), "c%d", n);
	c->id = strdup(text);
	c->name = strdup(text);
	c->runtime = "docker";
	c->state = BH_CONTAINER_RUNNING;
	label = bh_vec_add(&c->labels);
	e = bh_vec_add(&c->endpoints);
	assert_true(label && e);
	label->key = strdup(n % 2 ? "project" : "tier");
	label->value = strdup(n % 2 ? text : "web");
	e->id = strdup(text);
	e->network_id = strdup("net");
	e->has_mac = true;
	e->mac = (struct bh_mac){{2, 0x42, 0, 0, 0, (uint8_t)(20 + n)}};
	snprintf(text, sizeof(text), "10.1.0.%d", 2 + n);
	assert_int_equal(bh_addr_parse(text, &a), 0);
	assert_int_equal(bh_vec_push(&e->addrs, a), 0);
}

static struct bh_inventory *inventory(int n)
{
	struct bh_inventory *i = calloc(1, sizeof(*i));
	struct bh_network *net = i ? bh_vec_add(&i->networks) : NULL;

	assert_non_null(net);
	net->id = strdup("net");
	net->name = strdup("front");
	net->driver = strdup("bridge");
	net->bridge = strdup(BRIDGE);
	for (int k = 0; k < n; k++)
		add_container(i, k);
	return i;
}

static void tell(struct fixture *f, const struct bh_inventory *i)
{
	const struct bh_runtime_msg up = { .kind = BH_RUNTIME_MSG_STATE, .state = BH_RUNTIME_CONNECTED };
	const struct bh_runtime_msg msg = { .kind = BH_RUNTIME_MSG_SNAPSHOT, .inventory = i };

	bh_fake_runtime_push(f->docker->runtime, &up);
	bh_fake_runtime_push(f->docker->runtime, &msg);
	bh_manager_run(f->m);
}

static struct bh_ruleset *held(struct fixture *f)
{
	struct bh_ruleset *seen = NULL;

	assert_int_equal(f->nft->ops->observe(f->nft, &seen, NULL), 0);
	return seen;
}

static bool same(const struct bh_ruleset *a, const struct bh_ruleset *b)
{
	_cleanup_(bh_plan_freep) struct bh_plan *plan = NULL;

	assert_int_equal(bh_diff(a, b, &plan), 0);
	return plan->changes.n == 0;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct bh_manager_parts parts = {0};
	struct bh_error err = {0};
	FILE *file;

	assert_non_null(f);
	snprintf(f->dir, sizeof(f->dir), "/tmp/bh-test-%d-XXXXXX", getpid());
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->config, sizeof(f->config), "%s/bulkhead.yaml", f->dir);
	snprintf(f->state, sizeof(f->state), "/proc/nowhere");	/* not kept: a full disk is another test's */
	file = fopen(f->config, "we");
	assert_true(file && fputs(CONFIG, file) >= 0 && fchmod(fileno(file), 0644) == 0 && fclose(file) == 0);
	assert_true(sd_event_new(&f->event) >= 0);
	assert_int_equal(bh_nft_fake_new(&f->nft), 0);
	assert_int_equal(bh_tc_fake_new(&f->tc), 0);
	add_link(bh_tc_fake_host(f->tc), 1, "lo", BH_LINK_LOOPBACK, 0);
	add_link(bh_tc_fake_host(f->tc), BRIDGE_INDEX, BRIDGE, BH_LINK_BRIDGE, 0);
	for (int k = 0; k < CONTAINERS; k++) {
		char name[16];

		snprintf(name, sizeof(name), "veth%d", k);
		add_link(bh_tc_fake_host(f->tc), 20 + k, name, BH_LINK_VETH, BRIDGE_INDEX);
	}
	parts.nft = f->nft;
	parts.tc = f->tc;
	parts.config_path = f->config;
	parts.state_dir = f->state;
	if (bh_manager_new(f->event, &parts, &f->m, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(bh_manager_load_first(f->m), 0);
	assert_non_null(f->m->config.policy);
	assert_int_equal(bh_manager_add_source(f->m, "docker", "/run/docker.sock", &f->docker), 0);
	assert_int_equal(bh_fake_runtime_new(bh_source_message, f->docker, &f->docker->runtime), 0);
	bh_manager_run(f->m);
	assert_int_equal(bh_manager_start(f->m, &err), 0);
	f->few = inventory(2);
	f->many = inventory(CONTAINERS);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	bh_manager_free(f->m);
	bh_inventory_free(f->few);
	bh_inventory_free(f->many);
	sd_event_unref(f->event);
	assert_int_equal(unlink(f->config), 0);
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
	return 0;
}

static void test_every_allocation_of_a_look(void **state)
{
	struct fixture *f = *state;
	long k = 0, failures = 0;
	bool done = false;

	tell(f, f->few);
	for (int round = 0; !done; round++) {
		const struct bh_inventory *next = round % 2 ? f->few : f->many;
		_cleanup_(bh_ruleset_freep) struct bh_ruleset *before = held(f), *after = NULL, *right = NULL;

		left = k;
		tell(f, next);
		done = left >= 0;
		left = -1;
		after = held(f);
		/* what a runtime said and was lost is asked for again; then nothing fails, and all is well */
		tell(f, next);
		right = held(f);
		assert_null(f->m->problem);
		assert_false(same(before, right));
		if (!same(after, before) && !same(after, right))
			fail_msg("a mixture after allocation %ld failed", k);
		failures += !same(after, right);
		k += 1 + k / 40;
	}
	assert_true(k > 500);
	assert_true(failures > 10);
}

/* One container comes and goes, and the others' part of the round stays what it is. */
static void tell_one(struct fixture *f, const struct bh_inventory *of, bool here)
{
	const struct bh_container *c = &of->containers.v[CONTAINERS - 1];
	struct bh_runtime_msg msg = { .kind = BH_RUNTIME_MSG_GONE, .id = c->id };

	if (here)
		msg = (struct bh_runtime_msg){ .kind = BH_RUNTIME_MSG_CONTAINER, .container = c };
	bh_fake_runtime_push(f->docker->runtime, &msg);
	bh_manager_run_due(f->m);
}

static void test_every_allocation_of_a_step(void **state)
{
	struct fixture *f = *state;
	struct bh_inventory *all = inventory(CONTAINERS);
	struct bh_label *label = &all->containers.v[CONTAINERS - 1].labels.v[0];
	long k = 0, failures = 0, steps = 0;
	bool done = false;

	assert_int_equal(bh_strdup(&label->key, "tier"), 0);
	assert_int_equal(bh_strdup(&label->value, "plain"), 0);
	tell(f, all);
	tell_one(f, all, false);
	for (int round = 0; !done; round++) {
		const struct bh_ruleset *wanted = f->m->round.wanted;
		_cleanup_(bh_ruleset_freep) struct bh_ruleset *before = held(f), *after = NULL, *right = NULL;

		assert_true(f->m->round.lean);
		left = k;
		tell_one(f, all, round % 2 == 0);
		done = left >= 0;
		left = -1;
		after = held(f);
		if (done) {	/* it was no round from scratch */
			assert_ptr_equal(wanted, f->m->round.wanted);
			assert_false(same(before, after));
		}
		tell_one(f, all, round % 2 == 0);
		right = held(f);
		assert_null(f->m->problem);
		assert_false(same(before, right));
		if (!same(after, before) && !same(after, right))
			fail_msg("a mixture after allocation %ld failed", k);
		failures += !same(after, right);
		steps += wanted == f->m->round.wanted;
		k++;
		bh_manager_host_changed(f->m);	/* from scratch: nothing is left to do */
		bh_manager_run(f->m);
		bh_ruleset_free(after);
		after = held(f);
		assert_true(same(after, right));
	}
	assert_true(k > 50 && failures > 3 && steps > 3);
	bh_inventory_free(all);
}

/* What the runtimes have nothing to do with is no step. */
static void test_what_is_said_by_hand_is_no_step(void **state)
{
	struct fixture *f = *state;
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *before = NULL, *quarantined = NULL, *again = NULL, *after = NULL;

	tell(f, f->many);
	assert_true(f->m->round.lean);
	before = held(f);
	assert_int_equal(bh_strv_push(&f->m->memory.held, f->many->containers.v[1].id), 0);
	bh_manager_run(f->m);
	quarantined = held(f);
	assert_false(same(before, quarantined));
	tell_one(f, f->many, false);
	tell_one(f, f->many, true);
	again = held(f);
	assert_true(same(again, quarantined));
	bh_strv_clear(&f->m->memory.held);
	bh_manager_run(f->m);
	after = held(f);
	assert_true(same(before, after));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_every_allocation_of_a_look, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every_allocation_of_a_step, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_said_by_hand_is_no_step, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
