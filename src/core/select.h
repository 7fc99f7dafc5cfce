/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a selector is met by a container, and by what of it. */
#ifndef BULKHEAD_CORE_SELECT_H
#define BULKHEAD_CORE_SELECT_H

#include <bulkhead/buf.h>
#include <bulkhead/inventory.h>
#include <bulkhead/policy.h>

/* A container with what selectors ask of it, worked out once. Points into the inventory. */
struct subject {
	const struct bh_container *c;
	const struct bh_inventory *inventory;
	char *image;		/* normalised; NULL when not known */
	char *image_digest;	/* NAME@DIGEST of an image that was given with tag and digest; the tag is then nobody's word */
	const char *project;	/* of Compose, NULL when Compose did not make it */
	char *service;		/* "PROJECT/SERVICE" or NULL */
};

#define WHY_PARTS 3

/* What was met. The strings are the container's: untrusted. */
struct why {
	struct {
		enum bh_select_key key;
		const char *label;
		const char *value;
	} parts[WHY_PARTS];
	size_t n;
	bool more;		/* than fits */
	bool kind;		/* the selector says which kind it wants */
	struct bh_loc loc;
};

int subject_init(struct subject *s, const struct bh_container *c, const struct bh_inventory *inventory);
void subject_clear(struct subject *s);

/* The value of a label that was given at creation: one that the image carries with the same value is its author's. */
const char *subject_label(const struct bh_container *c, const char *key);

/* 1 when SEL is met (WHY then tells by what), 0 when not, -ENOMEM. */
int selector_met(const struct bh_selector *sel, const struct subject *s, struct why *why);

/* "labels tier=web, network backend", bounded and safe. */
void why_print(const struct why *why, struct bh_buf *out);
void loc_print(const struct bh_loc *loc, struct bh_buf *out);	/* " (bulkhead.yaml:9)", nothing without a place */

#endif
