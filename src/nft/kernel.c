/* SPDX-License-Identifier: Apache-2.0 */
/* The door itself, with the kernel of this network namespace behind it. */
#include "internal.h"

#include <errno.h>

static int kernel_observe(struct bh_nft *n, struct bh_ruleset **ret, struct bh_error *err)
{
	return nft_observe((struct nft_kernel *)n, ret, err);
}

static int kernel_apply(struct bh_nft *n, const struct bh_plan *plan, struct bh_error *err)
{
	return nft_apply((struct nft_kernel *)n, plan, err);
}

static int kernel_counters(struct bh_nft *n, struct bh_ruleset **ret, struct bh_error *err)
{
	return nft_counters((struct nft_kernel *)n, ret, err);
}

static void kernel_free(struct bh_nft *n)
{
	struct nft_kernel *k = (struct nft_kernel *)n;

	nft_socket_close(&k->socket);
	free(k);
}

static const struct bh_nft_ops kernel_ops = {
	.observe = kernel_observe,
	.apply = kernel_apply,
	.counters = kernel_counters,
	.free = kernel_free,
};

uint32_t bh_nft_port(const struct bh_nft *n)
{
	return n->ops == &kernel_ops ? ((const struct nft_kernel *)n)->socket.portid : 0;
}

int bh_nft_fd(const struct bh_nft *n)
{
	return n->ops == &kernel_ops ? mnl_socket_get_fd(((const struct nft_kernel *)n)->socket.nl) : -1;
}

static int kernel_new(int fd, struct bh_nft **ret, struct bh_error *err)
{
	struct nft_kernel *k = calloc(1, sizeof(*k));
	int r;

	if (!k) {
		bh_closep(&fd);
		return bh_fail(err, -ENOMEM, "no memory");
	}
	k->nft.ops = &kernel_ops;
	r = fd < 0 ? nft_socket_open(&k->socket, err) : nft_socket_adopt(&k->socket, fd, err);
	if (r < 0) {
		free(k);
		return r;
	}
	*ret = &k->nft;
	return 0;
}

int bh_nft_new(struct bh_nft **ret, struct bh_error *err)
{
	return kernel_new(-1, ret, err);
}

int bh_nft_new_from(int fd, struct bh_nft **ret, struct bh_error *err)
{
	return fd < 0 ? bh_fail(err, -EINVAL, "no socket") : kernel_new(fd, ret, err);
}

void bh_nft_free(struct bh_nft *n)
{
	if (n)
		n->ops->free(n);
}
