/* SPDX-License-Identifier: Apache-2.0 */
/* Whether what others found out about an image is what a policy wants of it, and why not. Pure: no clock, no I/O. */
#ifndef BULKHEAD_PROVENANCE_H
#define BULKHEAD_PROVENANCE_H

#include <bulkhead/buf.h>
#include <bulkhead/images.h>
#include <bulkhead/inventory.h>

/* An image as a container's runtime knows it. */
struct bh_image_names {
	const char *reference;		/* as it was asked for; NULL or its id when that is all that is known */
	const char *id;			/* or NULL */
	const struct bh_strv *digests;	/* "REPOSITORY@sha256:…", as the runtime writes them; or NULL */
};

struct bh_image_names bh_image_names(const struct bh_container *c);

/* Whether what DIGESTS (as struct bh_report has them) speaks of is this image. */
bool bh_image_is(const struct bh_image_names *name, const struct bh_strv *digests);

/* The answers: true when the image is as wanted; otherwise WHY gets what is wrong and FIX what to do about it, safe to print, of no end. IMAGES NULL:
 * nothing is known of any image. Memory that runs out is in WHY and FIX, as ever. */

/* Each scanner's newest report on it counts. One that found worse than W allows is enough to fail, however old; one that is young enough at NOW has to
 * be there. A file that is not believed any more is told where it spoke of this image before. NEXT (0: never) is lowered to when time alone makes the
 * youngest too old. Both in seconds since 1970. */
bool bh_image_scanned(const struct bh_scanned *w, const struct bh_images *images, const struct bh_image_names *name, int64_t now, int64_t *next,
	struct bh_buf *why, struct bh_buf *fix);
bool bh_image_verified(const struct bh_images *images, const struct bh_image_names *name, struct bh_buf *why, struct bh_buf *fix);
/* Whether its registry is reached by TLS with a certificate that is looked at, as the runtime is configured. Names are not looked up: of an address in a
 * network that the runtime takes to be insecure only those references are known that say it, and localhost. */
bool bh_image_registry_tls(const struct bh_images *images, const struct bh_image_names *name, struct bh_buf *why, struct bh_buf *fix);
/* Whether it is known not to be; only then WHY says so. */
bool bh_image_registry_is_insecure(const struct bh_images *images, const struct bh_image_names *name, struct bh_buf *why);

#endif
