/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <bulkhead/place.h>

static void globs_are_anchored_and_cross_everything(void **state)
{
	static const struct {
		const char *pattern, *s;
		bool met;
	} cases[] = {
		{"web", "web", true}, {"web", "web1", false}, {"web", "aweb", false}, {"web*", "web", true},
		{"web*", "web-1/x:y", true}, {"*web", "a/web", true}, {"*web*", "a web b", true}, {"w?b", "w/b", true},
		{"w?b", "wb", false}, {"?", "", false}, {"*", "", true}, {"", "", true}, {"", "x", false},
		{"a*b*c", "a1b2c", true}, {"a*b*c", "a1c2b", false}, {"a*bc", "abbc", true}, {"*a", "aaab", false},
		{"Web", "web", false}, {"w?b", "w\xc3\xa4" "b", true}, {"w??b", "w\xc3\xa4" "b", false},
		{"**a**", "bab", true}, {"[a]", "a", false}, {"\\*", "*", false},
		{"*?", "x", true}, {"*??", "x", false},
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(cases); i++)
		if (bh_glob(cases[i].pattern, cases[i].s) != cases[i].met)
			fail_msg("%s on %s", cases[i].pattern, cases[i].s);
}

/* A bound on what a hostile name can cost: a second would be 10^9 steps. */
static void a_hostile_glob_ends(void **state)
{
	char s[4097], p[129];

	(void)state;
	memset(s, 'a', sizeof(s) - 1);
	s[sizeof(s) - 1] = '\0';
	for (size_t i = 0; i < sizeof(p) - 1; i += 2)
		memcpy(p + i, "*a", 2);
	p[sizeof(p) - 2] = 'b';
	p[sizeof(p) - 1] = '\0';
	assert_false(bh_glob(p, s));
}

static void images_are_named_as_docker_names_them(void **state)
{
	static const char id[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	static const struct {
		const char *in, *out;
		bool pattern;
	} cases[] = {
		{"postgres", "docker.io/library/postgres:latest", false},
		{"postgres", "docker.io/library/postgres:latest", true},
		{"postgres:16", "docker.io/library/postgres:16", false},
		{"postgres:*", "docker.io/library/postgres:*", true},
		{"postgres*", "docker.io/library/postgres*", true},
		{"post?res", "docker.io/library/post?res", true},
		{"grafana/loki", "docker.io/grafana/loki:latest", false},
		{"docker.io/postgres", "docker.io/library/postgres:latest", false},
		{"docker.io/grafana/loki", "docker.io/grafana/loki:latest", false},
		{"index.docker.io/library/nginx", "docker.io/library/nginx:latest", false},
		{"index.docker.io/nginx", "docker.io/library/nginx:latest", false},
		{"ghcr.io/a/b", "ghcr.io/a/b:latest", false},
		{"ghcr.io/b:1", "ghcr.io/b:1", false},
		{"localhost/x", "localhost/x:latest", false},
		{"localhost:5000/x", "localhost:5000/x:latest", false},
		{"reg:5000/x/y:2", "reg:5000/x/y:2", false},
		{"Team/x", "Team/x:latest", false},
		{"ghcr.io/*", "ghcr.io/*", true},
		{"team/*", "docker.io/team/*", true},
		{"nginx@sha256:ab", "docker.io/library/nginx@sha256:ab", false},
		{"nginx:1@sha256:ab", "docker.io/library/nginx:1@sha256:ab", false},
		{"sha256:abc", "sha256:abc", false},
		{"sha256:ab*", "sha256:ab*", true},
	};
	char *s, want[80];

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(cases); i++) {
		s = bh_image_normalise(cases[i].in, cases[i].pattern);
		assert_non_null(s);
		assert_string_equal(s, cases[i].out);
		free(s);
	}
	s = bh_image_normalise(id, false);
	snprintf(want, sizeof(want), "sha256:%s", id);
	assert_string_equal(s, want);
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(globs_are_anchored_and_cross_everything),
		cmocka_unit_test(a_hostile_glob_ends),
		cmocka_unit_test(images_are_named_as_docker_names_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
