/* SPDX-License-Identifier: Apache-2.0 */
/* What is said of a container's image when it is held against reports, verifications and registries. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <bulkhead/provenance.h>

#define D(c) "sha256:" c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c
#define ID D("a0")
#define INDEX D("b1")
#define OTHER D("c2")
#define DAY 86400
#define NOON 1795176000000000ull	/* 2026-11-20 12:00 UTC, in microseconds */

static void report(struct bh_images *i, const char *file, const char *scanner, const char *digest, uint64_t created, enum bh_vuln severity, bool fixable)
{
	struct bh_report r = {.scanner = scanner, .created_usec = created};

	assert_int_equal(bh_strdup(&r.file, file), 0);
	assert_int_equal(bh_strv_push(&r.digests, digest), 0);
	assert_int_equal(bh_vulns_add(&r.all, severity, "CVE-2024-1", "libc6"), 0);
	assert_int_equal(bh_vulns_add(&r.all, severity, "CVE-2024-2", NULL), 0);
	if (fixable)
		assert_int_equal(bh_vulns_add(&r.fixable, severity, "CVE-2024-2", NULL), 0);
	assert_int_equal(bh_images_set_report(i, &r), 0);
	bh_report_clear(&r);
}

/* "" when it is as wanted; otherwise "WHY | FIX". */
static int64_t now = NOON / 1000000, next;

static const char *scanned(const struct bh_scanned *w, const struct bh_images *i, const struct bh_image_names *name)
{
	static char text[1024];
	_cleanup_buf_ struct bh_buf why = {0}, fix = {0};
	bool ok;

	next = 0;
	ok = bh_image_scanned(w, i, name, now, &next, &why, &fix);

	assert_int_equal(why.err, 0);
	assert_int_equal(fix.err, 0);
	assert_true(ok == (why.n == 0) && ok == (fix.n == 0));
	snprintf(text, sizeof(text), "%s%s%s", why.s ? why.s : "", ok ? "" : " | ", fix.s ? fix.s : "");
	return text;
}

static const struct bh_image_names web = {.reference = "shop/web:1", .id = ID};

static void test_no_report(void **state)
{
	const struct bh_scanned w = {0};
	struct bh_images i = {0};

	(void)state;
	report(&i, "/r/other.json", "trivy", OTHER, NOON, BH_VULN_LOW, false);
	assert_string_equal(scanned(&w, &i, &web), "no report speaks of it (sha256:a0a0a0a0a0a0) | scan it into the folder of images.reports: trivy image -f json shop/web:1");
	assert_string_equal(scanned(&w, NULL, &web), "no report speaks of it (sha256:a0a0a0a0a0a0) | scan it into the folder of images.reports: trivy image -f json shop/web:1");
	bh_images_clear(&i);
}

static void test_by_any_digest(void **state)
{
	const struct bh_scanned w = {0};
	struct bh_strv digests = {0};
	const struct bh_image_names name = {.id = ID, .digests = &digests};
	struct bh_images i = {0};

	(void)state;
	report(&i, "/r/a.json", "trivy", INDEX, NOON, BH_VULN_LOW, false);
	assert_true(*scanned(&w, &i, &name));
	assert_int_equal(bh_strv_push(&digests, "registry.example.org/web@" INDEX), 0);
	assert_string_equal(scanned(&w, &i, &name), "");
	bh_strv_clear(&digests);
	bh_images_clear(&i);
}

static void test_severity(void **state)
{
	struct bh_scanned w = {.has_max = true};

	(void)state;
	for (int found = BH_VULN_UNKNOWN; found < BH_VULN_MAX; found++)
		for (int max = BH_VULN_NEGLIGIBLE; max < BH_VULN_MAX; max++) {
			struct bh_images i = {0};

			report(&i, "/r/a.json", "trivy", ID, NOON, (enum bh_vuln)found, false);
			w.max = (enum bh_vuln)max;
			w.only_fixed = false;
			assert_int_equal(*scanned(&w, &i, &web) == '\0', found <= max);
			w.only_fixed = true;
			assert_string_equal(scanned(&w, &i, &web), "");
			bh_images_clear(&i);
		}
}

static void test_what_is_said_of_findings(void **state)
{
	struct bh_scanned w = {.has_max = true, .max = BH_VULN_MEDIUM};
	struct bh_images i = {0};

	(void)state;
	report(&i, "/r/a\n.json", "trivy", ID, NOON, BH_VULN_HIGH, false);
	assert_string_equal(scanned(&w, &i, &web), "high CVE-2024-1 in libc6 and 1 more where medium is the worst allowed: /r/a\\x0a.json (trivy, 2026-11-20 12:00 UTC)"
		" | a fix is not out for all of them; when it is, rebuild or pull shop/web:1, start the container again and have it scanned");
	report(&i, "/r/a\n.json", "trivy", ID, NOON, BH_VULN_HIGH, true);
	w.only_fixed = true;
	assert_string_equal(scanned(&w, &i, &web), "high CVE-2024-2 where medium is the worst allowed: /r/a\\x0a.json (trivy, 2026-11-20 12:00 UTC)"
		" | rebuild or pull shop/web:1, start the container again and have it scanned");
	bh_images_clear(&i);
}

static void test_age(void **state)
{
	const struct bh_scanned w = {.max_age = 7 * DAY}, any = {0};
	struct bh_images i = {0};
	uint64_t created = NOON - 7ull * DAY * 1000000;

	(void)state;
	/* a second begun counts */
	report(&i, "/r/a.json", "trivy", ID, created + 1, BH_VULN_CRITICAL, false);
	assert_string_equal(scanned(&w, &i, &web), "");
	assert_int_equal(next, now + 1);
	now++;
	assert_string_equal(scanned(&w, &i, &web), "its report is older than 7d: /r/a.json (trivy, 2026-11-13 12:00 UTC)"
		" | scan it into the folder of images.reports: trivy image -f json shop/web:1");
	assert_int_equal(next, 0);
	assert_string_equal(scanned(&any, &i, &web), "");
	assert_int_equal(next, 0);
	/* the youngest counts */
	report(&i, "/r/b.json", "grype", ID, created + 5000000, BH_VULN_CRITICAL, false);
	report(&i, "/r/a.json", "trivy", ID, created + 3000000, BH_VULN_CRITICAL, false);
	assert_string_equal(scanned(&w, &i, &web), "");
	assert_int_equal(next, now + 4);
	now--;
	bh_images_clear(&i);
}

static void test_several_reports(void **state)
{
	const struct bh_scanned w = {.has_max = true, .max = BH_VULN_HIGH, .max_age = 7 * DAY};
	struct bh_images i = {0};

	(void)state;
	/* an older one of the same scanner says nothing any more */
	report(&i, "/r/a.json", "trivy", ID, NOON - 2, BH_VULN_CRITICAL, false);
	assert_true(*scanned(&w, &i, &web));
	report(&i, "/r/b.json", "trivy", ID, NOON - 1, BH_VULN_HIGH, false);
	assert_string_equal(scanned(&w, &i, &web), "");
	/* one of another scanner does, however old */
	report(&i, "/r/c.json", "grype", ID, 1000000, BH_VULN_CRITICAL, false);
	assert_non_null(strstr(scanned(&w, &i, &web), "/r/c.json (grype, 1970-01-01 00:00 UTC)"));
	report(&i, "/r/c.json", "grype", ID, 1000000, BH_VULN_LOW, false);
	assert_string_equal(scanned(&w, &i, &web), "");
	bh_images_clear(&i);
}

static void test_a_broken_replacement(void **state)
{
	const struct bh_scanned w = {0};
	struct bh_images i = {0};

	(void)state;
	report(&i, "/r/a.json", "trivy", ID, NOON, BH_VULN_LOW, false);
	assert_int_equal(bh_images_drop(&i, "/r/a.json", "is not JSON"), 0);
	assert_string_equal(scanned(&w, &i, &web), "/r/a.json is not JSON | mend or replace /r/a.json");
	/* another file that is right is enough */
	report(&i, "/r/b.json", "grype", ID, NOON, BH_VULN_LOW, false);
	assert_string_equal(scanned(&w, &i, &web), "");
	bh_images_clear(&i);
}

static void test_verified(void **state)
{
	struct bh_verified v = {.tool = "cosign", .file = (char *)"/v/a.json"};
	struct bh_strv digests = {0};
	const struct bh_image_names name = {.reference = "shop/web:1", .id = ID, .digests = &digests};
	struct bh_images i = {0};
	struct bh_buf why = {0}, fix = {0};

	(void)state;
	assert_false(bh_image_verified(NULL, &name, &why, &fix));
	assert_string_equal(why.s, "no result of a verification speaks of it, and no registry knows it by a digest (sha256:a0a0a0a0a0a0)");
	assert_string_equal(fix.s, "verify it into the folder of images.verified: cosign verify --key KEY shop/web:1");
	assert_int_equal(bh_strv_push(&digests, "registry.example.org/web@" INDEX), 0);
	assert_int_equal(bh_strv_push(&v.digests, OTHER), 0);
	assert_int_equal(bh_images_set_verified(&i, &v), 0);
	assert_false(bh_image_verified(&i, &name, &why, &fix));
	assert_int_equal(bh_strv_push(&v.digests, INDEX), 0);
	assert_int_equal(bh_images_set_verified(&i, &v), 0);
	assert_true(bh_image_verified(&i, &name, &why, &fix));
	bh_buf_free(&why);
	bh_buf_free(&fix);
	bh_strv_clear(&v.digests);
	bh_strv_clear(&digests);
	bh_images_clear(&i);
}

static void net(struct bh_images *i, const char *text)
{
	struct bh_prefix p;

	assert_int_equal(bh_prefix_parse(text, &p), 0);
	assert_int_equal(bh_vec_push(&i->registries.insecure, p), 0);
}

static void test_registries(void **state)
{
	static const struct {
		const char *reference, *why;
	} cases[] = {
		{"nginx", NULL},
		{"registry.example.org/web:1", NULL},
		{"registry.example.org:5000/web:1", "the runtime is told that registry.example.org:5000 is an insecure registry"},
		{"localhost:5000/web", "localhost:5000 is in 127.0.0.0/8, where the runtime takes registries without TLS (this host's own, by default)"},
		{"127.1.2.3/web", "127.1.2.3 is in 127.0.0.0/8, where the runtime takes registries without TLS (this host's own, by default)"},
		{"10.1.2.3:5000/web@" INDEX, "10.1.2.3:5000 is in 10.0.0.0/8, where the runtime takes registries without TLS"},
		{"10.9.9.9/web", NULL},		/* by its name in the configuration, with TLS */
		{"[::1]:5000/web", "[::1]:5000 is in ::1/128, where the runtime takes registries without TLS (this host's own, by default)"},
		{"192.0.2.1/web", NULL},
		{ID, "it is known by its id alone, and so its registry is not"},
	};
	struct bh_images i = {0};

	(void)state;
	net(&i, "127.0.0.0/8");
	net(&i, "::1/128");
	net(&i, "10.0.0.0/8");
	assert_int_equal(bh_strv_push(&i.registries.insecure_names, "registry.example.org:5000"), 0);
	assert_int_equal(bh_strv_push(&i.registries.secure_names, "10.9.9.9"), 0);
	i.registries.known = true;
	for (size_t k = 0; k < BH_ARRAY_SIZE(cases); k++) {
		const struct bh_image_names name = {.reference = cases[k].reference, .id = ID};
		_cleanup_buf_ struct bh_buf why = {0}, fix = {0};

		assert_int_equal(bh_image_registry_tls(&i, &name, &why, &fix), cases[k].why == NULL);
		if (!bh_streq(why.s, cases[k].why))
			fail_msg("%s: %s", cases[k].reference, why.s ? why.s : "nothing");
		assert_int_equal(fix.n > 0, cases[k].why != NULL);
	}
	{
		const struct bh_image_names hub = {.reference = "nginx", .id = ID};
		_cleanup_buf_ struct bh_buf why = {0}, fix = {0}, none = {0}, more = {0};

		assert_int_equal(bh_strv_push(&i.registries.plain_mirrors, "http://mirror:5000/"), 0);
		assert_false(bh_image_registry_tls(&i, &hub, &why, &fix));
		assert_string_equal(why.s, "Docker Hub is asked by way of a mirror without TLS: http://mirror:5000/");
		i.registries.known = false;
		assert_false(bh_image_registry_tls(&i, &hub, &none, &more));
		assert_string_equal(none.s, "the runtime did not tell how it reaches registries");
	}
	bh_images_clear(&i);
}

static void test_dates(void **state)
{
	char text[BH_DATE_TEXT];

	(void)state;
	assert_string_equal(bh_date_text(0, text), "1970-01-01 00:00 UTC");
	assert_string_equal(bh_date_text(951868799000000ull, text), "2000-02-29 23:59 UTC");
	assert_string_equal(bh_date_text(NOON, text), "2026-11-20 12:00 UTC");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_report),
		cmocka_unit_test(test_by_any_digest),
		cmocka_unit_test(test_severity),
		cmocka_unit_test(test_what_is_said_of_findings),
		cmocka_unit_test(test_age),
		cmocka_unit_test(test_several_reports),
		cmocka_unit_test(test_a_broken_replacement),
		cmocka_unit_test(test_verified),
		cmocka_unit_test(test_registries),
		cmocka_unit_test(test_dates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
