/* SPDX-License-Identifier: Apache-2.0 */
/* Errors with a place: the one convention of every room. */
#ifndef BULKHEAD_ERROR_H
#define BULKHEAD_ERROR_H

#include <stddef.h>

/* A place in a configuration file. line and column count from 1; line 0 means "no place".
 * file is owned by the policy (or document) that the place belongs to. */
struct bh_loc {
	const char *file;
	unsigned line;
	unsigned column;
};

/* The first error of an operation. Filled by bh_fail(); a caller that does not care passes NULL. */
struct bh_error {
	int code;	/* negative errno, 0 while nothing failed */
	char msg[512];	/* one line, no newline, already safe to print */
};

/* Records CODE (a negative errno) and the formatted message in ERR (may be NULL) and returns CODE,
 * so that `return bh_fail(err, -EINVAL, "…")` is one line. An error that is already there stays. */
int bh_fail(struct bh_error *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts "PREFIX: " before the message of ERR and returns its code; for callers that know more of the context. */
int bh_fail_wrap(struct bh_error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
