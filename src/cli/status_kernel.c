/* SPDX-License-Identifier: Apache-2.0 */
#include "status.h"

#include <bulkhead/nft.h>

#include <errno.h>
#include <string.h>

#define ZONE_CHAIN "zone_"

static json_t *no_rates(void)
{
	return json_pack("{s:n, s:n}", "egress_bps", "ingress_bps");
}

/* The element of the map of zones that jumps to a zone's chain. "zone_3_web" is what the kernel knows of its name. */
static const char *zone_name(const struct bh_elem *e)
{
	return strncmp(e->chain, ZONE_CHAIN, strlen(ZONE_CHAIN)) == 0 ? e->chain + strlen(ZONE_CHAIN) : NULL;
}

static json_t *zones(const struct bh_set *map)
{
	json_t *list = json_array();

	if (!map)
		return list;
	bh_vec_foreach(e, &map->elems) {
		json_t *row;

		if (!zone_name(e))
			continue;
		row = json_pack("{s:s, s:n, s:n, s:n, s:o, s:I, s:I, s:i, s:i}", "name", zone_name(e), "kind", "mode", "containers",
			"bandwidth", no_rates(), "packets", (json_int_t)e->packets, "bytes", (json_int_t)e->bytes, "dropped_packets", 0,
			"dropped_bytes", 0);
		if (json_array_append_new(list, row) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static const char *zone_of(const struct bh_set *map, uint32_t id)
{
	uint8_t key[BH_KEY_MAX] = { 0 };
	const struct bh_elem *e;

	memcpy(key, &id, sizeof(id));
	e = map ? bh_set_find(map, key) : NULL;
	return e ? zone_name(e) : NULL;
}

/* The members of zone_of4 or zone_of6: bridge . address : zone. */
static int add_members(json_t *list, const struct bh_table *inet, const char *name, uint8_t family)
{
	const struct bh_set *set = bh_table_set(inet, name), *map = bh_table_set(inet, "from_zone");

	if (!set)
		return 0;
	bh_vec_foreach(e, &set->elems) {
		struct bh_addr a = { .family = family };
		char bridge[17], text[BH_ADDR_TEXT];
		json_t *row;

		memcpy(bridge, e->key, 16);
		bridge[16] = '\0';
		memcpy(a.b, e->key + 16, bh_addr_size(&a));
		bh_addr_text(&a, text);
		row = json_pack("{s:n, s:n, s:n, s:s?, s:s, s:s, s:n, s:[{s:n, s:s, s:n, s:n, s:o, s:o}], s:o, s:I, s:I, s:i, s:i}", "id",
			"name", "runtime", "zone", zone_of(map, e->value), "reason", "as the kernel holds it", "enforced", "full",
			"unenforced_reason", "endpoints", "network", "bridge", bridge, "interface", "mac", "ipv4",
			family == 4 ? json_pack("[s]", text) : json_array(), "ipv6", family == 6 ? json_pack("[s]", text) : json_array(),
			"bandwidth", no_rates(), "packets", (json_int_t)e->packets, "bytes", (json_int_t)e->bytes, "dropped_packets", 0,
			"dropped_bytes", 0);
		if (json_array_append_new(list, row) < 0)
			return -ENOMEM;
	}
	return 0;
}

int bh_status_from_kernel(json_t **ret, struct bh_error *err)
{
	_cleanup_(bh_nft_freep) struct bh_nft *nft = NULL;
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *seen = NULL;
	json_t *containers = json_array(), *doc;
	const struct bh_table *inet;
	int r = bh_nft_new(&nft, err);

	if (r == 0)
		r = nft->ops->observe(nft, &seen, err);
	if (r == 0 && !seen->tables[BH_FAMILY_INET].present && !seen->tables[BH_FAMILY_BRIDGE].present)
		r = -ENOENT;
	if (r == 0) {
		r = add_members(containers, &seen->tables[BH_FAMILY_INET], "zone_of4", 4);
		if (r == 0)
			r = add_members(containers, &seen->tables[BH_FAMILY_INET], "zone_of6", 6);
		if (r < 0)
			bh_fail(err, r, "out of memory");
	}
	if (r < 0) {
		json_decref(containers);
		return r;
	}
	inet = &seen->tables[BH_FAMILY_INET];
	doc = json_pack("{s:i, s:n, s:{s:s?, s:b, s:n, s:b}, s:[], s:o, s:o, s:[]}", "version", 1, "daemon", "kernel", "table",
		inet->present ? "inet bulkhead" : NULL, "in_sync", 0, "repairs", "owned", (inet->flags & BH_TABLE_OWNER) != 0,
		"runtimes", "zones", zones(bh_table_set(inet, "from_zone")), "containers", containers, "rules");
	if (!doc)
		return bh_fail(err, -ENOMEM, "out of memory");
	*ret = doc;
	return 0;
}
