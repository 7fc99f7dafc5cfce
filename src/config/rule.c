/* SPDX-License-Identifier: Apache-2.0 */
/* The lists `allow` and `expect`. */
#include "config.h"

#include <string.h>

/* Whether there is such a zone is asked when every file has been read. */
bool bh_cfg_ref(struct bh_cfg *c, const struct bh_node *n, const char *what, struct bh_zone_ref *ret)
{
	struct bh_zone_ref ref = {.zone = -1, .loc = n->loc};
	char show[BH_CFG_SHOW];
	const char *text, *colon;

	if (!bh_cfg_word(c, n, what, &text))
		return false;
	colon = strchr(text, ':');
	if (colon && (colon == text || !colon[1])) {
		bh_cfg_error(c, &n->loc, "'%s' must be a zone, or ZONE:VALUE for one zone of a family", bh_cfg_show(text, show));
		return false;
	}
	bh_cfg_set(c, &ref.name, text);
	if (colon && ref.name) {
		ref.name[colon - text] = '\0';
		bh_cfg_set(c, &ref.value, colon + 1);
	}
	*ret = ref;
	return true;
}

static void add_ref(struct bh_cfg *c, const struct bh_node *n, struct bh_rule *rule, bool is_to)
{
	struct bh_zone_ref ref;

	if (!bh_cfg_ref(c, n, is_to ? "to" : "from", &ref))
		return;
	if ((is_to ? bh_vec_push(&rule->to, ref) : bh_vec_push(&rule->from, ref)) < 0) {
		bh_zone_ref_clear(&ref);
		bh_cfg_oom(c);
	}
}

static void read_refs(struct bh_cfg *c, const struct bh_node *value, struct bh_rule *rule, bool is_to)
{
	if (value->kind != BH_NODE_SEQ) {
		add_ref(c, value, rule, is_to);
	} else if (bh_cfg_is_list(c, value, is_to ? "to" : "from", "")) {
		bh_vec_foreach(i, &value->items)
			add_ref(c, *i, rule, is_to);
	}
}

static void read_from(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	(void)key;
	read_refs(c, value, target, false);
}

static void read_to(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	(void)key;
	read_refs(c, value, target, true);
}

static void read_ports(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	struct bh_rule *rule = target;
	struct bh_port port;

	(void)key;
	if (!bh_cfg_is_list(c, value, "ports", "[tcp/80, udp/53]"))
		return;
	bh_vec_foreach(i, &value->items)
		if (bh_cfg_port(c, *i, &port) && bh_vec_push(&rule->ports, port) < 0)
			bh_cfg_oom(c);
}

static void read_values(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	static const char *const words[] = {"equal", "different", "any"};
	static const enum bh_values values[] = {BH_VALUES_EQUAL, BH_VALUES_DIFFERENT, BH_VALUES_ANY};
	struct bh_rule *rule = target;
	size_t i;

	(void)key;
	if (bh_cfg_choice(c, value, "values", words, BH_ARRAY_SIZE(words), &i)) {
		rule->has_values = true;
		rule->values = values[i];
	}
}

static void read_verdict(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	static const char *const words[] = {"accept", "deny"};
	struct bh_rule *rule = target;
	size_t i;

	(void)key;
	if (bh_cfg_choice(c, value, "verdict", words, BH_ARRAY_SIZE(words), &i))
		rule->expect_accept = i == 0;
}

static void read_rule(struct bh_cfg *c, const struct bh_node *n, struct bh_rule *rule, bool is_expect)
{
	enum { FROM_KEY, TO_KEY, PORTS_KEY, VALUES_KEY, VERDICT_KEY };
	static const struct bh_key keys[] = {
		[FROM_KEY] = {"from", read_from, 0},
		[TO_KEY] = {"to", read_to, 0},
		[PORTS_KEY] = {"ports", read_ports, 0},
		[VALUES_KEY] = {"values", read_values, 0},
		[VERDICT_KEY] = {"verdict", read_verdict, 0},
	};
	const char *where = is_expect ? "an expectation" : "a rule";
	unsigned seen;

	rule->loc = n->loc;
	if (!bh_cfg_is_map(c, n, where))
		return;
	seen = bh_cfg_map(c, n, where, keys, BH_ARRAY_SIZE(keys) - (is_expect ? 0 : 1), rule);
	if (!(seen & 1u << FROM_KEY))
		bh_cfg_error(c, &n->loc, "%s needs 'from'", where);
	if (!(seen & 1u << TO_KEY))
		bh_cfg_error(c, &n->loc, "%s needs 'to'", where);
	if (is_expect && !(seen & 1u << VERDICT_KEY))
		bh_cfg_error(c, &n->loc, "an expectation needs 'verdict': accept or deny");
}

void bh_cfg_allow(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	(void)key, (void)target;
	if (!bh_cfg_is_list(c, value, "allow", "[{from: web, to: api}]"))
		return;
	bh_vec_foreach(i, &value->items) {
		struct bh_rule *rule = bh_vec_add(&c->policy->allow);

		if (rule)
			read_rule(c, *i, rule, false);
		else
			bh_cfg_oom(c);
	}
}

void bh_cfg_expect(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	(void)key, (void)target;
	if (!bh_cfg_is_list(c, value, "expect", "[{from: web, to: db, verdict: deny}]"))
		return;
	bh_vec_foreach(i, &value->items) {
		struct bh_rule *rule = bh_vec_add(&c->policy->expect);

		if (rule)
			read_rule(c, *i, rule, true);
		else
			bh_cfg_oom(c);
	}
}
