/* SPDX-License-Identifier: Apache-2.0 */
/* What Docker's and this host's own rules make of a connection that bulkhead lets pass: read from nf_tables, by iptables-nft or not, and walked in three
 * values. bulkhead only subtracts: what they drop stays dropped. */
#include "explain.h"

#include <errno.h>
#include <string.h>

static const char *const hooks[] = {
	[BH_FOREIGN_NO_HOOK] = "", [BH_FOREIGN_PREROUTING] = "prerouting", [BH_FOREIGN_INPUT] = "input", [BH_FOREIGN_FORWARD] = "forward",
	[BH_FOREIGN_OUTPUT] = "output",
};

/* One answer: {"where", "does": "drop|pass|unknown", "text"}. */
static int row_add(json_t *list, const char *where, const char *does, const char *text)
{
	return json_array_append_new(list, json_pack("{s:o, s:s, s:s}", "where", bh_json_text(where), "does", does, "text", text)) < 0 ? -ENOMEM : 0;
}

/* "ip filter DOCKER-USER (forward)" */
static void place_text(const struct bh_foreign *f, enum bh_foreign_hook hook, char ret[128])
{
	const struct bh_foreign_table *t = f->drop_table;

	if (!t)
		snprintf(ret, 128, "iptables-legacy");
	else
		snprintf(ret, 128, "%s %.48s %.48s (%s)", t->family == 4 ? "ip" : t->family == 6 ? "ip6" : "inet", t->name, f->drop_chain ? f->drop_chain : "",
			hooks[hook]);
}

/* What HOOK says. 1 when it drops for sure. */
static int ask(struct bh_foreign *f, const struct bh_foreign_packet *p, enum bh_foreign_hook hook, bool maybe, json_t *list)
{
	unsigned o = bh_foreign_ask(f, p, hook, false, NULL);
	char where[128];
	int r;

	if (!(o & BH_OUTCOME_DROP))
		return 0;
	place_text(f, hook, where);
	if (o == BH_OUTCOME_DROP && !maybe) {
		r = row_add(list, where, "drop", "drops it: not bulkhead's rule, but Docker's or this host's own");
		return r < 0 ? r : 1;
	}
	return row_add(list, where, "unknown", f->drop_table ? "not known: it may drop it, by something that bulkhead does not read" :
		"not known: its rules cannot be read");
}

/* The container's address and bridge that DNAT leads to. */
static bool dnat_to(const struct explain_way *w, struct bh_foreign_packet *p)
{
	const struct bh_member *m = w->v.to.member;

	bh_vec_foreach(at, &m->attachments)
		bh_vec_foreach(a, &at->endpoint->addrs)
			if (a->family == w->q.to.family) {
				p->daddr = *a;
				p->oif = at->bridge;
				p->dport = w->v.port;
				p->local = false;
				p->dnat = true;
				return true;
			}
	return false;
}

/* A published port of this host: by DNAT, by docker-proxy, or it cannot be told which. */
static int ask_published(struct bh_foreign *f, const struct explain_way *w, struct bh_foreign_packet *p, json_t *list)
{
	unsigned nat = bh_foreign_ask(f, p, BH_FOREIGN_PREROUTING, true, NULL);
	struct bh_foreign_packet led = *p;
	bool both = nat == (BH_OUTCOME_DNAT | BH_OUTCOME_ACCEPT);
	int r = 0;

	if ((nat & BH_OUTCOME_DNAT) && dnat_to(w, &led))
		r = ask(f, &led, BH_FOREIGN_FORWARD, both, list);
	if (r == 0 && (nat & BH_OUTCOME_ACCEPT))
		r = ask(f, p, BH_FOREIGN_INPUT, both, list);
	return r;
}

/* The packet's way through the hooks. 1 when one of them drops it for sure. */
static int ask_all(const struct explain *x, const struct explain_way *w, json_t *list)
{
	const bool from_host = bh_judge_is_host(x->judge, &w->q.from), to_host = bh_judge_is_host(x->judge, &w->q.to);
	struct bh_foreign_packet p = {.iif = from_host ? "" : w->q.from_dev, .oif = to_host ? "" : w->q.to_dev, .saddr = w->q.from, .daddr = w->q.to,
		.proto = w->q.proto, .dport = w->q.port, .local = to_host};
	struct bh_foreign_packet unrouted = p;
	int r;

	if (from_host)
		return to_host ? 0 : ask(x->foreign, &p, BH_FOREIGN_OUTPUT, false, list);
	unrouted.oif = "";
	r = ask(x->foreign, &unrouted, BH_FOREIGN_PREROUTING, false, list);
	if (r != 0)
		return r;
	if (w->v.published)
		return ask_published(x->foreign, w, &unrouted, list);
	return ask(x->foreign, &p, to_host ? BH_FOREIGN_INPUT : BH_FOREIGN_FORWARD, false, list);
}

json_t *explain_besides(const struct explain *x, const struct explain_way *w, bool *ret_drops)
{
	json_t *list = json_array();
	int r;

	*ret_drops = false;
	if (!list || w->own)
		return list;
	if (!x->foreign)
		r = row_add(list, "Docker's and this host's own rules", "unknown", "not known: they could not be read");
	else if (!w->q.to.family)
		r = row_add(list, "Docker's and this host's own rules", "unknown", "not known of a whole zone: ask for an address in it");
	else
		r = ask_all(x, w, list);
	*ret_drops = r == 1;
	if (r == 0 && json_array_size(list) == 0)
		r = row_add(list, "Docker's and this host's own rules", "pass", "let it pass");
	if (r >= 0)
		return list;
	json_decref(list);
	return NULL;
}
