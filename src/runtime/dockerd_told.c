/* SPDX-License-Identifier: Apache-2.0 */
/* What a dockerd was told: its command line (dockerd(8)) and daemon.json, by the names of the latter. */
#include "dockerd.h"
#include "json.h"

#include <string.h>

/* Options of the command line: as they are called there and in daemon.json, and whether a value follows. What is not here is passed over. */
static const struct {
	const char *option, *name;
	char letter;
	bool value;
} OPTIONS[] = {
	{"authorization-plugin", "authorization-plugins", 0, true}, {"config-file", "config-file", 0, true}, {"debug", "debug", 'D', false},
	{"default-ulimit", "default-ulimits", 0, true}, {"experimental", "experimental", 0, false}, {"host", "hosts", 'H', true},
	{"icc", "icc", 0, false}, {"insecure-registry", "insecure-registries", 0, true}, {"iptables", "iptables", 0, false},
	{"live-restore", "live-restore", 0, false}, {"log-driver", "log-driver", 0, true}, {"log-level", "log-level", 'l', true},
	{"log-opt", "log-opts", 0, true}, {"no-new-privileges", "no-new-privileges", 0, false}, {"seccomp-profile", "seccomp-profile", 0, true},
	{"selinux-enabled", "selinux-enabled", 0, false}, {"storage-driver", "storage-driver", 's', true}, {"tls", "tls", 0, false},
	{"tlscacert", "tlscacert", 0, true}, {"tlscert", "tlscert", 0, true}, {"tlskey", "tlskey", 0, true}, {"tlsverify", "tlsverify", 0, false},
	{"userland-proxy", "userland-proxy", 0, false}, {"userns-remap", "userns-remap", 0, true},
};

/* Which of OPTIONS the word is, and where its own value begins, or NULL; -1: none. */
static int option_of(const char *s, const char **ret_value)
{
	*ret_value = NULL;
	for (size_t i = 0; i < BH_ARRAY_SIZE(OPTIONS); i++) {
		const size_t n = strlen(OPTIONS[i].option);
		const char *rest;

		if (s[0] == '-' && s[1] == '-' && strncmp(s + 2, OPTIONS[i].option, n) == 0)
			rest = s + 2 + n;
		else if (s[0] == '-' && OPTIONS[i].letter && s[1] == OPTIONS[i].letter)
			rest = s + 2;
		else
			continue;
		if (*rest && *rest != '=' && s[1] == '-')	/* another option that begins so */
			continue;
		if (*rest)
			*ret_value = *rest == '=' ? rest + 1 : rest;
		return (int)i;
	}
	return -1;
}

int bh_dockerd_decode_cmdline(const char *text, size_t n, struct bh_dockerd *d)
{
	const char *end = text + n;

	if (n == 0 || end[-1] != '\0')
		return -EBADMSG;
	for (const char *s = text; s < end; s += strlen(s) + 1) {
		const char *value;
		int i = option_of(s, &value), r;

		if (i < 0)
			continue;
		if (!value && OPTIONS[i].value) {
			s += strlen(s) + 1;
			if (s >= end)
				return 0;	/* dockerd has refused it before us */
			value = s;
		}
		r = bh_dockerd_add(d, OPTIONS[i].name, value ? value : "true");
		if (r < 0)
			return r;
	}
	return 0;
}

/* One value; of a list or an object each member. */
static int add_json(struct bh_dockerd *d, const char *name, const json_t *v, unsigned depth)
{
	const char *key;
	json_t *item;
	size_t i;
	int r = 0;

	switch (json_typeof(v)) {
	case JSON_STRING:
		return bh_dockerd_add(d, name, json_string_value(v));
	case JSON_TRUE:
	case JSON_FALSE:
		return bh_dockerd_add(d, name, json_is_true(v) ? "true" : "false");
	case JSON_ARRAY:
		json_array_foreach(v, i, item)
			if (r == 0 && depth == 0)
				r = add_json(d, name, item, 1);
		return r;
	case JSON_OBJECT:
		json_object_foreach((json_t *)v, key, item) {
			_cleanup_free_ char *pair = NULL;
			const char *text = json_string_value(item);
			size_t size = strlen(key) + (text ? strlen(text) : 0) + 2;

			if (r < 0)
				break;
			pair = malloc(size);
			if (!pair)
				return -ENOMEM;
			memcpy(pair, key, strlen(key) + 1);
			if (text) {
				pair[strlen(key)] = '=';
				memcpy(pair + strlen(key) + 1, text, strlen(text) + 1);
			}
			r = bh_dockerd_add(d, name, pair);
		}
		return r;
	default:
		return 0;	/* numbers and null: none that is asked for */
	}
}

int bh_dockerd_decode_config(const char *text, size_t n, struct bh_dockerd *d)
{
	_cleanup_json_ json_t *root = NULL;
	const char *key;
	json_t *value;
	int r = bh_json_parse(text, n, &root);

	if (r < 0)
		return r;
	if (!json_is_object(root))
		return -EBADMSG;
	json_object_foreach(root, key, value) {
		r = add_json(d, key, value, 0);
		if (r < 0)
			return r;
	}
	return 0;
}
