/* SPDX-License-Identifier: Apache-2.0 */
/* What dockerd was told to give to containers, from its command line and its configuration file. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

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
	const struct bh_door door = bh_door_opening("/nonexistent/docker.sock");
	struct bh_addrs a = {0};

	(void)state;
	assert_true(bh_docker_resolvers(&door, &a) <= 0);
	bh_vec_clear(&a.v);
}

/* Who listens at the socket is asked of the kernel, and its command line of /proc: a process that calls itself NAME. */
static pid_t listen_as(const char *path, const char *name, const char *more)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	pid_t pid;

	snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	pid = fork();
	if (pid == 0) {
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);

		if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 4) < 0)
			_exit(1);
		execl("/bin/sh", name, "-c", "kill -STOP $$", more, "--config-file=/nonexistent/daemon.json", NULL);
		_exit(1);
	}
	for (int i = 0; i < 500; i++) {
		char file[64], text[64] = "";
		FILE *f;

		snprintf(file, sizeof(file), "/proc/%d/cmdline", (int)pid);
		f = fopen(file, "re");
		if (f && fread(text, 1, sizeof(text) - 1, f) > 0 && strcmp(text, name) == 0) {
			fclose(f);
			break;
		}
		if (f)
			fclose(f);
		usleep(10000);
	}
	return pid;
}

static void end(pid_t pid, const char *path)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	unlink(path);
}

static void who_listens_is_asked(void **state)
{
	static const struct {
		const char *name, *more, *addrs;
	} cases[] = {
		{"dockerd", "--dns=192.0.2.1", "192.0.2.1"},
		{"/usr/bin/dockerd", "--dns=192.0.2.2", "192.0.2.2"},
		{"dockerd", "--debug", ""},
		{"podman", "--dns=192.0.2.1", NULL},	/* its words are nobody's business; what the host's own files say is */
	};
	char path[64], buf[400];

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(cases); i++) {
		const struct bh_door door = bh_door_opening(path);
		struct bh_addrs a = {0};
		pid_t pid;
		int r;

		snprintf(path, sizeof(path), "/tmp/bh-test-dns-%d-%zu", (int)getpid(), i);
		pid = listen_as(path, cases[i].name, cases[i].more);
		r = bh_docker_resolvers(&door, &a);
		end(pid, path);
		if (r < 0)
			fail_msg("%s %s: %d", cases[i].name, cases[i].more, r);
		texts(&a, buf);
		if (cases[i].addrs)
			assert_string_equal(buf, cases[i].addrs);
		else
			assert_null(strstr(buf, "192.0.2.1"));
		bh_vec_clear(&a.v);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(command_lines),
		cmocka_unit_test(command_lines_that_are_cut),
		cmocka_unit_test(configuration_files),
		cmocka_unit_test(no_socket),
		cmocka_unit_test(who_listens_is_asked),
	};

	return cmocka_run_group_tests_name("docker_dns", tests, NULL, NULL);
}
