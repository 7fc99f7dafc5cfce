/* SPDX-License-Identifier: Apache-2.0 */
/* What somebody said by hand: who is in quarantine, what is open for a time, nothing at all. It adds to the configuration, outlives the daemon
 * (state directory), and is enforced in a file in audit too. */
#ifndef BULKHEAD_DAEMON_HAND_H
#define BULKHEAD_DAEMON_HAND_H

#include <bulkhead/policy.h>
#include <jansson.h>

#define BH_HAND_MAX 256u
#define BH_HAND_MAX_USEC (366ull * 24 * 3600 * 1000000)

enum bh_hand_kind {
	BH_HAND_QUARANTINE,
	BH_HAND_ALLOW,
};

struct bh_hand_item {
	enum bh_hand_kind kind;
	char *id, *name;		/* a container's: the id counts, the name is for people */
	char *by;			/* the rule of detect that did it; NULL: a person */
	char *from, *to;		/* zones as in a rule */
	struct bh_strv ports;		/* as in a rule; none: every protocol */
	uint64_t for_usec;		/* how long from when it was said; 0: until it is taken back */
	uint64_t end_boot, end_real;	/* CLOCK_BOOTTIME, and CLOCK_REALTIME for after a boot */
};

struct bh_hand {
	BH_VEC(struct bh_hand_item) v;
	bool locked;			/* containers get nothing */
	unsigned retimed;		/* see bh_policy */
};

void bh_hand_clear(struct bh_hand *h);
void bh_hand_item_clear(struct bh_hand_item *i);
/* Microseconds left at NOW (CLOCK_BOOTTIME): UINT64_MAX for ever, 0 over. */
uint64_t bh_hand_left(const struct bh_hand_item *i, uint64_t now_boot);

/* The text that is kept, and back. BOOT is this boot's id; where the text is of another one, what is left is told by the clock, and is never more
 * than what was said. NULL for no memory; -EINVAL for what is no such text. */
char *bh_hand_print(const struct bh_hand *h, const char *boot);
int bh_hand_parse(const char *text, const char *boot, uint64_t now_boot, uint64_t now_real, struct bh_hand *ret);

/* A policy as the configuration says it, changed by hand: other rules, in a lockdown none, and then nothing but enforced. The rest is BASE's,
 * which must outlive it. */
struct bh_hand_policy {
	struct bh_policy p;
	size_t base_rules;		/* of BASE; those behind are its own */
	bool own_zones;
};
/* NULL in *RET where H has nothing to change. Rules that BASE has no zones for are left out. 0 or -ENOMEM. */
int bh_hand_policy(const struct bh_hand *h, const struct bh_policy *base, uint64_t now_boot, struct bh_hand_policy **ret);
void bh_hand_policy_free(struct bh_hand_policy *p);
/* Why BASE cannot have I's rule ("no zone 'wbe': did you mean 'web'?"): -EINVAL with ERR; or 0. */
int bh_hand_rule_check(const struct bh_hand_item *i, const struct bh_policy *base, struct bh_error *err);

#endif
