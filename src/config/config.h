/* SPDX-License-Identifier: Apache-2.0 */
/* Inside src/config: the tree of a document, the state of one load, and the typed readers. */
#ifndef BULKHEAD_CONFIG_CONFIG_H
#define BULKHEAD_CONFIG_CONFIG_H

#include <bulkhead/config.h>

#define BH_CFG_FILE_MAX (1024u * 1024)	/* bytes a file */
#define BH_CFG_FILES_MAX 256u		/* files in conf.d */
#define BH_CFG_DEPTH_MAX 16u		/* nested lists and mappings */
#define BH_CFG_NODES_MAX 65536u		/* values a file */
#define BH_CFG_NODES_ALL_MAX 262144u	/* values in all files: they are in memory together */
#define BH_CFG_ZONES_MAX 4096u
#define BH_CFG_ERRORS_MAX 100u		/* more are not told; the same for warnings */
#define BH_CFG_PRIORITY_MAX 1000
#define BH_CFG_NEW_MAX 1000000u	/* a second: the kernel keeps what one connection costs in nanoseconds */
#define BH_CFG_SHOW 272			/* a quoted word of a message, see bh_cfg_show() */

enum bh_node_kind {
	BH_NODE_SCALAR,
	BH_NODE_SEQ,
	BH_NODE_MAP,
};

struct bh_node;

struct bh_node_pair {
	struct bh_node *key;		/* a scalar */
	struct bh_node *value;
	const struct bh_node *first;	/* the same key earlier in this mapping, or NULL */
};

/* One value of a document. */
struct bh_node {
	enum bh_node_kind kind;
	struct bh_loc loc;
	bool bad;			/* an error was told already: readers pass over it in silence */
	bool plain;			/* a scalar without quotes */
	char *text;			/* of a scalar, without NUL bytes, valid UTF-8 */
	BH_VEC(struct bh_node *) items;	/* of a list */
	BH_VEC(struct bh_node_pair) pairs;	/* of a mapping */
};

struct bh_doc {
	const char *file;		/* the policy's string */
	char *text;
	size_t n;
	bool main;
	bool broken;			/* no YAML (told) */
	struct bh_node *root;		/* NULL when broken or empty */
};

/* A prefix or an interface pattern with its place, which the policy does not keep. */
struct bh_claim {
	size_t zone, seq;
	struct bh_prefix prefix;
	const char *interface;		/* the node's string */
	struct bh_loc loc;
};

/* One load. err is -ENOMEM once memory ran out, sticky; errors of the user are counted in diags. */
struct bh_cfg {
	struct bh_policy *policy;
	struct bh_diags *diags;
	BH_VEC(struct bh_doc) docs;
	const struct bh_doc *doc;	/* being read */
	BH_VEC(struct bh_claim) prefixes, interfaces;
	size_t nodes;			/* values so far */
	bool too_many;			/* errors or warnings */
	bool partial;			/* zones may be missing because a part could not be read: references cannot be judged */
	struct bh_strv refused;		/* names that cannot name a zone (told): no reference to them is told again */
	int err;
};

/* diag.c */
void bh_cfg_error(struct bh_cfg *c, const struct bh_loc *loc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void bh_cfg_warn(struct bh_cfg *c, const struct bh_loc *loc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* An error with no place in a text: FILE cannot be read. */
void bh_cfg_file_error(struct bh_cfg *c, const char *file, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void bh_cfg_sort(struct bh_cfg *c);
/* Untrusted text in a message: safe, at most 64 bytes of it. */
const char *bh_cfg_show(const char *text, char buf[BH_CFG_SHOW]);
/* A place in a message: "FILE:LINE". */
const char *bh_cfg_place(const struct bh_loc *loc, char buf[BH_CFG_SHOW]);
/* The word nearest to WORD (at most two typing errors, one in a short word), or NULL. */
const char *bh_cfg_nearest(const char *word, const char *const *words, size_t n);
void bh_cfg_oom(struct bh_cfg *c);

/* yaml.c: builds doc->root. */
void bh_cfg_yaml(struct bh_cfg *c, struct bh_doc *doc);
void bh_node_free(struct bh_node *n);

/* value.c: typed readers. WHAT is the key, for messages. Each tells an error at the node and returns false. */
typedef void (*bh_cfg_reader)(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target);

enum bh_key_flags {
	BH_KEY_MAIN = 1,		/* only in the main file */
};

struct bh_key {
	const char *name;
	bh_cfg_reader read;
	unsigned flags;
};

/* Reads a mapping by a table of at most 32 keys. WHERE names it in messages ("a zone"). Returns a mask of the keys (by index) that
 * are there, also misspelt: what is misspelt is not missing too. */
unsigned bh_cfg_map(struct bh_cfg *c, const struct bh_node *map, const char *where, const struct bh_key *keys, size_t n,
	void *target);
bool bh_cfg_is_map(struct bh_cfg *c, const struct bh_node *n, const char *what);	/* and not empty */
bool bh_cfg_is_list(struct bh_cfg *c, const struct bh_node *n, const char *what, const char *example);
bool bh_cfg_is_null(const struct bh_node *n);
bool bh_cfg_text(struct bh_cfg *c, const struct bh_node *n, const char *what, const char **ret);
/* Text that is not "". */
bool bh_cfg_word(struct bh_cfg *c, const struct bh_node *n, const char *what, const char **ret);
bool bh_cfg_int(struct bh_cfg *c, const struct bh_node *n, const char *what, long min, long max, long *ret);
/* One of N words; its index. */
bool bh_cfg_choice(struct bh_cfg *c, const struct bh_node *n, const char *what, const char *const *words, size_t n_words,
	size_t *ret);
bool bh_cfg_mode(struct bh_cfg *c, const struct bh_node *n, enum bh_mode *ret);
bool bh_cfg_rate(struct bh_cfg *c, const struct bh_node *n, const char *what, uint64_t *ret);
/* units.c: a size in bytes ("10MiB") or a time in microseconds ("10s") from MIN to MAX, and back. */
#define BH_UNIT_TEXT 32
bool bh_cfg_size(struct bh_cfg *c, const struct bh_node *n, const char *what, uint64_t min, uint64_t max, uint64_t *ret);
bool bh_cfg_time(struct bh_cfg *c, const struct bh_node *n, const char *what, uint64_t min, uint64_t max, uint64_t *ret);
const char *bh_cfg_size_text(uint64_t bytes, char *buf);	/* BUF holds BH_UNIT_TEXT */
const char *bh_cfg_time_text(uint64_t usec, char *buf);		/* of whole seconds */
bool bh_cfg_bool(struct bh_cfg *c, const struct bh_node *n, const char *what, bool *ret);
/* An absolute path without "..": a copy in *RET. */
bool bh_cfg_path(struct bh_cfg *c, const struct bh_node *n, const char *what, char **ret);
/* NAME or NAME:VALUE. RET is to be cleared. */
bool bh_cfg_ref(struct bh_cfg *c, const struct bh_node *n, const char *what, struct bh_zone_ref *ret);
bool bh_cfg_port(struct bh_cfg *c, const struct bh_node *n, struct bh_port *ret);
bool bh_cfg_prefix(struct bh_cfg *c, const struct bh_node *n, struct bh_prefix *ret);
void bh_cfg_set(struct bh_cfg *c, char **dst, const char *s);	/* a copy; no memory is remembered */

/* read.c: a document's tree into the policy. zone.c, rates.c, select.c, rule.c, doctor.c: parts of it. */
void bh_cfg_read(struct bh_cfg *c, const struct bh_doc *doc);
/* TARGET: a bool, set when the zones were read. */
void bh_cfg_zones(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target);
/* Of the host, and of a zone with its exemptions. */
void bh_cfg_host_bandwidth(struct bh_cfg *c, const struct bh_node *value);
void bh_cfg_zone_bandwidth(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, struct bh_zone *z);
void bh_cfg_select(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target);
/* Of the host, or of a zone; *RET stays NULL when there is none to speak of. */
void bh_cfg_require(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, struct bh_require **ret);
/* images.c: the mapping `images`, and back. */
void bh_cfg_images(struct bh_cfg *c, const struct bh_node *value);
void bh_cfg_check_images(struct bh_cfg *c);	/* whether what is required can be had */
void bh_cfg_put_images(struct bh_buf *out, const struct bh_policy *p);
void bh_cfg_allow(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target);
void bh_cfg_doctor(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target);
void bh_cfg_expect(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target);
/* log.c: and its inverse. */
void bh_cfg_log(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target);
void bh_cfg_put_log(struct bh_buf *out, const struct bh_access_config *l);
/* detect.c: and its inverse. */
void bh_cfg_detect(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target);
void bh_cfg_alerts(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target);
void bh_cfg_put_detect(struct bh_buf *out, const struct bh_policy *p);

/* check.c: what only the whole can tell: references, scope, prefixes in two zones. */
void bh_cfg_check(struct bh_cfg *c);
/* warn.c: for a policy without errors. */
void bh_cfg_warnings(struct bh_cfg *c);

#endif
