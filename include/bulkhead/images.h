/* SPDX-License-Identifier: Apache-2.0 */
/* What others say of images: reports of vulnerability scanners and results of signature verification, by the digests that they speak of; and how
 * registries are reached. Plain structs. Every string in it was written by a stranger: bounded by the decoder, never printed raw. */
#ifndef BULKHEAD_IMAGES_H
#define BULKHEAD_IMAGES_H

#include <bulkhead/addr.h>
#include <bulkhead/mem.h>

#include <stdint.h>

/* As scanners rate: Trivy has no `negligible`, both have findings that nobody has rated. */
enum bh_vuln {
	BH_VULN_UNKNOWN,
	BH_VULN_NEGLIGIBLE,
	BH_VULN_LOW,
	BH_VULN_MEDIUM,
	BH_VULN_HIGH,
	BH_VULN_CRITICAL,
	BH_VULN_MAX,
};
const char *bh_vuln_name(enum bh_vuln v);	/* "unknown", "negligible", …, "critical" */
/* In any case of letters. 0, or -EINVAL. */
int bh_vuln_parse(const char *s, enum bh_vuln *ret);

/* "sha256:" and 64 hexadecimal digits. */
#define BH_DIGEST_TEXT 72
/* The digest that S is or ends in: "sha256:…", "REPOSITORY@sha256:…", or the digits alone. Other algorithms are none. */
bool bh_digest_parse(const char *s, char ret[BH_DIGEST_TEXT]);

struct bh_vuln_found {
	char *id;			/* "CVE-2019-1549" */
	char *package;			/* or NULL */
	enum bh_vuln severity;
};

#define BH_WORST_MAX 5
struct bh_vulns {
	size_t counts[BH_VULN_MAX];
	BH_VEC(struct bh_vuln_found) worst;	/* the worst first, each id once, BH_WORST_MAX at most */
};
/* The worst of them: an enum bh_vuln, or -1 for none. */
int bh_vulns_worst(const struct bh_vulns *f);
/* Counts one, and keeps it if it is among the worst. 0 or -ENOMEM. */
int bh_vulns_add(struct bh_vulns *f, enum bh_vuln severity, const char *id, const char *package);

/* What scanners have to say of an image. */
struct bh_scanned {
	bool has_max;			/* whether findings matter */
	enum bh_vuln max;		/* the worst that is allowed */
	bool only_fixed;		/* those without a fixed version do not count */
	uint64_t max_age;		/* of the report, in seconds; 0: any */
};

/* A scanner's report on one image. */
struct bh_report {
	char *file;			/* its path */
	const char *scanner;		/* "trivy", "grype"; static */
	char *artifact;			/* what the scanner calls the image, or NULL */
	uint64_t created_usec;		/* realtime; never later than the file was written */
	struct bh_strv digests;		/* of the image: its id, and what registries know it by */
	struct bh_vulns all, fixable;	/* fixable: those for which there is a fixed version */
};
void bh_report_clear(struct bh_report *r);	/* frees what it owns and zeroes it */
int bh_report_copy(struct bh_report *dst, const struct bh_report *src);	/* into an empty one; 0 or -ENOMEM with DST empty */

/* A result of a verification that went well. */
struct bh_verified {
	char *file;
	const char *tool;		/* "cosign", "notation"; static */
	struct bh_strv digests;
};
void bh_verified_clear(struct bh_verified *v);
int bh_verified_copy(struct bh_verified *dst, const struct bh_verified *src);

/* A file that is not believed, and which images it spoke of before. */
struct bh_unread {
	char *file;
	char *why;			/* safe to print */
	struct bh_strv digests;
};

/* How a runtime reaches registries, as it is configured: Docker's GET /info, RegistryConfig. */
#define BH_REGISTRIES_MAX 4096u	/* of each kind */
struct bh_registries {
	bool known;			/* false: nobody told */
	BH_VEC(struct bh_prefix) insecure;	/* registries at these addresses: HTTP, or a certificate that nobody looks at */
	struct bh_strv insecure_names;	/* "registry.example.org:5000" */
	struct bh_strv secure_names;	/* configured by name, and so no matter at which address */
	struct bh_strv plain_mirrors;	/* of Docker Hub, and asked before it by HTTP: "http://mirror:5000/" */
};
void bh_registries_clear(struct bh_registries *r);
/* What any of the two does without TLS. DST may be empty. 0 or -ENOMEM. */
int bh_registries_add(struct bh_registries *dst, const struct bh_registries *src);
bool bh_registries_equal(const struct bh_registries *a, const struct bh_registries *b);

/* "2026-11-20 11:20 UTC". */
#define BH_DATE_TEXT 32
const char *bh_date_text(uint64_t usec, char buf[BH_DATE_TEXT]);

struct bh_images {
	BH_VEC(struct bh_report) reports;
	BH_VEC(struct bh_verified) verified;
	BH_VEC(struct bh_unread) unread;
	struct bh_registries registries;
};
void bh_images_clear(struct bh_images *i);
/* What FILE says from now on, instead of what it said; R, V are copied. 0 or -ENOMEM: then nothing is believed of it. */
int bh_images_set_report(struct bh_images *i, const struct bh_report *r);
int bh_images_set_verified(struct bh_images *i, const struct bh_verified *v);
/* FILE is not believed any more, since WHY; NULL: it is gone. 0 or -ENOMEM. */
int bh_images_drop(struct bh_images *i, const char *file, const char *why);

#endif
