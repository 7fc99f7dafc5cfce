/* SPDX-License-Identifier: Apache-2.0 */
/* What golden folders cannot hold: files' owners and kinds, bounds, places, and keys that are not enforced yet. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <bulkhead/config.h>
#include "policy_equal.h"

struct folder {
	char path[64];
	struct bh_policy *policy;
	struct bh_diags diags;
};

static int setup(void **state)
{
	struct folder *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	strcpy(f->path, "/tmp/bh-test-config-XXXXXX");
	*state = f;
	return mkdtemp(f->path) ? 0 : -1;
}

static int teardown(void **state)
{
	static const char *const names[] = {"conf.d/a.yaml", "conf.d/b.yaml", "conf.d", "bulkhead.yaml", "other.yaml"};
	struct folder *f = *state;
	char path[128];

	for (size_t i = 0; i < BH_ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", f->path, names[i]);
		if (remove(path) < 0 && errno != ENOENT && errno != ENOTDIR)
			return -1;
	}
	bh_policy_free(f->policy);
	bh_diags_clear(&f->diags);
	if (rmdir(f->path) < 0)
		return -1;
	free(f);
	return 0;
}

static const char *in(const struct folder *f, const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", f->path, name);
	return path;
}

static void put(const struct folder *f, const char *name, const char *text, mode_t mode)
{
	FILE *file = fopen(in(f, name), "we");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(in(f, name), mode), 0);
}

static int load(struct folder *f, unsigned flags)
{
	bh_policy_free(bh_take(f->policy));
	return bh_config_load(in(f, "bulkhead.yaml"), flags, &f->policy, &f->diags);
}

#define OWNER (BH_CONFIG_CHECK_OWNER | BH_CONFIG_CONF_D)
static const char minimal[] = "version: 1\nmode: enforce\n";

static void assert_said(const struct folder *f, size_t i, const char *file, const char *part)
{
	assert_true(i < f->diags.v.n);
	assert_string_equal(f->diags.v.v[i].file, file);
	assert_non_null(strstr(f->diags.v.v[i].message, part));
}

static void files_that_others_can_write_are_refused(void **state)
{
	struct folder *f = *state;

	put(f, "bulkhead.yaml", minimal, 0644);
	if (geteuid() != 0) {	/* then the file is not root's, which is refused too */
		assert_int_equal(load(f, OWNER), -EACCES);
		assert_said(f, 0, "bulkhead.yaml", "not to root");
		assert_int_equal(load(f, 0), 0);
		return;
	}
	assert_int_equal(load(f, OWNER), 0);
	put(f, "bulkhead.yaml", minimal, 0664);
	assert_int_equal(load(f, OWNER), -EACCES);
	assert_said(f, 0, "bulkhead.yaml", "chmod go-w");
	assert_int_equal(load(f, 0), 0);
	put(f, "bulkhead.yaml", minimal, 0646);
	assert_int_equal(load(f, OWNER), -EACCES);
	put(f, "bulkhead.yaml", minimal, 0644);
	assert_int_equal(chown(in(f, "bulkhead.yaml"), 65534, 0), 0);
	assert_int_equal(load(f, OWNER), -EACCES);
	assert_said(f, 0, "bulkhead.yaml", "uid 65534");
	assert_int_equal(chown(in(f, "bulkhead.yaml"), 0, 0), 0);

	assert_int_equal(mkdir(in(f, "conf.d"), 0755), 0);
	put(f, "conf.d/a.yaml", "version: 1\n", 0644);
	assert_int_equal(load(f, OWNER), 0);
	put(f, "conf.d/a.yaml", "version: 1\n", 0666);
	assert_int_equal(load(f, OWNER), -EACCES);
	assert_said(f, 0, "conf.d/a.yaml", "chmod go-w");
	put(f, "conf.d/a.yaml", "version: 1\n", 0644);
	assert_int_equal(chmod(in(f, "conf.d"), 0775), 0);
	assert_int_equal(load(f, OWNER), -EACCES);
	assert_said(f, 0, "conf.d", "chmod go-w");
	assert_int_equal(load(f, BH_CONFIG_CONF_D), 0);
}

static void what_cannot_be_read_is_told(void **state)
{
	struct folder *f = *state;

	assert_int_equal(load(f, 0), -ENOENT);
	assert_said(f, 0, "bulkhead.yaml", "No such file");
	assert_int_equal(f->diags.errors, 1);
	assert_int_equal(mkfifo(in(f, "bulkhead.yaml"), 0644), 0);
	assert_int_equal(load(f, 0), -EINVAL);	/* and does not wait for a writer */
	assert_said(f, 0, "bulkhead.yaml", "not a regular file");
	assert_int_equal(unlink(in(f, "bulkhead.yaml")), 0);
	put(f, "bulkhead.yaml", minimal, 0644);
	put(f, "conf.d", "not a folder", 0644);
	assert_int_equal(load(f, BH_CONFIG_CONF_D), -ENOTDIR);
	assert_said(f, 0, "conf.d", "Not a directory");
	assert_int_equal(load(f, 0), 0);
	assert_int_equal(bh_config_load("/nonexistent/bulkhead.yaml", 0, &f->policy, &f->diags), -ENOENT);
	assert_int_equal(f->diags.errors, 1);
}

static void a_broken_file_does_not_hide_errors_of_others(void **state)
{
	struct folder *f = *state;

	put(f, "bulkhead.yaml", "version: 1\nmode: enforced\n", 0644);
	assert_int_equal(mkdir(in(f, "conf.d"), 0755), 0);
	assert_int_equal(symlink("nowhere", in(f, "conf.d/a.yaml")), 0);
	put(f, "conf.d/b.yaml", "version: 1\nallow: [{from: zone-of-a, to: host}]\nfoo: 1\n", 0644);
	assert_int_equal(load(f, BH_CONFIG_CONF_D), -ENOENT);
	/* zone-of-a may be in the file that cannot be read: not told */
	assert_int_equal(f->diags.errors, 3);
	assert_said(f, 0, "bulkhead.yaml", "did you mean 'enforce'");
	assert_said(f, 1, "conf.d/b.yaml", "unknown key 'foo'");
	assert_said(f, 2, "conf.d/a.yaml", "No such file");
}

static void several_files_are_one_configuration(void **state)
{
	struct folder *f = *state;
	char other[128];
	const char *paths[2];

	put(f, "other.yaml", "version: 1\nzones: {web: {select: {name: web}}}\n", 0644);
	strcpy(other, in(f, "other.yaml"));
	put(f, "bulkhead.yaml", "version: 1\nmode: audit\nallow: [{from: web, to: host}]\n", 0644);
	paths[0] = in(f, "bulkhead.yaml");
	paths[1] = other;
	assert_int_equal(bh_config_load_files(paths, 2, OWNER & ~BH_CONFIG_CHECK_OWNER, &f->policy, &f->diags), 0);
	assert_int_equal(f->policy->zones.n, 1);
	assert_string_equal(f->policy->files.v[1], "other.yaml");
	assert_ptr_equal(f->policy->zones.v[0].loc.file, f->policy->files.v[1]);
	assert_int_equal(f->policy->zones.v[0].loc.line, 2);
	assert_int_equal(f->policy->zones.v[0].loc.column, 9);
	assert_int_equal(bh_config_load_files(paths, 0, 0, &f->policy, &f->diags), -EINVAL);
}

static int parse(const char *text, size_t n, struct bh_policy **ret, char *said, size_t size)
{
	struct bh_diags diags = {0};
	int r = bh_config_parse(&(struct bh_config_text){"test.yaml", text, n}, 1, ret, &diags);

	snprintf(said, size, "%s", diags.v.n ? diags.v.v[0].message : "");
	bh_diags_clear(&diags);
	return r;
}

static void several_texts_are_one_configuration(void **state)
{
	static const char more[] = "version: 1\nallow: [{from: web, to: hots}]\n";
	const struct bh_config_text good[] = {
		{"bulkhead.yaml", "version: 1\nmode: audit\nallow: [{from: web, to: host}]\n", 53},
		{"conf.d/a.yaml", "version: 1\nzones: {web: {select: {name: web}}}\ntrailing", 47},
	};
	const struct bh_config_text bad[] = {good[0], good[1], {"conf.d/b.yaml", more, strlen(more)}};
	struct folder *f = *state;

	assert_int_equal(bh_config_parse(good, 2, &f->policy, &f->diags), 0);
	assert_int_equal(f->policy->zones.n, 1);
	assert_string_equal(f->policy->zones.v[0].loc.file, "conf.d/a.yaml");
	assert_string_equal(f->policy->files.v[0], "bulkhead.yaml");
	bh_policy_free(bh_take(f->policy));
	assert_int_equal(bh_config_parse(bad, 3, &f->policy, &f->diags), -EINVAL);
	assert_said(f, 0, "conf.d/b.yaml", "did you mean 'host'");
	assert_null(f->policy);
	/* `mode` belongs in the first alone */
	assert_int_equal(bh_config_parse(good + 1, 1, &f->policy, &f->diags), -EINVAL);
	assert_int_equal(bh_config_parse(good, 0, &f->policy, &f->diags), -EINVAL);
}

/* What is read as texts and parsed is what is loaded, places and all. */
static void files_can_be_read_as_texts(void **state)
{
	struct folder *f = *state;
	struct bh_config_texts texts = {0};
	_cleanup_(bh_policy_freep) struct bh_policy *p = NULL;

	put(f, "bulkhead.yaml", "\xef\xbb\xbfversion: 1\nmode: audit\nallow: [{from: web, to: host}]\n", 0644);
	assert_int_equal(mkdir(in(f, "conf.d"), 0755), 0);
	put(f, "conf.d/b.yaml", "version: 1\nzones: {web: {select: {name: web}}}\n", 0644);
	put(f, "conf.d/a.yaml", "version: 1\nallow: [{from: web, to: lan}]\n", 0644);
	assert_int_equal(load(f, BH_CONFIG_CONF_D), 0);
	assert_int_equal(bh_config_read(in(f, "bulkhead.yaml"), BH_CONFIG_CONF_D, &texts, &f->diags), 0);
	assert_int_equal(texts.v.n, 3);
	assert_string_equal(texts.v.v[1].name, "conf.d/a.yaml");
	assert_int_equal(bh_config_parse(texts.v.v, texts.v.n, &p, &f->diags), 0);
	assert_true(policy_equal(p, f->policy));
	assert_int_equal(p->zones.v[0].loc.line, f->policy->zones.v[0].loc.line);
	bh_config_texts_clear(&texts);
	assert_int_equal(chmod(in(f, "conf.d/a.yaml"), 0644), 0);
	assert_int_equal(unlink(in(f, "conf.d/a.yaml")), 0);
	assert_int_equal(symlink("nowhere", in(f, "conf.d/a.yaml")), 0);
	assert_int_equal(bh_config_read(in(f, "bulkhead.yaml"), BH_CONFIG_CONF_D, &texts, &f->diags), -ENOENT);
	assert_said(f, 0, "conf.d/a.yaml", "No such file");
	assert_int_equal(texts.v.n, 0);
}

static void values_of_all_files_are_bounded(void **state)
{
	struct bh_config_text texts[5];
	_cleanup_buf_ struct bh_buf b = {0};
	struct folder *f = *state;

	bh_buf_puts(&b, "version: 1\nmode: enforce\nallow: [");
	for (int i = 0; i < 65000; i++)
		bh_buf_puts(&b, "a,");
	bh_buf_puts(&b, "]\n");
	for (size_t i = 0; i < BH_ARRAY_SIZE(texts); i++)
		texts[i] = (struct bh_config_text){"many.yaml", b.s, b.n};
	assert_int_equal(bh_config_parse(texts, BH_ARRAY_SIZE(texts), &f->policy, &f->diags), -EINVAL);
	bh_vec_foreach(d, &f->diags.v)
		if (strstr(d->message, "more than 262144 values in all"))
			return;
	fail_msg("not told");
}

static void sizes_are_bounded(void **state)
{
	_cleanup_(bh_policy_freep) struct bh_policy *p = NULL;
	_cleanup_buf_ struct bh_buf b = {0};
	char said[256];

	(void)state;
	bh_buf_puts(&b, minimal);
	while (b.n < 1024 * 1024)
		bh_buf_puts(&b, "#");
	assert_int_equal(parse(b.s, b.n, &p, said, sizeof(said)), 0);
	bh_buf_puts(&b, "#");
	assert_int_equal(parse(b.s, b.n, &p, said, sizeof(said)), -EINVAL);
	assert_string_equal(said, "larger than 1024 KiB");

	bh_buf_free(&b);
	bh_buf_puts(&b, "version: 1\nmode: enforce\nallow: [");
	for (int i = 0; i < 70000; i++)
		bh_buf_puts(&b, "a,");
	bh_buf_puts(&b, "]\n");
	assert_int_equal(parse(b.s, b.n, &p, said, sizeof(said)), -EINVAL);
	assert_non_null(strstr(said, "more than 65536 values"));

	bh_buf_free(&b);
	bh_buf_puts(&b, "version: 1\nmode: enforce\nzones:\n");
	for (int i = 0; i < 4097; i++)
		bh_buf_printf(&b, "  z%d: {per: compose}\n", i);
	assert_int_equal(parse(b.s, b.n, &p, said, sizeof(said)), -EINVAL);
	assert_string_equal(said, "more than 4096 zones");
}

static void limits_and_forwards_are_read_right(void **state)
{
	static const char text[] = "version: 1\nmode: enforce\nzones:\n"
				   "  a: {select: {kind: [container, build]}, connections: {max: 2000, new: 200/second}}\n"
				   "  b: {select: {name: b}, connections: {new: 1000000/minute}, forwards: [10.8.0.0/24, \"fd00::/64\"]}\n"
				   "allow:\n  - {from: build, to: [dns, a]}\n";
	_cleanup_(bh_policy_freep) struct bh_policy *p = NULL, *again = NULL;
	_cleanup_buf_ struct bh_buf b = {0};
	struct bh_diags diags = {0};

	(void)state;
	assert_int_equal(bh_config_parse(&(struct bh_config_text){"test.yaml", text, strlen(text)}, 1, &p, &diags), 0);
	assert_int_equal(p->zones.v[0].conn_max, 2000);
	assert_int_equal(p->zones.v[0].conn_new, 200);
	assert_false(p->zones.v[0].conn_new_per_minute);
	assert_int_equal(p->zones.v[1].conn_new, 1000000);
	assert_true(p->zones.v[1].conn_new_per_minute);
	assert_int_equal(p->zones.v[1].forwards.n, 2);
	assert_int_equal(p->allow.v[0].from.v[0].builtin, BH_BUILTIN_BUILD);
	assert_int_equal(bh_config_print(p, &b), 0);
	assert_int_equal(bh_config_parse(&(struct bh_config_text){"test.yaml", b.s, b.n}, 1, &again, &diags), 0);
	assert_true(policy_equal(p, again));
	bh_diags_clear(&diags);
}

static void bad_limits_are_told(void **state)
{
	static const char *const bad[] = {"{max: 0}", "{max: 4294967296}", "{new: 0/second}", "{new: 200}", "{new: 200/hour}",
		"{new: 1000001/second}", "{new: 99999999999999999999999/second}", "{}", "5", "{mx: 1}"};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_SIZE(bad); i++) {
		_cleanup_(bh_policy_freep) struct bh_policy *p = NULL;
		struct bh_diags diags = {0};
		char text[256];

		snprintf(text, sizeof(text), "version: 1\nmode: enforce\nzones: {a: {select: {name: a}, connections: %s}}\n", bad[i]);
		assert_int_equal(bh_config_parse(&(struct bh_config_text){"test.yaml", text, strlen(text)}, 1, &p, &diags), -EINVAL);
		assert_int_equal(diags.errors, 1);
		assert_int_equal(diags.v.v[0].line, 3);
		bh_diags_clear(&diags);
	}
}

static void places_and_defaults(void **state)
{
	static const char text[] = "version: 1\nmode: enforce\nzones:\n"
				   "  web:\n    select:\n      labels:\n        tier: web\n"
				   "  project: {per: compose}\n"
				   "allow:\n  - {from: web, to: \"project:a:b\"}\n";
	_cleanup_(bh_policy_freep) struct bh_policy *p = NULL;
	char said[256];

	(void)state;
	assert_int_equal(parse(text, strlen(text), &p, said, sizeof(said)), 0);
	assert_int_equal(p->deny, BH_DENY_REJECT);
	assert_int_equal(p->zones.v[0].loc.line, 4);
	assert_int_equal(p->zones.v[0].select->matches.v[0].loc.line, 7);
	assert_int_equal(p->zones.v[0].select->matches.v[0].loc.column, 9);
	assert_int_equal(p->zones.v[0].priority, 0);
	assert_int_equal(p->zones.v[0].mode, BH_MODE_INHERIT);
	assert_int_equal(p->zones.v[1].priority, -1);
	assert_int_equal(p->allow.v[0].loc.line, 10);
	assert_int_equal(p->allow.v[0].to.v[0].loc.column, 21);
	assert_string_equal(p->allow.v[0].to.v[0].value, "a:b");
	assert_int_equal(p->allow.v[0].to.v[0].zone, 1);
	assert_string_equal(p->files.v[0], "test.yaml");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(files_that_others_can_write_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(what_cannot_be_read_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(a_broken_file_does_not_hide_errors_of_others, setup, teardown),
		cmocka_unit_test_setup_teardown(several_files_are_one_configuration, setup, teardown),
		cmocka_unit_test_setup_teardown(several_texts_are_one_configuration, setup, teardown),
		cmocka_unit_test_setup_teardown(files_can_be_read_as_texts, setup, teardown),
		cmocka_unit_test_setup_teardown(values_of_all_files_are_bounded, setup, teardown),
		cmocka_unit_test(sizes_are_bounded),
		cmocka_unit_test(limits_and_forwards_are_read_right),
		cmocka_unit_test(bad_limits_are_told),
		cmocka_unit_test(places_and_defaults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
