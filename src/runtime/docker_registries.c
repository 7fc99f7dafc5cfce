/* SPDX-License-Identifier: Apache-2.0 */
/* How Docker reaches registries: RegistryConfig of GET /info (github.com/moby/moby, api/types/registry). Who has credentials for which it does not tell. */
#include "docker_parts.h"
#include "json.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

static int networks_decode(const json_t *list, struct bh_registries *ret)
{
	size_t i;
	json_t *j;

	json_array_foreach(list, i, j) {
		const char *text = json_string_value(j);
		struct bh_prefix p;
		int r = text ? bh_prefix_parse(text, &p) : -EINVAL;

		if (r < 0 && r != -EDOM)
			return -EBADMSG;
		if (bh_vec_push(&ret->insecure, p) < 0)
			return -ENOMEM;
	}
	return 0;
}

static bool is_plain(const char *url)
{
	return strncasecmp(url, "http://", 7) == 0;
}

static int mirrors_decode(const json_t *list, struct bh_registries *ret)
{
	size_t i;
	json_t *j;

	json_array_foreach(list, i, j) {
		const char *url = json_string_value(j);

		if (!url || strlen(url) > BH_NAME_MAX)
			return -EBADMSG;
		if (is_plain(url) && !bh_strv_has(&ret->plain_mirrors, url) && bh_strv_push(&ret->plain_mirrors, url) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* By name, with a Docker Hub that Docker puts there itself. */
static int names_decode(const json_t *indexes, struct bh_registries *ret)
{
	void *iter = json_object_iter((json_t *)(uintptr_t)indexes);
	int err = 0;

	for (; iter; iter = json_object_iter_next((json_t *)(uintptr_t)indexes, iter)) {
		const char *name = json_object_iter_key(iter);
		const json_t *index = json_object_iter_value(iter);
		bool secure = bh_json_bool(index, "Secure", &err);

		if (err || !json_is_object(index) || strlen(name) > BH_NAME_MAX)
			return -EBADMSG;
		if (bh_strv_push(secure ? &ret->secure_names : &ret->insecure_names, name) < 0)
			return -ENOMEM;
	}
	return 0;
}

int bh_docker_registries_decode(const json_t *info, struct bh_registries *ret)
{
	int err = 0, r;
	const json_t *config = bh_json_object(info, "RegistryConfig", &err), *networks = bh_json_array(config, "InsecureRegistryCIDRs", &err);
	const json_t *indexes = bh_json_object(config, "IndexConfigs", &err), *mirrors = bh_json_array(config, "Mirrors", &err);
	struct bh_registries out = {.known = config != NULL};

	if (err || json_array_size(networks) > BH_REGISTRIES_MAX || json_object_size(indexes) > BH_REGISTRIES_MAX || json_array_size(mirrors) > BH_REGISTRIES_MAX)
		return -EBADMSG;
	r = networks_decode(networks, &out);
	if (r == 0)
		r = names_decode(indexes, &out);
	if (r == 0)
		r = mirrors_decode(mirrors, &out);
	if (r < 0) {
		bh_registries_clear(&out);
		return r;
	}
	*ret = out;
	return 0;
}
