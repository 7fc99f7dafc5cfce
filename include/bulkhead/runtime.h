/* SPDX-License-Identifier: Apache-2.0 */
/* The door to container runtimes. A runtime tells what runs by typed messages; nobody behind the door knows HTTP or
 * JSON, and nothing in a message points back into the runtime: the two sides may become two processes. */
#ifndef BULKHEAD_RUNTIME_H
#define BULKHEAD_RUNTIME_H

#include <bulkhead/dockerd.h>
#include <bulkhead/error.h>
#include <bulkhead/images.h>
#include <bulkhead/inventory.h>

struct sd_event;

enum bh_runtime_state {
	BH_RUNTIME_ABSENT,		/* no socket, or nobody answers; being tried again */
	BH_RUNTIME_CONNECTING,		/* subscribed, listing */
	BH_RUNTIME_CONNECTED,
};
const char *bh_runtime_state_name(enum bh_runtime_state s);	/* "absent", "connecting", "connected" */

enum bh_runtime_msg_kind {
	BH_RUNTIME_MSG_STATE,		/* state, reason */
	BH_RUNTIME_MSG_SNAPSHOT,	/* inventory: everything, replaces what was known of this runtime */
	BH_RUNTIME_MSG_CONTAINER,	/* container: one changed or is new */
	BH_RUNTIME_MSG_GONE,		/* id: one is gone */
	BH_RUNTIME_MSG_NETWORK,		/* network: one changed or is new */
	BH_RUNTIME_MSG_NETWORK_GONE,	/* id */
	BH_RUNTIME_MSG_REGISTRIES,	/* registries: how it reaches them */
	BH_RUNTIME_MSG_RESOLVERS,	/* addrs: those that it was told to give to containers; or, with reason, why they cannot be read */
	BH_RUNTIME_MSG_EXEC,		/* id, text: a command was executed in a container that runs; where that is asked for */
};

#define BH_EXEC_TEXT_MAX 512u

/* Everything in it belongs to the sender and dies when the callback returns: copy what is kept. */
struct bh_runtime_msg {
	enum bh_runtime_msg_kind kind;
	enum bh_runtime_state state;
	const char *reason;		/* why absent, or what ails one that is connected; safe to print; or NULL */
	const struct bh_inventory *inventory;
	const struct bh_container *container;
	const struct bh_network *network;
	const char *id;
	const char *text;		/* anybody's, at most BH_EXEC_TEXT_MAX bytes */
	const struct bh_addrs *addrs;
	const struct bh_registries *registries;
};

struct bh_runtime_stats {
	uint64_t events;		/* received since the start */
	uint64_t resyncs;		/* full listings */
	uint64_t errors;		/* malformed or refused answers */
};

typedef void (*bh_runtime_fn)(void *userdata, const struct bh_runtime_msg *msg);

struct bh_runtime;

struct bh_runtime_ops {
	const char *kind;		/* "docker" */
	int (*start)(struct bh_runtime *r, struct bh_error *err);	/* begins to connect; returns at once */
	void (*resync)(struct bh_runtime *r);		/* asks for a full snapshot */
	void (*look)(struct bh_runtime *r, const char *bridge);	/* something unexplained was seen on a bridge (a new port, a build
								 * whose port went): who is in its networks is asked again */
	void (*execs)(struct bh_runtime *r, bool on);	/* tells of executed commands from now on, or not: off at first, for health checks make several
							 * a second. One that is connected connects anew */
	struct bh_runtime_stats (*stats)(const struct bh_runtime *r);
	void (*free)(struct bh_runtime *r);
};

/* The head of every runtime. */
struct bh_runtime {
	const struct bh_runtime_ops *ops;
	char *socket;
	enum bh_runtime_state state;
	bh_runtime_fn fn;
	void *userdata;
};

void bh_runtime_free(struct bh_runtime *r);	/* NULL is nothing; removes its event sources */
BH_DEFINE_FREEP(struct bh_runtime, bh_runtime_free)

/* Docker Engine API 1.41 over the unix socket SOCKET, on EVENT's loop. FN gets every message. */
int bh_docker_new(struct sd_event *event, const char *socket, bh_runtime_fn fn, void *userdata, struct bh_runtime **ret,
	struct bh_error *err);

/* What a runtime opens: its socket, and what tells how the dockerd behind it was started. Whoever parses what comes from there may be another
 * process than the one that opens it. */
struct bh_door {
	/* A connected socket, non-blocking, close-on-exec; or -errno. */
	int (*connect)(const struct bh_door *d);
	/* The command line of the dockerd that listens, and its configuration file; each -1 where there is none to be seen. 0 or -errno. */
	int (*files)(const struct bh_door *d, int *ret_cmdline, int *ret_config);
	const char *socket;
	int fd;			/* of bh_door_asking() */
};
/* Opens by path itself. SOCKET must outlive it. */
struct bh_door bh_door_opening(const char *socket);
/* Asks who holds the other end of FD (SOCK_SEQPACKET), and calls bh_door_answer(), to open. */
struct bh_door bh_door_asking(const char *socket, int fd);
/* Answers one question on FD with D. 0 at the end, 1 when it was answered, -errno: no more can be answered. */
int bh_door_answer(const struct bh_door *d, int fd);

/* The resolvers that the dockerd behind D was told to give to containers instead of the host's: its --dns, and "dns" of its
 * configuration file. None is what most have. Blocks for no longer than reading three small files takes. 0 or -errno; the caller
 * clears ret->v. */
int bh_docker_resolvers(const struct bh_door *d, struct bh_addrs *ret);

/* Follows the Docker at SOCKET, which D opens, and tells all that it hears as frames on FD (runtime/wire.h), until the other end of it is
 * closed: 0. -errno with ERR. */
int bh_docker_follow(const char *socket, const struct bh_door *d, int fd, struct bh_error *err);

/* Another process that calls bh_docker_follow(). START gives the other end of its FD, and starts one, or -errno; it is called again when that
 * one has gone or told what makes no sense. Nothing that it tells is believed unchecked. */
struct bh_remote {
	int (*start)(void *userdata);
	void *userdata;
};
int bh_remote_new(struct sd_event *event, const char *socket, const struct bh_remote *how, bh_runtime_fn fn, void *userdata,
	struct bh_runtime **ret, struct bh_error *err);

/* One look at the Docker at SOCKET, blocking: everything that it has. Nothing is changed and nothing followed. TIMEOUT_MS is for all of it; a
 * container that cannot be inspected has a posture that is not known. 0; -ENOTCONN when nobody answers, with ERR saying why; -ETIMEDOUT,
 * -ENOMEM. */
int bh_docker_look_once(const char *socket, unsigned timeout_ms, struct bh_inventory **ret, struct bh_error *err);

/* How the Docker at SOCKET is set, blocking: what it says of itself, each answer within TIMEOUT_MS, its command line and its configuration file.
 * That nobody answers, or a file cannot be read, is told in RET (zero before; bh_dockerd_clear()). 0 or -errno for this program's own failures. */
int bh_dockerd_look(const char *socket, unsigned timeout_ms, struct bh_dockerd *ret, struct bh_error *err);

/* A scripted runtime behind the same door, for tests: messages are those that the test pushes. */
int bh_fake_runtime_new(bh_runtime_fn fn, void *userdata, struct bh_runtime **ret);
void bh_fake_runtime_push(struct bh_runtime *r, const struct bh_runtime_msg *msg);

#endif
