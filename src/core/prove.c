/* SPDX-License-Identifier: Apache-2.0 */
/* No packet may leave a chain without a verdict that somebody wrote. After a goto, the end of a chain does not come back to
 * the rules behind it but ends the base chain with its policy (nf_tables_core.c, nft_do_chain); for the policy accept that is
 * an open door. The walk is conservative: what may not apply is taken not to. */
#include <bulkhead/ruleset.h>

#include <errno.h>
#include <string.h>

#define DEPTH_MAX 16	/* NFT_JUMP_STACK_SIZE: as many chains, jumps and gotos alike, may be on one way (nft_chain_validate()) */

enum fall {
	UNKNOWN,
	WALKING,
	ENDS,		/* every way ends in a verdict */
	FALLS,		/* some way reaches the end */
};

struct prover {
	const struct bh_table *table;
	enum fall *state;	/* one a chain, in the table's order */
	const struct bh_chain **where;	/* the chain whose end is reached, for FALLS */
	unsigned *below;		/* how many chains the longest way through this one leads on to */
	struct bh_error *err;
};

static int walk(struct prover *p, const char *name, unsigned depth, enum fall *ret, const struct bh_chain **ret_where);

static void below_add(struct prover *p, const struct bh_chain *c, const char *target)
{
	const struct bh_chain *to = bh_table_chain(p->table, target);
	unsigned n = p->below[to - p->table->chains.v] + 1, *mine = &p->below[c - p->table->chains.v];

	*mine = n > *mine ? n : *mine;
}

/* What one verdict means for the chain that it stands in. */
struct outcome {
	bool falls;		/* some way leaves the chain through its end, or by return */
	bool stops;		/* nothing goes on to the next statement or rule */
	const struct bh_chain *where;
};

static int verdict_outcome(struct prover *p, const struct bh_chain *c, enum bh_verdict verdict, const char *target, unsigned depth,
	struct outcome *ret)
{
	enum fall fall = ENDS;
	int r;

	memset(ret, 0, sizeof(*ret));
	switch (verdict) {
	case BH_ACCEPT:
	case BH_DROP:
		ret->stops = true;
		return 0;
	case BH_RETURN:
		ret->stops = true;
		ret->falls = true;
		ret->where = c;
		return 0;
	case BH_VERDICT_NONE:
	case BH_CONTINUE:
		return 0;
	case BH_JUMP:
	case BH_GOTO:
		r = walk(p, target, depth + 1, &fall, &ret->where);
		if (r < 0)
			return r;
		below_add(p, c, target);
		ret->stops = verdict == BH_GOTO || fall == ENDS;
		ret->falls = verdict == BH_GOTO && fall == FALLS;
		return 0;
	}
	return bh_fail(p->err, -EINVAL, "chain %s: verdict %d is not known", c->name, (int)verdict);
}

/* The verdicts of a map: each may be taken, and none need be. */
static int map_outcome(struct prover *p, const struct bh_chain *c, const struct bh_stmt *s, unsigned depth, struct outcome *ret)
{
	const struct bh_elem *v = s->elems.v;
	size_t n = s->elems.n;

	memset(ret, 0, sizeof(*ret));
	if (*s->set) {
		const struct bh_set *set = bh_table_set(p->table, s->set);

		if (!set)
			return bh_fail(p->err, -EINVAL, "chain %s: there is no map %s", c->name, s->set);
		v = set->elems.v;
		n = set->elems.n;
	}
	for (size_t i = 0; i < n; i++) {
		struct outcome o;
		int r = verdict_outcome(p, c, v[i].verdict, v[i].chain, depth, &o);

		if (r < 0)
			return r;
		if (o.falls && !ret->falls) {
			ret->falls = true;
			ret->where = o.where;
		}
	}
	return 0;
}

/* One rule; STOPS only when it applies to every packet. */
static int rule_outcome(struct prover *p, const struct bh_chain *c, const struct bh_nft_rule *rule, unsigned depth, struct outcome *ret)
{
	bool always = true;

	memset(ret, 0, sizeof(*ret));
	bh_vec_foreach(s, &rule->stmts) {
		struct outcome o = {0};
		int r = 0;

		switch (s->kind) {
		case BH_STMT_COUNTER:
		case BH_STMT_LOG:
		case BH_STMT_SET_PRIORITY:
			break;
		case BH_STMT_VERDICT:
			r = verdict_outcome(p, c, s->verdict, s->chain, depth, &o);
			break;
		case BH_STMT_VMAP:
			r = map_outcome(p, c, s, depth, &o);
			break;
		case BH_STMT_REJECT:
		case BH_STMT_FWD:
			o.stops = true;
			break;
		default:	/* matches, look-ups, limits, updates of a set that may be full: a miss ends the rule */
			always = false;
			break;
		}
		if (r < 0)
			return r;
		if (o.falls && !ret->falls) {
			ret->falls = true;
			ret->where = o.where;
		}
		if (o.stops) {
			ret->stops = always;
			break;	/* what follows in the rule is never reached */
		}
	}
	return 0;
}

static int chain_outcome(struct prover *p, const struct bh_chain *c, unsigned depth, struct outcome *ret)
{
	memset(ret, 0, sizeof(*ret));
	bh_vec_foreach(rule, &c->rules) {
		struct outcome o;
		int r = rule_outcome(p, c, rule, depth, &o);

		if (r < 0)
			return r;
		if (o.falls && !ret->falls) {
			ret->falls = true;
			ret->where = o.where;
		}
		if (o.stops)
			return 0;
	}
	if (!ret->falls) {
		ret->falls = true;
		ret->where = c;
	}
	return 0;
}

static int walk(struct prover *p, const char *name, unsigned depth, enum fall *ret, const struct bh_chain **ret_where)
{
	const struct bh_chain *c = bh_table_chain(p->table, name);
	struct outcome o;
	size_t i;
	int r;

	if (!c)
		return bh_fail(p->err, -EINVAL, "there is no chain %s", name);
	i = (size_t)(c - p->table->chains.v);
	if (p->state[i] == WALKING)
		return bh_fail(p->err, -EINVAL, "chain %s leads back to itself", name);
	if (depth > DEPTH_MAX)
		return bh_fail(p->err, -EINVAL, "chain %s is more than %d jumps away", name, DEPTH_MAX);
	if (p->state[i] == UNKNOWN) {
		p->state[i] = WALKING;
		r = chain_outcome(p, c, depth, &o);
		if (r < 0)
			return r;
		p->state[i] = o.falls ? FALLS : ENDS;
		p->where[i] = o.where;
	}
	*ret = p->state[i];
	*ret_where = p->where[i];
	return 0;
}

static int prove_table(const struct bh_table *t, struct bh_error *err)
{
	_cleanup_free_ enum fall *state = calloc(t->chains.n + 1, sizeof(*state));
	_cleanup_free_ const struct bh_chain **where = calloc(t->chains.n + 1, sizeof(*where));
	_cleanup_free_ unsigned *below = calloc(t->chains.n + 1, sizeof(*below));
	struct prover p = {.table = t, .state = state, .where = where, .below = below, .err = err};

	if (!state || !where || !below)
		return bh_fail(err, -ENOMEM, "out of memory");
	bh_vec_foreach(c, &t->chains) {
		const struct bh_chain *end;
		enum fall fall;
		int r;

		if (c->hook == BH_HOOK_NONE)
			continue;
		r = walk(&p, c->name, 0, &fall, &end);
		if (r < 0)
			return r;
		if (below[c - t->chains.v] >= DEPTH_MAX)
			return bh_fail(err, -EINVAL, "chain %s: a way through it has more than %d chains", c->name, DEPTH_MAX);
		if (fall == FALLS)
			return bh_fail(err, -EINVAL, "chain %s: a packet may reach the end of chain %s without a verdict", c->name,
				end->name);
	}
	return 0;
}

int bh_ruleset_prove(const struct bh_ruleset *r, struct bh_error *err)
{
	for (int f = 0; f < BH_FAMILY_MAX; f++) {
		int ret = prove_table(&r->tables[f], err);

		if (ret < 0)
			return ret;
	}
	return 0;
}
