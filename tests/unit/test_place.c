/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <bulkhead/place.h>

#include "modelbuild.h"

struct world {
	struct bh_policy *policy;
	struct bh_inventory *inventory;
	struct bh_host *host;
	struct bh_memory memory;
	struct bh_placement *placement;
};

static int setup(void **state)
{
	struct world *w = mb_need(calloc(1, sizeof(*w)));

	w->policy = mb_need(calloc(1, sizeof(*w->policy)));
	w->inventory = mb_need(calloc(1, sizeof(*w->inventory)));
	w->host = mb_need(calloc(1, sizeof(*w->host)));
	mb_link(w->host, 10, "br-a", BH_LINK_BRIDGE);
	mb_link(w->host, 11, "br-b", BH_LINK_BRIDGE);
	mb_network(w->inventory, "a", "bridge", "br-a");
	mb_network(w->inventory, "b", "bridge", "br-b");
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	bh_placement_free(w->placement);
	bh_policy_free(w->policy);
	bh_inventory_free(w->inventory);
	bh_host_free(w->host);
	bh_memory_clear(&w->memory);
	free(w);
	return 0;
}

static void place(struct world *w)
{
	struct bh_error err = {0};

	bh_placement_free(w->placement);
	w->placement = NULL;
	assert_int_equal(bh_place(w->policy, w->inventory, w->host, &w->memory, &w->placement, &err), 0);
}

static const struct bh_member *member(const struct world *w, const char *name)
{
	bh_vec_foreach(m, &w->placement->members)
		if (strcmp(m->container->name, name) == 0)
			return m;
	return NULL;
}

static void is_in(const struct world *w, const char *name, const char *zone, const char *reason)
{
	const struct bh_member *m = member(w, name);

	assert_non_null(m);
	assert_string_equal(w->placement->insts.v[m->inst].name, zone);
	if (reason)
		assert_string_equal(m->reason, reason);
}

static const struct bh_zone_inst *inst(const struct world *w, const char *name)
{
	bh_vec_foreach(i, &w->placement->insts)
		if (strcmp(i->name, name) == 0)
			return i;
	return NULL;
}

static void simple_zone(struct world *w, const char *name, enum bh_select_key key, const char *label, const char *pattern, unsigned line)
{
	mb_match(mb_select(mb_zone(w->policy, name, line)), key, label, pattern, line + 1);
}

static void labels_choose_a_zone(void **state)
{
	struct world *w = *state;

	simple_zone(w, "web", BH_SELECT_LABEL, "tier", "web", 8);
	mb_label(mb_container(w->inventory, "web1"), "tier", "web");
	mb_label(mb_container(w->inventory, "other"), "tier", "api");
	mb_container(w->inventory, "bare");
	place(w);
	is_in(w, "web1", "web", "labels tier=web (bulkhead.yaml:9)");
	is_in(w, "other", "quarantine", "matches no zone");
	is_in(w, "bare", "quarantine", "matches no zone");
	assert_int_equal(inst(w, "web")->members, 1);
	assert_int_equal(inst(w, "quarantine")->members, 2);
	assert_int_equal(member(w, "web1")->loc.line, 8);
	assert_int_equal(member(w, "bare")->loc.line, 0);
}

static void what_an_image_says_is_its_authors_word(void **state)
{
	struct world *w = *state;
	struct bh_container *c;

	simple_zone(w, "web", BH_SELECT_LABEL, "tier", "web", 1);
	simple_zone(w, "claimed", BH_SELECT_IMAGE_LABEL, "vendor", "acme", 3);
	mb_image_label(mb_container(w->inventory, "inherited"), "tier", "web");
	c = mb_container(w->inventory, "overridden");
	mb_label(c, "tier", "web");
	mb_image_label(c, "tier", "api");
	mb_image_label(mb_container(w->inventory, "vendor"), "vendor", "acme");
	mb_label(mb_container(w->inventory, "pretender"), "vendor", "acme");
	place(w);
	is_in(w, "inherited", "quarantine", "matches no zone");
	is_in(w, "overridden", "web", NULL);
	is_in(w, "vendor", "claimed", "image-labels vendor=acme (bulkhead.yaml:4)");
	is_in(w, "pretender", "quarantine", NULL);
}

static void compose_is_believed_when_compose_made_it(void **state)
{
	struct world *w = *state;
	struct bh_container *c;

	mb_family(w->policy, "project", BH_PER_COMPOSE, NULL, 5);
	simple_zone(w, "shopweb", BH_SELECT_COMPOSE, NULL, "shop/w*", 7);
	mb_compose(mb_container(w->inventory, "web"), "shop", "web");
	mb_compose(mb_container(w->inventory, "db"), "shop", "db");
	c = mb_container(w->inventory, "built");	/* its image carries what Compose writes at build */
	mb_image_label(c, "com.docker.compose.project", "shop");
	mb_compose(c, "shop", "cron");
	c = mb_container(w->inventory, "run");
	mb_image_label(c, "com.docker.compose.project", "shop");
	mb_image_label(c, "com.docker.compose.service", "web");
	c = mb_container(w->inventory, "forged");
	mb_image_label(c, "com.docker.compose.project", "shop");
	mb_image_label(c, "com.docker.compose.service", "web");
	mb_image_label(c, "com.docker.compose.container-number", "1");
	place(w);
	is_in(w, "web", "shopweb", "compose shop/web (bulkhead.yaml:8)");
	is_in(w, "db", "project:shop", "compose shop (bulkhead.yaml:5)");
	is_in(w, "built", "project:shop", NULL);
	is_in(w, "run", "quarantine", NULL);
	is_in(w, "forged", "quarantine", NULL);
}

static void priority_decides_and_a_tie_is_quarantined(void **state)
{
	struct world *w = *state;

	simple_zone(w, "web", BH_SELECT_NAME, NULL, "web*", 1);
	simple_zone(w, "all", BH_SELECT_RUNTIME, NULL, "docker", 5);
	simple_zone(w, "special", BH_SELECT_NAME, NULL, "*-s", 9);
	w->policy->zones.v[2].priority = 10;
	mb_container(w->inventory, "web1");
	mb_container(w->inventory, "web-s");
	mb_container(w->inventory, "db");
	place(w);
	is_in(w, "web1", "quarantine", "matches web (bulkhead.yaml:1) and all (bulkhead.yaml:5) equally");
	is_in(w, "web-s", "special", "name web-s (bulkhead.yaml:10)");
	is_in(w, "db", "all", "runtime docker (bulkhead.yaml:6)");
}

static void selectors_and_or_not(void **state)
{
	struct world *w = *state;
	struct bh_zone *z = mb_zone(w->policy, "db", 1);
	struct bh_selector *s = mb_select(z), *alt;

	mb_match(s, BH_SELECT_RUNTIME, NULL, "docker", 2);
	alt = mb_need(calloc(1, sizeof(*alt)));
	mb_match(alt, BH_SELECT_IMAGE, NULL, "postgres:*", 4);
	assert_int_equal(bh_vec_push(&s->any, alt), 0);
	alt = mb_need(calloc(1, sizeof(*alt)));
	mb_match(mb_match(alt, BH_SELECT_LABEL, "tier", "db", 5), BH_SELECT_NETWORK, NULL, "b", 5);
	assert_int_equal(bh_vec_push(&s->any, alt), 0);
	s->not = mb_need(calloc(1, sizeof(*s->not)));
	mb_match(s->not, BH_SELECT_LABEL, "public", "*", 6);

	mb_container(w->inventory, "pg")->image = mb_dup("postgres:16");
	mb_container(w->inventory, "pgid")->image = mb_dup("sha256:0123");
	mb_label(mb_container(w->inventory, "half"), "tier", "db");
	mb_endpoint(&w->inventory->containers.v[2], "a", "10.0.0.2", 2);
	mb_label(mb_container(w->inventory, "both"), "tier", "db");
	mb_endpoint(&w->inventory->containers.v[3], "b", "10.0.1.2", 2);
	mb_container(w->inventory, "public")->image = mb_dup("postgres");
	mb_label(&w->inventory->containers.v[4], "public", "");
	place(w);
	is_in(w, "pg", "db", "runtime docker, image postgres:16 (bulkhead.yaml:2)");
	is_in(w, "pgid", "quarantine", NULL);
	is_in(w, "half", "quarantine", NULL);
	is_in(w, "both", "db", "runtime docker, labels tier=db, network b (bulkhead.yaml:2)");
	is_in(w, "public", "quarantine", NULL);
}

static void images_known_by_id_meet_digests_only(void **state)
{
	struct world *w = *state;

	simple_zone(w, "any", BH_SELECT_IMAGE, NULL, "*", 1);
	simple_zone(w, "exact", BH_SELECT_IMAGE, NULL, "sha256:abc*", 3);
	w->policy->zones.v[1].priority = 1;
	mb_container(w->inventory, "byid")->image = mb_dup("sha256:abcd");
	mb_container(w->inventory, "otherid")->image = mb_dup("sha256:ffff");
	mb_container(w->inventory, "unknown");
	mb_container(w->inventory, "named")->image = mb_dup("nginx");
	w->inventory->containers.v[3].image_id = mb_dup("sha256:abce");
	mb_container(w->inventory, "pinned")->image = mb_dup("nginx:1@sha256:77");
	place(w);
	is_in(w, "byid", "exact", NULL);
	is_in(w, "otherid", "quarantine", NULL);
	is_in(w, "unknown", "quarantine", NULL);
	is_in(w, "named", "exact", NULL);
	is_in(w, "pinned", "any", NULL);
}

static void a_tag_beside_a_digest_is_not_believed(void **state)
{
	struct world *w = *state;

	simple_zone(w, "tag", BH_SELECT_IMAGE, NULL, "nginx:1", 1);
	simple_zone(w, "digest", BH_SELECT_IMAGE, NULL, "nginx@sha256:77", 3);
	mb_container(w->inventory, "pinned")->image = mb_dup("nginx:1@sha256:77");
	place(w);
	is_in(w, "pinned", "digest", NULL);
}

static void families_make_a_zone_of_every_value(void **state)
{
	struct world *w = *state;
	struct bh_rule *r;
	struct bh_zone_ref *ref;

	mb_family(w->policy, "net", BH_PER_NETWORK, NULL, 2);
	mb_family(w->policy, "team", BH_PER_LABEL, "team", 3)->priority = 3;
	mb_label(mb_container(w->inventory, "t1"), "team", "red");
	mb_label(mb_container(w->inventory, "t2"), "team", "blue");
	mb_label(mb_container(w->inventory, "empty"), "team", "");
	mb_image_label(mb_container(w->inventory, "image"), "team", "red");
	mb_endpoint(mb_container(w->inventory, "one"), "a", "10.0.0.2", 2);
	mb_endpoint(mb_container(w->inventory, "two"), "a", "10.0.0.3", 3);
	mb_endpoint(&w->inventory->containers.v[5], "b", "10.0.1.3", 3);
	r = mb_need(bh_vec_add(&w->policy->allow));
	ref = mb_need(bh_vec_add(&r->to));
	ref->name = mb_dup("team");
	ref->value = mb_dup("green");
	ref->zone = 1;
	place(w);
	is_in(w, "t1", "team:red", "labels team=red (bulkhead.yaml:3)");
	is_in(w, "t2", "team:blue", NULL);
	is_in(w, "empty", "quarantine", NULL);
	is_in(w, "image", "quarantine", NULL);
	is_in(w, "one", "net:a", "network a (bulkhead.yaml:2)");
	is_in(w, "two", "quarantine", "matches net:a (bulkhead.yaml:2) and net:b (bulkhead.yaml:2) equally");
	assert_non_null(inst(w, "team:green"));
	assert_int_equal(inst(w, "team:green")->members, 0);
	assert_string_equal(inst(w, "team:green")->value, "green");
	assert_null(inst(w, "net:b"));
	assert_null(inst(w, "net"));
}

/* Values are a stranger's text: safe to print, never cut, never two to one name. */
static void hostile_values_stay_apart_and_safe(void **state)
{
	static const char *const values[] = {"a\x1b[m", "a\\x1b[m", "a\nb", "a\\nb", "a\xff", "a\\xff", "\xe2\x80\xae" "a", "a:b"};
	struct world *w = *state;
	char name[16], longest[200];

	mb_family(w->policy, "team", BH_PER_LABEL, "team", 3);
	for (size_t i = 0; i < BH_ARRAY_SIZE(values); i++) {
		snprintf(name, sizeof(name), "c%zu", i);
		mb_label(mb_container(w->inventory, name), "team", values[i]);
	}
	memset(longest, 'x', sizeof(longest));
	longest[128] = '\0';
	mb_label(mb_container(w->inventory, "fits"), "team", longest);
	longest[127] = 'y';
	mb_label(mb_container(w->inventory, "fits2"), "team", longest);
	longest[128] = 'x';
	longest[129] = '\0';
	mb_label(mb_container(w->inventory, "long"), "team", longest);
	place(w);
	for (size_t i = 0; i < BH_ARRAY_SIZE(values) + 2; i++) {
		const struct bh_zone_inst *a = &w->placement->insts.v[w->placement->members.v[i].inst];

		assert_int_equal(a->zone, 0);
		for (const char *c = a->name; *c; c++)
			assert_true(*c >= ' ' && *c <= '~');
		for (size_t k = i + 1; k < BH_ARRAY_SIZE(values) + 2; k++) {
			const struct bh_zone_inst *b = &w->placement->insts.v[w->placement->members.v[k].inst];

			assert_string_not_equal(a->name, b->name);
			assert_int_not_equal(a->id, b->id);
		}
	}
	is_in(w, "long", "quarantine", "its value for team is longer than 128 bytes (bulkhead.yaml:3)");
}

static void reasons_are_bounded_and_safe(void **state)
{
	struct world *w = *state;
	char big[4000];

	simple_zone(w, "web", BH_SELECT_LABEL, "tier", "*", 1);
	memset(big, '\x1b', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	mb_label(mb_container(w->inventory, "c"), "tier", big);
	place(w);
	is_in(w, "c", "web", NULL);
	assert_true(strlen(member(w, "c")->reason) < 500);
	assert_null(strchr(member(w, "c")->reason, '\x1b'));
}

static void zones_keep_their_numbers(void **state)
{
	struct world *w = *state;
	uint32_t red, web;

	simple_zone(w, "web", BH_SELECT_NAME, NULL, "web", 1);
	mb_family(w->policy, "team", BH_PER_LABEL, "team", 3);
	mb_label(mb_container(w->inventory, "m"), "team", "red");
	place(w);
	red = inst(w, "team:red")->id;
	web = inst(w, "web")->id;
	assert_int_equal(web, BH_ID_ZONE + 1);
	assert_int_equal(red, BH_ID_ZONE + 2);
	mb_label(mb_container(w->inventory, "n"), "team", "blue");
	simple_zone(w, "aaa", BH_SELECT_NAME, NULL, "x", 1);
	place(w);
	assert_int_equal(inst(w, "team:red")->id, red);
	assert_int_equal(inst(w, "web")->id, web);
	assert_int_not_equal(inst(w, "team:blue")->id, inst(w, "aaa")->id);
	w->inventory->containers.v[0].state = BH_CONTAINER_STOPPED;
	place(w);
	assert_null(inst(w, "team:red"));
	w->inventory->containers.v[0].state = BH_CONTAINER_RUNNING;
	place(w);
	assert_int_equal(inst(w, "team:red")->id, red);
	/* At the end of the numbers the free ones are found again, and no number is given twice. */
	w->memory.next_id = 0xffff;
	mb_label(mb_container(w->inventory, "o"), "team", "amber");
	place(w);
	assert_int_equal(inst(w, "team:amber")->id & 0xffff0000u, BH_ID_ZONE);
	bh_vec_foreach(a, &w->placement->insts)
		bh_vec_foreach(b, &w->placement->insts)
			if (a != b && a->id != 0)
				assert_int_not_equal(a->id, b->id);
}

static void builtins_are_always_there(void **state)
{
	struct world *w = *state;
	struct bh_zone *z;

	z = mb_zone(w->policy, "metadata", 4);
	z->kind = BH_ZONE_BUILTIN;
	z->builtin = BH_BUILTIN_METADATA;
	z = mb_zone(w->policy, "office", 5);
	z->kind = BH_ZONE_ADDRESSES;
	z = mb_zone(w->policy, "vpn", 6);
	z->kind = BH_ZONE_INTERFACES;
	place(w);
	assert_int_equal(w->placement->insts.n, 2 + BH_BUILTIN_MAX - 1);
	assert_string_equal(w->placement->insts.v[0].name, "office");
	assert_int_not_equal(inst(w, "office")->id, 0);
	assert_int_not_equal(inst(w, "vpn")->id, 0);
	assert_int_equal(inst(w, "metadata")->id, BH_ID_METADATA);
	assert_int_equal(inst(w, "metadata")->zone, 0);
	assert_int_equal(inst(w, "host")->id, BH_ID_HOST);
	assert_int_equal(inst(w, "host")->zone, -1);
	assert_int_equal(inst(w, "build")->id, BH_ID_BUILD);
	assert_int_equal(inst(w, "quarantine")->id, BH_ID_QUARANTINE);
	assert_int_equal(inst(w, "any")->id, 0);
	assert_int_equal(inst(w, "world")->id, 0);
	assert_int_equal(inst(w, "containers")->id, 0);
}

static void image_builds_have_their_zone(void **state)
{
	struct world *w = *state;
	struct bh_container *c;

	mb_family(w->policy, "net", BH_PER_NETWORK, NULL, 2);
	simple_zone(w, "all", BH_SELECT_NETWORK, NULL, "*", 3);
	c = mb_container(w->inventory, "b");
	c->kind = BH_KIND_BUILD;
	mb_endpoint(c, "a", "10.0.0.9", 9);
	place(w);
	is_in(w, "b", "build", "an image build");
	simple_zone(w, "ci", BH_SELECT_KIND, NULL, "build", 5);
	place(w);
	is_in(w, "b", "ci", "kind build (bulkhead.yaml:6)");
}

static void a_flawed_container_gets_nothing(void **state)
{
	struct world *w = *state;

	simple_zone(w, "all", BH_SELECT_NAME, NULL, "*", 3);
	mb_container(w->inventory, "c")->flaw = "its labels are out of bounds";
	place(w);
	is_in(w, "c", "quarantine", "its labels are out of bounds");
}

static void who_is_listed(void **state)
{
	struct world *w = *state;

	mb_container(w->inventory, "running");
	mb_container(w->inventory, "paused")->state = BH_CONTAINER_PAUSED;
	mb_container(w->inventory, "stopped")->state = BH_CONTAINER_STOPPED;
	mb_endpoint(&w->inventory->containers.v[2], "a", "10.0.0.2", 2);
	mb_container(w->inventory, "created")->state = BH_CONTAINER_CREATED;
	mb_endpoint(&w->inventory->containers.v[3], "a", NULL, 0);
	mb_container(w->inventory, "attached")->state = BH_CONTAINER_CREATED;
	mb_endpoint(&w->inventory->containers.v[4], "a", "10.0.0.2", 2);
	place(w);
	assert_int_equal(w->placement->members.n, 3);
	assert_non_null(member(w, "running"));
	assert_non_null(member(w, "paused"));
	assert_non_null(member(w, "attached"));
	is_in(w, "attached", "quarantine", "matches no zone");	/* the stopped one's address is free */
}

static void enforced_as_far_as_bridges_go(void **state)
{
	struct world *w = *state;
	const struct bh_member *m;

	mb_network(w->inventory, "mv", "macvlan", NULL);
	mb_network(w->inventory, "away", "bridge", "br-away");
	mb_endpoint(mb_container(w->inventory, "full"), "a", "10.0.0.2", 2);
	mb_endpoint(mb_container(w->inventory, "partial"), "a", "10.0.0.3", 3);
	mb_endpoint(&w->inventory->containers.v[1], "mv", "10.9.0.3", 3);
	mb_endpoint(mb_container(w->inventory, "away"), "away", "10.0.0.4", 4);
	mb_endpoint(&w->inventory->containers.v[2], "mv", "10.9.0.4", 4);
	mb_endpoint(mb_container(w->inventory, "lost"), "nowhere", "10.0.0.5", 5);
	mb_container(w->inventory, "host")->netmode = BH_NETMODE_HOST;
	mb_container(w->inventory, "none")->netmode = BH_NETMODE_NONE;
	place(w);
	m = member(w, "full");
	assert_int_equal(m->enforced, BH_ENFORCED_FULL);
	assert_null(m->unenforced_reason);
	assert_int_equal(m->attachments.n, 1);
	assert_string_equal(m->attachments.v[0].bridge, "br-a");
	m = member(w, "partial");
	assert_int_equal(m->enforced, BH_ENFORCED_PARTIAL);
	assert_string_equal(m->unenforced_reason, "network mv is no bridge but macvlan");
	assert_int_equal(m->attachments.n, 1);
	m = member(w, "away");
	assert_int_equal(m->enforced, BH_ENFORCED_NONE);
	assert_string_equal(m->unenforced_reason, "bridge br-away is not in this network namespace, and 1 more");
	m = member(w, "lost");
	assert_int_equal(m->enforced, BH_ENFORCED_NONE);
	assert_string_equal(m->unenforced_reason, "network net-nowhere is not known");
	assert_string_equal(member(w, "host")->unenforced_reason, "uses the host's network");
	assert_int_equal(member(w, "host")->enforced, BH_ENFORCED_NONE);
	assert_string_equal(member(w, "none")->unenforced_reason, "has no network");
}

/* It may make links in this namespace by itself, which no bridge of ours is in. */
static void who_has_net_admin_is_enforced_in_part(void **state)
{
	static const struct {
		const char *name;
		uint64_t caps;
		enum bh_isolation user;
		bool known, partial;
	} cases[] = {
		{"usual", 0xa80425fb, BH_ISOLATION_HOST, true, false}, {"admin", 1u << 12, BH_ISOLATION_HOST, true, true},
		{"remapped", 1u << 12, BH_ISOLATION_PRIVATE, true, false}, {"untold", 1u << 12, BH_ISOLATION_HOST, false, false},
	};
	struct world *w = *state;

	for (size_t i = 0; i < BH_ARRAY_SIZE(cases); i++) {
		struct bh_container *c = mb_container(w->inventory, cases[i].name);
		char addr[] = "10.0.0.2";

		addr[7] = (char)('2' + i);
		c->posture.known = cases[i].known;
		c->posture.caps = cases[i].caps;
		c->posture.namespaces[BH_NAMESPACE_USER] = cases[i].user;
		mb_endpoint(c, "a", addr, (uint8_t)(2 + i));
	}
	mb_container(w->inventory, "alone")->posture = (struct bh_posture){.known = true, .caps = 1u << 12, .namespaces[BH_NAMESPACE_USER] = BH_ISOLATION_HOST};
	place(w);
	for (size_t i = 0; i < BH_ARRAY_SIZE(cases); i++)
		assert_int_equal(member(w, cases[i].name)->enforced, cases[i].partial ? BH_ENFORCED_PARTIAL : BH_ENFORCED_FULL);
	assert_non_null(strstr(member(w, "admin")->unenforced_reason, "NET_ADMIN"));
}

static void an_address_held_twice_is_nobodys(void **state)
{
	struct world *w = *state;

	simple_zone(w, "all", BH_SELECT_RUNTIME, NULL, "*", 3);
	mb_endpoint(mb_container(w->inventory, "x"), "a", "10.0.0.2", 2);
	mb_endpoint(mb_container(w->inventory, "y"), "a", "10.0.0.2", 3);
	mb_endpoint(mb_container(w->inventory, "z"), "b", "10.0.0.2", 4);	/* another bridge */
	mb_endpoint(mb_container(w->inventory, "m1"), "b", "fd00::1", 7);
	mb_endpoint(mb_container(w->inventory, "m2"), "b", "fd00::2", 7);	/* one MAC */
	mb_endpoint(mb_container(w->inventory, "self"), "b", "fd00::9", 9);
	mb_endpoint(&w->inventory->containers.v[5], "b", "fd00::9", 9);		/* its own */
	place(w);
	is_in(w, "x", "quarantine", "10.0.0.2 on br-a is held by y too");
	is_in(w, "y", "quarantine", "10.0.0.2 on br-a is held by x too");
	is_in(w, "z", "all", NULL);
	is_in(w, "m1", "quarantine", "02:42:00:00:00:07 on br-b is held by m2 too");
	is_in(w, "m2", "quarantine", "02:42:00:00:00:07 on br-b is held by m1 too");
	is_in(w, "self", "all", NULL);
}

static void sharers_belong_to_the_owner(void **state)
{
	struct world *w = *state;
	struct bh_container *c;

	simple_zone(w, "web", BH_SELECT_NAME, NULL, "web", 1);
	simple_zone(w, "side", BH_SELECT_NAME, NULL, "side*", 3);
	mb_endpoint(mb_container(w->inventory, "web"), "a", "10.0.0.2", 2);
	mb_container(w->inventory, "hostly")->netmode = BH_NETMODE_HOST;
#define SHARE(n, owner)                                                                            \
	do {                                                                                       \
		c = mb_container(w->inventory, n);                                                 \
		c->netmode = BH_NETMODE_CONTAINER;                                                 \
		c->netns_owner = mb_dup(owner);                                                    \
	} while (0)
	SHARE("plain", "id-web");
	SHARE("side1", "id-web");
	SHARE("second", "id-side1");
	SHARE("onhost", "id-hostly");
	SHARE("orphan", "id-gone");
	SHARE("ring1", "id-ring2");
	SHARE("ring2", "id-ring1");
	place(w);
	is_in(w, "plain", "web", "shares the network of web: name web (bulkhead.yaml:2)");
	is_in(w, "side1", "web",
		"shares the network of web: name web (bulkhead.yaml:2); by itself it would be in side (bulkhead.yaml:3)");
	is_in(w, "second", "web", "shares the network of web: name web (bulkhead.yaml:2)");
	assert_true(member(w, "side1")->shares_netns);
	assert_int_equal(member(w, "side1")->attachments.n, 0);
	assert_int_equal(member(w, "side1")->enforced, BH_ENFORCED_FULL);
	assert_int_equal(member(w, "onhost")->enforced, BH_ENFORCED_NONE);
	assert_string_equal(member(w, "onhost")->unenforced_reason, "uses the host's network");
	is_in(w, "orphan", "quarantine", "shares the network of a container that does not run");
	is_in(w, "ring1", "quarantine", "shares the network of a container that does not run");
	assert_int_equal(inst(w, "web")->members, 4);
}

static int port_of(const struct world *w, const char *name)
{
	return member(w, name)->attachments.v[0].port_ifindex;
}

static void ports_are_found_by_bridge_and_mac(void **state)
{
	struct world *w = *state;

	mb_endpoint(mb_container(w->inventory, "x"), "a", "10.0.0.2", 2);
	mb_endpoint(mb_container(w->inventory, "y"), "b", "10.0.1.2", 2);	/* the same MAC elsewhere */
	mb_endpoint(mb_container(w->inventory, "nomac"), "a", "10.0.0.9", 0);
	mb_veth(w->host, 20, "veth20", 10, 2);
	mb_veth(w->host, 21, "veth21", 11, 2);
	mb_veth(w->host, 22, "veth22", 10, 5);
	mb_veth(w->host, 23, "veth23", 0, 2);		/* no port of a bridge */
	mb_link(w->host, 24, "tap0", BH_LINK_TAP)->master = 10;
	place(w);
	assert_int_equal(port_of(w, "x"), 20);
	assert_string_equal(member(w, "x")->attachments.v[0].port, "veth20");
	assert_int_equal(port_of(w, "y"), 21);
	assert_int_equal(port_of(w, "nomac"), 0);
}

static void a_port_once_known_stays(void **state)
{
	struct world *w = *state;
	struct bh_link *thief;

	mb_endpoint(mb_container(w->inventory, "victim"), "a", "10.0.0.2", 2);
	mb_endpoint(mb_container(w->inventory, "thief"), "a", "10.0.0.3", 3);
	mb_veth(w->host, 20, "veth20", 10, 2);
	mb_veth(w->host, 21, "veth21", 10, 3);
	place(w);
	assert_int_equal(port_of(w, "victim"), 20);
	assert_int_equal(port_of(w, "thief"), 21);
	thief = &w->host->links.v[3];
	thief->peer_mac.b[5] = 2;		/* takes the victim's MAC */
	place(w);
	assert_int_equal(port_of(w, "victim"), 20);
	assert_int_equal(port_of(w, "thief"), 21);
	/* the victim restarts: its port is gone, and the thief's is still the thief's */
	w->host->links.v[2].ifindex = 30;
	w->host->links.v[2].peer_mac.b[5] = 9;
	place(w);
	assert_int_equal(port_of(w, "victim"), 0);
	assert_int_equal(port_of(w, "thief"), 21);
	w->host->links.v[2].peer_mac.b[5] = 2;	/* the new one shows itself */
	place(w);
	assert_int_equal(port_of(w, "victim"), 30);
	assert_int_equal(port_of(w, "thief"), 21);
	assert_int_equal(w->memory.ports.n, 2);
}

static void two_claims_to_one_mac_get_nothing(void **state)
{
	struct world *w = *state;

	mb_endpoint(mb_container(w->inventory, "x"), "a", "10.0.0.2", 2);
	mb_veth(w->host, 20, "veth20", 10, 2);
	mb_veth(w->host, 21, "veth21", 10, 2);
	place(w);
	assert_int_equal(port_of(w, "x"), 0);
	assert_int_equal(w->memory.ports.n, 0);
	w->host->links.v[3].peer_mac.b[5] = 3;
	place(w);
	assert_int_equal(port_of(w, "x"), 20);
	w->host->links.v[3].peer_mac.b[5] = 2;
	place(w);
	assert_int_equal(port_of(w, "x"), 20);
	/* and two endpoints that claim one port */
	mb_endpoint(mb_container(w->inventory, "p"), "b", "10.0.1.2", 8);
	mb_endpoint(mb_container(w->inventory, "q"), "b", "10.0.1.3", 8);
	mb_veth(w->host, 22, "veth22", 11, 8);
	place(w);
	assert_int_equal(port_of(w, "p"), 0);
	assert_int_equal(port_of(w, "q"), 0);
}

static void a_port_that_left_its_bridge_is_forgotten(void **state)
{
	struct world *w = *state;

	mb_endpoint(mb_container(w->inventory, "x"), "a", "10.0.0.2", 2);
	mb_veth(w->host, 20, "veth20", 10, 2);
	place(w);
	assert_int_equal(port_of(w, "x"), 20);
	w->host->links.v[2].master = 11;
	place(w);
	assert_int_equal(port_of(w, "x"), 0);
	w->host->links.v[2].master = 0;
	place(w);
	assert_int_equal(w->memory.ports.n, 0);
	w->host->links.v[2].master = 10;
	place(w);
	assert_int_equal(port_of(w, "x"), 20);
}

static void endpoint_named(struct bh_container *c, const char *id)
{
	free(c->endpoints.v[0].id);
	c->endpoints.v[0].id = mb_dup(id);
}

/* What Docker gives back when a container dies, it gives to the next: address and MAC. While nobody tells of that (the runtime is
 * away, the daemon was stopped), the next one's port is not the dead one's. */
static void a_port_of_the_next_container_is_not_the_dead_ones(void **state)
{
	struct world *w = *state;
	struct bh_container *c = mb_container(w->inventory, "dead");

	mb_endpoint(c, "a", "10.0.0.2", 2);
	endpoint_named(c, "ep1");
	mb_veth(w->host, 20, "veth20", 10, 2);
	place(w);
	assert_int_equal(port_of(w, "dead"), 20);
	w->host->links.v[2].ifindex = 30;	/* the next one's, with the same MAC */
	place(w);
	assert_int_equal(port_of(w, "dead"), 0);
	assert_true(member(w, "dead")->attachments.v[0].port_gone);
	place(w);
	assert_int_equal(port_of(w, "dead"), 0);
	/* its name comes to life again, in a new endpoint */
	endpoint_named(&w->inventory->containers.v[0], "ep2");
	place(w);
	assert_int_equal(port_of(w, "dead"), 30);
	/* somebody else gets the address while the port is there: a port without an endpoint is open to the next claim */
	bh_container_clear(&w->inventory->containers.v[0]);
	w->inventory->containers.n = 0;
	c = mb_container(w->inventory, "next");
	mb_endpoint(c, "a", "10.0.0.2", 2);
	endpoint_named(c, "ep3");
	place(w);
	assert_int_equal(port_of(w, "next"), 30);
	assert_int_equal(w->memory.ports.n, 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(labels_choose_a_zone),
		T(what_an_image_says_is_its_authors_word),
		T(compose_is_believed_when_compose_made_it),
		T(priority_decides_and_a_tie_is_quarantined),
		T(selectors_and_or_not),
		T(images_known_by_id_meet_digests_only),
		T(a_tag_beside_a_digest_is_not_believed),
		T(families_make_a_zone_of_every_value),
		T(hostile_values_stay_apart_and_safe),
		T(reasons_are_bounded_and_safe),
		T(zones_keep_their_numbers),
		T(builtins_are_always_there),
		T(image_builds_have_their_zone),
		T(a_flawed_container_gets_nothing),
		T(who_is_listed),
		T(enforced_as_far_as_bridges_go),
		T(who_has_net_admin_is_enforced_in_part),
		T(an_address_held_twice_is_nobodys),
		T(sharers_belong_to_the_owner),
		T(ports_are_found_by_bridge_and_mac),
		T(a_port_once_known_stays),
		T(two_claims_to_one_mac_get_nothing),
		T(a_port_that_left_its_bridge_is_forgotten),
		T(a_port_of_the_next_container_is_not_the_dead_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
