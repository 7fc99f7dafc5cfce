/* SPDX-License-Identifier: Apache-2.0 */
/* Everybody else's tables, read for a question and forgotten: chains, rules and the plain sets that rules look a field up in. */
#include "foreign.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TABLES_MAX 256u
#define SETS_MAX 4096u
#define VALUES_MAX 65536u	/* of one set; a longer one counts as not understood */

struct view {
	struct nft_socket socket;
	struct bh_foreign *f;
	struct bh_foreign_table *table;
	struct nft_foreign_sets sets;
	struct nft_foreign_set *set;
	struct bh_foreign_chain *chain;		/* of the last rule */
	int error;
};

static int stop(struct view *v, int error)
{
	v->error = error;
	errno = -error;
	return MNL_CB_ERROR;
}

static int nfproto(const struct view *v)
{
	return v->table->family == 4 ? NFPROTO_IPV4 : v->table->family == 6 ? NFPROTO_IPV6 : NFPROTO_INET;
}

/* Asks for all objects of one kind, in the table if there is one yet, in the set SET if it is not NULL. */
static int dump(struct view *v, uint16_t type, const char *set, mnl_cb_t cb)
{
	char buf[1024] = {0};
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *nfg;
	int r;

	nlh->nlmsg_type = (NFNL_SUBSYS_NFTABLES << 8) | type;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = v->table ? (uint8_t)nfproto(v) : NFPROTO_UNSPEC;
	nfg->version = NFNETLINK_V0;
	if (v->table)
		mnl_attr_put_strz(nlh, 1, v->table->name);	/* NFTA_*_TABLE */
	if (set)
		mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_SET, set);
	v->error = 0;
	r = nft_socket_dump(&v->socket, nlh, cb, v);
	return v->error ? v->error : r;
}

/* Not every kernel filters a dump by the table. */
static bool of_table(const struct view *v, const struct nlattr *name)
{
	return bh_streq(nft_attr_str(name), v->table->name);
}

static int on_table(const struct nlmsghdr *nlh, void *data)
{
	const struct nfgenmsg *nfg = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *tb[NFTA_TABLE_MAX + 1];
	struct view *v = data;
	struct bh_foreign_table *t;
	const char *name;

	if (nft_attr_message(nlh, tb, NFTA_TABLE_MAX) < 0)
		return stop(v, -EBADMSG);
	name = nft_attr_str(tb[NFTA_TABLE_NAME]);
	if (!name || strcmp(name, NFT_TABLE_NAME) == 0 || (nft_attr_u32(tb[NFTA_TABLE_FLAGS]) & BH_TABLE_DORMANT) ||
		(nfg->nfgen_family != NFPROTO_INET && nfg->nfgen_family != NFPROTO_IPV4 && nfg->nfgen_family != NFPROTO_IPV6))
		return MNL_CB_OK;
	if (v->f->tables.n == TABLES_MAX)
		return stop(v, -E2BIG);
	t = bh_vec_add(&v->f->tables);
	if (!t || bh_strdup(&t->name, name) < 0)
		return stop(v, -ENOMEM);
	t->family = nfg->nfgen_family == NFPROTO_IPV4 ? 4 : nfg->nfgen_family == NFPROTO_IPV6 ? 6 : 0;
	return MNL_CB_OK;
}

static int on_set(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *tb[NFTA_SET_MAX + 1];
	struct view *v = data;
	struct nft_foreign_set *s;

	if (nft_attr_message(nlh, tb, NFTA_SET_MAX) < 0)
		return stop(v, -EBADMSG);
	if (!of_table(v, tb[NFTA_SET_TABLE]))
		return MNL_CB_OK;
	if (v->sets.v.n == SETS_MAX)
		return stop(v, -E2BIG);
	s = bh_vec_add(&v->sets.v);
	if (!s)
		return stop(v, -ENOMEM);
	(void)nft_attr_name(tb[NFTA_SET_NAME], s->name, sizeof(s->name));	/* one without a name is never found */
	s->key_len = nft_attr_u32(tb[NFTA_SET_KEY_LEN]);
	s->plain = (nft_attr_u32(tb[NFTA_SET_FLAGS]) & ~(uint32_t)(NFT_SET_ANONYMOUS | NFT_SET_CONSTANT)) == 0 && s->key_len <= 16;
	return MNL_CB_OK;
}

static int on_elems(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *tb[NFTA_SET_ELEM_LIST_MAX + 1], *attr;
	struct view *v = data;

	if (nft_attr_message(nlh, tb, NFTA_SET_ELEM_LIST_MAX) < 0)
		return stop(v, -EBADMSG);
	if (!tb[NFTA_SET_ELEM_LIST_ELEMENTS])
		return MNL_CB_OK;
	mnl_attr_for_each_nested(attr, tb[NFTA_SET_ELEM_LIST_ELEMENTS]) {
		const struct nlattr *e[NFTA_SET_ELEM_MAX + 1];
		struct bh_foreign_bytes value = {0};
		const void *key;
		uint32_t len = 0;

		nft_attr_nested(attr, e, NFTA_SET_ELEM_MAX);
		key = nft_attr_value(e[NFTA_SET_ELEM_KEY], &len);
		if (!key || len != v->set->key_len || v->set->values.n == VALUES_MAX) {
			v->set->plain = false;
			continue;
		}
		memcpy(value.b, key, len);
		if (bh_vec_push(&v->set->values, value) < 0)
			return stop(v, -ENOMEM);
	}
	return MNL_CB_OK;
}

static int on_chain(const struct nlmsghdr *nlh, void *data)
{
	static const enum bh_foreign_hook hooks[] = {
		[NF_INET_PRE_ROUTING] = BH_FOREIGN_PREROUTING, [NF_INET_LOCAL_IN] = BH_FOREIGN_INPUT, [NF_INET_FORWARD] = BH_FOREIGN_FORWARD,
		[NF_INET_LOCAL_OUT] = BH_FOREIGN_OUTPUT,
	};
	const struct nlattr *tb[NFTA_CHAIN_MAX + 1], *hook[NFTA_HOOK_MAX + 1];
	struct view *v = data;
	struct bh_foreign_chain *c;
	uint32_t number;

	if (nft_attr_message(nlh, tb, NFTA_CHAIN_MAX) < 0)
		return stop(v, -EBADMSG);
	if (!of_table(v, tb[NFTA_CHAIN_TABLE]))
		return MNL_CB_OK;
	c = bh_vec_add(&v->table->chains);
	if (!c || bh_strdup(&c->name, nft_attr_str(tb[NFTA_CHAIN_NAME])) < 0)
		return stop(v, -ENOMEM);
	if (!tb[NFTA_CHAIN_HOOK])
		return MNL_CB_OK;
	nft_attr_nested(tb[NFTA_CHAIN_HOOK], hook, NFTA_HOOK_MAX);
	number = nft_attr_u32(hook[NFTA_HOOK_HOOKNUM]);
	c->hook = number < BH_ARRAY_SIZE(hooks) ? hooks[number] : BH_FOREIGN_OTHER_HOOK;
	c->drops = nft_attr_u32(tb[NFTA_CHAIN_POLICY]) == NF_DROP && tb[NFTA_CHAIN_POLICY];
	c->nat = bh_streq(nft_attr_str(tb[NFTA_CHAIN_TYPE]), "nat");
	return MNL_CB_OK;
}

static int on_rule(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *tb[NFTA_RULE_MAX + 1];
	struct view *v = data;
	struct bh_foreign_rule *r;
	const char *chain;

	if (nft_attr_message(nlh, tb, NFTA_RULE_MAX) < 0)
		return stop(v, -EBADMSG);
	chain = nft_attr_str(tb[NFTA_RULE_CHAIN]);
	if (!of_table(v, tb[NFTA_RULE_TABLE]) || !chain)
		return MNL_CB_OK;
	if (!v->chain || !bh_streq(v->chain->name, chain)) {	/* the rules of a chain follow each other */
		v->chain = NULL;
		bh_vec_foreach(c, &v->table->chains)
			if (bh_streq(c->name, chain))
				v->chain = c;
	}
	if (!v->chain)
		return MNL_CB_OK;
	r = bh_vec_add(&v->chain->rules);
	if (!r || nft_foreign_rule(tb[NFTA_RULE_EXPRESSIONS], &v->sets, r) < 0)
		return stop(v, -ENOMEM);
	return MNL_CB_OK;
}

static void sets_clear(struct nft_foreign_sets *sets)
{
	bh_vec_foreach(s, &sets->v)
		bh_vec_clear(&s->values);
	bh_vec_clear(&sets->v);
}

static int view_table(struct view *v)
{
	int r = dump(v, NFT_MSG_GETSET, NULL, on_set);

	for (size_t i = 0; r == 0 && i < v->sets.v.n; i++) {
		v->set = &v->sets.v.v[i];
		if (v->set->plain)
			r = dump(v, NFT_MSG_GETSETELEM, v->set->name, on_elems);
	}
	v->chain = NULL;
	if (r == 0)
		r = dump(v, NFT_MSG_GETCHAIN, NULL, on_chain);
	if (r == 0)
		r = dump(v, NFT_MSG_GETRULE, NULL, on_rule);
	sets_clear(&v->sets);
	return r;
}

static int view_all(struct view *v)
{
	int r = dump(v, NFT_MSG_GETTABLE, NULL, on_table);

	for (size_t i = 0; r == 0 && i < v->f->tables.n; i++) {
		v->table = &v->f->tables.v[i];
		r = view_table(v);
		if (r == -ENOENT)	/* it went meanwhile */
			r = 0;
	}
	v->table = NULL;
	return r;
}

/* Names of the tables of iptables-legacy in this namespace: none is no rule. */
static bool is_legacy(const char *path)
{
	_cleanup_buf_ struct bh_buf text = {0};

	return bh_buf_read_file(&text, path, 4096) == 0 && text.n > 0;
}

int bh_nft_foreign(struct bh_foreign **ret, struct bh_error *err)
{
	struct view v = {0};
	int r = nft_socket_open(&v.socket, err);

	if (r < 0)
		return r;
	for (int tries = 0; tries < 10; tries++) {
		_cleanup_(bh_foreign_freep) struct bh_foreign *f = calloc(1, sizeof(*f));

		v.f = f;
		r = f ? view_all(&v) : -ENOMEM;
		if (r == 0) {
			f->legacy4 = is_legacy("/proc/net/ip_tables_names");
			f->legacy6 = is_legacy("/proc/net/ip6_tables_names");
			*ret = bh_take(f);
		}
		if (r != -EINTR && r != -ENOBUFS)
			break;
	}
	nft_socket_close(&v.socket);
	return r < 0 ? bh_fail(err, r, "reading others' rules: %s", strerror(-r)) : 0;
}
