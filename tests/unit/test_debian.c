/* SPDX-License-Identifier: Apache-2.0 */
/* Debian's order of versions, as its policy and dpkg's own tests have it, and which packages are behind. */
#include <bulkhead/debian.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/* Each is older than the next. */
static void test_order(void **state)
{
	static const char *const v[] = {
		"0~~", "0~~a", "0~", "0", "0a", "0.1~rc1-1", "0.1-0~deb12u1", "0.1-0.1", "0.1-1", "0.1-1+b1", "0.1-1+deb12u1", "0.1-1+deb12u2", "0.1-1+deb12u10",
		"0.1-2", "0.1-10", "0.1a-1", "0.1+-1", "0.1.1-1", "0.9", "0.10", "1.0~beta1", "1.0~rc1", "1.0", "1.0-0.1", "1.0a", "1.0+dfsg-1", "1.0-1-1",
		"18446744073709551615", "18446744073709551616", "18446744073709551617", "1:0~", "1:0", "2:0", "10:0", "10:1-1",
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(v); i++)
		for (size_t j = 0; j < BH_ARRAY_SIZE(v); j++) {
			int r = bh_debian_version_cmp(v[i], v[j]);

			if ((r < 0) != (i < j) || (r > 0) != (i > j))
				fail_msg("%s and %s: %d", v[i], v[j], r);
		}
}

static void test_equal(void **state)
{
	static const char *const pairs[][2] = {
		{"1.0", "1.0-0"}, {"0:1.0-1", "1.0-1"}, {"1.00", "1.0"}, {"1.0-01", "1.0-1"}, {"", "0"}, {":1", "1"}, {"00:1", "1"}, {"1.0-", "1.0"}, {"a0", "a"},
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(pairs); i++) {
		assert_int_equal(bh_debian_version_cmp(pairs[i][0], pairs[i][1]), 0);
		assert_int_equal(bh_debian_version_cmp(pairs[i][1], pairs[i][0]), 0);
	}
}

#define STATUS                                                                                                                          \
	"Package: openssl\nStatus: install ok installed\nArchitecture: amd64\nVersion: 3.0.11-1~deb12u2\nDescription: x\n Version: 9\n\n" \
	"Package: libc6\nStatus: install ok installed\nArchitecture: i386\nVersion: 2.36-9+deb12u9\n\n"                                  \
	"Package: libc6\nStatus: hold ok installed\nArchitecture: amd64\nVersion: 2.36-9+deb12u3\n\n"                                    \
	"Package: tzdata\nStatus: install ok installed\nArchitecture: all\nVersion: 2024a-0+deb12u1\n\n\n"                               \
	"Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n\n"                                          \
	"Package: half\nStatus: install ok not-installed\nArchitecture: amd64\nVersion: 1\n\n"                                           \
	"Package: nameless\nStatus: install ok installed\nVersion: 1"

static const char *behind(const struct bh_debian *d, char *buf, size_t size)
{
	size_t used = 0;

	buf[0] = '\0';
	bh_vec_foreach(p, &d->packages)
		if (p->behind)
			used += (size_t)snprintf(buf + used, size - used, "%.*s:%.*s ", (int)p->name.n, p->name.s, (int)p->arch.n, p->arch.s);
	return buf;
}

static void test_behind(void **state)
{
	static const char lists[] =
		"Package: openssl\nArchitecture: amd64\nVersion: 3.0.11-1~deb12u2\n\n"	/* the same */
		"Package: libc6\nArchitecture: amd64\nVersion: 2.36-9+deb12u10\n\n"
		"Package: libc6\nArchitecture: i386\nVersion: 2.36-9+deb12u9\n\n"
		"Package: gone\nArchitecture: amd64\nVersion: 2\n\n"
		"Package: stranger\nArchitecture: amd64\nVersion: 2\n\nArchitecture: amd64\nVersion: 2\n\n"
		"Package: tzdata\nVersion: 2024b-0+deb12u1\nArchitecture: all\n";
	struct bh_debian d = {0};
	char buf[256];

	(void)state;
	assert_int_equal(bh_debian_installed(STATUS, strlen(STATUS), &d), 0);
	assert_int_equal(d.packages.n, 4);
	assert_string_equal(behind(&d, buf, sizeof(buf)), "");
	assert_int_equal(bh_debian_offered(&d, lists, strlen(lists)), 6);
	assert_string_equal(behind(&d, buf, sizeof(buf)), "libc6:amd64 tzdata:all ");
	bh_vec_clear(&d.packages);
}

static void test_nothing(void **state)
{
	static const char one[] = "Package: a\nArchitecture: all\nVersion: 1";
	struct bh_debian d = {0};

	(void)state;
	assert_int_equal(bh_debian_installed("", 0, &d), 0);
	assert_int_equal(d.packages.n, 0);
	assert_int_equal(bh_debian_offered(&d, one, strlen(one)), 1);
	assert_int_equal(bh_debian_offered(&d, one, strlen(one) - 1), 0);
	assert_int_equal(bh_debian_offered(&d, "\n\n\n", 3), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order), cmocka_unit_test(test_equal), cmocka_unit_test(test_behind), cmocka_unit_test(test_nothing),
	};

	return cmocka_run_group_tests_name("debian", tests, NULL, NULL);
}
