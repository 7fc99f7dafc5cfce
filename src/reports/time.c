/* SPDX-License-Identifier: Apache-2.0 */
#include <bulkhead/reports.h>

#include <errno.h>
#include <string.h>

/* Days since 1970-01-01 of a day of the Gregorian calendar. */
static int64_t days(int y, int m, int d)
{
	int64_t era, yoe, doy;

	y -= m <= 2;
	era = y / 400;
	yoe = y - era * 400;
	doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static bool digits(const char *s, size_t n)
{
	return strspn(s, "0123456789") >= n;
}

static int number(const char *s, size_t n)
{
	int v = 0;

	for (size_t i = 0; i < n; i++)
		v = v * 10 + (s[i] - '0');
	return v;
}

/* "Z", "+02:00" to seconds that it is ahead of UTC. */
static int zone_parse(const char *s, int *ret)
{
	int h, m;

	if (bh_streq(s, "Z") || bh_streq(s, "z")) {
		*ret = 0;
		return 0;
	}
	if (strlen(s) != 6 || (s[0] != '+' && s[0] != '-') || !digits(s + 1, 2) || s[3] != ':' || !digits(s + 4, 2))
		return -EINVAL;
	h = number(s + 1, 2);
	m = number(s + 4, 2);
	if (h > 23 || m > 59)
		return -EINVAL;
	*ret = (s[0] == '-' ? -1 : 1) * (h * 3600 + m * 60);
	return 0;
}

int bh_time_parse(const char *s, uint64_t *ret)
{
	int y, mon, d, h, min, sec, ahead;
	int64_t all, usec = 0;

	if (strlen(s) < 20 || !digits(s, 4) || s[4] != '-' || !digits(s + 5, 2) || s[7] != '-' || !digits(s + 8, 2) || (s[10] != 'T' && s[10] != 't') ||
		!digits(s + 11, 2) || s[13] != ':' || !digits(s + 14, 2) || s[16] != ':' || !digits(s + 17, 2))
		return -EINVAL;
	y = number(s, 4);
	mon = number(s + 5, 2);
	d = number(s + 8, 2);
	h = number(s + 11, 2);
	min = number(s + 14, 2);
	sec = number(s + 17, 2);
	s += 19;
	if (*s == '.') {
		size_t n = strspn(s + 1, "0123456789");

		for (size_t i = 0; i < 6; i++)
			usec = usec * 10 + (i < n ? s[1 + i] - '0' : 0);
		s += 1 + n;
		if (n == 0)
			return -EINVAL;
	}
	if (y < 1970 || mon < 1 || mon > 12 || d < 1 || d > 31 || h > 23 || min > 59 || sec > 60 || zone_parse(s, &ahead) < 0)
		return -EINVAL;
	all = days(y, mon, d) * 86400 + h * 3600 + min * 60 + sec - ahead;
	if (all < 0)
		return -EINVAL;
	*ret = (uint64_t)all * 1000000 + (uint64_t)usec;
	return 0;
}
