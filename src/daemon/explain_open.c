/* SPDX-License-Identifier: Apache-2.0 */
/* The answer to a question without a port: all that is open. */
#include "explain.h"

#include <errno.h>

json_t *explain_addr(const struct bh_addr *a)
{
	char text[BH_ADDR_TEXT];

	return a->family ? json_string(bh_addr_text(a, text)) : json_null();
}

static json_t *opening_json(const struct explain *x, const struct bh_opening *o)
{
	char text[BH_PORT_TEXT];

	return json_pack("{s:s, s:o, s:b}", "ports", o->all ? "any" : bh_port_text(&o->port, text), "source",
		explain_place(&x->policy->allow.v[o->rule].loc), "resolver", o->dns);
}

/* What of the published ports of this host FROM may open. */
static int published_open(const struct explain *x, const struct bh_party *from, json_t *list)
{
	bh_vec_foreach(m, &x->round->placement->members)
		bh_vec_foreach(p, &m->container->published) {
			const struct bh_party to = {.inst = m->inst, .member = m};
			const struct bh_question q = {.proto = p->proto, .port = p->container_port};
			const struct bh_judgement v = bh_judge_parties(x->judge, &q, from, &to);
			char addr[BH_ADDR_TEXT], text[BH_PORT_TEXT];
			struct bh_port port = {.proto = p->proto, .first = p->host_port, .last = p->host_port};

			if (v.why == BH_WHY_RULE && json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:o}", "address", bh_addr_text(&p->host, addr),
				"port", bh_port_text(&port, text), "container", bh_json_text(bh_party_name(x->judge, &to)), "source",
				explain_place(&x->policy->allow.v[v.rule].loc))) < 0)
				return -ENOMEM;
		}
	return 0;
}

json_t *explain_open_json(const struct explain *x, const struct explain_way *w, bool *ret_all)
{
	struct bh_openings open = {0};
	json_t *list = json_array(), *published = json_array();
	int r = bh_judge_open(x->judge, &w->v.from, &w->v.to, &w->q.to, &open);

	*ret_all = w->own || w->v.why == BH_WHY_NOT_OURS;
	bh_vec_foreach(o, &open.v) {
		*ret_all = *ret_all || o->all;
		if (r == 0 && json_array_append_new(list, opening_json(x, o)) < 0)
			r = -ENOMEM;
	}
	bh_vec_clear(&open.v);
	if (r == 0 && w->v.from.inst != BH_NOBODY && w->v.to.inst != BH_NOBODY &&
		x->round->placement->insts.v[w->v.to.inst].builtin == BH_BUILTIN_HOST)
		r = published_open(x, &w->v.from, published);
	if (r == 0)
		return json_pack("{s:o, s:o, s:s?, s:s?, s:o, s:o, s:b, s:o, s:o}", "from", explain_addr(&w->q.from), "to", explain_addr(&w->q.to), "from_interface",
			w->q.from_dev, "to_interface", w->q.to_dev, "from_zone", bh_json_text(bh_party_zone(x->judge, &w->v.from)), "to_zone",
			bh_json_text(bh_party_zone(x->judge, &w->v.to)), "all", *ret_all, "open", list, "published", published);
	json_decref(list);
	json_decref(published);
	return NULL;
}
