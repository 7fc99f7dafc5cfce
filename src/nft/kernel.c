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

static void kernel_free(struct bh_nft *n)
{
	struct nft_kernel *k = (struct nft_kernel *)n;

	nft_socket_close(&k->socket);
	free(k);
}

static const struct bh_nft_ops kernel_ops = {
	.observe = kernel_observe,
	.apply = kernel_apply,
	.free = kernel_free,
};

uint32_t nft_kernel_portid(const struct bh_nft *n)
{
	return n->ops == &kernel_ops ? ((const struct nft_kernel *)n)->socket.portid : 0;
}

int bh_nft_new(struct bh_nft **ret, struct bh_error *err)
{
	struct nft_kernel *k = calloc(1, sizeof(*k));
	int r;

	if (!k)
		return bh_fail(err, -ENOMEM, "no memory");
	k->nft.ops = &kernel_ops;
	r = nft_socket_open(&k->socket, err);
	if (r < 0) {
		free(k);
		return r;
	}
	*ret = &k->nft;
	return 0;
}

void bh_nft_free(struct bh_nft *n)
{
	if (n)
		n->ops->free(n);
}
