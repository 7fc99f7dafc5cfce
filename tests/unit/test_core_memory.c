/* SPDX-License-Identifier: Apache-2.0 */
/* Every allocation of core fails once: the call says so, writes no output, leaks nothing (under ASan), and works the next time. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <bulkhead/diff.h>
#include <bulkhead/place.h>
#include <bulkhead/proof.h>

#include "modelbuild.h"
#include "rsbuild.h"
#include "../common/no_memory.h"

static void host_fill(struct bh_inventory *i, struct bh_host *h)
{
	struct bh_container *c;
	char text[64], port[BH_IFNAME];

	mb_link(h, 1, "br0", BH_LINK_BRIDGE);
	mb_network(i, "n0", "bridge", "br0");
	mb_network(i, "mv", "macvlan", NULL);
	for (int n = 0; n < 12; n++) {
		snprintf(text, sizeof(text), "c%d", n);
		c = mb_container(i, text);
		c->image = mb_dup(n % 3 ? "nginx:1@sha256:aa" : "foo");
		snprintf(text, sizeof(text), "p%d", n);
		mb_compose(c, text, "x");
		snprintf(text, sizeof(text), "10.0.0.%d", n / 2 + 1);
		mb_endpoint(c, "n0", text, (uint8_t)(n + 1));
		if (n % 4 == 0)
			mb_endpoint(c, "mv", "1.2.3.4", 1);
		snprintf(port, sizeof(port), "veth%d", n);
		mb_veth(h, 10 + n, port, 1, (uint8_t)(n + 1));
	}
	c = mb_container(i, "sharer");
	c->netmode = BH_NETMODE_CONTAINER;
	c->netns_owner = mb_dup("id-c1");
}

static void policy_fill(struct bh_policy *p)
{
	mb_match(mb_select(mb_zone(p, "image", 1)), BH_SELECT_IMAGE, NULL, "nginx:*", 2);
	mb_match(mb_select(mb_zone(p, "name", 3)), BH_SELECT_NAME, NULL, "c1*", 4);
	mb_family(p, "project", BH_PER_COMPOSE, NULL, 5);
}

/* Some are marked, some are quarantined. */
static void require_fill(struct bh_policy *p, struct bh_inventory *i)
{
	struct bh_require *r = p->require = mb_need(calloc(1, sizeof(*r)));

	for (int c = 0; c < BH_REQUIRE_MAX; c++)
		r->asked[c] = (struct bh_loc){"bulkhead.yaml", 7, 1};
	r->caps_bound = true;
	if (bh_strv_push(&r->mounts, "/etc/*") < 0 || bh_strv_push(&r->registries, "docker.io/*") < 0)
		abort();
	bh_vec_foreach(z, &p->zones)
		z->mode = z == p->zones.v ? BH_MODE_AUDIT : BH_MODE_ENFORCE;
	bh_vec_foreach(c, &i->containers) {
		struct bh_mount *m;

		c->posture.known = c != i->containers.v;
		c->posture.caps = 3;
		m = mb_need(bh_vec_add(&c->posture.mounts));
		m->source = mb_dup("/etc");
		c->posture.image.known = true;
		if (bh_strv_push(&c->posture.image.digests, "nginx@sha256:1") < 0)
			abort();
	}
}

static void placing(void **state)
{
	_cleanup_(bh_policy_freep) struct bh_policy *p = mb_need(calloc(1, sizeof(*p)));
	_cleanup_(bh_inventory_freep) struct bh_inventory *i = mb_need(calloc(1, sizeof(*i)));
	_cleanup_(bh_host_freep) struct bh_host *h = mb_need(calloc(1, sizeof(*h)));
	bool failed = true;
	long n;

	(void)state;
	policy_fill(p);
	host_fill(i, h);
	require_fill(p, i);
	for (n = 0; failed; n++) {
		struct bh_memory m = {0};
		struct bh_placement *out = NULL;
		int r;

		left = n;
		r = bh_place(p, i, h, &m, &out, NULL);
		failed = left < 0;
		left = -1;
		assert_int_equal(r, failed ? -ENOMEM : 0);
		assert_int_equal(out == NULL, failed);
		bh_placement_free(out);
		out = NULL;
		assert_int_equal(bh_place(p, i, h, &m, &out, NULL), 0);	/* what was remembered half is of use */
		assert_int_equal(m.ports.n, 12);
		bh_placement_free(out);
		bh_memory_clear(&m);
	}
	assert_true(n > 200);
}

/* Every allocation of a world's making would be too many: the first hundred, then each seventeenth. */
static void proving(void **state)
{
	_cleanup_(bh_policy_freep) struct bh_policy *p = mb_need(calloc(1, sizeof(*p)));
	_cleanup_(bh_inventory_freep) struct bh_inventory *i = mb_need(calloc(1, sizeof(*i)));
	_cleanup_(bh_host_freep) struct bh_host *h = mb_need(calloc(1, sizeof(*h)));
	_cleanup_(bh_placement_freep) struct bh_placement *placement = NULL;
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *seen = NULL;
	const struct bh_features features = {0};
	struct bh_compile_input in = {.policy = p, .inventory = i, .host = h, .features = &features};
	struct bh_memory m = {0};
	bool failed = true;
	long n;

	(void)state;
	policy_fill(p);
	host_fill(i, h);
	assert_int_equal(bh_place(p, i, h, &m, &placement, NULL), 0);
	in.placement = placement;
	assert_int_equal(bh_compile(&in, &seen, NULL), 0);
	for (n = 0; failed; n += n < 100 ? 1 : 17) {
		_cleanup_(bh_proof_freep) struct bh_proof *proof = NULL;
		_cleanup_(bh_ruleset_freep) struct bh_ruleset *copy = NULL;
		_cleanup_(bh_strv_clear) struct bh_strv left_out = {0};
		int r;

		left = n;
		r = bh_proof_new(p, placement, i, h, &features, true, &proof, NULL);
		if (r == 0)
			r = bh_proof_rules(proof, seen, true, &copy, &left_out);
		failed = left < 0;
		left = -1;
		assert_int_equal(r, failed ? -ENOMEM : 0);
	}
	assert_true(n > 1000);
	bh_memory_clear(&m);
}

static struct bh_ruleset *side(unsigned q)
{
	struct bh_ruleset *r = rs_new();
	struct bh_table *t = &r->tables[BH_FAMILY_INET];
	struct bh_set *s = rs_set(t, "s", FIELDS(BH_IP_SADDR), BH_DATA_PRIORITY, 0);
	char text[64], name[BH_NAME];

	t->present = true;
	for (unsigned k = 0; k < 30; k++) {
		snprintf(text, sizeof(text), "10.0.%u.%u", q, k);
		rs_elem_value(s, text, k);
	}
	for (unsigned k = 0; k < 5; k++) {
		snprintf(name, sizeof(name), "c%u", k + 3 * q);
		rs_match(rs_rule(rs_chain(t, name)), BH_TCP_FLAGS, BH_MASK_EQ, "2", "3");
	}
	bh_ruleset_sort(r);
	return r;
}

static void comparing_and_printing(void **state)
{
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *w = side(0);
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *s = side(1);
	bool failed = true;
	long n;

	(void)state;
	for (n = 0; failed; n++) {
		_cleanup_(bh_plan_freep) struct bh_plan *p = NULL;
		_cleanup_buf_ struct bh_buf plan = {0}, text = {0};
		struct bh_chain copy = {0};
		int r;

		left = n;
		r = bh_diff(w, s, &p);
		if (r == 0)
			r = bh_plan_print(p, &plan);
		if (r == 0)
			r = bh_ruleset_print(w, &text);
		if (r == 0)
			r = bh_chain_copy(&copy, &w->tables[BH_FAMILY_INET].chains.v[0]);
		failed = left < 0;
		left = -1;
		assert_int_equal(r, failed ? -ENOMEM : 0);
		bh_chain_clear(&copy);
	}
	assert_true(n > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(placing),
		cmocka_unit_test(proving),
		cmocka_unit_test(comparing_and_printing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
