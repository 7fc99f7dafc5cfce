/* SPDX-License-Identifier: Apache-2.0 */
/* Reports of scanners and results of verifications, decoded, and a directory of them followed. The watcher believes root's files alone, so those
 * tests are passed over without root. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <bulkhead/buf.h>
#include <bulkhead/reports.h>

#include <fcntl.h>
#include <jansson.h>
#include <sys/stat.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>

#include "../common/no_memory.h"

#define ID "sha256:37477bf14e6cf9a83264f14daf367e2df0f4ee421324b041b9b0a9a2a9a24540"
#define INDEX "sha256:11504b8c12653863774d9d3930d3691b7e2174f866ef5e93b0147092c9dc9fc5"
#define MANIFEST "sha256:a39033d52e193da2238e7d911e74c0ff48503facfb24ed1b6a2415dee3b56e43"

static char *fixture(const char *folder, const char *name, size_t *n)
{
	_cleanup_buf_ struct bh_buf b = {0};
	char path[512], *text = NULL;

	snprintf(path, sizeof(path), "%s/%s/%s", FIXTURES, folder, name);
	assert_int_equal(bh_buf_read_file(&b, path, BH_REPORT_FILE_MAX), 0);
	*n = b.n;
	assert_int_equal(bh_buf_steal(&b, &text), 0);
	return text;
}

static int decode(const char *name, struct bh_report *r, struct bh_error *err)
{
	size_t n;
	_cleanup_free_ char *text = fixture("reports", name, &n);

	return bh_report_decode(text, n, r, err);
}

static int decode_verified(const char *name, struct bh_verified *v, struct bh_error *err)
{
	size_t n;
	_cleanup_free_ char *text = fixture("verified", name, &n);

	return bh_verified_decode(name, text, n, v, err);
}

static void test_trivy(void **state)
{
	_cleanup_(bh_report_clear) struct bh_report r = {0};

	(void)state;
	assert_int_equal(decode("trivy.json", &r, NULL), 0);
	assert_string_equal(r.scanner, "trivy");
	assert_string_equal(r.artifact, "registry.example.org/shop/web:1.4");
	assert_int_equal(r.digests.n, 2);
	assert_string_equal(r.digests.v[0], ID);
	assert_string_equal(r.digests.v[1], INDEX);
	assert_int_equal(r.created_usec, 1795173630123456ull);	/* 2026-11-20T11:20:30.123456Z */
	assert_int_equal(r.all.counts[BH_VULN_CRITICAL], 2);
	assert_int_equal(r.all.counts[BH_VULN_HIGH], 3);
	assert_int_equal(r.all.counts[BH_VULN_MEDIUM], 1);
	assert_int_equal(r.all.counts[BH_VULN_LOW], 1);
	assert_int_equal(r.all.counts[BH_VULN_UNKNOWN], 1);
	assert_int_equal(r.fixable.counts[BH_VULN_CRITICAL], 1);
	assert_int_equal(r.fixable.counts[BH_VULN_HIGH], 2);
	assert_int_equal(bh_vulns_worst(&r.fixable), BH_VULN_CRITICAL);
	assert_int_equal(r.all.worst.n, 5);	/* each id once */
	assert_string_equal(r.all.worst.v[0].id, "CVE-2023-45853");
	assert_string_equal(r.all.worst.v[0].package, "zlib1g");
	assert_string_equal(r.all.worst.v[1].id, "CVE-2024-24790");
	assert_string_equal(r.all.worst.v[4].id, "CVE-2024-0553");
	assert_string_equal(r.fixable.worst.v[0].id, "CVE-2024-24790");
}

static void test_trivy_without_findings_or_time(void **state)
{
	_cleanup_(bh_report_clear) struct bh_report clean = {0}, old = {0};

	(void)state;
	assert_int_equal(decode("trivy-clean.json", &clean, NULL), 0);
	assert_int_equal(bh_vulns_worst(&clean.all), -1);
	assert_int_equal(clean.created_usec, 1795173630000000ull);
	assert_int_equal(decode("trivy-0.20.json", &old, NULL), 0);
	assert_int_equal(old.created_usec, 0);
	assert_int_equal(bh_vulns_worst(&old.all), BH_VULN_MEDIUM);
}

static void test_grype(void **state)
{
	_cleanup_(bh_report_clear) struct bh_report now = {0}, old = {0};

	(void)state;
	assert_int_equal(decode("grype.json", &now, NULL), 0);
	assert_string_equal(now.scanner, "grype");
	assert_int_equal(now.digests.n, 3);
	assert_string_equal(now.digests.v[1], MANIFEST);
	assert_string_equal(now.digests.v[2], INDEX);
	assert_int_equal(now.created_usec, 1795173630500000ull);
	assert_int_equal(now.all.counts[BH_VULN_CRITICAL], 1);	/* what it ignores does not count */
	assert_int_equal(now.all.counts[BH_VULN_NEGLIGIBLE], 1);
	assert_int_equal(bh_vulns_worst(&now.fixable), BH_VULN_HIGH);
	assert_int_equal(decode("grype-0.7.json", &old, NULL), 0);
	assert_int_equal(old.digests.n, 2);
	assert_int_equal(old.created_usec, 0);
	assert_int_equal(bh_vulns_worst(&old.all), BH_VULN_CRITICAL);
	assert_int_equal(bh_vulns_worst(&old.fixable), BH_VULN_HIGH);
}

static void test_what_is_refused(void **state)
{
	static const struct {
		const char *name, *says;
	} cases[] = {
		{"bad-cut.json", "is not JSON, or was cut off"},
		{"bad-grype-0.1.json", "CVE-2024-2961 has no severity that is known"},
		{"bad-grype-directory.json", "is not about an image (source.type)"},
		{"bad-sarif.json", "is a report of neither Trivy (trivy image -f json) nor Grype (grype -o json)"},
		{"bad-trivy-filesystem.json", "is not about an image (ArtifactType): trivy image -f json"},
		{"bad-trivy-list.json", "is a list: Trivy before 0.20 and Grype before 0.1 do not say which image they looked at"},
		{"bad-trivy-no-digest.json", "names no image by a digest: what was scanned has to be an image"},
		{"bad-trivy-secrets.json", "looked at no package (no result of class os-pkgs or lang-pkgs): trivy image --scanners vuln"},
	};
	static const char *const texts[] = {"", "[]", "{}", "null", "1", "{\"SchemaVersion\":3}", "{\"SchemaVersion\":2,\"SchemaVersion\":2}",
		"{\"SchemaVersion\":2,\"Results\":{}}", "{\"matches\":{},\"source\":{\"type\":\"image\"}}", "{\"SchemaVersion\":2,\"CreatedAt\":\"now\"}",
		"{\"matches\":[{}],\"source\":{\"type\":\"image\",\"target\":{\"imageID\":\"" ID "\"}}}",
		"{\"matches\":[],\"source\":{\"type\":\"image\",\"target\":{\"imageID\":\"" ID "\"}}} x"};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(cases); i++) {
		_cleanup_(bh_report_clear) struct bh_report r = {0};
		struct bh_error err = {0};

		assert_int_equal(decode(cases[i].name, &r, &err), -EBADMSG);
		if (!strstr(err.msg, cases[i].says))
			fail_msg("%s: %s", cases[i].name, err.msg);
		assert_int_equal(r.digests.n, 0);
	}
	for (size_t i = 0; i < BH_ARRAY_SIZE(texts); i++) {
		struct bh_report r = {0};

		if (bh_report_decode(texts[i], strlen(texts[i]), &r, NULL) != -EBADMSG)
			fail_msg("'%s' was not refused", texts[i]);
	}
}

static void test_what_strangers_write_is_told_escaped(void **state)
{
	static const char text[] = "{\"matches\":[{\"vulnerability\":{\"id\":\"\\u001b[31mX\\n\",\"severity\":\"bad\"}}],"
				   "\"source\":{\"type\":\"image\",\"target\":{\"imageID\":\"" ID "\"}}}";
	struct bh_report r = {0};
	struct bh_error err = {0};

	(void)state;
	assert_int_equal(bh_report_decode(text, sizeof(text) - 1, &r, &err), -EBADMSG);
	assert_string_equal(err.msg, "\\x1b[31mX\\x0a has no severity that is known");
}

static void test_verified(void **state)
{
	static const struct {
		const char *name, *tool;
		size_t n;
	} good[] = {
		{"cosign.json", "cosign", 1},
		{"cosign-3.json", "cosign", 1},
		{"cosign-0.json", "cosign", 2},
		{"sha256-11504b8c12653863774d9d3930d3691b7e2174f866ef5e93b0147092c9dc9fc5.json", "cosign", 1},
		{"notation.txt", "notation", 1},
		{"notation.json", "notation", 1},
	};
	static const char *const bad[] = {"bad-complaint.txt", "bad-cosign-attestation.json", "bad-cosign-none.json", "bad-empty.json",
		"bad-notation-skipped.json", "bad-notation-skipped.txt", "bad-notation-tag.txt"};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(good); i++) {
		_cleanup_(bh_verified_clear) struct bh_verified v = {0};
		struct bh_error err = {0};

		if (decode_verified(good[i].name, &v, &err) < 0)
			fail_msg("%s: %s", good[i].name, err.msg);
		assert_string_equal(v.tool, good[i].tool);
		assert_int_equal(v.digests.n, good[i].n);
		assert_string_equal(v.digests.v[0], INDEX);
	}
	for (size_t i = 0; i < BH_ARRAY_SIZE(bad); i++) {
		struct bh_verified v = {0};

		if (decode_verified(bad[i], &v, NULL) != -EBADMSG)
			fail_msg("%s was not refused", bad[i]);
	}
}

static void test_a_name_has_to_agree(void **state)
{
	static const char tag[] = "Successfully verified signature for registry.example.org/shop/web:1.4\n";
	_cleanup_(bh_verified_clear) struct bh_verified v = {0};
	struct bh_verified none = {0};
	struct bh_error err = {0};
	size_t n;
	_cleanup_free_ char *text = fixture("verified", "cosign.json", &n);

	(void)state;
	assert_int_equal(bh_verified_decode("sha256-a39033d52e193da2238e7d911e74c0ff48503facfb24ed1b6a2415dee3b56e43.json", text, n, &none, &err), -EBADMSG);
	assert_string_equal(err.msg, "verifies another digest than its name says");
	assert_int_equal(bh_verified_decode(MANIFEST ".txt", tag, sizeof(tag) - 1, &v, NULL), 0);
	assert_string_equal(v.digests.v[0], MANIFEST);
}

static void test_digests(void **state)
{
	char d[BH_DIGEST_TEXT];

	(void)state;
	assert_true(bh_digest_parse(ID, d));
	assert_true(bh_digest_parse(ID + 7, d));
	assert_string_equal(d, ID);
	assert_true(bh_digest_parse("localhost:5000/a@" INDEX, d));
	assert_string_equal(d, INDEX);
	assert_false(bh_digest_parse("", d));
	assert_false(bh_digest_parse(ID "0", d));
	assert_false(bh_digest_parse("sha256:A7477bf14e6cf9a83264f14daf367e2df0f4ee421324b041b9b0a9a2a9a24540", d));
	assert_false(bh_digest_parse("a@37477bf14e6cf9a83264f14daf367e2df0f4ee421324b041b9b0a9a2a9a24540", d));
	assert_false(bh_digest_parse("web:1.4", d));
}

static void test_times(void **state)
{
	static const char *const bad[] = {"", "now", "2026-11-20", "2026-11-20T11:20:30", "2026-11-20 11:20:30Z", "2026-13-20T11:20:30Z", "2026-11-20T24:20:30Z",
		"2026-11-20T11:20:30.Z", "2026-11-20T11:20:30+1:00", "2026-11-20T11:20:30Zx", "0001-01-01T00:00:00Z", "1970-01-01T00:00:00+01:00"};
	uint64_t t = 1;

	(void)state;
	assert_int_equal(bh_time_parse("1970-01-01T00:00:00Z", &t), 0);
	assert_int_equal(t, 0);
	assert_int_equal(bh_time_parse("2000-02-29T23:59:59.000000999Z", &t), 0);
	assert_int_equal(t, 951868799000000ull);
	assert_int_equal(bh_time_parse("2000-03-01T01:59:59+02:00", &t), 0);	/* the same second */
	assert_int_equal(t, 951868799000000ull);
	for (size_t i = 0; i < BH_ARRAY_SIZE(bad); i++)
		if (bh_time_parse(bad[i], &t) != -EINVAL)
			fail_msg("'%s' was not refused", bad[i]);
}

static void test_every_allocation_may_fail(void **state)
{
	size_t n, vn;
	_cleanup_free_ char *text = fixture("reports", "trivy.json", &n), *verified = fixture("verified", "cosign-0.json", &vn);
	bool done = false;

	(void)state;
	json_set_alloc_funcs(malloc, free);
	for (long i = 0; !done; i++) {
		struct bh_report r = {0}, copy = {0};
		struct bh_verified v = {0};
		struct bh_images images = {0};
		int a, b, c, d, e;

		left = i;
		a = bh_report_decode(text, n, &r, NULL);
		b = bh_verified_decode("x", verified, vn, &v, NULL);
		c = a == 0 ? bh_report_copy(&copy, &r) : 0;
		r.file = v.file = (char *)"f";
		d = a == 0 ? bh_images_set_report(&images, &r) : 0;
		e = b == 0 ? bh_images_set_verified(&images, &v) : 0;
		if (a == 0)
			(void)bh_images_drop(&images, "f", "why");
		done = left >= 0;
		left = -1;
		r.file = v.file = NULL;
		/* jansson does not always tell that from bad syntax */
		assert_true((a == 0 || a == -ENOMEM || a == -EBADMSG) && (b == 0 || b == -ENOMEM || b == -EBADMSG) && (c == 0 || c == -ENOMEM));
		assert_true((d == 0 || d == -ENOMEM) && (e == 0 || e == -ENOMEM));
		assert_true(!done || (a == 0 && b == 0 && c == 0 && d == 0 && e == 0));
		bh_report_clear(&r);
		bh_report_clear(&copy);
		bh_verified_clear(&v);
		bh_images_clear(&images);
	}
}

static void test_images_keep_what_a_file_said(void **state)
{
	_cleanup_(bh_report_clear) struct bh_report r = {0};
	struct bh_images i = {0};

	(void)state;
	assert_int_equal(decode("trivy.json", &r, NULL), 0);
	assert_int_equal(bh_strdup(&r.file, "/r/a.json"), 0);
	assert_int_equal(bh_images_set_report(&i, &r), 0);
	assert_int_equal(bh_images_set_report(&i, &r), 0);
	assert_int_equal(i.reports.n, 1);
	assert_int_equal(bh_images_drop(&i, "/r/a.json", "is not JSON"), 0);
	assert_int_equal(i.reports.n, 0);
	assert_int_equal(i.unread.n, 1);
	assert_int_equal(i.unread.v[0].digests.n, 2);
	assert_int_equal(bh_images_drop(&i, "/r/a.json", "is empty"), 0);	/* still known which image it was about */
	assert_int_equal(i.unread.n, 1);
	assert_int_equal(i.unread.v[0].digests.n, 2);
	assert_int_equal(bh_images_drop(&i, "/r/a.json", NULL), 0);
	assert_int_equal(i.unread.n, 0);
	bh_images_clear(&i);
}

/* A directory, and what its watcher told: "REPORT a.json\n". */
struct watched {
	char dir[64];
	sd_event *event;
	struct bh_reports *reports;
	struct bh_buf said;
};

static void hear(void *userdata, const struct bh_reports_msg *msg)
{
	static const char *const kinds[] = {"report", "verified", "unread", "gone", "directory"};
	struct watched *w = userdata;

	bh_buf_printf(&w->said, "%s", kinds[msg->kind]);
	if (msg->kind == BH_REPORTS_MSG_DIRECTORY) {
		assert_string_equal(msg->file, w->dir);
	} else {
		assert_true(strncmp(msg->file, w->dir, strlen(w->dir)) == 0 && msg->file[strlen(w->dir)] == '/');
		bh_buf_printf(&w->said, " %s", msg->file + strlen(w->dir) + 1);
	}
	if (msg->report)
		assert_string_equal(msg->report->file, msg->file);
	if (msg->report)
		bh_buf_printf(&w->said, " %zu", msg->report->all.counts[BH_VULN_CRITICAL]);
	if (msg->problem)
		bh_buf_printf(&w->said, ": %s", msg->problem);
	bh_buf_puts(&w->said, "\n");
}

static void put(const struct watched *w, const char *name, const char *text, size_t n)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", w->dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, n), n);
	close(fd);
}

static void put_fixture(const struct watched *w, const char *name, const char *what)
{
	size_t n;
	_cleanup_free_ char *text = fixture("reports", what, &n);

	put(w, name, text, n);
}

/* Turns the loop until nothing has happened for 50 ms, at most USEC, and compares what was said. */
static void expect(struct watched *w, uint64_t usec, const char *text)
{
	struct timespec t;
	uint64_t end;

	clock_gettime(CLOCK_MONOTONIC, &t);
	end = (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000 + usec;
	for (;;) {
		int r = sd_event_run(w->event, 50000);

		assert_true(r >= 0);
		clock_gettime(CLOCK_MONOTONIC, &t);
		if ((r == 0 && (w->said.n || !usec)) || (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000 > end)
			break;
	}
	assert_string_equal(w->said.s ? w->said.s : "", text);
	bh_buf_free(&w->said);
	w->said = (struct bh_buf){0};
}

static void watched_begin(struct watched *w, enum bh_reports_kind kind)
{
	*w = (struct watched){.dir = "/tmp/bulkhead-reports-XXXXXX"};
	if (geteuid() != 0)
		skip();
	assert_non_null(mkdtemp(w->dir));
	put_fixture(w, "a.json", "trivy.json");
	put_fixture(w, "notes.txt", "trivy.json");
	put_fixture(w, ".b.json", "trivy.json");
	assert_int_equal(sd_event_new(&w->event), 0);
	assert_int_equal(bh_reports_new(w->event, w->dir, kind, hear, w, &w->reports, NULL), 0);
}

static void watched_end(struct watched *w)
{
	char command[192];

	bh_reports_free(w->reports);
	sd_event_unref(w->event);
	bh_buf_free(&w->said);
	snprintf(command, sizeof(command), "rm -rf %s %s.old", w->dir, w->dir);
	assert_int_equal(system(command), 0);
}

static void test_a_directory_is_followed(void **state)
{
	struct watched w;
	char path[2][256];

	(void)state;
	watched_begin(&w, BH_REPORTS_SCANS);
	assert_string_equal(w.said.s, "report a.json 2\n");	/* told before new() returned */
	expect(&w, 0, "report a.json 2\n");
	put_fixture(&w, "c.json", "trivy-clean.json");
	expect(&w, 1000000, "report c.json 0\n");
	snprintf(path[0], sizeof(path[0]), "%s/notes.txt", w.dir);
	snprintf(path[1], sizeof(path[1]), "%s/c.json", w.dir);
	assert_int_equal(rename(path[0], path[1]), 0);
	expect(&w, 1000000, "report c.json 2\n");
	assert_int_equal(unlink(path[1]), 0);
	expect(&w, 1000000, "gone c.json\n");
	put(&w, "a.json", "{", 1);
	expect(&w, 1000000, "unread a.json: line 1: is not JSON, or was cut off\n");
	put_fixture(&w, "a.json", "grype.json");
	expect(&w, 1000000, "report a.json 1\n");
	watched_end(&w);
}

static void test_a_file_is_read_when_it_was_closed(void **state)
{
	size_t n;
	_cleanup_free_ char *text = fixture("reports", "trivy-clean.json", &n);
	struct watched w;
	char path[256];
	int fd;

	(void)state;
	watched_begin(&w, BH_REPORTS_SCANS);
	expect(&w, 0, "report a.json 2\n");
	snprintf(path, sizeof(path), "%s/a.json", w.dir);
	fd = open(path, O_WRONLY | O_TRUNC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, n / 2), n / 2);
	expect(&w, 200000, "");
	assert_int_equal(write(fd, text + n / 2, n - n / 2), n - n / 2);
	close(fd);
	expect(&w, 1000000, "report a.json 0\n");
	watched_end(&w);
}

static void test_only_what_root_alone_writes_is_believed(void **state)
{
	struct watched w;
	char path[2][256];

	(void)state;
	watched_begin(&w, BH_REPORTS_SCANS);
	expect(&w, 0, "report a.json 2\n");
	snprintf(path[0], sizeof(path[0]), "%s/a.json", w.dir);
	snprintf(path[1], sizeof(path[1]), "%s/link.json", w.dir);
	assert_int_equal(chmod(path[0], 0664), 0);
	expect(&w, 1000000, "unread a.json: can be written by others than root (mode 0664): chmod go-w\n");
	assert_int_equal(chmod(path[0], 0644), 0);
	expect(&w, 1000000, "report a.json 2\n");
	assert_int_equal(chown(path[0], 12, 0), 0);
	expect(&w, 1000000, "unread a.json: belongs to uid 12, not to root, who alone may write it: chown root\n");
	assert_int_equal(unlink(path[0]), 0);
	expect(&w, 1000000, "gone a.json\n");
	snprintf(path[0], sizeof(path[0]), "%s/x", w.dir);
	assert_int_equal(symlink("notes.txt", path[0]), 0);
	assert_int_equal(rename(path[0], path[1]), 0);
	expect(&w, 1000000, "unread link.json: is a link: links are not followed\n");
	assert_int_equal(chmod(w.dir, 0777), 0);
	expect(&w, 1000000, "directory: can be written by others than root (mode 0777): chmod go-w\ngone link.json\n");
	assert_int_equal(chmod(w.dir, 0755), 0);
	expect(&w, 4000000, "directory\nunread link.json: is a link: links are not followed\n");
	watched_end(&w);
}

static void test_a_directory_may_come_and_go(void **state)
{
	struct watched w;
	char other[128];

	(void)state;
	watched_begin(&w, BH_REPORTS_VERIFIED);
	expect(&w, 0, "unread a.json: is what neither cosign verify nor notation verify print when they succeed\n"
		      "unread notes.txt: is what neither cosign verify nor notation verify print when they succeed\n");
	snprintf(other, sizeof(other), "%s.old", w.dir);
	assert_int_equal(rename(w.dir, other), 0);
	expect(&w, 1000000, "directory: is not there any more\ngone notes.txt\ngone a.json\n");
	assert_int_equal(mkdir(w.dir, 0755), 0);
	put(&w, MANIFEST, "Successfully verified signature for x:1\n", 40);
	expect(&w, 4000000, "directory\nverified " MANIFEST "\n");
	watched_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_trivy),
		cmocka_unit_test(test_trivy_without_findings_or_time),
		cmocka_unit_test(test_grype),
		cmocka_unit_test(test_what_is_refused),
		cmocka_unit_test(test_what_strangers_write_is_told_escaped),
		cmocka_unit_test(test_verified),
		cmocka_unit_test(test_a_name_has_to_agree),
		cmocka_unit_test(test_digests),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_every_allocation_may_fail),
		cmocka_unit_test(test_images_keep_what_a_file_said),
		cmocka_unit_test(test_a_directory_is_followed),
		cmocka_unit_test(test_a_file_is_read_when_it_was_closed),
		cmocka_unit_test(test_only_what_root_alone_writes_is_believed),
		cmocka_unit_test(test_a_directory_may_come_and_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
