/* SPDX-License-Identifier: Apache-2.0 */
/* Reports on images that others write into a directory: read with bounds, and followed. Nobody behind this door knows JSON, and nothing in a message
 * points back into the reader: the two sides are two processes, bulkhead-reports and bulkheadd. */
#ifndef BULKHEAD_REPORTS_H
#define BULKHEAD_REPORTS_H

#include <bulkhead/error.h>
#include <bulkhead/images.h>

struct sd_event;
struct stat;

#define BH_REPORT_FILE_MAX (16u << 20)		/* bytes of one file */
#define BH_REPORT_FILES_MAX 1024u		/* files of one directory */
#define BH_REPORT_TOTAL_MAX (256u << 20)	/* bytes of all files of one directory */
#define BH_REPORT_DIGESTS_MAX 64u		/* that one file names */
#define BH_REPORT_TIME_MAX 253402300799999999u	/* microseconds: the year 9999 */

/* Decodes the N bytes at TEXT: JSON of `trivy image -f json` (schema 2, Trivy 0.20 and later) or `grype -o json` (0.1 and later). What they call
 * vulnerabilities counts, secrets and misconfigurations do not. RET, zeroed before, is the caller's to clear; its file stays NULL, created_usec is 0
 * where the report does not say. 0, -ENOMEM, or -EBADMSG with ERR saying what is wrong: no JSON, neither of them, no digest of an image, a finding
 * without a severity, a Trivy report that looked at no package. */
int bh_report_decode(const char *text, size_t n, struct bh_report *ret, struct bh_error *err);

/* Decodes what a verification that went well printed: `cosign verify` (JSON, a list or objects one after the other, of signatures on images), `notation
 * verify` (its line, or its JSON with result Success). NAME is that of the file: a digest in it ("sha256-…", "sha256:…", then anything from a dot on)
 * has to be the one that was verified, and stands in for one that notation did not print. 0, -ENOMEM, or -EBADMSG with ERR. */
int bh_verified_decode(const char *name, const char *text, size_t n, struct bh_verified *ret, struct bh_error *err);

/* RFC 3339 to microseconds since 1970. 0, or -EINVAL. */
int bh_time_parse(const char *s, uint64_t *ret);

enum bh_reports_kind {
	BH_REPORTS_SCANS,	/* *.json */
	BH_REPORTS_VERIFIED,	/* every file whose name has no dot at the start */
};

/* "scans", "verified". */
const char *bh_reports_kind_name(enum bh_reports_kind kind);

enum bh_reports_msg_kind {
	BH_REPORTS_MSG_REPORT,		/* report: what a file says now */
	BH_REPORTS_MSG_VERIFIED,	/* verified: what a file says now */
	BH_REPORTS_MSG_UNREAD,		/* file: is not believed, problem says why */
	BH_REPORTS_MSG_GONE,		/* file: is not there any more */
	BH_REPORTS_MSG_DIRECTORY,	/* file: the directory; problem: what ails it as a whole; NULL: nothing */
};

/* Everything in it belongs to the sender and dies when the callback returns: copy what is kept. */
struct bh_reports_msg {
	enum bh_reports_msg_kind kind;
	const char *file;		/* path */
	const struct bh_report *report;
	const struct bh_verified *verified;
	const char *problem;		/* safe to print */
};
typedef void (*bh_reports_fn)(void *userdata, const struct bh_reports_msg *msg);

struct bh_reports;

/* Follows DIR on EVENT's loop. Everything that is there is told before this returns; later, a file is read when it was closed by its writer or
 * renamed into place, one in each turn of the loop, and all is looked at again where the kernel lost count. Only what belongs to root and nobody else
 * can write is believed, file and directory; links are not followed. A directory that is not there, or is replaced, is tried again every two seconds;
 * until then its files are gone. 0 or -ENOMEM; everything else is told by messages. */
int bh_reports_new(struct sd_event *event, const char *dir, enum bh_reports_kind kind, bh_reports_fn fn, void *userdata, struct bh_reports **ret,
	struct bh_error *err);
const char *bh_reports_dir(const struct bh_reports *r);
void bh_reports_free(struct bh_reports *r);	/* NULL is nothing; tells nobody */
BH_DEFINE_FREEP(struct bh_reports, bh_reports_free)

/* The whole life of a process that follows DIR for the one at the other end of FD, a SOCK_SEQPACKET: returns 0 when that has gone, or when another
 * directory than MAY, the one that this process may read, has come in its place; -errno with ERR. */
int bh_reports_follow(const char *dir, const struct stat *may, enum bh_reports_kind kind, int fd, struct bh_error *err);

/* How such a process comes to be. */
struct bh_reports_reader {
	/* A new one for DIR; the end to it, a SOCK_SEQPACKET, or -errno. */
	int (*start)(void *userdata, const char *dir, enum bh_reports_kind kind);
	/* It is started again, since it WHY ("has ended"). */
	void (*lost)(void *userdata, const char *why);
	void *userdata;
};

struct bh_reports_remote;

/* Follows DIR by another process, whose every message is checked; FN hears the same as of bh_reports_new(), with each file beneath DIR. Everything that is
 * there is told before this returns, or what could be told in 5 s. When the process has ended the next one is started, at once and then less and less
 * often; what is known stays until that one has told everything, and for 5 s at most: then something ails the directory, and its files are gone.
 * 0 or -ENOMEM; everything else is told by messages. */
int bh_reports_remote_new(struct sd_event *event, const char *dir, enum bh_reports_kind kind, const struct bh_reports_reader *how, bh_reports_fn fn,
	void *userdata, struct bh_reports_remote **ret, struct bh_error *err);
const char *bh_reports_remote_dir(const struct bh_reports_remote *m);
void bh_reports_remote_free(struct bh_reports_remote *m);	/* ends the process; NULL is nothing; tells nobody */
BH_DEFINE_FREEP(struct bh_reports_remote, bh_reports_remote_free)

#endif
