/* SPDX-License-Identifier: Apache-2.0 */
/* The text for Prometheus, from documents: hostile names stay in their quotes, and the number of series has a bound. */
#include "../../src/daemon/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <errno.h>
#include <cmocka.h>

static json_t *document(size_t zones, size_t rules, const char *name)
{
	json_t *zs = json_array(), *cs = json_array(), *rs = json_array();

	for (size_t i = 0; i < zones; i++) {
		char text[64];

		snprintf(text, sizeof(text), "%s%zu", name, i);
		json_array_append_new(zs, json_pack("{s:s, s:s, s:i, s:i, s:i, s:i}", "name", text, "kind", "containers", "packets", 1, "bytes", 2,
			"dropped_packets", 3, "dropped_bytes", 4));
		json_array_append_new(cs, json_pack("{s:s, s:s}", "zone", text, "enforced", i % 2 ? "full" : "none"));
	}
	for (size_t i = 0; i < rules; i++)
		json_array_append_new(rs, json_pack("{s:s, s:s, s:s, s:i, s:i}", "from", name, "to", name, "source", "bulkhead.yaml:1", "packets", 5,
			"bytes", 6));
	return json_pack("{s:{s:s, s:s, s:{s:n, s:i}}, s:{s:b, s:b, s:i, s:{s:i}}, s:[{s:s, s:s, s:s, s:i, s:i}], s:o, s:o, s:o}", "daemon", "version",
		"0.1.0", "state", "enforcing", "config", "error", "refused", 2, "kernel", "in_sync", 1, "owned", 0, "repairs", 7, "denied", "policy",
		8, "runtimes", "kind", "docker", "socket", "/run/docker.sock", "state", "connected", "events", 9, "resyncs", 1, "zones", zs,
		"containers", cs, "rules", rs);
}

static char *print(json_t *doc)
{
	struct bh_buf out = {0};

	assert_non_null(doc);
	assert_int_equal(bh_metrics_print(doc, &out), 0);
	json_decref(doc);
	return out.s;
}

static size_t count(const char *text, const char *what)
{
	size_t n = 0;

	for (text = strstr(text, what); text; text = strstr(text + 1, what))
		n++;
	return n;
}

static void test_text(void **state)
{
	char *text = print(document(2, 1, "web"));
	static const char *const lines[] = {
		"bulkhead_build_info{version=\"0.1.0\"} 1\n", "bulkhead_state{state=\"enforcing\"} 1\n", "bulkhead_state{state=\"degraded\"} 0\n",
		"\nbulkhead_in_sync 1\n", "\nbulkhead_tables_owned 0\n", "\nbulkhead_repairs_total 7\n", "\nbulkhead_config_error 0\n",
		"\nbulkhead_reload_failures_total 2\n", "bulkhead_denied_packets_total{class=\"policy\"} 8\n",
		"bulkhead_runtime_up{runtime=\"docker\",socket=\"/run/docker.sock\"} 1\n",
		"bulkhead_containers{zone=\"web0\",enforced=\"none\"} 1\n", "bulkhead_containers{zone=\"web0\",enforced=\"full\"} 0\n",
		"bulkhead_zone_dropped_bytes_total{zone=\"web1\"} 4\n",
		"bulkhead_rule_packets_total{from=\"web\",to=\"web\",rule=\"bulkhead.yaml:1\"} 5\n",
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(lines); i++)
		if (!strstr(text, lines[i]))
			fail_msg("no %s in\n%s", lines[i], text);
	assert_int_equal(text[strlen(text) - 1], '\n');
	free(text);
}

static void test_hostile(void **state)
{
	char *text = print(document(1, 1, "a\"} 1\nbulkhead_in_sync 0 \\")), *line, *end;
	char longest[3000] = "";

	(void)state;
	assert_null(strstr(text, "\nbulkhead_in_sync 0"));
	assert_non_null(strstr(text, "{zone=\"a\\\"} 1\\nbulkhead_in_sync 0 \\\\0\"} 1\n"));
	free(text);
	for (size_t i = 0; i < 1000; i++)
		memcpy(longest + 2 * i, "\xc3\xa9", 3);		/* cut between two characters, not in one */
	text = print(json_pack("{s:[{s:s, s:s}]}", "zones", "name", longest, "kind", "containers"));
	line = strstr(text, "zone_packets_total{zone=\"");
	assert_non_null(line);
	line += strlen("zone_packets_total{zone=\"");
	end = strchr(line, '"');
	assert_true(end - line <= 512 && (end - line) % 2 == 0);
	free(text);
}

static void test_bounded(void **state)
{
	char *text = print(document(700, 1500, "z"));

	(void)state;
	assert_int_equal(count(text, "bulkhead_zone_packets_total{"), BH_METRICS_ZONES + 1);
	assert_non_null(strstr(text, "bulkhead_zone_packets_total{zone=\"(others)\"} 200\n"));
	assert_int_equal(count(text, "bulkhead_rule_bytes_total{"), BH_METRICS_RULES + 1);
	assert_non_null(strstr(text, "bulkhead_rule_bytes_total{from=\"(others)\",to=\"(others)\",rule=\"(others)\"} 3000\n"));
	assert_int_equal(count(text, "bulkhead_containers{"), 3 * BH_METRICS_ZONES + 2);
	assert_non_null(strstr(text, "bulkhead_containers{zone=\"(others)\",enforced=\"full\"} 100\n"));
	free(text);
}

/* An older or half a document: what is missing is 0, never a crash. */
static void test_missing(void **state)
{
	static const char *const docs[] = {"{}", "{\"zones\":[{}],\"containers\":[{}],\"rules\":[{}],\"runtimes\":[{}]}",
		"{\"daemon\":null,\"kernel\":7,\"zones\":{},\"containers\":[null,7],\"rules\":[[]]}"};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(docs); i++)
		free(print(json_loads(docs[i], 0, NULL)));
}

static void test_where(void **state)
{
	static const struct {
		const char *text;
		int r;
		unsigned short port;
	} cases[] = {
		{"unix:/run/x.sock", 0, 0}, {"127.0.0.1:9273", 4, 9273}, {"[::1]:1", 6, 1}, {"127.0.0.1:65535", 4, 65535},
		{"unix:x", -EINVAL, 0}, {"unix:", -EINVAL, 0}, {"0.0.0.0:80", -EINVAL, 0}, {"127.0.0.1:", -EINVAL, 0}, {"127.0.0.1:0", -EINVAL, 0},
		{"127.0.0.1:65536", -EINVAL, 0}, {"127.0.0.1:80x", -EINVAL, 0}, {"127.0.0.1:-1", -EINVAL, 0}, {"[::]:80", -EINVAL, 0},
		{"localhost:80", -EINVAL, 0}, {"", -EINVAL, 0}, {"127.0.0.1:000000080", -EINVAL, 0},
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(cases); i++) {
		unsigned short port = 0;

		if (bh_metrics_where(cases[i].text, &port) != cases[i].r || port != cases[i].port)
			fail_msg("%s: port %u", cases[i].text, port);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_where),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
