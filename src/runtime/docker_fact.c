/* SPDX-License-Identifier: Apache-2.0 */
/* What an inspection says of a container's powers. */
#include "docker_decode.h"
#include "json.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#define MOUNTS_MAX 4096u

/* Whether PATH is SOCKET, or a folder above it. */
static bool holds(const char *path, const char *socket)
{
	size_t n = strlen(path);

	while (n > 0 && path[n - 1] == '/')
		n--;
	return strncmp(path, socket, n) == 0 && (socket[n] == '\0' || socket[n] == '/');
}

static int mounts_decode(const json_t *mounts, const char *const *sockets, size_t n_sockets, struct bh_fact *ret, int *err)
{
	size_t i;
	json_t *j;

	if (json_array_size(mounts) > MOUNTS_MAX)
		return -EBADMSG;
	json_array_foreach (mounts, i, j) {
		const char *type = bh_json_string(j, "Type", err), *source = bh_json_string(j, "Source", err);

		if (!json_is_object(j) || *err)
			return -EBADMSG;
		if (!bh_streq(type, "bind") || !source || source[0] != '/' || strlen(source) >= PATH_MAX || ret->socket_mount)
			continue;
		for (size_t k = 0; k < n_sockets; k++)
			if (holds(source, sockets[k]))
				return bh_strdup(&ret->socket_mount, source);
	}
	return 0;
}

int bh_docker_decode_fact(const char *text, size_t n, const char *const *sockets, size_t n_sockets, struct bh_fact *ret)
{
	_cleanup_json_ json_t *j = NULL;
	struct bh_fact fact = {0};
	int err = 0, r = bh_json_parse(text, n, &j);
	const char *id;

	if (r < 0)
		return r;
	id = bh_json_string(j, "Id", &err);
	fact.privileged = bh_json_bool(bh_json_object(j, "HostConfig", &err), "Privileged", &err);
	if (err || !json_is_object(j) || !bh_docker_is_container_id(id))
		return -EBADMSG;
	r = bh_strdup(&fact.id, id);
	if (r == 0)
		r = mounts_decode(bh_json_array(j, "Mounts", &err), sockets, n_sockets, &fact, &err);
	if (r == 0)
		r = err;
	if (r < 0) {
		free(fact.id);
		free(fact.socket_mount);
		return r;
	}
	*ret = fact;
	return 0;
}
