/* SPDX-License-Identifier: Apache-2.0 */
/* The matrix of a configuration, cell by cell, written down by hand; and how `bulkhead test` draws it. */
#include "../../src/cli/verb.h"

#include <bulkhead/config.h>
#include <bulkhead/matrix.h>

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>
#include <cmocka.h>

static const char example[] =
	"version: 1\nmode: enforce\nzones:\n"
	"  web: {select: {labels: {tier: web}}}\n"
	"  project: {per: compose}\n"
	"  front: {per: compose, priority: 5, select: {labels: {public: \"true\"}}}\n"
	"  office: {cidrs: [198.51.100.0/24]}\n"
	"allow:\n"
	"  - {from: project, to: project}\n"
	"  - {from: front, to: project, ports: [tcp/80]}\n"
	"  - {from: web, to: \"project:shop\", ports: [tcp/5432]}\n"
	"  - {from: [office, host], to: web, ports: [tcp/22]}\n"
	"  - {from: web, to: [internet, dns], ports: [tcp/443, udp/53]}\n"
	"  - {from: project, to: project, values: different, ports: [icmp]}\n"
	"expect:\n"
	"  - {from: web, to: office, verdict: deny}\n"
	"  - {from: office, to: web, verdict: deny}\n";

static const struct {
	const char *from, *to, *open;
} cells[] = {
	{"web", "web", "nothing"},
	{"web", "project", "nothing"},
	{"web", "project (other)", "nothing"},
	{"web", "project:shop", "tcp/5432"},
	{"web", "internet", "tcp/443, udp/53"},
	{"web", "lan", "nothing"},
	{"web", "dns", "udp/53"},
	{"project", "project", "every port"},
	{"project", "project (other)", "icmp"},
	{"project", "project:shop", "icmp"},
	{"project:shop", "project", "every port"},	/* its own */
	{"project:shop", "project:shop", "every port"},
	{"project:shop", "project (other)", "icmp"},
	{"front", "project", "tcp/80"},
	{"front", "project (other)", "nothing"},
	{"front", "project:shop", "nothing"},
	{"project", "front", "nothing"},
	{"office", "web", "tcp/22"},
	{"host", "web", "tcp/22"},
	{"quarantine", "web", "nothing"},
	{"web", "quarantine", "nothing"},
};

static size_t end_named(const struct bh_matrix *m, const char *name)
{
	for (size_t i = 0; i < m->ends.n; i++)
		if (strcmp(m->ends.v[i].name, name) == 0)
			return i;
	fail_msg("no end %s", name);
	return 0;
}

static void what_is_open(void **state)
{
	_cleanup_(bh_policy_freep) struct bh_policy *p = NULL;
	_cleanup_(bh_matrix_freep) struct bh_matrix *m = NULL;
	struct bh_diags diags = {0};
	const struct bh_matrix_cell *c;

	(void)state;
	assert_int_equal(bh_config_parse(&(struct bh_config_text){"bulkhead.yaml", example, strlen(example)}, 1, &p, &diags), 0);
	bh_diags_clear(&diags);
	assert_int_equal(bh_matrix_new(p, &m, NULL), 0);
	for (size_t i = 0; i < BH_ARRAY_SIZE(cells); i++) {
		_cleanup_buf_ struct bh_buf b = {0};

		c = bh_matrix_at(m, end_named(m, cells[i].from), end_named(m, cells[i].to));
		bh_portset_print(&c->open, &b);
		if (strcmp(b.s, cells[i].open) != 0 || !c->ours)
			fail_msg("%s to %s: %s", cells[i].from, cells[i].to, b.s);
	}
	c = bh_matrix_at(m, end_named(m, "office"), end_named(m, "internet"));
	assert_false(c->ours);
	c = bh_matrix_at(m, end_named(m, "web"), end_named(m, "project:shop"));
	assert_int_equal(c->rules.n, 1);
	assert_int_equal(c->rules.v[0], 2);
	assert_false(m->ends.v[end_named(m, "dns")].opens);
	assert_false(m->ends.v[end_named(m, "project (other)")].opens);
}

/* What `bulkhead test FILE` prints, no line wider than 80 columns. */
static char *run(const char *text, bool json, int want)
{
	char path[] = "/tmp/bulkhead-matrix-XXXXXX", *out = NULL, *err = NULL;
	char *argv[] = {(char *)"bulkhead", (char *)"test", path, (char *)"--json"};
	int fd = mkstemp(path), code;
	size_t n;
	FILE *o = open_memstream(&out, &n), *e = open_memstream(&err, &n);

	assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
	code = bh_cli_main(json ? 4 : 3, argv, o, e);
	fclose(o);
	fclose(e);
	unlink(path);
	if (code != want)
		fail_msg("exit %d: %s%s", code, out, err);
	free(err);
	for (const char *line = out; !json && *line; line += strcspn(line, "\n") + 1) {
		char copy[512];
		wchar_t wide[512];

		snprintf(copy, sizeof(copy), "%.*s", (int)strcspn(line, "\n"), line);
		if (mbstowcs(wide, copy, 512) == (size_t)-1 || wcswidth(wide, 512) > 80)
			fail_msg("wider than 80: %s", copy);
	}
	return out;
}

static char *many_zones(size_t n)
{
	_cleanup_buf_ struct bh_buf b = {0};
	char *s;

	bh_buf_puts(&b, "version: 1\nmode: audit\nzones:\n");
	for (size_t i = 0; i < n; i++)
		bh_buf_printf(&b, "  zone-%zu: {select: {labels: {tier: t%zu}}}\n", i, i);
	bh_buf_puts(&b, "allow:\n");
	for (size_t i = 1; i < n; i++)
		bh_buf_printf(&b, "  - {from: zone-%zu, to: zone-%zu, ports: [tcp/%zu]}\n", i - 1, i, 80 + i % 5);
	assert_int_equal(bh_buf_steal(&b, &s), 0);
	return s;
}

static void how_it_is_drawn(void **state)
{
	char *twenty = many_zones(20), *sixty = many_zones(60), *out;
	json_t *doc;

	(void)state;
	out = run(example, false, 1);
	assert_non_null(strstr(out, "1 of 2 expectations hold"));
	assert_non_null(strstr(out, "office to web: tcp/22 open"));
	assert_non_null(strstr(out, "\n 4  project:shop    . * d * . . . . . .\n"));
	free(out);
	out = run(twenty, false, 0);	/* a matrix still */
	assert_non_null(strstr(out, "from the rows to the columns"));
	assert_non_null(strstr(out, "\n 1  zone-0  . a"));
	free(out);
	out = run(sixty, false, 0);	/* a list */
	assert_null(strstr(out, "from the rows to the columns"));
	assert_non_null(strstr(out, "zone-58"));
	free(out);
	out = run("version: 1\nmode: enforce\nzones: {web: {}}\n", false, 2);
	assert_non_null(strstr(out, "invalid"));
	free(out);
	out = run(example, true, 1);
	doc = json_loads(out, 0, NULL);
	assert_true(json_is_array(json_object_get(doc, "pairs")));
	assert_int_equal(json_array_size(json_object_get(doc, "expectations")), 2);
	json_decref(doc);
	free(out);
	free(twenty);
	free(sixty);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_open), cmocka_unit_test(how_it_is_drawn)};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests_name("matrix", tests, NULL, NULL);
}
