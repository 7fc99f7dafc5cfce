/* SPDX-License-Identifier: Apache-2.0 */
/* Who is not hardened as its zone requires goes to quarantine; where the zone is audited it stays, and is marked. A network namespace is as
 * hardened as the least of those that are in it. */
#include "place_priv.h"
#include "select.h"

#include <errno.h>
#include <string.h>

#define NAMED 3		/* conditions in a reason */

static bool is_audited(const struct bh_policy *p, const struct bh_zone *z)
{
	return (z->mode == BH_MODE_INHERIT ? p->mode : z->mode) == BH_MODE_AUDIT;
}

static int judge_one(const struct placer *p, const struct bh_zone *z, const struct bh_container *c, const char *name, struct bh_failures *ret)
{
	struct bh_hardening h = {.posture = &c->posture, .build = c->kind == BH_KIND_BUILD, .image_id = c->image_id, .images = p->memory->images, .container = name, .now = p->memory->now,
		.next = p->out->judge_again};
	int r = p->policy->require ? bh_require_judge(p->policy->require, &h, ret) : 0;

	if (r == 0 && z->require)
		r = bh_require_judge(z->require, &h, ret);
	p->out->judge_again = h.next;
	return r;
}

/* One that is only made has not been in the namespace yet, but will be there with its first instruction. Until something is known of it nobody
 * pays for it; once it runs everybody does. */
static bool counts(const struct bh_container *c)
{
	return c->state == BH_CONTAINER_RUNNING || c->state == BH_CONTAINER_PAUSED || (c->state == BH_CONTAINER_CREATED && c->posture.known);
}

static int judge_sharers(const struct placer *p, const struct bh_zone *z, const struct bh_container *owner, struct bh_failures *ret)
{
	int r = 0;

	bh_vec_foreach(c, &p->inventory->containers)
		if (r == 0 && c->netmode == BH_NETMODE_CONTAINER && counts(c) && place_netns_owner(p->inventory, c) == owner)
			r = judge_one(p, z, c, c->name ? c->name : c->id, ret);
	return r;
}

/* "fails what db requires: privileged (bulkhead.yaml:14), user (bulkhead.yaml:15)" */
static void failures_print(const struct placer *p, const struct decision *d, const struct bh_failures *all, struct bh_buf *out)
{
	const struct bh_failure *first = all->v.v;

	if (first->condition == BH_REQUIRE_MAX && !first->container) {
		bh_buf_printf(out, "%s, and ", first->found);
		zone_name_print(p->policy, d, out);
		bh_buf_puts(out, " requires one");
		loc_print(&first->loc, out);
		return;
	}
	if (first->container)
		bh_buf_printf(out, "shares its network with %s, which ", first->container);
	bh_buf_puts(out, "fails what ");
	zone_name_print(p->policy, d, out);
	bh_buf_puts(out, " requires: ");
	for (size_t i = 0; i < all->v.n && i < NAMED; i++) {
		bh_buf_printf(out, "%s%s", i ? ", " : "", bh_failure_name(&all->v.v[i]));
		loc_print(&all->v.v[i].loc, out);
	}
	if (all->v.n > NAMED)
		bh_buf_printf(out, " and %zu more", all->v.n - NAMED);
}

int place_require_one(const struct placer *p, size_t i)
{
	struct bh_member *m = &p->out->members.v[i];
	struct decision *d = &p->decisions[i];
	const struct bh_zone *z = d->zone >= 0 && !m->shares_netns ? &p->policy->zones.v[d->zone] : NULL;
	_cleanup_buf_ struct bh_buf text = {0}, zone = {0};
	int r;

	if (!z || (!p->policy->require && !z->require))
		return 0;
	r = judge_one(p, z, m->container, NULL, &m->failed);
	if (r == 0)
		r = judge_sharers(p, z, m->container, &m->failed);
	if (r < 0 || m->failed.v.n == 0)
		return r;
	zone_name_print(p->policy, d, &zone);
	r = bh_buf_steal(&zone, &m->barred);
	if (r < 0)
		return r;
	if (!is_audited(p->policy, z)) {
		failures_print(p, d, &m->failed, &text);
		return decision_quarantine(d, &text);
	}
	bh_buf_printf(&text, "%s; in audit, else in quarantine: ", d->reason);
	failures_print(p, d, &m->failed, &text);
	free(d->reason);
	d->reason = NULL;
	return bh_buf_steal(&text, &d->reason);
}

int place_require(const struct placer *p)
{
	int r = 0;

	for (size_t i = 0; i < p->out->members.n && r == 0; i++)
		r = place_require_one(p, i);
	return r;
}
