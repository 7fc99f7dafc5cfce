/* SPDX-License-Identifier: Apache-2.0 */
/* Running connections before rules begin to be enforced: which would end, and which conntrack has the wrong way round. */
#include "manager.h"

#include <bulkhead/fault.h>
#include <bulkhead/judge.h>

#include <errno.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <time.h>

#define TURNS_MAX 65536		/* entries that are made right in one go */
#define TURN_TRIES 3

struct count {
	struct bh_manager *m;
	const struct bh_judge *before, *after;	/* before: NULL when nothing was enforced */
	struct bh_endings *out;
	BH_VEC(struct bh_flow) turns;
	BH_VEC(struct bh_flow) drops;
	int r;
};

static bool is_running(const struct bh_flow *f)
{
	switch (f->proto) {
	case IPPROTO_TCP:
		return f->tcp_state == TCP_CONNTRACK_SYN_RECV || f->tcp_state == TCP_CONNTRACK_ESTABLISHED ||
		       f->tcp_state == TCP_CONNTRACK_FIN_WAIT || f->tcp_state == TCP_CONNTRACK_CLOSE_WAIT;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return false;
	default:
		return f->status & IPS_SEEN_REPLY;
	}
}

static struct bh_judgement judge(const struct bh_judge *j, const struct bh_flow *f)
{
	const struct bh_question q = {.proto = f->proto, .from = f->from, .to = f->to, .port = f->to_port};

	return bh_judge_flow(j, &q);
}

static bool passes(const struct bh_judgement *v)
{
	return v->allowed || v->mode == BH_MODE_AUDIT;
}

static bool is_group(const struct bh_ending *e, const char *from, const char *to, uint8_t proto, uint16_t port)
{
	return e->proto == proto && e->port == port && bh_streq(e->from, from) && bh_streq(e->to, to);
}

static int ending_add(struct bh_endings *out, const char *from, const char *to, uint8_t proto, uint16_t port)
{
	struct bh_ending e = {.proto = proto, .port = port, .count = 1};

	out->total++;
	bh_vec_foreach(x, &out->v)
		if (is_group(x, from, to, proto, port)) {
			x->count++;
			return 0;
		}
	if (out->v.n >= BH_ENDINGS_MAX)
		return 0;	/* in the total alone */
	e.from = strdup(from);
	e.to = strdup(to);
	if (!e.from || !e.to || bh_vec_push(&out->v, e) < 0) {
		free(e.from);
		free(e.to);
		return -ENOMEM;
	}
	return 0;
}

static void on_flow(void *userdata, const struct bh_flow *f)
{
	struct count *c = userdata;
	struct bh_judgement v, back;
	struct bh_flow turned;

	if (c->r < 0 || !is_running(f))
		return;
	v = judge(c->after, f);
	if (!v.ours || passes(&v))
		return;
	/* Picked up in the middle, denied as it stands and allowed the other way round: conntrack guessed wrong. */
	turned = bh_flow_turned(f);
	back = judge(c->after, &turned);
	if (!bh_flow_is_translated(f) && back.ours && back.allowed) {
		if (f->proto == IPPROTO_TCP && f->picked_up && f->tcp_state == TCP_CONNTRACK_ESTABLISHED) {
			c->r = c->turns.n < TURNS_MAX ? bh_vec_push(&c->turns, *f) : 0;
			return;
		}
		/* Where it cannot be told who came first, the next packet is to say it. */
		if (f->proto == IPPROTO_UDP) {
			c->r = c->drops.n < TURNS_MAX ? bh_vec_push(&c->drops, *f) : 0;
			return;
		}
	}
	if (c->before) {
		const struct bh_judgement old = judge(c->before, f);

		if (!passes(&old))
			return;	/* it ended long ago */
	}
	c->r = ending_add(c->out, bh_party_name(c->after, &v.from), bh_party_name(c->after, &v.to), f->proto, v.port);
}

static int ending_cmp(const void *va, const void *vb)
{
	const struct bh_ending *a = va, *b = vb;

	return (a->count < b->count) - (a->count > b->count);
}

/* Removed and made anew the right way round. A packet may come between the two and be picked up again, as it was: then once more. */
static bool turn(struct bh_manager *m, const struct bh_flow *f)
{
	struct bh_flow right = bh_flow_turned(f), now = *f;

	for (int i = 0; i < TURN_TRIES; i++) {
		int r = m->flows->ops->forget(m->flows, &now, NULL);

		if (r < 0 && r != -ENOENT)
			return false;
		now.id = 0;
		r = m->flows->ops->adopt(m->flows, &right, NULL);
		if (r == 0)
			return true;
		if (r != -EEXIST)
			return false;
	}
	return false;
}

static void count_clear(struct count *c)
{
	bh_vec_clear(&c->turns);
	bh_vec_clear(&c->drops);
}

/* Into C->out, the largest first, and C's lists. */
static int look(struct count *c, struct bh_error *err)
{
	int r;

	if (!c->m->flows)
		return bh_fail(err, -EOPNOTSUPP, "conntrack cannot be read");
	r = c->m->flows->ops->dump(c->m->flows, on_flow, c, err);
	if (r == 0 && c->r < 0)
		r = bh_fail(err, c->r, "out of memory");
	if (r < 0)
		bh_endings_clear(c->out);
	else if (c->out->v.n > 1)
		qsort(c->out->v.v, c->out->v.n, sizeof(*c->out->v.v), ending_cmp);
	return r;
}

int bh_connections_ending(struct bh_manager *m, const struct bh_judge *before, const struct bh_judge *after, struct bh_endings *ret,
	struct bh_error *err)
{
	_cleanup_(count_clear) struct count c = {.m = m, .before = before, .after = after, .out = ret};

	return look(&c, err);
}

int bh_connections_prepare(struct bh_manager *m, const struct bh_judge *before, const struct bh_judge *after, struct bh_endings *ret,
	struct bh_error *err)
{
	_cleanup_(count_clear) struct count c = {.m = m, .before = before, .after = after, .out = ret};
	size_t turned = 0;
	int r = look(&c, err);

	if (r < 0)
		return r;
	bh_vec_foreach(f, &c.turns)
		turned += turn(m, f);
	bh_vec_foreach(f, &c.drops)
		(void)m->flows->ops->forget(m->flows, f, NULL);	/* it may have ended by itself */
	if (turned > 0)
		bh_log(&m->log, LOG_INFO, BH_EVENT_CONNECTIONS, "%zu connections that ran before conntrack saw them are known the right way round now",
			turned);
	BH_FAULT("connections-prepared");
	return 0;
}

void bh_endings_clear(struct bh_endings *e)
{
	bh_vec_foreach(x, &e->v) {
		free(x->from);
		free(x->to);
	}
	bh_vec_clear(&e->v);
	e->total = 0;
}

int bh_endings_print(const struct bh_endings *e, struct bh_buf *out)
{
	size_t n = 0, named = 0;

	if (e->total == 0)
		return out->err;
	bh_buf_printf(out, "%zu running connection%s end%s", e->total, e->total == 1 ? "" : "s", e->total == 1 ? "s" : "");
	bh_vec_foreach(x, &e->v) {
		struct bh_port p = {.proto = x->proto, .all = x->port == 0, .first = x->port, .last = x->port};
		char text[BH_PORT_TEXT];

		if (n++ == BH_ENDINGS_TOLD)
			break;
		named += x->count;
		bh_buf_puts(out, n == 1 ? ": " : ", ");
		bh_buf_put_safe(out, x->from, 128);
		bh_buf_puts(out, " -> ");
		bh_buf_put_safe(out, x->to, 128);
		bh_buf_printf(out, " %s", bh_port_text(&p, text));
		if (x->count > 1)
			bh_buf_printf(out, " (%zu)", x->count);
	}
	if (named < e->total)
		bh_buf_printf(out, ", and %zu more", e->total - named);
	return out->err;
}

int bh_judge_of(struct bh_manager *m, const struct bh_round *round, struct bh_judge **ret)
{
	const struct bh_compile_input in = {.policy = round->policy, .inventory = round->inventory, .host = m->seen.host, .features = &m->features,
		.placement = round->placement};

	if (!round->policy || !round->placement || !round->wanted || !m->seen.host)
		return -ENOENT;
	return bh_judge_new(&in, round->wanted, ret);
}

const struct bh_judge *bh_round_judge(struct bh_manager *m)
{
	if (!m->round.judge && bh_judge_of(m, &m->round, &m->round.judge) < 0)
		return NULL;	/* no policy, or no memory: without names then */
	return m->round.judge;
}

static void endings_log(const struct bh_manager *m, const struct bh_endings *e)
{
	_cleanup_buf_ struct bh_buf text = {0};

	if (bh_endings_print(e, &text) == 0 && text.n > 0)
		bh_log(&m->log, LOG_NOTICE, BH_EVENT_CONNECTIONS, "%s", text.s);
}

bool bh_policy_enforces(const struct bh_policy *p)
{
	bh_vec_foreach(z, &p->zones)
		if (z->mode == BH_MODE_ENFORCE)
			return true;
	return p->mode == BH_MODE_ENFORCE;
}

void bh_connections_reload(struct bh_manager *m, struct bh_round *trial)
{
	struct bh_error err = {0};
	int r;

	bh_endings_clear(&m->endings);
	if (!m->flows || !m->seen.host || !trial->policy || !bh_policy_enforces(trial->policy))
		return;
	r = bh_judge_of(m, trial, &trial->judge);
	if (r < 0)
		r = bh_fail(&err, r, "%s", r == -ENOMEM ? "out of memory" : "the kernel cannot be read");
	else
		r = bh_connections_prepare(m, bh_round_judge(m), trial->judge, &m->endings, &err);
	if (r < 0)
		bh_log(&m->log, LOG_WARNING, BH_EVENT_CONNECTIONS, "running connections were not looked at: %s", err.msg);
	else
		endings_log(m, &m->endings);
}

void bh_connections_hooked(struct bh_manager *m)
{
	m->hooked_usec = bh_now_usec(CLOCK_MONOTONIC);
}

/* Whether the tables that were found drop anything: there are some, and not in audit. */
static bool is_enforced(const struct bh_ruleset *seen)
{
	const struct bh_table *t = &seen->tables[BH_FAMILY_INET];
	const struct bh_set *modes = t->present ? bh_table_set(t, "modes") : NULL;
	static const uint8_t file[BH_KEY_MAX];

	return t->present && !(modes && bh_set_find(modes, file));
}

void bh_connections_found(struct bh_manager *m)
{
	const struct bh_ruleset *seen = bh_seen_ruleset(m);

	if (m->found_known || !seen)
		return;
	m->found_known = true;
	m->unenforced = !is_enforced(seen);
	if (!seen->tables[BH_FAMILY_INET].present)
		bh_connections_hooked(m);
}

void bh_connections_first(struct bh_manager *m)
{
	struct bh_endings endings = {0};
	const struct bh_judge *after;
	struct bh_error err = {0};

	if (!m->unenforced || !m->flows || !bh_manager_heard(m) || !bh_manager_settled(m))
		return;
	after = bh_round_judge(m);
	if (!after)
		return;
	m->unenforced = false;
	if (bh_connections_prepare(m, NULL, after, &endings, &err) < 0)
		bh_log(&m->log, LOG_WARNING, BH_EVENT_CONNECTIONS, "running connections were not looked at: %s", err.msg);
	else
		endings_log(m, &endings);
	bh_endings_clear(&endings);
}
