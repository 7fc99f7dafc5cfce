/* SPDX-License-Identifier: Apache-2.0 */
/* Debian's order of versions, and stanzas of its control files. */
#include <bulkhead/debian.h>

#include <errno.h>
#include <string.h>

typedef struct bh_debian_text text;

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Where a character sorts in a part without digits: a tilde before the end, the end and digits (which end the part) before letters,
 * letters before everything else. */
static int rank(text t, size_t i)
{
	if (i >= t.n || is_digit(t.s[i]))
		return 0;
	if (t.s[i] == '~')
		return -1;
	if ((t.s[i] >= 'a' && t.s[i] <= 'z') || (t.s[i] >= 'A' && t.s[i] <= 'Z'))
		return (unsigned char)t.s[i];
	return (unsigned char)t.s[i] + 256;
}

/* The digits from *I on, without leading zeros; *I moves behind them. */
static text digits(text t, size_t *i)
{
	text out;

	while (*i < t.n && t.s[*i] == '0')
		(*i)++;
	out.s = t.s + *i;
	while (*i < t.n && is_digit(t.s[*i]))
		(*i)++;
	out.n = (size_t)(t.s + *i - out.s);
	return out;
}

/* Numbers of any length. */
static int number_cmp(text a, text b)
{
	if (a.n != b.n)
		return a.n < b.n ? -1 : 1;
	return a.n ? memcmp(a.s, b.s, a.n) : 0;
}

static int part_cmp(text a, text b)
{
	size_t i = 0, j = 0;

	while (i < a.n || j < b.n) {
		int r;

		while ((i < a.n && !is_digit(a.s[i])) || (j < b.n && !is_digit(b.s[j]))) {
			r = rank(a, i) - rank(b, j);
			if (r)
				return r;
			i++;	/* equal ranks: both are characters here, as one of them is */
			j++;
		}
		r = number_cmp(digits(a, &i), digits(b, &j));
		if (r)
			return r;
	}
	return 0;
}

/* [EPOCH:]UPSTREAM[-REVISION]; what is not there is empty, which counts as 0. */
static void split(text t, text *epoch, text *upstream, text *revision)
{
	const char *colon = t.n ? memchr(t.s, ':', t.n) : NULL;

	*epoch = colon ? (text){t.s, (size_t)(colon - t.s)} : (text){t.s, 0};
	*upstream = colon ? (text){colon + 1, t.n - epoch->n - 1} : t;
	*revision = (text){t.s + t.n, 0};
	for (size_t i = upstream->n; i > 0; i--)
		if (upstream->s[i - 1] == '-') {
			*revision = (text){upstream->s + i, upstream->n - i};
			upstream->n = i - 1;
			break;
		}
}

static int version_cmp(text a, text b)
{
	text e[2], u[2], v[2];
	int r;

	split(a, &e[0], &u[0], &v[0]);
	split(b, &e[1], &u[1], &v[1]);
	r = part_cmp(e[0], e[1]);
	if (r == 0)
		r = part_cmp(u[0], u[1]);
	return r ? r : part_cmp(v[0], v[1]);
}

int bh_debian_version_cmp(const char *a, const char *b)
{
	return version_cmp((text){a, strlen(a)}, (text){b, strlen(b)});
}

/* One stanza: the fields that count, empty where they are not there. */
struct stanza {
	text package, arch, version, status;
};

/* The line at *I, which moves behind it. */
static text line_at(const char *s, size_t n, size_t *i)
{
	const char *end = memchr(s + *i, '\n', n - *i);
	text out = {s + *i, end ? (size_t)(end - s) - *i : n - *i};

	*i += out.n + (end ? 1 : 0);
	return out;
}

static bool field(text line, const char *name, text *ret)
{
	size_t n = strlen(name);

	if (line.n < n || memcmp(line.s, name, n) != 0)
		return false;
	while (n < line.n && (line.s[n] == ' ' || line.s[n] == '\t'))
		n++;
	*ret = (text){line.s + n, line.n - n};
	while (ret->n && (ret->s[ret->n - 1] == ' ' || ret->s[ret->n - 1] == '\t' || ret->s[ret->n - 1] == '\r'))
		ret->n--;
	return true;
}

/* The next stanza from *I on; false at the end. */
static bool next_stanza(const char *s, size_t n, size_t *i, struct stanza *ret)
{
	bool any = false;

	*ret = (struct stanza){0};
	while (*i < n) {
		text line = line_at(s, n, i);

		if (line.n == 0 || (line.n == 1 && line.s[0] == '\r')) {
			if (any)
				return true;
			continue;
		}
		any = true;
		if (!field(line, "Package:", &ret->package) && !field(line, "Architecture:", &ret->arch) && !field(line, "Version:", &ret->version))
			field(line, "Status:", &ret->status);
	}
	return any;
}

static int text_cmp(text a, text b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int r = n ? memcmp(a.s, b.s, n) : 0;

	return r ? r : a.n < b.n ? -1 : a.n > b.n;
}

static int package_cmp(const void *a_, const void *b_)
{
	const struct bh_debian_package *a = a_, *b = b_;
	int r = text_cmp(a->name, b->name);

	return r ? r : text_cmp(a->arch, b->arch);
}

/* "install ok installed": want, flag, status. */
static bool is_installed(text status)
{
	static const char word[] = " installed";
	const size_t n = sizeof(word) - 1;

	return status.n > n && memcmp(status.s + status.n - n, word, n) == 0;
}

int bh_debian_installed(const char *s, size_t n, struct bh_debian *ret)
{
	struct bh_debian out = {0};
	struct stanza z;
	size_t i = 0;

	while (next_stanza(s, n, &i, &z)) {
		struct bh_debian_package p = {.name = z.package, .arch = z.arch, .version = z.version};

		if (!p.name.n || !p.arch.n || !p.version.n || !is_installed(z.status))
			continue;
		if (bh_vec_push(&out.packages, p) < 0) {
			bh_vec_clear(&out.packages);
			return -ENOMEM;
		}
	}
	if (out.packages.n > 1)
		qsort(out.packages.v, out.packages.n, sizeof(*out.packages.v), package_cmp);
	*ret = out;
	return 0;
}

size_t bh_debian_offered(struct bh_debian *d, const char *s, size_t n)
{
	size_t i = 0, count = 0;
	struct stanza z;

	while (next_stanza(s, n, &i, &z)) {
		const struct bh_debian_package key = {.name = z.package, .arch = z.arch};
		struct bh_debian_package *p;

		if (!z.package.n || !z.arch.n || !z.version.n)
			continue;
		count++;
		p = d->packages.n ? bsearch(&key, d->packages.v, d->packages.n, sizeof(*d->packages.v), package_cmp) : NULL;
		if (p && version_cmp(p->version, z.version) < 0)
			p->behind = true;
	}
	return count;
}
