/* SPDX-License-Identifier: Apache-2.0 */
/* dpkg's status file and a list of apt, the two halves of the input; and the order of versions, which has to be one. */
#include <bulkhead/debian.h>

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int sign(int r)
{
	return (r > 0) - (r < 0);
}

static void order(const char *a, const char *b, const char *c)
{
	int ab = sign(bh_debian_version_cmp(a, b)), bc = sign(bh_debian_version_cmp(b, c)), ac = sign(bh_debian_version_cmp(a, c));

	if (sign(bh_debian_version_cmp(b, a)) != -ab || bh_debian_version_cmp(a, a) != 0)
		__builtin_trap();
	if ((ab == bc && ac != ab) || (ab == 0 && ac != bc) || (bc == 0 && ac != ab))
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *s = (const char *)data;
	const size_t half = size / 2;
	struct bh_debian d = {0};
	char v[3][32] = {{0}};

	if (bh_debian_installed(s, half, &d) < 0)
		return 0;
	bh_vec_foreach(p, &d.packages)
		if (!p->name.n || !p->arch.n || !p->version.n || p->version.s < s || p->version.s + p->version.n > s + half)
			__builtin_trap();
	bh_debian_offered(&d, s + half, size - half);
	bh_vec_clear(&d.packages);
	for (size_t i = 0; i < 3; i++)
		memcpy(v[i], s + i * (size / 3), size / 3 < 31 ? size / 3 : 31);
	order(v[0], v[1], v[2]);
	return 0;
}
