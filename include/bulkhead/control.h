/* SPDX-License-Identifier: Apache-2.0 */
/* The protocol between daemon and command: newline-delimited JSON over a unix socket, both ends, no policy.
 * A request is one line {"version": 1, "verb": "status", …}, an answer one line {"ok": true, "result": …} or
 * {"ok": false, "code": "denied|usage|refused|failed", "error": "one line that says what to do"}. Who asks to follow something gets such a line for each
 * thing that happens, until he leaves. */
#ifndef BULKHEAD_CONTROL_H
#define BULKHEAD_CONTROL_H

#include <bulkhead/error.h>
#include <bulkhead/mem.h>
#include <jansson.h>
#include <sys/types.h>

#define BH_CONTROL_SOCKET "/run/bulkhead/control.sock"
/* Bytes of one request: what a configuration of a few thousand zones takes; and its values, as JSON counts them, since each costs a
 * hundred times its text once it is read. */
#define BH_CONTROL_REQUEST_MAX (4u << 20)
#define BH_CONTROL_VALUES_MAX 4096u
/* A request of up to this many bytes finds room in any case; what all clients send beyond shares BH_CONTROL_LARGE_MAX. */
#define BH_CONTROL_SMALL_MAX 65536u
#define BH_CONTROL_LARGE_MAX (16u << 20)
#define BH_CONTROL_TIMEOUT_MS 5000
#define BH_CONTROL_STREAM_MAX (256u * 1024)	/* bytes that wait for one reader */
#define BH_CONTROL_STREAMS_MAX 16u

struct sd_event;

enum bh_control_right {
	BH_RIGHT_NONE,
	BH_RIGHT_READ,		/* members of group `bulkhead` */
	BH_RIGHT_WRITE,		/* root */
};

struct bh_control_server;
struct bh_control_call;

/* Who asked, by the kernel's word when he connected (SO_PEERCRED). */
struct bh_control_peer {
	pid_t pid;
	uid_t uid;
	gid_t gid;
};
struct bh_control_peer bh_control_peer(const struct bh_control_call *call);

/* Handles one request by answering now or later through bh_control_reply(). RIGHT is the peer's by SO_PEERCRED. */
typedef void (*bh_control_fn)(void *userdata, struct bh_control_call *call, const char *verb, const json_t *request,
	enum bh_control_right right);

/* Listens on PATH (made with mode 0660, root:bulkhead where the group exists; a dead socket is replaced). */
int bh_control_listen(struct sd_event *event, const char *path, bh_control_fn fn, void *userdata,
	struct bh_control_server **ret, struct bh_error *err);
void bh_control_server_free(struct bh_control_server *s);
BH_DEFINE_FREEP(struct bh_control_server, bh_control_server_free)

/* The same, where another process reads the requests (bh_control_front()): START gives the end of a way to a new one that accepts on LISTEN_FD, or
 * -errno, and is called again when LOST has said of one what became of it. What comes from there is believed in nothing but the request itself:
 * rights are those that the kernel tells of the connection. */
struct bh_control_reader {
	int (*start)(void *userdata, int listen_fd);
	void (*lost)(void *userdata, const char *why);
	void *userdata;
};
struct bh_control_back;
int bh_control_back_new(struct sd_event *event, const char *path, const struct bh_control_reader *how, bh_control_fn fn, void *userdata,
	struct bh_control_back **ret, struct bh_error *err);
void bh_control_back_free(struct bh_control_back *b);
BH_DEFINE_FREEP(struct bh_control_back, bh_control_back_free)

/* Answers and forgets the call; RESULT's reference is taken. A peer that left in between is no error. */
void bh_control_reply(struct bh_control_call *call, json_t *result);
void bh_control_refuse(struct bh_control_call *call, const char *code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* From now on the call is answered by any number of lines. 0; -EMFILE: BH_CONTROL_STREAMS_MAX calls are already, the peer was told and the call is over. */
int bh_control_stream(struct bh_control_call *call);
/* One line of such a call: {"ok": true, "result": RESULT}, whose reference is taken. 0; -EPIPE: the peer has left; -ENOBUFS: it does not read, so that more
 * than BH_CONTROL_STREAM_MAX bytes wait: as its last line it is told that, and dropped; -ENOMEM. After an error the call is over and forgotten. It
 * ends with bh_control_reply() or _refuse(), as any. */
int bh_control_tell(struct bh_control_call *call, json_t *result);
/* Whether the call's peer is still there. One that has left is forgotten with the next bh_control_tell(). */
bool bh_control_is_alive(const struct bh_control_call *call);

/* A stream socket that listens at PATH, whose folder is made where it is missing, with mode 0660 and group GROUP (-1: as it comes); a dead
 * one is replaced. *RET_INODE is for bh_control_socket_remove(), which unlinks PATH while it is still that one (0: does nothing). */
int bh_control_socket(const char *path, gid_t group, int *ret_fd, ino_t *ret_inode, struct bh_error *err);
void bh_control_socket_remove(const char *path, ino_t inode);
/* The group `bulkhead`, -1 when there is none. */
gid_t bh_control_group(void);

/* Text of strangers for a document: escaped where it is no UTF-8, and cut then; null for NULL. NULL for no memory. */
json_t *bh_json_text(const char *s);

/* One request, blocking, at most TIMEOUT_MS. *RET_RESULT is a new reference. -ENOENT/-ECONNREFUSED: the daemon is not running;
 * -EACCES: not permitted (socket mode or the daemon said so); -EBADMSG: refused, ERR says why (code in RET_CODE if not NULL, 16 bytes). */
int bh_control_call(const char *path, json_t *request, int timeout_ms, json_t **ret_result, char *ret_code,
	struct bh_error *err);

/* One request that is answered by any number of lines: FN gets each RESULT until it returns false (0), or the daemon says no more (as above) or
 * goes (-ECONNRESET). */
typedef bool (*bh_control_line_fn)(void *userdata, const json_t *result);
int bh_control_follow(const char *path, json_t *request, bh_control_line_fn fn, void *userdata, char *ret_code, struct bh_error *err);

#endif
