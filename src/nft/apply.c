/* SPDX-License-Identifier: Apache-2.0 */
/* A plan into the kernel: one transaction, and the name of the object that it was refused for. */
#include "internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#define TRIES 3

static const struct nft_item *item_find(const struct nft_batch *b, uint32_t seq)
{
	bh_vec_foreach(i, &b->items)
		if (i->seq == seq)
			return i;
	return NULL;
}

static int key_note(const struct nlattr *attr, void *data)
{
	const struct nlattr **value = data;

	if (mnl_attr_get_type(attr) == NFTA_DATA_VALUE)
		*value = attr;
	return MNL_CB_OK;
}

static int elem_note(const struct nlattr *attr, void *data)
{
	if (mnl_attr_get_type(attr) == NFTA_SET_ELEM_KEY)
		(void)mnl_attr_parse_nested(attr, key_note, data);
	return MNL_CB_OK;
}

/* The element of CHANGE that the attribute at OFFSET of a message of ours is about; NULL when it is none. */
static const struct bh_elem *elem_find(const struct nft_batch *b, const struct nft_item *item, uint32_t offset)
{
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)(b->buf + item->offset);
	const struct bh_set *set = item->change->set;
	const struct nlattr *list, *attr, *value = NULL;
	size_t len = nft_key_len(set->key, set->n_key);

	mnl_attr_for_each(list, nlh, sizeof(struct nfgenmsg)) {
		if (mnl_attr_get_type(list) != NFTA_SET_ELEM_LIST_ELEMENTS)
			continue;
		mnl_attr_for_each_nested(attr, list) {
			const char *p = (const char *)nlh + offset;

			if (p >= (const char *)attr && p < (const char *)attr + mnl_attr_get_len(attr))
				(void)mnl_attr_parse_nested(attr, elem_note, &value);
		}
	}
	if (!value || mnl_attr_get_payload_len(value) != len)
		return NULL;
	for (size_t i = 0; i < item->change->elems.n; i++)
		if (memcmp(item->change->elems.v[i]->key, mnl_attr_get_payload(value), len) == 0)
			return item->change->elems.v[i];
	return NULL;
}

static void elem_name(const struct nft_batch *b, const struct nft_item *item, uint32_t offset, struct bh_buf *out)
{
	const struct bh_elem *e = offset ? elem_find(b, item, offset) : NULL;

	bh_buf_printf(out, "set %s %s", nft_family_name(item->change->family), item->change->set->name);
	if (e) {
		bh_buf_puts(out, ": element ");
		bh_elem_print(item->change->set, e, out);
	}
}

/* "set inet zone_of4: element "docker0" . 172.17.0.2 : 1:1" */
static void item_name(const struct nft_batch *b, const struct nft_item *item, uint32_t offset, struct bh_buf *out)
{
	const struct bh_change *c = item->change;
	const char *family = nft_family_name(c->family);

	switch (c->kind) {
	case BH_ADD_TABLE:
	case BH_OWN_TABLE:
	case BH_DEL_TABLE:
		bh_buf_printf(out, "table %s " NFT_TABLE_NAME, family);
		return;
	case BH_ADD_COUNTER:
	case BH_DEL_COUNTER:
		bh_buf_printf(out, "counter %s %s", family, c->counter->name);
		return;
	case BH_ADD_CHAIN:
	case BH_FLUSH_RULES:
	case BH_DEL_CHAIN:
		bh_buf_printf(out, "chain %s %s", family, c->chain->name);
		return;
	case BH_ADD_RULES:
		bh_buf_printf(out, "chain %s %s, rule %zu", family, c->chain->name, item->rule + 1);
		return;
	case BH_ADD_SET:
	case BH_DEL_SET:
	case BH_FLUSH_SET:
		bh_buf_printf(out, "set %s %s", family, c->set->name);
		return;
	case BH_DEL_ELEMS:
	case BH_ADD_ELEMS:
		elem_name(b, item, offset, out);
		return;
	}
}

static int refused(const struct nft_batch *b, const struct nft_refusal *ref, int code, struct bh_error *err)
{
	const struct nft_item *item = ref->code ? item_find(b, ref->seq) : NULL;
	_cleanup_buf_ struct bh_buf name = {0};
	_cleanup_buf_ struct bh_buf words = {0};

	if (item)
		item_name(b, item, ref->offset, &name);
	else
		bh_buf_puts(&name, "transaction");
	if (ref->msg[0]) {
		bh_buf_puts(&words, " (");
		bh_buf_put_safe(&words, ref->msg, sizeof(ref->msg));
		bh_buf_puts(&words, ")");
	}
	if (code == -ENOBUFS || code == -EMSGSIZE)
		return bh_fail(err, code, "transaction of %zu bytes: %s", b->n, strerror(-code));
	return bh_fail(err, code, "%s: %s%s", name.s ? name.s : "transaction", strerror(-code), words.s ? words.s : "");
}

int nft_apply(struct nft_kernel *k, const struct bh_plan *plan, struct bh_error *err)
{
	_cleanup_batch_ struct nft_batch b = {0};
	struct nft_refusal ref = {0};
	int r;

	if (plan->changes.n == 0)
		return 0;
	if (nft_batch_begin(&b, k->socket.seq) < 0)
		return bh_fail(err, -ENOMEM, "no memory for the transaction");
	r = nft_encode_plan(&b, plan, err);
	if (r < 0)
		return r;
	if (nft_batch_end(&b) < 0)
		return bh_fail(err, -ENOMEM, "no memory for the transaction");
	k->socket.seq = b.seq;
	k->nft.last = (struct bh_nft_work){.bytes = b.n, .messages = b.items.n};
	bh_vec_foreach(c, &plan->changes)
		k->nft.last.elements += c->elems.n;
	/* ERESTART and EAGAIN say that another transaction came between, not that ours is wrong. Our batches name no
	 * generation, because other programs' tables change all the time: the plan's own names and NLM_F_EXCL tell
	 * whether the kernel is what was seen. */
	for (int i = 0; i < TRIES; i++) {
		r = nft_socket_transact(&k->socket, &b, &ref);
		if (r != -ERESTART && r != -EAGAIN)
			break;
	}
	return r < 0 ? refused(&b, &ref, r, err) : 0;
}
