/* SPDX-License-Identifier: Apache-2.0 */
/* Who is meant by a word: a container by its name or id, an address, a zone, a Compose service. */
#include "explain.h"

#include <bulkhead/near.h>

#include <errno.h>
#include <string.h>

#define ID_LEAST 4		/* digits of an id that are enough to mean one */
#define SHARE_DEPTH 16

const char *explain_place_text(const struct bh_loc *loc, char ret[BH_EXPLAIN_PLACE])
{
	if (loc->line)
		snprintf(ret, BH_EXPLAIN_PLACE, "%s:%u", loc->file ? loc->file : "", loc->line);
	else
		snprintf(ret, BH_EXPLAIN_PLACE, "%s", loc->file ? loc->file : "");
	return ret;
}

json_t *explain_place(const struct bh_loc *loc)
{
	char text[BH_EXPLAIN_PLACE];

	return loc->file ? bh_json_text(explain_place_text(loc, text)) : json_null();
}

static json_t *refs_json(const struct bh_zone_ref *refs, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		_cleanup_buf_ struct bh_buf b = {0};

		bh_buf_printf(&b, "%s%s", refs[i].name, refs[i].value ? ":" : "");
		bh_buf_put_safe(&b, refs[i].value ? refs[i].value : "", 64);
		(void)json_array_append_new(list, bh_json_text(b.s ? b.s : ""));
	}
	return list;
}

json_t *explain_rule(const struct explain *x, size_t rule)
{
	const struct bh_rule *r = &x->policy->allow.v[rule];
	json_t *ports = json_array();
	char text[BH_PORT_TEXT];

	bh_vec_foreach(p, &r->ports)
		(void)json_array_append_new(ports, json_string(bh_port_text(p, text)));
	return json_pack("{s:o, s:o, s:o, s:o}", "source", explain_place(&r->loc), "from", refs_json(r->from.v, r->from.n), "to",
		refs_json(r->to.v, r->to.n), "ports", ports);
}

/* ---- finding */

static const struct bh_member *member_of(const struct explain *x, const char *id)
{
	bh_vec_foreach(m, &x->round->placement->members)
		if (bh_streq(m->container->id, id))
			return m;
	return NULL;
}

/* Whose network namespace M is in. */
static const struct bh_member *owner_of(const struct explain *x, const struct bh_member *m)
{
	for (int i = 0; m && m->shares_netns && i < SHARE_DEPTH; i++)
		m = member_of(x, m->container->netns_owner);
	return m && !m->shares_netns ? m : NULL;
}

static void container_set(const struct explain *x, const struct bh_member *m, struct explain_who *w)
{
	w->kind = EXPLAIN_CONTAINER;
	w->member = m;
	w->owner = owner_of(x, m);
	w->party = (struct bh_party){.inst = m->inst, .member = m};
	w->known = w->owner && w->owner->attachments.n > 0;
	if (w->owner && w->owner->container->netmode == BH_NETMODE_HOST) {	/* to the rules it is the host */
		w->party = (struct bh_party){.inst = bh_judge_inst(x->judge, "host")};
		w->known = true;
		w->note = "uses the host's network: what it sends and gets counts as the host's";
	}
}

static bool is_id(const char *s)
{
	return strlen(s) >= ID_LEAST && strspn(s, "0123456789abcdef") == strlen(s);
}

/* The container called S, or the only one whose id begins so. -EEXIST: several. */
static int find_container(const struct explain *x, const char *s, struct explain_who *w)
{
	const struct bh_member *found = NULL;

	bh_vec_foreach(m, &x->round->placement->members)
		if (bh_streq(m->container->name, s)) {
			container_set(x, m, w);
			return 0;
		}
	if (!is_id(s))
		return -ENOENT;
	bh_vec_foreach(m, &x->round->placement->members) {
		if (strncmp(m->container->id, s, strlen(s)) != 0)
			continue;
		if (found)
			return -EEXIST;
		found = m;
	}
	if (!found)
		return -ENOENT;
	container_set(x, found, w);
	return 0;
}

/* The container of a Compose service: the name by which its neighbours call it. -EEXIST: several. */
static int find_service(const struct explain *x, const char *s, struct explain_who *w)
{
	const struct bh_member *found = NULL;

	bh_vec_foreach(m, &x->round->placement->members) {
		if (!bh_streq(bh_container_label(m->container, "com.docker.compose.service"), s))
			continue;
		if (found)
			return -EEXIST;
		found = m;
	}
	if (!found)
		return -ENOENT;
	container_set(x, found, w);
	w->note = "asked for by the name of its Compose service";
	return 0;
}

/* -EEXIST: a union of zones. */
static int find_zone(const struct explain *x, const char *s, struct explain_who *w)
{
	size_t inst = bh_judge_inst(x->judge, s);

	switch (bh_builtin_from_name(s)) {
	case BH_BUILTIN_WORLD:
	case BH_BUILTIN_ANY:
	case BH_BUILTIN_CONTAINERS:
		return -EEXIST;
	default:
		break;
	}
	if (inst == BH_NOBODY)
		return -ENOENT;
	w->kind = EXPLAIN_ZONE;
	w->party = (struct bh_party){.inst = inst};
	w->known = true;
	return 0;
}

/* A container by one of its addresses is that container there; what else is at an address is asked of the judge. */
static void address_set(const struct explain *x, const struct bh_addr *a, struct explain_who *w)
{
	const struct bh_party p = bh_judge_who(x->judge, a, NULL);

	if (p.member) {
		container_set(x, p.member, w);
		w->addr = *a;
		return;
	}
	w->kind = EXPLAIN_ADDRESS;
	w->addr = *a;
	w->party = p;
}

/* ---- what was meant */

static int unknown(const struct explain *x, const char *asked, struct bh_error *err)
{
	const struct bh_placement *p = x->round->placement;
	_cleanup_free_ const char **names = calloc(p->members.n + p->insts.n + 1, sizeof(*names));
	const char *near;
	size_t n = 0;

	if (!names)
		return bh_fail(err, -ENOMEM, "out of memory");
	bh_vec_foreach(m, &p->members)
		names[n++] = m->container->name;
	bh_vec_foreach(i, &p->insts)
		names[n++] = i->name;
	near = bh_near(asked, names, n);
	if (near)
		return bh_fail(err, -ENOENT, "nobody is called '%s': did you mean '%s'?", asked, near);
	return bh_fail(err, -ENOENT, "nobody is called '%s': name a container, an address or a zone (bulkhead status shows them)", asked);
}

static int several(const char *asked, const char *what, struct bh_error *err)
{
	return bh_fail(err, -ENOENT, "'%s' means several: %s", asked, what);
}

int explain_who_find(const struct explain *x, const char *asked, struct explain_who *ret, struct bh_error *err)
{
	struct explain_who w = {.asked = asked};
	struct bh_addr addr;
	int r;

	if (strncmp(asked, "zone:", 5) == 0 && find_zone(x, asked + 5, &w) == 0) {
		*ret = w;
		return 0;
	}
	r = find_container(x, asked, &w);
	if (r == -EEXIST)
		return several(asked, "more digits of the container's id", err);
	if (r == 0 && bh_judge_inst(x->judge, asked) != BH_NOBODY && !w.note)
		w.note = "the container is meant; for the zone of that name say zone:NAME";
	if (r < 0 && bh_addr_parse(asked, &addr) == 0) {
		address_set(x, &addr, &w);
		r = 0;
	}
	if (r < 0)
		r = find_zone(x, asked, &w);
	if (r == -EEXIST)
		return several(asked, "ask for one zone, such as lan or internet", err);
	if (r < 0)
		r = find_service(x, asked, &w);
	if (r == -EEXIST)
		return several(asked, "more than one container of that Compose service runs: name the container", err);
	if (r < 0)
		return unknown(x, asked, err);
	*ret = w;
	return 0;
}

/* ---- saying it */

static const char *enforced_name(enum bh_enforced e)
{
	return e == BH_ENFORCED_FULL ? "full" : e == BH_ENFORCED_PARTIAL ? "partial" : "none";
}

/* Why an address or a zone is what it is. */
static void zone_reason(const struct explain *x, const struct explain_who *w, struct bh_buf *b)
{
	const struct bh_zone_inst *i = w->party.inst == BH_NOBODY ? NULL : &x->round->placement->insts.v[w->party.inst];
	const struct bh_zone *z = i ? bh_inst_zone(x->policy, i) : NULL;

	if (!i)
		bh_buf_puts(b, "an address of a container network that no container holds");
	else if (z)
		bh_buf_printf(b, "zone %s (%s:%u)", z->name, z->loc.file, z->loc.line);
	else if (i->builtin == BH_BUILTIN_HOST)
		bh_buf_puts(b, w->kind == EXPLAIN_ADDRESS ? "an address of this host" : "this host itself");
	else if (i->builtin == BH_BUILTIN_INTERNET)
		bh_buf_puts(b, "in no other zone");
	else
		bh_buf_puts(b, "built in");
}

static json_t *addrs_json(const struct explain_who *w)
{
	json_t *list = json_array();
	char text[BH_ADDR_TEXT];

	if (w->owner)
		bh_vec_foreach(e, &w->owner->container->endpoints)
			bh_vec_foreach(a, &e->addrs)
				(void)json_array_append_new(list, json_string(bh_addr_text(a, text)));
	else if (w->addr.family)
		(void)json_array_append_new(list, json_string(bh_addr_text(&w->addr, text)));
	return list;
}

json_t *explain_who_json(const struct explain *x, const struct explain_who *w)
{
	static const char *const kinds[] = {[EXPLAIN_CONTAINER] = "container", [EXPLAIN_ADDRESS] = "address", [EXPLAIN_ZONE] = "zone"};
	_cleanup_buf_ struct bh_buf reason = {0};
	const struct bh_container *c = w->member ? w->member->container : NULL;
	const struct bh_member *net = w->owner ? w->owner : w->member;
	char addr[BH_ADDR_TEXT];
	const char *name = c ? (c->name ? c->name : c->id) : w->kind == EXPLAIN_ADDRESS ? bh_addr_text(&w->addr, addr) : w->asked;
	const char *zone = w->member ? x->round->placement->insts.v[w->member->inst].name : bh_party_zone(x->judge, &w->party);

	if (!w->member)
		zone_reason(x, w, &reason);
	return json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:s, s:o, s:o, s:s?, s:o}", "asked", bh_json_text(w->asked), "kind", kinds[w->kind], "name",
		bh_json_text(name), "id", bh_json_text(c ? c->id : NULL), "zone", bh_json_text(zone), "reason",
		bh_json_text(w->member ? w->member->reason : reason.s), "source", w->member ? explain_place(&w->member->loc) : json_null(), "enforced",
		net ? enforced_name(net->enforced) : "full", "unenforced_reason", bh_json_text(net ? net->unenforced_reason : NULL), "addresses",
		addrs_json(w), "note", w->note, "posture", net && c ? bh_posture_json(net) : json_null());
}
