/* SPDX-License-Identifier: Apache-2.0 */
/* `log`: where the access log is kept, and what of it. */
#include "config.h"

#include <bulkhead/yaml.h>


#define SIZE_LEAST (64ull << 10)
#define SIZE_MOST (1ull << 40)
#define SIZE_DEFAULT (10ull << 20)
#define KEEP_MAX 1000
#define KEEP_DEFAULT 5

static void read_file(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	(void)key, (void)target;
	bh_cfg_path(c, value, "file of the log", &c->policy->log.file);
}

static void read_size(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	(void)key, (void)target;
	bh_cfg_size(c, value, "size", SIZE_LEAST, SIZE_MOST, &c->policy->log.size);
}

static void read_keep(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	long n;

	(void)key, (void)target;
	if (bh_cfg_int(c, value, "keep", 1, KEEP_MAX, &n))
		c->policy->log.keep = (unsigned)n;
}

static void read_what(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	size_t word;

	(void)key, (void)target;
	if (!bh_cfg_is_list(c, value, "what", "[placed, denied]"))
		return;
	c->policy->log.what = 0;
	bh_vec_foreach(i, &value->items)
		if (bh_cfg_choice(c, *i, "what", bh_log_words, BH_LOG_WORDS, &word))
			c->policy->log.what |= 1u << word;
}

void bh_cfg_log(struct bh_cfg *c, const struct bh_node *key, const struct bh_node *value, void *target)
{
	enum { FILE_KEY, SIZE_KEY, KEEP_KEY, WHAT_KEY };
	static const struct bh_key keys[] = {
		[FILE_KEY] = {"file", read_file, 0},
		[SIZE_KEY] = {"size", read_size, 0},
		[KEEP_KEY] = {"keep", read_keep, 0},
		[WHAT_KEY] = {"what", read_what, 0},
	};

	(void)key, (void)target;
	c->policy->log.size = SIZE_DEFAULT;
	c->policy->log.keep = KEEP_DEFAULT;
	c->policy->log.what = BH_LOG_ALL;
	if (!bh_cfg_is_map(c, value, "log"))
		return;
	if (!(bh_cfg_map(c, value, "log", keys, BH_ARRAY_SIZE(keys), NULL) & 1u << FILE_KEY))
		bh_cfg_error(c, &value->loc, "log needs 'file', such as /var/log/bulkhead/access.jsonl");
}

void bh_cfg_put_log(struct bh_buf *out, const struct bh_access_config *l)
{
	char size[BH_UNIT_TEXT];
	const char *sep = "";

	if (!l->file)
		return;
	bh_buf_puts(out, "log: {file: ");
	bh_yaml_put_text(out, l->file);
	bh_buf_printf(out, ", size: %s, keep: %u", bh_cfg_size_text(l->size, size), l->keep);
	if (l->what != BH_LOG_ALL) {
		bh_buf_puts(out, ", what: [");
		for (size_t i = 0; i < BH_LOG_WORDS; i++)
			if (l->what & 1u << i) {
				bh_buf_printf(out, "%s%s", sep, bh_log_words[i]);
				sep = ", ";
			}
		bh_buf_puts(out, "]");
	}
	bh_buf_puts(out, "}\n");
}
