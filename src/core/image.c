/* SPDX-License-Identifier: Apache-2.0 */
/* Image references as Docker reads them: github.com/distribution/reference, normalize.go (splitDockerDomain, TagNameOnly). */
#include <bulkhead/place.h>

#include <bulkhead/buf.h>

#include <string.h>

static bool is_hex64(const char *s)
{
	return strspn(s, "0123456789abcdef") == 64 && s[64] == '\0';
}

/* Whether the N bytes before the first slash are a registry: a dot, a port, "localhost" or a capital tell. */
static bool is_domain(const char *s, size_t n)
{
	if (n == 9 && memcmp(s, "localhost", 9) == 0)
		return true;
	for (size_t i = 0; i < n; i++)
		if (s[i] == '.' || s[i] == ':' || (s[i] >= 'A' && s[i] <= 'Z'))
			return true;
	return false;
}

char *bh_image_normalise(const char *image, bool pattern)
{
	const char *slash = strchr(image, '/'), *rest = image, *last;
	_cleanup_buf_ struct bh_buf out = {0};
	char *ret = NULL;

	if (strncmp(image, "sha256:", 7) == 0) {
		bh_buf_puts(&out, image);
		return bh_buf_steal(&out, &ret) < 0 ? NULL : ret;
	}
	if (is_hex64(image)) {	/* an id without its algorithm; no name may look so */
		bh_buf_printf(&out, "sha256:%s", image);
		return bh_buf_steal(&out, &ret) < 0 ? NULL : ret;
	}
	if (slash && is_domain(image, (size_t)(slash - image))) {
		size_t n = (size_t)(slash - image);

		rest = slash + 1;
		if (n == 15 && memcmp(image, "index.docker.io", 15) == 0)
			bh_buf_puts(&out, "docker.io");
		else
			bh_buf_putn(&out, image, n);
	} else {
		bh_buf_puts(&out, "docker.io");
	}
	bh_buf_puts(&out, "/");
	if (bh_streq(out.s, "docker.io/") && !strchr(rest, '/'))
		bh_buf_puts(&out, "library/");
	bh_buf_puts(&out, rest);
	last = strrchr(rest, '/');
	if (!strpbrk(last ? last : rest, ":@") && !(pattern && strpbrk(image, "*?")))
		bh_buf_puts(&out, ":latest");
	return bh_buf_steal(&out, &ret) < 0 ? NULL : ret;
}
