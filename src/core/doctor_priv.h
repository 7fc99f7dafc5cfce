/* SPDX-License-Identifier: Apache-2.0 */
/* The judges of `bulkhead doctor`, one a group of checks. Each gives every check of its group one result. */
#ifndef BULKHEAD_CORE_DOCTOR_PRIV_H
#define BULKHEAD_CORE_DOCTOR_PRIV_H

#include <bulkhead/buf.h>
#include <bulkhead/doctor.h>

struct doctor {
	const struct bh_doctor_facts *f;
	struct bh_doctor *out;
	int err;		/* -ENOMEM, sticky */
};

/* The result of CHECK, and what was seen. */
void doctor_put(struct doctor *d, enum bh_check check, enum bh_result result, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* What mends it here, in place of the check's own text. */
void doctor_fix(struct doctor *d, enum bh_check check, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* WHAT could not be read, for the reason ERR. */
void doctor_unread(struct doctor *d, enum bh_check check, const char *what, int err);
/* Adds a word to a list of which the first four are shown; *N counts them all. doctor_list_end() says how many are not. */
void doctor_list(struct bh_buf *b, size_t *n, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void doctor_list_end(struct bh_buf *b, size_t n);

void doctor_kernel(struct doctor *d);	/* doctor.c: features, and settings that are one number */
void doctor_links(struct doctor *d);
void doctor_docker(struct doctor *d);
void doctor_silent(struct doctor *d, enum bh_check check);	/* Docker does not answer */
void doctor_docker_told(struct doctor *d);	/* what its options alone tell */
void doctor_files(struct doctor *d);
void doctor_patches(struct doctor *d);
void doctor_monitoring(struct doctor *d);
void doctor_firewall(struct doctor *d);

#endif
