/* SPDX-License-Identifier: Apache-2.0 */
#include "confined.h"
#include "lock.h"

#include <bulkhead/confine.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define METRICS_PATH "unix:"
#define LOGS "/var/log/bulkhead"	/* also for a log that a later configuration asks for */

/* The folder that PATH is in, a new string; NULL for no memory. */
static char *folder(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return strdup(".");
	return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

int bh_daemon_confine(const struct bh_options *o, const char *access_log, const struct bh_log *log, struct bh_error *err)
{
	bool metrics = o->metrics && strncmp(o->metrics, METRICS_PATH, strlen(METRICS_PATH)) == 0;
	_cleanup_free_ char *control = folder(o->socket), *measured = metrics ? folder(o->metrics + strlen(METRICS_PATH)) : NULL, *trace = NULL;
	_cleanup_free_ char *logged = access_log ? folder(access_log) : NULL;
	const char *writable[8] = {o->state, BH_LOCK_DIR, LOGS, control};
	size_t n = 4;
	int r;

	if (!control || (metrics && !measured) || (access_log && !logged))
		return bh_fail(err, -ENOMEM, "out of memory");
	if (metrics)
		writable[n++] = measured;
	if (logged) {
		(void)mkdir(logged, 0750);	/* what is wrong is told where it is opened */
		writable[n++] = logged;
	}
#ifdef BULKHEAD_FAULTS
	trace = getenv("BULKHEAD_FAULT_TRACE") ? folder(getenv("BULKHEAD_FAULT_TRACE")) : NULL;
	if (trace)
		writable[n++] = trace;
#endif
	/* A folder that is not there cannot be named: what is kept is kept in it. */
	if (mkdir(o->state, 0700) < 0 && errno != EEXIST)
		bh_log(log, LOG_WARNING, BH_EVENT_START, "cannot make %s: %s: the configuration will not be kept", o->state, strerror(errno));
	r = bh_confine_privileges(true, err);
	if (r == 0)
		r = bh_confine_files(writable, NULL, err);
	if (r > 0)
		bh_log(log, LOG_INFO, BH_EVENT_START, "this kernel has no Landlock: where files are written is bounded by the service manager alone");
	return r < 0 ? r : bh_confine_calls(BH_CALLS_ENFORCER, err) < 0 ? err->code : 0;
}
