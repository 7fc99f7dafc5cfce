/* SPDX-License-Identifier: Apache-2.0 */
#include "typed.h"

#include <bulkhead/wire.h>

#include <errno.h>
#include <string.h>

enum type {
	WRONG,		/* there, but not what it should be */
	SWITCH,
	NUMBER,
	TEXT,
	TEXTS,
	FILES,		/* [{"name": …, "text": …}, …] */
};

#define TEXT_MAX 65536u
#define LIST_MAX BH_CONTROL_VALUES_MAX

/* Every argument of every verb: a new one is a line here. */
static const struct {
	const char *name;
	enum type type;
} ARGS[] = {
	{ "follow", SWITCH },
	{ "confirm", NUMBER },
	{ "seconds", NUMBER },
	{ "name", TEXT },
	{ "from", TEXT },
	{ "to", TEXT },
	{ "port", TEXT },
	{ "ports", TEXTS },
	{ "config", FILES },
};

static bool is_file(const json_t *j)
{
	const char *name = json_string_value(json_object_get(j, "name"));

	return name && strlen(name) <= TEXT_MAX && json_is_string(json_object_get(j, "text"));
}

static bool all(const json_t *list, bool (*good)(const json_t *))
{
	for (size_t i = 0; i < json_array_size(list); i++)
		if (!good(json_array_get(list, i)))
			return false;
	return json_is_array(list) && json_array_size(list) <= LIST_MAX;
}

static bool is_text(const json_t *j)
{
	return json_is_string(j) && json_string_length(j) <= TEXT_MAX;
}

static enum type type_of(const json_t *j, enum type wanted)
{
	bool good = wanted == SWITCH ? json_is_boolean(j) : wanted == NUMBER ? json_is_integer(j) : wanted == TEXT ? is_text(j) :
		wanted == TEXTS ? all(j, is_text) : all(j, is_file);

	return good ? wanted : WRONG;
}

/* ---- one description of each type, both ways: *J is written, or made */

static void text_wire(struct bh_wire *w, json_t **j, size_t max)
{
	char *s = bh_wire_reads(w) ? NULL : (char *)(uintptr_t)json_string_value(*j);

	bh_wire_text(w, &s, max, 0);
	if (!bh_wire_reads(w))
		return;
	if (s && !(*j = json_string(s)))
		bh_wire_fail(w, -ENOMEM);
	free(s);
}

static void number_wire(struct bh_wire *w, json_t **j)
{
	uint64_t n = bh_wire_reads(w) ? 0 : (uint64_t)json_integer_value(*j);

	bh_wire_u64(w, &n);
	if (bh_wire_reads(w) && !(*j = json_integer((json_int_t)n)))
		bh_wire_fail(w, -ENOMEM);
}

static void switch_wire(struct bh_wire *w, json_t **j)
{
	bool on = bh_wire_flag(w, json_is_true(*j));

	if (bh_wire_reads(w))
		*j = json_boolean(on);
}

static void file_wire(struct bh_wire *w, json_t **j)
{
	json_t *name = json_object_get(*j, "name"), *text = json_object_get(*j, "text");

	text_wire(w, &name, TEXT_MAX);
	text_wire(w, &text, BH_CONTROL_REQUEST_MAX);
	if (!bh_wire_reads(w))
		return;
	*j = w->err == 0 ? json_pack("{s:o, s:o}", "name", name, "text", text) : NULL;
	if (w->err == 0 && !*j)
		bh_wire_fail(w, -ENOMEM);
	else if (!*j) {
		json_decref(name);
		json_decref(text);
	}
}

static void small_text_wire(struct bh_wire *w, json_t **j)
{
	text_wire(w, j, TEXT_MAX);
}

static void list_wire(struct bh_wire *w, json_t **j, void (*item)(struct bh_wire *, json_t **))
{
	size_t n = bh_wire_count(w, json_array_size(*j), LIST_MAX, 4);

	if (bh_wire_reads(w) && !(*j = json_array()))
		bh_wire_fail(w, -ENOMEM);
	for (size_t i = 0; i < n && w->err == 0; i++) {
		json_t *x = bh_wire_reads(w) ? NULL : json_array_get(*j, i);

		item(w, &x);
		if (bh_wire_reads(w) && w->err == 0 && json_array_append_new(*j, x) < 0)
			bh_wire_fail(w, -ENOMEM);
	}
}

static void value_wire(struct bh_wire *w, enum type type, json_t **j)
{
	switch (type) {
	case WRONG:
		if (bh_wire_reads(w))
			*j = json_null();
		break;
	case SWITCH:
		switch_wire(w, j);
		break;
	case NUMBER:
		number_wire(w, j);
		break;
	case TEXT:
		small_text_wire(w, j);
		break;
	case TEXTS:
		list_wire(w, j, small_text_wire);
		break;
	case FILES:
		list_wire(w, j, file_wire);
		break;
	}
}

int bh_control_typed_put(const char *verb, const json_t *request, struct bh_buf *out)
{
	struct bh_wire w = {.out = out};
	char *name = (char *)(uintptr_t)verb;

	bh_wire_text(&w, &name, BH_CONTROL_VERB_MAX, BH_WIRE_WORD);
	for (unsigned i = 0; i < BH_ARRAY_SIZE(ARGS); i++) {
		json_t *j = json_object_get(request, ARGS[i].name);
		enum type type = j ? type_of(j, ARGS[i].type) : WRONG;

		if (!bh_wire_flag(&w, j != NULL))
			continue;
		(void)bh_wire_choice(&w, type, FILES);
		value_wire(&w, type, &j);
	}
	return bh_wire_end(&w);
}

static int args_read(struct bh_wire *w, json_t *to)
{
	for (unsigned i = 0; i < BH_ARRAY_SIZE(ARGS) && w->err == 0; i++) {
		json_t *j = NULL;
		enum type type;

		if (!bh_wire_flag(w, false))
			continue;
		type = bh_wire_choice(w, WRONG, FILES);
		if (type != WRONG && type != ARGS[i].type)
			bh_wire_fail(w, -EBADMSG);
		else
			value_wire(w, type, &j);
		if (w->err < 0)
			json_decref(j);
		else if (json_object_set_new(to, ARGS[i].name, j) < 0)
			bh_wire_fail(w, -ENOMEM);
	}
	return bh_wire_end(w);
}

int bh_control_typed_read(const char *data, size_t n, char ret_verb[BH_CONTROL_VERB_MAX + 1], json_t **ret)
{
	struct bh_wire w = {.in = data, .n = n};
	_cleanup_free_ char *verb = NULL;
	json_t *doc = json_object();
	int r;

	if (!doc)
		return -ENOMEM;
	bh_wire_text(&w, &verb, BH_CONTROL_VERB_MAX, BH_WIRE_WORD);
	r = args_read(&w, doc);
	if (r < 0) {
		json_decref(doc);
		return r;
	}
	memcpy(ret_verb, verb, strlen(verb) + 1);
	*ret = doc;
	return 0;
}
