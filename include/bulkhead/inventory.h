/* SPDX-License-Identifier: Apache-2.0 */
/* What runs: networks, containers and their endpoints as a runtime reports them. Plain structs, one tree, one free.
 * Every string in it was written by a stranger: bounded by the decoder, never printed raw. */
#ifndef BULKHEAD_INVENTORY_H
#define BULKHEAD_INVENTORY_H

#include <bulkhead/addr.h>
#include <bulkhead/mem.h>
#include <bulkhead/posture.h>

struct bh_label {
	char *key;
	char *value;
};

struct bh_network {
	char *id;
	char *name;
	char *driver;			/* "bridge", "macvlan", … */
	char *bridge;			/* the bridge's interface name for driver bridge, else NULL */
	bool internal;
	BH_VEC(struct bh_prefix) subnets;
	BH_VEC(struct bh_addr) gateways;
};

/* One attachment. The addresses and the MAC are the runtime's word; what the kernel shows is in struct bh_host. */
struct bh_endpoint {
	char *id;			/* EndpointID, or NULL */
	char *network_id;
	struct bh_mac mac;
	bool has_mac;
	BH_VEC(struct bh_addr) addrs;	/* IPv4 and IPv6, without link-local */
};

struct bh_published {
	uint8_t proto;			/* IPPROTO_TCP, UDP or SCTP */
	struct bh_addr host;		/* family 4 or 6 with all zero: every address of that family */
	uint16_t host_port;
	uint16_t container_port;
};

enum bh_container_state {
	BH_CONTAINER_CREATED,		/* made, maybe already attached, its process not yet running */
	BH_CONTAINER_RUNNING,
	BH_CONTAINER_PAUSED,
	BH_CONTAINER_STOPPED,
};

enum bh_netmode {
	BH_NETMODE_NETWORKS,		/* on the networks that endpoints name */
	BH_NETMODE_HOST,
	BH_NETMODE_NONE,
	BH_NETMODE_CONTAINER,		/* shares the namespace of `netns_owner` */
};

enum bh_container_kind {
	BH_KIND_CONTAINER,
	BH_KIND_BUILD,			/* an unnamed endpoint of an image build */
};

/* What `flaw` of a container may be. */
#define BH_FLAW_NAME "its name is too long"
#define BH_FLAW_IMAGE "its image's name is too long"
#define BH_FLAW_LABELS "its labels are too many, too long or hold a NUL"
#define BH_FLAW_IMAGE_LABELS "its image's labels are too many, too long or hold a NUL"
#define BH_FLAW_SIZE "what is said of it is too long"

struct bh_container {
	char *id;			/* 64 hexadecimal digits for Docker */
	char *name;			/* without a slash */
	char *image;			/* as the runtime writes it; NULL or "sha256:…" when known only by id */
	char *image_id;
	const char *runtime;		/* "docker"; static */
	const char *flaw;		/* why it is not believed (labels out of bounds, …), NULL: it is; static. It then has
					 * neither labels nor endpoints, so that it gets nothing whatever matches it */
	enum bh_container_kind kind;
	enum bh_container_state state;
	enum bh_netmode netmode;
	char *netns_owner;		/* container id, for BH_NETMODE_CONTAINER */
	BH_VEC(struct bh_label) labels;		/* all, as the runtime lists them */
	BH_VEC(struct bh_label) image_labels;	/* those of the image itself */
	BH_VEC(struct bh_endpoint) endpoints;
	BH_VEC(struct bh_published) published;
	struct bh_posture posture;
};

struct bh_inventory {
	BH_VEC(struct bh_network) networks;
	BH_VEC(struct bh_container) containers;
};

void bh_network_clear(struct bh_network *n);		/* frees what it owns and zeroes it */
void bh_container_clear(struct bh_container *c);
void bh_inventory_free(struct bh_inventory *i);
BH_DEFINE_FREEP(struct bh_inventory, bh_inventory_free)

/* Deep copies into an empty (zeroed) destination. 0 or -ENOMEM with DST empty. */
int bh_network_copy(struct bh_network *dst, const struct bh_network *src);
int bh_container_copy(struct bh_container *dst, const struct bh_container *src);
int bh_inventory_copy(struct bh_inventory **ret, const struct bh_inventory *src);

/* Whether all that was told of the two is the same. */
bool bh_endpoint_equal(const struct bh_endpoint *a, const struct bh_endpoint *b);
bool bh_network_equal(const struct bh_network *a, const struct bh_network *b);
bool bh_container_equal(const struct bh_container *a, const struct bh_container *b);

struct bh_container *bh_inventory_container(const struct bh_inventory *i, const char *id);
struct bh_network *bh_inventory_network(const struct bh_inventory *i, const char *id);
bool bh_inventory_lists_bridge(const struct bh_inventory *i, const char *bridge);
/* The value of a label, or NULL. */
const char *bh_container_label(const struct bh_container *c, const char *key);
const char *bh_container_image_label(const struct bh_container *c, const char *key);

#endif
