/* SPDX-License-Identifier: Apache-2.0 */
/* Which socket is at the path. An upgraded Docker makes a new one while the old daemon may be alive on the old one, so that no
 * connection ends by itself. */
#include "docker.h"

#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int on_watch(sd_event_source *s, const struct inotify_event *e, void *userdata)
{
	struct bh_docker *d = userdata;

	(void)s;
	if (e->mask & (IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT)) {
		d->watch = sd_event_source_disable_unref(d->watch);	/* made again by the next attempt */
		return 0;
	}
	if ((e->mask & IN_Q_OVERFLOW) || (e->len > 0 && bh_streq(e->name, base_name(d->head.socket))))
		bh_docker_socket_changed(d);
	return 0;
}

/* Without a watch (no directory yet, no inotify instance left for this user) the next ping finds it. */
static void watch_begin(struct bh_docker *d)
{
	_cleanup_free_ char *dir = strdup(d->head.socket);
	char *slash = dir ? strrchr(dir, '/') : NULL;

	if (!slash)
		return;
	slash[slash == dir] = '\0';
	if (sd_event_add_inotify(d->event, &d->watch, dir,
		IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR, on_watch, d) < 0)
		d->watch = NULL;
}

void bh_docker_socket_note(struct bh_docker *d)
{
	struct stat st;

	if (!d->watch)
		watch_begin(d);
	d->socket_dev = 0;
	d->socket_ino = 0;
	if (stat(d->head.socket, &st) < 0)
		return;
	d->socket_dev = st.st_dev;
	d->socket_ino = st.st_ino;
}

bool bh_docker_socket_replaced(const struct bh_docker *d)
{
	struct stat st;

	return stat(d->head.socket, &st) == 0 && (st.st_dev != d->socket_dev || st.st_ino != d->socket_ino);
}
