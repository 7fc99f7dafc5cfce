/* SPDX-License-Identifier: Apache-2.0 */
#include "events.h"

#include <bulkhead/buf.h>

#include <errno.h>
#include <string.h>

struct bh_events {
	struct bh_event v[BH_EVENTS_MAX];	/* seq N is at N % BH_EVENTS_MAX */
	uint64_t seq;
	struct {
		bh_event_fn fn;
		void *userdata;
	} listeners[BH_EVENTS_LISTENERS];
};

int bh_events_new(struct bh_events **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

static void event_clear(struct bh_event *x)
{
	free(x->text);
	for (size_t i = 0; i < x->n_fields; i++)
		free(x->fields[i].value);
	memset(x, 0, sizeof(*x));
}

void bh_events_free(struct bh_events *e)
{
	for (size_t i = 0; e && i < BH_EVENTS_MAX; i++)
		event_clear(&e->v[i]);
	free(e);
}

static char *safe_copy(const char *s, size_t max)
{
	_cleanup_buf_ struct bh_buf b = {0};
	char *text = NULL;

	bh_buf_put_safe(&b, s, max);
	return bh_buf_steal(&b, &text) < 0 ? NULL : text;
}

struct bh_event *bh_events_add(struct bh_events *e, uint64_t usec, int priority, const char *what, const char *text)
{
	struct bh_event *x = &e->v[(e->seq + 1) % BH_EVENTS_MAX];
	char *copy = safe_copy(text, BH_EVENT_TEXT_MAX);

	if (!copy)
		return NULL;
	event_clear(x);
	*x = (struct bh_event){.seq = ++e->seq, .usec = usec, .priority = priority, .what = what, .text = copy};
	return x;
}

void bh_event_field(struct bh_event *x, const char *name, const char *value)
{
	char *copy = x && value && x->n_fields < BH_EVENT_FIELDS_MAX ? safe_copy(value, BH_EVENT_VALUE_MAX) : NULL;

	if (!copy)
		return;
	x->fields[x->n_fields].name = name;
	x->fields[x->n_fields++].value = copy;
}

void bh_events_done(struct bh_events *e, const struct bh_event *x)
{
	for (size_t i = 0; x && i < BH_EVENTS_LISTENERS && e->listeners[i].fn; i++)
		e->listeners[i].fn(e->listeners[i].userdata, x);
}

void bh_events_on(struct bh_events *e, bh_event_fn fn, void *userdata)
{
	for (size_t i = 0; i < BH_EVENTS_LISTENERS; i++) {
		if (e->listeners[i].fn && (e->listeners[i].fn != fn || e->listeners[i].userdata != userdata))
			continue;
		e->listeners[i].fn = fn;
		e->listeners[i].userdata = userdata;
		return;
	}
}

uint64_t bh_events_seq(const struct bh_events *e)
{
	return e->seq;
}

const struct bh_event *bh_events_next(const struct bh_events *e, uint64_t seq)
{
	uint64_t first = e->seq > BH_EVENTS_MAX ? e->seq - BH_EVENTS_MAX + 1 : 1;
	uint64_t next = seq + 1 > first ? seq + 1 : first;

	return next <= e->seq ? &e->v[next % BH_EVENTS_MAX] : NULL;
}
