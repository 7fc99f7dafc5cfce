/* SPDX-License-Identifier: Apache-2.0 */
/* Docker's answers and events to plain data. Pure: no socket, no clock, no state. Docker Engine API 1.41, api/swagger.yaml. */
#ifndef BULKHEAD_RUNTIME_DOCKER_DECODE_H
#define BULKHEAD_RUNTIME_DOCKER_DECODE_H

#include <bulkhead/inventory.h>

/* The longest id: 64 hexadecimal digits. Swarm's and BuildKit's have 25 letters and digits. */
#define BH_DOCKER_ID 65

/* Bounds on what strangers write. A container beyond them is told with its flaw, without labels. */
#define BH_LABELS_MAX 1024u
#define BH_LABEL_KEY_MAX 4096u
#define BH_LABEL_VALUE_MAX 131072u	/* buildpacks keep their bill of materials in one */
#define BH_NAME_MAX 4096u
#define BH_ENDPOINTS_MAX 65536u

enum bh_docker_event_kind {
	BH_DOCKER_EVENT_OTHER,		/* nothing that matters here */
	BH_DOCKER_EVENT_CONTAINER,	/* look at `container` again */
	BH_DOCKER_EVENT_START,
	BH_DOCKER_EVENT_DIE,
	BH_DOCKER_EVENT_CONNECT,	/* `container` to `network` */
	BH_DOCKER_EVENT_DISCONNECT,
	BH_DOCKER_EVENT_NETWORK,	/* look at `network` again */
};

/* A hint, never a fact. Ids that are not used are "". */
struct bh_docker_event {
	enum bh_docker_event_kind kind;
	char container[BH_DOCKER_ID];
	char network[BH_DOCKER_ID];
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

/* What only an inspection tells. Published ports it has as well, but those of the list are as good, and never older. */
struct bh_docker_inspect {
	char id[BH_DOCKER_ID];
	bool running;
	pid_t pid;
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
/* GET /containers/ID/json. */
int bh_docker_decode_inspect(const char *text, size_t n, struct bh_docker_inspect *ret);
/* The same: docker_fact.c. SOCKETS are paths of the runtime's socket; a mount of one, or of a folder that it is in, gives it away. */
int bh_docker_decode_fact(const char *text, size_t n, const char *const *sockets, size_t n_sockets, struct bh_fact *ret);
/* GET /images/ID/json: the labels. */
int bh_docker_decode_image(const char *text, size_t n, struct bh_docker_labels *ret);

void bh_containers_clear(bh_containers *c);
int bh_docker_attachment_cmp(const void *a, const void *b);	/* for qsort(3), by container */
void bh_docker_network_clear(struct bh_docker_network *n);
void bh_docker_networks_clear(bh_docker_networks *n);
void bh_docker_labels_clear(struct bh_docker_labels *l);

#endif
