/* SPDX-License-Identifier: Apache-2.0 */
/* Typed, range-checked readers: one for each type of value. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void bh_cfg_set(struct bh_cfg *c, char **dst, const char *s)
{
	if (bh_strdup(dst, s) < 0)
		bh_cfg_oom(c);
}

static const char *kind_name(const struct bh_node *n)
{
	if (bh_cfg_is_null(n))
		return "nothing";
	return n->kind == BH_NODE_MAP ? "a mapping" : n->kind == BH_NODE_SEQ ? "a list" : "a single value";
}

bool bh_cfg_is_null(const struct bh_node *n)
{
	static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};

	if (n->kind != BH_NODE_SCALAR || !n->plain)
		return false;
	for (size_t i = 0; i < BH_ARRAY_SIZE(nulls); i++)
		if (strcmp(n->text, nulls[i]) == 0)
			return true;
	return false;
}

bool bh_cfg_is_map(struct bh_cfg *c, const struct bh_node *n, const char *what)
{
	if (n->bad)
		return false;
	if (n->kind == BH_NODE_MAP && n->pairs.n > 0)
		return true;
	if (n->kind == BH_NODE_MAP || bh_cfg_is_null(n))
		bh_cfg_error(c, &n->loc, "%s is empty", what);
	else
		bh_cfg_error(c, &n->loc, "%s must be a mapping, not %s", what, kind_name(n));
	return false;
}

bool bh_cfg_is_list(struct bh_cfg *c, const struct bh_node *n, const char *what, const char *example)
{
	if (n->bad)
		return false;
	if (n->kind == BH_NODE_SEQ && n->items.n > 0)
		return true;
	if (n->kind == BH_NODE_SEQ || bh_cfg_is_null(n))
		bh_cfg_error(c, &n->loc, "%s is empty", what);
	else
		bh_cfg_error(c, &n->loc, "%s must be a list such as %s, not %s", what, example, kind_name(n));
	return false;
}

bool bh_cfg_text(struct bh_cfg *c, const struct bh_node *n, const char *what, const char **ret)
{
	if (n->bad)
		return false;
	if (n->kind != BH_NODE_SCALAR) {
		bh_cfg_error(c, &n->loc, "%s must be a single value, not %s", what, kind_name(n));
		return false;
	}
	if (bh_cfg_is_null(n)) {
		bh_cfg_error(c, &n->loc, "%s is empty", what);
		return false;
	}
	*ret = n->text;
	return true;
}

bool bh_cfg_word(struct bh_cfg *c, const struct bh_node *n, const char *what, const char **ret)
{
	const char *text;

	if (!bh_cfg_text(c, n, what, &text))
		return false;
	if (!*text) {
		bh_cfg_error(c, &n->loc, "%s is empty", what);
		return false;
	}
	*ret = text;
	return true;
}

/* A decimal number as YAML 1.2 and everybody reads it: YAML 1.1 takes 010 for 8 and 1:30 for 90. */
bool bh_cfg_int(struct bh_cfg *c, const struct bh_node *n, const char *what, long min, long max, long *ret)
{
	char show[BH_CFG_SHOW];
	const char *text, *digits;
	long v;

	if (!bh_cfg_text(c, n, what, &text))
		return false;
	digits = text[0] == '-' ? text + 1 : text;
	if (!n->plain || strspn(digits, "0123456789") != strlen(digits) || !*digits) {
		bh_cfg_error(c, &n->loc, "%s must be a whole number%s, not '%s'", what, n->plain ? "" : " without quotes",
			bh_cfg_show(text, show));
		return false;
	}
	if (digits[0] == '0' && digits[1]) {
		bh_cfg_error(c, &n->loc, "%s: '%s' begins with 0, which YAML may read as octal", what, bh_cfg_show(text, show));
		return false;
	}
	errno = 0;
	v = strtol(text, NULL, 10);
	if (errno || v < min || v > max) {
		bh_cfg_error(c, &n->loc, "%s must be from %ld to %ld, not %s", what, min, max, bh_cfg_show(text, show));
		return false;
	}
	*ret = v;
	return true;
}

static void join_words(const char *const *words, size_t n, char *buf, size_t size)
{
	size_t used = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < n && used < size; i++)
		used += (size_t)snprintf(buf + used, size - used, "%s%s", i == 0 ? "" : i + 1 == n ? " or " : ", ", words[i]);
}

bool bh_cfg_choice(struct bh_cfg *c, const struct bh_node *n, const char *what, const char *const *words, size_t n_words,
	size_t *ret)
{
	char show[BH_CFG_SHOW], all[128];
	const char *text, *near;

	if (!bh_cfg_text(c, n, what, &text))
		return false;
	for (size_t i = 0; i < n_words; i++)
		if (strcmp(text, words[i]) == 0) {
			*ret = i;
			return true;
		}
	join_words(words, n_words, all, sizeof(all));
	near = bh_cfg_nearest(text, words, n_words);
	if (near)
		bh_cfg_error(c, &n->loc, "%s must be %s, not '%s': did you mean '%s'?", what, all, bh_cfg_show(text, show), near);
	else
		bh_cfg_error(c, &n->loc, "%s must be %s, not '%s'", what, all, bh_cfg_show(text, show));
	return false;
}

bool bh_cfg_mode(struct bh_cfg *c, const struct bh_node *n, enum bh_mode *ret)
{
	static const char *const words[] = {"enforce", "audit"};
	size_t i;

	if (!bh_cfg_choice(c, n, "mode", words, BH_ARRAY_SIZE(words), &i))
		return false;
	*ret = i == 0 ? BH_MODE_ENFORCE : BH_MODE_AUDIT;
	return true;
}

bool bh_cfg_rate(struct bh_cfg *c, const struct bh_node *n, const char *what, uint64_t *ret)
{
	static const struct {
		const char *unit;
		uint64_t bps;
	} units[] = {{"bit", 1}, {"kbit", 1000}, {"mbit", 1000000}, {"gbit", 1000000000}};
	char show[BH_CFG_SHOW];
	const char *text;
	uint64_t unit = 0, v;
	size_t digits;

	if (!bh_cfg_word(c, n, what, &text))
		return false;
	digits = strspn(text, "0123456789");
	for (size_t i = 0; i < BH_ARRAY_SIZE(units); i++)
		if (strcmp(text + digits, units[i].unit) == 0)
			unit = units[i].bps;
	bh_cfg_show(text, show);
	if (digits == 0 || text[digits] == '.') {
		bh_cfg_error(c, &n->loc, "%s: '%s' is no rate: write a whole number and its unit, such as 50mbit", what, show);
		return false;
	}
	if (!unit) {
		bh_cfg_error(c, &n->loc, "%s: '%s' needs a unit: bit, kbit, mbit or gbit, as in %.*smbit", what, show,
			(int)(digits < 20 ? digits : 20), text);
		return false;
	}
	errno = 0;
	v = strtoull(text, NULL, 10);
	if (errno || __builtin_mul_overflow(v, unit, &v)) {
		bh_cfg_error(c, &n->loc, "%s: '%s' is more than can be counted", what, show);
		return false;
	}
	if (v < 8) {
		bh_cfg_error(c, &n->loc, v == 0 ? "%s: '%s' would let nothing pass: leave the key out for no cap" :
			"%s: '%s' is less than a byte a second", what, show);
		return false;
	}
	*ret = v;
	return true;
}

bool bh_cfg_bool(struct bh_cfg *c, const struct bh_node *n, const char *what, bool *ret)
{
	static const char *const words[] = {"false", "true"};
	size_t i;

	if (!bh_cfg_choice(c, n, what, words, BH_ARRAY_SIZE(words), &i))
		return false;
	*ret = i == 1;
	return true;
}

bool bh_cfg_path(struct bh_cfg *c, const struct bh_node *n, const char *what, char **ret)
{
	char show[BH_CFG_SHOW];
	const char *text;

	if (!bh_cfg_word(c, n, what, &text))
		return false;
	if (text[0] != '/' || text[strlen(text) - 1] == '/' || strlen(text) >= 4096 || strstr(text, "/../")) {
		bh_cfg_error(c, &n->loc, "%s must be an absolute path of a file, not '%s'", what, bh_cfg_show(text, show));
		return false;
	}
	bh_cfg_set(c, ret, text);
	return true;
}

/* A number of 1 to 65535 alone: the commonest slip. */
static bool is_port_number(const char *s)
{
	struct bh_port p;
	char text[16];

	if (strlen(s) > 11 || s[0] < '0' || s[0] > '9')
		return false;
	snprintf(text, sizeof(text), "tcp/%.11s", s);
	return bh_port_parse(text, &p) == 0;
}

bool bh_cfg_port(struct bh_cfg *c, const struct bh_node *n, struct bh_port *ret)
{
	char show[BH_CFG_SHOW];
	const char *text, *slash;

	if (!bh_cfg_word(c, n, "a port", &text))
		return false;
	if (bh_port_parse(text, ret) == 0) {
		ret->loc = n->loc;
		return true;
	}
	bh_cfg_show(text, show);
	slash = strchr(text, '/');
	if (is_port_number(text))
		bh_cfg_error(c, &n->loc, "port '%s' has no protocol: write tcp/%s or udp/%s", show, show, show);
	else if (slash && (strncmp(text, "tcp/", 4) == 0 || strncmp(text, "udp/", 4) == 0 || strncmp(text, "sctp/", 5) == 0))
		bh_cfg_error(c, &n->loc, "bad port '%s': after the protocol comes a number from 1 to 65535, or a range N-M", show);
	else if (slash && strncmp(text, "icmp/", 5) == 0)
		bh_cfg_error(c, &n->loc, "bad port '%s': icmp has no types here, write icmp", show);
	else
		bh_cfg_error(c, &n->loc, "bad port '%s': write tcp/N, udp/N, sctp/N, a range tcp/N-M, or a protocol such as icmp or esp",
			show);
	return false;
}

bool bh_cfg_prefix(struct bh_cfg *c, const struct bh_node *n, struct bh_prefix *ret)
{
	char show[BH_CFG_SHOW], right[BH_PREFIX_TEXT];
	struct bh_prefix p;
	const char *text;
	int r;

	if (!bh_cfg_word(c, n, "a prefix", &text))
		return false;
	r = bh_prefix_parse(text, &p);
	bh_cfg_show(text, show);
	if (r == -EDOM)
		bh_cfg_error(c, &n->loc, "'%s' has host bits set: write %s", show, bh_prefix_text(&p, right));
	else if (r == -ERANGE)
		bh_cfg_error(c, &n->loc, "'%s' has a prefix length that its family has not", show);
	else if (r < 0)
		bh_cfg_error(c, &n->loc, "'%s' is no prefix: write one such as 10.20.0.0/16 or 2001:db8::/32", show);
	else
		*ret = p;
	return r == 0;
}
