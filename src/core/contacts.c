/* SPDX-License-Identifier: Apache-2.0 */
/* Which zones have talked to which. */
#include "detect.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define HEAD "bulkhead contacts 1 "

void bh_contacts_clear(struct bh_contacts *c)
{
	bh_vec_foreach(s, &c->v)
		free(*s);
	bh_vec_clear(&c->v);
	memset(c, 0, sizeof(*c));
}

/* Where PAIR is, or belongs. */
static size_t place_of(const struct bh_contacts *c, const char *pair, bool *ret_there)
{
	size_t from = 0, to = c->v.n;

	*ret_there = false;
	while (from < to && !*ret_there) {
		size_t mid = from + (to - from) / 2;
		int order = strcmp(c->v.v[mid], pair);

		if (order < 0)
			from = mid + 1;
		else
			to = mid;
		*ret_there = order == 0;
		if (order == 0)
			from = mid;
	}
	return from;
}

/* PAIR is taken over. */
static int insert(struct bh_contacts *c, size_t at, char *pair)
{
	if (bh_vec_push(&c->v, pair) < 0) {
		free(pair);
		return -ENOMEM;
	}
	memmove(&c->v.v[at + 1], &c->v.v[at], (c->v.n - 1 - at) * sizeof(*c->v.v));
	c->v.v[at] = pair;
	return 0;
}

int contact_note(struct bh_contacts *c, const char *from, const char *to, uint64_t sec, bool *ret_fresh)
{
	_cleanup_free_ char *pair = NULL;
	bool there;
	size_t at;
	int r;

	*ret_fresh = false;
	if (c->since_sec == 0 || sec < c->since_sec) {	/* a calendar that was wrong: learned anew */
		c->since_sec = sec;
		c->changed = true;
	}
	if (!to || strpbrk(to, "\t\n") || strpbrk(from, "\t\n"))
		return 0;
	if (asprintf(&pair, "%s\t%s", from, to) < 0) {
		pair = NULL;
		return -ENOMEM;
	}
	at = place_of(c, pair, &there);
	if (there)
		return 0;
	if (c->v.n >= BH_DETECT_CONTACTS_MAX) {	/* nobody could say any more what is new */
		c->full = true;
		return 0;
	}
	r = insert(c, at, bh_take(pair));
	c->changed = c->changed || r == 0;
	*ret_fresh = r == 0;
	return r;
}

bool contacts_are_learned(const struct bh_contacts *c, uint64_t learn_usec, uint64_t sec)
{
	return sec - c->since_sec >= learn_usec / 1000000;
}

int bh_contacts_print(const struct bh_contacts *c, struct bh_buf *out)
{
	bh_buf_printf(out, HEAD "%" PRIu64 "\n", c->since_sec);
	bh_vec_foreach(s, &c->v)
		bh_buf_printf(out, "%s\n", *s);
	return out->err;
}

static int line_read(struct bh_contacts *c, const char *line, size_t n)
{
	char *pair = strndup(line, n);
	const char *tab = pair ? strchr(pair, '\t') : NULL;
	bool there = true;
	size_t at;

	if (!pair)
		return -ENOMEM;
	at = place_of(c, pair, &there);
	if (there || !tab || tab == pair || !tab[1] || strchr(tab + 1, '\t') || c->v.n >= BH_DETECT_CONTACTS_MAX) {
		free(pair);
		return -EINVAL;
	}
	return insert(c, at, pair);
}

int bh_contacts_parse(const char *text, struct bh_contacts *c)
{
	const char *end;
	char *rest;
	int r = -EINVAL;

	memset(c, 0, sizeof(*c));
	if (strncmp(text, HEAD, strlen(HEAD)) == 0) {
		c->since_sec = strtoull(text + strlen(HEAD), &rest, 10);
		if (rest != text + strlen(HEAD) && *rest == '\n')
			r = 0;
	}
	for (text = r == 0 ? rest + 1 : ""; r == 0 && *text; text = end + 1) {
		end = strchr(text, '\n');
		r = end ? line_read(c, text, (size_t)(end - text)) : -EINVAL;
		if (!end)
			break;
	}
	if (r < 0)
		bh_contacts_clear(c);
	return r;
}
