/* SPDX-License-Identifier: Apache-2.0 */
/* Trivy: github.com/aquasecurity/trivy, pkg/types/report.go (schema 2) and integration/testdata. */
#include "decode.h"

#include <errno.h>
#include <string.h>

static int result_decode(const json_t *result, struct bh_report *ret, struct bh_error *err)
{
	const json_t *list = json_object_get(result, "Vulnerabilities"), *v;
	size_t i;

	if (list && !json_is_null(list) && !json_is_array(list))
		return bh_fail(err, -EBADMSG, "Vulnerabilities is no list");
	json_array_foreach(list, i, v) {
		const char *fixed = reports_string(v, "FixedVersion");
		int r = reports_finding(ret, reports_string(v, "Severity"), reports_string(v, "VulnerabilityID"), reports_string(v, "PkgName"),
			fixed && *fixed, err);

		if (r < 0)
			return r;
	}
	return 0;
}

/* Whether packages were looked at: `--scanners secret` alone finds no vulnerability either. */
static bool is_of_packages(const json_t *result)
{
	const char *class = reports_string(result, "Class");

	return class && (strcmp(class, "os-pkgs") == 0 || strcmp(class, "lang-pkgs") == 0);
}

int trivy_decode(const json_t *j, struct bh_report *ret, struct bh_error *err)
{
	const json_t *meta = json_object_get(j, "Metadata"), *results = json_object_get(j, "Results"), *result;
	const char *type = reports_string(j, "ArtifactType"), *created = reports_string(j, "CreatedAt");
	bool packages = false;
	size_t i;

	ret->scanner = "trivy";
	if (json_integer_value(json_object_get(j, "SchemaVersion")) != 2)
		return bh_fail(err, -EBADMSG, "has a SchemaVersion that is not known: 2 is");
	if (type && strcmp(type, "container_image") != 0)
		return bh_fail(err, -EBADMSG, "is not about an image (ArtifactType): trivy image -f json");
	if (created && *created && bh_time_parse(created, &ret->created_usec) < 0)
		return bh_fail(err, -EBADMSG, "CreatedAt is no time");
	if (reports_digest_add(&ret->digests, reports_string(meta, "ImageID")) < 0 ||
		reports_digests_add(&ret->digests, json_object_get(meta, "RepoDigests")) < 0 || bh_strdup(&ret->artifact, reports_string(j, "ArtifactName")) < 0)
		return bh_fail(err, -ENOMEM, "out of memory");
	if (results && !json_is_null(results) && !json_is_array(results))
		return bh_fail(err, -EBADMSG, "Results is no list");
	json_array_foreach(results, i, result) {
		int r = result_decode(result, ret, err);

		if (r < 0)
			return r;
		packages = packages || is_of_packages(result);
	}
	return packages ? 0 : bh_fail(err, -EBADMSG, "looked at no package (no result of class os-pkgs or lang-pkgs): trivy image --scanners vuln");
}
