/* SPDX-License-Identifier: Apache-2.0 */
/* One file of a folder that others fill. */
#ifndef BULKHEAD_REPORTS_FILE_H
#define BULKHEAD_REPORTS_FILE_H

#include <bulkhead/error.h>

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* The rule of the configuration: only what root owns and nobody else can write is believed. 0, or -EACCES with ERR. */
int file_owner(const struct stat *st, struct bh_error *err);
/* Whether nothing has happened to the file between the two. */
bool file_same(const struct stat *a, const struct stat *b);
/* At most N bytes from FD on, and a NUL; the caller frees *RET. 0 or -errno with ERR. */
int file_read(int fd, size_t n, char **ret, size_t *ret_n, struct bh_error *err);
/* When, in microseconds since 1970. */
uint64_t file_written(const struct stat *st);

#endif
