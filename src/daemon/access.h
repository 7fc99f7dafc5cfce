/* SPDX-License-Identifier: Apache-2.0 */
/* The access log: what the daemon tells as events, as lines of JSON in a file that outlives it (docs/schema/access-log.json). */
#ifndef BULKHEAD_DAEMON_ACCESS_H
#define BULKHEAD_DAEMON_ACCESS_H

#include "access_file.h"

#include <bulkhead/control.h>
#include <bulkhead/policy.h>

#include <systemd/sd-event.h>

#define BH_CALLERS_MAX 64u
#define BH_CALLERS_USEC (60 * 1000000ULL)

/* Who looked at what lately. Who looks again within a minute is counted, not told. */
struct bh_caller {
	uid_t uid;
	const char *verb;		/* static */
	uint64_t told_usec;
	uint64_t count;			/* since then */
};
struct bh_callers {
	struct bh_caller v[BH_CALLERS_MAX];
	size_t n;
};
/* UID asked for VERB at NOW: how often that was since it was told, to be told now; or 0. The one that was told longest ago makes room. */
uint64_t bh_callers_note(struct bh_callers *c, uid_t uid, const char *verb, uint64_t now_usec);

struct bh_access {
	struct bh_access_file *file;	/* NULL: off */
	struct bh_access_config config;	/* that it was opened with; the path is our own */
	sd_event_source *io;
	char *problem;			/* why it cannot be written: a reason to be degraded; or NULL */
	struct bh_callers callers;
};

struct bh_event;
/* X as a line without its newline; NULL for no memory. The caller frees it. */
char *bh_access_line(const struct bh_event *x);

struct bh_manager;
/* The configuration may be another one: opens, closes or moves the file. */
void bh_access_follow(struct bh_manager *m);
void bh_access_close(struct bh_access *a);
/* A call of VERB (static), which CHANGES something or only looks, was ALLOWED to its peer or refused. */
void bh_access_call(struct bh_manager *m, const struct bh_control_call *call, const char *verb, const json_t *request, bool changes, bool allowed);

#endif
