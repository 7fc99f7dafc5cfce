/* SPDX-License-Identifier: Apache-2.0 */
#include "verb.h"

#include <errno.h>
#include <string.h>

static uint64_t unit_of(char c)
{
	return c == 's' ? 1 : c == 'm' ? 60 : c == 'h' ? 3600 : c == 'd' ? 86400 : 0;
}

/* "90s", "1h30m". 0, or -EINVAL. */
static int parse(const char *s, uint64_t *ret)
{
	uint64_t sum = 0;

	if (!*s)
		return -EINVAL;
	while (*s) {
		uint64_t n = 0, unit;
		size_t digits = strspn(s, "0123456789");

		if (digits == 0 || digits > 9)
			return -EINVAL;
		for (size_t i = 0; i < digits; i++)
			n = n * 10 + (uint64_t)(s[i] - '0');
		unit = unit_of(s[digits]);
		if (unit == 0)
			return -EINVAL;
		sum += n * unit;
		s += digits + 1;
	}
	*ret = sum;
	return 0;
}

int bh_cli_duration(struct bh_cli *cli, enum bh_option o, uint64_t max, uint64_t *ret)
{
	const char *name = o == BH_OPTION_CONFIRM ? "confirm" : "for", *text = cli->option[o];

	if (parse(text, ret) < 0) {
		bh_cli_error(cli, "--%s %s is no time: write it like 90s, 10m, 1h30m or 2d", name, text);
		return BH_EXIT_USAGE;
	}
	if (*ret == 0 || *ret > max) {
		bh_cli_error(cli, "--%s %s: from 1s to %llud", name, text, (unsigned long long)(max / 86400));
		return BH_EXIT_USAGE;
	}
	return BH_EXIT_OK;
}

const char *bh_duration_text(uint64_t seconds, char buf[BH_DURATION_TEXT])
{
	unsigned long long d = seconds / 86400, h = seconds / 3600 % 24, m = seconds / 60 % 60, s = seconds % 60;

	if (d)
		snprintf(buf, BH_DURATION_TEXT, "%llud%lluh", d, h);
	else if (h)
		snprintf(buf, BH_DURATION_TEXT, "%lluh%llum", h, m);
	else if (m)
		snprintf(buf, BH_DURATION_TEXT, "%llum%llus", m, s);
	else
		snprintf(buf, BH_DURATION_TEXT, "%llus", s);
	return buf;
}
