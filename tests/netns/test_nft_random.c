/* SPDX-License-Identifier: Apache-2.0 */
/* From one random rule set to the next, 300 times: after each change the kernel holds what was wanted. The fake is led
 * through the same plans, good and broken, and takes and refuses the same ones. */
#include "nft_net.h"
#include "rsrandom.h"

#include <errno.h>

#define TRANSITIONS 300
#define BROKEN 300

static uint64_t seed(void)
{
	const char *s = getenv("BH_SEED");
	uint64_t n = s ? strtoull(s, NULL, 0) : 20261125;

	print_message("# seed %llu\n", (unsigned long long)n);
	return n ? n : 1;
}

static size_t repeats(size_t n)
{
	const char *tier = getenv("BH_TIER");

	return tier && strcmp(tier, "soak") == 0 ? n * 20 : n;
}

static struct bh_nft *fake_new(void)
{
	struct bh_nft *n = NULL;

	assert_int_equal(bh_nft_fake_new(&n), 0);
	return n;
}

static void assert_door(struct bh_nft *n, const struct bh_ruleset *wanted, const char *what)
{
	struct bh_ruleset *seen = observe(n);

	assert_same(wanted, seen, what);
	assert_same(seen, wanted, what);
	bh_ruleset_free(seen);
}

static void test_transitions(void **state)
{
	struct rng r = {seed()};
	struct bh_nft *kernel = kernel_new(), *fake = fake_new();
	size_t n = repeats(TRANSITIONS), changes = 0;

	(void)state;
	for (size_t i = 0; i < n; i++) {
		struct bh_ruleset *wanted = ruleset_random(&r), *seen = observe(kernel);
		struct bh_plan *p = plan_new(wanted, seen);
		struct bh_error err = {0};

		changes += p->changes.n;
		if (kernel->ops->apply(kernel, p, &err) < 0)
			fail_msg("transition %zu: kernel: %s\n%s", i, err.msg, ruleset_text(wanted));
		if (fake->ops->apply(fake, p, &err) < 0)
			fail_msg("transition %zu: fake: %s", i, err.msg);
		assert_door(kernel, wanted, "kernel");
		assert_door(fake, wanted, "fake");
		bh_plan_free(p);
		bh_ruleset_free(seen);
		bh_ruleset_free(wanted);
	}
	print_message("# %zu transitions, %zu changes\n", n, changes);
	bh_nft_free(kernel);
	bh_nft_free(fake);
}

/* One change dropped, said twice, or in the other order. */
static void plan_break(struct rng *r, struct bh_plan *p)
{
	size_t n = p->changes.n, i = rnd(r, (uint32_t)n);
	struct bh_change c = p->changes.v[i];

	switch (rnd(r, 3)) {
	case 0:
		bh_vec_clear(&p->changes.v[i].elems);
		memmove(&p->changes.v[i], &p->changes.v[i + 1], (n - i - 1) * sizeof(c));
		p->changes.n--;
		return;
	case 1:
		memset(&c.elems, 0, sizeof(c.elems));
		for (size_t k = 0; k < p->changes.v[i].elems.n; k++)
			assert_int_equal(bh_vec_push(&c.elems, p->changes.v[i].elems.v[k]), 0);
		assert_int_equal(bh_vec_push(&p->changes, c), 0);
		return;
	case 2:
		if (i + 1 < n) {
			p->changes.v[i] = p->changes.v[i + 1];
			p->changes.v[i + 1] = c;
		}
		return;
	}
}

static void test_broken_plans(void **state)
{
	struct rng r = {seed() ^ 0x5bd1e995};
	struct bh_nft *kernel = kernel_new(), *fake = fake_new();
	size_t n = repeats(BROKEN), refused = 0;

	(void)state;
	for (size_t i = 0; i < n; i++) {
		struct bh_ruleset *wanted = ruleset_random(&r), *seen = observe(kernel), *after, *fakes;
		struct bh_plan *p = plan_new(wanted, seen);
		struct bh_error ke = {0}, fe = {0};
		int kr, fr;

		if (p->changes.n > 0)
			plan_break(&r, p);
		kr = kernel->ops->apply(kernel, p, &ke);
		fr = fake->ops->apply(fake, p, &fe);
		if ((kr < 0) != (fr < 0) || kr != fr) {
			struct bh_buf b = {0};

			bh_plan_print(p, &b);
			fail_msg("plan %zu: kernel %d (%s), fake %d (%s)\n%s", i, kr, ke.msg, fr, fe.msg, b.s);
		}
		after = observe(kernel);
		if (kr < 0) {
			assert_same(seen, after, "after a refusal");
			refused++;
		}
		fakes = observe(fake);
		assert_same(after, fakes, "kernel and fake");
		bh_ruleset_free(fakes);
		bh_ruleset_free(after);
		bh_plan_free(p);
		bh_ruleset_free(seen);
		bh_ruleset_free(wanted);
	}
	print_message("# %zu broken plans, %zu refused by both\n", n, refused);
	assert_true(refused > n / 10 && refused < n);
	bh_nft_free(kernel);
	bh_nft_free(fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_transitions, netns_setup),
		cmocka_unit_test_setup(test_broken_plans, netns_setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
