/* SPDX-License-Identifier: Apache-2.0 */
/* Grype: github.com/anchore/grype, grype/presenter/json and grype/presenter/models. What was fixed where was `fixedInVersion` in older versions and
 * is `fix` now; they told no time and no repoDigests either. */
#include "decode.h"

#include <errno.h>
#include <string.h>

static bool is_fixable(const json_t *vulnerability)
{
	const char *state = reports_string(json_object_get(vulnerability, "fix"), "state"), *version = reports_string(vulnerability, "fixedInVersion");

	return (state && strcmp(state, "fixed") == 0) || (version && *version);
}

static int match_decode(const json_t *match, struct bh_report *ret, struct bh_error *err)
{
	const json_t *v = json_object_get(match, "vulnerability");

	return reports_finding(ret, reports_string(v, "severity"), reports_string(v, "id"), reports_string(json_object_get(match, "artifact"), "name"),
		is_fixable(v), err);
}

int grype_decode(const json_t *j, struct bh_report *ret, struct bh_error *err)
{
	const json_t *source = json_object_get(j, "source"), *target = json_object_get(source, "target"), *matches = json_object_get(j, "matches"), *match;
	const char *type = reports_string(source, "type"), *created = reports_string(json_object_get(j, "descriptor"), "timestamp");
	size_t i;

	ret->scanner = "grype";
	if (!type || strcmp(type, "image") != 0)
		return bh_fail(err, -EBADMSG, "is not about an image (source.type)");
	if (created && *created && bh_time_parse(created, &ret->created_usec) < 0)
		return bh_fail(err, -EBADMSG, "descriptor.timestamp is no time");
	if (reports_digest_add(&ret->digests, reports_string(target, "imageID")) < 0 ||
		reports_digest_add(&ret->digests, reports_string(target, "manifestDigest")) < 0 ||
		reports_digests_add(&ret->digests, json_object_get(target, "repoDigests")) < 0 || bh_strdup(&ret->artifact, reports_string(target, "userInput")) < 0)
		return bh_fail(err, -ENOMEM, "out of memory");
	if (!json_is_null(matches) && !json_is_array(matches))
		return bh_fail(err, -EBADMSG, "matches is no list");
	json_array_foreach(matches, i, match) {
		int r = match_decode(match, ret, err);

		if (r < 0)
			return r;
	}
	return 0;
}
