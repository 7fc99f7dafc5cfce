/* SPDX-License-Identifier: Apache-2.0 */
/* YAML to policy and back (SPEC section 3). */
#ifndef BULKHEAD_CONFIG_H
#define BULKHEAD_CONFIG_H

#include <bulkhead/buf.h>
#include <bulkhead/policy.h>

enum bh_severity {
	BH_SEVERITY_ERROR,
	BH_SEVERITY_WARNING,
};

struct bh_diag {
	enum bh_severity severity;
	char *file;			/* as shown: relative to the main file's folder */
	unsigned line, column;		/* 0 when there is no place (a file that cannot be read) */
	char *message;			/* safe to print */
	char *source;			/* the line of the file (cut when it is long), safe to print, or NULL */
	unsigned caret;			/* the column of `source` (from 1) that the message is about */
};

/* Everything that is wrong, in the order of the files. */
struct bh_diags {
	BH_VEC(struct bh_diag) v;
	size_t errors, warnings;
};

void bh_diags_clear(struct bh_diags *d);

/* All diagnostics as text: `FILE:LINE:COLUMN: error: MESSAGE`, the line, a caret. */
int bh_diags_print(const struct bh_diags *d, struct bh_buf *out);

enum bh_config_flags {
	BH_CONFIG_CONF_D = 1,		/* read the YAML files of conf.d beside the main file too */
	BH_CONFIG_CHECK_OWNER = 2,	/* refuse files that others than root can write */
};

/* Reads a configuration whole. On success *RET is the policy and DIAGS holds warnings at most; on -EINVAL DIAGS
 * holds every error; -ENOENT, -EACCES, -ENOMEM, … with one diagnostic. */
int bh_config_load(const char *path, unsigned flags, struct bh_policy **ret, struct bh_diags *diags);

/* The same for files that are given one by one: the first is the main file, the others count as files of conf.d. One file
 * alone is read with BH_CONFIG_CONF_D as FLAGS say; several without. */
int bh_config_load_files(const char *const *paths, size_t n, unsigned flags, struct bh_policy **ret,
	struct bh_diags *diags);

/* One file of a configuration, in memory. */
struct bh_config_text {
	const char *name;		/* as shown; never opened */
	const char *text;
	size_t n;			/* bytes; no NUL need follow */
};
struct bh_config_texts {
	BH_VEC(struct bh_config_text) v;	/* the main file first; owned */
};
void bh_config_texts_clear(struct bh_config_texts *t);

/* Reads the main file at PATH (and its conf.d, as FLAGS say) without judging what is in them. 0 with *RET (zeroed before; the caller
 * clears it), or the errors of bh_config_load() about files that cannot be read, in DIAGS. */
int bh_config_read(const char *path, unsigned flags, struct bh_config_texts *ret, struct bh_diags *diags);

/* bh_config_load() from memory: the first of the N texts is the main file, the others count as files of conf.d. No file is
 * opened. -EINVAL without texts, too. */
int bh_config_parse(const struct bh_config_text *texts, size_t n, struct bh_policy **ret, struct bh_diags *diags);

/* The inverse: YAML that parses to an equal policy. 0 or -ENOMEM. */
int bh_config_print(const struct bh_policy *p, struct bh_buf *out);
/* The same with more entries, as YAML, at the end of `zones` and of `allow` (NULL: none). */
int bh_config_print_with(const struct bh_policy *p, const char *zones, const char *rules, struct bh_buf *out);

#endif
