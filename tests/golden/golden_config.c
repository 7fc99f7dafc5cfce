/* SPDX-License-Identifier: Apache-2.0 */
/* golden_config CASES RULES: every folder of CASES holds a bulkhead.yaml (and perhaps a conf.d) and `expect`, the exact output of
 * reading it; one that is valid also holds printed.yaml, its canonical form. Folders called bad-* must be refused, good-* must not.
 * Every file of RULES must be valid without a warning and with its expectations. BH_GOLDEN_UPDATE=1 rewrites what is expected. */
#include <bulkhead/config.h>
#include <bulkhead/expect.h>

#include "policy_equal.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

struct result {
	int number, failed;
	bool update;
};

static void report(struct result *r, bool ok, const char *name, const char *why)
{
	printf("%s %d - %s\n", ok ? "ok" : "not ok", ++r->number, name);
	if (!ok) {
		fprintf(stderr, "%s: %s\n", name, why);
		r->failed++;
	}
	fflush(stdout);
}

static bool read_file(const char *path, struct bh_buf *out)
{
	FILE *f = fopen(path, "re");
	char chunk[4096];
	size_t n;

	if (!f)
		return false;
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		bh_buf_putn(out, chunk, n);
	fclose(f);
	bh_buf_puts(out, "");
	return out->err == 0;
}

/* Whether PATH holds TEXT; with BH_GOLDEN_UPDATE it does afterwards. */
static bool golden(const struct result *r, const char *path, const char *text)
{
	_cleanup_buf_ struct bh_buf want = {0};

	if (r->update) {
		FILE *f = fopen(path, "we");

		if (!f || fputs(text, f) < 0 || fclose(f) != 0) {
			fprintf(stderr, "%s: %s\n", path, strerror(errno));
			return false;
		}
		return true;
	}
	if (read_file(path, &want) && strcmp(want.s, text) == 0)
		return true;
	fprintf(stderr, "--- %s\n%s--- but was\n%s---\n", path, want.s ? want.s : "(missing)\n", text);
	return false;
}

/* print(p) parses to p again, and prints the same. */
static bool prints_back(const struct bh_policy *p, const char *text)
{
	_cleanup_(bh_policy_freep) struct bh_policy *again = NULL;
	_cleanup_buf_ struct bh_buf twice = {0};
	struct bh_diags diags = {0};
	bool ok;

	ok = bh_config_parse(&(struct bh_config_text){"printed.yaml", text, strlen(text)}, 1, &again, &diags) == 0 && policy_equal(p, again) &&
		bh_config_print(again, &twice) == 0 && strcmp(twice.s, text) == 0;
	if (!ok && diags.errors) {
		_cleanup_buf_ struct bh_buf b = {0};

		bh_diags_print(&diags, &b);
		fputs(b.s ? b.s : "", stderr);
	}
	bh_diags_clear(&diags);
	return ok;
}

/* What `bulkhead check` would say of PATH. The policy, or NULL when it is refused. */
static struct bh_policy *load(const char *path, struct bh_buf *said)
{
	struct bh_expect_failures failures = {0};
	struct bh_diags diags = {0};
	struct bh_policy *p = NULL;

	bh_buf_puts(said, "");
	bh_config_load(path, BH_CONFIG_CONF_D, &p, &diags);
	bh_diags_print(&diags, said);
	bh_diags_clear(&diags);
	if (p && bh_expect_check(p, &failures, NULL) == 0)
		bh_expect_print(&failures, said);
	bh_expect_failures_clear(&failures);
	return p;
}

static void run_case(struct result *r, const char *cases, const char *name)
{
	_cleanup_(bh_policy_freep) struct bh_policy *p = NULL;
	_cleanup_buf_ struct bh_buf said = {0}, text = {0};
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s/bulkhead.yaml", cases, name);
	p = load(path, &said);
	snprintf(path, sizeof(path), "%s/%s/expect", cases, name);
	if (!golden(r, path, said.s)) {
		report(r, false, name, "says something else");
	} else if (strncmp(name, "bad-", 4) == 0) {
		report(r, p == NULL && said.n > 0, name, "is not refused");
	} else if (!p) {
		report(r, false, name, "is refused");
	} else {
		snprintf(path, sizeof(path), "%s/%s/printed.yaml", cases, name);
		bh_config_print(p, &text);
		if (!golden(r, path, text.s))
			report(r, false, name, "prints something else");
		else
			report(r, prints_back(p, text.s), name, "what it prints does not parse to the same");
	}
}

static void run_rules(struct result *r, const char *rules, const char *name)
{
	_cleanup_(bh_policy_freep) struct bh_policy *p = NULL;
	_cleanup_buf_ struct bh_buf said = {0}, text = {0};
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", rules, name);
	p = load(path, &said);
	if (!p || said.n > 0) {
		fputs(said.s, stderr);
		report(r, false, name, "is not clean");
		return;
	}
	bh_config_print(p, &text);
	report(r, prints_back(p, text.s), name, "what it prints does not parse to the same");
}

static int visible(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

static int each(struct result *r, const char *dir, void (*run)(struct result *, const char *, const char *))
{
	struct dirent **names;
	int n = scandir(dir, &names, visible, alphasort);

	if (n <= 0) {
		fprintf(stderr, "%s: no cases\n", dir);
		return -1;
	}
	for (int i = 0; i < n; i++) {
		run(r, dir, names[i]->d_name);
		free(names[i]);
	}
	free(names);
	return 0;
}

int main(int argc, char **argv)
{
	struct result r = {.update = getenv("BH_GOLDEN_UPDATE") != NULL};

	if (argc != 3) {
		fprintf(stderr, "usage: golden_config CASES RULES\n");
		return 2;
	}
	if (each(&r, argv[1], run_case) < 0 || each(&r, argv[2], run_rules) < 0)
		return 2;
	printf("1..%d\n", r.number);
	return r.failed ? 1 : 0;
}
