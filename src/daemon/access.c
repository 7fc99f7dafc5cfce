/* SPDX-License-Identifier: Apache-2.0 */
#include "manager.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define TIME_TEXT 40

uint64_t bh_callers_note(struct bh_callers *c, uid_t uid, const char *verb, uint64_t now_usec)
{
	struct bh_caller *oldest = NULL;
	uint64_t count;

	for (size_t i = 0; i < c->n; i++) {
		struct bh_caller *x = &c->v[i];

		if (x->uid == uid && x->verb == verb) {
			count = ++x->count;
			if (now_usec >= x->told_usec && now_usec - x->told_usec < BH_CALLERS_USEC)
				return 0;
			x->told_usec = now_usec;
			x->count = 0;
			return count;
		}
		if (!oldest || x->told_usec < oldest->told_usec)
			oldest = x;
	}
	if (c->n < BH_CALLERS_MAX)
		oldest = &c->v[c->n++];
	*oldest = (struct bh_caller){.uid = uid, .verb = verb, .told_usec = now_usec};
	return 1;
}

static bool is_wanted(const struct bh_access *a, const char *what)
{
	for (size_t i = 0; i < BH_LOG_WORDS; i++)
		if (strcmp(bh_log_words[i], what) == 0)
			return a->config.what & 1u << i;
	return false;	/* each change of the rules is no decision */
}

/* RFC 3339 with microseconds, in UTC. */
static const char *time_text(uint64_t usec, char buf[TIME_TEXT])
{
	time_t t = (time_t)(usec / 1000000);
	struct tm tm;
	char text[24];

	if (!gmtime_r(&t, &tm) || strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
		text[0] = '\0';
	snprintf(buf, TIME_TEXT, "%s.%06lluZ", text, (unsigned long long)(usec % 1000000));
	return buf;
}

char *bh_access_line(const struct bh_event *x)
{
	char when[TIME_TEXT], *line = NULL;
	json_t *doc = bh_event_json(x);

	if (doc && json_object_set_new(doc, "version", json_integer(1)) == 0 && json_object_set_new(doc, "time", json_string(time_text(x->usec, when))) == 0)
		line = json_dumps(doc, JSON_COMPACT | JSON_SORT_KEYS);
	json_decref(doc);
	return line;
}

static void on_event(void *userdata, const struct bh_event *x)
{
	struct bh_manager *m = userdata;
	_cleanup_free_ char *line = NULL;
	size_t n;

	if (!m->access.file || !is_wanted(&m->access, x->what))
		return;
	line = bh_access_line(x);
	if (!line)
		return;
	n = strlen(line);
	line[n] = '\n';	/* in the place of its end */
	(void)bh_access_file_put(m->access.file, line, n + 1);
}

/* The thread's word about the file becomes the daemon's. */
static int on_problem(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct bh_manager *m = userdata;
	char *problem;
	uint64_t lost;

	(void)source, (void)fd, (void)events;
	bh_access_file_seen(m->access.file);
	problem = bh_access_file_problem(m->access.file, &lost);
	if (bh_streq(problem, m->access.problem)) {
		free(problem);
		return 0;
	}
	free(m->access.problem);
	m->access.problem = problem;
	if (problem)
		bh_log(&m->log, LOG_WARNING, BH_EVENT_DEGRADED, "the access log %s: what is to be logged waits in memory, nothing else does", problem);
	else if (lost)
		bh_log(&m->log, LOG_WARNING, BH_EVENT_DEGRADED, "the access log %s is written again: %llu records were lost", m->access.config.file,
			(unsigned long long)lost);
	else
		bh_log(&m->log, LOG_NOTICE, BH_EVENT_DEGRADED, "the access log %s is written again, nothing was lost", m->access.config.file);
	return 0;
}

void bh_access_close(struct bh_access *a)
{
	a->io = sd_event_source_disable_unref(a->io);
	bh_access_file_free(bh_take(a->file));
	free(bh_take(a->config.file));
	free(bh_take(a->problem));
}

static int access_open(struct bh_manager *m, const struct bh_access_config *c)
{
	struct bh_access *a = &m->access;
	int r;

	if (bh_strdup(&a->config.file, c->file) < 0)
		return -ENOMEM;
	r = bh_access_file_new(c->file, c->size, c->keep, bh_control_group(), &a->file);
	if (r == 0)
		r = sd_event_add_io(m->event, &a->io, bh_access_file_fd(a->file), EPOLLIN, on_problem, m);
	if (r < 0)
		bh_access_close(a);
	return r < 0 ? r : 0;
}

/* What happened before there was a configuration to say where. */
static void catch_up(struct bh_manager *m)
{
	const struct bh_event *x;

	for (uint64_t seq = 0; (x = bh_events_next(m->events, seq)); seq = x->seq)
		on_event(m, x);
}

void bh_access_follow(struct bh_manager *m)
{
	static const struct bh_access_config off;
	const struct bh_access_config *c = m->config.policy ? &m->config.policy->log : &off;
	struct bh_access *a = &m->access;
	bool first = !m->access_known;
	int r;

	if (m->access_waits)
		return;
	m->access_known = true;
	if (!bh_streq(a->config.file, c->file) || (c->file && (a->config.size != c->size || a->config.keep != c->keep))) {
		bh_access_close(a);
		r = c->file ? access_open(m, c) : 0;
		if (r < 0)
			bh_log(&m->log, LOG_WARNING, BH_EVENT_DEGRADED, "the access log %s cannot be opened: %s", c->file, strerror(-r));
	}
	a->config.size = c->size;
	a->config.keep = c->keep;
	a->config.what = c->what;
	if (a->file)
		bh_events_on(m->events, on_event, m);
	if (a->file && first)
		catch_up(m);
}

void bh_access_call(struct bh_manager *m, const struct bh_control_call *call, const char *verb, const json_t *request, bool changes, bool allowed)
{
	struct bh_control_peer peer = bh_control_peer(call);
	char pid[24], uid[24], gid[24], count[24];
	_cleanup_free_ char *text = NULL;
	uint64_t n = 1;

	if (!changes) {
		n = m->access.file ? bh_callers_note(&m->access.callers, peer.uid, verb, bh_now_usec(CLOCK_MONOTONIC)) : 0;
		if (n == 0)
			return;
	} else {
		json_t *rest = json_copy((json_t *)request);

		(void)json_object_del(rest, "version");
		(void)json_object_del(rest, "verb");
		text = rest && json_object_size(rest) > 0 ? json_dumps(rest, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
		json_decref(rest);
	}
	snprintf(pid, sizeof(pid), "%lld", (long long)peer.pid);
	snprintf(uid, sizeof(uid), "%lld", (long long)peer.uid);
	snprintf(gid, sizeof(gid), "%lld", (long long)peer.gid);
	snprintf(count, sizeof(count), "%llu", (unsigned long long)n);
	const struct bh_log_field fields[] = {
		{"BULKHEAD_VERB", verb},
		{"BULKHEAD_UID", uid},
		{"BULKHEAD_GID", gid},
		{"BULKHEAD_PID", pid},
		{"BULKHEAD_VERDICT", allowed ? "accept" : "deny"},
		{"BULKHEAD_REQUEST", text},
		{"BULKHEAD_COUNT", count},
	};

	if (allowed)
		bh_log_note(&m->log, changes ? LOG_NOTICE : LOG_INFO, BH_EVENT_CONTROL, fields, BH_ARRAY_SIZE(fields), "uid %s (pid %s) asked for %s", uid, pid,
			verb);
	else
		bh_log_fields(&m->log, LOG_WARNING, BH_EVENT_CONTROL, fields, BH_ARRAY_SIZE(fields), "refused to uid %s (pid %s): %s is for root", uid,
			pid, verb);
}
