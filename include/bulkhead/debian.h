/* SPDX-License-Identifier: Apache-2.0 */
/* Which packages of a Debian (or Ubuntu) are older than those that its security archive offers, read from dpkg's and apt's own files.
 * Pure. */
#ifndef BULKHEAD_DEBIAN_H
#define BULKHEAD_DEBIAN_H

#include <bulkhead/mem.h>

/* Debian policy 5.6.12: negative, 0 or positive as A is older than, equal to or newer than B. Any text has a place in the order. */
int bh_debian_version_cmp(const char *a, const char *b);

/* Texts are parts of what was parsed, and not NUL-terminated. */
struct bh_debian_text {
	const char *s;
	size_t n;
};

struct bh_debian_package {
	struct bh_debian_text name, arch, version;
	bool behind;		/* a list offered a newer version */
};

struct bh_debian {
	BH_VEC(struct bh_debian_package) packages;	/* those that are installed, by name and architecture */
};

/* The text of /var/lib/dpkg/status (deb-src-control(5), dpkg-query(1)), which must outlive RET. A package without name, architecture or version is
 * passed over. 0, or -ENOMEM with RET empty. The caller frees RET->packages.v (bh_vec_clear()). */
int bh_debian_installed(const char *text, size_t n, struct bh_debian *ret);

/* A Packages file of an archive: marks what it has newer. Returns how many packages the file names. */
size_t bh_debian_offered(struct bh_debian *d, const char *text, size_t n);

#endif
