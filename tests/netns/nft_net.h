/* SPDX-License-Identifier: Apache-2.0 */
/* A network namespace for each test, nft(8) as the oracle, and rule sets compared by their difference. */
#ifndef TESTS_NFT_NET_H
#define TESTS_NFT_NET_H

#include <bulkhead/nft.h>

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* Leaves the namespace that we are in; it ends with its last socket. */
static inline void netns_fresh(void)
{
	if (unshare(CLONE_NEWNET) < 0)
		fail_msg("unshare(CLONE_NEWNET): %m");
	/* the root namespace must never be touched by mistake */
	if (system("PATH=/usr/sbin:/sbin:/usr/bin:/bin; test -z \"$(nft list ruleset)\" && test \"$(ls /sys/class/net 2>/dev/null | wc -l)\" -ge 0") != 0)
		fail_msg("the new namespace has rules");
}

static inline int netns_setup(void **state)
{
	(void)state;
	netns_fresh();
	return 0;
}

/* Runs nft with ARGS; its output, which the caller frees. The test fails unless nft ends with STATUS. */
static inline char *nft_run(const char *args, int status)
{
	_cleanup_buf_ struct bh_buf out = {0};
	char cmd[4096], chunk[4096], *ret = NULL;
	size_t n;
	FILE *f;
	int r;

	snprintf(cmd, sizeof(cmd), "PATH=/usr/sbin:/sbin:/usr/bin:/bin; nft %s 2>&1", args);
	f = popen(cmd, "r");
	assert_non_null(f);
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		bh_buf_putn(&out, chunk, n);
	r = pclose(f);
	if (!WIFEXITED(r) || WEXITSTATUS(r) != status)
		fail_msg("nft %s: status %d, wanted %d\n%s", args, r, status, out.s ? out.s : "");
	assert_int_equal(bh_buf_steal(&out, &ret), 0);
	return ret;
}

static inline void nft_ok(const char *args)
{
	free(nft_run(args, 0));
}

static inline void nft_load(const char *text)
{
	FILE *f = popen("PATH=/usr/sbin:/sbin:/usr/bin:/bin; nft -f - 2>&1", "w");

	assert_non_null(f);
	fputs(text, f);
	if (pclose(f) != 0)
		fail_msg("nft does not load:\n%s", text);
}

static inline char *nft_list(void)
{
	return nft_run("-n -s list ruleset", 0);
}

static inline struct bh_nft *kernel_new(void)
{
	struct bh_error err = {0};
	struct bh_nft *n = NULL;

	if (bh_nft_new(&n, &err) < 0)
		fail_msg("%s", err.msg);
	return n;
}

static inline struct bh_ruleset *observe(struct bh_nft *n)
{
	struct bh_error err = {0};
	struct bh_ruleset *r = NULL;

	if (n->ops->observe(n, &r, &err) < 0)
		fail_msg("observe: %s", err.msg);
	return r;
}

static inline struct bh_plan *plan_new(const struct bh_ruleset *wanted, const struct bh_ruleset *seen)
{
	struct bh_plan *p = NULL;

	assert_int_equal(bh_diff(wanted, seen, &p), 0);
	return p;
}

static inline char *ruleset_text(const struct bh_ruleset *r)
{
	struct bh_buf b = {0};
	char *s = NULL;

	assert_int_equal(bh_ruleset_print(r, &b), 0);
	assert_int_equal(bh_buf_steal(&b, &s), 0);
	return s;
}

static inline void assert_same(const struct bh_ruleset *wanted, const struct bh_ruleset *seen, const char *what)
{
	struct bh_plan *p = plan_new(wanted, seen);
	struct bh_buf b = {0};

	if (p->changes.n > 0) {
		bh_plan_print(p, &b);
		bh_vec_foreach(c, &p->changes)
			if (c->kind == BH_FLUSH_RULES || c->kind == BH_ADD_RULES)
				bh_chain_print(c->chain, c->family, &b);
		fail_msg("%s: %zu changes:\n%s", what, p->changes.n, b.s ? b.s : "");
	}
	bh_plan_free(p);
}

/* Brings the kernel from what it holds to WANTED. */
static inline void bring(struct bh_nft *n, const struct bh_ruleset *wanted)
{
	struct bh_ruleset *seen = observe(n);
	struct bh_plan *p = plan_new(wanted, seen);
	struct bh_error err = {0};

	if (n->ops->apply(n, p, &err) < 0)
		fail_msg("apply: %s", err.msg);
	bh_plan_free(p);
	bh_ruleset_free(seen);
	seen = observe(n);
	assert_same(wanted, seen, "after apply");
	bh_ruleset_free(seen);
}

static inline char *file_read(const char *path)
{
	struct bh_buf b = {0};
	char chunk[4096], *s = NULL;
	FILE *f = fopen(path, "r");
	size_t n;

	if (!f)
		fail_msg("%s: %m", path);
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		bh_buf_putn(&b, chunk, n);
	fclose(f);
	assert_int_equal(bh_buf_steal(&b, &s), 0);
	return s;
}

static inline double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

#endif
