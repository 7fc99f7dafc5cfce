/* SPDX-License-Identifier: Apache-2.0 */
/* The mapping `zones`. */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The zone that is being read: by index, for the vector may move. */
struct target {
	struct bh_zone *z;
	size_t index;
	const struct bh_loc *where[12];	/* of the keys that are there, by enum zone_key */
};

enum zone_key {
	KEY_DESCRIPTION,
	KEY_SELECT,
	KEY_PER,
	KEY_CIDRS,
	KEY_INTERFACES,
	KEY_PRIORITY,
	KEY_MODE,
	KEY_BANDWIDTH,
	KEY_CONNECTIONS,
	KEY_FORWARDS,
	KEY_REQUIRE,
	KEY_MAX,
};

static void read_description(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	struct target *t = target;
	const char *text;

	t->where[KEY_DESCRIPTION] = &key->loc;
	if (bh_cfg_text(c, value, "description", &text))
		bh_cfg_set(c, &t->z->description, text);
}

static void read_select(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	struct target *t = target;

	t->where[KEY_SELECT] = &key->loc;
	bh_cfg_select(c, key, value, &t->z->select);
}

static void read_per(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	static const char *const words[] = {"compose", "network", "label:KEY"};
	struct target *t = target;
	char show[BH_CFG_SHOW];
	const char *text, *near;

	t->where[KEY_PER] = &key->loc;
	if (!bh_cfg_word(c, value, "per", &text))
		return;
	if (strcmp(text, "compose") == 0) {
		t->z->per = BH_PER_COMPOSE;
	} else if (strcmp(text, "network") == 0) {
		t->z->per = BH_PER_NETWORK;
	} else if (strncmp(text, "label:", 6) == 0 && text[6]) {
		t->z->per = BH_PER_LABEL;
		bh_cfg_set(c, &t->z->per_label, text + 6);
	} else {
		near = bh_cfg_nearest(text, words, 2);
		bh_cfg_error(c, &value->loc, "per must be compose, network or label:KEY, not '%s'%s%s%s",
			bh_cfg_show(text, show), near ? ": did you mean '" : "", near ? near : "", near ? "'?" : "");
	}
}

static void read_cidrs(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	struct target *t = target;

	t->where[KEY_CIDRS] = &key->loc;
	if (!bh_cfg_is_list(c, value, "cidrs", "[10.20.0.0/16]"))
		return;
	bh_vec_foreach(i, &value->items) {
		struct bh_claim claim = {.zone = t->index, .seq = c->prefixes.n, .loc = (*i)->loc};

		if (bh_cfg_prefix(c, *i, &claim.prefix) &&
			(bh_vec_push(&t->z->cidrs, claim.prefix) < 0 || bh_vec_push(&c->prefixes, claim) < 0))
			bh_cfg_oom(c);
	}
}

/* A prefix that lies in what is never forwarded says nothing. */
static bool check_forward(struct bh_cfg *c, const struct bh_node *n, const struct bh_prefix *p)
{
	char text[BH_PREFIX_TEXT];

	for (size_t i = 0; bh_unforwardable[i].prefix; i++) {
		struct bh_prefix outer;

		if (bh_prefix_parse(bh_unforwardable[i].prefix, &outer) < 0 || !bh_prefix_covers(&outer, p))
			continue;
		bh_cfg_error(c, &n->loc, "forwards: %s is %s, which is never forwarded", bh_prefix_text(p, text),
			bh_unforwardable[i].what);
		return false;
	}
	return true;
}

static void read_forwards(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	struct target *t = target;
	struct bh_prefix p;

	t->where[KEY_FORWARDS] = &key->loc;
	if (!bh_cfg_is_list(c, value, "forwards", "[10.8.0.0/24]"))
		return;
	bh_vec_foreach(i, &value->items)
		if (bh_cfg_prefix(c, *i, &p) && check_forward(c, *i, &p) && bh_vec_push(&t->z->forwards, p) < 0)
			bh_cfg_oom(c);
}

/* dev_valid_name() of the kernel (net/core/dev.c), and no pattern but one `*` at the end, which nft has too. */
static bool check_interface(struct bh_cfg *c, const struct bh_node *n, const char *name)
{
	char show[BH_CFG_SHOW];
	size_t len = strlen(name);

	bh_cfg_show(name, show);
	if (strcmp(name, "lo") == 0)
		bh_cfg_error(c, &n->loc, "interface 'lo' is the host itself: use the zone 'host'");
	else if (strcmp(name, "*") == 0)
		bh_cfg_error(c, &n->loc, "interface '*' would be every interface: use the zone 'world'");
	else if (len > 15)
		bh_cfg_error(c, &n->loc, "interface '%s' is longer than the 15 characters of the kernel", show);
	else if (strcspn(name, "*") < len - 1 || strpbrk(name, "?[]{}/: \t\n\r\v\f\\\"") || strcmp(name, ".") == 0 ||
		strcmp(name, "..") == 0)
		bh_cfg_error(c, &n->loc, "'%s' is no interface: write a name, or one with '*' at the end such as wg*", show);
	else
		return true;
	return false;
}

static void read_interfaces(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	struct target *t = target;

	t->where[KEY_INTERFACES] = &key->loc;
	if (!bh_cfg_is_list(c, value, "interfaces", "[tailscale0, \"wg*\"]"))
		return;
	bh_vec_foreach(i, &value->items) {
		struct bh_claim claim = {.zone = t->index, .seq = c->interfaces.n, .loc = (*i)->loc};

		if (bh_cfg_word(c, *i, "an interface", &claim.interface) && check_interface(c, *i, claim.interface) &&
			(bh_strv_push(&t->z->interfaces, claim.interface) < 0 || bh_vec_push(&c->interfaces, claim) < 0))
			bh_cfg_oom(c);
	}
}

static void read_priority(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	struct target *t = target;
	long v;

	t->where[KEY_PRIORITY] = &key->loc;
	if (bh_cfg_int(c, value, "priority", -BH_CFG_PRIORITY_MAX, BH_CFG_PRIORITY_MAX, &v)) {
		t->z->has_priority = true;
		t->z->priority = (int32_t)v;
	}
}

static void read_mode(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	struct target *t = target;

	t->where[KEY_MODE] = &key->loc;
	bh_cfg_mode(c, value, &t->z->mode);
}

static void read_bandwidth(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	struct target *t = target;

	t->where[KEY_BANDWIDTH] = &key->loc;
	bh_cfg_zone_bandwidth(c, key, value, t->z);
}

static void read_max(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	struct target *t = target;
	long v;

	(void)key;
	if (bh_cfg_int(c, value, "max", 1, UINT32_MAX, &v))
		t->z->conn_max = (uint64_t)v;
}

static void read_new(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	struct target *t = target;
	char show[BH_CFG_SHOW];
	const char *text;
	uint64_t v = 0;
	size_t digits;
	bool minute;

	(void)key;
	if (!bh_cfg_word(c, value, "new", &text))
		return;
	digits = strspn(text, "0123456789");
	minute = strcmp(text + digits, "/minute") == 0;
	for (size_t i = 0; i < digits && v <= BH_CFG_NEW_MAX; i++)
		v = v * 10 + (uint64_t)(text[i] - '0');
	if (digits == 0 || (!minute && strcmp(text + digits, "/second") != 0)) {
		bh_cfg_error(c, &value->loc, "new: '%s' is no rate: write N/second or N/minute", bh_cfg_show(text, show));
	} else if (v == 0 || v > BH_CFG_NEW_MAX) {
		bh_cfg_error(c, &value->loc, "new must be from 1 to %u a second or minute, not %s", BH_CFG_NEW_MAX,
			bh_cfg_show(text, show));
	} else {
		t->z->conn_new = v;
		t->z->conn_new_per_minute = minute;
	}
}

static void read_connections(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	static const struct bh_key keys[] = {{"max", read_max, 0}, {"new", read_new, 0}};
	struct target *t = target;

	t->where[KEY_CONNECTIONS] = &key->loc;
	if (bh_cfg_is_map(c, value, "connections"))
		bh_cfg_map(c, value, "connections", keys, BH_ARRAY_SIZE(keys), t);
}

static void read_require(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	struct target *t = target;

	t->where[KEY_REQUIRE] = &key->loc;
	bh_cfg_require(c, key, value, &t->z->require);
}

static const struct bh_key zone_keys[KEY_MAX] = {
	[KEY_DESCRIPTION] = {"description", read_description, 0},
	[KEY_SELECT] = {"select", read_select, 0},
	[KEY_PER] = {"per", read_per, 0},
	[KEY_CIDRS] = {"cidrs", read_cidrs, 0},
	[KEY_INTERFACES] = {"interfaces", read_interfaces, 0},
	[KEY_PRIORITY] = {"priority", read_priority, 0},
	[KEY_MODE] = {"mode", read_mode, 0},
	[KEY_BANDWIDTH] = {"bandwidth", read_bandwidth, 0},
	[KEY_CONNECTIONS] = {"connections", read_connections, 0},
	[KEY_FORWARDS] = {"forwards", read_forwards, 0},
	[KEY_REQUIRE] = {"require", read_require, 0},
};

static void check_metadata(struct bh_cfg *c, const struct target *t, unsigned seen)
{
	t->z->kind = BH_ZONE_BUILTIN;
	t->z->builtin = BH_BUILTIN_METADATA;
	for (int k = 0; k < KEY_MAX; k++)
		if (t->where[k] && k != KEY_DESCRIPTION && k != KEY_CIDRS)
			bh_cfg_error(c, t->where[k], "'metadata' is built in and may be given cidrs, but no '%s'", zone_keys[k].name);
	if (!(seen & 1u << KEY_CIDRS))
		bh_cfg_error(c, &t->z->loc, "'metadata' is built in: give it cidrs, or leave it out");
}

/* What a zone is made of, and that its keys belong together. */
static void check_kind(struct bh_cfg *c, const struct target *t, unsigned seen)
{
	const unsigned any_kind = 1u << KEY_SELECT | 1u << KEY_PER | 1u << KEY_CIDRS | 1u << KEY_INTERFACES;
	static const enum zone_key only_containers[] = {KEY_PRIORITY, KEY_BANDWIDTH, KEY_CONNECTIONS, KEY_FORWARDS, KEY_REQUIRE};
	static const enum zone_key kinds[] = {KEY_SELECT, KEY_PER, KEY_CIDRS, KEY_INTERFACES};
	enum zone_key first = KEY_MAX;

	for (size_t i = 0; i < BH_ARRAY_SIZE(kinds); i++) {
		enum zone_key k = kinds[i];

		if (!t->where[k] || (first == KEY_SELECT && k == KEY_PER))
			continue;
		if (first != KEY_MAX)
			bh_cfg_error(c, t->where[k],
				"zone '%s' has '%s' and '%s': a zone has one of select (with or without per), cidrs or interfaces",
				t->z->name, zone_keys[first].name, zone_keys[k].name);
		else
			first = k;
	}
	if (!(seen & any_kind))
		bh_cfg_error(c, &t->z->loc, "zone '%s' needs one of select, per, cidrs or interfaces", t->z->name);
	t->z->kind = first == KEY_CIDRS ? BH_ZONE_ADDRESSES : first == KEY_INTERFACES ? BH_ZONE_INTERFACES : BH_ZONE_CONTAINERS;
	for (size_t i = 0; t->z->kind != BH_ZONE_CONTAINERS && i < BH_ARRAY_SIZE(only_containers); i++)
		if (t->where[only_containers[i]])
			bh_cfg_error(c, t->where[only_containers[i]], "'%s' is for zones of containers, and '%s' is one of %s",
				zone_keys[only_containers[i]].name, t->z->name, zone_keys[first].name);
	if (t->z->kind == BH_ZONE_CONTAINERS && !t->z->has_priority)
		t->z->priority = t->where[KEY_PER] ? -1 : 0;
}

/* Whether NAME may name a zone of the file. */
static bool check_name(struct bh_cfg *c, const struct bh_node *key)
{
	char show[BH_CFG_SHOW], low[BH_ZONE_NAME_MAX + 1];
	const char *name = key->text;
	enum bh_builtin b = bh_builtin_from_name(name);
	size_t n = strlen(name);

	bh_cfg_show(name, show);
	if (b != BH_BUILTIN_NONE && b != BH_BUILTIN_METADATA) {
		bh_cfg_error(c, &key->loc, "'%s' is built in and cannot be defined", name);
		return false;
	}
	if (n > BH_ZONE_NAME_MAX) {
		bh_cfg_error(c, &key->loc, "zone name '%s' is longer than %d characters", show, BH_ZONE_NAME_MAX);
		return false;
	}
	if (n > 0 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == n)
		return true;
	for (size_t i = 0; i <= n; i++)
		low[i] = name[i] == '_' || name[i] == ' ' || name[i] == '.' ? '-' :
			name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] - 'A' + 'a') : name[i];
	if (n > 0 && strspn(low, "abcdefghijklmnopqrstuvwxyz0123456789-") == n)
		bh_cfg_error(c, &key->loc, "bad zone name '%s': only a-z, 0-9 and '-' can stand in it: write '%s'", show, low);
	else
		bh_cfg_error(c, &key->loc, "bad zone name '%s': only a-z, 0-9 and '-' can stand in it", show);
	return false;
}

static void read_zone(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value)
{
	struct target t = {0};
	char where[64];
	unsigned seen;

	t.index = c->policy->zones.n;
	t.z = bh_vec_add(&c->policy->zones);
	if (!t.z) {
		bh_cfg_oom(c);
		return;
	}
	t.z->loc = key->loc;
	bh_cfg_set(c, &t.z->name, key->text);
	if (c->err) {	/* a zone without a name is no zone */
		free(t.z->name);
		c->policy->zones.n--;
		return;
	}
	snprintf(where, sizeof(where), "zone '%s'", key->text);
	if (!bh_cfg_is_map(c, value, where))
		return;
	seen = bh_cfg_map(c, value, where, zone_keys, BH_ARRAY_SIZE(zone_keys), &t);
	if (strcmp(key->text, "metadata") == 0)
		check_metadata(c, &t, seen);
	else
		check_kind(c, &t, seen);
}

void bh_cfg_zones(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	char place[BH_CFG_SHOW];

	(void)key;
	if (!bh_cfg_is_map(c, value, "zones"))
		return;
	*(bool *)target = true;
	bh_vec_foreach(p, &value->pairs) {
		int first;

		if (!check_name(c, p->key)) {
			if (bh_strv_push(&c->refused, p->key->text) < 0)
				bh_cfg_oom(c);
			continue;
		}
		first = bh_policy_find_zone(c->policy, p->key->text);
		if (first >= 0) {
			bh_cfg_error(c, &p->key->loc, "zone '%s' is defined twice: first at %s", p->key->text,
				bh_cfg_place(&c->policy->zones.v[first].loc, place));
		} else if (c->policy->zones.n >= BH_CFG_ZONES_MAX) {
			bh_cfg_error(c, &p->key->loc, "more than %u zones", BH_CFG_ZONES_MAX);
			return;
		} else {
			read_zone(c, p->key, p->value);
		}
	}
}
