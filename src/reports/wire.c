/* SPDX-License-Identifier: Apache-2.0 */
#include "wire.h"

#include <bulkhead/wire.h>

#include <errno.h>
#include <limits.h>
#include <string.h>

#define PROBLEM_MAX 2048u	/* of an error's message, escaped */
#define ARTIFACT_MAX 4096u
#define FOUND_MAX 64u		/* of an id, a package: src/model/images.c */
#define COUNT_MAX 1000000u	/* findings of a report: src/reports/decode.c */

static const char *const scanners[] = {"trivy", "grype"};
static const char *const tools[] = {"cosign", "notation"};

const char *bh_reports_kind_name(enum bh_reports_kind kind)
{
	return kind == BH_REPORTS_SCANS ? "scans" : "verified";
}

bool reports_is_wanted(enum bh_reports_kind kind, const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || name[0] == '.')
		return false;
	return kind == BH_REPORTS_VERIFIED || (n > 5 && strcmp(name + n - 5, ".json") == 0);
}

void reports_frame_clear(struct reports_frame *f)
{
	free(f->name);
	free(f->problem);
	bh_report_clear(&f->report);
	bh_verified_clear(&f->verified);
	*f = (struct reports_frame){0};
}

/* A text that is one of two. */
static const char *one_of(struct bh_wire *w, const char *text, const char *const table[2])
{
	return table[bh_wire_choice(w, bh_streq(text, table[1]), 1)];
}

/* What a file system takes for a name, which need not be text. */
static void name_wire(struct bh_wire *w, char **name)
{
	BH_VEC(uint8_t) bytes = {0};

	if (!bh_wire_reads(w)) {
		bytes.v = (uint8_t *)*name;
		bytes.n = strlen(*name);
		bh_wire_vec(w, &bytes, NAME_MAX, 1, bh_wire_u8);
		return;
	}
	bh_wire_vec(w, &bytes, NAME_MAX, 1, bh_wire_u8);
	if (w->err == 0 && (bytes.n == 0 || memchr(bytes.v, '\0', bytes.n) || memchr(bytes.v, '/', bytes.n)))
		bh_wire_fail(w, -EBADMSG);
	if (w->err == 0 && !(*name = strndup((const char *)bytes.v, bytes.n)))
		bh_wire_fail(w, -ENOMEM);
	bh_vec_clear(&bytes);
}

static void digest_wire(struct bh_wire *w, char **digest)
{
	char same[BH_DIGEST_TEXT];

	bh_wire_text(w, digest, BH_DIGEST_TEXT - 1, BH_WIRE_WORD);
	if (bh_wire_reads(w) && w->err == 0 && (!bh_digest_parse(*digest, same) || strcmp(same, *digest) != 0))
		bh_wire_fail(w, -EBADMSG);
}

static void digests_wire(struct bh_wire *w, struct bh_strv *digests)
{
	bh_wire_vec(w, digests, BH_REPORT_DIGESTS_MAX, 4 + BH_DIGEST_TEXT - 1, digest_wire);
	if (bh_wire_reads(w) && digests->n == 0)
		bh_wire_fail(w, -EBADMSG);
}

static void found_wire(struct bh_wire *w, struct bh_vuln_found *f)
{
	bh_wire_text(w, &f->id, FOUND_MAX, 0);
	bh_wire_text(w, &f->package, FOUND_MAX, BH_WIRE_OPTIONAL);
	f->severity = bh_wire_choice(w, f->severity, BH_VULN_MAX - 1);
}

/* What bh_vulns_add() makes: the worst there is stands first, and each of them was counted. */
static bool vulns_agree(const struct bh_vulns *f)
{
	int worst = bh_vulns_worst(f);

	if (f->worst.n == 0)
		return worst < 0;
	for (size_t i = 1; i < f->worst.n; i++)
		if (f->worst.v[i].severity > f->worst.v[i - 1].severity || f->counts[f->worst.v[i].severity] == 0)
			return false;
	return (int)f->worst.v[0].severity == worst;
}

static void vulns_wire(struct bh_wire *w, struct bh_vulns *f)
{
	for (int v = 0; v < BH_VULN_MAX; v++) {
		uint32_t count = (uint32_t)f->counts[v];

		bh_wire_u32(w, &count);
		if (bh_wire_reads(w) && count > COUNT_MAX)
			bh_wire_fail(w, -EBADMSG);
		f->counts[v] = count;
	}
	bh_wire_vec(w, &f->worst, BH_WORST_MAX, 9, found_wire);
	if (bh_wire_reads(w) && w->err == 0 && !vulns_agree(f))
		bh_wire_fail(w, -EBADMSG);
}

/* The one description of a report. A new field is a line here. */
static void report_wire(struct bh_wire *w, struct bh_report *r)
{
	r->scanner = one_of(w, r->scanner, scanners);
	bh_wire_text(w, &r->artifact, ARTIFACT_MAX, BH_WIRE_OPTIONAL);
	bh_wire_u64(w, &r->created_usec);
	if (bh_wire_reads(w) && r->created_usec > BH_REPORT_TIME_MAX)
		bh_wire_fail(w, -EBADMSG);
	digests_wire(w, &r->digests);
	vulns_wire(w, &r->all);
	vulns_wire(w, &r->fixable);
	for (int v = 0; v < BH_VULN_MAX; v++)
		if (bh_wire_reads(w) && r->fixable.counts[v] > r->all.counts[v])
			bh_wire_fail(w, -EBADMSG);
}

static void frame_wire(struct bh_wire *w, struct reports_frame *f)
{
	f->kind = bh_wire_choice(w, f->kind, REPORTS_FRAME_MAX_KIND);
	if (f->kind <= REPORTS_FRAME_GONE)
		name_wire(w, &f->name);
	switch (f->kind) {
	case REPORTS_FRAME_REPORT:
		report_wire(w, &f->report);
		break;
	case REPORTS_FRAME_VERIFIED:
		f->verified.tool = one_of(w, f->verified.tool, tools);
		digests_wire(w, &f->verified.digests);
		break;
	case REPORTS_FRAME_UNREAD:
		bh_wire_text(w, &f->problem, PROBLEM_MAX, BH_WIRE_PLAIN);
		break;
	case REPORTS_FRAME_DIRECTORY:
		bh_wire_text(w, &f->problem, PROBLEM_MAX, BH_WIRE_OPTIONAL | BH_WIRE_PLAIN);
		break;
	case REPORTS_FRAME_GONE:
	case REPORTS_FRAME_LISTED:
	case REPORTS_FRAME_AGAIN:
		break;
	}
}

int reports_frame_write(const struct reports_frame *f, struct bh_buf *b)
{
	_cleanup_buf_ struct bh_buf safe = {0};
	struct bh_wire w = {.out = b};
	struct reports_frame copy = *f;	/* what is written is only read */

	/* An error's message may have been cut within a letter. */
	if (f->problem && !bh_text_is_plain(f->problem, strlen(f->problem))) {
		bh_buf_put_safe(&safe, f->problem, PROBLEM_MAX / 4 - 4);
		if (safe.err < 0)
			return safe.err;
		copy.problem = safe.s;
	}
	if (f->report.artifact && strlen(f->report.artifact) > ARTIFACT_MAX)
		copy.report.artifact = NULL;
	frame_wire(&w, &copy);
	return bh_wire_end(&w);
}

int reports_msg_write(const struct bh_reports_msg *msg, struct bh_buf *b)
{
	static const enum reports_frame_kind kinds[] = {
		[BH_REPORTS_MSG_REPORT] = REPORTS_FRAME_REPORT,
		[BH_REPORTS_MSG_VERIFIED] = REPORTS_FRAME_VERIFIED,
		[BH_REPORTS_MSG_UNREAD] = REPORTS_FRAME_UNREAD,
		[BH_REPORTS_MSG_GONE] = REPORTS_FRAME_GONE,
		[BH_REPORTS_MSG_DIRECTORY] = REPORTS_FRAME_DIRECTORY,
	};
	const char *slash = strrchr(msg->file, '/');
	struct reports_frame f = {.kind = kinds[msg->kind], .problem = (char *)(uintptr_t)msg->problem};

	f.name = (char *)(uintptr_t)(slash ? slash + 1 : msg->file);
	if (msg->report)
		f.report = *msg->report;
	if (msg->verified)
		f.verified = *msg->verified;
	return reports_frame_write(&f, b);
}

static bool is_of(const struct reports_frame *f, enum bh_reports_kind kind)
{
	if (f->kind == (kind == BH_REPORTS_SCANS ? REPORTS_FRAME_VERIFIED : REPORTS_FRAME_REPORT))
		return false;
	return !f->name || reports_is_wanted(kind, f->name);
}

int reports_frame_read(const char *data, size_t n, enum bh_reports_kind kind, struct reports_frame *ret)
{
	struct bh_wire w = {.in = data, .n = n};

	frame_wire(&w, ret);
	if (bh_wire_end(&w) == 0 && !is_of(ret, kind))
		bh_wire_fail(&w, -EBADMSG);
	if (w.err < 0)
		reports_frame_clear(ret);
	return w.err;
}
