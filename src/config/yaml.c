/* SPDX-License-Identifier: Apache-2.0 */
/* YAML text to a tree. A subset of YAML 1.1: one document, no anchors, aliases, tags or merge keys, keys are scalars;
 * bounded in depth and number of values. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

struct reader {
	struct bh_cfg *c;
	struct bh_doc *doc;
	yaml_parser_t parser;
	size_t nodes;
	bool stop;		/* the rest cannot be read (told) */
};

void bh_node_free(struct bh_node *n)
{
	if (!n)
		return;
	bh_vec_foreach(i, &n->items)
		bh_node_free(*i);
	bh_vec_clear(&n->items);
	bh_vec_foreach(p, &n->pairs) {
		bh_node_free(p->key);
		bh_node_free(p->value);
	}
	bh_vec_clear(&n->pairs);
	free(n->text);
	free(n);
}
BH_DEFINE_FREEP(struct bh_node, bh_node_free)

static void yaml_event_deletep(yaml_event_t *e)
{
	yaml_event_delete(e);
}

static struct bh_loc mark_loc(const struct reader *r, const yaml_mark_t *m)
{
	return (struct bh_loc){.file = r->doc->file, .line = (unsigned)m->line + 1, .column = (unsigned)m->column + 1};
}

/* The place of a byte: libyaml's reader gives no mark. */
static struct bh_loc offset_loc(const struct reader *r, size_t offset)
{
	struct bh_loc loc = {.file = r->doc->file, .line = 1, .column = 1};

	for (size_t i = 0; i < offset && i < r->doc->n; i++) {
		if (r->doc->text[i] == '\n') {
			loc.line++;
			loc.column = 1;
		} else if (((unsigned char)r->doc->text[i] & 0xc0) != 0x80) {
			loc.column++;
		}
	}
	return loc;
}

static bool starts_with_tab(const struct reader *r, const yaml_mark_t *m)
{
	const char *s = r->doc->text, *end = s + r->doc->n;

	for (size_t line = 0; s < end && line < m->line; s++)
		line += *s == '\n';
	for (size_t col = 0; s < end && *s != '\n' && col < m->column; s++)
		col++;
	return s < end && *s == '\t';
}

static void syntax_error(struct reader *r)
{
	const yaml_parser_t *p = &r->parser;
	struct bh_loc loc;

	r->stop = true;
	if (p->error == YAML_MEMORY_ERROR) {
		bh_cfg_oom(r->c);
	} else if (p->error == YAML_READER_ERROR) {
		loc = offset_loc(r, p->problem_offset);
		bh_cfg_error(r->c, &loc, "not valid YAML: %s", p->problem ? p->problem : "unreadable");
	} else {
		loc = mark_loc(r, &p->problem_mark);
		if (starts_with_tab(r, &p->problem_mark))
			bh_cfg_error(r->c, &loc, "not valid YAML: a tab cannot stand here: indent with spaces");
		else if (p->context && p->context_mark.line != p->problem_mark.line)
			bh_cfg_error(r->c, &loc, "not valid YAML: %s, %s from line %zu on", p->problem, p->context,
				p->context_mark.line + 1);
		else
			bh_cfg_error(r->c, &loc, "not valid YAML: %s", p->problem ? p->problem : "unreadable");
	}
}

static bool next_event(struct reader *r, yaml_event_t *e)
{
	memset(e, 0, sizeof(*e));
	if (r->stop || r->c->err)
		return false;
	if (!yaml_parser_parse(&r->parser, e)) {
		syntax_error(r);
		return false;
	}
	return true;
}

/* Anchors and tags change what a value is: a reader of the file must not have to know them. */
static void check_properties(struct reader *r, struct bh_node *n, const yaml_char_t *anchor, const yaml_char_t *tag)
{
	char show[BH_CFG_SHOW];

	if (anchor)
		bh_cfg_error(r->c, &n->loc, "anchors are not supported: write the value out where it is used");
	if (tag)
		bh_cfg_error(r->c, &n->loc, "tags are not supported: remove '%s'", bh_cfg_show((const char *)tag, show));
}

static struct bh_node *new_node(struct reader *r, const yaml_event_t *e, enum bh_node_kind kind)
{
	struct bh_node *n = calloc(1, sizeof(*n));

	if (!n) {
		bh_cfg_oom(r->c);
		return NULL;
	}
	n->kind = kind;
	n->loc = mark_loc(r, &e->start_mark);
	if (++r->nodes > BH_CFG_NODES_MAX) {
		bh_cfg_error(r->c, &n->loc, "more than %u values in one file: use conf.d", BH_CFG_NODES_MAX);
		r->stop = true;
	} else if (++r->c->nodes > BH_CFG_NODES_ALL_MAX) {
		bh_cfg_error(r->c, &n->loc, "more than %u values in all files together", BH_CFG_NODES_ALL_MAX);
		r->stop = true;
	}
	return n;
}

static struct bh_node *scalar_node(struct reader *r, const yaml_event_t *e)
{
	struct bh_node *n = new_node(r, e, BH_NODE_SCALAR);

	if (!n)
		return NULL;
	if (e->type == YAML_ALIAS_EVENT) {
		bh_cfg_error(r->c, &n->loc,
			"aliases are not supported: write the value out, or quote a pattern that begins with '*'");
		n->bad = true;
		bh_cfg_set(r->c, &n->text, "");
		return n;
	}
	check_properties(r, n, e->data.scalar.anchor, e->data.scalar.tag);
	n->plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	bh_cfg_set(r->c, &n->text, (const char *)e->data.scalar.value);
	if (memchr(e->data.scalar.value, '\0', e->data.scalar.length)) {
		bh_cfg_error(r->c, &n->loc, "a NUL character cannot stand in a text");
		n->bad = true;
	}
	return n;
}

static struct bh_node *read_node(struct reader *r, const yaml_event_t *e, unsigned depth);

static void read_items(struct reader *r, struct bh_node *list, unsigned depth)
{
	for (;;) {
		_cleanup_(yaml_event_deletep) yaml_event_t e;
		_cleanup_(bh_node_freep) struct bh_node *item = NULL;

		if (!next_event(r, &e) || e.type == YAML_SEQUENCE_END_EVENT)
			return;
		item = read_node(r, &e, depth);
		if (!item)
			return;
		if (bh_vec_push(&list->items, item) < 0)
			bh_cfg_oom(r->c);
		else
			item = NULL;
	}
}

/* Whether a pair may stay: a readable key, no merge. */
static bool check_key(struct reader *r, const struct bh_node *key)
{
	if (key->bad)
		return false;
	if (key->kind != BH_NODE_SCALAR) {
		bh_cfg_error(r->c, &key->loc, "a key must be a word, not a list or a mapping");
		return false;
	}
	if (key->plain && strcmp(key->text, "<<") == 0) {
		bh_cfg_error(r->c, &key->loc, "merge keys are not supported: write the keys out");
		return false;
	}
	return true;
}

static void read_pairs(struct reader *r, struct bh_node *map, unsigned depth)
{
	for (;;) {
		_cleanup_(yaml_event_deletep) yaml_event_t ek, ev = {0};
		_cleanup_(bh_node_freep) struct bh_node *key = NULL, *value = NULL;

		memset(&ev, 0, sizeof(ev));
		if (!next_event(r, &ek) || ek.type == YAML_MAPPING_END_EVENT)
			return;
		key = read_node(r, &ek, depth);
		if (!key || !next_event(r, &ev))
			return;
		value = read_node(r, &ev, depth);
		if (!value)
			return;
		if (!check_key(r, key)) {
			map->bad |= map->pairs.n == 0;	/* else it would be called empty */
			continue;
		}
		if (bh_vec_push(&map->pairs, ((struct bh_node_pair){key, value, NULL})) < 0)
			bh_cfg_oom(r->c);
		else
			key = value = NULL;
	}
}

static int pair_cmp(const void *x, const void *y, void *pairs)
{
	const struct bh_node_pair *v = pairs;
	size_t i = *(const size_t *)x, j = *(const size_t *)y;
	int c = strcmp(v[i].key->text, v[j].key->text);

	return c ? c : i < j ? -1 : i > j;
}

/* Links every repeated key to its first. Sorted, so that a large mapping stays cheap. */
static void find_duplicates(struct reader *r, struct bh_node *map)
{
	_cleanup_free_ size_t *idx = calloc(map->pairs.n + 1, sizeof(*idx));
	struct bh_node_pair *v = map->pairs.v;

	if (!idx) {
		bh_cfg_oom(r->c);
		return;
	}
	if (map->pairs.n)
		map->bad = false;
	for (size_t i = 0; i < map->pairs.n; i++)
		idx[i] = i;
	if (map->pairs.n > 1)
		qsort_r(idx, map->pairs.n, sizeof(*idx), pair_cmp, v);
	for (size_t i = 1; i < map->pairs.n; i++) {
		const struct bh_node_pair *before = &v[idx[i - 1]];

		if (strcmp(before->key->text, v[idx[i]].key->text) == 0)
			v[idx[i]].first = before->first ? before->first : before->key;
	}
}

/* The node that begins with E, or NULL when the reading ends here. */
static struct bh_node *read_node(struct reader *r, const yaml_event_t *e, unsigned depth)
{
	bool is_map = e->type == YAML_MAPPING_START_EVENT;
	struct bh_node *n;

	if (e->type == YAML_SCALAR_EVENT || e->type == YAML_ALIAS_EVENT)
		return scalar_node(r, e);
	n = new_node(r, e, is_map ? BH_NODE_MAP : BH_NODE_SEQ);
	if (!n)
		return NULL;
	if (depth >= BH_CFG_DEPTH_MAX) {
		bh_cfg_error(r->c, &n->loc, "nested deeper than %u levels", BH_CFG_DEPTH_MAX);
		r->stop = true;
		return n;
	}
	if (is_map) {
		check_properties(r, n, e->data.mapping_start.anchor, e->data.mapping_start.tag);
		read_pairs(r, n, depth + 1);
		find_duplicates(r, n);
	} else {
		check_properties(r, n, e->data.sequence_start.anchor, e->data.sequence_start.tag);
		read_items(r, n, depth + 1);
	}
	return n;
}

static void check_document(struct reader *r, const yaml_event_t *e, bool second)
{
	struct bh_loc loc = mark_loc(r, &e->start_mark);

	if (second) {
		bh_cfg_error(r->c, &loc, "a second document: one file holds one, use conf.d for more");
		r->stop = true;
	} else if (e->data.document_start.tag_directives.start != e->data.document_start.tag_directives.end) {
		bh_cfg_error(r->c, &loc, "tags are not supported: remove the %%TAG line");
	}
}

static void read_stream(struct reader *r)
{
	bool seen = false;

	for (;;) {
		_cleanup_(yaml_event_deletep) yaml_event_t e;

		if (!next_event(r, &e) || e.type == YAML_STREAM_END_EVENT)
			return;
		if (e.type == YAML_DOCUMENT_START_EVENT) {
			check_document(r, &e, seen);
			seen = true;
		} else if (e.type != YAML_STREAM_START_EVENT && e.type != YAML_DOCUMENT_END_EVENT && !r->doc->root) {
			r->doc->root = read_node(r, &e, 0);
		}
	}
}

void bh_cfg_yaml(struct bh_cfg *c, struct bh_doc *doc)
{
	struct reader r = {.c = c, .doc = doc};

	if (!yaml_parser_initialize(&r.parser)) {
		bh_cfg_oom(c);
		return;
	}
	/* Told, not guessed: a text with a stray byte order mark must not become UTF-16. */
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)doc->text, doc->n);
	read_stream(&r);
	yaml_parser_delete(&r.parser);
	if (r.stop) {	/* half a file says nothing about what the other half would */
		bh_node_free(doc->root);
		doc->root = NULL;
		doc->broken = c->partial = true;
	}
}
