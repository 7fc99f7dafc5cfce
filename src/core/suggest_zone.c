/* SPDX-License-Identifier: Apache-2.0 */
/* Zones for who has none: services that do the same are one. */
#include "suggest_priv.h"

#include <bulkhead/yaml.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>


/* What selects it, and nobody else: patterns cannot say `*` and `?` themselves. */
static bool is_fit(const struct bh_stray *w)
{
	if (w->project && w->service)
		return !strpbrk(w->project, "*?/") && !strpbrk(w->service, "*?/") && *w->project && *w->service;
	return *w->name && !strpbrk(w->name, "*?");
}

static bool is_same_unit(const struct bh_stray *a, const struct bh_stray *b)
{
	if (a->project && a->service)
		return bh_streq(a->project, b->project) && bh_streq(a->service, b->service);
	return !(b->project && b->service) && bh_streq(a->name, b->name);
}

static int unit_cmp(const void *va, const void *vb)
{
	const struct bh_stray *a = ((const struct unit *)va)->who, *b = ((const struct unit *)vb)->who;
	const bool x = a->project && a->service, y = b->project && b->service;
	int r;

	if (x != y)
		return x ? -1 : 1;
	if (!x)
		return strcmp(a->name, b->name);
	r = strcmp(a->project, b->project);
	return r ? r : strcmp(a->service, b->service);
}

static int unit_add(struct suggester *s, const struct bh_stray *who)
{
	struct unit u = {.who = who, .unfit = !is_fit(who)};

	return bh_vec_push(&s->units, u);
}

/* The index of WHO's unit; the units are sorted. */
static size_t unit_of(const struct suggester *s, const struct bh_stray *who)
{
	const struct unit want = {.who = who};
	const struct unit *u = s->units.n ? bsearch(&want, s->units.v, s->units.n, sizeof(want), unit_cmp) : NULL;

	return u ? (size_t)(u - s->units.v) : NO_UNIT;
}

static struct node node_of(const struct suggester *s, const struct bh_zone_inst *inst, const struct bh_stray *who)
{
	struct node n = {.inst = who ? NULL : inst, .unit = who ? unit_of(s, who) : NO_UNIT};

	return n;
}

int suggest_units(struct suggester *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n_flows; i++)
		if ((s->flows[i].from_stray && unit_add(s, s->flows[i].from_stray) < 0) ||
			(s->flows[i].to_stray && unit_add(s, s->flows[i].to_stray) < 0))
			return -ENOMEM;
	if (s->units.n > 1)
		qsort(s->units.v, s->units.n, sizeof(*s->units.v), unit_cmp);
	for (size_t i = 0; i < s->units.n; i++)
		if (n == 0 || !is_same_unit(s->units.v[n - 1].who, s->units.v[i].who))
			s->units.v[n++] = s->units.v[i];
	s->units.n = n;
	s->from = calloc(s->n_flows + 1, sizeof(*s->from));
	s->to = calloc(s->n_flows + 1, sizeof(*s->to));
	if (!s->from || !s->to)
		return -ENOMEM;
	for (size_t i = 0; i < s->n_flows; i++) {
		s->from[i] = node_of(s, s->flows[i].from, s->flows[i].from_stray);
		s->to[i] = node_of(s, s->flows[i].to, s->flows[i].to_stray);
	}
	return 0;
}

/* One thing that a unit does: whom it talks to, or who to it. */
struct deed {
	size_t unit;
	bool in;
	struct node peer;
	uint8_t proto;
	uint32_t first, last;
};

#define CMP(a, b) \
	if ((a) != (b)) \
		return (a) < (b) ? -1 : 1

/* Without the unit that does it. */
static int deed_cmp_alone(const struct deed *a, const struct deed *b)
{
	CMP(a->in, b->in);
	CMP((uintptr_t)a->peer.inst, (uintptr_t)b->peer.inst);
	CMP(a->peer.unit, b->peer.unit);
	CMP(a->proto, b->proto);
	CMP(a->first, b->first);
	CMP(a->last, b->last);
	return 0;
}

static int deed_cmp(const void *va, const void *vb)
{
	const struct deed *a = va, *b = vb;

	CMP(a->unit, b->unit);
	return deed_cmp_alone(a, b);
}

struct deeds {
	BH_VEC(struct deed) v;	/* sorted, each once */
};

static int deed_add(struct deeds *d, size_t unit, bool in, struct node peer, const struct bh_denied_flow *f)
{
	const bool whole = f->port.all;
	struct deed x = {.unit = unit, .in = in, .peer = peer, .proto = f->port.proto, .first = whole ? 0 : f->port.first,
		.last = whole ? UINT32_MAX : f->port.last};

	return unit == NO_UNIT ? 0 : bh_vec_push(&d->v, x);
}

static int deeds_collect(const struct suggester *s, struct deeds *d)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n_flows; i++)
		if (deed_add(d, s->from[i].unit, false, s->to[i], &s->flows[i]) < 0 ||
			deed_add(d, s->to[i].unit, true, s->from[i], &s->flows[i]) < 0)
			return -ENOMEM;
	if (d->v.n > 1)
		qsort(d->v.v, d->v.n, sizeof(*d->v.v), deed_cmp);
	for (size_t i = 0; i < d->v.n; i++)
		if (n == 0 || deed_cmp(&d->v.v[n - 1], &d->v.v[i]) != 0)
			d->v.v[n++] = d->v.v[i];
	d->v.n = n;
	return 0;
}

/* The first deed of UNIT. */
static size_t deeds_of(const struct deeds *d, size_t unit)
{
	size_t lo = 0, hi = d->v.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (d->v.v[mid].unit < unit)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Whether A and B have the same peers at the same ports; of two that talk to each other each is a peer that the other has not. */
static bool do_the_same(const struct deeds *d, size_t a, size_t b)
{
	size_t i = deeds_of(d, a), k = deeds_of(d, b);

	for (; i < d->v.n && d->v.v[i].unit == a && k < d->v.n && d->v.v[k].unit == b; i++, k++)
		if (deed_cmp_alone(&d->v.v[i], &d->v.v[k]) != 0)
			return false;
	return (i == d->v.n || d->v.v[i].unit != a) && (k == d->v.n || d->v.v[k].unit != b);
}

static bool is_taken(const struct suggester *s, const char *name)
{
	if (bh_builtin_from_name(name) != BH_BUILTIN_NONE || bh_policy_find_zone(s->policy, name) >= 0)
		return true;
	bh_vec_foreach(g, &s->groups)
		if (bh_streq(g->inst.name, name))
			return true;
	return false;
}

/* A zone's name of a-z, 0-9 and `-` that no other has: "shop-api", "api" where that is too long, with a number where it is taken. */
static char *zone_name(const struct suggester *s, const struct bh_stray *w)
{
	char text[BH_ZONE_NAME_MAX + 1], full[BH_ZONE_NAME_MAX + 16];
	const char *own = w->project && w->service ? w->service : w->name;
	_cleanup_buf_ struct bh_buf b = {0};
	size_t n = 0;

	if (w->project && w->service && strlen(w->project) + 1 + strlen(own) <= BH_ZONE_NAME_MAX)
		bh_buf_printf(&b, "%s-", w->project);
	bh_buf_puts(&b, own);
	for (const char *c = b.err ? "" : b.s; *c && n < sizeof(text) - 4; c++) {
		bool plain = (*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9');
		bool upper = *c >= 'A' && *c <= 'Z';

		if (plain || upper)
			text[n++] = (char)(upper ? *c - 'A' + 'a' : *c);
		else if (n > 0 && text[n - 1] != '-')
			text[n++] = '-';
	}
	while (n > 0 && text[n - 1] == '-')
		n--;
	text[n] = '\0';
	snprintf(full, sizeof(full), "%s", n ? text : "zone");
	for (unsigned i = 2; is_taken(s, full) && i < 100000; i++)
		snprintf(full, sizeof(full), "%.25s-%u", n ? text : "zone", i);
	return strdup(full);
}

static int group_add(struct suggester *s, size_t unit)
{
	struct group *g = bh_vec_add(&s->groups);

	if (!g)
		return -ENOMEM;
	g->inst.zone = (int)(s->policy->zones.n + s->groups.n - 1);
	g->inst.name = zone_name(s, s->units.v[unit].who);
	s->units.v[unit].group = s->groups.n - 1;
	return g->inst.name ? bh_vec_push(&g->units, unit) : -ENOMEM;
}

int suggest_groups(struct suggester *s)
{
	struct deeds deeds = {0};
	int r = deeds_collect(s, &deeds);

	for (size_t u = 0; r == 0 && u < s->units.n; u++) {
		const struct bh_stray *w = s->units.v[u].who;
		size_t same = s->groups.n;

		if (s->units.v[u].unfit)
			continue;
		/* sorted: the services of a project lie together */
		for (size_t g = s->groups.n; w->project && w->service && g-- > 0 && same == s->groups.n;) {
			const size_t first = s->groups.v[g].units.v[0];

			if (!bh_streq(s->units.v[first].who->project, w->project) || !s->units.v[first].who->service)
				break;
			if (do_the_same(&deeds, first, u))
				same = g;
		}
		if (same == s->groups.n) {
			r = group_add(s, u);
		} else {
			s->units.v[u].group = same;
			r = bh_vec_push(&s->groups.v[same].units, u);
		}
	}
	bh_vec_clear(&deeds.v);
	return r;
}

/* Docker's own: two words of small letters with a line between them, perhaps a digit. */
static bool looks_made_up(const char *name)
{
	const char *bar = strchr(name, '_');
	size_t a = strspn(name, "abcdefghijklmnopqrstuvwxyz");

	return bar && a > 2 && name + a == bar && strspn(bar + 1, "abcdefghijklmnopqrstuvwxyz") > 2 &&
		bar[1 + strspn(bar + 1, "abcdefghijklmnopqrstuvwxyz0123456789")] == '\0';
}

static void put_service(struct bh_buf *out, const struct bh_stray *w)
{
	_cleanup_buf_ struct bh_buf one = {0};

	bh_buf_printf(&one, "%s/%s", w->project, w->service);
	if (one.err)
		out->err = one.err;
	else
		bh_yaml_put_text(out, one.s);
}

static void put_zone(const struct suggester *s, const struct group *g, struct bh_buf *out)
{
	const struct bh_stray *w = s->units.v[g->units.v[0]].who;

	if (g->units.n > 1)
		bh_buf_printf(out, "  # %zu services that do the same\n", g->units.n);
	if (!(w->project && w->service) && looks_made_up(w->name) && w->image && strncmp(w->image, "sha256:", 7) != 0) {
		bh_buf_puts(out, "  # if Docker made this name up, select: {image: ");
		bh_yaml_put_text(out, w->image);
		bh_buf_puts(out, "}\n");
	}
	bh_buf_puts(out, "  ");
	bh_yaml_put_text(out, g->inst.name);
	bh_buf_puts(out, ":\n    select: {");
	if (w->project && w->service) {
		bh_buf_puts(out, g->units.n > 1 ? "compose: [" : "compose: ");
		for (size_t i = 0; i < g->units.n; i++) {
			bh_buf_puts(out, i ? ", " : "");
			put_service(out, s->units.v[g->units.v[i]].who);
		}
		bh_buf_puts(out, g->units.n > 1 ? "]" : "");
	} else {
		bh_buf_puts(out, "name: ");
		bh_yaml_put_text(out, w->name);
	}
	bh_buf_puts(out, "}\n");
}

void suggest_print_zones(const struct suggester *s, struct bh_buf *out)
{
	bh_vec_foreach(u, &s->units)
		if (u->unfit) {
			bh_buf_puts(out, "  # no selector can name ");
			bh_buf_put_safe(out, u->who->name, 64);
			bh_buf_puts(out, " and nobody else: give it a label\n");
		}
	bh_vec_foreach(g, &s->groups)
		put_zone(s, g, out);
}
