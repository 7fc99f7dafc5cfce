/* SPDX-License-Identifier: Apache-2.0 */
#include "hand.h"

#include <errno.h>
#include <string.h>

void bh_hand_item_clear(struct bh_hand_item *i)
{
	free(i->id);
	free(i->name);
	free(i->by);
	free(i->from);
	free(i->to);
	bh_strv_clear(&i->ports);
	memset(i, 0, sizeof(*i));
}

void bh_hand_clear(struct bh_hand *h)
{
	bh_vec_foreach(i, &h->v)
		bh_hand_item_clear(i);
	bh_vec_clear(&h->v);
	h->locked = false;
}

uint64_t bh_hand_left(const struct bh_hand_item *i, uint64_t now_boot)
{
	if (i->for_usec == 0)
		return UINT64_MAX;
	return i->end_boot > now_boot ? i->end_boot - now_boot : 0;
}

static json_t *item_json(const struct bh_hand_item *i)
{
	json_t *ports = json_array();

	for (size_t k = 0; k < i->ports.n; k++)
		(void)json_array_append_new(ports, json_string(i->ports.v[k]));
	return json_pack("{s:s, s:s?, s:s?, s:s?, s:s?, s:s?, s:o, s:I, s:I, s:I}", "kind", i->kind == BH_HAND_ALLOW ? "allow" : "quarantine", "id",
		i->id, "name", i->name, "by", i->by, "from", i->from, "to", i->to, "ports", ports, "for", (json_int_t)i->for_usec, "end_boot", (json_int_t)i->end_boot,
		"end_real", (json_int_t)i->end_real);
}

char *bh_hand_print(const struct bh_hand *h, const char *boot)
{
	json_t *items = json_array(), *doc = NULL;
	char *text = NULL;
	int r = 0;

	bh_vec_foreach(i, &h->v)
		r = r < 0 ? r : json_array_append_new(items, item_json(i));
	if (r == 0)
		doc = json_pack("{s:i, s:s, s:b, s:i, s:O}", "version", 1, "boot", boot, "locked", h->locked, "retimed", (int)(h->retimed & 0xff),
			"items", items);
	if (doc)
		text = json_dumps(doc, JSON_INDENT(1));
	json_decref(items);
	json_decref(doc);
	return text;
}

static int string_read(const json_t *o, const char *key, char **ret)
{
	return bh_strdup(ret, json_string_value(json_object_get(o, key)));
}

static uint64_t number_read(const json_t *o, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(o, key));

	return n > 0 ? (uint64_t)n : 0;
}

static int item_read(const json_t *o, bool same_boot, uint64_t now_boot, uint64_t now_real, struct bh_hand_item *i)
{
	const char *kind = json_string_value(json_object_get(o, "kind"));
	const json_t *ports = json_object_get(o, "ports");
	int r = string_read(o, "id", &i->id);

	i->kind = bh_streq(kind, "allow") ? BH_HAND_ALLOW : BH_HAND_QUARANTINE;
	if (r == 0)
		r = string_read(o, "name", &i->name);
	if (r == 0)
		r = string_read(o, "by", &i->by);
	if (r == 0)
		r = string_read(o, "from", &i->from);
	if (r == 0)
		r = string_read(o, "to", &i->to);
	for (size_t k = 0; k < json_array_size(ports) && r == 0; k++)
		r = json_is_string(json_array_get(ports, k)) ? bh_strv_push(&i->ports, json_string_value(json_array_get(ports, k))) : -EINVAL;
	if (r < 0)
		return r;
	i->for_usec = number_read(o, "for");
	i->end_boot = number_read(o, "end_boot");
	i->end_real = number_read(o, "end_real");
	if (!kind || (i->kind == BH_HAND_ALLOW ? !i->from || !i->to || i->for_usec == 0 : !i->id || !i->name || strcmp(kind, "quarantine") != 0))
		return -EINVAL;
	if (i->for_usec > 0 && !same_boot) {	/* a clock that is wrong prolongs nothing */
		uint64_t left = i->end_real > now_real ? i->end_real - now_real : 0;

		i->end_boot = now_boot + (left < i->for_usec ? left : i->for_usec);
	}
	return 0;
}

int bh_hand_parse(const char *text, const char *boot, uint64_t now_boot, uint64_t now_real, struct bh_hand *ret)
{
	json_t *doc = json_loads(text, 0, NULL), *items = json_object_get(doc, "items"), *row;
	bool same_boot = bh_streq(json_string_value(json_object_get(doc, "boot")), boot);
	struct bh_hand h = {.locked = json_is_true(json_object_get(doc, "locked")), .retimed = (unsigned)number_read(doc, "retimed")};
	bool known = json_integer_value(json_object_get(doc, "version")) == 1;	/* a newer one may say what this does not know */
	int r = known && json_is_array(items) && json_is_boolean(json_object_get(doc, "locked")) ? 0 : -EINVAL;
	size_t k;

	json_array_foreach(items, k, row) {
		struct bh_hand_item i = {0};

		if (r == 0)
			r = item_read(row, same_boot, now_boot, now_real, &i);
		if (r == 0)
			r = bh_vec_push(&h.v, i);
		if (r < 0)
			bh_hand_item_clear(&i);
	}
	json_decref(doc);
	if (r < 0)
		bh_hand_clear(&h);
	else
		*ret = h;
	return r;
}
