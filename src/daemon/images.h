/* SPDX-License-Identifier: Apache-2.0 */
/* What others say of images, kept for the placement: the folders that a configuration names, followed. */
#ifndef BULKHEAD_DAEMON_IMAGES_H
#define BULKHEAD_DAEMON_IMAGES_H

#include <bulkhead/policy.h>
#include <bulkhead/reports.h>

#include <jansson.h>

struct bh_manager;

struct bh_image_folder {
	struct bh_manager *manager;
	struct bh_reports_remote *reports;	/* NULL: the configuration names none */
	char *problem;			/* of the folder as a whole, or NULL */
};

struct bh_image_state {
	struct bh_images images;
	struct bh_image_folder folders[2];	/* by enum bh_reports_kind */
};

/* Follows the folders that POLICY (or NULL) names, and no others. What is in them is read before this returns. 0 or -ENOMEM, which leaves what is not
 * followed unknown: then nothing is believed of it. */
int bh_images_follow(struct bh_manager *m, const struct bh_policy *policy);
/* Before a placement: how registries are reached, as all runtimes tell. 0 or -ENOMEM. */
int bh_images_judge(struct bh_manager *m);
void bh_images_forget(struct bh_manager *m);
json_t *bh_images_json(const struct bh_manager *m);	/* for status; NULL for no memory */

#endif
