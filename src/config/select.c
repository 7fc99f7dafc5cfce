/* SPDX-License-Identifier: Apache-2.0 */
/* Selectors. */
#include "config.h"

#include <string.h>

/* The patterns of one key: a value or a list of values. */
static void read_patterns(struct bh_cfg *c, const struct bh_node *value, const char *what, bool may_be_empty,
	struct bh_strv *out)
{
	const struct bh_node *const one[] = {value};
	const struct bh_node *const *v = one;
	size_t n = 1;

	if (value->kind == BH_NODE_SEQ) {
		if (!bh_cfg_is_list(c, value, what, ""))
			return;
		v = (const struct bh_node *const *)value->items.v;
		n = value->items.n;
	}
	for (size_t i = 0; i < n; i++) {
		const char *text;

		if ((may_be_empty ? bh_cfg_text : bh_cfg_word)(c, v[i], what, &text) && bh_strv_push(out, text) < 0)
			bh_cfg_oom(c);
	}
}

/* A match of KEY at LOC; no patterns when there was an error. */
static struct bh_select_match *add_match(struct bh_cfg *c, struct bh_selector *s, enum bh_select_key key,
	const struct bh_loc *loc)
{
	struct bh_select_match *m = bh_vec_add(&s->matches);

	if (!m) {
		bh_cfg_oom(c);
		return NULL;
	}
	m->key = key;
	m->loc = *loc;
	return m;
}

static void read_match(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, struct bh_selector *s,
	enum bh_select_key kind)
{
	struct bh_select_match *m = add_match(c, s, kind, &key->loc);

	if (m)
		read_patterns(c, value, key->text, false, &m->patterns);
}

static void read_label_map(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, struct bh_selector *s,
	enum bh_select_key kind)
{
	char show[BH_CFG_SHOW];

	if (!bh_cfg_is_map(c, value, key->text))
		return;
	bh_vec_foreach(p, &value->pairs) {
		struct bh_select_match *m;

		if (p->first) {
			bh_cfg_error(c, &p->key->loc, "label '%s' stands twice: write a list for one of several values",
				bh_cfg_show(p->key->text, show));
			continue;
		}
		if (!*p->key->text) {
			bh_cfg_error(c, &p->key->loc, "a label needs a name");
			continue;
		}
		m = add_match(c, s, kind, &p->key->loc);
		if (!m)
			return;
		bh_cfg_set(c, &m->label, p->key->text);
		read_patterns(c, p->value, "the label's value", true, &m->patterns);
	}
}

static void read_labels(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	read_label_map(c, key, value, target, BH_SELECT_LABEL);
}

static void read_image_labels(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	read_label_map(c, key, value, target, BH_SELECT_IMAGE_LABEL);
}

static void read_name(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	read_match(c, key, value, target, BH_SELECT_NAME);
}

static void read_image(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	read_match(c, key, value, target, BH_SELECT_IMAGE);
}

static void read_network(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	read_match(c, key, value, target, BH_SELECT_NETWORK);
}

static void read_compose(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	struct bh_selector *s = target;
	char show[BH_CFG_SHOW];
	size_t before = s->matches.n;

	read_match(c, key, value, s, BH_SELECT_COMPOSE);
	if (s->matches.n == before)
		return;
	for (size_t i = 0; i < s->matches.v[before].patterns.n; i++) {
		const char *p = s->matches.v[before].patterns.v[i], *slash = strchr(p, '/');

		if (slash && (slash == p || !slash[1] || strchr(slash + 1, '/')))
			bh_cfg_error(c, &value->loc, "compose: '%s' must be PROJECT or PROJECT/SERVICE", bh_cfg_show(p, show));
	}
}

static void read_runtime(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	read_match(c, key, value, target, BH_SELECT_RUNTIME);
}

static void read_kind(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	static const char *const words[] = {"container", "build"};
	struct bh_select_match *m = add_match(c, target, BH_SELECT_KIND, &key->loc);
	const struct bh_node *const one[] = {value};
	bool is_list = value->kind == BH_NODE_SEQ;

	if (!m || (is_list && !bh_cfg_is_list(c, value, "kind", "")))
		return;
	for (size_t i = 0; i < (is_list ? value->items.n : 1); i++) {
		const struct bh_node *n = is_list ? value->items.v[i] : one[0];
		size_t k;

		if (bh_cfg_choice(c, n, "kind", words, BH_ARRAY_SIZE(words), &k) &&
			bh_strv_push(&m->patterns, words[k]) < 0)
			bh_cfg_oom(c);
	}
}

static void read_any(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	struct bh_selector *s = target;

	if (!bh_cfg_is_list(c, value, "any", "[{name: a}, {name: b}]"))
		return;
	bh_vec_foreach(i, &value->items) {
		_cleanup_(bh_selector_freep) struct bh_selector *one = NULL;

		bh_cfg_select(c, key, *i, &one);
		if (one && bh_vec_push(&s->any, one) < 0)
			bh_cfg_oom(c);
		else
			one = NULL;
	}
}

static void read_not(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	struct bh_selector *s = target;

	if (value->kind == BH_NODE_SEQ && !value->bad)
		bh_cfg_error(c, &value->loc, "'not' takes one selector, not a list: write {any: [...]} for several");
	else
		bh_cfg_select(c, key, value, &s->not);
}

/* Equal selectors are equal in whatever order their keys were written; within a kind the order stays. */
static void sort_matches(struct bh_cfg *c, struct bh_selector *s)
{
	__typeof__(s->matches) sorted = {0};

	if (bh_vec_reserve_(&sorted.v, &sorted.cap, s->matches.n, sizeof(*sorted.v)) < 0) {
		bh_cfg_oom(c);
		return;
	}
	for (int key = BH_SELECT_LABEL; key <= BH_SELECT_KIND; key++)
		bh_vec_foreach(m, &s->matches)
			if ((int)m->key == key)
				sorted.v[sorted.n++] = *m;
	bh_vec_clear(&s->matches);
	s->matches = sorted;
}

void bh_cfg_select(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	static const struct bh_key keys[] = {
		{"labels", read_labels, 0},
		{"image-labels", read_image_labels, 0},
		{"name", read_name, 0},
		{"image", read_image, 0},
		{"network", read_network, 0},
		{"compose", read_compose, 0},
		{"runtime", read_runtime, 0},
		{"kind", read_kind, 0},
		{"any", read_any, 0},
		{"not", read_not, 0},
	};
	_cleanup_(bh_selector_freep) struct bh_selector *s = calloc(1, sizeof(*s));
	struct bh_selector **ret = target;

	(void)key;
	if (!s) {
		bh_cfg_oom(c);
		return;
	}
	s->loc = value->loc;
	if (!bh_cfg_is_map(c, value, "a selector"))
		return;
	bh_cfg_map(c, value, "a selector", keys, BH_ARRAY_SIZE(keys), s);
	sort_matches(c, s);
	*ret = bh_take(s);
}
