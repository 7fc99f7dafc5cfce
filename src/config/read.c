/* SPDX-License-Identifier: Apache-2.0 */
/* The top of a file. */
#include "config.h"

#include <string.h>

#define VERSION 1

/* A file of another version may mean anything: nothing else of it is read. */
static bool check_version(struct bh_cfg *c, const struct bh_node *root)
{
	struct bh_loc start = {.file = c->doc->file, .line = 1, .column = 1};
	long v;

	bh_vec_foreach(p, &root->pairs) {
		if (strcmp(p->key->text, "version") != 0)
			continue;
		if (!bh_cfg_int(c, p->value, "version", 0, 1000000, &v))
			return false;
		if (v != VERSION)
			bh_cfg_error(c, &p->value->loc, "version %ld is not supported: this program reads version %d", v, VERSION);
		return v == VERSION;
	}
	bh_cfg_error(c, &start, "'version' is missing: begin the file with 'version: %d'", VERSION);
	return true;
}

static void read_version(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	(void)c, (void)key, (void)value, (void)target;	/* done before all others */
}

static void read_mode(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	(void)key, (void)target;
	bh_cfg_mode(c, value, &c->policy->mode);
}

static void read_deny(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	static const char *const words[] = {"reject", "drop"};
	size_t i;

	(void)key, (void)target;
	if (bh_cfg_choice(c, value, "deny", words, BH_ARRAY_SIZE(words), &i))
		c->policy->deny = i == 0 ? BH_DENY_REJECT : BH_DENY_DROP;
}

static void read_bandwidth(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	(void)key, (void)target;
	bh_cfg_host_bandwidth(c, value);
}

static void read_require(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	(void)target;
	bh_cfg_require(c, key, value, &c->policy->require);
}

static void read_images(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	(void)key, (void)target;
	bh_cfg_images(c, value);
}

void bh_cfg_read(struct bh_cfg *c, const struct bh_doc *doc)
{
	enum { VERSION_KEY, MODE_KEY, ZONES_KEY };
	static const struct bh_key keys[] = {
		[VERSION_KEY] = {"version", read_version, 0},
		[MODE_KEY] = {"mode", read_mode, BH_KEY_MAIN},
		[ZONES_KEY] = {"zones", bh_cfg_zones, 0},
		{"deny", read_deny, BH_KEY_MAIN},
		{"bandwidth", read_bandwidth, BH_KEY_MAIN},
		{"images", read_images, BH_KEY_MAIN},
		{"allow", bh_cfg_allow, 0},
		{"expect", bh_cfg_expect, 0},
		{"log", bh_cfg_log, BH_KEY_MAIN},
		{"doctor", bh_cfg_doctor, BH_KEY_MAIN},
		{"require", read_require, BH_KEY_MAIN},
		{"detect", bh_cfg_detect, BH_KEY_MAIN},
		{"alerts", bh_cfg_alerts, BH_KEY_MAIN},
	};
	struct bh_loc start = {.file = doc->file, .line = 1, .column = 1};
	bool zones_read = false;
	unsigned seen;

	c->doc = doc;
	if (!doc->root || bh_cfg_is_null(doc->root)) {
		bh_cfg_error(c, &start, "the file is empty: it needs at least 'version: %d'%s", VERSION,
			doc->main ? " and 'mode'" : "");
		return;
	}
	if (!bh_cfg_is_map(c, doc->root, "the file") || !check_version(c, doc->root)) {
		c->partial = true;
		return;
	}
	seen = bh_cfg_map(c, doc->root, "the file", keys, BH_ARRAY_SIZE(keys), &zones_read);
	c->partial |= (seen & 1u << ZONES_KEY) && !zones_read;	/* misspelt */
	if (doc->main && !(seen & 1u << MODE_KEY))
		bh_cfg_error(c, &start, "'mode' is missing: write 'mode: enforce', or 'mode: audit' to only log");
}
