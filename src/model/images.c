/* SPDX-License-Identifier: Apache-2.0 */
#include <bulkhead/images.h>

#include <errno.h>
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

int bh_findings_worst(const struct bh_findings *f)
{
	for (int v = BH_VULN_MAX - 1; v >= 0; v--)
		if (f->counts[v])
			return v;
	return -1;
}

static void finding_clear(struct bh_finding *f)
{
	free(f->id);
	free(f->package);
	*f = (struct bh_finding){0};
}

static void worst_remove(struct bh_findings *f, size_t i)
{
	finding_clear(&f->worst.v[i]);
	memmove(&f->worst.v[i], &f->worst.v[i + 1], (f->worst.n - i - 1) * sizeof(f->worst.v[0]));
	f->worst.n--;
}

int bh_findings_add(struct bh_findings *f, enum bh_vuln severity, const char *id, const char *package)
{
	struct bh_finding n = {.severity = severity};
	size_t at = 0;

	f->counts[severity]++;
	for (size_t i = 0; i < f->worst.n; i++) {
		if (strncmp(f->worst.v[i].id, id, ID_MAX) != 0)
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
	n.id = strndup(id, ID_MAX);
	n.package = package ? strndup(package, ID_MAX) : NULL;
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

static void findings_clear(struct bh_findings *f)
{
	bh_vec_foreach(x, &f->worst)
		finding_clear(x);
	bh_vec_clear(&f->worst);
}

static int findings_copy(struct bh_findings *dst, const struct bh_findings *src)
{
	memcpy(dst->counts, src->counts, sizeof(dst->counts));
	bh_vec_foreach(x, &src->worst) {
		struct bh_finding *n = bh_vec_add(&dst->worst);

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
