/* SPDX-License-Identifier: Apache-2.0 */
/* Denied packets, as NFLOG tells them, under the names of containers and zones: each kind is told once at once, its repeats in sums. */
#include "manager.h"

#include <bulkhead/judge.h>

#include <errno.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define TELL_USEC (60 * 1000000ULL)	/* repeats are summed for so long */
#define RETRY_USEC (30 * 1000000ULL)	/* another program reads the group */
#define OLD_FLOWS_USEC (3 * 3600 * 1000000ULL)	/* keepalives come after two hours: tcp(7) */
#define NOW_ROUNDS 64	/* of reading before an answer: a flood must not keep it */
#define EARLY_USEC (1 * 1000000ULL)

/* One packet with what is known about it. */
struct view {
	const struct bh_denied *d;
	const struct bh_judge *judge;	/* NULL: no policy yet */
	struct bh_addr from, to;	/* initiator and responder, as far as conntrack knows */
	uint16_t port;			/* of the responder */
	bool reply;			/* the packet went to the initiator */
	bool known;			/* conntrack has the connection */
	struct bh_judgement verdict;
	char from_dev[IF_NAMESIZE], to_dev[IF_NAMESIZE], port_dev[IF_NAMESIZE];
};

static void dev_name(const struct bh_manager *m, uint32_t ifindex, char ret[IF_NAMESIZE])
{
	const struct bh_link *l = ifindex && m->seen.host ? bh_host_link(m->seen.host, (int)ifindex) : NULL;

	ret[0] = '\0';
	if (l)
		snprintf(ret, IF_NAMESIZE, "%s", l->name);
	else if (ifindex)
		(void)if_indextoname(ifindex, ret);
}

/* Whether a packet by itself says that it answers another. */
static bool is_answer(const struct bh_denied *d)
{
	switch (d->proto) {
	case IPPROTO_TCP:
		return (d->tcp_flags & TH_RST) || (d->tcp_flags & (TH_SYN | TH_ACK)) == (TH_SYN | TH_ACK);
	case IPPROTO_ICMP:
		return d->icmp_type == ICMP_ECHOREPLY;
	case IPPROTO_ICMPV6:
		return d->icmp_type == ICMP6_ECHO_REPLY;
	default:
		return false;
	}
}

/* Who opened the flow that a packet is of. A SYN says so itself. */
static void ends_find(struct bh_manager *m, struct view *v)
{
	const struct bh_denied *d = v->d;
	struct bh_flow flow;

	v->from = d->from;
	v->to = d->to;
	v->port = d->has_ports ? d->to_port : 0;
	if (d->bridge || (d->proto == IPPROTO_TCP && (d->tcp_flags & (TH_SYN | TH_ACK)) == TH_SYN))
		return;
	if (d->has_flow) {
		flow = d->flow;
		v->reply = d->reply;
		v->known = !d->starts;
	} else if (m->flows && d->has_ports) {
		v->known = m->flows->ops->find(m->flows, d, &flow, &v->reply, NULL) == 0;
	}
	if (!v->known) {
		/* a refusal ends its entry */
		if (is_answer(d)) {
			v->reply = true;
			v->from = d->to;
			v->to = d->from;
			v->port = d->has_ports ? d->from_port : 0;
		}
		return;
	}
	v->from = flow.from;
	v->to = flow.to;
	v->port = flow.to_port;
}

static struct bh_judgement judge_view(const struct view *v, bool turned)
{
	const struct bh_denied *d = v->d;
	const char *in = v->reply ? v->to_dev : v->from_dev, *out = v->reply ? v->from_dev : v->to_dev;
	struct bh_question q = {.proto = d->proto, .from = v->from, .to = v->to, .port = v->port,
		.from_dev = in[0] ? in : NULL, .to_dev = out[0] ? out : NULL};

	if (turned) {
		q.from = v->to;
		q.to = v->from;
		q.port = d->from_port;
		q.from_dev = out[0] ? out : NULL;
		q.to_dev = in[0] ? in : NULL;
	}
	return bh_judge_flow(v->judge, &q);
}

static bool is_audited(const struct bh_manager *m, const struct view *v)
{
	const struct bh_policy *p = bh_policy_in_force(m);

	if (!p || !v->judge)
		return false;
	switch (v->d->class) {
	case BH_CLASS_POLICY:
	case BH_CLASS_QUARANTINE:
	case BH_CLASS_METADATA:
		return v->from.family && v->verdict.mode == BH_MODE_AUDIT;
	default:
		return p->mode == BH_MODE_AUDIT;
	}
}

/* The container whose port the frame came in by, whatever address it claims. */
static const struct bh_member *member_by_port(const struct bh_manager *m, uint32_t ifindex)
{
	if (!ifindex || !m->round.placement)
		return NULL;
	bh_vec_foreach(x, &m->round.placement->members)
		bh_vec_foreach(a, &x->attachments)
			if (a->port_ifindex == (int)ifindex)
				return x;
	return NULL;
}

static const char *addr_text(const struct bh_addr *a, char buf[BH_ADDR_TEXT])
{
	return a->family ? bh_addr_text(a, buf) : NULL;
}

/* "denied web1 (web) to db1 (db) tcp/5432: policy" */
static void tell(struct bh_manager *m, struct bh_kind *k, const struct view *v)
{
	char port[BH_DROP_TEXT], proto[BH_DROP_TEXT], from[BH_ADDR_TEXT], to[BH_ADDR_TEXT], mac[BH_MAC_TEXT], count[24], more[64] = "";
	const char *p = bh_drop_port(k, port);
	const uint64_t fresh = k->count - k->told;

	bh_drop_proto(k->proto, v ? v->d->ether_type : 0, proto);
	snprintf(count, sizeof(count), "%llu", (unsigned long long)fresh);
	if (!v)
		snprintf(more, sizeof(more), " (and %s more in %llu s)", count, (unsigned long long)(TELL_USEC / 1000000));
	const struct bh_log_field fields[] = {
		{"BULKHEAD_CLASS", bh_denied_class_name(k->class)},
		{"BULKHEAD_VERDICT", k->audit ? "audit" : "deny"},
		{"BULKHEAD_FROM", k->from},
		{"BULKHEAD_FROM_ZONE", k->from_zone},
		{"BULKHEAD_FROM_ADDR", v ? addr_text(&v->from, from) : NULL},
		{"BULKHEAD_TO", k->to},
		{"BULKHEAD_TO_ZONE", k->to_zone},
		{"BULKHEAD_TO_ADDR", v ? addr_text(&v->to, to) : NULL},
		{"BULKHEAD_PROTO", proto},
		{"BULKHEAD_PORT", p},
		{"BULKHEAD_MAC", v && v->d->has_mac ? bh_mac_text(&v->d->from_mac, mac) : NULL},
		{"BULKHEAD_INTERFACE", v && v->port_dev[0] ? v->port_dev : v && v->from_dev[0] ? v->from_dev : NULL},
		{"BULKHEAD_COUNT", count},
	};

	bh_log_fields(&m->log, k->class == BH_CLASS_NOISE ? LOG_INFO : k->audit ? LOG_NOTICE : LOG_WARNING, BH_EVENT_DENIED, fields,
		BH_ARRAY_SIZE(fields), "%s %s (%s) to %s (%s) %s%s%s: %s%s", k->audit ? "would deny" : "denied", k->from, k->from_zone, k->to,
		k->to_zone, proto, p ? "/" : "", p ? p : "", bh_denied_class_name(k->class), more);
	k->told = k->count;
}

/* A connection that ran before conntrack saw this bridge, and whose first packet that it sees goes to the initiator: conntrack takes the wrong
 * end for the one that opened it. What the rules drop leaves no entry, and they drop such a packet in silence; TCP sends it again. So the entry
 * is made here, before that, with the ends as policy has them, and the next packet passes. Where policy has them neither way, the entry makes
 * the next packet one of a known connection, which is reset. */
static void adopt(struct bh_manager *m, const struct view *v)
{
	const struct bh_denied *d = v->d;
	struct bh_flow flow = {.proto = d->proto, .from = d->from, .from_port = d->from_port, .to = d->to, .to_port = d->to_port,
		.orig_to = d->to, .orig_to_port = d->to_port, .reply_to = d->from, .reply_to_port = d->from_port};
	bool old = m->hooked_usec && bh_now_usec(CLOCK_MONOTONIC) - m->hooked_usec < OLD_FLOWS_USEC;
	struct bh_judgement turned;

	if (!m->flows || !v->judge || d->class != BH_CLASS_POLICY || d->proto != IPPROTO_TCP || !d->has_ports || v->known ||
		(d->tcp_flags & (TH_SYN | TH_RST)) || is_audited(m, v) || v->verdict.allowed)
		return;
	turned = judge_view(v, true);
	if (old && turned.ours && turned.allowed)
		flow = bh_flow_turned(&flow);
	else if (d->in != d->out || !d->in)
		return;	/* it may want NAT, which an entry of ours would keep from it */
	if (m->flows->ops->adopt(m->flows, &flow, NULL) == 0)
		bh_log(&m->log, LOG_DEBUG, BH_EVENT_CONNECTIONS, "took over a connection that ran before: port %u of %s to %s",
			(unsigned)flow.to_port, bh_party_name(v->judge, &v->verdict.from), bh_party_name(v->judge, &v->verdict.to));
}

/* By which address and port of this host the other end was asked for, when it was. */
static void via_find(const struct view *v, struct bh_kind *what)
{
	const struct bh_flow *f = &v->d->flow;

	what->second_leg = v->verdict.why == BH_WHY_SECOND_LEG;
	if (v->verdict.published) {
		what->via = v->to;
		what->via_port = v->port;
	} else if (v->d->has_flow && !v->d->reply && v->verdict.to.member &&
		(bh_addr_cmp(&f->orig_to, &f->to) != 0 || f->orig_to_port != f->to_port)) {
		what->via = f->orig_to;
		what->via_port = f->orig_to_port;
	}
}

/* Before the runtimes have told who runs everybody is unknown, which is nothing to tell; and what NFLOG tells is as old as its queue. */
static bool is_early(const struct bh_manager *m, const struct bh_denied *d)
{
	return !m->ready || (d->class == BH_CLASS_UNKNOWN && bh_now_usec(CLOCK_MONOTONIC) - m->ready_usec < EARLY_USEC);
}

/* Who was there is told of when it has gone, too. */
static void remember(struct bh_manager *m, const struct bh_member *member)
{
	if (member && bh_people_note(&m->people, member->container, member->reason) < 0)
		bh_log(&m->log, LOG_DEBUG, BH_EVENT_DENIED, "out of memory for who was denied");
}

/* What a container tried is held against the rules of detect. What comes late, or nobody asked for, says nothing of it. */
static void detect(struct bh_manager *m, const struct view *v, const struct bh_kind *what, const struct bh_member *by_port)
{
	const struct bh_denied *d = v->d;
	const struct bh_member *member = d->bridge ? by_port : v->reply ? NULL : v->verdict.from.member;
	struct bh_sight s = {.sees = BH_SEES_DENIED, .n = 1, .to = what->to, .to_zone = what->to_zone, .to_container = v->verdict.to.member,
		.to_addr = v->to, .proto = d->proto, .port = v->port, .has_port = d->has_ports};

	if (!member || d->class == BH_CLASS_NOISE || d->class == BH_CLASS_INVALID || d->class == BH_CLASS_LIMIT)
		return;
	bh_detect_see(m, member, &s);
	bh_detect_wake(m);
}

static void on_denied(void *userdata, const struct bh_denied *d)
{
	struct bh_manager *m = userdata;
	struct view v = {.d = d, .judge = bh_round_judge(m)};
	char from[BH_ADDR_TEXT], to[BH_ADDR_TEXT];
	struct bh_kind what = {.class = d->class, .proto = d->proto, .port = BH_PORT_NONE}, *kind;
	const struct bh_member *by_port = member_by_port(m, d->in_port);
	bool first;

	dev_name(m, d->in, v.from_dev);
	dev_name(m, d->out, v.to_dev);
	dev_name(m, d->in_port, v.port_dev);
	ends_find(m, &v);
	what.from = what.to = (char *)"unknown";
	what.from_zone = what.to_zone = (char *)"unknown";
	if (v.judge && v.from.family) {
		v.verdict = judge_view(&v, false);
		what.from = (char *)bh_party_name(v.judge, &v.verdict.from);
		what.from_zone = (char *)bh_party_zone(v.judge, &v.verdict.from);
		what.to = (char *)bh_party_name(v.judge, &v.verdict.to);
		what.to_zone = (char *)bh_party_zone(v.judge, &v.verdict.to);
		if (v.verdict.resolver)
			what.to = what.to_zone = (char *)bh_builtin_name(BH_BUILTIN_DNS);
		what.from_addr = v.from;
		what.to_addr = v.to;
		via_find(&v, &what);
		v.port = v.verdict.port;
	}
	/* nobody's address says more than that it is nobody's */
	if (v.from.family && bh_streq(what.from, "unknown"))
		what.from = (char *)bh_addr_text(&v.from, from);
	if (v.to.family && bh_streq(what.to, "unknown"))
		what.to = (char *)bh_addr_text(&v.to, to);
	if (d->bridge && by_port) {
		what.from = by_port->container->name ? by_port->container->name : by_port->container->id;
		what.from_zone = m->round.placement->insts.v[by_port->inst].name;
	}
	if (d->has_ports)
		what.port = v.port;
	if (d->class == BH_CLASS_NOISE)
		what.to = what.to_zone = (char *)"multicast";
	what.audit = is_audited(m, &v);
	adopt(m, &v);
	if (is_early(m, d))
		return;
	if (m->detect.detector)
		detect(m, &v, &what, by_port);
	if (bh_kinds_note(m->kinds, &what, bh_now_usec(CLOCK_REALTIME), &kind, &first) < 0)
		return;
	if (first) {
		remember(m, v.verdict.from.member);
		remember(m, v.verdict.to.member);
		tell(m, kind, &v);
	}
	bh_follow_wake(m);
}

static int on_nflog(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct bh_manager *m = userdata;
	int r = bh_nflog_read(m->nflog, on_denied, m);

	(void)fd;
	(void)events;
	if (r < 0) {
		bh_log(&m->log, LOG_WARNING, BH_EVENT_DEGRADED, "the log of denied packets cannot be read: %s: opened again", strerror(-r));
		(void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
		m->nflog_io = sd_event_source_disable_unref(m->nflog_io);
		bh_nflog_free(m->nflog);
		m->nflog = NULL;
	}
	return 0;
}

void bh_denials_now(struct bh_manager *m)
{
	for (int i = 0; i < NOW_ROUNDS && m->nflog && bh_nflog_read(m->nflog, on_denied, m) > 0; i++)
		;
}

static void tell_repeats(void *userdata, struct bh_kind *k)
{
	if (k->count > k->told)
		tell(userdata, k, NULL);
}

static int listen_nflog(struct bh_manager *m)
{
	int r = sd_event_add_io(m->event, &m->nflog_io, bh_nflog_fd(m->nflog), EPOLLIN, on_nflog, m);

	/* what keeps the kernel in line comes first */
	return r < 0 ? r : sd_event_source_set_priority(m->nflog_io, SD_EVENT_PRIORITY_IDLE);
}

static int on_tell(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct bh_manager *m = userdata;
	uint64_t lost = m->nflog ? bh_nflog_lost(m->nflog) : m->nflog_lost;

	(void)usec;
	bh_kinds_each(m->kinds, tell_repeats, m);
	if (lost > m->nflog_lost)
		bh_log(&m->log, LOG_WARNING, BH_EVENT_DENIED, "%llu denied packets came faster than they could be read",
			(unsigned long long)(lost - m->nflog_lost));
	m->nflog_lost = lost;
	if (!m->nflog && m->nflog_wanted && bh_nflog_new(BH_NFLOG_GROUP, &m->nflog, NULL) == 0) {
		m->nflog_lost = 0;
		if (listen_nflog(m) < 0) {
			bh_nflog_free(m->nflog);
			m->nflog = NULL;
		}
	}
	if (sd_event_source_set_time_relative(source, m->nflog || !m->nflog_wanted ? TELL_USEC : RETRY_USEC) >= 0)
		(void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	return 0;
}

int bh_denials_start(struct bh_manager *m)
{
	int r = bh_kinds_new(&m->kinds);

	if (r == 0 && m->nflog)
		r = listen_nflog(m);
	if (r >= 0)
		r = sd_event_add_time_relative(m->event, &m->tell, CLOCK_MONOTONIC, m->nflog || !m->nflog_wanted ? TELL_USEC : RETRY_USEC, 0,
			on_tell, m);
	return r < 0 ? r : 0;
}
