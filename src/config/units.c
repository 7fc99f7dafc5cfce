/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes in bytes and times: `10MiB`, `10s`. One unit, a whole number. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct unit {
	const char *name;
	uint64_t is;
};

static const struct unit sizes[] = {{"TiB", 1ull << 40}, {"GiB", 1ull << 30}, {"MiB", 1ull << 20}, {"KiB", 1ull << 10}, {"B", 1}};
static const struct unit times[] = {{"d", 86400ull * 1000000}, {"h", 3600ull * 1000000}, {"m", 60ull * 1000000}, {"s", 1000000}};

static bool read_unit(struct bh_cfg *c, const struct bh_node *n, const char *what, const struct unit *units, size_t n_units, const char *example,
	uint64_t *ret)
{
	char show[BH_CFG_SHOW];
	const char *text;
	uint64_t unit = 0, v;
	size_t digits;

	if (!bh_cfg_word(c, n, what, &text))
		return false;
	digits = strspn(text, "0123456789");
	for (size_t i = 0; i < n_units; i++)
		if (strcmp(text + digits, units[i].name) == 0)
			unit = units[i].is;
	errno = 0;
	v = strtoull(text, NULL, 10);
	if (digits == 0 || !unit)
		bh_cfg_error(c, &n->loc, "%s: '%s' must be a whole number and its unit, %s", what, bh_cfg_show(text, show), example);
	else if (errno || __builtin_mul_overflow(v, unit, ret))
		bh_cfg_error(c, &n->loc, "%s: '%s' is more than can be counted", what, bh_cfg_show(text, show));
	else
		return true;
	return false;
}

static bool is_in(struct bh_cfg *c, const struct bh_node *n, const char *what, uint64_t v, uint64_t min, uint64_t max,
	const char *(*to_text)(uint64_t v, char *buf))
{
	char show[BH_CFG_SHOW], least[BH_UNIT_TEXT], most[BH_UNIT_TEXT];

	if (v >= min && v <= max)
		return true;
	bh_cfg_error(c, &n->loc, "%s must be from %s to %s, not %s", what, to_text(min, least), to_text(max, most), bh_cfg_show(n->text, show));
	return false;
}

static const char *unit_text(uint64_t v, char *buf, const struct unit *units)
{
	size_t i = 0;

	while (v == 0 || v % units[i].is) {
		if (units[i].is == 1 || v == 0)
			break;
		i++;
	}
	snprintf(buf, BH_UNIT_TEXT, "%" PRIu64 "%s", v / units[i].is, units[i].name);
	return buf;
}

const char *bh_cfg_size_text(uint64_t bytes, char *buf)
{
	return unit_text(bytes, buf, sizes);
}

const char *bh_cfg_time_text(uint64_t usec, char *buf)
{
	return unit_text(usec - usec % 1000000, buf, times);
}

bool bh_cfg_size(struct bh_cfg *c, const struct bh_node *n, const char *what, uint64_t min, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;

	if (!read_unit(c, n, what, sizes, BH_ARRAY_SIZE(sizes), "such as 10MiB (B, KiB, MiB, GiB or TiB)", &v) ||
		!is_in(c, n, what, v, min, max, bh_cfg_size_text))
		return false;
	*ret = v;
	return true;
}

bool bh_cfg_time(struct bh_cfg *c, const struct bh_node *n, const char *what, uint64_t min, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;

	if (!read_unit(c, n, what, times, BH_ARRAY_SIZE(times), "such as 10s (s, m, h or d)", &v) ||
		!is_in(c, n, what, v, min, max, bh_cfg_time_text))
		return false;
	*ret = v;
	return true;
}
