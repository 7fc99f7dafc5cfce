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

struct bh_judgement {
	struct bh_party from, to;	/* to: the container behind it, for a published port of the host */
	uint16_t port;			/* the container's own, then */
	bool ours;			/* a container, or what may be one, at one end or both */
	bool allowed;
	enum bh_mode mode;		/* what becomes of a denial: BH_MODE_ENFORCE or BH_MODE_AUDIT */
};

struct bh_judge;

/* WANTED is what bh_compile() made of IN. It, and IN's policy, inventory and placement, must outlive the judge. 0 or -ENOMEM. */
int bh_judge_new(const struct bh_compile_input *in, const struct bh_ruleset *wanted, struct bh_judge **ret);
void bh_judge_free(struct bh_judge *j);
BH_DEFINE_FREEP(struct bh_judge, bh_judge_free)

struct bh_party bh_judge_who(const struct bh_judge *j, const struct bh_addr *addr, const char *dev);
struct bh_judgement bh_judge_flow(const struct bh_judge *j, const struct bh_question *q);

/* A party's container, and its zone: "web1" and "web"; for others the zone alone twice. Untrusted text; never NULL. */
const char *bh_party_name(const struct bh_judge *j, const struct bh_party *p);
const char *bh_party_zone(const struct bh_judge *j, const struct bh_party *p);

#endif
