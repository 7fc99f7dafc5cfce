/* SPDX-License-Identifier: Apache-2.0 */
/* What is suggested, as text; and that the text, in the file, opens what was seen between zones and nothing of what must not be. */
#include <bulkhead/allow.h>
#include <bulkhead/config.h>
#include <bulkhead/suggest.h>

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "configbuild.h"
#include "modelbuild.h"

static const char text[] = "version: 1\nmode: audit\nzones:\n"
			   "  web: {select: {name: web}}\n"
			   "  db: {select: {name: db}}\n"
			   "  shop-api: {select: {name: taken}}\n"
			   "  project: {per: compose}\n"
			   "allow:\n"
			   "  - {from: web, to: db, ports: [tcp/80]}\n"
			   "expect:\n"
			   "  - {from: containers, to: host, verdict: deny}\n";

struct fixture {
	struct bh_policy *p;
	struct bh_inventory i;
	struct bh_host h;
	struct bh_memory memory;
	struct bh_placement *placement;
	BH_VEC(struct bh_denied_flow) flows;
};

static int setup(void **state)
{
	struct fixture *f = mb_need(calloc(1, sizeof(*f)));

	f->p = cb_parse("bulkhead.yaml", text);
	for (const char *name = "ab"; *name; name++)
		mb_compose(mb_container(&f->i, name), (const char[]){*name, 0}, "s");
	if (bh_place(f->p, &f->i, &f->h, &f->memory, &f->placement, NULL) < 0)
		return -1;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	bh_placement_free(f->placement);
	bh_memory_clear(&f->memory);
	bh_policy_free(f->p);
	bh_vec_foreach(c, &f->i.containers)
		bh_container_clear(c);
	bh_vec_clear(&f->i.containers);
	bh_vec_clear(&f->flows);
	free(f);
	return 0;
}

static const struct bh_stray strays[] = {
	{"shop-api-1", "api:1", "shop", "api"}, {"shop-db-1", "postgres:16", "shop", "db"}, {"shop-w1-1", "w", "shop", "w1"},
	{"shop-w2-1", "w", "shop", "w2"}, {"shop-front-1", "f", "shop", "front"}, {"lone", "busybox", NULL, NULL},
	{"jolly_hopper", "alpine:3", NULL, NULL}, {"shop-api-2", "api:1", "shop", "api"}, {"wild", NULL, "a*", "x"},
	{"another", "x", "another-project-with-a-long-name", "Api_2"},
};

static const struct bh_stray *stray(const char *name)
{
	for (size_t i = 0; i < BH_ARRAY_SIZE(strays); i++)
		if (strcmp(strays[i].name, name) == 0)
			return &strays[i];
	return NULL;
}

/* Ends are zones or strays. */
static void flow(struct fixture *f, const char *from, const char *to, const char *port)
{
	struct bh_denied_flow x = {.from_stray = stray(from), .to_stray = stray(to), .from_name = from, .to_name = to, .when = "would be denied 3 times"};

	bh_vec_foreach(i, &f->placement->insts) {
		if (strcmp(i->name, x.from_stray ? "quarantine" : from) == 0)
			x.from = i;
		if (strcmp(i->name, x.to_stray ? "quarantine" : to) == 0)
			x.to = i;
	}
	assert_non_null(x.from);
	assert_non_null(x.to);
	assert_int_equal(bh_port_parse(port, &x.port), 0);
	assert_int_equal(bh_vec_push(&f->flows, x), 0);
}

/* Without comments. */
static char *bare(const char *yaml)
{
	_cleanup_buf_ struct bh_buf b = {0};
	char *ret = NULL;

	for (const char *line = yaml ? yaml : ""; *line;) {
		size_t n = strcspn(line, "\n") + 1;

		if (strncmp(line, "  #", 3) != 0)
			bh_buf_putn(&b, line, n);
		line += n;
	}
	assert_int_equal(bh_buf_steal(&b, &ret), 0);
	return ret;
}

static void assert_suggests(struct fixture *f, const char *zones, const char *rules, struct bh_suggestion *ret)
{
	_cleanup_free_ char *z = NULL, *r = NULL;
	_cleanup_buf_ struct bh_buf whole = {0};
	struct bh_policy *p;

	assert_int_equal(bh_suggest(f->p, f->flows.v, f->flows.n, ret), 0);
	z = bare(ret->zones.s);
	r = bare(ret->rules.s);
	if (zones)
		assert_string_equal(z, zones);
	assert_string_equal(r, rules);
	/* a whole file that is valid */
	assert_int_equal(bh_config_print_with(f->p, ret->zones.s, ret->rules.s, &whole), 0);
	p = cb_parse("bulkhead.yaml", whole.s);
	assert_int_equal(p->zones.n, f->p->zones.n + ret->n_zones);
	assert_int_equal(p->allow.n, f->p->allow.n + ret->n_rules);
	bh_policy_free(p);
	for (const char *line = ret->rules.s ? ret->rules.s : ""; *line; line += strcspn(line, "\n") + 1)
		assert_true(strncmp(line, "  #", 3) != 0 || strcspn(line, "\n") <= 80);
}

static void services_become_zones(void **state)
{
	struct fixture *f = *state;
	struct bh_suggestion s;

	flow(f, "internet", "shop-front-1", "tcp/80");
	flow(f, "lan", "shop-front-1", "tcp/80");
	flow(f, "shop-front-1", "shop-api-1", "tcp/8080");
	flow(f, "shop-front-1", "shop-api-2", "tcp/8080");	/* the same service */
	flow(f, "shop-api-1", "shop-db-1", "tcp/5432");
	flow(f, "shop-w1-1", "shop-db-1", "tcp/5432");	/* two that do the same */
	flow(f, "shop-w2-1", "shop-db-1", "tcp/5432");
	flow(f, "shop-api-1", "dns", "udp/53");
	assert_suggests(f,
		"  shop-api-2:\n    select: {compose: shop/api}\n"
		"  shop-db:\n    select: {compose: shop/db}\n"
		"  shop-front:\n    select: {compose: shop/front}\n"
		"  shop-w1:\n    select: {compose: [shop/w1, shop/w2]}\n",
		"  - {from: world, to: shop-front, ports: [tcp/80]}\n"
		"  - {from: shop-api-2, to: dns, ports: [udp/53]}\n"
		"  - {from: [shop-api-2, shop-w1], to: shop-db, ports: [tcp/5432]}\n"
		"  - {from: shop-front, to: shop-api-2, ports: [tcp/8080]}\n", &s);
	assert_non_null(strstr(s.rules.s, "  # shop-w1-1 to shop-db-1 tcp/5432: would be denied 3 times\n"));
	bh_suggestion_clear(&s);
}

/* Those that talk to each other are not one, nor those with other needs, nor of another project. */
static void who_is_not_the_same(void **state)
{
	struct fixture *f = *state;
	struct bh_suggestion s;

	flow(f, "shop-w1-1", "shop-db-1", "tcp/5432");
	flow(f, "shop-w2-1", "shop-db-1", "tcp/5432");
	flow(f, "shop-w1-1", "shop-w2-1", "tcp/1");
	flow(f, "shop-w2-1", "shop-w1-1", "tcp/1");
	flow(f, "shop-api-1", "shop-db-1", "tcp/5433");
	flow(f, "shop-front-1", "shop-db-1", "tcp/5432");
	assert_int_equal(bh_suggest(f->p, f->flows.v, f->flows.n, &s), 0);
	assert_int_equal(s.n_zones, 5);
	bh_suggestion_clear(&s);
}

static void names_and_selectors(void **state)
{
	struct fixture *f = *state;
	struct bh_suggestion s;

	flow(f, "lone", "db", "tcp/1");
	flow(f, "jolly_hopper", "db", "tcp/2");
	flow(f, "wild", "db", "tcp/3");
	flow(f, "another", "db", "tcp/4");
	assert_suggests(f,
		"  api-2:\n    select: {compose: \"another-project-with-a-long-name/Api_2\"}\n"
		"  jolly-hopper:\n    select: {name: jolly_hopper}\n"
		"  lone:\n    select: {name: lone}\n",
		"  - {from: api-2, to: db, ports: [tcp/4]}\n"
		"  - {from: jolly-hopper, to: db, ports: [tcp/2]}\n"
		"  - {from: lone, to: db, ports: [tcp/1]}\n", &s);
	assert_non_null(strstr(s.zones.s, "  # if Docker made this name up, select: {image: \"alpine:3\"}\n  jolly-hopper:"));
	assert_non_null(strstr(s.zones.s, "  # no selector can name wild and nobody else"));
	bh_suggestion_clear(&s);
}

static void few_ports_and_many(void **state)
{
	struct fixture *f = *state;
	struct bh_suggestion s;
	char port[16];

	for (int i = 0; i < 8; i++) {
		snprintf(port, sizeof(port), "tcp/%d", 100 + 10 * i);
		flow(f, "web", "project:a", port);
	}
	for (int i = 0; i < 9; i++) {
		snprintf(port, sizeof(port), "udp/%d", 100 + 10 * i);
		flow(f, "web", "project:a", port);
	}
	flow(f, "db", "project:a", "tcp/7");
	flow(f, "db", "project:a", "tcp/8");
	flow(f, "db", "project:a", "icmp");
	flow(f, "project:b", "project:b", "tcp/5432");
	flow(f, "project:a", "project:b", "tcp/5432");
	flow(f, "web", "db", "tcp/80");	/* is open */
	assert_suggests(f, "",
		"  - {from: db, to: \"project:a\", ports: [icmp, tcp/7-8]}\n"
		"  - {from: project, to: project, ports: [tcp/5432]}\n"
		"  - {from: \"project:a\", to: \"project:b\", ports: [tcp/5432]}\n"
		"  - {from: web, to: \"project:a\", ports: [tcp/100, tcp/110, tcp/120, tcp/130, tcp/140, tcp/150, tcp/160, tcp/170, udp]}\n", &s);
	bh_suggestion_clear(&s);
}

/* Never unasked, and never against what is expected; but told. */
static void what_is_not_opened(void **state)
{
	struct fixture *f = *state;
	struct bh_suggestion s;

	flow(f, "web", "metadata", "tcp/80");
	flow(f, "web", "quarantine", "tcp/80");
	flow(f, "quarantine", "web", "tcp/80");
	flow(f, "web", "host", "tcp/22");
	flow(f, "lone", "host", "tcp/22");
	flow(f, "lan", "internet", "tcp/22");
	assert_suggests(f, "  lone:\n    select: {name: lone}\n", "", &s);
	assert_int_equal(s.n_rules, 0);
	assert_non_null(strstr(s.rules.s, "  # web to metadata tcp/80: would be denied 3 times; not opened: metadata"));
	assert_non_null(strstr(s.rules.s, "# web to quarantine tcp/80"));
	assert_non_null(strstr(s.rules.s, "not opened: the expectation at bulkhead.yaml:11 wants it denied\n  #   - {from: lone, to: host, ports: [tcp/22]}\n"));
	bh_suggestion_clear(&s);
}

static void nothing(void **state)
{
	struct fixture *f = *state;
	struct bh_suggestion s;

	assert_suggests(f, "", "", &s);
	assert_null(s.zones.s);
	assert_null(s.rules.s);
	bh_suggestion_clear(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(services_become_zones, setup, teardown),
		cmocka_unit_test_setup_teardown(who_is_not_the_same, setup, teardown),
		cmocka_unit_test_setup_teardown(names_and_selectors, setup, teardown),
		cmocka_unit_test_setup_teardown(few_ports_and_many, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_not_opened, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing, setup, teardown),
	};

	return cmocka_run_group_tests_name("suggest", tests, NULL, NULL);
}
