/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of a directory of reports between processes: what is written is read as it was; what no sender of ours writes is refused; and what becomes
 * of what is known when the process that told it ends, hangs or lies, played at the other end of its socket. */
#include "../../src/reports/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define DIGEST "sha256:37477bf14e6cf9a83264f14daf367e2df0f4ee421324b041b9b0a9a2a9a24540"
#define OTHER "sha256:11504b8c12653863774d9d3930d3691b7e2174f866ef5e93b0147092c9dc9fc5"

static void report_make(struct bh_report *r)
{
	*r = (struct bh_report){.file = strdup("/r/a.json"), .scanner = "grype", .artifact = strdup("shop/w\xc3\xa9" "b:1"), .created_usec = 1700000000123456};
	assert_int_equal(bh_strv_push(&r->digests, DIGEST), 0);
	assert_int_equal(bh_strv_push(&r->digests, OTHER), 0);
	assert_int_equal(bh_vulns_add(&r->all, BH_VULN_LOW, "CVE-1", "libc6"), 0);
	assert_int_equal(bh_vulns_add(&r->all, BH_VULN_CRITICAL, "CVE-2", NULL), 0);
	assert_int_equal(bh_vulns_add(&r->all, BH_VULN_LOW, "CVE-3", "zlib"), 0);
	assert_int_equal(bh_vulns_add(&r->fixable, BH_VULN_LOW, "CVE-3", "zlib"), 0);
}

static void same_vulns(const struct bh_vulns *a, const struct bh_vulns *b)
{
	assert_memory_equal(a->counts, b->counts, sizeof(a->counts));
	assert_int_equal(a->worst.n, b->worst.n);
	for (size_t i = 0; i < a->worst.n; i++) {
		assert_string_equal(a->worst.v[i].id, b->worst.v[i].id);
		assert_true(bh_streq(a->worst.v[i].package, b->worst.v[i].package));
		assert_int_equal(a->worst.v[i].severity, b->worst.v[i].severity);
	}
}

static void same_digests(const struct bh_strv *a, const struct bh_strv *b)
{
	assert_int_equal(a->n, b->n);
	for (size_t i = 0; i < a->n; i++)
		assert_string_equal(a->v[i], b->v[i]);
}

static void msg_bytes(const struct bh_reports_msg *msg, struct bh_buf *b)
{
	assert_int_equal(reports_msg_write(msg, b), 0);
	assert_true(b->n <= REPORTS_FRAME_MAX);
}

static void test_a_report_goes_through(void **state)
{
	struct reports_frame f = {0};
	struct bh_report r;
	struct bh_buf b = {0};

	(void)state;
	report_make(&r);
	msg_bytes(&(struct bh_reports_msg){.kind = BH_REPORTS_MSG_REPORT, .file = r.file, .report = &r}, &b);
	assert_int_equal(reports_frame_read(b.s, b.n, BH_REPORTS_SCANS, &f), 0);
	assert_int_equal(f.kind, REPORTS_FRAME_REPORT);
	assert_string_equal(f.name, "a.json");
	assert_null(f.report.file);
	assert_string_equal(f.report.scanner, r.scanner);
	assert_string_equal(f.report.artifact, r.artifact);
	assert_int_equal(f.report.created_usec, r.created_usec);
	same_digests(&f.report.digests, &r.digests);
	same_vulns(&f.report.all, &r.all);
	same_vulns(&f.report.fixable, &r.fixable);
	reports_frame_clear(&f);
	assert_int_equal(reports_frame_read(b.s, b.n, BH_REPORTS_VERIFIED, &f), -EBADMSG);	/* not from who reads verifications */
	bh_buf_free(&b);
	bh_report_clear(&r);
}

static void test_others_go_through(void **state)
{
	static const struct bh_reports_msg msgs[] = {
		{.kind = BH_REPORTS_MSG_UNREAD, .file = "/r/\xff x", .problem = "is empty"},
		{.kind = BH_REPORTS_MSG_GONE, .file = "/r/a"},
		{.kind = BH_REPORTS_MSG_DIRECTORY, .file = "/r", .problem = "is not there any more"},
		{.kind = BH_REPORTS_MSG_DIRECTORY, .file = "/r"},
	};
	struct bh_verified v = {.file = strdup("/r/v"), .tool = "notation"};
	struct reports_frame f = {0};
	struct bh_buf b = {0};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(msgs); i++) {
		msg_bytes(&msgs[i], &b);
		assert_int_equal(reports_frame_read(b.s, b.n, BH_REPORTS_VERIFIED, &f), 0);
		assert_true(bh_streq(f.problem, msgs[i].problem));
		assert_true(bh_streq(f.name, msgs[i].kind == BH_REPORTS_MSG_DIRECTORY ? NULL : msgs[i].file + 3));
		reports_frame_clear(&f);
		bh_buf_free(&b);
	}
	assert_int_equal(bh_strv_push(&v.digests, DIGEST), 0);
	msg_bytes(&(struct bh_reports_msg){.kind = BH_REPORTS_MSG_VERIFIED, .file = v.file, .verified = &v}, &b);
	assert_int_equal(reports_frame_read(b.s, b.n, BH_REPORTS_VERIFIED, &f), 0);
	assert_string_equal(f.verified.tool, "notation");
	same_digests(&f.verified.digests, &v.digests);
	reports_frame_clear(&f);
	assert_int_equal(reports_frame_read(b.s, b.n, BH_REPORTS_SCANS, &f), -EBADMSG);
	bh_buf_free(&b);
	bh_verified_clear(&v);
}

/* What strangers chose is never what makes our own sender be refused. */
static void test_what_strangers_chose_is_cut_to_fit(void **state)
{
	struct reports_frame f = {0};
	struct bh_report r;
	struct bh_buf b = {0};
	char *artifact = malloc(5001), id[130];

	(void)state;
	report_make(&r);
	memset(artifact, 'x', 5000);
	artifact[5000] = '\0';
	free(r.artifact);
	r.artifact = artifact;
	snprintf(id, sizeof(id), "%063d\xc3\xa9\xc3\xa9", 7);	/* a letter across the end of what is kept */
	assert_int_equal(bh_vulns_add(&r.all, BH_VULN_HIGH, id, id), 0);
	assert_int_equal(bh_vulns_add(&r.all, BH_VULN_HIGH, id, id), 0);
	assert_int_equal(r.all.worst.n, 4);	/* once */
	msg_bytes(&(struct bh_reports_msg){.kind = BH_REPORTS_MSG_REPORT, .file = r.file, .report = &r}, &b);
	assert_int_equal(reports_frame_read(b.s, b.n, BH_REPORTS_SCANS, &f), 0);
	assert_null(f.report.artifact);
	assert_int_equal(strlen(f.report.all.worst.v[1].id), 63);
	reports_frame_clear(&f);
	bh_buf_free(&b);
	bh_report_clear(&r);
	msg_bytes(&(struct bh_reports_msg){.kind = BH_REPORTS_MSG_UNREAD, .file = "/r/a.json", .problem = "cut: \xc3"}, &b);
	assert_int_equal(reports_frame_read(b.s, b.n, BH_REPORTS_SCANS, &f), 0);
	assert_string_equal(f.problem, "cut: \\xc3");
	reports_frame_clear(&f);
	bh_buf_free(&b);
}

static void test_cut_at_each_byte(void **state)
{
	struct bh_report r;
	struct bh_buf b = {0};

	(void)state;
	report_make(&r);
	msg_bytes(&(struct bh_reports_msg){.kind = BH_REPORTS_MSG_REPORT, .file = r.file, .report = &r}, &b);
	for (size_t n = 0; n < b.n; n++) {
		struct reports_frame f = {0};
		char *cut = malloc(n ? n : 1);

		memcpy(cut, b.s, n);
		assert_int_equal(reports_frame_read(cut, n, BH_REPORTS_SCANS, &f), -EBADMSG);
		assert_null(f.name);
		free(cut);
	}
	bh_buf_puts(&b, "x");
	assert_int_equal(reports_frame_read(b.s, b.n, BH_REPORTS_SCANS, &(struct reports_frame){0}), -EBADMSG);	/* more than there is */
	bh_buf_free(&b);
	bh_report_clear(&r);
}

/* Each byte changed, to each value: refused, or read and then written as it came. */
static void test_bytes_changed(void **state)
{
	size_t read = 0, refused = 0;
	struct bh_report r;
	struct bh_buf b = {0};

	(void)state;
	report_make(&r);
	msg_bytes(&(struct bh_reports_msg){.kind = BH_REPORTS_MSG_REPORT, .file = r.file, .report = &r}, &b);
	for (size_t at = 0; at < b.n; at++) {
		char was = b.s[at];

		for (int c = 0; c < 256; c++) {
			struct reports_frame f = {0};
			struct bh_buf again = {0};

			b.s[at] = (char)c;
			if (reports_frame_read(b.s, b.n, BH_REPORTS_SCANS, &f) < 0) {
				refused++;
				continue;
			}
			read++;
			assert_int_equal(reports_frame_write(&f, &again), 0);
			assert_int_equal(again.n, b.n);
			assert_memory_equal(again.s, b.s, b.n);
			reports_frame_clear(&f);
			bh_buf_free(&again);
		}
		b.s[at] = was;
	}
	assert_true(read > 1000 && refused > 1000);
	bh_buf_free(&b);
	bh_report_clear(&r);
}

static void too_late(struct bh_report *r)
{
	r->created_usec = BH_REPORT_TIME_MAX + 1;
}
static void too_many(struct bh_report *r)
{
	r->all.counts[BH_VULN_LOW] = 1000001;
}
static void more_fixable(struct bh_report *r)
{
	r->fixable.counts[BH_VULN_LOW] = 3;
}
static void worse_than_said(struct bh_report *r)
{
	r->all.counts[BH_VULN_CRITICAL] = 0;
}
static void not_sorted(struct bh_report *r)
{
	r->all.worst.v[2].severity = BH_VULN_CRITICAL;
}
static void hidden(struct bh_report *r)
{
	r->all.worst.n = 0;	/* counted, and none to show */
}
static void no_severity(struct bh_report *r)
{
	r->all.worst.v[0].severity = BH_VULN_MAX;
}
static void no_digest(struct bh_report *r)
{
	bh_strv_clear(&r->digests);
}
static void bad_digest(struct bh_report *r)
{
	bh_strdup(&r->digests.v[1], "sha256:11504b8c12653863774d9d3930d3691b7e2174f866ef5e93b0147092c9dc9fcX");
}
static void bare_digest(struct bh_report *r)
{
	bh_strdup(&r->digests.v[1], OTHER + 7);
}
static void many_digests(struct bh_report *r)
{
	while (r->digests.n <= BH_REPORT_DIGESTS_MAX)
		assert_int_equal(bh_strv_push(&r->digests, DIGEST), 0);
}
static void no_text(struct bh_report *r)
{
	bh_strdup(&r->artifact, "\xff");
}
static void long_id(struct bh_report *r)
{
	bh_strdup(&r->all.worst.v[0].id, "0123456789012345678901234567890123456789012345678901234567890123456789");
}
static void hidden_name(struct bh_report *r)
{
	bh_strdup(&r->file, "/r/.json");
}
static void other_name(struct bh_report *r)
{
	bh_strdup(&r->file, "/r/a.txt");
}
static void nothing(struct bh_report *r)
{
	(void)r;
}

static void test_one_thing_wrong(void **state)
{
	static void (*const wrong[])(struct bh_report *) = {nothing, too_late, too_many, more_fixable, worse_than_said, not_sorted, hidden, no_severity, no_digest,
		bad_digest, bare_digest, many_digests, no_text, long_id, hidden_name, other_name};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(wrong); i++) {
		struct reports_frame f = {0};
		struct bh_report r;
		struct bh_buf b = {0};
		size_t worst;

		report_make(&r);
		worst = r.all.worst.n;
		wrong[i](&r);
		msg_bytes(&(struct bh_reports_msg){.kind = BH_REPORTS_MSG_REPORT, .file = r.file, .report = &r}, &b);
		if (reports_frame_read(b.s, b.n, BH_REPORTS_SCANS, &f) != (i == 0 ? 0 : -EBADMSG))
			fail_msg("the %zu. of what is wrong", i);
		reports_frame_clear(&f);
		r.all.worst.n = worst;
		bh_report_clear(&r);
		bh_buf_free(&b);
	}
}

static void test_frames_wrong(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
	} wrong[] = {
		{"", 0},
		{"\377", 1},				/* no kind */
		{"\5\0", 2},				/* more than the end of the listing */
		{"\3\0\0\0\0", 5},			/* no name */
		{"\3\1\0\0\0/", 6},			/* not of this directory */
		{"\3\7\0\0\0../.json", 12},
		{"\3\10\0\0\0a/b.json", 13},
		{"\3\10\0\0\0a.json\0x", 13},
		{"\3\377\377\377\377a.json", 11},
		{"\2\6\0\0\0a.json\377\377\377\377", 15},	/* unread, and not why */
		{"\2\6\0\0\0a.json\1\0\0\0\33", 16},	/* a reason that cannot be shown */
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(wrong); i++) {
		struct reports_frame f = {0};

		if (reports_frame_read(wrong[i].bytes, wrong[i].n, BH_REPORTS_SCANS, &f) != -EBADMSG)
			fail_msg("the %zu. of what is wrong", i);
	}
}

/* ---- the process, played */

struct play {
	sd_event *event;
	struct bh_reports_remote *remote;
	int far;		/* the process's end */
	unsigned starts;
	const char *script;	/* of the next one, see play_say(); NULL: it cannot be started */
	struct bh_buf said;
};

static void play_hear(void *userdata, const struct bh_reports_msg *msg)
{
	static const char *const kinds[] = {"report", "verified", "unread", "gone", "directory"};
	struct play *p = userdata;

	bh_buf_printf(&p->said, "%s %s", kinds[msg->kind], msg->file);
	if (msg->report)
		assert_string_equal(msg->report->file, msg->file);
	if (msg->kind == BH_REPORTS_MSG_DIRECTORY)
		bh_buf_puts(&p->said, msg->problem ? " ails" : " is well");
	bh_buf_puts(&p->said, "; ");
}

/* Each letter is a frame: a small one is a report on the file of that name, G that a.json is gone, D and W a directory that ails or is well, L the listing's end,
 * A the next one is asked for, X nonsense, B more than fits. */
static void play_say(struct play *p, const char *script)
{
	for (; *script; script++) {
		char name[] = {'/', 'r', '/', *script, '.', 'j', 's', 'o', 'n', '\0'}, big[REPORTS_FRAME_MAX + 1] = {0};
		struct reports_frame plain = {.kind = *script == 'L' ? REPORTS_FRAME_LISTED : REPORTS_FRAME_AGAIN};
		struct bh_buf b = {0};
		struct bh_report r;

		report_make(&r);
		assert_int_equal(bh_strdup(&r.file, name), 0);
		switch (*script) {
		case 'G':
			msg_bytes(&(struct bh_reports_msg){.kind = BH_REPORTS_MSG_GONE, .file = "/r/a.json"}, &b);
			break;
		case 'D':
		case 'W':
			msg_bytes(&(struct bh_reports_msg){.kind = BH_REPORTS_MSG_DIRECTORY, .file = "/r", .problem = *script == 'D' ? "is not there" : NULL}, &b);
			break;
		case 'L':
		case 'A':
			assert_int_equal(reports_frame_write(&plain, &b), 0);
			break;
		case 'X':
			bh_buf_puts(&b, "nonsense");
			break;
		case 'B':
			bh_buf_putn(&b, big, sizeof(big));
			break;
		default:
			msg_bytes(&(struct bh_reports_msg){.kind = BH_REPORTS_MSG_REPORT, .file = name, .report = &r}, &b);
			break;
		}
		assert_int_equal(send(p->far, b.s, b.n, MSG_NOSIGNAL), b.n);
		bh_report_clear(&r);
		bh_buf_free(&b);
	}
}

static int play_start(void *userdata, const char *dir, enum bh_reports_kind kind)
{
	struct play *p = userdata;
	int pair[2];

	assert_string_equal(dir, "/r");
	assert_int_equal(kind, BH_REPORTS_SCANS);
	p->starts++;
	bh_closep(&p->far);
	p->far = -1;
	if (!p->script)
		return -EMFILE;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	p->far = pair[1];
	play_say(p, p->script);
	return pair[0];
}

static void play_lost(void *userdata, const char *why)
{
	struct play *p = userdata;

	bh_buf_printf(&p->said, "lost: %s; ", why);
}

/* Turns the loop for that long, or until so many have been started, and compares what was said. */
static void play_expect(struct play *p, unsigned ms, unsigned starts, const char *text)
{
	struct timespec t;
	uint64_t end;

	clock_gettime(CLOCK_MONOTONIC, &t);
	end = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000 + ms;
	do {
		assert_true(sd_event_run(p->event, 20000) >= 0);
		clock_gettime(CLOCK_MONOTONIC, &t);
	} while ((uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000 < end && (!starts || p->starts < starts));
	for (int i = 0; i < 8; i++)
		assert_true(sd_event_run(p->event, 0) >= 0);
	assert_string_equal(p->said.s ? p->said.s : "", text);
	bh_buf_free(&p->said);
}

static void play_begin(struct play *p, const char *script)
{
	*p = (struct play){.far = -1, .script = script};
	assert_int_equal(sd_event_new(&p->event), 0);
	assert_int_equal(bh_reports_remote_new(p->event, "/r", BH_REPORTS_SCANS, &(struct bh_reports_reader){play_start, play_lost, p}, play_hear, p, &p->remote,
		NULL), 0);
	assert_string_equal(bh_reports_remote_dir(p->remote), "/r");
}

static void play_end(struct play *p)
{
	bh_reports_remote_free(p->remote);
	sd_event_unref(p->event);
	bh_closep(&p->far);
	bh_buf_free(&p->said);
}

static void test_what_is_known_outlives_who_told_it(void **state)
{
	struct play p;

	(void)state;
	play_begin(&p, "abL");
	assert_string_equal(p.said.s, "report /r/a.json; report /r/b.json; ");	/* before new() returned */
	bh_buf_free(&p.said);
	p.script = "b";
	shutdown(p.far, SHUT_RDWR);
	play_expect(&p, 2000, 2, "lost: has ended; report /r/b.json; ");
	play_say(&p, "L");	/* now all is told, and a is not there any more */
	play_expect(&p, 60, 0, "gone /r/a.json; ");
	p.script = "bDL";
	play_say(&p, "A");	/* announced */
	play_expect(&p, 2000, 3, "report /r/b.json; directory /r ails; ");
	p.script = "bL";
	play_say(&p, "A");
	play_expect(&p, 2000, 4, "report /r/b.json; directory /r is well; ");
	play_end(&p);
}

static void test_nonsense_ends_it(void **state)
{
	static const char *const nonsense[] = {"X", "B", "L", "aX"};
	struct play p;

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(nonsense); i++) {
		char far = 0;

		play_begin(&p, "L");
		play_say(&p, nonsense[i]);
		play_expect(&p, 2000, 2, i == 3 ? "report /r/a.json; lost: told what makes no sense, and was ended; gone /r/a.json; "
			: "lost: told what makes no sense, and was ended; ");
		assert_int_equal(recv(p.far, &far, 1, MSG_DONTWAIT), -1);	/* the new one's link is open */
		play_end(&p);
	}
}

/* One process tells of 1024 files and no more. */
static void test_files_are_bounded(void **state)
{
	struct play p;
	size_t reports = 0;

	(void)state;
	play_begin(&p, "L");
	for (unsigned i = 0; i <= BH_REPORT_FILES_MAX; i++) {
		struct bh_buf b = {0};
		char name[32];

		snprintf(name, sizeof(name), "/r/%u.json", i);
		msg_bytes(&(struct bh_reports_msg){.kind = BH_REPORTS_MSG_UNREAD, .file = name, .problem = "is empty"}, &b);
		assert_int_equal(send(p.far, b.s, b.n, MSG_NOSIGNAL), b.n);
		bh_buf_free(&b);
		assert_true(sd_event_run(p.event, 0) >= 0);
	}
	for (int i = 0; i < 100; i++)
		assert_true(sd_event_run(p.event, 0) >= 0);
	for (const char *s = p.said.s; (s = strstr(s, "unread")); s++)
		reports++;
	assert_int_equal(reports, BH_REPORT_FILES_MAX);
	assert_non_null(strstr(p.said.s, "lost: told what makes no sense"));
	play_end(&p);
}

/* When nobody comes after it, what is known is closed, after its grace and not before; what one that still does not come to its end told goes with it. */
static void test_the_grace_ends(void **state)
{
	struct play p;

	(void)state;
	play_begin(&p, "aL");
	bh_buf_free(&p.said);
	p.script = NULL;
	shutdown(p.far, SHUT_RDWR);
	play_expect(&p, 2000, 2, "lost: has ended; lost: Too many open files; ");
	p.script = "b";
	play_expect(&p, 2000, 3, "report /r/b.json; ");
	play_expect(&p, 3500, 0, "");
	play_expect(&p, 2500, 0, "directory /r ails; gone /r/a.json; ");
	shutdown(p.far, SHUT_RDWR);
	p.script = "aL";
	play_expect(&p, 6000, 4, "gone /r/b.json; lost: has ended; report /r/a.json; directory /r is well; ");
	play_end(&p);
}

/* One that says nothing keeps nobody waiting for long. */
static void test_a_mute_one_is_waited_for_a_while(void **state)
{
	struct timespec a, b;
	struct play p;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &a);
	play_begin(&p, "a");
	clock_gettime(CLOCK_MONOTONIC, &b);
	assert_in_range(b.tv_sec - a.tv_sec, 4, 20);
	play_expect(&p, 500, 0, "report /r/a.json; directory /r ails; ");
	play_say(&p, "L");
	play_expect(&p, 60, 0, "directory /r is well; ");
	play_end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_report_goes_through),
		cmocka_unit_test(test_others_go_through),
		cmocka_unit_test(test_what_strangers_chose_is_cut_to_fit),
		cmocka_unit_test(test_cut_at_each_byte),
		cmocka_unit_test(test_bytes_changed),
		cmocka_unit_test(test_one_thing_wrong),
		cmocka_unit_test(test_frames_wrong),
		cmocka_unit_test(test_what_is_known_outlives_who_told_it),
		cmocka_unit_test(test_nonsense_ends_it),
		cmocka_unit_test(test_files_are_bounded),
		cmocka_unit_test(test_the_grace_ends),
		cmocka_unit_test(test_a_mute_one_is_waited_for_a_while),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
