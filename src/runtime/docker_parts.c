/* SPDX-License-Identifier: Apache-2.0 */
#include "docker_parts.h"
#include "json.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

static int published_push(struct bh_published **v, size_t *n, size_t *cap, struct bh_published p)
{
	int r = bh_vec_reserve_(v, cap, *n + 1, sizeof(**v));

	if (r == 0)
		(*v)[(*n)++] = p;
	return r;
}

int bh_docker_publish_(struct bh_published **v, size_t *n, size_t *cap, const char *type, const char *ip,
	uint16_t host_port, uint16_t port)
{
	struct bh_published p = {.host_port = host_port, .container_port = port};
	int r;

	if (bh_streq(type, "tcp"))
		p.proto = IPPROTO_TCP;
	else if (bh_streq(type, "udp"))
		p.proto = IPPROTO_UDP;
	else if (bh_streq(type, "sctp"))
		p.proto = IPPROTO_SCTP;
	else
		return 0;
	if (ip && *ip) {
		if (bh_addr_parse(ip, &p.host) < 0)
			return -EBADMSG;
		return published_push(v, n, cap, p);
	}
	p.host.family = 4;
	r = published_push(v, n, cap, p);
	p.host.family = 6;
	return r < 0 ? r : published_push(v, n, cap, p);
}

static int published_cmp(const void *a_, const void *b_)
{
	const struct bh_published *a = a_, *b = b_;
	int r = (int)a->proto - (int)b->proto;

	if (r == 0)
		r = (int)a->host_port - (int)b->host_port;
	if (r == 0)
		r = (int)a->container_port - (int)b->container_port;
	return r ? r : bh_addr_cmp(&a->host, &b->host);
}

size_t bh_docker_publish_sort_(struct bh_published *v, size_t n)
{
	size_t kept = 0;

	if (n == 0)
		return 0;
	qsort(v, n, sizeof(*v), published_cmp);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || published_cmp(&v[kept - 1], &v[i]) != 0)
			v[kept++] = v[i];
	return kept;
}

static int label_cmp(const void *a, const void *b)
{
	return strcmp(((const struct bh_label *)a)->key, ((const struct bh_label *)b)->key);
}

static int label_add(struct bh_docker_labels *l, const char *key, const char *value)
{
	struct bh_label *new = bh_vec_add(&l->v);

	if (!new || bh_strdup(&new->key, key) < 0 || bh_strdup(&new->value, value) < 0)
		return -ENOMEM;
	return 0;
}

int bh_docker_labels_decode(const json_t *o, struct bh_docker_labels *ret)
{
	struct bh_docker_labels l = {0};
	const char *key;
	json_t *j;
	int r;

	l.flawed = json_object_size(o) > BH_LABELS_MAX;
	json_object_foreach ((json_t *)(uintptr_t)o, key, j) {
		const char *value = json_string_value(j);

		if (!value) {
			bh_docker_labels_clear(&l);
			return -EBADMSG;
		}
		if (strlen(key) > BH_LABEL_KEY_MAX || json_string_length(j) > BH_LABEL_VALUE_MAX ||
			strstr(key, BH_JSON_NUL) || strstr(value, BH_JSON_NUL))
			l.flawed = true;
		r = l.flawed ? 0 : label_add(&l, key, value);
		if (r < 0) {
			bh_docker_labels_clear(&l);
			return r;
		}
	}
	if (l.flawed) {
		bh_docker_labels_clear(&l);
		l.flawed = true;
	}
	if (l.v.n > 1)
		qsort(l.v.v, l.v.n, sizeof(*l.v.v), label_cmp);
	*ret = l;
	return 0;
}

void bh_docker_labels_clear(struct bh_docker_labels *l)
{
	bh_vec_foreach(label, &l->v) {
		free(label->key);
		free(label->value);
	}
	bh_vec_clear(&l->v);
	l->flawed = false;
}
