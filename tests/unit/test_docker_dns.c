/* SPDX-License-Identifier: Apache-2.0 */
/* What dockerd was told to give to containers, from its command line and its configuration file. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/runtime/docker_dns.h"

static const char *texts(const struct bh_addrs *a, char buf[400])
{
	char text[BH_ADDR_TEXT];

	buf[0] = '\0';
	bh_vec_foreach(x, &a->v)
		snprintf(buf + strlen(buf), 400 - strlen(buf), "%s%s", buf[0] ? " " : "", bh_addr_text(x, text));
	return buf;
}

#define CMDLINE(words, addrs, path) {words, sizeof(words) - 1, addrs, path}

static void command_lines(void **state)
{
	static const struct {
		const char *words;
		size_t n;
		const char *addrs, *path;
	} cases[] = {
		CMDLINE("/usr/bin/dockerd\0-H\0fd://\0", "", NULL),
		CMDLINE("dockerd\0--dns\0" "192.0.2.1\0--dns=2001:db8::1\0-dns\0" "192.0.2.2\0--dns\0" "192.0.2.1\0", "192.0.2.1 2001:db8::1 192.0.2.2", NULL),
		CMDLINE("dockerd\0--dns-search\0" "192.0.2.1\0--dns-opt=192.0.2.2\0--xdns=192.0.2.3\0dns=192.0.2.4\0", "", NULL),
		CMDLINE("dockerd\0--config-file\0/a.json\0", "", "/a.json"),
		CMDLINE("dockerd\0--config-file=/b.json\0--dns=nonsense\0", "", "/b.json"),
		CMDLINE("dockerd\0--dns\0", "", NULL),
		CMDLINE("\0\0\0", "", NULL),
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(cases); i++) {
		struct bh_addrs a = {0};
		const char *path = NULL;
		char buf[400];

		assert_int_equal(bh_docker_dns_cmdline(cases[i].words, cases[i].n, &a, &path), 0);
		assert_string_equal(texts(&a, buf), cases[i].addrs);
		assert_true(bh_streq(path, cases[i].path));
		bh_vec_clear(&a.v);
	}
}

static void command_lines_that_are_cut(void **state)
{
	struct bh_addrs a = {0};
	const char *path = NULL;

	(void)state;
	assert_int_equal(bh_docker_dns_cmdline("dockerd\0--dns=192.0.2.1", 23, &a, &path), -EBADMSG);
	assert_int_equal(bh_docker_dns_cmdline("", 0, &a, &path), -EBADMSG);
	assert_int_equal(a.v.n, 0);
}

static void configuration_files(void **state)
{
	static const struct {
		const char *text;
		int r;
		const char *addrs;
	} cases[] = {
		{"{}", 0, ""},
		{"{\"dns\": []}", 0, ""},
		{"{\"dns\": [\"192.0.2.1\", \"2001:db8::1\", 5, null, \"x\"], \"mtu\": 1400}", 0, "192.0.2.1 2001:db8::1"},
		{"{\"dns\": \"192.0.2.1\"}", -EBADMSG, ""},
		{"{\"dns\": [", -EBADMSG, ""},
		{"[]", 0, ""},
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(cases); i++) {
		struct bh_addrs a = {0};
		char buf[400];
		int r = bh_docker_dns_config(cases[i].text, strlen(cases[i].text), &a);

		if (r != cases[i].r)
			fail_msg("%s: %d", cases[i].text, r);
		assert_string_equal(texts(&a, buf), cases[i].addrs);
		bh_vec_clear(&a.v);
	}
}

/* Nobody at the socket: nothing is known. */
static void no_socket(void **state)
{
	struct bh_addrs a = {0};

	(void)state;
	assert_true(bh_docker_resolvers("/nonexistent/docker.sock", &a) <= 0);
	bh_vec_clear(&a.v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(command_lines),
		cmocka_unit_test(command_lines_that_are_cut),
		cmocka_unit_test(configuration_files),
		cmocka_unit_test(no_socket),
	};

	return cmocka_run_group_tests_name("docker_dns", tests, NULL, NULL);
}
