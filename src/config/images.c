/* SPDX-License-Identifier: Apache-2.0 */
/* What others say of images: where it is, and what is wanted of it. */
#include "config.h"

#include <bulkhead/yaml.h>

#include <string.h>

static void read_reports(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	(void)key, (void)target;
	bh_cfg_path(c, value, "reports", &c->policy->reports);
}

static void read_verified(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	(void)key, (void)target;
	bh_cfg_path(c, value, "verified", &c->policy->verified);
}

void bh_cfg_images(struct bh_cfg *c, const struct bh_node *value)
{
	static const struct bh_key keys[] = {
		{"reports", read_reports, 0},
		{"verified", read_verified, 0},
	};

	if (bh_cfg_is_map(c, value, "images"))
		bh_cfg_map(c, value, "images", keys, BH_ARRAY_SIZE(keys), NULL);
}

static void check_folders(struct bh_cfg *c, const struct bh_require *r)
{
	const struct bh_policy *p = c->policy;

	if (r && bh_require_asks(r, BH_REQUIRE_IMAGE_SCANNED) && !p->reports)
		bh_cfg_error(c, &r->asked[BH_REQUIRE_IMAGE_SCANNED], "'scanned' needs the folder of a scanner's reports: images: {reports: /var/lib/bulkhead/reports}");
	if (r && bh_require_asks(r, BH_REQUIRE_IMAGE_VERIFIED) && !p->verified)
		bh_cfg_error(c, &r->asked[BH_REQUIRE_IMAGE_VERIFIED], "'verified' needs the folder of verifications: images: {verified: /var/lib/bulkhead/verified}");
}

void bh_cfg_check_images(struct bh_cfg *c)
{
	check_folders(c, c->policy->require);
	bh_vec_foreach(z, &c->policy->zones)
		check_folders(c, z->require);
}

void bh_cfg_put_images(struct bh_buf *out, const struct bh_policy *p)
{
	if (!p->reports && !p->verified)
		return;
	bh_buf_puts(out, "images: {");
	if (p->reports) {
		bh_buf_puts(out, "reports: ");
		bh_yaml_put_text(out, p->reports);
	}
	if (p->verified) {
		bh_buf_puts(out, p->reports ? ", verified: " : "verified: ");
		bh_yaml_put_text(out, p->verified);
	}
	bh_buf_puts(out, "}\n");
}
