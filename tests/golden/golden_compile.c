/* SPDX-License-Identifier: Apache-2.0 */
/* golden_compile CASES: every folder of CASES holds bulkhead.yaml, `world` (the host, its networks and containers, one thing a
 * line) and expect.nft, the exact rule set; or expect.part, only what the configuration and the world put into it: sets that are
 * not empty and the chains of zones and limits. BH_GOLDEN_UPDATE=1 rewrites what is expected. `golden_compile --print CASE` prints the whole
 * rule set of one, for tests that load it. */
#include <bulkhead/compile.h>
#include <bulkhead/config.h>

#include "../common/world.h"

#include <dirent.h>
#include <unistd.h>

/* What the constant part has not. */
static void part_print(const struct bh_ruleset *r, struct bh_buf *out)
{
	static const char *const names[BH_FAMILY_MAX] = {"inet", "bridge", "netdev"};

	for (int f = 0; f < BH_FAMILY_MAX; f++) {
		const struct bh_table *t = &r->tables[f];

		if (t->present)
			bh_buf_printf(out, "table %s bulkhead {\n", names[f]);
		bh_vec_foreach(s, &t->sets)
			if (s->elems.n > 0 && strncmp(s->name, "casts", 5) != 0)	/* the same everywhere */
				bh_set_print(s, out);
		bh_vec_foreach(c, &t->chains)
			if (strncmp(c->name, "zone_", 5) == 0 || strncmp(c->name, "open_", 5) == 0 ||
				strncmp(c->name, "count_", 6) == 0)
				bh_chain_print(c, (enum bh_family)f, out);
		if (t->present)
			bh_buf_puts(out, "}\n");
	}
}

static void case_text(const char *dir, bool part, struct bh_buf *out)
{
	struct bh_error err = {0};
	struct bh_ruleset *rules;
	struct world w;

	world_load(&w, dir);
	rules = world_compile(&w, &err);
	if (!rules)
		bh_buf_printf(out, "%s\n", err.msg);
	else if (part)
		part_print(rules, out);
	else
		bh_ruleset_print(rules, out);
	if (out->err)
		world_die(dir, "no memory");
	bh_ruleset_free(rules);
	world_free(&w);
}

static void expect_path(const char *dir, bool part, char path[512])
{
	snprintf(path, 512, "%s/expect.%s", dir, part ? "part" : "nft");
}

static bool compare(const char *path, const char *text)
{
	_cleanup_buf_ struct bh_buf want = {0};
	char chunk[4096];
	FILE *f;
	size_t n;

	if (getenv("BH_GOLDEN_UPDATE")) {
		f = fopen(path, "we");
		if (!f || fputs(text, f) < 0 || fclose(f) != 0)
			world_die(path, strerror(errno));
		return true;
	}
	f = fopen(path, "re");
	while (f && (n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		bh_buf_putn(&want, chunk, n);
	if (f)
		fclose(f);
	if (want.s && strcmp(want.s, text) == 0)
		return true;
	fprintf(stderr, "--- %s differs; it was\n%s---\n", path, text);
	return false;
}

int main(int argc, char **argv)
{
	struct dirent **v;
	int n, number = 0, failed = 0;

	if (argc == 3 && strcmp(argv[1], "--print") == 0) {
		_cleanup_buf_ struct bh_buf text = {0};

		case_text(argv[2], false, &text);
		return fputs(text.s, stdout) < 0 || fflush(stdout) != 0;
	}
	if (argc != 2)
		world_die("usage", "golden_compile CASES | --print CASE");
	n = scandir(argv[1], &v, NULL, alphasort);
	if (n < 0)
		world_die(argv[1], strerror(errno));
	for (int i = 0; i < n; i++) {
		char dir[400], path[512];
		_cleanup_buf_ struct bh_buf text = {0};
		bool ok;

		if (v[i]->d_name[0] != '.') {
			snprintf(dir, sizeof(dir), "%s/%s", argv[1], v[i]->d_name);
			expect_path(dir, false, path);
			if (access(path, F_OK) < 0)
				expect_path(dir, true, path);
			case_text(dir, strcmp(path + strlen(path) - 5, ".part") == 0, &text);
			ok = compare(path, text.s);
			printf("%s %d - %s\n", ok ? "ok" : "not ok", ++number, v[i]->d_name);
			failed += !ok;
		}
		free(v[i]);
	}
	free(v);
	printf("1..%d\n", number);
	return failed || !number;
}
