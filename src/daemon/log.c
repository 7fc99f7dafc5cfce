/* SPDX-License-Identifier: Apache-2.0 */
#include "events.h"
#include "log.h"

#include <bulkhead/buf.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define LINE_MAX_BYTES 2048

struct bh_log bh_log_open(bool foreground)
{
	return (struct bh_log){ .journal = !foreground && access(JOURNAL_SOCKET, W_OK) == 0, .debug = getenv("BULKHEAD_DEBUG") };
}

static uint64_t now_usec(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Into the ring. */
static void note(const struct bh_log *l, int priority, const char *event, const char *text, const struct bh_log_field *fields, size_t n)
{
	struct bh_event *x;

	if (!l->events)
		return;
	x = bh_events_add(l->events, now_usec(), priority, event, text);
	for (size_t i = 0; i < n; i++)
		bh_event_field(x, fields[i].name, fields[i].value);
	bh_events_done(l->events, x);
}

static void put(const struct bh_log *l, int priority, const char *event, const char *id, const char *zone, const char *raw)
{
	_cleanup_buf_ struct bh_buf line = {0}, safe_zone = {0};
	const char *text;
	int saved = errno;

	bh_buf_put_safe(&line, raw, LINE_MAX_BYTES);
	text = line.s ? line.s : "out of memory";
	bh_buf_put_safe(&safe_zone, zone ? zone : "", 256);
	if (!l->journal)
		fprintf(stderr, "bulkheadd: %s%s: %s\n", priority <= LOG_ERR ? "error: " : priority == LOG_WARNING ? "warning: " : "",
			event, text);
	else if (id)
		(void)sd_journal_send("MESSAGE=%s", text, "PRIORITY=%i", priority, "SYSLOG_IDENTIFIER=bulkheadd", "BULKHEAD_EVENT=%s",
			event, "BULKHEAD_CONTAINER=%s", id, "BULKHEAD_ZONE=%s", safe_zone.s ? safe_zone.s : "", NULL);
	else
		(void)sd_journal_send("MESSAGE=%s", text, "PRIORITY=%i", priority, "SYSLOG_IDENTIFIER=bulkheadd", "BULKHEAD_EVENT=%s",
			event, NULL);
	errno = saved;
}

static char *format(const char *fmt, va_list ap)
{
	char *raw;

	return vasprintf(&raw, fmt, ap) < 0 ? NULL : raw;
}

/* ID: of a container, which is in ZONE now; or NULL. */
static void say(const struct bh_log *l, int priority, const char *event, const char *id, const char *zone, const char *fmt, va_list ap)
{
	const struct bh_log_field fields[] = {{"BULKHEAD_CONTAINER", id}, {"BULKHEAD_ZONE", zone}};
	_cleanup_free_ char *raw = NULL;

	if (priority == LOG_DEBUG && !l->debug)
		return;
	raw = format(fmt, ap);
	put(l, priority, event, id, zone, raw ? raw : "out of memory");
	note(l, priority, event, raw ? raw : "out of memory", fields, id ? BH_ARRAY_SIZE(fields) : 0);
}

void bh_log(const struct bh_log *l, int priority, const char *event, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(l, priority, event, NULL, NULL, fmt, ap);
	va_end(ap);
}

void bh_log_event(const struct bh_log *l, const char *event, const char *fmt, ...)
{
	_cleanup_free_ char *raw = NULL;
	va_list ap;

	va_start(ap, fmt);
	raw = format(fmt, ap);
	va_end(ap);
	if (raw && l->debug)
		put(l, LOG_DEBUG, event, NULL, NULL, raw);
	if (raw)
		note(l, LOG_DEBUG, event, raw, NULL, 0);
}

void bh_log_container(const struct bh_log *l, int priority, const char *event, const char *id, const char *zone, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(l, priority, event, id, zone, fmt, ap);
	va_end(ap);
}

/* NAME=VALUE for sd_journal_sendv(3). */
static int field_add(struct iovec *v, size_t *n, const char *name, const char *value)
{
	_cleanup_buf_ struct bh_buf b = {0};
	char *text;

	bh_buf_puts(&b, name);
	bh_buf_puts(&b, "=");
	bh_buf_put_safe(&b, value, LINE_MAX_BYTES);
	if (bh_buf_steal(&b, &text) < 0)
		return -ENOMEM;
	v[(*n)++] = (struct iovec){.iov_base = text, .iov_len = strlen(text)};
	return 0;
}

void bh_log_fields(const struct bh_log *l, int priority, const char *event, const struct bh_log_field *fields, size_t n, const char *fmt,
	...)
{
	struct iovec v[BH_LOG_FIELDS_MAX + 4];
	_cleanup_free_ char *raw = NULL;
	char number[2] = {(char)('0' + (priority & 7)), 0};
	size_t done = 0;
	va_list ap;
	int r = 0;

	if (priority == LOG_DEBUG && !l->debug)
		return;
	va_start(ap, fmt);
	raw = format(fmt, ap);
	va_end(ap);
	if (!raw)
		return;
	note(l, priority, event, raw, fields, n);
	if (!l->journal) {
		put(l, priority, event, NULL, NULL, raw);
		return;
	}
	r = field_add(v, &done, "MESSAGE", raw);
	if (r == 0)
		r = field_add(v, &done, "PRIORITY", number);
	if (r == 0)
		r = field_add(v, &done, "SYSLOG_IDENTIFIER", "bulkheadd");
	if (r == 0)
		r = field_add(v, &done, "BULKHEAD_EVENT", event);
	for (size_t i = 0; i < n && i < BH_LOG_FIELDS_MAX && r == 0; i++)
		if (fields[i].value)
			r = field_add(v, &done, fields[i].name, fields[i].value);
	if (r == 0)
		(void)sd_journal_sendv(v, (int)done);
	for (size_t i = 0; i < done; i++)
		free(v[i].iov_base);
}

void bh_log_note(const struct bh_log *l, int priority, const char *event, const struct bh_log_field *fields, size_t n, const char *fmt, ...)
{
	_cleanup_free_ char *raw = NULL;
	va_list ap;

	va_start(ap, fmt);
	raw = format(fmt, ap);
	va_end(ap);
	if (raw && l->debug)
		put(l, LOG_DEBUG, event, NULL, NULL, raw);
	if (raw)
		note(l, priority, event, raw, fields, n);
}
