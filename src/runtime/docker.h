/* SPDX-License-Identifier: Apache-2.0 */
/* One Docker daemon: the parts of its follower know each other by this. Subscribe, list, tell; then each event says only where to look. */
#ifndef BULKHEAD_RUNTIME_DOCKER_H
#define BULKHEAD_RUNTIME_DOCKER_H

#include "docker_model.h"
#include "http.h"

#include <bulkhead/buf.h>

#include <sys/types.h>
#include <systemd/sd-event.h>

/* Times in milliseconds. Tests shorten them. */
struct bh_docker_times {
	unsigned retry_min, retry_max;	/* between attempts to connect, doubling */
	unsigned stable;		/* connected for that long, the next attempt starts at retry_min again */
	unsigned open;			/* for the event stream to begin */
	unsigned request;		/* for a plain request */
	unsigned ping, ping_timeout;
	unsigned resync;		/* a full listing, just in case */
	unsigned trouble_min, trouble_max;	/* a full listing after something went wrong, doubling */
	unsigned confirm;		/* the second look at a container after its last event */
};

struct bh_docker {
	struct bh_runtime head;
	struct bh_docker_times times;
	sd_event *event;
	struct bh_http *http;
	struct bh_door door;
	struct bh_docker_model model;
	struct bh_runtime_stats stats;

	/* docker.c: the connection */
	struct bh_http_request *stream;
	struct bh_buf line;
	size_t skipped;			/* bytes of a line that is too long, not kept */
	bool execs;			/* are told of */
	char *reason;			/* why absent, or what ails it, as told */
	unsigned retry;
	uint64_t connected_at;
	sd_event_source *retry_timer, *open_timer, *ping_timer, *resync_timer, *confirm_timer, *wake;
	sd_event_source *watch;		/* the socket's directory, or NULL */
	dev_t socket_dev;		/* of the socket that was connected to; 0 when there was none */
	ino_t socket_ino;

	/* docker_sync.c: who is looked at */
	uint64_t seq;			/* number of the last request */
	unsigned looks, nets, images, inspects;	/* under way */
	struct bh_docker_settings settings;
	bool settings_asked, settings_done;	/* no container is inspected before */
	bool syncing;
	bool list_done, networks_done;
	bool networks_busy, networks_wanted;	/* GET /networks, for the sync or for look() */
	bool resync_wanted;
	bool trouble_armed;		/* the next listing is because something went wrong */
	unsigned trouble;		/* after how many ms */
	uint64_t sync_seq;
};

/* bh_docker_new() with other times. */
int bh_docker_new_with(sd_event *event, const char *socket, const struct bh_docker_times *times, bh_runtime_fn fn, void *userdata,
	struct bh_runtime **ret, struct bh_error *err);

/* Before it starts: everything is opened by D, which is copied. */
void bh_docker_use_door(struct bh_runtime *r, const struct bh_door *d);

/* The connection is of no use any more: tells that the runtime is absent, and tries again after a while. REASON is safe to print. */
void bh_docker_lost(struct bh_docker *d, const char *reason);
/* A listing is told whole. */
void bh_docker_synced(struct bh_docker *d);
/* It is connected, and an answer could not be had or read: tells so, once for each REASON (safe to print) until a listing is whole. */
void bh_docker_ailing(struct bh_docker *d, const char *reason);
bool bh_docker_is_up(const struct bh_docker *d);
/* Arms a timer, or moves it. */
int bh_docker_timer(struct bh_docker *d, sd_event_source **s, unsigned ms, sd_event_time_handler_t fn);

/* Something was put at the socket's path: who is connected to the one before connects anew, who waits tries now. */
void bh_docker_socket_changed(struct bh_docker *d);

/* docker_watch.c: notes which socket is at the path, before it is connected to, and watches the directory as far as that can be. */
void bh_docker_socket_note(struct bh_docker *d);
/* Whether another one is there now. A path with nothing says nothing about the connection. */
bool bh_docker_socket_replaced(const struct bh_docker *d);

/* docker_sync.c */
void bh_docker_sync(struct bh_docker *d);
void bh_docker_sync_forget(struct bh_docker *d);	/* the requests under way are gone */
void bh_docker_event_line(struct bh_docker *d, const char *text, size_t n);
void bh_docker_pump(struct bh_docker *d);		/* sends what is to be asked */
void bh_docker_bad_event(struct bh_docker *d);	/* counts it, and lists again, not at once */

#endif
