/* SPDX-License-Identifier: Apache-2.0 */
/* The socket that owns our tables, kept by the service manager while no daemon runs (sd_pid_notify_with_fds(3),
 * FileDescriptorStoreMax= in systemd.service(5)): as long as one duplicate is open the kernel lets nobody else change the tables,
 * so that a crash, a restart or an upgrade is no gap. */
#ifndef BULKHEAD_DAEMON_KEPT_H
#define BULKHEAD_DAEMON_KEPT_H

#include <bulkhead/nft.h>

#define BH_KEPT_NAME "bulkhead-owner"

/* The door to nftables, by the socket that was kept for us where there is one that is of any use, else by a new one. Of several the one
 * that owns tables. *RET_STALE: the manager keeps others, of no use. Takes the descriptors out of the environment. */
int bh_kept_open(struct bh_nft **ret, bool *ret_stale, struct bh_error *err);
/* Asks for N's socket to be kept. One that is kept already is not kept twice. 0 also without a manager; -errno when it could not be told. */
int bh_kept_store(const struct bh_nft *n);
/* Asks for everything of ours to be let go. */
void bh_kept_drop(void);

#endif
