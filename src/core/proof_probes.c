/* SPDX-License-Identifier: Apache-2.0 */
/* Which packets are sent: for each pair of zones a sample of what rules open between them and something that none opens, on one bridge and across, in both
 * families. What is expected of each is the judge's word. Besides, lies: what a zone may send, sent by another's port with the zone's address, which
 * the bridge table alone can tell. */
#include "proof_priv.h"

#include <errno.h>
#include <netinet/in.h>

#define SOME_PORT 33033
#define OPENINGS_MAX 6	/* of one pair: a range has two ends */

/* A port to try, before the family is known. */
struct knock {
	uint8_t proto;
	uint16_t port;
};
struct knocks {
	BH_VEC(struct knock) v;
};

static int knock_add(struct knocks *k, uint8_t proto, uint16_t port)
{
	const struct knock one = {proto, proto == IPPROTO_ICMP ? 0 : port};

	if (proto != IPPROTO_TCP && proto != IPPROTO_UDP && proto != IPPROTO_ICMP)
		return 0;
	bh_vec_foreach(x, &k->v)
		if (x->proto == one.proto && x->port == one.port)
			return 0;
	return bh_vec_push(&k->v, one);
}

static const char *dev_of(const struct bh_proof *p, const struct bh_proof_end *e)
{
	return e->place == BH_PROOF_PORT ? p->bridges[e->bridge].name : e->place == BH_PROOF_OUTSIDE ? e->dev : NULL;
}

static struct bh_judgement judge(const struct bh_proof *p, const struct bh_proof_end *from, const struct bh_proof_end *to, bool six, const struct knock *k)
{
	const struct bh_question q = {
		.proto = six && k->proto == IPPROTO_ICMP ? IPPROTO_ICMPV6 : k->proto,
		.from = from->addrs[six],
		.to = to->addrs[six],
		.port = k->port,
		.from_dev = dev_of(p, from),
		.to_dev = dev_of(p, to),
	};

	return bh_judge_flow(p->judge, &q);
}

static int knock_on_openings(const struct bh_openings *o, struct knocks *k)
{
	size_t n = 0;

	bh_vec_foreach(x, &o->v) {
		bool any = x->all || x->port.all;

		if (n++ == OPENINGS_MAX)
			break;
		if (x->all && (knock_add(k, IPPROTO_TCP, SOME_PORT) < 0 || knock_add(k, IPPROTO_UDP, SOME_PORT) < 0))
			return -ENOMEM;
		if (!x->all && (knock_add(k, x->port.proto, any ? SOME_PORT : x->port.first) < 0 ||
				       knock_add(k, x->port.proto, any ? SOME_PORT : x->port.last) < 0))
			return -ENOMEM;
	}
	return 0;
}

/* One port of each transport that nothing opens, the one behind what is open first. */
static int knock_on_closed(const struct bh_proof *p, const struct bh_proof_end *from, const struct bh_proof_end *to, bool six, struct knocks *k)
{
	static const uint8_t protos[] = {IPPROTO_TCP, IPPROTO_UDP};
	static const uint16_t ports[] = {9, 4711, 33034, 47808, 61000};
	size_t n = k->v.n;

	for (size_t i = 0; i < BH_ARRAY_SIZE(protos); i++) {
		struct knock closed = {.proto = protos[i]};

		for (size_t x = 0; x < n + BH_ARRAY_SIZE(ports); x++) {
			closed.port = x < n ? (uint16_t)(k->v.v[x].port + 1) : ports[x - n];
			if (closed.port > 1 && (x >= n || k->v.v[x].proto == closed.proto) && !judge(p, from, to, six, &closed).allowed)
				break;
			closed.port = 0;
		}
		if (closed.port && knock_add(k, closed.proto, closed.port) < 0)
			return -ENOMEM;
	}
	return knock_add(k, IPPROTO_ICMP, 0);
}

static int knocks_between(const struct bh_proof *p, const struct bh_proof_end *from, const struct bh_proof_end *to, bool six, struct knocks *k)
{
	const struct bh_party sender = bh_judge_who(p->judge, &from->addrs[six], dev_of(p, from));
	const struct bh_party receiver = bh_judge_who(p->judge, &to->addrs[six], dev_of(p, to));
	struct bh_openings open = {0};
	int r = 0;

	if (sender.inst != BH_NOBODY && receiver.inst != BH_NOBODY)
		r = bh_judge_open(p->judge, &sender, &receiver, &to->addrs[six], &open);
	if (r == 0)
		r = knock_on_openings(&open, k);
	bh_vec_clear(&open.v);
	return r == 0 ? knock_on_closed(p, from, to, six, k) : r;
}

static int probe_add(struct bh_proof *p, size_t from, size_t to, bool six, const struct knock *k)
{
	const struct bh_judgement v = judge(p, &p->ends.v[from], &p->ends.v[to], six, k);
	const struct bh_probe probe = {
		.from = from,
		.to = to,
		.via = from,
		.family = six ? 6 : 4,
		.proto = six && k->proto == IPPROTO_ICMP ? IPPROTO_ICMPV6 : k->proto,
		.port = k->port,
		.expected = v.allowed ? BH_PROOF_OPEN : v.mode == BH_MODE_AUDIT ? BH_PROOF_AUDITED : BH_PROOF_CLOSED,
		.rule = v.rule,
	};

	if (!v.ours)
		return 0;
	p->audits = p->audits || probe.expected == BH_PROOF_AUDITED;
	return bh_vec_push(&p->probes, probe);
}

static int probes_between(struct bh_proof *p, size_t from, size_t to)
{
	const struct bh_proof_end *f = &p->ends.v[from], *t = &p->ends.v[to];
	int r = 0;

	for (int six = 0; six < 2 && r == 0; six++) {
		struct knocks k = {0};

		if (!f->addrs[six].family || !t->addrs[six].family)
			continue;
		r = knocks_between(p, f, t, six, &k);
		bh_vec_foreach(x, &k.v)
			r = r == 0 ? probe_add(p, from, to, six, x) : r;
		bh_vec_clear(&k.v);
	}
	return r;
}

/* How many ends belong together, from E on. */
static size_t ends_of(const struct bh_proof_end *e)
{
	return e->place == BH_PROOF_PORT && e->inst != BH_NOBODY ? PROOF_PORTS : 1;
}

static bool sends(const struct bh_proof *p, const struct bh_proof_end *e)
{
	enum bh_builtin b = e->inst == BH_NOBODY ? BH_BUILTIN_NONE : p->placement->insts.v[e->inst].builtin;

	return b != BH_BUILTIN_DNS && b != BH_BUILTIN_METADATA;
}

/* From the first of a zone to each bridge of the other's. */
static int pair_add(struct bh_proof *p, size_t from, size_t to)
{
	size_t n = p->probes.n;
	int r = 0;

	for (size_t i = 0; i < ends_of(&p->ends.v[to]) && r == 0; i++)
		if (to + i != from && (i != 1 || from == to))
			r = probes_between(p, from, to + i);
	p->pairs += p->probes.n > n;
	return r;
}

/* The first packet that FROM may send in a family and that VIA could send in its place, or NULL. A port that nobody knows is denied again at a port that is
 * known, whatever it says. */
static const struct bh_probe *open_from(const struct bh_proof *p, size_t from, size_t via, uint8_t family)
{
	bool unknown = p->ends.v[via].inst == BH_NOBODY;

	bh_vec_foreach(x, &p->probes) {
		const struct bh_proof_end *to = &p->ends.v[x->to];
		bool same_bridge = to->place == BH_PROOF_PORT && to->bridge == p->ends.v[via].bridge;

		if (x->from == from && x->via == from && x->to != via && x->family == family && x->expected == BH_PROOF_OPEN && !(unknown && same_bridge))
			return x;
	}
	return NULL;
}

/* The same by the port VIA, with its own MAC: the file's mode says what becomes of it, whoever would answer. */
static int lies_add(struct bh_proof *p, size_t from, size_t via)
{
	bool audit = p->judge->in.policy->mode == BH_MODE_AUDIT;

	for (int six = 0; six < 2 && from != via; six++) {
		const struct bh_probe *truth = open_from(p, from, via, six ? 6 : 4);
		struct bh_probe lie;

		if (!truth)
			continue;
		lie = *truth;
		lie.via = via;
		lie.expected = audit ? BH_PROOF_AUDITED : BH_PROOF_CLOSED;
		lie.rule = BH_NOBODY;
		p->audits = p->audits || audit;
		if (bh_vec_push(&p->probes, lie) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* By the port that nobody knows, which is the last, and by the one of the next zone. */
static int all_lies_add(struct bh_proof *p)
{
	size_t unknown = 0;

	while (ends_of(&p->ends.v[unknown]) == PROOF_PORTS)
		unknown += PROOF_PORTS;
	for (size_t from = 0; from < unknown; from += PROOF_PORTS)
		if (lies_add(p, from, unknown) < 0 || lies_add(p, from, (from + PROOF_PORTS) % unknown) < 0)
			return -ENOMEM;
	return 0;
}

int proof_probes_add(struct bh_proof *p)
{
	for (size_t from = 0; from < p->ends.n; from += ends_of(&p->ends.v[from]))
		for (size_t to = 0; to < p->ends.n; to += ends_of(&p->ends.v[to]))
			if (sends(p, &p->ends.v[from]) && pair_add(p, from, to) < 0)
				return -ENOMEM;
	return all_lies_add(p);
}
