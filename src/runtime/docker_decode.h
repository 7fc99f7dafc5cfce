/* SPDX-License-Identifier: Apache-2.0 */
/* Docker's answers and events to plain data. Pure: no socket, no clock, no state. Docker Engine API 1.41, api/swagger.yaml. */
#ifndef BULKHEAD_RUNTIME_DOCKER_DECODE_H
#define BULKHEAD_RUNTIME_DOCKER_DECODE_H

#include <bulkhead/images.h>
#include <bulkhead/inventory.h>
#include <bulkhead/runtime.h>

/* The longest id: 64 hexadecimal digits. Swarm's and BuildKit's have 25 letters and digits. */
#define BH_DOCKER_ID 65

/* Bounds on what strangers write. A container beyond them is told with its flaw, without labels. */
#define BH_LABELS_MAX 1024u
#define BH_LABEL_KEY_MAX 4096u
#define BH_LABEL_VALUE_MAX 131072u	/* buildpacks keep their bill of materials in one */
#define BH_NAME_MAX 4096u
#define BH_ENDPOINTS_MAX 65536u
#define BH_MOUNTS_MAX 4096u
#define BH_DEVICES_MAX 4096u
#define BH_DIGESTS_MAX 1024u
#define BH_POSTURE_TEXT_MAX 1024u	/* a user, a profile, a label */

enum bh_docker_event_kind {
	BH_DOCKER_EVENT_OTHER,		/* nothing that matters here */
	BH_DOCKER_EVENT_CONTAINER,	/* look at `container` again */
	BH_DOCKER_EVENT_CONFIGURED,	/* and inspect it: it was made, or is configured otherwise */
	BH_DOCKER_EVENT_START,
	BH_DOCKER_EVENT_DIE,
	BH_DOCKER_EVENT_CONNECT,	/* `container` to `network` */
	BH_DOCKER_EVENT_DISCONNECT,
	BH_DOCKER_EVENT_NETWORK,	/* look at `network` again */
	BH_DOCKER_EVENT_EXEC,		/* `text` was executed in `container` */
};

/* A hint, never a fact. Ids that are not used are "". */
struct bh_docker_event {
	enum bh_docker_event_kind kind;
	char container[BH_DOCKER_ID];
	char network[BH_DOCKER_ID];
	char text[BH_EXEC_TEXT_MAX + 1];	/* cut at a character */
};

/* Who is attached to a network, as the network itself lists it. */
struct bh_docker_attachment {
	char *container;	/* an id, or something else: "ep-…" for an endpoint without a sandbox, a BuildKit id */
	struct bh_endpoint endpoint;
	char *name;		/* the endpoint's, for "ep-…" only: the name that its container had when it was made */
	bool build;		/* BuildKit's: the endpoint has no container, and its name is its sandbox's id */
};
struct bh_docker_network {
	struct bh_network network;
	BH_VEC(struct bh_docker_attachment) attachments;	/* sorted by container */
	bool flawed;		/* a name or a number of endpoints out of bounds: not to be used */
};

/* What the daemon gives to a container that asks for nothing, GET /info; and where its socket is. All zero: nothing confines. */
struct bh_docker_settings {
	enum bh_confined seccomp;	/* its default profile */
	bool seccomp_missing;		/* the kernel has none */
	bool apparmor, selinux;		/* the host has them, and the daemon uses them */
	bool userns;			/* root in a container is nobody on the host */
	bool no_new_privileges;
	const char *socket;		/* or NULL; somebody else's */
};

/* What only an inspection tells. Published ports it has as well, but those of the list are as good, and never older. */
struct bh_docker_inspect {
	char id[BH_DOCKER_ID];
	struct bh_posture posture;	/* without `image` */
};

struct bh_docker_labels {
	BH_VEC(struct bh_label) v;	/* sorted by key */
	bool flawed;			/* out of bounds, and so empty */
};

typedef BH_VEC(struct bh_container) bh_containers;
typedef BH_VEC(struct bh_docker_network) bh_docker_networks;

/* 64 lower-case hexadecimal digits. */
bool bh_docker_is_container_id(const char *s);
/* 25 lower-case letters and digits, as github.com/moby/buildkit/identity, NewID() makes them. A container never has such an id. */
bool bh_docker_is_build_id(const char *s);
/* 1 to 64 letters and digits: safe in a request's path. */
bool bh_docker_is_id(const char *s);
/* "sha256:" and 64 hexadecimal digits, or letters and digits alone. */
bool bh_docker_is_image_id(const char *s);

/* One line of GET /events. 0, -EBADMSG, -ENOMEM. */
int bh_docker_decode_event(const char *text, size_t n, struct bh_docker_event *ret);
/* GET /containers/json. Containers come without endpoints, image labels and pid. RET was empty, and stays so on failure. */
int bh_docker_decode_containers(const char *text, size_t n, bh_containers *ret);
/* GET /networks (without attachments) and GET /networks/ID. */
int bh_docker_decode_networks(const char *text, size_t n, bh_docker_networks *ret);
int bh_docker_decode_network(const char *text, size_t n, struct bh_docker_network *ret);
/* GET /containers/ID/json: docker_posture.c. RET was zero; bh_posture_clear() frees its posture. */
int bh_docker_decode_inspect(const char *text, size_t n, const struct bh_docker_settings *host, struct bh_docker_inspect *ret);
/* GET /info. RET_REGISTRIES, zeroed before, is the caller's to clear; not known where they cannot be read. */
int bh_docker_decode_info(const char *text, size_t n, struct bh_docker_settings *ret, struct bh_registries *ret_registries);
/* GET /images/ID/json: the labels, and what else is known of an image. RET_FACTS may be NULL. */
int bh_docker_decode_image(const char *text, size_t n, struct bh_docker_labels *ret, struct bh_image_facts *ret_facts);
/* RFC 3339 in seconds since 1970; 0 for what is none, or before that. */
int64_t bh_docker_time(const char *s);

void bh_containers_clear(bh_containers *c);
int bh_docker_attachment_cmp(const void *a, const void *b);	/* for qsort(3), by container */
void bh_docker_network_clear(struct bh_docker_network *n);
void bh_docker_networks_clear(bh_docker_networks *n);
void bh_docker_labels_clear(struct bh_docker_labels *l);

#endif
