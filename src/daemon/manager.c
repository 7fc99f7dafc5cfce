/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper.h"
#include "kept.h"
#include "lock.h"
#include "manager.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#define POLL_USEC (4 * 1000000ULL)		/* what has no notifications is put back within 10 s, on a busy host too */
#define OWNED_POLLS 16				/* about a minute */
#define START_USEC (5 * 1000000ULL)		/* a runtime that neither answers nor fails is not waited for longer */
#define RETRY_MIN_USEC (50 * 1000ULL)
#define RETRY_MAX_USEC (5 * 1000000ULL)
#define WAIT_FAILURES 6				/* about 6 s: then a reload is told that it is not done */

void bh_manager_containers_changed(struct bh_manager *m)
{
	if (!m->work.told_usec)
		m->work.told_usec = bh_now_usec(CLOCK_MONOTONIC);
	/* Fails only for a source that has been freed. */
	(void)sd_event_source_set_enabled(m->dirty, SD_EVENT_ONESHOT);
}

void bh_manager_dirty(struct bh_manager *m)
{
	m->news.whole = true;
	bh_manager_containers_changed(m);
}

void bh_manager_host_changed(struct bh_manager *m)
{
	bh_seen_forget_host(&m->seen);
	bh_manager_dirty(m);
}

#define LINKS_MAX 64	/* that are compared; more are a burst */

/* Of a bridge nobody asks whether it is up, nor its MAC, and both change with its first port. */
static bool same_link(const struct bh_link *a, const struct bh_link *b)
{
	struct bh_link as_b = *a;

	if (a->kind == BH_LINK_BRIDGE) {
		as_b.up = b->up;
		as_b.mac = b->mac;
	}
	return memcmp(&as_b, b, sizeof(*b)) == 0;
}

/* Notes which of the links have changed. Only veths can be dealt with one by one. */
static void note_links(struct bh_manager *m, const struct bh_link *before, const int *links, size_t n)
{
	for (size_t i = 0; i < n && !m->news.whole; i++) {
		const struct bh_link *now = bh_host_link(m->seen.host, links[i]);
		bool there = before[i].ifindex != 0;

		if (there ? now && same_link(&before[i], now) : !now)
			continue;
		m->news.whole = (there && before[i].kind != BH_LINK_VETH) || (now && now->kind != BH_LINK_VETH) ||
			bh_vec_push(&m->news.links, links[i]) < 0;
	}
}

void bh_manager_links_changed(struct bh_manager *m, const int *links, size_t n, bool addrs)
{
	struct bh_link before[LINKS_MAX] = {0};
	int r = 1;

	for (size_t i = 0; m->seen.host && i < n && n <= LINKS_MAX; i++) {
		const struct bh_link *l = bh_host_link(m->seen.host, links[i]);

		if (l)
			before[i] = *l;
	}
	if (m->seen.host)
		r = m->tc->ops->refresh(m->tc, m->seen.host, links, n, false, NULL);
	if (r > 0) {
		m->seen.fresh = true;
		m->news.whole = m->news.whole || !m->seen.host || n > LINKS_MAX;
		note_links(m, before, links, n);
		bh_manager_containers_changed(m);
	}
	if (r >= 0 && addrs && m->seen.host) {
		r = m->tc->ops->refresh(m->tc, m->seen.host, NULL, 0, true, NULL);
		m->seen.fresh = m->seen.fresh || r > 0;
		if (r > 0)
			bh_manager_dirty(m);
	}
	if (r < 0)	/* it is read whole, and then it tells what is wrong */
		bh_manager_host_changed(m);
}

bool bh_manager_settled(const struct bh_manager *m)
{
	if (m->started)
		return true;
	bh_vec_foreach(s, &m->sources)
		if (!(*s)->heard && !((*s)->told && (*s)->state == BH_RUNTIME_ABSENT))
			return false;
	return !bh_postures_missing(m);
}

/* The first runtime that was there and is not, or NULL. */
static const struct bh_source *lost_source(const struct bh_manager *m)
{
	bh_vec_foreach(s, &m->sources)
		if ((*s)->heard && (*s)->state == BH_RUNTIME_ABSENT)
			return *s;
	return NULL;
}

/* The first runtime whose answers cannot be had or read, though it is there, or NULL. */
static const struct bh_source *ailing_source(const struct bh_manager *m)
{
	bh_vec_foreach(s, &m->sources)
		if ((*s)->state == BH_RUNTIME_CONNECTED && (*s)->reason)
			return *s;
	return NULL;
}

const char *bh_manager_state(const struct bh_manager *m, char **ret_reason)
{
	const struct bh_source *lost = lost_source(m), *ailing = ailing_source(m);
	char *reason = NULL;
	bool degraded = true;
	int n = 0;

	if (m->config.reason)
		n = asprintf(&reason, "%s", m->config.reason);
	else if (m->problem)
		n = asprintf(&reason, "the kernel is not in line: %s", m->problem);
	else if (lost)
		n = asprintf(&reason, "%s at %s does not answer%s%s: its containers' rules stay", lost->kind, lost->socket,
			lost->reason ? ": " : "", lost->reason ? lost->reason : "");
	else if (ailing)
		n = asprintf(&reason, "%s at %s: %s: its containers may have changed, it is asked again", ailing->kind, ailing->socket, ailing->reason);
	else if (m->held && bh_manager_settled(m))
		n = asprintf(&reason, "no runtime answers: the rules that were found in the kernel are kept");
	else if (m->features.no_br_netfilter)
		n = asprintf(&reason, "packets between containers of one bridge are not judged: br_netfilter is not loaded (modprobe br_netfilter)");
	else if (m->config.keep_error)
		n = asprintf(&reason, "%s", m->config.keep_error);
	else if (m->access.problem)
		n = asprintf(&reason, "the access log %s: everything else is as it was", m->access.problem);
	else if (m->round.shape && (m->round.shape->missing[BH_EGRESS] || m->round.shape->missing[BH_INGRESS]))
		n = asprintf(&reason, "caps on %s%s%s are not held, everything else is: this kernel has no %s",
			m->round.shape->missing[BH_EGRESS] ? "egress" : "",
			m->round.shape->missing[BH_EGRESS] && m->round.shape->missing[BH_INGRESS] ? " and " : "",
			m->round.shape->missing[BH_INGRESS] ? "ingress" : "", m->features.ifb ? "HTB (modprobe sch_htb)" : "IFB (modprobe ifb)");
	else
		degraded = false;
	if (n < 0)
		reason = NULL;
	if (ret_reason)
		*ret_reason = reason;
	else
		free(reason);
	if (degraded)
		return "degraded";
	if (!m->ready)
		return "starting";
	return bh_policy_in_force(m) && bh_policy_in_force(m)->mode == BH_MODE_AUDIT ? "auditing" : "enforcing";
}

static void notify_ready(struct bh_manager *m)
{
	_cleanup_free_ char *reason = NULL;
	const char *state;

	if (m->ready)
		return;
	m->ready = true;
	m->ready_usec = bh_now_usec(CLOCK_MONOTONIC);
	state = bh_manager_state(m, &reason);
	bh_log(&m->log, LOG_INFO, BH_EVENT_START, "ready: %s%s%s", state, reason ? ": " : "", reason ? reason : "");
	(void)sd_notifyf(0, "READY=1\nSTATUS=%s", state);	/* nobody may listen */
}

static void retry_later(struct bh_manager *m)
{
	uint64_t usec = RETRY_MIN_USEC << (m->failures < 7 ? m->failures : 7);

	if (m->failures < UINT32_MAX)
		m->failures++;
	if (sd_event_source_set_time_relative(m->retry, usec < RETRY_MAX_USEC ? usec : RETRY_MAX_USEC) >= 0)
		(void)sd_event_source_set_enabled(m->retry, SD_EVENT_ONESHOT);
}

static void failed(struct bh_manager *m, const struct bh_error *err, int r)
{
	const char *text = err->msg[0] ? err->msg : strerror(-r);

	/* Once for each new trouble, not for each try. */
	if (!bh_streq(m->problem, text)) {
		bh_log(&m->log, LOG_ERR, BH_EVENT_DEGRADED, "the kernel is not in line: %s: trying again", text);
		(void)bh_strdup(&m->problem, text);
		(void)sd_notifyf(0, "STATUS=degraded: %s", text);
	}
	retry_later(m);
}

void bh_manager_run(struct bh_manager *m)
{
	m->news.whole = true;
	bh_manager_run_due(m);
}

void bh_manager_run_due(struct bh_manager *m)
{
	struct bh_error err = {0};
	int r = bh_reconcile(m, &err);

	if (r < 0) {
		failed(m, &err, r);
		if (m->rules_hold)
			bh_manager_keep(m);
		/* Caps that cannot be had keep nobody waiting who waits for the rules: degraded, but ready. */
		if (m->rules_hold && bh_manager_settled(m))
			notify_ready(m);
		if (m->failures > WAIT_FAILURES)
			bh_handle_waiting(m, r);
		if (m->failures > WAIT_FAILURES && m->once)
			(void)sd_event_exit(m->event, 1);
		return;
	}
	if (m->problem) {
		bh_log(&m->log, LOG_NOTICE, BH_EVENT_CHANGE, "the kernel is in line again");
		(void)bh_strdup(&m->problem, NULL);
		(void)sd_notifyf(0, "STATUS=%s", bh_manager_state(m, NULL));
	}
	m->failures = 0;
	(void)sd_event_source_set_enabled(m->retry, SD_EVENT_OFF);
	if (!m->held) {
		bh_manager_keep(m);
		bh_bridges_keep(m);
	}
	/* Rules that were found and are kept are not what a reload asked for: it waits as long as a runtime may still answer. */
	if (!m->held || bh_manager_settled(m))
		bh_handle_waiting(m, m->held ? -EINPROGRESS : 0);
	if (bh_manager_settled(m) || (!m->once && bh_nobody_there(m->seen.host)))
		notify_ready(m);
	if (m->once && bh_manager_settled(m))
		(void)sd_event_exit(m->event, m->held ? 1 : 0);
}

static int on_dirty(sd_event_source *source, void *userdata)
{
	(void)source;
	bh_manager_run_due(userdata);
	return 0;
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct bh_manager *m = userdata;

	(void)source;
	(void)usec;
	bh_seen_clear(&m->seen);
	bh_manager_run(m);
	return 0;
}

/* Flags of bridges are told by nobody, all else of the host is: so bridges alone are asked, and not the ports of thousands of containers. Most of the
 * time nothing has changed, and nothing follows. */
static void look_at_bridges(struct bh_manager *m)
{
	BH_VEC(int) bridges = {0};
	int r = m->seen.host ? 0 : -ENOENT;

	for (size_t i = 0; r == 0 && i < m->seen.host->links.n; i++)
		if (m->seen.host->links.v[i].kind == BH_LINK_BRIDGE)
			r = bh_vec_push(&bridges, m->seen.host->links.v[i].ifindex);
	if (r == 0)
		r = m->tc->ops->refresh(m->tc, m->seen.host, bridges.v, bridges.n, false, NULL);
	bh_vec_clear(&bridges);
	if (r != 0)
		bh_manager_host_changed(m);
}

static void look_at_shape(struct bh_manager *m)
{
	_cleanup_(bh_shape_freep) struct bh_shape *now = NULL;

	if (m->seen.shape && m->tc->ops->observe(m->tc, &now, NULL) == 0 && bh_shape_equal(now, m->seen.shape))
		return;
	bh_shape_free(m->seen.shape);
	m->seen.shape = NULL;
	bh_manager_dirty(m);
}

/* Whether everything is read, and made from scratch. */
static bool is_whole_poll(const struct bh_manager *m)
{
	bool owned = m->seen.as_wanted && bh_seen_ruleset(m) && bh_owner_holds(bh_seen_ruleset(m));

	return m->polls % (owned ? OWNED_POLLS : 2) == 0;
}

static int on_poll(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct bh_manager *m = userdata;
	bool no_br_netfilter = m->features.no_br_netfilter;

	(void)usec;
	if (sd_event_source_set_time_relative(source, POLL_USEC) >= 0)
		(void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	bh_features_look(&m->features);
	/* All but the host tells by itself; that it did is looked at less often. In tables that are ours nobody else can change anything. */
	m->polls++;
	if (is_whole_poll(m)) {
		bh_seen_clear(&m->seen);
		bh_manager_host_changed(m);
	} else if (no_br_netfilter != m->features.no_br_netfilter || m->failures > 0 || bh_resolvers_moved(m)) {
		bh_manager_host_changed(m);
	} else {
		look_at_bridges(m);
		if (m->polls % 2 == 0)
			look_at_shape(m);
	}
	if (m->polls % 2 == 0)
		(void)malloc_trim(0);	/* what a burst left in the heap's holes */
	return 0;
}

static int on_start_over(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct bh_manager *m = userdata;

	(void)source;
	(void)usec;
	m->started = true;
	bh_manager_dirty(m);
	return 0;
}

static int on_nft(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct bh_manager *m = userdata;

	(void)source;
	(void)fd;
	(void)events;
	if (bh_nft_monitor_read(m->nft_monitor) == 0)
		return 0;
	/* Changed by another, or lost: what is known of the kernel is worth nothing. */
	bh_seen_forget_ruleset(&m->seen);
	bh_manager_dirty(m);
	return 0;
}

static int on_tc(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct bh_manager *m = userdata;
	struct bh_tc_news news;
	int r;

	(void)source;
	(void)fd;
	(void)events;
	r = bh_tc_monitor_read(m->tc_monitor, &news);
	if (r == 0)
		return 0;
	if (r < 0 || news.all || news.shape) {
		bh_shape_free(m->seen.shape);
		m->seen.shape = NULL;
		bh_manager_dirty(m);
	}
	if (r < 0 || news.all)
		bh_manager_host_changed(m);
	else if (news.n_links > 0 || news.addrs)
		bh_manager_links_changed(m, news.links, news.n_links, news.addrs);
	return 0;
}

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	struct bh_manager *m = userdata;

	(void)source;
	(void)info;
	if (m->ready)	/* READY=1 has a meaning of its own before */
		(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)bh_now_usec(CLOCK_MONOTONIC));
	(void)bh_manager_reload(m, 0, NULL);	/* it has logged what is wrong, and status shows it */
	bh_manager_run(m);
	if (m->ready)
		(void)sd_notifyf(0, "READY=1\nSTATUS=%s", bh_manager_state(m, NULL));
	return 0;
}

static int on_terminate(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	struct bh_manager *m = userdata;

	(void)info;
	/* A teardown cannot delete what a socket owns that is kept for us; whoever else stops us wants it kept. */
	if (bh_lock_is_marked(BH_LOCK_DIR))
		bh_kept_drop();
	bh_log(&m->log, LOG_INFO, BH_EVENT_STOP, "stopping, the rules stay");
	(void)sd_notify(0, "STOPPING=1");
	return sd_event_exit(sd_event_source_get_event(source), 0);
}

int bh_manager_add_signals(struct bh_manager *m, struct bh_error *err)
{
	int r = sd_event_add_signal(m->event, &m->hup, SIGHUP, on_hangup, m);

	if (r >= 0)
		r = sd_event_add_signal(m->event, &m->term, SIGTERM, on_terminate, m);
	if (r >= 0)
		r = sd_event_add_signal(m->event, &m->interrupt, SIGINT, on_terminate, m);
	return r < 0 ? bh_fail(err, r, "signals: %s", strerror(-r)) : 0;
}

static int on_keeper(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct bh_manager *m = userdata;

	(void)fd, (void)events;	/* it says nothing: this is its end */
	bh_log(&m->log, LOG_ERR, BH_EVENT_STOP, "the process that starts the others has ended: stopping, the rules stay");
	return sd_event_exit(sd_event_source_get_event(source), 1);
}

int bh_manager_watch_keeper(struct bh_manager *m, int keeper, struct bh_error *err)
{
	int r = sd_event_add_io(m->event, &m->keeper_io, keeper, EPOLLIN, on_keeper, m);

	return r < 0 ? bh_fail(err, r, "event loop: %s", strerror(-r)) : 0;
}

static int reader_start(void *userdata, int listen_fd)
{
	const struct bh_manager *m = userdata;

	return bh_keeper_spawn(m->keeper, BH_ROLE_CONTROL, 0, NULL, listen_fd);
}

static void reader_lost(void *userdata, const char *why)
{
	const struct bh_manager *m = userdata;

	bh_log(&m->log, LOG_WARNING, BH_EVENT_DEGRADED, "the process that reads requests %s: it is started again", why);
}

int bh_manager_listen(struct bh_manager *m, const char *path, struct bh_error *err)
{
	const struct bh_control_reader how = {reader_start, reader_lost, m};

	return bh_control_back_new(m->event, path, &how, bh_handle_call, m, &m->control, err);
}

static int add_events(struct bh_manager *m)
{
	int r = sd_event_add_defer(m->event, &m->dirty, on_dirty, m);

	if (r >= 0)
		r = sd_event_source_set_enabled(m->dirty, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_time_relative(m->event, &m->retry, CLOCK_MONOTONIC, 0, 0, on_retry, m);
	if (r >= 0)
		r = sd_event_source_set_enabled(m->retry, SD_EVENT_OFF);
	if (r >= 0 && m->nft_monitor)
		r = sd_event_add_io(m->event, &m->nft_io, bh_nft_monitor_fd(m->nft_monitor), EPOLLIN, on_nft, m);
	if (r >= 0 && m->tc_monitor)
		r = sd_event_add_io(m->event, &m->tc_io, bh_tc_monitor_fd(m->tc_monitor), EPOLLIN, on_tc, m);
	return r;
}

/* Whatever owned the tables is what to change them with; but it is only kept beside us where it owns. */
static void keep_socket(const struct bh_manager *m, bool stale)
{
	int r = 0;

	if (stale || !m->features.table_persist)
		bh_kept_drop();
	if (m->features.table_persist)
		r = bh_kept_store(m->nft);
	if (r < 0)
		bh_log(&m->log, LOG_WARNING, BH_EVENT_START, "the socket that owns the tables cannot be given to the service manager: "
			"while no bulkheadd runs, others can change them: %s", strerror(-r));
}

int bh_manager_new(sd_event *event, struct bh_manager_parts *parts, struct bh_manager **ret, struct bh_error *err)
{
	_cleanup_(bh_manager_freep) struct bh_manager *m = calloc(1, sizeof(*m));
	int r;

	if (!m) {
		bh_nft_free(parts->nft);
		bh_tc_free(parts->tc);
		bh_nft_monitor_free(parts->nft_monitor);
		bh_tc_monitor_free(parts->tc_monitor);
		bh_nflog_free(parts->nflog);
		bh_flows_free(parts->flows);
		return bh_fail(err, -ENOMEM, "out of memory");
	}
	m->since_usec = bh_now_usec(CLOCK_REALTIME);
	m->event = sd_event_ref(event);
	m->log = parts->log;
	m->nft = parts->nft;
	m->tc = parts->tc;
	m->nft_monitor = parts->nft_monitor;
	m->tc_monitor = parts->tc_monitor;
	m->nflog = parts->nflog;
	m->nflog_wanted = parts->nflog_wanted;
	m->flows = parts->flows;
	m->features = parts->features;
	m->config_path = parts->config_path;
	m->state_dir = parts->state_dir;
	m->once = parts->once;
	m->keeper = parts->keeper;
	r = bh_events_new(&m->events);
	m->log.events = m->events;
	if (r >= 0)
		r = add_events(m);
	if (r >= 0)
		r = bh_denials_start(m);
	if (r < 0)
		return bh_fail(err, r, "event loop: %s", strerror(-r));
	keep_socket(m, parts->kept_stale);
	*ret = bh_take(m);
	return 0;
}

void bh_manager_free(struct bh_manager *m)
{
	sd_event_source **sources[] = { &m->dirty, &m->retry, &m->poll, &m->start_timer, &m->nft_io, &m->tc_io, &m->keeper_io, &m->hup, &m->term,
		&m->interrupt, &m->nflog_io, &m->tell, &m->probation.timer, &m->hand_timer, &m->judge_timer, &m->follow };

	/* Calls in waiting end with the server, so it goes first but after they were answered. */
	bh_handle_waiting(m, -ESHUTDOWN);
	bh_control_back_free(m->control);
	bh_follow_clear(m);
	bh_vec_foreach(s, &m->sources) {
		bh_runtime_free((*s)->runtime);
		free((*s)->kind);
		free((*s)->socket);
		free((*s)->reason);
		bh_inventory_free((*s)->inventory);
		bh_vec_clear(&(*s)->resolvers.v);
		bh_registries_clear(&(*s)->registries);
		free(*s);
	}
	bh_vec_clear(&m->sources);
	for (size_t i = 0; i < BH_ARRAY_SIZE(sources); i++)
		sd_event_source_disable_unref(*sources[i]);
	bh_resolvers_clear(m);
	bh_round_clear(&m->round);
	bh_images_forget(m);
	bh_sources_bury(m);
	bh_seen_clear(&m->seen);
	bh_memory_clear(&m->memory);
	bh_policy_free(m->config.policy);
	bh_policy_free(m->probation.before);
	bh_hand_clear(&m->hand);
	free(m->hand_error);
	free(m->config.error);
	free(m->config.reason);
	free(m->config.keep_error);
	free(m->problem);
	free(m->reload_diagnostics);
	bh_strv_clear(&m->bridges);
	bh_strange_clear(&m->strange);
	bh_told_clear(m->told.v, m->told.n);
	bh_vec_clear(&m->told);
	bh_vec_clear(&m->news.links);
	bh_vec_clear(&m->waiting);
	bh_nft_monitor_free(m->nft_monitor);
	bh_tc_monitor_free(m->tc_monitor);
	bh_nflog_free(m->nflog);
	bh_flows_free(m->flows);
	bh_kinds_free(m->kinds);
	bh_detect_clear(m);
	bh_people_clear(&m->people);
	bh_access_close(&m->access);
	bh_endings_clear(&m->endings);
	bh_nft_free(m->nft);
	bh_tc_free(m->tc);
	bh_events_free(m->events);
	sd_event_unref(m->event);
	free(m);
}

/* Without these the rules hold all the same: what is denied is counted, but not told by name. */
static void open_flows(struct bh_manager_parts *p)
{
	struct bh_error err = {0};

	p->nflog_wanted = true;
	if (bh_nflog_new(BH_NFLOG_GROUP, &p->nflog, &err) < 0)
		bh_log(&p->log, LOG_WARNING, BH_EVENT_START, "denied packets are not told by name: %s", err.msg);
	if (bh_flows_new(&p->flows, &err) < 0)
		bh_log(&p->log, LOG_WARNING, BH_EVENT_START, "running connections are not looked at: %s", err.msg);
}

int bh_manager_parts_open(struct bh_manager_parts *p, struct bh_error *err)
{
	int r = bh_tc_new(&p->tc, err);

	if (r == 0)
		r = bh_kept_open(&p->nft, &p->kept_stale, err);
	/* Listening before the first look, so that nothing falls between. */
	if (r == 0)
		r = bh_nft_monitor_new(p->nft, &p->nft_monitor, err);
	if (r == 0)
		r = bh_tc_monitor_new(&p->tc_monitor, err);
	if (r == 0)
		r = bh_nft_probe(&p->features, err);
	if (r == 0)
		r = bh_tc_probe(&p->features, err);
	bh_features_look(&p->features);
	if (r == 0)
		r = bh_features_mask(&p->features, getenv(BH_MASK_VARIABLE), err);
	if (r < 0) {
		bh_nft_monitor_free(p->nft_monitor);
		bh_tc_monitor_free(p->tc_monitor);
		bh_nft_free(p->nft);
		bh_tc_free(p->tc);
		memset(p, 0, sizeof(*p));
		return r;
	}
	open_flows(p);
	return 0;
}

int bh_manager_start(struct bh_manager *m, struct bh_error *err)
{
	int r = sd_event_add_time_relative(m->event, &m->poll, CLOCK_MONOTONIC, POLL_USEC, 0, on_poll, m);

	if (r >= 0)
		r = sd_event_add_time_relative(m->event, &m->start_timer, CLOCK_MONOTONIC, START_USEC, 0, on_start_over, m);
	if (r < 0)
		return bh_fail(err, r, "event loop: %s", strerror(-r));
	bh_vec_foreach(s, &m->sources) {
		struct bh_runtime *rt = (*s)->runtime;

		r = rt && rt->ops->start ? rt->ops->start(rt, err) : 0;
		if (r < 0)
			return r;
	}
	bh_manager_dirty(m);
	return 0;
}
