/* SPDX-License-Identifier: Apache-2.0 */
#include <bulkhead/dockerd.h>

#include <string.h>

void bh_dockerd_clear(struct bh_dockerd *d)
{
	free(d->reason);
	free(d->version);
	free(d->api_version);
	free(d->storage_driver);
	free(d->logging_driver);
	free(d->root_dir);
	free(d->file);
	bh_strv_clear(&d->security_options);
	bh_strv_clear(&d->authorization);
	bh_strv_clear(&d->insecure);
	bh_strv_clear(&d->warnings);
	bh_vec_foreach(o, &d->options) {
		free(o->name);
		free(o->value);
	}
	bh_vec_clear(&d->options);
	*d = (struct bh_dockerd){0};
}

int bh_dockerd_add(struct bh_dockerd *d, const char *name, const char *value)
{
	struct bh_dockerd_option o = {0};

	if (bh_strdup(&o.name, name) < 0 || bh_strdup(&o.value, value) < 0 || bh_vec_push(&d->options, o) < 0) {
		free(o.name);
		free(o.value);
		return -ENOMEM;
	}
	return 0;
}

const char *bh_dockerd_value(const struct bh_dockerd *d, const char *name)
{
	bh_vec_foreach(o, &d->options)
		if (strcmp(o->name, name) == 0)
			return o->value;
	return NULL;
}
