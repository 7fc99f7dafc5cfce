/* SPDX-License-Identifier: Apache-2.0 */
/* Part of builds with -Dfaults=true only. The count is the one thing here that outlives a call: a point has no other place to keep it. */
#include <bulkhead/fault.h>

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void trace(const char *point)
{
	const char *path = getenv("BULKHEAD_FAULT_TRACE");
	int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;

	if (fd < 0)
		return;
	if (write(fd, point, strlen(point)) < 0 || write(fd, "\n", 1) < 0)
		abort();
	close(fd);
}

void bh_fault_point(const char *point)
{
	static unsigned long passed;
	const char *wanted = getenv("BULKHEAD_FAULT");
	const char *colon = wanted ? strrchr(wanted, ':') : NULL;
	size_t n = strlen(point);

	trace(point);
	if (!colon || (size_t)(colon - wanted) != n || strncmp(wanted, point, n) != 0)
		return;
	if (++passed == strtoul(colon + 1, NULL, 10))
		kill(getpid(), SIGKILL);
}
