/* SPDX-License-Identifier: Apache-2.0 */
#include "../../src/cli/graph.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <cmocka.h>

#define EVIL "a\"; evil [label=<b>];\n</text><script>\\N & \x1b[2J"

static json_t *status(const char *name)
{
	return json_pack("{s:[{s:s, s:s, s:s, s:i}, {s:s, s:s, s:s, s:i}, {s:s, s:s, s:s, s:i}, {s:s, s:s, s:s, s:i}],"
		" s:[{s:s, s:s, s:[s, s], s:I, s:I}, {s:s, s:s, s:[s], s:I, s:I}, {s:s, s:s, s:[], s:I, s:I}]}", "zones",
		"name", name, "kind", "containers", "mode", "enforce", "containers", 2, "name", "db", "kind", "containers", "mode", "audit", "containers", 1,
		"name", "lan", "kind", "builtin", "mode", "enforce", "containers", 0, "name", "metadata", "kind", "builtin", "mode", "enforce", "containers", 0,
		"rules", "from", name, "to", "db", "ports", "tcp/1", "udp/2", "packets", (json_int_t)10, "bytes", (json_int_t)1000,
		"from", name, "to", "db", "ports", "tcp/3", "packets", (json_int_t)5, "bytes", (json_int_t)234, "from", "lan", "to", name, "ports", "packets",
		(json_int_t)0, "bytes", (json_int_t)0);
}

static char *draw(json_t *s, bool live, int (*fn)(const json_t *doc, struct bh_buf *out))
{
	json_t *doc = bh_graph_from_status(s, live);
	struct bh_buf out = {0};

	assert_non_null(doc);
	assert_int_equal(fn(doc, &out), 0);
	json_decref(doc);
	json_decref(s);
	return out.s;
}

static void test_dot(void **state)
{
	char *text = draw(status("web"), false, bh_graph_dot);
	static const char body[] = "\t\"web\" [label=\"web (2)\", shape=box, style=solid];\n"
		"\t\"db\" [label=\"db (1)\", shape=box, style=dashed];\n"
		"\t\"lan\" [label=\"lan\", shape=ellipse, style=solid];\n"
		"\t\"web\" -> \"db\" [label=\"tcp/1, udp/2, tcp/3\"];\n"
		"\t\"lan\" -> \"web\" [label=\"every port\"];\n}\n";

	(void)state;
	assert_non_null(strstr(text, body));
	free(text);
	text = draw(status("web"), true, bh_graph_dot);	/* lan has not called */
	assert_non_null(strstr(text, "label=\"tcp/1, udp/2, tcp/3: 15 packets, 1.23kB\""));
	assert_null(strstr(text, "lan"));
	free(text);
}

static void test_hostile(void **state)
{
	char *dot = draw(status(EVIL), false, bh_graph_dot), *svg = draw(status(EVIL), false, bh_graph_svg);

	(void)state;
	assert_null(strchr(dot, '\x1b'));
	assert_null(strstr(dot, "\n</text>"));
	assert_non_null(strstr(dot, "\"a\\\"; evil [label=<b>];\\\\x0a</text>"));	/* a quote stays one, a newline is shown */
	assert_null(strchr(svg, '\x1b'));
	assert_null(strstr(svg, "<script"));
	assert_null(strstr(svg, "<b>"));
	assert_non_null(strstr(svg, "a&quot;; evil [label=&lt;b&gt;]"));
	free(dot);
	free(svg);
}

/* A circle, a zone that calls itself, a zone that an edge names and nobody has, nothing at all. */
static void test_odd(void **state)
{
	static const char *const docs[] = {
		"{}", "{\"zones\":[],\"edges\":[]}", "{\"zones\":[{}],\"edges\":[{}]}",
		"{\"zones\":[{\"name\":\"a\",\"kind\":\"containers\"}],\"edges\":[{\"from\":\"a\",\"to\":\"a\",\"ports\":\"tcp\"},{\"from\":\"a\",\"to\":\"x\"}]}",
		"{\"zones\":[{\"name\":\"a\",\"kind\":\"containers\"},{\"name\":\"b\",\"kind\":\"containers\"},{\"name\":\"c\",\"kind\":\"containers\"}],"
			"\"edges\":[{\"from\":\"a\",\"to\":\"b\",\"ports\":\"1\"},{\"from\":\"b\",\"to\":\"c\",\"ports\":\"2\"},"
			"{\"from\":\"c\",\"to\":\"a\",\"ports\":\"3\"},{\"from\":\"c\",\"to\":\"b\",\"ports\":\"4\"}]}",
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(docs); i++) {
		json_t *doc = json_loads(docs[i], 0, NULL);
		struct bh_buf out = {0};

		assert_non_null(doc);
		assert_int_equal(bh_graph_svg(doc, &out), 0);
		assert_string_equal(out.s + out.n - 7, "</svg>\n");
		bh_buf_free(&out);
		assert_int_equal(bh_graph_dot(doc, &out), 0);
		bh_buf_free(&out);
		json_decref(doc);
	}
}

static void test_bound(void **state)
{
	json_t *zones = json_array(), *doc;
	struct bh_buf out = {0};

	(void)state;
	for (size_t i = 0; i <= BH_GRAPH_BOXES; i++)
		json_array_append_new(zones, json_pack("{s:s, s:s}", "name", "z", "kind", "containers"));
	doc = json_pack("{s:o, s:[]}", "zones", zones, "edges");
	assert_int_equal(bh_graph_svg(doc, &out), -E2BIG);
	json_array_remove(zones, 0);
	assert_int_equal(bh_graph_svg(doc, &out), 0);
	bh_buf_free(&out);
	json_decref(doc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dot),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_odd),
		cmocka_unit_test(test_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
