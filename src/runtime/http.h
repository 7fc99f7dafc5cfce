/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 GET over one unix socket, never blocking: libcurl's multi interface on an sd-event loop. */
#ifndef BULKHEAD_RUNTIME_HTTP_H
#define BULKHEAD_RUNTIME_HTTP_H

#include <bulkhead/error.h>
#include <bulkhead/mem.h>
#include <bulkhead/runtime.h>

struct sd_event;
struct bh_http;
struct bh_http_request;

/* How a request ended. reason is never NULL and safe to print; body belongs to the client. */
struct bh_http_answer {
	int error;		/* 0 when the peer answered whole, whatever the status; else -errno */
	long status;		/* 200, 404, …; 0 when there was none */
	const char *body;	/* NUL-terminated; "" for a stream */
	size_t n;
	const char *reason;
};

/* The request is gone when it is called; it may make and cancel others. Not called for a cancelled one. */
typedef void (*bh_http_done_fn)(void *userdata, const struct bh_http_answer *answer);
/* A stream's headers have come with status 200. */
typedef void (*bh_http_open_fn)(void *userdata);
/* What a stream brought, in order. Negative ends the stream with that error. */
typedef int (*bh_http_data_fn)(void *userdata, const char *data, size_t n);

struct bh_http_get {
	const char *path;	/* with query, already escaped */
	size_t max;		/* of the body, in bytes; a longer one ends in -EMSGSIZE. Not for streams. */
	long timeout_ms;	/* for all of it; -ETIMEDOUT. 0: none */
	bh_http_done_fn done;
	bh_http_open_fn open;	/* streams */
	bh_http_data_fn data;	/* makes it a stream */
	void *userdata;
	void (*free_userdata)(void *userdata);	/* may be NULL; called once, however the request ends */
};

/* A client of the socket PATH. Nothing is connected yet. 0 or -errno. */
int bh_http_new(struct sd_event *event, const char *path, struct bh_http **ret, struct bh_error *err);
/* Connections are opened by D, which must outlive H, instead of by PATH. */
void bh_http_use_door(struct bh_http *h, const struct bh_door *d);
/* Cancels everything. Not from within a callback. */
void bh_http_free(struct bh_http *h);
BH_DEFINE_FREEP(struct bh_http, bh_http_free)

/* Starts a request. *RET may be used to cancel it until it is done; RET may be NULL. On failure userdata is freed too. */
int bh_http_get(struct bh_http *h, const struct bh_http_get *get, struct bh_http_request **ret);
void bh_http_cancel(struct bh_http_request *r);
void bh_http_cancel_all(struct bh_http *h);
/* Cancels everything and closes the connections that wait for the next request, as far as there is memory: who listens at the path
 * may be another one by now. May be called from within a callback. */
void bh_http_reset(struct bh_http *h);

#endif
