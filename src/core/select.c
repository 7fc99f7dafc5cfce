/* SPDX-License-Identifier: Apache-2.0 */
/* Selectors (SPEC section 3). Labels are believed when the creator of the container gave them; what an image says of itself
 * counts under image-labels alone. */
#include "select.h"

#include <bulkhead/place.h>

#include <errno.h>
#include <string.h>

/* How much of a stranger's text a reason shows. */
#define SHOWN 64

/* The byte after one character: UTF-8 continuation bytes belong to the one that they follow. */
static const char *next_char(const char *s)
{
	bool lead = ((unsigned char)*s & 0xc0) == 0xc0;

	s++;
	for (int i = 0; lead && i < 3 && ((unsigned char)*s & 0xc0) == 0x80; i++)
		s++;
	return s;
}

bool bh_glob(const char *pattern, const char *s)
{
	const char *star = NULL, *retry = NULL;

	/* Only the last star can need another try, so this is O(pattern * s) at worst. */
	while (*s) {
		if (*pattern == '*') {
			star = ++pattern;
			retry = s;
		} else if (*pattern == '?') {
			pattern++;
			s = next_char(s);
		} else if (*pattern == *s) {
			pattern++;
			s++;
		} else if (star) {
			pattern = star;
			s = retry = next_char(retry);
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

const char *subject_label(const struct bh_container *c, const char *key)
{
	const char *given = bh_container_label(c, key), *image = bh_container_image_label(c, key);

	return given && image && strcmp(given, image) == 0 ? NULL : given;
}

static int image_init(struct subject *s)
{
	const char *at, *last, *tag;

	if (!s->c->image || !*s->c->image)
		return 0;
	s->image = bh_image_normalise(s->c->image, false);
	if (!s->image)
		return -ENOMEM;
	at = strchr(s->image, '@');
	last = strrchr(s->image, '/');
	tag = last ? strchr(last, ':') : NULL;
	if (at && tag && tag < at) {
		_cleanup_buf_ struct bh_buf b = {0};

		bh_buf_putn(&b, s->image, (size_t)(tag - s->image));
		bh_buf_puts(&b, at);
		return bh_buf_steal(&b, &s->image_digest);
	}
	return 0;
}

void bh_container_compose(const struct bh_container *c, const char **ret_project, const char **ret_service)
{
	*ret_project = *ret_service = NULL;
	/* `docker compose build` writes project and service into images, so that they alone prove nothing; the number
	 * of the container is only written by the Compose that makes it. */
	if (!subject_label(c, "com.docker.compose.container-number"))
		return;
	*ret_project = bh_container_label(c, "com.docker.compose.project");
	*ret_service = *ret_project ? bh_container_label(c, "com.docker.compose.service") : NULL;
}

int subject_init(struct subject *s, const struct bh_container *c, const struct bh_inventory *inventory)
{
	const char *service;

	memset(s, 0, sizeof(*s));
	s->c = c;
	s->inventory = inventory;
	if (image_init(s) < 0)
		return -ENOMEM;
	bh_container_compose(c, &s->project, &service);
	if (service) {
		_cleanup_buf_ struct bh_buf b = {0};

		bh_buf_printf(&b, "%s/%s", s->project, service);
		return bh_buf_steal(&b, &s->service);
	}
	return 0;
}

void subject_clear(struct subject *s)
{
	free(s->image);
	free(s->image_digest);
	free(s->service);
	memset(s, 0, sizeof(*s));
}

/* 1, 0, or -ENOMEM. An image known only by its id has no name that a glob could meet: only a pattern that is a digest may. */
static int image_met(const char *pattern, const struct subject *s)
{
	_cleanup_free_ char *p = NULL;
	bool digest = strncmp(pattern, "sha256:", 7) == 0;

	if (digest)
		return (s->c->image_id && bh_glob(pattern, s->c->image_id)) || (s->image && bh_glob(pattern, s->image));
	if (!s->image || strncmp(s->image, "sha256:", 7) == 0)
		return 0;
	p = bh_image_normalise(pattern, true);
	if (!p)
		return -ENOMEM;
	return bh_glob(p, s->image) || (s->image_digest && bh_glob(p, s->image_digest));
}

static const char *network_met(const char *pattern, const struct subject *s)
{
	bh_vec_foreach(e, &s->c->endpoints) {
		const struct bh_network *n = bh_inventory_network(s->inventory, e->network_id);

		if (n && n->name && bh_glob(pattern, n->name))
			return n->name;
	}
	return NULL;
}

static const char *kind_text(enum bh_container_kind k)
{
	return k == BH_KIND_BUILD ? "build" : "container";
}

/* 1 with *VALUE being what PATTERN met, 0, or -ENOMEM. */
static int pattern_met(const struct bh_select_match *m, const char *pattern, const struct subject *s, const char **value)
{
	const char *v = NULL;
	int r;

	switch (m->key) {
	case BH_SELECT_LABEL:
		v = subject_label(s->c, m->label);
		break;
	case BH_SELECT_IMAGE_LABEL:
		v = bh_container_image_label(s->c, m->label);
		break;
	case BH_SELECT_NAME:
		v = s->c->name;
		break;
	case BH_SELECT_COMPOSE:
		v = strchr(pattern, '/') ? s->service : s->project;
		break;
	case BH_SELECT_RUNTIME:
		v = s->c->runtime;
		break;
	case BH_SELECT_KIND:
		v = kind_text(s->c->kind);
		break;
	case BH_SELECT_NETWORK:
		*value = network_met(pattern, s);
		return *value != NULL;
	case BH_SELECT_IMAGE:
		r = image_met(pattern, s);
		*value = s->c->image ? s->c->image : s->c->image_id;
		return r;
	}
	*value = v;
	return v && bh_glob(pattern, v);
}

static void why_add(struct why *why, const struct bh_select_match *m, const char *value)
{
	if (m->key == BH_SELECT_KIND)
		why->kind = true;
	if (why->loc.line == 0)
		why->loc = m->loc;
	if (why->n == WHY_PARTS) {
		why->more = true;
		return;
	}
	why->parts[why->n].key = m->key;
	why->parts[why->n].label = m->label;
	why->parts[why->n].value = value;
	why->n++;
}

static int match_met(const struct bh_select_match *m, const struct subject *s, struct why *why)
{
	for (size_t i = 0; i < m->patterns.n; i++) {
		const char *value = NULL;
		int r = pattern_met(m, m->patterns.v[i], s, &value);

		if (r < 0)
			return r;
		if (r > 0) {
			why_add(why, m, value);
			return 1;
		}
	}
	return 0;
}

int selector_met(const struct bh_selector *sel, const struct subject *s, struct why *why)
{
	struct why w = *why;
	int r = 1;

	bh_vec_foreach(m, &sel->matches) {
		r = match_met(m, s, &w);
		if (r <= 0)
			return r;
	}
	if (sel->any.n > 0) {
		r = 0;
		for (size_t i = 0; i < sel->any.n && r == 0; i++)
			r = selector_met(sel->any.v[i], s, &w);
		if (r <= 0)
			return r;
	}
	if (sel->not) {
		struct why unused = {0};

		r = selector_met(sel->not, s, &unused);
		if (r != 0)
			return r < 0 ? r : 0;
	}
	if (w.loc.line == 0)
		w.loc = sel->loc;
	*why = w;
	return 1;
}

void why_print(const struct why *why, struct bh_buf *out)
{
	static const char *const names[] = {
		[BH_SELECT_LABEL] = "labels", [BH_SELECT_IMAGE_LABEL] = "image-labels", [BH_SELECT_NAME] = "name",
		[BH_SELECT_IMAGE] = "image", [BH_SELECT_NETWORK] = "network", [BH_SELECT_COMPOSE] = "compose",
		[BH_SELECT_RUNTIME] = "runtime", [BH_SELECT_KIND] = "kind",
	};

	for (size_t i = 0; i < why->n; i++) {
		bh_buf_printf(out, "%s%s ", i ? ", " : "", names[why->parts[i].key]);
		if (why->parts[i].label) {
			bh_buf_put_safe(out, why->parts[i].label, SHOWN);
			bh_buf_puts(out, "=");
		}
		bh_buf_put_safe(out, why->parts[i].value ? why->parts[i].value : "", SHOWN);
	}
	if (why->more)
		bh_buf_puts(out, ", ...");
	if (why->n == 0)
		bh_buf_puts(out, "not excluded");
}

void loc_print(const struct bh_loc *loc, struct bh_buf *out)
{
	if (loc->line == 0 || !loc->file)
		return;
	bh_buf_puts(out, " (");
	bh_buf_put_safe(out, loc->file, 200);
	bh_buf_printf(out, ":%u)", loc->line);
}
