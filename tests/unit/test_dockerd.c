/* SPDX-License-Identifier: Apache-2.0 */
/* What a Docker daemon was told and what it answers, from command lines, daemon.json and answers that are written down here. */
#include "../../src/runtime/dockerd.h"

#include <bulkhead/runtime.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "../common/no_memory.h"

static const char *all(const struct bh_dockerd *d, char *buf, size_t size)
{
	size_t n = 0;

	buf[0] = '\0';
	bh_vec_foreach(o, &d->options)
		n += (size_t)snprintf(buf + n, size - n, "%s=%s ", o->name, o->value);
	return buf;
}

#define CMDLINE(text) (text), sizeof(text)

static void test_cmdline(void **state)
{
	struct bh_dockerd d = {0};
	char buf[1024];

	(void)state;
	assert_int_equal(bh_dockerd_decode_cmdline(CMDLINE("/usr/bin/dockerd\0-H\0fd://\0--host=tcp://0.0.0.0:2375\0--icc=false\0-D\0--tlsverify\0--containerd=/run/c.sock\0"
							    "--default-ulimit\0nofile=64:64\0-l=warn\0-Hunix:///x\0--iptables\0--log-levels=x\0--data-root\0--icc\0--log-opt\0max-size=1m"), &d), 0);
	assert_string_equal(all(&d, buf, sizeof(buf)),
		"hosts=fd:// hosts=tcp://0.0.0.0:2375 icc=false debug=true tlsverify=true default-ulimits=nofile=64:64 log-level=warn hosts=unix:///x iptables=true icc=true "
		"log-opts=max-size=1m ");
	assert_string_equal(bh_dockerd_value(&d, "hosts"), "fd://");
	assert_null(bh_dockerd_value(&d, "host"));
	bh_dockerd_clear(&d);
	assert_int_equal(bh_dockerd_decode_cmdline(CMDLINE("dockerd\0-H"), &d), 0);	/* no value follows */
	assert_int_equal(d.options.n, 0);
	assert_int_equal(bh_dockerd_decode_cmdline("dockerd", 7, &d), -EBADMSG);
	assert_int_equal(bh_dockerd_decode_cmdline("", 0, &d), -EBADMSG);
	assert_int_equal(bh_dockerd_decode_cmdline(CMDLINE("dockerd"), &d), 0);
	assert_int_equal(d.options.n, 0);
	bh_dockerd_clear(&d);
}

static int config(const char *text, struct bh_dockerd *d)
{
	return bh_dockerd_decode_config(text, strlen(text), d);
}

static void test_config(void **state)
{
	struct bh_dockerd d = {0};
	char buf[1024];

	(void)state;
	assert_int_equal(config("{\"icc\": false, \"hosts\": [\"unix:///a\", 3, \"tcp://b\"], \"log-opts\": {\"max-size\": \"10m\", \"x\": 1},"
				"\"default-ulimits\": {\"nofile\": {\"Hard\": 64}}, \"mtu\": 1500, \"dns\": null, \"debug\": true}", &d), 0);
	assert_string_equal(all(&d, buf, sizeof(buf)), "icc=false hosts=unix:///a hosts=tcp://b log-opts=max-size=10m log-opts=x default-ulimits=nofile debug=true ");
	bh_dockerd_clear(&d);
	assert_int_equal(config("{}", &d), 0);
	assert_int_equal(config("[]", &d), -EBADMSG);
	assert_int_equal(config("{\"icc\": fal", &d), -EBADMSG);
	assert_int_equal(d.options.n, 0);
}

static int info(const char *text, struct bh_dockerd *d)
{
	return bh_dockerd_decode_info(text, strlen(text), d);
}

static void test_info(void **state)
{
	struct bh_dockerd d = {0};

	(void)state;
	assert_int_equal(info("{\"ServerVersion\": \"20.10.24\", \"Driver\": \"overlay2\", \"LoggingDriver\": \"json-file\", \"DockerRootDir\": \"/var/lib/docker\","
			      "\"SecurityOptions\": [\"name=seccomp,profile=default\", \"name=userns\"], \"Plugins\": {\"Authorization\": null}, \"Warnings\": null,"
			      "\"RegistryConfig\": {\"InsecureRegistryCIDRs\": [\"127.0.0.0/8\", \"::1/128\", \"10.0.0.0/8\"],"
			      "\"IndexConfigs\": {\"docker.io\": {\"Secure\": true}, \"r:5000\": {\"Secure\": false}}},"
			      "\"LiveRestoreEnabled\": true, \"ExperimentalBuild\": false, \"Swarm\": {\"LocalNodeState\": \"active\"}, \"MemoryLimit\": true, \"PidsLimit\": false,"
			      "\"CpuCfsQuota\": true, \"Debug\": true}", &d), 0);
	assert_string_equal(d.version, "20.10.24");
	assert_string_equal(d.storage_driver, "overlay2");
	assert_string_equal(d.logging_driver, "json-file");
	assert_string_equal(d.root_dir, "/var/lib/docker");
	assert_int_equal(d.security_options.n, 2);
	assert_int_equal(d.authorization.n, 0);
	assert_int_equal(d.insecure.n, 2);
	assert_string_equal(d.insecure.v[0], "r:5000");
	assert_string_equal(d.insecure.v[1], "10.0.0.0/8");
	assert_true(d.live_restore && !d.experimental && d.swarm && d.memory_limit && !d.pids_limit && d.cpu_limit && d.debug);
	bh_dockerd_clear(&d);
	assert_int_equal(info("{}", &d), 0);
	assert_int_equal(info("{\"Driver\": 3}", &d), -EBADMSG);
	assert_int_equal(info("{\"LiveRestoreEnabled\": \"yes\"}", &d), -EBADMSG);
	assert_int_equal(info("[]", &d), -EBADMSG);
	assert_int_equal(info("", &d), -EBADMSG);
	bh_dockerd_clear(&d);
}

static void test_version_and_icc(void **state)
{
	static const char docker[] = "{\"ApiVersion\": \"1.41\", \"Components\": [{\"Name\": \"Engine\"}, {\"Name\": null}, 3]}", podman[] = "{\"ApiVersion\": \"1.41\", \"Components\": [{\"Name\": \"Podman Engine\"}]}";
	static const char icc[] = "{\"Options\": {\"com.docker.network.bridge.enable_icc\": \"false\"}}";
	struct bh_dockerd d = {0};

	(void)state;
	assert_int_equal(bh_dockerd_decode_version(docker, strlen(docker), &d), 0);
	assert_string_equal(d.api_version, "1.41");
	assert_false(d.podman);
	assert_int_equal(bh_dockerd_decode_version(podman, strlen(podman), &d), 0);
	assert_true(d.podman);
	assert_int_equal(bh_dockerd_decode_icc("{\"Options\": null}", 17, &d), 0);
	assert_false(d.icc_known);
	assert_int_equal(bh_dockerd_decode_icc(icc, strlen(icc), &d), 0);
	assert_true(d.icc_known && !d.icc);
	assert_int_equal(bh_dockerd_decode_icc("{\"Options\": 3}", 14, &d), -EBADMSG);
	bh_dockerd_clear(&d);
}

static void test_nobody(void **state)
{
	struct bh_dockerd d = {0};

	(void)state;
	assert_int_equal(bh_dockerd_look("/nowhere/docker.sock", 100, &d, NULL), 0);
	assert_true(d.answer_err < 0);
	assert_non_null(d.reason);
	assert_true(d.command_err < 0);
	assert_false(bh_dockerd_is_known(&d));
	bh_dockerd_clear(&d);
}

static void test_no_memory(void **state)
{
	static const char config[] = "{\"icc\": false, \"hosts\": [\"unix:///a\"], \"log-opts\": {\"max-size\": \"10m\"}}";
	static const char cmdline[] = "dockerd\0-H\0fd://\0--icc=false";
	long n = 0;

	(void)state;
	for (int r = -1; r < 0; n++) {
		struct bh_dockerd d = {0};

		left = n;
		r = bh_dockerd_decode_cmdline(cmdline, sizeof(cmdline), &d);
		r = r < 0 ? r : bh_dockerd_decode_config(config, strlen(config), &d);
		left = -1;
		bh_dockerd_clear(&d);
	}
	assert_true(n > 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cmdline), cmocka_unit_test(test_config), cmocka_unit_test(test_info), cmocka_unit_test(test_version_and_icc), cmocka_unit_test(test_nobody), cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests_name("dockerd", tests, NULL, NULL);
}
