/* SPDX-License-Identifier: Apache-2.0 */
#include "gather.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <time.h>

void bh_gathered_clear(struct bh_gathered *g)
{
	bh_vec_foreach(s, &g->strays)
		free(*s);
	bh_vec_foreach(i, &g->gone) {
		free((*i)->name);
		free((*i)->value);
		free(*i);
	}
	bh_strv_clear(&g->texts);
	bh_vec_clear(&g->flows);
	bh_vec_clear(&g->kinds);
	bh_vec_clear(&g->strays);
	bh_vec_clear(&g->gone);
	bh_vec_clear(&g->members);
}

static const char *name_of(const struct bh_member *m)
{
	return m->container->name ? m->container->name : m->container->id;
}

static int member_cmp(const void *va, const void *vb)
{
	return strcmp(name_of(*(const struct bh_member *const *)va), name_of(*(const struct bh_member *const *)vb));
}

static int members_sort(const struct bh_manager *m, struct bh_gathered *g)
{
	bh_vec_foreach(x, &m->round.placement->members)
		if (bh_vec_push(&g->members, x) < 0)
			return -ENOMEM;
	if (g->members.n > 1)
		qsort(g->members.v, g->members.n, sizeof(*g->members.v), member_cmp);
	return 0;
}

static const struct bh_member *member_find(const struct bh_gathered *g, const char *name)
{
	size_t lo = 0, hi = g->members.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int r = strcmp(name, name_of(g->members.v[mid]));

		if (r == 0)
			return g->members.v[mid];
		if (r < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

/* The zone of that name, or of a value that nobody has now. *RET stays NULL for none. 0 or -ENOMEM. */
static int zone_find(const struct bh_manager *m, struct bh_gathered *g, const char *name, const struct bh_zone_inst **ret)
{
	const struct bh_policy *p = m->config.policy;
	const char *colon = strchr(name, ':');
	struct bh_zone_inst *i;

	bh_vec_foreach(x, &m->round.placement->insts)
		if (strcmp(x->name, name) == 0) {
			*ret = x;
			return 0;
		}
	bh_vec_foreach(x, &g->gone)
		if (strcmp((*x)->name, name) == 0) {
			*ret = *x;
			return 0;
		}
	/* a name with a backslash was made safe, and is not the value any more */
	for (size_t z = 0; colon && colon[1] && !strchr(colon, '\\') && z < p->zones.n; z++) {
		if (p->zones.v[z].per == BH_PER_NONE || strlen(p->zones.v[z].name) != (size_t)(colon - name) ||
			strncmp(p->zones.v[z].name, name, (size_t)(colon - name)) != 0)
			continue;
		i = calloc(1, sizeof(*i));
		if (!i || bh_vec_push(&g->gone, i) < 0) {
			free(i);
			return -ENOMEM;
		}
		i->zone = (int)z;
		*ret = i;
		return bh_strdup(&i->name, name) < 0 ? -ENOMEM : bh_strdup(&i->value, colon + 1);
	}
	return 0;
}

static bool is_of_containers(const struct bh_policy *p, const struct bh_zone_inst *i)
{
	const struct bh_zone *z = bh_inst_zone(p, i);

	return i->builtin == BH_BUILTIN_QUARANTINE || i->builtin == BH_BUILTIN_BUILD || (z && z->kind == BH_ZONE_CONTAINERS);
}

static int stray_new(struct bh_gathered *g, const struct bh_stray *what, const struct bh_stray **ret)
{
	struct bh_stray *s = malloc(sizeof(*s));

	if (!s)
		return -ENOMEM;
	*s = *what;
	if (bh_vec_push(&g->strays, s) < 0) {
		free(s);
		return -ENOMEM;
	}
	*ret = s;
	return 0;
}

static bool is_stray(const struct bh_zone_inst *i, const char *reason)
{
	return i && i->builtin == BH_BUILTIN_QUARANTINE && bh_streq(reason, BH_REASON_NO_ZONE);
}

/* Who NAME, in ZONE when it was denied, is now, or was. */
static int end_find(const struct bh_manager *m, struct bh_gathered *g, const char *name, const char *zone, const struct bh_zone_inst **ret,
	const struct bh_stray **ret_stray)
{
	const struct bh_person *person;
	const struct bh_member *member;
	struct bh_stray stray = {.name = name};
	int r = zone_find(m, g, zone, ret);

	if (r < 0 || !*ret || !is_of_containers(m->config.policy, *ret))
		return r;
	member = member_find(g, name);
	person = member ? NULL : bh_people_find(&m->people, name);
	if (member) {
		*ret = &m->round.placement->insts.v[member->inst];
		stray.image = member->container->image;
		bh_container_compose(member->container, &stray.project, &stray.service);
	} else if (person) {
		stray.image = person->image;
		stray.project = person->project;
		stray.service = person->service;
	}
	if (is_stray(*ret, member ? member->reason : person ? person->reason : NULL))
		return stray_new(g, &stray, ret_stray);
	return 0;
}

static void time_text(uint64_t usec, char ret[32])
{
	time_t t = (time_t)(usec / 1000000);
	struct tm tm;

	if (!gmtime_r(&t, &tm) || strftime(ret, 32, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		ret[0] = '\0';
}

static int when_text(struct bh_gathered *g, const struct bh_kind *k, const char **ret)
{
	_cleanup_buf_ struct bh_buf b = {0};
	char first[32], last[32];

	time_text(k->first_usec, first);
	time_text(k->last_usec, last);
	bh_buf_printf(&b, "%s %llu time%s, %s%s%s UTC", k->audit ? "would be denied" : "denied", (unsigned long long)k->count, k->count == 1 ? "" : "s",
		first, strcmp(first, last) == 0 ? "" : " to ", strcmp(first, last) == 0 ? "" : strncmp(first, last, 10) == 0 ? last + 11 : last);
	if (b.err || bh_strv_push(&g->texts, b.s) < 0)
		return -ENOMEM;
	*ret = g->texts.v[g->texts.n - 1];
	return 0;
}

static struct bh_port port_of(const struct bh_kind *k)
{
	struct bh_port p = {.proto = k->proto == IPPROTO_ICMPV6 ? IPPROTO_ICMP : k->proto, .all = k->port <= 0};

	if (!p.all)
		p.first = p.last = (uint16_t)k->port;
	return p;
}

/* What a container sends to everybody while nobody knows it yet is noise, too. */
static bool is_group(const struct bh_addr *a)
{
	return (a->family == 4 && a->b[0] >= 224) || (a->family == 6 && a->b[0] == 0xff);
}

struct gathering {
	struct bh_manager *m;
	struct bh_gathered *g;
	const char *name;
	int r;
};

static void kind_add(void *userdata, struct bh_kind *k)
{
	struct gathering *x = userdata;
	struct bh_denied_flow f = {.from_name = k->from, .to_name = k->to, .port = port_of(k)};

	if (x->r < 0 || k->class == BH_CLASS_NOISE || (k->class == BH_CLASS_UNKNOWN && is_group(&k->to_addr)) || (x->name && strcmp(k->from, x->name) != 0 && strcmp(k->to, x->name) != 0))
		return;
	x->r = end_find(x->m, x->g, k->from, k->from_zone, &f.from, &f.from_stray);
	if (x->r == 0)
		x->r = end_find(x->m, x->g, k->to, k->to_zone, &f.to, &f.to_stray);
	if (x->r == 0)
		x->r = when_text(x->g, k, &f.when);
	if (x->r == 0 && (bh_vec_push(&x->g->flows, f) < 0 || bh_vec_push(&x->g->kinds, k) < 0))
		x->r = -ENOMEM;
}

int bh_gather(struct bh_manager *m, const char *name, struct bh_gathered *ret)
{
	struct gathering x = {.m = m, .g = ret, .name = name};

	*ret = (struct bh_gathered){0};
	bh_denials_now(m);
	x.r = members_sort(m, ret);
	if (x.r == 0)
		bh_kinds_each(m->kinds, kind_add, &x);
	if (x.r < 0)
		bh_gathered_clear(ret);
	return x.r;
}
