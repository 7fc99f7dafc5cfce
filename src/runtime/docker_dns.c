/* SPDX-License-Identifier: Apache-2.0 */
/* The resolvers that dockerd was told to give to containers. Its API does not tell them; its command line and its configuration
 * file do (dockerd(8): --dns, --config-file, "dns"), and which process it is the socket tells (door.c). */
#include "docker_dns.h"
#include "json.h"

#include <errno.h>
#include <string.h>

#define FILE_MAX (1u << 20)

static int addr_add(struct bh_addrs *to, const char *text)
{
	struct bh_addr a;

	if (bh_addr_parse(text, &a) < 0)
		return 0;	/* dockerd has refused it before us */
	return bh_addrs_add(to, &a);
}

/* The value of the option NAME at the word S, or else of the NEXT word (NULL: there is none); NULL when S is another word. */
static const char *option(const char *s, const char *next, const char *name)
{
	size_t n = strlen(name);

	if (s[0] != '-')
		return NULL;
	s += s[1] == '-' ? 2 : 1;
	if (strncmp(s, name, n) != 0)
		return NULL;
	return s[n] == '=' ? s + n + 1 : s[n] == '\0' ? next : NULL;
}

int bh_docker_dns_cmdline(const char *text, size_t n, struct bh_addrs *ret, const char **ret_config)
{
	const char *end = text + n;

	if (n == 0 || end[-1] != '\0')
		return -EBADMSG;
	for (const char *s = text; s < end; s += strlen(s) + 1) {
		const char *next = s + strlen(s) + 1 < end ? s + strlen(s) + 1 : NULL;
		const char *dns = option(s, next, "dns"), *config = option(s, next, "config-file");
		int r = dns ? addr_add(ret, dns) : 0;

		if (r < 0)
			return r;
		if (config)
			*ret_config = config;
	}
	return 0;
}

int bh_docker_dns_config(const char *text, size_t n, struct bh_addrs *ret)
{
	_cleanup_json_ json_t *root = NULL;
	const json_t *dns;
	json_t *item;
	size_t i;
	int r = bh_json_parse(text, n, &root), err = 0;

	if (r < 0)
		return r;
	dns = bh_json_array(root, "dns", &err);
	if (err < 0)
		return err;
	json_array_foreach(dns, i, item)
		if (r == 0 && json_is_string(item))
			r = addr_add(ret, json_string_value(item));
	return r;
}

int bh_docker_resolvers(const struct bh_door *d, struct bh_addrs *ret)
{
	_cleanup_buf_ struct bh_buf cmdline = {0}, config = {0};
	_cleanup_close_ int cmdline_fd = -1, config_fd = -1;
	const char *path = NULL;
	struct bh_addrs found = {0};
	int r = d->files(d, &cmdline_fd, &config_fd);

	if (r == 0 && cmdline_fd >= 0)
		r = bh_buf_read_fd(&cmdline, cmdline_fd, BH_DOCKER_CMDLINE_MAX);
	if (r == 0 && cmdline.n > 0)
		r = bh_docker_dns_cmdline(cmdline.s, cmdline.n, &found, &path);
	if (r == 0 && config_fd >= 0)
		r = bh_buf_read_fd(&config, config_fd, FILE_MAX);
	if (r == 0 && config.n > 0)
		r = bh_docker_dns_config(config.s, config.n, &found);
	if (r < 0) {
		bh_vec_clear(&found.v);
		return r;
	}
	*ret = found;
	return 0;
}
