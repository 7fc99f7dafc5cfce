/* SPDX-License-Identifier: Apache-2.0 */
/* What Docker was last seen to have, put together from answers of different age, and told as differences. Pure: answers and
 * events go in, messages come out.
 *
 * Each request has a number, given when it is sent. An answer changes an object only when it is younger than what
 * the object was last changed by; what is gone leaves a tombstone until the next full list, so that an older list
 * cannot bring it back. */
#ifndef BULKHEAD_RUNTIME_DOCKER_MODEL_H
#define BULKHEAD_RUNTIME_DOCKER_MODEL_H

#include "docker_decode.h"

#include <bulkhead/runtime.h>

enum bh_image_state {
	BH_IMAGE_WANTED,	/* its labels are not known yet; its containers wait */
	BH_IMAGE_KNOWN,
	BH_IMAGE_UNKNOWN,	/* gone or not answered: every label counts as the image's */
};

struct bh_docker_image {
	char *id;
	enum bh_image_state state;
	struct bh_docker_labels labels;
	struct bh_image_facts facts;
	bool ask, busy;		/* to be asked; being asked */
	bool used;		/* for sweeping */
};

struct bh_docker_container {
	char id[BH_DOCKER_ID];
	struct bh_container base;	/* as last listed; id NULL: not listed */
	uint64_t seen;			/* number of the request that base or its absence is from */
	bool dying;			/* `die` was heard, the list may not know yet */
	unsigned dying_looks;		/* how often it did not */
	struct bh_posture posture;	/* without `image` */
	uint64_t configured;		/* number of the last request before it was last configured: younger inspections count */
	uint64_t inspected;		/* number of the inspection that the posture is from; 0: none */
	bool inspect, inspecting;	/* to be inspected; being inspected */
	bool marked, busy;		/* to be looked at; being looked at */
	uint64_t confirm_at;		/* when to look a second time; 0: not */
	uint64_t told;			/* the sum of what was told last (docker_tell.c); 0: nothing */
};

struct bh_docker_net {
	struct bh_docker_network base;	/* network.id NULL: not listed */
	char id[BH_DOCKER_ID];
	uint64_t seen;
	bool marked, busy;
	struct bh_strv dropped;		/* containers that left since the request under way was sent */
	struct bh_network told;		/* id NULL: not told */
};

struct bh_docker_model {
	BH_VEC(struct bh_docker_container *) containers;	/* by id */
	BH_VEC(struct bh_docker_net *) networks;		/* by id */
	BH_VEC(struct bh_docker_image *) images;		/* by id */
	bh_containers builds;	/* image builds as told, by id; docker_build.c */
	bool quiet;		/* nothing is told before the first snapshot */
	bh_runtime_fn fn;
	void *userdata;
};

void bh_docker_model_clear(struct bh_docker_model *m);		/* what images hold stays: ids name contents */
void bh_docker_model_free_contents(struct bh_docker_model *m);	/* images too */

/* NULL when there is none. */
struct bh_docker_container *bh_docker_model_container(const struct bh_docker_model *m, const char *id);
struct bh_docker_net *bh_docker_model_network(const struct bh_docker_model *m, const char *id);
struct bh_docker_image *bh_docker_model_image(const struct bh_docker_model *m, const char *id);
/* An entry, made when there is none; NULL for no memory. */
struct bh_docker_container *bh_docker_model_add_container(struct bh_docker_model *m, const char *id);
struct bh_docker_net *bh_docker_model_add_network(struct bh_docker_model *m, const char *id);

/* The answer of request SEQ. Lists are emptied of what is taken. All 0 or -ENOMEM. */
int bh_docker_model_list(struct bh_docker_model *m, uint64_t seq, bh_containers *list);
/* The same for some containers only: those of IDS that are not in LIST are gone. */
int bh_docker_model_look(struct bh_docker_model *m, uint64_t seq, const struct bh_strv *ids, bh_containers *list);
/* Which networks there are; each is marked to be looked at. */
int bh_docker_model_networks(struct bh_docker_model *m, uint64_t seq, bh_docker_networks *list);
/* One network; NULL when it is gone. Containers in it that are not known are marked. */
int bh_docker_model_set_network(struct bh_docker_model *m, uint64_t seq, const char *id, struct bh_docker_network *net);
/* An image's labels and facts (both taken); NULL when they cannot be had. */
int bh_docker_model_set_image(struct bh_docker_model *m, const char *id, struct bh_docker_labels *labels, struct bh_image_facts *facts);
/* Takes the posture. */
int bh_docker_model_inspected(struct bh_docker_model *m, uint64_t seq, struct bh_docker_inspect *inspect);
/* Whether it was configured since its last inspection. */
bool bh_docker_container_is_stale(const struct bh_docker_container *c);
/* All are inspected again; what is known of them counts until then. */
void bh_docker_model_doubt(struct bh_docker_model *m);

/* What an event says at once, before anybody looks: SEQ is the number of the last request sent. */
int bh_docker_model_configured(struct bh_docker_model *m, uint64_t seq, const char *id);
int bh_docker_model_started(struct bh_docker_model *m, const char *id);
/* Until it is seen to have stopped, or to be connected or started again, it is told as stopped and attached to nothing. */
int bh_docker_model_died(struct bh_docker_model *m, const char *id);
int bh_docker_model_connected(struct bh_docker_model *m, const char *id, const char *network);
int bh_docker_model_disconnected(struct bh_docker_model *m, const char *id, const char *network);

/* Networks on that bridge are to be looked at. False when none is known to be. */
bool bh_docker_model_mark_bridge(struct bh_docker_model *m, const char *bridge);

/* docker_build.c: what networks show of image builds. Tells differences; nothing while quiet. */
int bh_docker_model_tell_builds(struct bh_docker_model *m);
/* Remembers all of them as told, and appends structure copies to a snapshot. */
int bh_docker_model_snapshot_builds(struct bh_docker_model *m, struct bh_inventory *ret);

/* Tells everything, and from now on differences. */
int bh_docker_model_snapshot(struct bh_docker_model *m);

/* docker_tell.c: tells what of an object differs from what was told; nothing while quiet. */
int bh_docker_model_tell(struct bh_docker_model *m, struct bh_docker_container *c);
int bh_docker_model_tell_network(struct bh_docker_model *m, struct bh_docker_net *n);
int bh_docker_endpoint_copy(struct bh_container *dst, const struct bh_endpoint *src);	/* appended */
/* The endpoint of a container in a network, or NULL. */
struct bh_docker_attachment *bh_docker_net_find(const struct bh_docker_net *n, const char *container);

#endif
