/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BULKHEAD_CLI_DOCTOR_H
#define BULKHEAD_CLI_DOCTOR_H

#include "verb.h"

#include <bulkhead/doctor.h>

/* What a doctor looks at. */
struct bh_doctor_where {
	const char *docker, *control, *config;	/* the two sockets, the main file */
};

/* What `bulkhead doctor` shows, as JSON; NULL for no memory. */
json_t *bh_doctor_json(const struct bh_doctor *d, const struct bh_doctor_facts *f, const struct bh_doctor_where *where);
/* doctor_text.c: draws such a document. */
void bh_doctor_text(struct bh_writer *w, const json_t *doc, void *userdata);

/* The gatherers. What cannot be read is told in F; 0 or -ENOMEM. */
int bh_doctor_look_host(struct bh_doctor_facts *f);	/* doctor_host.c: settings, links, rules, clock, what runs */
int bh_doctor_look_docker(struct bh_doctor_facts *f, const struct bh_doctor_where *where);	/* doctor_docker.c */
int bh_doctor_look_files(struct bh_doctor_facts *f, const struct bh_doctor_where *where);	/* doctor_files.c: after Docker, which tells where some are */
int bh_doctor_look_patches(struct bh_doctor_facts *f);	/* doctor_patches.c */
/* doctor_host.c: what the kernel can do, tried in a network namespace of this process's own, which it stays in: last. */
void bh_doctor_try_kernel(struct bh_doctor_facts *f);

/* A file that holds one number, or Y or N. */
struct bh_number bh_doctor_number(const char *path);
/* Calls FN for each name in the folder PATH, in no order, until it fails. 0, -errno of opening it, or what FN returned. */
int bh_doctor_each(const char *path, int (*fn)(void *userdata, const char *folder, const char *name), void *userdata);

#endif
