/* SPDX-License-Identifier: Apache-2.0 */
/* `detect`: named rules on what is seen, and `alerts`: where they tell it. */
#include "config.h"

#include <bulkhead/yaml.h>

#include <inttypes.h>
#include <string.h>

#define RULES_MAX 64u
#define SECOND 1000000ull
#define WITHIN_MAX (24 * 3600 * SECOND)
#define QUARANTINE_MAX (366 * 24 * 3600 * SECOND)
#define LEARN_DEFAULT (24 * 3600 * SECOND)
#define COUNT_MAX 10000000
#define BYTES_MAX (1ull << 50)

enum detect_key {
	KEY_SEE,
	KEY_DISTINCT,
	KEY_MORE_THAN,
	KEY_WITHIN,
	KEY_LEARN,
	KEY_EXCEPT,
	KEY_ZONES,
	KEY_ALERT,
	KEY_QUARANTINE,
	KEY_AUDIT,
	KEY_MAX,
};

static const char *const key_names[KEY_MAX] = {"see", "distinct", "more-than", "within", "learn", "except", "zones", "alert", "quarantine", "audit"};

/* What each kind of rule must have, and may have beside zones and actions. */
static const struct {
	unsigned needs, may;
} kinds[BH_SEES_MAX] = {
	[BH_SEES_DENIED] = {1u << KEY_MORE_THAN | 1u << KEY_WITHIN, 1u << KEY_DISTINCT},
	[BH_SEES_CONNECTIONS] = {1u << KEY_MORE_THAN | 1u << KEY_WITHIN, 0},
	[BH_SEES_FIRST_CONTACT] = {0, 1u << KEY_LEARN},
	[BH_SEES_SATURATED] = {1u << KEY_MORE_THAN | 1u << KEY_WITHIN, 0},
	[BH_SEES_EXEC] = {0, 1u << KEY_MORE_THAN | 1u << KEY_WITHIN | 1u << KEY_EXCEPT},
	[BH_SEES_POSTURE] = {0, 0},
	[BH_SEES_EGRESS] = {1u << KEY_MORE_THAN | 1u << KEY_WITHIN, 0},
};

/* A rule while it is read: thresholds mean something once it is known what it looks at. */
struct target {
	struct bh_detect_rule *rule;
	const struct bh_node *key[KEY_MAX], *value[KEY_MAX];
};

static void note(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	struct target *t = target;

	(void)c;
	for (size_t i = 0; i < KEY_MAX; i++)
		if (strcmp(key->text, key_names[i]) == 0) {
			t->key[i] = key;
			t->value[i] = value;
		}
}

static void read_percent(struct bh_cfg *c, const struct bh_node *n, struct bh_detect_rule *r)
{
	char show[BH_CFG_SHOW], *end;
	const char *text;
	unsigned long v;

	if (!bh_cfg_word(c, n, "more-than", &text))
		return;
	v = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || strcmp(end, "%") != 0 || v < 1 || v > 100)
		bh_cfg_error(c, &n->loc, "more-than of a cap must be from 1%% to 100%%, not '%s'", bh_cfg_show(text, show));
	else
		r->more_than = v;
}

static void read_more_than(struct bh_cfg *c, const struct bh_node *n, struct bh_detect_rule *r)
{
	long v;

	if (r->sees == BH_SEES_SATURATED)
		read_percent(c, n, r);
	else if (r->sees == BH_SEES_EGRESS)
		bh_cfg_size(c, n, "more-than", 1, BYTES_MAX, &r->more_than);
	else if (bh_cfg_int(c, n, "more-than", 1, r->distinct == BH_DISTINCT_NONE ? COUNT_MAX : (long)BH_DISTINCT_MOST, &v))
		r->more_than = (uint64_t)v;
}

static void add_zone(struct bh_cfg *c, const struct bh_node *n, struct bh_detect_rule *r)
{
	struct bh_zone_ref ref;

	if (bh_cfg_ref(c, n, "zones", &ref) && bh_vec_push(&r->zones, ref) < 0) {
		bh_zone_ref_clear(&ref);
		bh_cfg_oom(c);
	}
}

static void read_zones(struct bh_cfg *c, const struct bh_node *n, struct bh_detect_rule *r)
{
	if (n->kind != BH_NODE_SEQ)
		add_zone(c, n, r);
	else if (bh_cfg_is_list(c, n, "zones", "[web, api]"))
		bh_vec_foreach(i, &n->items)
			add_zone(c, *i, r);
}

static void read_except(struct bh_cfg *c, const struct bh_node *n, struct bh_detect_rule *r)
{
	const char *text;

	if (!bh_cfg_is_list(c, n, "except", "[\"*healthcheck*\"]"))
		return;
	bh_vec_foreach(i, &n->items)
		if (bh_cfg_word(c, *i, "except", &text) && bh_strv_push(&r->except, text) < 0)
			bh_cfg_oom(c);
}

static void check_keys(struct bh_cfg *c, const struct bh_node *name, const struct target *t)
{
	const char *sees = bh_sees_words[t->rule->sees];
	unsigned always = 1u << KEY_SEE | 1u << KEY_ZONES | 1u << KEY_ALERT | 1u << KEY_QUARANTINE | 1u << KEY_AUDIT;
	unsigned may = kinds[t->rule->sees].may | kinds[t->rule->sees].needs | always;

	for (size_t i = 0; i < KEY_MAX; i++) {
		if (t->key[i] && !(may & 1u << i))
			bh_cfg_error(c, &t->key[i]->loc, "a rule that sees %s has no '%s'", sees, key_names[i]);
		if (!t->key[i] && (kinds[t->rule->sees].needs & 1u << i))
			bh_cfg_error(c, &name->loc, "a rule that sees %s needs '%s'", sees, key_names[i]);
	}
	if (t->rule->sees == BH_SEES_EXEC && !t->key[KEY_MORE_THAN] != !t->key[KEY_WITHIN])
		bh_cfg_error(c, &name->loc, "'more-than' and 'within' belong together");
	if (t->key[KEY_AUDIT] && !t->key[KEY_QUARANTINE])
		bh_cfg_error(c, &t->key[KEY_AUDIT]->loc, "'audit' is about quarantine, which this rule does not have");
}

/* What is said once it is known what the rule sees. */
static void read_values(struct bh_cfg *c, const struct target *t)
{
	struct bh_detect_rule *r = t->rule;
	const struct bh_node *const *v = t->value;
	size_t i = 0;

	if (v[KEY_DISTINCT] && bh_cfg_choice(c, v[KEY_DISTINCT], "distinct", bh_distinct_words, BH_DISTINCT_MAX, &i))
		r->distinct = (enum bh_distinct)i;
	if (v[KEY_MORE_THAN])
		read_more_than(c, v[KEY_MORE_THAN], r);
	if (v[KEY_WITHIN])
		bh_cfg_time(c, v[KEY_WITHIN], "within", SECOND, WITHIN_MAX, &r->within_usec);
	if (r->sees == BH_SEES_FIRST_CONTACT)
		r->learn_usec = LEARN_DEFAULT;
	if (v[KEY_LEARN])
		bh_cfg_time(c, v[KEY_LEARN], "learn", SECOND, QUARANTINE_MAX, &r->learn_usec);
	if (v[KEY_EXCEPT])
		read_except(c, v[KEY_EXCEPT], r);
	if (v[KEY_ZONES])
		read_zones(c, v[KEY_ZONES], r);
	if (v[KEY_ALERT])
		bh_cfg_bool(c, v[KEY_ALERT], "alert", &r->alert);
	if (v[KEY_QUARANTINE])
		bh_cfg_time(c, v[KEY_QUARANTINE], "quarantine", SECOND, QUARANTINE_MAX, &r->quarantine_usec);
	if (v[KEY_AUDIT])
		bh_cfg_bool(c, v[KEY_AUDIT], "audit", &r->audit);
}

static void read_rule(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value)
{
	static const struct bh_key keys[] = {
		[KEY_SEE] = {"see", note, 0}, [KEY_DISTINCT] = {"distinct", note, 0}, [KEY_MORE_THAN] = {"more-than", note, 0},
		[KEY_WITHIN] = {"within", note, 0}, [KEY_LEARN] = {"learn", note, 0}, [KEY_EXCEPT] = {"except", note, 0},
		[KEY_ZONES] = {"zones", note, 0}, [KEY_ALERT] = {"alert", note, 0}, [KEY_QUARANTINE] = {"quarantine", note, 0},
		[KEY_AUDIT] = {"audit", note, 0}};
	struct bh_detect_rule *r = bh_vec_add(&c->policy->detect);
	struct target t = {.rule = r};
	char show[BH_CFG_SHOW];
	size_t n = strlen(key->text), sees;
	unsigned seen;

	if (!r) {
		bh_cfg_oom(c);
		return;
	}
	r->loc = key->loc;
	bh_cfg_set(c, &r->name, key->text);
	if (n == 0 || n > BH_ZONE_NAME_MAX || strspn(key->text, "abcdefghijklmnopqrstuvwxyz0123456789-") != n)
		bh_cfg_error(c, &key->loc, "'%s' must be a name of a-z, 0-9 and '-', at most %d long", bh_cfg_show(key->text, show), BH_ZONE_NAME_MAX);
	if (!bh_cfg_is_map(c, value, "a rule of detect"))
		return;
	seen = bh_cfg_map(c, value, "a rule of detect", keys, BH_ARRAY_SIZE(keys), &t);
	if (!(seen & 1u << KEY_SEE)) {
		bh_cfg_error(c, &key->loc, "a rule of detect needs 'see': denied, connections, first-contact, saturated, exec, posture-changed or egress");
		return;
	}
	if (!t.value[KEY_SEE] || !bh_cfg_choice(c, t.value[KEY_SEE], "see", bh_sees_words, BH_SEES_MAX, &sees))
		return;
	r->sees = (enum bh_sees)sees;
	check_keys(c, key, &t);
	read_values(c, &t);
}

void bh_cfg_detect(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	char show[BH_CFG_SHOW];

	(void)target;
	if (!bh_cfg_is_map(c, value, "detect"))
		return;
	if (value->pairs.n > RULES_MAX)
		bh_cfg_error(c, &key->loc, "detect has more than %u rules", RULES_MAX);
	bh_vec_foreach(p, &value->pairs) {
		if (p->first)
			bh_cfg_error(c, &p->key->loc, "rule '%s' stands twice: first on line %u", bh_cfg_show(p->key->text, show), p->first->loc.line);
		else
			read_rule(c, p->key, p->value);
	}
}

static void read_socket(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	(void)key, (void)target;
	if (bh_cfg_path(c, value, "socket", &c->policy->alerts) && c->policy->alerts && strlen(c->policy->alerts) > 107)
		bh_cfg_error(c, &value->loc, "the path of a socket has at most 107 bytes");
}

void bh_cfg_alerts(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	static const struct bh_key keys[] = {{"socket", read_socket, 0}};

	(void)key, (void)target;
	if (bh_cfg_is_map(c, value, "alerts"))
		bh_cfg_map(c, value, "alerts", keys, BH_ARRAY_SIZE(keys), NULL);
}

/* ---- the inverse */

static void put_rule(struct bh_buf *out, const struct bh_detect_rule *r)
{
	char text[BH_UNIT_TEXT];

	bh_buf_puts(out, "  ");
	bh_yaml_put_text(out, r->name);
	bh_buf_printf(out, ": {see: %s", bh_sees_words[r->sees]);
	if (r->distinct != BH_DISTINCT_NONE)
		bh_buf_printf(out, ", distinct: %s", bh_distinct_words[r->distinct]);
	if (r->sees == BH_SEES_EGRESS)
		bh_buf_printf(out, ", more-than: %s", bh_cfg_size_text(r->more_than, text));
	else if (r->more_than)
		bh_buf_printf(out, ", more-than: %" PRIu64 "%s", r->more_than, r->sees == BH_SEES_SATURATED ? "%" : "");
	if (r->within_usec)
		bh_buf_printf(out, ", within: %s", bh_cfg_time_text(r->within_usec, text));
	if (r->learn_usec)
		bh_buf_printf(out, ", learn: %s", bh_cfg_time_text(r->learn_usec, text));
	for (size_t i = 0; i < r->except.n; i++) {
		bh_buf_puts(out, i ? ", " : ", except: [");
		bh_yaml_put_text(out, r->except.v[i]);
	}
	bh_buf_puts(out, r->except.n ? "]" : "");
	if (r->zones.n) {
		bh_buf_puts(out, ", ");
		bh_yaml_put_refs(out, "zones", r->zones.v, r->zones.n);
	}
	bh_buf_puts(out, r->alert ? ", alert: true" : "");
	if (r->quarantine_usec)
		bh_buf_printf(out, ", quarantine: %s", bh_cfg_time_text(r->quarantine_usec, text));
	bh_buf_puts(out, r->audit ? ", audit: true}\n" : "}\n");
}

void bh_cfg_put_detect(struct bh_buf *out, const struct bh_policy *p)
{
	if (p->alerts) {
		bh_buf_puts(out, "alerts: {socket: ");
		bh_yaml_put_text(out, p->alerts);
		bh_buf_puts(out, "}\n");
	}
	bh_buf_puts(out, p->detect.n ? "detect:\n" : "");
	bh_vec_foreach(r, &p->detect)
		put_rule(out, r);
}
