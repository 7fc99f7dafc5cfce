/* SPDX-License-Identifier: Apache-2.0 */
#include "../../src/cli/drops.h"
#include "../../src/cli/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>
#include <cmocka.h>

/* What is not linked here: the kernel side of `status` and the configuration. */
int bh_status_from_kernel(json_t **ret, struct bh_error *err)
{
	(void)ret;
	return bh_fail(err, -2, "no kernel in a unit test");
}

struct output {
	char *out, *err;
	int code;
};

static void run_cli(struct output *o, int argc, const char *const *words)
{
	char *argv[16] = {0};
	size_t n;
	FILE *out, *err;

	memset(o, 0, sizeof(*o));
	out = open_memstream(&o->out, &n);
	err = open_memstream(&o->err, &n);
	assert_non_null(out);
	assert_non_null(err);
	for (int i = 0; i < argc; i++)
		argv[i] = strdup(words[i]);
	o->code = bh_cli_main(argc, argv, out, err);
	fclose(out);
	fclose(err);
	for (int i = 0; i < argc; i++)
		free(argv[i]);
}

static void output_clear(struct output *o)
{
	free(o->out);
	free(o->err);
}

#define RUN(o, ...)                                                                                \
	do {                                                                                       \
		const char *const words_[] = { "bulkhead", __VA_ARGS__ };                          \
		run_cli(o, BH_ARRAY_SIZE(words_), words_);                                         \
	} while (0)

static void test_usage(void **state)
{
	struct output o;

	(void)state;
	RUN(&o, "statsu");
	assert_int_equal(o.code, 2);
	assert_string_equal(o.err, "bulkhead: no verb 'statsu': did you mean 'status'?\n");
	output_clear(&o);
	RUN(&o, "frobnicate\x1b[2J");
	assert_int_equal(o.code, 2);
	assert_string_equal(o.err, "bulkhead: no verb 'frobnicate\\x1b[2J': see bulkhead --help\n");
	output_clear(&o);
	RUN(&o, "status", "zone");
	assert_int_equal(o.code, 2);
	assert_non_null(strstr(o.err, "did you mean 'zones'?"));
	output_clear(&o);
	RUN(&o, "status", "--jsno");
	assert_int_equal(o.code, 2);
	assert_non_null(strstr(o.err, "did you mean '--json'?"));
	output_clear(&o);
	RUN(&o, "reload", "--confirm");
	assert_int_equal(o.code, 2);
	assert_string_equal(o.err, "bulkhead: --confirm needs a value: see bulkhead --help\n");
	output_clear(&o);
	RUN(&o, "reload", "now");
	assert_int_equal(o.code, 2);
	output_clear(&o);
	RUN(&o, "reload", "--watch");
	assert_int_equal(o.code, 2);
	output_clear(&o);
	RUN(&o, "export");
	assert_int_equal(o.code, 2);
	assert_string_equal(o.err, "bulkhead: export: say in which form: bulkhead export --nft\n");
	output_clear(&o);
	RUN(&o, "explain", "web1");
	assert_int_equal(o.code, 2);
	assert_non_null(strstr(o.err, "say who and to whom"));
	output_clear(&o);
	RUN(&o, "--help");
	assert_int_equal(o.code, 0);
	assert_non_null(strstr(o.out, "check [FILE...]"));
	output_clear(&o);
}

static void test_no_daemon(void **state)
{
	static const char *const askers[][2] = {{"why", "web1"}, {"suggest", "--json"}, {"drops", "--json"}, {"drops", "--follow"}, {"events", "--json"},
		{"events", "--follow"}};
	struct output o;

	(void)state;
	RUN(&o, "status", "--socket", "/nonexistent/control.sock", "--json");
	assert_int_equal(o.code, 3);
	assert_non_null(strstr(o.err, "bulkheadd is not running"));
	assert_string_equal(o.out, "");
	output_clear(&o);
	RUN(&o, "--socket", "/nonexistent/control.sock", "explain", "web1", "db1", "tcp/5432");
	assert_int_equal(o.code, 3);
	output_clear(&o);
	RUN(&o, "--socket", "/nonexistent/control.sock", "reload");
	assert_int_equal(o.code, 3);
	output_clear(&o);
	for (size_t i = 0; i < BH_ARRAY_SIZE(askers); i++) {
		RUN(&o, "--socket", "/nonexistent/control.sock", askers[i][0], askers[i][1]);
		assert_int_equal(o.code, 3);
		assert_string_equal(o.out, "");
		assert_non_null(strstr(o.err, "bulkheadd is not running"));
		output_clear(&o);
	}
	RUN(&o, "why");
	assert_int_equal(o.code, 2);
	assert_string_equal(o.err, "bulkhead: why: say which container: bulkhead why NAME\n");
	output_clear(&o);
}

static void drops_text(struct bh_writer *w, const json_t *doc, void *userdata)
{
	(void)userdata;
	bh_drops_text(w, doc);
}

/* Prints DOC by TEXT and checks what holds for every output: no line wider than 80 columns, no control character. */
static char *draw_by(const json_t *doc, bh_text_fn fn, void *userdata, bool colour)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);
	struct bh_writer w = { .out = f, .colour = colour };

	assert_int_equal(bh_writer_put(&w, doc, fn, userdata), 0);
	fclose(f);
	for (char *line = text; !colour && *line;) {
		size_t len = strcspn(line, "\n");
		wchar_t wide[512];
		char copy[1024];
		size_t k;

		assert_true(len < sizeof(copy));
		memcpy(copy, line, len);
		copy[len] = '\0';
		k = mbstowcs(wide, copy, 511);
		assert_true(k != (size_t)-1);
		if (wcswidth(wide, k) > 80 || wcswidth(wide, k) < 0)
			fail_msg("wider than 80 or not printable: %s", copy);
		line += len + (line[len] == '\n');
	}
	return text;
}

static char *draw(const json_t *doc, enum bh_view view, bool colour)
{
	return draw_by(doc, bh_status_text, &view, colour);
}

static json_t *drop(const char *class, const char *verdict, const char *from, const char *to, const char *port)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s?, s:I, s:I, s:I}", "class", class, "verdict", verdict, "from", from, "from_zone",
		"project:a-rather-long-name", "to", to, "to_zone", "internet", "proto", "tcp", "port", port, "count", (json_int_t)1234567,
		"first_usec", (json_int_t)1700000000000000, "last_usec", (json_int_t)1700000000000000);
}

static void test_drops_text(void **state)
{
	json_t *doc = json_pack("[o, o, o, o]", drop("policy", "deny", "a-container-with-a-rather-long-name\x1b[2J", "internet", "5432"),
		drop("quarantine", "audit", "job", "db1", "many"), drop("noise", "deny", "web1", "multicast", NULL),
		drop("metadata", "audit", "job", "metadata", "80"));
	char *text = draw_by(doc, drops_text, NULL, false), *passed;

	(void)state;
	/* audit and denied apart, noise as a sum */
	passed = strstr(text, "\nwould be denied, and passed");
	assert_non_null(passed);
	assert_int_equal(strncmp(text, "denied ", 7), 0);
	assert_true(strstr(text, "policy") < passed);
	assert_null(strchr(text, '\x1b'));
	assert_true(strstr(text, "quarantine") > passed);
	assert_non_null(strstr(text, "tcp/many"));
	assert_null(strstr(text, "multicast ("));
	assert_non_null(strstr(text, "1234567 frames of broadcast"));
	free(text);
	json_array_clear(doc);
	text = draw_by(doc, drops_text, NULL, false);
	assert_string_equal(text, "nothing was denied lately\n");
	free(text);
	json_decref(doc);
}

static void test_ages(void **state)
{
	static const struct {
		json_int_t ago;
		const char *text;
	} cases[] = {{0, "0 s"}, {119, "119 s"}, {120, "2 min"}, {7199, "119 min"}, {7200, "2 h"}, {86400 * 2, "2 d"}, {-100, "0 s"}};
	char buf[BH_AGE_TEXT], clock[BH_CLOCK_TEXT];

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(cases); i++) {
		const char *text = NULL;

		for (int tries = 0; tries < 3; tries++) {	/* a second may pass in between */
			text = bh_age_text((json_int_t)(time(NULL) - cases[i].ago) * 1000000, buf);
			if (strcmp(text, cases[i].text) == 0)
				break;
		}
		assert_string_equal(text, cases[i].text);
	}
	assert_string_equal(bh_clock_text(1700000000000000, clock), "22:13:20");
}

static json_t *document(size_t containers, const char *state, bool in_sync, const char *name)
{
	json_t *list = json_array();

	for (size_t i = 0; i < containers; i++) {
		char id[32];

		snprintf(id, sizeof(id), "%s%zu", name, i);
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:n, s:[{s:[s], s:[]}], s:{s:i, s:n}, s:I, s:I, s:I, s:I}",
			"id", id, "name", id, "runtime", "docker", "zone", "project:a-rather-long-name-of-a-compose-project", "reason",
			"labels com.docker.compose.project=a-rather-long-name (bulkhead.yaml:9)", "enforced", "full",
			"unenforced_reason", "endpoints", "ipv4", "172.18.100.200", "ipv6", "bandwidth", "egress_bps", 50000000,
			"ingress_bps", "packets", (json_int_t)123456789012, "bytes", (json_int_t)1, "dropped_packets",
			(json_int_t)(i % 2), "dropped_bytes", (json_int_t)60));
	}
	return json_pack("{s:i, s:{s:s, s:n, s:i, s:s, s:s, s:{s:[s], s:s, s:n}}, s:{s:s, s:b, s:i, s:b}, s:[{s:s, s:s, s:s, s:i, s:i}],"
		" s:[{s:s, s:s, s:s, s:i, s:{s:I, s:I}, s:I, s:I, s:I, s:I}], s:o, s:[{s:s, s:s, s:[s], s:s, s:s, s:i, s:i}]}",
		"version", 1, "daemon", "state", state, "reason", "pid", 42, "since", "2026-01-01T00:00:00Z", "version", "0.1.0",
		"config", "files", "bulkhead.yaml", "loaded", "2026-01-01T00:00:00Z", "error", "kernel", "table", "inet bulkhead",
		"in_sync", in_sync, "repairs", 0, "owned", 0, "runtimes", "kind", "docker", "socket", "/run/docker.sock", "state",
		"connected", "events", 12, "resyncs", 1, "zones", "name", "web", "kind", "containers", "mode", "enforce", "containers",
		(int)containers, "bandwidth", "egress_bps", (json_int_t)200000000, "ingress_bps", (json_int_t)200000000, "packets",
		(json_int_t)5, "bytes", (json_int_t)500, "dropped_packets", (json_int_t)0, "dropped_bytes", (json_int_t)0,
		"containers", list, "rules", "from", "web", "to", "api", "ports", "tcp/8080-8089", "verdict", "accept", "source",
		"bulkhead.yaml:31", "packets", 0, "bytes", 0);
}

static void test_status_text(void **state)
{
	static const size_t counts[] = { 0, 1, 60 };

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(counts); i++) {
		json_t *doc = document(counts[i], "enforcing", true, "web");

		assert_non_null(doc);
		for (enum bh_view v = BH_VIEW_ALL; v <= BH_VIEW_DROPS; v++) {
			char *text = draw(doc, v, false);

			assert_int_equal(strncmp(text, "mode ", 5), 0);	/* the mode first */
			if (getenv("BH_SHOW"))
				fprintf(stderr, "%s----\n", text);
			free(text);
		}
		assert_int_equal(bh_status_exit(doc), 0);
		json_decref(doc);
	}
}

static void test_status_text_of_caps(void **state)
{
	json_t *doc = document(1, "enforcing", true, "web"), *zone = json_array_get(json_object_get(doc, "zones"), 0), *exempt = json_array();
	char *text;

	(void)state;
	text = draw(doc, BH_VIEW_ZONES, false);
	assert_null(strstr(text, "web: "));
	free(text);
	json_object_set_new(json_object_get(zone, "bandwidth"), "egress_guarantee_bps", json_integer(50000000));
	json_object_set_new(zone, "container_bandwidth", json_pack("{s:i, s:n, s:n, s:i}", "egress_bps", 1000000, "ingress_bps",
		"egress_guarantee_bps", "ingress_guarantee_bps", 500000));
	for (int i = 0; i < 12; i++)
		json_array_append_new(exempt, json_string(i ? "a-zone-with-a-rather-long-name1" : "lan"));
	json_object_set_new(zone, "exempt", exempt);
	text = draw(doc, BH_VIEW_ALL, false);
	assert_non_null(strstr(text, "\nweb: is guaranteed 50M/-\n"));
	assert_non_null(strstr(text, "\nweb: each container is guaranteed -/500k\n"));
	assert_non_null(strstr(text, "\nweb: no cap counts what goes to or comes from lan,\na-zone-with-a-rather-long-name1,"));
	free(text);
	json_decref(doc);
}

static void test_status_exit(void **state)
{
	static const struct {
		const char *state;
		bool sync;
		int code;
	} cases[] = {
		{ "enforcing", true, 0 }, { "auditing", true, 0 }, { "enforcing", false, 1 }, { "degraded", true, 1 }, { "starting", true, 1 },
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(cases); i++) {
		json_t *doc = document(1, cases[i].state, cases[i].sync, "web");

		assert_int_equal(bh_status_exit(doc), cases[i].code);
		json_decref(doc);
	}
	assert_int_equal(bh_status_exit(NULL), 1);
}

static void test_hostile_names(void **state)
{
	json_t *doc = document(2, "enforcing", true, "\x1b]0;evil\x07\n\xe2\x80\xae\xc2\x9b" "31m");
	struct bh_writer w = { .json = true };
	char *text = draw(doc, BH_VIEW_CONTAINERS, false), *json = NULL;
	enum bh_view view = BH_VIEW_ALL;
	json_t *again;
	size_t n;

	(void)state;
	assert_null(strchr(text, '\x1b'));
	assert_null(strchr(text, '\a'));
	assert_null(strstr(text, "\xe2\x80\xae"));
	free(text);
	w.out = open_memstream(&json, &n);
	assert_int_equal(bh_writer_put(&w, doc, bh_status_text, &view), 0);
	fclose(w.out);
	for (size_t i = 0; i < n; i++)
		assert_true(json[i] == '\n' || (json[i] >= 0x20 && json[i] < 0x7f));
	again = json_loads(json, 0, NULL);
	assert_true(json_equal(doc, again));
	json_decref(again);
	json_decref(doc);
	free(json);
}

static void test_problems_first(void **state)
{
	json_t *doc = document(60, "degraded", false, "web"), *c;
	char *text, *problem;
	size_t i;

	(void)state;
	json_object_set_new(json_object_get(doc, "daemon"), "reason", json_string("the configuration was refused"));
	json_array_foreach(json_object_get(doc, "containers"), i, c)
		json_object_set_new(c, "zone", json_string("quarantine"));
	text = draw(doc, BH_VIEW_ALL, false);
	problem = strstr(text, "problem   the configuration was refused");
	assert_non_null(problem);
	assert_true(problem < strstr(text, "daemon"));
	assert_non_null(strstr(text, "and 53 more"));
	free(text);
	text = draw(doc, BH_VIEW_ALL, true);
	assert_non_null(strstr(text, "\033[1;31m"));
	free(text);
	json_decref(doc);
}

static void test_missing_keys(void **state)
{
	json_t *doc = json_pack("{s:[{}], s:[{}], s:[{}], s:n}", "containers", "zones", "rules", "daemon");

	(void)state;
	for (enum bh_view v = BH_VIEW_ALL; v <= BH_VIEW_DROPS; v++)
		free(draw(doc, v, false));
	json_decref(doc);
}

static void test_numbers(void **state)
{
	char b[BH_RATE_TEXT];

	(void)state;
	assert_string_equal(bh_si_text(0, b), "0");
	assert_string_equal(bh_si_text(999, b), "999");
	assert_string_equal(bh_si_text(1000, b), "1.00k");
	assert_string_equal(bh_si_text(999949, b), "1.00M");
	assert_string_equal(bh_si_text(UINT64_MAX, b), "18.4E");
	assert_string_equal(bh_rate_text(0, b), "-");
	assert_string_equal(bh_rate_text(8, b), "8");
	assert_string_equal(bh_rate_text(64000, b), "64k");
	assert_string_equal(bh_rate_text(999999, b), "1M");
	assert_string_equal(bh_rate_text(50000000, b), "50M");
	assert_string_equal(bh_rate_text(1234567000, b), "1.23G");
	assert_string_equal(bh_rate_text(INT64_MAX, b), "9.22E");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_usage),
		cmocka_unit_test(test_no_daemon),
		cmocka_unit_test(test_status_text), cmocka_unit_test(test_status_text_of_caps),
		cmocka_unit_test(test_status_exit),
		cmocka_unit_test(test_hostile_names),
		cmocka_unit_test(test_problems_first),
		cmocka_unit_test(test_missing_keys),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_drops_text),
		cmocka_unit_test(test_ages),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests_name("cli", tests, NULL, NULL);
}
