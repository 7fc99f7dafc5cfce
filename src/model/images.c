/* SPDX-License-Identifier: Apache-2.0 */
#include <bulkhead/images.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define DIGITS 64
#define ID_MAX 64	/* bytes of an id or a package that are kept */

static const char *const vuln_names[] = {
	[BH_VULN_UNKNOWN] = "unknown",
	[BH_VULN_NEGLIGIBLE] = "negligible",
	[BH_VULN_LOW] = "low",
	[BH_VULN_MEDIUM] = "medium",
	[BH_VULN_HIGH] = "high",
	[BH_VULN_CRITICAL] = "critical",
};

const char *bh_vuln_name(enum bh_vuln v)
{
	return vuln_names[v];
}

int bh_vuln_parse(const char *s, enum bh_vuln *ret)
{
	for (int i = 0; i < BH_VULN_MAX; i++)
		if (strcasecmp(s, vuln_names[i]) == 0) {
			*ret = (enum bh_vuln)i;
			return 0;
		}
	return -EINVAL;
}

bool bh_digest_parse(const char *s, char ret[BH_DIGEST_TEXT])
{
	const char *at = strrchr(s, '@');

	if (at)
		s = at + 1;
	if (strncmp(s, "sha256:", 7) == 0)
		s += 7;
	else if (at)
		return false;
	if (strspn(s, "0123456789abcdef") != DIGITS || s[DIGITS] != '\0')
		return false;
	memcpy(ret, "sha256:", 7);
	memcpy(ret + 7, s, DIGITS + 1);
	return true;
}

int bh_vulns_worst(const struct bh_vulns *f)
{
	for (int v = BH_VULN_MAX - 1; v >= 0; v--)
		if (f->counts[v])
			return v;
	return -1;
}

static void finding_clear(struct bh_vuln_found *f)
{
	free(f->id);
	free(f->package);
	*f = (struct bh_vuln_found){0};
}

static void worst_remove(struct bh_vulns *f, size_t i)
{
	finding_clear(&f->worst.v[i]);
	memmove(&f->worst.v[i], &f->worst.v[i + 1], (f->worst.n - i - 1) * sizeof(f->worst.v[0]));
	f->worst.n--;
}

/* How many bytes of S are kept: whole letters. */
static size_t kept(const char *s)
{
	size_t n = strnlen(s, ID_MAX + 1);

	if (n <= ID_MAX)
		return n;
	for (n = ID_MAX; n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80;)
		n--;
	return n;
}

int bh_vulns_add(struct bh_vulns *f, enum bh_vuln severity, const char *id, const char *package)
{
	struct bh_vuln_found n = {.severity = severity};
	size_t at = 0;

	f->counts[severity]++;
	for (size_t i = 0; i < f->worst.n; i++) {
		if (strncmp(f->worst.v[i].id, id, kept(id)) != 0 || f->worst.v[i].id[kept(id)] != '\0')
			continue;
		if (f->worst.v[i].severity >= severity)
			return 0;
		worst_remove(f, i);
		break;
	}
	while (at < f->worst.n && f->worst.v[at].severity >= severity)
		at++;
	if (at == BH_WORST_MAX)
		return 0;
	n.id = strndup(id, kept(id));
	n.package = package ? strndup(package, kept(package)) : NULL;
	if (!n.id || (package && !n.package) || bh_vec_reserve_(&f->worst.v, &f->worst.cap, f->worst.n + 1, sizeof(n)) < 0) {
		finding_clear(&n);
		return -ENOMEM;
	}
	memmove(&f->worst.v[at + 1], &f->worst.v[at], (f->worst.n - at) * sizeof(n));
	f->worst.v[at] = n;
	f->worst.n++;
	if (f->worst.n > BH_WORST_MAX)
		worst_remove(f, BH_WORST_MAX);
	return 0;
}

static void findings_clear(struct bh_vulns *f)
{
	bh_vec_foreach(x, &f->worst)
		finding_clear(x);
	bh_vec_clear(&f->worst);
}

static int findings_copy(struct bh_vulns *dst, const struct bh_vulns *src)
{
	memcpy(dst->counts, src->counts, sizeof(dst->counts));
	bh_vec_foreach(x, &src->worst) {
		struct bh_vuln_found *n = bh_vec_add(&dst->worst);

		if (!n || bh_strdup(&n->id, x->id) < 0 || bh_strdup(&n->package, x->package) < 0)
			return -ENOMEM;
		n->severity = x->severity;
	}
	return 0;
}

static int strv_copy(struct bh_strv *dst, const struct bh_strv *src)
{
	for (size_t i = 0; i < src->n; i++)
		if (bh_strv_push(dst, src->v[i]) < 0)
			return -ENOMEM;
	return 0;
}

void bh_report_clear(struct bh_report *r)
{
	free(r->file);
	free(r->artifact);
	bh_strv_clear(&r->digests);
	findings_clear(&r->all);
	findings_clear(&r->fixable);
	*r = (struct bh_report){0};
}

int bh_report_copy(struct bh_report *dst, const struct bh_report *src)
{
	*dst = (struct bh_report){.scanner = src->scanner, .created_usec = src->created_usec};
	if (bh_strdup(&dst->file, src->file) == 0 && bh_strdup(&dst->artifact, src->artifact) == 0 && strv_copy(&dst->digests, &src->digests) == 0 &&
		findings_copy(&dst->all, &src->all) == 0 && findings_copy(&dst->fixable, &src->fixable) == 0)
		return 0;
	bh_report_clear(dst);
	return -ENOMEM;
}

void bh_verified_clear(struct bh_verified *v)
{
	free(v->file);
	bh_strv_clear(&v->digests);
	*v = (struct bh_verified){0};
}

int bh_verified_copy(struct bh_verified *dst, const struct bh_verified *src)
{
	*dst = (struct bh_verified){.tool = src->tool};
	if (bh_strdup(&dst->file, src->file) == 0 && strv_copy(&dst->digests, &src->digests) == 0)
		return 0;
	bh_verified_clear(dst);
	return -ENOMEM;
}

void bh_registries_clear(struct bh_registries *r)
{
	bh_vec_clear(&r->insecure);
	bh_strv_clear(&r->insecure_names);
	bh_strv_clear(&r->secure_names);
	bh_strv_clear(&r->plain_mirrors);
	*r = (struct bh_registries){0};
}

static int strv_add(struct bh_strv *dst, const struct bh_strv *src)
{
	for (size_t i = 0; i < src->n; i++)
		if (!bh_strv_has(dst, src->v[i]) && bh_strv_push(dst, src->v[i]) < 0)
			return -ENOMEM;
	return 0;
}

int bh_registries_add(struct bh_registries *dst, const struct bh_registries *src)
{
	bh_vec_foreach(p, &src->insecure)
		if (bh_vec_push(&dst->insecure, *p) < 0)
			return -ENOMEM;
	if (strv_add(&dst->insecure_names, &src->insecure_names) < 0 || strv_add(&dst->secure_names, &src->secure_names) < 0 ||
		strv_add(&dst->plain_mirrors, &src->plain_mirrors) < 0)
		return -ENOMEM;
	dst->known = dst->known || src->known;
	return 0;
}

static bool strv_equal(const struct bh_strv *a, const struct bh_strv *b)
{
	for (size_t i = 0; i < a->n && a->n == b->n; i++)
		if (strcmp(a->v[i], b->v[i]) != 0)
			return false;
	return a->n == b->n;
}

bool bh_registries_equal(const struct bh_registries *a, const struct bh_registries *b)
{
	for (size_t i = 0; i < a->insecure.n && a->insecure.n == b->insecure.n; i++)
		if (bh_prefix_cmp(&a->insecure.v[i], &b->insecure.v[i]) != 0)
			return false;
	return a->known == b->known && a->insecure.n == b->insecure.n && strv_equal(&a->insecure_names, &b->insecure_names) &&
		strv_equal(&a->secure_names, &b->secure_names) && strv_equal(&a->plain_mirrors, &b->plain_mirrors);
}

/* A day of the Gregorian calendar, from days since 1970-01-01. */
static void day_of(uint64_t days, unsigned ret[3])
{
	uint64_t z = days + 719468, doe = z % 146097, yoe, doy, m;

	yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	m = (5 * doy + 2) / 153;
	ret[2] = (unsigned)(doy - (153 * m + 2) / 5 + 1);
	ret[1] = (unsigned)(m < 10 ? m + 3 : m - 9);
	ret[0] = (unsigned)(yoe + z / 146097 * 400 + (ret[1] <= 2));
}

const char *bh_date_text(uint64_t usec, char buf[BH_DATE_TEXT])
{
	uint64_t minutes = usec / 60000000;
	unsigned day[3];

	day_of(minutes / 1440, day);
	snprintf(buf, BH_DATE_TEXT, "%04u-%02u-%02u %02u:%02u UTC", day[0] % 10000, day[1], day[2], (unsigned)(minutes % 1440 / 60), (unsigned)(minutes % 60));
	return buf;
}

static void unread_clear(struct bh_unread *u)
{
	free(u->file);
	free(u->why);
	bh_strv_clear(&u->digests);
	*u = (struct bh_unread){0};
}

void bh_images_clear(struct bh_images *i)
{
	bh_vec_foreach(r, &i->reports)
		bh_report_clear(r);
	bh_vec_clear(&i->reports);
	bh_vec_foreach(v, &i->verified)
		bh_verified_clear(v);
	bh_vec_clear(&i->verified);
	bh_vec_foreach(u, &i->unread)
		unread_clear(u);
	bh_vec_clear(&i->unread);
	bh_registries_clear(&i->registries);
	*i = (struct bh_images){0};
}

/* Takes the items of FILE out of LIST, and what they say of digests into DIGESTS (NULL: nowhere). */
#define TAKE_OUT(list, path, clear, digests_ret)                                                   \
	for (size_t k_ = 0; k_ < (list)->n;) {                                                     \
		if (strcmp((list)->v[k_].file, (path)) != 0) {                                     \
			k_++;                                                                      \
			continue;                                                                  \
		}                                                                                  \
		if ((digests_ret) && (digests_ret)->n == 0) {                                      \
			bh_strv_clear(digests_ret);                                                \
			*(digests_ret) = (list)->v[k_].digests;                                    \
			(list)->v[k_].digests = (struct bh_strv){0};                               \
		}                                                                                  \
		clear(&(list)->v[k_]);                                                             \
		memmove(&(list)->v[k_], &(list)->v[k_ + 1], ((list)->n - k_ - 1) * sizeof((list)->v[0])); \
		(list)->n--;                                                                       \
	}

static void take_out(struct bh_images *i, const char *file, struct bh_strv *digests)
{
	TAKE_OUT(&i->reports, file, bh_report_clear, digests);
	TAKE_OUT(&i->verified, file, bh_verified_clear, digests);
	TAKE_OUT(&i->unread, file, unread_clear, digests);
}

int bh_images_set_report(struct bh_images *i, const struct bh_report *r)
{
	struct bh_report copy;

	take_out(i, r->file, NULL);
	if (bh_report_copy(&copy, r) < 0)
		return -ENOMEM;
	if (bh_vec_push(&i->reports, copy) == 0)
		return 0;
	bh_report_clear(&copy);
	return -ENOMEM;
}

int bh_images_set_verified(struct bh_images *i, const struct bh_verified *v)
{
	struct bh_verified copy;

	take_out(i, v->file, NULL);
	if (bh_verified_copy(&copy, v) < 0)
		return -ENOMEM;
	if (bh_vec_push(&i->verified, copy) == 0)
		return 0;
	bh_verified_clear(&copy);
	return -ENOMEM;
}

int bh_images_drop(struct bh_images *i, const char *file, const char *why)
{
	struct bh_unread u = {0};

	take_out(i, file, &u.digests);
	if (why && bh_strdup(&u.file, file) == 0 && bh_strdup(&u.why, why) == 0 && bh_vec_push(&i->unread, u) == 0)
		return 0;
	unread_clear(&u);
	return why ? -ENOMEM : 0;
}
