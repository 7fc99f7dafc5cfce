/* SPDX-License-Identifier: Apache-2.0 */
/* The door itself: one socket, one table of operations. */
#include "priv.h"

#include <errno.h>
#include <string.h>

static struct bh_tc_kernel *kernel_of(struct bh_tc *t)
{
	return (struct bh_tc_kernel *)t;
}

static int kernel_host(struct bh_tc *t, struct bh_host **ret, struct bh_error *err)
{
	return bh_tc_read_host(&kernel_of(t)->nl, ret, err);
}

static int kernel_refresh(struct bh_tc *t, struct bh_host *host, const int *links, size_t n, bool addrs, struct bh_error *err)
{
	return bh_tc_refresh_host(&kernel_of(t)->nl, host, links, n, addrs, err);
}

static int kernel_observe(struct bh_tc *t, struct bh_shape **ret, struct bh_error *err)
{
	return bh_tc_read_shape(&kernel_of(t)->nl, &kernel_of(t)->kinds, ret, err);
}

static int kernel_apply(struct bh_tc *t, const struct bh_shape *wanted, const struct bh_shape *seen, struct bh_error *err)
{
	return bh_tc_write_shape(kernel_of(t), wanted, seen, err);
}

static int kernel_bridge_calls(struct bh_tc *t, const char *bridge, bool ip, bool ip6, struct bh_error *err)
{
	return bh_tc_set_bridge_calls(&kernel_of(t)->nl, bridge, ip, ip6, err);
}

static int kernel_bridge_learns(struct bh_tc *t, const char *bridge, bool groups, struct bh_error *err)
{
	return bh_tc_set_bridge_learns(&kernel_of(t)->nl, bridge, groups, err);
}

static int kernel_nsid(struct bh_tc *t, pid_t pid)
{
	return bh_tc_read_nsid(&kernel_of(t)->nl, pid);
}

static int kernel_route(struct bh_tc *t, const struct bh_addr *to)
{
	return bh_tc_read_route(&kernel_of(t)->nl, to);
}

static int kernel_bytes(struct bh_tc *t, bh_tc_bytes_fn fn, void *userdata, struct bh_error *err)
{
	return bh_tc_read_bytes(&kernel_of(t)->nl, fn, userdata, err);
}

static void kernel_free(struct bh_tc *t)
{
	bh_nl_close(&kernel_of(t)->nl);
	free(t);
}

static const struct bh_tc_ops kernel_ops = {
	.host = kernel_host,
	.refresh = kernel_refresh,
	.observe = kernel_observe,
	.apply = kernel_apply,
	.bridge_calls = kernel_bridge_calls,
	.bridge_learns = kernel_bridge_learns,
	.nsid_of_pid = kernel_nsid,
	.route = kernel_route,
	.bytes = kernel_bytes,
	.free = kernel_free,
};

int bh_tc_new(struct bh_tc **ret, struct bh_error *err)
{
	struct bh_tc_kernel *k = calloc(1, sizeof(*k));
	int r;

	if (!k)
		return bh_fail(err, -ENOMEM, "no memory");
	k->tc.ops = &kernel_ops;
	r = bh_nl_open(&k->nl, err);
	if (r < 0) {
		free(k);
		return r;
	}
	*ret = &k->tc;
	return 0;
}

void bh_tc_free(struct bh_tc *t)
{
	if (t)
		t->ops->free(t);
}

int bh_tc_nsid_of_pid(struct bh_tc *t, pid_t pid)
{
	return t->ops->nsid_of_pid(t, pid);
}
