/* SPDX-License-Identifier: Apache-2.0 */
/* Containers that were part of a denial, so that they can be spoken of when they have gone. Bounded; no I/O, no clock. */
#ifndef BULKHEAD_DAEMON_PEOPLE_H
#define BULKHEAD_DAEMON_PEOPLE_H

#include <bulkhead/inventory.h>

#define BH_PEOPLE_MAX 1024	/* those that were noted longest ago are forgotten first */

/* Strings of strangers. */
struct bh_person {
	char *name, *id;
	char *image;			/* or NULL */
	char *project, *service;	/* of Compose, or NULL */
	char *reason;			/* why it was in its zone */
};
struct bh_people {
	BH_VEC(struct bh_person) v;	/* the last noted at the end */
};

/* C was in its zone because of REASON (may be NULL). One of the same name is replaced. 0 or -ENOMEM. */
int bh_people_note(struct bh_people *p, const struct bh_container *c, const char *reason);
/* By name; NULL when nobody is known. */
const struct bh_person *bh_people_find(const struct bh_people *p, const char *name);
void bh_people_clear(struct bh_people *p);

#endif
