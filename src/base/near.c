/* SPDX-License-Identifier: Apache-2.0 */
#include <bulkhead/near.h>

#include <string.h>

#define WORD_MAX 64

/* Edits (insert, delete, replace, swap of neighbours) between A and B: the restricted Damerau-Levenshtein distance. */
static unsigned distance(const char *a, size_t n, const char *b, size_t m)
{
	unsigned d[WORD_MAX + 1][WORD_MAX + 1];

	for (size_t i = 0; i <= n; i++)
		d[i][0] = (unsigned)i;
	for (size_t j = 0; j <= m; j++)
		d[0][j] = (unsigned)j;
	for (size_t i = 1; i <= n; i++)
		for (size_t j = 1; j <= m; j++) {
			unsigned best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);

			if (d[i - 1][j] + 1 < best)
				best = d[i - 1][j] + 1;
			if (d[i][j - 1] + 1 < best)
				best = d[i][j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < best)
				best = d[i - 2][j - 2] + 1;
			d[i][j] = best;
		}
	return d[n][m];
}

const char *bh_near(const char *s, const char *const *names, size_t n)
{
	size_t len = strlen(s);
	unsigned best = 3;
	const char *found = NULL;

	if (len == 0 || len > WORD_MAX)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		size_t m = names[i] ? strlen(names[i]) : 0;
		unsigned k = m > 0 && m <= WORD_MAX ? distance(s, len, names[i], m) : best;

		if (k < best && k < m) {
			best = k;
			found = names[i];
		}
	}
	return found;
}
