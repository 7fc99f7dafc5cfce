/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's one log: the journal with fields where there is one, lines on stderr otherwise. */
#ifndef BULKHEAD_DAEMON_LOG_H
#define BULKHEAD_DAEMON_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <syslog.h>

/* What happened, for the journal field BULKHEAD_EVENT: stable words to search for. */
#define BH_EVENT_START "start"
#define BH_EVENT_STOP "stop"
#define BH_EVENT_CONFIG "config"
#define BH_EVENT_RUNTIME "runtime"
#define BH_EVENT_CHANGE "change"
#define BH_EVENT_REPAIR "repair"
#define BH_EVENT_DEGRADED "degraded"
#define BH_EVENT_PLACED "placed"
#define BH_EVENT_DENIED "denied"
#define BH_EVENT_CONNECTIONS "connections"
#define BH_EVENT_HAND "hand"
#define BH_EVENT_IMAGES "images"
#define BH_EVENT_CONTROL "control"
#define BH_EVENT_DETECT "detect"

struct bh_events;

struct bh_log {
	bool journal;
	bool debug;			/* LOG_DEBUG too */
	struct bh_events *events;	/* gets what is logged, too; or NULL */
};

/* The journal unless FOREGROUND, and only where its socket is. $BULKHEAD_DEBUG makes it tell every change. */
struct bh_log bh_log_open(bool foreground);

/* One line; PRIORITY of syslog(3). Everything in it that would act on a terminal or a log is escaped. */
void bh_log(const struct bh_log *l, int priority, const char *event, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* What is told to those who follow events, and at debug level in the log: each change of the rules. */
void bh_log_event(const struct bh_log *l, const char *event, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The same about one container (fields BULKHEAD_CONTAINER and BULKHEAD_ZONE). */
void bh_log_container(const struct bh_log *l, int priority, const char *event, const char *id, const char *zone, const char *fmt, ...)
	__attribute__((format(printf, 6, 7)));

/* The same with fields of its own for the journal (NAME as the journal wants it, "BULKHEAD_CLASS"); values are escaped like the text. */
struct bh_log_field {
	const char *name;
	const char *value;	/* untrusted; NULL: left out */
};
#define BH_LOG_FIELDS_MAX 24
void bh_log_fields(const struct bh_log *l, int priority, const char *event, const struct bh_log_field *fields, size_t n, const char *fmt,
	...) __attribute__((format(printf, 6, 7)));

/* The same for those alone who listen to events, and at debug level in the log. */
void bh_log_note(const struct bh_log *l, int priority, const char *event, const struct bh_log_field *fields, size_t n, const char *fmt, ...)
	__attribute__((format(printf, 6, 7)));

#endif
