/* SPDX-License-Identifier: Apache-2.0 */
#include "../../src/daemon/lock.h"
#include "../../src/daemon/manager.h"
#include "../../src/daemon/options.h"
#include "../../src/daemon/state.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define GOOD "version: 1\nmode: enforce\nzones:\n  web: {select: {labels: {tier: web}}}\n"

static char dir[64];

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/bh-test-%d-XXXXXX", getpid());
	assert_non_null(mkdtemp(dir));
	return 0;
}

static void remove_all(const char *path)
{
	static const char *const names[] = { "state/good/conf.d/10.yaml", "state/good/conf.d", "state/good/bulkhead.yaml",
		"state/good/.sum", "state/good", "state/bridges", "state", "conf.d/10.yaml", "conf.d", "bulkhead.yaml", "resolv.conf", "resolved.conf" };

	for (size_t i = 0; i < BH_ARRAY_SIZE(names); i++) {
		char p[200];

		snprintf(p, sizeof(p), "%s/%s", path, names[i]);
		if (unlink(p) < 0)
			(void)rmdir(p);
	}
}

static int teardown(void **state)
{
	(void)state;
	remove_all(dir);
	assert_int_equal(rmdir(dir), 0);
	return 0;
}

static void write_text(const char *name, const char *text)
{
	char p[200];
	FILE *f;

	snprintf(p, sizeof(p), "%s/%s", dir, name);
	f = fopen(p, "we");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fchmod(fileno(f), 0644), 0);
	assert_int_equal(fclose(f), 0);
}

static struct bh_policy *load(const char *path)
{
	struct bh_policy *p = NULL;
	struct bh_diags d = {0};

	assert_int_equal(bh_config_load(path, BH_CONFIG_CONF_D, &p, &d), 0);
	bh_diags_clear(&d);
	return p;
}

static void test_state_round_trip(void **state)
{
	_cleanup_(bh_policy_freep) struct bh_policy *first = NULL, *again = NULL, *third = NULL;
	struct bh_error err = {0};
	char config[200], kept[200];

	(void)state;
	snprintf(config, sizeof(config), "%s/bulkhead.yaml", dir);
	snprintf(kept, sizeof(kept), "%s/state", dir);
	assert_int_equal(bh_state_load(kept, &again, &err), -ENOENT);
	memset(&err, 0, sizeof(err));
	write_text("bulkhead.yaml", GOOD);
	snprintf(config, sizeof(config), "%s/conf.d", dir);
	assert_int_equal(mkdir(config, 0755), 0);
	write_text("conf.d/10.yaml", "version: 1\nzones:\n  db: {select: {labels: {tier: db}}}\n");
	snprintf(config, sizeof(config), "%s/bulkhead.yaml", dir);
	first = load(config);
	if (bh_state_keep(kept, config, first, &err) < 0)
		fail_msg("%s", err.msg);
	/* The files may go; what was kept says the same, with the same places. */
	write_text("bulkhead.yaml", "version: 1\nmode: [broken\n");
	if (bh_state_load(kept, &again, &err) < 0) {
		/* Refused because others than root can write: the owner of this test's files is not root. */
		assert_int_not_equal(geteuid(), 0);
		return;
	}
	assert_int_equal(again->zones.n, 2);
	assert_string_equal(again->zones.v[0].loc.file, "bulkhead.yaml");
	assert_int_equal(again->zones.v[0].loc.line, 4);
	/* Kept again: exchanged whole, the file of conf.d that went is not resurrected. */
	write_text("bulkhead.yaml", GOOD);
	snprintf(config, sizeof(config), "%s/conf.d/10.yaml", dir);
	assert_int_equal(unlink(config), 0);
	snprintf(config, sizeof(config), "%s/bulkhead.yaml", dir);
	third = load(config);
	assert_int_equal(bh_state_keep(kept, config, third, &err), 0);
	bh_policy_free(again);
	again = NULL;
	assert_int_equal(bh_state_load(kept, &again, &err), 0);
	assert_int_equal(again->zones.n, 1);
}

/* What was cut or changed by a disk or a hand is no last good configuration, also where it still reads as one. */
static void test_state_damaged(void **state)
{
	static const char *const damage[] = { "version: 1\nmode: enforce\n", "", GOOD "#" };
	char config[200], kept[200];

	(void)state;
	snprintf(config, sizeof(config), "%s/bulkhead.yaml", dir);
	snprintf(kept, sizeof(kept), "%s/state", dir);
	write_text("bulkhead.yaml", GOOD);
	for (size_t i = 0; i < BH_ARRAY_SIZE(damage); i++) {
		_cleanup_(bh_policy_freep) struct bh_policy *policy = load(config), *again = NULL;
		struct bh_error err = {0};

		assert_int_equal(bh_state_keep(kept, config, policy, &err), 0);
		write_text("state/good/bulkhead.yaml", damage[i]);
		assert_int_equal(bh_state_load(kept, &again, &err), -EUCLEAN);
		assert_non_null(strstr(err.msg, "damaged"));
		assert_null(again);
	}
	write_text("state/good/bulkhead.yaml", GOOD);
	write_text("state/good/.sum", "nonsense\n");
	{
		struct bh_policy *again = NULL;

		assert_int_equal(bh_state_load(kept, &again, NULL), -EUCLEAN);
		snprintf(kept, sizeof(kept), "%s/state/good/.sum", dir);
		assert_int_equal(unlink(kept), 0);	/* as a version before the sums kept it */
		snprintf(kept, sizeof(kept), "%s/state", dir);
		if (geteuid() == 0)
			assert_int_equal(bh_state_load(kept, &again, NULL), 0);
		bh_policy_free(again);
	}
}

static void test_state_bridges(void **state)
{
	_cleanup_(bh_strv_clear) struct bh_strv names = {0}, again = {0};
	char kept[200];

	(void)state;
	snprintf(kept, sizeof(kept), "%s/state", dir);
	assert_int_equal(bh_state_load_bridges(kept, &again), 0);
	assert_int_equal(again.n, 0);
	assert_int_equal(bh_strv_push(&names, "docker0"), 0);
	assert_int_equal(bh_strv_push(&names, "a\nb"), 0);	/* no name of an interface */
	assert_int_equal(bh_strv_push(&names, "my.bridge-1"), 0);
	assert_int_equal(bh_state_keep_bridges(kept, &names), 0);
	assert_int_equal(bh_state_load_bridges(kept, &again), 0);
	assert_int_equal(again.n, 2);
	assert_true(bh_strv_has(&again, "docker0") && bh_strv_has(&again, "my.bridge-1"));
	write_text("state/bridges", "ok0\n../etc\nbr*\nsixteencharacters\nok0\n\n");
	bh_strv_clear(&again);
	assert_int_equal(bh_state_load_bridges(kept, &again), 0);
	assert_int_equal(again.n, 1);
	assert_true(bh_state_keep_bridges("/proc/bulkhead", &names) < 0);
}

static void test_state_file_changed_meanwhile(void **state)
{
	_cleanup_(bh_policy_freep) struct bh_policy *policy = NULL, *kept_policy = NULL;
	struct bh_error err = {0};
	char config[200], kept[200];

	(void)state;
	snprintf(config, sizeof(config), "%s/bulkhead.yaml", dir);
	snprintf(kept, sizeof(kept), "%s/state", dir);
	write_text("bulkhead.yaml", GOOD);
	policy = load(config);
	write_text("bulkhead.yaml", "version: 1\nmode: audit\n");
	assert_int_equal(bh_state_keep(kept, config, policy, &err), -ESTALE);
	assert_int_equal(bh_state_load(kept, &kept_policy, NULL), -ENOENT);
}

static void test_state_unwritable(void **state)
{
	_cleanup_(bh_policy_freep) struct bh_policy *policy = NULL;
	struct bh_error err = {0};
	char config[200];

	(void)state;
	snprintf(config, sizeof(config), "%s/bulkhead.yaml", dir);
	write_text("bulkhead.yaml", GOOD);
	policy = load(config);
	assert_true(bh_state_keep("/proc/bulkhead", config, policy, &err) < 0);
	assert_non_null(strstr(err.msg, "/proc/bulkhead"));
}

static void test_lock(void **state)
{
	struct bh_lock lock = { .fd = -1 }, other = { .fd = -1 };
	struct bh_error err = {0};
	pid_t holder = 0, child, parent = getpid();
	int status;

	(void)state;
	assert_int_equal(bh_lock_take(dir, &lock, &holder, &err), 0);
	child = fork();	/* a record lock is its process's */
	if (child == 0) {
		int r = bh_lock_take(dir, &other, &holder, &err);

		_exit(r == -EBUSY && holder == parent && strstr(err.msg, "already") ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	bh_lock_release(&lock, true);
	bh_lock_release(&lock, true);
	assert_int_equal(bh_lock_take(dir, &lock, &holder, &err), 0);
	bh_lock_release(&lock, true);
}

static int parse(struct bh_options *o, int argc, const char *const *words, char **argv)
{
	for (int i = 0; i < argc; i++)
		argv[i] = strdup(words[i]);
	argv[argc] = NULL;
	return bh_options_parse(argc, argv, o);
}

static void test_options(void **state)
{
	static const char *const none[] = { "bulkheadd" };
	static const char *const many[] = { "bulkheadd", "--config", "/c", "--socket=/s", "--state", "/d", "--runtime", "docker=/a.sock",
		"--runtime", "docker=/b.sock", "--foreground", "--once" };
	static const char *const bad[][2] = { { "--runtime", "docker" }, { "--runtime", "lxd=/x" }, { "--nothing", "x" }, { "word", "x" } };
	struct bh_options o;
	char *argv[16];

	(void)state;
	assert_int_equal(parse(&o, 1, none, argv), 0);
	assert_string_equal(o.config, "/etc/bulkhead/bulkhead.yaml");
	assert_string_equal(o.socket, "/run/bulkhead/control.sock");
	assert_int_equal(o.runtimes.n, 1);
	assert_int_equal(o.action, BH_ACTION_RUN);
	bh_options_clear(&o);
	free(argv[0]);
	assert_int_equal(parse(&o, BH_ARRAY_SIZE(many), many, argv), 0);
	assert_string_equal(o.config, "/c");
	assert_int_equal(o.runtimes.n, 2);
	assert_string_equal(o.runtimes.v[1].socket, "/b.sock");
	assert_int_equal(o.action, BH_ACTION_ONCE);
	assert_true(o.foreground);
	bh_options_clear(&o);
	for (size_t i = 0; i < BH_ARRAY_SIZE(many); i++)
		free(argv[i]);
	for (size_t i = 0; i < BH_ARRAY_SIZE(bad); i++) {
		const char *const words[] = { "bulkheadd", bad[i][0], bad[i][1] };

		assert_int_equal(parse(&o, 3, words, argv), -EINVAL);
		for (int k = 0; k < 3; k++)
			free(argv[k]);
	}
}

static void expect_resolvers(const char *resolv, const char *resolved, const char *want)
{
	char path[200], path2[200], text[BH_ADDR_TEXT], got[400] = "";
	struct bh_addrs a = {0};

	write_text("resolv.conf", resolv);
	write_text("resolved.conf", resolved);
	snprintf(path, sizeof(path), "%s/resolv.conf", dir);
	snprintf(path2, sizeof(path2), "%s/resolved.conf", dir);
	assert_int_equal(bh_resolvers_read(path, path2, &a), 0);
	bh_vec_foreach(x, &a.v)
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s", got[0] ? " " : "", bh_addr_text(x, text));
	assert_string_equal(got, want);
	bh_vec_clear(&a.v);
}

/* As Docker reads them. */
static void test_resolvers(void **state)
{
	static const char docker[] = "8.8.8.8 8.8.4.4 2001:4860:4860::8888 2001:4860:4860::8844";
	struct bh_addrs a = {0};

	(void)state;
	expect_resolvers("# nameserver 9.9.9.9\nnameserver 127.0.0.53\n  nameserver\t192.0.2.1\nnameserver 192.0.2.1\n"
		"nameserver fe80::1%eth0\nnameserver ::1\nnameserver nonsense\noptions edns0\nnameserver 2001:db8::1",
		"nameserver 192.0.2.9\n", "192.0.2.1 fe80::1 2001:db8::1");
	expect_resolvers("nameserver 127.0.0.53\noptions trust-ad\n", "nameserver 192.0.2.9\nnameserver 192.0.2.10\n", "192.0.2.9 192.0.2.10");
	expect_resolvers("nameserver 127.0.0.53\n", "", docker);
	expect_resolvers("nameserver 127.0.0.1\n", "nameserver 192.0.2.9\n", docker);
	expect_resolvers("search example.org\n", "nameserver 192.0.2.9\n", docker);
	assert_int_equal(bh_resolvers_read("/nonexistent", "/nonexistent", &a), 0);
	assert_int_equal(a.v.n, 4);
	bh_vec_clear(&a.v);
}

static void give(struct bh_manager *m, const char *addr, size_t want)
{
	struct bh_addrs now = {0};
	struct bh_addr a;

	assert_int_equal(bh_addr_parse(addr, &a), 0);
	assert_int_equal(bh_vec_push(&now.v, a), 0);
	assert_int_equal(bh_resolvers_follow(m, &now), 0);
	bh_vec_clear(&now.v);
	assert_int_equal(m->resolvers.n, want);
}

/* Docker gives resolvers when a container starts: one that runs keeps its own. */
static void test_resolvers_that_leave(void **state)
{
	struct bh_inventory inventory = {0};
	struct bh_source source = { .inventory = &inventory };
	struct bh_manager m = {0};
	struct bh_container *c = bh_vec_add(&inventory.containers);

	(void)state;
	assert_non_null(c);
	c->id = strdup("one");
	c->state = BH_CONTAINER_RUNNING;
	assert_int_equal(bh_vec_push(&m.sources, &source), 0);
	give(&m, "192.0.2.1", 1);
	give(&m, "192.0.2.2", 2);
	give(&m, "192.0.2.2", 2);
	give(&m, "192.0.2.3", 3);
	give(&m, "192.0.2.1", 3);		/* it is back */
	assert_false(m.resolvers.v[0].left);
	c->state = BH_CONTAINER_STOPPED;
	give(&m, "192.0.2.1", 1);
	give(&m, "192.0.2.4", 1);		/* nobody runs */
	bh_resolvers_clear(&m);
	bh_vec_clear(&m.sources);
	bh_container_clear(c);
	bh_vec_clear(&inventory.containers);
}

static void kernel_zone(struct bh_set *s, uint32_t number, const char *chain)
{
	struct bh_elem *e = bh_vec_add(&s->elems);
	uint32_t id = BH_ID_ZONE + number;

	assert_non_null(e);
	memcpy(e->key, &id, sizeof(id));
	e->verdict = BH_JUMP;
	snprintf(e->chain, sizeof(e->chain), "%s", chain);
}

static void place_zone(struct bh_memory *m, struct bh_placement *p, uint32_t number, const char *name)
{
	struct bh_zone_inst *i = bh_vec_add(&p->insts);
	struct bh_known_id *k = bh_vec_add(&m->ids);

	assert_non_null(i);
	assert_non_null(k);
	i->name = strdup(name);
	k->name = strdup(name);
	i->id = k->id = BH_ID_ZONE + number;
}

/* A restart gives zones the numbers that the kernel has, new ones a free one, and never one number twice. */
static void test_numbers_of_zones_after_a_restart(void **state)
{
	static const uint32_t want[] = { 7, 1, 2, 8, 9 };
	struct bh_ruleset *seen = calloc(1, sizeof(*seen));
	struct bh_placement *p = calloc(1, sizeof(*p));
	struct bh_memory m = {0};
	struct bh_set *s;
	bool changed = false;

	(void)state;
	assert_non_null(seen);
	assert_non_null(p);
	s = bh_vec_add(&seen->tables[BH_FAMILY_INET].sets);
	if (!s)
		abort();
	snprintf(s->name, sizeof(s->name), "from_zone");
	kernel_zone(s, 7, "zone_7_api");
	kernel_zone(s, 1, "zone_1_web");
	kernel_zone(s, 2, "zone_2_project_nextclou");
	kernel_zone(s, 8, "zone_8_project_nextclou");	/* two names that the kernel cannot tell apart */
	kernel_zone(s, 3, "zone_host");			/* no number in it */
	place_zone(&m, p, 1, "api");
	place_zone(&m, p, 2, "web");
	place_zone(&m, p, 3, "project:nextcloud");
	place_zone(&m, p, 4, "project:nextcloud2");
	place_zone(&m, p, 7, "young");
	assert_int_equal(bh_ids_recover(&m, p, seen, &changed), 0);
	assert_true(changed);
	for (size_t i = 0; i < BH_ARRAY_SIZE(want); i++)
		assert_int_equal(m.ids.v[i].id - BH_ID_ZONE, want[i]);
	/* In line: nothing moves. */
	for (size_t i = 0; i < p->insts.n; i++)
		p->insts.v[i].id = m.ids.v[i].id;
	kernel_zone(s, 9, "zone_9_young");
	assert_int_equal(bh_ids_recover(&m, p, seen, &changed), 0);
	assert_false(changed);
	bh_placement_free(p);
	bh_memory_clear(&m);
	bh_ruleset_free(seen);
}

static int given(const char *request, char **ret_said, struct bh_error *err)
{
	_cleanup_(bh_policy_freep) struct bh_policy *p = NULL;
	json_t *doc = json_loads(request, 0, NULL);
	int r;

	assert_non_null(doc);
	r = bh_given_policy(doc, &p, ret_said, err);
	assert_int_equal(r == 1, p != NULL);
	json_decref(doc);
	return r;
}

static void test_a_given_configuration(void **state)
{
	static const struct {
		const char *request, *error, *said;
		int r;
	} cases[] = {
		{ "{}", NULL, NULL, 0 },
		{ "{\"config\": [{\"name\": \"b.yaml\", \"text\": \"version: 1\\nmode: audit\\n\"}]}", NULL, NULL, 1 },
		{ "{\"config\": [{\"name\": \"b.yaml\", \"text\": \"version: 1\\nmode: audit\\n\"},"
		  " {\"name\": \"conf.d/c\\\\x1b.yaml\", \"text\": \"version: 1\\nzone: 1\"}]}", "not valid", "zones", -EINVAL },
		{ "{\"config\": [{\"name\": \"/etc/shadow\", \"text\": \"\"}]}", "not valid", "/etc/shadow:1:1", -EINVAL },
		{ "{\"config\": []}", "list of files", NULL, -EBADMSG },
		{ "{\"config\": \"/etc/shadow\"}", "list of files", NULL, -EBADMSG },
		{ "{\"config\": [\"/etc/shadow\"]}", "list of files", NULL, -EBADMSG },
		{ "{\"config\": [{\"name\": \"/etc/shadow\"}]}", "list of files", NULL, -EBADMSG },
		{ "{\"config\": [{\"name\": \"\", \"text\": \"\"}]}", "another name", NULL, -EBADMSG },
		{ "{\"config\": [{\"name\": \"a\\u001b[2J\", \"text\": \"\"}]}", "another name", NULL, -EBADMSG },
		{ "{\"config\": [{\"name\": \"a\\nb\", \"text\": \"\"}]}", "another name", NULL, -EBADMSG },
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *said = NULL;
		struct bh_error err = {0};

		if (given(cases[i].request, &said, &err) != cases[i].r)
			fail_msg("%s: %s", cases[i].request, err.msg);
		if (cases[i].error)
			assert_non_null(strstr(err.msg, cases[i].error));
		if (cases[i].said)
			assert_non_null(strstr(said ? said : "", cases[i].said));
		else
			assert_null(said);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_state_round_trip, setup, teardown),
		cmocka_unit_test_setup_teardown(test_state_damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_state_bridges, setup, teardown),
		cmocka_unit_test_setup_teardown(test_state_file_changed_meanwhile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_state_unwritable, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lock, setup, teardown),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_a_given_configuration),
		cmocka_unit_test(test_numbers_of_zones_after_a_restart),
		cmocka_unit_test_setup_teardown(test_resolvers, setup, teardown),
		cmocka_unit_test(test_resolvers_that_leave),
	};

	return cmocka_run_group_tests_name("daemon_parts", tests, NULL, NULL);
}
