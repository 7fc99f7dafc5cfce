/* SPDX-License-Identifier: Apache-2.0 */
/* Matches and targets of iptables-nft: what it leaves to x_tables, in the kernel's structures. */
#include "foreign.h"

#include <errno.h>
#include <linux/netfilter/xt_addrtype.h>
#include <linux/netfilter/xt_conntrack.h>
#include <linux/netfilter/xt_tcpudp.h>
#include <string.h>

#define STATES 0xfu	/* INVALID 1, ESTABLISHED 2, RELATED 4, NEW 8: the same numbers as nft's */

struct bh_foreign_cond *nft_foreign_cond(struct bh_foreign_rule *rule, enum bh_foreign_field field, enum bh_foreign_op op)
{
	struct bh_foreign_cond *c = bh_vec_add(&rule->conds);

	if (!c)
		return NULL;
	c->field = field;
	c->op = op;
	memset(c->mask.b, 0xff, sizeof(c->mask.b));
	return c;
}

/* All of these: 0 or -ENOMEM. */
static int unknown(struct bh_foreign_rule *rule)
{
	return nft_foreign_cond(rule, BH_FOREIGN_OTHER, BH_FOREIGN_EQ) ? 0 : -ENOMEM;
}

static int number(struct bh_foreign_rule *rule, enum bh_foreign_field field, enum bh_foreign_op op, uint32_t mask, uint32_t value)
{
	struct bh_foreign_cond *c = nft_foreign_cond(rule, field, op);

	if (!c)
		return -ENOMEM;
	c->len = sizeof(value);
	memcpy(c->mask.b, &mask, sizeof(mask));
	memcpy(c->value.b, &value, sizeof(value));
	return 0;
}

static int ports(struct bh_foreign_rule *rule, const uint16_t range[2], bool inverted)
{
	const uint16_t ends[2] = {htons(range[0]), htons(range[1])};

	if (range[0] == 0 && range[1] == UINT16_MAX && !inverted)
		return 0;
	if (inverted && range[0] != range[1])
		return unknown(rule);
	for (int i = 0; i < (inverted ? 1 : 2); i++) {
		struct bh_foreign_cond *c =
			nft_foreign_cond(rule, BH_FOREIGN_TRANSPORT, inverted ? BH_FOREIGN_NE : i == 0 ? BH_FOREIGN_GE : BH_FOREIGN_LE);

		if (!c)
			return -ENOMEM;
		c->offset = 2;
		c->len = 2;
		memcpy(c->value.b, &ends[i], 2);
	}
	return 0;
}

static int match_tcp(struct bh_foreign_rule *rule, const void *data)
{
	struct xt_tcp m;
	int r;

	memcpy(&m, data, sizeof(m));
	r = ports(rule, m.dpts, m.invflags & XT_TCP_INV_DSTPT);
	if (r == 0 && (m.spts[0] != 0 || m.spts[1] != UINT16_MAX || m.option || m.flg_mask))
		r = unknown(rule);
	return r;
}

static int match_udp(struct bh_foreign_rule *rule, const void *data)
{
	struct xt_udp m;
	int r;

	memcpy(&m, data, sizeof(m));
	r = ports(rule, m.dpts, m.invflags & XT_UDP_INV_DSTPT);
	if (r == 0 && (m.spts[0] != 0 || m.spts[1] != UINT16_MAX))
		r = unknown(rule);
	return r;
}

/* Types are bits of 1 << RTN_*. */
static int match_addrtype(struct bh_foreign_rule *rule, const void *data)
{
	struct xt_addrtype_info_v1 m;
	int r = 0;

	memcpy(&m, data, sizeof(m));
	if (m.source || (m.flags & (XT_ADDRTYPE_LIMIT_IFACE_IN | XT_ADDRTYPE_LIMIT_IFACE_OUT)))
		r = unknown(rule);
	for (uint32_t type = 1; r == 0 && m.dest && type < 16; type++)
		if (m.dest == 1u << type)
			return number(rule, BH_FOREIGN_DADDR_TYPE, m.flags & XT_ADDRTYPE_INVERT_DEST ? BH_FOREIGN_NE : BH_FOREIGN_EQ,
				UINT32_MAX, type);
	return r == 0 && m.dest ? unknown(rule) : r;
}

/* Only states, and DNAT as a state of its own. */
static int match_conntrack(struct bh_foreign_rule *rule, const void *data)
{
	struct xt_conntrack_mtinfo3 m;
	enum bh_foreign_op op;

	memcpy(&m, data, sizeof(m));
	op = m.invert_flags & XT_CONNTRACK_STATE ? BH_FOREIGN_EQ : BH_FOREIGN_NE;
	if (m.match_flags == XT_CONNTRACK_STATE && m.state_mask == XT_CONNTRACK_STATE_DNAT)
		return number(rule, BH_FOREIGN_CT_STATUS, op, 0x20, 0);	/* IPS_DST_NAT */
	if (m.match_flags == XT_CONNTRACK_STATE && (m.state_mask & ~STATES) == 0)
		return number(rule, BH_FOREIGN_CT_STATE, op, m.state_mask, 0);
	return unknown(rule);
}

int nft_foreign_match(const char *name, uint32_t revision, const struct nlattr *info, struct bh_foreign_rule *rule)
{
	static const struct {
		const char *name;
		uint32_t revision;
		size_t size;
		int (*read)(struct bh_foreign_rule *rule, const void *data);
	} matches[] = {
		{"tcp", 0, sizeof(struct xt_tcp), match_tcp}, {"udp", 0, sizeof(struct xt_udp), match_udp},
		{"addrtype", 1, sizeof(struct xt_addrtype_info_v1), match_addrtype},
		{"conntrack", 3, sizeof(struct xt_conntrack_mtinfo3), match_conntrack},
	};

	if (name && strcmp(name, "comment") == 0)
		return 0;
	for (size_t i = 0; name && info && i < BH_ARRAY_SIZE(matches); i++)
		if (strcmp(name, matches[i].name) == 0 && revision == matches[i].revision && mnl_attr_get_payload_len(info) >= matches[i].size)
			return matches[i].read(rule, mnl_attr_get_payload(info));
	return unknown(rule);
}

enum bh_foreign_effect nft_foreign_target(const char *name)
{
	static const struct {
		const char *name;
		enum bh_foreign_effect effect;
	} targets[] = {
		{"REJECT", BH_FOREIGN_DROP}, {"DNAT", BH_FOREIGN_DNAT}, {"LOG", BH_FOREIGN_NOTHING}, {"NFLOG", BH_FOREIGN_NOTHING},
		{"MARK", BH_FOREIGN_NOTHING}, {"CONNMARK", BH_FOREIGN_NOTHING}, {"TCPMSS", BH_FOREIGN_NOTHING}, {"CT", BH_FOREIGN_NOTHING},
		{"CLASSIFY", BH_FOREIGN_NOTHING}, {"MASQUERADE", BH_FOREIGN_ACCEPT}, {"SNAT", BH_FOREIGN_ACCEPT},
	};

	for (size_t i = 0; name && i < BH_ARRAY_SIZE(targets); i++)
		if (strcmp(name, targets[i].name) == 0)
			return targets[i].effect;
	return BH_FOREIGN_ANYTHING;
}
