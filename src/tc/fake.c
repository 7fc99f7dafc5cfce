/* SPDX-License-Identifier: Apache-2.0 */
/* The same door with links and trees in memory. It refuses what the kernel refuses (classes without a parent, children of
 * leaves), and lets ports go with their links, as the kernel does. */
#include <bulkhead/tc.h>

#include <errno.h>
#include <string.h>

struct fake {
	struct bh_tc tc;	/* first */
	struct bh_host *host;
	struct bh_shape *shape;
};

static struct fake *fake_of(struct bh_tc *t)
{
	return (struct fake *)t;
}

static int fake_host(struct bh_tc *t, struct bh_host **ret, struct bh_error *err)
{
	const struct bh_host *from = fake_of(t)->host;
	_cleanup_(bh_host_freep) struct bh_host *h = calloc(1, sizeof(*h));

	if (!h)
		return bh_fail(err, -ENOMEM, "no memory");
	bh_vec_foreach(l, &from->links)
		if (bh_vec_push(&h->links, *l) < 0)
			return bh_fail(err, -ENOMEM, "no memory");
	bh_vec_foreach(a, &from->addrs)
		if (bh_vec_push(&h->addrs, *a) < 0)
			return bh_fail(err, -ENOMEM, "no memory");
	bh_vec_foreach(a, &from->resolvers)
		if (bh_vec_push(&h->resolvers, *a) < 0)
			return bh_fail(err, -ENOMEM, "no memory");
	*ret = bh_take(h);
	return 0;
}

/* In memory everything is read as quickly. */
static int fake_refresh(struct bh_tc *t, struct bh_host *host, const int *links, size_t n, bool addrs, struct bh_error *err)
{
	struct bh_host *now, swap;
	int r = fake_host(t, &now, err);

	(void)links;
	(void)n;
	(void)addrs;
	if (r < 0)
		return r;
	swap = *host;
	host->links.v = now->links.v;
	host->links.n = now->links.n;
	host->links.cap = now->links.cap;
	host->addrs.v = now->addrs.v;
	host->addrs.n = now->addrs.n;
	host->addrs.cap = now->addrs.cap;
	now->links.v = swap.links.v;
	now->addrs.v = swap.addrs.v;
	bh_host_free(now);
	return 1;
}

/* Redirects vanish with their links, as in the kernel. */
static int fake_observe(struct bh_tc *t, struct bh_shape **ret, struct bh_error *err)
{
	struct fake *f = fake_of(t);
	size_t kept = 0;

	bh_vec_foreach(p, &f->shape->ports) {
		const struct bh_link *l = bh_host_link(f->host, p->ifindex);

		if (!l || !p->class_id[BH_INGRESS])
			continue;
		f->shape->ports.v[kept] = *p;
		f->shape->ports.v[kept].class_id[BH_EGRESS] = 0;
		kept++;
	}
	f->shape->ports.n = kept;
	if (bh_shape_copy(ret, f->shape) < 0)
		return bh_fail(err, -ENOMEM, "no memory");
	return 0;
}

static int check(const struct bh_shape *s, struct bh_error *err)
{
	for (int d = 0; d < BH_DIRECTION_MAX; d++)
		bh_vec_foreach(c, &s->classes[d]) {
			const struct bh_class *parent = bh_shape_class(s, d, c->parent);

			if (!s->present[d])
				return bh_fail(err, -EINVAL, "class %x without a tree", c->id);
			if ((c->parent & 0xffff) && (!parent || parent->leaf))
				return bh_fail(err, -ENOENT, "class %x has no parent %x", c->id, c->parent);
		}
	return 0;
}

static int fake_apply(struct bh_tc *t, const struct bh_shape *wanted, const struct bh_shape *seen, struct bh_error *err)
{
	struct fake *f = fake_of(t);
	struct bh_shape *copy;
	int r;

	(void)seen;	/* memory is changed at once */
	r = check(wanted, err);
	if (r < 0)
		return r;
	if (bh_shape_copy(&copy, wanted) < 0)
		return bh_fail(err, -ENOMEM, "no memory");
	bh_shape_sort(copy);
	bh_shape_free(f->shape);
	f->shape = copy;
	return 0;
}

static int fake_bridge_calls(struct bh_tc *t, const char *bridge, bool ip, bool ip6, struct bh_error *err)
{
	bh_vec_foreach(l, &fake_of(t)->host->links)
		if (l->kind == BH_LINK_BRIDGE && strcmp(l->name, bridge) == 0) {
			l->nf_call_iptables = ip;
			l->nf_call_ip6tables = ip6;
			return 0;
		}
	return bh_fail(err, -ENODEV, "there is no bridge %s", bridge);
}

static int fake_bridge_learns(struct bh_tc *t, const char *bridge, bool groups, struct bh_error *err)
{
	bh_vec_foreach(l, &fake_of(t)->host->links)
		if (l->kind == BH_LINK_BRIDGE && strcmp(l->name, bridge) == 0) {
			l->learns_groups = groups;
			return 0;
		}
	return bh_fail(err, -ENODEV, "there is no bridge %s", bridge);
}

static int fake_nsid(struct bh_tc *t, pid_t pid)
{
	(void)t;
	(void)pid;
	return -1;
}

/* What is on-link; there is no other route. */
static int fake_route(struct bh_tc *t, const struct bh_addr *to)
{
	bh_vec_foreach(a, &fake_of(t)->host->addrs) {
		struct bh_prefix net = a->prefix;
		struct bh_addr last;

		bh_prefix_range(&net, &net.addr, &last);
		if (bh_prefix_contains(&net, to))
			return a->ifindex;
	}
	return 0;
}

static void fake_free(struct bh_tc *t)
{
	bh_host_free(fake_of(t)->host);
	bh_shape_free(fake_of(t)->shape);
	free(t);
}

/* Nothing is carried in memory. */
static int fake_bytes(struct bh_tc *t, bh_tc_bytes_fn fn, void *userdata, struct bh_error *err)
{
	(void)err;
	bh_vec_foreach(l, &fake_of(t)->host->links)
		fn(userdata, l->ifindex, 0, 0);
	return 0;
}

static const struct bh_tc_ops fake_ops = {
	.host = fake_host,
	.refresh = fake_refresh,
	.observe = fake_observe,
	.apply = fake_apply,
	.bridge_calls = fake_bridge_calls,
	.bridge_learns = fake_bridge_learns,
	.nsid_of_pid = fake_nsid,
	.route = fake_route,
	.bytes = fake_bytes,
	.free = fake_free,
};

int bh_tc_fake_new(struct bh_tc **ret)
{
	struct fake *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->tc.ops = &fake_ops;
	f->host = calloc(1, sizeof(*f->host));
	f->shape = calloc(1, sizeof(*f->shape));
	if (!f->host || !f->shape) {
		fake_free(&f->tc);
		return -ENOMEM;
	}
	*ret = &f->tc;
	return 0;
}

struct bh_host *bh_tc_fake_host(struct bh_tc *t)
{
	return fake_of(t)->host;
}
