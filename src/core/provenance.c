/* SPDX-License-Identifier: Apache-2.0 */
/* What others say of a container's image, held against what is wanted. */
#include <bulkhead/place.h>
#include <bulkhead/provenance.h>
#include <bulkhead/require.h>

#include <errno.h>
#include <string.h>

#define TEXT_MAX 200	/* bytes of a stranger's text in a message */

struct bh_image_names bh_image_names(const struct bh_container *c)
{
	return (struct bh_image_names){.reference = c->posture.reference ? c->posture.reference : c->image, .id = c->image_id,
		.digests = &c->posture.image.digests};
}

bool bh_image_is(const struct bh_image_names *name, const struct bh_strv *digests)
{
	char d[BH_DIGEST_TEXT];

	if (name->id && bh_digest_parse(name->id, d) && bh_strv_has(digests, d))
		return true;
	for (size_t i = 0; name->digests && i < name->digests->n; i++)
		if (bh_digest_parse(name->digests->v[i], d) && bh_strv_has(digests, d))
			return true;
	return false;
}

/* What people call the image. */
static void name_print(const struct bh_image_names *name, struct bh_buf *out)
{
	bh_buf_put_safe(out, name->reference ? name->reference : name->id ? name->id : "?", TEXT_MAX);
}

/* By which digests it was looked for. */
static void digest_print(const struct bh_image_names *name, struct bh_buf *out)
{
	char d[BH_DIGEST_TEXT];

	if (name->id && bh_digest_parse(name->id, d))
		bh_buf_printf(out, "%.19s", d);
	else
		bh_buf_puts(out, "its digest, which is not known");
}

static const struct bh_unread *unread_of(const struct bh_images *images, const struct bh_image_names *name)
{
	bh_vec_foreach(u, &images->unread)
		if (bh_image_is(name, &u->digests))
			return u;
	return NULL;
}

static void unread_print(const struct bh_unread *u, struct bh_buf *why, struct bh_buf *fix)
{
	bh_buf_put_safe(why, u->file, TEXT_MAX);
	bh_buf_printf(why, " %s", u->why);
	bh_buf_puts(fix, "mend or replace ");
	bh_buf_put_safe(fix, u->file, TEXT_MAX);
}

/* Whether no other report of R's scanner on this image is newer. */
static bool is_newest(const struct bh_images *images, const struct bh_report *r, const struct bh_image_names *name)
{
	bh_vec_foreach(o, &images->reports)
		if (o != r && bh_streq(o->scanner, r->scanner) && bh_image_is(name, &o->digests) &&
			(o->created_usec > r->created_usec || (o->created_usec == r->created_usec && o > r)))
			return false;
	return true;
}

static const struct bh_vulns *findings_of(const struct bh_scanned *w, const struct bh_report *r)
{
	return w->only_fixed ? &r->fixable : &r->all;
}

static bool is_too_bad(const struct bh_scanned *w, const struct bh_report *r)
{
	return w->has_max && bh_vulns_worst(findings_of(w, r)) > (int)w->max;
}

/* The first second at which R is too old for W; INT64_MAX: never. */
static int64_t stale_at(const struct bh_scanned *w, const struct bh_report *r)
{
	int64_t at;

	return w->max_age && !__builtin_add_overflow((r->created_usec + 999999) / 1000000, w->max_age, &at) ? at : INT64_MAX;
}

static void report_print(const struct bh_report *r, struct bh_buf *out)
{
	char date[BH_DATE_TEXT];

	bh_buf_put_safe(out, r->file, TEXT_MAX);
	bh_buf_printf(out, " (%s, %s)", r->scanner, bh_date_text(r->created_usec, date));
}

static void findings_print(const struct bh_scanned *w, const struct bh_report *r, struct bh_buf *out)
{
	const struct bh_vulns *f = findings_of(w, r);
	const struct bh_vuln_found *first = &f->worst.v[0];
	size_t more = f->counts[first->severity] - 1;

	bh_buf_puts(out, bh_vuln_name(first->severity));
	bh_buf_puts(out, " ");
	bh_buf_put_safe(out, first->id, TEXT_MAX);
	if (first->package) {
		bh_buf_puts(out, " in ");
		bh_buf_put_safe(out, first->package, TEXT_MAX);
	}
	if (more > 0)
		bh_buf_printf(out, " and %zu more", more);
	bh_buf_printf(out, " where %s is the worst allowed: ", bh_vuln_name(w->max));
	report_print(r, out);
}

static void bad_print(const struct bh_scanned *w, const struct bh_report *r, const struct bh_image_names *name, struct bh_buf *why, struct bh_buf *fix)
{
	findings_print(w, r, why);
	bh_buf_puts(fix, r->fixable.counts[findings_of(w, r)->worst.v[0].severity] > 0 ? "rebuild or pull " : "a fix is not out for all of them; when it is, rebuild or pull ");
	name_print(name, fix);
	bh_buf_puts(fix, ", start the container again and have it scanned");
}

static void scan_print(const struct bh_image_names *name, struct bh_buf *fix)
{
	bh_buf_puts(fix, "scan it into the folder of images.reports: trivy image -f json ");
	name_print(name, fix);
}

bool bh_image_scanned(const struct bh_scanned *w, const struct bh_images *images, const struct bh_image_names *name, int64_t now, int64_t *next,
	struct bh_buf *why, struct bh_buf *fix)
{
	const struct bh_report *old = NULL;
	const struct bh_unread *unread = images ? unread_of(images, name) : NULL;
	int64_t until = 0;	/* the youngest is young enough before that */

	for (size_t i = 0; images && i < images->reports.n; i++) {
		const struct bh_report *r = &images->reports.v[i];

		if (!bh_image_is(name, &r->digests) || !is_newest(images, r, name))
			continue;
		if (is_too_bad(w, r)) {
			bad_print(w, r, name, why, fix);
			return false;
		}
		if (stale_at(w, r) > now)
			until = stale_at(w, r) > until ? stale_at(w, r) : until;
		else
			old = r;
	}
	if (until > 0 && until < INT64_MAX && (!*next || until < *next))
		*next = until;
	if (until > 0)
		return true;
	if (old) {
		bh_buf_puts(why, "its report is older than ");
		bh_yaml_put_age(why, w->max_age);
		bh_buf_puts(why, ": ");
		report_print(old, why);
		scan_print(name, fix);
	} else if (unread) {
		unread_print(unread, why, fix);
	} else {
		bh_buf_puts(why, "no report speaks of it (");
		digest_print(name, why);
		bh_buf_puts(why, ")");
		scan_print(name, fix);
	}
	return false;
}

bool bh_image_verified(const struct bh_images *images, const struct bh_image_names *name, struct bh_buf *why, struct bh_buf *fix)
{
	const struct bh_unread *unread = images ? unread_of(images, name) : NULL;

	for (size_t i = 0; images && i < images->verified.n; i++)
		if (bh_image_is(name, &images->verified.v[i].digests))
			return true;
	if (unread) {
		unread_print(unread, why, fix);
		return false;
	}
	bh_buf_puts(why, "no result of a verification speaks of ");
	bh_buf_puts(why, name->digests && name->digests->n > 0 ? "any of its digests (" : "it, and no registry knows it by a digest (");
	digest_print(name, why);
	bh_buf_puts(why, ")");
	bh_buf_puts(fix, "verify it into the folder of images.verified: cosign verify --key KEY ");
	name_print(name, fix);
	return false;
}

/* The registry of a reference that is normalised: what stands before the first slash. */
static char *registry_of(const char *image)
{
	_cleanup_free_ char *full = bh_image_normalise(image, false);
	const char *slash = full ? strchr(full, '/') : NULL;

	return slash ? strndup(full, (size_t)(slash - full)) : full ? strdup("") : NULL;
}

/* HOST of "HOST", "HOST:PORT", "[V6]:PORT". Docker resolves names; localhost is the one that is the same everywhere. */
static bool address_of(const char *registry, struct bh_addr *ret)
{
	char host[BH_ADDR_TEXT];
	const char *from = registry;
	size_t n = strcspn(registry, ":");

	if (registry[0] == '[') {
		from = registry + 1;
		n = strcspn(from, "]");
	}
	if (n >= sizeof(host))
		return false;
	memcpy(host, from, n);
	host[n] = '\0';
	return bh_addr_parse(strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, ret) == 0;
}

/* github.com/moby/moby, registry/config.go, isSecureIndex(): what is configured by name counts, then the address. */
static bool is_insecure(const struct bh_registries *r, const char *registry, struct bh_buf *why)
{
	char text[BH_PREFIX_TEXT];
	struct bh_addr a;

	if (strcmp(registry, "docker.io") == 0 && r->plain_mirrors.n > 0) {
		bh_buf_puts(why, "Docker Hub is asked by way of a mirror without TLS: ");
		bh_buf_put_safe(why, r->plain_mirrors.v[0], TEXT_MAX);
		return true;
	}
	if (bh_strv_has(&r->insecure_names, registry)) {
		bh_buf_puts(why, "the runtime is told that ");
		bh_buf_put_safe(why, registry, TEXT_MAX);
		bh_buf_puts(why, " is an insecure registry");
		return true;
	}
	if (bh_strv_has(&r->secure_names, registry) || !address_of(registry, &a))
		return false;
	bh_vec_foreach(p, &r->insecure) {
		if (!bh_prefix_contains(p, &a))
			continue;
		bh_buf_put_safe(why, registry, TEXT_MAX);
		bh_buf_printf(why, " is in %s, where the runtime takes registries without TLS%s", bh_prefix_text(p, text),
			bh_addr_is_loopback(&a) ? " (this host's own, by default)" : "");
		return true;
	}
	return false;
}

bool bh_image_registry_is_insecure(const struct bh_images *images, const struct bh_image_names *name, struct bh_buf *why)
{
	_cleanup_free_ char *registry = name->reference ? registry_of(name->reference) : NULL;

	if (name->reference && !registry)
		why->err = -ENOMEM;
	return registry && *registry && images && is_insecure(&images->registries, registry, why);
}

bool bh_image_registry_tls(const struct bh_images *images, const struct bh_image_names *name, struct bh_buf *why, struct bh_buf *fix)
{
	_cleanup_free_ char *registry = name->reference ? registry_of(name->reference) : NULL;

	if (!images || !images->registries.known) {
		bh_buf_puts(why, "the runtime did not tell how it reaches registries");
		bh_buf_puts(fix, "look at docker info");
		return false;
	}
	if (name->reference && !registry)
		why->err = -ENOMEM;
	if (!registry || !*registry) {
		bh_buf_puts(why, "it is known by its id alone, and so its registry is not");
		bh_buf_puts(fix, "start the container from an image with the name of its registry");
		return false;
	}
	if (!is_insecure(&images->registries, registry, why))
		return true;
	bh_buf_puts(fix, "give the registry a certificate and take it out of insecure-registries, or push ");
	name_print(name, fix);
	bh_buf_puts(fix, " to one that has TLS");
	return false;
}
