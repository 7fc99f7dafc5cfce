/* SPDX-License-Identifier: Apache-2.0 */
#include "people.h"

#include <bulkhead/place.h>

#include <errno.h>
#include <string.h>

static void person_clear(struct bh_person *x)
{
	free(x->name);
	free(x->id);
	free(x->image);
	free(x->project);
	free(x->service);
	free(x->reason);
}

static void forget(struct bh_people *p, size_t i)
{
	person_clear(&p->v.v[i]);
	memmove(&p->v.v[i], &p->v.v[i + 1], (p->v.n - i - 1) * sizeof(*p->v.v));
	p->v.n--;
}

int bh_people_note(struct bh_people *p, const struct bh_container *c, const char *reason)
{
	const char *name = c->name ? c->name : c->id, *project, *service;
	struct bh_person x = {0};

	bh_container_compose(c, &project, &service);
	if (bh_strdup(&x.name, name) < 0 || bh_strdup(&x.id, c->id) < 0 || bh_strdup(&x.image, c->image) < 0 ||
		bh_strdup(&x.project, project) < 0 || bh_strdup(&x.service, service) < 0 || bh_strdup(&x.reason, reason) < 0 ||
		bh_vec_push(&p->v, x) < 0) {
		person_clear(&x);
		return -ENOMEM;
	}
	for (size_t i = 0; i + 1 < p->v.n; i++)
		if (strcmp(p->v.v[i].name, name) == 0) {
			forget(p, i);
			break;
		}
	if (p->v.n > BH_PEOPLE_MAX)
		forget(p, 0);
	return 0;
}

const struct bh_person *bh_people_find(const struct bh_people *p, const char *name)
{
	bh_vec_foreach(x, &p->v)
		if (strcmp(x->name, name) == 0)
			return x;
	return NULL;
}

void bh_people_clear(struct bh_people *p)
{
	bh_vec_foreach(x, &p->v)
		person_clear(x);
	bh_vec_clear(&p->v);
}
