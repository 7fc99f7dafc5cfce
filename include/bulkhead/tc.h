/* SPDX-License-Identifier: Apache-2.0 */
/* The door to rtnetlink: links, addresses, bridge flags, IFBs, queueing disciplines. */
#ifndef BULKHEAD_TC_H
#define BULKHEAD_TC_H

#include <bulkhead/compile.h>
#include <bulkhead/error.h>
#include <bulkhead/host.h>
#include <bulkhead/shape.h>

struct bh_tc;

/* The host's end of a veth receives (RX) what the container sends. */
typedef void (*bh_tc_bytes_fn)(void *userdata, int ifindex, uint64_t rx, uint64_t tx);

struct bh_tc_ops {
	/* Links with their bridges and veth peers (RTM_GETNSID, RTM_GETLINK with IFLA_TARGET_NETNSID), and addresses. */
	int (*host)(struct bh_tc *t, struct bh_host **ret, struct bh_error *err);
	/* The same for the links of the N ifindexes at LINKS alone, and, with ADDRS, all addresses: HOST, which was read by host(), is brought up
	 * to date. 1 when anything in it changed, 0 when not, -errno when HOST is not to be believed any more: read all of it. */
	int (*refresh)(struct bh_tc *t, struct bh_host *host, const int *links, size_t n, bool addrs, struct bh_error *err);
	/* What is there of our IFBs, trees, redirects. */
	int (*observe)(struct bh_tc *t, struct bh_shape **ret, struct bh_error *err);
	/* Brings SEEN to WANTED in an order that never lets shaped traffic go nowhere or around. */
	int (*apply)(struct bh_tc *t, const struct bh_shape *wanted, const struct bh_shape *seen, struct bh_error *err);
	/* Sets IFLA_BR_NF_CALL_IPTABLES and _IP6TABLES of one bridge. -ENODEV when it has gone. */
	int (*bridge_calls)(struct bh_tc *t, const char *bridge, bool ip, bool ip6, struct bh_error *err);
	/* Sets whether one bridge learns from frames to its own groups: the opposite of BR_BOOLOPT_NO_LL_LEARN. -ENODEV when it has gone. */
	int (*bridge_learns)(struct bh_tc *t, const char *bridge, bool groups, struct bh_error *err);
	/* See bh_tc_nsid_of_pid(). */
	int (*nsid_of_pid)(struct bh_tc *t, pid_t pid);
	/* The ifindex by which this host sends to an address, 0 when it has none, or -errno (-ENETUNREACH: no route). */
	int (*route)(struct bh_tc *t, const struct bh_addr *to);
	/* What each link has carried since it is there, in bytes of frames. 0 or -errno. */
	int (*bytes)(struct bh_tc *t, bh_tc_bytes_fn fn, void *userdata, struct bh_error *err);
	void (*free)(struct bh_tc *t);
};

struct bh_tc {
	const struct bh_tc_ops *ops;
};

void bh_tc_free(struct bh_tc *t);
BH_DEFINE_FREEP(struct bh_tc, bh_tc_free)

int bh_tc_new(struct bh_tc **ret, struct bh_error *err);
/* Links, trees and flags in memory; a test fills `host` through bh_tc_fake_host(). */
int bh_tc_fake_new(struct bh_tc **ret);
struct bh_host *bh_tc_fake_host(struct bh_tc *t);

/* What rtnetlink told of: what it is now is read again, with refresh() and observe(). */
#define BH_TC_NEWS_LINKS 64
struct bh_tc_news {
	int links[BH_TC_NEWS_LINKS];	/* ifindexes of links that came, went or changed, each once */
	size_t n_links;
	bool addrs;
	bool shape;			/* qdiscs, classes, filters */
	bool all;			/* lost notifications, or more links than there is room for: everything */
};

/* rtnetlink notifications: links, addresses, qdiscs. read() drains into RET: 1 something that matters changed, 0 nothing, -errno of
 * the socket. */
struct bh_tc_monitor;
int bh_tc_monitor_new(struct bh_tc_monitor **ret, struct bh_error *err);
int bh_tc_monitor_fd(const struct bh_tc_monitor *m);
int bh_tc_monitor_read(struct bh_tc_monitor *m, struct bh_tc_news *ret);
void bh_tc_monitor_free(struct bh_tc_monitor *m);
BH_DEFINE_FREEP(struct bh_tc_monitor, bh_tc_monitor_free)

/* Tries IFB, HTB and fq_codel on a throw-away device. */
int bh_tc_probe(struct bh_features *features, struct bh_error *err);

/* The network namespace id of a process as this namespace numbers it (RTM_GETNSID, NETNSA_PID): >= 0, or -1 when it has none,
 * or -errno below -1. */
int bh_tc_nsid_of_pid(struct bh_tc *t, pid_t pid);

#endif
