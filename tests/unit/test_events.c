/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon remembers to tell: its last messages, and who was part of a denial. Nothing grows, and nothing of a stranger's acts on a terminal. */
#include "../../src/daemon/log.h"
#include "../../src/daemon/manager.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "modelbuild.h"

static int setup(void **state)
{
	return bh_events_new((struct bh_events **)state);
}

static int teardown(void **state)
{
	bh_events_free(*state);
	return 0;
}

static void the_last_are_kept(void **state)
{
	struct bh_events *e = *state;
	const struct bh_event *x;
	uint64_t seq = 0;
	char text[32];

	assert_null(bh_events_next(e, 0));
	assert_int_equal(bh_events_seq(e), 0);
	for (unsigned i = 1; i <= 3 * BH_EVENTS_MAX; i++) {
		snprintf(text, sizeof(text), "message %u", i);
		bh_event_field(bh_events_add(e, i, LOG_INFO, BH_EVENT_CONFIG, text), "BULKHEAD_N", text);
		if (i == 5)
			assert_int_equal(bh_events_next(e, 2)->seq, 3);
	}
	for (unsigned want = 2 * BH_EVENTS_MAX + 1; (x = bh_events_next(e, seq)); seq = x->seq, want++) {
		snprintf(text, sizeof(text), "message %u", want);
		assert_int_equal(x->seq, want);
		assert_int_equal(x->usec, want);
		assert_string_equal(x->text, text);
		assert_string_equal(x->fields[0].value, text);
		assert_int_equal(x->n_fields, 1);
	}
	assert_int_equal(seq, 3 * BH_EVENTS_MAX);
}

static void strangers_are_bounded(void **state)
{
	struct bh_events *e = *state;
	struct bh_event *x;
	char big[100000];

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	memcpy(big, "\x1b[2J\n", 5);
	x = bh_events_add(e, 1, LOG_WARNING, BH_EVENT_DENIED, big);
	assert_true(strlen(x->text) < 2 * BH_EVENT_TEXT_MAX);
	assert_null(strchr(x->text, '\x1b'));
	assert_null(strchr(x->text, '\n'));
	for (int i = 0; i < 100; i++)
		bh_event_field(x, "BULKHEAD_FROM", i % 2 ? big : NULL);
	assert_int_equal(x->n_fields, BH_EVENT_FIELDS_MAX);
	assert_null(strchr(x->fields[3].value, '\x1b'));
}

static unsigned woken;

static void wake(void *userdata, const struct bh_event *x)
{
	(void)userdata;
	assert_true(x->seq > 0);
	woken++;
}

/* Every way to log ends in the ring, debug messages only where they are asked for. */
static void what_is_logged_is_an_event(void **state)
{
	struct bh_log log = {.events = *state}, quiet = {0};
	const struct bh_log_field fields[] = {{"BULKHEAD_CLASS", "policy"}, {"BULKHEAD_PORT", NULL}, {"BULKHEAD_FROM", "web\x1b"}};
	const struct bh_event *x;
	int saved = dup(2), null = open("/dev/null", O_WRONLY);

	bh_events_on(*state, wake, NULL);
	dup2(null, 2);
	bh_log(&log, LOG_WARNING, BH_EVENT_CONFIG, "loaded %s", "x");
	bh_log(&log, LOG_DEBUG, BH_EVENT_CONFIG, "not told");
	bh_log_container(&log, LOG_INFO, BH_EVENT_PLACED, "0123", "web", "container");
	bh_log_event(&log, BH_EVENT_CHANGE, "%d elements", 3);
	bh_log_fields(&log, LOG_NOTICE, BH_EVENT_DENIED, fields, BH_ARRAY_SIZE(fields), "denied");
	bh_log(&quiet, LOG_WARNING, BH_EVENT_CONFIG, "nowhere to");
	dup2(saved, 2);
	close(saved);
	close(null);
	assert_int_equal(bh_events_seq(*state), 4);
	assert_int_equal(woken, 4);
	x = bh_events_next(*state, 0);
	assert_string_equal(x->text, "loaded x");
	assert_int_equal(x->priority, LOG_WARNING);
	assert_true(x->usec > 0);
	x = bh_events_next(*state, 1);
	assert_string_equal(x->fields[0].name, "BULKHEAD_CONTAINER");
	assert_string_equal(x->fields[1].value, "web");
	x = bh_events_next(*state, 2);
	assert_string_equal(x->what, "change");
	x = bh_events_next(*state, 3);
	assert_int_equal(x->n_fields, 2);
	assert_string_equal(x->fields[1].value, "web\\x1b");
}

static void people_are_remembered(void **state)
{
	struct bh_inventory i = {0};
	struct bh_people p = {0};
	const struct bh_person *x;
	char name[32];

	(void)state;
	for (unsigned n = 0; n < 2 * BH_PEOPLE_MAX; n++) {
		struct bh_container *c;

		snprintf(name, sizeof(name), "c%u", n);
		c = mb_container(&i, name);
		if (n % 2)
			mb_compose(c, "shop", name);
		assert_int_equal(bh_people_note(&p, c, "matches no zone"), 0);
		assert_int_equal(bh_people_note(&p, c, "matches no zone"), 0);	/* again: still one */
	}
	assert_int_equal(p.v.n, BH_PEOPLE_MAX);
	assert_null(bh_people_find(&p, "c0"));
	x = bh_people_find(&p, "c2047");
	assert_string_equal(x->id, "id-c2047");
	assert_string_equal(x->project, "shop");
	assert_string_equal(x->service, "c2047");
	assert_string_equal(x->reason, "matches no zone");
	assert_null(bh_people_find(&p, "c2046")->project);
	bh_people_clear(&p);
	bh_vec_foreach(c, &i.containers)
		bh_container_clear(c);
	bh_vec_clear(&i.containers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_last_are_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(strangers_are_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_logged_is_an_event, setup, teardown),
		cmocka_unit_test(people_are_remembered),
	};

	return cmocka_run_group_tests_name("events", tests, NULL, NULL);
}
