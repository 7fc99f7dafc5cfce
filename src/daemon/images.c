/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper.h"
#include "manager.h"

#include <bulkhead/provenance.h>

#include <errno.h>
#include <string.h>

/* Whether a container that is known has an image that DIGESTS speak of. */
static bool is_used(const struct bh_manager *m, const struct bh_strv *digests)
{
	bh_vec_foreach(s, &m->sources)
		bh_vec_foreach(c, &(*s)->inventory->containers) {
			const struct bh_image_names name = bh_image_names(c);

			if (bh_image_is(&name, digests))
				return true;
		}
	return false;
}

/* Whether what FILE says matters to anybody now. */
static bool file_matters(const struct bh_manager *m, const char *file)
{
	const struct bh_images *i = &m->images.images;

	bh_vec_foreach(r, &i->reports)
		if (strcmp(r->file, file) == 0)
			return is_used(m, &r->digests);
	bh_vec_foreach(v, &i->verified)
		if (strcmp(v->file, file) == 0)
			return is_used(m, &v->digests);
	bh_vec_foreach(u, &i->unread)
		if (strcmp(u->file, file) == 0)
			return is_used(m, &u->digests);
	return false;
}

static int take(struct bh_manager *m, const struct bh_reports_msg *msg)
{
	struct bh_images *i = &m->images.images;

	switch (msg->kind) {
	case BH_REPORTS_MSG_REPORT:
		return bh_images_set_report(i, msg->report);
	case BH_REPORTS_MSG_VERIFIED:
		return bh_images_set_verified(i, msg->verified);
	case BH_REPORTS_MSG_UNREAD:
		bh_log(&m->log, LOG_WARNING, BH_EVENT_IMAGES, "%s %s: it is not believed", msg->file, msg->problem);
		return bh_images_drop(i, msg->file, msg->problem);
	case BH_REPORTS_MSG_GONE:
		return bh_images_drop(i, msg->file, NULL);
	case BH_REPORTS_MSG_DIRECTORY:
		break;
	}
	return 0;
}

static void directory_told(struct bh_image_folder *f, const struct bh_reports_msg *msg)
{
	const struct bh_log *l = &f->manager->log;

	if (msg->problem)
		bh_log(l, LOG_WARNING, BH_EVENT_IMAGES, "%s: %s", msg->file, msg->problem);
	else
		bh_log(l, LOG_INFO, BH_EVENT_IMAGES, "%s is read again", msg->file);
	(void)bh_strdup(&f->problem, msg->problem);	/* not kept: status does not tell it */
}

static void on_message(void *userdata, const struct bh_reports_msg *msg)
{
	struct bh_image_folder *f = userdata;
	struct bh_manager *m = f->manager;
	bool matters;

	if (msg->kind == BH_REPORTS_MSG_DIRECTORY) {
		directory_told(f, msg);
		return;
	}
	matters = file_matters(m, msg->file);
	if (take(m, msg) < 0)
		bh_log(&m->log, LOG_ERR, BH_EVENT_DEGRADED, "out of memory: %s is not believed", msg->file);
	if (matters || file_matters(m, msg->file))
		bh_manager_dirty(m);
}

static int reader_start(void *userdata, const char *dir, enum bh_reports_kind kind)
{
	const struct bh_image_folder *f = userdata;

	return bh_keeper_spawn(f->manager->keeper, BH_ROLE_REPORTS, kind, dir, -1);
}

static void reader_lost(void *userdata, const char *why)
{
	const struct bh_image_folder *f = userdata;
	const char *what = f == &f->manager->images.folders[BH_REPORTS_SCANS] ? "reports on images" : "verifications of images";

	bh_log(&f->manager->log, LOG_WARNING, BH_EVENT_DEGRADED, "the process that reads %s %s: it is started again", what, why);
}

static const char *wanted_dir(const struct bh_policy *p, enum bh_reports_kind kind)
{
	return !p ? NULL : kind == BH_REPORTS_SCANS ? p->reports : p->verified;
}

static bool is_followed(const struct bh_image_state *s, const struct bh_policy *policy)
{
	for (int k = BH_REPORTS_SCANS; k <= BH_REPORTS_VERIFIED; k++) {
		const struct bh_reports_remote *r = s->folders[k].reports;

		if (!bh_streq(r ? bh_reports_remote_dir(r) : NULL, wanted_dir(policy, (enum bh_reports_kind)k)))
			return false;
	}
	return true;
}

void bh_images_forget(struct bh_manager *m)
{
	for (size_t k = 0; k < BH_ARRAY_SIZE(m->images.folders); k++) {
		struct bh_image_folder *f = &m->images.folders[k];

		bh_reports_remote_free(bh_take(f->reports));
		(void)bh_strdup(&f->problem, NULL);
	}
	bh_images_clear(&m->images.images);
}

int bh_images_follow(struct bh_manager *m, const struct bh_policy *policy)
{
	int r = 0;

	if (is_followed(&m->images, policy))
		return 0;
	bh_images_forget(m);
	for (int k = BH_REPORTS_SCANS; k <= BH_REPORTS_VERIFIED && r == 0; k++) {
		struct bh_image_folder *f = &m->images.folders[k];
		const char *dir = wanted_dir(policy, (enum bh_reports_kind)k);

		f->manager = m;
		if (dir)
			r = bh_reports_remote_new(m->event, dir, (enum bh_reports_kind)k, &(struct bh_reports_reader){reader_start, reader_lost, f},
				on_message, f, &f->reports, NULL);
	}
	return r;
}

int bh_images_judge(struct bh_manager *m)
{
	struct bh_images *i = &m->images.images;

	bool known = m->sources.n > 0;

	bh_registries_clear(&i->registries);
	bh_vec_foreach(s, &m->sources) {
		known = known && (*s)->registries.known;
		if (bh_registries_add(&i->registries, &(*s)->registries) < 0)
			return -ENOMEM;
	}
	i->registries.known = known;	/* nobody knows which of several a container's image came by */
	m->memory.images = i;
	return 0;
}

static json_t *unread_json(const struct bh_images *i)
{
	json_t *list = json_array();

	bh_vec_foreach(u, &i->unread)
		if (json_array_append_new(list, json_pack("{s:o, s:o}", "file", bh_json_text(u->file), "problem", bh_json_text(u->why))) < 0) {
			json_decref(list);
			return NULL;
		}
	return list;
}

static json_t *folder_json(const struct bh_image_folder *f, size_t n)
{
	return json_pack("{s:o, s:o, s:I}", "path", f->reports ? bh_json_text(bh_reports_remote_dir(f->reports)) : json_null(), "problem",
		f->problem ? bh_json_text(f->problem) : json_null(), "believed", (json_int_t)n);
}

json_t *bh_images_json(const struct bh_manager *m)
{
	const struct bh_images *i = &m->images.images;

	return json_pack("{s:o, s:o, s:o}", "reports", folder_json(&m->images.folders[BH_REPORTS_SCANS], i->reports.n), "verified",
		folder_json(&m->images.folders[BH_REPORTS_VERIFIED], i->verified.n), "unread", unread_json(i));
}
