/* SPDX-License-Identifier: Apache-2.0 */
/* A round that is moved on beside one that is made from scratch, over random lives of a host. BH_SHIFT_LIVES: how many. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <bulkhead/diff.h>
#include <bulkhead/shift.h>

#include "modelbuild.h"

#define LIVES 60
#define MACS 120
#define NOW 1700000000	/* the same in all lives; images are up to 20 minutes old */
#define EVENTS 40	/* in one life */
#define BRIDGES 2	/* and one of somebody else's behind */

struct life {
	uint32_t random;
	struct bh_policy *policy;
	struct bh_host host;
	struct bh_inventory told;		/* by the runtime */
	struct bh_inventory buried;		/* what the round may have */
	BH_VEC(int) links;			/* that changed */
	unsigned names;
	int next_link;

	struct bh_inventory round;		/* borrows containers; its networks are TOLD's */
	struct bh_placement *placement;
	struct bh_memory memory;
	struct bh_holdings holdings;
	struct bh_ruleset *wanted;		/* stripped */
	struct bh_ruleset *whole;		/* not so */
	bool lean;
	size_t stepped, refused, moved;
};

static struct bh_features features = {.ifb = true, .htb = true};	/* bridge_ibrname in each second life */

static unsigned roll(struct life *l, unsigned n)
{
	l->random = l->random * 1664525 + 1013904223;
	return (l->random >> 8) % n;
}

/* -- what it lives with ---------------------------------------------------- */

static struct bh_zone *tier(struct bh_policy *p, const char *name, unsigned line)
{
	struct bh_zone *z = mb_zone(p, name, line);

	mb_match(mb_select(z), BH_SELECT_LABEL, "tier", name, line + 1);
	return z;
}

static void policy_make(struct life *l)
{
	struct bh_policy *p = l->policy = mb_need(calloc(1, sizeof(*p)));
	struct bh_zone *z;
	struct bh_prefix prefix;
	struct bh_rule *rule;

	p->mode = BH_MODE_ENFORCE;
	p->deny = BH_DENY_REJECT;
	tier(p, "a", 1);
	tier(p, "b", 3);
	tier(p, "a", 5)->name[0] = 'c';		/* matches as a does: quarantine where both do */
	l->policy->zones.v[2].select->matches.v[0].patterns.v[0][0] = 'd';
	/* in half of the lives one zone requires something, in some all do */
	if (l->random % 2) {
		z = &p->zones.v[1];
		z->require = mb_need(calloc(1, sizeof(*z->require)));
		z->require->loc = z->loc;
		z->require->asked[BH_REQUIRE_PRIVILEGED] = z->require->asked[BH_REQUIRE_IMAGE_MAX_AGE] = z->loc;
		z->require->max_age = 1000;
		z->mode = l->random % 3 ? BH_MODE_ENFORCE : BH_MODE_AUDIT;
	}
	if (l->random % 5 == 0) {
		p->require = mb_need(calloc(1, sizeof(*p->require)));
		p->require->asked[BH_REQUIRE_PRIVILEGED] = (struct bh_loc){"bulkhead.yaml", 20, 1};
	}
	z = tier(p, "capped", 7);
	z->container_rates.egress_bps = 1000000;
	z = tier(p, "limited", 9);
	z->conn_new = 10;
	z = tier(p, "router", 11);
	assert_int_equal(bh_prefix_parse("10.99.0.0/24", &prefix), 0);
	assert_int_equal(bh_vec_push(&z->forwards, prefix), 0);
	mb_family(p, "project", BH_PER_LABEL, "project", 13);
	rule = mb_need(bh_vec_add(&p->allow));
	(void)mb_need(bh_vec_add(&rule->from));
	(void)mb_need(bh_vec_add(&rule->to));
	rule->from.v[0] = (struct bh_zone_ref){.name = mb_dup("a"), .zone = 0};
	rule->to.v[0] = (struct bh_zone_ref){.name = mb_dup("b"), .zone = 1};
}

static void world_make(struct life *l)
{
	static const char *const bridges[BRIDGES] = {"docker0", "br-000000000001"};
	static const char *const names[BRIDGES] = {"one", "two"};
	struct bh_addr gateway;

	for (int i = 0; i < BRIDGES; i++) {
		mb_link(&l->host, 10 + i, bridges[i], BH_LINK_BRIDGE);
		mb_network(&l->told, names[i], "bridge", bridges[i]);
	}
	mb_network(&l->told, "elsewhere", "macvlan", NULL);
	assert_int_equal(bh_addr_parse("172.17.0.1", &gateway), 0);
	assert_int_equal(bh_vec_push(&l->told.networks.v[0].gateways, gateway), 0);
	mb_link(&l->host, 10 + BRIDGES, "virbr0", BH_LINK_BRIDGE);
	l->next_link = 20;
}

/* -- what happens ------------------------------------------------------------ */

static void link_told(struct life *l, int ifindex)
{
	assert_int_equal(bh_vec_push(&l->links, ifindex), 0);
}

static void port_come(struct life *l, uint8_t mac)
{
	struct bh_link *p;
	char name[BH_IFNAME];

	snprintf(name, sizeof(name), "veth%d", l->next_link);
	mb_veth(&l->host, l->next_link, name, 10 + (int)roll(l, BRIDGES), mac);
	p = &l->host.links.v[l->host.links.n - 1];
	p->has_peer = roll(l, 6) != 0;
	link_told(l, l->next_link++);
}

static void port_change(struct life *l)
{
	struct bh_link *p;
	size_t i;

	if (l->host.links.n == BRIDGES + 1)
		return;
	i = BRIDGES + 1 + roll(l, (unsigned)(l->host.links.n - BRIDGES - 1));
	p = &l->host.links.v[i];
	link_told(l, p->ifindex);
	switch (roll(l, 6)) {
	case 0:
		p->master = p->master ? 0 : 10;
		break;
	case 1:
		p->master = 10 + (int)roll(l, BRIDGES + 1);
		break;
	case 2:
		p->name[0] = p->name[0] == 'v' ? 'w' : 'v';
		break;
	case 3:
		p->has_peer = true;
		p->peer_mac.b[5] = (uint8_t)(1 + roll(l, MACS));
		break;
	default:
		memmove(p, p + 1, (l->host.links.n - i - 1) * sizeof(*p));
		l->host.links.n--;
	}
}

static void endpoint_make(struct life *l, struct bh_container *c, const char *network)
{
	uint8_t last = (uint8_t)(1 + roll(l, MACS));
	char addr[40];

	snprintf(addr, sizeof(addr), "net-%s", network);
	bh_vec_foreach(e, &c->endpoints)
		if (strcmp(e->network_id, addr) == 0)
			return;	/* no runtime attaches to one network twice */
	snprintf(addr, sizeof(addr), "172.17.0.%u", last);
	mb_endpoint(c, network, roll(l, 8) ? addr : NULL, roll(l, 8) ? last : 0);
	if (roll(l, 4)) {
		snprintf(addr, sizeof(addr), "ep%u", l->names++);
		c->endpoints.v[c->endpoints.n - 1].id = mb_dup(addr);
	}
	if (roll(l, 3) == 0) {
		struct bh_addr six;

		snprintf(addr, sizeof(addr), "2001:db8::%x", last);
		assert_int_equal(bh_addr_parse(addr, &six), 0);
		assert_int_equal(bh_vec_push(&c->endpoints.v[c->endpoints.n - 1].addrs, six), 0);
	}
}

static void posture_make(struct life *l, struct bh_posture *p)
{
	p->known = roll(l, 8) > 0;
	p->privileged = roll(l, 8) == 0;
	p->image.known = true;
	p->image.created = (int64_t)NOW - 1200 + roll(l, 1200);
}

static void container_fill(struct life *l, struct bh_container *c)
{
	static const char *const tiers[] = {"a", "a", "a", "a", "a", "a", "a", "a", "b", "b", "b", "b", "b", "d", "d", "none", "none", "capped", "limited", "router"};
	static const char *const networks[] = {"one", "one", "two", "two", "elsewhere", "unknown"};
	unsigned kind = roll(l, 60);

	posture_make(l, &c->posture);
	if (roll(l, 5))
		mb_label(c, "tier", tiers[roll(l, BH_ARRAY_SIZE(tiers))]);
	else
		mb_label(c, "project", roll(l, 2) ? "x" : "y");
	if (kind == 0 && l->told.containers.n > 1) {
		c->netmode = BH_NETMODE_CONTAINER;
		c->netns_owner = mb_dup(l->told.containers.v[roll(l, (unsigned)l->told.containers.n - 1)].id);
		return;
	}
	if (kind == 1)
		c->netmode = BH_NETMODE_HOST;
	if (kind == 2) {
		c->flaw = "it is a test";
		return;
	}
	for (unsigned n = 1 + (roll(l, 6) == 0); n > 0; n--)
		endpoint_make(l, c, networks[roll(l, BH_ARRAY_SIZE(networks))]);
	if (roll(l, 25) == 0) {
		struct bh_published b = {.proto = 6, .host = {.family = 4}, .host_port = (uint16_t)(8000 + roll(l, 9)), .container_port = 80};

		assert_int_equal(bh_vec_push(&c->published, b), 0);
	}
}

static void bury(struct life *l, struct bh_container *c)
{
	assert_int_equal(bh_vec_push(&l->buried.containers, *c), 0);
	memset(c, 0, sizeof(*c));
}

static struct bh_container *any(struct life *l)
{
	return l->told.containers.n ? &l->told.containers.v[roll(l, (unsigned)l->told.containers.n)] : NULL;
}

static void come(struct life *l)
{
	struct bh_container *c;
	char name[20];

	snprintf(name, sizeof(name), "c%u", l->names++);
	c = mb_container(&l->told, name);
	if (roll(l, 3) == 0)
		c->state = BH_CONTAINER_CREATED;
	container_fill(l, c);
	if (c->endpoints.n && c->endpoints.v[0].has_mac && roll(l, 3))
		port_come(l, c->endpoints.v[0].mac.b[5]);
}

static void go(struct life *l)
{
	struct bh_container *c = any(l);

	if (!c)
		return;
	bury(l, c);
	memmove(c, c + 1, (size_t)(l->told.containers.v + l->told.containers.n - (c + 1)) * sizeof(*c));
	l->told.containers.n--;
}

/* The same container, told anew: in another state, or with other endpoints, or just so. */
static void change(struct life *l)
{
	struct bh_container *c = any(l), copy = {0};

	if (!c)
		return;
	assert_int_equal(bh_container_copy(&copy, c), 0);
	bury(l, c);
	*c = copy;
	switch (roll(l, 6)) {
	case 0:
		c->state = BH_CONTAINER_STOPPED;
		break;
	case 1:
		c->state = BH_CONTAINER_RUNNING;
		break;
	case 2:
		if (c->netmode != BH_NETMODE_CONTAINER)
			endpoint_make(l, c, roll(l, 2) ? "one" : "two");
		break;
	case 4:	/* configured otherwise, or known at last */
		posture_make(l, &c->posture);
		break;
	case 3:	/* a new life */
		bh_vec_foreach(e, &c->endpoints) {
			free(e->id);
			e->id = NULL;
		}
		break;
	default:
		break;
	}
}

/* For the most part, of one that has no port yet, or has one. */
static uint8_t mac_of_any(struct life *l)
{
	const struct bh_container *c = roll(l, 4) ? any(l) : NULL;

	return c && c->endpoints.n > 0 && c->endpoints.v[0].has_mac ? c->endpoints.v[0].mac.b[5] : (uint8_t)(1 + roll(l, MACS));
}

static void happen(struct life *l)
{
	for (unsigned n = 1 + roll(l, 2); n > 0; n--)
		switch (roll(l, 8)) {
		case 0:
		case 1:
		case 2:
			come(l);
			break;
		case 3:
			go(l);
			break;
		case 4:
		case 5:
			change(l);
			break;
		case 6:
			port_come(l, mac_of_any(l));
			break;
		default:
			port_change(l);
		}
}

/* -- from scratch, and beside it ----------------------------------------------- */

static void memory_copy(struct bh_memory *to, const struct bh_memory *from)
{
	memset(to, 0, sizeof(*to));
	to->next_id = from->next_id;
	to->now = from->now;
	for (size_t i = 0; i < from->held.n; i++)
		assert_int_equal(bh_strv_push(&to->held, from->held.v[i]), 0);
	bh_vec_foreach(k, &from->ids) {
		struct bh_known_id x = {.name = mb_dup(k->name), .id = k->id};

		assert_int_equal(bh_vec_push(&to->ids, x), 0);
	}
	bh_vec_foreach(k, &from->ports) {
		struct bh_known_port x = *k;

		x.container = mb_dup(k->container);
		x.network = mb_dup(k->network);
		x.endpoint = mb_dup(k->endpoint);
		assert_int_equal(bh_vec_push(&to->ports, x), 0);
	}
}

static void scratch(struct life *l, struct bh_memory *memory, struct bh_placement **placement, struct bh_ruleset **wanted)
{
	struct bh_compile_input in = {.policy = l->policy, .inventory = &l->told, .host = &l->host, .features = &features, .seen = l->whole};
	struct bh_error err = {0};
	struct bh_shape *shape = NULL;

	assert_int_equal(bh_place(l->policy, &l->told, &l->host, memory, placement, &err), 0);
	in.placement = *placement;
	assert_int_equal(bh_compile(&in, wanted, &err), 0);
	assert_int_equal(bh_compile_shape(&in, *wanted, &shape, &err), 0);
	bh_shape_free(shape);
}

static void ports_same(const struct bh_attachment *a, const struct bh_attachment *b)
{
	assert_string_equal(a->bridge, b->bridge);
	assert_string_equal(a->port, b->port);
	assert_int_equal(a->port_ifindex, b->port_ifindex);
	assert_int_equal(a->port_gone, b->port_gone);
	assert_ptr_equal(a->network, b->network);
	assert_ptr_equal(a->endpoint, b->endpoint);
}

static void placements_same(const struct bh_placement *a, const struct bh_placement *b)
{
	assert_int_equal(a->insts.n, b->insts.n);
	for (size_t i = 0; i < a->insts.n; i++) {
		assert_string_equal(a->insts.v[i].name, b->insts.v[i].name);
		assert_int_equal(a->insts.v[i].id, b->insts.v[i].id);
		assert_int_equal(a->insts.v[i].members, b->insts.v[i].members);
	}
	assert_int_equal(a->members.n, b->members.n);
	/* one that is gone may make it look once more for nothing */
	assert_true(!b->judge_again || (a->judge_again && a->judge_again <= b->judge_again));
	for (size_t i = 0; i < a->members.n; i++) {
		const struct bh_member *x = &a->members.v[i], *y = &b->members.v[i];

		assert_ptr_equal(x->container->id, y->container->id);
		assert_int_equal(x->inst, y->inst);
		assert_string_equal(x->reason, y->reason);
		assert_int_equal(x->loc.line, y->loc.line);
		assert_int_equal(x->enforced, y->enforced);
		assert_true(bh_streq(x->unenforced_reason, y->unenforced_reason));
		assert_int_equal(x->shares_netns, y->shares_netns);
		assert_int_equal(x->failed.v.n, y->failed.v.n);
		assert_true(bh_streq(x->barred, y->barred));
		assert_false(x->moving);
		assert_int_equal(x->attachments.n, y->attachments.n);
		for (size_t k = 0; k < x->attachments.n; k++)
			ports_same(&x->attachments.v[k], &y->attachments.v[k]);
	}
}

static void memories_same(const struct bh_memory *a, const struct bh_memory *b)
{
	assert_int_equal(a->next_id, b->next_id);
	assert_int_equal(a->ids.n, b->ids.n);
	assert_int_equal(a->ports.n, b->ports.n);
	for (size_t i = 0; i < a->ports.n; i++) {
		assert_int_equal(a->ports.v[i].ifindex, b->ports.v[i].ifindex);
		assert_string_equal(a->ports.v[i].container, b->ports.v[i].container);
		assert_string_equal(a->ports.v[i].network, b->ports.v[i].network);
		assert_true(bh_streq(a->ports.v[i].endpoint, b->ports.v[i].endpoint));
	}
}

static void rulesets_same(const struct bh_ruleset *a, const struct bh_ruleset *b)
{
	struct bh_plan *plan = NULL;
	_cleanup_buf_ struct bh_buf text = {0};

	assert_int_equal(bh_diff(a, b, &plan), 0);
	if (plan->changes.n > 0) {
		assert_int_equal(bh_plan_print(plan, &text), 0);
		print_error("%s", text.s);
	}
	assert_int_equal(plan->changes.n, 0);
	bh_plan_free(plan);
}

/* What a step tells the kernel is what a round from scratch would. */
static void plans_same(const struct bh_shift *step, const struct bh_ruleset *now, const struct bh_ruleset *before)
{
	struct bh_plan *a = NULL, *b = NULL;

	assert_int_equal(bh_diff(step->after, step->before, &a), 0);
	assert_int_equal(bh_diff(now, before, &b), 0);
	assert_int_equal(a->changes.n, b->changes.n);
	for (size_t i = 0; i < a->changes.n; i++) {
		const struct bh_change *x = &a->changes.v[i], *y = &b->changes.v[i];

		assert_int_equal(x->kind, y->kind);
		assert_int_equal(x->family, y->family);
		assert_string_equal(x->set->name, y->set->name);
		assert_true(bh_set_same_type(x->set, y->set));
		assert_int_equal(x->elems.n, y->elems.n);
		for (size_t k = 0; k < x->elems.n; k++)
			assert_true(bh_elem_equal(x->elems.v[k], y->elems.v[k], x->set->data));
	}
	bh_plan_free(a);
	bh_plan_free(b);
}

static void round_take(struct life *l, struct bh_placement *placement, struct bh_ruleset *wanted)
{
	struct bh_compile_input in = {.policy = l->policy, .inventory = &l->round, .host = &l->host, .features = &features};

	bh_placement_free(l->placement);
	bh_ruleset_free(l->wanted);
	l->placement = placement;
	l->wanted = wanted;
	bh_vec_clear(&l->round.containers);
	bh_vec_foreach(c, &l->told.containers)
		assert_int_equal(bh_vec_push(&l->round.containers, *c), 0);
	l->round.networks.v = l->told.networks.v;
	l->round.networks.n = l->told.networks.n;
	for (size_t i = 0; i < placement->members.n; i++)	/* into the borrowed ones */
		placement->members.v[i].container = &l->round.containers.v[placement->members.v[i].container - l->told.containers.v];
	assert_int_equal(bh_holdings_make(l->placement, &features, &l->holdings), 0);
	in.placement = l->placement;
	l->lean = bh_members_strip(&in, l->wanted) == 0;	/* not where a member has the gateway's address */
	if (l->lean)
		assert_int_equal(bh_members_fill(&in, l->wanted), 0);
	rulesets_same(l->wanted, l->whole);
	if (l->lean)
		assert_int_equal(bh_members_strip(&in, l->wanted), 0);
	assert_true(l->lean || !features.bridge_ibrname);
}

static void whole_set(struct life *l, struct bh_ruleset *wanted)
{
	bh_ruleset_free(l->whole);
	l->whole = wanted;
}

/* Once from scratch, for a second copy of the same. */
static void start_over(struct life *l)
{
	struct bh_memory twin;
	struct bh_placement *placement = NULL, *other = NULL;
	struct bh_ruleset *wanted = NULL, *whole = NULL;

	memory_copy(&twin, &l->memory);
	scratch(l, &twin, &other, &whole);
	scratch(l, &l->memory, &placement, &wanted);
	memories_same(&l->memory, &twin);
	bh_placement_free(other);
	bh_memory_clear(&twin);
	whole_set(l, whole);
	round_take(l, placement, wanted);
}

static void compare(struct life *l, struct bh_shift *step, struct bh_memory *before)
{
	struct bh_compile_input in = {.policy = l->policy, .inventory = &l->round, .host = &l->host, .features = &features};
	struct bh_placement *placement = NULL;
	struct bh_ruleset *wanted = NULL;
	struct bh_holdings holdings = {0};

	scratch(l, before, &placement, &wanted);
	placements_same(l->placement, placement);
	memories_same(&l->memory, before);
	plans_same(step, wanted, l->whole);
	in.placement = l->placement;
	assert_int_equal(bh_members_fill(&in, l->wanted), 0);
	rulesets_same(l->wanted, wanted);
	assert_int_equal(bh_members_strip(&in, l->wanted), 0);
	assert_int_equal(bh_holdings_make(placement, &features, &holdings), 0);
	assert_int_equal(holdings.v.n, l->holdings.v.n);
	if (holdings.v.n > 0)
		assert_memory_equal(holdings.v.v, l->holdings.v.v, holdings.v.n * sizeof(*holdings.v.v));
	bh_vec_clear(&holdings.v);
	whole_set(l, wanted);
	bh_placement_free(placement);
}

static void live(struct life *l)
{
	const struct bh_inventory *now = &l->told;
	const struct bh_shift_input in = {.policy = l->policy, .features = &features, .host = &l->host, .wanted = l->wanted,
		.inventory = &l->round, .placement = l->placement, .memory = &l->memory, .holdings = &l->holdings, .now = &now, .n_now = 1,
		.links = l->links.v, .n_links = l->links.n};
	struct bh_memory before;
	struct bh_shift step = {0};
	int r;

	memory_copy(&before, &l->memory);
	r = l->lean ? bh_shift(&in, &step) : 1;
	if (r == 0) {
		l->stepped++;
		l->moved += step.members.n;
		compare(l, &step, &before);
	} else {
		assert_int_equal(r, 1);
		assert_null(step.before);
		memories_same(&l->memory, &before);
		l->refused++;
		start_over(l);
	}
	bh_shift_clear(&step);
	bh_memory_clear(&before);
	bh_vec_foreach(c, &l->buried.containers)
		bh_container_clear(c);
	l->buried.containers.n = 0;
	l->links.n = 0;
}

static void life_end(struct life *l)
{
	bh_placement_free(l->placement);
	bh_ruleset_free(l->wanted);
	bh_ruleset_free(l->whole);
	bh_memory_clear(&l->memory);
	bh_vec_clear(&l->holdings.v);
	bh_vec_clear(&l->round.containers);
	bh_vec_clear(&l->links);
	bh_vec_clear(&l->buried.containers);
	bh_vec_foreach(c, &l->told.containers)
		bh_container_clear(c);
	bh_vec_foreach(n, &l->told.networks)
		bh_network_clear(n);
	bh_vec_clear(&l->told.containers);
	bh_vec_clear(&l->told.networks);
	bh_vec_clear(&l->host.links);
	bh_policy_free(l->policy);
}

static void steps_lead_where_rounds_from_scratch_do(void **state)
{
	const char *lives = getenv("BH_SHIFT_LIVES");
	unsigned n = lives ? (unsigned)atoi(lives) : LIVES;
	size_t stepped = 0, refused = 0, moved = 0;

	(void)state;
	for (unsigned i = 0; i < n; i++) {
		struct life l = {.random = i * 2654435761u + 1};

		features.bridge_ibrname = i % 2;
		l.memory.now = NOW;
		for (unsigned k = 1; i % 3 == 0 && k < 20; k += 3) {	/* in quarantine by hand, from when they are there */
			char id[20];

			snprintf(id, sizeof(id), "id-c%u", k);
			assert_int_equal(bh_strv_push(&l.memory.held, id), 0);
		}
		policy_make(&l);
		world_make(&l);
		start_over(&l);
		for (int k = 0; k < EVENTS; k++) {
			happen(&l);
			live(&l);
		}
		stepped += l.stepped;
		refused += l.refused;
		moved += l.moved;
		life_end(&l);
	}
	print_message("# %u lives: %zu steps, %zu members moved; %zu refused\n", n, stepped, moved, refused);
	assert_true(stepped > refused / 4);
	assert_true(moved > stepped / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(steps_lead_where_rounds_from_scratch_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
