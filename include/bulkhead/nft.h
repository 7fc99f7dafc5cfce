/* SPDX-License-Identifier: Apache-2.0 */
/* The door to nftables. One socket does every write; a change is one transaction. */
#ifndef BULKHEAD_NFT_H
#define BULKHEAD_NFT_H

#include <bulkhead/compile.h>
#include <bulkhead/diff.h>
#include <bulkhead/error.h>
#include <bulkhead/foreign.h>
#include <bulkhead/ruleset.h>

struct bh_nft;

struct bh_nft_ops {
	/* Everything that the tables called "bulkhead" hold, sorted. Repeats on NLM_F_DUMP_INTR or a generation that
	 * moved, a bounded number of times, then -EAGAIN. */
	int (*observe)(struct bh_nft *n, struct bh_ruleset **ret, struct bh_error *err);
	/* All of PLAN in one transaction, or nothing. On refusal ERR names the object that the kernel refused. -ENOENT
	 * and -EEXIST mean that the kernel is not what SEEN said: observe again. */
	int (*apply)(struct bh_nft *n, const struct bh_plan *plan, struct bh_error *err);
	/* Of all that only the sets which count what was dropped of containers. 0, -EAGAIN when they did not hold still, or another -errno. */
	int (*counters)(struct bh_nft *n, struct bh_ruleset **ret, struct bh_error *err);
	void (*free)(struct bh_nft *n);
};

/* What a transaction was. */
struct bh_nft_work {
	size_t bytes;		/* of netlink messages that were sent */
	size_t messages;
	size_t elements;	/* that came or went */
};

struct bh_nft {
	const struct bh_nft_ops *ops;
	struct bh_nft_work last;	/* the last transaction that apply() sent */
};

void bh_nft_free(struct bh_nft *n);
BH_DEFINE_FREEP(struct bh_nft, bh_nft_free)

/* The kernel of this network namespace. */
int bh_nft_new(struct bh_nft **ret, struct bh_error *err);
/* The same with FD, a netlink socket that an earlier process wrote with and that was kept (a table's owner is a socket, not a
 * process). Taken over, and closed on failure too. -EINVAL when it is no NETLINK_NETFILTER socket with a port id, or of another
 * network namespace. */
int bh_nft_new_from(int fd, struct bh_nft **ret, struct bh_error *err);
/* The socket that writes, to be kept by somebody else beside us; still N's. -1 for a fake. Its port id, which is what the kernel
 * calls the owner of a table; 0 for a fake. */
int bh_nft_fd(const struct bh_nft *n);
uint32_t bh_nft_port(const struct bh_nft *n);
/* Tables in memory that refuse what the kernel refuses (missing chain, duplicate chain, duplicate element with other data, a chain or set in use). */
int bh_nft_fake_new(struct bh_nft **ret);

/* Changes made by others to our tables. fd for poll(2); read() returns 1 when something of ours was changed by another
 * port id than OWN writes with, 0 when not, -ENOBUFS when notifications were lost (observe again). */
struct bh_nft_monitor;
int bh_nft_monitor_new(struct bh_nft *own, struct bh_nft_monitor **ret, struct bh_error *err);
int bh_nft_monitor_fd(const struct bh_nft_monitor *m);
int bh_nft_monitor_read(struct bh_nft_monitor *m);
/* While nobody listens the kernel writes no notification for each element of a transaction, which costs it several times what the
 * elements do. What others change meanwhile is not told: observe afterwards. 0 or -errno. */
int bh_nft_monitor_listen(struct bh_nft_monitor *m, bool on);
/* The process that last changed something of ours, as the kernel names it (NFTA_GEN_PROC_PID in the initial pid namespace,
 * NFTA_GEN_PROC_NAME: any bytes), since the last call; what is known is forgotten. pid 0: the kernel did not say. */
struct bh_nft_process {
	uint32_t pid;
	char name[17];
};
struct bh_nft_process bh_nft_monitor_process(struct bh_nft_monitor *m);
void bh_nft_monitor_free(struct bh_nft_monitor *m);
BH_DEFINE_FREEP(struct bh_nft_monitor, bh_nft_monitor_free)

/* Everybody else's tables of the families ip, ip6 and inet. What a transaction changes meanwhile may be read half. Whether there are tables
 * of iptables-legacy is read from /proc/net. */
int bh_nft_foreign(struct bh_foreign **ret, struct bh_error *err);

/* Tries the features of nf_tables in transactions that are taken back. */
int bh_nft_probe(struct bh_features *features, struct bh_error *err);

#endif
