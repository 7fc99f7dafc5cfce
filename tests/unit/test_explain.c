/* SPDX-License-Identifier: Apache-2.0 */
/* What `explain` answers on the host of tests/golden/compile/skeleton, with its rule set in the kernel (a fake), and with another one. That the
 * judge is right is seen by test_walk.c and, with packets, by tests/integration/test_explain.py. */
#include "../../src/daemon/manager.h"

#include <bulkhead/diff.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../common/world.h"

struct fixture {
	struct world w;
	struct bh_manager m;
};

/* The fake kernel holds WANTED. */
static void hold(struct bh_manager *m, const struct bh_ruleset *wanted)
{
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *seen = NULL;
	_cleanup_(bh_plan_freep) struct bh_plan *plan = NULL;
	struct bh_error err = {0};

	assert_int_equal(m->nft->ops->observe(m->nft, &seen, &err), 0);
	assert_int_equal(bh_diff(wanted, seen, &plan), 0);
	if (m->nft->ops->apply(m->nft, plan, &err) < 0)
		fail_msg("%s", err.msg);
}

/* Who is there in another way: on the host's network, in somebody else's, without one, on a network that is no bridge, and one whose port is not there
 * yet. */
static void unenforced_add(struct bh_inventory *i)
{
	struct bh_container *c = mb_container(i, "hosty");

	c->netmode = BH_NETMODE_HOST;
	mb_label(c, "tier", "web");
	c = mb_container(i, "sidecar");
	c->netmode = BH_NETMODE_CONTAINER;
	c->netns_owner = mb_dup("id-web1");
	c = mb_container(i, "lonely");
	c->netmode = BH_NETMODE_NONE;
	mb_label(c, "tier", "web");
	mb_network(i, "lan", "macvlan", NULL);
	c = mb_container(i, "vlan1");
	mb_label(c, "tier", "web");
	mb_endpoint(c, "lan", "192.168.7.7", 77);
	c = mb_container(i, "early");
	mb_label(c, "tier", "web");
	mb_endpoint(c, "bridge", "10.111.0.77", 78);
}

static int setup(void **state)
{
	static struct fixture f;
	struct bh_error err = {0};

	memset(&f, 0, sizeof(f));
	world_load(&f.w, CASES "/skeleton");
	unenforced_add(f.w.inventory);
	f.m.round.wanted = world_compile(&f.w, &err);
	f.m.round.inventory = f.w.inventory;
	f.m.round.placement = f.w.placement;
	f.m.round.policy = f.w.policy;
	f.m.config.policy = f.w.policy;
	f.m.seen.host = f.w.host;
	f.m.features = f.w.features;
	f.m.verified = f.m.started = true;
	if (bh_nft_fake_new(&f.m.nft) < 0 || bh_tc_fake_new(&f.m.tc) < 0)
		return -1;
	hold(&f.m, f.m.round.wanted);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	bh_judge_free(f->m.round.judge);
	bh_ruleset_free(f->m.round.wanted);
	bh_nft_free(f->m.nft);
	bh_tc_free(f->m.tc);
	world_free(&f->w);
	return 0;
}

static json_t *ask(struct fixture *f, const char *from, const char *to, const char *port, int want, struct bh_error *err)
{
	json_t *request = json_pack("{s:s, s:s, s:s*}", "from", from, "to", to, "port", port), *doc = NULL;
	int r = bh_explain(&f->m, request, &doc, err);

	json_decref(request);
	if (r != want)
		fail_msg("%s %s %s: %d, %s", from, to, port ? port : "", r, err->msg);
	return doc;
}

static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static const struct {
	const char *from, *to, *port, *verdict;
	size_t ways;
	const char *reason;	/* of the first way, a part of it */
	const char *advice;	/* a part of it, or NULL */
} cases[] = {
	{"web1", "api1", "tcp/8080", "accept", 2, "bulkhead.yaml:14 opens it", NULL},
	{"web1", "api1", "tcp/9500", "accept", 2, "bulkhead.yaml:14", NULL},
	{"web1", "api1", "icmp", "accept", 2, "bulkhead.yaml:14", NULL},
	{"web1", "api1", "tcp/8081", "deny", 2, "no rule opens tcp/8081 from web to api", "{from: web, to: api, ports: [tcp/8081]}"},
	{"api1", "web1", "tcp/8080", "deny", 2, "no rule", "{from: api, to: web, ports: [tcp/8080]}"},
	{"web1", "db1", "tcp/5432", "audit", 2, "in audit it passes", "{from: web, to: db, ports: [tcp/5432]}"},
	{"id-web1", "api1", "tcp/8080", "", 0, "", NULL},	/* no id of hexadecimal digits */
	{"10.111.0.11", "10.111.0.12", "tcp/8080", "accept", 1, "bulkhead.yaml:14", NULL},
	{"web", "api", "tcp/8080", "accept", 1, "bulkhead.yaml:14", NULL},
	{"api1", "198.51.100.53", "tcp/53", "accept", 1, "as a resolver", NULL},
	{"web1", "dns", "udp/53", "accept", 2, "bulkhead.yaml:16", NULL},
	{"web1", "metadata", "tcp/80", "deny", 2, "no rule", "'to: metadata'"},
	{"web1", "169.254.169.254", "tcp/80", "deny", 1, "no rule", "'to: metadata'"},
	{"quar1", "web1", "tcp/80", "deny", 2, "from quarantine to web", "quarantine gets nothing"},
	{"10.111.0.99", "web1", "tcp/80", "deny", 1, "the sender is nobody", "nobody"},
	{"pa1", "pa2", "tcp/1", "accept", 2, "bulkhead.yaml:20", NULL},
	{"pa1", "pb1", "tcp/1", "deny", 2, "no rule", "{from: \"project:a\", to: \"project:b\", ports: [tcp/1]}"},
	{"host", "web1", "tcp/80", "accept", 2, "bulkhead.yaml:17", NULL},
	{"host", "db1", "tcp/5432", "audit", 2, "docker-proxy's own connection", "{from: host, to: db, ports: [tcp/5432]}"},
	{"internet", "host", "tcp/8080", "accept", 2, "bulkhead.yaml:13", NULL},	/* published */
	{"internet", "host", "tcp/9090", "deny", 2, "no rule opens tcp/9090 from internet to web", "{from: internet, to: web, ports: [tcp/9090]}"},
	{"internet", "host", "tcp/22", "accept", 2, "does not decide", NULL},
	{"office", "203.0.113.1", "tcp/22", "accept", 1, "does not decide", NULL},
	{"web1", "web1", "tcp/80", "accept", 2, "one network namespace", NULL},
	{"hosty", "web1", "tcp/80", "accept", 2, "bulkhead.yaml:17", NULL},	/* counts as the host */
	{"hosty", "web1", "tcp/81", "deny", 2, "from host to web", "{from: host, to: web, ports: [tcp/81]}"},
	{"sidecar", "api1", "tcp/8080", "accept", 2, "bulkhead.yaml:14", NULL},	/* as web1, whose network it has */
	{"sidecar", "web1", "tcp/80", "accept", 2, "one network namespace", NULL},
	{"lonely", "web1", "tcp/80", "deny", 0, "", NULL},
	{"vlan1", "web1", "tcp/80", "deny", 1, "no rule opens tcp/80 from lan to web", "{from: lan, to: web, ports: [tcp/80]}"},
	{"early", "web1", "tcp/80", "deny", 1, "the sender is nobody", "nobody"},
	{"web1", "early", "tcp/80", "deny", 1, "the receiver is nobody", "nobody"},
	{"web4", "2001:db8:d0::c", "tcp/8080", "deny", 0, "", NULL},	/* has no address of that family */
};

static void answers(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < BH_ARRAY_SIZE(cases); i++) {
		struct bh_error err = {0};
		json_t *doc = ask(f, cases[i].from, cases[i].to, cases[i].port, *cases[i].verdict ? 0 : -ENOENT, &err), *way, *advice;
		const char *said;

		if (!doc)
			continue;
		way = json_array_get(json_object_get(doc, "ways"), 0);
		advice = json_object_get(doc, "advice");
		said = *text(advice, "line") ? text(advice, "line") : text(advice, "why");
		if (strcmp(text(doc, "verdict"), cases[i].verdict) != 0 || json_array_size(json_object_get(doc, "ways")) != cases[i].ways ||
			!strstr(text(way, "reason"), cases[i].reason) || (cases[i].advice ? !strstr(said, cases[i].advice) : *said != '\0'))
			fail_msg("%s %s %s: %s", cases[i].from, cases[i].to, cases[i].port, json_dumps(doc, JSON_INDENT(1)));
		json_decref(doc);
	}
}

static const struct {
	const char *from, *to, *port, *says;
	int r;
} wrong[] = {
	{"wbe1", "api1", "tcp/80", "did you mean 'web1'?", -ENOENT},
	{"offcie", "web1", "tcp/80", "did you mean 'office'?", -ENOENT},
	{"nothing-like-it", "web1", "tcp/80", "name a container", -ENOENT},
	{"web1", "world", "tcp/80", "ask for one zone", -ENOENT},
	{"web1", "app", "tcp/80", "more than one container", -ENOENT},
	{"web1", "api1", "tcp/80-90", "more than one port", -EINVAL},
	{"web1", "api1", "tcp", "say tcp/80", -EINVAL},
	{"web1", "api1", "http", "is no port", -EINVAL},
};

static void wrong_questions(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < BH_ARRAY_SIZE(wrong); i++) {
		struct bh_error err = {0};

		assert_null(ask(f, wrong[i].from, wrong[i].to, wrong[i].port, wrong[i].r, &err));
		if (!strstr(err.msg, wrong[i].says))
			fail_msg("%s %s %s: %s", wrong[i].from, wrong[i].to, wrong[i].port, err.msg);
	}
}

/* What the kernel holds decides: an element that is missing denies, one that nobody wanted opens. */
static void by_the_kernel(void **state)
{
	struct fixture *f = *state;
	struct bh_set *ports = NULL;
	struct bh_error err = {0};
	struct bh_elem *e;
	struct world other;
	struct bh_ruleset *rs;
	json_t *doc;

	world_load(&other, CASES "/skeleton");
	rs = world_compile(&other, &err);
	bh_vec_foreach(s, &rs->tables[BH_FAMILY_INET].sets)
		if (strncmp(s->name, "ports_", 6) == 0 && strstr(s->name, "_web"))
			ports = s;
	assert_non_null(ports);
	bh_vec_foreach(x, &ports->elems)	/* id . tcp . 8080: 4 + 4 + 4 bytes */
		if (x->key[4] == 6 && x->key[8] == 8080 >> 8 && x->key[9] == (8080 & 0xff)) {
			e = x;
			e->key[9] = 8081 & 0xff;
		}
	bh_ruleset_sort(rs);
	hold(&f->m, rs);
	doc = ask(f, "web1", "api1", "tcp/8080", 0, &err);
	assert_string_equal(text(doc, "verdict"), "deny");
	assert_non_null(strstr(text(json_array_get(json_object_get(doc, "ways"), 0), "reason"), "the kernel does not hold"));
	json_decref(doc);
	doc = ask(f, "web1", "api1", "tcp/8081", 0, &err);
	assert_string_equal(text(doc, "verdict"), "accept");
	assert_non_null(strstr(text(json_array_get(json_object_get(doc, "ways"), 0), "reason"), "no rule opens it, but the kernel"));
	json_decref(doc);
	bh_ruleset_free(rs);
	world_free(&other);
	hold(&f->m, f->m.round.wanted);
}

static void without_a_port(void **state)
{
	struct fixture *f = *state;
	struct bh_error err = {0};
	json_t *doc = ask(f, "web1", "api1", NULL, 0, &err), *way = json_array_get(json_object_get(doc, "ways"), 0);

	assert_string_equal(text(doc, "verdict"), "deny");	/* not everything */
	assert_int_equal(json_array_size(json_object_get(way, "open")), 4);
	json_decref(doc);
	doc = ask(f, "pa1", "pa2", NULL, 0, &err);
	assert_string_equal(text(doc, "verdict"), "accept");
	json_decref(doc);
	doc = ask(f, "internet", "host", NULL, 0, &err);
	way = json_array_get(json_object_get(doc, "ways"), 0);
	assert_true(json_array_size(json_object_get(way, "published")) > 2);
	json_decref(doc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(answers, setup, teardown),
		cmocka_unit_test_setup_teardown(wrong_questions, setup, teardown),
		cmocka_unit_test_setup_teardown(by_the_kernel, setup, teardown),
		cmocka_unit_test_setup_teardown(without_a_port, setup, teardown),
	};

	return cmocka_run_group_tests_name("explain", tests, NULL, NULL);
}
