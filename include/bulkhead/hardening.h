/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a container is hardened as a `require` asks, and what to set where it is not. Pure: no clock, no I/O. */
#ifndef BULKHEAD_HARDENING_H
#define BULKHEAD_HARDENING_H

#include <bulkhead/require.h>

/* A condition that is not met. The strings are the failure's, and safe to print. */
struct bh_failure {
	enum bh_condition condition;	/* BH_REQUIRE_MAX: nothing is known of it yet, or it is an image build, of which nothing can be */
	struct bh_loc loc;		/* of the condition; of the `require` for BH_REQUIRE_MAX */
	char *container;		/* the name of another that shares its network, and fails; NULL: it is the container itself */
	char *found;			/* "it runs as root" */
	char *docker, *compose;		/* what to set; NULL: nothing helps but to wait. Of what is done to the image alone, compose is "" */
};
struct bh_failures {
	BH_VEC(struct bh_failure) v;
};
void bh_failures_clear(struct bh_failures *f);

/* Which name status gives to it: the condition's, or "posture". */
const char *bh_failure_name(const struct bh_failure *f);

/* What is judged. */
struct bh_hardening {
	const struct bh_posture *posture;
	bool build;			/* an image build: it has no posture */
	const char *image_id;		/* or NULL */
	const struct bh_images *images;	/* what others say of images; NULL: nothing */
	const char *container;		/* see struct bh_failure; untrusted */
	int64_t now;			/* seconds since 1970 */
	int64_t next;			/* when it is to be judged again because time alone fails it: lowered; 0: never */
};

/* Appends what of R fails. 0 or -ENOMEM. */
int bh_require_judge(const struct bh_require *r, struct bh_hardening *h, struct bh_failures *ret);

#endif
