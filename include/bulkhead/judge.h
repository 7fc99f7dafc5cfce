/* SPDX-License-Identifier: Apache-2.0 */
/* What the rules answer to one flow, outside the kernel: who is at its ends, and whether policy lets the one open the other. Made of what the
 * compiler itself asks (claims, the maps of the wanted rule set), so that the two cannot disagree. Pure. */
#ifndef BULKHEAD_JUDGE_H
#define BULKHEAD_JUDGE_H

#include <bulkhead/compile.h>

#define BH_NOBODY SIZE_MAX

/* Who is at one end. */
struct bh_party {
	size_t inst;			/* index into placement->insts; BH_NOBODY: an address of a container network that nobody holds */
	const struct bh_member *member;	/* the container; NULL for others */
};

/* "May FROM open PORT on TO?" */
struct bh_question {
	uint8_t proto;			/* IPPROTO_* */
	struct bh_addr from, to;	/* the real ends */
	uint16_t port;			/* host order, 0 without */
	const char *from_dev, *to_dev;	/* the interface that each is behind, NULL where it is not known: then the address alone says who it is,
					 * and of containers with the same one on two bridges the first */
};

enum bh_why {
	BH_WHY_NOT_OURS,	/* no container at either end: nothing is decided */
	BH_WHY_RULE,		/* `rule` opens it */
	BH_WHY_SECOND_LEG,	/* a published port's container from this host, without a rule: docker-proxy's own connection passes when the one that
				 * it serves was allowed, nobody else's does. `allowed` is true, since which it is cannot be told of a flow */
	BH_WHY_NO_RULE,
	BH_WHY_UNKNOWN,		/* an end is nobody whom the rules know */
};

struct bh_judgement {
	struct bh_party from, to;	/* to: the container behind it, for a published port of the host */
	uint16_t port;			/* the container's own, then */
	const struct bh_published *published;	/* by which TO was called; NULL: at its own address */
	uint32_t leg;			/* the number of the container's port, then: ba:N, by which docker-proxy's clients are judged */
	bool resolver;			/* TO is one of `dns`, at this port */
	bool ours;			/* a container, or what may be one, at one end or both */
	bool allowed;
	enum bh_why why;
	size_t rule;			/* BH_WHY_RULE: index into policy->allow */
	size_t opened_to;		/* BH_WHY_RULE: the zone that it is open to: TO's, or dns; index into placement->insts */
	enum bh_mode mode;		/* what becomes of a denial: BH_MODE_ENFORCE or BH_MODE_AUDIT */
};

struct bh_judge;

/* WANTED is what bh_compile() made of IN. It, and IN's policy, inventory and placement, must outlive the judge. 0 or -ENOMEM. */
int bh_judge_new(const struct bh_compile_input *in, const struct bh_ruleset *wanted, struct bh_judge **ret);
void bh_judge_free(struct bh_judge *j);
BH_DEFINE_FREEP(struct bh_judge, bh_judge_free)

struct bh_party bh_judge_who(const struct bh_judge *j, const struct bh_addr *addr, const char *dev);
/* Whether it is an address of this host, loopback's too. */
bool bh_judge_is_host(const struct bh_judge *j, const struct bh_addr *addr);
struct bh_judgement bh_judge_flow(const struct bh_judge *j, const struct bh_question *q);
/* The same where it is known who FROM or TO is, whatever the address (NULL: by the address). Q's addresses may be of family 0 then; that of TO, where it is
 * there, says whether it is a published port or a resolver. */
struct bh_judgement bh_judge_parties(const struct bh_judge *j, const struct bh_question *q, const struct bh_party *from, const struct bh_party *to);
/* The zone called NAME: index into placement->insts, BH_NOBODY when there is none. */
size_t bh_judge_inst(const struct bh_judge *j, const char *name);

/* One thing that a rule leaves open between two parties. */
struct bh_opening {
	bool all;		/* every protocol */
	struct bh_port port;
	size_t rule;		/* index into policy->allow */
	bool dns;		/* because TO is a resolver */
};
struct bh_openings {
	BH_VEC(struct bh_opening) v;	/* by rule; none overlaps another */
};
/* All that FROM may open on TO; ADDR is TO's (family 0: not known), for what a resolver has open besides. 0 or -ENOMEM; the caller clears
 * ret->v. */
int bh_judge_open(const struct bh_judge *j, const struct bh_party *from, const struct bh_party *to, const struct bh_addr *addr, struct bh_openings *ret);

/* What of the rule set a flow meets: who the two are, what the one's zone jumps to, what opens the port. */
enum bh_step_kind {
	BH_STEP_FROM,
	BH_STEP_ZONE,
	BH_STEP_TO,
	BH_STEP_RESOLVER,
	BH_STEP_OPENS,
	BH_STEP_PUBLISHED,	/* the port of this host */
	BH_STEP_PROXY,		/* what opens it to docker-proxy's clients, who are not led there by DNAT */
	BH_STEP_MAX,
};
const char *bh_step_name(enum bh_step_kind k);	/* "from", … */
struct bh_step {
	enum bh_step_kind kind;
	const struct bh_set *set;	/* of the inet table that was compiled */
	const struct bh_elem *elem;
};
struct bh_steps {
	BH_VEC(struct bh_step) v;
};
/* The elements of the compiled rule set by which Q has the answer V: those that are there. In their order, once each. Without addresses (family 0) those about
 * addresses are left out. 0 or -ENOMEM; the caller clears ret->v. */
int bh_judge_steps(const struct bh_judge *j, const struct bh_question *q, const struct bh_judgement *v, struct bh_steps *ret);
/* The same element of another rule set, what the kernel was seen to hold; NULL: it is not there, or says another thing. */
const struct bh_elem *bh_step_in(const struct bh_step *step, const struct bh_ruleset *seen);
/* The element by which SEEN lets the flow pass, whatever was compiled; NULL: none. */
const struct bh_elem *bh_judge_opened_in(const struct bh_judge *j, const struct bh_question *q, const struct bh_judgement *v, const struct bh_ruleset *seen,
	const struct bh_set **ret_set);

/* A party's container, and its zone: "web1" and "web"; for others the zone alone twice. Untrusted text; never NULL. */
const char *bh_party_name(const struct bh_judge *j, const struct bh_party *p);
const char *bh_party_zone(const struct bh_judge *j, const struct bh_party *p);

#endif
