/* SPDX-License-Identifier: Apache-2.0 */
/* What others' rules make of one packet, in three values: yes, no, not known. */
#include <bulkhead/foreign.h>

#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

/* Inside of one chain: its end was reached. */
#define FALLS 8u
#define ANY (BH_OUTCOME_ACCEPT | BH_OUTCOME_DROP | FALLS)

#define CT_STATE_NEW 8u		/* NF_CT_STATE_BIT(IP_CT_NEW), include/uapi/linux/netfilter/nf_conntrack_common.h */
#define CT_STATUS_DNAT 0x20u	/* IPS_DST_NAT */
#define RTN_LOCAL 2u		/* include/uapi/linux/rtnetlink.h */
#define RTN_UNICAST 1u
#define NFPROTO_V4 2
#define NFPROTO_V6 10

enum answer { NO, YES, MAYBE };

void bh_foreign_cond_clear(struct bh_foreign_cond *c)
{
	bh_vec_clear(&c->values);
}

void bh_foreign_free(struct bh_foreign *f)
{
	if (!f)
		return;
	bh_vec_foreach(t, &f->tables) {
		bh_vec_foreach(c, &t->chains) {
			bh_vec_foreach(r, &c->rules) {
				bh_vec_foreach(k, &r->conds)
					bh_foreign_cond_clear(k);
				bh_vec_clear(&r->conds);
				free(r->chain);
			}
			bh_vec_clear(&c->rules);
			free(c->name);
		}
		bh_vec_clear(&t->chains);
		free(t->name);
	}
	bh_vec_clear(&f->tables);
	free(f);
}

static void put_name(uint8_t v[16], const char *name)
{
	memset(v, 0, 16);
	memcpy(v, name, strnlen(name, 15));
}

static void put_number(uint8_t v[16], uint32_t n)
{
	memcpy(v, &n, sizeof(n));
}

/* LEN bytes of an address that is in the header from FROM on. */
static bool header_address(const struct bh_addr *a, unsigned from, const struct bh_foreign_cond *c, uint8_t v[16])
{
	size_t size = bh_addr_size(a);

	if (a->family == 0 || c->offset < from || c->offset + c->len > from + size)
		return false;
	memcpy(v, a->b + (c->offset - from), c->len);
	return true;
}

static bool network_bytes(const struct bh_foreign_packet *p, const struct bh_foreign_cond *c, uint8_t v[16])
{
	bool v4 = p->daddr.family == 4;

	if (c->len == 1 && c->offset == (v4 ? 9 : 6)) {
		v[0] = p->proto;
		return true;
	}
	return header_address(&p->saddr, v4 ? 12 : 8, c, v) || header_address(&p->daddr, v4 ? 16 : 24, c, v);
}

/* The field's bytes; false when they are not known. */
static bool field_bytes(const struct bh_foreign_packet *p, const struct bh_foreign_cond *c, uint8_t v[16])
{
	switch (c->field) {
	case BH_FOREIGN_IIFNAME:
		put_name(v, p->iif ? p->iif : "");
		return p->iif;
	case BH_FOREIGN_OIFNAME:
		put_name(v, p->oif ? p->oif : "");
		return p->oif;
	case BH_FOREIGN_L4PROTO:
		v[0] = p->proto;
		return true;
	case BH_FOREIGN_NFPROTO:
		v[0] = p->daddr.family == 4 ? NFPROTO_V4 : NFPROTO_V6;
		return true;
	case BH_FOREIGN_CT_STATE:
		put_number(v, CT_STATE_NEW);
		return true;
	case BH_FOREIGN_CT_STATUS:
		put_number(v, p->dnat ? CT_STATUS_DNAT : 0);
		return true;
	case BH_FOREIGN_DADDR_TYPE:
		put_number(v, p->local ? RTN_LOCAL : RTN_UNICAST);
		return true;
	case BH_FOREIGN_ROUTE_BACK:
		put_number(v, 1);
		return (c->op == BH_FOREIGN_EQ || c->op == BH_FOREIGN_NE) && !c->set;
	case BH_FOREIGN_NETWORK:
		return network_bytes(p, c, v);
	case BH_FOREIGN_TRANSPORT:
		v[0] = (uint8_t)(p->dport >> 8);
		v[1] = (uint8_t)p->dport;
		return c->offset == 2 && c->len == 2 && (p->proto == IPPROTO_TCP || p->proto == IPPROTO_UDP || p->proto == IPPROTO_SCTP);
	case BH_FOREIGN_OTHER:
		break;
	}
	return false;
}

static bool compare(const struct bh_foreign_cond *c, const uint8_t v[16])
{
	int r = memcmp(v, c->value.b, c->len);
	bool in = false;

	if (c->set) {
		bh_vec_foreach(e, &c->values)
			in = in || memcmp(v, e->b, c->len) == 0;
		return in == (c->op == BH_FOREIGN_EQ);
	}
	switch (c->op) {
	case BH_FOREIGN_EQ:
		return r == 0;
	case BH_FOREIGN_NE:
		return r != 0;
	case BH_FOREIGN_LT:
		return r < 0;
	case BH_FOREIGN_LE:
		return r <= 0;
	case BH_FOREIGN_GT:
		return r > 0;
	case BH_FOREIGN_GE:
		return r >= 0;
	}
	return false;
}

/* Both ports at once, as iptables-nft compares them: the sender's is not known. */
static enum answer ports_hold(const struct bh_foreign_packet *p, const struct bh_foreign_cond *c)
{
	struct bh_foreign_cond dport = {.field = c->field, .offset = 2, .len = 2};
	uint8_t v[16] = {0};

	if (c->set || (c->op != BH_FOREIGN_EQ && c->op != BH_FOREIGN_NE) || !field_bytes(p, &dport, v) ||
		((v[0] & c->mask.b[2]) == c->value.b[2] && (v[1] & c->mask.b[3]) == c->value.b[3]))
		return MAYBE;
	return c->op == BH_FOREIGN_EQ ? NO : YES;
}

static enum answer cond_holds(const struct bh_foreign_packet *p, const struct bh_foreign_cond *c)
{
	uint8_t v[16] = {0};

	if (c->field == BH_FOREIGN_TRANSPORT && c->offset == 0 && c->len == 4)
		return ports_hold(p, c);
	if (c->len == 0 || c->len > 16 || !field_bytes(p, c, v))
		return MAYBE;
	for (size_t i = 0; i < 16; i++)
		v[i] &= c->mask.b[i];
	return compare(c, v) ? YES : NO;
}

static enum answer rule_matches(const struct bh_foreign_packet *p, const struct bh_foreign_rule *r)
{
	enum answer a = YES;

	bh_vec_foreach(c, &r->conds)
		switch (cond_holds(p, c)) {
		case NO:
			return NO;
		case MAYBE:
			a = MAYBE;
			break;
		case YES:
			break;
		}
	return a;
}

static struct bh_foreign_chain *chain_find(const struct bh_foreign_table *t, const char *name)
{
	bh_vec_foreach(c, &t->chains)
		if (bh_streq(c->name, name))
			return c;
	return NULL;
}

static unsigned chain_ask(const struct bh_foreign_table *t, struct bh_foreign_chain *c, const struct bh_foreign_packet *p);

/* What comes of a rule that matches; FALLS: the next one is asked. */
static unsigned rule_effect(const struct bh_foreign_table *t, const struct bh_foreign_rule *r, bool nat, const struct bh_foreign_packet *p)
{
	struct bh_foreign_chain *to;

	switch (r->effect) {
	case BH_FOREIGN_NOTHING:
	case BH_FOREIGN_RETURN:	/* seen to by who asks */
		return FALLS;
	case BH_FOREIGN_ACCEPT:
		return BH_OUTCOME_ACCEPT;
	case BH_FOREIGN_DROP:
		return BH_OUTCOME_DROP;
	case BH_FOREIGN_DNAT:
		return BH_OUTCOME_DNAT;
	case BH_FOREIGN_JUMP:
	case BH_FOREIGN_GOTO:
		to = chain_find(t, r->chain);
		return to ? chain_ask(t, to, p) : ANY;
	case BH_FOREIGN_ANYTHING:
		break;
	}
	return nat ? ANY | BH_OUTCOME_DNAT : ANY;
}

/* The chain in whose rules the packet is dropped by R of C. */
static const char *dropper(const struct bh_foreign_table *t, const struct bh_foreign_rule *r, const struct bh_foreign_chain *c)
{
	const struct bh_foreign_chain *to = r->chain ? chain_find(t, r->chain) : NULL;

	return to && to->dropper ? to->dropper : c->name;
}

/* The same for every way into the chain, since the packet is: asked once. The kernel lets no chain come back to itself. */
static unsigned chain_ask(const struct bh_foreign_table *t, struct bh_foreign_chain *c, const struct bh_foreign_packet *p)
{
	unsigned out = 0;
	bool goes_on = true;

	if (c->busy)
		return ANY;
	if (c->outcome)
		return c->outcome;
	c->busy = true;
	bh_vec_foreach(r, &c->rules) {
		enum answer a = rule_matches(p, r);
		bool leaves = r->effect == BH_FOREIGN_RETURN || r->effect == BH_FOREIGN_GOTO;
		unsigned e;

		if (a == NO)
			continue;
		e = rule_effect(t, r, c->nat, p);
		if (e & BH_OUTCOME_DROP)
			c->dropper = dropper(t, r, c);
		out |= leaves ? e : e & ~FALLS;
		if (a == YES && (leaves || !(e & FALLS))) {
			goes_on = false;
			break;
		}
	}
	c->busy = false;
	c->outcome = goes_on ? out | FALLS : out;
	return c->outcome;
}

static void forget(struct bh_foreign_table *t, bool nat)
{
	bh_vec_foreach(c, &t->chains) {
		c->outcome = 0;
		c->dropper = NULL;
		if (c->hook == BH_FOREIGN_NO_HOOK)
			c->nat = nat;
	}
}

unsigned bh_foreign_ask(struct bh_foreign *f, const struct bh_foreign_packet *p, enum bh_foreign_hook hook, bool nat, const char **ret_doubt)
{
	/* what one chain does to the packet for sure is done, whatever the others think */
	const unsigned wanted = nat ? BH_OUTCOME_DNAT : BH_OUTCOME_DROP;
	bool legacy = p->daddr.family == 4 ? f->legacy4 : f->legacy6, sure = false;
	const char *doubt = legacy ? "iptables-legacy" : NULL;

	f->drop_table = NULL;
	f->drop_chain = NULL;
	bh_vec_foreach(t, &f->tables) {
		if (t->family && t->family != p->daddr.family)
			continue;
		forget(t, nat);
		bh_vec_foreach(c, &t->chains) {
			unsigned o;

			if (c->hook != hook || c->nat != nat)
				continue;
			o = chain_ask(t, c, p);
			if (o & FALLS)
				o = (o & ~FALLS) | (c->drops ? BH_OUTCOME_DROP : BH_OUTCOME_ACCEPT);
			if ((o & wanted) && (!f->drop_table || (o == wanted && !sure))) {
				f->drop_table = t;
				f->drop_chain = c->dropper ? c->dropper : c->name;
			}
			sure = sure || o == wanted;
			if ((o & wanted) && !doubt)
				doubt = t->name;
		}
	}
	if (ret_doubt)
		*ret_doubt = sure ? NULL : doubt;
	return sure ? wanted : doubt ? wanted | BH_OUTCOME_ACCEPT : BH_OUTCOME_ACCEPT;
}

const char *bh_foreign_firewall(const struct bh_foreign *f)
{
	const char *found = NULL;

	bh_vec_foreach(t, &f->tables) {
		if (bh_streq(t->name, "firewalld"))
			return "firewalld";
		bh_vec_foreach(c, &t->chains) {
			if (c->name && strncmp(c->name, "ufw-", 4) == 0)
				return "ufw";
			if (c->hook == BH_FOREIGN_INPUT && !c->nat && (c->drops || c->rules.n > 0))
				found = "nftables";
		}
	}
	return found;
}
