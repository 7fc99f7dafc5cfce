/* SPDX-License-Identifier: Apache-2.0 */
/* The detector by scripted sights: each rule sees what it is for and not ordinary traffic, and what it remembers is bounded. */
#include <bulkhead/detect.h>

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SEC 1000000ull

struct ears {
	unsigned n;
	char id[64], text[512];
	uint64_t count;
	bool guessed;
};

static struct ears ears;

static void hear(void *userdata, const struct bh_finding *f)
{
	(void)userdata;
	ears.n++;
	snprintf(ears.id, sizeof(ears.id), "%s", f->id ? f->id : "");
	snprintf(ears.text, sizeof(ears.text), "%s", f->text);
	ears.count = f->count;
	ears.guessed = f->guessed;
}

static struct bh_contacts contacts;
static struct bh_detector *d;
static uint64_t now, sec;
static bool deaf;

static int setup(void **state)
{
	(void)state;
	memset(&ears, 0, sizeof(ears));
	now = 1000 * SEC;
	sec = 2000000000;
	deaf = false;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	bh_detector_free(bh_take(d));
	bh_contacts_clear(&contacts);
	return 0;
}

static void rules(const struct bh_detect_rule *r, size_t n)
{
	assert_int_equal(bh_detector_new(r, n, &contacts, &d), 0);
}

static void see(struct bh_sight s)
{
	s.zone = s.zone ? s.zone : "web";
	s.id = s.id ? s.id : "id-web1";
	s.name = "web1";
	assert_int_equal(bh_detector_see(d, &s, now, sec, deaf, hear, NULL), 0);
}

/* web1 tries PORT of 10.0.0.HOST. */
static void try_port(const char *id, unsigned host, unsigned port)
{
	char to[32];

	snprintf(to, sizeof(to), "db%u", host);
	see((struct bh_sight){.sees = BH_SEES_DENIED, .id = id, .n = 1, .to = to, .to_zone = host % 2 ? "db" : "cache", .to_container = true,
		.to_addr = {.family = 4, .b = {10, 0, (uint8_t)(host >> 8), (uint8_t)host}}, .proto = IPPROTO_TCP, .port = (uint16_t)port, .has_port = true});
}

static void counted(uint64_t n)
{
	see((struct bh_sight){.sees = BH_SEES_DENIED, .counted = true, .n = n});
}

static const struct bh_detect_rule scan = {.name = (char *)"scan", .sees = BH_SEES_DENIED, .distinct = BH_DISTINCT_PORTS, .more_than = 20, .within_usec = 10 * SEC};

static void a_scan_is_seen(void **state)
{
	(void)state;
	rules(&scan, 1);
	for (unsigned i = 0; i < 20; i++)
		try_port(NULL, 1, 1000 + i);
	assert_int_equal(ears.n, 0);
	try_port(NULL, 2, 1000);
	assert_int_equal(ears.n, 1);
	assert_int_equal(ears.count, 21);
	assert_false(ears.guessed);
	assert_string_equal(ears.id, "id-web1");
	assert_string_equal(ears.text, "21 ports were denied to it within 10 s, the last db2 (cache) tcp/1000");
	/* silent about this one for a while, not about another */
	for (unsigned i = 0; i < 200; i++)
		try_port(NULL, 1, 2000 + i);
	assert_int_equal(ears.n, 1);
	assert_int_equal(bh_detector_keys(d), 0);
	for (unsigned i = 0; i < 21; i++)
		try_port("id-other", 1, 2000 + i);
	assert_int_equal(ears.n, 2);
	assert_string_equal(ears.id, "id-other");
	now += BH_DETECT_AGAIN_USEC;
	for (unsigned i = 0; i < 21; i++)
		try_port(NULL, 1, 2000 + i);
	assert_int_equal(ears.n, 3);
}

static void what_is_ordinary_is_not(void **state)
{
	(void)state;
	rules(&scan, 1);
	/* the same port again and again */
	for (unsigned i = 0; i < 100000; i++) {
		now += 1000;
		try_port(NULL, 1, 5432);
	}
	/* many ports, but over a long time: never more than 20 within any ten seconds */
	for (unsigned i = 0; i < 1000; i++) {
		now += SEC / 2 + 1;
		try_port(NULL, 1, 1000 + i);
	}
	assert_int_equal(ears.n, 0);
	assert_true(bh_detector_keys(d) <= 21);
	/* and the control: a little faster is too fast */
	for (unsigned i = 0; i < 1000; i++) {
		now += SEC / 2 - 30000;
		try_port(NULL, 1, 1000 + i);
	}
	assert_true(ears.n > 0);
}

static void each_kind_counts_its_own(void **state)
{
	const struct bh_detect_rule r[] = {
		{.name = (char *)"addresses", .sees = BH_SEES_DENIED, .distinct = BH_DISTINCT_ADDRESSES, .more_than = 5, .within_usec = SEC},
		{.name = (char *)"containers", .sees = BH_SEES_DENIED, .distinct = BH_DISTINCT_CONTAINERS, .more_than = 7, .within_usec = SEC},
		{.name = (char *)"zones", .sees = BH_SEES_DENIED, .distinct = BH_DISTINCT_ZONES, .more_than = 1, .within_usec = SEC},
		{.name = (char *)"packets", .sees = BH_SEES_DENIED, .distinct = BH_DISTINCT_NONE, .more_than = 9, .within_usec = SEC},
	};
	static const unsigned at[] = {6, 8, 2, 10};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(r); i++) {
		setup(NULL);
		rules(&r[i], 1);
		for (unsigned k = 1; k <= 12; k++) {
			try_port(NULL, k, 80);
			assert_int_equal(ears.n, k >= at[i]);
		}
		teardown(NULL);
	}
}

/* The kernel tells a hundred new ports of a sender in a second, and counts all. */
static void a_scan_faster_than_the_log_is_counted(void **state)
{
	struct bh_detect_rule fast = scan;
	uint64_t dropped = 7;

	(void)state;
	fast.more_than = 1000;
	fast.within_usec = 2 * SEC;
	rules(&fast, 1);
	for (unsigned i = 0; i < 100; i++)
		try_port(NULL, 1, i);
	assert_int_equal(ears.n, 0);
	assert_true(bh_detector_wants_counts(d, now));
	counted(dropped += 100);	/* from here on it is known */
	now += SEC / 2;
	counted(dropped += 600);
	assert_int_equal(ears.n, 0);
	now += SEC / 2;
	counted(dropped += 600);
	assert_int_equal(ears.n, 1);
	assert_false(ears.guessed);
	assert_string_equal(ears.text, "1300 ports were denied to it within 2 s");
}

/* Who tries one port a thousand times a second is told once a second: the rest is no port of its own. */
static void repeats_are_no_ports(void **state)
{
	struct bh_detect_rule fast = scan;
	uint64_t dropped = 0;

	(void)state;
	rules(&fast, 1);
	for (unsigned i = 0; i < 60; i++) {
		try_port(NULL, 1, 5432);
		counted(dropped += 1000);
		now += SEC;
	}
	assert_int_equal(ears.n, 0);
	/* nobody tells anything one by one: it may be a scan, which is said to be a guess */
	deaf = true;
	counted(dropped += 1000);
	assert_int_equal(ears.n, 1);
	assert_true(ears.guessed);
}

static void packets_are_those_that_the_kernel_counts(void **state)
{
	const struct bh_detect_rule r = {.name = (char *)"noisy", .sees = BH_SEES_DENIED, .more_than = 5000, .within_usec = 10 * SEC};

	(void)state;
	rules(&r, 1);
	try_port(NULL, 1, 80);
	assert_true(bh_detector_wants_counts(d, now));
	counted(1);
	now += SEC;
	try_port(NULL, 1, 80);
	counted(4000);
	assert_int_equal(ears.n, 0);
	now += SEC;
	counted(100);	/* begun anew: nothing is known of what was before */
	assert_int_equal(ears.n, 0);
	counted(1200);
	assert_int_equal(ears.n, 1);
	assert_int_equal(ears.count, 1 + 1 + 3998 + 1100);
	now += 20 * SEC;
	assert_false(bh_detector_wants_counts(d, now));
	/* what was dropped while nobody looked is no news */
	now += 60 * SEC;
	try_port(NULL, 1, 80);
	counted(1000000);
	assert_int_equal(ears.n, 1);
	counted(1000100);
	assert_int_equal(ears.n, 1);
	counted(1006000);
	assert_int_equal(ears.n, 2);
}

static void connections_and_commands(void **state)
{
	const struct bh_zone_ref web = {.name = (char *)"web"};
	struct bh_detect_rule r[] = {
		{.name = (char *)"flood", .sees = BH_SEES_CONNECTIONS, .more_than = 100, .within_usec = SEC},
		{.name = (char *)"shell", .sees = BH_SEES_EXEC},
		{.name = (char *)"weaker", .sees = BH_SEES_POSTURE, .quarantine_usec = 600 * SEC},
	};

	(void)state;
	assert_int_equal(bh_strv_push(&r[1].except, "*healthcheck*"), 0);
	assert_int_equal(bh_vec_push(&r[1].zones, web), 0);
	rules(r, 3);
	for (unsigned i = 0; i < 1000; i++) {	/* 90 a second */
		now += SEC / 90;
		see((struct bh_sight){.sees = BH_SEES_CONNECTIONS, .n = 1, .to = "db1", .to_zone = "db", .proto = IPPROTO_UDP, .port = 53, .has_port = true});
	}
	assert_int_equal(ears.n, 0);
	for (unsigned i = 0; i < 200; i++)
		see((struct bh_sight){.sees = BH_SEES_CONNECTIONS, .n = 1, .to = "db1", .to_zone = "db", .proto = IPPROTO_UDP, .port = 53, .has_port = true});
	assert_int_equal(ears.n, 1);
	assert_non_null(strstr(ears.text, "101 connections within 1 s, the last to db1 (db) udp/53"));
	see((struct bh_sight){.sees = BH_SEES_EXEC, .n = 1, .text = "/bin/sh -c healthcheck.sh"});
	see((struct bh_sight){.sees = BH_SEES_EXEC, .n = 1, .zone = "db", .text = "/bin/sh"});
	assert_int_equal(ears.n, 1);
	for (unsigned i = 2; i < 5; i++) {	/* each one */
		see((struct bh_sight){.sees = BH_SEES_EXEC, .n = 1, .text = "/bin/sh"});
		assert_int_equal(ears.n, i);
	}
	assert_string_equal(ears.text, "a command was executed in it: /bin/sh");
	for (unsigned i = 0; i < 3; i++)	/* once in its time of quarantine */
		see((struct bh_sight){.sees = BH_SEES_POSTURE, .n = 1, .text = "memory 64 -> none"});
	assert_int_equal(ears.n, 5);
	now += 600 * SEC;
	see((struct bh_sight){.sees = BH_SEES_POSTURE, .n = 1, .text = "memory 64 -> none"});
	assert_int_equal(ears.n, 6);
	bh_strv_clear(&r[1].except);
	bh_vec_clear(&r[1].zones);
}

static void use(uint64_t per_cent, unsigned seconds)
{
	for (unsigned i = 0; i < seconds; i += 2) {
		now += 2 * SEC;
		see((struct bh_sight){.sees = BH_SEES_SATURATED, .direction = BH_EGRESS, .n = 8000000 / 8 * 2 * per_cent / 100, .span_usec = 2 * SEC,
			.cap_bps = 8000000});
	}
}

static void a_cap_that_is_full_for_long(void **state)
{
	const struct bh_detect_rule r = {.name = (char *)"full", .sees = BH_SEES_SATURATED, .more_than = 90, .within_usec = 60 * SEC};

	(void)state;
	rules(&r, 1);
	use(99, 40);	/* a burst */
	use(10, 40);
	assert_int_equal(ears.n, 0);
	use(89, 300);
	assert_int_equal(ears.n, 0);
	use(97, 70);
	assert_int_equal(ears.n, 1);
	assert_string_equal(ears.id, "id-web1");
	assert_non_null(strstr(ears.text, "per cent of 8mbit over 1 min"));
}

static void contact(const char *from, const char *to)
{
	see((struct bh_sight){.sees = BH_SEES_FIRST_CONTACT, .zone = from, .n = 1, .to = to, .to_zone = to, .proto = IPPROTO_TCP, .port = 80, .has_port = true});
}

static void first_contacts(void **state)
{
	const struct bh_detect_rule r = {.name = (char *)"new", .sees = BH_SEES_FIRST_CONTACT, .learn_usec = 3600 * SEC};
	struct bh_buf text = {0};
	char zone[32];

	(void)state;
	rules(&r, 1);
	contact("web", "api");
	contact("project:a b", "internet");
	sec += 3599;
	contact("api", "db");
	assert_int_equal(ears.n, 0);
	sec += 1;
	contact("api", "db");
	contact("web", "api");
	assert_int_equal(ears.n, 0);
	contact("web", "db");
	assert_int_equal(ears.n, 1);
	assert_string_equal(ears.text, "zone web opened a connection to zone db for the first time: db tcp/80");
	contact("web", "db");
	assert_int_equal(ears.n, 1);
	contact("db", "web");	/* the other way is another */
	assert_int_equal(ears.n, 2);
	/* and it is remembered */
	assert_int_equal(bh_contacts_print(&contacts, &text), 0);
	bh_contacts_clear(&contacts);
	assert_int_equal(bh_contacts_parse(text.s, &contacts), 0);
	contact("project:a b", "internet");
	contact("web", "db");
	assert_int_equal(ears.n, 2);
	contact("web", "internet");
	assert_int_equal(ears.n, 3);
	/* a calendar that goes back is not believed */
	sec -= 100000;
	contact("web", "lan");
	assert_int_equal(ears.n, 3);
	for (unsigned i = 0; i < 2 * BH_DETECT_CONTACTS_MAX; i++) {
		snprintf(zone, sizeof(zone), "z%u", i);
		contact(zone, "internet");
	}
	assert_int_equal(contacts.v.n, BH_DETECT_CONTACTS_MAX);
	assert_true(contacts.full);
	bh_buf_free(&text);
}

static void what_is_kept_of_contacts_is_checked(void **state)
{
	static const char *const bad[] = {"", "x", "bulkhead contacts 1 \n", "bulkhead contacts 1 5", "bulkhead contacts 1 5\nweb", "bulkhead contacts 1 5\nweb\n",
		"bulkhead contacts 1 5\nweb\tdb\nweb\tdb\n", "bulkhead contacts 1 5\n\tdb\n", "bulkhead contacts 1 5\nweb\t\n", "bulkhead contacts 1 5\na\tb\tc\n"};
	struct bh_contacts c;

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(bad); i++) {
		assert_int_equal(bh_contacts_parse(bad[i], &c), -22);
		assert_int_equal(c.v.n, 0);
	}
	assert_int_equal(bh_contacts_parse("bulkhead contacts 1 5\nweb\tdb\na\tb\n", &c), 0);
	assert_int_equal(c.v.n, 2);
	assert_string_equal(c.v.v[0], "a\tb");
	bh_contacts_clear(&c);
}

/* Whoever has very many containers can only push out what he did himself, or others that have done little for longest. */
static void what_is_remembered_is_bounded(void **state)
{
	struct bh_detect_rule r = scan;
	char id[32];

	(void)state;
	r.more_than = 1000;
	r.within_usec = 3600 * SEC;
	rules(&r, 1);
	for (unsigned k = 0; k < 200; k++)
		for (unsigned i = 0; i < 900; i++) {
			snprintf(id, sizeof(id), "id-%u", k);
			try_port(id, i / 100, i % 100);
		}
	assert_true(bh_detector_keys(d) <= BH_DETECT_KEYS_MAX);
	for (unsigned k = 0; k < 2 * BH_DETECT_WINDOWS_MAX; k++) {
		snprintf(id, sizeof(id), "many-%u", k);
		try_port(id, 1, 1);
	}
	assert_int_equal(bh_detector_windows(d), BH_DETECT_WINDOWS_MAX);
	assert_int_equal(ears.n, 0);
	/* a scan is seen all the same, and one that was found is not found again for having been pushed out */
	for (unsigned i = 0; i < 1001; i++)
		try_port("id-scanner", i / 100, i % 100);
	assert_int_equal(ears.n, 1);
	for (unsigned k = 0; k < 2 * BH_DETECT_WINDOWS_MAX; k++) {
		snprintf(id, sizeof(id), "more-%u", k);
		try_port(id, 1, 1);
	}
	for (unsigned i = 0; i < 1001; i++)
		try_port("id-scanner", i / 100, i % 100);
	assert_int_equal(ears.n, 1);
}

/* Numbers at their ends, and a clock that stands still or goes back. */
static void nothing_wraps(void **state)
{
	const struct bh_detect_rule r = {.name = (char *)"noisy", .sees = BH_SEES_DENIED, .more_than = 5000, .within_usec = 10 * SEC};
	struct bh_detect_rule other = r;

	(void)state;
	rules(&r, 1);
	now = UINT64_MAX - 1000 * SEC;
	see((struct bh_sight){.sees = BH_SEES_DENIED, .n = UINT64_MAX});
	assert_int_equal(ears.n, 1);
	now += 90 * SEC;
	see((struct bh_sight){.sees = BH_SEES_DENIED, .n = UINT64_MAX / 2 + 1});
	assert_int_equal(ears.n, 2);
	now -= 50 * SEC;
	counted(UINT64_MAX);
	counted(0);
	counted(UINT64_MAX);
	assert_int_equal(ears.n, 2);
	/* the same rules again: what is known stays; others: not */
	other.more_than++;
	assert_true(bh_detector_keeps(d, &r, 1));
	assert_false(bh_detector_keeps(d, &other, 1));
	assert_false(bh_detector_keeps(d, &r, 0));
	assert_false(bh_detector_sees(d, BH_SEES_EXEC));
}

static void postures_are_compared(void **state)
{
	struct bh_posture a = {.known = true, .memory = 64, .caps = 1}, b = a;
	struct bh_buf text = {0};

	(void)state;
	b.image.created = 5;
	assert_int_equal(bh_posture_changes(&a, &b, &text), 0);
	assert_null(text.s);
	b.memory = 0;
	b.pids = 9;
	b.restart = BH_RESTART_ALWAYS;
	b.no_new_privileges = true;
	assert_int_equal(bh_posture_changes(&a, &b, &text), 0);
	assert_string_equal(text.s, "memory 64 -> none, pids none -> 9, restart no -> always, other settings");
	bh_buf_free(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_scan_is_seen, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_ordinary_is_not, setup, teardown),
		cmocka_unit_test_setup_teardown(each_kind_counts_its_own, setup, teardown),
		cmocka_unit_test_setup_teardown(a_scan_faster_than_the_log_is_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(repeats_are_no_ports, setup, teardown),
		cmocka_unit_test_setup_teardown(packets_are_those_that_the_kernel_counts, setup, teardown),
		cmocka_unit_test_setup_teardown(connections_and_commands, setup, teardown),
		cmocka_unit_test_setup_teardown(a_cap_that_is_full_for_long, setup, teardown),
		cmocka_unit_test_setup_teardown(first_contacts, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_kept_of_contacts_is_checked, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_remembered_is_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_wraps, setup, teardown),
		cmocka_unit_test_setup_teardown(postures_are_compared, setup, teardown),
	};

	return cmocka_run_group_tests_name("detect", tests, NULL, NULL);
}
