/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel holds in our tables, as the IR. A dump is only worth something when no transaction came between its
 * first and its last message: the generation before and after must be the same. */
#include "attr.h"
#include "internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TRIES 10

struct view {
	struct nft_kernel *k;
	enum bh_family family;
	struct bh_table *table;
	struct nft_seen_sets *sets;
	struct nft_seen_set *current;
	struct bh_chain *chain;		/* of the last rule */
	uint32_t generation;
	int error;
};

static struct nlmsghdr *request(char *buf, size_t size, uint16_t type, uint16_t flags, int nfproto)
{
	struct nlmsghdr *nlh;
	struct nfgenmsg *nfg;

	memset(buf, 0, size);
	nlh = mnl_nlmsg_put_header(buf);
	nlh->nlmsg_type = (NFNL_SUBSYS_NFTABLES << 8) | type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = (uint8_t)nfproto;
	nfg->version = NFNETLINK_V0;
	return nlh;
}

/* The answers' callbacks stop at the first problem, and view->error says which. */
static int stop(struct view *v, int error)
{
	v->error = error;
	errno = -error;
	return MNL_CB_ERROR;
}

static int on_generation(const struct nlmsghdr *nlh, void *data)
{
	struct view *v = data;
	const struct nlattr *attr;

	mnl_attr_for_each(attr, nlh, sizeof(struct nfgenmsg))
		if (mnl_attr_get_type(attr) == NFTA_GEN_ID && mnl_attr_validate(attr, MNL_TYPE_U32) == 0)
			v->generation = ntohl(mnl_attr_get_u32(attr));
	return MNL_CB_OK;
}

static int generation(struct view *v)
{
	char buf[256];
	struct nlmsghdr *nlh = request(buf, sizeof(buf), NFT_MSG_GETGEN, NLM_F_ACK, AF_UNSPEC);

	return nft_socket_dump(&v->k->socket, nlh, on_generation, v);
}

static int on_table(const struct nlmsghdr *nlh, void *data)
{
	struct view *v = data;

	if (nft_decode_table(nlh, v->k->socket.portid, v->table) < 0)
		return stop(v, -EBADMSG);
	return MNL_CB_OK;
}

static int on_set(const struct nlmsghdr *nlh, void *data)
{
	struct view *v = data;
	struct nft_seen_set *s;
	int r;

	if (!nft_table_is_ours(nlh))
		return MNL_CB_OK;
	s = bh_vec_add(&v->sets->v);
	r = s ? nft_decode_set(nlh, s) : -ENOMEM;
	return r < 0 ? stop(v, r) : MNL_CB_OK;
}

static int on_elems(const struct nlmsghdr *nlh, void *data)
{
	struct view *v = data;
	int r = nft_decode_elems(nlh, v->current);

	return r < 0 ? stop(v, r) : MNL_CB_OK;
}

static int on_chain(const struct nlmsghdr *nlh, void *data)
{
	struct view *v = data;
	struct bh_chain *c;
	int r;

	if (!nft_table_is_ours(nlh))
		return MNL_CB_OK;
	c = bh_vec_add(&v->table->chains);
	r = c ? nft_decode_chain(nlh, v->family, c) : -ENOMEM;
	if (r == -ENAMETOOLONG || r == -EPERM) {	/* a stranger; one that sees packets is not tolerated */
		v->table->chains.n--;
		v->table->flags |= r == -EPERM ? NFT_TABLE_STRANGE : 0;
		r = 0;
	}
	return r < 0 ? stop(v, r) : MNL_CB_OK;
}

static int on_rule(const struct nlmsghdr *nlh, void *data)
{
	struct view *v = data;
	const char *name = nft_rule_chain(nlh);
	struct bh_chain *c;
	struct bh_nft_rule *rule;
	int r;

	if (!nft_table_is_ours(nlh) || !name)
		return MNL_CB_OK;
	/* the rules of a chain follow each other */
	if (!v->chain || strcmp(v->chain->name, name) != 0)
		v->chain = bh_table_chain(v->table, name);
	c = v->chain;
	if (!c)
		return MNL_CB_OK;	/* a chain with a name too long to be ours */
	rule = bh_vec_add(&c->rules);
	r = rule ? nft_decode_rule(nlh, v->family, v->sets, rule) : -ENOMEM;
	return r < 0 ? stop(v, r) : MNL_CB_OK;
}

static int on_counter(const struct nlmsghdr *nlh, void *data)
{
	struct view *v = data;
	struct bh_counter c;
	int r;

	if (!nft_table_is_ours(nlh))
		return MNL_CB_OK;
	r = nft_decode_counter(nlh, &c);
	if (r == -ENOENT)	/* an object of another kind */
		return MNL_CB_OK;
	if (r == 0)
		r = bh_vec_push(&v->table->counters, c);
	return r < 0 ? stop(v, r) : MNL_CB_OK;
}

static int dump(struct view *v, uint16_t type, mnl_cb_t cb)
{
	char buf[512];
	struct nlmsghdr *nlh = request(buf, sizeof(buf), type, NLM_F_DUMP, nft_family(v->family));

	mnl_attr_put_strz(nlh, 1, NFT_TABLE_NAME);	/* NFTA_SET_TABLE, NFTA_CHAIN_TABLE, NFTA_RULE_TABLE, NFTA_OBJ_TABLE */
	return nft_socket_dump(&v->k->socket, nlh, cb, v);
}

static int dump_elems(struct view *v)
{
	char buf[512];
	int r;

	bh_vec_foreach(s, &v->sets->v) {
		struct nlmsghdr *nlh;

		if (!s->known)
			continue;
		nlh = request(buf, sizeof(buf), NFT_MSG_GETSETELEM, NLM_F_DUMP, nft_family(v->family));
		mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_TABLE, NFT_TABLE_NAME);
		mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_SET, s->name);
		v->current = s;
		r = nft_socket_dump(&v->k->socket, nlh, on_elems, v);
		if (r < 0)
			return r;
		if (nft_decode_intervals(s) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* Named sets go into the table; the anonymous ones have become part of their rules. */
static int sets_keep(struct view *v)
{
	bh_vec_foreach(s, &v->sets->v) {
		if (s->anonymous || strlen(s->name) >= BH_NAME)	/* a stranger that no rule of ours uses is harmless */
			continue;
		if (!s->known)
			s->set.n_key = 0;	/* equals no set of ours */
		if (bh_vec_push(&v->table->sets, s->set) < 0)
			return -ENOMEM;
		memset(&s->set, 0, sizeof(s->set));
	}
	return 0;
}

static int view_table(struct view *v)
{
	struct nft_seen_sets sets = {0};
	char buf[256];
	struct nlmsghdr *nlh = request(buf, sizeof(buf), NFT_MSG_GETTABLE, NLM_F_ACK, nft_family(v->family));
	int r;

	mnl_attr_put_strz(nlh, NFTA_TABLE_NAME, NFT_TABLE_NAME);
	r = nft_socket_dump(&v->k->socket, nlh, on_table, v);
	if (r == -ENOENT)
		return 0;
	v->sets = &sets;
	v->chain = NULL;
	r = r < 0 ? r : dump(v, NFT_MSG_GETSET, on_set);
	r = r < 0 ? r : dump_elems(v);
	nft_seen_sets_sort(&sets);
	r = r < 0 ? r : dump(v, NFT_MSG_GETOBJ, on_counter);
	r = r < 0 ? r : dump(v, NFT_MSG_GETCHAIN, on_chain);
	r = r < 0 ? r : dump(v, NFT_MSG_GETRULE, on_rule);
	r = r < 0 ? r : sets_keep(v);
	nft_seen_sets_clear(&sets);
	v->sets = NULL;
	return r;
}

static int view_all(struct nft_kernel *k, struct bh_ruleset *r)
{
	struct view v = {.k = k};
	uint32_t before;
	int ret = generation(&v);

	before = v.generation;
	for (enum bh_family f = 0; f < BH_FAMILY_MAX && ret == 0; f++) {
		v.family = f;
		v.table = &r->tables[f];
		ret = view_table(&v);
	}
	if (ret == 0)
		ret = generation(&v);
	if (ret == 0 && v.generation != before)
		ret = -EINTR;
	return ret;
}

/* The kernel moves a hash set that has grown to a bigger table some time after the transaction. A dump walks the set anew
 * for each message and passes over as many elements as it told before, so a move between two messages hides some elements
 * and tells as many others twice (nft_rhash_walk(), net/netfilter/nft_set_hash.c). No generation tells of it. */
static bool told_twice(const struct bh_ruleset *sorted)
{
	for (enum bh_family f = 0; f < BH_FAMILY_MAX; f++)
		bh_vec_foreach(s, &sorted->tables[f].sets)
			for (size_t i = 1; i < s->elems.n; i++)
				if (memcmp(s->elems.v[i - 1].key, s->elems.v[i].key, sizeof(s->elems.v[i].key)) == 0)
					return true;
	return false;
}

int nft_observe(struct nft_kernel *k, struct bh_ruleset **ret, struct bh_error *err)
{
	for (int i = 0; i < TRIES; i++) {
		_cleanup_(bh_ruleset_freep) struct bh_ruleset *rs = calloc(1, sizeof(*rs));
		int r;

		if (!rs)
			return bh_fail(err, -ENOMEM, "no memory to read the rule set");
		r = view_all(k, rs);
		if (r == 0) {
			bh_ruleset_sort(rs);
			if (told_twice(rs))
				continue;
			*ret = bh_take(rs);
			return 0;
		}
		/* the rule set moved under the dump (a set that was listed may be gone by now), or answers were lost */
		if (r != -EINTR && r != -ENOENT && r != -ENOBUFS && r != -EAGAIN)
			return bh_fail(err, r, "reading the rule set: %s", strerror(-r));
	}
	return bh_fail(err, -EAGAIN, "reading the rule set: it did not hold still in %d tries", TRIES);
}

/* One set by its name, with its elements. */
static int view_set(struct view *v, const char *name)
{
	struct nft_seen_sets sets = {0};
	char buf[256];
	struct nlmsghdr *nlh = request(buf, sizeof(buf), NFT_MSG_GETSET, NLM_F_ACK, nft_family(v->family));
	int r;

	mnl_attr_put_strz(nlh, NFTA_SET_TABLE, NFT_TABLE_NAME);
	mnl_attr_put_strz(nlh, NFTA_SET_NAME, name);
	v->sets = &sets;
	r = nft_socket_dump(&v->k->socket, nlh, on_set, v);
	r = r < 0 ? r : dump_elems(v);
	r = r < 0 ? r : sets_keep(v);
	nft_seen_sets_clear(&sets);
	v->sets = NULL;
	return r;
}

int nft_counters(struct nft_kernel *k, struct bh_ruleset **ret, struct bh_error *err)
{
	static const struct {
		enum bh_family family;
		const char *name;
	} sets[] = {{BH_FAMILY_INET, "drops4"}, {BH_FAMILY_INET, "drops6"}, {BH_FAMILY_BRIDGE, "drops"}};
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *rs = calloc(1, sizeof(*rs));
	struct view v = {.k = k};
	int r = rs ? 0 : -ENOMEM;

	for (size_t i = 0; i < BH_ARRAY_SIZE(sets) && r == 0; i++) {
		v.family = sets[i].family;
		v.table = &rs->tables[v.family];
		r = view_set(&v, sets[i].name);
	}
	if (r < 0)
		return bh_fail(err, r, "reading the counters: %s", strerror(-r));
	bh_ruleset_sort(rs);
	if (told_twice(rs))
		return bh_fail(err, -EAGAIN, "the counters did not hold still");
	*ret = bh_take(rs);
	return 0;
}
