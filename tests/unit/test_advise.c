/* SPDX-License-Identifier: Apache-2.0 */
/* The line that is proposed, added to the file, opens what was asked for and nothing else: asked of every pair of zones. */
#include <bulkhead/advise.h>
#include <bulkhead/allow.h>
#include <bulkhead/config.h>

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "configbuild.h"
#include "modelbuild.h"

static const char head[] = "version: 1\nmode: enforce\nzones:\n"
			   "  web: {select: {name: web}}\n"
			   "  db: {select: {name: db}}\n"
			   "  'no': {select: {name: x}}\n"
			   "  1: {select: {name: y}}\n"
			   "  project: {per: compose}\n"
			   "  front: {per: compose, priority: 5, select: {labels: {public: 'true'}}}\n"
			   "  team: {per: 'label:team'}\n"
			   "  office: {cidrs: [203.0.113.0/24]}\n"
			   "  vpn: {interfaces: [wg0]}\n"
			   "expect:\n"
			   "  - {from: web, to: db, ports: [tcp/22], verdict: deny}\n"
			   "  - {from: web, to: db, ports: [tcp/80], verdict: accept}\n"
			   "allow:\n"
			   "  - {from: web, to: db, ports: [tcp/80]}\n"
			   "  - {from: project, to: project, ports: [udp]}\n"
			   "  - {from: db, to: dns}\n";

static struct bh_policy *parse(const char *line)
{
	_cleanup_buf_ struct bh_buf text = {0};

	bh_buf_printf(&text, "%s%s\n", head, line);
	return cb_parse("bulkhead.yaml", text.s);
}

struct fixture {
	struct bh_policy *p;
	struct bh_inventory i;
	struct bh_host h;
	struct bh_memory memory;
	struct bh_placement *placement;
};

/* Two values in each family, of which strangers chose some. */
static int setup(void **state)
{
	static const char *const teams[] = {"a: {b}", "tab\t\"quote\" # \xc3\xa9\xe2\x80\xae", "-", "true"};
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	f.p = parse("");
	for (size_t i = 0; i < BH_ARRAY_SIZE(teams); i++)
		mb_label(mb_container(&f.i, teams[i]), "team", teams[i]);
	for (const char *name = "ab"; *name; name++)
		for (int front = 0; front < 2; front++) {
			const char project[] = {*name, 0};
			struct bh_container *c = mb_container(&f.i, front ? "front" : "back");

			mb_compose(c, project, "s");
			if (front)
				mb_label(c, "public", "true");
		}
	if (bh_place(f.p, &f.i, &f.h, &f.memory, &f.placement, NULL) < 0)
		return -1;
	*state = &f;
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
	return 0;
}

static const struct bh_zone_inst *inst(const struct fixture *f, const char *name)
{
	bh_vec_foreach(i, &f->placement->insts)
		if (strcmp(i->name, name) == 0)
			return i;
	fail_msg("no zone %s", name);
	return NULL;
}

/* "tcp/5432"; "" is everything. */
static const struct bh_port *port_of(const char *text, struct bh_port *buf)
{
	if (!*text)
		return NULL;
	assert_int_equal(bh_port_parse(text, buf), 0);
	return buf;
}

static const struct {
	const char *from, *to, *port, *line;
} lines[] = {
	{"web", "db", "tcp/5432", "  - {from: web, to: db, ports: [tcp/5432]}"},
	{"web", "db", "", "  - {from: web, to: db}"},
	{"web", "db", "icmp", "  - {from: web, to: db, ports: [icmp]}"},
	{"web", "web", "esp", "  - {from: web, to: web, ports: [esp]}"},
	{"no", "1", "tcp/1", "  - {from: \"no\", to: \"1\", ports: [tcp/1]}"},
	{"project:a", "project:a", "tcp/1", "  - {from: project, to: project, ports: [tcp/1]}"},
	{"front:a", "project:a", "tcp/1", "  - {from: front, to: project, ports: [tcp/1]}"},
	{"project:a", "project:b", "tcp/1", "  - {from: \"project:a\", to: \"project:b\", ports: [tcp/1]}"},
	{"project:a", "db", "tcp/1", "  - {from: \"project:a\", to: db, ports: [tcp/1]}"},
	{"lan", "team:-", "tcp/1", "  - {from: lan, to: \"team:-\", ports: [tcp/1]}"},
	{"host", "web", "tcp/1", "  - {from: host, to: web, ports: [tcp/1]}"},
	{"build", "internet", "tcp/443", "  - {from: build, to: internet, ports: [tcp/443]}"},
	{"web", "dns", "udp/53", "  - {from: web, to: dns, ports: [udp/53]}"},
	{"web", "dns", "", "  - {from: web, to: dns}"},
	{"web", "vpn", "tcp/1", "  - {from: web, to: vpn, ports: [tcp/1]}"},
};

static void the_line(void **state)
{
	const struct fixture *f = *state;

	for (size_t i = 0; i < BH_ARRAY_SIZE(lines); i++) {
		struct bh_advice a;
		struct bh_port port;

		assert_int_equal(bh_advise(f->p, inst(f, lines[i].from), inst(f, lines[i].to), port_of(lines[i].port, &port), &a), 0);
		assert_int_equal(a.kind, BH_ADVICE_LINE);
		assert_string_equal(a.line, lines[i].line);
		bh_advice_clear(&a);
	}
}

/* "tcp/80, udp" that P opens from A to B. */
static void open_text(const struct bh_policy *p, const struct bh_zone_inst *a, const struct bh_zone_inst *b, const struct bh_port *more,
	char ret[256])
{
	const struct bh_end from = {a->zone, a->builtin, a->value}, to = {b->zone, b->builtin, b->value};
	_cleanup_buf_ struct bh_buf text = {0};
	struct bh_allow_index index = {0};
	struct bh_portset open = {0};
	struct bh_allows allows = {0};

	assert_int_equal(bh_allow_expand(p, p->allow.v, p->allow.n, &allows, NULL), 0);
	assert_int_equal(bh_allow_index_make(&allows, &index), 0);
	assert_int_equal(bh_allow_open(p->allow.v, &index, &from, &to, &open), 0);
	if (more)
		assert_int_equal(bh_portset_add(&open, more), 0);
	bh_portset_print(&open, &text);
	snprintf(ret, 256, "%s", text.s);
	bh_portset_clear(&open);
	bh_allow_index_clear(&index);
	bh_allows_clear(&allows);
}

/* Of two families with the same `per`, with equal values. */
static bool is_equal_pair(const struct bh_zone_inst *a, const struct bh_zone_inst *b)
{
	return a->value && b->value && strcmp(a->value, b->value) == 0 && (strncmp(a->name, "team:", 5) == 0) == (strncmp(b->name, "team:", 5) == 0);
}

/* Adds the LINE for FROM and TO to the file: the ports that it opens between each two zones are those before, and, between those that are meant, PORT. */
static void prove(const struct fixture *f, const char *line, const struct bh_zone_inst *from, const struct bh_zone_inst *to,
	const struct bh_port *port)
{
	struct bh_policy *after = parse(line);
	const bool equal = is_equal_pair(from, to);

	bh_vec_foreach(a, &f->placement->insts)
		bh_vec_foreach(b, &f->placement->insts) {
			bool meant = equal ? a->zone == from->zone && b->zone == to->zone && is_equal_pair(a, b) : a == from && b == to;
			char want[256], have[256];

			open_text(f->p, a, b, meant ? port : NULL, want);
			open_text(after, a, b, NULL, have);
			if (strcmp(want, have) != 0)
				fail_msg("%s: %s to %s: %s, not %s", line, a->name, b->name, have, want);
		}
	bh_policy_free(after);
}

static void the_line_opens_exactly_that(void **state)
{
	static const char *const ports[] = {"tcp/5432", "udp/53", "icmp", "ip/99"};
	const struct fixture *f = *state;
	size_t proved = 0;

	bh_vec_foreach(a, &f->placement->insts)
		bh_vec_foreach(b, &f->placement->insts)
			for (size_t i = 0; i < BH_ARRAY_SIZE(ports); i++) {
				struct bh_advice advice;
				struct bh_port port;
				char open[256], with[256];

				assert_int_equal(bh_advise(f->p, a, b, port_of(ports[i], &port), &advice), 0);
				open_text(f->p, a, b, NULL, open);
				open_text(f->p, a, b, &port, with);
				assert_int_equal(advice.kind == BH_ADVICE_OPEN, strcmp(open, with) == 0);
				assert_int_equal(advice.kind == BH_ADVICE_LINE, advice.line != NULL);
				assert_int_equal(advice.kind == BH_ADVICE_NONE, advice.why != NULL);
				if (advice.line && i == (size_t)(a + 3 * (b - f->placement->insts.v) - f->placement->insts.v) % BH_ARRAY_SIZE(ports)) {
					prove(f, advice.line, a, b, &port);
					proved++;
				}
				bh_advice_clear(&advice);
			}
	assert_true(proved > 150);
}

static void no_line(void **state)
{
	static const struct {
		const char *from, *to, *port, *why;
	} cases[] = {
		{"web", NULL, "tcp/80", "nobody that a runtime"}, {NULL, "web", "tcp/80", "nobody that a runtime"},
		{"quarantine", "db", "tcp/5432", "who is in quarantine"}, {"web", "quarantine", "tcp/80", "who is in quarantine"},
		{"web", "metadata", "tcp/80", "metadata services"}, {"lan", "host", "tcp/22", "neither end is a container"},
		{"internet", "vpn", "tcp/22", "neither end is a container"}, {"web", "any", "tcp/22", "nobody opens"},
		{"dns", "web", "tcp/22", "nobody opens"}, {"web", "dns", "tcp/54", "dns is port 53"},
	};
	const struct fixture *f = *state;

	for (size_t i = 0; i < BH_ARRAY_SIZE(cases); i++) {
		struct bh_advice a;
		struct bh_port port;

		assert_int_equal(bh_advise(f->p, cases[i].from ? inst(f, cases[i].from) : NULL, cases[i].to ? inst(f, cases[i].to) : NULL,
					 port_of(cases[i].port, &port), &a), 0);
		assert_int_equal(a.kind, BH_ADVICE_NONE);
		assert_null(a.line);
		assert_memory_equal(a.why, cases[i].why, strlen(cases[i].why));
	}
}

static void what_is_open_needs_none(void **state)
{
	static const struct {
		const char *from, *to, *port;
	} cases[] = {{"web", "db", "tcp/80"}, {"project:b", "project:b", "udp/7"}, {"db", "dns", ""}, {"db", "dns", "tcp/53"}};
	const struct fixture *f = *state;

	for (size_t i = 0; i < BH_ARRAY_SIZE(cases); i++) {
		struct bh_advice a;
		struct bh_port port;

		assert_int_equal(bh_advise(f->p, inst(f, cases[i].from), inst(f, cases[i].to), port_of(cases[i].port, &port), &a), 0);
		assert_int_equal(a.kind, BH_ADVICE_OPEN);
		assert_null(a.line);
	}
}

/* A reload would be refused: who wanted it denied is told. */
static void an_expectation_says_no(void **state)
{
	const struct fixture *f = *state;
	struct bh_advice a;
	struct bh_port port;

	assert_int_equal(bh_advise(f->p, inst(f, "web"), inst(f, "db"), port_of("tcp/22", &port), &a), 0);
	assert_int_equal(a.kind, BH_ADVICE_LINE);
	assert_int_equal(a.breaks.line, 14);
	assert_string_equal(a.breaks.file, "bulkhead.yaml");
	bh_advice_clear(&a);
	assert_int_equal(bh_advise(f->p, inst(f, "web"), inst(f, "db"), port_of("tcp/23", &port), &a), 0);
	assert_int_equal(a.breaks.line, 0);
	bh_advice_clear(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_line),
		cmocka_unit_test(the_line_opens_exactly_that),
		cmocka_unit_test(no_line),
		cmocka_unit_test(what_is_open_needs_none),
		cmocka_unit_test(an_expectation_says_no),
	};

	return cmocka_run_group_tests_name("advise", tests, setup, teardown);
}
