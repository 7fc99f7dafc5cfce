/* SPDX-License-Identifier: Apache-2.0 */
/* Who belongs where, and why: a pure function of policy and inventory (SPEC section 1 and 3). */
#ifndef BULKHEAD_PLACE_H
#define BULKHEAD_PLACE_H

#include <bulkhead/hardening.h>
#include <bulkhead/host.h>
#include <bulkhead/inventory.h>
#include <bulkhead/policy.h>

/* One zone as the kernel will know it: a zone of the file, one value of a family, or a built-in. */
struct bh_zone_inst {
	char *name;			/* "web", "project:nextcloud", "quarantine" */
	char *value;			/* of a family, else NULL; untrusted */
	int zone;			/* index into policy->zones, -1 for a built-in not in the file */
	enum bh_builtin builtin;
	uint32_t id;			/* as meta priority, see compile.h */
	size_t members;			/* containers placed here */
};

/* The zone of the file that I is of; NULL for a built-in that the file does not name. */
static inline const struct bh_zone *bh_inst_zone(const struct bh_policy *p, const struct bh_zone_inst *i)
{
	return p && i->zone >= 0 && (size_t)i->zone < p->zones.n ? &p->zones.v[i->zone] : NULL;
}

/* What becomes of a denial that I answers: BH_MODE_ENFORCE or BH_MODE_AUDIT. NULL: nobody's. */
enum bh_mode bh_inst_mode(const struct bh_policy *p, const struct bh_zone_inst *i);

/* Whether the rules reach an endpoint's traffic. */
enum bh_enforced {
	BH_ENFORCED_FULL,
	BH_ENFORCED_PARTIAL,
	BH_ENFORCED_NONE,
};

/* One endpoint on a bridge that we enforce on, with what kernel and runtime say of it. */
struct bh_attachment {
	const struct bh_endpoint *endpoint;
	const struct bh_network *network;
	char bridge[BH_IFNAME];
	char port[BH_IFNAME];		/* host-side veth, "" while not known */
	int port_ifindex;		/* 0 while not known */
	bool port_gone;			/* it had one, which is gone: this endpoint's life is over, though nobody has told */
};

/* Whether the rules know it: by its port and its MAC. One that is not gets nothing. */
static inline bool bh_attachment_is_pinned(const struct bh_attachment *a)
{
	return a->port[0] && a->endpoint->has_mac;
}

/* The I-th address that a pinned endpoint is at, its link-local one last. False when there is none. */
bool bh_attachment_addr(const struct bh_attachment *a, size_t i, struct bh_addr *ret);

/* One container and its zone. */
struct bh_member {
	const struct bh_container *container;
	size_t inst;			/* index into placement->insts */
	char *reason;			/* "labels tier=web (bulkhead.yaml:9)"; safe to print */
	struct bh_loc loc;		/* of the zone that won, line 0 if none */
	enum bh_enforced enforced;
	char *unenforced_reason;	/* NULL when full */
	struct bh_failures failed;	/* what the zone that would be its requires, and it, or one that shares its network, is not */
	char *barred;			/* that zone: where it is audited the container is in it all the same; NULL: nothing fails */
	bool shares_netns;		/* no endpoints of its own */
	bool moving;			/* of use while a round is moved on (shift.h) */
	BH_VEC(struct bh_attachment) attachments;
};

struct bh_placement {
	BH_VEC(struct bh_zone_inst) insts;
	BH_VEC(struct bh_member) members;	/* every container that runs or is attached, in the inventory's order */
	int64_t judge_again;		/* when time alone, the age of an image, may place one otherwise: seconds since 1970; 0: never */
};

/* What was decided before and must not move: zone ids, and which port belongs to which endpoint. Kept by the daemon
 * between rounds, empty at first; bh_place() reads and extends it. Both lists are kept sorted, by name and by container and network. */
struct bh_known_id {
	char *name;
	uint32_t id;
};
struct bh_known_port {
	int ifindex;			/* 0: it is gone, and the endpoint's life with it: no other port is this endpoint's */
	char *container;		/* container id */
	char *network;			/* network id */
	char *endpoint;			/* endpoint id; NULL: not known, then a port that is gone is forgotten */
	bool current;			/* the endpoint is there; of use while placing */
};
struct bh_memory {
	BH_VEC(struct bh_known_id) ids;
	uint32_t next_id;
	BH_VEC(struct bh_known_port) ports;
	struct bh_strv held;		/* ids of containers that are in quarantine by hand; read only */
	int64_t now;			/* seconds since 1970; read only */
	const struct bh_images *images;	/* what others say of images, borrowed; NULL: nothing */
};
void bh_memory_clear(struct bh_memory *m);
int bh_memory_copy(struct bh_memory *dst, const struct bh_memory *src);	/* into an empty one; 0 or -ENOMEM with DST empty */

/* Ids as `meta priority` values, beyond what TOS makes (0-7) and apart from the handles that people give to their qdiscs:
 * (id & BH_ID_MASK) == BH_ID_ZONE tells ours from a host's own. Zones of the file and values of families, of any kind: b8:1, b8:2, …, in
 * the order of first sight. */
#define BH_ID_MASK 0xfffc0000u
#define BH_ID_ZONE 0xb80000u
#define BH_ID_HOST 0xb90001u
#define BH_ID_LAN 0xb90002u
#define BH_ID_INTERNET 0xb90003u
#define BH_ID_METADATA 0xb90004u
#define BH_ID_QUARANTINE 0xb90005u
#define BH_ID_DNS 0xb90006u
#define BH_ID_CONTAINER_NETWORK 0xb90007u	/* seen from outside: an address of a container network */
#define BH_ID_BUILD 0xb90008u
#define BH_ID_HELD 0xb90009u			/* quarantine by hand: the same for rules, but always enforced */
#define BH_ID_LEG 0xba0000u			/* ba:1, ba:2, …: a container port behind a published port, see compile.h */

void bh_placement_free(struct bh_placement *p);
BH_DEFINE_FREEP(struct bh_placement, bh_placement_free)

/* Places every container. POLICY, INVENTORY must outlive the result (it points into them). Ambiguity, no match and an address that two
 * running containers hold on one bridge lead to quarantine, with the reason. Ports are matched to endpoints by
 * bridge and peer MAC; a port once matched stays its endpoint's while it exists; two ports that claim one
 * MAC get nothing until one is known by MEMORY. 0, -ENOMEM, or -ENOSPC beyond 65535 zones. */
int bh_place(const struct bh_policy *policy, const struct bh_inventory *inventory, const struct bh_host *host,
	struct bh_memory *memory, struct bh_placement **ret, struct bh_error *err);

/* The reason of a member that no zone takes. */
#define BH_REASON_NO_ZONE "matches no zone"

/* Project and service (or NULL) that Compose gave to C, where they are believed: SPEC section 3. Borrowed from C. */
void bh_container_compose(const struct bh_container *c, const char **ret_project, const char **ret_service);

/* Glob with `*` and `?` matching any character, anchored, case-sensitive (SPEC section 3). */
bool bh_glob(const char *pattern, const char *s);

/* "postgres" -> "docker.io/library/postgres:latest", as Docker normalises references (distribution/reference). A pattern with `*` or `?` gets
 * no :latest. "sha256:…" stays. The caller frees the result; NULL for no memory. */
char *bh_image_normalise(const char *image, bool pattern);

#endif
