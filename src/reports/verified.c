/* SPDX-License-Identifier: Apache-2.0 */
/* What verifications print when they went well: cosign, cmd/cosign/cli/verify (PrintVerification; the signature's payload); notation, cmd/notation/verify
 * (a line, or JSON with --output json). What failed prints nothing there: a file that is empty or holds a complaint says nothing good. */
#include "decode.h"

#include <errno.h>
#include <string.h>

#define NOTATION_LINE "Successfully verified signature for "
#define VALUES_MAX 1000u

/* The member in either spelling: cosign before 1.0 wrote capitals. */
static const json_t *member(const json_t *o, const char *key, const char *capital)
{
	const json_t *j = json_object_get(o, key);

	return j ? j : json_object_get(o, capital);
}

/* With cosign 3 an attestation (an SBOM, a provenance) passes `cosign verify`, too: its type tells. */
static bool is_signature(const char *type)
{
	return type && (strcmp(type, "cosign container image signature") == 0 || strcmp(type, "https://sigstore.dev/cosign/sign/v1") == 0);
}

static int cosign_decode(const json_t *critical, struct bh_verified *ret, struct bh_error *err)
{
	const json_t *type = member(critical, "type", "Type"), *image = member(critical, "image", "Image");
	const char *digest = json_string_value(member(image, "docker-manifest-digest", "Docker-manifest-digest"));
	char text[BH_DIGEST_TEXT];

	ret->tool = "cosign";
	if (!is_signature(json_string_value(type)))
		return bh_fail(err, -EBADMSG, "critical.type is no signature of an image");
	if (!digest || !bh_digest_parse(digest, text))
		return bh_fail(err, -EBADMSG, "critical.image.docker-manifest-digest is no digest");
	return reports_digest_add(&ret->digests, digest) < 0 ? bh_fail(err, -ENOMEM, "out of memory") : 0;
}

static int notation_decode(const json_t *j, struct bh_verified *ret, struct bh_error *err)
{
	const char *result = reports_string(j, "result");

	ret->tool = "notation";
	if (!result || strcmp(result, "Success") != 0)
		return bh_fail(err, -EBADMSG, "result is not Success");
	return reports_digest_add(&ret->digests, reports_string(j, "reference")) < 0 ? bh_fail(err, -ENOMEM, "out of memory") : 0;
}

static int object_decode(const json_t *j, struct bh_verified *ret, struct bh_error *err)
{
	const json_t *critical = member(j, "critical", "Critical");

	if (critical)
		return cosign_decode(critical, ret, err);
	if (json_object_get(j, "reference"))
		return notation_decode(j, ret, err);
	return bh_fail(err, -EBADMSG, "is what neither cosign verify nor notation verify print when they succeed");
}

static int value_decode(const json_t *j, struct bh_verified *ret, struct bh_error *err)
{
	const json_t *x;
	size_t i;
	int r;

	if (!json_is_array(j))
		return object_decode(j, ret, err);
	json_array_foreach(j, i, x) {
		r = object_decode(x, ret, err);
		if (r < 0)
			return r;
	}
	return json_array_size(j) > 0 ? 0 : bh_fail(err, -EBADMSG, "is an empty list: nothing was verified");
}

static int line_decode(const char *text, size_t n, struct bh_verified *ret, struct bh_error *err)
{
	_cleanup_free_ char *line = NULL;
	const char *end;

	text += strlen(NOTATION_LINE);
	n -= strlen(NOTATION_LINE);
	end = memchr(text, '\n', n);
	line = strndup(text, end ? (size_t)(end - text) : n);
	if (!line)
		return bh_fail(err, -ENOMEM, "out of memory");
	line[strcspn(line, "\r")] = '\0';
	ret->tool = "notation";
	return reports_digest_add(&ret->digests, line) < 0 ? bh_fail(err, -ENOMEM, "out of memory") : 0;
}

static int values_decode(const char *text, size_t n, struct bh_verified *ret, struct bh_error *err)
{
	for (size_t at = 0, count = 0;; count++) {
		_cleanup_json_ json_t *j = NULL;
		size_t used = 0;
		int r;

		while (at < n && strchr(" \t\r\n", text[at]) && text[at])
			at++;
		if (at == n && count > 0)
			return 0;
		if (count == VALUES_MAX)
			return bh_fail(err, -EBADMSG, "holds more than %u results", VALUES_MAX);
		r = reports_parse(text + at, n - at, &j, &used, err);
		if (r == 0)
			r = value_decode(j, ret, err);
		if (r < 0)
			return r;
		at += used;
	}
}

/* The digest that a file's name begins with: "sha256:…" or, as cosign names its tags, "sha256-…". */
static bool name_digest(const char *name, char ret[BH_DIGEST_TEXT])
{
	size_t n = strcspn(name, ".");
	char copy[BH_DIGEST_TEXT];

	if (n != 7 + 64 || strncmp(name, "sha256", 6) != 0 || (name[6] != ':' && name[6] != '-'))
		return false;
	memcpy(copy, name, n);
	copy[6] = ':';
	copy[n] = '\0';
	return bh_digest_parse(copy, ret);
}

int bh_verified_decode(const char *name, const char *text, size_t n, struct bh_verified *ret, struct bh_error *err)
{
	_cleanup_(bh_verified_clear) struct bh_verified out = {0};
	char named[BH_DIGEST_TEXT];
	int r;

	if (n > strlen(NOTATION_LINE) && memcmp(text, NOTATION_LINE, strlen(NOTATION_LINE)) == 0)
		r = line_decode(text, n, &out, err);
	else
		r = values_decode(text, n, &out, err);
	if (r < 0)
		return r;
	if (name_digest(name, named)) {
		if (out.digests.n > 0 && !bh_strv_has(&out.digests, named))
			return bh_fail(err, -EBADMSG, "verifies another digest than its name says");
		if (out.digests.n == 0 && bh_strv_push(&out.digests, named) < 0)
			return bh_fail(err, -ENOMEM, "out of memory");
	}
	if (out.digests.n == 0)
		return bh_fail(err, -EBADMSG, "names no digest, nor does its name (sha256-…)");
	*ret = out;
	out = (struct bh_verified){0};
	return 0;
}
