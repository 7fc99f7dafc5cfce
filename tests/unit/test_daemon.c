/* SPDX-License-Identifier: Apache-2.0 */
/* The whole manager on fakes: what it does to the kernel, when, and what it says about it. The compiler is a double that puts
 * members into one set, so that these tests hold whatever the rules look like. */
#include "../../src/daemon/manager.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define CONFIG "version: 1\nmode: enforce\nzones:\n  web: {select: {labels: {tier: web}}}\nallow:\n  - {from: host, to: web}\n"
#define BRIDGE "br-0123456789ab"
#define BRIDGE_INDEX 7

/* ---- the double of the compiler */

static void add_table(struct bh_ruleset *r, enum bh_family f)
{
	r->tables[f].present = true;
}

static struct bh_set *add_set(struct bh_ruleset *r, const char *name, enum bh_field key)
{
	struct bh_set *s = bh_vec_add(&r->tables[BH_FAMILY_INET].sets);

	if (!s)
		abort();
	snprintf(s->name, sizeof(s->name), "%s", name);
	s->key[0] = key;
	s->n_key = 1;
	return s;
}

static void add_elem(struct bh_set *s, const void *key, size_t n)
{
	struct bh_elem *e = bh_vec_add(&s->elems);

	assert_non_null(e);
	memcpy(e->key, key, n);
}

int bh_compile_skeleton(const struct bh_inventory *inventory, const struct bh_host *host, const struct bh_features *features, const struct bh_ruleset *seen,
	struct bh_ruleset **ret, struct bh_error *err)
{
	struct bh_ruleset *r = calloc(1, sizeof(*r));

	(void)inventory, (void)host, (void)seen, (void)err;
	add_table(r, BH_FAMILY_INET);
	add_table(r, BH_FAMILY_BRIDGE);
	r->tables[BH_FAMILY_INET].flags = r->tables[BH_FAMILY_BRIDGE].flags = bh_table_flags(features);
	*ret = r;
	return 0;
}

static void remember_flags(const struct bh_compile_input *in, struct bh_ruleset *r)
{
	struct bh_set *four = add_set(r, "nf_call4", BH_IIFNAME);
	const struct bh_set *old = in->seen ? bh_table_set(&in->seen->tables[BH_FAMILY_INET], "nf_call4") : NULL;

	bh_vec_foreach(n, &in->inventory->networks) {
		const struct bh_link *l = bh_host_link_named(in->host, n->bridge);
		uint8_t key[BH_KEY_MAX] = {0};

		if (!l)
			continue;
		memcpy(key, l->name, sizeof(l->name));
		if (!l->nf_call_iptables || (old && bh_set_find(old, key)))
			add_elem(four, key, 16);
	}
}

int bh_compile(const struct bh_compile_input *in, struct bh_ruleset **ret, struct bh_error *err)
{
	struct bh_ruleset *r = NULL;
	struct bh_set *members;

	if (in->policy->deny == BH_DENY_DROP)	/* what the double calls too hard to compile */
		return bh_fail(err, -E2BIG, "cannot compile this");
	bh_compile_skeleton(in->inventory, in->host, in->features, in->seen, &r, err);
	members = add_set(r, "members", BH_IP_SADDR);
	bh_vec_foreach(m, &in->placement->members)
		if (in->placement->insts.v[m->inst].builtin != BH_BUILTIN_QUARANTINE)
			bh_vec_foreach(a, &m->attachments)
				bh_vec_foreach(addr, &a->endpoint->addrs)
					add_elem(members, addr->b, 4);
	remember_flags(in, r);
	bh_ruleset_sort(r);
	*ret = r;
	return 0;
}

static bool caps_missing[BH_DIRECTION_MAX];

int bh_compile_shape(const struct bh_compile_input *in, struct bh_ruleset *ruleset, struct bh_shape **ret, struct bh_error *err)
{
	(void)ruleset, (void)err;
	*ret = calloc(1, sizeof(**ret));
	assert_non_null(*ret);
	memcpy((*ret)->missing, caps_missing, sizeof(caps_missing));
	(*ret)->present[BH_EGRESS] = in->policy->zones.n > 0 && in->policy->zones.v[0].zone_rates.egress_bps > 0;
	return 0;
}

void bh_pairs_free(struct bh_pairs *p)
{
	bh_vec_clear(&p->pairs);
	free(p);
}

int bh_pairs_read(const struct bh_compile_input *in, const struct bh_ruleset *seen, struct bh_pairs **ret)
{
	(void)in, (void)seen;
	*ret = calloc(1, sizeof(**ret));
	return 0;
}

struct bh_counts bh_zone_counts(const struct bh_ruleset *seen, const struct bh_placement *p, size_t inst)
{
	(void)seen, (void)p, (void)inst;
	return (struct bh_counts){ .packets = 1, .bytes = 60 };
}

struct bh_counts bh_member_counts(const struct bh_ruleset *seen, const struct bh_member *m)
{
	(void)seen, (void)m;
	return (struct bh_counts){ .dropped_packets = 2 };
}

/* ---- a daemon on fakes */

struct fixture {
	char dir[64], config[96], state[96];
	sd_event *event;
	struct bh_manager *m;
	struct bh_nft *nft;
	struct bh_tc *tc;
	struct bh_source *docker;
	struct bh_features features;
	struct bh_nft_ops counting;	/* the fake's ops with apply counted and, when wanted, failing */
	const struct bh_nft_ops *real;
};

static unsigned applied;
static unsigned observed;	/* times that the tables were read */
static int apply_fails;
static bool policy_refused;	/* the kernel takes the skeleton alone */

static const struct bh_nft_ops *fake_ops;

static int counted_apply(struct bh_nft *n, const struct bh_plan *plan, struct bh_error *err)
{
	if (apply_fails)
		return bh_fail(err, apply_fails, "the kernel says no");
	bh_vec_foreach(c, &plan->changes)
		if (policy_refused && c->set)
			return bh_fail(err, -EOPNOTSUPP, "no such set here");
	applied++;
	return fake_ops->apply(n, plan, err);
}

static int counted_observe(struct bh_nft *n, struct bh_ruleset **ret, struct bh_error *err)
{
	observed++;
	return fake_ops->observe(n, ret, err);
}

static void write_config(struct fixture *f, const char *text)
{
	FILE *file = fopen(f->config, "we");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fchmod(fileno(file), 0644), 0);
	assert_int_equal(fclose(file), 0);
}

static void add_link(struct bh_host *h, int ifindex, const char *name, enum bh_link_kind kind, int master)
{
	struct bh_link *l = bh_vec_add(&h->links);

	if (!l)
		abort();
	l->ifindex = ifindex;
	snprintf(l->name, sizeof(l->name), "%s", name);
	l->kind = kind;
	l->master = master;
	l->peer_nsid = -1;
	l->up = true;
}

/* A daemon as after its start; the kernel (nft, tc) may be one that was there before. */
static void daemon_start(struct fixture *f)
{
	struct bh_manager_parts parts = { .nft = f->nft, .tc = f->tc, .config_path = f->config, .state_dir = f->state,
		.features = f->features, .log = { .journal = false } };
	struct bh_error err = {0};

	if (bh_manager_new(f->event, &parts, &f->m, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(bh_manager_load_first(f->m), 0);
	assert_int_equal(bh_manager_add_source(f->m, "docker", "/run/docker.sock", &f->docker), 0);
	assert_int_equal(bh_fake_runtime_new(bh_source_message, f->docker, &f->docker->runtime), 0);
	bh_manager_run(f->m);
	if (bh_manager_start(f->m, &err) < 0)
		fail_msg("%s", err.msg);
}

/* The daemon dies; the kernel stays. */
static void daemon_kill(struct fixture *f)
{
	f->m->nft = NULL;
	f->m->tc = NULL;
	bh_manager_free(f->m);
	f->m = NULL;
}

static void turn(struct fixture *f)
{
	for (int i = 0; i < 5; i++)
		assert_true(sd_event_run(f->event, 0) >= 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	snprintf(f->dir, sizeof(f->dir), "/tmp/bh-test-%d-XXXXXX", getpid());
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->config, sizeof(f->config), "%s/bulkhead.yaml", f->dir);
	snprintf(f->state, sizeof(f->state), "%s/state", f->dir);
	assert_true(sd_event_new(&f->event) >= 0);
	assert_int_equal(bh_nft_fake_new(&f->nft), 0);
	assert_int_equal(bh_tc_fake_new(&f->tc), 0);
	fake_ops = f->real = f->nft->ops;
	f->counting = *f->real;
	f->counting.apply = counted_apply;
	f->counting.observe = counted_observe;
	f->nft->ops = &f->counting;
	applied = 0;
	apply_fails = 0;
	policy_refused = false;
	add_link(bh_tc_fake_host(f->tc), 1, "lo", BH_LINK_LOOPBACK, 0);
	add_link(bh_tc_fake_host(f->tc), BRIDGE_INDEX, BRIDGE, BH_LINK_BRIDGE, 0);
	add_link(bh_tc_fake_host(f->tc), 9, "veth9", BH_LINK_VETH, BRIDGE_INDEX);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	static const char *const names[] = { "state/good/bulkhead.yaml", "state/good/.sum", "state/good", "state/bridges", "state/unconfirmed", "state",
		"bulkhead.yaml" };
	struct fixture *f = *state;

	if (f->m)
		daemon_kill(f);
	f->nft->ops = f->real;
	bh_nft_free(f->nft);
	bh_tc_free(f->tc);
	sd_event_unref(f->event);
	for (size_t i = 0; i < BH_ARRAY_SIZE(names); i++) {
		char p[128];

		snprintf(p, sizeof(p), "%s/%s", f->dir, names[i]);
		if (unlink(p) < 0)
			(void)rmdir(p);
	}
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
	return 0;
}

static void push_state(struct fixture *f, enum bh_runtime_state s)
{
	struct bh_runtime_msg msg = { .kind = BH_RUNTIME_MSG_STATE, .state = s, .reason = s == BH_RUNTIME_ABSENT ? "gone" : NULL };

	bh_fake_runtime_push(f->docker->runtime, &msg);
}

static void container_init(struct bh_container *c, const char *id, const char *tier, uint8_t last)
{
	struct bh_label *l = bh_vec_add(&c->labels);
	struct bh_endpoint *e = bh_vec_add(&c->endpoints);
	struct bh_addr a = { .family = 4, .b = { 10, 0, 0, last } };

	assert_non_null(l);
	assert_non_null(e);
	c->id = strdup(id);
	c->name = strdup(id);
	c->image = strdup("busybox");
	c->runtime = "docker";
	c->state = BH_CONTAINER_RUNNING;
	l->key = strdup("tier");
	l->value = strdup(tier);
	e->network_id = strdup("net");
	e->has_mac = true;
	e->mac = (struct bh_mac){ { 2, 0x42, 10, 0, 0, last } };
	assert_int_equal(bh_vec_push(&e->addrs, a), 0);
}

static void push_snapshot(struct fixture *f, size_t n)
{
	struct bh_inventory *i = calloc(1, sizeof(*i));
	struct bh_runtime_msg msg = { .kind = BH_RUNTIME_MSG_SNAPSHOT, .inventory = i };
	struct bh_network *net;

	assert_non_null(i);
	net = bh_vec_add(&i->networks);
	assert_non_null(net);
	net->id = strdup("net");
	net->name = strdup("front");
	net->driver = strdup("bridge");
	net->bridge = strdup(BRIDGE);
	for (size_t k = 0; k < n; k++) {
		struct bh_container *c = bh_vec_add(&i->containers);
		char id[16];

		assert_non_null(c);
		snprintf(id, sizeof(id), "web%zu", k);
		container_init(c, id, "web", (uint8_t)(2 + k));
	}
	push_state(f, BH_RUNTIME_CONNECTED);
	bh_fake_runtime_push(f->docker->runtime, &msg);
	bh_inventory_free(i);
}

/* A daemon with CONFIG, to which the runtime has told N containers. */
static void daemon_with(struct fixture *f, size_t n)
{
	write_config(f, CONFIG);
	daemon_start(f);
	push_snapshot(f, n);
	turn(f);
}

static size_t members_in_kernel(struct fixture *f)
{
	struct bh_ruleset *seen = NULL;
	const struct bh_set *s;
	size_t n;

	assert_int_equal(f->nft->ops->observe(f->nft, &seen, NULL), 0);
	s = bh_table_set(&seen->tables[BH_FAMILY_INET], "members");
	n = s ? s->elems.n : 0;
	bh_ruleset_free(seen);
	return n;
}

static bool tables_in_kernel(struct fixture *f)
{
	struct bh_ruleset *seen = NULL;
	bool there;

	assert_int_equal(f->nft->ops->observe(f->nft, &seen, NULL), 0);
	there = seen->tables[BH_FAMILY_INET].present && seen->tables[BH_FAMILY_BRIDGE].present;
	bh_ruleset_free(seen);
	return there;
}

/* Somebody else flushes all rules. */
static void flush_foreign(struct fixture *f)
{
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *seen = NULL, *nothing = calloc(1, sizeof(*nothing));
	_cleanup_(bh_plan_freep) struct bh_plan *plan = NULL;

	assert_int_equal(f->real->observe(f->nft, &seen, NULL), 0);
	assert_int_equal(bh_diff(nothing, seen, &plan), 0);
	assert_int_equal(f->real->apply(f->nft, plan, NULL), 0);
	assert_false(tables_in_kernel(f));
}

static void assert_state(struct fixture *f, const char *want)
{
	_cleanup_free_ char *reason = NULL;
	const char *state = bh_manager_state(f->m, &reason);

	if (strcmp(state, want) != 0)
		fail_msg("state is %s (%s), not %s", state, reason ? reason : "-", want);
}

/* ---- the tests */

static void test_start_closes_first(void **state)
{
	struct fixture *f = *state;

	write_config(f, CONFIG);
	daemon_start(f);
	/* No runtime has said a word. */
	assert_true(tables_in_kernel(f));
	assert_state(f, "starting");
	push_snapshot(f, 2);
	turn(f);
	assert_int_equal(members_in_kernel(f), 2);
	assert_state(f, "enforcing");
	assert_true(f->m->ready);
}

static void test_without_configuration(void **state)
{
	struct fixture *f = *state;

	daemon_start(f);
	assert_true(tables_in_kernel(f));
	push_snapshot(f, 2);
	turn(f);
	assert_int_equal(members_in_kernel(f), 0);
	assert_state(f, "degraded");
	assert_true(f->m->ready);	/* it stays up */
}

static void test_last_good_configuration(void **state)
{
	struct fixture *f = *state;

	if (geteuid() != 0)
		return;	/* the kept file must be root's to be believed */
	write_config(f, CONFIG);
	daemon_start(f);
	daemon_kill(f);
	write_config(f, "version: 1\nmode: what\n");
	daemon_start(f);
	push_snapshot(f, 1);
	turn(f);
	assert_int_equal(members_in_kernel(f), 1);
	assert_state(f, "degraded");
	assert_non_null(strstr(f->m->config.error, "bulkhead.yaml:2"));
	/* Mended: the same daemon is well again. */
	write_config(f, CONFIG);
	assert_int_equal(bh_manager_reload(f->m, 0, NULL), 0);
	bh_manager_run(f->m);
	assert_state(f, "enforcing");
}

/* Read, but not to be compiled: as a file that cannot be read. */
static void test_policy_that_does_not_compile_at_start(void **state)
{
	struct fixture *f = *state;

	write_config(f, "version: 1\nmode: enforce\ndeny: drop\n");
	daemon_start(f);
	push_snapshot(f, 1);
	turn(f);
	assert_true(tables_in_kernel(f));
	assert_int_equal(members_in_kernel(f), 0);
	assert_state(f, "degraded");
	assert_non_null(strstr(f->m->config.error, "cannot compile"));
	write_config(f, CONFIG);
	assert_int_equal(bh_manager_reload(f->m, 0, NULL), 0);
	bh_manager_run(f->m);
	assert_int_equal(members_in_kernel(f), 1);
	assert_state(f, "enforcing");
}

/* A kernel without our tables that refuses the policy's gets the skeleton: closed is better than open. */
static void test_policy_that_the_kernel_refuses_at_start(void **state)
{
	struct fixture *f = *state;
	char kept[128];

	snprintf(kept, sizeof(kept), "%s/good", f->state);
	policy_refused = true;
	daemon_with(f, 1);
	assert_true(tables_in_kernel(f));
	assert_int_equal(members_in_kernel(f), 0);
	assert_state(f, "degraded");
	assert_false(f->m->ready);
	assert_int_equal(access(kept, F_OK), -1);	/* never in force, so not the last good one */
	policy_refused = false;
	for (int i = 0; i < 50 && f->m->problem; i++)
		sd_event_run(f->event, 100000);
	assert_int_equal(members_in_kernel(f), 1);
	assert_state(f, "enforcing");
	assert_int_equal(access(kept, F_OK), 0);
	assert_int_equal(f->m->repairs, 0);
}

static const struct bh_network *network_in_round(struct fixture *f, const char *bridge)
{
	bh_vec_foreach(n, &f->m->round.inventory->networks)
		if (bh_streq(n->bridge, bridge))
			return n;
	return NULL;
}

/* A boot: the kernel is empty, the runtime does not answer yet, its bridges are closed all the same. */
static void test_bridges_are_remembered_over_a_boot(void **state)
{
	struct fixture *f = *state;

	write_config(f, CONFIG);
	daemon_start(f);
	assert_null(network_in_round(f, BRIDGE));
	push_snapshot(f, 1);
	turn(f);
	assert_non_null(network_in_round(f, BRIDGE));
	daemon_kill(f);
	f->nft->ops = f->real;
	flush_foreign(f);
	f->nft->ops = &f->counting;
	daemon_start(f);
	assert_non_null(network_in_round(f, BRIDGE));
	push_state(f, BH_RUNTIME_ABSENT);
	turn(f);
	assert_non_null(network_in_round(f, BRIDGE));
	/* One that became the host's own is not. */
	add_link(bh_tc_fake_host(f->tc), 11, "eth1", BH_LINK_OTHER, BRIDGE_INDEX);
	bh_tc_fake_host(f->tc)->links.v[bh_tc_fake_host(f->tc)->links.n - 1].physical = true;
	bh_seen_clear(&f->m->seen);
	bh_manager_run(f->m);
	assert_null(network_in_round(f, BRIDGE));
}

/* A host that boots has nobody on a bridge: nothing is waited for. */
static void test_nobody_is_there(void **state)
{
	struct fixture *f = *state;

	bh_tc_fake_host(f->tc)->links.n--;	/* veth9 */
	write_config(f, CONFIG);
	daemon_start(f);
	assert_true(tables_in_kernel(f));
	assert_true(f->m->ready);
	assert_state(f, "enforcing");
}

static void test_restart_changes_nothing(void **state)
{
	struct fixture *f = *state;

	daemon_with(f, 3);
	daemon_kill(f);
	applied = 0;
	daemon_start(f);
	turn(f);
	/* The runtime has not answered: nothing opens, nothing closes. */
	assert_int_equal(members_in_kernel(f), 3);
	assert_int_equal(applied, 0);
	push_snapshot(f, 3);
	turn(f);
	assert_int_equal(applied, 0);
	assert_state(f, "enforcing");
	assert_int_equal(f->m->repairs, 0);
	push_snapshot(f, 2);
	turn(f);
	assert_int_equal(members_in_kernel(f), 2);
}

static void test_restart_without_runtime(void **state)
{
	struct fixture *f = *state;

	daemon_with(f, 1);
	daemon_kill(f);
	daemon_start(f);
	push_state(f, BH_RUNTIME_ABSENT);
	turn(f);
	assert_int_equal(members_in_kernel(f), 1);
	assert_true(f->m->ready);	/* a runtime that is not there is not waited for */
	assert_state(f, "degraded");
	flush_foreign(f);
	bh_seen_clear(&f->m->seen);
	bh_manager_run(f->m);
	assert_true(tables_in_kernel(f));
	assert_int_equal(members_in_kernel(f), 0);
}

static void test_reload_without_runtime(void **state)
{
	struct fixture *f = *state;

	write_config(f, CONFIG);
	daemon_start(f);
	push_state(f, BH_RUNTIME_ABSENT);
	turn(f);
	assert_state(f, "enforcing");
	assert_int_equal(bh_manager_reload(f->m, 0, NULL), 0);
	bh_manager_run(f->m);
	assert_state(f, "enforcing");	/* the rules are our own, not found ones */
}

static void test_runtime_goes_and_comes(void **state)
{
	struct fixture *f = *state;

	daemon_with(f, 2);
	push_state(f, BH_RUNTIME_ABSENT);
	turn(f);
	assert_int_equal(members_in_kernel(f), 2);
	assert_state(f, "degraded");
	push_snapshot(f, 1);
	turn(f);
	assert_int_equal(members_in_kernel(f), 1);
	assert_state(f, "enforcing");
}

/* What was in line and took a change of elements is not read back; what a look finds then is what was thought. */
static void test_a_change_is_not_read_back(void **state)
{
	struct fixture *f = *state;
	struct bh_container c = {0};
	struct bh_runtime_msg msg = { .kind = BH_RUNTIME_MSG_CONTAINER, .container = &c };
	uint64_t changes;

	daemon_with(f, 2);
	container_init(&c, "extra", "web", 77);
	applied = observed = 0;
	bh_fake_runtime_push(f->docker->runtime, &msg);
	turn(f);
	assert_int_equal(applied, 1);
	assert_int_equal(observed, 0);
	assert_int_equal(members_in_kernel(f), 3);
	changes = f->m->work.changes;
	bh_fake_runtime_push(f->docker->runtime, &msg);	/* nothing new */
	turn(f);
	assert_int_equal(applied, 1);
	observed = 0;
	bh_seen_clear(&f->m->seen);
	bh_manager_run(f->m);
	assert_int_equal(observed, 1);
	assert_int_equal(applied, 1);
	assert_int_equal(f->m->repairs, 0);
	assert_int_equal(f->m->work.changes, changes);
	bh_container_clear(&c);
}

static void test_single_messages(void **state)
{
	struct fixture *f = *state;
	struct bh_container c = {0};
	struct bh_runtime_msg msg = { .kind = BH_RUNTIME_MSG_CONTAINER, .container = &c };
	struct bh_runtime_msg gone = { .kind = BH_RUNTIME_MSG_GONE, .id = "extra" };

	daemon_with(f, 1);
	container_init(&c, "extra", "web", 77);
	applied = 0;
	bh_fake_runtime_push(f->docker->runtime, &msg);
	bh_fake_runtime_push(f->docker->runtime, &msg);	/* twice the same is once */
	turn(f);
	assert_int_equal(members_in_kernel(f), 2);
	assert_int_equal(applied, 1);
	bh_fake_runtime_push(f->docker->runtime, &gone);
	bh_fake_runtime_push(f->docker->runtime, &gone);
	turn(f);
	assert_int_equal(members_in_kernel(f), 1);
	bh_container_clear(&c);
}

static void test_drift_is_repaired(void **state)
{
	struct fixture *f = *state;

	daemon_with(f, 2);
	flush_foreign(f);
	bh_seen_clear(&f->m->seen);	/* what the monitor or the poll does */
	bh_manager_run(f->m);
	assert_int_equal(members_in_kernel(f), 2);
	assert_int_equal(f->m->repairs, 1);
	bh_manager_run(f->m);
	assert_int_equal(f->m->repairs, 1);
}

/* What is in the kernel, as the flags of its inet and bridge tables say. */
static uint32_t flags_in_kernel(struct fixture *f)
{
	struct bh_ruleset *seen = NULL;
	uint32_t flags;

	assert_int_equal(f->nft->ops->observe(f->nft, &seen, NULL), 0);
	flags = seen->tables[BH_FAMILY_INET].flags;
	assert_int_equal(seen->tables[BH_FAMILY_BRIDGE].flags, flags);
	bh_ruleset_free(seen);
	return flags;
}

/* Puts tables with FLAGS in place of those that are there, with what they hold when KEEP. */
static void tables_become(struct fixture *f, uint32_t flags, bool keep)
{
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *seen = NULL, *wanted = NULL, *empty = calloc(1, sizeof(*empty));
	_cleanup_(bh_plan_freep) struct bh_plan *away = NULL, *plan = NULL;

	assert_int_equal(f->nft->ops->observe(f->nft, &seen, NULL), 0);
	assert_int_equal(f->nft->ops->observe(f->nft, &wanted, NULL), 0);
	assert_int_equal(bh_diff(empty, seen, &away), 0);
	assert_int_equal(fake_ops->apply(f->nft, away, NULL), 0);
	for (int i = 0; i < 2; i++)
		(keep ? wanted : empty)->tables[i].flags = flags, (keep ? wanted : empty)->tables[i].present = true;
	bh_ruleset_free(seen);
	seen = NULL;
	assert_int_equal(f->nft->ops->observe(f->nft, &seen, NULL), 0);
	assert_int_equal(bh_diff(keep ? wanted : empty, seen, &plan), 0);
	assert_int_equal(fake_ops->apply(f->nft, plan, NULL), 0);
}

/* Found without an owner: owned before a runtime has said anything, and kept; what is missing in them is put back. */
static void test_orphans_are_taken_over(void **state)
{
	struct fixture *f = *state;

	write_config(f, CONFIG);
	f->features.table_persist = true;
	daemon_start(f);
	push_snapshot(f, 2);
	turn(f);
	assert_int_equal(flags_in_kernel(f), BH_TABLE_OWNER | BH_TABLE_PERSIST);
	daemon_kill(f);
	tables_become(f, BH_TABLE_PERSIST, true);
	applied = 0;
	daemon_start(f);
	assert_int_equal(flags_in_kernel(f), BH_TABLE_OWNER | BH_TABLE_PERSIST);
	assert_int_equal(members_in_kernel(f), 2);
	assert_true(f->m->held);
	push_snapshot(f, 2);
	turn(f);
	assert_int_equal(applied, 1);	/* the owner, and nothing else */
	daemon_kill(f);
	tables_become(f, BH_TABLE_PERSIST, false);
	daemon_start(f);
	push_snapshot(f, 2);
	turn(f);
	assert_int_equal(members_in_kernel(f), 2);
	assert_int_equal(flags_in_kernel(f), BH_TABLE_OWNER | BH_TABLE_PERSIST);
	/* and the other way: a kernel that cannot (masked) */
	daemon_kill(f);
	tables_become(f, BH_TABLE_PERSIST, true);
	f->features.table_persist = false;
	daemon_start(f);
	push_snapshot(f, 2);
	turn(f);
	assert_int_equal(flags_in_kernel(f), BH_TABLE_PERSIST);	/* its base chains stay while a container is there */
	assert_int_equal(members_in_kernel(f), 2);
}

/* A table that an older version made cannot be given an owner: it stays while a container is there, and is made anew when nobody is. */
static void test_unowned_stays_while_somebody_is_there(void **state)
{
	struct fixture *f = *state;

	daemon_with(f, 2);
	assert_int_equal(flags_in_kernel(f), 0);
	daemon_kill(f);
	applied = 0;
	f->features.table_persist = true;
	daemon_start(f);
	push_snapshot(f, 2);
	turn(f);
	assert_int_equal(flags_in_kernel(f), 0);
	assert_int_equal(applied, 0);
	assert_state(f, "enforcing");
	bh_tc_fake_host(f->tc)->links.n--;	/* veth9 */
	push_snapshot(f, 0);
	bh_seen_clear(&f->m->seen);
	bh_manager_run(f->m);
	assert_int_equal(flags_in_kernel(f), BH_TABLE_OWNER | BH_TABLE_PERSIST);
	assert_int_equal(f->m->repairs, 0);
	assert_state(f, "enforcing");
}

static void test_tables_of_another_owner(void **state)
{
	struct fixture *f = *state;
	char *reason = NULL;

	write_config(f, CONFIG);
	f->features.table_persist = true;
	tables_become(f, BH_TABLE_OWNER | BH_TABLE_PERSIST | BH_TABLE_FOREIGN, false);
	daemon_start(f);
	push_snapshot(f, 2);
	turn(f);
	assert_string_equal(bh_manager_state(f->m, &reason), "degraded");
	assert_non_null(strstr(reason, "owned by another program"));
	free(reason);
	assert_false(f->m->ready);
}

static void test_mask(void **state)
{
	struct bh_features f = { .ifb = true, .htb = true, .table_persist = true };
	struct bh_error err = {0};

	(void)state;
	assert_int_equal(bh_features_mask(&f, NULL, &err), 0);
	assert_int_equal(bh_features_mask(&f, "", &err), 0);
	assert_true(f.ifb && f.htb && f.table_persist);
	assert_int_equal(bh_features_mask(&f, "table_persist,ifb", &err), 0);
	assert_true(!f.ifb && f.htb && !f.table_persist);
	assert_int_equal(bh_features_mask(&f, "table", &err), -EINVAL);
	assert_string_equal(err.msg, BH_MASK_VARIABLE ": no feature 'table'");
}

static void test_refusal_by_the_kernel(void **state)
{
	struct fixture *f = *state;

	daemon_with(f, 1);
	apply_fails = -ENOMEM;
	push_snapshot(f, 3);
	turn(f);
	assert_int_equal(members_in_kernel(f), 1);
	assert_state(f, "degraded");
	assert_true(f->m->failures > 0);
	apply_fails = 0;
	for (int i = 0; i < 50 && f->m->problem; i++)
		sd_event_run(f->event, 100000);	/* the back-off's own time */
	assert_int_equal(members_in_kernel(f), 3);
	assert_state(f, "enforcing");
	assert_int_equal(f->m->repairs, 0);
}

static int no_tree(struct bh_tc *t, const struct bh_shape *wanted, const struct bh_shape *seen, struct bh_error *err)
{
	(void)t, (void)wanted, (void)seen;
	return bh_fail(err, -EOPNOTSUPP, "no IFB here");
}

/* Caps fail alone: the rules are there, the daemon is up, and says so. */
static void test_caps_that_cannot_be_had(void **state)
{
	struct fixture *f = *state;
	const struct bh_tc_ops *real = f->tc->ops;
	struct bh_tc_ops failing = *real;

	failing.apply = no_tree;
	f->tc->ops = &failing;
	write_config(f, "version: 1\nmode: enforce\nzones:\n  web: {select: {labels: {tier: web}}, bandwidth: {zone: {egress: 1mbit}}}\n");
	daemon_start(f);
	push_snapshot(f, 2);
	turn(f);
	assert_int_equal(members_in_kernel(f), 2);
	assert_true(f->m->ready);
	assert_state(f, "degraded");
	f->tc->ops = real;
	for (int i = 0; i < 50 && f->m->problem; i++)
		sd_event_run(f->event, 100000);
	assert_state(f, "enforcing");
}

/* What is not held is said, and what would help. */
static void test_caps_that_this_kernel_has_not(void **state)
{
	static const struct {
		bool ifb, egress, ingress;
		const char *reason;
	} cases[] = {
		{ false, true, false, "caps on egress are not held, everything else is: this kernel has no IFB (modprobe ifb)" },
		{ false, false, true, "caps on ingress are not held, everything else is: this kernel has no IFB (modprobe ifb)" },
		{ true, true, true, "caps on egress and ingress are not held, everything else is: this kernel has no HTB (modprobe sch_htb)" },
	};
	struct fixture *f = *state;

	daemon_with(f, 2);
	for (size_t i = 0; i < BH_ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *reason = NULL;

		f->m->features.ifb = cases[i].ifb;
		caps_missing[BH_EGRESS] = cases[i].egress;
		caps_missing[BH_INGRESS] = cases[i].ingress;
		assert_int_equal(bh_manager_reload(f->m, 0, NULL), 0);
		bh_manager_run(f->m);
		assert_string_equal(bh_manager_state(f->m, &reason), "degraded");
		assert_string_equal(reason, cases[i].reason);
		assert_int_equal(members_in_kernel(f), 2);
	}
	memset(caps_missing, 0, sizeof(caps_missing));
	assert_int_equal(bh_manager_reload(f->m, 0, NULL), 0);
	bh_manager_run(f->m);
	assert_state(f, "enforcing");
}

static void test_bad_reload_changes_nothing(void **state)
{
	static const char *const bad[] = {
		"version: 1\nmode: enforce\nzoness: {}\n",
		"version: 1\nmode: enforce\nzones:\n  web: {select: {labels: {tier: web}}}\nexpect:\n  - {from: host, to: web, verdict: accept}\n",
		"version: 1\nmode: enforce\ndeny: drop\n",	/* the double does not compile it */
	};
	struct fixture *f = *state;

	daemon_with(f, 2);
	applied = 0;
	for (size_t i = 0; i < BH_ARRAY_SIZE(bad); i++) {
		_cleanup_free_ char *text = NULL;

		write_config(f, bad[i]);
		assert_true(bh_manager_reload(f->m, 0, &text) < 0);
		bh_manager_run(f->m);
		assert_int_equal(members_in_kernel(f), 2);
		assert_int_equal(applied, 0);
		assert_non_null(f->m->config.error);
		assert_state(f, "enforcing");
	}
	assert_int_equal(unlink(f->config), 0);
	assert_true(bh_manager_reload(f->m, 0, NULL) < 0);
	assert_int_equal(members_in_kernel(f), 2);
	write_config(f, "version: 1\nmode: audit\n");
	assert_int_equal(bh_manager_reload(f->m, 0, NULL), 0);
	bh_manager_run(f->m);
	assert_int_equal(members_in_kernel(f), 0);
	assert_null(f->m->config.error);
	assert_state(f, "auditing");
}

#define NOBODY "version: 1\nmode: enforce\n"	/* everybody is in quarantine */

static void wait_turns(struct fixture *f, uint64_t usec)
{
	for (uint64_t end = bh_now_usec(CLOCK_MONOTONIC) + usec; bh_now_usec(CLOCK_MONOTONIC) < end;)
		assert_true(sd_event_run(f->event, 10000) >= 0);
}

static void try_config(struct fixture *f, const char *text, uint64_t usec, size_t members)
{
	write_config(f, text);
	assert_int_equal(bh_manager_reload(f->m, usec, NULL), 0);
	bh_manager_run(f->m);
	assert_int_equal(members_in_kernel(f), members);
}

static void test_a_reload_goes_back(void **state)
{
	struct fixture *f = *state;

	if (geteuid() != 0)
		return;
	daemon_with(f, 2);
	try_config(f, NOBODY, 300000, 0);
	assert_true(f->m->probation.on);
	assert_int_equal(bh_probation_left(f->m), 1);
	assert_state(f, "enforcing");
	/* another one in between is on probation, too, and what it goes back to stays */
	write_config(f, "version: 1\nmode: audit\n");
	assert_int_equal(bh_manager_reload(f->m, 0, NULL), 0);
	bh_manager_run(f->m);
	assert_state(f, "auditing");
	assert_true(f->m->probation.on);
	wait_turns(f, 400000);
	assert_false(f->m->probation.on);
	assert_int_equal(members_in_kernel(f), 2);
	assert_state(f, "enforcing");
	assert_non_null(strstr(f->m->config.error, "not confirmed"));
	/* not loaded by a start either, as long as the file is that one */
	daemon_kill(f);
	daemon_start(f);
	push_snapshot(f, 2);
	turn(f);
	assert_int_equal(members_in_kernel(f), 2);
	assert_state(f, "enforcing");
	assert_non_null(strstr(f->m->config.error, "not confirmed"));
	/* but for good by a plain reload, which forgets it all */
	assert_int_equal(bh_manager_reload(f->m, 0, NULL), 0);
	bh_manager_run(f->m);
	assert_null(f->m->config.error);
	daemon_kill(f);
	daemon_start(f);
	push_snapshot(f, 2);
	turn(f);
	assert_state(f, "auditing");
}

static void test_a_crash_before_it_is_confirmed(void **state)
{
	struct fixture *f = *state;

	if (geteuid() != 0)
		return;
	daemon_with(f, 2);
	try_config(f, NOBODY, 60000000, 0);
	daemon_kill(f);
	daemon_start(f);
	push_snapshot(f, 2);
	turn(f);
	assert_int_equal(members_in_kernel(f), 2);
	assert_false(f->m->probation.on);
	/* another file is not what was not confirmed */
	daemon_kill(f);
	write_config(f, "version: 1\nmode: audit\n");
	daemon_start(f);
	push_snapshot(f, 2);
	turn(f);
	assert_state(f, "auditing");
}

static void test_a_reload_is_confirmed(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *text = NULL;

	if (geteuid() != 0)
		return;
	daemon_with(f, 2);
	try_config(f, NOBODY, 200000, 0);
	/* as bh_handle_confirm() does */
	f->m->config.keep_due = true;
	bh_manager_keep(f->m);
	bh_probation_end(f->m);
	wait_turns(f, 300000);
	assert_int_equal(members_in_kernel(f), 0);
	daemon_kill(f);
	daemon_start(f);
	push_snapshot(f, 2);
	turn(f);
	assert_int_equal(members_in_kernel(f), 0);
	assert_null(f->m->config.error);
	/* back to what was in force before: nothing is left to be confirmed, unless it is said */
	try_config(f, CONFIG, 60000000, 2);
	assert_true(f->m->probation.on);
	try_config(f, NOBODY, 60000000, 0);
	assert_true(f->m->probation.on);
	try_config(f, NOBODY, 0, 0);
	assert_false(f->m->probation.on);
	/* what could not come back after a crash is not tried */
	(void)bh_strdup(&f->m->config.keep_error, "no space left");
	write_config(f, CONFIG);
	assert_true(bh_manager_reload(f->m, 1000000, &text) < 0);
	assert_non_null(strstr(f->m->config.error, "would not survive a crash"));
	assert_false(f->m->probation.on);
	assert_int_equal(members_in_kernel(f), 0);
}

static void test_bridge_flags(void **state)
{
	struct fixture *f = *state;
	const struct bh_link *bridge;

	daemon_with(f, 1);
	bridge = bh_host_link_named(bh_tc_fake_host(f->tc), BRIDGE);
	assert_true(bridge->nf_call_iptables);
	assert_false(bridge->nf_call_ip6tables);	/* the double asks for IPv4 alone */
	/* Somebody switches it off: the poll finds it. */
	((struct bh_link *)bridge)->nf_call_iptables = false;
	bh_seen_clear(&f->m->seen);
	bh_manager_run(f->m);
	assert_true(bh_host_link_named(bh_tc_fake_host(f->tc), BRIDGE)->nf_call_iptables);
	assert_int_equal(f->m->repairs, 1);
	/* Teardown puts back what was off before, by a program that knows nothing but the kernel. */
	daemon_kill(f);
	assert_int_equal(bh_teardown_kernel(f->nft, f->tc, NULL), 0);
	assert_false(bh_host_link_named(bh_tc_fake_host(f->tc), BRIDGE)->nf_call_iptables);
	assert_false(tables_in_kernel(f));
	assert_int_equal(bh_teardown_kernel(f->nft, f->tc, NULL), 0);	/* twice is no error */
}

static void test_status(void **state)
{
	static const char *const keys[] = { "daemon", "kernel", "runtimes", "zones", "containers", "rules" };
	struct fixture *f = *state;
	struct bh_error err = {0};
	json_t *doc = NULL, *c;

	daemon_with(f, 1);
	if (bh_status_build(f->m, &doc, &err) < 0)
		fail_msg("%s", err.msg);
	for (size_t i = 0; i < BH_ARRAY_SIZE(keys); i++)
		assert_non_null(json_object_get(doc, keys[i]));
	assert_true(json_is_true(json_object_get(json_object_get(doc, "kernel"), "in_sync")));
	assert_true(json_is_null(json_object_get(json_object_get(doc, "daemon"), "reason")));
	c = json_array_get(json_object_get(doc, "containers"), 0);
	assert_string_equal(json_string_value(json_object_get(c, "zone")), "web");
	assert_string_equal(json_string_value(json_array_get(json_object_get(json_array_get(json_object_get(c, "endpoints"), 0),
		"ipv4"), 0)), "10.0.0.2");
	assert_true(json_is_null(json_object_get(json_object_get(c, "bandwidth"), "egress_bps")));
	assert_int_equal(json_integer_value(json_object_get(c, "dropped_packets")), 2);
	json_decref(doc);
	doc = NULL;
	/* The kernel's truth, not a memory. */
	flush_foreign(f);
	assert_int_equal(bh_status_build(f->m, &doc, &err), 0);
	assert_true(json_is_false(json_object_get(json_object_get(doc, "kernel"), "in_sync")));
	assert_true(json_is_null(json_object_get(json_object_get(doc, "kernel"), "table")));
	json_decref(doc);
}

static uint64_t looks(struct fixture *f)
{
	return f->docker->runtime->ops->stats(f->docker->runtime).events;	/* the fake counts looks as events */
}

static void wait_for_looks(struct fixture *f, uint64_t n)
{
	for (int i = 0; i < 1000 && looks(f) < n; i++)
		assert_true(sd_event_run(f->event, 10000) >= 0);
	assert_true(looks(f) >= n);
}

static void push_build(struct fixture *f, bool there)
{
	struct bh_container c = {0};
	struct bh_runtime_msg msg = { .kind = there ? BH_RUNTIME_MSG_CONTAINER : BH_RUNTIME_MSG_GONE, .container = &c, .id = "step" };

	container_init(&c, "step", "", 9);
	c.kind = BH_KIND_BUILD;
	bh_fake_runtime_push(f->docker->runtime, &msg);
	bh_container_clear(&c);
}

/* Nobody tells when a build's step comes or goes: its port does, and the runtime may know a little later. */
static void test_builds_are_asked_about(void **state)
{
	struct fixture *f = *state;
	struct bh_host *h = bh_tc_fake_host(f->tc);
	uint64_t before;

	daemon_with(f, 0);
	assert_int_equal(looks(f), 1);	/* veth9 */
	wait_for_looks(f, 3);
	/* An endpoint whose other end has not moved yet explains one port. */
	push_build(f, true);
	turn(f);
	before = looks(f);
	for (int i = 0; i < 12; i++)
		assert_true(sd_event_run(f->event, 10000) >= 0);
	assert_in_range(looks(f), before, before + 1);	/* the timer that was armed */
	/* The port goes, and the build with it, but not at once. */
	h->links.n--;
	bh_seen_clear(&f->m->seen);
	bh_manager_run(f->m);
	before = looks(f);
	wait_for_looks(f, before + 2);
	push_build(f, false);
	turn(f);
	before = looks(f);
	for (int i = 0; i < 12; i++)
		assert_true(sd_event_run(f->event, 10000) >= 0);
	assert_in_range(looks(f), before, before + 1);
}

static void test_unexplained_port_is_asked_about_at_once(void **state)
{
	struct fixture *f = *state;

	daemon_with(f, 0);
	assert_int_equal(looks(f), 1);	/* veth9 */
	bh_manager_run(f->m);
	assert_int_equal(looks(f), 1);
	add_link(bh_tc_fake_host(f->tc), 10, "veth10", BH_LINK_VETH, BRIDGE_INDEX);
	bh_seen_clear(&f->m->seen);
	bh_manager_run(f->m);
	assert_int_equal(looks(f), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_start_closes_first, setup, teardown),
		cmocka_unit_test_setup_teardown(test_without_configuration, setup, teardown),
		cmocka_unit_test_setup_teardown(test_last_good_configuration, setup, teardown),
		cmocka_unit_test_setup_teardown(test_policy_that_does_not_compile_at_start, setup, teardown),
		cmocka_unit_test_setup_teardown(test_policy_that_the_kernel_refuses_at_start, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bridges_are_remembered_over_a_boot, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nobody_is_there, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unowned_stays_while_somebody_is_there, setup, teardown),
		cmocka_unit_test_setup_teardown(test_restart_changes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_restart_without_runtime, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reload_without_runtime, setup, teardown),
		cmocka_unit_test_setup_teardown(test_runtime_goes_and_comes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_change_is_not_read_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_single_messages, setup, teardown),
		cmocka_unit_test_setup_teardown(test_drift_is_repaired, setup, teardown),
		cmocka_unit_test_setup_teardown(test_orphans_are_taken_over, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tables_of_another_owner, setup, teardown),
		cmocka_unit_test(test_mask),
		cmocka_unit_test_setup_teardown(test_refusal_by_the_kernel, setup, teardown),
		cmocka_unit_test_setup_teardown(test_caps_that_cannot_be_had, setup, teardown),
		cmocka_unit_test_setup_teardown(test_caps_that_this_kernel_has_not, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_reload_changes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_reload_goes_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_crash_before_it_is_confirmed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_reload_is_confirmed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bridge_flags, setup, teardown),
		cmocka_unit_test_setup_teardown(test_status, setup, teardown),
		cmocka_unit_test_setup_teardown(test_builds_are_asked_about, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unexplained_port_is_asked_about_at_once, setup, teardown),
	};

	return cmocka_run_group_tests_name("daemon", tests, NULL, NULL);
}
