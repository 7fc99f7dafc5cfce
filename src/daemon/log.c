/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <bulkhead/buf.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define LINE_MAX_BYTES 2048

struct bh_log bh_log_open(bool foreground)
{
	return (struct bh_log){ .journal = !foreground && access(JOURNAL_SOCKET, W_OK) == 0, .debug = getenv("BULKHEAD_DEBUG") };
}

static void put(const struct bh_log *l, int priority, const char *event, const char *id, const char *zone, const char *fmt, va_list ap)
{
	_cleanup_free_ char *raw = NULL;
	_cleanup_buf_ struct bh_buf line = {0}, safe_zone = {0};
	const char *text;
	int saved = errno;

	if (priority == LOG_DEBUG && !l->debug)
		return;
	if (vasprintf(&raw, fmt, ap) < 0)
		raw = NULL;
	bh_buf_put_safe(&line, raw ? raw : "out of memory", LINE_MAX_BYTES);
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

void bh_log(const struct bh_log *l, int priority, const char *event, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put(l, priority, event, NULL, NULL, fmt, ap);
	va_end(ap);
}

void bh_log_container(const struct bh_log *l, int priority, const char *event, const char *id, const char *zone, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put(l, priority, event, id, zone, fmt, ap);
	va_end(ap);
}
