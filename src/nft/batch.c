/* SPDX-License-Identifier: Apache-2.0 */
/* One transaction as bytes. mnl's own batch has a fixed size; a transaction must never be split, so ours grows. */
#include "internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

static struct nlmsghdr *message(struct nft_batch *b, uint16_t type, uint16_t flags, int nfproto, uint16_t res_id)
{
	struct nlmsghdr *nlh;
	struct nfgenmsg *nfg;

	if (bh_vec_reserve_(&b->buf, &b->cap, b->n + NFT_MESSAGE_MAX, 1) < 0)
		return NULL;
	memset(b->buf + b->n, 0, MNL_NLMSG_HDRLEN + sizeof(*nfg));
	nlh = mnl_nlmsg_put_header(b->buf + b->n);
	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = flags;
	nlh->nlmsg_seq = b->seq++;
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = (uint8_t)nfproto;
	nfg->version = NFNETLINK_V0;
	nfg->res_id = htons(res_id);
	return nlh;
}

struct nlmsghdr *nft_batch_message(struct nft_batch *b, uint16_t type, uint16_t flags, int nfproto,
	const struct bh_change *change, size_t rule)
{
	struct nlmsghdr *nlh =
		message(b, (NFNL_SUBSYS_NFTABLES << 8) | type, NLM_F_REQUEST | flags, nfproto, 0);
	struct nft_item item = {.offset = b->n, .change = change, .rule = rule};

	if (!nlh)
		return NULL;
	item.seq = nlh->nlmsg_seq;
	return bh_vec_push(&b->items, item) < 0 ? NULL : nlh;
}

void nft_batch_commit(struct nft_batch *b, const struct nlmsghdr *nlh)
{
	b->n += MNL_ALIGN(nlh->nlmsg_len);
}

int nft_batch_begin(struct nft_batch *b, uint32_t seq)
{
	struct nlmsghdr *nlh;

	b->seq = seq;
	nlh = message(b, NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	if (!nlh)
		return -ENOMEM;
	nft_batch_commit(b, nlh);
	return 0;
}

int nft_batch_end(struct nft_batch *b)
{
	struct nlmsghdr *nlh;

	/* One acknowledgement for all: of the last real message, for BATCH_END is only acknowledged since Linux 6.10. */
	if (b->items.n > 0) {
		nlh = (struct nlmsghdr *)(b->buf + b->items.v[b->items.n - 1].offset);
		nlh->nlmsg_flags |= NLM_F_ACK;
	}
	nlh = message(b, NFNL_MSG_BATCH_END, NLM_F_REQUEST, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	if (!nlh)
		return -ENOMEM;
	nft_batch_commit(b, nlh);
	return 0;
}

void nft_batch_clear(struct nft_batch *b)
{
	free(b->buf);
	bh_vec_clear(&b->items);
	memset(b, 0, sizeof(*b));
}
