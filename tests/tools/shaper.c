/* SPDX-License-Identifier: Apache-2.0 */
/* shaper VERB: src/tc and core's shaping on the namespace that it is started in, for tests/netns/test_shape.py.
 * What is wanted comes on stdin, a line each: `zone NAME CONTAINER_EGRESS CONTAINER_INGRESS ZONE_EGRESS ZONE_INGRESS` in
 * bit/s (0: none), then `guarantee ZONE` with the same four, `addresses ZONE PREFIX…`, `exempt ZONE NAME…`, `host EGRESS INGRESS`,
 * `member ZONE PORT…`, maybe `audit` or `mask ifb|htb`. The bridges br-1 and br-2 are container networks.
 *   apply    makes it so, trees before rules before what goes, and says "in sync" when that is read back, or the plan that is left
 *   rules    prints the nft rules that classify
 *   check    prints "equal" or "differs", the wanted and the seen text
 *   stats    prints "time NANOSECONDS", then DEVICE CLASS PACKETS BYTES DROPPED of each class
 *   host     prints the links
 *   calls BRIDGE IP IP6, nsid PID, probe, wait (one notification that matters, 3 s at most) */
#include <bulkhead/nft.h>
#include <bulkhead/tc.h>

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct wish {
	struct bh_policy policy;
	struct bh_placement placement;
	struct bh_container containers[64];
	struct bh_endpoint endpoint;
	struct bh_network network;
	struct bh_inventory inventory;
	struct bh_features features;
	size_t n;
};

static int die(const char *what, const struct bh_error *err)
{
	fprintf(stderr, "shaper: %s: %s\n", what, err ? err->msg : strerror(errno));
	return 1;
}

static void wish_free(struct wish *w)
{
	bh_vec_foreach(m, &w->placement.members)
		bh_vec_clear(&m->attachments);
	bh_vec_foreach(i, &w->placement.insts)
		free(i->name);
	bh_vec_foreach(z, &w->policy.zones) {
		bh_vec_foreach(ref, &z->exempt)
			bh_zone_ref_clear(ref);
		bh_vec_clear(&z->exempt);
		bh_vec_clear(&z->cidrs);
		free(z->name);
	}
	bh_vec_clear(&w->inventory.networks);
	bh_vec_clear(&w->placement.members);
	bh_vec_clear(&w->placement.insts);
	bh_vec_clear(&w->policy.zones);
	free(w);
}
BH_DEFINE_FREEP(struct wish, wish_free)

static int add_zone(struct wish *w, const char *name, const char *rates)
{
	struct bh_zone *z = bh_vec_add(&w->policy.zones);
	struct bh_zone_inst *i = bh_vec_add(&w->placement.insts);

	if (!z || !i || !(z->name = strdup(name)) || !(i->name = strdup(name)))
		return -ENOMEM;
	i->zone = (int)w->policy.zones.n - 1;
	i->id = BH_ID_ZONE + (uint32_t)w->policy.zones.n;
	return sscanf(rates, "%" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, &z->container_rates.egress_bps,
		&z->container_rates.ingress_bps, &z->zone_rates.egress_bps, &z->zone_rates.ingress_bps) == 4 ? 0 : -EINVAL;
}

static int add_guarantee(struct wish *w, const char *name, const char *rates)
{
	int i = bh_policy_find_zone(&w->policy, name);
	struct bh_zone *z = i < 0 ? NULL : &w->policy.zones.v[i];

	return z && sscanf(rates, "%" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, &z->container_guarantees.egress_bps,
		&z->container_guarantees.ingress_bps, &z->zone_guarantees.egress_bps, &z->zone_guarantees.ingress_bps) == 4 ? 0 :
		-EINVAL;
}

static int add_addresses(struct wish *w, const char *name, char *prefixes)
{
	int i = bh_policy_find_zone(&w->policy, name);
	struct bh_zone *z = i < 0 ? NULL : &w->policy.zones.v[i];
	struct bh_prefix p;

	for (char *t = strtok(prefixes, " "); z && t; t = strtok(NULL, " "))
		if (bh_prefix_parse(t, &p) < 0 || bh_vec_push(&z->cidrs, p) < 0)
			return -EINVAL;
	return z ? 0 : -EINVAL;
}

static int add_exempt(struct wish *w, const char *name, char *names)
{
	int i = bh_policy_find_zone(&w->policy, name);
	struct bh_zone *z = i < 0 ? NULL : &w->policy.zones.v[i];

	for (char *t = strtok(names, " "); z && t; t = strtok(NULL, " ")) {
		struct bh_zone_ref ref = { .zone = bh_policy_find_zone(&w->policy, t), .builtin = bh_builtin_from_name(t) };

		if ((ref.zone < 0 && ref.builtin == BH_BUILTIN_NONE) || !(ref.name = strdup(t)) || bh_vec_push(&z->exempt, ref) < 0)
			return -EINVAL;
	}
	return z ? 0 : -EINVAL;
}

static int add_networks(struct wish *w)
{
	static char *const bridges[] = { (char *)"br-1", (char *)"br-2" };

	for (size_t i = 0; i < BH_ARRAY_SIZE(bridges); i++) {
		struct bh_network *n = bh_vec_add(&w->inventory.networks);

		if (!n)
			return -ENOMEM;
		n->bridge = bridges[i];
	}
	return 0;
}

static int add_member(struct wish *w, const struct bh_host *host, const char *zone, char *ports)
{
	struct bh_member *m = bh_vec_add(&w->placement.members);
	int z = bh_policy_find_zone(&w->policy, zone);

	if (!m || z < 0 || w->n == BH_ARRAY_SIZE(w->containers))
		return -EINVAL;
	m->container = &w->containers[w->n++];
	m->inst = (size_t)z;
	for (char *p = strtok(ports, " \n"); p; p = strtok(NULL, " \n")) {
		const struct bh_link *l = bh_host_link_named(host, p);
		struct bh_attachment *a = bh_vec_add(&m->attachments);

		if (!a || !l)
			return -ENODEV;
		a->endpoint = &w->endpoint;
		a->network = &w->network;
		memcpy(a->port, l->name, sizeof(a->port));
		a->port_ifindex = l->ifindex;
	}
	return 0;
}

static int read_wish(struct wish *w, const struct bh_host *host, FILE *in)
{
	char line[512], name[64], rest[256];
	int r = add_networks(w);

	w->policy.mode = BH_MODE_ENFORCE;
	w->features = (struct bh_features){ .ifb = true, .htb = true };
	while (r == 0 && fgets(line, sizeof(line), in)) {
		if (sscanf(line, "zone %63s %255[^\n]", name, rest) == 2)
			r = add_zone(w, name, rest);
		else if (sscanf(line, "guarantee %63s %255[^\n]", name, rest) == 2)
			r = add_guarantee(w, name, rest);
		else if (sscanf(line, "addresses %63s %255[^\n]", name, rest) == 2)
			r = add_addresses(w, name, rest);
		else if (sscanf(line, "exempt %63s %255[^\n]", name, rest) == 2)
			r = add_exempt(w, name, rest);
		else if (sscanf(line, "host %" SCNu64 " %" SCNu64, &w->policy.host_rates.egress_bps,
			&w->policy.host_rates.ingress_bps) == 2)
			r = 0;
		else if (sscanf(line, "member %63s %255[^\n]", name, rest) == 2)
			r = add_member(w, host, name, rest);
		else if (strcmp(line, "audit\n") == 0)
			w->policy.mode = BH_MODE_AUDIT;
		else if (strcmp(line, "mask ifb\n") == 0)
			w->features.ifb = false;
		else if (strcmp(line, "mask htb\n") == 0)
			w->features.htb = false;
		else
			r = -EINVAL;
	}
	return r;
}

static int print_stats(const struct bh_shape *seen, const struct timespec *t)
{
	printf("time %" PRIu64 "\n", (uint64_t)t->tv_sec * 1000000000 + (uint64_t)t->tv_nsec);
	for (int d = 0; d < BH_DIRECTION_MAX; d++)
		bh_vec_foreach(c, &seen->classes[d])
			printf("%s %" PRIx32 ":%" PRIx32 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
				d == BH_EGRESS ? BH_IFB_EGRESS : BH_IFB_INGRESS, c->id >> 16, c->id & 0xffff, c->packets,
				c->bytes, c->dropped);
	return 0;
}

static int print_pair(const struct bh_shape *wanted, const struct bh_shape *seen)
{
	_cleanup_buf_ struct bh_buf out = { 0 };

	bh_buf_puts(&out, bh_shape_equal(wanted, seen) ? "equal\n-- wanted\n" : "differs\n-- wanted\n");
	bh_shape_print(wanted, &out);
	bh_buf_printf(&out, "missing %d %d\n-- seen\n", wanted->missing[BH_EGRESS], wanted->missing[BH_INGRESS]);
	if (bh_shape_print(seen, &out) < 0)
		return 1;
	fputs(out.s, stdout);
	return 0;
}

/* What is left to do for nftables, done when APPLY. */
static int nft_step(struct bh_nft *nft, const struct bh_ruleset *wanted, bool apply, struct bh_buf *left, struct bh_error *err)
{
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *seen = NULL;
	_cleanup_(bh_plan_freep) struct bh_plan *plan = NULL;
	int r = nft->ops->observe(nft, &seen, err);

	if (r == 0)
		r = bh_diff(wanted, seen, &plan);
	if (r == 0 && apply && plan->changes.n)
		r = nft->ops->apply(nft, plan, err);
	if (r == 0 && !apply)
		r = bh_plan_print(plan, left);
	return r;
}

static int apply(struct bh_tc *tc, const struct bh_ruleset *rules, const struct bh_shape *wanted, const struct bh_shape *seen)
{
	_cleanup_(bh_nft_freep) struct bh_nft *nft = NULL;
	_cleanup_(bh_shape_freep) struct bh_shape *both = NULL, *now = NULL;
	_cleanup_buf_ struct bh_buf left = { 0 };
	struct bh_error err = { 0 };

	if (bh_nft_new(&nft, &err) < 0)
		return die("open nftables", &err);
	if (bh_shape_union(wanted, seen, &both) < 0)
		return die("memory", NULL);
	if (tc->ops->apply(tc, both, seen, &err) < 0)
		return die("apply trees", &err);
	if (nft_step(nft, rules, true, NULL, &err) < 0)
		return die("apply rules", &err);
	if (tc->ops->apply(tc, wanted, both, &err) < 0)
		return die("apply the rest", &err);
	if (nft_step(nft, rules, false, &left, &err) < 0 || tc->ops->observe(tc, &now, &err) < 0)
		return die("read back", &err);
	if (!bh_shape_equal(wanted, now))
		bh_buf_puts(&left, "trees differ\n");
	fputs(left.s && left.s[0] ? left.s : "in sync\n", stdout);
	return 0;
}

static int shape(const char *verb, struct bh_tc *tc, const struct bh_host *host)
{
	_cleanup_(wish_freep) struct wish *w = calloc(1, sizeof(*w));
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *rules = calloc(1, sizeof(*rules));
	_cleanup_(bh_shape_freep) struct bh_shape *wanted = NULL, *seen = NULL;
	_cleanup_buf_ struct bh_buf text = { 0 };
	struct bh_error err = { 0 };
	struct bh_compile_input in;
	struct timespec now;

	if (!w || !rules || read_wish(w, host, stdin) < 0)
		return die("stdin", NULL);
	in = (struct bh_compile_input){
		.policy = &w->policy, .host = host, .placement = &w->placement, .features = &w->features,
		.inventory = &w->inventory,
	};
	if (bh_compile_shape(&in, rules, &wanted, &err) < 0)
		return die("compile", &err);
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (tc->ops->observe(tc, &seen, &err) < 0)
		return die("observe", &err);
	if (strcmp(verb, "check") == 0)
		return print_pair(wanted, seen);
	if (strcmp(verb, "stats") == 0)
		return print_stats(seen, &now);
	if (strcmp(verb, "apply") == 0)
		return apply(tc, rules, wanted, seen);
	if (strcmp(verb, "rules") != 0 || bh_ruleset_print(rules, &text) < 0)
		return die(verb, NULL);
	fputs(text.s ? text.s : "", stdout);
	return 0;
}

static int print_host(const struct bh_host *host)
{
	char mac[BH_MAC_TEXT], peer[BH_MAC_TEXT], prefix[BH_PREFIX_TEXT];

	bh_vec_foreach(l, &host->links)
		printf("link %d %s kind %d up %d physical %d master %d mac %s peer %d %d %d %s calls %d %d\n", l->ifindex, l->name,
			l->kind, l->up, l->physical, l->master, bh_mac_text(&l->mac, mac), l->has_peer, l->peer_ifindex,
			l->peer_nsid, bh_mac_text(&l->peer_mac, peer), l->nf_call_iptables, l->nf_call_ip6tables);
	bh_vec_foreach(a, &host->addrs)
		printf("addr %d %s\n", a->ifindex, bh_prefix_text(&a->prefix, prefix));
	return 0;
}

/* Says "ready" once subscribed, so that the test knows when to act. */
static int wait_for_change(void)
{
	_cleanup_(bh_tc_monitor_freep) struct bh_tc_monitor *m = NULL;
	struct bh_error err = { 0 };
	struct pollfd p = { .events = POLLIN };
	struct bh_tc_news news;

	if (bh_tc_monitor_new(&m, &err) < 0)
		return die("monitor", &err);
	p.fd = bh_tc_monitor_fd(m);
	puts("ready");
	fflush(stdout);
	if (poll(&p, 1, 3000) <= 0) {
		puts("nothing");
		return 0;
	}
	printf("%d\n", bh_tc_monitor_read(m, &news));
	return 0;
}

static int probe(void)
{
	struct bh_features f = { 0 };
	struct bh_error err = { 0 };

	if (bh_tc_probe(&f, &err) < 0)
		return die("probe", &err);
	printf("ifb %d htb %d fq_codel %d\n", f.ifb, f.htb, f.fq_codel);
	return 0;
}

int main(int argc, char **argv)
{
	_cleanup_(bh_tc_freep) struct bh_tc *tc = NULL;
	_cleanup_(bh_host_freep) struct bh_host *host = NULL;
	const char *verb = argc > 1 ? argv[1] : "";
	struct bh_error err = { 0 };

	if (strcmp(verb, "wait") == 0)
		return wait_for_change();
	if (strcmp(verb, "probe") == 0)
		return probe();
	if (bh_tc_new(&tc, &err) < 0)
		return die("open", &err);
	if (strcmp(verb, "nsid") == 0 && argc == 3)
		return printf("%d\n", bh_tc_nsid_of_pid(tc, atoi(argv[2]))) < 0;
	if (strcmp(verb, "calls") == 0 && argc == 5)
		return tc->ops->bridge_calls(tc, argv[2], atoi(argv[3]), atoi(argv[4]), &err) < 0 ? die("calls", &err) : 0;
	if (tc->ops->host(tc, &host, &err) < 0)
		return die("host", &err);
	return strcmp(verb, "host") == 0 ? print_host(host) : shape(verb, tc, host);
}
