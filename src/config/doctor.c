/* SPDX-License-Identifier: Apache-2.0 */
/* What `bulkhead doctor` passes over, and what it only warns of. */
#include "config.h"

#include <string.h>

/* The check that a node names; tells what is wrong and returns BH_CHECK_MAX. */
static enum bh_check read_check(struct bh_cfg *c, const struct bh_node *n)
{
	const char *names[BH_CHECK_MAX], *text, *near;
	char show[BH_CFG_SHOW];
	enum bh_check check;

	if (!bh_cfg_word(c, n, "a check", &text))
		return BH_CHECK_MAX;
	check = bh_check_find(text, strlen(text));
	if (check < BH_CHECK_MAX)
		return check;
	for (size_t i = 0; i < BH_CHECK_MAX; i++)
		names[i] = bh_checks[i].id;
	near = bh_cfg_nearest(text, names, BH_CHECK_MAX);
	if (near)
		bh_cfg_error(c, &n->loc, "unknown check '%s': did you mean '%s'?", bh_cfg_show(text, show), near);
	else
		bh_cfg_error(c, &n->loc, "unknown check '%s': 'bulkhead doctor' shows their names", bh_cfg_show(text, show));
	return BH_CHECK_MAX;
}

static void read_checks(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, bool *marks)
{
	const struct bh_doctor_policy *d = &c->policy->doctor;

	if (!bh_cfg_is_list(c, value, key->text, "[docker-icc, auditd]"))
		return;
	for (size_t i = 0; i < value->items.n; i++) {
		enum bh_check check = read_check(c, value->items.v[i]);

		if (check == BH_CHECK_MAX)
			continue;
		if (d->skip[check] || d->warn[check])
			bh_cfg_error(c, &value->items.v[i]->loc, "the check '%s' stands twice", bh_checks[check].id);
		else
			marks[check] = true;
	}
}

static void read_skip(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	(void)target;
	read_checks(c, key, value, c->policy->doctor.skip);
}

static void read_warn(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	(void)target;
	read_checks(c, key, value, c->policy->doctor.warn);
}

void bh_cfg_doctor(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	static const struct bh_key keys[] = {{"skip", read_skip, 0}, {"warn", read_warn, 0}};

	(void)target;
	if (bh_cfg_is_map(c, value, key->text))
		bh_cfg_map(c, value, "doctor", keys, BH_ARRAY_SIZE(keys), NULL);
}
