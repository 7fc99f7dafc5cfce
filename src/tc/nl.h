/* SPDX-License-Identifier: Apache-2.0 */
/* One rtnetlink socket: send, wait for the answer, dump. Only src/tc includes this. */
#ifndef BULKHEAD_TC_NL_H
#define BULKHEAD_TC_NL_H

#include <bulkhead/error.h>
#include <bulkhead/mem.h>

#include <linux/netlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <stdint.h>

/* How often a dump is repeated that the kernel marks as interrupted by a change (NLM_F_DUMP_INTR). */
#define BH_NL_DUMP_TRIES 8

struct bh_nl {
	int fd;
	uint32_t seq;
	unsigned char *buf;
	char extack[160];	/* the kernel's words on the last refusal, "" when it had none */
};

/* Opens NETLINK_ROUTE with extended acknowledgements and strict checks of dump requests (without the latter the kernel
 * ignores *_TARGET_NETNSID, rtnetlink(7)). 0 or -errno. */
int bh_nl_open(struct bh_nl *n, struct bh_error *err);
void bh_nl_close(struct bh_nl *n);

/* A message of TYPE with FLAGS (NLM_F_REQUEST is added) whose fixed header is the SIZE bytes at HDR. NULL: no memory. */
struct nl_msg *bh_nl_msg(int type, int flags, const void *hdr, size_t size);
void bh_nl_msg_free(struct nl_msg *m);
BH_DEFINE_FREEP(struct nl_msg, bh_nl_msg_free)

/* Sends M and waits for its acknowledgement: 0, or the kernel's -errno, or -ETIMEDOUT, -ENOBUFS. */
int bh_nl_talk(struct bh_nl *n, struct nl_msg *m);

typedef int (*bh_nl_fn)(const struct nlmsghdr *h, void *arg);

/* Sends M and calls FN for every message of the answer. M is a dump request when it carries NLM_F_DUMP. What FN
 * returns below zero ends the calls and is returned once the answer was read to its end. -EINTR: the kernel says that
 * the dump is not of one moment; repeat it. */
int bh_nl_ask(struct bh_nl *n, struct nl_msg *m, bh_nl_fn fn, void *arg);

#endif
